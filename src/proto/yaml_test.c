#include "base/test.h"

#include "proto/yaml.h"

static void scalars_mean_what_kubernetes_takes_them_for(void **state)
{
	static const struct {
		const char *yaml, *json;
	} cases[] = {
		/* clang-format off */
		{ "a", "\"a\"" }, { "a b", "\"a b\"" }, { "'1'", "\"1\"" }, { "\"true\"", "\"true\"" }, { "!!str 1", "\"1\"" }, { "! 1", "\"1\"" },
		{ "[~, null, Null, NULL, ]", "[null,null,null,null]" }, { "nUll", "\"nUll\"" },
		{ "[true, True, TRUE, yes, Yes, YES, on, On, ON, y, Y]", "[true,true,true,true,true,true,true,true,true,true,true]" },
		{ "[false, False, FALSE, no, No, NO, off, Off, OFF, n, N]", "[false,false,false,false,false,false,false,false,false,false,false]" },
		{ "[tRue, yEs, oN]", "[\"tRue\",\"yEs\",\"oN\"]" },
		{ "[0, 1, -1, +1, 1_000, 0x1F, -0x1f, 0b101, 0o17, 017, 08]", "[0,1,-1,1,1000,31,-31,5,15,15,8]" },
		{ "[9223372036854775807, -9223372036854775808]", "[9223372036854775807,-9223372036854775808]" },
		{ "9223372036854775808", "9.2233720368547758e18" },
		{ "[1.5, -.5, 1e3, 1.5e-3, 1., 2.0, 0.1]", "[1.5,-0.5,1000,0.0015,1,2,0.1]" },
		{ "[1.2.3, 1e, '.', -, +, 0x, 0xg, 0b2, 1a, _1, 1:30, 2020-01-01, 2020-01-01T00:00:00Z]",
		  "[\"1.2.3\",\"1e\",\".\",\"-\",\"+\",\"0x\",\"0xg\",\"0b2\",\"1a\",\"_1\",\"1:30\",\"2020-01-01\",\"2020-01-01T00:00:00Z\"]" },
		{ "[!!int '1', !!float 1, !!float 1.5, !!bool 'yes', !!null '']", "[1,1,1.5,true,null]" },
		{ "|\n a\n b\n", "\"a\\nb\\n\"" }, { ">-\n a\n b\n", "\"a b\"" }, { "|\n 1\n", "\"1\\n\"" },
		{ "{1: a, true: b, 1.10: c, ~: d, on: e}", "{\"1\":\"a\",\"1.10\":\"c\",\"on\":\"e\",\"true\":\"b\",\"~\":\"d\"}" },
		{ "{\"a\":[1.0,{\"b\":1.5}]}", "{\"a\":[1,{\"b\":1.5}]}" }, { "1e18", "1000000000000000000" },
		{ "a: 100m", "{\"a\":\"100m\"}" },
		{ "a:\n", "{\"a\":null}" },
		{ "{\"a\":\t[1,\n\t2]}", "{\"a\":[1,2]}" },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_json_unref) json_t *documents = NULL;
		SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };

		sl_assert_ok(sl_yaml_parse(sl_str_c(cases[i].yaml), NULL, &documents, NULL));
		assert_int_equal(json_array_size(documents), 1);
		sl_json_dump(&text, json_array_get(documents, 0));
		assert_string_equal(sl_buf_cstr(&text), cases[i].json);
	}
}

static void documents_anchors_and_merges(void **state)
{
	static const struct {
		const char *yaml, *json;
	} cases[] = {
		{ "", "[]" },
		{ "# only a comment\n---\n---\n", "[]" },
		{ "a: 1\n---\nb: 2\n---\n# none\n---\nc: 3\n...\n", "[{\"a\":1},{\"b\":2},{\"c\":3}]" },
		{ "a: &x [1, {b: c}]\nd: *x\n", "[{\"a\":[1,{\"b\":\"c\"}],\"d\":[1,{\"b\":\"c\"}]}]" },
		{ "a: &x 1\nb: &x 2\nc: *x\n", "[{\"a\":1,\"b\":2,\"c\":2}]" },
		{ "a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  k: 3\n",
		        "[{\"a\":{\"k\":1,\"l\":2},\"b\":{\"k\":3,\"l\":2}}]" },
		{ "a: &x {k: 1}\nb: &y {k: 2, m: 3}\nc: {<<: [*x, *y]}\n",
		        "[{\"a\":{\"k\":1},\"b\":{\"k\":2,\"m\":3},\"c\":{\"k\":1,\"m\":3}}]" },
		{ "'<<': 1\n", "[{\"<<\":1}]" },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_json_unref) json_t *documents = NULL;
		SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };

		sl_assert_ok(sl_yaml_parse(sl_str_c(cases[i].yaml), NULL, &documents, NULL));
		sl_json_dump(&text, documents);
		assert_string_equal(sl_buf_cstr(&text), cases[i].json);
	}
}

