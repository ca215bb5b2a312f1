#pragma once
/*
 * The mesh snapshot: everything a proxy needs to know, as plain data. `translate` builds it from objects, `xds` carries it from
 * sluiced to the proxies (encode, decode), and the proxy compiles it into its own lookup tables. Names follow Envoy's and Istio's.
 *
 *   listener ──► route config ──► virtual host (by domain) ──► route (first match wins) ──► split ──► cluster ──► endpoint
 *
 * References between parts are by name; sl_mesh_check proves that they resolve. Lists are arrays in the mesh's arena; an absent
 * string is empty. Times are nanoseconds.
 *
 * Ownership: a mesh owns all it points to, through its arena; shared by reference count.
 * Threads: one builder; const once published, then read by any.
 */
#include "base/arena.h"
#include "base/diag.h"
#include "base/units.h"

/* How a text is compared: a header, a query parameter, a method, an authority. */
enum sl_match_kind {
	SL_MATCH_EXACT,
	SL_MATCH_PREFIX,
	SL_MATCH_SUFFIX,
	SL_MATCH_CONTAINS,
	SL_MATCH_REGEX, /* whole text, RE2 syntax */
	SL_MATCH_PRESENT,
};

struct sl_mesh_match {
	enum sl_match_kind kind;
	bool invert;      /* the match holds when the comparison does not */
	bool ignore_case; /* EXACT, PREFIX, SUFFIX, CONTAINS; ASCII */
	sl_str value;     /* empty for PRESENT */
};

struct sl_mesh_field_match {
	sl_str name; /* header names in lower case; ":method", ":authority", ":scheme" as in HTTP/2 */
	struct sl_mesh_match match;
};

enum sl_path_kind {
	SL_PATH_PREFIX,           /* bytewise, as Istio's and Envoy's `prefix` */
	SL_PATH_EXACT,            /* without the query */
	SL_PATH_REGEX,            /* whole path without the query, RE2 syntax */
	SL_PATH_SEPARATED_PREFIX, /* "/a" matches "/a" and "/a/b", not "/ab": Gateway API's PathPrefix */
};

struct sl_mesh_route_match {
	enum sl_path_kind path_kind;
	bool path_ignore_case;
	sl_str path;                         /* "/" with PREFIX matches all */
	struct sl_mesh_field_match *headers; /* all must hold */
	size_t header_count;
	struct sl_mesh_field_match *params; /* query parameters; all must hold */
	size_t param_count;
};

enum sl_header_op_kind { SL_HEADER_SET, SL_HEADER_ADD, SL_HEADER_REMOVE };

struct sl_mesh_header_op {
	enum sl_header_op_kind kind;
	sl_str name;  /* lower case */
	sl_str value; /* empty for REMOVE */
};

struct sl_mesh_header_ops {
	struct sl_mesh_header_op *request, *response;
	size_t request_count, response_count;
};

/*
 * The pre-armed way back: when a proxy's own guard trips for this target, its share goes to `fallback` at once, and stays there until
 * a snapshot brings another generation.
 */
struct sl_mesh_guard {
	sl_str fallback;      /* cluster name; empty = no guard */
	sl_str rollout;       /* "namespace/name" of the Rollout it protects */
	uint64_t generation;  /* a new value re-arms the guard */
	double alpha;         /* bound on false trips of the guard, for each worker; 0 = its default, 0.001 */
	uint32_t refused_run; /* this many refused connections in a row trip it; 0 = off */
	uint32_t failure_run; /* this many failed requests in a row trip it; 0 = off */
};

struct sl_mesh_split {
	sl_str cluster;
	uint32_t weight; /* share of the route's total weight; 0 takes no new requests */
	struct sl_mesh_header_ops headers;
	struct sl_mesh_guard guard;
};

enum sl_retry_on {
	SL_RETRY_CONNECT_FAILURE = 1 << 0, /* nothing was sent: always safe */
	SL_RETRY_REFUSED_STREAM = 1 << 1,
	SL_RETRY_RESET = 1 << 2,
	SL_RETRY_5XX = 1 << 3,
	SL_RETRY_GATEWAY_ERROR = 1 << 4, /* 502, 503, 504 */
	SL_RETRY_STATUS_CODES = 1 << 5,  /* statuses[] */
};

struct sl_mesh_retry {
	uint32_t attempts;       /* beyond the first; 0 = none */
	uint32_t on;             /* enum sl_retry_on, or-ed */
	sl_nsec per_try_timeout; /* 0 = the route's timeout alone */
	uint32_t *statuses;
	size_t status_count;
};

enum sl_route_action { SL_ROUTE_FORWARD, SL_ROUTE_REDIRECT, SL_ROUTE_DIRECT };

struct sl_mesh_redirect {
	sl_str scheme, authority, path, prefix; /* empty = unchanged; path and prefix exclude each other */
	uint32_t port;                          /* 0 = unchanged */
	uint32_t status;                        /* 301, 302, 303, 307, 308 */
};

struct sl_mesh_rewrite {
	sl_str prefix;              /* replaces the matched prefix (PREFIX) or the path (EXACT) */
	sl_str authority;           /* replaces Host */
	sl_str regex, substitution; /* first match of regex in the path is replaced; RE2 syntax, \1 */
};

