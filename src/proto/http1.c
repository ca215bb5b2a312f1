#include "proto/http1.h"

#include "proto/http1_scan_priv.h"

enum stage {
	STAGE_START, /* zero: sl_http1_head_init */
	STAGE_FIELDS,
	STAGE_DONE,
	STAGE_REFUSED,
};

enum kind { KIND_REQUEST, KIND_RESPONSE, KIND_TRAILERS };

enum { CONNECTION_OPTIONS_MOST = 32 };

/* What the parse of one head works on. The window ends where the bytes or the limit ends. */
struct parse {
	struct sl_http1_head *h;
	const char *base, *end;
	const struct sl_http1_limits *limits;
	enum kind kind;
	bool window_full; /* the window is all the limit allows */
};

static const struct {
	const char *name, *text;
	sl_err err;
	int status;
} faults[SL_HTTP1_FAULT_COUNT] = {
#define SL_HTTP1_FAULT(id, status, err, text) [SL_HTTP1_FAULT_##id] = { #id, text, SL_ERR_##err, status },
#include "proto/http1_faults.def"
};

const char *sl_http1_fault_name(enum sl_http1_fault f)
{
	return (unsigned)f < SL_HTTP1_FAULT_COUNT ? faults[f].name : "UNKNOWN";
}

const char *sl_http1_fault_text(enum sl_http1_fault f)
{
	return (unsigned)f < SL_HTTP1_FAULT_COUNT ? faults[f].text : "unknown";
}

int sl_http1_fault_status(enum sl_http1_fault f)
{
	return (unsigned)f < SL_HTTP1_FAULT_COUNT ? faults[f].status : 500;
}

sl_err sl_http1_fault_err(enum sl_http1_fault f)
{
	return (unsigned)f < SL_HTTP1_FAULT_COUNT ? faults[f].err : SL_ERR_INTERNAL;
}

void sl_http1_head_init(struct sl_http1_head *h)
{
	h->fault = SL_HTTP1_FAULT_NONE;
	h->line_at = 0;
	h->scan_at = 0;
	h->stage = STAGE_START;
}

static sl_err refuse(struct parse *ps, enum sl_http1_fault fault)
{
	ps->h->fault = fault;
	ps->h->stage = STAGE_REFUSED;
	return faults[fault].err;
}

/*
 * Lines that the fast path cannot go on with come here, whether cut short or wrong. A line is judged only when its LF is there.
 */

static enum sl_http1_fault fault_of_ending(sl_str line)
{
	if (line.len == 0 || line.p[line.len - 1] != '\r')
		return SL_HTTP1_FAULT_BARE_LF;
	if (sl_str_find(line, '\r') < line.len - 1)
		return SL_HTTP1_FAULT_BARE_CR;
	return SL_HTTP1_FAULT_NONE;
}

static enum sl_http1_fault fault_of_field(sl_str line) /* without its LF */
{
	enum sl_http1_fault ending = fault_of_ending(line);
	size_t colon;

	if (line.len && (line.p[0] == ' ' || line.p[0] == '\t'))
		return SL_HTTP1_FAULT_OBS_FOLD;
	if (ending)
		return ending;
	line.len--;
	if (!sl_ch_all(line, SL_CH_FIELD))
		return SL_HTTP1_FAULT_CONTROL;
	colon = sl_str_find(line, ':');
	if (colon == line.len)
		return SL_HTTP1_FAULT_FIELD_COLON;
	if (colon && (line.p[colon - 1] == ' ' || line.p[colon - 1] == '\t'))
		return SL_HTTP1_FAULT_FIELD_SPACE;
	return SL_HTTP1_FAULT_FIELD_NAME;
}

static enum sl_http1_fault fault_of_version(sl_str v)
{
	if (v.len == 8 && memcmp(v.p, "HTTP/", 5) == 0 && v.p[5] >= '0' && v.p[5] <= '9' && v.p[6] == '.' &&
	        v.p[7] >= '0' && v.p[7] <= '9')
		return v.p[5] == '1' ? SL_HTTP1_FAULT_NONE : SL_HTTP1_FAULT_VERSION_MAJOR;
	return SL_HTTP1_FAULT_VERSION;
}

