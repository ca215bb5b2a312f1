#include "model/selector.h"

#include "base/buf.h"
#include "model/object.h"
#include "model/validate.h"

enum { REQS_MOST = 256, VALUES_MOST = 1024 }; /* of one selector; a query cannot make us build more */

struct parser {
	sl_str rest;
	struct sl_arena *arena;
	struct sl_diag *diag;
	sl_str whole;
};

static sl_err fail(const struct parser *p, const char *wanted)
{
	return sl_diag_fail(p->diag, SL_ERR_BAD_REQUEST, NULL, "FieldValueInvalid", "selector \"%.100s\": %s",
	        p->whole.len ? sl_arena_str(p->arena, p->whole).p : "", wanted);
}

static void skip_space(struct parser *p)
{
	while (p->rest.len && (p->rest.p[0] == ' ' || p->rest.p[0] == '\t'))
		p->rest = sl_str_skip(p->rest, 1);
}

static bool take(struct parser *p, sl_str token)
{
	skip_space(p);
	if (!sl_str_starts(p->rest, token))
		return false;
	p->rest = sl_str_skip(p->rest, token.len);
	return true;
}

static bool is_word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '_' || c == '.' || c == '/';
}

static sl_str take_word(struct parser *p)
{
	size_t n = 0;
	sl_str word;

	skip_space(p);
	while (n < p->rest.len && is_word_char(p->rest.p[n]))
		n++;
	word = sl_str_first(p->rest, n);
	p->rest = sl_str_skip(p->rest, n);
	return word;
}

static bool take_keyword(struct parser *p, sl_str keyword)
{
	struct parser before = *p;

	if (sl_str_eq(take_word(p), keyword))
		return true;
	*p = before;
	return false;
}

static sl_err parse_value(struct parser *p, sl_str *ret_value)
{
	sl_str word = take_word(p);

	if (sl_name_label_value(word))
		return fail(p, "a label value has letters, digits, '-', '_' and '.', at most 63");
	*ret_value = sl_arena_str(p->arena, word);
	return SL_OK;
}

static sl_err parse_set(struct parser *p, struct sl_selector_req *req)
{
	sl_str values[VALUES_MOST];
	size_t n = 0;

	if (!take(p, SL_STR("(")))
		return fail(p, "'(' is wanted after in and notin");
	do {
		if (n == VALUES_MOST)
			return fail(p, "too many values");
		SL_TRY(parse_value(p, &values[n++]));
	} while (take(p, SL_STR(",")));
	if (!take(p, SL_STR(")")))
		return fail(p, "')' is wanted after the values");
	req->values = sl_arena_zalloc_array(p->arena, n, sizeof(sl_str));
	memcpy(req->values, values, n * sizeof(sl_str));
	req->values_count = n;
	return SL_OK;
}

static sl_err parse_single(struct parser *p, struct sl_selector_req *req, enum sl_selector_op op)
{
	int64_t number;

	req->op = op;
	req->values = sl_arena_zalloc(p->arena, sizeof(sl_str));
	req->values_count = 1;
	SL_TRY(parse_value(p, &req->values[0]));
	if ((op == SL_SELECT_GT || op == SL_SELECT_LT) && sl_str_to_i64(req->values[0], &number) != SL_OK)
		return fail(p, "an integer is wanted after '<' and '>'");
	return SL_OK;
}

