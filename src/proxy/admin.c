#include "proxy/proxy_priv.h"

#include "model/mesh_json.h"

#include <stdio.h>

/* ---- pages ---- */

static void text_reply(struct sl_http_req *req, int status, const struct sl_buf *b)
{
	sl_http_reply(req, status, "text/plain; charset=utf-8", sl_buf_str(b));
}

static void prometheus(struct sl_proxy *p, sl_str filter, struct sl_buf *out)
{
	const struct sl_stats **stats = sl_new0_array(p->worker_count, sizeof(*stats));
	struct sl_stats_text text = {
		.workers = stats,
		.worker_count = p->worker_count,
		.both_reporters = p->options->both_reporters,
		.filter = filter,
	};

	for (uint32_t i = 0; i < p->worker_count; i++) {
		stats[i] = p->workers[i]->stats;
	}
	sl_stats_prometheus(&text, out);
	sl_free(stats);
}

static void page_prometheus(struct sl_proxy *p, struct sl_http_req *req)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };
	sl_str filter = SL_STR_NONE;

	SL_IGNORE(sl_http_req_param(req, "filter", &filter)); /* absent: all */
	prometheus(p, filter, &b);
	sl_http_reply(req, 200, "text/plain; version=0.0.4; charset=utf-8", sl_buf_str(&b));
}

/* "name{labels}: value", comments left out. */
static void page_stats(struct sl_proxy *p, struct sl_http_req *req)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 }, out = { 0 };
	sl_str filter = SL_STR_NONE, rest, line;

	SL_IGNORE(sl_http_req_param(req, "filter", &filter));
	prometheus(p, filter, &b);
	rest = sl_buf_str(&b);
	while (sl_str_split(&rest, '\n', &line)) {
		size_t space = line.len;

		if (!line.len || line.p[0] == '#')
			continue;
		while (space && line.p[space - 1] != ' ')
			space--;
		sl_buf_str_add(&out, sl_str_first(line, space ? space - 1 : 0));
		sl_buf_c(&out, ": ");
		sl_buf_str_add(&out, sl_str_skip(line, space));
		sl_buf_byte(&out, '\n');
	}
	text_reply(req, 200, &out);
}

static void page_config_dump(struct sl_proxy *p, struct sl_http_req *req)
{
	json_t *root, *trips;
	char *text;

	if (!p->tables) {
		sl_http_reply(req, 503, "text/plain", SL_STR("no mesh yet\n"));
		return;
	}
	trips = json_array();
	for (uint32_t i = 0; i < p->tables->trip_count; i++) {
		const struct sl_trip *t = p->tables->trips[i];
		uint32_t reason = __atomic_load_n(&t->tripped, __ATOMIC_ACQUIRE);

		json_array_append_new(
		        trips, json_pack("{s:s%, s:s%, s:s%, s:I, s:b, s:s}", "cluster", t->cluster.p,
		                       t->cluster.len, "fallback", t->fallback.p, t->fallback.len, "rollout",
		                       t->rollout.p, t->rollout.len, "generation", (json_int_t)t->generation,
		                       "tripped", reason != 0, "reason",
		                       reason ? sl_guard_reason_text((enum sl_guard_reason)reason) : ""));
	}
	root = json_pack("{s:I, s:b, s:o, s:o}", "epoch", (json_int_t)p->tables->mesh->epoch, "inForce",
	        !p->busy, "guards", trips, "mesh", sl_mesh_to_json(p->tables->mesh));
	text = json_dumps(root, JSON_INDENT(1));
	sl_http_reply(req, 200, "application/json", sl_str_c(text ? text : "{}"));
	free(text);
	json_decref(root);
}

static const char *health_text(enum sl_health health)
{
	switch (health) {
	case SL_HEALTH_HEALTHY:
		return "healthy";
	case SL_HEALTH_UNHEALTHY:
		return "unhealthy";
	case SL_HEALTH_DRAINING:
		return "draining";
	}
	return "";
}

static void page_clusters(struct sl_proxy *p, struct sl_http_req *req)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };
	const struct sl_mesh *m = p->tables ? p->tables->mesh : NULL;

	for (size_t i = 0; m && i < m->cluster_count; i++) {
		const struct sl_mesh_cluster *c = &m->clusters[i];

		for (size_t j = 0; j < c->endpoint_count; j++)
			sl_buf_printf(&b, "%.*s::%.*s:%u::health_flags::%s\n%.*s::%.*s:%u::weight::%u\n",
			        SL_STR_ARG(c->name), SL_STR_ARG(c->endpoints[j].address),
			        c->endpoints[j].port, health_text(c->endpoints[j].health),
			        SL_STR_ARG(c->name), SL_STR_ARG(c->endpoints[j].address),
			        c->endpoints[j].port, c->endpoints[j].weight);
		if (!c->endpoint_count)
			sl_buf_printf(&b, "%.*s::no endpoints\n", SL_STR_ARG(c->name));
	}
	text_reply(req, 200, &b);
}

