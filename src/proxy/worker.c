#include "proxy/worker_priv.h"

#include "proxy/split.h"

#include <errno.h>

enum {
	ACCEPTS_MOST = 64, /* in one event */
	TICK_MS = 100,
	PAUSE_MS = 100, /* out of descriptors */
};

/* ---- views ---- */

void sl_table_view_free_(struct sl_worker *w, struct sl_table_view *v)
{
	for (size_t i = 0; i < v->tables->mesh->cluster_count; i++)
		sl_cluster_unref(w, v->clusters[i]);
	sl_free(v->clusters);
	sl_free(v->lags);
	sl_free(v->split_stats);
	sl_tables_unref(v->tables);
	sl_free(v);
}

struct lag_ref {
	struct sl_map_node node; /* by split key, as bytes */
	const struct sl_table_route *route;
};

static void each_route(const struct sl_tables *t,
        void (*fn)(void *arg, const struct sl_table_config *c, const struct sl_table_host *h,
                const struct sl_table_route *r),
        void *arg)
{
	for (size_t i = 0; i < t->mesh->route_config_count; i++)
		for (uint32_t j = 0; j < t->configs[i].host_count; j++)
			for (uint32_t k = 0; k < t->configs[i].hosts[j].route_count; k++)
				fn(arg, &t->configs[i], &t->configs[i].hosts[j],
				        &t->configs[i].hosts[j].routes[k]);
}

struct carry {
	struct sl_worker *w;
	struct sl_table_view *to, *from;
	struct sl_map old; /* of lag_ref */
	struct sl_arena arena;
};

static void note_old(void *arg, const struct sl_table_config *c, const struct sl_table_host *h,
        const struct sl_table_route *r)
{
	struct carry *carry = arg;
	struct lag_ref *ref;

	(void)c, (void)h;
	if (r->split_count < 2)
		return;
	for (uint32_t i = 0; i < r->split_count; i++) {
		SL_STAT_SET(carry->from->split_stats[r->lag_at + i]->weight, 0);
		SL_STAT_SET(carry->from->split_stats[r->lag_at + i]->total_weight, 0);
	}
	ref = sl_arena_zalloc(&carry->arena, sizeof(*ref));
	ref->route = r;
	sl_map_put(&carry->old, &ref->node, sl_str_n((const char *)&r->split_key, sizeof(r->split_key)));
}

static void carry_route(void *arg, const struct sl_table_config *c, const struct sl_table_host *h,
        const struct sl_table_route *r)
{
	struct carry *carry = arg;
	struct sl_map_node *node;

	if (r->split_count < 2)
		return;
	for (uint32_t i = 0; i < r->split_count; i++) {
		struct sl_split_stats *x = sl_stats_split(carry->w->stats, c->mesh->name, h->mesh->name,
		        r->mesh->name, r->splits[i].mesh->cluster);

		SL_STAT_SET(x->weight, r->weights[i]);
		SL_STAT_SET(x->total_weight, r->total_weight);
		carry->to->split_stats[r->lag_at + i] = x;
	}
	node = sl_map_get(&carry->old, sl_str_n((const char *)&r->split_key, sizeof(r->split_key)));
	if (node && carry->from) {
		const struct sl_table_route *old = SL_MAP_ENTRY(node, struct lag_ref, node)->route;

		sl_split_carry(carry->to->lags + r->lag_at, carry->from->lags + old->lag_at, r->split_count,
		        old->total_weight, r->weights, r->total_weight);
	}
}

/* What split targets are owed goes over to the new snapshot: ten snapshots a second must not start the counting anew each time. */
static void carry_lags(struct sl_worker *w, struct sl_table_view *to, struct sl_table_view *from)
{
	struct carry carry = { .w = w, .to = to, .from = from };

	if (from)
		each_route(from->tables, note_old, &carry);
	each_route(to->tables, carry_route, &carry);
	sl_map_fini(&carry.old);
	sl_arena_fini(&carry.arena);
}

/* ---- guards ---- */

static void guard_off(struct sl_worker *w)
{
	SL_MAP_FOR (node, &w->clusters) {
		struct sl_cluster *c = SL_MAP_ENTRY(node, struct sl_cluster, node);

		c->trip = NULL;
		c->compared_count = 0;
	}
}

static void guard_on(struct sl_worker *w, struct sl_cluster *canary, struct sl_cluster *stable,
        struct sl_trip *trip, const struct sl_mesh_guard *m)
{
	struct sl_guard_config config;

