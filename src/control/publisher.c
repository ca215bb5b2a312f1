#include "control/publisher.h"

#include "base/log.h"
#include "base/map.h"
#include "model/object.h"
#include "model/translate.h"

#include <inttypes.h>
#include <stdio.h>

/* The kinds translate reads, and where they go in its input. */
enum source { SERVICES, SLICES, PODS, VIRTUAL_SERVICES, DESTINATION_RULES, GATEWAYS, ROLLOUTS, SOURCE_COUNT };

static const struct {
	enum sl_kind_id kind;
	size_t list_offset, count_offset; /* in struct sl_translate_input */
} sources[SOURCE_COUNT] = {
#define SOURCE(kind_id, list, counter)                                                     \
	{                                                                                  \
		.kind = kind_id, .list_offset = offsetof(struct sl_translate_input, list), \
		.count_offset = offsetof(struct sl_translate_input, counter),              \
	}
	[SERVICES] = SOURCE(SL_KIND_SERVICE, services, service_count),
	[SLICES] = SOURCE(SL_KIND_ENDPOINT_SLICE, slices, slice_count),
	[PODS] = SOURCE(SL_KIND_POD, pods, pod_count),
	[VIRTUAL_SERVICES] = SOURCE(SL_KIND_VIRTUAL_SERVICE, virtual_services, virtual_service_count),
	[DESTINATION_RULES] = SOURCE(SL_KIND_DESTINATION_RULE, destination_rules, destination_rule_count),
	[GATEWAYS] = SOURCE(SL_KIND_ISTIO_GATEWAY, gateways, gateway_count),
	[ROLLOUTS] = SOURCE(SL_KIND_ROLLOUT, rollouts, rollout_count),
#undef SOURCE
};

/* One object as translate wants it, kept while it does not change. */
struct decoded {
	struct sl_map_node node; /* by uid */
	struct sl_object *object;
	struct sl_arena arena;
	void *typed;    /* NULL: it could not be decoded */
	uint64_t round; /* of the last translation that saw it */
	uint64_t noted; /* hash of the notes told in its status; 0: none */
};

/* Something requests can go to: a revision ("default/reviews|5f7d…") or an endpoint ("127.0.0.1:20001"). */
struct target {
	struct sl_map_node node;
	uint64_t round;        /* of the last mesh that used it */
	uint64_t unused_since; /* epoch; 0: in use */
	char key[];
};

/* What a proxy said last. */
struct node {
	struct sl_map_node node; /* by node id */
	unsigned
	        streams; /* of discovery: a proxy's next one may begin before its last one is seen to have ended */
	bool reports;
	uint64_t acked;          /* epoch in force there */
	uint64_t acked_before;   /* ... when the report before the last one came */
	uint64_t counted;        /* in-flight counts are younger than the acknowledgement of this epoch */
	struct sl_arena arena;   /* of in_flight */
	struct sl_map in_flight; /* by target key */
	char id[];
};

/* Which revision a cluster stands for. */
struct alias {
	struct sl_map_node node;  /* by cluster name */
	uint64_t round;           /* of the last mesh that had it */
	char *cluster, *revision; /* revision: a target's key */
};

struct in_flight {
	struct sl_map_node node;
	uint64_t count;
};

struct sl_publisher {
	struct sl_publisher_options options;
	struct sl_xds_push *push;
	struct sl_store_watch *watches[SOURCE_COUNT];
	struct sl_task translate, progress;
	struct sl_map decoded, targets, nodes, aliases;
	struct sl_mesh *mesh;
	uint64_t round;       /* counts translations */
	uint64_t version;     /* of the store, translated last */
	uint64_t first_epoch; /* published by this process; 0: none yet */
	sl_nsec rechecked_at; /* for a load report */
	char gateway_ip[INET6_ADDRSTRLEN];
};

static const struct sl_kind *kind_of(enum source s)
{
	return sl_kind_get(sources[s].kind);
}

/* ---- decoding ---- */

static void decoded_free(struct decoded *d)
{
	sl_object_unref(d->object);
	sl_arena_fini(&d->arena);
	sl_free(d);
}

