#include "base/test.h"

#include "proto/http1.h"

#include <stdlib.h>

/* Bodies as rows, by both uses of the decoder, whole and in steps, every piece in heap memory of exactly its size. */

#define ROW(text) .in = text, .len = sizeof(text) - 1

static const struct row {
	const char *in;
	size_t len;
	enum sl_http1_fault fault;
	const char *content; /* what came out, up to a fault */
	const char *rest;    /* what stays behind the body; NULL: the body is not complete */
	const char *note;
} chunked[] = {
	/* clang-format off */
	{ ROW("0\r\n\r\n"), .content = "", .rest = "" },
	{ ROW("5\r\nhello\r\n0\r\n\r\n"), .content = "hello", .rest = "" },
	{ ROW("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET /"), .content = "hello world", .rest = "GET /", .note = "pipelined request stays" },
	{ ROW("A\r\n0123456789\r\n0\r\n\r\n"), .content = "0123456789", .rest = "" },
	{ ROW("a\r\n0123456789\r\n000\r\n\r\n"), .content = "0123456789", .rest = "" },
	{ ROW("0000000000000001\r\nx\r\n0\r\n\r\n"), .content = "x", .rest = "", .note = "sixteen digits are enough" },
	{ ROW("00000000000000001\r\nx\r\n0\r\n\r\n"), .content = "", .fault = SL_HTTP1_FAULT_CHUNK_SIZE },
	{ ROW("1;a\r\nx\r\n0;b=c;d=\"e f\"\r\n\r\n"), .content = "x", .rest = "", .note = "9112 7.1.1: unknown extensions are ignored" },
	{ ROW("1 \t;a = b\r\nx\r\n0\r\n\r\n"), .content = "x", .rest = "", .note = "BWS" },
	{ ROW("1 \r\nx\r\n0\r\n\r\n"), .content = "", .fault = SL_HTTP1_FAULT_CHUNK_SIZE, .note = "but not without an extension" },
	{ ROW(" 1\r\nx\r\n0\r\n\r\n"), .content = "", .fault = SL_HTTP1_FAULT_CHUNK_SIZE },
	{ ROW("1 1\r\nx\r\n"), .content = "", .fault = SL_HTTP1_FAULT_CHUNK_SIZE },
	{ ROW("\r\n"), .content = "", .fault = SL_HTTP1_FAULT_CHUNK_SIZE, .note = "1*HEXDIG" },
	{ ROW(";a\r\n"), .content = "", .fault = SL_HTTP1_FAULT_CHUNK_SIZE },
	{ ROW("g\r\n"), .content = "", .fault = SL_HTTP1_FAULT_CHUNK_SIZE },
	{ ROW("0x5\r\nhello\r\n"), .content = "", .fault = SL_HTTP1_FAULT_CHUNK_SIZE },
	{ ROW("-1\r\n"), .content = "", .fault = SL_HTTP1_FAULT_CHUNK_SIZE },
	{ ROW("+1\r\n"), .content = "", .fault = SL_HTTP1_FAULT_CHUNK_SIZE },
	{ ROW("1_0\r\n"), .content = "", .fault = SL_HTTP1_FAULT_CHUNK_SIZE },
	{ ROW("7fffffffffffffff\r\nx"), .content = "x", .rest = NULL, .note = "the largest" },
	{ ROW("8000000000000000\r\n"), .content = "", .fault = SL_HTTP1_FAULT_CHUNK_SIZE, .note = "7.1: no overflow" },
	{ ROW("ffffffffffffffff0\r\n"), .content = "", .fault = SL_HTTP1_FAULT_CHUNK_SIZE },
	{ ROW("5\nhello\r\n0\r\n\r\n"), .content = "", .fault = SL_HTTP1_FAULT_CHUNK_END, .note = "bare LF: request smuggling" },
	{ ROW("5\rhello\r\n"), .content = "", .fault = SL_HTTP1_FAULT_CHUNK_END },
	{ ROW("5\r\r\nhello\r\n"), .content = "", .fault = SL_HTTP1_FAULT_CHUNK_END },
	{ ROW("5;a\nhello\r\n0\r\n\r\n"), .content = "", .fault = SL_HTTP1_FAULT_CHUNK_END, .note = "the TERM.EXT smuggling" },
	{ ROW("5;a\rb\r\nhello\r\n"), .content = "", .fault = SL_HTTP1_FAULT_CHUNK_END },
	{ ROW("5 ;\0\r\nhello\r\n"), .content = "", .fault = SL_HTTP1_FAULT_CHUNK_EXT },
	{ ROW("5 \nhello\r\n"), .content = "", .fault = SL_HTTP1_FAULT_CHUNK_END },
	{ ROW("5\r\nhello\n0\r\n\r\n"), .content = "hello", .fault = SL_HTTP1_FAULT_CHUNK_END },
	{ ROW("5\r\nhelloo\r\n0\r\n\r\n"), .content = "hello", .fault = SL_HTTP1_FAULT_CHUNK_END, .note = "longer than it said" },
	{ ROW("5\r\nhello\rx"), .content = "hello", .fault = SL_HTTP1_FAULT_CHUNK_END },
	{ ROW("5\r\nhello0\r\n\r\n"), .content = "hello", .fault = SL_HTTP1_FAULT_CHUNK_END },
	{ ROW("5\r\nhell"), .content = "hell", .rest = NULL },
	{ ROW("5\r\nhello\r\n0\r\n"), .content = "hello", .rest = NULL, .note = "the last CR LF is missing" },
	{ ROW("5\r\nhello\r\n0\r\n\r"), .content = "hello", .rest = NULL },
	{ ROW(""), .content = "", .rest = NULL },
	/* trailers: 7.1.2 */
	{ ROW("0\r\nA: b\r\nc:\r\n\r\nX"), .content = "", .rest = "X" },
	{ ROW("0\r\ngrpc-status: 0\r\nx-a-name-that-is-longer-than-any: \t y \xff\r\n\r\n"), .content = "", .rest = "" },
	{ ROW("0\r\nA : b\r\n\r\n"), .content = "", .fault = SL_HTTP1_FAULT_TRAILER },
	{ ROW("0\r\nA\r\n\r\n"), .content = "", .fault = SL_HTTP1_FAULT_TRAILER },
	{ ROW("0\r\n: b\r\n\r\n"), .content = "", .fault = SL_HTTP1_FAULT_TRAILER },
	{ ROW("0\r\nA: b\r\n c\r\n\r\n"), .content = "", .fault = SL_HTTP1_FAULT_TRAILER, .note = "folding" },
	{ ROW("0\r\nA: b\n\r\n"), .content = "", .fault = SL_HTTP1_FAULT_TRAILER },
	{ ROW("0\r\nA: b\rc\r\n\r\n"), .content = "", .fault = SL_HTTP1_FAULT_TRAILER },
	{ ROW("0\r\nA: \0\r\n\r\n"), .content = "", .fault = SL_HTTP1_FAULT_TRAILER },
	{ ROW("0\r\n\n"), .content = "", .fault = SL_HTTP1_FAULT_TRAILER },
	{ ROW("0\r\n\rX"), .content = "", .fault = SL_HTTP1_FAULT_TRAILER },
	{ ROW("0\r\nContent-Length: 5\r\n\r\n"), .content = "", .fault = SL_HTTP1_FAULT_TRAILER_FIELD, .note = "9110 6.5.1" },
	{ ROW("0\r\ntransfer-encoding: chunked\r\n\r\n"), .content = "", .fault = SL_HTTP1_FAULT_TRAILER_FIELD },
	{ ROW("0\r\nHOST: b\r\n\r\n"), .content = "", .fault = SL_HTTP1_FAULT_TRAILER_FIELD },
	{ ROW("0\r\nA: b\r\nConnection: close\r\n\r\n"), .content = "", .fault = SL_HTTP1_FAULT_TRAILER_FIELD },
	{ ROW("0\r\nTransfer-Encodings: x\r\n\r\n"), .content = "", .rest = "", .note = "another name" },
	/* limits, as set below: 11 bytes of extension for a chunk, 14 for the body, 64 of trailers, 3 of them */
	{ ROW("0;12345678901\r\n\r\n"), .content = "", .rest = "" },
	{ ROW("0;123456789012\r\n\r\n"), .content = "", .fault = SL_HTTP1_FAULT_CHUNK_EXT_BIG },
	{ ROW("1;23456\r\nx\r\n1;23456\r\ny\r\n0;2345\r\n\r\n"), .content = "xy", .rest = "" },
	{ ROW("1;23456\r\nx\r\n1;23456\r\ny\r\n0;23456\r\n\r\n"), .content = "xy", .fault = SL_HTTP1_FAULT_CHUNK_EXT_BIG },
	{ ROW("0\r\na:\r\nb:\r\nc:\r\n\r\n"), .content = "", .rest = "" },
	{ ROW("0\r\na:\r\nb:\r\nc:\r\nd:\r\n\r\n"), .content = "", .fault = SL_HTTP1_FAULT_TRAILER_TOO_BIG },
	{ ROW("0\r\na:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n\r\n"), .content = "", .rest = "" },
	{ ROW("0\r\na:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n\r\n"), .content = "", .fault = SL_HTTP1_FAULT_TRAILER_TOO_BIG },
	/* clang-format on */
};

