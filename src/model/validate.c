#include "model/validate_priv.h"

#include "base/buf.h"
#include "base/units.h"
#include "model/object.h"

#include <stdio.h>

static void check_object(struct sl_validator *v, const struct sl_schema_type *type, const json_t *obj);

static void add(struct sl_diag *diag, const char *path, const char *reason, const char *fmt, va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	sl_diag_add(diag, path, reason, "%s", text);
}

void sl_validator_bad(struct sl_validator *v, const char *reason, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(v->diag, v->path.text, reason, fmt, ap);
	va_end(ap);
	v->is_invalid = true;
}

void sl_validator_bad_at(struct sl_validator *v, const char *field, const char *reason, const char *fmt, ...)
{
	size_t at = sl_path_key(&v->path, field);
	va_list ap;

	va_start(ap, fmt);
	add(v->diag, v->path.text, reason, fmt, ap);
	va_end(ap);
	sl_path_pop(&v->path, at);
	v->is_invalid = true;
}

void sl_validator_warn(struct sl_validator *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(v->warnings, v->path.text, "Warning", fmt, ap);
	va_end(ap);
}

static const char *json_word(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "a list";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "an integer";
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	case JSON_NULL:
		return "null";
	}
	return "unknown";
}

static void wrong_type(struct sl_validator *v, const json_t *value, const char *wanted)
{
	if (json_is_string(value))
		sl_validator_bad(v, "FieldValueTypeInvalid", "\"%.40s\" is a string; %s is wanted",
		        json_string_value(value), wanted);
	else
		sl_validator_bad(
		        v, "FieldValueTypeInvalid", "it is %s; %s is wanted", json_word(value), wanted);
}

static void unknown_field(struct sl_validator *v, const struct sl_schema_type *type, const char *key)
{
	const struct sl_schema_field *near = sl_schema_nearest(type, sl_str_c(key));
	struct sl_diag *to = v->unknown == SL_UNKNOWN_ERROR ? v->diag : v->warnings;
	size_t at;

	if (v->unknown == SL_UNKNOWN_IGNORE)
		return;
	v->has_unknown |= v->unknown == SL_UNKNOWN_ERROR;
	at = sl_path_key(&v->path, key);
	if (near)
		sl_diag_add(to, v->path.text, "FieldValueUnknown", "unknown field; did you mean \"%s\"?",
		        near->name);
	else
		sl_diag_add(to, v->path.text, "FieldValueUnknown", "unknown field");
	sl_path_pop(&v->path, at);
}

/* "A, B or C" from "A|B|C". */
static const char *word_list(const char *enums, char dst[256])
{
	sl_str rest = sl_str_c(enums), word;
	size_t len = 0;
	bool more = true;

	while (more && len < 200) {
		more = sl_str_split(&rest, '|', &word);
		len += (size_t)snprintf(dst + len, 256 - len, "%s%.*s",
		        len == 0 ? ""
		        : more   ? ", "
		                 : " or ",
		        (int)(word.len < 50 ? word.len : 50), word.p);
	}
	return dst;
}

static const char *check_scaled(const json_t *value, bool is_duration)
{
	sl_str s = sl_json_str(value);
	sl_nsec d;
	uint64_t n;

	if (json_is_integer(value))
		return json_integer_value(value) < 0 ? "0 or more is wanted" : NULL;
	if (is_duration)
		return sl_str_to_u64(s, &n) == SL_OK || sl_duration_parse(s, &d) == SL_OK
		               ? NULL
		               : "seconds, or a duration such as \"10m\", is wanted";
	if (sl_str_ends(s, SL_STR("%")) && sl_str_to_u64(sl_str_first(s, s.len - 1), &n) == SL_OK)
		return NULL;
	return "a number, or a percentage such as \"25%\", is wanted";
}

static const char *check_port(const json_t *value)
{
	if (json_is_integer(value))
		return json_integer_value(value) >= 1 && json_integer_value(value) <= 65535
		               ? NULL
		               : "1 to 65535 is wanted";
	return sl_name_port(sl_json_str(value));
}

