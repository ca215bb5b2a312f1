#include "base/buf.h"

#include <stdio.h>

void sl_buf_fini(struct sl_buf *b)
{
	sl_free(b->p);
	*b = (struct sl_buf) { 0 };
}

void sl_buf_clear(struct sl_buf *b)
{
	b->off = b->len = 0;
}

char *sl_buf_reserve(struct sl_buf *b, size_t n_bytes)
{
	if (b->cap - b->len >= n_bytes && b->p)
		return b->p + b->len;
	if (b->off && b->p) {
		memmove(b->p, b->p + b->off, b->len - b->off);
		b->len -= b->off;
		b->off = 0;
	}
	if (b->cap - b->len < n_bytes || !b->p) {
		size_t cap = b->cap ? b->cap * 2 : 256;

		while (cap - b->len < n_bytes)
			cap *= 2;
		b->p = sl_resize(b->p, cap);
		b->cap = cap;
	}
	return b->p + b->len;
}

void sl_buf_consume(struct sl_buf *b, size_t n_bytes)
{
	b->off += n_bytes < b->len - b->off ? n_bytes : b->len - b->off;
	if (b->off == b->len)
		b->off = b->len = 0;
}

void sl_buf_add(struct sl_buf *b, const void *p, size_t n_bytes)
{
	if (!n_bytes)
		return;
	memcpy(sl_buf_reserve(b, n_bytes), p, n_bytes);
	b->len += n_bytes;
}

void sl_buf_str_add(struct sl_buf *b, sl_str s)
{
	sl_buf_add(b, s.p, s.len);
}

void sl_buf_c(struct sl_buf *b, const char *s)
{
	sl_buf_add(b, s, strlen(s));
}

void sl_buf_byte(struct sl_buf *b, char c)
{
	*sl_buf_reserve(b, 1) = c;
	b->len++;
}

void sl_buf_vprintf(struct sl_buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(sl_buf_reserve(b, 128), 128, fmt, ap);
	if (n >= 128)
		n = vsnprintf(sl_buf_reserve(b, (size_t)n + 1), (size_t)n + 1, fmt, again);
	va_end(again);
	if (n > 0)
		b->len += (size_t)n;
}

void sl_buf_printf(struct sl_buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	sl_buf_vprintf(b, fmt, ap);
	va_end(ap);
}

const char *sl_buf_cstr(struct sl_buf *b)
{
	*sl_buf_reserve(b, 1) = '\0';
	return b->p + b->off;
}
