#include "model/schema.h"

#include "base/mem.h"

#include <stdlib.h>

static int compare_name(const void *key, const void *row)
{
	const sl_str *name = key;
	const struct sl_schema_field *field = row;

	return sl_str_cmp(*name, sl_str_c(field->name));
}

const struct sl_schema_field *sl_schema_field(const struct sl_schema_type *type, sl_str name)
{
	if (type->fields_count == 0)
		return NULL;
	return bsearch(&name, type->fields, type->fields_count, sizeof(*type->fields), compare_name);
}

enum {
	WORD_MOST = 48
}; /* longer names are not compared: no field is that long, and the table stays on the stack */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Edits from a to b, where swapping neighbours is one edit (optimal string alignment); case counts half, so everything is doubled. */
static unsigned distance(sl_str a, sl_str b)
{
	unsigned d[WORD_MOST + 1][WORD_MOST + 1];

	for (unsigned i = 0; i <= a.len; i++)
		d[i][0] = 2 * i;
	for (unsigned j = 0; j <= b.len; j++)
		d[0][j] = 2 * j;
	for (size_t i = 1; i <= a.len; i++) {
		for (size_t j = 1; j <= b.len; j++) {
			unsigned same = a.p[i - 1] == b.p[j - 1]                 ? 0
			                : lower(a.p[i - 1]) == lower(b.p[j - 1]) ? 1
			                                                         : 2;
			unsigned best = d[i - 1][j - 1] + same;

			if (d[i - 1][j] + 2 < best)
				best = d[i - 1][j] + 2;
			if (d[i][j - 1] + 2 < best)
				best = d[i][j - 1] + 2;
			if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1] &&
			        d[i - 2][j - 2] + 2 < best)
				best = d[i - 2][j - 2] + 2;
			d[i][j] = best;
		}
	}
	return d[a.len][b.len];
}

const struct sl_schema_field *sl_schema_nearest(const struct sl_schema_type *type, sl_str name)
{
	const struct sl_schema_field *nearest = NULL;
	unsigned best;

	if (name.len == 0 || name.len > WORD_MOST)
		return NULL;
	best = 2 + (unsigned)name.len * 2 / 3; /* a third of the letters may be wrong, and one always */
	for (size_t i = 0; i < type->fields_count; i++) {
		sl_str candidate = sl_str_c(type->fields[i].name);
		unsigned d;

		if (candidate.len > WORD_MOST)
			continue;
		d = distance(name, candidate);
		if (d < best || (d == best && !nearest)) {
			best = d;
			nearest = &type->fields[i];
		}
	}
	return nearest;
}

bool sl_schema_word_in(const char *words, sl_str word, size_t *ret_index)
{
	sl_str rest = sl_str_c(words), head;
	bool more = true;

	for (size_t i = 0; more; i++) {
		more = sl_str_split(&rest, '|', &head);
		if (sl_str_eq(head, word)) {
			if (ret_index)
				*ret_index = i;
			return true;
		}
	}
	return false;
}
