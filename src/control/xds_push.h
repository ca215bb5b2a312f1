#pragma once
/*
 * The xDS server of the control plane: takes each new mesh, pushes what changed in it to every connected proxy and gRPC client
 * (ADS, state of the world), and gathers load reports (LRS). What a stream says and hears is decided by xds/server.h; this is its
 * network side.
 *
 * An epoch counts as acknowledged by a node when it is in force there: sluice's own proxies say so after the swap on all their
 * workers; others (gRPC, Envoy) when they have accepted every changed resource.
 *
 * Ownership: the object is the caller's to free; a published mesh is shared by reference.
 * Threads: one loop; callbacks come in it. They may publish, and must not free the object.
 */
#include "loop/loop.h"
#include "model/mesh.h"
#include "net/tls.h"
#include "os/socket.h"
#include "xds/lrs.h"

struct sl_xds_push;

struct sl_xds_push_ops {
	/* This node has `epoch` in force; `latency` since it was published. May be NULL. */
	void (*on_ack)(void *user, sl_str node, uint64_t epoch, sl_nsec latency);
	/* This node refused `epoch` and stays with what it has; `text` is its reason. May be NULL. */
	void (*on_nack)(void *user, sl_str node, uint64_t epoch, sl_str text);
	/* Every connected node has an epoch of at least `epoch` in force (and at least one is connected). Only ever grows. May be NULL. */
	void (*on_all_ack)(void *user, uint64_t epoch);
	/* A node's first request has come, or its stream has ended (connected false). May be NULL. */
	void (*on_node)(void *user, sl_str node, bool connected);
	/*
	 * Counts of one node; valid for the call. The first of a stream is empty: the node says that it will report. Later on an empty one says
	 * that nothing is in flight. May be NULL.
	 */
	void (*on_load)(void *user, sl_str node, const struct sl_load_report *report);
};

struct sl_xds_push_config {
	struct sl_addr listen;  /* port 0: any free one */
	struct sl_tls_ctx *tls; /* NULL: h2c; else ALPN h2; a reference is taken */
	sl_nsec load_interval;  /* between load reports; 0: 100 ms */
	bool load_endpoints;    /* ask for counts per endpoint too */
	size_t nodes_most;      /* connected at once; 0: 10,000 */
	const struct sl_xds_push_ops *ops;
	void *user;
};

/* Errors: as sl_listen; diag says the address. */
sl_err sl_xds_push_new(struct sl_xds_push **ret_push, struct sl_loop *loop,
        const struct sl_xds_push_config *config, struct sl_diag *diag);
void sl_xds_push_free(
        struct sl_xds_push *push); /* ends all streams; NULL is fine; not from within a callback */
/* As bound. */
const struct sl_addr *sl_xds_push_addr(const struct sl_xds_push *push);

/*
 * Makes `mesh` (a reference is taken; checked by the caller) the desired state: pushes begin at once, to nodes that still work on an
 * older epoch as soon as they are done with it; epochs in between are skipped for them.
 * Errors: SL_ERR_CONFLICT (mesh->epoch is not above the last one).
 */
sl_err sl_xds_push_publish(struct sl_xds_push *push, struct sl_mesh *mesh);

/* 0 before the first publish. */
uint64_t sl_xds_push_epoch(const struct sl_xds_push *push);
/* The lowest epoch in force among the connected nodes; the published one where none is connected. */
uint64_t sl_xds_push_acked(const struct sl_xds_push *push);

struct sl_xds_node_info {
	sl_str id, agent;      /* node.id, user_agent_name */
	uint64_t acked_epoch;  /* in force there; 0: none yet */
	uint64_t nacked_epoch; /* last refused; 0: none */
	sl_str nack_text;
	sl_nsec connected_at;
};
/* Calls fn for every connected node. */
void sl_xds_push_nodes(const struct sl_xds_push *push,
        void (*fn)(void *arg, const struct sl_xds_node_info *info), void *arg);

/* Buckets of Istio's pilot_proxy_convergence_time, in seconds; one count more for +Inf. */
enum { SL_XDS_CONVERGENCE_BUCKETS = 8 };
extern const double sl_xds_convergence_bounds[SL_XDS_CONVERGENCE_BUCKETS];

/* Since the start. Plain numbers, for /metrics. */
struct sl_xds_push_counters {
	uint64_t nodes;                         /* connected now: pilot_xds */
	uint64_t pushes;                        /* responses sent: pilot_xds_pushes */
	uint64_t acks, nacks, stale, malformed; /* nacks: pilot_total_xds_rejects */
	uint64_t sent_bytes;
	uint64_t reports; /* load reports received */
	uint64_t convergence[SL_XDS_CONVERGENCE_BUCKETS +
	                     1]; /* publish → in force: pilot_proxy_convergence_time, not cumulative */
	double convergence_sum_seconds;
	uint64_t convergence_count;
};
void sl_xds_push_read(const struct sl_xds_push *push, struct sl_xds_push_counters *ret_counters);
