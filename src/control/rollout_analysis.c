/*
 * Analysis steps: an AnalysisRun made from AnalysisTemplates, whose metrics are judged by the built-in judge on the counts that come
 * while it runs. A metric of another provider ends the run as an error, which holds the step and never fails the canary.
 */
#include "control/rollout_priv.h"

#include "model/object.h"

#include <inttypes.h>
#include <stdio.h>

#define ATTEMPT_LABEL "sluice.dev/analysis-attempt"
#define STEP_LABEL "step-index"

static const struct sl_object_key *run_key(
        const struct sl_rollout_ctl *ctl, const char *name, struct sl_object_key *key)
{
	*key = (struct sl_object_key) { .group = SL_STR("argoproj.io"),
		.plural = SL_STR("analysisruns"),
		.ns = ctl->key.ns,
		.name = sl_str_c(name) };
	return key;
}

static void run_name(const struct sl_rollout_ctl *ctl, const struct sl_rollout_status *s, char dst[256])
{
	snprintf(dst, 256, "%.180s-%.40s-%" PRIu64 "-%d", ctl->name, s->pod_hash, s->analysis_attempt,
	        s->step_index);
}

/* ---- judging ---- */

static struct sl_analysis_judge *judge_find(struct sl_rollout_ctl *ctl, const char *name)
{
	struct sl_analysis_judge *j = ctl->analyses;

	while (j && strcmp(j->name, name) != 0)
		j = j->next;
	return j;
}

/* The first metric's settings stand for the run: all of its metrics look at the same counts. */
static struct sl_analysis_judge *judge_new(
        struct sl_rollout_ctl *ctl, const char *name, const struct sl_krm_sluice_metric *m)
{
	struct sl_analysis_judge *j = sl_new0(sizeof(*j));
	struct sl_judge_config config;

	sl_judge_config_defaults(&config);
	if (m->has_alpha && m->alpha > 0)
		config.alpha = m->alpha;
	if (m->has_tolerance && m->tolerance >= 1)
		config.metrics[0].tolerance = m->tolerance;
	if (m->has_not_worse_than && m->not_worse_than > 1)
		config.metrics[0].not_worse_than = m->not_worse_than;
	sl_judge_init(&j->judge, &config, sl_loop_now(ctl->all->loop));
	snprintf(j->name, sizeof(j->name), "%s", name);
	j->next = ctl->analyses;
	ctl->analyses = j;
	return j;
}

static void judge_drop(struct sl_rollout_ctl *ctl, const char *name)
{
	for (struct sl_analysis_judge **at = &ctl->analyses; *at; at = &(*at)->next) {
		struct sl_analysis_judge *j = *at;

		if (strcmp(j->name, name) != 0)
			continue;
		*at = j->next;
		sl_free(j);
		return;
	}
}

bool sl_rollout_analysis_tick(struct sl_rollout_ctl *ctl, const struct sl_counts *tick)
{
	bool news = false;

	for (struct sl_analysis_judge *j = ctl->analyses; j; j = j->next) {
		sl_judge_add(&j->judge, sl_loop_now(ctl->all->loop), tick);
		if ((j->judge.worse || j->judge.not_worse) && !j->reported)
			news = j->reported = true;
	}
	return news;
}

void sl_rollout_analysis_fini(struct sl_rollout_ctl *ctl)
{
	while (ctl->analyses)
		judge_drop(ctl, ctl->analyses->name);
}

/* ---- the runs' statuses ---- */

struct outcome {
	const char *phase;
	char text[SL_JUDGE_TEXT_SIZE + 80];
	sl_nsec now;
};

static json_t *time_new(sl_nsec t)
{
	char text[28];

	return json_string(sl_time_format_us(text, t));
}

static sl_err write_outcome(void *arg, json_t *body)
{
	const struct outcome *o = arg;
	json_t *status = json_object_get(body, "status"), *results = json_array(), *metric;
	bool ended = strcmp(o->phase, "Running") != 0, good = strcmp(o->phase, "Successful") == 0;
	size_t i;

	if (!json_is_object(status)) {
		status = json_object();
		json_object_set_new(body, "status", status);
	}
	json_array_foreach (sl_obj_get(body, "spec.metrics"), i, metric) {
		json_t *one = json_pack("{s:O, s:s, s:s}", "name", json_object_get(metric, "name"), "phase",
		        o->phase, "message", o->text);

		if (ended)
			json_object_update_new(
			        one, json_pack("{s:i, s:i, s:i, s:i}", "count", 1, "successful", good ? 1 : 0,
			                     "failed", strcmp(o->phase, "Failed") == 0, "error",
			                     strcmp(o->phase, "Error") == 0));
		json_array_append_new(results, one);
	}
	json_object_set_new(status, "phase", json_string(o->phase));
	json_object_set_new(status, "message", json_string(o->text));
	json_object_set_new(status, "metricResults", results);
	if (!json_object_get(status, "startedAt"))
		json_object_set_new(status, "startedAt", time_new(o->now));
	if (ended)
		json_object_set_new(status, "completedAt", time_new(o->now));
	return SL_OK;
}

