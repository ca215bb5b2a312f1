#include "model/mesh_json.h"
#include "proto/json.h"

#include <stdio.h>

/* ---- the shape of a mesh, as data: one row per field serves reading, writing and defaults ---- */

enum kind {
	STR,
	U32,
	U64,
	BOOL,
	NSEC,
	REAL,
	ENUM,
	FLAGS,  /* u32, or-ed; an array of names */
	STRUCT, /* embedded */
	LIST,   /* of structs */
	STRS,   /* list of strings */
	U32S,   /* list of numbers */
};

struct shape;
struct field {
	const char *key;
	enum kind kind;
	size_t at, count_at;       /* offsets of the value and, for lists, of its size_t count */
	const struct shape *shape; /* STRUCT, LIST */
	const char *const *names;  /* ENUM, FLAGS: NULL-terminated, by value or by bit */
	int64_t number;            /* default of U32 and NSEC */
	const char *text;          /* default of STR */
};
struct shape {
	size_t size_bytes;
	const struct field *fields; /* ends with a NULL key */
};

#define AT(type, member) .at = offsetof(struct type, member)
#define LIST_AT(type, member, count) \
	.at = offsetof(struct type, member), .count_at = offsetof(struct type, count)
#define SHAPE(name, type, ...)                                  \
	static const struct shape name = { sizeof(struct type), \
		(const struct field[]) { __VA_ARGS__, { 0 } } }
#define NAMES(...)                \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}

/* clang-format off */
#define MATCH_FIELDS(type, prefix) \
	{ "kind",       ENUM, AT(type, prefix kind), .names = NAMES("exact", "prefix", "suffix", "contains", "regex", "present") }, \
	{ "value",      STR,  AT(type, prefix value) }, \
	{ "invert",     BOOL, AT(type, prefix invert) }, \
	{ "ignoreCase", BOOL, AT(type, prefix ignore_case) }

SHAPE(field_match, sl_mesh_field_match,
	{ "name", STR, AT(sl_mesh_field_match, name) },
	MATCH_FIELDS(sl_mesh_field_match, match.));

SHAPE(route_match, sl_mesh_route_match,
	{ "path",       STR,  AT(sl_mesh_route_match, path), .text = "/" },
	{ "pathKind",   ENUM, AT(sl_mesh_route_match, path_kind), .names = NAMES("prefix", "exact", "regex", "separatedPrefix") },
	{ "ignoreCase", BOOL, AT(sl_mesh_route_match, path_ignore_case) },
	{ "headers",    LIST, LIST_AT(sl_mesh_route_match, headers, header_count), .shape = &field_match },
	{ "params",     LIST, LIST_AT(sl_mesh_route_match, params, param_count), .shape = &field_match });

SHAPE(header_op, sl_mesh_header_op,
	{ "op",    ENUM, AT(sl_mesh_header_op, kind), .names = NAMES("set", "add", "remove") },
	{ "name",  STR,  AT(sl_mesh_header_op, name) },
	{ "value", STR,  AT(sl_mesh_header_op, value) });

SHAPE(header_ops, sl_mesh_header_ops,
	{ "request",  LIST, LIST_AT(sl_mesh_header_ops, request, request_count), .shape = &header_op },
	{ "response", LIST, LIST_AT(sl_mesh_header_ops, response, response_count), .shape = &header_op });

SHAPE(guard, sl_mesh_guard,
	{ "fallback",   STR,  AT(sl_mesh_guard, fallback) },
	{ "rollout",    STR,  AT(sl_mesh_guard, rollout) },
	{ "generation", U64,  AT(sl_mesh_guard, generation) },
	{ "alpha",      REAL, AT(sl_mesh_guard, alpha) },
	{ "refusedRun", U32,  AT(sl_mesh_guard, refused_run) },
	{ "failureRun", U32,  AT(sl_mesh_guard, failure_run) });

SHAPE(split, sl_mesh_split,
	{ "cluster", STR,    AT(sl_mesh_split, cluster) },
	{ "weight",  U32,    AT(sl_mesh_split, weight), .number = 1 },
	{ "headers", STRUCT, AT(sl_mesh_split, headers), .shape = &header_ops },
	{ "guard",   STRUCT, AT(sl_mesh_split, guard), .shape = &guard });

SHAPE(retry, sl_mesh_retry,
	{ "attempts",      U32,   AT(sl_mesh_retry, attempts) },
	{ "on",            FLAGS, AT(sl_mesh_retry, on),
		.names = NAMES("connectFailure", "refusedStream", "reset", "5xx", "gatewayError", "statusCodes") },
	{ "perTryTimeout", NSEC,  AT(sl_mesh_retry, per_try_timeout) },
	{ "statuses",      U32S,  LIST_AT(sl_mesh_retry, statuses, status_count) });

