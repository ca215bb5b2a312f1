#pragma once
/*
 * The mesh as xDS resources. Each function appends one google.protobuf.Any; what xDS has no field for goes into the Metadata filter
 * "sluice" of the message nearest to it (see decode.h for the keys).
 *
 * Not carried, because it means nothing: a retry policy of 0 attempts; the order between removals and other header operations
 * (Envoy's rule holds: removals first).
 *
 * Ownership: the caller's buffer; `scratch` is used and may be reset afterwards.       Threads: any; nothing is kept.
 */
#include "base/buf.h"
#include "model/mesh.h"
#include "xds/types.h"

/*
 * gRPC's own client understands less: it refuses balancing policies that its version lacks and separated prefixes. For it these are put in
 * other words (round robin; a regular expression), and the sum of weights is spelt out.
 */
enum sl_xds_dialect { SL_XDS_FULL, SL_XDS_GRPC };

void sl_xds_encode_listener(
        const struct sl_mesh_listener *listener, struct sl_arena *scratch, struct sl_buf *out);
/* What gRPC asks for under a service's name: a Listener with an api_listener that names the route config. */
void sl_xds_encode_api_listener(
        sl_str name, sl_str route_config, struct sl_arena *scratch, struct sl_buf *out);
void sl_xds_encode_route_config(const struct sl_mesh_route_config *config, enum sl_xds_dialect dialect,
        struct sl_arena *scratch, struct sl_buf *out);
/* The cluster without its endpoints, which EDS brings. */
void sl_xds_encode_cluster(const struct sl_mesh_cluster *cluster, enum sl_xds_dialect dialect,
        struct sl_arena *scratch, struct sl_buf *out);
void sl_xds_encode_endpoints(
        const struct sl_mesh_cluster *cluster, struct sl_arena *scratch, struct sl_buf *out);
void sl_xds_encode_epoch(uint64_t epoch, struct sl_arena *scratch, struct sl_buf *out);
