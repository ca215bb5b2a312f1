#include "base/test.h"

#include "model/model_test_priv.h"
#include "model/patch.h"

static void test_json_patch(void **state)
{
	static const struct {
		const char *doc, *patch, *want; /* want NULL: refused with err */
		sl_err err;
	} cases[] = {
		/* RFC 6902 appendix A */
		{ "{'foo':'bar'}", "[{'op':'add','path':'/baz','value':'qux'}]", "{'baz':'qux','foo':'bar'}",
		        SL_OK },
		{ "{'foo':['bar','baz']}", "[{'op':'add','path':'/foo/1','value':'qux'}]",
		        "{'foo':['bar','qux','baz']}", SL_OK },
		{ "{'baz':'qux','foo':'bar'}", "[{'op':'remove','path':'/baz'}]", "{'foo':'bar'}", SL_OK },
		{ "{'foo':['bar','qux','baz']}", "[{'op':'remove','path':'/foo/1'}]", "{'foo':['bar','baz']}",
		        SL_OK },
		{ "{'baz':'qux','foo':'bar'}", "[{'op':'replace','path':'/baz','value':'boo'}]",
		        "{'baz':'boo','foo':'bar'}", SL_OK },
		{ "{'foo':{'bar':'baz','waldo':'fred'},'qux':{'corge':'grault'}}",
		        "[{'op':'move','from':'/foo/waldo','path':'/qux/thud'}]",
		        "{'foo':{'bar':'baz'},'qux':{'corge':'grault','thud':'fred'}}", SL_OK },
		{ "{'foo':['all','grass','cows','eat']}", "[{'op':'move','from':'/foo/1','path':'/foo/3'}]",
		        "{'foo':['all','cows','eat','grass']}", SL_OK },
		{ "{'baz':'qux','foo':['a',2,'c']}",
		        "[{'op':'test','path':'/baz','value':'qux'},{'op':'test','path':'/foo/1','value':2}]",
		        "{'baz':'qux','foo':['a',2,'c']}", SL_OK },
		{ "{'baz':'qux'}", "[{'op':'test','path':'/baz','value':'bar'}]", NULL, SL_ERR_INVALID },
		{ "{'foo':'bar'}", "[{'op':'add','path':'/child','value':{'grandchild':{}}}]",
		        "{'foo':'bar','child':{'grandchild':{}}}", SL_OK },
		{ "{'foo':'bar'}", "[{'op':'add','path':'/baz','value':'qux','xyz':123}]",
		        "{'foo':'bar','baz':'qux'}", SL_OK },
		{ "{'foo':'bar'}", "[{'op':'add','path':'/baz/bat','value':'qux'}]", NULL, SL_ERR_INVALID },
		{ "{'/':9,'~1':10}", "[{'op':'test','path':'/~01','value':10}]", "{'/':9,'~1':10}", SL_OK },
		{ "{'/':9,'~1':10}", "[{'op':'test','path':'/~01','value':'10'}]", NULL, SL_ERR_INVALID },
		{ "{'foo':['bar']}", "[{'op':'add','path':'/foo/-','value':['abc','def']}]",
		        "{'foo':['bar',['abc','def']]}", SL_OK },
		/* the rest of it */
		{ "{'a':1}", "[{'op':'test','path':'/a','value':1.0}]", "{'a':1}", SL_OK },
		{ "{'a':1}", "[{'op':'replace','path':'','value':{'b':2}}]", "{'b':2}", SL_OK },
		{ "{'a':1}", "[{'op':'remove','path':''}]", NULL, SL_ERR_INVALID },
		{ "{'a':1}", "[{'op':'replace','path':'/b','value':2}]", NULL, SL_ERR_INVALID },
		{ "{'a':1}", "[{'op':'remove','path':'/b'}]", NULL, SL_ERR_INVALID },
		{ "{'a':{'b':1}}", "[{'op':'copy','from':'/a','path':'/c'},{'op':'remove','path':'/a/b'}]",
		        "{'a':{},'c':{'b':1}}", SL_OK },
		{ "{'a':{'b':1}}", "[{'op':'move','from':'/a','path':'/a/c'}]", NULL, SL_ERR_INVALID },
		{ "{'a':1,'ab':2}", "[{'op':'move','from':'/a','path':'/ac'}]", "{'ac':1,'ab':2}", SL_OK },
		{ "{'a':1}", "[{'op':'move','from':'/a','path':'/a'}]", "{'a':1}", SL_OK },
		{ "{'a':[1,2]}", "[{'op':'add','path':'/a/3','value':3}]", NULL, SL_ERR_INVALID },
		{ "{'a':[1,2]}", "[{'op':'add','path':'/a/02','value':3}]", NULL, SL_ERR_INVALID },
		{ "{'a':[1,2]}", "[{'op':'add','path':'/a/-1','value':3}]", NULL, SL_ERR_INVALID },
		{ "{'a':[1,2]}", "[{'op':'remove','path':'/a/-'}]", NULL, SL_ERR_INVALID },
		{ "{'a':[1,2]}", "[{'op':'replace','path':'/a/0','value':null}]", "{'a':[null,2]}", SL_OK },
		{ "{'a':1}", "[{'op':'add','path':'a','value':3}]", NULL, SL_ERR_BAD_REQUEST },
		{ "{'a':1}", "[{'op':'add','path':'/~2','value':3}]", NULL, SL_ERR_BAD_REQUEST },
		{ "{'a':1}", "[{'op':'add','path':'/~','value':3}]", NULL, SL_ERR_BAD_REQUEST },
		{ "{'a':1}", "[{'op':'add','path':'/b'}]", NULL, SL_ERR_BAD_REQUEST },
		{ "{'a':1}", "[{'op':'add','value':1}]", NULL, SL_ERR_BAD_REQUEST },
		{ "{'a':1}", "[{'op':'grow','path':'/b','value':1}]", NULL, SL_ERR_BAD_REQUEST },
		{ "{'a':1}", "[{'op':'copy','path':'/b'}]", NULL, SL_ERR_BAD_REQUEST },
		{ "{'a':1}", "[{'op':'copy','from':'/x','path':'/b'}]", NULL, SL_ERR_INVALID },
		{ "{'a':1}", "[7]", NULL, SL_ERR_BAD_REQUEST },
		{ "{'a':1}", "{'op':'add'}", NULL, SL_ERR_BAD_REQUEST },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		json_t *doc = parse_json(cases[i].doc), *before = json_deep_copy(doc),
		       *patch = parse_json(cases[i].patch), *got = NULL;
		sl_err err = sl_patch_json(doc, patch, &got, NULL);

		if (err != cases[i].err)
			fail_msg("%s: %s", cases[i].patch, sl_err_name(err));
		if (cases[i].want)
			assert_json(got, cases[i].want);
		assert_true(json_equal(doc, before));
		json_decref(doc);
		json_decref(before);
		json_decref(patch);
	}
}

