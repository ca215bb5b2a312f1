#include "proto/uri.h"

#include "proto/ascii.h"

sl_err sl_uri_split(sl_str target, struct sl_uri *ret_uri)
{
	struct sl_uri u = { 0 };
	size_t at = 0, end;

	if (!target.len || !sl_ch_all(target, SL_CH_TARGET))
		return SL_ERR_MALFORMED;
	if (target.p[0] != '/' && !sl_str_eq(target, SL_STR("*"))) {
		size_t colon = sl_str_find(target, ':');

		u.scheme = sl_str_first(target, colon);
		if (!SL_EQ_LOWER(u.scheme, "http") && !SL_EQ_LOWER(u.scheme, "https"))
			return SL_ERR_MALFORMED;
		at = colon + 3;
		if (!sl_str_starts(sl_str_skip(target, colon), SL_STR("://")))
			return SL_ERR_MALFORMED;
		for (end = at; end < target.len && target.p[end] != '/' && target.p[end] != '?';)
			end++;
		u.authority = sl_str_n(target.p + at, end - at);
		if (!u.authority.len || sl_str_find(u.authority, '@') < u.authority.len)
			return SL_ERR_MALFORMED;
		at = end;
	}
	u.path = sl_str_skip(target, at);
	end = sl_str_find(u.path, '?');
	if (end < u.path.len) {
		u.has_query = true;
		u.query = sl_str_skip(u.path, end + 1);
		u.path = sl_str_first(u.path, end);
	}
	if (u.scheme.len && !u.path.len)
		u.path = SL_STR("/"); /* RFC 9110 section 4.2.3 */
	if (u.path.len == 1 && u.path.p[0] == '*')
		u.path = SL_STR_NONE;
	*ret_uri = u;
	return SL_OK;
}

sl_err sl_host_split(sl_str authority, sl_str *ret_host, int *ret_port)
{
	sl_str host, port;
	uint64_t number = 0;
	size_t end;

	if (authority.len && authority.p[0] == '[') {
		end = sl_str_find(authority, ']');
		if (end == authority.len || end == 1)
			return SL_ERR_MALFORMED;
		host = sl_str_n(authority.p + 1, end - 1);
		port = sl_str_skip(authority, end + 1);
		if (port.len && port.p[0] != ':')
			return SL_ERR_MALFORMED;
	} else {
		end = sl_str_find(authority, ':');
		host = sl_str_first(authority, end);
		port = sl_str_skip(authority, end);
	}
	port = sl_str_skip(port, 1);
	if (!host.len)
		return SL_ERR_MALFORMED;
	if (port.len) {
		SL_TRY(sl_str_to_u64(port, &number));
		if (number > 65535)
			return SL_ERR_RANGE;
	}
	*ret_host = host;
	*ret_port = port.len ? (int)number : -1;
	return SL_OK;
}

/* One byte of s at *at, escapes undone; -1 when an escape is broken. */
static int decoded_byte(sl_str s, size_t *at, bool plus_is_space)
{
	char c = s.p[*at];
	int high, low;

	*at += 1;
	if (c == '+' && plus_is_space)
		return ' ';
	if (c != '%')
		return (uint8_t)c;
	if (s.len - *at < 2)
		return -1;
	high = sl_ch_hex(s.p[*at]);
	low = sl_ch_hex(s.p[*at + 1]);
	if (high < 0 || low < 0)
		return -1;
	*at += 2;
	return high << 4 | low;
}

static bool decoded_equal(sl_str raw, sl_str name)
{
	size_t at = 0;

	for (size_t i = 0; i < name.len; i++)
		if (at == raw.len || decoded_byte(raw, &at, true) != (uint8_t)name.p[i])
			return false;
	return at == raw.len;
}

bool sl_query_next(sl_str *rest, sl_str *ret_name, sl_str *ret_value)
{
	while (rest->len) {
		sl_str pair, value;

		if (!sl_str_split(rest, '&', &pair))
			*rest = SL_STR_NONE;
		if (!pair.len)
			continue;
		value = pair;
		if (!sl_str_split(&value, '=', ret_name))
			value = SL_STR_NONE;
		*ret_value = value;
		return true;
	}
	return false;
}

