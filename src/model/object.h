#pragma once
/*
 * Reading and changing objects as JSON: names, labels, paths, conditions.
 * Ownership: returned sl_str and json_t are borrowed from the object unless said otherwise.       Threads: one owner while it changes.
 */
#include "base/str.h"
#include "base/units.h"

#include <jansson.h>

/* for (key, value of an object) { }; json_t *value, const char *key. The object must not change meanwhile. */
#define SL_OBJ_FOR(obj, key, value) json_object_foreach ((json_t *)(uintptr_t)(obj), key, value)

/* Empty when absent or not a string. */
sl_str sl_obj_name(const json_t *obj);
sl_str sl_obj_namespace(const json_t *obj);
sl_str sl_obj_uid(const json_t *obj);
sl_str sl_obj_resource_version(const json_t *obj);
sl_str sl_obj_label(const json_t *obj, const char *key);
sl_str sl_obj_annotation(const json_t *obj, const char *key);
int64_t sl_obj_generation(const json_t *obj); /* 0 when absent */

/* Walks "spec.template.metadata" through objects; NULL when anything on the way is absent. Keys with dots cannot be reached. */
json_t *sl_obj_get(const json_t *obj, const char *path);
sl_str sl_obj_get_str(const json_t *obj, const char *path); /* empty when absent */
int64_t sl_obj_get_int(
        const json_t *obj, const char *path, int64_t fallback); /* when absent or not an integer */
bool sl_obj_get_bool(const json_t *obj, const char *path);      /* false when absent */
/* Sets the value at the path, making objects on the way; takes over the reference to `value`. The last segment is replaced. */
void sl_obj_set(json_t *obj, const char *path, json_t *value);

sl_str sl_json_str(const json_t *v); /* a string value's bytes (may hold NULs); empty for anything else */
json_t *sl_json_from_str(sl_str s);  /* new reference; bytes that are not UTF-8 become '?' */
/* Text of a JSON value with sorted keys and no spaces; the caller frees with sl_free. */
char *sl_json_text(const json_t *v);
/* Nesting at most `depth`; scalars are depth 0. */
bool sl_json_depth_ok(const json_t *v, unsigned depth);
/* About the bytes it takes to write: of strings, of names, and one for each value. Its depth has been found bounded. */
size_t sl_json_weight(const json_t *v);

/*
 * Sets status.conditions[type]; lastTransitionTime moves only when `status` changes. True when anything changed.
 * observedGeneration is written when > 0.
 */
struct sl_condition {
	const char *type, *status, *reason, *message; /* status: "True", "False", "Unknown" */
	int64_t observed_generation;
};
bool sl_obj_set_condition(json_t *obj, const struct sl_condition *c, sl_nsec now);
const json_t *sl_obj_condition(const json_t *obj, const char *type); /* NULL when absent */

/* An ownerReference to `owner` (new reference); controller and blockOwnerDeletion true. */
json_t *sl_obj_owner_ref(const json_t *owner);
/* The UID of the controlling owner; empty when there is none. */
sl_str sl_obj_controller_uid(const json_t *obj);