static struct decoded *decoded_get(struct sl_publisher *p, const struct sl_kind *kind, struct sl_object *o)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	struct sl_map_node *node = sl_map_get(&p->decoded, o->uid);
	struct decoded *d = node ? SL_MAP_ENTRY(node, struct decoded, node) : NULL;

	if (d && d->object->resource_version == o->resource_version)
		return d;
	if (d) {
		sl_map_take(&p->decoded, d->node.key);
		sl_object_unref(d->object);
		sl_arena_reset(&d->arena);
	} else {
		d = sl_new0(sizeof(*d));
	}
	d->object = sl_object_ref(o);
	d->typed = NULL;
	sl_map_put(&p->decoded, &d->node, o->uid);
	if (sl_kind_decode(kind, o->body, &d->arena, &d->typed, &diag) != SL_OK)
		sl_log(SL_LOG_WARN, "publisher", "%s %.*s/%.*s is left out: %s", kind->kind,
		        SL_STR_ARG(o->key.ns), SL_STR_ARG(o->key.name), sl_diag_text(&diag));
	return d;
}

struct gather {
	struct sl_publisher *p;
	const struct sl_kind *kind;
	const void **items;
	size_t count;
};

static bool gather_one(void *arg, struct sl_object *o)
{
	struct gather *g = arg;
	struct decoded *d = decoded_get(g->p, g->kind, o);

	d->round = g->p->round;
	if (d->typed)
		g->items[g->count++] = d->typed;
	return true;
}

static void gather(
        struct sl_publisher *p, enum source s, struct sl_arena *arena, struct sl_translate_input *in)
{
	const struct sl_kind *kind = kind_of(s);
	struct sl_store *store = sl_objects_store(p->options.objects);
	struct gather g = { .p = p, .kind = kind };

	g.items = sl_arena_zalloc_array(arena,
	        sl_store_count(store, sl_str_c(kind->group), sl_str_c(kind->plural)) + 1, sizeof(void *));
	sl_store_each(store, sl_str_c(kind->group), sl_str_c(kind->plural), SL_STR_NONE, gather_one, &g);
	memcpy((char *)in + sources[s].list_offset, &g.items, sizeof(g.items));
	memcpy((char *)in + sources[s].count_offset, &g.count, sizeof(g.count));
}

static void forget_deleted(struct sl_publisher *p)
{
	SL_MAP_FOR_SAFE(node, &p->decoded)
	{
		struct decoded *d = SL_MAP_ENTRY(node, struct decoded, node);

		if (d->round == p->round)
			continue;
		sl_map_take(&p->decoded, node->key);
		decoded_free(d);
	}
}

/* ---- notes become a status condition ---- */

struct telling {
	char *text;
	int64_t generation;
	sl_nsec now;
};

static sl_err set_condition(void *arg, json_t *body)
{
	struct telling *t = arg;
	struct sl_condition c = {
		.type = "Reconciled",
		.status = *t->text ? "False" : "True",
		.reason = *t->text ? "BadReference" : "Applied",
		.message = t->text,
		.observed_generation = t->generation,
	};

	return sl_obj_set_condition(body, &c, t->now) ? SL_OK : SL_ERR_AGAIN;
}

static void told(void *arg, const struct sl_objects_result *result)
{
	struct telling *t = arg;

	(void)result; /* gone, or changed again: then it is translated again */
	sl_free(t->text);
	sl_free(t);
}

static void tell(struct sl_publisher *p, struct decoded *d, sl_str text)
{
	struct telling *t = sl_new0(sizeof(*t));

	t->text = sl_strndup(text.p ? text.p : "", text.len);
	t->generation = d->object->generation;
	t->now = sl_loop_real(p->options.loop);
	sl_objects_modify(p->options.objects, &d->object->key, true, set_condition, told, t);
}

