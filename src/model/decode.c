/* Fills typed structs from JSON by the offsets of the schema tables. */
#include "model/kind.h"
#include "model/object.h"
#include "model/path_priv.h"

struct decoder {
	struct sl_arena *arena;
	struct sl_diag *diag;
	struct sl_path path;
	sl_err err; /* the first; decoding goes on, so that the diag tells all */
};

static void decode_object(struct decoder *d, const struct sl_schema_type *type, const json_t *v, char *dst);

static void fail(struct decoder *d, const char *wanted)
{
	sl_diag_add(d->diag, d->path.text, "FieldValueTypeInvalid", "%s is wanted", wanted);
	d->err = SL_ERR_INVALID;
}

static void decode_string(struct decoder *d, const json_t *v, void *dst)
{
	if (json_is_string(v))
		*(sl_str *)dst = sl_arena_str(d->arena, sl_json_str(v));
	else if (json_is_integer(v)) /* quantities such as cpu: 2 */
		*(sl_str *)dst = sl_arena_printf(d->arena, "%lld", (long long)json_integer_value(v));
	else if (json_is_real(v))
		*(sl_str *)dst = sl_arena_printf(d->arena, "%.15g", json_real_value(v));
	else
		fail(d, "a string");
}

static void decode_enum(struct decoder *d, const struct sl_schema_field *f, const json_t *v, void *dst)
{
	size_t index;

	if (json_is_string(v) &&
	        json_string_length(v) == 0) /* an empty string is absence, as in Go's zero value */
		return;
	if (json_is_string(v) && sl_schema_word_in(f->rules->enums, sl_json_str(v), &index))
		*(int *)dst = (int)index + 1;
	else
		fail(d, f->rules->enums);
}

static void decode_intstr(struct decoder *d, const json_t *v, sl_intstr *dst)
{
	if (json_is_integer(v))
		*dst = (sl_intstr) { .kind = SL_INTSTR_INT, .num = json_integer_value(v) };
	else if (json_is_string(v))
		*dst = (sl_intstr) { .kind = SL_INTSTR_STR, .str = sl_arena_str(d->arena, sl_json_str(v)) };
	else
		fail(d, "an integer or a string");
}

static void decode_scalar(struct decoder *d, const struct sl_schema_field *f, const json_t *v, void *dst)
{
	switch ((enum sl_schema_base)f->base) {
	case SL_BASE_STRING:
		if (f->flags & SL_FIELD_ENUM)
			decode_enum(d, f, v, dst);
		else if (json_is_string(v))
			decode_string(d, v, dst);
		else
			fail(d, "a string");
		break;
	case SL_BASE_QUANTITY:
	case SL_BASE_BYTES:
		decode_string(d, v, dst);
		break;
	case SL_BASE_BOOL:
		if (json_is_boolean(v))
			*(bool *)dst = json_is_true(v);
		else
			fail(d, "true or false");
		break;
	case SL_BASE_INT:
		if (json_is_integer(v))
			*(int64_t *)dst = json_integer_value(v);
		else if (json_is_real(v) && json_real_value(v) > -9e15 && json_real_value(v) < 9e15 &&
		         (double)(int64_t)json_real_value(v) ==
		                 json_real_value(v)) /* 3.0 is an integer too */
			*(int64_t *)dst = (int64_t)json_real_value(v);
		else
			fail(d, "an integer");
		break;
	case SL_BASE_NUMBER:
		if (json_is_number(v))
			*(double *)dst = json_number_value(v);
		else
			fail(d, "a number");
		break;
	case SL_BASE_INTSTR:
		decode_intstr(d, v, dst);
		break;
	case SL_BASE_DURATION:
		if (!json_is_string(v) || sl_duration_parse(sl_json_str(v), dst) != SL_OK)
			fail(d, "a duration such as \"1m30s\"");
		break;
	case SL_BASE_TIME:
		if (!json_is_string(v) || sl_time_parse(sl_json_str(v), dst) != SL_OK)
			fail(d, "a time such as \"2026-01-31T23:59:59Z\"");
		break;
	case SL_BASE_ANY:
		*(const json_t **)dst = v;
		break;
	case SL_BASE_TYPE:
		if (json_is_object(v))
			decode_object(d, f->type, v, dst);
		else
			fail(d, "an object");
		break;
	}
}

static size_t element_size(const struct sl_schema_field *f)
{
	switch ((enum sl_schema_base)f->base) {
	case SL_BASE_STRING:
	case SL_BASE_QUANTITY:
	case SL_BASE_BYTES:
		return sizeof(sl_str);
	case SL_BASE_BOOL:
		return sizeof(bool);
	case SL_BASE_INT:
	case SL_BASE_DURATION:
	case SL_BASE_TIME:
		return sizeof(int64_t);
	case SL_BASE_NUMBER:
		return sizeof(double);
	case SL_BASE_INTSTR:
		return sizeof(sl_intstr);
	case SL_BASE_ANY:
		return sizeof(json_t *);
	case SL_BASE_TYPE:
		return f->type->c_size;
	}
	return 0;
}

static void decode_list(struct decoder *d, const struct sl_schema_field *f, const json_t *v, char *obj)
{
	size_t count = json_array_size(v), size = element_size(f);
	char *items;

	if (!json_is_array(v)) {
		fail(d, "a list");
		return;
	}
	items = sl_arena_zalloc_array(d->arena, count ? count : 1, size);
	for (size_t i = 0; i < count; i++) {
		size_t at = sl_path_index(&d->path, i);

		decode_scalar(d, f, json_array_get(v, i), items + i * size);
		sl_path_pop(&d->path, at);
	}
	*(char **)(void *)(obj + f->offset) = items;
	*(size_t *)(void *)(obj + f->aux_offset) = count;
}

