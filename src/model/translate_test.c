#include "base/test.h"

#include "model/object.h"
#include "model/translate.h"

#include <stdio.h>
#include <stdlib.h>

enum { MOST = 16 };

/* Objects as JSON with ' for ", taken apart by kind. */
struct world {
	struct sl_arena arena;
	json_t *bodies[64];
	size_t body_count;
	struct sl_translate_input in;
	struct sl_translate_notes notes;
	const struct sl_krm_service *services[MOST];
	const struct sl_krm_endpoint_slice *slices[MOST];
	const struct sl_krm_pod *pods[MOST];
	const struct sl_krm_virtual_service *virtual_services[MOST];
	const struct sl_krm_destination_rule *destination_rules[MOST];
	const struct sl_krm_istio_gateway *gateways[MOST];
	const struct sl_krm_rollout *rollouts[MOST];
};

static void world_init(struct world *w)
{
	*w = (struct world) { 0 };
	w->notes.arena = &w->arena;
	w->in = (struct sl_translate_input) {
		.services = w->services,
		.slices = w->slices,
		.pods = w->pods,
		.virtual_services = w->virtual_services,
		.destination_rules = w->destination_rules,
		.gateways = w->gateways,
		.rollouts = w->rollouts,
		.domain = SL_STR("cluster.local"),
	};
}

static void world_fini(struct world *w)
{
	for (size_t i = 0; i < w->body_count; i++)
		json_decref(w->bodies[i]);
	sl_arena_fini(&w->arena);
}

#define TAKE(list, counter, decode, body)                                                       \
	do {                                                                                    \
		SL_CLEANUP(sl_diag_fini) struct sl_diag diag_ = { 0 };                          \
		sl_assert_ok(decode(body, &w->arena, (void *)&w->list[w->in.counter], &diag_)); \
		w->in.counter++;                                                                \
	} while (0)

static void add(struct world *w, const char *text)
{
	char *json = sl_strdup(text);
	json_error_t error;
	json_t *body;
	const struct sl_kind *kind;

	for (char *p = json; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	body = json_loads(json, 0, &error);
	sl_free(json);
	if (!body)
		fail_msg("%s at %d: %s", error.text, error.position, text);
	w->bodies[w->body_count++] = body;
	sl_assert_ok(sl_kind_of(body, &kind, NULL));
	if (kind->id == SL_KIND_SERVICE)
		TAKE(services, service_count, sl_krm_service_decode, body);
	else if (kind->id == SL_KIND_ENDPOINT_SLICE)
		TAKE(slices, slice_count, sl_krm_endpoint_slice_decode, body);
	else if (kind->id == SL_KIND_POD)
		TAKE(pods, pod_count, sl_krm_pod_decode, body);
	else if (kind->id == SL_KIND_VIRTUAL_SERVICE)
		TAKE(virtual_services, virtual_service_count, sl_krm_virtual_service_decode, body);
	else if (kind->id == SL_KIND_DESTINATION_RULE)
		TAKE(destination_rules, destination_rule_count, sl_krm_destination_rule_decode, body);
	else if (kind->id == SL_KIND_ISTIO_GATEWAY)
		TAKE(gateways, gateway_count, sl_krm_istio_gateway_decode, body);
	else
		TAKE(rollouts, rollout_count, sl_krm_rollout_decode, body);
}

static void add_pod(struct world *w, const char *name, int port, const char *labels, const char *conditions)
{
	char text[1024];

	snprintf(text, sizeof(text),
	        "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s','namespace':'default','labels':{%s}},"
	        "'spec':{'containers':[{'name':'c','image':'i'}]}}",
	        name, labels);
	add(w, text);
	snprintf(text, sizeof(text),
	        "{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','addressType':'IPv4','metadata':{'name':'%s','namespace':'default',"
	        "'labels':{'kubernetes.io/service-name':'reviews'}},'ports':[{'name':'http','port':%d}],"
	        "'endpoints':[{'addresses':['127.0.0.1'],'conditions':{%s},'targetRef':{'kind':'Pod','name':'%s'}}]}",
	        name, port, conditions, name);
	add(w, text);
}

static void add_reviews(struct world *w)
{
	add(w, "{'apiVersion':'v1','kind':'Service','metadata':{'name':'reviews','namespace':'default'},"
	       "'spec':{'clusterIP':'127.64.0.9','selector':{'app':'reviews'},'ports':[{'name':'http','port':9080}]}}");
}

static const char subsets[] =
        "{'apiVersion':'networking.istio.io/v1','kind':'DestinationRule','metadata':{'name':'reviews','namespace':'default'},"
        "'spec':{'host':'reviews','subsets':[{'name':'%s','labels':{%s}},{'name':'%s','labels':{%s}}]}}";

static void add_rule(
        struct world *w, const char *a, const char *a_labels, const char *b, const char *b_labels)
{
	char text[1024];

	snprintf(text, sizeof(text), subsets, a, a_labels, b, b_labels);
	add(w, text);
}

static struct sl_mesh *translated(struct world *w)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	struct sl_mesh *mesh = sl_translate(&w->in, &w->notes);

	if (sl_mesh_check(mesh, &diag) != SL_OK)
		fail_msg("%s", sl_diag_text(&diag));
	return mesh;
}

