#include "runtime/ask.h"

#include "os/socket.h"

#include <signal.h>
#include <stdio.h>

enum { HEADERS_MOST = 32 };

static void clear(struct sl_ask *ask)
{
	struct sl_loop *loop = ask->loop;

	sl_timer_stop(loop, &ask->timer);
	sl_task_cancel(loop, &ask->task);
	if (ask->fetch)
		sl_fetch_cancel(ask->fetch);
	ask->fetch = NULL;
	if (ask->process.pid) {
		struct sl_exit exit;

		sl_loop_remove(loop, &ask->io);
		if (sl_process_reap(&ask->process, &exit) == SL_ERR_AGAIN) {
			/* Nothing more is asked of a group we kill; waiting for it takes no longer than the kill. */
			SL_IGNORE(sl_process_signal_group(&ask->process, SIGKILL));
			SL_IGNORE(sl_process_wait(&ask->process, &exit));
		}
		sl_process_fini(&ask->process);
	} else {
		sl_loop_close(loop, &ask->io);
	}
	ask->loop = NULL;
}

void sl_ask_cancel(struct sl_ask *ask)
{
	if (ask->loop)
		clear(ask);
}

static void answer(struct sl_ask *ask, bool ok)
{
	sl_ask_fn done = ask->done;

	clear(ask);
	done(ask, ok, ok ? "" : ask->text);
}

static void on_timeout(struct sl_loop *loop, struct sl_timer *t)
{
	struct sl_ask *ask = SL_CONTAINER_OF(t, struct sl_ask, timer);

	(void)loop;
	snprintf(ask->text, sizeof(ask->text), "%s", ask->process.pid ? "command timed out" : "timed out");
	answer(ask, false);
}

static void on_known(struct sl_loop *loop, struct sl_task *task)
{
	struct sl_ask *ask = SL_CONTAINER_OF(task, struct sl_ask, task);

	(void)loop;
	answer(ask, ask->now_ok);
}

static void known(struct sl_ask *ask, bool ok, const char *text)
{
	ask->now_ok = ok;
	snprintf(ask->text, sizeof(ask->text), "%s", text);
	sl_loop_defer(ask->loop, &ask->task);
}

static void begin(struct sl_ask *ask, struct sl_loop *loop, sl_nsec timeout, sl_ask_fn done)
{
	sl_ask_cancel(ask);
	*ask = (struct sl_ask) {
		.loop = loop,
		.done = done,
		.io = SL_IO_NONE,
		.process = SL_PROCESS_NONE,
		.timer.fn = on_timeout,
		.task.fn = on_known,
	};
	sl_timer_in(loop, &ask->timer, timeout);
}

/* --- HTTP --- */

static void on_fetched(struct sl_fetch *f, const struct sl_fetch_response *r)
{
	struct sl_ask *ask = sl_fetch_user(f);
	bool ok = r->err == SL_OK && r->status >= 200 && r->status < 400;

	ask->fetch = NULL;
	if (r->err == SL_OK)
		snprintf(ask->text, sizeof(ask->text), "HTTP probe failed with statuscode: %d", r->status);
	else
		snprintf(ask->text, sizeof(ask->text), "%s", r->detail[0] ? r->detail : sl_err_text(r->err));
	answer(ask, ok);
}

void sl_ask_http(struct sl_ask *ask, struct sl_loop *loop, struct sl_fetcher *fetcher, const char *url,
        const struct sl_http_pair *headers, size_t header_count, sl_nsec timeout, sl_ask_fn done)
{
	/* A connection of its own each time: a probe that rides an old one does not see that no new one is accepted. */
	struct sl_http_pair all[HEADERS_MOST + 2] = {
		{ SL_STR("User-Agent"), SL_STR("kube-probe/1.32 sluice/" SL_VERSION) },
		{ SL_STR("Connection"), SL_STR("close") },
	};
	struct sl_fetch_request request = {
		.url = url,
		.headers = all,
		.header_count = 2,
		.timeout = timeout,
		.body_most_bytes = 1 << 20,
		.insecure = true,
		.on_done = on_fetched,
		.user = ask,
	};

	for (size_t i = 0; i < header_count && i < HEADERS_MOST; i++) {
		bool agent = sl_str_eq_nocase(headers[i].name, SL_STR("User-Agent"));

		all[agent ? 0 : request.header_count++] = headers[i];
	}
	begin(ask, loop, timeout, done);
	if (sl_fetch_start(fetcher, &request, &ask->fetch) != SL_OK) {
		ask->fetch = NULL;
		known(ask, false, "the probe's URL or a header of it is malformed");
	}
}

/* --- TCP --- */

static void on_socket(struct sl_loop *loop, struct sl_io *io, uint32_t events)
{
	struct sl_ask *ask = SL_CONTAINER_OF(io, struct sl_ask, io);
	sl_err err = sl_connect_finish(io->fd);

	(void)loop, (void)events;
	if (err == SL_ERR_AGAIN)
		return;
	snprintf(ask->text, sizeof(ask->text), "%s", sl_err_text(err));
	answer(ask, err == SL_OK);
}

void sl_ask_tcp(
        struct sl_ask *ask, struct sl_loop *loop, sl_str ip, uint16_t port, sl_nsec timeout, sl_ask_fn done)
{
	struct sl_addr addr;
	int fd = -1;

	begin(ask, loop, timeout, done);
	sl_err err = sl_addr_from_ip(&addr, ip, port);
	if (err == SL_OK)
		err = sl_connect_start(&addr, NULL, &fd);
	if (err == SL_ERR_AGAIN && (err = sl_loop_add(loop, &ask->io, fd, SL_IO_WRITE, on_socket)) == SL_OK)
		return; /* the descriptor is the ask's now */
	known(ask, err == SL_OK, sl_err_text(err));
	sl_fd_close(&fd);
}

/* --- a command --- */

static void on_exit_of(struct sl_loop *loop, struct sl_io *io, uint32_t events)
{
	struct sl_ask *ask = SL_CONTAINER_OF(io, struct sl_ask, io);
	struct sl_exit exit;
	sl_err err = sl_process_reap(&ask->process, &exit);

	(void)loop, (void)events;
	if (err == SL_ERR_AGAIN)
		return;
	snprintf(ask->text, sizeof(ask->text), "command %s %d",
	        exit.signalled ? "ended by signal" : "exited with", exit.code);
	bool ok = err == SL_OK && !exit.signalled && exit.code == 0;

	sl_loop_remove(ask->loop, &ask->io);
	sl_process_fini(&ask->process);
	answer(ask, ok);
}

void sl_ask_exec(struct sl_ask *ask, struct sl_loop *loop, const struct sl_spawn *command, sl_nsec timeout,
        sl_ask_fn done)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	struct sl_spawn how = *command;

	begin(ask, loop, timeout, done);
	how.stdin_fd = how.stdout_fd = how.stderr_fd = -1;
	how.new_group = true;
	if (sl_spawn(&how, &ask->process, &diag) != SL_OK)
		known(ask, false, sl_diag_text(&diag));
	else if (sl_loop_add(loop, &ask->io, ask->process.pidfd, SL_IO_READ, on_exit_of) != SL_OK)
		known(ask, false, "out of descriptors");
}