static sl_err parse_req(struct parser *p, struct sl_selector_req *req)
{
	bool absent = take(p, SL_STR("!"));
	sl_str key = take_word(p);

	if (sl_name_label_key(key))
		return fail(p, "a label key such as app or example.com/app is wanted");
	req->key = sl_arena_str(p->arena, key);
	if (absent) {
		req->op = SL_SELECT_ABSENT;
		return SL_OK;
	}
	if (take(p, SL_STR("==")) || take(p, SL_STR("=")))
		return parse_single(p, req, SL_SELECT_IN);
	if (take(p, SL_STR("!=")))
		return parse_single(p, req, SL_SELECT_NOT_IN);
	if (take(p, SL_STR(">")))
		return parse_single(p, req, SL_SELECT_GT);
	if (take(p, SL_STR("<")))
		return parse_single(p, req, SL_SELECT_LT);
	req->op = SL_SELECT_EXISTS;
	if (take_keyword(p, SL_STR("in"))) {
		req->op = SL_SELECT_IN;
		return parse_set(p, req);
	}
	if (take_keyword(p, SL_STR("notin"))) {
		req->op = SL_SELECT_NOT_IN;
		return parse_set(p, req);
	}
	return SL_OK;
}

sl_err sl_selector_parse(
        sl_str text, struct sl_arena *arena, struct sl_selector *ret_sel, struct sl_diag *diag)
{
	struct parser p = { .rest = text, .arena = arena, .diag = diag, .whole = text };
	struct sl_selector_req reqs[REQS_MOST];
	size_t n = 0;

	skip_space(&p);
	if (p.rest.len == 0) {
		*ret_sel = (struct sl_selector) { 0 };
		return SL_OK;
	}
	do {
		if (n == REQS_MOST)
			return fail(&p, "too many requirements");
		reqs[n] = (struct sl_selector_req) { 0 };
		SL_TRY(parse_req(&p, &reqs[n++]));
	} while (take(&p, SL_STR(",")));
	skip_space(&p);
	if (p.rest.len)
		return fail(&p, "',' is wanted between requirements");
	ret_sel->reqs = sl_arena_zalloc_array(arena, n, sizeof(reqs[0]));
	memcpy(ret_sel->reqs, reqs, n * sizeof(reqs[0]));
	ret_sel->count = n;
	return SL_OK;
}

static sl_err map_reqs(
        const json_t *map, struct sl_arena *arena, struct sl_selector_req *reqs, struct sl_diag *diag)
{
	const char *key;
	json_t *value;

	SL_OBJ_FOR (map, key, value) {
		if (!json_is_string(value))
			return sl_diag_fail(diag, SL_ERR_INVALID, NULL, "FieldValueTypeInvalid",
			        "the value of label %.63s must be a string", key);
		reqs->op = SL_SELECT_IN;
		reqs->key = sl_arena_str_c(arena, key);
		reqs->values = sl_arena_zalloc(arena, sizeof(sl_str));
		reqs->values[0] = sl_arena_str(arena, sl_json_str(value));
		reqs->values_count = 1;
		reqs++;
	}
	return SL_OK;
}

static sl_err expression_req(
        const json_t *expr, struct sl_arena *arena, struct sl_selector_req *req, struct sl_diag *diag)
{
	static const char *const ops =
	        "In|NotIn|Exists|DoesNotExist"; /* in the order of enum sl_selector_op */
	sl_str op = sl_obj_get_str(expr, "operator"), key = sl_obj_get_str(expr, "key");
	const json_t *values = json_object_get(expr, "values");
	size_t i, index, count = json_array_size(values);
	json_t *value;

	if (key.len == 0 || !sl_schema_word_in(ops, op, &index))
		return sl_diag_fail(diag, SL_ERR_INVALID, "matchExpressions", "FieldValueInvalid",
		        "key, and operator In, NotIn, Exists or DoesNotExist, are wanted");
	req->op = (enum sl_selector_op)index;
	if ((count > 0) != (req->op == SL_SELECT_IN || req->op == SL_SELECT_NOT_IN))
		return sl_diag_fail(diag, SL_ERR_INVALID, "matchExpressions", "FieldValueInvalid",
		        "In and NotIn want values; Exists and DoesNotExist want none");
	req->key = sl_arena_str(arena, key);
	req->values = sl_arena_zalloc_array(arena, count + 1, sizeof(sl_str));
	req->values_count = count;
	json_array_foreach (values, i, value)
		req->values[i] = sl_arena_str(arena, sl_json_str(value));
	return SL_OK;
}

