#pragma once
/*
 * Random meshes for property tests: valid (sl_mesh_check), and in the canonical form that xDS carries (see encode.h): header removals first,
 * nothing set that has no meaning.
 * Ownership: the caller's.       Threads: one owner.
 */
#include "model/mesh.h"

struct mesh_gen {
	uint64_t state; /* any seed */
	struct sl_mesh *mesh;
	size_t cluster_count; /* that routes may refer to */
};

/* Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014), splitmix64. */
static inline uint64_t gen_next(struct mesh_gen *g)
{
	uint64_t z = g->state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static inline uint32_t gen_below(struct mesh_gen *g, uint32_t n)
{
	return (uint32_t)(gen_next(g) % n);
}

static inline bool gen_chance(struct mesh_gen *g, uint32_t percent)
{
	return gen_below(g, 100) < percent;
}

/* Empty in a quarter of all cases. */
static inline sl_str gen_text(struct mesh_gen *g, const char *stem)
{
	return gen_chance(g, 25) ? SL_STR_NONE
	                         : sl_arena_printf(&g->mesh->arena, "%s-%u", stem, gen_below(g, 1000));
}

static inline sl_str gen_name(struct mesh_gen *g, const char *stem, size_t i)
{
	return sl_arena_printf(&g->mesh->arena, "%s|%zu", stem, i);
}

static inline void *gen_list(struct mesh_gen *g, size_t count, size_t size)
{
	return count ? sl_arena_zalloc_array(&g->mesh->arena, count, size) : NULL;
}

static inline struct sl_mesh_match gen_match(struct mesh_gen *g)
{
	struct sl_mesh_match m = { .kind = (enum sl_match_kind)gen_below(g, 6), .invert = gen_chance(g, 30) };

	if (m.kind <= SL_MATCH_CONTAINS)
		m.ignore_case = gen_chance(g, 30);
	if (m.kind == SL_MATCH_REGEX ||
	        (m.kind != SL_MATCH_PRESENT && gen_chance(g, 80))) /* a header may have to be empty */
		m.value = sl_arena_printf(&g->mesh->arena, "value-%u", gen_below(g, 1000));
	return m;
}

static inline struct sl_mesh_field_match *gen_fields(struct mesh_gen *g, const char *stem, size_t count)
{
	struct sl_mesh_field_match *list = gen_list(g, count, sizeof(*list));

	for (size_t i = 0; i < count; i++) {
		list[i].name = gen_name(g, stem, i);
		list[i].match = gen_match(g);
	}
	return list;
}

static inline struct sl_mesh_header_op *gen_ops(struct mesh_gen *g, size_t count)
{
	struct sl_mesh_header_op *list = gen_list(g, count, sizeof(*list));
	size_t removals = count ? gen_below(g, (uint32_t)count + 1) : 0;

	for (size_t i = 0; i < count; i++) {
		list[i].kind = i < removals ? SL_HEADER_REMOVE : (enum sl_header_op_kind)gen_below(g, 2);
		list[i].name = gen_name(g, "x-header", i);
		if (i >= removals)
			list[i].value = gen_text(g, "v");
	}
	return list;
}

static inline struct sl_mesh_header_ops gen_header_ops(struct mesh_gen *g)
{
	struct sl_mesh_header_ops ops = { .request_count = gen_below(g, 3),
		.response_count = gen_below(g, 3) };

	ops.request = gen_ops(g, ops.request_count);
	ops.response = gen_ops(g, ops.response_count);
	return ops;
}

static inline struct sl_mesh_split gen_split(struct mesh_gen *g)
{
	struct sl_mesh_split s = { .weight = gen_below(g, 200), .headers = gen_header_ops(g) };

	s.cluster = gen_name(g, "cluster", gen_below(g, (uint32_t)g->cluster_count));
	if (gen_chance(g, 40)) {
		s.guard.fallback = gen_name(g, "cluster", gen_below(g, (uint32_t)g->cluster_count));
		s.guard.rollout = gen_text(g, "default/rollout");
		s.guard.generation = gen_next(g);
		s.guard.alpha = gen_below(g, 1000) / 1000.0;
		s.guard.refused_run = gen_below(g, 10);
		s.guard.failure_run = gen_below(g, 10);
	}
	return s;
}

static inline struct sl_mesh_retry gen_retry(struct mesh_gen *g)
{
	struct sl_mesh_retry r = { .attempts = gen_below(g, 3) };

	if (!r.attempts)
		return r;
	r.on = gen_below(g, SL_RETRY_STATUS_CODES * 2);
	r.per_try_timeout = gen_below(g, 2) * SL_MSEC(1 + gen_below(g, 5000));
	r.status_count = gen_below(g, 3);
	r.statuses = gen_list(g, r.status_count, sizeof(*r.statuses));
	for (size_t i = 0; i < r.status_count; i++)
		r.statuses[i] = 500 + gen_below(g, 10);
	return r;
}

static inline struct sl_mesh_redirect gen_redirect(struct mesh_gen *g)
{
	static const uint32_t statuses[] = { 301, 302, 303, 307, 308 };
	struct sl_mesh_redirect r = { .status = statuses[gen_below(g, 5)], .port = gen_below(g, 2) * 8443 };

	r.scheme = gen_text(g, "scheme");
	r.authority = gen_text(g, "host");
	if (gen_chance(g, 50))
		r.path = gen_text(g, "/path");
	else
		r.prefix = gen_text(g, "/prefix");
	return r;
}

static inline void gen_forward(struct mesh_gen *g, struct sl_mesh_route *r)
{
	r->split_count = 1 + gen_below(g, 3);
	r->splits = gen_list(g, r->split_count, sizeof(*r->splits));
	for (size_t i = 0; i < r->split_count; i++)
		r->splits[i] = gen_split(g);
	r->timeout = gen_below(g, 3) * SL_MSEC(700) + gen_below(g, 2);
	r->retry = gen_retry(g);
	r->rewrite.prefix = gen_text(g, "/to");
	r->rewrite.authority = gen_text(g, "host");
	r->rewrite.regex = gen_text(g, "/re");
	if (r->rewrite.regex.len)
		r->rewrite.substitution = gen_text(g, "\\1");
}

static inline struct sl_mesh_route gen_route(struct mesh_gen *g)
{
	struct sl_mesh_route r = { .name = gen_text(g, "route"),
		.action = (enum sl_route_action)gen_below(g, 3) };

	r.match.path_kind = (enum sl_path_kind)gen_below(g, 4);
	r.match.path = sl_arena_printf(&g->mesh->arena, "/p%u", gen_below(g, 100));
	r.match.path_ignore_case = gen_chance(g, 20);
	r.match.header_count = gen_below(g, 3);
	r.match.headers = gen_fields(g, "x-match", r.match.header_count);
	r.match.param_count = gen_below(g, 3);
	r.match.params = gen_fields(g, "param", r.match.param_count);
	r.headers = gen_header_ops(g);
	if (r.action == SL_ROUTE_FORWARD)
		gen_forward(g, &r);
	else if (r.action == SL_ROUTE_REDIRECT)
		r.redirect = gen_redirect(g);
	else
		r.direct_status = 200 + gen_below(g, 400), r.direct_body = gen_text(g, "body");
	return r;
}

static inline void gen_route_config(struct mesh_gen *g, size_t index, struct sl_mesh_route_config *rc)
{
	rc->name = gen_name(g, "routes", index);
	rc->host_count = gen_below(g, 3);
	rc->hosts = gen_list(g, rc->host_count, sizeof(*rc->hosts));
	for (size_t h = 0; h < rc->host_count; h++) {
		struct sl_mesh_virtual_host *host = &rc->hosts[h];

		host->name = gen_name(g, "host", h);
		host->domain_count = 1 + gen_below(g, 2);
		host->domains = gen_list(g, host->domain_count, sizeof(*host->domains));
		for (size_t d = 0; d < host->domain_count; d++)
			host->domains[d] =
			        sl_arena_printf(&g->mesh->arena, "svc-%zu-%zu-%zu:9080", index, h, d);
		host->route_count = gen_below(g, 4);
		host->routes = gen_list(g, host->route_count, sizeof(*host->routes));
		for (size_t r = 0; r < host->route_count; r++)
			host->routes[r] = gen_route(g);
	}
}

static inline struct sl_mesh_endpoint gen_endpoint(struct mesh_gen *g)
{
	struct sl_mesh_endpoint e = { .port = 1 + gen_below(g, 65535), .weight = 1 + gen_below(g, 5) };

	e.address = sl_arena_printf(&g->mesh->arena, "127.0.0.%u", gen_below(g, 255));
	e.health = (enum sl_health)gen_below(g, 3);
	e.pod = gen_text(g, "pod");
	e.workload = gen_text(g, "workload");
	e.namespace = gen_text(g, "ns");
	e.app = gen_text(g, "app");
	e.version = gen_text(g, "v");
	return e;
}

static inline void gen_cluster(struct mesh_gen *g, size_t index, struct sl_mesh_cluster *c)
{
	c->name = gen_name(g, "cluster", index);
	c->service_host = gen_text(g, "reviews.default.svc.cluster.local");
	c->service_name = gen_text(g, "reviews");
	c->service_namespace = gen_text(g, "default");
	c->rollout = gen_text(g, "default/reviews");
	c->revision = gen_text(g, "5d4f");
	c->lb = (enum sl_lb_policy)gen_below(g, 3);
	c->connect_timeout = SL_MSEC(1 + gen_below(g, 20000));
	c->max_connections = gen_below(g, 3) * 100;
	c->max_pending = gen_below(g, 3) * 100;
	c->max_requests = gen_below(g, 3) * 100;
	c->max_retries = gen_below(g, 3) * 100;
	c->max_requests_per_connection = gen_below(g, 3) * 100;
	c->idle_timeout = gen_below(g, 3) * SL_SEC(60);
	c->endpoint_count = gen_below(g, 5);
	c->endpoints = gen_list(g, c->endpoint_count, sizeof(*c->endpoints));
	for (size_t i = 0; i < c->endpoint_count; i++)
		c->endpoints[i] = gen_endpoint(g);
}

/* Each route config has a listener, as a proxy learns of none else. */
static inline struct sl_mesh *gen_mesh(uint64_t seed, uint64_t epoch)
{
	struct mesh_gen g = { .state = seed, .mesh = sl_mesh_new() };
	struct sl_mesh *mesh = g.mesh;

	mesh->epoch = epoch;
	mesh->cluster_count = g.cluster_count = 1 + gen_below(&g, 6);
	mesh->clusters = gen_list(&g, mesh->cluster_count, sizeof(*mesh->clusters));
	for (size_t i = 0; i < mesh->cluster_count; i++)
		gen_cluster(&g, i, &mesh->clusters[i]);
	mesh->route_config_count = gen_below(&g, 4);
	mesh->route_configs = gen_list(&g, mesh->route_config_count, sizeof(*mesh->route_configs));
	mesh->listener_count = mesh->route_config_count + 1;
	mesh->listeners = gen_list(&g, mesh->listener_count, sizeof(*mesh->listeners));
	for (size_t i = 0; i < mesh->listener_count; i++) {
		struct sl_mesh_listener *l = &mesh->listeners[i];

		*l = (struct sl_mesh_listener) { .name = gen_name(&g, "listener", i),
			.port = gen_below(&g, 65536) };
		l->address = SL_STR("127.0.0.1");
		l->direction = (enum sl_traffic_direction)gen_below(&g, 3);
		if (i < mesh->route_config_count) {
			gen_route_config(&g, i, &mesh->route_configs[i]);
			l->route_config = mesh->route_configs[i].name;
		} else {
			l->protocol = SL_LISTENER_TCP;
			l->tcp_cluster = mesh->clusters[0].name;
		}
	}
	return mesh;
}
