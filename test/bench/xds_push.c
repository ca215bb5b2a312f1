/*
 * How fast a change reaches the proxies (PERFORMANCE P9), and what the control plane's side of it costs (P10): one process serves, a second
 * holds all proxies. The proxies of P9 are whole clients, that take a mesh in and acknowledge it; with many and a large mesh only their
 * network side is kept (--light), since a thousand real ones would not stand on one machine.
 *
 * usage: bench_xds_push [--nodes N] [--services N] [--endpoints N] [--epochs N] [--rest SECONDS] [--light]
 * Prints one JSON object. Times are from publish to the acknowledgement's arrival.
 */
#include "control/xds_push.h"
#include "net/grpc_client.h"
#include "os/clock.h"
#include "proxy/xds_client.h"
#include "xds/pb_priv.h"
#include "xds/types.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
	uint32_t nodes, services, endpoints, epochs, rest;
	bool light;
} options = { .nodes = 100, .services = 10, .endpoints = 10, .epochs = 100 };

static struct sl_loop loop;

/* ---- proxies ---- */

static struct sl_xds_client **whole;

static sl_err on_mesh(void *user, struct sl_mesh *mesh, uint64_t epoch, struct sl_diag *diag)
{
	(void)mesh, (void)diag;
	sl_xds_client_applied(whole[(uintptr_t)user], epoch, SL_OK, NULL);
	return SL_OK;
}

/* Asks and acknowledges like a proxy, and keeps nothing. */
struct light {
	struct sl_grpc_client *grpc;
	struct sl_grpc_call *call;
	char name[16];
	bool asked;
};

static void light_send(struct light *l, sl_str type_url, const char *version, const char *nonce)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena a = { 0 };
	pb_request *m = pb_new_request(&a);
	char *all = sl_pb_str(&a, SL_XDS_WILDCARD);

	m->node = pb_new_node(&a);
	m->node->id = l->name;
	m->node->user_agent_name = sl_pb_str(&a, SL_STR(SL_XDS_CLIENT_AGENT));
	m->type_url = sl_pb_str(&a, type_url);
	m->version_info = sl_pb_str(&a, sl_str_c(version));
	m->response_nonce = sl_pb_str(&a, sl_str_c(nonce));
	m->n_resource_names = 1;
	m->resource_names = &all;
	sl_grpc_send(l->call, sl_pb_packed(&m->base, &a));
}

static void light_message(struct sl_grpc_call *call, sl_str message)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena a = { 0 };
	struct light *l = sl_grpc_call_user(call);
	const pb_response *m = pb_read_response(&a, message);

	light_send(l, sl_str_c(m->type_url), m->version_info, m->nonce);
}

static void light_end(struct sl_grpc_call *call, enum sl_grpc_status status, sl_str text)
{
	(void)call;
	fprintf(stderr, "error: a stream ended: %s: %.*s\n", sl_grpc_status_name(status), SL_STR_ARG(text));
	exit(1);
}

static void light_close(void *user, sl_err why, const char *text)
{
	(void)user, (void)why;
	fprintf(stderr, "error: a connection ended: %s\n", text);
	exit(1);
}

static void add_light(struct light *l, uint32_t i, const struct sl_addr *server)
{
	static const struct sl_grpc_call_ops ops = { .on_message = light_message, .on_end = light_end };
	const struct sl_grpc_client_config config = {
		.server = *server, .on_close = light_close, .limits.message_most_bytes = 256 << 20, .user = l
	};

	snprintf(l->name, sizeof(l->name), "proxy-%u", i);
	l->grpc = sl_grpc_client_new(&loop, &config);
	l->call = sl_grpc_client_call(l->grpc,
	        "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources", &ops, l);
	for (int t = 0; t < SL_XDS_TYPE_COUNT; t++)
		light_send(l, sl_xds_type_url((enum sl_xds_type)t), NULL, NULL);
}

static void run_proxies(const struct sl_addr *server)
{
	static const struct sl_xds_client_ops ops = { .on_mesh = on_mesh };
	struct light *light = sl_new0_array(options.nodes, sizeof(*light));

	whole = sl_new0_array(options.nodes, sizeof(struct sl_xds_client *));
	if (sl_loop_init(&loop, NULL) != SL_OK)
		exit(1);
	for (uint32_t i = 0; i < options.nodes; i++) {
		char name[16];
		struct sl_xds_client_config config = {
			.server = *server, .node = name, .ops = &ops, .user = (void *)(uintptr_t)i
		};

		snprintf(name, sizeof(name), "proxy-%u", i);
		if (options.light)
			add_light(&light[i], i, server);
		else if (sl_xds_client_new(&whole[i], &loop, &config, NULL) != SL_OK)
			exit(1);
	}
	sl_loop_run(&loop);
}

