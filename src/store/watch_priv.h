#pragma once
/*
 * The store's own state, its history of events, and the telling of watches. Inside the store only.
 */
#include "store/store_priv.h"

/* The newest events, oldest first, in a ring; each holds references to its objects. */
struct sl_store_history {
	struct sl_store_event *ring;
	size_t cap, start, count;
	size_t bytes;           /* of the objects' JSON text; bounded by SL_STORE_HISTORY_BYTES */
	uint64_t first_version; /* a watch may begin at this version or later */
};

/* Bounds the history where objects are large; the JSON trees take some six times their text. */
enum { SL_STORE_HISTORY_BYTES = 8 << 20 };

void sl_store_history_init(struct sl_store_history *h, size_t cap);
void sl_store_history_fini(struct sl_store_history *h);
void sl_store_history_add(
        struct sl_store_history *h, const struct sl_store_event *event); /* takes references */

struct sl_store {
	struct sl_loop *loop;
	const struct sl_store_ops *ops;
	void *backend;
	struct sl_store_index index;
	struct sl_store_history history;
	struct sl_list watches; /* sl_store_watch.link */
	unsigned telling;       /* depth of callbacks of watches; stopped ones are freed when it is 0 */
	uint64_t accepted;      /* version of the newest accepted write */
	uint64_t done;          /* of the newest acknowledged one */
	uint64_t epoch;         /* grows when a write failed */
	bool sweep;             /* a stopped watch waits for that */
	bool closing;
	char last_failure[200];
	struct sl_store_stats stats;
};

void sl_store_tell(struct sl_store *s, const struct sl_store_event *event);
