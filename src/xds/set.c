#include "xds/set.h"
#include "xds/encode.h"

struct sl_xds_domain {
	struct sl_map_node node;
	sl_str route_config;
};

static struct sl_xds_resource *resource_new(sl_str name, sl_str any, uint64_t epoch)
{
	struct sl_xds_resource *r = sl_new(sizeof(*r) + name.len + any.len);

	*r = (struct sl_xds_resource) { .refs = 1, .changed_epoch = epoch };
	if (name.len)
		memcpy(r->bytes, name.p, name.len);
	if (any.len)
		memcpy(r->bytes + name.len, any.p, any.len);
	r->name = sl_str_n(r->bytes, name.len);
	r->any = sl_str_n(r->bytes + name.len, any.len);
	return r;
}

static void resource_unref(struct sl_xds_resource *r)
{
	if (--r->refs == 0)
		sl_free(r);
}

static sl_str encode_one(const struct sl_mesh *mesh, enum sl_xds_type type, size_t i,
        struct sl_arena *scratch, struct sl_buf *out)
{
	switch (type) {
	case SL_XDS_CLUSTER:
		sl_xds_encode_cluster(&mesh->clusters[i], SL_XDS_FULL, scratch, out);
		return mesh->clusters[i].name;
	case SL_XDS_ENDPOINTS:
		sl_xds_encode_endpoints(&mesh->clusters[i], scratch, out);
		return mesh->clusters[i].name;
	case SL_XDS_LISTENER:
		sl_xds_encode_listener(&mesh->listeners[i], scratch, out);
		return mesh->listeners[i].name;
	case SL_XDS_ROUTE_CONFIG:
		sl_xds_encode_route_config(&mesh->route_configs[i], SL_XDS_FULL, scratch, out);
		return mesh->route_configs[i].name;
	case SL_XDS_EPOCH:
	case SL_XDS_TYPE_COUNT:
		break;
	}
	return SL_STR_NONE;
}

/* The name of part i of the mesh, and whether `before` has the same part under that name. *ret_old: its entry, or NULL. */
static bool is_unchanged(const struct sl_xds_set *set, enum sl_xds_type type, size_t i,
        const struct sl_xds_set *before, const struct sl_xds_set_entry **ret_old)
{
	const struct sl_mesh *mesh = set->mesh;
	sl_str name = type == SL_XDS_LISTENER       ? mesh->listeners[i].name
	              : type == SL_XDS_ROUTE_CONFIG ? mesh->route_configs[i].name
	                                            : mesh->clusters[i].name;

	*ret_old = before ? sl_xds_set_find(before, type, name) : NULL;
	if (!*ret_old)
		return false;
	if (type == SL_XDS_LISTENER)
		return sl_mesh_listener_equal(
		        &mesh->listeners[i], &before->mesh->listeners[(*ret_old)->index]);
	if (type == SL_XDS_ROUTE_CONFIG)
		return sl_mesh_route_config_equal(
		        &mesh->route_configs[i], &before->mesh->route_configs[(*ret_old)->index]);
	return sl_mesh_cluster_equal(&mesh->clusters[i], &before->mesh->clusters[(*ret_old)->index]);
}

/* The resource of part i: that of the set before where its bytes are the same. */
static struct sl_xds_resource *build_one(struct sl_xds_set *set, enum sl_xds_type type, size_t i,
        const struct sl_xds_set *before, bool *ret_was_there)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena scratch = { 0 };
	SL_CLEANUP(sl_buf_fini) struct sl_buf any = { 0 };
	const struct sl_xds_set_entry *old;
	bool same = is_unchanged(set, type, i, before, &old);
	sl_str name = SL_STR_NONE;

	*ret_was_there = old != NULL;
	if (!same) { /* encoding costs much more than comparing; a cluster's endpoints may have changed, and not the cluster */
		name = encode_one(set->mesh, type, i, &scratch, &any);
		same = old && sl_str_eq(old->resource->any, sl_buf_str(&any));
	}
	if (!same || !old)
		return resource_new(name, sl_buf_str(&any), set->epoch);
	old->resource->refs++;
	return old->resource;
}

