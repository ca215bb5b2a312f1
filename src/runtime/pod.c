/* One Pod: its containers are started, watched, started again, and ended. */
#include "runtime/process_priv.h"

#include "base/log.h"
#include "model/object.h"
#include "os/file.h"
#include "runtime/env.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>

/* A container whose configuration is incomplete is tried again: what it refers to may appear. */
static const sl_nsec config_retry = SL_SEC(5);

static void container_start(struct sl_pod_container *c);

/* --- telling the host --- */

void sl_pod_event(struct sl_pod *pod, bool warning, const char *reason, const char *fmt, ...)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
	va_list ap;

	if (!pod->body)
		return;
	va_start(ap, fmt);
	sl_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	pod->rt->host.event(pod->rt->host.arg, pod->node.key, warning, reason, sl_buf_cstr(&text));
}

void sl_pod_report(struct sl_pod *pod)
{
	sl_loop_defer(pod->rt->loop, &pod->report);
}

static bool all_ended(const struct sl_pod *pod)
{
	for (size_t i = 0; i < pod->container_count; i++)
		if (pod->containers[i].state != SL_CONTAINER_ENDED)
			return false;
	return true;
}

/* A run that was found speaks first: its shim's word is on its way, and until then nothing has changed. */
static bool unheard(const struct sl_pod *pod)
{
	for (size_t i = 0; i < pod->container_count; i++)
		if (pod->containers[i].adopted && pod->containers[i].state == SL_CONTAINER_STARTING)
			return true;
	return false;
}

static void tell_status(struct sl_pod *pod)
{
	json_t *status = sl_pod_status(pod, sl_loop_real(pod->rt->loop));

	if (pod->told ? json_equal(status, pod->told)
	              : json_equal(status, json_object_get(pod->body, "status"))) {
		json_decref(status);
		return;
	}
	json_decref(pod->told);
	pod->told = status;
	pod->rt->host.status(pod->rt->host.arg, pod->node.key, status);
}

static void on_report(struct sl_loop *loop, struct sl_task *task)
{
	struct sl_pod *pod = SL_CONTAINER_OF(task, struct sl_pod, report);
	struct sl_process_runtime *rt = pod->rt;

	(void)loop;
	if (unheard(pod))
		return;
	if (pod->body)
		tell_status(pod);
	if (!pod->stopping || !all_ended(pod))
		return;
	if (sl_path_remove(pod->dir) != SL_OK)
		sl_log(SL_LOG_WARN, "runtime", "%s cannot be removed", pod->dir);
	SL_CLEANUP(sl_free) char *uid = sl_strdup(pod->uid);
	sl_pod_free(pod);
	rt->host.gone(rt->host.arg, sl_str_c(uid));
}

/* --- runs on disk --- */

char *sl_pod_run_dir(const struct sl_pod *pod, const char *container, unsigned run)
{
	return sl_asprintf("%s/%s/%u", pod->dir, container, run);
}

sl_err sl_pod_newest_run(const struct sl_pod *pod, const char *container, unsigned *ret_run)
{
	SL_CLEANUP(sl_free) char *path = sl_asprintf("%s/%s", pod->dir, container);
	DIR *dir = opendir(path);
	bool found = false;

	for (struct dirent *e; dir && (e = readdir(dir));) {
		uint64_t n;

		if (sl_str_to_u64(sl_str_c(e->d_name), &n) != SL_OK || n > INT32_MAX ||
		        (found && n < *ret_run))
			continue;
		*ret_run = (unsigned)n;
		found = true;
	}
	if (dir)
		closedir(dir);
	return found ? SL_OK : SL_ERR_NOT_FOUND;
}

/* --- a container --- */

static void set_waiting(struct sl_pod_container *c, const char *reason, const char *text)
{
	sl_free(c->wait_reason);
	sl_free(c->wait_text);
	c->wait_reason = reason ? sl_strdup(reason) : NULL;
	c->wait_text = text ? sl_strdup(text) : NULL;
	c->state = SL_CONTAINER_WAITING;
	sl_pod_report(c->pod);
}

static bool will_restart(const struct sl_pod_container *c)
{
	sl_str policy = sl_obj_get_str(c->pod->body, "spec.restartPolicy");

	if (c->pod->stopping || sl_str_eq(policy, SL_STR("Never")))
		return false;
	return !sl_str_eq(policy, SL_STR("OnFailure")) || c->last.code != 0;
}

