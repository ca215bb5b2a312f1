#include "proxy/worker_priv.h"

#include <errno.h>

enum { READS_MOST = 16 /* of one connection in one event: the others want their turn */ };

/* ---- life ---- */

static void upstream_free(void *object)
{
	struct sl_upstream *u = object;
	struct sl_worker *w = u->worker;

	u->down = (struct sl_downstream *)(void *)w->free_upstreams;
	w->free_upstreams = u;
}

static struct sl_upstream *upstream_alloc(struct sl_worker *w)
{
	struct sl_upstream *u = w->free_upstreams;

	if (!u)
		return sl_new0(sizeof(*u));
	w->free_upstreams = (struct sl_upstream *)(void *)u->down;
	*u = (struct sl_upstream) { .out = u->out };
	return u;
}

void sl_upstream_close(struct sl_upstream *u)
{
	struct sl_worker *w = u->worker;
	struct sl_endpoint *e = u->endpoint;
	struct sl_cluster *c;

	if (u->state == SL_UPSTREAM_CLOSED)
		return;
	c = e->cluster;
	if (u->state == SL_UPSTREAM_IDLE) {
		sl_list_remove(&u->idle);
		e->idle_count--;
		SL_STAT_ADD(c->stats->idle, -1u);
	}
	u->state = SL_UPSTREAM_CLOSED;
	u->down = NULL;
	sl_loop_close(&w->loop, &u->io);
	sl_timer_stop(&w->loop, &u->timer);
	sl_buf_fini(&u->out);
	if (u->in)
		sl_chunk_drop(w, SL_STEAL(u->in));
	e->connections--;
	c->connections--;
	SL_STAT_SET(c->stats->connections, c->connections);
	SL_STAT_ADD(w->stats->upstream_connections_active, -1ul);
	sl_loop_free_later(&w->loop, &u->dead, upstream_free, u);
	u->endpoint = NULL;
	if (c->waiting_count && c->connections < c->max_connections)
		sl_stream_unwait(SL_LIST_ENTRY(c->waiting.next, struct sl_downstream, wait));
	sl_endpoint_release(e);
}

static void on_timer(struct sl_loop *loop, struct sl_timer *t)
{
	struct sl_upstream *u = SL_CONTAINER_OF(t, struct sl_upstream, timer);

	(void)loop;
	switch ((enum sl_upstream_state)u->state) {
	case SL_UPSTREAM_CONNECTING:
		sl_stream_connect_failed(u->down, SL_ERR_TIMEOUT);
		return;
	case SL_UPSTREAM_IDLE:
		sl_upstream_close(u);
		return;
	case SL_UPSTREAM_BUSY: /* armed while it was idle; armed again when it is next */
	case SL_UPSTREAM_CLOSED:
		return;
	}
}

/* ---- events ---- */

static void connect_finish(struct sl_upstream *u)
{
	struct sl_worker *w = u->worker;
	sl_err err = sl_connect_finish(u->io.fd);

	if (err == SL_ERR_AGAIN)
		return;
	if (err != SL_OK) {
		sl_stream_connect_failed(u->down, err);
		return;
	}
	u->state = SL_UPSTREAM_BUSY;
	sl_timer_stop(&w->loop, &u->timer);
	sl_socket_nodelay(u->io.fd);
	sl_stream_connected(u->down);
}

/* What was kept goes out; then more of the request may be read. */
static void flush(struct sl_upstream *u)
{
	ssize_t n = sl_sock_send(u->io.fd, u->out.p + u->out.off, sl_buf_size(&u->out));

	if (n < 0) {
		if (errno != EAGAIN)
			u->readable = true; /* the read says what there is: an early answer, or the reason */
		return;
	}
	sl_buf_consume(&u->out, (size_t)n);
	u->down->s.progress = u->worker->loop.now;
	if (!sl_buf_size(&u->out))
		sl_downstream_read(u->down);
}

static void on_event(struct sl_loop *loop, struct sl_io *io, uint32_t events)
{
	struct sl_upstream *u = SL_CONTAINER_OF(io, struct sl_upstream, io);

	(void)loop;
	u->ended |= (events & (SL_IO_RDHUP | SL_IO_CLOSED)) != 0;
	u->readable |= (events & (SL_IO_READ | SL_IO_RDHUP | SL_IO_CLOSED)) != 0;
	switch ((enum sl_upstream_state)u->state) {
	case SL_UPSTREAM_CONNECTING:
		if (events & (SL_IO_WRITE | SL_IO_CLOSED))
			connect_finish(u);
		return;
	case SL_UPSTREAM_IDLE: /* nobody asked: the peer closes, or is confused */
		if (u->readable)
			sl_upstream_close(u);
		return;
	case SL_UPSTREAM_BUSY:
		if ((events & SL_IO_WRITE) && sl_buf_size(&u->out))
			flush(u);
		if (u->state == SL_UPSTREAM_BUSY && u->readable)
			sl_upstream_read(u);
		return;
	case SL_UPSTREAM_CLOSED:
		return;
	}
}

/* ---- pool ---- */

struct sl_upstream *sl_upstream_take(struct sl_endpoint *e)
{
	struct sl_upstream *u;

	if (sl_list_empty(&e->idle))
		return NULL;
	u = SL_LIST_ENTRY(e->idle.next, struct sl_upstream, idle);
	sl_list_remove(&u->idle);
	e->idle_count--;
	SL_STAT_ADD(e->cluster->stats->idle, -1u);
	u->state = SL_UPSTREAM_BUSY;
	u->reusable = u->answered = false;
	return u;
}

