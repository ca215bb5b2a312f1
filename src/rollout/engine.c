#include "rollout/engine_priv.h"

#include <stdarg.h>
#include <stdio.h>

void sl_rollout_spec_defaults(struct sl_rollout_spec *spec)
{
	*spec = (struct sl_rollout_spec) {
		.replicas = 1,
		.progress_deadline = SL_SEC(600),
		.max_weight = 100,
		.min_pods_per_replica_set = 1,
		.max_surge = { 25, true },
		.max_unavailable = { 25, true },
		.preview_replicas = -1,
		.auto_promotion = true,
		.scale_down_delay = SL_SEC(30),
		.abort_scale_down_delay = SL_SEC(30),
	};
}

/* ---- situations ---- */

bool sl_rollout_updating(const struct sl_rollout_ctx *ctx)
{
	return strcmp(ctx->next->pod_hash, ctx->next->stable_hash) != 0;
}

bool sl_rollout_running(const struct sl_rollout_ctx *ctx)
{
	return sl_rollout_updating(ctx) && !ctx->invalid[0] && !ctx->next->abort && !ctx->spec->paused;
}

const struct sl_rollout_rs *sl_rollout_find(const struct sl_rollout_ctx *ctx, const char *hash)
{
	for (size_t i = 0; i < ctx->seen->set_count; i++)
		if (hash[0] && sl_str_eq_c(ctx->seen->sets[i].hash, hash))
			return &ctx->seen->sets[i];
	return NULL;
}

const struct sl_rollout_step *sl_rollout_current_step(const struct sl_rollout_ctx *ctx)
{
	if (!ctx->next->has_step_index || (size_t)ctx->next->step_index >= ctx->spec->step_count)
		return NULL;
	return &ctx->spec->steps[ctx->next->step_index];
}

const struct sl_rollout_pause *sl_rollout_paused_for(
        const struct sl_rollout_ctx *ctx, enum sl_rollout_pause_reason reason)
{
	for (size_t i = 0; i < ctx->next->pause_count; i++)
		if (ctx->next->pauses[i].reason == reason)
			return &ctx->next->pauses[i];
	return NULL;
}

int32_t sl_rollout_available(const struct sl_rollout_rs *rs)
{
	return rs ? rs->available : 0;
}

int32_t sl_rollout_ready(const struct sl_rollout_rs *rs)
{
	return rs ? rs->ready : 0;
}

bool sl_rollout_settled(const struct sl_rollout_ctx *ctx)
{
	const struct sl_rollout_status *was = ctx->was, *next = ctx->next;

	return ctx->seen->weights_acked && was->weight_canary == next->weight_canary &&
	       was->weight_stable == next->weight_stable &&
	       strcmp(was->canary_hash, next->canary_hash) == 0 &&
	       strcmp(was->stable_hash, next->stable_hash) == 0 &&
	       strcmp(was->active_hash, next->active_hash) == 0;
}

/* ---- moves ---- */

void sl_rollout_again(struct sl_rollout_ctx *ctx, sl_nsec at)
{
	if (at < ctx->plan->again_at)
		ctx->plan->again_at = at;
}

void sl_rollout_pause_add(struct sl_rollout_ctx *ctx, enum sl_rollout_pause_reason reason)
{
	struct sl_rollout_status *next = ctx->next;

	if (sl_rollout_paused_for(ctx, reason) || next->pause_count == SL_ROLLOUT_PAUSES_MOST)
		return;
	memset(&next->pauses[next->pause_count], 0, sizeof(next->pauses[0]));
	next->pauses[next->pause_count].reason = reason;
	next->pauses[next->pause_count].since = ctx->now;
	next->pause_count++;
	next->controller_pause = true;
	sl_rollout_log_add(ctx, "pause", "%s", sl_rollout_pause_reason_name(reason));
}

void sl_rollout_pause_remove(struct sl_rollout_ctx *ctx, enum sl_rollout_pause_reason reason)
{
	struct sl_rollout_status *next = ctx->next;
	size_t kept = 0;

	for (size_t i = 0; i < next->pause_count; i++)
		if (next->pauses[i].reason != reason)
			next->pauses[kept++] = next->pauses[i];
	memset(&next->pauses[kept], 0, (SL_ROLLOUT_PAUSES_MOST - kept) * sizeof(next->pauses[0]));
	next->pause_count = kept;
	if (!kept)
		next->controller_pause = false;
}

void sl_rollout_pause_clear(struct sl_rollout_ctx *ctx)
{
	memset(ctx->next->pauses, 0, sizeof(ctx->next->pauses));
	ctx->next->pause_count = 0;
	ctx->next->controller_pause = false;
}

