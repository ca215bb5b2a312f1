#pragma once
/*
 * The proxy's local guard: sends the canary's share back to stable at once, on its own, when the canary is plainly broken. One per worker
 * and canary; told of every attempt; a few nanoseconds while all is well.
 *
 * It trips on
 *  - a run of hard failures: k >= min_run canary failures in a row, in k different bursts, that stable, failing as it does here lately,
 *    would hardly have had: with e_b failures in n_b requests, P(k more in a row) = product over i < k of (1 + e_b + i) / (20 + n_b + i)
 *    (a Beta(1, 19) prior: without any baseline, 5 % is assumed). Runs may begin at any of the n canary requests, so P is held against
 *    alpha / (2.2 (n + 2) ln^2 (n + 2)), which sums to alpha over all n. Nothing trips while stable fails as well;
 *  - the sequential count test over the same counts: E >= 1 / alpha.
 * It stays tripped until armed again with a new generation; the control plane makes the trip final.
 * Ownership: embedded by value; allocates nothing; all-zero is a guard that is off.       Threads: one worker.
 */
#include "base/units.h"
#include "judge/count_test.h"

#include <stdbool.h>

enum sl_guard_outcome {
	SL_GUARD_OK,
	SL_GUARD_REFUSED, /* connection refused, or no route to it */
	SL_GUARD_RESET,   /* the connection broke before a full response; a timeout too */
	SL_GUARD_5XX,
	SL_GUARD_OUTCOME_COUNT
};

enum sl_guard_reason { SL_GUARD_NOT_TRIPPED, SL_GUARD_RUN_REFUSED, SL_GUARD_RUN_FAILED, SL_GUARD_EVIDENCE };
const char *sl_guard_reason_text(enum sl_guard_reason reason);

struct sl_guard_config {
	double alpha;         /* 0.001 */
	uint32_t min_refused; /* shortest run of refused connections that trips, 3 */
	uint32_t min_failed;  /* shortest run of other hard failures that trips, 5 */
};
void sl_guard_config_defaults(struct sl_guard_config *config);

struct sl_guard {
	uint64_t generation; /* of the arming; 0: off */
	bool tripped;
	enum sl_guard_reason reason;
	sl_nsec tripped_at;
	struct sl_guard_config config;
	double log_alpha;
	uint32_t run_refused, run_failed; /* canary bursts in a row, the latter counts refused ones too */
	uint64_t last_burst;              /* of the run's last failure; 0: none */
	struct sl_counts tick;            /* since the last sl_guard_tick */
	uint64_t recent_n, recent_e;      /* stable, one to two windows back, without the open tick */
	uint64_t window_n, window_e;      /* stable, in the window under way */
	sl_nsec window_end;
	uint64_t by_outcome[SL_GUARD_OUTCOME_COUNT]; /* canary attempts since arming */
	struct sl_count_test test;
};

/* Forgets everything and watches anew. Generation 0 switches it off. The same generation again changes nothing, also when tripped. */
void sl_guard_arm(struct sl_guard *g, uint64_t generation, const struct sl_guard_config *config, sl_nsec now);

/* The slow path of a canary attempt that failed. */
void sl_guard_canary_failed(struct sl_guard *g, enum sl_guard_outcome outcome, sl_nsec now, uint64_t burst);

/*
 * One first attempt on the canary has ended. `burst` names the burst of the source connection or retry chain (any hash of the connection
 * and its sl_burst.count; 0: unknown, counts by itself); failures of one burst in a row count once.
 */
static inline void sl_guard_canary(
        struct sl_guard *g, enum sl_guard_outcome outcome, sl_nsec now, uint64_t burst)
{
	g->tick.n_c++;
	g->by_outcome[outcome]++;
	if (__builtin_expect(outcome == SL_GUARD_OK, 1)) {
		g->run_refused = g->run_failed = 0;
		return;
	}
	sl_guard_canary_failed(g, outcome, now, burst);
}

/* One first attempt on stable has ended. `event`: it failed, and its burst had not been counted yet (sl_burst_begins). */
static inline void sl_guard_stable(struct sl_guard *g, bool event)
{
	g->tick.n_b++;
	g->tick.e_b += event;
}

/* Closes a tick: call ten times a second while armed. */
void sl_guard_tick(struct sl_guard *g, sl_nsec now);
