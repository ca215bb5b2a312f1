#include "base/test.h"

#include "base/buf.h"
#include "control/objects.h"
#include "loop/loop.h"
#include "model/object.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- a layer over a memory store, and calls that wait --- */

static struct sl_loop loop;
static struct sl_store *store;
static struct sl_objects *objects;

static int setup(void **state)
{
	(void)state;
	sl_assert_ok(sl_loop_init(&loop, NULL));
	sl_assert_ok(sl_store_open_memory(&store, &loop, NULL));
	const struct sl_objects_options options = { .loop = &loop, .store = store, .events_kept = 5 };
	sl_assert_ok(sl_objects_new(&objects, &options, NULL));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sl_objects_free(objects);
	sl_store_close(store);
	sl_loop_fini(&loop);
	return 0;
}

struct outcome {
	bool ended, unchanged;
	sl_err err;
	json_t *body; /* of the result */
	char text[512], warnings[512];
};

static void on_done(void *arg, const struct sl_objects_result *r)
{
	struct outcome *out = arg;
	assert_false(out->ended);
	out->ended = true;
	out->err = r->err;
	out->unchanged = r->unchanged;
	json_decref(out->body);
	out->body = r->object ? json_incref(r->object->body) : NULL;
	sl_str_copy(out->text, sizeof(out->text), sl_str_c(sl_diag_text(r->diag)));
	sl_str_copy(out->warnings, sizeof(out->warnings), sl_str_c(sl_diag_text(r->warnings)));
}

static bool has_ended(void *arg)
{
	return ((struct outcome *)arg)->ended;
}

static void wait_for(struct outcome *out)
{
	assert_false(out->ended); /* never within the call */
	assert_true(sl_loop_run_until(&loop, has_ended, out, SL_SEC(20)));
}

static void outcome_fini(struct outcome *out)
{
	json_decref(out->body);
}

static inline void outcome_fini_cleanup_(struct outcome *out)
{
	outcome_fini(out);
}

/* Turns until nothing is left to do: garbage collection and events come in steps. */
static void settle(void)
{
	for (int i = 0; i < 20; i++)
		sl_loop_turn(&loop, 0);
}

/* Single quotes for double ones. */
static json_t *json_of(const char *text)
{
	char *copy = sl_strdup(text);
	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	json_error_t error;
	json_t *v = json_loads(copy, 0, &error);
	if (!v)
		fail_msg("%s: %s", text, error.text);
	sl_free(copy);
	return v;
}

static json_t *config_map(const char *name, const char *metadata)
{
	SL_CLEANUP(sl_free)
	char *text = sl_asprintf(
	        "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'%s'%s},'data':{'a':'1'}}", name,
	        metadata);
	return json_of(text);
}

static json_t *deployment(const char *name)
{
	SL_CLEANUP(sl_free)
	char *text = sl_asprintf(
	        "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'%s'},'spec':{'selector':{'matchLabels':{'app':'x'}},"
	        "'template':{'metadata':{'labels':{'app':'x'}},'spec':{'containers':[{'name':'c','image':'i:1'}]}}}}",
	        name);
	return json_of(text);
}

static struct sl_object_key cm(const char *name)
{
	return (struct sl_object_key) { SL_STR(""), SL_STR("configmaps"), SL_STR("default"), sl_str_c(name) };
}

static struct sl_object_key dep(const char *name)
{
	return (struct sl_object_key) { SL_STR("apps"), SL_STR("deployments"), SL_STR("default"),
		sl_str_c(name) };
}

static void create_in(
        const char *ns, json_t *body, const struct sl_write_options *options, struct outcome *out)
{
	sl_objects_create(objects, sl_str_c(ns), body, options, on_done, out);
	wait_for(out);
}

static sl_str must_create(json_t *body)
{
	SL_CLEANUP(outcome_fini) struct outcome out = { 0 };
	create_in("default", body, NULL, &out);
	if (out.err != SL_OK)
		fail_msg("%s", out.text);
	struct sl_object_key key = { SL_STR(""), SL_STR("configmaps"), SL_STR("default"),
		sl_obj_name(out.body) };
	struct sl_object *o = sl_objects_get(objects, &key);
	return o ? o->uid : SL_STR_NONE;
}

/* --- create --- */

static void test_create_fills_in(void **state)
{
	(void)state;
	SL_CLEANUP(outcome_fini) struct outcome out = { 0 };
	json_t *body = deployment("web");
	sl_obj_set(body, "status.replicas", json_integer(7));
	sl_obj_set(body, "metadata.uid", json_string("mine"));
	sl_obj_set(body, "metadata.generation", json_integer(9));
	create_in("default", body, NULL, &out);
	sl_assert_ok(out.err);
	assert_int_equal(sl_obj_uid(out.body).len, 36);
	assert_int_equal(sl_obj_get_str(out.body, "metadata.creationTimestamp").len, 20);
	assert_int_equal(sl_obj_generation(out.body), 1);
	assert_int_equal(sl_obj_get_int(out.body, "spec.replicas", -1), 1);
	assert_null(sl_obj_get(out.body, "status.replicas"));
	sl_assert_str(sl_obj_namespace(out.body), "default");
	assert_true(sl_obj_resource_version(out.body).len > 0);
}

