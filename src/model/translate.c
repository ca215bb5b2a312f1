#include "model/translate.h"

#include "base/buf.h"
#include "model/translate_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char hash_label[] = "rollouts-pod-template-hash";

enum {
	CONNECT_TIMEOUT_S = 10, /* Istio's default */
	GUARD_REFUSED_RUN = 3,
	GUARD_FAILURE_RUN = 5,
};
#define GUARD_ALPHA 0.001 /* per worker; the judge's own bound is apart */

void sl_tr_note(struct sl_tr *t, enum sl_kind_id kind, const struct sl_krm_object_meta *meta, sl_str field,
        const char *fmt, ...)
{
	struct sl_translate_notes *notes = t->notes;
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
	va_list ap;

	if (!notes)
		return;
	va_start(ap, fmt);
	sl_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	if (notes->count == notes->room) {
		size_t room = notes->room ? notes->room * 2 : 16;
		struct sl_translate_note *items = sl_arena_zalloc_array(notes->arena, room, sizeof(*items));

		if (notes->count)
			memcpy(items, notes->items, notes->count * sizeof(*items));
		notes->items = items;
		notes->room = room;
	}
	notes->items[notes->count++] = (struct sl_translate_note) {
		.kind = kind,
		.ns = sl_arena_str(notes->arena, meta->namespace),
		.name = sl_arena_str(notes->arena, meta->name),
		.field = sl_arena_str(notes->arena, field),
		.text = sl_arena_str(notes->arena, sl_buf_str(&text)),
	};
}

sl_str sl_cluster_name(struct sl_arena *arena, uint32_t port, sl_str subset, sl_str host)
{
	return sl_arena_printf(arena, "outbound|%u|%.*s|%.*s", port, SL_STR_ARG(subset), SL_STR_ARG(host));
}

static sl_str label(const struct sl_krm_object_meta *meta, const char *key)
{
	return sl_krm_pair_get(meta->labels, meta->labels_count, sl_str_c(key));
}

/* ---- services ---- */

sl_str sl_tr_join(struct sl_tr *t, sl_str ns, sl_str name)
{
	return sl_arena_printf(&t->scratch, "%.*s/%.*s", SL_STR_ARG(ns), SL_STR_ARG(name));
}

const struct sl_tr_service *sl_tr_service_find(struct sl_tr *t, sl_str host, sl_str ns)
{
	sl_str rest = host, name, space, long_name = host;
	struct sl_map_node *node;

	if (!sl_str_split(&rest, '.', &name)) /* "reviews" */
		long_name = sl_arena_printf(&t->scratch, "%.*s.%.*s.svc.%.*s", SL_STR_ARG(host),
		        SL_STR_ARG(ns), SL_STR_ARG(t->in->domain));
	else if (!sl_str_split(&rest, '.', &space) ||
	         sl_str_eq(rest, SL_STR("svc"))) /* "reviews.default", "reviews.default.svc" */
		long_name = sl_arena_printf(&t->scratch, "%.*s.%.*s.svc.%.*s", SL_STR_ARG(name),
		        SL_STR_ARG(space), SL_STR_ARG(t->in->domain));
	node = sl_map_get(&t->services, long_name);
	return node ? SL_MAP_ENTRY(node, struct sl_tr_service, node) : NULL;
}

const struct sl_krm_service_port *sl_tr_port_find(const struct sl_tr_service *s, uint32_t port)
{
	const struct sl_krm_service_spec *spec = &s->krm->spec;

	if (!port)
		return spec->ports_count == 1 ? &spec->ports[0] : NULL;
	for (size_t i = 0; i < spec->ports_count; i++)
		if (spec->ports[i].port == port)
			return &spec->ports[i];
	return NULL;
}

static bool pairs_within(
        const sl_krm_pair *wanted, size_t wanted_count, const sl_krm_pair *labels, size_t label_count)
{
	for (size_t i = 0; i < wanted_count; i++) {
		bool found = false;

		for (size_t k = 0; k < label_count && !found; k++)
			found = sl_str_eq(labels[k].key, wanted[i].key) &&
			        sl_str_eq(labels[k].value, wanted[i].value);
		if (!found)
			return false;
	}
	return true;
}

