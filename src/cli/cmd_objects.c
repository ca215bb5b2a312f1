/* apply, delete, get, lint, version: commands about objects of any kind. */
#include "cli/cli.h"
#include "cli/manifests.h"
#include "cli/print.h"

#include "base/buf.h"
#include "model/honoured.h"
#include "model/object.h"
#include "model/validate.h"
#include "proto/json.h"

#include <stdio.h>

/* "deployment/productpage-v1", for messages; in the client's arena. */
static const char *label_of(struct sl_cli *cli, const json_t *object)
{
	return sl_arena_printf(&cli->client.arena, "%s/%s", sl_json_string(object, "kind", "object"),
	        sl_json_string(object, "metadata.name", "?"))
	        .p;
}

static void report(const char *label, const struct sl_diag *diag)
{
	for (const struct sl_diag_item *item = diag->items; item; item = item->next)
		sl_cli_fail("%s: %.*s%s%.*s", label, SL_STR_ARG(item->field), item->field.len ? ": " : "",
		        SL_STR_ARG(item->text));
	if (diag->dropped)
		sl_cli_fail("%s: and %zu more", label, diag->dropped);
}

static const char *namespace_of(struct sl_cli *cli, const json_t *object)
{
	return cli->ns ? cli->ns : sl_json_string(object, "metadata.namespace", sl_cli_namespace(cli));
}

/* A name becomes a part of a URL: what can be no name is refused here, and named. */
static bool check_name(const char *label, const char *name)
{
	const char *wrong = *name ? sl_name_dns_subdomain(sl_str_c(name)) : "is required";

	if (wrong)
		sl_cli_fail("%s: metadata.name: %s", label, wrong);
	return !wrong;
}

static const char *word_label(struct sl_cli *cli, const struct sl_kind *kind, const char *name)
{
	return sl_arena_printf(&cli->client.arena, "%s/%s", kind->singular, name).p;
}

static bool apply_one(struct sl_cli *cli, const json_t *object)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	SL_CLEANUP(sl_json_unref) json_t *answer = NULL;
	const char *label = label_of(cli, object);
	const struct sl_kind *kind;
	struct sl_call call = {
		.method = "PATCH", .content_type = "application/apply-patch+yaml", .body = object
	};

	if (sl_kind_of(object, &kind, &diag) == SL_OK) {
		if (!check_name(label, sl_json_string(object, "metadata.name", "")))
			return false;
		call.path = sl_arena_printf(&cli->client.arena,
		        "%s?fieldManager=sluice&force=true&fieldValidation=Strict%s",
		        sl_client_path(&cli->client, kind, namespace_of(cli, object),
		                sl_json_string(object, "metadata.name", "")),
		        cli->dry_run ? "&dryRun=All" : "")
		                    .p;
		if (sl_client_call(&cli->client, &call, &answer, &diag) == SL_OK) {
			printf("%s applied%s\n", label, cli->dry_run ? " (dry run)" : "");
			return true;
		}
	}
	report(label, &diag);
	return false;
}

int sl_cmd_apply(struct sl_cli *cli)
{
	SL_CLEANUP(sl_json_unref) json_t *documents = NULL;
	SL_CLEANUP(sl_json_unref) json_t *names = NULL;
	size_t failed = 0;

	if (sl_manifests_read(cli, &documents, &names) != SL_OK)
		return SL_EXIT_FAILED;
	SL_JSON_FOR (document, documents)
		failed += !apply_one(cli, document);
	return failed ? SL_EXIT_FAILED : SL_EXIT_OK;
}

static bool delete_one(struct sl_cli *cli, const struct sl_kind *kind, const char *ns, const char *name)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	struct sl_call call = { .method = "DELETE", .path = sl_client_path(&cli->client, kind, ns, name) };

	if (!check_name(word_label(cli, kind, name), name))
		return false;
	if (sl_client_call(&cli->client, &call, NULL, &diag) != SL_OK) {
		sl_cli_fail("%s/%s: %s", kind->singular, name, sl_diag_text(&diag));
		return false;
	}
	printf("%s/%s deleted\n", kind->singular, name);
	return true;
}

static int delete_files(struct sl_cli *cli)
{
	SL_CLEANUP(sl_json_unref) json_t *documents = NULL;
	SL_CLEANUP(sl_json_unref) json_t *names = NULL;
	size_t failed = 0;

	if (sl_manifests_read(cli, &documents, &names) != SL_OK)
		return SL_EXIT_FAILED;
	SL_JSON_FOR (document, documents) {
		SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
		const struct sl_kind *kind;

		if (sl_kind_of(document, &kind, &diag) != SL_OK) {
			report(label_of(cli, document), &diag);
			failed++;
		} else {
			failed += !delete_one(cli, kind, namespace_of(cli, document),
			        sl_json_string(document, "metadata.name", ""));
		}
	}
	return failed ? SL_EXIT_FAILED : SL_EXIT_OK;
}

static const struct sl_kind *kind_of_word(const char *word)
{
	const struct sl_kind *kind = sl_kind_by_word(sl_str_c(word));

	if (!kind)
		sl_cli_fail("\"%s\" is no kind of object; `kubectl api-resources` lists them", word);
	return kind;
}

