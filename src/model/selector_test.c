#include "base/test.h"

#include "model/model_test_priv.h"
#include "model/selector.h"

static void test_parse_and_match(void **state)
{
	static const struct {
		const char *selector, *labels;
		bool matches;
	} cases[] = {
		{ "", "{}", true },
		{ "  ", "{'a':'b'}", true },
		{ "a=b", "{'a':'b'}", true },
		{ "a==b", "{'a':'b','c':'d'}", true },
		{ "a=b", "{'a':'c'}", false },
		{ "a=b", "{}", false },
		{ "a=", "{'a':''}", true },
		{ "a!=b", "{'a':'c'}", true },
		{ "a!=b", "{}", true },
		{ "a!=b", "{'a':'b'}", false },
		{ "a", "{'a':''}", true },
		{ "a", "{'b':'a'}", false },
		{ "!a", "{'b':'a'}", true },
		{ "!a", "{'a':'a'}", false },
		{ "a in (x, y)", "{'a':'y'}", true },
		{ "a in (x,y)", "{'a':'z'}", false },
		{ "a in (x)", "{}", false },
		{ "a notin (x,y)", "{'a':'z'}", true },
		{ "a notin (x,y)", "{}", true },
		{ "a notin (x,y)", "{'a':'x'}", false },
		{ "a in ()", "{'a':''}", true },
		{ "n>3", "{'n':'4'}", true },
		{ "n>3", "{'n':'3'}", false },
		{ "n<3", "{'n':'x'}", false },
		{ "n<3", "{'n':'-2'}", true },
		{ "a=b,c in (d),!e", "{'a':'b','c':'d'}", true },
		{ "a=b,c in (d),!e", "{'a':'b','c':'d','e':''}", false },
		{ "app.kubernetes.io/name=web , tier", "{'app.kubernetes.io/name':'web','tier':'x'}", true },
		{ "in in (in)", "{'in':'in'}", true },
		{ "notin", "{'notin':''}", true },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };
		json_t *labels = parse_json(cases[i].labels);
		struct sl_selector sel, again;

		sl_assert_ok(sl_selector_parse(sl_str_c(cases[i].selector), &arena, &sel, NULL));
		if (sl_selector_matches(&sel, labels) != cases[i].matches)
			fail_msg("\"%s\" on %s", cases[i].selector, cases[i].labels);
		/* its text means the same */
		sl_assert_ok(sl_selector_parse(sl_selector_text(&sel, &arena), &arena, &again, NULL));
		assert_int_equal(sl_selector_matches(&again, labels), cases[i].matches);
		json_decref(labels);
	}
}

static void test_parse_bad(void **state)
{
	static const char *const cases[] = { ",", "a,", "a,,b", "=b", "a=b c", "a in", "a in b", "a in (b",
		"a in (b,", "a in (b c)", "a b", "!", "!a=b", "a=b=c", "-a", "a/b/c", "A/b=c/d", "a>b", "a>",
		"a=b;c", "a in (b))", "a=\xff", "a\x01", "UPPER.com/a" };

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };
		SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
		struct sl_selector sel = { .count = 77 };

		if (sl_selector_parse(sl_str_c(cases[i]), &arena, &sel, &diag) != SL_ERR_BAD_REQUEST)
			fail_msg("accepted: %s", cases[i]);
		assert_int_equal(sel.count, 77);
		assert_int_equal(diag.count, 1);
	}
}

static void test_objects(void **state)
{
	static const struct {
		const char *selector;
		const char *text; /* NULL: refused */
	} cases[] = {
		{ "{}", "" },
		{ "{'matchLabels':{'a':'b'}}", "a=b" },
		{ "{'matchExpressions':[{'key':'a','operator':'In','values':['x','y']}]}", "a in (x,y)" },
		{ "{'matchLabels':{'a':'b'},'matchExpressions':[{'key':'c','operator':'DoesNotExist'},{'key':'d','operator':'Exists'}]}",
		        "a=b,!c,d" },
		{ "{'matchExpressions':[{'key':'a','operator':'NotIn','values':['x']}]}", "a!=x" },
		{ "{'matchExpressions':[{'key':'a','operator':'In','values':[]}]}", NULL },
		{ "{'matchExpressions':[{'key':'a','operator':'Exists','values':['x']}]}", NULL },
		{ "{'matchExpressions':[{'key':'a','operator':'Equals','values':['x']}]}", NULL },
		{ "{'matchExpressions':[{'operator':'Exists'}]}", NULL },
		{ "{'matchExpressions':[7]}", NULL },
		{ "{'matchLabels':{'a':1}}", NULL },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };
		json_t *v = parse_json(cases[i].selector);
		struct sl_selector sel;
		sl_err err = sl_selector_from_object(v, &arena, &sel, NULL);

		sl_assert_err(err, cases[i].text ? SL_OK : SL_ERR_INVALID);
		if (cases[i].text)
			sl_assert_str(sl_selector_text(&sel, &arena), cases[i].text);
		json_decref(v);
	}
}

static void test_fields(void **state)
{
	static const struct {
		const char *selector;
		int matches; /* 1 yes, 0 no, -1 refused */
	} cases[] = {
		{ "", 1 },
		{ "metadata.name=a", 1 },
		{ "metadata.name==a", 1 },
		{ "metadata.name!=a", 0 },
		{ "metadata.name=b", 0 },
		{ "metadata.name=a,status.phase=Running", 1 },
		{ "metadata.name=a,status.phase!=Running", 0 },
		{ "spec.nodeName=", 1 },
		{ "involvedObject.kind=Pod", 0 },
		{ "spec.replicas=1", -1 },
		{ "metadata.name", -1 },
		{ "metadata.name=a,", -1 },
		{ "=a", -1 },
		{ ",", -1 },
	};
	json_t *obj = parse_json("{'metadata':{'name':'a'},'status':{'phase':'Running'}}");

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };
		struct sl_field_selector sel;
		sl_err err = sl_field_selector_parse(sl_str_c(cases[i].selector), &arena, &sel, NULL);

		sl_assert_err(err, cases[i].matches < 0 ? SL_ERR_BAD_REQUEST : SL_OK);
		if (err == SL_OK)
			assert_int_equal(sl_field_selector_matches(&sel, obj), cases[i].matches);
		if (strncmp(cases[i].selector, "metadata.name=a,s", 17) == 0)
			sl_assert_str(sl_field_selector_name(&sel), "a");
	}
	json_decref(obj);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_and_match),
		cmocka_unit_test(test_parse_bad),
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
