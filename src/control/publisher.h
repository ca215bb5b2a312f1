#pragma once
/*
 * The publisher: keeps every proxy's mesh equal to the objects. It watches the kinds that `translate` reads, translates at the end of
 * each turn in which one changed, publishes the result as a new epoch when it differs, and knows of every revision and endpoint
 * whether it is still in use anywhere: no timer stands in for an acknowledgement.
 *
 * An epoch is the store's version it was translated from, so it grows over restarts.
 *
 * Ownership: opaque; the loop and objects must outlive it.       Threads: the loop's.
 */
#include "control/objects.h"
#include "control/xds_push.h"

struct sl_publisher;

struct sl_publisher_options {
	struct sl_loop *loop;
	struct sl_objects *objects;
	struct sl_addr xds;     /* where proxies connect; port 0: any free one */
	struct sl_addr gateway; /* of the gateway listener; len 0: none */
	/* A proxy belongs to this control plane: until one is connected, nothing counts as acknowledged or idle. */
	bool expects_proxy;
	/* Counts of one proxy, ten times a second. May be NULL. */
	void (*on_load)(void *arg, sl_str node, const struct sl_load_report *report);
	/* Something was acknowledged, or has become idle: ask again. Once per turn at most. May be NULL. */
	void (*on_progress)(void *arg);
	void *arg;
};

/* Publishes what there is before it returns. Errors: as sl_xds_push_new and sl_objects_watch. */
sl_err sl_publisher_start(
        struct sl_publisher **ret_p, const struct sl_publisher_options *options, struct sl_diag *diag);
void sl_publisher_stop(struct sl_publisher *p); /* NULL is fine */
SL_CLEANUP_DEFINE(sl_publisher_stop, struct sl_publisher *)

const struct sl_xds_push *sl_publisher_push(const struct sl_publisher *p);
/* The mesh published last, borrowed until the next turn; NULL before the first. */
const struct sl_mesh *sl_publisher_mesh(const struct sl_publisher *p);

/* Every proxy has in force what followed from the object state of that resourceVersion. */
bool sl_publisher_in_force(struct sl_publisher *p, uint64_t resource_version);
/*
 * No proxy sends the revision of that rollout ("namespace/name") anything new, by acknowledgement. *ret_in_flight (may be NULL): requests
 * still under way there, as far as proxies report; UINT64_MAX while that is not known since the acknowledgement.
 */
bool sl_publisher_revision_unused(
        const struct sl_publisher *p, sl_str rollout, sl_str hash, uint64_t *ret_in_flight);
/* The same for one endpoint, and nothing is in flight there either: its process may be stopped. */
bool sl_publisher_endpoint_idle(const struct sl_publisher *p, sl_str address, uint32_t port);
/* The hash of the revision a cluster stands for, when it is one of that rollout's; else empty. Also for clusters that have left the mesh. */
sl_str sl_publisher_revision_of(const struct sl_publisher *p, sl_str rollout, sl_str cluster);
