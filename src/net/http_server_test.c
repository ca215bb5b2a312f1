#include "net/net_test.h"

#include "net/http_server.h"
#include "os/io.h"
#include "proto/http1.h"

#include <stdio.h>
#include <stdlib.h>

/* --- a server with one handler of many manners, and one client that sends bytes as it likes --- */

struct scene {
	struct sl_loop loop;
	struct sl_http_server *server;
	int fd; /* the client's end */
	struct sl_buf got;
	bool ended; /* the server closed its side */

	struct sl_http_req *later; /* waits for an answer */
	unsigned requests, gone, drains;
	size_t streamed_in; /* bytes taken piece by piece */
	bool last_seen;
	size_t written; /* to a stream */
};

static void on_gone(struct sl_http_req *req)
{
	struct scene *s = req->server_user;

	s->gone++;
	s->later = NULL;
}

static void reply_echo(struct sl_http_req *req)
{
	struct sl_buf text = { 0 };
	sl_str x = sl_http_req_header(req, "x-test"), param;

	sl_buf_printf(&text, "%.*s %.*s", SL_STR_ARG(req->method), SL_STR_ARG(req->path));
	if (sl_http_req_param(req, "q", &param) == SL_OK)
		sl_buf_printf(&text, " q=%.*s", SL_STR_ARG(param));
	if (x.len)
		sl_buf_printf(&text, " x=%.*s", SL_STR_ARG(x));
	if (req->body.len)
		sl_buf_printf(&text, " body=%.*s", SL_STR_ARG(req->body));
	sl_http_reply(req, 200, "text/plain", sl_buf_str(&text));
	sl_buf_fini(&text);
}

static void on_request(struct sl_http_req *req)
{
	struct scene *s = req->server_user;

	s->requests++;
	if (sl_str_eq_c(req->path, "/later") || sl_str_eq_c(req->path, "/watch")) {
		s->later = req;
		req->on_gone = on_gone;
		if (sl_str_eq_c(req->path, "/watch"))
			sl_http_stream_begin(req, 200, "application/json");
	} else if (sl_str_eq_c(req->path, "/stream")) {
		sl_http_stream_begin(req, 200, "text/plain");
		sl_http_stream_write(req, SL_STR("one,"));
		sl_http_stream_write(req, SL_STR_NONE);
		sl_http_stream_write(req, SL_STR("two"));
		sl_http_stream_end(req);
	} else if (sl_str_eq_c(req->path, "/empty")) {
		sl_http_set_header(req, "X-Set", SL_STR("yes"));
		sl_http_reply(req, 204, NULL, SL_STR_NONE);
	} else if (sl_str_eq_c(req->path, "/missing")) {
		sl_http_reply_error(req, SL_ERR_NOT_FOUND, NULL);
	} else {
		reply_echo(req);
	}
}

static void on_body(struct sl_http_req *req, sl_str piece, bool last)
{
	struct scene *s = req->server_user;
	char text[64];

	s->streamed_in += piece.len;
	if (!last)
		return;
	s->last_seen = true;
	snprintf(text, sizeof(text), "%zu bytes", s->streamed_in);
	sl_http_reply(req, 200, NULL, sl_str_c(text));
}

static void on_head(struct sl_http_req *req)
{
	if (sl_str_eq_c(req->path, "/refused"))
		sl_http_reply(req, 403, NULL, SL_STR("no"));
	if (sl_str_eq_c(req->path, "/pieces"))
		req->on_body = on_body;
}

static const struct sl_http_limits small = {
	.head_most_bytes = 1000,
	.header_most_count = 10,
	.target_most_bytes = 100,
	.body_most_bytes = 50,
	.head_timeout = SL_SEC(1),
	.body_timeout = SL_SEC(2),
	.idle_timeout = SL_SEC(3),
	.write_timeout = SL_SEC(4),
	.stream_high_bytes = 20000,
	.stream_most_bytes = 100000,
};

