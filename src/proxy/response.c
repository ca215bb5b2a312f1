#include "proxy/worker_priv.h"

enum { JOIN_BYTES_MOST = 8 << 10 /* as for requests */ };

static void send_two(struct sl_downstream *d, const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
	struct iovec parts[2] = { { .iov_base = (void *)(uintptr_t)a, .iov_len = a_bytes },
		{ .iov_base = (void *)(uintptr_t)b, .iov_len = b_bytes } };

	sl_downstream_send(d, parts, b_bytes ? 2 : 1);
}

/* Content out of its chunks, for a client that knows none. Appends to out; *ret_used as far as the body goes. */
static sl_err decode(struct sl_stream *s, const char *p, size_t n, struct sl_buf *out, size_t *ret_used)
{
	struct sl_http1_piece piece;

	*ret_used = 0;
	while (*ret_used < n && !s->response_body.done) {
		SL_TRY(sl_http1_body_next(&s->response_body, p + *ret_used, n - *ret_used, &piece));
		sl_buf_str_add(out, piece.content);
		*ret_used += piece.used_bytes;
	}
	return SL_OK;
}

/* ---- the body ---- */

static bool body_bytes(struct sl_downstream *d, struct sl_upstream *u, const char *p, size_t n)
{
	struct sl_stream *s = &d->s;
	size_t used = n;
	sl_err err;

	if (SL_UNLIKELY(s->decode)) {
		struct sl_buf *out = &d->worker->tx;

		sl_buf_clear(out);
		err = decode(s, p, n, out, &used);
		if (sl_buf_size(out))
			send_two(d, out->p, out->len, NULL, 0);
	} else {
		err = sl_http1_body_raw(&s->response_body, p, n, &used);
		if (used)
			send_two(d, p, used, NULL, 0);
	}
	s->progress = d->worker->loop.now;
	s->sent_bytes = s->response_body.content_bytes;
	if (SL_UNLIKELY(err != SL_OK)) {
		SL_STAT_ADD(d->worker->stats->upstream_protocol_errors_total, 1);
		sl_stream_cut(d, SL_FLAG_UPSTREAM_PROTOCOL);
		return false;
	}
	if (!s->response_body.done)
		return true;
	if (used < n)
		u->reusable = false; /* it said more than it was asked */
	s->response_done = true;
	sl_stream_end(d);
	return false;
}

/* ---- the head ---- */

/* The body bytes that came with the head. Errors: malformed chunks. */
static sl_err body_begin(
        struct sl_downstream *d, const struct sl_http1_head *h, const char *p, size_t n, size_t *ret_used)
{
	struct sl_stream *s = &d->s;

	*ret_used = 0;
	s->response_body.framing = h->framing;
	if (h->framing == SL_HTTP1_NONE) {
		s->response_done = true;
		return SL_OK;
	}
	if (SL_LIKELY(h->framing == SL_HTTP1_LENGTH && h->content_length <= n)) { /* all of it */
		*ret_used = (size_t)h->content_length;
		s->sent_bytes = h->content_length;
		s->response_done = true;
		return SL_OK;
	}
	if (h->framing == SL_HTTP1_TUNNEL)
		return SL_OK;
	sl_http1_body_init(&s->response_body, h, &d->worker->limits);
	if (s->decode)
		return SL_OK;
	SL_TRY(sl_http1_body_raw(&s->response_body, p, n, ret_used));
	s->sent_bytes = s->response_body.content_bytes;
	s->response_done = s->response_body.done;
	return SL_OK;
}

static void send_head(
        struct sl_downstream *d, const struct sl_http1_head *h, const char *p, size_t body_bytes)
{
	struct sl_buf *out = &d->worker->tx;

	if (!sl_forward_response_changes(d, h)) {
		send_two(d, p, h->head_bytes + body_bytes, NULL, 0);
		return;
	}
	sl_buf_clear(out);
	sl_forward_response(d, h, p, out);
	if (body_bytes && out->len + body_bytes <= JOIN_BYTES_MOST) {
		sl_buf_add(out, p + h->head_bytes, body_bytes);
		body_bytes = 0;
	}
	send_two(d, out->p, out->len, p + h->head_bytes, body_bytes);
}

