/* explain and top: what was decided about a release, and what it is doing now. */
#include "cli/cli.h"
#include "cli/print.h"

#include "base/buf.h"
#include "base/map.h"
#include "proto/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* ---- explain ---- */

static void explain_decision(struct sl_grid *g, const json_t *d)
{
	int64_t before = sl_json_int(d, "weightBefore", 0), after = sl_json_int(d, "weightAfter", 0);

	sl_grid_add(g, "%s", sl_json_string(d, "time", ""));
	sl_grid_add(g, "%s", sl_json_string(d, "what", ""));
	sl_grid_add(g, "%lld", (long long)sl_json_int(d, "stepAfter", 0));
	if (before != after)
		sl_grid_add(g, "%lld -> %lld %%", (long long)before, (long long)after);
	else
		sl_grid_add(g, "%lld %%", (long long)after);
	sl_grid_add(g, "%.2f", sl_json_real(d, "logE", 0));
	sl_grid_add(g, "%s", sl_json_string(d, "why", ""));
}

int sl_cmd_explain(struct sl_cli *cli)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	SL_CLEANUP(sl_json_unref) json_t *rollout = NULL;
	const struct sl_kind *kind = sl_kind_by_kind(SL_STR("argoproj.io"), SL_STR_NONE, SL_STR("Rollout"));
	struct sl_call call = { .method = "GET",
		.path = sl_client_path(&cli->client, kind, sl_cli_namespace(cli), cli->words[0]) };
	struct sl_grid g = { .columns = 6 };
	static const char *const head[] = { "TIME", "WHAT", "STEP", "CANARY", "LOG E", "WHY" };

	if (sl_client_call(&cli->client, &call, &rollout, &diag) != SL_OK)
		return sl_cli_fail("rollout/%s: %s", cli->words[0], sl_diag_text(&diag));
	if (cli->output == SL_OUTPUT_JSON || cli->output == SL_OUTPUT_YAML) {
		sl_print(sl_json_object(rollout, "status.sluice"), cli->output, false, false);
		return SL_EXIT_OK;
	}
	printf("rollout/%s is %s%s%s\n", cli->words[0], sl_json_string(rollout, "status.phase", "new"),
	        *sl_json_string(rollout, "status.message", "") ? ": " : "",
	        sl_json_string(rollout, "status.message", ""));
	if (*sl_json_string(rollout, "status.sluice.evidence", ""))
		printf("evidence: %s\n", sl_json_string(rollout, "status.sluice.evidence", ""));
	if (!json_array_size(sl_json_array(rollout, "status.sluice.decisions")))
		return SL_EXIT_OK;
	putchar('\n');
	for (size_t i = 0; i < SL_ARRAY_COUNT(head); i++)
		sl_grid_add(&g, "%s", head[i]);
	SL_JSON_FOR (d, sl_json_array(rollout, "status.sluice.decisions"))
		explain_decision(&g, d);
	sl_grid_flush(&g);
	puts("\nLOG E is the evidence that the canary is worse, as the logarithm of a bet that pays nothing on average while both versions\n"
	     "are equal; at ln(1/alpha) (4.61 for 1 %) the canary is taken back.");
	return SL_EXIT_OK;
}

/* ---- top ---- */

/* One revision of one rollout, from the counters of /metrics. */
struct top_row {
	struct sl_map_node node; /* key: the labels as they stand in the metric */
	struct top_row *next;
	char *labels;
	double requests, failures, requests_before, failures_before;
};

struct top {
	struct sl_map rows;
	struct top_row *first, **end;
};

static struct top_row *top_row(struct top *t, sl_str labels)
{
	struct sl_map_node *node = sl_map_get(&t->rows, labels);
	struct top_row *row;

	if (node)
		return SL_MAP_ENTRY(node, struct top_row, node);
	row = sl_new0(sizeof(*row));
	row->labels = sl_strndup(labels.p, labels.len);
	sl_map_put(&t->rows, &row->node, sl_str_c(row->labels));
	*t->end = row;
	t->end = &row->next;
	return row;
}