/* `ago`: how long it has been over, where we were away when it ended. */
static void start_again(struct sl_pod_container *c, sl_nsec ago)
{
	struct sl_loop *loop = c->pod->rt->loop;
	sl_nsec wait = sl_backoff_next(&c->backoff, c->last.started_at, c->last.ended_at);
	sl_nsec left = wait - ago;
	char text[32];

	c->run++;
	if (wait == 0 || left <= 0) {
		set_waiting(c, NULL, NULL);
		container_start(c);
		return;
	}
	sl_str name = sl_obj_name(c->pod->body), ns = sl_obj_namespace(c->pod->body);
	SL_CLEANUP(sl_free) char *message = sl_asprintf(
	        "back-off %s restarting failed container=%s pod=%.*s_%.*s(%s)",
	        sl_duration_format(text, wait), c->name, SL_STR_ARG(name), SL_STR_ARG(ns), c->pod->uid);

	set_waiting(c, "CrashLoopBackOff", message);
	sl_pod_event(c->pod, true, "BackOff", "Back-off restarting failed container %s in pod %.*s_%.*s(%s)",
	        c->name, SL_STR_ARG(name), SL_STR_ARG(ns), c->pod->uid);
	sl_timer_in(loop, &c->start_timer, left);
}

static void container_ended(struct sl_pod_container *c, const struct sl_shim_exit *how, sl_nsec ago)
{
	c->last = *how;
	c->has_last = true;
	sl_shim_fini(&c->shim);
	sl_pod_probes_stop(c);
	c->state = SL_CONTAINER_ENDED;
	if (strcmp(how->reason, "StartError") == 0)
		sl_pod_event(c->pod, true, "Failed", "Error: failed to start container \"%s\": %s", c->name,
		        how->text);
	if (c->spec && will_restart(c))
		start_again(c, ago);
	sl_pod_report(c->pod);
}

static bool was_ready(const struct sl_pod_container *c)
{
	const json_t *list = sl_obj_get(c->pod->body, "status.containerStatuses");

	for (size_t i = 0; c->adopted && i < json_array_size(list); i++) {
		const json_t *s = json_array_get(list, i);

		if (sl_str_eq_c(sl_obj_get_str(s, "name"), c->name))
			return sl_obj_get_bool(s, "ready") &&
			       sl_obj_get_int(s, "restartCount", 0) == (int64_t)c->run;
	}
	return false;
}

static void container_runs(struct sl_pod_container *c)
{
	c->state = SL_CONTAINER_RUNNING;
	if (c->spec && !c->pod->stopping) {
		if (!c->adopted)
			sl_pod_event(c->pod, false, "Started", "Started container %s", c->name);
		sl_pod_probes_start(c, was_ready(c));
	}
	c->adopted = false;
	sl_pod_report(c->pod);
}

static void on_shim(struct sl_shim *shim)
{
	struct sl_pod_container *c = SL_CONTAINER_OF(shim, struct sl_pod_container, shim);

	if (shim->state == SL_SHIM_RUNNING) {
		container_runs(c);
	} else if (shim->state == SL_SHIM_EXITED) {
		struct sl_shim_exit how = shim->exit;

		container_ended(c, &how, 0);
	}
}

static sl_err spawn(struct sl_pod_container *c, struct sl_env *env, struct sl_diag *diag)
{
	struct sl_process_runtime *rt = c->pod->rt;
	SL_CLEANUP(sl_free) char *dir = sl_pod_run_dir(c->pod, c->name, c->run);
	sl_str cwd = sl_obj_get_str(c->spec, "workingDir");
	struct sl_shim_config config = {
		.dir = dir,
		.shim_argv = rt->shim_argv,
		.env = sl_env_list(env),
		.cwd = cwd.len ? cwd.p : NULL,
		.log_most_bytes = rt->log_most_bytes,
		.log_files = rt->log_files,
	};

	SL_TRY(sl_env_command(env, c->spec, &config.argv, diag));
	if (c->run > 1) {
		SL_CLEANUP(sl_free) char *old = sl_pod_run_dir(c->pod, c->name, c->run - 2);

		SL_IGNORE(sl_path_remove(
		        old)); /* logs nobody can ask for any more; they go with the pod at the latest */
	}
	return sl_shim_spawn(&c->shim, rt->loop, &config, on_shim, diag);
}

