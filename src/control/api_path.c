#include "control/api_path.h"
#include "proto/uri.h"

#include <stddef.h>

/* --- routes --- */

/* clang-format off */
/*  A segment in capitals is a variable: G group, V version, N namespace, P plural, O object's name, S subresource. The first row that
    fits counts; so .../namespaces/x/status is a subresource of the namespace, not the plural "status" in it. */
static const struct {
	const char *pattern;
	enum sl_api_endpoint endpoint;
} routes[] = {
	{ "",                                SL_API_ROOT },
	{ "version",                         SL_API_VERSION },
	{ "healthz",                         SL_API_HEALTH },
	{ "livez",                           SL_API_HEALTH },
	{ "readyz",                          SL_API_HEALTH },
	{ "metrics",                         SL_API_METRICS },
	{ "openapi/v2",                      SL_API_OPENAPI_V2 },
	{ "api",                             SL_API_CORE_VERSIONS },
	{ "apis",                            SL_API_GROUPS },
	{ "apis/G",                          SL_API_GROUP },
	{ "api/V",                           SL_API_RESOURCES },
	{ "apis/G/V",                        SL_API_RESOURCES },
	{ "api/V/namespaces/O/status",       SL_API_SUBRESOURCE },
	{ "api/V/namespaces/O/revisions",    SL_API_SUBRESOURCE },
	{ "api/V/namespaces/O",              SL_API_OBJECT },
	{ "api/V/namespaces/N/P",            SL_API_COLLECTION },
	{ "api/V/namespaces/N/P/O",          SL_API_OBJECT },
	{ "api/V/namespaces/N/P/O/S",        SL_API_SUBRESOURCE },
	{ "api/V/P",                         SL_API_COLLECTION },
	{ "api/V/P/O",                       SL_API_OBJECT },
	{ "api/V/P/O/S",                     SL_API_SUBRESOURCE },
	{ "apis/G/V/namespaces/N/P",         SL_API_COLLECTION },
	{ "apis/G/V/namespaces/N/P/O",       SL_API_OBJECT },
	{ "apis/G/V/namespaces/N/P/O/S",     SL_API_SUBRESOURCE },
	{ "apis/G/V/P",                      SL_API_COLLECTION },
	{ "apis/G/V/P/O",                    SL_API_OBJECT },
	{ "apis/G/V/P/O/S",                  SL_API_SUBRESOURCE },
};
/* clang-format on */

enum { SEGMENTS_MOST = 8 };

/* Splits and decodes. *ret_count is SEGMENTS_MOST + 1 for a path longer than any route. */
static sl_err split(sl_str path, struct sl_arena *arena, sl_str segments[SEGMENTS_MOST], size_t *ret_count)
{
	size_t count = 0;
	sl_str rest = sl_str_starts(path, SL_STR("/")) ? sl_str_skip(path, 1) : path;
	if (sl_str_ends(rest, SL_STR("/")))
		rest.len--;
	for (bool more = rest.len > 0; more;) {
		sl_str segment;
		more = sl_str_split(&rest, '/', &segment);
		if (count == SEGMENTS_MOST) {
			count++;
			break;
		}
		char *decoded = sl_arena_alloc(arena, segment.len + 1);
		size_t len = 0;
		SL_TRY(sl_percent_decode(decoded, segment, false, &len));
		decoded[len] = '\0';
		segments[count] = sl_str_n(decoded, len);
		if (sl_str_find(segments[count], '/') < len || sl_str_find(segments[count], '\0') < len)
			return SL_ERR_MALFORMED;
		count++;
	}
	*ret_count = count;
	return SL_OK;
}

/* What the variable of a pattern sets; NULL for a literal segment. */
static sl_str *variable(struct sl_api_route *route, sl_str part)
{
	if (part.len != 1)
		return NULL;
	switch (part.p[0]) {
	case 'G':
		return &route->group;
	case 'V':
		return &route->version;
	case 'N':
		return &route->ns;
	case 'P':
		return &route->plural;
	case 'O':
		return &route->name;
	case 'S':
		return &route->subresource;
	default:
		return NULL;
	}
}

