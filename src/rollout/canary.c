#include "rollout/engine_priv.h"

#include <stdio.h>

/* ---- evidence ---- */

static bool of_this_update(const struct sl_rollout_ctx *ctx, const struct sl_rollout_analysis *run)
{
	return run->phase != SL_ROLLOUT_ANALYSIS_NONE && run->attempt == ctx->next->analysis_attempt;
}

/* Failed and, where Argo's way is asked for, Error abort; inconclusive pauses. An error by itself says nothing: the run is held. */
static void weigh_analysis(
        struct sl_rollout_ctx *ctx, const struct sl_rollout_analysis *run, const char *which)
{
	if (!of_this_update(ctx, run))
		return;
	switch (run->phase) {
	case SL_ROLLOUT_ANALYSIS_FAILED:
		sl_rollout_abort_with(ctx, "%s analysis failed: %.*s", which, SL_STR_ARG(run->text));
		break;
	case SL_ROLLOUT_ANALYSIS_ERROR:
		if (ctx->spec->analysis_error_aborts)
			sl_rollout_abort_with(
			        ctx, "%s analysis had errors: %.*s", which, SL_STR_ARG(run->text));
		break;
	case SL_ROLLOUT_ANALYSIS_INCONCLUSIVE:
		sl_rollout_pause_add(ctx, SL_ROLLOUT_PAUSE_INCONCLUSIVE);
		break;
	case SL_ROLLOUT_ANALYSIS_NONE:
	case SL_ROLLOUT_ANALYSIS_RUNNING:
	case SL_ROLLOUT_ANALYSIS_SUCCESSFUL:
		break;
	}
}

static bool step_run_is_current(const struct sl_rollout_ctx *ctx)
{
	const struct sl_rollout_step *step = sl_rollout_current_step(ctx);

	return step && step->kind == SL_ROLLOUT_STEP_ANALYSIS &&
	       of_this_update(ctx, &ctx->seen->step_analysis) &&
	       ctx->seen->step_analysis.step == ctx->next->step_index;
}

static bool background_wanted(const struct sl_rollout_ctx *ctx)
{
	return ctx->spec->background_analysis && sl_rollout_current_step(ctx) &&
	       ctx->next->step_index >= ctx->spec->background_analysis_step;
}

/* The user cleared an inconclusive pause: the analysis begins anew. */
static void notice_resume(struct sl_rollout_ctx *ctx)
{
	bool inconclusive = (step_run_is_current(ctx) &&
	                            ctx->seen->step_analysis.phase == SL_ROLLOUT_ANALYSIS_INCONCLUSIVE) ||
	                    (background_wanted(ctx) && of_this_update(ctx, &ctx->seen->background_analysis) &&
	                            ctx->seen->background_analysis.phase == SL_ROLLOUT_ANALYSIS_INCONCLUSIVE);

	if (!inconclusive || !ctx->next->controller_pause || ctx->next->pause_count)
		return;
	ctx->next->controller_pause = false;
	ctx->next->analysis_attempt++;
	sl_rollout_log_add(ctx, "resume", "after an inconclusive analysis; it begins anew");
}

static void weigh_verdict(struct sl_rollout_ctx *ctx)
{
	const struct sl_rollout_seen *seen = ctx->seen;

	if (ctx->spec->judge_off)
		return;
	if (seen->guard.tripped && seen->guard.attempt == ctx->next->attempt)
		sl_rollout_abort_with(ctx, "a proxy's guard tripped: %.*s", SL_STR_ARG(seen->guard.text));
	if (seen->judge.verdict == SL_ROLLOUT_WORSE && seen->judge.attempt == ctx->next->attempt)
		sl_rollout_abort_with(
		        ctx, "the canary is worse than stable: %.*s", SL_STR_ARG(seen->judge.text));
}

