#pragma once
/*
 * Fields that are understood and stored but not acted on yet. A user who sets one is told by a status condition, never ignored.
 * Ownership: nothing is kept.       Threads: any; pure.
 */
#include "base/units.h"
#include "model/kind.h"

/* Adds one item per set-but-not-honoured field (path, reason "FieldNotHonoured", what happens instead). True when all is honoured. */
bool sl_honoured_check(const struct sl_kind *kind, const json_t *obj, struct sl_diag *found);

/*
 * Keeps the condition "FieldsHonoured" in status: "False" with the paths where something is not; removed again once all is.
 * An object that never had such a field gets no condition. True when the object changed.
 */
bool sl_honoured_condition(const struct sl_kind *kind, json_t *obj, sl_nsec now);

/* Whether objects of the kind have a place for such a condition: status.conditions, or status.parents of a route ("Accepted" there). */
bool sl_honoured_has_condition(const struct sl_kind *kind);
