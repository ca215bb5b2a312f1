/*
 * The judge's figures in full: false rollbacks (J1), power (J2), latency (J3), promotion (J4), each held against its goal; prints a table,
 * or one JSON object with --json; --runs N scales it; progress goes to stderr; exits 1 when a goal is missed.
 */
#include "judge/simulate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double alphas[] = { 0.05, 0.01, 0.001 };
enum { ALPHAS = 3, REQUESTS = 1000000, LOOKS = 500 };

static bool json, missed, first_row = true;

struct progress {
	const char *what;
	uint64_t runs;
};

static void show_progress(void *arg, uint64_t done)
{
	const struct progress *p = arg;

	if (done % 500 == 0 && isatty(STDERR_FILENO))
		fprintf(stderr, "\r%-44s %3llu %%", p->what, (unsigned long long)(done * 100 / p->runs));
	if (done == p->runs && isatty(STDERR_FILENO))
		fprintf(stderr, "\r%60s\r", "");
}

static const char *mark(bool ok)
{
	missed |= !ok;
	return ok ? "ok" : "MISSED";
}

static void json_row(const char *goal, const char *what)
{
	printf("%s\n    {\"goal\": \"%s\", \"what\": \"%s\"", first_row ? "" : ",", goal, what);
	first_row = false;
}

struct equal_row {
	const char *what;
	double p;
	uint32_t group;
	bool no_dedupe, guard;
	uint64_t requests;
	uint32_t share; /* of the runs asked for, 1/share */
};

/* `--runs` runs for rows held to 0.1 %, which no smaller number can prove. */
static const struct equal_row equal_rows[] = {
	{ "single failures", 0.001, 1, false, false, REQUESTS, 1 },
	{ "groups of 2, deduplicated", 0.001, 2, false, false, REQUESTS, 1 },
	{ "groups of 5, deduplicated", 0.001, 5, false, false, REQUESTS, 1 },
	{ "groups of 10, deduplicated", 0.001, 10, false, false, REQUESTS, 1 },
	{ "failure rate 5 %", 0.05, 1, false, false, REQUESTS, 1 },
	{ "the proxy's guard", 0.001, 1, false, true, REQUESTS, 1 },
	{ "the proxy's guard, failure rate 5 %", 0.05, 1, false, true, REQUESTS / 10, 2 },
	{ "groups of 2, NOT deduplicated", 0.001, 2, true, false, REQUESTS, 10 },
	{ "groups of 5, NOT deduplicated", 0.001, 5, true, false, REQUESTS, 10 },
};

static void print_equal(const struct equal_row *row, uint64_t runs, const uint64_t *hits)
{
	for (int a = 0; a < ALPHAS; a++) {
		sl_share_interval ci = sl_clopper_pearson(hits[a], runs);
		bool ok = row->no_dedupe ||
		          ci.high <= alphas[a]; /* those rows show why events are deduplicated */
		const char *says = row->no_dedupe ? "shown" : mark(ok);

		if (json) {
			json_row("J1", row->what);
			printf(", \"alpha\": %g, \"runs\": %llu, \"false\": %llu, \"low\": %.6f, \"high\": %.6f, \"ok\": %s}",
			        alphas[a], (unsigned long long)runs, (unsigned long long)hits[a], ci.low,
			        ci.high, ok ? "true" : "false");
			continue;
		}
		printf("J1  %-38s alpha %4.1f %%  %6llu runs  %6.3f %% false  [%.3f, %.3f]  %s\n", row->what,
		        100 * alphas[a], (unsigned long long)runs, 100 * (double)hits[a] / (double)runs,
		        100 * ci.low, 100 * ci.high, says);
	}
}

static void run_equal(const struct equal_row *row, uint64_t all_runs)
{
	uint64_t runs = all_runs / row->share, hits[ALPHAS];
	struct progress progress = { row->what, runs };
	struct sl_sim_equal sim = { .seed = 1,
		.runs = runs,
		.requests = row->requests,
		.looks = LOOKS,
		.p = row->p,
		.group = row->group,
		.no_dedupe = row->no_dedupe,
		.guard = row->guard,
		.alphas = alphas,
		.alpha_count = ALPHAS,
		.progress = show_progress,
		.progress_arg = &progress };

	sl_simulate_equal(&sim, hits);
	print_equal(row, runs, hits);
}

struct power_row {
	const char *goal, *what;
	double p0, p1, w, not_worse_than;
	double mean, p95, over_floor; /* goals; 0: none, shown only */
};

