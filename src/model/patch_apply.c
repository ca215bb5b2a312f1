/*
 * Server-side apply. Who owns which field is kept in metadata.managedFields as Kubernetes writes it (FieldsV1): "f:NAME" a field,
 * k:{"name":"a"} a list element by its keys, v:"x" an element of a set, "." the element itself; {} is a leaf.
 * Source: sigs.k8s.io/structured-merge-diff, the subset without versions converted into each other.
 */
#include "model/patch.h"

#include "model/object.h"
#include "model/path_priv.h"
#include "model/validate.h"

struct applying {
	struct sl_arena arena; /* key texts */
	struct sl_path path;
	struct sl_diag *diag;
	sl_str other; /* manager whose fields are looked at for conflicts */
	bool force;   /* take conflicting fields from the other manager */
	size_t conflicts;
};

enum list_form { ATOMIC, KEYED, SET };

static enum list_form form_of(const struct sl_schema_field *f)
{
	if (!f || f->shape != SL_SHAPE_LIST)
		return ATOMIC;
	if (f->base == SL_BASE_TYPE && f->rules && (f->rules->map_keys || f->rules->merge_key))
		return KEYED;
	return f->base != SL_BASE_TYPE && (f->flags & SL_FIELD_MERGE) ? SET : ATOMIC;
}

static const char *field_key(struct applying *a, const char *name)
{
	return sl_arena_printf(&a->arena, "f:%s", name).p;
}

static const char *set_key(struct applying *a, const json_t *value)
{
	char *text = sl_json_text(value);
	const char *key = sl_arena_printf(&a->arena, "v:%s", text).p;

	sl_free(text);
	return key;
}

/* k:{...} of a list element: its key fields, a missing one by its default. NULL when it has none of them. */
static const char *element_key(struct applying *a, const struct sl_schema_field *f, const json_t *item)
{
	sl_str rest = sl_str_c(f->rules->map_keys ? f->rules->map_keys : f->rules->merge_key), name;
	const char *key = NULL;
	json_t *keys;
	bool more = true;
	char *text;

	if (!json_is_object(item))
		return NULL;
	keys = json_object();
	while (more) {
		const struct sl_schema_field *k;
		const char *word;
		json_t *value;

		more = sl_str_split(&rest, ',', &name);
		word = sl_arena_str(&a->arena, name).p;
		value = json_object_get(item, word);
		k = sl_schema_field(f->type, name);
		if (value && !json_is_null(value))
			json_object_set(keys, word, value);
		else if (k && k->rules && k->rules->default_json)
			json_object_set_new(
			        keys, word, json_loads(k->rules->default_json, JSON_DECODE_ANY, NULL));
	}
	if (json_object_size(keys)) {
		text = sl_json_text(keys);
		key = sl_arena_printf(&a->arena, "k:%s", text).p;
		sl_free(text);
	}
	json_decref(keys);
	return key;
}

static json_t *find_element(struct applying *a, const struct sl_schema_field *f, const json_t *list,
        const char *key, size_t *ret_at)
{
	json_t *item;
	size_t i;

	json_array_foreach (list, i, item) {
		const char *is = element_key(a, f, item);

		if (!is || strcmp(is, key) != 0)
			continue;
		*ret_at = i;
		return item;
	}
	return NULL;
}

static const struct sl_schema_type *type_of(const struct sl_schema_field *f)
{
	return f && f->shape == SL_SHAPE_ONE ? f->type : NULL;
}

/*
 * Elements of lists must be tellable from each other: each has its key, and none stands twice.
 * Errors: SL_ERR_BAD_REQUEST.
 */
