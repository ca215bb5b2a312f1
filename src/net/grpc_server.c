#include "net/grpc_server.h"
#include "net/grpc_conn_priv.h"

struct sl_grpc_server {
	struct sl_loop *loop;
	struct sl_listener listener;
	struct sl_grpc_server_config config;
	struct sl_list conns;
	size_t conn_count;
};

struct server_conn {
	struct sl_grpc_conn grpc;
	struct sl_grpc_server *server;
	struct sl_list link;
	struct sl_dead dead;
};

static struct server_conn *conn_of(struct sl_grpc_conn *grpc)
{
	return SL_CONTAINER_OF(grpc, struct server_conn, grpc);
}

static bool is_grpc(const struct sl_grpc_call *call)
{
	return call->content_type && strncmp(call->content_type, "application/grpc", 16) == 0;
}

static void on_call(struct sl_grpc_conn *grpc, struct sl_grpc_call *call)
{
	const struct sl_grpc_server_config *config = &conn_of(grpc)->server->config;
	const struct sl_grpc_method *method = config->methods, *end = method + config->method_count;
	sl_err err;

	while (method < end && (!call->path || strcmp(method->path, call->path) != 0))
		method++;
	if (!is_grpc(call) || method == end) {
		sl_grpc_call_refuse(call, is_grpc(call) ? SL_GRPC_UNIMPLEMENTED : SL_GRPC_UNKNOWN,
		        is_grpc(call) ? "no such method here" : "the content-type is not application/grpc");
		return;
	}
	call->ops = method->ops;
	err = method->on_call ? method->on_call(call, config->user) : SL_OK;
	if (err != SL_OK)
		sl_grpc_call_refuse(call, sl_grpc_status_of_err(err), sl_err_text(err));
}

static void conn_free(void *object)
{
	struct server_conn *conn = object;

	sl_grpc_conn_fini(&conn->grpc);
	sl_free(conn);
}

static void drop(struct server_conn *conn)
{
	sl_list_remove(&conn->link);
	conn->server->conn_count--;
	sl_loop_free_later(conn->server->loop, &conn->dead, conn_free, conn);
}

static void on_closed(struct sl_grpc_conn *grpc, sl_err why, const char *text)
{
	(void)why, (void)text;
	drop(conn_of(grpc));
}

static const struct sl_grpc_conn_ops conn_ops = { .on_call = on_call, .on_closed = on_closed };

static void on_accept(struct sl_listener *listener, int fd, const struct sl_addr *peer)
{
	struct sl_grpc_server *server = listener->user;
	struct server_conn *conn;

	if (server->conn_count >= server->config.connections_most) {
		sl_fd_close(&fd);
		return;
	}
	conn = sl_new0(sizeof(*conn));
	conn->server = server;
	sl_list_push(&server->conns, &conn->link);
	server->conn_count++;
	sl_grpc_conn_init(&conn->grpc, server->loop, &conn_ops, true, &server->config.limits);
	sl_transport_start(&conn->grpc.transport, fd, server->config.tls, peer);
}

sl_err sl_grpc_server_new(struct sl_grpc_server **ret_server, struct sl_loop *loop,
        const struct sl_grpc_server_config *config, struct sl_diag *diag)
{
	struct sl_grpc_server *server = sl_new0(sizeof(*server));
	sl_err err =
	        sl_listener_start(&server->listener, loop, &config->listen, NULL, on_accept, server, diag);

	if (err != SL_OK) {
		sl_free(server);
		return err;
	}
	server->loop = loop;
	server->config = *config;
	if (config->tls)
		sl_tls_ctx_ref(config->tls);
	if (!server->config.connections_most)
		server->config.connections_most = 10000;
	sl_list_init(&server->conns);
	*ret_server = server;
	return SL_OK;
}

void sl_grpc_server_free(struct sl_grpc_server *server)
{
	if (!server)
		return;
	sl_listener_stop(&server->listener);
	while (!sl_list_empty(&server->conns)) {
		struct server_conn *conn = SL_LIST_ENTRY(server->conns.next, struct server_conn, link);

		sl_grpc_conn_fini(&conn->grpc);
		drop(conn);
	}
	sl_tls_ctx_unref(server->config.tls);
	sl_free(server);
}

const struct sl_addr *sl_grpc_server_addr(const struct sl_grpc_server *server)
{
	return &server->listener.addr;
}

size_t sl_grpc_server_connections(const struct sl_grpc_server *server)
{
	return server->conn_count;
}