/* Evidence counts also while a user holds the rollout: a pause is no reason to keep failing requests. */
void sl_rollout_canary_judge(struct sl_rollout_ctx *ctx)
{
	if (!sl_rollout_updating(ctx) || ctx->next->abort)
		return;
	weigh_verdict(ctx);
	if (ctx->next->abort)
		return;
	notice_resume(ctx);
	if (step_run_is_current(ctx))
		weigh_analysis(ctx, &ctx->seen->step_analysis, "step");
	if (!ctx->next->abort && background_wanted(ctx))
		weigh_analysis(ctx, &ctx->seen->background_analysis, "background");
}

/* ---- steps ---- */

/* While a user holds the rollout, the canary gets no more than it has. */
static uint32_t unless_held(const struct sl_rollout_ctx *ctx, uint32_t weight)
{
	const struct sl_rollout_status *was = ctx->was;
	uint32_t has = sl_str_eq_c(ctx->spec->pod_hash, was->canary_hash) ? was->weight_canary : 0;

	return ctx->spec->paused && weight > has ? has : weight;
}

uint32_t sl_rollout_step_weight(const struct sl_rollout_ctx *ctx, int32_t index)
{
	if (ctx->next->abort || !sl_rollout_updating(ctx))
		return 0;
	if ((size_t)index >= ctx->spec->step_count)
		return unless_held(ctx, ctx->spec->max_weight);
	for (int32_t i = index; i >= 0; i--)
		if (ctx->spec->steps[i].kind == SL_ROLLOUT_STEP_SET_WEIGHT)
			return unless_held(ctx, ctx->spec->steps[i].weight);
	return 0;
}

/* The weight asked for is in force everywhere and the pods for it are there. */
static bool weight_reached(const struct sl_rollout_ctx *ctx, uint32_t weight)
{
	const struct sl_rollout_status *was = ctx->was;

	if (!ctx->spec->replicas)
		return true;
	return was->weight_canary == weight &&
	       (weight == 0 || sl_str_eq_c(ctx->spec->pod_hash, was->canary_hash)) &&
	       ctx->seen->weights_acked &&
	       sl_rollout_available(ctx->fresh) >= sl_rollout_canary_pods(ctx, ctx->next->step_index);
}

static bool pause_done(struct sl_rollout_ctx *ctx, const struct sl_rollout_step *step)
{
	const struct sl_rollout_pause *pause = sl_rollout_paused_for(ctx, SL_ROLLOUT_PAUSE_CANARY_STEP);

	if (!pause && ctx->next->controller_pause) /* the user took our pause away: go on */
		return true;
	if (!pause) {
		sl_rollout_pause_add(ctx, SL_ROLLOUT_PAUSE_CANARY_STEP);
		pause = sl_rollout_paused_for(ctx, SL_ROLLOUT_PAUSE_CANARY_STEP);
	}
	if (!pause || step->duration == SL_ROLLOUT_FOREVER)
		return false;
	if (ctx->now - pause->since >= step->duration)
		return true;
	sl_rollout_again(ctx, pause->since + step->duration);
	return false;
}

/* Proof that the canary is not worse ends the step early; without it time decides, and the log says so. */
static bool judge_done(struct sl_rollout_ctx *ctx, const struct sl_rollout_step *step)
{
	bool proven = ctx->seen->judge.verdict == SL_ROLLOUT_NOT_WORSE &&
	              ctx->seen->judge.attempt == ctx->next->attempt;

	if (proven) {
		sl_rollout_log_add(ctx, "hold", "proven not worse: %.*s", SL_STR_ARG(ctx->seen->judge.text));
		return true;
	}
	if (step->duration == SL_ROLLOUT_FOREVER)
		return false;
	if (ctx->now - ctx->next->step_since >= step->duration) {
		sl_rollout_log_add(ctx, "hold", "no proof either way in the time given; time decides: %.*s",
		        SL_STR_ARG(ctx->seen->judge.text));
		return true;
	}
	sl_rollout_again(ctx, ctx->next->step_since + step->duration);
	return false;
}

