/* Deployment: one ReplicaSet per template, and the way from one to the next. */
#include "control/deployment_plan.h"
#include "control/workload_priv.h"
#include "base/log.h"
#include "model/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define REVISION "deployment.kubernetes.io/revision"
#define REVISION_HISTORY "deployment.kubernetes.io/revision-history"
#define DESIRED "deployment.kubernetes.io/desired-replicas"
#define MAX "deployment.kubernetes.io/max-replicas"
#define HASH_LABEL "pod-template-hash"

/* What one reconciliation works on. `sets`: all of the Deployment's, by creation; fresh: index of the template's, or -1. */
struct view {
	struct sl_workloads *w;
	struct sl_object *d;
	struct sl_deployment_spec spec;
	struct sl_object_set sets;
	int fresh;
	char hash[SL_TEMPLATE_HASH_LEN + 1];
	int64_t newest; /* highest revision among the old ones */
};

static int64_t revision_of(const json_t *obj)
{
	uint64_t n;

	return sl_str_to_u64(sl_obj_annotation(obj, REVISION), &n) == SL_OK ? (int64_t)n : 0;
}

static int by_creation(const void *a, const void *b)
{
	const struct sl_object *x = *(struct sl_object *const *)a, *y = *(struct sl_object *const *)b;
	int64_t rx = revision_of(x->body), ry = revision_of(y->body);
	int d = sl_str_cmp(sl_obj_get_str(x->body, "metadata.creationTimestamp"),
	        sl_obj_get_str(y->body, "metadata.creationTimestamp"));

	if (d == 0)
		d = (rx > ry) - (rx < ry);
	return d ? d : sl_str_cmp(x->key.name, y->key.name);
}

static void read_spec(struct view *v)
{
	const json_t *body = v->d->body, *rolling = sl_obj_get(body, "spec.strategy.rollingUpdate");
	int32_t n = (int32_t)sl_obj_get_int(body, "spec.replicas", 1);

	v->spec = (struct sl_deployment_spec) {
		.replicas = n,
		.paused = sl_obj_get_bool(body, "spec.paused"),
		.recreate = sl_str_eq(sl_obj_get_str(body, "spec.strategy.type"), SL_STR("Recreate")),
	};
	if (v->spec.recreate)
		return;
	v->spec.max_surge = sl_int_or_percent(json_object_get(rolling, "maxSurge"), n, true);
	v->spec.max_unavailable = sl_int_or_percent(json_object_get(rolling, "maxUnavailable"), n, false);
	if (v->spec.max_unavailable > n)
		v->spec.max_unavailable = n;
	if (v->spec.max_surge == 0 && v->spec.max_unavailable == 0)
		v->spec.max_unavailable = 1;
}

static void look(struct view *v)
{
	char hash[SL_TEMPLATE_HASH_LEN + 1];

	sl_object_set_fini(&v->sets);
	sl_workload_claim(v->w, v->d, "apps", "replicasets", &v->sets);
	if (v->sets.count)
		qsort(v->sets.items, v->sets.count, sizeof(struct sl_object *), by_creation);
	v->fresh = -1;
	v->newest = 0;
	sl_template_hash(sl_obj_get(v->d->body, "spec.template"), v->hash);
	for (size_t i = 0; i < v->sets.count; i++) {
		const json_t *rs = v->sets.items[i]->body;

		sl_template_hash(sl_obj_get(rs, "spec.template"), hash);
		if (v->fresh < 0 && strcmp(hash, v->hash) == 0 && !sl_pod_is_deleting(rs))
			v->fresh = (int)i;
		else if (revision_of(rs) > v->newest)
			v->newest = revision_of(rs);
	}
}

static struct sl_object *fresh_set(const struct view *v)
{
	return v->fresh < 0 ? NULL : v->sets.items[v->fresh];
}

/* --- the ReplicaSet of the template --- */