static const struct sl_http1_limits tight = {
	.chunk_ext_bytes = 11, .body_ext_bytes = 14, .trailer_bytes = 64, .fields = 3
};

/* Content and trailers by _next. Returns how many bytes were consumed. */
static size_t read_body(struct sl_http1_body *b, const struct row *row, size_t step, struct sl_buf *content,
        struct sl_buf *trailers)
{
	size_t at = 0;

	while (at < row->len && !b->done && !b->fault) {
		size_t n = row->len - at < step ? row->len - at : step;
		struct sl_http1_piece piece;
		char *p = malloc(n ? n : 1);

		memcpy(p, row->in + at, n);
		if (sl_http1_body_next(b, p, n, &piece) == SL_OK) {
			assert_true(piece.used_bytes > 0 && piece.used_bytes <= n);
			sl_buf_str_add(content, piece.content);
			sl_buf_str_add(trailers, piece.trailer);
		}
		at += piece.used_bytes;
		free(p);
	}
	return at;
}

static void check_row(const struct row *row, size_t step)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf content = { 0 };
	SL_CLEANUP(sl_buf_fini) struct sl_buf trailers = { 0 };
	struct sl_http1_body b;
	size_t at;

	sl_http1_body_init(&b, NULL, &tight);
	at = read_body(&b, row, step, &content, &trailers);
	if (b.fault != row->fault)
		fail_msg("in steps of %zu: %s; wanted %s: %.*s", step, sl_http1_fault_name(b.fault),
		        sl_http1_fault_name(row->fault), (int)row->len, row->in);
	sl_assert_str(sl_buf_str(&content), row->content);
	assert_int_equal(b.content_bytes, strlen(row->content));
	assert_int_equal(b.done, row->rest != NULL);
	if (!row->rest)
		return;
	sl_assert_str(sl_str_n(row->in + at, row->len - at), row->rest);

	struct sl_http1_head h;

	sl_http1_head_init(&h);
	sl_assert_ok(sl_http1_trailers(&h, trailers.p, trailers.len, &tight));
	assert_int_equal(h.head_bytes, trailers.len);
	assert_int_equal(h.field_count, b.trailer_fields);
}