SHAPE(redirect, sl_mesh_redirect,
	{ "scheme",    STR, AT(sl_mesh_redirect, scheme) },
	{ "authority", STR, AT(sl_mesh_redirect, authority) },
	{ "path",      STR, AT(sl_mesh_redirect, path) },
	{ "prefix",    STR, AT(sl_mesh_redirect, prefix) },
	{ "port",      U32, AT(sl_mesh_redirect, port) },
	{ "status",    U32, AT(sl_mesh_redirect, status) });

SHAPE(rewrite, sl_mesh_rewrite,
	{ "prefix",       STR, AT(sl_mesh_rewrite, prefix) },
	{ "authority",    STR, AT(sl_mesh_rewrite, authority) },
	{ "regex",        STR, AT(sl_mesh_rewrite, regex) },
	{ "substitution", STR, AT(sl_mesh_rewrite, substitution) });

SHAPE(route, sl_mesh_route,
	{ "name",         STR,    AT(sl_mesh_route, name) },
	{ "match",        STRUCT, AT(sl_mesh_route, match), .shape = &route_match },
	{ "action",       ENUM,   AT(sl_mesh_route, action), .names = NAMES("forward", "redirect", "direct") },
	{ "splits",       LIST,   LIST_AT(sl_mesh_route, splits, split_count), .shape = &split },
	{ "timeout",      NSEC,   AT(sl_mesh_route, timeout) },
	{ "retry",        STRUCT, AT(sl_mesh_route, retry), .shape = &retry },
	{ "rewrite",      STRUCT, AT(sl_mesh_route, rewrite), .shape = &rewrite },
	{ "redirect",     STRUCT, AT(sl_mesh_route, redirect), .shape = &redirect },
	{ "directStatus", U32,    AT(sl_mesh_route, direct_status) },
	{ "directBody",   STR,    AT(sl_mesh_route, direct_body) },
	{ "headers",      STRUCT, AT(sl_mesh_route, headers), .shape = &header_ops });

SHAPE(virtual_host, sl_mesh_virtual_host,
	{ "name",    STR,  AT(sl_mesh_virtual_host, name) },
	{ "domains", STRS, LIST_AT(sl_mesh_virtual_host, domains, domain_count) },
	{ "routes",  LIST, LIST_AT(sl_mesh_virtual_host, routes, route_count), .shape = &route });

SHAPE(route_config, sl_mesh_route_config,
	{ "name",  STR,  AT(sl_mesh_route_config, name) },
	{ "hosts", LIST, LIST_AT(sl_mesh_route_config, hosts, host_count), .shape = &virtual_host });

SHAPE(listener, sl_mesh_listener,
	{ "name",        STR,  AT(sl_mesh_listener, name) },
	{ "address",     STR,  AT(sl_mesh_listener, address) },
	{ "port",        U32,  AT(sl_mesh_listener, port) },
	{ "protocol",    ENUM, AT(sl_mesh_listener, protocol), .names = NAMES("http", "tcp") },
	{ "direction",   ENUM, AT(sl_mesh_listener, direction), .names = NAMES("outbound", "inbound", "gateway") },
	{ "routeConfig", STR,  AT(sl_mesh_listener, route_config) },
	{ "tcpCluster",  STR,  AT(sl_mesh_listener, tcp_cluster) });

SHAPE(endpoint, sl_mesh_endpoint,
	{ "address",   STR,  AT(sl_mesh_endpoint, address) },
	{ "port",      U32,  AT(sl_mesh_endpoint, port) },
	{ "weight",    U32,  AT(sl_mesh_endpoint, weight), .number = 1 },
	{ "health",    ENUM, AT(sl_mesh_endpoint, health), .names = NAMES("healthy", "unhealthy", "draining") },
	{ "pod",       STR,  AT(sl_mesh_endpoint, pod) },
	{ "workload",  STR,  AT(sl_mesh_endpoint, workload) },
	{ "namespace", STR,  AT(sl_mesh_endpoint, namespace) },
	{ "app",       STR,  AT(sl_mesh_endpoint, app) },
	{ "version",   STR,  AT(sl_mesh_endpoint, version) });

