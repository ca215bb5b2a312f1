#include "control/workload_priv.h"

#include <stdio.h>

/* --- work queue --- */

struct item {
	struct sl_map_node node;
	struct sl_list link; /* in q->due; unlinked: waits for its timer */
	struct sl_timer timer;
	struct sl_workqueue *q;
	struct sl_dead dead;
	size_t ns_len;
	char key[]; /* "NS/NAME" */
};

static void item_drop(struct item *it)
{
	sl_list_remove(&it->link);
	sl_timer_stop(it->q->w->loop, &it->timer);
	sl_map_take(&it->q->items, it->node.key);
	sl_loop_free_later(it->q->w->loop, &it->dead, sl_free, it);
}

static void make_due(struct item *it)
{
	if (sl_list_empty(&it->link))
		sl_list_push(&it->q->due, &it->link);
	sl_loop_defer(it->q->w->loop, &it->q->task);
}

static void on_item_timer(struct sl_loop *loop, struct sl_timer *t)
{
	(void)loop;
	make_due(SL_CONTAINER_OF(t, struct item, timer));
}

static void on_work(struct sl_loop *loop, struct sl_task *task)
{
	struct sl_workqueue *q = SL_CONTAINER_OF(task, struct sl_workqueue, task);
	struct sl_list now;

	(void)loop;
	if (sl_list_empty(&q->due))
		return;
	/* Take the list over as it stands. */
	sl_list_init(&now);
	sl_list_push(&q->due, &now);
	sl_list_remove(&q->due);
	while (!sl_list_empty(&now)) {
		struct item *it = SL_LIST_ENTRY(now.next, struct item, link);

		/* Dropped first: what the controller adds for the same object is new work. It is freed at the end of the turn only. */
		item_drop(it);
		q->fn(q->w, sl_str_n(it->key, it->ns_len), sl_str_skip(it->node.key, it->ns_len + 1));
	}
}

void sl_workqueue_init(struct sl_workqueue *q, struct sl_workloads *w,
        void (*fn)(struct sl_workloads *w, sl_str ns, sl_str name))
{
	*q = (struct sl_workqueue) { .w = w, .fn = fn, .task.fn = on_work };
	sl_list_init(&q->due);
}

void sl_workqueue_fini(struct sl_workqueue *q)
{
	if (!q->w)
		return;
	for (struct sl_map_node *node; (node = sl_map_next(&q->items, NULL));)
		item_drop(SL_MAP_ENTRY(node, struct item, node));
	sl_map_fini(&q->items);
	sl_task_cancel(q->w->loop, &q->task);
}

static struct item *item_get(struct sl_workqueue *q, sl_str ns, sl_str name)
{
	SL_CLEANUP(sl_free) char *key = sl_asprintf("%.*s/%.*s", SL_STR_ARG(ns), SL_STR_ARG(name));
	struct sl_map_node *node = sl_map_get(&q->items, sl_str_c(key));

	if (node)
		return SL_MAP_ENTRY(node, struct item, node);
	struct item *it = sl_new0(sizeof(*it) + strlen(key) + 1);
	memcpy(it->key, key, strlen(key) + 1);
	it->ns_len = ns.len;
	it->q = q;
	it->timer.fn = on_item_timer;
	sl_list_init(&it->link);
	sl_map_put(&q->items, &it->node, sl_str_c(it->key));
	return it;
}

void sl_workqueue_add(struct sl_workqueue *q, sl_str ns, sl_str name)
{
	make_due(item_get(q, ns, name));
}

void sl_workqueue_add_at(struct sl_workqueue *q, sl_str ns, sl_str name, sl_nsec at)
{
	if (at == SL_NSEC_MAX)
		return;
	struct item *it = item_get(q, ns, name);

	if (!sl_timer_armed(&it->timer) || it->timer.deadline > at)
		sl_timer_at(q->w->loop, &it->timer, at);
}

/* --- sets of objects --- */

void sl_object_set_add(struct sl_object_set *s, struct sl_object *o)
{
	if (s->count == s->room) {
		s->room = s->room ? s->room * 2 : 16;
		s->items = sl_resize(s->items, s->room * sizeof(struct sl_object *));
	}
	s->items[s->count++] = sl_object_ref(o);
}

void sl_object_set_fini(struct sl_object_set *s)
{
	for (size_t i = 0; i < s->count; i++)
		sl_object_unref(s->items[i]);
	sl_free(s->items);
	*s = (struct sl_object_set) { 0 };
}

/* --- claiming --- */

struct claim {
	const struct sl_object *owner;
	struct sl_selector selector;
	struct sl_object_set *mine, orphans;
	struct sl_object_set strangers; /* ours, and no longer matching */
};

