#pragma once
/*
 * The three scans a head consists of. Each returns the first byte at or behind p, before end, that stops it; end when none does.
 * With SSE2 (every x86-64) sixteen bytes a step; the last fifteen, and other machines, byte by byte. Nothing at or behind end is read.
 * Ownership: none.       Threads: any.
 */
#include "proto/ascii.h"

#if defined(__SSE2__)
#include <emmintrin.h>

#define SCAN_STEP 16

static inline __m128i scan_load(const char *p)
{
	__m128i x;

	memcpy(&x, p, sizeof(x));
	return x;
}

static inline unsigned scan_mask(__m128i hits)
{
	return (unsigned)_mm_movemask_epi8(hits);
}

static inline unsigned scan_colon16(const char *p)
{
	return scan_mask(_mm_cmpeq_epi8(scan_load(p), _mm_set1_epi8(':')));
}

/* Stops at what may not stand in a field value: below 0x20 except HTAB, and DEL. */
static inline unsigned scan_value16(const char *p)
{
	__m128i x = scan_load(p);
	__m128i below = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);
	__m128i tab = _mm_cmpeq_epi8(x, _mm_set1_epi8('\t'));
	__m128i del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));

	return scan_mask(_mm_or_si128(_mm_andnot_si128(tab, below), del));
}

/* Stops at what is not SL_CH_TARGET: up to 0x20, from 0x7f, and " # < >. */
static inline unsigned scan_target16(const char *p)
{
	__m128i x = scan_load(p);
	__m128i below = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x20)), x);
	__m128i above = _mm_cmpeq_epi8(_mm_max_epu8(x, _mm_set1_epi8(0x7f)), x);
	/* '<' and '>' differ in one bit, '"' and '#' in another */
	__m128i angle = _mm_cmpeq_epi8(_mm_or_si128(x, _mm_set1_epi8(0x02)), _mm_set1_epi8('>'));
	__m128i quote = _mm_cmpeq_epi8(_mm_or_si128(x, _mm_set1_epi8(0x01)), _mm_set1_epi8('#'));

	return scan_mask(_mm_or_si128(_mm_or_si128(below, above), _mm_or_si128(angle, quote)));
}

#define SCAN_BLOCKS(p, end, mask16)                          \
	for (; (end) - (p) >= SCAN_STEP; (p) += SCAN_STEP) { \
		unsigned hits_ = mask16(p);                  \
		if (hits_)                                   \
			return (p) + __builtin_ctz(hits_);   \
	}
#else
#define SCAN_BLOCKS(p, end, mask16)
#endif

static inline const char *scan_colon(const char *p, const char *end)
{
	SCAN_BLOCKS(p, end, scan_colon16)
	while (p < end && *p != ':')
		p++;
	return p;
}

static inline const char *scan_value(const char *p, const char *end)
{
	SCAN_BLOCKS(p, end, scan_value16)
	while (p < end && sl_ch_is(*p, SL_CH_FIELD))
		p++;
	return p;
}

static inline const char *scan_target(const char *p, const char *end)
{
	SCAN_BLOCKS(p, end, scan_target16)
	while (p < end && sl_ch_is(*p, SL_CH_TARGET))
		p++;
	return p;
}