static void test_create_refuses(void **state)
{
	(void)state;
	must_create(config_map("there", ""));
	static const struct {
		const char *ns, *body;
		enum sl_field_validation fields;
		sl_err err;
		const char *names;
	} cases[] = {
		{ "default", "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'there'}}",
		        SL_FIELDS_WARN, SL_ERR_EXISTS, "" },
		{ "default", "{'apiVersion':'v1','kind':'Nonsense','metadata':{'name':'x'}}", SL_FIELDS_WARN,
		        SL_ERR_NOT_FOUND, "" },
		{ "default", "{'kind':'ConfigMap','metadata':{'name':'x'}}", SL_FIELDS_WARN,
		        SL_ERR_BAD_REQUEST, "" },
		{ "nowhere", "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'x'}}", SL_FIELDS_WARN,
		        SL_ERR_NOT_FOUND, "nowhere" },
		{ "", "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'x'}}", SL_FIELDS_WARN,
		        SL_ERR_INVALID, "metadata.namespace" },
		{ "default",
		        "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'x','namespace':'other'}}",
		        SL_FIELDS_WARN, SL_ERR_BAD_REQUEST, "metadata.namespace" },
		{ "default", "{'apiVersion':'v1','kind':'ConfigMap','metadata':{}}", SL_FIELDS_WARN,
		        SL_ERR_INVALID, "metadata.name" },
		{ "default", "{'apiVersion':'v1','kind':'ConfigMap'}", SL_FIELDS_WARN, SL_ERR_INVALID,
		        "metadata.name" },
		{ "default", "{'apiVersion':'v1','kind':'ConfigMap','metadata':'x'}", SL_FIELDS_WARN,
		        SL_ERR_BAD_REQUEST, "metadata" },
		{ "default", "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'Capital'}}",
		        SL_FIELDS_WARN, SL_ERR_INVALID, "metadata.name" },
		{ "default", "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'x'},'dat':{}}",
		        SL_FIELDS_STRICT, SL_ERR_BAD_REQUEST, "dat" },
		{ "default",
		        "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'x'},'spec':{'replicas':'three','selector':"
		        "{'matchLabels':{'app':'x'}},'template':{'metadata':{'labels':{'app':'x'}},'spec':{'containers':[{'name':'c',"
		        "'image':'i'}]}}}}",
		        SL_FIELDS_WARN, SL_ERR_INVALID, "spec.replicas" },
		{ "default",
		        "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'x'},'spec':'none'}",
		        SL_FIELDS_WARN, SL_ERR_INVALID, "spec" },
	};
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(outcome_fini) struct outcome out = { 0 };
		const struct sl_write_options options = { .fields = cases[i].fields };
		create_in(cases[i].ns, json_of(cases[i].body), &options, &out);
		if (out.err != cases[i].err || !strstr(out.text, cases[i].names))
			fail_msg("row %zu: %s \"%s\"", i, sl_err_name(out.err), out.text);
	}
}

static void test_unknown_fields(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		SL_CLEANUP(outcome_fini) struct outcome out = { 0 };
		const struct sl_write_options options = { .fields = i ? SL_FIELDS_IGNORE : SL_FIELDS_WARN };
		json_t *body = config_map(i ? "a" : "b", "");
		json_object_set_new(body, "dat", json_object());
		create_in("default", body, &options, &out);
		sl_assert_ok(out.err);
		assert_null(json_object_get(out.body, "dat"));
		assert_true((strstr(out.warnings, "dat") != NULL) == (i == 0));
	}
}

static void test_generate_name(void **state)
{
	(void)state;
	SL_CLEANUP(outcome_fini) struct outcome one = { 0 }, two = { 0 };
	create_in("default",
	        json_of("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'generateName':'x-'}}"), NULL,
	        &one);
	create_in("default",
	        json_of("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'generateName':'x-'}}"), NULL,
	        &two);
	sl_assert_ok(one.err);
	sl_assert_ok(two.err);
	assert_int_equal(sl_obj_name(one.body).len, 7);
	assert_false(sl_str_eq(sl_obj_name(one.body), sl_obj_name(two.body)));
}

static void test_secret_string_data(void **state)
{
	(void)state;
	SL_CLEANUP(outcome_fini) struct outcome out = { 0 };
	create_in("default",
	        json_of("{'apiVersion':'v1','kind':'Secret','metadata':{'name':'s'},'stringData':{'user':'jason'}}"),
	        NULL, &out);
	sl_assert_ok(out.err);
	sl_assert_str(sl_obj_get_str(out.body, "data.user"), "amFzb24=");
	assert_null(json_object_get(out.body, "stringData"));
}

static void test_dry_run(void **state)
{
	(void)state;
	SL_CLEANUP(outcome_fini) struct outcome out = { 0 };
	const struct sl_write_options dry = { .dry_run = true };
	struct sl_object_key key = cm("x");
	create_in("default", config_map("x", ""), &dry, &out);
	sl_assert_ok(out.err);
	assert_non_null(out.body);
	assert_null(sl_objects_latest(objects, &key));
	must_create(config_map("x", ""));
	out.ended = false;
	sl_objects_delete(objects, &key, &dry, on_done, &out);
	wait_for(&out);
	sl_assert_ok(out.err);
	assert_non_null(sl_objects_get(objects, &key));
	out.ended = false;
	create_in("default", config_map("x", ""), &dry, &out);
	sl_assert_err(out.err, SL_ERR_EXISTS);
}

