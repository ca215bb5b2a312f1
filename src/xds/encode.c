#include "xds/encode.h"
#include "xds/pb_priv.h"

#include <stdio.h>

/* An array of pointers to messages, as protobuf-c's repeated fields are. */
#define PB_LIST(arena, count, list) ((list) = sl_arena_zalloc_array((arena), (count), sizeof(*(list))))

static void add_any(
        enum sl_xds_type type, const ProtobufCMessage *message, struct sl_arena *scratch, struct sl_buf *out)
{
	sl_pb_field(out, 1, sl_xds_type_url(type));
	sl_pb_field(out, 2, sl_pb_packed(message, scratch));
}

static pb_config_source *from_ads(struct sl_arena *a)
{
	pb_config_source *source = pb_new_config_source(a);

	source->config_source_specifier_case = PB_CORE(CONFIG_SOURCE__CONFIG_SOURCE_SPECIFIER_ADS);
	source->ads = pb_new_ads_source(a);
	source->resource_api_version = PB_CORE(API_VERSION__V3);
	return source;
}

static pb_address *address(struct sl_arena *a, sl_str ip, uint32_t port)
{
	pb_address *m = pb_new_address(a);

	m->address_case = PB_CORE(ADDRESS__ADDRESS_SOCKET_ADDRESS);
	m->socket_address = pb_new_socket_address(a);
	m->socket_address->address = sl_pb_str(a, ip);
	m->socket_address->port_specifier_case = PB_CORE(SOCKET_ADDRESS__PORT_SPECIFIER_PORT_VALUE);
	m->socket_address->port_value = port;
	return m;
}

/* ---- listeners ---- */

static pb_any *hcm(struct sl_arena *a, sl_str stat_prefix, sl_str route_config)
{
	pb_hcm *m = pb_new_hcm(a);
	pb_http_filter *router = pb_new_http_filter(a);

	m->stat_prefix = sl_pb_str(a, stat_prefix);
	m->route_specifier_case = PB_HCM(HTTP_CONNECTION_MANAGER__ROUTE_SPECIFIER_RDS);
	m->rds = pb_new_rds(a);
	m->rds->config_source = from_ads(a);
	m->rds->route_config_name = sl_pb_str(a, route_config);
	router->name = sl_pb_str(a, SL_STR("envoy.filters.http.router"));
	router->config_type_case = PB_HCM(HTTP_FILTER__CONFIG_TYPE_TYPED_CONFIG);
	router->typed_config = sl_pb_any(a, SL_URL_ROUTER, &pb_new_router(a)->base);
	m->n_http_filters = 1;
	PB_LIST(a, 1, m->http_filters)[0] = router;
	return sl_pb_any(a, SL_URL_HCM, &m->base);
}

static pb_any *tcp_proxy(struct sl_arena *a, const struct sl_mesh_listener *listener)
{
	pb_tcp_proxy *m = pb_new_tcp_proxy(a);

	m->stat_prefix = sl_pb_str(a, listener->name);
	m->cluster_specifier_case = PB_TCP(TCP_PROXY__CLUSTER_SPECIFIER_CLUSTER);
	m->cluster = sl_pb_str(a, listener->tcp_cluster);
	return sl_pb_any(a, SL_URL_TCP_PROXY, &m->base);
}

static const int directions[] = {
	[SL_TRAFFIC_OUTBOUND] = PB_CORE(TRAFFIC_DIRECTION__OUTBOUND),
	[SL_TRAFFIC_INBOUND] = PB_CORE(TRAFFIC_DIRECTION__INBOUND),
	[SL_TRAFFIC_GATEWAY] = PB_CORE(TRAFFIC_DIRECTION__UNSPECIFIED),
};

