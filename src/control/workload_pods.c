/* Pods and the runtime: a Pod object is bound, run, kept up to date in its status, and on deletion drained, stopped and removed. */
#include "control/workload_priv.h"

#include "base/log.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

/* A Pod that the runtime has. */
struct known {
	struct sl_map_node node; /* by uid */
	struct sl_workloads *w;
	struct sl_object_key key; /* views into `text` */
	char *text;
	sl_nsec drain_until;     /* loop's clock; 0: not being deleted */
	bool stopped;            /* the runtime was told to */
	struct sl_object *bound; /* the state whose ports are taken */
};

static struct known *find(struct sl_workloads *w, sl_str uid)
{
	struct sl_map_node *node = sl_map_get(&w->known, uid);

	return node ? SL_MAP_ENTRY(node, struct known, node) : NULL;
}

/* --- ports --- */

static void mark_ports(struct sl_workloads *w, const json_t *pod, bool taken)
{
	const json_t *containers = sl_obj_get(pod, "spec.containers");

	for (size_t i = 0; i < json_array_size(containers); i++) {
		const json_t *ports = json_object_get(json_array_get(containers, i), "ports");

		for (size_t k = 0; k < json_array_size(ports); k++) {
			int64_t n = sl_obj_get_int(json_array_get(ports, k), "hostPort", 0);

			if (n > 0 && n <= UINT16_MAX)
				w->ports_taken[n] = taken;
		}
	}
}

static bool is_taken(void *arg, uint16_t port)
{
	const struct sl_workloads *w = arg;

	return w->ports_taken[port];
}

/* --- what the runtime says --- */

/* Conditions that others keep in a Pod's status stay. */
static json_t *merge_conditions(const json_t *old, const json_t *fresh)
{
	json_t *merged = json_array();
	size_t i;
	json_t *c;

	json_array_extend(merged, (json_t *)(uintptr_t)fresh);
	json_array_foreach (old, i, c) {
		bool there = false;

		for (size_t k = 0; k < json_array_size(fresh) && !there; k++)
			there = json_equal(json_object_get(json_array_get(fresh, k), "type"),
			        json_object_get(c, "type"));
		if (!there)
			json_array_append(merged, c);
	}
	return merged;
}

static void on_status(void *arg, sl_str uid, json_t *status)
{
	struct sl_workloads *w = arg;
	struct known *k = find(w, uid);
	struct sl_object *pod = k ? sl_objects_latest(w->objects, &k->key) : NULL;

	if (!pod || !sl_str_eq(pod->uid, uid) || w->ending)
		return;
	json_t *body = json_deep_copy(pod->body), *copy = json_copy(status);

	json_object_set_new(copy, "conditions",
	        merge_conditions(
	                sl_obj_get(body, "status.conditions"), json_object_get(status, "conditions")));
	json_object_set_new(body, "status", copy);
	sl_objects_update_status(w->objects, &k->key, body, NULL, NULL, NULL);
}

static void on_event(void *arg, sl_str uid, bool warning, const char *reason, const char *text)
{
	struct sl_workloads *w = arg;
	struct known *k = find(w, uid);
	struct sl_object *pod = k ? sl_objects_latest(w->objects, &k->key) : NULL;

	if (pod)
		sl_objects_event(w->objects, pod->body, warning ? "Warning" : "Normal", reason, "%s", text);
}

static void forget(struct known *k)
{
	sl_map_take(&k->w->known, k->node.key);
	mark_ports(k->w, k->bound->body, false);
	sl_object_unref(k->bound);
	sl_free(k->text);
	sl_free(k);
}

static void delete_object(struct sl_workloads *w, const struct sl_object_key *key, sl_str uid)
{
	sl_objects_delete(w->objects, key,
	        &(struct sl_write_options) { .has_grace = true, .grace_seconds = 0, .expect_uid = uid }, NULL,
	        NULL);
}

static void on_gone(void *arg, sl_str uid)
{
	struct sl_workloads *w = arg;
	struct known *k = find(w, uid);

	if (!k)
		return;
	if (!w->ending)
		delete_object(w, &k->key, uid);
	forget(k);
	if (w->ending && !w->known.count)
		sl_loop_defer(w->loop, &w->ended_task);
}

static const json_t *on_config(void *arg, const char *plural, sl_str ns, sl_str name)
{
	struct sl_workloads *w = arg;
	struct sl_object *o = sl_objects_latest(w->objects,
	        &(struct sl_object_key) {
	                .group = SL_STR(""), .plural = sl_str_c(plural), .ns = ns, .name = name });

	return o ? o->body : NULL;
}

/* --- variables of Services --- */

struct service_env {
	void (*each)(void *to, const char *name, const char *value);
	void *to;
};

static void give(struct service_env *env, const char *prefix, const char *suffix, const char *value)
{
	SL_CLEANUP(sl_free) char *name = sl_asprintf("%s%s", prefix, suffix);

	env->each(env->to, name, value);
}

