#include "proto/http1.h"

#include "proto/ascii.h"

/*
 *  SIZE "1a" ── ";ext" EXT ─┐
 *   ▲  └──────── CR ────────┴► SIZE_LF ─┬─ size > 0 ─► CONTENT ─► CONTENT_CR ─► CONTENT_LF ─► SIZE
 *                                       └─ size = 0 ─► LINE ─┬─ name ─► NAME ─► VALUE ─► VALUE_LF ─► LINE
 *                                                            └─ CR ─► END_LF ─► done
 */
enum state {
	SIZE,
	SIZE_SPACE, /* white space, which must lead to an extension */
	EXT,
	SIZE_LF,
	CONTENT,
	CONTENT_CR,
	CONTENT_LF,
	LINE, /* begin of a trailer line; this and all below are the trailer section */
	NAME,
	VALUE,
	VALUE_LF,
	END_LF,
};

enum { SIZE_DIGITS_MOST = 16 };

void sl_http1_body_init(
        struct sl_http1_body *b, const struct sl_http1_head *h, const struct sl_http1_limits *limits)
{
	*b = (struct sl_http1_body) {
		.framing = h ? h->framing : SL_HTTP1_CHUNKED,
		.left = h ? h->content_length : 0,
		.state = SIZE,
		.limits = *limits,
	};
	b->done = b->framing == SL_HTTP1_NONE || b->framing == SL_HTTP1_TUNNEL;
}

static enum sl_http1_fault size_byte(struct sl_http1_body *b, char c)
{
	int digit = sl_ch_hex(c);

	if (digit >= 0) {
		if (b->digits++ >= SIZE_DIGITS_MOST || b->left > (uint64_t)INT64_MAX >> 4)
			return SL_HTTP1_FAULT_CHUNK_SIZE;
		b->left = b->left << 4 | (uint64_t)digit;
		return SL_HTTP1_FAULT_NONE;
	}
	if (!b->digits)
		return SL_HTTP1_FAULT_CHUNK_SIZE;
	if (c == '\r')
		b->state = SIZE_LF;
	else if (c == ';')
		b->state = EXT;
	else if (c == ' ' || c == '\t')
		b->state = SIZE_SPACE;
	else
		return c == '\n' ? SL_HTTP1_FAULT_CHUNK_END : SL_HTTP1_FAULT_CHUNK_SIZE;
	return SL_HTTP1_FAULT_NONE;
}

/* RFC 9112 section 7.1.1: extensions are ignored, but counted: a chunk may not cost more framing than it is worth. */
static enum sl_http1_fault ext_byte(struct sl_http1_body *b, char c)
{
	if (c == '\r' && b->state == EXT) {
		b->state = SIZE_LF;
		return SL_HTTP1_FAULT_NONE;
	}
	if (++b->ext_bytes > b->limits.chunk_ext_bytes || ++b->ext_total > b->limits.body_ext_bytes)
		return SL_HTTP1_FAULT_CHUNK_EXT_BIG;
	if (c == '\n')
		return SL_HTTP1_FAULT_CHUNK_END;
	if (b->state == SIZE_SPACE) {
		if (c == ';')
			b->state = EXT;
		return c == ';' || c == ' ' || c == '\t' ? SL_HTTP1_FAULT_NONE : SL_HTTP1_FAULT_CHUNK_SIZE;
	}
	return sl_ch_is(c, SL_CH_FIELD) ? SL_HTTP1_FAULT_NONE : SL_HTTP1_FAULT_CHUNK_EXT;
}

/* RFC 9110 section 6.5.1: what may not come late, because the message was framed and routed without it. */
static bool trailer_is_harmless(const struct sl_http1_body *b)
{
	if (b->name_len > sizeof(b->name))
		return true;
	switch ((unsigned)sl_hdr_find(sl_str_n(b->name, b->name_len))) {
	case SL_HDR_HOST:
	case SL_HDR_CONTENT_LENGTH:
	case SL_HDR_TRANSFER_ENCODING:
	case SL_HDR_CONNECTION:
	case SL_HDR_UPGRADE:
	case SL_HDR_TE:
	case SL_HDR_TRAILER:
	case SL_HDR_EXPECT:
		return false;
	default:
		return true;
	}
}

static void name_byte(struct sl_http1_body *b, char c)
{
	if (b->name_len < sizeof(b->name))
		b->name[b->name_len] = c;
	if (b->name_len <= sizeof(b->name))
		b->name_len++;
}

static enum sl_http1_fault line_byte(struct sl_http1_body *b, char c)
{
	if (c == '\r') {
		b->state = END_LF;
		return SL_HTTP1_FAULT_NONE;
	}
	if (!sl_ch_is(c, SL_CH_TOKEN))
		return SL_HTTP1_FAULT_TRAILER;
	if (++b->trailer_fields > b->limits.fields || b->trailer_fields > SL_HTTP1_FIELDS_MOST)
		return SL_HTTP1_FAULT_TRAILER_TOO_BIG;
	b->name_len = 0;
	name_byte(b, c);
	b->state = NAME;
	return SL_HTTP1_FAULT_NONE;
}

