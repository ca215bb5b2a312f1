#include "base/test.h"

#include "proto/json.h"

static json_t *parsed(const char *text)
{
	json_t *value = NULL;

	sl_assert_ok(sl_json_parse(sl_str_c(text), NULL, &value, NULL));
	return value;
}

static void bad_text_is_refused_with_its_place(void **state)
{
	static const struct {
		const char *text;
		sl_err err;
		const char *says;
	} cases[] = {
		{ "{\"a\":1,\n\"a\":2}", SL_ERR_MALFORMED, "line 2" },
		{ "{\"a\":1} x", SL_ERR_MALFORMED, "line 1, column 9" },
		{ "{\"a\":}", SL_ERR_MALFORMED, "line 1, column 6" },
		{ "", SL_ERR_MALFORMED, "line 1, column 1" },
		{ "[1,]", SL_ERR_MALFORMED, "line 1" },
		{ "'a'", SL_ERR_MALFORMED, "line 1" },
		{ "\"\\u0000\"", SL_ERR_MALFORMED, "line 1" },
		{ "\"\xff\"", SL_ERR_MALFORMED, "line 1" },
		{ "01", SL_ERR_MALFORMED, "line 1" },
		{ "1e999", SL_ERR_MALFORMED, "line 1" },
		{ "[[[[[1]]]]]", SL_ERR_TOO_BIG, "deeper than 4" },
		{ "[[[[\"[[[[\\\"[[\"]]]]", SL_OK, "" },
		{ "[[[[1]],[[2]]],[[[3]]]]", SL_OK, "" },
		{ "\"0123456789012345678901234567890\"", SL_ERR_TOO_BIG, "the limit is 32" },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		const struct sl_json_limits limits = { .bytes = 32, .depth = 4 };
		SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
		SL_CLEANUP(sl_json_unref) json_t *value = NULL;

		sl_assert_err(sl_json_parse(sl_str_c(cases[i].text), &limits, &value, &diag), cases[i].err);
		if (!strstr(sl_diag_text(&diag), cases[i].says))
			fail_msg(
			        "%s says: %s; wanted: %s", cases[i].text, sl_diag_text(&diag), cases[i].says);
	}
}

static void texts_are_canonical(void **state)
{
	SL_CLEANUP(sl_json_unref) json_t *a = parsed("{ \"b\" : 0.1, \"a\" : [1, 2.5, \"\\u00e9\"] }");
	SL_CLEANUP(sl_json_unref) json_t *third = parsed("[0.1, 0.3333333333333333148]");
	SL_CLEANUP(sl_json_unref) json_t *third_again = NULL;
	SL_CLEANUP(sl_buf_fini) struct sl_buf out = { 0 };

	(void)state;
	sl_json_dump(&out, a);
	assert_string_equal(sl_buf_cstr(&out), "{\"a\":[1,2.5,\"\xc3\xa9\"],\"b\":0.1}");
	sl_buf_clear(&out);
	sl_json_dump_pretty(&out, json_object_get(a, "a"), 2);
	assert_string_equal(sl_buf_cstr(&out), "[\n  1,\n  2.5,\n  \"\xc3\xa9\"\n]");
	sl_buf_clear(&out);
	sl_json_dump(&out, third); /* needs all 17 digits */
	third_again = parsed(sl_buf_cstr(&out));
	assert_true(json_equal(third, third_again));
}