static void outcome_written(void *arg, const struct sl_objects_result *result)
{
	(void)result; /* gone meanwhile: nobody waits for it */
	sl_free(arg);
}

static void set_outcome(struct sl_rollout_ctl *ctl, const char *name, const char *phase, const char *text)
{
	struct outcome *o = sl_new0(sizeof(*o));
	struct sl_object_key key;

	o->phase = phase;
	o->now = sl_loop_real(ctl->all->loop);
	snprintf(o->text, sizeof(o->text), "%s", text);
	sl_objects_modify(
	        ctl->all->objects, run_key(ctl, name, &key), false, write_outcome, outcome_written, o);
}

/* What a run's judge, or the time it was given, says now; "Running" while nothing is decided. */
static const char *decide(struct sl_rollout_ctl *ctl, const char *name, const struct sl_krm_analysis_run *run,
        struct outcome *ret)
{
	const struct sl_krm_sluice_metric *m = run->spec.metrics[0].provider.sluice;
	struct sl_analysis_judge *j = judge_find(ctl, name);
	sl_nsec now = sl_loop_real(ctl->all->loop);
	struct sl_verdict verdict;

	if (!j)
		j = judge_new(ctl, name, m);
	sl_judge_verdict(&j->judge, &verdict);
	snprintf(ret->text, sizeof(ret->text), "%s", verdict.text);
	if (verdict.kind == SL_VERDICT_WORSE)
		return "Failed";
	if (verdict.kind == SL_VERDICT_NOT_WORSE)
		return "Successful";
	if (run->status.started_at && now - run->status.started_at >= m->duration) {
		snprintf(ret->text, sizeof(ret->text), "time decided, nothing was proven: %s", verdict.text);
		return "Successful";
	}
	return "Running";
}

static const char *other_provider(const struct sl_krm_analysis_run *run)
{
	for (size_t i = 0; i < run->spec.metrics_count; i++)
		if (!run->spec.metrics[i].provider.sluice)
			return run->spec.metrics[i].name.p;
	return run->spec.metrics_count ? NULL : "(none)";
}

static enum sl_rollout_analysis_phase phase_of(sl_str name)
{
	static const struct {
		const char *name;
		enum sl_rollout_analysis_phase phase;
	} phases[] = {
		{ "Successful", SL_ROLLOUT_ANALYSIS_SUCCESSFUL },
		{ "Failed", SL_ROLLOUT_ANALYSIS_FAILED },
		{ "Error", SL_ROLLOUT_ANALYSIS_ERROR },
		{ "Inconclusive", SL_ROLLOUT_ANALYSIS_INCONCLUSIVE },
	};

	for (size_t i = 0; i < SL_ARRAY_COUNT(phases); i++)
		if (sl_str_eq_c(name, phases[i].name))
			return phases[i].phase;
	return SL_ROLLOUT_ANALYSIS_RUNNING;
}

void sl_rollout_analysis_seen(struct sl_rollout_ctl *ctl, const struct sl_object *rollout,
        const struct sl_rollout_status *status, struct sl_arena *arena, struct sl_rollout_seen *seen)
{
	struct sl_krm_analysis_run *run;
	struct outcome outcome = { 0 };
	struct sl_object_key key;
	struct sl_object *o;
	const char *phase, *other;
	char name[256];

	run_name(ctl, status, name);
	o = sl_objects_latest(ctl->all->objects, run_key(ctl, name, &key));
	if (!o || !sl_str_eq(sl_obj_controller_uid(o->body), rollout->uid) ||
	        sl_krm_analysis_run_decode(o->body, arena, &run, NULL) != SL_OK)
		return;
	seen->step_analysis.attempt = status->analysis_attempt;
	seen->step_analysis.step = status->step_index;
	seen->step_analysis.phase = phase_of(run->status.phase);
	seen->step_analysis.text = run->status.message;
	if (seen->step_analysis.phase != SL_ROLLOUT_ANALYSIS_RUNNING)
		return;
	other = other_provider(run);
	if (other) {
		snprintf(outcome.text, sizeof(outcome.text),
		        "metric %s: its provider is not honoured yet; use provider.sluice", other);
		phase = "Error";
	} else {
		phase = decide(ctl, name, run, &outcome);
	}
	if (strcmp(phase, "Running") != 0)
		judge_drop(ctl, name);
	if (strcmp(phase, "Running") != 0 || !run->status.started_at)
		set_outcome(ctl, name, phase, outcome.text);
	seen->step_analysis.phase = phase_of(sl_str_c(phase));
	seen->step_analysis.text = sl_arena_str_c(arena, outcome.text);
}

