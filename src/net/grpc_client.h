#pragma once
/*
 * A gRPC client: one HTTP/2 connection, many calls. It does not connect anew by itself.
 * Ownership: the caller frees it.       Threads: its loop's.
 */
#include "net/grpc.h"
#include "net/tls.h"
#include "os/socket.h"

struct sl_grpc_client;

struct sl_grpc_client_config {
	struct sl_addr server;
	struct sl_tls_ctx *tls;  /* NULL: h2c; its ALPN must offer h2; must outlive the client */
	const char *server_name; /* as for sl_tls_open, and as :authority; NULL: the address */
	struct sl_grpc_limits limits;
	void (*on_open)(void *user); /* connected; may be NULL */
	/* The connection is gone or could not be made, after on_end of every call; exactly once. The client may be freed in it. */
	void (*on_close)(void *user, sl_err why, const char *text);
	void *user;
};

/* Begins to connect. Calls may be made at once; they go out when it is open. */
struct sl_grpc_client *sl_grpc_client_new(struct sl_loop *loop, const struct sl_grpc_client_config *config);
/* Drops the connection; no callback comes after or during. NULL is fine. */
void sl_grpc_client_free(struct sl_grpc_client *client);

/* Gives the connection up; on_close follows at the end of the turn. */
void sl_grpc_client_close(struct sl_grpc_client *client);

/* NULL when the connection is closing or gone. */
struct sl_grpc_call *sl_grpc_client_call(
        struct sl_grpc_client *client, const char *path, const struct sl_grpc_call_ops *ops, void *user);
