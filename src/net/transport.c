#include "net/transport.h"

#include "os/io.h"

#include <stdio.h>

enum {
	READ_MOST_DEFAULT = 64 * 1024,
	WRITE_HIGH_DEFAULT = 256 * 1024,
	PIECE_BYTES = 16 * 1024 + 256, /* a full TLS record with what surrounds it */
	TURN_SHARE_BYTES = 256 * 1024, /* read in one turn, so that one busy peer does not hold the loop */
	IDLE_KEEP_BYTES =
	        2048, /* of an empty buffer; larger ones are given back, for most connections idle */
};

static void trim(struct sl_buf *b)
{
	if (sl_buf_size(b) == 0 && b->cap > IDLE_KEEP_BYTES)
		sl_buf_fini(b);
}

/* --- the end --- */

static void on_ended(struct sl_loop *loop, struct sl_task *task)
{
	struct sl_transport *t = SL_CONTAINER_OF(task, struct sl_transport, ended);
	struct sl_tls *tls = SL_STEAL(t->tls); /* its views are valid in on_close */

	(void)loop;
	t->ops->on_close(t, t->end);
	sl_tls_close(tls);
}

/* Everything ends here, and on_close follows at the end of the turn: no owner is surprised within its own call. */
static void finish(struct sl_transport *t, sl_err why, const char *text)
{
	if (t->state == SL_TRANSPORT_CLOSED)
		return;
	t->state = SL_TRANSPORT_CLOSED;
	if (t->end == SL_OK)
		t->end = why;
	if (text)
		snprintf(t->why_text, sizeof(t->why_text), "%s", text);
	sl_loop_close(t->loop, &t->io);
	sl_timer_stop(t->loop, &t->timer);
	sl_task_cancel(t->loop, &t->flush);
	sl_task_cancel(t->loop, &t->again);
	sl_buf_fini(&t->out);
	sl_buf_fini(&t->wire_in);
	t->ended.fn = on_ended;
	sl_loop_defer(t->loop, &t->ended);
}

static void finish_errno(struct sl_transport *t, int errnum)
{
	finish(t, sl_err_from_errno(errnum), strerror(errnum));
}

static void finish_tls(struct sl_transport *t)
{
	/* The alert that tells the peer why is worth one try. */
	if (sl_buf_size(&t->out))
		(void)!sl_sock_send(t->io.fd, sl_buf_str(&t->out).p, sl_buf_size(&t->out));
	finish(t, SL_ERR_TLS, sl_tls_why(t->tls));
}

static void on_timer(struct sl_loop *loop, struct sl_timer *timer)
{
	struct sl_transport *t = SL_CONTAINER_OF(timer, struct sl_transport, timer);

	(void)loop;
	switch (t->state) {
	case SL_TRANSPORT_CONNECTING:
		finish(t, SL_ERR_TIMEOUT, "no connection in time");
		break;
	case SL_TRANSPORT_HANDSHAKE:
		finish(t, SL_ERR_TIMEOUT, "no TLS handshake in time");
		break;
	case SL_TRANSPORT_CLOSING:
		sl_socket_reset_on_close(t->io.fd); /* the peer must not take what it got for all of it */
		finish(t, SL_ERR_TIMEOUT, "what was queued did not leave in time");
		break;
	case SL_TRANSPORT_LINGERING: /* all was sent; the peer only never said goodbye */
	case SL_TRANSPORT_IDLE:
	case SL_TRANSPORT_OPEN:
	case SL_TRANSPORT_CLOSED:
		finish(t, SL_OK, NULL);
		break;
	}
}

/* --- writing --- */

/* All that was queued is sent: our side ends, and the peer's end is waited for. */
static void shut_side(struct sl_transport *t)
{
	if (t->got_eof) {
		finish(t, SL_OK, NULL);
		return;
	}
	t->state = SL_TRANSPORT_LINGERING;
	shutdown(t->io.fd, SHUT_WR);
	sl_timer_in(t->loop, &t->timer, t->limits.close_timeout);
}

static void write_out(struct sl_transport *t)
{
	while (sl_buf_size(&t->out)) {
		ssize_t n = sl_sock_send(t->io.fd, sl_buf_str(&t->out).p, sl_buf_size(&t->out));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (errno != EAGAIN)
				finish_errno(t, errno);
			break;
		}
		t->bytes_out += (uint64_t)n;
		sl_buf_consume(&t->out, (size_t)n);
	}
	if (t->state == SL_TRANSPORT_CLOSED)
		return;
	if (t->over_high && sl_buf_size(&t->out) <= t->limits.write_low_bytes) {
		t->over_high = false;
		if (t->state == SL_TRANSPORT_OPEN && t->ops->on_drain)
			t->ops->on_drain(t);
	}
	if (t->state == SL_TRANSPORT_CLOSING && sl_buf_size(&t->out) == 0)
		shut_side(t);
	trim(&t->out);
}