static void set_annotation(json_t *body, const char *name, int64_t n)
{
	json_t *metadata = json_object_get(body, "metadata"),
	       *annotations = json_object_get(metadata, "annotations");
	char text[32];

	if (!annotations) {
		annotations = json_object();
		json_object_set_new(metadata, "annotations", annotations);
	}
	snprintf(text, sizeof(text), "%" PRId64, n);
	json_object_set_new(annotations, name, json_string(text));
}

static void set_size_annotations(const struct view *v, json_t *body)
{
	set_annotation(body, DESIRED, v->spec.replicas);
	set_annotation(body, MAX, v->spec.replicas + v->spec.max_surge);
}

/* The Deployment's own annotations (such as change-cause) describe the revision, except those that are bookkeeping. */
static void copy_annotations(const struct view *v, json_t *body)
{
	static const char *const skipped[] = { "kubectl.kubernetes.io/last-applied-configuration", REVISION,
		REVISION_HISTORY, DESIRED, MAX, "deprecated.deployment.rollback.to" };
	json_t *copy = json_object();
	const char *name;
	json_t *value;

	json_object_foreach (sl_obj_get(v->d->body, "metadata.annotations"), name, value)
		json_object_set(copy, name, value);
	for (size_t i = 0; i < SL_ARRAY_COUNT(skipped); i++)
		json_object_del(copy, skipped[i]);
	json_object_set_new(json_object_get(body, "metadata"), "annotations", copy);
}

static json_t *with_hash(const json_t *labels, const char *hash)
{
	json_t *copy = labels ? json_deep_copy(labels) : json_object();

	json_object_set_new(copy, HASH_LABEL, json_string(hash));
	return copy;
}

static void on_set_created(void *arg, const struct sl_objects_result *r)
{
	struct sl_object *d = arg;

	if (r->err != SL_OK && r->err != SL_ERR_CLOSED)
		sl_log(SL_LOG_WARN, "control", "Deployment %.*s/%.*s: no ReplicaSet: %s",
		        SL_STR_ARG(d->key.ns), SL_STR_ARG(d->key.name),
		        r->diag->count ? sl_diag_text(r->diag) : sl_err_text(r->err));
	sl_object_unref(d);
}

static void create_fresh(struct view *v)
{
	const json_t *spec = sl_obj_get(v->d->body, "spec");
	json_t *template = json_deep_copy(json_object_get(spec, "template"));
	json_t *selector = json_deep_copy(json_object_get(spec, "selector"));
	SL_CLEANUP(sl_free) char *name = sl_asprintf("%.*s-%s", SL_STR_ARG(v->d->key.name), v->hash);
	json_t *labels = with_hash(sl_obj_get(template, "metadata.labels"), v->hash);
	json_t *body = json_pack("{s:s, s:s, s:{s:s, s:O, s:[o]}}", "apiVersion", "apps/v1", "kind",
	        "ReplicaSet", "metadata", "name", name, "labels", labels, "ownerReferences",
	        sl_obj_owner_ref(v->d->body));

	sl_obj_set(template, "metadata.labels", labels);
	json_object_set_new(
	        selector, "matchLabels", with_hash(json_object_get(selector, "matchLabels"), v->hash));
	json_object_set_new(body, "spec",
	        json_pack("{s:i, s:I, s:o, s:o}", "replicas", 0, "minReadySeconds",
	                (json_int_t)sl_obj_get_int(spec, "minReadySeconds", 0), "selector", selector,
	                "template", template));
	copy_annotations(v, body);
	set_annotation(body, REVISION, v->newest + 1);
	set_size_annotations(v, body);
	sl_objects_create(v->w->objects, v->d->key.ns, body, NULL, on_set_created, sl_object_ref(v->d));
}

