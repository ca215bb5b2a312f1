/* Answers: objects, Tables, and Status objects as Kubernetes words them, so that clients built for it say what people expect. */
#include "control/api_priv.h"
#include "model/object.h"
#include "model/table.h"
#include "os/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* --- bytes --- */

static void count(struct sl_api *api, int status)
{
	size_t hundred = (size_t)status / 100;
	api->requests[hundred < SL_ARRAY_COUNT(api->requests) ? hundred : 0]++;
}

void sl_api_reply_text(struct sl_api_req *r, int status, const char *content_type, sl_str body)
{
	struct sl_http_req *http = r->http;
	if (!http)
		return;
	r->http = NULL;
	count(r->api, status);
	sl_http_reply(http, status, content_type, body);
}

void sl_api_reply_json(struct sl_api_req *r, int status, json_t *body)
{
	char *text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	if (!text)
		abort(); /* a tree built here always serialises */
	sl_api_reply_text(r, status, "application/json", sl_str_c(text));
	free(text);
}

/* --- Status --- */

/* clang-format off */
static const struct {
	sl_err err;
	const char *reason;
} reasons[] = {
	{ SL_ERR_MALFORMED,          "BadRequest" },
	{ SL_ERR_BAD_REQUEST,        "BadRequest" },
	{ SL_ERR_RANGE,              "BadRequest" },
	{ SL_ERR_INVALID,            "Invalid" },
	{ SL_ERR_UNAUTHORIZED,       "Unauthorized" },
	{ SL_ERR_FORBIDDEN,          "Forbidden" },
	{ SL_ERR_NOT_FOUND,          "NotFound" },
	{ SL_ERR_METHOD_NOT_ALLOWED, "MethodNotAllowed" },
	{ SL_ERR_NOT_ACCEPTABLE,     "NotAcceptable" },
	{ SL_ERR_EXISTS,             "AlreadyExists" },
	{ SL_ERR_CONFLICT,           "Conflict" },
	{ SL_ERR_EXPIRED,            "Expired" },
	{ SL_ERR_TOO_BIG,            "RequestEntityTooLarge" },
	{ SL_ERR_UNSUPPORTED,        "UnsupportedMediaType" },
	{ SL_ERR_OVER_BUDGET,        "TooManyRequests" },
	{ SL_ERR_TIMEOUT,            "Timeout" },
	{ SL_ERR_UNAVAILABLE,        "ServiceUnavailable" },
	{ SL_ERR_CLOSED,             "ServiceUnavailable" },
};
/* clang-format on */

static const char *reason_of(sl_err err)
{
	for (size_t i = 0; i < SL_ARRAY_COUNT(reasons); i++)
		if (reasons[i].err == err)
			return reasons[i].reason;
	return "InternalError";
}

static sl_str name_of(const struct sl_api_req *r)
{
	return r->key.name.len ? r->key.name : sl_str_c(r->name);
}

/* "deployments.apps", or "Deployment.apps" for validation errors. */
static void add_resource(struct sl_buf *b, const struct sl_api_req *r, bool as_kind)
{
	sl_buf_c(b, as_kind ? r->kind->kind : r->kind->plural);
	if (r->kind->group[0])
		sl_buf_printf(b, ".%s", r->kind->group);
}

static bool is_unknown_field(const struct sl_diag_item *item)
{
	return sl_str_eq_c(item->reason, "FieldValueUnknown");
}

static void add_item(struct sl_buf *b, const struct sl_diag_item *item)
{
	static const char unknown[] = "unknown field";
	if (is_unknown_field(item) && sl_str_starts(item->text, SL_STR("unknown field"))) {
		/* as Kubernetes has it, so that tools which look for the quoted path find it; the remedy stays behind it */
		sl_buf_printf(b, "%s \"%.*s\"", unknown, SL_STR_ARG(item->field));
		sl_buf_str_add(b, sl_str_skip(item->text, sizeof(unknown) - 1));
		return;
	}
	if (item->field.len)
		sl_buf_printf(b, "%.*s: ", SL_STR_ARG(item->field));
	sl_buf_str_add(b, item->text);
}

static bool is_strict_decoding(const struct sl_diag *diag)
{
	return diag && diag->items && is_unknown_field(diag->items);
}

