#include "proxy/xds_client.h"

#include "base/log.h"
#include "model/mesh_json.h"
#include "net/grpc_client.h"
#include "os/file.h"
#include "os/random.h"
#include "os/thread.h"
#include "xds/client.h"

static const char ads_path[] =
        "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
static const char lrs_path[] = "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats";

enum {
	RESPONSE_MOST_BYTES = 256 << 20, /* of one DiscoveryResponse: a large mesh comes in one */
	MESH_FILE_MOST_BYTES = 256 << 20,
	REPORTS_QUEUED_MOST_BYTES = 1 << 20, /* over it the server is not keeping up: what is counted waits */
};

/* Writes the last good mesh on a thread of its own, since fsync may take long and the loop may carry requests. */
struct keeper {
	struct sl_loop *loop;
	struct sl_thread thread;
	struct sl_msg done;
	struct sl_mesh *mesh; /* being written */
	struct sl_mesh *next; /* to be written after it */
	char *path;
	sl_err err;
	bool busy;
	bool left; /* the client is gone: free it when the message comes */
};

struct sl_xds_client {
	struct sl_loop *loop;
	struct sl_xds_client_config config;
	char *node, *cluster, *server_name;
	struct sl_ads_client ads;
	struct sl_grpc_client *grpc; /* NULL between connections */
	struct sl_grpc_call *ads_call, *lrs_call;
	struct sl_timer retry, load;
	sl_nsec back_off;          /* before the next connect */
	struct sl_mesh *under_way; /* handed over, not yet answered */
	struct sl_mesh *waiting;   /* offered meanwhile */
	bool under_way_from_disk;
	struct sl_arena wish_arena, report_arena;
	struct sl_load_wish wish;
	sl_nsec reported_at;
	struct keeper *keeper; /* NULL: nothing is kept */
	struct sl_xds_client_status status;
};

/* ---- the mesh on disk ---- */

sl_err sl_xds_mesh_load(const char *path, struct sl_mesh **ret_mesh, struct sl_diag *diag)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
	sl_err err = sl_file_read(path, MESH_FILE_MOST_BYTES, &text);

	if (err != SL_OK)
		return sl_diag_fail(diag, err, path, NULL, "cannot be read: %s", sl_err_text(err));
	return sl_mesh_parse(ret_mesh, sl_buf_str(&text), diag);
}

static void keeper_run(void *arg)
{
	struct keeper *keeper = arg;
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };

	sl_mesh_print(keeper->mesh, &text);
	keeper->err = sl_file_write(keeper->path, sl_buf_str(&text), 0600);
	sl_loop_post(keeper->loop, &keeper->done);
}

static void keep_next(struct keeper *keeper)
{
	if (keeper->busy || !keeper->next)
		return;
	keeper->mesh = SL_STEAL(keeper->next);
	keeper->busy = sl_thread_start(&keeper->thread, "mesh-keeper", keeper_run, keeper) == SL_OK;
	if (!keeper->busy)
		sl_mesh_unref(SL_STEAL(keeper->mesh)); /* no thread to be had: the next epoch tries again */
}

static void keeper_free(struct keeper *keeper)
{
	sl_mesh_unref(keeper->mesh);
	sl_mesh_unref(keeper->next);
	sl_free(keeper->path);
	sl_free(keeper);
}

static void on_kept(struct sl_loop *loop, struct sl_msg *msg)
{
	struct keeper *keeper = SL_CONTAINER_OF(msg, struct keeper, done);

	(void)loop;
	sl_thread_join(&keeper->thread);
	keeper->busy = false;
	if (keeper->err != SL_OK)
		sl_log(SL_LOG_WARN, "proxy",
		        "%s: cannot be written, so a restart would not find this mesh: %s", keeper->path,
		        sl_err_text(keeper->err));
	sl_mesh_unref(SL_STEAL(keeper->mesh));
	if (keeper->left)
		keeper_free(keeper);
	else
		keep_next(keeper);
}

static struct keeper *keeper_new(struct sl_loop *loop, const char *state_dir)
{
	struct keeper *keeper = sl_new0(sizeof(*keeper));

	keeper->loop = loop;
	keeper->done.fn = on_kept;
	keeper->path = sl_asprintf("%s/mesh.json", state_dir);
	return keeper;
}

/* Waits for what is being written; its message finds the keeper, not the client. */
static void keeper_leave(struct keeper *keeper)
{
	if (!keeper)
		return;
	if (!keeper->busy) {
		keeper_free(keeper);
		return;
	}
	keeper->left = true;
	sl_thread_join(&keeper->thread);
}

static void keep(struct keeper *keeper, struct sl_mesh *mesh)
{
	if (!keeper)
		return;
	sl_mesh_unref(keeper->next);
	keeper->next = sl_mesh_ref(mesh);
	keep_next(keeper);
}

/* ---- meshes to the proxy ---- */

/* Takes the reference. */
static void hand_over(struct sl_xds_client *client, struct sl_mesh *mesh, bool from_disk)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	sl_err err;

	client->under_way = mesh;
	client->under_way_from_disk = from_disk;
	err = client->config.ops->on_mesh(client->config.user, mesh, mesh->epoch, &diag);
	if (err != SL_OK)
		sl_xds_client_applied(
		        client, mesh->epoch, err, diag.count ? sl_diag_text(&diag) : sl_err_text(err));
}

