#include "model/path_priv.h"

#include <stdio.h>

/* Appends what snprintf wrote, or as much of it as there is room for. */
static size_t grow(struct sl_path *path, int written)
{
	size_t before = path->len, room = sizeof(path->text) - before;

	if (written > 0)
		path->len += (size_t)written < room ? (size_t)written : room - 1;
	return before;
}

size_t sl_path_key(struct sl_path *path, const char *name)
{
	return grow(path, snprintf(path->text + path->len, sizeof(path->text) - path->len, "%s%s",
	                          path->len ? "." : "", name));
}

size_t sl_path_index(struct sl_path *path, size_t index)
{
	return grow(path, snprintf(path->text + path->len, sizeof(path->text) - path->len, "[%zu]", index));
}

size_t sl_path_entry(struct sl_path *path, const char *map_key)
{
	return grow(path, snprintf(path->text + path->len, sizeof(path->text) - path->len, "[%s]", map_key));
}

void sl_path_pop(struct sl_path *path, size_t len)
{
	path->len = len;
	path->text[len] = 0;
}
