/* Everything that changes something: create, replace, patch, delete, deletecollection; of objects, their status and their scale. */
#include "control/api_priv.h"
#include "control/objects_priv.h"
#include "model/object.h"

/* --- what the query says --- */

static enum sl_field_validation fields_of(const struct sl_api_query *q)
{
	return q->field_validation == SL_API_FIELDS_STRICT   ? SL_FIELDS_STRICT
	       : q->field_validation == SL_API_FIELDS_IGNORE ? SL_FIELDS_IGNORE
	                                                     : SL_FIELDS_WARN;
}

static struct sl_write_options options_of(struct sl_api_req *r)
{
	return (struct sl_write_options) {
		.dry_run = r->query.dry_run,
		.fields = fields_of(&r->query),
		.manager = r->query.field_manager,
		.force = r->query.force,
		.ret_created = &r->created,
	};
}

/* --- answers --- */

static void on_written(void *arg, const struct sl_objects_result *result)
{
	struct sl_api_req *r = arg;
	if (r->http) {
		sl_api_warn(r, result->warnings);
		if (result->err != SL_OK)
			sl_api_reply_error(r, result->err, result->diag);
		else if (sl_str_eq_c(r->route.subresource, "scale"))
			sl_api_reply_json(r, 200, sl_scale_of(r->kind, result->object));
		else
			sl_api_reply_object(r, r->created ? 201 : 200, result->object);
	}
	sl_api_req_unref(r);
}

/* --- the body --- */

static const char json_only[] =
        "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml";

/* NULL: an error was answered. */
static json_t *parse_body(struct sl_api_req *r, enum sl_body_type type)
{
	json_t *body = NULL;
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	bool strict = fields_of(&r->query) == SL_FIELDS_STRICT;
	sl_err err = sl_api_body_parse(r->http->body, type, strict, &body, &r->warnings, &diag);
	if (err != SL_OK) {
		sl_api_reply_error(r, err, &diag);
		return NULL;
	}
	if (type != SL_BODY_PATCH_JSON && !json_is_object(body)) {
		json_decref(body);
		sl_api_fail(r, SL_ERR_BAD_REQUEST, "the body is not an object");
		return NULL;
	}
	return body;
}

static json_t *parse_object(struct sl_api_req *r)
{
	enum sl_body_type type = sl_api_body_type(sl_http_req_header(r->http, "content-type"));
	if (type == SL_BODY_PROTOBUF) {
		sl_api_fail(r, SL_ERR_UNSUPPORTED,
		        "application/vnd.kubernetes.protobuf is not understood here, only JSON and YAML: write the object to a file "
		        "(kubectl create ... --dry-run=client -o yaml) and use kubectl apply -f or create -f");
		return NULL;
	}
	if (type != SL_BODY_JSON && type != SL_BODY_YAML) {
		sl_api_fail(r, SL_ERR_UNSUPPORTED, json_only);
		return NULL;
	}
	json_t *body = parse_body(r, type);
	if (body)
		sl_str_copy(r->name, sizeof(r->name), sl_obj_name(body));
	return body;
}

/* The body's apiVersion and kind must be the URL's; missing ones are filled in, as typed clients leave them out. */
static bool check_kind(struct sl_api_req *r, json_t *body)
{
	SL_CLEANUP(sl_free)
	char *version = sl_asprintf(
	        "%s%s%.*s", r->kind->group, r->kind->group[0] ? "/" : "", SL_STR_ARG(r->route.version));
	if (!json_object_get(body, "kind"))
		json_object_set_new(body, "kind", json_string(r->kind->kind));
	if (!json_object_get(body, "apiVersion"))
		json_object_set_new(body, "apiVersion", json_string(version));
	if (sl_str_eq_c(sl_obj_get_str(body, "kind"), r->kind->kind) &&
	        sl_str_eq_c(sl_obj_get_str(body, "apiVersion"), version))
		return true;
	sl_api_fail(r, SL_ERR_BAD_REQUEST,
	        "the object provided is a %.*s of %.*s, the URL is for %s of %s: send it to its own URL",
	        SL_STR_ARG(sl_obj_get_str(body, "kind")), SL_STR_ARG(sl_obj_get_str(body, "apiVersion")),
	        r->kind->kind, version);
	return false;
}

/* --- verbs --- */

static void create(struct sl_api_req *r)
{
	json_t *body = parse_object(r);
	if (!body)
		return;
	if (!check_kind(r, body)) {
		json_decref(body);
		return;
	}
	struct sl_write_options options = options_of(r);
	sl_objects_create(
	        r->api->options.objects, r->route.ns, body, &options, on_written, sl_api_req_ref(r));
}

static void replace(struct sl_api_req *r)
{
	json_t *body = parse_object(r);
	if (!body)
		return;
	struct sl_write_options options = options_of(r);
	struct sl_objects *objects = r->api->options.objects;
	bool scale = sl_str_eq_c(r->route.subresource, "scale");
	if (!scale && !check_kind(r, body)) {
		json_decref(body);
		return;
	}
	sl_api_req_ref(r);
	if (scale)
		sl_objects_update_scale(objects, &r->key, body, &options, on_written, r);
	else if (r->route.subresource.len)
		sl_objects_update_status(objects, &r->key, body, &options, on_written, r);
	else
		sl_objects_update(objects, &r->key, body, &options, on_written, r);
}