void sl_xds_encode_listener(const struct sl_mesh_listener *listener, struct sl_arena *a, struct sl_buf *out)
{
	bool http = listener->protocol == SL_LISTENER_HTTP;
	pb_listener *m = pb_new_listener(a);
	pb_filter_chain *chain = pb_new_filter_chain(a);
	pb_filter *filter = pb_new_filter(a);

	m->name = sl_pb_str(a, listener->name);
	m->address = address(a, listener->address, listener->port);
	m->traffic_direction = (Envoy__Config__Core__V3__TrafficDirection)directions[listener->direction];
	filter->name = sl_pb_str(a, http ? SL_STR("envoy.filters.network.http_connection_manager")
	                                 : SL_STR("envoy.filters.network.tcp_proxy"));
	filter->config_type_case = PB_LISTENER(FILTER__CONFIG_TYPE_TYPED_CONFIG);
	filter->typed_config = http ? hcm(a, listener->name, listener->route_config) : tcp_proxy(a, listener);
	chain->n_filters = 1;
	PB_LIST(a, 1, chain->filters)[0] = filter;
	m->n_filter_chains = 1;
	PB_LIST(a, 1, m->filter_chains)[0] = chain;
	add_any(SL_XDS_LISTENER, &m->base, a, out);
}

void sl_xds_encode_api_listener(sl_str name, sl_str route_config, struct sl_arena *a, struct sl_buf *out)
{
	pb_listener *m = pb_new_listener(a);

	m->name = sl_pb_str(a, name);
	m->api_listener = pb_new_api_listener(a);
	m->api_listener->api_listener = hcm(a, name, route_config);
	add_any(SL_XDS_LISTENER, &m->base, a, out);
}

/* ---- matches ---- */

static pb_regex *regex(struct sl_arena *a, sl_str text)
{
	pb_regex *m = pb_new_regex(a);

	m->regex = sl_pb_str(a, text);
	return m;
}

static pb_string_matcher *string_matcher(struct sl_arena *a, const struct sl_mesh_match *match)
{
	pb_string_matcher *m = pb_new_string_matcher(a);
	char *text = sl_pb_str(a, match->value);

	m->ignore_case = match->ignore_case;
	switch (match->kind) {
	case SL_MATCH_EXACT:
		m->match_pattern_case = PB_MATCHER(STRING_MATCHER__MATCH_PATTERN_EXACT);
		m->exact = text;
		break;
	case SL_MATCH_PREFIX:
		m->match_pattern_case = PB_MATCHER(STRING_MATCHER__MATCH_PATTERN_PREFIX);
		m->prefix = text;
		break;
	case SL_MATCH_SUFFIX:
		m->match_pattern_case = PB_MATCHER(STRING_MATCHER__MATCH_PATTERN_SUFFIX);
		m->suffix = text;
		break;
	case SL_MATCH_CONTAINS:
		m->match_pattern_case = PB_MATCHER(STRING_MATCHER__MATCH_PATTERN_CONTAINS);
		m->contains = text;
		break;
	case SL_MATCH_REGEX:
		m->match_pattern_case = PB_MATCHER(STRING_MATCHER__MATCH_PATTERN_SAFE_REGEX);
		m->safe_regex = regex(a, match->value);
		m->ignore_case = false;
		break;
	case SL_MATCH_PRESENT:
		break;
	}
	return m;
}

/* Where case counts, the older fields say the same as string_match, and older gRPC clients know only them. */
static void header_specifier(struct sl_arena *a, const struct sl_mesh_match *match, pb_header_matcher *m)
{
	char *text = sl_pb_str(a, match->value);

	if (match->ignore_case && match->kind <= SL_MATCH_CONTAINS) {
		m->header_match_specifier_case =
		        PB_ROUTE(HEADER_MATCHER__HEADER_MATCH_SPECIFIER_STRING_MATCH);
		m->string_match = string_matcher(a, match);
		return;
	}
	switch (match->kind) {
	case SL_MATCH_EXACT:
		m->header_match_specifier_case = PB_ROUTE(HEADER_MATCHER__HEADER_MATCH_SPECIFIER_EXACT_MATCH);
		m->exact_match = text;
		break;
	case SL_MATCH_PREFIX:
		m->header_match_specifier_case =
		        PB_ROUTE(HEADER_MATCHER__HEADER_MATCH_SPECIFIER_PREFIX_MATCH);
		m->prefix_match = text;
		break;
	case SL_MATCH_SUFFIX:
		m->header_match_specifier_case =
		        PB_ROUTE(HEADER_MATCHER__HEADER_MATCH_SPECIFIER_SUFFIX_MATCH);
		m->suffix_match = text;
		break;
	case SL_MATCH_CONTAINS:
		m->header_match_specifier_case =
		        PB_ROUTE(HEADER_MATCHER__HEADER_MATCH_SPECIFIER_CONTAINS_MATCH);
		m->contains_match = text;
		break;
	case SL_MATCH_REGEX:
		m->header_match_specifier_case =
		        PB_ROUTE(HEADER_MATCHER__HEADER_MATCH_SPECIFIER_SAFE_REGEX_MATCH);
		m->safe_regex_match = regex(a, match->value);
		break;
	case SL_MATCH_PRESENT:
		m->header_match_specifier_case =
		        PB_ROUTE(HEADER_MATCHER__HEADER_MATCH_SPECIFIER_PRESENT_MATCH);
		m->present_match = true;
		break;
	}
}

