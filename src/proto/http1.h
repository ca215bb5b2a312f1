#pragma once
/*
 * HTTP/1.1 heads and bodies, for both planes. Strict RFC 9112 and 9110: what two parsers could read in two ways is refused.
 *
 * A head is parsed in place: the caller keeps its bytes in one contiguous buffer and gets offsets into it, so the buffer may
 * move. Nothing is copied and nothing allocated. The buffer needs no padding.
 *
 *     sl_http1_head_init(&head);                        once per message
 *     while ((err = sl_http1_request(&head, buf, len, &limits)) == SL_ERR_AGAIN)
 *             receive more behind buf[len];             the same bytes again, with more behind them
 *     sl_http1_body_init(&body, &head, &limits);        the body begins at buf[head.head_bytes]
 *
 * A line is judged when its end has arrived, so the verdict does not depend on how the network cut the bytes; and each
 * byte is scanned a bounded number of times, however it was cut.
 *
 * Ownership: all structs are embedded by value and own nothing.       Threads: one owner; no globals.
 */
#include "base/buf.h"
#include "base/str.h"
#include "proto/headers.h"

enum {
	SL_HTTP1_FIELDS_MOST = 128,       /* a limit cannot be set higher */
	SL_HTTP1_HEAD_BYTES_MOST = 65535, /* offsets are 16 bits */
	SL_HTTP1_CHUNK_HEAD_BYTES = 18,   /* room for what sl_http1_chunk_head writes */
};

struct sl_http1_limits {
	uint32_t head_bytes;   /* start line, fields and the empty line; at most SL_HTTP1_HEAD_BYTES_MOST */
	uint32_t target_bytes; /* request target */
	uint32_t fields;       /* at most SL_HTTP1_FIELDS_MOST; for heads and for trailers each */
	uint32_t chunk_ext_bytes; /* chunk extensions, for one chunk */
	uint32_t body_ext_bytes;  /* chunk extensions, for the whole body */
	uint32_t trailer_bytes;   /* the whole trailer section */
};

/* struct sl_http1_limits limits = SL_HTTP1_LIMITS; */
#define SL_HTTP1_LIMITS                                                                                    \
	{                                                                                                  \
		.head_bytes = 60 * 1024, .target_bytes = 16 * 1024, .fields = 100, .chunk_ext_bytes = 256, \
		.body_ext_bytes = 16 * 1024, .trailer_bytes = 8 * 1024,                                    \
	}

enum sl_http1_fault {
#define SL_HTTP1_FAULT(id, status, err, text) SL_HTTP1_FAULT_##id,
#include "proto/http1_faults.def"
	SL_HTTP1_FAULT_COUNT
};

const char *sl_http1_fault_name(enum sl_http1_fault f); /* "LENGTH_AND_TE"; static */
const char *sl_http1_fault_text(enum sl_http1_fault f); /* one clause for people; static */
int sl_http1_fault_status(enum sl_http1_fault f);       /* to answer a request with; a response is a 502 */
sl_err sl_http1_fault_err(enum sl_http1_fault f);       /* what the parser returned with it */

/* Methods are case-sensitive (RFC 9110 section 9.1); any other token is SL_METHOD_OTHER. */
#define SL_HTTP_METHODS(X) X(GET) X(HEAD) X(POST) X(PUT) X(DELETE) X(CONNECT) X(OPTIONS) X(TRACE) X(PATCH)
enum sl_method {
	SL_METHOD_OTHER = 0,
#define SL_METHOD_ROW_(name) SL_METHOD_##name,
	SL_HTTP_METHODS(SL_METHOD_ROW_)
#undef SL_METHOD_ROW_
	        SL_METHOD_COUNT
};

enum sl_method sl_method_find(sl_str name);
sl_str sl_method_name(enum sl_method m); /* "" for SL_METHOD_OTHER */

/* How the end of the body is found (RFC 9112 section 6.3). */
enum sl_http1_framing {
	SL_HTTP1_NONE,        /* no body */
	SL_HTTP1_LENGTH,      /* content_length bytes; never 0 (that is SL_HTTP1_NONE) */
	SL_HTTP1_CHUNKED,     /* chunks, then trailers */
	SL_HTTP1_UNTIL_CLOSE, /* responses only: all that comes until the connection ends */
	SL_HTTP1_TUNNEL,      /* 101, or 2xx to CONNECT: HTTP ends with this head, both ways */
};

/* The form of a request target (RFC 9112 section 3.2). */
enum sl_http1_form {
	SL_HTTP1_FORM_ORIGIN,    /* "/path?query" */
	SL_HTTP1_FORM_ABSOLUTE,  /* "http://host/path?query" */
	SL_HTTP1_FORM_AUTHORITY, /* "host:port", CONNECT only */
	SL_HTTP1_FORM_ASTERISK,  /* "*", OPTIONS only */
};

