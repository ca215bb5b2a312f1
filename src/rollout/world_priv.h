#pragma once
/*
 * A small cluster for the engine's tests, on virtual time: ReplicaSets whose pods start, fail and stop; proxies that take up epochs late and
 * one by one; requests that go where each proxy believes they should; the judge over their counts. What the engine must never do is
 * checked after every decision, whatever the test is about. Tests only.
 */
#include "base/test.h"

#include "judge/simulate.h"
#include "judge/verdict.h"
#include "rollout/engine.h"

#include <stdio.h>

enum { WORLD_SETS = 24, WORLD_PODS = 24, WORLD_PROXIES = 3, WORLD_STEPS = 12, WORLD_EPOCHS = 4096 };

struct world_set {
	char hash[16], name[32];
	int64_t revision;
	int32_t desired;
	sl_nsec scale_down_at;
	sl_nsec ready_at[WORLD_PODS]; /* 0: no such pod; SL_NSEC_MAX: never ready */
	double failure_rate;
	bool never_ready;
	sl_nsec last_sent[WORLD_PROXIES];
};

struct world_epoch {
	struct {
		char hash[16];
		uint32_t weight;
	} to[2];
	size_t count;
};

struct world {
	struct sl_rng rng;
	sl_nsec now, pod_start, ack_delay, request_time;
	uint32_t requests_a_tick; /* per proxy; 0: no traffic */
	struct sl_rollout_spec spec;
	struct sl_rollout_step steps[WORLD_STEPS];
	char pod_hash[16], step_hash[16];
	struct sl_rollout_status status;
	struct world_set sets[WORLD_SETS];
	size_t set_count;
	struct world_epoch epochs[WORLD_EPOCHS];
	size_t epoch;                      /* the newest */
	size_t applied[WORLD_PROXIES];     /* by each proxy */
	sl_nsec applies_at[WORLD_PROXIES]; /* when it takes up the newest */
	struct sl_judge judge;
	uint64_t judge_attempt;
	struct sl_rollout_seen extra; /* analysis and guard, as the test sets them */
	struct sl_rollout_plan plan;  /* the last one; its arrays live in `arena` */
	struct sl_arena arena;
	struct sl_rollout_rs seen_sets[WORLD_SETS];
	uint64_t lost;  /* requests sent where no pod was ready */
	uint32_t turns; /* changes of direction of the canary's weight since they were last reset */
	int direction;
	bool own_scale;         /* the steps set the canary's scale themselves */
	int drop_plans_percent; /* the controller dies between persisting the status and doing the rest */
	char events[8192];      /* reasons, in order, comma-separated */
};

static inline struct world_set *world_find(struct world *w, const char *hash)
{
	for (size_t i = 0; i < w->set_count; i++)
		if (strcmp(w->sets[i].hash, hash) == 0)
			return &w->sets[i];
	return NULL;
}

static inline int32_t world_pods(const struct world_set *s)
{
	int32_t n = 0;

	for (size_t i = 0; i < WORLD_PODS; i++)
		n += s->ready_at[i] != 0;
	return n;
}

static inline int32_t world_ready(const struct world *w, const struct world_set *s)
{
	int32_t n = 0;

	for (size_t i = 0; i < WORLD_PODS; i++)
		n += s->ready_at[i] && s->ready_at[i] <= w->now;
	return n;
}

static inline bool epoch_uses(const struct world_epoch *e, const char *hash)
{
	for (size_t i = 0; i < e->count; i++)
		if (e->to[i].weight && strcmp(e->to[i].hash, hash) == 0)
			return true;
	return false;
}

static inline bool world_uses(const struct world *w, const char *hash) /* some proxy may still send there */
{
	for (size_t p = 0; p < WORLD_PROXIES; p++)
		for (size_t e = w->applied[p]; e <= w->epoch; e++)
			if (epoch_uses(&w->epochs[e], hash))
				return true;
	return false;
}

static inline uint64_t world_in_flight(const struct world *w, const struct world_set *s)
{
	uint64_t n = 0;

	for (size_t p = 0; p < WORLD_PROXIES; p++)
		n += s->last_sent[p] && s->last_sent[p] + w->request_time > w->now;
	return n;
}