static void tell_notes(struct sl_publisher *p, enum source s, const struct sl_translate_notes *notes)
{
	const struct sl_kind *kind = kind_of(s);

	SL_MAP_FOR (node, &p->decoded) {
		struct decoded *d = SL_MAP_ENTRY(node, struct decoded, node);
		SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
		uint64_t hash;

		if (!sl_str_eq_c(d->object->key.plural, kind->plural) ||
		        !sl_str_eq_c(d->object->key.group, kind->group))
			continue;
		for (size_t i = 0; i < notes->count; i++) {
			const struct sl_translate_note *n = &notes->items[i];

			if (n->kind == sources[s].kind && sl_str_eq(n->ns, d->object->key.ns) &&
			        sl_str_eq(n->name, d->object->key.name))
				sl_buf_printf(&text, "%s%.*s: %.*s", sl_buf_size(&text) ? "; " : "",
				        SL_STR_ARG(n->field), SL_STR_ARG(n->text));
		}
		hash = sl_buf_size(&text) ? sl_str_hash(sl_buf_str(&text), 1) | 1 : 0;
		if (hash == d->noted && (hash || !sl_obj_condition(d->object->body, "Reconciled")))
			continue;
		if (!hash && !d->noted &&
		        sl_str_eq_c(sl_str_c(json_string_value(json_object_get(
		                            sl_obj_condition(d->object->body, "Reconciled"), "status"))),
		                "True"))
			continue;
		d->noted = hash;
		tell(p, d, sl_buf_str(&text));
	}
}

/* ---- who is used ---- */

static struct target *target_get(struct sl_publisher *p, sl_str key, bool make)
{
	struct sl_map_node *node = sl_map_get(&p->targets, key);
	struct target *t;

	if (node || !make)
		return node ? SL_MAP_ENTRY(node, struct target, node) : NULL;
	t = sl_new0(sizeof(*t) + key.len + 1);
	memcpy(t->key, key.p, key.len);
	sl_map_put(&p->targets, &t->node, sl_str_n(t->key, key.len));
	return t;
}

/* What was printed. Proxies report addresses of any length, and one that does not fit is none of ours. */
static sl_str printed(const char *dst, size_t size, int n)
{
	return sl_str_n(dst, n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1);
}

static sl_str revision_key(char *dst, size_t size, sl_str rollout, sl_str hash)
{
	return printed(dst, size, snprintf(dst, size, "%.*s|%.*s", SL_STR_ARG(rollout), SL_STR_ARG(hash)));
}

static sl_str endpoint_key(char *dst, size_t size, sl_str address, uint32_t port)
{
	return printed(dst, size, snprintf(dst, size, "%.*s:%u", SL_STR_ARG(address), port));
}

static void use(struct sl_publisher *p, sl_str key)
{
	struct target *t = target_get(p, key, true);

	t->round = p->round;
	t->unused_since = 0;
}

/* A cluster that some route sends to is in use: its revision, and its endpoints but for those that drain. */
static void use_cluster(struct sl_publisher *p, const struct sl_mesh_cluster *c)
{
	char key[512];

	if (c->revision.len)
		use(p, revision_key(key, sizeof(key), c->rollout, c->revision));
	for (size_t i = 0; i < c->endpoint_count; i++)
		if (c->endpoints[i].health != SL_HEALTH_DRAINING)
			use(p, endpoint_key(key, sizeof(key), c->endpoints[i].address, c->endpoints[i].port));
}

/* Clusters of the mesh by name, for one pass. */
struct cluster_ref {
	struct sl_map_node node;
	const struct sl_mesh_cluster *cluster;
};

static void use_cluster_named(struct sl_publisher *p, const struct sl_map *clusters, sl_str name)
{
	struct sl_map_node *node = name.len ? sl_map_get(clusters, name) : NULL;

	if (node)
		use_cluster(p, SL_MAP_ENTRY(node, struct cluster_ref, node)->cluster);
}

static void use_route_config(
        struct sl_publisher *p, const struct sl_map *clusters, const struct sl_mesh_route_config *rc)
{
	for (size_t h = 0; h < rc->host_count; h++) {
		for (size_t r = 0; r < rc->hosts[h].route_count; r++) {
			const struct sl_mesh_route *route = &rc->hosts[h].routes[r];

			for (size_t i = 0; i < route->split_count; i++) {
				if (route->splits[i].weight)
					use_cluster_named(p, clusters, route->splits[i].cluster);
				/* the way back is taken whenever a guard trips */
				use_cluster_named(p, clusters, route->splits[i].guard.fallback);
			}
		}
	}
}

