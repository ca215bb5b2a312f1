/* The syntax of names. Source: Kubernetes "Object Names and IDs", "Labels and Selectors"; RFC 1123 and 1035. */
#include "model/validate_priv.h"

static bool lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool alnum(char c)
{
	return lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

const char *sl_name_dns_label(sl_str s)
{
	if (s.len == 0 || s.len > 63)
		return "1 to 63 characters are wanted";
	for (size_t i = 0; i < s.len; i++)
		if (!lower_alnum(s.p[i]) && s.p[i] != '-')
			return "lower-case letters, digits and '-' are wanted";
	if (!lower_alnum(s.p[0]) || !lower_alnum(s.p[s.len - 1]))
		return "it must begin and end with a lower-case letter or digit";
	return NULL;
}

const char *sl_name_dns_subdomain(sl_str s)
{
	sl_str rest = s, label;
	bool more = true;

	if (s.len == 0 || s.len > 253)
		return "1 to 253 characters are wanted";
	while (more) {
		more = sl_str_split(&rest, '.', &label);
		for (size_t i = 0; i < label.len; i++)
			if (!lower_alnum(label.p[i]) && label.p[i] != '-')
				return "lower-case letters, digits, '-' and '.' are wanted";
		if (label.len == 0 || !lower_alnum(label.p[0]) || !lower_alnum(label.p[label.len - 1]))
			return "each part between dots must begin and end with a lower-case letter or digit";
	}
	return NULL;
}

static const char *qualified_part(sl_str s)
{
	if (s.len == 0 || s.len > 63)
		return "1 to 63 characters are wanted";
	for (size_t i = 0; i < s.len; i++)
		if (!alnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '_' && s.p[i] != '.')
			return "letters, digits, '-', '_' and '.' are wanted";
	if (!alnum(s.p[0]) || !alnum(s.p[s.len - 1]))
		return "it must begin and end with a letter or digit";
	return NULL;
}

const char *sl_name_label_key(sl_str s)
{
	sl_str part = s, prefix;

	if (sl_str_split(&part, '/', &prefix)) {
		if (sl_name_dns_subdomain(prefix))
			return "the part before '/' must be a DNS name in lower case";
		return qualified_part(part);
	}
	return qualified_part(s);
}

const char *sl_name_label_value(sl_str s)
{
	return s.len == 0 ? NULL : qualified_part(s);
}

const char *sl_name_port(sl_str s)
{
	bool letter = false;

	if (s.len == 0 || s.len > 15)
		return "1 to 15 characters are wanted";
	for (size_t i = 0; i < s.len; i++) {
		if (!lower_alnum(s.p[i]) && s.p[i] != '-')
			return "lower-case letters, digits and '-' are wanted";
		if (s.p[i] == '-' && (i == 0 || i == s.len - 1 || s.p[i - 1] == '-'))
			return "'-' must stand between letters or digits";
		letter |= s.p[i] >= 'a' && s.p[i] <= 'z';
	}
	return letter ? NULL : "at least one letter is wanted";
}

const char *sl_name_host_wild(sl_str s)
{
	if (sl_str_eq(s, SL_STR("*")))
		return NULL;
	if (sl_str_starts(s, SL_STR("*")))
		s = sl_str_skip(s, sl_str_starts(s, SL_STR("*.")) ? 2 : 1);
	if (s.len == 0 || s.len > 255)
		return "1 to 255 characters are wanted";
	for (size_t i = 0; i < s.len; i++)
		if (!alnum(s.p[i]) &&
		        !strchr("-._:[]/", s.p[i])) /* also addresses, and what old manifests carry */
			return "a host name, with at most one '*' at its beginning, is wanted";
	return NULL;
}
