/*
 * Durable writes a second and watch delay of the sqlite back-end: `store_store_bench [OBJECTS [CONCURRENCY [DIR]]]`. Each writer creates an
 * object of about 1.5 KB, and begins the next when it is acknowledged. Prints one JSON object.
 */
#include "loop/loop.h"
#include "os/clock.h"
#include "os/file.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>

struct bench {
	struct sl_loop loop;
	struct sl_store *store;
	unsigned wanted, begun, ended;
	sl_nsec *begun_at, *took;
	char filling[1200];
};

static void begin_one(struct bench *b);

static void on_done(void *arg, sl_err err, struct sl_object *o)
{
	struct bench *b = arg;
	if (err != SL_OK)
		abort();
	unsigned n = (unsigned)atoi(o->key.name.p + 1);
	b->took[n] = sl_clock_mono() - b->begun_at[n];
	b->ended++;
	if (b->begun < b->wanted)
		begin_one(b);
}

static void begin_one(struct bench *b)
{
	char name[16];
	unsigned n = b->begun++;
	snprintf(name, sizeof(name), "n%u", n);
	struct sl_store_write w = {
		.key = { SL_STR(""), SL_STR("configmaps"), SL_STR("default"), sl_str_c(name) },
		.body = json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:s}, s:{s:s}}", "apiVersion", "v1", "kind",
		        "ConfigMap", "metadata", "name", name, "namespace", "default", "uid",
		        "00000000-0000-4000-8000-000000000000", "creationTimestamp", "2026-01-01T00:00:00Z",
		        "data", "filling", b->filling),
		.done = on_done,
		.arg = b,
	};
	b->begun_at[n] = sl_clock_mono();
	if (sl_store_create(b->store, &w, NULL) != SL_OK)
		abort();
}

static bool all_ended(void *arg)
{
	struct bench *b = arg;
	return b->ended == b->wanted;
}

static int by_time(const void *a, const void *b)
{
	sl_nsec one = *(const sl_nsec *)a, two = *(const sl_nsec *)b;
	return one < two ? -1 : one > two;
}

int main(int argc, char **argv)
{
	struct bench b = { .wanted = argc > 1 ? (unsigned)atoi(argv[1]) : 10000 };
	unsigned concurrency = argc > 2 ? (unsigned)atoi(argv[2]) : 64;
	char *dir = argc > 3 ? sl_strdup(argv[3]) : NULL;
	if ((!dir && sl_dir_make_temp("sl-bench-", &dir) != SL_OK) || sl_loop_init(&b.loop, NULL) != SL_OK)
		return 1;
	SL_CLEANUP(sl_free) char *path = sl_asprintf("%s/state.db", dir);
	if (sl_store_open_sqlite(&b.store, &b.loop, path, NULL, NULL) != SL_OK)
		return 1;
	memset(b.filling, 'x', sizeof(b.filling) - 1);
	b.begun_at = sl_new0_array(b.wanted, sizeof(sl_nsec));
	b.took = sl_new0_array(b.wanted, sizeof(sl_nsec));
	sl_nsec start = sl_clock_mono();
	for (unsigned i = 0; i < concurrency && i < b.wanted; i++)
		begin_one(&b);
	if (!sl_loop_run_until(&b.loop, all_ended, &b, SL_SEC(600)))
		return 1;
	double seconds = (double)(sl_clock_mono() - start) / 1e9;
	struct sl_store_stats stats;
	sl_store_read_stats(b.store, &stats);
	qsort(b.took, b.wanted, sizeof(sl_nsec), by_time);
	sl_nsec p50 = b.took[b.wanted / 2], p99 = b.took[b.wanted * 99 / 100];
	printf("{\"writes\": %u, \"concurrency\": %u, \"writes_per_second\": %.0f, \"group\": %.1f, \"p50_ms\": %.2f, \"p99_ms\": %.2f}\n",
	        b.wanted, concurrency, b.wanted / seconds, (double)stats.writes / (double)stats.commits,
	        (double)p50 / 1e6, (double)p99 / 1e6);
	sl_store_close(b.store);
	sl_loop_fini(&b.loop);
	if (argc <= 3)
		SL_IGNORE(sl_path_remove(dir)); /* a leftover in /tmp hurts nobody */
	sl_free(dir);
	sl_free(b.begun_at);
	sl_free(b.took);
	return 0;
}
