#include "proxy/worker_priv.h"

#include <errno.h>

enum {
	LINGER_MOST_MS =
	        2000, /* after our last byte, so that no reset destroys what the client has not read */
	FREE_CHUNK_BYTES_MOST = 4 << 20, /* kept for reuse; a rush's memory goes back behind it */
	FIRST_REQUEST_MS =
	        1000, /* when draining: a connection just made may still bring the request it was made for */
};

/* ---- chunks ---- */

struct sl_chunk *sl_chunk_take(struct sl_worker *w, size_t least_bytes)
{
	size_t normal = w->options->buffer_bytes, cap = least_bytes <= normal ? normal : SL_CHUNK_BIG_BYTES;
	struct sl_chunk **list = cap == normal ? &w->chunks : &w->big_chunks, *c = *list;

	if (c && least_bytes <= c->cap) {
		*list = c->next;
		w->free_chunk_bytes -= c->cap;
		return c;
	}
	cap = cap > least_bytes ? cap : least_bytes;
	c = sl_new(sizeof(*c) + cap);
	c->cap = (uint32_t)cap;
	SL_STAT_ADD(w->stats->buffer_bytes, cap);
	return c;
}

void sl_chunk_drop(struct sl_worker *w, struct sl_chunk *c)
{
	bool normal = c->cap == w->options->buffer_bytes;

	if ((normal || c->cap == SL_CHUNK_BIG_BYTES) &&
	        w->free_chunk_bytes + c->cap <= FREE_CHUNK_BYTES_MOST) {
		struct sl_chunk **list = normal ? &w->chunks : &w->big_chunks;

		c->next = *list;
		*list = c;
		w->free_chunk_bytes += c->cap;
		return;
	}
	SL_STAT_ADD(w->stats->buffer_bytes, -(uint64_t)c->cap);
	sl_free(c);
}

/* Room behind in_len for at least one more byte: to the front, or into a bigger chunk. */
static void make_room(struct sl_downstream *d)
{
	struct sl_chunk *big;
	uint32_t live = d->in_len - d->in_at;

	if (d->in_at) {
		memmove(d->in->p, d->in->p + d->in_at, live);
	} else {
		big = sl_chunk_take(
		        d->worker, d->in->cap < SL_CHUNK_BIG_BYTES ? SL_CHUNK_BIG_BYTES : 2ul * d->in->cap);
		memcpy(big->p, d->in->p, live);
		sl_chunk_drop(d->worker, d->in);
		d->in = big;
	}
	d->in_at = 0;
	d->in_len = live;
}

static void drop_empty_chunk(struct sl_downstream *d)
{
	if (d->in && d->in_at == d->in_len) {
		sl_chunk_drop(d->worker, SL_STEAL(d->in));
		d->in_at = d->in_len = 0;
	}
}

/* ---- life ---- */

static void downstream_free(void *object)
{
	struct sl_downstream *d = object;
	struct sl_worker *w = d->worker;

	d->listener = (struct sl_table_listener_state *)(void *)w->free_downstreams;
	w->free_downstreams = d;
}

static struct sl_downstream *downstream_alloc(struct sl_worker *w)
{
	struct sl_downstream *d = w->free_downstreams;

	if (!d)
		return sl_new0(sizeof(*d));
	w->free_downstreams = (struct sl_downstream *)(void *)d->listener;
	memset(d, 0, sizeof(*d));
	return d;
}

void sl_downstream_close(struct sl_downstream *d)
{
	struct sl_worker *w = d->worker;

	if (d->closed)
		return;
	d->closed = d->closing = true;
	if (d->s.active)
		sl_stream_abort(d);
	sl_loop_close(&w->loop, &d->io);
	sl_timer_stop(&w->loop, &d->timer);
	sl_task_cancel(&w->loop, &d->again);
	sl_buf_fini(&d->out);
	if (d->in)
		sl_chunk_drop(w, SL_STEAL(d->in));
	sl_free(SL_STEAL(d->partial));
	sl_list_remove(&d->node);
	w->connections--;
	SL_STAT_SET(w->stats->downstream_connections_active, w->connections);
	sl_loop_free_later(&w->loop, &d->dead, downstream_free, d);
	sl_worker_connection_gone(w, d->listener);
}

