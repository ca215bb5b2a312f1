/* Rollout objects to the engine's spec and status, and back. */
#include "control/rollout_priv.h"

#include "model/hash.h"
#include "model/object.h"

#include <inttypes.h>
#include <stdio.h>

enum { DECISIONS_MOST = 50 }; /* kept in status.sluice.decisions, newest last */

/* ---- spec ---- */

static void read_pause(const struct sl_krm_rollout_pause *pause, struct sl_rollout_step *step)
{
	step->kind = SL_ROLLOUT_STEP_PAUSE;
	step->duration = SL_ROLLOUT_FOREVER;
	if (pause->duration.kind == SL_INTSTR_INT)
		step->duration = SL_SEC(pause->duration.num);
	else if (pause->duration.kind == SL_INTSTR_STR &&
	         sl_duration_parse(pause->duration.str, &step->duration) != SL_OK)
		step->kind =
		        SL_ROLLOUT_STEP_UNSUPPORTED; /* validation refuses it; what came in otherwise moves nothing */
}

static void read_scale(const struct sl_krm_set_canary_scale *scale, struct sl_rollout_step *step)
{
	step->kind = SL_ROLLOUT_STEP_SET_CANARY_SCALE;
	step->scale = SL_ROLLOUT_SCALE_MATCH_WEIGHT;
	if (scale->has_replicas) {
		step->scale = SL_ROLLOUT_SCALE_REPLICAS;
		step->scale_value = (int32_t)scale->replicas;
	} else if (scale->has_weight) {
		step->scale = SL_ROLLOUT_SCALE_WEIGHT;
		step->scale_value = (int32_t)scale->weight;
	}
}

static void read_step(const struct sl_krm_canary_step *from, struct sl_rollout_step *step)
{
	step->kind = SL_ROLLOUT_STEP_UNSUPPORTED;
	if (from->has_set_weight) {
		step->kind = SL_ROLLOUT_STEP_SET_WEIGHT;
		step->weight = (uint32_t)from->set_weight;
	} else if (from->pause) {
		read_pause(from->pause, step);
	} else if (from->set_canary_scale) {
		read_scale(from->set_canary_scale, step);
	} else if (from->analysis) {
		step->kind = SL_ROLLOUT_STEP_ANALYSIS;
	}
}

static sl_rollout_share share_of(const sl_intstr *v, int32_t percent_otherwise)
{
	uint64_t n;

	if (v->kind == SL_INTSTR_INT)
		return (sl_rollout_share) { (int32_t)v->num, false };
	if (v->kind == SL_INTSTR_STR && sl_str_ends(v->str, SL_STR("%")) &&
	        sl_str_to_u64(sl_str_first(v->str, v->str.len - 1), &n) == SL_OK && n <= 100)
		return (sl_rollout_share) { (int32_t)n, true };
	return (sl_rollout_share) { percent_otherwise, true };
}

static sl_str step_hash(const json_t *body, struct sl_arena *arena)
{
	char *text = sl_json_text(sl_obj_get(body, "spec.strategy.canary.steps"));
	sl_str hash = sl_arena_printf(arena, "%016" PRIx64, sl_str_hash(sl_str_c(text), 0));

	sl_free(text);
	return hash;
}

static void read_canary(
        const struct sl_krm_canary_strategy *canary, struct sl_arena *arena, struct sl_rollout_spec *spec)
{
	struct sl_rollout_step *steps = sl_arena_zalloc_array(arena, canary->steps_count, sizeof(*steps));

	for (size_t i = 0; i < canary->steps_count; i++)
		read_step(&canary->steps[i], &steps[i]);
	spec->steps = steps;
	spec->step_count = canary->steps_count;
	spec->traffic_routed = canary->traffic_routing != NULL;
	spec->max_surge = share_of(&canary->max_surge, 25);
	spec->max_unavailable = share_of(&canary->max_unavailable, 25);
	spec->scale_down_delay = SL_SEC(canary->scale_down_delay_seconds);
	spec->abort_scale_down_delay = canary->abort_scale_down_delay_seconds
	                                       ? SL_SEC(canary->abort_scale_down_delay_seconds)
	                                       : SL_ROLLOUT_FOREVER;
}