static const struct sl_mesh_cluster *cluster(const struct sl_mesh *mesh, sl_str name)
{
	const struct sl_mesh_cluster *c = sl_mesh_cluster_find(mesh, name);

	assert_non_null(c);
	return c;
}

static void a_service_is_a_listener_and_a_cluster(void **state)
{
	struct world w;
	struct sl_mesh *mesh;
	const struct sl_mesh_cluster *c;

	(void)state;
	world_init(&w);
	add_reviews(&w);
	add_pod(&w, "reviews-v1-abc-1", 30001, "'app':'reviews','version':'v1','pod-template-hash':'abc'",
	        "'ready':true");
	add_pod(&w, "reviews-v1-abc-2", 30002, "'app':'reviews','version':'v1'", "'ready':false");
	add_pod(&w, "reviews-v1-abc-3", 30003, "'app':'reviews','version':'v1'",
	        "'ready':false,'serving':true,'terminating':true");
	mesh = translated(&w);
	assert_int_equal(mesh->listener_count, 1);
	sl_assert_str(mesh->listeners[0].address, "127.64.0.9");
	assert_int_equal(mesh->listeners[0].port, 9080);
	sl_assert_str(mesh->route_configs[0].hosts[0].domains[0], "*");
	c = cluster(mesh, mesh->route_configs[0].hosts[0].routes[0].splits[0].cluster);
	sl_assert_str(c->name, "outbound|9080||reviews.default.svc.cluster.local");
	assert_int_equal(c->endpoint_count, 2);
	assert_int_equal(c->endpoints[0].port, 30001);
	sl_assert_str(c->endpoints[0].workload, "reviews-v1");
	sl_assert_str(c->endpoints[0].version, "v1");
	assert_int_equal(c->endpoints[1].health, SL_HEALTH_DRAINING);
	assert_int_equal(w.notes.count, 0);
	sl_mesh_unref(mesh);
	world_fini(&w);
}

static void routes_match_and_split_by_subset(void **state)
{
	struct world w;
	struct sl_mesh *mesh;
	const struct sl_mesh_virtual_host *host;

	(void)state;
	world_init(&w);
	add_reviews(&w);
	add_rule(&w, "v1", "'version':'v1'", "v2", "'version':'v2'");
	add_pod(&w, "a", 30001, "'app':'reviews','version':'v1'", "'ready':true");
	add_pod(&w, "b", 30002, "'app':'reviews','version':'v2'", "'ready':true");
	add(&w, "{'apiVersion':'networking.istio.io/v1','kind':'VirtualService','metadata':{'name':'reviews','namespace':'default'},'spec':{"
	        "'hosts':['reviews'],'http':["
	        "{'match':[{'headers':{'End-User':{'exact':'jason'}}},{'uri':{'prefix':'/beta'},'withoutHeaders':{'x-old':{}}}],'timeout':'2s',"
	        "'route':[{'destination':{'host':'reviews','subset':'v2'}}]},"
	        "{'route':[{'destination':{'host':'reviews','subset':'v1'},'weight':75},{'destination':{'host':'reviews','subset':'v9'},'weight':25}]}]}}");
	mesh = translated(&w);
	host = &mesh->route_configs[0].hosts[0];
	assert_int_equal(host->route_count, 3);
	sl_assert_str(host->routes[0].match.headers[0].name, "end-user");
	assert_int_equal(host->routes[0].timeout, SL_SEC(2));
	assert_int_equal(host->routes[0].retry.attempts, 2);
	sl_assert_str(host->routes[1].match.path, "/beta");
	assert_true(host->routes[1].match.headers[0].match.invert);
	assert_int_equal(host->routes[1].match.headers[0].match.kind, SL_MATCH_PRESENT);
	assert_int_equal(cluster(mesh, host->routes[0].splits[0].cluster)->endpoints[0].port, 30002);
	assert_int_equal(host->routes[2].splits[0].weight, 75);
	assert_int_equal(cluster(mesh, host->routes[2].splits[1].cluster)->endpoint_count, 0);
	assert_int_equal(w.notes.count, 1);
	sl_assert_str(w.notes.items[0].field, "spec.http[1].route[1].destination.subset");
	sl_mesh_unref(mesh);
	world_fini(&w);
}