static bool step_done(struct sl_rollout_ctx *ctx, const struct sl_rollout_step *step)
{
	switch (step->kind) {
	case SL_ROLLOUT_STEP_SET_WEIGHT:
		return weight_reached(ctx, step->weight);
	case SL_ROLLOUT_STEP_PAUSE:
		return pause_done(ctx, step);
	case SL_ROLLOUT_STEP_SET_CANARY_SCALE:
		return sl_rollout_available(ctx->fresh) >= sl_rollout_canary_pods(ctx, ctx->next->step_index);
	case SL_ROLLOUT_STEP_ANALYSIS:
		return step_run_is_current(ctx) &&
		       ctx->seen->step_analysis.phase == SL_ROLLOUT_ANALYSIS_SUCCESSFUL;
	case SL_ROLLOUT_STEP_JUDGE:
		return judge_done(ctx, step);
	case SL_ROLLOUT_STEP_SET_HEADER_ROUTE:
	case SL_ROLLOUT_STEP_SET_MIRROR_ROUTE:
		return true;
	case SL_ROLLOUT_STEP_UNSUPPORTED: /* the spec is invalid then; we do not get here */
		return false;
	}
	return false;
}

void sl_rollout_canary_advance(struct sl_rollout_ctx *ctx)
{
	const struct sl_rollout_step *step = sl_rollout_current_step(ctx);

	if (!sl_rollout_running(ctx) || !step || sl_rollout_paused_for(ctx, SL_ROLLOUT_PAUSE_INCONCLUSIVE))
		return;
	/* The steps begin once the new pods have a ReplicaSet and what served before them has let go of its share. */
	if (!ctx->fresh && ctx->spec->replicas)
		return;
	if (!step_done(ctx, step))
		return;
	ctx->next->step_index++;
	ctx->next->step_since = ctx->now;
	sl_rollout_pause_remove(ctx, SL_ROLLOUT_PAUSE_CANARY_STEP);
	ctx->next->controller_pause = ctx->next->pause_count > 0;
	ctx->moved = true;
	sl_rollout_event_add(ctx, false, "RolloutStepCompleted", "Rollout step %d/%zu completed (%.*s)",
	        (int)ctx->next->step_index, ctx->spec->step_count,
	        SL_STR_ARG(sl_rollout_step_text(ctx->arena, step)));
	sl_rollout_log_add(ctx, "step", "completed %.*s", SL_STR_ARG(sl_rollout_step_text(ctx->arena, step)));
}

void sl_rollout_canary_promote(struct sl_rollout_ctx *ctx)
{
	bool all_done = !sl_rollout_current_step(ctx);
	char why[64];

	if (!sl_rollout_running(ctx) || !all_done || sl_rollout_available(ctx->fresh) < ctx->spec->replicas ||
	        !weight_reached(ctx, ctx->spec->max_weight))
		return;
	snprintf(why, sizeof(why), "Completed all %zu canary steps", ctx->spec->step_count);
	sl_rollout_promote_to_stable(ctx, ctx->next->promote_full ? "Full promotion requested" : why);
}

/* ---- weights ---- */

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* `pods` of `of`, as a weight out of `whole`; at most `whole`. */
static uint32_t in_proportion(uint32_t whole, int32_t pods, int32_t of)
{
	if (of <= 0 || pods >= of)
		return whole;
	return pods <= 0 ? 0 : (uint32_t)((uint64_t)whole * (uint32_t)pods / (uint32_t)of);
}

/*
 * Basic canary on its way up: stable gives up its pods meanwhile, so every pod of both gets the same until the step's pods are there. The
 * last stable pods can only go once nothing is sent to them: within maxUnavailable the canary takes it all.
 */
static uint32_t share_by_pods(const struct sl_rollout_ctx *ctx, uint32_t goal, int32_t have, int32_t need)
{
	int32_t rest = sl_rollout_available(ctx->stable), slack = sl_rollout_max_unavailable(ctx->spec);
	uint32_t whole = ctx->spec->max_weight, current = ctx->was->weight_canary, fair;

	if (rest <= slack && have + slack >= need)
		return goal;
	fair = least(goal, in_proportion(whole, have, have + rest));
	/* Stable pods that come back are no reason to step down. */
	return fair < current &&
	                       current <= least(goal, in_proportion(whole, have + slack, ctx->spec->replicas))
	               ? current
	               : fair;
}

