#include "xds/decode_priv.h"

/* ---- matches ---- */

static sl_err take_regex(
        const struct sl_xds_decoder *d, const struct sl_xds_at *at, const pb_regex *m, sl_str *ret_text)
{
	if (!m || !m->regex[0])
		return sl_xds_wrong(d, at, SL_ERR_INVALID, "needs a regular expression");
	*ret_text = sl_xds_keep(d, m->regex);
	return SL_OK;
}

static sl_err take_string_matcher(const struct sl_xds_decoder *d, const struct sl_xds_at *at,
        const pb_string_matcher *m, struct sl_mesh_match *match)
{
	const char *text = NULL;

	if (!m)
		return sl_xds_wrong(d, at, SL_ERR_INVALID, "needs a string_match");
	if (m->match_pattern_case == PB_MATCHER(STRING_MATCHER__MATCH_PATTERN_SAFE_REGEX)) {
		match->kind = SL_MATCH_REGEX;
		return take_regex(d, SL_XDS_FIELD(at, "safe_regex"), m->safe_regex, &match->value);
	}
	match->ignore_case = m->ignore_case;
	if (m->match_pattern_case == PB_MATCHER(STRING_MATCHER__MATCH_PATTERN_EXACT))
		match->kind = SL_MATCH_EXACT, text = m->exact;
	else if (m->match_pattern_case == PB_MATCHER(STRING_MATCHER__MATCH_PATTERN_PREFIX))
		match->kind = SL_MATCH_PREFIX, text = m->prefix;
	else if (m->match_pattern_case == PB_MATCHER(STRING_MATCHER__MATCH_PATTERN_SUFFIX))
		match->kind = SL_MATCH_SUFFIX, text = m->suffix;
	else if (m->match_pattern_case == PB_MATCHER(STRING_MATCHER__MATCH_PATTERN_CONTAINS))
		match->kind = SL_MATCH_CONTAINS, text = m->contains;
	else
		return sl_xds_wrong(
		        d, at, SL_ERR_UNSUPPORTED, "needs exact, prefix, suffix, contains or safe_regex");
	match->value = sl_xds_keep(d, text);
	return SL_OK;
}

static sl_err take_header_specifier(const struct sl_xds_decoder *d, const struct sl_xds_at *at,
        const pb_header_matcher *m, struct sl_mesh_match *match)
{
	const char *text = NULL;

	switch ((int)m->header_match_specifier_case) {
	case PB_ROUTE(HEADER_MATCHER__HEADER_MATCH_SPECIFIER_EXACT_MATCH):
		match->kind = SL_MATCH_EXACT, text = m->exact_match;
		break;
	case PB_ROUTE(HEADER_MATCHER__HEADER_MATCH_SPECIFIER_PREFIX_MATCH):
		match->kind = SL_MATCH_PREFIX, text = m->prefix_match;
		break;
	case PB_ROUTE(HEADER_MATCHER__HEADER_MATCH_SPECIFIER_SUFFIX_MATCH):
		match->kind = SL_MATCH_SUFFIX, text = m->suffix_match;
		break;
	case PB_ROUTE(HEADER_MATCHER__HEADER_MATCH_SPECIFIER_CONTAINS_MATCH):
		match->kind = SL_MATCH_CONTAINS, text = m->contains_match;
		break;
	case PB_ROUTE(HEADER_MATCHER__HEADER_MATCH_SPECIFIER_SAFE_REGEX_MATCH):
		match->kind = SL_MATCH_REGEX;
		return take_regex(
		        d, SL_XDS_FIELD(at, "safe_regex_match"), m->safe_regex_match, &match->value);
	case PB_ROUTE(HEADER_MATCHER__HEADER_MATCH_SPECIFIER_STRING_MATCH):
		return take_string_matcher(d, SL_XDS_FIELD(at, "string_match"), m->string_match, match);
	case PB_ROUTE(HEADER_MATCHER__HEADER_MATCH_SPECIFIER_PRESENT_MATCH):
		match->kind = SL_MATCH_PRESENT;
		if (!m->present_match)
			match->invert = !match->invert;
		return SL_OK;
	case PB_ROUTE(
	        HEADER_MATCHER__HEADER_MATCH_SPECIFIER__NOT_SET): /* Envoy: the header's presence decides */
		match->kind = SL_MATCH_PRESENT;
		return SL_OK;
	default:
		return sl_xds_wrong(d, at, SL_ERR_UNSUPPORTED, "has a match that is not supported");
	}
	match->value = sl_xds_keep(d, text);
	return SL_OK;
}

