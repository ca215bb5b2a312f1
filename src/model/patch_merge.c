/* RFC 7386 merge patch, and Kubernetes' strategic merge patch. */
#include "model/patch.h"

#include "model/object.h"
#include "model/path_priv.h"
#include "model/validate.h"

#include <stdio.h>

/* target with the patch merged in; a new reference that may share with `target`, which the caller owns alone. */
static void merge_into(json_t *target, const json_t *patch)
{
	const char *key;
	json_t *value;

	SL_OBJ_FOR (patch, key, value) {
		json_t *sub = json_object_get(target, key);

		if (json_is_null(value)) {
			json_object_del(target, key);
		} else if (json_is_object(value)) {
			if (!json_is_object(sub)) {
				sub = json_object();
				json_object_set_new(target, key, sub);
			}
			merge_into(sub, value);
		} else {
			json_object_set_new(target, key, json_deep_copy(value));
		}
	}
}

static sl_err check_patch(const json_t *doc, const json_t *patch, struct sl_diag *diag)
{
	if (!json_is_object(patch))
		return sl_diag_fail(diag, SL_ERR_BAD_REQUEST, NULL, "FieldValueTypeInvalid",
		        "the patch must be a JSON object");
	if (!sl_json_depth_ok(patch, SL_OBJECT_DEPTH_MOST) || !sl_json_depth_ok(doc, SL_OBJECT_DEPTH_MOST))
		return sl_diag_fail(diag, SL_ERR_TOO_BIG, NULL, "FieldValueTooLong",
		        "it is nested deeper than %d levels", (int)SL_OBJECT_DEPTH_MOST);
	return SL_OK;
}

sl_err sl_patch_merge(const json_t *doc, const json_t *patch, json_t **ret_doc, struct sl_diag *diag)
{
	json_t *result;

	SL_TRY(check_patch(doc, patch, diag));
	result = json_is_object(doc) ? json_deep_copy(doc) : json_object();
	merge_into(result, patch);
	*ret_doc = result;
	return SL_OK;
}

/* Strategic merge. */

#define DIRECTIVE "$patch"
#define RETAIN_KEYS "$retainKeys"
#define DELETE_PREFIX "$deleteFromPrimitiveList/"
#define ORDER_PREFIX "$setElementOrder/"

struct strategic {
	struct sl_diag *diag;
	struct sl_path path;
};

static sl_err merge_object(
        struct strategic *s, const struct sl_schema_type *type, json_t *target, const json_t *patch);

static sl_err malformed(struct strategic *s, const char *wanted)
{
	return sl_diag_fail(s->diag, SL_ERR_BAD_REQUEST, s->path.text, "FieldValueInvalid", "%s", wanted);
}

static const char *after(const char *key, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(key, prefix, len) == 0 ? key + len : NULL;
}

static bool is_directive(const char *key)
{
	return strcmp(key, DIRECTIVE) == 0 || strcmp(key, RETAIN_KEYS) == 0 || after(key, DELETE_PREFIX) ||
	       after(key, ORDER_PREFIX);
}

/* Place of an equal element: by its value at merge_key, or as a whole where that is NULL. SIZE_MAX when absent. */
static size_t find(const json_t *list, const json_t *item, const char *merge_key)
{
	const json_t *want = merge_key ? json_object_get(item, merge_key) : item;
	json_t *element;
	size_t i;

	json_array_foreach (list, i, element) {
		const json_t *is = merge_key ? json_object_get(element, merge_key) : element;

		if (want && is && json_equal(is, want))
			return i;
	}
	return SIZE_MAX;
}

/* The value as it stands once nothing was there before: directives resolved, nulls gone. */
static sl_err fresh(
        struct strategic *s, const struct sl_schema_type *type, const json_t *patch, json_t **ret_value)
{
	json_t *value;
	sl_err err;

	if (!json_is_object(patch)) {
		*ret_value = json_deep_copy(patch);
		return SL_OK;
	}
	value = json_object();
	err = merge_object(s, type, value, patch);
	if (err == SL_OK)
		*ret_value = value;
	else
		json_decref(value);
	return err;
}

static sl_err merge_element(
        struct strategic *s, const struct sl_schema_field *f, json_t *list, const json_t *item)
{
	const char *merge_key = f->rules->merge_key;
	sl_str directive = sl_obj_get_str(item, DIRECTIVE);
	size_t at = find(list, item, merge_key);
	json_t *value;

