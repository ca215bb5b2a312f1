#pragma once
/*
 * When to probe a container and what the answers mean. Pure: time comes in, decisions come out.
 *
 * Semantics: Kubernetes' probes, with one difference: until an eager probe has passed for the first time it is asked every 100 ms, later
 * every tenth of the time waited, and never more rarely than periodSeconds. So a canary is ready as soon as it can be. Failures
 * in that time count once per period, so failureThreshold * periodSeconds remains the time a start may take.
 *
 * Ownership: values.       Threads: one owner.
 */
#include "base/units.h"

#include <stdbool.h>

struct sl_probe_config {
	sl_nsec initial_delay, period, timeout;
	int success_threshold, failure_threshold;
	bool eager; /* readiness and startup */
};

enum sl_probe_result { SL_PROBE_UNKNOWN, SL_PROBE_PASS, SL_PROBE_FAIL };

struct sl_probe {
	struct sl_probe_config config;
	enum sl_probe_result result;
	bool asking; /* an answer is awaited */
	bool passed_once;
	sl_nsec started_at; /* of the container; the same clock as `now` everywhere */
	sl_nsec asked_at;
	sl_nsec next_at;         /* when to ask next */
	sl_nsec count_at;        /* eager: failures before this do not count */
	int successes, failures; /* in a row */
};

/* `passed`: of a container adopted with a result known from before. */
void sl_probe_start(struct sl_probe *p, const struct sl_probe_config *config, sl_nsec now, bool passed);
/* When to ask next; SL_NSEC_MAX while an answer is awaited. */
sl_nsec sl_probe_due(const struct sl_probe *p);
void sl_probe_asked(struct sl_probe *p, sl_nsec now);
/* Takes the answer; true when p->result has changed by it. */
bool sl_probe_answered(struct sl_probe *p, bool ok, sl_nsec now);

/*
 * How long a container that ended waits for its next start: not at all the first time, then 10 s, doubling to 5 min; anew after a run of
 * 10 min. All-zero is the start. Source: Kubernetes, "Pod Lifecycle: Container restarts".
 */
struct sl_backoff {
	sl_nsec delay; /* the last one */
	int ends;      /* in a row */
};
sl_nsec sl_backoff_next(struct sl_backoff *b, sl_nsec started_at, sl_nsec ended_at);