static void container_start(struct sl_pod_container *c)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	struct sl_env env;

	sl_env_init(&env);
	sl_err err = sl_env_build(&env, c->pod->body, c->spec, &c->pod->rt->host, &diag);
	if (err == SL_OK)
		err = spawn(c, &env, &diag);
	sl_env_fini(&env);
	if (err == SL_OK) {
		c->state = SL_CONTAINER_STARTING;
		sl_pod_report(c->pod);
		return;
	}
	set_waiting(c, err == SL_ERR_INVALID ? "CreateContainerConfigError" : "RunContainerError",
	        sl_diag_text(&diag));
	sl_pod_event(c->pod, true, "Failed", "Error: %s", c->wait_text);
	sl_timer_in(c->pod->rt->loop, &c->start_timer, config_retry);
}

static void on_start_timer(struct sl_loop *loop, struct sl_timer *t)
{
	(void)loop;
	container_start(SL_CONTAINER_OF(t, struct sl_pod_container, start_timer));
}

void sl_pod_container_unhealthy(struct sl_pod_container *c, enum sl_probe_kind kind)
{
	sl_pod_event(c->pod, false, "Killing", "Container %s failed %s probe, will be restarted", c->name,
	        kind == SL_PROBE_LIVENESS ? "liveness" : "startup");
	sl_pod_probes_stop(c);
	sl_shim_stop(
	        &c->shim, SL_SEC(sl_obj_get_int(c->pod->body, "spec.terminationGracePeriodSeconds", 30)));
	sl_pod_report(c->pod);
}

/* --- making a pod of what is there --- */

/* How the run before the current one ended, for lastState. */
static void recall_last(struct sl_pod_container *c)
{
	SL_CLEANUP(sl_free) char *dir = sl_pod_run_dir(c->pod, c->name, c->run - 1);

	c->has_last = sl_shim_ended(dir, &c->last) == SL_OK;
}

static void container_adopt(struct sl_pod_container *c)
{
	SL_CLEANUP(sl_free) char *dir = sl_pod_run_dir(c->pod, c->name, c->run);

	/* The next end is taken for one of several in a row: we do not know, and waiting is what does no harm. */
	if (c->run > 0) {
		c->backoff.ends = 1;
		recall_last(c);
	}
	c->adopted = true;
	if (sl_shim_adopt(&c->shim, c->pod->rt->loop, dir, on_shim, NULL) != SL_OK) {
		/* A folder without a run: we were killed while making it. */
		SL_IGNORE(sl_path_remove(dir));
		c->adopted = false;
		set_waiting(c, NULL, NULL);
		return;
	}
	c->state = SL_CONTAINER_STARTING;
	if (c->shim.state == SL_SHIM_EXITED) {
		struct sl_shim_exit how = c->shim.exit;

		c->adopted = false;
		container_ended(c, &how, sl_loop_real(c->pod->rt->loop) - how.ended_at);
	}
}

static void container_init(
        struct sl_pod *pod, struct sl_pod_container *c, const json_t *spec, const char *name)
{
	c->pod = pod;
	c->spec = spec;
	c->name = sl_strdup(name);
	c->start_timer.fn = on_start_timer;
	for (int k = 0; k < SL_PROBE_KINDS; k++)
		c->probes[k].ask.io = SL_IO_NONE;
	if (sl_pod_newest_run(pod, name, &c->run) == SL_OK)
		container_adopt(c);
	if (!spec && c->state == SL_CONTAINER_WAITING)
		c->state = SL_CONTAINER_ENDED;
	else if (c->state == SL_CONTAINER_WAITING && !sl_timer_armed(&c->start_timer))
		container_start(c);
}

/* A pod of an earlier life has the containers that its folder has. */
static void containers_of_dir(struct sl_pod *pod)
{
	DIR *dir = opendir(pod->dir);

	for (struct dirent *e; dir && (e = readdir(dir));)
		pod->container_count += e->d_name[0] != '.';
	pod->containers = sl_new0_array(pod->container_count + 1, sizeof(*pod->containers));
	if (dir)
		rewinddir(dir);
	size_t n = 0;
	for (struct dirent *e; dir && n < pod->container_count && (e = readdir(dir));)
		if (e->d_name[0] != '.')
			container_init(pod, &pod->containers[n++], NULL, e->d_name);
	pod->container_count = n;
	if (dir)
		closedir(dir);
}

