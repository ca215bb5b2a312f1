#pragma once
/* The computed cells of tables. */
#include "model/table.h"

/* Returns a new reference; never NULL. `now` is Unix time. */
typedef json_t *sl_table_cell_fn(const json_t *obj, sl_nsec now);

/* The function behind a column whose source is "@name"; NULL when there is none. */
sl_table_cell_fn *sl_table_cell(const char *name);
