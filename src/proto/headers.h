#pragma once
/*
 * Header field names by number: each name of headers.def is recognised once, case-insensitively, and is an enum from then on.
 * Ownership: values and static strings.       Threads: any.
 */
#include "base/str.h"

enum sl_hdr {
	SL_HDR_OTHER = 0, /* a name that is not in headers.def; told apart by its bytes */
#define SL_HDR(id, name, kind) SL_HDR_##id,
#include "proto/headers.def"
	SL_HDR_COUNT
};

/* SL_HDR_OTHER when the name is none of headers.def. */
enum sl_hdr sl_hdr_find(sl_str name);
/* The name in lower case; "" for SL_HDR_OTHER. */
sl_str sl_hdr_name(enum sl_hdr id);
/* A field that never leaves its connection (RFC 9110 section 7.6.1). */
bool sl_hdr_hop_by_hop(enum sl_hdr id);
