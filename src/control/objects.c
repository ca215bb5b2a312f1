/* The calls of objects.h: each becomes an sl_op, is admitted, and goes to the store. */
#include "control/objects_priv.h"
#include "model/object.h"
#include "model/patch.h"
#include "os/clock.h"

#include <stdio.h>

/* --- one request --- */

static void op_free(void *arg)
{
	struct sl_op *op = arg;
	sl_object_unref(op->object);
	sl_diag_fini(&op->diag);
	sl_diag_fini(&op->warnings);
	sl_free(op);
}

static void op_finish(struct sl_op *op)
{
	sl_list_remove(&op->link);
	const struct sl_objects_result result = {
		.err = op->err,
		.object = op->err == SL_OK ? op->object : NULL,
		.diag = &op->diag,
		.warnings = &op->warnings,
		.unchanged = op->unchanged,
	};
	if (op->done)
		op->done(op->arg, &result);
	op_free(op);
}

static void on_end(struct sl_loop *loop, struct sl_task *task)
{
	(void)loop;
	op_finish(SL_CONTAINER_OF(task, struct sl_op, task));
}

static struct sl_op *op_new(
        struct sl_objects *os, const struct sl_write_options *options, sl_objects_done_fn done, void *arg)
{
	struct sl_op *op = sl_new0(sizeof(*op));
	op->os = os;
	op->task.fn = on_end;
	if (options)
		op->options = *options;
	op->done = done;
	op->arg = arg;
	sl_list_push(&os->ops, &op->link);
	return op;
}

void sl_op_end(struct sl_op *op, sl_err err, struct sl_object *object)
{
	op->err = err;
	op->object = object;
	sl_loop_defer(op->os->loop, &op->task);
}

static void on_stored(void *arg, sl_err err, struct sl_object *o)
{
	struct sl_op *op = arg;
	op->err = err;
	if (o)
		op->object = sl_object_ref(o);
	else
		sl_diag_add(&op->diag, NULL, NULL, "the store could not write: %s",
		        sl_store_last_failure(op->os->store));
	op_finish(op);
}

/* The store's own refusals, in words. */
static sl_err refused(struct sl_op *op, sl_err err)
{
	if (err == SL_ERR_CONFLICT)
		sl_diag_add(&op->diag, NULL, NULL,
		        "the object has been modified; please apply your changes to the latest version and try again");
	return err;
}

/* --- starting and stopping --- */

