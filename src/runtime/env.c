#include "runtime/env.h"

#include "model/object.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct sl_env_var {
	struct sl_map_node node;
	struct sl_env_var *next;
	sl_str value; /* NUL-terminated */
};

void sl_env_init(struct sl_env *e)
{
	*e = (struct sl_env) { 0 };
	e->last = &e->first;
}

void sl_env_fini(struct sl_env *e)
{
	sl_map_fini(&e->vars);
	sl_arena_fini(&e->arena);
}

static struct sl_env_var *find(const struct sl_env *e, sl_str name)
{
	struct sl_map_node *node = sl_map_get(&e->vars, name);

	return node ? SL_MAP_ENTRY(node, struct sl_env_var, node) : NULL;
}

void sl_env_set(struct sl_env *e, sl_str name, sl_str value)
{
	struct sl_env_var *var = find(e, name);

	if (name.len == 0 || sl_str_find(name, '=') < name.len || sl_str_find(name, 0) < name.len)
		return;
	if (!var) {
		var = sl_arena_zalloc(&e->arena, sizeof(*var));
		sl_map_put(&e->vars, &var->node, sl_arena_str(&e->arena, name));
		*e->last = var;
		e->last = &var->next;
		e->count++;
	}
	var->value = sl_arena_str(&e->arena, value);
}

static void set_c(struct sl_env *e, const char *name, sl_str value)
{
	sl_env_set(e, sl_str_c(name), value);
}

const char *sl_env_get(const struct sl_env *e, sl_str name)
{
	struct sl_env_var *var = find(e, name);

	return var ? var->value.p : NULL;
}

const char *const *sl_env_list(struct sl_env *e)
{
	const char **list = sl_arena_zalloc_array(&e->arena, e->count + 1, sizeof(*list));
	size_t n = 0;

	for (struct sl_env_var *var = e->first; var; var = var->next)
		list[n++] = sl_arena_printf(&e->arena, "%.*s=%s", SL_STR_ARG(var->node.key), var->value.p).p;
	return list;
}

/* --- references --- */

sl_str sl_env_expand(struct sl_env *e, sl_str text)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf out = { 0 };

	for (size_t i = 0; i < text.len; i++) {
		sl_str rest = sl_str_skip(text, i + 1);
		size_t close;

		if (text.p[i] != '$' || rest.len == 0) {
			sl_buf_byte(&out, text.p[i]);
			continue;
		}
		if (rest.p[0] == '$') {
			sl_buf_byte(&out, '$');
			i++;
			continue;
		}
		close = rest.p[0] == '(' ? sl_str_find(rest, ')') : rest.len;
		if (close == rest.len) {
			sl_buf_byte(&out, '$');
			continue;
		}
		const char *value = sl_env_get(e, sl_str_n(rest.p + 1, close - 1));

		if (value)
			sl_buf_c(&out, value);
		else
			sl_buf_add(&out, text.p + i, close + 2);
		i += close + 1;
	}
	return sl_arena_str(&e->arena, sl_buf_str(&out));
}

sl_err sl_env_command(
        struct sl_env *e, const json_t *container, const char *const **ret_argv, struct sl_diag *diag)
{
	const json_t *parts[] = { json_object_get(container, "command"), json_object_get(container, "args") };
	const char **argv = sl_arena_zalloc_array(
	        &e->arena, json_array_size(parts[0]) + json_array_size(parts[1]) + 1, sizeof(*argv));
	size_t n = 0;

	if (json_array_size(parts[0]) == 0)
		return sl_diag_fail(diag, SL_ERR_INVALID, NULL, NULL,
		        "no command: the process runtime runs commands, not images; set command or use --runtime podman");
	for (size_t p = 0; p < SL_ARRAY_COUNT(parts); p++)
		for (size_t i = 0; i < json_array_size(parts[p]); i++)
			argv[n++] = sl_env_expand(e, sl_json_str(json_array_get(parts[p], i))).p;
	*ret_argv = argv;
	return SL_OK;
}

/* --- sources --- */

sl_str sl_image_tag(sl_str image)
{
	sl_str name = sl_str_first(image, sl_str_find(image, '@'));

	for (size_t i = name.len; i > 0 && name.p[i - 1] != '/'; i--)
		if (name.p[i - 1] == ':')
			return sl_str_skip(name, i);
	return SL_STR("latest");
}

struct build {
	struct sl_env *env;
	const json_t *pod;
	const struct sl_runtime_host *host;
	struct sl_diag *diag;
};

static void add_service_var(void *to, const char *name, const char *value)
{
	set_c(to, name, sl_str_c(value));
}