static void attach(struct scene *s)
{
	struct sl_addr nobody = { .len = 0 };
	int fds[2];

	sl_assert_ok(sl_socket_pair(fds));
	s->fd = fds[0];
	s->ended = false;
	sl_buf_clear(&s->got);
	sl_http_server_adopt(s->server, fds[1], &nobody);
}

static void scene_init(struct scene *s, const struct sl_http_limits *limits)
{
	struct sl_http_server_config config = { .on_request = on_request, .on_head = on_head, .user = s };
	struct sl_loop_config virtual_time = { .virtual_time = true };

	*s = (struct scene) { .fd = -1 };
	sl_assert_ok(sl_loop_init(&s->loop, &virtual_time));
	if (limits)
		config.limits = *limits;
	sl_assert_ok(sl_http_server_new(&s->server, &s->loop, &config));
	attach(s);
}

static void scene_fini(struct scene *s)
{
	sl_http_server_free(s->server);
	sl_loop_turn(&s->loop, 0);
	sl_loop_turn(&s->loop, 0);
	sl_fd_close(&s->fd);
	assert_int_equal(s->loop.io_count, 0);
	assert_int_equal(s->loop.wheel.count, 0);
	sl_loop_fini(&s->loop);
	sl_buf_fini(&s->got);
}

static void receive(struct scene *s)
{
	ssize_t n;

	while ((n = sl_sock_recv(s->fd, sl_buf_reserve(&s->got, 65536), 65536)) > 0)
		sl_buf_commit(&s->got, (size_t)n);
	s->ended |= n == 0 || (n < 0 && errno == ECONNRESET);
}

/* Both ends are in this thread: a few turns are all that anything takes. */
static void settle(struct scene *s)
{
	for (int i = 0; i < 4; i++) {
		sl_loop_turn(&s->loop, 0);
		receive(s);
	}
}

static void say(struct scene *s, const char *bytes, size_t len, size_t piece)
{
	while (len) {
		size_t n = len < piece ? len : piece;

		if (sl_sock_send(s->fd, bytes, n) < 0)
			break; /* closed by the server: what it said counts */
		bytes += n;
		len -= n;
		if (len)
			sl_loop_turn(&s->loop, 0);
	}
	settle(s);
}

static void say_c(struct scene *s, const char *text)
{
	say(s, text, strlen(text), SIZE_MAX);
}

/* What was got, without the Date lines. */
static const char *answer(struct scene *s)
{
	static char text[100000];
	sl_str rest = sl_buf_str(&s->got), line;
	size_t len = 0;

	while (rest.len) {
		size_t n = sl_str_find(rest, '\n');

		n += n < rest.len;
		line = sl_str_first(rest, n);
		rest = sl_str_skip(rest, n);
		if (sl_str_starts(line, SL_STR("Date: ")) || len + n >= sizeof(text))
			continue;
		memcpy(text + len, line.p, n);
		len += n;
	}
	text[len] = 0;
	return text;
}

#define OK_TEXT(length, body) \
	"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\ncontent-length: " length "\r\n\r\n" body
#define OK_TEXT_CLOSE(length, body)                                                                   \
	"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\ncontent-length: " length \
	"\r\n\r\n" body
#define H "Host: h\r\n"

