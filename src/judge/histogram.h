#pragma once
/*
 * A mergeable log-linear histogram of latencies: any quantile to a relative error of 1 % (64 buckets an octave, half a bucket wide
 * of the truth, 0.79 %), exact below 128. Also the time-uniform bounds of a quantile.
 * Source: Howard and Ramdas, Sequential estimation of quantiles, Bernoulli 2022, Theorem 1.
 * Ownership: embedded by value (14 KB); all-zero is empty.       Threads: one writer; merge copies that stand still.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SL_HISTOGRAM_SUB = 64, /* buckets in each octave */
	SL_HISTOGRAM_BUCKETS =
	        2 * SL_HISTOGRAM_SUB + 25 * SL_HISTOGRAM_SUB, /* 0..127 singly, then octaves up to 2^32 */
};

struct sl_histogram {
	uint64_t count, sum; /* values recorded; their sum, as recorded */
	uint64_t buckets[SL_HISTOGRAM_BUCKETS];
};

/* Unit: the caller's, microseconds in sluice. Values of 2^32 and more land in the last bucket. */
void sl_histogram_add(struct sl_histogram *h, uint64_t value);
void sl_histogram_merge(struct sl_histogram *into, const struct sl_histogram *from);

/* The value below or at which a share q (0..1) of what was recorded lies: the middle of its bucket; 0 when empty. */
uint64_t sl_histogram_quantile(const struct sl_histogram *h, double q);
/* How many recorded values are surely above `value`: those in later buckets. */
uint64_t sl_histogram_above(const struct sl_histogram *h, uint64_t value);

/* Sparse form, to carry one: index of a value's bucket, and counts added to a bucket. Out-of-range indices: false, nothing done. */
size_t sl_histogram_index(uint64_t value);
bool sl_histogram_add_bucket(struct sl_histogram *h, size_t index, uint64_t count);
/* Smallest value of a bucket, and the width of it. */
uint64_t sl_histogram_bucket_low(size_t index);
uint64_t sl_histogram_bucket_width(size_t index);

/* Shares q_low <= q <= q_high whose sample quantiles enclose the true q-quantile at all times at once with probability 1 - alpha. */
void sl_histogram_bounds(
        const struct sl_histogram *h, double q, double alpha, double *ret_q_low, double *ret_q_high);
