#include "rollout/engine_priv.h"

#include <stdarg.h>
#include <stdio.h>

const char *sl_rollout_phase_name(enum sl_rollout_phase phase)
{
	static const char *const names[] = {
		[SL_ROLLOUT_PROGRESSING] = "Progressing",
		[SL_ROLLOUT_HEALTHY] = "Healthy",
		[SL_ROLLOUT_PAUSED] = "Paused",
		[SL_ROLLOUT_DEGRADED] = "Degraded",
	};

	return (size_t)phase < SL_ARRAY_COUNT(names) ? names[phase] : "Degraded";
}

static const char *const pause_reason_names[] = {
	[SL_ROLLOUT_PAUSE_CANARY_STEP] = "CanaryPauseStep",
	[SL_ROLLOUT_PAUSE_BLUE_GREEN] = "BlueGreenPause",
	[SL_ROLLOUT_PAUSE_INCONCLUSIVE] = "InconclusiveAnalysisRun",
};

const char *sl_rollout_pause_reason_name(enum sl_rollout_pause_reason reason)
{
	return (size_t)reason < SL_ARRAY_COUNT(pause_reason_names) ? pause_reason_names[reason] : "";
}

sl_err sl_rollout_pause_reason_parse(sl_str name, enum sl_rollout_pause_reason *ret_reason)
{
	for (size_t i = 0; i < SL_ARRAY_COUNT(pause_reason_names); i++) {
		if (!sl_str_eq_c(name, pause_reason_names[i]))
			continue;
		*ret_reason = (enum sl_rollout_pause_reason)i;
		return SL_OK;
	}
	return SL_ERR_NOT_FOUND;
}

const char *sl_rollout_condition_name(enum sl_rollout_condition_kind kind)
{
	static const char *const names[] = {
		[SL_ROLLOUT_COND_PROGRESSING] = "Progressing",
		[SL_ROLLOUT_COND_AVAILABLE] = "Available",
		[SL_ROLLOUT_COND_PAUSED] = "Paused",
		[SL_ROLLOUT_COND_COMPLETED] = "Completed",
		[SL_ROLLOUT_COND_HEALTHY] = "Healthy",
		[SL_ROLLOUT_COND_INVALID_SPEC] = "InvalidSpec",
	};

	_Static_assert(SL_ARRAY_COUNT(names) == SL_ROLLOUT_COND_COUNT, "a name for every condition");
	return (size_t)kind < SL_ARRAY_COUNT(names) ? names[kind] : "";
}

sl_str sl_rollout_step_text(struct sl_arena *arena, const struct sl_rollout_step *step)
{
	char duration[32];

	switch (step->kind) {
	case SL_ROLLOUT_STEP_SET_WEIGHT:
		return sl_arena_printf(arena, "setWeight: %u", step->weight);
	case SL_ROLLOUT_STEP_PAUSE:
		if (step->duration == SL_ROLLOUT_FOREVER)
			return SL_STR("pause");
		return sl_arena_printf(arena, "pause: %s", sl_duration_format(duration, step->duration));
	case SL_ROLLOUT_STEP_SET_CANARY_SCALE:
		if (step->scale == SL_ROLLOUT_SCALE_MATCH_WEIGHT)
			return SL_STR("setCanaryScale{matchTrafficWeight: true}");
		return sl_arena_printf(arena, "setCanaryScale{%s: %d}",
		        step->scale == SL_ROLLOUT_SCALE_WEIGHT ? "weight" : "replicas",
		        (int)step->scale_value);
	case SL_ROLLOUT_STEP_ANALYSIS:
		return SL_STR("analysis");
	case SL_ROLLOUT_STEP_JUDGE:
		return SL_STR("judge");
	case SL_ROLLOUT_STEP_SET_HEADER_ROUTE:
		return sl_arena_printf(arena, "setHeaderRoute: %.*s", SL_STR_ARG(step->route_name));
	case SL_ROLLOUT_STEP_SET_MIRROR_ROUTE:
		return sl_arena_printf(arena, "setMirrorRoute: %.*s", SL_STR_ARG(step->route_name));
	case SL_ROLLOUT_STEP_UNSUPPORTED:
		return SL_STR("unsupported");
	}
	return SL_STR("invalid");
}

void sl_rollout_text_set(char *dst, size_t size, sl_str text)
{
	size_t n = text.len < size ? text.len : size - 1;

	memset(dst, 0, size);
	if (n)
		memmove(dst, text.p, n);
}

