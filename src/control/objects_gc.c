/*
 * Garbage collection: dependents of what is gone, of what waits for them (foregroundDeletion) or lets them go (orphan), and the
 * contents of namespaces being deleted. A graph by uid follows the store through one watch; what may have become due is
 * queued and looked at once the turn is over, so a burst of events costs one look per object.
 */
#include "control/objects_priv.h"
#include "model/object.h"

struct node {
	struct sl_map_node map; /* by uid */
	struct sl_list check;   /* in gc.checks while queued */
	char *uid;
	struct sl_object *object;  /* the acknowledged state; NULL for an owner that is not there */
	struct sl_list dependents; /* edge.of_owner */
	struct edge *edges;        /* to the owners */
	size_t edge_count;
};

struct edge {
	struct sl_list of_owner;
	struct node *owner, *dependent;
	bool blocks; /* blockOwnerDeletion */
};

/* --- the graph --- */

static struct node *node_get(struct sl_objects *os, sl_str uid)
{
	struct sl_map_node *found = sl_map_get(&os->gc.nodes, uid);
	if (found)
		return SL_MAP_ENTRY(found, struct node, map);
	struct node *n = sl_new0(sizeof(*n));
	n->uid = sl_strndup(uid.p ? uid.p : "", uid.len);
	sl_list_init(&n->check);
	sl_list_init(&n->dependents);
	sl_map_put(&os->gc.nodes, &n->map, sl_str_n(n->uid, uid.len));
	return n;
}

static void node_free(struct node *n)
{
	sl_list_remove(&n->check);
	sl_object_unref(n->object);
	sl_free(n->edges);
	sl_free(n->uid);
	sl_free(n);
}

static void node_drop_if_empty(struct sl_objects *os, struct node *n)
{
	if (n->object || !sl_list_empty(&n->dependents) || !sl_list_empty(&n->check))
		return;
	sl_map_take(&os->gc.nodes, n->map.key);
	node_free(n);
}

static void queue(struct sl_objects *os, struct node *n)
{
	if (sl_list_empty(&n->check))
		sl_list_push(&os->gc.checks, &n->check);
	sl_loop_defer(os->loop, &os->gc.task);
}

static void unlink_owners(struct sl_objects *os, struct node *n)
{
	for (size_t i = 0; i < n->edge_count; i++) {
		sl_list_remove(&n->edges[i].of_owner);
		queue(os, n->edges[i].owner); /* it may wait for this one, or not be needed any more */
	}
	sl_free(n->edges);
	n->edges = NULL;
	n->edge_count = 0;
}

static void link_owners(struct sl_objects *os, struct node *n)
{
	json_t *references = sl_obj_get(n->object->body, "metadata.ownerReferences"), *reference;
	size_t count = json_array_size(references), i;
	if (count == 0)
		return;
	n->edges = sl_new0_array(count, sizeof(*n->edges));
	json_array_foreach (references, i, reference) {
		sl_str uid = sl_obj_get_str(reference, "uid");
		if (uid.len == 0)
			continue;
		struct edge *e = &n->edges[n->edge_count++];
		e->dependent = n;
		e->owner = node_get(os, uid);
		e->blocks = sl_obj_get_bool(reference, "blockOwnerDeletion");
		sl_list_push(&e->owner->dependents, &e->of_owner);
	}
}

static bool same_owners(const struct sl_object *a, const struct sl_object *b)
{
	json_t *one = sl_obj_get(a->body, "metadata.ownerReferences"),
	       *two = sl_obj_get(b->body, "metadata.ownerReferences");
	return one == two || (one && two && json_equal(one, two));
}

/* --- what is due --- */

static bool remove_reference(json_t *body, sl_str owner_uid)
{
	json_t *references = sl_obj_get(body, "metadata.ownerReferences"), *reference;
	size_t i;
	json_array_foreach (references, i, reference) {
		if (!sl_str_eq(sl_obj_get_str(reference, "uid"), owner_uid))
			continue;
		json_array_remove(references, i);
		if (json_array_size(references) == 0)
			json_object_del(json_object_get(body, "metadata"), "ownerReferences");
		return true;
	}
	return false;
}

