/* The manifests under examples/ are what we tell people to write: valid without a warning, and acted on to the last field. */
#include "base/test.h"

#include "base/buf.h"
#include "model/honoured.h"
#include "model/object.h"
#include "model/validate.h"
#include "proto/yaml.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

static void read_file(const char *path, struct sl_buf *out)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	assert_non_null(f);
	while ((n = fread(sl_buf_reserve(out, 4096), 1, 4096, f)) > 0)
		sl_buf_commit(out, n);
	fclose(f);
}

static void check(const char *path, const json_t *obj)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 }, warnings = { 0 };
	const struct sl_kind *kind;

	if (sl_kind_of(obj, &kind, &diag) != SL_OK ||
	        sl_validate(kind, obj, SL_UNKNOWN_ERROR, &warnings, &diag) != SL_OK || warnings.count ||
	        !sl_honoured_check(kind, obj, &warnings))
		fail_msg("%s: %.*s: %s %s", path, SL_STR_ARG(sl_obj_name(obj)), sl_diag_text(&diag),
		        sl_diag_text(&warnings));
}

static void test_examples(void **state)
{
	const char *root = getenv("SL_SOURCE_ROOT");
	char pattern[512];
	glob_t found;

	(void)state;
	assert_non_null(root);
	snprintf(pattern, sizeof(pattern), "%s/examples/*/*.yaml", root);
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
		SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
		json_t *documents = NULL, *obj;
		size_t k;

		read_file(found.gl_pathv[i], &text);
		if (sl_yaml_parse(sl_buf_str(&text), NULL, &documents, &diag) != SL_OK)
			fail_msg("%s: %s", found.gl_pathv[i], sl_diag_text(&diag));
		assert_true(json_array_size(documents) > 0);
		json_array_foreach (documents, k, obj)
			check(found.gl_pathv[i], obj);
		json_decref(documents);
	}
	globfree(&found);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_examples) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
