#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>

enum needs { NEEDS_NOTHING, NEEDS_SERVER };

static const struct command {
	const char *group, *name; /* "rollout" "status"; group is NULL for single words */
	int (*run)(struct sl_cli *cli);
	const char *arguments, *help;
	enum needs needs;
	size_t words_least, words_most;
} commands[] = {
	/* clang-format off */
	{ NULL,      "apply",     sl_cmd_apply,             "-f FILE [--dry-run]",        "create or change objects from manifests; - is standard input", NEEDS_SERVER, 0, 0 },
	{ NULL,      "delete",    sl_cmd_delete,            "KIND NAME | -f FILE",        "delete objects",                                               NEEDS_SERVER, 0, 2 },
	{ NULL,      "get",       sl_cmd_get,               "KIND [NAME] [-A] [-l SEL] [-w]", "show objects",                                             NEEDS_SERVER, 1, 2 },
	{ "rollout", "list",      sl_cmd_rollout_list,      "[-A]",                       "show all rollouts",                                            NEEDS_SERVER, 0, 0 },
	{ "rollout", "status",    sl_cmd_rollout_status,    "NAME [-w]",                  "show a rollout; -w follows it to its end (exit 3: rolled back)", NEEDS_SERVER, 1, 1 },
	{ "rollout", "promote",   sl_cmd_rollout_promote,   "NAME [--full]",              "end the pause of the current step; --full skips all steps",    NEEDS_SERVER, 1, 1 },
	{ "rollout", "abort",     sl_cmd_rollout_abort,     "NAME",                       "send all traffic back to the stable version",                  NEEDS_SERVER, 1, 1 },
	{ "rollout", "retry",     sl_cmd_rollout_retry,     "NAME",                       "start an aborted update again",                                NEEDS_SERVER, 1, 1 },
	{ "rollout", "pause",     sl_cmd_rollout_pause,     "NAME",                       "hold the rollout where it is; promote goes on",                NEEDS_SERVER, 1, 1 },
	{ "rollout", "undo",      sl_cmd_rollout_undo,      "NAME [--to-revision N]",     "go back to the previous, or a given, revision",                NEEDS_SERVER, 1, 1 },
	{ "rollout", "history",   sl_cmd_rollout_history,   "NAME",                       "show the revisions kept",                                      NEEDS_SERVER, 1, 1 },
	{ "rollout", "set-image", sl_cmd_rollout_set_image, "NAME CONTAINER=IMAGE",       "ship another image",                                           NEEDS_SERVER, 2, 2 },
	{ NULL,      "explain",   sl_cmd_explain,           "ROLLOUT",                    "tell what was decided about a rollout, when, and on what evidence", NEEDS_SERVER, 1, 1 },
	{ NULL,      "top",       sl_cmd_top,               "[-A] [-w]",                  "show requests and failures of each rollout's versions, live",  NEEDS_SERVER, 0, 0 },
	{ NULL,      "lint",      sl_cmd_lint,              "-f FILE",                    "check manifests without a server",                             NEEDS_NOTHING, 0, 0 },
	{ NULL,      "version",   sl_cmd_version,           "",                           "print the version",                                            NEEDS_NOTHING, 0, 0 },
	/* clang-format on */
};

static const struct flag {
	char letter; /* 0: none */
	const char *name;
	bool takes_value;
	const char *help;
} flags[] = {
	/* clang-format off */
	{ 'f', "filename",       true,  "manifest file, repeatable; - is standard input" },
	{ 'n', "namespace",      true,  "namespace (default: the kubeconfig's)" },
	{ 'A', "all-namespaces", false, "every namespace" },
	{ 'l', "selector",       true,  "label selector" },
	{ 'o', "output",         true,  "table, wide, json, yaml or name" },
	{ 'w', "watch",          false, "follow changes" },
	{ 0,   "kubeconfig",     true,  "file (default: $KUBECONFIG, then ~/.kube/config)" },
	{ 0,   "full",           false, "promote: skip all steps" },
	{ 0,   "to-revision",    true,  "undo: the revision to go back to" },
	{ 0,   "dry-run",        false, "check and show, store nothing" },
	{ 'h', "help",           false, "this text" },
	/* clang-format on */
};

static const struct {
	const char *word;
	enum sl_output output;
} outputs[] = {
	{ "table", SL_OUTPUT_TABLE },
	{ "wide", SL_OUTPUT_WIDE },
	{ "json", SL_OUTPUT_JSON },
	{ "yaml", SL_OUTPUT_YAML },
	{ "name", SL_OUTPUT_NAME },
};

