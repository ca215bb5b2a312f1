#include "base/test.h"
#include "xds/decode.h"
#include "xds/encode.h"
#include "xds/lrs.h"
#include "xds/mesh_gen_priv.h"
#include "xds/pb_priv.h"

/* The value of the one Any in the buffer. */
static sl_str any_value(struct sl_arena *a, const struct sl_buf *b, enum sl_xds_type type)
{
	pb_any *any = pb_read_any(a, sl_buf_str(b));

	assert_non_null(any);
	sl_assert_str(sl_str_c(any->type_url), sl_xds_type_url(type).p);
	return sl_str_n((char *)any->value.data, any->value.len);
}

static void through_cluster(
        const struct sl_mesh_cluster *in, struct sl_mesh *out, struct sl_arena *a, struct sl_diag *diag)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };
	struct sl_mesh_cluster *c = &out->clusters[out->cluster_count++], endpoints;
	sl_str eds;

	sl_xds_encode_cluster(in, SL_XDS_FULL, a, &b);
	sl_assert_ok(sl_xds_decode_cluster(any_value(a, &b, SL_XDS_CLUSTER), &out->arena, c, &eds, diag));
	assert_true(sl_str_eq(eds, in->name));
	sl_buf_clear(&b);
	sl_xds_encode_endpoints(in, a, &b);
	sl_assert_ok(
	        sl_xds_decode_endpoints(any_value(a, &b, SL_XDS_ENDPOINTS), &out->arena, &endpoints, diag));
	assert_true(sl_str_eq(endpoints.name, in->name));
	c->endpoints = endpoints.endpoints;
	c->endpoint_count = endpoints.endpoint_count;
}

static struct sl_mesh *through(const struct sl_mesh *in)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena a = { 0 };
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	struct sl_mesh *out = sl_mesh_new();
	struct sl_mesh_route_config inline_config;

	out->clusters = sl_arena_zalloc_array(&out->arena, in->cluster_count + 1, sizeof(*out->clusters));
	out->listeners = sl_arena_zalloc_array(&out->arena, in->listener_count + 1, sizeof(*out->listeners));
	out->route_configs =
	        sl_arena_zalloc_array(&out->arena, in->route_config_count + 1, sizeof(*out->route_configs));
	for (size_t i = 0; i < in->cluster_count; i++)
		through_cluster(&in->clusters[i], out, &a, &diag);
	for (size_t i = 0; i < in->listener_count; i++) {
		SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };

		sl_xds_encode_listener(&in->listeners[i], &a, &b);
		sl_assert_ok(sl_xds_decode_listener(any_value(&a, &b, SL_XDS_LISTENER), &out->arena,
		        &out->listeners[out->listener_count++], &inline_config, &diag));
		assert_int_equal(inline_config.name.len, 0);
	}
	for (size_t i = 0; i < in->route_config_count; i++) {
		SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };

		sl_xds_encode_route_config(&in->route_configs[i], SL_XDS_FULL, &a, &b);
		sl_assert_ok(sl_xds_decode_route_config(any_value(&a, &b, SL_XDS_ROUTE_CONFIG), &out->arena,
		        &out->route_configs[out->route_config_count++], &diag));
	}
	return out;
}

static void test_round_trip(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 500; seed++) {
		SL_CLEANUP(sl_mesh_unref) struct sl_mesh *in = gen_mesh(seed, 1);
		SL_CLEANUP(sl_mesh_unref) struct sl_mesh *other = gen_mesh(seed + 1, 1);
		SL_CLEANUP(sl_mesh_unref) struct sl_mesh *out = through(in);

		sl_assert_ok(sl_mesh_check(in, NULL));
		assert_true(sl_mesh_equal(in, out));
		assert_false(sl_mesh_equal(other, out)); /* the comparison can tell */
	}
}

/* ---- what is refused, and how it is said ---- */

struct parts {
	struct sl_arena a;
	pb_cluster *cluster;
	pb_assignment *assignment;
	pb_listener *listener;
	pb_route_config *routes;
	pb_route *route;
	pb_hcm *hcm;
};