static void set_step(struct sl_rollout_ctx *ctx, size_t index)
{
	ctx->next->has_step_index = ctx->spec->step_count > 0;
	ctx->next->step_index = ctx->next->has_step_index ? (int32_t)index : 0;
	ctx->next->step_since = ctx->now;
}

static void begin_attempt(struct sl_rollout_ctx *ctx)
{
	ctx->next->attempt++;
	ctx->next->analysis_attempt++;
	ctx->next->started_at = ctx->next->step_since = ctx->next->progress_at = ctx->now;
}

/* What an abort leaves: the spec stands, the steps begin anew, the phase is Degraded until the spec changes or someone retries. */
static void enter_abort(struct sl_rollout_ctx *ctx)
{
	ctx->next->abort = true;
	ctx->next->aborted_at = ctx->now;
	ctx->next->promote_full = false;
	sl_rollout_pause_clear(ctx);
	set_step(ctx, 0);
	ctx->moved = true;
	sl_rollout_log_add(ctx, "abort", "%s",
	        ctx->next->abort_reason[0] ? ctx->next->abort_reason : "asked for by a user");
}

void sl_rollout_abort_with(struct sl_rollout_ctx *ctx, const char *fmt, ...)
{
	char text[SL_ROLLOUT_TEXT_SIZE];
	va_list ap;

	if (ctx->next->abort)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sl_rollout_text_set(ctx->next->abort_reason, sizeof(ctx->next->abort_reason), sl_str_c(text));
	enter_abort(ctx);
}

void sl_rollout_promote_to_stable(struct sl_rollout_ctx *ctx, const char *why)
{
	struct sl_rollout_status *next = ctx->next;

	memcpy(next->stable_hash, next->pod_hash, sizeof(next->stable_hash));
	ctx->stable = ctx->fresh;
	next->promote_full = false;
	next->preview_checkpoint = false;
	next->abort = false;
	next->aborted_at = 0;
	sl_rollout_pause_clear(ctx);
	set_step(ctx, ctx->spec->step_count);
	ctx->moved = true;
	sl_rollout_event_add(ctx, false, "RolloutCompleted",
	        "Rollout completed update to revision %lld (%s): %s", (long long)ctx->spec->revision,
	        next->pod_hash, why);
	sl_rollout_log_add(ctx, "promote", "%s", why);
}

/* ---- what the user did ---- */

static void reset_for_spec(struct sl_rollout_ctx *ctx, bool template_changed)
{
	struct sl_rollout_status *next = ctx->next;
	bool back;

	sl_rollout_text_set(next->pod_hash, sizeof(next->pod_hash), ctx->spec->pod_hash);
	sl_rollout_text_set(next->step_hash, sizeof(next->step_hash), ctx->spec->step_hash);
	next->abort = next->promote_full = next->preview_checkpoint = false;
	next->aborted_at = 0;
	memset(next->abort_reason, 0, sizeof(next->abort_reason));
	sl_rollout_pause_clear(ctx);
	begin_attempt(ctx);
	ctx->moved = true;
	if (template_changed)
		sl_rollout_event_add(ctx, false, "RolloutUpdated", "Rollout updated to revision %lld",
		        (long long)ctx->spec->revision);
	if (!next->stable_hash[0]) {
		sl_rollout_log_add(ctx, "start", "first deploy: steps and analysis are skipped");
		sl_rollout_promote_to_stable(ctx, "Initial deploy");
		return;
	}
	back = !sl_rollout_updating(ctx);
	set_step(ctx, back ? ctx->spec->step_count : 0);
	if (!back) {
		sl_rollout_log_add(
		        ctx, "start", "%s", template_changed ? "the template changed" : "the steps changed");
	} else if (template_changed) {
		sl_rollout_event_add(ctx, false, "SkipSteps", "Rollback to stable ReplicaSets");
		sl_rollout_log_add(ctx, "rollback", "the template is stable's again");
	}
}

static void notice_spec(struct sl_rollout_ctx *ctx)
{
	bool template_changed = !sl_str_eq_c(ctx->spec->pod_hash, ctx->next->pod_hash);
	bool steps_changed = !sl_str_eq_c(ctx->spec->step_hash, ctx->next->step_hash);

	if (template_changed || steps_changed)
		reset_for_spec(ctx, template_changed);
	if (ctx->next->has_step_index != (ctx->spec->step_count > 0))
		set_step(ctx, sl_rollout_updating(ctx) ? 0 : ctx->spec->step_count);
	/* A user may have written any index to skip steps. */
	if (ctx->next->step_index < 0)
		ctx->next->step_index = 0;
	if ((size_t)ctx->next->step_index > ctx->spec->step_count)
		ctx->next->step_index = (int32_t)ctx->spec->step_count;
}

