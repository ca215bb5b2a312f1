#include "proto/http1.h"

#include "proto/ascii.h"

#include <stdio.h>

static const sl_str methods[SL_METHOD_COUNT] = {
#define ROW(name) [SL_METHOD_##name] = { .p = #name, .len = sizeof(#name) - 1 },
	SL_HTTP_METHODS(ROW)
#undef ROW
};

sl_str sl_method_name(enum sl_method m)
{
	return m > SL_METHOD_OTHER && m < SL_METHOD_COUNT ? methods[m] : SL_STR("");
}

enum sl_method sl_method_find(sl_str name)
{
	for (unsigned m = SL_METHOD_OTHER + 1; m < SL_METHOD_COUNT; m++)
		if (sl_str_eq(name, methods[m]))
			return (enum sl_method)m;
	return SL_METHOD_OTHER;
}

/* The whole line; the reason is the part behind "HTTP/1.1 200 ", without CR LF. */
sl_str sl_http1_status_line(unsigned status)
{
	switch (status) {
#define SL_STATUS(code, reason) \
	case code:              \
		return SL_STR("HTTP/1.1 " #code " " reason "\r\n");
#include "proto/http_statuses.def"
	default:
		return SL_STR_NONE;
	}
}

sl_str sl_http1_reason(unsigned status)
{
	sl_str line = sl_http1_status_line(status);

	return line.len ? sl_str_n(line.p + 13, line.len - 15) : SL_STR("");
}

sl_err sl_http1_put_request(struct sl_buf *out, sl_str method, sl_str target)
{
	if (!method.len || !target.len || !sl_ch_all(method, SL_CH_TOKEN) || !sl_ch_all(target, SL_CH_TARGET))
		return SL_ERR_INVALID;
	sl_buf_str_add(out, method);
	sl_buf_byte(out, ' ');
	sl_buf_str_add(out, target);
	sl_buf_str_add(out, SL_STR(" HTTP/1.1\r\n"));
	return SL_OK;
}

sl_err sl_http1_put_status(struct sl_buf *out, unsigned status)
{
	sl_str line = sl_http1_status_line(status);

	if (status < 100 || status > 999)
		return SL_ERR_INVALID;
	if (line.len)
		sl_buf_str_add(out, line);
	else
		sl_buf_printf(out, "HTTP/1.1 %u \r\n", status);
	return SL_OK;
}

sl_err sl_http1_put_field(struct sl_buf *out, sl_str name, sl_str value)
{
	if (!name.len || !sl_ch_all(name, SL_CH_TOKEN) || !sl_ch_all(value, SL_CH_FIELD))
		return SL_ERR_INVALID;
	sl_buf_str_add(out, name);
	sl_buf_str_add(out, SL_STR(": "));
	sl_buf_str_add(out, value);
	sl_buf_str_add(out, SL_STR("\r\n"));
	return SL_OK;
}

void sl_http1_put_length(struct sl_buf *out, uint64_t content_bytes)
{
	sl_buf_printf(out, "content-length: %llu\r\n", (unsigned long long)content_bytes);
}

void sl_http1_put_end(struct sl_buf *out)
{
	sl_buf_str_add(out, SL_STR("\r\n"));
}
