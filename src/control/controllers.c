#include "control/controllers.h"

#include "control/node_proxy.h"
#include "control/publisher.h"
#include "control/rollout.h"
#include "control/workload.h"

#include <inttypes.h>
#include <stdio.h>

#define PROXY_GRACE SL_SEC(10)

struct sl_controllers {
	struct sl_controllers_options options;
	struct sl_publisher *publisher;
	struct sl_rollouts *rollouts;
	struct sl_workloads *workloads;
	struct sl_node_proxy *proxy;
	char *pods_dir, *gateway_url, *admin_url;
	bool ready;
	unsigned ending; /* parts still to end; 0: not shutting down */
	void (*done)(void *arg);
	void *done_arg;
};

/* ---- what the parts ask of each other ---- */

static void on_load(void *arg, sl_str node, const struct sl_load_report *report)
{
	struct sl_controllers *c = arg;

	if (c->rollouts)
		sl_rollouts_load(c->rollouts, node, report);
}

static void on_progress(void *arg)
{
	struct sl_controllers *c = arg;
	const struct sl_mesh *mesh = sl_publisher_mesh(c->publisher);

	if (c->rollouts)
		sl_rollouts_recheck(c->rollouts);
	if (c->workloads)
		sl_workloads_recheck(c->workloads);
	if (c->ready || (c->options.run_proxy && !(mesh && sl_publisher_in_force(c->publisher, 0))))
		return;
	c->ready = true;
	if (c->options.on_ready)
		c->options.on_ready(c->options.arg);
}

/* A Pod may get its SIGTERM once no proxy sends anything to any of its ports. */
static bool may_stop(void *arg, const struct sl_object *pod)
{
	struct sl_controllers *c = arg;
	const json_t *containers = json_object_get(json_object_get(pod->body, "spec"), "containers"),
	             *container, *port;
	size_t i, k;

	json_array_foreach (containers, i, container) {
		json_array_foreach (json_object_get(container, "ports"), k, port) {
			uint32_t number = (uint32_t)json_integer_value(json_object_get(port, "hostPort"));

			if (number && !sl_publisher_endpoint_idle(c->publisher, SL_STR("127.0.0.1"), number))
				return false;
		}
	}
	return true;
}

/* ---- life ---- */

static sl_err start_publisher(struct sl_controllers *c, struct sl_diag *diag)
{
	struct sl_publisher_options options = {
		.loop = c->options.loop,
		.objects = c->options.objects,
		.gateway = c->options.gateway,
		.expects_proxy = c->options.run_proxy,
		.on_load = on_load,
		.on_progress = on_progress,
		.arg = c,
	};

	SL_TRY(sl_node_proxy_xds(c->options.data_dir, &options.xds, diag));
	return sl_publisher_start(&c->publisher, &options, diag);
}

static sl_err start_workloads(struct sl_controllers *c, struct sl_diag *diag)
{
	struct sl_process_runtime_options process = { .loop = c->options.loop, .dir = c->pods_dir };
	struct sl_workloads_options options = {
		.loop = c->options.loop,
		.objects = c->options.objects,
		.process = c->options.run_processes ? &process : NULL,
		.may_stop = may_stop,
		.may_stop_arg = c,
	};

	return sl_workloads_start(&c->workloads, &options, diag);
}

static char *url_of(const struct sl_addr *a)
{
	char text[SL_ADDR_TEXT_BYTES];

	return a->len ? sl_asprintf("http://%s", sl_addr_format(text, a)) : sl_strdup("");
}

static sl_err start_proxy(struct sl_controllers *c, struct sl_diag *diag)
{
	struct sl_node_proxy_options options = {
		.loop = c->options.loop,
		.data_dir = c->options.data_dir,
		.admin = c->options.admin,
		.workers = c->options.proxy_workers,
	};

	return sl_node_proxy_start(&c->proxy, &options, diag);
}

sl_err sl_controllers_start(
        struct sl_controllers **ret_c, const struct sl_controllers_options *options, struct sl_diag *diag)
{
	SL_CLEANUP(sl_controllers_stop) struct sl_controllers *c = sl_new0(sizeof(*c));

