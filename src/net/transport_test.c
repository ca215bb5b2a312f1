#include "net/net_test.h"

#include "net/listener.h"
#include "net/transport.h"
#include "os/io.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct test_authority pki;
static struct sl_tls_ctx *server_ctx, *client_ctx, *strict_ctx;

static int set_up(void **state)
{
	(void)state;
	test_authority_make(&pki);
	server_ctx = test_ctx(true, &pki.server, NULL, SL_TLS_VERIFY_NONE, NULL);
	client_ctx = test_ctx(false, NULL, &pki.ca, SL_TLS_VERIFY_REQUIRED, NULL);
	strict_ctx = test_ctx(false, NULL, &pki.other_ca, SL_TLS_VERIFY_REQUIRED, NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	sl_tls_ctx_unref(server_ctx);
	sl_tls_ctx_unref(client_ctx);
	sl_tls_ctx_unref(strict_ctx);
	test_authority_fini(&pki);
	return 0;
}

/* One end, with a script: sends `to_send` bytes of a known pattern as fast as back-pressure allows, checks what it gets. */
struct end {
	struct sl_transport t;
	size_t to_send, sent, got, got_wanted, queued_most;
	bool opened, eof, closed, close_when_done, close_on_eof, slow, closes_on_open;
	sl_err why;
	unsigned close_calls;
};

static char pattern(size_t i)
{
	return (char)(i * 31 + (i >> 8));
}

static void send_more(struct end *e)
{
	char piece[3000];

	while (e->sent < e->to_send && !sl_transport_full(&e->t)) {
		size_t n = e->to_send - e->sent < sizeof(piece) ? e->to_send - e->sent : sizeof(piece);

		for (size_t i = 0; i < n; i++)
			piece[i] = pattern(e->sent + i);
		sl_transport_write(&e->t, piece, n);
		e->sent += n;
		if (sl_transport_queued(&e->t) > e->queued_most)
			e->queued_most = sl_transport_queued(&e->t);
	}
	if (e->close_when_done && e->sent == e->to_send && e->got >= e->got_wanted)
		sl_transport_close(&e->t);
}

static void on_open(struct sl_transport *t)
{
	struct end *e = t->user;

	if (e->opened)
		abort();
	e->opened = true;
	if (e->closes_on_open)
		sl_transport_close(t);
	else
		send_more(e);
}

static void on_read(struct sl_transport *t)
{
	struct end *e = t->user;
	sl_str in = sl_buf_str(&t->in);

	if (!e->opened)
		abort(); /* reading before opening */
	if (e->slow)
		in = sl_str_first(in, 100);
	for (size_t i = 0; i < in.len; i++) {
		if (in.p[i] != pattern(e->got + i))
			abort();
	}
	e->got += in.len;
	sl_buf_consume(&t->in, in.len);
	if (e->close_when_done)
		send_more(e);
}

static void on_eof(struct sl_transport *t)
{
	struct end *e = t->user;

	e->eof = true;
	if (e->close_on_eof)
		sl_transport_close(t);
}

static void on_drain(struct sl_transport *t)
{
	send_more(t->user);
}

static void on_close(struct sl_transport *t, sl_err why)
{
	struct end *e = t->user;

	e->closed = true;
	e->why = why;
	e->close_calls++;
}

static const struct sl_transport_ops ops = {
	.on_open = on_open, .on_read = on_read, .on_eof = on_eof, .on_drain = on_drain, .on_close = on_close
};
static const struct sl_transport_ops ops_without_eof = {
	.on_open = on_open, .on_read = on_read, .on_drain = on_drain, .on_close = on_close
};

struct scene {
	struct sl_loop loop;
	struct end client, server;
	struct sl_listener listener;
	struct sl_tls_ctx *server_ctx;
	const struct sl_fault *fault;
};

static void apply_fault(struct scene *s, int fd)
{
	struct sl_fault plan;

	if (!s->fault)
		return;
	plan = *s->fault;
	plan.seed = (uint64_t)fd;
	sl_fault_set(fd, &plan);
}

static void on_accept(struct sl_listener *l, int fd, const struct sl_addr *peer)
{
	struct scene *s = l->user;

	apply_fault(s, fd);
	sl_transport_start(&s->server.t, fd, s->server_ctx, peer);
}

static void scene_init(struct scene *s, const struct sl_transport_limits *limits)
{
	*s = (struct scene) { 0 };
	sl_assert_ok(sl_loop_init(&s->loop, NULL));
	sl_transport_init(&s->client.t, &s->loop, &ops, limits, &s->client);
	sl_transport_init(&s->server.t, &s->loop, &ops, limits, &s->server);
}

static void scene_connect(struct scene *s, const char *where, struct sl_tls_ctx *client,
        struct sl_tls_ctx *server, const char *name)
{
	struct sl_addr a;
	char own[64];

	s->server_ctx = server;
	if (strcmp(where, "unix:@") ==
	        0) { /* abstract names are the whole machine's: other runs have theirs */
		snprintf(own, sizeof(own), "unix:@sluice-transport-test-%d", (int)getpid());
		where = own;
	}
	sl_assert_ok(sl_addr_parse(&a, sl_str_c(where)));
	sl_assert_ok(sl_listener_start(&s->listener, &s->loop, &a, NULL, on_accept, s, NULL));
	sl_transport_connect(&s->client.t, &s->listener.addr, client, name);
	apply_fault(s, s->client.t.io.fd);
}

static void scene_fini(struct scene *s)
{
	sl_listener_stop(&s->listener);
	sl_transport_fini(&s->client.t);
	sl_transport_fini(&s->server.t);
	assert_int_equal(s->loop.io_count, 0);
	assert_int_equal(s->loop.wheel.count, 0);
	sl_loop_fini(&s->loop);
}

static bool both_closed(void *arg)
{
	struct scene *s = arg;

	return s->client.closed && s->server.closed;
}

static bool client_closed(void *arg)
{
	return ((struct scene *)arg)->client.closed;
}

static bool both_open(void *arg)
{
	struct scene *s = arg;

	return s->client.opened && s->server.opened;
}

#define RUN_UNTIL(s, done) assert_true(sl_loop_run_until(&(s)->loop, done, s, SL_SEC(60)))

/* Megabytes both ways at once, over every kind of socket, with every kind of fault; then an orderly end. */
static void test_both_ways(void **state)
{
	static const struct sl_fault faults[] = {
		{ .read_most_bytes = 700 },
		{ .write_most_bytes = 1100 },
		{ .again_one_in = 3 },
		{ .read_most_bytes = 1, .write_most_bytes = 1, .again_one_in = 4 },
	};
	static const char *const where[] = { "127.0.0.1:0", "[::1]:0", "unix:@" };

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(where) * 2 * (SL_ARRAY_COUNT(faults) + 1); i++) {
		const struct sl_fault *fault = i / 6 ? &faults[i / 6 - 1] : NULL;
		bool tls = i % 2, tiny = fault && fault->read_most_bytes == 1;
		size_t total = tiny ? 20000 : 2000000;
		struct scene s;

		scene_init(&s, NULL);
		s.fault = fault;
		s.client.to_send = s.server.to_send = s.client.got_wanted = total;
		s.client.close_when_done = s.server.close_on_eof = true;
		scene_connect(
		        &s, where[i / 2 % 3], tls ? client_ctx : NULL, tls ? server_ctx : NULL, "localhost");
		RUN_UNTIL(&s, both_closed);
		sl_assert_ok(s.client.why);
		sl_assert_ok(s.server.why);
		assert_int_equal(s.client.got, total);
		assert_int_equal(s.server.got, total);
		assert_true(s.server.eof);
		assert_true(s.client.queued_most < 256 * 1024 + 8192);
		assert_true(s.server.t.bytes_in >= total && (!tls || s.server.t.bytes_in > total));
		scene_fini(&s);
	}
}

