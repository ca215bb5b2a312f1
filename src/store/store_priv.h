#pragma once
/*
 * Inside the store: objects' making, the index, and what a back-end offers and owes.
 *
 * A write is a job. The front (store.c) checks it against the accepted state, numbers it and submits it; the back-end makes it durable,
 * in the order of submission, and returns it on the loop's thread through sl_store_job_done. So index, history, watches and
 * conflicts are written once, and a back-end is only durability.
 */
#include "base/list.h"
#include "store/store.h"

/* --- jobs and back-ends --- */

enum sl_store_job_kind { SL_JOB_PUT, SL_JOB_DELETE, SL_JOB_REVISIONS };

struct sl_store_slot;

struct sl_store_job {
	struct sl_list link;
	enum sl_store_job_kind kind;
	struct sl_object
	        *object; /* PUT: the new state; DELETE: the last state with the delete's version; else NULL */
	struct sl_object_key key;   /* views: into object, or into arena for REVISIONS */
	bool keep_revision;         /* PUT: keep the state replaced */
	uint64_t epoch;             /* see sl_store_ops.submit */
	sl_err err;                 /* set by the back-end */
	char *failure;              /* set by the back-end with err: its own words, or NULL */
	struct sl_store_slot *slot; /* the front's; the back-end leaves it alone */
	sl_store_done_fn done;
	void *arg;

	/* REVISIONS */
	uint64_t version; /* 0 = all */
	sl_store_revisions_fn revisions_done;
	struct sl_arena arena; /* holds what `revisions` points to */
	struct sl_store_revision *revisions;
	size_t revision_count;
};

/* Called for each stored object at loading, in order of group, plural, namespace, name; the strings are borrowed. */
typedef sl_err (*sl_store_load_fn)(
        void *arg, const struct sl_object_key *key, uint64_t version, sl_str json, struct sl_diag *diag);

struct sl_store_ops {
	const char *name;
	/* Once, before any job. *ret_version: the highest version ever given out durably. */
	sl_err (*load)(
	        void *backend, sl_store_load_fn each, void *arg, uint64_t *ret_version, struct sl_diag *diag);
	/*
	 * Takes the job over, gives it back by sl_store_job_done on the loop's thread, never inside submit, in order. A back-end
	 * that fails a write fails every later write of the same or an older epoch too, because they were built on it; the front
	 * begins a new epoch when it has seen the failure.
	 */
	void (*submit)(void *backend, struct sl_store_job *job);
	/* Blocks until every submitted job has been given back (on this thread, which is the loop's). */
	void (*drain)(void *backend);
	void (*free)(void *backend); /* after drain */
	uint64_t (*commits)(const void *backend);
};

struct sl_store *sl_store_new(struct sl_loop *loop, const struct sl_store_options *options,
        const struct sl_store_ops *ops, void *backend);
/* Fills the index from the back-end. */
sl_err sl_store_load(struct sl_store *s, struct sl_diag *diag);
/* Takes the job over. */
void sl_store_job_done(struct sl_store *s, struct sl_store_job *job);
void sl_store_job_free(struct sl_store_job *job);

enum { SL_STORE_REVISIONS_DEFAULT = 20, SL_STORE_HISTORY_DEFAULT = 16384, SL_STORE_WAITING_MOST = 65536 };

/* --- the index: per kind, slots sorted by namespace and name --- */

struct sl_store_slot {
	struct sl_object *now;  /* acknowledged; NULL while the first create is on its way */
	struct sl_object *next; /* the newest accepted state while writes are on their way; NULL = deleted */
	unsigned inflight;      /* writes on their way */
	uint64_t epoch;         /* of the newest write; `next` counts only while this is the store's epoch */
	sl_str ns, name;        /* into text */
	struct sl_store_kind *kind;
	char text[];
};

struct sl_store_kind {
	struct sl_store_kind *next;
	char *group, *plural;
	sl_str group_str, plural_str;
	struct sl_store_slot **slots; /* sorted */
	size_t count, cap;
	size_t live; /* slots with an acknowledged state */
};

struct sl_store_index {
	struct sl_store_kind *kinds;
};

void sl_store_index_fini(struct sl_store_index *ix);
struct sl_store_kind *sl_store_index_kind(
        const struct sl_store_index *ix, sl_str group, sl_str plural); /* or NULL */
struct sl_store_slot *sl_store_index_get(
        const struct sl_store_index *ix, const struct sl_object_key *key); /* or NULL */
struct sl_store_slot *sl_store_index_add(
        struct sl_store_index *ix, const struct sl_object_key *key); /* finds or makes */
void sl_store_index_remove(struct sl_store_slot *slot);
/* The first slot at or after the namespace; kind->count when none. */
size_t sl_store_kind_first(const struct sl_store_kind *k, sl_str ns);