static void alias_free(struct alias *a)
{
	sl_free(a->cluster);
	sl_free(a->revision);
	sl_free(a);
}

/* A cluster's revision outlives its place in the mesh: proxies go on reporting what is in flight there. */
static void remember_revision(struct sl_publisher *p, const struct sl_mesh_cluster *c)
{
	struct sl_map_node *node = c->revision.len ? sl_map_get(&p->aliases, c->name) : NULL;
	struct alias *a = node ? SL_MAP_ENTRY(node, struct alias, node) : NULL;

	if (a)
		a->round = p->round;
	if (a || !c->revision.len)
		return;
	a = sl_new0(sizeof(*a));
	a->round = p->round;
	a->cluster = sl_strndup(c->name.p, c->name.len);
	a->revision = sl_asprintf("%.*s|%.*s", SL_STR_ARG(c->rollout), SL_STR_ARG(c->revision));
	sl_map_put(&p->aliases, &a->node, sl_str_c(a->cluster));
}

static bool acked(const struct sl_publisher *p, uint64_t epoch)
{
	if (p->options.expects_proxy && !p->nodes.count)
		return false;
	return sl_xds_push_acked(p->push) >= epoch;
}

/* Since which epoch the target is unused; 0: it is in use. What was never seen is unused since the first mesh. */
static uint64_t unused_since(const struct sl_publisher *p, sl_str key)
{
	struct sl_map_node *node = sl_map_get(&p->targets, key);

	return node ? SL_MAP_ENTRY(node, struct target, node)->unused_since : p->first_epoch;
}

/* UINT64_MAX while a proxy that reports has not done so since it acknowledged `epoch`. */
static uint64_t in_flight(const struct sl_publisher *p, sl_str key, uint64_t epoch)
{
	uint64_t sum = 0;

	SL_MAP_FOR (found, &p->nodes) {
		const struct node *n = SL_MAP_ENTRY(found, struct node, node);
		struct sl_map_node *f = sl_map_get(&n->in_flight, key);

		if (n->reports && n->counted < epoch)
			return UINT64_MAX;
		sum += f ? SL_MAP_ENTRY(f, struct in_flight, node)->count : 0;
	}
	return sum;
}

/*
 * What is unused, acknowledged everywhere and has nothing in flight is like what was never seen. Without this the maps would grow with
 * every Pod and every revision there ever was.
 */
static void forget_unused(struct sl_publisher *p)
{
	SL_MAP_FOR_SAFE(node, &p->targets)
	{
		struct target *t = SL_MAP_ENTRY(node, struct target, node);

		if (!t->unused_since || !acked(p, t->unused_since) ||
		        in_flight(p, node->key, t->unused_since))
			continue;
		sl_map_take(&p->targets, node->key);
		sl_free(t);
	}
	SL_MAP_FOR_SAFE(node, &p->aliases)
	{
		struct alias *a = SL_MAP_ENTRY(node, struct alias, node);

		if (a->round == p->round || sl_map_get(&p->targets, sl_str_c(a->revision)))
			continue;
		sl_map_take(&p->aliases, node->key);
		alias_free(a);
	}
}

static void note_use(struct sl_publisher *p)
{
	const struct sl_mesh *mesh = p->mesh;
	struct cluster_ref *refs = sl_new0_array(mesh->cluster_count, sizeof(*refs));
	struct sl_map clusters = { 0 };

	for (size_t i = 0; i < mesh->cluster_count; i++) {
		refs[i].cluster = &mesh->clusters[i];
		sl_map_put(&clusters, &refs[i].node, mesh->clusters[i].name);
		remember_revision(p, &mesh->clusters[i]);
	}
	for (size_t i = 0; i < mesh->route_config_count; i++)
		use_route_config(p, &clusters, &mesh->route_configs[i]);
	for (size_t i = 0; i < mesh->listener_count; i++)
		use_cluster_named(p, &clusters, mesh->listeners[i].tcp_cluster);
	sl_map_fini(&clusters);
	sl_free(refs);
	SL_MAP_FOR (node, &p->targets) {
		struct target *t = SL_MAP_ENTRY(node, struct target, node);

		if (t->round != p->round && !t->unused_since)
			t->unused_since = mesh->epoch;
	}
	forget_unused(p);
}