SHAPE(cluster, sl_mesh_cluster,
	{ "name",             STR,  AT(sl_mesh_cluster, name) },
	{ "serviceHost",      STR,  AT(sl_mesh_cluster, service_host) },
	{ "serviceName",      STR,  AT(sl_mesh_cluster, service_name) },
	{ "serviceNamespace", STR,  AT(sl_mesh_cluster, service_namespace) },
	{ "rollout",          STR,  AT(sl_mesh_cluster, rollout) },
	{ "revision",         STR,  AT(sl_mesh_cluster, revision) },
	{ "lb",               ENUM, AT(sl_mesh_cluster, lb), .names = NAMES("roundRobin", "leastRequest", "random") },
	{ "connectTimeout",   NSEC, AT(sl_mesh_cluster, connect_timeout), .number = SL_SEC(10) },
	{ "maxConnections",   U32,  AT(sl_mesh_cluster, max_connections) },
	{ "maxPending",       U32,  AT(sl_mesh_cluster, max_pending) },
	{ "maxRequests",      U32,  AT(sl_mesh_cluster, max_requests) },
	{ "maxRetries",       U32,  AT(sl_mesh_cluster, max_retries) },
	{ "maxRequestsPerConnection", U32, AT(sl_mesh_cluster, max_requests_per_connection) },
	{ "idleTimeout",      NSEC, AT(sl_mesh_cluster, idle_timeout) },
	{ "endpoints",        LIST, LIST_AT(sl_mesh_cluster, endpoints, endpoint_count), .shape = &endpoint });

SHAPE(mesh_shape, sl_mesh,
	{ "epoch",        U64,  AT(sl_mesh, epoch) },
	{ "listeners",    LIST, LIST_AT(sl_mesh, listeners, listener_count), .shape = &listener },
	{ "routeConfigs", LIST, LIST_AT(sl_mesh, route_configs, route_config_count), .shape = &route_config },
	{ "clusters",     LIST, LIST_AT(sl_mesh, clusters, cluster_count), .shape = &cluster });
/* clang-format on */

static_assert(sizeof(enum sl_match_kind) == sizeof(uint32_t), "enumerations are stored as 32 bits");

/* ---- writing ---- */

#define GET(type, base, offset) (*(const __typeof__(type) *)(const void *)((const char *)(base) + (offset)))

static json_t *print_struct(const struct shape *shape, const void *base);

/* A list's pointer has many types; as bytes it may be read and written whatever the type. */
static const void *load_pointer(const void *base, size_t offset)
{
	const void *p;

	memcpy(&p, (const char *)base + offset, sizeof(p));
	return p;
}

static json_t *print_list(const struct field *f, const void *base)
{
	const char *items = load_pointer(base, f->at);
	size_t count = GET(size_t, base, f->count_at);
	json_t *list = count ? json_array() : NULL;

	for (size_t i = 0; i < count; i++) {
		if (f->kind == LIST)
			json_array_append_new(list, print_struct(f->shape, items + i * f->shape->size_bytes));
		else if (f->kind == STRS)
			json_array_append_new(list, sl_json_str_new(GET(sl_str, items, i * sizeof(sl_str))));
		else
			json_array_append_new(list, json_integer(GET(uint32_t, items, i * sizeof(uint32_t))));
	}
	return list;
}

static json_t *print_flags(const struct field *f, uint32_t bits)
{
	json_t *list = bits ? json_array() : NULL;

	for (size_t i = 0; f->names[i]; i++)
		if (bits & 1u << i)
			json_array_append_new(list, json_string(f->names[i]));
	return list;
}

static json_t *print_duration(sl_nsec d)
{
	char text[32];

	return json_string(sl_duration_format(text, d));
}

/* NULL where the value is the default. */
static json_t *print_field(const struct field *f, const void *base)
{
	switch (f->kind) {
	case STR: {
		sl_str s = GET(sl_str, base, f->at);

		return sl_str_eq(s, sl_str_c(f->text)) ? NULL : sl_json_str_new(s);
	}
	case U32: {
		uint32_t v = GET(uint32_t, base, f->at);

		return v == f->number ? NULL : json_integer(v);
	}
	case U64: {
		uint64_t v = GET(uint64_t, base, f->at);

		return v ? json_integer((json_int_t)v) : NULL;
	}
	case BOOL:
		return GET(bool, base, f->at) ? json_true() : NULL;
	case NSEC: {
		sl_nsec d = GET(sl_nsec, base, f->at);

		return d == f->number ? NULL : print_duration(d);
	}
	case REAL: {
		double v = GET(double, base, f->at);

		return v < 0 || v > 0 ? json_real(v) : NULL;
	}
	case ENUM: {
		uint32_t v = GET(uint32_t, base, f->at);

		return v ? json_string(f->names[v]) : NULL;
	}
	case FLAGS:
		return print_flags(f, GET(uint32_t, base, f->at));
	case STRUCT: {
		json_t *v = print_struct(f->shape, (const char *)base + f->at);

		if (json_object_size(v))
			return v;
		json_decref(v);
		return NULL;
	}
	case LIST:
	case STRS:
	case U32S:
		return print_list(f, base);
	}
	return NULL;
}

