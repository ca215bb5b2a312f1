#pragma once
/*
 * Between the files of the data path. See worker.h for the picture.
 * Ownership: as worker.h.       Threads: the worker's.
 */
#include "os/io.h"
#include "proxy/worker.h"

/* ---- cluster.c ---- */

/* The worker's cluster of that name, made or brought up to date from the mesh; takes a reference for a view. */
struct sl_cluster *sl_cluster_adopt(struct sl_worker *w, const struct sl_mesh_cluster *mesh);
void sl_cluster_unref(struct sl_worker *w, struct sl_cluster *c);
/* In no newest snapshot any more: closes its pooled connections. */
void sl_cluster_retire(struct sl_worker *w, struct sl_cluster *c);
/* By the balancing policy; other than `avoid` where there is a choice. NULL: none is healthy. */
struct sl_endpoint *sl_cluster_pick(
        struct sl_worker *w, struct sl_cluster *c, const struct sl_endpoint *avoid);
/* Frees an endpoint that left the mesh, once nothing uses it. */
void sl_endpoint_release(struct sl_endpoint *e);

/* ---- upstream.c ---- */

/* A pooled connection, or NULL. */
struct sl_upstream *sl_upstream_take(struct sl_endpoint *e);
/* Begins to connect. NULL: failed at once, *ret_err says why. */
struct sl_upstream *sl_upstream_connect(struct sl_worker *w, struct sl_endpoint *e, sl_err *ret_err);
/* The stream is done with it: back into the pool when it may be used again, else closed. */
void sl_upstream_release(struct sl_upstream *u);
void sl_upstream_close(struct sl_upstream *u);
/* Sends all of it or keeps the rest. False: the connection is broken. */
bool sl_upstream_send(struct sl_upstream *u, const struct iovec *parts, size_t count);
/* Goes on reading, after a pause. */
void sl_upstream_read(struct sl_upstream *u);

/* ---- downstream.c ---- */

void sl_downstream_accept(struct sl_table_listener_state *l, int fd, const struct sl_addr *peer);
/* Sends all of it or keeps the rest; a failure shows later, as the end of the connection. */
void sl_downstream_send(struct sl_downstream *d, const struct iovec *parts, size_t count);
/* The stream has ended: the next request, or the end. */
void sl_downstream_next(struct sl_downstream *d);
/* Goes on reading a request body. */
void sl_downstream_read(struct sl_downstream *d);
/* No more requests: what is queued leaves, then it closes. */
void sl_downstream_finish(struct sl_downstream *d);
void sl_downstream_close(struct sl_downstream *d);
/* Its listener or the worker takes no more: at the end of the turn it ends, unless somebody waits for something on it. */
void sl_downstream_retire(struct sl_downstream *d);
/* The timer is to look no later than at `deadline`. */
static inline void sl_downstream_deadline(struct sl_downstream *d, sl_nsec deadline)
{
	d->deadline = deadline;
	if (deadline < d->timer.deadline || !sl_timer_armed(&d->timer))
		sl_timer_at(&d->worker->loop, &d->timer, deadline);
}
sl_str sl_downstream_peer(struct sl_downstream *d);

struct sl_chunk *sl_chunk_take(struct sl_worker *w, size_t least_bytes);
void sl_chunk_drop(struct sl_worker *w, struct sl_chunk *c);

/* ---- stream.c ---- */

/* A request head has been parsed; its bytes begin at d->in_at. */
void sl_stream_begin(struct sl_downstream *d, const struct sl_http1_head *h);
/* A TCP connection: a tunnel from the start. */
void sl_stream_begin_tcp(struct sl_downstream *d);
/* The upstream it waited for is connected, or could not be. */
void sl_stream_connected(struct sl_downstream *d);
void sl_stream_connect_failed(struct sl_downstream *d, sl_err err);
/* A connection has become free, or a slot for one: a waiting stream may go on. */
void sl_stream_unwait(struct sl_downstream *d);
/* The upstream has ended, after nothing or part of the response. */
/* `unsent`: not a byte of this request had left. */
void sl_stream_upstream_lost(struct sl_downstream *d, sl_err err, bool unsent);
/* The timer has fired. */
void sl_stream_timeout(struct sl_downstream *d, sl_nsec now);
sl_nsec sl_stream_deadline(const struct sl_downstream *d);
/* Answers by ourselves where nothing has been answered yet, else cuts the connection. */
void sl_stream_fail(struct sl_downstream *d, enum sl_flag flag);
/* status and text other than the flag's. */
void sl_stream_reply(struct sl_downstream *d, enum sl_flag flag, uint32_t status, sl_str type, sl_str body,
        sl_str location);