static void index_services(struct sl_tr *t)
{
	const struct sl_translate_input *in = t->in;

	for (size_t i = 0; i < in->service_count; i++) {
		struct sl_tr_service *s = sl_arena_zalloc(&t->scratch, sizeof(*s));
		const struct sl_krm_object_meta *meta = &in->services[i]->metadata;
		const struct sl_krm_service_spec *spec = &in->services[i]->spec;

		s->krm = in->services[i];
		s->host = sl_arena_printf(&t->scratch, "%.*s.%.*s.svc.%.*s", SL_STR_ARG(meta->name),
		        SL_STR_ARG(meta->namespace), SL_STR_ARG(in->domain));
		sl_map_put(&t->services, &s->node, s->host);
		for (size_t r = 0; r < in->rollout_count && spec->selector_count && !s->rollout; r++) {
			const struct sl_krm_object_meta *pods = &in->rollouts[r]->spec.template.metadata;

			if (sl_str_eq(in->rollouts[r]->metadata.namespace, meta->namespace) &&
			        pairs_within(spec->selector, spec->selector_count, pods->labels,
			                pods->labels_count))
				s->rollout = in->rollouts[r];
		}
	}
}

static void index_slices(struct sl_tr *t)
{
	const struct sl_translate_input *in = t->in;

	/* backwards, so that each list ends up in the input's order */
	for (size_t i = in->slice_count; i-- > 0;) {
		const struct sl_krm_object_meta *meta = &in->slices[i]->metadata;
		sl_str name = label(meta, "kubernetes.io/service-name");
		const struct sl_tr_service *s =
		        name.len ? sl_tr_service_find(t, name, meta->namespace) : NULL;
		struct sl_tr_slice *slice;

		if (!s)
			continue;
		slice = sl_arena_zalloc(&t->scratch, sizeof(*slice));
		slice->krm = in->slices[i];
		slice->next = s->slices;
		SL_MAP_ENTRY(sl_map_get(&t->services, s->host), struct sl_tr_service, node)->slices = slice;
	}
}

static void index_rest(struct sl_tr *t)
{
	const struct sl_translate_input *in = t->in;

	for (size_t i = 0; i < in->pod_count; i++) {
		struct sl_tr_pod *p = sl_arena_zalloc(&t->scratch, sizeof(*p));

		p->krm = in->pods[i];
		sl_map_put(
		        &t->pods, &p->node, sl_tr_join(t, p->krm->metadata.namespace, p->krm->metadata.name));
	}
	for (size_t i = 0; i < in->destination_rule_count; i++) {
		const struct sl_krm_destination_rule *rule = in->destination_rules[i];
		const struct sl_tr_service *s =
		        sl_tr_service_find(t, rule->spec.host, rule->metadata.namespace);
		struct sl_tr_service *mine;

		if (!s) {
			sl_tr_note(t, SL_KIND_DESTINATION_RULE, &rule->metadata, SL_STR("spec.host"),
			        "\"%.*s\" is no Service of the mesh; name one, or add it",
			        SL_STR_ARG(rule->spec.host));
			continue;
		}
		mine = SL_MAP_ENTRY(sl_map_get(&t->services, s->host), struct sl_tr_service, node);
		if (mine->rule)
			sl_tr_note(t, SL_KIND_DESTINATION_RULE, &rule->metadata, SL_STR("spec.host"),
			        "\"%.*s\" has the DestinationRule %.*s already, which is in force; merge them",
			        SL_STR_ARG(rule->spec.host), SL_STR_ARG(mine->rule->metadata.name));
		else
			mine->rule = rule;
	}
}

/* ---- rollouts: who is stable, who is canary ---- */

static sl_str stable_hash(const struct sl_krm_rollout *r)
{
	const struct sl_krm_traffic_weights *w = r->status.canary.weights;

	return w && w->stable && w->stable->pod_template_hash.len ? w->stable->pod_template_hash
	                                                          : r->status.stable_rs;
}

static sl_str canary_hash(const struct sl_krm_rollout *r)
{
	const struct sl_krm_traffic_weights *w = r->status.canary.weights;

	return w && w->canary ? w->canary->pod_template_hash : SL_STR_NONE;
}

/* Requests go to two versions, or may: something runs beside stable. */
static bool is_divided(const struct sl_krm_rollout *r)
{
	sl_str canary = canary_hash(r);

	return canary.len && !sl_str_eq(canary, stable_hash(r));
}

static uint32_t canary_weight(const struct sl_krm_rollout *r)
{
	const struct sl_krm_traffic_weights *w = r->status.canary.weights;

	return is_divided(r) && w->canary->weight > 0 ? (uint32_t)w->canary->weight : 0;
}

