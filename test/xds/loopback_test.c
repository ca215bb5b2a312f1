/* The control plane's push and the proxies' clients in one loop, over loopback TCP, with real files for the last good mesh. */
#include "base/test.h"
#include "control/xds_push.h"
#include "model/mesh_json.h"
#include "os/file.h"
#include "proxy/xds_client.h"

#include <stdio.h>

enum { NODES = 5 };

struct proxy {
	struct sl_xds_client *client;
	struct sl_mesh *in_force, *offered;
	uint64_t refuse; /* this epoch, at once */
	bool hold;       /* answer later, by the test */
	int offers, up, down;
	uint64_t count; /* reported as issued, then forgotten */
	char name[16];
};

static struct sl_loop loop;
static struct sl_xds_push *push;
static struct proxy proxies[NODES];
static char *state_dir;
static struct {
	int acks, nacks, joins, leaves, loads, introductions;
	uint64_t all_ack, issued, judged;
	char nack_text[128], load_node[16];
} seen;

/* ---- control plane ---- */

static void on_ack(void *user, sl_str node, uint64_t epoch, sl_nsec latency)
{
	(void)user, (void)node, (void)epoch;
	assert_true(latency >= 0);
	seen.acks++;
}

static void on_nack(void *user, sl_str node, uint64_t epoch, sl_str text)
{
	(void)user, (void)node, (void)epoch;
	seen.nacks++;
	sl_str_copy(seen.nack_text, sizeof(seen.nack_text), text);
}

static void on_all_ack(void *user, uint64_t epoch)
{
	(void)user;
	seen.all_ack = epoch;
}

static void on_node(void *user, sl_str node, bool connected)
{
	(void)user, (void)node;
	*(connected ? &seen.joins : &seen.leaves) += 1;
}

static void on_load(void *user, sl_str node, const struct sl_load_report *report)
{
	const struct sl_load_metric *judged;

	(void)user;
	if (!report->cluster_count) {
		seen.introductions++;
		return;
	}
	seen.loads++;
	sl_str_copy(seen.load_node, sizeof(seen.load_node), node);
	assert_int_equal(report->cluster_count, 1);
	sl_assert_str(report->clusters[0].cluster, "v1");
	seen.issued += report->clusters[0].issued;
	judged = sl_load_metric_find(
	        report->clusters[0].metrics, report->clusters[0].metric_count, SL_LOAD_JUDGED);
	assert_non_null(judged);
	seen.judged += judged->count;
}

static const struct sl_xds_push_ops push_ops = { on_ack, on_nack, on_all_ack, on_node, on_load };

static void serve(const char *addr)
{
	struct sl_xds_push_config config = { .ops = &push_ops, .load_interval = SL_MSEC(10) };

	sl_assert_ok(sl_addr_parse(&config.listen, sl_str_c(addr)));
	sl_assert_ok(sl_xds_push_new(&push, &loop, &config, NULL));
}

/* A mesh of one route to v1 with that weight, and v2 with the rest. */
static void publish(uint64_t epoch, uint32_t weight)
{
	char text[1024];
	SL_CLEANUP(sl_mesh_unref) struct sl_mesh *mesh = NULL;

	snprintf(text, sizeof(text),
	        "{ \"epoch\": %llu, \"listeners\": [{ \"name\": \"web\", \"address\": \"127.0.0.1\", \"routeConfig\": \"web\" }],"
	        "  \"routeConfigs\": [{ \"name\": \"web\", \"hosts\": [{ \"domains\": [\"*\"], \"routes\": [{ \"splits\": ["
	        "    { \"cluster\": \"v1\", \"weight\": %u }, { \"cluster\": \"v2\", \"weight\": %u }] }] }] }],"
	        "  \"clusters\": [{ \"name\": \"v1\" }, { \"name\": \"v2\" }] }",
	        (unsigned long long)epoch, weight, 100 - weight);
	sl_assert_ok(sl_mesh_parse(&mesh, sl_str_c(text), NULL));
	sl_assert_ok(sl_xds_push_publish(push, mesh));
}

/* ---- proxies ---- */

static void apply(struct proxy *p)
{
	sl_mesh_unref(p->in_force);
	p->in_force = SL_STEAL(p->offered);
	sl_xds_client_applied(p->client, p->in_force->epoch, SL_OK, NULL);
}

static void on_apply_task(struct sl_loop *l, struct sl_task *task);
static struct sl_task apply_tasks[NODES];