static json_t *print_struct(const struct shape *shape, const void *base)
{
	json_t *object = json_object();

	for (const struct field *f = shape->fields; f->key; f++) {
		json_t *v = print_field(f, base);

		if (v)
			json_object_set_new(object, f->key, v);
	}
	return object;
}

json_t *sl_mesh_to_json(const struct sl_mesh *mesh)
{
	return print_struct(&mesh_shape, mesh);
}

void sl_mesh_print(const struct sl_mesh *mesh, struct sl_buf *out)
{
	SL_CLEANUP(sl_json_unref) json_t *json = sl_mesh_to_json(mesh);

	sl_json_dump_pretty(out, json, 2);
	sl_buf_byte(out, '\n');
}

/* ---- reading ---- */

#define PUT(type, base, offset, v) (*(type *)(void *)((char *)(base) + (offset)) = (v))

struct reader {
	struct sl_arena *arena;
	struct sl_diag *diag;
	bool bad;
	struct sl_buf path; /* where we are: "clusters[0].endpoints[1]" */
};

static void __attribute__((format(printf, 3, 4)))
wrong(struct reader *r, const char *reason, const char *fmt, ...)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
	va_list ap;

	va_start(ap, fmt);
	sl_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	sl_diag_add(r->diag, sl_buf_cstr(&r->path), reason, "%s", sl_buf_cstr(&text));
	r->bad = true;
}

static void read_struct(struct reader *r, const struct shape *shape, const json_t *json, void *base);

static const char *type_name(const json_t *v)
{
	static const char *const names[] = { "an object", "an array", "a string", "an integer", "a number",
		"true", "false", "null" };

	return names[json_typeof(v)];
}

static bool expect(struct reader *r, const json_t *v, bool fits, const char *what)
{
	if (!fits)
		wrong(r, "FieldValueTypeInvalid", "is %s: needs %s", type_name(v), what);
	return fits;
}

static void read_str(struct reader *r, const json_t *v, sl_str *ret_s)
{
	if (expect(r, v, json_is_string(v), "a string"))
		*ret_s = json_string_length(v) ? sl_arena_str(r->arena, sl_str_n(json_string_value(v),
		                                                                json_string_length(v)))
		                               : SL_STR_NONE;
}

static void read_u32(struct reader *r, const json_t *v, uint32_t *ret_v)
{
	if (!expect(r, v, json_is_integer(v), "an integer"))
		return;
	if (json_integer_value(v) < 0 || json_integer_value(v) > UINT32_MAX)
		wrong(r, "FieldValueInvalid", "%" JSON_INTEGER_FORMAT " is not in 0..%u",
		        json_integer_value(v), UINT32_MAX);
	else
		*ret_v = (uint32_t)json_integer_value(v);
}

static void read_duration(struct reader *r, const json_t *v, sl_nsec *ret_d)
{
	const char *text = json_string_value(v);

	if (expect(r, v, text != NULL, "a duration such as \"250ms\"") &&
	        sl_duration_parse(sl_str_c(text), ret_d) != SL_OK)
		wrong(r, "FieldValueInvalid", "\"%s\" is no duration such as \"250ms\"", text);
}

/* The index of the name, or SIZE_MAX. */
static size_t read_name(struct reader *r, const json_t *v, const char *const *names)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf known = { 0 };
	const char *text = json_string_value(v);

	if (!expect(r, v, text != NULL, "a string") || !text)
		return SIZE_MAX;
	for (size_t i = 0; names[i]; i++) {
		if (strcmp(names[i], text) == 0)
			return i;
		sl_buf_printf(&known, "%s%s", i ? ", " : "", names[i]);
	}
	wrong(r, "FieldValueNotSupported", "\"%s\" is none of %s", text, sl_buf_cstr(&known));
	return SIZE_MAX;
}

static void read_list(struct reader *r, const struct field *f, const json_t *v, void *base)
{
	size_t count = json_array_size(v), mark = r->path.len;
	size_t size = f->kind == LIST   ? f->shape->size_bytes
	              : f->kind == STRS ? sizeof(sl_str)
	                                : sizeof(uint32_t);
	char *items;

	if (!expect(r, v, json_is_array(v), "an array") || !count)
		return;
	items = sl_arena_zalloc_array(r->arena, count, size);
	for (size_t i = 0; i < count; i++) {
		void *item = items + i * size;

		sl_buf_printf(&r->path, "[%zu]", i);
		if (f->kind == LIST)
			read_struct(r, f->shape, json_array_get(v, i), item);
		else if (f->kind == STRS)
			read_str(r, json_array_get(v, i), item);
		else
			read_u32(r, json_array_get(v, i), item);
		r->path.len = mark;
	}
	memcpy((char *)base + f->at, &items, sizeof(items));
	PUT(size_t, base, f->count_at, count);
}

