#include "base/test.h"

#include "base/mem.h"
#include "proxy/split.h"

#include <stdlib.h>

enum { TARGETS_MOST = 12 };

static uint64_t rng_state = 88172645463325252u;

static uint64_t rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

/* |x_i - n w_i / W| < 1 at every n, in whole numbers: |x_i W - n w_i| < W. */
static void run_exactly(const uint32_t *weights, size_t count, uint32_t total, uint32_t requests)
{
	int64_t lag[TARGETS_MOST] = { 0 };
	uint64_t had[TARGETS_MOST] = { 0 };

	for (uint64_t n = 1; n <= requests; n++) {
		size_t i = sl_split_next(lag, weights, count, total);
		int64_t sum = 0;

		assert_true(i < count && weights[i] > 0);
		had[i]++;
		for (size_t j = 0; j < count; j++) {
			__extension__ __int128 off = (__int128)had[j] * total - (__int128)n * weights[j];

			assert_true(off < total && -off < total);
			sum += lag[j];
		}
		assert_int_equal(sum, 0);
	}
}

static void realised_is_within_one_request_of_target_at_any_n(void **state)
{
	static const struct {
		uint32_t weights[TARGETS_MOST];
		size_t count;
	} cases[] = {
		{ { 1 }, 1 },
		{ { 95, 5 }, 2 },
		{ { 5, 95 }, 2 },
		{ { 100, 0 }, 2 },
		{ { 0, 0, 7 }, 3 },
		{ { 999999, 1 }, 2 },
		{ { 33, 33, 34 }, 3 },
		{ { 1, 1, 1, 1, 1, 1, 1 }, 7 },
		{ { 60, 20, 10, 5, 3, 2 }, 6 },
		{ { 97, 1, 1, 1 }, 4 },
		{ { 2147483647u, 2147483647u, 1 }, 3 }, /* as large as weights get */
		{ { 4294967294u, 1 }, 2 },
	};

	(void)state;
	for (size_t c = 0; c < SL_ARRAY_COUNT(cases); c++) {
		uint32_t total = 0;

		for (size_t i = 0; i < cases[c].count; i++)
			total += cases[c].weights[i];
		run_exactly(cases[c].weights, cases[c].count, total, 20000);
	}
}

static void random_weights_stay_exact(void **state)
{
	(void)state;
	for (int round = 0; round < 300; round++) {
		uint32_t weights[TARGETS_MOST], total = 0;
		size_t count = 2 + rng() % (TARGETS_MOST - 1);
		uint32_t range = round % 3 == 0 ? 10 : round % 3 == 1 ? 1000 : UINT32_MAX / TARGETS_MOST;

		for (size_t i = 0; i < count; i++)
			total += weights[i] = (uint32_t)(rng() % range);
		weights[0]++;
		run_exactly(weights, count, total + 1, 2000);
	}
}

/* Ten weight changes a second must not starve a small canary: the target is the integral of the weights. */
static void changes_of_weight_keep_what_is_owed(void **state)
{
	(void)state;
	for (size_t count = 2; count <= 4; count++) {
		int64_t lag[TARGETS_MOST] = { 0 };
		double target[TARGETS_MOST] = { 0 }, had[TARGETS_MOST] = { 0 };
		uint32_t weights[TARGETS_MOST] = { 0 }, total = 0;

		for (int n = 0; n < 20000; n++) {
			size_t i;

			if (n % 7 == 0) {
				int64_t old[TARGETS_MOST];
				uint32_t old_total = total;

				memcpy(old, lag, sizeof(old));
				total = 0;
				for (size_t j = 0; j < count; j++)
					total += weights[j] = j ? 1 + (uint32_t)(rng() % 20) : 1000;
				sl_split_carry(lag, old, count, old_total, weights, total);
			}
			i = sl_split_next(lag, weights, count, total);
			had[i]++;
			for (size_t j = 0; j < count; j++) {
				target[j] += (double)weights[j] / total;
				assert_true(had[j] - target[j] < 2 && target[j] - had[j] < 2);
			}
		}
		assert_true(had[1] >
		            150); /* about 1 % of 20,000; a restart every 7 requests would leave it none */
	}
}

static void a_target_taken_out_gets_nothing_and_owes_nothing(void **state)
{
	int64_t lag[2] = { 0 }, old[2];
	static const uint32_t before[] = { 50, 50 }, after[] = { 100, 0 };

	(void)state;
	for (int offset = 0; offset < 3; offset++) {
		(void)sl_split_next(lag, before, 2, 100);
		memcpy(old, lag, sizeof(old));
		sl_split_carry(lag, old, 2, 100, after, 100);
		assert_true(lag[0] == 0 && lag[1] == 0);
		for (int n = 0; n < 1000; n++)
			assert_int_equal(sl_split_next(lag, after, 2, 100), 0);
		memcpy(lag, old, sizeof(old));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(realised_is_within_one_request_of_target_at_any_n),
		cmocka_unit_test(random_weights_stay_exact),
		cmocka_unit_test(changes_of_weight_keep_what_is_owed),
		cmocka_unit_test(a_target_taken_out_gets_nothing_and_owes_nothing),
	};

	return cmocka_run_group_tests_name("split", tests, NULL, NULL);
}
