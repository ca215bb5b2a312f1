/* rollout list, status, promote, abort, retry, pause, undo, history, set-image: what Argo's plugin does, as the same patches. */
#include "cli/cli.h"
#include "cli/print.h"
#include "cli/rollout_view.h"

#include "model/object.h"
#include "proto/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct sl_kind *rollouts(void)
{
	return sl_kind_by_kind(SL_STR("argoproj.io"), SL_STR_NONE, SL_STR("Rollout"));
}

static const struct sl_kind *replica_sets(void)
{
	return sl_kind_by_kind(SL_STR("apps"), SL_STR_NONE, SL_STR("ReplicaSet"));
}

static const char *path_of(struct sl_cli *cli, const char *subresource)
{
	return sl_arena_printf(&cli->client.arena, "%s%s",
	        sl_client_path(&cli->client, rollouts(), sl_cli_namespace(cli), cli->words[0]), subresource)
	        .p;
}

static int failed(const struct sl_cli *cli, struct sl_diag *diag)
{
	return sl_cli_fail("rollout/%s: %s", cli->words[0], sl_diag_text(diag));
}

/* One merge patch; takes over `patch`. "" or "/status" as subresource. */
static int patch(
        struct sl_cli *cli, const char *subresource, json_t *body, const char *type, const char *done)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	SL_CLEANUP(sl_json_unref) json_t *owned = body;
	struct sl_call call = {
		.method = "PATCH", .path = path_of(cli, subresource), .content_type = type, .body = owned
	};

	if (sl_client_call(&cli->client, &call, NULL, &diag) != SL_OK)
		return failed(cli, &diag);
	printf("rollout/%s %s\n", cli->words[0], done);
	return SL_EXIT_OK;
}

static int merge(struct sl_cli *cli, const char *subresource, json_t *body, const char *done)
{
	return patch(cli, subresource, body, "application/merge-patch+json", done);
}

/* The Rollout as it is; prints why not. */
static json_t *read_rollout(struct sl_cli *cli)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	struct sl_call call = { .method = "GET", .path = path_of(cli, "") };
	json_t *rollout = NULL;

	if (sl_client_call(&cli->client, &call, &rollout, &diag) != SL_OK)
		failed(cli, &diag);
	return rollout;
}

int sl_cmd_rollout_list(struct sl_cli *cli)
{
	cli->words[0] = "rollouts";
	cli->word_count = 1;
	return sl_cmd_get(cli);
}

/* ---- status ---- */

struct following {
	struct sl_cli *cli;
	struct sl_rollout_view view;
	int status; /* exit status once ended */
};

static int exit_of(const json_t *rollout)
{
	return sl_json_bool(rollout, "status.abort", false) ||
	                       strcmp(sl_json_string(rollout, "status.phase", ""), "Degraded") == 0
	               ? SL_EXIT_ROLLED_BACK
	               : SL_EXIT_OK;
}

static bool on_change(void *arg, const char *type, json_t *rollout)
{
	struct following *f = arg;

	if (strcmp(type, "DELETED") == 0) {
		f->status = sl_cli_fail("rollout/%s was deleted", f->cli->words[0]);
		return false;
	}
	sl_rollout_view_draw(&f->view, rollout);
	f->status = exit_of(rollout);
	return !sl_rollout_is_settled(rollout);
}

static int follow(struct sl_cli *cli, const json_t *first)
{
	struct following f = { .cli = cli };
	const char *version = sl_json_string(first, "metadata.resourceVersion", "0");

	sl_rollout_view_init(&f.view);
	sl_rollout_view_draw(&f.view, first);
	f.status = exit_of(first);
	while (!sl_rollout_is_settled(first)) {
		SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
		const char *path = sl_arena_printf(&cli->client.arena,
		        "%s?watch=true&resourceVersion=%s&fieldSelector=metadata.name%%3D%s",
		        sl_client_path(&cli->client, rollouts(), sl_cli_namespace(cli), NULL), version,
		        cli->words[0])
		                           .p;
		sl_err err = sl_client_watch(&cli->client, path, NULL, on_change, &f, &diag);

		if (err == SL_OK)
			break;
		if (err != SL_ERR_EOF)
			return failed(cli, &diag);
		version = "0"; /* the server ended the watch: all states there are, then on */
	}
	return f.status;
}

