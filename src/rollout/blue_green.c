#include "rollout/engine_priv.h"

static bool active_is(const struct sl_rollout_ctx *ctx, const char *hash)
{
	return strcmp(ctx->next->active_hash, hash) == 0;
}

static void switch_active(struct sl_rollout_ctx *ctx, const char *hash, const char *why)
{
	sl_rollout_event_add(ctx, false, "SwitchService", "Switched active ReplicaSet from %s to %s",
	        ctx->next->active_hash, hash);
	sl_rollout_text_set(ctx->next->active_hash, sizeof(ctx->next->active_hash), sl_str_c(hash));
	ctx->moved = true;
	sl_rollout_log_add(ctx, "weight", "all requests to %s: %s", hash, why);
}

/* Back to stable: when it has the pods for everything, or at once when the active version has none left. */
static void return_to_stable(struct sl_rollout_ctx *ctx)
{
	const struct sl_rollout_rs *active = sl_rollout_find(ctx, ctx->next->active_hash);
	int32_t have = sl_rollout_available(ctx->stable);

	if (active_is(ctx, ctx->next->stable_hash) || !sl_rollout_ready(ctx->stable))
		return;
	if (have + sl_rollout_slack(ctx) >= ctx->spec->replicas || !sl_rollout_ready(active))
		switch_active(ctx, ctx->next->stable_hash,
		        ctx->next->abort ? "the update was aborted" : "the template is stable's again");
}

/* SUCCESSFUL: go on. Otherwise the caller waits; a failure has aborted, an inconclusive run has paused. */
static bool analysis_passed(
        struct sl_rollout_ctx *ctx, const struct sl_rollout_analysis *run, bool *want, const char *which)
{
	bool current = run->attempt == ctx->next->analysis_attempt;

	if (current && run->phase == SL_ROLLOUT_ANALYSIS_INCONCLUSIVE && ctx->next->controller_pause &&
	        !ctx->next->pause_count) {
		ctx->next->controller_pause = false; /* the user goes on: the analysis begins anew */
		ctx->next->analysis_attempt++;
		current = false;
	}
	*want = true;
	if (!current)
		return false;
	if (run->phase == SL_ROLLOUT_ANALYSIS_FAILED ||
	        (run->phase == SL_ROLLOUT_ANALYSIS_ERROR && ctx->spec->analysis_error_aborts))
		sl_rollout_abort_with(
		        ctx, "%s-promotion analysis failed: %.*s", which, SL_STR_ARG(run->text));
	else if (run->phase == SL_ROLLOUT_ANALYSIS_INCONCLUSIVE)
		sl_rollout_pause_add(ctx, SL_ROLLOUT_PAUSE_INCONCLUSIVE);
	return run->phase == SL_ROLLOUT_ANALYSIS_SUCCESSFUL;
}

/* autoPromotionEnabled: false waits for the user, autoPromotionSeconds for the clock (or the user). */
static bool promotion_allowed(struct sl_rollout_ctx *ctx)
{
	const struct sl_rollout_pause *pause = sl_rollout_paused_for(ctx, SL_ROLLOUT_PAUSE_BLUE_GREEN);
	const struct sl_rollout_spec *spec = ctx->spec;

	if (spec->auto_promotion && spec->auto_promotion_after <= 0)
		return true;
	if (!pause && ctx->next->controller_pause)
		return true;
	if (!pause) {
		sl_rollout_pause_add(ctx, SL_ROLLOUT_PAUSE_BLUE_GREEN);
		pause = sl_rollout_paused_for(ctx, SL_ROLLOUT_PAUSE_BLUE_GREEN);
	}
	if (!pause || !spec->auto_promotion)
		return false;
	if (ctx->now - pause->since >= spec->auto_promotion_after)
		return true;
	sl_rollout_again(ctx, pause->since + spec->auto_promotion_after);
	return false;
}

static void before_switch(struct sl_rollout_ctx *ctx)
{
	const struct sl_rollout_spec *spec = ctx->spec;
	bool previewing = spec->preview_replicas >= 0 && !ctx->next->preview_checkpoint;
	int32_t need = previewing && !ctx->next->promote_full ? spec->preview_replicas : spec->replicas;

	if (sl_rollout_available(ctx->fresh) < need)
		return;
	if (!ctx->next->promote_full && !ctx->next->preview_checkpoint) {
		if (spec->pre_promotion_analysis &&
		        !analysis_passed(ctx, &ctx->seen->pre_analysis, &ctx->plan->want_pre_analysis, "pre"))
			return;
		if (!promotion_allowed(ctx))
			return;
	}
	sl_rollout_pause_remove(ctx, SL_ROLLOUT_PAUSE_BLUE_GREEN);
	ctx->next->controller_pause = ctx->next->pause_count > 0;
	if (spec->preview_replicas >= 0 && !ctx->next->preview_checkpoint) {
		ctx->next->preview_checkpoint = true; /* from here on the whole number of pods is wanted */
		ctx->moved = true;
	}
	if (sl_rollout_available(ctx->fresh) >= spec->replicas)
		switch_active(ctx, ctx->next->pod_hash, "the new version has all its pods");
}

static void after_switch(struct sl_rollout_ctx *ctx)
{
	if (!sl_rollout_ready(ctx->fresh) && sl_rollout_ready(ctx->stable)) {
		sl_rollout_abort_with(ctx, "the new version has no ready pod left");
		return_to_stable(ctx);
		return;
	}
	if (ctx->spec->post_promotion_analysis && !ctx->next->promote_full &&
	        !analysis_passed(ctx, &ctx->seen->post_analysis, &ctx->plan->want_post_analysis, "post")) {
		if (ctx->next->abort)
			return_to_stable(ctx);
		return;
	}
	if (sl_rollout_settled(ctx))
		sl_rollout_promote_to_stable(ctx,
		        ctx->next->promote_full ? "Full promotion requested" : "Completed blue-green update");
}

static void set_destination(struct sl_rollout_ctx *ctx)
{
	const struct sl_rollout_rs *active = sl_rollout_find(ctx, ctx->next->active_hash);
	struct sl_rollout_destination *to = sl_arena_zalloc(ctx->arena, sizeof(*to));

	if (active)
		*to = (struct sl_rollout_destination) { active->hash, ctx->next->weight_stable };
	ctx->plan->destinations = to;
	ctx->plan->destination_count = active != NULL;
}

void sl_rollout_blue_green(struct sl_rollout_ctx *ctx)
{
	struct sl_rollout_status *next = ctx->next;

	if (!ctx->invalid[0] && !next->active_hash[0])
		memcpy(next->active_hash, next->stable_hash, sizeof(next->active_hash));
	if (!ctx->invalid[0])
		sl_rollout_text_set(next->preview_hash, sizeof(next->preview_hash),
		        ctx->spec->preview_service ? ctx->spec->pod_hash : SL_STR_NONE);
	if (!sl_rollout_updating(ctx) || next->abort)
		return_to_stable(ctx);
	else if (sl_rollout_running(ctx) && active_is(ctx, next->pod_hash))
		after_switch(ctx);
	else if (sl_rollout_running(ctx) && !sl_rollout_paused_for(ctx, SL_ROLLOUT_PAUSE_INCONCLUSIVE))
		before_switch(ctx);
	memset(next->canary_hash, 0, sizeof(next->canary_hash));
	next->weight_canary = 0;
	if (!ctx->invalid[0])
		next->weight_stable = ctx->spec->max_weight;
	next->weights_verified = sl_rollout_settled(ctx);
	set_destination(ctx);
}
