#pragma once
/*
 * A growable byte buffer with a read position: bytes [off, len) are live.
 * Ownership: embedded; sl_buf_fini frees the bytes. All-zero is a valid empty buffer.       Threads: one owner.
 */
#include "base/mem.h"
#include "base/str.h"

#include <stdarg.h>

struct sl_buf {
	char *p;
	size_t off; /* first live byte */
	size_t len; /* end of the live bytes; off <= len <= cap */
	size_t cap; /* bytes allocated */
};

void sl_buf_fini(struct sl_buf *b);
void sl_buf_clear(struct sl_buf *b); /* keeps the memory */

static inline size_t sl_buf_size(const struct sl_buf *b)
{
	return b->len - b->off;
}

static inline sl_str sl_buf_str(const struct sl_buf *b)
{
	return b->p ? sl_str_n(b->p + b->off, b->len - b->off) : SL_STR_NONE;
}

/* Room for at least n more bytes at the end (may move the live bytes to the front); returns where to write them. */
char *sl_buf_reserve(struct sl_buf *b, size_t n_bytes);
static inline void sl_buf_commit(struct sl_buf *b, size_t n_bytes)
{
	b->len += n_bytes;
}
/* Drops n live bytes from the front. */
void sl_buf_consume(struct sl_buf *b, size_t n_bytes);

void sl_buf_add(struct sl_buf *b, const void *p, size_t n_bytes);
void sl_buf_str_add(struct sl_buf *b, sl_str s);
void sl_buf_c(struct sl_buf *b, const char *s);
void sl_buf_byte(struct sl_buf *b, char c);
void sl_buf_printf(struct sl_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sl_buf_vprintf(struct sl_buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* Ends the live bytes with a NUL that is not counted, and returns them as a C string (owned by the buffer). */
const char *sl_buf_cstr(struct sl_buf *b);

static inline void sl_buf_fini_cleanup_(
        struct sl_buf *b) /* SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 }; */
{
	sl_buf_fini(b);
}
