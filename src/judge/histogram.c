#include "judge/histogram.h"

#include "judge/count_test.h"

enum { SUB_BITS = 6, FIRST_OCTAVE = 7, LAST_OCTAVE = 31 };
_Static_assert(SL_HISTOGRAM_SUB == 1 << SUB_BITS, "sub-buckets are counted in bits");
_Static_assert(
        SL_HISTOGRAM_BUCKETS == 2 * SL_HISTOGRAM_SUB + (LAST_OCTAVE - FIRST_OCTAVE + 1) * SL_HISTOGRAM_SUB,
        "one row of sub-buckets an octave");

/* 0..127 map to themselves; an octave [2^k, 2^(k+1)), k >= 7, has 64 buckets of width 2^(k-6). */
size_t sl_histogram_index(uint64_t value)
{
	unsigned octave;

	if (value < 2 * SL_HISTOGRAM_SUB)
		return (size_t)value;
	octave = 63u - (unsigned)__builtin_clzll(value);
	if (octave > LAST_OCTAVE)
		return SL_HISTOGRAM_BUCKETS - 1;
	return (size_t)(octave - FIRST_OCTAVE + 1) * SL_HISTOGRAM_SUB +
	       (size_t)(value >> (octave - SUB_BITS));
}

uint64_t sl_histogram_bucket_width(size_t index)
{
	return index < 2 * SL_HISTOGRAM_SUB ? 1 : (uint64_t)1 << (index / SL_HISTOGRAM_SUB - 1);
}

uint64_t sl_histogram_bucket_low(size_t index)
{
	if (index < 2 * SL_HISTOGRAM_SUB)
		return index;
	return (index % SL_HISTOGRAM_SUB + SL_HISTOGRAM_SUB) * sl_histogram_bucket_width(index);
}

void sl_histogram_add(struct sl_histogram *h, uint64_t value)
{
	h->count++;
	h->sum += value;
	h->buckets[sl_histogram_index(value)]++;
}

bool sl_histogram_add_bucket(struct sl_histogram *h, size_t index, uint64_t count)
{
	if (index >= SL_HISTOGRAM_BUCKETS)
		return false;
	h->count += count;
	h->sum += count * (sl_histogram_bucket_low(index) + (sl_histogram_bucket_width(index) - 1) / 2);
	h->buckets[index] += count;
	return true;
}

void sl_histogram_merge(struct sl_histogram *into, const struct sl_histogram *from)
{
	into->count += from->count;
	into->sum += from->sum;
	for (size_t i = 0; i < SL_HISTOGRAM_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
}

uint64_t sl_histogram_quantile(const struct sl_histogram *h, double q)
{
	double rank = q * (double)h->count;
	uint64_t seen = 0;
	size_t last = 0;

	for (size_t i = 0; i < SL_HISTOGRAM_BUCKETS; i++) {
		if (!h->buckets[i])
			continue;
		last = i;
		seen += h->buckets[i];
		if ((double)seen >= rank)
			break;
	}
	return sl_histogram_bucket_low(last) + (sl_histogram_bucket_width(last) - 1) / 2;
}

uint64_t sl_histogram_above(const struct sl_histogram *h, uint64_t value)
{
	uint64_t above = 0;

	for (size_t i = sl_histogram_index(value) + 1; i < SL_HISTOGRAM_BUCKETS; i++)
		above += h->buckets[i];
	return above;
}

static double root(double x) /* Newton, for x in 0..1/4 */
{
	double r = 0.5;

	if (!(x > 0))
		return 0;
	for (int i = 0; i < 60; i++)
		r = (r + x / r) / 2;
	return r;
}

/* f(t) = 1.5 sqrt(q (1 - q) l(t)) + 0.8 l(t),  l(t) = (1.4 log log(2.1 t) + log(10 / alpha)) / t */
void sl_histogram_bounds(
        const struct sl_histogram *h, double q, double alpha, double *ret_q_low, double *ret_q_high)
{
	double t = (double)h->count, l, f;

	*ret_q_low = 0;
	*ret_q_high = 1;
	if (h->count < 2)
		return;
	l = (1.4 * sl_judge_log(sl_judge_log(2.1 * t)) + sl_judge_log(10 / alpha)) / t;
	f = 1.5 * root(q * (1 - q)) * root(l < 1 ? l : 1) + 0.8 * l;
	if (l >= 1)
		return;
	*ret_q_low = q - f > 0 ? q - f : 0;
	*ret_q_high = q + f < 1 ? q + f : 1;
}
