/*
 * The rules across fields that a kind has. The schema has already been checked, so types are right wherever a field is there.
 * Sources: the kinds' API references (Kubernetes, Istio, Argo Rollouts) and what their own servers refuse.
 */
#include "model/pod_rules_priv.h"
#include "model/object.h"

#include <stdio.h>

/* True when a field of that name is there and not null. */
static bool has(const json_t *obj, const char *name)
{
	const json_t *v = json_object_get(obj, name);

	return v && !json_is_null(v);
}

/* How many of the NULL-terminated names are there. */
static unsigned count_of(const json_t *obj, const char *const *names)
{
	unsigned n = 0;

	for (; *names; names++)
		n += has(obj, *names);
	return n;
}

static void exactly_one(
        struct sl_validator *v, const json_t *obj, const char *const *names, const char *wanted)
{
	unsigned n = count_of(obj, names);

	if (n == 0)
		sl_validator_bad(v, "FieldValueRequired", "it is empty; one of %s is wanted", wanted);
	else if (n > 1)
		sl_validator_bad(
		        v, "FieldValueInvalid", "it has %u of them; exactly one of %s is wanted", n, wanted);
}

/* No two elements may have the same string at `key`; elements without one are passed over. */
static void unique_names(struct sl_validator *v, const json_t *list, const char *key)
{
	json_t *a, *b;
	size_t i, k;

	json_array_foreach (list, i, a) {
		for (k = 0; k < i; k++) {
			size_t at;

			b = json_array_get(list, k);
			if (!json_is_string(json_object_get(a, key)) ||
			        !json_equal(json_object_get(a, key), json_object_get(b, key)))
				continue;
			at = sl_path_index(&v->path, i);
			sl_validator_bad_at(v, key, "FieldValueDuplicate",
			        "\"%.63s\" stands twice; it must be unique",
			        json_string_value(json_object_get(a, key)));
			sl_path_pop(&v->path, at);
			break;
		}
	}
}

/* Services. */

static void check_ports(struct sl_validator *v, const json_t *ports)
{
	json_t *port, *other;
	size_t i, k;

	unique_names(v, ports, "name");
	json_array_foreach (ports, i, port) {
		size_t at = sl_path_index(&v->path, i);
		sl_str protocol = sl_obj_get_str(port, "protocol");

		if (json_array_size(ports) > 1 && sl_obj_get_str(port, "name").len == 0)
			sl_validator_bad_at(v, "name", "FieldValueRequired",
			        "missing; each port needs a name where there are several");
		for (k = 0; k < i; k++) {
			sl_str other_protocol;

			other = json_array_get(ports, k);
			other_protocol = sl_obj_get_str(other, "protocol");
			if (json_equal(json_object_get(port, "port"), json_object_get(other, "port")) &&
			        sl_str_eq(protocol.len ? protocol : SL_STR("TCP"),
			                other_protocol.len ? other_protocol : SL_STR("TCP")))
				sl_validator_bad_at(v, "port", "FieldValueDuplicate",
				        "port %lld stands twice for the same protocol",
				        (long long)sl_obj_get_int(port, "port", 0));
		}
		sl_path_pop(&v->path, at);
	}
}

static void service_rules(struct sl_validator *v, const json_t *obj)
{
	const json_t *spec = json_object_get(obj, "spec"), *ports = json_object_get(spec, "ports");
	sl_str type = sl_obj_get_str(spec, "type"), ip = sl_obj_get_str(spec, "clusterIP");
	size_t at = sl_path_key(&v->path, "spec");

	if (sl_str_eq(type, SL_STR("ExternalName"))) {
		if (sl_obj_get_str(spec, "externalName").len == 0)
			sl_validator_bad_at(v, "externalName", "FieldValueRequired",
			        "missing; type ExternalName needs it");
	} else if (json_array_size(ports) == 0 && !sl_str_eq(ip, SL_STR("None"))) {
		sl_validator_bad_at(v, "ports", "FieldValueRequired", "missing; at least one port is wanted");
	}
	if (ports) {
		size_t in = sl_path_key(&v->path, "ports");

		check_ports(v, ports);
		sl_path_pop(&v->path, in);
	}
	if (ip.len && !sl_str_eq(ip, SL_STR("None")) && !sl_str_contains(ip, SL_STR(".")) &&
	        !sl_str_contains(ip, SL_STR(":")))
		sl_validator_bad_at(v, "clusterIP", "FieldValueInvalid",
		        "\"%.*s\": an address, or None, is wanted", SL_STR_ARG(ip));
	sl_path_pop(&v->path, at);
}