/* A template that comes back (rollout undo) makes its old ReplicaSet the newest revision. */
static void renew_revision(struct view *v)
{
	struct sl_object *rs = fresh_set(v);
	int64_t old = revision_of(rs->body);

	if (old > v->newest)
		return;
	json_t *body = json_deep_copy(rs->body);
	sl_str history = sl_obj_annotation(rs->body, REVISION_HISTORY);
	SL_CLEANUP(sl_free) char *text =
	        sl_asprintf("%.*s%s%" PRId64, SL_STR_ARG(history), history.len ? "," : "", old);

	copy_annotations(v, body);
	set_size_annotations(v, body);
	if (old)
		json_object_set_new(
		        sl_obj_get(body, "metadata.annotations"), REVISION_HISTORY, json_string(text));
	set_annotation(body, REVISION, v->newest + 1);
	sl_objects_update(v->w->objects, &rs->key, body, NULL, NULL, NULL);
}

static void mirror_revision(struct view *v)
{
	struct sl_object *rs = fresh_set(v);

	if (!rs || revision_of(rs->body) == revision_of(v->d->body))
		return;
	json_t *body = json_deep_copy(v->d->body);
	set_annotation(body, REVISION, revision_of(rs->body));
	sl_objects_update(v->w->objects, &v->d->key, body, NULL, NULL, NULL);
}

/* --- scaling --- */

static void resize(struct view *v, const struct sl_object *rs, int32_t want)
{
	int32_t have = (int32_t)sl_obj_get_int(rs->body, "spec.replicas", 0);
	json_t *body = json_deep_copy(rs->body);

	sl_obj_set(body, "spec.replicas", json_integer(want));
	set_size_annotations(v, body);
	/* Unchanged where nothing differs: then nothing is written. */
	sl_objects_update(v->w->objects, &rs->key, body, NULL, NULL, NULL);
	if (want != have)
		sl_objects_event(v->w->objects, v->d->body, "Normal", "ScalingReplicaSet",
		        "Scaled %s replica set %.*s from %d to %d", want > have ? "up" : "down",
		        SL_STR_ARG(rs->key.name), have, want);
}

static struct sl_deployment_set numbers(const struct sl_object *rs)
{
	return (struct sl_deployment_set) {
		.replicas = (int32_t)sl_obj_get_int(rs->body, "spec.replicas", 0),
		.existing = (int32_t)sl_obj_get_int(rs->body, "status.replicas", 0),
		.available = (int32_t)sl_obj_get_int(rs->body, "status.availableReplicas", 0),
	};
}

/* Recreate waits until the old Pods have ended, not only until they are to end: ReplicaSets do not count these. */
struct living {
	const char *hash;
	int32_t count;
};

static bool each_living(void *arg, struct sl_object *pod)
{
	struct living *l = arg;

	l->count += !sl_pod_is_finished(pod->body);
	return true;
}

static int32_t living_pods(struct view *v, const struct sl_object *rs)
{
	struct living l = { 0 };

	sl_objects_each_controlled(
	        v->w->objects, SL_STR(""), SL_STR("pods"), rs->key.ns, rs->uid, each_living, &l);
	return l.count;
}

static void scale(struct view *v)
{
	size_t count = 0;
	SL_CLEANUP(sl_free) struct sl_deployment_set *old = sl_new0_array(v->sets.count + 1, sizeof(*old));
	SL_CLEANUP(sl_free) size_t *index = sl_new0_array(v->sets.count + 1, sizeof(*index));
	struct sl_deployment_set fresh = { 0 };

	for (size_t i = 0; i < v->sets.count; i++) {
		if ((int)i == v->fresh || sl_pod_is_deleting(v->sets.items[i]->body))
			continue;
		old[count] = numbers(v->sets.items[i]);
		if (v->spec.recreate)
			old[count].existing = living_pods(v, v->sets.items[i]);
		index[count++] = i;
	}
	if (v->fresh >= 0)
		fresh = numbers(fresh_set(v));
	sl_deployment_plan(&v->spec, v->fresh >= 0 ? &fresh : NULL, old, count);
	if (v->fresh >= 0)
		resize(v, fresh_set(v), fresh.replicas);
	for (size_t i = 0; i < count; i++)
		if (old[i].replicas != numbers(v->sets.items[index[i]]).replicas)
			resize(v, v->sets.items[index[i]], old[i].replicas);
}