/* A reader that has halted: the writer stops at high water, nothing grows, and all arrives after the resume. */
static void test_back_pressure(void **state)
{
	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		struct sl_transport_limits limits = {
			.read_most_bytes = 20000, .write_high_bytes = 50000, .write_low_bytes = 10000
		};
		struct scene s;
		size_t stuck_at;

		scene_init(&s, &limits);
		scene_connect(
		        &s, "127.0.0.1:0", tls ? client_ctx : NULL, tls ? server_ctx : NULL, "localhost");
		RUN_UNTIL(&s, both_open);
		sl_transport_halt(&s.server.t);
		s.client.to_send = 30000000;
		s.client.close_when_done = s.server.close_on_eof = true;
		send_more(&s.client);
		for (int i = 0; i < 2000; i++)
			sl_loop_turn(&s.loop, 0);
		stuck_at = s.client.sent;
		for (int i = 0; i < 2000; i++)
			sl_loop_turn(&s.loop, 0);
		assert_int_equal(s.client.sent, stuck_at); /* the kernel's buffers are full and so is ours */
		assert_true(stuck_at < s.client.to_send);
		assert_true(sl_transport_full(&s.client.t));
		assert_true(s.client.queued_most < 60000);
		assert_true(s.server.t.in.cap + s.server.t.wire_in.cap < 200000);
		assert_int_equal(s.server.got, 0);
		sl_transport_resume(&s.server.t);
		RUN_UNTIL(&s, both_closed);
		assert_int_equal(s.server.got, s.client.to_send);
		sl_assert_ok(s.server.why);
		scene_fini(&s);
	}
}

