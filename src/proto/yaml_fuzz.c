/*
 * YAML: what is read and written again is read as the same, and the writing is stable; and no text makes more values than the limit.
 */
#include "proto/yaml.h"

#include <stdio.h>
#include <stdlib.h>

#define FUZZ_CHECK(property)                                                                          \
	do {                                                                                          \
		if (!(property)) {                                                                    \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #property); \
			abort();                                                                      \
		}                                                                                     \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static size_t count(json_t *v)
{
	json_t *sub;
	const char *key;
	size_t n = 1, i;

	json_object_foreach (v, key, sub)
		n += count(sub);
	json_array_foreach (v, i, sub)
		n += count(sub);
	return n;
}

static void check_document(json_t *document)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
	SL_CLEANUP(sl_buf_fini) struct sl_buf second = { 0 };
	SL_CLEANUP(sl_json_unref) json_t *again = NULL;

	sl_yaml_dump(&text, document);
	if (sl_yaml_parse(sl_buf_str(&text), NULL, &again, NULL) != SL_OK || json_array_size(again) != 1 ||
	        !json_equal(json_array_get(again, 0), document)) {
		fprintf(stderr, "read back as something else:\n%s\n", sl_buf_cstr(&text));
		abort();
	}
	sl_yaml_dump(&second, json_array_get(again, 0));
	FUZZ_CHECK(text.p && second.p && sl_str_eq(sl_buf_str(&text), sl_buf_str(&second)));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const struct sl_yaml_limits limits = {
		.bytes = 1 << 16, .depth = 40, .values = 2000, .documents = 20
	};
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	SL_CLEANUP(sl_json_unref) json_t *documents = NULL;

	if (sl_yaml_parse(sl_str_n((const char *)bytes, size), &limits, &documents, &diag) != SL_OK) {
		FUZZ_CHECK(diag.count == 1);
		return 0;
	}
	FUZZ_CHECK(json_array_size(documents) <= limits.documents);
	FUZZ_CHECK(count(documents) <= limits.values + 1 || bytes[0] == '{' || memchr(bytes, '{', size));
	SL_JSON_FOR (document, documents)
		check_document(document);
	return 0;
}
