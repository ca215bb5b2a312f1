#pragma once
/*
 * What the files of the Rollout controller share: rollout.c decides and acts, rollout_status.c turns objects into the engine's structs and
 * back, rollout_sets.c keeps ReplicaSets, rollout_evidence.c counts.
 * Ownership: a struct sl_rollout_ctl is the controller's, one per Rollout.       Threads: the loop's.
 */
#include "base/map.h"
#include "control/rollout.h"
#include "judge/guard.h"
#include "judge/verdict.h"
#include "loop/loop.h"
#include "model/kind.h"
#include "rollout/engine.h"

#define SL_ROLLOUT_HASH_LABEL "rollouts-pod-template-hash"
#define SL_ROLLOUT_REVISION "rollout.argoproj.io/revision"
#define SL_ROLLOUT_SCALE_DOWN "argo-rollouts.argoproj.io/scale-down-deadline"

/* Requests to one revision since sluiced began, for /metrics. */
struct sl_revision_count {
	struct sl_revision_count *next;
	uint64_t requests, failures;
	char hash[SL_ROLLOUT_HASH_SIZE];
};

struct sl_rollout_evidence {
	uint64_t attempt; /* that the judge counts for; 0: none */
	bool watching;
	char canary[SL_ROLLOUT_HASH_SIZE], stable[SL_ROLLOUT_HASH_SIZE];
	struct sl_judge judge;
	struct sl_verdict verdict;
	struct sl_counts total; /* judged in this attempt */
	sl_nsec proven_at; /* realtime: when the evidence for "worse" was complete at the latest; 0: not yet */
	uint64_t guard_attempt; /* of the guard that tripped; 0: none did */
	char guard_text[SL_ROLLOUT_TEXT_SIZE];
	sl_nsec guard_at;
	struct sl_revision_count *counts;
};

/* The judge of one AnalysisRun, while it runs. */
struct sl_analysis_judge {
	struct sl_analysis_judge *next;
	struct sl_judge judge;
	char name[256]; /* of the AnalysisRun */
	bool reported;  /* its verdict was seen by the engine's caller */
};

struct sl_rollout_ctl {
	struct sl_map_node node; /* by "namespace/name" */
	struct sl_rollouts *all;
	struct sl_task task;   /* look again at the end of this turn */
	struct sl_timer timer; /* or at the time the engine asked for */
	struct sl_dead dead;
	struct sl_object_key key; /* views into the strings below */
	char *ns, *name, *full;
	bool gone;
	bool writing; /* a status is on its way: the next decision is made when it stands */
	struct sl_rollout_evidence evidence;
	struct sl_analysis_judge *analyses;
	sl_nsec evidence_written_at; /* status.sluice.evidence follows at most once a second */
};

struct sl_rollouts {
	unsigned refs; /* its owner, and every status write under way */
	struct sl_loop *loop;
	struct sl_objects *objects;
	struct sl_publisher *publisher;
	struct sl_store_watch *watches[2];
	struct sl_map ctls;
};

/* ---- rollout_status.c ---- */

/* The engine's spec from the object; strings and steps live in the arena. `revision` is the template's. */
struct sl_rollout_spec sl_rollout_spec_read(
        const struct sl_krm_rollout *krm, const json_t *body, struct sl_arena *arena, int64_t revision);
void sl_rollout_status_read(const struct sl_krm_rollout *krm, struct sl_rollout_status *ret_status);

/* What is written with a status besides the status itself. */
struct sl_rollout_record {
	const struct sl_rollout_log *log; /* of this decision: appended to status.sluice.decisions */
	size_t log_count;
	const struct sl_rollout_evidence *evidence;
};
/* Puts the status into the object's body; conditions of others stay. */
void sl_rollout_status_write(json_t *body, const struct sl_rollout_status *status,
        const struct sl_rollout_record *record, sl_nsec now);

/* ---- rollout_sets.c ---- */

struct sl_rollout_sets {
	struct sl_object *objects[64]; /* newest accepted states, borrowed; of this Rollout */
	struct sl_rollout_rs seen[64];
	size_t count;
	int64_t revision_most;
};
void sl_rollout_sets_read(
        struct sl_rollout_ctl *ctl, const struct sl_object *rollout, struct sl_rollout_sets *ret_sets);
/* The number of the template's revision: its ReplicaSet's while that is the newest, else the next one. */
int64_t sl_rollout_sets_revision(const struct sl_rollout_sets *sets, const char *pod_hash);
/* Makes, scales and forgets ReplicaSets as planned. */
void sl_rollout_sets_apply(struct sl_rollout_ctl *ctl, const struct sl_object *rollout,
        const struct sl_krm_rollout *krm, const struct sl_rollout_sets *sets,
        const struct sl_rollout_plan *plan, int64_t revision);

/* ---- rollout_evidence.c ---- */

/* Follows plan.watch: (re)starts the judge for an attempt, or stops it. */
void sl_rollout_evidence_watch(struct sl_rollout_ctl *ctl, const struct sl_rollout_plan *plan);
/* What the judge and the guards have to say, for the engine; text lives in ctl. */
void sl_rollout_evidence_seen(const struct sl_rollout_ctl *ctl, struct sl_rollout_seen *seen);
/* Takes in one cluster of one proxy's report; true when the engine should look. `end` after the last cluster of a report. */
void sl_rollout_evidence_cluster(struct sl_rollout_ctl *ctl, sl_str node,
        const struct sl_load_cluster *cluster, sl_str hash, struct sl_counts *tick);
bool sl_rollout_evidence_tick(struct sl_rollout_ctl *ctl, const struct sl_counts *tick, sl_nsec interval);
void sl_rollout_evidence_fini(struct sl_rollout_evidence *e);

/* ---- rollout_analysis.c ---- */

/* The state of this attempt's step analysis, for the engine; brings the AnalysisRuns' statuses up to date on the way. */
void sl_rollout_analysis_seen(struct sl_rollout_ctl *ctl, const struct sl_object *rollout,
        const struct sl_rollout_status *status, struct sl_arena *arena, struct sl_rollout_seen *seen);
/* Makes the run that is wanted, and ends those that are not. */
void sl_rollout_analysis_apply(struct sl_rollout_ctl *ctl, const struct sl_object *rollout,
        const struct sl_krm_rollout *krm, const struct sl_rollout_plan *plan);
/* Counts go to the judges of runs too; true when one of them has come to a verdict. */
bool sl_rollout_analysis_tick(struct sl_rollout_ctl *ctl, const struct sl_counts *tick);
void sl_rollout_analysis_fini(struct sl_rollout_ctl *ctl);
