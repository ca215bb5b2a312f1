#pragma once
/*
 * The field path kept while walking an object: "spec.http[0].route", "metadata.labels[app]".
 * Ownership: embedded by value; allocates nothing.       Threads: one owner.
 */
#include "base/str.h"

struct sl_path {
	size_t len;
	char text[512]; /* NUL-terminated; what does not fit is cut off */
};

/* Each appends one step and returns the length to give back to sl_path_pop. */
size_t sl_path_key(struct sl_path *path, const char *name);      /* ".name" */
size_t sl_path_index(struct sl_path *path, size_t index);        /* "[0]" */
size_t sl_path_entry(struct sl_path *path, const char *map_key); /* "[key]" */
void sl_path_pop(struct sl_path *path, size_t len);