static inline void world_init(struct world *w, uint64_t seed)
{
	memset(w, 0, sizeof(*w));
	sl_rng_seed(&w->rng, seed);
	w->now = SL_SEC(1000000);
	w->request_time = SL_MSEC(300);
	sl_rollout_spec_defaults(&w->spec);
	w->spec.name = SL_STR("web");
	w->spec.replicas = 4;
	w->spec.traffic_routed = true;
	w->spec.steps = w->steps;
}

static inline void world_fini(struct world *w)
{
	sl_arena_fini(&w->arena);
}

static inline void world_steps(
        struct world *w, const char *hash, const struct sl_rollout_step *steps, size_t count)
{
	assert_true(count <= WORLD_STEPS);
	if (count)
		memcpy(w->steps, steps, count * sizeof(*steps));
	w->spec.step_count = count;
	sl_str_copy(w->step_hash, sizeof(w->step_hash), sl_str_c(hash));
	w->spec.step_hash = sl_str_c(w->step_hash);
}

static inline void world_template(struct world *w, const char *hash)
{
	const struct world_set *old = world_find(w, hash);

	sl_str_copy(w->pod_hash, sizeof(w->pod_hash), sl_str_c(hash));
	w->spec.pod_hash = sl_str_c(w->pod_hash);
	w->spec.revision = old ? old->revision : (int64_t)w->set_count + 1;
}

/* Registers what pods of a template will be like before they exist. */
static inline struct world_set *world_set_add(struct world *w, const char *hash)
{
	struct world_set *s = world_find(w, hash);

	if (s)
		return s;
	assert_true(w->set_count < WORLD_SETS);
	s = &w->sets[w->set_count++];
	sl_str_copy(s->hash, sizeof(s->hash), sl_str_c(hash));
	snprintf(s->name, sizeof(s->name), "web-%s", hash);
	s->revision = (int64_t)w->set_count;
	s->desired = -1; /* known to the test, not to the engine */
	return s;
}

static inline void world_scale(struct world *w, struct world_set *s)
{
	for (size_t i = 0; i < WORLD_PODS && world_pods(s) < s->desired; i++)
		if (!s->ready_at[i])
			s->ready_at[i] = s->never_ready ? SL_NSEC_MAX : w->now + w->pod_start;
	/* Pods that are not ready go first. */
	for (size_t i = 0; i < WORLD_PODS && world_pods(s) > s->desired; i++)
		if (s->ready_at[i] > w->now)
			s->ready_at[i] = 0;
	for (size_t i = 0; i < WORLD_PODS && world_pods(s) > s->desired; i++)
		s->ready_at[i] = 0;
}

static inline bool epoch_gives(const struct world_epoch *e, const char *hash, uint32_t weight)
{
	for (size_t i = 0; i < e->count; i++)
		if (strcmp(e->to[i].hash, hash) == 0)
			return e->to[i].weight == weight;
	return weight == 0;
}

/* Whether the newest epoch is what the status says: not so while a plan was dropped. */
static inline bool world_carries_status(const struct world *w)
{
	const struct sl_rollout_status *st = &w->status;
	const struct world_epoch *e = &w->epochs[w->epoch];

	if (w->spec.strategy == SL_ROLLOUT_BLUE_GREEN)
		return e->count == 1 && epoch_gives(e, st->active_hash, w->spec.max_weight);
	return epoch_gives(e, st->stable_hash, st->weight_stable) &&
	       epoch_gives(e, st->canary_hash, st->weight_canary) &&
	       e->count == (size_t)(st->weight_stable > 0) + (st->weight_canary > 0);
}

static inline void world_see(struct world *w, struct sl_rollout_seen *seen)
{
	struct sl_verdict verdict;
	size_t n = 0;

	*seen = w->extra;
	for (size_t i = 0; i < w->set_count; i++) {
		struct world_set *s = &w->sets[i];

		if (s->desired < 0)
			continue;
		w->seen_sets[n++] = (struct sl_rollout_rs) { .hash = sl_str_c(s->hash),
			.name = sl_str_c(s->name),
			.revision = s->revision,
			.desired = s->desired,
			.replicas = world_pods(s),
			.ready = world_ready(w, s),
			.available = world_ready(w, s),
			.unused_acked = !world_uses(w, s->hash),
			.in_flight = world_in_flight(w, s),
			.scale_down_at = s->scale_down_at };
	}
	seen->sets = w->seen_sets;
	seen->set_count = n;
	seen->weights_acked = world_carries_status(w);
	for (size_t p = 0; p < WORLD_PROXIES; p++)
		seen->weights_acked &= w->applied[p] == w->epoch;
	if (w->judge_attempt && !seen->judge.attempt) {
		sl_judge_verdict(&w->judge, &verdict);
		seen->judge.attempt = w->judge_attempt;
		seen->judge.verdict = verdict.kind == SL_VERDICT_WORSE       ? SL_ROLLOUT_WORSE
		                      : verdict.kind == SL_VERDICT_NOT_WORSE ? SL_ROLLOUT_NOT_WORSE
		                                                             : SL_ROLLOUT_HOLD;
		seen->judge.log_e = verdict.log_e;
		seen->judge.text = sl_arena_str_c(&w->arena, verdict.text);
	}
}