/* What came is no request: answers, and ends the connection. */
void sl_stream_refuse(struct sl_downstream *d, enum sl_flag flag, uint32_t status, sl_str text);
/* The client has gone. */
void sl_stream_abort(struct sl_downstream *d);
/* The response is complete. */
void sl_stream_end(struct sl_downstream *d);
/* Makes a new attempt because of this status, where the route says so; true: it is under way. */
bool sl_stream_retry_status(struct sl_downstream *d, uint32_t status);
/* The client cannot be given the rest of what it was promised: its connection ends, so that it notices. */
void sl_stream_cut(struct sl_downstream *d, enum sl_flag flag);
/* The head at s.head_at, parsed. */
const struct sl_http1_head *sl_stream_head(struct sl_downstream *d);

/* ---- request_body.c ---- */

/* More of the request body may be there. */
void sl_stream_request_body(struct sl_downstream *d);

/* ---- account.c ---- */

/* The first attempt has ended: for the judge and the guard. Only the first call of a stream counts. */
void sl_account_attempt(struct sl_downstream *d, enum sl_guard_outcome outcome);
/* The stream has ended: metrics. */
void sl_account_stream(struct sl_downstream *d);
/* Lets the guards decide; ten times a second. */
void sl_account_tick(struct sl_worker *w);

/* ---- response.c ---- */

/* Bytes of the response. They are used up, or what is needed of them is kept. False: the upstream is no longer the stream's. */
bool sl_response_bytes(struct sl_downstream *d, struct sl_upstream *u, const char *p, size_t n);

/* ---- tunnel.c ---- */

void sl_tunnel_begin(struct sl_downstream *d);
void sl_tunnel_down_readable(struct sl_downstream *d);
void sl_tunnel_up_readable(struct sl_upstream *u);

/* ---- forward.c ---- */

/* The request head for the present attempt, appended to out. `h` is the head at d->in->p + s.head_at. */
void sl_forward_request(struct sl_downstream *d, const struct sl_http1_head *h, struct sl_buf *out);
/* Whether a response head must be built anew; if not, its bytes can be forwarded as they are. */
bool sl_forward_response_changes(const struct sl_downstream *d, const struct sl_http1_head *h);
void sl_forward_response(
        struct sl_downstream *d, const struct sl_http1_head *h, const char *p, struct sl_buf *out);
/* What routing looks at; valid until the worker's next one. False: the path cannot be normalised. */
bool sl_forward_route_request(
        struct sl_downstream *d, const struct sl_http1_head *h, struct sl_route_request *ret);
/* "date: ...\r\n" of this second. */
sl_str sl_worker_date(struct sl_worker *w);

/* ---- access_log.c ---- */

void sl_access_log_init(struct sl_worker *w, int fd);
void sl_access_log_fini(struct sl_worker *w);
void sl_access_log_add(struct sl_downstream *d);

/* ---- worker.c ---- */

static inline struct sl_table_view *sl_view_of(const struct sl_table_listener_state *l)
{
	return SL_UNLIKELY(l->draining) ? l->view : l->worker->view;
}
void sl_table_view_free_(struct sl_worker *w, struct sl_table_view *v);
static inline void sl_table_view_drop(struct sl_worker *w, struct sl_table_view *v)
{
	if (--v->holds == 0)
		sl_table_view_free_(w, v);
}
/* A connection of this listener has ended. */
void sl_worker_connection_gone(struct sl_worker *w, struct sl_table_listener_state *l);