static enum sl_http1_fault fault_of_request_line(sl_str line)
{
	enum sl_http1_fault ending = fault_of_ending(line), version;
	sl_str method, target;

	if (ending)
		return ending;
	line.len--;
	for (size_t i = 0; i < line.len; i++)
		if ((uint8_t)line.p[i] < 0x20 || line.p[i] == 0x7f)
			return SL_HTTP1_FAULT_CONTROL;
	if (!sl_str_split(&line, ' ', &method))
		return SL_HTTP1_FAULT_REQUEST_LINE;
	if (method.len == 0 || !sl_ch_all(method, SL_CH_TOKEN))
		return SL_HTTP1_FAULT_METHOD;
	if (!sl_str_split(&line, ' ', &target) || target.len == 0)
		return SL_HTTP1_FAULT_REQUEST_LINE;
	if (!sl_ch_all(target, SL_CH_TARGET))
		return SL_HTTP1_FAULT_TARGET;
	version = fault_of_version(line);
	return version ? version : SL_HTTP1_FAULT_REQUEST_LINE;
}

static enum sl_http1_fault fault_of_status_line(sl_str line)
{
	enum sl_http1_fault ending = fault_of_ending(line);
	sl_str version;

	if (ending)
		return ending;
	line.len--;
	if (!sl_ch_all(line, SL_CH_FIELD))
		return SL_HTTP1_FAULT_CONTROL;
	if (!sl_str_split(&line, ' ', &version))
		return SL_HTTP1_FAULT_STATUS_LINE;
	return fault_of_version(version) == SL_HTTP1_FAULT_VERSION_MAJOR ? SL_HTTP1_FAULT_VERSION_MAJOR
	                                                                 : SL_HTTP1_FAULT_STATUS_LINE;
}

static enum sl_http1_fault fault_of_size(const struct parse *ps)
{
	if (ps->kind == KIND_TRAILERS)
		return SL_HTTP1_FAULT_TRAILER_TOO_BIG;
	if (ps->kind == KIND_REQUEST && ps->h->stage == STAGE_START)
		return SL_HTTP1_FAULT_TARGET_TOO_LONG;
	return SL_HTTP1_FAULT_HEAD_TOO_BIG;
}

static sl_err stuck(struct parse *ps)
{
	struct sl_http1_head *h = ps->h;
	const char *line = ps->base + h->line_at;
	const char *from = ps->base + (h->scan_at > h->line_at ? h->scan_at : h->line_at);
	const char *lf = from < ps->end ? memchr(from, '\n', (size_t)(ps->end - from)) : NULL;
	sl_str text;

	if (!lf) {
		h->scan_at = (uint32_t)(ps->end - ps->base);
		return ps->window_full ? refuse(ps, fault_of_size(ps)) : SL_ERR_AGAIN;
	}
	text = sl_str_n(line, (size_t)(lf - line));
	if (h->stage == STAGE_FIELDS)
		return refuse(ps, fault_of_field(text));
	return refuse(
	        ps, ps->kind == KIND_REQUEST ? fault_of_request_line(text) : fault_of_status_line(text));
}

/* The start lines. */

static sl_http1_span span_of(const struct parse *ps, const char *from, const char *to)
{
	return (sl_http1_span) { .at = (uint16_t)(from - ps->base), .len = (uint16_t)(to - from) };
}

/* "HTTP/1.m" at p, which has eight bytes. */
static bool parse_version(struct sl_http1_head *h, const char *p)
{
	if (memcmp(p, "HTTP/1.", 7) != 0 || p[7] < '0' || p[7] > '9')
		return false;
	h->minor = p[7] !=
	           '0'; /* RFC 9110 section 2.5: a higher minor version is read as the highest one known */
	return true;
}

static void start_fields(struct parse *ps, const char *line_end)
{
	struct sl_http1_head *h = ps->h;

	h->fields_at = h->line_at = (uint32_t)(line_end - ps->base);
	h->field_count = 0;
	h->framing = SL_HTTP1_NONE;
	h->content_length = 0;
	h->status = 0;
	h->repeated = 0;
	h->keep_alive = h->close = h->upgrade = h->expect_100 = h->te_trailers = h->extra_options = false;
	memset(h->first, 0, sizeof(h->first));
	h->stage = STAGE_FIELDS;
}

