/*
 * The API as its clients meet it: HTTPS with a client certificate, sqlite underneath. `control_api_bench [OBJECTS [CONCURRENCY]]` creates
 * objects of about 1.2 KB with a watch open, then lists them; the server runs in a thread of its own. Prints one JSON object: objects a
 * second, time to the answer, time from the answer to the watch event (negative: the event came first), time of a full list.
 */
#include "control/api.h"
#include "loop/loop.h"
#include "net/fetch.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/thread.h"

#include <stdio.h>
#include <stdlib.h>

#define COLLECTION "/api/v1/namespaces/default/configmaps"

static void must(sl_err err, const char *what, struct sl_diag *diag)
{
	if (err == SL_OK)
		return;
	fprintf(stderr, "error: %s: %s\n", what, diag && diag->count ? sl_diag_text(diag) : sl_err_text(err));
	exit(EXIT_FAILURE);
}

/* --- the server's thread --- */

struct server {
	struct sl_loop loop;
	struct sl_store *store;
	struct sl_objects *objects;
	struct sl_api *api;
};

static void server_start(struct server *s, const char *dir, const struct sl_ca *ca)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	SL_CLEANUP(sl_free) char *path = sl_asprintf("%s/state.db", dir);
	must(sl_loop_init(&s->loop, NULL), "loop", NULL);
	must(sl_store_open_sqlite(&s->store, &s->loop, path, NULL, &diag), "store", &diag);
	const struct sl_objects_options objects = { .loop = &s->loop, .store = s->store };
	must(sl_objects_new(&s->objects, &objects, &diag), "objects", &diag);
	struct sl_api_options api = { .loop = &s->loop, .objects = s->objects, .ca = ca };
	must(sl_addr_parse(&api.listen, SL_STR("127.0.0.1:0")), "address", NULL);
	must(sl_api_start(&s->api, &api, &diag), "api", &diag);
}

static void server_run(void *arg)
{
	sl_loop_run(&((struct server *)arg)->loop);
}

static void server_stop(struct server *s)
{
	sl_api_stop(s->api);
	sl_objects_free(s->objects);
	sl_store_close(s->store);
	sl_loop_fini(&s->loop);
}

/* --- the client --- */

struct client {
	struct sl_loop loop;
	struct sl_fetcher *fetcher;
	struct sl_fetch_request base; /* authorities and certificate */
	char *url;
	unsigned wanted, begun, ended, seen, lists;
	sl_nsec *begun_at, *ended_at, *seen_at;
	struct sl_buf line; /* of the watch, not yet whole */
	char filling[1000];
	bool watching;
};

static void begin_one(struct client *c);

static void on_created(struct sl_fetch *f, const struct sl_fetch_response *r)
{
	size_t *n = sl_fetch_user(f);
	struct client *c = (struct client *)(void *)n[1];
	if (r->status != 201)
		must(SL_ERR_IO, r->detail, NULL);
	c->ended_at[n[0]] = sl_clock_mono();
	c->ended++;
	sl_free(n);
	if (c->begun < c->wanted)
		begin_one(c);
}

static void begin_one(struct client *c)
{
	static const struct sl_http_pair headers[] = { { SL_STR("Content-Type"),
		SL_STR("application/json") } };
	SL_CLEANUP(sl_free) char *body = sl_asprintf(
	        "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"n%u\"},\"data\":{\"filling\":\"%s\"}}",
	        c->begun, c->filling);
	struct sl_fetch_request request = c->base;
	size_t *n = sl_new0_array(2, sizeof(size_t)); /* which, and whose */
	n[0] = c->begun++;
	n[1] = (size_t)(void *)c;
	request.url = c->url;
	request.headers = headers;
	request.header_count = SL_ARRAY_COUNT(headers);
	request.body = sl_str_c(body);
	request.on_done = on_created;
	request.user = n;
	c->begun_at[n[0]] = sl_clock_mono();
	struct sl_fetch *f;
	must(sl_fetch_start(c->fetcher, &request, &f), "create", NULL);
}

static void on_line(struct client *c, sl_str line)
{
	static const char mark[] = "\"metadata\":{\"name\":\"n";
	const char *at = memmem(line.p, line.len, mark, sizeof(mark) - 1);
	if (!at)
		return;
	c->seen_at[strtoul(at + sizeof(mark) - 1, NULL, 10)] = sl_clock_mono();
	c->seen++;
}

static bool on_watch_body(struct sl_fetch *f, sl_str piece)
{
	struct client *c = sl_fetch_user(f);
	sl_buf_str_add(&c->line, piece);
	sl_str rest = sl_buf_str(&c->line), line;
	size_t used = 0;
	while (sl_str_split(&rest, '\n', &line)) {
		on_line(c, line);
		used += line.len + 1;
	}
	sl_buf_consume(&c->line, used);
	return true;
}

static void on_watch_head(struct sl_fetch *f, int status)
{
	((struct client *)sl_fetch_user(f))->watching = status == 200;
}

static void on_watch_done(struct sl_fetch *f, const struct sl_fetch_response *r)
{
	(void)f, (void)r;
}

static void on_list(struct sl_fetch *f, const struct sl_fetch_response *r)
{
	struct client *c = sl_fetch_user(f);
	if (r->status != 200)
		must(SL_ERR_IO, r->detail, NULL);
	c->lists++;
}

static bool is_watching(void *arg)
{
	return ((struct client *)arg)->watching;
}

static bool all_seen(void *arg)
{
	struct client *c = arg;
	return c->ended == c->wanted && c->seen == c->wanted;
}

static bool list_ended(void *arg)
{
	return ((struct client *)arg)->lists > 0;
}

