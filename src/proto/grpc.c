#include "proto/grpc.h"

#include <stdio.h>

/* ---- status ---- */

static const char *const names[] = {
#define SL_GRPC_STATUS(name, number) [number] = #name,
#include "proto/grpc_status.def"
};

const char *sl_grpc_status_name(enum sl_grpc_status status)
{
	return (unsigned)status < SL_ARRAY_COUNT(names) ? names[status] : "UNKNOWN";
}

enum sl_grpc_status sl_grpc_status_parse(sl_str text)
{
	uint64_t v;

	if (sl_str_to_u64(text, &v) != SL_OK || v >= SL_ARRAY_COUNT(names))
		return SL_GRPC_UNKNOWN;
	return (enum sl_grpc_status)v;
}

enum sl_grpc_status sl_grpc_status_of_http(uint32_t http_status)
{
	switch (http_status) {
	case 400:
		return SL_GRPC_INTERNAL;
	case 401:
		return SL_GRPC_UNAUTHENTICATED;
	case 403:
		return SL_GRPC_PERMISSION_DENIED;
	case 404:
		return SL_GRPC_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504:
		return SL_GRPC_UNAVAILABLE;
	default:
		return SL_GRPC_UNKNOWN;
	}
}

enum sl_grpc_status sl_grpc_status_of_err(sl_err err)
{
	static const unsigned char statuses[SL_ERR_COUNT] = {
		[SL_ERR_OK] = SL_GRPC_OK,
		[SL_ERR_AGAIN] = SL_GRPC_UNAVAILABLE,
		[SL_ERR_EOF] = SL_GRPC_UNAVAILABLE,
		[SL_ERR_MALFORMED] = SL_GRPC_INVALID_ARGUMENT,
		[SL_ERR_INVALID] = SL_GRPC_INVALID_ARGUMENT,
		[SL_ERR_BAD_REQUEST] = SL_GRPC_INVALID_ARGUMENT,
		[SL_ERR_TOO_BIG] = SL_GRPC_RESOURCE_EXHAUSTED,
		[SL_ERR_RANGE] = SL_GRPC_OUT_OF_RANGE,
		[SL_ERR_UNAUTHORIZED] = SL_GRPC_UNAUTHENTICATED,
		[SL_ERR_FORBIDDEN] = SL_GRPC_PERMISSION_DENIED,
		[SL_ERR_NOT_FOUND] = SL_GRPC_NOT_FOUND,
		[SL_ERR_METHOD_NOT_ALLOWED] = SL_GRPC_UNIMPLEMENTED,
		[SL_ERR_EXISTS] = SL_GRPC_ALREADY_EXISTS,
		[SL_ERR_CONFLICT] = SL_GRPC_ABORTED,
		[SL_ERR_EXPIRED] = SL_GRPC_OUT_OF_RANGE,
		[SL_ERR_UNSUPPORTED] = SL_GRPC_UNIMPLEMENTED,
		[SL_ERR_TIMEOUT] = SL_GRPC_DEADLINE_EXCEEDED,
		[SL_ERR_OVER_BUDGET] = SL_GRPC_RESOURCE_EXHAUSTED,
		[SL_ERR_UNAVAILABLE] = SL_GRPC_UNAVAILABLE,
		[SL_ERR_REFUSED] = SL_GRPC_UNAVAILABLE,
		[SL_ERR_RESET] = SL_GRPC_UNAVAILABLE,
		[SL_ERR_CLOSED] = SL_GRPC_UNAVAILABLE,
		[SL_ERR_TLS] = SL_GRPC_UNAVAILABLE,
		[SL_ERR_IO] = SL_GRPC_INTERNAL,
		[SL_ERR_INTERNAL] = SL_GRPC_INTERNAL,
	};

	return err != SL_OK && !statuses[err] ? SL_GRPC_UNKNOWN : (enum sl_grpc_status)statuses[err];
}

/* ---- framing ---- */

