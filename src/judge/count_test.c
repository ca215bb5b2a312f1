#include "judge/count_test.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* A fused multiply-add rounds once where others round twice; replays must not depend on the machine having one. */
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

enum { UP = 0, DOWN = SL_COUNT_UP, NULL_WORSE = SL_COUNT_UP + SL_COUNT_DOWN, NULL_NOT_WORSE };

static const double psi_first = 1.25, psi_last = 200.0, psi_most = 1e6;
static const double ln2_high = 0x1.62e42fee00000p-1,
                    ln2_low = 0x1.a39ef35793c76p-33; /* sum: ln 2 to 33 + 53 bits */
static const double infinity = (double)__builtin_inf();

/* x = 2^k m with m in [sqrt 1/2, sqrt 2); ln m = 2 artanh s, s = (m - 1) / (m + 1), |s| < 0.172; the series to s^21 is below 1e-17. */
double sl_judge_log(double x)
{
	uint64_t bits;
	double m, s, z, sum = 0;
	int k = 0;

	if (!(x > 0))
		return -infinity;
	if (x < 0x1p-1022) { /* subnormal */
		x *= 0x1p54;
		k = -54;
	}
	memcpy(&bits, &x, sizeof(bits));
	k += (int)(bits >> 52) - 1023;
	bits = (bits & 0x000fffffffffffffULL) | 0x3ff0000000000000ULL;
	memcpy(&m, &bits, sizeof(m));
	if (m > 1.4142135623730951) {
		m *= 0.5;
		k++;
	}
	s = (m - 1) / (m + 1);
	z = s * s;
	for (int i = 21; i > 0; i -= 2)
		sum = sum * z + 1.0 / i;
	return 2 * s * sum + k * ln2_low + k * ln2_high;
}

static double pow2(int k) /* -1022 <= k <= 1023 */
{
	uint64_t bits = (uint64_t)(k + 1023) << 52;
	double d;

	memcpy(&d, &bits, sizeof(d));
	return d;
}

/* e^x = 2^k e^r, |r| <= ln 2 / 2; Taylor to r^16 is below 1e-20. */
double sl_judge_exp(double x)
{
	double r, sum = 1;
	int k;

	if (x > 709.7)
		return infinity;
	if (!(x > -745.2))
		return 0;
	k = (int)(x / (ln2_high + ln2_low) + (x < 0 ? -0.5 : 0.5));
	r = x - k * ln2_high - k * ln2_low;
	for (int i = 16; i > 0; i--)
		sum = 1 + sum * r / i;
	return k < -1000 ? sum * pow2(k + 200) * pow2(-200) : sum * pow2(k / 2) * pow2(k - k / 2);
}

