#include "base/test.h"

#include "model/model_test_priv.h"
#include "model/openapi.h"
#include "model/table_priv.h"

static void test_sources(void **state) /* every column can be made */
{
	(void)state;
	for (size_t k = 0; k < SL_KIND_COUNT; k++) {
		const struct sl_kind *kind = sl_kind_get((enum sl_kind_id)k);

		assert_true(kind->columns_count > 0);
		for (size_t i = 0; i < kind->columns_count; i++) {
			const char *source = kind->columns[i].source;

			assert_true(source[0] == '.' || (source[0] == '@' && sl_table_cell(source + 1)));
		}
	}
}

static void test_cells(void **state)
{
	static const struct {
		enum sl_kind_id id;
		const char *obj, *cells;
	} cases[] = {
		{ SL_KIND_POD,
		        "{'metadata':{'name':'p','creationTimestamp':'1970-01-01T00:00:00Z'},'spec':{'containers':[{},{}],'nodeName':'n'},"
		        "'status':{'phase':'Running','podIP':'127.0.0.1','containerStatuses':[{'ready':true,'restartCount':2,'state':{'running':{}},"
		        "'lastState':{'terminated':{'finishedAt':'1970-01-01T00:15:00Z'}}},{'ready':false,'restartCount':0}]}}",
		        "['p','1/2','Running','2 (85s ago)','16m','127.0.0.1','n',null,null]" },
		{ SL_KIND_POD,
		        "{'metadata':{'name':'p'},'spec':{'containers':[{}]},'status':{'phase':'Pending','containerStatuses':[{'state':"
		        "{'waiting':{'reason':'CrashLoopBackOff'}}}]}}",
		        "['p','0/1','CrashLoopBackOff','0','<unknown>',null,null,null,null]" },
		{ SL_KIND_POD,
		        "{'metadata':{'name':'p','deletionTimestamp':'1970-01-01T00:00:00Z'},'status':{'phase':'Running'}}",
		        "['p','0/0','Terminating','0','<unknown>',null,null,null,null]" },
		{ SL_KIND_POD,
		        "{'metadata':{'name':'p'},'status':{'containerStatuses':[{'state':{'terminated':{'exitCode':3}}}]}}",
		        "['p','0/0','ExitCode:3','0','<unknown>',null,null,null,null]" },
		{ SL_KIND_POD,
		        "{'metadata':{'name':'p'},'status':{'containerStatuses':[{'state':{'terminated':{'signal':9,'exitCode':3}}}]}}",
		        "['p','0/0','Signal:9','0','<unknown>',null,null,null,null]" },
		{ SL_KIND_POD, "{}", "['','0/0','Unknown','0','<unknown>',null,null,null,null]" },
		{ SL_KIND_DEPLOYMENT,
		        "{'metadata':{'name':'d'},'spec':{'replicas':3,'selector':{'matchLabels':{'a':'b'}},'template':{'spec':"
		        "{'containers':[{'name':'x','image':'i:1'},{'name':'y','image':'j'}]}}},'status':{'readyReplicas':2,"
		        "'updatedReplicas':3,'availableReplicas':1}}",
		        "['d','2/3',3,1,'<unknown>','x,y','i:1,j','a=b']" },
		{ SL_KIND_REPLICA_SET, "{'metadata':{'name':'r'},'spec':{'replicas':0}}",
		        "['r',0,0,0,'<unknown>','<none>','<none>','<none>']" },
		{ SL_KIND_SERVICE,
		        "{'metadata':{'name':'s'},'spec':{'type':'ClusterIP','clusterIP':'127.1.2.3','selector':{'a':'b'},'ports':"
		        "[{'port':80,'protocol':'TCP'},{'port':53,'protocol':'UDP','nodePort':30053}]}}",
		        "['s','ClusterIP','127.1.2.3','<none>','80/TCP,53:30053/UDP','<unknown>','a=b']" },
		{ SL_KIND_SERVICE, "{'metadata':{'name':'s'},'spec':{'type':'LoadBalancer'}}",
		        "['s','LoadBalancer',null,'<pending>','<none>','<unknown>','<none>']" },
		{ SL_KIND_VIRTUAL_SERVICE,
		        "{'metadata':{'name':'v','creationTimestamp':'1970-01-01T00:16:00Z'},'spec':{'hosts':['a','b']}}",
		        "['v',null,'[\\'a\\',\\'b\\']','25s']" },
		{ SL_KIND_ROLLOUT,
		        "{'metadata':{'name':'r'},'spec':{'replicas':5},'status':{'replicas':6,'updatedReplicas':1}}",
		        "['r',5,6,1,null,'<unknown>']" },
		{ SL_KIND_ENDPOINT_SLICE,
		        "{'metadata':{'name':'e'},'addressType':'IPv4','ports':[{'port':80}],'endpoints':[{'addresses':['a']},"
		        "{'addresses':['b']},{'addresses':['c']},{'addresses':['d']}]}",
		        "['e','IPv4','80','a,b,c + 1 more...','<unknown>']" },
		{ SL_KIND_EVENT,
		        "{'metadata':{'name':'e.1'},'lastTimestamp':'1970-01-01T00:16:00Z','type':'Normal','reason':'Started','message':'m',"
		        "'involvedObject':{'kind':'Pod','name':'p'},'source':{'component':'sluiced'},'count':4}",
		        "['25s','Normal','Started','pod/p',null,'sluiced','m','<unknown>','4','e.1']" },
		{ SL_KIND_CONFIG_MAP, "{'metadata':{'name':'c'},'data':{'a':'1'},'binaryData':{'b':''}}",
		        "['c',2,'<unknown>']" },
	};
	struct sl_table_opts opts = { .include = SL_TABLE_NONE, .now = SL_SEC(985) };

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		const struct sl_kind *kind = sl_kind_get(cases[i].id);
		json_t *obj = parse_json(cases[i].obj), *table = sl_table_new(kind, &opts), *row;
		char *got, want[512], *w = want;

		sl_table_add(table, kind, obj, &opts);
		row = json_array_get(json_object_get(table, "rows"), 0);
		assert_null(json_object_get(row, "object"));
		assert_int_equal(json_array_size(json_object_get(row, "cells")),
		        json_array_size(json_object_get(table, "columnDefinitions")));
		got = sl_json_text(json_object_get(row, "cells"));
		for (const char *p = cases[i].cells; *p; p++)
			*w++ = *p == '\'' ? '"' : *p;
		*w = 0;
		assert_string_equal(got, want);
		sl_free(got);
		json_decref(table);
		json_decref(obj);
	}
}