struct removal { /* of one ownerReference or finalizer, by sl_objects_modify */
	char *what;
};

static sl_err disown(void *arg, json_t *body)
{
	struct removal *r = arg;
	return remove_reference(body, sl_str_c(r->what)) ? SL_OK : SL_ERR_AGAIN;
}

static sl_err drop_finalizer(void *arg, json_t *body)
{
	struct removal *r = arg;
	json_t *list = sl_obj_get(body, "metadata.finalizers"), *item;
	size_t i;
	json_array_foreach (list, i, item) {
		if (sl_str_eq_c(sl_json_str(item), r->what)) {
			json_array_remove(list, i);
			return SL_OK;
		}
	}
	return SL_ERR_AGAIN;
}

static void on_removal(void *arg, const struct sl_objects_result *result)
{
	(void)result; /* gone meanwhile, or changed: the event of that change queues the object again */
	struct removal *r = arg;
	sl_free(r->what);
	sl_free(r);
}

static void remove_from(
        struct sl_objects *os, const struct sl_object *o, sl_objects_modify_fn fn, sl_str what)
{
	struct removal *r = sl_new0(sizeof(*r));
	r->what = sl_strndup(what.p, what.len);
	sl_objects_modify(os, &o->key, false, fn, on_removal, r);
}

static void collect(struct sl_objects *os, const struct node *n)
{
	if (sl_is_deleting(n->object->body))
		return;
	const struct sl_write_options options = {
		.expect_uid = n->object->uid,
		.propagation =
		        sl_list_empty(&n->dependents) ? SL_PROPAGATE_BACKGROUND : SL_PROPAGATE_FOREGROUND,
	};
	sl_objects_delete(os, &n->object->key, &options, NULL, NULL);
}

static void check_foreground(struct sl_objects *os, struct node *n)
{
	bool blocked = false;
	SL_LIST_FOR (link, &n->dependents) {
		struct edge *e = SL_LIST_ENTRY(link, struct edge, of_owner);
		blocked = blocked || e->blocks;
		if (e->dependent->edge_count == 1)
			collect(os, e->dependent);
		else
			remove_from(os, e->dependent->object, disown, n->object->uid);
	}
	if (!blocked)
		remove_from(os, n->object, drop_finalizer, SL_STR("foregroundDeletion"));
}

static void check_orphan(struct sl_objects *os, struct node *n)
{
	SL_LIST_FOR (link, &n->dependents) {
		struct edge *e = SL_LIST_ENTRY(link, struct edge, of_owner);
		remove_from(os, e->dependent->object, disown, n->object->uid);
	}
	if (sl_list_empty(&n->dependents))
		remove_from(os, n->object, drop_finalizer, SL_STR("orphan"));
}

/* An object whose owners are all gone goes too; a reference to one that is gone, beside one that is not, is taken out. */
static void check_owners(struct sl_objects *os, struct node *n)
{
	size_t gone = 0;
	for (size_t i = 0; i < n->edge_count; i++)
		gone += !n->edges[i].owner->object;
	if (n->edge_count && gone == n->edge_count) {
		collect(os, n);
		return;
	}
	for (size_t i = 0; gone && i < n->edge_count; i++)
		if (!n->edges[i].owner->object)
			remove_from(os, n->object, disown, sl_str_c(n->edges[i].owner->uid));
}

/* --- namespaces --- */

static bool is_namespace(const struct sl_object *o)
{
	return sl_str_eq_c(o->key.plural, "namespaces") && o->key.group.len == 0;
}

struct emptying {
	struct sl_objects *os;
	size_t left;
};

static bool empty_one(void *arg, struct sl_object *o)
{
	struct emptying *e = arg;
	e->left++;
	if (!sl_is_deleting(o->body)) {
		const struct sl_write_options options = { .expect_uid = o->uid };
		sl_objects_delete(e->os, &o->key, &options, NULL, NULL);
	}
	return true;
}

