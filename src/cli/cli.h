#pragma once
/*
 * The command line: `sluice COMMAND [arguments]`. One table of commands (cli.c) feeds dispatch and --help.
 * Exit statuses: 0 done; 1 failed; 2 bad usage; 3 a rollout was rolled back.
 * Ownership: what a command is given lives until it returns.       Threads: one.
 */
#include "base/diag.h"
#include "cli/client.h"

enum sl_exit { SL_EXIT_OK = 0, SL_EXIT_FAILED = 1, SL_EXIT_USAGE = 2, SL_EXIT_ROLLED_BACK = 3 };
enum sl_output { SL_OUTPUT_TABLE, SL_OUTPUT_WIDE, SL_OUTPUT_JSON, SL_OUTPUT_YAML, SL_OUTPUT_NAME };

enum { SL_CLI_WORDS_MOST = 32, SL_CLI_FILES_MOST = 32 };

/* The arguments, parsed; flags are the same for all commands, and each command says in its row which it takes. */
struct sl_cli {
	const char *words[SL_CLI_WORDS_MOST]; /* what is no flag, after the command's own words */
	size_t word_count;
	const char *files[SL_CLI_FILES_MOST]; /* -f */
	size_t file_count;
	const char *ns; /* -n; NULL: the kubeconfig's, or "default" */
	const char *selector;
	const char *to_revision;
	enum sl_output output;
	bool all_namespaces, watch, full, strict, dry_run;
	struct sl_client client; /* connected lazily: `client.server` is NULL for commands that need none */
};

/* argv as main gets it. Returns the exit status; errors are on stderr. */
int sl_cli_main(int argc, char **argv);

/* "error: " and a line on stderr; returns SL_EXIT_FAILED. */
int sl_cli_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The namespace a command works in. */
const char *sl_cli_namespace(const struct sl_cli *cli);

/* The commands, by file. */
int sl_cmd_apply(struct sl_cli *cli);
int sl_cmd_delete(struct sl_cli *cli);
int sl_cmd_get(struct sl_cli *cli);
int sl_cmd_lint(struct sl_cli *cli);
int sl_cmd_top(struct sl_cli *cli);
int sl_cmd_explain(struct sl_cli *cli);
int sl_cmd_version(struct sl_cli *cli);
int sl_cmd_rollout_list(struct sl_cli *cli);
int sl_cmd_rollout_status(struct sl_cli *cli);
int sl_cmd_rollout_promote(struct sl_cli *cli);
int sl_cmd_rollout_abort(struct sl_cli *cli);
int sl_cmd_rollout_retry(struct sl_cli *cli);
int sl_cmd_rollout_pause(struct sl_cli *cli);
int sl_cmd_rollout_undo(struct sl_cli *cli);
int sl_cmd_rollout_history(struct sl_cli *cli);
int sl_cmd_rollout_set_image(struct sl_cli *cli);