	if (!json_is_object(item) || !json_object_get(item, merge_key)) {
		char wanted[128];

		snprintf(wanted, sizeof(wanted), "each element must be an object with its merge key \"%s\"",
		        merge_key);
		return malformed(s, wanted);
	}
	if (sl_str_eq(directive, SL_STR("delete"))) {
		for (; at != SIZE_MAX; at = find(list, item, merge_key))
			json_array_remove(list, at);
		return SL_OK;
	}
	if (at != SIZE_MAX && json_is_object(json_array_get(list, at)))
		return merge_object(s, f->type, json_array_get(list, at), item);
	SL_TRY(fresh(s, f->type, item, &value));
	json_array_append_new(list, value);
	return SL_OK;
}

/* An element {$patch: replace} stands for the list: what it had is dropped. */
static bool replaces_list(const json_t *patch)
{
	json_t *item;
	size_t i;

	json_array_foreach (patch, i, item)
		if (sl_str_eq(sl_obj_get_str(item, DIRECTIVE), SL_STR("replace")))
			return true;
	return false;
}

static sl_err merge_list(
        struct strategic *s, const struct sl_schema_field *f, json_t *list, const json_t *patch)
{
	bool by_key = f->rules && f->rules->merge_key, replace = by_key && replaces_list(patch);
	json_t *item;
	size_t i;

	if (replace)
		json_array_clear(list);
	json_array_foreach (patch, i, item) {
		size_t at = sl_path_index(&s->path, i);

		if (!by_key) {
			if (find(list, item, NULL) == SIZE_MAX)
				json_array_append_new(list, json_deep_copy(item));
		} else if (!replace || !sl_str_eq(sl_obj_get_str(item, DIRECTIVE), SL_STR("replace"))) {
			SL_TRY(merge_element(s, f, list, item));
		}
		sl_path_pop(&s->path, at);
	}
	return SL_OK;
}

static sl_err merge_value(struct strategic *s, const struct sl_schema_type *type, json_t *target,
        const char *key, const json_t *value)
{
	const struct sl_schema_field *f = type ? sl_schema_field(type, sl_str_c(key)) : NULL;
	const struct sl_schema_type *sub_type = f && f->shape == SL_SHAPE_ONE ? f->type : NULL;
	json_t *was = json_object_get(target, key), *made;

	if (json_is_null(value)) {
		json_object_del(target, key);
		return SL_OK;
	}
	if (json_is_object(value) && json_is_object(was))
		return merge_object(s, sub_type, was, value);
	if (json_is_array(value) && f && f->shape == SL_SHAPE_LIST && (f->flags & SL_FIELD_MERGE)) {
		if (!json_is_array(was)) {
			was = json_array();
			json_object_set_new(target, key, was);
		}
		return merge_list(s, f, was, value);
	}
	SL_TRY(fresh(s, sub_type, value, &made));
	json_object_set_new(target, key, made);
	return SL_OK;
}

static sl_err delete_from_list(struct strategic *s, json_t *target, const char *key, const json_t *values)
{
	json_t *list = json_object_get(target, key), *item;
	size_t i;

	if (!json_is_array(values))
		return malformed(s, "$deleteFromPrimitiveList wants a list");
	json_array_foreach (values, i, item)
		for (size_t at = find(list, item, NULL); at != SIZE_MAX; at = find(list, item, NULL))
			json_array_remove(list, at);
	return SL_OK;
}

static sl_err retain_keys(struct strategic *s, json_t *target, const json_t *keys)
{
	const char *key;
	json_t *value;
	void *next;

	if (!json_is_array(keys))
		return malformed(s, "$retainKeys wants a list of keys");
	json_object_foreach_safe (target, next, key, value) {
		json_t *name = json_string(key);

		if (find(keys, name, NULL) == SIZE_MAX)
			json_object_del(target, key);
		json_decref(name);
	}
	return SL_OK;
}

/*
 * Elements named in `order` come in that order; the others keep their place among what was there before (`before`), going first
 * where the two cannot be compared.
 */
