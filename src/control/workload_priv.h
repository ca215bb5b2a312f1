#pragma once
/*
 * Inside the workload controllers: one queue per kind of object to reconcile, shared small things about Pods.
 * Ownership: struct sl_workloads owns all.       Threads: the loop's.
 */
#include "base/map.h"
#include "control/workload.h"
#include "loop/loop.h"
#include "model/object.h"
#include "model/selector.h"

struct sl_workloads;

/*
 * Names of objects to look at, each at most once at a time. What is added while the queue works waits for the next turn, so a
 * controller that keeps changing its own object does not hold the loop.
 */
struct sl_workqueue {
	struct sl_workloads *w;
	void (*fn)(struct sl_workloads *w, sl_str ns, sl_str name);
	struct sl_map items; /* by "NS/NAME" */
	struct sl_list due;
	struct sl_task task;
};

void sl_workqueue_init(struct sl_workqueue *q, struct sl_workloads *w,
        void (*fn)(struct sl_workloads *w, sl_str ns, sl_str name));
void sl_workqueue_fini(struct sl_workqueue *q);
void sl_workqueue_add(struct sl_workqueue *q, sl_str ns, sl_str name);
/* At `at` (the loop's clock) at the latest; SL_NSEC_MAX: never. */
void sl_workqueue_add_at(struct sl_workqueue *q, sl_str ns, sl_str name, sl_nsec at);

enum {
	SL_WATCH_DEPLOYMENTS,
	SL_WATCH_REPLICA_SETS,
	SL_WATCH_PODS,
	SL_WATCH_SERVICES,
	SL_WATCH_SLICES,
	SL_WATCH_COUNT
};

struct sl_workloads {
	struct sl_loop *loop;
	struct sl_objects *objects;
	struct sl_runtime *runtime; /* NULL: Pods are only recorded */
	bool (*may_stop)(void *arg, const struct sl_object *pod);
	void *may_stop_arg;
	struct sl_workqueue deployments, replica_sets, pods, services;
	struct sl_store_watch *watches[SL_WATCH_COUNT];
	struct sl_list creating; /* Pods on their way to the store: replicaset.c */
	bool ending;             /* sl_workloads_shutdown was called */
	void (*ended)(void *arg);
	void *ended_arg;
	struct sl_task ended_task;
	struct sl_map known;     /* Pods handed to the runtime, by uid: workload_pods.c */
	bool ports_taken[65536]; /* by Pods of the runtime */
};

/* The controllers: each brings one object to where it should be. */
void sl_deployment_reconcile(struct sl_workloads *w, sl_str ns, sl_str name);
void sl_replicaset_reconcile(struct sl_workloads *w, sl_str ns, sl_str name);
void sl_replicaset_stop(struct sl_workloads *w); /* callbacks that are still to come do nothing */
void sl_endpoints_reconcile(struct sl_workloads *w, sl_str ns, sl_str name);
void sl_workload_pod_reconcile(struct sl_workloads *w, sl_str ns, sl_str name);

/* --- workload_pods.c --- */

sl_err sl_workload_pods_start(
        struct sl_workloads *w, const struct sl_process_runtime_options *process, struct sl_diag *diag);
void sl_workload_pods_stop(struct sl_workloads *w);
void sl_workload_pods_end(struct sl_workloads *w); /* w->ended_task once nothing runs */
/* The Pod's object is gone. */
void sl_workload_pod_deleted(struct sl_workloads *w, const struct sl_object *pod);
/* Node and ports for a Pod about to be created; saves it a write later. */
void sl_workload_pod_bind(struct sl_workloads *w, json_t *body);
void sl_workload_pod_unbind(struct sl_workloads *w, const json_t *body); /* it could not be created */

/* --- workload_util.c --- */

/* References to objects, in the order they were met. */
struct sl_object_set {
	struct sl_object **items;
	size_t count, room;
};
void sl_object_set_add(struct sl_object_set *s, struct sl_object *o);
void sl_object_set_fini(struct sl_object_set *s);
static inline void sl_object_set_fini_cleanup_(struct sl_object_set *s)
{
	sl_object_set_fini(s);
}

/*
 * What `owner` controls of a kind, by its selector: objects without a controller that match are adopted, those of ours that no longer
 * match are let go. Newest accepted states. Nothing is changed for an owner that is being deleted.
 */
void sl_workload_claim(struct sl_workloads *w, const struct sl_object *owner, const char *group,
        const char *plural, struct sl_object_set *ret_set);

bool sl_pod_is_deleting(const json_t *pod);
bool sl_pod_is_finished(const json_t *pod); /* phase Succeeded or Failed */
/* *ret_since: since when (Unix time). */
bool sl_pod_is_ready(const json_t *pod, sl_nsec *ret_since);
sl_nsec sl_obj_time(const json_t *obj, const char *path); /* 0 when absent */

/* An integer or "25%" of total. */
int32_t sl_int_or_percent(const json_t *v, int32_t total, bool round_up);
