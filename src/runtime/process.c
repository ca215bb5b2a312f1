/* The process runtime: Pods as local processes. */
#include "runtime/process_priv.h"

#include "model/object.h"
#include "os/file.h"
#include "os/random.h"
#include "os/socket.h"
#include "runtime/logread.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* Below the kernel's range for outgoing connections (from 32768), which would take a port between our look and the program's bind. */
enum { PORT_FIRST = 20000, PORT_LAST = 32767, ORPHAN_GRACE_SECONDS = 30 };

static struct sl_process_runtime *of(struct sl_runtime *rt)
{
	return SL_CONTAINER_OF(rt, struct sl_process_runtime, base);
}

static struct sl_pod *find(struct sl_process_runtime *rt, sl_str uid)
{
	struct sl_map_node *node = sl_map_get(&rt->pods, uid);

	return node ? SL_MAP_ENTRY(node, struct sl_pod, node) : NULL;
}

/* A uid becomes a folder's name. */
static bool uid_ok(sl_str uid)
{
	return uid.len > 0 && uid.len < 128 && uid.p[0] != '.' && sl_str_find(uid, '/') == uid.len &&
	       sl_str_find(uid, 0) == uid.len;
}

/* --- ports --- */

static bool is_free(uint16_t port)
{
	struct sl_addr addr;
	int fd = -1;

	if (sl_addr_from_ip(&addr, SL_STR("127.0.0.1"), port) != SL_OK ||
	        sl_listen(&addr, NULL, &fd, NULL) != SL_OK)
		return false;
	sl_fd_close(&fd);
	return true;
}

static bool used_in(const json_t *pod, int64_t port)
{
	const json_t *containers = sl_obj_get(pod, "spec.containers");

	for (size_t i = 0; i < json_array_size(containers); i++) {
		const json_t *ports = json_object_get(json_array_get(containers, i), "ports");

		for (size_t k = 0; k < json_array_size(ports); k++)
			if (sl_obj_get_int(json_array_get(ports, k), "hostPort", 0) == port)
				return true;
	}
	return false;
}

/* From a random place in the range, so that several control planes on one machine do not race for the same ports. */
static uint16_t pick_port(const struct sl_process_runtime *rt, const json_t *pod,
        bool (*taken)(void *arg, uint16_t port), void *arg)
{
	uint32_t count = (uint32_t)rt->port_last - rt->port_first + 1;
	uint32_t start = (uint32_t)sl_prng_below(sl_prng_thread(), count);

	for (uint32_t i = 0; i < count; i++) {
		uint16_t port = (uint16_t)(rt->port_first + (start + i) % count);

		if (!used_in(pod, port) && !(taken && taken(arg, port)) && is_free(port))
			return port;
	}
	return 0;
}

static sl_err process_bind(struct sl_runtime *base, json_t *pod, bool (*taken)(void *arg, uint16_t port),
        void *arg, struct sl_diag *diag)
{
	struct sl_process_runtime *rt = of(base);
	json_t *containers = sl_obj_get(pod, "spec.containers");

	for (size_t i = 0; i < json_array_size(containers); i++) {
		json_t *ports = json_object_get(json_array_get(containers, i), "ports");

		for (size_t k = 0; k < json_array_size(ports); k++) {
			json_t *port = json_array_get(ports, k);

			if (sl_obj_get_int(port, "hostPort", 0) > 0)
				continue;
			uint16_t picked = pick_port(rt, pod, taken, arg);
			if (!picked)
				return sl_diag_fail(diag, SL_ERR_UNAVAILABLE, NULL, NULL,
				        "no port from %u to %u is free", rt->port_first, rt->port_last);
			json_object_set_new(port, "hostPort", json_integer(picked));
		}
	}
	if (sl_obj_get_str(pod, "spec.nodeName").len == 0)
		sl_obj_set(pod, "spec.nodeName", json_string(rt->node_name));
	return SL_OK;
}

/* --- pods --- */

/* It has ended, and nothing of it is left here: to run it again would be wrong. */
static bool ran_elsewhere(const struct sl_process_runtime *rt, sl_str uid, const json_t *body)
{
	sl_str phase = sl_obj_get_str(body, "status.phase");
	SL_CLEANUP(sl_free) char *dir = sl_asprintf("%s/%.*s", rt->dir, SL_STR_ARG(uid));

	return (sl_str_eq(phase, SL_STR("Succeeded")) || sl_str_eq(phase, SL_STR("Failed"))) &&
	       !sl_path_exists(dir);
}

static void process_run(struct sl_runtime *base, json_t *body)
{
	struct sl_process_runtime *rt = of(base);
	sl_str uid = sl_obj_uid(body);
	struct sl_pod *pod = find(rt, uid);

	if (pod)
		sl_pod_update(pod, body);
	else if (uid_ok(uid) && !ran_elsewhere(rt, uid, body))
		sl_pod_new(rt, uid, body);
}

static void process_stop(struct sl_runtime *base, sl_str uid, sl_nsec grace)
{
	struct sl_process_runtime *rt = of(base);
	struct sl_pod *pod = find(rt, uid);

	/* One never run here is a pod without containers, which is gone by the end of the turn. */
	if (!pod && uid_ok(uid))
		pod = sl_pod_new(rt, uid, NULL);
	if (pod)
		sl_pod_stop(pod, grace);
}

