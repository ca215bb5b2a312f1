#include "store/store_priv.h"

void sl_store_index_fini(struct sl_store_index *ix)
{
	for (struct sl_store_kind *k = ix->kinds, *next; k; k = next) {
		next = k->next;
		for (size_t i = 0; i < k->count; i++) {
			sl_object_unref(k->slots[i]->now);
			sl_object_unref(k->slots[i]->next);
			sl_free(k->slots[i]);
		}
		sl_free(k->slots);
		sl_free(k->group);
		sl_free(k->plural);
		sl_free(k);
	}
	ix->kinds = NULL;
}

struct sl_store_kind *sl_store_index_kind(const struct sl_store_index *ix, sl_str group, sl_str plural)
{
	for (struct sl_store_kind *k = ix->kinds; k; k = k->next)
		if (sl_str_eq(k->plural_str, plural) && sl_str_eq(k->group_str, group))
			return k;
	return NULL;
}

static struct sl_store_kind *kind_new(struct sl_store_index *ix, sl_str group, sl_str plural)
{
	struct sl_store_kind *k = sl_new0(sizeof(*k));
	k->group = sl_strndup(group.p ? group.p : "", group.len);
	k->plural = sl_strndup(plural.p ? plural.p : "", plural.len);
	k->group_str = sl_str_n(k->group, group.len);
	k->plural_str = sl_str_n(k->plural, plural.len);
	k->next = ix->kinds;
	ix->kinds = k;
	return k;
}

static int slot_cmp(const struct sl_store_slot *slot, sl_str ns, sl_str name)
{
	int c = sl_str_cmp(slot->ns, ns);
	return c ? c : sl_str_cmp(slot->name, name);
}

/* The first slot not before (ns, name). */
static size_t lower_bound(const struct sl_store_kind *k, sl_str ns, sl_str name)
{
	size_t low = 0, high = k->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (slot_cmp(k->slots[middle], ns, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t sl_store_kind_first(const struct sl_store_kind *k, sl_str ns)
{
	return lower_bound(k, ns, SL_STR_NONE);
}

static struct sl_store_slot *slot_at(const struct sl_store_kind *k, size_t at, sl_str ns, sl_str name)
{
	return at < k->count && slot_cmp(k->slots[at], ns, name) == 0 ? k->slots[at] : NULL;
}

struct sl_store_slot *sl_store_index_get(const struct sl_store_index *ix, const struct sl_object_key *key)
{
	const struct sl_store_kind *k = sl_store_index_kind(ix, key->group, key->plural);
	return k ? slot_at(k, lower_bound(k, key->ns, key->name), key->ns, key->name) : NULL;
}

static struct sl_store_slot *slot_new(struct sl_store_kind *k, const struct sl_object_key *key)
{
	struct sl_store_slot *slot = sl_new0(sizeof(*slot) + key->ns.len + key->name.len + 2);
	slot->kind = k;
	slot->ns = sl_str_n(slot->text, key->ns.len);
	slot->name = sl_str_n(slot->text + key->ns.len + 1, key->name.len);
	sl_str_copy(slot->text, key->ns.len + 1, key->ns);
	sl_str_copy(slot->text + key->ns.len + 1, key->name.len + 1, key->name);
	return slot;
}

struct sl_store_slot *sl_store_index_add(struct sl_store_index *ix, const struct sl_object_key *key)
{
	struct sl_store_kind *k = sl_store_index_kind(ix, key->group, key->plural);
	if (!k)
		k = kind_new(ix, key->group, key->plural);
	size_t at = lower_bound(k, key->ns, key->name);
	struct sl_store_slot *slot = slot_at(k, at, key->ns, key->name);
	if (slot)
		return slot;
	if (k->count == k->cap) {
		k->cap = k->cap ? k->cap * 2 : 16;
		k->slots = sl_resize(k->slots, k->cap * sizeof(struct sl_store_slot *));
	}
	memmove(&k->slots[at + 1], &k->slots[at], (k->count - at) * sizeof(struct sl_store_slot *));
	slot = slot_new(k, key);
	k->slots[at] = slot;
	k->count++;
	return slot;
}

void sl_store_index_remove(struct sl_store_slot *slot)
{
	struct sl_store_kind *k = slot->kind;
	size_t at = lower_bound(k, slot->ns, slot->name);
	memmove(&k->slots[at], &k->slots[at + 1], (k->count - at - 1) * sizeof(struct sl_store_slot *));
	k->count--;
	sl_free(slot);
}
