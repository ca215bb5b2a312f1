#include "proxy/proxy_priv.h"

#include "base/log.h"
#include "os/thread.h"

#include <fcntl.h>
#include <stdio.h>

/* ---- messages from workers ---- */

struct trip_msg {
	struct sl_msg msg;
	struct sl_proxy *proxy;
	uint32_t reason;
	sl_str cluster, fallback, rollout;
	char text[];
};

static void trip_received(struct sl_loop *loop, struct sl_msg *msg)
{
	struct trip_msg *t = SL_CONTAINER_OF(msg, struct trip_msg, msg);

	(void)loop;
	sl_log(SL_LOG_WARN, "proxy", "guard of %.*s tripped (%s): its share of %.*s goes to %.*s from now on",
	        SL_STR_ARG(t->rollout), sl_guard_reason_text((enum sl_guard_reason)t->reason),
	        SL_STR_ARG(t->cluster), SL_STR_ARG(t->fallback));
	sl_free(t);
}

static sl_str put_copy(char **at, sl_str s)
{
	char *p = *at;

	if (s.len)
		memcpy(p, s.p, s.len);
	*at += s.len;
	return sl_str_n(p, s.len);
}

static void on_trip(struct sl_worker *w, struct sl_trip *trip)
{
	struct sl_proxy *p = w->user;
	struct trip_msg *t =
	        sl_new0(sizeof(*t) + trip->cluster.len + trip->fallback.len + trip->rollout.len + 1);
	char *at = t->text;

	t->msg.fn = trip_received;
	t->proxy = p;
	t->reason = trip->tripped;
	t->cluster = put_copy(&at, trip->cluster);
	t->fallback = put_copy(&at, trip->fallback);
	t->rollout = put_copy(&at, trip->rollout);
	sl_loop_post(&p->loop, &t->msg);
}

/* ---- draining ---- */

struct drain_msg {
	struct sl_msg msg;
	struct sl_proxy *proxy;
	struct sl_worker *worker;
};

static void on_admin_drained(void *arg)
{
	struct sl_proxy *p = arg;

	sl_loop_stop(&p->loop);
}

/* The admin server goes last: who asked for the end is told, and /ready says so as long as anyone can ask. */
static void stop_if_drained(struct sl_proxy *p)
{
	if (p->stopping && p->drained >= p->worker_count)
		sl_http_server_drain(p->admin, on_admin_drained, p);
}

static void drained_received(struct sl_loop *loop, struct sl_msg *msg)
{
	struct drain_msg *m = SL_CONTAINER_OF(msg, struct drain_msg, msg);

	(void)loop;
	m->proxy->drained++;
	stop_if_drained(m->proxy);
	sl_free(m);
}

static void on_drained(struct sl_worker *w)
{
	struct sl_proxy *p = w->user;
	struct drain_msg *m = sl_new0(sizeof(*m));

	w->on_drained = NULL; /* once */
	m->proxy = p;
	m->msg.fn = drained_received;
	sl_loop_post(&p->loop, &m->msg);
}

static void drain_worker(struct sl_loop *loop, struct sl_msg *msg)
{
	struct drain_msg *m = SL_CONTAINER_OF(msg, struct drain_msg, msg);

	(void)loop;
	sl_worker_drain(m->worker);
	sl_free(m);
}

void sl_proxy_drain(struct sl_proxy *p)
{
	if (p->draining)
		return;
	p->draining = true;
	for (uint32_t i = 0; i < p->worker_count; i++) {
		struct drain_msg *m = sl_new0(sizeof(*m));

		m->worker = p->workers[i];
		m->msg.fn = drain_worker;
		sl_loop_post(&p->workers[i]->loop, &m->msg);
	}
}

static void on_drain_timeout(struct sl_loop *loop, struct sl_timer *t)
{
	struct sl_proxy *p = SL_CONTAINER_OF(t, struct sl_proxy, drain_timer);

	(void)loop;
	sl_log(SL_LOG_WARN, "proxy", "the drain timeout has passed: connections that are still open are cut");
	sl_loop_stop(&p->loop);
}