static enum sl_http1_fault trailer_byte(struct sl_http1_body *b, char c)
{
	if (++b->trailer_at > b->limits.trailer_bytes)
		return SL_HTTP1_FAULT_TRAILER_TOO_BIG;
	switch ((enum state)b->state) {
	case LINE:
		return line_byte(b, c);
	case NAME:
		if (sl_ch_is(c, SL_CH_TOKEN)) {
			name_byte(b, c);
			return SL_HTTP1_FAULT_NONE;
		}
		b->state = VALUE;
		if (c != ':')
			return SL_HTTP1_FAULT_TRAILER;
		return trailer_is_harmless(b) ? SL_HTTP1_FAULT_NONE : SL_HTTP1_FAULT_TRAILER_FIELD;
	case VALUE:
		if (c == '\r')
			b->state = VALUE_LF;
		return c == '\r' || sl_ch_is(c, SL_CH_FIELD) ? SL_HTTP1_FAULT_NONE : SL_HTTP1_FAULT_TRAILER;
	case VALUE_LF:
		b->state = LINE;
		return c == '\n' ? SL_HTTP1_FAULT_NONE : SL_HTTP1_FAULT_TRAILER;
	case END_LF:
		b->done = c == '\n';
		return c == '\n' ? SL_HTTP1_FAULT_NONE : SL_HTTP1_FAULT_TRAILER;
	case SIZE:
	case SIZE_SPACE:
	case EXT:
	case SIZE_LF:
	case CONTENT:
	case CONTENT_CR:
	case CONTENT_LF:
		break;
	}
	return SL_HTTP1_FAULT_TRAILER;
}

static enum sl_http1_fault framing_byte(struct sl_http1_body *b, char c)
{
	switch ((enum state)b->state) {
	case SIZE:
		return size_byte(b, c);
	case SIZE_SPACE:
	case EXT:
		return ext_byte(b, c);
	case SIZE_LF:
		b->state = b->left ? CONTENT : LINE;
		return c == '\n' ? SL_HTTP1_FAULT_NONE : SL_HTTP1_FAULT_CHUNK_END;
	case CONTENT_CR:
		b->state = CONTENT_LF;
		return c == '\r' ? SL_HTTP1_FAULT_NONE : SL_HTTP1_FAULT_CHUNK_END;
	case CONTENT_LF:
		b->state = SIZE;
		b->digits = 0;
		b->ext_bytes = 0;
		return c == '\n' ? SL_HTTP1_FAULT_NONE : SL_HTTP1_FAULT_CHUNK_END;
	case CONTENT:
	case LINE:
	case NAME:
	case VALUE:
	case VALUE_LF:
	case END_LF:
		break;
	}
	return trailer_byte(b, c);
}

/* Takes up to `len` content bytes of what is announced. */
static size_t take(struct sl_http1_body *b, size_t len)
{
	size_t n = b->left < len ? (size_t)b->left : len;

	b->left -= n;
	b->content_bytes += n;
	return n;
}

/* Framing and trailers up to the next content byte, the end, or a fault. Returns the bytes passed. */
static size_t pass_framing(struct sl_http1_body *b, const char *p, size_t len)
{
	size_t i = 0;

	while (i < len && b->state != CONTENT && !b->done) {
		b->fault = framing_byte(b, p[i]);
		if (b->fault)
			break;
		i++;
	}
	return i;
}

static size_t take_chunk(struct sl_http1_body *b, size_t len)
{
	size_t n = take(b, len);

	if (!b->left)
		b->state = CONTENT_CR;
	return n;
}

/* Everything but chunked. */
static size_t take_plain(struct sl_http1_body *b, size_t len)
{
	if (b->framing == SL_HTTP1_UNTIL_CLOSE) {
		b->content_bytes += len;
		return len;
	}
	len = take(b, len);
	b->done = b->left == 0;
	return len;
}

sl_err sl_http1_body_next(
        struct sl_http1_body *b, const char *p, size_t len_bytes, struct sl_http1_piece *ret_piece)
{
	size_t at = 0, n;

	*ret_piece = (struct sl_http1_piece) { 0 };
	if (b->fault)
		return sl_http1_fault_err(b->fault);
	if (b->done)
		return SL_OK;
	if (b->framing != SL_HTTP1_CHUNKED) {
		ret_piece->used_bytes = take_plain(b, len_bytes);
		ret_piece->content = sl_str_n(p, ret_piece->used_bytes);
		return SL_OK;
	}
	if (b->state != CONTENT) {
		uint32_t trailer_before = b->trailer_at;

		at = pass_framing(b, p, len_bytes);
		n = b->trailer_at - trailer_before;
		if (b->fault)
			return sl_http1_fault_err(b->fault);
		ret_piece->trailer = n ? sl_str_n(p + at - n, n) : SL_STR_NONE;
	}
	if (b->state == CONTENT && !b->done) {
		n = take_chunk(b, len_bytes - at);
		ret_piece->content = sl_str_n(p + at, n);
		at += n;
	}
	ret_piece->used_bytes = at;
	return SL_OK;
}

sl_err sl_http1_body_raw(struct sl_http1_body *b, const char *p, size_t len_bytes, size_t *ret_bytes)
{
	size_t at = 0;

	*ret_bytes = 0;
	if (b->fault)
		return sl_http1_fault_err(b->fault);
	if (b->done)
		return SL_OK;
	if (b->framing != SL_HTTP1_CHUNKED) {
		*ret_bytes = take_plain(b, len_bytes);
		return SL_OK;
	}
	while (at < len_bytes && !b->done && !b->fault)
		at += b->state == CONTENT ? take_chunk(b, len_bytes - at)
		                          : pass_framing(b, p + at, len_bytes - at);
	*ret_bytes = at;
	return b->fault ? sl_http1_fault_err(b->fault) : SL_OK;
}

size_t sl_http1_chunk_head(char dst[SL_HTTP1_CHUNK_HEAD_BYTES], uint64_t content_bytes)
{
	unsigned digits = content_bytes ? (67u - (unsigned)__builtin_clzll(content_bytes)) / 4 : 1;

	for (unsigned i = digits; i-- > 0; content_bytes >>= 4)
		dst[i] = "0123456789abcdef"[content_bytes & 15];
	dst[digits] = '\r';
	dst[digits + 1] = '\n';
	return digits + 2;
}
