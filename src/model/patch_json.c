/* RFC 6902 JSON Patch with RFC 6901 pointers. */
#include "model/patch.h"

#include "model/object.h"
#include "model/validate.h"

#include <stdio.h>

/* What the operations of one patch may add, in values and in bytes: copy could double the document each time. */
enum { NODES_MOST = 1 << 20, BYTES_MOST = 16 << 20 };

struct pointer {          /* "/a/b" against a document: the container, and the last token in it */
	json_t *parent;   /* NULL when the pointer is "", the whole document */
	const char *last; /* token, unescaped */
	size_t depth;     /* tokens in all */
};

struct patching {
	json_t *doc; /* owned; replaced when an operation replaces the whole */
	struct sl_arena arena;
	struct sl_diag *diag;
	size_t op_index;
	size_t nodes, bytes; /* added so far */
};

static sl_err fail(struct patching *p, sl_err err, const char *wanted)
{
	char path[32];

	snprintf(path, sizeof(path), "[%zu]", p->op_index);
	return sl_diag_fail(p->diag, err, path, "FieldValueInvalid", "%s", wanted);
}

static size_t count_nodes(const json_t *v)
{
	const char *key;
	size_t n = 1, i;
	json_t *sub;

	SL_OBJ_FOR (v, key, sub)
		n += count_nodes(sub);
	json_array_foreach (v, i, sub)
		n += count_nodes(sub);
	return n;
}

/* Every value that enters the document passes here: returns a copy, in *ret_copy, of bounded size and depth. */
static sl_err admit(struct patching *p, const json_t *value, size_t depth, json_t **ret_copy)
{
	if (depth > SL_OBJECT_DEPTH_MOST ||
	        !sl_json_depth_ok(value, (unsigned)(SL_OBJECT_DEPTH_MOST - depth)))
		return fail(p, SL_ERR_TOO_BIG, "the result would be nested too deep");
	p->nodes += count_nodes(value);
	p->bytes += sl_json_weight(value);
	if (p->nodes > NODES_MOST || p->bytes > BYTES_MOST)
		return fail(p, SL_ERR_TOO_BIG, "the patch makes the document too large");
	*ret_copy = json_deep_copy(value);
	return SL_OK;
}

/* "~1" is '/', "~0" is '~'. Errors: SL_ERR_BAD_REQUEST (any other '~'). */
static sl_err unescape(struct patching *p, sl_str token, const char **ret_token)
{
	char *out = sl_arena_alloc(&p->arena, token.len + 1), *at = out;

	for (size_t i = 0; i < token.len; i++) {
		if (token.p[i] != '~') {
			*at++ = token.p[i];
			continue;
		}
		i++;
		if (i == token.len || (token.p[i] != '0' && token.p[i] != '1'))
			return fail(p, SL_ERR_BAD_REQUEST, "in a path, '~' stands only in ~0 and ~1");
		*at++ = token.p[i] == '0' ? '~' : '/';
	}
	*at = 0;
	*ret_token = out;
	return SL_OK;
}

/* An array index: digits without leading zeros, below `end`; "-" is `end` itself where that is allowed. */
static bool array_index(const char *token, size_t end, bool at_end_allowed, size_t *ret_index)
{
	uint64_t n;

	if (at_end_allowed && strcmp(token, "-") == 0) {
		*ret_index = end;
		return true;
	}
	if ((token[0] == '0' && token[1]) || sl_str_to_u64(sl_str_c(token), &n) != SL_OK || n > end ||
	        (n == end && !at_end_allowed))
		return false;
	*ret_index = (size_t)n;
	return true;
}

static json_t *child(json_t *parent, const char *token)
{
	size_t i;

	if (json_is_object(parent))
		return json_object_get(parent, token);
	if (json_is_array(parent) && array_index(token, json_array_size(parent), false, &i))
		return json_array_get(parent, i);
	return NULL;
}