static void process_sweep(struct sl_runtime *base)
{
	struct sl_process_runtime *rt = of(base);
	DIR *dir = opendir(rt->dir);

	for (struct dirent *e; dir && (e = readdir(dir));)
		if (uid_ok(sl_str_c(e->d_name)) && !find(rt, sl_str_c(e->d_name)))
			sl_pod_stop(sl_pod_new(rt, sl_str_c(e->d_name), NULL), SL_SEC(ORPHAN_GRACE_SECONDS));
	if (dir)
		closedir(dir);
}

/* --- logs --- */

static sl_err choose_container(
        struct sl_pod *pod, sl_str name, struct sl_pod_container **ret_c, struct sl_diag *diag)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf names = { 0 };
	sl_str pod_name = sl_obj_name(pod->body);

	if (name.len == 0 && pod->container_count == 1)
		name = sl_str_c(pod->containers[0].name);
	for (size_t i = 0; i < pod->container_count; i++) {
		if (sl_str_eq_c(name, pod->containers[i].name)) {
			*ret_c = &pod->containers[i];
			return SL_OK;
		}
		sl_buf_printf(&names, "%s%s", i ? " " : "", pod->containers[i].name);
	}
	if (name.len == 0)
		return sl_diag_fail(diag, SL_ERR_BAD_REQUEST, NULL, NULL,
		        "a container name must be specified for pod %.*s, choose one of: [%s]",
		        SL_STR_ARG(pod_name), sl_buf_cstr(&names));
	return sl_diag_fail(diag, SL_ERR_BAD_REQUEST, NULL, NULL,
	        "container %.*s is not valid for pod %.*s; it has [%s]", SL_STR_ARG(name),
	        SL_STR_ARG(pod_name), sl_buf_cstr(&names));
}

static sl_err choose_run(struct sl_pod *pod, struct sl_pod_container *c, bool previous, unsigned *ret_run,
        struct sl_diag *diag)
{
	sl_str pod_name = sl_obj_name(pod->body);

	if (sl_pod_newest_run(pod, c->name, ret_run) != SL_OK)
		return sl_diag_fail(diag, SL_ERR_BAD_REQUEST, NULL, NULL,
		        "container \"%s\" in pod \"%.*s\" is waiting to start: %s", c->name,
		        SL_STR_ARG(pod_name), c->wait_reason ? c->wait_reason : "ContainerCreating");
	/* Between two runs the one that has ended is the current one, as kubectl has it. */
	if (previous && (*ret_run)-- == 0)
		return sl_diag_fail(diag, SL_ERR_BAD_REQUEST, NULL, NULL,
		        "previous terminated container \"%s\" in pod \"%.*s\" not found", c->name,
		        SL_STR_ARG(pod_name));
	return SL_OK;
}

static sl_err process_logs(struct sl_runtime *base, sl_str uid, const struct sl_log_options *options,
        struct sl_log_stream **ret_stream, struct sl_diag *diag)
{
	struct sl_process_runtime *rt = of(base);
	struct sl_pod *pod = find(rt, uid);
	struct sl_pod_container *c;
	unsigned run;

	if (!pod || !pod->body)
		return sl_diag_fail(
		        diag, SL_ERR_NOT_FOUND, NULL, NULL, "the pod has not been started on this machine");
	SL_TRY(choose_container(pod, options->container, &c, diag));
	SL_TRY(choose_run(pod, c, options->previous, &run, diag));
	SL_CLEANUP(sl_free) char *dir = sl_pod_run_dir(pod, c->name, run);
	return sl_log_open(ret_stream, rt->loop, dir, options);
}

/* --- the runtime --- */

static void process_close(struct sl_runtime *base)
{
	struct sl_process_runtime *rt = of(base);

	for (struct sl_map_node *node; (node = sl_map_next(&rt->pods, NULL));)
		sl_pod_free(SL_MAP_ENTRY(node, struct sl_pod, node));
	sl_map_fini(&rt->pods);
	sl_fetcher_free(rt->fetcher);
	sl_free(rt->dir);
	sl_free(rt->node_name);
	sl_free(rt);
}

static const struct sl_runtime_ops process_ops = {
	.name = "process",
	.close = process_close,
	.bind = process_bind,
	.run = process_run,
	.stop = process_stop,
	.sweep = process_sweep,
	.logs = process_logs,
};

static char *own_node_name(void)
{
	char name[256] = "";

	if (gethostname(name, sizeof(name) - 1) < 0 || name[0] == 0)
		return sl_strdup("localhost");
	return sl_strdup(name);
}

sl_err sl_process_runtime_new(
        struct sl_runtime **ret_rt, const struct sl_process_runtime_options *options, struct sl_diag *diag)
{
	struct sl_process_runtime *rt;
	sl_err err = sl_dir_make(options->dir, 0700);
	SL_CLEANUP(sl_free) char *dir = err == SL_OK ? realpath(options->dir, NULL) : NULL;

	if (!dir)
		return sl_diag_fail(diag, err == SL_OK ? SL_ERR_IO : err, NULL, NULL,
		        "%s cannot be used for pods", options->dir);
	rt = sl_new0(sizeof(*rt));
	*rt = (struct sl_process_runtime) {
		.base.ops = &process_ops,
		.loop = options->loop,
		.host = options->host,
		.dir = SL_STEAL(dir), /* absolute: programs run in folders of their own */
		.node_name = options->node_name ? sl_strdup(options->node_name) : own_node_name(),
		.shim_argv = options->shim_argv,
		.port_first = options->port_first ? options->port_first : PORT_FIRST,
		.port_last = options->port_last ? options->port_last : PORT_LAST,
		.log_most_bytes = options->log_most_bytes,
		.log_files = options->log_files,
		.fetcher = sl_fetcher_new(options->loop),
	};
	*ret_rt = &rt->base;
	return SL_OK;
}