static void test_requests(void **state)
{
	static const struct {
		const char *in, *out;
		bool ended;
	} cases[] = {
		{ "GET /a HTTP/1.1\r\n" H "\r\n", OK_TEXT("6", "GET /a"), false },
		{ "GET /a?q=1%202+3&r HTTP/1.1\r\n" H "X-Test:  v \r\n\r\n",
		        OK_TEXT("18", "GET /a q=1 2 3 x=v"), false },
		{ "GET http://h/abs?q=%zz HTTP/1.1\r\n" H "\r\n", OK_TEXT("8", "GET /abs"), false },
		{ "POST /b HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nxyz", OK_TEXT("16", "POST /b body=xyz"),
		        false },
		{ "POST /b HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", OK_TEXT("7", "POST /b"), false },
		{ "POST /b HTTP/1.1\r\n" H
		  "Transfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n1;e=1\r\nz\r\n0\r\nT: 1\r\n\r\n",
		        OK_TEXT("16", "POST /b body=xyz"), false },
		/* pipelined: in order, each with its own body */
		{ "POST /1 HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nabGET /2 HTTP/1.1\r\n" H
		  "\r\nGET /3 HTTP/1.1\r\n" H "\r\n",
		        OK_TEXT("15", "POST /1 body=ab") OK_TEXT("6", "GET /2") OK_TEXT("6", "GET /3"),
		        false },
		{ "GET /a HTTP/1.1\r\n" H "Connection: close\r\n\r\nGET /never HTTP/1.1\r\n" H "\r\n",
		        OK_TEXT_CLOSE("6", "GET /a"), true },
		{ "GET /a HTTP/1.0\r\n\r\n", OK_TEXT_CLOSE("6", "GET /a"), true },
		{ "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: keep-alive\r\ncontent-length: 6\r\n\r\nGET /a",
		        false },
		{ "HEAD /a HTTP/1.1\r\n" H "\r\nGET /b HTTP/1.1\r\n" H "\r\n",
		        OK_TEXT("7", "") OK_TEXT("6", "GET /b"), false },
		{ "GET /empty HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 204 No Content\r\nX-Set: yes\r\n\r\n",
		        false },
		{ "GET /missing HTTP/1.1\r\n" H "\r\n",
		        "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\ncontent-length: 10\r\n\r\nnot found\n",
		        false },
		{ "GET /stream HTTP/1.1\r\n" H "\r\nGET /b HTTP/1.1\r\n" H "\r\n",
		        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
		        "4\r\none,\r\n3\r\ntwo\r\n0\r\n\r\n" OK_TEXT("6", "GET /b"),
		        false },
		{ "HEAD /stream HTTP/1.1\r\n" H "\r\n",
		        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n",
		        false },
		{ "GET /stream HTTP/1.0\r\n\r\n",
		        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\none,two",
		        true },
		{ "POST /pieces HTTP/1.1\r\n" H "Content-Length: 60\r\n\r\n"
		  "012345678901234567890123456789012345678901234567890123456789GET /b HTTP/1.1\r\n" H "\r\n",
		        "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n60 bytes" OK_TEXT("6", "GET /b"),
		        false },
		{ "GET /refused HTTP/1.1\r\n" H "\r\nGET /b HTTP/1.1\r\n" H "\r\n",
		        "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno" OK_TEXT("6", "GET /b"),
		        false },
		/* refused before its body: what comes is dropped, and the connection ends */
		{ "POST /refused HTTP/1.1\r\n" H "Content-Length: 40\r\nExpect: 100-continue\r\n\r\n",
		        "HTTP/1.1 403 Forbidden\r\nConnection: close\r\ncontent-length: 2\r\n\r\nno", true },
		{ "\r\nGET /a HTTP/1.1\r\n" H "\r\n", OK_TEXT("6", "GET /a"), false },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		for (size_t piece = 1; piece <= 10000; piece = piece == 1 ? 7 : piece == 7 ? 10000 : 10001) {
			struct scene s;

			scene_init(&s, &small);
			say(&s, cases[i].in, strlen(cases[i].in), piece);
			if (strcmp(answer(&s), cases[i].out) != 0)
				fail_msg("row %zu by %zu: got \"%s\"", i, piece, answer(&s));
			assert_int_equal(s.ended, cases[i].ended);
			scene_fini(&s);
		}
	}
}