static sl_err decode_it(struct parts *p, enum sl_xds_type type, struct sl_diag *diag)
{
	struct sl_mesh_cluster cluster;
	struct sl_mesh_listener listener;
	struct sl_mesh_route_config config;
	sl_str eds;

	switch (type) {
	case SL_XDS_CLUSTER:
		return sl_xds_decode_cluster(
		        sl_pb_packed(&p->cluster->base, &p->a), &p->a, &cluster, &eds, diag);
	case SL_XDS_ENDPOINTS:
		return sl_xds_decode_endpoints(
		        sl_pb_packed(&p->assignment->base, &p->a), &p->a, &cluster, diag);
	case SL_XDS_LISTENER:
		p->listener->filter_chains[0]->filters[0]->typed_config =
		        sl_pb_any(&p->a, SL_URL_HCM, &p->hcm->base);
		return sl_xds_decode_listener(
		        sl_pb_packed(&p->listener->base, &p->a), &p->a, &listener, &config, diag);
	case SL_XDS_ROUTE_CONFIG:
		return sl_xds_decode_route_config(
		        sl_pb_packed(&p->routes->base, &p->a), &p->a, &config, diag);
	case SL_XDS_EPOCH:
	case SL_XDS_TYPE_COUNT:
		break;
	}
	return SL_ERR_INTERNAL;
}

static struct sl_mesh *plain_mesh(void)
{
	struct sl_mesh *mesh = sl_mesh_new();
	static struct sl_mesh_endpoint endpoint = { .address = SL_STR("127.0.0.1"), .port = 80, .weight = 1 };
	static struct sl_mesh_cluster cluster = {
		.name = SL_STR("c"), .connect_timeout = SL_SEC(1), .endpoints = &endpoint, .endpoint_count = 1
	};
	static struct sl_mesh_split split = { .cluster = SL_STR("c"), .weight = 1 };
	static struct sl_mesh_field_match header = { .name = SL_STR("h"),
		.match = { .kind = SL_MATCH_REGEX, .value = SL_STR("x") } };
	static struct sl_mesh_header_op op = {
		.kind = SL_HEADER_ADD, .name = SL_STR("a"), .value = SL_STR("b")
	};
	static struct sl_mesh_route route = {
		.match = { .path = SL_STR("/"), .headers = &header, .header_count = 1 },
		.splits = &split,
		.split_count = 1,
		.headers = { .request = &op, .request_count = 1 },
		.retry = { .attempts = 1, .per_try_timeout = 5 }
	};
	static sl_str domain = SL_STR("*");
	static struct sl_mesh_virtual_host host = {
		.name = SL_STR("h"), .domains = &domain, .domain_count = 1, .routes = &route, .route_count = 1
	};
	static struct sl_mesh_route_config config = { .name = SL_STR("r"), .hosts = &host, .host_count = 1 };
	static struct sl_mesh_listener listener = {
		.name = SL_STR("l"), .address = SL_STR("127.0.0.1"), .port = 1, .route_config = SL_STR("r")
	};

	mesh->clusters = &cluster, mesh->cluster_count = 1;
	mesh->route_configs = &config, mesh->route_config_count = 1;
	mesh->listeners = &listener, mesh->listener_count = 1;
	return mesh;
}

static void parts_init(struct parts *p)
{
	SL_CLEANUP(sl_mesh_unref) struct sl_mesh *mesh = plain_mesh();
	struct sl_buf b[4] = { 0 };

	*p = (struct parts) { 0 };
	sl_xds_encode_cluster(&mesh->clusters[0], SL_XDS_FULL, &p->a, &b[0]);
	sl_xds_encode_endpoints(&mesh->clusters[0], &p->a, &b[1]);
	sl_xds_encode_listener(&mesh->listeners[0], &p->a, &b[2]);
	sl_xds_encode_route_config(&mesh->route_configs[0], SL_XDS_FULL, &p->a, &b[3]);
	p->cluster = pb_read_cluster(&p->a, any_value(&p->a, &b[0], SL_XDS_CLUSTER));
	p->assignment = pb_read_assignment(&p->a, any_value(&p->a, &b[1], SL_XDS_ENDPOINTS));
	p->listener = pb_read_listener(&p->a, any_value(&p->a, &b[2], SL_XDS_LISTENER));
	p->routes = pb_read_route_config(&p->a, any_value(&p->a, &b[3], SL_XDS_ROUTE_CONFIG));
	p->route = p->routes->virtual_hosts[0]->routes[0];
	p->hcm = pb_read_hcm(
	        &p->a, sl_str_n((char *)p->listener->filter_chains[0]->filters[0]->typed_config->value.data,
	                       p->listener->filter_chains[0]->filters[0]->typed_config->value.len));
	for (int i = 0; i < 4; i++)
		sl_buf_fini(&b[i]);
}

