#include "control/xds_push.h"

#include "net/grpc_server.h"
#include "xds/server.h"

struct sl_xds_push {
	struct sl_loop *loop;
	struct sl_xds_push_config config;
	struct sl_ads_server ads;
	struct sl_grpc_server *grpc;
	struct sl_xds_push_counters counters; /* but for what the ADS server counts */
};

const double sl_xds_convergence_bounds[SL_XDS_CONVERGENCE_BUCKETS] = { 0.1, 0.5, 1, 3, 5, 10, 20, 30 };

/* ---- ADS: the state machine's side ---- */

static void release_body(void *body)
{
	sl_ads_body_unref(body);
}

static void on_send(void *user, struct sl_ads_stream *stream, struct sl_ads_body *body, sl_str tail)
{
	(void)user;
	sl_grpc_send_shared(
	        stream->user, sl_str_n(body->bytes, body->len), release_body, sl_ads_body_ref(body), tail);
}

static void on_node(void *user, struct sl_ads_stream *stream, bool connected)
{
	struct sl_xds_push *push = user;

	if (connected)
		push->counters.nodes++;
	else
		push->counters.nodes--;
	if (push->config.ops->on_node)
		push->config.ops->on_node(push->config.user, sl_str_c(stream->node), connected);
}

static void on_ack(void *user, struct sl_ads_stream *stream, uint64_t epoch, sl_nsec latency)
{
	struct sl_xds_push *push = user;
	double seconds = (double)latency / (double)SL_SEC(1);
	size_t i = 0;

	while (i < SL_XDS_CONVERGENCE_BUCKETS && seconds > sl_xds_convergence_bounds[i])
		i++;
	push->counters.convergence[i]++;
	push->counters.convergence_sum_seconds += seconds;
	push->counters.convergence_count++;
	if (push->config.ops->on_ack)
		push->config.ops->on_ack(push->config.user, sl_str_c(stream->node), epoch, latency);
}

static void on_nack(
        void *user, struct sl_ads_stream *stream, enum sl_xds_type type, uint64_t epoch, sl_str text)
{
	struct sl_xds_push *push = user;

	(void)type;
	if (push->config.ops->on_nack)
		push->config.ops->on_nack(push->config.user, sl_str_c(stream->node), epoch, text);
}

static void on_all_ack(void *user, uint64_t epoch)
{
	struct sl_xds_push *push = user;

	if (push->config.ops->on_all_ack)
		push->config.ops->on_all_ack(push->config.user, epoch);
}

static const struct sl_ads_ops ads_ops = { on_send, on_node, on_ack, on_nack, on_all_ack };

/* ---- ADS: the call's side ---- */

static sl_err ads_call(struct sl_grpc_call *call, void *user)
{
	struct sl_xds_push *push = user;

	sl_grpc_call_set_user(call, sl_ads_stream_open(&push->ads, call, sl_loop_now(push->loop)));
	return SL_OK;
}

static void ads_message(struct sl_grpc_call *call, sl_str message)
{
	struct sl_ads_stream *stream = sl_grpc_call_user(call);
	struct sl_xds_push *push = stream->server->user;
	sl_err err = sl_ads_stream_receive(stream, message, sl_loop_now(push->loop));

	if (err == SL_OK)
		return;
	push->counters.malformed++;
	sl_grpc_finish(call, sl_grpc_status_of_err(err),
	        err == SL_ERR_INVALID ? SL_STR("the first request names no node")
	                              : SL_STR("this is no DiscoveryRequest"));
}

static void ads_half_close(struct sl_grpc_call *call)
{
	sl_grpc_finish(call, SL_GRPC_OK, SL_STR_NONE);
}

static void ads_end(struct sl_grpc_call *call, enum sl_grpc_status status, sl_str text)
{
	(void)status, (void)text;
	sl_ads_stream_close(sl_grpc_call_user(call));
}

static const struct sl_grpc_call_ops ads_call_ops = {
	.on_message = ads_message,
	.on_half_close = ads_half_close,
	.on_end = ads_end,
};

/* ---- LRS ---- */

struct lrs_stream {
	struct sl_xds_push *push;
	char *node; /* NULL before the first report */
};

static sl_err lrs_call(struct sl_grpc_call *call, void *user)
{
	struct lrs_stream *stream = sl_new0(sizeof(*stream));

	stream->push = user;
	sl_grpc_call_set_user(call, stream);
	return SL_OK;
}

static void wish_for_reports(struct sl_xds_push *push, struct sl_grpc_call *call)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf message = { 0 };
	const struct sl_load_wish wish = {
		.interval = push->config.load_interval,
		.endpoints = push->config.load_endpoints,
		.all_clusters = true,
	};

	sl_load_wish_encode(&wish, &message);
	sl_grpc_send(call, sl_buf_str(&message));
}