struct sl_rollout_spec sl_rollout_spec_read(
        const struct sl_krm_rollout *krm, const json_t *body, struct sl_arena *arena, int64_t revision)
{
	struct sl_rollout_spec spec;
	char hash[SL_TEMPLATE_HASH_LEN + 1];

	sl_rollout_spec_defaults(&spec);
	spec.name = krm->metadata.name;
	spec.revision = revision;
	spec.pod_hash = sl_arena_str_c(arena, sl_template_hash(sl_obj_get(body, "spec.template"), hash));
	spec.step_hash = step_hash(body, arena);
	spec.replicas = (int32_t)krm->spec.replicas;
	spec.paused = krm->spec.paused;
	spec.progress_deadline = SL_SEC(krm->spec.progress_deadline_seconds);
	if (krm->spec.strategy.canary)
		read_canary(krm->spec.strategy.canary, arena, &spec);
	return spec;
}

/* ---- status in ---- */

static void copy(char *dst, size_t size, sl_str s)
{
	sl_str_copy(dst, size, s);
}

static sl_nsec time_of(sl_str text)
{
	sl_nsec t = 0;

	return text.len && sl_time_parse(text, &t) == SL_OK ? t : 0;
}

static enum sl_rollout_phase phase_of(sl_str name)
{
	for (enum sl_rollout_phase p = SL_ROLLOUT_PROGRESSING; p <= SL_ROLLOUT_DEGRADED; p++)
		if (sl_str_eq_c(name, sl_rollout_phase_name(p)))
			return p;
	return SL_ROLLOUT_PROGRESSING;
}

static void read_pauses(const struct sl_krm_rollout_status *from, struct sl_rollout_status *to)
{
	for (size_t i = 0; i < from->pause_conditions_count && to->pause_count < SL_ROLLOUT_PAUSES_MOST;
	        i++) {
		struct sl_rollout_pause *p = &to->pauses[to->pause_count];

		if (sl_rollout_pause_reason_parse(from->pause_conditions[i].reason, &p->reason) != SL_OK)
			continue; /* not ours */
		p->since = from->pause_conditions[i].start_time;
		to->pause_count++;
	}
}

static void read_conditions(const struct sl_krm_rollout_status *from, struct sl_rollout_status *to)
{
	for (size_t i = 0; i < from->conditions_count; i++) {
		const struct sl_krm_rollout_condition *c = &from->conditions[i];

		for (enum sl_rollout_condition_kind k = 0; k < SL_ROLLOUT_COND_COUNT; k++) {
			struct sl_rollout_condition *out = &to->conditions[k];

			if (!sl_str_eq_c(c->type, sl_rollout_condition_name(k)))
				continue;
			out->present = true;
			out->status = sl_str_eq(c->status, SL_STR("True"));
			copy(out->reason, sizeof(out->reason), c->reason);
			copy(out->message, sizeof(out->message), c->message);
			out->updated_at = c->last_update_time;
			out->changed_at = c->last_transition_time;
		}
	}
}

static void read_weights(const struct sl_krm_traffic_weights *w, struct sl_rollout_status *to)
{
	if (!w)
		return;
	to->weights_verified = w->verified;
	to->weight_stable = w->stable ? (uint32_t)w->stable->weight : 0;
	to->weight_canary = w->canary ? (uint32_t)w->canary->weight : 0;
	if (w->canary)
		copy(to->canary_hash, sizeof(to->canary_hash), w->canary->pod_template_hash);
}

void sl_rollout_status_read(const struct sl_krm_rollout *krm, struct sl_rollout_status *ret_status)
{
	const struct sl_krm_rollout_status *from = &krm->status;
	struct sl_rollout_status to;

	memset(&to, 0, sizeof(to)); /* the engine compares whole statuses */
	to.phase = phase_of(from->phase);
	copy(to.message, sizeof(to.message), from->message);
	to.has_step_index = from->has_current_step_index;
	to.step_index = (int32_t)from->current_step_index;
	copy(to.step_hash, sizeof(to.step_hash), from->current_step_hash);
	copy(to.pod_hash, sizeof(to.pod_hash), from->current_pod_hash);
	copy(to.stable_hash, sizeof(to.stable_hash), from->stable_rs);
	to.abort = from->abort;
	to.aborted_at = from->aborted_at;
	to.promote_full = from->promote_full;
	to.controller_pause = from->controller_pause;
	read_pauses(from, &to);
	read_conditions(from, &to);
	to.replicas = (int32_t)from->replicas;
	to.updated_replicas = (int32_t)from->updated_replicas;
	to.ready_replicas = (int32_t)from->ready_replicas;
	to.available_replicas = (int32_t)from->available_replicas;
	read_weights(from->canary.weights, &to);
	to.attempt = (uint64_t)from->sluice.attempt;
	to.analysis_attempt = (uint64_t)from->sluice.analysis_attempt;
	to.started_at = time_of(from->sluice.started_at);
	to.step_since = time_of(from->sluice.step_since);
	to.progress_at = time_of(from->sluice.progress_at);
	copy(to.abort_reason, sizeof(to.abort_reason), from->sluice.abort_reason);
	*ret_status = to;
}