/* ---- control plane ---- */

static struct sl_xds_push *push;
static sl_nsec *latencies;
static size_t latency_count;
static uint64_t all_acked;

static void on_ack(void *user, sl_str node, uint64_t epoch, sl_nsec latency)
{
	(void)user, (void)node, (void)latency;
	if (epoch > 1) /* the first is the connect */
		latencies[latency_count++] = sl_clock_mono() - *(sl_nsec *)user;
}

static void on_all_ack(void *user, uint64_t epoch)
{
	(void)user;
	all_acked = epoch;
}

/* Services "svc-I:80" with a route, a cluster and endpoints each. `weight` is what changes. */
static struct sl_mesh *mesh_new(uint64_t epoch, uint32_t weight)
{
	struct sl_mesh *mesh = sl_mesh_new();
	struct sl_arena *a = &mesh->arena;
	uint32_t n = options.services;
	struct sl_mesh_virtual_host *hosts = sl_arena_zalloc_array(a, n, sizeof(*hosts));
	struct sl_mesh_route_config *configs = sl_arena_zalloc_array(a, n, sizeof(*configs));

	mesh->epoch = epoch;
	mesh->clusters = sl_arena_zalloc_array(a, n, sizeof(*mesh->clusters));
	mesh->listeners = sl_arena_zalloc_array(a, n, sizeof(*mesh->listeners));
	mesh->route_configs = configs;
	mesh->cluster_count = mesh->listener_count = mesh->route_config_count = n;
	for (uint32_t i = 0; i < n; i++) {
		struct sl_mesh_cluster *c = &mesh->clusters[i];
		struct sl_mesh_route *route = sl_arena_zalloc(a, sizeof(*route));

		c->name = sl_arena_printf(a, "outbound|80|v1|svc-%u.default.svc.cluster.local", i);
		c->service_host = sl_arena_printf(a, "svc-%u.default.svc.cluster.local", i);
		c->connect_timeout = SL_SEC(10);
		c->endpoint_count = options.endpoints;
		c->endpoints = sl_arena_zalloc_array(a, options.endpoints, sizeof(*c->endpoints));
		for (uint32_t e = 0; e < options.endpoints; e++) {
			c->endpoints[e].address =
			        sl_arena_printf(a, "10.%u.%u.%u", e % 250, i / 250, i % 250);
			c->endpoints[e].port = 8080;
			c->endpoints[e].weight = 1;
			c->endpoints[e].pod = sl_arena_printf(a, "svc-%u-5d4f7b9c-%u", i, e);
			c->endpoints[e].workload = sl_arena_printf(a, "svc-%u", i);
			c->endpoints[e].namespace = SL_STR("default");
		}
		route->match.path = SL_STR("/");
		route->split_count = 1;
		route->splits = sl_arena_zalloc(a, sizeof(*route->splits));
		*route->splits = (struct sl_mesh_split) { .cluster = c->name, .weight = i == 0 ? weight : 1 };
		hosts[i].domains = sl_arena_zalloc(a, sizeof(*hosts[i].domains));
		hosts[i].domains[hosts[i].domain_count++] = sl_arena_printf(a, "svc-%u:80", i);
		hosts[i].routes = route;
		hosts[i].route_count = 1;
		configs[i] = (struct sl_mesh_route_config) {
			.name = sl_arena_printf(a, "svc-%u:80", i), .hosts = &hosts[i], .host_count = 1
		};
		mesh->listeners[i] = (struct sl_mesh_listener) { .name = configs[i].name,
			.address = SL_STR("127.0.0.1"),
			.route_config = configs[i].name };
		mesh->listeners[i].port = 1 + i;
	}
	return mesh;
}

static bool is_acked(void *arg)
{
	struct sl_xds_push_counters counters;

	sl_xds_push_read(push, &counters);
	return all_acked >= *(uint64_t *)arg && counters.nodes == options.nodes &&
	       sl_xds_push_acked(push) >= *(uint64_t *)arg;
}

