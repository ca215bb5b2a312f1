#include "xds/client.h"
#include "xds/decode.h"
#include "xds/pb_priv.h"

#include <stdio.h>
#include <stdlib.h>

/* A resource as accepted. */
struct resource {
	struct sl_map_node node;
	uint64_t order;
	sl_str refers; /* of a cluster: its EDS resource; of a listener: its route config, unless it has it itself */
	sl_str value; /* of the Any */
	char bytes[]; /* name, refers, value */
};

/* A name subscribed to. */
struct asked {
	struct sl_map_node node;
	char text[];
};

/* ---- stores ---- */

static void drop_resources(struct sl_ads_client_type *type)
{
	struct sl_map_node *node;

	while ((node = sl_map_next(&type->resources, NULL)))
		sl_free(SL_MAP_ENTRY(sl_map_take(&type->resources, node->key), struct resource, node));
	type->next_order = 0;
}

static void drop_names(struct sl_ads_client_type *type)
{
	struct sl_map_node *node;

	while ((node = sl_map_next(&type->names, NULL)))
		sl_free(SL_MAP_ENTRY(sl_map_take(&type->names, node->key), struct asked, node));
}

static void keep_resource(struct sl_ads_client_type *type, sl_str name, sl_str refers, sl_str value)
{
	struct resource *r = sl_new0(sizeof(*r) + name.len + refers.len + value.len);
	struct sl_map_node *old;

	memcpy(r->bytes, name.p, name.len);
	if (refers.len)
		memcpy(r->bytes + name.len, refers.p, refers.len);
	if (value.len)
		memcpy(r->bytes + name.len + refers.len, value.p, value.len);
	r->refers = sl_str_n(r->bytes + name.len, refers.len);
	r->value = sl_str_n(r->bytes + name.len + refers.len, value.len);
	r->order = type->next_order++;
	old = sl_map_put(&type->resources, &r->node, sl_str_n(r->bytes, name.len));
	if (old) {
		r->order = SL_MAP_ENTRY(old, struct resource, node)->order;
		sl_free(SL_MAP_ENTRY(old, struct resource, node));
	}
}

static void replace(char **text, const char *v)
{
	sl_free(*text);
	*text = v ? sl_strdup(v) : NULL;
}

/* ---- requests ---- */

static pb_node *node_of(struct sl_ads_client *client, struct sl_arena *a)
{
	pb_node *m = pb_new_node(a);

	m->id = sl_pb_str(a, sl_str_c(client->node.id));
	m->cluster = sl_pb_str(a, sl_str_c(client->node.cluster));
	m->user_agent_name = sl_pb_str(a, SL_STR(SL_XDS_CLIENT_AGENT));
	m->user_agent_version_type_case = PB_CORE(NODE__USER_AGENT_VERSION_TYPE_USER_AGENT_VERSION);
	m->user_agent_version = sl_pb_str(a, SL_STR(SL_VERSION));
	return m;
}

/* Clusters and listeners are asked for as a whole by an empty list, as ever; the rest by "*" or by name. */
static void put_names(struct sl_ads_client *client, enum sl_xds_type t, struct sl_arena *a, pb_request *m)
{
	struct sl_map *names = &client->types[t].names;

	if (t != SL_XDS_ENDPOINTS && t != SL_XDS_ROUTE_CONFIG)
		return;
	m->resource_names = sl_arena_zalloc_array(a, names->count + 1, sizeof(*m->resource_names));
	if (client->ours)
		m->resource_names[m->n_resource_names++] = sl_pb_str(a, SL_XDS_WILDCARD);
	SL_MAP_FOR (node, names)
		m->resource_names[m->n_resource_names++] = sl_pb_str(a, node->key);
}

static void request(struct sl_ads_client *client, enum sl_xds_type t, const char *nonce, const char *error)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena a = { 0 };
	struct sl_ads_client_type *type = &client->types[t];
	pb_request *m = pb_new_request(&a);

	m->type_url = sl_pb_str(&a, sl_xds_type_url(t));
	m->version_info = sl_pb_str(&a, sl_str_c(type->version));
	m->response_nonce = sl_pb_str(&a, sl_str_c(nonce));
	if (!client->said_node)
		m->node = node_of(client, &a);
	if (error) {
		m->error_detail = pb_new_status(&a);
		m->error_detail->code = 3; /* INVALID_ARGUMENT */
		m->error_detail->message = sl_pb_str(&a, sl_str_c(error));
	}
	put_names(client, t, &a, m);
	client->said_node = true;
	type->asked = true;
	client->ops->send(client->user, sl_pb_packed(&m->base, &a));
}

