#include "proxy/worker_priv.h"

#include "proxy/split.h"

#include <errno.h>

enum {
	JOIN_BYTES_MOST = 8 << 10, /* a head and the body behind it go out as one piece up to here, by copy */
	DEFAULT_RETRIES = 2,       /* where the route says nothing, as Istio */
	DEFAULT_RETRY_ON = SL_RETRY_CONNECT_FAILURE | SL_RETRY_REFUSED_STREAM,
};

/* ---- attempts ---- */

/*
 * The endpoint's own count keeps it alive, the counted one is what others see. An endpoint that left the mesh and came back
 * is two here and one there: so both are stepped, neither is copied.
 */
static void endpoint_begin(struct sl_endpoint *e)
{
	e->active++;
	SL_STAT_ADD(e->stats->in_flight, 1);
}

static void endpoint_end(struct sl_endpoint *e)
{
	e->active--;
	SL_STAT_ADD(e->stats->in_flight, -1u);
	sl_endpoint_release(e);
}

static void attempt_begin(struct sl_downstream *d)
{
	struct sl_stream *s = &d->s;
	struct sl_cluster *c = s->cluster;

	s->begun = true;
	s->attempts++;
	c->active++;
	SL_STAT_SET(c->stats->in_flight, c->active);
	SL_STAT_ADD(c->stats->issued, 1);
	if (s->attempts > 1) {
		s->retrying = true;
		c->retrying++;
		SL_STAT_ADD(c->stats->retries, 1);
		SL_STAT_ADD(d->worker->stats->upstream_retries_total, 1);
	}
}

static void attempt_end(struct sl_downstream *d, bool failed)
{
	struct sl_stream *s = &d->s;
	struct sl_cluster *c = s->cluster;
	struct sl_endpoint *e = SL_STEAL(s->endpoint);

	if (!s->begun)
		return;
	s->begun = false;
	c->active--;
	SL_STAT_SET(c->stats->in_flight, c->active);
	if (failed)
		SL_STAT_ADD(c->stats->error, 1);
	else
		SL_STAT_ADD(c->stats->ok, 1);
	if (s->retrying)
		c->retrying--;
	s->retrying = false;
	if (s->waiting) {
		s->waiting = false;
		sl_list_remove(&d->wait);
		c->waiting_count--;
		SL_STAT_SET(c->stats->waiting, c->waiting_count);
	}
	if (e) {
		endpoint_end(e);
	}
}

/* Lets go of the upstream connection: into the pool, if it may be used again. */
static void detach(struct sl_stream *s)
{
	struct sl_upstream *u = SL_STEAL(s->up);

	if (u)
		sl_upstream_release(u);
}

const struct sl_http1_head *sl_stream_head(struct sl_downstream *d)
{
	struct sl_worker *w = d->worker;

	if (SL_UNLIKELY(w->head_of != d)) { /* others were parsed since */
		sl_http1_head_init(&w->head);
		SL_IGNORE(sl_http1_request(&w->head, d->in->p + d->s.head_at, d->s.head_bytes,
		        &w->limits)); /* was fine before */
		w->head_of = d;
	}
	return &w->head;
}

static void send_request(struct sl_downstream *d)
{
	struct sl_worker *w = d->worker;
	struct sl_stream *s = &d->s;
	uint32_t body_at = s->head_at + s->head_bytes;
	struct iovec parts[2];
	size_t count = 1;

	sl_buf_clear(&w->tx);
	sl_forward_request(d, sl_stream_head(d), &w->tx);
	if (s->message_end > body_at && sl_buf_size(&w->tx) + (s->message_end - body_at) <= JOIN_BYTES_MOST) {
		sl_buf_add(&w->tx, d->in->p + body_at, s->message_end - body_at);
	} else if (s->message_end > body_at) {
		parts[1] = (struct iovec) { .iov_base = d->in->p + body_at,
			.iov_len = s->message_end - body_at };
		count = 2;
	}
	parts[0] = (struct iovec) { .iov_base = w->tx.p, .iov_len = w->tx.len };
	s->up->requests++;
	s->progress = w->loop.now;
	s->try_deadline = s->route->mesh->retry.per_try_timeout
	                          ? w->loop.now + s->route->mesh->retry.per_try_timeout
	                          : SL_NSEC_MAX;
	if (!sl_upstream_send(s->up, parts, count)) {
		sl_stream_upstream_lost(d, sl_err_from_errno(errno), true);
		return;
	}
	sl_downstream_deadline(d, sl_stream_deadline(d));
	if (!s->request_done && d->readable && !d->processing)
		sl_stream_request_body(d);
}

