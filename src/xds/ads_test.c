/*
 * Both ends of ADS against each other and against scripts, in virtual time. The wire is two queues of messages per client that a test may
 * hold back, cut, repeat and reorder.
 */
#include "base/test.h"
#include "xds/client.h"
#include "xds/mesh_gen_priv.h"
#include "xds/pb_priv.h"
#include "xds/server.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- a queue of messages ---- */

enum { QUEUE_MOST = 512 };
struct queue {
	char *p[QUEUE_MOST];
	size_t len[QUEUE_MOST], head, tail;
};

static void queue_put(struct queue *q, sl_str a, sl_str b)
{
	char *p = sl_new(a.len + b.len + 1);

	assert_true(q->tail < QUEUE_MOST);
	memcpy(p, a.p, a.len);
	if (b.len)
		memcpy(p + a.len, b.p, b.len);
	q->p[q->tail] = p;
	q->len[q->tail++] = a.len + b.len;
}

static bool queue_empty(const struct queue *q)
{
	return q->head == q->tail;
}

static sl_str queue_head(const struct queue *q)
{
	assert_false(queue_empty(q));
	return sl_str_n(q->p[q->head], q->len[q->head]);
}

static void queue_drop(struct queue *q)
{
	sl_free(q->p[q->head++]);
	if (queue_empty(q))
		q->head = q->tail = 0;
}

static void queue_clear(struct queue *q)
{
	while (!queue_empty(q))
		queue_drop(q);
}

/* ---- a server, and what it reported ---- */

enum { NODES_MOST = 6, EPOCHS_MOST = 4000 };
struct end;
struct world {
	struct sl_ads_server server;
	struct end *ends[NODES_MOST];
	struct sl_mesh *published[EPOCHS_MOST]; /* by epoch */
	uint64_t epoch, all_acked;
	sl_nsec now, latency; /* latency: of the last acknowledgement */
	int nodes, nacks;
	char nack_text[256];
};

/* One client's side. */
struct end {
	struct world *world;
	struct sl_ads_client client;
	struct sl_ads_stream *stream; /* NULL: not connected */
	struct queue up, down;
	struct sl_mesh *in_force, *offered; /* offered: taken, not yet answered */
	uint64_t acked;                     /* as the server reports */
	uint64_t refuse;                    /* refuse the mesh of this epoch */
	bool hold;                          /* do not answer offers by itself */
	int offers;
	char name[16];
};

static struct end *end_of(struct sl_ads_stream *stream)
{
	return stream->user;
}

static void on_send(void *user, struct sl_ads_stream *stream, struct sl_ads_body *body, sl_str tail)
{
	(void)user;
	queue_put(&end_of(stream)->down, sl_str_n(body->bytes, body->len), tail);
}

static void on_node(void *user, struct sl_ads_stream *stream, bool connected)
{
	(void)stream;
	((struct world *)user)->nodes += connected ? 1 : -1;
}

static void on_ack(void *user, struct sl_ads_stream *stream, uint64_t epoch, sl_nsec latency)
{
	struct world *w = user;
	struct end *end = end_of(stream);

	assert_true(epoch > end->acked);
	end->acked = epoch;
	w->latency = latency;
	if (end->client.ours) /* never before it is in force */
		assert_true(end->in_force && end->in_force->epoch >= epoch);
}

static void on_nack(
        void *user, struct sl_ads_stream *stream, enum sl_xds_type type, uint64_t epoch, sl_str text)
{
	struct world *w = user;

	(void)stream, (void)epoch;
	w->nacks++;
	snprintf(w->nack_text, sizeof(w->nack_text), "%s: %.*s", sl_xds_type_name(type), SL_STR_ARG(text));
}

static void on_all_ack(void *user, uint64_t epoch)
{
	struct world *w = user;

	assert_true(epoch > w->all_acked);
	w->all_acked = epoch;
	for (int i = 0; i < NODES_MOST; i++)
		if (w->ends[i] && w->ends[i]->stream && w->ends[i]->stream->node)
			assert_true(w->ends[i]->acked >= epoch);
}

