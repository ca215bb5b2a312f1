#pragma once
/*
 * Intrusive doubly linked list. A node may be unlinked without knowing its list; an unlinked node points to itself.
 * Ownership: the embedding object's.       Threads: one owner.
 */
#include "base/mem.h"

#include <stdbool.h>

struct sl_list {
	struct sl_list *next, *prev;
};

#define SL_LIST_INIT(l)                    \
	{                                  \
		.next = &(l), .prev = &(l) \
	}

static inline void sl_list_init(struct sl_list *l)
{
	l->next = l->prev = l;
}

static inline bool sl_list_empty(const struct sl_list *l)
{
	return l->next == l;
}

static inline void sl_list_push(struct sl_list *l, struct sl_list *node) /* at the end */
{
	node->prev = l->prev;
	node->next = l;
	l->prev->next = node;
	l->prev = node;
}

static inline void sl_list_push_front(struct sl_list *l, struct sl_list *node)
{
	sl_list_push(l->next, node);
}

static inline void sl_list_remove(struct sl_list *node) /* fine on an unlinked, initialised node */
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	sl_list_init(node);
}

#define SL_LIST_ENTRY(node, type, member) SL_CONTAINER_OF(node, type, member)
#define SL_LIST_FOR(node, l) for (struct sl_list *node = (l)->next; node != (l); node = node->next)
/* The body may remove and free `node`. */
#define SL_LIST_FOR_SAFE(node, l)                                                      \
	for (struct sl_list *node = (l)->next, *node##_next = node->next; node != (l); \
	        node = node##_next, node##_next = node->next)