static void add_rollout(struct world *w, const char *routing, const char *status)
{
	char text[2048];

	snprintf(text, sizeof(text),
	        "{'apiVersion':'argoproj.io/v1alpha1','kind':'Rollout','metadata':{'name':'reviews','namespace':'default'},'spec':{"
	        "'selector':{'matchLabels':{'app':'reviews'}},'template':{'metadata':{'labels':{'app':'reviews'}},"
	        "'spec':{'containers':[{'name':'c','image':'i'}]}},'strategy':{'canary':{%s}}},'status':{%s}}",
	        routing, status);
	add(w, text);
}

static const char istio_routing[] =
        "'trafficRouting':{'istio':{'virtualService':{'name':'reviews','routes':['primary']},"
        "'destinationRule':{'name':'reviews','stableSubsetName':'stable','canarySubsetName':'canary'}}}";
static const char divided_status[] =
        "'stableRS':'aaa','sluice':{'attempt':7},'canary':{'weights':{'stable':{'weight':95,'podTemplateHash':'aaa'},"
        "'canary':{'weight':5,'podTemplateHash':'bbb'}}}";
static const char rollout_routes[] =
        "{'apiVersion':'networking.istio.io/v1','kind':'VirtualService','metadata':{'name':'reviews','namespace':'default'},'spec':{'hosts':['reviews'],"
        "'http':[{'name':'jason','match':[{'headers':{'end-user':{'exact':'jason'}}}],'route':[{'destination':{'host':'reviews','subset':'canary'}}]},"
        "{'name':'primary','route':[{'destination':{'host':'reviews','subset':'stable'},'weight':100},"
        "{'destination':{'host':'reviews','subset':'canary'},'weight':0}]}]}}";

static void a_rollouts_weights_are_in_force_and_guarded(void **state)
{
	struct world w;
	struct sl_mesh *mesh;
	const struct sl_mesh_route *jason, *primary;

	(void)state;
	world_init(&w);
	add_reviews(&w);
	add_rule(&w, "stable", "'app':'reviews'", "canary", "'app':'reviews'");
	add_pod(&w, "reviews-aaa-1", 30001, "'app':'reviews','rollouts-pod-template-hash':'aaa'",
	        "'ready':true");
	add_pod(&w, "reviews-bbb-1", 30002, "'app':'reviews','rollouts-pod-template-hash':'bbb'",
	        "'ready':true");
	add(&w, rollout_routes);
	add_rollout(&w, istio_routing, divided_status);
	mesh = translated(&w);
	jason = &mesh->route_configs[0].hosts[0].routes[0];
	primary = &mesh->route_configs[0].hosts[0].routes[1];
	sl_assert_str(primary->splits[0].cluster, "outbound|9080|aaa|reviews.default.svc.cluster.local");
	assert_int_equal(primary->splits[0].weight, 95);
	assert_int_equal(primary->splits[0].guard.fallback.len, 0);
	sl_assert_str(primary->splits[1].cluster, "outbound|9080|bbb|reviews.default.svc.cluster.local");
	assert_int_equal(primary->splits[1].weight, 5);
	sl_assert_str(
	        primary->splits[1].guard.fallback, "outbound|9080|aaa|reviews.default.svc.cluster.local");
	sl_assert_str(primary->splits[1].guard.rollout, "default/reviews");
	assert_int_equal(primary->splits[1].guard.generation, 7);
	sl_assert_str(jason->splits[0].cluster, "outbound|9080|bbb|reviews.default.svc.cluster.local");
	assert_int_equal(jason->splits[0].weight, 100);
	assert_true(jason->splits[0].guard.fallback.len > 0);
	assert_int_equal(cluster(mesh, primary->splits[1].cluster)->endpoint_count, 1);
	assert_int_equal(cluster(mesh, primary->splits[1].cluster)->endpoints[0].port, 30002);
	sl_assert_str(cluster(mesh, primary->splits[1].cluster)->revision, "bbb");
	sl_mesh_unref(mesh);
	world_fini(&w);
}