static void service_update_rules(struct sl_validator *v, const json_t *old, const json_t *obj)
{
	sl_str was = sl_obj_get_str(old, "spec.clusterIP"), is = sl_obj_get_str(obj, "spec.clusterIP");

	if (was.len && !sl_str_eq(was, is) &&
	        !sl_str_eq(sl_obj_get_str(obj, "spec.type"), SL_STR("ExternalName")))
		sl_validator_bad_at(v, "spec.clusterIP", "FieldValueInvalid",
		        "it cannot be changed from \"%.*s\"", SL_STR_ARG(was));
}

/* Secrets and ConfigMaps. */

static void check_data_keys(struct sl_validator *v, const json_t *obj, const char *field)
{
	const json_t *map = json_object_get(obj, field);
	size_t at = sl_path_key(&v->path, field);
	const char *key;
	json_t *value;

	SL_OBJ_FOR (map, key, value) {
		size_t len = strlen(key);

		if (len == 0 || len > 253 ||
		        strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") !=
		                len ||
		        strcmp(key, ".") == 0 || strncmp(key, "..", 2) == 0)
			sl_validator_bad(v, "FieldValueInvalid",
			        "the key \"%.63s\" is not right; letters, digits, '-', '_' and '.' are wanted",
			        key);
	}
	sl_path_pop(&v->path, at);
}

static void data_rules(struct sl_validator *v, const json_t *obj)
{
	const json_t *data = json_object_get(obj, "data"), *binary = json_object_get(obj, "binaryData");
	const char *key;
	json_t *value;

	check_data_keys(v, obj, "data");
	check_data_keys(v, obj, "binaryData");
	check_data_keys(v, obj, "stringData");
	SL_OBJ_FOR (binary, key, value)
		if (json_object_get(data, key))
			sl_validator_bad_at(v, "binaryData", "FieldValueDuplicate",
			        "the key \"%.63s\" also stands in data", key);
}

static void data_update_rules(struct sl_validator *v, const json_t *old, const json_t *obj)
{
	if (!sl_obj_get_bool(old, "immutable"))
		return;
	if (!json_equal(json_object_get(old, "data"), json_object_get(obj, "data")) ||
	        !sl_obj_get_bool(obj, "immutable"))
		sl_validator_bad_at(v, "data", "FieldValueInvalid",
		        "the object is immutable; delete and create it instead");
}

/* Istio. */

static void check_string_match(struct sl_validator *v, const json_t *match, const char *field)
{
	static const char *const forms[] = { "exact", "prefix", "regex", NULL };

	if (count_of(match, forms) > 1)
		sl_validator_bad_at(v, field, "FieldValueInvalid",
		        "it has several of them; exactly one of exact, prefix, regex is wanted");
}

static void check_http_match(struct sl_validator *v, const json_t *match)
{
	static const char *const single[] = { "uri", "scheme", "method", "authority" };
	static const char *const maps[] = { "headers", "withoutHeaders", "queryParams" };
	const char *key;
	json_t *value;

	for (size_t i = 0; i < SL_ARRAY_COUNT(single); i++)
		check_string_match(v, json_object_get(match, single[i]), single[i]);
	for (size_t i = 0; i < SL_ARRAY_COUNT(maps); i++)
		SL_OBJ_FOR (json_object_get(match, maps[i]), key, value)
			check_string_match(v, value, maps[i]);
}

/*
 * Istio takes weights as shares of their sum, so 9 and 1 are as good as 90 and 10; people who write 80 and 10 mostly mean something
 * else, hence a warning where the sum is not 100.
 */