static void accept_response(
        struct sl_ads_client *client, enum sl_xds_type t, const char *nonce, const char *version)
{
	replace(&client->types[t].version, version);
	client->acks++;
	request(client, t, nonce, NULL);
}

static void refuse_response(
        struct sl_ads_client *client, enum sl_xds_type t, const char *nonce, const char *why)
{
	client->nacks++;
	request(client, t, nonce, why);
}

/* ---- what listeners and clusters refer to, from servers that are not ours ---- */

static bool same_names(const struct sl_map *names, const struct sl_map *wanted)
{
	if (names->count != wanted->count)
		return false;
	SL_MAP_FOR (node, wanted)
		if (!sl_map_get(names, node->key))
			return false;
	return true;
}

static void ask_by_name(struct sl_ads_client *client, enum sl_xds_type referrer, enum sl_xds_type t)
{
	struct sl_ads_client_type *type = &client->types[t];
	struct sl_map wanted = { 0 };

	SL_MAP_FOR (node, &client->types[referrer].resources) {
		sl_str name = SL_MAP_ENTRY(node, struct resource, node)->refers;
		struct asked *asked;

		if (!name.len || sl_map_get(&wanted, name))
			continue;
		asked = sl_new0(sizeof(*asked) + name.len);
		memcpy(asked->text, name.p, name.len);
		sl_map_put(&wanted, &asked->node, sl_str_n(asked->text, name.len));
	}
	if (same_names(&type->names, &wanted)) {
		struct sl_ads_client_type unused = { .names = wanted };

		drop_names(&unused);
		sl_map_fini(&unused.names);
		return;
	}
	drop_names(type);
	sl_map_fini(&type->names);
	type->names = wanted;
	request(client, t, type->nonce, NULL);
}

static void ask_on(struct sl_ads_client *client)
{
	if (client->ours) {
		for (int t = 0; t < SL_XDS_TYPE_COUNT; t++)
			if (!client->types[t].asked)
				request(client, (enum sl_xds_type)t, NULL, NULL);
		return;
	}
	ask_by_name(client, SL_XDS_CLUSTER, SL_XDS_ENDPOINTS);
	ask_by_name(client, SL_XDS_LISTENER, SL_XDS_ROUTE_CONFIG);
}

/* ---- putting a mesh together ---- */

struct assembly {
	struct sl_ads_client *client;
	struct sl_mesh *mesh;
	struct sl_diag *diag;
	struct resource **clusters, **listeners, **configs; /* in order */
	struct sl_map config_seen;
	struct sl_arena seen; /* nodes of config_seen */
};

static int by_order(const void *a, const void *b)
{
	const struct resource *x = *(struct resource *const *)a, *y = *(struct resource *const *)b;

	return x->order < y->order ? -1 : x->order > y->order;
}

static struct resource **in_order(const struct sl_ads_client_type *type, struct sl_arena *arena)
{
	struct resource **list = sl_arena_zalloc_array(arena, type->resources.count + 1, sizeof(*list));
	size_t n = 0;

	SL_MAP_FOR (node, &type->resources)
		list[n++] = SL_MAP_ENTRY(node, struct resource, node);
	qsort(list, n, sizeof(*list), by_order);
	return list;
}

/* Everything referred to has come. */
static bool is_complete(const struct sl_ads_client *client)
{
	if (!client->types[SL_XDS_CLUSTER].version || !client->types[SL_XDS_LISTENER].version)
		return false;
	SL_MAP_FOR (node, &client->types[SL_XDS_CLUSTER].resources) {
		sl_str eds = SL_MAP_ENTRY(node, struct resource, node)->refers;

		if (eds.len && !sl_map_get(&client->types[SL_XDS_ENDPOINTS].resources, eds))
			return false;
	}
	SL_MAP_FOR (node, &client->types[SL_XDS_LISTENER].resources) {
		sl_str rds = SL_MAP_ENTRY(node, struct resource, node)->refers;

		if (rds.len && !sl_map_get(&client->types[SL_XDS_ROUTE_CONFIG].resources, rds))
			return false;
	}
	return true;
}

