/* Properties: no crash; a route's parts hold no slash and no NUL and are not empty; what a route printed is, parses to the same. */
#include "base/buf.h"
#include "control/api_path.h"
#include "proto/uri.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check(int ok)
{
	if (!ok)
		abort();
}

static void check_part(sl_str part)
{
	check(sl_str_find(part, '/') == part.len && sl_str_find(part, '\0') == part.len);
}

static void add(struct sl_buf *b, sl_str part)
{
	char *to = sl_buf_reserve(b, 3 * part.len + 1);
	*to = '/';
	sl_buf_commit(b, 1 + sl_percent_encode(to + 1, part, false));
}

static bool same(const struct sl_api_route *a, const struct sl_api_route *b)
{
	return a->endpoint == b->endpoint && sl_str_eq(a->group, b->group) &&
	       sl_str_eq(a->version, b->version) && sl_str_eq(a->ns, b->ns) &&
	       sl_str_eq(a->plural, b->plural) && sl_str_eq(a->name, b->name) &&
	       sl_str_eq(a->subresource, b->subresource);
}

static void check_round_trip(const struct sl_api_route *route)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf path = { 0 };
	SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };
	struct sl_api_route again;
	sl_buf_c(&path, route->group.len ? "/apis" : "/api");
	if (route->group.len)
		add(&path, route->group);
	add(&path, route->version);
	if (route->ns.len) {
		sl_buf_c(&path, "/namespaces");
		add(&path, route->ns);
	}
	const sl_str rest[] = { route->plural, route->name, route->subresource };
	for (size_t i = 0; i < SL_ARRAY_COUNT(rest) && rest[i].len; i++)
		add(&path, rest[i]);
	check(sl_api_route_parse(sl_buf_str(&path), &arena, &again) == SL_OK);
	check(same(route, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	sl_str path = sl_str_n((const char *)bytes, size);
	size_t question = sl_str_find(path, '?');
	sl_str query = question < size ? sl_str_skip(path, question + 1) : SL_STR_NONE;
	path.len = question;

	struct sl_api_route route;
	if (sl_api_route_parse(path, &arena, &route) == SL_OK && route.endpoint >= SL_API_COLLECTION) {
		check_part(route.group);
		check_part(route.ns);
		check_part(route.name);
		check(route.plural.len > 0 && route.version.len > 0);
		check((route.endpoint >= SL_API_OBJECT) == (route.name.len > 0));
		check((route.endpoint == SL_API_SUBRESOURCE) == (route.subresource.len > 0));
		check_round_trip(&route);
	}
	struct sl_api_query q;
	if (sl_api_query_parse(query, &arena, &q, &diag) == SL_OK)
		check(q.limit >= -1 && q.timeout_s >= -1 && q.include >= 0 &&
		        q.include <= SL_API_INCLUDE_NONE);
	else
		check(diag.count > 0);
	return 0;
}