/* "metrics-web" -> "PORT_METRICS_WEB" */
static sl_str port_name(struct sl_env *e, sl_str name)
{
	sl_str prefix = SL_STR("PORT_");
	char *var = sl_arena_alloc(&e->arena, prefix.len + name.len);

	memcpy(var, prefix.p, prefix.len);
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.p[i];

		var[prefix.len + i] = isalnum(c) ? (char)toupper(c) : '_';
	}
	return sl_str_n(var, prefix.len + name.len);
}

static void add_ports(struct sl_env *e, const json_t *container)
{
	const json_t *ports = json_object_get(container, "ports");

	for (size_t i = 0; i < json_array_size(ports); i++) {
		const json_t *port = json_array_get(ports, i);
		sl_str name = sl_json_str(json_object_get(port, "name"));
		sl_str number = sl_arena_printf(&e->arena, "%" PRId64, sl_obj_get_int(port, "hostPort", 0));

		if (i == 0)
			set_c(e, "PORT", number);
		if (name.len > 0)
			sl_env_set(e, port_name(e, name), number);
	}
}

static void add_given(struct build *b, const json_t *container)
{
	static const char *const inherited[] = { "PATH", "HOME" };
	struct sl_env *e = b->env;

	for (size_t i = 0; i < SL_ARRAY_COUNT(inherited); i++)
		if (getenv(inherited[i]))
			set_c(e, inherited[i], sl_str_c(getenv(inherited[i])));
	b->host->service_env(b->host->arg, sl_obj_namespace(b->pod), add_service_var, e);
	set_c(e, "POD_NAME", sl_obj_name(b->pod));
	set_c(e, "POD_NAMESPACE", sl_obj_namespace(b->pod));
	set_c(e, "POD_IP", SL_STR("127.0.0.1"));
	set_c(e, "SLUICE_IMAGE_TAG", sl_image_tag(sl_obj_get_str(container, "image")));
	add_ports(e, container);
}

/* metadata.labels['a.b/c'] */
static bool subscript(sl_str path, const char *map, sl_str *ret_key)
{
	sl_str prefix = sl_str_c(map);

	if (!sl_str_starts(path, prefix) || !sl_str_ends(path, SL_STR("']")) || path.len < prefix.len + 4 ||
	        memcmp(path.p + prefix.len, "['", 2) != 0)
		return false;
	*ret_key = sl_str_n(path.p + prefix.len + 2, path.len - prefix.len - 4);
	return true;
}

