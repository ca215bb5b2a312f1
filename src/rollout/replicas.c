#include "rollout/engine_priv.h"

static int32_t least(int32_t a, int32_t b)
{
	return a < b ? a : b;
}

static int32_t most(int32_t a, int32_t b)
{
	return a > b ? a : b;
}

static int32_t above_zero(int32_t a)
{
	return most(a, 0);
}

/* replicas * weight / whole, rounded up or down. */
static int32_t portion(int32_t replicas, uint32_t weight, uint32_t whole, bool up)
{
	int64_t product = (int64_t)replicas * weight;

	return (int32_t)((product + (up ? whole - 1 : 0)) / whole);
}

static int32_t share_of(sl_rollout_share share, int32_t replicas, bool up)
{
	if (!share.percent)
		return above_zero(share.value);
	return portion(replicas, (uint32_t)above_zero(share.value), 100, up);
}

int32_t sl_rollout_max_unavailable(const struct sl_rollout_spec *spec)
{
	int32_t n = share_of(spec->max_unavailable, spec->replicas, false);

	/* As in Kubernetes: both zero would allow no move at all. */
	return !n && !share_of(spec->max_surge, spec->replicas, true) ? 1 : n;
}

static int32_t max_surge(const struct sl_rollout_spec *spec)
{
	int32_t n = share_of(spec->max_surge, spec->replicas, true);

	/* Without surge and with every pod allowed to be missing, the old one would go first: downtime. The new one comes first here. */
	return !n && spec->replicas <= sl_rollout_max_unavailable(spec) ? 1 : n;
}

int32_t sl_rollout_slack(const struct sl_rollout_ctx *ctx)
{
	return most(sl_rollout_max_unavailable(ctx->spec), portion(ctx->spec->replicas, 25, 100, true));
}

/* ---- how many the steps ask for ---- */

/* The setCanaryScale in force at a step, or NULL: the last one up to it, unless it says matchTrafficWeight. */
static const struct sl_rollout_step *canary_scale(const struct sl_rollout_ctx *ctx, int32_t index)
{
	if (!ctx->spec->traffic_routed || ctx->next->abort || (size_t)index >= ctx->spec->step_count)
		return NULL;
	for (int32_t i = index; i >= 0; i--) {
		const struct sl_rollout_step *step = &ctx->spec->steps[i];

		if (step->kind == SL_ROLLOUT_STEP_SET_CANARY_SCALE)
			return step->scale == SL_ROLLOUT_SCALE_MATCH_WEIGHT ? NULL : step;
	}
	return NULL;
}

struct split {
	int32_t canary, stable;
};

/* |canary / total - weight / whole|, times total * whole, over total: compared without fractions by cross-multiplication. */
static int64_t distance(struct split s, uint32_t weight, uint32_t whole)
{
	int64_t d = (int64_t)s.canary * whole - (int64_t)weight * (s.canary + s.stable);

	return d < 0 ? -d : d;
}

static bool closer(struct split a, struct split b, uint32_t weight, uint32_t whole)
{
	return distance(a, weight, whole) * (b.canary + b.stable) <
	       distance(b, weight, whole) * (a.canary + a.stable);
}

/*
 * Basic canary: the pod counts nearest to the weight, the canary's rounded up or down, one more pod than replicas allowed where there is
 * surge. Between 0 and 100 % neither side is left without a pod if there can be two.
 */
static struct split nearest_split(const struct sl_rollout_spec *spec, uint32_t weight)
{
	int32_t r = spec->replicas, surge = max_surge(spec);
	int32_t ends[] = { portion(r, weight, spec->max_weight, true),
		portion(r, weight, spec->max_weight, false) };
	bool may_be_none = weight == 0 || weight == spec->max_weight || (r == 1 && surge == 0), found = false;
	struct split best = { 0, r };

	for (int32_t total = r; total <= r + (surge > 0); total++) {
		for (size_t i = 0; i < SL_ARRAY_COUNT(ends); i++) {
			struct split s = { ends[i], total - ends[i] };

			if (!may_be_none && (s.canary <= 0 || s.stable <= 0))
				continue;
			if (!found || closer(s, best, weight, spec->max_weight))
				best = s;
			found = true;
		}
		if (may_be_none)
			break; /* nothing to be gained from one more pod */
	}
	return best;
}

