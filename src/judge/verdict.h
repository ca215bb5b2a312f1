#pragma once
/*
 * The judge of one update: several count tests, one verdict, and the evidence in words.
 * The weighted mean of the metrics' e-values is an e-value itself, so one alpha covers them all. "Not worse" is harder: every metric must
 * have proven it. No data is no verdict: SL_VERDICT_HOLD.
 * Ownership: embedded by value; allocates nothing.       Threads: one owner.
 */
#include "base/units.h"
#include "judge/count_test.h"

#include <stdbool.h>
#include <stddef.h>

enum { SL_JUDGE_METRICS_MOST = 4, SL_JUDGE_NAME_SIZE = 24, SL_JUDGE_TEXT_SIZE = 256 };

struct sl_judge_metric_config {
	char name[SL_JUDGE_NAME_SIZE]; /* "failures", "slower than p95" */
	double weight;                 /* share in the mean; need not sum to 1 */
	double tolerance;      /* psi0: worse means odds above this many times the baseline's; 1 = at all */
	double not_worse_than; /* psi1 of the promotion test */
};

struct sl_judge_config {
	double alpha;          /* of rollback: chance of ever condemning an equal canary */
	double alpha_promote;  /* of promotion */
	sl_nsec initial_delay; /* warm-up, left out for both sides */
	size_t metric_count;
	struct sl_judge_metric_config metrics[SL_JUDGE_METRICS_MOST];
};

/* alpha 1 % both ways, one metric "failures", tolerance 1, not worse than 2. */
void sl_judge_config_defaults(struct sl_judge_config *config);

enum sl_verdict_kind { SL_VERDICT_HOLD, SL_VERDICT_WORSE, SL_VERDICT_NOT_WORSE };
const char *sl_verdict_name(enum sl_verdict_kind kind); /* "Hold" "Worse" "NotWorse" */

struct sl_verdict {
	enum sl_verdict_kind kind;
	double log_e;           /* of "worse", the mean over metrics */
	double log_e_not_worse; /* the smallest over metrics */
	size_t metric;          /* the one that speaks loudest */
	sl_odds_interval odds;  /* its confidence sequence at alpha */
	char text[SL_JUDGE_TEXT_SIZE];
};

struct sl_judge {
	struct sl_judge_config config;
	sl_nsec started_at; /* on the caller's clock */
	struct sl_count_test tests[SL_JUDGE_METRICS_MOST];
	bool worse, not_worse; /* latched: a proof does not fade */
	uint64_t ticks;
};

/* A config out of bounds (alpha outside 0..1, no metric, weights not positive) falls back to the defaults for that field. */
void sl_judge_init(struct sl_judge *j, const struct sl_judge_config *config, sl_nsec now);
/* One tick: counts[m] for each metric. Ticks before started_at + initial_delay are dropped. */
void sl_judge_add(struct sl_judge *j, sl_nsec now, const struct sl_counts *counts);
void sl_judge_verdict(const struct sl_judge *j, struct sl_verdict *ret_verdict);
