/* ReplicaSet: as many Pods of one template as wanted. */
#include "control/workload_priv.h"

#include <stdlib.h>

enum { BURST = 200 }; /* created or deleted at a time; the rest follows when these are stored */

static const sl_nsec create_retry = SL_SEC(1);

struct counts {
	int32_t replicas, labeled, ready, available;
	sl_nsec look_again_at; /* Unix time: when the next Pod becomes available */
};

/* --- creating --- */

struct created {
	struct sl_list link;    /* in w->creating */
	struct sl_workloads *w; /* NULL: stopped meanwhile */
	struct sl_object *owner;
	json_t *bound; /* its spec */
};

static void on_created(void *arg, const struct sl_objects_result *r)
{
	struct created *c = arg;
	struct sl_workloads *w = c->w;

	sl_list_remove(&c->link);
	if (!w) {
		/* The objects are being stopped; whoever starts next sees what has become of it. */
	} else if (r->err == SL_OK) {
		sl_objects_event(w->objects, c->owner->body, "Normal", "SuccessfulCreate",
		        "Created pod: %.*s", SL_STR_ARG(r->object->key.name));
	} else if (r->err != SL_ERR_CLOSED) {
		sl_workload_pod_unbind(w, c->bound);
		sl_objects_event(w->objects, c->owner->body, "Warning", "FailedCreate", "Error creating: %s",
		        r->diag->count ? sl_diag_text(r->diag) : sl_err_text(r->err));
		sl_workqueue_add_at(&w->replica_sets, c->owner->key.ns, c->owner->key.name,
		        sl_loop_now(w->loop) + create_retry);
	}
	sl_object_unref(c->owner);
	json_decref(c->bound);
	sl_free(c);
}

static void create_pod(struct sl_workloads *w, struct sl_object *rs)
{
	json_t *template = sl_obj_get(rs->body, "spec.template"),
	       *from = json_object_get(template, "metadata");
	json_t *body = json_pack("{s:s, s:s, s:{}}", "apiVersion", "v1", "kind", "Pod", "metadata");
	json_t *metadata = json_object_get(body, "metadata");
	SL_CLEANUP(sl_free) char *prefix = sl_asprintf("%.*s-", SL_STR_ARG(rs->key.name));
	static const char *const copied[] = { "labels", "annotations" };
	struct created *c = sl_new0(sizeof(*c));

	json_object_set_new(body, "spec", json_deep_copy(json_object_get(template, "spec")));
	json_object_set_new(metadata, "generateName", json_string(prefix));
	for (size_t i = 0; i < SL_ARRAY_COUNT(copied); i++)
		if (json_object_get(from, copied[i]))
			json_object_set_new(
			        metadata, copied[i], json_deep_copy(json_object_get(from, copied[i])));
	json_object_set_new(metadata, "ownerReferences", json_pack("[o]", sl_obj_owner_ref(rs->body)));
	sl_workload_pod_bind(w, body);
	*c = (struct created) { .w = w,
		.owner = sl_object_ref(rs),
		.bound = json_pack("{s:O}", "spec", json_object_get(body, "spec")) };
	sl_list_push(&w->creating, &c->link);
	sl_objects_create(w->objects, rs->key.ns, body, NULL, on_created, c);
}

/* --- deleting --- */

/* The first to go: not bound, then not running, then not ready, then youngest. */
static int cost(const json_t *pod)
{
	if (sl_obj_get_str(pod, "spec.nodeName").len == 0)
		return 0;
	if (!sl_str_eq(sl_obj_get_str(pod, "status.phase"), SL_STR("Running")))
		return 1;
	return sl_pod_is_ready(pod, NULL) ? 3 : 2;
}

static int by_cost(const void *a, const void *b)
{
	const struct sl_object *x = *(struct sl_object *const *)a, *y = *(struct sl_object *const *)b;
	int d = cost(x->body) - cost(y->body);

	if (d)
		return d;
	d = -sl_str_cmp(sl_obj_get_str(x->body, "metadata.creationTimestamp"),
	        sl_obj_get_str(y->body, "metadata.creationTimestamp"));
	return d ? d : sl_str_cmp(x->key.name, y->key.name);
}

static void delete_pod(struct sl_workloads *w, const struct sl_object *rs, const struct sl_object *pod)
{
	sl_objects_delete(
	        w->objects, &pod->key, &(struct sl_write_options) { .expect_uid = pod->uid }, NULL, NULL);
	sl_objects_event(w->objects, rs->body, "Normal", "SuccessfulDelete", "Deleted pod: %.*s",
	        SL_STR_ARG(pod->key.name));
}

/* --- status --- */