sl_err sl_selector_from_object(
        const json_t *selector, struct sl_arena *arena, struct sl_selector *ret_sel, struct sl_diag *diag)
{
	const json_t *labels = json_object_get(selector, "matchLabels"),
	             *exprs = json_object_get(selector, "matchExpressions");
	size_t i, count = json_object_size(labels) + json_array_size(exprs);
	struct sl_selector_req *reqs = sl_arena_zalloc_array(arena, count + 1, sizeof(*reqs));
	json_t *expr;

	SL_TRY(map_reqs(labels, arena, reqs, diag));
	json_array_foreach (exprs, i, expr)
		SL_TRY(expression_req(expr, arena, &reqs[json_object_size(labels) + i], diag));
	*ret_sel = (struct sl_selector) { .reqs = reqs, .count = count };
	return SL_OK;
}

sl_err sl_selector_from_map(
        const json_t *map, struct sl_arena *arena, struct sl_selector *ret_sel, struct sl_diag *diag)
{
	size_t count = json_object_size(map);
	struct sl_selector_req *reqs = sl_arena_zalloc_array(arena, count + 1, sizeof(*reqs));

	SL_TRY(map_reqs(map, arena, reqs, diag));
	*ret_sel = (struct sl_selector) { .reqs = reqs, .count = count };
	return SL_OK;
}

static bool is_in(const struct sl_selector_req *req, sl_str value)
{
	for (size_t i = 0; i < req->values_count; i++)
		if (sl_str_eq(req->values[i], value))
			return true;
	return false;
}

static bool compares(const struct sl_selector_req *req, sl_str value)
{
	int64_t label, bound;

	if (sl_str_to_i64(value, &label) != SL_OK || sl_str_to_i64(req->values[0], &bound) != SL_OK)
		return false;
	return req->op == SL_SELECT_GT ? label > bound : label < bound;
}

static bool req_matches(const struct sl_selector_req *req, const json_t *labels)
{
	const json_t *label = json_object_get(labels, req->key.p); /* arena strings end in NUL */
	bool present = json_is_string(label);
	sl_str value = sl_json_str(label);

	switch (req->op) {
	case SL_SELECT_IN:
		return present && is_in(req, value);
	case SL_SELECT_NOT_IN:
		return !present || !is_in(req, value);
	case SL_SELECT_EXISTS:
		return present;
	case SL_SELECT_ABSENT:
		return !present;
	case SL_SELECT_GT:
	case SL_SELECT_LT:
		return present && compares(req, value);
	}
	return false;
}

bool sl_selector_matches(const struct sl_selector *sel, const json_t *labels)
{
	for (size_t i = 0; i < sel->count; i++)
		if (!req_matches(&sel->reqs[i], labels))
			return false;
	return true;
}

static void req_text(struct sl_buf *out, const struct sl_selector_req *req)
{
	bool is_set = req->op == SL_SELECT_IN || req->op == SL_SELECT_NOT_IN;

	if (req->op == SL_SELECT_ABSENT)
		sl_buf_c(out, "!");
	sl_buf_str_add(out, req->key);
	if (is_set && req->values_count == 1) {
		sl_buf_c(out, req->op == SL_SELECT_IN ? "=" : "!=");
		sl_buf_str_add(out, req->values[0]);
	} else if (is_set) {
		sl_buf_c(out, req->op == SL_SELECT_IN ? " in (" : " notin (");
		for (size_t i = 0; i < req->values_count; i++) {
			sl_buf_c(out, i ? "," : "");
			sl_buf_str_add(out, req->values[i]);
		}
		sl_buf_c(out, ")");
	} else if (req->op == SL_SELECT_GT || req->op == SL_SELECT_LT) {
		sl_buf_c(out, req->op == SL_SELECT_GT ? ">" : "<");
		sl_buf_str_add(out, req->values[0]);
	}
}