static void test_refusals(void **state)
{
	static const struct {
		const char *in;
		int status;
	} cases[] = {
		{ "GET\r\n\r\n", 400 },
		{ "GET /a HTTP/1.1\r\n\r\n", 400 }, /* no Host */
		{ "GET /a HTTP/1.1\nHost: h\n\n", 400 },
		{ "GET /a HTTP/2.0\r\n" H "\r\n", 505 },
		{ "GET /a HTTP/1.1\r\n" H "A : b\r\n\r\n", 400 },
		{ "GET /a HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n", 400 },
		{ "POST /a HTTP/1.1\r\n" H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		        400 },
		{ "POST /a HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400 },
		{ "POST /a HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\nx", 400 },
		{ "POST /a HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n", 501 },
		{ "POST /a HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400 },
		{ "POST /a HTTP/1.1\r\n" H "Content-Length: 51\r\n\r\n", 413 },
		{ "POST /a HTTP/1.1\r\n" H "Content-Length: 51\r\nExpect: 100-continue\r\n\r\n", 413 },
		{ "POST /a HTTP/1.1\r\n" H "Expect: other\r\nContent-Length: 1\r\n\r\n", 417 },
		{ "POST /a HTTP/1.1\r\n" H
		  "Transfer-Encoding: chunked\r\n\r\n20\r\n0123456789abcdef0123456789abcdef\r\n"
		  "20\r\n0123456789abcdef0123456789abcdef\r\n0\r\n\r\n",
		        413 },
		{ "CONNECT h:80 HTTP/1.1\r\n" H "\r\n", 405 },
		{ "GET /0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789 "
		  "HTTP/1.1\r\n" H "\r\n",
		        414 },
		{ "GET /a HTTP/1.1\r\n" H
		  "a: 1\r\na: 1\r\na: 1\r\na: 1\r\na: 1\r\na: 1\r\na: 1\r\na: 1\r\na: 1\r\na: 1\r\n\r\n",
		        431 },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		for (size_t piece = 1; piece <= 10000; piece += 9999) {
			struct scene s;
			char start[32];

			scene_init(&s, &small);
			say(&s, cases[i].in, strlen(cases[i].in), piece);
			snprintf(start, sizeof(start), "HTTP/1.1 %d ", cases[i].status);
			if (!sl_str_starts(sl_buf_str(&s.got), sl_str_c(start)) ||
			        !strstr(answer(&s), "Connection: close"))
				fail_msg("row %zu by %zu: got \"%s\"", i, piece, answer(&s));
			assert_true(s.ended); /* where the next request would begin is unknown */
			assert_int_equal(s.requests, 0);
			scene_fini(&s);
		}
	}
}

static void test_head_too_big(void **state)
{
	char line[60];
	struct scene s;

	(void)state;
	scene_init(&s, &small);
	say_c(&s, "GET /a HTTP/1.1\r\n" H "A: ");
	memset(line, 'a', sizeof(line));
	for (int i = 0; i < 20 && !s.ended; i++)
		say(&s, line, sizeof(line), SIZE_MAX);
	assert_true(sl_str_starts(sl_buf_str(&s.got), SL_STR("HTTP/1.1 431 ")));
	assert_true(s.ended);
	scene_fini(&s);
}

static void test_continue(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s, &small);
	say_c(&s, "POST /a HTTP/1.1\r\n" H "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
	assert_string_equal(answer(&s), "HTTP/1.1 100 Continue\r\n\r\n");
	sl_buf_clear(&s.got);
	say_c(&s, "xy");
	assert_string_equal(answer(&s), OK_TEXT("15", "POST /a body=xy"));
	scene_fini(&s);
}

/* --- answers that come later, and clients that leave --- */

static void test_later(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s, &small);
	say_c(&s, "GET /later HTTP/1.1\r\n" H "\r\nGET /next HTTP/1.1\r\n" H "\r\n");
	assert_string_equal(answer(&s), "");
	assert_int_equal(s.requests, 1); /* the second waits for its turn */
	reply_echo(s.later);
	settle(&s);
	assert_string_equal(answer(&s), OK_TEXT("10", "GET /later") OK_TEXT("9", "GET /next"));
	assert_int_equal(s.gone, 0);

	sl_buf_clear(&s.got);
	say_c(&s, "GET /later HTTP/1.1\r\n" H "\r\n");
	shutdown(s.fd, SHUT_WR); /* a client that has said all still wants its answer */
	settle(&s);
	assert_int_equal(s.gone, 0);
	reply_echo(s.later);
	settle(&s);
	assert_string_equal(answer(&s), OK_TEXT("10", "GET /later"));
	assert_true(s.ended);
	assert_int_equal(s.gone, 0);
	scene_fini(&s);
}

static void test_gone(void **state)
{
	static const char *const paths[] = { "/later", "/watch" };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		char request[100];
		struct scene s;

		scene_init(&s, &small);
		snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n" H "\r\n", paths[i % 2]);
		say_c(&s, request);
		assert_non_null(s.later);
		if (i < 2) { /* the server goes */
			sl_http_server_free(s.server);
			assert_int_equal(s.gone, 1); /* told within the call */
			s.server = NULL;
		} else if (i % 2) { /* a watcher leaves */
			sl_fd_close(&s.fd);
			sl_loop_turn(&s.loop, 0);
			assert_int_equal(s.gone, 1);
		} else { /* nothing is sent to it: only the answer finds out, harmlessly */
			sl_fd_close(&s.fd);
			sl_loop_turn(&s.loop, 0);
			if (s.later)
				reply_echo(s.later);
			for (int k = 0; k < 6; k++)
				sl_loop_turn(&s.loop, 0);
			assert_int_equal(sl_http_server_connection_count(s.server), 0);
		}
		scene_fini(&s);
	}
}

