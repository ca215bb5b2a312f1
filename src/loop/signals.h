#pragma once
/*
 * Signals as events of a loop, through signalfd.
 * Ownership: struct sl_signals is embedded.       Threads: block in the main thread before any other starts; the rest is the loop's.
 */
#include "loop/loop.h"

#include <signal.h>

struct sl_signals {
	struct sl_io io;
	void (*fn)(struct sl_signals *s, int signo);
};

/* Blocks these signals (0-terminated list) for this thread and those it starts, and ignores SIGPIPE. */
void sl_signals_block(const int *signos);
/* fn for each arrival. The signals must have been blocked. Errors: SL_ERR_UNAVAILABLE. */
sl_err sl_signals_start(struct sl_loop *loop, struct sl_signals *s, const int *signos,
        void (*fn)(struct sl_signals *s, int signo));
void sl_signals_stop(struct sl_loop *loop, struct sl_signals *s);
