#include "control/controllers.h"

struct sl_controllers {
	struct sl_controllers_options options;
};

sl_err sl_controllers_start(
        struct sl_controllers **ret_c, const struct sl_controllers_options *options, struct sl_diag *diag)
{
	SL_CLEANUP(sl_controllers_stop) struct sl_controllers *c = sl_new0(sizeof(*c));
	(void)diag;
	c->options = *options;
	*ret_c = SL_STEAL(c);
	return SL_OK;
}

void sl_controllers_stop(struct sl_controllers *c)
{
	sl_free(c);
}

sl_err sl_controllers_logs(void *arg, sl_str ns, sl_str pod, const struct sl_log_options *options,
        struct sl_log_stream **ret_stream, struct sl_diag *diag)
{
	(void)arg, (void)options, (void)ret_stream;
	return sl_diag_fail(diag, SL_ERR_UNAVAILABLE, NULL, NULL,
	        "Pod %.*s/%.*s is only recorded: no runtime is on (--runtime none)", SL_STR_ARG(ns),
	        SL_STR_ARG(pod));
}
