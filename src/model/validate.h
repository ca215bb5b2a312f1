#pragma once
/*
 * Is this object right? Checks against the schema (unknown field, type, required, enum, range, name syntax), then the rules across
 * fields that a kind has (kind_rules.c). Each problem goes to the diag with its path, Kubernetes' cause word and the remedy.
 * Cause words: FieldValueUnknown, FieldValueTypeInvalid, FieldValueRequired, FieldValueNotSupported, FieldValueInvalid,
 * FieldValueDuplicate, FieldValueForbidden, FieldValueTooLong, FieldValueTooMany; of warnings also Warning.
 * Ownership: nothing is kept.       Threads: any; pure.
 */
#include "model/kind.h"

enum sl_unknown {
	SL_UNKNOWN_ERROR,
	SL_UNKNOWN_WARN,
	SL_UNKNOWN_IGNORE
}; /* fieldValidation=Strict, Warn, Ignore */

enum { SL_OBJECT_DEPTH_MOST = 64 }; /* of nesting, everywhere in model */
/* Of one object's sl_json_weight: more than a request's body holds, since status and managedFields come on top. */
enum { SL_OBJECT_WEIGHT_MOST = 4 << 20 };

/*
 * The whole object, metadata included. `warnings` (may be NULL) gets unknown fields under SL_UNKNOWN_WARN, and what is allowed
 * but likely not meant.
 * Errors: SL_ERR_BAD_REQUEST (an unknown field under SL_UNKNOWN_ERROR), SL_ERR_INVALID (anything else).
 */
sl_err sl_validate(const struct sl_kind *kind, const json_t *obj, enum sl_unknown unknown,
        struct sl_diag *warnings, struct sl_diag *diag);

/* What an update must not change: name, namespace, uid, and the kind's immutable fields. Errors: SL_ERR_INVALID. */
sl_err sl_validate_update(
        const struct sl_kind *kind, const json_t *old, const json_t *new_obj, struct sl_diag *diag);

/* Removes what the schema does not know, as an API server does on write; open types and `any` values are left alone. */
void sl_prune(const struct sl_kind *kind, json_t *obj);

/* Name syntax. Each returns NULL when right, else what would be right (static text). */
const char *sl_name_dns_label(sl_str s);     /* RFC 1123 label: services, containers, namespaces */
const char *sl_name_dns_subdomain(sl_str s); /* RFC 1123 subdomain: most object names */
const char *sl_name_label_key(sl_str s);     /* "example.com/part" */
const char *sl_name_label_value(sl_str s);
