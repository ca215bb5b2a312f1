#include "base/test.h"

#include "control/api_path.h"

static void test_routes(void **state)
{
	(void)state;
	static const struct {
		const char *path;
		enum sl_api_endpoint endpoint;
		const char *group, *version, *ns, *plural, *name, *sub;
	} cases[] = {
		{ "/", SL_API_ROOT, "", "", "", "", "", "" },
		{ "", SL_API_ROOT, "", "", "", "", "", "" },
		{ "/version", SL_API_VERSION, "", "", "", "", "", "" },
		{ "/version/", SL_API_VERSION, "", "", "", "", "", "" },
		{ "/healthz", SL_API_HEALTH, "", "", "", "", "", "" },
		{ "/readyz", SL_API_HEALTH, "", "", "", "", "", "" },
		{ "/livez", SL_API_HEALTH, "", "", "", "", "", "" },
		{ "/livez/ping", SL_API_NONE, "", "", "", "", "", "" },
		{ "/metrics", SL_API_METRICS, "", "", "", "", "", "" },
		{ "/openapi/v2", SL_API_OPENAPI_V2, "", "", "", "", "", "" },
		{ "/openapi/v3", SL_API_NONE, "", "", "", "", "", "" },
		{ "/api", SL_API_CORE_VERSIONS, "", "", "", "", "", "" },
		{ "/apis", SL_API_GROUPS, "", "", "", "", "", "" },
		{ "/apis/apps", SL_API_GROUP, "apps", "", "", "", "", "" },
		{ "/api/v1", SL_API_RESOURCES, "", "v1", "", "", "", "" },
		{ "/apis/apps/v1", SL_API_RESOURCES, "apps", "v1", "", "", "", "" },
		{ "/api/v1/pods", SL_API_COLLECTION, "", "v1", "", "pods", "", "" },
		{ "/api/v1/namespaces", SL_API_COLLECTION, "", "v1", "", "namespaces", "", "" },
		{ "/api/v1/namespaces/x", SL_API_OBJECT, "", "v1", "", "namespaces", "x", "" },
		{ "/api/v1/namespaces/x/status", SL_API_SUBRESOURCE, "", "v1", "", "namespaces", "x",
		        "status" },
		{ "/api/v1/namespaces/x/revisions", SL_API_SUBRESOURCE, "", "v1", "", "namespaces", "x",
		        "revisions" },
		{ "/api/v1/namespaces/x/pods", SL_API_COLLECTION, "", "v1", "x", "pods", "", "" },
		{ "/api/v1/namespaces/x/pods/", SL_API_COLLECTION, "", "v1", "x", "pods", "", "" },
		{ "/api/v1/namespaces/x/pods/p", SL_API_OBJECT, "", "v1", "x", "pods", "p", "" },
		{ "/api/v1/namespaces/x/pods/p/log", SL_API_SUBRESOURCE, "", "v1", "x", "pods", "p", "log" },
		{ "/api/v1/namespaces/x/pods/p/log/y", SL_API_NONE, "", "", "", "", "", "" },
		{ "/api/v1/nodes/n", SL_API_OBJECT, "", "v1", "", "nodes", "n", "" },
		{ "/api/v1/nodes/n/status", SL_API_SUBRESOURCE, "", "v1", "", "nodes", "n", "status" },
		{ "/apis/apps/v1/deployments", SL_API_COLLECTION, "apps", "v1", "", "deployments", "", "" },
		{ "/apis/apps/v1/namespaces/x/deployments/d/scale", SL_API_SUBRESOURCE, "apps", "v1", "x",
		        "deployments", "d", "scale" },
		{ "/apis/a/v1/things/n/status", SL_API_SUBRESOURCE, "a", "v1", "", "things", "n", "status" },
		{ "/api/v1/namespaces/%78/pods/p%2Ep", SL_API_OBJECT, "", "v1", "x", "pods", "p.p", "" },
		{ "/apis/a/v1/namespaces/n/p/o/s/t", SL_API_NONE, "", "", "", "", "", "" },
		{ "/apis/a/v1/namespaces/n/p/o/s/t/u/v/w", SL_API_NONE, "", "", "", "", "", "" },
		{ "//api", SL_API_NONE, "", "", "", "", "", "" },
		{ "/api//pods", SL_API_NONE, "", "", "", "", "", "" },
		{ "/api/v1/namespaces//pods", SL_API_NONE, "", "", "", "", "", "" },
		{ "/apix", SL_API_NONE, "", "", "", "", "", "" },
		{ "/API", SL_API_NONE, "", "", "", "", "", "" },
		{ "/favicon.ico", SL_API_NONE, "", "", "", "", "", "" },
	};
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };
		struct sl_api_route route;
		sl_assert_ok(sl_api_route_parse(sl_str_c(cases[i].path), &arena, &route));
		if (route.endpoint != cases[i].endpoint)
			fail_msg("%s: endpoint %d", cases[i].path, (int)route.endpoint);
		sl_assert_str(route.group, cases[i].group);
		sl_assert_str(route.version, cases[i].version);
		sl_assert_str(route.ns, cases[i].ns);
		sl_assert_str(route.plural, cases[i].plural);
		sl_assert_str(route.name, cases[i].name);
		sl_assert_str(route.subresource, cases[i].sub);
	}
}

