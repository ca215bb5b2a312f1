#include "xds/pb_priv.h"

#include <stdio.h>

enum { NESTING_MOST = 64 };
static const size_t structs_most_bytes = 256u << 20;

static void *arena_alloc(void *arena, size_t size)
{
	return sl_arena_alloc(arena, size);
}

static void arena_free(void *arena, void *p)
{
	(void)arena;
	(void)p;
}

/* ---- a look over the wire format before unpacking: varint keys, four wire types ---- */

static bool take_varint(sl_str *s, uint64_t *ret_v)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64 && s->len; shift += 7) {
		uint8_t byte = (uint8_t)*s->p;

		*s = sl_str_skip(*s, 1);
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret_v = v;
			return true;
		}
	}
	return false;
}

/* Takes one field off the front; *ret_body is what a length-delimited one holds. */
static bool take_field(sl_str *s, uint32_t *ret_number, uint32_t *ret_wire, sl_str *ret_body)
{
	uint64_t key, n = 0;

	if (!take_varint(s, &key) || key >> 3 == 0 || key >> 32)
		return false;
	*ret_number = (uint32_t)(key >> 3);
	*ret_wire = (uint32_t)(key & 7);
	*ret_body = SL_STR_NONE;
	switch (*ret_wire) {
	case PROTOBUF_C_WIRE_TYPE_VARINT:
		return take_varint(s, &n);
	case PROTOBUF_C_WIRE_TYPE_64BIT:
		n = 8;
		break;
	case PROTOBUF_C_WIRE_TYPE_32BIT:
		n = 4;
		break;
	case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
		if (!take_varint(s, &n))
			return false;
		break;
	default:
		return false;
	}
	if (n > s->len)
		return false;
	*ret_body = sl_str_first(*s, n);
	*s = sl_str_skip(*s, n);
	return true;
}

static bool affordable(
        const ProtobufCMessageDescriptor *type, sl_str bytes, unsigned depth, size_t *left_bytes)
{
	sl_str body;
	uint32_t number, wire;

	if (depth > NESTING_MOST || *left_bytes < type->sizeof_message)
		return false;
	*left_bytes -= type->sizeof_message;
	while (bytes.len) {
		const ProtobufCFieldDescriptor *field;

		if (!take_field(&bytes, &number, &wire, &body))
			return false;
		field = protobuf_c_message_descriptor_get_field(type, number);
		if (field && field->type == PROTOBUF_C_TYPE_MESSAGE &&
		        wire == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED &&
		        !affordable(field->descriptor, body, depth + 1, left_bytes))
			return false;
	}
	return true;
}

void *sl_pb_unpack(const ProtobufCMessageDescriptor *type, sl_str bytes, struct sl_arena *arena)
{
	ProtobufCAllocator allocator = { .alloc = arena_alloc, .free = arena_free, .allocator_data = arena };
	size_t left_bytes = structs_most_bytes;

	if (!affordable(type, bytes, 0, &left_bytes))
		return NULL;
	return protobuf_c_message_unpack(type, &allocator, bytes.len, (const uint8_t *)bytes.p);
}

/* ---- packing ---- */

void sl_pb_pack(const ProtobufCMessage *message, struct sl_buf *out)
{
	size_t n = protobuf_c_message_get_packed_size(message);

	protobuf_c_message_pack(message, (uint8_t *)sl_buf_reserve(out, n));
	sl_buf_commit(out, n);
}

sl_str sl_pb_packed(const ProtobufCMessage *message, struct sl_arena *arena)
{
	size_t n = protobuf_c_message_get_packed_size(message);
	uint8_t *p = sl_arena_alloc(arena, n + 1);

	protobuf_c_message_pack(message, p);
	return sl_str_n((char *)p, n);
}

static void add_varint(struct sl_buf *out, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		sl_buf_byte(out, (char)(v | 0x80));
	sl_buf_byte(out, (char)v);
}

void sl_pb_field(struct sl_buf *out, uint32_t number, sl_str bytes)
{
	add_varint(out, (uint64_t)number << 3 | PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED);
	add_varint(out, bytes.len);
	sl_buf_str_add(out, bytes);
}

char *sl_pb_str(struct sl_arena *arena, sl_str s)
{
	char *p = sl_arena_alloc(arena, s.len + 1);

	if (s.len)
		memcpy(p, s.p, s.len);
	p[s.len] = 0;
	return p;
}

/* ---- well-known types ---- */

pb_uint32 *sl_pb_uint32(struct sl_arena *arena, uint32_t v)
{
	pb_uint32 *m = pb_new_uint32(arena);

	m->value = v;
	return m;
}

pb_boolean *sl_pb_bool(struct sl_arena *arena, bool v)
{
	pb_boolean *m = pb_new_boolean(arena);

	m->value = v;
	return m;
}