static const char *check_object_name(const struct sl_validator *v, sl_str s)
{
	if (strcmp(v->path.text, "metadata.name") == 0 &&
	        (v->kind->id == SL_KIND_NAMESPACE || v->kind->id == SL_KIND_SERVICE))
		return sl_name_dns_label(s);
	return sl_name_dns_subdomain(s);
}

/* What is wrong with the value's syntax; NULL when right. An empty optional string is absence and is right. */
static const char *check_format(const struct sl_validator *v, const char *format, const json_t *value)
{
	sl_str s = sl_json_str(value);

	if (json_is_string(value) && s.len == 0)
		return NULL;
	if (strcmp(format, "name") == 0)
		return check_object_name(v, s);
	if (strcmp(format, "dns-label") == 0)
		return sl_name_dns_label(s);
	if (strcmp(format, "label-key") == 0)
		return sl_name_label_key(s);
	if (strcmp(format, "labels") == 0)
		return sl_name_label_value(s);
	if (strcmp(format, "port") == 0)
		return check_port(value);
	if (strcmp(format, "port-name") == 0)
		return sl_name_port(s);
	if (strcmp(format, "host-wild") == 0)
		return sl_name_host_wild(s);
	if (strcmp(format, "int-percent") == 0)
		return check_scaled(value, false);
	if (strcmp(format, "int-duration") == 0)
		return check_scaled(value, true);
	return NULL; /* label-keys has nothing to say of values */
}

static void check_range(struct sl_validator *v, const struct sl_schema_field *f, int64_t n, const char *what)
{
	int64_t min = f->rules ? f->rules->min : INT64_MIN, max = f->rules ? f->rules->max : INT64_MAX;

	if (f->base == SL_BASE_INT && !(f->flags & SL_FIELD_INT64)) {
		min = min == INT64_MIN ? INT32_MIN : min;
		max = max == INT64_MAX ? INT32_MAX : max;
	}
	if (n >= min && n <= max)
		return;
	if (max == INT64_MAX || max == INT32_MAX)
		sl_validator_bad(v, "FieldValueInvalid", "%lld%s is too small; %lld or more is wanted",
		        (long long)n, what, (long long)min);
	else if (min == INT64_MIN)
		sl_validator_bad(v, "FieldValueInvalid", "%lld%s is too large; at most %lld is wanted",
		        (long long)n, what, (long long)max);
	else
		sl_validator_bad(v, "FieldValueInvalid", "%lld%s is not allowed; %lld to %lld is wanted",
		        (long long)n, what, (long long)min, (long long)max);
}

static void check_number(struct sl_validator *v, const struct sl_schema_field *f, const json_t *value)
{
	double n = json_number_value(value);

	if (!json_is_number(value))
		wrong_type(v, value, "a number");
	else if (f->rules && (n < (double)f->rules->min || n > (double)f->rules->max))
		sl_validator_bad(v, "FieldValueInvalid", "%g is not allowed; %lld to %lld is wanted", n,
		        (long long)f->rules->min, (long long)f->rules->max);
}

