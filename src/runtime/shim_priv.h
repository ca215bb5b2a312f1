#pragma once
/*
 * What both ends of a shim agree on: inherited descriptors, messages, the exit record.
 * Ownership: values.       Threads: any.
 *
 *   to the shim:    "stop GRACE_MS"
 *   from the shim:  "running PID SHIM_PID STARTED_NS" when connected or when it starts; the end of the connection means: look for `exit`
 *
 * One message is one SOCK_SEQPACKET record.
 */
#include "runtime/shim.h"

enum {
	SL_SHIM_FD_CONN = 3,     /* the spawner's connection, there from the start */
	SL_SHIM_FD_LOCK = 4,     /* `lock`, locked */
	SL_SHIM_FD_LISTENER = 5, /* `ctl`, bound and listening */
	SL_SHIM_FD_DIR = 6,      /* the run's folder */
	SL_SHIM_FD_COUNT = 4,
	SL_SHIM_MESSAGE_BYTES = 128, /* at most, with the NUL */
	SL_SHIM_ARGS_BEFORE = 4,     /* "shim" LOG_BYTES LOG_FILES CWD */
};

/* Writes `exit` into the folder in one step. Errors: SL_ERR_IO. */
sl_err sl_shim_exit_write(int dir_fd, const struct sl_shim_exit *exit);
/* Errors: SL_ERR_NOT_FOUND, SL_ERR_MALFORMED. */
sl_err sl_shim_exit_read(int dir_fd, struct sl_shim_exit *ret_exit);

/* The shim's pid and the machine's boot, into the locked file. _read gives 0 when it says nothing of this boot. */
void sl_shim_lock_write(int lock_fd);
pid_t sl_shim_lock_read(int lock_fd);
/* Ends all that a dead shim left: it was the leader of the session. */
void sl_shim_session_kill(pid_t shim_pid);

enum sl_proc_match { SL_PROC_CHILDREN, SL_PROC_SESSION };
/* SIGKILL to every process (ourselves aside) that is a child of `pid`, or in the session of `pid`. Returns how many there were. */
unsigned sl_proc_kill(enum sl_proc_match match, pid_t pid);
