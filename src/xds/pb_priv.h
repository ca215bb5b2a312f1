#pragma once
/*
 * Protobuf messages in arenas: nothing is freed one by one. Short names for the generated types stand in pb.def:
 * pb_route is the struct, pb_new_route makes an initialised one, pb_read_route unpacks one (NULL where malformed).
 * Ownership: the arena's.       Threads: the arena's owner.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/units.h"
#include "proto/messages.pb-c.h"

/* The generated constants: PB_ROUTE(ROUTE__ACTION_ROUTE). */
#define PB_CORE(x) ENVOY__CONFIG__CORE__V3__##x
#define PB_LISTENER(x) ENVOY__CONFIG__LISTENER__V3__##x
#define PB_ROUTE(x) ENVOY__CONFIG__ROUTE__V3__##x
#define PB_CLUSTER(x) ENVOY__CONFIG__CLUSTER__V3__##x
#define PB_ENDPOINT(x) ENVOY__CONFIG__ENDPOINT__V3__##x
#define PB_MATCHER(x) ENVOY__TYPE__MATCHER__V3__##x
#define PB_HCM(x) ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__##x
#define PB_TCP(x) ENVOY__EXTENSIONS__FILTERS__NETWORK__TCP_PROXY__V3__##x
#define PB_UPSTREAM(x) ENVOY__EXTENSIONS__UPSTREAMS__HTTP__V3__##x
#define PB_VALUE(x) GOOGLE__PROTOBUF__VALUE__##x

#define SL_URL_ROUTER "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
#define SL_URL_TCP_PROXY "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
#define SL_URL_HCM \
	"type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
#define SL_URL_UPSTREAM_OPTIONS "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
#define SL_KEY_UPSTREAM_OPTIONS "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

/*
 * Unpacks into the arena. Refuses what a small message could cost dearly: nesting past 64 levels (the generated code recurses) and
 * structs past 256 MiB in sum. NULL where malformed or refused.
 */
void *sl_pb_unpack(const ProtobufCMessageDescriptor *type, sl_str bytes, struct sl_arena *arena);

/* The packed message, appended. */
void sl_pb_pack(const ProtobufCMessage *message, struct sl_buf *out);
/* The packed message as a view into the arena. */
sl_str sl_pb_packed(const ProtobufCMessage *message, struct sl_arena *arena);
/* One length-delimited field, appended: what lets a long message be joined from parts that were packed before. */
void sl_pb_field(struct sl_buf *out, uint32_t number, sl_str bytes);

/* A copy, also where empty: protobuf-c leaves out a oneof's string that is its own empty one. */
char *sl_pb_str(struct sl_arena *arena, sl_str s);

#define PB(name, Type, fn) PB_(name, Type, fn)
#define PB_(name, Type, fn)                                                       \
	typedef Type pb_##name;                                                   \
	static inline pb_##name *pb_new_##name(struct sl_arena *a)                \
	{                                                                         \
		pb_##name *m_ = sl_arena_alloc(a, sizeof(*m_));                   \
		fn##init(m_);                                                     \
		return m_;                                                        \
	}                                                                         \
	static inline pb_##name *pb_read_##name(struct sl_arena *a, sl_str bytes) \
	{                                                                         \
		return sl_pb_unpack(&fn##descriptor, bytes, a);                   \
	}
#include "xds/pb.def"
#undef PB_

pb_uint32 *sl_pb_uint32(struct sl_arena *arena, uint32_t v);
pb_boolean *sl_pb_bool(struct sl_arena *arena, bool v);
pb_duration *sl_pb_duration(struct sl_arena *arena, sl_nsec d);
/* Errors: SL_ERR_RANGE (negative, nanos out of range, past 2^63 ns). */
sl_err sl_pb_duration_read(const pb_duration *d, sl_nsec *ret_d);
pb_any *sl_pb_any(struct sl_arena *arena, const char *url, const ProtobufCMessage *message);

/*
 * The "sluice" Struct of a Metadata: what xDS has no field for. Numbers that may pass 2^53 travel as text. Readers take what has another
 * type as absent, since other control planes may put anything there.
 */
struct sl_pb_notes {
	struct sl_arena *arena;
	pb_struct *fields; /* NULL while nothing was put in */
};
void sl_pb_note_str(struct sl_pb_notes *notes, const char *key, sl_str v);    /* empty: left out */
void sl_pb_note_number(struct sl_pb_notes *notes, const char *key, double v); /* 0: left out */
void sl_pb_note_u64(struct sl_pb_notes *notes, const char *key, uint64_t v);  /* 0: left out */
pb_metadata *sl_pb_notes_metadata(const struct sl_pb_notes *notes); /* NULL where nothing was put in */

const pb_struct *sl_pb_notes_of(
        const pb_metadata *metadata); /* may be NULL, as the arguments of what follows */
sl_str sl_pb_noted_str(const pb_struct *notes, const char *key); /* a view */
double sl_pb_noted_number(const pb_struct *notes, const char *key);
uint64_t sl_pb_noted_u64(const pb_struct *notes, const char *key);
