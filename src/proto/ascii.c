#include "proto/ascii.h"

/*
 * One row per kind of byte, so that the table can be read against the RFCs. T token, G target, H host, F field, X hex,
 * U unreserved.
 */
#define T SL_CH_TOKEN
#define G SL_CH_TARGET
#define H SL_CH_HOST
#define F SL_CH_FIELD
#define X SL_CH_HEX
#define U SL_CH_UNRESERVED

const uint8_t sl_ch_class[256] = {
	['\t'] = F,
	[' '] = F,
	['0' ... '9'] = T | G | H | F | X | U,
	['A' ... 'F'] = T | G | H | F | X | U,
	['G' ... 'Z'] = T | G | H | F | U,
	['a' ... 'f'] = T | G | H | F | X | U,
	['g' ... 'z'] = T | G | H | F | U,
	['-'] = T | G | H | F | U,
	['.'] = T | G | H | F | U,
	['_'] = T | G | H | F | U,
	['~'] = T | G | H | F | U,
	/* sub-delims that are tchar */
	['!'] = T | G | H | F,
	['$'] = T | G | H | F,
	['&'] = T | G | H | F,
	['\''] = T | G | H | F,
	['*'] = T | G | H | F,
	['+'] = T | G | H | F,
	/* sub-delims that are not */
	['('] = G | H | F,
	[')'] = G | H | F,
	[','] = G | H | F,
	[';'] = G | H | F,
	['='] = G | H | F,
	/* tchar beyond these */
	['#'] = T | F,
	['%'] = T | G | F,
	['^'] = T | G | F,
	['`'] = T | G | F,
	['|'] = T | G | F,
	/* the rest of visible ASCII */
	['"'] = F,
	['<'] = F,
	['>'] = F,
	['/'] = G | F,
	[':'] = G | F,
	['?'] = G | F,
	['@'] = G | F,
	['['] = G | F,
	['\\'] = G | F,
	[']'] = G | F,
	['{'] = G | F,
	['}'] = G | F,
	[0x80 ... 0xff] = F,
};
