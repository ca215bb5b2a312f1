#include "proxy/worker_priv.h"

#include "proxy/split.h"

/* ---- endpoints ---- */

static void pool_close(struct sl_endpoint *e)
{
	while (!sl_list_empty(&e->idle))
		sl_upstream_close(SL_LIST_ENTRY(e->idle.next, struct sl_upstream, idle));
}

void sl_endpoint_release(struct sl_endpoint *e)
{
	if (e->removed && !e->connections && !e->active)
		sl_free(e);
}

static void endpoint_remove(struct sl_endpoint *e)
{
	e->active++; /* so that closing the pool does not free it under us */
	e->removed = true;
	pool_close(e);
	e->active--;
	sl_endpoint_release(e);
}

static struct sl_endpoint *endpoint_new(
        struct sl_worker *w, struct sl_cluster *c, const struct sl_mesh_endpoint *m)
{
	struct sl_endpoint *e = sl_new0(sizeof(*e));

	if (sl_addr_from_ip(&e->addr, m->address, (uint16_t)m->port) != SL_OK)
		e->addr.len = 0; /* never ready: see is_ready */
	e->cluster = c;
	sl_list_init(&e->idle);
	sl_addr_format(e->text, &e->addr);
	e->stats = sl_stats_endpoint(w->stats, c->stats, m->address, m->port);
	return e;
}

static bool is_ready(const struct sl_endpoint *e)
{
	return e->health == SL_HEALTH_HEALTHY && e->addr.len;
}

static void endpoint_update(struct sl_worker *w, struct sl_endpoint *e, const struct sl_mesh_cluster *mc,
        const struct sl_mesh_endpoint *m)
{
	struct sl_dest_labels labels = {
		.cluster = mc->name,
		.service_host = mc->service_host,
		.service_name = mc->service_name,
		.service_namespace = mc->service_namespace,
		.workload = m->workload,
		.workload_namespace = m->namespace,
		.app = m->app,
		.version = m->version,
	};

	e->weight = m->weight ? m->weight : 1;
	e->health = m->health;
	e->dest[0] = sl_stats_dest(w->stats, &labels);
	labels.inbound = true;
	e->dest[1] = sl_stats_dest(w->stats, &labels);
	if (e->health == SL_HEALTH_DRAINING)
		pool_close(e);
}

/* The endpoint at that address among those not yet taken over, or NULL; taken ones are NULL in the array. */
static struct sl_endpoint *endpoint_take(
        struct sl_endpoint **old, uint32_t count, uint32_t at, const struct sl_addr *addr)
{
	if (at < count && old[at] && sl_addr_eq(&old[at]->addr, addr)) /* nearly always in the same place */
		return SL_STEAL(old[at]);
	for (uint32_t i = 0; i < count; i++)
		if (old[i] && sl_addr_eq(&old[i]->addr, addr))
			return SL_STEAL(old[i]);
	return NULL;
}

static void update_endpoints(struct sl_worker *w, struct sl_cluster *c, const struct sl_mesh_cluster *m)
{
	struct sl_endpoint **old = c->endpoints;
	uint32_t old_count = c->endpoint_count;

	c->endpoint_count = (uint32_t)m->endpoint_count;
	c->endpoints = sl_new0_array(m->endpoint_count + 1, sizeof(*c->endpoints));
	for (uint32_t i = 0; i < c->endpoint_count; i++) {
		struct sl_addr addr = { 0 };

		SL_IGNORE(sl_addr_from_ip(
		        &addr, m->endpoints[i].address, (uint16_t)m->endpoints[i].port)); /* stays empty */
		c->endpoints[i] = endpoint_take(old, old_count, i, &addr);
		if (!c->endpoints[i])
			c->endpoints[i] = endpoint_new(w, c, &m->endpoints[i]);
		endpoint_update(w, c->endpoints[i], m, &m->endpoints[i]);
	}
	for (uint32_t i = 0; i < old_count; i++)
		if (old[i])
			endpoint_remove(old[i]);
	sl_free(old);
}

static void update_ready(struct sl_worker *w, struct sl_cluster *c)
{
	uint32_t count = c->ready_count;

	c->ready = sl_resize(c->ready, (c->endpoint_count + 1) * sizeof(struct sl_endpoint *));
	c->weights = sl_resize(c->weights, (c->endpoint_count + 1) * sizeof(uint32_t));
	c->lags = sl_resize(c->lags, (c->endpoint_count + 1) * sizeof(int64_t));
	c->ready_count = c->total_weight = 0;
	c->weighted = false;
	for (uint32_t i = 0; i < c->endpoint_count; i++) {
		struct sl_endpoint *e = c->endpoints[i];

		if (!is_ready(e))
			continue;
		c->weights[c->ready_count] = e->weight;
		c->weighted |= e->weight != c->weights[0];
		c->total_weight += e->weight;
		c->ready[c->ready_count++] = e;
	}
	memset(c->lags, 0, (c->endpoint_count + 1) * sizeof(int64_t));
	if (c->ready_count != count && c->ready_count)
		c->next = (uint32_t)sl_prng_below(
		        &w->prng, c->ready_count); /* workers do not all begin with the first */
	SL_STAT_SET(c->stats->endpoints, c->endpoint_count);
	SL_STAT_SET(c->stats->endpoints_ready, c->ready_count);
}

