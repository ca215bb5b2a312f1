#include "base/test.h"

#include "model/defaults.h"
#include "model/hash.h"
#include "model/honoured.h"
#include "model/model_test_priv.h"
#include "model/validate.h"

/* Every bad case is one change of a good object: the value put at a path (or taken away where json is NULL). */
static const char *const good[SL_KIND_COUNT] = {
	[SL_KIND_NAMESPACE] = "{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'prod'}}",
	[SL_KIND_SERVICE] =
	        "{'apiVersion':'v1','kind':'Service','metadata':{'name':'reviews','labels':{'app':'reviews'}},'spec':{'ports':"
	        "[{'port':9080,'name':'http'}],'selector':{'app':'reviews'}}}",
	[SL_KIND_POD] =
	        "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'p'},'spec':{'containers':[{'name':'c','image':'a:b','env':"
	        "[{'name':'X','value':'1'},{'name':'N','valueFrom':{'fieldRef':{'fieldPath':'metadata.name'}}}],'ports':"
	        "[{'containerPort':80,'name':'http'}],'readinessProbe':{'httpGet':{'port':'http'}},'resources':{'limits':{'cpu':2,"
	        "'memory':'64Mi'}}}],'volumes':[{'name':'v','emptyDir':{}}]}}",
	[SL_KIND_SECRET] =
	        "{'apiVersion':'v1','kind':'Secret','metadata':{'name':'s'},'data':{'a.b':'aGk='},'stringData':{'c':'d'}}",
	[SL_KIND_CONFIG_MAP] =
	        "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'c'},'data':{'a':'b'}}",
	[SL_KIND_DEPLOYMENT] =
	        "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'d','creationTimestamp':null},'spec':{'replicas':2,"
	        "'selector':{'matchLabels':{'app':'x'}},'strategy':{'rollingUpdate':{'maxSurge':'50%','maxUnavailable':0}},"
	        "'template':{'metadata':{'labels':{'app':'x','v':'1'}},'spec':{'containers':[{'name':'c','image':'i'}]}}}}",
	[SL_KIND_VIRTUAL_SERVICE] =
	        "{'apiVersion':'networking.istio.io/v1','kind':'VirtualService','metadata':{'name':'reviews'},'spec':{'hosts':['reviews','*.a.b'],"
	        "'http':[{'match':[{'uri':{'prefix':'/a'},'headers':{'x':{}}}],'route':[{'destination':{'host':'reviews','subset':'v1'},'weight':90},"
	        "{'destination':{'host':'reviews','subset':'v2'},'weight':10}],'timeout':'2s','fault':{'delay':{'fixedDelay':'7s'}}},"
	        "{'directResponse':{'status':404}}]}}",
	[SL_KIND_DESTINATION_RULE] =
	        "{'apiVersion':'networking.istio.io/v1alpha3','kind':'DestinationRule','metadata':{'name':'r'},'spec':{"
	        "'host':'reviews','subsets':[{'name':'v1','labels':{'version':'v1'}}],'trafficPolicy':{'loadBalancer':"
	        "{'simple':'RANDOM'}}}}",
	[SL_KIND_ROLLOUT] =
	        "{'apiVersion':'argoproj.io/v1alpha1','kind':'Rollout','metadata':{'name':'r'},'spec':{'selector':{'matchLabels':"
	        "{'app':'x'}},'template':{'metadata':{'labels':{'app':'x'}},'spec':{'containers':[{'name':'c','image':'i'}]}},"
	        "'strategy':{'canary':{'canaryService':'a','stableService':'b','trafficRouting':{'istio':{'virtualService':{'name':'v'}}},"
	        "'steps':[{'setWeight':20},{'pause':{}},{'pause':{'duration':'10m'}},{'setCanaryScale':{'replicas':1}}]}}}}",
	[SL_KIND_ANALYSIS_TEMPLATE] =
	        "{'apiVersion':'argoproj.io/v1alpha1','kind':'AnalysisTemplate','metadata':{'name':'t'},'spec':{'args':"
	        "[{'name':'a'}],'metrics':[{'name':'m','provider':{'sluice':{'alpha':0.05}}},{'name':'n','provider':"
	        "{'plugin':{'any/thing':{'x':[1]}}}}]}}",
};