static sl_err assemble_clusters(struct assembly *as)
{
	const struct sl_ads_client_type *type = &as->client->types[SL_XDS_CLUSTER];
	struct resource **list = in_order(type, &as->seen);

	as->mesh->clusters = sl_arena_zalloc_array(
	        &as->mesh->arena, type->resources.count + 1, sizeof(*as->mesh->clusters));
	for (size_t i = 0; i < type->resources.count; i++) {
		struct sl_mesh_cluster *c = &as->mesh->clusters[as->mesh->cluster_count++], endpoints = { 0 };
		sl_str eds;

		SL_TRY(sl_xds_decode_cluster(list[i]->value, &as->mesh->arena, c, &eds, as->diag));
		if (!eds.len)
			continue;
		SL_TRY(sl_xds_decode_endpoints(
		        SL_MAP_ENTRY(sl_map_get(&as->client->types[SL_XDS_ENDPOINTS].resources, eds),
		                struct resource, node)
		                ->value,
		        &as->mesh->arena, &endpoints, as->diag));
		c->endpoints = endpoints.endpoints;
		c->endpoint_count = endpoints.endpoint_count;
	}
	return SL_OK;
}

static bool first_time(struct assembly *as, sl_str route_config)
{
	if (sl_map_get(&as->config_seen, route_config))
		return false;
	sl_map_put(&as->config_seen, sl_arena_zalloc(&as->seen, sizeof(struct sl_map_node)), route_config);
	return true;
}

/* The listeners, and each route config once, in the order in which listeners refer to them. */
static sl_err assemble_listeners(struct assembly *as)
{
	const struct sl_ads_client_type *type = &as->client->types[SL_XDS_LISTENER];
	struct resource **list = in_order(type, &as->seen);
	struct sl_mesh *mesh = as->mesh;

	mesh->listeners =
	        sl_arena_zalloc_array(&mesh->arena, type->resources.count + 1, sizeof(*mesh->listeners));
	mesh->route_configs =
	        sl_arena_zalloc_array(&mesh->arena, type->resources.count + 1, sizeof(*mesh->route_configs));
	for (size_t i = 0; i < type->resources.count; i++) {
		struct sl_mesh_listener *l = &mesh->listeners[mesh->listener_count++];
		struct sl_mesh_route_config config = { 0 };

		SL_TRY(sl_xds_decode_listener(list[i]->value, &mesh->arena, l, &config, as->diag));
		if (!l->route_config.len || !first_time(as, l->route_config))
			continue;
		if (list[i]->refers.len)
			SL_TRY(sl_xds_decode_route_config(
			        SL_MAP_ENTRY(sl_map_get(&as->client->types[SL_XDS_ROUTE_CONFIG].resources,
			                             list[i]->refers),
			                struct resource, node)
			                ->value,
			        &mesh->arena, &config, as->diag));
		mesh->route_configs[mesh->route_config_count++] = config;
	}
	return SL_OK;
}

static sl_err assemble(struct sl_ads_client *client, struct sl_mesh **ret_mesh, struct sl_diag *diag)
{
	SL_CLEANUP(sl_mesh_unref) struct sl_mesh *mesh = sl_mesh_new();
	struct assembly as = { .client = client, .mesh = mesh, .diag = diag };
	sl_err err = assemble_clusters(&as);

	if (err == SL_OK)
		err = assemble_listeners(&as);
	sl_map_fini(&as.config_seen);
	sl_arena_fini(&as.seen);
	SL_TRY(err);
	mesh->epoch = client->epoch;
	SL_TRY(sl_mesh_check(mesh, diag));
	*ret_mesh = SL_STEAL(mesh);
	return SL_OK;
}

/* ---- offers ---- */

static void answer_mark(struct sl_ads_client *client, uint64_t epoch, const char *nonce, const char *error)
{
	char version[24];

	if (error) {
		refuse_response(client, SL_XDS_EPOCH, nonce, error);
		return;
	}
	snprintf(version, sizeof(version), "%llu", (unsigned long long)epoch);
	accept_response(client, SL_XDS_EPOCH, nonce, version);
}

static void offer(struct sl_ads_client *client)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	SL_CLEANUP(sl_mesh_unref) struct sl_mesh *mesh = NULL;
	sl_err err;

	client->dirty = false;
	if (!client->ours)
		client->epoch++;
	err = assemble(client, &mesh, &diag);
	if (err != SL_OK) {
		if (client->ours)
			answer_mark(client, client->epoch, client->types[SL_XDS_EPOCH].nonce,
			        sl_diag_text(&diag));
		return; /* from another server, references may still be on their way */
	}
	client->offered = mesh->epoch;
	replace(&client->offered_nonce, client->ours ? client->types[SL_XDS_EPOCH].nonce : NULL);
	client->ops->offer(client->user, mesh);
}

