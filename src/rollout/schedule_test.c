/*
 * Releases by the hundred on random clusters: slow pods, late proxies, controllers that die between persisting and acting, users who change
 * their minds, pods that crash. world_priv.h checks the safety rules after every decision; here stands what must come of it all.
 */
#include "rollout/world_priv.h"

static struct world w;

static uint64_t draw(uint64_t below)
{
	return sl_rng_u64(&w.rng) % below;
}

static void random_steps(void)
{
	struct sl_rollout_step steps[WORLD_STEPS];
	size_t n = 0, rounds = 1 + draw(4);
	uint32_t weight = 0;
	char hash[16];

	for (size_t i = 0; i < rounds; i++) {
		weight += 1 + (uint32_t)draw(99 - weight > 40 ? 40 : 99 - weight);
		steps[n++] =
		        (struct sl_rollout_step) { .kind = SL_ROLLOUT_STEP_SET_WEIGHT, .weight = weight };
		steps[n++] = (struct sl_rollout_step) { .kind = SL_ROLLOUT_STEP_PAUSE,
			.duration = SL_SEC(1 + draw(20)) };
		if (weight > 90)
			break;
	}
	/* Long enough at weight for a bad canary to show itself. */
	steps[n++] = (struct sl_rollout_step) { .kind = SL_ROLLOUT_STEP_PAUSE, .duration = SL_SEC(90) };
	snprintf(hash, sizeof(hash), "s%llu", (unsigned long long)draw(1000000));
	world_steps(&w, hash, steps, n);
}

static void random_cluster(uint64_t seed)
{
	world_fini(&w);
	world_init(&w, seed);
	random_steps();
	w.pod_start = SL_MSEC(draw(4000));
	w.ack_delay = 1 + SL_MSEC(draw(2000));
	w.request_time = SL_MSEC(50 + draw(3000));
	w.requests_a_tick = 5;
	w.drop_plans_percent = (int)draw(3) * 10;
	w.spec.replicas = (int32_t)(1 + draw(10));
	w.spec.traffic_routed = draw(2);
	w.spec.dynamic_stable_scale = draw(3) == 0;
	w.spec.max_surge = (sl_rollout_share) { (int32_t)draw(4), false };
	w.spec.max_unavailable = (sl_rollout_share) { (int32_t)draw(3), false };
	w.spec.scale_down_delay = SL_SEC(draw(10));
	w.spec.abort_scale_down_delay = SL_SEC(draw(10));
}

static void release(const char *hash, double failure_rate)
{
	world_set_add(&w, hash)->failure_rate = failure_rate;
	world_template(&w, hash);
	w.turns = 0;
	w.direction = 0;
}

/* Until the release has ended one way or the other, or five virtual minutes beyond its pauses are gone. */
static void run_release(void)
{
	for (int i = 0; i < 6000; i++) {
		world_tick(&w);
		if (w.status.abort && !w.status.weight_canary)
			break;
		if (strcmp(w.status.stable_hash, w.pod_hash) == 0 &&
		        w.status.conditions[SL_ROLLOUT_COND_HEALTHY].status &&
		        strcmp(w.status.pod_hash, w.pod_hash) == 0)
			break;
	}
}