#define EMPTY ((char *)(uintptr_t)protobuf_c_empty_string)
/* One way to break a part; each breaks just one thing. */
#define BREAK(name, ...)                  \
	static void name(struct parts *p) \
	{                                 \
		__VA_ARGS__;              \
	}
BREAK(nothing, (void)p)
BREAK(no_cluster_name, p->cluster->name = EMPTY)
BREAK(negative_timeout, p->cluster->connect_timeout->seconds = -1)
BREAK(zero_timeout, p->cluster->connect_timeout->seconds = 0)
BREAK(huge_timeout, p->cluster->connect_timeout->seconds = INT64_MAX)
BREAK(odd_nanos, p->cluster->connect_timeout->nanos = 1000000000)
BREAK(ring_hash, p->cluster->lb_policy = PB_CLUSTER(CLUSTER__LB_POLICY__RING_HASH))
BREAK(dns, p->cluster->type = PB_CLUSTER(CLUSTER__DISCOVERY_TYPE__STRICT_DNS))
BREAK(no_requests, p->cluster->circuit_breakers->thresholds[0]->max_requests->value = 0)
BREAK(no_assignment_name, p->assignment->cluster_name = EMPTY)
BREAK(port_zero,
        p->assignment->endpoints[0]->lb_endpoints[0]->endpoint->address->socket_address->port_value = 0)
BREAK(port_high,
        p->assignment->endpoints[0]->lb_endpoints[0]->endpoint->address->socket_address->port_value = 65536)
BREAK(no_address,
        p->assignment->endpoints[0]->lb_endpoints[0]->endpoint->address->socket_address->address = EMPTY)
BREAK(weightless, p->assignment->endpoints[0]->lb_endpoints[0]->load_balancing_weight->value = 0)
BREAK(no_listener_name, p->listener->name = EMPTY)
BREAK(udp, p->listener->address->socket_address->protocol = PB_CORE(SOCKET_ADDRESS__PROTOCOL__UDP))
BREAK(no_chain, p->listener->n_filter_chains = 0)
BREAK(no_rds_name, p->hcm->rds->route_config_name = EMPTY)
BREAK(no_routes, p->hcm->route_specifier_case = PB_HCM(HTTP_CONNECTION_MANAGER__ROUTE_SPECIFIER__NOT_SET))
BREAK(no_config_name, p->routes->name = EMPTY)
BREAK(no_domain, p->routes->virtual_hosts[0]->n_domains = 0)
BREAK(no_match, p->route->match = NULL)
BREAK(no_path, p->route->match->path_specifier_case = PB_ROUTE(ROUTE_MATCH__PATH_SPECIFIER__NOT_SET))
BREAK(no_header_name, p->route->match->headers[0]->name = EMPTY)
BREAK(no_header_regex, p->route->match->headers[0]->safe_regex_match->regex = EMPTY)
BREAK(no_action, p->route->action_case = PB_ROUTE(ROUTE__ACTION__NOT_SET))
BREAK(no_split, p->route->route->weighted_clusters->n_clusters = 0)
BREAK(no_split_name, p->route->route->weighted_clusters->clusters[0]->name = EMPTY)
BREAK(add_if_absent, p->route->request_headers_to_add[0]->append_action = PB_CORE(
                             HEADER_VALUE_OPTION__HEADER_APPEND_ACTION__ADD_IF_ABSENT))
BREAK(bad_try_timeout, p->route->route->retry_policy->per_try_timeout->nanos = -1)