static pb_header_matcher *header_matcher(struct sl_arena *a, const struct sl_mesh_field_match *match)
{
	pb_header_matcher *m = pb_new_header_matcher(a);

	m->name = sl_pb_str(a, match->name);
	m->invert_match = match->match.invert;
	header_specifier(a, &match->match, m);
	return m;
}

static pb_param_matcher *param_matcher(struct sl_arena *a, const struct sl_mesh_field_match *match)
{
	pb_param_matcher *m = pb_new_param_matcher(a);

	m->name = sl_pb_str(a, match->name);
	if (match->match.kind == SL_MATCH_PRESENT) {
		m->query_parameter_match_specifier_case =
		        PB_ROUTE(QUERY_PARAMETER_MATCHER__QUERY_PARAMETER_MATCH_SPECIFIER_PRESENT_MATCH);
		m->present_match = true;
	} else {
		m->query_parameter_match_specifier_case =
		        PB_ROUTE(QUERY_PARAMETER_MATCHER__QUERY_PARAMETER_MATCH_SPECIFIER_STRING_MATCH);
		m->string_match = string_matcher(a, &match->match);
	}
	return m;
}

/* "/a.b" as RE2: "/a\.b(/.*)?" */
static sl_str separated_prefix_regex(struct sl_arena *a, sl_str prefix)
{
	char *p = sl_arena_alloc(a, prefix.len * 2 + sizeof("(/.*)?"));
	size_t n = 0;

	for (size_t i = 0; i < prefix.len; i++) {
		if (strchr("\\.+*?()|[]{}^$", prefix.p[i]) && prefix.p[i])
			p[n++] = '\\';
		p[n++] = prefix.p[i];
	}
	memcpy(p + n, "(/.*)?", sizeof("(/.*)?"));
	return sl_str_n(p, n + sizeof("(/.*)?") - 1);
}

static void path_specifier(struct sl_arena *a, const struct sl_mesh_route_match *match,
        enum sl_xds_dialect dialect, pb_route_match *m)
{
	switch (match->path_kind) {
	case SL_PATH_PREFIX:
		m->path_specifier_case = PB_ROUTE(ROUTE_MATCH__PATH_SPECIFIER_PREFIX);
		m->prefix = sl_pb_str(a, match->path);
		break;
	case SL_PATH_EXACT:
		m->path_specifier_case = PB_ROUTE(ROUTE_MATCH__PATH_SPECIFIER_PATH);
		m->path = sl_pb_str(a, match->path);
		break;
	case SL_PATH_REGEX:
		m->path_specifier_case = PB_ROUTE(ROUTE_MATCH__PATH_SPECIFIER_SAFE_REGEX);
		m->safe_regex = regex(a, match->path);
		break;
	case SL_PATH_SEPARATED_PREFIX:
		if (dialect == SL_XDS_GRPC) {
			m->path_specifier_case = PB_ROUTE(ROUTE_MATCH__PATH_SPECIFIER_SAFE_REGEX);
			m->safe_regex = regex(a, separated_prefix_regex(a, match->path));
		} else {
			m->path_specifier_case = PB_ROUTE(ROUTE_MATCH__PATH_SPECIFIER_PATH_SEPARATED_PREFIX);
			m->path_separated_prefix = sl_pb_str(a, match->path);
		}
		break;
	}
	if (match->path_ignore_case)
		m->case_sensitive = sl_pb_bool(a, false);
}

