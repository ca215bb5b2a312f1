#include "base/test.h"

#include "judge/burst.h"
#include "judge/count_test.h"
#include "judge/guard.h"
#include "judge/histogram.h"
#include "judge/replay.h"
#include "judge/simulate.h"
#include "judge/verdict.h"

#include <math.h>
#include <stdio.h>

static void logarithm_and_exponential_agree_with_libm(void **state)
{
	static const double xs[] = { 1e-300, 5e-324, 1e-10, 0.5, 0.70710678, 0.99999, 1, 1.0000001,
		1.41421356, 1.5, 200, 1e18, 1.7e308 };

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(xs); i++)
		assert_true(fabs(sl_judge_log(xs[i]) - log(xs[i])) <= 1e-14 * fmax(1, fabs(log(xs[i]))));
	for (int i = -74000; i < 70900; i += 37)
		assert_true(
		        fabs(sl_judge_exp(i / 100.0) - exp(i / 100.0)) <= 1e-13 * exp(i / 100.0) + 1e-322);
	assert_true(isinf(sl_judge_log(0)) && isinf(sl_judge_log(-1)) && isinf(sl_judge_log(NAN)));
	assert_true(isinf(sl_judge_exp(710)) && sl_judge_exp(-800) == 0 && sl_judge_exp(0) == 1);
}

/* The formula of the literature, multiplied out. */
static double e_by_hand(const struct sl_counts *ticks, size_t count, double psi0)
{
	double e = 0;

	for (int g = 0; g < 24; g++) {
		double psi = psi0 * 1.25 * pow(200 / 1.25, g / 23.0), product = 1;

		for (size_t i = 0; i < count; i++) {
			double c = (double)ticks[i].n_c, b = (double)ticks[i].n_b;
			double theta = psi * c / (psi * c + b), theta0 = psi0 * c / (psi0 * c + b);

			product *= pow(theta / theta0, (double)ticks[i].e_c);
			product *= pow((1 - theta) / (1 - theta0), (double)ticks[i].e_b);
		}
		e += product / 24;
	}
	return e;
}

static void e_value_is_the_published_formula(void **state)
{
	static const struct sl_counts ticks[] = {
		{ 50, 950, 3, 1 },
		{ 10, 90, 0, 2 },
		{ 500, 500, 4, 4 },
		{ 7, 3, 1, 0 },
		{ 1, 9, 0, 0 },
	};
	static const double tolerances[] = { 1, 1.5, 10 };
	struct sl_count_test t;

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(tolerances); i++) {
		struct sl_counts last = ticks[SL_ARRAY_COUNT(ticks) - 2];
		double want = e_by_hand(ticks, SL_ARRAY_COUNT(ticks), tolerances[i]), open;

		sl_count_test_init(&t, tolerances[i], 2);
		for (size_t k = 0; k + 2 < SL_ARRAY_COUNT(ticks); k++)
			sl_count_test_add(&t, &ticks[k]);
		open = sl_count_test_log_e_with(&t, &last);
		sl_count_test_add(&t, &last);
		assert_true(fabs(exp(sl_count_test_log_e(&t)) / want - 1) < 1e-10);
		assert_true(fabs(open - sl_count_test_log_e(&t)) < 1e-12);
		assert_int_equal(t.total.n_c, 567);
		assert_int_equal(t.ticks, 4);
	}
}

static void ticks_that_say_nothing_change_nothing(void **state)
{
	static const struct sl_counts cases[] = {
		{ 0, 0, 0, 0 },
		{ 100, 1000, 0, 0 }, /* no event */
		{ 100, 0, 50, 0 },   /* no baseline: nothing to compare with */
		{ 0, 1000, 0, 10 },  /* no canary traffic */
		{ 0, 1000, 5, 0 },   /* events without requests are no events */
		{ 0, 0, 5, 5 },
		{ UINT64_MAX, 0, UINT64_MAX, 0 },
	};
	struct sl_count_test t;

	(void)state;
	sl_count_test_init(&t, 1, 2);
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		sl_count_test_add(&t, &cases[i]);
		assert_true(fabs(sl_count_test_log_e(&t)) < 1e-12);
		assert_true(sl_count_test_log_e_not_worse(&t) == 0);
		assert_true(fabs(sl_count_test_log_e_with(&t, &cases[i])) < 1e-12);
	}
	assert_int_equal(t.ticks, 0);
}