static const struct {
	enum sl_kind_id id;
	const char *path, *json,
	        *text; /* json NULL takes away; text stands in the diagnosis; NULL text: fine */
} changes[] = {
	/* clang-format off */
	/* unknown fields */
	{ SL_KIND_VIRTUAL_SERVICE, "spec.http.0.rout", "[]", "spec.http[0].rout: unknown field; did you mean \"route\"?" },
	{ SL_KIND_DEPLOYMENT, "spec.replica", "1", "spec.replica: unknown field; did you mean \"replicas\"?" },
	{ SL_KIND_DEPLOYMENT, "spec.template.spec.containers.0.imagePullpolicy", "'Always'", "did you mean \"imagePullPolicy\"?" },
	{ SL_KIND_POD, "spec.wibble", "{}", "spec.wibble: unknown field" },
	{ SL_KIND_POD, "metadata.annotation", "{}", "did you mean \"annotations\"?" },
	/* types */
	{ SL_KIND_DEPLOYMENT, "spec.replicas", "'2'", "spec.replicas: \"2\" is a string; an integer is wanted" },
	{ SL_KIND_DEPLOYMENT, "spec.replicas", "1.5", "spec.replicas: it is a number; an integer is wanted" },
	{ SL_KIND_DEPLOYMENT, "spec.replicas", "3.0", NULL },
	{ SL_KIND_DEPLOYMENT, "spec.replicas", "null", NULL },
	{ SL_KIND_DEPLOYMENT, "spec.template", "[]", "spec.template: it is a list; an object is wanted" },
	{ SL_KIND_DEPLOYMENT, "spec.paused", "'true'", "true or false is wanted" },
	{ SL_KIND_POD, "spec.containers", "{}", "spec.containers: it is an object; a list is wanted" },
	{ SL_KIND_POD, "spec.containers.0.image", "7", "spec.containers[0].image: it is an integer; a string is wanted" },
	{ SL_KIND_POD, "spec.containers.0.env.0.value", "1", "a string is wanted" },
	{ SL_KIND_POD, "spec.containers.0.command", "[null]", "command[0]: it is null" },
	{ SL_KIND_POD, "metadata.labels", "{'a':true}", "metadata.labels[a]: it is a boolean" },
	{ SL_KIND_POD, "spec.containers.0.resources.limits.memory", "'64Mb'", "is no quantity" },
	{ SL_KIND_POD, "metadata.creationTimestamp", "'yesterday'", "is no time" },
	{ SL_KIND_VIRTUAL_SERVICE, "spec.http.0.timeout", "'2'", "is no duration" },
	{ SL_KIND_VIRTUAL_SERVICE, "spec.http.0.timeout", "2", "a string is wanted" },
	{ SL_KIND_SECRET, "data.x", "'not base64!'", "data[x]: it is not base64" },
	{ SL_KIND_SECRET, "data.x", "'aGk'", "it is not base64" },
	{ SL_KIND_SECRET, "data.x", "'a=Gk'", "it is not base64" },
	/* required, enums, ranges */
	{ SL_KIND_POD, "metadata.name", NULL, "metadata.name: missing" },
	{ SL_KIND_POD, "spec", NULL, "spec: missing" },
	{ SL_KIND_POD, "spec.containers", NULL, "spec.containers: missing; it is required" },
	{ SL_KIND_POD, "spec.containers", "[]", "at least one element" },
	{ SL_KIND_POD, "spec.containers.0.name", NULL, "spec.containers[0].name: missing" },
	{ SL_KIND_SERVICE, "spec.ports.0.port", NULL, "spec.ports[0].port: missing" },
	{ SL_KIND_SERVICE, "spec.ports.0.port", "0", "1 to 65535 is wanted" },
	{ SL_KIND_SERVICE, "spec.ports.0.port", "65536", "65536 is not allowed" },
	{ SL_KIND_SERVICE, "spec.ports.0.protocol", "'tcp'", "\"tcp\" is not supported; TCP, UDP or SCTP is wanted" },
	{ SL_KIND_SERVICE, "spec.ports.0.targetPort", "'UPPER'", "targetPort: \"UPPER\"" },
	{ SL_KIND_SERVICE, "spec.ports.0.targetPort", "0", "1 to 65535" },
	{ SL_KIND_SERVICE, "spec.ports.0.targetPort", "'http'", NULL },
	{ SL_KIND_DEPLOYMENT, "spec.replicas", "-1", "-1 is too small; 0 or more is wanted" },
	{ SL_KIND_DEPLOYMENT, "spec.replicas", "4294967296", "is too small; 0 or more" },
	{ SL_KIND_DEPLOYMENT, "spec.strategy.type", "'Sometimes'", "Recreate or RollingUpdate is wanted" },
	{ SL_KIND_DEPLOYMENT, "spec.strategy.rollingUpdate.maxSurge", "'lots'", "\"25%\"" },
	{ SL_KIND_DEPLOYMENT, "spec.strategy.rollingUpdate.maxSurge", "0", "nothing could move" },
	{ SL_KIND_ANALYSIS_TEMPLATE, "spec.metrics.0.provider.sluice.alpha", "2", "0 to 1 is wanted" },
	/* names */
	{ SL_KIND_POD, "metadata.name", "'Web'", "metadata.name: \"Web\": lower-case" },
	{ SL_KIND_POD, "metadata.name", "'web.example.com'", NULL },
	{ SL_KIND_SERVICE, "metadata.name", "'web.example.com'", "metadata.name" },
	{ SL_KIND_SERVICE, "metadata.name", "'-web'", "begin and end" },
	{ SL_KIND_NAMESPACE, "metadata.namespace", "'x'", "a Namespace has no namespace" },
	{ SL_KIND_POD, "metadata.labels", "{'a b':'c'}", "the key \"a b\"" },
	{ SL_KIND_POD, "metadata.labels", "{'example.com/a':'c d'}", "metadata.labels[example.com/a]" },
	{ SL_KIND_POD, "metadata.annotations", "{'example.com/a':'any text, long'}", NULL },
	{ SL_KIND_CONFIG_MAP, "data.x y", "''", "the key \"x y\"" },
	{ SL_KIND_VIRTUAL_SERVICE, "spec.hosts", "['a b']", "spec.hosts[0]: \"a b\"" },
	{ SL_KIND_VIRTUAL_SERVICE, "spec.hosts", "['a.*.b']", "at most one '*'" },
	/* rules across fields */
	{ SL_KIND_SERVICE, "spec.ports", "[]", "spec.ports: missing; at least one port" },
	{ SL_KIND_SERVICE, "spec.clusterIP", "'None'", NULL },
	{ SL_KIND_SERVICE, "spec.clusterIP", "'auto'", "an address, or None" },
	{ SL_KIND_SERVICE, "spec.ports", "[{'port':1},{'port':2,'name':'b'}]", "spec.ports[0].name: missing" },
	{ SL_KIND_SERVICE, "spec.ports", "[{'port':1,'name':'a'},{'port':2,'name':'a'}]", "spec.ports[1].name: \"a\" stands twice" },
	{ SL_KIND_SERVICE, "spec.ports", "[{'port':1,'name':'a'},{'port':1,'name':'b'}]", "port 1 stands twice" },
	{ SL_KIND_SERVICE, "spec.ports", "[{'port':1,'name':'a'},{'port':1,'name':'b','protocol':'UDP'}]", NULL },
	{ SL_KIND_SERVICE, "spec.type", "'ExternalName'", "spec.externalName: missing" },
	{ SL_KIND_POD, "spec.containers.1", "{'name':'c'}", "spec.containers[1].name: \"c\" stands twice" },
	{ SL_KIND_POD, "spec.containers.0.readinessProbe.exec", "{'command':['x']}", "it has 2 handlers" },
	{ SL_KIND_POD, "spec.containers.0.livenessProbe", "{}", "it has 0 handlers" },
	{ SL_KIND_POD, "spec.containers.0.env.1.value", "'x'", "value and valueFrom exclude each other" },
	{ SL_KIND_POD, "spec.containers.0.env.1.valueFrom.fieldRef.fieldPath", "'spec.everything'", "is not supported" },
	{ SL_KIND_POD, "spec.containers.0.env.1.valueFrom.fieldRef.fieldPath", "'metadata.labels[\\u0027app\\u0027]'", NULL },
	{ SL_KIND_DEPLOYMENT, "spec.selector", NULL, "spec.selector: missing" },
	{ SL_KIND_DEPLOYMENT, "spec.selector", "{}", "it is empty" },
	{ SL_KIND_DEPLOYMENT, "spec.selector.matchLabels.app", "'y'", "spec.template.metadata.labels: the selector does not match" },
	{ SL_KIND_DEPLOYMENT, "spec.selector.matchExpressions", "[{'key':'a','operator':'In'}]", "In and NotIn want values" },
	{ SL_KIND_DEPLOYMENT, "spec.strategy.type", "'Recreate'", "leave it out" },
	{ SL_KIND_DEPLOYMENT, "spec.template.spec.restartPolicy", "'Never'", "spec.template.spec.restartPolicy" },
	{ SL_KIND_VIRTUAL_SERVICE, "spec.http.0.route.0.weight", "-1", "weight: -1" },
	{ SL_KIND_VIRTUAL_SERVICE, "spec.http.0.route.0.weight", "0", NULL },
	{ SL_KIND_VIRTUAL_SERVICE, "spec.http.0.route", "[{'destination':{'host':'a'}},{'destination':{'host':'b'}}]", "sum to 0" },
	{ SL_KIND_VIRTUAL_SERVICE, "spec.http.0.route", "[]", "at least one destination" },
	{ SL_KIND_VIRTUAL_SERVICE, "spec.http.0.route.0.destination", NULL, "destination: missing" },
	{ SL_KIND_VIRTUAL_SERVICE, "spec.http.0.redirect", "{'uri':'/'}", "it has 2 of them" },
	{ SL_KIND_VIRTUAL_SERVICE, "spec.http.1", "{}", "spec.http[1]: it is empty" },
	{ SL_KIND_VIRTUAL_SERVICE, "spec.http.1", "{'redirect':{'redirectCode':200}}", "is no redirect" },
	{ SL_KIND_VIRTUAL_SERVICE, "spec.http.0.match.0.uri.exact", "'/b'", "exactly one of exact, prefix, regex" },
	{ SL_KIND_VIRTUAL_SERVICE, "spec.http", NULL, "no routes" },
	{ SL_KIND_DESTINATION_RULE, "spec.host", NULL, "spec.host: missing" },
	{ SL_KIND_DESTINATION_RULE, "spec.subsets.1", "{'name':'v1'}", "spec.subsets[1].name: \"v1\" stands twice" },
	{ SL_KIND_DESTINATION_RULE, "spec.trafficPolicy.loadBalancer.simple", "'BEST'", "\"BEST\" is not supported" },
	{ SL_KIND_ROLLOUT, "spec.strategy.canary.steps.0.pause", "{}", "steps[0]: it has 2 of them" },
	{ SL_KIND_ROLLOUT, "spec.strategy.canary.steps.0", "{}", "steps[0]: it is empty" },
	{ SL_KIND_ROLLOUT, "spec.strategy.canary.steps.0.setWeight", "101", "0 to 100 is wanted" },
	{ SL_KIND_ROLLOUT, "spec.strategy.canary.steps.2.pause.duration", "'soon'", "a duration such as \"10m\"" },
	{ SL_KIND_ROLLOUT, "spec.strategy.canary.steps.2.pause.duration", "30", NULL },
	{ SL_KIND_ROLLOUT, "spec.strategy.canary.steps.0", "{'analysis':{}}", "analysis.templates: missing" },
	{ SL_KIND_ROLLOUT, "spec.strategy.canary.trafficRouting", NULL, "it needs strategy.canary.trafficRouting" },
	{ SL_KIND_ROLLOUT, "spec.strategy.canary.canaryService", NULL, "canaryService: missing" },
	{ SL_KIND_ROLLOUT, "spec.strategy.canary.canaryService", "'b'", "is the stableService too" },
	{ SL_KIND_ROLLOUT, "spec.strategy.blueGreen", "{'activeService':'a'}", "spec.strategy: it has 2 of them" },
	{ SL_KIND_ROLLOUT, "spec.strategy", NULL, "spec.strategy: it is empty" },
	{ SL_KIND_ROLLOUT, "spec.workloadRef", "{'kind':'Deployment','name':'d','apiVersion':'apps/v1'}", "exclude each other" },
	{ SL_KIND_ANALYSIS_TEMPLATE, "spec.metrics", "[]", "at least one metric" },
	{ SL_KIND_ANALYSIS_TEMPLATE, "spec.metrics.0.provider", "{}", "spec.metrics[0].provider: it is empty" },
	{ SL_KIND_ANALYSIS_TEMPLATE, "spec.metrics.1.name", "'m'", "spec.metrics[1].name: \"m\" stands twice" },
	/* clang-format on */
};

