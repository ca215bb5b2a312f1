/* The engine's semantics, one public promise a test, on the small cluster of world_priv.h. */
#include "rollout/world_priv.h"

static const struct sl_rollout_step three_steps[] = {
	{ .kind = SL_ROLLOUT_STEP_SET_WEIGHT, .weight = 20 },
	{ .kind = SL_ROLLOUT_STEP_PAUSE, .duration = SL_ROLLOUT_FOREVER },
	{ .kind = SL_ROLLOUT_STEP_SET_WEIGHT, .weight = 60 },
	{ .kind = SL_ROLLOUT_STEP_PAUSE, .duration = SL_SEC(10) },
};

static struct world w; /* too big for the stack */

/* v1 is stable and healthy, the steps are `steps`. */
static void start(const struct sl_rollout_step *steps, size_t count)
{
	world_fini(&w);
	world_init(&w, 1);
	world_steps(&w, "steps1", steps, count);
	world_template(&w, "v1");
	world_settle(&w);
	assert_int_equal(w.status.phase, SL_ROLLOUT_HEALTHY);
	w.events[0] = '\0';
}

static void ship(const char *hash)
{
	world_template(&w, hash);
	world_settle(&w);
}

static void promote(void) /* what `promote` patches */
{
	w.status.pause_count = 0;
	memset(w.status.pauses, 0, sizeof(w.status.pauses));
	world_settle(&w);
}

static int32_t desired(const char *hash)
{
	struct world_set *s = world_find(&w, hash);

	return s ? s->desired : -1;
}

static int teardown(void **state)
{
	(void)state;
	world_fini(&w);
	return 0;
}

static void first_deploy_skips_steps(void **state)
{
	(void)state;
	world_init(&w, 1);
	world_steps(&w, "steps1", three_steps, 4);
	world_template(&w, "v1");
	world_settle(&w);
	assert_string_equal(w.status.stable_hash, "v1");
	assert_int_equal(w.status.step_index, 4);
	assert_int_equal(desired("v1"), 4);
	assert_int_equal(w.status.phase, SL_ROLLOUT_HEALTHY);
	assert_int_equal(w.plan.destination_count, 1);
	assert_int_equal(w.plan.destinations[0].weight, 100);
	assert_false(w.plan.watch);
	assert_true(w.status.conditions[SL_ROLLOUT_COND_HEALTHY].status);
	assert_true(w.status.conditions[SL_ROLLOUT_COND_COMPLETED].status);
	assert_null(strstr(w.events, "RolloutStepCompleted"));
	assert_true(w.plan.again_at == SL_NSEC_MAX);
}

static void steps_are_walked_and_the_canary_promoted(void **state)
{
	(void)state;
	start(three_steps, 4);
	ship("v2");
	assert_int_equal(w.status.weight_canary, 20);
	assert_int_equal(w.status.step_index, 1);
	assert_int_equal(w.status.phase, SL_ROLLOUT_PAUSED);
	assert_string_equal(w.status.message, "CanaryPauseStep");
	assert_int_equal(desired("v2"), 1); /* ceil(4 * 20 %) */
	assert_int_equal(desired("v1"), 4); /* routed: stable stays whole */
	assert_true(w.plan.watch);
	world_run(&w, SL_SEC(3600));
	assert_int_equal(w.status.step_index, 1); /* until promoted */
	promote();
	assert_int_equal(w.status.weight_canary, 60);
	assert_int_equal(w.status.step_index, 3);
	assert_int_equal(desired("v2"), 3);
	assert_true(w.plan.again_at == w.now + SL_SEC(10));
	world_run(&w, SL_SEC(9));
	assert_int_equal(w.status.step_index, 3);
	world_run(&w, SL_SEC(2));
	assert_string_equal(w.status.stable_hash, "v2");
	assert_int_equal(w.status.phase, SL_ROLLOUT_HEALTHY);
	assert_int_equal(w.plan.destination_count, 1);
	sl_assert_str(w.plan.destinations[0].hash, "v2");
	assert_non_null(strstr(w.events, "NewReplicaSetCreated,"));
	assert_non_null(strstr(w.events, "RolloutPaused,"));
	assert_non_null(strstr(w.events, "RolloutResumed,"));
	assert_non_null(strstr(w.events, "RolloutCompleted,"));
}

