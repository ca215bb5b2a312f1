#pragma once
/*
 * Fills in what the user left out: the schema's defaults, then the few that depend on other fields (targetPort = port, ...).
 * Doing it twice changes nothing.
 * Ownership: changes the object in place.       Threads: one owner.
 */
#include "base/units.h"
#include "model/kind.h"

void sl_defaults_apply(const struct sl_kind *kind, json_t *obj);

/*
 * metadata of a new object: uid, creationTimestamp, generation 1; drops what a client may not set (resourceVersion,
 * deletionTimestamp, managedFields, selfLink). apiVersion becomes the storage version. generateName needs `suffix` (5 characters of
 * the safe alphabet), used only when name is absent.
 */
struct sl_meta_stamp {
	sl_str uid, suffix;
	sl_nsec now; /* Unix time */
};
void sl_meta_stamp_new(const struct sl_kind *kind, json_t *obj, const struct sl_meta_stamp *stamp);
/*
 * metadata of an update: what belongs to the server comes from `old`; generation is one more when anything but metadata and status
 * changed. Kinds with a status subresource keep old's status (is_status false) or everything but status and metadata (is_status true).
 */
void sl_meta_carry(const struct sl_kind *kind, const json_t *old, json_t *obj, bool is_status);