static bool patch_type(const struct sl_api_req *r, enum sl_body_type type, enum sl_patch_type *ret_type)
{
	switch (type) {
	case SL_BODY_PATCH_JSON:
		*ret_type = SL_PATCH_JSON;
		return true;
	case SL_BODY_PATCH_MERGE:
		*ret_type = SL_PATCH_MERGE;
		return true;
	case SL_BODY_PATCH_STRATEGIC:
		*ret_type = SL_PATCH_STRATEGIC;
		return r->kind->builtin;
	case SL_BODY_PATCH_APPLY:
		*ret_type = SL_PATCH_APPLY;
		return true;
	case SL_BODY_JSON:
	case SL_BODY_YAML:
	case SL_BODY_PROTOBUF:
	case SL_BODY_OTHER:
		return false;
	}
	return false;
}

static void patch(struct sl_api_req *r)
{
	enum sl_body_type body_type = sl_api_body_type(sl_http_req_header(r->http, "content-type"));
	enum sl_patch_type type;
	if (!patch_type(r, body_type, &type)) {
		sl_api_fail(r, SL_ERR_UNSUPPORTED,
		        "the body of the request was in an unknown format - accepted media types include: "
		        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml%s",
		        r->kind->builtin ? ", application/strategic-merge-patch+json" : "");
		return;
	}
	if (type == SL_PATCH_APPLY && r->query.field_manager.len == 0) {
		sl_api_fail(r, SL_ERR_BAD_REQUEST, "fieldManager is required for apply: name who applies");
		return;
	}
	json_t *body = parse_body(r, body_type);
	if (!body)
		return;
	struct sl_write_options options = options_of(r);
	char subresource[16];
	sl_str_copy(subresource, sizeof(subresource), r->route.subresource);
	sl_objects_patch(r->api->options.objects, &r->key, subresource, type, body, &options, on_written,
	        sl_api_req_ref(r));
}

/* --- delete --- */

static sl_err word_to_propagation(sl_str word, struct sl_write_options *options, struct sl_diag *diag)
{
	static const char *const words[] = { "Background", "Foreground", "Orphan" };
	static const enum sl_propagation values[] = { SL_PROPAGATE_BACKGROUND, SL_PROPAGATE_FOREGROUND,
		SL_PROPAGATE_ORPHAN };
	for (size_t i = 0; i < SL_ARRAY_COUNT(words); i++)
		if (sl_str_eq_c(word, words[i])) {
			options->propagation = values[i];
			return SL_OK;
		}
	return sl_diag_fail(diag, SL_ERR_INVALID, "propagationPolicy", "FieldValueNotSupported",
	        "\"%.*s\" is not allowed: give Background, Foreground or Orphan", SL_STR_ARG(word));
}

/* DeleteOptions come in the query, the body, or both; the strings point into `body`. */
static sl_err delete_options(struct sl_api_req *r, const json_t *body, struct sl_write_options *options)
{
	if (r->query.propagation)
		options->propagation =
		        r->query.propagation == SL_API_PROPAGATE_FOREGROUND ? SL_PROPAGATE_FOREGROUND
		        : r->query.propagation == SL_API_PROPAGATE_ORPHAN   ? SL_PROPAGATE_ORPHAN
		                                                            : SL_PROPAGATE_BACKGROUND;
	sl_str policy = sl_obj_get_str(body, "propagationPolicy"),
	       version = sl_obj_get_str(body, "preconditions.resourceVersion");
	if (policy.len)
		SL_TRY(word_to_propagation(policy, options, &r->diag));
	if (sl_obj_get_bool(body, "orphanDependents"))
		options->propagation = SL_PROPAGATE_ORPHAN;
	options->grace_seconds = sl_obj_get_int(body, "gracePeriodSeconds", r->query.grace_s);
	options->has_grace = options->grace_seconds >= 0;
	options->expect_uid = sl_obj_get_str(body, "preconditions.uid");
	if (version.len && sl_str_to_u64(version, &options->expect_version) != SL_OK)
		return sl_diag_fail(&r->diag, SL_ERR_INVALID, "preconditions.resourceVersion",
		        "FieldValueInvalid", "\"%.*s\" is no resource version", SL_STR_ARG(version));
	if (json_array_size(sl_obj_get(body, "dryRun")))
		options->dry_run = true;
	return SL_OK;
}