static sl_err check_value(struct applying *a, const struct sl_schema_field *f,
        const struct sl_schema_type *type, const json_t *value)
{
	json_t *seen, *sub;
	const char *key;
	sl_err err = SL_OK;
	size_t i, at;

	SL_OBJ_FOR (value, key, sub) {
		const struct sl_schema_field *m = type ? sl_schema_field(type, sl_str_c(key)) : NULL;

		at = sl_path_key(&a->path, key);
		SL_TRY(check_value(a, m, type_of(m), sub));
		sl_path_pop(&a->path, at);
	}
	if (!json_is_array(value) || !f || form_of(f) == ATOMIC)
		return SL_OK;
	seen = json_object();
	for (i = 0; i < json_array_size(value) && err == SL_OK; i++) {
		sub = json_array_get(value, i);
		key = f && form_of(f) == KEYED ? element_key(a, f, sub) : set_key(a, sub);
		at = sl_path_index(&a->path, i);
		if (!key)
			err = sl_diag_fail(a->diag, SL_ERR_BAD_REQUEST, a->path.text, "FieldValueRequired",
			        "the key \"%s\" is missing",
			        f->rules->map_keys ? f->rules->map_keys : f->rules->merge_key);
		else if (json_object_get(seen, key))
			err = sl_diag_fail(a->diag, SL_ERR_BAD_REQUEST, a->path.text, "FieldValueDuplicate",
			        "the element %s stands twice", key + 2);
		else if (f && form_of(f) == KEYED)
			err = check_value(a, NULL, f->type, sub);
		if (key)
			json_object_set_new(seen, key, json_true());
		sl_path_pop(&a->path, at);
	}
	json_decref(seen);
	return err;
}

/* The fields of a value, as FieldsV1. New reference. */
static json_t *fields_of(struct applying *a, const struct sl_schema_field *f,
        const struct sl_schema_type *type, const json_t *value)
{
	json_t *set = json_object(), *sub;
	const char *key;
	size_t i;

	if (json_is_object(value)) {
		SL_OBJ_FOR (value, key, sub) {
			const struct sl_schema_field *m = type ? sl_schema_field(type, sl_str_c(key)) : NULL;

			if (!json_is_null(sub))
				json_object_set_new(set, field_key(a, key), fields_of(a, m, type_of(m), sub));
		}
	} else if (json_is_array(value) && f && form_of(f) == KEYED) {
		json_array_foreach (value, i, sub) {
			json_t *element;

			key = element_key(a, f, sub);
			if (!key)
				continue;
			element = fields_of(a, NULL, f->type, sub);
			json_object_set_new(element, ".", json_object());
			json_object_set_new(set, key, element);
		}
	} else if (json_is_array(value) && f && form_of(f) == SET) {
		json_array_foreach (value, i, sub)
			json_object_set_new(set, set_key(a, sub), json_object());
	}
	return set;
}

static void merge_value(struct applying *a, const struct sl_schema_field *f, json_t *target, const char *name,
        const json_t *value);

static void merge_object(
        struct applying *a, const struct sl_schema_type *type, json_t *target, const json_t *applied)
{
	const char *key;
	json_t *value;

	SL_OBJ_FOR (applied, key, value)
		merge_value(a, type ? sl_schema_field(type, sl_str_c(key)) : NULL, target, key, value);
}

static void merge_keyed(
        struct applying *a, const struct sl_schema_field *f, json_t *list, const json_t *applied)
{
	json_t *item, *was;
	size_t i, at;

	json_array_foreach (applied, i, item) {
		const char *key = element_key(a, f, item);

		was = key ? find_element(a, f, list, key, &at) : NULL;
		if (was)
			merge_object(a, f->type, was, item);
		else
			json_array_append_new(list, json_deep_copy(item));
	}
}

static void merge_set(json_t *list, const json_t *applied)
{
	json_t *item, *is;
	size_t i, k;

	json_array_foreach (applied, i, item) {
		json_array_foreach (list, k, is)
			if (json_equal(is, item))
				break;
		if (k == json_array_size(list))
			json_array_append_new(list, json_deep_copy(item));
	}
}

