/*
 * The four services. productpage asks details and reviews; reviews (from v2 on) asks ratings; each finds the others as Kubernetes
 * workloads do, by NAME_SERVICE_HOST and NAME_SERVICE_PORT.
 *
 *   GET /health       200 once it serves
 *   GET /             the service's answer, JSON; the product page is HTML at /productpage
 *
 * A fault is a bug of one version: --fault=v3:5 fails 5 % of the requests when --version=v3.
 */
#include "examples/bookinfo/bookinfo.h"

#include "base/buf.h"
#include "loop/loop.h"
#include "loop/signals.h"
#include "net/fetch.h"
#include "net/http_server.h"
#include "os/random.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

struct service {
	struct sl_loop loop;
	struct sl_signals signals;
	struct sl_http_server *server;
	struct sl_fetcher *fetcher;
	const struct role *role;
	sl_str version;
	double fault_share; /* 0..1 */
};

/* An answer in the making: the request, and what its upstreams have said. */
struct page {
	struct service *service;
	struct sl_http_req *req; /* NULL once the client has gone */
	struct sl_fetch *fetches[2];
	json_t *answers[2]; /* NULL where there was no good one */
	bool fault;         /* an upstream's answer came from a bug of its version */
	size_t waiting;
};

struct role {
	const char *name;
	const char *path; /* of the answer proper */
	void (*answer)(struct service *s, struct sl_http_req *req);
};

static void reply_json(struct sl_http_req *req, int status, json_t *body)
{
	char *text = json_dumps(body, JSON_COMPACT);

	sl_http_reply(req, status, "application/json", sl_str_c(text));
	free(text); /* jansson's allocator */
	json_decref(body);
}

static void answer_details(struct service *s, struct sl_http_req *req)
{
	(void)s;
	reply_json(req, 200,
	        json_pack("{s:i, s:s, s:i, s:s, s:i, s:s, s:s}", "id", 0, "author", "William Shakespeare",
	                "year", 1595, "type", "paperback", "pages", 200, "publisher", "PublisherA",
	                "language", "English"));
}

static void answer_ratings(struct service *s, struct sl_http_req *req)
{
	(void)s;
	reply_json(req, 200,
	        json_pack("{s:i, s:{s:i, s:i}}", "id", 0, "ratings", "Reviewer1", 5, "Reviewer2", 4));
}

/* ---- asking others ---- */

static void page_free(struct page *p)
{
	json_decref(p->answers[0]);
	json_decref(p->answers[1]);
	sl_free(p);
}

static void page_gone(struct sl_http_req *req)
{
	struct page *p = req->user;

	for (size_t i = 0; i < SL_ARRAY_COUNT(p->fetches); i++)
		if (p->fetches[i])
			sl_fetch_cancel(p->fetches[i]);
	page_free(p);
}

static struct page *page_new(struct service *s, struct sl_http_req *req)
{
	struct page *p = sl_new0(sizeof(*p));

	p->service = s;
	p->req = req;
	req->user = p;
	req->on_gone = page_gone;
	return p;
}

static void render_reviews(struct page *p);
static void render_product(struct page *p);

static void page_answered(struct sl_fetch *f, const struct sl_fetch_response *r)
{
	struct page *p = sl_fetch_user(f);
	size_t i = p->fetches[0] == f ? 0 : 1;
	json_t *body = json_loadb(r->body.p ? r->body.p : "", r->body.len, 0, NULL);

	p->fetches[i] = NULL;
	p->fault |= json_is_true(json_object_get(body, "fault"));
	if (r->err == SL_OK && r->status == 200)
		p->answers[i] = json_incref(body);
	else if (i == 1 && body)
		p->answers[i] =
		        json_incref(body); /* its version is shown even so; "reviews" is missing in it */
	json_decref(body);
	if (--p->waiting)
		return;
	if (sl_str_eq_c(sl_str_c(p->service->role->name), "reviews"))
		render_reviews(p);
	else
		render_product(p);
	page_free(p);
}

