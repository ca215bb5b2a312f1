/*
 * Watch: a stream of events, one JSON object a line. The client's selectors are applied to the state before and after each change, so an
 * object that leaves the selection is DELETED for this client. A slow client is not fed further: its store watch stops, and begins
 * again from the version it has seen when there is room; if that has left the history by then, it is told to list anew.
 */
#include "control/api_priv.h"
#include "model/object.h"
#include "model/table.h"
#include "os/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct sl_api_watch {
	struct sl_list link; /* in api->watches */
	struct sl_api_req *r;
	struct sl_api_selection selection;
	struct sl_store_watch *store; /* NULL while the client is too slow, and at the end */
	uint64_t told;                /* everything up to this version has been sent, or was not wanted */
	struct sl_timer timer;
	struct sl_dead dead;
	bool begun; /* the head of the answer is sent */
	bool full, ended, has_columns;
};

/* --- lines --- */

static void begin(struct sl_api_watch *w)
{
	if (w->begun)
		return;
	w->begun = true;
	sl_http_stream_begin(w->r->http, 200, "application/json");
}

static void write_line(struct sl_api_watch *w, const char *type, sl_str object)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf line = { 0 };
	if (!w->r->http)
		return;
	begin(w);
	sl_buf_reserve(&line, object.len + 48);
	sl_buf_printf(&line, "{\"type\":\"%s\",\"object\":", type);
	sl_buf_str_add(&line, object);
	sl_buf_c(&line, "}\n");
	w->full = !sl_http_stream_write(w->r->http, sl_buf_str(&line));
}

static void write_json(struct sl_api_watch *w, const char *type, json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT);
	write_line(w, type, sl_str_c(text));
	free(text);
	json_decref(object);
}

static void write_table(struct sl_api_watch *w, const char *type, const struct sl_object *o)
{
	char version[24];
	snprintf(version, sizeof(version), "%" PRIu64, o->resource_version);
	const struct sl_table_opts opts = {
		.include = w->r->query.include == SL_API_INCLUDE_OBJECT ? SL_TABLE_OBJECT
		           : w->r->query.include == SL_API_INCLUDE_NONE ? SL_TABLE_NONE
		                                                        : SL_TABLE_METADATA,
		.version = w->r->format == SL_API_TABLE_V1BETA1 ? "v1beta1" : "v1",
		.resource_version = version,
		.skip_columns = w->has_columns,
		.now = sl_clock_real(),
	};
	json_t *table = sl_table_new(w->r->kind, &opts);
	json_t *body = sl_api_convert(w->r, o);
	sl_table_add(table, w->r->kind, body, &opts);
	json_decref(body);
	w->has_columns = true;
	write_json(w, type, table);
}

static void write_object(struct sl_api_watch *w, const char *type, const struct sl_object *o)
{
	if (w->r->format != SL_API_JSON)
		write_table(w, type, o);
	else if (sl_api_needs_conversion(w->r))
		write_json(w, type, sl_api_convert(w->r, o));
	else
		write_line(w, type, o->json);
}

static void write_bookmark(struct sl_api_watch *w, bool ends_initial)
{
	char version[24];
	snprintf(version, sizeof(version), "%" PRIu64, w->told);
	const struct sl_kind *kind = w->r->kind;
	SL_CLEANUP(sl_free)
	char *api_version = sl_asprintf(
	        "%s%s%.*s", kind->group, kind->group[0] ? "/" : "", SL_STR_ARG(w->r->route.version));
	json_t *object = json_pack("{s:s, s:s, s:{s:s, s:n}}", "kind", kind->kind, "apiVersion", api_version,
	        "metadata", "resourceVersion", version, "creationTimestamp");
	if (ends_initial)
		sl_obj_set(object, "metadata.annotations",
		        json_pack("{s:s}", "k8s.io/initial-events-end", "true"));
	write_json(w, "BOOKMARK", object);
}

/* --- the end --- */