/* ---- translating ---- */

static void progress_later(struct sl_publisher *p)
{
	if (p->options.on_progress)
		sl_loop_defer(p->options.loop, &p->progress);
}

static void publish(struct sl_publisher *p, struct sl_mesh *mesh)
{
	uint64_t last = sl_xds_push_epoch(p->push);
	sl_err err;

	mesh->epoch = p->version > last ? p->version : last + 1;
	sl_mesh_unref(p->mesh);
	p->mesh = mesh;
	if (!p->first_epoch)
		p->first_epoch = mesh->epoch;
	note_use(p);
	err = sl_xds_push_publish(p->push, mesh);
	if (err != SL_OK)
		sl_log(SL_LOG_ERROR, "publisher", "epoch %" PRIu64 " cannot be published: %s", mesh->epoch,
		        sl_err_text(err));
}

static void translate(struct sl_publisher *p)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	struct sl_translate_input in = { .domain = SL_STR("cluster.local") };
	struct sl_translate_notes notes = { .arena = &arena };
	struct sl_mesh *mesh;

	p->round++;
	p->version = sl_store_version(sl_objects_store(p->options.objects));
	for (enum source s = 0; s < SOURCE_COUNT; s++)
		gather(p, s, &arena, &in);
	forget_deleted(p);
	if (p->options.gateway.len) {
		in.gateway_address = sl_str_c(p->gateway_ip);
		in.gateway_port = sl_addr_port(&p->options.gateway);
	}
	mesh = sl_translate(&in, &notes);
	tell_notes(p, VIRTUAL_SERVICES, &notes);
	tell_notes(p, DESTINATION_RULES, &notes);
	if (sl_mesh_check(mesh, &diag) != SL_OK) {
		sl_log(SL_LOG_ERROR, "publisher", "the mesh stays as it is: %s", sl_diag_text(&diag));
		sl_mesh_unref(mesh);
	} else if (p->mesh && sl_mesh_equal(mesh, p->mesh)) {
		sl_mesh_unref(mesh);
	} else {
		publish(p, mesh);
	}
	progress_later(p);
}

static void on_translate(struct sl_loop *loop, struct sl_task *task)
{
	(void)loop;
	translate(SL_CONTAINER_OF(task, struct sl_publisher, translate));
}

static void on_event(void *arg, const struct sl_store_event *event)
{
	struct sl_publisher *p = arg;

	(void)event;
	sl_loop_defer(p->options.loop, &p->translate);
}

/* ---- what proxies say ---- */

static struct node *node_get(struct sl_publisher *p, sl_str id)
{
	struct sl_map_node *found = sl_map_get(&p->nodes, id);
	struct node *n;

	if (found)
		return SL_MAP_ENTRY(found, struct node, node);
	n = sl_new0(sizeof(*n) + id.len + 1);
	memcpy(n->id, id.p, id.len);
	sl_map_put(&p->nodes, &n->node, sl_str_n(n->id, id.len));
	return n;
}

static void node_free(struct node *n)
{
	sl_map_fini(&n->in_flight);
	sl_arena_fini(&n->arena);
	sl_free(n);
}

static void on_node(void *user, sl_str id, bool connected)
{
	struct sl_publisher *p = user;
	struct node *n = node_get(p, id);

	sl_log(SL_LOG_INFO, "publisher", "proxy %.*s %s", SL_STR_ARG(id),
	        connected ? "connected" : "disconnected");
	if (connected) {
		n->streams++;
	} else if (--n->streams == 0) {
		sl_map_take(&p->nodes, id);
		node_free(n);
	}
	progress_later(p);
}

static void on_ack(void *user, sl_str id, uint64_t epoch, sl_nsec latency)
{
	struct sl_publisher *p = user;

	(void)latency; /* counted by xds_push */
	node_get(p, id)->acked = epoch;
	progress_later(p);
}