/* --- update, status, patch, modify --- */

static void test_generation(void **state)
{
	(void)state;
	struct sl_object_key key = dep("web");
	must_create(deployment("web"));
	static const struct {
		const char *what, *patch;
		const char *subresource;
		int64_t generation;
	} steps[] = {
		{ "a label", "{'metadata':{'labels':{'a':'b'}}}", "", 1 },
		{ "the spec", "{'spec':{'replicas':2}}", "", 2 },
		{ "the status through the spec", "{'status':{'replicas':2}}", "", 2 },
		{ "the status", "{'status':{'replicas':2}}", "status", 2 },
		{ "the spec through the status", "{'spec':{'replicas':5}}", "status", 2 },
		{ "the scale", "{'spec':{'replicas':3}}", "scale", 3 },
		{ "nothing", "{'spec':{'replicas':3}}", "", 3 },
	};
	for (size_t i = 0; i < SL_ARRAY_COUNT(steps); i++) {
		SL_CLEANUP(outcome_fini) struct outcome out = { 0 };
		sl_objects_patch(objects, &key, steps[i].subresource, SL_PATCH_MERGE, json_of(steps[i].patch),
		        NULL, on_done, &out);
		wait_for(&out);
		if (out.err != SL_OK || sl_obj_generation(out.body) != steps[i].generation)
			fail_msg("%s: %s, generation %d %s", steps[i].what, sl_err_name(out.err),
			        (int)sl_obj_generation(out.body), out.text);
	}
	json_t *body = sl_objects_get(objects, &key)->body;
	assert_int_equal(sl_obj_get_int(body, "spec.replicas", 0), 3);
	assert_int_equal(sl_obj_get_int(body, "status.replicas", 0), 2);
}

static void test_update_conflicts(void **state)
{
	(void)state;
	struct sl_object_key key = cm("x");
	must_create(config_map("x", ""));
	json_t *stale = json_deep_copy(sl_objects_get(objects, &key)->body);
	SL_CLEANUP(outcome_fini) struct outcome first = { 0 }, second = { 0 }, third = { 0 };
	json_t *body = json_deep_copy(stale);
	sl_obj_set(body, "data.a", json_string("2"));
	json_t *other = json_deep_copy(stale);
	sl_obj_set(other, "data.a", json_string("3"));
	sl_objects_update(objects, &key, body, NULL, on_done, &first);
	sl_objects_update(
	        objects, &key, other, NULL, on_done, &second); /* the first is not even stored yet */
	wait_for(&first);
	if (!second.ended)
		wait_for(&second);
	sl_assert_ok(first.err);
	sl_assert_err(second.err, SL_ERR_CONFLICT);

	json_object_del(json_object_get(stale, "metadata"), "resourceVersion"); /* whatever is there */
	sl_objects_update(objects, &key, stale, NULL, on_done, &third);
	wait_for(&third);
	sl_assert_ok(third.err);
	sl_assert_str(sl_obj_get_str(third.body, "data.a"), "1");
}

static void test_update_refuses(void **state)
{
	(void)state;
	must_create(config_map("x", ""));
	static const struct {
		const char *body;
		sl_err err;
	} cases[] = {
		{ "{'apiVersion':'v1','kind':'Secret','metadata':{'name':'x'}}", SL_ERR_BAD_REQUEST },
		{ "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'y'}}", SL_ERR_BAD_REQUEST },
		{ "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'x','namespace':'y'}}",
		        SL_ERR_BAD_REQUEST },
		{ "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'x','uid':'y'}}",
		        SL_ERR_CONFLICT },
		{ "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'x','resourceVersion':'abc'}}",
		        SL_ERR_INVALID },
		{ "{'apiVersion':'v1','kind':'ConfigMap','metadata':[]}", SL_ERR_BAD_REQUEST },
	};
	struct sl_object_key key = cm("x"), absent = cm("absent");
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(outcome_fini) struct outcome out = { 0 };
		sl_objects_update(objects, &key, json_of(cases[i].body), NULL, on_done, &out);
		wait_for(&out);
		if (out.err != cases[i].err)
			fail_msg("row %zu: %s %s", i, sl_err_name(out.err), out.text);
	}
	SL_CLEANUP(outcome_fini) struct outcome gone = { 0 }, made = { 0 };
	sl_objects_update(objects, &absent, config_map("absent", ""), NULL, on_done, &gone);
	wait_for(&gone);
	sl_assert_err(gone.err, SL_ERR_NOT_FOUND);
	const struct sl_write_options upsert = { .upsert = true };
	sl_objects_update(objects, &absent, config_map("absent", ""), &upsert, on_done, &made);
	wait_for(&made);
	sl_assert_ok(made.err);
}

static sl_err count_up(void *arg, json_t *body)
{
	(void)arg;
	int64_t n = 0;
	SL_IGNORE(sl_str_to_i64(sl_obj_get_str(body, "data.n"), &n)); /* absent: 0 */
	char text[24];
	snprintf(text, sizeof(text), "%d", (int)n + 1);
	sl_obj_set(body, "data.n", json_string(text));
	return SL_OK;
}