static json_t *step_into(json_t *at, const char *key)
{
	return json_is_array(at) ? json_array_get(at, strtoul(key, NULL, 10)) : json_object_get(at, key);
}

static void change(json_t *obj, const char *path, const char *json)
{
	char copy[128], *key = copy, *dot;

	snprintf(copy, sizeof(copy), "%s", path);
	for (; (dot = strchr(key, '.')); key = dot + 1) {
		*dot = 0;
		if (!step_into(obj, key))
			json_object_set_new(obj, key, json_object());
		obj = step_into(obj, key);
	}
	if (json_is_array(obj) && strtoul(key, NULL, 10) == json_array_size(obj))
		json_array_append_new(obj, parse_json(json));
	else if (json_is_array(obj))
		json_array_set_new(obj, strtoul(key, NULL, 10), parse_json(json));
	else if (json)
		json_object_set_new(obj, key, parse_json(json));
	else
		assert_int_equal(json_object_del(obj, key), 0);
}

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_KIND_COUNT; i++) {
		SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 }, warnings = { 0 };
		json_t *obj = good[i] ? parse_json(good[i]) : NULL;

		if (!obj)
			continue;
		sl_assert_ok(sl_validate(
		        sl_kind_get((enum sl_kind_id)i), obj, SL_UNKNOWN_ERROR, &warnings, &diag));
		assert_string_equal(sl_diag_text(&diag), "");
		assert_string_equal(sl_diag_text(&warnings), "");
		json_decref(obj);
	}
}

