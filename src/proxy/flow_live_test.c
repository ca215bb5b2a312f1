#include "proxy/flow_test_util.c"

#include "loop/snapshot.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- limits and time ---- */

static void time_limits_end_requests(void **state)
{
	struct flow f;
	int client, backend;

	(void)state;
	flow_init(&f);
	f.options.head_timeout = SL_MSEC(30);
	flow_route(&f, "/", "c0")->timeout = SL_MSEC(30);
	flow_adopt(&f);
	client = flow_client(&f);
	flow_send_c(&f, client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	backend = flow_accept(&f, 0);
	flow_expect_until(&f, backend, "\r\n\r\n");
	assert_memory_equal(flow_expect_until(&f, client, "upstream request timeout"), "HTTP/1.1 504 ", 13);
	flow_expect_end(&f, backend); /* its answer would be nobody's */
	assert_int_equal(flow_requests(&f, 504, SL_FLAG_TIMEOUT), 1);
	flow_send_c(&f, client, "GET / HT"); /* and no more */
	assert_memory_equal(flow_expect_until(&f, client, "in time"), "HTTP/1.1 408 ", 13);
	flow_expect_end(&f, client);
	flow_close(&client);
	flow_close(&backend);
	flow_fini(&f);
}

static void retries_on_status_and_per_try_timeout(void **state)
{
	struct flow f;
	int client, backend;
	struct sl_mesh_route *r;

	(void)state;
	flow_init(&f);
	r = flow_route(&f, "/", "c0");
	r->retry.attempts = 2;
	r->retry.on = SL_RETRY_5XX | SL_RETRY_CONNECT_FAILURE;
	r->retry.per_try_timeout = SL_MSEC(40);
	flow_adopt(&f);
	client = flow_client(&f);
	flow_send_c(&f, client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab");
	backend = flow_accept(&f, 0);
	flow_expect_until(&f, backend, "\r\n\r\nab");
	flow_send_c(&f, backend, "HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nbad");
	flow_expect_end(&f, backend);
	flow_close(&backend);
	backend = flow_accept(&f, 0);
	flow_expect_until(&f, backend, "\r\n\r\nab"); /* and now it is slow */
	flow_expect_end(&f, backend);
	flow_close(&backend);
	backend = flow_accept(&f, 0);
	flow_expect_until(&f, backend, "\r\n\r\nab");
	flow_send_c(&f, backend, "HTTP/1.1 502 Last\r\nDate: x\r\nContent-Length: 0\r\n\r\n");
	flow_expect(&f, client, "HTTP/1.1 502 Last\r\nDate: x\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(f.w->stats->upstream_retries_total, 2);
	flow_close(&client);
	flow_close(&backend);
	flow_fini(&f);
}

static void circuit_breakers_queue_then_refuse(void **state)
{
	struct flow f;
	int client[3], backend = -1;

	(void)state;
	flow_init(&f);
	f.mesh->clusters[0].max_connections = 1;
	f.mesh->clusters[0].max_pending = 1;
	flow_route(&f, "/", "c0");
	flow_adopt(&f);
	for (int i = 0; i < 3; i++) {
		client[i] = flow_client(&f);
		flow_send_c(&f, client[i], "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
		if (i == 0)
			backend = flow_accept(&f, 0);
		for (int t = 0; t < 5; t++)
			flow_turn(&f);
	}
	assert_memory_equal(flow_expect_until(&f, client[2], "circuit breaker"), "HTTP/1.1 503 ", 13);
	assert_int_equal(flow_requests(&f, 503, SL_FLAG_OVERFLOW), 1);
	for (int i = 0; i < 2; i++) { /* the second waited for the first's connection */
		flow_expect_until(&f, backend, "\r\n\r\n");
		flow_send_c(&f, backend, OK_EMPTY);
		flow_expect(&f, client[i], OK_EMPTY);
	}
	assert_int_equal(f.w->stats->upstream_connections_total, 1);
	for (int i = 0; i < 3; i++)
		flow_close(&client[i]);
	flow_close(&backend);
	flow_fini(&f);
}

static void a_head_may_be_as_large_as_allowed(void **state)
{
	struct flow f;
	int client, backend;
	static char head[70000];
	size_t n = 0;

	(void)state;
	flow_init(&f);
	flow_route(&f, "/", "c0");
	flow_adopt(&f);
	client = flow_client(&f);
	n = (size_t)snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: h\r\n" ID "X: ");
	memset(head + n, 'a', 50000);
	n += 50000;
	memcpy(head + n, "\r\n\r\n", 5);
	flow_send(&f, client, head, n + 4);
	backend = flow_accept(&f, 0);
	flow_expect_until(&f, backend, ADDED "\r\n");
	flow_send_c(&f, backend, OK_EMPTY);
	flow_expect(&f, client, OK_EMPTY);
	memset(head + n, 'a', 15000);
	memcpy(head + n + 15000, "\r\n\r\n", 5);
	flow_send(&f, client, head, n + 15004);
	assert_memory_equal(flow_expect_until(&f, client, "\r\n\r\n"), "HTTP/1.1 431 ", 13);
	flow_close(&client);
	flow_close(&backend);
	flow_fini(&f);
}

/* ---- snapshots ---- */

static void endpoints_come_and_go_without_a_lost_request(void **state)
{
	struct flow f;
	int client, other, old, backend;

	(void)state;
	flow_init(&f);
	flow_route(&f, "/", "c0");
	flow_adopt(&f);
	client = flow_client(&f);
	flow_send_c(&f, client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	old = flow_accept(&f, 0);
	flow_expect_until(&f, old, "\r\n\r\n");
	f.mesh->clusters[0].endpoints[0].port =
	        f.backend_port[1]; /* while that one is answering, it is replaced */
	flow_route(&f, "/", "c0");
	flow_adopt(&f);
	other = flow_client(&f);
	flow_send_c(&f, other, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	backend = flow_accept(&f, 1);
	flow_expect_until(&f, backend, "\r\n\r\n");
	flow_send_c(&f, backend, OK_EMPTY);
	flow_expect(&f, other, OK_EMPTY);
	flow_send_c(&f, old, OK_EMPTY);
	flow_expect(&f, client, OK_EMPTY);
	flow_expect_end(&f, old); /* not pooled: it is gone from the mesh */
	flow_send_c(&f, client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	flow_expect_until(&f, backend, "\r\n\r\n");
	flow_mesh(&f);
	flow_route(&f, "/", "c0");
	f.mesh->clusters[0].endpoints[0].port = f.backend_port[1];
	f.mesh->clusters[0].endpoints[0].health = SL_HEALTH_DRAINING;
	flow_adopt(&f);
	flow_send_c(&f, backend, OK_EMPTY);
	flow_expect(&f, client, OK_EMPTY);
	flow_expect_end(&f, backend);
	flow_send_c(&f, client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	flow_expect_until(&f, client, "no healthy upstream");
	flow_close(&client);
	flow_close(&other);
	flow_close(&old);
	flow_close(&backend);
	flow_fini(&f);
}

static void a_stream_keeps_the_snapshot_it_began_with(void **state)
{
	struct flow f;
	int client, backend;
	struct sl_mesh_route *r;

	(void)state;
	flow_init(&f);
	r = flow_route(&f, "/", "c0");
	*MB_GROW(f.mesh, r->headers.response, r->headers.response_count) = (struct sl_mesh_header_op) {
		.kind = SL_HEADER_SET, .name = mb_str(f.mesh, "x-epoch"), .value = mb_str(f.mesh, "one")
	};
	flow_adopt(&f);
	client = flow_client(&f);
	flow_send_c(&f, client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	backend = flow_accept(&f, 0);
	flow_expect_until(&f, backend, "\r\n\r\n");
	for (int i = 0; i < 3; i++) { /* the clusters of the first one are gone, too */
		f.mesh->cluster_count = 3;
		f.mesh->clusters++;
		f.mesh->cluster_count = 2;
		flow_adopt(&f);
	}
	flow_send_c(&f, backend, OK_EMPTY);
	flow_expect(&f, client, "HTTP/1.1 200 OK\r\ndate: x\r\ncontent-length: 0\r\nx-epoch: one\r\n\r\n");
	flow_expect_end(&f, backend);
	flow_send_c(&f, client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	flow_expect_until(&f, client, "no route matches");
	flow_close(&client);
	flow_close(&backend);
	flow_fini(&f);
}

static void a_listener_that_goes_finishes_what_it_has(void **state)
{
	struct flow f;
	int client, idle, late, backend, second;

	(void)state;
	flow_init(&f);
	flow_route(&f, "/", "c0");
	flow_adopt(&f);
	idle = flow_client(&f);
	client = flow_client(&f);
	flow_send_c(&f, client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	backend = flow_accept(&f, 0);
	flow_expect_until(&f, backend, "\r\n\r\n");
	late = flow_client(&f); /* accepted by the kernel, not by us yet */
	flow_send_c(&f, late, "GET /late HTTP/1.1\r\nHost: h\r\n\r\n");
	f.mesh->listener_count = 0;
	flow_adopt(&f);
	flow_expect_end(&f, idle);
	flow_send_c(&f, backend, OK_EMPTY);
	flow_expect(
	        &f, client, "HTTP/1.1 200 OK\r\ndate: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
	flow_expect_end(&f, client);
	second = flow_accept(&f, 0);
	flow_expect_until(&f, second, "GET /late");
	flow_send_c(&f, second, OK_EMPTY);
	assert_non_null(strstr(flow_expect_until(&f, late, "\r\n\r\n"), "connection: close"));
	flow_close(&client);
	flow_close(&idle);
	flow_close(&late);
	for (int i = 0; i < 10; i++)
		flow_turn(&f);
	assert_true(sl_list_empty(&f.w->listeners));
	flow_close(&backend);
	flow_close(&second);
	flow_fini(&f);
}

static void draining_lets_requests_finish(void **state)
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
	sl_worker_drain(f.w);
	flow_send_c(&f, backend, OK_EMPTY);
	flow_expect(
	        &f, client, "HTTP/1.1 200 OK\r\ndate: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
	flow_expect_end(&f, client);
	flow_close(&client);
	flow_close(&backend);
	flow_fini(&f);
}

/* ---- splits and guards ---- */

/* Plays all backends: answers every whole request at once. Returns how many were answered. */
struct players {
	struct flow *f;
	int fd[FLOW_BACKENDS][8];
	int count[FLOW_BACKENDS];
	uint32_t answered[FLOW_BACKENDS];
	const char *answer[FLOW_BACKENDS];
};

static void play(struct players *p)
{
	char room[2048];

	flow_turn(p->f);
	for (int b = 0; b < FLOW_BACKENDS; b++) {
		int fd;

		while (p->count[b] < 8 && flow_accept_now(p->f, b, &fd))
			p->fd[b][p->count[b]++] = fd;
		for (int i = 0; i < p->count[b]; i++) {
			ssize_t n = recv(p->fd[b][i], room, sizeof(room), 0);

			if (n <= 0)
				continue;
			p->answered[b]++;
			flow_send_c(p->f, p->fd[b][i], p->answer[b]);
		}
	}
}

static void players_fini(struct players *p)
{
	for (int b = 0; b < FLOW_BACKENDS; b++)
		for (int i = 0; i < p->count[b]; i++)
			flow_close(&p->fd[b][i]);
}

/* One request over an open connection; the status that came. */
static int ask(struct players *p, int client)
{
	char room[2048];
	ssize_t n;

	flow_send_c(p->f, client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	for (int i = 0; i < FLOW_WAIT_MS; i++) {
		play(p);
		n = recv(client, room, sizeof(room), 0);
		if (n > 12)
			return atoi(room + 9);
	}
	fail_msg("no answer");
	return 0;
}

static void splits_are_exact_over_any_swap_of_snapshots(void **state)
{
	struct flow f;
	struct players p = { .f = &f, .answer = { OK_EMPTY, OK_EMPTY, OK_EMPTY } };
	int client = -1;

	(void)state;
	flow_init(&f);
	for (int n = 0; n < 400; n++) {
		if (n % 3 == 0) { /* a new snapshot every third request, with the same split */
			struct sl_mesh_route *r = flow_route(&f, "/", NULL);

			mb_split(f.mesh, r, "c0", 90);
			mb_split(f.mesh, r, "c1", 7);
			mb_split(f.mesh, r, "c2", 3);
			flow_adopt(&f);
		}
		if (n == 0)
			client = flow_client(&f);
		assert_int_equal(ask(&p, client), 200);
		for (int i = 0; i < 3; i++) {
			double target = (n + 1) * (double[]) { 0.90, 0.07, 0.03 }[i];

			assert_true(p.answered[i] < target + 1 && p.answered[i] > target - 1);
		}
	}
	assert_int_equal(f.w->stats->splits->picked + f.w->stats->splits->next->picked +
	                         f.w->stats->splits->next->next->picked,
	        400);
	flow_close(&client);
	players_fini(&p);
	flow_fini(&f);
}

static void guarded(struct flow *f, uint64_t generation, uint16_t canary_port)
{
	struct sl_mesh_route *r = flow_route(f, "/", NULL);
	struct sl_mesh_split *s;

	mb_split(f->mesh, r, "c0", 1);
	s = mb_split(f->mesh, r, "c1", 1);
	s->guard.fallback = mb_str(f->mesh, "c0");
	s->guard.rollout = mb_str(f->mesh, "default/web");
	s->guard.generation = generation;
	s->guard.alpha = 0.01;
	s->guard.refused_run = 3;
	s->guard.failure_run = 5;
	f->mesh->clusters[1].endpoints[0].port = canary_port;
	flow_adopt(f);
}

static void a_canary_that_refuses_is_taken_back_and_no_user_notices(void **state)
{
	struct flow f;
	struct players p = { .f = &f, .answer = { OK_EMPTY, OK_EMPTY, OK_EMPTY } };
	int client = -1;
	uint64_t issued;

	(void)state;
	flow_init(&f);
	guarded(&f, 1, 1);
	for (int i = 0; i < 200; i++) { /* different sources, so that these are different bursts */
		client = flow_client(&f);
		assert_int_equal(ask(&p, client), 200);
		flow_close(&client);
	}
	assert_int_equal(p.answered[0], 200);
	assert_int_not_equal(f.tables->trips[0]->tripped, 0);
	assert_int_not_equal(f.tables->trips[0]->tripped_at, 0);
	issued = sl_stats_cluster(f.w->stats, SL_STR("c1"))->issued;
	assert_true(issued >= 3 && issued < 40);
	/* The same generation in a new snapshot changes nothing, another one arms the guard again. */
	guarded(&f, 1, f.backend_port[1]);
	client = flow_client(&f);
	for (int i = 0; i < 10; i++)
		assert_int_equal(ask(&p, client), 200);
	assert_int_equal(p.answered[1], 0);
	guarded(&f, 2, f.backend_port[1]);
	for (int i = 0; i < 10; i++)
		assert_int_equal(ask(&p, client), 200);
	assert_int_equal(p.answered[1], 5);
	flow_close(&client);
	players_fini(&p);
	flow_fini(&f);
}

static void failures_are_judged_once_per_source_and_second(void **state)
{
	struct flow f;
	struct players p = { .f = &f,
		.answer = {
		        OK_EMPTY, "HTTP/1.1 500 Oops\r\nDate: x\r\nContent-Length: 0\r\n\r\n", OK_EMPTY } };
	int client;
	struct sl_cluster_stats *c;

	(void)state;
	flow_init(&f);
	flow_route(&f, "/", "c1");
	flow_adopt(&f);
	client = flow_client(&f);
	for (int i = 0; i < 20; i++)
		assert_int_equal(ask(&p, client), 500);
	c = sl_stats_cluster(f.w->stats, SL_STR("c1"));
	assert_int_equal(c->judged, 20);
	assert_true(c->events >= 1 && c->events <= 3); /* one a second, and this takes less than three */
	assert_int_equal(c->error, 20);
	flow_close(&client);
	players_fini(&p);
	flow_fini(&f);
}

static void what_the_client_does_wrong_is_nobodys_failure(void **state)
{
	static const struct {
		const char *first, *then;
		const char *answer;
	} cases[] = {
		{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", "zz\r\n",
		        "HTTP/1.1 400 " },
		{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\na", "",
		        "HTTP/1.1 408 " }, /* and no more comes */
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		struct flow f;
		int client, backend;
		struct sl_cluster_stats *c;

		flow_init(&f);
		f.options.stream_idle_timeout = SL_MSEC(50);
		flow_route(&f, "/", "c0");
		flow_adopt(&f);
		client = flow_client(&f);
		flow_send_c(&f, client, cases[i].first);
		backend = flow_accept(&f, 0);
		flow_expect_until(&f, backend, "\r\n\r\n");
		flow_send_c(&f, client, cases[i].then);
		assert_memory_equal(
		        flow_expect_until(&f, client, "\r\n\r\n"), cases[i].answer, strlen(cases[i].answer));
		c = sl_stats_cluster(f.w->stats, SL_STR("c0"));
		assert_int_equal(c->issued, 1);
		assert_int_equal(c->judged, 0);
		assert_int_equal(c->error, 0);
		assert_int_equal(c->in_flight, 0);
		flow_close(&client);
		flow_close(&backend);
		flow_fini(&f);
	}
}

/* ---- heads ---- */

static void the_gateway_trusts_no_client(void **state)
{
	struct flow f;
	int client, backend;

	(void)state;
	flow_init(&f);
	f.mesh->listeners[0].direction = SL_TRAFFIC_GATEWAY;
	flow_route(&f, "/", "c0");
	flow_adopt(&f);
	client = flow_client(&f);
	flow_send_c(&f, client,
	        "GET / HTTP/1.1\r\nHost: h\r\n" ID
	        "X-Envoy-Upstream-RQ-Timeout-Ms: 1\r\nX-Forwarded-For: 9.9.9.9\r\nX-Envoy-Custom: 2\r\n"
	        "X-Forwarded-Proto: https\r\nX-Sluice-Trick: 3\r\nX-Forwarded-Client-Cert: me\r\nX-Mine: 4\r\n\r\n");
	backend = flow_accept(&f, 0);
	flow_expect(&f, backend,
	        "GET / HTTP/1.1\r\nHost: h\r\n" ID "X-Mine: 4\r\nx-forwarded-for: 9.9.9.9,127.0.0.1\r\n" ADDED
	        "\r\n");
	flow_close(&client);
	flow_close(&backend);
	flow_fini(&f);
}

static void header_operations_and_rewrites_apply(void **state)
{
	struct flow f;
	int client, backend;
	struct sl_mesh_route *r;

	(void)state;
	flow_init(&f);
	r = flow_route(&f, "/api/", "c0");
	r->rewrite.prefix = mb_str(f.mesh, "/");
	r->rewrite.authority = mb_str(f.mesh, "inner");
#define OP(list, kind_, name_, value_)                                                        \
	*MB_GROW(f.mesh, list, list##_count) = (struct sl_mesh_header_op) {                   \
		.kind = kind_, .name = mb_str(f.mesh, name_), .value = mb_str(f.mesh, value_) \
	}
	OP(r->headers.request, SL_HEADER_REMOVE, "x-gone", "");
	OP(r->headers.request, SL_HEADER_SET, "x-set", "1");
	OP(r->headers.request, SL_HEADER_ADD, "x-add", "2");
	OP(r->splits[0].headers.response, SL_HEADER_SET, "server", "sluice");
	flow_adopt(&f);
	client = flow_client(&f);
	flow_send_c(&f, client,
	        "GET /api/v1?q HTTP/1.1\r\nHost: h\r\n" ID "X-Gone: 1\r\nX-Set: 0\r\nX-Add: 1\r\n\r\n");
	backend = flow_accept(&f, 0);
	flow_expect(&f, backend,
	        "GET /v1?q HTTP/1.1\r\n" ID "X-Add: 1\r\n" ADDED
	        "host: inner\r\nx-set: 1\r\nx-add: 2\r\n\r\n");
	flow_send_c(&f, backend, "HTTP/1.1 200 OK\r\nDate: x\r\nServer: other\r\nContent-Length: 0\r\n\r\n");
	flow_expect(&f, client, "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 0\r\nserver: sluice\r\n\r\n");
	flow_close(&client);
	flow_close(&backend);
	flow_fini(&f);
}

static void an_id_is_given_once(void **state)
{
	struct flow f;
	int client, backend;
	const char *got, *id;

	(void)state;
	flow_init(&f);
	flow_route(&f, "/", "c0");
	flow_adopt(&f);
	client = flow_client(&f);
	flow_send_c(&f, client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	backend = flow_accept(&f, 0);
	got = flow_expect_until(&f, backend, "\r\n\r\n");
	id = strstr(got, "x-request-id: ");
	assert_non_null(id);
	id += 14;
	assert_int_equal(strspn(id, "0123456789abcdef-"), 36);
	assert_true(id[8] == '-' && id[13] == '-' && id[14] == '4' && id[18] == '-' &&
	            strchr("89ab", id[19]) && id[23] == '-');
	flow_close(&client);
	flow_close(&backend);
	flow_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(time_limits_end_requests),
		cmocka_unit_test(retries_on_status_and_per_try_timeout),
		cmocka_unit_test(circuit_breakers_queue_then_refuse),
		cmocka_unit_test(a_head_may_be_as_large_as_allowed),
		cmocka_unit_test(endpoints_come_and_go_without_a_lost_request),
		cmocka_unit_test(a_stream_keeps_the_snapshot_it_began_with),
		cmocka_unit_test(a_listener_that_goes_finishes_what_it_has),
		cmocka_unit_test(draining_lets_requests_finish),
		cmocka_unit_test(splits_are_exact_over_any_swap_of_snapshots),
		cmocka_unit_test(a_canary_that_refuses_is_taken_back_and_no_user_notices),
		cmocka_unit_test(failures_are_judged_once_per_source_and_second),
		cmocka_unit_test(what_the_client_does_wrong_is_nobodys_failure),
		cmocka_unit_test(the_gateway_trusts_no_client),
		cmocka_unit_test(header_operations_and_rewrites_apply),
		cmocka_unit_test(an_id_is_given_once),
	};
	int failed = cmocka_run_group_tests_name("flow_live", tests, NULL, NULL);

	sl_snapshot_reclaim_stop();
	return failed;
}
