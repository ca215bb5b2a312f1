#include "base/str.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static unsigned char lower(char c)
{
	unsigned char u = (unsigned char)c;

	return u >= 'A' && u <= 'Z' ? (unsigned char)(u | 0x20) : u;
}

bool sl_str_eq_nocase(sl_str a, sl_str b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	return true;
}

int sl_str_cmp(sl_str a, sl_str b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c = n ? memcmp(a.p, b.p, n) : 0;

	if (c)
		return c;
	return a.len < b.len ? -1 : a.len > b.len;
}

bool sl_str_starts(sl_str s, sl_str prefix)
{
	return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.p, prefix.p, prefix.len) == 0);
}

bool sl_str_ends(sl_str s, sl_str suffix)
{
	return s.len >= suffix.len &&
	       (suffix.len == 0 || memcmp(s.p + s.len - suffix.len, suffix.p, suffix.len) == 0);
}

bool sl_str_contains(sl_str s, sl_str part)
{
	return part.len == 0 || (s.len >= part.len && memmem(s.p, s.len, part.p, part.len));
}

sl_str sl_str_trim(sl_str s)
{
	while (s.len && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = sl_str_skip(s, 1);
	while (s.len && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
		s.len--;
	return s;
}

sl_str sl_str_skip(sl_str s, size_t n)
{
	if (n > s.len)
		n = s.len;
	return (sl_str) { .p = n ? s.p + n : s.p, .len = s.len - n };
}

sl_str sl_str_first(sl_str s, size_t n)
{
	return (sl_str) { .p = s.p, .len = n < s.len ? n : s.len };
}

size_t sl_str_find(sl_str s, char c)
{
	const char *hit = s.len ? memchr(s.p, c, s.len) : NULL;

	return hit ? (size_t)(hit - s.p) : s.len;
}

bool sl_str_split(sl_str *rest, char sep, sl_str *ret_head)
{
	sl_str s = *rest;
	size_t i = sl_str_find(s, sep);

	*ret_head = sl_str_first(s, i);
	*rest = sl_str_skip(s, i + 1);
	return i < s.len;
}

sl_err sl_str_to_u64(sl_str s, uint64_t *ret_v)
{
	uint64_t v = 0;

	if (!s.len)
		return SL_ERR_MALFORMED;
	for (size_t i = 0; i < s.len; i++) {
		unsigned d = (unsigned)(s.p[i] - '0');

		if (d > 9)
			return SL_ERR_MALFORMED;
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) || __builtin_add_overflow(v, (uint64_t)d, &v))
			return SL_ERR_RANGE;
	}
	*ret_v = v;
	return SL_OK;
}

sl_err sl_str_to_i64(sl_str s, int64_t *ret_v)
{
	bool neg = s.len && s.p[0] == '-';
	uint64_t u;

	SL_TRY(sl_str_to_u64(neg ? sl_str_skip(s, 1) : s, &u));
	if (u > (uint64_t)INT64_MAX + (neg ? 1 : 0))
		return SL_ERR_RANGE;
	*ret_v = neg ? (int64_t)(0 - u) : (int64_t)u;
	return SL_OK;
}

sl_err sl_str_to_double(sl_str s, double *ret_v)
{
	char text[64], *end;
	double v;

	if (!s.len || s.len >= sizeof(text) || s.p[0] == ' ')
		return SL_ERR_MALFORMED;
	sl_str_copy(text, sizeof(text), s);
	errno = 0;
	v = strtod(text, &end);
	if (*end != '\0' || !isfinite(v))
		return SL_ERR_MALFORMED;
	*ret_v = v;
	return SL_OK;
}

static uint64_t mum(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 r = (unsigned __int128)a * b;

	return (uint64_t)r ^ (uint64_t)(r >> 64);
}

static uint64_t read64(const unsigned char *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

static uint64_t read32(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

uint64_t sl_hash_bytes(const void *data, size_t len, uint64_t seed)
{
	static const uint64_t s0 = 0xa0761d6478bd642fULL, s1 = 0xe7037ed1a0b428dbULL;
	const unsigned char *p = data;
	uint64_t a, b;
	size_t i = len;

	seed ^= mum(seed ^ s0, s1);
	if (len <= 16) {
		if (len >= 4) {
			a = (read32(p) << 32) | read32(p + ((len >> 3) << 2));
			b = (read32(p + len - 4) << 32) | read32(p + len - 4 - ((len >> 3) << 2));
		} else if (len > 0) {
			a = ((uint64_t)p[0] << 16) | ((uint64_t)p[len >> 1] << 8) | p[len - 1];
			b = 0;
		} else {
			a = b = 0;
		}
	} else {
		for (; i > 16; i -= 16, p += 16)
			seed = mum(read64(p) ^ s1, read64(p + 8) ^ seed);
		a = read64(p + i - 16);
		b = read64(p + i - 8);
	}
	return mum(s1 ^ len, mum(a ^ s1, b ^ seed));
}

char *sl_str_copy(char *dst, size_t size_bytes, sl_str s)
{
	size_t n = s.len < size_bytes ? s.len : size_bytes - 1;

	if (n)
		memcpy(dst, s.p, n);
	dst[n] = '\0';
	return dst;
}