static void set_c(char *dst, size_t size, const char *text)
{
	char copy[SL_ROLLOUT_TEXT_SIZE];

	snprintf(copy, sizeof(copy), "%s", text); /* `text` may lie in dst */
	sl_rollout_text_set(dst, size, sl_str_c(copy));
}

void sl_rollout_event_add(struct sl_rollout_ctx *ctx, bool warning, const char *reason, const char *fmt, ...)
{
	char text[2 * SL_ROLLOUT_TEXT_SIZE];
	va_list ap;

	if (ctx->plan->event_count == ctx->event_room)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ctx->events[ctx->plan->event_count++] = (struct sl_rollout_event) {
		.warning = warning, .reason = reason, .message = sl_arena_str_c(ctx->arena, text)
	};
}

void sl_rollout_log_add(struct sl_rollout_ctx *ctx, const char *what, const char *fmt, ...)
{
	bool judged = ctx->seen->judge.attempt == ctx->next->attempt;
	char text[2 * SL_ROLLOUT_TEXT_SIZE];
	va_list ap;

	if (ctx->plan->log_count == ctx->log_room)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ctx->log[ctx->plan->log_count++] = (struct sl_rollout_log) {
		.at = ctx->now,
		.what = what,
		.attempt = ctx->next->attempt,
		.step_before = ctx->was->step_index,
		.step_after = ctx->next->step_index,
		.weight_before = ctx->was->weight_canary,
		.weight_after = ctx->next->weight_canary,
		.log_e = judged ? ctx->seen->judge.log_e : 0,
		.why = sl_arena_str_c(ctx->arena, text),
	};
}

/* ---- the spec ---- */

