#pragma once
/*
 * What the HTTP server and client of the control plane share. Queries and percent-encoding are in proto/uri.h.
 * Ownership: views.       Threads: values.
 */
#include "base/str.h"

struct sl_http_pair {
	sl_str name;
	sl_str value;
};