static pb_route_match *route_match(
        struct sl_arena *a, const struct sl_mesh_route_match *match, enum sl_xds_dialect dialect)
{
	pb_route_match *m = pb_new_route_match(a);

	path_specifier(a, match, dialect, m);
	PB_LIST(a, match->header_count, m->headers);
	for (size_t i = 0; i < match->header_count; i++)
		m->headers[m->n_headers++] = header_matcher(a, &match->headers[i]);
	PB_LIST(a, match->param_count, m->query_parameters);
	for (size_t i = 0; i < match->param_count; i++)
		m->query_parameters[m->n_query_parameters++] = param_matcher(a, &match->params[i]);
	return m;
}

/* Envoy cannot invert a match of a query parameter: which of them are meant inverted is noted as "0,3". */
static void note_inverted_params(struct sl_pb_notes *notes, const struct sl_mesh_route_match *match)
{
	char *text = sl_arena_alloc(notes->arena, match->param_count * 21 + 1);
	size_t n = 0;

	for (size_t i = 0; i < match->param_count; i++)
		if (match->params[i].match.invert)
			n += (size_t)sprintf(text + n, "%s%zu", n ? "," : "", i);
	sl_pb_note_str(notes, "inverted_params", sl_str_n(text, n));
}

/* ---- routes ---- */

struct header_lists {
	size_t add_count, remove_count;
	pb_header_option **add;
	char **remove;
};

static struct header_lists header_lists(struct sl_arena *a, const struct sl_mesh_header_op *ops, size_t count)
{
	struct header_lists lists = { 0 };

	PB_LIST(a, count, lists.add);
	PB_LIST(a, count, lists.remove);
	for (size_t i = 0; i < count; i++) {
		pb_header_option *option;

		if (ops[i].kind == SL_HEADER_REMOVE) {
			lists.remove[lists.remove_count++] = sl_pb_str(a, ops[i].name);
			continue;
		}
		option = pb_new_header_option(a);
		option->header = pb_new_header(a);
		option->header->key = sl_pb_str(a, ops[i].name);
		option->header->value = sl_pb_str(a, ops[i].value);
		option->keep_empty_value = !ops[i].value.len;
		option->append_action =
		        ops[i].kind == SL_HEADER_SET
		                ? PB_CORE(HEADER_VALUE_OPTION__HEADER_APPEND_ACTION__OVERWRITE_IF_EXISTS_OR_ADD)
		                : PB_CORE(HEADER_VALUE_OPTION__HEADER_APPEND_ACTION__APPEND_IF_EXISTS_OR_ADD);
		lists.add[lists.add_count++] = option;
	}
	return lists;
}

/* Route and ClusterWeight name these eight fields alike. */
#define PUT_HEADERS(arena, m, ops)                                                                          \
	do {                                                                                                \
		struct header_lists req_ = header_lists((arena), (ops)->request, (ops)->request_count);     \
		struct header_lists resp_ = header_lists((arena), (ops)->response, (ops)->response_count);  \
		(m)->n_request_headers_to_add = req_.add_count, (m)->request_headers_to_add = req_.add;     \
		(m)->n_request_headers_to_remove = req_.remove_count;                                       \
		(m)->request_headers_to_remove = req_.remove;                                               \
		(m)->n_response_headers_to_add = resp_.add_count, (m)->response_headers_to_add = resp_.add; \
		(m)->n_response_headers_to_remove = resp_.remove_count;                                     \
		(m)->response_headers_to_remove = resp_.remove;                                             \
	} while (0)

static pb_cluster_weight *cluster_weight(struct sl_arena *a, const struct sl_mesh_split *split)
{
	pb_cluster_weight *m = pb_new_cluster_weight(a);
	struct sl_pb_notes notes = { .arena = a };

	m->name = sl_pb_str(a, split->cluster);
	m->weight = sl_pb_uint32(a, split->weight);
	PUT_HEADERS(a, m, &split->headers);
	sl_pb_note_str(&notes, "guard_fallback", split->guard.fallback);
	sl_pb_note_str(&notes, "guard_rollout", split->guard.rollout);
	sl_pb_note_u64(&notes, "guard_generation", split->guard.generation);
	sl_pb_note_number(&notes, "guard_alpha", split->guard.alpha);
	sl_pb_note_number(&notes, "guard_refused_run", split->guard.refused_run);
	sl_pb_note_number(&notes, "guard_failure_run", split->guard.failure_run);
	m->metadata_match = sl_pb_notes_metadata(&notes);
	return m;
}

