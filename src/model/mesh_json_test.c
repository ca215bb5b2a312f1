#include "base/test.h"
#include "model/mesh_json.h"

static const char example[] =
        "{ \"epoch\": 7,\n"
        "  \"listeners\": [{ \"name\": \"web\", \"address\": \"127.0.0.1\", \"port\": 8080, \"direction\": \"gateway\", "
        "\"routeConfig\": \"web\" },\n"
        "    { \"name\": \"db\", \"address\": \"127.0.0.1\", \"protocol\": \"tcp\", \"tcpCluster\": \"v1\" }],\n"
        "  \"routeConfigs\": [{ \"name\": \"web\", \"hosts\": [{ \"name\": \"all\", \"domains\": [\"*\", \"a:80\"], \"routes\": [\n"
        "    { \"name\": \"r\", \"match\": { \"path\": \"/api\", \"pathKind\": \"separatedPrefix\", \"ignoreCase\": true,\n"
        "        \"headers\": [{ \"name\": \"end-user\", \"kind\": \"regex\", \"value\": \"ja.*\", \"invert\": true }],\n"
        "        \"params\": [{ \"name\": \"debug\", \"kind\": \"present\" }] },\n"
        "      \"splits\": [{ \"cluster\": \"v1\", \"weight\": 95 },\n"
        "        { \"cluster\": \"v2\", \"weight\": 5, \"headers\": { \"request\": [{ \"op\": \"remove\", \"name\": \"x\" }] },\n"
        "          \"guard\": { \"fallback\": \"v1\", \"rollout\": \"ns/r\", \"generation\": 3, \"alpha\": 0.01, \"refusedRun\": 3, "
        "\"failureRun\": 10 } }],\n"
        "      \"timeout\": \"1.5s\", \"retry\": { \"attempts\": 2, \"on\": [\"connectFailure\", \"5xx\", \"statusCodes\"], "
        "\"perTryTimeout\": \"250ms\", \"statuses\": [503] },\n"
        "      \"rewrite\": { \"prefix\": \"/\", \"authority\": \"h\", \"regex\": \"a\", \"substitution\": \"b\" },\n"
        "      \"headers\": { \"response\": [{ \"op\": \"add\", \"name\": \"y\", \"value\": \"1\" }] } },\n"
        "    { \"action\": \"redirect\", \"redirect\": { \"scheme\": \"https\", \"authority\": \"h\", \"path\": \"/p\", \"port\": 8443, "
        "\"status\": 308 } },\n"
        "    { \"action\": \"direct\", \"directStatus\": 404, \"directBody\": \"none\" }] }] }],\n"
        "  \"clusters\": [{ \"name\": \"v1\", \"serviceHost\": \"s.ns\", \"serviceName\": \"s\", \"serviceNamespace\": \"ns\", \"rollout\": "
        "\"ns/r\", \"revision\": \"5d4f\",\n"
        "      \"lb\": \"leastRequest\", \"connectTimeout\": \"2s\", \"maxConnections\": 1, \"maxPending\": 2, \"maxRequests\": 3, "
        "\"maxRetries\": 4,\n"
        "      \"maxRequestsPerConnection\": 5, \"idleTimeout\": \"1h\",\n"
        "      \"endpoints\": [{ \"address\": \"127.0.0.1\", \"port\": 9001, \"weight\": 2, \"health\": \"draining\", \"pod\": \"p\", "
        "\"workload\": \"w\", \"namespace\": \"n\", \"app\": \"a\", \"version\": \"v\" }] },\n"
        "    { \"name\": \"v2\" }] }\n";

static struct sl_mesh *parse(const char *text)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	struct sl_mesh *mesh = NULL;
	sl_err err = sl_mesh_parse(&mesh, sl_str_c(text), &diag);

	assert_string_equal(sl_diag_text(&diag), "");
	sl_assert_ok(err);
	return mesh;
}

static void test_every_field(void **state)
{
	SL_CLEANUP(sl_mesh_unref) struct sl_mesh *mesh = parse(example);
	const struct sl_mesh_route *r = mesh->route_configs[0].hosts[0].routes;

	(void)state;
	assert_int_equal(mesh->epoch, 7);
	assert_int_equal(mesh->listeners[0].direction, SL_TRAFFIC_GATEWAY);
	assert_int_equal(mesh->listeners[1].protocol, SL_LISTENER_TCP);
	sl_assert_str(mesh->route_configs[0].hosts[0].domains[1], "a:80");
	assert_int_equal(r[0].match.path_kind, SL_PATH_SEPARATED_PREFIX);
	assert_true(r[0].match.path_ignore_case);
	assert_true(r[0].match.headers[0].match.invert);
	assert_int_equal(r[0].match.headers[0].match.kind, SL_MATCH_REGEX);
	assert_int_equal(r[0].match.params[0].match.kind, SL_MATCH_PRESENT);
	assert_int_equal(r[0].splits[0].weight, 95);
	assert_int_equal(r[0].splits[1].headers.request[0].kind, SL_HEADER_REMOVE);
	assert_int_equal(r[0].splits[1].guard.generation, 3);
	assert_true(r[0].splits[1].guard.alpha > 0.0099 && r[0].splits[1].guard.alpha < 0.0101);
	assert_int_equal(r[0].timeout, SL_MSEC(1500));
	assert_int_equal(r[0].retry.on, SL_RETRY_CONNECT_FAILURE | SL_RETRY_5XX | SL_RETRY_STATUS_CODES);
	assert_int_equal(r[0].retry.statuses[0], 503);
	sl_assert_str(r[0].rewrite.substitution, "b");
	assert_int_equal(r[1].redirect.status, 308);
	sl_assert_str(r[1].match.path, "/");
	sl_assert_str(r[2].direct_body, "none");
	assert_int_equal(mesh->clusters[0].lb, SL_LB_LEAST_REQUEST);
	assert_int_equal(mesh->clusters[0].idle_timeout, SL_SEC(3600));
	assert_int_equal(mesh->clusters[0].endpoints[0].health, SL_HEALTH_DRAINING);
	assert_int_equal(mesh->clusters[1].connect_timeout, SL_SEC(10)); /* the default */
}

