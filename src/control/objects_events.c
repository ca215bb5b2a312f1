/*
 * Events: what happened to an object, for people. A repetition counts up in the Event that told it first; the oldest go when there
 * are more than events_kept, whoever wrote them.
 */
#include "base/buf.h"
#include "control/objects_priv.h"
#include "model/object.h"
#include "os/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct series {                     /* one Event object */
	struct sl_map_node by_what; /* object, type, reason, text; only while it is the newest of these */
	struct sl_map_node by_name; /* namespace/name */
	struct sl_list age;
	char *what, *name;
	size_t ns_len; /* of name's first part */
};

static struct sl_object_key key_of(const struct series *s)
{
	return (struct sl_object_key) {
		.group = SL_STR(""),
		.plural = SL_STR("events"),
		.ns = sl_str_n(s->name, s->ns_len),
		.name = sl_str_c(s->name + s->ns_len + 1),
	};
}

/* Equal for repetitions of one happening. */
static char *what_of(const json_t *event)
{
	const json_t *about = json_object_get(event, "involvedObject");
	sl_str uid = sl_obj_get_str(about, "uid"), name = sl_obj_get_str(about, "name");
	sl_str type = sl_obj_get_str(event, "type"), reason = sl_obj_get_str(event, "reason");
	sl_str text = sl_obj_get_str(event, "message"), kind = sl_obj_get_str(about, "kind");
	return sl_asprintf("%.*s|%.*s|%.*s|%.*s|%.*s|%.*s", SL_STR_ARG(kind), SL_STR_ARG(name),
	        SL_STR_ARG(uid), SL_STR_ARG(type), SL_STR_ARG(reason), SL_STR_ARG(text));
}

static void series_free(struct sl_recorder *r, struct series *s)
{
	struct sl_map_node *holder = sl_map_get(&r->series, sl_str_c(s->what));
	if (holder == &s->by_what)
		sl_map_take(&r->series, sl_str_c(s->what));
	sl_map_take(&r->names, sl_str_c(s->name));
	sl_list_remove(&s->age);
	sl_free(s->what);
	sl_free(s->name);
	sl_free(s);
}

static char *name_of(const struct sl_object_key *key)
{
	return sl_asprintf("%.*s/%.*s", SL_STR_ARG(key->ns), SL_STR_ARG(key->name));
}

static void series_add(struct sl_recorder *r, const struct sl_object_key *key, const json_t *event)
{
	struct series *s = sl_new0(sizeof(*s));
	s->name = name_of(key);
	s->ns_len = key->ns.len;
	s->what = what_of(event);
	sl_map_put(&r->names, &s->by_name, sl_str_c(s->name));
	sl_map_put(&r->series, &s->by_what, sl_str_c(s->what));
	sl_list_push(&r->oldest, &s->age);
}

static struct series *series_named(const struct sl_recorder *r, const struct sl_object_key *key)
{
	SL_CLEANUP(sl_free) char *name = name_of(key);
	struct sl_map_node *node = sl_map_get(&r->names, sl_str_c(name));
	return node ? SL_MAP_ENTRY(node, struct series, by_name) : NULL;
}

/* --- following the store: Events of any writer are counted and grow old --- */

static void trim(struct sl_loop *loop, struct sl_task *task)
{
	(void)loop;
	struct sl_objects *os = SL_CONTAINER_OF(task, struct sl_objects, recorder.task);
	struct sl_recorder *r = &os->recorder;
	while (r->names.count > os->events_kept) {
		struct series *s = SL_LIST_ENTRY(r->oldest.next, struct series, age);
		struct sl_object_key key = key_of(s);
		sl_objects_delete(os, &key, NULL, NULL, NULL);
		series_free(r, s);
	}
}

static void on_event(void *arg, const struct sl_store_event *event)
{
	struct sl_objects *os = arg;
	struct sl_recorder *r = &os->recorder;
	struct series *s = series_named(r, &event->object->key);
	if (event->type == SL_STORE_DELETED) {
		if (s)
			series_free(r, s);
	} else if (s) { /* told again: young again */
		sl_list_remove(&s->age);
		sl_list_push(&r->oldest, &s->age);
	} else if (event->type == SL_STORE_ADDED) {
		series_add(r, &event->object->key, event->object->body);
		sl_loop_defer(os->loop, &r->task);
	}
}

static int by_time(const void *a, const void *b)
{
	const struct sl_object *const *one = a, *const *two = b;
	return (*one)->resource_version < (*two)->resource_version
	               ? -1
	               : (*one)->resource_version > (*two)->resource_version;
}

struct stored {
	struct sl_object **objects;
	size_t count;
};

static bool take(void *arg, struct sl_object *o)
{
	struct stored *all = arg;
	all->objects[all->count++] = o;
	return true;
}

sl_err sl_recorder_start(struct sl_objects *os)
{
	const struct sl_store_watch_filter events = { .group = SL_STR(""), .plural = SL_STR("events") };
	struct stored all = { 0 };
	all.objects = sl_new0_array(
	        sl_store_count(os->store, events.group, events.plural) + 1, sizeof(*all.objects));
	os->recorder.task.fn = trim;
	sl_store_each(os->store, events.group, events.plural, SL_STR_NONE, take, &all);
	qsort(all.objects, all.count, sizeof(*all.objects), by_time);
	for (size_t i = 0; i < all.count; i++)
		series_add(&os->recorder, &all.objects[i]->key, all.objects[i]->body);
	sl_free(all.objects);
	return sl_store_watch(os->store, &os->recorder.watch, &events, 0, on_event, os);
}