static uint32_t stable_weight(const struct sl_krm_rollout *r)
{
	const struct sl_krm_traffic_weights *w = r->status.canary.weights;

	if (!is_divided(r))
		return 100;
	return w->stable && w->stable->weight > 0 ? (uint32_t)w->stable->weight : 0;
}

/* The role a destination has in a Rollout, which it returns; NULL: none. */
static const struct sl_krm_rollout *role_of(
        struct sl_tr *t, const struct sl_tr_service *s, sl_str subset, enum sl_tr_role *ret_role)
{
	for (size_t i = 0; i < t->in->rollout_count; i++) {
		const struct sl_krm_rollout *r = t->in->rollouts[i];
		const struct sl_krm_canary_strategy *canary = r->spec.strategy.canary;
		const struct sl_krm_istio_traffic_routing *istio =
		        canary && canary->traffic_routing ? canary->traffic_routing->istio : NULL;
		const struct sl_krm_istio_destination_rule *rule = istio ? istio->destination_rule : NULL;

		if (!canary || !sl_str_eq(r->metadata.namespace, s->krm->metadata.namespace))
			continue;
		*ret_role = SL_TR_NO_ROLE;
		if (rule && s->rule && sl_str_eq(rule->name, s->rule->metadata.name) && subset.len) {
			if (sl_str_eq(subset, rule->stable_subset_name))
				*ret_role = SL_TR_STABLE;
			if (sl_str_eq(subset, rule->canary_subset_name))
				*ret_role = SL_TR_CANARY;
		}
		if (!subset.len && sl_str_eq(canary->stable_service, s->krm->metadata.name))
			*ret_role = SL_TR_STABLE;
		if (!subset.len && sl_str_eq(canary->canary_service, s->krm->metadata.name))
			*ret_role = SL_TR_CANARY;
		if (*ret_role != SL_TR_NO_ROLE)
			return r;
	}
	return NULL;
}

/* ---- clusters ---- */

static const struct sl_krm_subset *subset_find(const struct sl_krm_destination_rule *rule, sl_str name)
{
	for (size_t i = 0; rule && i < rule->spec.subsets_count; i++)
		if (sl_str_eq(rule->spec.subsets[i].name, name))
			return &rule->spec.subsets[i];
	return NULL;
}

/* "reviews-5f7d8c9b7-x2x4z" made by ReplicaSet reviews-5f7d8c9b7 belongs to workload "reviews". */
static sl_str workload_of(const struct sl_krm_object_meta *pod)
{
	sl_str hash = label(pod, hash_label);
	size_t end;

	if (!hash.len)
		hash = label(pod, "pod-template-hash");
	for (end = pod->name.len; hash.len && end > hash.len; end--)
		if (sl_str_ends(sl_str_first(pod->name, end), hash) && pod->name.p[end - hash.len - 1] == '-')
			return sl_str_first(pod->name, end - hash.len - 1);
	return pod->name;
}

static sl_str first_label(const struct sl_krm_object_meta *meta, const char *a, const char *b, const char *c)
{
	sl_str v = label(meta, a);

	if (!v.len)
		v = label(meta, b);
	return v.len || !c ? v : label(meta, c);
}

static void add_endpoint(struct sl_tr *t, struct sl_mesh_cluster *c, const struct sl_krm_endpoint *e,
        int64_t port, const struct sl_krm_object_meta *pod)
{
	struct sl_arena *arena = &t->mesh->arena;
	struct sl_mesh_endpoint *out = &c->endpoints[c->endpoint_count++];
	const struct sl_krm_endpoint_conditions *cond = &e->conditions;

	*out = (struct sl_mesh_endpoint) {
		.address = sl_arena_str(arena, e->addresses[0]),
		.port = (uint32_t)port,
		.weight = 1,
		.health = cond->terminating ? SL_HEALTH_DRAINING : SL_HEALTH_HEALTHY,
	};
	if (!pod)
		return;
	out->pod = sl_arena_str(arena, pod->name);
	out->namespace = sl_arena_str(arena, pod->namespace);
	out->workload = sl_arena_str(arena, workload_of(pod));
	out->app = sl_arena_str(
	        arena, first_label(pod, "service.istio.io/canonical-name", "app.kubernetes.io/name", "app"));
	out->version = sl_arena_str(arena, first_label(pod, "service.istio.io/canonical-revision",
	                                           "app.kubernetes.io/version", "version"));
	if (!out->version.len)
		out->version = sl_arena_str(arena, label(pod, hash_label));
}

