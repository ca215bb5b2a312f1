#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>

static const struct {
	const char *name, *text;
	int http;
} rows[] = {
#define SL_ERR(name, http, text) [SL_ERR_##name] = { #name, text, http },
#include "base/err.def"
};
static_assert(sizeof(rows) / sizeof(rows[0]) == SL_ERR_COUNT, "one row per error");

static size_t row_of(sl_err err)
{
	return (unsigned)err < SL_ERR_COUNT ? (size_t)err : (size_t)SL_ERR_INTERNAL;
}

const char *sl_err_name(sl_err err)
{
	return rows[row_of(err)].name;
}

const char *sl_err_text(sl_err err)
{
	return rows[row_of(err)].text;
}

int sl_err_http(sl_err err)
{
	return rows[row_of(err)].http;
}

sl_err sl_err_from_errno(int errnum)
{
	switch (errnum) {
	case 0:
		return SL_OK;
	case EAGAIN:
	case EINPROGRESS:
	case EINTR:
		return SL_ERR_AGAIN;
	case ECONNREFUSED:
		return SL_ERR_REFUSED;
	case ECONNRESET:
	case EPIPE:
		return SL_ERR_RESET;
	case ETIMEDOUT:
		return SL_ERR_TIMEOUT;
	case ENOENT:
		return SL_ERR_NOT_FOUND;
	case EEXIST:
	case EADDRINUSE:
		return SL_ERR_EXISTS;
	case EACCES:
	case EPERM:
		return SL_ERR_FORBIDDEN;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
		return SL_ERR_UNAVAILABLE;
	default:
		return SL_ERR_IO;
	}
}