/* Everything the diag says; several in brackets, as Kubernetes lists them. */
static void add_items(struct sl_buf *b, const struct sl_diag *diag)
{
	bool brackets = diag->count > 1 && !is_strict_decoding(diag);
	if (brackets)
		sl_buf_c(b, "[");
	for (const struct sl_diag_item *item = diag->items; item; item = item->next) {
		add_item(b, item);
		if (item->next)
			sl_buf_c(b, ", ");
	}
	if (diag->dropped)
		sl_buf_printf(b, ", and %zu more", diag->dropped);
	if (brackets)
		sl_buf_c(b, "]");
}

static bool is_apply_conflict(const struct sl_diag *diag)
{
	return diag && diag->items && diag->items->field.len > 0;
}

/* The sentence before the detail. */
static void add_lead(struct sl_buf *b, const struct sl_api_req *r, sl_err err, const struct sl_diag *diag)
{
	bool has_detail = diag && diag->count;
	sl_str name = name_of(r);
	if (err == SL_ERR_INVALID) {
		add_resource(b, r, true);
		sl_buf_printf(b, " \"%.*s\" is invalid%s", SL_STR_ARG(name), has_detail ? ": " : "");
	} else if (err == SL_ERR_BAD_REQUEST && is_strict_decoding(diag)) {
		sl_buf_printf(b, "%s in version \"%.*s\" cannot be handled as a %s: strict decoding error: ",
		        r->kind->kind, SL_STR_ARG(r->route.version), r->kind->kind);
	} else if (err == SL_ERR_CONFLICT && is_apply_conflict(diag)) {
		sl_buf_printf(
		        b, "Apply failed with %zu conflict%s: ", diag->count, diag->count == 1 ? "" : "s");
	} else if (err == SL_ERR_CONFLICT) {
		sl_buf_c(b, "Operation cannot be fulfilled on ");
		add_resource(b, r, false);
		sl_buf_printf(b, " \"%.*s\"%s", SL_STR_ARG(name), has_detail ? ": " : "");
	} else if (err == SL_ERR_FORBIDDEN) {
		add_resource(b, r, false);
		sl_buf_printf(b, " \"%.*s\" is forbidden%s", SL_STR_ARG(name), has_detail ? ": " : "");
	} else if (err == SL_ERR_EXISTS || (err == SL_ERR_NOT_FOUND && !has_detail)) {
		add_resource(b, r, false);
		sl_buf_printf(b, " \"%.*s\" %s", SL_STR_ARG(name), sl_err_text(err));
	} else if (!has_detail) {
		sl_buf_c(b, sl_err_text(err));
	}
}

static json_t *causes_of(const struct sl_diag *diag)
{
	json_t *causes = json_array();
	for (const struct sl_diag_item *item = diag->items; item; item = item->next) {
		json_t *cause = json_pack("{s:o, s:o, s:o}", "reason",
		        item->reason.len ? sl_json_from_str(item->reason) : json_string("FieldValueInvalid"),
		        "message", sl_json_from_str(item->text), "field", sl_json_from_str(item->field));
		json_array_append_new(causes, cause);
	}
	return causes;
}

/* Which object it is about. */
static json_t *details_new(const struct sl_api_req *r, sl_err err, const struct sl_diag *diag)
{
	json_t *details = json_object();
	if (r->kind) {
		if (name_of(r).len)
			json_object_set_new(details, "name", sl_json_from_str(name_of(r)));
		if (r->kind->group[0])
			json_object_set_new(details, "group", json_string(r->kind->group));
		json_object_set_new(details, "kind",
		        json_string(err == SL_ERR_INVALID ? r->kind->kind : r->kind->plural));
	}
	if (diag && diag->items && diag->items->field.len)
		json_object_set_new(details, "causes", causes_of(diag));
	if (err == SL_ERR_OVER_BUDGET)
		json_object_set_new(details, "retryAfterSeconds", json_integer(1));
	return details;
}

json_t *sl_api_status_new(const struct sl_api_req *r, sl_err err, const char *message, struct sl_diag *diag)
{
	return json_pack("{s:s, s:s, s:{}, s:s, s:o, s:s, s:o, s:i}", "kind", "Status", "apiVersion", "v1",
	        "metadata", "status", "Failure", "message", sl_json_from_str(sl_str_c(message)), "reason",
	        reason_of(err), "details", details_new(r, err, diag), "code", sl_err_http(err));
}

