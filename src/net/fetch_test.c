#include "net/net_test.h"

#include "net/fetch.h"
#include "net/http_server.h"
#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>

static struct test_authority pki;

static int set_up(void **state)
{
	(void)state;
	test_authority_make(&pki);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	test_authority_fini(&pki);
	return 0;
}

/* --- the server's side --- */

struct scene {
	struct sl_loop loop;
	struct sl_http_server *server;
	struct sl_fetcher *fetcher;
	char base[128]; /* "http://127.0.0.1:1234" */

	struct sl_http_req *watch;
	struct sl_timer tick;
	unsigned gone, events;
	size_t written, stream_total;

	/* the client's side */
	struct sl_buf got, detail;
	sl_err err;
	int status, head_status;
	unsigned done, pieces, halts;
	bool halt_next, halted;
	size_t streamed;
	struct sl_fetch *fetch;
};

static void on_gone(struct sl_http_req *req)
{
	struct scene *s = req->server_user;

	s->gone++;
	s->watch = NULL;
}

/* An event each tick, as a watch has them: long after the request was made. */
static void on_tick(struct sl_loop *loop, struct sl_timer *t)
{
	struct scene *s = SL_CONTAINER_OF(t, struct scene, tick);
	char line[40];

	if (!s->watch)
		return;
	snprintf(line, sizeof(line), "{\"event\":%u}\n", s->events++);
	sl_http_stream_write(s->watch, sl_str_c(line));
	if (s->events == 5)
		sl_http_stream_end(SL_STEAL(s->watch));
	else
		sl_timer_in(loop, t, SL_MSEC(1));
}

static void pour(struct sl_http_req *req)
{
	struct scene *s = req->server_user;
	static char piece[10000];

	while (s->written < s->stream_total) {
		s->written += sizeof(piece);
		if (!sl_http_stream_write(req, sl_str_n(piece, sizeof(piece))))
			return;
	}
	s->watch = NULL;
	sl_http_stream_end(req);
}

static void reply_facts(struct sl_http_req *req)
{
	struct sl_buf text = { 0 };

	sl_buf_printf(&text, "%.*s %.*s|bearer=%.*s|user=%.*s|x=%.*s|type=%.*s|expect=%.*s|%.*s",
	        SL_STR_ARG(req->method), SL_STR_ARG(req->target), SL_STR_ARG(sl_http_req_bearer(req)),
	        SL_STR_ARG(req->tls_peer ? req->tls_peer->common_name : SL_STR_NONE),
	        SL_STR_ARG(sl_http_req_header(req, "X-Test")),
	        SL_STR_ARG(sl_http_req_header(req, "Content-Type")),
	        SL_STR_ARG(sl_http_req_header(req, "Expect")), SL_STR_ARG(req->body));
	sl_http_reply(req, 200, "text/plain", sl_buf_str(&text));
	sl_buf_fini(&text);
}

static void on_request(struct sl_http_req *req)
{
	struct scene *s = req->server_user;

	req->on_gone = on_gone;
	if (sl_str_eq_c(req->path, "/watch")) {
		sl_http_stream_begin(req, 200, "application/json");
		s->watch = req;
		s->tick.fn = on_tick;
		sl_timer_in(&s->loop, &s->tick, 0);
	} else if (sl_str_eq_c(req->path, "/never")) {
		s->watch = req;
	} else if (sl_str_eq_c(req->path, "/pour")) {
		sl_http_stream_begin(req, 200, NULL);
		s->watch = req;
		req->on_drain = pour;
		pour(req);
	} else if (sl_str_eq_c(req->path, "/broken")) {
		sl_http_stream_begin(req, 200, NULL);
		sl_http_stream_write(req, SL_STR("half"));
		sl_http_stream_abort(req);
	} else if (sl_str_eq_c(req->path, "/moved")) {
		sl_http_set_header(req, "Location", SL_STR("/there"));
		sl_http_reply(req, 302, NULL, SL_STR_NONE);
	} else if (sl_str_eq_c(req->path, "/missing")) {
		sl_http_reply_error(req, SL_ERR_NOT_FOUND, NULL);
	} else {
		reply_facts(req);
	}
}

