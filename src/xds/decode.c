#include "xds/decode.h"
#include "xds/decode_priv.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- shared ---- */

static void print_path(struct sl_buf *out, const struct sl_xds_at *at)
{
	if (!at)
		return;
	print_path(out, at->up);
	sl_buf_printf(out, "%s%s", at->up ? "." : " ", at->name);
	if (at->index != SL_XDS_NO_INDEX)
		sl_buf_printf(out, "[%zu]", at->index);
}

sl_err sl_xds_wrong(
        const struct sl_xds_decoder *d, const struct sl_xds_at *at, sl_err err, const char *fmt, ...)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf where = { 0 }, text = { 0 };
	va_list ap;

	sl_buf_printf(&where, "%s \"%s\"", d->kind, d->name);
	print_path(&where, at);
	va_start(ap, fmt);
	sl_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	sl_diag_add(d->diag, sl_buf_cstr(&where), "FieldValueInvalid", "%s", sl_buf_cstr(&text));
	return err;
}

sl_str sl_xds_keep_str(const struct sl_xds_decoder *d, sl_str s)
{
	return s.len ? sl_arena_str(d->arena, s) : SL_STR_NONE;
}

sl_str sl_xds_keep(const struct sl_xds_decoder *d, const char *s)
{
	return sl_xds_keep_str(d, sl_str_c(s));
}

sl_err sl_xds_take_duration(const struct sl_xds_decoder *d, const struct sl_xds_at *at,
        const pb_duration *duration, sl_nsec fallback, sl_nsec *ret_d)
{
	sl_nsec v = fallback;

	if (duration && sl_pb_duration_read(duration, &v) != SL_OK)
		return sl_xds_wrong(d, at, SL_ERR_INVALID,
		        "%lld s and %d ns is no duration from 0 to 292 years", (long long)duration->seconds,
		        duration->nanos);
	*ret_d = v;
	return SL_OK;
}

sl_err sl_xds_take_address(const struct sl_xds_decoder *d, const struct sl_xds_at *at,
        const pb_address *address, sl_str *ret_ip, uint32_t *ret_port)
{
	const pb_socket_address *socket;

	if (!address || address->address_case != PB_CORE(ADDRESS__ADDRESS_SOCKET_ADDRESS) ||
	        !address->socket_address)
		return sl_xds_wrong(d, at, SL_ERR_UNSUPPORTED, "needs a socket_address");
	socket = address->socket_address;
	if (socket->protocol != PB_CORE(SOCKET_ADDRESS__PROTOCOL__TCP))
		return sl_xds_wrong(d, at, SL_ERR_UNSUPPORTED, "only TCP is supported");
	if (socket->port_specifier_case != PB_CORE(SOCKET_ADDRESS__PORT_SPECIFIER_PORT_VALUE) ||
	        socket->port_value > 65535)
		return sl_xds_wrong(d, at, SL_ERR_INVALID, "needs a port_value in 0..65535");
	if (!socket->address[0])
		return sl_xds_wrong(d, at, SL_ERR_INVALID, "needs an address");
	*ret_ip = sl_xds_keep(d, socket->address);
	*ret_port = socket->port_value;
	return SL_OK;
}

/* ---- listeners ---- */

static sl_err take_hcm(const struct sl_xds_decoder *d, const struct sl_xds_at *at, const pb_any *any,
        struct sl_mesh_listener *l, struct sl_mesh_route_config *ret_inline)
{
	const pb_hcm *m = pb_read_hcm(d->scratch, sl_str_n((char *)any->value.data, any->value.len));

	if (!m)
		return sl_xds_wrong(d, at, SL_ERR_MALFORMED, "is no HttpConnectionManager");
	l->protocol = SL_LISTENER_HTTP;
	if (m->route_specifier_case == PB_HCM(HTTP_CONNECTION_MANAGER__ROUTE_SPECIFIER_RDS) && m->rds) {
		if (!m->rds->route_config_name[0])
			return sl_xds_wrong(
			        d, SL_XDS_FIELD(at, "rds"), SL_ERR_INVALID, "needs a route_config_name");
		l->route_config = sl_xds_keep(d, m->rds->route_config_name);
		return SL_OK;
	}
	if (m->route_specifier_case == PB_HCM(HTTP_CONNECTION_MANAGER__ROUTE_SPECIFIER_ROUTE_CONFIG) &&
	        m->route_config) {
		SL_TRY(sl_xds_take_routes(d, SL_XDS_FIELD(at, "route_config"), m->route_config, ret_inline));
		if (!ret_inline->name.len)
			ret_inline->name = l->name;
		l->route_config = ret_inline->name;
		return SL_OK;
	}
	return sl_xds_wrong(d, at, SL_ERR_UNSUPPORTED, "needs rds or route_config");
}