static sl_err take_header_matcher(const struct sl_xds_decoder *d, const struct sl_xds_at *at,
        const pb_header_matcher *m, struct sl_mesh_field_match *match)
{
	if (!m->name[0])
		return sl_xds_wrong(d, SL_XDS_FIELD(at, "name"), SL_ERR_INVALID, "must not be empty");
	match->name = sl_xds_keep(d, m->name);
	match->match.invert = m->invert_match;
	return take_header_specifier(d, at, m, &match->match);
}

static sl_err take_param_matcher(const struct sl_xds_decoder *d, const struct sl_xds_at *at,
        const pb_param_matcher *m, struct sl_mesh_field_match *match)
{
	if (!m->name[0])
		return sl_xds_wrong(d, SL_XDS_FIELD(at, "name"), SL_ERR_INVALID, "must not be empty");
	match->name = sl_xds_keep(d, m->name);
	if (m->query_parameter_match_specifier_case ==
	        PB_ROUTE(QUERY_PARAMETER_MATCHER__QUERY_PARAMETER_MATCH_SPECIFIER_STRING_MATCH))
		return take_string_matcher(
		        d, SL_XDS_FIELD(at, "string_match"), m->string_match, &match->match);
	match->match.kind = SL_MATCH_PRESENT;
	if (m->query_parameter_match_specifier_case ==
	        PB_ROUTE(QUERY_PARAMETER_MATCHER__QUERY_PARAMETER_MATCH_SPECIFIER_PRESENT_MATCH))
		match->match.invert = !m->present_match;
	return SL_OK;
}

static sl_err take_path(const struct sl_xds_decoder *d, const struct sl_xds_at *at, const pb_route_match *m,
        struct sl_mesh_route_match *match)
{
	const char *text = NULL;

	switch ((int)m->path_specifier_case) {
	case PB_ROUTE(ROUTE_MATCH__PATH_SPECIFIER_PREFIX):
		match->path_kind = SL_PATH_PREFIX,
		text = m->prefix[0] ? m->prefix : "/"; /* gRPC's examples write "" */
		break;
	case PB_ROUTE(ROUTE_MATCH__PATH_SPECIFIER_PATH):
		match->path_kind = SL_PATH_EXACT, text = m->path;
		break;
	case PB_ROUTE(ROUTE_MATCH__PATH_SPECIFIER_PATH_SEPARATED_PREFIX):
		match->path_kind = SL_PATH_SEPARATED_PREFIX, text = m->path_separated_prefix;
		break;
	case PB_ROUTE(ROUTE_MATCH__PATH_SPECIFIER_SAFE_REGEX):
		match->path_kind = SL_PATH_REGEX;
		SL_TRY(take_regex(d, SL_XDS_FIELD(at, "safe_regex"), m->safe_regex, &match->path));
		break;
	default:
		return sl_xds_wrong(
		        d, at, SL_ERR_UNSUPPORTED, "needs prefix, path, safe_regex or path_separated_prefix");
	}
	if (text)
		match->path = sl_xds_keep(d, text);
	match->path_ignore_case = m->case_sensitive && !m->case_sensitive->value;
	return SL_OK;
}

/* "0,3": see encode.c */
static sl_err take_inverted_params(
        const struct sl_xds_decoder *d, sl_str text, struct sl_mesh_route_match *match)
{
	sl_str index;
	uint64_t i;

	while (text.len) {
		(void)sl_str_split(&text, ',', &index);
		if (sl_str_to_u64(index, &i) != SL_OK || i >= match->param_count)
			return sl_xds_wrong(d, SL_XDS_FIELD(NULL, "metadata"), SL_ERR_INVALID,
			        "inverted_params has \"%.*s\": no query parameter of that index",
			        SL_STR_ARG(index));
		match->params[i].match.invert = !match->params[i].match.invert;
	}
	return SL_OK;
}