/* *ret_host may be empty: a Host field may be (RFC 9112 section 3.2). */
static bool host_is_sound(sl_str host, bool port_needed)
{
	size_t i = 0;
	uint32_t port = 0;

	if (host.len && host.p[0] == '[') { /* IP-literal; the resolver judges the address */
		for (i = 1; i < host.len &&
		            (sl_ch_is(host.p[i], SL_CH_HEX) || host.p[i] == ':' || host.p[i] == '.');)
			i++;
		if (i < 4 || i == host.len || host.p[i++] != ']')
			return false;
	} else {
		while (i < host.len && host.p[i] != ':') {
			while (i < host.len && sl_ch_is(host.p[i], SL_CH_HOST))
				i++;
			if (i == host.len || host.p[i] == ':')
				break;
			if (host.p[i] != '%' || host.len - i < 3 || sl_ch_hex(host.p[i + 1]) < 0 ||
			        sl_ch_hex(host.p[i + 2]) < 0)
				return false;
			i += 3;
		}
	}
	if (i == host.len)
		return !port_needed;
	if (i == 0 || host.p[i++] != ':' || host.len - i > 5 || (port_needed && i == host.len))
		return false;
	for (; i < host.len; i++) {
		if (host.p[i] < '0' || host.p[i] > '9')
			return false;
		port = port * 10 + (uint32_t)(host.p[i] - '0');
	}
	return port <= 65535;
}

/* RFC 9112 section 3.2: which form the target has, and its authority. */
static enum sl_http1_fault judge_target(struct parse *ps)
{
	struct sl_http1_head *h = ps->h;
	sl_str target = sl_http1_str(ps->base, h->target), authority;
	size_t scheme = 0, end;

	h->authority = (sl_http1_span) { .at = 0, .len = 0 };
	if (h->method == SL_METHOD_CONNECT) {
		h->form = SL_HTTP1_FORM_AUTHORITY;
		h->authority = h->target;
		return host_is_sound(target, true) ? SL_HTTP1_FAULT_NONE : SL_HTTP1_FAULT_TARGET_FORM;
	}
	h->form = SL_HTTP1_FORM_ORIGIN;
	if (target.p[0] == '/')
		return SL_HTTP1_FAULT_NONE;
	if (target.len == 1 && target.p[0] == '*') {
		h->form = SL_HTTP1_FORM_ASTERISK;
		return h->method == SL_METHOD_OPTIONS ? SL_HTTP1_FAULT_NONE : SL_HTTP1_FAULT_TARGET_FORM;
	}
	h->form = SL_HTTP1_FORM_ABSOLUTE;
	if (target.len > 7 && sl_ch_eq_lower(target.p, "http://", 7))
		scheme = 7;
	else if (target.len > 8 && sl_ch_eq_lower(target.p, "https://", 8))
		scheme = 8;
	else
		return SL_HTTP1_FAULT_TARGET_FORM;
	for (end = scheme; end < target.len && target.p[end] != '/' && target.p[end] != '?';)
		end++;
	authority = sl_str_n(target.p + scheme, end - scheme);
	h->authority = span_of(ps, authority.p, authority.p + authority.len);
	/* user information is refused with the host: RFC 9110 section 4.2.4 */
	return authority.len && host_is_sound(authority, false) ? SL_HTTP1_FAULT_NONE
	                                                        : SL_HTTP1_FAULT_TARGET_FORM;
}

static sl_err parse_request_line(struct parse *ps)
{
	struct sl_http1_head *h = ps->h;
	const char *p = ps->base, *end = ps->end, *at;
	enum sl_http1_fault fault;

	/* RFC 9112 section 2.2: one empty line before the request line is tolerated. */
	if (h->line_at == 0 && end - p >= 2 && p[0] == '\r' && p[1] == '\n')
		h->line_at = 2;
	h->start_at = h->line_at;
	p += h->line_at;
	at = p;
	while (p < end && sl_ch_is(*p, SL_CH_TOKEN))
		p++;
	if (p == at || p == end || *p != ' ')
		return stuck(ps);
	h->method_at = span_of(ps, at, p);
	at = ++p;
	p = scan_target(p, end);
	if (p == at || end - p < 11 || *p != ' ' || !parse_version(h, p + 1) || p[9] != '\r' || p[10] != '\n')
		return stuck(ps);
	h->target = span_of(ps, at, p);
	h->method = (uint8_t)sl_method_find(sl_http1_str(ps->base, h->method_at));
	if (h->target.len > ps->limits->target_bytes)
		return refuse(ps, SL_HTTP1_FAULT_TARGET_TOO_LONG);
	fault = judge_target(ps);
	if (fault)
		return refuse(ps, fault);
	start_fields(ps, p + 11);
	return SL_OK;
}