/* All is sent: says so, and waits for the client's end. */
static void linger(struct sl_downstream *d)
{
	d->lingering = true;
	if (d->ended) {
		sl_downstream_close(d);
		return;
	}
	shutdown(d->io.fd, SHUT_WR);
	sl_downstream_deadline(d, d->worker->loop.now + SL_MSEC(LINGER_MOST_MS));
	if (d->readable)
		sl_loop_defer(&d->worker->loop, &d->again);
}

void sl_downstream_finish(struct sl_downstream *d)
{
	if (d->closed || d->lingering)
		return;
	d->closing = true;
	if (!sl_buf_size(&d->out))
		linger(d);
	else
		sl_downstream_deadline(d, d->worker->loop.now + SL_SEC(30)); /* to take what is queued */
}

void sl_downstream_retire(struct sl_downstream *d)
{
	d->retiring = true;
	sl_loop_defer(&d->worker->loop, &d->again);
}

static void retire(struct sl_downstream *d)
{
	if (d->s.tunnel) {
		sl_downstream_finish(d);
		return;
	}
	if (d->s.active || d->in || d->closing)
		return; /* its answer will say that it was the last */
	d->readable = true;
	sl_downstream_read(d); /* a request may have come unnoticed */
	if (d->closed || d->s.active || d->in)
		return;
	if (d->used)
		sl_downstream_finish(d);
	else
		sl_downstream_deadline(d, d->worker->loop.now + SL_MSEC(FIRST_REQUEST_MS));
}

sl_str sl_downstream_peer(struct sl_downstream *d)
{
	if (!d->peer_len) {
		sl_addr_format_ip(d->peer_text, &d->peer);
		d->peer_len = (uint8_t)strlen(d->peer_text);
	}
	return sl_str_n(d->peer_text, d->peer_len);
}

/* ---- sending ---- */

static void keep(struct sl_downstream *d, const struct iovec *parts, size_t count, size_t skip)
{
	for (size_t i = 0; i < count; i++) {
		size_t past = skip < parts[i].iov_len ? skip : parts[i].iov_len;

		sl_buf_add(&d->out, (const char *)parts[i].iov_base + past, parts[i].iov_len - past);
		skip -= past;
	}
}

void sl_downstream_send(struct sl_downstream *d, const struct iovec *parts, size_t count)
{
	size_t total = 0;
	ssize_t n = 0;

	for (size_t i = 0; i < count; i++)
		total += parts[i].iov_len;
	SL_STAT_ADD(d->worker->stats->downstream_bytes_sent_total, total);
	if (!sl_buf_size(&d->out)) {
		n = count == 1 ? sl_sock_send(d->io.fd, parts[0].iov_base, parts[0].iov_len)
		               : sl_sock_sendv(d->io.fd, parts, count);
		if (SL_LIKELY(n == (ssize_t)total))
			return;
		if (n < 0 && errno != EAGAIN) {
			/* Swallowed: the end of the connection is an event of its own, and comes. */
			d->broken = d->readable = true;
			d->closing = true;
			sl_loop_defer(&d->worker->loop, &d->again);
			return;
		}
		n = n < 0 ? 0 : n;
	}
	keep(d, parts, count, (size_t)n);
}

static void flush(struct sl_downstream *d)
{
	ssize_t n = sl_sock_send(d->io.fd, d->out.p + d->out.off, sl_buf_size(&d->out));

	if (n < 0) {
		if (errno != EAGAIN)
			sl_downstream_close(d);
		return;
	}
	sl_buf_consume(&d->out, (size_t)n);
	d->s.progress = d->worker->loop.now;
	if (sl_buf_size(&d->out))
		return;
	sl_buf_fini(&d->out); /* a slow reader's; the others hold none */
	if (d->s.active && d->s.up && d->s.up->state == SL_UPSTREAM_BUSY)
		sl_upstream_read(d->s.up);
	else if (d->closing)
		linger(d);
}