static void on_offer(void *user, struct sl_mesh *mesh)
{
	struct sl_xds_client *client = user;

	assert(!client->waiting); /* the state machine offers one at a time */
	if (client->under_way)
		client->waiting = sl_mesh_ref(mesh); /* behind the one from disk */
	else
		hand_over(client, sl_mesh_ref(mesh), false);
}

void sl_xds_client_applied(struct sl_xds_client *client, uint64_t epoch, sl_err err, const char *text)
{
	SL_CLEANUP(sl_mesh_unref) struct sl_mesh *mesh = NULL;

	if (!client->under_way || client->under_way->epoch != epoch)
		return;
	mesh = SL_STEAL(client->under_way);
	if (err == SL_OK) {
		client->status.epoch = epoch;
		client->status.from_disk = client->under_way_from_disk;
	} else {
		sl_log(SL_LOG_WARN, "proxy", "epoch %llu refused: %s", (unsigned long long)epoch,
		        text ? text : sl_err_text(err));
	}
	if (!client->under_way_from_disk) {
		if (err == SL_OK)
			keep(client->keeper, mesh);
		sl_ads_client_applied(&client->ads, epoch, err, sl_str_c(text));
	}
	if (client->waiting && !client->under_way)
		hand_over(client, SL_STEAL(client->waiting), false);
}

/* ---- load reports ---- */

static void send_report(struct sl_xds_client *client, const struct sl_load_report *report, sl_str node)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf message = { 0 };

	sl_load_report_encode(report, node, &message);
	sl_grpc_send(client->lrs_call, sl_buf_str(&message));
}

static void on_load_timer(struct sl_loop *loop, struct sl_timer *timer)
{
	struct sl_xds_client *client = SL_CONTAINER_OF(timer, struct sl_xds_client, load);
	struct sl_load_report report = { .interval = sl_loop_now(loop) - client->reported_at };

	sl_timer_in(loop, timer, client->wish.interval);
	if (sl_grpc_queued(client->lrs_call) > REPORTS_QUEUED_MOST_BYTES)
		return;
	client->reported_at = sl_loop_now(loop);
	sl_arena_reset(&client->report_arena);
	if (!client->config.ops->on_load(client->config.user, &client->report_arena, &client->wish, &report))
		return;
	send_report(client, &report, SL_STR_NONE);
	client->status.reports++;
}

static void lrs_message(struct sl_grpc_call *call, sl_str message)
{
	struct sl_xds_client *client = sl_grpc_call_user(call);

	sl_arena_reset(&client->wish_arena);
	if (sl_load_wish_decode(message, &client->wish_arena, &client->wish) != SL_OK) {
		sl_grpc_cancel(call);
		return;
	}
	client->reported_at = sl_loop_now(client->loop);
	sl_timer_in(client->loop, &client->load, client->wish.interval);
}

/* A server without LRS is fine; one that ends it is asked again with the next connection. */
static void lrs_end(struct sl_grpc_call *call, enum sl_grpc_status status, sl_str text)
{
	struct sl_xds_client *client = sl_grpc_call_user(call);

	(void)status, (void)text;
	client->lrs_call = NULL;
	sl_timer_stop(client->loop, &client->load);
}

static const struct sl_grpc_call_ops lrs_ops = { .on_message = lrs_message, .on_end = lrs_end };

/* ---- discovery ---- */

static void on_request(void *user, sl_str message)
{
	struct sl_xds_client *client = user;

	if (client->ads_call)
		sl_grpc_send(client->ads_call, message);
}

static void ads_message(struct sl_grpc_call *call, sl_str message)
{
	struct sl_xds_client *client = sl_grpc_call_user(call);

	client->back_off = 0; /* it works */
	if (sl_ads_client_receive(&client->ads, message) == SL_OK)
		return;
	sl_log(SL_LOG_WARN, "proxy", "the control plane sent what is no DiscoveryResponse; connecting anew");
	sl_grpc_cancel(call);
}

/* Without this call there is nothing to be had from the connection. */
static void ads_end(struct sl_grpc_call *call, enum sl_grpc_status status, sl_str text)
{
	struct sl_xds_client *client = sl_grpc_call_user(call);

	client->ads_call = NULL;
	sl_ads_client_disconnected(&client->ads);
	if (status != SL_GRPC_UNAVAILABLE && status != SL_GRPC_CANCELLED)
		sl_log(SL_LOG_WARN, "proxy", "the control plane ended discovery: %s: %.*s",
		        sl_grpc_status_name(status), SL_STR_ARG(text));
	sl_grpc_client_close(client->grpc);
}

static const struct sl_grpc_call_ops ads_call_ops = { .on_message = ads_message, .on_end = ads_end };
static const struct sl_ads_client_ops ads_ops = { on_request, on_offer };

/* ---- the connection ---- */