static void check_weights(struct sl_validator *v, const json_t *routes)
{
	int64_t sum = 0;
	json_t *route;
	size_t i, at = sl_path_key(&v->path, "route");

	json_array_foreach (routes, i, route) {
		int64_t weight = sl_obj_get_int(route, "weight", 0);

		if (weight > 1000000) /* keeps the sum far from overflow */
			sl_validator_bad(
			        v, "FieldValueInvalid", "weight %lld is too large", (long long)weight);
		else
			sum += weight;
	}
	if (json_array_size(routes) > 1 && sum == 0)
		sl_validator_bad(v, "FieldValueInvalid",
		        "the weights sum to 0; with several destinations they should sum to 100");
	else if (json_array_size(routes) > 1 && sum != 100)
		sl_validator_warn(v,
		        "the weights sum to %lld, not 100; each is taken as its share of that sum",
		        (long long)sum);
	sl_path_pop(&v->path, at);
}

static void check_http_route(struct sl_validator *v, const json_t *route)
{
	static const char *const outcomes[] = { "route", "redirect", "directResponse", "delegate", NULL };
	static const char *const bodies[] = { "string", "bytes", NULL };
	int64_t code = sl_obj_get_int(route, "redirect.redirectCode", 0);
	json_t *match;
	size_t i, at;

	exactly_one(v, route, outcomes, "route, redirect, directResponse, delegate");
	if (has(route, "route") && json_array_size(json_object_get(route, "route")) == 0)
		sl_validator_bad_at(v, "route", "FieldValueRequired",
		        "the list is empty; at least one destination is wanted");
	check_weights(v, json_object_get(route, "route"));
	json_array_foreach (json_object_get(route, "match"), i, match) {
		at = sl_path_key(&v->path, "match");
		sl_path_index(&v->path, i);
		check_http_match(v, match);
		sl_path_pop(&v->path, at);
	}
	if (code != 0 && (code < 300 || code > 399))
		sl_validator_bad_at(v, "redirect.redirectCode", "FieldValueInvalid",
		        "%lld is no redirect; 300 to 399 is wanted", (long long)code);
	if (has(sl_obj_get(route, "redirect"), "port") && has(sl_obj_get(route, "redirect"), "derivePort"))
		sl_validator_bad_at(
		        v, "redirect", "FieldValueInvalid", "port and derivePort exclude each other");
	if (count_of(sl_obj_get(route, "directResponse.body"), bodies) > 1)
		sl_validator_bad_at(
		        v, "directResponse.body", "FieldValueInvalid", "string and bytes exclude each other");
	if (has(sl_obj_get(route, "rewrite"), "uri") && has(sl_obj_get(route, "rewrite"), "uriRegexRewrite"))
		sl_validator_bad_at(
		        v, "rewrite", "FieldValueInvalid", "uri and uriRegexRewrite exclude each other");
}

static void virtual_service_rules(struct sl_validator *v, const json_t *obj)
{
	const json_t *spec = json_object_get(obj, "spec");
	size_t i, at = sl_path_key(&v->path, "spec");
	json_t *route;

	if (json_array_size(json_object_get(spec, "http")) + json_array_size(json_object_get(spec, "tcp")) +
	                json_array_size(json_object_get(spec, "tls")) ==
	        0)
		sl_validator_bad(v, "FieldValueRequired", "no routes; one of http, tcp, tls is wanted");
	json_array_foreach (json_object_get(spec, "http"), i, route) {
		size_t in = sl_path_key(&v->path, "http");

		sl_path_index(&v->path, i);
		check_http_route(v, route);
		sl_path_pop(&v->path, in);
	}
	sl_path_pop(&v->path, at);
}

static void destination_rule_rules(struct sl_validator *v, const json_t *obj)
{
	const json_t *spec = json_object_get(obj, "spec");
	size_t at = sl_path_key(&v->path, "spec");

	if (!has(spec, "host"))
		sl_validator_bad_at(v, "host", "FieldValueRequired", "missing; it is required");
	sl_path_key(&v->path, "subsets");
	unique_names(v, json_object_get(spec, "subsets"), "name");
	sl_path_pop(&v->path, at);
}

/* Argo Rollouts. */

