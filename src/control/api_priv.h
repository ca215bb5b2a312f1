#pragma once
/*
 * Inside the API server: one request (struct sl_api_req) and the parts that answer it.
 */
#include "base/list.h"
#include "control/api.h"
#include "control/api_path.h"
#include "loop/loop.h"
#include "model/kind.h"
#include "net/http_server.h"

#define SL_API_BOOKMARKS_EVERY SL_SEC(30)

struct sl_api {
	struct sl_api_options options;
	struct sl_http_server *server;
	char *url;
	struct sl_buf openapi;  /* made at the first request for it */
	struct sl_list watches; /* sl_api_watch.link */
	size_t watch_count;
	struct sl_timer bookmarks; /* sends them to every watch that wants them */
	uint64_t started_at;       /* Unix seconds */
	uint64_t requests[6];      /* answered, by hundreds of the status */
};

/* How the client wants objects. */
enum sl_api_format { SL_API_JSON, SL_API_TABLE, SL_API_TABLE_V1BETA1 };

/*
 * One request. Counted: dispatch holds it, and whoever answers later. `http` is NULL once it has been answered or the client has gone;
 * route, query and key are views into the HTTP request and end with it.
 */
struct sl_api_req {
	struct sl_api *api;
	unsigned refs;
	struct sl_http_req *http;
	void (*on_gone)(struct sl_api_req *r); /* of who answers later; may be NULL */
	void *user;                            /* theirs */
	struct sl_api_route route;
	struct sl_api_query query;
	const struct sl_kind *kind; /* of collections, objects and subresources */
	struct sl_object_key key;   /* of objects and subresources */
	enum sl_api_format format;
	bool is_admin;
	bool created;   /* a write made the object */
	char name[256]; /* for errors, where the URL has none: the name in the body */
	struct sl_diag diag;
	struct sl_diag warnings; /* found before admission */
};

struct sl_api_req *sl_api_req_ref(struct sl_api_req *r);
void sl_api_req_unref(struct sl_api_req *r);
bool sl_api_reads(const struct sl_api_req *r); /* GET or HEAD */

/* --- answers: api_reply.c; each ends the request, and does nothing when the client has gone --- */

/* Any JSON; the reference is taken over. */
void sl_api_reply_json(struct sl_api_req *r, int status, json_t *body);
void sl_api_reply_text(struct sl_api_req *r, int status, const char *content_type, sl_str body);
/*
 * A Status of failure: the HTTP status, reason and message follow from err, the kind and name of the request, and diag (may be NULL),
 * whose items become details.causes.
 */
void sl_api_reply_error(struct sl_api_req *r, sl_err err, struct sl_diag *diag);
/* The same with a message of one's own. */
void sl_api_fail(struct sl_api_req *r, sl_err err, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
/* The Status as JSON (new reference), for watch events too. */
json_t *sl_api_status_new(const struct sl_api_req *r, sl_err err, const char *message, struct sl_diag *diag);
/* Sets the Warning header from r->warnings and these. */
void sl_api_warn(struct sl_api_req *r, const struct sl_diag *more);
/* One object, as Table where that is asked for. */
void sl_api_reply_object(struct sl_api_req *r, int status, const struct sl_object *o);
/* The object in the version of the request: a new reference, or the body itself with one more. */
json_t *sl_api_convert(const struct sl_api_req *r, const struct sl_object *o);
bool sl_api_needs_conversion(const struct sl_api_req *r);

/* --- the parts --- */

void sl_api_discover(struct sl_api_req *r); /* api_discovery.c: everything up to SL_API_RESOURCES */
void sl_api_get(struct sl_api_req *r);      /* api_read.c */
void sl_api_list(struct sl_api_req *r);
void sl_api_watch(struct sl_api_req *r); /* api_watch.c */
void sl_api_write(
        struct sl_api_req *r); /* api_write.c: every other method on collections, objects, status and scale */
void sl_api_log(struct sl_api_req *r); /* api_log.c */
void sl_api_metrics(struct sl_api_req *r);
void sl_api_revisions(struct sl_api_req *r);
void sl_api_stop_watches(struct sl_api *api);
void sl_api_on_bookmarks(struct sl_loop *loop, struct sl_timer *timer);

/* --- selecting: api_read.c --- */

#include "model/selector.h"

struct sl_api_selection {
	struct sl_selector labels;
	struct sl_field_selector fields;
};
/* From the query; in `arena`. False: an error was answered. */
bool sl_api_selection_parse(
        struct sl_api_req *r, struct sl_arena *arena, struct sl_api_selection *ret_selection);
bool sl_api_selected(const struct sl_api_selection *s, const json_t *body);

/* --- bodies: api_body.c --- */

enum sl_body_type {
	SL_BODY_JSON, /* also where no type is given */
	SL_BODY_YAML,
	SL_BODY_PATCH_JSON,
	SL_BODY_PATCH_MERGE,
	SL_BODY_PATCH_STRATEGIC,
	SL_BODY_PATCH_APPLY,
	SL_BODY_PROTOBUF,
	SL_BODY_OTHER,
};
enum sl_body_type sl_api_body_type(sl_str content_type);
/*
 * JSON or, for YAML and apply, YAML. Repeated keys: refused when `strict`, else the last one counts and `warnings` says so.
 * Errors: SL_ERR_BAD_REQUEST.
 */
sl_err sl_api_body_parse(sl_str text, enum sl_body_type type, bool strict, json_t **ret_body,
        struct sl_diag *warnings, struct sl_diag *diag);
