#pragma once
/*
 * The API description kubectl reads at /openapi/v2: a gnostic openapi.v2.Document in protobuf, written from the schema tables. With it
 * kubectl of any version validates before sending, explains, diffs and dry-runs.
 * Ownership: appends to the caller's buffer.       Threads: any; pure.
 */
#include "base/buf.h"

/* The whole document, some 300 kB; the same bytes every time. */
void sl_openapi_v2(struct sl_buf *out);