static const struct sl_ads_ops server_ops = { on_send, on_node, on_ack, on_nack, on_all_ack };

static void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	sl_ads_server_init(&w->server, &server_ops, w);
}

static void publish(struct world *w, struct sl_mesh *mesh) /* takes the reference */
{
	mesh->epoch = ++w->epoch;
	assert_true(w->epoch < EPOCHS_MOST);
	w->published[w->epoch] = mesh;
	sl_assert_ok(sl_ads_server_publish(&w->server, mesh, w->now));
}

/* ---- a client ---- */

static void on_request(void *user, sl_str message)
{
	queue_put(&((struct end *)user)->up, message, SL_STR_NONE);
}

static void answer(struct end *end)
{
	struct sl_mesh *mesh = SL_STEAL(end->offered);

	if (mesh->epoch == end->refuse) {
		sl_ads_client_applied(&end->client, mesh->epoch, SL_ERR_INVALID, SL_STR("no room for it"));
		sl_mesh_unref(mesh);
		return;
	}
	sl_mesh_unref(end->in_force);
	end->in_force = mesh;
	sl_ads_client_applied(&end->client, mesh->epoch, SL_OK, SL_STR_NONE);
}

static void on_offer(void *user, struct sl_mesh *mesh)
{
	struct end *end = user;

	assert_null(end->offered); /* one at a time */
	end->offers++;
	if (end->client.ours) { /* an epoch is whole: exactly what was published under its number */
		assert_true(mesh->epoch <= end->world->epoch);
		assert_true(sl_mesh_equal(mesh, end->world->published[mesh->epoch]));
	}
	end->offered = sl_mesh_ref(mesh);
	if (!end->hold)
		answer(end);
}

static const struct sl_ads_client_ops client_ops = { on_request, on_offer };

static void end_init(struct end *end, struct world *w, int index)
{
	memset(end, 0, sizeof(*end));
	snprintf(end->name, sizeof(end->name), "node-%d", index);
	end->world = w;
	w->ends[index] = end;
	sl_ads_client_init(
	        &end->client, &client_ops, end, &(const struct sl_ads_client_node) { .id = end->name });
}

static void end_connect(struct end *end)
{
	end->acked = 0;
	end->stream = sl_ads_stream_open(&end->world->server, end, end->world->now);
	sl_ads_client_connected(&end->client);
}

static void end_cut(struct end *end)
{
	if (!end->stream)
		return;
	sl_ads_stream_close(SL_STEAL(end->stream));
	sl_ads_client_disconnected(&end->client);
	queue_clear(&end->up);
	queue_clear(&end->down);
}

static void end_fini(struct end *end)
{
	end_cut(end);
	sl_ads_client_fini(&end->client);
	sl_mesh_unref(end->in_force);
	sl_mesh_unref(end->offered);
}

static void step_up(struct end *end)
{
	sl_assert_ok(sl_ads_stream_receive(end->stream, queue_head(&end->up), end->world->now));
	queue_drop(&end->up);
}

static void step_down(struct end *end)
{
	sl_assert_ok(sl_ads_client_receive(&end->client, queue_head(&end->down)));
	queue_drop(&end->down);
}

/* Delivers everything until nothing moves. */
static void settle(struct world *w)
{
	bool moved = true;

	while (moved) {
		moved = false;
		for (int i = 0; i < NODES_MOST; i++) {
			struct end *end = w->ends[i];

			if (!end || !end->stream)
				continue;
			for (; !queue_empty(&end->up); moved = true)
				step_up(end);
			for (; !queue_empty(&end->down); moved = true)
				step_down(end);
		}
	}
}

static void world_fini(struct world *w)
{
	for (int i = 0; i < NODES_MOST; i++)
		if (w->ends[i])
			end_fini(w->ends[i]);
	sl_ads_server_fini(&w->server);
	for (uint64_t e = 1; e <= w->epoch; e++)
		sl_mesh_unref(w->published[e]);
}

