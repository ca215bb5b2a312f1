#pragma once
/*
 * The Rollout controller: feeds the rollout engine (rollout/engine.h) what it sees, and carries out what it decides. A status is written
 * before anything else is done, so a restart at any point goes on where it was; ReplicaSets, their Pods and the mesh follow it.
 *
 * Evidence: proxies' counts go to the judge (judge/verdict.h) as they come, ten times a second; a proof, or a proxy's own guard, is acted
 * on in the same turn. After a restart of sluiced the judge begins to count anew: that forgets evidence and can condemn nobody.
 *
 * Ownership: opaque; loop, objects and publisher must outlive it.       Threads: the loop's.
 */
#include "control/objects.h"
#include "control/publisher.h"

struct sl_rollouts;

/* Errors: as sl_objects_watch. */
sl_err sl_rollouts_start(struct sl_rollouts **ret_r, struct sl_loop *loop, struct sl_objects *objects,
        struct sl_publisher *publisher);
void sl_rollouts_stop(struct sl_rollouts *r); /* NULL is fine */
SL_CLEANUP_DEFINE(sl_rollouts_stop, struct sl_rollouts *)

/* A proxy's counts: what sl_publisher_options.on_load hands on. */
void sl_rollouts_load(struct sl_rollouts *r, sl_str node, const struct sl_load_report *report);
/* Something was acknowledged or went idle: every Rollout looks again. */
void sl_rollouts_recheck(struct sl_rollouts *r);

/* Adds sluice_rollout_requests_total and sluice_rollout_failures_total in Prometheus' text format. */
void sl_rollouts_metrics(const struct sl_rollouts *r, struct sl_buf *out);
