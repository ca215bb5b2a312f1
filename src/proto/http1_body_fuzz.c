/*
 * Chunked bodies: the first byte chooses the steps. Properties: _next and _raw agree on where the body ends and on the fault, however the
 * bytes are cut; the content written as chunks anew decodes to the same content; accepted trailers parse as fields.
 */
#include "proto/http1_fuzz_priv.h"

static size_t read_content(struct sl_http1_body *b, const char *p, size_t size, size_t step,
        struct sl_buf *content, struct sl_buf *trailers)
{
	size_t at = 0;

	while (at < size && !b->done) {
		size_t n = size - at < step ? size - at : step;
		struct sl_http1_piece piece;

		if (sl_http1_body_next(b, p + at, n, &piece) != SL_OK)
			break;
		FUZZ_CHECK(piece.used_bytes > 0 && piece.used_bytes <= n);
		FUZZ_CHECK(!piece.content.len ||
		           (piece.content.p >= p + at &&
		                   piece.content.p + piece.content.len <= p + at + piece.used_bytes));
		sl_buf_str_add(content, piece.content);
		sl_buf_str_add(trailers, piece.trailer);
		at += piece.used_bytes;
	}
	return at;
}

static size_t read_raw(struct sl_http1_body *b, const char *p, size_t size, size_t step)
{
	size_t at = 0, used;
	sl_err err = SL_OK;

	while (at < size && !b->done && err == SL_OK) {
		size_t n = size - at < step ? size - at : step;

		err = sl_http1_body_raw(b, p + at, n, &used);
		FUZZ_CHECK(used <= n && (used == n || b->done || err != SL_OK));
		at += used;
	}
	return at;
}

static void check_rechunked(sl_str content)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };
	SL_CLEANUP(sl_buf_fini) struct sl_buf again = { 0 };
	SL_CLEANUP(sl_buf_fini) struct sl_buf trailers = { 0 };
	struct sl_http1_body body;

	for (size_t at = 0, n = 1; at < content.len; at += n, n = n * 3) {
		char head[SL_HTTP1_CHUNK_HEAD_BYTES];

		n = n < content.len - at ? n : content.len - at;
		sl_buf_add(&b, head, sl_http1_chunk_head(head, n));
		sl_buf_add(&b, content.p + at, n);
		sl_buf_c(&b, "\r\n");
	}
	sl_buf_c(&b, SL_HTTP1_LAST_CHUNK);
	sl_http1_body_init(&body, NULL, &fuzz_limits);
	FUZZ_CHECK(read_content(&body, b.p, b.len, b.len, &again, &trailers) == b.len && body.done);
	FUZZ_CHECK((again.p && content.p) || !content.len);
	FUZZ_CHECK(sl_str_eq(content, sl_buf_str(&again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf content = { 0 };
	SL_CLEANUP(sl_buf_fini) struct sl_buf trailers = { 0 };
	SL_CLEANUP(sl_buf_fini) struct sl_buf ignored = { 0 };
	struct sl_http1_body whole, cut, raw;
	const char *p = (const char *)bytes + 1;
	size_t used, step;
	struct sl_http1_head h;

	if (!size--)
		return 0;
	step = bytes[0] + 1u;
	sl_http1_body_init(&whole, NULL, &fuzz_limits);
	sl_http1_body_init(&cut, NULL, &fuzz_limits);
	sl_http1_body_init(&raw, NULL, &fuzz_limits);
	used = read_content(&whole, p, size, size, &content, &trailers);
	FUZZ_CHECK(read_raw(&raw, p, size, step) >= used);
	FUZZ_CHECK(raw.fault == whole.fault && raw.done == whole.done &&
	           raw.content_bytes == whole.content_bytes);
	sl_buf_clear(&ignored);
	read_content(&cut, p, size, step, &ignored, &ignored);
	FUZZ_CHECK(cut.fault == whole.fault && cut.done == whole.done &&
	           cut.content_bytes == whole.content_bytes);
	FUZZ_CHECK(whole.content_bytes == sl_buf_size(&content));
	check_rechunked(sl_buf_str(&content));
	/* what the decoder passed as trailers parses as fields */
	FUZZ_CHECK(!whole.done ||
	           fuzz_parse(&h, trailers.p, trailers.len, FUZZ_TRAILERS, SL_METHOD_OTHER) == SL_OK);
	return 0;
}
