#pragma once
/*
 * YAML as Kubernetes reads and writes it: one or more documents to JSON values and back, with the meaning sigs.k8s.io/yaml gives them.
 * Plain scalars are null, booleans (true/false, yes/no, on/off and y/n as in YAML 1.1), integers (also 0x, 0b, 0o and 0777), reals (whole
 * ones become integers) or strings; quoted ones stay strings, and so do keys, as they are written. Anchors, aliases and merge keys
 * work, within a bound on what they expand to. Duplicate keys, NUL, infinities and tags beyond the JSON types are refused.
 * Ownership: as json.h.       Threads: any; no globals.
 */
#include "proto/json.h"

struct sl_yaml_limits {
	size_t bytes;  /* of text */
	size_t depth;  /* of nested collections */
	size_t values; /* in all documents together, aliases expanded */
	size_t documents;
};

#define SL_YAML_LIMITS                                                                   \
	{                                                                                \
		.bytes = 16u << 20, .depth = 100, .values = 1u << 20, .documents = 10000 \
	}

/*
 * *ret_documents is a new array with one value per document; documents that are empty are left out. JSON is YAML, so JSON texts are
 * taken too. limits == NULL: SL_YAML_LIMITS. `diag` gets line and column, counted from 1.
 * Errors: SL_ERR_MALFORMED, SL_ERR_TOO_BIG, SL_ERR_UNSUPPORTED (a tag beyond the JSON types).
 */
sl_err sl_yaml_parse(
        sl_str text, const struct sl_yaml_limits *limits, json_t **ret_documents, struct sl_diag *diag);

/*
 * Adds one document in block style with sorted keys, without a "---", ending in a newline: what kubectl -o yaml prints. A string that would
 * be read back as something else, here or by another YAML reader, is quoted.
 */
void sl_yaml_dump(struct sl_buf *out, const json_t *value);
