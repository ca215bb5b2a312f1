#include "net/grpc_client.h"
#include "net/grpc_conn_priv.h"

struct sl_grpc_client {
	struct sl_grpc_conn grpc;
	struct sl_grpc_client_config config;
	char *authority;
	bool closed;
	struct sl_dead dead;
};

static struct sl_grpc_client *client_of(struct sl_grpc_conn *grpc)
{
	return SL_CONTAINER_OF(grpc, struct sl_grpc_client, grpc);
}

static void on_open(struct sl_grpc_conn *grpc)
{
	struct sl_grpc_client *client = client_of(grpc);

	if (client->config.on_open)
		client->config.on_open(client->config.user);
}

static void on_closed(struct sl_grpc_conn *grpc, sl_err why, const char *text)
{
	struct sl_grpc_client *client = client_of(grpc);

	client->closed = true;
	client->config.on_close(client->config.user, why, text);
}

static const struct sl_grpc_conn_ops conn_ops = { .on_open = on_open, .on_closed = on_closed };

struct sl_grpc_client *sl_grpc_client_new(struct sl_loop *loop, const struct sl_grpc_client_config *config)
{
	struct sl_grpc_client *client = sl_new0(sizeof(*client));
	char text[SL_ADDR_TEXT_BYTES];

	client->config = *config;
	client->authority = sl_strdup(config->server_name              ? config->server_name
	                              : sl_addr_is_ip(&config->server) ? sl_addr_format(text, &config->server)
	                                                               : "localhost");
	sl_grpc_conn_init(&client->grpc, loop, &conn_ops, false, &config->limits);
	sl_transport_connect(&client->grpc.transport, &config->server, config->tls, config->server_name);
	return client;
}

void sl_grpc_client_close(struct sl_grpc_client *client)
{
	sl_transport_abort(&client->grpc.transport);
}

static void client_free(void *object)
{
	struct sl_grpc_client *client = object;

	sl_free(client->authority);
	sl_free(client);
}

void sl_grpc_client_free(struct sl_grpc_client *client)
{
	if (!client)
		return;
	SL_LIST_FOR (link, &client->grpc.calls)
		SL_LIST_ENTRY(link, struct sl_grpc_call, link)->ops = NULL; /* nobody is told any more */
	sl_grpc_conn_fini(&client->grpc);
	sl_loop_free_later(client->grpc.loop, &client->dead, client_free, client);
}

struct sl_grpc_call *sl_grpc_client_call(
        struct sl_grpc_client *client, const char *path, const struct sl_grpc_call_ops *ops, void *user)
{
	struct sl_grpc_call *call;

	if (client->closed || client->grpc.going_away || !client->grpc.session)
		return NULL;
	call = sl_grpc_call_new(&client->grpc);
	call->ops = ops;
	call->user = user;
	if (sl_grpc_call_request(call, client->authority, path, client->config.tls != NULL) != SL_OK)
		return NULL;
	return call;
}
