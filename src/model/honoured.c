#include "model/honoured.h"

#include "base/buf.h"
#include "model/object.h"
#include "model/path_priv.h"

#include <stdio.h>

#define CONDITION "FieldsHonoured"

struct walk {
	struct sl_path path;
	struct sl_diag *found;
	bool is_all_honoured;
};

static void walk_object(struct walk *w, const struct sl_schema_type *type, const json_t *obj);

static void report(struct walk *w, const char *text)
{
	sl_diag_add(w->found, w->path.text, "FieldNotHonoured", "%s", text);
	w->is_all_honoured = false;
}

/* Asks for nothing beyond what happens anyway. */
static bool is_idle(const struct sl_schema_field *f, const json_t *v)
{
	json_t *idle;
	bool same;

	if (json_is_null(v) || (json_is_object(v) && json_object_size(v) == 0) ||
	        (json_is_array(v) && json_array_size(v) == 0))
		return true;
	if (!f->rules || !f->rules->default_json)
		return json_is_false(v) || (json_is_integer(v) && json_integer_value(v) == 0) ||
		       (json_is_string(v) && json_string_length(v) == 0);
	idle = json_loads(f->rules->default_json, JSON_DECODE_ANY, NULL);
	same = json_equal(idle, v);
	json_decref(idle);
	return same;
}

/* Of "connect-failure,5xx", every part must be acted on. */
static void check_only(struct walk *w, const char *only, const json_t *v)
{
	sl_str rest = sl_json_str(v), part;
	bool more = rest.len > 0;

	while (more) {
		char text[160];

		more = sl_str_split(&rest, ',', &part);
		part = sl_str_trim(part);
		if (part.len == 0 || sl_schema_word_in(only, part, NULL))
			continue;
		snprintf(text, sizeof(text), "\"%.*s\" is stored, not acted on yet",
		        part.len < 80 ? (int)part.len : 80, part.p);
		report(w, text);
	}
}

static void walk_value(struct walk *w, const struct sl_schema_field *f, const json_t *v)
{
	if (f->base == SL_BASE_TYPE && json_is_object(v))
		walk_object(w, f->type, v);
	else if (f->rules && f->rules->only && json_is_string(v))
		check_only(w, f->rules->only, v);
}

static void walk_field(struct walk *w, const struct sl_schema_field *f, const json_t *v)
{
	const char *key;
	json_t *sub;
	size_t i, at;

	if (!(f->flags & SL_FIELD_HONOURED)) {
		if (!is_idle(f, v))
			report(w, "stored, not acted on yet");
		return;
	}
	switch ((enum sl_schema_shape)f->shape) {
	case SL_SHAPE_ONE:
		walk_value(w, f, v);
		break;
	case SL_SHAPE_LIST:
		json_array_foreach (v, i, sub) {
			at = sl_path_index(&w->path, i);
			walk_value(w, f, sub);
			sl_path_pop(&w->path, at);
		}
		break;
	case SL_SHAPE_MAP:
		SL_OBJ_FOR (v, key, sub) {
			at = sl_path_entry(&w->path, key);
			walk_value(w, f, sub);
			sl_path_pop(&w->path, at);
		}
		break;
	}
}

static void walk_object(struct walk *w, const struct sl_schema_type *type, const json_t *obj)
{
	for (size_t i = 0; i < type->fields_count;
	        i++) { /* in the table's order, so that equal objects read equal */
		const json_t *v = json_object_get(obj, type->fields[i].name);
		size_t at;

		if (!v)
			continue;
		at = sl_path_key(&w->path, type->fields[i].name);
		if (strcmp(w->path.text, "status") != 0) /* ours to write */
			walk_field(w, &type->fields[i], v);
		sl_path_pop(&w->path, at);
	}
}