static void old_pods_stay_until_delay_acks_and_requests_are_over(void **state)
{
	(void)state;
	start(NULL, 0);
	w.spec.scale_down_delay = SL_SEC(30);
	w.ack_delay = SL_SEC(50);
	w.requests_a_tick = 2;
	ship("v2");
	for (int i = 0; i < 1500 && strcmp(w.status.stable_hash, "v2") != 0; i++)
		world_tick(&w);
	assert_string_equal(w.status.stable_hash, "v2");
	world_run(&w, SL_SEC(28));
	assert_int_equal(desired("v1"), 4);
	world_run(&w, SL_SEC(4));
	assert_int_equal(desired("v1"), 0);
	assert_int_equal(w.lost, 0);
	/* No timer stands in for the acknowledgement: one proxy that never answers keeps the old pods alive. */
	ship("v3");
	w.applies_at[1] = SL_NSEC_MAX;
	world_run(&w, SL_SEC(500));
	assert_string_equal(w.status.stable_hash, "v2");
	assert_int_equal(desired("v2"), 4);
	assert_int_equal(w.lost, 0);
}

static void a_new_template_restarts_against_the_old_stable(void **state)
{
	(void)state;
	start(three_steps, 4);
	ship("v2");
	assert_int_equal(w.status.weight_canary, 20);
	promote();
	uint64_t attempt = w.status.attempt;

	ship("v3");
	assert_string_equal(w.status.stable_hash, "v1");
	assert_string_equal(w.status.canary_hash, "v3");
	assert_int_equal(w.status.step_index, 1);
	assert_int_equal(w.status.weight_canary, 20);
	assert_int_equal(w.status.attempt, attempt + 1);
	world_run(&w, SL_SEC(1));
	assert_int_equal(desired("v2"), 0); /* the intermediate one goes once it is acknowledged unused */
}

static void reapplying_stable_rolls_back_at_once(void **state)
{
	(void)state;
	start(three_steps, 4);
	ship("v2");
	w.events[0] = '\0';
	ship("v1");
	assert_int_equal(w.status.weight_canary, 0);
	assert_int_equal(w.status.step_index, 4);
	assert_int_equal(w.status.pause_count, 0);
	assert_non_null(strstr(w.events, "SkipSteps,"));
	assert_int_equal(w.status.phase, SL_ROLLOUT_HEALTHY);
	assert_int_equal(desired("v2"), 1); /* after scaleDownDelaySeconds, as after a promotion */
	world_run(&w, SL_SEC(31));
	assert_int_equal(desired("v2"), 0);
	assert_int_equal(desired("v1"), 4);
}

static void changed_steps_begin_anew(void **state)
{
	static const struct sl_rollout_step other[] = {
		{ .kind = SL_ROLLOUT_STEP_SET_WEIGHT, .weight = 10 },
		{ .kind = SL_ROLLOUT_STEP_PAUSE, .duration = SL_ROLLOUT_FOREVER },
	};

	(void)state;
	start(three_steps, 4);
	ship("v2");
	promote();
	assert_int_equal(w.status.step_index, 3);
	world_steps(&w, "steps2", other, 2);
	world_settle(&w);
	assert_int_equal(w.status.step_index, 1);
	assert_int_equal(w.status.weight_canary, 10);
	assert_string_equal(w.status.step_hash, "steps2");
	ship("v1"); /* steps changed while nothing is under way: all done */
	world_steps(&w, "steps3", three_steps, 4);
	world_settle(&w);
	assert_int_equal(w.status.step_index, 4);
	assert_int_equal(w.status.weight_canary, 0);
}

