#pragma once
/*
 * The API server: the Kubernetes resource model over HTTPS, so that kubectl and every other client of Kubernetes works. Discovery,
 * get, list, watch, create, update, patch, delete, subresources, Tables, OpenAPI; what is served is model's table of kinds.
 *
 * Who may: a client certificate of our authority whose organization is system:masters may do everything; others are refused.
 * Health, version and discovery answer to anybody.
 *
 * Ownership: opaque; loop, objects and authority must outlive it.       Threads: the loop's.
 */
#include "control/ca.h"
#include "control/objects.h"
#include "os/socket.h"
#include "runtime/runtime.h"

struct sl_api;
struct sl_http_req;

struct sl_api_options {
	struct sl_loop *loop;
	struct sl_objects *objects;
	const struct sl_ca *ca;
	struct sl_addr listen; /* port 0: any free one */

	/* Zero means the default in brackets. */
	size_t body_most_bytes;  /* [3 MiB] */
	size_t connections_most; /* [4096] */
	size_t watches_most;     /* [8192]; over it: 429 */
	sl_nsec watch_most;      /* a watch that names no timeout ends after it [1 h] */

	/* GET .../pods/NAME/log; NULL: answered 503. As sl_workloads_logs. */
	sl_err (*logs)(void *arg, sl_str ns, sl_str pod, const struct sl_log_options *options,
	        struct sl_log_stream **ret_stream, struct sl_diag *diag);
	void *logs_arg;
	/* Adds the rest of the program's metrics to /metrics, in Prometheus' text format; may be NULL. */
	void (*metrics)(void *arg, struct sl_buf *out);
	void *metrics_arg;
	/* Says why the program is not ready ("proxy: not started"), or NULL when it is; may be NULL. */
	const char *(*not_ready)(void *arg);
	void *not_ready_arg;
	/* Asked first for every request (dashboard, explain). Returns whether it took the request over; may be NULL.
	   A stranger's request comes without its body, and is to be answered at once. */
	bool (*other)(void *arg, struct sl_http_req *req, bool is_admin);
	void *other_arg;
};

/* Listens and serves from here on. Errors: SL_ERR_EXISTS (address in use), SL_ERR_FORBIDDEN, SL_ERR_UNAVAILABLE. */
sl_err sl_api_start(struct sl_api **ret_api, const struct sl_api_options *options, struct sl_diag *diag);
/* Ends every connection and watch now. Before sl_objects_stop. NULL is fine. */
void sl_api_stop(struct sl_api *api);
SL_CLEANUP_DEFINE(sl_api_stop, struct sl_api *)

/* "https://127.0.0.1:6443", with the port bound. Borrowed. */
const char *sl_api_url(const struct sl_api *api);
