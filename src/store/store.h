#pragma once
/*
 * The store: every object of the control plane, in memory for readers, in a back-end for good.
 *
 * Reads come from an index in memory. Writes are checked at once against the newest accepted state (so two writers of one
 * object conflict even while the first write is still on its way to the disk), handed to the back-end, and acknowledged
 * only when they are durable: then, in the order of their resource versions, the index changes, watchers are told and the
 * writer's callback runs. What was acknowledged survives kill -9.
 *
 * Ownership: objects are immutable and reference-counted; who keeps one beyond a callback takes a reference.
 * Threads: everything is called, and calls back, on the thread of the loop given at opening; only sl_object_ref, _unref and the
 * reading of an object's fields are for any thread. Callbacks never run inside the call that caused them, except the replay
 * in sl_store_watch. A callback may call anything here except sl_store_close.
 */
#include "base/diag.h"
#include "base/str.h"

#include <jansson.h>

struct sl_loop;
struct sl_store;

/* Which object: views; the store copies what it keeps. */
struct sl_object_key {
	sl_str group;  /* "" for core/v1, "apps", "argoproj.io" */
	sl_str plural; /* "pods": lower-case plural, as in the URL */
	sl_str ns;     /* "" for cluster-scoped kinds */
	sl_str name;
};
/* sl_store_get(store, SL_OBJECT_KEY("apps", "deployments", ns, name)): group and plural are literals, the others sl_str. */
#define SL_OBJECT_KEY(group_lit, plural_lit, ns_str, name_str) \
	(&(struct sl_object_key) { .group = SL_STR(group_lit), \
	        .plural = SL_STR(plural_lit),                  \
	        .ns = (ns_str),                                \
	        .name = (name_str) })

bool sl_object_key_eq(const struct sl_object_key *a, const struct sl_object_key *b);

/* One state of one object. Nothing in it changes after it is made, `body` included: copy (json_deep_copy) to modify. */
struct sl_object {
	struct sl_object_key key;  /* views into the object's own memory */
	sl_str uid;                /* metadata.uid */
	uint64_t resource_version; /* store-wide and monotone; metadata.resourceVersion is the same number */
	int64_t generation;        /* metadata.generation, 0 where the kind has none */
	json_t *body;              /* the whole object, apiVersion to status */
	sl_str json;               /* `body` serialised, compact; NUL-terminated beyond .len */
	unsigned refs;             /* atomic; see sl_object_ref */
};

/*
 * An object outside the store (an answer to a dry run). Takes the body over; version 0 leaves metadata.resourceVersion out.
 * Never NULL.
 */
struct sl_object *sl_object_new(const struct sl_object_key *key, json_t *body, uint64_t version);
struct sl_object *sl_object_ref(struct sl_object *o);
void sl_object_unref(struct sl_object *o); /* NULL is fine */
SL_CLEANUP_DEFINE(sl_object_unref, struct sl_object *)

struct sl_store_options {
	size_t history_count; /* events a watch can be resumed from; 0 = 16384, and never more than 8 MiB of objects */
	unsigned revision_count; /* revisions kept per object; 0 = 20 */
};

/*
 * Opens (and creates) the database file at `path`; one process at a time. `options` may be NULL.
 * Errors: SL_ERR_MALFORMED the file is damaged or not ours (diag says which and what to do); SL_ERR_UNAVAILABLE another process
 * holds it; SL_ERR_IO.
 */
sl_err sl_store_open_sqlite(struct sl_store **ret_store, struct sl_loop *loop, const char *path,
        const struct sl_store_options *options, struct sl_diag *diag);
/* Nothing is kept beyond sl_store_close: for tests and --dry-run servers. */
sl_err sl_store_open_memory(
        struct sl_store **ret_store, struct sl_loop *loop, const struct sl_store_options *options);
/* Blocks until every write accepted so far is durable or failed, and its callback has run. Not from within a callback. */
void sl_store_flush(struct sl_store *s);
/* Finishes every accepted write, runs the callbacks due, then frees. Watches must have been stopped. NULL is fine. */
void sl_store_close(struct sl_store *s);
SL_CLEANUP_DEFINE(sl_store_close, struct sl_store *)

/* The version of the newest acknowledged write: what a list is "as of". */
uint64_t sl_store_version(const struct sl_store *s);

/* --- reading: what has been acknowledged. The objects are borrowed until the calling callback returns. --- */

/* NULL when absent. */
struct sl_object *sl_store_get(struct sl_store *s, const struct sl_object_key *key);

typedef bool (*sl_store_each_fn)(void *arg, struct sl_object *o); /* false ends the walk */
/*
 * Walks the objects of a kind (of one namespace, or of all where ns is empty) in the order of namespace, then name.
 * `each` may update and delete objects, but create none.
 */
void sl_store_each(
        struct sl_store *s, sl_str group, sl_str plural, sl_str ns, sl_store_each_fn each, void *arg);
size_t sl_store_count(struct sl_store *s, sl_str group, sl_str plural);

