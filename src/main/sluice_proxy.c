/* sluice-proxy: the data plane. Wiring only; src/proxy does the work. */
#include "base/buf.h"
#include "loop/signals.h"
#include "loop/snapshot.h"
#include "proxy/proxy.h"

#include <signal.h>
#include <stdio.h>

static int serve(const struct sl_proxy_options *options)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	SL_CLEANUP(sl_proxy_free) struct sl_proxy *proxy = NULL;
	sl_err err = sl_proxy_new(&proxy, options, &diag);

	if (err != SL_OK) {
		fprintf(stderr, "error: %s\n", diag.count ? sl_diag_text(&diag) : sl_err_text(err));
		return 1;
	}
	sl_proxy_run(proxy);
	return 0;
}

int main(int argc, char **argv)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, 0 };
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	SL_CLEANUP(sl_buf_fini) struct sl_buf help = { 0 };
	struct sl_proxy_options options;
	int code;

	if (sl_proxy_options_init(&options, &diag) != SL_OK ||
	        sl_proxy_options_parse(&options, argc, argv, &diag) != SL_OK) {
		fprintf(stderr, "error: %s\n", sl_diag_text(&diag));
		return 2;
	}
	if (options.help) {
		sl_proxy_options_help(&help);
		fputs(sl_buf_cstr(&help), stdout);
		return 0;
	}
	if (options.version) {
		puts("sluice-proxy " SL_VERSION);
		return 0;
	}
	sl_signals_block(signals);
	code = serve(&options);
	sl_snapshot_reclaim_stop();
	return code;
}