/* A mesh of one listener, one route to the clusters named by letters ("ab"), and the clusters of `more` beside. */
static struct sl_mesh *letters(const char *routed, const char *more, uint32_t port)
{
	struct sl_mesh *mesh = sl_mesh_new();
	struct sl_arena *a = &mesh->arena;
	size_t n = strlen(routed) + strlen(more);
	struct sl_mesh_route *route = sl_arena_zalloc(a, sizeof(*route));
	struct sl_mesh_virtual_host *host = sl_arena_zalloc(a, sizeof(*host));
	struct sl_mesh_endpoint *endpoint = sl_arena_zalloc(a, sizeof(*endpoint));

	*endpoint = (struct sl_mesh_endpoint) { .address = SL_STR("127.0.0.1"), .port = port, .weight = 1 };
	mesh->clusters = sl_arena_zalloc_array(a, n, sizeof(*mesh->clusters));
	route->splits = sl_arena_zalloc_array(a, n, sizeof(*route->splits));
	for (size_t i = 0; i < n; i++) {
		struct sl_mesh_cluster *c = &mesh->clusters[mesh->cluster_count++];

		c->name = sl_arena_str(
		        a, sl_str_n(i < strlen(routed) ? &routed[i] : &more[i - strlen(routed)], 1));
		c->connect_timeout = SL_SEC(1);
		c->endpoints = endpoint;
		c->endpoint_count = 1;
		if (i < strlen(routed))
			route->splits[route->split_count++] =
			        (struct sl_mesh_split) { .cluster = c->name, .weight = 1 };
	}
	route->match.path = SL_STR("/");
	*host = (struct sl_mesh_virtual_host) { .name = SL_STR("all"), .routes = route, .route_count = 1 };
	host->domains = sl_arena_zalloc(a, sizeof(*host->domains));
	host->domains[host->domain_count++] = SL_STR("svc");
	mesh->route_configs = sl_arena_zalloc(a, sizeof(*mesh->route_configs));
	mesh->route_configs[mesh->route_config_count++] =
	        (struct sl_mesh_route_config) { .name = SL_STR("web"), .hosts = host, .host_count = 1 };
	mesh->listeners = sl_arena_zalloc(a, sizeof(*mesh->listeners));
	mesh->listeners[mesh->listener_count++] = (struct sl_mesh_listener) { .name = SL_STR("web"),
		.address = SL_STR("127.0.0.1"),
		.port = 80,
		.route_config = SL_STR("web") };
	return mesh;
}

/* ---- a client driven by a script: "> CDS version nonce names" and what must come back ---- */

/* One response as text: "CDS 3 #7 a,b". Resources by name, in the order sent. */
static void print_response(sl_str message, char *out, size_t size)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena a = { 0 };
	const pb_response *m = pb_read_response(&a, message);
	size_t n;

	assert_non_null(m);
	n = (size_t)snprintf(out, size, "%s %s #%s ", sl_xds_type_name(sl_xds_type_of(sl_str_c(m->type_url))),
	        m->version_info, m->nonce);
	for (size_t i = 0; i < m->n_resources; i++) {
		/* field 1 of every resource is its name */
		sl_str value = sl_str_n((char *)m->resources[i]->value.data, m->resources[i]->value.len);

		assert_true(value.len > 2 && value.p[0] == 0x0a);
		n += (size_t)snprintf(
		        out + n, size - n, "%s%.*s", i ? "," : "", (int)value.p[1], value.p + 2);
	}
}

struct script_step {
	char act;                         /* '>' request, 'N' nack, 'P' publish, 'X' reconnect */
	const char *type, *nonce, *names; /* P: routed, more */
	const char *expect[6];            /* responses, in order; NULL-terminated */
};

