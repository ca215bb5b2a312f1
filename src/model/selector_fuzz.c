/* Any text as a label selector and as a field selector. Property: a selector's text parses to the same text, and means the same. */
#include "model/selector.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };
	sl_str text = sl_str_n((const char *)bytes, size), written;
	struct sl_selector sel, again;
	struct sl_field_selector fields;

	if (sl_selector_parse(text, &arena, &sel, NULL) == SL_OK) {
		static const char *const labels[] = { "{}", "{\"a\":\"b\"}",
			"{\"a\":\"\",\"app\":\"web\",\"n\":\"5\"}" };

		written = sl_selector_text(&sel, &arena);
		require(sl_selector_parse(written, &arena, &again, NULL) == SL_OK);
		require(sl_str_eq(written, sl_selector_text(&again, &arena)));
		for (size_t i = 0; i < SL_ARRAY_COUNT(labels); i++) {
			json_t *v = json_loads(labels[i], 0, NULL);

			require(sl_selector_matches(&sel, v) == sl_selector_matches(&again, v));
			json_decref(v);
		}
	}
	if (sl_field_selector_parse(text, &arena, &fields, NULL) == SL_OK) {
		json_t *v = json_object();

		sl_field_selector_matches(&fields, v);
		json_decref(v);
	}
	return 0;
}