/* An entry is its key and, right behind it, its value: sl_krm_pair, struct sl_krm_X_entry. */
static void decode_map(struct decoder *d, const struct sl_schema_field *f, const json_t *v, char *obj)
{
	size_t count = json_object_size(v), size = sizeof(sl_str) + element_size(f);
	const char *key;
	json_t *value;
	char *entries, *at;

	if (!json_is_object(v)) {
		fail(d, "an object");
		return;
	}
	entries = at = sl_arena_zalloc_array(d->arena, count ? count : 1, size);
	json_object_foreach ((json_t *)(uintptr_t)v, key, value) {
		size_t len = sl_path_entry(&d->path, key);

		*(sl_str *)(void *)at = sl_arena_str_c(d->arena, key);
		if (!json_is_null(value)) /* a key without a value */
			decode_scalar(d, f, value, at + sizeof(sl_str));
		sl_path_pop(&d->path, len);
		at += size;
	}
	*(char **)(void *)(obj + f->offset) = entries;
	*(size_t *)(void *)(obj + f->aux_offset) = count;
}

static void decode_present(struct decoder *d, const struct sl_schema_field *f, const json_t *v, char *obj)
{
	char *member = obj + f->offset;

	if (f->flags & SL_FIELD_RAW) {
		*(const json_t **)(void *)member = v;
		return;
	}
	switch ((enum sl_schema_shape)f->shape) {
	case SL_SHAPE_LIST:
		if (f->base == SL_BASE_ANY)
			*(const json_t **)(void *)member = v;
		else
			decode_list(d, f, v, obj);
		return;
	case SL_SHAPE_MAP:
		if (f->base == SL_BASE_ANY)
			*(const json_t **)(void *)member = v;
		else
			decode_map(d, f, v, obj);
		return;
	case SL_SHAPE_ONE:
		break;
	}
	if (f->base == SL_BASE_TYPE && !(f->flags & SL_FIELD_EMBED)) {
		char *sub = sl_arena_zalloc(d->arena, f->type->c_size);

		*(char **)(void *)member = sub;
		member = sub;
	}
	decode_scalar(d, f, v, member);
	if (f->flags & SL_FIELD_HAS)
		*(bool *)(obj + f->aux_offset) = true;
}

static void decode_absent(struct decoder *d, const struct sl_schema_field *f, char *obj)
{
	json_t *value;

	if (f->flags & SL_FIELD_EMBED) {
		decode_object(d, f->type, NULL, obj + f->offset);
	} else if (f->rules && f->rules->default_json && !(f->flags & SL_FIELD_RAW) &&
	           f->base != SL_BASE_ANY) {
		value = json_loads(f->rules->default_json, JSON_DECODE_ANY, NULL);
		decode_present(d, f, value, obj); /* copies: nothing borrows from it */
		json_decref(value);
		if (f->flags & SL_FIELD_HAS)
			*(bool *)(obj + f->aux_offset) = false;
	}
}

static void decode_object(struct decoder *d, const struct sl_schema_type *type, const json_t *v, char *dst)
{
	for (size_t i = 0; i < type->fields_count; i++) {
		const struct sl_schema_field *f = &type->fields[i];
		const json_t *value;
		size_t at;

		if (f->offset == UINT16_MAX)
			continue;
		value = json_object_get(v, f->name);
		at = sl_path_key(&d->path, f->name);
		if (value && !json_is_null(value))
			decode_present(d, f, value, dst);
		else
			decode_absent(d, f, dst);
		sl_path_pop(&d->path, at);
	}
}

sl_err sl_kind_decode(const struct sl_kind *kind, const json_t *obj, struct sl_arena *arena, void **ret_typed,
        struct sl_diag *diag)
{
	struct decoder d = { .arena = arena, .diag = diag };
	char *typed;

	if (kind->type->c_size == 0)
		return SL_ERR_UNSUPPORTED;
	if (!json_is_object(obj))
		return sl_diag_fail(
		        diag, SL_ERR_INVALID, NULL, "FieldValueTypeInvalid", "an object is wanted");
	typed = sl_arena_zalloc(arena, kind->type->c_size);
	decode_object(&d, kind->type, obj, typed);
	if (d.err == SL_OK)
		*ret_typed = typed;
	return d.err;
}

sl_err sl_krm_decode(
        enum sl_kind_id id, const json_t *obj, struct sl_arena *arena, void **ret_typed, struct sl_diag *diag)
{
	return sl_kind_decode(sl_kind_get(id), obj, arena, ret_typed, diag);
}

sl_str sl_krm_pair_get(const sl_krm_pair *pairs, size_t count, sl_str key)
{
	for (size_t i = 0; i < count; i++)
		if (sl_str_eq(pairs[i].key, key))
			return pairs[i].value;
	return SL_STR_NONE;
}

sl_err sl_intstr_scaled(const sl_intstr *v, int64_t total, bool round_up, int64_t fallback, int64_t *ret_v)
{
	uint64_t percent;

	switch (v->kind) {
	case SL_INTSTR_NONE:
		*ret_v = fallback;
		return SL_OK;
	case SL_INTSTR_INT:
		*ret_v = v->num;
		return SL_OK;
	case SL_INTSTR_STR:
		break;
	}
	if (!sl_str_ends(v->str, SL_STR("%")) ||
	        sl_str_to_u64(sl_str_first(v->str, v->str.len - 1), &percent) != SL_OK || percent > 1000000 ||
	        total < 0 || total > INT32_MAX)
		return SL_ERR_INVALID;
	*ret_v = (int64_t)(((uint64_t)total * percent + (round_up ? 99 : 0)) / 100);
	return SL_OK;
}