static sl_err take_tcp_proxy(const struct sl_xds_decoder *d, const struct sl_xds_at *at, const pb_any *any,
        struct sl_mesh_listener *l)
{
	const pb_tcp_proxy *m =
	        pb_read_tcp_proxy(d->scratch, sl_str_n((char *)any->value.data, any->value.len));

	if (!m)
		return sl_xds_wrong(d, at, SL_ERR_MALFORMED, "is no TcpProxy");
	if (m->cluster_specifier_case != PB_TCP(TCP_PROXY__CLUSTER_SPECIFIER_CLUSTER) || !m->cluster[0])
		return sl_xds_wrong(d, at, SL_ERR_UNSUPPORTED, "needs a cluster");
	l->protocol = SL_LISTENER_TCP;
	l->tcp_cluster = sl_xds_keep(d, m->cluster);
	return SL_OK;
}

/* The last filter of the one chain is what serves; others before it are not for us to ignore. */
static sl_err take_filters(const struct sl_xds_decoder *d, const pb_listener *m, struct sl_mesh_listener *l,
        struct sl_mesh_route_config *ret_inline)
{
	const struct sl_xds_at *at = SL_XDS_AT(SL_XDS_AT(NULL, "filter_chains", 0), "filters", 0);
	const pb_any *any;

	if (m->n_filter_chains != 1 || m->filter_chains[0]->n_filters != 1)
		return sl_xds_wrong(d, SL_XDS_FIELD(NULL, "filter_chains"), SL_ERR_UNSUPPORTED,
		        "needs exactly one chain with one filter");
	any = m->filter_chains[0]->filters[0]->config_type_case ==
	                      PB_LISTENER(FILTER__CONFIG_TYPE_TYPED_CONFIG)
	              ? m->filter_chains[0]->filters[0]->typed_config
	              : NULL;
	if (any && strcmp(any->type_url, SL_URL_HCM) == 0)
		return take_hcm(d, at, any, l, ret_inline);
	if (any && strcmp(any->type_url, SL_URL_TCP_PROXY) == 0)
		return take_tcp_proxy(d, at, any, l);
	return sl_xds_wrong(d, at, SL_ERR_UNSUPPORTED, "\"%s\" is neither HttpConnectionManager nor TcpProxy",
	        any ? any->type_url : "");
}

static sl_err take_listener(struct sl_xds_decoder *d, sl_str bytes, struct sl_mesh_listener *ret_listener,
        struct sl_mesh_route_config *ret_inline)
{
	const pb_listener *m = pb_read_listener(d->scratch, bytes);
	struct sl_mesh_listener l = { .direction = SL_TRAFFIC_GATEWAY };
	struct sl_mesh_route_config inline_config = { 0 };

	if (!m)
		return sl_xds_wrong(d, NULL, SL_ERR_MALFORMED, "is no Listener");
	d->name = m->name;
	if (!m->name[0])
		return sl_xds_wrong(d, SL_XDS_FIELD(NULL, "name"), SL_ERR_INVALID, "must not be empty");
	l.name = sl_xds_keep(d, m->name);
	SL_TRY(sl_xds_take_address(d, SL_XDS_FIELD(NULL, "address"), m->address, &l.address, &l.port));
	if (m->traffic_direction == PB_CORE(TRAFFIC_DIRECTION__OUTBOUND))
		l.direction = SL_TRAFFIC_OUTBOUND;
	else if (m->traffic_direction == PB_CORE(TRAFFIC_DIRECTION__INBOUND))
		l.direction = SL_TRAFFIC_INBOUND;
	SL_TRY(take_filters(d, m, &l, &inline_config));
	*ret_listener = l;
	*ret_inline = inline_config;
	return SL_OK;
}

sl_err sl_xds_decode_listener(sl_str any_value, struct sl_arena *arena, struct sl_mesh_listener *ret_listener,
        struct sl_mesh_route_config *ret_inline, struct sl_diag *diag)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena scratch = { 0 };
	struct sl_xds_decoder d = { arena, &scratch, diag, "Listener", "" };

	return take_listener(&d, any_value, ret_listener, ret_inline);
}

