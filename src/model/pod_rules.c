#include "model/pod_rules_priv.h"

#include "model/object.h"
#include "model/selector.h"

static bool has(const json_t *obj, const char *name)
{
	const json_t *v = json_object_get(obj, name);

	return v && !json_is_null(v);
}

static bool field_path_is_known(sl_str path)
{
	static const char *const known[] = { "metadata.name", "metadata.namespace", "metadata.uid",
		"metadata.labels", "metadata.annotations", "spec.nodeName", "spec.serviceAccountName",
		"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs" };

	for (size_t i = 0; i < SL_ARRAY_COUNT(known); i++)
		if (sl_str_eq_c(path, known[i]))
			return true;
	return (sl_str_starts(path, SL_STR("metadata.labels['")) ||
	               sl_str_starts(path, SL_STR("metadata.annotations['"))) &&
	       sl_str_ends(path, SL_STR("']"));
}

static void env_rules(struct sl_validator *v, const json_t *env)
{
	static const char *const sources[] = { "fieldRef", "resourceFieldRef", "configMapKeyRef",
		"secretKeyRef", "fileKeyRef" };
	const json_t *from = json_object_get(env, "valueFrom"), *path;
	unsigned count = 0;

	if (!from || json_is_null(from))
		return;
	if (sl_obj_get_str(env, "value").len)
		sl_validator_bad_at(
		        v, "valueFrom", "FieldValueInvalid", "value and valueFrom exclude each other");
	for (size_t i = 0; i < SL_ARRAY_COUNT(sources); i++)
		count += has(from, sources[i]);
	if (count != 1)
		sl_validator_bad_at(v, "valueFrom", "FieldValueInvalid",
		        "it has %u sources; exactly one of fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef is wanted",
		        count);
	path = sl_obj_get(from, "fieldRef.fieldPath");
	if (path && !field_path_is_known(sl_json_str(path)))
		sl_validator_bad_at(v, "valueFrom.fieldRef.fieldPath", "FieldValueNotSupported",
		        "\"%.63s\" is not supported; one such as metadata.name, metadata.labels['app'] or status.podIP is wanted",
		        json_string_value(path));
}

static void probe_rules(struct sl_validator *v, const json_t *container, const char *name)
{
	static const char *const handlers[] = { "httpGet", "tcpSocket", "exec", "grpc" };
	const json_t *probe = json_object_get(container, name);
	unsigned count = 0;

	if (!probe || json_is_null(probe))
		return;
	for (size_t i = 0; i < SL_ARRAY_COUNT(handlers); i++)
		count += has(probe, handlers[i]);
	if (count != 1)
		sl_validator_bad_at(v, name, count ? "FieldValueInvalid" : "FieldValueRequired",
		        "it has %u handlers; exactly one of httpGet, tcpSocket, exec, grpc is wanted", count);
	if (strcmp(name, "readinessProbe") != 0 && sl_obj_get_int(probe, "successThreshold", 1) != 1)
		sl_validator_bad_at(v, name, "FieldValueInvalid", "successThreshold must be 1 for it");
}

/* Every string at `key` of the list's elements stands once; `seen` collects them across lists. */
static void unique(struct sl_validator *v, const json_t *list, const char *key, json_t *seen)
{
	json_t *item;
	size_t i;

	json_array_foreach (list, i, item) {
		const char *name = json_string_value(json_object_get(item, key));
		size_t at = sl_path_index(&v->path, i);

		if (name && *name && json_object_get(seen, name))
			sl_validator_bad_at(v, key, "FieldValueDuplicate",
			        "\"%.63s\" stands twice; it must be unique", name);
		else if (name && *name)
			json_object_set_new(seen, name, json_true());
		sl_path_pop(&v->path, at);
	}
}

static void container_rules(struct sl_validator *v, const json_t *container, json_t *port_names)
{
	static const char *const probes[] = { "readinessProbe", "livenessProbe", "startupProbe" };
	size_t i, at;
	json_t *env;

	for (i = 0; i < SL_ARRAY_COUNT(probes); i++)
		probe_rules(v, container, probes[i]);
	json_array_foreach (json_object_get(container, "env"), i, env) {
		at = sl_path_key(&v->path, "env");
		sl_path_index(&v->path, i);
		env_rules(v, env);
		sl_path_pop(&v->path, at);
	}
	at = sl_path_key(&v->path, "ports");
	unique(v, json_object_get(container, "ports"), "name", port_names);
	sl_path_pop(&v->path, at);
}

