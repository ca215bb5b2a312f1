#pragma once
/*
 * Objects to mesh: the pure function between what people wrote (Services, VirtualServices, DestinationRules, Gateways, Rollouts) with
 * what runs (EndpointSlices, Pods), and what the proxies need.
 *
 *  - Every Service port gets a listener on the Service's own loopback address; a VirtualService for the Service's host routes there,
 *    else all goes to the Service.
 *  - VirtualServices bound to Gateways are served by host on the gateway listener.
 *  - Where a Rollout manages a destination, its weights in force (status.canary.weights) replace what the VirtualService says,
 *    and each revision is a cluster of its own, named by its pod template hash: promotion moves weights, never a cluster's meaning.
 *
 * It never fails: what refers to nothing becomes an answer of 503 (a cluster without endpoints) and a note on the object.
 *
 * Ownership: the input is borrowed for the call; the mesh is a new reference; notes live in the caller's arena.
 * Threads: any; pure.
 */
#include "model/kind.h"
#include "model/mesh.h"

struct sl_translate_input {
	/* Each in order of namespace and name. */
	const struct sl_krm_service *const *services;
	const struct sl_krm_endpoint_slice *const *slices;
	const struct sl_krm_pod *const *pods;
	const struct sl_krm_virtual_service *const *virtual_services;
	const struct sl_krm_destination_rule *const *destination_rules;
	const struct sl_krm_istio_gateway *const *gateways;
	const struct sl_krm_rollout *const *rollouts;
	size_t service_count, slice_count, pod_count, virtual_service_count, destination_rule_count,
	        gateway_count, rollout_count;

	sl_str gateway_address; /* numeric; empty: no gateway listener */
	uint32_t gateway_port;  /* 0 = any free one */
	sl_str domain;          /* "cluster.local" */
};

/* Something in an object that cannot be done as written. */
struct sl_translate_note {
	enum sl_kind_id kind;
	sl_str ns, name;
	sl_str field; /* "spec.http[0].route[1].destination.subset" */
	sl_str text;  /* what is wrong; what would be right */
};

struct sl_translate_notes {
	struct sl_arena *arena;
	struct sl_translate_note *items;
	size_t count, room;
};

/* epoch of the result is 0: the publisher's to set. `notes` may be NULL. */
struct sl_mesh *sl_translate(const struct sl_translate_input *in, struct sl_translate_notes *notes);

/* "outbound|9080||reviews.default.svc.cluster.local": how clusters are named, subset empty for the whole Service. */
sl_str sl_cluster_name(struct sl_arena *arena, uint32_t port, sl_str subset, sl_str host);