static void attach(struct sl_downstream *d, struct sl_endpoint *e, struct sl_upstream *u)
{
	struct sl_stream *s = &d->s;

	s->endpoint = e;
	endpoint_begin(e);
	s->up = u;
	u->down = d;
}

static void attempt_failed(
        struct sl_downstream *d, uint32_t on, enum sl_guard_outcome outcome, enum sl_flag flag);

/* All connections are taken: one that is idle at another endpoint, else the stream waits in line. */
static void wait_for_connection(struct sl_downstream *d)
{
	struct sl_cluster *c = d->s.cluster;

	for (uint32_t i = 0; i < c->ready_count; i++) {
		struct sl_upstream *u = sl_upstream_take(c->ready[i]);

		if (!u)
			continue;
		attach(d, c->ready[i], u);
		send_request(d);
		return;
	}
	if (c->waiting_count >= c->max_waiting) {
		SL_STAT_ADD(c->stats->overflows, 1);
		SL_STAT_ADD(c->stats->dropped, 1);
		sl_stream_fail(d, SL_FLAG_OVERFLOW);
		return;
	}
	d->s.waiting = true;
	sl_list_push(&c->waiting, &d->wait);
	c->waiting_count++;
	SL_STAT_SET(c->stats->waiting, c->waiting_count);
	sl_downstream_deadline(d, sl_stream_deadline(d));
}

static void attempt_connection(struct sl_downstream *d)
{
	struct sl_stream *s = &d->s;
	struct sl_cluster *c = s->cluster;
	struct sl_endpoint *e = sl_cluster_pick(d->worker, c, s->avoid);
	struct sl_upstream *u;
	sl_err err;

	if (SL_UNLIKELY(!e)) {
		SL_STAT_ADD(c->stats->dropped, 1);
		attempt_failed(d, SL_RETRY_CONNECT_FAILURE, SL_GUARD_REFUSED, SL_FLAG_NO_HEALTHY);
		return;
	}
	u = s->tcp ? NULL : sl_upstream_take(e);
	if (SL_LIKELY(u != NULL)) {
		attach(d, e, u);
		send_request(d);
		return;
	}
	if (c->connections >= c->max_connections) {
		wait_for_connection(d);
		return;
	}
	u = sl_upstream_connect(d->worker, e, &err);
	if (!u) {
		s->avoid = e;
		SL_STAT_ADD(c->stats->connect_failures, 1);
		attempt_failed(d, SL_RETRY_CONNECT_FAILURE, SL_GUARD_REFUSED, SL_FLAG_CONNECT_FAILURE);
		return;
	}
	attach(d, e, u);
	sl_downstream_deadline(d, sl_stream_deadline(d));
}

static void attempt(struct sl_downstream *d)
{
	struct sl_cluster *c = d->s.cluster;

	if (SL_UNLIKELY(c->active >= c->max_requests)) {
		SL_STAT_ADD(c->stats->overflows, 1);
		SL_STAT_ADD(c->stats->dropped, 1);
		sl_stream_fail(d, SL_FLAG_OVERFLOW);
		return;
	}
	attempt_begin(d);
	attempt_connection(d);
}

void sl_stream_unwait(struct sl_downstream *d)
{
	struct sl_cluster *c = d->s.cluster;

	d->s.waiting = false;
	sl_list_remove(&d->wait);
	c->waiting_count--;
	SL_STAT_SET(c->stats->waiting, c->waiting_count);
	attempt_connection(d);
}

/* ---- targets ---- */

/* Where the chosen split target's requests go now. A retry of a guarded target goes to its fallback: the user is not to suffer for the test. */
static struct sl_cluster *target_of(const struct sl_stream *s, bool retry)
{
	const struct sl_table_split *t = &s->route->splits[s->split];
	uint32_t index = t->cluster;

	if (SL_UNLIKELY(t->trip != SL_TABLE_NONE)) {
		const struct sl_trip *trip = s->view->tables->trips[t->trip];

		if (retry || __atomic_load_n(&trip->tripped, __ATOMIC_ACQUIRE))
			index = t->fallback;
	}
	return s->view->clusters[index];
}