int sl_cmd_delete(struct sl_cli *cli)
{
	const struct sl_kind *kind;

	if (cli->file_count && !cli->word_count)
		return delete_files(cli);
	if (cli->word_count != 2) {
		sl_cli_fail("delete takes KIND NAME, or -f FILE");
		return SL_EXIT_USAGE;
	}
	kind = kind_of_word(cli->words[0]);
	if (!kind)
		return SL_EXIT_FAILED;
	return delete_one(cli, kind, sl_cli_namespace(cli), cli->words[1]) ? SL_EXIT_OK : SL_EXIT_FAILED;
}

/* ---- get ---- */

struct watching {
	struct sl_cli *cli;
	char version[32]; /* resourceVersion of the last event */
	bool printed;     /* the column names */
};

static bool print_event(void *arg, const char *type, json_t *object)
{
	struct watching *w = arg;

	(void)type;
	sl_print(object, w->cli->output, w->cli->all_namespaces, w->printed);
	w->printed = true;
	return true;
}

static const char *list_path(struct sl_cli *cli, const struct sl_kind *kind, const char *name)
{
	const char *ns = cli->all_namespaces ? NULL : sl_cli_namespace(cli);
	SL_CLEANUP(sl_buf_fini) struct sl_buf path = { 0 };

	sl_buf_printf(&path, "%s?", sl_client_path(&cli->client, kind, ns, NULL));
	if (name)
		sl_buf_printf(&path, "fieldSelector=metadata.name%%3D%s&", name);
	for (const char *s = cli->selector ? "labelSelector=" : ""; *s; s++)
		sl_buf_byte(&path, *s);
	for (const char *s = cli->selector ? cli->selector : ""; *s; s++)
		sl_buf_printf(&path, "%%%02X", (unsigned char)*s);
	return sl_arena_str(&cli->client.arena, sl_buf_str(&path)).p;
}

static int follow(struct sl_cli *cli, const char *path, const json_t *list)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	struct watching w = { .cli = cli, .printed = true };
	const char *version = sl_json_string(list, "metadata.resourceVersion", "0");

	path = sl_arena_printf(&cli->client.arena, "%s&watch=true&resourceVersion=%s", path, version).p;
	if (sl_client_watch(&cli->client, path, sl_print_accept(cli->output), print_event, &w, &diag) !=
	        SL_ERR_EOF)
		return sl_cli_fail("watch ended: %s", sl_diag_text(&diag));
	return SL_EXIT_OK;
}

int sl_cmd_get(struct sl_cli *cli)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	SL_CLEANUP(sl_json_unref) json_t *answer = NULL;
	const struct sl_kind *kind = kind_of_word(cli->words[0]);
	const char *name = cli->word_count > 1 ? cli->words[1] : NULL, *path;
	struct sl_call call = { .method = "GET", .accept = sl_print_accept(cli->output) };

	if (!kind || (name && !check_name(word_label(cli, kind, name), name)))
		return SL_EXIT_FAILED;
	path = list_path(cli, kind, name);
	call.path =
	        name && !cli->watch ? sl_client_path(&cli->client, kind, sl_cli_namespace(cli), name) : path;
	if (sl_client_call(&cli->client, &call, &answer, &diag) != SL_OK)
		return sl_cli_fail(
		        "%s%s%s: %s", kind->singular, name ? "/" : "", name ? name : "", sl_diag_text(&diag));
	if (!json_array_size(sl_json_array(answer, "rows")) && sl_json_array(answer, "rows"))
		fprintf(stderr, "no %s found\n", kind->plural);
	else
		sl_print(answer, cli->output, cli->all_namespaces && kind->namespaced, false);
	return cli->watch ? follow(cli, path, answer) : SL_EXIT_OK;
}

/* ---- lint ---- */

/* Counts what is wrong; what is merely not honoured yet is said as a warning. */
static size_t lint_one(const json_t *object, const char *file)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	SL_CLEANUP(sl_diag_fini) struct sl_diag unhonoured = { 0 };
	const struct sl_kind *kind;
	char label[512];

	snprintf(label, sizeof(label), "%s: %s/%s", file, sl_json_string(object, "kind", "object"),
	        sl_json_string(object, "metadata.name", "?"));
	if (sl_kind_of(object, &kind, &diag) != SL_OK ||
	        sl_validate(kind, object, SL_UNKNOWN_ERROR, NULL, &diag) != SL_OK) {
		report(label, &diag);
		return diag.count ? diag.count : 1;
	}
	sl_honoured_check(kind, object, &unhonoured);
	for (const struct sl_diag_item *item = unhonoured.items; item; item = item->next)
		printf("warning: %s: %.*s: %.*s\n", label, SL_STR_ARG(item->field), SL_STR_ARG(item->text));
	return 0;
}

int sl_cmd_lint(struct sl_cli *cli)
{
	SL_CLEANUP(sl_json_unref) json_t *documents = NULL;
	SL_CLEANUP(sl_json_unref) json_t *names = NULL;
	size_t failed = 0, i = 0;

	if (sl_manifests_read(cli, &documents, &names) != SL_OK)
		return SL_EXIT_FAILED;
	SL_JSON_FOR (document, documents)
		failed += lint_one(document, json_string_value(json_array_get(names, i++)));
	printf("%zu objects, %zu errors\n", json_array_size(documents), failed);
	return failed ? SL_EXIT_FAILED : SL_EXIT_OK;
}

int sl_cmd_version(struct sl_cli *cli)
{
	(void)cli;
	puts("sluice " SL_VERSION);
	return SL_EXIT_OK;
}