static void bad_text_is_refused_with_its_place(void **state)
{
	static const struct {
		const char *yaml;
		sl_err err;
		const char *says;
	} cases[] = {
		{ "a: 1\nb: 2\na: 3\n", SL_ERR_MALFORMED, "line 3, column 1: duplicate key: a" },
		{ "{\"a\": 1, \"a\": 2}", SL_ERR_MALFORMED, "line 1, column 10: duplicate key: a" },
		{ "1: a\n'1': b\n", SL_ERR_MALFORMED, "line 2, column 1: duplicate key: 1" },
		{ "a: *x\n", SL_ERR_MALFORMED, "line 1, column 4: no such anchor above: x" },
		{ "a: &x [*x]\n", SL_ERR_MALFORMED, "line 1, column 8: no such anchor above: x" },
		{ "a: &x 1\n---\nb: *x\n", SL_ERR_MALFORMED, "line 3, column 4: no such anchor above: x" },
		{ "[a]: b\n", SL_ERR_MALFORMED, "line 1, column 1: a key is not a scalar" },
		{ "<<: 1\n", SL_ERR_MALFORMED, "\"<<\" takes a mapping" },
		{ "<<: [{a: 1}, 2]\n", SL_ERR_MALFORMED, "\"<<\" takes a mapping" },
		{ "a: .inf\n", SL_ERR_UNSUPPORTED, "line 1, column 4: JSON has no infinity" },
		{ "a: 1e999\n", SL_ERR_UNSUPPORTED, "line 1, column 4: JSON has no infinity" },
		{ "a: !!binary aGk=\n", SL_ERR_UNSUPPORTED,
		        "line 1, column 4: a tag that JSON has no type for" },
		{ "a: !thing {}\n", SL_ERR_UNSUPPORTED, "a tag that JSON has no type for: !thing" },
		{ "a: !!set {}\n", SL_ERR_UNSUPPORTED, "a tag that JSON has no type for" },
		{ "a: !!int x\n", SL_ERR_MALFORMED, "does not fit its tag" },
		{ "a: \"\\0\"\n", SL_ERR_MALFORMED, "a string holds NUL" },
		{ "a: [1, 2\n", SL_ERR_MALFORMED, "line 2, column 1:" },
		{ "a:\n\t- b\n", SL_ERR_MALFORMED, "line 2, column 1:" },
		{ "a: b: c\n", SL_ERR_MALFORMED, "line 1, column 5: mapping values are not allowed" },
		{ "a: 'x\n", SL_ERR_MALFORMED, "line 2, column 1:" },
		{ "a: \xff\n", SL_ERR_MALFORMED, "UTF-8" },
		{ "%YAML 3.0\n---\na\n", SL_ERR_MALFORMED, "incompatible YAML document" },
		{ "}", SL_ERR_MALFORMED, "line 1, column 1:" },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
		json_t *documents = NULL;

		sl_assert_err(sl_yaml_parse(sl_str_c(cases[i].yaml), NULL, &documents, &diag), cases[i].err);
		assert_null(documents);
		if (!strstr(sl_diag_text(&diag), cases[i].says))
			fail_msg("%s\nsays: %s\nwanted: %s", cases[i].yaml, sl_diag_text(&diag),
			        cases[i].says);
	}
}

