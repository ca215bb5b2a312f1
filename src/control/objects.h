#pragma once
/*
 * Objects: the one way in for every writer. The API server and the controllers inside sluiced use the same calls, so whatever is
 * stored has been decoded, defaulted, validated and admitted the same way: uid, creationTimestamp, generation, managedFields,
 * finalizers and deletionTimestamp, ownerReferences, namespace life cycle, Service addresses.
 *
 * Ownership: results are borrowed for the callback; take references (sl_object_ref) to keep objects.
 * Threads: the loop's thread only, as the store. No callback runs inside the call it belongs to, except where said so.
 * Bodies are read and changed with model/object.h.
 */
#include "store/store.h"

struct sl_objects;

struct sl_objects_options {
	struct sl_loop *loop;
	struct sl_store *store;
	const char *data_dir;     /* keeps the seed of Service addresses; NULL: a random one, for tests */
	unsigned events_kept;     /* core/v1 Events kept in all; 0 = 2000 */
	const char *event_source; /* component name in Events of sluiced itself; NULL = "sluiced" */
};

/*
 * Namespaces default, kube-system and istio-system are there (accepted, that is visible to sl_objects_latest and written before anything that
 * comes later) when this returns; garbage collection runs from here on.
 * Errors: SL_ERR_IO and what the store says; diag tells.
 */
sl_err sl_objects_new(
        struct sl_objects **ret_objects, const struct sl_objects_options *options, struct sl_diag *diag);
/*
 * Refuses writes from here on (SL_ERR_CLOSED) and blocks until every earlier one has ended and its `done` has been called. Call it
 * before freeing what those callbacks touch. Reading and stopping watches still work.
 */
void sl_objects_stop(struct sl_objects *os);
/* Before the store is closed; stops first, if nobody did. NULL is fine. */
void sl_objects_free(struct sl_objects *os);
SL_CLEANUP_DEFINE(sl_objects_free, struct sl_objects *)

/* --- results --- */

struct sl_objects_result {
	sl_err err;
	struct sl_object
	        *object; /* the state as stored (delete: as removed, or marked for deletion); NULL on error */
	struct sl_diag *diag; /* why it failed: fields and reasons; may be empty, never NULL */
	struct sl_diag *
	        warnings; /* what was accepted and is not what it seems (unknown fields, fields not honoured); never NULL */
	bool unchanged; /* the write would have changed nothing, so nothing was written */
};
typedef void (*sl_objects_done_fn)(void *arg, const struct sl_objects_result *result);

/* --- writing --- */

enum sl_field_validation {
	SL_FIELDS_WARN,   /* unknown and repeated fields are dropped and warned about */
	SL_FIELDS_STRICT, /* they fail the request: SL_ERR_BAD_REQUEST */
	SL_FIELDS_IGNORE, /* they are dropped in silence */
};
enum sl_propagation {
	SL_PROPAGATE_BACKGROUND, /* the object goes at once, its dependents after it */
	SL_PROPAGATE_FOREGROUND, /* the dependents go first */
	SL_PROPAGATE_ORPHAN,     /* the dependents stay, without their owner reference */
};
enum sl_patch_type { SL_PATCH_JSON, SL_PATCH_MERGE, SL_PATCH_STRATEGIC, SL_PATCH_APPLY };

/* All-zero is right for controllers. */
struct sl_write_options {
	bool dry_run; /* everything but storing; `done` still runs later */
	enum sl_field_validation fields;
	sl_str manager; /* field manager; empty = the event source */
	uint64_t
	        expect_version; /* update, patch, delete: refuse another state (SL_ERR_CONFLICT); 0: update takes
	                            metadata.resourceVersion of the body, if there */
	sl_str expect_uid;      /* update, patch, delete */
	enum sl_propagation propagation; /* delete */
	bool has_grace; /* delete: grace_seconds is meant; 0 is "at once": for Pods, without waiting for the runtime */
	int64_t grace_seconds;
	bool force;  /* apply: take over fields of other managers */
	bool upsert; /* update: create when absent */
	bool *ret_created; /* update with upsert, apply: whether it was created; must live until `done`; may be NULL */
};

/*
 * Create from a body with apiVersion, kind and metadata.name or generateName. `ns` fills, or must equal, metadata.namespace (empty
 * for cluster-scoped kinds). The body's reference is taken over. `options` may be NULL in all of these, `done` too.
 * Errors in result: SL_ERR_INVALID (diag names the fields), SL_ERR_BAD_REQUEST (not decodable as that kind),
 * SL_ERR_EXISTS, SL_ERR_NOT_FOUND (namespace, or kind not known), SL_ERR_FORBIDDEN (namespace being deleted).
 */
