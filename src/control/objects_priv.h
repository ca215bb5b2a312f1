#pragma once
/*
 * Inside the object layer: one request on its way (struct sl_op), admission, garbage collection, events, Service addresses.
 */
#include "base/map.h"
#include "control/objects.h"
#include "loop/loop.h"
#include "model/kind.h"
#include "os/random.h"

/* --- garbage collection: objects_gc.c --- */

struct sl_gc {
	struct sl_map nodes;   /* sl_gc_node.map, by uid */
	struct sl_list checks; /* sl_gc_node.check: to be looked at by the task */
	struct sl_task task;
	struct sl_store_watch *watch;
};

sl_err sl_gc_start(struct sl_objects *os);
void sl_gc_stop(struct sl_objects *os);

/* --- Events: objects_events.c --- */

struct sl_recorder {
	struct sl_map series;  /* sl_series.map: by object, type, reason and text */
	struct sl_list oldest; /* sl_series.age, and Events of others: oldest first */
	struct sl_map names;   /* sl_series.by_name: one per Event */
	struct sl_store_watch *watch;
	struct sl_task task; /* trims */
};

sl_err sl_recorder_start(struct sl_objects *os);
void sl_recorder_stop(struct sl_objects *os);

struct sl_objects {
	struct sl_loop *loop;
	struct sl_store *store;
	char *source; /* event source and default field manager */
	size_t events_kept;
	uint64_t address_seed; /* of Service addresses */
	struct sl_prng prng;   /* name suffixes */
	struct sl_list ops;    /* sl_op.link: requests not ended */
	bool stopping;         /* refuses new requests */
	struct sl_gc gc;
	struct sl_recorder recorder;
};

/* One request, from the call to `done`. */
struct sl_op {
	struct sl_list link;
	struct sl_objects *os;
	struct sl_task task;             /* ends it after the call that began it */
	struct sl_write_options options; /* its strings are not kept */
	sl_objects_done_fn done;
	void *arg;
	sl_err err;
	struct sl_object *object;
	struct sl_diag diag, warnings;
	bool unchanged;
	bool applying; /* server-side apply: the body's managedFields are ours, not the client's */
};

/* Defers the end: for what is known inside the call. Takes `object` over. */
void sl_op_end(struct sl_op *op, sl_err err, struct sl_object *object);

/* --- admission: objects_admit.c --- */

/* Makes `body` what is stored for a new object. *ret_key points into the body. */
sl_err sl_admit_create(
        struct sl_op *op, const struct sl_kind *kind, sl_str ns, json_t *body, struct sl_object_key *ret_key);
/* The same for one that replaces `old`. */
enum sl_part { SL_PART_SPEC, SL_PART_STATUS };
sl_err sl_admit_update(struct sl_op *op, const struct sl_kind *kind, const struct sl_object *old,
        json_t *body, enum sl_part part);
/* Whether the namespace takes new objects. Errors: SL_ERR_NOT_FOUND, SL_ERR_FORBIDDEN. */
sl_err sl_admit_namespace(struct sl_objects *os, sl_str ns, struct sl_diag *diag);

/* --- Service addresses: objects_service.c --- */

/* The seed kept in data_dir, or a random one without. */
sl_err sl_service_seed(const char *data_dir, uint64_t *ret_seed, struct sl_diag *diag);
/* Sets spec.clusterIP where the Service needs one. `old`: the state before, or NULL. */
sl_err sl_service_admit(struct sl_objects *os, const json_t *old, json_t *body, struct sl_diag *warnings,
        struct sl_diag *diag);

/* --- scale: objects_scale.c --- */

/* The autoscaling/v1 Scale of an object (new reference). */
json_t *sl_scale_of(const struct sl_kind *kind, const struct sl_object *o);
/* Sets spec.replicas in a copy of the object's body from a Scale. Errors: SL_ERR_INVALID. */
sl_err sl_scale_set(const struct sl_object *o, const json_t *scale, json_t **ret_body, struct sl_diag *diag);

/* --- shared --- */

json_t *sl_metadata(json_t *body); /* made where missing */
bool sl_has_finalizer(const json_t *body, const char *name);
bool sl_is_deleting(const json_t *body);
const struct sl_kind *sl_kind_of_key(const struct sl_object_key *key);
