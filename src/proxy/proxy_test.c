#include "base/test.h"

#include "proxy/mesh_build_test.h"
#include "proxy/proxy_priv.h"

#include "loop/snapshot.h"
#include "os/clock.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * The whole proxy with its threads: snapshots are swapped while clients ask and backends answer. Run under the thread sanitizer, this is
 * what shows that nothing is shared that should not be.
 */

enum { CLIENTS = 4, BACKENDS = 2, SWAPS = 40, LIMIT_MS = 20000 };

/* ---- a backend: one thread, answers every request with its number ---- */

struct backend {
	struct sl_thread thread;
	int fd;
	uint16_t port;
	int number;
	uint32_t answered; /* atomic */
	bool stop;         /* atomic */
};

static void backend_answer(struct backend *b, struct pollfd *p)
{
	char room[4096], answer[96];
	ssize_t n = recv(p->fd, room, sizeof(room) - 1, 0);
	size_t requests = 0;

	if (n <= 0) {
		close(p->fd);
		p->fd = -1;
		return;
	}
	room[n] = 0;
	for (char *at = room; (at = strstr(at, "\r\n\r\n")); at += 4)
		requests++;
	while (requests--) {
		int len = snprintf(answer, sizeof(answer),
		        "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nb%d", b->number);

		__atomic_add_fetch(&b->answered, 1, __ATOMIC_RELAXED);
		assert_int_equal(send(p->fd, answer, (size_t)len, MSG_NOSIGNAL), len);
	}
}

static void backend_main(void *arg)
{
	struct backend *b = arg;
	struct pollfd p[64] = { { .fd = b->fd, .events = POLLIN } };
	nfds_t count = 1;

	while (!__atomic_load_n(&b->stop, __ATOMIC_RELAXED)) {
		if (poll(p, count, 20) <= 0)
			continue;
		for (nfds_t i = 1; i < count; i++)
			if (p[i].revents)
				backend_answer(b, &p[i]);
		while (p[0].revents && count < 64) {
			int fd;

			if (sl_accept(b->fd, &fd, NULL) != SL_OK)
				break;
			p[count++] = (struct pollfd) { .fd = fd, .events = POLLIN };
		}
		for (nfds_t i = 1; i < count; i++)
			if (p[i].fd < 0)
				p[i--] = p[--count];
	}
	for (nfds_t i = 1; i < count; i++)
		close(p[i].fd);
}

static void backend_start(struct backend *b, int number)
{
	struct sl_addr a;

	*b = (struct backend) { .number = number };
	sl_assert_ok(sl_addr_parse(&a, SL_STR("127.0.0.1:0")));
	sl_assert_ok(sl_listen(&a, NULL, &b->fd, NULL));
	sl_assert_ok(sl_socket_local(b->fd, &a));
	b->port = sl_addr_port(&a);
	sl_assert_ok(sl_thread_start(&b->thread, "backend", backend_main, b));
}

static void backend_stop(struct backend *b)
{
	__atomic_store_n(&b->stop, true, __ATOMIC_RELAXED);
	sl_thread_join(&b->thread);
	sl_fd_close(&b->fd);
}

/* ---- a client: asks over and over, counts what is not as it should be ---- */

struct client {
	struct sl_thread thread;
	uint16_t port;
	uint32_t seed;
	uint32_t asked, failed; /* atomic */
	bool stop;              /* atomic */
	char why[256];          /* the first failure; read after the join */
};

static int client_connect(uint16_t port)
{
	struct sl_addr a;
	struct pollfd p = { .events = POLLOUT };

	if (sl_addr_from_ip(&a, SL_STR("127.0.0.1"), port) != SL_OK ||
	        (int)sl_connect_start(&a, NULL, &p.fd) < 0)
		return -1;
	(void)poll(&p, 1, 5000);
	return p.fd;
}

