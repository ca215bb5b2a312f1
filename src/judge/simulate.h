#pragma once
/*
 * Seeded simulations of the judge: what its false alarms and its speed are, measured and held against the goals. The unit test runs
 * them small, judge_bench in full. Everything is exact sampling (no normal approximations) and jumps from failure to failure.
 * Ownership: values.       Threads: pure, any.
 */
#include "judge/count_test.h"

#include <stdbool.h>
#include <stddef.h>

/* xoshiro256++ seeded by splitmix64 (Blackman and Vigna, 2019). */
struct sl_rng {
	uint64_t s[4];
};
void sl_rng_seed(struct sl_rng *r, uint64_t seed);
uint64_t sl_rng_u64(struct sl_rng *r);
double sl_rng_unit(struct sl_rng *r); /* in (0, 1) */
uint64_t sl_rng_binomial(
        struct sl_rng *r, uint64_t n, double p); /* by inversion: for n p up to some hundreds */
uint64_t sl_rng_geometric(
        struct sl_rng *r, double p, uint64_t most); /* trials until the first success, at most `most` */

typedef struct {
	double low, high;
} sl_share_interval;
/* Clopper-Pearson: the exact 95 % interval of a share of which `hits` of `n` were seen. */
sl_share_interval sl_clopper_pearson(uint64_t hits, uint64_t n);

/* Equal versions; weights change on the way; failures come in groups within a second of one connection. */
struct sl_sim_equal {
	uint64_t seed, runs;
	uint64_t requests; /* per run, spread over the looks */
	uint32_t looks;
	double p;       /* failure rate of both */
	uint32_t group; /* failures a burst has */
	bool no_dedupe; /* count every failure of a burst */
	bool guard; /* look at every canary failure, with a low-discrepancy split, as the proxy's guard does */
	const double *alphas;
	size_t alpha_count;
	void (*progress)(void *arg, uint64_t runs_done); /* may be NULL */
	void *progress_arg;
};
/* ret_hits[a]: runs in which E reached 1/alphas[a] at some look. */
void sl_simulate_equal(const struct sl_sim_equal *sim, uint64_t *ret_hits);

/* A canary failing at p1 against a baseline of p0 at canary weight w, looked at on every canary failure. */
struct sl_sim_power {
	uint64_t seed, runs;
	double p0, p1, w, alpha;
	double not_worse_than; /* 0: until "worse"; otherwise until "not worse than this" */
	uint64_t most;         /* canary requests after which a run gives up */
};
struct sl_sim_delay {
	double mean; /* canary requests until the verdict */
	uint64_t p50, p95, max;
	uint64_t undecided; /* runs that gave up */
};
/* `scratch` has room for `runs` numbers. */
void sl_simulate_power(const struct sl_sim_power *sim, uint64_t *scratch, struct sl_sim_delay *ret_delay);

/* ln(1/alpha) / KL(p1 || p0): no test of level alpha can do with fewer canary requests on average, even knowing both rates. */
double sl_power_floor(double p0, double p1, double alpha);