/* What is marked and stays for now is shown; of what is gone, only that it is. */
static void on_deleted(void *arg, const struct sl_objects_result *result)
{
	struct sl_api_req *r = arg;
	if (!r->http) {
		sl_api_req_unref(r);
		return;
	}
	struct sl_object *left = sl_objects_latest(r->api->options.objects, &r->key);
	if (result->err != SL_OK) {
		sl_api_reply_error(r, result->err, result->diag);
	} else if (left && sl_is_deleting(left->body) && sl_str_eq(left->uid, result->object->uid)) {
		sl_api_reply_object(r, 200, result->object);
	} else {
		json_t *details = json_pack("{s:o, s:s, s:o}", "name", sl_json_from_str(r->key.name), "kind",
		        r->kind->plural, "uid", sl_json_from_str(result->object->uid));
		if (r->kind->group[0])
			json_object_set_new(details, "group", json_string(r->kind->group));
		sl_api_reply_json(r, 200,
		        json_pack("{s:s, s:s, s:{}, s:s, s:o}", "kind", "Status", "apiVersion", "v1",
		                "metadata", "status", "Success", "details", details));
	}
	sl_api_req_unref(r);
}

struct collection {
	struct sl_api_req *r;
	struct sl_api_selection selection;
	struct sl_write_options options;
	size_t left; /* deletes not ended */
	sl_err err;  /* of the first that failed */
};

static void collection_end_one(struct collection *c, sl_err err)
{
	if (err != SL_OK && err != SL_ERR_NOT_FOUND && c->err == SL_OK)
		c->err = err;
	if (--c->left > 0)
		return;
	if (c->err == SL_OK)
		sl_api_reply_json(c->r, 200,
		        json_pack("{s:s, s:s, s:{}, s:s}", "kind", "Status", "apiVersion", "v1", "metadata",
		                "status", "Success"));
	else
		sl_api_reply_error(c->r, c->err, NULL);
	sl_api_req_unref(c->r);
	sl_free(c);
}

static void on_one_deleted(void *arg, const struct sl_objects_result *result)
{
	collection_end_one(arg, result->err);
}

static bool delete_one(void *arg, struct sl_object *o)
{
	struct collection *c = arg;
	if (!sl_api_selected(&c->selection, o->body))
		return true;
	c->left++;
	sl_objects_delete(c->r->api->options.objects, &o->key, &c->options, on_one_deleted, c);
	return true;
}

static void delete_collection(struct sl_api_req *r, const struct sl_write_options *options)
{
	struct collection c = { .r = r, .options = *options };
	if (!sl_api_selection_parse(r, r->http->arena, &c.selection))
		return;
	struct collection *kept = sl_new0(sizeof(*kept));
	*kept = c;
	kept->left = 1; /* our own share: the walk may find nothing */
	sl_api_req_ref(r);
	sl_store_each_latest(sl_objects_store(r->api->options.objects), r->key.group, r->key.plural,
	        r->route.ns, delete_one, kept);
	collection_end_one(kept, SL_OK);
}

static void remove_(struct sl_api_req *r)
{
	json_t *body = NULL;
	if (r->http->body.len) {
		enum sl_body_type type = sl_api_body_type(sl_http_req_header(r->http, "content-type"));
		if (type == SL_BODY_PROTOBUF || type == SL_BODY_OTHER) {
			sl_api_fail(r, SL_ERR_UNSUPPORTED, json_only);
			return;
		}
		body = parse_body(r, type);
		if (!body)
			return;
	}
	struct sl_write_options options = options_of(r);
	if (delete_options(r, body, &options) != SL_OK)
		sl_api_reply_error(r, SL_ERR_INVALID, &r->diag);
	else if (r->route.endpoint == SL_API_COLLECTION)
		delete_collection(r, &options);
	else
		sl_objects_delete(r->api->options.objects, &r->key, &options, on_deleted, sl_api_req_ref(r));
	json_decref(body);
}

/* --- methods --- */

/* clang-format off */
static const struct {
	const char *method;
	bool on_collection, on_object, on_subresource;
	void (*fn)(struct sl_api_req *r);
} methods[] = {
	{ "POST",   true,  false, false, create },
	{ "PUT",    false, true,  true,  replace },
	{ "PATCH",  false, true,  true,  patch },
	{ "DELETE", true,  true,  false, remove_ },
};
/* clang-format on */

void sl_api_write(struct sl_api_req *r)
{
	/* A collection over all namespaces is for reading: nobody means to delete it, and a new object needs its namespace. */
	bool everywhere =
	        r->route.endpoint == SL_API_COLLECTION && r->kind->namespaced && r->route.ns.len == 0;
	for (size_t i = 0; i < SL_ARRAY_COUNT(methods); i++) {
		bool allowed = r->route.endpoint == SL_API_COLLECTION ? methods[i].on_collection
		               : r->route.endpoint == SL_API_OBJECT   ? methods[i].on_object
		                                                      : methods[i].on_subresource;
		if (allowed && !everywhere && sl_str_eq_c(r->http->method, methods[i].method)) {
			methods[i].fn(r);
			return;
		}
	}
	sl_api_fail(r, SL_ERR_METHOD_NOT_ALLOWED, "%.*s is not allowed on %.*s", SL_STR_ARG(r->http->method),
	        SL_STR_ARG(r->http->path));
}
