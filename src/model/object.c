#include "model/object.h"

#include "base/mem.h"

static json_t *step(const json_t *obj, sl_str key)
{
	char name[256];

	if (key.len >= sizeof(name))
		return NULL;
	return json_object_get(obj, sl_str_copy(name, sizeof(name), key));
}

json_t *sl_obj_get(const json_t *obj, const char *path)
{
	sl_str rest = sl_str_c(path), key;
	const json_t *at = obj;
	bool more = true;

	while (more && at) {
		more = sl_str_split(&rest, '.', &key);
		at = step(at, key);
	}
	return (json_t *)(uintptr_t)at; /* as jansson: constness of the whole is not that of its parts */
}

sl_str sl_json_str(const json_t *v)
{
	return json_is_string(v) ? sl_str_n(json_string_value(v), json_string_length(v)) : SL_STR_NONE;
}

sl_str sl_obj_get_str(const json_t *obj, const char *path)
{
	return sl_json_str(sl_obj_get(obj, path));
}

int64_t sl_obj_get_int(const json_t *obj, const char *path, int64_t fallback)
{
	const json_t *v = sl_obj_get(obj, path);

	return json_is_integer(v) ? json_integer_value(v) : fallback;
}

bool sl_obj_get_bool(const json_t *obj, const char *path)
{
	return json_is_true(sl_obj_get(obj, path));
}

sl_str sl_obj_name(const json_t *obj)
{
	return sl_obj_get_str(obj, "metadata.name");
}

sl_str sl_obj_namespace(const json_t *obj)
{
	return sl_obj_get_str(obj, "metadata.namespace");
}

sl_str sl_obj_uid(const json_t *obj)
{
	return sl_obj_get_str(obj, "metadata.uid");
}

sl_str sl_obj_resource_version(const json_t *obj)
{
	return sl_obj_get_str(obj, "metadata.resourceVersion");
}

int64_t sl_obj_generation(const json_t *obj)
{
	return sl_obj_get_int(obj, "metadata.generation", 0);
}

sl_str sl_obj_label(const json_t *obj, const char *key)
{
	return sl_json_str(json_object_get(sl_obj_get(obj, "metadata.labels"), key));
}

sl_str sl_obj_annotation(const json_t *obj, const char *key)
{
	return sl_json_str(json_object_get(sl_obj_get(obj, "metadata.annotations"), key));
}

void sl_obj_set(json_t *obj, const char *path, json_t *value)
{
	sl_str rest = sl_str_c(path), key;
	char name[256];

	while (sl_str_split(&rest, '.', &key)) {
		json_t *sub = json_object_get(obj, sl_str_copy(name, sizeof(name), key));

		if (!json_is_object(sub)) {
			sub = json_object();
			json_object_set_new(obj, name, sub);
		}
		obj = sub;
	}
	json_object_set_new(obj, sl_str_copy(name, sizeof(name), key), value);
}

json_t *sl_json_from_str(sl_str s)
{
	json_t *v = json_stringn(s.p ? s.p : "", s.len);
	char *clean;

	if (v)
		return v;
	clean = sl_strndup(s.p ? s.p : "", s.len);
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)clean[i] >= 0x80)
			clean[i] = '?';
	v = json_stringn(clean, s.len);
	sl_free(clean);
	return v;
}

char *sl_json_text(const json_t *v)
{
	char *text = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	char *copy = sl_strdup(text ? text : "");

	free(text); /* jansson's own allocator */
	return copy;
}

bool sl_json_depth_ok(const json_t *v, unsigned depth)
{
	const char *key;
	json_t *sub;
	size_t i;

	if (!json_is_object(v) && !json_is_array(v))
		return true;
	if (depth == 0)
		return false;
	json_object_foreach ((json_t *)(uintptr_t)v, key, sub)
		if (!sl_json_depth_ok(sub, depth - 1))
			return false;
	json_array_foreach (v, i, sub)
		if (!sl_json_depth_ok(sub, depth - 1))
			return false;
	return true;
}

size_t sl_json_weight(const json_t *v)
{
	const char *key;
	json_t *sub;
	size_t i, weight = 1 + json_string_length(v);

	json_object_foreach ((json_t *)(uintptr_t)v, key, sub)
		weight += strlen(key) + sl_json_weight(sub);
	json_array_foreach (v, i, sub)
		weight += sl_json_weight(sub);
	return weight;
}

const json_t *sl_obj_condition(const json_t *obj, const char *type)
{
	json_t *c;
	size_t i;

	json_array_foreach (sl_obj_get(obj, "status.conditions"), i, c)
		if (sl_str_eq_c(sl_obj_get_str(c, "type"), type))
			return c;
	return NULL;
}

static bool set_if_other(json_t *obj, const char *key, json_t *value) /* takes over the reference */
{
	bool other = !json_equal(json_object_get(obj, key), value);

	if (other)
		json_object_set_new(obj, key, value);
	else
		json_decref(value);
	return other;
}

bool sl_obj_set_condition(json_t *obj, const struct sl_condition *c, sl_nsec now)
{
	json_t *at = (json_t *)(uintptr_t)sl_obj_condition(obj, c->type),
	       *list = sl_obj_get(obj, "status.conditions");
	bool changed;
	char time[21];

	if (!at) {
		if (!json_is_array(list)) {
			list = json_array();
			sl_obj_set(obj, "status.conditions", list);
		}
		at = json_object();
		json_object_set_new(at, "type", sl_json_from_str(sl_str_c(c->type)));
		json_array_append_new(list, at);
	}
	changed = set_if_other(at, "status", sl_json_from_str(sl_str_c(c->status)));
	if (changed)
		json_object_set_new(at, "lastTransitionTime", json_string(sl_time_format(time, now)));
	changed |= set_if_other(at, "reason", sl_json_from_str(sl_str_c(c->reason)));
	changed |= set_if_other(at, "message", sl_json_from_str(sl_str_c(c->message)));
	if (c->observed_generation > 0)
		changed |= set_if_other(at, "observedGeneration", json_integer(c->observed_generation));
	return changed;
}

json_t *sl_obj_owner_ref(const json_t *owner)
{
	json_t *ref = json_object();

	json_object_set(ref, "apiVersion", json_object_get(owner, "apiVersion"));
	json_object_set(ref, "kind", json_object_get(owner, "kind"));
	json_object_set_new(ref, "name", sl_json_from_str(sl_obj_name(owner)));
	json_object_set_new(ref, "uid", sl_json_from_str(sl_obj_uid(owner)));
	json_object_set_new(ref, "controller", json_true());
	json_object_set_new(ref, "blockOwnerDeletion", json_true());
	return ref;
}

sl_str sl_obj_controller_uid(const json_t *obj)
{
	json_t *ref;
	size_t i;

	json_array_foreach (sl_obj_get(obj, "metadata.ownerReferences"), i, ref)
		if (json_is_true(json_object_get(ref, "controller")))
			return sl_obj_get_str(ref, "uid");
	return SL_STR_NONE;
}
