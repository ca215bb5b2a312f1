/*
 * EndpointSlices of Services with a selector. Every Pod of the process runtime has ports of its own, and a slice has one list of ports
 * for all its endpoints, so there is one slice per Service and Pod. They are the Service's by owner reference.
 */
#include "control/workload_priv.h"

#define SERVICE_LABEL "kubernetes.io/service-name"
#define MANAGER_LABEL "endpointslice.kubernetes.io/managed-by"
#define MANAGER "endpointslice-controller.sluice.dev"

struct slices {
	struct sl_workloads *w;
	const struct sl_object *service;
	struct sl_selector selector;
	struct sl_object_set pods, have;
};

static bool each_pod(void *arg, struct sl_object *o)
{
	struct slices *s = arg;

	if (sl_obj_get_str(o->body, "status.podIP").len > 0 && !sl_pod_is_finished(o->body) &&
	        sl_selector_matches(&s->selector, sl_obj_get(o->body, "metadata.labels")))
		sl_object_set_add(&s->pods, o);
	return true;
}

static bool each_slice(void *arg, struct sl_object *o)
{
	struct slices *s = arg;

	if (sl_str_eq(sl_obj_label(o->body, MANAGER_LABEL), SL_STR(MANAGER)))
		sl_object_set_add(&s->have, o);
	return true;
}

/* The port of this Pod that the Service means: by container port, or by its name. 0: this Pod has none. */
static int64_t resolve(const json_t *pod, const json_t *service_port)
{
	const json_t *target = json_object_get(service_port, "targetPort");
	const json_t *containers = sl_obj_get(pod, "spec.containers");

	if (!target)
		target = json_object_get(service_port, "port");
	for (size_t i = 0; i < json_array_size(containers); i++) {
		const json_t *ports = json_object_get(json_array_get(containers, i), "ports");

		for (size_t k = 0; k < json_array_size(ports); k++) {
			const json_t *p = json_array_get(ports, k);
			int64_t number = sl_obj_get_int(p, "containerPort", 0);

			if (json_equal(json_object_get(p, json_is_string(target) ? "name" : "containerPort"),
			            target))
				return sl_obj_get_int(p, "hostPort", number);
		}
	}
	/* A container may listen where it did not say so. */
	return json_is_integer(target) ? json_integer_value(target) : 0;
}

static json_t *ports_of(const struct sl_object *service, const struct sl_object *pod)
{
	const json_t *list = sl_obj_get(service->body, "spec.ports");
	json_t *ports = json_array();

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *p = json_array_get(list, i);
		int64_t number = resolve(pod->body, p);
		json_t *protocol = json_object_get(p, "protocol"), *app = json_object_get(p, "appProtocol");

		if (number == 0)
			continue;
		json_array_append_new(ports,
		        json_pack("{s:o, s:I, s:o, s:O*}", "name",
		                sl_json_from_str(sl_obj_get_str(p, "name")), "port", (json_int_t)number,
		                "protocol", protocol ? json_incref(protocol) : json_string("TCP"),
		                "appProtocol", app));
	}
	return ports;
}

static json_t *endpoint_of(const struct sl_object *service, const struct sl_object *pod)
{
	bool serving = sl_pod_is_ready(pod->body, NULL), terminating = sl_pod_is_deleting(pod->body);
	bool ready =
	        (serving && !terminating) || sl_obj_get_bool(service->body, "spec.publishNotReadyAddresses");

	return json_pack("{s:[O], s:{s:b, s:b, s:b}, s:O*, s:{s:s, s:o, s:o, s:o}}", "addresses",
	        sl_obj_get(pod->body, "status.podIP"), "conditions", "ready", ready, "serving", serving,
	        "terminating", terminating, "nodeName", sl_obj_get(pod->body, "spec.nodeName"), "targetRef",
	        "kind", "Pod", "namespace", sl_json_from_str(pod->key.ns), "name",
	        sl_json_from_str(pod->key.name), "uid", sl_json_from_str(pod->uid));
}