static void abort_keeps_the_spec_and_degrades_until_retry(void **state)
{
	(void)state;
	start(three_steps, 4);
	ship("v2");
	w.status.abort = true;
	world_settle(&w);
	assert_int_equal(w.status.weight_canary, 0);
	assert_int_equal(w.status.step_index, 0);
	assert_int_equal(w.status.phase, SL_ROLLOUT_DEGRADED);
	assert_string_equal(w.status.message, "RolloutAborted: Rollout aborted update to revision 2");
	assert_true(w.status.aborted_at > 0);
	assert_int_equal(desired("v2"), 1);
	world_run(&w, SL_SEC(31));
	assert_int_equal(desired("v2"), 0); /* abortScaleDownDelaySeconds */
	world_run(&w, SL_SEC(3600));
	assert_int_equal(w.status.phase, SL_ROLLOUT_DEGRADED);
	uint64_t attempt = w.status.attempt;

	w.status.abort = false;
	world_settle(&w);
	assert_int_equal(w.status.attempt, attempt + 1);
	assert_int_equal(w.status.weight_canary, 20);
	assert_int_equal(w.status.phase, SL_ROLLOUT_PAUSED);
	w.status.abort = true;
	world_settle(&w);
	ship("v3"); /* a new template ends the abort, too */
	assert_false(w.status.abort);
	assert_int_equal(w.status.weight_canary, 20);
	promote();
	world_run(&w, SL_SEC(60));
	w.status.abort = true; /* nothing is under way */
	world_settle(&w);
	assert_false(w.status.abort);
	assert_int_equal(w.status.phase, SL_ROLLOUT_HEALTHY);
}

static void abort_may_keep_the_canary(void **state)
{
	(void)state;
	start(three_steps, 4);
	w.spec.abort_scale_down_delay = SL_ROLLOUT_FOREVER;
	ship("v2");
	w.status.abort = true;
	world_run(&w, SL_SEC(3600));
	assert_int_equal(desired("v2"), 1);
}

static void full_promotion_skips_everything(void **state)
{
	(void)state;
	start(three_steps, 4);
	ship("v2");
	w.status.promote_full = true;
	world_settle(&w);
	assert_string_equal(w.status.stable_hash, "v2");
	assert_false(w.status.promote_full);
	assert_int_equal(w.status.step_index, 4);
	w.status.promote_full = true; /* nothing to promote: the wish does not stay for the next release */
	world_settle(&w);
	assert_false(w.status.promote_full);
	ship("v3");
	assert_int_equal(w.status.phase, SL_ROLLOUT_PAUSED);
}

static void a_user_may_skip_steps_and_write_nonsense(void **state)
{
	static const int32_t written[] = { 3, 4, 5, 1000000, -1, INT32_MIN };

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(written); i++) {
		start(three_steps, 4);
		ship("v2");
		w.status.step_index = written[i];
		promote();
		world_run(&w, SL_SEC(15));
		assert_true(w.status.step_index >= 1 && w.status.step_index <= 4);
	}
}

