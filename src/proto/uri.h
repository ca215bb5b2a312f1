#pragma once
/*
 * Request targets, hosts and queries, as views into the bytes given (RFC 3986, RFC 9112 section 3.2).
 * Ownership: views; nothing is allocated.       Threads: any.
 */
#include "base/str.h"

struct sl_uri {
	sl_str scheme;    /* "http"; empty in origin-form */
	sl_str authority; /* "host:port"; empty in origin-form */
	sl_str path;      /* "/" at least, except with "*" and authority-form: then empty */
	sl_str query;     /* behind '?', without it */
	bool has_query;   /* "/?" has an empty one */
};

/* Splits a request target in origin-, absolute- or asterisk-form, or an absolute http(s) URL. Errors: SL_ERR_MALFORMED. */
sl_err sl_uri_split(sl_str target, struct sl_uri *ret_uri);

/*
 * "host", "host:port", "[::1]:port". *ret_host has no brackets; *ret_port is -1 when there is none (an empty port is none too).
 * Errors: SL_ERR_MALFORMED, SL_ERR_RANGE.
 */
sl_err sl_host_split(sl_str authority, sl_str *ret_host, int *ret_port);

/*
 * First value of a query parameter; '+' and %XX count as what they stand for in names. The value is the raw view.
 * Errors: SL_ERR_NOT_FOUND.
 */
sl_err sl_query_get(sl_str query, sl_str name, sl_str *ret_value);
/* Walks the parameters: false at the end. `rest` starts as the query. Raw views; a parameter without '=' has an empty value. */
bool sl_query_next(sl_str *rest, sl_str *ret_name, sl_str *ret_value);

/*
 * Undoes percent-encoding into dst (at least s.len bytes; dst == s.p is allowed); plus_is_space for queries and forms.
 * Errors: SL_ERR_MALFORMED (a % without two hex digits; NUL).
 */
sl_err sl_percent_decode(char *dst, sl_str s, bool plus_is_space, size_t *ret_len);
/* Adds s with everything but unreserved characters (and '/', when keep_slash) encoded; dst needs 3 * s.len. Returns the length. */
size_t sl_percent_encode(char *dst, sl_str s, bool keep_slash);

/*
 * Whether a path can be matched and forwarded as it is: no "." or ".." segments, no "//", no backslash and no %XX that
 * normalising would change. Nearly all paths are.
 */
bool sl_path_is_normal(sl_str path);
/*
 * The normal form, as Istio's MERGE_SLASHES: unreserved characters decoded, other escapes in upper case, backslash to slash, slashes
 * merged, dot segments removed (RFC 3986 section 5.2.4). dst has at least path.len bytes and may be path.p.
 * Errors: SL_ERR_MALFORMED (not starting in '/', bad escape, an escaped NUL, or ".." above the root).
 */
sl_err sl_path_normalise(char *dst, sl_str path, size_t *ret_len);
