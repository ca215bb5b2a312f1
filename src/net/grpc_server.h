#pragma once
/*
 * A gRPC server: HTTP/2 by prior knowledge (h2c), or over TLS with ALPN h2.
 * Ownership: the caller frees it; connections and calls are its own.       Threads: its loop's.
 */
#include "net/grpc.h"
#include "net/listener.h"
#include "net/tls.h"

struct sl_grpc_server;

struct sl_grpc_method {
	const char *path; /* "/package.Service/Method" */
	const struct sl_grpc_call_ops *ops;
	/* A call has come; set its user. Not SL_OK: it is refused with that error, and no on_end comes. May be NULL. */
	sl_err (*on_call)(struct sl_grpc_call *call, void *server_user);
};

struct sl_grpc_server_config {
	struct sl_addr listen;
	struct sl_tls_ctx *tls; /* NULL: h2c; a reference is taken; its ALPN must offer h2 */
	const struct sl_grpc_method *methods;
	size_t method_count;
	size_t connections_most; /* 0: 10,000; more are closed at once */
	struct sl_grpc_limits limits;
	void *user;
};

/* Errors: as sl_listen. */
sl_err sl_grpc_server_new(struct sl_grpc_server **ret_server, struct sl_loop *loop,
        const struct sl_grpc_server_config *config, struct sl_diag *diag);
/* Stops listening and drops every connection; on_end comes for each call before this returns. Not from within a callback. */
void sl_grpc_server_free(struct sl_grpc_server *server);
const struct sl_addr *sl_grpc_server_addr(const struct sl_grpc_server *server); /* as bound */
size_t sl_grpc_server_connections(const struct sl_grpc_server *server);