static void test_changes(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(changes); i++) {
		SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
		json_t *obj = parse_json(good[changes[i].id]);
		sl_err err;

		change(obj, changes[i].path, changes[i].json);
		err = sl_validate(sl_kind_get(changes[i].id), obj, SL_UNKNOWN_ERROR, NULL, &diag);
		if (!changes[i].text && err != SL_OK)
			fail_msg("%s = %s: refused: %s", changes[i].path, changes[i].json,
			        sl_diag_text(&diag));
		if (changes[i].text && (err == SL_OK || !strstr(sl_diag_text(&diag), changes[i].text)))
			fail_msg("%s = %s: wanted \"%s\", got \"%s\"", changes[i].path,
			        changes[i].json ? changes[i].json : "(gone)", changes[i].text,
			        sl_diag_text(&diag));
		json_decref(obj);
	}
}

static void test_unknown_modes(void **state)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 }, warnings = { 0 };
	const struct sl_kind *kind = sl_kind_get(SL_KIND_POD);
	json_t *obj = parse_json(good[SL_KIND_POD]);

	(void)state;
	change(obj, "spec.wibble", "{'a':1}");
	sl_assert_err(sl_validate(kind, obj, SL_UNKNOWN_ERROR, &warnings, &diag), SL_ERR_BAD_REQUEST);
	assert_int_equal(warnings.count, 0);
	sl_assert_ok(sl_validate(kind, obj, SL_UNKNOWN_IGNORE, &warnings, NULL));
	assert_int_equal(warnings.count, 0);
	sl_assert_ok(sl_validate(kind, obj, SL_UNKNOWN_WARN, &warnings, NULL));
	assert_int_equal(warnings.count, 1);
	sl_prune(kind, obj);
	sl_assert_ok(sl_validate(kind, obj, SL_UNKNOWN_ERROR, NULL, NULL));
	assert_json(obj, good[SL_KIND_POD]);
}