static json_t *ordered(const json_t *list, const json_t *order, const json_t *before, const char *merge_key)
{
	json_t *known = json_array(), *others = json_array(), *result = json_array(), *item;
	size_t i, k = 0, o = 0, at;

	json_array_foreach (order, i, item)
		if ((at = find(list, item, merge_key)) != SIZE_MAX &&
		        find(known, item, merge_key) == SIZE_MAX)
			json_array_append(known, json_array_get(list, at));
	json_array_foreach (list, i, item)
		if (find(order, item, merge_key) == SIZE_MAX)
			json_array_append(others, item);
	while (k < json_array_size(known) || o < json_array_size(others)) {
		json_t *a = json_array_get(known, k), *b = json_array_get(others, o);
		size_t a_at = a ? find(before, a, merge_key) : SIZE_MAX,
		       b_at = b ? find(before, b, merge_key) : SIZE_MAX;
		bool take_known = !b || (a && a_at != SIZE_MAX && b_at != SIZE_MAX && a_at < b_at);

		json_array_append(result, take_known ? a : b);
		*(take_known ? &k : &o) += 1;
	}
	json_decref(known);
	json_decref(others);
	return result;
}

static sl_err set_order(struct strategic *s, const struct sl_schema_type *type, json_t *target,
        const char *key, const json_t *order, const json_t *before)
{
	const struct sl_schema_field *f = type ? sl_schema_field(type, sl_str_c(key)) : NULL;
	json_t *list = json_object_get(target, key);

	if (!json_is_array(order))
		return malformed(s, "$setElementOrder wants a list");
	if (!f || !(f->flags & SL_FIELD_MERGE) || !json_is_array(list))
		return SL_OK;
	json_object_set_new(target, key,
	        ordered(list, order, json_object_get(before, key), f->rules ? f->rules->merge_key : NULL));
	return SL_OK;
}

static sl_err merge_fields(struct strategic *s, const struct sl_schema_type *type, json_t *target,
        const json_t *patch, const json_t *before)
{
	const char *key, *name;
	json_t *value;

	SL_OBJ_FOR (patch, key, value)
		if ((name = after(key, DELETE_PREFIX)))
			SL_TRY(delete_from_list(s, target, name, value));
	SL_OBJ_FOR (patch, key, value) {
		size_t at = sl_path_key(&s->path, key);

		if (!is_directive(key))
			SL_TRY(merge_value(s, type, target, key, value));
		sl_path_pop(&s->path, at);
	}
	SL_OBJ_FOR (patch, key, value)
		if ((name = after(key, ORDER_PREFIX)))
			SL_TRY(set_order(s, type, target, name, value, before));
	return SL_OK;
}

static sl_err merge_object(
        struct strategic *s, const struct sl_schema_type *type, json_t *target, const json_t *patch)
{
	const json_t *directive = json_object_get(patch, DIRECTIVE),
	             *keep = json_object_get(patch, RETAIN_KEYS);
	sl_str word = sl_json_str(directive);
	json_t *before;
	sl_err err;

	if (directive && !sl_str_eq(word, SL_STR("replace")) && !sl_str_eq(word, SL_STR("delete")) &&
	        !sl_str_eq(word, SL_STR("merge")))
		return malformed(s, "$patch must be merge, replace or delete");
	if (sl_str_eq(word, SL_STR("delete"))) {
		json_object_clear(target);
		return SL_OK;
	}
	if (sl_str_eq(word, SL_STR("replace")))
		json_object_clear(target);
	if (keep)
		SL_TRY(retain_keys(s, target, keep));
	/* what the lists were, for $setElementOrder: merging changes them in place */
	before = json_object();
	{
		const char *key, *name;
		json_t *value;

		SL_OBJ_FOR (patch, key, value)
			if ((name = after(key, ORDER_PREFIX)))
				json_object_set_new(
				        before, name, json_deep_copy(json_object_get(target, name)));
	}
	err = merge_fields(s, type, target, patch, before);
	json_decref(before);
	return err;
}

sl_err sl_patch_strategic(const struct sl_kind *kind, const json_t *doc, const json_t *patch,
        json_t **ret_doc, struct sl_diag *diag)
{
	struct strategic s = { .diag = diag };
	json_t *result;
	sl_err err;

	if (!kind->builtin)
		return sl_diag_fail(diag, SL_ERR_UNSUPPORTED, NULL, NULL,
		        "the body of the request was in an unknown format - accepted media types include: "
		        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml");
	SL_TRY(check_patch(doc, patch, diag));
	result = json_is_object(doc) ? json_deep_copy(doc) : json_object();
	err = merge_object(&s, kind->type, result, patch);
	if (err == SL_OK)
		*ret_doc = result;
	else
		json_decref(result);
	return err;
}
