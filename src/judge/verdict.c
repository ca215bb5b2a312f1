#include "judge/verdict.h"

#include <stdio.h>
#include <string.h>

void sl_judge_config_defaults(struct sl_judge_config *config)
{
	*config = (struct sl_judge_config) {
		.alpha = 0.01,
		.alpha_promote = 0.01,
		.metric_count = 1,
		.metrics = { { .name = "failures", .weight = 1, .tolerance = 1, .not_worse_than = 2 } },
	};
}

const char *sl_verdict_name(enum sl_verdict_kind kind)
{
	static const char *const names[] = {
		[SL_VERDICT_HOLD] = "Hold",
		[SL_VERDICT_WORSE] = "Worse",
		[SL_VERDICT_NOT_WORSE] = "NotWorse",
	};

	return (size_t)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "Hold";
}

static bool is_probability(double p)
{
	return p > 0 && p < 1;
}

void sl_judge_init(struct sl_judge *j, const struct sl_judge_config *config, sl_nsec now)
{
	struct sl_judge_config defaults;

	sl_judge_config_defaults(&defaults);
	memset(j, 0, sizeof(*j));
	j->config = *config;
	j->started_at = now;
	if (!is_probability(j->config.alpha))
		j->config.alpha = defaults.alpha;
	if (!is_probability(j->config.alpha_promote))
		j->config.alpha_promote = defaults.alpha_promote;
	if (j->config.initial_delay < 0)
		j->config.initial_delay = 0;
	if (!j->config.metric_count || j->config.metric_count > SL_JUDGE_METRICS_MOST) {
		j->config.metric_count = defaults.metric_count;
		memcpy(j->config.metrics, defaults.metrics, sizeof(j->config.metrics));
	}
	for (size_t m = 0; m < j->config.metric_count; m++) {
		struct sl_judge_metric_config *metric = &j->config.metrics[m];

		metric->name[SL_JUDGE_NAME_SIZE - 1] = '\0';
		if (!(metric->weight > 0) || metric->weight > 1e9)
			metric->weight = 1;
		sl_count_test_init(&j->tests[m], metric->tolerance, metric->not_worse_than);
	}
}

/* The weighted mean of e-values is an e-value; which metric brings most of it is told in *ret_loudest. */
static double mean_log_e(const struct sl_judge *j, size_t *ret_loudest)
{
	double terms[SL_JUDGE_METRICS_MOST] = { 0 }, most, weights = 0, sum = 0;

	*ret_loudest = 0;
	for (size_t m = 0; m < j->config.metric_count; m++) {
		weights += j->config.metrics[m].weight;
		terms[m] = sl_count_test_log_e(&j->tests[m]) + sl_judge_log(j->config.metrics[m].weight);
		if (terms[m] > terms[*ret_loudest])
			*ret_loudest = m;
	}
	most = terms[*ret_loudest];
	for (size_t m = 0; m < j->config.metric_count; m++)
		sum += sl_judge_exp(terms[m] - most);
	return most + sl_judge_log(sum / weights);
}

static double least_log_e_not_worse(const struct sl_judge *j, size_t *ret_metric)
{
	double least = 0;

	for (size_t m = 0; m < j->config.metric_count; m++) {
		double log_e = sl_count_test_log_e_not_worse(&j->tests[m]);

		if (m && log_e >= least)
			continue;
		least = log_e;
		*ret_metric = m;
	}
	return least;
}

void sl_judge_add(struct sl_judge *j, sl_nsec now, const struct sl_counts *counts)
{
	size_t metric = 0;

	if (now - j->started_at < j->config.initial_delay)
		return;
	for (size_t m = 0; m < j->config.metric_count; m++)
		sl_count_test_add(&j->tests[m], &counts[m]);
	j->ticks++;
	if (mean_log_e(j, &metric) >= -sl_judge_log(j->config.alpha))
		j->worse = true;
	if (least_log_e_not_worse(j, &metric) >= -sl_judge_log(j->config.alpha_promote))
		j->not_worse = true;
}

static double percent(uint64_t e, uint64_t n)
{
	return n ? 100.0 * (double)e / (double)n : 0;
}

static int put_e_value(char *dst, size_t size, double log_e)
{
	double e = sl_judge_exp(log_e);

	if (log_e > 30)
		return snprintf(dst, size, "10^%.0f", log_e / 2.302585092994046);
	return snprintf(dst, size, "%.*f", e < 10 ? 2 : 0, e);
}

/*
 * "; odds 8.1x to 95x" where that tells something: the interval is wider than the verdict, so at the verdict it may still contain 1, and
 * "worse, odds above 0.5x" would contradict itself. One-sided intervals that contain 1 say nothing at all.
 */
static void put_odds(char *dst, size_t size, enum sl_verdict_kind kind, sl_odds_interval odds)
{
	const double clearly = 1.05; /* what prints as more than "1x" */
	bool above = odds.low >= clearly, bounded = odds.low > 0 && odds.high <= 1e300;

	dst[0] = '\0';
	if (kind == SL_VERDICT_WORSE && !above)
		return;
	if (bounded)
		snprintf(dst, size, "; odds %.3gx to %.3gx", odds.low, odds.high);
	else if (above)
		snprintf(dst, size, "; odds above %.3gx", odds.low);
	else if (odds.low <= 0 && odds.high < 1)
		snprintf(dst, size, "; odds below %.3gx", odds.high);
}

/* "failures: e-value 312 of 100 needed; canary 12 of 431 (2.78%), stable 9 of 8211 (0.11%); odds 8.1x to 95x" */
static void put_text(const struct sl_judge *j, struct sl_verdict *v)
{
	const struct sl_counts *c = &j->tests[v->metric].total;
	bool promote = v->kind == SL_VERDICT_NOT_WORSE;
	double alpha = promote ? j->config.alpha_promote : j->config.alpha;
	char e[32], odds[64];

	put_e_value(e, sizeof(e), promote ? v->log_e_not_worse : v->log_e);
	put_odds(odds, sizeof(odds), v->kind, v->odds);
	snprintf(v->text, sizeof(v->text),
	        "%s: e-value %s of %.0f needed%s; canary %llu of %llu (%.3g%%), stable %llu of %llu (%.3g%%)%s",
	        j->config.metrics[v->metric].name, e, 1 / alpha, promote ? " for not worse" : "",
	        (unsigned long long)c->e_c, (unsigned long long)c->n_c, percent(c->e_c, c->n_c),
	        (unsigned long long)c->e_b, (unsigned long long)c->n_b, percent(c->e_b, c->n_b), odds);
}

void sl_judge_verdict(const struct sl_judge *j, struct sl_verdict *ret_verdict)
{
	struct sl_verdict v = { .kind = SL_VERDICT_HOLD };
	size_t quietest = 0;

	v.log_e = mean_log_e(j, &v.metric);
	v.log_e_not_worse = least_log_e_not_worse(j, &quietest);
	if (j->worse) {
		v.kind = SL_VERDICT_WORSE;
	} else if (j->not_worse) {
		v.kind = SL_VERDICT_NOT_WORSE;
		v.metric = quietest;
	}
	v.odds = sl_count_test_interval(&j->tests[v.metric], j->config.alpha);
	put_text(j, &v);
	*ret_verdict = v;
}