static sl_err take_match(const struct sl_xds_decoder *d, const struct sl_xds_at *at, const pb_route_match *m,
        struct sl_mesh_route_match *match)
{
	if (!m)
		return sl_xds_wrong(d, at, SL_ERR_INVALID, "is required");
	if (m->runtime_fraction)
		return sl_xds_wrong(
		        d, SL_XDS_FIELD(at, "runtime_fraction"), SL_ERR_UNSUPPORTED, "is not supported");
	SL_TRY(take_path(d, at, m, match));
	if (m->n_headers)
		match->headers = sl_arena_zalloc_array(d->arena, m->n_headers, sizeof(*match->headers));
	for (size_t i = 0; i < m->n_headers; i++)
		SL_TRY(take_header_matcher(
		        d, SL_XDS_AT(at, "headers", i), m->headers[i], &match->headers[i]));
	match->header_count = m->n_headers;
	if (m->n_query_parameters)
		match->params =
		        sl_arena_zalloc_array(d->arena, m->n_query_parameters, sizeof(*match->params));
	for (size_t i = 0; i < m->n_query_parameters; i++)
		SL_TRY(take_param_matcher(
		        d, SL_XDS_AT(at, "query_parameters", i), m->query_parameters[i], &match->params[i]));
	match->param_count = m->n_query_parameters;
	return SL_OK;
}

/* ---- headers ---- */

static sl_err take_header_option(const struct sl_xds_decoder *d, const struct sl_xds_at *at,
        const pb_header_option *m, struct sl_mesh_header_op *op)
{
	if (!m->header || !m->header->key[0])
		return sl_xds_wrong(d, at, SL_ERR_INVALID, "needs a header with a key");
	op->name = sl_xds_keep(d, m->header->key);
	op->value = sl_xds_keep(d, m->header->value);
	if (m->append) /* the older way to say it */
		op->kind = m->append->value ? SL_HEADER_ADD : SL_HEADER_SET;
	else if (m->append_action ==
	         PB_CORE(HEADER_VALUE_OPTION__HEADER_APPEND_ACTION__APPEND_IF_EXISTS_OR_ADD))
		op->kind = SL_HEADER_ADD;
	else if (m->append_action ==
	         PB_CORE(HEADER_VALUE_OPTION__HEADER_APPEND_ACTION__OVERWRITE_IF_EXISTS_OR_ADD))
		op->kind = SL_HEADER_SET;
	else
		return sl_xds_wrong(d, SL_XDS_FIELD(at, "append_action"), SL_ERR_UNSUPPORTED,
		        "%d is not supported: APPEND_IF_EXISTS_OR_ADD and OVERWRITE_IF_EXISTS_OR_ADD are",
		        (int)m->append_action);
	return SL_OK;
}

struct header_lists {
	pb_header_option **add;
	char **remove;
	size_t add_count, remove_count;
};

static sl_err take_header_ops(const struct sl_xds_decoder *d, const struct sl_xds_at *at,
        const struct header_lists *in, struct sl_mesh_header_op **ret_ops, size_t *ret_count)
{
	size_t count = in->remove_count + in->add_count;
	struct sl_mesh_header_op *ops;

	if (!count) {
		*ret_ops = NULL;
		*ret_count = 0;
		return SL_OK;
	}
	ops = sl_arena_zalloc_array(d->arena, count, sizeof(*ops));
	for (size_t i = 0; i < in->remove_count; i++)
		ops[i] = (struct sl_mesh_header_op) { .kind = SL_HEADER_REMOVE,
			.name = sl_xds_keep(d, in->remove[i]) };
	for (size_t i = 0; i < in->add_count; i++)
		SL_TRY(take_header_option(
		        d, SL_XDS_AT(at->up, at->name, i), in->add[i], &ops[in->remove_count + i]));
	*ret_ops = ops;
	*ret_count = count;
	return SL_OK;
}

static sl_err take_headers(const struct sl_xds_decoder *d, const struct sl_xds_at *at,
        const struct header_lists *request, const struct header_lists *response,
        struct sl_mesh_header_ops *ops)
{
	SL_TRY(take_header_ops(
	        d, SL_XDS_FIELD(at, "request_headers_to_add"), request, &ops->request, &ops->request_count));
	return take_header_ops(d, SL_XDS_FIELD(at, "response_headers_to_add"), response, &ops->response,
	        &ops->response_count);
}