static void on_flush(struct sl_loop *loop, struct sl_task *task)
{
	(void)loop;
	write_out(SL_CONTAINER_OF(task, struct sl_transport, flush));
}

void sl_transport_write(struct sl_transport *t, const void *p, size_t n_bytes)
{
	if (t->state != SL_TRANSPORT_OPEN || n_bytes == 0)
		return;
	if (!t->tls)
		sl_buf_add(&t->out, p, n_bytes);
	else if (sl_tls_write(t->tls, &t->wire_in, &t->out, p, n_bytes) != SL_OK)
		finish_tls(t);
	if (t->state == SL_TRANSPORT_CLOSED)
		return;
	t->over_high |= sl_buf_size(&t->out) >= t->limits.write_high_bytes;
	sl_loop_defer(t->loop, &t->flush);
}

bool sl_transport_full(const struct sl_transport *t)
{
	return t->over_high;
}

/* --- reading --- */

/* Receives into *b. *ret_n is 0 when there is nothing now, or nothing any more (got_eof, or finished). */
static void receive(struct sl_transport *t, struct sl_buf *b, size_t most_bytes, size_t *ret_n)
{
	char *to = sl_buf_reserve(b, most_bytes);
	ssize_t n;

	do
		n = sl_sock_recv(t->io.fd, to, most_bytes);
	while (n < 0 && errno == EINTR);
	*ret_n = n > 0 ? (size_t)n : 0;
	if (n > 0) {
		sl_buf_commit(b, (size_t)n);
		t->bytes_in += (uint64_t)n;
	} else if (n == 0) {
		t->readable = false;
		t->got_eof = true;
	} else {
		t->readable = false;
		if (errno != EAGAIN)
			finish_errno(t, errno);
	}
}

static bool tell_read(struct sl_transport *t)
{
	t->ops->on_read(t);
	return t->state == SL_TRANSPORT_OPEN && !t->halted;
}

static void tell_eof(struct sl_transport *t)
{
	if (t->told_eof || t->state != SL_TRANSPORT_OPEN)
		return;
	t->told_eof = true;
	if (t->ops->on_eof) {
		t->ops->on_eof(t);
		return;
	}
	sl_transport_close(t);
	t->end = SL_ERR_EOF;
}

static size_t room_of(const struct sl_transport *t)
{
	size_t have = sl_buf_size(&t->in);

	return have < t->limits.read_most_bytes ? t->limits.read_most_bytes - have : 0;
}

/* Decrypts what has come, as far as there is room. False where the reading ends for now. */
static bool decrypt(struct sl_transport *t)
{
	size_t room = room_of(t), n = 0;
	char *to;
	sl_err err;

	if (room == 0)
		return false;
	if (room > PIECE_BYTES)
		room = PIECE_BYTES;
	to = sl_buf_reserve(&t->in, room);
	err = sl_tls_read(t->tls, &t->wire_in, &t->out, to, room, &n);
	if (sl_buf_size(&t->out))
		sl_loop_defer(t->loop, &t->flush); /* a key update's answer, or an alert */
	if (err == SL_OK) {
		sl_buf_commit(&t->in, n);
		return tell_read(t);
	}
	if (err == SL_ERR_EOF)
		t->got_eof = true;
	else if (err != SL_ERR_AGAIN)
		finish_tls(t);
	return false;
}

static void tell_open(struct sl_transport *t)
{
	t->told_open = true;
	sl_timer_stop(t->loop, &t->timer);
	if (t->ops->on_open)
		t->ops->on_open(t);
}

static void handshake(struct sl_transport *t)
{
	sl_err err = sl_tls_handshake(t->tls, &t->wire_in, &t->out);

	if (err != SL_OK && err != SL_ERR_AGAIN) {
		if (err == SL_ERR_EOF)
			finish(t, SL_ERR_EOF, "closed in the TLS handshake");
		else
			finish_tls(t);
		return;
	}
	if (sl_buf_size(&t->out))
		sl_loop_defer(t->loop, &t->flush);
	if (err == SL_OK) {
		t->state = SL_TRANSPORT_OPEN;
		tell_open(t);
	}
}

/* Does what can be done with what has been received. */
static void work_off(struct sl_transport *t)
{
	if (t->state == SL_TRANSPORT_HANDSHAKE)
		handshake(t);
	while (t->state == SL_TRANSPORT_OPEN && !t->halted && !t->got_eof && decrypt(t))
		;
}