	sl_guard_config_defaults(&config);
	config.alpha = m->alpha;
	config.min_refused = m->refused_run ? m->refused_run : UINT32_MAX;
	config.min_failed = m->failure_run ? m->failure_run : UINT32_MAX;
	if (!canary->guard)
		canary->guard = sl_new0(sizeof(*canary->guard));
	sl_guard_arm(canary->guard, m->generation, &config, w->loop.now);
	SL_STAT_SET(canary->stats->guard, canary->guard->tripped ? (uint32_t)canary->guard->reason : 0);
	canary->trip = trip;
	for (uint32_t i = 0; i < stable->compared_count; i++)
		if (stable->compared[i] == canary)
			return;
	stable->compared =
	        sl_resize(stable->compared, (stable->compared_count + 1) * sizeof(struct sl_cluster *));
	stable->compared[stable->compared_count++] = canary;
}

static void guard_route(void *arg, const struct sl_table_config *c, const struct sl_table_host *h,
        const struct sl_table_route *r)
{
	struct sl_worker *w = arg;
	struct sl_table_view *v = w->view;

	(void)c, (void)h;
	for (uint32_t i = 0; i < r->split_count; i++) {
		const struct sl_table_split *t = &r->splits[i];

		if (t->trip == SL_TABLE_NONE)
			continue;
		guard_on(w, v->clusters[t->cluster], v->clusters[t->fallback], v->tables->trips[t->trip],
		        &t->mesh->guard);
	}
}

static void guard_renew(struct sl_worker *w)
{
	guard_off(w);
	each_route(w->view->tables, guard_route, w);
	w->guard_count = 0;
	SL_MAP_FOR (node, &w->clusters) {
		struct sl_cluster *c = SL_MAP_ENTRY(node, struct sl_cluster, node);

		if (!c->trip && c->guard) {
			sl_free(SL_STEAL(c->guard));
			SL_STAT_SET(c->stats->guard, 0);
		}
		w->guard_count += c->guard != NULL;
	}
	if (w->guard_count && !sl_timer_armed(&w->tick))
		sl_timer_in(&w->loop, &w->tick, SL_MSEC(TICK_MS));
}

static void on_tick(struct sl_loop *loop, struct sl_timer *t)
{
	struct sl_worker *w = SL_CONTAINER_OF(t, struct sl_worker, tick);

	(void)loop;
	sl_account_tick(w);
	if (w->guard_count)
		sl_timer_in(&w->loop, t, SL_MSEC(TICK_MS));
}

/* ---- listeners ---- */

static void listener_free(void *object)
{
	sl_free(object);
}

static void listener_release(struct sl_worker *w, struct sl_table_listener_state *l)
{
	if (!l->draining || l->connections)
		return;
	sl_list_remove(&l->node);
	if (l->view)
		sl_table_view_drop(w, SL_STEAL(l->view));
	sl_loop_free_later(&w->loop, &l->dead, listener_free, l);
}

void sl_worker_connection_gone(struct sl_worker *w, struct sl_table_listener_state *l)
{
	l->connections--;
	listener_release(w, l);
	if (w->draining && !w->connections && w->on_drained)
		w->on_drained(w);
}

/* True: more may be waiting. */
static bool accept_some(struct sl_table_listener_state *l, int most)
{
	for (int i = 0; i < most && l->io.fd >= 0; i++) {
		struct sl_addr peer;
		int fd;
		sl_err err = sl_accept(l->io.fd, &fd, &peer);

		if (err == SL_ERR_UNAVAILABLE) {
			sl_timer_in(&l->worker->loop, &l->pause, SL_MSEC(PAUSE_MS));
			return false;
		}
		if (err != SL_OK)
			return false;
		sl_downstream_accept(l, fd, &peer);
	}
	return true;
}

static void accept_event(struct sl_table_listener_state *l)
{
	if (accept_some(l, ACCEPTS_MOST))
		sl_loop_defer(&l->worker->loop, &l->more);
}

static void on_accept(struct sl_loop *loop, struct sl_io *io, uint32_t events)
{
	(void)loop, (void)events;
	accept_event(SL_CONTAINER_OF(io, struct sl_table_listener_state, io));
}

static void on_more(struct sl_loop *loop, struct sl_task *task)
{
	(void)loop;
	accept_event(SL_CONTAINER_OF(task, struct sl_table_listener_state, more));
}

static void on_pause(struct sl_loop *loop, struct sl_timer *t)
{
	(void)loop;
	accept_event(SL_CONTAINER_OF(t, struct sl_table_listener_state, pause));
}

/* Takes what the kernel has accepted for us already, so that closing resets nobody; then closes. */
static void listener_close(struct sl_table_listener_state *l)
{
	struct sl_worker *w = l->worker;

	(void)accept_some(l, INT32_MAX);
	sl_loop_close(&w->loop, &l->io);
	sl_task_cancel(&w->loop, &l->more);
	sl_timer_stop(&w->loop, &l->pause);
}

