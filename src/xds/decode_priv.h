#pragma once
/*
 * What the decoders share: where we are, and how to say what is wrong there.
 * Ownership: frames lie on the stack.       Threads: one owner.
 */
#include "model/mesh.h"
#include "xds/pb_priv.h"

struct sl_xds_at; /* a frame of the path to the field at hand */
struct sl_xds_at {
	const struct sl_xds_at *up;
	const char *name;
	size_t index; /* SL_XDS_NO_INDEX: not a list */
};
#define SL_XDS_NO_INDEX SIZE_MAX
#define SL_XDS_AT(up_, name_, index_) \
	(&(const struct sl_xds_at) { .up = (up_), .name = (name_), .index = (index_) })
#define SL_XDS_FIELD(up_, name_) SL_XDS_AT(up_, name_, SL_XDS_NO_INDEX)

struct sl_xds_decoder {
	struct sl_arena *arena;   /* for the results */
	struct sl_arena *scratch; /* for unpacked messages */
	struct sl_diag *diag;
	const char *kind, *name; /* of the resource */
};

/* Adds the problem under its path and gives back err. */
sl_err sl_xds_wrong(const struct sl_xds_decoder *d, const struct sl_xds_at *at, sl_err err, const char *fmt,
        ...) __attribute__((format(printf, 4, 5)));

/* A lasting copy. */
sl_str sl_xds_keep(const struct sl_xds_decoder *d, const char *s);
sl_str sl_xds_keep_str(const struct sl_xds_decoder *d, sl_str s);

/* NULL gives `fallback`. */
sl_err sl_xds_take_duration(const struct sl_xds_decoder *d, const struct sl_xds_at *at,
        const pb_duration *duration, sl_nsec fallback, sl_nsec *ret_d);
/* A TCP address with a numeric port. */
sl_err sl_xds_take_address(const struct sl_xds_decoder *d, const struct sl_xds_at *at,
        const pb_address *address, sl_str *ret_ip, uint32_t *ret_port);

sl_err sl_xds_take_routes(const struct sl_xds_decoder *d, const struct sl_xds_at *at,
        const pb_route_config *in, struct sl_mesh_route_config *ret_config);
sl_err sl_xds_take_assignment(const struct sl_xds_decoder *d, const struct sl_xds_at *at,
        const pb_assignment *in, struct sl_mesh_cluster *ret_cluster);