static const struct {
	enum sl_retry_on bit;
	const char *word;
} retry_words[] = {
	{ SL_RETRY_CONNECT_FAILURE, "connect-failure" },
	{ SL_RETRY_REFUSED_STREAM, "refused-stream" },
	{ SL_RETRY_RESET, "reset" },
	{ SL_RETRY_5XX, "5xx" },
	{ SL_RETRY_GATEWAY_ERROR, "gateway-error" },
	{ SL_RETRY_STATUS_CODES, "retriable-status-codes" },
};

static pb_retry *retry_policy(struct sl_arena *a, const struct sl_mesh_retry *retry)
{
	pb_retry *m = pb_new_retry(a);
	sl_str on = SL_STR_NONE;

	for (size_t i = 0; i < SL_ARRAY_COUNT(retry_words); i++)
		if (retry->on & retry_words[i].bit)
			on = sl_arena_printf(
			        a, "%.*s%s%s", SL_STR_ARG(on), on.len ? "," : "", retry_words[i].word);
	m->retry_on = sl_pb_str(a, on);
	m->num_retries = sl_pb_uint32(a, retry->attempts);
	if (retry->per_try_timeout)
		m->per_try_timeout = sl_pb_duration(a, retry->per_try_timeout);
	m->n_retriable_status_codes = retry->status_count;
	m->retriable_status_codes = retry->statuses;
	return m;
}

static pb_route_action *route_action(
        struct sl_arena *a, const struct sl_mesh_route *route, enum sl_xds_dialect dialect)
{
	pb_route_action *m = pb_new_route_action(a);
	pb_weighted *weighted = pb_new_weighted(a);
	uint32_t total = 0;

	PB_LIST(a, route->split_count, weighted->clusters);
	for (size_t i = 0; i < route->split_count; i++) {
		weighted->clusters[weighted->n_clusters++] = cluster_weight(a, &route->splits[i]);
		total += route->splits[i].weight;
	}
	if (dialect == SL_XDS_GRPC) /* older clients take an absent sum for 100 */
		weighted->total_weight = sl_pb_uint32(a, total);
	m->cluster_specifier_case = PB_ROUTE(ROUTE_ACTION__CLUSTER_SPECIFIER_WEIGHTED_CLUSTERS);
	m->weighted_clusters = weighted;
	m->timeout = sl_pb_duration(a, route->timeout); /* absent would mean Envoy's default, 15 s */
	if (route->retry.attempts)
		m->retry_policy = retry_policy(a, &route->retry);
	m->prefix_rewrite = sl_pb_str(a, route->rewrite.prefix);
	if (route->rewrite.authority.len) {
		m->host_rewrite_specifier_case =
		        PB_ROUTE(ROUTE_ACTION__HOST_REWRITE_SPECIFIER_HOST_REWRITE_LITERAL);
		m->host_rewrite_literal = sl_pb_str(a, route->rewrite.authority);
	}
	if (route->rewrite.regex.len) {
		m->regex_rewrite = pb_new_regex_rewrite(a);
		m->regex_rewrite->pattern = regex(a, route->rewrite.regex);
		m->regex_rewrite->substitution = sl_pb_str(a, route->rewrite.substitution);
	}
	return m;
}

static const struct {
	uint32_t status;
	int code;
} redirect_codes[] = {
	{ 301, PB_ROUTE(REDIRECT_ACTION__REDIRECT_RESPONSE_CODE__MOVED_PERMANENTLY) },
	{ 302, PB_ROUTE(REDIRECT_ACTION__REDIRECT_RESPONSE_CODE__FOUND) },
	{ 303, PB_ROUTE(REDIRECT_ACTION__REDIRECT_RESPONSE_CODE__SEE_OTHER) },
	{ 307, PB_ROUTE(REDIRECT_ACTION__REDIRECT_RESPONSE_CODE__TEMPORARY_REDIRECT) },
	{ 308, PB_ROUTE(REDIRECT_ACTION__REDIRECT_RESPONSE_CODE__PERMANENT_REDIRECT) },
};

