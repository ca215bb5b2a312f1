/* VirtualService http routes to mesh routes. */
#include "model/translate_priv.h"

enum { WEIGHT_MOST = 100000000 }; /* of one split, so that a route's total stays far below 2^32 */

static sl_str lower(struct sl_tr *t, sl_str s)
{
	sl_str copy = sl_arena_str(&t->mesh->arena, s);
	char *p = sl_arena_alloc(&t->mesh->arena, s.len + 1);

	for (size_t i = 0; i <= s.len; i++)
		p[i] = (char)(copy.p[i] >= 'A' && copy.p[i] <= 'Z' ? copy.p[i] | 0x20 : copy.p[i]);
	return sl_str_n(p, s.len);
}

/* ---- matches ---- */

static struct sl_mesh_match string_match(struct sl_tr *t, const struct sl_krm_string_match *m)
{
	struct sl_mesh_match out = { .kind = SL_MATCH_PRESENT };

	if (m->exact.len) {
		out.kind = SL_MATCH_EXACT;
		out.value = sl_arena_str(&t->mesh->arena, m->exact);
	} else if (m->prefix.len) {
		out.kind = SL_MATCH_PREFIX;
		out.value = sl_arena_str(&t->mesh->arena, m->prefix);
	} else if (m->regex.len) {
		out.kind = SL_MATCH_REGEX;
		out.value = sl_arena_str(&t->mesh->arena, m->regex);
	}
	return out;
}

static void match_path(
        struct sl_tr *t, const struct sl_krm_http_match_request *m, struct sl_mesh_route_match *out)
{
	const struct sl_krm_string_match *uri = m ? m->uri : NULL;

	out->path_kind = SL_PATH_PREFIX;
	out->path = SL_STR("/");
	out->path_ignore_case = m && m->ignore_uri_case;
	if (!uri)
		return;
	if (uri->exact.len) {
		out->path_kind = SL_PATH_EXACT;
		out->path = sl_arena_str(&t->mesh->arena, uri->exact);
	} else if (uri->prefix.len) {
		out->path = sl_arena_str(&t->mesh->arena, uri->prefix);
	} else if (uri->regex.len) {
		out->path_kind = SL_PATH_REGEX;
		out->path = sl_arena_str(&t->mesh->arena, uri->regex);
		out->path_ignore_case = false;
	}
}

static void add_header(struct sl_tr *t, struct sl_mesh_route_match *out, sl_str name,
        const struct sl_krm_string_match *m, bool invert)
{
	struct sl_mesh_field_match *f = &out->headers[out->header_count++];

	f->name = lower(t, name);
	f->match = string_match(t, m);
	f->match.invert = invert;
}

static void match_fields(
        struct sl_tr *t, const struct sl_krm_http_match_request *m, struct sl_mesh_route_match *out)
{
	size_t most = m->headers_count + m->without_headers_count + 3;

	out->headers = sl_arena_zalloc_array(&t->mesh->arena, most, sizeof(*out->headers));
	out->params = sl_arena_zalloc_array(&t->mesh->arena, m->query_params_count, sizeof(*out->params));
	if (m->method)
		add_header(t, out, SL_STR(":method"), m->method, false);
	if (m->authority)
		add_header(t, out, SL_STR(":authority"), m->authority, false);
	if (m->scheme)
		add_header(t, out, SL_STR(":scheme"), m->scheme, false);
	for (size_t i = 0; i < m->headers_count; i++)
		add_header(t, out, m->headers[i].key, &m->headers[i].value, false);
	for (size_t i = 0; i < m->without_headers_count; i++)
		add_header(t, out, m->without_headers[i].key, &m->without_headers[i].value, true);
	for (size_t i = 0; i < m->query_params_count; i++) {
		out->params[i].name = sl_arena_str(&t->mesh->arena, m->query_params[i].key);
		out->params[i].match = string_match(t, &m->query_params[i].value);
	}
	out->param_count = m->query_params_count;
}