static void wild_counts_never_give_nan(void **state)
{
	static const uint64_t wild[] = { 0, 1, 2, 1000, 1ULL << 40, UINT64_MAX - 1, UINT64_MAX };
	const size_t n = SL_ARRAY_COUNT(wild);
	static const double psi0s[] = { 1, 3, 0, -1, NAN, INFINITY };

	(void)state;
	for (size_t p = 0; p < SL_ARRAY_COUNT(psi0s); p++) {
		struct sl_count_test t;

		sl_count_test_init(&t, psi0s[p], psi0s[p]);
		for (size_t i = 0; i < n * n * n * n; i++) {
			struct sl_counts c = { wild[i % n], wild[i / n % n], wild[i / n / n % n],
				wild[i / n / n / n] };
			sl_odds_interval odds;

			sl_count_test_add(&t, &c);
			odds = sl_count_test_interval(&t, 0.01);
			assert_true(!isnan(sl_count_test_log_e(&t)));
			assert_true(!isnan(sl_count_test_log_e_with(&t, &c)));
			assert_true(!isnan(sl_count_test_log_e_not_worse(&t)));
			assert_true(odds.low < odds.high);
		}
	}
}

static void verdicts_point_the_right_way(void **state)
{
	static const struct {
		double psi0, psi1;
		struct sl_counts tick; /* a hundred of these */
		int worse, not_worse;  /* -1: E stays below 1/100; 1: passes it */
		double odds_low, odds_high;
	} cases[] = {
		{ 1, 2, { 50, 950, 1, 1 }, 1, -1, 5, 60 },   /* 19 times worse */
		{ 1, 2, { 50, 950, 0, 1 }, -1, 1, 0, 2.5 },  /* plainly better */
		{ 1, 2, { 500, 500, 4, 4 }, -1, 1, 0.5, 2 }, /* equal, much data */
		{ 3, 2, { 500, 500, 8, 4 }, -1, -1, 1, 5 },  /* twice worse, three times tolerated */
		{ 1.1, 10, { 500, 500, 8, 4 }, 1, 1, 1, 5 }, /* surely worse, and surely not ten times */
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		struct sl_count_test t;
		sl_odds_interval odds;

		sl_count_test_init(&t, cases[i].psi0, cases[i].psi1);
		for (int k = 0; k < 100; k++)
			sl_count_test_add(&t, &cases[i].tick);
		odds = sl_count_test_interval(&t, 0.01);
		assert_int_equal(sl_count_test_log_e(&t) >= log(100) ? 1 : -1, cases[i].worse);
		assert_int_equal(sl_count_test_log_e_not_worse(&t) >= log(100) ? 1 : -1, cases[i].not_worse);
		assert_true(odds.low >= cases[i].odds_low && odds.high <= cases[i].odds_high);
	}
}

static void interval_knows_nothing_at_first(void **state)
{
	struct sl_count_test t;
	sl_odds_interval odds;

	(void)state;
	sl_count_test_init(&t, 1, 2);
	odds = sl_count_test_interval(&t, 0.01);
	assert_true(odds.low == 0 && isinf(odds.high));
}

static void bursts_count_once_a_second(void **state)
{
	static const struct {
		sl_nsec at;
		bool begins;
	} cases[] = {
		{ SL_SEC(5), true },
		{ SL_SEC(5), false },
		{ SL_SEC(5) + SL_MSEC(999), false },
		{ SL_SEC(6), true },
		{ SL_SEC(6) + SL_MSEC(500), false },
		{ SL_SEC(60), true },
	};
	struct sl_burst b = { 0 };

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++)
		assert_int_equal(sl_burst_begins(&b, cases[i].at), cases[i].begins);
	assert_int_equal(b.count, 3);
}

