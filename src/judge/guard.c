#include "judge/guard.h"

#include <string.h>

/* Stable's recent failure share is taken over the window under way and the one before. */
static const sl_nsec window_length = SL_SEC(1);
enum { enough_recent = 20 }; /* below that many requests in them, all since arming are taken */

const char *sl_guard_reason_text(enum sl_guard_reason reason)
{
	static const char *const texts[] = {
		[SL_GUARD_NOT_TRIPPED] = "not tripped",
		[SL_GUARD_RUN_REFUSED] = "a run of refused connections",
		[SL_GUARD_RUN_FAILED] = "a run of failures",
		[SL_GUARD_EVIDENCE] = "failures well above stable's",
	};

	return (size_t)reason < sizeof(texts) / sizeof(texts[0]) ? texts[reason] : "";
}

void sl_guard_config_defaults(struct sl_guard_config *config)
{
	*config = (struct sl_guard_config) { .alpha = 0.001, .min_refused = 3, .min_failed = 5 };
}

void sl_guard_arm(struct sl_guard *g, uint64_t generation, const struct sl_guard_config *config, sl_nsec now)
{
	if (generation == g->generation)
		return;
	memset(g, 0, sizeof(*g));
	g->generation = generation;
	g->config = *config;
	if (!(g->config.alpha > 0 && g->config.alpha < 1))
		g->config.alpha = 0.001;
	g->log_alpha = sl_judge_log(g->config.alpha);
	g->window_end = now + window_length;
	sl_count_test_init(&g->test, 1, 2);
}

static void trip(struct sl_guard *g, enum sl_guard_reason reason, sl_nsec now)
{
	g->tripped = true;
	g->reason = reason;
	g->tripped_at = now;
}

/* Would stable have failed `run` times in a row with a probability above alpha, over all the places a run can begin? See guard.h. */
static bool run_is_beyond_stable(const struct sl_guard *g, uint32_t run)
{
	uint64_t recent_n = g->recent_n + g->window_n + g->tick.n_b,
	         recent_e = g->recent_e + g->window_e + g->tick.e_b;
	bool recent = recent_n >= enough_recent;
	double n = (double)(recent ? recent_n : g->test.total.n_b + g->tick.n_b);
	double e = (double)(recent ? recent_e : g->test.total.e_b + g->tick.e_b);
	double starts = (double)(g->test.total.n_c + g->tick.n_c) + 2, log_starts = sl_judge_log(starts),
	       log_p = 0;

	for (uint32_t i = 0; i < run; i++)
		log_p += sl_judge_log((1 + e + i) / (20 + n + i));
	return log_p <= g->log_alpha - sl_judge_log(2.2 * starts * log_starts * log_starts);
}

void sl_guard_canary_failed(struct sl_guard *g, enum sl_guard_outcome outcome, sl_nsec now, uint64_t burst)
{
	if (!g->generation || g->tripped)
		return;
	if (burst && burst == g->last_burst)
		return;
	g->last_burst = burst;
	g->tick.e_c++;
	g->run_failed++;
	g->run_refused = outcome == SL_GUARD_REFUSED ? g->run_refused + 1 : 0;
	if (g->run_refused >= g->config.min_refused && run_is_beyond_stable(g, g->run_refused))
		trip(g, SL_GUARD_RUN_REFUSED, now);
	else if (g->run_failed >= g->config.min_failed && run_is_beyond_stable(g, g->run_failed))
		trip(g, SL_GUARD_RUN_FAILED, now);
	else if (sl_count_test_log_e_with(&g->test, &g->tick) >= -g->log_alpha)
		trip(g, SL_GUARD_EVIDENCE, now);
}

void sl_guard_tick(struct sl_guard *g, sl_nsec now)
{
	if (!g->generation)
		return;
	sl_count_test_add(&g->test, &g->tick);
	g->window_n += g->tick.n_b;
	g->window_e += g->tick.e_b;
	memset(&g->tick, 0, sizeof(g->tick));
	if (now >= g->window_end) {
		bool silent = now - g->window_end >= window_length; /* what the window holds is old */

		g->recent_n = silent ? 0 : g->window_n;
		g->recent_e = silent ? 0 : g->window_e;
		g->window_n = g->window_e = 0;
		g->window_end = now + window_length;
	}
	if (!g->tripped && sl_count_test_log_e(&g->test) >= -g->log_alpha)
		trip(g, SL_GUARD_EVIDENCE, now);
}