/* A range of the message's bytes, counted from the first byte given to the parser. */
typedef struct {
	uint16_t at, len;
} sl_http1_span;

struct sl_http1_field {
	sl_http1_span name;
	sl_http1_span value; /* without the white space around it */
	uint8_t id;          /* enum sl_hdr */
	bool hop; /* hop-by-hop: by its name, or named by Connection (never Host or the framing fields) */
};

struct sl_http1_head {
	/* Valid from the first call. */
	enum sl_http1_fault fault; /* why it was refused; SL_HTTP1_FAULT_NONE otherwise */

	/* Private to the parser until it has said SL_OK or refused. */
	uint32_t line_at; /* where the first line not yet parsed begins */
	uint32_t scan_at; /* no LF stands in [line_at, scan_at) */
	uint8_t stage;

	/* Valid after SL_OK. */
	uint8_t minor;   /* HTTP/1.minor; what is above 1 counts as 1 */
	uint8_t method;  /* requests: enum sl_method */
	uint8_t form;    /* requests: enum sl_http1_form */
	uint8_t framing; /* enum sl_http1_framing */
	bool keep_alive; /* the connection may carry another message after this one */
	bool close;      /* Connection: close stood there */
	bool upgrade; /* request: asks to switch (Upgrade, named by Connection, in 1.1); response: it is a 101 */
	bool expect_100;    /* request: the client waits for 100 Continue before it sends the body */
	bool te_trailers;   /* request: TE: trailers, so trailers are wanted */
	bool extra_options; /* Connection names fields beyond the well-known hop-by-hop ones */
	uint16_t status;    /* responses: 100..999 */
	uint16_t field_count;
	uint32_t head_bytes;     /* of the whole head with its empty line; the body begins there */
	uint32_t start_at;       /* where the start line begins: 2 after one tolerated empty line, else 0 */
	uint32_t fields_at;      /* where the first field line begins; field lines end at head_bytes - 2 */
	uint64_t content_length; /* of the body; for responses to HEAD and 304s what the field says */
	sl_http1_span method_at; /* requests */
	sl_http1_span target;    /* requests */
	sl_http1_span authority; /* requests: host[:port] of the target, else of Host; may be empty */
	sl_http1_span reason;    /* responses; may be empty */
	uint64_t repeated;       /* bit 1 << sl_hdr: stood more than once */
	uint8_t first[SL_HDR_COUNT]; /* 1 + index of the first field of that id; 0: none */
	struct sl_http1_field fields[SL_HTTP1_FIELDS_MOST];
};

/* Before the first byte of each message. Cheap: touches only the first line of the struct. */
void sl_http1_head_init(struct sl_http1_head *h);

/*
 * Parses a request head from all the bytes of the message so far; h keeps where it got to. After SL_OK the body, or the next
 * pipelined request, begins at p + h->head_bytes.
 * Errors: SL_ERR_AGAIN (more bytes needed); SL_ERR_MALFORMED, SL_ERR_UNSUPPORTED, SL_ERR_TOO_BIG: refused, h->fault says why,
 * and the connection is to be closed after the answer.
 */
sl_err sl_http1_request(
        struct sl_http1_head *h, const char *p, size_t len_bytes, const struct sl_http1_limits *limits);

/*
 * Parses a response head; `to` is the method of the request it answers (HEAD and CONNECT change the framing). A 1xx other than
 * 101 is followed by another response to the same request. Errors: as sl_http1_request.
 */
sl_err sl_http1_response(struct sl_http1_head *h, const char *p, size_t len_bytes,
        const struct sl_http1_limits *limits, enum sl_method to);

/*
 * Parses a whole trailer section (field lines and the empty line) into h's fields; only fields, first, field_count and head_bytes
 * are meaningful then. Errors: as sl_http1_request.
 */
sl_err sl_http1_trailers(
        struct sl_http1_head *h, const char *p, size_t len_bytes, const struct sl_http1_limits *limits);

static inline sl_str sl_http1_str(const char *p, sl_http1_span s)
{
	return sl_str_n(p + s.at, s.len);
}

static inline sl_str sl_http1_name(const struct sl_http1_head *h, const char *p, size_t i)
{
	return sl_http1_str(p, h->fields[i].name);
}

static inline sl_str sl_http1_value(const struct sl_http1_head *h, const char *p, size_t i)
{
	return sl_http1_str(p, h->fields[i].value);
}

static inline bool sl_http1_has(const struct sl_http1_head *h, enum sl_hdr id)
{
	return h->first[id] != 0;
}