static bool is_base64(sl_str s)
{
	size_t pad = 0;

	if (s.len % 4 != 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (c == '=' && i + 2 >= s.len)
			pad++;
		else if (pad || !((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		                        (c >= '0' && c <= '9') || c == '+' || c == '/'))
			return false;
	}
	return true;
}

static void check_string(struct sl_validator *v, const struct sl_schema_field *f, const json_t *value)
{
	sl_str s = sl_json_str(value);
	sl_nsec t;

	if (!json_is_string(value))
		wrong_type(v, value, "a string");
	else if (f->base == SL_BASE_DURATION && sl_duration_parse(s, &t) != SL_OK)
		sl_validator_bad(v, "FieldValueInvalid",
		        "\"%.40s\" is no duration; a number with a unit such as \"1.5s\" or \"2m\" is wanted",
		        s.p);
	else if (f->base == SL_BASE_TIME && sl_time_parse(s, &t) != SL_OK)
		sl_validator_bad(v, "FieldValueInvalid",
		        "\"%.40s\" is no time; RFC 3339 such as \"2026-01-31T23:59:59Z\" is wanted", s.p);
	else if (f->base == SL_BASE_BYTES && !is_base64(s))
		sl_validator_bad(v, "FieldValueInvalid",
		        "it is not base64; letters, digits, '+', '/' and padding '=' are wanted");
	else if (s.len == 0 && f->shape == SL_SHAPE_ONE && (f->flags & SL_FIELD_NONEMPTY))
		sl_validator_bad(v, "FieldValueRequired", "it is empty; a value is wanted");
	else if (f->rules && f->shape == SL_SHAPE_ONE && (f->rules->max != INT64_MAX))
		check_range(v, f, (int64_t)s.len, " characters");
}

static void check_integer(struct sl_validator *v, const struct sl_schema_field *f, const json_t *value)
{
	double real = json_real_value(value);

	if (json_is_integer(value) && f->shape == SL_SHAPE_ONE)
		check_range(v, f, json_integer_value(value), "");
	else if (!json_is_integer(value) &&
	         !(json_is_real(value) && real > -9e15 && real < 9e15 && (double)(int64_t)real == real))
		wrong_type(v, value, "an integer");
}

static void check_quantity(struct sl_validator *v, const json_t *value)
{
	int64_t milli;
	sl_err err;

	if (json_is_number(value))
		return;
	if (!json_is_string(value)) {
		wrong_type(v, value, "a quantity such as \"100m\" or \"64Mi\"");
		return;
	}
	err = sl_quantity_parse_milli(sl_json_str(value), &milli);
	if (err != SL_OK && err != SL_ERR_RANGE) /* beyond 64 bits of thousandths is still a quantity */
		sl_validator_bad(v, "FieldValueInvalid",
		        "\"%.40s\" is no quantity; one such as \"100m\" or \"64Mi\" is wanted",
		        json_string_value(value));
}

static void check_rules(struct sl_validator *v, const struct sl_schema_field *f, const json_t *value)
{
	char list[256];
	const char *wrong;

	if (f->rules->enums && json_is_string(value) && json_string_length(value) > 0 &&
	        !sl_schema_word_in(f->rules->enums, sl_json_str(value), NULL))
		sl_validator_bad(v, "FieldValueNotSupported", "\"%.40s\" is not supported; %s is wanted",
		        json_string_value(value), word_list(f->rules->enums, list));
	wrong = f->rules->format ? check_format(v, f->rules->format, value) : NULL;
	if (wrong && json_is_integer(value))
		sl_validator_bad(
		        v, "FieldValueInvalid", "%lld: %s", (long long)json_integer_value(value), wrong);
	else if (wrong)
		sl_validator_bad(v, "FieldValueInvalid", "\"%.63s\": %s",
		        json_is_string(value) ? json_string_value(value) : "", wrong);
}

static void check_scalar(struct sl_validator *v, const struct sl_schema_field *f, const json_t *value)
{
	bool before = v->is_invalid;

	v->is_invalid = false;
	switch ((enum sl_schema_base)f->base) {
	case SL_BASE_STRING:
	case SL_BASE_DURATION:
	case SL_BASE_TIME:
	case SL_BASE_BYTES:
		check_string(v, f, value);
		break;
	case SL_BASE_BOOL:
		if (!json_is_boolean(value))
			wrong_type(v, value, "true or false");
		break;
	case SL_BASE_INT:
		check_integer(v, f, value);
		break;
	case SL_BASE_NUMBER:
		check_number(v, f, value);
		break;
	case SL_BASE_INTSTR:
		if (!json_is_integer(value) && !json_is_string(value))
			wrong_type(v, value, "an integer or a string");
		break;
	case SL_BASE_QUANTITY:
		check_quantity(v, value);
		break;
	case SL_BASE_ANY:
		break;
	case SL_BASE_TYPE:
		if (json_is_object(value))
			check_object(v, f->type, value);
		else
			wrong_type(v, value, "an object");
		break;
	}
	if (!v->is_invalid && f->rules && f->base != SL_BASE_TYPE)
		check_rules(v, f, value);
	v->is_invalid |= before;
}

static void check_list(struct sl_validator *v, const struct sl_schema_field *f, const json_t *list)
{
	json_t *item;
	size_t i;

	if (!json_is_array(list)) {
		wrong_type(v, list, "a list");
		return;
	}
	if ((f->flags & SL_FIELD_NONEMPTY) && json_array_size(list) == 0)
		sl_validator_bad(
		        v, "FieldValueRequired", "the list is empty; at least one element is wanted");
	if (f->rules && f->base != SL_BASE_INT && (f->rules->min != INT64_MIN || f->rules->max != INT64_MAX))
		check_range(v, f, (int64_t)json_array_size(list), " elements");
	json_array_foreach (list, i, item) {
		size_t at = sl_path_index(&v->path, i);

		if (json_is_null(item))
			wrong_type(v, item, "a value");
		else
			check_scalar(v, f, item);
		sl_path_pop(&v->path, at);
	}
}

static void check_map(struct sl_validator *v, const struct sl_schema_field *f, const json_t *map)
{
	const char *format = f->rules ? f->rules->format : NULL;
	bool keys = format && strncmp(format, "label", 5) == 0;
	const char *key, *wrong;
	json_t *value;

	if (!json_is_object(map)) {
		wrong_type(v, map, "an object");
		return;
	}
	SL_OBJ_FOR (map, key, value) {
		size_t at = sl_path_entry(&v->path, key);

		wrong = keys ? sl_name_label_key(sl_str_c(key)) : NULL;
		if (wrong)
			sl_validator_bad(
			        v, "FieldValueInvalid", "the key \"%.63s\" is not right: %s", key, wrong);
		if (!json_is_null(value))
			check_scalar(v, f, value);
		sl_path_pop(&v->path, at);
	}
}

static void check_field(struct sl_validator *v, const struct sl_schema_field *f, const json_t *value)
{
	size_t at = sl_path_key(&v->path, f->name);

	switch ((enum sl_schema_shape)f->shape) {
	case SL_SHAPE_ONE:
		check_scalar(v, f, value);
		break;
	case SL_SHAPE_LIST:
		check_list(v, f, value);
		break;
	case SL_SHAPE_MAP:
		check_map(v, f, value);
		break;
	}
	sl_path_pop(&v->path, at);
}

static void check_object(struct sl_validator *v, const struct sl_schema_type *type, const json_t *obj)
{
	const char *key;
	json_t *value;

	SL_OBJ_FOR (obj, key, value) {
		const struct sl_schema_field *f = sl_schema_field(type, sl_str_c(key));

		if (f && !json_is_null(value)) /* null is absence */
			check_field(v, f, value);
		else if (!f && !type->is_open)
			unknown_field(v, type, key);
	}
	for (size_t i = 0; i < type->fields_count; i++) {
		const struct sl_schema_field *f = &type->fields[i];

		if ((f->flags & SL_FIELD_REQUIRED) && !json_is_object(json_object_get(obj, f->name))) {
			const json_t *there = json_object_get(obj, f->name);

			if (!there || json_is_null(there))
				sl_validator_bad_at(
				        v, f->name, "FieldValueRequired", "missing; it is required");
		}
	}
}

static void check_meta(struct sl_validator *v, const json_t *obj)
{
	if (sl_obj_name(obj).len == 0 && sl_obj_get_str(obj, "metadata.generateName").len == 0)
		sl_validator_bad_at(v, "metadata.name", "FieldValueRequired",
		        "missing; name or generateName is required");
	if (!v->kind->namespaced && sl_obj_namespace(obj).len > 0)
		sl_validator_bad_at(v, "metadata.namespace", "FieldValueInvalid",
		        "a %s has no namespace; leave it out", v->kind->kind);
}

sl_err sl_validate(const struct sl_kind *kind, const json_t *obj, enum sl_unknown unknown,
        struct sl_diag *warnings, struct sl_diag *diag)
{
	struct sl_validator v = { .kind = kind, .unknown = unknown, .warnings = warnings, .diag = diag };

	if (!json_is_object(obj))
		return sl_diag_fail(
		        diag, SL_ERR_INVALID, NULL, "FieldValueTypeInvalid", "an object is wanted");
	if (!sl_json_depth_ok(obj, SL_OBJECT_DEPTH_MOST))
		return sl_diag_fail(diag, SL_ERR_INVALID, NULL, "FieldValueTooLong",
		        "it is nested deeper than %d levels", (int)SL_OBJECT_DEPTH_MOST);
	check_object(&v, kind->type, obj);
	if (!v.is_invalid) { /* the rules rely on types being right */
		check_meta(&v, obj);
		sl_kind_rules(&v, obj);
	}
	if (v.has_unknown)
		return SL_ERR_BAD_REQUEST;
	return v.is_invalid ? SL_ERR_INVALID : SL_OK;
}

static void check_same(
        struct sl_validator *v, const struct sl_schema_type *type, const json_t *old, const json_t *obj)
{
	for (size_t i = 0; i < type->fields_count; i++) {
		const struct sl_schema_field *f = &type->fields[i];
		const json_t *was = json_object_get(old, f->name), *is = json_object_get(obj, f->name);
		size_t at = sl_path_key(&v->path, f->name);

		if ((f->flags & SL_FIELD_IMMUTABLE) && was && !json_is_null(was) &&
		        !(is && json_equal(was, is)))
			sl_validator_bad(v, "FieldValueInvalid",
			        "it cannot be changed; delete and create the object instead");
		else if (f->base == SL_BASE_TYPE && f->shape == SL_SHAPE_ONE && json_is_object(was) &&
		         json_is_object(is))
			check_same(v, f->type, was, is);
		sl_path_pop(&v->path, at);
	}
}

sl_err sl_validate_update(
        const struct sl_kind *kind, const json_t *old, const json_t *new_obj, struct sl_diag *diag)
{
	static const char *const same[] = { "metadata.name", "metadata.namespace", "metadata.uid" };
	struct sl_validator v = { .kind = kind, .diag = diag };

	for (size_t i = 0; i < SL_ARRAY_COUNT(same); i++) {
		sl_str was = sl_obj_get_str(old, same[i]), is = sl_obj_get_str(new_obj, same[i]);

		if (is.len > 0 && !sl_str_eq(was, is))
			sl_validator_bad_at(&v, same[i], "FieldValueInvalid",
			        "it cannot be changed from \"%.*s\" to \"%.*s\"", SL_STR_ARG(was),
			        SL_STR_ARG(is));
	}
	check_same(&v, kind->type, old, new_obj);
	sl_kind_update_rules(&v, old, new_obj);
	return v.is_invalid ? SL_ERR_INVALID : SL_OK;
}

static void prune(const struct sl_schema_type *type, json_t *obj);

static void prune_value(const struct sl_schema_field *f, json_t *value)
{
	const char *key;
	json_t *sub;
	size_t i;

	switch ((enum sl_schema_shape)f->shape) {
	case SL_SHAPE_ONE:
		prune(f->type, value);
		break;
	case SL_SHAPE_LIST:
		json_array_foreach (value, i, sub)
			prune(f->type, sub);
		break;
	case SL_SHAPE_MAP:
		SL_OBJ_FOR (value, key, sub)
			prune(f->type, sub);
		break;
	}
}

static void prune(const struct sl_schema_type *type, json_t *obj)
{
	const char *key;
	json_t *value;
	void *next;

	if (!json_is_object(obj))
		return;
	json_object_foreach_safe (obj, next, key, value) {
		const struct sl_schema_field *f = sl_schema_field(type, sl_str_c(key));

		if (!f && !type->is_open)
			json_object_del(obj, key);
		else if (f && f->base == SL_BASE_TYPE)
			prune_value(f, value);
	}
}

void sl_prune(const struct sl_kind *kind, json_t *obj)
{
	prune(kind->type, obj);
}
