/* sluiced: the control plane. Wiring only: arguments, order of starting and stopping. */
#include "base/log.h"
#include "control/api.h"
#include "control/controllers.h"
#include "control/kubeconfig.h"
#include "loop/loop.h"
#include "loop/signals.h"
#include "os/file.h"
#include "runtime/shim.h"

#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

enum { EXIT_BAD_USAGE = 2 };

struct arguments {
	const char *data_dir;
	const char *listen;
	const char *store;
	const char *runtime;
	const char *proxy;
	const char *gateway;
	const char *admin;
	const char *proxy_workers;
};

/* clang-format off */
static const struct {
	const char *name, *value, *words, *help;
	size_t at;
} rows[] = {
	{ "data-dir", "DIR",       NULL,           "where everything is kept; required",         offsetof(struct arguments, data_dir) },
	{ "listen",   "ADDR:PORT", NULL,           "the API's address [127.0.0.1:6443]; port 0: any free one", offsetof(struct arguments, listen) },
	{ "store",    "STORE",     "sqlite",       "where state is kept: sqlite [sqlite]",       offsetof(struct arguments, store) },
	{ "runtime",  "RUNTIME",   "process|none", "what runs Pods: process, none [process]",    offsetof(struct arguments, runtime) },
	{ "proxy",    "on|off",    "on|off",       "run this node's proxy [on]",                 offsetof(struct arguments, proxy) },
	{ "gateway",  "ADDR:PORT", NULL,           "the gateway's address [127.0.0.1:0]; port 0: a free one, kept", offsetof(struct arguments, gateway) },
	{ "admin",    "ADDR:PORT", NULL,           "the proxy's admin address [127.0.0.1:0]; the same", offsetof(struct arguments, admin) },
	{ "proxy-workers", "N",    NULL,           "the proxy's threads [0: one for each processor]", offsetof(struct arguments, proxy_workers) },
};
/* clang-format on */

enum { OPTION_HELP = 1000, OPTION_VERSION };

static void print_help(FILE *to)
{
	fprintf(to, "usage: sluiced --data-dir DIR [OPTION...]\n\nThe control plane of sluice.\n\n");
	for (size_t i = 0; i < SL_ARRAY_COUNT(rows); i++)
		fprintf(to, "  --%s %-*s %s\n", rows[i].name, (int)(20 - strlen(rows[i].name)), rows[i].value,
		        rows[i].help);
	fprintf(to,
	        "  --version\n  --help\n\n"
	        "SIGTERM and SIGINT end everything it runs, in order. SIGHUP, like kill -9, ends sluiced alone: its proxy and the workloads\n"
	        "serve on, and the next sluiced on the same DIR takes them over.\n");
}

static bool is_word(const char *words, const char *word)
{
	sl_str rest = sl_str_c(words), one;
	for (bool more = true; more;) {
		more = sl_str_split(&rest, '|', &one);
		if (sl_str_eq_c(one, word))
			return true;
	}
	return false;
}

static _Noreturn void bad_usage(const char *fmt, const char *a, const char *b)
{
	fprintf(stderr, "error: ");
	fprintf(stderr, fmt, a, b);
	fprintf(stderr, "; see sluiced --help\n");
	exit(EXIT_BAD_USAGE);
}

static void take(struct arguments *a, size_t row, const char *value)
{
	if (rows[row].words && !is_word(rows[row].words, value))
		bad_usage("--%s: not one of %s", rows[row].name, rows[row].words);
	*(const char **)(void *)((char *)a + rows[row].at) = value;
}

static void parse_arguments(int argc, char **argv, struct arguments *a)
{
	struct option options[SL_ARRAY_COUNT(rows) + 3] = { 0 };
	for (size_t i = 0; i < SL_ARRAY_COUNT(rows); i++)
		options[i] = (struct option) { rows[i].name, required_argument, NULL, (int)i };
	options[SL_ARRAY_COUNT(rows)] = (struct option) { "help", no_argument, NULL, OPTION_HELP };
	options[SL_ARRAY_COUNT(rows) + 1] = (struct option) { "version", no_argument, NULL, OPTION_VERSION };
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPTION_HELP) {
			print_help(stdout);
			exit(EXIT_SUCCESS);
		}
		if (option == OPTION_VERSION) {
			printf("sluiced %s\n", SL_VERSION);
			exit(EXIT_SUCCESS);
		}
		if (option < 0 || option >= (int)SL_ARRAY_COUNT(rows))
			exit(EXIT_BAD_USAGE); /* getopt has said why */
		take(a, (size_t)option, optarg);
	}
	if (optind < argc)
		bad_usage("%s is no option%s", argv[optind], "");
	if (!a->data_dir)
		bad_usage("--%s is required%s", "data-dir", "");
}

/* --- running --- */

struct program {
	struct arguments arguments;
	struct sl_loop loop;
	struct sl_signals signals;
	struct sl_store *store;
	struct sl_objects *objects;
	struct sl_ca *ca;
	struct sl_controllers *controllers;
	struct sl_api *api;
	bool stopping;
};

static const int stop_signals[] = { SIGTERM, SIGINT, SIGHUP, 0 };

static void all_ended(void *arg)
{
	struct program *p = arg;

	sl_loop_stop(&p->loop);
}

static void on_signal(struct sl_signals *s, int signo)
{
	struct program *p = SL_CONTAINER_OF(s, struct program, signals);

	if (p->stopping || signo == SIGHUP || !p->controllers) {
		sl_log(SL_LOG_INFO, "sluiced", "stopping; what runs goes on");
		sl_loop_stop(&p->loop);
		return;
	}
	sl_log(SL_LOG_INFO, "sluiced", "stopping, and ending what runs; once more to leave it running");
	p->stopping = true;
	sl_controllers_shutdown(p->controllers, all_ended, p);
}

