#pragma once
/*
 * Everything in sluiced that acts on objects, started and stopped as one: workloads, the publisher of the mesh, rollouts, and this node's
 * proxy. The API server asks it for logs, readiness and metrics.
 * Ownership: opaque; loop and objects must outlive it.       Threads: the loop's.
 */
#include "control/objects.h"
#include "os/socket.h"
#include "runtime/runtime.h"

struct sl_controllers;

struct sl_controllers_options {
	struct sl_loop *loop;
	struct sl_objects *objects;
	const char *data_dir;
	bool run_processes;     /* --runtime process: Pods run on this machine */
	bool run_proxy;         /* --proxy on: this node's proxy too */
	struct sl_addr gateway; /* of the gateway listener; port 0: a free one, kept in DIR/ports */
	struct sl_addr admin;   /* of the node's proxy; the same */
	unsigned proxy_workers; /* 0: one for each processor */
	/* Once: the first mesh is in force at this node's proxy (or none is run). */
	void (*on_ready)(void *arg);
	void *arg;
};

/* Errors: what the parts say; diag tells. */
sl_err sl_controllers_start(
        struct sl_controllers **ret_c, const struct sl_controllers_options *options, struct sl_diag *diag);
/* Ends the node's proxy and every Pod's processes in order, each with its own grace; done(arg) once all have gone. */
void sl_controllers_shutdown(struct sl_controllers *c, void (*done)(void *arg), void *arg);
/* What runs outside sluiced goes on. Before sl_objects_free. NULL is fine. */
void sl_controllers_stop(struct sl_controllers *c);
SL_CLEANUP_DEFINE(sl_controllers_stop, struct sl_controllers *)

/* "http://127.0.0.1:8080"; "" where there is none. Borrowed. */
const char *sl_controllers_gateway_url(const struct sl_controllers *c);
const char *sl_controllers_admin_url(const struct sl_controllers *c);

/* For struct sl_api_options; `arg` is the struct sl_controllers. */
sl_err sl_controllers_logs(void *arg, sl_str ns, sl_str pod, const struct sl_log_options *options,
        struct sl_log_stream **ret_stream, struct sl_diag *diag);
void sl_controllers_metrics(void *arg, struct sl_buf *out);
const char *sl_controllers_not_ready(void *arg);
