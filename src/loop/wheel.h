#pragma once
/*
 * Timers on a hierarchical wheel of 1 ms ticks: 7 levels of 64 slots, which reaches past a century. A timer lies at the level of
 * the highest base-64 digit in which its tick differs from now, so setting and removing are O(1), and a timer is moved down
 * at most 6 times. A timer whose deadline moves later stays where it is and is placed anew when its slot comes due: re-arming an
 * idle timeout is one store.
 * Source: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987).
 * Ownership: timers are embedded in their objects.       Threads: one owner.
 */
#include "base/units.h"

#include <stdbool.h>

struct sl_loop;

struct sl_timer {
	struct sl_timer *next, **at; /* at: what points to us; NULL while not armed */
	sl_nsec deadline;            /* when to fire; never before `queued` */
	sl_nsec queued;              /* when its slot is looked at */
	void (*fn)(struct sl_loop *loop, struct sl_timer *t);
	uint16_t slot; /* level * 64 + slot within; or the due list */
};

typedef void (*sl_timer_fn)(struct sl_loop *loop, struct sl_timer *t);

enum { SL_WHEEL_BITS = 6, SL_WHEEL_SLOTS = 64, SL_WHEEL_LEVELS = 7, SL_WHEEL_TICK_NS = 1000000 };

struct sl_wheel {
	sl_nsec origin;                     /* the time of tick 0 */
	uint64_t tick;                      /* all earlier ticks are done */
	uint64_t occupied[SL_WHEEL_LEVELS]; /* bit per slot that has timers */
	struct sl_timer *slots[SL_WHEEL_LEVELS * SL_WHEEL_SLOTS];
	struct sl_timer *due; /* came due, not yet fired */
	uint32_t count;       /* armed timers */
};

void sl_wheel_init(struct sl_wheel *w, sl_nsec now);
void sl_wheel_place(
        struct sl_wheel *w, struct sl_timer *t); /* internal: queues an unqueued timer for its deadline */
void sl_wheel_remove(struct sl_wheel *w, struct sl_timer *t);

static inline bool sl_timer_armed(const struct sl_timer *t)
{
	return t->at != NULL;
}

static inline void sl_wheel_set(struct sl_wheel *w, struct sl_timer *t, sl_nsec deadline)
{
	if (t->at && deadline > t->queued) {
		t->deadline = deadline;
		return;
	}
	sl_wheel_remove(w, t);
	t->deadline = deadline;
	sl_wheel_place(w, t);
}

/* When to look next: the time of the first slot with timers, at the latest the first deadline's tick; SL_NSEC_MAX when empty. */
sl_nsec sl_wheel_next(const struct sl_wheel *w);
/* Fires what is due by `now`: fn(loop, t), each disarmed before its call, and free to arm itself or stop others. */
void sl_wheel_run(struct sl_wheel *w, sl_nsec now, struct sl_loop *loop);
