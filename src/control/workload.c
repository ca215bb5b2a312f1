/* What wakes which controller. */
#include "control/workload_priv.h"

/* --- who is concerned by a change --- */

/* The object's controller, if it is of that kind. */
static bool controller(const json_t *body, const char *kind, sl_str *ret_name)
{
	const json_t *owners = sl_obj_get(body, "metadata.ownerReferences");

	for (size_t i = 0; i < json_array_size(owners); i++) {
		const json_t *o = json_array_get(owners, i);

		if (sl_obj_get_bool(o, "controller") && sl_str_eq_c(sl_obj_get_str(o, "kind"), kind)) {
			*ret_name = sl_obj_get_str(o, "name");
			return true;
		}
	}
	return false;
}

static bool add_each(void *arg, struct sl_object *o)
{
	sl_workqueue_add(arg, o->key.ns, o->key.name);
	return true;
}

/* The controller; or, of an orphan, everyone in the namespace who might adopt it. */
static void add_owner(struct sl_workloads *w, const struct sl_object *o, const char *kind, const char *plural,
        struct sl_workqueue *q)
{
	sl_str name;

	if (controller(o->body, kind, &name))
		sl_workqueue_add(q, o->key.ns, name);
	else if (sl_obj_controller_uid(o->body).len == 0)
		sl_objects_each(w->objects, SL_STR("apps"), sl_str_c(plural), o->key.ns, add_each, q);
}

struct concerned {
	struct sl_workloads *w;
	const struct sl_object *now, *before;
};

static bool selects(const json_t *selector, const struct sl_object *pod)
{
	const json_t *labels = pod ? sl_obj_get(pod->body, "metadata.labels") : NULL;
	const char *name;
	json_t *value;

	if (!pod || json_object_size(selector) == 0)
		return false;
	json_object_foreach ((json_t *)(uintptr_t)selector, name, value) {
		if (!json_equal(json_object_get(labels, name), value))
			return false;
	}
	return true;
}

static bool each_service(void *arg, struct sl_object *service)
{
	struct concerned *c = arg;
	const json_t *selector = sl_obj_get(service->body, "spec.selector");

	if (selects(selector, c->now) || selects(selector, c->before))
		sl_workqueue_add(&c->w->services, service->key.ns, service->key.name);
	return true;
}

/* --- watches --- */

static void on_deployment(void *arg, const struct sl_store_event *e)
{
	struct sl_workloads *w = arg;

	if (e->type != SL_STORE_DELETED)
		sl_workqueue_add(&w->deployments, e->object->key.ns, e->object->key.name);
}

static void on_replica_set(void *arg, const struct sl_store_event *e)
{
	struct sl_workloads *w = arg;

	if (e->type != SL_STORE_DELETED)
		sl_workqueue_add(&w->replica_sets, e->object->key.ns, e->object->key.name);
	add_owner(w, e->object, "Deployment", "deployments", &w->deployments);
}

static void on_pod(void *arg, const struct sl_store_event *e)
{
	struct sl_workloads *w = arg;
	struct concerned c = { .w = w, .now = e->object, .before = e->old };
	sl_str name;

	if (e->type == SL_STORE_DELETED)
		sl_workload_pod_deleted(w, e->object);
	else
		sl_workqueue_add(&w->pods, e->object->key.ns, e->object->key.name);
	add_owner(w, e->object, "ReplicaSet", "replicasets", &w->replica_sets);
	/* An old owner learns that it was let go of; a Deployment that recreates waits for the last old Pod. */
	if (e->old && controller(e->old->body, "ReplicaSet", &name))
		sl_workqueue_add(&w->replica_sets, e->object->key.ns, name);
	if (e->type == SL_STORE_DELETED && controller(e->object->body, "ReplicaSet", &name)) {
		struct sl_object *rs = sl_objects_latest(
		        w->objects, SL_OBJECT_KEY("apps", "replicasets", e->object->key.ns, name));
		if (rs && controller(rs->body, "Deployment", &name))
			sl_workqueue_add(&w->deployments, e->object->key.ns, name);
	}
	sl_objects_each(w->objects, SL_STR(""), SL_STR("services"), e->object->key.ns, each_service, &c);
}

static void on_service(void *arg, const struct sl_store_event *e)
{
	struct sl_workloads *w = arg;

	if (e->type != SL_STORE_DELETED)
		sl_workqueue_add(&w->services, e->object->key.ns, e->object->key.name);
}