static const struct sl_krm_object_meta *pod_of(
        struct sl_tr *t, const struct sl_krm_endpoint_slice *slice, const struct sl_krm_endpoint *e)
{
	struct sl_map_node *node = NULL;

	if (e->target_ref && sl_str_eq(e->target_ref->kind, SL_STR("Pod")))
		node = sl_map_get(&t->pods, sl_tr_join(t, slice->metadata.namespace, e->target_ref->name));
	return node ? &SL_MAP_ENTRY(node, struct sl_tr_pod, node)->krm->metadata : NULL;
}

static int64_t slice_port(const struct sl_krm_endpoint_slice *slice, const struct sl_krm_service_port *port)
{
	for (size_t i = 0; i < slice->ports_count; i++)
		if (sl_str_eq(slice->ports[i].name, port->name))
			return slice->ports[i].port;
	return 0;
}

static int by_address(const void *a, const void *b)
{
	const struct sl_mesh_endpoint *x = a, *y = b;
	int c = sl_str_cmp(x->address, y->address);

	return c ? c : (int)x->port - (int)y->port;
}

/* Which pods are in: those with the subset's labels and, where a revision is meant, its hash. */
static void fill_endpoints(struct sl_tr *t, struct sl_mesh_cluster *c, const struct sl_tr_service *s,
        const struct sl_krm_service_port *port, const struct sl_krm_subset *subset, sl_str hash)
{
	size_t most = 0;

	for (const struct sl_tr_slice *slice = s->slices; slice; slice = slice->next)
		most += slice->krm->endpoints_count;
	c->endpoints = sl_arena_zalloc_array(&t->mesh->arena, most, sizeof(*c->endpoints));
	for (const struct sl_tr_slice *slice = s->slices; slice; slice = slice->next) {
		int64_t number = slice_port(slice->krm, port);

		for (size_t i = 0; number && i < slice->krm->endpoints_count; i++) {
			const struct sl_krm_endpoint *e = &slice->krm->endpoints[i];
			const struct sl_krm_object_meta *pod = pod_of(t, slice->krm, e);
			bool ready = e->conditions.has_ready ? e->conditions.ready : true;
			bool serving = e->conditions.has_serving ? e->conditions.serving : ready;

			if (!e->addresses_count || !(ready || (e->conditions.terminating && serving)))
				continue;
			if (hash.len && (!pod || !sl_str_eq(label(pod, hash_label), hash)))
				continue;
			if (subset && (!pod || !pairs_within(subset->labels, subset->labels_count,
			                               pod->labels, pod->labels_count)))
				continue;
			add_endpoint(t, c, e, number, pod);
		}
	}
	qsort(c->endpoints, c->endpoint_count, sizeof(*c->endpoints), by_address);
}

static enum sl_lb_policy lb_of(const struct sl_krm_destination_rule *rule)
{
	const struct sl_krm_traffic_policy *policy = rule ? rule->spec.traffic_policy : NULL;

	if (!policy || !policy->load_balancer)
		return SL_LB_LEAST_REQUEST; /* Istio's default */
	switch (policy->load_balancer->simple) {
	case SL_KRM_LOAD_BALANCER_SETTINGS_SIMPLE_ROUND_ROBIN:
		return SL_LB_ROUND_ROBIN;
	case SL_KRM_LOAD_BALANCER_SETTINGS_SIMPLE_RANDOM:
		return SL_LB_RANDOM;
	case SL_KRM_LOAD_BALANCER_SETTINGS_SIMPLE_UNSET:
	case SL_KRM_LOAD_BALANCER_SETTINGS_SIMPLE_UNSPECIFIED:
	case SL_KRM_LOAD_BALANCER_SETTINGS_SIMPLE_LEAST_CONN:
	case SL_KRM_LOAD_BALANCER_SETTINGS_SIMPLE_PASSTHROUGH:
	case SL_KRM_LOAD_BALANCER_SETTINGS_SIMPLE_LEAST_REQUEST:
		break;
	}
	return SL_LB_LEAST_REQUEST;
}

static sl_nsec connect_timeout_of(const struct sl_krm_destination_rule *rule)
{
	const struct sl_krm_traffic_policy *policy = rule ? rule->spec.traffic_policy : NULL;
	const struct sl_krm_tcp_settings *tcp =
	        policy && policy->connection_pool ? policy->connection_pool->tcp : NULL;

	return tcp && tcp->has_connect_timeout && tcp->connect_timeout > 0 ? tcp->connect_timeout
	                                                                   : SL_SEC(CONNECT_TIMEOUT_S);
}