static void scene_init(struct scene *s, struct sl_tls_ctx *tls, const char *where)
{
	struct sl_http_server_config config = { .on_request = on_request, .user = s, .tls = tls };
	struct sl_addr a, bound;
	char text[SL_ADDR_TEXT_BYTES];

	*s = (struct scene) { 0 };
	sl_assert_ok(sl_loop_init(&s->loop, NULL));
	sl_assert_ok(sl_http_server_new(&s->server, &s->loop, &config));
	sl_assert_ok(sl_addr_parse(&a, sl_str_c(where)));
	sl_assert_ok(sl_http_server_listen(s->server, &a, NULL, &bound, NULL));
	snprintf(s->base, sizeof(s->base), "%s://%s", tls ? "https" : "http",
	        sl_addr_is_ip(&bound) ? sl_addr_format(text, &bound) : "localhost");
	s->fetcher = sl_fetcher_new(&s->loop);
}

static void scene_fini(struct scene *s)
{
	sl_fetcher_free(s->fetcher);
	sl_http_server_free(s->server);
	sl_timer_stop(&s->loop, &s->tick);
	for (int i = 0; i < 3; i++)
		sl_loop_turn(&s->loop, 0);
	assert_int_equal(s->loop.io_count, 0);
	assert_int_equal(s->loop.wheel.count, 0);
	sl_loop_fini(&s->loop);
	sl_buf_fini(&s->got);
	sl_buf_fini(&s->detail);
}

/* --- the client's side --- */

static void on_done(struct sl_fetch *f, const struct sl_fetch_response *r)
{
	struct scene *s = sl_fetch_user(f);

	s->done++;
	s->err = r->err;
	s->status = r->status;
	sl_buf_clear(&s->detail);
	sl_buf_c(&s->detail, r->detail);
	sl_buf_str_add(&s->got, r->body);
	s->fetch = NULL;
}

static void on_head(struct sl_fetch *f, int status)
{
	((struct scene *)sl_fetch_user(f))->head_status = status;
}

static bool on_body(struct sl_fetch *f, sl_str piece)
{
	struct scene *s = sl_fetch_user(f);

	if (s->halt_next) {
		s->halt_next = false;
		s->halted = true;
		s->halts++;
		return false;
	}
	s->pieces++;
	s->streamed += piece.len;
	if (s->streamed < 1000)
		sl_buf_str_add(&s->got, piece);
	return true;
}

static bool is_done(void *arg)
{
	return ((struct scene *)arg)->done > 0;
}

static void start(struct scene *s, struct sl_fetch_request *r, const char *path)
{
	char url[200];

	snprintf(url, sizeof(url), "%s%s", s->base, path);
	r->url = url;
	r->user = s;
	r->on_done = on_done;
	s->done = 0;
	s->status = 0;
	sl_buf_clear(&s->got);
	sl_assert_ok(sl_fetch_start(s->fetcher, r, &s->fetch));
	assert_int_equal(s->done, 0); /* not within the call */
}

static void fetch(struct scene *s, struct sl_fetch_request *r, const char *path)
{
	start(s, r, path);
	assert_true(sl_loop_run_until(&s->loop, is_done, s, SL_SEC(60)));
	assert_int_equal(s->done, 1);
}

static void test_plain(void **state)
{
	static const struct sl_http_pair headers[] = { { { "X-Test", 6 }, { "v w", 3 } },
		{ { "Content-Type", 12 }, { "application/json", 16 } } };
	static const struct {
		const char *path;
		struct sl_fetch_request r;
		int status;
		const char *body;
	} cases[] = {
		{ "/a?b=c", { 0 }, 200, "GET /a?b=c|bearer=|user=|x=|type=|expect=|" },
		{ "/a", { .bearer_token = "tok.en" }, 200, "GET /a|bearer=tok.en|user=|x=|type=|expect=|" },
		{ "/a", { .headers = headers, .header_count = 2, .body = { "{}", 2 } }, 200,
		        "POST /a|bearer=|user=|x=v w|type=application/json|expect=|{}" },
		{ "/a", { .headers = headers, .header_count = 2, .body = { "{}", 2 }, .method = "PATCH" },
		        200, "PATCH /a|bearer=|user=|x=v w|type=application/json|expect=|{}" },
		{ "/a", { .method = "DELETE" }, 200, "DELETE /a|bearer=|user=|x=|type=|expect=|" },
		{ "/a", { .method = "HEAD" }, 200, "" },
		{ "/missing", { 0 }, 404, "not found\n" },
		{ "/moved", { 0 }, 302, "" },
		{ "/moved", { .redirects_most = 3 }, 200, "GET /there|bearer=|user=|x=|type=|expect=|" },
	};
	struct scene s;

	(void)state;
	scene_init(&s, NULL, "127.0.0.1:0");
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		struct sl_fetch_request r = cases[i].r;

		r.on_head = on_head;
		fetch(&s, &r, cases[i].path);
		sl_assert_ok(s.err);
		assert_int_equal(s.status, cases[i].status);
		assert_int_equal(
		        s.head_status, cases[i].status == 200 && r.redirects_most ? 200 : cases[i].status);
		assert_string_equal(sl_buf_cstr(&s.got), cases[i].body);
	}
	assert_int_equal(sl_http_server_connection_count(s.server), 1); /* kept and used again */
	scene_fini(&s);
}

