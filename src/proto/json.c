#include "proto/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* jansson counts depth itself, but only against a bound of its own. */
static bool depth_ok(sl_str text, size_t most)
{
	bool in_string = false;
	size_t depth = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.p[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
			continue;
		}
		if (c == '"')
			in_string = true;
		else if ((c == '[' || c == '{') && ++depth > most)
			return false;
		else if ((c == ']' || c == '}') && depth)
			depth--;
	}
	return true;
}

sl_err sl_json_parse(
        sl_str text, const struct sl_json_limits *limits, json_t **ret_value, struct sl_diag *diag)
{
	static const struct sl_json_limits usual = SL_JSON_LIMITS;
	json_error_t error;
	json_t *value;

	if (!limits)
		limits = &usual;
	if (text.len > limits->bytes)
		return sl_diag_fail(diag, SL_ERR_TOO_BIG, NULL, NULL,
		        "the JSON text has %zu bytes; the limit is %zu", text.len, limits->bytes);
	if (!depth_ok(text, limits->depth))
		return sl_diag_fail(diag, SL_ERR_TOO_BIG, NULL, NULL,
		        "the JSON text is nested deeper than %zu levels", limits->depth);
	value = json_loadb(text.p ? text.p : "", text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (!value)
		return sl_diag_fail(diag, SL_ERR_MALFORMED, NULL, NULL, "line %d, column %d: %s",
		        error.line > 0 ? error.line : 1, error.column > 0 ? error.column : 1, error.text);
	*ret_value = value;
	return SL_OK;
}

/* Writing. */

static bool fits_15_digits(double v)
{
	char text[32];

	snprintf(text, sizeof(text), "%.15g", v);
	return strtod(text, NULL) == v;
}

size_t sl_json_format_real(char dst[32], double v)
{
	return (size_t)snprintf(dst, 32, "%.*g", fits_15_digits(v) ? 15 : 17, v);
}

/* 0.1 as 0.1 where all reals of the value allow it, not as 0.10000000000000001. */
static bool all_fit_15_digits(const json_t *value)
{
	json_t *v = (json_t *)(uintptr_t)value, *sub;
	const char *key;
	size_t i;

	if (json_is_real(v))
		return fits_15_digits(json_real_value(v));
	json_object_foreach (v, key, sub)
		if (!all_fit_15_digits(sub))
			return false;
	json_array_foreach (v, i, sub)
		if (!all_fit_15_digits(sub))
			return false;
	return true;
}

static int write_to_buf(const char *p, size_t len, void *out)
{
	sl_buf_add(out, p, len);
	return 0;
}

static void dump(struct sl_buf *out, const json_t *value, size_t flags)
{
	flags |= JSON_ENCODE_ANY | JSON_REAL_PRECISION(all_fit_15_digits(value) ? 15u : 17u);
	if (json_dump_callback(value, write_to_buf, out, flags) != 0)
		sl_buf_c(out, "null"); /* only a NULL value or a cycle comes here */
}

void sl_json_dump(struct sl_buf *out, const json_t *value)
{
	dump(out, value, JSON_COMPACT | JSON_SORT_KEYS);
}

void sl_json_dump_pretty(struct sl_buf *out, const json_t *value, int indent)
{
	dump(out, value, JSON_INDENT((size_t)indent));
}

/* Paths. */

struct step {
	sl_str key;
	size_t index;
	bool is_index;
};

/* Takes "[3]" or "[\"key\"]" at *at. */
static bool next_bracket(const char **at, struct step *ret_step)
{
	const char *p = *at + 1, *end;
	uint64_t index;

	if (*p == '"') {
		end = strchr(++p, '"');
		if (!end || end[1] != ']')
			return false;
		*ret_step = (struct step) { .key = sl_str_n(p, (size_t)(end - p)) };
		*at = end + 2;
		return true;
	}
	end = strchr(p, ']');
	if (!end || sl_str_to_u64(sl_str_n(p, (size_t)(end - p)), &index) != SL_OK)
		return false;
	*ret_step = (struct step) { .index = index, .is_index = true };
	*at = end + 1;
	return true;
}

/* Takes one step off the path; false when it is malformed. The path is not at its end. */
static bool next_step(const char **at, struct step *ret_step)
{
	size_t len;

	if (**at == '[')
		return next_bracket(at, ret_step);
	if (**at == '.')
		++*at;
	len = strcspn(*at, ".[");
	*ret_step = (struct step) { .key = sl_str_n(*at, len) };
	*at += len;
	return len > 0;
}

static json_t *follow(const json_t *value, const struct step *s)
{
	return s->is_index ? json_array_get(value, s->index) : json_object_getn(value, s->key.p, s->key.len);
}

json_t *sl_json_get(const json_t *value, const char *path)
{
	json_t *at = (json_t *)(uintptr_t)value;
	struct step s;

	while (*path && at) {
		if (!next_step(&path, &s))
			return NULL;
		at = follow(at, &s);
	}
	return at;
}

json_t *sl_json_getf(const json_t *value, const char *fmt, ...)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf path = { 0 };
	va_list ap;

	va_start(ap, fmt);
	sl_buf_vprintf(&path, fmt, ap);
	va_end(ap);
	return sl_json_get(value, sl_buf_cstr(&path));
}