static bool each_mine(void *arg, struct sl_object *o)
{
	struct claim *c = arg;
	bool matches = sl_selector_matches(&c->selector, sl_obj_get(o->body, "metadata.labels"));

	sl_object_set_add(matches || sl_pod_is_deleting(o->body) ? c->mine : &c->strangers, o);
	return true;
}

static bool each_orphan(void *arg, struct sl_object *o)
{
	struct claim *c = arg;

	if (sl_obj_controller_uid(o->body).len == 0 && !sl_pod_is_deleting(o->body) &&
	        sl_selector_matches(&c->selector, sl_obj_get(o->body, "metadata.labels")))
		sl_object_set_add(&c->orphans, o);
	return true;
}

static json_t *owners_of(json_t *body)
{
	json_t *metadata = json_object_get(body, "metadata"),
	       *owners = json_object_get(metadata, "ownerReferences");

	if (!owners) {
		owners = json_array();
		json_object_set_new(metadata, "ownerReferences", owners);
	}
	return owners;
}

static void let_go(struct sl_workloads *w, const struct sl_object *owner, const struct sl_object *o)
{
	json_t *body = json_deep_copy(o->body), *owners = owners_of(body);

	for (size_t i = json_array_size(owners); i > 0; i--)
		if (sl_str_eq(sl_obj_get_str(json_array_get(owners, i - 1), "uid"), owner->uid))
			json_array_remove(owners, i - 1);
	sl_objects_update(w->objects, &o->key, body, NULL, NULL, NULL);
}

static void adopt(struct sl_workloads *w, const struct sl_object *owner, const struct sl_object *o)
{
	json_t *body = json_deep_copy(o->body);

	json_array_append_new(owners_of(body), sl_obj_owner_ref(owner->body));
	sl_objects_update(w->objects, &o->key, body, NULL, NULL, NULL);
}

void sl_workload_claim(struct sl_workloads *w, const struct sl_object *owner, const char *group,
        const char *plural, struct sl_object_set *ret_set)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };
	struct claim c = { .owner = owner, .mine = ret_set };

	if (sl_selector_from_object(sl_obj_get(owner->body, "spec.selector"), &arena, &c.selector, NULL) !=
	        SL_OK)
		return;
	sl_objects_each_controlled(
	        w->objects, sl_str_c(group), sl_str_c(plural), owner->key.ns, owner->uid, each_mine, &c);
	if (!sl_pod_is_deleting(owner->body) && c.selector.count > 0) {
		sl_store_each_latest(sl_objects_store(w->objects), sl_str_c(group), sl_str_c(plural),
		        owner->key.ns, each_orphan, &c);
		for (size_t i = 0; i < c.strangers.count; i++)
			let_go(w, owner, c.strangers.items[i]);
		for (size_t i = 0; i < c.orphans.count; i++) {
			adopt(w, owner, c.orphans.items[i]);
			struct sl_object *now = sl_objects_latest(w->objects, &c.orphans.items[i]->key);
			if (now)
				sl_object_set_add(ret_set, now);
		}
	}
	sl_object_set_fini(&c.strangers);
	sl_object_set_fini(&c.orphans);
}

/* --- Pods --- */

bool sl_pod_is_deleting(const json_t *pod)
{
	return sl_obj_get(pod, "metadata.deletionTimestamp") != NULL;
}

bool sl_pod_is_finished(const json_t *pod)
{
	sl_str phase = sl_obj_get_str(pod, "status.phase");

	return sl_str_eq(phase, SL_STR("Succeeded")) || sl_str_eq(phase, SL_STR("Failed"));
}

sl_nsec sl_obj_time(const json_t *obj, const char *path)
{
	sl_nsec t = 0;

	return sl_time_parse(sl_obj_get_str(obj, path), &t) == SL_OK ? t : 0;
}

bool sl_pod_is_ready(const json_t *pod, sl_nsec *ret_since)
{
	const json_t *c = sl_obj_condition(pod, "Ready");

	if (!c || !sl_str_eq(sl_obj_get_str(c, "status"), SL_STR("True")))
		return false;
	if (ret_since)
		*ret_since = sl_obj_time(c, "lastTransitionTime");
	return true;
}

int32_t sl_int_or_percent(const json_t *v, int32_t total, bool round_up)
{
	sl_str s = sl_json_str(v);
	uint64_t percent;

	if (json_is_integer(v))
		return (int32_t)json_integer_value(v);
	if (!sl_str_ends(s, SL_STR("%")) || sl_str_to_u64(sl_str_first(s, s.len - 1), &percent) != SL_OK ||
	        percent > 100000)
		return 0;
	return (int32_t)(((int64_t)total * (int64_t)percent + (round_up ? 99 : 0)) / 100);
}