/* Old ReplicaSets beyond the history that are done with. */
static void forget(struct view *v)
{
	int64_t keep = sl_obj_get_int(v->d->body, "spec.revisionHistoryLimit", 10), idle = 0;

	for (size_t i = 0; i < v->sets.count; i++) {
		struct sl_deployment_set n = numbers(v->sets.items[i]);

		idle += (int)i != v->fresh && n.replicas == 0 && n.existing == 0;
	}
	for (size_t i = 0; i < v->sets.count && idle > keep; i++) {
		const struct sl_object *rs = v->sets.items[i];
		struct sl_deployment_set n = numbers(rs);

		if ((int)i == v->fresh || n.replicas || n.existing || sl_pod_is_deleting(rs->body))
			continue;
		sl_objects_delete(v->w->objects, &rs->key,
		        &(struct sl_write_options) { .expect_uid = rs->uid }, NULL, NULL);
		idle--;
	}
}

/* --- status --- */

struct totals {
	int64_t replicas, updated, ready, available;
};

static struct totals add_up(const struct view *v)
{
	struct totals t = { 0 };

	for (size_t i = 0; i < v->sets.count; i++) {
		const json_t *rs = v->sets.items[i]->body;

		t.replicas += sl_obj_get_int(rs, "status.replicas", 0);
		t.ready += sl_obj_get_int(rs, "status.readyReplicas", 0);
		t.available += sl_obj_get_int(rs, "status.availableReplicas", 0);
		if ((int)i == v->fresh)
			t.updated = sl_obj_get_int(rs, "status.replicas", 0);
	}
	return t;
}

/* Deployments have lastUpdateTime beside lastTransitionTime: it moves with the reason, and with every sign of progress. */
static void set_condition(json_t *body, const char *type, const char *status, const char *reason,
        const char *text, bool renew, sl_nsec now)
{
	const json_t *before = sl_obj_condition(body, type);
	bool same = before && sl_str_eq_c(sl_obj_get_str(before, "reason"), reason) &&
	            sl_str_eq_c(sl_obj_get_str(before, "status"), status);
	SL_CLEANUP(sl_free) char *updated = NULL;
	char stamp[21];

	if (same && !renew) {
		sl_str s = sl_obj_get_str(before, "lastUpdateTime");
		updated = sl_strndup(s.p ? s.p : "", s.len);
	}
	sl_obj_set_condition(body,
	        &(struct sl_condition) { .type = type, .status = status, .reason = reason, .message = text },
	        now);
	json_t *c = (json_t *)(uintptr_t)sl_obj_condition(body, type);
	json_object_set_new(c, "lastUpdateTime", json_string(updated ? updated : sl_time_format(stamp, now)));
}

static bool is_complete(const struct view *v, const struct totals *t)
{
	return v->fresh >= 0 && t->updated == v->spec.replicas && t->replicas == v->spec.replicas &&
	       t->available == v->spec.replicas;
}

static bool has_progressed(const struct view *v, const struct totals *t)
{
	const json_t *s = json_object_get(v->d->body, "status");
	int64_t updated = sl_obj_get_int(s, "updatedReplicas", 0);
	int64_t old = sl_obj_get_int(s, "replicas", 0) - updated;

	return t->updated > updated || t->replicas - t->updated < old ||
	       t->ready > sl_obj_get_int(s, "readyReplicas", 0) ||
	       t->available > sl_obj_get_int(s, "availableReplicas", 0);
}