struct sl_mesh_route {
	sl_str name; /* for logs and config dumps; may be empty */
	struct sl_mesh_route_match match;
	enum sl_route_action action;
	/* FORWARD */
	struct sl_mesh_split *splits; /* at least one */
	size_t split_count;
	sl_nsec timeout; /* whole request, retries included; 0 = none */
	struct sl_mesh_retry retry;
	struct sl_mesh_rewrite rewrite;
	/* REDIRECT */
	struct sl_mesh_redirect redirect;
	/* DIRECT */
	uint32_t direct_status;
	sl_str direct_body;

	struct sl_mesh_header_ops headers;
};

struct sl_mesh_virtual_host {
	sl_str name;
	sl_str *domains; /* "reviews", "reviews:9080", "*.example.com", "*"; lower case; a domain is in one virtual host only */
	size_t domain_count;
	struct sl_mesh_route *routes; /* first match wins */
	size_t route_count;
};

struct sl_mesh_route_config {
	sl_str name;
	struct sl_mesh_virtual_host *hosts;
	size_t host_count;
};

enum sl_listener_protocol { SL_LISTENER_HTTP, SL_LISTENER_TCP };
enum sl_traffic_direction { SL_TRAFFIC_OUTBOUND, SL_TRAFFIC_INBOUND, SL_TRAFFIC_GATEWAY };

struct sl_mesh_listener {
	sl_str name;
	sl_str address; /* numeric IPv4 or IPv6 */
	uint32_t port;  /* 0 = any free port; the proxy reports the one it took */
	enum sl_listener_protocol protocol;
	enum sl_traffic_direction direction;
	sl_str route_config; /* HTTP */
	sl_str tcp_cluster;  /* TCP */
};

enum sl_lb_policy { SL_LB_ROUND_ROBIN, SL_LB_LEAST_REQUEST, SL_LB_RANDOM };
enum sl_health { SL_HEALTH_HEALTHY, SL_HEALTH_UNHEALTHY, SL_HEALTH_DRAINING };

struct sl_mesh_endpoint {
	sl_str address; /* numeric */
	uint32_t port;
	uint32_t weight;       /* >= 1 */
	enum sl_health health; /* DRAINING: finishes what it has, gets nothing new */
	/* for metrics and logs; empty = "unknown" */
	sl_str pod, workload, namespace, app, version;
};

struct sl_mesh_cluster {
	sl_str name;         /* "outbound|9080|v2|reviews.default.svc.cluster.local" */
	sl_str service_host; /* "reviews.default.svc.cluster.local" */
	sl_str service_name, service_namespace;
	sl_str rollout,
	        revision; /* "namespace/name" and pod template hash where a Rollout owns this version; else empty */
	enum sl_lb_policy lb;
	sl_nsec connect_timeout; /* > 0 */
	/* circuit breakers, per proxy; 0 = no limit */
	uint32_t max_connections, max_pending, max_requests, max_retries;
	uint32_t max_requests_per_connection;
	sl_nsec idle_timeout; /* of a pooled connection; 0 = the proxy's default, 1 h */
	struct sl_mesh_endpoint *endpoints;
	size_t endpoint_count;
};

struct sl_mesh {
	struct sl_arena arena;
	uint32_t refs;  /* atomic */
	uint64_t epoch; /* grows by one with every change a control plane publishes */
	struct sl_mesh_listener *listeners;
	size_t listener_count;
	struct sl_mesh_route_config *route_configs;
	size_t route_config_count;
	struct sl_mesh_cluster *clusters;
	size_t cluster_count;
};

struct sl_mesh *sl_mesh_new(void); /* one reference, empty */
struct sl_mesh *sl_mesh_ref(struct sl_mesh *mesh);
void sl_mesh_unref(struct sl_mesh *mesh); /* frees at the last one; NULL is fine; any thread */
SL_CLEANUP_DEFINE(sl_mesh_unref, struct sl_mesh *)

/*
 * Proves what every later stage relies on: names unique, references resolve, a forwarding route has a split and a total weight in
 * 1..2^32-1 or 0, domains unique in their config, ports and statuses in range.
 * Errors: SL_ERR_INVALID, each breach in diag.
 */
sl_err sl_mesh_check(const struct sl_mesh *mesh, struct sl_diag *diag);

/* Same content, epoch aside. */
bool sl_mesh_equal(const struct sl_mesh *a, const struct sl_mesh *b);

/* The same for a part. */
bool sl_mesh_listener_equal(const struct sl_mesh_listener *a, const struct sl_mesh_listener *b);
bool sl_mesh_route_config_equal(const struct sl_mesh_route_config *a, const struct sl_mesh_route_config *b);
bool sl_mesh_cluster_equal(
        const struct sl_mesh_cluster *a, const struct sl_mesh_cluster *b); /* with its endpoints */

/* NULL when absent. Linear: for builders and tests; the data path compiles its own tables. */
const struct sl_mesh_cluster *sl_mesh_cluster_find(const struct sl_mesh *mesh, sl_str name);
const struct sl_mesh_route_config *sl_mesh_route_config_find(const struct sl_mesh *mesh, sl_str name);