/* Finds or starts the cluster of that name; *ret_new tells the caller to fill it. */
static struct sl_mesh_cluster *cluster_get(struct sl_tr *t, sl_str name, bool *ret_new)
{
	struct sl_map_node *node = sl_map_get(&t->clusters, name);
	struct sl_tr_cluster *c;

	*ret_new = !node;
	if (node)
		return &SL_MAP_ENTRY(node, struct sl_tr_cluster, node)->cluster;
	c = sl_arena_zalloc(&t->scratch, sizeof(*c));
	c->cluster.name = sl_arena_str(&t->mesh->arena, name);
	c->cluster.connect_timeout = SL_SEC(CONNECT_TIMEOUT_S);
	sl_map_put(&t->clusters, &c->node, c->cluster.name);
	*t->last_cluster = c;
	t->last_cluster = &c->next;
	return &c->cluster;
}

/* The cluster of a Service's port, narrowed to a subset (NULL: all) and, with a Rollout, to one of its revisions. */
static sl_str service_cluster(struct sl_tr *t, const struct sl_tr_service *s,
        const struct sl_krm_service_port *port, const struct sl_krm_subset *subset,
        const struct sl_krm_rollout *rollout, sl_str hash)
{
	struct sl_arena *arena = &t->mesh->arena;
	sl_str part = hash.len ? hash : (subset ? subset->name : SL_STR_NONE);
	sl_str name = sl_cluster_name(&t->scratch, (uint32_t)port->port, part, s->host);
	struct sl_mesh_cluster *c;
	bool is_new;

	c = cluster_get(t, name, &is_new);
	if (!is_new)
		return c->name;
	c->service_host = sl_arena_str(arena, s->host);
	c->service_name = sl_arena_str(arena, s->krm->metadata.name);
	c->service_namespace = sl_arena_str(arena, s->krm->metadata.namespace);
	if (hash.len) {
		c->rollout = sl_arena_str(
		        arena, sl_tr_join(t, rollout->metadata.namespace, rollout->metadata.name));
		c->revision = sl_arena_str(arena, hash);
	}
	c->lb = lb_of(s->rule);
	c->connect_timeout = connect_timeout_of(s->rule);
	fill_endpoints(t, c, s, port, subset, hash);
	return c->name;
}

/* A cluster without endpoints for what does not exist: it answers 503, as Istio does. */
static sl_str nowhere(struct sl_tr *t, uint32_t port, sl_str subset, sl_str host)
{
	bool is_new;

	return cluster_get(t, sl_cluster_name(&t->scratch, port, subset, host), &is_new)->name;
}

/* ---- destinations ---- */

static struct sl_mesh_guard guard_of(struct sl_tr *t, const struct sl_krm_rollout *r, sl_str fallback)
{
	if (r->status.abort)
		return (struct sl_mesh_guard) { 0 };
	return (struct sl_mesh_guard) {
		.fallback = fallback,
		.rollout =
		        sl_arena_str(&t->mesh->arena, sl_tr_join(t, r->metadata.namespace, r->metadata.name)),
		.generation = (uint64_t)r->status.sluice.attempt,
		.alpha = GUARD_ALPHA,
		.refused_run = GUARD_REFUSED_RUN,
		.failure_run = GUARD_FAILURE_RUN,
	};
}

/* The split to one of a Rollout's revisions; the canary's is guarded. */
static struct sl_mesh_split revision_split(
        struct sl_tr *t, const struct sl_tr_target *d, bool canary, uint32_t weight)
{
	sl_str stable = stable_hash(d->rollout), hash = canary ? canary_hash(d->rollout) : stable;
	struct sl_mesh_split split = { .weight = weight };

	split.cluster = service_cluster(t, d->service, d->port, NULL, d->rollout, hash);
	if (canary && stable.len)
		split.guard = guard_of(
		        t, d->rollout, service_cluster(t, d->service, d->port, NULL, d->rollout, stable));
	return split;
}

/* The target a Service and subset stand for, Rollouts considered. */
static struct sl_tr_target service_target(
        struct sl_tr *t, const struct sl_tr_service *s, const struct sl_krm_service_port *port, sl_str subset)
{
	struct sl_tr_target target = {
		.service = s, .port = port, .subset = subset_find(s->rule, subset), .parts = 1
	};
	const struct sl_krm_rollout *rollout = role_of(t, s, subset, &target.role);

