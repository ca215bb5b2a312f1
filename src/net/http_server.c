#include "net/http_server_priv.h"

#include "proto/uri.h"

#include <stdio.h>
#include <time.h>

struct listener_row {
	struct sl_list link;
	struct sl_listener l;
	struct sl_dead dead;
};

/* --- the server --- */

static void set_size(size_t *v, size_t to)
{
	if (!*v)
		*v = to;
}

static void set_time(sl_nsec *v, sl_nsec to)
{
	if (!*v)
		*v = to;
}

static void fill_defaults(struct sl_http_limits *l)
{
	set_size(&l->head_most_bytes, 60 * 1024);
	set_size(&l->header_most_count, 100);
	set_size(&l->target_most_bytes, 8 * 1024);
	set_size(&l->body_most_bytes, 4 * 1024 * 1024);
	set_size(&l->connections_most, 4096);
	set_size(&l->stream_high_bytes, 1024 * 1024);
	set_size(&l->stream_most_bytes, 8 * 1024 * 1024);
	set_time(&l->head_timeout, SL_SEC(10));
	set_time(&l->body_timeout, SL_SEC(30));
	set_time(&l->idle_timeout, SL_SEC(120));
	set_time(&l->write_timeout, SL_SEC(60));
	set_time(&l->handshake_timeout, SL_SEC(10));
	if (l->head_most_bytes > SL_HTTP1_HEAD_BYTES_MOST)
		l->head_most_bytes = SL_HTTP1_HEAD_BYTES_MOST;
	if (l->header_most_count > SL_HTTP1_FIELDS_MOST)
		l->header_most_count = SL_HTTP1_FIELDS_MOST;
	if (l->target_most_bytes > l->head_most_bytes)
		l->target_most_bytes = l->head_most_bytes;
	if (l->stream_most_bytes < l->stream_high_bytes)
		l->stream_most_bytes = l->stream_high_bytes;
}

sl_err sl_http_server_new(
        struct sl_http_server **ret_s, struct sl_loop *loop, const struct sl_http_server_config *config)
{
	struct sl_http_server *s = sl_new0(sizeof(*s));

	s->loop = loop;
	s->config = *config;
	if (s->config.tls)
		sl_tls_ctx_ref(s->config.tls);
	fill_defaults(&s->config.limits);
	s->head_limits = (struct sl_http1_limits)SL_HTTP1_LIMITS;
	s->head_limits.head_bytes = (uint32_t)s->config.limits.head_most_bytes;
	s->head_limits.target_bytes = (uint32_t)s->config.limits.target_most_bytes;
	s->head_limits.fields = (uint32_t)s->config.limits.header_most_count;
	sl_list_init(&s->conns);
	sl_list_init(&s->listeners);
	*ret_s = s;
	return SL_OK;
}

static void on_accept(struct sl_listener *l, int fd, const struct sl_addr *peer)
{
	sl_http_server_adopt(l->user, fd, peer);
}

sl_err sl_http_server_listen(struct sl_http_server *s, const struct sl_addr *a,
        const struct sl_listen_options *options, struct sl_addr *ret_bound, struct sl_diag *diag)
{
	struct listener_row *row = sl_new0(sizeof(*row));
	sl_err err = sl_listener_start(&row->l, s->loop, a, options, on_accept, s, diag);

	if (err != SL_OK) {
		sl_free(row);
		return err;
	}
	sl_list_push(&s->listeners, &row->link);
	if (ret_bound)
		*ret_bound = row->l.addr;
	return SL_OK;
}

static void hold_listeners(struct sl_http_server *s, bool hold)
{
	SL_LIST_FOR (node, &s->listeners)
		sl_listener_hold(&SL_LIST_ENTRY(node, struct listener_row, link)->l, hold);
}

static void stop_listeners(struct sl_http_server *s)
{
	SL_LIST_FOR_SAFE (node, &s->listeners) {
		struct listener_row *row = SL_LIST_ENTRY(node, struct listener_row, link);

		sl_list_remove(&row->link);
		sl_listener_stop(&row->l);
		sl_loop_free_later(s->loop, &row->dead, sl_free, row);
	}
}