void sl_recorder_stop(struct sl_objects *os)
{
	struct sl_recorder *r = &os->recorder;
	sl_store_watch_stop(r->watch);
	sl_task_cancel(os->loop, &r->task);
	while (!sl_list_empty(&r->oldest))
		series_free(r, SL_LIST_ENTRY(r->oldest.next, struct series, age));
	sl_map_fini(&r->names);
	sl_map_fini(&r->series);
}

/* --- recording --- */

static sl_err count_up(void *arg, json_t *body)
{
	(void)arg;
	char now[21];
	json_object_set_new(body, "count", json_integer(sl_obj_get_int(body, "count", 1) + 1));
	json_object_set_new(body, "lastTimestamp", json_string(sl_time_format(now, sl_clock_real())));
	return SL_OK;
}

static json_t *about(const json_t *regarding)
{
	json_t *reference = json_object();
	static const char *const from_top[] = { "apiVersion", "kind" };
	static const char *const from_metadata[] = { "name", "namespace", "uid", "resourceVersion" };
	for (size_t i = 0; i < SL_ARRAY_COUNT(from_top); i++)
		if (json_object_get(regarding, from_top[i]))
			json_object_set(reference, from_top[i], json_object_get(regarding, from_top[i]));
	const json_t *metadata = json_object_get(regarding, "metadata");
	for (size_t i = 0; i < SL_ARRAY_COUNT(from_metadata); i++)
		if (json_object_get(metadata, from_metadata[i]))
			json_object_set(
			        reference, from_metadata[i], json_object_get(metadata, from_metadata[i]));
	return reference;
}

static json_t *event_new(
        struct sl_objects *os, const json_t *regarding, const char *type, const char *reason, sl_str text)
{
	char now[21];
	sl_time_format(now, sl_clock_real());
	return json_pack("{s:s, s:s, s:{}, s:o, s:s, s:s, s:o, s:i, s:s, s:s, s:{s:s}, s:s, s:s}",
	        "apiVersion", "v1", "kind", "Event", "metadata", "involvedObject", about(regarding), "type",
	        type, "reason", reason, "message", sl_json_from_str(text), "count", 1, "firstTimestamp", now,
	        "lastTimestamp", now, "source", "component", os->source, "reportingComponent", os->source,
	        "reportingInstance", "");
}

struct recording {
	struct sl_recorder *recorder;
	struct sl_object_key key; /* into name */
	char *name;
};

static void on_recorded(void *arg, const struct sl_objects_result *result)
{
	struct recording *rec = arg;
	struct series *s = result->err == SL_OK ? NULL : series_named(rec->recorder, &rec->key);
	if (s) /* refused, as in a namespace that goes: nothing to count up */
		series_free(rec->recorder, s);
	sl_free(rec->name);
	sl_free(rec);
}

static struct recording *recording_new(struct sl_recorder *r, sl_str ns, const char *name)
{
	struct recording *rec = sl_new0(sizeof(*rec));
	rec->recorder = r;
	rec->name = sl_asprintf("%.*s/%s", SL_STR_ARG(ns), name);
	rec->key.ns = sl_str_n(rec->name, ns.len);
	rec->key.name = sl_str_c(rec->name + ns.len + 1);
	return rec;
}

void sl_objects_event(struct sl_objects *os, const json_t *regarding, const char *type, const char *reason,
        const char *fmt, ...)
{
	va_list ap;
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
	va_start(ap, fmt);
	sl_buf_vprintf(&text, fmt, ap);
	va_end(ap);

	json_t *event = event_new(os, regarding, type, reason, sl_buf_str(&text));
	SL_CLEANUP(sl_free) char *what = what_of(event);
	struct sl_map_node *told = sl_map_get(&os->recorder.series, sl_str_c(what));
	if (told) {
		struct sl_object_key key = key_of(SL_MAP_ENTRY(told, struct series, by_what));
		sl_objects_modify(os, &key, false, count_up, NULL, NULL);
		json_decref(event);
		return;
	}
	/* Named now, so that a repetition in this very turn finds it. */
	sl_str ns = sl_obj_namespace(regarding), name = sl_obj_name(regarding);
	if (ns.len == 0)
		ns = SL_STR("default"); /* where Events about cluster-scoped objects live */
	SL_CLEANUP(sl_free) char *own_name =
	        sl_asprintf("%.*s.%016" PRIx64, SL_STR_ARG(name), sl_prng_next(&os->prng));
	sl_obj_set(event, "metadata.name", json_string(own_name));
	struct sl_object_key key = {
		.group = SL_STR(""), .plural = SL_STR("events"), .ns = ns, .name = sl_str_c(own_name)
	};
	series_add(&os->recorder, &key, event);
	sl_loop_defer(os->loop, &os->recorder.task);
	sl_objects_create(os, ns, event, NULL, on_recorded, recording_new(&os->recorder, ns, own_name));
}