static pb_redirect *redirect_action(struct sl_arena *a, const struct sl_mesh_redirect *redirect)
{
	pb_redirect *m = pb_new_redirect(a);

	for (size_t i = 0; i < SL_ARRAY_COUNT(redirect_codes); i++)
		if (redirect_codes[i].status == redirect->status)
			m->response_code = (Envoy__Config__Route__V3__RedirectAction__RedirectResponseCode)
			                           redirect_codes[i]
			                                   .code;
	m->host_redirect = sl_pb_str(a, redirect->authority);
	m->port_redirect = redirect->port;
	if (redirect->scheme.len) {
		m->scheme_rewrite_specifier_case =
		        PB_ROUTE(REDIRECT_ACTION__SCHEME_REWRITE_SPECIFIER_SCHEME_REDIRECT);
		m->scheme_redirect = sl_pb_str(a, redirect->scheme);
	}
	if (redirect->path.len) {
		m->path_rewrite_specifier_case =
		        PB_ROUTE(REDIRECT_ACTION__PATH_REWRITE_SPECIFIER_PATH_REDIRECT);
		m->path_redirect = sl_pb_str(a, redirect->path);
	} else if (redirect->prefix.len) {
		m->path_rewrite_specifier_case =
		        PB_ROUTE(REDIRECT_ACTION__PATH_REWRITE_SPECIFIER_PREFIX_REWRITE);
		m->prefix_rewrite = sl_pb_str(a, redirect->prefix);
	}
	return m;
}

static pb_direct *direct_response(struct sl_arena *a, const struct sl_mesh_route *route)
{
	pb_direct *m = pb_new_direct(a);

	m->status = route->direct_status;
	if (route->direct_body.len) {
		m->body = pb_new_data_source(a);
		m->body->specifier_case = PB_CORE(DATA_SOURCE__SPECIFIER_INLINE_BYTES);
		m->body->inline_bytes.data = (uint8_t *)(uintptr_t)route->direct_body.p;
		m->body->inline_bytes.len = route->direct_body.len;
	}
	return m;
}

static pb_route *route(struct sl_arena *a, const struct sl_mesh_route *in, enum sl_xds_dialect dialect)
{
	pb_route *m = pb_new_route(a);
	struct sl_pb_notes notes = { .arena = a };

	m->name = sl_pb_str(a, in->name);
	m->match = route_match(a, &in->match, dialect);
	note_inverted_params(&notes, &in->match);
	PUT_HEADERS(a, m, &in->headers);
	switch (in->action) {
	case SL_ROUTE_FORWARD:
		m->action_case = PB_ROUTE(ROUTE__ACTION_ROUTE);
		m->route = route_action(a, in, dialect);
		break;
	case SL_ROUTE_REDIRECT:
		m->action_case = PB_ROUTE(ROUTE__ACTION_REDIRECT);
		m->redirect = redirect_action(a, &in->redirect);
		break;
	case SL_ROUTE_DIRECT:
		m->action_case = PB_ROUTE(ROUTE__ACTION_DIRECT_RESPONSE);
		m->direct_response = direct_response(a, in);
		break;
	}
	m->metadata = sl_pb_notes_metadata(&notes);
	return m;
}

static pb_virtual_host *virtual_host(
        struct sl_arena *a, const struct sl_mesh_virtual_host *host, enum sl_xds_dialect dialect)
{
	pb_virtual_host *m = pb_new_virtual_host(a);

	m->name = sl_pb_str(a, host->name);
	PB_LIST(a, host->domain_count, m->domains);
	for (size_t i = 0; i < host->domain_count; i++)
		m->domains[m->n_domains++] = sl_pb_str(a, host->domains[i]);
	PB_LIST(a, host->route_count, m->routes);
	for (size_t i = 0; i < host->route_count; i++)
		m->routes[m->n_routes++] = route(a, &host->routes[i], dialect);
	return m;
}

void sl_xds_encode_route_config(const struct sl_mesh_route_config *config, enum sl_xds_dialect dialect,
        struct sl_arena *a, struct sl_buf *out)
{
	pb_route_config *m = pb_new_route_config(a);

