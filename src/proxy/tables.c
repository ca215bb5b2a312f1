#include "proxy/tables.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	SCAN_ROUTES_MOST = 8, /* up to here comparing one by one beats any index */
	PREFIX_LISTS_MOST =
	        64 /* an index may hold this many entries per route; nested deeper, the table is scanned */
};

/* ---- trips ---- */

static struct sl_trip *trip_new(const struct sl_mesh_split *s)
{
	size_t bytes = s->cluster.len + s->guard.fallback.len + s->guard.rollout.len + 1;
	struct sl_trip *t = sl_new0(sizeof(*t) + bytes);
	const sl_str from[] = { s->cluster, s->guard.fallback, s->guard.rollout };
	sl_str *const to[] = { &t->cluster, &t->fallback, &t->rollout };
	char *p = t->text;

	t->refs = 1;
	t->generation = s->guard.generation;
	for (size_t i = 0; i < SL_ARRAY_COUNT(from); i++) {
		if (from[i].len)
			memcpy(p, from[i].p, from[i].len);
		*to[i] = sl_str_n(p, from[i].len);
		p += from[i].len;
	}
	return t;
}

static void trip_unref(struct sl_trip *t)
{
	if (__atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) == 0)
		sl_free(t);
}

struct trip_ref { /* a table's entry; the trip itself may be in several tables */
	struct sl_map_node node;
	uint32_t index;
};

static struct sl_trip *trip_before(const struct sl_tables *before, const struct sl_mesh_split *s)
{
	struct sl_map_node *node = before ? sl_map_get(&before->trip_by_cluster, s->cluster) : NULL;
	struct sl_trip *t;

	if (!node)
		return NULL;
	t = before->trips[SL_MAP_ENTRY(node, struct trip_ref, node)->index];
	if (t->generation != s->guard.generation || !sl_str_eq(t->fallback, s->guard.fallback))
		return NULL;
	__atomic_add_fetch(&t->refs, 1, __ATOMIC_RELAXED);
	return t;
}

/* The trip of a guarded target: one per cluster, however many routes lead there. */
static uint32_t trip_index(struct sl_tables *t, const struct sl_tables *before, const struct sl_mesh_split *s)
{
	struct sl_map_node *node;
	struct trip_ref *ref;

	if (!s->guard.fallback.len)
		return SL_TABLE_NONE;
	node = sl_map_get(&t->trip_by_cluster, s->cluster);
	if (node)
		return SL_MAP_ENTRY(node, struct trip_ref, node)->index;
	ref = sl_arena_zalloc(&t->arena, sizeof(*ref));
	ref->index = t->trip_count;
	t->trips = sl_resize(t->trips, (t->trip_count + 1) * sizeof(struct sl_trip *));
	t->trips[t->trip_count] = trip_before(before, s);
	if (!t->trips[t->trip_count])
		t->trips[t->trip_count] = trip_new(s);
	t->trip_count++;
	sl_map_put(&t->trip_by_cluster, &ref->node, s->cluster);
	return ref->index;
}

/* ---- clusters ---- */

struct cluster_ref {
	struct sl_map_node node;
	uint32_t index;
};

uint32_t sl_tables_cluster(const struct sl_tables *t, sl_str name)
{
	struct sl_map_node *node = name.len ? sl_map_get(&t->cluster_by_name, name) : NULL;

	return node ? SL_MAP_ENTRY(node, struct cluster_ref, node)->index : SL_TABLE_NONE;
}

static void build_clusters(struct sl_tables *t)
{
	struct cluster_ref *refs = sl_arena_zalloc_array(&t->arena, t->mesh->cluster_count, sizeof(*refs));

	for (size_t i = 0; i < t->mesh->cluster_count; i++) {
		refs[i].index = (uint32_t)i;
		sl_map_put(&t->cluster_by_name, &refs[i].node, t->mesh->clusters[i].name);
	}
}

/* ---- routes ---- */

struct build {
	struct sl_tables *t;
	const struct sl_tables *before;
	struct sl_diag *diag;
	const struct sl_mesh_route_config *config;
	char path[192]; /* where we are, for diag */
};

static sl_err build_field_regexes(
        struct build *b, const struct sl_mesh_field_match *m, size_t count, struct sl_regex ***ret)
{
	for (size_t i = 0; i < count; i++) {
		if (m[i].match.kind != SL_MATCH_REGEX)
			continue;
		if (!*ret)
			*ret = sl_arena_zalloc_array(&b->t->arena, count, sizeof(struct sl_regex *));
		SL_TRY(sl_regex_new(&(*ret)[i], m[i].match.value, true, b->diag, b->path));
	}
	return SL_OK;
}

