#include "proxy/flow_test_util.c"

#include "loop/snapshot.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- one exchange, byte for byte ---- */

static const struct exchange {
	const char *name;
	const char *request;  /* client → proxy */
	const char *upstream; /* proxy → backend */
	const char *response; /* backend → proxy */
	const char *client;   /* proxy → client */
	bool ends;            /* the proxy closes the client's connection then */
	bool backend_ends;    /* the backend closes after its response */
} exchanges[] = {
	{ "plain", "GET /a?b=c HTTP/1.1\r\nHost: h\r\n" ID "\r\n",
	        "GET /a?b=c HTTP/1.1\r\nHost: h\r\n" ID ADDED "\r\n",
	        "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\nhello",
	        "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\nhello", false, false },
	{ "hop-by-hop fields stay here",
	        "GET / HTTP/1.1\r\nHost: h\r\n" ID
	        "Connection: keep-alive, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\n"
	        "Proxy-Connection: keep-alive\r\nTE: gzip\r\nX-Kept: 2\r\nUpgrade: h2c\r\n\r\n",
	        "GET / HTTP/1.1\r\nHost: h\r\n" ID "X-Kept: 2\r\n" ADDED "\r\n",
	        "HTTP/1.1 200 OK\r\nDate: x\r\nConnection: X-Inner, keep-alive\r\nX-Inner: 1\r\nKeep-Alive: max=3\r\nX-End: 2\r\n"
	        "Content-Length: 0\r\n\r\n",
	        "HTTP/1.1 200 OK\r\nDate: x\r\nX-End: 2\r\nContent-Length: 0\r\n\r\n", false, false },
	{ "a body of known length", "POST / HTTP/1.1\r\nHost: h\r\n" ID "Content-Length: 3\r\n\r\nabc",
	        "POST / HTTP/1.1\r\nHost: h\r\n" ID "Content-Length: 3\r\n" ADDED "\r\nabc", OK_EMPTY,
	        OK_EMPTY, false, false },
	{ "chunks and trailers go through as they are",
	        "POST / HTTP/1.1\r\nHost: h\r\n" ID
	        "Transfer-Encoding: chunked\r\nTE: trailers\r\nConnection: TE\r\n\r\n"
	        "3;x=y\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
	        "POST / HTTP/1.1\r\nHost: h\r\n" ID "Transfer-Encoding: chunked\r\n" ADDED
	        "te: trailers\r\n\r\n"
	        "3;x=y\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
	        "HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwxyz\r\n0\r\nX-R: 2\r\n\r\n",
	        "HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwxyz\r\n0\r\nX-R: 2\r\n\r\n",
	        false, false },
	{ "HEAD has a length and no body", "HEAD / HTTP/1.1\r\nHost: h\r\n" ID "\r\n",
	        "HEAD / HTTP/1.1\r\nHost: h\r\n" ID ADDED "\r\n",
	        "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 500\r\n\r\n",
	        "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 500\r\n\r\n", false, false },
	{ "204 has no body", "GET / HTTP/1.1\r\nHost: h\r\n" ID "\r\n",
	        "GET / HTTP/1.1\r\nHost: h\r\n" ID ADDED "\r\n", "HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n",
	        "HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n", false, false },
	{ "304 has a length and no body", "GET / HTTP/1.1\r\nHost: h\r\n" ID "\r\n",
	        "GET / HTTP/1.1\r\nHost: h\r\n" ID ADDED "\r\n",
	        "HTTP/1.1 304 Not Modified\r\nDate: x\r\nContent-Length: 7\r\n\r\n",
	        "HTTP/1.1 304 Not Modified\r\nDate: x\r\nContent-Length: 7\r\n\r\n", false, false },
	{ "the client wants to close", "GET / HTTP/1.1\r\nHost: h\r\n" ID "Connection: close\r\n\r\n",
	        "GET / HTTP/1.1\r\nHost: h\r\n" ID ADDED "\r\n", OK_EMPTY,
	        "HTTP/1.1 200 OK\r\ndate: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", true, false },
	{ "an HTTP/1.0 client", "GET / HTTP/1.0\r\nHost: h\r\n" ID "\r\n",
	        "GET / HTTP/1.1\r\nHost: h\r\n" ID ADDED "\r\n", OK_EMPTY,
	        "HTTP/1.1 200 OK\r\ndate: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", true, false },
	{ "an HTTP/1.0 client that stays",
	        "GET / HTTP/1.0\r\nHost: h\r\n" ID "Connection: keep-alive\r\n\r\n",
	        "GET / HTTP/1.1\r\nHost: h\r\n" ID ADDED "\r\n", OK_EMPTY,
	        "HTTP/1.1 200 OK\r\ndate: x\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n", false,
	        false },
	{ "an HTTP/1.0 client gets no chunks", "GET / HTTP/1.0\r\nHost: h\r\n" ID "\r\n",
	        "GET / HTTP/1.1\r\nHost: h\r\n" ID ADDED "\r\n",
	        "HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwxyz\r\n2\r\n!!\r\n0\r\n\r\n",
	        "HTTP/1.1 200 OK\r\nDate: x\r\nconnection: close\r\n\r\nwxyz!!", true, false },
	{ "until close", "GET / HTTP/1.1\r\nHost: h\r\n" ID "\r\n",
	        "GET / HTTP/1.1\r\nHost: h\r\n" ID ADDED "\r\n",
	        "HTTP/1.0 200 OK\r\nDate: x\r\n\r\nall of it",
	        "HTTP/1.1 200 OK\r\nDate: x\r\nconnection: close\r\n\r\nall of it", true, true },
	{ "100 goes through",
	        "POST / HTTP/1.1\r\nHost: h\r\n" ID "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
	        "POST / HTTP/1.1\r\nHost: h\r\n" ID "Expect: 100-continue\r\nContent-Length: 2\r\n" ADDED
	        "\r\nok",
	        "HTTP/1.1 100 Continue\r\n\r\n" OK_EMPTY, "HTTP/1.1 100 Continue\r\n\r\n" OK_EMPTY, false,
	        false },
	{ "an absolute target", "GET http://h/x?y HTTP/1.1\r\nHost: h\r\n" ID "\r\n",
	        "GET /x?y HTTP/1.1\r\nHost: h\r\n" ID ADDED "\r\n", OK_EMPTY, OK_EMPTY, false, false },
	{ "dots in the path", "GET /a/../b//c?x=/../ HTTP/1.1\r\nHost: h\r\n" ID "\r\n",
	        "GET /b/c?x=/../ HTTP/1.1\r\nHost: h\r\n" ID ADDED "\r\n", OK_EMPTY, OK_EMPTY, false, false },
	{ "an unknown method", "BREW /pot HTTP/1.1\r\nHost: h\r\n" ID "\r\n",
	        "BREW /pot HTTP/1.1\r\nHost: h\r\n" ID ADDED "\r\n", OK_EMPTY, OK_EMPTY, false, false },
	{ "the backend closes in order", "GET / HTTP/1.1\r\nHost: h\r\n" ID "\r\n",
	        "GET / HTTP/1.1\r\nHost: h\r\n" ID ADDED "\r\n",
	        "HTTP/1.1 200 OK\r\nDate: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
	        "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nok", false, true },
};

