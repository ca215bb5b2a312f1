#pragma once
/*
 * sl_str: a length-carrying view of bytes. Not NUL-terminated unless a function says so; {NULL, 0} is the empty string.
 * Ownership: a view; whoever owns the bytes must outlive it.       Threads: values.
 */
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
	const char *p;
	size_t len;
} sl_str;

#define SL_STR(lit) ((sl_str) { .p = "" lit, .len = sizeof(lit) - 1 })
#define SL_STR_NONE ((sl_str) { .p = NULL, .len = 0 })
/* printf("%.*s", SL_STR_ARG(s)) */
#define SL_STR_ARG(s) (int)(s).len, ((s).p ? (s).p : "")

static inline sl_str sl_str_c(const char *s) /* NULL gives the empty string */
{
	return (sl_str) { .p = s, .len = s ? strlen(s) : 0 };
}

static inline sl_str sl_str_n(const char *p, size_t len)
{
	return (sl_str) { .p = p, .len = len };
}

static inline bool sl_str_eq(sl_str a, sl_str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline bool sl_str_eq_c(sl_str a, const char *b)
{
	return sl_str_eq(a, sl_str_c(b));
}

bool sl_str_eq_nocase(sl_str a, sl_str b); /* ASCII only */
int sl_str_cmp(sl_str a, sl_str b);        /* bytewise, as strcmp */
bool sl_str_starts(sl_str s, sl_str prefix);
bool sl_str_ends(sl_str s, sl_str suffix);
bool sl_str_contains(sl_str s, sl_str part);
sl_str sl_str_trim(sl_str s); /* spaces and tabs, both ends */
sl_str sl_str_skip(sl_str s, size_t n);
sl_str sl_str_first(sl_str s, size_t n);

/* Index of the byte, or s.len. */
size_t sl_str_find(sl_str s, char c);
/* Splits at the first `sep`: *ret_head is before it, *rest is moved after it. False (and *ret_head = all of it) at the end. */
bool sl_str_split(sl_str *rest, char sep, sl_str *ret_head);

/* Strict decimal: digits only, no sign for u64. Errors: SL_ERR_MALFORMED, SL_ERR_RANGE. */
sl_err sl_str_to_u64(sl_str s, uint64_t *ret_v);
sl_err sl_str_to_i64(sl_str s, int64_t *ret_v);
sl_err sl_str_to_double(sl_str s, double *ret_v);

/* 64-bit hash for tables (not for signatures); `seed` keeps remote keys from colliding on purpose. Source: wyhash final 4. */
uint64_t sl_hash_bytes(const void *p, size_t len, uint64_t seed);
static inline uint64_t sl_str_hash(sl_str s, uint64_t seed)
{
	return sl_hash_bytes(s.p, s.len, seed);
}

/* Calls that write at most `size` bytes with the NUL and return dst. */
char *sl_str_copy(char *dst, size_t size_bytes, sl_str s);