/* SERVICE-POD, the end of which tells Pods apart. */
static char *slice_name(const struct sl_object *service, const struct sl_object *pod)
{
	enum { NAME_MOST = 253 };
	sl_str name = pod->key.name;

	if (service->key.name.len + 1 + name.len > NAME_MOST)
		name = sl_str_skip(name, service->key.name.len + 1 + name.len - NAME_MOST);
	return sl_asprintf("%.*s-%.*s", SL_STR_ARG(service->key.name), SL_STR_ARG(name));
}

static json_t *slice_of(const struct sl_object *service, const struct sl_object *pod, const char *name)
{
	return json_pack("{s:s, s:s, s:{s:s, s:{s:o, s:s}, s:[o]}, s:s, s:[o], s:o}", "apiVersion",
	        "discovery.k8s.io/v1", "kind", "EndpointSlice", "metadata", "name", name, "labels",
	        SERVICE_LABEL, sl_json_from_str(service->key.name), MANAGER_LABEL, MANAGER, "ownerReferences",
	        sl_obj_owner_ref(service->body), "addressType", "IPv4", "endpoints",
	        endpoint_of(service, pod), "ports", ports_of(service, pod));
}

static struct sl_object *take(struct sl_object_set *set, const char *name)
{
	for (size_t i = 0; i < set->count; i++) {
		struct sl_object *o = set->items[i];

		if (sl_str_eq_c(o->key.name, name)) {
			set->items[i] = set->items[--set->count];
			return o;
		}
	}
	return NULL;
}

static bool same(const json_t *a, const json_t *b)
{
	static const char *const fields[] = { "addressType", "endpoints", "ports" };

	for (size_t i = 0; i < SL_ARRAY_COUNT(fields); i++)
		if (!json_equal(json_object_get(a, fields[i]), json_object_get(b, fields[i])))
			return false;
	return json_equal(sl_obj_get(a, "metadata.labels"), sl_obj_get(b, "metadata.labels"));
}

static void put_slice(struct slices *s, const struct sl_object *pod)
{
	SL_CLEANUP(sl_free) char *name = slice_name(s->service, pod);
	SL_CLEANUP(sl_object_unref) struct sl_object *old = take(&s->have, name);
	json_t *body = slice_of(s->service, pod, name);

	if (!old)
		sl_objects_create(s->w->objects, s->service->key.ns, body, NULL, NULL, NULL);
	else if (same(body, old->body))
		json_decref(body);
	else
		sl_objects_update(s->w->objects, &old->key, body, NULL, NULL, NULL);
}

void sl_endpoints_reconcile(struct sl_workloads *w, sl_str ns, sl_str name)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };
	struct sl_object *service = sl_objects_latest(w->objects, SL_OBJECT_KEY("", "services", ns, name));
	struct slices s = { .w = w, .service = service };

	/* A Service that is gone takes its slices with it. One without a selector has endpoints of somebody else's. */
	if (!service || sl_pod_is_deleting(service->body))
		return;
	const json_t *selector = sl_obj_get(service->body, "spec.selector");

	sl_object_ref(service);
	if (json_object_size(selector) > 0 &&
	        sl_selector_from_map(selector, &arena, &s.selector, NULL) == SL_OK)
		sl_store_each_latest(
		        sl_objects_store(w->objects), SL_STR(""), SL_STR("pods"), ns, each_pod, &s);
	sl_objects_each_controlled(w->objects, SL_STR("discovery.k8s.io"), SL_STR("endpointslices"), ns,
	        service->uid, each_slice, &s);
	for (size_t i = 0; i < s.pods.count; i++)
		put_slice(&s, s.pods.items[i]);
	for (size_t i = 0; i < s.have.count; i++)
		sl_objects_delete(w->objects, &s.have.items[i]->key,
		        &(struct sl_write_options) { .expect_uid = s.have.items[i]->uid }, NULL, NULL);
	sl_object_set_fini(&s.pods);
	sl_object_set_fini(&s.have);
	sl_object_unref(service);
}