static sl_err parse_status_line(struct parse *ps)
{
	struct sl_http1_head *h = ps->h;
	const char *p = ps->base, *end = ps->end, *at;
	unsigned status;

	h->start_at = 0;
	/* "HTTP/1.1 200" and at least CR LF */
	if (end - p < 14 || !parse_version(h, p) || p[8] != ' ' || p[9] < '1' || p[9] > '9' || p[10] < '0' ||
	        p[10] > '9' || p[11] < '0' || p[11] > '9')
		return stuck(ps);
	status = (unsigned)(p[9] - '0') * 100 + (unsigned)(p[10] - '0') * 10 + (unsigned)(p[11] - '0');
	at = p += 12;
	if (*p == ' ') /* the space before an absent reason is often left out; nothing hangs on it */
		at = ++p;
	else if (*p != '\r')
		return stuck(ps);
	p = scan_value(p, end);
	if (end - p < 2 || p[0] != '\r' || p[1] != '\n')
		return stuck(ps);
	h->reason = span_of(ps, at, p);
	start_fields(ps, p + 2);
	h->status = (uint16_t)status;
	return SL_OK;
}

/* The fields. */

static sl_err parse_fields(struct parse *ps)
{
	struct sl_http1_head *h = ps->h;
	const char *base = ps->base, *end = ps->end, *p = base + h->line_at;
	uint32_t most = ps->limits->fields < SL_HTTP1_FIELDS_MOST ? ps->limits->fields : SL_HTTP1_FIELDS_MOST;

	while (end - p >= 2 && p[0] != '\r') {
		struct sl_http1_field *f;
		const char *colon = scan_colon(p, end), *value, *stop;
		sl_str name = sl_str_n(p, (size_t)(colon - p));
		enum sl_hdr id;

		if (colon == end || name.len == 0)
			return stuck(ps);
		id = sl_hdr_find(name);
		if (id == SL_HDR_OTHER && !sl_ch_all(name, SL_CH_TOKEN))
			return stuck(ps);
		value = colon + 1;
		while (value < end && (*value == ' ' || *value == '\t'))
			value++;
		stop = scan_value(value, end);
		if (end - stop < 2 || stop[0] != '\r' || stop[1] != '\n')
			return stuck(ps);
		if (h->field_count >= most)
			return refuse(ps, SL_HTTP1_FAULT_FIELDS_TOO_MANY);
		f = &h->fields[h->field_count++];
		f->name = (sl_http1_span) { .at = (uint16_t)(p - base), .len = (uint16_t)name.len };
		p = stop + 2;
		while (stop > value && (stop[-1] == ' ' || stop[-1] == '\t'))
			stop--;
		f->value = span_of(ps, value, stop);
		f->id = (uint8_t)id;
		f->hop = sl_hdr_hop_by_hop(id);
		if (h->first[id])
			h->repeated |= 1ull << id;
		else
			h->first[id] = (uint8_t)h->field_count;
		h->line_at = (uint32_t)(p - base);
	}
	if (end - p < 2 || p[1] != '\n')
		return stuck(ps);
	h->head_bytes = (uint32_t)(p + 2 - base);
	return SL_OK;
}

/* What the fields mean together. */

static enum sl_http1_fault read_option(struct parse *ps, sl_str option, bool *keep)
{
	struct sl_http1_head *h = ps->h;
	enum sl_hdr id;