static const struct power_row power_rows[] = {
	{ "J2", "0.1 % to 1 %", 0.001, 0.01, 0.05, 0, 550, 1400, 0 },
	{ "J2", "0.1 % to 5 %", 0.001, 0.05, 0.05, 0, 0, 150, 0 },
	{ "J2", "0.1 % to 100 %", 0.001, 1, 0.05, 0, 0, 3, 0 },
	{ "J2", "odds 1.5", 0.001, 0.00149925, 0.05, 0, 0, 0, 1.8 },
	{ "J2", "odds 2", 0.001, 0.001998, 0.05, 0, 0, 0, 1.8 },
	{ "J2", "odds 3", 0.001, 0.002994, 0.05, 0, 0, 0, 1.8 },
	{ "J2", "odds 5", 0.001, 0.0049801, 0.05, 0, 0, 0, 1.8 },
	{ "J2", "odds 10", 0.001, 0.0099108, 0.05, 0, 0, 0, 1.8 },
	{ "J2", "odds 20", 0.001, 0.019627, 0.05, 0, 0, 0, 1.8 },
	{ "J2", "odds 50", 0.001, 0.047664, 0.05, 0, 0, 0, 1.8 },
	{ "J3", "slower than p95: 5 % to 10 %", 0.05, 0.10, 0.05, 0, 0, 800, 0 },
	{ "J4", "not worse than 10x, w 1 %", 0.001, 0.001, 0.01, 10, 800, 0, 0 },
	{ "J4", "not worse than 10x, w 5 %", 0.001, 0.001, 0.05, 10, 0, 0, 0 },
	{ "J4", "not worse than 2x, w 1 %", 0.001, 0.001, 0.01, 2, 17000, 0, 0 },
	{ "J4", "not worse than 2x, w 5 %", 0.001, 0.001, 0.05, 2, 17000, 0, 0 },
};

static void run_power(const struct power_row *row, uint64_t *scratch, uint64_t runs)
{
	struct sl_sim_power sim = { .seed = 1,
		.runs = runs,
		.p0 = row->p0,
		.p1 = row->p1,
		.w = row->w,
		.alpha = 0.01,
		.not_worse_than = row->not_worse_than,
		.most = 10000000 };
	double floor = row->not_worse_than ? 0 : sl_power_floor(row->p0, row->p1, sim.alpha);
	struct sl_sim_delay d;
	bool goal = row->mean || row->p95 || row->over_floor, ok;

	sl_simulate_power(&sim, scratch, &d);
	ok = !d.undecided && (!row->mean || d.mean <= row->mean) &&
	     (!row->p95 || (double)d.p95 <= row->p95) &&
	     (!row->over_floor || d.mean <= row->over_floor * floor);
	if (json) {
		json_row(row->goal, row->what);
		printf(", \"runs\": %llu, \"mean\": %.1f, \"p50\": %llu, \"p95\": %llu, \"floor\": %.1f, \"ok\": %s}",
		        (unsigned long long)runs, d.mean, (unsigned long long)d.p50,
		        (unsigned long long)d.p95, floor, !goal || ok ? "true" : "false");
		missed |= goal && !ok;
		return;
	}
	printf("%s  %-38s mean %8.1f  p50 %7llu  p95 %7llu", row->goal, row->what, d.mean,
	        (unsigned long long)d.p50, (unsigned long long)d.p95);
	if (row->over_floor)
		printf("  %.2f x floor (goal %.1f)", d.mean / floor, row->over_floor);
	if (row->mean)
		printf("  goal mean %.0f", row->mean);
	if (row->p95)
		printf("  goal p95 %.0f", row->p95);
	printf("  %s\n", goal ? mark(ok) : "shown");
}

static int usage(void)
{
	fprintf(stderr,
	        "usage: judge_bench [--json] [--runs N]   (N from 100; 20000 runs prove the 0.1 %% rows)\n");
	return 2;
}

int main(int argc, char **argv)
{
	uint64_t runs = 20000, *scratch;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			json = true;
		else if (strcmp(argv[i], "--runs") == 0 && i + 1 < argc)
			runs = strtoull(argv[++i], NULL, 10);
		else
			return usage();
	}
	if (runs < 100 || runs > 10000000)
		return usage();
	scratch = calloc(runs, sizeof(*scratch));
	if (!scratch)
		return 1;
	if (json)
		printf("{\"bench\": \"judge\", \"requests_per_run\": %d, \"looks_per_run\": %d, \"rows\": [",
		        REQUESTS, LOOKS);
	for (size_t i = 0; i < sizeof(equal_rows) / sizeof(equal_rows[0]); i++)
		run_equal(&equal_rows[i], runs);
	for (size_t i = 0; i < sizeof(power_rows) / sizeof(power_rows[0]); i++)
		run_power(&power_rows[i], scratch, runs < 4000 ? runs : 4000);
	if (json)
		printf("\n  ], \"ok\": %s}\n", missed ? "false" : "true");
	free(scratch);
	return missed;
}