static void on_watch_drain(struct sl_http_req *req)
{
	((struct scene *)req->server_user)->drains++;
}

/* A watch whose client reads slowly: the writer is told to stop, memory stays bounded, and nothing is lost. */
static void test_slow_watcher(void **state)
{
	static const char line[] = "0123456789012345678901234567890123456789012345678901234567890123456789\n";
	struct sl_http1_body body;
	size_t most = 0, content = 0;
	struct scene s;

	(void)state;
	scene_init(&s, &small);
	say_c(&s, "GET /watch HTTP/1.1\r\n" H "\r\n");
	s.later->on_drain = on_watch_drain;
	sl_buf_clear(&s.got);
	for (int round = 0; round < 50; round++) {
		unsigned drains = s.drains;

		while (sl_http_stream_write(s.later, sl_str_n(line, sizeof(line) - 1)))
			s.written += sizeof(line) - 1;
		s.written += sizeof(line) - 1; /* the one that said "full" was taken too */
		for (int i = 0; i < 3; i++)
			sl_loop_turn(&s.loop, 0); /* the client does not read */
		if (sl_http_stream_write(s.later, SL_STR_NONE))
			continue; /* the kernel took it all */
		most = s.written > most ? s.written : most;
		settle(&s); /* now it does */
		assert_true(s.drains > drains);
	}
	assert_true(s.drains > 10);
	sl_http_stream_end(s.later);
	settle(&s);
	sl_http1_body_init(&body, NULL, &(struct sl_http1_limits)SL_HTTP1_LIMITS);
	while (!body.done) {
		struct sl_http1_piece piece;

		sl_assert_ok(sl_http1_body_next(&body, s.got.p + s.got.off, sl_buf_size(&s.got), &piece));
		content += piece.content.len;
		sl_buf_consume(&s.got, piece.used_bytes);
	}
	assert_int_equal(content, s.written);
	assert_int_equal(s.gone, 0);
	scene_fini(&s);
}