static void test_large_bodies(void **state)
{
	struct sl_fetch_request r = { .method = "PUT" };
	struct sl_buf body = { 0 };
	struct scene s;

	(void)state;
	scene_init(&s, NULL, "[::1]:0");
	for (int i = 0; i < 3000000; i++)
		sl_buf_byte(&body, (char)('a' + i % 26));
	r.body = sl_buf_str(&body);
	fetch(&s, &r, "/a");
	sl_assert_ok(s.err);
	assert_int_equal(s.status, 200);
	assert_true(sl_str_ends(sl_buf_str(&s.got), r.body));
	r.body_most_bytes = 1000000;
	fetch(&s, &r, "/a");
	sl_assert_err(s.err, SL_ERR_TOO_BIG);
	sl_buf_fini(&body);
	scene_fini(&s);
}

static void test_watch(void **state)
{
	struct sl_fetch_request r = { .on_body = on_body, .on_head = on_head };
	struct scene s;

	(void)state;
	scene_init(&s, NULL, "127.0.0.1:0");
	fetch(&s, &r, "/watch");
	sl_assert_ok(s.err);
	assert_int_equal(s.head_status, 200);
	assert_string_equal(sl_buf_cstr(&s.got),
	        "{\"event\":0}\n{\"event\":1}\n{\"event\":2}\n{\"event\":3}\n{\"event\":4}\n");
	assert_int_equal(s.pieces, 5); /* each as it came */
	fetch(&s, &r, "/broken");
	sl_assert_err(s.err, SL_ERR_RESET); /* not taken for a whole one */
	scene_fini(&s);
}

static bool is_halted(void *arg)
{
	return ((struct scene *)arg)->halted;
}

/* A watcher that halts: the server's writer is stopped by back-pressure, and goes on after the resume. */
static void test_back_pressure(void **state)
{
	struct sl_fetch_request r = { .on_body = on_body };
	struct scene s;

	(void)state;
	scene_init(&s, NULL, "127.0.0.1:0");
	s.stream_total = 50000000;
	s.halt_next = true;
	start(&s, &r, "/pour");
	assert_true(sl_loop_run_until(&s.loop, is_halted, &s, SL_SEC(60)));
	for (int i = 0; i < 3000; i++)
		sl_loop_turn(&s.loop, 0);
	assert_true(s.written < s.stream_total); /* kernel buffers and stream_high_bytes */
	assert_int_equal(s.streamed, 0);
	sl_fetch_resume(s.fetch);
	assert_true(sl_loop_run_until(&s.loop, is_done, &s, SL_SEC(60)));
	sl_assert_ok(s.err);
	assert_int_equal(s.streamed, s.stream_total);
	assert_int_equal(s.halts, 1);
	scene_fini(&s);
}

static bool has_watch(void *arg)
{
	return ((struct scene *)arg)->watch != NULL;
}

static bool is_gone(void *arg)
{
	return ((struct scene *)arg)->gone > 0;
}

static void test_cancel_and_end(void **state)
{
	struct sl_fetch_request r = { .on_body = on_body };
	struct scene s;

	(void)state;
	scene_init(&s, NULL, "127.0.0.1:0");
	s.stream_total = SIZE_MAX;
	start(&s, &r, "/pour");
	assert_true(sl_loop_run_until(&s.loop, has_watch, &s, SL_SEC(60)));
	sl_fetch_cancel(s.fetch);
	assert_true(sl_loop_run_until(&s.loop, is_gone, &s, SL_SEC(60))); /* the server is told */
	assert_int_equal(s.done, 0);
	start(&s, &r, "/never");
	assert_true(sl_loop_run_until(&s.loop, has_watch, &s, SL_SEC(60)));
	sl_fetcher_free(s.fetcher);
	assert_int_equal(s.done, 1);
	sl_assert_err(s.err, SL_ERR_CLOSED);
	s.fetcher = NULL;
	scene_fini(&s);
}

