#pragma once
/*
 * Objects and tables on standard output.
 * Ownership: nothing is kept.       Threads: one.
 */
#include "cli/cli.h"

#include <jansson.h>

/* The Accept header that asks for a Table where the output is one, and for the object otherwise. */
const char *sl_print_accept(enum sl_output output);
/* A Table, an object, or a list, in the form asked for. `headless`: no column names (later events of a watch). */
void sl_print(const json_t *value, enum sl_output output, bool with_namespace, bool headless);

/* Columns padded to the widest cell: rows of `columns` cells each; the first row is the head. NULL cells are empty. */
struct sl_grid {
	char **cells;
	size_t count, room;
	size_t columns;
};
void sl_grid_add(struct sl_grid *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints and empties it. */
void sl_grid_flush(struct sl_grid *g);