static void pick_target(struct sl_stream *s)
{
	const struct sl_table_route *r = s->route;
	struct sl_split_stats *stats;

	if (r->split_count > 1) {
		s->split = (uint32_t)sl_split_next(
		        s->view->lags + r->lag_at, r->weights, r->split_count, r->total_weight);
		stats = s->view->split_stats[r->lag_at + s->split];
		SL_STAT_ADD(stats->picked, 1);
		s->cluster = target_of(s, false);
		if (SL_UNLIKELY(s->cluster != s->view->clusters[r->splits[s->split].cluster]))
			SL_STAT_ADD(stats->moved, 1);
		return;
	}
	s->cluster = target_of(s, false);
}

/* ---- retries ---- */

static bool may_retry(const struct sl_stream *s, uint32_t on)
{
	uint32_t allowed = DEFAULT_RETRIES, causes = DEFAULT_RETRY_ON;

	if (s->route && (s->route->mesh->retry.attempts || s->route->mesh->retry.on)) {
		allowed = s->route->mesh->retry.attempts;
		causes = s->route->mesh->retry.on;
	}
	return (causes & on) && s->attempts <= allowed && s->cluster->retrying < s->cluster->max_retries &&
	       (s->tcp || s->replayable) && !s->answered;
}

static void retry(struct sl_downstream *d)
{
	if (d->s.route)
		d->s.cluster = target_of(&d->s, true);
	attempt(d);
}

static void attempt_failed(
        struct sl_downstream *d, uint32_t on, enum sl_guard_outcome outcome, enum sl_flag flag)
{
	bool again = may_retry(&d->s, on);

	sl_account_attempt(d, outcome);
	if (again) {
		attempt_end(d, true);
		retry(d);
	} else {
		sl_stream_fail(d, flag);
	}
}

bool sl_stream_retry_status(struct sl_downstream *d, uint32_t status)
{
	const struct sl_mesh_retry *r = &d->s.route->mesh->retry;
	uint32_t on = 0;

	if (SL_LIKELY(status < 400 ||
	              !(r->on & (SL_RETRY_5XX | SL_RETRY_GATEWAY_ERROR | SL_RETRY_STATUS_CODES))))
		return false;
	if (status >= 500)
		on |= SL_RETRY_5XX;
	if (status >= 502 && status <= 504)
		on |= SL_RETRY_GATEWAY_ERROR;
	for (size_t i = 0; i < r->status_count; i++)
		if (r->statuses[i] == status)
			on |= SL_RETRY_STATUS_CODES;
	if (!may_retry(&d->s, on) || !d->s.request_done)
		return false;
	sl_account_attempt(d, status >= 500 ? SL_GUARD_5XX : SL_GUARD_OK);
	d->s.avoid = d->s.endpoint;
	d->s.up->reusable = false; /* its body is not waited for */
	detach(&d->s);
	attempt_end(d, true);
	retry(d);
	return true;
}

void sl_stream_connected(struct sl_downstream *d)
{
	if (d->s.tcp)
		sl_tunnel_begin(d);
	else
		send_request(d);
}

void sl_stream_connect_failed(struct sl_downstream *d, sl_err err)
{
	struct sl_stream *s = &d->s;

	(void)err;
	SL_STAT_ADD(s->cluster->stats->connect_failures, 1);
	SL_STAT_ADD(d->worker->stats->upstream_connect_failures_total, 1);
	s->avoid = s->endpoint;
	detach(s);
	attempt_failed(d, SL_RETRY_CONNECT_FAILURE, SL_GUARD_REFUSED, SL_FLAG_CONNECT_FAILURE);
}

static bool idempotent(uint8_t method) /* RFC 9110 section 9.2.2 */
{
	return method == SL_METHOD_GET || method == SL_METHOD_HEAD || method == SL_METHOD_PUT ||
	       method == SL_METHOD_DELETE || method == SL_METHOD_OPTIONS || method == SL_METHOD_TRACE;
}