/* ---- route configs ---- */

sl_err sl_xds_decode_route_config(sl_str any_value, struct sl_arena *arena,
        struct sl_mesh_route_config *ret_config, struct sl_diag *diag)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena scratch = { 0 };
	struct sl_xds_decoder d = { arena, &scratch, diag, "RouteConfiguration", "" };
	const pb_route_config *m = pb_read_route_config(&scratch, any_value);

	if (!m)
		return sl_xds_wrong(&d, NULL, SL_ERR_MALFORMED, "is no RouteConfiguration");
	d.name = m->name;
	if (!m->name[0])
		return sl_xds_wrong(&d, SL_XDS_FIELD(NULL, "name"), SL_ERR_INVALID, "must not be empty");
	return sl_xds_take_routes(&d, NULL, m, ret_config);
}

/* ---- clusters ---- */

static uint32_t take_threshold(const pb_uint32 *v, uint32_t fallback)
{
	if (!v)
		return fallback;
	return v->value == UINT32_MAX ? 0 : v->value;
}

/* A threshold of 0 would mean "none at all" in Envoy and "no limit" in a mesh. */
static sl_err take_breakers(const struct sl_xds_decoder *d, const pb_breakers *m, struct sl_mesh_cluster *c)
{
	const pb_thresholds *t = m && m->n_thresholds ? m->thresholds[0] : NULL;

	if (t && ((t->max_connections && !t->max_connections->value) ||
	                 (t->max_pending_requests && !t->max_pending_requests->value) ||
	                 (t->max_requests && !t->max_requests->value) ||
	                 (t->max_retries && !t->max_retries->value)))
		return sl_xds_wrong(d, SL_XDS_AT(SL_XDS_FIELD(NULL, "circuit_breakers"), "thresholds", 0),
		        SL_ERR_UNSUPPORTED, "a threshold of 0 is not supported");
	c->max_connections = take_threshold(t ? t->max_connections : NULL, 1024);
	c->max_pending = take_threshold(t ? t->max_pending_requests : NULL, 1024);
	c->max_requests = take_threshold(t ? t->max_requests : NULL, 1024);
	c->max_retries = take_threshold(t ? t->max_retries : NULL, 3);
	return SL_OK;
}

static sl_err take_upstream_options(
        const struct sl_xds_decoder *d, const pb_cluster *m, struct sl_mesh_cluster *c)
{
	const struct sl_xds_at *at = SL_XDS_FIELD(NULL, "typed_extension_protocol_options");
	const pb_upstream_options *options = NULL;
	const pb_http_options *http;

	if (m->max_requests_per_connection)
		c->max_requests_per_connection = m->max_requests_per_connection->value;
	for (size_t i = 0; i < m->n_typed_extension_protocol_options; i++) {
		const pb_options_entry *e = m->typed_extension_protocol_options[i];

		if (strcmp(e->key, SL_KEY_UPSTREAM_OPTIONS) != 0 || !e->value)
			continue;
		options = pb_read_upstream_options(
		        d->scratch, sl_str_n((char *)e->value->value.data, e->value->value.len));
		if (!options)
			return sl_xds_wrong(d, at, SL_ERR_MALFORMED, "is no HttpProtocolOptions");
	}
	http = options ? options->common_http_protocol_options : NULL;
	if (!http)
		return SL_OK;
	if (http->max_requests_per_connection)
		c->max_requests_per_connection = http->max_requests_per_connection->value;
	return sl_xds_take_duration(
	        d, SL_XDS_FIELD(at, "idle_timeout"), http->idle_timeout, 0, &c->idle_timeout);
}

static sl_err take_lb(const struct sl_xds_decoder *d, const pb_cluster *m, struct sl_mesh_cluster *c)
{
	if (m->lb_policy == PB_CLUSTER(CLUSTER__LB_POLICY__ROUND_ROBIN))
		c->lb = SL_LB_ROUND_ROBIN;
	else if (m->lb_policy == PB_CLUSTER(CLUSTER__LB_POLICY__LEAST_REQUEST))
		c->lb = SL_LB_LEAST_REQUEST;
	else if (m->lb_policy == PB_CLUSTER(CLUSTER__LB_POLICY__RANDOM))
		c->lb = SL_LB_RANDOM;
	else
		return sl_xds_wrong(d, SL_XDS_FIELD(NULL, "lb_policy"), SL_ERR_UNSUPPORTED,
		        "%d is not supported: ROUND_ROBIN, LEAST_REQUEST and RANDOM are", (int)m->lb_policy);
	return SL_OK;
}

