/* The ReplicaSets of a Rollout: one per revision, named by the hash of its template. */
#include "control/rollout_priv.h"

#include "base/log.h"
#include "model/object.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- reading ---- */

static int64_t revision_of(const json_t *set)
{
	int64_t revision = 0;

	SL_IGNORE(sl_str_to_i64(
	        sl_obj_annotation(set, SL_ROLLOUT_REVISION), &revision)); /* 0: not numbered yet */
	return revision;
}

struct reading {
	struct sl_rollout_ctl *ctl;
	struct sl_rollout_sets *sets;
};

static bool read_one(void *arg, struct sl_object *o)
{
	struct reading *r = arg;
	struct sl_rollout_sets *sets = r->sets;
	struct sl_rollout_rs *rs = &sets->seen[sets->count];
	sl_str deadline = sl_obj_annotation(o->body, SL_ROLLOUT_SCALE_DOWN);

	if (sl_obj_get(o->body, "metadata.deletionTimestamp") ||
	        !sl_obj_label(o->body, SL_ROLLOUT_HASH_LABEL).len)
		return true;
	sets->objects[sets->count] = o;
	*rs = (struct sl_rollout_rs) {
		.hash = sl_obj_label(o->body, SL_ROLLOUT_HASH_LABEL),
		.name = o->key.name,
		.revision = revision_of(o->body),
		.desired = (int32_t)sl_obj_get_int(o->body, "spec.replicas", 1),
		.replicas = (int32_t)sl_obj_get_int(o->body, "status.replicas", 0),
		.ready = (int32_t)sl_obj_get_int(o->body, "status.readyReplicas", 0),
		.available = (int32_t)sl_obj_get_int(o->body, "status.availableReplicas", 0),
	};
	if (deadline.len && sl_time_parse(deadline, &rs->scale_down_at) != SL_OK)
		rs->scale_down_at = 0;
	rs->unused_acked = sl_publisher_revision_unused(
	        r->ctl->all->publisher, sl_str_c(r->ctl->full), rs->hash, &rs->in_flight);
	if (rs->revision > sets->revision_most)
		sets->revision_most = rs->revision;
	sets->count++;
	return sets->count < SL_ARRAY_COUNT(sets->seen);
}

void sl_rollout_sets_read(
        struct sl_rollout_ctl *ctl, const struct sl_object *rollout, struct sl_rollout_sets *ret_sets)
{
	struct reading r = { ctl, ret_sets };

	*ret_sets = (struct sl_rollout_sets) { 0 };
	sl_objects_each_controlled(ctl->all->objects, SL_STR("apps"), SL_STR("replicasets"), ctl->key.ns,
	        rollout->uid, read_one, &r);
}

int64_t sl_rollout_sets_revision(const struct sl_rollout_sets *sets, const char *pod_hash)
{
	for (size_t i = 0; i < sets->count; i++)
		if (sl_str_eq_c(sets->seen[i].hash, pod_hash) &&
		        sets->seen[i].revision == sets->revision_most && sets->revision_most > 0)
			return sets->revision_most;
	return sets->revision_most + 1;
}

/* ---- writing ---- */

/* The note of the end of a delay; NULL takes it out. */
static void annotate_deadline(json_t *set, sl_nsec at)
{
	json_t *annotations = sl_obj_get(set, "metadata.annotations");
	char text[28];

	if (!at) {
		json_object_del(annotations, SL_ROLLOUT_SCALE_DOWN);
		return;
	}
	if (!annotations) {
		annotations = json_object();
		sl_obj_set(set, "metadata.annotations", annotations);
	}
	json_object_set_new(annotations, SL_ROLLOUT_SCALE_DOWN, json_string(sl_time_format_us(text, at)));
}

static void annotate_revision(json_t *set, int64_t revision)
{
	json_t *annotations = sl_obj_get(set, "metadata.annotations");
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, revision);
	if (!annotations) {
		annotations = json_object();
		sl_obj_set(set, "metadata.annotations", annotations);
	}
	json_object_set_new(annotations, SL_ROLLOUT_REVISION, json_string(text));
}

static json_t *with_hash(const json_t *labels, const char *hash)
{
	json_t *out = labels ? json_deep_copy(labels) : json_object();

	json_object_set_new(out, SL_ROLLOUT_HASH_LABEL, json_string(hash));
	return out;
}

static void reported(void *arg, const struct sl_objects_result *result)
{
	struct sl_rollout_ctl *ctl = arg;

	(void)ctl;
	if (result->err != SL_OK && result->err != SL_ERR_EXISTS && result->err != SL_ERR_NOT_FOUND &&
	        result->err != SL_ERR_CLOSED)
		sl_log(SL_LOG_WARN, "rollout", "a ReplicaSet could not be written: %s: %s",
		        sl_err_text(result->err), sl_diag_text(result->diag));
}

