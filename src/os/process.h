#pragma once
/*
 * Child processes. A process is known by its pid and start time, so that a pid taken over by another is noticed; a pidfd
 * makes its end an event for the loop (readable once it has ended).
 * Ownership: struct sl_process is embedded; sl_process_fini closes its pidfd and leaves the process alone.       Threads: one owner.
 */
#include "base/diag.h"

#include <sys/types.h>

struct sl_process {
	pid_t pid;           /* 0: none */
	int pidfd;           /* -1: none; readable when the process has ended */
	uint64_t start_time; /* clock ticks since boot, /proc/PID/stat field 22 */
};

#define SL_PROCESS_NONE ((struct sl_process) { .pidfd = -1 })

struct sl_spawn {
	const char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH when it has no slash */
	const char *const *env;  /* NULL-terminated "NAME=value"; NULL: ours */
	const char *cwd;         /* NULL: ours */
	int stdin_fd, stdout_fd, stderr_fd; /* -1: /dev/null */
	const int *keep_fds;                /* passed on as 3, 4, ... in this order */
	size_t keep_fd_count;
	bool new_session; /* setsid: leader of its own session and group, out of reach of our terminal */
	bool new_group;   /* leader of its own process group (new_session implies it) */
};

/*
 * The child gets the descriptors named and no others, default signal actions and an empty signal mask.
 * Errors: SL_ERR_NOT_FOUND (no such program or cwd), SL_ERR_FORBIDDEN, SL_ERR_UNAVAILABLE, SL_ERR_IO.
 */
sl_err sl_spawn(const struct sl_spawn *how, struct sl_process *ret_p, struct sl_diag *diag);
/* Attaches to a process that need not be our child. start_time 0: whatever it is. Errors: SL_ERR_NOT_FOUND (gone, or another one). */
sl_err sl_process_open(pid_t pid, uint64_t start_time, struct sl_process *ret_p);
void sl_process_fini(struct sl_process *p);

bool sl_process_alive(const struct sl_process *p); /* the same process, and not ended (a zombie has ended) */

struct sl_exit {
	bool signalled;
	int code; /* exit status, or the signal */
};
/* Collects an ended child without waiting. Errors: SL_ERR_AGAIN (still runs), SL_ERR_NOT_FOUND (not a child of ours). */
sl_err sl_process_reap(struct sl_process *p, struct sl_exit *ret_exit);
/* Blocks until the child ends. For tests and the CLI. Errors: SL_ERR_NOT_FOUND. */
sl_err sl_process_wait(struct sl_process *p, struct sl_exit *ret_exit);
/* To exactly this process. Errors: SL_ERR_NOT_FOUND (ended), SL_ERR_FORBIDDEN. */
sl_err sl_process_signal(const struct sl_process *p, int signo);
/* To the whole group that p leads, also after p itself ended while its group lives. Errors: SL_ERR_NOT_FOUND, SL_ERR_FORBIDDEN. */
sl_err sl_process_signal_group(const struct sl_process *p, int signo);
/* Errors: SL_ERR_NOT_FOUND. */
sl_err sl_process_start_time(pid_t pid, uint64_t *ret_ticks);
