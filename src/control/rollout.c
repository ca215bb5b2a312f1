#include "control/rollout_priv.h"

#include "base/log.h"
#include "model/object.h"

#include <inttypes.h>
#include <stdio.h>

#define EVIDENCE_EVERY SL_SEC(1)

/* ---- one Rollout: see, decide, act ---- */

static void again(struct sl_rollout_ctl *ctl)
{
	if (!ctl->gone)
		sl_loop_defer(ctl->all->loop, &ctl->task);
}

/* Ends with the last of: its owner, and every write under way. */
static void unref(struct sl_rollouts *r)
{
	if (--r->refs)
		return;
	sl_map_fini(&r->ctls);
	sl_free(r);
}

/* What is told of one plan: of its decisions once they stand in the status, of its acts once they are carried out. */
static void tell(struct sl_objects *objects, const char *full, const json_t *body,
        const struct sl_rollout_plan *plan, bool acts)
{
	for (size_t i = 0; i < plan->event_count; i++)
		if (plan->events[i].act == acts)
			sl_objects_event(objects, body, plan->events[i].warning ? "Warning" : "Normal",
			        plan->events[i].reason, "%.*s", SL_STR_ARG(plan->events[i].message));
	for (size_t i = 0; i < plan->log_count; i++)
		if (plan->log[i].act == acts)
			sl_log(SL_LOG_INFO, "rollout", "%s: %s: canary %u -> %u %%: %.*s", full,
			        plan->log[i].what, plan->log[i].weight_before, plan->log[i].weight_after,
			        SL_STR_ARG(plan->log[i].why));
}

/* A status on its way into the object, with the decisions that led to it. */
struct writing {
	struct sl_arena arena; /* what `plan` points to */
	struct sl_rollout_plan plan;
	struct sl_rollout_log *log; /* decisions alone */
	size_t log_count;
	struct sl_object *object; /* that was decided on */
	struct sl_rollouts *all;  /* kept alive by this write */
	char *full;               /* of the Rollout, which may have gone meanwhile */
	sl_nsec now;
};

static sl_err write_status(void *arg, json_t *body)
{
	struct writing *w = arg;
	struct sl_map_node *node = sl_map_get(&w->all->ctls, sl_str_c(w->full));
	struct sl_rollout_record record = { .log = w->log, .log_count = w->log_count };
	uint64_t version = 0;

	SL_IGNORE(sl_str_to_u64(sl_obj_resource_version(body), &version)); /* always a number here */
	if (version != w->object->resource_version || !node)
		return SL_ERR_CONFLICT; /* another state is decided on anew */
	record.evidence = &SL_MAP_ENTRY(node, struct sl_rollout_ctl, node)->evidence;
	sl_rollout_status_write(body, &w->plan.status, &record, w->now);
	return SL_OK;
}

static void status_written(void *arg, const struct sl_objects_result *result)
{
	struct writing *w = arg;
	struct sl_map_node *node = sl_map_get(&w->all->ctls, sl_str_c(w->full));

	/* on a conflict the watch brings the newer state, and the decision is made on that */
	if (node && result->err == SL_OK)
		tell(w->all->objects, w->full, w->object->body, &w->plan, false);
	if (node) {
		struct sl_rollout_ctl *ctl = SL_MAP_ENTRY(node, struct sl_rollout_ctl, node);

		ctl->writing = false;
		if (result->err != SL_OK &&
		        result->err != SL_ERR_CONFLICT) /* a full disk: not at once again */
			sl_timer_in(w->all->loop, &ctl->timer, SL_SEC(1));
		else
			again(ctl);
	}
	unref(w->all);
	sl_object_unref(w->object);
	sl_arena_fini(&w->arena);
	sl_free(w->full);
	sl_free(w);
}