/* Asks service `name` for `path` on behalf of the request; its answer goes into p->answers[slot]. */
static void ask(struct page *p, size_t slot, const char *name, const char *path)
{
	static const char *const forwarded[] = { "end-user", "x-request-id", "traceparent", "b3" };
	struct sl_http_pair headers[SL_ARRAY_COUNT(forwarded)];
	struct sl_fetch_request r = {
		.headers = headers, .timeout = SL_SEC(3), .on_done = page_answered, .user = p
	};
	sl_str host, port;
	char variable[64];

	for (size_t i = 0; i < SL_ARRAY_COUNT(forwarded); i++) {
		sl_str value = sl_http_req_header(p->req, forwarded[i]);

		if (value.len)
			headers[r.header_count++] = (struct sl_http_pair) { sl_str_c(forwarded[i]), value };
	}
	snprintf(variable, sizeof(variable), "%s_SERVICE_HOST", name);
	host = sl_str_c(getenv(variable));
	snprintf(variable, sizeof(variable), "%s_SERVICE_PORT", name);
	port = sl_str_c(getenv(variable));
	r.url = sl_arena_printf(p->req->arena, "http://%.*s:%.*s%s", SL_STR_ARG(host), SL_STR_ARG(port), path)
	                .p;
	if (sl_fetch_start(p->service->fetcher, &r, &p->fetches[slot]) == SL_OK)
		p->waiting++;
}

/* ---- reviews ---- */

static json_t *review(const char *who, const char *text, json_t *ratings)
{
	json_t *one = json_pack("{s:s, s:s}", "reviewer", who, "text", text);

	if (ratings)
		json_object_set_new(
		        one, "rating", json_pack("{s:O}", "stars", json_object_get(ratings, who)));
	return one;
}

static void render_reviews(struct page *p)
{
	json_t *ratings = json_object_get(p->answers[0], "ratings");
	json_t *all = json_array();

	json_array_append_new(
	        all, review("Reviewer1", "An extremely entertaining play by Shakespeare.", ratings));
	json_array_append_new(all, review("Reviewer2", "Absolutely fun and entertaining.", ratings));
	reply_json(p->req, 200,
	        json_pack("{s:s%, s:o}", "version", p->service->version.p, p->service->version.len, "reviews",
	                all));
}

static void answer_reviews(struct service *s, struct sl_http_req *req)
{
	struct page *p;

	if (s->fault_share > 0 && sl_prng_unit(sl_prng_thread()) < s->fault_share) {
		reply_json(req, 500,
		        json_pack("{s:s%, s:b}", "version", s->version.p, s->version.len, "fault", 1));
		return;
	}
	p = page_new(s, req);
	if (!sl_str_eq_c(s->version, "v1"))
		ask(p, 0, "RATINGS", "/ratings/0");
	if (p->waiting)
		return;
	render_reviews(p);
	page_free(p);
}

/* ---- productpage ---- */

static void render_review(struct sl_buf *html, const json_t *one)
{
	int stars = (int)json_integer_value(json_object_get(json_object_get(one, "rating"), "stars"));

	sl_buf_printf(html, "<blockquote><p>%s</p><small>%s</small> ",
	        json_string_value(json_object_get(one, "text")),
	        json_string_value(json_object_get(one, "reviewer")));
	for (int i = 0; i < stars; i++)
		sl_buf_c(html, "&#9733;");
	sl_buf_c(html, "</blockquote>\n");
}

static void render_product(struct page *p)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf html = { 0 };
	const json_t *reviews = json_object_get(p->answers[1], "reviews"), *one;
	const char *version = json_string_value(json_object_get(p->answers[1], "version"));
	bool whole = p->answers[0] && reviews;
	size_t i;

	sl_buf_c(
	        &html, "<!DOCTYPE html><title>Simple Bookstore App</title>\n<h1>The Comedy of Errors</h1>\n");
	if (p->answers[0])
		sl_buf_printf(
		        &html, "<p>by %s</p>\n", json_string_value(json_object_get(p->answers[0], "author")));
	else
		sl_buf_c(&html, "<p>Sorry, product details are currently unavailable for this book.</p>\n");
	json_array_foreach (reviews, i, one)
		render_review(&html, one);
	if (!reviews)
		sl_buf_c(&html, "<p>Sorry, product reviews are currently unavailable for this book.</p>\n");
	if (version)
		sl_http_set_header(p->req, "x-reviews-version", sl_str_c(version));
	if (p->fault)
		sl_http_set_header(p->req, "x-fault", SL_STR("reviews"));
	sl_http_reply(p->req, whole ? 200 : 500, "text/html; charset=utf-8", sl_buf_str(&html));
}

static void answer_productpage(struct service *s, struct sl_http_req *req)
{
	struct page *p = page_new(s, req);

	ask(p, 0, "DETAILS", "/details/0");
	ask(p, 1, "REVIEWS", "/reviews/0");
	if (p->waiting)
		return;
	render_product(p);
	page_free(p);
}