static void test_weights_warn(void **state)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag warnings = { 0 };
	json_t *obj = parse_json(good[SL_KIND_VIRTUAL_SERVICE]);

	(void)state;
	change(obj, "spec.http.0.route.0.weight", "80");
	sl_assert_ok(
	        sl_validate(sl_kind_get(SL_KIND_VIRTUAL_SERVICE), obj, SL_UNKNOWN_ERROR, &warnings, NULL));
	assert_non_null(strstr(sl_diag_text(&warnings), "spec.http[0].route: the weights sum to 90"));
	json_decref(obj);
}

static void test_bounded(void **state)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	json_t *obj = parse_json(good[SL_KIND_ANALYSIS_TEMPLATE]), *deep = json_object(), *at = deep;

	(void)state;
	for (int i = 0; i < 100; i++) {
		json_object_set_new(at, "a", json_object());
		at = json_object_get(at, "a");
	}
	json_object_set_new(json_object_get(json_array_get(sl_obj_get(obj, "spec.metrics"), 1), "provider"),
	        "plugin", deep);
	sl_assert_err(sl_validate(sl_kind_get(SL_KIND_ANALYSIS_TEMPLATE), obj, SL_UNKNOWN_ERROR, NULL, &diag),
	        SL_ERR_INVALID);
	assert_non_null(strstr(sl_diag_text(&diag), "nested deeper"));
	json_decref(obj);
}

