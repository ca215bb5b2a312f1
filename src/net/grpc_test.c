/* gRPC server and client against each other in one loop, over loopback TCP. */
#include "base/test.h"
#include "net/grpc_client.h"
#include "net/grpc_server.h"
#include "net/x509.h"
#include "os/clock.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static struct sl_loop loop;
static struct sl_grpc_server *server;
static struct sl_grpc_client *client;

/* What happened, seen from the tests. */
static struct {
	int opened, closed, calls, half_closed, drained;
	int client_messages, server_messages, client_ends, server_ends, released;
	size_t client_bytes, server_bytes;
	enum sl_grpc_status client_status, server_status;
	char client_text[128], last[64], close_text[128];
	sl_err close_why;
	struct sl_grpc_call *server_call;
} seen;

/* ---- server side ---- */

static void server_message(struct sl_grpc_call *call, sl_str message)
{
	seen.server_messages++;
	seen.server_bytes += message.len;
	assert_ptr_equal(sl_grpc_call_user(call), &seen);
	if (sl_str_eq_c(message, "finish"))
		sl_grpc_finish(call, SL_GRPC_NOT_FOUND, SL_STR("no 100% match\n"));
	else
		sl_grpc_send(call, message);
}

static void server_half_close(struct sl_grpc_call *call)
{
	seen.half_closed++;
	sl_grpc_finish(call, SL_GRPC_OK, SL_STR_NONE);
}

static void server_drain(struct sl_grpc_call *call)
{
	assert_int_equal(sl_grpc_queued(call), 0);
	seen.drained++;
}

static void server_end(struct sl_grpc_call *call, enum sl_grpc_status status, sl_str text)
{
	(void)text;
	if (seen.server_call == call)
		seen.server_call = NULL;
	seen.server_ends++;
	seen.server_status = status;
}

static sl_err server_call(struct sl_grpc_call *call, void *user)
{
	seen.calls++;
	seen.server_call = call;
	sl_grpc_call_set_user(call, user);
	return SL_OK;
}

static sl_err server_refuse(struct sl_grpc_call *call, void *user)
{
	(void)call, (void)user;
	return SL_ERR_OVER_BUDGET;
}

static const struct sl_grpc_call_ops server_ops = { server_message, server_half_close, server_drain,
	server_end };
static const struct sl_grpc_method methods[] = {
	{ "/test.Echo/Chat", &server_ops, server_call },
	{ "/test.Echo/Busy", &server_ops, server_refuse },
};

/* ---- client side ---- */

static void client_message(struct sl_grpc_call *call, sl_str message)
{
	(void)call;
	seen.client_messages++;
	seen.client_bytes += message.len;
	sl_str_copy(seen.last, sizeof(seen.last), sl_str_first(message, sizeof(seen.last) - 1));
}

static void client_end(struct sl_grpc_call *call, enum sl_grpc_status status, sl_str text)
{
	(void)call;
	seen.client_ends++;
	seen.client_status = status;
	sl_str_copy(seen.client_text, sizeof(seen.client_text), text);
}

static const struct sl_grpc_call_ops client_ops = { .on_message = client_message, .on_end = client_end };

static void on_open(void *user)
{
	(void)user;
	seen.opened++;
}

static void on_close(void *user, sl_err why, const char *text)
{
	(void)user;
	seen.closed++;
	seen.close_why = why;
	snprintf(seen.close_text, sizeof(seen.close_text), "%s", text);
	sl_grpc_client_free(SL_STEAL(client));
}

/* ---- rig ---- */

static struct sl_grpc_limits limits;

static void start(struct sl_tls_ctx *server_tls, struct sl_tls_ctx *client_tls)
{
	struct sl_grpc_server_config config = { .methods = methods,
		.method_count = SL_ARRAY_COUNT(methods),
		.tls = server_tls,
		.limits = limits,
		.user = &seen };
	struct sl_grpc_client_config client_config = { .tls = client_tls,
		.server_name = client_tls ? "localhost" : NULL,
		.limits = limits,
		.on_open = on_open,
		.on_close = on_close };

	memset(&seen, 0, sizeof(seen));
	sl_assert_ok(sl_loop_init(&loop, NULL));
	sl_assert_ok(sl_addr_parse(&config.listen, SL_STR("127.0.0.1:0")));
	sl_assert_ok(sl_grpc_server_new(&server, &loop, &config, NULL));
	client_config.server = *sl_grpc_server_addr(server);
	client = sl_grpc_client_new(&loop, &client_config);
}

