#include "base/test.h"

#include "model/kind.h"
#include "model/object.h"

static json_t *parse(const char *text)
{
	json_error_t error;
	json_t *v = json_loads(text, JSON_REJECT_DUPLICATES, &error);

	if (!v)
		fail_msg("%s: %s", error.text, text);
	return v;
}

static void test_lookup(void **state)
{
	static const struct {
		const char *group, *version, *plural, *kind; /* kind NULL: none */
	} cases[] = {
		{ "", "v1", "pods", "Pod" },
		{ "apps", "v1", "deployments", "Deployment" },
		{ "networking.istio.io", "v1", "gateways", "Gateway" },
		{ "networking.istio.io", "v1alpha3", "virtualservices", "VirtualService" },
		{ "gateway.networking.k8s.io", "v1", "gateways", "Gateway" },
		{ "argoproj.io", "v1alpha1", "rollouts", "Rollout" },
		{ "apps", "v1beta1", "deployments", NULL },
		{ "", "v1", "deployments", NULL },
		{ "apps", "v1", "Deployment", NULL },
		{ "apps", "", "deployments", NULL },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		const struct sl_kind *k = sl_kind_by_plural(
		        sl_str_c(cases[i].group), sl_str_c(cases[i].version), sl_str_c(cases[i].plural));

		if (!cases[i].kind) {
			assert_null(k);
			continue;
		}
		assert_non_null(k);
		assert_string_equal(k->kind, cases[i].kind);
		assert_ptr_equal(k, sl_kind_get(k->id));
	}
}

static void test_words(void **state)
{
	static const struct {
		const char *word;
		int id; /* -1: none */
	} cases[] = {
		{ "vs", SL_KIND_VIRTUAL_SERVICE },
		{ "deploy", SL_KIND_DEPLOYMENT },
		{ "Deployments", SL_KIND_DEPLOYMENT },
		{ "gateway", SL_KIND_ISTIO_GATEWAY },
		{ "gateways.gateway.networking.k8s.io", SL_KIND_GATEWAY },
		{ "gateways.v1.gateway.networking.k8s.io", SL_KIND_GATEWAY },
		{ "gateways.v7.gateway.networking.k8s.io", -1 },
		{ "ro", SL_KIND_ROLLOUT },
		{ "deployment.batch", -1 },
		{ "", -1 },
		{ "pods.", SL_KIND_POD },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		const struct sl_kind *k = sl_kind_by_word(sl_str_c(cases[i].word));

		assert_int_equal(k ? (int)k->id : -1, cases[i].id);
	}
}

static void test_kind_of(void **state)
{
	static const struct {
		const char *json;
		sl_err err;
		const char *text; /* in the diagnosis */
	} cases[] = {
		{ "{\"apiVersion\":\"v1\",\"kind\":\"Pod\"}", SL_OK, NULL },
		{ "{\"apiVersion\":\"networking.istio.io/v1beta1\",\"kind\":\"VirtualService\"}", SL_OK,
		        NULL },
		{ "{\"kind\":\"Pod\"}", SL_ERR_BAD_REQUEST, "apiVersion" },
		{ "{\"apiVersion\":\"v1\"}", SL_ERR_BAD_REQUEST, "kind: missing" },
		{ "{\"apiVersion\":1,\"kind\":\"Pod\"}", SL_ERR_BAD_REQUEST, "apiVersion" },
		{ "{\"apiVersion\":\"v1\",\"kind\":\"Deployment\"}", SL_ERR_NOT_FOUND, "is in \"apps/v1\"" },
		{ "{\"apiVersion\":\"apps/\",\"kind\":\"Deployment\"}", SL_ERR_NOT_FOUND,
		        "is in \"apps/v1\"" },
		{ "{\"apiVersion\":\"v1\",\"kind\":\"pod\"}", SL_ERR_NOT_FOUND, "kind \"Pod\" is in \"v1\"" },
		{ "{\"apiVersion\":\"v1\",\"kind\":\"Unicorn\"}", SL_ERR_NOT_FOUND, "no kind \"Unicorn\"" },
		{ "[]", SL_ERR_BAD_REQUEST, "JSON object" },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
		const struct sl_kind *kind = NULL;
		json_t *v = parse(cases[i].json);

		sl_assert_err(sl_kind_of(v, &kind, &diag), cases[i].err);
		if (cases[i].text)
			assert_non_null(strstr(sl_diag_text(&diag), cases[i].text));
		json_decref(v);
	}
}