/* ---- status out ---- */

static json_t *text_new(const char *s)
{
	return sl_json_from_str(sl_str_c(s));
}

static json_t *time_new(sl_nsec t)
{
	char text[28];

	return t ? json_string(sl_time_format_us(text, t)) : NULL;
}

/* NULL or "" takes the member out. */
static void set(json_t *o, const char *name, json_t *value)
{
	if (json_is_string(value) && !*json_string_value(value)) {
		json_decref(value);
		value = NULL;
	}
	if (value)
		json_object_set_new(o, name, value);
	else
		json_object_del(o, name);
}

static bool is_engines(const json_t *condition)
{
	const char *type = json_string_value(json_object_get(condition, "type"));

	for (enum sl_rollout_condition_kind k = 0; type && k < SL_ROLLOUT_COND_COUNT; k++)
		if (strcmp(type, sl_rollout_condition_name(k)) == 0)
			return true;
	return false;
}

static json_t *conditions_new(const json_t *old, const struct sl_rollout_status *s)
{
	json_t *out = json_array(), *other;
	size_t i;

	for (enum sl_rollout_condition_kind k = 0; k < SL_ROLLOUT_COND_COUNT; k++) {
		const struct sl_rollout_condition *c = &s->conditions[k];
		json_t *one;

		if (!c->present)
			continue;
		one = json_object();
		set(one, "type", text_new(sl_rollout_condition_name(k)));
		set(one, "status", text_new(c->status ? "True" : "False"));
		set(one, "reason", text_new(c->reason));
		set(one, "message", text_new(c->message));
		set(one, "lastUpdateTime", time_new(c->updated_at));
		set(one, "lastTransitionTime", time_new(c->changed_at));
		json_array_append_new(out, one);
	}
	json_array_foreach (old, i, other)
		if (!is_engines(other))
			json_array_append(out, other);
	return out;
}

static json_t *pauses_new(const struct sl_rollout_status *s)
{
	json_t *out = s->pause_count ? json_array() : NULL;

	for (size_t i = 0; i < s->pause_count; i++) {
		json_t *one = json_object();

		set(one, "reason", text_new(sl_rollout_pause_reason_name(s->pauses[i].reason)));
		set(one, "startTime", time_new(s->pauses[i].since));
		json_array_append_new(out, one);
	}
	return out;
}

static json_t *weight_new(uint32_t weight, const char *hash)
{
	json_t *w = json_pack("{s:I}", "weight", (json_int_t)weight);

	set(w, "podTemplateHash", text_new(hash));
	return w;
}

static void write_weights(json_t *status, const struct sl_rollout_status *s)
{
	json_t *canary = json_object_get(status, "canary");

	if (!json_is_object(canary)) {
		canary = json_object();
		json_object_set_new(status, "canary", canary);
	}
	json_object_set_new(canary, "weights",
	        json_pack("{s:o, s:o, s:b}", "stable", weight_new(s->weight_stable, s->stable_hash), "canary",
	                weight_new(s->weight_canary, s->canary_hash), "verified", s->weights_verified));
}