static bool client_ask(struct client *c, int fd)
{
	static const char request[] = "GET /x HTTP/1.1\r\nHost: app\r\n\r\n";
	char room[1024];
	size_t len = 0;

	if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(request) - 1) {
		snprintf(c->why, sizeof(c->why), "send failed");
		return false;
	}
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (poll(&p, 1, 5000) != 1) {
			snprintf(c->why, sizeof(c->why), "no answer in 5 s");
			return false;
		}
		n = recv(fd, room + len, sizeof(room) - 1 - len, 0);
		if (n <= 0) {
			snprintf(c->why, sizeof(c->why), "the connection ended after %zu bytes", len);
			return false;
		}
		len += (size_t)n;
		room[len] = 0;
		if (strstr(room, "\r\n\r\nb"))
			break;
	}
	if (strncmp(room, "HTTP/1.1 200", 12) != 0) {
		snprintf(c->why, sizeof(c->why), "%.200s", room);
		return false;
	}
	return true;
}

static void client_main(void *arg)
{
	struct client *c = arg;
	int fd = -1;

	while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED)) {
		if (fd < 0)
			fd = client_connect(c->port);
		if (!client_ask(c, fd)) {
			__atomic_add_fetch(&c->failed, 1, __ATOMIC_RELAXED);
			sl_fd_close(&fd);
		}
		__atomic_add_fetch(&c->asked, 1, __ATOMIC_RELAXED);
		if (fd >= 0 && (c->seed = c->seed * 1103515245 + 12345) >> 24 == 0)
			sl_fd_close(&fd); /* now and then a new connection */
	}
	sl_fd_close(&fd);
}

/* ---- the proxy ---- */

struct world {
	struct sl_proxy_options options;
	struct sl_proxy *proxy;
	struct backend backends[BACKENDS];
	uint64_t epoch;
	bool applied;
	sl_err err;
	char text[512];
};

static void on_done(void *arg, sl_err err, const char *text)
{
	struct world *w = arg;

	w->applied = true;
	w->err = err;
	snprintf(w->text, sizeof(w->text), "%s", text);
}

static bool is_applied(void *arg)
{
	return ((struct world *)arg)->applied;
}

static void world_init(struct world *w, uint32_t workers)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };

	memset(w, 0, sizeof(*w));
	sl_assert_ok(sl_proxy_options_init(&w->options, NULL));
	w->options.workers = workers;
	w->options.admin = "127.0.0.1:0";
	for (int i = 0; i < BACKENDS; i++)
		backend_start(&w->backends[i], i);
	if (sl_proxy_new(&w->proxy, &w->options, &diag) != SL_OK)
		fail_msg("%s", sl_diag_text(&diag));
}

static void world_fini(struct world *w)
{
	sl_proxy_free(w->proxy);
	for (int i = 0; i < BACKENDS; i++)
		backend_stop(&w->backends[i]);
}

static struct sl_mesh *mesh_of(struct world *w, uint32_t canary)
{
	struct sl_mesh *m = sl_mesh_new();
	struct sl_mesh_route *r;

	m->epoch = ++w->epoch;
	mb_endpoint(m, mb_cluster(m, "stable"), w->backends[0].port);
	mb_endpoint(m, mb_cluster(m, "canary"), w->backends[1].port);
	r = mb_route(m, mb_host(m, mb_config(m, "rc"), "app"), SL_PATH_PREFIX, "/");
	mb_split(m, r, "stable", 100 - canary);
	if (canary || w->epoch % 2)
		mb_split(m, r, "canary", canary);
	mb_listener(m, "web", 0, "rc");
	return m;
}

static void apply(struct world *w, struct sl_mesh *m)
{
	w->applied = false;
	sl_proxy_apply(w->proxy, m, on_done, w);
	sl_mesh_unref(m);
	assert_true(sl_loop_run_until(sl_proxy_loop(w->proxy), is_applied, w, SL_MSEC(LIMIT_MS)));
}