static sl_err leave(void *arg, json_t *body)
{
	(void)arg;
	sl_obj_set(body, "data.n", json_string("never"));
	return SL_ERR_AGAIN;
}

static sl_err give_up(void *arg, json_t *body)
{
	(void)arg, (void)body;
	return SL_ERR_RANGE;
}

static sl_err see_conflict(void *arg, json_t *body)
{
	(void)body;
	++*(int *)arg;
	return SL_ERR_CONFLICT;
}

/* The caller's own refusal is its last word, whatever its code: a conflict that was asked again would never end. */
static void test_modify_asks_once(void **state)
{
	(void)state;
	struct sl_object_key key = cm("x");
	must_create(config_map("x", ""));
	int asked = 0;
	sl_objects_modify(objects, &key, false, see_conflict, NULL, &asked);
	settle();
	assert_int_equal(asked, 1);
}

static void test_modify_builds_on_what_is_on_its_way(void **state)
{
	(void)state;
	struct sl_object_key key = cm("x"), absent = cm("absent");
	must_create(config_map("x", ""));
	for (int i = 0; i < 20; i++)
		sl_objects_modify(objects, &key, false, count_up, NULL, NULL);
	SL_CLEANUP(outcome_fini) struct outcome last = { 0 };
	sl_objects_modify(objects, &key, false, leave, on_done, &last);
	wait_for(&last);
	sl_assert_ok(last.err);
	assert_true(last.unchanged);
	settle();
	sl_assert_str(sl_obj_get_str(sl_objects_get(objects, &key)->body, "data.n"), "20");

	last.ended = false;
	sl_objects_modify(objects, &key, false, give_up, on_done, &last);
	wait_for(&last);
	sl_assert_err(last.err, SL_ERR_RANGE);
	last.ended = false;
	sl_objects_modify(objects, &absent, false, count_up, on_done, &last);
	wait_for(&last);
	sl_assert_err(last.err, SL_ERR_NOT_FOUND);
}

static void test_patches(void **state)
{
	(void)state;
	struct sl_object_key key = dep("web");
	must_create(deployment("web"));
	static const struct {
		enum sl_patch_type type;
		const char *patch, *subresource;
		sl_err err;
		const char *path, *value;
	} cases[] = {
		{ SL_PATCH_MERGE, "{'metadata':{'annotations':{'a':'1'}}}", "", SL_OK,
		        "metadata.annotations.a", "1" },
		{ SL_PATCH_JSON, "[{'op':'replace','path':'/metadata/annotations/a','value':'2'}]", "", SL_OK,
		        "metadata.annotations.a", "2" },
		{ SL_PATCH_JSON, "[{'op':'test','path':'/metadata/name','value':'x'}]", "", SL_ERR_INVALID,
		        NULL, NULL },
		{ SL_PATCH_JSON, "{'op':'replace'}", "", SL_ERR_BAD_REQUEST, NULL, NULL },
		{ SL_PATCH_STRATEGIC, "{'spec':{'template':{'spec':{'terminationGracePeriodSeconds':5}}}}",
		        "", SL_OK, NULL, NULL },
		{ SL_PATCH_MERGE, "{'metadata':{'name':'other'}}", "", SL_ERR_BAD_REQUEST, NULL, NULL },
		{ SL_PATCH_MERGE, "{'metadata':{'resourceVersion':'1'}}", "", SL_ERR_CONFLICT, NULL, NULL },
		{ SL_PATCH_MERGE, "{'metadata':null}", "", SL_OK, NULL, NULL },
		{ SL_PATCH_MERGE, "{'spec':{'selector':{'matchLabels':{'app':'y'}}}}", "", SL_ERR_INVALID,
		        NULL, NULL },
		{ SL_PATCH_MERGE, "{'kind':'Pod','apiVersion':'v1'}", "", SL_ERR_BAD_REQUEST, NULL, NULL },
		{ SL_PATCH_MERGE, "{}", "log", SL_ERR_NOT_FOUND, NULL, NULL },
		{ SL_PATCH_MERGE, "{'spec':{'replicas':-1}}", "scale", SL_ERR_INVALID, NULL, NULL },
		{ SL_PATCH_MERGE, "{'spec':{'replicas':'two'}}", "scale", SL_ERR_INVALID, NULL, NULL },
	};
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(outcome_fini) struct outcome out = { 0 };
		sl_objects_patch(objects, &key, cases[i].subresource, cases[i].type, json_of(cases[i].patch),
		        NULL, on_done, &out);
		wait_for(&out);
		if (out.err != cases[i].err)
			fail_msg("row %zu: %s %s", i, sl_err_name(out.err), out.text);
		if (cases[i].path)
			sl_assert_str(sl_obj_get_str(out.body, cases[i].path), cases[i].value);
	}
}

