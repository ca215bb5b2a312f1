#pragma once
/*
 * The sequential count test: is a yes/no event per request (failed, slower than stable's p95, ...) more frequent on the canary than on
 * the baseline? Always valid: look after every tick, for ever, with any weights in between, and the chance of ever crying "worse"
 * about an equal canary stays below alpha.
 *
 * Per tick both sides report requests n and events e. While the canary's odds are psi times the baseline's, an event of the tick
 * falls on the canary with probability theta(psi) = psi n_c / (psi n_c + n_b). The test keeps, for each psi of a grid, the logarithm of
 * the likelihood ratio of all events so far against psi = 1. From those:
 *   worse       E = mean over g of L(psi_g) / L(psi0), 24 psi_g log-spaced from 1.25 psi0 to 200 psi0; psi0 >= 1 is the tolerance
 *   not worse   E = L(1) / L(psi1): the same process seen from the other side, against "at least psi1 times worse"
 *   interval    { psi : mean L / L(psi) < 1 / alpha }: a confidence sequence for the odds ratio
 * Each E is a non-negative supermartingale from 1 under its null hypothesis, so P(ever E >= 1/alpha) <= alpha (Ville).
 * Given the counts of a tick, its events are spread as by drawing without replacement, which Hoeffding (1963) bounds by the binomial.
 * Sources: Wald (1947); Lindon and Malek, NeurIPS 2022; Johari, Koomen, Pekelis, Walsh, Operations Research 2022.
 *
 * What the caller owes: baseline traffic of the same proxies and the same ticks; an event counted once per burst (burst.h); first
 * attempts, not retried outcomes. Ticks that end because an event happened are fine where requests are assigned at random.
 *
 * Determinism: + - * / and series made of them, no libm and no fused multiply-add, so that the same counts give the same bits on every
 * IEEE machine.
 * Ownership: embedded by value; allocates nothing.       Threads: one owner.
 */
#include <stdint.h>

enum {
	SL_COUNT_UP = 24,                                  /* alternatives above the tolerance */
	SL_COUNT_DOWN = 12,                                /* points below 1, for the interval only */
	SL_COUNT_POINTS = SL_COUNT_UP + SL_COUNT_DOWN + 2, /* and psi0, psi1 */
};

struct sl_counts {
	uint64_t n_c, n_b; /* requests: canary, baseline */
	uint64_t e_c, e_b; /* events among them; more than n is taken as n */
};

struct sl_count_test {
	double psi0, psi1;           /* tolerance (1 = worse at all); bound for "not worse" */
	double psi[SL_COUNT_POINTS]; /* up, down, psi0, psi1 */
	double log_psi[SL_COUNT_POINTS];
	double log_l[SL_COUNT_POINTS]; /* log L(psi) / L(1) */
	struct sl_counts total;
	uint64_t ticks; /* that carried information: both sides had requests and there was an event */
};

/* psi0 is taken into 1..1e6; psi1 must lie above 1, at most at 1e6, and is otherwise taken as 2. Starts with no evidence: E = 1. */
void sl_count_test_init(struct sl_count_test *t, double psi0, double psi1);
/* Adds one tick. A tick without events, or with one side silent, carries no information and costs nothing. */
void sl_count_test_add(struct sl_count_test *t, const struct sl_counts *tick);

/* Log of the e-value for "worse than psi0". Roll back at >= log(1/alpha). */
double sl_count_test_log_e(const struct sl_count_test *t);
/* The same with one more, unfinished tick; nothing is changed. */
double sl_count_test_log_e_with(const struct sl_count_test *t, const struct sl_counts *tick);
/* Log of the e-value for "not worse than psi1". */
double sl_count_test_log_e_not_worse(const struct sl_count_test *t);

typedef struct {
	double low, high; /* 0 and infinity where the grid ends: nothing known on that side */
} sl_odds_interval;
/* The odds ratios that 1 - alpha confidence, held at all times at once, leaves standing; ends lie on grid points, outwards. */
sl_odds_interval sl_count_test_interval(const struct sl_count_test *t, double alpha);

/* The logarithm and exponential used here: bit-identical everywhere, relative error below 1e-14. */
double sl_judge_log(double x); /* x > 0, finite; otherwise -infinity */
double sl_judge_exp(double x);