static void stop(void)
{
	sl_grpc_client_free(SL_STEAL(client));
	sl_grpc_server_free(SL_STEAL(server));
	sl_loop_fini(&loop);
}

static bool reached(void *arg)
{
	const int *const *pair = arg;

	return *pair[0] >= *pair[1];
}

/* Turns until *counter reaches n. */
static void until(const int *counter, int n)
{
	const int *pair[] = { counter, &n };

	assert_true(sl_loop_run_until(&loop, reached, pair, SL_SEC(10)));
}

static struct sl_grpc_call *chat(void)
{
	struct sl_grpc_call *call = sl_grpc_client_call(client, "/test.Echo/Chat", &client_ops, NULL);

	assert_non_null(call);
	return call;
}

static void release(void *owner)
{
	++*(int *)owner;
}

/* ---- tests ---- */

static void test_echo(void **state)
{
	struct sl_grpc_call *call;

	(void)state;
	start(NULL, NULL);
	call = chat(); /* before it is even connected */
	sl_grpc_send(call, SL_STR("one"));
	sl_grpc_send_shared(call, SL_STR("body+"), release, &seen.released, SL_STR("tail"));
	until(&seen.client_messages, 2);
	assert_string_equal(seen.last, "body+tail");
	assert_int_equal(seen.released, 1);
	assert_true(seen.drained >= 1);
	sl_grpc_finish(call, SL_GRPC_OK, SL_STR_NONE);
	until(&seen.client_ends, 1);
	assert_int_equal(seen.half_closed, 1);
	assert_int_equal(seen.client_status, SL_GRPC_OK);
	until(&seen.server_ends, 1);
	assert_int_equal(seen.server_status, SL_GRPC_OK);
	assert_int_equal(sl_grpc_server_connections(server), 1);
	stop();
}

static void test_status_with_text(void **state)
{
	struct sl_grpc_call *call;

	(void)state;
	start(NULL, NULL);
	call = chat();
	sl_grpc_send(call, SL_STR("a"));
	sl_grpc_send(call, SL_STR("finish"));
	sl_grpc_send(call, SL_STR("dropped"));
	until(&seen.client_ends, 1);
	assert_int_equal(seen.client_messages, 1); /* what was queued before goes first */
	assert_int_equal(seen.server_messages, 2);
	assert_int_equal(seen.client_status, SL_GRPC_NOT_FOUND);
	assert_string_equal(seen.client_text, "no 100% match\n");
	stop();
}

/* Past every window and buffer between the two. */
static void test_large_messages(void **state)
{
	size_t len = 3u << 20;
	char *big = sl_new(len);
	struct sl_grpc_call *call;

	(void)state;
	memset(big, 'x', len);
	start(NULL, NULL);
	call = chat();
	for (int i = 0; i < 5; i++)
		sl_grpc_send(call, sl_str_n(big, len));
	until(&seen.client_messages, 5);
	assert_int_equal(seen.client_bytes, 5 * len);
	stop();
	sl_free(big);
}

static void test_many_calls(void **state)
{
	(void)state;
	start(NULL, NULL);
	for (int i = 0; i < 150; i++) { /* over calls_most: the rest waits its turn */
		struct sl_grpc_call *call = chat();

		sl_grpc_send(call, SL_STR("x"));
		sl_grpc_finish(call, SL_GRPC_OK, SL_STR_NONE);
	}
	until(&seen.client_ends, 150);
	assert_int_equal(seen.client_messages, 150);
	assert_int_equal(seen.client_status, SL_GRPC_OK);
	stop();
}

static void test_refusals(void **state)
{
	static const struct {
		const char *path;
		enum sl_grpc_status status;
	} cases[] = { { "/test.Echo/None", SL_GRPC_UNIMPLEMENTED },
		{ "/test.Echo/Busy", SL_GRPC_RESOURCE_EXHAUSTED }, { "/", SL_GRPC_UNIMPLEMENTED } };

	(void)state;
	start(NULL, NULL);
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		struct sl_grpc_call *call = sl_grpc_client_call(client, cases[i].path, &client_ops, NULL);

		sl_grpc_send(call, SL_STR("x"));
		until(&seen.client_ends, (int)i + 1);
		assert_int_equal(seen.client_status, cases[i].status);
	}
	assert_int_equal(seen.calls, 0);
	assert_int_equal(seen.server_ends, 0);
	assert_int_equal(seen.closed, 0);
	stop();
}

