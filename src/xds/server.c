#include "xds/server.h"
#include "xds/pb_priv.h"

#include <stdio.h>

/* A name of a subscription. */
struct sub_name {
	struct sl_map_node node;
	uint64_t sent_hash; /* of the bytes last sent; meaningful where `sent` */
	bool sent;          /* the client has been given it, and did not refuse */
	bool kept;          /* stands in the request at hand */
	char text[];
};

/* LDS and CDS carry all of the subscription in every response, so that what is missing is gone; EDS and RDS what is new. */
static bool is_whole(enum sl_xds_type type)
{
	return type == SL_XDS_CLUSTER || type == SL_XDS_LISTENER;
}

/* ---- bodies ---- */

struct sl_ads_body *sl_ads_body_ref(struct sl_ads_body *body)
{
	body->refs++;
	return body;
}

void sl_ads_body_unref(struct sl_ads_body *body)
{
	if (body && --body->refs == 0)
		sl_free(body);
}

enum {
	RESPONSE_VERSION = 1,
	RESPONSE_RESOURCES = 2,
	RESPONSE_TYPE = 4,
	RESPONSE_NONCE = 5,
	RESPONSE_SERVER = 6,
	CONTROL_PLANE_IDENTIFIER = 1,
};

static void body_begin(struct sl_buf *b, uint64_t epoch)
{
	char version[24];

	snprintf(version, sizeof(version), "%llu", (unsigned long long)epoch);
	sl_pb_field(b, RESPONSE_VERSION, sl_str_c(version));
}

static struct sl_ads_body *body_end(struct sl_buf *b, enum sl_xds_type type)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf server = { 0 };
	struct sl_ads_body *body;
	sl_str bytes;

	sl_pb_field(b, RESPONSE_TYPE, sl_xds_type_url(type));
	sl_pb_field(&server, CONTROL_PLANE_IDENTIFIER, SL_STR(SL_XDS_SERVER_IDENTITY "/" SL_VERSION));
	sl_pb_field(b, RESPONSE_SERVER, sl_buf_str(&server));
	bytes = sl_buf_str(b);
	body = sl_new(sizeof(*body) + bytes.len);
	body->refs = 1;
	body->len = bytes.len;
	if (bytes.p)
		memcpy(body->bytes, bytes.p, bytes.len);
	sl_buf_fini(b);
	return body;
}

/* Everything of a type that changed after `since`, or NULL when nothing did. `keep` may have clusters to add, else NULL. */
static struct sl_ads_body *wildcard_body(
        const struct sl_xds_set *set, const struct sl_xds_set *keep, enum sl_xds_type type, uint64_t since)
{
	const struct sl_xds_list *list = &set->lists[type];
	struct sl_buf b = { 0 };

	body_begin(&b, set->epoch);
	for (size_t i = 0; i < list->count; i++)
		if (is_whole(type) || list->entries[i].resource->changed_epoch > since)
			sl_pb_field(&b, RESPONSE_RESOURCES, list->entries[i].resource->any);
	for (size_t i = 0; keep && i < keep->lists[type].count; i++)
		if (!sl_xds_set_find(set, type, keep->lists[type].entries[i].resource->name))
			sl_pb_field(&b, RESPONSE_RESOURCES, keep->lists[type].entries[i].resource->any);
	return body_end(&b, type);
}

static struct sl_ads_body *epoch_body(uint64_t epoch)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena scratch = { 0 };
	SL_CLEANUP(sl_buf_fini) struct sl_buf any = { 0 };
	struct sl_buf b = { 0 };

	sl_xds_encode_epoch(epoch, &scratch, &any);
	body_begin(&b, epoch);
	sl_pb_field(&b, RESPONSE_RESOURCES, sl_buf_str(&any));
	return body_end(&b, SL_XDS_EPOCH);
}

/* The same for all streams that come from the same epoch. A new reference. */
static struct sl_ads_body *shared_body(struct sl_ads_stream *stream, enum sl_xds_type type, uint64_t since)
{
	struct sl_ads_server *server = stream->server;
	uint64_t epoch = stream->at->epoch;