/* Route and ClusterWeight name these eight fields alike. */
#define TAKE_HEADERS(d, at, m, ops)                                                                         \
	take_headers((d), (at),                                                                             \
	        &(const struct header_lists) { (m)->request_headers_to_add, (m)->request_headers_to_remove, \
	                (m)->n_request_headers_to_add, (m)->n_request_headers_to_remove },                  \
	        &(const struct header_lists) { (m)->response_headers_to_add,                                \
	                (m)->response_headers_to_remove, (m)->n_response_headers_to_add,                    \
	                (m)->n_response_headers_to_remove },                                                \
	        (ops))

/* ---- actions ---- */

static uint32_t take_run(const pb_struct *notes, const char *key)
{
	double v = sl_pb_noted_number(notes, key);

	return v >= 1 && v <= UINT32_MAX ? (uint32_t)v : 0;
}

static sl_err take_split(const struct sl_xds_decoder *d, const struct sl_xds_at *at,
        const pb_cluster_weight *m, struct sl_mesh_split *split)
{
	const pb_struct *notes = sl_pb_notes_of(m->metadata_match);
	double alpha = sl_pb_noted_number(notes, "guard_alpha");

	if (!m->name[0])
		return sl_xds_wrong(d, SL_XDS_FIELD(at, "name"), SL_ERR_INVALID, "must not be empty");
	split->cluster = sl_xds_keep(d, m->name);
	split->weight = m->weight ? m->weight->value : 0;
	split->guard.fallback = sl_xds_keep_str(d, sl_pb_noted_str(notes, "guard_fallback"));
	split->guard.rollout = sl_xds_keep_str(d, sl_pb_noted_str(notes, "guard_rollout"));
	split->guard.generation = sl_pb_noted_u64(notes, "guard_generation");
	if (!(alpha >= 0 && alpha < 1))
		return sl_xds_wrong(d, SL_XDS_FIELD(at, "metadata_match"), SL_ERR_INVALID,
		        "guard_alpha needs to be in [0, 1)");
	split->guard.alpha = alpha;
	split->guard.refused_run = take_run(notes, "guard_refused_run");
	split->guard.failure_run = take_run(notes, "guard_failure_run");
	return TAKE_HEADERS(d, at, m, &split->headers);
}

static sl_err take_splits(const struct sl_xds_decoder *d, const struct sl_xds_at *at,
        const pb_route_action *m, struct sl_mesh_route *route)
{
	const pb_weighted *weighted = m->weighted_clusters;

	if (m->cluster_specifier_case == PB_ROUTE(ROUTE_ACTION__CLUSTER_SPECIFIER_CLUSTER) && m->cluster[0]) {
		route->split_count = 1;
		route->splits = sl_arena_zalloc_array(d->arena, 1, sizeof(*route->splits));
		route->splits[0] =
		        (struct sl_mesh_split) { .cluster = sl_xds_keep(d, m->cluster), .weight = 1 };
		return SL_OK;
	}
	if (m->cluster_specifier_case != PB_ROUTE(ROUTE_ACTION__CLUSTER_SPECIFIER_WEIGHTED_CLUSTERS) ||
	        !weighted || !weighted->n_clusters)
		return sl_xds_wrong(d, at, SL_ERR_UNSUPPORTED, "needs a cluster or weighted_clusters");
	route->splits = sl_arena_zalloc_array(d->arena, weighted->n_clusters, sizeof(*route->splits));
	for (size_t i = 0; i < weighted->n_clusters; i++)
		SL_TRY(take_split(d, SL_XDS_AT(SL_XDS_FIELD(at, "weighted_clusters"), "clusters", i),
		        weighted->clusters[i], &route->splits[i]));
	route->split_count = weighted->n_clusters;
	return SL_OK;
}

static uint32_t retry_on(sl_str words)
{
	static const struct {
		const char *word;
		uint32_t bits;
	} known[] = {
		{ "connect-failure", SL_RETRY_CONNECT_FAILURE },
		{ "refused-stream", SL_RETRY_REFUSED_STREAM },
		{ "reset", SL_RETRY_RESET },
		{ "5xx", SL_RETRY_5XX },
		{ "gateway-error", SL_RETRY_GATEWAY_ERROR },
		{ "retriable-status-codes", SL_RETRY_STATUS_CODES },
	};
	uint32_t on = 0;
	sl_str word;

	while (words.len) {
		(void)sl_str_split(&words, ',', &word);
		for (size_t i = 0; i < SL_ARRAY_COUNT(known); i++)
			if (sl_str_eq_c(sl_str_trim(word), known[i].word))
				on |= known[i].bits;
	}
	return on;
}