int sl_cmd_rollout_status(struct sl_cli *cli)
{
	SL_CLEANUP(sl_json_unref) json_t *rollout = read_rollout(cli);
	struct sl_rollout_view view;

	if (!rollout)
		return SL_EXIT_FAILED;
	if (cli->output == SL_OUTPUT_JSON || cli->output == SL_OUTPUT_YAML) {
		sl_print(sl_json_object(rollout, "status"), cli->output, false, false);
		return exit_of(rollout);
	}
	if (cli->watch)
		return follow(cli, rollout);
	sl_rollout_view_init(&view);
	sl_rollout_view_draw(&view, rollout);
	return exit_of(rollout);
}

/* ---- changes ---- */

int sl_cmd_rollout_promote(struct sl_cli *cli)
{
	SL_CLEANUP(sl_json_unref) json_t *rollout = read_rollout(cli);

	if (!rollout)
		return SL_EXIT_FAILED;
	if (sl_json_bool(rollout, "spec.paused", false) &&
	        merge(cli, "", json_pack("{s:{s:b}}", "spec", "paused", 0), "resumed") != SL_EXIT_OK)
		return SL_EXIT_FAILED;
	if (cli->full)
		return merge(cli, "/status", json_pack("{s:{s:b}}", "status", "promoteFull", 1),
		        "promoted in full");
	if (json_array_size(sl_json_array(rollout, "status.pauseConditions")))
		return merge(cli, "/status", json_pack("{s:{s:n}}", "status", "pauseConditions"), "promoted");
	if (!sl_json_get(rollout, "status.currentStepIndex") || sl_rollout_is_settled(rollout))
		return sl_cli_fail("rollout/%s: there is nothing to promote: it is %s", cli->words[0],
		        sl_json_string(rollout, "status.phase", "new"));
	return merge(cli, "/status",
	        json_pack("{s:{s:I}}", "status", "currentStepIndex",
	                sl_json_int(rollout, "status.currentStepIndex", 0) + 1),
	        "promoted past this step");
}

int sl_cmd_rollout_abort(struct sl_cli *cli)
{
	return merge(cli, "/status", json_pack("{s:{s:b}}", "status", "abort", 1), "aborted");
}

int sl_cmd_rollout_retry(struct sl_cli *cli)
{
	return merge(cli, "/status", json_pack("{s:{s:b}}", "status", "abort", 0), "retried");
}

int sl_cmd_rollout_pause(struct sl_cli *cli)
{
	return merge(cli, "", json_pack("{s:{s:b}}", "spec", "paused", 1), "paused");
}

int sl_cmd_rollout_set_image(struct sl_cli *cli)
{
	SL_CLEANUP(sl_json_unref) json_t *rollout = read_rollout(cli);
	sl_str image = sl_str_c(cli->words[1]), name;
	size_t i = 0;

	if (!rollout)
		return SL_EXIT_FAILED;
	if (!sl_str_split(&image, '=', &name) || !image.len) {
		sl_cli_fail("set-image takes CONTAINER=IMAGE, not \"%s\"", cli->words[1]);
		return SL_EXIT_USAGE;
	}
	SL_JSON_FOR (container, sl_json_array(rollout, "spec.template.spec.containers")) {
		if (sl_str_eq(sl_json_get_str(container, "name"), name)) {
			char path[96];

			snprintf(path, sizeof(path), "/spec/template/spec/containers/%zu/image", i);
			return patch(cli, "",
			        json_pack(
			                "[{s:s, s:s, s:s}]", "op", "replace", "path", path, "value", image.p),
			        "application/json-patch+json", "image updated");
		}
		i++;
	}
	return sl_cli_fail("rollout/%s: spec.template.spec.containers: no container is named \"%.*s\"",
	        cli->words[0], SL_STR_ARG(name));
}

/* ---- revisions ---- */

static const char revision_annotation[] = "rollout.argoproj.io/revision";

static int64_t revision_of(const json_t *set)
{
	int64_t revision = 0;

	SL_IGNORE(sl_str_to_i64(sl_obj_annotation(set, revision_annotation), &revision)); /* 0: none */
	return revision;
}

static int newest_first(const void *a, const void *b)
{
	int64_t ra = revision_of(*(json_t *const *)a), rb = revision_of(*(json_t *const *)b);

	return ra < rb ? 1 : (ra > rb ? -1 : 0);
}

