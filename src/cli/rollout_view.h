#pragma once
/*
 * A Rollout as a person follows it: a block redrawn in place on a terminal, a line per change elsewhere.
 * Ownership: embedded; keeps nothing of the objects shown.       Threads: one.
 */
#include <jansson.h>
#include <stdbool.h>

struct sl_rollout_view {
	bool live;      /* standard output is a terminal */
	int height;     /* lines to take back before the next block */
	char last[512]; /* what was printed last, when not live */
};

void sl_rollout_view_init(struct sl_rollout_view *v);
void sl_rollout_view_draw(struct sl_rollout_view *v, const json_t *rollout);

/* Nothing more will happen by itself: healthy with the newest template, or aborted. */
bool sl_rollout_is_settled(const json_t *rollout);
