#pragma once
/*
 * Exact weighted choice: which target of a split takes the next request. After any n requests each target i has had x_i with
 * |x_i - n w_i / W| < 1, for any number of targets and any weights. No randomness: the sequence is the schedule of unit jobs
 * with windows [x / p, (x + 1) / p), taken earliest deadline first among those already released.
 * Source: Baruah, Cohen, Plaxton, Varvel, "Proportionate Progress" (Algorithmica 1996); for apportionment, Still (1979).
 * Ownership: the lags are the caller's array.       Threads: one owner.
 */
#include <stddef.h>
#include <stdint.h>

/*
 * lag[i] = n w_i - x_i W since the start: how many W-ths of a request target i is owed; all zero at first, always summing to 0 and
 * within (-W, W). Returns the target. The weights must sum to `total` in 1..2^32-1. Cost: O(count).
 */
size_t sl_split_next(int64_t *lag, const uint32_t *weights, size_t count, uint32_t total);

/*
 * Carries what is owed over a change of weights, so that a stream of snapshots does not reset the count: scales from old_total to total,
 * forgives what a target of weight 0 was owed, keeps the sum at 0 and each lag within (-total, total).
 */
void sl_split_carry(int64_t *lag, const int64_t *old_lag, size_t count, uint32_t old_total,
        const uint32_t *weights, uint32_t total);