static void test_update(void **state)
{
	static const struct {
		enum sl_kind_id id;
		const char *before_path, *before, *path, *json, *text;
	} cases[] = {
		/* clang-format off */
		{ SL_KIND_DEPLOYMENT, "spec.replicas", "1", "spec.replicas", "5", NULL },
		{ SL_KIND_DEPLOYMENT, "spec.replicas", "1", "spec.selector.matchLabels.app", "'y'", "spec.selector: it cannot be changed" },
		{ SL_KIND_DEPLOYMENT, "spec.replicas", "1", "spec.selector", NULL, "spec.selector: it cannot be changed" },
		{ SL_KIND_DEPLOYMENT, "metadata.uid", "'u1'", "metadata.uid", "'u2'", "metadata.uid" },
		{ SL_KIND_DEPLOYMENT, "metadata.uid", "'u1'", "metadata.uid", NULL, NULL },
		{ SL_KIND_DEPLOYMENT, "spec.replicas", "1", "metadata.name", "'other'", "metadata.name" },
		{ SL_KIND_SECRET, "type", "'Opaque'", "type", "'x'", "type: it cannot be changed" },
		{ SL_KIND_SECRET, "immutable", "true", "data.x", "'aGk='", "immutable" },
		{ SL_KIND_SECRET, "immutable", "true", "immutable", "false", "immutable" },
		{ SL_KIND_SERVICE, "spec.clusterIP", "'127.0.0.9'", "spec.clusterIP", "'127.0.0.8'", "spec.clusterIP" },
		{ SL_KIND_SERVICE, "spec.clusterIP", "''", "spec.clusterIP", "'127.0.0.8'", NULL },
		{ SL_KIND_POD, "spec.nodeName", "''", "spec.nodeName", "'n'", NULL },
		{ SL_KIND_POD, "spec.nodeName", "'n'", "spec.nodeName", "'m'", "a pod's spec cannot be changed" },
		{ SL_KIND_POD, "spec.nodeName", "'n'", "spec.containers.0.image", "'x:y'", NULL },
		{ SL_KIND_POD, "spec.nodeName", "'n'", "spec.containers.0.command", "['x']", "a pod's spec cannot be changed" },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
		json_t *old = parse_json(good[cases[i].id]), *obj;
		sl_err err;

		change(old, cases[i].before_path, cases[i].before);
		obj = json_deep_copy(old);
		change(obj, cases[i].path, cases[i].json);
		err = sl_validate_update(sl_kind_get(cases[i].id), old, obj, &diag);
		sl_assert_err(err, cases[i].text ? SL_ERR_INVALID : SL_OK);
		assert_non_null(strstr(sl_diag_text(&diag), cases[i].text ? cases[i].text : ""));
		json_decref(old);
		json_decref(obj);
	}
}

static void test_defaults(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_KIND_COUNT; i++) { /* twice is once, and the result is valid */
		const struct sl_kind *kind = sl_kind_get((enum sl_kind_id)i);
		json_t *once = good[i] ? parse_json(good[i]) : NULL, *twice;

		if (!once)
			continue;
		sl_defaults_apply(kind, once);
		twice = json_deep_copy(once);
		sl_defaults_apply(kind, twice);
		assert_true(json_equal(once, twice));
		sl_assert_ok(sl_validate(kind, once, SL_UNKNOWN_ERROR, NULL, NULL));
		json_decref(once);
		json_decref(twice);
	}
}

static json_t *defaulted(enum sl_kind_id id, const char *json)
{
	json_t *v = parse_json(json);

	sl_defaults_apply(sl_kind_get(id), v);
	return v;
}

static void test_defaults_values(void **state)
{
	(void)state;
	assert_json(defaulted(SL_KIND_SERVICE, "{'spec':{'ports':[{'port':80}],'clusterIP':null}}"),
	        "{'spec':{'internalTrafficPolicy':'Cluster','ipFamilies':['IPv4'],'ipFamilyPolicy':'SingleStack','ports':[{'port':80,"
	        "'protocol':'TCP','targetPort':80}],'sessionAffinity':'None','type':'ClusterIP'}}");
	assert_json(defaulted(SL_KIND_DEPLOYMENT, "{'spec':{}}"),
	        "{'spec':{'progressDeadlineSeconds':600,'replicas':1,'revisionHistoryLimit':10,'strategy':{'rollingUpdate':{'maxSurge':'25%',"
	        "'maxUnavailable':'25%'},'type':'RollingUpdate'}}}");
	assert_json(defaulted(SL_KIND_DEPLOYMENT, "{'spec':{'replicas':0,'strategy':{'type':'Recreate'}}}"),
	        "{'spec':{'progressDeadlineSeconds':600,'replicas':0,'revisionHistoryLimit':10,'strategy':{'type':'Recreate'}}}");
	assert_json(defaulted(SL_KIND_SECRET, "{'stringData':{'a':'hi','b':'','c':'abc'}}"),
	        "{'type':'Opaque','data':{'a':'aGk=','b':'','c':'YWJj'}}");
	assert_json(defaulted(SL_KIND_ROLLOUT, "{'spec':{'strategy':{'canary':{}}}}"),
	        "{'spec':{'strategy':{'canary':{}}}}");
	assert_json(defaulted(SL_KIND_NAMESPACE, "{'metadata':{'name':'n'}}"),
	        "{'metadata':{'name':'n','labels':{'kubernetes.io/metadata.name':'n'}},'status':{'phase':'Active'}}");
}

