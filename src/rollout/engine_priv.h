#pragma once
/*
 * What the files of the engine share: one decision in the making. Each function reads the situation and edits ctx->next and the plan.
 * Ownership: lives for one sl_rollout_decide.       Threads: the caller's.
 */
#include "rollout/engine.h"

struct sl_rollout_ctx {
	struct sl_arena *arena;
	const struct sl_rollout_spec *spec;
	const struct sl_rollout_status *was; /* as given */
	const struct sl_rollout_seen *seen;
	sl_nsec now;
	struct sl_rollout_plan *plan;
	struct sl_rollout_status *next; /* &plan->status */
	/* The ReplicaSets of spec.template and of next->stable_hash; they may be the same; NULL: none exists. */
	const struct sl_rollout_rs *fresh, *stable;
	char invalid[SL_ROLLOUT_TEXT_SIZE]; /* "" or what is wrong with the spec */
	const char *progressing_reason; /* set where something more telling than ReplicaSetUpdated happened */
	struct sl_rollout_event *events;
	size_t event_room;
	struct sl_rollout_log *log;
	size_t log_room;
	struct sl_rollout_scale *scales;
	bool moved; /* something changed that the next step builds on: call again at once */
};

/* Situations. Updating: a template other than stable's is on its way. Running: and it is valid, not aborted, and no user holds it. */
bool sl_rollout_updating(const struct sl_rollout_ctx *ctx);
bool sl_rollout_running(const struct sl_rollout_ctx *ctx);
/* NULL: there is none. */
const struct sl_rollout_rs *sl_rollout_find(const struct sl_rollout_ctx *ctx, const char *hash);
const struct sl_rollout_step *sl_rollout_current_step(const struct sl_rollout_ctx *ctx);
const struct sl_rollout_pause *sl_rollout_paused_for(
        const struct sl_rollout_ctx *ctx, enum sl_rollout_pause_reason reason);
int32_t sl_rollout_available(const struct sl_rollout_rs *rs); /* 0 for NULL */
int32_t sl_rollout_ready(const struct sl_rollout_rs *rs);

/* Moves. */
void sl_rollout_again(struct sl_rollout_ctx *ctx, sl_nsec at);
void sl_rollout_pause_add(struct sl_rollout_ctx *ctx, enum sl_rollout_pause_reason reason);
void sl_rollout_pause_remove(struct sl_rollout_ctx *ctx, enum sl_rollout_pause_reason reason);
void sl_rollout_pause_clear(struct sl_rollout_ctx *ctx);
void sl_rollout_abort_with(struct sl_rollout_ctx *ctx, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));
void sl_rollout_promote_to_stable(struct sl_rollout_ctx *ctx, const char *why);

/* Weights and hashes are what they were when the call began, and acknowledged: pods may go after them. */
bool sl_rollout_settled(const struct sl_rollout_ctx *ctx);

/* canary.c */
/* Verdict, guard, analysis: abort or pause. */
void sl_rollout_canary_judge(struct sl_rollout_ctx *ctx);
/* The current step: complete it, or pause in it. */
void sl_rollout_canary_advance(struct sl_rollout_ctx *ctx);
/* Sets next->weight_* and the plan's destinations. */
void sl_rollout_canary_weigh(struct sl_rollout_ctx *ctx);
void sl_rollout_canary_promote(struct sl_rollout_ctx *ctx);
/* What the steps up to `index` ask for: 0 when aborted, all of it when they are done. */
uint32_t sl_rollout_step_weight(const struct sl_rollout_ctx *ctx, int32_t index);

/* replicas.c */
/* The pods that the weight, or the scale, of the step at `index` asks for. */
int32_t sl_rollout_canary_pods(const struct sl_rollout_ctx *ctx, int32_t index);
int32_t sl_rollout_max_unavailable(const struct sl_rollout_spec *spec);
/* How many pods may be missing from stable when all requests go back to it. */
int32_t sl_rollout_slack(const struct sl_rollout_ctx *ctx);
void sl_rollout_scale_all(struct sl_rollout_ctx *ctx);

/* blue_green.c */
void sl_rollout_blue_green(struct sl_rollout_ctx *ctx);

/* report.c */
void sl_rollout_validate(struct sl_rollout_ctx *ctx);
void sl_rollout_count(struct sl_rollout_ctx *ctx);  /* next->*_replicas */
void sl_rollout_report(struct sl_rollout_ctx *ctx); /* conditions, phase, progress deadline */
void sl_rollout_event_add(struct sl_rollout_ctx *ctx, bool warning, const char *reason, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));
void sl_rollout_log_add(struct sl_rollout_ctx *ctx, const char *what, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
/* Cuts to fit and zeroes the rest, so that statuses compare bytewise. */
void sl_rollout_text_set(char *dst, size_t size, sl_str text);
bool sl_rollout_timed_out(const struct sl_rollout_ctx *ctx);
