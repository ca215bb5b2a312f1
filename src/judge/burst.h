#pragma once
/*
 * Counts an event once per (source connection or retry chain, burst of one second). Failures come in groups: retries, one bad client,
 * one bad instance; counted singly, groups of five turn a 1 % test into a 22 % one. Sits in the connection (or the retry chain).
 * Ownership: embedded by value; all-zero is "no event yet".       Threads: the connection's worker.
 */
#include "base/units.h"

#include <stdbool.h>

struct sl_burst {
	sl_nsec until;  /* end of the burst under way, on the caller's monotonic clock; 0: none yet */
	uint32_t count; /* bursts so far; with the connection's address it names a burst for sl_guard */
};

/* True when this event begins a burst and is to be counted; false when it belongs to one that was. */
static inline bool sl_burst_begins(struct sl_burst *b, sl_nsec now)
{
	if (now < b->until)
		return false;
	b->until = now + SL_SEC(1);
	b->count++;
	return true;
}