static void check_step(struct sl_validator *v, const json_t *step, bool is_routed)
{
	static const char *const forms[] = { "setWeight", "pause", "setCanaryScale", "setHeaderRoute",
		"setMirrorRoute", "analysis", "experiment", "plugin", NULL };
	static const char *const scales[] = { "weight", "replicas", "matchTrafficWeight", NULL };
	const json_t *scale = json_object_get(step, "setCanaryScale");
	size_t at;

	exactly_one(v, step, forms,
	        "setWeight, pause, setCanaryScale, setHeaderRoute, setMirrorRoute, analysis, experiment, plugin");
	if (has(step, "analysis") && json_array_size(sl_obj_get(step, "analysis.templates")) == 0)
		sl_validator_bad_at(v, "analysis.templates", "FieldValueRequired",
		        "missing; at least one template is wanted");
	if (!scale || json_is_null(scale))
		return;
	at = sl_path_key(&v->path, "setCanaryScale");
	exactly_one(v, scale, scales, "weight, replicas, matchTrafficWeight");
	if (!is_routed)
		sl_validator_bad(v, "FieldValueInvalid",
		        "it needs strategy.canary.trafficRouting: without it weights are pod counts");
	sl_path_pop(&v->path, at);
}

static void check_istio_routing(struct sl_validator *v, const json_t *canary)
{
	static const char *const services[] = { "virtualService", "virtualServices", NULL };
	const json_t *istio = sl_obj_get(canary, "trafficRouting.istio");
	size_t at;

	if (!istio || json_is_null(istio))
		return;
	at = sl_path_key(&v->path, "trafficRouting.istio");
	exactly_one(v, istio, services, "virtualService, virtualServices");
	sl_path_pop(&v->path, at);
	if (has(istio, "destinationRule"))
		return; /* subsets of one service tell stable from canary */
	for (size_t i = 0; i < 2; i++) {
		const char *name = i ? "stableService" : "canaryService";

		if (sl_obj_get_str(canary, name).len == 0)
			sl_validator_bad_at(v, name, "FieldValueRequired",
			        "missing; traffic routing without a destinationRule needs it");
	}
}

static void check_canary(struct sl_validator *v, const json_t *canary)
{
	sl_str stable = sl_obj_get_str(canary, "stableService"),
	       other = sl_obj_get_str(canary, "canaryService");
	bool is_routed = has(canary, "trafficRouting");
	json_t *step;
	size_t i;

	json_array_foreach (json_object_get(canary, "steps"), i, step) {
		size_t at = sl_path_key(&v->path, "steps");

		sl_path_index(&v->path, i);
		check_step(v, step, is_routed);
		sl_path_pop(&v->path, at);
	}
	if (stable.len && sl_str_eq(stable, other))
		sl_validator_bad_at(v, "canaryService", "FieldValueDuplicate",
		        "\"%.*s\" is the stableService too; two services are wanted", SL_STR_ARG(stable));
	sl_surge_rules(v, canary);
	check_istio_routing(v, canary);
}

static void rollout_rules(struct sl_validator *v, const json_t *obj)
{
	static const char *const strategies[] = { "canary", "blueGreen", NULL };
	const json_t *spec = json_object_get(obj, "spec"), *strategy = json_object_get(spec, "strategy");
	size_t at = sl_path_key(&v->path, "spec");

	if (has(spec, "workloadRef")) {
		if (has(spec, "template"))
			sl_validator_bad_at(v, "template", "FieldValueInvalid",
			        "template and workloadRef exclude each other");
	} else {
		sl_workload_rules(v, spec);
	}
	sl_path_key(&v->path, "strategy");
	exactly_one(v, strategy, strategies, "canary, blueGreen");
	if (has(strategy, "canary")) {
		sl_path_key(&v->path, "canary");
		check_canary(v, json_object_get(strategy, "canary"));
	}
	sl_path_pop(&v->path, at);
}

