#pragma once
/*
 * What translate.c (services, clusters, listeners), translate_gateway.c and translate_routes.c (VirtualServices to routes) share.
 * Ownership: everything lives in the mesh's arena or in `scratch`, for one translation.       Threads: one.
 */
#include "base/map.h"
#include "model/translate.h"

/* A Service with what belongs to it. */
struct sl_tr_service {
	struct sl_map_node node; /* by host */
	const struct sl_krm_service *krm;
	sl_str host; /* "reviews.default.svc.cluster.local" */
	const struct sl_krm_destination_rule *rule;
	struct sl_tr_slice *slices;
	const struct sl_krm_rollout *rollout; /* whose pods the Service selects whole; NULL: none */
};

struct sl_tr_slice {
	struct sl_tr_slice *next;
	const struct sl_krm_endpoint_slice *krm;
};

struct sl_tr_pod {
	struct sl_map_node node; /* by "namespace/name" */
	const struct sl_krm_pod *krm;
};

/* A cluster as it is being made; copied into the mesh's array at the end. */
struct sl_tr_cluster {
	struct sl_map_node node; /* by name */
	struct sl_tr_cluster *next;
	struct sl_mesh_cluster cluster;
};

/* What a destination is to a Rollout: nothing, its stable or canary part, or all of its pods, to be divided. */
enum sl_tr_role { SL_TR_NO_ROLE, SL_TR_STABLE, SL_TR_CANARY, SL_TR_WHOLE };

/* A destination, looked up. */
struct sl_tr_target {
	sl_str nowhere; /* it does not exist: the cluster that says so; the rest is then empty */
	const struct sl_tr_service *service;
	const struct sl_krm_service_port *port;
	const struct sl_krm_subset *subset; /* NULL: all of the Service */
	const struct sl_krm_rollout *rollout;
	enum sl_tr_role role;
	uint32_t parts; /* the weights it is divided by add up to this; 1: it is not divided */
};

struct sl_tr {
	const struct sl_translate_input *in;
	struct sl_translate_notes *notes;
	struct sl_mesh *mesh;
	struct sl_arena scratch;
	struct sl_map services, pods, clusters;
	struct sl_tr_cluster *first_cluster, **last_cluster;
};

/* Where a route stands: what a destination or match in it is relative to. */
struct sl_tr_place {
	const struct sl_krm_virtual_service *vs;
	size_t http;                          /* index of the route */
	bool managed;                         /* a Rollout's weights are in force here */
	const struct sl_krm_rollout *rollout; /* that one; NULL unless managed */
	uint32_t port;                        /* the listener's */
	sl_str gateway;                       /* "namespace/name"; empty: inside the mesh */
	const struct sl_tr_service *service;  /* inside the mesh: the listener's */
};

void sl_tr_note(struct sl_tr *t, enum sl_kind_id kind, const struct sl_krm_object_meta *meta, sl_str field,
        const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* By short or long name as seen from `ns`; NULL when there is none. */
const struct sl_tr_service *sl_tr_service_find(struct sl_tr *t, sl_str host, sl_str ns);
/* The named port's entry; port 0: the only one. NULL when there is none. */
const struct sl_krm_service_port *sl_tr_port_find(const struct sl_tr_service *s, uint32_t port);

struct sl_tr_target sl_tr_resolve(
        struct sl_tr *t, const struct sl_tr_place *place, const struct sl_krm_destination *d, sl_str field);
/*
 * Adds the splits a target stands for: one, or two where it is divided, whose weights then add up to weight * target->parts. `splits` has
 * room for two more. Returns how many were added.
 */
size_t sl_tr_splits(struct sl_tr *t, const struct sl_tr_place *place, const struct sl_tr_target *target,
        uint32_t weight, struct sl_mesh_split *splits);

/* What a Service without a VirtualService gets: everything to itself. */
struct sl_mesh_route sl_tr_default_route(
        struct sl_tr *t, const struct sl_tr_service *s, const struct sl_krm_service_port *port);
/* The VirtualService's routes for one place, appended to *routes (in scratch, grown as needed). */
struct sl_tr_routes {
	struct sl_mesh_route *items;
	size_t count, room;
};
void sl_tr_routes_add(struct sl_tr *t, const struct sl_tr_place *place, struct sl_tr_routes *routes);
/* Notes every host of a VirtualService for callers inside that is no Service. */
void sl_tr_check_hosts(struct sl_tr *t);
/* Moves them into the mesh. */
void sl_tr_routes_take(struct sl_tr *t, struct sl_mesh_virtual_host *host, const struct sl_tr_routes *routes);
/* In lower case; at most four. */
void sl_tr_domain_add(struct sl_tr *t, struct sl_mesh_virtual_host *host, sl_str domain);

sl_str sl_tr_join(struct sl_tr *t, sl_str ns, sl_str name); /* "ns/name", in scratch */

/* ---- translate_gateway.c ---- */

void sl_tr_gateway_listener(struct sl_tr *t);
