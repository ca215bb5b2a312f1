/* The judge's figures, small enough for every test run; judge_bench has them in full. Seeds are fixed: the outcome is, too. */
#include "base/test.h"

#include "judge/simulate.h"

#include <math.h>
#include <stdio.h>

static const double alphas[] = { 0.05, 0.01, 0.001 };
enum { ALPHAS = 3 };

static void sampling_is_exact(void **state)
{
	double sum = 0, squares = 0, geometric = 0;
	struct sl_rng r;

	(void)state;
	sl_rng_seed(&r, 7);
	for (int i = 0; i < 100000; i++) {
		double k = (double)sl_rng_binomial(&r, 2000, 0.002);

		sum += k;
		squares += k * k;
		geometric += (double)sl_rng_geometric(&r, 0.01, 1000000);
	}
	assert_true(fabs(sum / 1e5 - 4) < 0.03);
	assert_true(fabs(squares / 1e5 - sum * sum / 1e10 - 3.992) < 0.08);
	assert_true(fabs(geometric / 1e5 - 100) < 1.5);
	assert_int_equal(sl_rng_binomial(&r, 10, 1), 10);
	assert_int_equal(sl_rng_binomial(&r, 10, 0), 0);
	assert_int_equal(sl_rng_geometric(&r, 0, 9), 9);
	assert_int_equal(sl_rng_geometric(&r, 1, 9), 1);
}

static void clopper_pearson_matches_published_values(void **state)
{
	static const struct {
		uint64_t hits, n;
		double low, high;
	} cases[] = {
		{ 0, 10, 0, 0.30850 },
		{ 10, 10, 0.69150, 1 },
		{ 1, 100, 0.000253, 0.054459 },
		{ 50, 1000, 0.037354, 0.065390 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		sl_share_interval ci = sl_clopper_pearson(cases[i].hits, cases[i].n);

		assert_true(fabs(ci.low - cases[i].low) < 1e-4 && fabs(ci.high - cases[i].high) < 1e-4);
	}
}

/* J1, 1,200 runs a row: too few to prove 0.1 %, enough to disprove a broken judge. */
static void false_rollbacks_stay_below_alpha(void **state)
{
	static const uint32_t groups[] = { 1, 3, 10 };
	enum { RUNS = 1200 };

	(void)state;
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		struct sl_sim_equal sim = { .seed = 100 + i,
			.runs = RUNS,
			.requests = 1000000,
			.looks = 500,
			.p = 0.001,
			.group = groups[i],
			.alphas = alphas,
			.alpha_count = ALPHAS };
		uint64_t hits[ALPHAS];

		sl_simulate_equal(&sim, hits);
		assert_true(sl_clopper_pearson(hits[0], RUNS).high <= alphas[0]);
		for (int a = 0; a < ALPHAS; a++)
			assert_true(sl_clopper_pearson(hits[a], RUNS).low <= alphas[a]);
		assert_true(hits[0] > 0); /* a test that never speaks proves nothing */
	}
}

static void without_dedupe_groups_break_the_bound(void **state)
{
	struct sl_sim_equal sim = { .seed = 1,
		.runs = 300,
		.requests = 1000000,
		.looks = 500,
		.p = 0.001,
		.group = 5,
		.no_dedupe = true,
		.alphas = alphas,
		.alpha_count = ALPHAS };
	uint64_t hits[ALPHAS];

	(void)state;
	sl_simulate_equal(&sim, hits);
	assert_true(sl_clopper_pearson(hits[1], 300).low > 0.05);
}

static void the_guard_keeps_alpha_too(void **state)
{
	struct sl_sim_equal sim = { .seed = 1,
		.runs = 400,
		.requests = 100000,
		.looks = 500,
		.p = 0.05,
		.group = 1,
		.guard = true,
		.alphas = &alphas[1],
		.alpha_count = 1 };
	uint64_t hits;

	(void)state;
	sl_simulate_equal(&sim, &hits);
	assert_true(sl_clopper_pearson(hits, 400).low <= alphas[1]);
	assert_true(hits <= 4);
}

/* J2, J3 and J4 at 500 runs a row. */
static void power_reaches_the_goals(void **state)
{
	enum { RUNS = 500 };
	static const struct {
		double p0, p1, w, not_worse_than;
		double mean, p95, over_floor; /* 0: no goal */
	} cases[] = {
		{ 0.001, 0.01, 0.05, 0, 550, 1400, 1.8 },
		{ 0.001, 0.05, 0.05, 0, 0, 150, 0 },
		{ 0.001, 1, 0.05, 0, 0, 3, 0 },
		{ 0.001, 0.003, 0.05, 0, 0, 0, 1.8 },
		{ 0.05, 0.10, 0.05, 0, 0, 900, 0 },
		{ 0.001, 0.001, 0.01, 10, 800, 0, 0 },
	};
	static uint64_t scratch[RUNS];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sl_sim_power sim = { .seed = 1,
			.runs = RUNS,
			.p0 = cases[i].p0,
			.p1 = cases[i].p1,
			.w = cases[i].w,
			.alpha = 0.01,
			.not_worse_than = cases[i].not_worse_than,
			.most = 1000000 };
		struct sl_sim_delay d;

		sl_simulate_power(&sim, scratch, &d);
		assert_int_equal(d.undecided, 0);
		assert_true(!cases[i].mean || d.mean <= cases[i].mean);
		assert_true(!cases[i].p95 || (double)d.p95 <= cases[i].p95);
		assert_true(!cases[i].over_floor ||
		            d.mean <= cases[i].over_floor * sl_power_floor(sim.p0, sim.p1, sim.alpha));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sampling_is_exact),
		cmocka_unit_test(clopper_pearson_matches_published_values),
		cmocka_unit_test(false_rollbacks_stay_below_alpha),
		cmocka_unit_test(without_dedupe_groups_break_the_bound),
		cmocka_unit_test(the_guard_keeps_alpha_too),
		cmocka_unit_test(power_reaches_the_goals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