static void copy_told(struct writing *w, const struct sl_rollout_plan *plan)
{
	struct sl_rollout_event *events =
	        sl_arena_zalloc_array(&w->arena, plan->event_count, sizeof(*events));

	w->log = sl_arena_zalloc_array(&w->arena, plan->log_count, sizeof(*w->log));
	for (size_t i = 0; i < plan->log_count; i++) {
		if (plan->log[i].act)
			continue;
		w->log[w->log_count] = plan->log[i];
		w->log[w->log_count++].why = sl_arena_str(&w->arena, plan->log[i].why);
	}
	for (size_t i = 0; i < plan->event_count; i++) {
		events[i] = plan->events[i];
		events[i].message = sl_arena_str(&w->arena, plan->events[i].message);
	}
	w->plan = (struct sl_rollout_plan) { .status = plan->status,
		.events = events,
		.event_count = plan->event_count,
		.log = w->log,
		.log_count = w->log_count };
}

static void start_write(
        struct sl_rollout_ctl *ctl, struct sl_object *o, const struct sl_rollout_plan *plan, sl_nsec now)
{
	struct writing *w = sl_new0(sizeof(*w));

	w->all = ctl->all;
	w->all->refs++;
	w->full = sl_strdup(ctl->full);
	w->now = now;
	w->object = sl_object_ref(o);
	copy_told(w, plan);
	ctl->evidence_written_at = now;
	ctl->writing = true;
	sl_objects_modify(ctl->all->objects, &ctl->key, true, write_status, status_written, w);
}

/* The judge's words follow in status about once a second while it watches. */
static bool evidence_is_due(const struct sl_rollout_ctl *ctl, sl_nsec now)
{
	return ctl->evidence.watching && now - ctl->evidence_written_at >= EVIDENCE_EVERY;
}

static void reconcile(struct sl_rollout_ctl *ctl)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	struct sl_object *o = sl_objects_latest(ctl->all->objects, &ctl->key);
	sl_nsec now = sl_loop_real(ctl->all->loop) / 1000 * 1000; /* as it is written: in microseconds */
	struct sl_krm_rollout *krm;
	struct sl_rollout_sets sets;
	struct sl_rollout_status status;
	struct sl_rollout_seen seen = { 0 };
	struct sl_rollout_spec spec;
	struct sl_rollout_plan plan;
	int64_t revision;

	if (ctl->writing || !o || sl_obj_get(o->body, "metadata.deletionTimestamp"))
		return;
	if (sl_krm_rollout_decode(o->body, &arena, &krm, &diag) != SL_OK) {
		sl_log(SL_LOG_WARN, "rollout", "%s: %s", ctl->full, sl_diag_text(&diag));
		return;
	}
	sl_rollout_sets_read(ctl, o, &sets);
	spec = sl_rollout_spec_read(krm, o->body, &arena, 0);
	revision = sl_rollout_sets_revision(&sets, spec.pod_hash.p);
	spec.revision = revision;
	sl_rollout_status_read(krm, &status);
	seen.sets = sets.seen;
	seen.set_count = sets.count;
	seen.weights_acked = sl_publisher_in_force(ctl->all->publisher, o->resource_version);
	sl_rollout_evidence_seen(ctl, &seen);
	sl_rollout_analysis_seen(ctl, o, &status, &arena, &seen);
	sl_rollout_decide(&plan, &arena, &spec, &status, &seen, now);
	sl_rollout_evidence_watch(ctl, &plan);
	if (plan.changed || evidence_is_due(ctl, now) ||
	        sl_obj_generation(o->body) !=
	                strtoll(krm->status.observed_generation.len ? krm->status.observed_generation.p : "0",
	                        NULL, 10)) {
		start_write(ctl, o, &plan, now);
	} else { /* what was decided stands in the status: now it is carried out */
		sl_rollout_sets_apply(ctl, o, krm, &sets, &plan, revision);
		sl_rollout_analysis_apply(ctl, o, krm, &plan);
		tell(ctl->all->objects, ctl->full, o->body, &plan, true);
	}
	if (plan.again_at <= now)
		plan.again_at = now + SL_MSEC(1);
	if (ctl->evidence.watching && plan.again_at > now + EVIDENCE_EVERY)
		plan.again_at = now + EVIDENCE_EVERY;
	if (plan.again_at != SL_NSEC_MAX)
		sl_timer_in(ctl->all->loop, &ctl->timer, plan.again_at - now);
}

