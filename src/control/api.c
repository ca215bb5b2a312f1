/* The server: who asks, for what, and which part answers. */
#include "control/api_priv.h"
#include "os/clock.h"

#include <stdio.h>

#define SERVER_CERT_LIFE SL_SEC(825LL * 86400) /* what clients accept at most */

/* --- who --- */

static bool is_admin(const struct sl_http_req *http)
{
	const struct sl_tls_peer *peer = http->tls_peer;
	for (size_t i = 0; peer && i < peer->organization_count; i++)
		if (sl_str_eq_c(peer->organizations[i], SL_CA_ADMIN_GROUP))
			return true;
	return false;
}

static bool is_public(enum sl_api_endpoint endpoint)
{
	switch (endpoint) {
	case SL_API_VERSION:
	case SL_API_HEALTH:
	case SL_API_CORE_VERSIONS:
	case SL_API_GROUPS:
	case SL_API_GROUP:
	case SL_API_RESOURCES:
		return true;
	case SL_API_NONE:
	case SL_API_ROOT:
	case SL_API_METRICS:
	case SL_API_OPENAPI_V2:
	case SL_API_COLLECTION:
	case SL_API_OBJECT:
	case SL_API_SUBRESOURCE:
		return false;
	}
	return false;
}

/* True when the request may go on; else it has been answered. */
static bool authorize(struct sl_api_req *r)
{
	if (r->is_admin || is_public(r->route.endpoint))
		return true;
	if (r->http->tls_peer)
		sl_api_fail(r, SL_ERR_FORBIDDEN,
		        "the certificate's organization is not " SL_CA_ADMIN_GROUP
		        ": use the kubeconfig in sluiced's data directory");
	else
		sl_api_fail(r, SL_ERR_UNAUTHORIZED,
		        "Unauthorized: use the kubeconfig in sluiced's data directory");
	return false;
}

/* --- how --- */

/* One element of Accept, without parameters that do not matter here. */
static bool accept_element(sl_str element, enum sl_api_format *ret_format)
{
	sl_str rest = element, type, parameter, as = SL_STR_NONE, version = SL_STR_NONE;
	bool more = sl_str_split(&rest, ';', &type);
	type = sl_str_trim(type);
	while (more) {
		more = sl_str_split(&rest, ';', &parameter);
		parameter = sl_str_trim(parameter);
		if (sl_str_starts(parameter, SL_STR("as=")))
			as = sl_str_skip(parameter, 3);
		if (sl_str_starts(parameter, SL_STR("v=")))
			version = sl_str_skip(parameter, 2);
	}
	if (sl_str_eq_c(type, "*/*") || sl_str_eq_c(type, "application/*"))
		as = SL_STR_NONE;
	else if (!sl_str_eq_nocase(type, SL_STR("application/json")))
		return false;
	if (as.len && !sl_str_eq_c(as, "Table"))
		return false; /* PartialObjectMetadata, aggregated discovery: clients name plain JSON after them */
	*ret_format = !as.len                           ? SL_API_JSON
	              : sl_str_eq_c(version, "v1beta1") ? SL_API_TABLE_V1BETA1
	                                                : SL_API_TABLE;
	return true;
}

/* The first element of Accept that can be served; a request without Accept gets JSON. */
static bool negotiate(const struct sl_http_req *http, enum sl_api_format *ret_format)
{
	sl_str accept = sl_http_req_header(http, "accept"), element;
	*ret_format = SL_API_JSON;
	for (bool more = sl_str_trim(accept).len > 0; more;) {
		more = sl_str_split(&accept, ',', &element);
		if (accept_element(element, ret_format))
			return true;
	}
	return sl_http_req_header(http, "accept").len == 0;
}

/* --- what --- */

static void dispatch_subresource(struct sl_api_req *r)
{
	sl_str sub = r->route.subresource;
	bool reads = sl_api_reads(r);
	bool core_pod = sl_str_eq_c(r->route.plural, "pods") && r->route.group.len == 0;
	if (sl_str_eq_c(sub, "log") && core_pod && reads)
		sl_api_log(r);
	else if (sl_str_eq_c(sub, "revisions") && reads)
		sl_api_revisions(r);
	else if ((sl_str_eq_c(sub, "status") && r->kind->has_status) ||
	         (sl_str_eq_c(sub, "scale") && r->kind->has_scale))
		(reads ? sl_api_get : sl_api_write)(r);
	else
		sl_api_fail(r, SL_ERR_NOT_FOUND, "%s has no subresource \"%.*s\" here", r->kind->plural,
		        SL_STR_ARG(sub));
}