void sl_proxy_stop(struct sl_proxy *p)
{
	if (p->stopping)
		return;
	p->stopping = true;
	sl_proxy_drain(p);
	sl_timer_in(&p->loop, &p->drain_timer, p->options->drain_timeout);
	stop_if_drained(p);
}

/* ---- listeners ---- */

static struct sl_bound *bound_find(struct sl_proxy *p, const struct sl_addr *asked, sl_str name)
{
	SL_LIST_FOR (node, &p->bound) {
		struct sl_bound *b = SL_LIST_ENTRY(node, struct sl_bound, node);

		if (sl_addr_eq(&b->asked, asked) && (sl_addr_port(asked) || sl_str_eq_c(name, b->name)))
			return b;
	}
	return NULL;
}

static void bound_free(struct sl_bound *b)
{
	sl_list_remove(&b->node);
	sl_free(b->name);
	sl_free(b);
}

static void close_all(int *fds, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		sl_fd_close(&fds[i]);
}

static bool any_address(const struct sl_addr *a)
{
	return a->sa.sa_family == AF_INET
	               ? a->in.sin_addr.s_addr == INADDR_ANY
	               : a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
}

/* A listener of ours on all addresses and this port, or the other way round: both share the port, the nearer address wins. */
static bool overlaps_ours(const struct sl_proxy *p, const struct sl_addr *asked)
{
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a list that sl_list_init made is circular */
	SL_LIST_FOR (node, &p->bound) {
		const struct sl_bound *b = SL_LIST_ENTRY(node, struct sl_bound, node);

		if (&b->asked != asked && sl_addr_port(&b->bound) == sl_addr_port(asked) &&
		        (any_address(&b->bound) || any_address(asked)))
			return true;
	}
	return false;
}

/* One socket for each worker on the same port; the kernel spreads connections over them. */
static sl_err bind_all(struct sl_proxy *p, struct sl_bound *b, int *fds, struct sl_diag *diag)
{
	struct sl_listen_options alone = { 0 }, shared = { .reuse_port = true };
	int probe;

	/* First without sharing: else another process of ours could hold the port, and each would get half of the connections. */
	if (!overlaps_ours(p, &b->asked)) {
		SL_TRY(sl_listen(&b->asked, &alone, &probe, diag));
		sl_fd_close(&probe);
	}
	b->bound = b->asked;
	for (uint32_t i = 0; i < p->worker_count; i++) {
		sl_err err = sl_listen(&b->bound, &shared, &fds[i], diag);

		if (err == SL_OK && i == 0)
			err = sl_socket_local(fds[i], &b->bound);
		if (err != SL_OK) {
			close_all(fds, i + (fds[i] >= 0));
			return err;
		}
	}
	return SL_OK;
}

struct adopt_msg {
	struct sl_msg msg;
	struct sl_proxy *proxy;
	struct sl_worker *worker;
	struct sl_tables *tables; /* with a reference */
	size_t socket_count;
	struct sl_worker_socket sockets[];
};

static bool bind_listener(struct sl_proxy *p, uint32_t index, struct adopt_msg **messages)
{
	const struct sl_mesh_listener *m = &p->tables->mesh->listeners[index];
	struct sl_bound *b;
	struct sl_addr asked;
	char where[160];
	int fds[256];
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };

	snprintf(where, sizeof(where), "listener %.*s", SL_STR_ARG(m->name));
	if (sl_addr_from_ip(&asked, m->address, (uint16_t)m->port) != SL_OK) {
		sl_diag_add(&p->bind_diag, where, "FieldValueInvalid", "\"%.*s\" is no IP address",
		        SL_STR_ARG(m->address));
		return false;
	}
	b = bound_find(p, &asked, m->name);
	if (b) {
		b->seen = true;
		return true;
	}
	b = sl_new0(sizeof(*b));
	b->asked = asked;
	b->name = sl_strndup(m->name.p ? m->name.p : "", m->name.len);
	b->seen = true;
	sl_list_push(&p->bound, &b->node);
	for (uint32_t i = 0; i < p->worker_count; i++)
		fds[i] = -1;
	if (bind_all(p, b, fds, &diag) != SL_OK) {
		sl_diag_add(&p->bind_diag, where, NULL, "cannot be bound to %.*s:%u: %s",
		        SL_STR_ARG(m->address), m->port, sl_diag_text(&diag));
		bound_free(b);
		return false;
	}
	for (uint32_t i = 0; i < p->worker_count; i++)
		messages[i]->sockets[messages[i]->socket_count++] =
		        (struct sl_worker_socket) { .listener = index, .fd = fds[i] };
	return true;
}

