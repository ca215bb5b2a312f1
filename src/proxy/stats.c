#include "proxy/stats.h"

#include <stdio.h>

const double sl_stat_bounds[SL_STAT_BUCKETS - 1] = { 0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000,
	10000, 30000, 60000, 300000, 600000, 1800000, 3600000 };

/* Upper bounds in thousandths: microseconds, or bytes times 1000. */
static const uint64_t bounds_milli[SL_STAT_BUCKETS - 1] = { 500, 1000, 5000, 10000, 25000, 50000, 100000,
	250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000, 300000000, 600000000,
	1800000000, 3600000000 };

const char *sl_flag_text(enum sl_flag flag)
{
	static const char *const texts[] = {
#define SL_FLAG(id, text, status, body) [SL_FLAG_##id] = text,
#include "proxy/flags.def"
	};

	return (unsigned)flag < SL_FLAG_COUNT ? texts[flag] : "-";
}

static inline size_t bucket_of(uint64_t milli)
{
	size_t i = 0;

	/* Most durations are below 5 ms and most bodies below 1 KB: a short walk beats a search. */
	while (i < SL_STAT_BUCKETS - 1 && milli > bounds_milli[i])
		i++;
	return i;
}

void sl_stat_bytes(struct sl_stat_histogram *h, uint64_t bytes)
{
	uint64_t *bucket = &h->buckets[bucket_of(bytes < UINT64_MAX / 1000 ? bytes * 1000 : UINT64_MAX)];

	SL_STAT_ADD(*bucket, 1);
	SL_STAT_ADD(h->sum, bytes);
}

void sl_stat_duration(struct sl_stat_histogram *h, sl_nsec d)
{
	uint64_t ns = d > 0 ? (uint64_t)d : 0;
	/* Rounded up: 500,001 ns are above the bound of 0.5 ms. */
	uint64_t *bucket = &h->buckets[bucket_of((ns + 999) / 1000)];

	SL_STAT_ADD(*bucket, 1);
	SL_STAT_ADD(h->sum, ns);
}

void sl_stats_fini(struct sl_stats *s)
{
	for (struct sl_dest *d = s->dests; d; d = d->next)
		for (struct sl_series *x = d->series, *next; x; x = next) {
			next = x->next;
			sl_free(x);
		}
	for (struct sl_cluster_stats *c = s->clusters; c; c = c->next)
		sl_map_fini(&c->endpoint_by_address);
	sl_map_fini(&s->dest_by_key);
	sl_map_fini(&s->cluster_by_name);
	sl_map_fini(&s->split_by_key);
	sl_arena_fini(&s->arena);
	*s = (struct sl_stats) { 0 };
}

/* The parts with a byte between that none of them has. */
static size_t join_key(char *room, size_t room_bytes, const sl_str *parts, size_t count)
{
	size_t len = 0;

	for (size_t i = 0; i < count; i++) {
		size_t n = parts[i].len < room_bytes - len - 1 ? parts[i].len : room_bytes - len - 1;

		if (n)
			memcpy(room + len, parts[i].p, n);
		len += n;
		room[len++] = 0;
		if (len + 1 >= room_bytes)
			break;
	}
	return len;
}

struct sl_dest *sl_stats_dest(struct sl_stats *s, const struct sl_dest_labels *l)
{
	const sl_str parts[] = { l->inbound ? SL_STR("i") : SL_STR("o"), l->cluster, l->service_host,
		l->service_name, l->service_namespace, l->workload, l->workload_namespace, l->app,
		l->version };
	char room[2048];
	sl_str key = sl_str_n(room, join_key(room, sizeof(room), parts, SL_ARRAY_COUNT(parts)));
	struct sl_map_node *node = sl_map_get(&s->dest_by_key, key);
	struct sl_dest *d;

