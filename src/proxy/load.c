#include "proxy/proxy_priv.h"

#include <stdio.h>

/* Counts of one cluster, summed over the workers. */
struct counts {
	uint64_t issued, ok, error, dropped, judged, events;
	uint32_t in_flight, guard;
};

struct load_last { /* what was reported of a cluster so far */
	struct sl_map_node node;
	struct counts counts;
	struct counts now; /* while a report is made */
	uint64_t round;    /* the report that `now` belongs to */
};

static struct load_last *last_of(struct sl_proxy *p, sl_str name)
{
	struct sl_map_node *node = sl_map_get(&p->load_last, name);
	struct load_last *l;

	if (node)
		return SL_MAP_ENTRY(node, struct load_last, node);
	l = sl_arena_zalloc(&p->load_arena, sizeof(*l));
	sl_map_put(&p->load_last, &l->node, sl_arena_str(&p->load_arena, name));
	return l;
}

static void sum_workers(struct sl_proxy *p)
{
	SL_MAP_FOR (node, &p->load_last)
		SL_MAP_ENTRY(node, struct load_last, node)->now = (struct counts) { 0 };
	for (uint32_t i = 0; i < p->worker_count; i++) {
		struct sl_cluster_stats *c =
		        __atomic_load_n(&p->workers[i]->stats->clusters, __ATOMIC_ACQUIRE);

		for (; c; c = c->next) {
			struct counts *now = &last_of(p, c->name)->now;
			uint32_t guard = SL_STAT_GET(c->guard);

			now->issued += SL_STAT_GET(c->issued);
			now->ok += SL_STAT_GET(c->ok);
			now->error += SL_STAT_GET(c->error);
			now->dropped += SL_STAT_GET(c->dropped);
			/* Events first: read the other way round there could be more of them than requests. */
			now->events += SL_STAT_GET(c->events);
			now->judged += SL_STAT_GET(c->judged);
			now->in_flight += SL_STAT_GET(c->in_flight);
			if (guard)
				now->guard = guard;
		}
	}
}

static const struct sl_trip *tripped(const struct sl_proxy *p, sl_str cluster)
{
	for (uint32_t i = 0; p->tables && i < p->tables->trip_count; i++) {
		const struct sl_trip *t = p->tables->trips[i];

		if (sl_str_eq(t->cluster, cluster) && __atomic_load_n(&t->tripped, __ATOMIC_ACQUIRE))
			return t;
	}
	return NULL;
}

static void add_metric(struct sl_load_cluster *c, sl_str name, uint64_t count, double total)
{
	c->metrics[c->metric_count++] =
	        (struct sl_load_metric) { .name = name, .count = count, .total = total };
}

static bool wished(const struct sl_load_wish *wish, sl_str name)
{
	if (wish->all_clusters)
		return true;
	for (size_t i = 0; i < wish->cluster_count; i++)
		if (sl_str_eq(wish->clusters[i], name))
			return true;
	return false;
}

/* The cluster's endpoints that have something in flight, worker after worker; returns how many there are, which may be more than fit. */
static size_t endpoints_in_flight(
        const struct sl_proxy *p, sl_str cluster, struct sl_load_endpoint *out, size_t room)
{
	size_t n = 0;

	for (uint32_t i = 0; i < p->worker_count; i++) {
		const struct sl_cluster_stats *c =
		        __atomic_load_n(&p->workers[i]->stats->clusters, __ATOMIC_ACQUIRE);

		while (c && !sl_str_eq(c->name, cluster))
			c = c->next;
		if (!c)
			continue;
		for (const struct sl_endpoint_stats *e = __atomic_load_n(&c->endpoint_list, __ATOMIC_ACQUIRE);
		        e; e = e->next) {
			uint32_t in_flight = SL_STAT_GET(e->in_flight);

			if (!in_flight)
				continue;
			if (n < room)
				out[n] = (struct sl_load_endpoint) {
					.address = e->address, .port = e->port, .in_flight = in_flight
				};
			n++;
		}
	}
	return n;
}

/* Only what is in flight is told: absence means none. An address may come once per worker; its counts add up. */
static void add_endpoints(const struct sl_proxy *p, struct sl_arena *arena, struct sl_load_cluster *c)
{
	size_t room = 0, n = endpoints_in_flight(p, c->cluster, NULL, 0);

	while (n > room) { /* once nearly always: there may be more by now */
		room = n + 16;
		c->endpoints = sl_arena_zalloc_array(arena, room, sizeof(*c->endpoints));
		n = endpoints_in_flight(p, c->cluster, c->endpoints, room);
	}
	c->endpoint_count = n;
}

static bool fill_cluster(struct sl_proxy *p, struct sl_arena *arena, struct load_last *l,
        const struct sl_load_wish *wish, struct sl_load_cluster *c)
{
	const struct counts *now = &l->now, *was = &l->counts;
	const struct sl_trip *trip = tripped(p, l->node.key);
	bool changed = now->issued != was->issued || now->ok != was->ok || now->error != was->error ||
	               now->dropped != was->dropped || now->judged != was->judged ||
	               now->in_flight != was->in_flight;

	if (!changed && !now->in_flight && !trip)
		return false;
	*c = (struct sl_load_cluster) {
		.cluster = l->node.key,
		.issued = now->issued - was->issued,
		.ok = now->ok - was->ok,
		.error = now->error - was->error,
		.dropped = now->dropped - was->dropped,
		.in_flight = now->in_flight,
		.metrics = sl_arena_zalloc_array(arena, 3, sizeof(struct sl_load_metric)),
	};
	add_metric(c, SL_LOAD_JUDGED, now->judged - was->judged, (double)(now->events - was->events));
	if (trip) {
		add_metric(c, SL_LOAD_GUARD, 1, (double)trip->generation);
		add_metric(c, sl_arena_printf(arena, SL_LOAD_GUARD_WHY "%u", trip->tripped), 1, 0);
	}
	if (wish->endpoints && now->in_flight) /* it walks the clusters that ever were */
		add_endpoints(p, arena, c);
	l->counts = *now;
	return true;
}

bool sl_proxy_load(struct sl_proxy *p, struct sl_arena *arena, const struct sl_load_wish *wish,
        struct sl_load_report *report)
{
	size_t n = 0;

	sum_workers(p);
	report->clusters = sl_arena_zalloc_array(arena, p->load_last.count, sizeof(*report->clusters));
	SL_MAP_FOR (node, &p->load_last) {
		struct load_last *l = SL_MAP_ENTRY(node, struct load_last, node);

		if (wished(wish, node->key) && fill_cluster(p, arena, l, wish, &report->clusters[n]))
			n++;
	}
	report->cluster_count = n;
	report->interval = p->load_at ? p->loop.now - p->load_at : wish->interval;
	p->load_at = p->loop.now;
	return true; /* an empty report says that nothing is in flight */
}

void sl_proxy_load_fini(struct sl_proxy *p)
{
	sl_map_fini(&p->load_last);
	sl_arena_fini(&p->load_arena);
}