static void merge_value(struct applying *a, const struct sl_schema_field *f, json_t *target, const char *name,
        const json_t *value)
{
	json_t *was = json_object_get(target, name);

	if (json_is_null(value))
		return; /* says nothing; fields are given up by leaving them out */
	if (json_is_object(value) && json_is_object(was))
		merge_object(a, type_of(f), was, value);
	else if (json_is_array(value) && json_is_array(was) && f && form_of(f) == KEYED)
		merge_keyed(a, f, was, value);
	else if (json_is_array(value) && json_is_array(was) && f && form_of(f) == SET)
		merge_set(was, value);
	else
		json_object_set_new(target, name, json_deep_copy(value));
}

/* Leaves of `applied` that the other manager owns and that would change: told in the diag, or with force taken from it. */
static void find_conflicts(struct applying *a, const struct sl_schema_type *type, const json_t *live,
        const json_t *applied, json_t *owned);

static void conflict_in_value(struct applying *a, const struct sl_schema_field *f, const json_t *was,
        const json_t *value, json_t *owned, const char *owned_key)
{
	json_t *sub = json_object_get(owned, owned_key), *item, *was_item;
	size_t i, at;

	if (!sub || json_is_null(value) || !was || json_equal(was, value))
		return;
	if (json_is_object(value) && json_is_object(was)) {
		find_conflicts(a, type_of(f), was, value, sub);
	} else if (json_is_array(value) && json_is_array(was) && f && form_of(f) == KEYED) {
		json_array_foreach (value, i, item) {
			const char *key = element_key(a, f, item);
			size_t len = sl_path_index(&a->path, i);

			was_item = key ? find_element(a, f, was, key, &at) : NULL;
			if (was_item && json_object_get(sub, key))
				find_conflicts(a, f->type, was_item, item, json_object_get(sub, key));
			sl_path_pop(&a->path, len);
		}
	} else if (!json_is_array(value) || form_of(f) != SET) {
		if (a->force)
			json_object_del(owned, owned_key);
		else
			sl_diag_add(a->diag, a->path.text, "FieldManagerConflict", "conflict with \"%.*s\"",
			        SL_STR_ARG(a->other));
		a->conflicts++;
	}
}

static void find_conflicts(struct applying *a, const struct sl_schema_type *type, const json_t *live,
        const json_t *applied, json_t *owned)
{
	const char *key;
	json_t *value;

	SL_OBJ_FOR (applied, key, value) {
		const struct sl_schema_field *f = type ? sl_schema_field(type, sl_str_c(key)) : NULL;
		size_t at = sl_path_key(&a->path, key);

		conflict_in_value(a, f, json_object_get(live, key), value, owned, field_key(a, key));
		sl_path_pop(&a->path, at);
	}
}

static bool is_leaf(const json_t *set)
{
	return json_object_size(set) - (json_object_get(set, ".") ? 1 : 0) == 0;
}

static bool is_empty(const json_t *v)
{
	return (json_is_object(v) && json_object_size(v) == 0) ||
	       (json_is_array(v) && json_array_size(v) == 0);
}

static void give_up_fields(struct applying *a, const struct sl_schema_type *type, json_t *live,
        const json_t *before, const json_t *now, const json_t *others);

/* List elements that were applied before, are not now, and belong to nobody else go; of those that stay, fields may. */
static void give_up_elements(struct applying *a, const struct sl_schema_field *f, json_t *list,
        const json_t *before, const json_t *now, const json_t *others)
{
	size_t i = 0;

	while (f && i < json_array_size(list)) {
		json_t *item = json_array_get(list, i);
		const char *key = f && form_of(f) == KEYED ? element_key(a, f, item) : set_key(a, item);
		const json_t *was = key ? json_object_get(before, key) : NULL;

		if (was && !json_object_get(now, key) && !json_object_get(others, key)) {
			json_array_remove(list, i);
			continue;
		}
		if (was && f && form_of(f) == KEYED)
			give_up_fields(a, f->type, item, was, json_object_get(now, key),
			        json_object_get(others, key));
		i++;
	}
}

