#pragma once
/*
 * The schema of every kind as const tables, generated from schema/ by tools/schema-gen. One row of a .schema file is one struct
 * sl_schema_field here; decoding, defaults, validation, strategic merge, honouring, OpenAPI and tables all read these rows.
 * Ownership: const data of the program.       Threads: any.
 */
#include "base/str.h"

enum sl_schema_base {
	SL_BASE_STRING,
	SL_BASE_BOOL,
	SL_BASE_INT,      /* 32 bits, or 64 with SL_FIELD_INT64 */
	SL_BASE_NUMBER,   /* any JSON number */
	SL_BASE_INTSTR,   /* 8080 or "http" or "25%" */
	SL_BASE_QUANTITY, /* "100m", 2 */
	SL_BASE_DURATION, /* Go's notation, "1h30m" */
	SL_BASE_TIME,     /* RFC 3339 */
	SL_BASE_BYTES,    /* base64 */
	SL_BASE_ANY,      /* any JSON, kept as it is */
	SL_BASE_TYPE,     /* an object with rows of its own: field->type */
};

enum sl_schema_shape {
	SL_SHAPE_ONE,
	SL_SHAPE_LIST,
	SL_SHAPE_MAP
}; /* itself, a list of it, an object of free keys to it */

enum sl_schema_flag {
	SL_FIELD_HONOURED =
	        1 << 0, /* acted on; otherwise understood and stored, and reported by honoured.h when set */
	SL_FIELD_REQUIRED = 1 << 1,  /* must be present */
	SL_FIELD_IMMUTABLE = 1 << 2, /* an update must not change it */
	SL_FIELD_MERGE =
	        1 << 3, /* strategic merge: a list of objects by rules->merge_key, or of scalars as a set */
	SL_FIELD_RETAIN_KEYS = 1 << 4, /* strategic merge: $retainKeys may clear siblings (unions) */
	SL_FIELD_EMBED = 1 << 5,       /* typed: by value, filled with defaults also when absent */
	SL_FIELD_HAS = 1 << 6,         /* typed: a bool at has_offset tells presence */
	SL_FIELD_ENUM = 1 << 7,        /* typed: an int, 1 + index in rules->enums; 0 when absent */
	SL_FIELD_NONEMPTY = 1 << 8,    /* a list or string that must not be empty when present */
	SL_FIELD_ASSUME =
	        1 << 9, /* rules->default_json is what absence means, but is not written into the object */
	SL_FIELD_INT64 = 1 << 10, /* SL_BASE_INT of 64 bits */
	SL_FIELD_RAW = 1 << 11,   /* typed: the JSON itself */
};

struct sl_schema_rules {          /* what few fields have */
	const char *default_json; /* JSON text, or NULL */
	const char *enums;        /* "A|B|C", or NULL */
	const char *
	        only; /* values acted on, "A|B", where that is fewer than the enum; checked per comma-separated part */
	const char *merge_key; /* "name"; NULL for sets */
	const char *map_keys;  /* server-side apply: "containerPort,protocol"; NULL: the merge key */
	const char *format;    /* name syntax: "dns-label", "dns-subdomain", ...; see validate.c */
	int64_t min, max;      /* of a number, or of a list's length; INT64_MIN / INT64_MAX when open */
};

struct sl_schema_type;
struct sl_schema_field {
	const char *name;
	const char *doc;                     /* one sentence, or NULL */
	const struct sl_schema_rules *rules; /* or NULL */
	const struct sl_schema_type *type;   /* for SL_BASE_TYPE */
	uint8_t base;                        /* enum sl_schema_base */
	uint8_t shape;                       /* enum sl_schema_shape */
	uint16_t flags;                      /* enum sl_schema_flag */
	uint16_t offset;     /* of the member in the typed struct; UINT16_MAX when it has none */
	uint16_t aux_offset; /* of its has_ or _count member */
};

struct sl_schema_type {
	const char *name;                     /* "Container" */
	const char *openapi;                  /* "io.k8s.api.core.v1.Container" */
	const char *doc;                      /* or NULL */
	const struct sl_schema_field *fields; /* sorted by name */
	uint16_t fields_count;
	uint16_t c_size; /* of the typed struct; 0 when it has none */
	bool is_open;    /* unknown fields are kept (x-kubernetes-preserve-unknown-fields) */
};

/* Every type of every kind, for OpenAPI. */
extern const struct sl_schema_type *const sl_schema_types; /* sl_schema_types_count of them */
extern const size_t sl_schema_types_count;

/* NULL when the type has no such field. */
const struct sl_schema_field *sl_schema_field(const struct sl_schema_type *type, sl_str name);
/* The field whose name is nearest to `name`, for "did you mean"; NULL when nothing is near. */
const struct sl_schema_field *sl_schema_nearest(const struct sl_schema_type *type, sl_str name);
/* True when `word` is one of the '|'-separated `words`; *ret_index (may be NULL) is its place from 0. */
bool sl_schema_word_in(const char *words, sl_str word, size_t *ret_index);