void sl_stream_upstream_lost(struct sl_downstream *d, sl_err err, bool unsent)
{
	struct sl_stream *s = &d->s;
	struct sl_upstream *u = s->up;
	enum sl_flag flag = err == SL_ERR_EOF ? SL_FLAG_UPSTREAM_CLOSED : SL_FLAG_UPSTREAM_RESET;
	bool stale = u->requests > 1 && !u->answered; /* from the pool, and closed as we took it */

	u->ended = true;
	if (s->answered) {
		if (err == SL_ERR_EOF && s->response_body.framing == SL_HTTP1_UNTIL_CLOSE) {
			sl_stream_end(d);
			return;
		}
		sl_stream_cut(d, flag);
		return;
	}
	if (!stale || !s->replayable || !(unsent || idempotent(s->method))) {
		s->avoid = s->endpoint;
		detach(s);
		attempt_failed(d, SL_RETRY_RESET, SL_GUARD_RESET, flag);
		return;
	}
	/* Nobody's failure: the same attempt over another connection. Each round uses up a pooled one, so this ends. */
	SL_STAT_ADD(d->worker->stats->upstream_stale_retries_total, 1);
	detach(s);
	endpoint_end(SL_STEAL(s->endpoint));
	attempt_connection(d);
}

/* ---- time ---- */

sl_nsec sl_stream_deadline(const struct sl_downstream *d)
{
	const struct sl_stream *s = &d->s;
	const struct sl_proxy_options *o = d->worker->options;
	sl_nsec idle = s->tunnel ? o->idle_timeout : o->stream_idle_timeout, least;

	least = s->route_deadline < s->try_deadline ? s->route_deadline : s->try_deadline;
	if (idle && s->progress + idle < least)
		least = s->progress + idle;
	return least;
}

void sl_stream_timeout(struct sl_downstream *d, sl_nsec now)
{
	struct sl_stream *s = &d->s;

	if (s->tunnel) {
		sl_downstream_close(d);
		return;
	}
	if (s->answered) {
		bool client =
		        now < s->route_deadline && sl_buf_size(&d->out); /* it does not take what is there */

		sl_stream_cut(d, client ? SL_FLAG_IDLE_TIMEOUT : SL_FLAG_TIMEOUT);
		return;
	}
	if (now < s->route_deadline && now < s->try_deadline) {
		bool client =
		        !s->request_done && !(s->up && sl_buf_size(&s->up->out)); /* whom did it wait for? */

		sl_stream_fail(d, client ? SL_FLAG_IDLE_TIMEOUT : SL_FLAG_TIMEOUT);
		return;
	}
	s->avoid = s->endpoint;
	detach(s); /* busy: closes */
	if (now >= s->route_deadline) {
		sl_account_attempt(d, SL_GUARD_RESET);
		sl_stream_fail(d, SL_FLAG_TIMEOUT);
		return;
	}
	s->try_deadline = SL_NSEC_MAX;
	attempt_failed(
	        d, SL_RETRY_RESET | SL_RETRY_5XX | SL_RETRY_GATEWAY_ERROR, SL_GUARD_RESET, SL_FLAG_TIMEOUT);
}

/* ---- begin ---- */

/* The part of the body that came with the head. False: it is malformed. */
static bool begin_body(struct sl_downstream *d, const struct sl_http1_head *h)
{
	struct sl_stream *s = &d->s;
	uint32_t at = s->head_at + s->head_bytes;
	size_t have = d->in_len - at, used;

	s->replayable = true;
	if (SL_LIKELY(h->framing == SL_HTTP1_NONE)) {
		s->request_done = true;
		s->message_end = at;
		return true;
	}
	sl_http1_body_init(&s->request_body, h, &d->worker->limits);
	if (sl_http1_body_raw(&s->request_body, d->in->p + at, have, &used) != SL_OK)
		return false;
	s->message_end = at + (uint32_t)used;
	s->received_bytes = s->request_body.content_bytes;
	s->request_done = s->request_body.done;
	return true;
}

static void forward(struct sl_downstream *d)
{
	struct sl_stream *s = &d->s;
	sl_nsec timeout = s->route->mesh->timeout;

	if (timeout)
		s->route_deadline = d->worker->loop.now + timeout;
	if (SL_UNLIKELY(!s->route->total_weight)) {
		sl_stream_fail(d, SL_FLAG_NO_CLUSTER);
		return;
	}
	pick_target(s);
	attempt(d);
}