static void test_meta(void **state)
{
	const struct sl_kind *kind = sl_kind_get(SL_KIND_VIRTUAL_SERVICE);
	struct sl_meta_stamp stamp = { .uid = SL_STR("u"), .suffix = SL_STR("bcdfg"), .now = SL_SEC(5) };
	json_t *old = parse_json(
	        "{'apiVersion':'networking.istio.io/v1alpha3','kind':'VirtualService','metadata':{'generateName':'a-',"
	        "'generation':9,'resourceVersion':'7'},'spec':{'a':1}}");
	json_t *obj;

	(void)state;
	sl_meta_stamp_new(kind, old, &stamp);
	assert_json(json_incref(old),
	        "{'apiVersion':'networking.istio.io/v1','kind':'VirtualService','metadata':{'name':'a-bcdfg','generateName':'a-','uid':'u',"
	        "'creationTimestamp':'1970-01-01T00:00:05Z','generation':1},'spec':{'a':1}}");
	sl_obj_set(old, "status", parse_json("{'x':1}"));

	obj = parse_json(
	        "{'metadata':{'name':'a-bcdfg','labels':{'l':'m'},'resourceVersion':'3'},'spec':{'a':1},'status':{'x':2}}");
	sl_meta_carry(kind, old, obj, false);
	assert_int_equal(sl_obj_generation(obj), 1);
	assert_int_equal(sl_obj_get_int(obj, "status.x", 0), 1);
	sl_assert_str(sl_obj_uid(obj), "u");
	sl_assert_str(sl_obj_resource_version(obj), "3");
	sl_obj_set(obj, "spec.a", json_integer(2));
	sl_meta_carry(kind, old, obj, false);
	assert_int_equal(sl_obj_generation(obj), 2);
	json_decref(obj);

	obj = parse_json(
	        "{'metadata':{'name':'a-bcdfg','labels':{'l':'m'}},'spec':{'a':5},'status':{'x':2}}");
	sl_meta_carry(kind, old, obj, true);
	assert_int_equal(sl_obj_get_int(obj, "status.x", 0), 2);
	assert_int_equal(sl_obj_get_int(obj, "spec.a", 0), 1);
	assert_int_equal(sl_obj_generation(obj), 1);
	sl_assert_str(sl_obj_label(obj, "l"), "");
	json_decref(obj);
	json_decref(old);
}

static void test_honoured(void **state)
{
	static const struct {
		enum sl_kind_id id;
		const char *path, *json, *message; /* NULL: all is honoured */
	} cases[] = {
		/* clang-format off */
		{ SL_KIND_DEPLOYMENT, "spec.replicas", "3", NULL },
		{ SL_KIND_DEPLOYMENT, "spec.template.spec.hostNetwork", "true", "stored, not acted on yet: spec.template.spec.hostNetwork" },
		{ SL_KIND_DEPLOYMENT, "spec.template.spec.hostNetwork", "false", NULL },
		{ SL_KIND_DEPLOYMENT, "spec.template.spec.dnsPolicy", "'ClusterFirst'", NULL }, /* what happens anyway */
		{ SL_KIND_DEPLOYMENT, "spec.template.spec.dnsPolicy", "'None'", "stored, not acted on yet: spec.template.spec.dnsPolicy" },
		{ SL_KIND_DEPLOYMENT, "spec.template.spec.containers.0.resources", "{}", NULL },
		{ SL_KIND_SERVICE, "spec.type", "'NodePort'", "stored, not acted on yet: spec.type \"NodePort\"" },
		{ SL_KIND_VIRTUAL_SERVICE, "spec.tcp", "[{'route':[]}]", "stored, not acted on yet: spec.http[0].fault, spec.tcp" },
		{ SL_KIND_VIRTUAL_SERVICE, "spec.http.0.retries", "{'retryOn':'connect-failure,5xx'}",
			"stored, not acted on yet: spec.http[0].fault, spec.http[0].retries.retryOn \"5xx\"" },
		{ SL_KIND_INGRESS, "spec", "{}", "" }, /* its status has no conditions */
		{ SL_KIND_SERVICE_ENTRY, "spec", "{}", "ServiceEntry objects are stored; nothing acts on them yet" },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		const struct sl_kind *kind = sl_kind_get(cases[i].id);
		json_t *obj = good[cases[i].id] ? parse_json(good[cases[i].id]) : json_object();
		bool wants = cases[i].message && cases[i].message[0];

		change(obj, cases[i].path, cases[i].json);
		assert_int_equal(sl_honoured_check(kind, obj, NULL), !cases[i].message);
		assert_int_equal(sl_honoured_condition(kind, obj, SL_SEC(1)), wants);
		assert_false(sl_honoured_condition(kind, obj, SL_SEC(2))); /* said once */
		if (wants)
			sl_assert_str(sl_obj_get_str(sl_obj_condition(obj, "FieldsHonoured"), "message"),
			        cases[i].message);
		else
			assert_null(sl_obj_condition(obj, "FieldsHonoured"));
		json_decref(obj);
	}
}