static void test_decode_virtual_service(void **state)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };
	struct sl_krm_virtual_service *vs;
	const struct sl_krm_http_route *r;
	json_t *v = parse(
	        "{\"apiVersion\":\"networking.istio.io/v1\",\"kind\":\"VirtualService\",\"metadata\":{\"name\":\"reviews\","
	        "\"labels\":{\"a\":\"b\"}},\"spec\":{\"hosts\":[\"reviews\"],\"http\":[{\"match\":[{\"headers\":{\"end-user\":"
	        "{\"exact\":\"jason\"}}}],\"route\":[{\"destination\":{\"host\":\"reviews\",\"subset\":\"v2\"}}],"
	        "\"timeout\":\"1.5s\",\"fault\":{\"abort\":{\"httpStatus\":500}}},"
	        "{\"route\":[{\"destination\":{\"host\":\"reviews\",\"port\":{\"number\":80}},\"weight\":0}]}]}}");

	(void)state;
	sl_assert_ok(sl_krm_virtual_service_decode(v, &arena, &vs, NULL));
	json_decref(v); /* strings were copied */
	sl_assert_str(vs->metadata.name, "reviews");
	sl_assert_str(sl_krm_pair_get(vs->metadata.labels, vs->metadata.labels_count, SL_STR("a")), "b");
	assert_int_equal(vs->spec.http_count, 2);
	r = &vs->spec.http[0];
	assert_true(r->has_timeout && r->timeout == SL_MSEC(1500));
	assert_int_equal(r->match_count, 1);
	sl_assert_str(r->match[0].headers[0].key, "end-user");
	sl_assert_str(r->match[0].headers[0].value.exact, "jason");
	sl_assert_str(r->route[0].destination.subset, "v2");
	assert_false(r->route[0].has_weight);
	assert_null(r->route[0].destination.port);
	r = &vs->spec.http[1];
	assert_true(r->route[0].has_weight && r->route[0].weight == 0);
	assert_int_equal(r->route[0].destination.port->number, 80);
	assert_null(r->redirect);
}

static void test_decode_defaults(void **state)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };
	struct sl_krm_rollout *ro;
	struct sl_krm_deployment *dep;
	int64_t n;
	json_t *v = parse(
	        "{\"spec\":{\"strategy\":{\"canary\":{\"steps\":[{\"setWeight\":20},{\"pause\":{}},{\"pause\":{\"duration\":"
	        "\"10m\"}}],\"maxSurge\":1}}}}");

	(void)state;
	sl_assert_ok(sl_krm_rollout_decode(v, &arena, &ro, NULL));
	assert_int_equal(ro->spec.replicas, 1);
	assert_int_equal(ro->spec.progress_deadline_seconds, 600);
	assert_int_equal(ro->spec.strategy.canary->steps_count, 3);
	assert_true(ro->spec.strategy.canary->steps[0].has_set_weight);
	assert_non_null(ro->spec.strategy.canary->steps[1].pause);
	assert_int_equal(ro->spec.strategy.canary->steps[1].pause->duration.kind, SL_INTSTR_NONE);
	sl_assert_str(ro->spec.strategy.canary->steps[2].pause->duration.str, "10m");
	assert_int_equal(ro->spec.strategy.canary->max_surge.num, 1);
	sl_assert_str(ro->spec.strategy.canary->max_unavailable.str, "25%");
	assert_int_equal(ro->spec.template.spec.termination_grace_period_seconds, 30);
	assert_int_equal(ro->spec.template.spec.restart_policy, SL_KRM_POD_SPEC_RESTART_POLICY_ALWAYS);
	assert_false(ro->status.has_current_step_index);
	sl_assert_ok(sl_intstr_scaled(&ro->spec.strategy.canary->max_unavailable, 5, true, 0, &n));
	assert_int_equal(n, 2);
	sl_assert_ok(sl_intstr_scaled(&ro->spec.strategy.canary->max_unavailable, 5, false, 0, &n));
	assert_int_equal(n, 1);
	sl_assert_err(sl_intstr_scaled(&ro->spec.strategy.canary->steps[2].pause->duration, 5, false, 0, &n),
	        SL_ERR_INVALID);
	json_decref(v);

	v = json_object();
	sl_assert_ok(sl_krm_deployment_decode(v, &arena, &dep, NULL));
	assert_int_equal(dep->spec.strategy.type, SL_KRM_DEPLOYMENT_STRATEGY_TYPE_ROLLING_UPDATE);
	json_decref(v);
}