static void redirect(struct sl_downstream *d, const struct sl_route_request *rq)
{
	const struct sl_mesh_redirect *r = &d->s.route->mesh->redirect;
	SL_CLEANUP(sl_buf_fini) struct sl_buf to = { 0 };
	sl_str authority = r->authority.len ? r->authority : rq->authority;

	sl_buf_printf(&to, "%.*s://", SL_STR_ARG(r->scheme.len ? r->scheme : rq->scheme));
	if (r->port) {
		size_t colon = authority.len && authority.p[authority.len - 1] != ']'
		                       ? sl_str_find(authority, ':')
		                       : authority.len;

		if (authority.len && authority.p[0] == '[') /* an IPv6 address keeps its colons */
			colon = sl_str_find(authority, ']') + 1;
		sl_buf_printf(&to, "%.*s:%u", SL_STR_ARG(sl_str_first(authority, colon)), r->port);
	} else {
		sl_buf_str_add(&to, authority);
	}
	if (r->path.len) {
		sl_buf_str_add(&to, r->path);
		if (rq->query.p)
			sl_buf_printf(&to, "?%.*s", SL_STR_ARG(rq->query));
	} else {
		sl_tables_rewrite_path(d->s.route, rq, &to);
	}
	sl_stream_reply(d, SL_FLAG_NONE, r->status, SL_STR_NONE, SL_STR_NONE, sl_buf_str(&to));
}

static void stream_init(struct sl_downstream *d)
{
	struct sl_stream *s = &d->s;
	struct sl_worker *w = d->worker;

	memset(s, 0, offsetof(struct sl_stream, request_id));
	s->active = true;
	s->view = sl_view_of(d->listener);
	s->view->holds++;
	s->started = s->progress = w->loop.now;
	s->route_deadline = s->try_deadline = SL_NSEC_MAX;
	SL_STAT_ADD(w->stats->downstream_requests_active, 1);
}

void sl_stream_begin(struct sl_downstream *d, const struct sl_http1_head *h)
{
	struct sl_worker *w = d->worker;
	struct sl_stream *s = &d->s;
	const struct sl_table_config *config;
	const struct sl_table_host *host;
	struct sl_route_request rq;

	stream_init(d);
	SL_STAT_ADD(w->stats->downstream_requests_total, 1);
	w->head_of = d;
	s->method = h->method;
	s->keep_alive = h->keep_alive;
	s->http10 = h->minor == 0;
	s->upgrade = h->upgrade;
	s->head_at = d->in_at;
	s->head_bytes = h->head_bytes;
	if (SL_UNLIKELY(!begin_body(d, h)) || SL_UNLIKELY(!sl_forward_route_request(d, h, &rq))) {
		SL_STAT_ADD(w->stats->downstream_protocol_errors_total, 1);
		s->message_end = d->in_len;
		s->close_after = true;
		sl_stream_fail(d, SL_FLAG_PROTOCOL_ERROR);
		return;
	}
	config = s->view->tables->listeners[d->listener->index].config;
	host = config ? sl_tables_host(config, rq.authority) : NULL;
	s->route = host ? sl_tables_route(host, &rq) : NULL;
	if (SL_UNLIKELY(!s->route)) {
		sl_stream_fail(d, SL_FLAG_NO_ROUTE);
		return;
	}
	switch (s->route->mesh->action) {
	case SL_ROUTE_FORWARD:
		forward(d);
		return;
	case SL_ROUTE_REDIRECT:
		redirect(d, &rq);
		return;
	case SL_ROUTE_DIRECT:
		sl_stream_reply(d, SL_FLAG_NONE, s->route->mesh->direct_status, SL_STR("text/plain"),
		        s->route->mesh->direct_body, SL_STR_NONE);
		return;
	}
}

void sl_stream_begin_tcp(struct sl_downstream *d)
{
	struct sl_stream *s = &d->s;
	uint32_t cluster;

	stream_init(d);
	s->tunnel = s->tcp = s->close_after = true;
	cluster = s->view->tables->listeners[d->listener->index].cluster;
	s->cluster = s->view->clusters[cluster];
	attempt(d);
}

/* ---- end ---- */

/* The client's doing: it says nothing about the upstream, for or against. */
static bool by_client(uint8_t flag)
{
	return flag == SL_FLAG_CLIENT_GONE || flag == SL_FLAG_PROTOCOL_ERROR || flag == SL_FLAG_IDLE_TIMEOUT;
}