static sl_err on_mesh(void *user, struct sl_mesh *mesh, uint64_t epoch, struct sl_diag *diag)
{
	struct proxy *p = user;

	assert_int_equal(mesh->epoch, epoch);
	assert_null(p->offered);
	p->offers++;
	if (epoch == p->refuse)
		return sl_diag_fail(diag, SL_ERR_INVALID, "listeners[web]", NULL, "the port is taken");
	p->offered = sl_mesh_ref(mesh);
	if (!p->hold) {
		apply_tasks[p - proxies].fn = on_apply_task; /* the workers' answer comes later */
		sl_loop_defer(&loop, &apply_tasks[p - proxies]);
	}
	return SL_OK;
}

static void on_apply_task(struct sl_loop *l, struct sl_task *task)
{
	(void)l;
	apply(&proxies[task - apply_tasks]);
}

static bool on_counts(
        void *user, struct sl_arena *arena, const struct sl_load_wish *wish, struct sl_load_report *report)
{
	struct proxy *p = user;
	struct sl_load_cluster *cluster;

	assert_int_equal(wish->interval, SL_MSEC(10));
	assert_true(wish->all_clusters);
	if (!p->count)
		return false;
	cluster = sl_arena_zalloc(arena, sizeof(*cluster));
	*cluster =
	        (struct sl_load_cluster) { .cluster = SL_STR("v1"), .issued = p->count, .metric_count = 1 };
	cluster->metrics = sl_arena_zalloc(arena, sizeof(*cluster->metrics));
	cluster->metrics[0] = (struct sl_load_metric) { .name = SL_LOAD_JUDGED, .count = p->count };
	report->clusters = cluster;
	report->cluster_count = 1;
	p->count = 0;
	return true;
}

static void on_state(void *user, bool connected, const char *why)
{
	struct proxy *p = user;

	assert_non_null(why);
	*(connected ? &p->up : &p->down) += 1;
}

static const struct sl_xds_client_ops client_ops = { on_mesh, on_counts, on_state };

static void join(int i, const struct sl_addr *server, const char *dir)
{
	struct proxy *p = &proxies[i];
	struct sl_xds_client_config config = { .server = *server,
		.node = p->name,
		.cluster = "test",
		.state_dir = dir,
		.retry_least = SL_MSEC(2),
		.retry_most = SL_MSEC(20),
		.ops = &client_ops,
		.user = p };

	snprintf(p->name, sizeof(p->name), "proxy-%d", i);
	sl_assert_ok(sl_xds_client_new(&p->client, &loop, &config, NULL));
}

static void leave(int i)
{
	sl_xds_client_free(SL_STEAL(proxies[i].client));
	sl_task_cancel(&loop, &apply_tasks[i]);
	sl_mesh_unref(proxies[i].in_force);
	sl_mesh_unref(proxies[i].offered);
	proxies[i] = (struct proxy) { 0 };
}

/* ---- rig ---- */

static int setup(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	sl_assert_ok(sl_loop_init(&loop, NULL));
	sl_assert_ok(sl_dir_make_temp("sluice-xds", &state_dir));
	serve("127.0.0.1:0");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < NODES; i++)
		if (proxies[i].client)
			leave(i);
	sl_xds_push_free(SL_STEAL(push));
	sl_loop_fini(&loop);
	sl_assert_ok(sl_path_remove(state_dir));
	sl_free(SL_STEAL(state_dir));
	return 0;
}

#define UNTIL(condition)                                                        \
	do {                                                                    \
		for (int turns_ = 0; turns_ < 100000 && !(condition); turns_++) \
			sl_loop_turn(&loop, SL_MSEC(10));                       \
		assert_true(condition);                                         \
	} while (0)

/* ---- tests ---- */

static void test_in_force_everywhere(void **state)
{
	struct sl_xds_push_counters counters;
	struct sl_xds_client_status status;

	(void)state;
	for (int i = 0; i < NODES; i++)
		join(i, sl_xds_push_addr(push), NULL);
	proxies[2].hold = true;
	publish(1, 100);
	UNTIL(seen.acks == NODES - 1 && proxies[2].offered);
	assert_int_equal(seen.all_ack, 0); /* one has it and does not use it yet */
	assert_int_equal(sl_xds_push_acked(push), 0);
	apply(&proxies[2]);
	UNTIL(seen.all_ack == 1);
	assert_int_equal(sl_xds_push_acked(push), 1);
	proxies[2].hold = false;
	for (uint64_t epoch = 2; epoch <= 20; epoch++) {
		publish(epoch, 100 - (uint32_t)epoch);
		UNTIL(seen.all_ack == epoch);
		for (int i = 0; i < NODES; i++) {
			assert_int_equal(proxies[i].in_force->epoch, epoch);
			assert_int_equal(
			        proxies[i].in_force->route_configs[0].hosts[0].routes[0].splits[1].weight,
			        epoch);
		}
	}
	sl_xds_push_read(push, &counters);
	assert_int_equal(counters.nodes, NODES);
	assert_int_equal(counters.convergence_count, NODES * 20);
	assert_int_equal(counters.malformed + counters.nacks + counters.stale, 0);
	/* after the first mesh an epoch of weights is one RDS response and the mark */
	assert_int_equal(counters.pushes, NODES * (5 + 19 * 2));
	sl_xds_client_read(proxies[0].client, &status);
	assert_true(status.connected && !status.from_disk);
	assert_int_equal(status.epoch, 20);
}