static void lrs_message(struct sl_grpc_call *call, sl_str message)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };
	struct lrs_stream *stream = sl_grpc_call_user(call);
	struct sl_xds_push *push = stream->push;
	struct sl_load_report report;

	if (sl_load_report_decode(message, &arena, &report) != SL_OK || (!stream->node && !report.node.len)) {
		push->counters.malformed++;
		sl_grpc_finish(
		        call, SL_GRPC_INVALID_ARGUMENT, SL_STR("this is no LoadStatsRequest with a node"));
		return;
	}
	if (!stream->node) {
		stream->node = sl_strndup(report.node.p, report.node.len);
		wish_for_reports(push, call);
	}
	push->counters.reports++;
	if (push->config.ops->on_load)
		push->config.ops->on_load(push->config.user, sl_str_c(stream->node), &report);
}

static void lrs_end(struct sl_grpc_call *call, enum sl_grpc_status status, sl_str text)
{
	struct lrs_stream *stream = sl_grpc_call_user(call);

	(void)status, (void)text;
	sl_free(stream->node);
	sl_free(stream);
}

static const struct sl_grpc_call_ops lrs_call_ops = {
	.on_message = lrs_message,
	.on_half_close = ads_half_close,
	.on_end = lrs_end,
};

/* ---- life ---- */

static const struct sl_grpc_method methods[] = {
	{ "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources", &ads_call_ops,
	        ads_call },
	{ "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats", &lrs_call_ops, lrs_call },
};

sl_err sl_xds_push_new(struct sl_xds_push **ret_push, struct sl_loop *loop,
        const struct sl_xds_push_config *config, struct sl_diag *diag)
{
	struct sl_xds_push *push = sl_new0(sizeof(*push));
	const struct sl_grpc_server_config grpc_config = {
		.listen = config->listen,
		.tls = config->tls,
		.methods = methods,
		.method_count = SL_ARRAY_COUNT(methods),
		.connections_most = config->nodes_most,
		.user = push,
	};
	sl_err err;

	push->loop = loop;
	push->config = *config;
	if (!push->config.load_interval)
		push->config.load_interval = SL_MSEC(100);
	sl_ads_server_init(&push->ads, &ads_ops, push);
	err = sl_grpc_server_new(&push->grpc, loop, &grpc_config, diag);
	if (err != SL_OK) {
		sl_free(push);
		return err;
	}
	*ret_push = push;
	return SL_OK;
}

void sl_xds_push_free(struct sl_xds_push *push)
{
	static const struct sl_xds_push_ops silent;

	if (!push)
		return;
	push->config.ops = &silent;
	sl_grpc_server_free(push->grpc); /* closes every stream */
	sl_ads_server_fini(&push->ads);
	sl_free(push);
}

const struct sl_addr *sl_xds_push_addr(const struct sl_xds_push *push)
{
	return sl_grpc_server_addr(push->grpc);
}

sl_err sl_xds_push_publish(struct sl_xds_push *push, struct sl_mesh *mesh)
{
	return sl_ads_server_publish(&push->ads, mesh, sl_loop_now(push->loop));
}

/* ---- looking in ---- */

uint64_t sl_xds_push_epoch(const struct sl_xds_push *push)
{
	return push->ads.current ? push->ads.current->epoch : 0;
}

uint64_t sl_xds_push_acked(const struct sl_xds_push *push)
{
	return sl_ads_server_acked(&push->ads);
}

void sl_xds_push_nodes(
        const struct sl_xds_push *push, void (*fn)(void *arg, const struct sl_xds_node_info *info), void *arg)
{
	SL_LIST_FOR (link, &push->ads.streams) {
		const struct sl_ads_stream *stream = SL_LIST_ENTRY(link, struct sl_ads_stream, link);
		const struct sl_xds_node_info info = {
			.id = sl_str_c(stream->node),
			.agent = sl_str_c(stream->agent),
			.acked_epoch = stream->acked_epoch,
			.nacked_epoch = stream->nacked_epoch,
			.nack_text = sl_str_c(stream->nack_text),
			.connected_at = stream->opened_at,
		};

		if (stream->node)
			fn(arg, &info);
	}
}

void sl_xds_push_read(const struct sl_xds_push *push, struct sl_xds_push_counters *ret_counters)
{
	*ret_counters = push->counters;
	ret_counters->pushes = push->ads.counters.pushes;
	ret_counters->acks = push->ads.counters.acks;
	ret_counters->nacks = push->ads.counters.nacks;
	ret_counters->stale = push->ads.counters.stale;
	ret_counters->sent_bytes = push->ads.counters.sent_bytes;
}