static void listener_addr(const struct sl_mesh_listener *m, struct sl_addr *a)
{
	if (sl_addr_from_ip(a, m->address, (uint16_t)m->port) != SL_OK)
		a->len = 0;
}

static struct sl_table_listener_state *listener_find(struct sl_worker *w, const struct sl_mesh_listener *m)
{
	struct sl_addr addr;

	listener_addr(m, &addr);
	SL_LIST_FOR (node, &w->listeners) {
		struct sl_table_listener_state *l = SL_LIST_ENTRY(node, struct sl_table_listener_state, node);

		if (!l->draining && sl_addr_eq(&l->addr, &addr) && (m->port || sl_str_eq(l->name, m->name)))
			return l;
	}
	return NULL;
}

static void listener_new(struct sl_worker *w, uint32_t index, int fd)
{
	struct sl_table_listener_state *l = sl_new0(sizeof(*l));
	const struct sl_mesh_listener *m = w->view->tables->listeners[index].mesh;

	l->worker = w;
	l->index = index;
	l->name = sl_arena_str(&w->stats->arena, m->name);
	l->io = SL_IO_NONE;
	l->more.fn = on_more;
	l->pause.fn = on_pause;
	listener_addr(m, &l->addr);
	sl_list_push(&w->listeners, &l->node);
	if (sl_loop_add(&w->loop, &l->io, fd, SL_IO_READ, on_accept) != SL_OK)
		sl_fd_close(&fd); /* out of memory for epoll: the other workers serve this address */
	else
		sl_loop_defer(&w->loop, &l->more); /* connections may have come before us */
}

/* The mesh has it no longer: its connections finish what they have, by the snapshot they knew. */
static void listener_retire(
        struct sl_worker *w, struct sl_table_listener_state *l, struct sl_table_view *last)
{
	l->view = last;
	last->holds++;
	l->draining = true;
	l->connections++; /* so that it outlives the accepting below */
	listener_close(l);
	l->connections--;
	SL_LIST_FOR (node, &w->downstreams) {
		struct sl_downstream *d = SL_LIST_ENTRY(node, struct sl_downstream, node);

		if (d->listener == l)
			sl_downstream_retire(d);
	}
	listener_release(w, l);
}

static void renew_listeners(
        struct sl_worker *w, struct sl_table_view *last, const struct sl_worker_socket *sockets, size_t count)
{
	const struct sl_tables *t = w->view->tables;

	SL_LIST_FOR (node, &w->listeners)
		SL_LIST_ENTRY(node, struct sl_table_listener_state, node)->seen = false;
	for (uint32_t i = 0; i < t->mesh->listener_count; i++) {
		struct sl_table_listener_state *l = listener_find(w, t->listeners[i].mesh);

		if (!l)
			continue;
		l->index = i;
		l->seen = true;
	}
	SL_LIST_FOR_SAFE (node, &w->listeners) {
		struct sl_table_listener_state *l = SL_LIST_ENTRY(node, struct sl_table_listener_state, node);

		if (!l->draining && !l->seen)
			listener_retire(w, l, last);
	}
	for (size_t i = 0; i < count; i++) {
		if (w->draining) {
			int fd = sockets[i].fd;

			sl_fd_close(&fd);
		} else {
			listener_new(w, sockets[i].listener, sockets[i].fd);
		}
	}
}

/* ---- adoption ---- */

void sl_worker_adopt(struct sl_worker *w, struct sl_tables *tables, const struct sl_worker_socket *sockets,
        size_t socket_count)
{
	struct sl_table_view *last = w->view, *v = sl_new0(sizeof(*v));
	size_t clusters = tables->mesh->cluster_count;

	v->tables = tables;
	__atomic_add_fetch(&tables->head.refs, 1, __ATOMIC_RELAXED);
	v->holds = 1;
	v->clusters = sl_new0_array(clusters + 1, sizeof(*v->clusters));
	v->lags = sl_new0_array(tables->lag_count + 1, sizeof(*v->lags));
	v->split_stats = sl_new0_array(tables->lag_count + 1, sizeof(*v->split_stats));
	SL_MAP_FOR (node, &w->clusters)
		SL_MAP_ENTRY(node, struct sl_cluster, node)->retired = true;
	for (size_t i = 0; i < clusters; i++)
		v->clusters[i] = sl_cluster_adopt(w, &tables->mesh->clusters[i]);
	carry_lags(w, v, last);
	w->view = v;
	SL_MAP_FOR (node, &w->clusters) {
		struct sl_cluster *c = SL_MAP_ENTRY(node, struct sl_cluster, node);

		if (c->retired)
			sl_cluster_retire(w, c);
	}
	guard_renew(w);
	renew_listeners(w, last, sockets, socket_count);
	SL_STAT_SET(w->stats->snapshot_epoch, tables->mesh->epoch);
	SL_STAT_ADD(w->stats->snapshot_swaps_total, 1);
	if (last)
		sl_table_view_drop(w, last);
}