static void test_refused(void **state)
{
	(void)state;
	join(0, sl_xds_push_addr(push), NULL);
	publish(1, 100);
	UNTIL(seen.all_ack == 1);
	proxies[0].refuse = 2;
	publish(2, 50);
	UNTIL(seen.nacks == 1);
	assert_string_equal(seen.nack_text, "listeners[web]: the port is taken");
	assert_int_equal(proxies[0].in_force->epoch, 1);
	publish(3, 60);
	UNTIL(seen.all_ack == 3);
}

static void test_load_reports(void **state)
{
	(void)state;
	join(0, sl_xds_push_addr(push), NULL);
	UNTIL(seen.introductions == 1); /* it will report, also before it has anything to tell */
	for (int i = 1; i <= 5; i++) {
		proxies[0].count = (uint64_t)i;
		UNTIL(seen.loads == i);
	}
	assert_int_equal(seen.issued, 15);
	assert_int_equal(seen.judged, 15);
	assert_string_equal(seen.load_node, "proxy-0");
}

static void test_control_plane_restarts(void **state)
{
	char text[SL_ADDR_TEXT_BYTES];

	(void)state;
	join(0, sl_xds_push_addr(push), NULL);
	publish(1, 100);
	UNTIL(seen.all_ack == 1);
	sl_addr_format(text, sl_xds_push_addr(push));
	sl_xds_push_free(SL_STEAL(push));
	UNTIL(proxies[0].down == 1);
	assert_int_equal(proxies[0].in_force->epoch, 1);
	for (int i = 0; i < 20; i++)
		sl_loop_turn(&loop, SL_MSEC(5)); /* tries in vain */
	serve(text);
	publish(9, 40);
	UNTIL(seen.all_ack == 9);
	assert_int_equal(proxies[0].in_force->epoch, 9);
	proxies[0].count = 7; /* reports go on too */
	UNTIL(seen.issued == 7);
}

static bool holds_epoch(const char *path, uint64_t epoch)
{
	SL_CLEANUP(sl_mesh_unref) struct sl_mesh *mesh = NULL;

	return sl_xds_mesh_load(path, &mesh, NULL) == SL_OK && mesh->epoch == epoch;
}

static void test_starts_from_disk(void **state)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf dir = { 0 }, path = { 0 };
	struct sl_xds_client_status status;
	struct sl_addr nowhere = *sl_xds_push_addr(push);
	char text[SL_ADDR_TEXT_BYTES];

	(void)state;
	sl_buf_printf(&dir, "%s/not/there/yet", state_dir);
	sl_buf_printf(&path, "%s/mesh.json", sl_buf_cstr(&dir));
	join(0, &nowhere, dir.p);
	publish(1, 100);
	publish(2, 30);
	UNTIL(holds_epoch(sl_buf_cstr(&path), 2));
	leave(0);
	sl_addr_format(text, &nowhere);
	sl_xds_push_free(SL_STEAL(push)); /* nobody there */
	join(0, &nowhere, dir.p);
	UNTIL(proxies[0].in_force);
	assert_int_equal(proxies[0].in_force->epoch, 2);
	assert_int_equal(proxies[0].in_force->route_configs[0].hosts[0].routes[0].splits[0].weight, 30);
	sl_xds_client_read(proxies[0].client, &status);
	assert_true(status.from_disk && !status.connected);
	assert_int_equal(status.epoch, 2);
	serve(text); /* and it comes back */
	publish(3, 20);
	UNTIL(seen.all_ack == 3);
	sl_xds_client_read(proxies[0].client, &status);
	assert_true(!status.from_disk && status.connected);
}

static void test_damaged_file(void **state)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf path = { 0 };

	(void)state;
	sl_buf_printf(&path, "%s/mesh.json", state_dir);
	sl_assert_ok(sl_file_write(sl_buf_cstr(&path), SL_STR("{ \"epoch\": 4, \"clus"), 0600));
	join(0, sl_xds_push_addr(push), state_dir);
	assert_int_equal(proxies[0].offers, 0);
	publish(5, 1);
	UNTIL(seen.all_ack == 5);
	UNTIL(holds_epoch(path.p, 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_in_force_everywhere, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_load_reports, setup, teardown),
		cmocka_unit_test_setup_teardown(test_control_plane_restarts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_starts_from_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged_file, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