static int by_length(const void *a, const void *b)
{
	sl_nsec x = *(const sl_nsec *)a, y = *(const sl_nsec *)b;

	return x < y ? -1 : x > y;
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double rss_mb(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%*u %lu", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return (double)pages * 4096 / 1e6;
}

static bool publish(uint64_t epoch, sl_nsec *ret_began)
{
	struct sl_mesh *mesh = mesh_new(epoch, (uint32_t)epoch);
	bool done;

	sl_loop_turn(&loop, 0);
	*ret_began = sl_clock_mono();
	done = sl_xds_push_publish(push, mesh) == SL_OK;
	sl_mesh_unref(mesh);
	return done && sl_loop_run_until(&loop, is_acked, &epoch, SL_SEC(120));
}

static void measure(sl_nsec *began)
{
	sl_nsec start = sl_clock_mono(), connected;
	double cpu, resting = 0;
	sl_nsec last;

	if (!publish(1, began))
		exit(1);
	connected = sl_clock_mono() - start;
	cpu = cpu_seconds();
	for (uint64_t epoch = 2; epoch <= options.epochs + 1; epoch++)
		if (!publish(epoch, began))
			exit(1);
	cpu = cpu_seconds() - cpu;
	if (options.rest) {
		resting = cpu_seconds();
		for (last = sl_clock_mono() + SL_SEC(options.rest); sl_clock_mono() < last;)
			sl_loop_turn(&loop, SL_MSEC(100));
		resting = (cpu_seconds() - resting) / options.rest;
	}
	qsort(latencies, latency_count, sizeof(*latencies), by_length);
	size_t half = latency_count / 2, most = latency_count * 99 / 100;
	printf("{\"nodes\": %u, \"services\": %u, \"endpoints\": %u, \"epochs\": %u, \"connect_ms\": %.1f, \"p50_ms\": %.3f, "
	       "\"p99_ms\": %.3f, \"max_ms\": %.3f, \"server_cpu_us_per_push\": %.2f, \"server_rss_mb\": %.1f, \"cpu_at_rest\": %.4f}\n",
	        options.nodes, options.services, options.services * options.endpoints, options.epochs,
	        (double)connected / 1e6, (double)latencies[half] / 1e6, (double)latencies[most] / 1e6,
	        (double)latencies[latency_count - 1] / 1e6, cpu * 1e6 / options.epochs / options.nodes,
	        rss_mb(), resting);
}

static void take_options(char **argv)
{
	static const struct {
		const char *name;
		uint32_t *value;
	} numbers[] = { { "--nodes", &options.nodes }, { "--services", &options.services },
		{ "--endpoints", &options.endpoints }, { "--epochs", &options.epochs },
		{ "--rest", &options.rest } };

	while (*++argv) {
		size_t i = 0;
		uint64_t v;

		if (strcmp(*argv, "--light") == 0) {
			options.light = true;
			continue;
		}
		while (i < SL_ARRAY_COUNT(numbers) && strcmp(numbers[i].name, *argv) != 0)
			i++;
		if (i == SL_ARRAY_COUNT(numbers) || !*++argv || sl_str_to_u64(sl_str_c(*argv), &v) != SL_OK ||
		        v > 100000) {
			fprintf(stderr,
			        "usage: bench_xds_push [--nodes N] [--services N] [--endpoints N] [--epochs N] [--rest SECONDS] [--light]\n");
			exit(2);
		}
		*numbers[i].value = (uint32_t)v;
	}
}

int main(int argc, char **argv)
{
	static const struct sl_xds_push_ops ops = { .on_ack = on_ack, .on_all_ack = on_all_ack };
	sl_nsec began = 0;
	struct sl_xds_push_config config = { .ops = &ops, .user = &began };
	struct sl_addr server;
	int pair[2];
	pid_t child;

	(void)argc;
	take_options(argv);
	mallopt(M_MMAP_THRESHOLD, 64 * 1024); /* as sluiced does */
	mallopt(M_TRIM_THRESHOLD, 64 * 1024);
	/* before there is a loop: an epoll instance would be shared with the child */
	if (pipe(pair) != 0 || (child = fork()) < 0)
		return 1;
	if (child == 0) {
		if (read(pair[0], &server, sizeof(server)) == (ssize_t)sizeof(server))
			run_proxies(&server);
		_exit(1);
	}
	latencies = sl_new0_array((size_t)options.nodes * options.epochs + 1, sizeof(*latencies));
	if (sl_addr_parse(&config.listen, SL_STR("127.0.0.1:0")) != SL_OK ||
	        sl_loop_init(&loop, NULL) != SL_OK || sl_xds_push_new(&push, &loop, &config, NULL) != SL_OK)
		return 1;
	server = *sl_xds_push_addr(push);
	if (write(pair[1], &server, sizeof(server)) != (ssize_t)sizeof(server))
		return 1;
	measure(&began);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	sl_xds_push_free(push);
	sl_loop_fini(&loop);
	sl_free(latencies);
	return 0;
}
