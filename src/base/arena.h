#pragma once
/*
 * An arena: many small allocations, one free. For a request, a stream, a snapshot, a decoded object.
 * Ownership: embedded; sl_arena_fini frees everything allocated from it. All-zero is a valid empty arena.
 * Threads: one owner while it grows; const data in it may be read by all once published.
 */
#include "base/mem.h"
#include "base/str.h"

struct sl_arena_block;
struct sl_arena {
	struct sl_arena_block *blocks; /* newest first */
	char *at, *end;                /* free room in the newest block */
	size_t total_bytes;            /* taken from the heap so far */
};

void sl_arena_fini(struct sl_arena *a);
/* Forgets all allocations but keeps the newest block for reuse. */
void sl_arena_reset(struct sl_arena *a);

/* Never NULL (aborts on out-of-memory); aligned for any type. */
void *sl_arena_alloc(struct sl_arena *a, size_t size_bytes) __attribute__((returns_nonnull));
void *sl_arena_zalloc(struct sl_arena *a, size_t size_bytes) __attribute__((returns_nonnull));
void *sl_arena_zalloc_array(struct sl_arena *a, size_t count, size_t size_bytes)
        __attribute__((returns_nonnull));
/* The copies are NUL-terminated beyond .len, so .p serves as a C string. */
sl_str sl_arena_str(struct sl_arena *a, sl_str s);
sl_str sl_arena_str_c(struct sl_arena *a, const char *s);
sl_str sl_arena_printf(struct sl_arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline void sl_arena_fini_cleanup_(
        struct sl_arena *a) /* SL_CLEANUP(sl_arena_fini) struct sl_arena a = { 0 }; */
{
	sl_arena_fini(a);
}