static void good_is_promoted_and_bad_taken_back_without_a_lost_request(void **state)
{
	enum { SEEDS = 60 };
	uint32_t false_rollbacks = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		random_cluster(seed);
		release("v1", 0.005);
		run_release();
		w.lost = 0; /* before the first pod is ready there is nowhere to send to */
		release("v2", 0.005);
		run_release();
		false_rollbacks += w.status.abort;
		assert_true(w.turns <= (w.status.abort ? 1 : 0));
		assert_true(w.status.abort || strcmp(w.status.stable_hash, "v2") == 0);
		release("v3", 0.4);
		run_release();
		assert_true(w.status.abort);
		assert_int_equal(w.status.phase, SL_ROLLOUT_DEGRADED);
		assert_string_not_equal(w.status.stable_hash, "v3");
		assert_int_equal(w.status.weight_canary, 0);
		assert_true(w.turns <= 1); /* up, then down; never up again */
		assert_non_null(strstr(w.status.message, "worse than stable: failures: e-value"));
		world_run(&w, SL_SEC(60));
		assert_true(w.status.abort && !w.status.weight_canary && w.turns <= 1);
		assert_int_equal(world_pods(world_find(&w, "v3")), 0);
		assert_int_equal(world_ready(&w, world_find(&w, w.status.stable_hash)), w.spec.replicas);
		assert_int_equal(w.lost, 0);
	}
	assert_true(false_rollbacks <= 2); /* 1 % is promised */
}

static void crash_something(void)
{
	struct world_set *s = &w.sets[draw(w.set_count)];
	bool all = draw(2);

	for (size_t i = 0; i < WORLD_PODS; i++)
		if (s->ready_at[i] && (all || draw(3) == 0))
			s->ready_at[i] = w.now + SL_MSEC(draw(8000));
}

/* What people and their tools do to a Rollout, at any moment. */
static void interfere(uint64_t what)
{
	char hash[16];

	snprintf(hash, sizeof(hash), "r%llu", (unsigned long long)draw(8));
	switch (what) {
	case 0:
		world_set_add(&w, hash)->failure_rate = draw(3) ? 0.005 : 0.4;
		world_template(&w, hash);
		break;
	case 1:
		w.status.abort = true;
		break;
	case 2:
		w.status.abort = false;
		break;
	case 3:
		w.status.pause_count = 0;
		memset(w.status.pauses, 0, sizeof(w.status.pauses));
		break;
	case 4:
		w.status.promote_full = true;
		break;
	case 5:
		w.spec.paused = !w.spec.paused;
		break;
	case 6:
		random_steps();
		break;
	case 7:
		w.spec.replicas = (int32_t)(1 + draw(10));
		break;
	case 8:
		w.status.step_index = (int32_t)draw(12) - 2;
		break;
	default:
		crash_something();
		break;
	}
}

static void nothing_people_do_breaks_the_rules(void **state)
{
	enum { SEEDS = 60 };

	(void)state;
	for (uint64_t seed = 1000; seed < 1000 + SEEDS; seed++) {
		random_cluster(seed);
		release("v1", 0.005);
		world_run(&w, SL_SEC(10));
		for (int i = 0; i < 1500; i++) {
			if (draw(40) == 0)
				interfere(draw(12));
			world_tick(&w);
		}
		/* When everyone has calmed down, a good release gets through. */
		w.spec.paused = false;
		w.drop_plans_percent = 0;
		release("last", 0);
		w.spec.judge_off =
		        true; /* its stable may be a bad one that was forced through; the judge is not what this asks about */
		run_release();
		world_run(&w, SL_SEC(60));
		assert_string_equal(w.status.stable_hash, "last");
		assert_int_equal(w.status.phase, SL_ROLLOUT_HEALTHY);
		for (size_t i = 0; i < w.set_count; i++)
			assert_int_equal(world_pods(&w.sets[i]),
			        strcmp(w.sets[i].hash, "last") == 0 ? w.spec.replicas : 0);
	}
}

static void dead_traffic_is_no_verdict(void **state)
{
	(void)state;
	random_cluster(5);
	w.requests_a_tick = 0;
	release("v1", 0);
	world_run(&w, SL_SEC(30));
	release("v2", 1.0);
	run_release();
	assert_false(w.status.abort);
	assert_string_equal(w.status.stable_hash, "v2"); /* time decided, as the steps say */
}

/* ---- blue-green ---- */