/*
 * The newest accepted state, maybe not durable yet; NULL when absent or being deleted for good. Only to build the next write on:
 * should this state fail to become durable, so will every write that came after it. Borrowed like sl_store_get.
 */
struct sl_object *sl_store_latest(struct sl_store *s, const struct sl_object_key *key);
/* sl_store_each over the newest accepted states: what a writer that must not miss a write on its way looks at. */
void sl_store_each_latest(
        struct sl_store *s, sl_str group, sl_str plural, sl_str ns, sl_store_each_fn each, void *arg);

/* --- writing --- */

/* The end of a write. `o` is the state as stored (for a delete: as removed); NULL on error. Borrowed. */
typedef void (*sl_store_done_fn)(void *arg, sl_err err, struct sl_object *o);

struct sl_store_write {
	struct sl_object_key key;
	json_t *body; /* create, update: the whole object; the reference is taken over, also on error. The store sets
	                 metadata.resourceVersion in it; it must not be used afterwards. */
	uint64_t expect_version; /* update, delete: the state that must be replaced; 0 = whatever is there */
	sl_str expect_uid;       /* update, delete: empty = whatever is there */
	bool keep_revision; /* update: the state replaced is kept as a revision (off for mere status writes) */
	sl_store_done_fn done; /* NULL where nobody waits */
	void *arg;
};

/*
 * Each checks at once; on SL_OK the write is accepted and `done` runs later, exactly once; otherwise `done` is not called.
 * `done` gets SL_OK or, where the back-end failed, SL_ERR_IO. *ret_version (may be NULL) is the version the write will have.
 * Errors: SL_ERR_EXISTS (create), SL_ERR_NOT_FOUND (update, delete), SL_ERR_CONFLICT (version or uid), SL_ERR_CLOSED,
 * SL_ERR_OVER_BUDGET too many writes wait for the disk.
 */
sl_err sl_store_create(struct sl_store *s, const struct sl_store_write *w, uint64_t *ret_version);
sl_err sl_store_update(struct sl_store *s, const struct sl_store_write *w, uint64_t *ret_version);
sl_err sl_store_delete(struct sl_store *s, const struct sl_store_write *w, uint64_t *ret_version);

/* --- watching --- */

enum sl_store_event_type {
	SL_STORE_ADDED,
	SL_STORE_MODIFIED,
	SL_STORE_DELETED,
};

struct sl_store_event {
	enum sl_store_event_type type;
	uint64_t version; /* of the write; for DELETED newer than the object's last state */
	struct sl_object
	        *object; /* the new state; for DELETED the last state, with resource_version = version */
	struct sl_object
	        *old; /* MODIFIED, DELETED: the state before, so that selectors can see an object leave */
};

/* Borrowed: take references to keep objects. */
typedef void (*sl_store_event_fn)(void *arg, const struct sl_store_event *event);

struct sl_store_watch; /* opaque; dies by sl_store_watch_stop, which may be called from its own callback */

struct sl_store_watch_filter {
	sl_str group, plural; /* plural empty: every kind */
	sl_str ns;            /* empty: every namespace */
};

/*
 * Every later change in its order. from_version: changes after that version are replayed before this returns (*ret_watch is set
 * before the first one); 0 = from now on, without replay; a version in the future waits for it. Outside its callback a watch has
 * been told everything up to sl_store_version(): that number is its bookmark.
 * Errors: SL_ERR_EXPIRED when from_version is older than the history kept.
 */
sl_err sl_store_watch(struct sl_store *s, struct sl_store_watch **ret_watch,
        const struct sl_store_watch_filter *filter, uint64_t from_version, sl_store_event_fn fn, void *arg);
void sl_store_watch_stop(struct sl_store_watch *w); /* no callback after this; NULL is fine */

/* --- revisions --- */

struct sl_store_revision {
	uint64_t version; /* resourceVersion of that state */
	sl_str json;      /* the whole object as it was */
};
/* Oldest first, the current state among them. Borrowed for the call. Errors: SL_OK with count 0 when none; SL_ERR_IO. */
typedef void (*sl_store_revisions_fn)(
        void *arg, sl_err err, const struct sl_store_revision *revisions, size_t count);
/* Reads all revisions kept of an object, or the one of `version` where that is not 0. `done` runs exactly once, later. */
void sl_store_revisions(struct sl_store *s, const struct sl_object_key *key, uint64_t version,
        sl_store_revisions_fn done, void *arg);

/* --- figures for /metrics --- */

struct sl_store_stats {
	uint64_t objects, watches;
	uint64_t writes, failed_writes, conflicts; /* since opening; writes are acknowledged ones */
	uint64_t commits;                          /* group commits: writes / commits is the group size */
	uint64_t waiting_writes;                   /* accepted, not yet durable */
	uint64_t events_sent;
};
/* What the back-end said when it last failed a write ("database or disk is full"); "" when it never did. Borrowed. */
const char *sl_store_last_failure(const struct sl_store *s);
void sl_store_read_stats(const struct sl_store *s, struct sl_store_stats *ret_stats);