/* Each copy doubles the document; thirty of them would be a billion values. */
static void test_json_patch_bounded(void **state)
{
	json_t *doc = parse_json("{'a':[1]}"), *patch = json_array(), *got = NULL;

	(void)state;
	for (int i = 0; i < 40; i++)
		json_array_append_new(patch, parse_json("{'op':'copy','from':'/a','path':'/a/-'}"));
	sl_assert_err(sl_patch_json(doc, patch, &got, NULL), SL_ERR_TOO_BIG);
	json_decref(patch);
	json_decref(doc);
}

/* Few values, but large ones: what counts is bytes, of strings and of names. */
static void test_json_patch_bounded_in_bytes(void **state)
{
	static const char *const from[] = { "/text", "/named" };
	char *long_text = sl_new((256 << 10) + 1);

	(void)state;
	memset(long_text, 'x', 256 << 10);
	long_text[256 << 10] = 0;
	for (size_t i = 0; i < SL_ARRAY_COUNT(from); i++) {
		json_t *doc = json_pack("{s:s, s:{s:i}}", "text", long_text, "named", long_text, 1);
		json_t *patch = json_array(), *got = NULL;

		for (int n = 0; n < 1000; n++)
			json_array_append_new(patch, json_pack("{s:s, s:s, s:o}", "op", "copy", "from",
			                                     from[i], "path", json_sprintf("/copy%d", n)));
		sl_assert_err(sl_patch_json(doc, patch, &got, NULL), SL_ERR_TOO_BIG);
		json_decref(patch);
		json_decref(doc);
	}
	sl_free(long_text);
}

