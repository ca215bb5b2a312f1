#pragma once
/*
 * What the generated typed structs (model/krm.h) are made of.
 * Ownership: values; what they point to lives in the arena of the decoding.       Threads: const once decoded.
 */
#include "base/arena.h"
#include "base/diag.h"
#include "base/units.h"

#include <jansson.h>

/* Kubernetes' IntOrString. */
typedef struct {
	enum { SL_INTSTR_NONE, SL_INTSTR_INT, SL_INTSTR_STR } kind; /* NONE: absent */
	int64_t num;                                                /* for INT */
	sl_str str;                                                 /* for STR: "http", "25%" */
} sl_intstr;

/* One entry of a map of strings. */
typedef struct {
	sl_str key, value;
} sl_krm_pair;

/* The value of a key; the empty string when absent. */
sl_str sl_krm_pair_get(const sl_krm_pair *pairs, size_t count, sl_str key);

/*
 * "25%" of `total` or a plain number, as rolling updates count pods; NONE gives `fallback`. Rounds up or down. Errors: SL_ERR_INVALID.
 */
sl_err sl_intstr_scaled(const sl_intstr *v, int64_t total, bool round_up, int64_t fallback, int64_t *ret_v);
