#include "base/test.h"

#include "runtime/env.h"

#include "model/object.h"

#include <stdlib.h>

static void references_expand_as_in_kubernetes(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "", "" }, { "plain", "plain" }, { "$(A)", "alpha" }, { "x$(A)y$(B)z", "xalphaybetaz" },
		{ "$(A)$(A)", "alphaalpha" }, { "$(MISSING)", "$(MISSING)" }, { "$$(A)", "$(A)" },
		{ "$$$(A)", "$alpha" }, { "$$$$(A)", "$$(A)" }, { "$", "$" }, { "$$", "$" }, { "a$b", "a$b" },
		{ "${A}", "${A}" }, { "$(A", "$(A" }, { "$(A$(B)", "$(A$(B)" }, /* the name is "A$(B" */
		{ "$()", "$()" }, { "$(A)$", "alpha$" }, { "$(a)", "$(a)" },
		{ "$(NESTED)", "$(A)" }, /* a value is not looked at again */
	};
	struct sl_env e;

	(void)state;
	sl_env_init(&e);
	sl_env_set(&e, SL_STR("A"), SL_STR("alpha"));
	sl_env_set(&e, SL_STR("B"), SL_STR("beta"));
	sl_env_set(&e, SL_STR("NESTED"), SL_STR("$(A)"));
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++)
		sl_assert_str(sl_env_expand(&e, sl_str_c(cases[i].in)), cases[i].out);
	sl_env_fini(&e);
}

static void image_tags(void **state)
{
	static const struct {
		const char *image, *tag;
	} cases[] = {
		{ "app:v1", "v1" },
		{ "app", "latest" },
		{ "", "latest" },
		{ "registry:5000/app", "latest" },
		{ "registry:5000/team/app:v2.1-rc", "v2.1-rc" },
		{ "app:v1@sha256:0123", "v1" },
		{ "app@sha256:0123", "latest" },
		{ "app:", "" },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++)
		sl_assert_str(sl_image_tag(sl_str_c(cases[i].image)), cases[i].tag);
}

/* --- a whole container --- */

static const char *config_maps = "{'kind':'ConfigMap','data':{'color':'blue','size':'7'}}",
                  *secrets = "{'kind':'Secret','data':{'token':'czNjcjN0','e':'','p':'YWI='}}";

/* 'x' is "x", and ^ is a single quote. */
static json_t *parse(const char *text)
{
	SL_CLEANUP(sl_free) char *json = sl_strdup(text);
	json_error_t error;

	for (char *p = json; *p; p++)
		if (*p == '\'' || *p == '^')
			*p = *p == '^' ? '\'' : '"';
	json_t *v = json_loads(json, 0, &error);
	assert_non_null(v);
	return v;
}

static const json_t *config(void *arg, const char *plural, sl_str ns, sl_str name)
{
	json_t **kept = arg;

	sl_assert_str(ns, "prod");
	if (sl_str_eq(name, SL_STR("absent")))
		return NULL;
	json_decref(*kept);
	*kept = parse(plural[0] == 'c' ? config_maps : secrets);
	return *kept;
}

static void service_env(
        void *arg, sl_str ns, void (*each)(void *to, const char *name, const char *value), void *to)
{
	(void)arg;
	sl_assert_str(ns, "prod");
	each(to, "REVIEWS_SERVICE_HOST", "127.9.0.1");
}

static sl_err build(
        struct sl_env *e, const char *container_text, struct sl_diag *diag, json_t **ret_container)
{
	json_t *kept = NULL,
	       *pod = parse("{'metadata':{'name':'web-1','namespace':'prod','uid':'u1',"
	                    "'labels':{'app.kubernetes.io/name':'web'}},'spec':{'nodeName':'here'}}");
	struct sl_runtime_host host = { .arg = &kept, .config = config, .service_env = service_env };

	*ret_container = parse(container_text);
	sl_env_init(e);
	sl_err err = sl_env_build(e, pod, *ret_container, &host, diag);
	json_decref(kept);
	json_decref(pod);
	return err;
}