static sl_err open_state(struct program *p, struct sl_diag *diag)
{
	const char *dir = p->arguments.data_dir;
	SL_CLEANUP(sl_free) char *path = sl_asprintf("%s/state.db", dir);
	sl_err err = sl_dir_make(dir, 0700);
	if (err != SL_OK)
		return sl_diag_fail(diag, err, NULL, NULL, "%s: %s", dir, sl_err_text(err));
	SL_TRY(sl_store_open_sqlite(&p->store, &p->loop, path, NULL, diag));
	SL_TRY(sl_ca_open(&p->ca, dir, diag));
	const struct sl_objects_options options = { .loop = &p->loop, .store = p->store, .data_dir = dir };
	return sl_objects_new(&p->objects, &options, diag);
}

static sl_err address(const char *option, const char *text, struct sl_addr *ret_a, struct sl_diag *diag)
{
	sl_err err = sl_addr_parse(ret_a, sl_str_c(text));

	return err == SL_OK ? SL_OK
	                    : sl_diag_fail(diag, err, NULL, NULL,
	                              "--%s %s: give ADDR:PORT, as 127.0.0.1:6443", option, text);
}

/* Once, when the API answers and the first mesh is in force. */
static void on_ready(void *arg)
{
	struct program *p = arg;
	const char *gateway = sl_controllers_gateway_url(p->controllers),
	           *admin = sl_controllers_admin_url(p->controllers);

	printf("ready api=%s%s%s%s%s\n", sl_api_url(p->api), *gateway ? " gateway=" : "", gateway,
	        *admin ? " admin=" : "", admin);
	fflush(stdout);
}

static sl_err start_controllers(struct program *p, struct sl_diag *diag)
{
	struct sl_controllers_options options = {
		.loop = &p->loop,
		.objects = p->objects,
		.data_dir = p->arguments.data_dir,
		.run_processes = strcmp(p->arguments.runtime, "process") == 0,
		.run_proxy = strcmp(p->arguments.proxy, "on") == 0,
		.on_ready = on_ready,
		.arg = p,
	};
	uint64_t workers;

	SL_TRY(address("gateway", p->arguments.gateway, &options.gateway, diag));
	SL_TRY(address("admin", p->arguments.admin, &options.admin, diag));
	if (sl_str_to_u64(sl_str_c(p->arguments.proxy_workers), &workers) != SL_OK || workers > 256)
		return sl_diag_fail(diag, SL_ERR_INVALID, NULL, NULL,
		        "--proxy-workers %s: give a number up to 256", p->arguments.proxy_workers);
	options.proxy_workers = (unsigned)workers;
	return sl_controllers_start(&p->controllers, &options, diag);
}

static sl_err start_api(struct program *p, struct sl_diag *diag)
{
	struct sl_api_options options = {
		.loop = &p->loop,
		.objects = p->objects,
		.ca = p->ca,
		.logs = sl_controllers_logs,
		.logs_arg = p->controllers,
		.metrics = sl_controllers_metrics,
		.metrics_arg = p->controllers,
		.not_ready = sl_controllers_not_ready,
		.not_ready_arg = p->controllers,
	};
	SL_CLEANUP(sl_free) char *path = sl_asprintf("%s/kubeconfig", p->arguments.data_dir);

	SL_TRY(address("listen", p->arguments.listen, &options.listen, diag));
	SL_TRY(sl_api_start(&p->api, &options, diag));
	return sl_kubeconfig_write(p->ca, path, sl_api_url(p->api), diag);
}

static sl_err start(struct program *p, struct sl_diag *diag)
{
	SL_TRY(sl_loop_init(&p->loop, NULL));
	SL_TRY(sl_signals_start(&p->loop, &p->signals, stop_signals, on_signal));
	SL_TRY(open_state(p, diag));
	SL_TRY(start_controllers(p, diag));
	return start_api(p, diag);
}

static void stop(struct program *p)
{
	sl_api_stop(p->api);
	sl_controllers_stop(p->controllers);
	sl_objects_free(p->objects);
	sl_store_close(p->store);
	sl_ca_free(p->ca);
	sl_signals_stop(&p->loop, &p->signals);
	sl_loop_fini(&p->loop);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "shim") == 0)
		return sl_shim_main(argc - 1, argv + 1);

	static struct program p = {
		.arguments = { .listen = "127.0.0.1:6443",
		        .store = "sqlite",
		        .runtime = "process",
		        .proxy = "on",
		        .gateway = "127.0.0.1:0",
		        .admin = "127.0.0.1:0",
		        .proxy_workers = "0" },
		.signals = { .io = { .fd = -1 } },
	};
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	/* Large buffers go back to the system when done with: else glibc raises its threshold with each of them, and what a thousand proxies
	   took at their first connect would stay (221 MB instead of 42, by bench_xds_push). */
	mallopt(M_MMAP_THRESHOLD, 64 * 1024);
	mallopt(M_TRIM_THRESHOLD, 64 * 1024);
	parse_arguments(argc, argv, &p.arguments);
	sl_signals_block(stop_signals);
	sl_err err = start(&p, &diag);
	if (err == SL_OK) {
		sl_loop_run(&p.loop);
	} else {
		fprintf(stderr, "error: %s\n", diag.count ? sl_diag_text(&diag) : sl_err_text(err));
	}
	stop(&p);
	return err == SL_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