/* ---- making and ending runs ---- */

static void reported(void *arg, const struct sl_objects_result *result)
{
	(void)arg;
	(void)result; /* it is looked for again at the next decision */
}

/* The metrics of the templates a step names; what is missing becomes an event. */
static json_t *metrics_of(struct sl_rollout_ctl *ctl, const struct sl_object *rollout,
        const struct sl_krm_rollout_analysis *analysis)
{
	json_t *metrics = json_array();

	for (size_t i = 0; i < analysis->templates_count; i++) {
		const struct sl_krm_rollout_analysis_template *t = &analysis->templates[i];
		struct sl_object_key key = {
			.group = SL_STR("argoproj.io"),
			.plural = t->cluster_scope ? SL_STR("clusteranalysistemplates")
			                           : SL_STR("analysistemplates"),
			.ns = t->cluster_scope ? SL_STR_NONE : ctl->key.ns,
			.name = t->template_name,
		};
		struct sl_object *o = sl_objects_latest(ctl->all->objects, &key);

		if (o)
			json_array_extend(metrics, sl_obj_get(o->body, "spec.metrics"));
		else
			sl_objects_event(ctl->all->objects, rollout->body, "Warning",
			        "AnalysisTemplateNotFound", "%s \"%.*s\" is not there; the step waits for it",
			        t->cluster_scope ? "ClusterAnalysisTemplate" : "AnalysisTemplate",
			        SL_STR_ARG(t->template_name));
	}
	return metrics;
}

static void make_run(struct sl_rollout_ctl *ctl, const struct sl_object *rollout,
        const struct sl_krm_rollout_analysis *analysis, const struct sl_rollout_status *status)
{
	json_t *metrics = metrics_of(ctl, rollout, analysis), *run;
	char name[256], step[16], attempt[24];

	if (!json_array_size(metrics)) {
		json_decref(metrics);
		return;
	}
	run_name(ctl, status, name);
	snprintf(step, sizeof(step), "%d", status->step_index);
	snprintf(attempt, sizeof(attempt), "%" PRIu64, status->analysis_attempt);
	run = json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s, s:s, s:s, s:s}, s:[o]}, s:{s:o}}", "apiVersion",
	        "argoproj.io/v1alpha1", "kind", "AnalysisRun", "metadata", "name", name, "namespace", ctl->ns,
	        "labels", SL_ROLLOUT_HASH_LABEL, status->pod_hash, "rollout-type", "Step", STEP_LABEL, step,
	        ATTEMPT_LABEL, attempt, "ownerReferences", sl_obj_owner_ref(rollout->body), "spec", "metrics",
	        metrics);
	sl_objects_create(ctl->all->objects, ctl->key.ns, run, NULL, reported, NULL);
}

void sl_rollout_analysis_apply(struct sl_rollout_ctl *ctl, const struct sl_object *rollout,
        const struct sl_krm_rollout *krm, const struct sl_rollout_plan *plan)
{
	const struct sl_krm_canary_strategy *canary = krm->spec.strategy.canary;
	size_t step = plan->status.step_index >= 0 ? (size_t)plan->status.step_index : 0;
	char wanted[256] = "";
	struct sl_object_key key;

	if (plan->want_step_analysis && canary && step < canary->steps_count &&
	        canary->steps[step].analysis) {
		run_name(ctl, &plan->status, wanted);
		if (!sl_objects_latest(ctl->all->objects, run_key(ctl, wanted, &key)))
			make_run(ctl, rollout, canary->steps[step].analysis, &plan->status);
	}
	for (struct sl_analysis_judge *j = ctl->analyses, *next; j; j = next) {
		next = j->next;
		if (strcmp(j->name, wanted) == 0)
			continue;
		set_outcome(ctl, j->name, "Successful", "ended: the step is over");
		judge_drop(ctl, j->name);
	}
}