static void forget_unseen(struct sl_proxy *p)
{
	SL_LIST_FOR_SAFE (node, &p->bound) {
		struct sl_bound *b = SL_LIST_ENTRY(node, struct sl_bound, node);

		if (!b->seen)
			bound_free(b);
	}
}

uint32_t sl_proxy_listener_count(const struct sl_proxy *p)
{
	uint32_t n = 0;

	SL_LIST_FOR (node, &p->bound)
		n++;
	return n;
}

uint16_t sl_proxy_port(const struct sl_proxy *p, sl_str listener)
{
	SL_LIST_FOR (node, &p->bound) {
		const struct sl_bound *b = SL_LIST_ENTRY(node, struct sl_bound, node);

		if (sl_str_eq_c(listener, b->name))
			return sl_addr_port(&b->bound);
	}
	return 0;
}

/* ---- bringing a mesh in force ---- */

static void applied(struct sl_proxy *p)
{
	void (*done)(void *arg, sl_err err, const char *text) = p->done;
	sl_err err = p->bind_diag.count ? SL_ERR_UNAVAILABLE : SL_OK;
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = p->bind_diag;

	p->bind_diag = (struct sl_diag) { 0 };
	p->busy = false;
	p->ready = true;
	p->done = NULL;
	done(p->done_arg, err, err == SL_OK ? "" : sl_diag_text(&diag));
}

static void adopted(struct sl_loop *loop, struct sl_msg *msg)
{
	struct adopt_msg *m = SL_CONTAINER_OF(msg, struct adopt_msg, msg);
	struct sl_proxy *p = m->proxy;

	(void)loop;
	sl_free(m);
	if (--p->missing == 0)
		applied(p);
}

static void adopt(struct sl_loop *loop, struct sl_msg *msg)
{
	struct adopt_msg *m = SL_CONTAINER_OF(msg, struct adopt_msg, msg);

	(void)loop;
	sl_worker_adopt(m->worker, m->tables, m->sockets, m->socket_count);
	sl_tables_unref(SL_STEAL(m->tables));
	m->msg.fn = adopted;
	sl_loop_post(&m->proxy->loop, &m->msg); /* the same message back: taken over */
}

static void send_to_workers(struct sl_proxy *p)
{
	size_t listeners = p->tables->mesh->listener_count;
	struct adopt_msg **messages = sl_new0_array(p->worker_count, sizeof(*messages));

	for (uint32_t i = 0; i < p->worker_count; i++) {
		messages[i] = sl_new0(sizeof(**messages) + listeners * sizeof(struct sl_worker_socket));
		messages[i]->msg.fn = adopt;
		messages[i]->proxy = p;
		messages[i]->worker = p->workers[i];
		messages[i]->tables = p->tables;
		__atomic_add_fetch(&p->tables->head.refs, 1, __ATOMIC_RELAXED);
	}
	SL_LIST_FOR (node, &p->bound)
		SL_LIST_ENTRY(node, struct sl_bound, node)->seen = false;
	for (uint32_t i = 0; i < listeners && !p->draining; i++)
		(void)bind_listener(p, i, messages); /* what failed stands in bind_diag */
	if (!p->draining)
		forget_unseen(p);
	p->missing = p->worker_count;
	for (uint32_t i = 0; i < p->worker_count; i++)
		sl_loop_post(&p->workers[i]->loop, &messages[i]->msg);
	sl_free(messages);
}