static bool final_head(struct sl_downstream *d, struct sl_upstream *u, const struct sl_http1_head *h,
        const char *p, size_t n)
{
	struct sl_stream *s = &d->s;
	size_t used;

	if (SL_UNLIKELY(h->framing == SL_HTTP1_TUNNEL && !s->upgrade && s->method != SL_METHOD_CONNECT)) {
		sl_stream_fail(d, SL_FLAG_UPSTREAM_PROTOCOL); /* nobody asked it to switch */
		return false;
	}
	if (SL_UNLIKELY(sl_stream_retry_status(d, h->status)))
		return false;
	s->decode = s->http10 && h->framing == SL_HTTP1_CHUNKED;
	if (body_begin(d, h, p + h->head_bytes, n - h->head_bytes, &used) != SL_OK) {
		SL_STAT_ADD(d->worker->stats->upstream_protocol_errors_total, 1);
		sl_stream_fail(d, SL_FLAG_UPSTREAM_PROTOCOL);
		return false;
	}
	s->status = h->status;
	s->progress = d->worker->loop.now;
	s->try_deadline = SL_NSEC_MAX;
	s->close_after |= !s->keep_alive || !s->request_done || h->framing == SL_HTTP1_UNTIL_CLOSE ||
	                  s->decode || d->worker->draining || d->listener->draining;
	u->reusable = h->keep_alive && h->head_bytes + used == n;
	send_head(d, h, p, used);
	s->answered = true;
	if (SL_LIKELY(s->response_done)) {
		sl_stream_end(d);
		return false;
	}
	if (h->framing == SL_HTTP1_TUNNEL) {
		struct iovec rest = { .iov_base = (void *)(uintptr_t)(p + h->head_bytes),
			.iov_len = n - h->head_bytes };

		if (rest.iov_len)
			sl_downstream_send(d, &rest, 1);
		sl_tunnel_begin(d);
		return false;
	}
	if (s->decode && n > h->head_bytes)
		return body_bytes(d, u, p + h->head_bytes, n - h->head_bytes);
	return true;
}

/* Keeps an incomplete head until more comes. False where it cannot grow. */
static bool keep_head(struct sl_upstream *u, const char *p, size_t n)
{
	if (u->in && n < u->in->cap) {
		memmove(u->in->p, p, n);
	} else {
		struct sl_chunk *c = sl_chunk_take(u->worker, n + 1);

		if (n >= c->cap)
			return false;
		memcpy(c->p, p, n);
		if (u->in)
			sl_chunk_drop(u->worker, u->in);
		u->in = c;
	}
	u->in_len = (uint32_t)n;
	return true;
}

/* 100 and the like go to the client as they come; HTTP/1.0 knows none. */
static void interim(struct sl_downstream *d, const struct sl_http1_head *h, const char *p)
{
	if (!d->s.http10)
		send_two(d, p, h->head_bytes, NULL, 0);
}

bool sl_response_bytes(struct sl_downstream *d, struct sl_upstream *u, const char *p, size_t n)
{
	struct sl_http1_head *h = &d->worker->response_head;
	struct sl_chunk *held = NULL;
	bool more;

	if (d->s.answered)
		return body_bytes(d, u, p, n);
	for (;;) {
		sl_err err;

		sl_http1_head_init(h);
		err = sl_http1_response(h, p, n, &d->worker->limits, (enum sl_method)d->s.method);
		if (err == SL_ERR_AGAIN) {
			if (keep_head(u, p, n))
				return true;
			err = SL_ERR_TOO_BIG;
		}
		if (err != SL_OK) {
			SL_STAT_ADD(d->worker->stats->upstream_protocol_errors_total, 1);
			sl_account_attempt(d, SL_GUARD_RESET);
			sl_stream_fail(d, SL_FLAG_UPSTREAM_PROTOCOL);
			return false;
		}
		if (SL_LIKELY(h->status >= 200 || h->status == 101))
			break;
		interim(d, h, p);
		p += h->head_bytes;
		n -= h->head_bytes;
		if (!n) {
			if (u->in)
				sl_chunk_drop(d->worker, SL_STEAL(u->in));
			return true;
		}
	}
	/* The bytes may lie in u->in, which belongs to the connection: kept until they are used. */
	held = SL_STEAL(u->in);
	more = final_head(d, u, h, p, n);
	if (held)
		sl_chunk_drop(d->worker, held);
	return more;
}