static const struct {
	void (*break_it)(struct parts *p);
	enum sl_xds_type type;
	sl_err err;
	const char *said;
} refused[] = {
	/* clang-format off */
	{ nothing,            SL_XDS_CLUSTER,      SL_OK,              "" },
	{ nothing,            SL_XDS_ENDPOINTS,    SL_OK,              "" },
	{ nothing,            SL_XDS_LISTENER,     SL_OK,              "" },
	{ nothing,            SL_XDS_ROUTE_CONFIG, SL_OK,              "" },
	{ no_cluster_name,    SL_XDS_CLUSTER,      SL_ERR_INVALID,     "Cluster \"\" name: must not be empty" },
	{ negative_timeout,   SL_XDS_CLUSTER,      SL_ERR_INVALID,     "Cluster \"c\" connect_timeout: -1 s and 0 ns is no duration from 0 to 292 years" },
	{ zero_timeout,       SL_XDS_CLUSTER,      SL_ERR_INVALID,     "Cluster \"c\" connect_timeout: must be above 0" },
	{ huge_timeout,       SL_XDS_CLUSTER,      SL_ERR_INVALID,     "Cluster \"c\" connect_timeout: 9223372036854775807 s and 0 ns is no duration from 0 to 292 years" },
	{ odd_nanos,          SL_XDS_CLUSTER,      SL_ERR_INVALID,     "Cluster \"c\" connect_timeout: 1 s and 1000000000 ns is no duration from 0 to 292 years" },
	{ ring_hash,          SL_XDS_CLUSTER,      SL_ERR_UNSUPPORTED, "Cluster \"c\" lb_policy: 2 is not supported: ROUND_ROBIN, LEAST_REQUEST and RANDOM are" },
	{ dns,                SL_XDS_CLUSTER,      SL_ERR_UNSUPPORTED, "Cluster \"c\" type: 1 is not supported: STATIC and EDS are" },
	{ no_requests,        SL_XDS_CLUSTER,      SL_ERR_UNSUPPORTED, "Cluster \"c\" circuit_breakers.thresholds[0]: a threshold of 0 is not supported" },
	{ no_assignment_name, SL_XDS_ENDPOINTS,    SL_ERR_INVALID,     "ClusterLoadAssignment \"\" cluster_name: must not be empty" },
	{ port_zero,          SL_XDS_ENDPOINTS,    SL_ERR_INVALID,     "ClusterLoadAssignment \"c\" endpoints[0].lb_endpoints[0].address: needs a port in 1..65535" },
	{ port_high,          SL_XDS_ENDPOINTS,    SL_ERR_INVALID,     "ClusterLoadAssignment \"c\" endpoints[0].lb_endpoints[0].address: needs a port_value in 0..65535" },
	{ no_address,         SL_XDS_ENDPOINTS,    SL_ERR_INVALID,     "ClusterLoadAssignment \"c\" endpoints[0].lb_endpoints[0].address: needs an address" },
	{ weightless,         SL_XDS_ENDPOINTS,    SL_ERR_INVALID,     "ClusterLoadAssignment \"c\" endpoints[0].lb_endpoints[0].load_balancing_weight: must be at least 1" },
	{ no_listener_name,   SL_XDS_LISTENER,     SL_ERR_INVALID,     "Listener \"\" name: must not be empty" },
	{ udp,                SL_XDS_LISTENER,     SL_ERR_UNSUPPORTED, "Listener \"l\" address: only TCP is supported" },
	{ no_chain,           SL_XDS_LISTENER,     SL_ERR_UNSUPPORTED, "Listener \"l\" filter_chains: needs exactly one chain with one filter" },
	{ no_rds_name,        SL_XDS_LISTENER,     SL_ERR_INVALID,     "Listener \"l\" filter_chains[0].filters[0].rds: needs a route_config_name" },
	{ no_routes,          SL_XDS_LISTENER,     SL_ERR_UNSUPPORTED, "Listener \"l\" filter_chains[0].filters[0]: needs rds or route_config" },
	{ no_config_name,     SL_XDS_ROUTE_CONFIG, SL_ERR_INVALID,     "RouteConfiguration \"\" name: must not be empty" },
	{ no_domain,          SL_XDS_ROUTE_CONFIG, SL_ERR_INVALID,     "RouteConfiguration \"r\" virtual_hosts[0].domains: needs at least one" },
	{ no_match,           SL_XDS_ROUTE_CONFIG, SL_ERR_INVALID,     "RouteConfiguration \"r\" virtual_hosts[0].routes[0].match: is required" },
	{ no_path,            SL_XDS_ROUTE_CONFIG, SL_ERR_UNSUPPORTED, "RouteConfiguration \"r\" virtual_hosts[0].routes[0].match: needs prefix, path, safe_regex or path_separated_prefix" },
	{ no_header_name,     SL_XDS_ROUTE_CONFIG, SL_ERR_INVALID,     "RouteConfiguration \"r\" virtual_hosts[0].routes[0].match.headers[0].name: must not be empty" },
	{ no_header_regex,    SL_XDS_ROUTE_CONFIG, SL_ERR_INVALID,     "RouteConfiguration \"r\" virtual_hosts[0].routes[0].match.headers[0].safe_regex_match: needs a regular expression" },
	{ no_action,          SL_XDS_ROUTE_CONFIG, SL_ERR_UNSUPPORTED, "RouteConfiguration \"r\" virtual_hosts[0].routes[0]: needs route, redirect or direct_response" },
	{ no_split,           SL_XDS_ROUTE_CONFIG, SL_ERR_UNSUPPORTED, "RouteConfiguration \"r\" virtual_hosts[0].routes[0].route: needs a cluster or weighted_clusters" },
	{ no_split_name,      SL_XDS_ROUTE_CONFIG, SL_ERR_INVALID,     "RouteConfiguration \"r\" virtual_hosts[0].routes[0].route.weighted_clusters.clusters[0].name: must not be empty" },
	{ add_if_absent,      SL_XDS_ROUTE_CONFIG, SL_ERR_UNSUPPORTED, "RouteConfiguration \"r\" virtual_hosts[0].routes[0].request_headers_to_add[0].append_action: 1 is not supported: APPEND_IF_EXISTS_OR_ADD and OVERWRITE_IF_EXISTS_OR_ADD are" },
	{ bad_try_timeout,    SL_XDS_ROUTE_CONFIG, SL_ERR_INVALID,     "RouteConfiguration \"r\" virtual_hosts[0].routes[0].route.retry_policy.per_try_timeout: 0 s and -1 ns is no duration from 0 to 292 years" },
	/* clang-format on */
};