void sl_http_server_set_tls(struct sl_http_server *s, struct sl_tls_ctx *tls)
{
	struct sl_tls_ctx *old = s->config.tls;

	s->config.tls = tls ? sl_tls_ctx_ref(tls) : NULL;
	sl_tls_ctx_unref(old);
}

size_t sl_http_server_connection_count(const struct sl_http_server *s)
{
	return s->conn_count;
}

const char *sl_http_server_date(struct sl_http_server *s)
{
	if (sl_loop_now(s->loop) >= s->date_until) {
		time_t now = (time_t)(sl_loop_real(s->loop) / SL_SEC(1));
		struct tm tm;

		gmtime_r(&now, &tm);
		strftime(s->date, sizeof(s->date), "%a, %d %b %Y %H:%M:%S GMT",
		        &tm); /* in the C locale: RFC 9110 5.6.7 */
		s->date_until = sl_loop_now(s->loop) + SL_SEC(1) - sl_loop_real(s->loop) % SL_SEC(1);
	}
	return s->date;
}

/* --- the end of requests, connections and the server --- */

static void free_exchange(void *object)
{
	struct sl_http_exchange *x = object;

	sl_arena_fini(&x->arena);
	sl_buf_fini(&x->body);
	sl_buf_fini(&x->extra);
	sl_free(x);
}

static void release(struct sl_http_exchange *x)
{
	struct sl_http_conn *c = x->conn;

	x->conn = NULL;
	c->x = NULL;
	sl_loop_free_later(c->server->loop, &x->dead, free_exchange, x);
}

void sl_http_exchange_gone(struct sl_http_exchange *x)
{
	void (*on_gone)(struct sl_http_req * req) = x->answer == SL_HTTP_ANSWERED ? NULL : x->req.on_gone;

	x->answer = SL_HTTP_ANSWERED;
	if (on_gone)
		on_gone(&x->req);
	if (x->conn) /* still: on_gone may not answer */
		release(x);
}

static void free_conn(void *object)
{
	struct sl_http_conn *c = object;

	sl_transport_fini(&c->t);
	sl_free(c);
}

static void free_server(void *object)
{
	struct sl_http_server *s = object;

	sl_tls_ctx_unref(s->config.tls);
	sl_free(s);
}

static void look_for_the_end(struct sl_http_server *s)
{
	void (*drained)(void *arg) = s->drained;

	if (s->conn_count)
		return;
	if (s->freed) {
		sl_loop_free_later(s->loop, &s->dead, free_server, s);
	} else if (s->draining && drained) {
		s->drained = NULL;
		drained(s->drained_arg);
	}
}

static void on_close(struct sl_transport *t, sl_err why)
{
	struct sl_http_conn *c = t->user;
	struct sl_http_server *s = c->server;

	(void)why;
	if (c->x)
		sl_http_exchange_gone(c->x);
	sl_timer_stop(s->loop, &c->read_timer);
	sl_timer_stop(s->loop, &c->write_timer);
	sl_list_remove(&c->link);
	if (s->conn_count-- == s->config.limits.connections_most)
		hold_listeners(s, false);
	sl_loop_free_later(s->loop, &c->dead, free_conn, c);
	look_for_the_end(s);
}

static void close_conn(struct sl_http_conn *c)
{
	c->phase = SL_HTTP_ENDED;
	sl_timer_stop(c->server->loop, &c->read_timer);
	sl_transport_close(&c->t);
}

void sl_http_server_drain(struct sl_http_server *s, void (*done)(void *arg), void *arg)
{
	s->draining = true;
	s->drained = done;
	s->drained_arg = arg;
	stop_listeners(s);
	SL_LIST_FOR_SAFE (node, &s->conns) {
		struct sl_http_conn *c = SL_LIST_ENTRY(node, struct sl_http_conn, link);

		if (c->phase == SL_HTTP_IDLE)
			close_conn(c);
	}
	look_for_the_end(s);
}