static void test_decode_bad(void **state)
{
	static const struct {
		enum sl_kind_id id;
		const char *json, *text;
	} cases[] = {
		{ SL_KIND_POD, "{\"spec\":[]}", "spec: an object is wanted" },
		{ SL_KIND_POD, "{\"spec\":{\"containers\":{}}}", "spec.containers: a list is wanted" },
		{ SL_KIND_POD, "{\"spec\":{\"containers\":[{\"name\":1}]}}",
		        "spec.containers[0].name: a string" },
		{ SL_KIND_POD, "{\"spec\":{\"restartPolicy\":\"Sometimes\"}}",
		        "spec.restartPolicy: Always|OnFailure|Never" },
		{ SL_KIND_POD, "{\"metadata\":{\"labels\":{\"a\":1}}}", "metadata.labels[a]: a string" },
		{ SL_KIND_DEPLOYMENT, "{\"spec\":{\"replicas\":\"3\"}}", "spec.replicas: an integer" },
		{ SL_KIND_DEPLOYMENT, "{\"spec\":{\"replicas\":1e300}}", "spec.replicas: an integer" },
		{ SL_KIND_DEPLOYMENT, "{\"spec\":{\"paused\":\"yes\"}}", "spec.paused: true or false" },
		{ SL_KIND_VIRTUAL_SERVICE, "{\"spec\":{\"http\":[{\"timeout\":\"fast\"}]}}",
		        "spec.http[0].timeout: a duration" },
		{ SL_KIND_CONFIG_MAP, "{}", "" }, /* not typed */
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };
		SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
		json_t *v = parse(cases[i].json);
		void *typed = NULL;

		sl_assert_err(sl_kind_decode(sl_kind_get(cases[i].id), v, &arena, &typed, &diag),
		        cases[i].text[0] ? SL_ERR_INVALID : SL_ERR_UNSUPPORTED);
		assert_null(typed);
		assert_non_null(strstr(sl_diag_text(&diag), cases[i].text));
		json_decref(v);
	}
}

static void test_nearest(void **state)
{
	static const struct {
		const char *typo, *right; /* right NULL: nothing is near */
	} cases[] = {
		{ "rout", "route" },
		{ "routes", "route" },
		{ "Match", "match" },
		{ "time-out", "timeout" },
		{ "direct_response", "directResponse" },
		{ "zzzzzzzz", NULL },
		{ "", NULL },
	};
	const struct sl_schema_type *http = sl_schema_field(
	        sl_schema_field(sl_kind_get(SL_KIND_VIRTUAL_SERVICE)->type, SL_STR("spec"))->type,
	        SL_STR("http"))
	                                            ->type;

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		const struct sl_schema_field *f = sl_schema_nearest(http, sl_str_c(cases[i].typo));

		if (cases[i].right)
			assert_string_equal(f ? f->name : "(none)", cases[i].right);
		else
			assert_null(f);
	}
}

static void test_objects(void **state)
{
	struct sl_condition c = {
		.type = "Ready", .status = "False", .reason = "Why", .message = "m", .observed_generation = 2
	};
	json_t *v = parse(
	        "{\"metadata\":{\"name\":\"x\",\"labels\":{\"a.b/c\":\"d\"},\"generation\":3},\"spec\":{\"a\":{\"b\":7}}}");

	(void)state;
	sl_assert_str(sl_obj_name(v), "x");
	sl_assert_str(sl_obj_namespace(v), "");
	sl_assert_str(sl_obj_label(v, "a.b/c"), "d");
	assert_int_equal(sl_obj_generation(v), 3);
	assert_int_equal(sl_obj_get_int(v, "spec.a.b", -1), 7);
	assert_int_equal(sl_obj_get_int(v, "spec.a.b.c", -1), -1);
	sl_obj_set(v, "spec.a.b.c", json_string("over a scalar"));
	sl_assert_str(sl_obj_get_str(v, "spec.a.b.c"), "over a scalar");

	assert_true(sl_obj_set_condition(v, &c, 0));
	assert_false(sl_obj_set_condition(v, &c, SL_SEC(5)));
	c.message = "other";
	assert_true(sl_obj_set_condition(v, &c, SL_SEC(5)));
	sl_assert_str(
	        sl_obj_get_str(sl_obj_condition(v, "Ready"), "lastTransitionTime"), "1970-01-01T00:00:00Z");
	c.status = "True";
	assert_true(sl_obj_set_condition(v, &c, SL_SEC(5)));
	sl_assert_str(
	        sl_obj_get_str(sl_obj_condition(v, "Ready"), "lastTransitionTime"), "1970-01-01T00:00:05Z");
	json_decref(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lookup),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_kind_of),
		cmocka_unit_test(test_decode_virtual_service),
		cmocka_unit_test(test_decode_defaults),
		cmocka_unit_test(test_decode_bad),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_objects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