	if (!rollout && s->rollout && !subset.len) {
		rollout = s->rollout;
		target.role = SL_TR_WHOLE;
	}
	if (!rollout || !stable_hash(rollout).len) {
		target.role = SL_TR_NO_ROLE;
		return target;
	}
	target.rollout = rollout;
	if (target.role == SL_TR_WHOLE && is_divided(rollout) &&
	        stable_weight(rollout) + canary_weight(rollout))
		target.parts = stable_weight(rollout) + canary_weight(rollout);
	return target;
}

static void unknown_destination(struct sl_tr *t, const struct sl_tr_place *place,
        const struct sl_krm_destination *d, sl_str field, const struct sl_tr_service *s)
{
	uint32_t port = d->port ? (uint32_t)d->port->number : place->port;

	if (!s)
		sl_tr_note(t, SL_KIND_VIRTUAL_SERVICE, &place->vs->metadata,
		        sl_arena_printf(&t->scratch, "%.*s.host", SL_STR_ARG(field)),
		        "\"%.*s\" is no Service of the mesh: its share is answered with 503; name one, or add it",
		        SL_STR_ARG(d->host));
	else
		sl_tr_note(t, SL_KIND_VIRTUAL_SERVICE, &place->vs->metadata,
		        sl_arena_printf(&t->scratch, "%.*s.port", SL_STR_ARG(field)),
		        d->port ? "Service %.*s has no port %u: its share is answered with 503"
		                : "Service %.*s has several ports (%u is not one): name one",
		        SL_STR_ARG(s->krm->metadata.name), port);
}

struct sl_tr_target sl_tr_resolve(
        struct sl_tr *t, const struct sl_tr_place *place, const struct sl_krm_destination *d, sl_str field)
{
	const struct sl_tr_service *s = sl_tr_service_find(t, d->host, place->vs->metadata.namespace);
	const struct sl_krm_service_port *port =
	        s ? sl_tr_port_find(s, d->port ? (uint32_t)d->port->number : 0) : NULL;
	struct sl_tr_target target = { .parts = 1 };

	if (s && !port && !d->port) /* several ports: the one the request came in on, as Istio does */
		port = sl_tr_port_find(s, place->port);
	if (!s || !port) {
		unknown_destination(t, place, d, field, s);
		target.nowhere = nowhere(t, d->port ? (uint32_t)d->port->number : place->port, d->subset,
		        s ? s->host : d->host);
		return target;
	}
	target.subset = subset_find(s->rule, d->subset);
	if (d->subset.len && !target.subset) {
		sl_tr_note(t, SL_KIND_VIRTUAL_SERVICE, &place->vs->metadata,
		        sl_arena_printf(&t->scratch, "%.*s.subset", SL_STR_ARG(field)),
		        "\"%.*s\" is no subset of %.*s: its share is answered with 503; add it to a DestinationRule for that host",
		        SL_STR_ARG(d->subset), SL_STR_ARG(d->host));
		target.nowhere = nowhere(t, (uint32_t)port->port, d->subset, s->host);
		return target;
	}
	return service_target(t, s, port, d->subset);
}

size_t sl_tr_splits(struct sl_tr *t, const struct sl_tr_place *place, const struct sl_tr_target *target,
        uint32_t weight, struct sl_mesh_split *splits)
{
	bool managed = place->managed && place->rollout == target->rollout;
	bool canary;

	if (target->nowhere.len) {
		splits[0] = (struct sl_mesh_split) { .cluster = target->nowhere, .weight = weight };
		return 1;
	}
	switch (target->role) {
	case SL_TR_NO_ROLE:
		splits[0] = (struct sl_mesh_split) { .cluster = service_cluster(t, target->service,
			                                     target->port, target->subset, NULL, SL_STR_NONE),
			.weight = weight };
		return 1;
	case SL_TR_STABLE:
		splits[0] =
		        revision_split(t, target, false, managed ? stable_weight(target->rollout) : weight);
		return 1;
	case SL_TR_CANARY:
		canary = is_divided(target->rollout);
		splits[0] =
		        revision_split(t, target, canary, managed ? canary_weight(target->rollout) : weight);
		return 1;
	case SL_TR_WHOLE:
		break;
	}
	if (target->parts == 1) {
		splits[0] = revision_split(t, target, false, weight);
		return 1;
	}
	splits[0] = revision_split(t, target, false, weight * stable_weight(target->rollout));
	splits[1] = revision_split(t, target, true, weight * canary_weight(target->rollout));
	return 2;
}