static void histogram_keeps_one_percent(void **state)
{
	static struct sl_histogram h, half;
	struct sl_rng r;

	(void)state;
	for (uint64_t v = 0; v < (1ULL << 32); v += 1 + v / 37) {
		size_t i = sl_histogram_index(v);
		uint64_t low = sl_histogram_bucket_low(i), width = sl_histogram_bucket_width(i);
		uint64_t middle = low + (width - 1) / 2;

		assert_true(i < SL_HISTOGRAM_BUCKETS && low <= v && v < low + width);
		assert_true(fabs((double)middle - (double)v) <= 0.01 * (double)v);
	}
	assert_int_equal(sl_histogram_index(UINT64_MAX), SL_HISTOGRAM_BUCKETS - 1);
	assert_int_equal(sl_histogram_quantile(&h, 0.5), 0);
	assert_false(sl_histogram_add_bucket(&h, SL_HISTOGRAM_BUCKETS, 1));
	for (uint64_t v = 1; v <= 100000; v++)
		sl_histogram_add(v % 2 ? &h : &half, v);
	sl_histogram_merge(&h, &half);
	assert_int_equal(h.count, 100000);
	assert_int_equal(h.sum, 100000ULL * 100001 / 2);
	for (int i = 1; i < 100; i++)
		assert_true(fabs((double)sl_histogram_quantile(&h, i / 100.0) / (i * 1000) - 1) <= 0.01);
	assert_true(fabs((double)sl_histogram_above(&h, 95000) - 5000) <= 0.01 * 95000);
	sl_rng_seed(&r, 1);
	for (int i = 0; i < 1000; i++)
		assert_true(
		        sl_histogram_add_bucket(&half, (size_t)(sl_rng_u64(&r) % SL_HISTOGRAM_BUCKETS), 3));
	assert_int_equal(half.count, 50000 + 3000);
}

/* The true median of uniform values lies within the bounds at every one of many looks, in nearly every run. */
static void quantile_bounds_hold_at_all_times(void **state)
{
	static struct sl_histogram h;
	int missed = 0;

	(void)state;
	for (uint64_t run = 0; run < 200; run++) {
		bool miss = false;
		struct sl_rng r;

		memset(&h, 0, sizeof(h));
		sl_rng_seed(&r, run);
		for (int i = 1; i <= 3000; i++) {
			double low, high;

			sl_histogram_add(&h, sl_rng_u64(&r) % 101); /* median 50 */
			if (i % 50)
				continue;
			sl_histogram_bounds(&h, 0.5, 0.05, &low, &high);
			assert_true(low <= 0.5 && high >= 0.5);
			miss |= sl_histogram_quantile(&h, low) > 50 || sl_histogram_quantile(&h, high) < 50;
		}
		missed += miss;
	}
	assert_true(missed <= 10);
}

static void judge_holds_without_data_and_says_why(void **state)
{
	struct sl_judge_config config;
	struct sl_verdict v;
	struct sl_judge j;

	(void)state;
	sl_judge_config_defaults(&config);
	config.initial_delay = SL_SEC(10);
	sl_judge_init(&j, &config, SL_SEC(100));
	sl_judge_verdict(&j, &v);
	assert_int_equal(v.kind, SL_VERDICT_HOLD);
	assert_string_equal(
	        v.text, "failures: e-value 1.00 of 100 needed; canary 0 of 0 (0%), stable 0 of 0 (0%)");
	sl_judge_add(
	        &j, SL_SEC(109), &(struct sl_counts) { 100, 1000, 100, 0 }); /* warming up: not counted */
	assert_int_equal(j.ticks, 0);
	for (int i = 0; i < 1000; i++) /* no baseline, no verdict, however bad it looks */
		sl_judge_add(&j, SL_SEC(110 + i), &(struct sl_counts) { 100, 0, 100, 0 });
	sl_judge_verdict(&j, &v);
	assert_int_equal(v.kind, SL_VERDICT_HOLD);
	sl_judge_add(&j, SL_SEC(2000), &(struct sl_counts) { 100, 1000, 10, 1 });
	sl_judge_verdict(&j, &v);
	assert_int_equal(v.kind, SL_VERDICT_WORSE);
	assert_non_null(strstr(v.text, "canary 100010 of 100100"));
	/* the interval is wider than the verdict: where it does not agree with it, it is not told */
	assert_true(strstr(v.text, "odds") ? v.odds.low > 1 : v.odds.low < 1.05);
	for (int i = 0; i < 1000; i++) /* a proof does not fade */
		sl_judge_add(&j, SL_SEC(3000), &(struct sl_counts) { 1000, 1000, 0, 10 });
	sl_judge_verdict(&j, &v);
	assert_true(v.log_e < 0);
	assert_int_equal(v.kind, SL_VERDICT_WORSE);
}

