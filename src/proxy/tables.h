#pragma once
/*
 * The mesh compiled for the data path: const lookup tables over a sl_mesh. Built whole on the main thread, published once, shared
 * by all workers (loop/snapshot.h). First match wins, as the mesh says; the tables only narrow down what has to be compared.
 *
 * Ownership: tables hold a reference on their mesh, whose strings they point into, and one on each trip. Freed by sl_snapshot_unref.
 * Threads: const once published; sl_trip is the exception and atomic.
 */
#include "base/map.h"
#include "loop/snapshot.h"
#include "model/mesh.h"
#include "proto/http1.h"
#include "proxy/regex.h"

enum { SL_TABLE_NONE = UINT32_MAX }; /* an absent index */

/*
 * A guarded target's switch, shared by all workers and carried from snapshot to snapshot while its generation stays: once tripped, the
 * target's share goes to its fallback.
 */
struct sl_trip {
	uint32_t refs;    /* atomic */
	uint32_t tripped; /* atomic; enum sl_trip_cause, 0 while armed */
	uint64_t generation;
	sl_str cluster, fallback, rollout; /* own copies */
	int64_t tripped_at;                /* Unix nanoseconds; written before `tripped` */
	char text[];
};

struct sl_table_split {
	uint32_t cluster; /* index */
	uint32_t weight;
	uint32_t fallback; /* cluster index, or SL_TABLE_NONE */
	uint32_t trip;     /* index into sl_tables.trips, or SL_TABLE_NONE */
	const struct sl_mesh_split *mesh;
};

struct sl_table_route {
	const struct sl_mesh_route *mesh;
	struct sl_regex *path;    /* SL_PATH_REGEX */
	struct sl_regex *rewrite; /* rewrite.regex */
	struct sl_regex *
	        *header_regex; /* one per header match; NULL where it is none. NULL when no match has one */
	struct sl_regex **param_regex;
	bool any; /* matches every request: no conditions, prefix "/" */
	struct sl_table_split *splits;
	uint32_t *weights; /* split_count of them, for sl_split_next */
	uint32_t split_count;
	uint32_t total_weight;
	uint32_t lag_at;    /* first of split_count lags in a worker's array; with one target unused */
	uint64_t split_key; /* same host, route and targets: the key lags are carried by */
	uint32_t index;     /* among all routes of the tables */
};

struct sl_table_prefix {
	sl_str text;
	uint32_t parent;  /* the longest other prefix that this one begins with, or SL_TABLE_NONE */
	uint32_t *routes; /* ascending: its own and its parents' */
	uint32_t count;
};

struct sl_table_exact {
	struct sl_map_node node; /* by path */
	uint32_t *routes;        /* ascending */
	uint32_t count;
};

struct sl_table_host {
	const struct sl_mesh_virtual_host *mesh;
	struct sl_table_route *routes;
	uint32_t route_count;
	bool indexed; /* the three below are in use; short or odd tables are scanned */
	struct sl_map exact;
	struct sl_table_prefix *prefixes; /* sorted bytewise */
	uint32_t prefix_count;
	uint32_t *others; /* ascending: regular expressions, paths whose case is ignored */
	uint32_t other_count;
};

struct sl_table_domain {
	struct sl_map_node node;
	struct sl_table_host *host;
};

struct sl_table_config {
	struct sl_map_node node; /* by name */
	const struct sl_mesh_route_config *mesh;
	struct sl_table_host *hosts;
	uint32_t host_count;
	struct sl_map exact;      /* domains without a wildcard */
	struct sl_map suffixes;   /* what follows the "*" */
	uint32_t *suffix_lengths; /* distinct, longest first */
	uint32_t suffix_length_count;
	struct sl_table_host *any; /* "*" */
};

struct sl_table_listener {
	const struct sl_mesh_listener *mesh;
	const struct sl_table_config *config; /* HTTP */
	uint32_t cluster;                     /* TCP */
};

struct sl_tables {
	struct sl_snapshot head;
	struct sl_mesh *mesh;
	struct sl_arena arena;
	struct sl_table_listener *listeners; /* in the mesh's order, as clusters */
	struct sl_table_config *configs;
	struct sl_map config_by_name, cluster_by_name;
	struct sl_trip **trips;
	struct sl_map trip_by_cluster;
	uint32_t trip_count;
	uint32_t lag_count;
	uint32_t route_count;
};

/*
 * Compiles. Takes its own reference on the mesh, which must have passed sl_mesh_check. `before` (or NULL) gives the trips to carry over; the caller
 * holds it meanwhile.
 * Errors: SL_ERR_INVALID (an expression that does not compile), with its place in diag. Any thread,
 * one at a time.
 */
sl_err sl_tables_new(struct sl_tables **ret_tables, struct sl_mesh *mesh, const struct sl_tables *before,
        struct sl_diag *diag);
static inline void sl_tables_unref(struct sl_tables *t)
{
	if (t)
		sl_snapshot_unref(&t->head);
}
SL_CLEANUP_DEFINE(sl_tables_unref, struct sl_tables *)

/* Index of the cluster of that name, or SL_TABLE_NONE. */
uint32_t sl_tables_cluster(const struct sl_tables *t, sl_str name);

/* What a route is chosen by. */
struct sl_route_request {
	sl_str method, scheme, authority;
	sl_str path, query; /* the path without the query; the query without '?' */
	const struct sl_http1_head *head;
	const char *bytes; /* of the head */
	struct sl_regex_scratch *scratch;
};

/* NULL where no domain fits. `authority` in any case, with or without a port. */
const struct sl_table_host *sl_tables_host(const struct sl_table_config *config, sl_str authority);
/* NULL where no route matches. */
const struct sl_table_route *sl_tables_route(
        const struct sl_table_host *host, const struct sl_route_request *rq);
/* The same by comparing route after route: what sl_tables_route must equal. For tests. */
const struct sl_table_route *sl_tables_route_scan(
        const struct sl_table_host *host, const struct sl_route_request *rq);

/* The path and query to send upstream (or in a redirect's Location) under this route's rewrite; appended to out. */
void sl_tables_rewrite_path(
        const struct sl_table_route *route, const struct sl_route_request *rq, struct sl_buf *out);
static inline bool sl_tables_rewrites_path(const struct sl_table_route *route)
{
	return route->mesh->rewrite.prefix.len || route->rewrite;
}
