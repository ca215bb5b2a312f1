#define PCRE2_CODE_UNIT_WIDTH 8
#include "proxy/regex.h"

#include <pcre2.h>

enum {
	MATCH_LIMIT = 20000, /* backtracking points; ordinary route patterns need a few dozen */
	PATTERN_BYTES_MOST = 4096,
	STACK_BYTES_FIRST = 32 << 10, /* of the machine-code matcher */
	STACK_BYTES_MOST = 256 << 10,
	GROUPS = 10, /* \0 to \9 */
};

void sl_regex_scratch_fini(struct sl_regex_scratch *s)
{
	pcre2_match_data_free(s->match);
	pcre2_match_context_free(s->context);
	pcre2_jit_stack_free(s->stack);
	*s = (struct sl_regex_scratch) { 0 };
}

static void scratch_ready(struct sl_regex_scratch *s)
{
	if (s->match)
		return;
	s->match = pcre2_match_data_create(GROUPS, NULL);
	s->context = pcre2_match_context_create(NULL);
	s->stack = pcre2_jit_stack_create(STACK_BYTES_FIRST, STACK_BYTES_MOST, NULL);
	assert(s->match && s->context && s->stack);
	pcre2_set_match_limit(s->context, MATCH_LIMIT);
	pcre2_jit_stack_assign(s->context, NULL, s->stack);
}

static inline pcre2_code *code_of(const struct sl_regex *re)
{
	return (pcre2_code *)(uintptr_t)re;
}

sl_err sl_regex_new(
        struct sl_regex **ret_re, sl_str pattern, bool whole, struct sl_diag *diag, const char *field)
{
	uint32_t options = PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY |
	                   (whole ? PCRE2_ANCHORED | PCRE2_ENDANCHORED : 0);
	PCRE2_SIZE at = 0;
	int code = 0;
	pcre2_code *re;

	if (pattern.len > PATTERN_BYTES_MOST)
		return sl_diag_fail(diag, SL_ERR_INVALID, field, "FieldValueTooLong",
		        "the expression has %zu bytes: at most %d are taken", pattern.len,
		        PATTERN_BYTES_MOST);
	re = pcre2_compile((PCRE2_SPTR)(pattern.p ? pattern.p : ""), pattern.len, options, &code, &at, NULL);
	if (!re) {
		char text[160] = "";

		pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof(text));
		return sl_diag_fail(diag, SL_ERR_INVALID, field, "FieldValueInvalid",
		        "\"%.*s\" is no regular expression: %s at byte %zu", SL_STR_ARG(pattern), text,
		        (size_t)at);
	}
	(void)pcre2_jit_compile(re, PCRE2_JIT_COMPLETE); /* where it cannot, the interpreter matches */
	*ret_re = (struct sl_regex *)re;
	return SL_OK;
}

void sl_regex_free(struct sl_regex *re)
{
	pcre2_code_free((pcre2_code *)re);
}

static int run(const struct sl_regex *re, struct sl_regex_scratch *s, sl_str text)
{
	scratch_ready(s);
	return pcre2_match(
	        code_of(re), (PCRE2_SPTR)(text.p ? text.p : ""), text.len, 0, 0, s->match, s->context);
}

bool sl_regex_match(const struct sl_regex *re, struct sl_regex_scratch *s, sl_str text)
{
	return run(re, s, text) >= 0;
}

static void add_substitution(struct sl_buf *out, sl_str with, sl_str text, const PCRE2_SIZE *at, int groups)
{
	for (size_t i = 0; i < with.len; i++) {
		char c = with.p[i];
		int group;

		if (c != '\\' || i + 1 == with.len) {
			sl_buf_byte(out, c);
			continue;
		}
		c = with.p[++i];
		group = c - '0';
		if (group < 0 || group > 9)
			sl_buf_byte(out, c); /* "\\" and anything else escaped stands for itself */
		else if (group < groups && at[2 * group] != PCRE2_UNSET)
			sl_buf_add(out, text.p + at[2 * group], at[2 * group + 1] - at[2 * group]);
	}
}

bool sl_regex_replace(
        const struct sl_regex *re, struct sl_regex_scratch *s, sl_str text, sl_str with, struct sl_buf *out)
{
	int groups = run(re, s, text);
	const PCRE2_SIZE *at;

	if (groups < 0) {
		sl_buf_str_add(out, text);
		return false;
	}
	if (groups == 0)
		groups = GROUPS; /* more groups than we keep */
	at = pcre2_get_ovector_pointer(s->match);
	sl_buf_add(out, text.p, at[0]);
	add_substitution(out, with, text, at, groups);
	sl_buf_add(out, text.p + at[1], text.len - at[1]);
	return true;
}