	if (stream->from && type == SL_XDS_CLUSTER)
		return wildcard_body(stream->at, stream->from, type, since);
	if (server->cache[type].body && server->cache[type].epoch == epoch &&
	        server->cache[type].since == since)
		return sl_ads_body_ref(server->cache[type].body);
	sl_ads_body_unref(server->cache[type].body);
	server->cache[type].body =
	        type == SL_XDS_EPOCH ? epoch_body(epoch) : wildcard_body(stream->at, NULL, type, since);
	server->cache[type].epoch = epoch;
	server->cache[type].since = since;
	return sl_ads_body_ref(server->cache[type].body);
}

/* ---- sending ---- */

static void send_body(struct sl_ads_stream *stream, enum sl_xds_type type, struct sl_ads_body *body)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf tail = { 0 };
	struct sl_ads_sub *sub = &stream->subs[type];
	char nonce[24];

	sub->nonce = ++stream->next_nonce;
	sub->sent_epoch = stream->at->epoch;
	sub->waiting = true;
	snprintf(nonce, sizeof(nonce), "%llu", (unsigned long long)sub->nonce);
	sl_pb_field(&tail, RESPONSE_NONCE, sl_str_c(nonce));
	stream->server->counters.pushes++;
	stream->server->counters.sent_bytes += body->len + sl_buf_size(&tail);
	stream->server->ops->send(stream->server->user, stream, body, sl_buf_str(&tail));
	sl_ads_body_unref(body);
}

/* A resource in gRPC's dialect; empty where there is none of that name. */
static sl_str grpc_resource(const struct sl_xds_set *set, enum sl_xds_type type, sl_str name,
        struct sl_arena *scratch, struct sl_buf *out)
{
	const struct sl_xds_set_entry *e = sl_xds_set_find(set, type, name);
	const struct sl_mesh *mesh = set->mesh;

	sl_buf_clear(out);
	if (type == SL_XDS_LISTENER) {
		sl_str route_config = sl_xds_set_route_config_of(set, name);

		if (route_config.len)
			sl_xds_encode_api_listener(name, route_config, scratch, out);
	} else if (e && type == SL_XDS_CLUSTER) {
		sl_xds_encode_cluster(&mesh->clusters[e->index], SL_XDS_GRPC, scratch, out);
	} else if (e && type == SL_XDS_ROUTE_CONFIG) {
		sl_xds_encode_route_config(&mesh->route_configs[e->index], SL_XDS_GRPC, scratch, out);
	} else if (e) {
		return e->resource->any;
	}
	return sl_buf_str(out);
}

static sl_str named_resource(const struct sl_ads_stream *stream, enum sl_xds_type type, sl_str name,
        struct sl_arena *scratch, struct sl_buf *buf)
{
	const struct sl_xds_set_entry *e = NULL;
	sl_str any = SL_STR_NONE;

	for (const struct sl_xds_set *set = stream->at; set && !any.len;
	        set = set == stream->at && type == SL_XDS_CLUSTER ? stream->from : NULL) {
		if (stream->dialect == SL_XDS_GRPC) {
			any = grpc_resource(set, type, name, scratch, buf);
		} else {
			e = sl_xds_set_find(set, type, name);
			any = e ? e->resource->any : SL_STR_NONE;
		}
	}
	return any;
}

/* What changed of the names subscribed to; all of them for LDS and CDS. `force`: also when nothing did. */
static void send_named(struct sl_ads_stream *stream, enum sl_xds_type type, bool force)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena scratch = { 0 };
	SL_CLEANUP(sl_buf_fini) struct sl_buf any_buf = { 0 };
	struct sl_ads_sub *sub = &stream->subs[type];
	struct sl_buf b = { 0 };
	bool changed = force && is_whole(type);

	body_begin(&b, stream->at->epoch);
	SL_MAP_FOR (node, &sub->names) {
		struct sub_name *name = SL_MAP_ENTRY(node, struct sub_name, node);
		sl_str any = named_resource(stream, type, node->key, &scratch, &any_buf);
		uint64_t hash = sl_str_hash(any, 0);
		bool differs =
		        any.len ? !name->sent || name->sent_hash != hash : name->sent && is_whole(type);

		changed |= differs;
		if (any.len && (differs || is_whole(type)))
			sl_pb_field(&b, RESPONSE_RESOURCES, any);
		name->sent = any.len != 0;
		name->sent_hash = hash;
		sl_arena_reset(&scratch);
	}
	if (changed)
		send_body(stream, type, body_end(&b, type));
	sl_buf_fini(&b);
}

