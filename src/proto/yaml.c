#include "proto/yaml.h"

#include "proto/yaml_scalar_priv.h"

#include <math.h>
#include <stdlib.h>
#include <yaml.h>

struct reader {
	yaml_parser_t yaml;
	yaml_event_t event; /* the one being looked at; deleted when the next is fetched */
	bool has_event;
	const struct sl_yaml_limits *limits;
	struct sl_diag *diag;
	json_t *anchors;     /* name to value, of this document */
	size_t values;       /* made so far */
	size_t copied_bytes; /* of strings that aliases multiplied */
};

static sl_err fail_at(struct reader *r, sl_err err, yaml_mark_t mark, const char *text, const char *what)
{
	return sl_diag_fail(r->diag, err, NULL, NULL, "line %zu, column %zu: %s%s%s", mark.line + 1,
	        mark.column + 1, text, what ? ": " : "", what ? what : "");
}

static sl_err fail(struct reader *r, sl_err err, const char *text, const char *what)
{
	return fail_at(r, err, r->event.start_mark, text, what);
}

static void drop_event(struct reader *r)
{
	if (r->has_event)
		yaml_event_delete(&r->event);
	r->has_event = false;
}

static sl_err next_event(struct reader *r)
{
	drop_event(r);
	if (!yaml_parser_parse(&r->yaml, &r->event)) {
		yaml_mark_t mark = r->yaml.problem_mark;
		const char *problem = r->yaml.problem ? r->yaml.problem : "out of memory";

		return fail_at(r, SL_ERR_MALFORMED, mark, problem, r->yaml.context);
	}
	r->has_event = true;
	return SL_OK;
}

static sl_err count_value(struct reader *r)
{
	return ++r->values > r->limits->values ? fail(r, SL_ERR_TOO_BIG, "too many values", NULL) : SL_OK;
}

/* Scalars. */

static const struct {
	const char *tag;
	enum yaml_kind kind;
} scalar_tags[] = {
	{ YAML_STR_TAG, YAML_STR },
	{ "!", YAML_STR },
	{ YAML_NULL_TAG, YAML_NULL },
	{ YAML_BOOL_TAG, YAML_BOOL },
	{ YAML_INT_TAG, YAML_INT },
	{ YAML_FLOAT_TAG, YAML_REAL },
};

static sl_str event_text(const struct reader *r)
{
	return sl_str_n((const char *)r->event.data.scalar.value, r->event.data.scalar.length);
}

