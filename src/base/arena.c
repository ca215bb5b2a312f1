#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>

struct sl_arena_block {
	struct sl_arena_block *next;
	size_t size_bytes; /* with this header */
	alignas(max_align_t) char bytes[];
};

enum { FIRST_BYTES = 1024, LARGEST_BYTES = 1 << 20 };

void sl_arena_fini(struct sl_arena *a)
{
	while (a->blocks) {
		struct sl_arena_block *next = a->blocks->next;

		sl_free(a->blocks);
		a->blocks = next;
	}
	*a = (struct sl_arena) { 0 };
}

void sl_arena_reset(struct sl_arena *a)
{
	struct sl_arena_block *keep = a->blocks;

	if (!keep)
		return;
	a->blocks = keep->next;
	keep->next = NULL;
	while (a->blocks) {
		struct sl_arena_block *next = a->blocks->next;

		sl_free(a->blocks);
		a->blocks = next;
	}
	a->blocks = keep;
	a->total_bytes = keep->size_bytes;
	a->at = keep->bytes;
	a->end = (char *)keep + keep->size_bytes;
}

static void *grow(struct sl_arena *a, size_t size_bytes)
{
	size_t want = a->total_bytes < FIRST_BYTES ? FIRST_BYTES : a->total_bytes;
	struct sl_arena_block *block;

	if (want > LARGEST_BYTES)
		want = LARGEST_BYTES;
	if (want < size_bytes)
		want = size_bytes;
	block = sl_new(sizeof(*block) + want);
	block->size_bytes = sizeof(*block) + want;
	block->next = a->blocks;
	a->blocks = block;
	a->total_bytes += block->size_bytes;
	a->at = block->bytes + size_bytes;
	a->end = block->bytes + want;
	return block->bytes;
}

void *sl_arena_alloc(struct sl_arena *a, size_t size_bytes)
{
	const size_t align = alignof(max_align_t) - 1;
	char *p = a->at;

	size_bytes = (size_bytes + align) & ~align;
	if ((size_t)(a->end - a->at) < size_bytes || !p)
		return grow(a, size_bytes);
	a->at += size_bytes;
	return p;
}

void *sl_arena_zalloc(struct sl_arena *a, size_t size_bytes)
{
	return memset(sl_arena_alloc(a, size_bytes), 0, size_bytes);
}

void *sl_arena_zalloc_array(struct sl_arena *a, size_t count, size_t size_bytes)
{
	size_t total;

	if (__builtin_mul_overflow(count, size_bytes, &total))
		__builtin_trap();
	return sl_arena_zalloc(a, total);
}

sl_str sl_arena_str(struct sl_arena *a, sl_str s)
{
	char *p = sl_arena_alloc(a, s.len + 1);

	if (s.len)
		memcpy(p, s.p, s.len);
	p[s.len] = '\0';
	return sl_str_n(p, s.len);
}

sl_str sl_arena_str_c(struct sl_arena *a, const char *s)
{
	return sl_arena_str(a, sl_str_c(s));
}

sl_str sl_arena_printf(struct sl_arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	p = sl_arena_alloc(a, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return sl_str_n(p, (size_t)n);
}