/* The Rollout's ReplicaSets, newest revision first; borrowed from *ret_list. */
static json_t **read_sets(struct sl_cli *cli, const json_t *rollout, json_t **ret_list, size_t *ret_count)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	struct sl_call call = { .method = "GET",
		.path = sl_client_path(&cli->client, replica_sets(), sl_cli_namespace(cli), NULL) };
	json_t **sets;
	size_t count = 0;

	if (sl_client_call(&cli->client, &call, ret_list, &diag) != SL_OK) {
		failed(cli, &diag);
		return NULL;
	}
	sets = sl_arena_zalloc_array(
	        &cli->client.arena, json_array_size(sl_json_array(*ret_list, "items")) + 1, sizeof(*sets));
	SL_JSON_FOR (set, sl_json_array(*ret_list, "items"))
		if (sl_str_eq(sl_obj_controller_uid(set), sl_obj_uid(rollout)) && revision_of(set) > 0)
			sets[count++] = set;
	qsort(sets, count, sizeof(*sets), newest_first);
	*ret_count = count;
	return sets;
}

static const char *hash_of(const json_t *set)
{
	return sl_json_string(set, "metadata.labels.rollouts-pod-template-hash", "");
}

int sl_cmd_rollout_history(struct sl_cli *cli)
{
	SL_CLEANUP(sl_json_unref) json_t *rollout = read_rollout(cli);
	SL_CLEANUP(sl_json_unref) json_t *list = NULL;
	struct sl_grid g = { .columns = 5 };
	json_t **sets;
	size_t count;

	sets = rollout ? read_sets(cli, rollout, &list, &count) : NULL;
	if (!sets)
		return SL_EXIT_FAILED;
	sl_grid_add(&g, "REVISION");
	sl_grid_add(&g, "HASH");
	sl_grid_add(&g, "IMAGES");
	sl_grid_add(&g, "PODS");
	sl_grid_add(&g, "ROLE");
	for (size_t i = 0; i < count; i++) {
		SL_CLEANUP(sl_buf_fini) struct sl_buf images = { 0 };
		bool stable = strcmp(hash_of(sets[i]), sl_json_string(rollout, "status.stableRS", "")) == 0;
		bool current =
		        strcmp(hash_of(sets[i]), sl_json_string(rollout, "status.currentPodHash", "")) == 0;

		SL_JSON_FOR (container, sl_json_array(sets[i], "spec.template.spec.containers"))
			sl_buf_printf(&images, "%s%s", sl_buf_size(&images) ? "," : "",
			        sl_json_string(container, "image", ""));
		sl_grid_add(&g, "%lld", (long long)revision_of(sets[i]));
		sl_grid_add(&g, "%s", hash_of(sets[i]));
		sl_grid_add(&g, "%s", sl_buf_cstr(&images));
		sl_grid_add(&g, "%lld", (long long)sl_json_int(sets[i], "status.replicas", 0));
		sl_grid_add(&g, "%s", stable ? "stable" : (current ? "canary" : ""));
	}
	sl_grid_flush(&g);
	return SL_EXIT_OK;
}

/* The set to go back to: of the revision asked for, or the newest that is not what spec.template says now. NULL: said why. */
static json_t *undo_target(struct sl_cli *cli, const json_t *rollout, json_t **sets, size_t count)
{
	uint64_t wanted = 0;

	if (cli->to_revision && sl_str_to_u64(sl_str_c(cli->to_revision), &wanted) != SL_OK) {
		sl_cli_fail("--to-revision: \"%s\" is not a number", cli->to_revision);
		return NULL;
	}
	for (size_t i = 0; i < count; i++)
		if (wanted ? (uint64_t)revision_of(sets[i]) == wanted
		           : strcmp(hash_of(sets[i]), sl_json_string(rollout, "status.currentPodHash", "")) !=
		                        0)
			return sets[i];
	sl_cli_fail("rollout/%s: no %s revision is kept; `sluice rollout history` lists them", cli->words[0],
	        wanted ? "such" : "earlier");
	return NULL;
}

int sl_cmd_rollout_undo(struct sl_cli *cli)
{
	SL_CLEANUP(sl_json_unref) json_t *rollout = read_rollout(cli);
	SL_CLEANUP(sl_json_unref) json_t *list = NULL;
	json_t **sets, *target, *template, *body;
	char done[64];
	size_t count;

	sets = rollout ? read_sets(cli, rollout, &list, &count) : NULL;
	target = sets ? undo_target(cli, rollout, sets, count) : NULL;
	if (!target)
		return SL_EXIT_FAILED;
	template = json_deep_copy(sl_json_object(target, "spec.template"));
	SL_IGNORE(sl_json_remove(template, "metadata.labels.rollouts-pod-template-hash")); /* may be absent */
	body = json_pack("[{s:s, s:s, s:o}]", "op", "replace", "path", "/spec/template", "value", template);
	snprintf(done, sizeof(done), "goes back to revision %lld", (long long)revision_of(target));
	return patch(cli, "", body, "application/json-patch+json", done);
}
