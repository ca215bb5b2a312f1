#pragma once
/*
 * What a worker counts. Every number has one writer, its worker, and any readers: plain loads and stores that are atomic but unordered, so
 * counting costs no more than without. Lists only grow and are published by release, so a reader may walk them at any time.
 *
 * Ownership: a worker's stats own their lists, for the worker's life.       Threads: one writer; readers as said.
 */
#include "base/arena.h"
#include "base/map.h"
#include "base/units.h"

enum { SL_STAT_BUCKETS = 20 }; /* Istio's 19 bounds and +Inf */

#define SL_STAT_ADD(counter, n) __atomic_store_n(&(counter), (counter) + (n), __ATOMIC_RELAXED)
#define SL_STAT_SET(gauge, n) __atomic_store_n(&(gauge), (n), __ATOMIC_RELAXED)
#define SL_STAT_GET(counter) __atomic_load_n(&(counter), __ATOMIC_RELAXED)

/* Why an answer is ours, or not whole; texts as Envoy's response flags. */
enum sl_flag {
#define SL_FLAG(id, text, status, body) SL_FLAG_##id,
#include "proxy/flags.def"
	SL_FLAG_COUNT
};
const char *sl_flag_text(enum sl_flag flag); /* "UH"; "-" for SL_FLAG_NONE */

struct sl_stat_histogram {
	uint64_t buckets[SL_STAT_BUCKETS];
	uint64_t sum; /* nanoseconds, or bytes */
};

/* The bounds are in milliseconds for durations and bytes for sizes: the same numbers (Envoy's default). */
extern const double sl_stat_bounds[SL_STAT_BUCKETS - 1];

/* One outcome towards one destination. */
struct sl_series {
	struct sl_series *next; /* of the destination; older */
	uint16_t status;
	uint8_t flag; /* enum sl_flag */
	uint64_t requests;
	struct sl_stat_histogram duration, request_bytes, response_bytes;
};

/* Who is meant: the labels that Istio's metrics carry. The texts are copies. */
struct sl_dest_labels {
	sl_str cluster; /* ours; empty where no cluster was chosen */
	sl_str service_host, service_name, service_namespace;
	sl_str workload, workload_namespace, app, version;
	bool inbound; /* reporter="destination" */
};

struct sl_dest {
	struct sl_map_node node; /* by key */
	struct sl_dest *next;    /* in the worker's list; older */
	struct sl_dest_labels labels;
	struct sl_series *series; /* newest first */
	struct sl_series *last;   /* the one used last, nearly always the next too; the worker's alone */
	uint64_t tcp_opened, tcp_closed, tcp_sent_bytes, tcp_received_bytes;
};

/* Per address of a cluster, also after it has left the mesh: what a Pod waits for before its end. */
struct sl_endpoint_stats {
	struct sl_map_node node;        /* by address and port as text */
	struct sl_endpoint_stats *next; /* older */
	sl_str address;                 /* numeric */
	uint32_t port;
	uint32_t in_flight; /* now */
};

/* Per cluster: what load reports, the judge and the operator ask for. */
struct sl_cluster_stats {
	struct sl_map_node node;       /* by name */
	struct sl_cluster_stats *next; /* older */
	sl_str name;
	uint64_t issued, ok, error, dropped; /* attempts */
	uint64_t judged, events; /* first attempts that ended; failures among them, once per burst */
	uint64_t retries, connect_failures, overflows;
	uint64_t connections_opened;
	uint32_t in_flight, connections, idle, waiting; /* now */
	uint32_t endpoints, endpoints_ready;
	uint32_t guard; /* enum sl_guard_reason of this worker's own guard; 0: armed or none */
	struct sl_endpoint_stats *endpoint_list;
	struct sl_map endpoint_by_address; /* the worker's alone */
};

