#pragma once
/*
 * Reads the log files of one run (logfile.h) as a stream of lines for people: kubectl logs.
 * Ownership: the stream's close frees it.       Threads: its loop's.
 */
#include "loop/loop.h"
#include "runtime/runtime.h"

/*
 * `dir` is a run's folder. A following stream ends when the run has ended (its folder has `exit`) and all is read.
 * Errors: SL_ERR_NOT_FOUND (no such folder), SL_ERR_UNAVAILABLE (out of descriptors or inotify watches).
 */
sl_err sl_log_open(struct sl_log_stream **ret_stream, struct sl_loop *loop, const char *dir,
        const struct sl_log_options *options);