static void dispatch_resource(struct sl_api_req *r)
{
	r->kind = sl_kind_by_plural(r->route.group, r->route.version, r->route.plural);
	bool placed = r->kind && (r->kind->namespaced || r->route.ns.len == 0) &&
	              (!r->kind->namespaced || r->route.ns.len || r->route.endpoint == SL_API_COLLECTION);
	if (!placed) {
		r->kind = NULL;
		sl_api_fail(r, SL_ERR_NOT_FOUND, "the server could not find the requested resource");
		return;
	}
	r->key = (struct sl_object_key) { .group = sl_str_c(r->kind->group),
		.plural = sl_str_c(r->kind->plural),
		.ns = r->route.ns,
		.name = r->route.name };
	bool reads = sl_api_reads(r);
	if (r->route.endpoint == SL_API_SUBRESOURCE)
		dispatch_subresource(r);
	else if (reads && r->query.watch)
		sl_api_watch(r);
	else if (reads && r->route.endpoint == SL_API_COLLECTION)
		sl_api_list(r);
	else if (reads)
		sl_api_get(r);
	else
		sl_api_write(r);
}

static void dispatch(struct sl_api_req *r)
{
	if (!authorize(r))
		return;
	switch (r->route.endpoint) {
	case SL_API_COLLECTION:
	case SL_API_OBJECT:
	case SL_API_SUBRESOURCE:
		dispatch_resource(r);
		return;
	case SL_API_METRICS:
		sl_api_metrics(r);
		return;
	case SL_API_NONE:
		sl_api_fail(r, SL_ERR_NOT_FOUND, "the server could not find the requested resource");
		return;
	case SL_API_ROOT:
	case SL_API_VERSION:
	case SL_API_HEALTH:
	case SL_API_OPENAPI_V2:
	case SL_API_CORE_VERSIONS:
	case SL_API_GROUPS:
	case SL_API_GROUP:
	case SL_API_RESOURCES:
		sl_api_discover(r);
		return;
	}
}

static void on_gone(struct sl_http_req *http)
{
	struct sl_api_req *r = http->user;
	r->http = NULL;
	if (r->on_gone)
		r->on_gone(r);
}

struct sl_api_req *sl_api_req_ref(struct sl_api_req *r)
{
	r->refs++;
	return r;
}

void sl_api_req_unref(struct sl_api_req *r)
{
	if (--r->refs > 0)
		return;
	assert(!r->http); /* answered, or gone */
	sl_diag_fini(&r->diag);
	sl_diag_fini(&r->warnings);
	sl_free(r);
}

bool sl_api_reads(const struct sl_api_req *r)
{
	return sl_str_eq_c(r->http->method, "GET") || sl_str_eq_c(r->http->method, "HEAD");
}

static void handle(struct sl_api_req *r)
{
	struct sl_http_req *http = r->http;
	if (sl_api_route_parse(http->path, http->arena, &r->route) != SL_OK) {
		sl_api_fail(
		        r, SL_ERR_BAD_REQUEST, "the path is not percent-encoded, or a segment holds a slash");
		return;
	}
	if (!negotiate(http, &r->format) && r->route.endpoint >= SL_API_COLLECTION &&
	        !sl_str_eq_c(r->route.subresource, "log")) {
		sl_api_fail(r, SL_ERR_NOT_ACCEPTABLE,
		        "only the following media types are accepted: application/json");
		return;
	}
	if (sl_api_query_parse(http->query, http->arena, &r->query, &r->diag) != SL_OK) {
		sl_api_reply_error(r, SL_ERR_BAD_REQUEST, &r->diag);
		return;
	}
	dispatch(r);
}

