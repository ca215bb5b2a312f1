#include "base/units.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

static const struct {
	const char *name;
	double nsec;
} duration_units[] = {
	{ "ns", 1 },
	{ "us", 1e3 },
	{ "µs", 1e3 },
	{ "ms", 1e6 },
	{ "s", 1e9 },
	{ "m", 60e9 },
	{ "h", 3600e9 },
};

static size_t span(sl_str s, const char *set)
{
	size_t i = 0;

	while (i < s.len && s.p[i] && strchr(set, s.p[i]))
		i++;
	return i;
}

sl_err sl_duration_parse(sl_str s, sl_nsec *ret_d)
{
	double total = 0;

	if (sl_str_eq(s, SL_STR("0"))) {
		*ret_d = 0;
		return SL_OK;
	}
	if (!s.len)
		return SL_ERR_MALFORMED;
	while (s.len) {
		size_t digits = span(s, "0123456789."), letters, u;
		double v;

		SL_TRY(sl_str_to_double(sl_str_first(s, digits), &v));
		s = sl_str_skip(s, digits);
		for (letters = 0; letters < s.len && !strchr("0123456789.", s.p[letters]); letters++)
			;
		for (u = 0; u < sizeof(duration_units) / sizeof(duration_units[0]); u++)
			if (sl_str_eq_c(sl_str_first(s, letters), duration_units[u].name))
				break;
		if (u == sizeof(duration_units) / sizeof(duration_units[0]))
			return SL_ERR_MALFORMED;
		total += v * duration_units[u].nsec;
		s = sl_str_skip(s, letters);
	}
	if (!(total < 9.2e18))
		return SL_ERR_RANGE;
	*ret_d = (sl_nsec)llround(total);
	return SL_OK;
}

char *sl_duration_format(char dst[32], sl_nsec d)
{
	int64_t h = d / SL_SEC(3600), m = d / SL_SEC(60) % 60, s = d / SL_SEC(1) % 60, rest = d % SL_SEC(1);
	size_t n = 0;

	if (d < SL_SEC(1)) {
		if (d % 1000000 == 0)
			snprintf(dst, 32, d ? "%" PRId64 "ms" : "%" PRId64 "s", d / 1000000);
		else if (d % 1000 == 0)
			snprintf(dst, 32, "%" PRId64 "us", d / 1000);
		else
			snprintf(dst, 32, "%" PRId64 "ns", d);
		return dst;
	}
	if (h)
		n += (size_t)snprintf(dst + n, 32 - n, "%" PRId64 "h", h);
	if (m)
		n += (size_t)snprintf(dst + n, 32 - n, "%" PRId64 "m", m);
	if (rest)
		snprintf(dst + n, 32 - n, "%gs", (double)s + (double)rest / 1e9);
	else if (s || !n)
		snprintf(dst + n, 32 - n, "%" PRId64 "s", s);
	return dst;
}

static const struct {
	const char *name;
	double scale;
} quantity_units[] = {
	{ "", 1 },
	{ "n", 1e-9 },
	{ "u", 1e-6 },
	{ "m", 1e-3 },
	{ "k", 1e3 },
	{ "M", 1e6 },
	{ "G", 1e9 },
	{ "T", 1e12 },
	{ "P", 1e15 },
	{ "E", 1e18 },
	{ "Ki", 1024.0 },
	{ "Mi", 1048576.0 },
	{ "Gi", 1073741824.0 },
	{ "Ti", 1099511627776.0 },
	{ "Pi", 1125899906842624.0 },
	{ "Ei", 1152921504606846976.0 },
};

sl_err sl_quantity_parse_milli(sl_str s, int64_t *ret_milli)
{
	size_t digits = span(s, "+-0123456789."), u;
	double v;

	/* "1e3" and "1E3" are exponents; "1E" alone is exa. */
	if (digits + 1 < s.len && (s.p[digits] == 'e' || s.p[digits] == 'E') &&
	        strchr("+-0123456789", s.p[digits + 1]))
		digits = digits + 1 + span(sl_str_skip(s, digits + 1), "+-0123456789");
	SL_TRY(sl_str_to_double(sl_str_first(s, digits), &v));
	s = sl_str_skip(s, digits);
	for (u = 0; u < sizeof(quantity_units) / sizeof(quantity_units[0]); u++)
		if (sl_str_eq_c(s, quantity_units[u].name))
			break;
	if (u == sizeof(quantity_units) / sizeof(quantity_units[0]))
		return SL_ERR_MALFORMED;
	v = ceil(v * quantity_units[u].scale * 1000);
	if (!(fabs(v) < 9.2e18))
		return SL_ERR_RANGE;
	*ret_milli = (int64_t)v;
	return SL_OK;
}

char *sl_time_format(char dst[21], sl_nsec unix_time)
{
	time_t t = (time_t)(unix_time / SL_SEC(1));
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(dst, 21, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return dst;
}

char *sl_time_format_us(char dst[28], sl_nsec unix_time)
{
	char sec[21];

	sl_time_format(sec, unix_time);
	snprintf(dst, 28, "%.19s.%06dZ", sec, (int)(unix_time % SL_SEC(1) / 1000));
	return dst;
}

sl_err sl_time_parse(sl_str s, sl_nsec *ret_unix_time)
{
	struct tm tm = { 0 };
	char text[40], sign;
	const char *rest;
	double fraction = 0;
	int off_h = 0, off_m = 0;
	int64_t t;

	if (s.len < 20 || s.len >= sizeof(text))
		return SL_ERR_MALFORMED;
	sl_str_copy(text, sizeof(text), s);
	rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!rest)
		return SL_ERR_MALFORMED;
	if (*rest == '.') {
		size_t n = 1 + strspn(rest + 1, "0123456789");

		SL_TRY(sl_str_to_double(sl_str_n(rest, n), &fraction));
		rest += n;
	}
	t = (int64_t)timegm(&tm);
	if (sscanf(rest, "%c%2d:%2d", &sign, &off_h, &off_m) == 3 && strlen(rest) == 6 &&
	        (sign == '+' || sign == '-'))
		t -= (sign == '-' ? -1 : 1) * (off_h * 3600 + off_m * 60);
	else if (strcmp(rest, "Z") != 0)
		return SL_ERR_MALFORMED;
	*ret_unix_time = SL_SEC(t) + (sl_nsec)llround(fraction * 1e9);
	return SL_OK;
}
