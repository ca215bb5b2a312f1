#pragma once
/* What the unit tests of this folder share: JSON written with ' for ", and comparing JSON. Tests only. */
#include "base/test.h"

#include "base/buf.h"
#include "model/object.h"

#include <stdlib.h>

/* Parses text in which ' stands for "; fails the test when it is no JSON. */
static inline json_t *parse_json(const char *text)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };
	json_error_t error;
	json_t *v;

	for (const char *p = text; *p; p++)
		sl_buf_byte(&b, *p == '\'' ? '"' : *p);
	v = json_loads(sl_buf_cstr(&b), JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
	if (!v)
		fail_msg("%s: %s", error.text, sl_buf_cstr(&b));
	return v;
}

/* Takes over `got`. */
static inline void assert_json(json_t *got, const char *want_text)
{
	json_t *want = parse_json(want_text);
	char *a = sl_json_text(got), *b = sl_json_text(want);

	assert_string_equal(a, b);
	sl_free(a);
	sl_free(b);
	json_decref(want);
	json_decref(got);
}
