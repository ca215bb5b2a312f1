#include "base/test.h"

#include "control/deployment_plan.h"

#include "base/mem.h"

static void one_step(void **state)
{
	static const struct {
		struct sl_deployment_spec spec;
		struct sl_deployment_set fresh, old[2];
		int32_t want_fresh, want_old[2];
	} cases[] = {
		/* first deploy: all at once */
		{ { 3, 1, 0, false, false }, { 0, 0, 0 }, { { 0, 0, 0 } }, 3, { 0 } },
		/* scale up and down */
		{ { 5, 1, 1, false, false }, { 3, 3, 3 }, { { 0, 0, 0 } }, 5, { 0 } },
		{ { 2, 1, 1, false, false }, { 5, 5, 5 }, { { 0, 0, 0 } }, 2, { 0 } },
		{ { 0, 1, 1, false, false }, { 5, 5, 5 }, { { 0, 0, 0 } }, 0, { 0 } },
		/* an update: surge first, and nothing is taken in the same step */
		{ { 4, 1, 1, false, false }, { 0, 0, 0 }, { { 4, 4, 4 } }, 1, { 4 } },
		/* the new one is not available yet: one of the old may go all the same, by maxUnavailable */
		{ { 4, 1, 1, false, false }, { 1, 1, 0 }, { { 4, 4, 4 } }, 1, { 3 } },
		{ { 4, 1, 0, false, false }, { 1, 1, 0 }, { { 4, 4, 4 } }, 1, { 4 } },
		{ { 4, 1, 0, false, false }, { 1, 1, 1 }, { { 4, 4, 4 } }, 1, { 3 } },
		/* old Pods that do not work are replaced before ones that do, and cost nothing */
		{ { 4, 1, 0, false, false }, { 1, 1, 1 }, { { 2, 2, 0 }, { 2, 2, 2 } }, 1, { 1, 2 } },
		{ { 4, 1, 1, false, false }, { 2, 2, 0 }, { { 3, 3, 3 } }, 2, { 3 } },
		/* stuck: a version that never gets ready takes no more than maxUnavailable */
		{ { 4, 1, 1, false, false }, { 2, 2, 0 }, { { 3, 3, 3 } }, 2, { 3 } },
		/* the end */
		{ { 4, 1, 1, false, false }, { 4, 4, 4 }, { { 1, 1, 1 } }, 4, { 0 } },
		/* Recreate */
		{ { 3, 0, 0, true, false }, { 0, 0, 0 }, { { 3, 3, 3 } }, 0, { 0 } },
		{ { 3, 0, 0, true, false }, { 0, 0, 0 }, { { 0, 2, 0 } }, 0, { 0 } },
		{ { 3, 0, 0, true, false }, { 0, 0, 0 }, { { 0, 0, 0 } }, 3, { 0 } },
		/* paused: nothing moves, but scaling works */
		{ { 4, 1, 1, false, true }, { 1, 1, 1 }, { { 3, 3, 3 } }, 1, { 3 } },
		{ { 6, 1, 1, false, true }, { 1, 1, 1 }, { { 3, 3, 3 } }, 3, { 3 } },
		{ { 6, 1, 1, false, true }, { 0, 0, 0 }, { { 3, 3, 3 } }, 0, { 6 } },
		{ { 2, 1, 1, false, true }, { 0, 0, 0 }, { { 4, 4, 4 } }, 0, { 2 } },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		struct sl_deployment_set fresh = cases[i].fresh,
		                         old[2] = { cases[i].old[0], cases[i].old[1] };

		sl_deployment_plan(&cases[i].spec, &fresh, old, 2);
		if (fresh.replicas != cases[i].want_fresh || old[0].replicas != cases[i].want_old[0])
			print_error("row %zu\n", i);
		assert_int_equal(fresh.replicas, cases[i].want_fresh);
		assert_int_equal(old[0].replicas, cases[i].want_old[0]);
		assert_int_equal(old[1].replicas, cases[i].want_old[1]);
	}
}

/* Whatever the numbers and the order in which Pods come up: never too many, never too few, and it ends. */
static void every_update_keeps_its_promises(void **state)
{
	uint32_t seed = 12345;

	(void)state;
	for (int run = 0; run < 2000; run++) {
		struct sl_deployment_spec spec = { 0 };
		struct sl_deployment_set fresh = { 0 }, old[2] = { { 0 } };
		int steps = 0;

		spec.replicas = (int32_t)((seed = seed * 1664525 + 1013904223) >> 16) % 20 + 1;
		spec.max_surge = (int32_t)((seed = seed * 1664525 + 1013904223) >> 16) % 5;
		spec.max_unavailable =
		        (int32_t)((seed = seed * 1664525 + 1013904223) >> 16) % (spec.replicas + 1);
		if (spec.max_surge + spec.max_unavailable == 0)
			spec.max_unavailable = 1;
		old[0] = (struct sl_deployment_set) { spec.replicas / 2, spec.replicas / 2,
			spec.replicas / 2 };
		old[1].replicas = old[1].existing = old[1].available = spec.replicas - spec.replicas / 2;
		while (old[0].replicas + old[1].replicas > 0 || fresh.available < spec.replicas) {
			sl_deployment_plan(&spec, &fresh, old, 2);
			assert_true(fresh.replicas + old[0].replicas + old[1].replicas <=
			            spec.replicas + spec.max_surge);
			for (int k = 0; k < 2; k++)
				old[k].existing = old[k].available = old[k].replicas;
			fresh.existing = fresh.replicas;
			assert_true(fresh.available + old[0].available + old[1].available >=
			            spec.replicas - spec.max_unavailable);
			/* Sometimes a new Pod gets ready. */
			if (((seed = seed * 1664525 + 1013904223) >> 16) % 3 == 0 &&
			        fresh.available < fresh.replicas)
				fresh.available++;
			assert_true(++steps < 1000);
		}
		assert_int_equal(fresh.replicas, spec.replicas);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_step),
		cmocka_unit_test(every_update_keeps_its_promises),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
