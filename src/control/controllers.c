#include "control/controllers.h"

#include "control/workload.h"

struct sl_controllers {
	struct sl_controllers_options options;
	struct sl_workloads *workloads;
};

static sl_err start_workloads(struct sl_controllers *c, struct sl_diag *diag)
{
	SL_CLEANUP(sl_free) char *dir = sl_asprintf("%s/pods", c->options.data_dir);
	const struct sl_process_runtime_options process = { .dir = dir };
	const struct sl_workloads_options options = {
		.loop = c->options.loop,
		.objects = c->options.objects,
		.process = c->options.run_processes ? &process : NULL,
	};

	return sl_workloads_start(&c->workloads, &options, diag);
}

sl_err sl_controllers_start(
        struct sl_controllers **ret_c, const struct sl_controllers_options *options, struct sl_diag *diag)
{
	SL_CLEANUP(sl_controllers_stop) struct sl_controllers *c = sl_new0(sizeof(*c));

	c->options = *options;
	SL_TRY(start_workloads(c, diag));
	*ret_c = SL_STEAL(c);
	return SL_OK;
}

void sl_controllers_stop(struct sl_controllers *c)
{
	if (!c)
		return;
	sl_workloads_stop(c->workloads);
	sl_free(c);
}

sl_err sl_controllers_logs(void *arg, sl_str ns, sl_str pod, const struct sl_log_options *options,
        struct sl_log_stream **ret_stream, struct sl_diag *diag)
{
	struct sl_controllers *c = arg;

	return sl_workloads_logs(c->workloads, ns, pod, options, ret_stream, diag);
}
