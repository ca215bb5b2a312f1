#pragma once
/*
 * Regular expressions of routes: RE2 syntax as far as PCRE2 shares it, compiled to machine code, with a bound on the work of one match,
 * so that a pattern that backtracks costs a no, not a worker.
 * Ownership: sl_regex_free; a scratch is embedded, its all-zero form is valid.
 * Threads: a compiled expression is const and shared; a scratch belongs to one thread.
 */
#include "base/buf.h"
#include "base/diag.h"

struct sl_regex;

struct sl_regex_scratch {
	void *match, *context, *stack; /* made at first use */
};
void sl_regex_scratch_fini(struct sl_regex_scratch *s);

/* `whole`: the text must match from end to end. Errors: SL_ERR_INVALID, with the position and reason in diag under `field`. */
sl_err sl_regex_new(
        struct sl_regex **ret_re, sl_str pattern, bool whole, struct sl_diag *diag, const char *field);
void sl_regex_free(struct sl_regex *re); /* NULL is fine */
SL_CLEANUP_DEFINE(sl_regex_free, struct sl_regex *)

/* Over the work limit counts as no match. */
bool sl_regex_match(const struct sl_regex *re, struct sl_regex_scratch *s, sl_str text);
/*
 * Adds `text` to out with the first match replaced; in `with`, \0 to \9 stand for the groups and \\ for a backslash. False, and text as it is,
 * where nothing matched.
 */
bool sl_regex_replace(
        const struct sl_regex *re, struct sl_regex_scratch *s, sl_str text, sl_str with, struct sl_buf *out);
