#include "base/test.h"

#include "runtime/probe.h"

#include "base/mem.h"

/* Runs a probe in virtual time against a container that answers by the script: '+' or '-' for each time asked. */
struct told {
	sl_nsec at;
	enum sl_probe_result result;
};

static size_t play(const struct sl_probe_config *config, const char *answers, sl_nsec asked[],
        struct told told[], bool passed)
{
	struct sl_probe p;
	size_t count = 0;
	sl_nsec now = SL_SEC(1000);

	sl_probe_start(&p, config, now, passed);
	for (size_t i = 0; answers[i]; i++) {
		now = sl_probe_due(&p);
		asked[i] = now - SL_SEC(1000);
		sl_probe_asked(&p, now);
		assert_true(sl_probe_due(&p) == SL_NSEC_MAX);
		if (sl_probe_answered(&p, answers[i] == '+', now + SL_MSEC(1)))
			told[count++] = (struct told) { asked[i], p.result };
	}
	return count;
}

static void probes_tell_what_kubernetes_would(void **state)
{
	enum { P = SL_PROBE_PASS, F = SL_PROBE_FAIL };
	static const struct {
		struct sl_probe_config config;
		bool passed;
		const char *answers;
		size_t asked_count, told_count;
		int asked_ms[8];
		struct {
			int at_ms, result;
		} told[4];
	} cases[] = {
		/* liveness: never eager, counts every failure */
		{ { 0, SL_SEC(10), SL_SEC(1), 1, 3, false }, false, "+++", 3, 1, { 0, 10000, 20000 },
		        { { 0, P } } },
		{ { 0, SL_SEC(10), SL_SEC(1), 1, 3, false }, false, "---", 3, 1, { 0, 10000, 20000 },
		        { { 20000, F } } },
		{ { 0, SL_SEC(10), SL_SEC(1), 1, 3, false }, false, "--+--+", 2, 1, { 0, 10000 },
		        { { 20000, P } } },
		{ { SL_SEC(7), SL_SEC(2), SL_SEC(1), 1, 2, false }, false, "--", 2, 1, { 7000, 9000 },
		        { { 9000, F } } },
		/* readiness: eager until ready, then by the period */
		{ { 0, SL_SEC(10), SL_SEC(1), 1, 3, true }, false, "---+++", 6, 1,
		        { 0, 100, 200, 300, 10300, 20300 }, { { 300, P } } },
		{ { 0, SL_SEC(10), SL_SEC(1), 1, 3, true }, false, "+---+", 5, 3,
		        { 0, 10000, 20000, 30000, 40000 }, { { 0, P }, { 30000, F }, { 40000, P } } },
		{ { SL_SEC(2), SL_SEC(10), SL_SEC(1), 1, 3, true }, false, "-+", 2, 1, { 2000, 2200 },
		        { { 2200, P } } },
		{ { 0, SL_SEC(10), SL_SEC(1), 3, 3, true }, false, "++-+++", 6, 1,
		        { 0, 100, 200, 300, 400, 500 }, { { 500, P } } },
		/* adopted while ready: asked at once, still ready until it fails for good */
		{ { SL_SEC(5), SL_SEC(10), SL_SEC(1), 1, 2, true }, true, "+--", 3, 1, { 0, 10000, 20000 },
		        { { 20000, F } } },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		sl_nsec asked[16];
		struct told told[16];
		size_t count = play(&cases[i].config, cases[i].answers, asked, told, cases[i].passed);

		assert_int_equal(count, cases[i].told_count);
		for (size_t k = 0; k < cases[i].asked_count; k++)
			assert_int_equal(asked[k] / SL_MSEC(1), cases[i].asked_ms[k]);
		for (size_t k = 0; k < count; k++) {
			assert_int_equal(told[k].at / SL_MSEC(1), cases[i].told[k].at_ms);
			assert_int_equal(told[k].result, cases[i].told[k].result);
		}
	}
}

/* A slow start: asking often must neither use up failureThreshold early nor go on for ever at 100 ms. */
static void a_slow_start_has_the_time_kubernetes_gives(void **state)
{
	struct sl_probe_config config = { 0, SL_SEC(10), SL_SEC(1), 1, 30, true };
	struct sl_probe p;
	sl_nsec now = 0;
	int asked = 0;

	(void)state;
	sl_probe_start(&p, &config, 0, false);
	while (p.result == SL_PROBE_UNKNOWN) {
		now = sl_probe_due(&p);
		sl_probe_asked(&p, now);
		if (sl_probe_answered(&p, false, now))
			break;
		asked++;
	}
	assert_int_equal(p.result, SL_PROBE_FAIL);
	assert_in_range(now / SL_SEC(1), 290, 300);
	assert_in_range(asked, 50, 100);
}

static void backoff_grows_and_forgets(void **state)
{
	static const struct {
		int ran_s, wait_s;
	} rows[] = { { 1, 0 }, { 1, 10 }, { 1, 20 }, { 599, 40 }, { 0, 80 }, { 0, 160 }, { 0, 300 },
		{ 0, 300 }, { 600, 0 }, { 1, 10 }, { 100000, 0 }, { 1, 10 } };
	struct sl_backoff b = { 0 };

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(rows); i++)
		assert_int_equal(sl_backoff_next(&b, SL_SEC(5), SL_SEC(5 + rows[i].ran_s)) / SL_SEC(1),
		        rows[i].wait_s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(probes_tell_what_kubernetes_would),
		cmocka_unit_test(a_slow_start_has_the_time_kubernetes_gives),
		cmocka_unit_test(backoff_grows_and_forgets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