static void limits_hold(void **state)
{
	static const char laughs[] =
	        "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n"
	        "c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\n"
	        "e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]\n"
	        "g: &g [*f, *f, *f, *f, *f, *f, *f, *f, *f]\nh: [*g, *g, *g, *g, *g, *g, *g, *g, *g]\n";
	static const struct {
		const char *yaml;
		struct sl_yaml_limits limits;
		sl_err err;
	} cases[] = {
		{ "[[[1]]]", { .bytes = 99, .depth = 4, .values = 99, .documents = 9 }, SL_OK },
		{ "[[[1]]]", { .bytes = 99, .depth = 3, .values = 99, .documents = 9 }, SL_ERR_TOO_BIG },
		{ "[[[[[", { .bytes = 99, .depth = 3, .values = 99, .documents = 9 }, SL_ERR_TOO_BIG },
		{ "[1, 2]", { .bytes = 99, .depth = 9, .values = 3, .documents = 9 }, SL_OK },
		{ "[1, 2]", { .bytes = 99, .depth = 9, .values = 2, .documents = 9 }, SL_ERR_TOO_BIG },
		{ "[1, 2]", { .bytes = 5, .depth = 9, .values = 9, .documents = 9 }, SL_ERR_TOO_BIG },
		{ "a\n---\nb\n", { .bytes = 99, .depth = 9, .values = 9, .documents = 2 }, SL_OK },
		{ "a\n---\nb\n", { .bytes = 99, .depth = 9, .values = 9, .documents = 1 }, SL_ERR_TOO_BIG },
		{ "- &x [[1]]\n- [*x]\n", { .bytes = 99, .depth = 5, .values = 99, .documents = 9 }, SL_OK },
		{ "- &x [[1]]\n- [*x]\n", { .bytes = 99, .depth = 4, .values = 99, .documents = 9 },
		        SL_ERR_TOO_BIG },
		{ "- &x 0123456789abcdef\n- [*x, *x, *x]\n",
		        { .bytes = 48, .depth = 9, .values = 99, .documents = 9 }, SL_OK },
		{ "- &x 0123456789abcdef0\n- [*x, *x, *x]\n",
		        { .bytes = 48, .depth = 9, .values = 99, .documents = 9 }, SL_ERR_TOO_BIG },
		{ laughs, SL_YAML_LIMITS, SL_ERR_TOO_BIG },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_json_unref) json_t *documents = NULL;

		sl_assert_err(sl_yaml_parse(sl_str_c(cases[i].yaml), &cases[i].limits, &documents, NULL),
		        cases[i].err);
	}
}

static void values_are_written_as_kubectl_writes_them(void **state)
{
	static const struct {
		const char *json, *yaml;
	} cases[] = {
		/* clang-format off */
		{ "{}", "{}\n" }, { "[]", "[]\n" }, { "null", "null\n" }, { "1", "1\n" }, { "0.1", "0.1\n" }, { "true", "true\n" },
		{ "{\"b\":1,\"a\":{\"c\":[]}}", "a:\n  c: []\nb: 1\n" },
		{ "{\"a\":[1,{\"b\":2,\"c\":[3]},[4,[5]]]}", "a:\n- 1\n- b: 2\n  c:\n  - 3\n- - 4\n  - - 5\n" },
		{ "[\"\",\"true\",\"1\",\"~\",\"y\",\"0x1\",\"1e3\",\"a: b\",\"a #b\",\"- a\",\"-a\",\"--b\",\"a:\",\" a\",\"a:b\",\"a#b\",\"*a\",\"100m\",\"2020-01-01\",\"1:30\"]",
		  "- \"\"\n- \"true\"\n- \"1\"\n- \"~\"\n- \"y\"\n- \"0x1\"\n- \"1e3\"\n- \"a: b\"\n- \"a #b\"\n- \"- a\"\n- -a\n- --b\n- \"a:\"\n"
		  "- \" a\"\n- a:b\n- a#b\n- \"*a\"\n- 100m\n- \"2020-01-01\"\n- \"1:30\"\n" },
		{ "{\"a\":\"x\\ny\\n\",\"b\":\"x\\n\\n y\",\"c\":\"x\\n\\n\",\"d\":\"\\nx\"}",
		  "a: |\n  x\n  y\nb: |-\n  x\n\n   y\nc: |+\n  x\n\nd: \"\\nx\"\n" },
		{ "\"\\u0001\\u0085\\ufeff\\u2028 \\u00e9 \\ud83d\\ude00\\\"\\\\\"", "\"\\x01\\x85\\uFEFF\\u2028 \xc3\xa9 \xf0\x9f\x98\x80\\\"\\\\\"\n" },
		{ "{\"true\":1,\"<<\":2,\"a b\":3}", "\"<<\": 2\na b: 3\n\"true\": 1\n" },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_json_unref) json_t *value = NULL;
		SL_CLEANUP(sl_json_unref) json_t *documents = NULL;
		SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };

		sl_assert_ok(sl_json_parse(sl_str_c(cases[i].json), NULL, &value, NULL));
		sl_yaml_dump(&text, value);
		assert_string_equal(sl_buf_cstr(&text), cases[i].yaml);
		sl_assert_ok(sl_yaml_parse(sl_buf_str(&text), NULL, &documents, NULL));
		assert_true(json_is_null(value) || json_equal(json_array_get(documents, 0), value));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scalars_mean_what_kubernetes_takes_them_for),
		cmocka_unit_test(documents_anchors_and_merges),
		cmocka_unit_test(bad_text_is_refused_with_its_place),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(values_are_written_as_kubectl_writes_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