/* In pieces of `piece` bytes, with turns between. */
static void send_in(struct flow *f, int fd, const char *text, size_t piece)
{
	size_t n = strlen(text);

	for (size_t at = 0; at < n; at += piece) {
		flow_send(f, fd, text + at, n - at < piece ? n - at : piece);
		if (piece < n)
			flow_turn(f);
	}
}

static void run_exchange(const struct exchange *x, size_t piece)
{
	struct flow f;
	int client, backend;

	print_message("%s, %zu bytes at a time\n", x->name, piece);
	flow_init(&f);
	flow_route(&f, "/", "c0");
	flow_adopt(&f);
	client = flow_client(&f);
	send_in(&f, client, x->request, piece);
	backend = flow_accept(&f, 0);
	flow_expect(&f, backend, x->upstream);
	send_in(&f, backend, x->response, piece);
	if (x->backend_ends)
		flow_close(&backend);
	flow_expect(&f, client, x->client);
	if (x->ends)
		flow_expect_end(&f, client);
	else
		flow_expect_silence(&f, client);
	flow_close(&client);
	flow_close(&backend);
	flow_fini(&f);
}

static void exchanges_are_forwarded_byte_for_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(exchanges); i++) {
		run_exchange(&exchanges[i], SIZE_MAX / 2);
		run_exchange(&exchanges[i], 1);
		run_exchange(&exchanges[i], 7);
	}
}