static int32_t pods_for(const struct sl_rollout_ctx *ctx, uint32_t weight)
{
	int32_t n = portion(ctx->spec->replicas, weight, ctx->spec->max_weight, true);

	return n > 0 ? most(n, least(ctx->spec->min_pods_per_replica_set, ctx->spec->replicas)) : 0;
}

int32_t sl_rollout_canary_pods(const struct sl_rollout_ctx *ctx, int32_t index)
{
	const struct sl_rollout_step *scale = canary_scale(ctx, index);

	if (!sl_rollout_updating(ctx))
		return ctx->spec->replicas;
	if (scale && scale->scale == SL_ROLLOUT_SCALE_REPLICAS)
		return scale->scale_value;
	if (scale)
		return portion(ctx->spec->replicas, (uint32_t)scale->scale_value, 100, true);
	if (!ctx->spec->traffic_routed)
		return nearest_split(ctx->spec, sl_rollout_step_weight(ctx, index)).canary;
	return pods_for(ctx, sl_rollout_step_weight(ctx, index));
}

/* ---- who gets how many ---- */

static struct sl_rollout_scale keep(const struct sl_rollout_rs *rs, int32_t replicas)
{
	return (struct sl_rollout_scale) { .hash = rs->hash, .replicas = replicas };
}

static bool may_vanish(const struct sl_rollout_rs *rs)
{
	return rs->unused_acked && !rs->in_flight;
}

/* On the way to nothing: first the delay, noted on the ReplicaSet, then the acknowledgements and the last request; no timer replaces those. */
static struct sl_rollout_scale retire(
        struct sl_rollout_ctx *ctx, const struct sl_rollout_rs *rs, sl_nsec delay)
{
	struct sl_rollout_scale s = keep(rs, rs->desired);

	if (!rs->desired || delay == SL_ROLLOUT_FOREVER)
		return s;
	s.scale_down_at = rs->scale_down_at ? rs->scale_down_at : ctx->now + delay;
	if (ctx->now < s.scale_down_at) {
		sl_rollout_again(ctx, s.scale_down_at);
	} else if (may_vanish(rs)) {
		s.replicas = 0;
		s.scale_down_at = 0;
	}
	return s;
}

static bool carries_weight(const struct sl_rollout_ctx *ctx, const struct sl_rollout_rs *rs)
{
	return ctx->next->weight_canary && sl_str_eq_c(rs->hash, ctx->next->canary_hash);
}

/* An earlier canary still has a share: stable gets the pods to take it before the steps of the new one count. */
static bool draining(const struct sl_rollout_ctx *ctx)
{
	return ctx->next->weight_canary && strcmp(ctx->next->canary_hash, ctx->next->pod_hash) != 0;
}

/* Stable of a routed canary: whole, or with dynamicStableScale what its share needs, now and after the next move of weight. */
static int32_t routed_stable(const struct sl_rollout_ctx *ctx)
{
	uint32_t whole = ctx->spec->max_weight,
	         goal = whole - sl_rollout_step_weight(ctx, ctx->next->step_index);
	int32_t n;

	if (!ctx->spec->dynamic_stable_scale || !sl_rollout_updating(ctx) || draining(ctx))
		return ctx->spec->replicas;
	n = pods_for(ctx, goal > ctx->next->weight_stable ? goal : ctx->next->weight_stable);
	return sl_rollout_settled(ctx) ? n : most(n, ctx->stable->desired);
}

static struct sl_rollout_scale routed_scale(struct sl_rollout_ctx *ctx, const struct sl_rollout_rs *rs)
{
	const struct sl_rollout_spec *spec = ctx->spec;
	bool updating = sl_rollout_updating(ctx);

	if (rs == ctx->stable)
		return keep(rs, routed_stable(ctx));
	if (carries_weight(ctx, rs) && (rs != ctx->fresh || ctx->next->abort))
		return keep(rs, rs->desired);
	if (rs == ctx->fresh && ctx->next->abort)
		return retire(ctx, rs, spec->abort_scale_down_delay);
	if (rs == ctx->fresh) {
		int32_t need = sl_rollout_canary_pods(ctx, ctx->next->step_index);

		return keep(rs, sl_rollout_settled(ctx) ? need : most(need, rs->desired));
	}
	return retire(ctx, rs, updating || spec->dynamic_stable_scale ? 0 : spec->scale_down_delay);
}

/* Basic canary: pods move between the two within maxSurge and maxUnavailable, as in a rolling update. */
struct basic {
	int32_t room;  /* pods that may still be added */
	int32_t spare; /* available pods that may go */
	bool others;   /* an older ReplicaSet is still there: those go first */
};