static void script_request(struct world *w, struct end *end, const struct script_step *s, const char *agent)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena a = { 0 };
	pb_request *m = pb_new_request(&a);
	sl_str names = sl_str_c(s->names), name;

	for (int t = 0; t < SL_XDS_TYPE_COUNT; t++)
		if (strcmp(sl_xds_type_name((enum sl_xds_type)t), s->type) == 0)
			m->type_url = sl_pb_str(&a, sl_xds_type_url((enum sl_xds_type)t));
	m->node = pb_new_node(&a);
	m->node->id = sl_pb_str(&a, SL_STR("script"));
	m->node->user_agent_name = sl_pb_str(&a, sl_str_c(agent));
	m->response_nonce = sl_pb_str(&a, sl_str_c(s->nonce));
	m->resource_names = sl_arena_zalloc_array(&a, 8, sizeof(*m->resource_names));
	while (names.len) {
		(void)sl_str_split(&names, ',', &name);
		m->resource_names[m->n_resource_names++] = sl_pb_str(&a, name);
	}
	if (s->act == 'N') {
		m->error_detail = pb_new_status(&a);
		m->error_detail->message = sl_pb_str(&a, SL_STR("bad"));
	}
	sl_assert_ok(sl_ads_stream_receive(end->stream, sl_pb_packed(&m->base, &a), w->now));
}

static void run_script(const char *agent, const struct script_step *steps, size_t count)
{
	struct world w;
	struct end end;

	world_init(&w);
	end_init(&end, &w, 0);
	end.stream = sl_ads_stream_open(&w.server, &end, 0);
	for (size_t i = 0; i < count; i++) {
		const struct script_step *s = &steps[i];
		size_t got = 0;
		char text[256];

		w.now += SL_MSEC(1);
		if (s->act == 'P') {
			publish(&w, letters(s->type, s->nonce, (uint32_t)atoi(s->names)));
		} else if (s->act == 'X') {
			sl_ads_stream_close(end.stream);
			end.stream = sl_ads_stream_open(&w.server, &end, w.now);
			end.acked = 0;
		} else {
			script_request(&w, &end, s, agent);
		}
		for (; !queue_empty(&end.down); queue_drop(&end.down)) {
			print_response(queue_head(&end.down), text, sizeof(text));
			assert_string_equal(text, s->expect[got] ? s->expect[got] : "nothing");
			got++;
		}
		assert_string_equal(s->expect[got] ? s->expect[got] : "nothing more", "nothing more");
	}
	world_fini(&w);
}

/* Envoy's way: wildcard clusters and listeners, the rest by name. */
static const struct script_step envoy_script[] = {
	/* clang-format off */
	{ '>', "CDS", "",  "",    { NULL } },                          /* nothing published yet */
	{ 'P', "a",   "",  "1",   { "CDS 1 #1 a" } },
	{ '>', "CDS", "1", "",    { NULL } },                          /* ACK */
	{ '>', "EDS", "",  "a",   { "EDS 1 #2 a" } },
	{ '>', "EDS", "2", "a",   { NULL } },
	{ '>', "LDS", "",  "",    { "LDS 1 #3 web" } },
	{ '>', "LDS", "3", "",    { NULL } },
	{ '>', "RDS", "",  "web", { "RDS 1 #4 web" } },
	{ '>', "RDS", "4", "web", { NULL } },
	{ 'P', "a",   "",  "2",   { "EDS 2 #5 a" } },                  /* only endpoints changed: only EDS */
	{ 'P', "a",   "",  "3",   { NULL } },                          /* the last is not yet answered: nothing more */
	{ 'P', "a",   "",  "4",   { NULL } },
	{ '>', "EDS", "4", "a",   { NULL } },                          /* stale nonce: no answer to #5 */
	{ '>', "EDS", "5", "a",   { "EDS 4 #6 a" } },                  /* epoch 3 was skipped */
	{ '>', "EDS", "6", "a",   { NULL } },
	{ 'P', "b",   "a", "4",   { "CDS 5 #7 b,a", "RDS 5 #8 web" } }, /* clusters before routes; EDS of b is not asked for yet */
	{ '>', "CDS", "7", "",    { NULL } },
	{ '>', "EDS", "6", "a,b", { "EDS 5 #9 b" } },                  /* only what is new */
	{ '>', "RDS", "8", "web", { NULL } },
	{ '>', "EDS", "9", "a,b", { NULL } },
	{ 'P', "b",   "",  "4",   { "CDS 6 #10 b,a" } },               /* a goes: first with it kept */
	{ '>', "CDS", "10", "",   { "CDS 6 #11 b" } },                 /* then without */
	{ '>', "CDS", "11", "",   { NULL } },
	{ 'P', "bc",  "",  "4",   { "CDS 7 #12 b,c", "RDS 7 #13 web" } },
	{ 'N', "CDS", "12", "",   { NULL } },                          /* refused: no retry of the same */
	{ '>', "RDS", "13", "web", { NULL } },
	{ 'P', "bc",  "",  "5",   { "CDS 8 #14 b,c", "EDS 8 #15 b" } }, /* what was refused comes with the next change */
	{ '>', "CDS", "14", "",   { NULL } },
	{ '>', "EDS", "15", "b",  { NULL } },
	{ 'X', "",    "",  "",    { NULL } },
	{ '>', "CDS", "15", "",   { NULL } },                          /* a nonce of the old stream is stale on the new */
	{ '>', "CDS", "",  "",    { "CDS 8 #1 b,c" } },                /* a new stream gets all anew */
	/* clang-format on */
};