void sl_http_server_free(struct sl_http_server *s)
{
	if (!s)
		return;
	s->freed = true;
	stop_listeners(s);
	SL_LIST_FOR_SAFE (node, &s->conns) {
		struct sl_http_conn *c = SL_LIST_ENTRY(node, struct sl_http_conn, link);

		if (c->x)
			sl_http_exchange_gone(c->x);
		c->phase = SL_HTTP_ENDED;
		sl_transport_abort(&c->t);
	}
	look_for_the_end(s);
}

/* --- timers --- */

static void fail_request(struct sl_http_conn *c, int status, const char *text);

static void on_read_timer(struct sl_loop *loop, struct sl_timer *timer)
{
	struct sl_http_conn *c = SL_CONTAINER_OF(timer, struct sl_http_conn, read_timer);

	(void)loop;
	switch (c->phase) {
	case SL_HTTP_HEAD:
		fail_request(c, 408, "the request's head did not come in time");
		break;
	case SL_HTTP_BODY:
		fail_request(c, 408, "the request's body did not come in time");
		break;
	case SL_HTTP_IDLE:
		close_conn(c);
		break;
	case SL_HTTP_WAIT:
	case SL_HTTP_ENDED:
		break;
	}
}

static void on_write_timer(struct sl_loop *loop, struct sl_timer *timer)
{
	struct sl_http_conn *c = SL_CONTAINER_OF(timer, struct sl_http_conn, write_timer);

	(void)loop;
	if (sl_transport_queued(&c->t) == 0)
		return;
	if (c->t.bytes_out == c->written_before)
		sl_transport_abort(
		        &c->t); /* the client stopped reading; its request is told that it is gone */
	else
		sl_http_conn_written(c);
}

void sl_http_conn_written(struct sl_http_conn *c)
{
	if (sl_timer_armed(&c->write_timer))
		return;
	c->written_before = c->t.bytes_out;
	sl_timer_in(c->server->loop, &c->write_timer, c->server->config.limits.write_timeout);
}

/* --- reading --- */

static void start_exchange(struct sl_http_conn *c)
{
	struct sl_http_exchange *x = sl_new0(sizeof(*x));

	x->conn = c;
	c->x = x;
	x->req.server_user = c->server->config.user;
	x->req.loop = c->server->loop;
	x->req.arena = &x->arena;
	x->req.peer = &c->t.peer;
}

/* Answers what cannot be served, and closes: where the next request would begin is unknown. */
static void fail_request(struct sl_http_conn *c, int status, const char *text)
{
	if (!c->x)
		start_exchange(c);
	if (c->x->answer != SL_HTTP_UNANSWERED) {
		/* The answer is on its way already, for a request that now turns out broken: it cannot be made good. */
		sl_transport_abort(&c->t);
		return;
	}
	if (c->x->req.on_gone)
		SL_STEAL(c->x->req.on_gone)(&c->x->req);
	c->x->keep_alive = false;
	sl_http_reply(&c->x->req, status, "text/plain", sl_str_c(text));
}

static void fill_request(struct sl_http_exchange *x, const struct sl_http1_head *h, sl_str raw)
{
	const char *p = sl_arena_str(&x->arena, raw).p;
	struct sl_http_pair *headers =
	        sl_arena_zalloc_array(&x->arena, (size_t)h->field_count + 1, sizeof(*headers));
	struct sl_uri uri;

	x->req.method = sl_http1_str(p, h->method_at);
	x->req.target = sl_http1_str(p, h->target);
	x->req.host = sl_http1_str(p, h->authority);
	x->req.minor = h->minor;
	if (h->form != SL_HTTP1_FORM_AUTHORITY && sl_uri_split(x->req.target, &uri) == SL_OK) {
		x->req.path = uri.path;
		x->req.query = uri.query;
	}
	for (size_t i = 0; i < h->field_count; i++)
		headers[i] = (struct sl_http_pair) { sl_http1_name(h, p, i), sl_http1_value(h, p, i) };
	x->req.headers = headers;
	x->req.header_count = h->field_count;
	x->is_head = h->method == SL_METHOD_HEAD;
	x->keep_alive = h->keep_alive;
	x->expects_100 = h->expect_100 && h->minor >= 1;
}