/* No single patch is too large, but their sum would be. */
static void test_patches_do_not_add_up(void **state)
{
	(void)state;
	struct sl_object_key key = cm("grows");
	enum { PIECE = 1 << 20 };
	char *piece = sl_new(PIECE + 1);
	memset(piece, 'x', PIECE);
	piece[PIECE] = '\0';
	must_create(config_map("grows", ""));
	for (int i = 0; i < 5; i++) {
		SL_CLEANUP(outcome_fini) struct outcome out = { 0 };
		json_t *data = json_object();
		json_object_set_new(data, (const char[]) { (char)('a' + i), '\0' }, json_string(piece));
		sl_objects_patch(objects, &key, "", SL_PATCH_MERGE, json_pack("{s:o}", "data", data), NULL,
		        on_done, &out);
		wait_for(&out);
		sl_assert_err(out.err, i < 3 ? SL_OK : SL_ERR_TOO_BIG);
	}
	sl_free(piece);
}

/* --- delete, finalizers, garbage --- */

static void delete_cm(const char *name, enum sl_propagation propagation, struct outcome *out)
{
	struct sl_object_key key = cm(name);
	const struct sl_write_options options = { .propagation = propagation };
	sl_objects_delete(objects, &key, &options, on_done, out);
	wait_for(out);
}

static bool there(const char *name)
{
	struct sl_object_key key = cm(name);
	return sl_objects_get(objects, &key) != NULL;
}

static void test_finalizers_hold(void **state)
{
	(void)state;
	SL_CLEANUP(outcome_fini) struct outcome out = { 0 }, again = { 0 }, added = { 0 }, freed = { 0 };
	struct sl_object_key key = cm("held");
	must_create(config_map("held", ",'finalizers':['example.com/hold']"));
	delete_cm("held", SL_PROPAGATE_BACKGROUND, &out);
	sl_assert_ok(out.err);
	assert_true(sl_obj_get_str(out.body, "metadata.deletionTimestamp").len > 0);
	assert_true(there("held"));
	delete_cm("held", SL_PROPAGATE_BACKGROUND, &again);
	sl_assert_ok(again.err);
	sl_assert_str(sl_obj_get_str(again.body, "metadata.deletionTimestamp"),
	        json_string_value(sl_obj_get(out.body, "metadata.deletionTimestamp")));

	sl_objects_patch(objects, &key, "", SL_PATCH_MERGE,
	        json_of("{'metadata':{'finalizers':['example.com/hold','example.com/more']}}"), NULL, on_done,
	        &added);
	wait_for(&added);
	sl_assert_err(added.err, SL_ERR_INVALID);
	sl_objects_patch(objects, &key, "", SL_PATCH_MERGE, json_of("{'metadata':{'finalizers':null}}"), NULL,
	        on_done, &freed);
	wait_for(&freed);
	sl_assert_ok(freed.err);
	assert_false(there("held"));
}

/* owner <- a <- deep, owner <- b (also owned by other) */
static void make_family(void)
{
	static const char reference[] = ",'ownerReferences':[%s]";
	static const char one[] =
	        "{'apiVersion':'v1','kind':'ConfigMap','name':'%s','uid':'%.*s','controller':%s,"
	        "'blockOwnerDeletion':true}";
	sl_str owner = must_create(config_map("owner", ""));
	sl_str other = must_create(config_map("other", ""));
	SL_CLEANUP(sl_free) char *of_owner = sl_asprintf(one, "owner", SL_STR_ARG(owner), "true");
	SL_CLEANUP(sl_free) char *of_other = sl_asprintf(one, "other", SL_STR_ARG(other), "false");
	SL_CLEANUP(sl_free) char *both = sl_asprintf("%s,%s", of_owner, of_other);
	SL_CLEANUP(sl_free) char *a = sl_asprintf(reference, of_owner);
	SL_CLEANUP(sl_free) char *b = sl_asprintf(reference, both);
	sl_str a_uid = must_create(config_map("a", a));
	must_create(config_map("b", b));
	SL_CLEANUP(sl_free) char *of_a = sl_asprintf(one, "a", SL_STR_ARG(a_uid), "true");
	SL_CLEANUP(sl_free) char *deep = sl_asprintf(reference, of_a);
	must_create(config_map("deep", deep));
}

static size_t owners_of(const char *name)
{
	struct sl_object_key key = cm(name);
	return json_array_size(sl_obj_get(sl_objects_get(objects, &key)->body, "metadata.ownerReferences"));
}

static void test_background(void **state)
{
	(void)state;
	SL_CLEANUP(outcome_fini) struct outcome out = { 0 };
	make_family();
	delete_cm("owner", SL_PROPAGATE_BACKGROUND, &out);
	sl_assert_ok(out.err);
	assert_false(there("owner"));
	settle();
	assert_false(there("a"));
	assert_false(there("deep"));
	assert_true(there("b"));
	assert_int_equal(owners_of("b"), 1);
}

static void test_foreground(void **state)
{
	(void)state;
	SL_CLEANUP(outcome_fini) struct outcome out = { 0 }, freed = { 0 };
	struct sl_object_key key = cm("deep");
	make_family();
	sl_objects_patch(objects, &key, "", SL_PATCH_MERGE,
	        json_of("{'metadata':{'finalizers':['example.com/hold']}}"), NULL, on_done, &freed);
	wait_for(&freed);
	delete_cm("owner", SL_PROPAGATE_FOREGROUND, &out);
	sl_assert_ok(out.err);
	settle();
	assert_true(
	        there("owner") && there("a") && there("deep")); /* the leaf is held, so all above it wait */
	freed.ended = false;
	sl_objects_patch(objects, &key, "", SL_PATCH_MERGE, json_of("{'metadata':{'finalizers':null}}"), NULL,
	        on_done, &freed);
	wait_for(&freed);
	settle();
	assert_false(there("owner") || there("a") || there("deep"));
	assert_true(there("b"));
	assert_int_equal(owners_of("b"), 1);
}

