/* Get and list. A list of objects is their cached texts put together: nothing is serialised, nothing parsed. */
#include "control/api_priv.h"
#include "control/objects_priv.h"
#include "model/object.h"
#include "model/table.h"
#include "os/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* --- selecting --- */

bool sl_api_selection_parse(
        struct sl_api_req *r, struct sl_arena *arena, struct sl_api_selection *ret_selection)
{
	struct sl_api_selection s = { 0 };
	sl_err err = sl_selector_parse(r->query.label_selector, arena, &s.labels, &r->diag);
	if (err == SL_OK)
		err = sl_field_selector_parse(r->query.field_selector, arena, &s.fields, &r->diag);
	if (err != SL_OK) {
		sl_api_reply_error(r, SL_ERR_BAD_REQUEST, &r->diag);
		return false;
	}
	*ret_selection = s;
	return true;
}

bool sl_api_selected(const struct sl_api_selection *s, const json_t *body)
{
	return (s->labels.count == 0 ||
	               sl_selector_matches(&s->labels, sl_obj_get(body, "metadata.labels"))) &&
	       (s->fields.count == 0 || sl_field_selector_matches(&s->fields, body));
}

/* --- get --- */

static void reply_scale(struct sl_api_req *r, const struct sl_object *o)
{
	sl_api_reply_json(r, 200, sl_scale_of(r->kind, o));
}

void sl_api_get(struct sl_api_req *r)
{
	const struct sl_object *o = sl_objects_get(r->api->options.objects, &r->key);
	if (!o)
		sl_api_reply_error(r, SL_ERR_NOT_FOUND, NULL);
	else if (sl_str_eq_c(r->route.subresource, "scale"))
		reply_scale(r, o);
	else
		sl_api_reply_object(r, 200, o);
}

/* --- list --- */

struct listing {
	struct sl_api_req *r;
	struct sl_api_selection selection;
	struct sl_buf text;
	json_t *table;
	struct sl_table_opts table_opts;
	size_t count;
};

static void add_object(struct listing *l, const struct sl_object *o)
{
	if (!sl_api_needs_conversion(l->r)) {
		sl_buf_str_add(&l->text, o->json);
		return;
	}
	json_t *body = sl_api_convert(l->r, o);
	char *text = json_dumps(body, JSON_COMPACT);
	sl_buf_c(&l->text, text);
	free(text);
	json_decref(body);
}

static bool list_one(void *arg, struct sl_object *o)
{
	struct listing *l = arg;
	if (!sl_api_selected(&l->selection, o->body))
		return true;
	if (l->table) {
		json_t *body = sl_api_convert(l->r, o);
		sl_table_add(l->table, l->r->kind, body, &l->table_opts);
		json_decref(body);
	} else {
		if (l->count)
			sl_buf_byte(&l->text, ',');
		add_object(l, o);
	}
	l->count++;
	return true;
}

static void list_selected(struct listing *l)
{
	struct sl_api_req *r = l->r;
	sl_str name = sl_field_selector_name(&l->selection.fields);
	if (name.len && (r->route.ns.len || !r->kind->namespaced)) {
		struct sl_object_key key = r->key;
		key.name = name;
		struct sl_object *o = sl_objects_get(r->api->options.objects, &key);
		if (o)
			list_one(l, o);
		return;
	}
	sl_objects_each(r->api->options.objects, r->key.group, r->key.plural, r->route.ns, list_one, l);
}

static void reply_table(struct listing *l, const char *version)
{
	struct sl_api_req *r = l->r;
	l->table_opts = (struct sl_table_opts) {
		.include = r->query.include == SL_API_INCLUDE_OBJECT ? SL_TABLE_OBJECT
		           : r->query.include == SL_API_INCLUDE_NONE ? SL_TABLE_NONE
		                                                     : SL_TABLE_METADATA,
		.version = r->format == SL_API_TABLE_V1BETA1 ? "v1beta1" : "v1",
		.resource_version = version,
		.now = sl_clock_real(),
	};
	l->table = sl_table_new(r->kind, &l->table_opts);
	list_selected(l);
	sl_api_reply_json(r, 200, l->table);
}

static void reply_list(struct listing *l, const char *version)
{
	struct sl_api_req *r = l->r;
	sl_buf_printf(&l->text,
	        "{\"kind\":\"%sList\",\"apiVersion\":\"%s%s%.*s\",\"metadata\":{\"resourceVersion\":\"%s\"},"
	        "\"items\":[",
	        r->kind->kind, r->kind->group, r->kind->group[0] ? "/" : "", SL_STR_ARG(r->route.version),
	        version);
	list_selected(l);
	sl_buf_c(&l->text, "]}");
	sl_api_reply_text(r, 200, "application/json", sl_buf_str(&l->text));
	sl_buf_fini(&l->text);
}

void sl_api_list(struct sl_api_req *r)
{
	/* Lists are whole, so no client holds a token of ours. */
	if (r->query.continue_token.len) {
		sl_api_fail(r, SL_ERR_EXPIRED,
		        "the continue parameter is of another server: start the list anew without it");
		return;
	}
	struct listing l = { .r = r };
	if (!sl_api_selection_parse(r, r->http->arena, &l.selection))
		return;
	char version[24];
	snprintf(version, sizeof(version), "%" PRIu64,
	        sl_store_version(sl_objects_store(r->api->options.objects)));
	if (r->format == SL_API_JSON)
		reply_list(&l, version);
	else
		reply_table(&l, version);
}