static void fail(struct sl_api_req *r, sl_err err, const char *message, struct sl_diag *diag)
{
	if (!r->http)
		return;
	if (err == SL_ERR_OVER_BUDGET)
		sl_http_set_header(r->http, "Retry-After", SL_STR("1"));
	sl_api_reply_json(r, sl_err_http(err), sl_api_status_new(r, err, message, diag));
}

void sl_api_reply_error(struct sl_api_req *r, sl_err err, struct sl_diag *diag)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
	if (r->kind)
		add_lead(&text, r, err, diag);
	if (diag && diag->count)
		add_items(&text, diag);
	if (sl_buf_size(&text) == 0)
		sl_buf_c(&text, sl_err_text(err));
	fail(r, err, sl_buf_cstr(&text), diag);
}

void sl_api_fail(struct sl_api_req *r, sl_err err, const char *fmt, ...)
{
	va_list ap;
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
	va_start(ap, fmt);
	sl_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	fail(r, err, sl_buf_cstr(&text), NULL);
}

/* --- warnings --- */

enum { WARNINGS_MOST_BYTES = 4096 };

/* RFC 9111 section 5.5: 299 - "text", with quotes and backslashes escaped; what no header may hold becomes '?'. */
static void add_warning(struct sl_buf *header, sl_str text)
{
	sl_buf_c(header, sl_buf_size(header) ? ", 299 - \"" : "299 - \"");
	for (size_t i = 0; i < text.len; i++) {
		char c = text.p[i];
		if (c == '"' || c == '\\')
			sl_buf_byte(header, '\\');
		sl_buf_byte(header, (unsigned char)c < 0x20 || c == 0x7f ? '?' : c);
	}
	sl_buf_byte(header, '"');
}

static void add_warnings(struct sl_buf *header, const struct sl_diag *warnings)
{
	for (const struct sl_diag_item *item = warnings->items; item; item = item->next) {
		SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
		add_item(&text, item);
		if (sl_buf_size(header) + sl_buf_size(&text) < WARNINGS_MOST_BYTES)
			add_warning(header, sl_buf_str(&text));
	}
}

void sl_api_warn(struct sl_api_req *r, const struct sl_diag *more)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf header = { 0 };
	add_warnings(&header, &r->warnings);
	add_warnings(&header, more);
	if (r->http && sl_buf_size(&header))
		sl_http_set_header(r->http, "Warning", sl_buf_str(&header));
}

/* --- objects --- */

bool sl_api_needs_conversion(const struct sl_api_req *r)
{
	return !sl_str_eq_c(r->route.version, r->kind->versions[0]);
}

json_t *sl_api_convert(const struct sl_api_req *r, const struct sl_object *o)
{
	if (!sl_api_needs_conversion(r))
		return json_incref(o->body);
	/* The versions of a kind differ in nothing but their name. */
	json_t *body = json_copy(o->body);
	SL_CLEANUP(sl_free) char *version =
	        sl_asprintf("%s/%.*s", r->kind->group, SL_STR_ARG(r->route.version));
	json_object_set_new(body, "apiVersion", json_string(version));
	return body;
}

static json_t *table_of(const struct sl_api_req *r, const struct sl_object *o)
{
	char version[24];
	snprintf(version, sizeof(version), "%" PRIu64, o->resource_version);
	const struct sl_table_opts opts = {
		.include = r->query.include == SL_API_INCLUDE_OBJECT ? SL_TABLE_OBJECT
		           : r->query.include == SL_API_INCLUDE_NONE ? SL_TABLE_NONE
		                                                     : SL_TABLE_METADATA,
		.version = r->format == SL_API_TABLE_V1BETA1 ? "v1beta1" : "v1",
		.resource_version = version,
		.now = sl_clock_real(),
	};
	json_t *table = sl_table_new(r->kind, &opts);
	json_t *body = sl_api_convert(r, o);
	sl_table_add(table, r->kind, body, &opts);
	json_decref(body);
	return table;
}

void sl_api_reply_object(struct sl_api_req *r, int status, const struct sl_object *o)
{
	if (!r->http)
		return;
	if (r->format != SL_API_JSON)
		sl_api_reply_json(r, status, table_of(r, o));
	else if (sl_api_needs_conversion(r))
		sl_api_reply_json(r, status, sl_api_convert(r, o));
	else
		sl_api_reply_text(r, status, "application/json", o->json);
}
