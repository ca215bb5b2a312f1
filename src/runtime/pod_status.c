/* What stands in a Pod's status. */
#include "runtime/process_priv.h"

#include "model/object.h"

static json_t *time_json(sl_nsec unix_time)
{
	char text[21];

	return unix_time ? json_string(sl_time_format(text, unix_time)) : NULL;
}

static json_t *waiting(const char *reason, const char *text)
{
	return json_pack("{s:{s:s, s:s*}}", "waiting", "reason", reason ? reason : "ContainerCreating",
	        "message", text);
}

/* json_pack takes "o*" as: leave it out when NULL. */
static json_t *terminated(const struct sl_shim_exit *e)
{
	const char *reason = strcmp(e->reason, "Lost") == 0 ? "ContainerStatusUnknown" : e->reason;

	return json_pack("{s:{s:i, s:s, s:o*, s:o*, s:s*, s:o*}}", "terminated", "exitCode", e->code,
	        "reason", reason, "startedAt", time_json(e->started_at), "finishedAt", time_json(e->ended_at),
	        "message", e->text[0] ? e->text : NULL, "signal", e->signal ? json_integer(e->signal) : NULL);
}

static json_t *state_json(const struct sl_pod_container *c)
{
	switch (c->state) {
	case SL_CONTAINER_WAITING:
		return waiting(c->wait_reason, c->wait_text);
	case SL_CONTAINER_STARTING:
		return waiting(NULL, NULL);
	case SL_CONTAINER_RUNNING:
		return json_pack("{s:{s:o*}}", "running", "startedAt", time_json(c->shim.started_at));
	case SL_CONTAINER_ENDED:
		return c->has_last ? terminated(&c->last) : waiting(NULL, NULL);
	}
	return NULL;
}

static json_t *container_json(const struct sl_pod_container *c)
{
	bool show_last = c->has_last && c->state != SL_CONTAINER_ENDED;
	/* A restart that is waited for has not happened yet. */
	int restarts = (int)c->run - (c->state == SL_CONTAINER_WAITING && c->has_last);
	SL_CLEANUP(sl_free) char *id =
	        c->state == SL_CONTAINER_RUNNING ? sl_asprintf("process://%d", c->shim.pid) : NULL;

	return json_pack("{s:s, s:o, s:s, s:b, s:b, s:i, s:o, s:o, s:s*}", "name", c->name, "image",
	        sl_json_from_str(sl_obj_get_str(c->spec, "image")), "imageID", "", "ready", c->ready,
	        "started", c->started, "restartCount", restarts, "state", state_json(c), "lastState",
	        show_last ? terminated(&c->last) : json_object(), "containerID", id);
}

static const char *phase(const struct sl_pod *pod)
{
	bool any_begun = false, all_ended = pod->container_count > 0, all_well = true;

	for (size_t i = 0; i < pod->container_count; i++) {
		const struct sl_pod_container *c = &pod->containers[i];
		bool ended = c->state == SL_CONTAINER_ENDED;

		any_begun |= c->has_last || c->state == SL_CONTAINER_RUNNING;
		all_ended &= ended;
		all_well &= ended && c->has_last && c->last.code == 0;
	}
	if (all_ended)
		return all_well ? "Succeeded" : "Failed";
	return any_begun ? "Running" : "Pending";
}

static void set_condition(
        json_t *obj, const char *type, bool status, const char *reason, const char *text, sl_nsec now)
{
	sl_obj_set_condition(obj,
	        &(struct sl_condition) { .type = type,
	                .status = status ? "True" : "False",
	                .reason = reason,
	                .message = text },
	        now);
}

static void set_conditions(json_t *obj, const struct sl_pod *pod, sl_nsec now)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf names = { 0 };

	for (size_t i = 0; i < pod->container_count; i++)
		if (!pod->containers[i].ready)
			sl_buf_printf(
			        &names, "%s%s", sl_buf_size(&names) ? " " : "", pod->containers[i].name);

	bool ready = sl_buf_size(&names) == 0;
	SL_CLEANUP(sl_free) char *text =
	        sl_asprintf("containers with unready status: [%s]", sl_buf_cstr(&names));
	const char *reason = ready ? "" : "ContainersNotReady";

	set_condition(obj, "PodScheduled", true, "", "", now);
	set_condition(obj, "Initialized", true, "", "", now);
	set_condition(obj, "ContainersReady", ready, reason, ready ? "" : text, now);
	set_condition(obj, "Ready", ready, reason, ready ? "" : text, now);
}

json_t *sl_pod_status(const struct sl_pod *pod, sl_nsec now)
{
	const json_t *before = pod->told ? pod->told : json_object_get(pod->body, "status");
	json_t *list = json_array(), *start = json_object_get(before, "startTime");

	for (size_t i = 0; i < pod->container_count; i++)
		json_array_append_new(list, container_json(&pod->containers[i]));

	json_t *status = json_pack("{s:s, s:s, s:[{s:s}], s:s, s:[{s:s}], s:o, s:s, s:o, s:I}", "phase",
	        phase(pod), "hostIP", "127.0.0.1", "hostIPs", "ip", "127.0.0.1", "podIP", "127.0.0.1",
	        "podIPs", "ip", "127.0.0.1", "startTime", start ? json_incref(start) : time_json(now),
	        "qosClass", "BestEffort", "containerStatuses", list, "observedGeneration",
	        (json_int_t)sl_obj_generation(pod->body));
	json_t *conditions = json_object_get(before, "conditions"),
	       *obj = json_pack("{s:o}", "status", status);

	/* The earlier conditions carry the times at which they last changed. */
	if (conditions)
		json_object_set_new(status, "conditions", json_deep_copy(conditions));
	set_conditions(obj, pod, now);
	json_incref(status);
	json_decref(obj);
	return status;
}