/* Whether the match is meant for this place: its own gateways list, and its port. */
static bool is_here(const struct sl_tr_place *place, const struct sl_krm_http_match_request *m)
{
	bool here = m->gateways_count == 0;
	sl_str gateway = place->gateway, ns;

	for (size_t i = 0; i < m->gateways_count && !here; i++) {
		sl_str name = gateway;

		here = gateway.len ? sl_str_eq(m->gateways[i], gateway)
		                   : sl_str_eq(m->gateways[i], SL_STR("mesh"));
		if (gateway.len && sl_str_split(&name, '/', &ns) &&
		        sl_str_eq(ns, place->vs->metadata.namespace))
			here |= sl_str_eq(m->gateways[i], name);
	}
	return here && (m->port == 0 || m->port == place->port);
}

/* ---- actions ---- */

static void header_list(struct sl_tr *t, const struct sl_krm_header_operations *from,
        struct sl_mesh_header_op **ret_ops, size_t *ret_count)
{
	struct sl_arena *arena = &t->mesh->arena;
	struct sl_mesh_header_op *ops;
	size_t n = 0;

	if (!from)
		return;
	ops = sl_arena_zalloc_array(
	        arena, from->set_count + from->add_count + from->remove_count, sizeof(*ops));
	for (size_t i = 0; i < from->remove_count; i++)
		ops[n++] = (struct sl_mesh_header_op) { SL_HEADER_REMOVE, lower(t, from->remove[i]),
			SL_STR_NONE };
	for (size_t i = 0; i < from->set_count; i++)
		ops[n++] = (struct sl_mesh_header_op) { SL_HEADER_SET, lower(t, from->set[i].key),
			sl_arena_str(arena, from->set[i].value) };
	for (size_t i = 0; i < from->add_count; i++)
		ops[n++] = (struct sl_mesh_header_op) { SL_HEADER_ADD, lower(t, from->add[i].key),
			sl_arena_str(arena, from->add[i].value) };
	*ret_ops = ops;
	*ret_count = n;
}

static struct sl_mesh_header_ops header_ops(struct sl_tr *t, const struct sl_krm_headers *from)
{
	struct sl_mesh_header_ops ops = { 0 };

	if (from) {
		header_list(t, from->request, &ops.request, &ops.request_count);
		header_list(t, from->response, &ops.response, &ops.response_count);
	}
	return ops;
}

static const struct {
	const char *word;
	uint32_t on;
} retry_words[] = {
	{ "connect-failure", SL_RETRY_CONNECT_FAILURE },
	{ "refused-stream", SL_RETRY_REFUSED_STREAM },
	{ "reset", SL_RETRY_RESET },
	{ "reset-before-request", SL_RETRY_RESET },
	{ "5xx", SL_RETRY_5XX },
	{ "gateway-error", SL_RETRY_GATEWAY_ERROR },
	{ "retriable-status-codes", SL_RETRY_STATUS_CODES },
	{ "unavailable", 0 }, /* gRPC statuses: nothing to do for HTTP/1.1 requests */
	{ "cancelled", 0 },
};

static bool retry_word(struct sl_mesh_retry *retry, sl_str word)
{
	uint64_t status;

	for (size_t i = 0; i < SL_ARRAY_COUNT(retry_words); i++) {
		if (sl_str_eq_c(word, retry_words[i].word)) {
			retry->on |= retry_words[i].on;
			return true;
		}
	}
	if (sl_str_to_u64(word, &status) != SL_OK || status < 100 || status > 599)
		return false;
	retry->statuses[retry->status_count++] = (uint32_t)status;
	retry->on |= SL_RETRY_STATUS_CODES;
	return true;
}

static struct sl_mesh_retry retry_of(
        struct sl_tr *t, const struct sl_tr_place *place, const struct sl_krm_http_retry *from)
{
	struct sl_mesh_retry retry = { .attempts = 2,
		.on = SL_RETRY_CONNECT_FAILURE | SL_RETRY_REFUSED_STREAM };
	sl_str rest, word;
	bool more;