/* gRPC's way: all by name, the listener under the service's name. */
static const struct script_step grpc_script[] = {
	/* clang-format off */
	{ 'P', "a",   "",  "1",    { NULL } },
	{ '>', "LDS", "",  "svc",  { "LDS 1 #1 svc" } },
	{ '>', "LDS", "1", "svc",  { NULL } },
	{ '>', "RDS", "",  "web",  { "RDS 1 #2 web" } },
	{ '>', "RDS", "2", "web",  { NULL } },
	{ '>', "CDS", "",  "a",    { "CDS 1 #3 a" } },
	{ '>', "CDS", "3", "a,zz", { "CDS 1 #4 a" } },                 /* zz is not there: the list without it says so */
	{ '>', "CDS", "4", "a",    { NULL } },
	{ '>', "EDS", "",  "zz",   { NULL } },                         /* EDS has no such way; it may come yet */
	{ '>', "EDS", "",  "a",    { "EDS 1 #5 a" } },
	{ '>', "EDS", "5", "a",    { NULL } },
	{ 'P', "b",   "",  "1",    { "RDS 2 #6 web" } },               /* a is kept until the routes have moved */
	{ '>', "RDS", "6", "web",  { "CDS 2 #7 " } },
	{ '>', "CDS", "4", "a,b",  { NULL } },                         /* crossed with #7 */
	{ '>', "CDS", "7", "b",    { "CDS 2 #8 b" } },
	{ '>', "CDS", "8", "b",    { NULL } },
	{ '>', "EDS", "5", "b",    { "EDS 2 #9 b" } },
	{ 'N', "EDS", "9", "b",    { NULL } },
	{ 'P', "b",   "",  "1",    { "EDS 3 #10 b" } },                /* unchanged, but it was refused: once more */
	{ '>', "LDS", "1", "",     { NULL } },                         /* no names after some: nothing is wanted */
	{ '>', "SDS", "",  "x",    { NULL } },                         /* a type we do not have */
	/* clang-format on */
};

/* Our own: everything, and the mark at the end. */
static const struct script_step sluice_script[] = {
	/* clang-format off */
	{ '>', "LDS",   "",  "",  { NULL } },
	{ '>', "CDS",   "",  "",  { NULL } },
	{ 'P', "a",     "",  "1", { "CDS 1 #1 a", "LDS 1 #2 web" } },
	{ '>', "CDS",   "1", "",  { NULL } },
	{ '>', "EDS",   "",  "*", { "EDS 1 #3 a" } },
	{ '>', "RDS",   "",  "*", { "RDS 1 #4 web" } },
	{ '>', "Epoch", "",  "",  { "Epoch 1 #5 mesh" } },
	{ '>', "LDS",   "2", "",  { NULL } },
	{ '>', "EDS",   "3", "*", { NULL } },
	{ '>', "RDS",   "4", "*", { NULL } },
	{ 'P', "b",     "",  "1", { NULL } },                          /* epoch 1 is not in force yet */
	{ '>', "Epoch", "5", "",  { "CDS 2 #6 b", "EDS 2 #7 b", "RDS 2 #8 web", "Epoch 2 #9 mesh" } }, /* one step: nothing is kept */
	{ '>', "CDS",   "6", "",  { NULL } },
	{ '>', "EDS",   "7", "*", { NULL } },
	{ '>', "RDS",   "8", "*", { NULL } },
	{ 'N', "Epoch", "9", "",  { NULL } },
	{ 'P', "b",     "",  "1", { "Epoch 3 #10 mesh" } },
	/* clang-format on */
};