static void test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(refused); i++) {
		SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
		struct parts p;

		parts_init(&p);
		refused[i].break_it(&p);
		sl_assert_err(decode_it(&p, refused[i].type, &diag), refused[i].err);
		assert_string_equal(sl_diag_text(&diag), refused[i].said);
		sl_arena_fini(&p.a);
	}
}

/* What other control planes leave out has Envoy's defaults. */
static void test_defaults(void **state)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena a = { 0 };
	pb_cluster *m = pb_new_cluster(&a);
	struct sl_mesh_cluster c;
	sl_str eds;

	(void)state;
	m->name = sl_pb_str(&a, SL_STR("c"));
	sl_assert_ok(sl_xds_decode_cluster(sl_pb_packed(&m->base, &a), &a, &c, &eds, NULL));
	assert_int_equal(eds.len, 0);
	assert_int_equal(c.connect_timeout, SL_SEC(5));
	assert_int_equal(c.max_connections, 1024);
	assert_int_equal(c.max_retries, 3);
	assert_int_equal(c.lb, SL_LB_ROUND_ROBIN);
}

/* A small message must not cost a deep stack or much memory. */
static void test_nesting_is_bounded(void **state)
{
	(void)state;
	for (unsigned depth = 1; depth <= 100; depth += 33) {
		SL_CLEANUP(sl_arena_fini) struct sl_arena a = { 0 };
		pb_value *v = pb_new_value(&a);

		for (unsigned i = 0; i < depth; i++) {
			pb_value *outer = pb_new_value(&a);

			outer->kind_case = PB_VALUE(KIND_LIST_VALUE);
			outer->list_value = pb_new_list(&a);
			outer->list_value->n_values = 1;
			outer->list_value->values = sl_arena_zalloc_array(&a, 1, sizeof(v));
			outer->list_value->values[0] = v;
			v = outer;
		}
		if (depth * 2 <= 64)
			assert_non_null(pb_read_value(&a, sl_pb_packed(&v->base, &a)));
		else
			assert_null(pb_read_value(&a, sl_pb_packed(&v->base, &a)));
	}
}

static void test_grpc_dialect(void **state)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena a = { 0 };
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };
	struct sl_mesh_route route = { .match = { .path_kind = SL_PATH_SEPARATED_PREFIX,
		                               .path = SL_STR("/a.b") },
		.action = SL_ROUTE_DIRECT,
		.direct_status = 200 };
	sl_str domain = SL_STR("*");
	struct sl_mesh_virtual_host host = {
		.domains = &domain, .domain_count = 1, .routes = &route, .route_count = 1
	};
	struct sl_mesh_route_config in = { .name = SL_STR("r"), .hosts = &host, .host_count = 1 }, out;
	struct sl_mesh_cluster c = { .name = SL_STR("c"), .lb = SL_LB_LEAST_REQUEST, .connect_timeout = 1 },
	                       seen;
	sl_str eds;

	(void)state;
	sl_xds_encode_route_config(&in, SL_XDS_GRPC, &a, &b);
	sl_assert_ok(sl_xds_decode_route_config(any_value(&a, &b, SL_XDS_ROUTE_CONFIG), &a, &out, NULL));
	assert_int_equal(out.hosts[0].routes[0].match.path_kind, SL_PATH_REGEX);
	sl_assert_str(out.hosts[0].routes[0].match.path, "/a\\.b(/.*)?");
	sl_buf_clear(&b);
	sl_xds_encode_cluster(&c, SL_XDS_GRPC, &a, &b);
	sl_assert_ok(sl_xds_decode_cluster(any_value(&a, &b, SL_XDS_CLUSTER), &a, &seen, &eds, NULL));
	assert_int_equal(seen.lb, SL_LB_ROUND_ROBIN);
}