static void build_splits(struct build *b, struct sl_table_route *r)
{
	struct sl_tables *t = b->t;
	const struct sl_mesh_route *mesh = r->mesh;
	uint64_t key = sl_str_hash(b->config->name, r->split_key);

	r->split_count = (uint32_t)mesh->split_count;
	r->splits = sl_arena_zalloc_array(&t->arena, mesh->split_count, sizeof(*r->splits));
	r->weights = sl_arena_zalloc_array(&t->arena, mesh->split_count, sizeof(*r->weights));
	for (size_t i = 0; i < mesh->split_count; i++) {
		const struct sl_mesh_split *s = &mesh->splits[i];

		r->splits[i] = (struct sl_table_split) {
			.cluster = sl_tables_cluster(t, s->cluster),
			.fallback = sl_tables_cluster(t, s->guard.fallback),
			.trip = trip_index(t, b->before, s),
			.weight = s->weight,
			.mesh = s,
		};
		r->weights[i] = s->weight;
		r->total_weight += s->weight;
		key = sl_str_hash(s->cluster, key);
	}
	r->split_key = key;
	r->lag_at = t->lag_count;
	if (r->split_count > 1)
		t->lag_count += r->split_count;
}

static sl_err build_route(struct build *b, struct sl_table_host *host, uint32_t index)
{
	struct sl_table_route *r = &host->routes[index];
	const struct sl_mesh_route *mesh = &host->mesh->routes[index];
	const struct sl_mesh_route_match *m = &mesh->match;

	r->mesh = mesh;
	r->index = b->t->route_count++;
	snprintf(b->path, sizeof(b->path), "%.*s/%.*s.routes[%u]", SL_STR_ARG(b->config->name),
	        SL_STR_ARG(host->mesh->name), index);
	if (m->path_kind == SL_PATH_REGEX)
		SL_TRY(sl_regex_new(&r->path, m->path, true, b->diag, b->path));
	if (mesh->rewrite.regex.len)
		SL_TRY(sl_regex_new(&r->rewrite, mesh->rewrite.regex, false, b->diag, b->path));
	SL_TRY(build_field_regexes(b, m->headers, m->header_count, &r->header_regex));
	SL_TRY(build_field_regexes(b, m->params, m->param_count, &r->param_regex));
	r->any = !m->header_count && !m->param_count && m->path_kind == SL_PATH_PREFIX &&
	         sl_str_eq(m->path, SL_STR("/"));
	r->split_key = sl_str_hash(host->mesh->name, index);
	if (mesh->action == SL_ROUTE_FORWARD)
		build_splits(b, r);
	return SL_OK;
}

/* ---- the index of a host's routes ---- */

static bool by_exact(const struct sl_mesh_route_match *m)
{
	return m->path_kind == SL_PATH_EXACT && !m->path_ignore_case;
}

static bool by_prefix(const struct sl_mesh_route_match *m)
{
	return !m->path_ignore_case &&
	       (m->path_kind == SL_PATH_PREFIX || m->path_kind == SL_PATH_SEPARATED_PREFIX);
}

static sl_str prefix_key(const struct sl_mesh_route_match *m)
{
	sl_str key = m->path;

	if (m->path_kind == SL_PATH_SEPARATED_PREFIX && key.len && key.p[key.len - 1] == '/')
		key.len--; /* "/a/" takes "/a" too */
	return key;
}

static void list_add(struct sl_arena *a, uint32_t **list, uint32_t *count, uint32_t value)
{
	if ((*count & (*count - 1)) == 0) { /* full at powers of two */
		uint32_t *grown = sl_arena_alloc(a, (*count ? 2u * *count : 1u) * sizeof(uint32_t));

		if (*count)
			memcpy(grown, *list, *count * sizeof(uint32_t));
		*list = grown;
	}
	(*list)[(*count)++] = value;
}

static void index_exact(struct sl_arena *a, struct sl_table_host *host, uint32_t i)
{
	sl_str path = host->routes[i].mesh->match.path;
	struct sl_map_node *node = sl_map_get(&host->exact, path);
	struct sl_table_exact *e;

	if (node) {
		e = SL_MAP_ENTRY(node, struct sl_table_exact, node);
	} else {
		e = sl_arena_zalloc(a, sizeof(*e));
		sl_map_put(&host->exact, &e->node, path);
	}
	list_add(a, &e->routes, &e->count, i);
}