static void test_merge_patch(void **state)
{
	static const struct {
		const char *doc, *patch, *want;
	} cases[] = {
		/* RFC 7386 appendix A, where both are objects */
		{ "{'a':'b'}", "{'a':'c'}", "{'a':'c'}" },
		{ "{'a':'b'}", "{'b':'c'}", "{'a':'b','b':'c'}" },
		{ "{'a':'b'}", "{'a':null}", "{}" },
		{ "{'a':'b','b':'c'}", "{'a':null}", "{'b':'c'}" },
		{ "{'a':['b']}", "{'a':'c'}", "{'a':'c'}" },
		{ "{'a':'c'}", "{'a':['b']}", "{'a':['b']}" },
		{ "{'a':{'b':'c'}}", "{'a':{'b':'d','c':null}}", "{'a':{'b':'d'}}" },
		{ "{'a':[{'b':'c'}]}", "{'a':[1]}", "{'a':[1]}" },
		{ "{'e':null}", "{'a':1}", "{'e':null,'a':1}" },
		{ "[1,2]", "{'a':'b','c':null}", "{'a':'b'}" },
		{ "{}", "{'a':{'bb':{'ccc':null}}}", "{'a':{'bb':{}}}" },
		{ "{'a':[1,2]}", "[]", NULL },
		{ "{'a':1}", "null", NULL },
		{ "{'a':1}", "'x'", NULL },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		json_t *doc = parse_json(cases[i].doc), *patch = parse_json(cases[i].patch), *got = NULL;

		sl_assert_err(
		        sl_patch_merge(doc, patch, &got, NULL), cases[i].want ? SL_OK : SL_ERR_BAD_REQUEST);
		if (cases[i].want)
			assert_json(got, cases[i].want);
		json_decref(doc);
		json_decref(patch);
	}
}

#define POD(containers) "{'spec':{'containers':" containers "}}"