static sl_err take_discovery(
        const struct sl_xds_decoder *d, const pb_cluster *m, struct sl_mesh_cluster *c, sl_str *ret_eds)
{
	if (m->cluster_discovery_type_case == PB_CLUSTER(CLUSTER__CLUSTER_DISCOVERY_TYPE_TYPE) &&
	        m->type == PB_CLUSTER(CLUSTER__DISCOVERY_TYPE__EDS)) {
		const char *name = m->eds_cluster_config ? m->eds_cluster_config->service_name : "";

		*ret_eds = name[0] ? sl_xds_keep(d, name) : c->name;
		return SL_OK;
	}
	if (m->cluster_discovery_type_case == PB_CLUSTER(CLUSTER__CLUSTER_DISCOVERY_TYPE_TYPE) &&
	        m->type != PB_CLUSTER(CLUSTER__DISCOVERY_TYPE__STATIC))
		return sl_xds_wrong(d, SL_XDS_FIELD(NULL, "type"), SL_ERR_UNSUPPORTED,
		        "%d is not supported: STATIC and EDS are", (int)m->type);
	*ret_eds = SL_STR_NONE;
	return m->load_assignment ? sl_xds_take_assignment(
	                                    d, SL_XDS_FIELD(NULL, "load_assignment"), m->load_assignment, c)
	                          : SL_OK;
}

static sl_err take_cluster(
        struct sl_xds_decoder *d, const pb_cluster *m, struct sl_mesh_cluster *c, sl_str *ret_eds)
{
	const pb_struct *notes = sl_pb_notes_of(m->metadata);

	d->name = m->name;
	if (!m->name[0])
		return sl_xds_wrong(d, SL_XDS_FIELD(NULL, "name"), SL_ERR_INVALID, "must not be empty");
	c->name = sl_xds_keep(d, m->name);
	SL_TRY(sl_xds_take_duration(d, SL_XDS_FIELD(NULL, "connect_timeout"), m->connect_timeout, SL_SEC(5),
	        &c->connect_timeout));
	if (!c->connect_timeout)
		return sl_xds_wrong(
		        d, SL_XDS_FIELD(NULL, "connect_timeout"), SL_ERR_INVALID, "must be above 0");
	SL_TRY(take_lb(d, m, c));
	SL_TRY(take_breakers(d, m->circuit_breakers, c));
	SL_TRY(take_upstream_options(d, m, c));
	SL_TRY(take_discovery(d, m, c, ret_eds));
	c->service_host = sl_xds_keep_str(d, sl_pb_noted_str(notes, "service_host"));
	c->service_name = sl_xds_keep_str(d, sl_pb_noted_str(notes, "service_name"));
	c->service_namespace = sl_xds_keep_str(d, sl_pb_noted_str(notes, "service_namespace"));
	c->rollout = sl_xds_keep_str(d, sl_pb_noted_str(notes, "rollout"));
	c->revision = sl_xds_keep_str(d, sl_pb_noted_str(notes, "revision"));
	return SL_OK;
}

sl_err sl_xds_decode_cluster(sl_str any_value, struct sl_arena *arena, struct sl_mesh_cluster *ret_cluster,
        sl_str *ret_eds_name, struct sl_diag *diag)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena scratch = { 0 };
	struct sl_xds_decoder d = { arena, &scratch, diag, "Cluster", "" };
	const pb_cluster *m = pb_read_cluster(&scratch, any_value);
	struct sl_mesh_cluster c = { 0 };
	sl_str eds = SL_STR_NONE;

	if (!m)
		return sl_xds_wrong(&d, NULL, SL_ERR_MALFORMED, "is no Cluster");
	SL_TRY(take_cluster(&d, m, &c, &eds));
	*ret_cluster = c;
	*ret_eds_name = eds;
	return SL_OK;
}

/* ---- endpoints ---- */