static void create(struct sl_rollout_ctl *ctl, const struct sl_object *rollout,
        const struct sl_krm_rollout *krm, const struct sl_rollout_scale *scale, int64_t revision)
{
	char hash[SL_ROLLOUT_HASH_SIZE], name[320];
	json_t *template = json_deep_copy(sl_obj_get(rollout->body, "spec.template"));
	json_t *set;

	sl_str_copy(hash, sizeof(hash), scale->hash);
	snprintf(name, sizeof(name), "%s-%s", ctl->name, hash);
	sl_obj_set(template, "metadata.labels", with_hash(sl_obj_get(template, "metadata.labels"), hash));
	set = json_pack("{s:s, s:s, s:{s:s, s:s, s:o, s:[o]}, s:{s:I, s:I, s:{s:o}, s:o}}", "apiVersion",
	        "apps/v1", "kind", "ReplicaSet", "metadata", "name", name, "namespace", ctl->ns, "labels",
	        with_hash(sl_obj_get(rollout->body, "spec.template.metadata.labels"), hash),
	        "ownerReferences", sl_obj_owner_ref(rollout->body), "spec", "replicas",
	        (json_int_t)scale->replicas, "minReadySeconds", (json_int_t)krm->spec.min_ready_seconds,
	        "selector", "matchLabels",
	        with_hash(sl_obj_get(rollout->body, "spec.selector.matchLabels"), hash), "template",
	        template);
	annotate_revision(set, revision);
	annotate_deadline(set, scale->scale_down_at);
	sl_objects_create(ctl->all->objects, ctl->key.ns, set, NULL, reported, ctl);
}

struct change {
	int32_t replicas;
	sl_nsec scale_down_at;
	int64_t revision; /* 0: as it is */
};

static sl_err apply_change(void *arg, json_t *set)
{
	const struct change *c = arg;

	sl_obj_set(set, "spec.replicas", json_integer(c->replicas));
	annotate_deadline(set, c->scale_down_at);
	if (c->revision)
		annotate_revision(set, c->revision);
	return SL_OK;
}

static void changed(void *arg, const struct sl_objects_result *result)
{
	reported(NULL, result);
	sl_free(arg);
}

static void scale_one(struct sl_rollout_ctl *ctl, const struct sl_rollout_sets *sets, size_t i,
        const struct sl_rollout_scale *scale, const char *pod_hash, int64_t revision)
{
	const struct sl_rollout_rs *rs = &sets->seen[i];
	bool renumber = sl_str_eq_c(rs->hash, pod_hash) && rs->revision != revision;
	struct change *c;

	/* a microsecond's note reads back as it was written */
	if (rs->desired == scale->replicas && rs->scale_down_at / 1000 == scale->scale_down_at / 1000 &&
	        !renumber)
		return;
	c = sl_new0(sizeof(*c));
	*c = (struct change) { scale->replicas, scale->scale_down_at, renumber ? revision : 0 };
	sl_objects_modify(ctl->all->objects, &sets->objects[i]->key, false, apply_change, changed, c);
}

static int oldest_first(const void *a, const void *b)
{
	const struct sl_rollout_rs *const *x = a, *const *y = b;

	return (*x)->revision < (*y)->revision ? -1 : (*x)->revision > (*y)->revision;
}

/* There is room for so many besides those in use: one that is not read could be the stable one. */
enum { HISTORY_MOST = 48 };
static_assert(
        HISTORY_MOST + 16 <= SL_ARRAY_COUNT(((struct sl_rollout_sets *)0)->seen), "room for those in use");

/* Old ReplicaSets at 0 beyond revisionHistoryLimit go, oldest first. */
static void forget_old(struct sl_rollout_ctl *ctl, const struct sl_krm_rollout *krm,
        const struct sl_rollout_sets *sets, const struct sl_rollout_status *status)
{
	const struct sl_rollout_rs *old[SL_ARRAY_COUNT(sets->seen)] = { NULL };
	size_t count = 0,
	       limit = krm->spec.revision_history_limit > 0 ? (size_t)krm->spec.revision_history_limit : 0;

	if (limit > HISTORY_MOST)
		limit = HISTORY_MOST;
	for (size_t i = 0; i < sets->count; i++) {
		const struct sl_rollout_rs *rs = &sets->seen[i];

		if (rs->desired == 0 && rs->replicas == 0 && !sl_str_eq_c(rs->hash, status->stable_hash) &&
		        !sl_str_eq_c(rs->hash, status->pod_hash) &&
		        !sl_str_eq_c(rs->hash, status->canary_hash))
			old[count++] = rs;
	}
	qsort(old, count, sizeof(old[0]), oldest_first);
	for (size_t i = 0; i + limit < count; i++)
		sl_objects_delete(ctl->all->objects,
		        SL_OBJECT_KEY("apps", "replicasets", ctl->key.ns, old[i]->name), NULL, reported, ctl);
}

void sl_rollout_sets_apply(struct sl_rollout_ctl *ctl, const struct sl_object *rollout,
        const struct sl_krm_rollout *krm, const struct sl_rollout_sets *sets,
        const struct sl_rollout_plan *plan, int64_t revision)
{
	for (size_t s = 0; s < plan->scale_count; s++) {
		const struct sl_rollout_scale *scale = &plan->scales[s];
		size_t i = 0;

		while (i < sets->count && !sl_str_eq(sets->seen[i].hash, scale->hash))
			i++;
		if (i < sets->count)
			scale_one(ctl, sets, i, scale, plan->status.pod_hash, revision);
		else if (scale->create)
			create(ctl, rollout, krm, scale, revision);
	}
	forget_old(ctl, krm, sets, &plan->status);
}