static bool has_labels(const json_t *pod, json_t *wanted)
{
	const json_t *labels = sl_obj_get(pod, "metadata.labels");
	const char *name;
	json_t *value;

	json_object_foreach (wanted, name, value) {
		if (!json_equal(json_object_get(labels, name), value))
			return false;
	}
	return true;
}

static struct counts count(const struct sl_object *rs, const struct sl_object_set *active, sl_nsec now)
{
	struct counts n = { .look_again_at = SL_NSEC_MAX };
	sl_nsec min_ready = SL_SEC(sl_obj_get_int(rs->body, "spec.minReadySeconds", 0)), since;
	json_t *labels = sl_obj_get(rs->body, "spec.template.metadata.labels");

	for (size_t i = 0; i < active->count; i++) {
		const json_t *pod = active->items[i]->body;

		n.replicas++;
		n.labeled += has_labels(pod, labels);
		if (!sl_pod_is_ready(pod, &since))
			continue;
		n.ready++;
		if (min_ready == 0 || since + min_ready <= now)
			n.available++;
		else if (since + min_ready < n.look_again_at)
			n.look_again_at = since + min_ready;
	}
	return n;
}

static void write_status(struct sl_workloads *w, const struct sl_object *rs, const struct counts *n)
{
	json_t *body = json_deep_copy(rs->body), *status = json_object_get(body, "status");

	if (!status) {
		status = json_object();
		json_object_set_new(body, "status", status);
	}
	json_object_set_new(status, "replicas", json_integer(n->replicas));
	json_object_set_new(status, "fullyLabeledReplicas", json_integer(n->labeled));
	json_object_set_new(status, "readyReplicas", json_integer(n->ready));
	json_object_set_new(status, "availableReplicas", json_integer(n->available));
	json_object_set_new(status, "observedGeneration", json_integer(rs->generation));
	/* Refused only when someone wrote in between, whose write brings us here again. */
	if (json_equal(status, json_object_get(rs->body, "status")))
		json_decref(body);
	else
		sl_objects_update_status(w->objects, &rs->key, body, NULL, NULL, NULL);
}

static void scale(struct sl_workloads *w, struct sl_object *rs, struct sl_object_set *active)
{
	int64_t diff = sl_obj_get_int(rs->body, "spec.replicas", 1) - (int64_t)active->count;

	if (diff > BURST || diff < -BURST) {
		diff = diff > 0 ? BURST : -BURST;
		sl_workqueue_add(&w->replica_sets, rs->key.ns, rs->key.name);
	}
	for (; diff > 0; diff--)
		create_pod(w, rs);
	if (diff == 0 || !active->items)
		return;
	qsort(active->items, active->count, sizeof(struct sl_object *), by_cost);
	for (size_t i = 0; diff < 0; i++, diff++)
		delete_pod(w, rs, active->items[i]);
}

static void active_pods(struct sl_workloads *w, const struct sl_object *rs, struct sl_object_set *ret_active)
{
	SL_CLEANUP(sl_object_set_fini) struct sl_object_set all = { 0 };

	sl_workload_claim(w, rs, "", "pods", &all);
	for (size_t i = 0; i < all.count; i++)
		if (!sl_pod_is_deleting(all.items[i]->body) && !sl_pod_is_finished(all.items[i]->body))
			sl_object_set_add(ret_active, all.items[i]);
}

void sl_replicaset_stop(struct sl_workloads *w)
{
	SL_LIST_FOR_SAFE (node, &w->creating) {
		SL_LIST_ENTRY(node, struct created, link)->w = NULL;
		sl_list_remove(node);
	}
}

void sl_replicaset_reconcile(struct sl_workloads *w, sl_str ns, sl_str name)
{
	SL_CLEANUP(sl_object_set_fini) struct sl_object_set before = { 0 }, after = { 0 };
	SL_CLEANUP(sl_object_unref)
	struct sl_object *rs = sl_objects_latest(w->objects, SL_OBJECT_KEY("apps", "replicasets", ns, name));
	sl_nsec now = sl_loop_real(w->loop);

	if (!rs)
		return;
	sl_object_ref(rs);
	active_pods(w, rs, &before);
	if (!sl_pod_is_deleting(rs->body))
		scale(w, rs, &before);
	active_pods(w, rs, &after); /* what has just been made and marked counts */
	struct counts n = count(rs, &after, now);
	write_status(w, rs, &n);
	if (n.look_again_at != SL_NSEC_MAX)
		sl_workqueue_add_at(&w->replica_sets, ns, name,
		        sl_loop_now(w->loop) + n.look_again_at - now + SL_MSEC(1));
}
