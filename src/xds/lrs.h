#pragma once
/*
 * Load reports (envoy.service.load_stats.v3), both ends, without I/O: what proxies counted since their last report, per cluster and,
 * where asked for, per endpoint; and any number of named counts beside, which carry what the judge needs (deduplicated requests and
 * events per split) and what a local guard did.
 *
 * Reports are never repeated: what was counted in one and lost with its connection is gone, on both sides of a comparison alike.
 *
 * Ownership: a decoded report lives in the arena it was decoded into; an encoded one is the caller's buffer.       Threads: values.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/diag.h"
#include "base/units.h"

/*
 * The names between sluice's own proxies and sluiced.
 *   judged  first attempts judged (count), and of those the failures, once per source connection and 1 s burst (total)
 *   slow    the same for "slower than stable's running p95": judged attempts, and slow ones
 *   guard   on the cluster whose share the proxy's guard took away: count 1 in every report while tripped, total = the guard's generation
 *   guard_why/N  beside it, count 1: N is the number of enum sl_guard_reason
 */
#define SL_LOAD_JUDGED SL_STR("sluice.judged")
#define SL_LOAD_SLOW SL_STR("sluice.slow")
#define SL_LOAD_GUARD SL_STR("sluice.guard")
#define SL_LOAD_GUARD_WHY "sluice.guard_why/" /* and a decimal number */

struct sl_load_metric {
	sl_str name;    /* "sluice.…" by convention */
	uint64_t count; /* requests finished with this metric since the last report */
	double total;   /* sum of the metric's values over those requests */
};

struct sl_load_endpoint {
	sl_str address; /* numeric */
	uint32_t port;
	uint64_t issued, ok, error; /* since the last report */
	uint64_t in_flight;         /* now */
	struct sl_load_metric *metrics;
	size_t metric_count;
};

struct sl_load_cluster {
	sl_str cluster;
	uint64_t issued, ok, error; /* since the last report */
	uint64_t dropped;   /* refused here before any endpoint was picked (circuit breaker, no endpoint) */
	uint64_t in_flight; /* now */
	struct sl_load_metric *metrics;
	size_t metric_count;
	struct sl_load_endpoint *endpoints;
	size_t endpoint_count;
};

struct sl_load_report {
	sl_str node;      /* filled by decode where the message names it (the first of a stream does) */
	sl_nsec interval; /* that the counts stand for */
	struct sl_load_cluster *clusters;
	size_t cluster_count;
};

/* What the server asks for, once per stream. */
struct sl_load_wish {
	sl_nsec interval;
	bool endpoints;    /* counts per endpoint too */
	bool all_clusters; /* all; else those of `clusters` */
	sl_str *clusters;
	size_t cluster_count;
};

/* LoadStatsRequest. Clusters that have nothing to tell are the caller's to leave out. `node` empty: not the stream's first. */
void sl_load_report_encode(const struct sl_load_report *report, sl_str node, struct sl_buf *out);
/* Locality and priority are folded: a cluster's counts are sums over them. Errors: SL_ERR_MALFORMED. */
sl_err sl_load_report_decode(sl_str message, struct sl_arena *arena, struct sl_load_report *ret_report);

/* LoadStatsResponse. Errors of decode: SL_ERR_MALFORMED. An interval under 10 ms or absent is read as 10 ms. */
void sl_load_wish_encode(const struct sl_load_wish *wish, struct sl_buf *out);
sl_err sl_load_wish_decode(sl_str message, struct sl_arena *arena, struct sl_load_wish *ret_wish);

/* The metric of that name, or NULL. */
const struct sl_load_metric *sl_load_metric_find(
        const struct sl_load_metric *metrics, size_t count, sl_str name);
