#include "proto/yaml.h"

#include "proto/yaml_scalar_priv.h"

#include <stdlib.h>

enum { KEY_BYTES_MOST = 128 }; /* YAML wants "? " before keys of more than 1024 characters, escapes counted */

/* Strings. */

/* Could another reader take the text for a date, a time or a number in a base of its own? (1:30, 2020-01-01) */
static bool looks_numeric(sl_str s)
{
	bool digit = false;

	if (!strchr("+-.0123456789", s.p[0]))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!strchr("+-.:_0123456789abcdefABCDEFxXoOTZ ", s.p[i]))
			return false;
		digit |= s.p[i] >= '0' && s.p[i] <= '9';
	}
	return digit;
}

/* Bytes that stand for themselves in plain and literal scalars: printable ASCII, and UTF-8 but for its C1 and odd line ends. */
static bool is_printable(sl_str s, size_t i)
{
	uint8_t c = (uint8_t)s.p[i];
	uint8_t next = i + 1 < s.len ? (uint8_t)s.p[i + 1] : 0,
	        third = i + 2 < s.len ? (uint8_t)s.p[i + 2] : 0;

	if (c < 0x80)
		return c >= 0x20 && c != 0x7f;
	if (c == 0xc2) /* C1 controls and NEL */
		return next >= 0xa0;
	if (c == 0xe2) /* LS, PS */
		return next != 0x80 || (third != 0xa8 && third != 0xa9);
	if (c == 0xef) /* BOM, noncharacters */
		return (next != 0xbb || third != 0xbf) && (next != 0xbf || third < 0xbe);
	return true;
}

static bool is_plain(sl_str s)
{
	if (!s.len || yaml_resolve(s).kind != YAML_STR || looks_numeric(s) || sl_str_eq_c(s, "<<") ||
	        sl_str_eq_c(s, "="))
		return false;
	if (strchr("?:,[]{}#&*!|>'\"%@` ", s.p[0]) || s.p[s.len - 1] == ' ' || s.p[s.len - 1] == ':')
		return false;
	if (s.p[0] == '-' && (s.len == 1 || s.p[1] == ' '))
		return false;
	if (sl_str_starts(s, SL_STR("---")) || sl_str_starts(s, SL_STR("...")))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!is_printable(s, i))
			return false;
		if (s.p[i] == ':' && s.p[i + 1] == ' ')
			return false;
		if (s.p[i] == '#' && s.p[i - 1] == ' ')
			return false;
	}
	return true;
}

/* A text of several lines that can stand below a '|'. */
static bool is_literal(sl_str s)
{
	if (sl_str_find(s, '\n') == s.len || s.p[0] == '\n' || s.p[0] == ' ')
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] != '\n' && s.p[i] != '\t' && !is_printable(s, i))
			return false;
	return s.p[0] != '\t'; /* which would read as indentation; below the first line the column is known */
}

static void put_indent(struct sl_buf *out, size_t indent)
{
	for (size_t i = 0; i < indent; i++)
		sl_buf_byte(out, ' ');
}

static void put_literal(struct sl_buf *out, sl_str s, size_t indent)
{
	bool ends = s.p[s.len - 1] == '\n', more = ends && s.len > 1 && s.p[s.len - 2] == '\n';
	sl_str line;

	sl_buf_c(out, !ends ? "|-\n" : more ? "|+\n" : "|\n");
	for (bool again = true; again && s.len;) {
		again = sl_str_split(&s, '\n', &line);
		if (line.len) {
			put_indent(out, indent);
			sl_buf_str_add(out, line);
		}
		sl_buf_byte(out, '\n');
	}
}

/* The code point that begins at s.p[i]; json_t strings are UTF-8. Returns its bytes. */
static size_t code_point(sl_str s, size_t i, uint32_t *ret_c)
{
	uint8_t c = (uint8_t)s.p[i];
	size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	uint32_t v = len == 1 ? c : c & (0x7fu >> len);

	for (size_t k = 1; k < len; k++)
		v = v << 6 | ((uint8_t)s.p[i + k] & 0x3f);
	*ret_c = v;
	return len;
}

static void put_escape(struct sl_buf *out, uint32_t c)
{
	static const char names[][2] = { { '"', '"' }, { '\\', '\\' }, { '\n', 'n' }, { '\t', 't' },
		{ '\r', 'r' } };

	for (size_t i = 0; i < SL_ARRAY_COUNT(names); i++) {
		if (c == (uint32_t)names[i][0]) {
			sl_buf_printf(out, "\\%c", names[i][1]);
			return;
		}
	}
	sl_buf_printf(out, c < 0x100 ? "\\x%02X" : "\\u%04X", (unsigned)c);
}

