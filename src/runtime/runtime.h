#pragma once
/*
 * The runtime: what starts, watches and stops a Pod's containers. The control plane speaks of Pods (their JSON bodies) and gets
 * Pod statuses back; how they run (local processes, podman, another cluster) is behind sl_runtime_ops.
 *
 * A Pod's life: bind (a node and ports are written into its spec, which the caller stores), run, any number of statuses, stop,
 * gone. After a restart of the control plane the same calls, for every Pod there is, adopt what still runs; sweep then ends
 * what belongs to no Pod any more.
 *
 * Ownership: a runtime is closed by its ops->close; Pods' bodies are copied or referenced as needed, callbacks' views are borrowed.
 * Threads: one loop's. Callbacks of the host may come from within run and stop, except `gone`, which always comes later.
 */
#include "base/buf.h"
#include "base/diag.h"
#include "base/units.h"

#include <jansson.h>

struct sl_loop;
struct sl_runtime;

/* What a runtime asks of, and tells, the control plane. All are set. */
struct sl_runtime_host {
	void *arg;
	/* The whole `status` of a Pod as it should now stand. */
	void (*status)(void *arg, sl_str uid, json_t *status);
	void (*event)(void *arg, sl_str uid, bool warning, const char *reason, const char *text);
	/* A stopped Pod has nothing running any more; its state on this machine, logs included, is removed. */
	void (*gone)(void *arg, sl_str uid);
	/* The body of a ConfigMap or Secret, borrowed; NULL when absent. */
	const json_t *(*config)(void *arg, const char *plural, sl_str ns, sl_str name);
	/* Calls each(name, value) for every variable that the Services of the namespace give to a process. */
	void (*service_env)(
	        void *arg, sl_str ns, void (*each)(void *to, const char *name, const char *value), void *to);
};

struct sl_log_options {
	sl_str container;    /* empty: the only one */
	bool follow;         /* go on until the container ends */
	bool previous;       /* of the run before this one */
	bool timestamps;     /* RFC 3339 before each line */
	int64_t tail_lines;  /* -1: all */
	int64_t limit_bytes; /* -1: none */
	sl_nsec since;       /* Unix time; 0: all */
};
#define SL_LOG_OPTIONS ((struct sl_log_options) { .tail_lines = -1, .limit_bytes = -1 })

/* A stream of log lines; its maker fills in ops, its reader on_more and arg. */
struct sl_log_stream {
	const struct sl_log_stream_ops *ops;
	void (*on_more)(
	        struct sl_log_stream *stream); /* after SL_ERR_AGAIN: read again. May come for nothing. */
	void *arg;
};

struct sl_log_stream_ops {
	/*
	 * Appends whole lines, about `most_bytes`. SL_OK: there may be more, read again when there is room.
	 * Errors: SL_ERR_AGAIN nothing now, on_more will come; SL_ERR_EOF the end; SL_ERR_IO.
	 */
	sl_err (*read)(struct sl_log_stream *stream, struct sl_buf *out, size_t most_bytes);
	void (*close)(struct sl_log_stream *stream);
};

struct sl_runtime_ops {
	const char *name; /* "process" */
	/* Lets go of everything and frees; what runs goes on running. */
	void (*close)(struct sl_runtime *rt);
	/*
	 * Writes into a Pod's body what it must have before it can run here: spec.nodeName and a hostPort for every container port.
	 * Changes nothing when that is there. `taken(arg, port)` tells whether a living Pod has the port.
	 * Errors: SL_ERR_UNAVAILABLE (no port is free).
	 */
	sl_err (*bind)(struct sl_runtime *rt, json_t *pod, bool (*taken)(void *arg, uint16_t port), void *arg,
	        struct sl_diag *diag);
	/* Runs a bound Pod, or adopts it when it runs already; of a Pod known already the newer metadata is kept. */
	void (*run)(struct sl_runtime *rt, json_t *pod);
	/*
	 * SIGTERM, and SIGKILL after `grace`; then `gone`. Again with a shorter grace shortens it. Also for a Pod never run here.
	 */
	void (*stop)(struct sl_runtime *rt, sl_str uid, sl_nsec grace);
	/* Ends what an earlier life of the control plane started and no `run` has claimed since. */
	void (*sweep)(struct sl_runtime *rt);
	/* Errors: SL_ERR_NOT_FOUND (no such Pod, container, or earlier run; not started yet), SL_ERR_BAD_REQUEST (which container?). */
	sl_err (*logs)(struct sl_runtime *rt, sl_str uid, const struct sl_log_options *options,
	        struct sl_log_stream **ret_stream, struct sl_diag *diag);
};

struct sl_runtime {
	const struct sl_runtime_ops *ops;
};

struct sl_process_runtime_options {
	struct sl_loop *loop;
	struct sl_runtime_host host; /* copied */
	const char *dir;             /* DATA/pods; made when missing */
	const char *node_name;       /* spec.nodeName of what runs here; NULL: the host's name */
	const char *const
	        *shim_argv; /* NULL-terminated start of the shim's command line; NULL: as in shim.h */
	uint16_t port_first, port_last; /* ports given to containers; 0: 20000 to 32767 */
	uint64_t log_most_bytes;        /* per log file; 0: 10 MiB */
	unsigned log_files;             /* per container run, with the current one; 0: 5 */
};

/* Local processes under shims. Errors: SL_ERR_IO, SL_ERR_FORBIDDEN (the folder). */
sl_err sl_process_runtime_new(
        struct sl_runtime **ret_rt, const struct sl_process_runtime_options *options, struct sl_diag *diag);

static inline void sl_runtime_close(struct sl_runtime *rt) /* NULL is fine */
{
	if (rt)
		rt->ops->close(rt);
}
SL_CLEANUP_DEFINE(sl_runtime_close, struct sl_runtime *)