static void test_print_and_parse(void **state)
{
	SL_CLEANUP(sl_mesh_unref) struct sl_mesh *mesh = parse(example), *again = NULL;
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 }, text_again = { 0 };

	(void)state;
	sl_mesh_print(mesh, &text);
	again = parse(sl_buf_cstr(&text));
	assert_true(sl_mesh_equal(mesh, again));
	assert_int_equal(again->epoch, 7);
	sl_mesh_print(again, &text_again);
	assert_string_equal(sl_buf_cstr(&text), sl_buf_cstr(&text_again));
}

static const struct {
	const char *in;
	sl_err err;
	const char *said;
} bad[] = {
	/* clang-format off */
	{ "{}",                                             SL_OK,          "" },
	{ "[]",                                             SL_ERR_INVALID, "is an array: needs an object" },
	{ "{\"epoc\":1}",                                   SL_ERR_INVALID, "epoc: is not a field here" },
	{ "{\"epoch\":\"1\"}",                              SL_ERR_INVALID, "epoch: is a string: needs an integer of 0 or more" },
	{ "{\"epoch\":-1}",                                 SL_ERR_INVALID, "epoch: is an integer: needs an integer of 0 or more" },
	{ "{\"clusters\":{}}",                              SL_ERR_INVALID, "clusters: is an object: needs an array" },
	{ "{\"clusters\":[1]}",                             SL_ERR_INVALID, "clusters[0]: is an integer: needs an object" },
	{ "{\"clusters\":[{\"name\":1}]}",                  SL_ERR_INVALID, "clusters[0].name: is an integer: needs a string" },
	{ "{\"clusters\":[{\"name\":\"a\",\"lb\":\"x\"}]}", SL_ERR_INVALID, "clusters[0].lb: \"x\" is none of roundRobin, leastRequest, random" },
	{ "{\"clusters\":[{\"name\":\"a\",\"connectTimeout\":3}]}",     SL_ERR_INVALID, "clusters[0].connectTimeout: is an integer: needs a duration such as \"250ms\"" },
	{ "{\"clusters\":[{\"name\":\"a\",\"connectTimeout\":\"3\"}]}", SL_ERR_INVALID, "clusters[0].connectTimeout: \"3\" is no duration such as \"250ms\"" },
	{ "{\"clusters\":[{\"name\":\"a\",\"maxRetries\":4294967296}]}", SL_ERR_INVALID, "clusters[0].maxRetries: 4294967296 is not in 0..4294967295" },
	{ "{\"clusters\":[{\"name\":\"a\",\"endpoints\":[{\"address\":\"127.0.0.1\",\"prt\":1}]}]}", SL_ERR_INVALID, "clusters[0].endpoints[0].prt: is not a field here" },
	{ "{\"clusters\":[{\"name\":\"a\"},{\"name\":\"a\"}]}", SL_ERR_INVALID, "clusters[a].name: \"a\" must be unique and not empty" },
	{ "{\"routeConfigs\":[{\"name\":\"r\",\"hosts\":[{\"domains\":[1]}]}]}", SL_ERR_INVALID, "routeConfigs[0].hosts[0].domains[0]: is an integer: needs a string" },
	/* clang-format on */
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(bad); i++) {
		SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
		SL_CLEANUP(sl_mesh_unref) struct sl_mesh *mesh = NULL;

		sl_assert_err(sl_mesh_parse(&mesh, sl_str_c(bad[i].in), &diag), bad[i].err);
		assert_string_equal(sl_diag_text(&diag), bad[i].said);
		assert_true((mesh != NULL) == (bad[i].err == SL_OK));
	}
}

static void test_not_json(void **state)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	struct sl_mesh *mesh = NULL;

	(void)state;
	sl_assert_err(sl_mesh_parse(&mesh, SL_STR("{ \"epoch\": 1"), &diag), SL_ERR_MALFORMED);
	assert_true(diag.count > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_field),
		cmocka_unit_test(test_print_and_parse),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_not_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