static void test_envoy_script(void **state)
{
	(void)state;
	run_script("envoy", envoy_script, SL_ARRAY_COUNT(envoy_script));
}

static void test_grpc_script(void **state)
{
	(void)state;
	run_script("gRPC C-core", grpc_script, SL_ARRAY_COUNT(grpc_script));
}

static void test_sluice_script(void **state)
{
	(void)state;
	run_script(SL_XDS_CLIENT_AGENT, sluice_script, SL_ARRAY_COUNT(sluice_script));
}

/* ---- both ends ---- */

static void test_epochs_in_force(void **state)
{
	struct world w;
	struct end a, b;

	(void)state;
	world_init(&w);
	end_init(&a, &w, 0);
	end_init(&b, &w, 1);
	end_connect(&a);
	settle(&w);
	assert_int_equal(a.offers, 0);
	publish(&w, letters("a", "", 1));
	settle(&w);
	assert_int_equal(a.acked, 1);
	assert_int_equal(w.all_acked, 1);
	b.hold = true;
	end_connect(&b);
	settle(&w);
	assert_int_equal(sl_ads_server_acked(&w.server), 0); /* b has nothing in force yet */
	answer(&b);
	settle(&w);
	assert_int_equal(sl_ads_server_acked(&w.server), 1);

	publish(&w, letters("ab", "", 1));
	w.now += SL_MSEC(7);
	settle(&w);
	assert_int_equal(a.acked, 2);
	assert_int_equal(w.all_acked, 1); /* b is offered it, and not done */
	assert_int_equal(b.in_force->epoch, 1);
	publish(&w, letters("b", "", 1));
	publish(&w, letters("b", "a", 1));
	settle(&w);
	assert_int_equal(a.acked, 4);
	assert_int_equal(w.all_acked, 1);
	answer(&b); /* 2 is in force; 3 was skipped for it */
	settle(&w);
	assert_int_equal(w.all_acked, 2);
	assert_int_equal(b.offered->epoch, 4);
	end_cut(&b); /* the last one to wait for is gone */
	assert_int_equal(w.all_acked, 4);
	assert_int_equal(w.nodes, 1);
	world_fini(&w);
}

static void test_refused_by_the_proxy(void **state)
{
	struct world w;
	struct end a;

	(void)state;
	world_init(&w);
	end_init(&a, &w, 0);
	end_connect(&a);
	a.refuse = 2;
	for (uint32_t i = 1; i <= 2; i++) {
		publish(&w, letters("a", "", i));
		settle(&w);
	}
	assert_int_equal(a.in_force->epoch, 1);
	assert_int_equal(w.all_acked, 1);
	assert_string_equal(w.nack_text, "Epoch: no room for it");
	publish(&w, letters("a", "", 3));
	settle(&w);
	assert_int_equal(a.acked, 3);
	assert_int_equal(w.nacks, 1);
	world_fini(&w);
}

/* What the client's own check refuses: a resource that it cannot read, in an epoch that it therefore cannot have. */
static void test_refused_resource(void **state)
{
	struct world w;
	struct end a;
	struct sl_mesh *bad = letters("a", "", 2);

	(void)state;
	world_init(&w);
	end_init(&a, &w, 0);
	end_connect(&a);
	publish(&w, letters("a", "", 1));
	settle(&w);
	bad->clusters[0].endpoints[0].port = 70000;
	publish(&w, bad);
	settle(&w);
	assert_int_equal(w.nacks, 2); /* EDS, and the mark of an epoch that lacks it */
	assert_non_null(strstr(
	        w.nack_text, "Epoch: ClusterLoadAssignment \"a\" endpoints[0].lb_endpoints[0].address"));
	assert_int_equal(a.in_force->epoch, 1);
	publish(&w, letters("a", "", 3));
	settle(&w);
	assert_int_equal(a.in_force->epoch, 3);
	assert_int_equal(w.all_acked, 3);
	world_fini(&w);
}