	c->options = *options;
	c->pods_dir = sl_asprintf("%s/pods", options->data_dir);
	if (options->run_proxy) {
		SL_TRY(sl_node_port(options->data_dir, "gateway", &c->options.gateway, diag));
		SL_TRY(sl_node_port(options->data_dir, "admin", &c->options.admin, diag));
	} else {
		c->options.gateway.len = c->options.admin.len = 0;
	}
	c->gateway_url = url_of(&c->options.gateway);
	c->admin_url = url_of(&c->options.admin);
	SL_TRY(start_publisher(c, diag));
	SL_TRY(sl_rollouts_start(&c->rollouts, options->loop, options->objects, c->publisher));
	SL_TRY(start_workloads(c, diag));
	if (options->run_proxy)
		SL_TRY(start_proxy(c, diag));
	*ret_c = SL_STEAL(c);
	return SL_OK;
}

static void part_ended(void *arg)
{
	struct sl_controllers *c = arg;

	if (--c->ending == 0)
		c->done(c->done_arg);
}

void sl_controllers_shutdown(struct sl_controllers *c, void (*done)(void *arg), void *arg)
{
	c->done = done;
	c->done_arg = arg;
	c->ending = c->proxy ? 2 : 1;
	sl_workloads_shutdown(c->workloads, part_ended, c);
	if (c->proxy)
		sl_node_proxy_shutdown(c->proxy, PROXY_GRACE, part_ended, c);
}

void sl_controllers_stop(struct sl_controllers *c)
{
	if (!c)
		return;
	sl_node_proxy_free(c->proxy);
	sl_workloads_stop(c->workloads);
	sl_rollouts_stop(c->rollouts);
	c->rollouts = NULL;
	c->workloads = NULL; /* the publisher's end may still report */
	sl_publisher_stop(c->publisher);
	sl_free(c->pods_dir);
	sl_free(c->gateway_url);
	sl_free(c->admin_url);
	sl_free(c);
}

const char *sl_controllers_gateway_url(const struct sl_controllers *c)
{
	return c->gateway_url;
}

const char *sl_controllers_admin_url(const struct sl_controllers *c)
{
	return c->admin_url;
}

/* ---- for the API server ---- */

sl_err sl_controllers_logs(void *arg, sl_str ns, sl_str pod, const struct sl_log_options *options,
        struct sl_log_stream **ret_stream, struct sl_diag *diag)
{
	struct sl_controllers *c = arg;

	return sl_workloads_logs(c->workloads, ns, pod, options, ret_stream, diag);
}

static void push_metrics(const struct sl_xds_push_counters *n, struct sl_buf *out)
{
	uint64_t sum = 0;

	sl_buf_printf(out, "# TYPE pilot_xds gauge\npilot_xds %" PRIu64 "\n", n->nodes);
	sl_buf_printf(out, "# TYPE pilot_xds_pushes counter\npilot_xds_pushes %" PRIu64 "\n", n->pushes);
	sl_buf_printf(out, "# TYPE pilot_total_xds_rejects counter\npilot_total_xds_rejects %" PRIu64 "\n",
	        n->nacks);
	sl_buf_c(out,
	        "# HELP pilot_proxy_convergence_time Seconds from a change to its being in force at a proxy.\n"
	        "# TYPE pilot_proxy_convergence_time histogram\n");
	for (size_t i = 0; i < SL_XDS_CONVERGENCE_BUCKETS; i++) {
		sum += n->convergence[i];
		sl_buf_printf(out, "pilot_proxy_convergence_time_bucket{le=\"%g\"} %" PRIu64 "\n",
		        sl_xds_convergence_bounds[i], sum);
	}
	sl_buf_printf(
	        out, "pilot_proxy_convergence_time_bucket{le=\"+Inf\"} %" PRIu64 "\n", n->convergence_count);
	sl_buf_printf(out,
	        "pilot_proxy_convergence_time_sum %g\npilot_proxy_convergence_time_count %" PRIu64 "\n",
	        n->convergence_sum_seconds, n->convergence_count);
}

void sl_controllers_metrics(void *arg, struct sl_buf *out)
{
	struct sl_controllers *c = arg;
	struct sl_xds_push_counters counters;

	sl_xds_push_read(sl_publisher_push(c->publisher), &counters);
	push_metrics(&counters, out);
	sl_rollouts_metrics(c->rollouts, out);
}

const char *sl_controllers_not_ready(void *arg)
{
	const struct sl_controllers *c = arg;

	return c->ready ? NULL : "proxy: the first mesh is not in force yet";
}