void sl_grpc_prefix(uint8_t dst[SL_GRPC_PREFIX_BYTES], size_t len)
{
	dst[0] = 0;
	dst[1] = (uint8_t)(len >> 24);
	dst[2] = (uint8_t)(len >> 16);
	dst[3] = (uint8_t)(len >> 8);
	dst[4] = (uint8_t)len;
}

void sl_grpc_deframer_fini(struct sl_grpc_deframer *d)
{
	sl_buf_fini(&d->in);
	d->taken = 0;
}

static void let_go(struct sl_grpc_deframer *d)
{
	sl_buf_consume(&d->in, d->taken);
	d->taken = 0;
}

void sl_grpc_deframer_feed(struct sl_grpc_deframer *d, sl_str bytes)
{
	let_go(d);
	sl_buf_str_add(&d->in, bytes);
}

sl_err sl_grpc_deframer_next(struct sl_grpc_deframer *d, sl_str *ret_message)
{
	const uint8_t *p;
	size_t len;
	sl_str in;

	let_go(d);
	in = sl_buf_str(&d->in);
	if (!in.len)
		return SL_ERR_AGAIN;
	p = (const uint8_t *)in.p;
	if (p[0] > 1)
		return SL_ERR_MALFORMED;
	if (p[0] == 1)
		return SL_ERR_UNSUPPORTED;
	if (in.len < SL_GRPC_PREFIX_BYTES)
		return SL_ERR_AGAIN;
	len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
	if (len > d->most_bytes)
		return SL_ERR_TOO_BIG;
	if (in.len - SL_GRPC_PREFIX_BYTES < len)
		return SL_ERR_AGAIN;
	*ret_message = sl_str_n(in.p + SL_GRPC_PREFIX_BYTES, len);
	d->taken = SL_GRPC_PREFIX_BYTES + len;
	return SL_OK;
}

/* ---- grpc-message ---- */

void sl_grpc_message_encode(sl_str text, struct sl_buf *out)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c >= ' ' && c <= '~' && c != '%')
			sl_buf_byte(out, (char)c);
		else
			sl_buf_printf(out, "%%%02X", c);
	}
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

void sl_grpc_message_decode(sl_str text, struct sl_buf *out)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] == '%' && text.len - i > 2 && hex(text.p[i + 1]) >= 0 &&
		        hex(text.p[i + 2]) >= 0) {
			sl_buf_byte(out, (char)(hex(text.p[i + 1]) << 4 | hex(text.p[i + 2])));
			i += 2;
		} else {
			sl_buf_byte(out, text.p[i]);
		}
	}
}

/* ---- grpc-timeout ---- */

static const struct {
	char unit;
	sl_nsec length;
} units[] = { { 'n', 1 }, { 'u', SL_USEC(1) }, { 'm', SL_MSEC(1) }, { 'S', SL_SEC(1) }, { 'M', SL_SEC(60) },
	{ 'H', SL_SEC(3600) } };

enum { DIGITS_MOST = 8, NUMBER_MOST = 99999999 };

sl_err sl_grpc_timeout_parse(sl_str text, sl_nsec *ret_timeout)
{
	uint64_t n;

	if (text.len < 2 || text.len > DIGITS_MOST + 1 ||
	        sl_str_to_u64(sl_str_first(text, text.len - 1), &n) != SL_OK)
		return SL_ERR_MALFORMED;
	for (size_t i = 0; i < SL_ARRAY_COUNT(units); i++) {
		if (units[i].unit != text.p[text.len - 1])
			continue;
		*ret_timeout = n > (uint64_t)(SL_NSEC_MAX / units[i].length) ? SL_NSEC_MAX
		                                                             : (sl_nsec)n * units[i].length;
		return SL_OK;
	}
	return SL_ERR_MALFORMED;
}

char *sl_grpc_timeout_format(char dst[10], sl_nsec timeout)
{
	for (size_t i = 0; i < SL_ARRAY_COUNT(units); i++) {
		sl_nsec n = timeout / units[i].length + (timeout % units[i].length != 0);

		if (n > NUMBER_MOST)
			continue;
		snprintf(dst, 10, "%u%c", (unsigned)n, units[i].unit);
		return dst;
	}
	memcpy(dst, "99999999H", 10);
	return dst;
}