/*
 * The canary's share on its way up. Pods first: until the step's pods are there the weight stays what the last step gave it, less where pods
 * of that are missing.
 */
static uint32_t share_by_capacity(const struct sl_rollout_ctx *ctx, uint32_t goal)
{
	int32_t index = ctx->next->step_index, have = sl_rollout_available(ctx->fresh),
	        need = sl_rollout_canary_pods(ctx, index);
	uint32_t share = in_proportion(goal, have, need), last;

	if (have >= need && have > 0)
		return goal;
	if (ctx->spec->dynamic_stable_scale && ctx->spec->traffic_routed && ctx->next->promote_full)
		return share;
	if (index > 0) {
		last = in_proportion(
		        sl_rollout_step_weight(ctx, index - 1), have, sl_rollout_canary_pods(ctx, index - 1));
		share = share > last ? share : last;
	}
	share = least(share, ctx->was->weight_canary);
	if (!ctx->spec->traffic_routed && have > 0) {
		uint32_t by_pods = share_by_pods(ctx, goal, have, need);

		share = share > by_pods ? share : by_pods;
	}
	return share;
}

/*
 * The least that must stay on `canary` because stable has no pods for it yet. Stable is kept whole in a routed canary, so there a
 * missing pod or two is no reason to keep requests on a version that is being taken back.
 */
static uint32_t stable_cannot_take(const struct sl_rollout_ctx *ctx, uint32_t current)
{
	const struct sl_rollout_spec *spec = ctx->spec;
	uint32_t room = in_proportion(
	        spec->max_weight, sl_rollout_available(ctx->stable) + sl_rollout_slack(ctx), spec->replicas);

	return least(current, spec->max_weight - room);
}

/* All the weight there is; under an invalid spec what was in force, whatever it says now. */
static uint32_t whole_weight(const struct sl_rollout_ctx *ctx)
{
	return ctx->invalid[0] ? ctx->was->weight_canary + ctx->was->weight_stable : ctx->spec->max_weight;
}

static uint32_t canary_share(const struct sl_rollout_ctx *ctx, const struct sl_rollout_rs *canary)
{
	const struct sl_rollout_status *next = ctx->next;
	uint32_t current = ctx->was->weight_canary, share = 0, keep;
	int32_t canary_ready = sl_rollout_ready(canary), stable_ready = sl_rollout_ready(ctx->stable);
	bool tripped = ctx->seen->guard.tripped && ctx->seen->guard.attempt == next->attempt &&
	               !ctx->spec->judge_off;

	if (!canary_ready && !stable_ready)
		return current; /* nothing can serve; whatever returns first is seen at the next call */
	if (!canary_ready)
		return 0;
	if (!stable_ready)
		return whole_weight(ctx);
	if (tripped)
		return 0; /* the proxies do it already */
	if (ctx->invalid[0])
		return current; /* what serves goes on serving; steps that cannot be read move nothing */
	if (sl_rollout_updating(ctx) && !next->abort && strcmp(next->pod_hash, next->canary_hash) == 0)
		share = share_by_capacity(ctx, sl_rollout_step_weight(ctx, ctx->next->step_index));
	if (share >= current)
		return share;
	keep = stable_cannot_take(ctx, current);
	return share > keep ? share : keep;
}

static void set_destinations(struct sl_rollout_ctx *ctx, const struct sl_rollout_rs *canary)
{
	struct sl_rollout_destination *to = sl_arena_zalloc_array(ctx->arena, 2, sizeof(*to));
	size_t n = 0;

	if (ctx->stable && ctx->next->weight_stable)
		to[n++] = (struct sl_rollout_destination) { ctx->stable->hash, ctx->next->weight_stable };
	if (canary && ctx->next->weight_canary)
		to[n++] = (struct sl_rollout_destination) { canary->hash, ctx->next->weight_canary };
	ctx->plan->destinations = to;
	ctx->plan->destination_count = n;
}

