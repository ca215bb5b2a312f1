#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *p)
{
	if (!p) {
		fputs("out of memory\n", stderr);
		abort();
	}
	return p;
}

void *sl_new(size_t size_bytes)
{
	return must(malloc(size_bytes ? size_bytes : 1));
}

void *sl_new0(size_t size_bytes)
{
	return must(calloc(1, size_bytes ? size_bytes : 1));
}

void *sl_new0_array(size_t count, size_t size_bytes)
{
	return must(calloc(count ? count : 1, size_bytes ? size_bytes : 1));
}

void *sl_resize(void *p, size_t size_bytes)
{
	return must(realloc(p, size_bytes ? size_bytes : 1));
}

char *sl_strdup(const char *s)
{
	return sl_strndup(s, strlen(s));
}

char *sl_strndup(const char *s, size_t len)
{
	char *p = sl_new(len + 1);

	if (len)
		memcpy(p, s, len);
	p[len] = '\0';
	return p;
}

char *sl_asprintf(const char *fmt, ...)
{
	char *p = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&p, fmt, ap) < 0)
		p = NULL;
	va_end(ap);
	return must(p);
}

void sl_free(void *p)
{
	free(p);
}
