#pragma once
/*
 * xDS resources as parts of a mesh. Validating: what cannot be taken up is refused, with the resource and the field in the diag, as
 * text for a NACK: "RouteConfiguration \"web\" virtual_hosts[0].routes[2].match: …". Fields outside the subset of proto/ are passed over, as
 * xDS clients do.
 *
 * From other control planes: what is absent has Envoy's default (timeout 15 s, connect timeout 5 s, one retry, 1024 connections, pending and
 * running requests, 3 retries); localities are joined, those of a priority above the lowest are passed over.
 *
 * Metadata filter "sluice":
 *   ClusterWeight  guard_fallback, guard_rollout, guard_generation (text), guard_alpha, guard_refused_run, guard_failure_run
 *   Route          inverted_params ("0,3")
 *   Cluster        service_host, service_name, service_namespace, rollout, revision
 *   LbEndpoint     pod, workload, namespace, app, version
 *
 * Ownership: results lie in `arena` and keep no view of `any_value`.       Threads: the arena's owner.
 */
#include "model/mesh.h"
#include "xds/types.h"

/*
 * `any_value` is the value field of the Any. On an error the results are untouched.
 * Errors of all: SL_ERR_MALFORMED (no such message), SL_ERR_INVALID (a field), SL_ERR_UNSUPPORTED (meaningful, but not here).
 */

/* *ret_inline: the route config that the listener carries itself; its name is empty where it has none. */
sl_err sl_xds_decode_listener(sl_str any_value, struct sl_arena *arena, struct sl_mesh_listener *ret_listener,
        struct sl_mesh_route_config *ret_inline, struct sl_diag *diag);
sl_err sl_xds_decode_route_config(sl_str any_value, struct sl_arena *arena,
        struct sl_mesh_route_config *ret_config, struct sl_diag *diag);
/* *ret_eds_name: the resource that holds its endpoints; empty where the cluster has them itself. */
sl_err sl_xds_decode_cluster(sl_str any_value, struct sl_arena *arena, struct sl_mesh_cluster *ret_cluster,
        sl_str *ret_eds_name, struct sl_diag *diag);
/* Fills name, endpoints and endpoint_count of *ret_cluster alone. */
sl_err sl_xds_decode_endpoints(
        sl_str any_value, struct sl_arena *arena, struct sl_mesh_cluster *ret_cluster, struct sl_diag *diag);
sl_err sl_xds_decode_epoch(sl_str any_value, uint64_t *ret_epoch);
