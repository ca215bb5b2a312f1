#include "proxy/split.h"

#include <string.h>

size_t sl_split_next(int64_t *lag, const uint32_t *weights, size_t count, uint32_t total)
{
	size_t best = 0;
	uint64_t best_left = 0, best_weight = 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t w = weights[i], left;

		lag[i] += (int64_t)w;
		if (lag[i] <= 0 || !w)
			continue; /* has had its share up to and including this request */
		/* Deadline (total - lag) / w requests from now; compared crosswise, both factors below 2^32. */
		left = lag[i] < (int64_t)total ? (uint64_t)((int64_t)total - lag[i]) : 0;
		if (!best_weight || left * best_weight < best_left * w) {
			best = i;
			best_left = left;
			best_weight = w;
		}
	}
	/* The lags sum to `total` here and those of weight 0 are 0, so a target was found. */
	lag[best] -= (int64_t)total;
	return best;
}

void sl_split_carry(int64_t *lag, const int64_t *old_lag, size_t count, uint32_t old_total,
        const uint32_t *weights, uint32_t total)
{
	const int64_t bound = (int64_t)total - 1;
	int64_t sum = 0;

	memset(lag, 0, count * sizeof(*lag));
	if (!old_total)
		return;
	for (size_t i = 0; i < count; i++) {
		__extension__ __int128 scaled = 2 * (__int128)old_lag[i] * total;

		if (!weights[i])
			continue;
		/* To the nearest: many changes in a row must not add up to a drift. */
		scaled = (scaled + (scaled < 0 ? -(int64_t)old_total : (int64_t)old_total)) /
		         (2 * (int64_t)old_total);
		lag[i] = scaled > bound ? bound : scaled < -bound ? -bound : (int64_t)scaled;
		sum += lag[i];
	}
	/* What rounding and forgiving left over goes to whoever has room. */
	for (size_t i = 0; i < count && sum; i++) {
		int64_t to = lag[i] - sum;

		if (!weights[i])
			continue;
		to = to > bound ? bound : to < -bound ? -bound : to;
		sum += to - lag[i];
		lag[i] = to;
	}
}