sl_err sl_query_get(sl_str query, sl_str name, sl_str *ret_value)
{
	sl_str raw, value;

	while (sl_query_next(&query, &raw, &value)) {
		if (decoded_equal(raw, name)) {
			*ret_value = value;
			return SL_OK;
		}
	}
	return SL_ERR_NOT_FOUND;
}

sl_err sl_percent_decode(char *dst, sl_str s, bool plus_is_space, size_t *ret_len)
{
	size_t len = 0;

	for (size_t at = 0; at < s.len;) {
		int c = decoded_byte(s, &at, plus_is_space);

		if (c <= 0)
			return SL_ERR_MALFORMED;
		dst[len++] = (char)c;
	}
	*ret_len = len;
	return SL_OK;
}

static size_t put_escape(char *dst, uint8_t c)
{
	dst[0] = '%';
	dst[1] = "0123456789ABCDEF"[c >> 4];
	dst[2] = "0123456789ABCDEF"[c & 15];
	return 3;
}

size_t sl_percent_encode(char *dst, sl_str s, bool keep_slash)
{
	size_t len = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (sl_ch_is(s.p[i], SL_CH_UNRESERVED) || (keep_slash && s.p[i] == '/'))
			dst[len++] = s.p[i];
		else
			len += put_escape(dst + len, (uint8_t)s.p[i]);
	}
	return len;
}

/* Whether s begins with a segment that is "." or "..". */
static bool starts_with_dots(sl_str s)
{
	size_t dots = 0;

	while (dots < s.len && s.p[dots] == '.')
		dots++;
	return (dots == 1 || dots == 2) && (dots == s.len || s.p[dots] == '/');
}

static bool escape_is_normal(sl_str s) /* at '%' */
{
	size_t at = 0;
	int c = decoded_byte(s, &at, false);

	if (c <= 0 || sl_ch_is((char)c, SL_CH_UNRESERVED))
		return false;
	return !(s.p[1] >= 'a' || s.p[2] >= 'a'); /* hex digits in upper case */
}

bool sl_path_is_normal(sl_str path)
{
	if (!path.len || path.p[0] != '/')
		return false;
	for (size_t i = 0; i < path.len; i++) {
		sl_str rest = sl_str_skip(path, i + 1);

		if (path.p[i] == '\\' || (path.p[i] == '%' && !escape_is_normal(sl_str_skip(path, i))))
			return false;
		if (path.p[i] == '/' && rest.len &&
		        (rest.p[0] == '/' || (rest.p[0] == '.' && starts_with_dots(rest))))
			return false;
	}
	return true;
}

/* Escapes and backslashes to their normal form. dst may be path.p: it is never ahead of the reading. */
static sl_err normalise_bytes(char *dst, sl_str path, size_t *ret_len)
{
	size_t len = 0;

	for (size_t at = 0; at < path.len;) {
		bool escaped = path.p[at] == '%';
		int c = decoded_byte(path, &at, false);

		if (c <= 0)
			return SL_ERR_MALFORMED;
		if (escaped && !sl_ch_is((char)c, SL_CH_UNRESERVED))
			len += put_escape(dst + len, (uint8_t)c);
		else
			dst[len++] = c == '\\' ? '/' : (char)c;
	}
	*ret_len = len;
	return SL_OK;
}

sl_err sl_path_normalise(char *dst, sl_str path, size_t *ret_len)
{
	size_t len = 0, size;

	if (!path.len || (path.p[0] != '/' && path.p[0] != '\\'))
		return SL_ERR_MALFORMED;
	SL_TRY(normalise_bytes(dst, path, &size));
	for (size_t at = 0; at < size;) { /* at a slash */
		size_t from, end;

		while (at < size && dst[at] == '/')
			at++;
		from = at;
		while (at < size && dst[at] != '/')
			at++;
		end = at;
		if (end - from == 2 && dst[from] == '.' && dst[from + 1] == '.') {
			if (!len)
				return SL_ERR_MALFORMED;
			while (dst[--len] != '/')
				continue;
			if (at == size)
				dst[len++] = '/';
		} else if (end == from || (end - from == 1 && dst[from] == '.')) {
			if (at == size)
				dst[len++] = '/';
		} else {
			dst[len++] = '/';
			memmove(dst + len, dst + from, end - from);
			len += end - from;
		}
	}
	*ret_len = len;
	return SL_OK;
}