static void paths_lead_to_values(void **state)
{
	SL_CLEANUP(sl_json_unref) json_t *v = parsed(
	        "{\"spec\":{\"http\":[{\"name\":\"x\",\"weight\":90},{\"name\":\"y\",\"on\":true,\"f\":2.0,\"g\":2.5}]},"
	        "\"labels\":{\"app.kubernetes.io/name\":\"z\"}}");
	static const struct {
		const char *path;
		bool found;
	} cases[] = {
		{ "", true },
		{ "spec", true },
		{ "spec.http[1].name", true },
		{ "labels[\"app.kubernetes.io/name\"]", true },
		{ "[\"spec\"].http[0]", true },
		{ "spec.http[2]", false },
		{ "spec.http.name", false },
		{ "spec.http[0][0]", false },
		{ "spec.http[0].name.more", false },
		{ "spec.http[-1]", false },
		{ "spec.http[x]", false },
		{ "spec.http[0", false },
		{ "spec..http", false },
		{ "spec.", false },
		{ "labels[\"app", false },
		{ "labels.app.kubernetes.io/name", false },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++)
		if ((sl_json_get(v, cases[i].path) != NULL) != cases[i].found)
			fail_msg("%s", cases[i].path);
	assert_null(sl_json_get(NULL, "a"));
	assert_string_equal(sl_json_string(v, "spec.http[0].name", "-"), "x");
	assert_string_equal(sl_json_string(v, "spec.http[0].weight", "-"), "-");
	sl_assert_str(sl_json_get_str(v, "labels[\"app.kubernetes.io/name\"]"), "z");
	assert_null(sl_json_get_str(v, "spec").p);
	assert_int_equal(sl_json_int(v, "spec.http[0].weight", -1), 90);
	assert_int_equal(sl_json_int(v, "spec.http[1].f", -1), 2);
	assert_int_equal(sl_json_int(v, "spec.http[1].g", -1), -1);
	assert_int_equal(sl_json_int(v, "spec.http[0].name", -1), -1);
	assert_true(sl_json_real(v, "spec.http[1].g", 0) == 2.5);
	assert_true(sl_json_real(v, "spec.http[0].weight", 0) == 90);
	assert_true(sl_json_bool(v, "spec.http[1].on", false));
	assert_true(sl_json_bool(v, "spec.http[1].name", true));
	assert_non_null(sl_json_array(v, "spec.http"));
	assert_null(sl_json_array(v, "spec"));
	assert_non_null(sl_json_object(v, "spec"));
	assert_int_equal(json_integer_value(sl_json_getf(v, "spec.http[%d].%s", 0, "weight")), 90);
}

static void values_are_set_and_removed_by_path(void **state)
{
	SL_CLEANUP(sl_json_unref) json_t *v = parsed("{\"a\":[1,2]}");
	SL_CLEANUP(sl_buf_fini) struct sl_buf out = { 0 };

	(void)state;
	sl_assert_ok(sl_json_set(v, "a[1]", json_integer(3)));
	sl_assert_ok(sl_json_set(v, "b.c[\"d.e\"]", json_true()));
	sl_assert_err(sl_json_set(v, "a[2]", json_integer(4)), SL_ERR_INVALID);
	sl_assert_err(sl_json_set(v, "a.x", json_integer(4)), SL_ERR_INVALID);
	sl_assert_err(sl_json_set(v, "b[0].x", json_integer(4)), SL_ERR_INVALID);
	sl_assert_err(sl_json_set(v, "", json_integer(4)), SL_ERR_INVALID);
	sl_assert_err(sl_json_set(v, "b..x", json_integer(4)), SL_ERR_INVALID);
	sl_json_dump(&out, v);
	assert_string_equal(sl_buf_cstr(&out), "{\"a\":[1,3],\"b\":{\"c\":{\"d.e\":true}}}");
	sl_assert_ok(sl_json_remove(v, "a[0]"));
	sl_assert_ok(sl_json_remove(v, "b.c"));
	sl_assert_err(sl_json_remove(v, "b.c"), SL_ERR_NOT_FOUND);
	sl_assert_err(sl_json_remove(v, "x.y"), SL_ERR_NOT_FOUND);
	sl_buf_clear(&out);
	sl_json_dump(&out, v);
	assert_string_equal(sl_buf_cstr(&out), "{\"a\":[3],\"b\":{}}");
}

static void a_loop_over_an_array_can_be_left(void **state)
{
	SL_CLEANUP(sl_json_unref) json_t *v = parsed("[1,2,3,4]");
	json_int_t sum = 0;

	(void)state;
	SL_JSON_FOR (item, v) {
		if (json_integer_value(item) == 2)
			continue;
		if (json_integer_value(item) == 4)
			break;
		sum += json_integer_value(item);
	}
	assert_int_equal(sum, 4);
	SL_JSON_FOR (item, NULL)
		fail_msg("%p", (void *)item);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_text_is_refused_with_its_place),
		cmocka_unit_test(texts_are_canonical),
		cmocka_unit_test(paths_lead_to_values),
		cmocka_unit_test(values_are_set_and_removed_by_path),
		cmocka_unit_test(a_loop_over_an_array_can_be_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