static void test_stuck_watchers(void **state)
{
	char piece[5000] = { 0 };
	struct scene s;

	(void)state;
	/* A writer that does not stop when told: cut at stream_most_bytes. */
	scene_init(&s, &small);
	say_c(&s, "GET /watch HTTP/1.1\r\n" H "\r\n");
	while (s.gone == 0) {
		sl_http_stream_write(s.later, sl_str_n(piece, sizeof(piece)));
		s.written += sizeof(piece);
		assert_true(s.written < 3000000);
		if (s.written % 100000 == 0)
			sl_loop_turn(&s.loop, 0);
		if (!s.later)
			break;
	}
	assert_int_equal(s.gone, 1);
	scene_fini(&s);

	/* A client that reads nothing: cut at write_timeout. */
	scene_init(&s, &small);
	say_c(&s, "GET /watch HTTP/1.1\r\n" H "\r\n");
	do
		sl_loop_turn(&s.loop, 0);
	while (sl_http_stream_write(s.later, sl_str_n(piece, sizeof(piece))));
	sl_loop_turn(&s.loop, 0);
	sl_loop_advance(&s.loop, SL_SEC(3));
	assert_int_equal(s.gone, 0);
	sl_loop_advance(&s.loop, SL_SEC(6));
	assert_int_equal(s.gone, 1);
	scene_fini(&s);
}

static void test_stream_abort(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s, &small);
	say_c(&s, "GET /watch HTTP/1.1\r\n" H "\r\n");
	sl_http_stream_write(s.later, SL_STR("part"));
	settle(&s);
	sl_http_stream_abort(s.later);
	settle(&s);
	assert_true(s.ended);
	assert_null(strstr(answer(&s), "0\r\n\r\n"));
	assert_int_equal(s.gone, 0); /* it knows */
	scene_fini(&s);
}

/* --- time --- */

static void test_timeouts(void **state)
{
	static const struct {
		const char *in;
		sl_nsec lives, dies; /* still open after, closed after */
		const char *says;
	} cases[] = {
		{ "", SL_MSEC(2900), SL_MSEC(3100), "" }, /* idle: silently */
		{ "GET /a", SL_MSEC(900), SL_MSEC(1100), "HTTP/1.1 408 " },
		{ "POST /a HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nx", SL_MSEC(1900), SL_MSEC(2100),
		        "HTTP/1.1 408 " },
		{ "GET /a HTTP/1.1\r\n" H "\r\n", SL_MSEC(2900), SL_MSEC(3100), "HTTP/1.1 200 " },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		struct scene s;

		scene_init(&s, &small);
		say_c(&s, cases[i].in);
		sl_loop_advance(&s.loop, cases[i].lives);
		settle(&s);
		assert_false(s.ended);
		sl_loop_advance(&s.loop, cases[i].dies - cases[i].lives);
		settle(&s);
		assert_true(s.ended);
		assert_true(sl_str_starts(sl_buf_str(&s.got), sl_str_c(cases[i].says)));
		assert_true(cases[i].says[0] || sl_buf_size(&s.got) == 0);
		scene_fini(&s);
	}
}

static void test_slow_head_is_not_endless(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s, &small);
	for (int i = 0; i < 30 && !s.ended; i++) { /* a byte at a time buys none */
		say_c(&s, "a");
		sl_loop_advance(&s.loop, SL_MSEC(100));
		settle(&s);
		assert_true(i < 15);
	}
	assert_true(s.ended);
	scene_fini(&s);
}

static void test_waiting_handler_is_not_timed(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s, &small);
	say_c(&s, "GET /later HTTP/1.1\r\n" H "\r\n");
	sl_loop_advance(&s.loop, SL_SEC(3600));
	assert_int_equal(s.gone, 0);
	reply_echo(s.later);
	settle(&s);
	assert_string_equal(answer(&s), OK_TEXT("10", "GET /later"));
	scene_fini(&s);
}

/* --- a client that pipelines and does not read --- */

