#pragma once
/*
 * gRPC's own layer over HTTP/2, without I/O: message framing, status codes, the percent-coded grpc-message, timeouts.
 * Source: grpc/grpc doc/PROTOCOL-HTTP2.md.
 *
 *   Length-Prefixed-Message:   0        1       2       3       4       5 …
 *                              | flag   | length, big-endian    | message
 *                              flag 1 = compressed; we announce no encoding, so none may come
 *
 * Ownership: a deframer is embedded and owns its bytes.       Threads: one owner.
 */
#include "base/buf.h"
#include "base/units.h"

enum sl_grpc_status {
#define SL_GRPC_STATUS(name, number) SL_GRPC_##name = number,
#include "proto/grpc_status.def"
};
/* "UNAVAILABLE"; "UNKNOWN" for a number that is none. */
const char *sl_grpc_status_name(enum sl_grpc_status status);
/* From a grpc-status field; UNKNOWN for what is no number in 0..16. */
enum sl_grpc_status sl_grpc_status_parse(sl_str text);
/* What an HTTP status means where no grpc-status came. Source: doc/http-grpc-status-mapping.md. */
enum sl_grpc_status sl_grpc_status_of_http(uint32_t http_status);
/* The status that tells a peer of one of our errors. */
enum sl_grpc_status sl_grpc_status_of_err(sl_err err);

enum { SL_GRPC_PREFIX_BYTES = 5 };
/* The five bytes before a message of that length (under 2^32). */
void sl_grpc_prefix(uint8_t dst[SL_GRPC_PREFIX_BYTES], size_t len);

/* All-zero but for most_bytes is valid. */
struct sl_grpc_deframer {
	struct sl_buf in;
	size_t most_bytes; /* of one message */
	size_t taken;      /* of `in`, by the message last returned */
};
void sl_grpc_deframer_fini(struct sl_grpc_deframer *d);
void sl_grpc_deframer_feed(struct sl_grpc_deframer *d, sl_str bytes);
/*
 * The next whole message; a view until the next call of _feed or _next.
 * Errors: SL_ERR_AGAIN (needs more bytes), SL_ERR_TOO_BIG, SL_ERR_UNSUPPORTED (compressed), SL_ERR_MALFORMED (flag): the call must end.
 */
sl_err sl_grpc_deframer_next(struct sl_grpc_deframer *d, sl_str *ret_message);
/* Bytes of a message that is not whole yet: at the end of a stream there must be none. */
static inline bool sl_grpc_deframer_is_empty(const struct sl_grpc_deframer *d)
{
	return sl_buf_size(&d->in) == d->taken;
}

/* Appends `text` for a grpc-message field: printable ASCII but for '%' as it is, the rest as %XX. */
void sl_grpc_message_encode(sl_str text, struct sl_buf *out);
/* The reverse; what is no valid %XX stays as it is, as the protocol demands. */
void sl_grpc_message_decode(sl_str text, struct sl_buf *out);

/* grpc-timeout: "100m" (n u m S M H, at most 8 digits). Errors: SL_ERR_MALFORMED. */
sl_err sl_grpc_timeout_parse(sl_str text, sl_nsec *ret_timeout);
/* Rounded up to what 8 digits hold; at most 99999999H. dst gets at most 10 bytes with the NUL. */
char *sl_grpc_timeout_format(char dst[10], sl_nsec timeout);
