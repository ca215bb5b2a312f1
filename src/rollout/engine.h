#pragma once
/*
 * The rollout engine: one pure step of a release. (spec, status, what is seen, now) -> (status', what to do).
 *
 * The engine keeps nothing: all it remembers stands in the status, which the caller persists before it carries the plan out, and
 * in two notes per ReplicaSet (scale_down_at and in the pods it counts). So it survives any restart, replays from its log, and is
 * simulated for years in a test. Call it whenever something it sees changes, and at plan.again_at at the latest. Calling it more
 * often changes nothing. It moves one step per call and asks for the next by again_at == now.
 *
 * Semantics: Argo Rollouts v1alpha1 (COMPATIBILITY in docs/), with four deliberate differences, each towards safety:
 *  - a ReplicaSet is scaled down only once every proxy has acknowledged an epoch that does not use it and nothing is in flight
 *    there; scaleDownDelaySeconds is waited for on top of that, never instead;
 *  - weight follows ready capacity: a canary short of pods gets less than the step says, a canary without pods gets nothing at once;
 *  - an AnalysisRun in phase Error holds the step instead of aborting (spec.analysis_error_aborts restores Argo's way): a
 *    failed query says nothing of the canary;
 *  - the built-in judge and the proxies' guard watch every canary step and abort on proof.
 *
 * Ownership: spec and seen are views for the length of the call; the plan's arrays live in the caller's arena; the status is a
 * value without pointers.       Threads: pure, any.
 */
#include "base/arena.h"
#include "base/units.h"

enum {
	SL_ROLLOUT_HASH_SIZE = 64,  /* a pod template hash or step hash, with the NUL */
	SL_ROLLOUT_TEXT_SIZE = 384, /* a message with its evidence, with the NUL; longer text is cut */
	SL_ROLLOUT_PAUSES_MOST = 4,
};

/* ---- spec: what the user asks for, as plain numbers ------------------------------------------------------------- */

enum sl_rollout_strategy { SL_ROLLOUT_CANARY, SL_ROLLOUT_BLUE_GREEN };

enum sl_rollout_step_kind {
	SL_ROLLOUT_STEP_SET_WEIGHT,       /* .weight */
	SL_ROLLOUT_STEP_PAUSE,            /* .duration; SL_ROLLOUT_FOREVER: until promoted */
	SL_ROLLOUT_STEP_SET_CANARY_SCALE, /* .scale, .scale_value */
	SL_ROLLOUT_STEP_ANALYSIS,         /* an AnalysisRun decides; its result comes in seen.step_analysis */
	SL_ROLLOUT_STEP_JUDGE, /* the built-in judge decides: until not worse is proven, or .duration has passed without proof */
	SL_ROLLOUT_STEP_SET_HEADER_ROUTE, /* .route_name, .route_remove; the caller keeps the content, see plan.routes */
	SL_ROLLOUT_STEP_SET_MIRROR_ROUTE, /* the same */
	SL_ROLLOUT_STEP_UNSUPPORTED, /* experiment, plugin: the spec is reported invalid and nothing moves */
};

enum sl_rollout_scale_kind {
	SL_ROLLOUT_SCALE_MATCH_WEIGHT, /* matchTrafficWeight: true */
	SL_ROLLOUT_SCALE_REPLICAS,     /* scale_value pods */
	SL_ROLLOUT_SCALE_WEIGHT,       /* scale_value percent of spec.replicas */
};

#define SL_ROLLOUT_FOREVER ((sl_nsec)-1)

struct sl_rollout_step {
	enum sl_rollout_step_kind kind;
	uint32_t weight;
	enum sl_rollout_scale_kind scale;
	int32_t scale_value;
	sl_nsec duration;
	sl_str route_name; /* of managed routes */
	bool route_remove; /* no match given: the route goes */
};

/* maxSurge and maxUnavailable: a count, or a percentage of spec.replicas. */
typedef struct {
	int32_t value;
	bool percent;
} sl_rollout_share;