/* abort, retry, promote --full are patches of the status. */
static void notice_verbs(struct sl_rollout_ctx *ctx)
{
	struct sl_rollout_status *next = ctx->next;

	if (next->promote_full) {
		next->abort = false;
		next->aborted_at = 0;
		memset(next->abort_reason, 0, sizeof(next->abort_reason));
		sl_rollout_pause_clear(ctx);
		if (!sl_rollout_updating(ctx))
			next->promote_full = false;
		else if (next->has_step_index && (size_t)next->step_index != ctx->spec->step_count)
			set_step(ctx, ctx->spec->step_count);
	} else if (next->abort && !next->aborted_at && sl_rollout_updating(ctx)) {
		memset(next->abort_reason, 0, sizeof(next->abort_reason));
		enter_abort(ctx);
	} else if (next->abort && !sl_rollout_updating(ctx)) {
		next->abort = false; /* nothing is under way that could be aborted */
		next->aborted_at = 0;
	} else if (!next->abort && next->aborted_at) {
		next->aborted_at = 0;
		memset(next->abort_reason, 0, sizeof(next->abort_reason));
		begin_attempt(ctx);
		ctx->progressing_reason = "RolloutRetry";
		ctx->moved = true;
		sl_rollout_event_add(ctx, false, "RolloutRetry", "Retrying Rollout after abort");
		sl_rollout_log_add(ctx, "retry", "asked for by a user");
	}
}

static void check_deadline(struct sl_rollout_ctx *ctx)
{
	if (!ctx->spec->progress_deadline_abort || !sl_rollout_running(ctx) || !sl_rollout_timed_out(ctx))
		return;
	sl_rollout_abort_with(ctx, "ReplicaSet \"%.*s-%s\" has timed out progressing.",
	        SL_STR_ARG(ctx->spec->name), ctx->next->pod_hash);
}

/* ---- one decision ---- */

static void open_plan(struct sl_rollout_ctx *ctx)
{
	size_t sets = ctx->seen->set_count;

	memset(ctx->plan, 0, sizeof(*ctx->plan));
	memcpy(ctx->next, ctx->was,
	        sizeof(*ctx->next)); /* with its padding: statuses are compared as bytes */
	ctx->plan->again_at = SL_NSEC_MAX;
	ctx->event_room = 16 + sets;
	ctx->log_room = 16 + sets;
	ctx->events = sl_arena_zalloc_array(ctx->arena, ctx->event_room, sizeof(*ctx->events));
	ctx->log = sl_arena_zalloc_array(ctx->arena, ctx->log_room, sizeof(*ctx->log));
	ctx->scales = sl_arena_zalloc_array(ctx->arena, sets + 1, sizeof(*ctx->scales));
}

static void close_plan(struct sl_rollout_ctx *ctx)
{
	struct sl_rollout_plan *plan = ctx->plan;

	plan->events = ctx->events;
	plan->log = ctx->log;
	plan->scales = ctx->scales;
	/* Copied with its padding by open_plan. NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
	plan->changed = memcmp(ctx->next, ctx->was, sizeof(*ctx->next)) != 0;
	if (ctx->moved)
		sl_rollout_again(ctx, ctx->now);
}

static void run_canary(struct sl_rollout_ctx *ctx)
{
	sl_rollout_canary_judge(ctx);
	sl_rollout_canary_promote(ctx);
	sl_rollout_canary_advance(ctx);
	sl_rollout_canary_weigh(ctx);
}

void sl_rollout_decide(struct sl_rollout_plan *ret_plan, struct sl_arena *arena,
        const struct sl_rollout_spec *spec, const struct sl_rollout_status *status,
        const struct sl_rollout_seen *seen, sl_nsec now)
{
	struct sl_rollout_ctx ctx = { .arena = arena,
		.spec = spec,
		.was = status,
		.seen = seen,
		.now = now,
		.plan = ret_plan,
		.next = &ret_plan->status };

	open_plan(&ctx);
	sl_rollout_validate(&ctx);
	if (!ctx.invalid[0]) {
		notice_spec(&ctx);
		notice_verbs(&ctx);
	}
	ctx.fresh = sl_rollout_find(&ctx, ctx.next->pod_hash);
	ctx.stable = sl_rollout_find(&ctx, ctx.next->stable_hash);
	sl_rollout_count(&ctx);
	check_deadline(&ctx);
	if (spec->strategy == SL_ROLLOUT_BLUE_GREEN)
		sl_rollout_blue_green(&ctx);
	else
		run_canary(&ctx);
	sl_rollout_scale_all(&ctx);
	sl_rollout_report(&ctx);
	close_plan(&ctx);
}