/* ---- what must hold after every decision ---- */

static inline void world_check_scales(struct world *w)
{
	for (size_t i = 0; i < w->plan.scale_count; i++) {
		const struct sl_rollout_scale *scale = &w->plan.scales[i];
		char hash[16];
		struct world_set *s = world_find(w, sl_str_copy(hash, sizeof(hash), scale->hash));

		assert_true(scale->replicas >= 0);
		if (!s || s->desired <= 0 || scale->replicas > 0 || !w->spec.replicas)
			continue;
		/* Make before break: nothing goes while a proxy may send to it or a request is under way. */
		assert_false(world_uses(w, hash));
		assert_int_equal(world_in_flight(w, s), 0);
	}
}

static inline void world_check(struct world *w, const struct sl_rollout_status *was)
{
	const struct sl_rollout_status *st = &w->plan.status;
	const struct world_set *canary = world_find(w, st->canary_hash),
	                       *stable = world_find(w, st->stable_hash);
	int32_t canary_ready = canary ? world_ready(w, canary) : 0,
	        stable_ready = stable ? world_ready(w, stable) : 0;
	uint32_t sum = 0;

	if (!st->pod_hash[0])
		return; /* an invalid spec from the start */
	assert_int_equal(st->weight_canary + st->weight_stable, w->spec.max_weight);
	for (size_t i = 0; i < w->plan.destination_count; i++)
		sum += w->plan.destinations[i].weight;
	assert_true(!w->plan.destination_count || sum == w->spec.max_weight);
	if (w->spec.strategy == SL_ROLLOUT_CANARY && st->canary_hash[0]) {
		assert_true(canary_ready || !stable_ready || !st->weight_canary);
		assert_true(stable_ready || !canary_ready || !st->weight_stable);
	}
	/* Never more than the canary has pods for, where nobody set its scale by hand and stable could serve. */
	if (w->spec.traffic_routed && w->spec.strategy == SL_ROLLOUT_CANARY && stable_ready &&
	        !w->own_scale && st->weight_canary > was->weight_canary)
		assert_true((uint64_t)canary_ready * w->spec.max_weight >=
		            (uint64_t)w->spec.replicas * st->weight_canary);
	assert_true(!st->has_step_index || (size_t)st->step_index <= w->spec.step_count);
	assert_true(!st->abort || st->phase == SL_ROLLOUT_DEGRADED);
	assert_true(st->phase != SL_ROLLOUT_HEALTHY || strcmp(st->pod_hash, st->stable_hash) == 0);
	assert_true(st->attempt >= was->attempt);
	assert_true(w->plan.again_at >= w->now);
	world_check_scales(w);
}

static inline void world_count_turns(struct world *w, const struct sl_rollout_status *was)
{
	int way = w->plan.status.weight_canary > was->weight_canary   ? 1
	          : w->plan.status.weight_canary < was->weight_canary ? -1
	                                                              : 0;

	if (!way || strcmp(was->canary_hash, w->plan.status.stable_hash) == 0)
		return;
	w->turns += w->direction && way != w->direction;
	w->direction = way;
}

static inline void world_publish(struct world *w)
{
	struct world_epoch e = { 0 };

	for (size_t i = 0; i < w->plan.destination_count; i++) {
		sl_str_copy(e.to[i].hash, sizeof(e.to[i].hash), w->plan.destinations[i].hash);
		e.to[i].weight = w->plan.destinations[i].weight;
	}
	e.count = w->plan.destination_count;
	if (memcmp(&e, &w->epochs[w->epoch], sizeof(e)) == 0)
		return;
	assert_true(w->epoch + 1 < WORLD_EPOCHS);
	w->epochs[++w->epoch] = e;
	for (size_t p = 0; p < WORLD_PROXIES; p++)
		w->applies_at[p] = w->now + (sl_nsec)(sl_rng_unit(&w->rng) * (double)w->ack_delay);
}