static void blue_green(bool auto_promotion)
{
	world_fini(&w);
	world_init(&w, 1);
	w.spec.strategy = SL_ROLLOUT_BLUE_GREEN;
	w.spec.preview_service = true;
	w.spec.auto_promotion = auto_promotion;
	world_template(&w, "v1");
	world_settle(&w);
	assert_string_equal(w.status.active_hash, "v1");
	assert_int_equal(w.status.phase, SL_ROLLOUT_HEALTHY);
}

static void resume(void)
{
	w.status.pause_count = 0;
	memset(w.status.pauses, 0, sizeof(w.status.pauses));
	world_settle(&w);
}

static void blue_green_switches_at_once_when_all_pods_are_ready(void **state)
{
	(void)state;
	blue_green(true);
	w.pod_start = SL_SEC(5);
	w.ack_delay = SL_SEC(2);
	w.requests_a_tick = 3;
	world_template(&w, "v2");
	world_run(&w, SL_SEC(4));
	assert_string_equal(w.status.active_hash, "v1");
	assert_string_equal(w.status.preview_hash, "v2");
	assert_string_equal(w.status.message, "active service cutover pending");
	world_run(&w, SL_SEC(4));
	assert_string_equal(w.status.active_hash, "v2");
	assert_string_equal(w.status.stable_hash, "v2");
	assert_int_equal(w.status.phase, SL_ROLLOUT_HEALTHY);
	assert_int_equal(
	        world_pods(world_find(&w, "v1")), 4); /* the way back stays for scaleDownDelaySeconds */
	world_run(&w, SL_SEC(35));
	assert_int_equal(world_pods(world_find(&w, "v1")), 0);
	assert_int_equal(w.lost, 0);
}

static void blue_green_waits_for_people_and_clocks(void **state)
{
	(void)state;
	blue_green(false);
	world_template(&w, "v2");
	world_run(&w, SL_SEC(3600));
	assert_string_equal(w.status.active_hash, "v1");
	assert_string_equal(w.status.message, "BlueGreenPause");
	resume();
	assert_string_equal(w.status.stable_hash, "v2");
	blue_green(true);
	w.spec.auto_promotion_after = SL_SEC(20);
	world_template(&w, "v2");
	world_run(&w, SL_SEC(19));
	assert_string_equal(w.status.active_hash, "v1");
	world_run(&w, SL_SEC(2));
	assert_string_equal(w.status.stable_hash, "v2");
	blue_green(false);
	world_template(&w, "v2");
	world_settle(&w);
	w.status.promote_full = true;
	world_settle(&w);
	assert_string_equal(w.status.stable_hash, "v2");
}

static void a_small_preview_grows_before_the_switch(void **state)
{
	(void)state;
	blue_green(false);
	w.spec.preview_replicas = 1;
	world_template(&w, "v2");
	world_settle(&w);
	assert_int_equal(world_pods(world_find(&w, "v2")), 1);
	w.pod_start = SL_SEC(5);
	resume();
	assert_true(w.status.preview_checkpoint);
	assert_string_equal(w.status.active_hash, "v1");
	assert_int_equal(world_pods(world_find(&w, "v2")), 4);
	world_run(&w, SL_SEC(6));
	assert_string_equal(w.status.stable_hash, "v2");
	assert_false(w.status.preview_checkpoint);
}