static void test_orphan(void **state)
{
	(void)state;
	SL_CLEANUP(outcome_fini) struct outcome out = { 0 };
	make_family();
	delete_cm("owner", SL_PROPAGATE_ORPHAN, &out);
	sl_assert_ok(out.err);
	settle();
	assert_false(there("owner"));
	assert_true(there("a") && there("b") && there("deep"));
	assert_int_equal(owners_of("a"), 0);
	assert_int_equal(owners_of("b"), 1);
	assert_int_equal(owners_of("deep"), 1);
}

static void test_owner_that_never_was(void **state)
{
	(void)state;
	must_create(config_map("lost",
	        ",'ownerReferences':[{'apiVersion':'v1','kind':'ConfigMap','name':'n','uid':'00000000-0000-4000-8000-000000000000'}]"));
	settle();
	assert_false(there("lost"));
}

static void test_delete_preconditions(void **state)
{
	(void)state;
	struct sl_object_key key = cm("x"),
	                     ns = { SL_STR(""), SL_STR("namespaces"), SL_STR(""), SL_STR("default") };
	SL_CLEANUP(outcome_fini) struct outcome out = { 0 };
	must_create(config_map("x", ""));
	const struct sl_write_options wrong_uid = { .expect_uid = SL_STR("y") },
	                              wrong_version = { .expect_version = 1 };
	sl_objects_delete(objects, &key, &wrong_uid, on_done, &out);
	wait_for(&out);
	sl_assert_err(out.err, SL_ERR_CONFLICT);
	out.ended = false;
	sl_objects_delete(objects, &key, &wrong_version, on_done, &out);
	wait_for(&out);
	sl_assert_err(out.err, SL_ERR_CONFLICT);
	out.ended = false;
	sl_objects_delete(objects, &ns, NULL, on_done, &out);
	wait_for(&out);
	sl_assert_err(out.err, SL_ERR_FORBIDDEN);
}

static void test_namespace_empties_before_it_goes(void **state)
{
	(void)state;
	SL_CLEANUP(outcome_fini) struct outcome out = { 0 };
	struct sl_object_key ns = { SL_STR(""), SL_STR("namespaces"), SL_STR(""), SL_STR("shop") };
	create_in(
	        "", json_of("{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'shop'}}"), NULL, &out);
	sl_assert_ok(out.err);
	sl_assert_str(sl_obj_get_str(out.body, "status.phase"), "Active");
	out.ended = false;
	create_in("shop", config_map("x", ",'finalizers':['example.com/hold']"), NULL, &out);
	sl_assert_ok(out.err);
	out.ended = false;
	create_in("shop", config_map("y", ""), NULL, &out);
	out.ended = false;
	sl_objects_delete(objects, &ns, NULL, on_done, &out);
	wait_for(&out);
	sl_assert_ok(out.err);
	sl_assert_str(sl_obj_get_str(out.body, "status.phase"), "Terminating");
	settle();
	struct sl_object_key x = { SL_STR(""), SL_STR("configmaps"), SL_STR("shop"), SL_STR("x") };
	struct sl_object_key y = { SL_STR(""), SL_STR("configmaps"), SL_STR("shop"), SL_STR("y") };
	assert_null(sl_objects_get(objects, &y));
	assert_non_null(sl_objects_get(objects, &x));
	assert_non_null(sl_objects_get(objects, &ns));
	out.ended = false;
	create_in("shop", config_map("z", ""), NULL, &out);
	sl_assert_err(out.err, SL_ERR_FORBIDDEN);
	out.ended = false;
	sl_objects_patch(objects, &x, "", SL_PATCH_MERGE, json_of("{'metadata':{'finalizers':null}}"), NULL,
	        on_done, &out);
	wait_for(&out);
	settle();
	assert_null(sl_objects_get(objects, &ns));
}

static void test_pods_wait_for_the_runtime(void **state)
{
	(void)state;
	struct sl_object_key key = { SL_STR(""), SL_STR("pods"), SL_STR("default"), SL_STR("p") };
	static const char body[] =
	        "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'p'},'spec':{%s'containers':[{'name':'c',"
	        "'image':'i'}],'terminationGracePeriodSeconds':7}}";
	for (int bound = 0; bound < 2; bound++) {
		SL_CLEANUP(outcome_fini) struct outcome out = { 0 };
		SL_CLEANUP(sl_free) char *text = sl_asprintf(body, bound ? "'nodeName':'here'," : "");
		create_in("default", json_of(text), NULL, &out);
		if (out.err != SL_OK)
			fail_msg("%s", out.text);
		sl_assert_str(sl_obj_get_str(out.body, "status.phase"), "Pending");
		out.ended = false;
		sl_objects_delete(objects, &key, NULL, on_done, &out);
		wait_for(&out);
		sl_assert_ok(out.err);
		assert_true((sl_objects_get(objects, &key) != NULL) == bound);
	}
	assert_int_equal(
	        sl_obj_get_int(sl_objects_get(objects, &key)->body, "metadata.deletionGracePeriodSeconds", 0),
	        7);
	SL_CLEANUP(outcome_fini) struct outcome out = { 0 };
	const struct sl_write_options now = { .has_grace = true };
	sl_objects_delete(objects, &key, &now, on_done, &out);
	wait_for(&out);
	assert_null(sl_objects_get(objects, &key));
}