static void test_table(void **state)
{
	struct sl_table_opts opts = {
		.include = SL_TABLE_METADATA, .version = "v1beta1", .resource_version = "7"
	};
	const struct sl_kind *kind = sl_kind_get(SL_KIND_SECRET);
	json_t *obj = parse_json("{'metadata':{'name':'s','uid':'u'},'type':'Opaque','data':{'a':''}}"),
	       *table = sl_table_new(kind, &opts);

	(void)state;
	sl_table_add(table, kind, obj, &opts);
	assert_json(table,
	        "{'kind':'Table','apiVersion':'meta.k8s.io/v1beta1','metadata':{'resourceVersion':'7'},'columnDefinitions':["
	        "{'name':'Name','type':'string','format':'name','description':'','priority':0},"
	        "{'name':'Type','type':'string','format':'','description':'','priority':0},"
	        "{'name':'Data','type':'integer','format':'','description':'','priority':0},"
	        "{'name':'Age','type':'string','format':'','description':'','priority':0}],"
	        "'rows':[{'cells':['s','Opaque',1,'<unknown>'],'object':{'kind':'PartialObjectMetadata','apiVersion':'meta.k8s.io/v1beta1',"
	        "'metadata':{'name':'s','uid':'u'}}}]}");
	opts = (struct sl_table_opts) { .include = SL_TABLE_OBJECT, .skip_columns = true };
	table = sl_table_new(kind, &opts);
	sl_table_add(table, kind, obj, &opts);
	assert_json(table,
	        "{'kind':'Table','apiVersion':'meta.k8s.io/v1','metadata':{},'columnDefinitions':[],'rows':[{'cells':['s','Opaque',1,"
	        "'<unknown>'],'object':{'metadata':{'name':'s','uid':'u'},'type':'Opaque','data':{'a':''}}}]}");
	json_decref(obj);
}