static void test_bad_paths(void **state)
{
	(void)state;
	static const char *const cases[] = { "/api/v1/pods/a%2fb", "/api/v1/pods/%", "/api/v1/pods/%4",
		"/api/v1/pods/%zz", "/api/v1/pods/%00", "/%2f" };
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };
		struct sl_api_route route;
		sl_assert_err(sl_api_route_parse(sl_str_c(cases[i]), &arena, &route), SL_ERR_MALFORMED);
	}
}

static void test_query(void **state)
{
	(void)state;
	SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };
	struct sl_api_query q;
	sl_assert_ok(sl_api_query_parse(
	        SL_STR("watch=1&labelSelector=app%3Dweb%2Ctier+in+(a)&fieldSelector=metadata.name%3Dx&timeoutSeconds=7&"
	               "allowWatchBookmarks=true&resourceVersion=12&fieldValidation=Strict&propagationPolicy=Orphan&dryRun=All&"
	               "unknown=%41&includeObject=Object&force"),
	        &arena, &q, NULL));
	assert_true(q.watch && q.bookmarks && q.dry_run && q.force && !q.follow);
	sl_assert_str(q.label_selector, "app=web,tier in (a)");
	sl_assert_str(q.field_selector, "metadata.name=x");
	sl_assert_str(q.resource_version, "12");
	assert_int_equal(q.timeout_s, 7);
	assert_int_equal(q.field_validation, SL_API_FIELDS_STRICT);
	assert_int_equal(q.propagation, SL_API_PROPAGATE_ORPHAN);
	assert_int_equal(q.include, SL_API_INCLUDE_OBJECT);
	assert_int_equal(q.limit, -1);

	sl_assert_ok(sl_api_query_parse(SL_STR("watch=false&limit=&fieldValidation="), &arena, &q, NULL));
	assert_false(q.watch);
	assert_int_equal(q.limit, -1);
	assert_int_equal(q.field_validation, SL_API_FIELDS_DEFAULT);
}

static void test_bad_queries(void **state)
{
	(void)state;
	static const struct {
		const char *query, *names;
	} cases[] = {
		{ "watch=maybe", "watch" },
		{ "limit=-1", "limit" },
		{ "limit=1.5", "limit" },
		{ "timeoutSeconds=99999999999999999999", "timeoutSeconds" },
		{ "fieldValidation=strict", "Warn|Strict|Ignore" },
		{ "propagationPolicy=Now", "Background|Foreground|Orphan" },
		{ "includeObject=All", "includeObject" },
		{ "dryRun=true", "dryRun" },
		{ "dryRun=", "dryRun" },
		{ "labelSelector=%zz", "percent" },
		{ "%=1", "percent" },
	};
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };
		SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
		struct sl_api_query q;
		sl_assert_err(
		        sl_api_query_parse(sl_str_c(cases[i].query), &arena, &q, &diag), SL_ERR_BAD_REQUEST);
		if (!strstr(sl_diag_text(&diag), cases[i].names))
			fail_msg("%s: \"%s\" does not name %s", cases[i].query, sl_diag_text(&diag),
			        cases[i].names);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_bad_paths),
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_bad_queries),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
