#pragma once
/*
 * Intrusive hash table keyed by strings. Chained, doubles at load 1; keys are views into the embedding objects.
 * Ownership: nodes are the embedding objects'; the bucket array is the map's. All-zero is a valid empty map.
 * Threads: one owner while it changes; lookups may run from any thread once it is const.
 */
#include "base/mem.h"
#include "base/str.h"

struct sl_map_node {
	struct sl_map_node *next;
	uint64_t hash;
	sl_str key;
};

struct sl_map {
	struct sl_map_node **buckets; /* power of two, or NULL while empty */
	size_t mask;                  /* bucket count - 1 */
	size_t count;
	uint64_t seed; /* set before the first insert where keys come from a network; 0 otherwise */
};

void sl_map_fini(struct sl_map *m); /* frees the buckets, not the nodes */

/* NULL when absent. */
struct sl_map_node *sl_map_get(const struct sl_map *m, sl_str key);
/* node->key must outlive the node's stay. Returns the node of the same key that it displaced, or NULL. */
struct sl_map_node *sl_map_put(struct sl_map *m, struct sl_map_node *node, sl_str key);
/* Unlinks and returns the node of that key, or NULL. */
struct sl_map_node *sl_map_take(struct sl_map *m, sl_str key);
/* Iteration in no order; node may be NULL to begin; returns NULL at the end. The map must not change meanwhile. */
struct sl_map_node *sl_map_next(const struct sl_map *m, const struct sl_map_node *node);

#define SL_MAP_FOR(node, m) \
	for (struct sl_map_node *node = sl_map_next((m), NULL); node; node = sl_map_next((m), node))
/* The same where the body may take `node`, and no other, out of the map. */
#define SL_MAP_FOR_SAFE(node, m)                                               \
	for (struct sl_map_node *node = sl_map_next((m), NULL), *node##_next_; \
	        node && (node##_next_ = sl_map_next((m), node), true); node = node##_next_)
#define SL_MAP_ENTRY(node, type, member) SL_CONTAINER_OF(node, type, member)
