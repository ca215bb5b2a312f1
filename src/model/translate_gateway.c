/* The gateway: VirtualServices that name an Istio Gateway, on the one listener of this node. */
#include "model/translate_priv.h"

/* Host `h` of a VirtualService in `ns` is taken by a server that lists `server_host` ("*", "*.example.com", "ns/host"). */
static bool server_takes(sl_str server_host, sl_str h, sl_str ns)
{
	sl_str space, rest = server_host;

	if (sl_str_split(&rest, '/', &space)) {
		if (!sl_str_eq(space, SL_STR("*")) && !sl_str_eq(space, ns) && !sl_str_eq(space, SL_STR(".")))
			return false;
		server_host = rest;
	}
	if (sl_str_eq(server_host, SL_STR("*")) || sl_str_eq(server_host, h) || sl_str_eq(h, SL_STR("*")))
		return true;
	return sl_str_starts(server_host, SL_STR("*.")) && sl_str_ends(h, sl_str_skip(server_host, 1));
}

static const struct sl_krm_istio_gateway *gateway_find(struct sl_tr *t, sl_str wanted, sl_str ns)
{
	sl_str name = wanted, space;

	if (sl_str_split(&name, '/', &space))
		ns = space;
	else
		name = wanted;
	for (size_t i = 0; i < t->in->gateway_count; i++)
		if (sl_str_eq(t->in->gateways[i]->metadata.name, name) &&
		        sl_str_eq(t->in->gateways[i]->metadata.namespace, ns))
			return t->in->gateways[i];
	return NULL;
}

static bool gateway_takes(const struct sl_krm_istio_gateway *g, sl_str host, sl_str ns)
{
	for (size_t i = 0; i < g->spec.servers_count; i++) {
		const struct sl_krm_server *server = &g->spec.servers[i];

		if (!sl_str_eq_nocase(server->port.protocol, SL_STR("HTTP")) &&
		        !sl_str_eq_nocase(server->port.protocol, SL_STR("HTTP2")))
			continue;
		for (size_t h = 0; h < server->hosts_count; h++)
			if (server_takes(server->hosts[h], host, ns))
				return true;
	}
	return false;
}

/* The virtual host of that domain on the gateway: several VirtualServices of one host are tried one after another. */
struct gateway_host {
	struct sl_map_node node;
	struct gateway_host *next;
	struct sl_tr_routes routes;
	sl_str domain;
};

struct gateway_hosts {
	struct sl_map map;
	struct gateway_host *first, **last;
	size_t count;
};

static struct gateway_host *gateway_host(struct sl_tr *t, struct gateway_hosts *hosts, sl_str domain)
{
	struct sl_map_node *node = sl_map_get(&hosts->map, domain);
	struct gateway_host *h;

	if (node)
		return SL_MAP_ENTRY(node, struct gateway_host, node);
	h = sl_arena_zalloc(&t->scratch, sizeof(*h));
	h->domain = sl_arena_str(&t->scratch, domain);
	sl_map_put(&hosts->map, &h->node, h->domain);
	*hosts->last = h;
	hosts->last = &h->next;
	hosts->count++;
	return h;
}

static void gateway_virtual_service(
        struct sl_tr *t, struct gateway_hosts *hosts, const struct sl_krm_virtual_service *vs)
{
	for (size_t g = 0; g < vs->spec.gateways_count; g++) {
		const struct sl_krm_istio_gateway *gateway;
		sl_str wanted = vs->spec.gateways[g];

		if (sl_str_eq(wanted, SL_STR("mesh")))
			continue;
		gateway = gateway_find(t, wanted, vs->metadata.namespace);
		if (!gateway) {
			sl_tr_note(t, SL_KIND_VIRTUAL_SERVICE, &vs->metadata,
			        sl_arena_printf(&t->scratch, "spec.gateways[%zu]", g),
			        "there is no Gateway \"%.*s\"; add it, or name one of this namespace or NAMESPACE/NAME",
			        SL_STR_ARG(wanted));
			continue;
		}
		for (size_t h = 0; h < vs->spec.hosts_count; h++) {
			struct sl_tr_place place = {
				.vs = vs,
				.port = (uint32_t)gateway->spec.servers[0].port.number,
				.gateway = sl_tr_join(t, gateway->metadata.namespace, gateway->metadata.name),
			};

			if (gateway_takes(gateway, vs->spec.hosts[h], vs->metadata.namespace))
				sl_tr_routes_add(
				        t, &place, &gateway_host(t, hosts, vs->spec.hosts[h])->routes);
			else
				sl_tr_note(t, SL_KIND_VIRTUAL_SERVICE, &vs->metadata,
				        sl_arena_printf(&t->scratch, "spec.hosts[%zu]", h),
				        "Gateway \"%.*s\" has no HTTP server for host \"%.*s\"",
				        SL_STR_ARG(wanted), SL_STR_ARG(vs->spec.hosts[h]));
		}
	}
}

void sl_tr_gateway_listener(struct sl_tr *t)
{
	struct sl_arena *arena = &t->mesh->arena;
	struct sl_mesh_listener *l = &t->mesh->listeners[t->mesh->listener_count++];
	struct sl_mesh_route_config *rc = &t->mesh->route_configs[t->mesh->route_config_count++];
	struct gateway_hosts hosts = { 0 };

	*l = (struct sl_mesh_listener) {
		.name = SL_STR("gateway"),
		.address = sl_arena_str(arena, t->in->gateway_address),
		.port = t->in->gateway_port,
		.protocol = SL_LISTENER_HTTP,
		.direction = SL_TRAFFIC_GATEWAY,
		.route_config = SL_STR("gateway"),
	};
	rc->name = SL_STR("gateway");
	hosts.last = &hosts.first;
	for (size_t i = 0; i < t->in->virtual_service_count; i++)
		gateway_virtual_service(t, &hosts, t->in->virtual_services[i]);
	rc->hosts = sl_arena_zalloc_array(arena, hosts.count, sizeof(*rc->hosts));
	for (const struct gateway_host *h = hosts.first; h; h = h->next) {
		struct sl_mesh_virtual_host *out = &rc->hosts[rc->host_count++];

		out->name = sl_arena_str(arena, h->domain);
		sl_tr_domain_add(t, out, h->domain);
		sl_tr_routes_take(t, out, &h->routes);
	}
	sl_map_fini(&hosts.map);
}