static void test_latency_counts_from_publish(void **state)
{
	struct world w;
	struct end a;

	(void)state;
	world_init(&w);
	end_init(&a, &w, 0);
	end_connect(&a);
	publish(&w, letters("a", "", 1));
	settle(&w);
	w.now = SL_SEC(5);
	publish(&w, letters("a", "", 2));
	w.now += SL_MSEC(3);
	settle(&w);
	assert_int_equal(w.latency, SL_MSEC(3));
	world_fini(&w);
}

static void test_old_epoch_is_no_publish(void **state)
{
	struct world w;
	SL_CLEANUP(sl_mesh_unref) struct sl_mesh *again = letters("a", "", 1);

	(void)state;
	world_init(&w);
	publish(&w, letters("a", "", 1));
	again->epoch = 1;
	sl_assert_err(sl_ads_server_publish(&w.server, again, 0), SL_ERR_CONFLICT);
	world_fini(&w);
}

/* Anything may happen to a client between two settled states, in any order; afterwards all have the last epoch, whole. */
static void disturb(struct world *w, struct mesh_gen *g)
{
	struct end *end = w->ends[gen_below(g, NODES_MOST)];

	switch (gen_below(g, 8)) {
	case 0:
		if (end->stream && gen_chance(g, 20))
			end_cut(end);
		break;
	case 1:
		if (!end->stream)
			end_connect(end);
		break;
	case 2:
		if (gen_chance(g, 30))
			publish(w, gen_mesh(gen_next(g), 0));
		break;
	case 3:
		if (end->stream &&
		        !queue_empty(&end->up)) /* a request twice: the second is stale or says nothing new */
			sl_assert_ok(sl_ads_stream_receive(end->stream, queue_head(&end->up), w->now));
		break;
	case 4:
	case 5:
		if (end->stream && !queue_empty(&end->up))
			step_up(end);
		break;
	case 6:
	case 7:
		if (end->stream && !queue_empty(&end->down))
			step_down(end);
		break;
	}
	if (end->offered && gen_chance(g, 50))
		answer(end);
	end->hold = gen_chance(g, 50);
	w->now += gen_below(g, 1000);
}

static void finish(struct world *w)
{
	for (int i = 0; i < NODES_MOST; i++) {
		w->ends[i]->hold = false;
		if (!w->ends[i]->stream)
			end_connect(w->ends[i]);
		if (w->ends[i]->offered)
			answer(w->ends[i]);
	}
	settle(w);
	for (int i = 0; i < NODES_MOST; i++) {
		assert_int_equal(w->ends[i]->in_force->epoch, w->epoch);
		assert_int_equal(w->ends[i]->acked, w->epoch);
	}
	assert_int_equal(w->all_acked, w->epoch);
}

static void test_any_order(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 30; seed++) {
		struct mesh_gen g = { .state = seed };
		struct end ends[NODES_MOST];
		struct world w;

		world_init(&w);
		for (int i = 0; i < NODES_MOST; i++)
			end_init(&ends[i], &w, i);
		publish(&w, gen_mesh(seed, 0));
		for (int round = 0; round < 4; round++) {
			for (int i = 0; i < 300; i++)
				disturb(&w, &g);
			finish(&w);
		}
		world_fini(&w);
	}
}

/* ---- against a server that is not ours ---- */