static void test_ages(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} cases[] = { { -5, "<invalid>" }, { -1, "0s" }, { 0, "0s" }, { 119, "119s" }, { 120, "2m" },
		{ 121, "2m1s" }, { 600, "10m" }, { 601, "10m" }, { 179 * 60, "179m" }, { 180 * 60, "3h" },
		{ 181 * 60, "3h1m" }, { 8 * 3600 + 60, "8h" }, { 47 * 3600, "47h" }, { 48 * 3600, "2d" },
		{ 49 * 3600, "2d1h" }, { 8 * 86400 + 3600, "8d" }, { 729 * 86400, "729d" },
		{ 730 * 86400, "2y" }, { 731 * 86400, "2y1d" }, { 3000LL * 86400, "8y" } };

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		char text[32];

		assert_string_equal(sl_age_format(text, SL_SEC(cases[i].seconds)), cases[i].text);
	}
}

/* Walks one protobuf message; counts its fields of each number below 32. Fails the test when it is malformed. */
static uint64_t varint(sl_str *in)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		unsigned char c;

		assert_true(in->len > 0);
		c = (unsigned char)in->p[0];
		*in = sl_str_skip(*in, 1);
		v |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80))
			return v;
	}
	fail_msg("varint too long");
	return 0;
}

static void walk(sl_str in, size_t counts[32], sl_str last[32])
{
	while (in.len) {
		uint64_t tag = varint(&in), len;

		assert_true(tag >> 3 > 0 && tag >> 3 < 32);
		assert_true((tag & 7) == 2 || (tag & 7) == 1);
		len = (tag & 7) == 1 ? 8 : varint(&in);
		assert_true(len <= in.len);
		counts[tag >> 3]++;
		last[tag >> 3] = sl_str_first(in, len);
		in = sl_str_skip(in, len);
	}
}

static void test_openapi(void **state)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf doc = { 0 }, again = { 0 };
	size_t counts[32] = { 0 }, definitions[32] = { 0 }, paths[32] = { 0 };
	sl_str last[32], unused[32];

	(void)state;
	sl_openapi_v2(&doc);
	sl_openapi_v2(&again);
	assert_true(sl_str_eq(sl_buf_str(&doc), sl_buf_str(&again)));
	walk(sl_buf_str(&doc), counts, last);
	sl_assert_str(last[1], "2.0");
	walk(last[9], definitions, unused);
	assert_int_equal(definitions[1], sl_schema_types_count);
	walk(last[8], paths, unused);
	assert_in_range(paths[2], SL_KIND_COUNT, 3 * SL_KIND_COUNT);
	assert_true(sl_str_contains(
	        sl_buf_str(&doc), SL_STR("/apis/apps/v1/namespaces/{namespace}/deployments/{name}")));
	assert_true(sl_str_contains(sl_buf_str(&doc), SL_STR("/api/v1/namespaces/{name}")));
	assert_true(sl_str_contains(
	        sl_buf_str(&doc), SL_STR("{\"group\":\"apps\",\"kind\":\"Deployment\",\"version\":\"v1\"}")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_cells),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_ages),
		cmocka_unit_test(test_openapi),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