static void on_task(struct sl_loop *loop, struct sl_task *task)
{
	(void)loop;
	reconcile(SL_CONTAINER_OF(task, struct sl_rollout_ctl, task));
}

static void on_timer(struct sl_loop *loop, struct sl_timer *timer)
{
	(void)loop;
	reconcile(SL_CONTAINER_OF(timer, struct sl_rollout_ctl, timer));
}

/* ---- all of them ---- */

static void ctl_free(void *object)
{
	struct sl_rollout_ctl *ctl = object;

	sl_rollout_evidence_fini(&ctl->evidence);
	sl_rollout_analysis_fini(ctl);
	sl_free(ctl->ns);
	sl_free(ctl->name);
	sl_free(ctl->full);
	sl_free(ctl);
}

static struct sl_rollout_ctl *ctl_get(struct sl_rollouts *r, const struct sl_object_key *key)
{
	char *full = sl_asprintf("%.*s/%.*s", SL_STR_ARG(key->ns), SL_STR_ARG(key->name));
	struct sl_map_node *node = sl_map_get(&r->ctls, sl_str_c(full));
	struct sl_rollout_ctl *ctl;

	if (node) {
		sl_free(full);
		return SL_MAP_ENTRY(node, struct sl_rollout_ctl, node);
	}
	ctl = sl_new0(sizeof(*ctl));
	ctl->all = r;
	ctl->task.fn = on_task;
	ctl->timer.fn = on_timer;
	ctl->full = full;
	ctl->ns = sl_strndup(key->ns.p, key->ns.len);
	ctl->name = sl_strndup(key->name.p, key->name.len);
	ctl->key = (struct sl_object_key) { .group = SL_STR("argoproj.io"),
		.plural = SL_STR("rollouts"),
		.ns = sl_str_c(ctl->ns),
		.name = sl_str_c(ctl->name) };
	sl_map_put(&r->ctls, &ctl->node, sl_str_c(ctl->full));
	return ctl;
}

static void ctl_remove(struct sl_rollouts *r, struct sl_rollout_ctl *ctl)
{
	ctl->gone = true;
	sl_map_take(&r->ctls, ctl->node.key);
	sl_task_cancel(r->loop, &ctl->task);
	sl_timer_stop(r->loop, &ctl->timer);
	sl_loop_free_later(r->loop, &ctl->dead, ctl_free, ctl);
}

static void on_rollout(void *arg, const struct sl_store_event *event)
{
	struct sl_rollouts *r = arg;
	struct sl_rollout_ctl *ctl = ctl_get(r, &event->object->key);

	if (event->type == SL_STORE_DELETED)
		ctl_remove(r, ctl);
	else
		again(ctl);
}

/* The owner that made it; NULL: none. */
static const json_t *controller_of(const json_t *body)
{
	const json_t *owners = sl_obj_get(body, "metadata.ownerReferences"), *owner;
	size_t i;

	json_array_foreach (owners, i, owner)
		if (json_is_true(json_object_get(owner, "controller")))
			return owner;
	return NULL;
}

static void on_set(void *arg, const struct sl_store_event *event)
{
	struct sl_rollouts *r = arg;
	const json_t *owner = controller_of(event->object->body);
	struct sl_object_key key = { .ns = event->object->key.ns, .name = sl_obj_get_str(owner, "name") };
	char full[640];
	struct sl_map_node *node;

	if (!owner || !sl_str_eq(sl_obj_get_str(owner, "kind"), SL_STR("Rollout")))
		return;
	snprintf(full, sizeof(full), "%.*s/%.*s", SL_STR_ARG(key.ns), SL_STR_ARG(key.name));
	node = sl_map_get(&r->ctls, sl_str_c(full));
	if (node)
		again(SL_MAP_ENTRY(node, struct sl_rollout_ctl, node));
}