static void upper(char *s)
{
	for (; *s; s++)
		*s = isalnum((unsigned char)*s) ? (char)toupper((unsigned char)*s) : '_';
}

/* The form of Docker links, which Kubernetes gives too: NAME_PORT_80_TCP_ADDR and so on. */
static void give_link(struct service_env *env, const char *prefix, const char *host, int64_t port)
{
	SL_CLEANUP(sl_free) char *base = sl_asprintf("%s_PORT_%" PRId64 "_TCP", prefix, port);
	SL_CLEANUP(sl_free) char *url = sl_asprintf("tcp://%s:%" PRId64, host, port),
	                         *number = sl_asprintf("%" PRId64, port);

	give(env, base, "", url);
	give(env, base, "_PROTO", "tcp");
	give(env, base, "_PORT", number);
	give(env, base, "_ADDR", host);
}

static bool each_service(void *arg, struct sl_object *o)
{
	struct service_env *env = arg;
	sl_str ip = sl_obj_get_str(o->body, "spec.clusterIP");
	const json_t *ports = sl_obj_get(o->body, "spec.ports");
	SL_CLEANUP(sl_free) char *prefix = sl_strndup(o->key.name.p, o->key.name.len);

	if (ip.len == 0 || sl_str_eq(ip, SL_STR("None")))
		return true;
	upper(prefix);
	give(env, prefix, "_SERVICE_HOST", ip.p);
	for (size_t i = 0; i < json_array_size(ports); i++) {
		const json_t *p = json_array_get(ports, i);
		int64_t port = sl_obj_get_int(p, "port", 0);
		sl_str port_name = sl_obj_get_str(p, "name");
		SL_CLEANUP(sl_free) char *number = sl_asprintf("%" PRId64, port),
		                         *url = sl_asprintf("tcp://%s:%s", ip.p, number);

		if (i == 0) {
			give(env, prefix, "_SERVICE_PORT", number);
			give(env, prefix, "_PORT", url);
		}
		if (port_name.len > 0) {
			SL_CLEANUP(sl_free) char *suffix =
			        sl_asprintf("_SERVICE_PORT_%.*s", SL_STR_ARG(port_name));

			upper(suffix);
			give(env, prefix, suffix, number);
		}
		give_link(env, prefix, ip.p, port);
	}
	return true;
}

static void on_service_env(
        void *arg, sl_str ns, void (*each)(void *to, const char *name, const char *value), void *to)
{
	struct sl_workloads *w = arg;
	struct service_env env = { each, to };

	sl_store_each_latest(
	        sl_objects_store(w->objects), SL_STR(""), SL_STR("services"), ns, each_service, &env);
}

/* --- one Pod --- */

void sl_workload_pod_bind(struct sl_workloads *w, json_t *body)
{
	if (!w->runtime || sl_obj_get_str(body, "spec.nodeName").len > 0)
		return;
	/* Without a port it stays unbound; reconciling it says so in an Event. */
	if (w->runtime->ops->bind(w->runtime, body, is_taken, w, NULL) == SL_OK)
		mark_ports(w, body, true);
}

void sl_workload_pod_unbind(struct sl_workloads *w, const json_t *body)
{
	mark_ports(w, body, false);
}

static void bind_now(struct sl_workloads *w, const struct sl_object *pod)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	json_t *body = json_deep_copy(pod->body);

	if (w->runtime->ops->bind(w->runtime, body, is_taken, w, &diag) == SL_OK) {
		mark_ports(w, body, true);
		sl_objects_update(w->objects, &pod->key, body, NULL, NULL, NULL);
		return;
	}
	json_decref(body);
	sl_objects_event(w->objects, pod->body, "Warning", "FailedScheduling", "%s", sl_diag_text(&diag));
	sl_workqueue_add_at(&w->pods, pod->key.ns, pod->key.name, sl_loop_now(w->loop) + SL_SEC(10));
}

static struct known *get_known(struct sl_workloads *w, struct sl_object *pod)
{
	struct known *k = find(w, pod->uid);

	if (k)
		return k;
	k = sl_new0(sizeof(*k));
	k->w = w;
	k->text = sl_asprintf(
	        "%.*s/%.*s/%.*s", SL_STR_ARG(pod->key.ns), SL_STR_ARG(pod->key.name), SL_STR_ARG(pod->uid));
	k->key = *SL_OBJECT_KEY("", "pods", sl_str_n(k->text, pod->key.ns.len),
	        sl_str_n(k->text + pod->key.ns.len + 1, pod->key.name.len));
	k->bound = sl_object_ref(pod);
	mark_ports(w, pod->body, true);
	sl_map_put(&w->known, &k->node,
	        sl_str_n(k->text + pod->key.ns.len + pod->key.name.len + 2, pod->uid.len));
	return k;
}

