#pragma once
/*
 * Errors: one nodiscard enum for the whole program, from err.def (name, HTTP status, text).
 * Codes listed under "Errors:" in a header are the caller's to handle; the rest climb unchanged through SL_TRY.
 * Human detail (object, field path, value, remedy) goes into a struct sl_diag (diag.h).
 * Ownership: values.       Threads: any.
 */
enum [[nodiscard]] sl_err {
#define SL_ERR(name, http, text) SL_ERR_##name,
#include "base/err.def"
	SL_ERR_COUNT
};
typedef enum sl_err sl_err;

#define SL_OK SL_ERR_OK

/* Returns the enclosing function's error when `expr` fails. The only macro that may return. */
#define SL_TRY(expr)                                           \
	do {                                                   \
		sl_err sl_try_err_ = (expr);                   \
		if (__builtin_expect(sl_try_err_ != SL_OK, 0)) \
			return sl_try_err_;                    \
	} while (0)

/* Says in code that this error is of no consequence here; the reason stands in a comment beside it. */
#define SL_IGNORE(expr)                      \
	do {                                 \
		sl_err sl_ignored_ = (expr); \
		(void)sl_ignored_;           \
	} while (0)

/* Static strings, never NULL. */
const char *sl_err_name(sl_err err); /* "NOT_FOUND" */
const char *sl_err_text(sl_err err); /* "not found" */
int sl_err_http(sl_err err);         /* 404 */

/* The code for a failed system call's errno; SL_ERR_IO where nothing says more. */
sl_err sl_err_from_errno(int errnum);