/* What the scalar means: by its tag, else plain ones by their text. */
static sl_err resolve(struct reader *r, struct yaml_scalar *ret_scalar)
{
	const char *tag = (const char *)r->event.data.scalar.tag;
	struct yaml_scalar s = { .kind = YAML_STR };
	size_t i = 0;

	if (!tag) {
		if (r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
			s = yaml_resolve(event_text(r));
		*ret_scalar = s;
		return s.kind == YAML_NOT_JSON
		               ? fail(r, SL_ERR_UNSUPPORTED, "JSON has no infinity and no NaN", NULL)
		               : SL_OK;
	}
	while (i < SL_ARRAY_COUNT(scalar_tags) && strcmp(tag, scalar_tags[i].tag) != 0)
		i++;
	if (i == SL_ARRAY_COUNT(scalar_tags))
		return fail(r, SL_ERR_UNSUPPORTED, "a tag that JSON has no type for", tag);
	if (scalar_tags[i].kind != YAML_STR) {
		s = yaml_resolve(event_text(r));
		if (s.kind != scalar_tags[i].kind &&
		        !(scalar_tags[i].kind == YAML_REAL && s.kind == YAML_INT))
			return fail(r, SL_ERR_MALFORMED, "the text does not fit its tag", tag);
	}
	*ret_scalar = s;
	return SL_OK;
}

static sl_err new_string(struct reader *r, json_t **ret_value)
{
	sl_str text = event_text(r);

	if (text.len && memchr(text.p, '\0', text.len))
		return fail(r, SL_ERR_MALFORMED, "a string holds NUL", NULL);
	*ret_value = sl_json_str_new(text);
	return *ret_value ? SL_OK : fail(r, SL_ERR_MALFORMED, "a string is not UTF-8", NULL);
}

static sl_err read_scalar(struct reader *r, json_t **ret_value)
{
	struct yaml_scalar s;

	SL_TRY(resolve(r, &s));
	switch (s.kind) {
	case YAML_NULL:
		*ret_value = json_null();
		return SL_OK;
	case YAML_BOOL:
		*ret_value = json_boolean(s.truth);
		return SL_OK;
	case YAML_INT:
		*ret_value = json_integer(s.integer);
		return SL_OK;
	case YAML_REAL:
		*ret_value = json_real(s.real);
		return SL_OK;
	case YAML_STR:
	case YAML_NOT_JSON:
		break;
	}
	return new_string(r, ret_value);
}

/* Anchors and aliases. */

static sl_err remember(struct reader *r, const yaml_char_t *anchor, json_t *value)
{
	/* as YAML has it, a later anchor of the same name takes over */
	if (anchor && json_object_set(r->anchors, (const char *)anchor, value) != 0)
		return fail(r, SL_ERR_MALFORMED, "an anchor's name is not UTF-8", NULL);
	return SL_OK;
}

/* Charges what a copy of the value at that depth would add: a bound against the billion laughs. */
static sl_err charge(struct reader *r, const json_t *value, size_t depth)
{
	json_t *v = (json_t *)(uintptr_t)value, *sub;
	const char *key;
	size_t i;

	SL_TRY(count_value(r));
	if (depth > r->limits->depth)
		return fail(r, SL_ERR_TOO_BIG, "nested too deep", NULL);
	r->copied_bytes += json_string_length(v);
	json_object_foreach (v, key, sub) {
		r->copied_bytes += strlen(key);
		SL_TRY(charge(r, sub, depth + 1));
	}
	json_array_foreach (v, i, sub)
		SL_TRY(charge(r, sub, depth + 1));
	return r->copied_bytes > r->limits->bytes
	               ? fail(r, SL_ERR_TOO_BIG, "aliases expand to too much", NULL)
	               : SL_OK;
}

static sl_err read_alias(struct reader *r, size_t depth, json_t **ret_value)
{
	const char *anchor = (const char *)r->event.data.alias.anchor;
	const json_t *value = json_object_get(r->anchors, anchor);

	if (!value) /* also one that stands inside what it names */
		return fail(r, SL_ERR_MALFORMED, "no such anchor above", anchor);
	SL_TRY(charge(r, value, depth));
	*ret_value = json_deep_copy(value);
	return SL_OK;
}

/* Collections. */

static sl_err read_node(struct reader *r, size_t depth, json_t **ret_value);

static sl_err check_tag(struct reader *r, const yaml_char_t *tag, const char *expected)
{
	if (!tag || strcmp((const char *)tag, expected) == 0 || strcmp((const char *)tag, "!") == 0)
		return SL_OK;
	return fail(r, SL_ERR_UNSUPPORTED, "a tag that JSON has no type for", (const char *)tag);
}

static sl_err read_sequence(struct reader *r, size_t depth, json_t **ret_value)
{
	SL_CLEANUP(sl_json_unref) json_t *array = json_array();

	SL_TRY(check_tag(r, r->event.data.sequence_start.tag, YAML_SEQ_TAG));
	for (;;) {
		json_t *item;

		SL_TRY(next_event(r));
		if (r->event.type == YAML_SEQUENCE_END_EVENT)
			break;
		SL_TRY(read_node(r, depth + 1, &item));
		json_array_append_new(array, item);
	}
	*ret_value = SL_STEAL(array);
	return SL_OK;
}

/* The key at the event, as a string in JSON. `ret_merge`: it is a plain "<<". */
static sl_err read_key(struct reader *r, const json_t *object, json_t **ret_key, bool *ret_merge)
{
	SL_CLEANUP(sl_json_unref) json_t *key = NULL;

	if (r->event.type != YAML_SCALAR_EVENT)
		return fail(r, SL_ERR_MALFORMED, "a key is not a scalar", NULL);
	SL_TRY(new_string(r, &key));
	*ret_merge =
	        r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && sl_str_eq_c(event_text(r), "<<");
	if (!*ret_merge && json_object_get(object, json_string_value(key)))
		return fail(r, SL_ERR_MALFORMED, "duplicate key", json_string_value(key));
	*ret_key = SL_STEAL(key);
	return SL_OK;
}

/* Collects what "<<" names: a mapping, or a sequence of mappings of which the first has precedence. */
static sl_err collect_merge(struct reader *r, json_t *merges, json_t *value)
{
	bool sound = json_is_object(value) || json_is_array(value);

	SL_JSON_FOR (item, value)
		sound = sound && json_is_object(item);
	if (!sound)
		return fail(r, SL_ERR_MALFORMED, "\"<<\" takes a mapping or a sequence of mappings", NULL);
	if (json_is_array(value))
		json_array_extend(merges, value);
	else
		json_array_append(merges, value);
	return SL_OK;
}

static sl_err read_mapping(struct reader *r, size_t depth, json_t **ret_value)
{
	SL_CLEANUP(sl_json_unref) json_t *object = json_object();
	SL_CLEANUP(sl_json_unref) json_t *merges = json_array();

	SL_TRY(check_tag(r, r->event.data.mapping_start.tag, YAML_MAP_TAG));
	for (;;) {
		SL_CLEANUP(sl_json_unref) json_t *key = NULL;
		SL_CLEANUP(sl_json_unref) json_t *value = NULL;
		bool merge;

		SL_TRY(next_event(r));
		if (r->event.type == YAML_MAPPING_END_EVENT)
			break;
		SL_TRY(read_key(r, object, &key, &merge));
		SL_TRY(next_event(r));
		SL_TRY(read_node(r, depth + 1, &value));
		if (merge)
			SL_TRY(collect_merge(r, merges, value));
		else
			json_object_set(object, json_string_value(key), value);
	}
	SL_JSON_FOR (from, merges)
		json_object_update_missing(object, from);
	*ret_value = SL_STEAL(object);
	return SL_OK;
}

static char *copy_name(const yaml_char_t *anchor)
{
	return anchor ? sl_strdup((const char *)anchor) : NULL;
}

/* The node whose first event is at hand. */
static sl_err read_node(struct reader *r, size_t depth, json_t **ret_value)
{
	SL_CLEANUP(sl_json_unref) json_t *value = NULL;
	char *anchor = NULL;
	sl_err err;

	if (r->event.type == YAML_ALIAS_EVENT)
		return read_alias(r, depth, ret_value);
	if (depth > r->limits->depth)
		return fail(r, SL_ERR_TOO_BIG, "nested too deep", NULL);
	SL_TRY(count_value(r));
	if (r->event.type == YAML_SCALAR_EVENT) {
		SL_TRY(read_scalar(r, &value));
		SL_TRY(remember(r, r->event.data.scalar.anchor, value));
		*ret_value = SL_STEAL(value);
		return SL_OK;
	}
	/* the event, and with it the anchor's name, is gone when the collection has been read */
	if (r->event.type == YAML_SEQUENCE_START_EVENT) {
		anchor = copy_name(r->event.data.sequence_start.anchor);
		err = read_sequence(r, depth, &value);
	} else {
		anchor = copy_name(r->event.data.mapping_start.anchor);
		err = read_mapping(r, depth, &value);
	}
	if (err == SL_OK)
		err = remember(r, (const yaml_char_t *)anchor, value);
	sl_free(anchor);
	if (err == SL_OK)
		*ret_value = SL_STEAL(value);
	return err;
}

static sl_err read_document(struct reader *r, json_t *documents)
{
	json_t *value = NULL;

	SL_TRY(next_event(r));
	SL_TRY(read_node(r, 1, &value));
	if (json_is_null(value)) { /* nothing between two "---" */
		json_decref(value);
	} else {
		if (json_array_size(documents) >= r->limits->documents) {
			json_decref(value);
			return fail(r, SL_ERR_TOO_BIG, "too many documents", NULL);
		}
		json_array_append_new(documents, value);
	}
	json_object_clear(r->anchors);
	return next_event(r); /* the document's end */
}

static sl_err read_stream(struct reader *r, json_t *documents)
{
	do {
		SL_TRY(next_event(r));
		if (r->event.type == YAML_DOCUMENT_START_EVENT)
			SL_TRY(read_document(r, documents));
	} while (r->event.type != YAML_STREAM_END_EVENT);
	return SL_OK;
}

/* As for YAML scalars: 1.0 is 1. Returns what stands in for the value, or NULL when it stays. */
static json_t *without_whole_reals(json_t *v)
{
	json_t *sub, *new_value;
	double real = json_real_value(v);
	const char *key;
	size_t i;

	json_object_foreach (v, key, sub)
		if ((new_value = without_whole_reals(sub)))
			json_object_set_new(v, key, new_value);
	json_array_foreach (v, i, sub)
		if ((new_value = without_whole_reals(sub)))
			json_array_set_new(v, i, new_value);
	return json_is_real(v) && real == trunc(real) && fabs(real) < 0x1p63 ? json_integer((json_int_t)real)
	                                                                     : NULL;
}

/* A text that begins as JSON and is JSON is read as such: it may have tabs where YAML allows none. */
static bool read_as_json(sl_str text, const struct sl_yaml_limits *limits, json_t *documents)
{
	const struct sl_json_limits json_limits = { .bytes = limits->bytes, .depth = limits->depth };
	json_t *value;
	size_t i = 0;

	while (i < text.len && strchr(" \t\r\n", text.p[i]))
		i++;
	if (i == text.len || text.p[i] != '{' || sl_json_parse(text, &json_limits, &value, NULL) != SL_OK)
		return false;
	without_whole_reals(value);
	json_array_append_new(documents, value);
	return true;
}

sl_err sl_yaml_parse(
        sl_str text, const struct sl_yaml_limits *limits, json_t **ret_documents, struct sl_diag *diag)
{
	static const struct sl_yaml_limits usual = SL_YAML_LIMITS;
	SL_CLEANUP(sl_json_unref) json_t *documents = json_array();
	struct reader r = { .limits = limits ? limits : &usual, .diag = diag };
	sl_err err;

	if (text.len > r.limits->bytes)
		return sl_diag_fail(diag, SL_ERR_TOO_BIG, NULL, NULL,
		        "the YAML text has %zu bytes; the limit is %zu", text.len, r.limits->bytes);
	if (!read_as_json(text, r.limits, documents)) {
		if (!yaml_parser_initialize(&r.yaml))
			abort(); /* out of memory, as everywhere */
		yaml_parser_set_input_string(
		        &r.yaml, (const unsigned char *)(text.p ? text.p : ""), text.len);
		r.anchors = json_object();
		err = read_stream(&r, documents);
		drop_event(&r);
		json_decref(r.anchors);
		yaml_parser_delete(&r.yaml);
		SL_TRY(err);
	}
	*ret_documents = SL_STEAL(documents);
	return SL_OK;
}