/* Per target of a split with several: what it was to get and what it got. */
struct sl_split_stats {
	struct sl_map_node node;     /* by key */
	struct sl_split_stats *next; /* older */
	sl_str config, host, route, cluster;
	uint64_t picked;               /* requests, by the split itself */
	uint64_t moved;                /* of those, sent to the fallback because the guard had tripped */
	uint32_t weight, total_weight; /* as of the newest snapshot; 0 of 0 once it is gone */
};

#define SL_WORKER_COUNTERS(X)                                                                           \
	X(downstream_connections_total, "connections accepted")                                         \
	X(downstream_connections_active, "connections open now")                                        \
	X(downstream_requests_total, "requests received")                                               \
	X(downstream_requests_active, "requests in progress now")                                       \
	X(downstream_protocol_errors_total, "requests refused as malformed")                            \
	X(downstream_timeouts_total, "connections closed for a request head or body that did not come") \
	X(downstream_refused_total, "connections refused over the connection limit")                    \
	X(downstream_bytes_received_total, "bytes received from clients")                               \
	X(downstream_bytes_sent_total, "bytes sent to clients")                                         \
	X(upstream_connections_total, "connections opened")                                             \
	X(upstream_connections_active, "connections open now")                                          \
	X(upstream_connect_failures_total, "connections that could not be opened")                      \
	X(upstream_retries_total, "attempts beyond the first")                                          \
	X(upstream_stale_retries_total, "of those, because a pooled connection had been closed")        \
	X(upstream_protocol_errors_total, "responses refused as malformed")                             \
	X(buffer_bytes, "memory in connection buffers")                                                 \
	X(access_log_lines_total, "access log lines written")                                           \
	X(access_log_dropped_total, "access log lines dropped because the log could not be written")    \
	X(snapshot_epoch, "epoch of the snapshot in force")                                             \
	X(snapshot_swaps_total, "snapshots taken over")

struct sl_stats {
#define SL_COUNTER_(name, help) uint64_t name;
	SL_WORKER_COUNTERS(SL_COUNTER_)
#undef SL_COUNTER_
	struct sl_dest *dests;
	struct sl_cluster_stats *clusters;
	struct sl_split_stats *splits;
	/* the worker's alone */
	struct sl_map dest_by_key, cluster_by_name, split_by_key;
	struct sl_arena arena;
};

void sl_stats_fini(struct sl_stats *s);
/* The worker's own; made at first use. */
struct sl_dest *sl_stats_dest(struct sl_stats *s, const struct sl_dest_labels *labels);
struct sl_cluster_stats *sl_stats_cluster(struct sl_stats *s, sl_str name);
struct sl_endpoint_stats *sl_stats_endpoint(
        struct sl_stats *s, struct sl_cluster_stats *c, sl_str address, uint32_t port);
struct sl_split_stats *sl_stats_split(
        struct sl_stats *s, sl_str config, sl_str host, sl_str route, sl_str cluster);

struct sl_series *sl_dest_series_slow_(
        struct sl_stats *s, struct sl_dest *d, uint16_t status, enum sl_flag flag);
static inline struct sl_series *sl_dest_series(
        struct sl_stats *s, struct sl_dest *d, uint16_t status, enum sl_flag flag)
{
	if (SL_LIKELY(d->last && d->last->status == status && d->last->flag == flag))
		return d->last;
	return sl_dest_series_slow_(s, d, status, flag);
}

void sl_stat_bytes(struct sl_stat_histogram *h, uint64_t bytes);
void sl_stat_duration(struct sl_stat_histogram *h, sl_nsec d);

/* ---- text, for the readers (stats_text.c) ---- */

struct sl_buf;
struct sl_stats_text {
	const struct sl_stats *const *workers;
	size_t worker_count;
	bool both_reporters; /* outbound traffic also as the destination would report it: there is no other proxy that does */
	sl_str filter; /* only families whose name contains it; empty: all */
};
/* Prometheus' text format 0.0.4: everything above summed over the workers. */
void sl_stats_prometheus(const struct sl_stats_text *t, struct sl_buf *out);
