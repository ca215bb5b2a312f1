#pragma once
/*
 * The workload controllers: Deployment -> ReplicaSet -> Pod -> runtime, and Service + Pods -> EndpointSlices. Level-triggered: each looks at
 * the newest state of its object and writes what is missing; a watch only says which object to look at. The Rollout controller
 * makes ReplicaSets of its own and leaves their Pods to this one.
 *
 * Ownership: opaque; the loop, objects and runtime must outlive it.       Threads: the loop's.
 */
#include "control/objects.h"
#include "runtime/runtime.h"

struct sl_workloads;

struct sl_workloads_options {
	struct sl_loop *loop;
	struct sl_objects *objects;
	/* Pods run here; a template of it, its host filled in by sl_workloads_start. NULL: Pods are only recorded (--runtime none). */
	const struct sl_process_runtime_options *process;
	/*
	 * Whether a Pod being deleted may get its SIGTERM: no proxy sends it anything new and nothing is in flight. Asked when the
	 * Pod is marked, and at each sl_workloads_recheck; never waited for longer than its grace period. NULL: at once.
	 */
	bool (*may_stop)(void *arg, const struct sl_object *pod);
	void *may_stop_arg;
};

/* Reconciles everything there is and adopts what runs. Errors: as sl_process_runtime_new and sl_objects_watch. */
sl_err sl_workloads_start(
        struct sl_workloads **ret_w, const struct sl_workloads_options *options, struct sl_diag *diag);
/* Stops reconciling; what runs goes on. NULL is fine. */
void sl_workloads_stop(struct sl_workloads *w);
SL_CLEANUP_DEFINE(sl_workloads_stop, struct sl_workloads *)

/*
 * Ends every Pod's processes, each with its own grace, and changes no object: the next sluiced starts them again. done(arg) once all have
 * gone. Nothing is reconciled from here on.
 */
void sl_workloads_shutdown(struct sl_workloads *w, void (*done)(void *arg), void *arg);

/* An epoch was acknowledged or requests ended: may_stop is asked again for each Pod waiting for it. */
void sl_workloads_recheck(struct sl_workloads *w);

/* For GET .../pods/NAME/log. Errors: SL_ERR_NOT_FOUND, SL_ERR_BAD_REQUEST (names the containers), SL_ERR_UNAVAILABLE (no runtime). */
sl_err sl_workloads_logs(struct sl_workloads *w, sl_str ns, sl_str pod, const struct sl_log_options *options,
        struct sl_log_stream **ret_stream, struct sl_diag *diag);