struct sl_rollout_spec {
	sl_str name;      /* metadata.name, for messages */
	int64_t revision; /* of spec.template: the number its ReplicaSet has, or will have */
	sl_str pod_hash;  /* of spec.template */
	sl_str step_hash; /* of strategy.canary.steps; "" for blueGreen */
	enum sl_rollout_strategy strategy;
	int32_t replicas;
	bool paused;                  /* spec.paused */
	sl_nsec progress_deadline;    /* 600 s */
	bool progress_deadline_abort; /* progressDeadlineAbort */
	uint32_t max_weight;          /* trafficRouting.maxTrafficWeight, 100 */

	/* canary */
	const struct sl_rollout_step *steps;
	size_t step_count;
	bool traffic_routed; /* strategy.canary.trafficRouting is given: pods of stable stay while weights move */
	bool dynamic_stable_scale;
	int32_t min_pods_per_replica_set; /* 1 */
	sl_rollout_share max_surge, max_unavailable;
	bool background_analysis;         /* strategy.canary.analysis is given */
	int32_t background_analysis_step; /* its startingStep */

	/* blueGreen */
	bool preview_service;         /* previewService is given */
	int32_t preview_replicas;     /* previewReplicaCount; -1: not given */
	bool auto_promotion;          /* autoPromotionEnabled */
	sl_nsec auto_promotion_after; /* autoPromotionSeconds */
	bool pre_promotion_analysis, post_promotion_analysis;

	/* both */
	sl_nsec scale_down_delay; /* scaleDownDelaySeconds: the old stable ReplicaSet stays this long after promotion */
	sl_nsec abort_scale_down_delay; /* of the canary after an abort; SL_ROLLOUT_FOREVER (0 in the manifest): keep it */
	bool analysis_error_aborts; /* Argo's way with AnalysisRuns in phase Error */
	bool judge_off;             /* take no verdict of the built-in judge and guard */
};

/* The defaults of the public API, everything else zero. */
void sl_rollout_spec_defaults(struct sl_rollout_spec *spec);

/* ---- status: all the engine remembers; persisted by the caller ---------------------------------------------------- */

enum sl_rollout_phase {
	SL_ROLLOUT_PROGRESSING,
	SL_ROLLOUT_HEALTHY,
	SL_ROLLOUT_PAUSED,
	SL_ROLLOUT_DEGRADED,
};
const char *sl_rollout_phase_name(enum sl_rollout_phase phase); /* "Healthy" */

enum sl_rollout_pause_reason {
	SL_ROLLOUT_PAUSE_CANARY_STEP,
	SL_ROLLOUT_PAUSE_BLUE_GREEN,
	SL_ROLLOUT_PAUSE_INCONCLUSIVE,
};
const char *sl_rollout_pause_reason_name(enum sl_rollout_pause_reason reason); /* "CanaryPauseStep" */
/* Errors: SL_ERR_NOT_FOUND for a word the engine never writes. */
sl_err sl_rollout_pause_reason_parse(sl_str name, enum sl_rollout_pause_reason *ret_reason);

struct sl_rollout_pause {
	enum sl_rollout_pause_reason reason;
	sl_nsec since;
};

enum sl_rollout_condition_kind {
	SL_ROLLOUT_COND_PROGRESSING,
	SL_ROLLOUT_COND_AVAILABLE,
	SL_ROLLOUT_COND_PAUSED,
	SL_ROLLOUT_COND_COMPLETED,
	SL_ROLLOUT_COND_HEALTHY,
	SL_ROLLOUT_COND_INVALID_SPEC,
	SL_ROLLOUT_COND_COUNT
};
const char *sl_rollout_condition_name(enum sl_rollout_condition_kind kind); /* "Progressing" */

struct sl_rollout_condition {
	bool present; /* false: not in the list */
	bool status;  /* "True" or "False" */
	char reason[48];
	char message[SL_ROLLOUT_TEXT_SIZE];
	sl_nsec updated_at, changed_at; /* lastUpdateTime; lastTransitionTime */
};