/* The body is complete, and the request the handler's. */
static void hand_over(struct sl_http_conn *c)
{
	struct sl_http_exchange *x = c->x;

	c->phase = SL_HTTP_WAIT;
	sl_timer_stop(c->server->loop, &c->read_timer);
	x->req.body = sl_buf_str(&x->body);
	if (x->req.on_body)
		x->req.on_body(&x->req, SL_STR_NONE, true);
	else if (x->answer == SL_HTTP_UNANSWERED) /* else: a stream begun in on_head */
		c->server->config.on_request(&x->req);
}

/* The head is complete: the first word is the handler's, then the limits'. */
static void take_head(struct sl_http_conn *c)
{
	const struct sl_http1_head *h = &c->head;
	struct sl_http_server *s = c->server;
	struct sl_http_exchange *x;

	start_exchange(c);
	x = c->x;
	fill_request(x, h, sl_str_first(sl_buf_str(&c->t.in), h->head_bytes));
	if (c->t.tls)
		x->req.tls_peer = sl_tls_peer(c->t.tls);
	sl_buf_consume(&c->t.in, h->head_bytes);
	sl_http1_body_init(&c->body, h, &s->head_limits);
	c->phase = c->body.done ? SL_HTTP_WAIT : SL_HTTP_BODY;
	sl_timer_stop(s->loop, &c->read_timer);
	if (!c->body.done)
		sl_timer_in(s->loop, &c->read_timer, s->config.limits.body_timeout);
	if (h->method == SL_METHOD_CONNECT) {
		fail_request(c, 405, "CONNECT is not served here");
		return;
	}
	if (s->config.on_head)
		s->config.on_head(&x->req);
	if (c->x != x || x->answer != SL_HTTP_UNANSWERED)
		return;
	if (c->body.done) {
		hand_over(c);
		return;
	}
	if (!x->req.on_body && h->framing == SL_HTTP1_LENGTH &&
	        h->content_length > s->config.limits.body_most_bytes) {
		fail_request(c, 413, "the request's body is over the size limit");
		return;
	}
	if (x->expects_100 && sl_buf_size(&c->t.in) == 0)
		sl_transport_write_str(&c->t, SL_STR("HTTP/1.1 100 Continue\r\n\r\n"));
}

static bool read_head(struct sl_http_conn *c)
{
	sl_str in = sl_buf_str(&c->t.in);
	sl_err err = sl_http1_request(&c->head, in.p, in.len, &c->server->head_limits);

	if (err == SL_ERR_AGAIN)
		return false;
	if (err != SL_OK)
		fail_request(c, sl_http1_fault_status(c->head.fault), sl_http1_fault_text(c->head.fault));
	else
		take_head(c);
	return true;
}

static void take_piece(struct sl_http_conn *c, sl_str content)
{
	struct sl_http_exchange *x = c->x;

	if (content.len == 0)
		return;
	if (x->req.on_body) {
		x->req.on_body(&x->req, content, false);
		return;
	}
	if (sl_buf_size(&x->body) + content.len > c->server->config.limits.body_most_bytes)
		fail_request(c, 413, "the request's body is over the size limit");
	else
		sl_buf_str_add(&x->body, content);
}

static bool read_body(struct sl_http_conn *c)
{
	struct sl_http_exchange *x = c->x;
	struct sl_http1_piece piece = { 0 };
	sl_str in = sl_buf_str(&c->t.in);

	if (in.len == 0)
		return false;
	if (sl_http1_body_next(&c->body, in.p, in.len, &piece) != SL_OK) {
		fail_request(c, sl_http1_fault_status(c->body.fault), sl_http1_fault_text(c->body.fault));
		return true;
	}
	sl_timer_in(c->server->loop, &c->read_timer, c->server->config.limits.body_timeout);
	take_piece(c, piece.content);
	/* The handler may have answered early, which ends the connection; the bytes are the transport's to drop. */
	if (c->phase != SL_HTTP_BODY || c->x != x)
		return true;
	sl_buf_consume(&c->t.in, piece.used_bytes);
	if (c->body.done)
		hand_over(c);
	return true;
}