static void put_quoted(struct sl_buf *out, sl_str s)
{
	sl_buf_byte(out, '"');
	for (size_t i = 0, len; i < s.len; i += len) {
		uint32_t c;

		len = code_point(s, i, &c);
		if (c == '"' || c == '\\' || !is_printable(s, i))
			put_escape(out, c);
		else
			sl_buf_add(out, s.p + i, len);
	}
	sl_buf_byte(out, '"');
}

/* Values. `indent` is where the lines below this one begin. */

static void put_value(struct sl_buf *out, const json_t *v, size_t indent);

static void put_string(struct sl_buf *out, const json_t *v, size_t indent)
{
	sl_str s = sl_str_n(json_string_value(v), json_string_length(v));

	if (is_plain(s))
		sl_buf_str_add(out, s);
	else if (s.len && is_literal(s)) {
		put_literal(out, s, indent ? indent : 2);
		return; /* it has ended its line */
	} else
		put_quoted(out, s);
	sl_buf_byte(out, '\n');
}

static void put_scalar(struct sl_buf *out, const json_t *v, size_t indent)
{
	char real[32];

	if (json_is_string(v)) {
		put_string(out, v, indent);
		return;
	}
	if (json_is_integer(v))
		sl_buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	else if (json_is_real(v))
		sl_buf_add(out, real, sl_json_format_real(real, json_real_value(v)));
	else
		sl_buf_c(out, json_is_true(v) ? "true" : json_is_false(v) ? "false" : "null");
	sl_buf_byte(out, '\n');
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put_key(struct sl_buf *out, const char *key, size_t indent)
{
	sl_str s = sl_str_c(key);
	bool is_long = s.len > KEY_BYTES_MOST;

	if (is_long)
		sl_buf_c(out, "? ");
	if (is_plain(s))
		sl_buf_str_add(out, s);
	else
		put_quoted(out, s); /* a key may not run over lines: literal style is for values only */
	if (is_long) {
		sl_buf_byte(out, '\n');
		put_indent(out, indent);
	}
	sl_buf_byte(out, ':');
}

static bool is_empty(const json_t *v)
{
	return json_object_size(v) == 0 && json_array_size(v) == 0;
}

/* The first line of a collection continues the line at hand (behind "- "); the others begin at `indent`. */
static void put_object(struct sl_buf *out, const json_t *v, size_t indent)
{
	const char **keys = sl_new0_array(json_object_size(v), sizeof(*keys)), *key;
	json_t *object = (json_t *)(uintptr_t)v, *value;
	size_t count = 0;

	json_object_foreach (object, key, value)
		keys[count++] = key;
	qsort(keys, count, sizeof(*keys), compare_keys);
	for (size_t i = 0; i < count; i++) {
		value = json_object_get(v, keys[i]);
		if (i)
			put_indent(out, indent);
		put_key(out, keys[i], indent);
		if ((json_is_object(value) || json_is_array(value)) && !is_empty(value)) {
			size_t below = json_is_object(value) ? indent + 2 : indent; /* kubectl's look */

			sl_buf_byte(out, '\n');
			put_indent(out, below);
			put_value(out, value, below);
		} else {
			sl_buf_byte(out, ' ');
			put_value(out, value, indent + 2);
		}
	}
	sl_free(keys);
}

static void put_array(struct sl_buf *out, const json_t *v, size_t indent)
{
	for (size_t i = 0; i < json_array_size(v); i++) {
		if (i)
			put_indent(out, indent);
		sl_buf_c(out, "- ");
		put_value(out, json_array_get(v, i), indent + 2);
	}
}

static void put_value(struct sl_buf *out, const json_t *v, size_t indent)
{
	if (json_is_object(v) && json_object_size(v))
		put_object(out, v, indent);
	else if (json_is_array(v) && json_array_size(v))
		put_array(out, v, indent);
	else if (json_is_object(v) || json_is_array(v))
		sl_buf_c(out, json_is_object(v) ? "{}\n" : "[]\n");
	else
		put_scalar(out, v, indent);
}

void sl_yaml_dump(struct sl_buf *out, const json_t *value)
{
	put_value(out, value, 0);
}
