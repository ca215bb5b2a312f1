#pragma once
/*
 * The data plane as a whole: workers, the mesh they serve by, the control plane's client, the admin server, signals.
 *
 * Life of a mesh: it comes (xDS or file) → compiled here → listeners it adds are bound → each worker takes it over in its own
 * thread and says so → when all have, it is acknowledged. A listener that cannot be bound is named in a refusal; everything else of
 * that mesh is in force all the same, and the listener is tried again with the next one.
 *
 * Ownership: the proxy owns its workers, loop and servers.       Threads: the main thread runs its loop; see worker.h for the others.
 */
#include "model/mesh.h"
#include "proxy/options.h"

struct sl_proxy;

/* Errors: SL_ERR_UNAVAILABLE, SL_ERR_EXISTS (admin address in use), SL_ERR_INVALID (--static does not hold a mesh); diag says which. */
sl_err sl_proxy_new(struct sl_proxy **ret_p, const struct sl_proxy_options *options, struct sl_diag *diag);
/* Runs until a signal, /quitquitquit or sl_proxy_stop, and a drain, end it. */
void sl_proxy_run(struct sl_proxy *p);
/* Ends the threads and frees all. NULL is fine. */
void sl_proxy_free(struct sl_proxy *p);
SL_CLEANUP_DEFINE(sl_proxy_free, struct sl_proxy *)

/* ---- for tests: the proxy within a program ---- */

struct sl_loop *sl_proxy_loop(struct sl_proxy *p);
/* Brings a mesh in force. done(arg, err, text) comes in the main loop once all workers use it, or with the reason against it. */
void sl_proxy_apply(struct sl_proxy *p, struct sl_mesh *mesh,
        void (*done)(void *arg, sl_err err, const char *text), void *arg);
/* The port a listener is bound to; 0 when there is no such listener. */
uint16_t sl_proxy_port(const struct sl_proxy *p, sl_str listener);
/* SIGTERM does this: stops accepting, lets requests finish within --drain-timeout, then sl_proxy_run returns. */
void sl_proxy_stop(struct sl_proxy *p);