/*
 * Fields of the public status carry their public meaning, so that the verbs of people's tools, which are patches, work:
 *   abort              abort = true
 *   retry              abort = false
 *   promote            pauses emptied (and spec.paused = false); step_index + 1 to skip a step
 *   promote --full     promote_full = true
 *   pause              spec.paused = true
 * All-zero is the status of a Rollout never seen before.
 */
struct sl_rollout_status {
	enum sl_rollout_phase phase;
	char message[SL_ROLLOUT_TEXT_SIZE];
	bool has_step_index;                    /* currentStepIndex is absent while there are no steps */
	int32_t step_index;                     /* == step_count: all done */
	char step_hash[SL_ROLLOUT_HASH_SIZE];   /* currentStepHash */
	char pod_hash[SL_ROLLOUT_HASH_SIZE];    /* currentPodHash */
	char stable_hash[SL_ROLLOUT_HASH_SIZE]; /* stableRS; the first deploy is stable at once */
	bool abort;
	sl_nsec aborted_at; /* 0: not aborted */
	bool promote_full;
	bool controller_pause;
	struct sl_rollout_pause pauses[SL_ROLLOUT_PAUSES_MOST]; /* pauseConditions */
	size_t pause_count;
	struct sl_rollout_condition conditions[SL_ROLLOUT_COND_COUNT]; /* indexed by kind */
	int32_t replicas, updated_replicas, ready_replicas, available_replicas;

	/* canary.weights. What they are given to: stable_hash and canary_hash; both at once in one epoch. */
	uint32_t weight_stable, weight_canary;  /* sum to max_weight once anything is ready */
	char canary_hash[SL_ROLLOUT_HASH_SIZE]; /* weights.canary.podTemplateHash; "" while there is none */
	bool weights_verified;                  /* every proxy has acknowledged them */

	/* blueGreen */
	char active_hash[SL_ROLLOUT_HASH_SIZE];  /* activeSelector */
	char preview_hash[SL_ROLLOUT_HASH_SIZE]; /* previewSelector */
	bool preview_checkpoint;                 /* scaleUpPreviewCheckPoint */

	/* Ours (status.sluice): */
	/* Grows with every start, restart and retry of an update: the generation of judge and guard. */
	uint64_t attempt;
	/* Names AnalysisRuns. Grows with attempt, and when the user goes on after an inconclusive run. */
	uint64_t analysis_attempt;
	sl_nsec started_at;                      /* of this attempt */
	sl_nsec step_since;                      /* when the current step began */
	sl_nsec progress_at;                     /* last sign of progress, for the deadline */
	char abort_reason[SL_ROLLOUT_TEXT_SIZE]; /* why, with the evidence; "" when a user did it */
};

/* ---- seen: the world as the caller knows it ------------------------------------------------------------------------ */

struct sl_rollout_rs {
	sl_str hash; /* pod template hash */
	sl_str name; /* of the ReplicaSet, for messages and events */
	int64_t revision;
	int32_t desired;  /* its spec.replicas */
	int32_t replicas; /* pods that exist */
	int32_t ready;
	int32_t available;     /* ready for minReadySeconds; only these count as capacity */
	bool unused_acked;     /* every proxy has acknowledged an epoch that sends this ReplicaSet nothing */
	uint64_t in_flight;    /* requests under way there, all proxies together */
	sl_nsec scale_down_at; /* the note the engine asked to keep (annotation scale-down-deadline); 0: none */
};

enum sl_rollout_analysis_phase {
	SL_ROLLOUT_ANALYSIS_NONE,    /* no such run exists yet */
	SL_ROLLOUT_ANALYSIS_RUNNING, /* Pending too */
	SL_ROLLOUT_ANALYSIS_SUCCESSFUL,
	SL_ROLLOUT_ANALYSIS_FAILED,
	SL_ROLLOUT_ANALYSIS_ERROR,
	SL_ROLLOUT_ANALYSIS_INCONCLUSIVE,
};

struct sl_rollout_analysis {
	enum sl_rollout_analysis_phase phase;
	uint64_t attempt; /* the status.analysis_attempt it was made for; runs of another are not looked at */
	int32_t step;     /* step runs only: the step index it was made for */
	sl_str text;      /* its message, for the log and the abort reason */
};