pb_duration *sl_pb_duration(struct sl_arena *arena, sl_nsec d)
{
	pb_duration *m = pb_new_duration(arena);

	m->seconds = d / SL_SEC(1);
	m->nanos = (int32_t)(d % SL_SEC(1));
	return m;
}

sl_err sl_pb_duration_read(const pb_duration *d, sl_nsec *ret_d)
{
	if (d->seconds < 0 || d->seconds >= SL_NSEC_MAX / SL_SEC(1) || d->nanos < 0 || d->nanos > 999999999)
		return SL_ERR_RANGE;
	*ret_d = SL_SEC(d->seconds) + d->nanos;
	return SL_OK;
}

pb_any *sl_pb_any(struct sl_arena *arena, const char *url, const ProtobufCMessage *message)
{
	pb_any *m = pb_new_any(arena);
	sl_str packed = sl_pb_packed(message, arena);

	m->type_url = sl_pb_str(arena, sl_str_c(url));
	m->value.data = (uint8_t *)(uintptr_t)packed.p;
	m->value.len = packed.len;
	return m;
}

/* ---- notes ---- */

#define NOTES_KEY "sluice"
enum { NOTES_MOST = 8 }; /* keys in one Struct; asserted, since all writers are ours */

static pb_value *note(struct sl_pb_notes *notes, const char *key)
{
	pb_field *field = pb_new_field(notes->arena);

	if (!notes->fields) {
		notes->fields = pb_new_struct(notes->arena);
		notes->fields->fields = sl_arena_zalloc_array(notes->arena, NOTES_MOST, sizeof(field));
	}
	assert(notes->fields->n_fields < NOTES_MOST);
	field->key = sl_pb_str(notes->arena, sl_str_c(key));
	field->value = pb_new_value(notes->arena);
	notes->fields->fields[notes->fields->n_fields++] = field;
	return field->value;
}

void sl_pb_note_str(struct sl_pb_notes *notes, const char *key, sl_str v)
{
	pb_value *value;

	if (!v.len)
		return;
	value = note(notes, key);
	value->kind_case = PB_VALUE(KIND_STRING_VALUE);
	value->string_value = sl_pb_str(notes->arena, v);
}

void sl_pb_note_number(struct sl_pb_notes *notes, const char *key, double v)
{
	pb_value *value;

	if (!(v < 0) && !(v > 0))
		return;
	value = note(notes, key);
	value->kind_case = PB_VALUE(KIND_NUMBER_VALUE);
	value->number_value = v;
}

void sl_pb_note_u64(struct sl_pb_notes *notes, const char *key, uint64_t v)
{
	char text[24];

	if (!v)
		return;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	sl_pb_note_str(notes, key, sl_str_c(text));
}

pb_metadata *sl_pb_notes_metadata(const struct sl_pb_notes *notes)
{
	pb_metadata *metadata;
	pb_metadata_entry *entry;

	if (!notes->fields)
		return NULL;
	entry = pb_new_metadata_entry(notes->arena);
	entry->key = sl_pb_str(notes->arena, SL_STR(NOTES_KEY));
	entry->value = notes->fields;
	metadata = pb_new_metadata(notes->arena);
	metadata->n_filter_metadata = 1;
	metadata->filter_metadata = sl_arena_alloc(notes->arena, sizeof(entry));
	metadata->filter_metadata[0] = entry;
	return metadata;
}

const pb_struct *sl_pb_notes_of(const pb_metadata *metadata)
{
	for (size_t i = 0; metadata && i < metadata->n_filter_metadata; i++)
		if (strcmp(metadata->filter_metadata[i]->key, NOTES_KEY) == 0)
			return metadata->filter_metadata[i]->value;
	return NULL;
}

static const pb_value *noted(const pb_struct *notes, const char *key)
{
	for (size_t i = 0; notes && i < notes->n_fields; i++)
		if (strcmp(notes->fields[i]->key, key) == 0)
			return notes->fields[i]->value;
	return NULL;
}

sl_str sl_pb_noted_str(const pb_struct *notes, const char *key)
{
	const pb_value *value = noted(notes, key);

	return value && value->kind_case == PB_VALUE(KIND_STRING_VALUE) ? sl_str_c(value->string_value)
	                                                                : SL_STR_NONE;
}

double sl_pb_noted_number(const pb_struct *notes, const char *key)
{
	const pb_value *value = noted(notes, key);

	return value && value->kind_case == PB_VALUE(KIND_NUMBER_VALUE) ? value->number_value : 0;
}

uint64_t sl_pb_noted_u64(const pb_struct *notes, const char *key)
{
	uint64_t v;

	return sl_str_to_u64(sl_pb_noted_str(notes, key), &v) == SL_OK ? v : 0;
}