static void send_wildcard(struct sl_ads_stream *stream, enum sl_xds_type type, bool force)
{
	struct sl_ads_sub *sub = &stream->subs[type];

	if (!force && type != SL_XDS_EPOCH && stream->at->lists[type].touched_epoch <= sub->acked_epoch) {
		sub->acked_epoch = stream->at->epoch; /* nothing of this type changed: it has it already */
		return;
	}
	send_body(stream, type, shared_body(stream, type, sub->acked_epoch));
}

static void send_type(struct sl_ads_stream *stream, enum sl_xds_type type, bool force)
{
	struct sl_ads_sub *sub = &stream->subs[type];

	if (sub->wildcard)
		send_wildcard(stream, type, force);
	else if (sub->active)
		send_named(stream, type, force);
}

/* ---- going on ---- */

static void all_acked(struct sl_ads_server *server)
{
	uint64_t least = UINT64_MAX;

	/* the least recent to acknowledge stand first, so the usual look ends at the first */
	SL_LIST_FOR (link, &server->streams) {
		const struct sl_ads_stream *stream = SL_LIST_ENTRY(link, struct sl_ads_stream, link);

		if (!stream->node)
			continue;
		if (stream->acked_epoch <= server->all_acked)
			return;
		least = stream->acked_epoch < least ? stream->acked_epoch : least;
	}
	if (least == UINT64_MAX)
		return;
	server->all_acked = least;
	if (server->ops->on_all_ack)
		server->ops->on_all_ack(server->user, least);
}

static bool is_waiting(const struct sl_ads_stream *stream)
{
	for (int t = 0; t < SL_XDS_TYPE_COUNT; t++)
		if (stream->subs[t].waiting)
			return true;
	return false;
}

static bool is_active(const struct sl_ads_stream *stream)
{
	for (int t = 0; t < SL_XDS_TYPE_COUNT; t++)
		if (stream->subs[t].active)
			return true;
	return false;
}

static void in_force(struct sl_ads_stream *stream, sl_nsec now)
{
	struct sl_ads_server *server = stream->server;
	sl_nsec since = server->published_at > stream->opened_at ? server->published_at : stream->opened_at;

	if (stream->refused || stream->acked_epoch >= stream->at->epoch || !is_active(stream) ||
	        (stream->marks && !stream->subs[SL_XDS_EPOCH].active))
		return;
	stream->acked_epoch = stream->at->epoch;
	sl_list_remove(&stream->link);
	sl_list_push(&server->streams, &stream->link);
	if (server->ops->on_ack)
		server->ops->on_ack(server->user, stream, stream->acked_epoch, now - since);
	all_acked(server);
}

static bool removes_clusters(const struct sl_xds_set *from, const struct sl_xds_set *to)
{
	const struct sl_xds_list *old = &from->lists[SL_XDS_CLUSTER];

	if (to->lists[SL_XDS_CLUSTER].touched_epoch <= from->epoch)
		return false;
	for (size_t i = 0; i < old->count; i++)
		if (!sl_xds_set_find(to, SL_XDS_CLUSTER, old->entries[i].resource->name))
			return true;
	return false;
}

static void begin_epoch(struct sl_ads_stream *stream)
{
	struct sl_xds_set *old = stream->at;

	stream->at = sl_xds_set_ref(stream->server->current);
	stream->refused = false;
	/* after a refusal `from` is still there: it is what the client's routes stand on */
	if (!stream->from && !stream->marks && removes_clusters(old, stream->at))
		stream->from = old;
	else
		sl_xds_set_unref(old);
	for (int t = 0; t < SL_XDS_TYPE_COUNT; t++)
		send_type(stream, (enum sl_xds_type)t, false);
}

/* By name nothing need be said about a cluster that the client has let go of by itself. */
static void end_first_step(struct sl_ads_stream *stream)
{
	sl_xds_set_unref(stream->from);
	stream->from = NULL;
	send_type(stream, SL_XDS_CLUSTER, stream->subs[SL_XDS_CLUSTER].wildcard);
}

/* Goes as far as it can without an answer. */
static void pump(struct sl_ads_stream *stream, sl_nsec now)
{
	while (stream->at && !is_waiting(stream)) {
		if (stream->from && !stream->refused) {
			end_first_step(stream);
			continue;
		}
		in_force(stream, now);
		if (stream->server->current->epoch <= stream->at->epoch)
			return;
		begin_epoch(stream);
	}
}

/* ---- requests ---- */