struct sl_mesh_route sl_tr_default_route(
        struct sl_tr *t, const struct sl_tr_service *s, const struct sl_krm_service_port *port)
{
	struct sl_mesh_route route = {
		.name = SL_STR("default"),
		.match = { .path_kind = SL_PATH_PREFIX, .path = SL_STR("/") },
		.action = SL_ROUTE_FORWARD,
		.retry = { .attempts = 2, .on = SL_RETRY_CONNECT_FAILURE | SL_RETRY_REFUSED_STREAM },
	};
	struct sl_tr_target target = service_target(t, s, port, SL_STR_NONE);

	route.splits = sl_arena_zalloc_array(&t->mesh->arena, 2, sizeof(*route.splits));
	route.split_count = sl_tr_splits(
	        t, &(struct sl_tr_place) { 0 }, &target, target.parts > 1 ? 1 : 100, route.splits);
	return route;
}

/* ---- listeners ---- */

/* Istio's rule: the port's name up to the first '-', where it is one of these. What has no name is taken as HTTP. */
static bool is_tcp(const struct sl_krm_service_port *port)
{
	static const char *const tcp[] = { "tcp", "tls", "https", "mongo", "mysql", "redis", "udp" };
	sl_str word = sl_str_first(port->name, sl_str_find(port->name, '-'));

	for (size_t i = 0; i < SL_ARRAY_COUNT(tcp); i++)
		if (sl_str_eq_c(word, tcp[i]))
			return true;
	return port->protocol == SL_KRM_SERVICE_PORT_PROTOCOL_UDP;
}

/* The VirtualService that routes a Service's host inside the mesh: the oldest. Others are told so. */
static const struct sl_krm_virtual_service *routed_by(struct sl_tr *t, const struct sl_tr_service *s)
{
	const struct sl_krm_virtual_service *chosen = NULL;

	for (size_t i = 0; i < t->in->virtual_service_count; i++) {
		const struct sl_krm_virtual_service *vs = t->in->virtual_services[i];
		bool inside = vs->spec.gateways_count == 0, matches = false;

		for (size_t g = 0; g < vs->spec.gateways_count; g++)
			inside |= sl_str_eq(vs->spec.gateways[g], SL_STR("mesh"));
		for (size_t h = 0; inside && h < vs->spec.hosts_count; h++)
			matches |= sl_tr_service_find(t, vs->spec.hosts[h], vs->metadata.namespace) == s;
		if (!matches)
			continue;
		if (!chosen || vs->metadata.creation_timestamp < chosen->metadata.creation_timestamp) {
			const struct sl_krm_virtual_service *other = chosen;

			chosen = vs;
			vs = other;
		}
		if (vs)
			sl_tr_note(t, SL_KIND_VIRTUAL_SERVICE, &vs->metadata, SL_STR("spec.hosts"),
			        "host %.*s is routed by the older VirtualService %.*s; merge them",
			        SL_STR_ARG(s->krm->metadata.name), SL_STR_ARG(chosen->metadata.name));
	}
	return chosen;
}

void sl_tr_routes_take(struct sl_tr *t, struct sl_mesh_virtual_host *host, const struct sl_tr_routes *routes)
{
	host->routes = sl_arena_zalloc_array(&t->mesh->arena, routes->count, sizeof(*host->routes));
	host->route_count = routes->count;
	if (routes->count)
		memcpy(host->routes, routes->items, routes->count * sizeof(*host->routes));
}

void sl_tr_domain_add(struct sl_tr *t, struct sl_mesh_virtual_host *host, sl_str domain)
{
	char *lower;

	if (!host->domains)
		host->domains = sl_arena_zalloc_array(&t->mesh->arena, 4, sizeof(*host->domains));
	domain = sl_arena_str(&t->mesh->arena, domain);
	lower = sl_arena_alloc(&t->mesh->arena, domain.len + 1);
	for (size_t i = 0; i <= domain.len; i++)
		lower[i] =
		        (char)(domain.p[i] >= 'A' && domain.p[i] <= 'Z' ? domain.p[i] | 0x20 : domain.p[i]);
	host->domains[host->domain_count++] = sl_str_n(lower, domain.len);
}