static void test_failures(void **state)
{
	static const struct sl_http_pair bad = { { "X", 1 }, { "a\r\nY: b", 7 } },
	                                 bad_name = { { "X: y", 4 }, { "a", 1 } };
	static const struct sl_fetch_request invalid[] = {
		{ .url = "ftp://127.0.0.1/" },
		{ .url = "not a url" },
		{ .url = "file:///etc/passwd" },
		{ .url = "http://127.0.0.1/", .headers = &bad, .header_count = 1 },
		{ .url = "http://127.0.0.1/", .headers = &bad_name, .header_count = 1 },
		{ .url = "http://127.0.0.1/", .method = "GET /x" },
		{ .url = "http://127.0.0.1/", .bearer_token = "a\nb" },
		{ .url = NULL },
	};
	struct sl_fetch_request r = { .timeout = SL_MSEC(50) }, plain = { 0 };
	struct scene s;

	(void)state;
	scene_init(&s, NULL, "127.0.0.1:0");
	for (size_t i = 0; i < SL_ARRAY_COUNT(invalid); i++)
		sl_assert_err(sl_fetch_start(s.fetcher, &invalid[i], NULL), SL_ERR_INVALID);
	fetch(&s, &r, "/never");
	sl_assert_err(s.err, SL_ERR_TIMEOUT);
	assert_true(sl_buf_size(&s.detail) > 0);
	snprintf(s.base, sizeof(s.base), "http://127.0.0.1:1");
	fetch(&s, &plain, "/");
	sl_assert_err(s.err, SL_ERR_REFUSED);
	assert_int_equal(s.status, 0);
	scene_fini(&s);
}

static void test_tls(void **state)
{
	const struct {
		const struct test_identity *trusts, *id;
		bool insecure;
		sl_err err;
		const char *user;
	} cases[] = {
		{ &pki.ca, NULL, false, SL_OK, "user=|" },
		{ &pki.ca, &pki.client, false, SL_OK, "user=admin|" },
		{ NULL, NULL, true, SL_OK, "user=|" },
		{ &pki.other_ca, NULL, false, SL_ERR_TLS, NULL },
		{ NULL, NULL, false, SL_ERR_TLS, NULL }, /* the system's authorities do not know ours */
		{ &pki.ca, &pki.expired, false, SL_ERR_TLS, NULL },
	};
	struct sl_tls_ctx *ctx = test_ctx(true, &pki.server, &pki.ca, SL_TLS_VERIFY_OPTIONAL, NULL);

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		struct sl_fetch_request r = { .insecure = cases[i].insecure };
		struct scene s;

		if (cases[i].trusts)
			r.ca_pem = sl_buf_str(&cases[i].trusts->cert);
		if (cases[i].id) {
			r.cert_pem = sl_buf_str(&cases[i].id->cert);
			r.key_pem = sl_buf_str(&cases[i].id->key);
		}
		scene_init(&s, ctx, "127.0.0.1:0");
		fetch(&s, &r, "/a");
		/* TLS 1.3: a client certificate is refused after the client thinks the handshake done; then it is a reset. */
		if (cases[i].err != SL_OK && s.err == SL_ERR_RESET && cases[i].id)
			s.err = SL_ERR_TLS;
		sl_assert_err(s.err, cases[i].err);
		if (cases[i].user)
			assert_non_null(strstr(sl_buf_cstr(&s.got), cases[i].user));
		scene_fini(&s);
	}
	sl_tls_ctx_unref(ctx);
}

static void test_unix_socket(void **state)
{
	struct sl_fetch_request r = { 0 };
	char *dir, *path, *where;
	struct scene s;

	(void)state;
	sl_assert_ok(sl_dir_make_temp("fetch", &dir));
	path = sl_asprintf("%s/socket", dir);
	where = sl_asprintf("unix:%s", path);
	scene_init(&s, NULL, where);
	r.unix_path = path;
	fetch(&s, &r, "/v1/containers");
	sl_assert_ok(s.err);
	assert_non_null(strstr(sl_buf_cstr(&s.got), "GET /v1/containers|"));
	scene_fini(&s);
	assert_false(sl_path_exists(path)); /* the listener took it along */
	sl_assert_ok(sl_path_remove(dir));
	sl_free(dir);
	sl_free(path);
	sl_free(where);
}

static void test_wait(void **state)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	SL_CLEANUP(sl_buf_fini) struct sl_buf body = { 0 };
	struct sl_fetch_request r = { .url = "http://127.0.0.1:1/" }, bad = { .url = "gopher://x" };
	int status = 0;

	(void)state;
	sl_assert_err(sl_fetch_wait(&r, &status, &body, &diag), SL_ERR_REFUSED);
	assert_int_equal(diag.count, 1);
	sl_assert_err(sl_fetch_wait(&bad, &status, &body, NULL), SL_ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_large_bodies),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_back_pressure),
		cmocka_unit_test(test_cancel_and_end),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_unix_socket),
		cmocka_unit_test(test_wait),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