/* ---- the program ---- */

static const struct role roles[] = {
	{ "details", "/details", answer_details },
	{ "ratings", "/ratings", answer_ratings },
	{ "reviews", "/reviews", answer_reviews },
	{ "productpage", "/productpage", answer_productpage },
};

static void on_request(struct sl_http_req *req)
{
	struct service *s = req->server_user;

	if (sl_str_eq_c(req->path, "/health"))
		sl_http_reply(req, 200, "application/json", SL_STR("{\"status\":\"healthy\"}"));
	else if (sl_str_starts(req->path, sl_str_c(s->role->path)))
		s->role->answer(s, req);
	else
		sl_http_reply_error(req, SL_ERR_NOT_FOUND, NULL);
}

static void drained(void *arg)
{
	struct service *s = arg;

	sl_loop_stop(&s->loop);
}

static void on_signal(struct sl_signals *signals, int number)
{
	struct service *s = SL_CONTAINER_OF(signals, struct service, signals);

	(void)number;
	sl_http_server_drain(s->server, drained, s);
}

/* --version=v3 --fault=v3:5 */
static bool parse(struct service *s, int argc, char **argv)
{
	sl_str fault = SL_STR_NONE, faulty;
	double percent = 0;

	s->version = SL_STR("v1");
	for (int i = 0; i < argc; i++) {
		sl_str rest = sl_str_c(argv[i]), name;

		if (!sl_str_split(&rest, '=', &name) || !rest.len)
			return false;
		if (sl_str_eq_c(name, "--version"))
			s->version = rest;
		else if (sl_str_eq_c(name, "--fault"))
			fault = rest;
		else
			return false;
	}
	if (!fault.len)
		return true;
	if (!sl_str_split(&fault, ':', &faulty) || sl_str_to_double(fault, &percent) != SL_OK ||
	        percent < 0 || percent > 100)
		return false;
	s->fault_share = sl_str_eq(faulty, s->version) ? percent / 100 : 0;
	return true;
}

static sl_err serve(struct service *s, struct sl_diag *diag)
{
	static const int signos[] = { SIGTERM, SIGINT, 0 };
	struct sl_http_server_config config = { .on_request = on_request, .user = s };
	struct sl_addr addr;
	const char *port = getenv("PORT");
	char text[64];

	snprintf(text, sizeof(text), "127.0.0.1:%s", port ? port : "9080");
	SL_TRY(sl_addr_parse(&addr, sl_str_c(text)));
	sl_signals_block(signos);
	SL_TRY(sl_loop_init(&s->loop, NULL));
	SL_TRY(sl_signals_start(&s->loop, &s->signals, signos, on_signal));
	s->fetcher = sl_fetcher_new(&s->loop);
	SL_TRY(sl_http_server_new(&s->server, &s->loop, &config));
	SL_TRY(sl_http_server_listen(s->server, &addr, NULL, NULL, diag));
	printf("bookinfo %s %s listens on %s\n", s->role->name, s->version.p, text);
	fflush(stdout);
	sl_loop_run(&s->loop);
	return SL_OK;
}

int service_main(const char *name, int argc, char **argv)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	struct service s = { 0 };
	sl_err err;

	for (size_t i = 0; i < SL_ARRAY_COUNT(roles); i++)
		if (sl_str_eq_c(sl_str_c(name), roles[i].name))
			s.role = &roles[i];
	if (!s.role || !parse(&s, argc, argv)) {
		fputs("usage: bookinfo details|ratings|reviews|productpage [--version=V] [--fault=V:PERCENT]; listens on 127.0.0.1:$PORT\n"
		      "       bookinfo load --url=URL ...\n",
		        stderr);
		return 2;
	}
	err = serve(&s, &diag);
	if (err != SL_OK)
		fprintf(stderr, "error: bookinfo %s: %s: %s\n", name, sl_err_text(err), sl_diag_text(&diag));
	sl_http_server_free(s.server);
	sl_fetcher_free(s.fetcher);
	sl_signals_stop(&s.loop, &s.signals);
	sl_loop_fini(&s.loop);
	return err == SL_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc > 1 && sl_str_eq_c(sl_str_c(argv[1]), "load"))
		return load_main(argc - 2, argv + 2);
	return service_main(argc > 1 ? argv[1] : "", argc > 1 ? argc - 2 : 0, argv + 2);
}
