#include "proxy/worker_priv.h"

#include <errno.h>

enum { READS_MOST = 8 };

/*
 * Bytes both ways, each side's end passed on to the other, until both have ended. request_done: the client has; response_done: the upstream.
 */

static void end_if_both(struct sl_downstream *d)
{
	if (!d->s.request_done || !d->s.response_done || sl_buf_size(&d->out))
		return;
	d->closing = true; /* nothing more is said on this connection */
	sl_stream_end(d);
}

void sl_tunnel_begin(struct sl_downstream *d)
{
	struct sl_stream *s = &d->s;
	uint32_t rest_at = s->message_end;

	s->tunnel = s->close_after = s->answered = true;
	s->request_done = s->response_done = false;
	s->route_deadline = s->try_deadline = SL_NSEC_MAX;
	s->progress = d->worker->loop.now;
	s->up->reusable = false;
	if (d->in && d->in_len > rest_at) { /* what the client sent behind the request */
		struct iovec part = { .iov_base = d->in->p + rest_at, .iov_len = d->in_len - rest_at };

		s->received_bytes += part.iov_len;
		d->in_len = rest_at;
		if (!sl_upstream_send(s->up, &part, 1)) {
			sl_downstream_close(d);
			return;
		}
	}
	sl_downstream_deadline(d, sl_stream_deadline(d));
	if (s->up->readable)
		sl_tunnel_up_readable(s->up);
	if (!d->closed && d->s.tunnel && d->readable)
		sl_tunnel_down_readable(d);
}

void sl_tunnel_down_readable(struct sl_downstream *d)
{
	struct sl_stream *s = &d->s;
	struct sl_worker *w = d->worker;
	struct sl_upstream *u = s->up;

	if (!u || u->state != SL_UPSTREAM_BUSY || s->request_done)
		return; /* still connecting: the edge stays noted */
	for (int i = 0; i < READS_MOST && d->readable && !sl_buf_size(&u->out); i++) {
		ssize_t n = sl_sock_recv(d->io.fd, w->rx, sizeof(w->rx));
		struct iovec part = { .iov_base = w->rx, .iov_len = n > 0 ? (size_t)n : 0 };

		if (n < 0 && errno == EAGAIN) {
			d->readable = false;
			return;
		}
		if (n < 0) {
			sl_downstream_close(d);
			return;
		}
		if (n == 0) {
			s->request_done = true;
			shutdown(u->io.fd, SHUT_WR);
			end_if_both(d);
			return;
		}
		s->received_bytes += (uint64_t)n;
		s->progress = w->loop.now;
		if (!sl_upstream_send(u, &part, 1)) {
			sl_downstream_close(d);
			return;
		}
	}
	if (d->readable && !sl_buf_size(&u->out))
		sl_loop_defer(&w->loop, &d->again);
}

void sl_tunnel_up_readable(struct sl_upstream *u)
{
	struct sl_downstream *d = u->down;
	struct sl_stream *s = &d->s;
	struct sl_worker *w = d->worker;

	for (int i = 0; i < READS_MOST && u->readable && !s->response_done && !sl_buf_size(&d->out); i++) {
		ssize_t n = sl_sock_recv(u->io.fd, w->rx, sizeof(w->rx));
		struct iovec part = { .iov_base = w->rx, .iov_len = n > 0 ? (size_t)n : 0 };

		if (n < 0 && errno == EAGAIN) {
			u->readable = false;
			return;
		}
		if (n < 0) {
			sl_downstream_close(d);
			return;
		}
		if (n == 0) {
			s->response_done = true;
			shutdown(d->io.fd, SHUT_WR);
			end_if_both(d);
			return;
		}
		s->sent_bytes += (uint64_t)n;
		s->progress = w->loop.now;
		sl_downstream_send(d, &part, 1);
	}
	if (u->readable && !s->response_done && !sl_buf_size(&d->out))
		sl_loop_rearm(&w->loop, &u->io, u->io.mask);
}
