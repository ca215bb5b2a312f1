#pragma once
/*
 * The proxy's own state, between proxy.c (workers, snapshots), wire.c (control plane, files, signals), admin.c and load.c.
 * Ownership: as proxy.h.       Threads: the main thread, but for what worker.h says.
 */
#include "loop/loop.h"
#include "loop/signals.h"
#include "net/http_server.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"
#include "proxy/xds_client.h"

/* A listener that is bound, on all workers. */
struct sl_bound {
	struct sl_list node;
	struct sl_addr asked; /* as the mesh says */
	struct sl_addr bound; /* with the port that was taken for 0 */
	char *name;
	bool seen; /* in the mesh that is being brought in */
};

struct sl_proxy {
	struct sl_loop loop;
	const struct sl_proxy_options *options;
	struct sl_worker **workers;
	uint32_t worker_count;
	int log_fd;
	struct sl_tables *tables; /* in force, or on its way there */
	struct sl_list bound;
	bool ready; /* a mesh is in force */
	bool told;  /* the ready line is out */
	bool draining, stopping;
	uint32_t drained; /* workers without a connection, while draining */
	struct sl_timer drain_timer;
	/* the mesh on its way */
	bool busy;
	uint32_t missing; /* workers that have not taken it over */
	struct sl_diag bind_diag;
	void (*done)(void *arg, sl_err err, const char *text);
	void *done_arg;

	/* wire.c */
	struct sl_xds_client *xds;
	struct sl_signals signals;
	uint64_t under_way;          /* epoch being brought in for the control plane */
	struct sl_mesh *next_static; /* read, but another one is on its way */
	/* admin.c */
	struct sl_http_server *admin;
	char *admin_url;
	/* load.c */
	struct sl_map load_last; /* what was reported so far, by cluster */
	struct sl_arena load_arena;
	sl_nsec load_at;
};

/* ---- proxy.c ---- */
void sl_proxy_drain(struct sl_proxy *p);
uint32_t sl_proxy_listener_count(const struct sl_proxy *p);

/* ---- wire.c ---- */
sl_err sl_proxy_wire(struct sl_proxy *p, struct sl_diag *diag);
void sl_proxy_unwire(struct sl_proxy *p);

/* ---- admin.c ---- */
sl_err sl_proxy_admin_start(struct sl_proxy *p, struct sl_diag *diag);
void sl_proxy_admin_stop(struct sl_proxy *p);

/* ---- load.c ---- */
bool sl_proxy_load(struct sl_proxy *p, struct sl_arena *arena, const struct sl_load_wish *wish,
        struct sl_load_report *report);
void sl_proxy_load_fini(struct sl_proxy *p);
