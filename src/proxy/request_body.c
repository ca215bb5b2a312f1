#include "proxy/worker_priv.h"

#include <errno.h>

enum { BODY_READS_MOST = 16 /* of one connection in one event: the others want their turn */ };

/* In the chunk while there is room (it can be sent again then), later through the worker's buffer. */
static char *body_room(struct sl_downstream *d, size_t *ret_room)
{
	struct sl_stream *s = &d->s;
	struct sl_worker *w = d->worker;

	if (s->replayable && d->in_len < d->in->cap) {
		*ret_room = d->in->cap - d->in_len;
		return d->in->p + d->in_len;
	}
	if (s->replayable) { /* the chunk keeps the head alone from here on */
		s->replayable = false;
		d->in_len = s->message_end = s->head_at + s->head_bytes;
	}
	*ret_room = sizeof(w->rx);
	if (s->request_body.framing == SL_HTTP1_LENGTH && s->request_body.left < *ret_room)
		*ret_room = (size_t)s->request_body.left; /* what follows stays in the socket */
	return w->rx;
}

/* Bytes behind the body's end are the next request's. */
static void keep_rest(struct sl_downstream *d, const char *p, size_t n)
{
	struct sl_chunk *big;

	if (n > d->in->cap - d->in_len) {
		big = sl_chunk_take(d->worker, d->in_len + n + 1);
		memcpy(big->p, d->in->p, d->in_len);
		sl_chunk_drop(d->worker, d->in);
		d->in = big;
	}
	memcpy(d->in->p + d->in_len, p, n);
	d->in_len += (uint32_t)n;
}

/* Takes n received bytes at p. False: the stream is over, or no more can be taken now. */
static bool body_bytes(struct sl_downstream *d, char *p, size_t n)
{
	struct sl_stream *s = &d->s;
	bool in_chunk = s->replayable;
	struct iovec part = { .iov_base = p };
	size_t used;

	s->progress = d->worker->loop.now;
	if (sl_http1_body_raw(&s->request_body, p, n, &used) != SL_OK) {
		SL_STAT_ADD(d->worker->stats->downstream_protocol_errors_total, 1);
		s->close_after = true;
		sl_stream_fail(d, SL_FLAG_PROTOCOL_ERROR);
		return false;
	}
	s->received_bytes = s->request_body.content_bytes;
	s->request_done = s->request_body.done;
	if (in_chunk) {
		s->message_end = d->in_len + (uint32_t)used;
		d->in_len += (uint32_t)n;
	} else if (used < n) {
		keep_rest(d, p + used, n - used);
	}
	part.iov_len = used;
	if (used && !sl_upstream_send(s->up, &part, 1)) {
		s->up->readable = true; /* an early answer may be there, or the reason */
		sl_upstream_read(s->up);
		return false;
	}
	return !s->request_done && !sl_buf_size(&s->up->out);
}

void sl_stream_request_body(struct sl_downstream *d)
{
	struct sl_stream *s = &d->s;

	if (s->request_done || !s->up || s->up->state != SL_UPSTREAM_BUSY || sl_buf_size(&s->up->out))
		return; /* nothing to read, or not now: the edge stays noted */
	for (int i = 0; i < BODY_READS_MOST && d->readable; i++) {
		size_t room;
		char *p = body_room(d, &room);
		ssize_t n = sl_sock_recv(d->io.fd, p, room);

		if (n < 0 && errno == EAGAIN) {
			d->readable = false;
			return;
		}
		if (n <= 0) {
			sl_downstream_close(d); /* in mid-body: nobody is there to answer */
			return;
		}
		if ((size_t)n < room && !d->ended)
			d->readable = false;
		SL_STAT_ADD(d->worker->stats->downstream_bytes_received_total, (uint64_t)n);
		if (!body_bytes(d, p, (size_t)n))
			return;
	}
	if (d->readable && !d->closed)
		sl_loop_defer(&d->worker->loop, &d->again);
}