void sl_pod_spec_rules(struct sl_validator *v, const json_t *spec)
{
	static const char *const lists[] = { "initContainers", "containers" };
	json_t *names = json_object(), *port_names = json_object(), *container;

	for (size_t l = 0; l < SL_ARRAY_COUNT(lists); l++) {
		const json_t *list = json_object_get(spec, lists[l]);
		size_t i, at = sl_path_key(&v->path, lists[l]);

		unique(v, list, "name", names);
		json_array_foreach (list, i, container) {
			size_t in = sl_path_index(&v->path, i);

			container_rules(v, container, port_names);
			sl_path_pop(&v->path, in);
		}
		sl_path_pop(&v->path, at);
	}
	json_decref(names);
	json_decref(port_names);
}

/* A copy of the spec without what may change in a running pod. */
static json_t *fixed_part(const json_t *spec, bool was_scheduled)
{
	static const char *const movable[] = { "activeDeadlineSeconds", "terminationGracePeriodSeconds",
		"tolerations", "ephemeralContainers" };
	static const char *const lists[] = { "initContainers", "containers" };
	json_t *copy = json_deep_copy(spec), *container;
	size_t i;

	for (i = 0; i < SL_ARRAY_COUNT(movable); i++)
		json_object_del(copy, movable[i]);
	if (!was_scheduled)
		json_object_del(copy, "nodeName");
	for (size_t l = 0; l < SL_ARRAY_COUNT(lists); l++)
		json_array_foreach (json_object_get(copy, lists[l]), i, container)
			json_object_del(container, "image");
	return copy;
}

void sl_pod_update_rules(struct sl_validator *v, const json_t *old, const json_t *obj)
{
	bool was_scheduled = sl_obj_get_str(old, "spec.nodeName").len > 0;
	json_t *was = fixed_part(json_object_get(old, "spec"), was_scheduled),
	       *is = fixed_part(json_object_get(obj, "spec"), was_scheduled);

	if (!(was == is) && !json_equal(was, is))
		sl_validator_bad_at(v, "spec", "FieldValueForbidden",
		        "a pod's spec cannot be changed, but for image, activeDeadlineSeconds, terminationGracePeriodSeconds and tolerations; "
		        "change the Deployment or Rollout that made it");
	json_decref(was);
	json_decref(is);
}

void sl_workload_rules(struct sl_validator *v, const json_t *spec)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };
	const json_t *selector = json_object_get(spec, "selector"), *tpl = json_object_get(spec, "template");
	sl_str restart = sl_obj_get_str(tpl, "spec.restartPolicy");
	struct sl_selector sel;
	size_t at;

	if (!selector || json_is_null(selector) || !tpl || json_is_null(tpl)) {
		if (!selector || json_is_null(selector))
			sl_validator_bad_at(v, "selector", "FieldValueRequired", "missing; it is required");
		if (!tpl || json_is_null(tpl))
			sl_validator_bad_at(v, "template", "FieldValueRequired", "missing; it is required");
		return;
	}
	if (sl_selector_from_object(selector, &arena, &sel, NULL) != SL_OK)
		sl_validator_bad_at(v, "selector", "FieldValueInvalid",
		        "In and NotIn want values; Exists and DoesNotExist want none");
	else if (sel.count == 0)
		sl_validator_bad_at(v, "selector", "FieldValueInvalid",
		        "it is empty and would pick every pod; name at least one label");
	else if (!sl_selector_matches(&sel, sl_obj_get(tpl, "metadata.labels")))
		sl_validator_bad_at(v, "template.metadata.labels", "FieldValueInvalid",
		        "the selector does not match them; give the template the labels of spec.selector");
	at = sl_path_key(&v->path, "template.spec");
	sl_pod_spec_rules(v, json_object_get(json_object_get(spec, "template"), "spec"));
	if (!has(tpl, "spec"))
		sl_validator_bad(v, "FieldValueRequired", "missing; it is required");
	if (restart.len && !sl_str_eq(restart, SL_STR("Always")))
		sl_validator_bad_at(v, "restartPolicy", "FieldValueNotSupported",
		        "\"%.*s\" is not supported here; Always is wanted", SL_STR_ARG(restart));
	sl_path_pop(&v->path, at);
}

static bool is_zero(const json_t *v)
{
	if (json_is_integer(v))
		return json_integer_value(v) == 0;
	return json_is_string(v) &&
	       (strcmp(json_string_value(v), "0%") == 0 || strcmp(json_string_value(v), "0") == 0);
}

void sl_surge_rules(struct sl_validator *v, const json_t *obj)
{
	if (is_zero(json_object_get(obj, "maxSurge")) && is_zero(json_object_get(obj, "maxUnavailable")))
		sl_validator_bad_at(v, "maxUnavailable", "FieldValueInvalid",
		        "it may not be 0 when maxSurge is 0 too: nothing could move");
}