static sl_err take_node(struct sl_ads_stream *stream, const pb_node *node)
{
	if (stream->node)
		return SL_OK; /* only the first request needs it */
	if (!node || !node->id[0])
		return SL_ERR_INVALID;
	stream->node = sl_strdup(node->id);
	stream->agent = sl_strdup(node->user_agent_name);
	if (strncasecmp(stream->agent, "grpc", 4) == 0)
		stream->dialect = SL_XDS_GRPC;
	stream->marks = strcmp(stream->agent, SL_XDS_CLIENT_AGENT) == 0;
	if (stream->server->ops->on_node)
		stream->server->ops->on_node(stream->server->user, stream, true);
	return SL_OK;
}

static void refuse(struct sl_ads_stream *stream, enum sl_xds_type type, const char *text)
{
	struct sl_ads_server *server = stream->server;

	server->counters.nacks++;
	stream->refused = true;
	stream->nacked_epoch = stream->subs[type].sent_epoch;
	sl_free(stream->nack_text);
	stream->nack_text = sl_strdup(text);
	/* it kept what it had before, whatever that was: the next change sends all that it asked for */
	SL_MAP_FOR (node, &stream->subs[type].names)
		SL_MAP_ENTRY(node, struct sub_name, node)->sent = false;
	if (server->ops->on_nack)
		server->ops->on_nack(
		        server->user, stream, type, stream->nacked_epoch, sl_str_c(stream->nack_text));
}

static void take_answer(struct sl_ads_stream *stream, enum sl_xds_type type, const pb_request *m)
{
	struct sl_ads_sub *sub = &stream->subs[type];

	if (!sub->waiting)
		return; /* a change of names under the same nonce */
	sub->waiting = false;
	if (m->error_detail) {
		refuse(stream, type, m->error_detail->message);
		return;
	}
	stream->server->counters.acks++;
	if (sub->wildcard)
		sub->acked_epoch = sub->sent_epoch;
}

static void forget_names(struct sl_ads_sub *sub)
{
	struct sl_map_node *node;

	while ((node = sl_map_next(&sub->names, NULL)))
		sl_free(SL_MAP_ENTRY(sl_map_take(&sub->names, node->key), struct sub_name, node));
}

static bool add_name(struct sl_ads_sub *sub, sl_str text)
{
	struct sl_map_node *node = sl_map_get(&sub->names, text);
	struct sub_name *name;

	if (node) {
		SL_MAP_ENTRY(node, struct sub_name, node)->kept = true;
		return false;
	}
	name = sl_new0(sizeof(*name) + text.len);
	memcpy(name->text, text.p, text.len);
	name->kept = true;
	sl_map_put(&sub->names, &name->node, sl_str_n(name->text, text.len));
	return true;
}

static void drop_names_not_kept(struct sl_ads_sub *sub)
{
	struct sl_map_node *node = sl_map_next(&sub->names, NULL), *next;

	for (; node; node = next) {
		next = sl_map_next(&sub->names, node);
		if (!SL_MAP_ENTRY(node, struct sub_name, node)->kept)
			sl_free(SL_MAP_ENTRY(sl_map_take(&sub->names, node->key), struct sub_name, node));
	}
	SL_MAP_FOR (n, &sub->names)
		SL_MAP_ENTRY(n, struct sub_name, node)->kept = false;
}

/* Takes the request's names; true when there is something among them that was not asked for before. */
static bool subscribe(struct sl_ads_sub *sub, enum sl_xds_type type, const pb_request *m)
{
	bool was_wildcard = sub->wildcard, fresh = false, all = false;

	for (size_t i = 0; i < m->n_resource_names; i++) {
		sl_str name = sl_str_c(m->resource_names[i]);

		if (sl_str_eq(name, SL_XDS_WILDCARD))
			all = true;
		else if (name.len)
			fresh |= add_name(sub, name);
	}
	drop_names_not_kept(sub);
	if (m->n_resource_names)
		sub->named = true;
	else if (!sub->named && type != SL_XDS_ENDPOINTS && type != SL_XDS_ROUTE_CONFIG)
		all = true; /* the old way to ask for everything */
	sub->wildcard = all;
	sub->active = all || sub->names.count;
	if (all && !was_wildcard)
		sub->acked_epoch = 0;
	return all ? !was_wildcard : fresh;
}