static struct basic basic_room(const struct sl_rollout_ctx *ctx)
{
	int32_t total = 0, available = 0;
	bool others = false;

	for (size_t i = 0; i < ctx->seen->set_count; i++) {
		const struct sl_rollout_rs *rs = &ctx->seen->sets[i];

		total += rs->desired;
		available += least(rs->available, rs->desired);
		others |= rs != ctx->fresh && rs != ctx->stable && rs->desired > 0;
	}
	return (struct basic) {
		.room = above_zero(ctx->spec->replicas + max_surge(ctx->spec) - total),
		.spare =
		        above_zero(available - (ctx->spec->replicas - sl_rollout_max_unavailable(ctx->spec))),
		.others = others,
	};
}

/* From rs->desired towards `need`. Pods that are not available may go at any time; available ones only out of what is spare. */
static int32_t towards(struct sl_rollout_ctx *ctx, struct basic *b, const struct sl_rollout_rs *rs,
        int32_t need, uint32_t weight)
{
	int32_t now = rs->desired, available = least(rs->available, now), n;

	if (need >= now) {
		n = now + least(b->room, need - now);
		b->room -= n - now;
		return n;
	}
	if (!ctx->spec->replicas)
		return 0; /* the user wants nothing to run */
	if (!sl_rollout_settled(ctx))
		return now;
	n = most(need, available - b->spare);
	if (n == 0 && (weight || !may_vanish(rs)))
		n = 1;
	if (n >= now)
		return now;
	b->spare -= above_zero(available - n);
	return n;
}

static void basic_scales(struct sl_rollout_ctx *ctx, struct sl_rollout_scale *scales)
{
	const struct sl_rollout_spec *spec = ctx->spec;
	bool updating = sl_rollout_updating(ctx);
	struct split need = nearest_split(spec, sl_rollout_step_weight(ctx, ctx->next->step_index));
	struct basic b = basic_room(ctx);

	if (!updating || draining(ctx))
		need = (struct split) { 0, spec->replicas };
	/* Three rounds, so that room and spare go to stable first when it grows, and from older sets first when they shrink. */
	for (size_t i = 0; i < ctx->seen->set_count; i++) {
		const struct sl_rollout_rs *rs = &ctx->seen->sets[i];

		scales[i] = keep(rs, rs->desired);
		if (rs == ctx->stable && need.stable >= rs->desired)
			scales[i].replicas = towards(ctx, &b, rs, need.stable, ctx->next->weight_stable);
		else if (rs != ctx->stable && rs != ctx->fresh)
			scales[i].replicas = towards(
			        ctx, &b, rs, 0, carries_weight(ctx, rs) ? ctx->next->weight_canary : 0);
	}
	for (size_t i = 0; i < ctx->seen->set_count; i++)
		if (&ctx->seen->sets[i] == ctx->fresh && ctx->fresh != ctx->stable)
			scales[i].replicas = towards(ctx, &b, ctx->fresh, need.canary,
			        carries_weight(ctx, ctx->fresh) ? ctx->next->weight_canary : 0);
	for (size_t i = 0; i < ctx->seen->set_count; i++)
		if (&ctx->seen->sets[i] == ctx->stable && need.stable < ctx->stable->desired && !b.others)
			scales[i].replicas =
			        towards(ctx, &b, ctx->stable, need.stable, ctx->next->weight_stable);
}

static int32_t preview_pods(const struct sl_rollout_ctx *ctx)
{
	bool previewing = sl_rollout_updating(ctx) && !ctx->next->preview_checkpoint &&
	                  !sl_str_eq_c(ctx->spec->pod_hash, ctx->next->active_hash);

	return previewing && ctx->spec->preview_replicas >= 0 ? ctx->spec->preview_replicas
	                                                      : ctx->spec->replicas;
}

static struct sl_rollout_scale blue_green_scale(struct sl_rollout_ctx *ctx, const struct sl_rollout_rs *rs)
{
	if (rs == ctx->stable || sl_str_eq_c(rs->hash, ctx->next->active_hash))
		return keep(rs, ctx->spec->replicas);
	if (rs == ctx->fresh && ctx->next->abort)
		return retire(ctx, rs, ctx->spec->abort_scale_down_delay);
	if (rs == ctx->fresh) {
		int32_t need = preview_pods(ctx);

		return keep(rs, need);
	}
	return retire(ctx, rs, ctx->spec->scale_down_delay);
}

