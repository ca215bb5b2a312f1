#pragma once
/* What the HTTP/1 fuzz targets share: parse whole, parse in steps, and hold the two against each other. Fuzz targets only. */
#include "proto/http1.h"

#include <stdio.h>
#include <stdlib.h>

#define FUZZ_CHECK(property)                                                                          \
	do {                                                                                          \
		if (!(property)) {                                                                    \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #property); \
			abort();                                                                      \
		}                                                                                     \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum fuzz_kind { FUZZ_REQUEST, FUZZ_RESPONSE, FUZZ_TRAILERS };

/* Small, so that the fuzzer meets them. */
static const struct sl_http1_limits fuzz_limits = {
	.head_bytes = 2048,
	.target_bytes = 512,
	.fields = 24,
	.chunk_ext_bytes = 16,
	.body_ext_bytes = 48,
	.trailer_bytes = 256,
};

static inline sl_err fuzz_call(
        struct sl_http1_head *h, const char *p, size_t len, enum fuzz_kind kind, enum sl_method to)
{
	switch (kind) {
	case FUZZ_REQUEST:
		return sl_http1_request(h, p, len, &fuzz_limits);
	case FUZZ_RESPONSE:
		return sl_http1_response(h, p, len, &fuzz_limits, to);
	case FUZZ_TRAILERS:
		return sl_http1_trailers(h, p, len, &fuzz_limits);
	}
	return SL_ERR_INTERNAL;
}

static inline void fuzz_same(const struct sl_http1_head *a, const struct sl_http1_head *b)
{
	FUZZ_CHECK(a->head_bytes == b->head_bytes && a->field_count == b->field_count &&
	           a->framing == b->framing);
	FUZZ_CHECK(a->content_length == b->content_length && a->keep_alive == b->keep_alive &&
	           a->upgrade == b->upgrade);
	FUZZ_CHECK(a->status == b->status && a->repeated == b->repeated && a->start_at == b->start_at);
	FUZZ_CHECK(memcmp(a->first, b->first, sizeof(a->first)) == 0);
	for (size_t i = 0; i < a->field_count; i++)
		FUZZ_CHECK(memcmp(&a->fields[i], &b->fields[i], sizeof(a->fields[i])) == 0);
}

static inline void fuzz_spans(const struct sl_http1_head *h)
{
	uint32_t at = h->fields_at;

	FUZZ_CHECK(h->head_bytes >= 2 && h->field_count <= fuzz_limits.fields);
	for (size_t i = 0; i < h->field_count; i++) {
		const struct sl_http1_field *f = &h->fields[i];

		FUZZ_CHECK(f->name.at == at && f->name.len > 0);
		FUZZ_CHECK(f->value.at > f->name.at + f->name.len);
		at = i + 1 < h->field_count ? h->fields[i + 1].name.at : h->head_bytes - 2;
		FUZZ_CHECK(f->value.at + f->value.len + 2u <= at);
	}
}

/* Parses the bytes whole, then in steps; the verdicts must be one. *h is the whole parse. */
static inline sl_err fuzz_parse(
        struct sl_http1_head *h, const char *p, size_t size, enum fuzz_kind kind, enum sl_method to)
{
	static struct sl_http1_head cut;
	size_t step = size > 300 ? size / 100 : 1;
	sl_err err, cut_err = SL_ERR_AGAIN;

	memset(h, 0xa5, sizeof(*h)); /* nothing may hang on what was there */
	sl_http1_head_init(h);
	err = fuzz_call(h, p, size, kind, to);
	FUZZ_CHECK(err == SL_ERR_AGAIN || err == sl_http1_fault_err(h->fault));
	memset(&cut, 0x5a, sizeof(cut));
	sl_http1_head_init(&cut);
	for (size_t len = 0; cut_err == SL_ERR_AGAIN && len <= size;
	        len = len + step < size || len == size ? len + step : size)
		cut_err = fuzz_call(&cut, p, len, kind, to);
	FUZZ_CHECK(err == cut_err && h->fault == cut.fault);
	if (err != SL_OK)
		return err;
	FUZZ_CHECK(h->head_bytes <= size);
	fuzz_same(h, &cut);
	fuzz_spans(h);
	return SL_OK;
}