static void respond(struct end *end, enum sl_xds_type type, const char *nonce, const struct sl_mesh *mesh,
        const char *only)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena a = { 0 };
	pb_response *m = pb_new_response(&a);

	m->type_url = sl_pb_str(&a, sl_xds_type_url(type));
	m->nonce = sl_pb_str(&a, sl_str_c(nonce));
	m->version_info = sl_pb_str(&a, SL_STR("v"));
	m->resources = sl_arena_zalloc_array(&a, 8, sizeof(*m->resources));
	for (size_t i = 0; i < (type <= SL_XDS_ENDPOINTS ? mesh->cluster_count : 1); i++) {
		SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };

		if (only && !sl_str_eq_c(mesh->clusters[i].name, only))
			continue;
		if (type == SL_XDS_CLUSTER)
			sl_xds_encode_cluster(&mesh->clusters[i], SL_XDS_FULL, &a, &b);
		else if (type == SL_XDS_ENDPOINTS)
			sl_xds_encode_endpoints(&mesh->clusters[i], &a, &b);
		else if (type == SL_XDS_LISTENER)
			sl_xds_encode_listener(&mesh->listeners[0], &a, &b);
		else
			sl_xds_encode_route_config(&mesh->route_configs[0], SL_XDS_FULL, &a, &b);
		m->resources[m->n_resources++] = pb_read_any(&a, sl_buf_str(&b));
	}
	sl_assert_ok(sl_ads_client_receive(&end->client, sl_pb_packed(&m->base, &a)));
}

/* The requests waiting, as "CDS v #n names;", and forgets them. */
static const char *requests(struct end *end)
{
	static char text[512];
	size_t n = 0;

	text[0] = 0;
	for (; !queue_empty(&end->up); queue_drop(&end->up)) {
		SL_CLEANUP(sl_arena_fini) struct sl_arena a = { 0 };
		const pb_request *m = pb_read_request(&a, queue_head(&end->up));

		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s %s#%s",
		        sl_xds_type_name(sl_xds_type_of(sl_str_c(m->type_url))), m->version_info,
		        m->response_nonce);
		for (size_t i = 0; i < m->n_resource_names; i++)
			n += (size_t)snprintf(text + n, sizeof(text) - n, " %s", m->resource_names[i]);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s;", m->error_detail ? " bad" : "");
	}
	return text;
}

static void test_another_server(void **state)
{
	struct world w;
	struct end end;
	SL_CLEANUP(sl_mesh_unref) struct sl_mesh *mesh = letters("ab", "", 1);

	(void)state;
	world_init(&w);
	end_init(&end, &w, 0);
	sl_ads_client_connected(&end.client);
	assert_string_equal(requests(&end), "LDS #;CDS #;");
	respond(&end, SL_XDS_LISTENER, "l1", mesh, NULL);
	assert_string_equal(requests(&end), "LDS v#l1;RDS # web;");
	respond(&end, SL_XDS_CLUSTER, "c1", mesh, NULL);
	/* in no order: names of a subscription are a set */
	assert_non_null(strstr(requests(&end), "CDS v#c1;EDS # "));
	respond(&end, SL_XDS_ROUTE_CONFIG, "r1", mesh, NULL);
	assert_string_equal(requests(&end), "RDS v#r1 web;");
	respond(&end, SL_XDS_ENDPOINTS, "e1", mesh, "a");
	assert_int_equal(end.offers, 0); /* warming: b's endpoints are missing */
	respond(&end, SL_XDS_ENDPOINTS, "e2", mesh, "b");
	assert_int_equal(end.offers, 1);
	assert_true(sl_mesh_equal(end.in_force, mesh));
	requests(&end);
	mesh->clusters[0].endpoints[0].port = 70000;
	respond(&end, SL_XDS_ENDPOINTS, "e3", mesh, "a");
	assert_non_null(strstr(requests(&end), "EDS v#e3 "));
	assert_int_equal(end.client.nacks, 1);
	assert_int_equal(end.offers, 1);
	sl_ads_client_disconnected(&end.client);
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_envoy_script),
		cmocka_unit_test(test_grpc_script),
		cmocka_unit_test(test_sluice_script),
		cmocka_unit_test(test_epochs_in_force),
		cmocka_unit_test(test_refused_by_the_proxy),
		cmocka_unit_test(test_refused_resource),
		cmocka_unit_test(test_latency_counts_from_publish),
		cmocka_unit_test(test_old_epoch_is_no_publish),
		cmocka_unit_test(test_any_order),
		cmocka_unit_test(test_another_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
