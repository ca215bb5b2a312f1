#pragma once
/*
 * Inside the process runtime: the pods it knows, each a state machine over shims, probes and timers.
 *
 *   DIR/UID/CONTAINER/N/    a run (shim.h); N counts restarts; the last two are kept
 *
 * Ownership: the runtime owns its pods, a pod its containers.       Threads: the loop's.
 */
#include "base/map.h"
#include "loop/loop.h"
#include "runtime/ask.h"
#include "runtime/probe.h"
#include "runtime/runtime.h"
#include "runtime/shim.h"

struct sl_pod;

enum sl_probe_kind { SL_PROBE_STARTUP, SL_PROBE_READINESS, SL_PROBE_LIVENESS, SL_PROBE_KINDS };

struct sl_pod_probe {
	struct sl_pod_container *container;
	enum sl_probe_kind kind;
	const json_t *spec; /* NULL: there is none of this kind */
	struct sl_probe machine;
	bool on; /* machine has been started for the current run */
	struct sl_timer timer;
	struct sl_ask ask;
};

enum sl_container_state {
	SL_CONTAINER_WAITING,  /* to be started, at once or by the timer */
	SL_CONTAINER_STARTING, /* its shim is there */
	SL_CONTAINER_RUNNING,
	SL_CONTAINER_ENDED, /* for good */
};

struct sl_pod_container {
	struct sl_pod *pod;
	const json_t *spec; /* borrowed from the pod's body; NULL in a pod that is only being ended */
	char *name;
	enum sl_container_state state;
	char *wait_reason, *wait_text; /* WAITING; may be NULL */
	unsigned run;                  /* number of the current or next run: restartCount */
	bool has_last;
	struct sl_shim_exit last; /* of the run before; ENDED: of the last one */
	struct sl_shim shim;
	struct sl_backoff backoff;
	struct sl_timer start_timer;
	struct sl_pod_probe probes[SL_PROBE_KINDS];
	bool ready, started; /* as in the status */
	bool adopted; /* the current run was found, not made: it keeps the state it had, and we say nothing before the shim has */
};

struct sl_pod {
	struct sl_map_node node; /* by uid */
	struct sl_process_runtime *rt;
	char *uid, *dir;
	json_t *body; /* NULL: of an earlier life, only being ended */
	struct sl_pod_container *containers;
	size_t container_count;
	json_t *told; /* the status last given to the host; NULL before the first */
	struct sl_task report;
	bool stopping;
	struct sl_dead dead;
};

struct sl_process_runtime {
	struct sl_runtime base;
	struct sl_loop *loop;
	struct sl_runtime_host host;
	char *dir, *node_name;
	const char *const *shim_argv;
	uint16_t port_first, port_last;
	uint64_t log_most_bytes;
	unsigned log_files;
	struct sl_fetcher *fetcher; /* of the probes */
	struct sl_map pods;
};

/* --- pod.c --- */

/* Makes a pod of a body, or of a folder alone (body NULL), adopts what runs of it, and in the former case starts what does not. */
struct sl_pod *sl_pod_new(struct sl_process_runtime *rt, sl_str uid, json_t *body);
/* Newer metadata of the same pod. */
void sl_pod_update(struct sl_pod *pod, json_t *body);
void sl_pod_stop(struct sl_pod *pod, sl_nsec grace);
/* Lets go; takes it out of the runtime's map. */
void sl_pod_free(struct sl_pod *pod);
/* DIR/UID/CONTAINER/N; the caller frees. */
char *sl_pod_run_dir(const struct sl_pod *pod, const char *container, unsigned run);
/* The newest run of a container on disk. Errors: SL_ERR_NOT_FOUND. */
sl_err sl_pod_newest_run(const struct sl_pod *pod, const char *container, unsigned *ret_run);
void sl_pod_event(struct sl_pod *pod, bool warning, const char *reason, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));
/* The status is worth telling again: done at the end of the turn, if it has changed. */
void sl_pod_report(struct sl_pod *pod);

/* --- pod_probe.c --- */

/* The container runs: starts its probes. `was_ready`: it was adopted in that state. */
void sl_pod_probes_start(struct sl_pod_container *c, bool was_ready);
void sl_pod_probes_stop(struct sl_pod_container *c);
/* The liveness or startup probe has failed for good (pod.c). */
void sl_pod_container_unhealthy(struct sl_pod_container *c, enum sl_probe_kind kind);

/* --- pod_status.c --- */

/* The whole status; new reference. `now`: Unix time. */
json_t *sl_pod_status(const struct sl_pod *pod, sl_nsec now);