static void several_metrics_share_one_alpha(void **state)
{
	struct sl_judge_config config;
	struct sl_verdict v;
	struct sl_judge j;

	(void)state;
	sl_judge_config_defaults(&config);
	config.metric_count = 2;
	config.metrics[1] = (struct sl_judge_metric_config) { "slower than p95", 3, 1, 1.5 };
	sl_judge_init(&j, &config, 0);
	for (int i = 0; i < 300; i++) {
		struct sl_counts counts[2] = { { 500, 500, 5, 5 }, { 500, 500, 25, 25 } };

		sl_judge_add(&j, i, counts);
		sl_judge_verdict(&j, &v);
		if (v.kind == SL_VERDICT_NOT_WORSE)
			break;
		/* promotion waits for the slower of the two */
		assert_true(fmin(sl_count_test_log_e_not_worse(&j.tests[0]),
		                    sl_count_test_log_e_not_worse(&j.tests[1])) < log(100));
	}
	assert_int_equal(v.kind, SL_VERDICT_NOT_WORSE);
	assert_non_null(strstr(v.text, "for not worse"));
	sl_judge_init(&j, &config, 0);
	for (int i = 0; i < 10; i++)
		sl_judge_add(&j, i, (struct sl_counts[2]) { { 500, 500, 5, 5 }, { 500, 500, 100, 25 } });
	sl_judge_verdict(&j, &v);
	assert_int_equal(v.kind, SL_VERDICT_WORSE);
	assert_int_equal(v.metric, 1);
	assert_non_null(strstr(v.text, "slower than p95: e-value 10^"));
	assert_true(fabs(v.log_e - log((exp(sl_count_test_log_e(&j.tests[0])) +
	                                       3 * exp(sl_count_test_log_e(&j.tests[1]))) /
	                                   4)) < 1e-9);
}

static void a_bad_config_falls_back(void **state)
{
	struct sl_judge_config config = {
		.alpha = 7, .alpha_promote = NAN, .initial_delay = -5, .metric_count = 99
	};
	struct sl_judge j;

	(void)state;
	sl_judge_init(&j, &config, 0);
	assert_true(j.config.alpha == 0.01 && j.config.alpha_promote == 0.01 && j.config.initial_delay == 0);
	assert_int_equal(j.config.metric_count, 1);
	assert_string_equal(j.config.metrics[0].name, "failures");
}

static void fill_record(struct sl_judge_record *record, struct sl_judge *j)
{
	struct sl_judge_config config;
	struct sl_rng r;

	sl_judge_config_defaults(&config);
	config.metric_count = 2;
	config.initial_delay = SL_SEC(3);
	config.metrics[1] = (struct sl_judge_metric_config) { "slow", 0.5, 1.2, 3 };
	sl_judge_init(j, &config, SL_SEC(1000));
	sl_judge_record_begin(record, j);
	sl_rng_seed(&r, 42);
	for (int i = 0; i < 500; i++) {
		uint64_t n = sl_rng_u64(&r) % 3 ? sl_rng_u64(&r) % 100000 : 0;
		struct sl_counts counts[2] = { { n / 20, n - n / 20, n / 3000, n / 1000 },
			{ n / 20, n - n / 20, n / 200, n / 20 } };

		sl_judge_add(j, SL_SEC(1000) + SL_MSEC(100) * i, counts);
		sl_judge_record_add(record, j, SL_SEC(1000) + SL_MSEC(100) * i, counts);
	}
}