static void finish(struct sl_downstream *d)
{
	struct sl_stream *s = &d->s;
	struct sl_worker *w = d->worker;
	bool failed = s->status >= 500 || (s->flag != SL_FLAG_NONE && !by_client(s->flag));

	if (s->begun && !by_client(s->flag))
		sl_account_attempt(d, s->flag == SL_FLAG_NONE
		                              ? (s->status >= 500 ? SL_GUARD_5XX : SL_GUARD_OK)
		                              : SL_GUARD_RESET);
	sl_account_stream(d);
	if (w->log.fd >= 0)
		sl_access_log_add(d);
	if (s->up && !s->request_done)
		s->up->reusable = false;
	detach(s);
	attempt_end(d, failed);
	s->active = s->tunnel = false;
	s->route = NULL;
	d->in_at = s->message_end;
	SL_STAT_ADD(w->stats->downstream_requests_active, -1ul);
	sl_table_view_drop(w, SL_STEAL(s->view));
}

void sl_stream_end(struct sl_downstream *d)
{
	finish(d);
	sl_downstream_next(d);
}

void sl_stream_abort(struct sl_downstream *d)
{
	if (d->s.flag == SL_FLAG_NONE && !d->s.tunnel)
		d->s.flag = SL_FLAG_CLIENT_GONE;
	d->s.message_end = d->in_len;
	finish(d);
}

void sl_stream_cut(struct sl_downstream *d, enum sl_flag flag)
{
	d->s.flag = (uint8_t)flag;
	/* Where the end of the connection would mean the end of the body, only a reset tells the two apart. */
	if (d->s.response_body.framing == SL_HTTP1_UNTIL_CLOSE || d->s.decode)
		sl_socket_reset_on_close(d->io.fd);
	sl_downstream_close(d);
}

/* ---- our own answers ---- */

void sl_stream_refuse(struct sl_downstream *d, enum sl_flag flag, uint32_t status, sl_str text)
{
	stream_init(d);
	d->s.request_done = d->s.close_after = true;
	d->s.message_end = d->in_len;
	sl_stream_reply(d, flag, status, SL_STR("text/plain"), text, SL_STR_NONE);
}

static sl_str flag_body(enum sl_flag flag, uint32_t *ret_status)
{
	static const struct {
		sl_str body;
		uint32_t status;
	} rows[] = {
#define SL_FLAG(id, text, status_, body_) \
	[SL_FLAG_##id] = { .body = { "" body_, sizeof(body_) - 1 }, .status = status_ },
#include "proxy/flags.def"
	};

	*ret_status = rows[flag].status;
	return rows[flag].body;
}

void sl_stream_fail(struct sl_downstream *d, enum sl_flag flag)
{
	uint32_t status;
	sl_str body = flag_body(flag, &status);

	if (d->s.tunnel) {
		d->s.flag = (uint8_t)flag;
		sl_downstream_close(d);
		return;
	}
	if (d->s.answered) {
		sl_stream_cut(d, flag);
		return;
	}
	sl_stream_reply(d, flag, status, SL_STR("text/plain"), body, SL_STR_NONE);
}

void sl_stream_reply(struct sl_downstream *d, enum sl_flag flag, uint32_t status, sl_str type, sl_str body,
        sl_str location)
{
	struct sl_worker *w = d->worker;
	struct sl_stream *s = &d->s;
	struct sl_buf *out = &w->tx;
	struct iovec part;

	s->flag = (uint8_t)flag;
	s->status = (uint16_t)status;
	s->answered = s->response_done = true;
	s->close_after |= !s->keep_alive || !s->request_done || w->draining || d->listener->draining;
	if (s->up)
		s->up->reusable = false;
	sl_buf_clear(out);
	SL_IGNORE(sl_http1_put_status(out, status)); /* ours and checked: in range */
	if (type.len && body.len)
		sl_buf_printf(out, "content-type: %.*s\r\n", SL_STR_ARG(type));
	if (location.len) /* made of what was parsed and of what the mesh says; refused where it holds a line break */
		SL_IGNORE(sl_http1_put_field(out, SL_STR("location"), location));
	sl_buf_str_add(out, sl_worker_date(w));
	if (status != 204 && status != 304)
		sl_http1_put_length(out, body.len);
	if (s->close_after)
		sl_buf_c(out, "connection: close\r\n");
	else if (s->http10)
		sl_buf_c(out, "connection: keep-alive\r\n");
	sl_http1_put_end(out);
	if (s->method != SL_METHOD_HEAD && status != 204 && status != 304) {
		sl_buf_str_add(out, body);
		s->sent_bytes = body.len;
	}
	part = (struct iovec) { .iov_base = out->p, .iov_len = out->len };
	sl_downstream_send(d, &part, 1);
	sl_stream_end(d);
}