	m->name = sl_pb_str(a, config->name);
	PB_LIST(a, config->host_count, m->virtual_hosts);
	for (size_t i = 0; i < config->host_count; i++)
		m->virtual_hosts[m->n_virtual_hosts++] = virtual_host(a, &config->hosts[i], dialect);
	add_any(SL_XDS_ROUTE_CONFIG, &m->base, a, out);
}

/* ---- clusters ---- */

static const int lb_policies[] = {
	[SL_LB_ROUND_ROBIN] = PB_CLUSTER(CLUSTER__LB_POLICY__ROUND_ROBIN),
	[SL_LB_LEAST_REQUEST] = PB_CLUSTER(CLUSTER__LB_POLICY__LEAST_REQUEST),
	[SL_LB_RANDOM] = PB_CLUSTER(CLUSTER__LB_POLICY__RANDOM),
};

/* Envoy reads an absent threshold as 1024 (3 retries); the largest number says "no limit". */
static pb_uint32 *threshold(struct sl_arena *a, uint32_t most)
{
	return sl_pb_uint32(a, most ? most : UINT32_MAX);
}

static pb_breakers *circuit_breakers(struct sl_arena *a, const struct sl_mesh_cluster *cluster)
{
	pb_breakers *m = pb_new_breakers(a);
	pb_thresholds *t = pb_new_thresholds(a);

	t->max_connections = threshold(a, cluster->max_connections);
	t->max_pending_requests = threshold(a, cluster->max_pending);
	t->max_requests = threshold(a, cluster->max_requests);
	t->max_retries = threshold(a, cluster->max_retries);
	m->n_thresholds = 1;
	PB_LIST(a, 1, m->thresholds)[0] = t;
	return m;
}

static void upstream_options(struct sl_arena *a, const struct sl_mesh_cluster *cluster, pb_cluster *m)
{
	pb_upstream_options *options = pb_new_upstream_options(a);
	pb_options_entry *entry = pb_new_options_entry(a);

	options->common_http_protocol_options = pb_new_http_options(a);
	if (cluster->idle_timeout)
		options->common_http_protocol_options->idle_timeout =
		        sl_pb_duration(a, cluster->idle_timeout);
	if (cluster->max_requests_per_connection)
		options->common_http_protocol_options->max_requests_per_connection =
		        sl_pb_uint32(a, cluster->max_requests_per_connection);
	options->upstream_protocol_options_case =
	        PB_UPSTREAM(HTTP_PROTOCOL_OPTIONS__UPSTREAM_PROTOCOL_OPTIONS_EXPLICIT_HTTP_CONFIG);
	options->explicit_http_config = pb_new_explicit_http(a);
	options->explicit_http_config->protocol_config_case = PB_UPSTREAM(
	        HTTP_PROTOCOL_OPTIONS__EXPLICIT_HTTP_CONFIG__PROTOCOL_CONFIG_HTTP_PROTOCOL_OPTIONS);
	options->explicit_http_config->http_protocol_options = pb_new_http1_options(a);
	entry->key = sl_pb_str(a, SL_STR(SL_KEY_UPSTREAM_OPTIONS));
	entry->value = sl_pb_any(a, SL_URL_UPSTREAM_OPTIONS, &options->base);
	m->n_typed_extension_protocol_options = 1;
	PB_LIST(a, 1, m->typed_extension_protocol_options)[0] = entry;
}

void sl_xds_encode_cluster(const struct sl_mesh_cluster *cluster, enum sl_xds_dialect dialect,
        struct sl_arena *a, struct sl_buf *out)
{
	pb_cluster *m = pb_new_cluster(a);
	struct sl_pb_notes notes = { .arena = a };