static void blue_green_analyses_before_and_after(void **state)
{
	static const struct {
		enum sl_rollout_analysis_phase pre, post;
		const char *active, *stable;
		bool aborts;
	} cases[] = {
		{ SL_ROLLOUT_ANALYSIS_NONE, SL_ROLLOUT_ANALYSIS_NONE, "v1", "v1", false },
		{ SL_ROLLOUT_ANALYSIS_RUNNING, SL_ROLLOUT_ANALYSIS_NONE, "v1", "v1", false },
		{ SL_ROLLOUT_ANALYSIS_FAILED, SL_ROLLOUT_ANALYSIS_NONE, "v1", "v1", true },
		{ SL_ROLLOUT_ANALYSIS_ERROR, SL_ROLLOUT_ANALYSIS_NONE, "v1", "v1", false },
		{ SL_ROLLOUT_ANALYSIS_INCONCLUSIVE, SL_ROLLOUT_ANALYSIS_NONE, "v1", "v1", false },
		{ SL_ROLLOUT_ANALYSIS_SUCCESSFUL, SL_ROLLOUT_ANALYSIS_RUNNING, "v2", "v1", false },
		{ SL_ROLLOUT_ANALYSIS_SUCCESSFUL, SL_ROLLOUT_ANALYSIS_FAILED, "v1", "v1",
		        true }, /* and back */
		{ SL_ROLLOUT_ANALYSIS_SUCCESSFUL, SL_ROLLOUT_ANALYSIS_SUCCESSFUL, "v2", "v2", false },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		blue_green(true);
		w.spec.pre_promotion_analysis = w.spec.post_promotion_analysis = true;
		world_template(&w, "v2");
		world_settle(&w);
		assert_true(w.plan.want_pre_analysis);
		w.extra.pre_analysis = (struct sl_rollout_analysis) { .phase = cases[i].pre,
			.attempt = w.status.analysis_attempt };
		w.extra.post_analysis = (struct sl_rollout_analysis) { .phase = cases[i].post,
			.attempt = w.status.analysis_attempt };
		world_settle(&w);
		assert_string_equal(w.status.active_hash, cases[i].active);
		assert_string_equal(w.status.stable_hash, cases[i].stable);
		assert_int_equal(w.status.abort, cases[i].aborts);
	}
}

static void blue_green_abort_keeps_the_active_version(void **state)
{
	(void)state;
	blue_green(false);
	world_template(&w, "v2");
	world_settle(&w);
	w.status.abort = true;
	world_settle(&w);
	assert_string_equal(w.status.active_hash, "v1");
	assert_int_equal(w.status.phase, SL_ROLLOUT_DEGRADED);
	world_run(&w, SL_SEC(31));
	assert_int_equal(world_pods(world_find(&w, "v2")), 0);
	w.status.abort = false;
	world_settle(&w);
	assert_string_equal(w.status.message, "BlueGreenPause");
	assert_int_equal(world_pods(world_find(&w, "v2")), 4);
	world_template(&w, "v1");
	world_run(&w, SL_SEC(31));
	assert_int_equal(w.status.phase, SL_ROLLOUT_HEALTHY);
	assert_int_equal(world_pods(world_find(&w, "v2")), 0);
}

static void a_new_version_that_dies_after_the_switch_is_taken_back(void **state)
{
	struct world_set *s;

	(void)state;
	blue_green(true);
	w.spec.post_promotion_analysis = true;
	world_template(&w, "v2");
	world_settle(&w);
	assert_string_equal(w.status.active_hash, "v2");
	assert_string_equal(w.status.stable_hash, "v1");
	s = world_find(&w, "v2");
	for (size_t i = 0; i < WORLD_PODS; i++)
		if (s->ready_at[i])
			s->ready_at[i] = SL_NSEC_MAX;
	world_settle(&w);
	assert_string_equal(w.status.active_hash, "v1");
	assert_true(w.status.abort);
	assert_non_null(strstr(w.status.message, "no ready pod left"));
}

static int teardown(void **state)
{
	(void)state;
	world_fini(&w);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_is_promoted_and_bad_taken_back_without_a_lost_request),
		cmocka_unit_test(nothing_people_do_breaks_the_rules),
		cmocka_unit_test(dead_traffic_is_no_verdict),
		cmocka_unit_test(blue_green_switches_at_once_when_all_pods_are_ready),
		cmocka_unit_test(blue_green_waits_for_people_and_clocks),
		cmocka_unit_test(a_small_preview_grows_before_the_switch),
		cmocka_unit_test(blue_green_analyses_before_and_after),
		cmocka_unit_test(blue_green_abort_keeps_the_active_version),
		cmocka_unit_test_teardown(a_new_version_that_dies_after_the_switch_is_taken_back, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