static void maybe_offer(struct sl_ads_client *client)
{
	if (!client->connected || client->offered || !client->dirty)
		return;
	if (client->ours && !client->marked)
		return;
	if (client->ours &&
	        client->refused) { /* the epoch lacks what was refused: it can never be whole here */
		client->dirty = false;
		answer_mark(client, client->epoch, client->types[SL_XDS_EPOCH].nonce, client->refused_text);
		return;
	}
	if (is_complete(client))
		offer(client);
}

void sl_ads_client_applied(struct sl_ads_client *client, uint64_t epoch, sl_err err, sl_str text)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf why = { 0 };

	if (!client->offered || client->offered != epoch)
		return;
	client->offered = 0;
	if (err == SL_OK)
		client->in_force = epoch;
	if (client->connected && client->offered_nonce) {
		sl_buf_printf(&why, "%.*s", SL_STR_ARG(text.len ? text : sl_str_c(sl_err_text(err))));
		answer_mark(client, epoch, client->offered_nonce, err == SL_OK ? NULL : sl_buf_cstr(&why));
	}
	replace(&client->offered_nonce, NULL);
	maybe_offer(client);
}

/* ---- responses ---- */

/* Checks one resource by decoding it, and tells its name and what it refers to. */
static sl_err examine(enum sl_xds_type t, sl_str value, struct sl_arena *a, sl_str *ret_name,
        sl_str *ret_refers, struct sl_diag *diag)
{
	struct sl_mesh_cluster cluster;
	struct sl_mesh_listener listener;
	struct sl_mesh_route_config config;

	*ret_refers = SL_STR_NONE;
	switch (t) {
	case SL_XDS_CLUSTER:
		SL_TRY(sl_xds_decode_cluster(value, a, &cluster, ret_refers, diag));
		*ret_name = cluster.name;
		break;
	case SL_XDS_ENDPOINTS:
		SL_TRY(sl_xds_decode_endpoints(value, a, &cluster, diag));
		*ret_name = cluster.name;
		break;
	case SL_XDS_LISTENER:
		SL_TRY(sl_xds_decode_listener(value, a, &listener, &config, diag));
		*ret_name = listener.name;
		if (!config.name.len)
			*ret_refers = listener.route_config;
		break;
	case SL_XDS_ROUTE_CONFIG:
		SL_TRY(sl_xds_decode_route_config(value, a, &config, diag));
		*ret_name = config.name;
		break;
	case SL_XDS_EPOCH:
	case SL_XDS_TYPE_COUNT:
		break;
	}
	return SL_OK;
}

/* All or nothing: into `fresh` first, so that a response with one bad resource changes nothing. */
static sl_err take_resources(
        enum sl_xds_type t, const pb_response *m, struct sl_ads_client_type *fresh, struct sl_diag *diag)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena a = { 0 };

	for (size_t i = 0; i < m->n_resources; i++) {
		sl_str value = sl_str_n((char *)m->resources[i]->value.data, m->resources[i]->value.len),
		       name = SL_STR_NONE, refers = SL_STR_NONE;

		if (!sl_str_eq(sl_str_c(m->resources[i]->type_url), sl_xds_type_url(t)))
			return sl_diag_fail(diag, SL_ERR_INVALID, "resources", "FieldValueInvalid",
			        "resource %zu is a \"%s\"", i, m->resources[i]->type_url);
		sl_arena_reset(&a);
		SL_TRY(examine(t, value, &a, &name, &refers, diag));
		keep_resource(fresh, name, refers, value);
	}
	return SL_OK;
}

static void merge(struct sl_ads_client_type *type, struct sl_ads_client_type *fresh, bool whole)
{
	struct sl_map_node *node;

	if (whole) {
		drop_resources(type);
		sl_map_fini(&type->resources);
		type->resources = fresh->resources;
		type->next_order = fresh->next_order;
		return;
	}
	while ((node = sl_map_next(&fresh->resources, NULL))) {
		struct resource *r =
		        SL_MAP_ENTRY(sl_map_take(&fresh->resources, node->key), struct resource, node);
		struct sl_map_node *old;

		r->order += type->next_order;
		old = sl_map_put(&type->resources, &r->node, r->node.key);
		if (old)
			sl_free(SL_MAP_ENTRY(old, struct resource, node));
	}
	type->next_order += fresh->next_order;
	sl_map_fini(&fresh->resources);
}