static void set_progressing(struct view *v, json_t *body, const struct totals *t, sl_nsec now)
{
	const json_t *before = sl_obj_condition(v->d->body, "Progressing");
	sl_str reason = sl_obj_get_str(before, "reason");
	sl_nsec limit = SL_SEC(sl_obj_get_int(body, "spec.progressDeadlineSeconds", 600));
	sl_nsec since = before ? sl_obj_time(before, "lastUpdateTime") : now;
	sl_str name = v->fresh >= 0 ? fresh_set(v)->key.name : v->d->key.name;
	SL_CLEANUP(sl_free) char *text = NULL;

	if (v->spec.paused) {
		set_condition(body, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused",
		        false, now);
	} else if (is_complete(v, t)) {
		text = sl_asprintf("ReplicaSet \"%.*s\" has successfully progressed.", SL_STR_ARG(name));
		set_condition(body, "Progressing", "True", "NewReplicaSetAvailable", text, false, now);
	} else if (!before || sl_str_eq(reason, SL_STR("NewReplicaSetAvailable")) ||
	           sl_str_eq(reason, SL_STR("DeploymentPaused")) || has_progressed(v, t)) {
		text = sl_asprintf("ReplicaSet \"%.*s\" is progressing.", SL_STR_ARG(name));
		set_condition(body, "Progressing", "True", "ReplicaSetUpdated", text, true, now);
		since = now;
	} else if (since + limit <= now) {
		text = sl_asprintf("ReplicaSet \"%.*s\" has timed out progressing.", SL_STR_ARG(name));
		set_condition(body, "Progressing", "False", "ProgressDeadlineExceeded", text, false, now);
		return;
	}
	if (!v->spec.paused && !is_complete(v, t))
		sl_workqueue_add_at(&v->w->deployments, v->d->key.ns, v->d->key.name,
		        sl_loop_now(v->w->loop) + since + limit - now + SL_SEC(1));
}

static void set_count(json_t *status, const char *name, int64_t n)
{
	if (n)
		json_object_set_new(status, name, json_integer(n));
	else
		json_object_del(status, name);
}

static void write_status(struct view *v)
{
	struct totals t = add_up(v);
	json_t *body = json_deep_copy(v->d->body), *status = json_object_get(body, "status");
	bool enough = t.available >= v->spec.replicas - v->spec.max_unavailable;
	int64_t missing = v->spec.replicas - t.available;
	sl_nsec now = sl_loop_real(v->w->loop);

	if (!status) {
		status = json_object();
		json_object_set_new(body, "status", status);
	}
	set_progressing(v, body, &t, now);
	set_condition(body, "Available", enough ? "True" : "False",
	        enough ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
	        enough ? "Deployment has minimum availability."
	               : "Deployment does not have minimum availability.",
	        false, now);
	set_count(status, "replicas", t.replicas);
	set_count(status, "updatedReplicas", t.updated);
	set_count(status, "readyReplicas", t.ready);
	set_count(status, "availableReplicas", t.available);
	set_count(status, "unavailableReplicas", missing > 0 ? missing : 0);
	json_object_set_new(status, "observedGeneration", json_integer(v->d->generation));
	if (json_equal(status, json_object_get(v->d->body, "status")))
		json_decref(body);
	else
		sl_objects_update_status(v->w->objects, &v->d->key, body, NULL, NULL, NULL);
}

/* --- the whole --- */

static bool again(struct view *v)
{
	struct sl_object *d = sl_objects_latest(v->w->objects, &v->d->key);

	if (!d)
		return false;
	sl_object_ref(d);
	sl_object_unref(v->d);
	v->d = d;
	look(v);
	return true;
}

static void reconcile(struct view *v)
{
	look(v);
	if (sl_pod_is_deleting(v->d->body))
		return;
	if (v->fresh < 0 && !v->spec.paused) {
		create_fresh(v);
		look(v);
	}
	if (v->fresh >= 0 && !v->spec.paused)
		renew_revision(v);
	look(v);
	mirror_revision(v);
	if (!again(v))
		return;
	scale(v);
	if (!again(v))
		return;
	forget(v);
	write_status(v);
}

void sl_deployment_reconcile(struct sl_workloads *w, sl_str ns, sl_str name)
{
	struct sl_object *d = sl_objects_latest(w->objects, SL_OBJECT_KEY("apps", "deployments", ns, name));
	struct view v = { .w = w };

	if (!d)
		return;
	v.d = sl_object_ref(d);
	read_spec(&v);
	reconcile(&v);
	sl_object_set_fini(&v.sets);
	sl_object_unref(v.d);
}
