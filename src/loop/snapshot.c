#include "loop/snapshot.h"

#include "loop/loop_priv.h"
#include "os/thread.h"

#include <pthread.h>
#include <urcu-qsbr.h>

char sl_loop_quiescence;

/*
 * The reclamation thread: takes all that was retired in one go, waits until every reader has passed a quiescent state, then
 * runs the calls. Process-wide, as liburcu's reader registry is; started by the first retirement.
 */
struct retired {
	struct retired *next;
	struct sl_snapshot *snap;
	void (*fn)(struct sl_snapshot *snap);
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct retired *queue; /* newest first */
	struct sl_thread thread;
	bool started, stopping;
} reclaim = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void run_batch(struct retired *batch)
{
	struct retired *in_order = NULL;

	while (batch) {
		struct retired *next = batch->next;

		batch->next = in_order;
		in_order = batch;
		batch = next;
	}
	urcu_qsbr_synchronize_rcu();
	SL_TSAN_ACQUIRE(&sl_loop_quiescence);
	while (in_order) {
		struct retired *next = in_order->next;

		in_order->fn(in_order->snap);
		sl_free(in_order);
		in_order = next;
	}
}

static void reclaim_main(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&reclaim.lock);
	while (reclaim.queue || !reclaim.stopping) {
		struct retired *batch = reclaim.queue;

		if (!batch) {
			pthread_cond_wait(&reclaim.changed, &reclaim.lock);
			continue;
		}
		reclaim.queue = NULL;
		pthread_mutex_unlock(&reclaim.lock);
		run_batch(batch);
		pthread_mutex_lock(&reclaim.lock);
	}
	pthread_mutex_unlock(&reclaim.lock);
}

/* Runs fn(snap) on the reclamation thread after a grace period. */
static void retire(struct sl_snapshot *snap, void (*fn)(struct sl_snapshot *snap))
{
	struct retired *r = sl_new(sizeof(*r));

	pthread_mutex_lock(&reclaim.lock);
	*r = (struct retired) { .next = reclaim.queue, .snap = snap, .fn = fn };
	reclaim.queue = r;
	if (!reclaim.started) {
		reclaim.stopping = false;
		/* Without a thread the queue waits for the next try; nothing is freed too early. */
		reclaim.started = sl_thread_start(&reclaim.thread, "sl-reclaim", reclaim_main, NULL) == SL_OK;
	}
	pthread_cond_signal(&reclaim.changed);
	pthread_mutex_unlock(&reclaim.lock);
}

void sl_snapshot_reclaim_stop(void)
{
	bool started;

	pthread_mutex_lock(&reclaim.lock);
	reclaim.stopping = true;
	started = reclaim.started;
	pthread_cond_signal(&reclaim.changed);
	pthread_mutex_unlock(&reclaim.lock);
	if (started)
		sl_thread_join(&reclaim.thread);
	reclaim.started = false;
}

/* --- snapshots --- */

void sl_snapshot_init(struct sl_snapshot *snap, void (*free_fn)(struct sl_snapshot *snap))
{
	*snap = (struct sl_snapshot) { .refs = 1, .free_fn = free_fn };
}

static void drop_now(struct sl_snapshot *snap)
{
	if (__atomic_sub_fetch(&snap->refs, 1, __ATOMIC_ACQ_REL) == 0)
		snap->free_fn(snap);
}

static void free_now(struct sl_snapshot *snap)
{
	snap->free_fn(snap);
}

void sl_snapshot_unref(struct sl_snapshot *snap)
{
	if (snap && __atomic_sub_fetch(&snap->refs, 1, __ATOMIC_ACQ_REL) == 0)
		retire(snap, free_now); /* freeing a large one is not the worker's work */
}

void sl_snapshot_publish(struct sl_snapshot_slot *slot, struct sl_snapshot *snap)
{
	struct sl_snapshot *old = __atomic_exchange_n(&slot->current, snap, __ATOMIC_ACQ_REL);

	/* A reader may have loaded `old` and not yet counted itself: the slot's reference goes only after a grace period. */
	if (old)
		retire(old, drop_now);
}

struct sl_snapshot *sl_snapshot_get(struct sl_snapshot_slot *slot)
{
	struct sl_snapshot *snap = __atomic_load_n(&slot->current, __ATOMIC_ACQUIRE);

	if (snap)
		__atomic_add_fetch(&snap->refs, 1, __ATOMIC_RELAXED);
	return snap;
}

/* --- views --- */

void sl_view_free_(struct sl_view *view)
{
	sl_snapshot_unref(view->snap);
	sl_free(view);
}

void sl_snapshot_reader_init(struct sl_snapshot_reader *r, struct sl_snapshot_slot *slot)
{
	*r = (struct sl_snapshot_reader) { .slot = slot };
}

struct sl_view *sl_snapshot_reader_renew_(struct sl_snapshot_reader *r)
{
	struct sl_snapshot *snap = sl_snapshot_get(r->slot);

	if (r->view)
		sl_view_drop(r->view);
	r->view = NULL;
	if (snap) {
		r->view = sl_new(sizeof(*r->view));
		*r->view = (struct sl_view) { .snap = snap, .holds = 1 };
	}
	return r->view;
}

void sl_snapshot_reader_fini(struct sl_snapshot_reader *r)
{
	if (r->view)
		sl_view_drop(r->view);
	r->view = NULL;
}
