#pragma once
/*
 * Heap memory and cleanup. Plain allocation aborts on out-of-memory; what a peer sizes is charged before it comes here.
 * Ownership: the caller frees with sl_free.       Threads: any.
 */
#include <assert.h>
#include <stddef.h>

void *sl_new(size_t size_bytes) __attribute__((malloc, returns_nonnull));  /* contents undefined */
void *sl_new0(size_t size_bytes) __attribute__((malloc, returns_nonnull)); /* zeroed */
void *sl_new0_array(size_t count, size_t size_bytes) __attribute__((malloc, returns_nonnull));
void *sl_resize(void *p, size_t size_bytes) __attribute__((returns_nonnull));
char *sl_strdup(const char *s) __attribute__((malloc, returns_nonnull));
char *sl_strndup(const char *s, size_t len) __attribute__((malloc, returns_nonnull));
/* printf into a fresh heap string. */
char *sl_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2), malloc, returns_nonnull));
void sl_free(void *p); /* sl_free(NULL) is fine */

/*
 * SL_CLEANUP(sl_foo_free) struct sl_foo *foo = ...;  calls sl_foo_free(foo) when foo leaves scope, if not NULL.
 * SL_STEAL(foo) takes the pointer out and leaves NULL. A type offers this by SL_CLEANUP_DEFINE(sl_foo_free, struct sl_foo *).
 */
#define SL_CLEANUP_DEFINE(fn, ptr_type)                \
	static inline void fn##_cleanup_(ptr_type *pp) \
	{                                              \
		if (*pp)                               \
			fn(*pp);                       \
	}
#define SL_CLEANUP(fn) __attribute__((cleanup(fn##_cleanup_)))
#define SL_STEAL(p)                             \
	__extension__({                         \
		__typeof__(p) sl_stolen_ = (p); \
		(p) = NULL;                     \
		sl_stolen_;                     \
	})

static inline void sl_free_cleanup_(void *pp)
{
	sl_free(*(void **)pp);
}

#define SL_ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SL_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define SL_LIKELY(x) __builtin_expect(!!(x), 1)
#define SL_UNLIKELY(x) __builtin_expect(!!(x), 0)