static void on_nack(void *user, sl_str id, uint64_t epoch, sl_str text)
{
	(void)user;
	sl_log(SL_LOG_ERROR, "publisher", "proxy %.*s refused epoch %" PRIu64 ": %.*s", SL_STR_ARG(id), epoch,
	        SL_STR_ARG(text));
}

static void add_in_flight(struct sl_map *map, struct sl_arena *arena, sl_str key, uint64_t count)
{
	struct sl_map_node *found = sl_map_get(map, key);
	struct in_flight *f;

	if (found) {
		SL_MAP_ENTRY(found, struct in_flight, node)->count += count;
		return;
	}
	f = sl_arena_zalloc(arena, sizeof(*f));
	f->count = count;
	sl_map_put(map, &f->node, sl_arena_str(arena, key));
}

static void read_in_flight(const struct sl_publisher *p, const struct sl_load_report *report,
        struct sl_map *map, struct sl_arena *arena)
{
	char key[512];

	for (size_t i = 0; i < report->cluster_count; i++) {
		const struct sl_load_cluster *c = &report->clusters[i];
		struct sl_map_node *alias = c->in_flight ? sl_map_get(&p->aliases, c->cluster) : NULL;

		if (alias)
			add_in_flight(map, arena, sl_str_c(SL_MAP_ENTRY(alias, struct alias, node)->revision),
			        c->in_flight);
		for (size_t e = 0; e < c->endpoint_count; e++)
			if (c->endpoints[e].in_flight)
				add_in_flight(map, arena,
				        endpoint_key(key, sizeof(key), c->endpoints[e].address,
				                c->endpoints[e].port),
				        c->endpoints[e].in_flight);
	}
}

/* Something unused had requests under way there, and has none any more: somebody may wait for just that. */
static bool has_drained(const struct sl_publisher *p, const struct node *n, const struct sl_map *now)
{
	SL_MAP_FOR (node, &n->in_flight)
		if (!sl_map_get(now, node->key) && unused_since(p, node->key))
			return true;
	return false;
}

static void take_report(struct sl_publisher *p, struct node *n, const struct sl_load_report *report)
{
	struct sl_map now = { 0 };
	struct sl_arena arena = { 0 };
	uint64_t counted = n->counted;

	/* a report is younger than an acknowledgement when another one came between: the streams are apart */
	n->counted = n->acked_before;
	n->acked_before = n->acked;
	n->reports = true;
	read_in_flight(p, report, &now, &arena);
	/* once a second in any case: an AnalysisRun, which nobody watches, is looked at then */
	if (n->counted != counted || has_drained(p, n, &now) ||
	        sl_loop_now(p->options.loop) - p->rechecked_at >= SL_SEC(1)) {
		p->rechecked_at = sl_loop_now(p->options.loop);
		progress_later(p);
	}
	sl_map_fini(&n->in_flight);
	sl_arena_fini(&n->arena);
	n->in_flight = now;
	n->arena = arena;
}

static void on_load(void *user, sl_str id, const struct sl_load_report *report)
{
	struct sl_publisher *p = user;
	struct sl_map_node *node = sl_map_get(&p->nodes, id);

	if (node) /* else its discovery has ended, and nothing is known of what it has in force */
		take_report(p, SL_MAP_ENTRY(node, struct node, node), report);
	if (p->options.on_load)
		p->options.on_load(p->options.arg, id, report);
}

static void on_progress(struct sl_loop *loop, struct sl_task *task)
{
	struct sl_publisher *p = SL_CONTAINER_OF(task, struct sl_publisher, progress);

	(void)loop;
	p->options.on_progress(p->options.arg);
}

/* ---- answers ---- */

/*
 * Who asks in the same turn as a change would hear "not yet" although nothing that proxies see has changed: a Rollout that writes this
 * answer into its status would then write for ever. So what is due at the end of the turn is done first.
 */
bool sl_publisher_in_force(struct sl_publisher *p, uint64_t resource_version)
{
	if (p->mesh && p->version < resource_version) {
		sl_task_cancel(p->options.loop, &p->translate);
		translate(p);
	}
	return p->mesh && p->version >= resource_version && acked(p, p->mesh->epoch);
}