	if (!sl_ch_all(option, SL_CH_TOKEN))
		return SL_HTTP1_FAULT_CONNECTION;
	if (SL_EQ_LOWER(option, "close")) {
		h->close = true;
		return SL_HTTP1_FAULT_NONE;
	}
	id = sl_hdr_find(option);
	if (id == SL_HDR_KEEP_ALIVE)
		*keep = true;
	if (id == SL_HDR_UPGRADE)
		h->upgrade = true;
	/* Whoever names these may not have them dropped: the message would mean something else behind us. */
	if (sl_hdr_hop_by_hop(id) || id == SL_HDR_HOST || id == SL_HDR_CONTENT_LENGTH)
		return SL_HTTP1_FAULT_NONE;
	h->extra_options = true;
	for (size_t i = sl_http1_find(h, ps->base, option, 0); i < h->field_count;
	        i = sl_http1_find(h, ps->base, option, i + 1))
		h->fields[i].hop = true;
	return SL_HTTP1_FAULT_NONE;
}

static enum sl_http1_fault read_options(struct parse *ps, sl_str list, bool *keep, unsigned *count)
{
	bool more = true;

	while (more) {
		enum sl_http1_fault fault;
		sl_str option;

		more = sl_str_split(&list, ',', &option);
		option = sl_str_trim(option);
		if (option.len == 0)
			continue;
		if (++*count > CONNECTION_OPTIONS_MOST)
			return SL_HTTP1_FAULT_CONNECTION;
		fault = read_option(ps, option, keep);
		if (fault)
			return fault;
	}
	return SL_HTTP1_FAULT_NONE;
}

static enum sl_http1_fault judge_connection(struct parse *ps)
{
	struct sl_http1_head *h = ps->h;
	enum sl_http1_fault fault;
	bool keep = false;
	unsigned count = 0;

	for (size_t i = h->first[SL_HDR_CONNECTION]; i && i <= h->field_count; i++) {
		if (h->fields[i - 1].id != SL_HDR_CONNECTION)
			continue;
		fault = read_options(ps, sl_http1_value(h, ps->base, i - 1), &keep, &count);
		if (fault)
			return fault;
	}
	h->keep_alive = !h->close && (h->minor ? true : keep); /* RFC 9112 section 9.3 */
	/* RFC 9110 section 7.8: from HTTP/1.0 it is ignored */
	h->upgrade = h->upgrade && h->minor && sl_http1_has(h, SL_HDR_UPGRADE);
	return SL_HTTP1_FAULT_NONE;
}

static bool repeated(const struct sl_http1_head *h, enum sl_hdr id)
{
	return h->repeated >> id & 1;
}

static enum sl_http1_fault judge_coding(const struct parse *ps)
{
	const struct sl_http1_head *h = ps->h;
	sl_str list = sl_http1_get(h, ps->base, SL_HDR_TRANSFER_ENCODING), coding;
	unsigned chunked = 0;
	bool more = true;

	if (sl_http1_has(h, SL_HDR_CONTENT_LENGTH))
		return SL_HTTP1_FAULT_LENGTH_AND_TE; /* RFC 9112 section 6.3: ought to be handled as an error */
	if (!h->minor)
		return SL_HTTP1_FAULT_TE_IN_1_0; /* RFC 9112 section 6.1 */
	if (repeated(h, SL_HDR_TRANSFER_ENCODING))
		return SL_HTTP1_FAULT_TE_REPEATED;
	if (SL_EQ_LOWER(list, "chunked"))
		return SL_HTTP1_FAULT_NONE;
	while (more) {
		more = sl_str_split(&list, ',', &coding);
		coding = sl_str_trim(coding);
		chunked += SL_EQ_LOWER(coding, "chunked");
	}
	/* "chunked, gzip" leaves the end of the message open; "gzip, chunked" is sound, and beyond us */
	if (chunked > 1 || (chunked && !SL_EQ_LOWER(coding, "chunked")))
		return SL_HTTP1_FAULT_TE_REPEATED;
	return SL_HTTP1_FAULT_TE_UNKNOWN;
}

/* RFC 9112 section 6.3, rules 3 to 6; what is left without a rule stays SL_HTTP1_NONE. */
static enum sl_http1_fault judge_framing(struct parse *ps)
{
	struct sl_http1_head *h = ps->h;
	enum sl_http1_fault fault;

