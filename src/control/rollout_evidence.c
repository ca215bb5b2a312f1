/* Counts of the proxies to evidence: the judge of an update, the proxies' guards, and the counters of /metrics. */
#include "control/rollout_priv.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>

void sl_rollout_evidence_fini(struct sl_rollout_evidence *e)
{
	for (struct sl_revision_count *c = e->counts, *next; c; c = next) {
		next = c->next;
		sl_free(c);
	}
	e->counts = NULL;
}

void sl_rollout_evidence_watch(struct sl_rollout_ctl *ctl, const struct sl_rollout_plan *plan)
{
	struct sl_rollout_evidence *e = &ctl->evidence;
	struct sl_judge_config config;

	e->watching = plan->watch;
	if (!plan->watch)
		return;
	memcpy(e->canary, plan->status.canary_hash, sizeof(e->canary));
	memcpy(e->stable, plan->status.stable_hash, sizeof(e->stable));
	if (e->attempt == plan->status.attempt)
		return;
	e->attempt = plan->status.attempt;
	e->total = (struct sl_counts) { 0 };
	e->proven_at = 0;
	e->guard_text[0] = '\0';
	e->guard_at = 0;
	sl_judge_config_defaults(&config);
	sl_judge_init(&e->judge, &config, sl_loop_now(ctl->all->loop));
	sl_judge_verdict(&e->judge, &e->verdict);
}

void sl_rollout_evidence_seen(const struct sl_rollout_ctl *ctl, struct sl_rollout_seen *seen)
{
	static const enum sl_rollout_verdict verdicts[] = {
		[SL_VERDICT_HOLD] = SL_ROLLOUT_HOLD,
		[SL_VERDICT_WORSE] = SL_ROLLOUT_WORSE,
		[SL_VERDICT_NOT_WORSE] = SL_ROLLOUT_NOT_WORSE,
	};
	const struct sl_rollout_evidence *e = &ctl->evidence;

	if (e->attempt) {
		seen->judge.verdict = verdicts[e->verdict.kind];
		seen->judge.attempt = e->attempt;
		seen->judge.log_e = e->verdict.log_e;
		seen->judge.text = sl_str_c(e->verdict.text);
	}
	if (e->guard_attempt) {
		seen->guard.tripped = true;
		seen->guard.attempt = e->guard_attempt;
		seen->guard.text = sl_str_c(e->guard_text);
	}
}

static struct sl_revision_count *count_of(struct sl_rollout_evidence *e, sl_str hash)
{
	struct sl_revision_count *c = e->counts;

	while (c && !sl_str_eq_c(hash, c->hash))
		c = c->next;
	if (c)
		return c;
	c = sl_new0(sizeof(*c));
	sl_str_copy(c->hash, sizeof(c->hash), hash);
	c->next = e->counts;
	e->counts = c;
	return c;
}

/* "sluice.guard_why/3": the reason a proxy's guard gave. */
static const char *guard_why(const struct sl_load_cluster *cluster)
{
	for (size_t i = 0; i < cluster->metric_count; i++) {
		sl_str name = cluster->metrics[i].name;
		uint64_t reason;

		if (sl_str_starts(name, SL_STR(SL_LOAD_GUARD_WHY)) &&
		        sl_str_to_u64(sl_str_skip(name, sizeof(SL_LOAD_GUARD_WHY) - 1), &reason) == SL_OK &&
		        reason <= SL_GUARD_EVIDENCE)
			return sl_guard_reason_text((enum sl_guard_reason)reason);
	}
	return "no reason given";
}

static void take_guard(struct sl_rollout_ctl *ctl, sl_str node, const struct sl_load_cluster *cluster)
{
	const struct sl_load_metric *m =
	        sl_load_metric_find(cluster->metrics, cluster->metric_count, SL_LOAD_GUARD);
	struct sl_rollout_evidence *e = &ctl->evidence;
	uint64_t generation;

	if (!m || !m->count)
		return;
	generation = (uint64_t)m->total;
	if (generation != e->attempt || e->guard_attempt == generation)
		return;
	e->guard_attempt = generation;
	e->guard_at = sl_loop_real(ctl->all->loop);
	snprintf(e->guard_text, sizeof(e->guard_text),
	        "the guard of proxy %.*s sent the canary's share to stable: %s", SL_STR_ARG(node),
	        guard_why(cluster));
	sl_log(SL_LOG_INFO, "rollout", "%s: %s", ctl->full, e->guard_text);
}

void sl_rollout_evidence_cluster(struct sl_rollout_ctl *ctl, sl_str node,
        const struct sl_load_cluster *cluster, sl_str hash, struct sl_counts *tick)
{
	struct sl_rollout_evidence *e = &ctl->evidence;
	const struct sl_load_metric *judged =
	        sl_load_metric_find(cluster->metrics, cluster->metric_count, SL_LOAD_JUDGED);
	struct sl_revision_count *count = count_of(e, hash);

	count->requests += cluster->ok + cluster->error;
	count->failures += cluster->error;
	if (!e->watching)
		return;
	if (sl_str_eq_c(hash, e->canary))
		take_guard(ctl, node, cluster);
	if (!judged)
		return;
	if (sl_str_eq_c(hash, e->canary)) {
		tick->n_c += judged->count;
		tick->e_c += (uint64_t)judged->total;
	} else if (sl_str_eq_c(hash, e->stable)) {
		tick->n_b += judged->count;
		tick->e_b += (uint64_t)judged->total;
	}
}

bool sl_rollout_evidence_tick(struct sl_rollout_ctl *ctl, const struct sl_counts *tick, sl_nsec interval)
{
	struct sl_rollout_evidence *e = &ctl->evidence;
	enum sl_verdict_kind before = e->verdict.kind;

	if (!e->watching)
		return false;
	if (tick->n_c || tick->n_b) {
		e->total.n_c += tick->n_c;
		e->total.n_b += tick->n_b;
		e->total.e_c += tick->e_c;
		e->total.e_b += tick->e_b;
		sl_judge_add(&e->judge, sl_loop_now(ctl->all->loop), tick);
		sl_judge_verdict(&e->judge, &e->verdict);
	}
	if (e->verdict.kind == SL_VERDICT_WORSE &&
	        !e->proven_at) /* somewhere in the interval that was reported: from its start */
		e->proven_at = sl_loop_real(ctl->all->loop) - interval;
	return e->verdict.kind != before || (e->guard_attempt == e->attempt && e->guard_attempt);
}
