#pragma once
/*
 * This node's proxy: sluice-proxy as a child of a shim, so that it serves on while sluiced is away, and is adopted by the next one. It is
 * started again, with back-off, when it ends by itself.
 *
 * In DIR: xds.sock (where it finds the control plane), ports (the gateway's and the admin server's, so that they stay over restarts),
 * proxy/state (its last good mesh), proxy/run-N (the shim's folder with its log).
 *
 * Ownership: opaque.       Threads: the loop's.
 */
#include "base/diag.h"
#include "loop/loop.h"
#include "os/socket.h"

struct sl_node_proxy;

struct sl_node_proxy_options {
	struct sl_loop *loop;
	const char *data_dir;
	const char *program;  /* sluice-proxy; NULL: beside our own program, else from PATH */
	struct sl_addr admin; /* port 0 must have been replaced by sl_node_port */
	unsigned workers;     /* 0: one for each processor */
};

/*
 * The port to use for `name` where the user said 0: the one kept in DIR/ports, else a free one on that address, which is then kept.
 * `a` gets it. Errors: SL_ERR_UNAVAILABLE (no port is free), SL_ERR_IO.
 */
sl_err sl_node_port(const char *data_dir, const char *name, struct sl_addr *a, struct sl_diag *diag);
/* "DIR/xds.sock". Errors: SL_ERR_RANGE (the folder's name is too long for a socket). */
sl_err sl_node_proxy_xds(const char *data_dir, struct sl_addr *ret_a, struct sl_diag *diag);

/* Adopts the one that runs, or starts it. Errors: SL_ERR_NOT_FOUND (no sluice-proxy), SL_ERR_IO. */
sl_err sl_node_proxy_start(
        struct sl_node_proxy **ret_p, const struct sl_node_proxy_options *options, struct sl_diag *diag);
/* Drains and ends it; done(arg) once it has gone. */
void sl_node_proxy_shutdown(struct sl_node_proxy *p, sl_nsec grace, void (*done)(void *arg), void *arg);
/* Lets go; the proxy goes on. NULL is fine. */
void sl_node_proxy_free(struct sl_node_proxy *p);