/* Lets go of everything; whoever runs inside one of our callbacks must return at once. */
static void watch_end(struct sl_api_watch *w)
{
	if (w->ended)
		return;
	w->ended = true;
	sl_store_watch_stop(w->store);
	w->store = NULL;
	sl_timer_stop(w->r->api->options.loop, &w->timer);
	sl_list_remove(&w->link);
	w->r->api->watch_count--;
	if (w->r->http) {
		struct sl_http_req *http = w->r->http;
		begin(w);
		w->r->http = NULL;
		sl_http_stream_end(http);
	}
}

static void watch_free(void *arg)
{
	struct sl_api_watch *w = arg;
	sl_api_req_unref(w->r);
	sl_free(w);
}

static void watch_drop(struct sl_api_watch *w);

static void end_expired(struct sl_api_watch *w, uint64_t asked)
{
	SL_CLEANUP(sl_free)
	char *message =
	        sl_asprintf("too old resource version: %" PRIu64 ": list again, and watch from there", asked);
	if (w->begun)
		write_json(w, "ERROR", sl_api_status_new(w->r, SL_ERR_EXPIRED, message, NULL));
	else
		sl_api_fail(w->r, SL_ERR_EXPIRED, "%s", message);
	watch_drop(w);
}

static void on_timeout(struct sl_loop *loop, struct sl_timer *timer)
{
	(void)loop;
	struct sl_api_watch *w = SL_CONTAINER_OF(timer, struct sl_api_watch, timer);
	if (w->r->query.bookmarks && w->store && w->r->format == SL_API_JSON)
		write_bookmark(w, false);
	watch_drop(w);
}

static void on_gone(struct sl_api_req *r)
{
	watch_drop(r->user);
}

/* --- events --- */

/* The last state of an object that left the selection, under the version of the change that took it out. */
static void write_left(struct sl_api_watch *w, const struct sl_object *old, uint64_t version)
{
	json_t *body = json_copy(old->body);
	json_object_set_new(body, "metadata", json_copy(json_object_get(body, "metadata")));
	struct sl_object *left = sl_object_new(&old->key, body, version);
	write_object(w, "DELETED", left);
	sl_object_unref(left);
}

static void on_event(void *arg, const struct sl_store_event *e)
{
	struct sl_api_watch *w = arg;
	bool was = e->old && sl_api_selected(&w->selection, e->old->body);
	bool is = e->type != SL_STORE_DELETED && sl_api_selected(&w->selection, e->object->body);
	w->told = e->version;
	if (e->type == SL_STORE_DELETED && was)
		write_object(w, "DELETED", e->object);
	else if (was && !is)
		write_left(w, e->old, e->version);
	else if (is)
		write_object(w, was ? "MODIFIED" : "ADDED", e->object);
	if (w->full && w->store) { /* until on_drain */
		sl_store_watch_stop(w->store);
		w->store = NULL;
	}
}

/* False: the watch has ended. */
static bool watch_begin(struct sl_api_watch *w, uint64_t from_version)
{
	struct sl_store *store = sl_objects_store(w->r->api->options.objects);
	const struct sl_store_watch_filter filter = { w->r->key.group, w->r->key.plural, w->r->route.ns };
	w->told = from_version;
	sl_err err = sl_store_watch(store, &w->store, &filter, from_version, on_event, w);
	if (err != SL_OK) {
		end_expired(w, from_version);
		return false;
	}
	return true;
}

static void on_drain(struct sl_http_req *http)
{
	struct sl_api_req *r = http->user;
	struct sl_api_watch *w = r->user;
	w->full = false;
	if (!w->store && !w->ended)
		watch_begin(w, w->told);
}

/* --- the beginning --- */

static bool write_initial(void *arg, struct sl_object *o)
{
	struct sl_api_watch *w = arg;
	if (sl_api_selected(&w->selection, o->body))
		write_object(w, "ADDED", o);
	return true;
}

