#pragma once
/*
 * A shim keeps one process over restarts of the control plane: it is its parent (and the reaper of all it leaves behind),
 * writes its output to log files kept by size, records how it ended, and takes orders over a socket. One shim per run of one
 * process; who wants a restart spawns another. Used for containers and for sluice-proxy.
 *
 * A run's folder:  lock   held (flock) by the living shim and by no one else: whether it lives is asked of the kernel
 *                  ctl    the shim's socket: any number of control planes, one after another
 *                  log, log.1, ...   output, newest first, in the line format of Kubernetes' CRI (logfile.h)
 *                  exit   how it ended, written in one step before anyone is told
 *
 * If the shim itself is killed, its process gets SIGKILL from the kernel (PR_SET_PDEATHSIG) and whoever holds or next adopts the
 * run kills the rest of its session and writes `exit` in its place.
 *
 * Ownership: struct sl_shim is embedded; sl_shim_fini lets go and leaves the process running. The folder is the caller's.
 * Threads: its loop's. on_change never comes from within spawn, adopt, stop or fini.
 */
#include "base/diag.h"
#include "loop/loop.h"
#include "os/process.h"

#include <sys/types.h>

enum sl_shim_state {
	SL_SHIM_NONE,     /* nothing spawned or adopted */
	SL_SHIM_STARTING, /* the shim is there, its process not yet */
	SL_SHIM_RUNNING,
	SL_SHIM_EXITED, /* see .exit; nothing of it runs any more */
};

struct sl_shim_exit {
	int code;           /* exit status; 128 + signal; 128 when it could not be started */
	int signal;         /* that ended it, or 0 */
	sl_nsec started_at; /* Unix time; 0 when it never ran */
	sl_nsec ended_at;
	char reason[32]; /* "Completed", "Error", "StartError", "Lost" (the shim was killed) */
	char text[160];  /* for StartError and Lost; else empty */
};

struct sl_shim {
	enum sl_shim_state state;
	pid_t pid;          /* of the process, once RUNNING */
	pid_t shim_pid;     /* session leader of all it starts */
	sl_nsec started_at; /* Unix time, once RUNNING */
	struct sl_shim_exit exit;
	void (*on_change)(struct sl_shim *shim); /* the state has changed */

	/* private */
	struct sl_loop *loop;
	char *dir;
	struct sl_io io;           /* the control connection */
	struct sl_process process; /* the shim, where it is our child: to be waited for */
	struct sl_io child_io;     /* its pidfd */
};

struct sl_shim_config {
	const char *dir; /* made when missing; must hold no earlier run */
	const char *const *
	        shim_argv; /* NULL-terminated: what runs sl_shim_main; NULL: sluice-shim beside our own program, or that and "shim" */
	const char *const *argv; /* of the process; argv[0] is looked up in PATH of env */
	const char *const *env;
	const char *cwd;         /* NULL: the run's folder */
	uint64_t log_most_bytes; /* per file; 0: 10 MiB */
	unsigned log_files;      /* 0: 5 */
};

/* Errors: SL_ERR_EXISTS (the folder holds a run), SL_ERR_IO and what sl_spawn says. A command that cannot be started is no error: StartError. */
sl_err sl_shim_spawn(struct sl_shim *shim, struct sl_loop *loop, const struct sl_shim_config *config,
        void (*on_change)(struct sl_shim *shim), struct sl_diag *diag);
/*
 * Takes over the run in `dir`: state is STARTING, RUNNING or EXITED on return (no on_change comes for that).
 * Errors: SL_ERR_NOT_FOUND (no run there), SL_ERR_IO.
 */
sl_err sl_shim_adopt(struct sl_shim *shim, struct sl_loop *loop, const char *dir,
        void (*on_change)(struct sl_shim *shim), struct sl_diag *diag);
/* How the run in `dir` ended, from its record alone. Errors: SL_ERR_NOT_FOUND (it has not, or there is none), SL_ERR_MALFORMED. */
sl_err sl_shim_ended(const char *dir, struct sl_shim_exit *ret_exit);
/* SIGTERM to the process's group now, SIGKILL after `grace`, carried out by the shim even if we are gone by then. No-op when EXITED. */
void sl_shim_stop(struct sl_shim *shim, sl_nsec grace);
void sl_shim_fini(struct sl_shim *shim); /* fine on an all-zero one */

/* The program: "SHIM LOG_BYTES LOG_FILES CWD COMMAND ARG..."; main calls it first thing when argv[1] is "shim", with argv + 1. */
int sl_shim_main(int argc, char **argv);