bool sl_honoured_check(const struct sl_kind *kind, const json_t *obj, struct sl_diag *found)
{
	struct walk w = { .found = found, .is_all_honoured = true };

	if (!kind->honoured) {
		sl_diag_add(found, NULL, "KindNotHonoured", "%s objects are stored; nothing acts on them yet",
		        kind->kind);
		return false;
	}
	walk_object(&w, kind->type, obj);
	return w.is_all_honoured;
}

static bool has_conditions(const struct sl_kind *kind)
{
	const struct sl_schema_field *status = sl_schema_field(kind->type, SL_STR("status"));

	return status && status->type && sl_schema_field(status->type, SL_STR("conditions"));
}

static bool drop_condition(json_t *obj)
{
	json_t *list = sl_obj_get(obj, "status.conditions"), *c;
	size_t i;

	json_array_foreach (list, i, c) {
		if (!sl_str_eq(sl_obj_get_str(c, "type"), SL_STR(CONDITION)))
			continue;
		json_array_remove(list, i);
		if (json_array_size(list) == 0)
			json_object_del(json_object_get(obj, "status"), "conditions");
		return true;
	}
	return false;
}

/* A route's conditions stand per parent, as Gateway API has it. Written anew each time: nobody else writes them. */
static bool set_parents(json_t *obj, const struct sl_condition *c, sl_nsec now)
{
	json_t *refs = sl_obj_get(obj, "spec.parentRefs"), *ref, *parents = json_array();
	json_t *old = sl_obj_get(obj, "status.parents");
	size_t i;
	bool changed;

	json_array_foreach (refs, i, ref) {
		json_t *holder = json_object();
		json_t *parent = json_pack(
		        "{s:O, s:s}", "parentRef", ref, "controllerName", "sluice.dev/gateway-controller");
		json_t *before = sl_obj_get(json_array_get(old, i), "conditions");

		if (before)
			sl_obj_set(holder, "status.conditions", json_deep_copy(before));
		sl_obj_set_condition(holder, c, now);
		json_object_set(parent, "conditions", sl_obj_get(holder, "status.conditions"));
		json_array_append_new(parents, parent);
		json_decref(holder);
	}
	changed = !json_equal(parents, old);
	if (changed && json_array_size(parents))
		sl_obj_set(obj, "status.parents", json_incref(parents));
	json_decref(parents);
	return changed;
}

static bool has_parents(const struct sl_kind *kind)
{
	const struct sl_schema_field *status = sl_schema_field(kind->type, SL_STR("status"));

	return status && status->type && sl_schema_field(status->type, SL_STR("parents"));
}

bool sl_honoured_has_condition(const struct sl_kind *kind)
{
	return has_conditions(kind) || has_parents(kind);
}

bool sl_honoured_condition(const struct sl_kind *kind, json_t *obj, sl_nsec now)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag found = { 0 };
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
	struct sl_condition c = { .type = CONDITION, .status = "False", .reason = "FieldsNotHonoured" };

	if (!sl_honoured_has_condition(kind))
		return false;
	if (sl_honoured_check(kind, obj, &found))
		return drop_condition(obj);
	if (kind->honoured) {
		sl_buf_c(&text, "stored, not acted on yet: ");
		for (const struct sl_diag_item *item = found.items; item; item = item->next) {
			sl_buf_c(&text, item == found.items ? "" : ", ");
			sl_buf_str_add(&text, item->field);
			if (item->text.p &&
			        item->text.p[0] == '"') /* a value of a field that is otherwise honoured */
				sl_buf_printf(
				        &text, " %.*s", (int)sl_str_find(item->text, ' '), item->text.p);
		}
		if (found.dropped)
			sl_buf_printf(&text, " and %zu more", found.dropped);
	} else {
		c.reason = "KindNotHonoured";
		sl_buf_printf(&text, "%s objects are stored; nothing acts on them yet", kind->kind);
	}
	c.message = sl_buf_cstr(&text);
	if (has_parents(kind)) {
		c.type = "Accepted";
		return set_parents(obj, &c, now);
	}
	return sl_obj_set_condition(obj, &c, now);
}
