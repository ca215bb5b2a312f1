#include "cli/print.h"

#include "base/buf.h"
#include "proto/json.h"
#include "proto/yaml.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

const char *sl_print_accept(enum sl_output output)
{
	if (output == SL_OUTPUT_TABLE || output == SL_OUTPUT_WIDE)
		return "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
	return "application/json";
}

void sl_grid_add(struct sl_grid *g, const char *fmt, ...)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
	va_list ap;

	va_start(ap, fmt);
	sl_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	if (g->count == g->room) {
		g->room = g->room ? g->room * 2 : 64;
		g->cells = sl_resize(g->cells, g->room * sizeof(*g->cells));
	}
	g->cells[g->count++] = sl_strdup(sl_buf_cstr(&text));
}

/* Width on a terminal: bytes that begin a UTF-8 character. */
static size_t width_of(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

void sl_grid_flush(struct sl_grid *g)
{
	size_t *widths = sl_new0_array(g->columns, sizeof(size_t));

	for (size_t i = 0; i < g->count; i++)
		if (width_of(g->cells[i]) > widths[i % g->columns])
			widths[i % g->columns] = width_of(g->cells[i]);
	for (size_t i = 0; i < g->count; i++) {
		bool last = i % g->columns == g->columns - 1;

		fputs(g->cells[i], stdout);
		if (last)
			putchar('\n');
		for (size_t pad = last ? 0 : widths[i % g->columns] + 3 - width_of(g->cells[i]); pad; pad--)
			putchar(' ');
		sl_free(g->cells[i]);
	}
	sl_free(widths);
	sl_free(g->cells);
	*g = (struct sl_grid) { .columns = g->columns };
	fflush(stdout);
}

static void add_cell(struct sl_grid *g, const json_t *cell)
{
	if (json_is_string(cell))
		sl_grid_add(g, "%s", json_string_value(cell));
	else if (json_is_integer(cell))
		sl_grid_add(g, "%" JSON_INTEGER_FORMAT, json_integer_value(cell));
	else if (json_is_boolean(cell))
		sl_grid_add(g, "%s", json_is_true(cell) ? "true" : "false");
	else
		sl_grid_add(g, "<none>");
}

static void print_table(const json_t *table, bool wide, bool with_namespace, bool headless)
{
	const json_t *columns = sl_json_array(table, "columnDefinitions");
	struct sl_grid g = { .columns = with_namespace };

	SL_JSON_FOR (column, columns)
		g.columns += wide || sl_json_int(column, "priority", 0) == 0;
	if (!headless && with_namespace)
		sl_grid_add(&g, "NAMESPACE");
	SL_JSON_FOR (column, columns) {
		char name[64];

		if (headless || (!wide && sl_json_int(column, "priority", 0) != 0))
			continue;
		sl_str_copy(name, sizeof(name), sl_json_get_str(column, "name"));
		for (char *p = name; *p; p++)
			*p = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
		sl_grid_add(&g, "%s", name);
	}
	SL_JSON_FOR (row, sl_json_array(table, "rows")) {
		size_t i = 0;

		if (with_namespace)
			sl_grid_add(&g, "%s", sl_json_string(row, "object.metadata.namespace", ""));
		SL_JSON_FOR (cell, sl_json_array(row, "cells")) {
			if (wide || sl_json_int(json_array_get(columns, i), "priority", 0) == 0)
				add_cell(&g, cell);
			i++;
		}
	}
	if (g.columns)
		sl_grid_flush(&g);
}

static void print_name(const json_t *object)
{
	const char *kind = sl_json_string(object, "kind", "");

	for (; *kind; kind++)
		putchar(*kind >= 'A' && *kind <= 'Z' ? *kind + 32 : *kind);
	printf("/%s\n", sl_json_string(object, "metadata.name", ""));
}

void sl_print(const json_t *value, enum sl_output output, bool with_namespace, bool headless)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
	const json_t *items = sl_json_array(value, "items");

	switch (output) {
	case SL_OUTPUT_TABLE:
	case SL_OUTPUT_WIDE:
		print_table(value, output == SL_OUTPUT_WIDE, with_namespace, headless);
		return;
	case SL_OUTPUT_JSON:
		sl_json_dump_pretty(&text, value, 2);
		sl_buf_byte(&text, '\n');
		break;
	case SL_OUTPUT_YAML:
		if (headless)
			sl_buf_c(&text, "---\n");
		sl_yaml_dump(&text, value);
		break;
	case SL_OUTPUT_NAME:
		SL_JSON_FOR (item, items)
			print_name(item);
		if (!items)
			print_name(value);
		return;
	}
	fwrite(text.p + text.off, 1, sl_buf_size(&text), stdout);
	fflush(stdout);
}