/* Errors: SL_ERR_BAD_REQUEST (no pointer), SL_ERR_INVALID (a container on the way is absent). */
static sl_err resolve(struct patching *p, const json_t *op, const char *member, struct pointer *ret_at)
{
	const json_t *text = json_object_get(op, member);
	struct pointer at = { 0 };
	sl_str rest, token;
	bool more;

	if (!json_is_string(text))
		return fail(p, SL_ERR_BAD_REQUEST, "path, and for move and copy from, must be a string");
	rest = sl_json_str(text);
	if (rest.len > 0 && rest.p[0] != '/')
		return fail(p, SL_ERR_BAD_REQUEST, "a path begins with '/'");
	more = rest.len > 0;
	rest = sl_str_skip(rest, more ? 1 : 0);
	while (more) {
		at.parent = at.parent ? child(at.parent, at.last) : p->doc;
		if (!json_is_object(at.parent) && !json_is_array(at.parent))
			return fail(p, SL_ERR_INVALID, "the path leads through something that is not there");
		more = sl_str_split(&rest, '/', &token);
		SL_TRY(unescape(p, token, &at.last));
		at.depth++;
	}
	*ret_at = at;
	return SL_OK;
}

static json_t *get(struct patching *p, const struct pointer *at)
{
	return at->parent ? child(at->parent, at->last) : p->doc;
}

/* Takes over `value`, also on failure. */
static sl_err add(struct patching *p, const struct pointer *at, json_t *value)
{
	size_t i;

	if (!at->parent) {
		json_decref(p->doc);
		p->doc = value;
	} else if (json_is_object(at->parent)) {
		json_object_set_new(at->parent, at->last, value);
	} else if (array_index(at->last, json_array_size(at->parent), true, &i)) {
		json_array_insert_new(at->parent, i, value);
	} else {
		json_decref(value);
		return fail(p, SL_ERR_INVALID, "the index is outside the list");
	}
	return SL_OK;
}

static sl_err remove_at(struct patching *p, const struct pointer *at)
{
	size_t i;

	if (!get(p, at))
		return fail(p, SL_ERR_INVALID, "the path names something that is not there");
	if (!at->parent)
		return fail(p, SL_ERR_INVALID, "the whole document cannot be removed");
	if (json_is_object(at->parent))
		json_object_del(at->parent, at->last);
	else if (array_index(at->last, json_array_size(at->parent), false, &i))
		json_array_remove(at->parent, i);
	return SL_OK;
}

static sl_err replace(struct patching *p, const struct pointer *at, json_t *value) /* takes over `value` */
{
	size_t i;

	if (!get(p, at)) {
		json_decref(value);
		return fail(p, SL_ERR_INVALID, "the path names something that is not there");
	}
	if (json_is_array(at->parent) && array_index(at->last, json_array_size(at->parent), false, &i)) {
		json_array_set_new(at->parent, i, value);
		return SL_OK;
	}
	return add(p, at, value);
}

static bool equal(const json_t *a, const json_t *b)
{
	if (json_is_number(a) && json_is_number(b)) /* RFC 6902 section 4.6: numerically equal */
		return json_number_value(a) == json_number_value(b);
	return json_equal(a, b);
}

static sl_err op_add(struct patching *p, const json_t *op, const struct pointer *at)
{
	json_t *value = json_object_get(op, "value"), *copy;

	if (!value)
		return fail(p, SL_ERR_BAD_REQUEST, "value is missing");
	SL_TRY(admit(p, value, at->depth, &copy));
	return add(p, at, copy);
}

static sl_err op_replace(struct patching *p, const json_t *op, const struct pointer *at)
{
	json_t *value = json_object_get(op, "value"), *copy;

	if (!value)
		return fail(p, SL_ERR_BAD_REQUEST, "value is missing");
	SL_TRY(admit(p, value, at->depth, &copy));
	return replace(p, at, copy);
}

static sl_err op_remove(struct patching *p, const json_t *op, const struct pointer *at)
{
	(void)op;
	return remove_at(p, at);
}

