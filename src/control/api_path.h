#pragma once
/*
 * What a request asks for: the path by a table of routes, the query by a table of parameters. Pure; fuzzed.
 * Ownership: results are views into the arena or the input.       Threads: any.
 */
#include "base/arena.h"
#include "base/diag.h"
#include "base/units.h"

enum sl_api_endpoint {
	SL_API_NONE, /* no such path */
	SL_API_ROOT,
	SL_API_VERSION,
	SL_API_HEALTH, /* /healthz, /livez, /readyz */
	SL_API_METRICS,
	SL_API_OPENAPI_V2,
	SL_API_CORE_VERSIONS, /* /api */
	SL_API_GROUPS,        /* /apis */
	SL_API_GROUP,         /* /apis/GROUP */
	SL_API_RESOURCES,     /* /api/VERSION, /apis/GROUP/VERSION */
	SL_API_COLLECTION,    /* .../PLURAL */
	SL_API_OBJECT,        /* .../PLURAL/NAME */
	SL_API_SUBRESOURCE,   /* .../PLURAL/NAME/SUBRESOURCE */
};

struct sl_api_route {
	enum sl_api_endpoint endpoint;
	sl_str group, version; /* decoded, as all below; group is empty for core */
	sl_str ns;             /* empty: not in the path */
	sl_str plural, name, subresource;
};

/*
 * `path` as sent, without the query. A path that matches no route gives SL_API_NONE. One trailing slash is allowed.
 * Errors: SL_ERR_MALFORMED (bad percent-encoding, a slash or NUL in a segment).
 */
sl_err sl_api_route_parse(sl_str path, struct sl_arena *arena, struct sl_api_route *ret_route);

enum sl_api_include {
	SL_API_INCLUDE_DEFAULT,
	SL_API_INCLUDE_METADATA,
	SL_API_INCLUDE_OBJECT,
	SL_API_INCLUDE_NONE
};
enum sl_api_field_validation {
	SL_API_FIELDS_DEFAULT,
	SL_API_FIELDS_WARN,
	SL_API_FIELDS_STRICT,
	SL_API_FIELDS_IGNORE
};
enum sl_api_propagation {
	SL_API_PROPAGATE_DEFAULT,
	SL_API_PROPAGATE_BACKGROUND,
	SL_API_PROPAGATE_FOREGROUND,
	SL_API_PROPAGATE_ORPHAN
};

/* Members stay as they were where the parameter is absent; absent numbers are -1. Unknown parameters are ignored, as Kubernetes does. */
struct sl_api_query {
	sl_str label_selector, field_selector;
	sl_str resource_version, resource_version_match, continue_token;
	sl_str field_manager;
	bool watch, bookmarks, initial_events, force, dry_run;
	int64_t limit, timeout_s, grace_s;
	int include;          /* enum sl_api_include */
	int field_validation; /* enum sl_api_field_validation */
	int propagation;      /* enum sl_api_propagation */

	/* pods/log */
	sl_str container, since_time;
	bool follow, previous, timestamps;
	int64_t tail_lines, limit_bytes, since_s;

	int64_t version; /* revisions: only that one */
};

/* Errors: SL_ERR_BAD_REQUEST (diag names the parameter, the value and what is allowed). */
sl_err sl_api_query_parse(
        sl_str query, struct sl_arena *arena, struct sl_api_query *ret_query, struct sl_diag *diag);
