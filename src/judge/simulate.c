#include "judge/simulate.h"

#include "judge/burst.h"
#include "judge/guard.h"

#include <stdlib.h>
#include <string.h>

enum { TICK_REQUESTS = 200 }; /* of a power run: ten ticks a second at 2,000 requests a second */

void sl_rng_seed(struct sl_rng *r, uint64_t seed)
{
	for (int i = 0; i < 4; i++) {
		uint64_t z = seed += 0x9e3779b97f4a7c15ULL;

		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
		r->s[i] = z ^ (z >> 31);
	}
}

static uint64_t rotate(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

uint64_t sl_rng_u64(struct sl_rng *r)
{
	uint64_t *s = r->s, result = rotate(s[0] + s[3], 23) + s[0], t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return result;
}

double sl_rng_unit(struct sl_rng *r)
{
	return ((double)(sl_rng_u64(r) >> 11) + 0.5) * 0x1p-53;
}

uint64_t sl_rng_binomial(struct sl_rng *r, uint64_t n, double p)
{
	double u, term, odds;
	uint64_t k = 0;

	if (!n || p <= 0)
		return 0;
	if (p >= 1)
		return n;
	if (p > 0.5)
		return n - sl_rng_binomial(r, n, 1 - p);
	u = sl_rng_unit(r);
	term = sl_judge_exp((double)n * sl_judge_log(1 - p));
	odds = p / (1 - p);
	while (u > term && k < n) {
		u -= term;
		k++;
		term *= odds * (double)(n - k + 1) / (double)k;
	}
	return k;
}

uint64_t sl_rng_geometric(struct sl_rng *r, double p, uint64_t most)
{
	double k;

	if (p >= 1)
		return 1;
	if (p <= 0)
		return most;
	k = sl_judge_log(sl_rng_unit(r)) / sl_judge_log(1 - p);
	return k >= (double)most ? most : (uint64_t)k + 1;
}

/* P(X <= k) of Bin(n, p), summed from the largest term down in logs so that nothing underflows. */
static double binomial_cdf(uint64_t k, uint64_t n, double p)
{
	double log_odds = sl_judge_log(p) - sl_judge_log(1 - p), term = (double)n * sl_judge_log(1 - p),
	       most = term, sum = 1;

	for (uint64_t i = 1; i <= k; i++) {
		term += log_odds + sl_judge_log((double)(n - i + 1) / (double)i);
		if (term > most) {
			sum = sum * sl_judge_exp(most - term) + 1;
			most = term;
		} else {
			sum += sl_judge_exp(term - most);
		}
	}
	return sl_judge_exp(most) * sum;
}

/* The p at which P(X <= k) falls to `goal`. */
static double cdf_root(uint64_t k, uint64_t n, double goal)
{
	double low = 0, high = 1;

	for (int i = 0; i < 60; i++) {
		double mid = (low + high) / 2;

		if (binomial_cdf(k, n, mid) > goal)
			low = mid;
		else
			high = mid;
	}
	return high;
}

sl_share_interval sl_clopper_pearson(uint64_t hits, uint64_t n)
{
	return (sl_share_interval) {
		.low = hits ? cdf_root(hits - 1, n, 0.975) : 0,
		.high = hits < n ? cdf_root(hits, n, 0.025) : 1,
	};
}

/* Failures of one tick as the counters see them: each group is one connection failing `group` times within 0.95 s. */
static uint64_t count_groups(struct sl_rng *r, const struct sl_sim_equal *sim, uint64_t groups)
{
	uint64_t counted = 0;

	if (sim->no_dedupe)
		return groups * sim->group;
	for (uint64_t i = 0; i < groups; i++) {
		struct sl_burst burst = { 0 };
		sl_nsec at = SL_SEC(1);

		for (uint32_t k = 0; k < sim->group; k++) {
			counted += sl_burst_begins(&burst, at);
			at += (sl_nsec)(sl_rng_unit(r) * (double)SL_MSEC(950) / sim->group);
		}
	}
	return counted;
}

/* The canary's weight at a look: 1, 5, 10, 25, 50 % in turn, from a random one on. */
static double weight_at(uint32_t look, uint32_t looks, uint64_t from)
{
	static const double weights[] = { 0.01, 0.05, 0.10, 0.25, 0.50 };

	return weights[(look * 5 / looks + from) % 5];
}

static double equal_run(struct sl_rng *r, const struct sl_sim_equal *sim)
{
	double log_e, most = 0, p = sim->p / sim->group, per_look = (double)sim->requests / sim->looks;
	uint64_t from = sl_rng_u64(r) % 5;
	struct sl_count_test test;

	sl_count_test_init(&test, 1, 2);
	for (uint32_t look = 0; look < sim->looks; look++) {
		uint64_t n = (uint64_t)(per_look * (0.5 + sl_rng_unit(r)));
		struct sl_counts tick = { .n_c = (uint64_t)((double)n * weight_at(look, sim->looks, from) +
			                                    sl_rng_unit(r)) };

		tick.n_b = n - tick.n_c;
		tick.e_c = count_groups(r, sim, sl_rng_binomial(r, tick.n_c, p));
		tick.e_b = count_groups(r, sim, sl_rng_binomial(r, tick.n_b, p));
		sl_count_test_add(&test, &tick);
		log_e = sl_count_test_log_e(&test);
		if (log_e > most)
			most = log_e;
	}
	return most;
}

/*
 * The guard's way of looking, with the proxy's even split: request i goes to the canary when i is a multiple of 20. The counts between
 * two failures follow from the indices, so only failures are visited. Returns the smallest alpha-level it would have tripped at: the
 * guard itself is asked, armed with the alpha given.
 */
static bool guard_run(struct sl_rng *r, const struct sl_sim_equal *sim, double alpha)
{
	uint64_t at = sl_rng_u64(r) % 20, end = at + sim->requests, per_tick = sim->requests / sim->looks,
	         tick_end = at + per_tick;
	struct sl_guard_config config;
	struct sl_guard guard = { 0 };
	sl_nsec now = 0;

	sl_guard_config_defaults(&config);
	config.alpha = alpha;
	sl_guard_arm(&guard, 1, &config, now);
	while (at < end && !guard.tripped) {
		uint64_t next = at + sl_rng_geometric(r, sim->p, end - at), passed, canaries;

		while (next >= tick_end && !guard.tripped) {
			canaries = (tick_end + 19) / 20 - (at + 19) / 20;
			guard.tick.n_c += canaries;
			guard.tick.n_b += tick_end - at - canaries;
			if (canaries)
				guard.run_failed = guard.run_refused = 0;
			at = tick_end;
			tick_end += per_tick;
			now += SL_MSEC(100);
			sl_guard_tick(&guard, now);
		}
		passed = next - at; /* the last of them fails */
		canaries = (next - 1 + 19) / 20 - (at + 19) / 20;
		guard.tick.n_c += canaries;
		guard.tick.n_b += passed - 1 - canaries;
		if (canaries)
			guard.run_failed = guard.run_refused = 0;
		if ((next - 1) % 20 == 0)
			sl_guard_canary(&guard, SL_GUARD_5XX, now, 0);
		else
			sl_guard_stable(&guard, true);
		at = next;
	}
	return guard.tripped;
}

void sl_simulate_equal(const struct sl_sim_equal *sim, uint64_t *ret_hits)
{
	struct sl_rng r;

	memset(ret_hits, 0, sim->alpha_count * sizeof(*ret_hits));
	for (uint64_t run = 0; run < sim->runs; run++) {
		double most = 0;

		sl_rng_seed(&r, sim->seed + run);
		if (!sim->guard)
			most = equal_run(&r, sim);
		for (size_t a = 0; a < sim->alpha_count; a++)
			ret_hits[a] += sim->guard ? guard_run(&r, sim, sim->alphas[a])
			                          : most >= -sl_judge_log(sim->alphas[a]);
		if (sim->progress)
			sim->progress(sim->progress_arg, run + 1);
	}
}

/*
 * A power run splits as the proxy does: of every `period` requests one goes to the canary, at a place the run draws. Requests are
 * numbered; failures of both sides come as rising request numbers.
 */
struct power_run {
	uint64_t period, place;
	uint64_t canaries, stables; /* sent up to and with each side's next failure */
	struct sl_count_test test;
};

static uint64_t number_of_canary(const struct power_run *x, uint64_t i)
{
	return i * x->period + x->place;
}

static uint64_t number_of_stable(const struct power_run *x, uint64_t i)
{
	return i < x->place ? i : i + 1 + (i - x->place) / (x->period - 1);
}

static uint64_t canaries_before(const struct power_run *x, uint64_t number)
{
	return number <= x->place ? 0 : (number - x->place - 1) / x->period + 1;
}

/* Fills in what was sent from request `from` to before `to`. */
static void count_sent(const struct power_run *x, struct sl_counts *tick, uint64_t from, uint64_t to)
{
	tick->n_c = canaries_before(x, to) - canaries_before(x, from);
	tick->n_b = to - from - tick->n_c;
}

/* One tick, from failure to failure; true when the verdict fell; *ret_end is the request after it, or after the tick. */
static bool power_tick(struct sl_rng *r, const struct sl_sim_power *sim, struct power_run *x, uint64_t from,
        uint64_t *ret_end)
{
	uint64_t end = from + TICK_REQUESTS, canary, stable;
	double bound = -sl_judge_log(sim->alpha);
	struct sl_counts tick = { 0 };

	*ret_end = end;
	for (;;) {
		canary = number_of_canary(x, x->canaries - 1);
		stable = number_of_stable(x, x->stables - 1);
		if (canary >= end && stable >= end)
			break;
		if (stable < canary) {
			tick.e_b++;
			x->stables += sl_rng_geometric(r, sim->p0, sim->most * x->period);
			continue;
		}
		tick.e_c++;
		x->canaries += sl_rng_geometric(r, sim->p1, sim->most);
		count_sent(x, &tick, from, canary + 1);
		*ret_end = canary + 1;
		if (!sim->not_worse_than && sl_count_test_log_e_with(&x->test, &tick) >= bound)
			return true;
	}
	*ret_end = end;
	count_sent(x, &tick, from, end);
	sl_count_test_add(&x->test, &tick);
	return (sim->not_worse_than ? sl_count_test_log_e_not_worse(&x->test)
	                            : sl_count_test_log_e(&x->test)) >= bound;
}

/* Canary requests until the verdict. */
static uint64_t power_run(struct sl_rng *r, const struct sl_sim_power *sim, bool *ret_decided)
{
	struct power_run x = { .period = (uint64_t)(1 / sim->w + 0.5) };
	uint64_t at = 0;

	x.place = sl_rng_u64(r) % x.period;
	x.canaries = sl_rng_geometric(r, sim->p1, sim->most);
	x.stables = sl_rng_geometric(r, sim->p0, sim->most * x.period);
	sl_count_test_init(&x.test, 1, sim->not_worse_than);
	*ret_decided = false;
	while (!*ret_decided && canaries_before(&x, at) < sim->most)
		*ret_decided = power_tick(r, sim, &x, at, &at);
	return canaries_before(&x, at);
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void sl_simulate_power(const struct sl_sim_power *sim, uint64_t *scratch, struct sl_sim_delay *ret_delay)
{
	struct sl_sim_delay d = { 0 };
	double sum = 0;

	for (uint64_t run = 0; run < sim->runs; run++) {
		struct sl_rng r;
		bool decided;

		sl_rng_seed(&r, sim->seed + run);
		scratch[run] = power_run(&r, sim, &decided);
		d.undecided += !decided;
		sum += (double)scratch[run];
	}
	qsort(scratch, sim->runs, sizeof(*scratch), by_size);
	d.mean = sum / (double)sim->runs;
	d.p50 = scratch[sim->runs / 2];
	d.p95 = scratch[sim->runs * 95 / 100];
	d.max = scratch[sim->runs - 1];
	*ret_delay = d;
}

double sl_power_floor(double p0, double p1, double alpha)
{
	double kl = p1 * sl_judge_log(p1 / p0);

	if (p1 < 1)
		kl += (1 - p1) * sl_judge_log((1 - p1) / (1 - p0));
	return -sl_judge_log(alpha) / kl;
}