static void verdicts_roll_back_with_their_evidence(void **state)
{
	static const struct {
		enum sl_rollout_verdict verdict;
		bool guard, judge_off;
		int stale; /* attempts behind */
		bool aborts;
	} cases[] = {
		{ SL_ROLLOUT_HOLD, false, false, 0, false },
		{ SL_ROLLOUT_NOT_WORSE, false, false, 0, false },
		{ SL_ROLLOUT_WORSE, false, false, 0, true },
		{ SL_ROLLOUT_WORSE, false, false, 1, false },
		{ SL_ROLLOUT_WORSE, false, true, 0, false },
		{ SL_ROLLOUT_HOLD, true, false, 0, true },
		{ SL_ROLLOUT_HOLD, true, false, 1, false },
		{ SL_ROLLOUT_HOLD, true, true, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		start(three_steps, 4);
		w.spec.judge_off = cases[i].judge_off;
		ship("v2");
		w.extra.judge.verdict = cases[i].verdict;
		w.extra.judge.attempt = w.status.attempt - (uint64_t)cases[i].stale;
		w.extra.judge.text = SL_STR("failures: e-value 312 of 100 needed");
		w.extra.guard.tripped = cases[i].guard;
		w.extra.guard.attempt = w.extra.judge.attempt;
		w.extra.guard.text = SL_STR("node-1: a run of refused connections");
		world_settle(&w);
		assert_int_equal(w.status.abort, cases[i].aborts);
		assert_int_equal(w.status.weight_canary, cases[i].aborts ? 0 : 20);
		if (cases[i].aborts)
			assert_non_null(strstr(w.status.message,
			        cases[i].guard ? "node-1: a run of refused" : "e-value 312 of 100"));
	}
}

static void a_held_rollout_sends_a_new_template_nothing(void **state)
{
	(void)state;
	start(three_steps, 4);
	w.spec.paused = true;
	world_template(&w, "v2");
	world_settle(&w);
	assert_int_equal(w.status.weight_canary, 0);
	w.spec.paused = false;
	world_settle(&w);
	assert_int_equal(w.status.weight_canary, 20);
}

static void evidence_counts_while_a_user_holds_the_rollout(void **state)
{
	(void)state;
	start(three_steps, 4);
	ship("v2");
	w.spec.paused = true;
	world_settle(&w);
	assert_string_equal(w.status.message, "manually paused");
	promote();
	assert_int_equal(w.status.step_index, 1); /* held */
	w.extra.judge.verdict = SL_ROLLOUT_WORSE;
	w.extra.judge.attempt = w.status.attempt;
	world_settle(&w);
	assert_int_equal(w.status.weight_canary, 0);
}

static void the_log_replays_the_story(void **state)
{
	bool weight = false, step = false;

	(void)state;
	start(three_steps, 4);
	world_template(&w, "v2");
	for (int i = 0; i < 30; i++) {
		world_decide(&w);
		for (size_t p = 0; p < WORLD_PROXIES; p++)
			w.applied[p] = w.epoch;
		for (size_t k = 0; k < w.plan.log_count; k++) {
			const struct sl_rollout_log *l = &w.plan.log[k];

			assert_true(l->why.len > 0 && l->at == w.now && l->attempt > 0);
			weight |= strcmp(l->what, "weight") == 0 && l->weight_before == 0 &&
			          l->weight_after == 20;
			step |= strcmp(l->what, "step") == 0 && l->step_after == 1 &&
			        sl_str_eq_c(l->why, "completed setWeight: 20");
		}
	}
	assert_true(weight && step);
}

static const struct sl_rollout_step analysis_steps[] = {
	{ .kind = SL_ROLLOUT_STEP_SET_WEIGHT, .weight = 50 },
	{ .kind = SL_ROLLOUT_STEP_ANALYSIS },
	{ .kind = SL_ROLLOUT_STEP_PAUSE, .duration = SL_ROLLOUT_FOREVER },
};

static void analysis_results_decide_steps(void **state)
{
	static const struct {
		enum sl_rollout_analysis_phase phase;
		int32_t step;
		uint64_t stale;
		bool error_aborts;
		int32_t ends_at; /* step index; -1: aborted */
		bool inconclusive;
	} cases[] = {
		{ SL_ROLLOUT_ANALYSIS_RUNNING, 1, 0, false, 1, false },
		{ SL_ROLLOUT_ANALYSIS_SUCCESSFUL, 1, 0, false, 2, false },
		{ SL_ROLLOUT_ANALYSIS_SUCCESSFUL, 0, 0, false, 1, false }, /* another step's run */
		{ SL_ROLLOUT_ANALYSIS_SUCCESSFUL, 1, 1, false, 1, false }, /* another attempt's run */
		{ SL_ROLLOUT_ANALYSIS_FAILED, 1, 0, false, -1, false },
		{ SL_ROLLOUT_ANALYSIS_FAILED, 1, 1, false, 1, false },
		{ SL_ROLLOUT_ANALYSIS_ERROR, 1, 0, false, 1, false }, /* says nothing of the canary */
		{ SL_ROLLOUT_ANALYSIS_ERROR, 1, 0, true, -1, false },
		{ SL_ROLLOUT_ANALYSIS_INCONCLUSIVE, 1, 0, false, 1, true },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		start(analysis_steps, 3);
		w.spec.analysis_error_aborts = cases[i].error_aborts;
		ship("v2");
		assert_int_equal(w.status.step_index, 1);
		assert_true(w.plan.want_step_analysis);
		w.extra.step_analysis.phase = cases[i].phase;
		w.extra.step_analysis.step = cases[i].step;
		w.extra.step_analysis.attempt = w.status.analysis_attempt - cases[i].stale;
		w.extra.step_analysis.text = SL_STR("metric success-rate: 0.91");
		world_settle(&w);
		assert_int_equal(w.status.abort, cases[i].ends_at < 0);
		if (cases[i].ends_at >= 0)
			assert_int_equal(w.status.step_index, cases[i].ends_at);
		else
			assert_non_null(strstr(w.status.message, "success-rate: 0.91"));
		assert_int_equal(
		        strcmp(w.status.message, "InconclusiveAnalysisRun") == 0, cases[i].inconclusive);
	}
}

static void after_an_inconclusive_run_the_user_decides(void **state)
{
	(void)state;
	start(analysis_steps, 3);
	ship("v2");
	w.extra.step_analysis.phase = SL_ROLLOUT_ANALYSIS_INCONCLUSIVE;
	w.extra.step_analysis.step = 1;
	w.extra.step_analysis.attempt = w.status.analysis_attempt;
	world_settle(&w);
	assert_int_equal(w.status.phase, SL_ROLLOUT_PAUSED);
	promote(); /* the analysis begins anew, under another name; the old result is not looked at again */
	assert_int_equal(w.status.phase, SL_ROLLOUT_PROGRESSING);
	assert_int_equal(w.status.analysis_attempt, w.extra.step_analysis.attempt + 1);
	assert_true(w.plan.want_step_analysis);
	w.extra.step_analysis.attempt = w.status.analysis_attempt;
	w.extra.step_analysis.phase = SL_ROLLOUT_ANALYSIS_SUCCESSFUL;
	world_settle(&w);
	assert_int_equal(w.status.step_index, 2);
}

static void background_analysis_runs_from_its_step_to_the_last(void **state)
{
	(void)state;
	start(three_steps, 4);
	w.spec.background_analysis = true;
	w.spec.background_analysis_step = 2;
	ship("v2");
	assert_false(w.plan.want_background_analysis);
	promote();
	assert_true(w.plan.want_background_analysis);
	w.extra.background_analysis.attempt = w.status.analysis_attempt;
	w.extra.background_analysis.phase = SL_ROLLOUT_ANALYSIS_FAILED;
	world_settle(&w);
	assert_true(w.status.abort);
	assert_false(w.plan.want_background_analysis);
	w.status.abort = false; /* retry: the failed run is of the last attempt */
	world_settle(&w);
	promote();
	world_run(&w, SL_SEC(12));
	assert_string_equal(w.status.stable_hash, "v2");
	assert_false(w.plan.want_background_analysis);
}

static void the_judge_step_takes_proof_or_time(void **state)
{
	static const struct sl_rollout_step steps[] = {
		{ .kind = SL_ROLLOUT_STEP_SET_WEIGHT, .weight = 10 },
		{ .kind = SL_ROLLOUT_STEP_JUDGE, .duration = SL_SEC(60) },
		{ .kind = SL_ROLLOUT_STEP_PAUSE, .duration = SL_ROLLOUT_FOREVER },
	};

	(void)state;
	start(steps, 3);
	ship("v2");
	world_run(&w, SL_SEC(5));
	assert_int_equal(w.status.step_index, 1);
	w.extra.judge.verdict = SL_ROLLOUT_NOT_WORSE;
	w.extra.judge.attempt = w.status.attempt;
	world_settle(&w);
	assert_int_equal(w.status.step_index, 2);
	memset(&w.extra, 0, sizeof(w.extra));
	ship("v3");
	world_run(&w, SL_SEC(59));
	assert_int_equal(w.status.step_index, 1);
	world_run(&w, SL_SEC(2));
	assert_int_equal(w.status.step_index, 2); /* no data is no verdict: time decided */
	assert_int_equal(w.status.phase, SL_ROLLOUT_PAUSED);
}

static void a_stuck_canary_meets_its_deadline(void **state)
{
	(void)state;
	for (int abort = 0; abort < 2; abort++) {
		start(three_steps, 4);
		w.spec.progress_deadline_abort = abort;
		world_set_add(&w, "v2")->never_ready = true;
		ship("v2");
		assert_int_equal(w.status.weight_canary, 0);
		assert_true(w.plan.again_at == w.now + SL_SEC(600));
		world_run(&w, SL_SEC(599));
		assert_int_equal(w.status.phase, SL_ROLLOUT_PROGRESSING);
		world_run(&w, SL_SEC(2));
		assert_int_equal(w.status.phase, SL_ROLLOUT_DEGRADED);
		assert_int_equal(w.status.abort, abort);
		assert_non_null(strstr(w.status.message, "ReplicaSet \"web-v2\" has timed out progressing."));
		ship("v1");
		assert_int_equal(w.status.phase, SL_ROLLOUT_HEALTHY);
	}
}

static void lost_pods_do_not_time_out_a_finished_release(void **state)
{
	struct world_set *s;

	(void)state;
	start(three_steps, 4);
	world_run(&w, SL_SEC(7200));
	s = world_find(&w, "v1");
	for (size_t i = 0; i < 2; i++)
		s->ready_at[i] = w.now + SL_SEC(60);
	world_settle(&w);
	assert_int_equal(w.status.phase, SL_ROLLOUT_PROGRESSING);
	assert_string_equal(
	        w.status.conditions[SL_ROLLOUT_COND_PROGRESSING].reason, "ReplicaSetNotAvailable");
	world_run(&w, SL_SEC(61));
	assert_int_equal(w.status.phase, SL_ROLLOUT_HEALTHY);
}

static void kill_pods(const char *hash)
{
	struct world_set *s = world_find(&w, hash);

	for (size_t i = 0; i < WORLD_PODS; i++)
		if (s->ready_at[i])
			s->ready_at[i] = w.now + SL_SEC(20);
}

static void weight_follows_ready_pods(void **state)
{
	(void)state;
	start(three_steps, 4);
	ship("v2");
	promote();
	assert_int_equal(w.status.weight_canary, 60);
	world_find(&w, "v2")->ready_at[0] = w.now + SL_SEC(5); /* one of three goes */
	world_settle(&w);
	assert_int_equal(w.status.weight_canary, 40);
	kill_pods("v2");
	world_settle(&w);
	assert_int_equal(w.status.weight_canary, 0); /* at once */
	world_find(&w, "v2")->ready_at[0] = w.now;
	world_settle(&w);
	assert_int_equal(w.status.weight_canary, 0); /* not before all it needs are there */
	kill_pods("v1");
	world_settle(&w);
	assert_int_equal(w.status.weight_canary, 100); /* something is better than nothing */
	world_run(&w, SL_SEC(30));
	assert_string_equal(w.status.stable_hash, "v2");
}

static void weights_wait_for_pods(void **state)
{
	(void)state;
	start(three_steps, 4);
	w.pod_start = SL_SEC(5);
	ship("v2");
	assert_int_equal(w.status.weight_canary, 0);
	assert_int_equal(w.status.step_index, 0);
	world_run(&w, SL_SEC(6));
	assert_int_equal(w.status.weight_canary, 20);
	promote();
	assert_int_equal(w.status.weight_canary, 20); /* pods first */
	world_run(&w, SL_SEC(6));
	assert_int_equal(w.status.weight_canary, 60);
}

static void canary_scale_and_routes_follow_the_steps(void **state)
{
	static const struct sl_rollout_step steps[] = {
		{ .kind = SL_ROLLOUT_STEP_SET_CANARY_SCALE,
		        .scale = SL_ROLLOUT_SCALE_REPLICAS,
		        .scale_value = 3 },
		{ .kind = SL_ROLLOUT_STEP_SET_HEADER_ROUTE, .route_name = { "jason", 5 } },
		{ .kind = SL_ROLLOUT_STEP_PAUSE, .duration = SL_ROLLOUT_FOREVER },
		{ .kind = SL_ROLLOUT_STEP_SET_CANARY_SCALE,
		        .scale = SL_ROLLOUT_SCALE_WEIGHT,
		        .scale_value = 50 },
		{ .kind = SL_ROLLOUT_STEP_SET_MIRROR_ROUTE, .route_name = { "copy", 4 } },
		{ .kind = SL_ROLLOUT_STEP_SET_HEADER_ROUTE,
		        .route_name = { "jason", 5 },
		        .route_remove = true },
		{ .kind = SL_ROLLOUT_STEP_PAUSE, .duration = SL_ROLLOUT_FOREVER },
		{ .kind = SL_ROLLOUT_STEP_SET_CANARY_SCALE, .scale = SL_ROLLOUT_SCALE_MATCH_WEIGHT },
		{ .kind = SL_ROLLOUT_STEP_PAUSE, .duration = SL_ROLLOUT_FOREVER },
	};

	(void)state;
	start(steps, 9);
	w.own_scale = true;
	ship("v2");
	assert_int_equal(desired("v2"), 3);
	assert_int_equal(w.status.weight_canary, 0);
	assert_int_equal(w.plan.route_count, 1);
	assert_int_equal(w.plan.routes[0], 1);
	promote();
	assert_int_equal(desired("v2"), 2);
	assert_int_equal(w.plan.route_count, 1);
	assert_int_equal(w.plan.routes[0], 4);
	promote();
	assert_int_equal(desired("v2"), 0); /* as many as weight 0 needs: none */
	w.status.abort = true;
	world_settle(&w);
	assert_int_equal(w.plan.route_count, 0);
}

static void dynamic_stable_scale_moves_pods_with_weight(void **state)
{
	(void)state;
	start(three_steps, 4);
	w.spec.dynamic_stable_scale = true;
	w.pod_start = SL_SEC(5);
	ship("v2");
	world_run(&w, SL_SEC(6));
	promote();
	world_run(&w, SL_SEC(6));
	assert_int_equal(w.status.weight_canary, 60);
	assert_int_equal(desired("v2"), 3);
	assert_int_equal(desired("v1"), 2); /* ceil(4 * 40 %) */
	w.status.abort = true;
	world_settle(&w);
	/* Two pods cannot take everything: one may be missing, so three quarters go now, the rest when the others are back. */
	assert_int_equal(w.status.weight_canary, 25);
	assert_int_equal(desired("v1"), 4);
	assert_int_equal(desired("v2"), 3);
	world_run(&w, SL_SEC(6));
	assert_int_equal(w.status.weight_canary, 0);
}

static void invalid_specs_move_nothing(void **state)
{
	static const struct {
		struct sl_rollout_step step;
		const char *text;
	} cases[] = {
		{ { .kind = SL_ROLLOUT_STEP_SET_WEIGHT, .weight = 101 },
		        "steps[0].setWeight: 101 is not allowed: a weight is 0 to 100" },
		{ { .kind = SL_ROLLOUT_STEP_PAUSE, .duration = -5 }, "steps[0].pause.duration" },
		{ { .kind = SL_ROLLOUT_STEP_SET_CANARY_SCALE,
		          .scale = SL_ROLLOUT_SCALE_WEIGHT,
		          .scale_value = 101 },
		        "setCanaryScale.weight" },
		{ { .kind = SL_ROLLOUT_STEP_SET_CANARY_SCALE,
		          .scale = SL_ROLLOUT_SCALE_REPLICAS,
		          .scale_value = -1 },
		        "setCanaryScale" },
		{ { .kind = SL_ROLLOUT_STEP_UNSUPPORTED }, "not honoured" },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		start(three_steps, 4);
		ship("v2");
		world_steps(&w, "bad", &cases[i].step, 1);
		ship("v3");
		assert_int_equal(w.status.phase, SL_ROLLOUT_DEGRADED);
		assert_non_null(strstr(w.status.message, cases[i].text));
		assert_true(w.status.conditions[SL_ROLLOUT_COND_INVALID_SPEC].present);
		assert_int_equal(w.status.weight_canary, 20);
		assert_int_equal(desired("v3"), -1);
		kill_pods("v2"); /* safety goes on */
		world_settle(&w);
		assert_int_equal(w.status.weight_canary, 0);
		world_steps(&w, "good", three_steps, 4);
		world_run(&w, SL_SEC(30));
		assert_false(w.status.conditions[SL_ROLLOUT_COND_INVALID_SPEC].present);
		assert_string_equal(w.status.canary_hash, "v3");
		assert_int_equal(w.status.weight_canary, 20);
	}
	start(NULL, 0);
	w.spec.replicas = -1;
	world_settle(&w);
	assert_non_null(strstr(w.status.message, "spec.replicas: -1 is not allowed"));
}

static void basic_canary_counts_are_argos(void **state)
{
	static const struct {
		int32_t replicas, surge, unavailable;
		uint32_t weight;
		int32_t canary, stable;
	} cases[] = {
		{ 10, 1, 1, 10, 1, 9 },
		{ 10, 3, 0, 30, 3, 7 },
		{ 10, 1, 1, 5, 1, 10 },
		{ 1, 1, 0, 5, 1, 1 },
		{ 1, 1, 0, 95, 1, 1 },
		{ 10, 0, 5, 30, 3, 7 },
		{ 4, 1, 1, 50, 2, 2 },
		{ 4, 1, 1, 99, 4, 1 },
		{ 5, 1, 0, 20, 1, 4 },
		{ 0, 1, 1, 50, 0, 0 },
		{ 2, 0, 1, 50, 1, 1 },
		{ 4, 1, 1, 100, 4, 0 },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		struct sl_rollout_step steps[] = {
			{ .kind = SL_ROLLOUT_STEP_SET_WEIGHT, .weight = cases[i].weight },
			{ .kind = SL_ROLLOUT_STEP_PAUSE, .duration = SL_ROLLOUT_FOREVER },
		};

		start(steps, 2);
		w.spec.traffic_routed = false;
		w.spec.replicas = cases[i].replicas;
		w.spec.max_surge = (sl_rollout_share) { cases[i].surge, false };
		w.spec.max_unavailable = (sl_rollout_share) { cases[i].unavailable, false };
		world_run(&w, SL_SEC(1));
		ship("v2");
		world_run(&w, SL_SEC(5));
		assert_int_equal(w.status.step_index, 1);
		assert_int_equal(desired("v2"), cases[i].canary);
		assert_int_equal(desired("v1"), cases[i].stable);
		assert_int_equal(w.status.weight_canary, cases[i].replicas ? cases[i].weight : 0);
	}
}

static void a_rolling_update_has_no_steps(void **state)
{
	(void)state;
	start(NULL, 0);
	assert_false(w.status.has_step_index);
	w.spec.traffic_routed = false;
	w.pod_start = SL_SEC(2);
	w.ack_delay = SL_MSEC(400);
	w.requests_a_tick = 3;
	ship("v2");
	world_run(&w, SL_SEC(60));
	assert_string_equal(w.status.stable_hash, "v2");
	assert_int_equal(w.status.phase, SL_ROLLOUT_HEALTHY);
	assert_int_equal(desired("v1"), 0);
	assert_int_equal(w.lost, 0);
}

static void nothing_to_run_promotes_at_once(void **state)
{
	(void)state;
	start(three_steps, 4);
	w.spec.replicas = 0;
	ship("v2");
	promote();
	world_run(&w, SL_SEC(11));
	assert_string_equal(w.status.stable_hash, "v2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(first_deploy_skips_steps, teardown),
		cmocka_unit_test(steps_are_walked_and_the_canary_promoted),
		cmocka_unit_test(old_pods_stay_until_delay_acks_and_requests_are_over),
		cmocka_unit_test(a_new_template_restarts_against_the_old_stable),
		cmocka_unit_test(reapplying_stable_rolls_back_at_once),
		cmocka_unit_test(changed_steps_begin_anew),
		cmocka_unit_test(abort_keeps_the_spec_and_degrades_until_retry),
		cmocka_unit_test(abort_may_keep_the_canary),
		cmocka_unit_test(full_promotion_skips_everything),
		cmocka_unit_test(a_user_may_skip_steps_and_write_nonsense),
		cmocka_unit_test(verdicts_roll_back_with_their_evidence),
		cmocka_unit_test(a_held_rollout_sends_a_new_template_nothing),
		cmocka_unit_test(evidence_counts_while_a_user_holds_the_rollout),
		cmocka_unit_test(the_log_replays_the_story),
		cmocka_unit_test(analysis_results_decide_steps),
		cmocka_unit_test(after_an_inconclusive_run_the_user_decides),
		cmocka_unit_test(background_analysis_runs_from_its_step_to_the_last),
		cmocka_unit_test(the_judge_step_takes_proof_or_time),
		cmocka_unit_test(a_stuck_canary_meets_its_deadline),
		cmocka_unit_test(lost_pods_do_not_time_out_a_finished_release),
		cmocka_unit_test(weight_follows_ready_pods),
		cmocka_unit_test(weights_wait_for_pods),
		cmocka_unit_test(canary_scale_and_routes_follow_the_steps),
		cmocka_unit_test(dynamic_stable_scale_moves_pods_with_weight),
		cmocka_unit_test(invalid_specs_move_nothing),
		cmocka_unit_test(basic_canary_counts_are_argos),
		cmocka_unit_test(a_rolling_update_has_no_steps),
		cmocka_unit_test_teardown(nothing_to_run_promotes_at_once, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