/* ---- requests ---- */

static void refuse(struct sl_downstream *d, const struct sl_http1_head *h)
{
	const char *text = sl_http1_fault_text(h->fault);
	uint32_t status = (uint32_t)sl_http1_fault_status(h->fault);

	SL_STAT_ADD(d->worker->stats->downstream_protocol_errors_total, 1);
	sl_stream_refuse(d, SL_FLAG_PROTOCOL_ERROR, status, sl_str_c(text));
}

/* The head is incomplete: keeps how far it is parsed, so that a slow client costs no second scan. */
static void head_wait(struct sl_downstream *d)
{
	struct sl_worker *w = d->worker;

	if (!d->partial) {
		d->partial = sl_new(sizeof(*d->partial));
		*d->partial = w->head;
		sl_downstream_deadline(d, w->loop.now + w->options->head_timeout);
	}
	if (d->in_len == d->in->cap)
		make_room(d);
}

/* All requests that are here whole, one after another. */
static void process(struct sl_downstream *d)
{
	struct sl_worker *w = d->worker;

	d->processing = true;
	while (!d->s.active && !d->closing && d->in_at < d->in_len) {
		struct sl_http1_head *h = d->partial ? d->partial : &w->head;
		sl_err err;

		if (!d->partial) {
			sl_http1_head_init(h);
			w->head_of = NULL;
		}
		err = sl_http1_request(h, d->in->p + d->in_at, d->in_len - d->in_at, &w->limits);
		if (err == SL_ERR_AGAIN) {
			head_wait(d);
			break;
		}
		if (SL_UNLIKELY(d->partial != NULL)) {
			w->head = *h;
			h = &w->head;
			sl_free(SL_STEAL(d->partial));
		}
		if (err != SL_OK) {
			refuse(d, h);
			break;
		}
		sl_stream_begin(d, h);
	}
	d->processing = false;
	if (d->closed)
		return;
	if (!d->s.active) {
		drop_empty_chunk(d);
		if (!d->closing && !d->partial)
			sl_downstream_deadline(d, w->loop.now + w->options->idle_timeout);
		if (d->readable)
			sl_loop_defer(&w->loop, &d->again);
	} else if (d->readable && !d->s.request_done) {
		sl_stream_request_body(d);
	}
}

static void read_head(struct sl_downstream *d)
{
	size_t room;
	ssize_t n;

	if (!d->in)
		d->in = sl_chunk_take(d->worker, 1);
	room = d->in->cap - d->in_len;
	n = sl_sock_recv(d->io.fd, d->in->p + d->in_len, room);
	if (SL_UNLIKELY(n <= 0)) {
		if (n < 0 && errno == EAGAIN) {
			d->readable = false;
			drop_empty_chunk(d);
		} else {
			sl_downstream_close(
			        d); /* between requests, or in an unfinished head: nobody is owed an answer */
		}
		return;
	}
	if ((size_t)n < room && !d->ended)
		d->readable = false;
	d->used = true;
	d->in_len += (uint32_t)n;
	SL_STAT_ADD(d->worker->stats->downstream_bytes_received_total, (uint64_t)n);
	process(d);
}

/* Reads what nobody wants any more, until the client ends. */
static void read_lingering(struct sl_downstream *d)
{
	ssize_t n;

	for (int i = 0; i < 16; i++) {
		n = sl_sock_recv(d->io.fd, d->worker->rx, sizeof(d->worker->rx));
		if (n > 0)
			continue;
		if (n < 0 && errno == EAGAIN)
			d->readable = false;
		else
			sl_downstream_close(d);
		return;
	}
	sl_downstream_close(d); /* it does not listen */
}

void sl_downstream_read(struct sl_downstream *d)
{
	if (d->closed || !d->readable)
		return;
	if (d->lingering)
		read_lingering(d);
	else if (d->broken && !d->s.tunnel)
		sl_downstream_close(d);
	else if (d->s.tunnel)
		sl_tunnel_down_readable(d);
	else if (d->s.active)
		sl_stream_request_body(d);
	else if (!d->closing)
		read_head(d);
}