static int32_t first_pods(const struct sl_rollout_ctx *ctx)
{
	struct basic b = basic_room(ctx);

	if (ctx->spec->strategy == SL_ROLLOUT_BLUE_GREEN)
		return preview_pods(ctx);
	if (ctx->spec->traffic_routed || !sl_rollout_updating(ctx))
		return sl_rollout_canary_pods(ctx, ctx->next->step_index);
	return least(b.room, sl_rollout_canary_pods(ctx, ctx->next->step_index));
}

/* What was added since is told when it happens. */
static void mark_acts(struct sl_rollout_ctx *ctx, size_t event_count, size_t log_count)
{
	for (size_t i = event_count; i < ctx->plan->event_count; i++)
		ctx->events[i].act = true;
	for (size_t i = log_count; i < ctx->plan->log_count; i++)
		ctx->log[i].act = true;
}

static void create_fresh(struct sl_rollout_ctx *ctx)
{
	struct sl_rollout_scale *s = &ctx->scales[ctx->plan->scale_count++];
	size_t events = ctx->plan->event_count, logs = ctx->plan->log_count;

	*s = (struct sl_rollout_scale) {
		.hash = ctx->spec->pod_hash, .replicas = first_pods(ctx), .create = true
	};
	sl_rollout_event_add(ctx, false, "NewReplicaSetCreated",
	        "Created ReplicaSet %.*s-%.*s (revision %lld)", SL_STR_ARG(ctx->spec->name),
	        SL_STR_ARG(ctx->spec->pod_hash), (long long)ctx->spec->revision);
	sl_rollout_log_add(ctx, "scale", "create ReplicaSet %.*s-%.*s with %d pods",
	        SL_STR_ARG(ctx->spec->name), SL_STR_ARG(ctx->spec->pod_hash), (int)s->replicas);
	mark_acts(ctx, events, logs);
}

static void note_scaling(
        struct sl_rollout_ctx *ctx, const struct sl_rollout_rs *rs, const struct sl_rollout_scale *s)
{
	size_t events = ctx->plan->event_count, logs = ctx->plan->log_count;

	if (s->replicas == rs->desired)
		return;
	sl_rollout_event_add(ctx, false, "ScalingReplicaSet",
	        "Scaled %s ReplicaSet %.*s (revision %lld) from %d to %d",
	        s->replicas > rs->desired ? "up" : "down", SL_STR_ARG(rs->name), (long long)rs->revision,
	        (int)rs->desired, (int)s->replicas);
	sl_rollout_log_add(ctx, "scale", "ReplicaSet %.*s from %d to %d pods; in flight %llu, %s",
	        SL_STR_ARG(rs->name), (int)rs->desired, (int)s->replicas, (unsigned long long)rs->in_flight,
	        rs->unused_acked ? "acknowledged unused" : "in use");
	mark_acts(ctx, events, logs);
}

void sl_rollout_scale_all(struct sl_rollout_ctx *ctx)
{
	const struct sl_rollout_seen *seen = ctx->seen;
	bool basic = ctx->spec->strategy == SL_ROLLOUT_CANARY && !ctx->spec->traffic_routed;

	if (basic && !ctx->invalid[0])
		basic_scales(ctx, ctx->scales);
	for (size_t i = 0; i < seen->set_count; i++) {
		const struct sl_rollout_rs *rs = &seen->sets[i];

		if (ctx->invalid[0])
			ctx->scales[i] =
			        (struct sl_rollout_scale) { rs->hash, rs->desired, false, rs->scale_down_at };
		else if (ctx->spec->strategy == SL_ROLLOUT_BLUE_GREEN)
			ctx->scales[i] = blue_green_scale(ctx, rs);
		else if (!basic)
			ctx->scales[i] = routed_scale(ctx, rs);
		/* Whatever the reason: the last pod stays while someone may send to it, unless the user wants none at all. */
		if (!ctx->scales[i].replicas && rs->desired && ctx->spec->replicas && !may_vanish(rs))
			ctx->scales[i].replicas = rs->desired;
		note_scaling(ctx, rs, &ctx->scales[i]);
	}
	ctx->plan->scale_count = seen->set_count;
	if (!ctx->fresh && !ctx->invalid[0] && !ctx->next->abort)
		create_fresh(ctx);
}
