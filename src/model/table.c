#include "model/table.h"

#include "model/object.h"
#include "model/table_priv.h"

#include <stdio.h>

char *sl_age_format(char dst[32], sl_nsec age)
{
	long long s = age / SL_SEC(1), m = s / 60, h = m / 60, d = h / 24, y = d / 365;

	if (s < -1)
		snprintf(dst, 32, "<invalid>");
	else if (s < 120)
		snprintf(dst, 32, "%llds", s < 0 ? 0 : s);
	else if (m < 10 && s % 60)
		snprintf(dst, 32, "%lldm%llds", m, s % 60);
	else if (m < 180)
		snprintf(dst, 32, "%lldm", m);
	else if (h < 8 && m % 60)
		snprintf(dst, 32, "%lldh%lldm", h, m % 60);
	else if (h < 48)
		snprintf(dst, 32, "%lldh", h);
	else if (d < 8 && h % 24)
		snprintf(dst, 32, "%lldd%lldh", d, h % 24);
	else if (y < 2)
		snprintf(dst, 32, "%lldd", d);
	else if (y < 8 && d % 365)
		snprintf(dst, 32, "%lldy%lldd", y, d % 365);
	else
		snprintf(dst, 32, "%lldy", y);
	return dst;
}

static bool has_own_name(const struct sl_kind *kind)
{
	for (size_t i = 0; i < kind->columns_count; i++)
		if (strcmp(kind->columns[i].name, "Name") == 0)
			return true;
	return false;
}

static json_t *definition(const struct sl_kind *kind, const struct sl_kind_column *c)
{
	bool is_name = strcmp(c->name, "Name") == 0;
	/* builtin kinds send ages as text; CRDs say "date" and send text all the same */
	const char *type = kind->builtin && strcmp(c->type, "date") == 0 ? "string" : c->type;

	return json_pack("{s:s, s:s, s:s, s:s, s:i}", "name", c->name, "type", type, "format",
	        is_name ? "name" : "", "description", "", "priority", (int)c->priority);
}

json_t *sl_table_new(const struct sl_kind *kind, const struct sl_table_opts *opts)
{
	static const struct sl_kind_column name = { .name = "Name", .type = "string" };
	json_t *table = json_object(), *columns = json_array(), *meta = json_object();
	char version[32];

	snprintf(version, sizeof(version), "meta.k8s.io/%s", opts->version ? opts->version : "v1");
	if (!opts->skip_columns && !has_own_name(kind))
		json_array_append_new(columns, definition(kind, &name));
	for (size_t i = 0; !opts->skip_columns && i < kind->columns_count; i++)
		json_array_append_new(columns, definition(kind, &kind->columns[i]));
	if (opts->resource_version)
		json_object_set_new(meta, "resourceVersion", json_string(opts->resource_version));
	json_object_set_new(table, "kind", json_string("Table"));
	json_object_set_new(table, "apiVersion", json_string(version));
	json_object_set_new(table, "metadata", meta);
	json_object_set_new(table, "columnDefinitions", columns);
	json_object_set_new(table, "rows", json_array());
	return table;
}

/* The first value at ".a.b[*].c", borrowed; NULL when there is none. */
static const json_t *at_path(const json_t *obj, const char *path)
{
	sl_str rest = sl_str_c(path + 1), step;
	bool more = true;

	while (more && obj) {
		char key[64];
		bool each;

		more = sl_str_split(&rest, '.', &step);
		each = sl_str_ends(step, SL_STR("[*]"));
		obj = json_object_get(
		        obj, sl_str_copy(key, sizeof(key), sl_str_first(step, step.len - (each ? 3 : 0))));
		if (each)
			obj = json_array_get(obj, 0);
	}
	return obj;
}

static json_t *path_cell(const struct sl_kind_column *c, const json_t *obj, sl_nsec now)
{
	const json_t *v = at_path(obj, c->source);
	sl_nsec at;
	char age[32], *text;
	json_t *cell;

	if (!v || json_is_null(v))
		return strcmp(c->type, "date") == 0 ? json_string("<unknown>") : json_null();
	if (strcmp(c->type, "date") == 0)
		return json_string(sl_time_parse(sl_json_str(v), &at) == SL_OK ? sl_age_format(age, now - at)
		                                                               : "<invalid>");
	if (json_is_string(v))
		return sl_json_from_str(sl_json_str(v));
	if (strcmp(c->type, "integer") == 0 && json_is_integer(v))
		return json_integer(json_integer_value(v));
	text = sl_json_text(v); /* lists as JSON, as for a CRD's printer columns */
	cell = json_string(text);
	sl_free(text);
	return cell;
}

static json_t *row_object(const json_t *obj, const struct sl_table_opts *opts)
{
	char version[32];
	json_t *partial;

	switch (opts->include) {
	case SL_TABLE_OBJECT:
		return json_incref((json_t *)(uintptr_t)obj);
	case SL_TABLE_METADATA:
		snprintf(version, sizeof(version), "meta.k8s.io/%s", opts->version ? opts->version : "v1");
		partial = json_pack("{s:s, s:s}", "kind", "PartialObjectMetadata", "apiVersion", version);
		json_object_set(partial, "metadata", json_object_get(obj, "metadata"));
		return partial;
	case SL_TABLE_NONE:
		break;
	}
	return NULL;
}

void sl_table_add(
        json_t *table, const struct sl_kind *kind, const json_t *obj, const struct sl_table_opts *opts)
{
	json_t *cells = json_array(), *row = json_object(), *included = row_object(obj, opts);

	if (!has_own_name(kind))
		json_array_append_new(cells, sl_json_from_str(sl_obj_name(obj)));
	for (size_t i = 0; i < kind->columns_count; i++) {
		const struct sl_kind_column *c = &kind->columns[i];
		sl_table_cell_fn *make = c->source[0] == '@' ? sl_table_cell(c->source + 1) : NULL;

		json_array_append_new(cells, make ? make(obj, opts->now) : path_cell(c, obj, opts->now));
	}
	json_object_set_new(row, "cells", cells);
	if (included)
		json_object_set_new(row, "object", included);
	json_array_append_new(json_object_get(table, "rows"), row);
}