/* ---- clusters ---- */

static uint32_t share(uint32_t limit, uint32_t workers)
{
	return limit ? (limit + workers - 1) / workers : UINT32_MAX;
}

struct sl_cluster *sl_cluster_adopt(struct sl_worker *w, const struct sl_mesh_cluster *m)
{
	struct sl_map_node *node = sl_map_get(&w->clusters, m->name);
	struct sl_cluster *c;

	if (node) {
		c = SL_MAP_ENTRY(node, struct sl_cluster, node);
	} else {
		c = sl_new0(sizeof(*c));
		c->stats = sl_stats_cluster(w->stats, m->name);
		sl_list_init(&c->waiting);
		sl_map_put(&w->clusters, &c->node, c->stats->name);
	}
	c->refs++;
	c->retired = false;
	c->lb = m->lb;
	c->connect_timeout = m->connect_timeout;
	c->idle_timeout = m->idle_timeout ? m->idle_timeout : w->options->upstream_idle_timeout;
	c->max_connections = share(m->max_connections, w->worker_count);
	c->max_waiting = share(m->max_pending, w->worker_count);
	c->max_requests = share(m->max_requests, w->worker_count);
	c->max_retries = share(m->max_retries, w->worker_count);
	c->max_requests_per_connection =
	        m->max_requests_per_connection ? m->max_requests_per_connection : UINT32_MAX;
	update_endpoints(w, c, m);
	update_ready(w, c);
	/* What waited may have a way now, or none any more. */
	for (uint32_t n = c->waiting_count; n && c->waiting_count && c->connections < c->max_connections; n--)
		sl_stream_unwait(SL_LIST_ENTRY(c->waiting.next, struct sl_downstream, wait));
	return c;
}

void sl_cluster_retire(struct sl_worker *w, struct sl_cluster *c)
{
	(void)w;
	c->retired = true;
	for (uint32_t i = 0; i < c->endpoint_count; i++)
		pool_close(c->endpoints[i]);
	SL_STAT_SET(c->stats->endpoints, 0);
	SL_STAT_SET(c->stats->endpoints_ready, 0);
}

void sl_cluster_unref(struct sl_worker *w, struct sl_cluster *c)
{
	if (--c->refs)
		return;
	sl_map_take(&w->clusters, c->node.key);
	for (uint32_t i = 0; i < c->endpoint_count; i++)
		endpoint_remove(c->endpoints[i]);
	sl_free(c->endpoints);
	sl_free(c->ready);
	sl_free(c->weights);
	sl_free(c->lags);
	sl_free(c->guard);
	sl_free(c->compared);
	sl_free(c);
}

/* ---- balancing ---- */

static struct sl_endpoint *pick_round_robin(struct sl_cluster *c)
{
	uint32_t i;

	if (c->weighted)
		return c->ready[sl_split_next(c->lags, c->weights, c->ready_count, c->total_weight)];
	i = c->next;
	c->next = i + 1 < c->ready_count ? i + 1 : 0;
	return c->ready[i];
}

static struct sl_endpoint *pick_random(struct sl_worker *w, struct sl_cluster *c)
{
	uint64_t at;
	uint32_t i = 0;

	if (!c->weighted)
		return c->ready[sl_prng_below(&w->prng, c->ready_count)];
	at = sl_prng_below(&w->prng, c->total_weight);
	while (at >= c->weights[i])
		at -= c->weights[i++];
	return c->ready[i];
}

/* Power of two choices: the one with less to do for its weight. Source: Mitzenmacher, IEEE TPDS 12(10), 2001. */
static struct sl_endpoint *pick_least_request(struct sl_worker *w, struct sl_cluster *c)
{
	uint64_t r = sl_prng_next(&w->prng);
	uint32_t i = (uint32_t)(((r & UINT32_MAX) * c->ready_count) >> 32);
	uint32_t j = (uint32_t)(((r >> 32) * (c->ready_count - 1)) >> 32);
	struct sl_endpoint *a = c->ready[i], *b = c->ready[j < i ? j : j + 1]; /* another one */

	return (uint64_t)(a->active + 1) * b->weight <= (uint64_t)(b->active + 1) * a->weight ? a : b;
}

static struct sl_endpoint *pick(struct sl_worker *w, struct sl_cluster *c)
{
	switch (c->lb) {
	case SL_LB_ROUND_ROBIN:
		return pick_round_robin(c);
	case SL_LB_LEAST_REQUEST:
		return pick_least_request(w, c);
	case SL_LB_RANDOM:
		return pick_random(w, c);
	}
	return c->ready[0];
}

struct sl_endpoint *sl_cluster_pick(
        struct sl_worker *w, struct sl_cluster *c, const struct sl_endpoint *avoid)
{
	struct sl_endpoint *e;

	if (c->ready_count <= 1)
		return c->ready_count ? c->ready[0] : NULL;
	e = pick(w, c);
	for (int tries = 0; e == avoid && tries < 3; tries++)
		e = pick(w, c);
	if (e == avoid) /* weights can insist; a retry does not */
		for (uint32_t i = 0; i < c->ready_count && e == avoid; i++)
			e = c->ready[i];
	return e;
}