static void on_open(void *user)
{
	static const struct sl_load_report introduction;
	struct sl_xds_client *client = user;

	client->status.connected = true;
	client->status.connects++;
	client->ads_call = sl_grpc_client_call(client->grpc, ads_path, &ads_call_ops, client);
	if (client->ads_call)
		sl_ads_client_connected(&client->ads);
	if (client->config.ops->on_load)
		client->lrs_call = sl_grpc_client_call(client->grpc, lrs_path, &lrs_ops, client);
	if (client->lrs_call)
		send_report(client, &introduction, sl_str_c(client->node));
	if (client->config.ops->on_state)
		client->config.ops->on_state(client->config.user, true, "connected");
}

/* Doubling, and between a half and the whole of it, so that proxies do not come back all at once. */
static void retry_later(struct sl_xds_client *client)
{
	sl_nsec most = client->config.retry_most, wait;

	client->back_off = client->back_off ? client->back_off * 2 : client->config.retry_least;
	if (client->back_off > most)
		client->back_off = most;
	wait = client->back_off / 2 +
	       (sl_nsec)sl_prng_below(sl_prng_thread(), (uint64_t)client->back_off / 2 + 1);
	sl_timer_in(client->loop, &client->retry, wait);
}

static void on_close(void *user, sl_err why, const char *text)
{
	struct sl_xds_client *client = user;
	bool was_connected = client->status.connected;

	(void)why;
	client->status.connected = false;
	if (was_connected && client->config.ops->on_state)
		client->config.ops->on_state(client->config.user, false, text);
	sl_grpc_client_free(SL_STEAL(client->grpc));
	retry_later(client);
}

static void connect_now(struct sl_xds_client *client)
{
	const struct sl_grpc_client_config config = {
		.server = client->config.server,
		.tls = client->config.tls,
		.server_name = client->server_name,
		.limits.message_most_bytes = RESPONSE_MOST_BYTES,
		.on_open = on_open,
		.on_close = on_close,
		.user = client,
	};

	client->grpc = sl_grpc_client_new(client->loop, &config);
}

static void on_retry(struct sl_loop *loop, struct sl_timer *timer)
{
	(void)loop;
	connect_now(SL_CONTAINER_OF(timer, struct sl_xds_client, retry));
}

/* ---- life ---- */

static void start_from_disk(struct sl_xds_client *client)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	struct sl_mesh *mesh = NULL;

	if (!client->keeper || !sl_path_exists(client->keeper->path))
		return;
	if (sl_xds_mesh_load(client->keeper->path, &mesh, &diag) == SL_OK)
		hand_over(client, mesh, true);
	else
		sl_log(SL_LOG_WARN, "proxy", "%s: passed over: %s", client->keeper->path,
		        sl_diag_text(&diag));
}

static char *copy(const char *s)
{
	return s ? sl_strdup(s) : NULL;
}

sl_err sl_xds_client_new(struct sl_xds_client **ret_client, struct sl_loop *loop,
        const struct sl_xds_client_config *config, struct sl_diag *diag)
{
	struct sl_xds_client *client;
	sl_err err = config->state_dir ? sl_dir_make(config->state_dir, 0700) : SL_OK;

	if (err != SL_OK)
		return sl_diag_fail(
		        diag, err, config->state_dir, NULL, "cannot be made: %s", sl_err_text(err));
	client = sl_new0(sizeof(*client));
	client->loop = loop;
	client->config = *config;
	if (!client->config.retry_least)
		client->config.retry_least = SL_MSEC(50);
	if (!client->config.retry_most)
		client->config.retry_most = SL_SEC(5);
	client->node = copy(config->node);
	client->cluster = copy(config->cluster);
	client->server_name = copy(config->server_name);
	client->keeper = config->state_dir ? keeper_new(loop, config->state_dir) : NULL;
	client->retry.fn = on_retry;
	client->load.fn = on_load_timer;
	if (config->tls)
		sl_tls_ctx_ref(config->tls);
	sl_ads_client_init(&client->ads, &ads_ops, client,
	        &(const struct sl_ads_client_node) { .id = client->node, .cluster = client->cluster });
	*ret_client = client;
	start_from_disk(client);
	connect_now(client);
	return SL_OK;
}

void sl_xds_client_free(struct sl_xds_client *client)
{
	if (!client)
		return;
	sl_grpc_client_free(client->grpc);
	client->grpc = NULL;
	sl_timer_stop(client->loop, &client->retry);
	sl_timer_stop(client->loop, &client->load);
	keeper_leave(client->keeper);
	sl_ads_client_fini(&client->ads);
	sl_mesh_unref(client->under_way);
	sl_mesh_unref(client->waiting);
	sl_arena_fini(&client->wish_arena);
	sl_arena_fini(&client->report_arena);
	sl_tls_ctx_unref(client->config.tls);
	sl_free(client->node);
	sl_free(client->cluster);
	sl_free(client->server_name);
	sl_free(client);
}

void sl_xds_client_read(const struct sl_xds_client *client, struct sl_xds_client_status *ret_status)
{
	*ret_status = client->status;
	ret_status->acks = client->ads.acks;
	ret_status->nacks = client->ads.nacks;
}