static void test_pipelining_without_reading(void **state)
{
	static const char request[] = "POST /echo HTTP/1.1\r\n" H
	                              "Content-Length: 40\r\n\r\n0123456789012345678901234567890123456789";
	struct scene s;
	size_t sent = 0, answers = 0;

	(void)state;
	scene_init(&s, &small);
	for (int i = 0; i < 200000; i++) {
		ssize_t n = sl_sock_send(s.fd, request, sizeof(request) - 1);

		if (n < 0)
			break;
		assert_int_equal(n,
		        sizeof(request) - 1); /* small enough for a socket pair to take whole or not at all */
		sent++;
		if (i % 100 == 0)
			sl_loop_turn(&s.loop, 0);
	}
	for (int i = 0; i < 100; i++)
		sl_loop_turn(&s.loop, 0);
	assert_true(s.requests < sent); /* it stopped serving, rather than queue answers without end */
	for (int i = 0; i < 10000 && answers < sent; i++) {
		sl_loop_turn(&s.loop, 0);
		receive(&s);
		answers = s.requests;
	}
	assert_int_equal(answers, sent);
	scene_fini(&s);
}

/* --- drain and many connections --- */

static void note(void *arg)
{
	*(bool *)arg = true;
}

static void test_drain(void **state)
{
	bool drained = false;
	struct scene s;

	(void)state;
	scene_init(&s, &small);
	say_c(&s, "GET /later HTTP/1.1\r\n" H "\r\n");
	{
		int busy = s.fd;

		attach(&s); /* an idle one beside it */
		settle(&s);
		assert_int_equal(sl_http_server_connection_count(s.server), 2);
		sl_http_server_drain(s.server, note, &drained);
		settle(&s);
		assert_true(s.ended);
		sl_fd_close(&s.fd);
		s.fd = busy;
		s.ended = false;
	}
	settle(&s);
	assert_false(drained);
	reply_echo(s.later);
	settle(&s);
	assert_non_null(strstr(answer(&s), "Connection: close\r\n"));
	assert_true(s.ended);
	sl_fd_close(&s.fd);
	settle(&s);
	assert_true(drained);
	scene_fini(&s);
}

static void test_connections_most(void **state)
{
	struct sl_http_limits two = { .connections_most = 2 };
	struct sl_addr a, bound;
	int fds[3];
	struct scene s;

	(void)state;
	scene_init(&s, &two);
	sl_assert_ok(sl_addr_parse(&a, SL_STR("127.0.0.1:0")));
	sl_assert_ok(sl_http_server_listen(s.server, &a, NULL, &bound, NULL));
	for (size_t i = 0; i < 3; i++) {
		sl_err err = sl_connect_start(&bound, NULL, &fds[i]);

		assert_true(err == SL_OK || err == SL_ERR_AGAIN);
	}
	for (int i = 0; i < 1000 && sl_http_server_connection_count(s.server) < 2; i++)
		sl_loop_turn(&s.loop, SL_MSEC(1));
	settle(&s);
	assert_int_equal(
	        sl_http_server_connection_count(s.server), 2); /* the socket pair and one more; two wait */
	sl_fd_close(&s.fd);
	for (int i = 0; i < 1000 && s.loop.io_count; i++)
		sl_loop_turn(&s.loop, SL_MSEC(1));
	assert_int_equal(sl_http_server_connection_count(s.server), 2);
	for (size_t i = 0; i < 3; i++)
		sl_fd_close(&fds[i]);
	scene_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_head_too_big),
		cmocka_unit_test(test_continue),
		cmocka_unit_test(test_later),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_slow_watcher),
		cmocka_unit_test(test_stuck_watchers),
		cmocka_unit_test(test_stream_abort),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_slow_head_is_not_endless),
		cmocka_unit_test(test_waiting_handler_is_not_timed),
		cmocka_unit_test(test_pipelining_without_reading),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_connections_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