struct sl_upstream *sl_upstream_connect(struct sl_worker *w, struct sl_endpoint *e, sl_err *ret_err)
{
	struct sl_cluster *c = e->cluster;
	struct sl_upstream *u;
	int fd;
	sl_err err = sl_connect_start(&e->addr, NULL, &fd);

	if (err != SL_OK && err != SL_ERR_AGAIN) {
		*ret_err = err;
		return NULL;
	}
	u = upstream_alloc(w);
	u->worker = w;
	u->endpoint = e;
	u->state =
	        SL_UPSTREAM_CONNECTING; /* also when connected already: the first event says so, in one place */
	u->io = SL_IO_NONE;
	u->timer.fn = on_timer;
	sl_list_init(&u->idle);
	if (sl_loop_add(&w->loop, &u->io, fd, SL_IO_READ | SL_IO_WRITE | SL_IO_RDHUP, on_event) != SL_OK) {
		sl_fd_close(&fd);
		upstream_free(u);
		*ret_err = SL_ERR_UNAVAILABLE;
		return NULL;
	}
	sl_timer_in(&w->loop, &u->timer, c->connect_timeout);
	e->connections++;
	c->connections++;
	SL_STAT_SET(c->stats->connections, c->connections);
	SL_STAT_ADD(c->stats->connections_opened, 1);
	SL_STAT_ADD(w->stats->upstream_connections_total, 1);
	SL_STAT_ADD(w->stats->upstream_connections_active, 1);
	return u;
}

void sl_upstream_release(struct sl_upstream *u)
{
	struct sl_endpoint *e = u->endpoint;
	struct sl_cluster *c = e->cluster;
	struct sl_worker *w = u->worker;

	u->down = NULL;
	if (u->state != SL_UPSTREAM_BUSY || !u->reusable || u->ended || u->in || sl_buf_size(&u->out) ||
	        e->removed || e->health == SL_HEALTH_DRAINING || c->retired ||
	        u->requests >= c->max_requests_per_connection) {
		sl_upstream_close(u);
		return;
	}
	u->state = SL_UPSTREAM_IDLE;
	sl_list_push_front(&e->idle, &u->idle);
	e->idle_count++;
	SL_STAT_ADD(c->stats->idle, 1);
	sl_timer_in(&w->loop, &u->timer, c->idle_timeout); /* one store: it moves later */
	if (c->waiting_count)
		sl_stream_unwait(SL_LIST_ENTRY(c->waiting.next, struct sl_downstream, wait));
}

/* ---- bytes ---- */

bool sl_upstream_send(struct sl_upstream *u, const struct iovec *parts, size_t count)
{
	size_t total = 0, skip = 0;

	for (size_t i = 0; i < count; i++)
		total += parts[i].iov_len;
	if (!sl_buf_size(&u->out)) {
		ssize_t n = count == 1 ? sl_sock_send(u->io.fd, parts[0].iov_base, parts[0].iov_len)
		                       : sl_sock_sendv(u->io.fd, parts, count);

		if (SL_LIKELY(n == (ssize_t)total))
			return true;
		if (n < 0 && errno != EAGAIN)
			return false;
		skip = n < 0 ? 0 : (size_t)n;
	}
	for (size_t i = 0; i < count; i++) {
		size_t past = skip < parts[i].iov_len ? skip : parts[i].iov_len;

		sl_buf_add(&u->out, (const char *)parts[i].iov_base + past, parts[i].iov_len - past);
		skip -= past;
	}
	return true;
}

/* Receives into the worker's buffer, or behind an incomplete head. Sets *ret_p. */
static ssize_t receive(struct sl_upstream *u, char **ret_p)
{
	struct sl_worker *w = u->worker;
	size_t room = sizeof(w->rx);
	char *to = w->rx;
	ssize_t n;

	*ret_p = w->rx;
	if (u->in) {
		*ret_p = u->in->p;
		to = u->in->p + u->in_len;
		room = u->in->cap - u->in_len;
	}
	n = sl_sock_recv(u->io.fd, to, room);
	if (n >= 0 && (size_t)n < room && !u->ended)
		u->readable = false; /* took all there was; an edge comes with more */
	return n;
}

void sl_upstream_read(struct sl_upstream *u)
{
	for (int i = 0; i < READS_MOST && u->readable; i++) {
		struct sl_downstream *d = u->down;
		char *p;
		ssize_t n;

		if (sl_buf_size(&d->out))
			return; /* the client is slow: goes on when it has taken what is there */
		if (d->s.tunnel) {
			sl_tunnel_up_readable(u);
			return;
		}
		n = receive(u, &p);
		if (n > 0) {
			size_t len = (size_t)n;

			if (u->in)
				len = u->in_len += (uint32_t)n;
			u->answered = true;
			if (!sl_response_bytes(d, u, p, len))
				return;
			continue;
		}
		if (n < 0 && errno == EAGAIN) {
			u->readable = false;
			return;
		}
		sl_stream_upstream_lost(d, n == 0 ? SL_ERR_EOF : sl_err_from_errno(errno), false);
		return;
	}
	if (u->readable && u->state == SL_UPSTREAM_BUSY) /* more is there, in a later turn */
		sl_loop_rearm(&u->worker->loop, &u->io, u->io.mask);
}