static void a_record_replays_to_the_same_bits(void **state)
{
	struct sl_judge_record record = { 0 };
	struct sl_judge j, again;
	struct sl_verdict v, w;

	(void)state;
	fill_record(&record, &j);
	sl_assert_ok(sl_judge_replay(&again, sl_buf_str(&record.bytes)));
	for (size_t m = 0; m < 2; m++)
		assert_memory_equal(again.tests[m].log_l, j.tests[m].log_l, sizeof(j.tests[m].log_l));
	sl_judge_verdict(&j, &v);
	sl_judge_verdict(&again, &w);
	assert_memory_equal(&v.log_e, &w.log_e, sizeof(v.log_e));
	assert_string_equal(v.text, w.text);
	assert_true(v.log_e != 0);
	sl_judge_record_fini(&record);
}

static void cut_and_broken_records_are_refused(void **state)
{
	static const struct {
		size_t at;
		unsigned char byte;
	} broken[] = {
		{ 0, 'X' },
		{ 3, '2' },
	};
	struct sl_judge_record record = { 0 };
	struct sl_judge j, again;
	size_t whole = 0, len;

	(void)state;
	fill_record(&record, &j);
	len = sl_buf_size(&record.bytes);
	for (size_t n = 0; n < len; n++)
		whole += sl_judge_replay(&again, sl_str_first(sl_buf_str(&record.bytes), n)) == SL_OK;
	assert_true(whole < len / 10); /* only cuts between two ticks are whole records */
	assert_true(whole > 100);
	for (size_t i = 0; i < SL_ARRAY_COUNT(broken); i++) {
		char saved = record.bytes.p[broken[i].at];

		record.bytes.p[broken[i].at] = (char)broken[i].byte;
		sl_assert_err(sl_judge_replay(&again, sl_buf_str(&record.bytes)), SL_ERR_MALFORMED);
		record.bytes.p[broken[i].at] = saved;
	}
	sl_judge_record_fini(&record);
	sl_assert_err(sl_judge_replay(&again, SL_STR("SLJ1")), SL_ERR_MALFORMED);
	sl_assert_err(sl_judge_replay(&again, SL_STR_NONE), SL_ERR_MALFORMED);
}

static void arm(struct sl_guard *g, uint64_t generation)
{
	struct sl_guard_config config;

	sl_guard_config_defaults(&config);
	sl_guard_arm(g, generation, &config, 0);
}

static void serve_stable(struct sl_guard *g, uint64_t n, uint64_t every)
{
	for (uint64_t i = 1; i <= n; i++)
		sl_guard_stable(g, every && i % every == 0);
}

static void guard_trips_on_runs(void **state)
{
	static const struct {
		enum sl_guard_outcome outcome;
		uint64_t stable, stable_fails_every; /* for each canary request; 0: never */
		uint32_t failures; /* canary failures it takes; 0: it does not trip within 40 */
		enum sl_guard_reason reason;
	} cases[] = {
		{ SL_GUARD_REFUSED, 19, 0, 3, SL_GUARD_RUN_REFUSED },
		{ SL_GUARD_REFUSED, 0, 0, 6, SL_GUARD_RUN_REFUSED },  /* no baseline: 5 % is assumed of it */
		{ SL_GUARD_REFUSED, 19, 1, 0, SL_GUARD_NOT_TRIPPED }, /* stable fails as well */
		{ SL_GUARD_5XX, 0, 0, 6, SL_GUARD_RUN_FAILED },
		{ SL_GUARD_RESET, 19, 1, 0, SL_GUARD_NOT_TRIPPED },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		struct sl_guard g = { 0 };
		uint32_t n = 0;

		arm(&g, 7);
		for (; !g.tripped && n < 40; n++) {
			serve_stable(&g, cases[i].stable, cases[i].stable_fails_every);
			sl_guard_canary(&g, cases[i].outcome, SL_MSEC(n), 0);
		}
		assert_int_equal(g.reason, cases[i].reason);
		assert_int_equal(g.tripped ? n : 0, cases[i].failures);
	}
}

