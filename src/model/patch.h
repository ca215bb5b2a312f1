#pragma once
/*
 * The four patches of the API. All are pure: `doc` is not changed, the result is a new reference that shares nothing mutable with it.
 * Nesting beyond SL_OBJECT_DEPTH_MOST and more than SL_PATCH_OPS_MOST operations are refused.
 * Ownership: the caller decrefs *ret_doc.       Threads: any; pure.
 */
#include "model/kind.h"

enum { SL_PATCH_OPS_MOST = 10000 };

/* RFC 6902 with RFC 6901 pointers. Errors: SL_ERR_BAD_REQUEST (malformed), SL_ERR_INVALID (path absent, test failed), SL_ERR_TOO_BIG. */
sl_err sl_patch_json(const json_t *doc, const json_t *patch, json_t **ret_doc, struct sl_diag *diag);

/* RFC 7386. Errors: SL_ERR_BAD_REQUEST (the patch is no object), SL_ERR_TOO_BIG. */
sl_err sl_patch_merge(const json_t *doc, const json_t *patch, json_t **ret_doc, struct sl_diag *diag);

/*
 * Kubernetes strategic merge: merge keys from the schema, $patch: delete | replace | merge, $deleteFromPrimitiveList/F,
 * $setElementOrder/F, $retainKeys.
 * Errors: SL_ERR_UNSUPPORTED (kind is no builtin), SL_ERR_BAD_REQUEST (malformed directive, element without its merge key), SL_ERR_TOO_BIG.
 */
sl_err sl_patch_strategic(const struct sl_kind *kind, const json_t *doc, const json_t *patch,
        json_t **ret_doc, struct sl_diag *diag);

/*
 * Server-side apply. `doc` may be NULL (the object is then created). Fields that `manager` applied before and leaves out now are
 * removed, unless another manager owns them too; ownership is kept in metadata.managedFields.
 * Errors: SL_ERR_CONFLICT (another manager owns a field this one wants to change, and not force; diag lists them), SL_ERR_BAD_REQUEST.
 */
struct sl_apply {
	sl_str manager; /* fieldManager=; must not be empty */
	sl_str time;    /* RFC 3339, for the managedFields entry */
	bool force;
};
sl_err sl_patch_apply(const struct sl_kind *kind, const json_t *doc, const json_t *applied,
        const struct sl_apply *how, json_t **ret_doc, struct sl_diag *diag);