int sl_cli_fail(const char *fmt, ...)
{
	va_list ap;

	fputs("error: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return SL_EXIT_FAILED;
}

const char *sl_cli_namespace(const struct sl_cli *cli)
{
	if (cli->ns)
		return cli->ns;
	return cli->client.namespace ? cli->client.namespace : "default";
}

static int usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int usage(const char *fmt, ...)
{
	va_list ap;

	fputs("error: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("; `sluice --help` lists the commands\n", stderr);
	return SL_EXIT_USAGE;
}

static int help(void)
{
	puts("usage: sluice COMMAND [arguments]\n\ncommands:");
	for (size_t i = 0; i < SL_ARRAY_COUNT(commands); i++) {
		char line[80];

		snprintf(line, sizeof(line), "%s%s%s %s", commands[i].group ? commands[i].group : "",
		        commands[i].group ? " " : "", commands[i].name, commands[i].arguments);
		printf("  %-38s %s\n", line, commands[i].help);
	}
	puts("\nflags:");
	for (size_t i = 0; i < SL_ARRAY_COUNT(flags); i++)
		printf("  %c%c --%-16s%-6s %s\n", flags[i].letter ? '-' : ' ',
		        flags[i].letter ? flags[i].letter : ' ', flags[i].name,
		        flags[i].takes_value ? "VALUE" : "", flags[i].help);
	puts("\nexit status: 0 done, 1 failed, 2 bad usage, 3 the rollout was rolled back");
	return SL_EXIT_OK;
}

static const struct flag *flag_of(const char *argument)
{
	sl_str name = sl_str_c(argument + 2);

	for (size_t i = 0; i < SL_ARRAY_COUNT(flags); i++) {
		if (argument[1] == '-' &&
		        sl_str_eq_c(sl_str_first(name, sl_str_find(name, '=')), flags[i].name))
			return &flags[i];
		if (argument[1] != '-' && flags[i].letter && argument[1] == flags[i].letter)
			return &flags[i];
	}
	return NULL;
}

/* The value in "--name=value", "-nvalue" or the next argument; NULL when there is none. */
static const char *value_of(const struct flag *flag, char **argv, int *i)
{
	const char *argument = argv[*i], *equals = strchr(argument, '=');

	if (argument[1] == '-' && equals)
		return equals + 1;
	if (argument[1] != '-' && argument[2])
		return argument + 2 + (argument[2] == '=');
	(void)flag;
	return argv[*i + 1] ? argv[++*i] : NULL;
}

struct parsed {
	const char *kubeconfig;
	bool help;
};

static int take_output(struct sl_cli *cli, const char *value)
{
	for (size_t i = 0; i < SL_ARRAY_COUNT(outputs); i++) {
		if (strcmp(outputs[i].word, value) == 0) {
			cli->output = outputs[i].output;
			return SL_EXIT_OK;
		}
	}
	return usage("--output: \"%s\" is no format; use table, wide, json, yaml or name", value);
}

static int take_flag(struct sl_cli *cli, struct parsed *parsed, const struct flag *flag, const char *value)
{
	static const char *const with_text[] = { "namespace", "selector", "kubeconfig", "to-revision" };
	const char **texts[] = { &cli->ns, &cli->selector, &parsed->kubeconfig, &cli->to_revision };
	static const char *const switches[] = { "all-namespaces", "watch", "full", "dry-run", "help" };
	bool *bools[] = { &cli->all_namespaces, &cli->watch, &cli->full, &cli->dry_run, &parsed->help };

	if (strcmp(flag->name, "output") == 0)
		return take_output(cli, value);
	if (strcmp(flag->name, "filename") == 0) {
		if (cli->file_count == SL_CLI_FILES_MOST)
			return usage("--filename: at most %d files", SL_CLI_FILES_MOST);
		cli->files[cli->file_count++] = value;
	}
	for (size_t i = 0; i < SL_ARRAY_COUNT(with_text); i++)
		if (strcmp(flag->name, with_text[i]) == 0)
			*texts[i] = value;
	for (size_t i = 0; i < SL_ARRAY_COUNT(switches); i++)
		if (strcmp(flag->name, switches[i]) == 0)
			*bools[i] = true;
	return SL_EXIT_OK;
}

static int parse(struct sl_cli *cli, struct parsed *parsed, char **argv)
{
	for (int i = 1; argv[i]; i++) {
		const struct flag *flag;
		const char *value = "";
		int status;

		if (argv[i][0] != '-' || !argv[i][1]) {
			if (cli->word_count == SL_CLI_WORDS_MOST)
				return usage("at most %d words", SL_CLI_WORDS_MOST);
			cli->words[cli->word_count++] = argv[i];
			continue;
		}
		flag = flag_of(argv[i]);
		if (!flag)
			return usage("unknown flag %s", argv[i]);
		if (flag->takes_value && !(value = value_of(flag, argv, &i)))
			return usage("--%s needs a value", flag->name);
		status = take_flag(cli, parsed, flag, value);
		if (status != SL_EXIT_OK)
			return status;
	}
	return SL_EXIT_OK;
}

/* Finds the command and takes its own words out of cli->words. */
static const struct command *command_of(struct sl_cli *cli)
{
	for (size_t i = 0; i < SL_ARRAY_COUNT(commands); i++) {
		const struct command *c = &commands[i];
		size_t own = c->group ? 2 : 1;

		if (cli->word_count < own || strcmp(cli->words[own - 1], c->name) != 0 ||
		        (c->group && strcmp(cli->words[0], c->group) != 0))
			continue;
		cli->word_count -= own;
		memmove(cli->words, cli->words + own, cli->word_count * sizeof(cli->words[0]));
		return c;
	}
	return NULL;
}

static int run(struct sl_cli *cli, char **argv)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	struct parsed parsed = { 0 };
	const struct command *command;
	int status = parse(cli, &parsed, argv);

	if (status != SL_EXIT_OK)
		return status;
	if (parsed.help || !cli->word_count)
		return help();
	command = command_of(cli);
	if (!command)
		return usage("unknown command \"%s%s%s\"", cli->words[0], cli->word_count > 1 ? " " : "",
		        cli->word_count > 1 ? cli->words[1] : "");
	if (cli->word_count < command->words_least || cli->word_count > command->words_most)
		return usage("usage: sluice %s%s%s %s", command->group ? command->group : "",
		        command->group ? " " : "", command->name, command->arguments);
	if (command->needs == NEEDS_SERVER && sl_client_open(&cli->client, parsed.kubeconfig, &diag) != SL_OK)
		return sl_cli_fail("%s", sl_diag_text(&diag));
	return command->run(cli);
}

int sl_cli_main(int argc, char **argv)
{
	struct sl_cli cli = { 0 };
	int status;

	(void)argc;
	status = run(&cli, argv);
	sl_client_fini(&cli.client);
	return status;
}
