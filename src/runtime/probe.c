#include "runtime/probe.h"

static const sl_nsec eager_least = SL_MSEC(100);
static const sl_nsec eager_free =
        SL_SEC(1); /* hardly a program answers in the millisecond it was started in */
static const sl_nsec backoff_first = SL_SEC(10), backoff_most = SL_SEC(300), backoff_forgotten = SL_SEC(600);

void sl_probe_start(struct sl_probe *p, const struct sl_probe_config *config, sl_nsec now, bool passed)
{
	*p = (struct sl_probe) {
		.config = *config,
		.result = passed ? SL_PROBE_PASS : SL_PROBE_UNKNOWN,
		.passed_once = passed,
		.started_at = now,
		.next_at = passed ? now : now + config->initial_delay,
		.count_at = now + config->initial_delay + (config->eager ? eager_free : 0),
	};
}

sl_nsec sl_probe_due(const struct sl_probe *p)
{
	return p->asking ? SL_NSEC_MAX : p->next_at;
}

void sl_probe_asked(struct sl_probe *p, sl_nsec now)
{
	p->asking = true;
	p->asked_at = now;
}

static bool is_eager(const struct sl_probe *p)
{
	return p->config.eager && !p->passed_once;
}

static sl_nsec wait_after(const struct sl_probe *p, sl_nsec now)
{
	sl_nsec wait = (now - p->started_at) / 10;

	if (!is_eager(p))
		return p->config.period;
	if (wait < eager_least)
		wait = eager_least;
	return wait < p->config.period ? wait : p->config.period;
}

static void count_failure(struct sl_probe *p, sl_nsec now)
{
	p->successes = 0;
	if (is_eager(p)) {
		if (now < p->count_at)
			return;
		p->count_at += p->config.period;
	}
	p->failures++;
}

bool sl_probe_answered(struct sl_probe *p, bool ok, sl_nsec now)
{
	enum sl_probe_result before = p->result;

	p->asking = false;
	if (ok) {
		p->failures = 0;
		if (++p->successes >= p->config.success_threshold) {
			p->result = SL_PROBE_PASS;
			p->passed_once = true;
		}
	} else {
		count_failure(p, now);
		if (p->failures >= p->config.failure_threshold)
			p->result = SL_PROBE_FAIL;
	}
	p->next_at = p->asked_at + wait_after(p, now);
	return p->result != before;
}

sl_nsec sl_backoff_next(struct sl_backoff *b, sl_nsec started_at, sl_nsec ended_at)
{
	if (ended_at - started_at >= backoff_forgotten)
		*b = (struct sl_backoff) { 0 };
	if (b->ends++ == 0)
		return 0;
	b->delay = b->delay ? b->delay * 2 : backoff_first;
	if (b->delay > backoff_most)
		b->delay = backoff_most;
	return b->delay;
}