const char *sl_json_string(const json_t *value, const char *path, const char *fallback)
{
	const char *s = json_string_value(sl_json_get(value, path));

	return s ? s : fallback;
}

sl_str sl_json_get_str(const json_t *value, const char *path)
{
	const json_t *v = sl_json_get(value, path);

	return json_is_string(v) ? sl_str_n(json_string_value(v), json_string_length(v)) : SL_STR_NONE;
}

int64_t sl_json_int(const json_t *value, const char *path, int64_t fallback)
{
	const json_t *v = sl_json_get(value, path);
	double real;

	if (json_is_integer(v))
		return json_integer_value(v);
	real = json_real_value(v);
	return json_is_real(v) && fabs(real) < 0x1p63 && real == trunc(real) ? (int64_t)real : fallback;
}

double sl_json_real(const json_t *value, const char *path, double fallback)
{
	const json_t *v = sl_json_get(value, path);

	return json_is_number(v) ? json_number_value(v) : fallback;
}

bool sl_json_bool(const json_t *value, const char *path, bool fallback)
{
	const json_t *v = sl_json_get(value, path);

	return json_is_boolean(v) ? json_is_true(v) : fallback;
}

json_t *sl_json_array(const json_t *value, const char *path)
{
	json_t *v = sl_json_get(value, path);

	return json_is_array(v) ? v : NULL;
}

json_t *sl_json_object(const json_t *value, const char *path)
{
	json_t *v = sl_json_get(value, path);

	return json_is_object(v) ? v : NULL;
}

/* The container of the last step, objects on the way made when `make`. */
static json_t *parent_of(json_t *at, const char *path, bool make, struct step *ret_last)
{
	while (*path) {
		json_t *next;

		if (!next_step(&path, ret_last))
			return NULL;
		if (!*path)
			return at;
		next = follow(at, ret_last);
		if (!next && make && !ret_last->is_index && json_is_object(at)) {
			next = json_object();
			if (json_object_setn_new(at, ret_last->key.p, ret_last->key.len, next) != 0)
				return NULL;
		}
		at = next;
	}
	return NULL;
}

sl_err sl_json_set(json_t *value, const char *path, json_t *new_value)
{
	struct step last;
	json_t *parent = parent_of(value, path, true, &last);
	int rc = -1;

	/* the setters release new_value themselves when they fail */
	if (parent && last.is_index)
		rc = json_array_set_new(parent, last.index, new_value);
	else if (parent)
		rc = json_object_setn_new(parent, last.key.p, last.key.len, new_value);
	else
		json_decref(new_value);
	return rc == 0 ? SL_OK : SL_ERR_INVALID;
}

sl_err sl_json_remove(json_t *value, const char *path)
{
	struct step last;
	json_t *parent = parent_of(value, path, false, &last);
	int rc = -1;

	if (parent && last.is_index)
		rc = json_array_remove(parent, last.index);
	else if (parent)
		rc = json_object_deln(parent, last.key.p, last.key.len);
	return rc == 0 ? SL_OK : SL_ERR_NOT_FOUND;
}