/* Somebody may have changed or removed what is ours. */
static void on_slice(void *arg, const struct sl_store_event *e)
{
	struct sl_workloads *w = arg;
	sl_str name;

	if (controller(e->object->body, "Service", &name))
		sl_workqueue_add(&w->services, e->object->key.ns, name);
}

/* --- the whole --- */

static sl_err watch_all(struct sl_workloads *w)
{
	static const struct {
		const char *group, *plural;
		sl_store_event_fn fn;
	} rows[SL_WATCH_COUNT] = {
		[SL_WATCH_SERVICES] = { "", "services", on_service },
		[SL_WATCH_PODS] = { "", "pods", on_pod },
		[SL_WATCH_REPLICA_SETS] = { "apps", "replicasets", on_replica_set },
		[SL_WATCH_DEPLOYMENTS] = { "apps", "deployments", on_deployment },
		[SL_WATCH_SLICES] = { "discovery.k8s.io", "endpointslices", on_slice },
	};

	for (int i = 0; i < SL_WATCH_COUNT; i++) {
		struct sl_store_watch_filter filter = { sl_str_c(rows[i].group), sl_str_c(rows[i].plural),
			SL_STR_NONE };

		SL_TRY(sl_objects_watch(w->objects, &w->watches[i], &filter, rows[i].fn, w));
	}
	return SL_OK;
}

/* Every Pod there is gets to the runtime now, not by its queue: what it does not claim by then belongs to nobody. */
static bool each_pod_at_start(void *arg, struct sl_object *pod)
{
	if (sl_obj_get_str(pod->body, "spec.nodeName").len > 0)
		sl_object_set_add(arg, pod);
	return true;
}

sl_err sl_workloads_start(
        struct sl_workloads **ret_w, const struct sl_workloads_options *options, struct sl_diag *diag)
{
	SL_CLEANUP(sl_workloads_stop) struct sl_workloads *w = sl_new0(sizeof(*w));
	SL_CLEANUP(sl_object_set_fini) struct sl_object_set pods = { 0 };

	w->loop = options->loop;
	w->objects = options->objects;
	w->may_stop = options->may_stop;
	w->may_stop_arg = options->may_stop_arg;
	sl_list_init(&w->creating);
	sl_workqueue_init(&w->deployments, w, sl_deployment_reconcile);
	sl_workqueue_init(&w->replica_sets, w, sl_replicaset_reconcile);
	sl_workqueue_init(&w->pods, w, sl_workload_pod_reconcile);
	sl_workqueue_init(&w->services, w, sl_endpoints_reconcile);
	if (options->process) {
		SL_TRY(sl_workload_pods_start(w, options->process, diag));
		sl_objects_each(
		        w->objects, SL_STR(""), SL_STR("pods"), SL_STR_NONE, each_pod_at_start, &pods);
		for (size_t i = 0; i < pods.count; i++)
			sl_workload_pod_reconcile(w, pods.items[i]->key.ns, pods.items[i]->key.name);
		w->runtime->ops->sweep(w->runtime);
	}
	SL_TRY(watch_all(w));
	*ret_w = SL_STEAL(w);
	return SL_OK;
}

static void stop_reconciling(struct sl_workloads *w)
{
	for (int i = 0; i < SL_WATCH_COUNT; i++) {
		sl_store_watch_stop(w->watches[i]);
		w->watches[i] = NULL;
	}
	sl_workqueue_fini(&w->deployments);
	sl_workqueue_fini(&w->replica_sets);
	sl_workqueue_fini(&w->pods);
	sl_workqueue_fini(&w->services);
	sl_replicaset_stop(w);
}

static void on_ended(struct sl_loop *loop, struct sl_task *task)
{
	struct sl_workloads *w = SL_CONTAINER_OF(task, struct sl_workloads, ended_task);

	(void)loop;
	w->ended(w->ended_arg);
}

void sl_workloads_shutdown(struct sl_workloads *w, void (*done)(void *arg), void *arg)
{
	w->ending = true;
	w->ended = done;
	w->ended_arg = arg;
	w->ended_task.fn = on_ended;
	stop_reconciling(w);
	sl_workload_pods_end(w);
}

void sl_workloads_stop(struct sl_workloads *w)
{
	if (!w)
		return;
	sl_task_cancel(w->loop, &w->ended_task);
	if (!w->ending)
		stop_reconciling(w);
	sl_workload_pods_stop(w);
	sl_free(w);
}
