#pragma once
/*
 * Asks a container one question for a probe: an HTTP request, a TCP connection or a command, with a time limit.
 * Ownership: struct sl_ask is embedded and must stay in memory until the end of the turn it was cancelled or answered in.
 * Threads: its loop's. `done` never comes from within sl_ask_*; it may begin another question or cancel.
 */
#include "base/diag.h"
#include "loop/loop.h"
#include "net/fetch.h"
#include "os/process.h"

struct sl_ask;
/* text: why not; "" when ok. */
typedef void (*sl_ask_fn)(struct sl_ask *ask, bool ok, const char *text);

struct sl_ask {
	struct sl_loop *loop; /* NULL: nothing is being asked */
	sl_ask_fn done;
	struct sl_io io; /* the socket, or the command's pidfd */
	struct sl_timer timer;
	struct sl_task task; /* an answer known at once */
	struct sl_fetch *fetch;
	struct sl_process process;
	bool now_ok;
	char text[200];
};

/* 200 to 399 is success. `headers` may replace User-Agent and Host. */
void sl_ask_http(struct sl_ask *ask, struct sl_loop *loop, struct sl_fetcher *fetcher, const char *url,
        const struct sl_http_pair *headers, size_t header_count, sl_nsec timeout, sl_ask_fn done);
void sl_ask_tcp(
        struct sl_ask *ask, struct sl_loop *loop, sl_str ip, uint16_t port, sl_nsec timeout, sl_ask_fn done);
/* Exit status 0 is success. When time is up the command's group is killed. */
void sl_ask_exec(struct sl_ask *ask, struct sl_loop *loop, const struct sl_spawn *command, sl_nsec timeout,
        sl_ask_fn done);
void sl_ask_cancel(struct sl_ask *ask); /* fine when nothing is asked */