	if (!from)
		return retry;
	retry.attempts = from->attempts > 0 ? (uint32_t)from->attempts : 0;
	retry.per_try_timeout = from->has_per_try_timeout ? from->per_try_timeout : 0;
	if (!from->retry_on.len)
		return retry;
	retry.on = 0;
	retry.statuses = sl_arena_zalloc_array(&t->mesh->arena, from->retry_on.len / 2 + 1, sizeof(uint32_t));
	rest = from->retry_on;
	do {
		more = sl_str_split(&rest, ',', &word);
		if (!retry_word(&retry, sl_str_trim(word)))
			sl_tr_note(t, SL_KIND_VIRTUAL_SERVICE, &place->vs->metadata,
			        sl_arena_printf(&t->scratch, "spec.http[%zu].retries.retryOn", place->http),
			        "\"%.*s\" is no condition that sluice retries on; it is left out",
			        SL_STR_ARG(sl_str_trim(word)));
	} while (more);
	return retry;
}

static void forward_to(struct sl_tr *t, const struct sl_tr_place *place, const struct sl_krm_http_route *from,
        struct sl_mesh_route *out)
{
	struct sl_tr_target *targets =
	        sl_arena_zalloc_array(&t->scratch, from->route_count, sizeof(*targets));
	uint64_t parts = 1;

	/* Where a destination is divided between revisions, all weights are scaled so that the division stays exact. */
	for (size_t i = 0; i < from->route_count; i++) {
		sl_str field =
		        sl_arena_printf(&t->scratch, "spec.http[%zu].route[%zu].destination", place->http, i);

		targets[i] = sl_tr_resolve(t, place, &from->route[i].destination, field);
		parts *= targets[i].parts;
	}
	out->splits = sl_arena_zalloc_array(&t->mesh->arena, from->route_count * 2, sizeof(*out->splits));
	for (size_t i = 0; i < from->route_count; i++) {
		const struct sl_krm_http_route_destination *d = &from->route[i];
		uint64_t weight = (d->has_weight || from->route_count > 1 ? (uint64_t)d->weight : 100) *
		                  (parts / targets[i].parts);
		size_t added;

		if (weight > WEIGHT_MOST)
			weight = WEIGHT_MOST;
		added = sl_tr_splits(t, place, &targets[i], (uint32_t)weight, out->splits + out->split_count);
		for (size_t k = 0; k < added; k++)
			out->splits[out->split_count + k].headers = header_ops(t, d->headers);
		out->split_count += added;
	}
}

static void redirect_to(struct sl_tr *t, const struct sl_krm_http_redirect *from, struct sl_mesh_route *out)
{
	struct sl_arena *arena = &t->mesh->arena;

	out->action = SL_ROUTE_REDIRECT;
	out->redirect = (struct sl_mesh_redirect) {
		.scheme = sl_arena_str(arena, from->scheme),
		.authority = sl_arena_str(arena, from->authority),
		.path = sl_arena_str(arena, from->uri),
		.port = (uint32_t)from->port,
		.status = from->redirect_code ? (uint32_t)from->redirect_code : 301,
	};
}

static void rewrite_as(struct sl_tr *t, const struct sl_krm_http_rewrite *from, struct sl_mesh_route *out)
{
	out->rewrite.authority = sl_arena_str(&t->mesh->arena, from->authority);
	if (out->match.path_kind == SL_PATH_REGEX && from->uri.len) {
		out->rewrite.regex = SL_STR(".*");
		out->rewrite.substitution = sl_arena_str(&t->mesh->arena, from->uri);
	} else {
		out->rewrite.prefix = sl_arena_str(&t->mesh->arena, from->uri);
	}
}

static struct sl_mesh_route route_of(struct sl_tr *t, const struct sl_tr_place *place,
        const struct sl_krm_http_route *from, const struct sl_krm_http_match_request *m)
{
	struct sl_arena *arena = &t->mesh->arena;
	struct sl_mesh_route out = { .name = sl_arena_str(arena, from->name) };

	match_path(t, m, &out.match);
	if (m)
		match_fields(t, m, &out.match);
	out.headers = header_ops(t, from->headers);
	if (from->redirect) {
		redirect_to(t, from->redirect, &out);
		return out;
	}
	if (from->direct_response) {
		const struct sl_krm_http_body *body = from->direct_response->body;

		out.action = SL_ROUTE_DIRECT;
		out.direct_status = (uint32_t)from->direct_response->status;
		out.direct_body = body ? sl_arena_str(arena, body->string.len ? body->string : body->bytes)
		                       : SL_STR_NONE;
		return out;
	}
	out.timeout = from->has_timeout ? from->timeout : 0;
	out.retry = retry_of(t, place, from->retries);
	if (from->rewrite)
		rewrite_as(t, from->rewrite, &out);
	forward_to(t, place, from, &out);
	return out;
}