static void give_up_fields(struct applying *a, const struct sl_schema_type *type, json_t *live,
        const json_t *before, const json_t *now, const json_t *others)
{
	const char *key;
	json_t *value;
	void *next;

	json_object_foreach_safe (live, next, key, value) {
		const struct sl_schema_field *f = type ? sl_schema_field(type, sl_str_c(key)) : NULL;
		const char *name = field_key(a, key);
		const json_t *was = json_object_get(before, name), *is = json_object_get(now, name),
		             *theirs = json_object_get(others, name);

		if (!was)
			continue;
		if (!is_leaf(was) && json_is_object(value))
			give_up_fields(a, type_of(f), value, was, is, theirs);
		else if (!is_leaf(was) && json_is_array(value))
			give_up_elements(a, f, value, was, is, theirs);
		if (!is && !theirs && (is_leaf(was) || is_empty(value)))
			json_object_del(live, key);
	}
}

static void unite(json_t *into, const json_t *set)
{
	const char *key;
	json_t *value;

	SL_OBJ_FOR (set, key, value) {
		json_t *sub = json_object_get(into, key);

		if (sub)
			unite(sub, value);
		else
			json_object_set_new(into, key, json_deep_copy(value));
	}
}

/* The applied object without what nobody owns: identity, and the server's own fields. */
static json_t *ownable(const json_t *applied)
{
	static const char *const meta[] = { "name", "namespace", "uid", "resourceVersion", "generation",
		"creationTimestamp", "deletionTimestamp", "selfLink", "managedFields", "generateName" };
	json_t *copy = json_deep_copy(applied), *m = json_object_get(copy, "metadata");

	json_object_del(copy, "apiVersion");
	json_object_del(copy, "kind");
	for (size_t i = 0; i < SL_ARRAY_COUNT(meta); i++)
		json_object_del(m, meta[i]);
	if (is_empty(m))
		json_object_del(copy, "metadata");
	return copy;
}

/* The entry of this manager's applies, or NULL; the other entries' fields are united in *ret_others (new reference). */
static json_t *own_entry(const json_t *entries, sl_str manager, json_t **ret_others)
{
	json_t *own = NULL, *others = json_object(), *entry;
	size_t i;

	json_array_foreach (entries, i, entry) {
		if (sl_str_eq(sl_obj_get_str(entry, "manager"), manager) &&
		        sl_str_eq(sl_obj_get_str(entry, "operation"), SL_STR("Apply")))
			own = entry;
		else
			unite(others, json_object_get(entry, "fieldsV1"));
	}
	*ret_others = others;
	return own;
}

static void check_others(struct applying *a, const struct sl_kind *kind, const json_t *live,
        const json_t *fields, json_t *entries, const json_t *own)
{
	json_t *entry;
	size_t i;

	json_array_foreach (entries, i, entry) {
		if (entry == own)
			continue;
		a->other = sl_obj_get_str(entry, "manager");
		find_conflicts(a, kind->type, live, fields, json_object_get(entry, "fieldsV1"));
	}
}

/* Drops entries that own nothing any more; an element that only keeps its "." still does. */
static void drop_empty_entries(json_t *entries)
{
	for (size_t i = json_array_size(entries); i-- > 0;)
		if (json_object_size(json_object_get(json_array_get(entries, i), "fieldsV1")) == 0)
			json_array_remove(entries, i);
}

static json_t *new_entry(const json_t *applied, const struct sl_apply *how, json_t *set)
{
	json_t *entry = json_object();

	json_object_set_new(entry, "manager", sl_json_from_str(how->manager));
	json_object_set_new(entry, "operation", json_string("Apply"));
	json_object_set(entry, "apiVersion", json_object_get(applied, "apiVersion"));
	json_object_set_new(entry, "time", sl_json_from_str(how->time));
	json_object_set_new(entry, "fieldsType", json_string("FieldsV1"));
	json_object_set_new(entry, "fieldsV1", set);
	return entry;
}

