#include "model/defaults.h"

#include "model/object.h"

static void fill_object(const struct sl_schema_type *type, json_t *obj);

static bool is_absent(const json_t *v)
{
	return !v || json_is_null(v);
}

static void fill_value(const struct sl_schema_field *f, json_t *value)
{
	const char *key;
	json_t *sub;
	size_t i;

	switch ((enum sl_schema_shape)f->shape) {
	case SL_SHAPE_ONE:
		fill_object(f->type, value);
		break;
	case SL_SHAPE_LIST:
		json_array_foreach (value, i, sub)
			fill_object(f->type, sub);
		break;
	case SL_SHAPE_MAP:
		SL_OBJ_FOR (value, key, sub)
			fill_object(f->type, sub);
		break;
	}
}

static void fill_object(const struct sl_schema_type *type, json_t *obj)
{
	if (!json_is_object(obj))
		return;
	for (size_t i = 0; i < type->fields_count; i++) {
		const struct sl_schema_field *f = &type->fields[i];
		json_t *value = json_object_get(obj, f->name);
		bool writes = f->rules && f->rules->default_json && !(f->flags & SL_FIELD_ASSUME);

		if (is_absent(value) && writes)
			json_object_set_new(
			        obj, f->name, json_loads(f->rules->default_json, JSON_DECODE_ANY, NULL));
		else if (value && is_absent(value) && f->base != SL_BASE_ANY)
			json_object_del(obj, f->name); /* null says the same as absence */
		value = json_object_get(obj, f->name);
		if (value && f->base == SL_BASE_TYPE)
			fill_value(f, value);
	}
}

static void service_defaults(json_t *obj)
{
	json_t *port;
	size_t i;

	json_array_foreach (sl_obj_get(obj, "spec.ports"), i, port)
		if (json_is_object(port) && is_absent(json_object_get(port, "targetPort")) &&
		        json_object_get(port, "port"))
			json_object_set(port, "targetPort", json_object_get(port, "port"));
}

static void deployment_defaults(json_t *obj)
{
	json_t *strategy = sl_obj_get(obj, "spec.strategy");

	if (!sl_str_eq(sl_obj_get_str(strategy, "type"), SL_STR("RollingUpdate")) ||
	        !is_absent(json_object_get(strategy, "rollingUpdate")))
		return;
	json_object_set_new(strategy, "rollingUpdate",
	        json_pack("{s:s, s:s}", "maxSurge", "25%", "maxUnavailable", "25%"));
}

static void namespace_defaults(json_t *obj)
{
	sl_str name = sl_obj_name(obj);
	json_t *labels = sl_obj_get(obj, "metadata.labels");

	if (name.len && is_absent(json_object_get(labels, "kubernetes.io/metadata.name"))) {
		if (!json_is_object(labels)) {
			labels = json_object();
			sl_obj_set(obj, "metadata.labels", labels);
		}
		json_object_set_new(labels, "kubernetes.io/metadata.name", sl_json_from_str(name));
	}
	if (sl_obj_get_str(obj, "status.phase").len == 0)
		sl_obj_set(obj, "status.phase", json_string("Active"));
}

static json_t *base64(sl_str in)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = (const unsigned char *)in.p;
	size_t len = 0;
	char *out = sl_new((in.len + 2) / 3 * 4 + 1);
	json_t *v;

	for (size_t i = 0; i < in.len; i += 3) {
		unsigned a = p[i], b = i + 1 < in.len ? p[i + 1] : 0, c = i + 2 < in.len ? p[i + 2] : 0;

		out[len++] = digits[a >> 2];
		out[len++] = digits[(a & 3) << 4 | b >> 4];
		out[len++] = i + 1 < in.len ? digits[(b & 15) << 2 | c >> 6] : '=';
		out[len++] = i + 2 < in.len ? digits[c & 63] : '=';
	}
	v = json_stringn(out, len);
	sl_free(out);
	return v;
}

static void secret_defaults(json_t *obj)
{
	json_t *clear = json_object_get(obj, "stringData"), *value;
	const char *key;

	if (!json_is_object(clear))
		return;
	if (!json_is_object(json_object_get(obj, "data")))
		json_object_set_new(obj, "data", json_object());
	SL_OBJ_FOR (clear, key, value)
		json_object_set_new(json_object_get(obj, "data"), key, base64(sl_json_str(value)));
	json_object_del(obj, "stringData");
}

typedef void defaults_fn(json_t *obj);
static defaults_fn *const defaults[SL_KIND_COUNT] = {
	[SL_KIND_SERVICE] = service_defaults,
	[SL_KIND_DEPLOYMENT] = deployment_defaults,
	[SL_KIND_NAMESPACE] = namespace_defaults,
	[SL_KIND_SECRET] = secret_defaults,
};