static void test_strategic(void **state)
{
	static const struct {
		const char *doc, *patch, *want; /* want NULL: SL_ERR_BAD_REQUEST */
	} cases[] = {
		/* objects merge, null deletes, unknown maps merge too */
		{ "{'metadata':{'labels':{'a':'1','b':'2'}}}", "{'metadata':{'labels':{'a':null,'c':'3'}}}",
		        "{'metadata':{'labels':{'b':'2','c':'3'}}}" },
		{ "{'spec':{'paused':true}}", "{'spec':{'paused':null}}", "{'spec':{}}" },
		{ "{}", "{'spec':{'a':{'b':null,'c':1}}}", "{'spec':{'a':{'c':1}}}" },
		/* lists by merge key */
		{ POD("[{'name':'a','image':'1'},{'name':'b','image':'1'}]"),
		        POD("[{'name':'b','image':'2'}]"),
		        POD("[{'name':'a','image':'1'},{'name':'b','image':'2'}]") },
		{ POD("[{'name':'a'}]"), POD("[{'name':'b'}]"), POD("[{'name':'a'},{'name':'b'}]") },
		{ POD("[{'name':'a'},{'name':'b'}]"), POD("[{'name':'a','$patch':'delete'}]"),
		        POD("[{'name':'b'}]") },
		{ POD("[{'name':'a'}]"), POD("[{'name':'z','$patch':'delete'}]"), POD("[{'name':'a'}]") },
		{ POD("[{'name':'a'},{'name':'b'}]"), POD("[{'name':'c'},{'$patch':'replace'}]"),
		        POD("[{'name':'c'}]") },
		{ POD("[{'name':'a','image':'1','env':[{'name':'X','value':'1'}]}]"),
		        POD("[{'name':'a','env':[{'name':'Y','value':'2'}]}]"),
		        POD("[{'name':'a','image':'1','env':[{'name':'X','value':'1'},{'name':'Y','value':'2'}]}]") },
		{ POD("[{'name':'a','ports':[{'containerPort':80,'name':'x'}]}]"),
		        POD("[{'name':'a','ports':[{'containerPort':80,'name':'y'}]}]"),
		        POD("[{'name':'a','ports':[{'containerPort':80,'name':'y'}]}]") },
		/* lists without a merge key are replaced */
		{ POD("[{'name':'a','command':['x','y']}]"), POD("[{'name':'a','command':['z']}]"),
		        POD("[{'name':'a','command':['z']}]") },
		/* what kubectl set image sends */
		{ POD("[{'name':'a','image':'1'},{'name':'b','image':'1'}]"),
		        "{'spec':{'$setElementOrder/containers':[{'name':'a'},{'name':'b'}],'containers':[{'image':'2','name':'a'}]}}",
		        POD("[{'name':'a','image':'2'},{'name':'b','image':'1'}]") },
		{ POD("[{'name':'a'},{'name':'b'},{'name':'s'}]"),
		        "{'spec':{'$setElementOrder/containers':[{'name':'b'},{'name':'a'}]}}",
		        POD("[{'name':'b'},{'name':'a'},{'name':'s'}]") },
		{ POD("[{'name':'s'},{'name':'a'}]"),
		        "{'spec':{'$setElementOrder/containers':[{'name':'n'},{'name':'a'}],'containers':[{'name':'n'}]}}",
		        POD("[{'name':'s'},{'name':'n'},{'name':'a'}]") },
		/* sets of scalars */
		{ "{'metadata':{'finalizers':['a']}}", "{'metadata':{'finalizers':['b','a']}}",
		        "{'metadata':{'finalizers':['a','b']}}" },
		{ "{'metadata':{'finalizers':['a','b']}}",
		        "{'metadata':{'$deleteFromPrimitiveList/finalizers':['a','z']}}",
		        "{'metadata':{'finalizers':['b']}}" },
		/* unions and whole objects */
		{ "{'spec':{'strategy':{'type':'RollingUpdate','rollingUpdate':{'maxSurge':1}}}}",
		        "{'spec':{'strategy':{'$retainKeys':['type'],'type':'Recreate'}}}",
		        "{'spec':{'strategy':{'type':'Recreate'}}}" },
		{ "{'spec':{'strategy':{'type':'RollingUpdate'}}}",
		        "{'spec':{'strategy':{'$patch':'replace','a':1}}}", "{'spec':{'strategy':{'a':1}}}" },
		{ "{'spec':{'strategy':{'type':'RollingUpdate'}}}",
		        "{'spec':{'strategy':{'$patch':'delete'}}}", "{'spec':{'strategy':{}}}" },
		{ "{'spec':{'a':1}}", "{'spec':{'$patch':'merge','b':2}}", "{'spec':{'a':1,'b':2}}" },
		{ "{}", POD("[{'name':'a','env':[{'name':'x','$patch':'delete'}]}]"),
		        POD("[{'name':'a','env':[]}]") },
		/* refused */
		{ POD("[{'name':'a'}]"), POD("[{'image':'x'}]"), NULL },
		{ POD("[{'name':'a'}]"), POD("['a']"), NULL },
		{ "{}", "{'spec':{'$patch':'remove'}}", NULL },
		{ "{}", "{'$patch':7}", NULL },
		{ "{'spec':{}}", "{'spec':{'$retainKeys':'a'}}", NULL },
		{ "{}", "{'metadata':{'$deleteFromPrimitiveList/finalizers':'a'}}", NULL },
		{ "{}", "{'metadata':{'$setElementOrder/finalizers':{}}}", NULL },
		{ "{}", "[]", NULL },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		bool is_pod = strstr(cases[i].patch, "containers") != NULL;
		const struct sl_kind *kind = sl_kind_get(is_pod ? SL_KIND_POD : SL_KIND_DEPLOYMENT);
		json_t *doc = parse_json(cases[i].doc), *before = json_deep_copy(doc),
		       *patch = parse_json(cases[i].patch), *got = NULL;
		sl_err err = sl_patch_strategic(kind, doc, patch, &got, NULL);

		if (err != (cases[i].want ? SL_OK : SL_ERR_BAD_REQUEST))
			fail_msg("%s: %s", cases[i].patch, sl_err_name(err));
		if (cases[i].want)
			assert_json(got, cases[i].want);
		assert_true(json_equal(doc, before));
		json_decref(doc);
		json_decref(before);
		json_decref(patch);
	}
}

