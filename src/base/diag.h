#pragma once
/*
 * Human detail beside an sl_err: one entry per problem, each with the field it is about and what would be right.
 * Every function that takes a struct sl_diag * accepts NULL (the detail is then dropped).
 * Ownership: embedded; sl_diag_fini frees it; all-zero is valid.       Threads: one owner.
 */
#include "base/arena.h"
#include "base/list.h"

struct sl_diag_item {
	struct sl_diag_item *next;
	sl_str field; /* "spec.http[0].route[1].weight"; empty where no field is meant */
	sl_str reason; /* Kubernetes cause word: "FieldValueInvalid", "FieldValueRequired", ...; may be empty */
	sl_str text;   /* "110 is not allowed: weights are 0 to 100" */
};

struct sl_diag {
	struct sl_arena arena;
	struct sl_diag_item *items, *last; /* in order of discovery */
	size_t count;                      /* of items kept; capped at SL_DIAG_MOST */
	size_t dropped;                    /* found beyond the cap */
};

enum { SL_DIAG_MOST = 64 };

void sl_diag_fini(struct sl_diag *d);
/* Adds one problem. `field` and `reason` may be NULL. */
void sl_diag_add(struct sl_diag *d, const char *field, const char *reason, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));
/* Everything on one line: "field: text; field: text", owned by d; "" when empty or NULL. */
const char *sl_diag_text(struct sl_diag *d);

/* sl_diag_add and the error in one: return sl_diag_fail(diag, SL_ERR_INVALID, path, "FieldValueInvalid", "..."); */
#define sl_diag_fail(d, err, ...) (sl_diag_add((d), __VA_ARGS__), (err))

static inline void sl_diag_fini_cleanup_(
        struct sl_diag *d) /* SL_CLEANUP(sl_diag_fini) struct sl_diag d = { 0 }; */
{
	sl_diag_fini(d);
}