static void on_request(struct sl_http_req *http)
{
	struct sl_api *api = http->server_user;
	if (api->options.other && api->options.other(api->options.other_arg, http, is_admin(http)))
		return;
	struct sl_api_req *r = sl_new0(sizeof(*r));
	r->refs = 1;
	r->api = api;
	r->http = http;
	r->is_admin = is_admin(http);
	http->user = r;
	http->on_gone = on_gone;
	handle(r);
	sl_api_req_unref(r);
}

/* Whoever may not send a body is answered before it comes: strangers get no memory of ours. */
static void on_head(struct sl_http_req *http)
{
	if (!is_admin(http))
		on_request(http);
}

/* --- starting and stopping --- */

static sl_err make_tls(const struct sl_ca *ca, const struct sl_addr *listen, struct sl_tls_ctx **ret_ctx,
        struct sl_diag *diag)
{
	char ip[INET6_ADDRSTRLEN];
	sl_addr_format_ip(ip, listen);
	static const char *const names[] = { "localhost", "sluiced", "kubernetes.default.svc", NULL };
	const char *addresses[] = { "127.0.0.1", "::1", ip, NULL };
	static const char *const alpn[] = { "http/1.1", NULL };
	SL_CLEANUP(sl_buf_fini) struct sl_buf cert = { 0 }, key = { 0 };
	sl_nsec now = sl_clock_real();
	const struct sl_x509_request request = {
		.common_name = "sluiced",
		.dns_names = names,
		.ip_addresses = addresses,
		.server = true,
		.not_after = now - now % SL_SEC(1) + SERVER_CERT_LIFE,
	};
	SL_TRY(sl_ca_issue(ca, &request, &cert, &key, diag));
	const struct sl_tls_config config = {
		.server = true,
		.verify = SL_TLS_VERIFY_OPTIONAL,
		.cert_pem = sl_buf_str(&cert),
		.key_pem = sl_buf_str(&key),
		.ca_pem = sl_ca_cert_pem(ca),
		.alpn = alpn,
	};
	return sl_tls_ctx_new(ret_ctx, &config, diag);
}

static size_t or_default(size_t value, size_t otherwise)
{
	return value ? value : otherwise;
}

static sl_err start_server(struct sl_api *api, struct sl_diag *diag)
{
	struct sl_tls_ctx *tls = NULL;
	SL_TRY(make_tls(api->options.ca, &api->options.listen, &tls, diag));
	const struct sl_http_server_config config = {
		.limits = {
			.body_most_bytes = or_default(api->options.body_most_bytes, 3u << 20),
			.connections_most = or_default(api->options.connections_most, 4096),
			.stream_most_bytes = 64u << 20, /* a first list in a watch may be large; see api_watch.c for the rest */
		},
		.tls = tls,
		.on_request = on_request,
		.on_head = on_head,
		.user = api,
	};
	sl_err err = sl_http_server_new(&api->server, api->options.loop, &config);
	sl_tls_ctx_unref(tls);
	SL_TRY(err);
	struct sl_addr bound;
	SL_TRY(sl_http_server_listen(api->server, &api->options.listen, NULL, &bound, diag));
	char text[SL_ADDR_TEXT_BYTES];
	api->url = sl_asprintf("https://%s", sl_addr_format(text, &bound));
	return SL_OK;
}

sl_err sl_api_start(struct sl_api **ret_api, const struct sl_api_options *options, struct sl_diag *diag)
{
	SL_CLEANUP(sl_api_stop) struct sl_api *api = sl_new0(sizeof(*api));
	api->options = *options;
	api->options.watches_most = or_default(options->watches_most, 8192);
	if (!api->options.watch_most)
		api->options.watch_most = SL_SEC(3600);
	sl_list_init(&api->watches);
	api->bookmarks.fn = sl_api_on_bookmarks;
	SL_TRY(start_server(api, diag));
	sl_timer_in(options->loop, &api->bookmarks, SL_API_BOOKMARKS_EVERY);
	*ret_api = SL_STEAL(api);
	return SL_OK;
}

void sl_api_stop(struct sl_api *api)
{
	if (!api)
		return;
	sl_timer_stop(api->options.loop, &api->bookmarks);
	sl_api_stop_watches(api);
	sl_http_server_free(api->server);
	sl_buf_fini(&api->openapi);
	sl_free(api->url);
	sl_free(api);
}

const char *sl_api_url(const struct sl_api *api)
{
	return api->url;
}