static void test_strategic_crd(void **state)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	json_t *v = json_object(), *got = NULL;

	(void)state;
	sl_assert_err(
	        sl_patch_strategic(sl_kind_get(SL_KIND_ROLLOUT), v, v, &got, &diag), SL_ERR_UNSUPPORTED);
	assert_non_null(strstr(sl_diag_text(&diag),
	        "the body of the request was in an unknown format - accepted media types include: "
	        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"));
	json_decref(v);
}

static const struct {
	const char *manager, *applied;
	bool force;
	const char *want; /* the object without managedFields; NULL: conflict */
} story[] = {
	/* applied one after the other to one Deployment */
	{ "a",
	        "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'d','labels':{'l':'1','m':'1'}},'spec':{'replicas':1,'template':{'spec':"
	        "{'containers':[{'name':'x','image':'i1','command':['p','q']}]}}}}",
	        false,
	        "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'d','labels':{'l':'1','m':'1'}},'spec':{'replicas':1,'template':{'spec':"
	        "{'containers':[{'name':'x','image':'i1','command':['p','q']}]}}}}" },
	/* b adds fields of its own, and an element */
	{ "b", "{'metadata':{'name':'d','finalizers':['f'],'labels':{'m':'1'}},'spec':{'paused':true,'template':{'spec':{'containers':[{'name':'y'}]}}}}",
	        false,
	        "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'d','labels':{'l':'1','m':'1'},'finalizers':['f']},'spec':{'replicas':1,"
	        "'paused':true,'template':{'spec':{'containers':[{'name':'x','image':'i1','command':['p','q']},{'name':'y'}]}}}}" },
	/* b may not change what a owns, unless forced */
	{ "b", "{'metadata':{'name':'d'},'spec':{'replicas':5}}", false, NULL },
	{ "b", "{'metadata':{'name':'d'},'spec':{'template':{'spec':{'containers':[{'name':'x','image':'i2'}]}}}}",
	        false, NULL },
	{ "b", "{'metadata':{'name':'d'},'spec':{'template':{'spec':{'containers':[{'name':'x','command':['z']}]}}}}",
	        false, NULL },
	/* the same value is no conflict; what b leaves out goes, but not what a owns too (label m) */
	{ "b", "{'metadata':{'name':'d'},'spec':{'replicas':1}}", false,
	        "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'d','labels':{'l':'1','m':'1'}},'spec':{'replicas':1,'template':{'spec':"
	        "{'containers':[{'name':'x','image':'i1','command':['p','q']}]}}}}" },
	{ "b", "{'metadata':{'name':'d'},'spec':{'replicas':5}}", true,
	        "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'d','labels':{'l':'1','m':'1'}},'spec':{'replicas':5,'template':{'spec':"
	        "{'containers':[{'name':'x','image':'i1','command':['p','q']}]}}}}" },
	/* a no longer owns replicas: leaving it out does not remove it */
	{ "a",
	        "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'d','labels':{'l':'1'}},'spec':{'template':{'spec':{'containers':"
	        "[{'name':'x','image':'i3'}]}}}}",
	        false,
	        "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'d','labels':{'l':'1'}},'spec':{'replicas':5,'template':{'spec':"
	        "{'containers':[{'name':'x','image':'i3'}]}}}}" },
	{ "a", "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'d'}}", false,
	        "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'d'},'spec':{'replicas':5}}" },
};

static void test_apply(void **state)
{
	const struct sl_kind *kind = sl_kind_get(SL_KIND_DEPLOYMENT);
	json_t *live = NULL;

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(story); i++) {
		struct sl_apply how = { .manager = sl_str_c(story[i].manager),
			.time = SL_STR("2026-01-01T00:00:00Z"),
			.force = story[i].force };
		json_t *applied = parse_json(story[i].applied), *got = NULL, *bare, *again;
		sl_err err = sl_patch_apply(kind, live, applied, &how, &got, NULL);

		if (err != (story[i].want ? SL_OK : SL_ERR_CONFLICT))
			fail_msg("step %zu: %s", i, sl_err_name(err));
		if (story[i].want) {
			bare = json_deep_copy(got);
			json_object_del(json_object_get(bare, "metadata"), "managedFields");
			assert_json(bare, story[i].want);
			how.time = SL_STR("2027-01-01T00:00:00Z"); /* twice is once, down to the time */
			sl_assert_ok(sl_patch_apply(kind, got, applied, &how, &again, NULL));
			assert_true(json_equal(got, again));
			json_decref(again);
			json_decref(live);
			live = got;
		}
		json_decref(applied);
	}
	json_decref(live);
}