static void build_list(
        struct sl_xds_set *set, enum sl_xds_type type, size_t count, const struct sl_xds_set *before)
{
	struct sl_xds_list *list = &set->lists[type];
	size_t kept = 0;

	list->entries = count ? sl_new0_array(count, sizeof(*list->entries)) : NULL;
	list->count = count;
	list->touched_epoch = before ? before->lists[type].touched_epoch : set->epoch;
	for (size_t i = 0; i < count; i++) {
		struct sl_xds_set_entry *entry = &list->entries[i];
		bool was_there;

		entry->resource = build_one(set, type, i, before, &was_there);
		entry->index = i;
		kept += was_there;
		if (entry->resource->changed_epoch == set->epoch)
			list->touched_epoch = set->epoch;
		sl_map_put(&list->by_name, &entry->node, entry->resource->name);
	}
	if (before && kept < before->lists[type].count)
		list->touched_epoch = set->epoch; /* some were removed */
}

static void build_domains(struct sl_xds_set *set)
{
	const struct sl_mesh *mesh = set->mesh;
	size_t count = 0, n = 0;

	for (size_t c = 0; c < mesh->route_config_count; c++)
		for (size_t h = 0; h < mesh->route_configs[c].host_count; h++)
			count += mesh->route_configs[c].hosts[h].domain_count;
	if (!count)
		return;
	set->domain_nodes = sl_new0_array(count, sizeof(*set->domain_nodes));
	for (size_t c = 0; c < mesh->route_config_count; c++) {
		const struct sl_mesh_route_config *rc = &mesh->route_configs[c];

		for (size_t h = 0; h < rc->host_count; h++)
			for (size_t d = 0; d < rc->hosts[h].domain_count; d++) {
				if (sl_map_get(&set->domains, rc->hosts[h].domains[d]))
					continue; /* the first config with it has it */
				set->domain_nodes[n].route_config = rc->name;
				sl_map_put(
				        &set->domains, &set->domain_nodes[n++].node, rc->hosts[h].domains[d]);
			}
	}
}

struct sl_xds_set *sl_xds_set_new(struct sl_mesh *mesh, const struct sl_xds_set *before)
{
	struct sl_xds_set *set = sl_new0(sizeof(*set));

	set->refs = 1;
	set->epoch = mesh->epoch;
	set->mesh = sl_mesh_ref(mesh);
	build_list(set, SL_XDS_CLUSTER, mesh->cluster_count, before);
	build_list(set, SL_XDS_ENDPOINTS, mesh->cluster_count, before);
	build_list(set, SL_XDS_LISTENER, mesh->listener_count, before);
	build_list(set, SL_XDS_ROUTE_CONFIG, mesh->route_config_count, before);
	build_domains(set);
	return set;
}

struct sl_xds_set *sl_xds_set_ref(struct sl_xds_set *set)
{
	set->refs++;
	return set;
}

void sl_xds_set_unref(struct sl_xds_set *set)
{
	if (!set || --set->refs)
		return;
	for (int t = 0; t < SL_XDS_SET_TYPES; t++) {
		for (size_t i = 0; i < set->lists[t].count; i++)
			resource_unref(set->lists[t].entries[i].resource);
		sl_map_fini(&set->lists[t].by_name);
		sl_free(set->lists[t].entries);
	}
	sl_map_fini(&set->domains);
	sl_free(set->domain_nodes);
	sl_mesh_unref(set->mesh);
	sl_free(set);
}

const struct sl_xds_set_entry *sl_xds_set_find(
        const struct sl_xds_set *set, enum sl_xds_type type, sl_str name)
{
	struct sl_map_node *node = sl_map_get(&set->lists[type].by_name, name);

	return node ? SL_MAP_ENTRY(node, struct sl_xds_set_entry, node) : NULL;
}

sl_str sl_xds_set_route_config_of(const struct sl_xds_set *set, sl_str domain)
{
	struct sl_map_node *node = sl_map_get(&set->domains, domain);

	return node ? SL_MAP_ENTRY(node, struct sl_xds_domain, node)->route_config : SL_STR_NONE;
}