static void guard_trips_on_evidence(void **state)
{
	struct sl_guard g = { 0 };
	int failed = 0;

	(void)state;
	arm(&g, 1);
	for (int i = 0; i < 2000 && !g.tripped; i++) {
		bool fails = i % 10 == 9; /* one canary request in ten fails, never two in a row */

		serve_stable(&g, 19, 0);
		sl_guard_canary(&g, fails ? SL_GUARD_5XX : SL_GUARD_OK, SL_MSEC(10 * i), (uint64_t)i + 1);
		failed += fails;
		if (i % 10 == 0)
			sl_guard_tick(&g, SL_MSEC(10 * i));
	}
	assert_true(g.tripped);
	assert_int_equal(g.reason, SL_GUARD_EVIDENCE);
	assert_true(failed <= 5);
}

static void guard_counts_a_burst_once_and_stays_tripped(void **state)
{
	struct sl_guard g = { 0 };

	(void)state;
	sl_guard_canary(&g, SL_GUARD_REFUSED, 0, 0); /* off: nothing happens */
	sl_guard_tick(&g, 0);
	assert_false(g.tripped);
	arm(&g, 1);
	serve_stable(&g, 1000, 0);
	for (int i = 0; i < 100; i++) /* one client's retries */
		sl_guard_canary(&g, SL_GUARD_REFUSED, i, 99);
	assert_false(g.tripped);
	assert_int_equal(g.tick.e_c, 1);
	assert_int_equal(g.by_outcome[SL_GUARD_REFUSED], 100);
	sl_guard_canary(&g, SL_GUARD_OK, 0, 0); /* ends the run */
	sl_guard_canary(&g, SL_GUARD_REFUSED, 0, 1);
	assert_false(g.tripped);
	for (uint64_t burst = 2; burst < 8; burst++)
		sl_guard_canary(&g, SL_GUARD_REFUSED, 0, burst);
	assert_true(g.tripped);
	for (int i = 0; i < 1000; i++)
		sl_guard_canary(&g, SL_GUARD_OK, 0, 0);
	arm(&g, 1); /* the same generation: stays tripped */
	assert_true(g.tripped);
	arm(&g, 2);
	assert_false(g.tripped);
	assert_int_equal(g.tick.n_c, 0);
}

static void guard_forgets_old_windows(void **state)
{
	struct sl_guard g = { 0 };

	(void)state;
	arm(&g, 1);
	serve_stable(&g, 1000000, 0); /* a long good past */
	sl_guard_tick(&g, SL_SEC(1));
	sl_guard_tick(&g, SL_SEC(2));
	sl_guard_tick(&g, SL_SEC(3));
	serve_stable(&g, 30, 1); /* now everything fails, the shared database is gone */
	for (uint64_t i = 0; i < 20; i++) {
		sl_guard_canary(&g, SL_GUARD_5XX, SL_SEC(3), i + 1);
		serve_stable(&g, 19, 1);
	}
	assert_false(g.tripped);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logarithm_and_exponential_agree_with_libm),
		cmocka_unit_test(e_value_is_the_published_formula),
		cmocka_unit_test(ticks_that_say_nothing_change_nothing),
		cmocka_unit_test(wild_counts_never_give_nan),
		cmocka_unit_test(verdicts_point_the_right_way),
		cmocka_unit_test(interval_knows_nothing_at_first),
		cmocka_unit_test(bursts_count_once_a_second),
		cmocka_unit_test(histogram_keeps_one_percent),
		cmocka_unit_test(quantile_bounds_hold_at_all_times),
		cmocka_unit_test(judge_holds_without_data_and_says_why),
		cmocka_unit_test(several_metrics_share_one_alpha),
		cmocka_unit_test(a_bad_config_falls_back),
		cmocka_unit_test(a_record_replays_to_the_same_bits),
		cmocka_unit_test(cut_and_broken_records_are_refused),
		cmocka_unit_test(guard_trips_on_runs),
		cmocka_unit_test(guard_trips_on_evidence),
		cmocka_unit_test(guard_counts_a_burst_once_and_stays_tripped),
		cmocka_unit_test(guard_forgets_old_windows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
