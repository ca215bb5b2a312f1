#include "model/mesh.h"
#include "base/map.h"

#include <stdio.h>

struct sl_mesh *sl_mesh_new(void)
{
	struct sl_mesh *mesh = sl_new0(sizeof(*mesh));

	mesh->refs = 1;
	return mesh;
}

struct sl_mesh *sl_mesh_ref(struct sl_mesh *mesh)
{
	__atomic_add_fetch(&mesh->refs, 1, __ATOMIC_RELAXED);
	return mesh;
}

void sl_mesh_unref(struct sl_mesh *mesh)
{
	if (!mesh || __atomic_sub_fetch(&mesh->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	sl_arena_fini(&mesh->arena);
	sl_free(mesh);
}

const struct sl_mesh_cluster *sl_mesh_cluster_find(const struct sl_mesh *mesh, sl_str name)
{
	for (size_t i = 0; i < mesh->cluster_count; i++)
		if (sl_str_eq(mesh->clusters[i].name, name))
			return &mesh->clusters[i];
	return NULL;
}

const struct sl_mesh_route_config *sl_mesh_route_config_find(const struct sl_mesh *mesh, sl_str name)
{
	for (size_t i = 0; i < mesh->route_config_count; i++)
		if (sl_str_eq(mesh->route_configs[i].name, name))
			return &mesh->route_configs[i];
	return NULL;
}

/* ---- check ---- */

struct check {
	struct sl_arena arena; /* map nodes */
	struct sl_map clusters, route_configs;
	struct sl_diag *diag;
	bool bad;
	char path[256]; /* where we are */
};

static void breach(struct check *c, const char *field, const char *what, sl_str value)
{
	char where[320];

	snprintf(where, sizeof(where), "%s%s%s", c->path, *c->path && *field ? "." : "", field);
	sl_diag_add(c->diag, where, "FieldValueInvalid", "\"%.*s\" %s", SL_STR_ARG(value), what);
	c->bad = true;
}

/* Puts name into the set; false when it was there. */
static bool put_name(struct check *c, struct sl_map *set, sl_str name)
{
	return !sl_map_put(set, sl_arena_zalloc(&c->arena, sizeof(struct sl_map_node)), name);
}

static void check_cluster(struct check *c, const struct sl_mesh_cluster *cluster)
{
	if (!cluster->name.len || !put_name(c, &c->clusters, cluster->name))
		breach(c, "name", "must be unique and not empty", cluster->name);
	if (cluster->connect_timeout <= 0)
		breach(c, "connect_timeout", "needs a connect timeout above 0", cluster->name);
	for (size_t i = 0; i < cluster->endpoint_count; i++) {
		const struct sl_mesh_endpoint *e = &cluster->endpoints[i];

		if (!e->address.len || e->port == 0 || e->port > 65535 || e->weight == 0)
			breach(c, "endpoints", "needs an address, a port in 1..65535 and a weight above 0",
			        e->address);
	}
}

static void check_forward(struct check *c, const struct sl_mesh_route *route)
{
	uint64_t total = 0;

	if (!route->split_count)
		breach(c, "splits", "forwards to nothing: give it a cluster", route->name);
	for (size_t i = 0; i < route->split_count; i++) {
		const struct sl_mesh_split *s = &route->splits[i];

		total += s->weight;
		if (!sl_map_get(&c->clusters, s->cluster))
			breach(c, "splits", "is no cluster of this mesh", s->cluster);
		if (s->guard.fallback.len && !sl_map_get(&c->clusters, s->guard.fallback))
			breach(c, "splits.guard.fallback", "is no cluster of this mesh", s->guard.fallback);
		if (!(s->guard.alpha >= 0 && s->guard.alpha < 1))
			breach(c, "splits.guard.alpha", "needs an alpha in [0, 1)", s->cluster);
	}
	if (total > UINT32_MAX)
		breach(c, "splits", "has weights that add up past 2^32-1", route->name);
	if (route->timeout < 0 || route->retry.per_try_timeout < 0)
		breach(c, "timeout", "needs timeouts of 0 or more", route->name);
}

static void check_route(struct check *c, const struct sl_mesh_route *route)
{
	switch (route->action) {
	case SL_ROUTE_FORWARD:
		check_forward(c, route);
		break;
	case SL_ROUTE_REDIRECT:
		if (route->redirect.status < 300 || route->redirect.status > 399)
			breach(c, "redirect.status", "needs a status in 300..399", route->name);
		break;
	case SL_ROUTE_DIRECT:
		if (route->direct_status < 200 || route->direct_status > 599)
			breach(c, "direct_status", "needs a status in 200..599", route->name);
		break;
	}
	for (size_t i = 0; i < route->match.header_count; i++)
		if (!route->match.headers[i].name.len)
			breach(c, "match.headers", "matches a header without a name", route->name);
}

static void check_route_config(struct check *c, const struct sl_mesh_route_config *rc)
{
	struct sl_map domains = { 0 };

	if (!rc->name.len || !put_name(c, &c->route_configs, rc->name))
		breach(c, "name", "must be unique and not empty", rc->name);
	for (size_t h = 0; h < rc->host_count; h++) {
		const struct sl_mesh_virtual_host *host = &rc->hosts[h];

		for (size_t d = 0; d < host->domain_count; d++)
			if (!put_name(c, &domains, host->domains[d]))
				breach(c, "domains", "stands in two virtual hosts", host->domains[d]);
		for (size_t r = 0; r < host->route_count; r++)
			check_route(c, &host->routes[r]);
	}
	sl_map_fini(&domains);
}

static void check_listener(struct check *c, struct sl_map *names, const struct sl_mesh_listener *l)
{
	if (!l->name.len || !put_name(c, names, l->name))
		breach(c, "name", "must be unique and not empty", l->name);
	if (!l->address.len || l->port > 65535)
		breach(c, "port", "needs an address and a port in 0..65535", l->name);
	if (l->protocol == SL_LISTENER_HTTP && !sl_map_get(&c->route_configs, l->route_config))
		breach(c, "route_config", "is no route config of this mesh", l->route_config);
	if (l->protocol == SL_LISTENER_TCP && !sl_map_get(&c->clusters, l->tcp_cluster))
		breach(c, "tcp_cluster", "is no cluster of this mesh", l->tcp_cluster);
}

sl_err sl_mesh_check(const struct sl_mesh *mesh, struct sl_diag *diag)
{
	struct check c = { .diag = diag };
	struct sl_map listeners = { 0 };

	for (size_t i = 0; i < mesh->cluster_count; i++) {
		snprintf(c.path, sizeof(c.path), "clusters[%.*s]", SL_STR_ARG(mesh->clusters[i].name));
		check_cluster(&c, &mesh->clusters[i]);
	}
	for (size_t i = 0; i < mesh->route_config_count; i++) {
		snprintf(c.path, sizeof(c.path), "route_configs[%.*s]",
		        SL_STR_ARG(mesh->route_configs[i].name));
		check_route_config(&c, &mesh->route_configs[i]);
	}
	for (size_t i = 0; i < mesh->listener_count; i++) {
		snprintf(c.path, sizeof(c.path), "listeners[%.*s]", SL_STR_ARG(mesh->listeners[i].name));
		check_listener(&c, &listeners, &mesh->listeners[i]);
	}
	sl_map_fini(&listeners);
	sl_map_fini(&c.clusters);
	sl_map_fini(&c.route_configs);
	sl_arena_fini(&c.arena);
	return c.bad ? SL_ERR_INVALID : SL_OK;
}

/* ---- equality ---- */

#define SAME_LIST(a, b, list, count, same)                            \
	({                                                            \
		bool same_ = (a)->count == (b)->count;                \
		for (size_t i_ = 0; same_ && i_ < (a)->count; i_++)   \
			same_ = same(&(a)->list[i_], &(b)->list[i_]); \
		same_;                                                \
	})

static bool same_str(const sl_str *a, const sl_str *b)
{
	return sl_str_eq(*a, *b);
}

static bool same_u32(const uint32_t *a, const uint32_t *b)
{
	return *a == *b;
}

static bool same_field(const struct sl_mesh_field_match *a, const struct sl_mesh_field_match *b)
{
	return sl_str_eq(a->name, b->name) && a->match.kind == b->match.kind &&
	       a->match.invert == b->match.invert && a->match.ignore_case == b->match.ignore_case &&
	       sl_str_eq(a->match.value, b->match.value);
}

static bool same_op(const struct sl_mesh_header_op *a, const struct sl_mesh_header_op *b)
{
	return a->kind == b->kind && sl_str_eq(a->name, b->name) && sl_str_eq(a->value, b->value);
}

static bool same_ops(const struct sl_mesh_header_ops *a, const struct sl_mesh_header_ops *b)
{
	return SAME_LIST(a, b, request, request_count, same_op) &&
	       SAME_LIST(a, b, response, response_count, same_op);
}

static bool same_guard(const struct sl_mesh_guard *a, const struct sl_mesh_guard *b)
{
	return sl_str_eq(a->fallback, b->fallback) && sl_str_eq(a->rollout, b->rollout) &&
	       a->generation == b->generation && !(a->alpha < b->alpha) && !(a->alpha > b->alpha) &&
	       a->refused_run == b->refused_run && a->failure_run == b->failure_run;
}

static bool same_split(const struct sl_mesh_split *a, const struct sl_mesh_split *b)
{
	return sl_str_eq(a->cluster, b->cluster) && a->weight == b->weight &&
	       same_ops(&a->headers, &b->headers) && same_guard(&a->guard, &b->guard);
}

static bool same_match(const struct sl_mesh_route_match *a, const struct sl_mesh_route_match *b)
{
	return a->path_kind == b->path_kind && a->path_ignore_case == b->path_ignore_case &&
	       sl_str_eq(a->path, b->path) && SAME_LIST(a, b, headers, header_count, same_field) &&
	       SAME_LIST(a, b, params, param_count, same_field);
}

static bool same_retry(const struct sl_mesh_retry *a, const struct sl_mesh_retry *b)
{
	return a->attempts == b->attempts && a->on == b->on && a->per_try_timeout == b->per_try_timeout &&
	       SAME_LIST(a, b, statuses, status_count, same_u32);
}

static bool same_redirect(const struct sl_mesh_redirect *a, const struct sl_mesh_redirect *b)
{
	return sl_str_eq(a->scheme, b->scheme) && sl_str_eq(a->authority, b->authority) &&
	       sl_str_eq(a->path, b->path) && sl_str_eq(a->prefix, b->prefix) && a->port == b->port &&
	       a->status == b->status;
}

static bool same_rewrite(const struct sl_mesh_rewrite *a, const struct sl_mesh_rewrite *b)
{
	return sl_str_eq(a->prefix, b->prefix) && sl_str_eq(a->authority, b->authority) &&
	       sl_str_eq(a->regex, b->regex) && sl_str_eq(a->substitution, b->substitution);
}

static bool same_route(const struct sl_mesh_route *a, const struct sl_mesh_route *b)
{
	return sl_str_eq(a->name, b->name) && same_match(&a->match, &b->match) && a->action == b->action &&
	       SAME_LIST(a, b, splits, split_count, same_split) && a->timeout == b->timeout &&
	       same_retry(&a->retry, &b->retry) && same_rewrite(&a->rewrite, &b->rewrite) &&
	       same_redirect(&a->redirect, &b->redirect) && a->direct_status == b->direct_status &&
	       sl_str_eq(a->direct_body, b->direct_body) && same_ops(&a->headers, &b->headers);
}

static bool same_host(const struct sl_mesh_virtual_host *a, const struct sl_mesh_virtual_host *b)
{
	return sl_str_eq(a->name, b->name) && SAME_LIST(a, b, domains, domain_count, same_str) &&
	       SAME_LIST(a, b, routes, route_count, same_route);
}

bool sl_mesh_route_config_equal(const struct sl_mesh_route_config *a, const struct sl_mesh_route_config *b)
{
	return sl_str_eq(a->name, b->name) && SAME_LIST(a, b, hosts, host_count, same_host);
}

static bool same_endpoint(const struct sl_mesh_endpoint *a, const struct sl_mesh_endpoint *b)
{
	return sl_str_eq(a->address, b->address) && a->port == b->port && a->weight == b->weight &&
	       a->health == b->health && sl_str_eq(a->pod, b->pod) && sl_str_eq(a->workload, b->workload) &&
	       sl_str_eq(a->namespace, b->namespace) && sl_str_eq(a->app, b->app) &&
	       sl_str_eq(a->version, b->version);
}

bool sl_mesh_cluster_equal(const struct sl_mesh_cluster *a, const struct sl_mesh_cluster *b)
{
	return sl_str_eq(a->name, b->name) && sl_str_eq(a->service_host, b->service_host) &&
	       sl_str_eq(a->service_name, b->service_name) &&
	       sl_str_eq(a->service_namespace, b->service_namespace) && sl_str_eq(a->rollout, b->rollout) &&
	       sl_str_eq(a->revision, b->revision) && a->lb == b->lb &&
	       a->connect_timeout == b->connect_timeout && a->max_connections == b->max_connections &&
	       a->max_pending == b->max_pending && a->max_requests == b->max_requests &&
	       a->max_retries == b->max_retries &&
	       a->max_requests_per_connection == b->max_requests_per_connection &&
	       a->idle_timeout == b->idle_timeout &&
	       SAME_LIST(a, b, endpoints, endpoint_count, same_endpoint);
}

bool sl_mesh_listener_equal(const struct sl_mesh_listener *a, const struct sl_mesh_listener *b)
{
	return sl_str_eq(a->name, b->name) && sl_str_eq(a->address, b->address) && a->port == b->port &&
	       a->protocol == b->protocol && a->direction == b->direction &&
	       sl_str_eq(a->route_config, b->route_config) && sl_str_eq(a->tcp_cluster, b->tcp_cluster);
}

bool sl_mesh_equal(const struct sl_mesh *a, const struct sl_mesh *b)
{
	return SAME_LIST(a, b, listeners, listener_count, sl_mesh_listener_equal) &&
	       SAME_LIST(a, b, route_configs, route_config_count, sl_mesh_route_config_equal) &&
	       SAME_LIST(a, b, clusters, cluster_count, sl_mesh_cluster_equal);
}