/* --- events --- */

struct events {
	size_t count;
	int64_t total;
};

static bool count_event(void *arg, struct sl_object *o)
{
	struct events *e = arg;
	e->count++;
	e->total += sl_obj_get_int(o->body, "count", 0);
	sl_assert_str(sl_obj_get_str(o->body, "involvedObject.name"), "x");
	sl_assert_str(sl_obj_get_str(o->body, "source.component"), "sluiced");
	return true;
}

static struct events events_now(void)
{
	struct events e = { 0 };
	settle();
	sl_objects_each(objects, SL_STR(""), SL_STR("events"), SL_STR("default"), count_event, &e);
	return e;
}

static void test_events_count_up_and_age(void **state)
{
	(void)state;
	struct sl_object_key key = cm("x");
	must_create(config_map("x", ""));
	const json_t *body = sl_objects_get(objects, &key)->body;
	for (int i = 0; i < 3; i++)
		sl_objects_event(objects, body, "Normal", "Tested", "the %s", "same");
	sl_objects_event(objects, body, "Warning", "Tested", "the same");
	struct events e = events_now();
	assert_int_equal(e.count, 2);
	assert_int_equal(e.total, 4);
	sl_objects_event(objects, body, "Normal", "Tested", "the same"); /* young again */
	events_now();
	for (int i = 0; i < 4; i++)
		sl_objects_event(objects, body, "Normal", "Other", "number %d", i);
	e = events_now();
	assert_int_equal(e.count, 5); /* of 6, the Warning was the oldest */
	assert_int_equal(e.total, 8);
}

/* --- Services --- */

static json_t *service(const char *name, int port, const char *more)
{
	SL_CLEANUP(sl_free)
	char *text = sl_asprintf(
	        "{'apiVersion':'v1','kind':'Service','metadata':{'name':'%s'},'spec':{'ports':[{'port':%d}]%s}}",
	        name, port, more);
	return json_of(text);
}

static void test_service_addresses(void **state)
{
	(void)state;
	SL_CLEANUP(outcome_fini) struct outcome a = { 0 }, b = { 0 }, again = { 0 };
	struct sl_object_key key = { SL_STR(""), SL_STR("services"), SL_STR("default"), SL_STR("a") };
	create_in("default", service("a", 8080, ""), NULL, &a);
	create_in("default", service("b", 8080, ""), NULL, &b);
	if (a.err != SL_OK)
		fail_msg("%s", a.text);
	sl_str one = sl_obj_get_str(a.body, "spec.clusterIP"), two = sl_obj_get_str(b.body, "spec.clusterIP");
	struct in_addr in;
	assert_int_equal(inet_pton(AF_INET, json_string_value(sl_obj_get(a.body, "spec.clusterIP")), &in), 1);
	assert_int_equal(ntohl(in.s_addr) >> 22, 0x7f400000u >> 22);
	assert_false(sl_str_eq(one, two));
	assert_int_equal(json_array_size(sl_obj_get(a.body, "spec.clusterIPs")), 1);

	/* A replacement that leaves it out keeps it; a Service made again has it again. */
	sl_objects_update(objects, &key, service("a", 8081, ""), NULL, on_done, &again);
	wait_for(&again);
	sl_assert_ok(again.err);
	assert_true(sl_str_eq(sl_obj_get_str(again.body, "spec.clusterIP"), one));
	again.ended = false;
	sl_objects_delete(objects, &key, NULL, on_done, &again);
	wait_for(&again);
	again.ended = false;
	create_in("default", service("a", 8080, ""), NULL, &again);
	assert_true(sl_str_eq(sl_obj_get_str(again.body, "spec.clusterIP"), one));
}

static void test_service_addresses_given(void **state)
{
	(void)state;
	SL_CLEANUP(outcome_fini) struct outcome first = { 0 };
	create_in("default", service("first", 80, ",'clusterIP':'127.64.3.3'"), NULL, &first);
	sl_assert_ok(first.err);
	static const struct {
		const char *more;
		sl_err err;
		const char *address;
	} cases[] = {
		{ ",'clusterIP':'None'", SL_OK, "None" },
		{ ",'clusterIP':'127.64.3.4'", SL_OK, "127.64.3.4" },
		{ ",'clusterIP':'127.64.3.3'", SL_ERR_INVALID, NULL },
		{ ",'clusterIP':'10.96.0.1'", SL_ERR_INVALID, NULL },
		{ ",'clusterIP':'127.0.0.1'", SL_ERR_INVALID, NULL },
		{ ",'clusterIP':'127.128.0.0'", SL_ERR_INVALID, NULL },
		{ ",'clusterIP':'127.64.3.3333333333333333333333333333'", SL_ERR_INVALID, NULL },
		{ ",'clusterIP':'text'", SL_ERR_INVALID, NULL },
		{ ",'type':'ExternalName','externalName':'example.com'", SL_OK, "" },
	};
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(outcome_fini) struct outcome out = { 0 };
		char name[8];
		snprintf(name, sizeof(name), "s%zu", i);
		create_in("default", service(name, 80, cases[i].more), NULL, &out);
		if (out.err != cases[i].err)
			fail_msg("row %zu: %s %s", i, sl_err_name(out.err), out.text);
		if (cases[i].address)
			sl_assert_str(sl_obj_get_str(out.body, "spec.clusterIP"), cases[i].address);
	}
}