static inline void world_carry_out(struct world *w)
{
	for (size_t i = 0; i < w->plan.scale_count; i++) {
		const struct sl_rollout_scale *scale = &w->plan.scales[i];
		char hash[16];
		struct world_set *s = world_set_add(w, sl_str_copy(hash, sizeof(hash), scale->hash));

		assert_int_equal(scale->create, s->desired < 0);
		s->desired = scale->replicas;
		s->scale_down_at = scale->scale_down_at;
		world_scale(w, s);
	}
	world_publish(w);
	if (w->plan.watch && w->judge_attempt != w->status.attempt) {
		struct sl_judge_config config;

		sl_judge_config_defaults(&config);
		sl_judge_init(&w->judge, &config, w->now);
		w->judge_attempt = w->status.attempt;
	}
}

static inline void world_note_events(struct world *w)
{
	for (size_t i = 0; i < w->plan.event_count; i++) {
		size_t at = strlen(w->events);

		snprintf(w->events + at, sizeof(w->events) - at, "%s,", w->plan.events[i].reason);
	}
}

/* One call of the engine, checked and carried out. */
static inline void world_decide(struct world *w)
{
	struct sl_rollout_status was = w->status;
	struct sl_rollout_seen seen;

	memcpy(&was, &w->status, sizeof(was));
	sl_arena_reset(&w->arena);
	world_see(w, &seen);
	sl_rollout_decide(&w->plan, &w->arena, &w->spec, &w->status, &seen, w->now);
	world_check(w, &was);
	/* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): copied as bytes above */
	assert_int_equal(w->plan.changed, memcmp(&was, &w->plan.status, sizeof(was)) != 0);
	world_count_turns(w, &was);
	world_note_events(w);
	memcpy(&w->status, &w->plan.status, sizeof(w->status)); /* persisted first */
	if ((int)(sl_rng_u64(&w->rng) % 100) < w->drop_plans_percent)
		return; /* and then the controller died */
	world_carry_out(w);
}

/* Calls the engine until it has nothing more to do right now; that must come soon, and a further call must change nothing. */
static inline void world_settle(struct world *w)
{
	int rounds = 0;

	do {
		world_decide(w);
		for (size_t p = 0; p < WORLD_PROXIES && !w->ack_delay; p++)
			w->applied[p] = w->epoch;
		assert_true(++rounds < 100);
	} while (w->plan.changed || w->plan.again_at <= w->now ||
	         (!w->ack_delay && !w->status.weights_verified && w->plan.destination_count && rounds < 90));
}

static inline void world_serve(struct world *w, size_t p, struct sl_counts *tick)
{
	const struct world_epoch *e = &w->epochs[w->applied[p]];

	for (uint32_t i = 0; i < w->requests_a_tick && e->count; i++) {
		uint32_t draw = (uint32_t)(sl_rng_u64(&w->rng) % w->spec.max_weight);
		size_t to = e->count > 1 && draw >= e->to[0].weight;
		struct world_set *s = world_find(w, e->to[to].hash);
		bool canary = strcmp(s->hash, w->status.canary_hash) == 0, dead = !world_ready(w, s);
		bool failed = dead || sl_rng_unit(&w->rng) < s->failure_rate;

		s->last_sent[p] = w->now;
		w->lost += dead;
		*(canary ? &tick->n_c : &tick->n_b) += 1;
		*(canary ? &tick->e_c : &tick->e_b) += failed;
	}
}

/* A tenth of a second goes by: proxies take up epochs, requests flow, the judge counts, the engine is called. */
static inline void world_tick(struct world *w)
{
	struct sl_counts counts = { 0 };

	w->now += SL_MSEC(100);
	for (size_t p = 0; p < WORLD_PROXIES; p++) {
		if (w->now >= w->applies_at[p])
			w->applied[p] = w->epoch;
		world_serve(w, p, &counts);
	}
	if (w->judge_attempt && w->judge_attempt == w->status.attempt)
		sl_judge_add(&w->judge, w->now, &counts);
	world_settle(w);
}

static inline void world_run(struct world *w, sl_nsec time)
{
	for (sl_nsec end = w->now + time; w->now < end;)
		world_tick(w);
}
