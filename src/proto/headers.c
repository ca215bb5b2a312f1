#include "proto/headers.h"

#include "base/mem.h"
#include "proto/ascii.h"
#include "proto/headers_hash.h"

static const sl_str names[SL_HDR_COUNT] = {
#define SL_HDR(id, name, kind) [SL_HDR_##id] = { .p = name, .len = sizeof(name) - 1 },
#include "proto/headers.def"
};

enum kind { END, HOP };

static const uint64_t hop_ids =
#define SL_HDR(id, name, kind) ((uint64_t)(kind) << SL_HDR_##id) |
#include "proto/headers.def"
        0;

static_assert(SL_HDR_COUNT <= 64, "sets of ids are 64 bits");

enum sl_hdr sl_hdr_find(sl_str name)
{
	uint32_t hash;
	uint8_t id;

	if (name.len < 2)
		return SL_HDR_OTHER;
	hash = (uint32_t)name.len * HASH_LEN + ((uint8_t)name.p[0] | 0x20u) * HASH_FIRST +
	       ((uint8_t)name.p[name.len / 2] | 0x20u) * HASH_MIDDLE +
	       ((uint8_t)name.p[name.len - 1] | 0x20u) * HASH_LAST;
	id = hash_ids[hash % SL_ARRAY_COUNT(hash_ids)];
	if (name.len != names[id].len || !sl_ch_eq_lower(name.p, names[id].p, name.len))
		return SL_HDR_OTHER;
	return (enum sl_hdr)id;
}

sl_str sl_hdr_name(enum sl_hdr id)
{
	return (unsigned)id < SL_HDR_COUNT && id ? names[id] : SL_STR("");
}

bool sl_hdr_hop_by_hop(enum sl_hdr id)
{
	return hop_ids >> id & 1;
}
