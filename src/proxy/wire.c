#include "proxy/proxy_priv.h"

#include "base/log.h"

#include <stdio.h>

static const int signals[] = { SIGTERM, SIGINT, SIGHUP, 0 };

/* Once, when a mesh is in force: what a supervisor waits for. */
static void tell_ready(struct sl_proxy *p)
{
	if (p->told || !p->ready)
		return;
	p->told = true;
	printf("ready admin=%s listeners=%u epoch=%llu\n", p->admin_url ? p->admin_url : "-",
	        sl_proxy_listener_count(p), (unsigned long long)p->tables->mesh->epoch);
	fflush(stdout);
}

/* ---- the control plane ---- */

static void applied_xds(void *arg, sl_err err, const char *text)
{
	struct sl_proxy *p = arg;

	if (err != SL_OK)
		sl_log(SL_LOG_WARN, "proxy", "epoch %llu refused: %s", (unsigned long long)p->under_way,
		        text);
	tell_ready(p);
	sl_xds_client_applied(p->xds, p->under_way, err, text);
}

static sl_err on_mesh(void *user, struct sl_mesh *mesh, uint64_t epoch, struct sl_diag *diag)
{
	struct sl_proxy *p = user;

	if (p->busy)
		return sl_diag_fail(diag, SL_ERR_CONFLICT, "mesh", NULL, "another one is on its way");
	p->under_way = epoch;
	sl_proxy_apply(p, mesh, applied_xds, p);
	return SL_OK;
}

static bool on_load(
        void *user, struct sl_arena *arena, const struct sl_load_wish *wish, struct sl_load_report *report)
{
	return sl_proxy_load(user, arena, wish, report);
}

static void on_state(void *user, bool connected, const char *why)
{
	const struct sl_proxy *p = user;

	sl_log(connected ? SL_LOG_INFO : SL_LOG_WARN, "proxy", "control plane %s: %s%s%s", p->options->xds,
	        connected ? "connected" : "lost", why && why[0] ? ", " : "", why ? why : "");
}

static sl_err start_xds(struct sl_proxy *p, struct sl_diag *diag)
{
	static const struct sl_xds_client_ops ops = {
		.on_mesh = on_mesh, .on_load = on_load, .on_state = on_state
	};
	struct sl_xds_client_config config = {
		.node = p->options->node,
		.state_dir = p->options->state[0] ? p->options->state : NULL,
		.ops = &ops,
		.user = p,
	};

	if (sl_addr_parse(&config.server, sl_str_c(p->options->xds)) != SL_OK)
		return sl_diag_fail(diag, SL_ERR_INVALID, "--xds", NULL,
		        "\"%s\" is no address: it takes IP:PORT or unix:PATH", p->options->xds);
	return sl_xds_client_new(&p->xds, &p->loop, &config, diag);
}

/* ---- a file ---- */

static void applied_static(void *arg, sl_err err, const char *text)
{
	struct sl_proxy *p = arg;
	SL_CLEANUP(sl_mesh_unref) struct sl_mesh *next = SL_STEAL(p->next_static);

	if (err != SL_OK)
		sl_log(SL_LOG_ERROR, "proxy", "%s: %s", p->options->static_file, text);
	tell_ready(p);
	if (next)
		sl_proxy_apply(p, next, applied_static, p);
}

static sl_err load_static(struct sl_proxy *p, struct sl_diag *diag)
{
	struct sl_mesh *mesh = NULL;

	SL_TRY(sl_xds_mesh_load(p->options->static_file, &mesh, diag));
	if (p->busy) {
		sl_mesh_unref(p->next_static);
		p->next_static = mesh;
		return SL_OK;
	}
	sl_proxy_apply(p, mesh, applied_static, p);
	sl_mesh_unref(mesh);
	return SL_OK;
}

static void on_signal(struct sl_signals *s, int signo)
{
	struct sl_proxy *p = SL_CONTAINER_OF(s, struct sl_proxy, signals);
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };

	if (signo != SIGHUP) {
		sl_log(SL_LOG_INFO, "proxy", "draining");
		sl_proxy_stop(p);
	} else if (p->options->static_file[0] && load_static(p, &diag) != SL_OK) {
		sl_log(SL_LOG_ERROR, "proxy", "%s stays in force as it was: %s", p->options->static_file,
		        sl_diag_text(&diag));
	}
}

sl_err sl_proxy_wire(struct sl_proxy *p, struct sl_diag *diag)
{
	SL_TRY(sl_signals_start(&p->loop, &p->signals, signals, on_signal));
	if (p->options->static_file[0])
		return load_static(p, diag);
	if (p->options->xds[0])
		return start_xds(p, diag);
	return SL_OK; /* tests bring their own meshes */
}

void sl_proxy_unwire(struct sl_proxy *p)
{
	sl_signals_stop(&p->loop, &p->signals);
	sl_xds_client_free(SL_STEAL(p->xds));
	sl_mesh_unref(SL_STEAL(p->next_static));
}
