#pragma once
/*
 * All resources of one epoch, encoded. A resource whose bytes did not change is shared with the set before, and keeps the epoch in which it
 * last changed; so what a client misses since an epoch is known without a look at the bytes.
 *
 * Ownership: sets are shared by reference, and hold a reference of their mesh.       Threads: one owner; counts are not atomic.
 */
#include "base/map.h"
#include "model/mesh.h"
#include "xds/types.h"

struct sl_xds_resource {
	uint32_t refs;
	sl_str name, any; /* any: the packed google.protobuf.Any */
	uint64_t changed_epoch;
	char bytes[]; /* both */
};

enum { SL_XDS_SET_TYPES = SL_XDS_EPOCH }; /* the epoch mark is no part of a set */

struct sl_xds_set_entry {
	struct sl_map_node node; /* in by_name */
	struct sl_xds_resource *resource;
	size_t index; /* in the mesh's list of that kind */
};

struct sl_xds_list {
	struct sl_xds_set_entry *entries; /* in the mesh's order */
	size_t count;
	struct sl_map by_name;
	uint64_t touched_epoch; /* when one was last added, changed or removed */
};

struct sl_xds_set {
	uint32_t refs;
	uint64_t epoch;
	struct sl_mesh *mesh;
	struct sl_xds_list lists[SL_XDS_SET_TYPES];
	struct sl_map domains; /* lower-case domain of a virtual host → its route config, for gRPC clients */
	struct sl_xds_domain *domain_nodes;
};

/* One reference. `before` may be NULL. */
struct sl_xds_set *sl_xds_set_new(struct sl_mesh *mesh, const struct sl_xds_set *before);
struct sl_xds_set *sl_xds_set_ref(struct sl_xds_set *set);
void sl_xds_set_unref(struct sl_xds_set *set); /* NULL is fine */
SL_CLEANUP_DEFINE(sl_xds_set_unref, struct sl_xds_set *)

/* NULL when absent. */
const struct sl_xds_set_entry *sl_xds_set_find(
        const struct sl_xds_set *set, enum sl_xds_type type, sl_str name);
/* The route config with that domain; empty where none has it. */
sl_str sl_xds_set_route_config_of(const struct sl_xds_set *set, sl_str domain);