static void analysis_rules(struct sl_validator *v, const json_t *obj)
{
	static const char *const providers[] = { "sluice", "prometheus", "web", "job", "datadog", "newRelic",
		"wavefront", "graphite", "influxdb", "skywalking", "cloudWatch", "kayenta", "plugin", NULL };
	const json_t *metrics = sl_obj_get(obj, "spec.metrics");
	size_t i, at = sl_path_key(&v->path, "spec.metrics");
	json_t *metric;

	if (json_array_size(metrics) + json_array_size(sl_obj_get(obj, "spec.templates")) == 0)
		sl_validator_bad(v, "FieldValueRequired", "missing; at least one metric is wanted");
	unique_names(v, metrics, "name");
	json_array_foreach (metrics, i, metric) {
		size_t in = sl_path_index(&v->path, i);

		sl_path_key(&v->path, "provider");
		exactly_one(v, json_object_get(metric, "provider"), providers,
		        "sluice, prometheus, web, job or another provider");
		sl_path_pop(&v->path, in);
	}
	sl_path_pop(&v->path, at);
	at = sl_path_key(&v->path, "spec.args");
	unique_names(v, sl_obj_get(obj, "spec.args"), "name");
	sl_path_pop(&v->path, at);
}

/* Pods and what makes them. */

static void pod_rules(struct sl_validator *v, const json_t *obj)
{
	size_t at = sl_path_key(&v->path, "spec");

	if (!has(obj, "spec"))
		sl_validator_bad(v, "FieldValueRequired", "missing; it is required");
	sl_pod_spec_rules(v, json_object_get(obj, "spec"));
	sl_path_pop(&v->path, at);
}

static void workload_rules(struct sl_validator *v, const json_t *obj)
{
	const json_t *spec = json_object_get(obj, "spec"), *strategy = json_object_get(spec, "strategy");
	size_t at = sl_path_key(&v->path, "spec");

	if (!has(obj, "spec"))
		sl_validator_bad(v, "FieldValueRequired", "missing; it is required");
	else
		sl_workload_rules(v, spec);
	sl_path_key(&v->path, "strategy");
	if (sl_str_eq(sl_obj_get_str(strategy, "type"), SL_STR("Recreate")) && has(strategy, "rollingUpdate"))
		sl_validator_bad_at(v, "rollingUpdate", "FieldValueInvalid",
		        "it has no place with type Recreate; leave it out");
	sl_path_key(&v->path, "rollingUpdate");
	sl_surge_rules(v, json_object_get(strategy, "rollingUpdate"));
	sl_path_pop(&v->path, at);
}

typedef void rules_fn(struct sl_validator *v, const json_t *obj);
typedef void update_rules_fn(struct sl_validator *v, const json_t *old, const json_t *obj);

static const struct {
	rules_fn *check;
	update_rules_fn *update;
} rules[SL_KIND_COUNT] = {
	/* clang-format off */
	[SL_KIND_SERVICE]                   = { service_rules,          service_update_rules },
	[SL_KIND_SECRET]                    = { data_rules,             data_update_rules },
	[SL_KIND_CONFIG_MAP]                = { data_rules,             data_update_rules },
	[SL_KIND_POD]                       = { pod_rules,              sl_pod_update_rules },
	[SL_KIND_DEPLOYMENT]                = { workload_rules,         NULL },
	[SL_KIND_REPLICA_SET]               = { workload_rules,         NULL },
	[SL_KIND_VIRTUAL_SERVICE]           = { virtual_service_rules,  NULL },
	[SL_KIND_DESTINATION_RULE]          = { destination_rule_rules, NULL },
	[SL_KIND_ROLLOUT]                   = { rollout_rules,          NULL },
	[SL_KIND_ANALYSIS_TEMPLATE]         = { analysis_rules,         NULL },
	[SL_KIND_CLUSTER_ANALYSIS_TEMPLATE] = { analysis_rules,         NULL },
	[SL_KIND_ANALYSIS_RUN]              = { analysis_rules,         NULL },
	/* clang-format on */
};

void sl_kind_rules(struct sl_validator *v, const json_t *obj)
{
	if (rules[v->kind->id].check)
		rules[v->kind->id].check(v, obj);
}

void sl_kind_update_rules(struct sl_validator *v, const json_t *old, const json_t *obj)
{
	if (rules[v->kind->id].update)
		rules[v->kind->id].update(v, old, obj);
}
