#pragma once
/*
 * JSON over jansson: bounded parsing, access by path, one canonical text.
 * Ownership: json_t is reference-counted; what these functions return by ret_ is a new reference, what accessors return is
 * borrowed from the value given.       Threads: one owner per tree while it changes; a const tree may be read by all.
 */
#include "base/buf.h"
#include "base/diag.h"
#include "base/str.h"

#include <jansson.h>

struct sl_json_limits {
	size_t bytes; /* of text */
	size_t depth; /* of nested arrays and objects */
};

#define SL_JSON_LIMITS                           \
	{                                        \
		.bytes = 16u << 20, .depth = 128 \
	}

/* SL_CLEANUP(sl_json_unref) json_t *v = NULL; */
static inline void sl_json_unref(json_t *v)
{
	json_decref(v);
}
SL_CLEANUP_DEFINE(sl_json_unref, json_t *)

/*
 * Parses one JSON text, any type at the top. limits == NULL: SL_JSON_LIMITS. Duplicate keys, NUL in strings and anything behind
 * the value are refused; `diag` gets line and column.
 * Errors: SL_ERR_MALFORMED; SL_ERR_TOO_BIG.
 */
sl_err sl_json_parse(
        sl_str text, const struct sl_json_limits *limits, json_t **ret_value, struct sl_diag *diag);

/*
 * Adds the text: compact with sorted keys, so equal values give equal bytes; or indented by `indent` columns, keys in their order.
 * Reals have the fewest digits that read back as the same values.
 */
void sl_json_dump(struct sl_buf *out, const json_t *value);
void sl_json_dump_pretty(struct sl_buf *out, const json_t *value, int indent);

/*
 * Walks a path: keys joined by '.', indexes in brackets, a key with dots in it as ["a.b/c"]:
 * "spec.http[0].route", "metadata.labels[\"app.kubernetes.io/name\"]". "" is the value itself.
 * Borrowed; NULL when a step is missing or of the wrong type, and when value is NULL.
 */
json_t *sl_json_get(const json_t *value, const char *path);
/* The same with one formatted path ("spec.http[%zu].name"). */
json_t *sl_json_getf(const json_t *value, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The value at the path if it has the type; else the default. Integers also from whole reals; nothing else is converted. */
const char *sl_json_string(const json_t *value, const char *path, const char *fallback);
sl_str sl_json_get_str(const json_t *value, const char *path); /* {NULL, 0} when there is none */
int64_t sl_json_int(const json_t *value, const char *path, int64_t fallback);
double sl_json_real(const json_t *value, const char *path, double fallback);
bool sl_json_bool(const json_t *value, const char *path, bool fallback);
/* Array or object at the path, else NULL. Borrowed. */
json_t *sl_json_array(const json_t *value, const char *path);
json_t *sl_json_object(const json_t *value, const char *path);

/*
 * Sets the value at the path and steals the reference; objects missing on the way are made, arrays are not grown.
 * Errors: SL_ERR_INVALID (a step is of the wrong type or malformed, or an index is out of range); new_value is released then too.
 */
sl_err sl_json_set(json_t *value, const char *path, json_t *new_value);
/* Removes the value at the path. Errors: SL_ERR_NOT_FOUND. */
sl_err sl_json_remove(json_t *value, const char *path);

static inline json_t *sl_json_str_new(sl_str s) /* must be UTF-8; NULL otherwise, as jansson does */
{
	return json_stringn(s.p ? s.p : "", s.len);
}

/* SL_JSON_FOR(item, array): borrowed items; break and continue work; nothing happens for NULL or another type. */
#define SL_JSON_FOR(item, array)                                               \
	for (size_t item##_i_ = 0, item##_go_ = 1; item##_go_; item##_go_ = 0) \
		for (json_t * item; (item = json_array_get((array), item##_i_)) != NULL; item##_i_++)

/* The fewest digits (15 or 17) that read back as the same value. dst gets at most 32 bytes with the NUL; returns the length. */
size_t sl_json_format_real(char dst[32], double v);