void sl_rollouts_recheck(struct sl_rollouts *r)
{
	SL_MAP_FOR (node, &r->ctls)
		again(SL_MAP_ENTRY(node, struct sl_rollout_ctl, node));
}

void sl_rollouts_load(struct sl_rollouts *r, sl_str node, const struct sl_load_report *report)
{
	SL_MAP_FOR (found, &r->ctls) {
		struct sl_rollout_ctl *ctl = SL_MAP_ENTRY(found, struct sl_rollout_ctl, node);
		struct sl_counts tick = { 0 };
		bool proven;

		for (size_t i = 0; i < report->cluster_count; i++) {
			sl_str hash = sl_publisher_revision_of(
			        r->publisher, sl_str_c(ctl->full), report->clusters[i].cluster);

			if (hash.len)
				sl_rollout_evidence_cluster(ctl, node, &report->clusters[i], hash, &tick);
		}
		proven = sl_rollout_evidence_tick(ctl, &tick, report->interval);

		if (sl_rollout_analysis_tick(ctl, &tick) || proven)
			again(ctl);
	}
}

void sl_rollouts_metrics(const struct sl_rollouts *r, struct sl_buf *out)
{
	sl_buf_c(out,
	        "# HELP sluice_rollout_requests_total Requests to a revision of a Rollout, as its proxies report them.\n"
	        "# TYPE sluice_rollout_requests_total counter\n"
	        "# HELP sluice_rollout_failures_total Those that failed.\n# TYPE sluice_rollout_failures_total counter\n");
	SL_MAP_FOR (node, &r->ctls) {
		const struct sl_rollout_ctl *ctl = SL_MAP_ENTRY(node, struct sl_rollout_ctl, node);
		const struct sl_rollout_evidence *e = &ctl->evidence;

		for (const struct sl_revision_count *c = e->counts; c; c = c->next) {
			char labels[1024];
			const char *role =
			        strcmp(c->hash, e->canary) == 0 && e->watching ? "canary" : "stable";

			snprintf(labels, sizeof(labels),
			        "namespace=\"%s\",rollout=\"%s\",revision=\"%s\",role=\"%s\"", ctl->ns,
			        ctl->name, c->hash, role);
			sl_buf_printf(
			        out, "sluice_rollout_requests_total{%s} %" PRIu64 "\n", labels, c->requests);
			sl_buf_printf(
			        out, "sluice_rollout_failures_total{%s} %" PRIu64 "\n", labels, c->failures);
		}
	}
}

sl_err sl_rollouts_start(struct sl_rollouts **ret_r, struct sl_loop *loop, struct sl_objects *objects,
        struct sl_publisher *publisher)
{
	SL_CLEANUP(sl_rollouts_stop) struct sl_rollouts *r = sl_new0(sizeof(*r));
	struct sl_store_watch_filter rollouts = { .group = SL_STR("argoproj.io"),
		.plural = SL_STR("rollouts") };
	struct sl_store_watch_filter sets = { .group = SL_STR("apps"), .plural = SL_STR("replicasets") };

	r->refs = 1;
	r->loop = loop;
	r->objects = objects;
	r->publisher = publisher;
	SL_TRY(sl_objects_watch(objects, &r->watches[0], &rollouts, on_rollout, r));
	SL_TRY(sl_objects_watch(objects, &r->watches[1], &sets, on_set, r));
	*ret_r = SL_STEAL(r);
	return SL_OK;
}

void sl_rollouts_stop(struct sl_rollouts *r)
{
	struct sl_map_node *node;

	if (!r)
		return;
	for (size_t i = 0; i < SL_ARRAY_COUNT(r->watches); i++)
		sl_store_watch_stop(r->watches[i]);
	while ((node = sl_map_next(&r->ctls, NULL)))
		ctl_remove(r, SL_MAP_ENTRY(node, struct sl_rollout_ctl, node));
	unref(r);
}