static void containers_of_body(struct sl_pod *pod)
{
	const json_t *list = sl_obj_get(pod->body, "spec.containers");

	pod->container_count = json_array_size(list);
	pod->containers = sl_new0_array(pod->container_count + 1, sizeof(*pod->containers));
	for (size_t i = 0; i < pod->container_count; i++) {
		const json_t *spec = json_array_get(list, i);

		container_init(pod, &pod->containers[i], spec, sl_obj_get_str(spec, "name").p);
	}
}

struct sl_pod *sl_pod_new(struct sl_process_runtime *rt, sl_str uid, json_t *body)
{
	struct sl_pod *pod = sl_new0(sizeof(*pod));

	pod->rt = rt;
	pod->uid = sl_strndup(uid.p, uid.len);
	pod->dir = sl_asprintf("%s/%s", rt->dir, pod->uid);
	pod->body = json_incref(body);
	pod->report.fn = on_report;
	sl_map_put(&rt->pods, &pod->node, sl_str_c(pod->uid));
	if (body)
		containers_of_body(pod);
	else
		containers_of_dir(pod);
	sl_pod_report(pod);
	return pod;
}

void sl_pod_update(struct sl_pod *pod, json_t *body)
{
	const json_t *list = sl_obj_get(body, "spec.containers");

	if (!pod->body || json_array_size(list) != pod->container_count)
		return;
	json_incref(body);
	json_decref(pod->body);
	pod->body = body;
	/* Specs are borrowed from the body. Of a running container nothing changes by that: what it was started with stays. */
	for (size_t i = 0; i < pod->container_count; i++) {
		struct sl_pod_container *c = &pod->containers[i];

		c->spec = json_array_get(list, i);
		for (int k = 0; k < SL_PROBE_KINDS; k++)
			if (c->probes[k].spec)
				c->probes[k].spec =
				        json_object_get(c->spec, k == SL_PROBE_STARTUP     ? "startupProbe"
				                                 : k == SL_PROBE_READINESS ? "readinessProbe"
				                                                           : "livenessProbe");
	}
}

void sl_pod_stop(struct sl_pod *pod, sl_nsec grace)
{
	bool first = !pod->stopping;

	pod->stopping = true;
	for (size_t i = 0; i < pod->container_count; i++) {
		struct sl_pod_container *c = &pod->containers[i];

		sl_timer_stop(pod->rt->loop, &c->start_timer);
		sl_pod_probes_stop(c);
		if (c->state == SL_CONTAINER_WAITING)
			c->state = SL_CONTAINER_ENDED;
		if (c->state == SL_CONTAINER_ENDED)
			continue;
		if (first)
			sl_pod_event(pod, false, "Killing", "Stopping container %s", c->name);
		sl_shim_stop(&c->shim, grace);
	}
	sl_pod_report(pod);
}

static void pod_destroy(void *arg)
{
	struct sl_pod *pod = arg;

	for (size_t i = 0; i < pod->container_count; i++) {
		sl_free(pod->containers[i].name);
		sl_free(pod->containers[i].wait_reason);
		sl_free(pod->containers[i].wait_text);
	}
	sl_free(pod->containers);
	sl_free(pod->uid);
	sl_free(pod->dir);
	json_decref(pod->body);
	json_decref(pod->told);
	sl_free(pod);
}

void sl_pod_free(struct sl_pod *pod)
{
	struct sl_loop *loop = pod->rt->loop;

	for (size_t i = 0; i < pod->container_count; i++) {
		struct sl_pod_container *c = &pod->containers[i];

		sl_timer_stop(loop, &c->start_timer);
		sl_pod_probes_stop(c);
		sl_shim_fini(&c->shim);
	}
	sl_task_cancel(loop, &pod->report);
	sl_map_take(&pod->rt->pods, sl_str_c(pod->uid));
	sl_loop_free_later(loop, &pod->dead, pod_destroy, pod);
}