static void test_message_over_the_limit(void **state)
{
	char text[200] = { 0 };

	(void)state;
	limits.message_most_bytes = 100;
	start(NULL, NULL);
	limits = (struct sl_grpc_limits) { 0 };
	sl_grpc_send(chat(), sl_str_n(text, 100));
	until(&seen.client_messages, 1);
	sl_grpc_send(chat(), sl_str_n(text, 101));
	until(&seen.client_ends, 1);
	assert_int_equal(seen.client_status, SL_GRPC_RESOURCE_EXHAUSTED);
	assert_int_equal(seen.server_messages, 1);
	stop();
}

static void test_cancel(void **state)
{
	struct sl_grpc_call *call;

	(void)state;
	start(NULL, NULL);
	call = chat();
	sl_grpc_send(call, SL_STR("x"));
	until(&seen.client_messages, 1);
	sl_grpc_cancel(call);
	assert_int_equal(seen.client_ends, 0); /* not from within */
	until(&seen.server_ends, 1);
	assert_int_equal(seen.server_status, SL_GRPC_CANCELLED);
	assert_int_equal(seen.client_ends, 1);
	assert_int_equal(seen.client_status, SL_GRPC_CANCELLED);
	stop();
}

static void test_server_goes(void **state)
{
	(void)state;
	start(NULL, NULL);
	sl_grpc_send(chat(), SL_STR("x"));
	until(&seen.client_messages, 1);
	sl_grpc_send_shared(seen.server_call, SL_STR("never sent"), release, &seen.released, SL_STR_NONE);
	sl_grpc_server_free(SL_STEAL(server));
	assert_int_equal(seen.server_ends, 1);
	assert_int_equal(seen.released, 1);
	until(&seen.closed, 1);
	assert_int_equal(seen.client_ends, 1);
	assert_int_equal(seen.client_status, SL_GRPC_UNAVAILABLE);
	stop();
}

static void test_client_goes(void **state)
{
	(void)state;
	start(NULL, NULL);
	sl_grpc_send(chat(), SL_STR("x"));
	until(&seen.client_messages, 1);
	sl_grpc_client_free(SL_STEAL(client));
	assert_int_equal(seen.client_ends, 0);
	until(&seen.server_ends, 1);
	assert_int_equal(seen.server_status, SL_GRPC_CANCELLED);
	stop();
}

static void test_nobody_there(void **state)
{
	struct sl_grpc_client_config config = { .on_open = on_open, .on_close = on_close };

	(void)state;
	start(NULL, NULL);
	config.server = *sl_grpc_server_addr(server);
	sl_grpc_client_free(SL_STEAL(client));
	sl_grpc_server_free(SL_STEAL(server));
	client = sl_grpc_client_new(&loop, &config);
	chat();
	until(&seen.closed, 1);
	assert_int_equal(seen.close_why, SL_ERR_REFUSED);
	assert_int_equal(seen.opened, 0);
	assert_int_equal(seen.client_ends, 1);
	assert_int_equal(seen.client_status, SL_GRPC_UNAVAILABLE);
	stop();
}

static void test_not_http2(void **state)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	char answer[256];
	int fd;

	(void)state;
	start(NULL, NULL);
	until(&seen.opened, 1);
	SL_IGNORE(sl_connect_start(sl_grpc_server_addr(server), NULL, &fd)); /* AGAIN: on its way */
	sl_loop_turn(&loop, SL_MSEC(100));
	assert_int_equal(write(fd, request, sizeof(request) - 1), sizeof(request) - 1);
	for (sl_nsec end = sl_clock_mono() + SL_SEC(10); sl_clock_mono() < end;) {
		ssize_t n;

		sl_loop_turn(&loop, SL_MSEC(10));
		n = read(fd, answer, sizeof(answer));
		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
	}
	assert_int_equal(sl_grpc_server_connections(server), 1); /* ours, which was not disturbed */
	sl_grpc_send(chat(), SL_STR("x"));
	until(&seen.client_messages, 1);
	sl_fd_close(&fd);
	stop();
}

