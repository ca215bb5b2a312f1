#pragma once
/*
 * Label selectors, in the string form of queries ("app=web,tier in (a,b),!canary") and as LabelSelector objects; field selectors.
 * A selector without requirements matches everything.
 * Ownership: requirements live in the arena given to the parser.       Threads: const once parsed; matching is pure.
 */
#include "base/arena.h"
#include "base/diag.h"

#include <jansson.h>

enum sl_selector_op {
	SL_SELECT_IN,     /* also "=" and "==" */
	SL_SELECT_NOT_IN, /* also "!="; an absent key matches */
	SL_SELECT_EXISTS,
	SL_SELECT_ABSENT,
	SL_SELECT_GT, /* integers */
	SL_SELECT_LT,
};

struct sl_selector_req {
	sl_str key;
	enum sl_selector_op op;
	sl_str *values;
	size_t values_count;
};

struct sl_selector {
	struct sl_selector_req *reqs;
	size_t count;
};

/* Errors: SL_ERR_BAD_REQUEST. */
sl_err sl_selector_parse(
        sl_str text, struct sl_arena *arena, struct sl_selector *ret_sel, struct sl_diag *diag);
/* A LabelSelector {matchLabels, matchExpressions}. NULL or {} matches everything. Errors: SL_ERR_INVALID. */
sl_err sl_selector_from_object(
        const json_t *selector, struct sl_arena *arena, struct sl_selector *ret_sel, struct sl_diag *diag);
/* A plain map {app: web}, as in Service.spec.selector. Errors: SL_ERR_INVALID. */
sl_err sl_selector_from_map(
        const json_t *map, struct sl_arena *arena, struct sl_selector *ret_sel, struct sl_diag *diag);

/* `labels` is metadata.labels; NULL is no labels. */
bool sl_selector_matches(const struct sl_selector *sel, const json_t *labels);
/* The query form, in the arena. */
sl_str sl_selector_text(const struct sl_selector *sel, struct sl_arena *arena);

/*
 * Field selectors: "metadata.name=x,status.phase!=Running". Any path whose value is a string, number or boolean may be named as long as the
 * kind-independent list of selector.c has it. Errors: SL_ERR_BAD_REQUEST (syntax, or a field that cannot be selected on).
 */
struct sl_field_req {
	sl_str path, value;
	bool is_not;
};
struct sl_field_selector {
	struct sl_field_req *reqs;
	size_t count;
};
sl_err sl_field_selector_parse(
        sl_str text, struct sl_arena *arena, struct sl_field_selector *ret_sel, struct sl_diag *diag);
bool sl_field_selector_matches(const struct sl_field_selector *sel, const json_t *obj);
/* The name demanded by metadata.name=; empty when none is. Lets a list be answered by a get. */
sl_str sl_field_selector_name(const struct sl_field_selector *sel);
