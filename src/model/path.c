#include "model/path_priv.h"

#include <stdio.h>

static size_t step(struct sl_path *path, const char *fmt, const char *name, size_t index)
{
	size_t before = path->len, room = sizeof(path->text) - before;
	int n = name ? snprintf(path->text + before, room, fmt, name)
	             : snprintf(path->text + before, room, fmt, index);

	if (n > 0)
		path->len += (size_t)n < room ? (size_t)n : room - 1;
	return before;
}

size_t sl_path_key(struct sl_path *path, const char *name)
{
	return step(path, path->len ? ".%s" : "%s", name, 0);
}

size_t sl_path_index(struct sl_path *path, size_t index)
{
	return step(path, "[%zu]", NULL, index);
}

size_t sl_path_entry(struct sl_path *path, const char *map_key)
{
	return step(path, "[%s]", map_key, 0);
}

void sl_path_pop(struct sl_path *path, size_t len)
{
	path->len = len;
	path->text[len] = 0;
}