static void page_listeners(struct sl_proxy *p, struct sl_http_req *req)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };

	SL_LIST_FOR (node, &p->bound) {
		const struct sl_bound *l = SL_LIST_ENTRY(node, struct sl_bound, node);
		char text[SL_ADDR_TEXT_BYTES];

		sl_buf_printf(&b, "%s::%s\n", l->name, sl_addr_format(text, &l->bound));
	}
	text_reply(req, 200, &b);
}

static void page_ready(struct sl_proxy *p, struct sl_http_req *req)
{
	if (p->ready && !p->draining)
		sl_http_reply(req, 200, "text/plain", SL_STR("LIVE\n"));
	else
		sl_http_reply(req, 503, "text/plain",
		        p->draining ? SL_STR("DRAINING\n") : SL_STR("PRE_INITIALIZING\n"));
}

static void page_healthz(struct sl_proxy *p, struct sl_http_req *req)
{
	(void)p;
	sl_http_reply(req, 200, "text/plain", SL_STR("ok\n"));
}

static void page_drain(struct sl_proxy *p, struct sl_http_req *req)
{
	sl_proxy_drain(p);
	sl_http_reply(req, 200, "text/plain", SL_STR("draining\n"));
}

static void page_quit(struct sl_proxy *p, struct sl_http_req *req)
{
	sl_http_reply(req, 200, "text/plain", SL_STR("stopping\n"));
	sl_proxy_stop(p);
}

static void page_help(struct sl_proxy *p, struct sl_http_req *req);

static const struct page {
	const char *path, *method, *help;
	void (*fn)(struct sl_proxy *p, struct sl_http_req *req);
} pages[] = {
	{ "/", "GET", "this list", page_help },
	{ "/stats", "GET", "all counts as name: value; ?filter=TEXT for families whose name contains it",
	        page_stats },
	{ "/stats/prometheus", "GET", "the same for Prometheus", page_prometheus },
	{ "/metrics", "GET", "the same for Prometheus", page_prometheus },
	{ "/config_dump", "GET", "the mesh in force, with its epoch and guards", page_config_dump },
	{ "/clusters", "GET", "clusters and their endpoints", page_clusters },
	{ "/listeners", "GET", "listeners and the addresses they are bound to", page_listeners },
	{ "/ready", "GET", "200 when a mesh is in force and the proxy takes connections", page_ready },
	{ "/healthz/ready", "GET", "the same", page_ready },
	{ "/healthz", "GET", "200 while the process lives", page_healthz },
	{ "/drain", "POST", "stop accepting and let requests finish", page_drain },
	{ "/quitquitquit", "POST", "drain and end", page_quit },
};

static void page_help(struct sl_proxy *p, struct sl_http_req *req)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };

	(void)p;
	for (size_t i = 0; i < SL_ARRAY_COUNT(pages); i++)
		sl_buf_printf(&b, "%-5s %-20s %s\n", pages[i].method, pages[i].path, pages[i].help);
	text_reply(req, 200, &b);
}

static void on_request(struct sl_http_req *req)
{
	struct sl_proxy *p = req->server_user;

	for (size_t i = 0; i < SL_ARRAY_COUNT(pages); i++) {
		if (!sl_str_eq_c(req->path, pages[i].path))
			continue;
		if (sl_str_eq_c(req->method, pages[i].method) ||
		        (sl_str_eq_c(req->method, "HEAD") && pages[i].method[0] == 'G')) {
			pages[i].fn(p, req);
		} else {
			sl_http_set_header(req, "allow", sl_str_c(pages[i].method));
			sl_http_reply(req, 405, "text/plain", SL_STR("this page takes another method\n"));
		}
		return;
	}
	sl_http_reply(req, 404, "text/plain", SL_STR("no such page; GET / lists them\n"));
}

/* ---- life ---- */

static sl_err listen_on(struct sl_proxy *p, const char *flag, const char *text, struct sl_diag *diag)
{
	struct sl_addr addr, bound;
	char room[SL_ADDR_TEXT_BYTES];

	if (!text[0])
		return SL_OK;
	if (sl_addr_parse(&addr, sl_str_c(text)) != SL_OK)
		return sl_diag_fail(diag, SL_ERR_INVALID, flag, NULL,
		        "\"%s\" is no address: it takes IP:PORT or unix:PATH", text);
	SL_TRY(sl_http_server_listen(p->admin, &addr, NULL, &bound, diag));
	if (!p->admin_url)
		p->admin_url = sl_asprintf("http://%s", sl_addr_format(room, &bound));
	return SL_OK;
}

sl_err sl_proxy_admin_start(struct sl_proxy *p, struct sl_diag *diag)
{
	struct sl_http_server_config config = { .on_request = on_request, .user = p };

	SL_TRY(sl_http_server_new(&p->admin, &p->loop, &config));
	SL_TRY(listen_on(p, "--admin", p->options->admin, diag));
	return listen_on(p, "--metrics", p->options->metrics, diag);
}

void sl_proxy_admin_stop(struct sl_proxy *p)
{
	sl_http_server_free(SL_STEAL(p->admin));
}