void sl_worker_drain(struct sl_worker *w)
{
	if (w->draining)
		return;
	SL_LIST_FOR_SAFE (node, &w->listeners)
		listener_close(SL_LIST_ENTRY(node, struct sl_table_listener_state, node));
	w->draining = true;
	SL_LIST_FOR (node, &w->downstreams)
		sl_downstream_retire(SL_LIST_ENTRY(node, struct sl_downstream, node));
	if (!w->connections && w->on_drained)
		w->on_drained(w);
}

/* ---- life ---- */

sl_err sl_worker_new(struct sl_worker **ret_w, const struct sl_worker_config *config)
{
	const struct sl_loop_config loop = { 0 };
	struct sl_worker *w = sl_new0(sizeof(*w));
	sl_err err = sl_loop_init(&w->loop, &loop);

	if (err != SL_OK) {
		sl_free(w);
		return err;
	}
	w->options = config->options;
	w->stats = sl_new0(sizeof(*w->stats));
	w->index = config->index;
	w->worker_count = config->worker_count;
	w->on_trip = config->on_trip;
	w->on_drained = config->on_drained;
	w->user = config->user;
	w->limits = (struct sl_http1_limits)SL_HTTP1_LIMITS;
	w->limits.head_bytes = config->options->head_bytes;
	w->limits.fields = config->options->head_fields;
	w->connections_most =
	        (config->options->max_connections + config->worker_count - 1) / config->worker_count;
	w->tick.fn = on_tick;
	w->date_second = -1;
	sl_list_init(&w->downstreams);
	sl_list_init(&w->listeners);
	sl_prng_seed_secure(&w->prng);
	sl_access_log_init(w, config->log_fd);
	*ret_w = w;
	return SL_OK;
}

static void run(void *arg)
{
	struct sl_worker *w = arg;

	if (w->options->pin)
		SL_IGNORE(sl_thread_pin(
		        w->index % sl_cpu_count())); /* a wish: serving unpinned is better than not at all */
	sl_loop_run(&w->loop);
}

sl_err sl_worker_start(struct sl_worker *w)
{
	return sl_thread_start(&w->thread, "worker", run, w);
}

static void free_chunks(struct sl_chunk *c)
{
	while (c) {
		struct sl_chunk *next = c->next;

		sl_free(c);
		c = next;
	}
}

static void free_connections(struct sl_worker *w)
{
	while (w->free_downstreams) {
		struct sl_downstream *d = w->free_downstreams;

		w->free_downstreams = (struct sl_downstream *)(void *)d->listener;
		sl_free(d);
	}
	while (w->free_upstreams) {
		struct sl_upstream *u = w->free_upstreams;

		w->free_upstreams = (struct sl_upstream *)(void *)u->down;
		sl_free(u);
	}
}

void sl_worker_free(struct sl_worker *w)
{
	if (!w)
		return;
	if (w->thread.started) {
		sl_loop_stop_from(&w->loop);
		sl_thread_join(&w->thread);
	}
	w->on_drained = NULL;
	w->draining = true;
	SL_LIST_FOR_SAFE (node, &w->listeners) {
		struct sl_table_listener_state *l = SL_LIST_ENTRY(node, struct sl_table_listener_state, node);

		sl_loop_close(&w->loop, &l->io);
		sl_task_cancel(&w->loop, &l->more);
		sl_timer_stop(&w->loop, &l->pause);
	}
	while (!sl_list_empty(&w->downstreams))
		sl_downstream_close(SL_LIST_ENTRY(w->downstreams.next, struct sl_downstream, node));
	while (!sl_list_empty(&w->listeners)) {
		struct sl_table_listener_state *l =
		        SL_LIST_ENTRY(w->listeners.next, struct sl_table_listener_state, node);

		l->draining = true;
		listener_release(w, l);
	}
	if (w->view)
		sl_table_view_drop(w, SL_STEAL(w->view));
	sl_timer_stop(&w->loop, &w->tick);
	sl_access_log_fini(w);
	sl_loop_fini(&w->loop);
	free_connections(w);
	free_chunks(w->chunks);
	free_chunks(w->big_chunks);
	sl_map_fini(&w->clusters);
	sl_regex_scratch_fini(&w->regex);
	sl_buf_fini(&w->tx);
	sl_buf_fini(&w->path);
	sl_stats_fini(w->stats);
	sl_free(w->stats);
	sl_free(w);
}