/* The routes behind one Service port. Whatever Host a client sends, the address it came to says which Service is meant. */
static void service_routes(struct sl_tr *t, const struct sl_tr_service *s,
        const struct sl_krm_service_port *port, struct sl_mesh_route_config *rc)
{
	const struct sl_krm_virtual_service *vs = routed_by(t, s);
	struct sl_tr_routes routes = { 0 };

	rc->host_count = 1;
	rc->hosts = sl_arena_zalloc(&t->mesh->arena, sizeof(*rc->hosts));
	rc->hosts->name = sl_arena_str(&t->mesh->arena, s->host);
	sl_tr_domain_add(t, rc->hosts, SL_STR("*"));
	if (vs)
		sl_tr_routes_add(t,
		        &(struct sl_tr_place) { .vs = vs, .port = (uint32_t)port->port, .service = s },
		        &routes);
	if (!vs || !vs->spec.http_count) {
		routes.items = sl_arena_zalloc(&t->scratch, sizeof(*routes.items));
		routes.items[0] = sl_tr_default_route(t, s, port);
		routes.count = 1;
	}
	sl_tr_routes_take(t, rc->hosts, &routes);
}

static void service_listener(
        struct sl_tr *t, const struct sl_tr_service *s, const struct sl_krm_service_port *port)
{
	struct sl_arena *arena = &t->mesh->arena;
	struct sl_mesh_listener *l = &t->mesh->listeners[t->mesh->listener_count++];
	struct sl_mesh_route_config *rc;

	l->name = sl_cluster_name(arena, (uint32_t)port->port, SL_STR_NONE, s->host);
	l->address = sl_arena_str(arena, s->krm->spec.cluster_ip);
	l->port = (uint32_t)port->port;
	l->direction = SL_TRAFFIC_OUTBOUND;
	if (is_tcp(port)) {
		l->protocol = SL_LISTENER_TCP;
		l->tcp_cluster = service_cluster(t, s, port, NULL, NULL, SL_STR_NONE);
		return;
	}
	rc = &t->mesh->route_configs[t->mesh->route_config_count++];
	rc->name = l->name;
	l->route_config = l->name;
	service_routes(t, s, port, rc);
}

/* ---- all of it ---- */

static void make_listeners(struct sl_tr *t)
{
	const struct sl_translate_input *in = t->in;
	size_t most = 1;

	for (size_t i = 0; i < in->service_count; i++)
		most += in->services[i]->spec.ports_count;
	t->mesh->listeners = sl_arena_zalloc_array(&t->mesh->arena, most, sizeof(*t->mesh->listeners));
	t->mesh->route_configs =
	        sl_arena_zalloc_array(&t->mesh->arena, most, sizeof(*t->mesh->route_configs));
	for (size_t i = 0; i < in->service_count; i++) {
		const struct sl_krm_service_spec *spec = &in->services[i]->spec;
		const struct sl_krm_object_meta *meta = &in->services[i]->metadata;
		const struct sl_tr_service *s = sl_tr_service_find(t, meta->name, meta->namespace);

		for (size_t p = 0; spec->cluster_ip.len && !sl_str_eq(spec->cluster_ip, SL_STR("None")) &&
		                   p < spec->ports_count;
		        p++)
			service_listener(t, s, &spec->ports[p]);
	}
	if (in->gateway_address.len)
		sl_tr_gateway_listener(t);
}

static void take_clusters(struct sl_tr *t)
{
	size_t count = 0;

	t->mesh->clusters =
	        sl_arena_zalloc_array(&t->mesh->arena, t->clusters.count, sizeof(*t->mesh->clusters));
	for (const struct sl_tr_cluster *c = t->first_cluster; c; c = c->next)
		t->mesh->clusters[count++] = c->cluster;
	t->mesh->cluster_count = count;
}

struct sl_mesh *sl_translate(const struct sl_translate_input *in, struct sl_translate_notes *notes)
{
	struct sl_tr t = { .in = in, .notes = notes, .mesh = sl_mesh_new() };

	t.last_cluster = &t.first_cluster;
	index_services(&t);
	index_slices(&t);
	index_rest(&t);
	make_listeners(&t);
	sl_tr_check_hosts(&t);
	take_clusters(&t);
	sl_map_fini(&t.services);
	sl_map_fini(&t.pods);
	sl_map_fini(&t.clusters);
	sl_arena_fini(&t.scratch);
	return t.mesh;
}