/* Where to begin: a version, or 0 for "send what there is first". False: answered with an error. */
static bool parse_from(struct sl_api_req *r, uint64_t *ret_from)
{
	sl_str version = r->query.resource_version;
	*ret_from = 0;
	if (r->query.initial_events || version.len == 0)
		return true;
	if (sl_str_to_u64(version, ret_from) == SL_OK)
		return true;
	sl_api_fail(r, SL_ERR_BAD_REQUEST,
	        "resourceVersion: \"%.*s\" is not allowed: give one that a list or an object had",
	        SL_STR_ARG(version));
	return false;
}

static void start_stream(struct sl_api_watch *w, uint64_t from)
{
	struct sl_api_req *r = w->r;
	struct sl_store *store = sl_objects_store(r->api->options.objects);
	r->http->on_drain = on_drain;
	if (from) {
		if (watch_begin(w, from))
			begin(w); /* a client wants to know that it watches, before anything happens */
		return;
	}
	begin(w);
	sl_store_each(store, r->key.group, r->key.plural, r->route.ns, write_initial, w);
	if (watch_begin(w, sl_store_version(store)) && r->query.initial_events && r->query.bookmarks)
		write_bookmark(w, true);
}

/* A watch of one object is a watch of the kind that selects its name. */
static void select_name(struct sl_api_req *r, struct sl_api_selection *s)
{
	if (r->route.endpoint != SL_API_OBJECT)
		return;
	struct sl_field_req *reqs = sl_arena_zalloc_array(r->http->arena, s->fields.count + 1, sizeof(*reqs));
	for (size_t i = 0; i < s->fields.count; i++)
		reqs[i] = s->fields.reqs[i];
	reqs[s->fields.count] =
	        (struct sl_field_req) { .path = SL_STR("metadata.name"), .value = r->route.name };
	s->fields = (struct sl_field_selector) { .reqs = reqs, .count = s->fields.count + 1 };
}

void sl_api_watch(struct sl_api_req *r)
{
	struct sl_api *api = r->api;
	uint64_t from = 0;
	struct sl_api_selection selection;
	if (api->watch_count >= api->options.watches_most) {
		sl_api_fail(r, SL_ERR_OVER_BUDGET,
		        "%zu watches are open, as many as allowed: try again later", api->watch_count);
		return;
	}
	if (!parse_from(r, &from) || !sl_api_selection_parse(r, r->http->arena, &selection))
		return;
	select_name(r, &selection);
	struct sl_api_watch *w = sl_new0(sizeof(*w));
	w->r = sl_api_req_ref(r);
	w->selection = selection;
	w->timer.fn = on_timeout;
	r->user = w;
	r->on_gone = on_gone;
	sl_list_push(&api->watches, &w->link);
	api->watch_count++;
	sl_nsec limit = api->options.watch_most;
	if (r->query.timeout_s > 0 && r->query.timeout_s < limit / SL_SEC(1))
		limit = SL_SEC(r->query.timeout_s);
	sl_timer_in(api->options.loop, &w->timer, limit);
	start_stream(w, from);
}

/* --- for all watches --- */

static void watch_drop(struct sl_api_watch *w)
{
	if (w->ended)
		return;
	struct sl_loop *loop = w->r->api->options.loop;
	watch_end(w);
	sl_loop_free_later(loop, &w->dead, watch_free, w);
}

void sl_api_on_bookmarks(struct sl_loop *loop, struct sl_timer *timer)
{
	struct sl_api *api = SL_CONTAINER_OF(timer, struct sl_api, bookmarks);
	uint64_t version = sl_store_version(sl_objects_store(api->options.objects));
	SL_LIST_FOR_SAFE (node, &api->watches) {
		struct sl_api_watch *w = SL_LIST_ENTRY(node, struct sl_api_watch, link);
		if (!w->store || !w->r->query.bookmarks || w->r->format != SL_API_JSON)
			continue;
		if (w->told < version)
			w->told = version; /* a watch that runs has been told everything */
		write_bookmark(w, false);
	}
	sl_timer_in(loop, timer, SL_API_BOOKMARKS_EVERY);
}

void sl_api_stop_watches(struct sl_api *api)
{
	while (!sl_list_empty(&api->watches))
		watch_drop(SL_LIST_ENTRY(api->watches.next, struct sl_api_watch, link));
}
