#pragma once
/* Short ways to write a mesh in a test. Tests only. Everything lives in the mesh's arena. */
#include "model/mesh.h"

static inline sl_str mb_str(struct sl_mesh *m, const char *s)
{
	return sl_arena_str_c(&m->arena, s);
}

/* One more element at the end of a mesh array, zeroed; the old array is left to the arena. */
#define MB_GROW(m, array, count)                                                           \
	__extension__({                                                                    \
		__typeof__(array) mb_new_ =                                                \
		        sl_arena_zalloc_array(&(m)->arena, (count) + 1, sizeof(*(array))); \
		if (count)                                                                 \
			memcpy(mb_new_, (array), (count) * sizeof(*(array)));              \
		(array) = mb_new_;                                                         \
		&mb_new_[(count)++];                                                       \
	})

static inline struct sl_mesh_cluster *mb_cluster(struct sl_mesh *m, const char *name)
{
	struct sl_mesh_cluster *c = MB_GROW(m, m->clusters, m->cluster_count);

	c->name = mb_str(m, name);
	c->service_host = mb_str(m, name);
	c->service_name = c->service_host;
	c->service_namespace = mb_str(m, "default");
	c->connect_timeout = SL_SEC(1);
	return c;
}

static inline struct sl_mesh_endpoint *mb_endpoint(
        struct sl_mesh *m, struct sl_mesh_cluster *c, uint16_t port)
{
	struct sl_mesh_endpoint *e = MB_GROW(m, c->endpoints, c->endpoint_count);

	e->address = mb_str(m, "127.0.0.1");
	e->port = port;
	e->weight = 1;
	e->workload = c->name;
	e->version = mb_str(m, "v1");
	return e;
}

static inline struct sl_mesh_route_config *mb_config(struct sl_mesh *m, const char *name)
{
	struct sl_mesh_route_config *rc = MB_GROW(m, m->route_configs, m->route_config_count);

	rc->name = mb_str(m, name);
	return rc;
}

static inline struct sl_mesh_virtual_host *mb_host(
        struct sl_mesh *m, struct sl_mesh_route_config *rc, const char *domain)
{
	struct sl_mesh_virtual_host *h = MB_GROW(m, rc->hosts, rc->host_count);

	h->name = mb_str(m, domain);
	*MB_GROW(m, h->domains, h->domain_count) = mb_str(m, domain);
	return h;
}

static inline struct sl_mesh_route *mb_route(
        struct sl_mesh *m, struct sl_mesh_virtual_host *h, enum sl_path_kind kind, const char *path)
{
	struct sl_mesh_route *r = MB_GROW(m, h->routes, h->route_count);

	r->match.path_kind = kind;
	r->match.path = mb_str(m, path);
	return r;
}

static inline struct sl_mesh_split *mb_split(
        struct sl_mesh *m, struct sl_mesh_route *r, const char *cluster, uint32_t weight)
{
	struct sl_mesh_split *s = MB_GROW(m, r->splits, r->split_count);

	s->cluster = mb_str(m, cluster);
	s->weight = weight;
	return s;
}

static inline struct sl_mesh_listener *mb_listener(
        struct sl_mesh *m, const char *name, uint16_t port, const char *config)
{
	struct sl_mesh_listener *l = MB_GROW(m, m->listeners, m->listener_count);

	l->name = mb_str(m, name);
	l->address = mb_str(m, "127.0.0.1");
	l->port = port;
	l->route_config = mb_str(m, config);
	l->direction = SL_TRAFFIC_GATEWAY;
	return l;
}
