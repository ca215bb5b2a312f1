/* Admission: what turns a client's body into what is stored, the same for every writer. */
#include "control/objects_priv.h"
#include "model/defaults.h"
#include "model/honoured.h"
#include "model/object.h"
#include "model/validate.h"
#include "os/clock.h"

#include <openssl/evp.h>

json_t *sl_metadata(json_t *body)
{
	json_t *metadata = json_object_get(body, "metadata");
	if (!metadata || json_is_null(metadata)) {
		metadata = json_object();
		json_object_set_new(body, "metadata", metadata);
	}
	return json_is_object(metadata) ? metadata : NULL;
}

bool sl_has_finalizer(const json_t *body, const char *name)
{
	size_t i;
	json_t *item;
	json_array_foreach (sl_obj_get(body, "metadata.finalizers"), i, item) {
		if (sl_str_eq_c(sl_json_str(item), name))
			return true;
	}
	return false;
}

bool sl_is_deleting(const json_t *body)
{
	return sl_obj_get_str(body, "metadata.deletionTimestamp").len > 0;
}

const struct sl_kind *sl_kind_of_key(const struct sl_object_key *key)
{
	/* Any version: the store keeps one state per object. */
	const struct sl_kind *all = sl_kind_table;
	for (size_t i = 0; i < SL_KIND_COUNT; i++)
		if (sl_str_eq_c(key->plural, all[i].plural) && sl_str_eq_c(key->group, all[i].group))
			return &all[i];
	return NULL;
}

sl_err sl_admit_namespace(struct sl_objects *os, sl_str ns, struct sl_diag *diag)
{
	if (ns.len == 0)
		return SL_OK;
	const struct sl_object *o =
	        sl_store_latest(os->store, SL_OBJECT_KEY("", "namespaces", SL_STR_NONE, ns));
	if (!o)
		return sl_diag_fail(diag, SL_ERR_NOT_FOUND, NULL, "namespaces",
		        "namespaces \"%.*s\" not found: create it first, or leave the namespace out to use \"default\"",
		        SL_STR_ARG(ns));
	if (sl_is_deleting(o->body))
		return sl_diag_fail(diag, SL_ERR_FORBIDDEN, NULL, NULL,
		        "unable to create new content in namespace %.*s because it is being terminated",
		        SL_STR_ARG(ns));
	return SL_OK;
}

/* metadata.namespace is `ns`, or becomes it. */
static sl_err place(struct sl_op *op, const struct sl_kind *kind, sl_str ns, json_t *body)
{
	json_t *metadata = sl_metadata(body);
	if (!metadata)
		return sl_diag_fail(&op->diag, SL_ERR_BAD_REQUEST, "metadata", "FieldValueTypeInvalid",
		        "must be an object");
	sl_str named = sl_obj_namespace(body);
	if (!kind->namespaced) {
		json_object_del(metadata, "namespace");
		return SL_OK;
	}
	if (ns.len == 0)
		ns = named;
	if (ns.len == 0)
		return sl_diag_fail(&op->diag, SL_ERR_INVALID, "metadata.namespace", "FieldValueRequired",
		        "an object of kind %s lives in a namespace: name one", kind->kind);
	if (named.len && !sl_str_eq(named, ns))
		return sl_diag_fail(&op->diag, SL_ERR_BAD_REQUEST, "metadata.namespace", "FieldValueInvalid",
		        "the namespace of the provided object does not match the namespace sent on the request");
	SL_TRY(sl_admit_namespace(op->os, ns, &op->diag));
	if (named.len == 0)
		json_object_set_new(metadata, "namespace", sl_json_from_str(ns));
	return SL_OK;
}

/* What a name is made of after generateName: no vowels and no look-alikes, as Kubernetes has it. */
static void name_suffix(struct sl_prng *r, char dst[6])
{
	static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";
	for (size_t i = 0; i < 5; i++)
		dst[i] = alphabet[sl_prng_below(r, sizeof(alphabet) - 1)];
	dst[5] = '\0';
}

/* --- rules of single kinds that need more than the object itself, or write it --- */

/* Secret: stringData is for writing only; it becomes data. */
static void fold_string_data(json_t *body)
{
	json_t *plain = json_object_get(body, "stringData");
	if (!json_is_object(plain))
		return;
	json_t *data = json_object_get(body, "data");
	if (!json_is_object(data)) {
		data = json_object();
		json_object_set_new(body, "data", data);
	}
	const char *name;
	json_t *value;
	json_object_foreach (plain, name, value) {
		sl_str text = sl_json_str(value);
		if (!json_is_string(value))
			return; /* validation names it */
		char *encoded = sl_new((text.len + 2) / 3 * 4 + 1);
		EVP_EncodeBlock((unsigned char *)encoded, (const unsigned char *)text.p, (int)text.len);
		json_object_set_new(data, name, json_string(encoded));
		sl_free(encoded);
	}
	json_object_del(body, "stringData");
}

static bool is_core(const struct sl_kind *kind, const char *plural)
{
	return kind->group[0] == '\0' && strcmp(kind->plural, plural) == 0;
}

/* The status an object is born with. */
static void first_status(const struct sl_kind *kind, json_t *body)
{
	if (kind->has_status)
		json_object_del(body, "status");
	if (is_core(kind, "namespaces"))
		json_object_set_new(body, "status", json_pack("{s:s}", "phase", "Active"));
	if (is_core(kind, "pods"))
		json_object_set_new(body, "status", json_pack("{s:s}", "phase", "Pending"));
}