static void swaps_under_load_lose_no_request(void **state)
{
	struct world w;
	struct client clients[CLIENTS];
	uint32_t asked = 0;

	(void)state;
	world_init(&w, 2);
	apply(&w, mesh_of(&w, 10));
	sl_assert_ok(w.err);
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = (struct client) { .port = sl_proxy_port(w.proxy, SL_STR("web")),
			.seed = (uint32_t)i };
		sl_assert_ok(sl_thread_start(&clients[i].thread, "client", client_main, &clients[i]));
	}
	for (int i = 0; i < SWAPS; i++) {
		bool none = i % 4 == 3;
		uint32_t before, seen = 0;

		apply(&w, mesh_of(&w, none ? 0 : (uint32_t)(i % 3 + 1) * 20));
		sl_assert_ok(w.err);
		/* In force on all workers: what begins from here on goes by it. What is under way may still end at the canary: one each. */
		before = __atomic_load_n(&w.backends[1].answered, __ATOMIC_RELAXED);
		for (int c = 0; c < CLIENTS; c++)
			seen += __atomic_load_n(&clients[c].asked, __ATOMIC_RELAXED);
		for (sl_nsec limit = sl_clock_mono() + SL_SEC(10); sl_clock_mono() < limit;) {
			uint32_t now = 0;

			sl_loop_turn(sl_proxy_loop(w.proxy), SL_MSEC(1));
			for (int c = 0; c < CLIENTS; c++)
				now += __atomic_load_n(&clients[c].asked, __ATOMIC_RELAXED);
			if (now - seen > 50)
				break;
		}
		if (none)
			assert_true(__atomic_load_n(&w.backends[1].answered, __ATOMIC_RELAXED) - before <=
			            CLIENTS);
	}
	for (int i = 0; i < CLIENTS; i++) {
		__atomic_store_n(&clients[i].stop, true, __ATOMIC_RELAXED);
		sl_thread_join(&clients[i].thread);
		asked += clients[i].asked;
		if (clients[i].failed)
			fail_msg("%u of %u failed: %s", clients[i].failed, clients[i].asked, clients[i].why);
	}
	assert_int_equal(asked, w.backends[0].answered + w.backends[1].answered);
	assert_true(w.backends[1].answered > 0);
	world_fini(&w);
}

static void a_listener_that_cannot_be_bound_is_named_and_harms_no_other(void **state)
{
	struct world w;
	struct sl_mesh *m;
	struct client c = { 0 };
	int fd;

	(void)state;
	world_init(&w, 2);
	m = mesh_of(&w, 0);
	mb_listener(m, "taken", w.backends[0].port, "rc");
	apply(&w, m);
	sl_assert_err(w.err, SL_ERR_UNAVAILABLE);
	assert_non_null(strstr(w.text, "listener taken"));
	fd = client_connect(sl_proxy_port(w.proxy, SL_STR("web")));
	if (!client_ask(&c, fd))
		fail_msg("%s", c.why);
	sl_fd_close(&fd);
	/* With the next mesh it is tried again. */
	m = mesh_of(&w, 0);
	mb_listener(m, "taken", 0, "rc");
	apply(&w, m);
	sl_assert_ok(w.err);
	assert_int_not_equal(sl_proxy_port(w.proxy, SL_STR("taken")), 0);
	world_fini(&w);
}

static void one_port_on_all_addresses_and_on_one(void **state)
{
	struct world w;
	struct sl_mesh *m;
	uint16_t port;

	(void)state;
	world_init(&w, 2);
	apply(&w, mesh_of(&w, 0));
	port = sl_proxy_port(w.proxy, SL_STR("web"));
	m = mesh_of(&w, 0);
	mb_listener(m, "gateway", port, "rc")->address = mb_str(m, "0.0.0.0");
	mb_listener(m, "service", port, "rc")->address = mb_str(m, "127.9.8.7");
	apply(&w, m);
	if (w.err != SL_OK)
		fail_msg("%s", w.text);
	world_fini(&w);
}

static void a_mesh_that_does_not_compile_changes_nothing(void **state)
{
	struct world w;
	struct sl_mesh *m;

	(void)state;
	world_init(&w, 1);
	apply(&w, mesh_of(&w, 0));
	m = mesh_of(&w, 0);
	m->route_configs[0].hosts[0].routes[0].match.path_kind = SL_PATH_REGEX;
	m->route_configs[0].hosts[0].routes[0].match.path = mb_str(m, "(");
	apply(&w, m);
	sl_assert_err(w.err, SL_ERR_INVALID);
	assert_int_equal(w.proxy->tables->mesh->epoch, 1);
	world_fini(&w);
}