static void on_again(struct sl_loop *loop, struct sl_task *task)
{
	struct sl_downstream *d = SL_CONTAINER_OF(task, struct sl_downstream, again);

	(void)loop;
	if (d->retiring) {
		d->retiring = false;
		retire(d);
		if (d->closed)
			return;
	}
	if (!d->s.active && !d->closing && d->in_at < d->in_len && !d->partial)
		process(d);
	else
		sl_downstream_read(d);
}

void sl_downstream_next(struct sl_downstream *d)
{
	struct sl_worker *w = d->worker;

	if (d->closed)
		return;
	if (d->s.close_after || d->closing || w->draining || d->listener->draining) {
		sl_downstream_finish(d);
		return;
	}
	drop_empty_chunk(d);
	if (d->processing)
		return; /* process() goes on by itself */
	sl_downstream_deadline(d, w->loop.now + w->options->idle_timeout);
	if (d->in || d->readable)
		sl_loop_defer(&w->loop, &d->again);
}

/* ---- events ---- */

static void on_event(struct sl_loop *loop, struct sl_io *io, uint32_t events)
{
	struct sl_downstream *d = SL_CONTAINER_OF(io, struct sl_downstream, io);

	(void)loop;
	d->ended |= (events & (SL_IO_RDHUP | SL_IO_CLOSED)) != 0;
	d->broken |= (events & SL_IO_CLOSED) != 0;
	d->readable |= (events & (SL_IO_READ | SL_IO_RDHUP | SL_IO_CLOSED)) != 0;
	if ((events & SL_IO_WRITE) && sl_buf_size(&d->out))
		flush(d);
	sl_downstream_read(d);
}

static void on_timer(struct sl_loop *loop, struct sl_timer *t)
{
	struct sl_downstream *d = SL_CONTAINER_OF(t, struct sl_downstream, timer);
	sl_nsec deadline = d->s.active ? sl_stream_deadline(d) : d->deadline;

	if (loop->now < deadline) { /* it moved since the timer was armed */
		d->deadline = deadline;
		sl_timer_at(loop, t, deadline);
		return;
	}
	if (d->s.active) {
		sl_stream_timeout(d, loop->now);
		if (!d->closed && d->s.active)
			sl_downstream_deadline(d, sl_stream_deadline(d));
		return;
	}
	if (d->partial && !d->closing) {
		SL_STAT_ADD(d->worker->stats->downstream_timeouts_total, 1);
		sl_stream_refuse(
		        d, SL_FLAG_IDLE_TIMEOUT, 408, SL_STR("the request head did not come in time"));
		return;
	}
	sl_downstream_close(d);
}

void sl_downstream_accept(struct sl_table_listener_state *l, int fd, const struct sl_addr *peer)
{
	struct sl_worker *w = l->worker;
	struct sl_downstream *d;

	SL_STAT_ADD(w->stats->downstream_connections_total, 1);
	if (w->connections >= w->connections_most) {
		SL_STAT_ADD(w->stats->downstream_refused_total, 1);
		sl_fd_close(&fd);
		return;
	}
	d = downstream_alloc(w);
	d->worker = w;
	d->listener = l;
	d->peer = *peer;
	d->serial = ++w->last_serial;
	d->io = SL_IO_NONE;
	d->timer.fn = on_timer;
	d->again.fn = on_again;
	sl_list_init(&d->wait);
	sl_list_push(&w->downstreams, &d->node);
	w->connections++;
	l->connections++;
	SL_STAT_SET(w->stats->downstream_connections_active, w->connections);
	sl_socket_nodelay(fd);
	if (sl_loop_add(&w->loop, &d->io, fd, SL_IO_READ | SL_IO_WRITE | SL_IO_RDHUP, on_event) != SL_OK) {
		sl_fd_close(&fd);
		sl_downstream_close(d);
		return;
	}
	sl_downstream_deadline(d, w->loop.now + w->options->idle_timeout);
	if (sl_view_of(l)->tables->listeners[l->index].mesh->protocol == SL_LISTENER_TCP)
		sl_stream_begin_tcp(d);
}
