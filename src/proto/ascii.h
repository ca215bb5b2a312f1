#pragma once
/*
 * Character classes of HTTP and URIs by table, and case-insensitive comparison against names known in lower case.
 * Ownership: values.       Threads: any.
 */
#include "base/str.h"

enum {
	SL_CH_TOKEN = 1,  /* RFC 9110 section 5.6.2 tchar */
	SL_CH_TARGET = 2, /* visible ASCII without " # < >: what may stand raw in a request target */
	SL_CH_HOST = 4,   /* RFC 3986 reg-name without '%' */
	SL_CH_FIELD = 8,  /* RFC 9110 section 5.5: HTAB, SP, VCHAR, obs-text */
	SL_CH_HEX = 16,
	SL_CH_UNRESERVED = 32, /* RFC 3986 section 2.3 */
};

extern const uint8_t sl_ch_class[256];

static inline bool sl_ch_is(char c, uint8_t classes)
{
	return (sl_ch_class[(uint8_t)c] & classes) != 0;
}

static inline bool sl_ch_all(sl_str s, uint8_t classes) /* true for the empty string */
{
	for (size_t i = 0; i < s.len; i++)
		if (!sl_ch_is(s.p[i], classes))
			return false;
	return true;
}

static inline int sl_ch_hex(char c) /* 0..15; -1 when it is no hexadecimal digit */
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static inline char sl_ch_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Eight bytes at once: A-Z to a-z, every other byte as it is. */
static inline uint64_t sl_ch_lower8(uint64_t x)
{
	const uint64_t ones = 0x0101010101010101;
	uint64_t low = x & (0x7f * ones);
	uint64_t from_a = low + (0x80 - 'A') * ones;       /* top bit where the low seven bits are >= 'A' */
	uint64_t beyond_z = low + (0x80 - 'Z' - 1) * ones; /* top bit where they are > 'Z' */
	uint64_t upper = (from_a ^ beyond_z) & ~x & (0x80 * ones);

	return x | (upper >> 2);
}

static inline uint64_t sl_load8(const char *p)
{
	uint64_t x;

	memcpy(&x, p, sizeof(x));
	return x;
}

static inline uint32_t sl_load4(const char *p)
{
	uint32_t x;

	memcpy(&x, p, sizeof(x));
	return x;
}

/* p[0..len) against a name in lower case of the same length. Reads nothing beyond either. */
static inline bool sl_ch_eq_lower(const char *p, const char *lower, size_t len)
{
	if (len >= 8) {
		for (size_t i = 0; i + 8 < len; i += 8)
			if (sl_ch_lower8(sl_load8(p + i)) != sl_load8(lower + i))
				return false;
		return sl_ch_lower8(sl_load8(p + (len - 8))) == sl_load8(lower + (len - 8));
	}
	if (len >= 4) {
		uint64_t a = (uint64_t)sl_load4(p) << 32 | sl_load4(p + (len - 4));
		uint64_t b = (uint64_t)sl_load4(lower) << 32 | sl_load4(lower + (len - 4));

		return sl_ch_lower8(a) == b;
	}
	for (size_t i = 0; i < len; i++)
		if (sl_ch_lower(p[i]) != lower[i])
			return false;
	return true;
}

/* sl_str against a literal in lower case. */
#define SL_EQ_LOWER(s, lit) ((s).len == sizeof(lit) - 1 && sl_ch_eq_lower((s).p, "" lit, sizeof(lit) - 1))