/* A peer that is there and says nothing: found out by the ping, in virtual time. */
static void test_dead_peer(void **state)
{
	const struct sl_loop_config virtual_time = { .virtual_time = true };
	struct sl_grpc_client_config config = { .on_open = on_open, .on_close = on_close };
	struct sl_addr any;
	int fd;

	(void)state;
	memset(&seen, 0, sizeof(seen));
	sl_assert_ok(sl_loop_init(&loop, &virtual_time));
	sl_assert_ok(sl_addr_parse(&any, SL_STR("127.0.0.1:0")));
	sl_assert_ok(sl_listen(&any, NULL, &fd, NULL));
	sl_assert_ok(sl_socket_local(fd, &config.server));
	client = sl_grpc_client_new(&loop, &config);
	until(&seen.opened, 1);
	sl_loop_advance(&loop, SL_SEC(19));
	assert_int_equal(seen.closed, 0);
	sl_loop_advance(&loop, SL_SEC(2));
	assert_int_equal(seen.closed, 1);
	assert_string_equal(seen.close_text, "no answer to a ping");
	sl_fd_close(&fd);
	sl_loop_fini(&loop);
}

static void test_idle_connection_lives(void **state)
{
	(void)state;
	limits = (struct sl_grpc_limits) { .ping_every = SL_MSEC(5), .ping_timeout = SL_MSEC(200) };
	start(NULL, NULL);
	limits = (struct sl_grpc_limits) { 0 };
	until(&seen.opened, 1);
	for (int i = 0; i < 100; i++)
		sl_loop_turn(&loop, SL_MSEC(10));
	assert_int_equal(seen.closed, 0);
	stop();
}

/* ---- TLS ---- */

static struct sl_buf ca_cert, ca_key, cert, key;

static struct sl_tls_ctx *tls(bool for_server, const char *const *alpn)
{
	struct sl_tls_ctx *ctx = NULL;
	struct sl_tls_config config = { .server = for_server, .alpn = alpn };

	if (for_server)
		config.cert_pem = sl_buf_str(&cert), config.key_pem = sl_buf_str(&key);
	else
		config.verify = SL_TLS_VERIFY_REQUIRED, config.ca_pem = sl_buf_str(&ca_cert);
	sl_assert_ok(sl_tls_ctx_new(&ctx, &config, NULL));
	return ctx;
}

static void make_certificates(void)
{
	struct sl_x509_request req = { .common_name = "test ca",
		.not_after = sl_clock_real() + SL_SEC(3600) };
	const char *const names[] = { "localhost", NULL };

	sl_assert_ok(sl_x509_make_ca(&req, &ca_cert, &ca_key, NULL));
	req.common_name = "localhost";
	req.dns_names = names;
	req.server = true;
	sl_assert_ok(sl_x509_issue(&req, sl_buf_str(&ca_cert), sl_buf_str(&ca_key), &cert, &key, NULL));
}

static void test_tls(void **state)
{
	static const char *const h2[] = { "h2", NULL };
	struct sl_tls_ctx *server_tls, *client_tls, *no_alpn;

	(void)state;
	make_certificates();
	server_tls = tls(true, h2);
	client_tls = tls(false, h2);
	no_alpn = tls(false, NULL);
	start(server_tls, client_tls);
	sl_grpc_send(chat(), SL_STR("secret"));
	until(&seen.client_messages, 1);
	assert_string_equal(seen.last, "secret");
	stop();
	start(server_tls, no_alpn); /* without ALPN there is no telling what is spoken */
	until(&seen.closed, 1);
	assert_string_equal(seen.close_text, "the peer does not speak HTTP/2 over TLS");
	stop();
	sl_tls_ctx_unref(server_tls);
	sl_tls_ctx_unref(client_tls);
	sl_tls_ctx_unref(no_alpn);
	sl_buf_fini(&ca_cert);
	sl_buf_fini(&ca_key);
	sl_buf_fini(&cert);
	sl_buf_fini(&key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_status_with_text),
		cmocka_unit_test(test_large_messages),
		cmocka_unit_test(test_many_calls),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_message_over_the_limit),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_server_goes),
		cmocka_unit_test(test_client_goes),
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_not_http2),
		cmocka_unit_test(test_dead_peer),
		cmocka_unit_test(test_idle_connection_lives),
		cmocka_unit_test(test_tls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
