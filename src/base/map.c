#include "base/map.h"

void sl_map_fini(struct sl_map *m)
{
	sl_free(m->buckets);
	*m = (struct sl_map) { 0 };
}

static struct sl_map_node **slot_of(const struct sl_map *m, sl_str key, uint64_t hash)
{
	struct sl_map_node **at = &m->buckets[hash & m->mask];

	while (*at && ((*at)->hash != hash || !sl_str_eq((*at)->key, key)))
		at = &(*at)->next;
	return at;
}

struct sl_map_node *sl_map_get(const struct sl_map *m, sl_str key)
{
	return m->buckets ? *slot_of(m, key, sl_str_hash(key, m->seed)) : NULL;
}

static void grow(struct sl_map *m)
{
	size_t old_count = m->buckets ? m->mask + 1 : 0;
	size_t new_count = old_count ? old_count * 2 : 8;
	struct sl_map_node **old = m->buckets;

	m->buckets = sl_new0_array(new_count, sizeof(struct sl_map_node *));
	m->mask = new_count - 1;
	for (size_t i = 0; i < old_count; i++) {
		for (struct sl_map_node *n = old[i], *next; n; n = next) {
			next = n->next;
			n->next = m->buckets[n->hash & m->mask];
			m->buckets[n->hash & m->mask] = n;
		}
	}
	sl_free(old);
}

struct sl_map_node *sl_map_put(struct sl_map *m, struct sl_map_node *node, sl_str key)
{
	struct sl_map_node **at, *old;

	if (!m->buckets || m->count > m->mask)
		grow(m);
	node->key = key;
	node->hash = sl_str_hash(key, m->seed);
	at = slot_of(m, key, node->hash);
	old = *at;
	node->next = old ? old->next : NULL;
	*at = node;
	if (!old)
		m->count++;
	return old;
}

struct sl_map_node *sl_map_take(struct sl_map *m, sl_str key)
{
	struct sl_map_node **at, *node;

	if (!m->buckets)
		return NULL;
	at = slot_of(m, key, sl_str_hash(key, m->seed));
	node = *at;
	if (node) {
		*at = node->next;
		m->count--;
	}
	return node;
}

struct sl_map_node *sl_map_next(const struct sl_map *m, const struct sl_map_node *node)
{
	size_t i;

	if (node && node->next)
		return node->next;
	if (!m->buckets)
		return NULL;
	for (i = node ? (node->hash & m->mask) + 1 : 0; i <= m->mask; i++)
		if (m->buckets[i])
			return m->buckets[i];
	return NULL;
}