static bool match(const char *pattern, const sl_str *segments, size_t count, struct sl_api_route *route)
{
	sl_str rest = sl_str_c(pattern), part;
	size_t i = 0;
	for (bool more = rest.len > 0; more; i++) {
		more = sl_str_split(&rest, '/', &part);
		sl_str *v = variable(route, part);
		if (i == count || (v ? segments[i].len == 0 : !sl_str_eq(part, segments[i])))
			return false;
		if (v)
			*v = segments[i];
	}
	return i == count;
}

/* In the rows of namespaces themselves, plural and subresource stand in the pattern as literals. */
static void fill_literals(struct sl_api_route *route, const sl_str *segments, size_t count)
{
	if (route->endpoint < SL_API_COLLECTION || route->plural.len)
		return;
	route->plural = segments[2];
	if (route->endpoint == SL_API_SUBRESOURCE)
		route->subresource = segments[count - 1];
}

sl_err sl_api_route_parse(sl_str path, struct sl_arena *arena, struct sl_api_route *ret_route)
{
	sl_str segments[SEGMENTS_MOST];
	size_t count = 0;
	SL_TRY(split(path, arena, segments, &count));
	for (size_t i = 0; i < SL_ARRAY_COUNT(routes); i++) {
		struct sl_api_route route = { .endpoint = routes[i].endpoint };
		if (!match(routes[i].pattern, segments, count, &route))
			continue;
		fill_literals(&route, segments, count);
		*ret_route = route;
		return SL_OK;
	}
	*ret_route = (struct sl_api_route) { .endpoint = SL_API_NONE };
	return SL_OK;
}

/* --- query --- */

enum param_type { P_STRING, P_BOOL, P_NUMBER, P_WORD, P_ALL };

/* clang-format off */
#define AT(member) offsetof(struct sl_api_query, member)
static const struct {
	const char *name;
	enum param_type type;
	size_t at;
	const char *words; /* P_WORD: the values allowed, in the order of the enum, after its default */
} params[] = {
	{ "labelSelector",        P_STRING, AT(label_selector),         NULL },
	{ "fieldSelector",        P_STRING, AT(field_selector),         NULL },
	{ "resourceVersion",      P_STRING, AT(resource_version),       NULL },
	{ "resourceVersionMatch", P_STRING, AT(resource_version_match), NULL },
	{ "continue",             P_STRING, AT(continue_token),         NULL },
	{ "fieldManager",         P_STRING, AT(field_manager),          NULL },
	{ "watch",                P_BOOL,   AT(watch),                  NULL },
	{ "allowWatchBookmarks",  P_BOOL,   AT(bookmarks),              NULL },
	{ "sendInitialEvents",    P_BOOL,   AT(initial_events),         NULL },
	{ "force",                P_BOOL,   AT(force),                  NULL },
	{ "dryRun",               P_ALL,    AT(dry_run),                NULL },
	{ "limit",                P_NUMBER, AT(limit),                  NULL },
	{ "timeoutSeconds",       P_NUMBER, AT(timeout_s),              NULL },
	{ "gracePeriodSeconds",   P_NUMBER, AT(grace_s),                NULL },
	{ "includeObject",        P_WORD,   AT(include),                "Metadata|Object|None" },
	{ "fieldValidation",      P_WORD,   AT(field_validation),       "Warn|Strict|Ignore" },
	{ "propagationPolicy",    P_WORD,   AT(propagation),            "Background|Foreground|Orphan" },
	{ "container",            P_STRING, AT(container),              NULL },
	{ "follow",               P_BOOL,   AT(follow),                 NULL },
	{ "previous",             P_BOOL,   AT(previous),               NULL },
	{ "timestamps",           P_BOOL,   AT(timestamps),             NULL },
	{ "tailLines",            P_NUMBER, AT(tail_lines),             NULL },
	{ "limitBytes",           P_NUMBER, AT(limit_bytes),            NULL },
	{ "sinceSeconds",         P_NUMBER, AT(since_s),                NULL },
	{ "sinceTime",            P_STRING, AT(since_time),             NULL },
	{ "version",              P_NUMBER, AT(version),                NULL },
};
#undef AT
/* clang-format on */

