#include "loop/wheel.h"

#include <string.h>

enum { IN_DUE = UINT16_MAX };

/* Ticks are rounded up, so that a timer never fires early. */
static uint64_t tick_of(const struct sl_wheel *w, sl_nsec deadline)
{
	/* A far deadline is placed at the horizon, and placed anew when that comes. */
	const uint64_t most = (UINT64_C(1) << (SL_WHEEL_BITS * SL_WHEEL_LEVELS)) - 1;
	uint64_t tick;

	if (deadline <= w->origin)
		return 0;
	tick = (uint64_t)(deadline - w->origin - 1) / SL_WHEEL_TICK_NS + 1;
	return tick < most ? tick : most;
}

static sl_nsec time_of(const struct sl_wheel *w, uint64_t tick)
{
	return w->origin + (sl_nsec)tick * SL_WHEEL_TICK_NS;
}

/* The highest base-64 digit in which the two differ; they do differ. */
static unsigned level_of(uint64_t a, uint64_t b)
{
	return (63u - (unsigned)__builtin_clzll(a ^ b)) / SL_WHEEL_BITS;
}

static unsigned digit_of(uint64_t tick, unsigned level)
{
	return (unsigned)(tick >> (level * SL_WHEEL_BITS)) % SL_WHEEL_SLOTS;
}

static void link_into(struct sl_timer **head, struct sl_timer *t)
{
	t->next = *head;
	if (t->next)
		t->next->at = &t->next;
	t->at = head;
	*head = t;
}

static void unlink_timer(struct sl_timer *t)
{
	*t->at = t->next;
	if (t->next)
		t->next->at = t->at;
	t->at = NULL;
}

void sl_wheel_init(struct sl_wheel *w, sl_nsec now)
{
	memset(w, 0, sizeof(*w));
	w->origin = now;
}

void sl_wheel_place(struct sl_wheel *w, struct sl_timer *t)
{
	uint64_t tick = tick_of(w, t->deadline);
	unsigned level, digit;

	w->count++;
	if (tick <= w->tick) {
		t->slot = IN_DUE;
		t->queued = SL_NSEC_MAX; /* moving it always takes it out */
		link_into(&w->due, t);
		return;
	}
	level = level_of(tick, w->tick);
	digit = digit_of(tick, level);
	t->queued = time_of(w, tick >> (level * SL_WHEEL_BITS) << (level * SL_WHEEL_BITS));
	t->slot = (uint16_t)(level * SL_WHEEL_SLOTS + digit);
	link_into(&w->slots[t->slot], t);
	w->occupied[level] |= UINT64_C(1) << digit;
}

void sl_wheel_remove(struct sl_wheel *w, struct sl_timer *t)
{
	if (!t->at)
		return;
	unlink_timer(t);
	w->count--;
	if (t->slot != IN_DUE && !w->slots[t->slot])
		w->occupied[t->slot / SL_WHEEL_SLOTS] &= ~(UINT64_C(1) << (t->slot % SL_WHEEL_SLOTS));
}

sl_nsec sl_wheel_next(const struct sl_wheel *w)
{
	if (w->due)
		return time_of(w, w->tick);
	/* Everything at a lower level comes before everything at a higher one: it shares more leading digits with now. */
	for (unsigned level = 0; level < SL_WHEEL_LEVELS; level++) {
		uint64_t shift = (uint64_t)level * SL_WHEEL_BITS, tick;

		if (!w->occupied[level])
			continue;
		tick = (w->tick >> shift) & ~(uint64_t)(SL_WHEEL_SLOTS - 1);
		tick = (tick | (uint64_t)__builtin_ctzll(w->occupied[level])) << shift;
		return time_of(w, tick);
	}
	return SL_NSEC_MAX;
}

/* Empties one slot: what is due goes to the due list, the rest (moved later, or from a coarser level) to its new slot. */
static void empty_slot(struct sl_wheel *w, unsigned level, unsigned digit)
{
	struct sl_timer *t = w->slots[level * SL_WHEEL_SLOTS + digit];

	w->slots[level * SL_WHEEL_SLOTS + digit] = NULL;
	w->occupied[level] &= ~(UINT64_C(1) << digit);
	while (t) {
		struct sl_timer *next = t->next;

		w->count--;
		sl_wheel_place(w, t);
		t = next;
	}
}

/*
 * Moves the wheel on. Let `top` be the highest digit that changes. Slots below it lie in the time passed over: all come due. At
 * `top` those up to the new digit do; the slot of the new digit itself spreads over the levels below. Above nothing changes.
 */
static void advance_to(struct sl_wheel *w, uint64_t tick)
{
	uint64_t taken[SL_WHEEL_LEVELS];
	unsigned top;

	if (tick <= w->tick)
		return;
	top = level_of(tick, w->tick);
	if (top >= SL_WHEEL_LEVELS)
		top = SL_WHEEL_LEVELS - 1; /* past the horizon of a century */
	for (unsigned level = 0; level < top; level++)
		taken[level] = w->occupied[level];
	taken[top] = w->occupied[top] & (UINT64_MAX >> (SL_WHEEL_SLOTS - 1 - digit_of(tick, top)));
	w->tick = tick;
	/* Only what was there before is emptied: re-placed timers may land in slots already passed over here. */
	for (unsigned level = 0; level <= top; level++) {
		for (; taken[level]; taken[level] &= taken[level] - 1)
			empty_slot(w, level, (unsigned)__builtin_ctzll(taken[level]));
	}
}

void sl_wheel_run(struct sl_wheel *w, sl_nsec now, struct sl_loop *loop)
{
	struct sl_timer *batch, *t;

	if (w->count == 0) {
		if (now > w->origin)
			w->tick = (uint64_t)(now - w->origin) / SL_WHEEL_TICK_NS;
		return;
	}
	if (now > w->origin)
		advance_to(w, (uint64_t)(now - w->origin) / SL_WHEEL_TICK_NS);
	/* What a callback arms for a time already past fires in the next turn, so that it cannot hold this one for ever. */
	batch = w->due;
	w->due = NULL;
	if (batch)
		batch->at = &batch;
	while ((t = batch)) {
		sl_wheel_remove(w, t);
		t->fn(loop, t);
	}
}
