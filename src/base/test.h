#pragma once
/* What every unit test includes first: cmocka with the headers it needs, in the order it needs them. Tests only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/str.h"

/* cmocka's own, which does not say that it never returns. */
_Noreturn void _fail(const char *file, int line);

#define sl_assert_ok(expr)                                                       \
	do {                                                                     \
		sl_err sl_e_ = (expr);                                           \
		if (sl_e_ != SL_OK)                                              \
			fail_msg("%s is %s, not OK", #expr, sl_err_name(sl_e_)); \
	} while (0)
#define sl_assert_err(expr, err) assert_string_equal(sl_err_name(expr), sl_err_name(err))
#define sl_assert_str(s, c_text)                                                  \
	do {                                                                      \
		sl_str sl_s_ = (s);                                               \
		assert_int_equal(sl_s_.len, strlen(c_text));                      \
		assert_memory_equal(sl_s_.p ? sl_s_.p : "", (c_text), sl_s_.len); \
	} while (0)