sl_str sl_selector_text(const struct sl_selector *sel, struct sl_arena *arena)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf out = { 0 };

	for (size_t i = 0; i < sel->count; i++) {
		sl_buf_c(&out, i ? "," : "");
		req_text(&out, &sel->reqs[i]);
	}
	return sl_arena_str(arena, sl_buf_str(&out));
}

static bool field_is_selectable(sl_str path)
{
	static const char *const known[] = { "metadata.name", "metadata.namespace", "status.phase",
		"status.podIP", "spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName", "type",
		"reason", "status.successful", "involvedObject.kind", "involvedObject.namespace",
		"involvedObject.name", "involvedObject.uid", "involvedObject.apiVersion",
		"involvedObject.resourceVersion", "involvedObject.fieldPath", "reportingComponent",
		"source" };

	for (size_t i = 0; i < SL_ARRAY_COUNT(known); i++)
		if (sl_str_eq_c(path, known[i]))
			return true;
	return false;
}

static sl_err parse_field_req(
        sl_str text, struct sl_arena *arena, struct sl_field_req *req, struct sl_diag *diag)
{
	sl_str rest = text, path;

	if (!sl_str_split(&rest, '=', &path))
		return sl_diag_fail(diag, SL_ERR_BAD_REQUEST, "fieldSelector", "FieldValueInvalid",
		        "\"%.*s\": FIELD=VALUE or FIELD!=VALUE is wanted",
		        SL_STR_ARG(sl_str_first(text, 100)));
	if (sl_str_ends(path, SL_STR("!"))) {
		req->is_not = true;
		path = sl_str_first(path, path.len - 1);
	} else if (sl_str_starts(rest, SL_STR("="))) {
		rest = sl_str_skip(rest, 1);
	}
	path = sl_str_trim(path);
	if (!field_is_selectable(path))
		return sl_diag_fail(diag, SL_ERR_BAD_REQUEST, "fieldSelector", "FieldValueNotSupported",
		        "objects cannot be selected by \"%.*s\"; metadata.name, metadata.namespace and a few others can",
		        SL_STR_ARG(sl_str_first(path, 100)));
	req->path = sl_arena_str(arena, path);
	req->value = sl_arena_str(arena, sl_str_trim(rest));
	return SL_OK;
}

sl_err sl_field_selector_parse(
        sl_str text, struct sl_arena *arena, struct sl_field_selector *ret_sel, struct sl_diag *diag)
{
	struct sl_field_req reqs[32] = { 0 };
	sl_str rest = text, one;
	bool more = text.len > 0;
	size_t n = 0;

	while (more) {
		more = sl_str_split(&rest, ',', &one);
		if (n == SL_ARRAY_COUNT(reqs))
			return sl_diag_fail(diag, SL_ERR_BAD_REQUEST, "fieldSelector", "FieldValueTooMany",
			        "at most 32 requirements are allowed");
		SL_TRY(parse_field_req(one, arena, &reqs[n++], diag));
	}
	ret_sel->reqs = sl_arena_zalloc_array(arena, n + 1, sizeof(reqs[0]));
	memcpy(ret_sel->reqs, reqs, n * sizeof(reqs[0]));
	ret_sel->count = n;
	return SL_OK;
}

bool sl_field_selector_matches(const struct sl_field_selector *sel, const json_t *obj)
{
	for (size_t i = 0; i < sel->count; i++) {
		sl_str value = sl_obj_get_str(obj, sel->reqs[i].path.p);

		if (sl_str_eq(sel->reqs[i].path, SL_STR("source")))
			value = sl_obj_get_str(obj, "source.component");
		if (sl_str_eq(value, sel->reqs[i].value) == sel->reqs[i].is_not)
			return false;
	}
	return true;
}

sl_str sl_field_selector_name(const struct sl_field_selector *sel)
{
	for (size_t i = 0; i < sel->count; i++)
		if (!sel->reqs[i].is_not && sl_str_eq(sel->reqs[i].path, SL_STR("metadata.name")))
			return sel->reqs[i].value;
	return SL_STR_NONE;
}