/* What is queued when we close still arrives, although the peer goes on sending what we no longer read. */
static void test_close_delivers(void **state)
{
	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		struct scene s;

		scene_init(&s, NULL);
		s.client.to_send = 200000;
		s.server.to_send = 250000;
		s.server.close_when_done = s.client.close_on_eof = true;
		scene_connect(
		        &s, "127.0.0.1:0", tls ? client_ctx : NULL, tls ? server_ctx : NULL, "localhost");
		RUN_UNTIL(&s, both_closed);
		assert_int_equal(s.client.got, 250000);
		sl_assert_ok(s.server.why);
		scene_fini(&s);
	}
}

static void test_ends(void **state)
{
	struct scene s;

	(void)state;
	/* The peer ends and the owner has no on_eof: closed with the reason. */
	scene_init(&s, NULL);
	s.server.t.ops = &ops_without_eof;
	s.client.closes_on_open = true;
	scene_connect(&s, "127.0.0.1:0", NULL, NULL, NULL);
	RUN_UNTIL(&s, both_closed);
	sl_assert_err(s.server.why, SL_ERR_EOF);
	sl_assert_ok(s.client.why);
	scene_fini(&s);

	/* One side aborts with bytes queued: the other is reset, also while it has halted. */
	scene_init(&s, NULL);
	scene_connect(&s, "127.0.0.1:0", NULL, NULL, NULL);
	RUN_UNTIL(&s, both_open);
	sl_transport_halt(&s.server.t);
	sl_transport_write(&s.client.t, "x", 1);
	sl_transport_abort(&s.client.t);
	assert_false(s.client.closed); /* not within the call */
	RUN_UNTIL(&s, both_closed);
	sl_assert_err(s.client.why, SL_ERR_CLOSED);
	sl_assert_err(s.server.why, SL_ERR_RESET);
	assert_int_equal(s.client.close_calls + s.server.close_calls, 2);
	sl_transport_abort(&s.client.t);
	sl_transport_close(&s.client.t);
	sl_transport_write(&s.client.t, "x", 1);
	sl_loop_turn(&s.loop, 0);
	assert_int_equal(s.client.close_calls, 1);
	scene_fini(&s);

	/* Freed while open. */
	scene_init(&s, NULL);
	s.client.to_send = s.server.to_send = 100000;
	scene_connect(&s, "127.0.0.1:0", client_ctx, server_ctx, NULL);
	RUN_UNTIL(&s, both_open);
	scene_fini(&s);
}

static bool all_got(void *arg)
{
	struct scene *s = arg;

	return s->client.got == s->server.to_send && s->server.got == s->client.to_send;
}

/* Thousands of connections are held; what an idle one holds is its struct and no more than a little beside it. */
static void test_idle_memory(void **state)
{
	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		struct scene s;

		scene_init(&s, NULL);
		s.client.to_send = s.server.to_send = 100000;
		scene_connect(
		        &s, "127.0.0.1:0", tls ? client_ctx : NULL, tls ? server_ctx : NULL, "localhost");
		RUN_UNTIL(&s, all_got);
		for (int i = 0; i < 3; i++)
			sl_loop_turn(&s.loop, 0);
		assert_true(s.server.t.in.cap + s.server.t.out.cap + s.server.t.wire_in.cap <= 3 * 2048);
		assert_true(s.client.t.in.cap + s.client.t.out.cap + s.client.t.wire_in.cap <= 3 * 2048);
		scene_fini(&s);
	}
}

