/*
 * Request heads. Properties: the verdict does not depend on how the bytes were cut; spans stay inside the head; what is accepted can
 * be framed in one way only; what is written from an accepted head is accepted again and says the same.
 */
#include "proto/http1_fuzz_priv.h"
#include "proto/uri.h"

static void check_unambiguous(const struct sl_http1_head *h, const char *p)
{
	FUZZ_CHECK(!(sl_http1_has(h, SL_HDR_CONTENT_LENGTH) && sl_http1_has(h, SL_HDR_TRANSFER_ENCODING)));
	FUZZ_CHECK(!(h->repeated >> SL_HDR_CONTENT_LENGTH & 1) && !(h->repeated >> SL_HDR_HOST & 1));
	FUZZ_CHECK(h->framing != SL_HTTP1_UNTIL_CLOSE && h->framing != SL_HTTP1_TUNNEL);
	FUZZ_CHECK((h->framing == SL_HTTP1_LENGTH) == (h->content_length > 0));
	FUZZ_CHECK((h->framing == SL_HTTP1_CHUNKED) == sl_http1_has(h, SL_HDR_TRANSFER_ENCODING));
	FUZZ_CHECK(!h->minor || sl_http1_has(h, SL_HDR_HOST));
	for (size_t i = 0; i < h->head_bytes; i++) {
		uint8_t c = (uint8_t)p[i];

		FUZZ_CHECK(c >= 0x20 || c == '\t' || c == '\r' || c == '\n');
		FUZZ_CHECK((c == '\n') == (i > 0 && p[i - 1] == '\r'));
	}
}

static void check_rewrite(const struct sl_http1_head *h, const char *p)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };
	struct sl_http1_head again;

	if (h->minor == 0)
		return; /* we write 1.1 */
	FUZZ_CHECK(
	        sl_http1_put_request(&b, sl_http1_str(p, h->method_at), sl_http1_str(p, h->target)) == SL_OK);
	for (size_t i = 0; i < h->field_count; i++)
		FUZZ_CHECK(sl_http1_put_field(&b, sl_http1_name(h, p, i), sl_http1_value(h, p, i)) == SL_OK);
	sl_http1_put_end(&b);
	if (b.len > fuzz_limits.head_bytes)
		return; /* "a:b" is written as "a: b" */
	sl_http1_head_init(&again);
	FUZZ_CHECK(sl_http1_request(&again, b.p, b.len, &fuzz_limits) == SL_OK);
	FUZZ_CHECK(again.head_bytes == b.len && again.framing == h->framing &&
	           again.keep_alive == h->keep_alive);
	FUZZ_CHECK(again.content_length == h->content_length && again.field_count == h->field_count);
	FUZZ_CHECK(sl_str_eq(sl_http1_str(b.p, again.authority), sl_http1_str(p, h->authority)));
}

static void check_target(sl_str target)
{
	struct sl_uri u;
	char path[65536];
	size_t len, len2;
	bool normal;

	if (sl_uri_split(target, &u) != SL_OK || !u.path.len)
		return;
	normal = sl_path_is_normal(u.path);
	if (sl_path_normalise(path, u.path, &len) != SL_OK) {
		FUZZ_CHECK(!normal);
		return;
	}
	FUZZ_CHECK(len <= u.path.len);
	FUZZ_CHECK(normal == sl_str_eq(u.path, sl_str_n(path, len)));
	FUZZ_CHECK(sl_path_is_normal(sl_str_n(path, len)));
	FUZZ_CHECK(sl_path_normalise(path, sl_str_n(path, len), &len2) == SL_OK && len2 == len);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct sl_http1_head h;
	const char *p = (const char *)bytes;
	sl_err err = fuzz_parse(&h, p, size, FUZZ_REQUEST, SL_METHOD_OTHER);

	if (err != SL_OK)
		return 0;
	check_unambiguous(&h, p);
	check_rewrite(&h, p);
	check_target(sl_http1_str(p, h.target));
	return 0;
}