static void without_an_update_all_goes_to_stable(void **state)
{
	struct world w;
	struct sl_mesh *mesh;
	const struct sl_mesh_virtual_host *host;

	(void)state;
	world_init(&w);
	add_reviews(&w);
	add_rule(&w, "stable", "'app':'reviews'", "canary", "'app':'reviews'");
	add(&w, rollout_routes);
	add_rollout(&w, istio_routing,
	        "'stableRS':'aaa','canary':{'weights':{'stable':{'weight':100,'podTemplateHash':'aaa'},'canary':{'weight':0}}}");
	mesh = translated(&w);
	host = &mesh->route_configs[0].hosts[0];
	for (size_t r = 0; r < host->route_count; r++)
		for (size_t i = 0; i < host->routes[r].split_count; i++)
			sl_assert_str(host->routes[r].splits[i].cluster,
			        "outbound|9080|aaa|reviews.default.svc.cluster.local");
	assert_int_equal(host->routes[1].splits[0].weight, 100);
	assert_int_equal(host->routes[1].splits[1].weight, 0);
	sl_mesh_unref(mesh);
	world_fini(&w);
}

/* A Rollout without trafficRouting: the Service that selects its pods is divided exactly, whatever the pod counts. */
static void a_service_over_a_rollout_is_divided(void **state)
{
	struct world w;
	struct sl_mesh *mesh;
	const struct sl_mesh_route *route;

	(void)state;
	world_init(&w);
	add_reviews(&w);
	add_rollout(&w, "'steps':[{'setWeight':5}]", divided_status);
	mesh = translated(&w);
	route = &mesh->route_configs[0].hosts[0].routes[0];
	assert_int_equal(route->split_count, 2);
	assert_int_equal(route->splits[0].weight, 95);
	assert_int_equal(route->splits[1].weight, 5);
	sl_mesh_unref(mesh);
	/* beside another destination the division stays exact */
	add(&w, "{'apiVersion':'v1','kind':'Service','metadata':{'name':'other','namespace':'default'},'spec':{'clusterIP':'127.64.0.8',"
	        "'ports':[{'port':80}]}}");
	add(&w, "{'apiVersion':'networking.istio.io/v1','kind':'VirtualService','metadata':{'name':'r','namespace':'default'},'spec':{'hosts':['reviews'],"
	        "'http':[{'route':[{'destination':{'host':'reviews'},'weight':60},{'destination':{'host':'other'},'weight':40}]}]}}");
	mesh = translated(&w);
	route = &mesh->route_configs[0].hosts[0].routes[0];
	assert_int_equal(route->split_count, 3);
	assert_int_equal(route->splits[0].weight, 60 * 95);
	assert_int_equal(route->splits[1].weight, 60 * 5);
	assert_int_equal(route->splits[2].weight, 40 * 100);
	sl_mesh_unref(mesh);
	world_fini(&w);
}

static void hosts_that_are_no_service_are_told(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	add(&w, rollout_routes);
	sl_mesh_unref(translated(&w));
	assert_int_equal(w.notes.count, 1);
	sl_assert_str(w.notes.items[0].field, "spec.hosts[0]");
	world_fini(&w);
}

static void gateways_route_by_host(void **state)
{
	struct world w;
	struct sl_mesh *mesh;

	(void)state;
	world_init(&w);
	w.in.gateway_address = SL_STR("127.0.0.1");
	add_reviews(&w);
	add(&w, "{'apiVersion':'networking.istio.io/v1','kind':'Gateway','metadata':{'name':'g','namespace':'default'},'spec':{'servers':["
	        "{'port':{'number':8080,'name':'http','protocol':'HTTP'},'hosts':['*.example.com']}]}}");
	add(&w, "{'apiVersion':'networking.istio.io/v1','kind':'VirtualService','metadata':{'name':'a','namespace':'default'},'spec':{"
	        "'hosts':['Shop.example.com','other.org'],'gateways':['g','missing'],'http':[{'route':[{'destination':{'host':'reviews'}}]}]}}");
	mesh = translated(&w);
	assert_int_equal(mesh->listener_count, 2);
	assert_int_equal(mesh->listeners[1].direction, SL_TRAFFIC_GATEWAY);
	assert_int_equal(mesh->route_configs[1].host_count, 1);
	sl_assert_str(mesh->route_configs[1].hosts[0].domains[0], "shop.example.com");
	assert_int_equal(w.notes.count, 2); /* other.org; gateway "missing" */
	sl_mesh_unref(mesh);
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_service_is_a_listener_and_a_cluster),
		cmocka_unit_test(routes_match_and_split_by_subset),
		cmocka_unit_test(a_rollouts_weights_are_in_force_and_guarded),
		cmocka_unit_test(without_an_update_all_goes_to_stable),
		cmocka_unit_test(a_service_over_a_rollout_is_divided),
		cmocka_unit_test(hosts_that_are_no_service_are_told),
		cmocka_unit_test(gateways_route_by_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