static void read_tls(struct sl_transport *t)
{
	size_t share = TURN_SHARE_BYTES, n;

	work_off(t);
	while (t->readable && !t->halted && !t->got_eof && room_of(t) > 0 &&
	        (t->state == SL_TRANSPORT_HANDSHAKE || t->state == SL_TRANSPORT_OPEN)) {
		receive(t, &t->wire_in, PIECE_BYTES, &n);
		if (n == 0 || n > share)
			break;
		share -= n;
		work_off(t);
	}
	if (t->state == SL_TRANSPORT_HANDSHAKE && t->got_eof)
		finish(t, SL_ERR_EOF, "closed in the TLS handshake");
}

static void read_plain(struct sl_transport *t)
{
	size_t share = TURN_SHARE_BYTES, room, n;

	while (t->readable && !t->halted && !t->got_eof && t->state == SL_TRANSPORT_OPEN &&
	        (room = room_of(t)) > 0) {
		receive(t, &t->in, room < PIECE_BYTES ? room : PIECE_BYTES, &n);
		if (n == 0 || !tell_read(t) || n > share)
			break;
		share -= n;
	}
}

/* Once closing, what comes is dropped; its end is what counts. */
static void read_and_drop(struct sl_transport *t)
{
	char dropped[4096];
	size_t share = TURN_SHARE_BYTES;
	ssize_t n = 0;

	while (!t->got_eof && share > 0 && (n = sl_sock_recv(t->io.fd, dropped, sizeof(dropped))) > 0)
		share -= (size_t)n < share ? (size_t)n : share;
	t->readable = n > 0;
	if (n == 0 || t->got_eof)
		t->got_eof = true;
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		finish_errno(t, errno);
	if (t->got_eof && t->state == SL_TRANSPORT_LINGERING)
		finish(t, SL_OK, NULL);
}

static void read_on(struct sl_transport *t)
{
	if (t->state == SL_TRANSPORT_OPEN && !t->told_open)
		tell_open(t);
	if (t->state == SL_TRANSPORT_HANDSHAKE || t->state == SL_TRANSPORT_OPEN) {
		if (t->tls)
			read_tls(t);
		else
			read_plain(t);
		if (t->got_eof && !t->halted)
			tell_eof(t);
	}
	if (t->readable && (t->state == SL_TRANSPORT_CLOSING || t->state == SL_TRANSPORT_LINGERING))
		read_and_drop(t);
	trim(&t->in);
	trim(&t->wire_in);
	/* The turn's share is used up: go on after the others had theirs. */
	if (t->state != SL_TRANSPORT_CLOSED && t->readable && !t->halted && room_of(t) > 0)
		sl_loop_defer(t->loop, &t->again);
}

static void on_again(struct sl_loop *loop, struct sl_task *task)
{
	struct sl_transport *t = SL_CONTAINER_OF(task, struct sl_transport, again);

	(void)loop;
	if (t->state == SL_TRANSPORT_OPEN && !t->halted && sl_buf_size(&t->in))
		t->ops->on_read(t);
	if (t->state != SL_TRANSPORT_CLOSED)
		read_on(t);
}

void sl_transport_halt(struct sl_transport *t)
{
	t->halted = true;
}

void sl_transport_resume(struct sl_transport *t)
{
	t->halted = false;
	if (t->state == SL_TRANSPORT_OPEN)
		sl_loop_defer(t->loop, &t->again);
}

/* --- opening --- */

static void connected(struct sl_transport *t)
{
	if (t->tls) {
		t->state = SL_TRANSPORT_HANDSHAKE;
		handshake(t);
		return;
	}
	t->state = SL_TRANSPORT_OPEN;
	tell_open(t);
}

static void on_io(struct sl_loop *loop, struct sl_io *io, uint32_t events)
{
	struct sl_transport *t = SL_CONTAINER_OF(io, struct sl_transport, io);
	sl_err err;

	(void)loop;
	if (t->state == SL_TRANSPORT_CONNECTING) {
		err = sl_connect_finish(io->fd);
		if (err == SL_ERR_AGAIN)
			return;
		if (err != SL_OK) {
			finish(t, err, sl_err_text(err));
			return;
		}
		connected(t);
	}
	if (events & (SL_IO_READ | SL_IO_RDHUP | SL_IO_CLOSED))
		t->readable = true;
	/* A reset is noticed also while reading is halted. */
	if ((events & EPOLLERR) && t->state != SL_TRANSPORT_CLOSED &&
	        (err = sl_connect_finish(io->fd)) != SL_OK && err != SL_ERR_AGAIN) {
		finish(t, err, sl_err_text(err));
		return;
	}
	if ((events & SL_IO_WRITE) && t->state != SL_TRANSPORT_CLOSED)
		write_out(t);
	if (t->state != SL_TRANSPORT_CLOSED)
		read_on(t);
}