static void receive_resources(struct sl_ads_client *client, enum sl_xds_type t, const pb_response *m)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	struct sl_ads_client_type fresh = { 0 };

	if (take_resources(t, m, &fresh, &diag) != SL_OK) {
		drop_resources(&fresh);
		sl_map_fini(&fresh.resources);
		if (!client->refused)
			replace(&client->refused_text, sl_diag_text(&diag));
		client->refused = true;
		refuse_response(client, t, m->nonce, sl_diag_text(&diag));
		return;
	}
	merge(&client->types[t], &fresh, t == SL_XDS_CLUSTER || t == SL_XDS_LISTENER);
	client->dirty = true;
	accept_response(client, t, m->nonce, m->version_info);
	ask_on(client);
}

static void receive_mark(struct sl_ads_client *client, const pb_response *m)
{
	uint64_t epoch;

	if (m->n_resources != 1 ||
	        sl_xds_decode_epoch(sl_str_n((char *)m->resources[0]->value.data, m->resources[0]->value.len),
	                &epoch) != SL_OK) {
		refuse_response(client, SL_XDS_EPOCH, m->nonce,
		        "an epoch mark has one resource with an epoch above 0");
		return;
	}
	client->epoch = epoch;
	client->marked = true;
	client->dirty = true; /* an epoch that changes nothing here is acknowledged by the same way */
}

/* A response of a later epoch than the last mark's opens that epoch. */
static void note_epoch(struct sl_ads_client *client, enum sl_xds_type t, const pb_response *m)
{
	uint64_t version;

	if (!client->ours || t == SL_XDS_EPOCH || sl_str_to_u64(sl_str_c(m->version_info), &version) != SL_OK)
		return;
	if (client->marked && version > client->epoch) {
		client->marked = false;
		client->refused = false;
	}
}

sl_err sl_ads_client_receive(struct sl_ads_client *client, sl_str message)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena scratch = { 0 };
	const pb_response *m = pb_read_response(&scratch, message);
	enum sl_xds_type t = m ? sl_xds_type_of(sl_str_c(m->type_url)) : SL_XDS_TYPE_COUNT;

	if (!m || t == SL_XDS_TYPE_COUNT || !client->types[t].asked || !m->nonce[0])
		return SL_ERR_MALFORMED;
	if (!client->known) {
		client->known = true;
		client->ours = m->control_plane && sl_str_starts(sl_str_c(m->control_plane->identifier),
		                                           SL_STR(SL_XDS_SERVER_IDENTITY));
	}
	replace(&client->types[t].nonce, m->nonce);
	note_epoch(client, t, m);
	if (t == SL_XDS_EPOCH)
		receive_mark(client, m);
	else
		receive_resources(client, t, m);
	maybe_offer(client);
	return SL_OK;
}

/* ---- life ---- */

void sl_ads_client_init(struct sl_ads_client *client, const struct sl_ads_client_ops *ops, void *user,
        const struct sl_ads_client_node *node)
{
	*client = (struct sl_ads_client) { .ops = ops, .user = user, .node = *node };
}

static void forget(struct sl_ads_client *client)
{
	for (int t = 0; t < SL_XDS_TYPE_COUNT; t++) {
		struct sl_ads_client_type *type = &client->types[t];

		drop_resources(type);
		drop_names(type);
		sl_map_fini(&type->resources);
		sl_map_fini(&type->names);
		sl_free(type->version);
		sl_free(type->nonce);
		*type = (struct sl_ads_client_type) { 0 };
	}
	replace(&client->offered_nonce, NULL);
	replace(&client->refused_text, NULL);
	client->said_node = client->ours = client->known = client->dirty = client->marked = client->refused =
	        false;
}

void sl_ads_client_fini(struct sl_ads_client *client)
{
	forget(client);
}

void sl_ads_client_connected(struct sl_ads_client *client)
{
	forget(client);
	client->connected = true;
	request(client, SL_XDS_LISTENER, NULL, NULL);
	request(client, SL_XDS_CLUSTER, NULL, NULL);
}

void sl_ads_client_disconnected(struct sl_ads_client *client)
{
	client->connected = false;
}
