#include "proto/yaml_scalar_priv.h"

#include "base/mem.h"
#include "proto/ascii.h"

#include <math.h>
#include <stdlib.h>

enum { NUMBER_BYTES_MOST = 128 }; /* longer digit strings are strings */

static const struct {
	const char *text;
	enum yaml_kind kind;
	bool truth;
} words[] = {
	/* clang-format off */
	{ "", YAML_NULL, false }, { "~", YAML_NULL, false },
	{ "null", YAML_NULL, false }, { "Null", YAML_NULL, false }, { "NULL", YAML_NULL, false },
	{ "true", YAML_BOOL, true }, { "True", YAML_BOOL, true }, { "TRUE", YAML_BOOL, true },
	{ "false", YAML_BOOL, false }, { "False", YAML_BOOL, false }, { "FALSE", YAML_BOOL, false },
	{ "y", YAML_BOOL, true }, { "Y", YAML_BOOL, true },
	{ "yes", YAML_BOOL, true }, { "Yes", YAML_BOOL, true }, { "YES", YAML_BOOL, true },
	{ "on", YAML_BOOL, true }, { "On", YAML_BOOL, true }, { "ON", YAML_BOOL, true },
	{ "n", YAML_BOOL, false }, { "N", YAML_BOOL, false },
	{ "no", YAML_BOOL, false }, { "No", YAML_BOOL, false }, { "NO", YAML_BOOL, false },
	{ "off", YAML_BOOL, false }, { "Off", YAML_BOOL, false }, { "OFF", YAML_BOOL, false },
	{ ".nan", YAML_NOT_JSON, false }, { ".NaN", YAML_NOT_JSON, false }, { ".NAN", YAML_NOT_JSON, false },
	{ ".inf", YAML_NOT_JSON, false }, { ".Inf", YAML_NOT_JSON, false }, { ".INF", YAML_NOT_JSON, false },
	{ "+.inf", YAML_NOT_JSON, false }, { "+.Inf", YAML_NOT_JSON, false }, { "+.INF", YAML_NOT_JSON, false },
	{ "-.inf", YAML_NOT_JSON, false }, { "-.Inf", YAML_NOT_JSON, false }, { "-.INF", YAML_NOT_JSON, false },
	/* clang-format on */
};

static struct yaml_scalar of_double(double v)
{
	if (!isfinite(v))
		return (struct yaml_scalar) { .kind = YAML_NOT_JSON };
	if (v == trunc(v) && fabs(v) < 0x1p63) /* JSON knows no 1.0: encoding/json writes 1 */
		return (struct yaml_scalar) { .kind = YAML_INT, .integer = (int64_t)v };
	return (struct yaml_scalar) { .kind = YAML_REAL, .real = v };
}

/* The digits of one base, all of them; false when one is none. Beyond 64 bits the double stands in. */
static bool read_digits(const char *p, unsigned base, bool minus, struct yaml_scalar *ret)
{
	uint64_t v = 0;
	double wide = 0;
	bool over = false;

	if (!*p)
		return false;
	for (; *p; p++) {
		int d = sl_ch_hex(*p);

		if (d < 0 || (unsigned)d >= base)
			return false;
		over |= __builtin_mul_overflow(v, (uint64_t)base, &v) ||
		        __builtin_add_overflow(v, (uint64_t)d, &v);
		wide = wide * base + d;
	}
	if (over || v > (uint64_t)INT64_MAX + minus)
		*ret = of_double(minus ? -wide : wide);
	else
		*ret = (struct yaml_scalar) { .kind = YAML_INT,
			.integer = minus ? (int64_t)(0 - v) : (int64_t)v };
	return true;
}

/* ^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$, behind the sign */
static bool is_float(const char *p)
{
	size_t whole = strspn(p, "0123456789"), part = 0;

	p += whole;
	if (*p == '.') {
		part = strspn(++p, "0123456789");
		p += part;
	}
	if (!whole && !part)
		return false;
	if (*p == 'e' || *p == 'E') {
		p++;
		p += *p == '+' || *p == '-';
		whole = strspn(p, "0123456789");
		p += whole;
		return whole && !*p;
	}
	return !*p;
}

static bool read_number(const char *text, struct yaml_scalar *ret)
{
	const char *p = text + (*text == '+' || *text == '-');
	bool minus = *text == '-';

	if (p[0] == '0' && (p[1] | 0x20) == 'x')
		return read_digits(p + 2, 16, minus, ret);
	if (p[0] == '0' && (p[1] | 0x20) == 'b')
		return read_digits(p + 2, 2, minus, ret);
	if (p[0] == '0' && (p[1] | 0x20) == 'o')
		return read_digits(p + 2, 8, minus, ret);
	if (p[0] == '0' && p[1] && read_digits(p + 1, 8, minus, ret))
		return true; /* YAML 1.1: 0777 is octal; 08 falls through to the reals */
	if (p[0] != '0' && read_digits(p, 10, minus, ret) && ret->kind == YAML_INT)
		return true;
	if (!is_float(p))
		return false;
	*ret = of_double(strtod(text, NULL));
	return true;
}

struct yaml_scalar yaml_resolve(sl_str text)
{
	struct yaml_scalar scalar = { .kind = YAML_STR };
	char plain[NUMBER_BYTES_MOST + 1];
	size_t len = 0;

	for (size_t i = 0; i < SL_ARRAY_COUNT(words); i++)
		if (sl_str_eq_c(text, words[i].text))
			return (struct yaml_scalar) { .kind = words[i].kind, .truth = words[i].truth };
	if (text.len > NUMBER_BYTES_MOST || !strchr("+-.0123456789", text.p[0]))
		return scalar;
	for (size_t i = 0; i < text.len; i++) {
		if (!text.p[i])
			return scalar;
		if (text.p[i] != '_') /* 1_000 */
			plain[len++] = text.p[i];
	}
	plain[len] = '\0';
	if (!read_number(plain, &scalar))
		scalar.kind = YAML_STR;
	return scalar;
}