static void read_flags(struct reader *r, const struct field *f, const json_t *v, uint32_t *ret_bits)
{
	*ret_bits = 0;
	if (!expect(r, v, json_is_array(v), "an array"))
		return;
	for (size_t i = 0; i < json_array_size(v); i++) {
		size_t bit = read_name(r, json_array_get(v, i), f->names);

		if (bit != SIZE_MAX)
			*ret_bits |= 1u << bit;
	}
}

static void read_field(struct reader *r, const struct field *f, const json_t *v, void *base)
{
	void *at = (char *)base + f->at;
	size_t name;

	switch (f->kind) {
	case STR:
		read_str(r, v, at);
		break;
	case U32:
		read_u32(r, v, at);
		break;
	case U64:
		if (expect(r, v, json_is_integer(v) && json_integer_value(v) >= 0, "an integer of 0 or more"))
			PUT(uint64_t, at, 0, (uint64_t)json_integer_value(v));
		break;
	case BOOL:
		if (expect(r, v, json_is_boolean(v), "true or false"))
			PUT(bool, at, 0, json_is_true(v));
		break;
	case NSEC:
		read_duration(r, v, at);
		break;
	case REAL:
		if (expect(r, v, json_is_number(v), "a number"))
			PUT(double, at, 0, json_number_value(v));
		break;
	case ENUM:
		name = read_name(r, v, f->names);
		if (name != SIZE_MAX)
			PUT(uint32_t, at, 0, (uint32_t)name);
		break;
	case FLAGS:
		read_flags(r, f, v, at);
		break;
	case STRUCT:
		read_struct(r, f->shape, v, at);
		break;
	case LIST:
	case STRS:
	case U32S:
		read_list(r, f, v, base);
		break;
	}
}

static void put_defaults(const struct shape *shape, void *base)
{
	for (const struct field *f = shape->fields; f->key; f++) {
		if (f->kind == STRUCT)
			put_defaults(f->shape, (char *)base + f->at);
		else if (f->kind == STR && f->text)
			PUT(sl_str, base, f->at, sl_str_c(f->text));
		else if (f->kind == U32)
			PUT(uint32_t, base, f->at, (uint32_t)f->number);
		else if (f->kind == NSEC)
			PUT(sl_nsec, base, f->at, f->number);
	}
}

static void read_struct(struct reader *r, const struct shape *shape, const json_t *json, void *base)
{
	size_t mark = r->path.len;
	const char *key;
	json_t *v;

	put_defaults(shape, base);
	if (!expect(r, json, json_is_object(json), "an object"))
		return;
	/* jansson iterates a const object but does not say so */
	json_object_foreach ((json_t *)(uintptr_t)json, key, v) {
		const struct field *f = shape->fields;

		while (f->key && strcmp(f->key, key) != 0)
			f++;
		sl_buf_printf(&r->path, "%s%s", mark ? "." : "", key);
		if (f->key)
			read_field(r, f, v, base);
		else
			wrong(r, "FieldValueNotSupported", "is not a field here");
		r->path.len = mark;
	}
}

sl_err sl_mesh_from_json(struct sl_mesh **ret_mesh, const json_t *json, struct sl_diag *diag)
{
	SL_CLEANUP(sl_mesh_unref) struct sl_mesh *mesh = sl_mesh_new();
	struct reader r = { .arena = &mesh->arena, .diag = diag };

	read_struct(&r, &mesh_shape, json, mesh);
	sl_buf_fini(&r.path);
	if (r.bad)
		return SL_ERR_INVALID;
	SL_TRY(sl_mesh_check(mesh, diag));
	*ret_mesh = SL_STEAL(mesh);
	return SL_OK;
}

sl_err sl_mesh_parse(struct sl_mesh **ret_mesh, sl_str text, struct sl_diag *diag)
{
	SL_CLEANUP(sl_json_unref) json_t *json = NULL;
	const struct sl_json_limits limits = { .bytes = 256u << 20, .depth = 32 };

	SL_TRY(sl_json_parse(text, &limits, &json, diag));
	return sl_mesh_from_json(ret_mesh, json, diag);
}