static void test_apply_fields(void **state)
{
	struct sl_apply how = { .manager = SL_STR("m"), .time = SL_STR("t") };
	json_t *applied = parse_json(
	        "{'apiVersion':'v1','metadata':{'name':'s','labels':{'a':'b'},'finalizers':['f']},'spec':{'ports':[{'port':80}],"
	        "'externalIPs':['x']}}");
	json_t *got = NULL;

	(void)state;
	sl_assert_ok(sl_patch_apply(sl_kind_get(SL_KIND_SERVICE), NULL, applied, &how, &got, NULL));
	assert_json(json_incref(sl_obj_get(got, "metadata.managedFields")),
	        "[{'apiVersion':'v1','fieldsType':'FieldsV1','fieldsV1':{'f:metadata':{'f:finalizers':{'v:\\'f\\'':{}},'f:labels':{'f:a':{}}},"
	        "'f:spec':{'f:externalIPs':{},'f:ports':{'k:{\\'port\\':80,\\'protocol\\':\\'TCP\\'}':{'.':{},'f:port':{}}}}},'manager':'m',"
	        "'operation':'Apply','time':'t'}]");
	json_decref(got);
	json_decref(applied);
	how.manager = SL_STR_NONE;
	applied = json_object();
	sl_assert_err(sl_patch_apply(sl_kind_get(SL_KIND_SERVICE), NULL, applied, &how, &got, NULL),
	        SL_ERR_BAD_REQUEST);
	json_decref(applied);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_patch),
		cmocka_unit_test(test_json_patch_bounded),
		cmocka_unit_test(test_json_patch_bounded_in_bytes),
		cmocka_unit_test(test_merge_patch),
		cmocka_unit_test(test_strategic),
		cmocka_unit_test(test_strategic_crd),
		cmocka_unit_test(test_apply),
		cmocka_unit_test(test_apply_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