static sl_err take_retry(const struct sl_xds_decoder *d, const struct sl_xds_at *at, const pb_retry *m,
        struct sl_mesh_retry *retry)
{
	retry->attempts = m->num_retries ? m->num_retries->value : 1;
	retry->on = retry_on(sl_str_c(m->retry_on));
	if (m->n_retriable_status_codes) {
		retry->status_count = m->n_retriable_status_codes;
		retry->statuses =
		        sl_arena_zalloc_array(d->arena, retry->status_count, sizeof(*retry->statuses));
		memcpy(retry->statuses, m->retriable_status_codes,
		        retry->status_count * sizeof(*retry->statuses));
	}
	return sl_xds_take_duration(
	        d, SL_XDS_FIELD(at, "per_try_timeout"), m->per_try_timeout, 0, &retry->per_try_timeout);
}

static sl_err take_forward(const struct sl_xds_decoder *d, const struct sl_xds_at *at,
        const pb_route_action *m, struct sl_mesh_route *route)
{
	route->action = SL_ROUTE_FORWARD;
	SL_TRY(take_splits(d, at, m, route));
	SL_TRY(sl_xds_take_duration(d, SL_XDS_FIELD(at, "timeout"), m->timeout, SL_SEC(15), &route->timeout));
	if (m->retry_policy)
		SL_TRY(take_retry(d, SL_XDS_FIELD(at, "retry_policy"), m->retry_policy, &route->retry));
	route->rewrite.prefix = sl_xds_keep(d, m->prefix_rewrite);
	if (m->host_rewrite_specifier_case ==
	        PB_ROUTE(ROUTE_ACTION__HOST_REWRITE_SPECIFIER_HOST_REWRITE_LITERAL))
		route->rewrite.authority = sl_xds_keep(d, m->host_rewrite_literal);
	if (m->regex_rewrite) {
		SL_TRY(take_regex(d, SL_XDS_FIELD(at, "regex_rewrite"), m->regex_rewrite->pattern,
		        &route->rewrite.regex));
		route->rewrite.substitution = sl_xds_keep(d, m->regex_rewrite->substitution);
	}
	return SL_OK;
}

static sl_err take_redirect(const struct sl_xds_decoder *d, const struct sl_xds_at *at, const pb_redirect *m,
        struct sl_mesh_route *route)
{
	static const uint32_t statuses[] = { 301, 302, 303, 307, 308 };
	struct sl_mesh_redirect *r = &route->redirect;

	route->action = SL_ROUTE_REDIRECT;
	if ((unsigned)m->response_code >= SL_ARRAY_COUNT(statuses))
		return sl_xds_wrong(d, SL_XDS_FIELD(at, "response_code"), SL_ERR_INVALID, "%d is none",
		        (int)m->response_code);
	if (m->port_redirect > 65535)
		return sl_xds_wrong(d, SL_XDS_FIELD(at, "port_redirect"), SL_ERR_INVALID, "%u is no port",
		        m->port_redirect);
	r->status = statuses[m->response_code];
	r->port = m->port_redirect;
	r->authority = sl_xds_keep(d, m->host_redirect);
	if (m->scheme_rewrite_specifier_case ==
	        PB_ROUTE(REDIRECT_ACTION__SCHEME_REWRITE_SPECIFIER_SCHEME_REDIRECT))
		r->scheme = sl_xds_keep(d, m->scheme_redirect);
	else if (m->scheme_rewrite_specifier_case ==
	                 PB_ROUTE(REDIRECT_ACTION__SCHEME_REWRITE_SPECIFIER_HTTPS_REDIRECT) &&
	         m->https_redirect)
		r->scheme = sl_xds_keep(d, "https");
	if (m->path_rewrite_specifier_case == PB_ROUTE(REDIRECT_ACTION__PATH_REWRITE_SPECIFIER_PATH_REDIRECT))
		r->path = sl_xds_keep(d, m->path_redirect);
	else if (m->path_rewrite_specifier_case ==
	         PB_ROUTE(REDIRECT_ACTION__PATH_REWRITE_SPECIFIER_PREFIX_REWRITE))
		r->prefix = sl_xds_keep(d, m->prefix_rewrite);
	return SL_OK;
}