enum sl_rollout_verdict { SL_ROLLOUT_HOLD, SL_ROLLOUT_WORSE, SL_ROLLOUT_NOT_WORSE };

struct sl_rollout_seen {
	const struct sl_rollout_rs *sets; /* every ReplicaSet of the Rollout, any order, also those at 0 */
	size_t set_count;
	/* Every proxy has acknowledged the epoch that carries exactly status.weight_*, the hashes they belong to, and active_hash. */
	bool weights_acked;

	struct sl_rollout_analysis step_analysis, background_analysis; /* canary */
	struct sl_rollout_analysis pre_analysis, post_analysis;        /* blueGreen */

	struct {
		enum sl_rollout_verdict verdict;
		uint64_t attempt; /* the counts began with this attempt; another is not looked at */
		double log_e;     /* for the log */
		sl_str text;      /* evidence in words (sl_verdict.text) */
	} judge;
	struct {
		bool tripped; /* some proxy's guard of this attempt has sent the canary's share to stable */
		uint64_t attempt;
		sl_str text; /* which proxy and why */
	} guard;
};

/* ---- plan: what to do ------------------------------------------------------------------------------------------------ */

struct sl_rollout_scale {
	sl_str hash;
	int32_t replicas;      /* set its spec.replicas to this (it may already be) */
	bool create;           /* no ReplicaSet of this hash exists: make one from spec.template */
	sl_nsec scale_down_at; /* note to keep on it; 0: remove the note */
};

struct sl_rollout_destination {
	sl_str hash;
	uint32_t weight;
};

struct sl_rollout_event {
	bool warning;
	const char *reason; /* Argo's words: "RolloutStepCompleted" */
	sl_str message;
	bool act; /* it tells of an act (scales): true once the plan is carried out, not when the status is written */
};

/* One line of the decision log; what `explain` shows. */
struct sl_rollout_log {
	sl_nsec at;
	const char *
	        what; /* "start", "step", "weight", "pause", "resume", "abort", "retry", "promote", "rollback", "scale", "hold" */
	uint64_t attempt;
	int32_t step_before, step_after;
	uint32_t weight_before, weight_after; /* canary */
	double log_e;                         /* of the judge at that moment */
	sl_str why;                           /* rule and evidence in words */
	bool act;                             /* as sl_rollout_event.act */
};

struct sl_rollout_plan {
	struct sl_rollout_status status; /* persist this first, then do the rest */
	bool changed;                    /* status differs from the one given */

	const struct sl_rollout_scale *scales; /* every ReplicaSet that should exist, in no order */
	size_t scale_count;
	/* Where requests to the Service go; publish as one epoch. Sums to max_weight; empty only while no ReplicaSet exists. */
	const struct sl_rollout_destination *destinations;
	size_t destination_count;
	const int32_t *routes; /* indices of the setHeaderRoute / setMirrorRoute steps in force, in order */
	size_t route_count;

	/* Which runs should be alive now; all others of this Rollout are to be terminated. Named by status.analysis_attempt and step_index. */
	bool want_step_analysis, want_background_analysis, want_pre_analysis, want_post_analysis;
	/* The judge should count and the guard should be armed, with generation status.attempt, for canary_hash against stable_hash. */
	bool watch;

	const struct sl_rollout_event *events;
	size_t event_count;
	const struct sl_rollout_log *log;
	size_t log_count;
	sl_nsec again_at; /* call again then even if nothing changes; SL_NSEC_MAX: no need */
};

/* Decides. Never fails: what is wrong with the spec becomes condition InvalidSpec and a plan that changes no traffic. */
void sl_rollout_decide(struct sl_rollout_plan *ret_plan, struct sl_arena *arena,
        const struct sl_rollout_spec *spec, const struct sl_rollout_status *status,
        const struct sl_rollout_seen *seen, sl_nsec now);

/* "setWeight: 20", "pause", "pause: 10s": as Argo writes a step in events. */
sl_str sl_rollout_step_text(struct sl_arena *arena, const struct sl_rollout_step *step);