/* The time of an apply that changed nothing stays what it was, so that it makes no new version. */
static void keep_time(json_t *result, const json_t *doc, json_t *entry, const json_t *old_time)
{
	json_t *time = json_incref(json_object_get(entry, "time"));

	if (old_time) {
		json_object_set(entry, "time", (json_t *)(uintptr_t)old_time);
		if (!json_equal(result, doc))
			json_object_set(entry, "time", time);
	}
	json_decref(time);
}

static sl_err apply(struct applying *a, const struct sl_kind *kind, const json_t *doc, const json_t *applied,
        const struct sl_apply *how, json_t *result, const json_t *fields)
{
	json_t *entries = sl_obj_get(result, "metadata.managedFields"), *own, *others, *set, *entry,
	       *old_time;

	if (!json_is_array(entries)) {
		entries = json_array();
		sl_obj_set(result, "metadata.managedFields", entries);
	}
	own = own_entry(entries, how->manager, &others);
	check_others(a, kind, result, fields, entries, own);
	if (a->conflicts && !how->force) {
		json_decref(others);
		return SL_ERR_CONFLICT;
	}
	set = fields_of(a, NULL, kind->type, fields);
	merge_object(a, kind->type, result, fields);
	if (own)
		give_up_fields(a, kind->type, result, json_object_get(own, "fieldsV1"), set, others);
	old_time = json_incref(json_object_get(own, "time"));
	entry = new_entry(applied, how, set);
	if (own) { /* in its place, so that an apply that changes nothing leaves the list as it is */
		for (size_t i = 0; i < json_array_size(entries); i++)
			if (json_array_get(entries, i) == own) {
				json_array_set(entries, i, entry);
				break;
			}
	} else {
		json_array_append(entries, entry);
	}
	drop_empty_entries(entries);
	keep_time(result, doc, entry, old_time);
	json_decref(entry);
	json_decref(old_time);
	json_decref(others);
	return SL_OK;
}

sl_err sl_patch_apply(const struct sl_kind *kind, const json_t *doc, const json_t *applied,
        const struct sl_apply *how, json_t **ret_doc, struct sl_diag *diag)
{
	struct applying a = { .diag = diag, .force = how->force };
	json_t *result, *fields;
	sl_err err;

	if (!json_is_object(applied) || how->manager.len == 0)
		return sl_diag_fail(diag, SL_ERR_BAD_REQUEST, NULL, "FieldValueRequired",
		        "an object, and fieldManager, are wanted");
	if (!sl_json_depth_ok(applied, SL_OBJECT_DEPTH_MOST - 4) ||
	        (doc && !sl_json_depth_ok(doc, SL_OBJECT_DEPTH_MOST)))
		return sl_diag_fail(diag, SL_ERR_TOO_BIG, NULL, "FieldValueTooLong", "it is nested too deep");
	if (json_array_size(sl_obj_get(applied, "metadata.managedFields")))
		return sl_diag_fail(diag, SL_ERR_BAD_REQUEST, "metadata.managedFields", "FieldValueForbidden",
		        "leave it out of what you apply");
	if (doc && !json_is_object(doc))
		return SL_ERR_BAD_REQUEST;
	fields = ownable(applied);
	result = doc ? json_deep_copy(doc) : json_deep_copy(applied);
	if (!json_is_object(json_object_get(result, "metadata")))
		json_object_set_new(result, "metadata", json_object());
	err = check_value(&a, NULL, kind->type, fields);
	if (err == SL_OK)
		err = apply(&a, kind, doc, applied, how, result, fields);
	if (err == SL_OK)
		*ret_doc = result;
	else
		json_decref(result);
	json_decref(fields);
	sl_arena_fini(&a.arena);
	return err;
}