static void check_raw(const struct row *row, size_t step)
{
	struct sl_http1_body b;
	sl_err err = SL_OK;
	size_t at = 0;

	sl_http1_body_init(&b, NULL, &tight);
	while (at < row->len && !b.done && err == SL_OK) {
		size_t n = row->len - at < step ? row->len - at : step, used;

		err = sl_http1_body_raw(&b, row->in + at, n, &used);
		assert_true(used == n || b.done || err != SL_OK);
		at += used;
	}
	assert_string_equal(sl_http1_fault_name(b.fault), sl_http1_fault_name(row->fault));
	assert_int_equal(b.done, row->rest != NULL);
	if (row->rest)
		sl_assert_str(sl_str_n(row->in + at, row->len - at), row->rest);
}

static void chunked_bodies_end_where_they_should(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(chunked); i++) {
		for (size_t step = 1; step <= chunked[i].len + 1; step++) {
			check_row(&chunked[i], step);
			check_raw(&chunked[i], step);
		}
	}
}

static void a_length_is_counted_down(void **state)
{
	const struct sl_http1_head h = { .framing = SL_HTTP1_LENGTH, .content_length = 5 };
	struct sl_http1_piece piece;
	struct sl_http1_body b;
	size_t n;

	(void)state;
	sl_http1_body_init(&b, &h, &tight);
	sl_assert_ok(sl_http1_body_next(&b, "hel", 3, &piece));
	sl_assert_str(piece.content, "hel");
	assert_false(b.done);
	sl_assert_ok(sl_http1_body_next(&b, "loGET", 5, &piece));
	sl_assert_str(piece.content, "lo");
	assert_int_equal(piece.used_bytes, 2);
	assert_true(b.done);
	sl_assert_ok(sl_http1_body_next(&b, "GET", 3, &piece));
	assert_int_equal(piece.used_bytes, 0);
	sl_http1_body_init(&b, &h, &tight);
	sl_assert_ok(sl_http1_body_raw(&b, "helloGET", 8, &n));
	assert_int_equal(n, 5);
	sl_assert_ok(sl_http1_body_raw(&b, "GET", 3, &n));
	assert_int_equal(n, 0);
}