/* A route has its conditions per parent. */
static void test_honoured_parents(void **state)
{
	const struct sl_kind *kind = sl_kind_get(SL_KIND_HTTP_ROUTE);
	json_t *obj = parse_json(
	        "{'apiVersion':'gateway.networking.k8s.io/v1','kind':'HTTPRoute','metadata':{'name':'r'},"
	        "'spec':{'parentRefs':[{'name':'a'},{'name':'b'}]}}");
	json_t *parent;

	(void)state;
	assert_true(sl_honoured_has_condition(kind));
	assert_false(sl_honoured_has_condition(sl_kind_get(SL_KIND_INGRESS)));
	assert_true(sl_honoured_condition(kind, obj, SL_SEC(1)));
	assert_false(sl_honoured_condition(kind, obj, SL_SEC(2))); /* said once */
	assert_int_equal(json_array_size(sl_obj_get(obj, "status.parents")), 2);
	parent = json_array_get(sl_obj_get(obj, "status.parents"), 1);
	sl_assert_str(sl_obj_get_str(parent, "parentRef.name"), "b");
	parent = json_array_get(sl_obj_get(parent, "conditions"), 0);
	sl_assert_str(sl_obj_get_str(parent, "type"), "Accepted");
	sl_assert_str(sl_obj_get_str(parent, "status"), "False");
	json_decref(obj);
}

static void test_honoured_goes(void **state)
{
	const struct sl_kind *kind = sl_kind_get(SL_KIND_VIRTUAL_SERVICE);
	json_t *obj = parse_json(good[SL_KIND_VIRTUAL_SERVICE]);

	(void)state;
	assert_true(sl_honoured_condition(kind, obj, 0));
	json_object_del(json_array_get(sl_obj_get(obj, "spec.http"), 0), "fault");
	assert_true(sl_honoured_condition(kind, obj, 0));
	assert_null(sl_obj_condition(obj, "FieldsHonoured"));
	json_decref(obj);
}

static void test_hash(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{ "{'metadata':{'labels':{'a':'b'}},'spec':{'x':1,'y':2}}",
		        "{'spec':{'y':2,'x':1},'metadata':{'labels':{'a':'b'}}}", true },
		{ "{'metadata':{'labels':{'a':'b','pod-template-hash':'x'}}}",
		        "{'metadata':{'labels':{'a':'b'}}}", true },
		{ "{'metadata':{'labels':{'rollouts-pod-template-hash':'x'}}}", "{'metadata':{}}", true },
		{ "{'spec':{'c':['a','b']}}", "{'spec':{'c':['b','a']}}", false },
		{ "{'spec':{'c':'1'}}", "{'spec':{'c':1}}", false },
		{ "{'spec':{'c':[{'n':'x','resources':{}}]},'metadata':{'creationTimestamp':null}}",
		        "{'spec':{'c':[{'n':'x'}]}}", true },
		{ "{'spec':{'c':0}}", "{'spec':{}}", false },
		{ "{'spec':{'c':''}}", "{'spec':{}}", false },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		char a[SL_TEMPLATE_HASH_LEN + 1], b[SL_TEMPLATE_HASH_LEN + 1];
		json_t *x = parse_json(cases[i].a), *y = parse_json(cases[i].b);

		assert_int_equal(strcmp(sl_template_hash(x, a), sl_template_hash(y, b)) == 0, cases[i].same);
		assert_int_equal(strspn(a, "bcdfghjklmnpqrstvwxz2456789"), SL_TEMPLATE_HASH_LEN);
		json_decref(x);
		json_decref(y);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_unknown_modes),
		cmocka_unit_test(test_weights_warn),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_update),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_defaults_values),
		cmocka_unit_test(test_meta),
		cmocka_unit_test(test_honoured),
		cmocka_unit_test(test_honoured_goes),
		cmocka_unit_test(test_honoured_parents),
		cmocka_unit_test(test_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