static void check_namespace(struct sl_objects *os, struct node *n)
{
	struct emptying e = { .os = os };
	const struct sl_kind *all = sl_kind_table;
	for (size_t i = 0; i < SL_KIND_COUNT; i++)
		if (all[i].namespaced)
			sl_store_each_latest(os->store, sl_str_c(all[i].group), sl_str_c(all[i].plural),
			        n->object->key.name, empty_one, &e);
	if (e.left)
		return; /* the end of the last one queues the namespace again */
	struct sl_store_write write = { .key = n->object->key, .expect_uid = n->object->uid };
	SL_IGNORE(sl_store_delete(os->store, &write, NULL)); /* gone already: nothing is left to do */
}

static void queue_namespace_of(struct sl_objects *os, const struct sl_object *o)
{
	if (o->key.ns.len == 0)
		return;
	const struct sl_object_key *key = SL_OBJECT_KEY("", "namespaces", SL_STR_NONE, o->key.ns);
	struct sl_object *space = sl_store_get(os->store, key);
	if (space && sl_is_deleting(space->body))
		queue(os, node_get(os, space->uid));
}

/* --- following the store --- */

static void check(struct sl_objects *os, struct node *n)
{
	if (!n->object)
		return;
	const json_t *body = n->object->body;
	if (!sl_is_deleting(body)) {
		check_owners(os, n);
		return;
	}
	if (is_namespace(n->object))
		check_namespace(os, n);
	if (sl_has_finalizer(body, "foregroundDeletion"))
		check_foreground(os, n);
	if (sl_has_finalizer(body, "orphan"))
		check_orphan(os, n);
}

static void on_task(struct sl_loop *loop, struct sl_task *task)
{
	(void)loop;
	struct sl_objects *os = SL_CONTAINER_OF(task, struct sl_objects, gc.task);
	while (!sl_list_empty(&os->gc.checks)) {
		struct node *n = SL_LIST_ENTRY(os->gc.checks.next, struct node, check);
		sl_list_remove(&n->check);
		check(os, n);
		node_drop_if_empty(os, n);
	}
}

static void on_gone(struct sl_objects *os, struct node *n)
{
	sl_object_unref(n->object);
	n->object = NULL;
	unlink_owners(os, n);
	SL_LIST_FOR (link, &n->dependents) {
		queue(os, SL_LIST_ENTRY(link, struct edge, of_owner)->dependent);
	}
	queue(os, n); /* frees it when nothing refers to it */
}

static void on_event(void *arg, const struct sl_store_event *event)
{
	struct sl_objects *os = arg;
	struct node *n = node_get(os, event->object->uid);
	if (event->type == SL_STORE_DELETED) {
		queue_namespace_of(os, event->object);
		on_gone(os, n);
		return;
	}
	bool relink = !n->object || !same_owners(n->object, event->object);
	sl_object_ref(event->object);
	sl_object_unref(n->object);
	n->object = event->object;
	if (relink) {
		unlink_owners(os, n);
		link_owners(os, n);
	}
	if (n->edge_count || sl_is_deleting(event->object->body))
		queue(os, n);
	if (sl_is_deleting(event->object->body) || event->type == SL_STORE_ADDED)
		queue_namespace_of(os, event->object);
}

static bool on_first(void *arg, struct sl_object *o)
{
	on_event(arg, &(struct sl_store_event) {
	                      .type = SL_STORE_ADDED, .version = o->resource_version, .object = o });
	return true;
}

sl_err sl_gc_start(struct sl_objects *os)
{
	struct sl_store_watch_filter everything = { 0 };
	os->gc.task.fn = on_task;
	SL_TRY(sl_store_watch(os->store, &os->gc.watch, &everything, 0, on_event, os));
	const struct sl_kind *all = sl_kind_table;
	for (size_t i = 0; i < SL_KIND_COUNT; i++) /* the checks run when all are there */
		sl_store_each(os->store, sl_str_c(all[i].group), sl_str_c(all[i].plural), SL_STR_NONE,
		        on_first, os);
	return SL_OK;
}

void sl_gc_stop(struct sl_objects *os)
{
	sl_store_watch_stop(os->gc.watch);
	sl_task_cancel(os->loop, &os->gc.task);
	for (struct sl_map_node *at = sl_map_next(&os->gc.nodes, NULL), *next; at; at = next) {
		next = sl_map_next(&os->gc.nodes, at);
		node_free(SL_MAP_ENTRY(at, struct node, map));
	}
	sl_map_fini(&os->gc.nodes);
}