static sl_err op_test(struct patching *p, const json_t *op, const struct pointer *at)
{
	const json_t *value = json_object_get(op, "value"), *is = get(p, at);

	if (!value)
		return fail(p, SL_ERR_BAD_REQUEST, "value is missing");
	if (!is || !equal(is, value))
		return fail(p, SL_ERR_INVALID, "the test failed: the value is another");
	return SL_OK;
}

static sl_err op_copy(struct patching *p, const json_t *op, const struct pointer *at)
{
	struct pointer from;
	json_t *copy;

	SL_TRY(resolve(p, op, "from", &from));
	if (!get(p, &from))
		return fail(p, SL_ERR_INVALID, "from names something that is not there");
	SL_TRY(admit(p, get(p, &from), at->depth, &copy));
	return add(p, at, copy);
}

static sl_err op_move(struct patching *p, const json_t *op, const struct pointer *at)
{
	sl_str from_text = sl_obj_get_str(op, "from"), path = sl_obj_get_str(op, "path");
	struct pointer from, to;
	json_t *copy;

	(void)at; /* found again below, since removing may move it */
	SL_TRY(resolve(p, op, "from", &from));
	if (!get(p, &from))
		return fail(p, SL_ERR_INVALID, "from names something that is not there");
	if (sl_str_eq(from_text, path))
		return SL_OK;
	if (sl_str_starts(path, from_text) && path.p[from_text.len] == '/')
		return fail(p, SL_ERR_INVALID, "a value cannot be moved into itself");
	SL_TRY(admit(p, get(p, &from), at->depth, &copy));
	if (remove_at(p, &from) != SL_OK || resolve(p, op, "path", &to) != SL_OK) {
		json_decref(copy);
		return SL_ERR_INVALID;
	}
	return add(p, &to, copy);
}

static const struct {
	const char *name;
	sl_err (*run)(struct patching *p, const json_t *op, const struct pointer *at);
} ops[] = {
	{ "add", op_add },
	{ "remove", op_remove },
	{ "replace", op_replace },
	{ "move", op_move },
	{ "copy", op_copy },
	{ "test", op_test },
};

static sl_err run_op(struct patching *p, const json_t *op)
{
	sl_str name = sl_obj_get_str(op, "op");
	struct pointer at;

	for (size_t i = 0; i < SL_ARRAY_COUNT(ops); i++) {
		if (!sl_str_eq_c(name, ops[i].name))
			continue;
		SL_TRY(resolve(p, op, "path", &at));
		return ops[i].run(p, op, &at);
	}
	return fail(p, SL_ERR_BAD_REQUEST, "op must be add, remove, replace, move, copy or test");
}

sl_err sl_patch_json(const json_t *doc, const json_t *patch, json_t **ret_doc, struct sl_diag *diag)
{
	struct patching p = { .diag = diag };
	sl_err err = SL_OK;
	json_t *op;

	if (!json_is_array(patch))
		return sl_diag_fail(diag, SL_ERR_BAD_REQUEST, NULL, "FieldValueTypeInvalid",
		        "a JSON patch is a list of operations");
	if (json_array_size(patch) > SL_PATCH_OPS_MOST)
		return sl_diag_fail(diag, SL_ERR_TOO_BIG, NULL, "FieldValueTooMany",
		        "at most %d operations are allowed", (int)SL_PATCH_OPS_MOST);
	if (!sl_json_depth_ok(doc, SL_OBJECT_DEPTH_MOST))
		return sl_diag_fail(
		        diag, SL_ERR_TOO_BIG, NULL, "FieldValueTooLong", "the document is nested too deep");
	p.doc = json_deep_copy(doc);
	json_array_foreach (patch, p.op_index, op)
		if ((err = run_op(&p, op)) != SL_OK)
			break;
	sl_arena_fini(&p.arena);
	if (err == SL_OK)
		*ret_doc = p.doc;
	else
		json_decref(p.doc);
	return err;
}
