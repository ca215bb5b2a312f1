#pragma once
/*
 * Published snapshots: built whole off the data path, const once published, swapped by one release store. Workers see the
 * new one at the start of their next turn; what began with an old one keeps it. The last user's release hands the old one
 * to a reclamation thread, which waits for quiescence (liburcu-qsbr) and frees it, so a worker never frees a large one.
 *
 *   publisher:  sl_snapshot_publish(&slot, &snap->head)
 *   worker:     view = sl_snapshot_reader_view(&reader); stream->view = sl_view_hold(view); ... sl_view_drop(stream->view)
 *
 * Ownership: the slot holds one reference, every worker's view one more; sl_view counts a worker's streams without atomics.
 * Threads: publish from one thread at a time; a reader and its views belong to one loop that runs with config.rcu.
 */
#include "loop/loop.h"

/* Embedded at the head of what is published. */
struct sl_snapshot {
	uint32_t refs;                             /* atomic */
	void (*free_fn)(struct sl_snapshot *snap); /* runs on the reclamation thread */
};

struct sl_snapshot_slot {
	struct sl_snapshot *current; /* atomic; NULL before the first */
};

/* A fresh snapshot has one reference, its maker's. */
void sl_snapshot_init(struct sl_snapshot *snap, void (*free_fn)(struct sl_snapshot *snap));
/* Takes over the caller's reference; NULL takes the current one out. */
void sl_snapshot_publish(struct sl_snapshot_slot *slot, struct sl_snapshot *snap);
/* The current one with a reference of the caller's, or NULL. The caller's thread must run a loop with config.rcu. */
struct sl_snapshot *sl_snapshot_get(struct sl_snapshot_slot *slot);
void sl_snapshot_unref(struct sl_snapshot *snap); /* NULL is fine */

/* A worker's sight of one snapshot, shared by its streams. */
struct sl_view {
	struct sl_snapshot *snap;
	uint32_t holds; /* streams, and the reader while this is its newest */
};

struct sl_snapshot_reader {
	struct sl_snapshot_slot *slot;
	struct sl_view *view; /* newest seen; NULL before the first */
};

void sl_snapshot_reader_init(struct sl_snapshot_reader *r, struct sl_snapshot_slot *slot);
void sl_snapshot_reader_fini(struct sl_snapshot_reader *r);
struct sl_view *sl_snapshot_reader_renew_(struct sl_snapshot_reader *r); /* internal */

/* The newest view; one load and compare while nothing changed. NULL where nothing is published. Valid till the next call, unless held. */
static inline struct sl_view *sl_snapshot_reader_view(struct sl_snapshot_reader *r)
{
	struct sl_snapshot *now = __atomic_load_n(&r->slot->current, __ATOMIC_ACQUIRE);

	if (SL_LIKELY(r->view && r->view->snap == now))
		return r->view;
	return sl_snapshot_reader_renew_(r);
}

static inline struct sl_view *sl_view_hold(struct sl_view *view)
{
	view->holds++;
	return view;
}
void sl_view_free_(struct sl_view *view); /* internal */
static inline void sl_view_drop(struct sl_view *view)
{
	if (--view->holds == 0)
		sl_view_free_(view);
}

/* Waits until all that was retired before is freed, and ends the reclamation thread. Call with all readers gone: end of main, tests. */
void sl_snapshot_reclaim_stop(void);