static void a_container_gets_what_it_asks_for(void **state)
{
	static const struct {
		const char *container, *name, *value; /* value NULL: not defined */
	} cases[] = {
		{ "{}", "POD_NAME", "web-1" },
		{ "{}", "POD_NAMESPACE", "prod" },
		{ "{}", "POD_IP", "127.0.0.1" },
		{ "{}", "REVIEWS_SERVICE_HOST", "127.9.0.1" },
		{ "{}", "SLUICE_IMAGE_TAG", "latest" },
		{ "{}", "PORT", NULL },
		{ "{}", "SHELL", NULL }, /* of our own environment only PATH and HOME */
		{ "{'image':'x:v3'}", "SLUICE_IMAGE_TAG", "v3" },
		{ "{'ports':[{'containerPort':80,'hostPort':20001},{'name':'m-web','hostPort':20002}]}",
		        "PORT", "20001" },
		{ "{'ports':[{'containerPort':80,'hostPort':20001},{'name':'m-web','hostPort':20002}]}",
		        "PORT_M_WEB", "20002" },
		{ "{'env':[{'name':'A','value':'x'}]}", "A", "x" },
		{ "{'env':[{'name':'A'}]}", "A", "" },
		{ "{'env':[{'name':'A','value':'1'},{'name':'B','value':'$(A)2'}]}", "B", "12" },
		{ "{'env':[{'name':'B','value':'$(A)2'},{'name':'A','value':'1'}]}", "B", "$(A)2" },
		{ "{'env':[{'name':'URL','value':'http://$(REVIEWS_SERVICE_HOST)'}]}", "URL",
		        "http://127.9.0.1" },
		{ "{'env':[{'name':'POD_NAME','value':'mine'}]}", "POD_NAME", "mine" },
		{ "{'env':[{'name':'A','valueFrom':{'fieldRef':{'fieldPath':'metadata.name'}}}]}", "A",
		        "web-1" },
		{ "{'env':[{'name':'A','valueFrom':{'fieldRef':{'fieldPath':'spec.nodeName'}}}]}", "A",
		        "here" },
		{ "{'env':[{'name':'A','valueFrom':{'fieldRef':{'fieldPath':'status.podIP'}}}]}", "A",
		        "127.0.0.1" },
		{ "{'env':[{'name':'A','valueFrom':{'fieldRef':{'fieldPath':'metadata.labels[^app.kubernetes.io/name^]'}}}]}",
		        "A", "web" },
		{ "{'env':[{'name':'A','valueFrom':{'configMapKeyRef':{'name':'c','key':'color'}}}]}", "A",
		        "blue" },
		{ "{'env':[{'name':'A','valueFrom':{'secretKeyRef':{'name':'s','key':'token'}}}]}", "A",
		        "s3cr3t" },
		{ "{'env':[{'name':'A','valueFrom':{'secretKeyRef':{'name':'s','key':'p'}}}]}", "A", "ab" },
		{ "{'env':[{'name':'A','valueFrom':{'secretKeyRef':{'name':'s','key':'e'}}}]}", "A", "" },
		{ "{'env':[{'name':'A','valueFrom':{'configMapKeyRef':{'name':'absent','key':'x','optional':true}}}]}",
		        "A", NULL },
		{ "{'envFrom':[{'configMapRef':{'name':'c'}}]}", "size", "7" },
		{ "{'envFrom':[{'prefix':'P_','configMapRef':{'name':'c'}}]}", "P_size", "7" },
		{ "{'envFrom':[{'secretRef':{'name':'absent','optional':true}}]}", "size", NULL },
		{ "{'envFrom':[{'configMapRef':{'name':'c'}}],'env':[{'name':'size','value':'8'}]}", "size",
		        "8" },
	};

	(void)state;
	setenv("SHELL", "/bin/sh", 1);
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
		struct sl_env e;
		json_t *container;

		sl_assert_ok(build(&e, cases[i].container, &diag, &container));
		const char *value = sl_env_get(&e, sl_str_c(cases[i].name));

		if (cases[i].value)
			assert_string_equal(value, cases[i].value);
		else
			assert_null(value);
		json_decref(container);
		sl_env_fini(&e);
	}
}

static void what_is_missing_is_named(void **state)
{
	static const struct {
		const char *container, *text;
	} cases[] = {
		{ "{'env':[{'name':'A','valueFrom':{'configMapKeyRef':{'name':'absent','key':'x'}}}]}",
		        "ConfigMap \"absent\" not found" },
		{ "{'env':[{'name':'A','valueFrom':{'secretKeyRef':{'name':'s','key':'x'}}}]}",
		        "couldn't find key x in Secret prod/s" },
		{ "{'envFrom':[{'secretRef':{'name':'absent'}}]}", "Secret \"absent\" not found" },
		{ "{'env':[{'name':'A','valueFrom':{'fieldRef':{'fieldPath':'spec.color'}}}]}",
		        "fieldRef spec.color" },
		{ "{'env':[{'name':'A','valueFrom':{'resourceFieldRef':{'resource':'limits.cpu'}}}]}",
		        "env A" },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
		struct sl_env e;
		json_t *container;

		sl_assert_err(build(&e, cases[i].container, &diag, &container), SL_ERR_INVALID);
		assert_non_null(strstr(sl_diag_text(&diag), cases[i].text));
		json_decref(container);
		sl_env_fini(&e);
	}
}

static void the_command_is_expanded(void **state)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	const char *const *argv;
	struct sl_env e;
	json_t *container;

	(void)state;
	sl_assert_ok(build(&e,
	        "{'image':'a:v2','command':['run','--version=$(SLUICE_IMAGE_TAG)'],'args':['$$(x)']}", &diag,
	        &container));
	sl_assert_ok(sl_env_command(&e, container, &argv, &diag));
	assert_string_equal(argv[0], "run");
	assert_string_equal(argv[1], "--version=v2");
	assert_string_equal(argv[2], "$(x)");
	assert_null(argv[3]);
	assert_non_null(strstr(sl_env_list(&e)[e.count - 1], "="));
	assert_null(sl_env_list(&e)[e.count]);
	json_decref(container);
	sl_env_fini(&e);

	sl_assert_ok(build(&e, "{'image':'a:v2','args':['x']}", &diag, &container));
	sl_assert_err(sl_env_command(&e, container, &argv, &diag), SL_ERR_INVALID);
	assert_non_null(strstr(sl_diag_text(&diag), "set command or use --runtime podman"));
	json_decref(container);
	sl_env_fini(&e);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(references_expand_as_in_kubernetes),
		cmocka_unit_test(image_tags),
		cmocka_unit_test(a_container_gets_what_it_asks_for),
		cmocka_unit_test(what_is_missing_is_named),
		cmocka_unit_test(the_command_is_expanded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