static int prefix_order(const void *a, const void *b)
{
	return sl_str_cmp(
	        ((const struct sl_table_prefix *)a)->text, ((const struct sl_table_prefix *)b)->text);
}

static int u32_order(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Sorts the prefixes, joins equal ones, links parents. Gives the number of entries the merged lists will have. */
static uint64_t link_prefixes(struct sl_arena *a, struct sl_table_host *host)
{
	struct sl_table_prefix *p = host->prefixes;
	uint32_t kept = 0;
	uint64_t entries = 0;
	uint64_t *merged = sl_new0_array(host->prefix_count + 1, sizeof(*merged));

	qsort(p, host->prefix_count, sizeof(*p), prefix_order);
	for (uint32_t i = 0; i < host->prefix_count; i++) {
		if (kept && sl_str_eq(p[kept - 1].text, p[i].text)) {
			for (uint32_t j = 0; j < p[i].count; j++)
				list_add(a, &p[kept - 1].routes, &p[kept - 1].count, p[i].routes[j]);
			continue;
		}
		p[kept] = p[i];
		/* The parent of an entry is the one before it or one of that one's parents. */
		p[kept].parent = kept ? kept - 1 : SL_TABLE_NONE;
		while (p[kept].parent != SL_TABLE_NONE &&
		        !sl_str_starts(p[kept].text, p[p[kept].parent].text))
			p[kept].parent = p[p[kept].parent].parent;
		kept++;
	}
	host->prefix_count = kept;
	for (uint32_t i = 0; i < kept; i++) {
		merged[i] = p[i].count + (p[i].parent == SL_TABLE_NONE ? 0 : merged[p[i].parent]);
		entries += merged[i];
	}
	sl_free(merged);
	return entries;
}

static void merge_prefix_lists(struct sl_arena *a, struct sl_table_host *host)
{
	for (uint32_t i = 0; i < host->prefix_count;
	        i++) { /* parents sort first, so theirs is merged already */
		struct sl_table_prefix *p = &host->prefixes[i], *up;

		if (p->parent != SL_TABLE_NONE) {
			up = &host->prefixes[p->parent];
			for (uint32_t j = 0; j < up->count; j++)
				list_add(a, &p->routes, &p->count, up->routes[j]);
		}
		qsort(p->routes, p->count, sizeof(*p->routes), u32_order);
	}
}

static void build_index(struct sl_arena *a, struct sl_table_host *host)
{
	if (host->route_count <= SCAN_ROUTES_MOST)
		return;
	host->prefixes = sl_arena_zalloc_array(a, host->route_count, sizeof(*host->prefixes));
	for (uint32_t i = 0; i < host->route_count; i++) {
		const struct sl_mesh_route_match *m = &host->routes[i].mesh->match;

		if (by_exact(m)) {
			index_exact(a, host, i);
		} else if (by_prefix(m)) {
			struct sl_table_prefix *p = &host->prefixes[host->prefix_count++];

			p->text = prefix_key(m);
			list_add(a, &p->routes, &p->count, i);
		} else {
			list_add(a, &host->others, &host->other_count, i);
		}
	}
	if (link_prefixes(a, host) > (uint64_t)PREFIX_LISTS_MOST * host->route_count)
		return;
	merge_prefix_lists(a, host);
	host->indexed = true;
}

/* ---- hosts ---- */

static int longest_first(const void *a, const void *b)
{
	return u32_order(b, a);
}

static void build_suffix_lengths(struct sl_arena *a, struct sl_table_config *config)
{
	uint32_t kept = 0;

	config->suffix_lengths = sl_arena_zalloc_array(a, config->suffixes.count, sizeof(uint32_t));
	SL_MAP_FOR (node, &config->suffixes)
		config->suffix_lengths[config->suffix_length_count++] = (uint32_t)node->key.len;
	if (config->suffix_length_count)
		qsort(config->suffix_lengths, config->suffix_length_count, sizeof(uint32_t), longest_first);
	for (uint32_t i = 0; i < config->suffix_length_count; i++)
		if (!kept || config->suffix_lengths[kept - 1] != config->suffix_lengths[i])
			config->suffix_lengths[kept++] = config->suffix_lengths[i];
	config->suffix_length_count = kept;
}

static void add_domain(
        struct sl_arena *a, struct sl_table_config *config, struct sl_table_host *host, sl_str domain)
{
	struct sl_table_domain *d;
	bool wild = domain.len && domain.p[0] == '*';

	if (wild && domain.len == 1) {
		config->any = host;
		return;
	}
	d = sl_arena_zalloc(a, sizeof(*d));
	d->host = host;
	sl_map_put(wild ? &config->suffixes : &config->exact, &d->node, sl_str_skip(domain, wild));
}

static sl_err build_host(struct build *b, struct sl_table_config *config, struct sl_table_host *host)
{
	struct sl_arena *a = &b->t->arena;

	host->route_count = (uint32_t)host->mesh->route_count;
	host->routes = sl_arena_zalloc_array(a, host->route_count, sizeof(*host->routes));
	for (uint32_t i = 0; i < host->route_count; i++)
		SL_TRY(build_route(b, host, i));
	build_index(a, host);
	for (size_t i = 0; i < host->mesh->domain_count; i++)
		add_domain(a, config, host, host->mesh->domains[i]);
	return SL_OK;
}

static sl_err build_configs(struct build *b)
{
	struct sl_tables *t = b->t;

	t->configs = sl_arena_zalloc_array(&t->arena, t->mesh->route_config_count, sizeof(*t->configs));
	for (size_t i = 0; i < t->mesh->route_config_count; i++) {
		struct sl_table_config *config = &t->configs[i];

		config->mesh = b->config = &t->mesh->route_configs[i];
		config->hosts =
		        sl_arena_zalloc_array(&t->arena, config->mesh->host_count, sizeof(*config->hosts));
		for (size_t j = 0; j < config->mesh->host_count; j++) {
			config->hosts[j].mesh = &config->mesh->hosts[j];
			config->host_count++; /* before it can fail: freeing looks at hosts begun */
			SL_TRY(build_host(b, config, &config->hosts[j]));
		}
		build_suffix_lengths(&t->arena, config);
		sl_map_put(&t->config_by_name, &config->node, config->mesh->name);
	}
	return SL_OK;
}

static void build_listeners(struct sl_tables *t)
{
	t->listeners = sl_arena_zalloc_array(&t->arena, t->mesh->listener_count, sizeof(*t->listeners));
	for (size_t i = 0; i < t->mesh->listener_count; i++) {
		struct sl_table_listener *l = &t->listeners[i];
		struct sl_map_node *node;

		l->mesh = &t->mesh->listeners[i];
		l->cluster = sl_tables_cluster(t, l->mesh->tcp_cluster);
		node = sl_map_get(&t->config_by_name, l->mesh->route_config);
		l->config = node ? SL_MAP_ENTRY(node, struct sl_table_config, node) : NULL;
	}
}

/* ---- life ---- */

static void free_regexes(struct sl_regex **re, size_t count)
{
	for (size_t i = 0; re && i < count; i++)
		sl_regex_free(re[i]);
}

static void host_fini(struct sl_table_host *host)
{
	for (uint32_t i = 0; i < host->route_count; i++) {
		struct sl_table_route *r = &host->routes[i];

		if (!r->mesh)
			break; /* building stopped here */
		sl_regex_free(r->path);
		sl_regex_free(r->rewrite);
		free_regexes(r->header_regex, r->mesh->match.header_count);
		free_regexes(r->param_regex, r->mesh->match.param_count);
	}
	sl_map_fini(&host->exact);
}

static void tables_free(struct sl_snapshot *snap)
{
	struct sl_tables *t = SL_CONTAINER_OF(snap, struct sl_tables, head);

	for (size_t i = 0; t->configs && i < t->mesh->route_config_count; i++) {
		for (uint32_t j = 0; j < t->configs[i].host_count; j++)
			host_fini(&t->configs[i].hosts[j]);
		sl_map_fini(&t->configs[i].exact);
		sl_map_fini(&t->configs[i].suffixes);
	}
	for (uint32_t i = 0; i < t->trip_count; i++)
		trip_unref(t->trips[i]);
	sl_free(t->trips);
	sl_map_fini(&t->trip_by_cluster);
	sl_map_fini(&t->config_by_name);
	sl_map_fini(&t->cluster_by_name);
	sl_mesh_unref(t->mesh);
	sl_arena_fini(&t->arena);
	sl_free(t);
}

sl_err sl_tables_new(struct sl_tables **ret_tables, struct sl_mesh *mesh, const struct sl_tables *before,
        struct sl_diag *diag)
{
	SL_CLEANUP(sl_tables_unref) struct sl_tables *t = sl_new0(sizeof(*t));
	struct build b = { .t = t, .before = before, .diag = diag };

	sl_snapshot_init(&t->head, tables_free);
	t->mesh = sl_mesh_ref(mesh);
	build_clusters(t);
	SL_TRY(build_configs(&b));
	build_listeners(t);
	*ret_tables = SL_STEAL(t);
	return SL_OK;
}