static sl_err field_ref(struct build *b, sl_str path, sl_str *ret_value)
{
	static const char *const addresses[] = { "status.podIP", "status.podIPs", "status.hostIP",
		"status.hostIPs" };
	static const char *const plain[] = { "metadata.name", "metadata.namespace", "metadata.uid",
		"spec.nodeName", "spec.serviceAccountName" };
	sl_str key;

	for (size_t i = 0; i < SL_ARRAY_COUNT(plain); i++)
		if (sl_str_eq_c(path, plain[i])) {
			*ret_value = sl_obj_get_str(b->pod, plain[i]);
			return SL_OK;
		}
	for (size_t i = 0; i < SL_ARRAY_COUNT(addresses); i++)
		if (sl_str_eq_c(path, addresses[i])) {
			*ret_value = SL_STR("127.0.0.1");
			return SL_OK;
		}
	if (subscript(path, "metadata.labels", &key)) {
		*ret_value = sl_obj_label(b->pod, sl_arena_str(&b->env->arena, key).p);
		return SL_OK;
	}
	if (subscript(path, "metadata.annotations", &key)) {
		*ret_value = sl_obj_annotation(b->pod, sl_arena_str(&b->env->arena, key).p);
		return SL_OK;
	}
	return sl_diag_fail(b->diag, SL_ERR_INVALID, NULL, NULL,
	        "fieldRef %.*s is not known; metadata.name, namespace, uid, labels['KEY'], annotations['KEY'], "
	        "spec.nodeName and status.podIP are",
	        SL_STR_ARG(path));
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Secret.data was checked when it was stored; a foreign character merely ends the value. */
static sl_str base64_decode(struct sl_arena *a, sl_str in)
{
	char *out = sl_arena_alloc(a, in.len / 4 * 3 + 4);
	uint32_t bits = 0;
	size_t n = 0, count = 0;

	for (size_t i = 0; i < in.len; i++) {
		const char *digit = in.p[i] ? strchr(base64_digits, in.p[i]) : NULL;

		if (!digit)
			break;
		bits = bits << 6 | (uint32_t)(digit - base64_digits);
		if (++count % 4 != 1)
			out[n++] = (char)(bits >> (6 - 2 * ((count - 1) % 4)));
	}
	return sl_str_n(out, n);
}

/* Calls set(name, value) for every entry, or the one named `key`; false when that is not there. */
static bool each_entry(struct build *b, const json_t *body, sl_str key, sl_str prefix, sl_str *ret_one)
{
	bool secret = sl_str_eq(sl_obj_get_str(body, "kind"), SL_STR("Secret")), found = false;
	const char *name;
	json_t *value;

	json_object_foreach (json_object_get(body, "data"), name, value) {
		sl_str text = sl_json_str(value);

		if (ret_one && !sl_str_eq_c(key, name))
			continue;
		if (secret)
			text = base64_decode(&b->env->arena, text);
		found = true;
		if (ret_one)
			*ret_one = text;
		else
			sl_env_set(b->env,
			        sl_arena_printf(&b->env->arena, "%.*s%s", SL_STR_ARG(prefix), name), text);
	}
	return found;
}

/* One key of a ConfigMap or Secret. *ret_found is false, and all is well, where it is missing and optional. */
static sl_err key_ref(
        struct build *b, const char *plural, const json_t *ref, sl_str *ret_value, bool *ret_found)
{
	sl_str name = sl_obj_get_str(ref, "name"), key = sl_obj_get_str(ref, "key"),
	       ns = sl_obj_namespace(b->pod);
	const json_t *body = b->host->config(b->host->arg, plural, ns, name);
	const char *kind = plural[0] == 'c' ? "ConfigMap" : "Secret";

	*ret_found = body && each_entry(b, body, key, SL_STR_NONE, ret_value);
	if (*ret_found || sl_obj_get_bool(ref, "optional"))
		return SL_OK;
	if (!body)
		return sl_diag_fail(
		        b->diag, SL_ERR_INVALID, NULL, NULL, "%s \"%.*s\" not found", kind, SL_STR_ARG(name));
	return sl_diag_fail(b->diag, SL_ERR_INVALID, NULL, NULL, "couldn't find key %.*s in %s %.*s/%.*s",
	        SL_STR_ARG(key), kind, SL_STR_ARG(ns), SL_STR_ARG(name));
}

static sl_err add_from(struct build *b, const json_t *from)
{
	static const struct {
		const char *field, *plural;
	} sources[] = { { "configMapRef", "configmaps" }, { "secretRef", "secrets" } };

	for (size_t i = 0; i < SL_ARRAY_COUNT(sources); i++) {
		const json_t *ref = json_object_get(from, sources[i].field);
		sl_str name = sl_obj_get_str(ref, "name");

		if (!ref)
			continue;
		const json_t *body =
		        b->host->config(b->host->arg, sources[i].plural, sl_obj_namespace(b->pod), name);
		if (body)
			each_entry(b, body, SL_STR_NONE, sl_obj_get_str(from, "prefix"), NULL);
		else if (!sl_obj_get_bool(ref, "optional"))
			return sl_diag_fail(b->diag, SL_ERR_INVALID, NULL, NULL, "%s \"%.*s\" not found",
			        i == 0 ? "ConfigMap" : "Secret", SL_STR_ARG(name));
	}
	return SL_OK;
}

static sl_err add_var(struct build *b, const json_t *var)
{
	const json_t *from = json_object_get(var, "valueFrom"), *ref;
	sl_str name = sl_obj_get_str(var, "name"), value = SL_STR_NONE;
	bool found = true;

	if (!from)
		value = sl_env_expand(b->env, sl_obj_get_str(var, "value"));
	else if ((ref = json_object_get(from, "fieldRef")))
		SL_TRY(field_ref(b, sl_obj_get_str(ref, "fieldPath"), &value));
	else if ((ref = json_object_get(from, "configMapKeyRef")))
		SL_TRY(key_ref(b, "configmaps", ref, &value, &found));
	else if ((ref = json_object_get(from, "secretKeyRef")))
		SL_TRY(key_ref(b, "secrets", ref, &value, &found));
	else
		return sl_diag_fail(b->diag, SL_ERR_INVALID, NULL, NULL,
		        "env %.*s: this valueFrom is not supported by the process runtime; fieldRef, configMapKeyRef and secretKeyRef are",
		        SL_STR_ARG(name));
	if (found)
		sl_env_set(b->env, name, value);
	return SL_OK;
}

sl_err sl_env_build(struct sl_env *e, const json_t *pod, const json_t *container,
        const struct sl_runtime_host *host, struct sl_diag *diag)
{
	struct build b = { .env = e, .pod = pod, .host = host, .diag = diag };
	const json_t *from = json_object_get(container, "envFrom"), *env = json_object_get(container, "env");

	add_given(&b, container);
	for (size_t i = 0; i < json_array_size(from); i++)
		SL_TRY(add_from(&b, json_array_get(from, i)));
	for (size_t i = 0; i < json_array_size(env); i++)
		SL_TRY(add_var(&b, json_array_get(env, i)));
	return SL_OK;
}
