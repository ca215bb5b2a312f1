#include "store/watch_priv.h"

struct sl_store_watch {
	struct sl_list link;
	struct sl_store *store;
	char *group, *plural, *ns;
	struct sl_store_watch_filter filter; /* views into the three */
	uint64_t told;                       /* events up to this version are told, or not wanted */
	bool stopped;
	sl_store_event_fn fn;
	void *arg;
};

/* --- history --- */

void sl_store_history_init(struct sl_store_history *h, size_t cap)
{
	h->cap = cap;
	h->ring = sl_new0_array(cap, sizeof(*h->ring));
}

static void event_unref(struct sl_store_event *event)
{
	sl_object_unref(event->object);
	sl_object_unref(event->old);
}

void sl_store_history_fini(struct sl_store_history *h)
{
	for (size_t i = 0; i < h->count; i++)
		event_unref(&h->ring[(h->start + i) % h->cap]);
	sl_free(h->ring);
}

static void history_drop_oldest(struct sl_store_history *h)
{
	struct sl_store_event *oldest = &h->ring[h->start];
	h->first_version = oldest->version;
	h->bytes -= oldest->object->json.len;
	event_unref(oldest);
	h->start = (h->start + 1) % h->cap;
	h->count--;
}

void sl_store_history_add(struct sl_store_history *h, const struct sl_store_event *event)
{
	while (h->count == h->cap || (h->bytes > SL_STORE_HISTORY_BYTES && h->count > 1))
		history_drop_oldest(h);
	h->bytes += event->object->json.len;
	struct sl_store_event *kept = &h->ring[(h->start + h->count++) % h->cap];
	*kept = *event;
	sl_object_ref(kept->object);
	if (kept->old)
		sl_object_ref(kept->old);
}

/* Index of the first event after `version`, by bisection: versions grow along the ring. */
static size_t history_after(const struct sl_store_history *h, uint64_t version)
{
	size_t low = 0, high = h->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (h->ring[(h->start + middle) % h->cap].version <= version)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* --- telling --- */

static bool wants(const struct sl_store_watch *w, const struct sl_store_event *event)
{
	const struct sl_object_key *key = &event->object->key;
	return event->version > w->told &&
	       (w->filter.plural.len == 0 || (sl_str_eq(w->filter.plural, key->plural) &&
	                                             sl_str_eq(w->filter.group, key->group))) &&
	       (w->filter.ns.len == 0 || sl_str_eq(w->filter.ns, key->ns));
}

static void tell_one(struct sl_store_watch *w, const struct sl_store_event *event)
{
	if (w->stopped || !wants(w, event))
		return;
	w->told = event->version;
	w->store->stats.events_sent++;
	w->fn(w->arg, event);
}

static void watch_free(struct sl_store_watch *w)
{
	sl_list_remove(&w->link);
	sl_free(w->group);
	sl_free(w->plural);
	sl_free(w->ns);
	sl_free(w);
}

/* A callback may stop any watch, so stopped ones stay linked until nobody walks the list. */
static void tell_end(struct sl_store *s)
{
	if (--s->telling > 0 || !s->sweep)
		return;
	s->sweep = false;
	SL_LIST_FOR_SAFE (node, &s->watches) {
		struct sl_store_watch *w = SL_LIST_ENTRY(node, struct sl_store_watch, link);
		if (w->stopped)
			watch_free(w);
	}
}

void sl_store_tell(struct sl_store *s, const struct sl_store_event *event)
{
	s->telling++;
	SL_LIST_FOR (node, &s->watches) {
		tell_one(SL_LIST_ENTRY(node, struct sl_store_watch, link), event);
	}
	tell_end(s);
}

static void replay(struct sl_store_watch *w, uint64_t from_version)
{
	struct sl_store *s = w->store;
	const struct sl_store_history *h = &s->history;
	s->telling++;
	for (size_t i = history_after(h, from_version); i < h->count && !w->stopped; i++)
		tell_one(w, &h->ring[(h->start + i) % h->cap]);
	if (w->told < s->done)
		w->told = s->done;
	tell_end(s);
}

sl_err sl_store_watch(struct sl_store *s, struct sl_store_watch **ret_watch,
        const struct sl_store_watch_filter *filter, uint64_t from_version, sl_store_event_fn fn, void *arg)
{
	if (from_version && from_version < s->history.first_version)
		return SL_ERR_EXPIRED;

	struct sl_store_watch *w = sl_new0(sizeof(*w));
	w->store = s;
	w->group = sl_strndup(filter->group.p ? filter->group.p : "", filter->group.len);
	w->plural = sl_strndup(filter->plural.p ? filter->plural.p : "", filter->plural.len);
	w->ns = sl_strndup(filter->ns.p ? filter->ns.p : "", filter->ns.len);
	w->filter = (struct sl_store_watch_filter) {
		.group = sl_str_n(w->group, filter->group.len),
		.plural = sl_str_n(w->plural, filter->plural.len),
		.ns = sl_str_n(w->ns, filter->ns.len),
	};
	w->told = from_version ? from_version : s->done;
	w->fn = fn;
	w->arg = arg;
	sl_list_push(&s->watches, &w->link);
	s->stats.watches++;
	*ret_watch = w;
	if (from_version && from_version < s->done)
		replay(w, from_version);
	return SL_OK;
}

void sl_store_watch_stop(struct sl_store_watch *w)
{
	if (!w || w->stopped)
		return;
	w->store->stats.watches--;
	w->stopped = true;
	if (w->store->telling)
		w->store->sweep = true;
	else
		watch_free(w);
}
