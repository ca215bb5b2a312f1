#pragma once
/*
 * The table of kinds the API serves: names, versions, subresources, printer columns, schema. One schema/GROUP/KIND.schema is one row.
 * Ownership: const data of the program.       Threads: any.
 */
#include "base/diag.h"
#include "model/krm.h" /* generated: enum sl_kind_id, the typed structs */
#include "model/schema.h"

#include <jansson.h>

struct sl_kind_column {
	const char *name;   /* "UP-TO-DATE", as kubectl prints it */
	const char *type;   /* "string", "integer", "date" */
	const char *source; /* ".spec.replicas", or "@pod_ready": a function of table.c */
	uint8_t priority;   /* 0 always, 1 only with -o wide */
};

struct sl_kind {
	enum sl_kind_id id;
	const char *group;              /* "" for core */
	const char *const *versions;    /* storage version first; NULL-terminated */
	const char *kind;               /* "Deployment" */
	const char *plural, *singular;  /* "deployments", "deployment" */
	const char *const *short_names; /* NULL-terminated, may be empty */
	const char *const *categories;  /* NULL-terminated, may be empty */
	bool namespaced;
	bool has_status, has_scale; /* subresources */
	bool builtin;               /* strategic merge allowed; otherwise as for a CRD: 415 */
	bool honoured;              /* false: stored only, nothing acts on it yet */
	const char *
	        scale_selector; /* JSON path of the selector string or object for scale; NULL without scale */
	const struct sl_kind_column *columns; /* table.c puts Name before them unless they have it */
	size_t columns_count;
	const struct sl_schema_type *type;
};

/* Never NULL for a valid id. */
const struct sl_kind *sl_kind_get(enum sl_kind_id id);
/* All kinds in id order. */
extern const struct sl_kind sl_kind_table[SL_KIND_COUNT];

/* The kind served at /apis/GROUP/VERSION/PLURAL. NULL when there is none. */
const struct sl_kind *sl_kind_by_plural(sl_str group, sl_str version, sl_str plural);
/* An empty version means any. NULL when there is none. */
const struct sl_kind *sl_kind_by_kind(sl_str group, sl_str version, sl_str kind);
/* What a person types: "vs", "deploy", "virtualservices", "VirtualService", "gateways.networking.istio.io". First in table order wins. */
const struct sl_kind *sl_kind_by_word(sl_str word);
bool sl_kind_serves(const struct sl_kind *kind, sl_str version);

/*
 * The kind of an object by its apiVersion and kind.
 * Errors: SL_ERR_BAD_REQUEST (missing, or not strings), SL_ERR_NOT_FOUND (no such kind; diag names the nearest).
 */
sl_err sl_kind_of(const json_t *obj, const struct sl_kind **ret_kind, struct sl_diag *diag);
/* "apps/v1", or "v1" for core; the storage version. dst gets at most `size_bytes` with the NUL. */
char *sl_kind_api_version(const struct sl_kind *kind, char *dst, size_t size_bytes);

/*
 * Fills the kind's typed struct (model/krm.h: struct sl_krm_KIND) with every honoured field; absent ones get their default.
 * Strings are copied into the arena; members of type json_t * borrow from `obj`, which must outlive them. Unknown and
 * not-honoured fields are skipped; that required ones are there is for validate.h. *ret_typed is set only on success.
 * Errors: SL_ERR_INVALID (wrong type, bad enum; diag has the paths), SL_ERR_UNSUPPORTED (kind has no typed struct).
 */
sl_err sl_kind_decode(const struct sl_kind *kind, const json_t *obj, struct sl_arena *arena, void **ret_typed,
        struct sl_diag *diag);