	if (sl_http1_has(h, SL_HDR_TRANSFER_ENCODING)) {
		fault = judge_coding(ps);
		if (fault)
			return fault;
		h->framing = SL_HTTP1_CHUNKED;
		return SL_HTTP1_FAULT_NONE;
	}
	if (!sl_http1_has(h, SL_HDR_CONTENT_LENGTH))
		return SL_HTTP1_FAULT_NONE;
	if (repeated(h, SL_HDR_CONTENT_LENGTH))
		return SL_HTTP1_FAULT_LENGTH_REPEATED;
	if (sl_str_to_u64(sl_http1_get(h, ps->base, SL_HDR_CONTENT_LENGTH), &h->content_length) != SL_OK ||
	        h->content_length > INT64_MAX)
		return SL_HTTP1_FAULT_LENGTH;
	if (h->content_length)
		h->framing = SL_HTTP1_LENGTH;
	return SL_HTTP1_FAULT_NONE;
}

static enum sl_http1_fault judge_host(struct parse *ps)
{
	struct sl_http1_head *h = ps->h;
	const struct sl_http1_field *f;
	sl_str host;

	if (!sl_http1_has(h, SL_HDR_HOST))
		return h->minor ? SL_HTTP1_FAULT_HOST_MISSING : SL_HTTP1_FAULT_NONE;
	if (repeated(h, SL_HDR_HOST))
		return SL_HTTP1_FAULT_HOST_REPEATED;
	f = &h->fields[h->first[SL_HDR_HOST] - 1];
	host = sl_http1_str(ps->base, f->value);
	if (!host_is_sound(host, false))
		return SL_HTTP1_FAULT_HOST;
	/* Section 3.2.2 lets an origin ignore Host here. A next hop might not, so the two must say the same. */
	if (h->form == SL_HTTP1_FORM_ABSOLUTE)
		return sl_str_eq_nocase(host, sl_http1_str(ps->base, h->authority))
		               ? SL_HTTP1_FAULT_NONE
		               : SL_HTTP1_FAULT_HOST_DIFFERS;
	if (h->form != SL_HTTP1_FORM_AUTHORITY)
		h->authority = f->value;
	return SL_HTTP1_FAULT_NONE;
}

static enum sl_http1_fault judge_expect(struct parse *ps)
{
	struct sl_http1_head *h = ps->h;

	if (!h->minor ||
	        !sl_http1_has(h, SL_HDR_EXPECT)) /* RFC 9110 section 10.1.1: from HTTP/1.0 it is ignored */
		return SL_HTTP1_FAULT_NONE;
	if (repeated(h, SL_HDR_EXPECT) ||
	        !SL_EQ_LOWER(sl_http1_get(h, ps->base, SL_HDR_EXPECT), "100-continue"))
		return SL_HTTP1_FAULT_EXPECT;
	h->expect_100 = h->framing != SL_HTTP1_NONE;
	return SL_HTTP1_FAULT_NONE;
}

static void read_te(struct parse *ps)
{
	sl_str list = sl_http1_get(ps->h, ps->base, SL_HDR_TE), coding;
	bool more = list.len != 0;

	while (more) {
		more = sl_str_split(&list, ',', &coding);
		coding = sl_str_trim(coding);
		ps->h->te_trailers |= SL_EQ_LOWER(coding, "trailers");
	}
}

static enum sl_http1_fault judge_request(struct parse *ps)
{
	struct sl_http1_head *h = ps->h;
	enum sl_http1_fault fault;

	if ((fault = judge_host(ps)) || (fault = judge_framing(ps)) || (fault = judge_connection(ps)) ||
	        (fault = judge_expect(ps)))
		return fault;
	if (h->method == SL_METHOD_CONNECT && h->framing != SL_HTTP1_NONE)
		return SL_HTTP1_FAULT_CONNECT_BODY; /* RFC 9110 section 9.3.6 gives it no meaning */
	read_te(ps);
	return SL_HTTP1_FAULT_NONE;
}

/* RFC 9112 section 6.3, rules 1, 2 and 8 around judge_framing. */
static enum sl_http1_fault judge_response(struct parse *ps, enum sl_method to)
{
	struct sl_http1_head *h = ps->h;
	enum sl_http1_fault fault = judge_connection(ps);
	bool tunnel = h->status == 101 || (to == SL_METHOD_CONNECT && h->status / 100 == 2);