static void set_routes(struct sl_rollout_ctx *ctx)
{
	int32_t *routes = sl_arena_zalloc_array(ctx->arena, ctx->spec->step_count + 1, sizeof(*routes));
	size_t n = 0;

	ctx->plan->routes = routes;
	/* Managed routes lead to the canary: without pods there, or once it is promoted or aborted, there are none. */
	if (!sl_rollout_updating(ctx) || ctx->next->abort || ctx->next->promote_full ||
	        !sl_rollout_ready(ctx->fresh) || !sl_rollout_current_step(ctx) || ctx->invalid[0])
		return;
	for (int32_t i = 0; i <= ctx->next->step_index; i++) {
		const struct sl_rollout_step *step = &ctx->spec->steps[i];
		size_t kept = 0;

		if (step->kind != SL_ROLLOUT_STEP_SET_HEADER_ROUTE &&
		        step->kind != SL_ROLLOUT_STEP_SET_MIRROR_ROUTE)
			continue;
		for (size_t k = 0; k < n; k++) /* a later step of that name replaces or removes it */
			if (!sl_str_eq(ctx->spec->steps[routes[k]].route_name, step->route_name))
				routes[kept++] = routes[k];
		n = kept;
		if (!step->route_remove)
			routes[n++] = i;
	}
	ctx->plan->route_count = n;
}

static void note_weight_change(struct sl_rollout_ctx *ctx)
{
	/* A promoted canary hands its share to itself as stable: no request changes its way. */
	if (ctx->next->weight_canary == ctx->was->weight_canary ||
	        strcmp(ctx->was->canary_hash, ctx->next->stable_hash) == 0)
		return;
	sl_rollout_event_add(ctx, false, "TrafficWeightUpdated", "Traffic weight updated from %u to %u",
	        ctx->was->weight_canary, ctx->next->weight_canary);
	sl_rollout_log_add(ctx, "weight", "canary %s: %d of %d pods available; stable %s: %d available",
	        ctx->next->canary_hash,
	        (int)sl_rollout_available(sl_rollout_find(ctx, ctx->next->canary_hash)),
	        (int)sl_rollout_canary_pods(ctx, ctx->next->step_index), ctx->next->stable_hash,
	        (int)sl_rollout_available(ctx->stable));
}

void sl_rollout_canary_weigh(struct sl_rollout_ctx *ctx)
{
	struct sl_rollout_status *next = ctx->next;
	const struct sl_rollout_rs *canary;
	uint32_t weight = 0;

	/* Promoted just now: what was the canary's is stable's; no request changes its way. */
	if (strcmp(next->canary_hash, next->stable_hash) == 0)
		memset(next->canary_hash, 0, sizeof(next->canary_hash));
	/* One canary at a time: the last one keeps its name until its share is gone. */
	else if (sl_rollout_updating(ctx) && (!next->weight_canary || !next->canary_hash[0]))
		memcpy(next->canary_hash, next->pod_hash, sizeof(next->canary_hash));
	else if (!sl_rollout_updating(ctx) && !next->weight_canary)
		memset(next->canary_hash, 0, sizeof(next->canary_hash));
	canary = sl_rollout_find(ctx, next->canary_hash);
	if (next->canary_hash[0])
		weight = canary_share(ctx, canary);
	if (weight != next->weight_canary)
		ctx->moved = true;
	next->weight_canary = weight;
	next->weight_stable = whole_weight(ctx) - weight;
	note_weight_change(ctx);
	next->weights_verified = sl_rollout_settled(ctx);
	set_destinations(ctx, canary);
	set_routes(ctx);
	ctx->plan->want_step_analysis = sl_rollout_running(ctx) && sl_rollout_current_step(ctx) &&
	                                sl_rollout_current_step(ctx)->kind == SL_ROLLOUT_STEP_ANALYSIS;
	ctx->plan->want_background_analysis =
	        sl_rollout_updating(ctx) && !next->abort && !ctx->invalid[0] && background_wanted(ctx);
	ctx->plan->watch = sl_rollout_updating(ctx) && !next->abort && !ctx->spec->judge_off;
}