static void no_body_is_done_and_an_open_one_never(void **state)
{
	struct sl_http1_head h = { .framing = SL_HTTP1_NONE };
	struct sl_http1_body b;
	size_t n;

	(void)state;
	sl_http1_body_init(&b, &h, &tight);
	assert_true(b.done);
	h.framing = SL_HTTP1_TUNNEL;
	sl_http1_body_init(&b, &h, &tight);
	assert_true(b.done);
	h.framing = SL_HTTP1_UNTIL_CLOSE;
	sl_http1_body_init(&b, &h, &tight);
	sl_assert_ok(sl_http1_body_raw(&b, "anything", 8, &n));
	assert_int_equal(n, 8);
	assert_int_equal(b.content_bytes, 8);
	assert_false(b.done);
}

static void a_fault_stays(void **state)
{
	struct sl_http1_body b;
	struct sl_http1_piece piece;
	size_t n;

	(void)state;
	sl_http1_body_init(&b, NULL, &tight);
	sl_assert_err(sl_http1_body_raw(&b, "1\r\nxy", 5, &n), SL_ERR_MALFORMED);
	assert_int_equal(n, 4); /* what stood before the fault */
	sl_assert_err(sl_http1_body_raw(&b, "\r\n", 2, &n), SL_ERR_MALFORMED);
	assert_int_equal(n, 0);
	sl_assert_err(sl_http1_body_next(&b, "\r\n", 2, &piece), SL_ERR_MALFORMED);
	assert_int_equal(piece.used_bytes, 0);
}

static void chunk_heads_read_back(void **state)
{
	static const struct {
		uint64_t size;
		const char *text;
	} cases[] = {
		{ 1, "1\r\n" },
		{ 15, "f\r\n" },
		{ 16, "10\r\n" },
		{ 0xabcdef, "abcdef\r\n" },
		{ INT64_MAX, "7fffffffffffffff\r\n" },
		{ UINT64_MAX, "ffffffffffffffff\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		char dst[SL_HTTP1_CHUNK_HEAD_BYTES];

		sl_assert_str(sl_str_n(dst, sl_http1_chunk_head(dst, cases[i].size)), cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunked_bodies_end_where_they_should),
		cmocka_unit_test(a_length_is_counted_down),
		cmocka_unit_test(no_body_is_done_and_an_open_one_never),
		cmocka_unit_test(a_fault_stays),
		cmocka_unit_test(chunk_heads_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