/* ---- load reports ---- */

static void test_load_report(void **state)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena a = { 0 };
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };
	struct sl_load_metric metrics[] = { { SL_LOAD_JUDGED, 100, 3 }, { SL_LOAD_SLOW, 100, 5.5 } };
	struct sl_load_endpoint endpoint = { .address = SL_STR("127.0.0.1"),
		.port = 9001,
		.issued = 60,
		.ok = 58,
		.error = 2,
		.in_flight = 1,
		.metrics = metrics,
		.metric_count = 1 };
	struct sl_load_cluster clusters[] = {
		{ .cluster = SL_STR("v1"),
		        .issued = 100,
		        .ok = 97,
		        .error = 3,
		        .dropped = 4,
		        .in_flight = 2,
		        .metrics = metrics,
		        .metric_count = 2,
		        .endpoints = &endpoint,
		        .endpoint_count = 1 },
		{ .cluster = SL_STR("v2"), .issued = UINT64_MAX },
	};
	struct sl_load_report in = { .interval = SL_MSEC(100), .clusters = clusters, .cluster_count = 2 },
	                      out;

	(void)state;
	sl_load_report_encode(&in, SL_STR("node-1"), &b);
	sl_assert_ok(sl_load_report_decode(sl_buf_str(&b), &a, &out));
	sl_assert_str(out.node, "node-1");
	assert_int_equal(out.interval, SL_MSEC(100));
	assert_int_equal(out.cluster_count, 2);
	sl_assert_str(out.clusters[0].cluster, "v1");
	assert_int_equal(out.clusters[0].issued, 100);
	assert_int_equal(out.clusters[0].ok, 97);
	assert_int_equal(out.clusters[0].error, 3);
	assert_int_equal(out.clusters[0].dropped, 4);
	assert_int_equal(out.clusters[0].in_flight, 2);
	assert_int_equal(out.clusters[0].metric_count, 2);
	assert_true(sl_load_metric_find(out.clusters[0].metrics, 2, SL_LOAD_SLOW)->total > 5.4);
	assert_null(sl_load_metric_find(out.clusters[0].metrics, 2, SL_STR("no")));
	assert_int_equal(out.clusters[0].endpoint_count, 1);
	assert_int_equal(out.clusters[0].endpoints[0].port, 9001);
	assert_int_equal(out.clusters[0].endpoints[0].error, 2);
	assert_int_equal(out.clusters[0].endpoints[0].metrics[0].count, 100);
	assert_true(out.clusters[1].issued == UINT64_MAX);
	for (size_t n = 0; n < sl_buf_size(&b);
	        n++) /* cut anywhere: refused, or fewer clusters; never read past the end */
		if (sl_load_report_decode(sl_str_first(sl_buf_str(&b), n), &a, &out) == SL_OK)
			assert_true(out.cluster_count < 2);
}

static void test_load_wish(void **state)
{
	static const struct {
		sl_nsec interval, read;
	} cases[] = { { SL_MSEC(100), SL_MSEC(100) }, { SL_SEC(3), SL_SEC(3) }, { 0, SL_MSEC(10) },
		{ 1, SL_MSEC(10) } };

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_arena_fini) struct sl_arena a = { 0 };
		SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };
		sl_str names[] = { SL_STR("v1"), SL_STR("v2") };
		struct sl_load_wish in = { .interval = cases[i].interval,
			.endpoints = true,
			.clusters = names,
			.cluster_count = 2 },
		                    out;

		sl_load_wish_encode(&in, &b);
		sl_assert_ok(sl_load_wish_decode(sl_buf_str(&b), &a, &out));
		assert_int_equal(out.interval, cases[i].read);
		assert_true(out.endpoints && !out.all_clusters);
		assert_int_equal(out.cluster_count, 2);
		sl_assert_str(out.clusters[1], "v2");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_nesting_is_bounded),
		cmocka_unit_test(test_grpc_dialect),
		cmocka_unit_test(test_load_report),
		cmocka_unit_test(test_load_wish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