static void make_namespace(struct sl_objects *os, const char *name)
{
	if (sl_store_latest(os->store, SL_OBJECT_KEY("", "namespaces", SL_STR_NONE, sl_str_c(name))))
		return;
	json_t *body = json_pack(
	        "{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "Namespace", "metadata", "name", name);
	sl_objects_create(os, SL_STR_NONE, body, NULL, NULL, NULL);
}

sl_err sl_objects_new(
        struct sl_objects **ret_objects, const struct sl_objects_options *options, struct sl_diag *diag)
{
	SL_CLEANUP(sl_objects_free) struct sl_objects *os = sl_new0(sizeof(*os));
	os->loop = options->loop;
	os->store = options->store;
	os->source = sl_strdup(options->event_source ? options->event_source : "sluiced");
	os->events_kept = options->events_kept ? options->events_kept : 2000;
	sl_list_init(&os->ops);
	sl_list_init(&os->gc.checks);
	sl_list_init(&os->recorder.oldest);
	sl_prng_seed_secure(&os->prng);
	SL_TRY(sl_service_seed(options->data_dir, &os->address_seed, diag));
	SL_TRY(sl_gc_start(os));
	SL_TRY(sl_recorder_start(os));
	/* istio-system: Istio's root namespace, where its mesh-wide objects live. */
	static const char *const namespaces[] = { "default", "kube-system", "istio-system" };
	for (size_t i = 0; i < SL_ARRAY_COUNT(namespaces); i++)
		make_namespace(os, namespaces[i]);
	*ret_objects = SL_STEAL(os);
	return SL_OK;
}

void sl_objects_stop(struct sl_objects *os)
{
	os->stopping = true;
	sl_store_flush(os->store);
	while (!sl_list_empty(&os->ops)) { /* what is left was ended within its call */
		struct sl_op *op = SL_LIST_ENTRY(os->ops.next, struct sl_op, link);
		sl_task_cancel(os->loop, &op->task);
		op_finish(op);
	}
}

void sl_objects_free(struct sl_objects *os)
{
	if (!os)
		return;
	sl_recorder_stop(os);
	sl_gc_stop(os);
	sl_objects_stop(os);
	sl_free(os->source);
	sl_free(os);
}

/* --- create --- */

/* Hands the admitted body over to the store, or answers a dry run. Takes `body` over. */
static void store_new(struct sl_op *op, const struct sl_object_key *key, json_t *body)
{
	struct sl_objects *os = op->os;
	struct sl_store_write write = { .key = *key, .body = body, .done = on_stored, .arg = op };
	sl_err err = SL_OK;
	if (os->stopping)
		err = SL_ERR_CLOSED;
	else if (!op->options.dry_run)
		err = sl_store_create(os->store, &write, NULL);
	else if (sl_store_latest(os->store, key))
		err = SL_ERR_EXISTS;
	if (err != SL_OK) {
		if (op->options.dry_run || os->stopping)
			json_decref(body);
		sl_op_end(op, err, NULL);
		return;
	}
	if (op->options.ret_created)
		*op->options.ret_created = true;
	if (op->options.dry_run)
		sl_op_end(op, SL_OK, sl_object_new(key, body, 0));
}

static void create(struct sl_op *op, sl_str ns, json_t *body)
{
	const struct sl_kind *kind = NULL;
	struct sl_object_key key;
	sl_err err = sl_kind_of(body, &kind, &op->diag);
	if (err == SL_OK)
		err = sl_admit_create(op, kind, ns, body, &key);
	if (err != SL_OK) {
		json_decref(body);
		sl_op_end(op, err, NULL);
		return;
	}
	store_new(op, &key, body);
}

void sl_objects_create(struct sl_objects *os, sl_str ns, json_t *body, const struct sl_write_options *options,
        sl_objects_done_fn done, void *arg)
{
	create(op_new(os, options, done, arg), ns, body);
}

/* --- update --- */

static bool is_namespace(const struct sl_object_key *key)
{
	return sl_str_eq_c(key->plural, "namespaces") && key->group.len == 0;
}

/* The last finalizer is gone from an object marked for deletion: it goes. A namespace goes when it is empty: objects_gc.c. */
static bool is_finished(const struct sl_object_key *key, const json_t *body)
{
	return !is_namespace(key) && sl_is_deleting(body) &&
	       json_array_size(sl_obj_get(body, "metadata.finalizers")) == 0 &&
	       !sl_obj_get(body, "metadata.deletionGracePeriodSeconds");
}

static sl_err store_removal(struct sl_op *op, const struct sl_object *old)
{
	struct sl_store_write write = {
		.key = old->key, .expect_version = old->resource_version, .done = on_stored, .arg = op
	};
	return sl_store_delete(op->os->store, &write, NULL);
}

/* Hands an admitted body that replaces `old` over to the store. Takes `body` over. */
static void store_changed(struct sl_op *op, const struct sl_object *old, json_t *body, enum sl_part part)
{
	struct sl_objects *os = op->os;
	if (json_equal(old->body, body)) {
		json_decref(body);
		op->unchanged = true;
		sl_op_end(op, SL_OK, sl_object_ref(sl_store_latest(os->store, &old->key)));
		return;
	}
	if (op->options.dry_run) {
		sl_op_end(op, SL_OK, sl_object_new(&old->key, body, old->resource_version));
		return;
	}
	if (os->stopping) {
		json_decref(body);
		sl_op_end(op, SL_ERR_CLOSED, NULL);
		return;
	}
	sl_err err;
	if (is_finished(&old->key, body)) {
		json_decref(body);
		err = store_removal(op, old);
	} else {
		struct sl_store_write write = {
			.key = old->key,
			.body = body,
			.expect_version = old->resource_version,
			.keep_revision = part == SL_PART_SPEC && old->generation != sl_obj_generation(body),
			.done = on_stored,
			.arg = op,
		};
		err = sl_store_update(os->store, &write, NULL);
	}
	if (err != SL_OK)
		sl_op_end(op, refused(op, err), NULL);
}

/* The caller's preconditions, and the resourceVersion that the body itself names. */
static sl_err check_expected(struct sl_op *op, const struct sl_object *old, const json_t *body)
{
	uint64_t version = op->options.expect_version;
	sl_str named = body ? sl_obj_resource_version(body) : SL_STR_NONE;
	if (!version && named.len && !sl_str_eq_c(named, "0") && sl_str_to_u64(named, &version) != SL_OK)
		return sl_diag_fail(&op->diag, SL_ERR_INVALID, "metadata.resourceVersion",
		        "FieldValueInvalid",
		        "\"%.*s\" is no resource version: leave it out, or give the one that was read",
		        SL_STR_ARG(named));
	if (version && version != old->resource_version)
		return refused(op, SL_ERR_CONFLICT);
	sl_str uid = op->options.expect_uid.len || !body ? op->options.expect_uid : sl_obj_uid(body);
	if (uid.len && !sl_str_eq(uid, old->uid))
		return sl_diag_fail(&op->diag, SL_ERR_CONFLICT, NULL, NULL,
		        "Precondition failed: UID in precondition: %.*s, UID in object meta: %.*s",
		        SL_STR_ARG(uid), SL_STR_ARG(old->uid));
	return SL_OK;
}

/* Admits and stores `body` in place of `old`. Takes `body` over. */
static void replace(struct sl_op *op, const struct sl_kind *kind, const struct sl_object *old, json_t *body,
        enum sl_part part)
{
	sl_err err = check_expected(op, old, body);
	if (err == SL_OK)
		err = sl_admit_update(op, kind, old, body, part);
	if (err != SL_OK) {
		json_decref(body);
		sl_op_end(op, err, NULL);
		return;
	}
	store_changed(op, old, body, part);
}

/* The body must be of the kind, and carry the name, that the key says. */
static sl_err check_identity(
        struct sl_op *op, const struct sl_kind *kind, const struct sl_object_key *key, json_t *body)
{
	const struct sl_kind *body_kind = NULL;
	SL_TRY(sl_kind_of(body, &body_kind, &op->diag));
	if (body_kind != kind)
		return sl_diag_fail(&op->diag, SL_ERR_BAD_REQUEST, "kind", "FieldValueInvalid",
		        "the object in the request is a %s, the URL names a %s", body_kind->kind, kind->kind);
	json_t *metadata = sl_metadata(body);
	if (!metadata)
		return sl_diag_fail(&op->diag, SL_ERR_BAD_REQUEST, "metadata", "FieldValueTypeInvalid",
		        "must be an object");
	if (!json_object_get(metadata, "name"))
		json_object_set_new(metadata, "name", sl_json_from_str(key->name));
	if (!sl_str_eq(sl_obj_name(body), key->name))
		return sl_diag_fail(&op->diag, SL_ERR_BAD_REQUEST, "metadata.name", "FieldValueInvalid",
		        "the name of the object (%.*s) does not match the name on the URL (%.*s)",
		        SL_STR_ARG(sl_obj_name(body)), SL_STR_ARG(key->name));
	if (kind->namespaced && !json_object_get(metadata, "namespace"))
		json_object_set_new(metadata, "namespace", sl_json_from_str(key->ns));
	if (!sl_str_eq(sl_obj_namespace(body), key->ns))
		return sl_diag_fail(&op->diag, SL_ERR_BAD_REQUEST, "metadata.namespace", "FieldValueInvalid",
		        "the namespace of the object (%.*s) does not match the namespace on the request (%.*s)",
		        SL_STR_ARG(sl_obj_namespace(body)), SL_STR_ARG(key->ns));
	return SL_OK;
}

static void update(struct sl_op *op, const struct sl_object_key *key, json_t *body, enum sl_part part)
{
	const struct sl_kind *kind = sl_kind_of_key(key);
	const struct sl_object *old = sl_store_latest(op->os->store, key);
	sl_err err = !kind || (part == SL_PART_STATUS && !kind->has_status)
	                     ? SL_ERR_NOT_FOUND
	                     : check_identity(op, kind, key, body);
	if (err == SL_OK && !old) {
		if (op->options.upsert && part == SL_PART_SPEC) {
			create(op, key->ns, body);
			return;
		}
		err = SL_ERR_NOT_FOUND;
	}
	if (err != SL_OK) {
		json_decref(body);
		sl_op_end(op, err, NULL);
		return;
	}
	replace(op, kind, old, body, part);
}

void sl_objects_update(struct sl_objects *os, const struct sl_object_key *key, json_t *body,
        const struct sl_write_options *options, sl_objects_done_fn done, void *arg)
{
	update(op_new(os, options, done, arg), key, body, SL_PART_SPEC);
}

void sl_objects_update_status(struct sl_objects *os, const struct sl_object_key *key, json_t *body,
        const struct sl_write_options *options, sl_objects_done_fn done, void *arg)
{
	update(op_new(os, options, done, arg), key, body, SL_PART_STATUS);
}

void sl_objects_update_scale(struct sl_objects *os, const struct sl_object_key *key, json_t *scale,
        const struct sl_write_options *options, sl_objects_done_fn done, void *arg)
{
	struct sl_op *op = op_new(os, options, done, arg);
	const struct sl_kind *kind = sl_kind_of_key(key);
	const struct sl_object *old = sl_store_latest(os->store, key);
	json_t *body = NULL;
	sl_err err = SL_ERR_NOT_FOUND;
	if (kind && kind->has_scale && old) {
		err = check_expected(op, old, scale);
		if (err == SL_OK)
			err = sl_scale_set(old, scale, &body, &op->diag);
	}
	json_decref(scale);
	if (err != SL_OK)
		sl_op_end(op, err, NULL);
	else
		replace(op, kind, old, body, SL_PART_SPEC);
}

/* --- patch --- */

static sl_err apply_patch(struct sl_op *op, const struct sl_kind *kind, enum sl_patch_type type,
        const json_t *doc, const json_t *patch, json_t **ret_doc)
{
	char now[21];
	switch (type) {
	case SL_PATCH_JSON:
		return sl_patch_json(doc, patch, ret_doc, &op->diag);
	case SL_PATCH_MERGE:
		return sl_patch_merge(doc, patch, ret_doc, &op->diag);
	case SL_PATCH_STRATEGIC:
		return sl_patch_strategic(kind, doc, patch, ret_doc, &op->diag);
	case SL_PATCH_APPLY: {
		const struct sl_apply how = {
			.manager = op->options.manager,
			.time = sl_str_c(sl_time_format(now, sl_clock_real())),
			.force = op->options.force,
		};
		return sl_patch_apply(kind, doc, patch, &how, ret_doc, &op->diag);
	}
	}
	return SL_ERR_INTERNAL;
}

/* Apply creates what is not there. */
static void apply_new(
        struct sl_op *op, const struct sl_kind *kind, const struct sl_object_key *key, json_t *applied)
{
	json_t *body = NULL;
	sl_err err = sl_admit_namespace(op->os, key->ns, &op->diag);
	if (err == SL_OK)
		err = check_identity(op, kind, key, applied);
	if (err == SL_OK)
		err = apply_patch(op, kind, SL_PATCH_APPLY, NULL, applied, &body);
	json_decref(applied);
	if (err != SL_OK)
		sl_op_end(op, err, NULL);
	else
		create(op, key->ns, body);
}

static void patch_scale(struct sl_op *op, const struct sl_kind *kind, const struct sl_object *old,
        enum sl_patch_type type, const json_t *patch)
{
	json_t *scale = sl_scale_of(kind, old), *patched = NULL, *body = NULL;
	sl_err err = type == SL_PATCH_JSON    ? sl_patch_json(scale, patch, &patched, &op->diag)
	             : type == SL_PATCH_APPLY ? SL_ERR_UNSUPPORTED
	                                      : sl_patch_merge(scale, patch, &patched, &op->diag);
	if (err == SL_OK)
		err = check_expected(op, old, patched);
	if (err == SL_OK)
		err = sl_scale_set(old, patched, &body, &op->diag);
	json_decref(scale);
	json_decref(patched);
	if (err != SL_OK)
		sl_op_end(op, err, NULL);
	else
		replace(op, kind, old, body, SL_PART_SPEC);
}

static bool has_subresource(const struct sl_kind *kind, const char *subresource)
{
	return subresource[0] == '\0' || (kind->has_status && strcmp(subresource, "status") == 0) ||
	       (kind->has_scale && strcmp(subresource, "scale") == 0);
}

void sl_objects_patch(struct sl_objects *os, const struct sl_object_key *key, const char *subresource,
        enum sl_patch_type type, json_t *patch, const struct sl_write_options *options,
        sl_objects_done_fn done, void *arg)
{
	struct sl_op *op = op_new(os, options, done, arg);
	const struct sl_kind *kind = sl_kind_of_key(key);
	const struct sl_object *old = sl_store_latest(os->store, key);
	op->applying = type == SL_PATCH_APPLY;
	if (kind && !old && type == SL_PATCH_APPLY && subresource[0] == '\0') {
		apply_new(op, kind, key, patch);
		return;
	}
	if (!kind || !old || !has_subresource(kind, subresource)) {
		json_decref(patch);
		sl_op_end(op, SL_ERR_NOT_FOUND, NULL);
		return;
	}
	if (strcmp(subresource, "scale") == 0) {
		patch_scale(op, kind, old, type, patch);
		json_decref(patch);
		return;
	}
	json_t *body = NULL;
	sl_err err = apply_patch(op, kind, type, old->body, patch, &body);
	json_decref(patch);
	if (err == SL_OK)
		err = check_identity(op, kind, key, body);
	if (err != SL_OK) {
		json_decref(body);
		sl_op_end(op, err, NULL);
		return;
	}
	replace(op, kind, old, body, subresource[0] ? SL_PART_STATUS : SL_PART_SPEC);
}

/* --- modify --- */

struct modification {
	struct sl_objects *os;
	char *group, *plural, *ns, *name;
	struct sl_object_key key;
	bool status, declined;
	sl_objects_modify_fn fn;
	sl_objects_done_fn done;
	void *arg;
};

static void modification_free(struct modification *m)
{
	sl_free(m->group);
	sl_free(m->plural);
	sl_free(m->ns);
	sl_free(m->name);
	sl_free(m);
}

static void modify_once(struct modification *m);

static void on_modified(void *arg, const struct sl_objects_result *result)
{
	struct modification *m = arg;
	if (result->err == SL_ERR_CONFLICT &&
	        !m->declined) { /* only a back-end with other writers gets here */
		modify_once(m);
		return;
	}
	if (m->done)
		m->done(m->arg, result);
	modification_free(m);
}

static void modify_once(struct modification *m)
{
	struct sl_op *op = op_new(m->os, NULL, on_modified, m);
	const struct sl_kind *kind = sl_kind_of_key(&m->key);
	struct sl_object *old = sl_store_latest(m->os->store, &m->key);
	if (!kind || !old) {
		sl_op_end(op, SL_ERR_NOT_FOUND, NULL);
		return;
	}
	json_t *body = json_deep_copy(old->body);
	sl_err err = m->fn(m->arg, body);
	m->declined =
	        err != SL_OK; /* its own conflict is an answer: asked again it would say the same, for ever */
	if (err != SL_OK) {
		json_decref(body);
		op->unchanged = err == SL_ERR_AGAIN;
		sl_op_end(op, op->unchanged ? SL_OK : err, op->unchanged ? sl_object_ref(old) : NULL);
		return;
	}
	replace(op, kind, old, body, m->status ? SL_PART_STATUS : SL_PART_SPEC);
}

void sl_objects_modify(struct sl_objects *os, const struct sl_object_key *key, bool status,
        sl_objects_modify_fn fn, sl_objects_done_fn done, void *arg)
{
	struct modification *m = sl_new0(sizeof(*m));
	m->os = os;
	m->group = sl_strndup(key->group.p ? key->group.p : "", key->group.len);
	m->plural = sl_strndup(key->plural.p, key->plural.len);
	m->ns = sl_strndup(key->ns.p ? key->ns.p : "", key->ns.len);
	m->name = sl_strndup(key->name.p, key->name.len);
	m->key = (struct sl_object_key) { sl_str_c(m->group), sl_str_c(m->plural), sl_str_c(m->ns),
		sl_str_c(m->name) };
	m->status = status;
	m->fn = fn;
	m->done = done;
	m->arg = arg;
	modify_once(m);
}

/* --- delete --- */

static bool is_kept_namespace(const struct sl_object_key *key)
{
	return is_namespace(key) &&
	       (sl_str_eq_c(key->name, "default") || sl_str_eq_c(key->name, "kube-system"));
}

/* How long a Pod may take to stop: only one that the runtime has taken on (spec.nodeName) waits for it. */
static int64_t pod_grace(const struct sl_op *op, const struct sl_object *o)
{
	if (!sl_str_eq_c(o->key.plural, "pods") || o->key.group.len ||
	        sl_obj_get_str(o->body, "spec.nodeName").len == 0)
		return 0;
	sl_str phase = sl_obj_get_str(o->body, "status.phase");
	if (sl_str_eq_c(phase, "Succeeded") || sl_str_eq_c(phase, "Failed"))
		return 0;
	return op->options.has_grace && op->options.grace_seconds >= 0
	               ? op->options.grace_seconds
	               : sl_obj_get_int(o->body, "spec.terminationGracePeriodSeconds", 30);
}

static void add_finalizer(json_t *body, const char *name)
{
	json_t *metadata = sl_metadata(body), *list = json_object_get(metadata, "finalizers");
	if (!json_is_array(list)) {
		list = json_array();
		json_object_set_new(metadata, "finalizers", list);
	}
	if (!sl_has_finalizer(body, name))
		json_array_append_new(list, json_string(name));
}

/* The object as it stands while something still holds it; NULL when nothing does. */
static json_t *mark(struct sl_op *op, const struct sl_object *old)
{
	int64_t grace = pod_grace(op, old);
	json_t *body = json_deep_copy(old->body);
	if (op->options.propagation == SL_PROPAGATE_FOREGROUND)
		add_finalizer(body, "foregroundDeletion");
	if (op->options.propagation == SL_PROPAGATE_ORPHAN)
		add_finalizer(body, "orphan");
	if (!grace && !is_namespace(&old->key) &&
	        json_array_size(sl_obj_get(body, "metadata.finalizers")) == 0) {
		json_decref(body);
		return NULL;
	}
	json_t *metadata = sl_metadata(body);
	int64_t grace_before = sl_obj_get_int(body, "metadata.deletionGracePeriodSeconds", INT64_MAX);
	if (!sl_is_deleting(body) || (grace && grace < grace_before)) {
		char when[21];
		sl_time_format(when, sl_clock_real() + SL_SEC(grace));
		json_object_set_new(metadata, "deletionTimestamp", json_string(when));
		if (grace)
			json_object_set_new(metadata, "deletionGracePeriodSeconds", json_integer(grace));
	}
	if (!grace)
		json_object_del(metadata, "deletionGracePeriodSeconds");
	if (is_namespace(&old->key))
		sl_obj_set(body, "status.phase", json_string("Terminating"));
	return body;
}

static void remove_object(struct sl_op *op, const struct sl_object *old)
{
	sl_err err = SL_OK;
	json_t *marked = mark(op, old);
	if (op->options.dry_run) {
		json_decref(marked);
		sl_op_end(op, SL_OK, sl_object_ref(sl_store_latest(op->os->store, &old->key)));
		return;
	}
	if (!marked) {
		err = store_removal(op, old);
	} else if (json_equal(marked, old->body)) { /* asked twice */
		json_decref(marked);
		sl_op_end(op, SL_OK, sl_object_ref(sl_store_latest(op->os->store, &old->key)));
	} else {
		struct sl_store_write write = { .key = old->key,
			.body = marked,
			.expect_version = old->resource_version,
			.done = on_stored,
			.arg = op };
		err = sl_store_update(op->os->store, &write, NULL);
	}
	if (err != SL_OK)
		sl_op_end(op, refused(op, err), NULL);
}

void sl_objects_delete(struct sl_objects *os, const struct sl_object_key *key,
        const struct sl_write_options *options, sl_objects_done_fn done, void *arg)
{
	struct sl_op *op = op_new(os, options, done, arg);
	const struct sl_object *old = sl_store_latest(os->store, key);
	sl_err err = os->stopping ? SL_ERR_CLOSED : old ? check_expected(op, old, NULL) : SL_ERR_NOT_FOUND;
	if (err == SL_OK && is_kept_namespace(key))
		err = sl_diag_fail(
		        &op->diag, SL_ERR_FORBIDDEN, NULL, NULL, "this namespace may not be deleted");
	if (err != SL_OK)
		sl_op_end(op, err, NULL);
	else
		remove_object(op, old);
}

/* --- reading --- */

struct sl_store *sl_objects_store(struct sl_objects *os)
{
	return os->store;
}

struct sl_object *sl_objects_get(struct sl_objects *os, const struct sl_object_key *key)
{
	return sl_store_get(os->store, key);
}

struct sl_object *sl_objects_latest(struct sl_objects *os, const struct sl_object_key *key)
{
	return sl_store_latest(os->store, key);
}

void sl_objects_each(
        struct sl_objects *os, sl_str group, sl_str plural, sl_str ns, sl_store_each_fn each, void *arg)
{
	sl_store_each(os->store, group, plural, ns, each, arg);
}

struct controlled {
	sl_str owner_uid;
	sl_store_each_fn each;
	void *arg;
};

static bool if_controlled(void *arg, struct sl_object *o)
{
	const struct controlled *c = arg;
	return !sl_str_eq(sl_obj_controller_uid(o->body), c->owner_uid) || c->each(c->arg, o);
}

void sl_objects_each_controlled(struct sl_objects *os, sl_str group, sl_str plural, sl_str ns,
        sl_str owner_uid, sl_store_each_fn each, void *arg)
{
	struct controlled c = { .owner_uid = owner_uid, .each = each, .arg = arg };
	sl_store_each_latest(os->store, group, plural, ns, if_controlled, &c);
}

struct replay {
	struct sl_object **objects;
	size_t count, cap;
};

static bool collect(void *arg, struct sl_object *o)
{
	struct replay *r = arg;
	if (r->count == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 64;
		r->objects = sl_resize(r->objects, r->cap * sizeof(struct sl_object *));
	}
	r->objects[r->count++] = sl_object_ref(o);
	return true;
}

sl_err sl_objects_watch(struct sl_objects *os, struct sl_store_watch **ret_watch,
        const struct sl_store_watch_filter *filter, sl_store_event_fn fn, void *arg)
{
	/* Collected first, since `fn` may write. Its writes are told later, so the watch can start before the replay. */
	struct replay r = { 0 };
	sl_store_each(os->store, filter->group, filter->plural, filter->ns, collect, &r);
	sl_err err = sl_store_watch(os->store, ret_watch, filter, 0, fn, arg);
	for (size_t i = 0; i < r.count; i++) {
		if (err == SL_OK)
			fn(arg, &(struct sl_store_event) {
			                .type = SL_STORE_ADDED,
			                .version = r.objects[i]->resource_version,
			                .object = r.objects[i],
			        });
		sl_object_unref(r.objects[i]);
	}
	sl_free(r.objects);
	return err;
}