	h->upgrade = h->status == 101;
	if (fault)
		return fault;
	if (tunnel) {
		h->framing = SL_HTTP1_TUNNEL;
		h->keep_alive = false;
		return SL_HTTP1_FAULT_NONE;
	}
	fault = judge_framing(ps);
	if (fault)
		return fault;
	if (to == SL_METHOD_HEAD || h->status / 100 == 1 || h->status == 204 || h->status == 304) {
		h->framing = SL_HTTP1_NONE;
		return SL_HTTP1_FAULT_NONE;
	}
	if (h->framing == SL_HTTP1_NONE && !sl_http1_has(h, SL_HDR_CONTENT_LENGTH)) {
		h->framing = SL_HTTP1_UNTIL_CLOSE;
		h->keep_alive = false;
	}
	return SL_HTTP1_FAULT_NONE;
}

/* The three entries. */

static struct parse parse_of(struct sl_http1_head *h, const char *p, size_t len_bytes, uint32_t most_bytes,
        const struct sl_http1_limits *limits, enum kind kind)
{
	size_t most = most_bytes < SL_HTTP1_HEAD_BYTES_MOST ? most_bytes : SL_HTTP1_HEAD_BYTES_MOST;

	return (struct parse) {
		.h = h,
		.base = p,
		.end = p + (len_bytes < most ? len_bytes : most),
		.limits = limits,
		.kind = kind,
		.window_full = len_bytes >= most,
	};
}

/* Whether the line cut short last time is still without its end: then there is nothing to parse anew. */
static bool still_cut(const struct parse *ps)
{
	const struct sl_http1_head *h = ps->h;
	size_t len = (size_t)(ps->end - ps->base);

	return h->scan_at > h->line_at &&
	       (h->scan_at >= len || !memchr(ps->base + h->scan_at, '\n', len - h->scan_at));
}

static sl_err finish(struct parse *ps, enum sl_http1_fault fault)
{
	if (fault)
		return refuse(ps, fault);
	ps->h->stage = STAGE_DONE;
	return SL_OK;
}

sl_err sl_http1_request(
        struct sl_http1_head *h, const char *p, size_t len_bytes, const struct sl_http1_limits *limits)
{
	struct parse ps = parse_of(h, p, len_bytes, limits->head_bytes, limits, KIND_REQUEST);

	if (h->stage >= STAGE_DONE)
		return faults[h->fault].err;
	if (still_cut(&ps))
		return stuck(&ps);
	if (h->stage == STAGE_START)
		SL_TRY(parse_request_line(&ps));
	SL_TRY(parse_fields(&ps));
	return finish(&ps, judge_request(&ps));
}

sl_err sl_http1_response(struct sl_http1_head *h, const char *p, size_t len_bytes,
        const struct sl_http1_limits *limits, enum sl_method to)
{
	struct parse ps = parse_of(h, p, len_bytes, limits->head_bytes, limits, KIND_RESPONSE);

	if (h->stage >= STAGE_DONE)
		return faults[h->fault].err;
	if (still_cut(&ps))
		return stuck(&ps);
	if (h->stage == STAGE_START)
		SL_TRY(parse_status_line(&ps));
	SL_TRY(parse_fields(&ps));
	return finish(&ps, judge_response(&ps, to));
}

sl_err sl_http1_trailers(
        struct sl_http1_head *h, const char *p, size_t len_bytes, const struct sl_http1_limits *limits)
{
	struct parse ps = parse_of(h, p, len_bytes, limits->trailer_bytes, limits, KIND_TRAILERS);

	if (h->stage >= STAGE_DONE)
		return faults[h->fault].err;
	if (still_cut(&ps))
		return stuck(&ps);
	if (h->stage == STAGE_START) {
		h->start_at = 0;
		start_fields(&ps, p);
	}
	SL_TRY(parse_fields(&ps));
	return finish(&ps, SL_HTTP1_FAULT_NONE);
}

size_t sl_http1_find(const struct sl_http1_head *h, const char *p, sl_str name, size_t from)
{
	while (from < h->field_count && !sl_str_eq_nocase(sl_http1_name(h, p, from), name))
		from++;
	return from;
}

sl_err sl_http1_sniff_h2(const char *p, size_t len_bytes)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	size_t most = sizeof(preface) - 1;

	if (memcmp(p, preface, len_bytes < most ? len_bytes : most) != 0)
		return SL_ERR_NOT_FOUND;
	return len_bytes < most ? SL_ERR_AGAIN : SL_OK;
}