static bool stopped(void *arg)
{
	return ((struct sl_proxy *)arg)->drained == ((struct sl_proxy *)arg)->worker_count;
}

static void stopping_drains(void **state)
{
	struct world w;
	struct client c = { 0 };
	int fd;

	(void)state;
	world_init(&w, 2);
	apply(&w, mesh_of(&w, 0));
	fd = client_connect(sl_proxy_port(w.proxy, SL_STR("web")));
	assert_true(client_ask(&c, fd));
	sl_proxy_stop(w.proxy);
	sl_loop_run_until(sl_proxy_loop(w.proxy), stopped, w.proxy, SL_MSEC(LIMIT_MS));
	assert_true(stopped(w.proxy));
	assert_int_equal(recv(fd, c.why, 1, MSG_DONTWAIT), 0); /* the idle connection was ended */
	sl_fd_close(&fd);
	world_fini(&w);
}

static void load_reports_tell_what_happened_since_the_last(void **state)
{
	struct world w;
	struct client c = { 0 };
	struct sl_load_wish wish = { .all_clusters = true, .interval = SL_MSEC(100) };
	SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };
	int fd;

	(void)state;
	world_init(&w, 2);
	apply(&w, mesh_of(&w, 50));
	fd = client_connect(sl_proxy_port(w.proxy, SL_STR("web")));
	for (int round = 0; round < 2; round++) {
		struct sl_load_report report = { 0 };
		const struct sl_load_metric *judged;

		for (int i = 0; i < 10; i++)
			assert_true(client_ask(&c, fd));
		/* A request's end is counted right after its last byte is sent: ask until all have been. */
		for (int i = 0; i < 1000; i++) {
			uint64_t ok = 0;

			for (uint32_t k = 0; k < 2; k++)
				for (struct sl_cluster_stats *x = __atomic_load_n(
				             &w.proxy->workers[k]->stats->clusters, __ATOMIC_ACQUIRE);
				        x; x = x->next)
					ok += SL_STAT_GET(x->ok);
			if (ok == (uint64_t)(round + 1) * 10)
				break;
			sl_loop_turn(sl_proxy_loop(w.proxy), SL_MSEC(1));
		}
		assert_true(sl_proxy_load(w.proxy, &arena, &wish, &report));
		assert_int_equal(report.cluster_count, 2);
		for (size_t i = 0; i < 2; i++) {
			assert_int_equal(report.clusters[i].issued, 5);
			assert_int_equal(report.clusters[i].ok, 5);
			assert_int_equal(report.clusters[i].in_flight, 0);
			judged = sl_load_metric_find(
			        report.clusters[i].metrics, report.clusters[i].metric_count, SL_LOAD_JUDGED);
			assert_non_null(judged);
			assert_int_equal(judged->count, 5);
			assert_true(judged->total < 0.5);
		}
		report = (struct sl_load_report) { 0 };
		assert_true(sl_proxy_load(
		        w.proxy, &arena, &wish, &report)); /* nothing is in flight: that is told too */
		assert_int_equal(report.cluster_count, 0);
	}
	sl_fd_close(&fd);
	world_fini(&w);
}

int main(void)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, 0 };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(swaps_under_load_lose_no_request),
		cmocka_unit_test(a_listener_that_cannot_be_bound_is_named_and_harms_no_other),
		cmocka_unit_test(one_port_on_all_addresses_and_on_one),
		cmocka_unit_test(a_mesh_that_does_not_compile_changes_nothing),
		cmocka_unit_test(stopping_drains),
		cmocka_unit_test(load_reports_tell_what_happened_since_the_last),
	};
	int failed;

	sl_signals_block(signals);
	failed = cmocka_run_group_tests_name("proxy", tests, NULL, NULL);
	sl_snapshot_reclaim_stop();
	return failed;
}
