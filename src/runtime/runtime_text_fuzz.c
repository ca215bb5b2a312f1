/*
 * The runtime's two parsers of text: log entries, and $(VAR) references. The first byte chooses.
 * Properties: an entry's parts lie within its line and make it up again; a text without $ expands to itself, and expanding never leaves
 * the buffer or grows by more than the one variable's value per reference.
 */
#include "runtime/env.h"
#include "runtime/logfile.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t size);

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static void try_entry(sl_str line)
{
	struct sl_log_entry e;

	if (sl_log_entry_parse(line, &e) != SL_OK)
		return;
	SL_CLEANUP(sl_free)
	char *again = sl_asprintf(
	        "%.*s std%s %c ", SL_STR_ARG(e.stamp), e.is_stderr ? "err" : "out", e.partial ? 'P' : 'F');
	size_t head = strlen(again);

	check(line.len == head + e.text.len, "an entry has bytes that belong to no part");
	check(memcmp(line.p, again, head) == 0, "an entry's head is not what its parts say");
	check(e.text.p == line.p + head, "an entry's text is not the end of its line");
}

static void try_expand(sl_str text)
{
	enum { VALUE_BYTES = 5 };
	struct sl_env e;
	size_t dollars = 0;

	sl_env_init(&e);
	sl_env_set(&e, SL_STR("A"), SL_STR("value"));
	sl_str out = sl_env_expand(&e, text);

	for (size_t i = 0; i < text.len; i++)
		dollars += text.p[i] == '$';
	check(dollars > 0 || sl_str_eq(out, text), "a text without references has changed");
	check(out.len <= text.len + dollars * VALUE_BYTES,
	        "a text has grown more than its references explain");
	check(out.p[out.len] == 0, "the result does not end with a NUL");
	sl_env_fini(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t size)
{
	if (size == 0)
		return 0;
	sl_str rest = sl_str_n((const char *)p + 1, size - 1);

	if (p[0] == 'l')
		try_entry(rest);
	else
		try_expand(rest);
	return 0;
}
