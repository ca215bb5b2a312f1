#pragma once
/*
 * What a plain YAML scalar means: null, a boolean, a number or a string. Shared by the reader and the writer, so that what is written plain is
 * read back as it was.
 * Ownership: values.       Threads: any.
 */
#include "base/str.h"

enum yaml_kind { YAML_STR, YAML_NULL, YAML_BOOL, YAML_INT, YAML_REAL, YAML_NOT_JSON /* .inf, .nan */ };

struct yaml_scalar {
	enum yaml_kind kind;
	bool truth;
	int64_t integer;
	double real;
};

/* Source: resolve() of go-yaml v2, which sigs.k8s.io/yaml stands on. */
struct yaml_scalar yaml_resolve(sl_str text);
