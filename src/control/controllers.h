#pragma once
/*
 * Everything in sluiced that acts on objects, started and stopped as one. The API server asks it for logs, readiness and metrics.
 * Ownership: opaque; loop and objects must outlive it.       Threads: the loop's.
 */
#include "control/objects.h"
#include "runtime/runtime.h"

struct sl_controllers;

struct sl_controllers_options {
	struct sl_loop *loop;
	struct sl_objects *objects;
	const char *data_dir;
	bool run_processes; /* --runtime process: Pods run on this machine */
	bool run_proxy;     /* --proxy on: this node's proxy too */
};

/* Errors: what the parts say; diag tells. */
sl_err sl_controllers_start(
        struct sl_controllers **ret_c, const struct sl_controllers_options *options, struct sl_diag *diag);
/* What runs outside sluiced goes on. Before sl_objects_stop. NULL is fine. */
void sl_controllers_stop(struct sl_controllers *c);
SL_CLEANUP_DEFINE(sl_controllers_stop, struct sl_controllers *)

/* For struct sl_api_options; `arg` is the struct sl_controllers. */
sl_err sl_controllers_logs(void *arg, sl_str ns, sl_str pod, const struct sl_log_options *options,
        struct sl_log_stream **ret_stream, struct sl_diag *diag);