void sl_transport_init(struct sl_transport *t, struct sl_loop *loop, const struct sl_transport_ops *ops,
        const struct sl_transport_limits *limits, void *user)
{
	static const struct sl_transport_limits none;

	*t = (struct sl_transport) {
		.loop = loop,
		.ops = ops,
		.limits = limits ? *limits : none,
		.user = user,
		.io = SL_IO_NONE,
		.flush.fn = on_flush,
		.again.fn = on_again,
		.timer.fn = on_timer,
	};
	if (!t->limits.read_most_bytes)
		t->limits.read_most_bytes = READ_MOST_DEFAULT;
	if (!t->limits.write_high_bytes)
		t->limits.write_high_bytes = WRITE_HIGH_DEFAULT;
	if (!t->limits.write_low_bytes)
		t->limits.write_low_bytes = t->limits.write_high_bytes / 4;
	if (!t->limits.open_timeout)
		t->limits.open_timeout = SL_SEC(10);
	if (!t->limits.close_timeout)
		t->limits.close_timeout = SL_SEC(5);
}

void sl_transport_fini(struct sl_transport *t)
{
	if (!t->loop)
		return;
	sl_loop_close(t->loop, &t->io);
	sl_timer_stop(t->loop, &t->timer);
	sl_task_cancel(t->loop, &t->flush);
	sl_task_cancel(t->loop, &t->again);
	sl_task_cancel(t->loop, &t->ended);
	sl_tls_close(t->tls);
	t->tls = NULL;
	sl_buf_fini(&t->in);
	sl_buf_fini(&t->out);
	sl_buf_fini(&t->wire_in);
	t->state = SL_TRANSPORT_CLOSED;
}

static sl_err watch(struct sl_transport *t, int fd)
{
	sl_err err = sl_loop_add(t->loop, &t->io, fd, SL_IO_READ | SL_IO_WRITE | SL_IO_RDHUP, on_io);

	if (err != SL_OK)
		sl_fd_close(&fd);
	return err;
}

void sl_transport_start(struct sl_transport *t, int fd, struct sl_tls_ctx *ctx, const struct sl_addr *peer)
{
	sl_err err = ctx ? sl_tls_open(&t->tls, ctx, NULL, NULL) : SL_OK;

	if (peer)
		t->peer = *peer;
	sl_socket_nodelay(fd);
	t->state = ctx ? SL_TRANSPORT_HANDSHAKE : SL_TRANSPORT_OPEN;
	t->readable =
	        true; /* reading first and asking epoll after: the first bytes have often come already */
	if (err == SL_OK)
		err = watch(t, fd);
	else
		sl_fd_close(&fd);
	if (err != SL_OK) {
		finish(t, err, sl_err_text(err));
		return;
	}
	sl_timer_in(t->loop, &t->timer, t->limits.open_timeout);
	sl_loop_defer(t->loop, &t->again);
}

void sl_transport_connect(
        struct sl_transport *t, const struct sl_addr *to, struct sl_tls_ctx *ctx, const char *peer_name)
{
	sl_err err = ctx ? sl_tls_open(&t->tls, ctx, peer_name, NULL) : SL_OK;
	int fd = -1;

	t->peer = *to;
	t->state = SL_TRANSPORT_CONNECTING;
	if (err == SL_OK)
		err = sl_connect_start(to, NULL, &fd);
	/* Also when it is connected already, as a unix socket is: the first event says so, and nothing happens within this call. */
	if (err == SL_OK || err == SL_ERR_AGAIN)
		err = watch(t, fd);
	if (err != SL_OK)
		finish(t, err, sl_err_text(err));
	else
		sl_timer_in(t->loop, &t->timer, t->limits.open_timeout);
}

/* --- closing --- */

void sl_transport_close(struct sl_transport *t)
{
	switch (t->state) {
	case SL_TRANSPORT_OPEN:
		break;
	case SL_TRANSPORT_CONNECTING:
	case SL_TRANSPORT_HANDSHAKE:
		finish(t, SL_ERR_CLOSED, "closed before it was open");
		return;
	case SL_TRANSPORT_IDLE:
	case SL_TRANSPORT_CLOSING:
	case SL_TRANSPORT_LINGERING:
	case SL_TRANSPORT_CLOSED:
		return;
	}
	if (t->tls)
		sl_tls_shutdown(t->tls, &t->out);
	t->state = SL_TRANSPORT_CLOSING;
	t->halted = false;
	t->readable = true;
	sl_buf_clear(&t->in);
	sl_timer_in(t->loop, &t->timer, t->limits.close_timeout);
	sl_loop_defer(t->loop, &t->flush);
	sl_loop_defer(t->loop, &t->again);
}

void sl_transport_abort(struct sl_transport *t)
{
	if (t->state == SL_TRANSPORT_IDLE || t->state == SL_TRANSPORT_CLOSED)
		return;
	if (sl_buf_size(&t->out))
		sl_socket_reset_on_close(t->io.fd);
	finish(t, SL_ERR_CLOSED, "aborted");
}
