#include "net/listener.h"

#include <unistd.h>

enum { TURN_SHARE = 64 }; /* accepted at most in one turn */

static void accept_some(struct sl_listener *l)
{
	for (int i = 0; i < TURN_SHARE; i++) {
		struct sl_addr peer;
		sl_err err;
		int fd;

		err = sl_accept(l->io.fd, &fd, &peer);
		if (err == SL_ERR_AGAIN)
			return;
		if (err != SL_OK) {
			/* Out of descriptors: the connection stays in the backlog, and no new edge would tell of it. */
			sl_timer_in(l->loop, &l->pause, SL_MSEC(100));
			return;
		}
		l->accepted_count++;
		l->fn(l, fd, &peer);
		if (l->io.fd < 0 || l->held)
			return;
	}
	sl_loop_defer(l->loop, &l->more);
}

static void on_io(struct sl_loop *loop, struct sl_io *io, uint32_t events)
{
	struct sl_listener *l = SL_CONTAINER_OF(io, struct sl_listener, io);

	(void)loop, (void)events;
	if (!sl_timer_armed(&l->pause) && !l->held)
		accept_some(l);
}

static void on_more(struct sl_loop *loop, struct sl_task *task)
{
	struct sl_listener *l = SL_CONTAINER_OF(task, struct sl_listener, more);

	(void)loop;
	if (!l->held)
		accept_some(l);
}

static void on_pause_over(struct sl_loop *loop, struct sl_timer *timer)
{
	struct sl_listener *l = SL_CONTAINER_OF(timer, struct sl_listener, pause);

	(void)loop;
	if (!l->held)
		accept_some(l);
}

sl_err sl_listener_start(struct sl_listener *l, struct sl_loop *loop, const struct sl_addr *a,
        const struct sl_listen_options *options,
        void (*fn)(struct sl_listener *l, int fd, const struct sl_addr *peer), void *user,
        struct sl_diag *diag)
{
	sl_err err;
	int fd;

	*l = (struct sl_listener) {
		.loop = loop,
		.io = SL_IO_NONE,
		.more.fn = on_more,
		.pause.fn = on_pause_over,
		.fn = fn,
		.user = user,
	};
	err = sl_listen(a, options, &fd, diag);
	if (err != SL_OK) {
		l->loop = NULL;
		return err;
	}
	err = sl_socket_local(fd, &l->addr);
	if (err == SL_OK)
		err = sl_loop_add(loop, &l->io, fd, SL_IO_READ, on_io);
	if (err != SL_OK) {
		sl_fd_close(&fd);
		l->loop = NULL;
	}
	return err;
}

void sl_listener_hold(struct sl_listener *l, bool hold)
{
	if (!l->loop || l->held == hold)
		return;
	l->held = hold;
	if (!hold)
		sl_loop_defer(l->loop, &l->more);
}

void sl_listener_stop(struct sl_listener *l)
{
	if (!l->loop)
		return;
	sl_task_cancel(l->loop, &l->more);
	sl_timer_stop(l->loop, &l->pause);
	sl_loop_close(l->loop, &l->io);
	if (l->addr.sa.sa_family == AF_UNIX && l->addr.un.sun_path[0])
		unlink(l->addr.un.sun_path);
	l->loop = NULL;
}