sl_err sl_ads_stream_receive(struct sl_ads_stream *stream, sl_str message, sl_nsec now)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena scratch = { 0 };
	const pb_request *m = pb_read_request(&scratch, message);
	enum sl_xds_type type;
	uint64_t nonce = 0;

	if (!m)
		return SL_ERR_MALFORMED;
	SL_TRY(take_node(stream, m->node));
	type = sl_xds_type_of(sl_str_c(m->type_url));
	if (type == SL_XDS_TYPE_COUNT)
		return SL_OK; /* we have none of that type; the client waits as for any resource that does not exist */
	if (m->response_nonce[0]) {
		if (sl_str_to_u64(sl_str_c(m->response_nonce), &nonce) != SL_OK ||
		        nonce != stream->subs[type].nonce) {
			stream->server->counters.stale++;
			return SL_OK; /* about an older response; the client will speak again about the newer one */
		}
		take_answer(stream, type, m);
	}
	if (!stream->at && stream->server->current)
		stream->at = sl_xds_set_ref(stream->server->current);
	if (subscribe(&stream->subs[type], type, m) && stream->at)
		send_type(stream, type, true);
	pump(stream, now);
	return SL_OK;
}

/* ---- server ---- */

void sl_ads_server_init(struct sl_ads_server *server, const struct sl_ads_ops *ops, void *user)
{
	*server = (struct sl_ads_server) { .ops = ops, .user = user };
	sl_list_init(&server->streams);
}

static void stream_free(struct sl_ads_stream *stream)
{
	sl_list_remove(&stream->link);
	for (int t = 0; t < SL_XDS_TYPE_COUNT; t++) {
		forget_names(&stream->subs[t]);
		sl_map_fini(&stream->subs[t].names);
	}
	sl_xds_set_unref(stream->at);
	sl_xds_set_unref(stream->from);
	sl_free(stream->node);
	sl_free(stream->agent);
	sl_free(stream->nack_text);
	sl_free(stream);
}

void sl_ads_server_fini(struct sl_ads_server *server)
{
	while (server->streams.next && !sl_list_empty(&server->streams))
		stream_free(SL_LIST_ENTRY(server->streams.next, struct sl_ads_stream, link));
	for (int t = 0; t < SL_XDS_TYPE_COUNT; t++) {
		sl_ads_body_unref(server->cache[t].body);
		server->cache[t].body = NULL;
	}
	sl_xds_set_unref(server->current);
	server->current = NULL;
}

struct sl_ads_stream *sl_ads_stream_open(struct sl_ads_server *server, void *user, sl_nsec now)
{
	struct sl_ads_stream *stream = sl_new0(sizeof(*stream));

	stream->server = server;
	stream->user = user;
	stream->opened_at = now;
	sl_list_push_front(&server->streams, &stream->link);
	return stream;
}

void sl_ads_stream_close(struct sl_ads_stream *stream)
{
	struct sl_ads_server *server = stream->server;

	if (stream->node && server->ops->on_node)
		server->ops->on_node(server->user, stream, false);
	stream_free(stream);
	all_acked(server); /* the one we waited for may be gone */
}

sl_err sl_ads_server_publish(struct sl_ads_server *server, struct sl_mesh *mesh, sl_nsec now)
{
	struct sl_xds_set *set;

	if (server->current && mesh->epoch <= server->current->epoch)
		return SL_ERR_CONFLICT;
	set = sl_xds_set_new(mesh, server->current);
	sl_xds_set_unref(server->current);
	server->current = set;
	server->published_at = now;
	SL_LIST_FOR_SAFE (link, &server->streams) {
		struct sl_ads_stream *stream = SL_LIST_ENTRY(link, struct sl_ads_stream, link);

		if (!stream->at && is_active(stream)) {
			stream->at = sl_xds_set_ref(server->current);
			for (int t = 0; t < SL_XDS_TYPE_COUNT; t++)
				send_type(stream, (enum sl_xds_type)t, true);
		}
		pump(stream, now);
	}
	return SL_OK;
}

uint64_t sl_ads_server_acked(const struct sl_ads_server *server)
{
	uint64_t least = server->current ? server->current->epoch : 0;

	SL_LIST_FOR (link, &server->streams) {
		const struct sl_ads_stream *stream = SL_LIST_ENTRY(link, struct sl_ads_stream, link);

		if (stream->node && stream->acked_epoch < least)
			least = stream->acked_epoch;
	}
	return least;
}