static bool start_head(struct sl_http_conn *c)
{
	/* A client that pipelines must read as well: its next request waits until its answers have left. */
	if (sl_buf_size(&c->t.in) == 0 || sl_transport_full(&c->t))
		return false;
	sl_http1_head_init(&c->head);
	c->phase = SL_HTTP_HEAD;
	sl_timer_stop(c->server->loop, &c->read_timer);
	sl_timer_in(c->server->loop, &c->read_timer, c->server->config.limits.head_timeout);
	return true;
}

/* One step of reading; false when it needs more bytes or has to wait for the handler. */
static bool read_step(struct sl_http_conn *c)
{
	switch (c->phase) {
	case SL_HTTP_IDLE:
		return start_head(c);
	case SL_HTTP_HEAD:
		return read_head(c);
	case SL_HTTP_BODY:
		return read_body(c);
	case SL_HTTP_WAIT:
	case SL_HTTP_ENDED:
		break;
	}
	return false;
}

static void read_requests(struct sl_http_conn *c)
{
	c->in_read = true;
	while (sl_transport_is_open(&c->t) && read_step(c))
		;
	c->in_read = false;
	if (!c->eof || !sl_transport_is_open(&c->t) || (c->phase == SL_HTTP_IDLE && sl_buf_size(&c->t.in)))
		return;
	/* No more will come. Whoever is still being answered is waited for, except streams, which might never end. */
	if (c->phase != SL_HTTP_WAIT)
		close_conn(c);
	else if (c->x && c->x->answer == SL_HTTP_STREAMING)
		sl_transport_abort(&c->t);
}

static void on_read(struct sl_transport *t)
{
	read_requests(t->user);
}

static void on_eof(struct sl_transport *t)
{
	struct sl_http_conn *c = t->user;

	c->eof = true;
	read_requests(c);
}

static void on_drain(struct sl_transport *t)
{
	struct sl_http_conn *c = t->user;

	if (c->x && c->x->answer == SL_HTTP_STREAMING && c->x->req.on_drain)
		c->x->req.on_drain(&c->x->req);
	else if (c->phase == SL_HTTP_IDLE)
		sl_transport_resume(t); /* see start_head */
}

static void on_open(struct sl_transport *t)
{
	struct sl_http_conn *c = t->user;

	sl_timer_in(c->server->loop, &c->read_timer, c->server->config.limits.idle_timeout);
}

void sl_http_exchange_finish(struct sl_http_exchange *x)
{
	struct sl_http_conn *c = x->conn;
	bool whole = c->phase == SL_HTTP_WAIT;

	x->answer = SL_HTTP_ANSWERED;
	release(x);
	sl_http_conn_written(c);
	/* An answer before the end of the request's body: what still comes is not worth reading. */
	if (!whole || !x->keep_alive || c->server->draining ||
	        (c->eof && !c->in_read && sl_buf_size(&c->t.in) == 0)) {
		close_conn(c);
		return;
	}
	c->phase = SL_HTTP_IDLE;
	sl_timer_in(c->server->loop, &c->read_timer, c->server->config.limits.idle_timeout);
	if (!c->in_read)
		sl_transport_resume(&c->t); /* pipelined requests */
}

void sl_http_server_adopt(struct sl_http_server *s, int fd, const struct sl_addr *peer)
{
	static const struct sl_transport_ops ops = { .on_open = on_open,
		.on_read = on_read,
		.on_eof = on_eof,
		.on_drain = on_drain,
		.on_close = on_close };
	struct sl_http_conn *c = sl_new0(sizeof(*c));
	struct sl_transport_limits limits = {
		.read_most_bytes = s->config.limits.head_most_bytes + 8 * 1024,
		.write_high_bytes = s->config.limits.stream_high_bytes,
		.open_timeout = s->config.limits.handshake_timeout,
	};

	c->server = s;
	c->read_timer.fn = on_read_timer;
	c->write_timer.fn = on_write_timer;
	sl_list_push(&s->conns, &c->link);
	if (++s->conn_count == s->config.limits.connections_most)
		hold_listeners(s, true);
	sl_transport_init(&c->t, s->loop, &ops, &limits, c);
	sl_transport_start(&c->t, fd, s->config.tls, peer);
}