static sl_err kind_rules(struct sl_op *op, const struct sl_kind *kind, const json_t *old, json_t *body)
{
	if (is_core(kind, "secrets"))
		fold_string_data(body);
	if (is_core(kind, "services"))
		return sl_service_admit(op->os, old, body, &op->warnings, &op->diag);
	return SL_OK;
}

/* --- the common path --- */

static enum sl_unknown unknown_of(enum sl_field_validation fields)
{
	switch (fields) {
	case SL_FIELDS_WARN:
		return SL_UNKNOWN_WARN;
	case SL_FIELDS_STRICT:
		return SL_UNKNOWN_ERROR;
	case SL_FIELDS_IGNORE:
		return SL_UNKNOWN_IGNORE;
	}
	return SL_UNKNOWN_WARN;
}

static sl_err decode(struct sl_op *op, const struct sl_kind *kind, const json_t *old, json_t *body)
{
	if (!sl_json_depth_ok(body, SL_OBJECT_DEPTH_MOST))
		return sl_diag_fail(&op->diag, SL_ERR_BAD_REQUEST, NULL, NULL, "nested deeper than %d levels",
		        SL_OBJECT_DEPTH_MOST);
	/* A body is bounded where it is read; what patch after patch adds up to is bounded here. */
	if (sl_json_weight(body) > SL_OBJECT_WEIGHT_MOST)
		return sl_diag_fail(&op->diag, SL_ERR_TOO_BIG, NULL, NULL,
		        "the object would be larger than %d MiB", SL_OBJECT_WEIGHT_MOST >> 20);
	sl_defaults_apply(kind, body);
	SL_TRY(sl_validate(kind, body, unknown_of(op->options.fields), &op->warnings, &op->diag));
	SL_TRY(kind_rules(op, kind, old, body));
	sl_prune(kind, body);
	return SL_OK;
}

/* What an apply wrote down of who owns what; NULL (new reference otherwise) for other writes, whose managedFields do not count. */
static json_t *managed_fields(const struct sl_op *op, const json_t *body)
{
	return op->applying ? json_incref(sl_obj_get(body, "metadata.managedFields")) : NULL;
}

static void set_managed_fields(json_t *body, json_t *managed)
{
	if (managed)
		json_object_set_new(sl_metadata(body), "managedFields", managed);
}

/* Fields that nothing acts on yet stand in a condition; a kind that has no place for one gets a warning at each write. */
static void tell_honoured(struct sl_op *op, const struct sl_kind *kind, json_t *body, sl_nsec now)
{
	if (kind->has_status && sl_honoured_has_condition(kind))
		sl_honoured_condition(kind, body, now);
	else
		sl_honoured_check(kind, body, &op->warnings);
}

sl_err sl_admit_create(
        struct sl_op *op, const struct sl_kind *kind, sl_str ns, json_t *body, struct sl_object_key *ret_key)
{
	char uid[37], suffix[6];
	SL_TRY(place(op, kind, ns, body));
	name_suffix(&op->os->prng, suffix);
	const struct sl_meta_stamp stamp = {
		.uid = sl_str_c(sl_random_uuid(uid)), .suffix = sl_str_c(suffix), .now = sl_clock_real()
	};
	first_status(kind, body);
	json_t *managed = managed_fields(op, body);
	sl_meta_stamp_new(kind, body, &stamp);
	set_managed_fields(body, managed);
	SL_TRY(decode(op, kind, NULL, body));
	tell_honoured(op, kind, body, stamp.now);
	*ret_key = (struct sl_object_key) {
		.group = sl_str_c(kind->group),
		.plural = sl_str_c(kind->plural),
		.ns = sl_obj_namespace(body),
		.name = sl_obj_name(body),
	};
	return SL_OK;
}

/* A finalizer may be taken out of an object that is being deleted, none may be added. */
static sl_err check_finalizers(struct sl_op *op, const struct sl_object *old, const json_t *body)
{
	if (!sl_is_deleting(old->body))
		return SL_OK;
	size_t i;
	json_t *item;
	json_array_foreach (sl_obj_get(body, "metadata.finalizers"), i, item) {
		if (json_is_string(item) && !sl_has_finalizer(old->body, json_string_value(item)))
			return sl_diag_fail(&op->diag, SL_ERR_INVALID, "metadata.finalizers",
			        "FieldValueForbidden",
			        "no new finalizers can be added if the object is being deleted, found new finalizer \"%s\"",
			        json_string_value(item));
	}
	return SL_OK;
}

sl_err sl_admit_update(struct sl_op *op, const struct sl_kind *kind, const struct sl_object *old,
        json_t *body, enum sl_part part)
{
	json_t *managed = managed_fields(op, body);
	sl_meta_carry(kind, old->body, body, part == SL_PART_STATUS);
	set_managed_fields(body, managed);
	SL_TRY(decode(op, kind, old->body, body));
	SL_TRY(sl_validate_update(kind, old->body, body, &op->diag));
	SL_TRY(check_finalizers(op, old, body));
	if (part == SL_PART_SPEC || kind->has_status)
		tell_honoured(op, kind, body, sl_clock_real());
	/* The store writes it; equal to the old one, an unchanged object compares equal. */
	json_object_set(
	        sl_metadata(body), "resourceVersion", sl_obj_get(old->body, "metadata.resourceVersion"));
	return SL_OK;
}