void sl_count_test_init(struct sl_count_test *t, double psi0, double psi1)
{
	double from, to;

	memset(t, 0, sizeof(*t));
	t->psi0 = psi0 > 1 ? psi0 : 1; /* also NaN */
	t->psi0 = t->psi0 < psi_most ? t->psi0 : psi_most;
	t->psi1 = psi1 > 1 && psi1 <= psi_most ? psi1 : 2;
	from = sl_judge_log(psi_first);
	to = sl_judge_log(psi_last);
	for (int i = 0; i < SL_COUNT_UP; i++)
		t->log_psi[UP + i] = sl_judge_log(t->psi0) + from + (to - from) * i / (SL_COUNT_UP - 1);
	for (int i = 0; i < SL_COUNT_DOWN; i++)
		t->log_psi[DOWN + i] = -(from + (to - from) * i / (SL_COUNT_DOWN - 1));
	t->log_psi[NULL_WORSE] = sl_judge_log(t->psi0);
	t->log_psi[NULL_NOT_WORSE] = sl_judge_log(t->psi1);
	for (int i = 0; i < SL_COUNT_POINTS; i++)
		t->psi[i] = sl_judge_exp(t->log_psi[i]);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * What a tick adds to log L(psi) / L(1), with w = n_c / (n_c + n_b):
 *   theta(psi) / theta(1) = psi / (1 + (psi - 1) w)     (1 - theta(psi)) / (1 - theta(1)) = 1 / (1 + (psi - 1) w)
 */
struct tick_terms {
	double w, e_c, e;
};

/* False where a tick says nothing: no event, or one side without requests (theta is then 0 or 1 for every psi). */
static bool tick_terms_of(struct tick_terms *ret, const struct sl_counts *c)
{
	uint64_t e_c = least(c->e_c, c->n_c), e_b = least(c->e_b, c->n_b);

	if (!c->n_c || !c->n_b || (!e_c && !e_b))
		return false;
	ret->w = (double)c->n_c / ((double)c->n_c + (double)c->n_b);
	ret->e_c = (double)e_c;
	ret->e = (double)e_c + (double)e_b;
	return true;
}

static double tick_gain(const struct sl_count_test *t, int point, const struct tick_terms *x)
{
	return x->e_c * t->log_psi[point] - x->e * sl_judge_log(1 + (t->psi[point] - 1) * x->w);
}

static uint64_t add_capped(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

void sl_count_test_add(struct sl_count_test *t, const struct sl_counts *tick)
{
	struct tick_terms x;

	t->total.n_c = add_capped(t->total.n_c, tick->n_c);
	t->total.n_b = add_capped(t->total.n_b, tick->n_b);
	t->total.e_c = add_capped(t->total.e_c, least(tick->e_c, tick->n_c));
	t->total.e_b = add_capped(t->total.e_b, least(tick->e_b, tick->n_b));
	if (!tick_terms_of(&x, tick))
		return;
	t->ticks++;
	for (int i = 0; i < SL_COUNT_POINTS; i++)
		t->log_l[i] += tick_gain(t, i, &x);
}

/* log (1/count sum exp l_i), without overflow. */
static double log_mean_exp(const double *l, int count)
{
	double most = l[0], sum = 0;

	for (int i = 1; i < count; i++)
		if (l[i] > most)
			most = l[i];
	for (int i = 0; i < count; i++)
		sum += sl_judge_exp(l[i] - most);
	return most + sl_judge_log(sum / count);
}

double sl_count_test_log_e(const struct sl_count_test *t)
{
	return log_mean_exp(t->log_l + UP, SL_COUNT_UP) - t->log_l[NULL_WORSE];
}

double sl_count_test_log_e_with(const struct sl_count_test *t, const struct sl_counts *tick)
{
	double l[SL_COUNT_UP];
	struct tick_terms x;

	if (!tick_terms_of(&x, tick))
		return sl_count_test_log_e(t);
	for (int i = 0; i < SL_COUNT_UP; i++)
		l[i] = t->log_l[UP + i] + tick_gain(t, UP + i, &x);
	return log_mean_exp(l, SL_COUNT_UP) - t->log_l[NULL_WORSE] - tick_gain(t, NULL_WORSE, &x);
}

/* log L(1) is 0: all points are kept relative to it. */
double sl_count_test_log_e_not_worse(const struct sl_count_test *t)
{
	return -t->log_l[NULL_NOT_WORSE];
}

enum { LADDER = SL_COUNT_UP + SL_COUNT_DOWN + 1 };

/* Every point in rising order of psi, with 1 between "down" and "up"; log L is concave along it. */
static void ladder(const struct sl_count_test *t, double psi[LADDER], double log_l[LADDER])
{
	for (int i = 0; i < LADDER; i++) {
		int point = i < SL_COUNT_DOWN ? DOWN + SL_COUNT_DOWN - 1 - i : UP + i - SL_COUNT_DOWN - 1;
		bool one = i == SL_COUNT_DOWN;

		psi[i] = one ? 1 : t->psi[point];
		log_l[i] = one ? 0 : t->log_l[point];
	}
}

sl_odds_interval sl_count_test_interval(const struct sl_count_test *t, double alpha)
{
	double psi[LADDER], log_l[LADDER], log_mix, bound;
	int low, high, peak = 0;

	ladder(t, psi, log_l);
	log_mix = log_mean_exp(log_l, LADDER);
	bound = log_mix + sl_judge_log(alpha); /* psi stands while log L(psi) > bound */
	for (int i = 1; i < LADDER; i++)
		if (log_l[i] > log_l[peak])
			peak = i;
	/* The peak's neighbours enclose the maximum, so this holds also when nothing on the grid stands. */
	for (low = peak; low > 0 && log_l[low] > bound; low--)
		;
	for (high = peak; high < LADDER - 1 && log_l[high] > bound; high++)
		;
	if (low == peak && low > 0)
		low--;
	if (high == peak && high < LADDER - 1)
		high++;
	return (sl_odds_interval) {
		.low = low == 0 && log_l[0] > bound ? 0 : psi[low],
		.high = high == LADDER - 1 && log_l[LADDER - 1] > bound ? infinity : psi[high],
	};
}