static sl_err take_endpoint(const struct sl_xds_decoder *d, const struct sl_xds_at *at,
        const pb_lb_endpoint *m, struct sl_mesh_endpoint *e)
{
	const pb_struct *notes = sl_pb_notes_of(m->metadata);

	if (m->host_identifier_case != PB_ENDPOINT(LB_ENDPOINT__HOST_IDENTIFIER_ENDPOINT) || !m->endpoint)
		return sl_xds_wrong(d, at, SL_ERR_UNSUPPORTED, "needs an endpoint");
	SL_TRY(sl_xds_take_address(
	        d, SL_XDS_FIELD(at, "address"), m->endpoint->address, &e->address, &e->port));
	if (!e->port)
		return sl_xds_wrong(
		        d, SL_XDS_FIELD(at, "address"), SL_ERR_INVALID, "needs a port in 1..65535");
	e->weight = m->load_balancing_weight ? m->load_balancing_weight->value : 1;
	if (!e->weight)
		return sl_xds_wrong(
		        d, SL_XDS_FIELD(at, "load_balancing_weight"), SL_ERR_INVALID, "must be at least 1");
	if (m->health_status == PB_CORE(HEALTH_STATUS__DRAINING))
		e->health = SL_HEALTH_DRAINING;
	else if (m->health_status == PB_CORE(HEALTH_STATUS__UNHEALTHY) ||
	         m->health_status == PB_CORE(HEALTH_STATUS__TIMEOUT))
		e->health = SL_HEALTH_UNHEALTHY;
	else
		e->health = SL_HEALTH_HEALTHY;
	e->pod = sl_xds_keep_str(d, sl_pb_noted_str(notes, "pod"));
	e->workload = sl_xds_keep_str(d, sl_pb_noted_str(notes, "workload"));
	e->namespace = sl_xds_keep_str(d, sl_pb_noted_str(notes, "namespace"));
	e->app = sl_xds_keep_str(d, sl_pb_noted_str(notes, "app"));
	e->version = sl_xds_keep_str(d, sl_pb_noted_str(notes, "version"));
	return SL_OK;
}

sl_err sl_xds_take_assignment(const struct sl_xds_decoder *d, const struct sl_xds_at *up,
        const pb_assignment *in, struct sl_mesh_cluster *ret_cluster)
{
	uint32_t priority = UINT32_MAX;
	size_t count = 0, n = 0;
	struct sl_mesh_endpoint *list;

	for (size_t i = 0; i < in->n_endpoints; i++)
		if (in->endpoints[i]->n_lb_endpoints && in->endpoints[i]->priority < priority)
			priority = in->endpoints[i]->priority;
	for (size_t i = 0; i < in->n_endpoints; i++)
		if (in->endpoints[i]->priority == priority)
			count += in->endpoints[i]->n_lb_endpoints;
	list = count ? sl_arena_zalloc_array(d->arena, count, sizeof(*list)) : NULL;
	for (size_t i = 0; i < in->n_endpoints; i++) {
		const pb_locality_lb *locality = in->endpoints[i];

		for (size_t k = 0; locality->priority == priority && k < locality->n_lb_endpoints; k++)
			SL_TRY(take_endpoint(d, SL_XDS_AT(SL_XDS_AT(up, "endpoints", i), "lb_endpoints", k),
			        locality->lb_endpoints[k], &list[n++]));
	}
	ret_cluster->endpoints = list;
	ret_cluster->endpoint_count = count;
	return SL_OK;
}

sl_err sl_xds_decode_endpoints(
        sl_str any_value, struct sl_arena *arena, struct sl_mesh_cluster *ret_cluster, struct sl_diag *diag)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena scratch = { 0 };
	struct sl_xds_decoder d = { arena, &scratch, diag, "ClusterLoadAssignment", "" };
	const pb_assignment *m = pb_read_assignment(&scratch, any_value);

	if (!m)
		return sl_xds_wrong(&d, NULL, SL_ERR_MALFORMED, "is no ClusterLoadAssignment");
	d.name = m->cluster_name;
	if (!m->cluster_name[0])
		return sl_xds_wrong(
		        &d, SL_XDS_FIELD(NULL, "cluster_name"), SL_ERR_INVALID, "must not be empty");
	SL_TRY(sl_xds_take_assignment(&d, NULL, m, ret_cluster));
	ret_cluster->name = sl_xds_keep(&d, m->cluster_name);
	return SL_OK;
}

sl_err sl_xds_decode_epoch(sl_str any_value, uint64_t *ret_epoch)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena scratch = { 0 };
	const pb_epoch *m = pb_read_epoch(&scratch, any_value);

	if (!m || !m->epoch)
		return SL_ERR_MALFORMED;
	*ret_epoch = m->epoch;
	return SL_OK;
}