static void invalid(struct sl_rollout_ctx *ctx, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void invalid(struct sl_rollout_ctx *ctx, const char *fmt, ...)
{
	int n = snprintf(ctx->invalid, sizeof(ctx->invalid),
	        "The Rollout \"%.*s\" is invalid: ", SL_STR_ARG(ctx->spec->name));
	va_list ap;

	va_start(ap, fmt);
	if (n > 0 && (size_t)n < sizeof(ctx->invalid))
		vsnprintf(ctx->invalid + n, sizeof(ctx->invalid) - (size_t)n, fmt, ap);
	va_end(ap);
}

static void validate_step(struct sl_rollout_ctx *ctx, size_t i)
{
	const struct sl_rollout_step *step = &ctx->spec->steps[i];

	switch (step->kind) {
	case SL_ROLLOUT_STEP_SET_WEIGHT:
		if (step->weight > ctx->spec->max_weight)
			invalid(ctx,
			        "spec.strategy.canary.steps[%zu].setWeight: %u is not allowed: a weight is 0 to %u",
			        i, step->weight, ctx->spec->max_weight);
		break;
	case SL_ROLLOUT_STEP_PAUSE:
		if (step->duration < 0 && step->duration != SL_ROLLOUT_FOREVER)
			invalid(ctx, "spec.strategy.canary.steps[%zu].pause.duration: must not be negative",
			        i);
		break;
	case SL_ROLLOUT_STEP_SET_CANARY_SCALE:
		if (step->scale != SL_ROLLOUT_SCALE_MATCH_WEIGHT && step->scale_value < 0)
			invalid(ctx, "spec.strategy.canary.steps[%zu].setCanaryScale: must not be negative",
			        i);
		if (step->scale == SL_ROLLOUT_SCALE_WEIGHT && step->scale_value > 100)
			invalid(ctx,
			        "spec.strategy.canary.steps[%zu].setCanaryScale.weight: %d is not allowed: 0 to 100 percent",
			        i, (int)step->scale_value);
		break;
	case SL_ROLLOUT_STEP_UNSUPPORTED:
		invalid(ctx,
		        "spec.strategy.canary.steps[%zu]: this kind of step is not honoured; setWeight, pause, analysis, setCanaryScale, "
		        "setHeaderRoute and setMirrorRoute are",
		        i);
		break;
	case SL_ROLLOUT_STEP_ANALYSIS:
	case SL_ROLLOUT_STEP_JUDGE:
	case SL_ROLLOUT_STEP_SET_HEADER_ROUTE:
	case SL_ROLLOUT_STEP_SET_MIRROR_ROUTE:
		break;
	}
}

void sl_rollout_validate(struct sl_rollout_ctx *ctx)
{
	const struct sl_rollout_spec *spec = ctx->spec;

	if (!spec->pod_hash.len || spec->pod_hash.len >= SL_ROLLOUT_HASH_SIZE ||
	        spec->step_hash.len >= SL_ROLLOUT_HASH_SIZE)
		invalid(ctx, "spec.template: its hash is missing or too long");
	else if (spec->replicas < 0)
		invalid(ctx, "spec.replicas: %d is not allowed: must not be negative", (int)spec->replicas);
	else if (spec->max_weight < 1 || spec->max_weight > 1000000)
		invalid(ctx,
		        "spec.strategy.canary.trafficRouting.maxTrafficWeight: %u is not allowed: 1 to 1000000",
		        spec->max_weight);
	for (size_t i = 0; i < spec->step_count && !ctx->invalid[0]; i++)
		validate_step(ctx, i);
}

/* ---- counts, progress, conditions, phase ---- */

void sl_rollout_count(struct sl_rollout_ctx *ctx)
{
	struct sl_rollout_status *next = ctx->next;
	const struct sl_rollout_rs *active = sl_rollout_find(ctx, next->active_hash);

	next->replicas = next->ready_replicas = next->available_replicas = 0;
	for (size_t i = 0; i < ctx->seen->set_count; i++) {
		next->replicas += ctx->seen->sets[i].replicas;
		next->ready_replicas += ctx->seen->sets[i].ready;
		next->available_replicas += ctx->seen->sets[i].available;
	}
	next->updated_replicas = ctx->fresh ? ctx->fresh->replicas : 0;
	if (ctx->spec->strategy == SL_ROLLOUT_BLUE_GREEN && active) {
		next->ready_replicas = active->ready;
		next->available_replicas = active->available;
	}
}

static bool progressed(const struct sl_rollout_ctx *ctx)
{
	const struct sl_rollout_status *was = ctx->was, *next = ctx->next;

	return next->updated_replicas != was->updated_replicas ||
	       next->replicas - next->updated_replicas < was->replicas - was->updated_replicas ||
	       next->ready_replicas > was->ready_replicas ||
	       next->available_replicas > was->available_replicas || next->step_index != was->step_index ||
	       next->weight_canary != was->weight_canary || next->attempt != was->attempt ||
	       strcmp(next->stable_hash, was->stable_hash) != 0 ||
	       strcmp(next->active_hash, was->active_hash) != 0;
}

static bool held(const struct sl_rollout_ctx *ctx)
{
	return ctx->next->pause_count > 0 || ctx->spec->paused;
}

static bool healthy(const struct sl_rollout_ctx *ctx)
{
	const struct sl_rollout_status *next = ctx->next;
	int32_t replicas = ctx->spec->replicas;

	if (held(ctx) || next->abort || sl_rollout_updating(ctx) || next->updated_replicas != replicas ||
	        next->available_replicas != replicas)
		return false;
	if (ctx->spec->strategy == SL_ROLLOUT_BLUE_GREEN)
		return strcmp(next->active_hash, next->pod_hash) == 0;
	return next->replicas == replicas && !next->weight_canary;
}

/* Steps that take the time they take, and waits that the engine itself ordered. */
static bool waits_on_purpose(const struct sl_rollout_ctx *ctx)
{
	const struct sl_rollout_step *step = sl_rollout_updating(ctx) ? sl_rollout_current_step(ctx) : NULL;

	if (step && (step->kind == SL_ROLLOUT_STEP_PAUSE || step->kind == SL_ROLLOUT_STEP_ANALYSIS ||
	                    step->kind == SL_ROLLOUT_STEP_JUDGE))
		return true;
	for (size_t i = 0; i < ctx->seen->set_count; i++)
		if (ctx->seen->sets[i].scale_down_at && ctx->now < ctx->seen->sets[i].scale_down_at)
			return true;
	return held(ctx);
}

bool sl_rollout_timed_out(const struct sl_rollout_ctx *ctx)
{
	return ctx->spec->progress_deadline > 0 && ctx->next->progress_at && !progressed(ctx) &&
	       !waits_on_purpose(ctx) && ctx->now - ctx->next->progress_at >= ctx->spec->progress_deadline;
}

static void set_condition(struct sl_rollout_ctx *ctx, enum sl_rollout_condition_kind kind, bool status,
        const char *reason, const char *message)
{
	struct sl_rollout_condition *c = &ctx->next->conditions[kind];

	if (c->present && c->status == status && strcmp(c->reason, reason) == 0 &&
	        strcmp(c->message, message) == 0)
		return;
	if (!c->present || c->status != status)
		c->changed_at = ctx->now;
	c->present = true;
	c->status = status;
	c->updated_at = ctx->now;
	set_c(c->reason, sizeof(c->reason), reason);
	set_c(c->message, sizeof(c->message), message);
}

static void report_healthy(struct sl_rollout_ctx *ctx)
{
	struct sl_rollout_condition *c = &ctx->next->conditions[SL_ROLLOUT_COND_HEALTHY];
	bool was_healthy = c->present && c->status;

	if (healthy(ctx)) {
		set_condition(ctx, SL_ROLLOUT_COND_HEALTHY, true, "RolloutHealthy", "Rollout is healthy");
	} else if (was_healthy) {
		set_condition(
		        ctx, SL_ROLLOUT_COND_HEALTHY, false, "RolloutHealthy", "Rollout is not healthy");
		ctx->next->progress_at =
		        ctx->now; /* pods lost now must not count as no progress since the last release */
		if (!sl_rollout_updating(ctx))
			ctx->progressing_reason = "ReplicaSetNotAvailable";
	}
}

static void report_progressing(struct sl_rollout_ctx *ctx)
{
	struct sl_rollout_condition *c = &ctx->next->conditions[SL_ROLLOUT_COND_PROGRESSING];
	char set[SL_ROLLOUT_TEXT_SIZE], text[2 * SL_ROLLOUT_TEXT_SIZE];

	snprintf(
	        set, sizeof(set), "ReplicaSet \"%.*s-%s\"", SL_STR_ARG(ctx->spec->name), ctx->next->pod_hash);
	if (ctx->next->abort) {
		snprintf(text, sizeof(text), "Rollout aborted update to revision %lld%s%s",
		        (long long)ctx->spec->revision, ctx->next->abort_reason[0] ? ": " : "",
		        ctx->next->abort_reason);
		if (strcmp(c->reason, "RolloutAborted") != 0)
			sl_rollout_event_add(ctx, true, "RolloutAborted", "%s", text);
		text[SL_ROLLOUT_TEXT_SIZE - 1] = '\0';
		set_condition(ctx, SL_ROLLOUT_COND_PROGRESSING, false, "RolloutAborted", text);
		return;
	}
	if (healthy(ctx)) {
		snprintf(text, sizeof(text), "%s has successfully progressed.", set);
		set_condition(ctx, SL_ROLLOUT_COND_PROGRESSING, true, "NewReplicaSetAvailable", text);
	} else if (held(ctx)) {
		set_condition(ctx, SL_ROLLOUT_COND_PROGRESSING, true, "RolloutPaused", "Rollout is paused");
	} else if (sl_rollout_timed_out(ctx)) {
		snprintf(text, sizeof(text), "%s has timed out progressing.", set);
		set_condition(ctx, SL_ROLLOUT_COND_PROGRESSING, false, "ProgressDeadlineExceeded", text);
	} else if (ctx->progressing_reason) {
		set_condition(ctx, SL_ROLLOUT_COND_PROGRESSING, true, ctx->progressing_reason,
		        strcmp(ctx->progressing_reason, "RolloutRetry") == 0
		                ? "Retrying Rollout after abort"
		                : "Rollout does not have minimum availability");
	} else if (progressed(ctx) || !c->present || strcmp(c->reason, "RolloutPaused") == 0 ||
	           strcmp(c->reason, "RolloutAborted") == 0) {
		snprintf(text, sizeof(text), "%s is progressing.", set);
		set_condition(ctx, SL_ROLLOUT_COND_PROGRESSING, true, "ReplicaSetUpdated", text);
	}
}

static void report_pause(struct sl_rollout_ctx *ctx)
{
	struct sl_rollout_condition *c = &ctx->next->conditions[SL_ROLLOUT_COND_PAUSED];
	bool before = ctx->was->pause_count > 0, now = ctx->next->pause_count > 0;

	if (held(ctx))
		set_condition(ctx, SL_ROLLOUT_COND_PAUSED, true, "RolloutPaused", "Rollout is paused");
	else if (c->present)
		set_condition(ctx, SL_ROLLOUT_COND_PAUSED, false, "RolloutPaused", "Rollout is paused");
	if (now && !before) {
		sl_rollout_event_add(ctx, false, "RolloutPaused", "Rollout is paused (%s)",
		        sl_rollout_pause_reason_name(ctx->next->pauses[0].reason));
	} else if (before && !now && !ctx->next->abort) {
		ctx->next->progress_at = ctx->now;
		sl_rollout_event_add(ctx, false, "RolloutResumed", "Rollout is resumed");
	}
}

static void report_completed(struct sl_rollout_ctx *ctx)
{
	struct sl_rollout_condition *c = &ctx->next->conditions[SL_ROLLOUT_COND_COMPLETED];
	bool was_completed = c->present && c->status, updating = sl_rollout_updating(ctx);

	if (updating && was_completed)
		sl_rollout_event_add(ctx, false, "RolloutNotCompleted",
		        "Rollout not completed, started update to revision %lld (%s)",
		        (long long)ctx->spec->revision, ctx->next->pod_hash);
	set_condition(ctx, SL_ROLLOUT_COND_COMPLETED, !updating, "RolloutCompleted", "RolloutCompleted");
}

static void set_phase(struct sl_rollout_ctx *ctx, enum sl_rollout_phase phase, const char *message)
{
	ctx->next->phase = phase;
	set_c(ctx->next->message, sizeof(ctx->next->message), message);
}

static bool set_degraded(struct sl_rollout_ctx *ctx)
{
	const struct sl_rollout_condition *p = &ctx->next->conditions[SL_ROLLOUT_COND_PROGRESSING];
	char text[2 * SL_ROLLOUT_TEXT_SIZE];

	if (ctx->invalid[0])
		snprintf(text, sizeof(text), "InvalidSpec: %s", ctx->invalid);
	else if (p->present && (strcmp(p->reason, "RolloutAborted") == 0 ||
	                               strcmp(p->reason, "ProgressDeadlineExceeded") == 0))
		snprintf(text, sizeof(text), "%s: %s", p->reason, p->message);
	else
		return false;
	set_phase(ctx, SL_ROLLOUT_DEGRADED, text);
	return true;
}

static const char *progressing_why(const struct sl_rollout_ctx *ctx)
{
	const struct sl_rollout_status *next = ctx->next;

	if (next->updated_replicas < ctx->spec->replicas)
		return "more replicas need to be updated";
	if (next->available_replicas < next->updated_replicas)
		return "updated replicas are still becoming available";
	if (ctx->spec->strategy == SL_ROLLOUT_BLUE_GREEN) {
		if (strcmp(next->active_hash, next->pod_hash) != 0)
			return "active service cutover pending";
		return sl_rollout_updating(ctx) ? "waiting for analysis to complete" : NULL;
	}
	if (!ctx->spec->traffic_routed && next->replicas > next->updated_replicas)
		return "old replicas are pending termination";
	return sl_rollout_updating(ctx) ? "waiting for all steps to complete" : NULL;
}

static void report_phase(struct sl_rollout_ctx *ctx)
{
	const char *why;

	if (set_degraded(ctx))
		return;
	if (ctx->spec->paused) {
		set_phase(ctx, SL_ROLLOUT_PAUSED, "manually paused");
	} else if (ctx->next->pause_count) {
		set_phase(ctx, SL_ROLLOUT_PAUSED, sl_rollout_pause_reason_name(ctx->next->pauses[0].reason));
	} else {
		why = progressing_why(ctx);
		set_phase(ctx, why ? SL_ROLLOUT_PROGRESSING : SL_ROLLOUT_HEALTHY, why ? why : "");
	}
}

void sl_rollout_report(struct sl_rollout_ctx *ctx)
{
	struct sl_rollout_status *next = ctx->next;
	bool enough = next->available_replicas >= ctx->spec->replicas;

	if (ctx->invalid[0]) {
		set_condition(ctx, SL_ROLLOUT_COND_INVALID_SPEC, true, "InvalidSpec", ctx->invalid);
		report_phase(ctx);
		return;
	}
	memset(&next->conditions[SL_ROLLOUT_COND_INVALID_SPEC], 0, sizeof(next->conditions[0]));
	if (progressed(ctx))
		next->progress_at = ctx->now;
	report_pause(ctx);
	report_healthy(ctx);
	report_progressing(ctx);
	set_condition(ctx, SL_ROLLOUT_COND_AVAILABLE, enough, "AvailableReason",
	        enough ? "Rollout has minimum availability" : "Rollout does not have minimum availability");
	report_completed(ctx);
	report_phase(ctx);
	if (!healthy(ctx) && !next->abort && !waits_on_purpose(ctx) && ctx->spec->progress_deadline > 0 &&
	        ctx->now < next->progress_at + ctx->spec->progress_deadline)
		sl_rollout_again(ctx, next->progress_at + ctx->spec->progress_deadline);
}