/* name{labels} value */
static void top_line(struct top *t, sl_str line)
{
	static const sl_str requests = SL_STR("sluice_rollout_requests_total{"),
	                    failures = SL_STR("sluice_rollout_failures_total{");
	bool failed = sl_str_starts(line, failures);
	struct top_row *row;
	sl_str labels;
	double value;

	if (!failed && !sl_str_starts(line, requests))
		return;
	line = sl_str_skip(line, failed ? failures.len : requests.len);
	if (!sl_str_split(&line, '}', &labels) || sl_str_to_double(sl_str_trim(line), &value) != SL_OK)
		return;
	row = top_row(t, labels);
	*(failed ? &row->failures : &row->requests) = value;
}

static sl_str label(sl_str labels, const char *name)
{
	char want[64];
	sl_str one;
	bool more;

	snprintf(want, sizeof(want), "%s=\"", name);
	do {
		more = sl_str_split(&labels, ',', &one);
		if (sl_str_starts(one, sl_str_c(want))) {
			one = sl_str_skip(one, strlen(want));
			return sl_str_first(one, sl_str_find(one, '"'));
		}
	} while (more);
	return SL_STR_NONE;
}

static sl_err top_read(struct sl_cli *cli, struct top *t, struct sl_diag *diag)
{
	char *text = NULL;
	sl_str rest, line;
	bool more;

	SL_TRY(sl_client_text(&cli->client, "/metrics", &text, diag));
	for (struct top_row *row = t->first; row; row = row->next) {
		row->requests_before = row->requests;
		row->failures_before = row->failures;
	}
	rest = sl_str_c(text);
	do {
		more = sl_str_split(&rest, '\n', &line);
		top_line(t, line);
	} while (more);
	sl_free(text);
	return SL_OK;
}

static void top_print(struct sl_cli *cli, const struct top *t, double seconds)
{
	static const char *const head[] = { "ROLLOUT", "REVISION", "ROLE", "REQUESTS/S", "FAILED/S", "FAILED",
		"TOTAL" };
	struct sl_grid g = { .columns = SL_ARRAY_COUNT(head) };

	for (size_t i = 0; i < SL_ARRAY_COUNT(head); i++)
		sl_grid_add(&g, "%s", head[i]);
	for (const struct top_row *row = t->first; row; row = row->next) {
		sl_str labels = sl_str_c(row->labels), ns = label(labels, "namespace");
		double requests = row->requests - row->requests_before,
		       failures = row->failures - row->failures_before;

		if (!cli->all_namespaces && !sl_str_eq_c(ns, sl_cli_namespace(cli)))
			continue;
		sl_grid_add(&g, "%.*s/%.*s", SL_STR_ARG(ns), SL_STR_ARG(label(labels, "rollout")));
		sl_grid_add(&g, "%.*s", SL_STR_ARG(label(labels, "revision")));
		sl_grid_add(&g, "%.*s", SL_STR_ARG(label(labels, "role")));
		sl_grid_add(&g, "%.1f", requests / seconds);
		sl_grid_add(&g, "%.1f", failures / seconds);
		sl_grid_add(&g, "%.2f %%", requests > 0 ? 100 * failures / requests : 0.0);
		sl_grid_add(&g, "%.0f", row->requests);
	}
	if (cli->watch && isatty(STDOUT_FILENO))
		fputs("\x1b[H\x1b[2J", stdout);
	sl_grid_flush(&g);
}

int sl_cmd_top(struct sl_cli *cli)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	struct top t = { 0 };
	sl_err err;

	t.end = &t.first;
	err = top_read(cli, &t, &diag);
	while (err == SL_OK) {
		struct timespec second = { .tv_sec = 1 };

		nanosleep(&second, NULL); /* rates need two readings */
		err = top_read(cli, &t, &diag);
		if (err == SL_OK)
			top_print(cli, &t, 1);
		if (!cli->watch)
			break;
	}
	for (struct top_row *row = t.first, *next; row; row = next) {
		next = row->next;
		sl_free(row->labels);
		sl_free(row);
	}
	sl_map_fini(&t.rows);
	return err == SL_OK ? SL_EXIT_OK : sl_cli_fail("top: %s", sl_diag_text(&diag));
}