static void test_failures_to_open(void **state)
{
	static const struct sl_transport_limits hasty = { .open_timeout = SL_MSEC(30),
		.close_timeout = SL_MSEC(30) };
	const struct {
		struct sl_tls_ctx *client, *server;
		const char *name;
		sl_err why;
		const char *text;
	} cases[] = {
		{ strict_ctx, server_ctx, "localhost", SL_ERR_TLS, "certificate" },
		{ client_ctx, server_ctx, "other.name", SL_ERR_TLS, "hostname mismatch" },
		{ client_ctx, NULL, "localhost", SL_ERR_TIMEOUT,
		        "handshake in time" }, /* the server waits as well */
	};
	struct scene s;
	struct sl_addr a;
	int fd;

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		scene_init(&s, cases[i].server ? NULL : &hasty);
		if (!cases[i].server)
			sl_transport_halt(&s.server.t);
		scene_connect(&s, "127.0.0.1:0", cases[i].client, cases[i].server, cases[i].name);
		RUN_UNTIL(&s, client_closed);
		sl_assert_err(s.client.why, cases[i].why);
		assert_non_null(strstr(s.client.t.why_text, cases[i].text));
		assert_false(s.client.opened);
		scene_fini(&s);
	}
	/* Nobody listens. */
	sl_assert_ok(sl_addr_parse(&a, SL_STR("127.0.0.1:0")));
	sl_assert_ok(sl_listen(&a, NULL, &fd, NULL));
	sl_assert_ok(sl_socket_local(fd, &a));
	sl_fd_close(&fd);
	scene_init(&s, NULL);
	sl_transport_connect(&s.client.t, &a, NULL, NULL);
	assert_false(s.client.closed);
	RUN_UNTIL(&s, client_closed);
	sl_assert_err(s.client.why, SL_ERR_REFUSED);
	scene_fini(&s);
	scene_init(&s, NULL);
	sl_assert_ok(sl_addr_parse(&a, SL_STR("unix:/nonexistent/socket")));
	sl_transport_connect(&s.client.t, &a, NULL, NULL);
	RUN_UNTIL(&s, client_closed);
	sl_assert_err(s.client.why, SL_ERR_NOT_FOUND);
	scene_fini(&s);
}

static void test_junk_at_tls_server(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s, NULL);
	s.client.to_send = 5000; /* plain bytes */
	s.client.close_on_eof = true;
	scene_connect(&s, "127.0.0.1:0", NULL, server_ctx, NULL);
	RUN_UNTIL(&s, both_closed);
	sl_assert_err(s.server.why, SL_ERR_TLS);
	assert_false(s.server.opened);
	scene_fini(&s);
}

static void test_peer_that_never_reads(void **state)
{
	static const struct sl_transport_limits hasty = { .close_timeout = SL_MSEC(30) };
	struct scene s;

	(void)state;
	scene_init(&s, &hasty);
	scene_connect(&s, "127.0.0.1:0", NULL, NULL, NULL);
	RUN_UNTIL(&s, both_open);
	sl_transport_halt(&s.server.t);
	s.client.to_send = 100000000;
	send_more(&s.client);
	for (int i = 0; i < 1000; i++)
		sl_loop_turn(&s.loop, 0);
	sl_transport_close(&s.client.t);
	RUN_UNTIL(&s, client_closed);
	sl_assert_err(s.client.why, SL_ERR_TIMEOUT); /* the close does not wait for ever */
	scene_fini(&s);
}

static void test_reset_in_the_middle(void **state)
{
	static const struct sl_fault fault = { .reset_after_bytes = 100000 };
	struct scene s;

	(void)state;
	scene_init(&s, NULL);
	s.client.to_send = 1000000;
	scene_connect(&s, "127.0.0.1:0", NULL, NULL, NULL);
	if (!sl_fault_set(s.client.t.io.fd, &fault)) {
		scene_fini(&s);
		skip();
	}
	RUN_UNTIL(&s, client_closed);
	sl_assert_err(s.client.why, SL_ERR_RESET);
	scene_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_back_pressure),
		cmocka_unit_test(test_close_delivers),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_idle_memory),
		cmocka_unit_test(test_failures_to_open),
		cmocka_unit_test(test_junk_at_tls_server),
		cmocka_unit_test(test_peer_that_never_reads),
		cmocka_unit_test(test_reset_in_the_middle),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