void sl_proxy_apply(struct sl_proxy *p, struct sl_mesh *mesh,
        void (*done)(void *arg, sl_err err, const char *text), void *arg)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	struct sl_tables *tables = NULL;
	sl_err err = p->busy ? SL_ERR_CONFLICT : sl_tables_new(&tables, mesh, p->tables, &diag);

	if (err != SL_OK) {
		done(arg, err, p->busy ? "another mesh is on its way" : sl_diag_text(&diag));
		return;
	}
	p->busy = true;
	p->done = done;
	p->done_arg = arg;
	sl_tables_unref(p->tables);
	p->tables = tables;
	send_to_workers(p);
}

/* ---- life ---- */

static sl_err open_log(struct sl_proxy *p, struct sl_diag *diag)
{
	const char *path = p->options->access_log;

	if (!path[0])
		return SL_OK;
	p->log_fd = strcmp(path, "-") == 0 ? dup(STDOUT_FILENO)
	                                   : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (p->log_fd < 0)
		return sl_diag_fail(diag, SL_ERR_UNAVAILABLE, "--access-log", NULL,
		        "\"%s\" cannot be opened for writing", path);
	return SL_OK;
}

static sl_err start_workers(struct sl_proxy *p)
{
	p->worker_count = p->options->workers ? p->options->workers : sl_cpu_count();
	p->workers = sl_new0_array(p->worker_count, sizeof(*p->workers));
	for (uint32_t i = 0; i < p->worker_count; i++) {
		struct sl_worker_config config = {
			.options = p->options,
			.index = i,
			.worker_count = p->worker_count,
			.log_fd = p->log_fd,
			.on_trip = on_trip,
			.on_drained = on_drained,
			.user = p,
		};

		SL_TRY(sl_worker_new(&p->workers[i], &config));
	}
	for (uint32_t i = 0; i < p->worker_count; i++)
		SL_TRY(sl_worker_start(p->workers[i]));
	return SL_OK;
}

static sl_err begin(struct sl_proxy *p, struct sl_diag *diag)
{
	SL_TRY(open_log(p, diag));
	SL_TRY(start_workers(p));
	SL_TRY(sl_proxy_admin_start(p, diag));
	return sl_proxy_wire(p, diag);
}

sl_err sl_proxy_new(struct sl_proxy **ret_p, const struct sl_proxy_options *options, struct sl_diag *diag)
{
	struct sl_proxy *p = sl_new0(sizeof(*p));
	sl_err err = sl_loop_init(&p->loop, NULL);

	if (err != SL_OK) {
		sl_free(p);
		return err;
	}
	p->options = options;
	p->log_fd = -1;
	p->drain_timer.fn = on_drain_timeout;
	sl_list_init(&p->bound);
	err = begin(p, diag);
	if (err != SL_OK) {
		sl_proxy_free(p);
		return err;
	}
	*ret_p = p;
	return SL_OK;
}

void sl_proxy_run(struct sl_proxy *p)
{
	sl_loop_run(&p->loop);
}

struct sl_loop *sl_proxy_loop(struct sl_proxy *p)
{
	return &p->loop;
}

void sl_proxy_free(struct sl_proxy *p)
{
	if (!p)
		return;
	sl_proxy_unwire(p);
	sl_proxy_admin_stop(p);
	p->missing = UINT32_MAX; /* nobody is told any more */
	for (uint32_t i = 0; i < p->worker_count; i++)
		sl_worker_free(p->workers[i]);
	sl_free(p->workers);
	sl_timer_stop(&p->loop, &p->drain_timer);
	sl_loop_fini(&p->loop);
	sl_tables_unref(p->tables);
	while (!sl_list_empty(&p->bound))
		bound_free(SL_LIST_ENTRY(p->bound.next, struct sl_bound, node));
	sl_diag_fini(&p->bind_diag);
	sl_proxy_load_fini(p);
	sl_fd_close(&p->log_fd);
	sl_free(p->admin_url);
	sl_free(p);
}