	m->name = sl_pb_str(a, cluster->name);
	m->cluster_discovery_type_case = PB_CLUSTER(CLUSTER__CLUSTER_DISCOVERY_TYPE_TYPE);
	m->type = PB_CLUSTER(CLUSTER__DISCOVERY_TYPE__EDS);
	m->eds_cluster_config = pb_new_eds_config(a);
	m->eds_cluster_config->eds_config = from_ads(a);
	m->connect_timeout = sl_pb_duration(a, cluster->connect_timeout);
	m->lb_policy = (Envoy__Config__Cluster__V3__Cluster__LbPolicy)
	        lb_policies[dialect == SL_XDS_GRPC ? SL_LB_ROUND_ROBIN : cluster->lb];
	m->circuit_breakers = circuit_breakers(a, cluster);
	if (cluster->idle_timeout || cluster->max_requests_per_connection)
		upstream_options(a, cluster, m);
	if (dialect == SL_XDS_GRPC) { /* asks for load reports on the same server */
		m->lrs_server = pb_new_config_source(a);
		m->lrs_server->config_source_specifier_case =
		        PB_CORE(CONFIG_SOURCE__CONFIG_SOURCE_SPECIFIER_SELF);
		m->lrs_server->self = pb_new_self_source(a);
	}
	sl_pb_note_str(&notes, "service_host", cluster->service_host);
	sl_pb_note_str(&notes, "service_name", cluster->service_name);
	sl_pb_note_str(&notes, "service_namespace", cluster->service_namespace);
	sl_pb_note_str(&notes, "rollout", cluster->rollout);
	sl_pb_note_str(&notes, "revision", cluster->revision);
	m->metadata = sl_pb_notes_metadata(&notes);
	add_any(SL_XDS_CLUSTER, &m->base, a, out);
}

/* ---- endpoints ---- */

static const int healths[] = {
	[SL_HEALTH_HEALTHY] = PB_CORE(HEALTH_STATUS__HEALTHY),
	[SL_HEALTH_UNHEALTHY] = PB_CORE(HEALTH_STATUS__UNHEALTHY),
	[SL_HEALTH_DRAINING] = PB_CORE(HEALTH_STATUS__DRAINING),
};

static pb_lb_endpoint *lb_endpoint(struct sl_arena *a, const struct sl_mesh_endpoint *endpoint)
{
	pb_lb_endpoint *m = pb_new_lb_endpoint(a);
	struct sl_pb_notes notes = { .arena = a };

	m->host_identifier_case = PB_ENDPOINT(LB_ENDPOINT__HOST_IDENTIFIER_ENDPOINT);
	m->endpoint = pb_new_endpoint(a);
	m->endpoint->address = address(a, endpoint->address, endpoint->port);
	m->health_status = (Envoy__Config__Core__V3__HealthStatus)healths[endpoint->health];
	m->load_balancing_weight = sl_pb_uint32(a, endpoint->weight);
	sl_pb_note_str(&notes, "pod", endpoint->pod);
	sl_pb_note_str(&notes, "workload", endpoint->workload);
	sl_pb_note_str(&notes, "namespace", endpoint->namespace);
	sl_pb_note_str(&notes, "app", endpoint->app);
	sl_pb_note_str(&notes, "version", endpoint->version);
	m->metadata = sl_pb_notes_metadata(&notes);
	return m;
}

void sl_xds_encode_endpoints(const struct sl_mesh_cluster *cluster, struct sl_arena *a, struct sl_buf *out)
{
	pb_assignment *m = pb_new_assignment(a);
	pb_locality_lb *all;

	m->cluster_name = sl_pb_str(a, cluster->name);
	if (cluster->endpoint_count) {
		all = pb_new_locality_lb(a);
		all->locality = pb_new_locality(a); /* gRPC wants it there, though empty, and with a weight */
		all->load_balancing_weight = sl_pb_uint32(a, 1);
		PB_LIST(a, cluster->endpoint_count, all->lb_endpoints);
		for (size_t i = 0; i < cluster->endpoint_count; i++)
			all->lb_endpoints[all->n_lb_endpoints++] = lb_endpoint(a, &cluster->endpoints[i]);
		m->n_endpoints = 1;
		PB_LIST(a, 1, m->endpoints)[0] = all;
	}
	add_any(SL_XDS_ENDPOINTS, &m->base, a, out);
}

void sl_xds_encode_epoch(uint64_t epoch, struct sl_arena *a, struct sl_buf *out)
{
	pb_epoch *m = pb_new_epoch(a);

	m->name = sl_pb_str(a, SL_STR("mesh"));
	m->epoch = epoch;
	add_any(SL_XDS_EPOCH, &m->base, a, out);
}