/* ---- which Rollout's weights are in force on a route ---- */

static bool names_route(const struct sl_krm_istio_virtual_service *named,
        const struct sl_krm_virtual_service *vs, const struct sl_krm_http_route *route)
{
	sl_str name = named->name, ns;

	if (sl_str_split(&name, '/', &ns)) {
		if (!sl_str_eq(ns, vs->metadata.namespace))
			return false;
	} else {
		name = named->name;
	}
	if (!sl_str_eq(name, vs->metadata.name))
		return false;
	for (size_t i = 0; i < named->routes_count; i++)
		if (sl_str_eq(named->routes[i], route->name))
			return true;
	return named->routes_count == 0 && vs->spec.http_count == 1;
}

static const struct sl_krm_rollout *managed_by(
        struct sl_tr *t, const struct sl_krm_virtual_service *vs, const struct sl_krm_http_route *route)
{
	for (size_t i = 0; i < t->in->rollout_count; i++) {
		const struct sl_krm_rollout *r = t->in->rollouts[i];
		const struct sl_krm_canary_strategy *canary = r->spec.strategy.canary;
		const struct sl_krm_istio_traffic_routing *istio =
		        canary && canary->traffic_routing ? canary->traffic_routing->istio : NULL;

		if (!istio)
			continue;
		if (istio->virtual_service && names_route(istio->virtual_service, vs, route))
			return r;
		for (size_t v = 0; v < istio->virtual_services_count; v++)
			if (names_route(&istio->virtual_services[v], vs, route))
				return r;
	}
	return NULL;
}

static void append(struct sl_tr *t, struct sl_tr_routes *routes, const struct sl_mesh_route *route)
{
	if (routes->count == routes->room) {
		size_t room = routes->room ? routes->room * 2 : 8;
		struct sl_mesh_route *items = sl_arena_zalloc_array(&t->scratch, room, sizeof(*items));

		if (routes->count)
			memcpy(items, routes->items, routes->count * sizeof(*items));
		routes->items = items;
		routes->room = room;
	}
	routes->items[routes->count++] = *route;
}

void sl_tr_routes_add(struct sl_tr *t, const struct sl_tr_place *at, struct sl_tr_routes *routes)
{
	for (size_t i = 0; i < at->vs->spec.http_count; i++) {
		const struct sl_krm_http_route *from = &at->vs->spec.http[i];
		struct sl_tr_place place = *at;
		struct sl_mesh_route route;

		place.http = i;
		place.rollout = managed_by(t, at->vs, from);
		place.managed = place.rollout != NULL;
		if (!from->match_count) {
			route = route_of(t, &place, from, NULL);
			append(t, routes, &route);
		}
		for (size_t m = 0; m < from->match_count; m++) {
			if (!is_here(&place, &from->match[m]))
				continue;
			route = route_of(t, &place, from, &from->match[m]);
			append(t, routes, &route);
		}
	}
}

/* ---- hosts that lead nowhere ---- */

static bool is_inside(const struct sl_krm_virtual_service *vs)
{
	bool inside = vs->spec.gateways_count == 0;

	for (size_t i = 0; i < vs->spec.gateways_count; i++)
		inside |= sl_str_eq(vs->spec.gateways[i], SL_STR("mesh"));
	return inside;
}

void sl_tr_check_hosts(struct sl_tr *t)
{
	for (size_t i = 0; i < t->in->virtual_service_count; i++) {
		const struct sl_krm_virtual_service *vs = t->in->virtual_services[i];

		for (size_t h = 0; is_inside(vs) && h < vs->spec.hosts_count; h++)
			if (!sl_tr_service_find(t, vs->spec.hosts[h], vs->metadata.namespace))
				sl_tr_note(t, SL_KIND_VIRTUAL_SERVICE, &vs->metadata,
				        sl_arena_printf(&t->scratch, "spec.hosts[%zu]", h),
				        "\"%.*s\" is no Service of the mesh, so nothing is routed by it; name one, or add it",
				        SL_STR_ARG(vs->spec.hosts[h]));
	}
}