/* A port held on the first choice moves the Service on; held everywhere, it is said. */
static void test_service_ports_taken(void **state)
{
	(void)state;
	SL_CLEANUP(outcome_fini) struct outcome out = { 0 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY) };
	socklen_t len = sizeof(any);
	assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&any, &len), 0);
	create_in("default", service("x", ntohs(any.sin_port), ""), NULL, &out);
	sl_assert_ok(out.err);
	assert_non_null(strstr(out.warnings, "in use on every loopback address"));
	sl_str wanted = sl_obj_get_str(out.body, "spec.clusterIP");
	assert_true(wanted.len > 0);
	close(fd);

	struct sl_object_key key = { SL_STR(""), SL_STR("services"), SL_STR("default"), SL_STR("x") };
	out.ended = false;
	json_t *first = json_incref(out.body);
	sl_objects_delete(objects, &key, NULL, on_done, &out);
	wait_for(&out);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	inet_pton(AF_INET, json_string_value(sl_obj_get(first, "spec.clusterIP")), &any.sin_addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(listen(fd, 1), 0);
	out.ended = false;
	create_in("default", service("x", ntohs(any.sin_port), ""), NULL, &out);
	assert_string_equal(out.warnings, "");
	assert_false(sl_str_eq(
	        sl_obj_get_str(out.body, "spec.clusterIP"), sl_obj_get_str(first, "spec.clusterIP")));
	close(fd);
	json_decref(first);
}

/* --- watching and stopping --- */

static void on_event(void *arg, const struct sl_store_event *e)
{
	sl_buf_printf(arg, "%c%.*s ", "AMD"[e->type], SL_STR_ARG(e->object->key.name));
	if (sl_str_eq_c(e->object->key.name, "a") && e->type == SL_STORE_ADDED)
		sl_objects_create(objects, SL_STR("default"), config_map("made", ""), NULL, NULL, NULL);
}

static void test_watch_begins_with_what_is_there(void **state)
{
	(void)state;
	SL_CLEANUP(sl_buf_fini) struct sl_buf seen = { 0 };
	const struct sl_store_watch_filter filter = { SL_STR(""), SL_STR("configmaps"), SL_STR_NONE };
	struct sl_store_watch *watch = NULL;
	must_create(config_map("b", ""));
	must_create(config_map("a", ""));
	sl_assert_ok(sl_objects_watch(objects, &watch, &filter, on_event, &seen));
	assert_string_equal(sl_buf_cstr(&seen), "Aa Ab ");
	settle();
	assert_string_equal(sl_buf_cstr(&seen), "Aa Ab Amade ");
	sl_store_watch_stop(watch);
}

static void test_stop_ends_everything(void **state)
{
	(void)state;
	SL_CLEANUP(outcome_fini) struct outcome stored = { 0 }, refused = { 0 }, late = { 0 };
	sl_objects_create(objects, SL_STR("default"), config_map("x", ""), NULL, on_done, &stored);
	sl_objects_create(objects, SL_STR("nowhere"), config_map("x", ""), NULL, on_done, &refused);
	sl_objects_stop(objects);
	sl_assert_ok(stored.err);
	sl_assert_err(refused.err, SL_ERR_NOT_FOUND);
	sl_objects_create(objects, SL_STR("default"), config_map("y", ""), NULL, on_done, &late);
	wait_for(&late);
	sl_assert_err(late.err, SL_ERR_CLOSED);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_create_fills_in),
		TEST(test_create_refuses),
		TEST(test_unknown_fields),
		TEST(test_generate_name),
		TEST(test_secret_string_data),
		TEST(test_dry_run),
		TEST(test_generation),
		TEST(test_update_conflicts),
		TEST(test_update_refuses),
		TEST(test_modify_builds_on_what_is_on_its_way),
		TEST(test_modify_asks_once),
		TEST(test_patches),
		TEST(test_patches_do_not_add_up),
		TEST(test_finalizers_hold),
		TEST(test_background),
		TEST(test_foreground),
		TEST(test_orphan),
		TEST(test_owner_that_never_was),
		TEST(test_delete_preconditions),
		TEST(test_namespace_empties_before_it_goes),
		TEST(test_pods_wait_for_the_runtime),
		TEST(test_events_count_up_and_age),
		TEST(test_service_addresses),
		TEST(test_service_addresses_given),
		TEST(test_service_ports_taken),
		TEST(test_watch_begins_with_what_is_there),
		TEST(test_stop_ends_everything),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