static void run(struct sl_workloads *w, struct sl_object *pod)
{
	bool fresh = find(w, pod->uid) == NULL && !sl_obj_get(pod->body, "status.startTime");

	get_known(w, pod);
	if (fresh)
		sl_objects_event(w->objects, pod->body, "Normal", "Scheduled",
		        "Successfully assigned %.*s/%.*s to %.*s", SL_STR_ARG(pod->key.ns),
		        SL_STR_ARG(pod->key.name), SL_STR_ARG(sl_obj_get_str(pod->body, "spec.nodeName")));
	w->runtime->ops->run(w->runtime, pod->body);
}

/*
 * The endpoint has left by the deletion mark itself. The SIGTERM waits until nothing is sent there any more, at most for the grace
 * period, of which the process then gets what is left, and never less than two seconds.
 */
static void end(struct sl_workloads *w, struct sl_object *pod)
{
	struct known *k = get_known(w, pod);
	sl_nsec now = sl_loop_now(w->loop);
	sl_nsec grace = SL_SEC(sl_obj_get_int(pod->body, "metadata.deletionGracePeriodSeconds", 30));

	if (k->drain_until == 0 || k->drain_until > now + grace)
		k->drain_until = now + grace;
	if (!k->stopped && w->may_stop && now < k->drain_until && !w->may_stop(w->may_stop_arg, pod)) {
		sl_workqueue_add_at(&w->pods, pod->key.ns, pod->key.name, k->drain_until);
		return;
	}
	sl_nsec left = k->drain_until - now;
	k->stopped = true;
	w->runtime->ops->stop(w->runtime, pod->uid, left > SL_SEC(2) || left >= grace ? left : SL_SEC(2));
}

void sl_workload_pod_reconcile(struct sl_workloads *w, sl_str ns, sl_str name)
{
	struct sl_object *pod = sl_objects_latest(w->objects, SL_OBJECT_KEY("", "pods", ns, name));

	if (!w->runtime || !pod)
		return;
	sl_object_ref(pod);
	if (sl_pod_is_deleting(pod->body))
		end(w, pod);
	else if (sl_obj_get_str(pod->body, "spec.nodeName").len == 0)
		bind_now(w, pod);
	else
		run(w, pod);
	sl_object_unref(pod);
}

void sl_workload_pod_deleted(struct sl_workloads *w, const struct sl_object *pod)
{
	/* Its object went first: by grace 0, or with its phase at an end. */
	if (w->runtime && find(w, pod->uid))
		w->runtime->ops->stop(w->runtime, pod->uid, 0);
}

void sl_workloads_recheck(struct sl_workloads *w)
{
	if (w->ending)
		return;
	SL_MAP_FOR (node, &w->known) {
		struct known *k = SL_MAP_ENTRY(node, struct known, node);

		if (k->drain_until && !k->stopped)
			sl_workqueue_add(&w->pods, k->key.ns, k->key.name);
	}
}

sl_err sl_workloads_logs(struct sl_workloads *w, sl_str ns, sl_str pod_name,
        const struct sl_log_options *options, struct sl_log_stream **ret_stream, struct sl_diag *diag)
{
	struct sl_object *pod = sl_objects_latest(w->objects, SL_OBJECT_KEY("", "pods", ns, pod_name));

	if (!pod)
		return sl_diag_fail(
		        diag, SL_ERR_NOT_FOUND, NULL, NULL, "pods \"%.*s\" not found", SL_STR_ARG(pod_name));
	if (!w->runtime)
		return sl_diag_fail(
		        diag, SL_ERR_UNAVAILABLE, NULL, NULL, "no workloads run here (--runtime none)");
	return w->runtime->ops->logs(w->runtime, pod->uid, options, ret_stream, diag);
}

/* --- the whole --- */

sl_err sl_workload_pods_start(
        struct sl_workloads *w, const struct sl_process_runtime_options *process, struct sl_diag *diag)
{
	struct sl_process_runtime_options o = *process;

	o.loop = w->loop;
	o.host = (struct sl_runtime_host) {
		.arg = w,
		.status = on_status,
		.event = on_event,
		.gone = on_gone,
		.config = on_config,
		.service_env = on_service_env,
	};
	return sl_process_runtime_new(&w->runtime, &o, diag);
}

void sl_workload_pods_end(struct sl_workloads *w)
{
	SL_MAP_FOR (node, &w->known) {
		struct known *k = SL_MAP_ENTRY(node, struct known, node);
		int64_t seconds = sl_obj_get_int(k->bound->body, "spec.terminationGracePeriodSeconds", 30);

		k->stopped = true;
		w->runtime->ops->stop(w->runtime, node->key, SL_SEC(seconds));
	}
	if (!w->known.count)
		sl_loop_defer(w->loop, &w->ended_task);
}

void sl_workload_pods_stop(struct sl_workloads *w)
{
	for (struct sl_map_node *node; (node = sl_map_next(&w->known, NULL));)
		forget(SL_MAP_ENTRY(node, struct known, node));
	sl_map_fini(&w->known);
	sl_runtime_close(w->runtime);
	w->runtime = NULL;
}