void sl_defaults_apply(const struct sl_kind *kind, json_t *obj)
{
	if (!json_is_object(obj))
		return;
	fill_object(kind->type, obj);
	if (defaults[kind->id])
		defaults[kind->id](obj);
}

static json_t *meta_of(json_t *obj)
{
	json_t *meta = json_object_get(obj, "metadata");

	if (!json_is_object(meta)) {
		meta = json_object();
		json_object_set_new(obj, "metadata", meta);
	}
	return meta;
}

static bool has_spec(const struct sl_kind *kind)
{
	return sl_schema_field(kind->type, SL_STR("spec")) != NULL;
}

static void set_api_version(const struct sl_kind *kind, json_t *obj)
{
	char version[128];

	json_object_set_new(
	        obj, "apiVersion", json_string(sl_kind_api_version(kind, version, sizeof(version))));
	json_object_set_new(obj, "kind", json_string(kind->kind));
}

void sl_meta_stamp_new(const struct sl_kind *kind, json_t *obj, const struct sl_meta_stamp *stamp)
{
	static const char *const servers[] = { "resourceVersion", "deletionTimestamp",
		"deletionGracePeriodSeconds", "managedFields", "selfLink", "generation" };
	json_t *meta = meta_of(obj);
	sl_str prefix = sl_obj_get_str(meta, "generateName");
	char time[21];

	set_api_version(kind, obj);
	for (size_t i = 0; i < SL_ARRAY_COUNT(servers); i++)
		json_object_del(meta, servers[i]);
	json_object_set_new(meta, "uid", sl_json_from_str(stamp->uid));
	json_object_set_new(meta, "creationTimestamp", json_string(sl_time_format(time, stamp->now)));
	if (has_spec(kind))
		json_object_set_new(meta, "generation", json_integer(1));
	if (sl_obj_get_str(meta, "name").len == 0 && prefix.len) {
		SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };

		/* as Kubernetes: the prefix is cut so that the whole stays a label */
		json_object_set_new(meta, "name",
		        sl_json_from_str(sl_arena_printf(&arena, "%.*s%.*s",
		                SL_STR_ARG(sl_str_first(prefix, prefix.len < 58 ? prefix.len : 58)),
		                SL_STR_ARG(stamp->suffix))));
	}
}

/* obj[key] becomes old[key], or goes. */
static void carry(const json_t *old, json_t *obj, const char *key)
{
	json_t *value = json_object_get(old, key);

	if (value)
		json_object_set_new(obj, key, json_deep_copy(value));
	else
		json_object_del(obj, key);
}

static void carry_all_but_status(const json_t *old, json_t *obj)
{
	json_t *version = json_incref(sl_obj_get(obj, "metadata.resourceVersion"));
	const char *key;
	json_t *value;
	void *next;

	json_object_foreach_safe (obj, next, key, value)
		if (strcmp(key, "status") != 0)
			json_object_del(obj, key);
	SL_OBJ_FOR (old, key, value)
		if (strcmp(key, "status") != 0)
			json_object_set_new(obj, key, json_deep_copy(value));
	if (version)
		json_object_set_new(meta_of(obj), "resourceVersion", version);
}

/* Something other than metadata, and than a status that is written apart, differs. */
static bool is_changed(const struct sl_kind *kind, const json_t *old, const json_t *obj)
{
	json_t *was = json_copy((json_t *)(uintptr_t)old), *is = json_copy((json_t *)(uintptr_t)obj);
	bool changed;

	json_object_del(was, "metadata");
	json_object_del(is, "metadata");
	if (kind->has_status) {
		json_object_del(was, "status");
		json_object_del(is, "status");
	}
	changed = !json_equal(was, is);
	json_decref(was);
	json_decref(is);
	return changed;
}

void sl_meta_carry(const struct sl_kind *kind, const json_t *old, json_t *obj, bool is_status)
{
	static const char *const servers[] = { "name", "namespace", "uid", "creationTimestamp",
		"deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation" };
	const json_t *was = json_object_get(old, "metadata");
	json_t *meta;

	if (is_status) {
		carry_all_but_status(old, obj);
		return;
	}
	meta = meta_of(obj);
	set_api_version(kind, obj);
	if (kind->has_status)
		carry(old, obj, "status");
	for (size_t i = 0; i < SL_ARRAY_COUNT(servers); i++)
		carry(was, meta, servers[i]);
	if (is_absent(json_object_get(meta, "managedFields")))
		carry(was, meta, "managedFields");
	if (has_spec(kind) && is_changed(kind, old, obj))
		json_object_set_new(meta, "generation", json_integer(sl_obj_generation(old) + 1));
}