static void append_decisions(json_t *sluice, const struct sl_rollout_record *record)
{
	json_t *list = json_object_get(sluice, "decisions");

	if (!record->log_count)
		return;
	if (!json_is_array(list)) {
		list = json_array();
		json_object_set_new(sluice, "decisions", list);
	}
	for (size_t i = 0; i < record->log_count; i++) {
		const struct sl_rollout_log *l = &record->log[i];
		json_t *one = json_object();

		set(one, "time", time_new(l->at));
		set(one, "what", text_new(l->what));
		set(one, "attempt", json_integer((json_int_t)l->attempt));
		set(one, "stepBefore", json_integer(l->step_before));
		set(one, "stepAfter", json_integer(l->step_after));
		set(one, "weightBefore", json_integer(l->weight_before));
		set(one, "weightAfter", json_integer(l->weight_after));
		set(one, "logE", json_real(l->log_e));
		set(one, "why", sl_json_from_str(l->why));
		json_array_append_new(list, one);
	}
	while (json_array_size(list) > DECISIONS_MOST)
		json_array_remove(list, 0);
}

static void write_evidence(json_t *sluice, const struct sl_rollout_evidence *e)
{
	if (!e->attempt)
		return;
	set(sluice, "evidence", text_new(e->verdict.text));
	set(sluice, "logE", json_real(e->verdict.log_e));
	set(sluice, "evidenceTime", time_new(e->proven_at ? e->proven_at : e->guard_at));
	set(sluice, "guard", text_new(e->guard_text));
	set(sluice, "counts",
	        json_pack("{s:I, s:I, s:I, s:I}", "canaryRequests", (json_int_t)e->total.n_c,
	                "canaryFailures", (json_int_t)e->total.e_c, "stableRequests",
	                (json_int_t)e->total.n_b, "stableFailures", (json_int_t)e->total.e_b));
}

static void write_sluice(
        json_t *status, const struct sl_rollout_status *s, const struct sl_rollout_record *record)
{
	json_t *sluice = json_object_get(status, "sluice");

	if (!json_is_object(sluice)) {
		sluice = json_object();
		json_object_set_new(status, "sluice", sluice);
	}
	set(sluice, "attempt", json_integer((json_int_t)s->attempt));
	set(sluice, "analysisAttempt", json_integer((json_int_t)s->analysis_attempt));
	set(sluice, "startedAt", time_new(s->started_at));
	set(sluice, "stepSince", time_new(s->step_since));
	set(sluice, "progressAt", time_new(s->progress_at));
	set(sluice, "abortReason", text_new(s->abort_reason));
	write_evidence(sluice, record->evidence);
	append_decisions(sluice, record);
}

/* "app=reviews,tier=web" for the scale subresource. */
static json_t *selector_text(const json_t *body)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
	const char *key;
	json_t *value;

	json_object_foreach (sl_obj_get(body, "spec.selector.matchLabels"), key, value)
		sl_buf_printf(&text, "%s%s=%s", sl_buf_size(&text) ? "," : "", key, json_string_value(value));
	return sl_json_from_str(sl_buf_str(&text));
}

void sl_rollout_status_write(
        json_t *body, const struct sl_rollout_status *s, const struct sl_rollout_record *record, sl_nsec now)
{
	json_t *status = json_object_get(body, "status");
	char generation[24];

	(void)now;
	if (!json_is_object(status)) {
		status = json_object();
		json_object_set_new(body, "status", status);
	}
	snprintf(generation, sizeof(generation), "%" PRId64, sl_obj_generation(body));
	set(status, "observedGeneration", json_string(generation));
	set(status, "phase", text_new(sl_rollout_phase_name(s->phase)));
	set(status, "message", text_new(s->message));
	set(status, "currentStepIndex", s->has_step_index ? json_integer(s->step_index) : NULL);
	set(status, "currentStepHash", text_new(s->step_hash));
	set(status, "currentPodHash", text_new(s->pod_hash));
	set(status, "stableRS", text_new(s->stable_hash));
	set(status, "abort", s->abort ? json_true() : NULL);
	set(status, "abortedAt", time_new(s->aborted_at));
	set(status, "promoteFull", s->promote_full ? json_true() : NULL);
	set(status, "controllerPause", s->controller_pause ? json_true() : NULL);
	set(status, "pauseConditions", pauses_new(s));
	set(status, "conditions", conditions_new(json_object_get(status, "conditions"), s));
	set(status, "replicas", json_integer(s->replicas));
	set(status, "HPAReplicas", json_integer(s->replicas));
	set(status, "updatedReplicas", json_integer(s->updated_replicas));
	set(status, "readyReplicas", json_integer(s->ready_replicas));
	set(status, "availableReplicas", json_integer(s->available_replicas));
	set(status, "selector", selector_text(body));
	write_weights(status, s);
	write_sluice(status, s, record);
}