/* ---- what we answer ourselves ---- */

static void bad_requests_are_answered_and_closed(void **state)
{
	static const struct {
		const char *request, *status;
	} cases[] = {
		{ "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 " },
		{ "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", "HTTP/1.1 400 " },
		{ "GET / HTTP/1.1\r\nHost : h\r\n\r\n", "HTTP/1.1 400 " },
		{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		        "HTTP/1.1 400 " },
		{ "GET / HTTP/2.0\r\nHost: h\r\n\r\n", "HTTP/1.1 505 " },
		{ "GET /../.. HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 400 " },
		{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400 " },
		{ "\x16\x03\x01\x02\x01\r\n\r\n", "HTTP/1.1 400 " }, /* TLS on a plain port */
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		struct flow f;
		int client;
		const char *got;

		flow_init(&f);
		flow_route(&f, "/", "c0");
		flow_adopt(&f);
		client = flow_client(&f);
		flow_send_c(&f, client, cases[i].request);
		got = flow_expect_until(&f, client, "\r\n\r\n");
		if (strncmp(got, cases[i].status, strlen(cases[i].status)) != 0)
			fail_msg("row %zu: %s", i, got);
		assert_non_null(strstr(got, "connection: close\r\n"));
		assert_int_equal(f.w->stats->downstream_protocol_errors_total, 1);
		assert_int_equal(f.w->stats->downstream_requests_active, 0);
		flow_close(&client);
		flow_fini(&f);
	}
}

static void reasons_are_named(void **state)
{
	struct flow f;
	int client;
	struct sl_mesh_route *r;

	(void)state;
	flow_init(&f);
	f.mesh->clusters[0].endpoints[0].health = SL_HEALTH_UNHEALTHY;
	f.mesh->clusters[1].endpoints[0].port = 1; /* nobody listens there */
	flow_route(&f, "/none", "c0");
	flow_route(&f, "/refused", "c1");
	flow_route(&f, "/zero", "c1")->splits[0].weight = 0;
	r = flow_route(&f, "/moved", NULL);
	r->action = SL_ROUTE_REDIRECT;
	r->redirect.status = 301;
	r->redirect.authority = mb_str(f.mesh, "new.example:80");
	r->redirect.port = 8443;
	r->redirect.scheme = mb_str(f.mesh, "https");
	r = flow_route(&f, "/direct", NULL);
	r->action = SL_ROUTE_DIRECT;
	r->direct_status = 418;
	r->direct_body = mb_str(f.mesh, "short and stout");
	flow_adopt(&f);
	client = flow_client(&f);
	flow_send_c(&f, client, "GET /other HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_non_null(
	        strstr(flow_expect_until(&f, client, "no route matches"), "HTTP/1.1 404 Not Found\r\n"));
	flow_send_c(&f, client, "GET /none HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_non_null(strstr(flow_expect_until(&f, client, "no healthy upstream"),
	        "HTTP/1.1 503 Service Unavailable\r\n"));
	flow_send_c(&f, client, "GET /refused HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_non_null(strstr(flow_expect_until(&f, client, "connect failure"), "HTTP/1.1 503 "));
	flow_send_c(&f, client, "GET /zero HTTP/1.1\r\nHost: h\r\n\r\n");
	flow_expect_until(&f, client, "weights are 0");
	flow_send_c(&f, client, "GET /moved/x?y HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_non_null(strstr(flow_expect_until(&f, client, "\r\n\r\n"),
	        "location: https://new.example:8443/moved/x?y\r\n"));
	flow_send_c(&f, client,
	        "HEAD /direct HTTP/1.1\r\nHost: h\r\n\r\nGET /direct HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_non_null(strstr(flow_expect_until(&f, client, "short and stout"), "content-length: 15\r\n"));
	flow_expect_silence(&f, client);
	assert_int_equal(flow_requests(&f, 404, SL_FLAG_NO_ROUTE), 1);
	assert_int_equal(flow_requests(&f, 503, SL_FLAG_NO_HEALTHY), 1);
	assert_int_equal(flow_requests(&f, 503, SL_FLAG_CONNECT_FAILURE), 1);
	assert_int_equal(flow_requests(&f, 503, SL_FLAG_NO_CLUSTER), 1);
	assert_int_equal(f.w->stats->upstream_retries_total, 2 + 2); /* both clusters are tried again twice */
	flow_close(&client);
	flow_fini(&f);
}

static void malformed_answers_are_a_502(void **state)
{
	static const char *const answers[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "nonsense\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n"
		"Connection: upgrade\r\n\r\n"
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(answers); i++) {
		struct flow f;
		int client, backend;

		flow_init(&f);
		flow_route(&f, "/", "c0");
		flow_adopt(&f);
		client = flow_client(&f);
		flow_send_c(&f, client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
		backend = flow_accept(&f, 0);
		flow_expect_until(&f, backend, "\r\n\r\n");
		flow_send_c(&f, backend, answers[i]);
		assert_non_null(strstr(flow_expect_until(&f, client, "malformed HTTP"), "HTTP/1.1 502 "));
		flow_expect_end(&f, backend);
		flow_expect_silence(&f, client); /* its own connection is fine */
		assert_int_equal(flow_requests(&f, 502, SL_FLAG_UPSTREAM_PROTOCOL), 1);
		flow_close(&client);
		flow_close(&backend);
		flow_fini(&f);
	}
}

/* ---- connections ---- */

static void connections_are_pooled_and_used_last_first(void **state)
{
	struct flow f;
	int client[2], backend[2];

	(void)state;
	flow_init(&f);
	flow_route(&f, "/", "c0");
	flow_adopt(&f);
	for (int i = 0; i < 2; i++) {
		client[i] = flow_client(&f);
		flow_send_c(&f, client[i], "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
		backend[i] = flow_accept(&f, 0);
		flow_expect_until(&f, backend[i], "\r\n\r\n");
	}
	for (int i = 0; i < 2; i++) {
		flow_send_c(&f, backend[i], OK_EMPTY);
		flow_expect(&f, client[i], OK_EMPTY);
	}
	for (int i = 0; i < 3; i++) {
		flow_send_c(&f, client[0], "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
		flow_expect_until(&f, backend[1], "\r\n\r\n");
		flow_send_c(&f, backend[1], OK_EMPTY);
		flow_expect(&f, client[0], OK_EMPTY);
	}
	assert_int_equal(f.w->stats->upstream_connections_total, 2);
	for (int i = 0; i < 2; i++) {
		flow_close(&client[i]);
		flow_close(&backend[i]);
	}
	flow_fini(&f);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	struct flow f;
	int client, backend;

	(void)state;
	flow_init(&f);
	flow_route(&f, "/", "c0");
	flow_adopt(&f);
	client = flow_client(&f);
	flow_send_c(&f, client,
	        "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab"
	        "POST /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nc\r\n0\r\n\r\n"
	        "GET /3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	backend = flow_accept(&f, 0);
	assert_memory_equal(flow_expect_until(&f, backend, "\r\n\r\nab"), "POST /1 ", 8);
	flow_expect_silence(&f, backend); /* one at a time */
	flow_send_c(&f, backend, OK_EMPTY);
	assert_memory_equal(flow_expect_until(&f, backend, "0\r\n\r\n"), "POST /2 ", 8);
	flow_send_c(&f, backend, OK_EMPTY);
	assert_memory_equal(flow_expect_until(&f, backend, "\r\n\r\n"), "GET /3 ", 7);
	flow_send_c(&f, backend, OK_EMPTY);
	flow_expect(&f, client,
	        OK_EMPTY OK_EMPTY
	        "HTTP/1.1 200 OK\r\ndate: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
	flow_expect_end(&f, client);
	flow_close(&client);
	flow_close(&backend);
	flow_fini(&f);
}

static void a_pooled_connection_that_went_stale_costs_nobody_a_request(void **state)
{
	struct flow f;
	int client, backend;

	(void)state;
	flow_init(&f);
	flow_route(&f, "/", "c0");
	flow_adopt(&f);
	client = flow_client(&f);
	flow_send_c(&f, client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	backend = flow_accept(&f, 0);
	flow_expect_until(&f, backend, "\r\n\r\n");
	flow_send_c(&f, backend, OK_EMPTY);
	flow_expect(&f, client, OK_EMPTY);
	/* The request is on its way over the pooled connection when the backend closes it, without having read it: a reset. */
	flow_send_c(&f, client, "GET /again HTTP/1.1\r\nHost: h\r\n\r\n");
	sl_socket_reset_on_close(backend);
	flow_expect_until(&f, backend, "GET /again");
	flow_close(&backend);
	backend = flow_accept(&f, 0);
	assert_memory_equal(flow_expect_until(&f, backend, "\r\n\r\n"), "GET /again ", 11);
	flow_send_c(&f, backend, OK_EMPTY);
	flow_expect(&f, client, OK_EMPTY);
	assert_int_equal(f.w->stats->upstream_stale_retries_total, 1);
	assert_int_equal(flow_requests(&f, 200, SL_FLAG_NONE), 2);
	/* The same with a POST: it may have been carried out, so the client is told. */
	flow_send_c(&f, client, "POST /once HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
	flow_expect_until(&f, backend, "POST /once");
	flow_close(&backend);
	flow_expect_until(&f, client, "closed the connection before it answered");
	assert_int_equal(flow_requests(&f, 503, SL_FLAG_UPSTREAM_CLOSED), 1);
	flow_close(&client);
	flow_fini(&f);
}

/* A Pod is stopped as its endpoint leaves the mesh: the stale connection was the last thing that kept the endpoint. */
static void a_stale_connection_outlives_its_endpoint(void **state)
{
	struct flow f;
	int client, backend;

	(void)state;
	flow_init(&f);
	flow_route(&f, "/", "c0");
	flow_adopt(&f);
	client = flow_client(&f);
	flow_send_c(&f, client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	backend = flow_accept(&f, 0);
	flow_expect_until(&f, backend, "\r\n\r\n");
	flow_send_c(&f, backend, OK_EMPTY);
	flow_expect(&f, client, OK_EMPTY);
	flow_send_c(&f, client, "GET /again HTTP/1.1\r\nHost: h\r\n\r\n");
	flow_expect_until(&f, backend, "\r\n\r\n");
	f.mesh->clusters[0].endpoints[0].port = f.backend_port[1];
	flow_route(&f, "/", "c0");
	flow_adopt(&f);
	sl_socket_reset_on_close(backend);
	flow_close(&backend);
	backend = flow_accept(&f, 1);
	assert_memory_equal(flow_expect_until(&f, backend, "\r\n\r\n"), "GET /again ", 11);
	flow_send_c(&f, backend, OK_EMPTY);
	flow_expect(&f, client, OK_EMPTY);
	assert_int_equal(f.w->stats->upstream_stale_retries_total, 1);
	flow_close(&backend);
	flow_close(&client);
	flow_fini(&f);
}

static void a_refused_connection_is_retried_elsewhere(void **state)
{
	struct flow f;
	int client, backend;
	struct sl_mesh_cluster *c;

	(void)state;
	flow_init(&f);
	c = &f.mesh->clusters[0];
	mb_endpoint(f.mesh, c, 1)->weight = 1;
	flow_route(&f, "/", "c0");
	flow_adopt(&f);
	for (int i = 0; i < 4; i++) { /* round robin meets the dead one every other time */
		client = flow_client(&f);
		flow_send_c(&f, client,
		        "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab");
		backend = flow_accept(&f, 0);
		flow_expect_until(&f, backend, "\r\n\r\nab");
		flow_send_c(&f, backend, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
		assert_memory_equal(flow_expect_until(&f, client, "\r\n\r\n"), "HTTP/1.1 200", 12);
		flow_close(&client);
		flow_close(&backend);
	}
	assert_true(f.w->stats->upstream_retries_total >= 2);
	flow_fini(&f);
}

static void a_slow_reader_stops_the_sender_and_loses_nothing(void **state)
{
	enum { TOTAL = 4 << 20 };
	struct flow f;
	int client, backend;
	char *body = sl_new(TOTAL), head[128];
	size_t sent = 0, got = 0;

	(void)state;
	for (size_t i = 0; i < TOTAL; i++)
		body[i] = (char)(i * 31 + (i >> 8));
	flow_init(&f);
	flow_route(&f, "/", "c0");
	flow_adopt(&f);
	client = flow_client(&f);
	flow_send_c(&f, client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	backend = flow_accept(&f, 0);
	flow_expect_until(&f, backend, "\r\n\r\n");
	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: %d\r\n\r\n", TOTAL);
	flow_send_c(&f, backend, head);
	flow_expect(&f, client, head);
	for (int idle = 0; idle < 30; flow_turn(&f)) { /* the client reads nothing: sending comes to a halt */
		ssize_t n = send(backend, body + sent, TOTAL - sent, MSG_NOSIGNAL);

		idle = n > 0 ? 0 : idle + 1;
		sent += n > 0 ? (size_t)n : 0;
	}
	assert_true(f.w->stats->buffer_bytes < (1 << 20));
	while (got < TOTAL) {
		static char room[1 << 16];
		ssize_t n = recv(client, room, sizeof(room), 0);

		if (n > 0) {
			assert_memory_equal(room, body + got, (size_t)n);
			got += (size_t)n;
		}
		n = sent < TOTAL ? send(backend, body + sent, TOTAL - sent, MSG_NOSIGNAL) : 0;
		sent += n > 0 ? (size_t)n : 0;
		flow_turn(&f);
	}
	/* And the other way. */
	snprintf(head, sizeof(head), "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", TOTAL);
	flow_send_c(&f, client, head);
	flow_expect_until(&f, backend, "\r\n\r\n");
	for (sent = got = 0; got < TOTAL; flow_turn(&f)) {
		static char room[5000];
		ssize_t n = sent < TOTAL ? send(client, body + sent, TOTAL - sent, MSG_NOSIGNAL) : 0;

		sent += n > 0 ? (size_t)n : 0;
		n = recv(backend, room, sizeof(room), 0);
		if (n > 0) {
			assert_memory_equal(room, body + got, (size_t)n);
			got += (size_t)n;
		}
	}
	flow_send_c(&f, backend, OK_EMPTY);
	flow_expect(&f, client, OK_EMPTY);
	flow_close(&client);
	flow_close(&backend);
	flow_fini(&f);
	sl_free(body);
}

static void a_client_that_goes_takes_its_request_along(void **state)
{
	struct flow f;
	int client, backend;

	(void)state;
	flow_init(&f);
	flow_route(&f, "/", "c0");
	flow_adopt(&f);
	client = flow_client(&f);
	flow_send_c(&f, client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	backend = flow_accept(&f, 0);
	flow_expect_until(&f, backend, "\r\n\r\n");
	sl_socket_reset_on_close(client);
	flow_close(&client);
	flow_expect_end(&f, backend);
	assert_int_equal(flow_requests(&f, 0, SL_FLAG_CLIENT_GONE), 1);
	assert_int_equal(f.w->connections, 0);
	flow_close(&backend);
	flow_fini(&f);
}

static void a_client_that_only_ends_its_side_gets_its_answer(void **state)
{
	struct flow f;
	int client, backend;

	(void)state;
	flow_init(&f);
	flow_route(&f, "/", "c0");
	flow_adopt(&f);
	client = flow_client(&f);
	flow_send_c(&f, client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	shutdown(client, SHUT_WR);
	backend = flow_accept(&f, 0);
	flow_expect_until(&f, backend, "\r\n\r\n");
	flow_send_c(&f, backend, OK_EMPTY);
	flow_expect(&f, client, OK_EMPTY);
	flow_expect_end(&f, client);
	flow_close(&client);
	flow_close(&backend);
	flow_fini(&f);
}

static void an_answer_before_the_end_of_the_request_is_passed_on(void **state)
{
	struct flow f;
	int client, backend;

	(void)state;
	flow_init(&f);
	flow_route(&f, "/", "c0");
	flow_adopt(&f);
	client = flow_client(&f);
	flow_send_c(&f, client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nbegin");
	backend = flow_accept(&f, 0);
	flow_expect_until(&f, backend, "begin");
	flow_send_c(&f, backend, "HTTP/1.1 413 Content Too Large\r\nDate: x\r\nContent-Length: 0\r\n\r\n");
	flow_expect(&f, client,
	        "HTTP/1.1 413 Content Too Large\r\nDate: x\r\nContent-Length: 0\r\nconnection: close\r\n\r\n");
	flow_expect_end(&f, client);
	flow_expect_end(&f, backend); /* it still waits for a body: of no use to anyone else */
	flow_close(&client);
	flow_close(&backend);
	flow_fini(&f);
}

static void a_response_that_breaks_off_is_seen_to_break_off(void **state)
{
	struct flow f;
	int client, backend;

	(void)state;
	flow_init(&f);
	flow_route(&f, "/", "c0");
	flow_adopt(&f);
	client = flow_client(&f);
	flow_send_c(&f, client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	backend = flow_accept(&f, 0);
	flow_expect_until(&f, backend, "\r\n\r\n");
	flow_send_c(&f, backend, "HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
	flow_expect(&f, client, "HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
	flow_close(&backend);
	flow_expect_end(&f, client);
	assert_int_equal(flow_requests(&f, 200, SL_FLAG_UPSTREAM_CLOSED), 1);
	flow_close(&client);
	flow_fini(&f);
}

static void upgrades_become_tunnels(void **state)
{
	struct flow f;
	int client, backend;

	(void)state;
	flow_init(&f);
	flow_route(&f, "/", "c0");
	flow_adopt(&f);
	client = flow_client(&f);
	flow_send_c(&f, client,
	        "GET /ws HTTP/1.1\r\nHost: h\r\n" ID
	        "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly");
	backend = flow_accept(&f, 0);
	flow_expect(&f, backend,
	        "GET /ws HTTP/1.1\r\nHost: h\r\n" ID "Upgrade: websocket\r\n" ADDED
	        "connection: upgrade\r\n\r\n");
	flow_send_c(&f, backend,
	        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi");
	assert_non_null(strstr(flow_expect_until(&f, client, "\r\n\r\nhi"), "Upgrade: websocket\r\n"));
	flow_expect(&f, backend, "early");
	flow_send_c(&f, client, "ping");
	flow_expect(&f, backend, "ping");
	flow_send_c(&f, backend, "pong");
	flow_expect(&f, client, "pong");
	shutdown(client, SHUT_WR);
	flow_expect_end(&f, backend);
	flow_send_c(&f, backend, "bye");
	flow_close(&backend);
	flow_expect(&f, client, "bye");
	flow_expect_end(&f, client);
	flow_close(&client);
	flow_fini(&f);
}

static void tcp_listeners_relay(void **state)
{
	struct flow f;
	int client, backend;

	(void)state;
	flow_init(&f);
	f.mesh->listeners[0].protocol = SL_LISTENER_TCP;
	f.mesh->listeners[0].route_config = SL_STR_NONE;
	f.mesh->listeners[0].tcp_cluster = mb_str(f.mesh, "c1");
	flow_adopt(&f);
	client = flow_client(&f);
	backend = flow_accept(&f, 1);
	flow_send_c(&f, client, "\x01\x02 any bytes");
	flow_expect(&f, backend, "\x01\x02 any bytes");
	flow_send_c(&f, backend, "answer");
	flow_expect(&f, client, "answer");
	flow_close(&backend);
	flow_expect_end(&f, client);
	flow_close(&client);
	for (int i = 0; i < 10; i++)
		flow_turn(&f);
	assert_int_equal(f.w->connections, 0);
	flow_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exchanges_are_forwarded_byte_for_byte),
		cmocka_unit_test(bad_requests_are_answered_and_closed),
		cmocka_unit_test(reasons_are_named),
		cmocka_unit_test(malformed_answers_are_a_502),
		cmocka_unit_test(connections_are_pooled_and_used_last_first),
		cmocka_unit_test(pipelined_requests_are_answered_in_order),
		cmocka_unit_test(a_pooled_connection_that_went_stale_costs_nobody_a_request),
		cmocka_unit_test(a_stale_connection_outlives_its_endpoint),
		cmocka_unit_test(a_refused_connection_is_retried_elsewhere),
		cmocka_unit_test(a_slow_reader_stops_the_sender_and_loses_nothing),
		cmocka_unit_test(a_client_that_goes_takes_its_request_along),
		cmocka_unit_test(a_client_that_only_ends_its_side_gets_its_answer),
		cmocka_unit_test(an_answer_before_the_end_of_the_request_is_passed_on),
		cmocka_unit_test(a_response_that_breaks_off_is_seen_to_break_off),
		cmocka_unit_test(upgrades_become_tunnels),
		cmocka_unit_test(tcp_listeners_relay),
	};
	int failed = cmocka_run_group_tests_name("flow", tests, NULL, NULL);

	sl_snapshot_reclaim_stop();
	return failed;
}