	if (node)
		return SL_MAP_ENTRY(node, struct sl_dest, node);
	d = sl_arena_zalloc(&s->arena, sizeof(*d));
	d->labels = (struct sl_dest_labels) {
		.inbound = l->inbound,
		.cluster = sl_arena_str(&s->arena, l->cluster),
		.service_host = sl_arena_str(&s->arena, l->service_host),
		.service_name = sl_arena_str(&s->arena, l->service_name),
		.service_namespace = sl_arena_str(&s->arena, l->service_namespace),
		.workload = sl_arena_str(&s->arena, l->workload),
		.workload_namespace = sl_arena_str(&s->arena, l->workload_namespace),
		.app = sl_arena_str(&s->arena, l->app),
		.version = sl_arena_str(&s->arena, l->version),
	};
	sl_map_put(&s->dest_by_key, &d->node, sl_arena_str(&s->arena, key));
	d->next = s->dests;
	__atomic_store_n(&s->dests, d, __ATOMIC_RELEASE);
	return d;
}

struct sl_cluster_stats *sl_stats_cluster(struct sl_stats *s, sl_str name)
{
	struct sl_map_node *node = sl_map_get(&s->cluster_by_name, name);
	struct sl_cluster_stats *c;

	if (node)
		return SL_MAP_ENTRY(node, struct sl_cluster_stats, node);
	c = sl_arena_zalloc(&s->arena, sizeof(*c));
	c->name = sl_arena_str(&s->arena, name);
	sl_map_put(&s->cluster_by_name, &c->node, c->name);
	c->next = s->clusters;
	__atomic_store_n(&s->clusters, c, __ATOMIC_RELEASE);
	return c;
}

struct sl_endpoint_stats *sl_stats_endpoint(
        struct sl_stats *s, struct sl_cluster_stats *c, sl_str address, uint32_t port)
{
	char room[128];
	int len = snprintf(room, sizeof(room), "%.*s:%u", SL_STR_ARG(address), port);
	sl_str key = sl_str_n(room, (size_t)len < sizeof(room) ? (size_t)len : sizeof(room) - 1);
	struct sl_map_node *node = sl_map_get(&c->endpoint_by_address, key);
	struct sl_endpoint_stats *e;

	if (node)
		return SL_MAP_ENTRY(node, struct sl_endpoint_stats, node);
	e = sl_arena_zalloc(&s->arena, sizeof(*e));
	e->address = sl_arena_str(&s->arena, address);
	e->port = port;
	sl_map_put(&c->endpoint_by_address, &e->node, sl_arena_str(&s->arena, key));
	e->next = c->endpoint_list;
	__atomic_store_n(&c->endpoint_list, e, __ATOMIC_RELEASE);
	return e;
}

struct sl_split_stats *sl_stats_split(
        struct sl_stats *s, sl_str config, sl_str host, sl_str route, sl_str cluster)
{
	const sl_str parts[] = { config, host, route, cluster };
	char room[2048];
	sl_str key = sl_str_n(room, join_key(room, sizeof(room), parts, SL_ARRAY_COUNT(parts)));
	struct sl_map_node *node = sl_map_get(&s->split_by_key, key);
	struct sl_split_stats *x;

	if (node)
		return SL_MAP_ENTRY(node, struct sl_split_stats, node);
	x = sl_arena_zalloc(&s->arena, sizeof(*x));
	x->config = sl_arena_str(&s->arena, config);
	x->host = sl_arena_str(&s->arena, host);
	x->route = sl_arena_str(&s->arena, route);
	x->cluster = sl_arena_str(&s->arena, cluster);
	sl_map_put(&s->split_by_key, &x->node, sl_arena_str(&s->arena, key));
	x->next = s->splits;
	__atomic_store_n(&s->splits, x, __ATOMIC_RELEASE);
	return x;
}

struct sl_series *sl_dest_series_slow_(
        struct sl_stats *s, struct sl_dest *d, uint16_t status, enum sl_flag flag)
{
	struct sl_series *x;

	(void)s;
	for (x = d->series; x; x = x->next)
		if (x->status == status && x->flag == flag)
			break;
	if (!x) {
		x = sl_new0(sizeof(*x));
		x->status = status;
		x->flag = (uint8_t)flag;
		x->next = d->series;
		__atomic_store_n(&d->series, x, __ATOMIC_RELEASE);
	}
	d->last = x;
	return x;
}