bool sl_publisher_revision_unused(
        const struct sl_publisher *p, sl_str rollout, sl_str hash, uint64_t *ret_in_flight)
{
	char text[512];
	sl_str key = revision_key(text, sizeof(text), rollout, hash);
	uint64_t since = unused_since(p, key);

	if (ret_in_flight)
		*ret_in_flight = since ? in_flight(p, key, since) : UINT64_MAX;
	return since && acked(p, since);
}

bool sl_publisher_endpoint_idle(const struct sl_publisher *p, sl_str address, uint32_t port)
{
	char text[128];
	sl_str key = endpoint_key(text, sizeof(text), address, port);
	uint64_t since = unused_since(p, key);

	return since && acked(p, since) && in_flight(p, key, since) == 0;
}

sl_str sl_publisher_revision_of(const struct sl_publisher *p, sl_str rollout, sl_str cluster)
{
	struct sl_map_node *node = sl_map_get(&p->aliases, cluster);
	sl_str hash = node ? sl_str_c(SL_MAP_ENTRY(node, struct alias, node)->revision) : SL_STR_NONE, name;

	return sl_str_split(&hash, '|', &name) && sl_str_eq(name, rollout) ? hash : SL_STR_NONE;
}

const struct sl_xds_push *sl_publisher_push(const struct sl_publisher *p)
{
	return p->push;
}

const struct sl_mesh *sl_publisher_mesh(const struct sl_publisher *p)
{
	return p->mesh;
}

/* ---- life ---- */

static const struct sl_xds_push_ops push_ops = {
	.on_ack = on_ack,
	.on_nack = on_nack,
	.on_node = on_node,
	.on_load = on_load,
};

static sl_err watch_all(struct sl_publisher *p)
{
	for (enum source s = 0; s < SOURCE_COUNT; s++) {
		struct sl_store_watch_filter filter = { .group = sl_str_c(kind_of(s)->group),
			.plural = sl_str_c(kind_of(s)->plural) };

		SL_TRY(sl_objects_watch(p->options.objects, &p->watches[s], &filter, on_event, p));
	}
	return SL_OK;
}

sl_err sl_publisher_start(
        struct sl_publisher **ret_p, const struct sl_publisher_options *options, struct sl_diag *diag)
{
	SL_CLEANUP(sl_publisher_stop) struct sl_publisher *p = sl_new0(sizeof(*p));
	struct sl_xds_push_config config = {
		.listen = options->xds, .load_endpoints = true, .ops = &push_ops, .user = p
	};

	p->options = *options;
	p->translate.fn = on_translate;
	p->progress.fn = on_progress;
	sl_addr_format_ip(p->gateway_ip, &options->gateway);
	SL_TRY(sl_xds_push_new(&p->push, options->loop, &config, diag));
	SL_TRY(watch_all(p));
	sl_task_cancel(options->loop, &p->translate);
	translate(p);
	*ret_p = SL_STEAL(p);
	return SL_OK;
}

#define FREE_ALL(map, type, free_fn)                              \
	do {                                                      \
		struct sl_map_node *node_;                        \
		while ((node_ = sl_map_next(&(map), NULL))) {     \
			sl_map_take(&(map), node_->key);          \
			free_fn(SL_MAP_ENTRY(node_, type, node)); \
		}                                                 \
		sl_map_fini(&(map));                              \
	} while (0)

void sl_publisher_stop(struct sl_publisher *p)
{
	if (!p)
		return;
	for (enum source s = 0; s < SOURCE_COUNT; s++)
		sl_store_watch_stop(p->watches[s]);
	sl_task_cancel(p->options.loop, &p->translate);
	sl_xds_push_free(p->push); /* may still say that nodes have gone */
	sl_task_cancel(p->options.loop, &p->progress);
	sl_mesh_unref(p->mesh);
	FREE_ALL(p->decoded, struct decoded, decoded_free);
	FREE_ALL(p->targets, struct target, sl_free);
	FREE_ALL(p->nodes, struct node, node_free);
	FREE_ALL(p->aliases, struct alias, alias_free);
	sl_free(p);
}