void sl_objects_create(struct sl_objects *os, sl_str ns, json_t *body, const struct sl_write_options *options,
        sl_objects_done_fn done, void *arg);
/*
 * Replaces all but status (sl_objects_update) or status alone (sl_objects_update_status). Kinds without a status subresource
 * are replaced whole by the first. A write that would change nothing is not written (result.unchanged).
 * Errors in result: as create, and SL_ERR_CONFLICT.
 */
void sl_objects_update(struct sl_objects *os, const struct sl_object_key *key, json_t *body,
        const struct sl_write_options *options, sl_objects_done_fn done, void *arg);
void sl_objects_update_status(struct sl_objects *os, const struct sl_object_key *key, json_t *body,
        const struct sl_write_options *options, sl_objects_done_fn done, void *arg);
/* The same through an autoscaling/v1 Scale. */
void sl_objects_update_scale(struct sl_objects *os, const struct sl_object_key *key, json_t *scale,
        const struct sl_write_options *options, sl_objects_done_fn done, void *arg);
/* `subresource`: "" or "status" or "scale". The patch's reference is taken over. */
void sl_objects_patch(struct sl_objects *os, const struct sl_object_key *key, const char *subresource,
        enum sl_patch_type type, json_t *patch, const struct sl_write_options *options,
        sl_objects_done_fn done, void *arg);
/*
 * Removes the object. A Pod that has spec.nodeName (the runtime took it on) and has not ended gets deletionTimestamp and
 * deletionGracePeriodSeconds; the runtime stops it and deletes it again with grace 0. An object that finalizers hold (also
 * "foregroundDeletion", "orphan") gets deletionTimestamp; the last finalizer taken out by an update removes it. Errors in result: SL_ERR_NOT_FOUND, SL_ERR_CONFLICT.
 */
void sl_objects_delete(struct sl_objects *os, const struct sl_object_key *key,
        const struct sl_write_options *options, sl_objects_done_fn done, void *arg);

/*
 * Read, change, write: calls `fn` at once with a private copy of the newest accepted state to change in place, and writes it; when
 * a writer elsewhere came first, again with that state (so `fn` may run more than once, later, until `done`).
 * `status`: the status is what changes, else all but the status. `fn` answers SL_OK to write, SL_ERR_AGAIN to leave it as it is
 * (done gets SL_OK, unchanged), any other error to give up with it.
 */
typedef sl_err (*sl_objects_modify_fn)(void *arg, json_t *body);
void sl_objects_modify(struct sl_objects *os, const struct sl_object_key *key, bool status,
        sl_objects_modify_fn fn, sl_objects_done_fn done, void *arg);

/* --- reading: acknowledged states, borrowed until the next turn of the loop --- */

struct sl_store *sl_objects_store(struct sl_objects *os);
/* NULL when absent. */
struct sl_object *sl_objects_get(struct sl_objects *os, const struct sl_object_key *key);
/* The newest accepted state (see sl_store_latest): for a controller that must see its own last write. */
struct sl_object *sl_objects_latest(struct sl_objects *os, const struct sl_object_key *key);
/* By namespace, then name; false from `each` ends it. */
void sl_objects_each(
        struct sl_objects *os, sl_str group, sl_str plural, sl_str ns, sl_store_each_fn each, void *arg);
/* The objects whose metadata.ownerReferences hold `owner_uid` as controller; newest accepted states. */
void sl_objects_each_controlled(struct sl_objects *os, sl_str group, sl_str plural, sl_str ns,
        sl_str owner_uid, sl_store_each_fn each, void *arg);

/*
 * What a reconciler wants: ADDED for every object there is (before this returns), then every change. No event is missed or told
 * twice. plural may not be empty.
 */
sl_err sl_objects_watch(struct sl_objects *os, struct sl_store_watch **ret_watch,
        const struct sl_store_watch_filter *filter, sl_store_event_fn fn, void *arg);

/* --- events --- */

/*
 * Records a core/v1 Event about `regarding` (an object's body: its apiVersion, kind and metadata are read). The same reason and text
 * about the same object counts up instead of making another. `type`: "Normal" or "Warning"; `reason`: one CamelCase word.
 */
void sl_objects_event(struct sl_objects *os, const json_t *regarding, const char *type, const char *reason,
        const char *fmt, ...) __attribute__((format(printf, 5, 6)));