/* Value of the first field of that id; {NULL, 0} when there is none. */
static inline sl_str sl_http1_get(const struct sl_http1_head *h, const char *p, enum sl_hdr id)
{
	return h->first[id] ? sl_http1_value(h, p, h->first[id] - 1u) : SL_STR_NONE;
}

/* Index of the first field at or behind `from` with that name (any case), or field_count. */
size_t sl_http1_find(const struct sl_http1_head *h, const char *p, sl_str name, size_t from);

/* The raw bytes of field line i with its CR LF: what to leave out when a head is forwarded without it. */
static inline sl_str sl_http1_field_line(const struct sl_http1_head *h, const char *p, size_t i)
{
	size_t at = h->fields[i].name.at;
	size_t end = i + 1 < h->field_count ? h->fields[i + 1].name.at : h->head_bytes - 2;

	return sl_str_n(p + at, end - at);
}

/*
 * Whether the bytes of a new connection begin as HTTP/2 does with prior knowledge (RFC 9113 section 3.4).
 * Errors: SL_ERR_AGAIN (all bytes so far fit, more needed), SL_ERR_NOT_FOUND (it is something else).
 */
sl_err sl_http1_sniff_h2(const char *p, size_t len_bytes);

/*
 * The body decoder. Two ways to use it, not to be mixed within one body:
 *   _next   hands out the content, span by span, for whoever reads the body;
 *   _raw    says how many of the bytes belong to the body as it stands on the wire, for whoever forwards it verbatim.
 * Both judge the same bytes the same way.
 */
struct sl_http1_body {
	enum sl_http1_fault fault;
	uint8_t framing; /* enum sl_http1_framing */
	uint8_t state;   /* private */
	bool done; /* the last byte of the body was consumed; with UNTIL_CLOSE never, the caller ends it */
	uint8_t digits; /* of the chunk size so far */
	uint8_t name_len;
	uint16_t trailer_fields;
	uint32_t ext_bytes;     /* of this chunk */
	uint32_t ext_total;     /* of the body */
	uint32_t trailer_at;    /* bytes of trailer section so far */
	uint64_t left;          /* of the body (LENGTH), or of the chunk */
	uint64_t content_bytes; /* handed out or passed over so far, without chunk framing */
	char name[18]; /* the trailer name so far, lower case; names beyond this length are harmless */
	struct sl_http1_limits limits;
};

struct sl_http1_piece {
	sl_str content; /* view into the bytes given; may be empty */
	sl_str trailer; /* raw bytes of the trailer section, to be joined and given to sl_http1_trailers; may be empty */
	size_t used_bytes; /* consumed; give the rest again */
};

/* `h` is a head that was accepted; h == NULL: chunked. */
void sl_http1_body_init(
        struct sl_http1_body *b, const struct sl_http1_head *h, const struct sl_http1_limits *limits);

/*
 * Consumes bytes up to the end of one span of content. Call until b->done or all bytes are used. Nothing behind the body is consumed.
 * Errors: SL_ERR_MALFORMED, SL_ERR_TOO_BIG: b->fault says why; the message is broken and the connection is to be closed.
 */
sl_err sl_http1_body_next(
        struct sl_http1_body *b, const char *p, size_t len_bytes, struct sl_http1_piece *ret_piece);

/*
 * *ret_bytes: how many of the bytes belong to this body; fewer than len_bytes only when b->done. On an error it is written as well: the
 * bytes before the fault, which may be forwarded, though the message can no longer be completed. Errors: as _next.
 */
sl_err sl_http1_body_raw(struct sl_http1_body *b, const char *p, size_t len_bytes, size_t *ret_bytes);

/* Writing. */

#define SL_HTTP1_LAST_CHUNK "0\r\n\r\n"
/* "1a\r\n" for a chunk of that many bytes (> 0), which the content and "\r\n" must follow. Returns bytes written. */
size_t sl_http1_chunk_head(char dst[SL_HTTP1_CHUNK_HEAD_BYTES], uint64_t content_bytes);

/* "OK"; "" when the code has no registered reason. */
sl_str sl_http1_reason(unsigned status);
/* "HTTP/1.1 200 OK\r\n", static, for registered codes; {NULL, 0} for others (write them with _put_status). */
sl_str sl_http1_status_line(unsigned status);

/* Errors of all: SL_ERR_INVALID where the bytes would not be read back as what they are; nothing is added then. */
sl_err sl_http1_put_request(struct sl_buf *out, sl_str method, sl_str target);
sl_err sl_http1_put_status(struct sl_buf *out, unsigned status);
sl_err sl_http1_put_field(struct sl_buf *out, sl_str name, sl_str value);
/* Content-Length: n */
void sl_http1_put_length(struct sl_buf *out, uint64_t content_bytes);
/* The empty line. */
void sl_http1_put_end(struct sl_buf *out);