static sl_err bad(struct sl_diag *diag, const char *name, sl_str value, const char *allowed)
{
	return sl_diag_fail(diag, SL_ERR_BAD_REQUEST, name, "FieldValueInvalid",
	        "\"%.*s\" is not allowed: %s", SL_STR_ARG(value), allowed);
}

/* As Go's strconv.ParseBool; a name alone counts as true. */
static sl_err parse_bool(bool *ret_v, const char *name, sl_str value, struct sl_diag *diag)
{
	static const char *const yes[] = { "", "1", "t", "T", "true", "TRUE", "True" };
	static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };
	for (size_t i = 0; i < SL_ARRAY_COUNT(yes); i++)
		if (sl_str_eq_c(value, yes[i])) {
			*ret_v = true;
			return SL_OK;
		}
	for (size_t i = 0; i < SL_ARRAY_COUNT(no); i++)
		if (sl_str_eq_c(value, no[i])) {
			*ret_v = false;
			return SL_OK;
		}
	return bad(diag, name, value, "give true or false");
}

static sl_err parse_number(int64_t *ret_v, const char *name, sl_str value, struct sl_diag *diag)
{
	if (value.len == 0)
		return SL_OK;
	if (sl_str_to_i64(value, ret_v) != SL_OK || *ret_v < 0)
		return bad(diag, name, value, "give a whole number, 0 or more");
	return SL_OK;
}

static sl_err parse_word(int *ret_v, const char *name, sl_str value, const char *words, struct sl_diag *diag)
{
	sl_str rest = sl_str_c(words), word;
	if (value.len == 0)
		return SL_OK;
	int index = 0;
	for (bool more = true; more;) {
		more = sl_str_split(&rest, '|', &word);
		index++;
		if (sl_str_eq(value, word)) {
			*ret_v = index;
			return SL_OK;
		}
	}
	SL_CLEANUP(sl_free) char *allowed = sl_asprintf("give one of %s", words);
	return bad(diag, name, value, allowed);
}

static sl_err set(struct sl_api_query *q, size_t row, sl_str value, struct sl_diag *diag)
{
	void *at = (char *)q + params[row].at;
	const char *name = params[row].name;
	switch (params[row].type) {
	case P_STRING:
		*(sl_str *)at = value;
		return SL_OK;
	case P_BOOL:
		return parse_bool(at, name, value, diag);
	case P_NUMBER:
		return parse_number(at, name, value, diag);
	case P_WORD:
		return parse_word(at, name, value, params[row].words, diag);
	case P_ALL:
		if (!sl_str_eq_c(value, "All"))
			return bad(diag, name, value, "give All");
		*(bool *)at = true;
		return SL_OK;
	}
	return SL_ERR_INTERNAL;
}

static sl_err decode(sl_str raw, struct sl_arena *arena, sl_str *ret_text)
{
	char *text = sl_arena_alloc(arena, raw.len + 1);
	size_t len = 0;
	SL_TRY(sl_percent_decode(text, raw, true, &len));
	text[len] = '\0';
	*ret_text = sl_str_n(text, len);
	return SL_OK;
}

sl_err sl_api_query_parse(
        sl_str query, struct sl_arena *arena, struct sl_api_query *ret_query, struct sl_diag *diag)
{
	struct sl_api_query q = { .limit = -1,
		.timeout_s = -1,
		.grace_s = -1,
		.tail_lines = -1,
		.limit_bytes = -1,
		.since_s = -1,
		.version = -1 };
	sl_str raw_name, raw_value;
	while (sl_query_next(&query, &raw_name, &raw_value)) {
		sl_str name, value;
		if (decode(raw_name, arena, &name) != SL_OK || decode(raw_value, arena, &value) != SL_OK)
			return sl_diag_fail(diag, SL_ERR_BAD_REQUEST, NULL, NULL,
			        "the query \"%.*s\" is not percent-encoded", SL_STR_ARG(raw_name));
		for (size_t i = 0; i < SL_ARRAY_COUNT(params); i++)
			if (sl_str_eq_c(name, params[i].name))
				SL_TRY(set(&q, i, value, diag));
	}
	*ret_query = q;
	return SL_OK;
}