static sl_err take_direct(const struct sl_xds_decoder *d, const struct sl_xds_at *at, const pb_direct *m,
        struct sl_mesh_route *route)
{
	route->action = SL_ROUTE_DIRECT;
	if (m->status < 200 || m->status > 599)
		return sl_xds_wrong(
		        d, SL_XDS_FIELD(at, "status"), SL_ERR_INVALID, "%u is not in 200..599", m->status);
	route->direct_status = m->status;
	if (!m->body)
		return SL_OK;
	if (m->body->specifier_case == PB_CORE(DATA_SOURCE__SPECIFIER_INLINE_BYTES))
		route->direct_body = sl_xds_keep_str(
		        d, sl_str_n((char *)m->body->inline_bytes.data, m->body->inline_bytes.len));
	else if (m->body->specifier_case == PB_CORE(DATA_SOURCE__SPECIFIER_INLINE_STRING))
		route->direct_body = sl_xds_keep(d, m->body->inline_string);
	else
		return sl_xds_wrong(d, SL_XDS_FIELD(at, "body"), SL_ERR_UNSUPPORTED,
		        "needs inline_bytes or inline_string");
	return SL_OK;
}

static sl_err take_action(const struct sl_xds_decoder *d, const struct sl_xds_at *at, const pb_route *m,
        struct sl_mesh_route *route)
{
	if (m->action_case == PB_ROUTE(ROUTE__ACTION_ROUTE) && m->route)
		return take_forward(d, SL_XDS_FIELD(at, "route"), m->route, route);
	if (m->action_case == PB_ROUTE(ROUTE__ACTION_REDIRECT) && m->redirect)
		return take_redirect(d, SL_XDS_FIELD(at, "redirect"), m->redirect, route);
	if (m->action_case == PB_ROUTE(ROUTE__ACTION_DIRECT_RESPONSE) && m->direct_response)
		return take_direct(d, SL_XDS_FIELD(at, "direct_response"), m->direct_response, route);
	return sl_xds_wrong(d, at, SL_ERR_UNSUPPORTED, "needs route, redirect or direct_response");
}

static sl_err take_route(const struct sl_xds_decoder *d, const struct sl_xds_at *at, const pb_route *m,
        struct sl_mesh_route *route)
{
	route->name = sl_xds_keep(d, m->name);
	SL_TRY(take_match(d, SL_XDS_FIELD(at, "match"), m->match, &route->match));
	SL_TRY(take_inverted_params(
	        d, sl_pb_noted_str(sl_pb_notes_of(m->metadata), "inverted_params"), &route->match));
	SL_TRY(take_action(d, at, m, route));
	return TAKE_HEADERS(d, at, m, &route->headers);
}

static sl_err take_host(const struct sl_xds_decoder *d, const struct sl_xds_at *at, const pb_virtual_host *m,
        struct sl_mesh_virtual_host *host)
{
	host->name = sl_xds_keep(d, m->name);
	if (!m->n_domains)
		return sl_xds_wrong(d, SL_XDS_FIELD(at, "domains"), SL_ERR_INVALID, "needs at least one");
	host->domains = sl_arena_zalloc_array(d->arena, m->n_domains, sizeof(*host->domains));
	for (size_t i = 0; i < m->n_domains; i++)
		host->domains[i] = sl_xds_keep(d, m->domains[i]);
	host->domain_count = m->n_domains;
	if (m->n_routes)
		host->routes = sl_arena_zalloc_array(d->arena, m->n_routes, sizeof(*host->routes));
	for (size_t i = 0; i < m->n_routes; i++)
		SL_TRY(take_route(d, SL_XDS_AT(at, "routes", i), m->routes[i], &host->routes[i]));
	host->route_count = m->n_routes;
	return SL_OK;
}

sl_err sl_xds_take_routes(const struct sl_xds_decoder *d, const struct sl_xds_at *at,
        const pb_route_config *in, struct sl_mesh_route_config *ret_config)
{
	struct sl_mesh_route_config config = { .name = sl_xds_keep(d, in->name) };

	if (in->n_virtual_hosts)
		config.hosts = sl_arena_zalloc_array(d->arena, in->n_virtual_hosts, sizeof(*config.hosts));
	for (size_t i = 0; i < in->n_virtual_hosts; i++)
		SL_TRY(take_host(
		        d, SL_XDS_AT(at, "virtual_hosts", i), in->virtual_hosts[i], &config.hosts[i]));
	config.host_count = in->n_virtual_hosts;
	*ret_config = config;
	return SL_OK;
}