static struct sl_fetch *start_watch(struct client *c)
{
	SL_CLEANUP(sl_free) char *url = sl_asprintf("%s?watch=1", c->url);
	struct sl_fetch_request request = c->base;
	struct sl_fetch *f = NULL;
	request.url = url;
	request.on_head = on_watch_head;
	request.on_body = on_watch_body;
	request.on_done = on_watch_done;
	request.user = c;
	must(sl_fetch_start(c->fetcher, &request, &f), "watch", NULL);
	if (!sl_loop_run_until(&c->loop, is_watching, c, SL_SEC(30)))
		must(SL_ERR_TIMEOUT, "watch", NULL);
	return f;
}

static double list_seconds(struct client *c)
{
	struct sl_fetch_request request = c->base;
	struct sl_fetch *f;
	request.url = c->url;
	request.on_done = on_list;
	request.user = c;
	c->lists = 0;
	sl_nsec start = sl_clock_mono();
	must(sl_fetch_start(c->fetcher, &request, &f), "list", NULL);
	if (!sl_loop_run_until(&c->loop, list_ended, c, SL_SEC(60)))
		must(SL_ERR_TIMEOUT, "list", NULL);
	return (double)(sl_clock_mono() - start) / 1e9;
}

/* --- figures --- */

static int by_size(const void *a, const void *b)
{
	sl_nsec one = *(const sl_nsec *)a, two = *(const sl_nsec *)b;
	return one < two ? -1 : one > two;
}

static void print_quantiles(const char *name, const sl_nsec *from, const sl_nsec *to, unsigned count)
{
	sl_nsec *took = sl_new0_array(count, sizeof(sl_nsec));
	for (unsigned i = 0; i < count; i++)
		took[i] = to[i] - from[i];
	qsort(took, count, sizeof(sl_nsec), by_size);
	sl_nsec p50 = took[count / 2], p99 = took[count * 99 / 100];
	printf("\"%s_p50_ms\": %.2f, \"%s_p99_ms\": %.2f, ", name, (double)p50 / 1e6, name,
	        (double)p99 / 1e6);
	sl_free(took);
}

static void run(struct client *c, unsigned concurrency)
{
	struct sl_fetch *watch = start_watch(c);
	sl_nsec start = sl_clock_mono();
	for (unsigned i = 0; i < concurrency && i < c->wanted; i++)
		begin_one(c);
	if (!sl_loop_run_until(&c->loop, all_seen, c, SL_SEC(600)))
		must(SL_ERR_TIMEOUT, "creating", NULL);
	double seconds = (double)(sl_clock_mono() - start) / 1e9;
	sl_fetch_cancel(watch);
	printf("{\"objects\": %u, \"concurrency\": %u, \"objects_per_second\": %.0f, ", c->wanted,
	        concurrency, c->wanted / seconds);
	print_quantiles("create", c->begun_at, c->ended_at, c->wanted);
	print_quantiles("answer_to_watch", c->ended_at, c->seen_at, c->wanted);
	print_quantiles("create_to_watch", c->begun_at, c->seen_at, c->wanted);
	double best = 1e9;
	for (int i = 0; i < 5; i++) {
		double took = list_seconds(c);
		best = took < best ? took : best;
	}
	printf("\"list_ms\": %.1f}\n", best * 1e3);
}

int main(int argc, char **argv)
{
	static struct client c;
	static struct server server;
	struct sl_thread thread = { 0 };
	char *dir = NULL;
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	SL_CLEANUP(sl_ca_free) struct sl_ca *ca = NULL;
	SL_CLEANUP(sl_buf_fini) struct sl_buf cert = { 0 }, key = { 0 };
	static const char *const groups[] = { SL_CA_ADMIN_GROUP, NULL };
	const struct sl_x509_request admin = { .common_name = "bench",
		.organizations = groups,
		.client = true,
		.not_after = sl_clock_real() / SL_SEC(1) * SL_SEC(1) + SL_SEC(86400) };
	must(sl_dir_make_temp("sl-bench-", &dir), "folder", NULL);
	must(sl_ca_open(&ca, dir, &diag), "authority", &diag);
	must(sl_ca_issue(ca, &admin, &cert, &key, &diag), "certificate", &diag);
	server_start(&server, dir, ca);
	must(sl_thread_start(&thread, "server", server_run, &server), "thread", NULL);

	must(sl_loop_init(&c.loop, NULL), "loop", NULL);
	c.fetcher = sl_fetcher_new(&c.loop);
	c.base = (struct sl_fetch_request) {
		.ca_pem = sl_ca_cert_pem(ca), .cert_pem = sl_buf_str(&cert), .key_pem = sl_buf_str(&key)
	};
	c.url = sl_asprintf("%s" COLLECTION, sl_api_url(server.api));
	c.wanted = argc > 1 ? (unsigned)atoi(argv[1]) : 10000;
	c.begun_at = sl_new0_array(c.wanted, sizeof(sl_nsec));
	c.ended_at = sl_new0_array(c.wanted, sizeof(sl_nsec));
	c.seen_at = sl_new0_array(c.wanted, sizeof(sl_nsec));
	memset(c.filling, 'x', sizeof(c.filling) - 1);
	run(&c, argc > 2 ? (unsigned)atoi(argv[2]) : 64);

	sl_fetcher_free(c.fetcher);
	sl_loop_fini(&c.loop);
	sl_loop_stop_from(&server.loop);
	sl_thread_join(&thread);
	server_stop(&server);
	SL_IGNORE(sl_path_remove(dir)); /* a leftover in /tmp hurts nobody */
	return 0;
}
