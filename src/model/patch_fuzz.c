/*
 * A JSON list [document, patch] with every kind of patch. Properties: the document is never changed; a merge patch twice is a merge patch
 * once, and so is an apply; results stay within the depth bound.
 */
#include "model/object.h"
#include "model/patch.h"
#include "model/validate.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_merge(const json_t *doc, const json_t *patch)
{
	json_t *once, *twice;

	if (sl_patch_merge(doc, patch, &once, NULL) != SL_OK)
		return;
	require(sl_patch_merge(once, patch, &twice, NULL) == SL_OK);
	require(json_equal(once, twice));
	json_decref(once);
	json_decref(twice);
}

static void check_json(const json_t *doc, const json_t *patch)
{
	json_t *result;

	if (sl_patch_json(doc, patch, &result, NULL) != SL_OK)
		return;
	require(sl_json_depth_ok(result, SL_OBJECT_DEPTH_MOST));
	json_decref(result);
}

static void check_strategic(enum sl_kind_id id, const json_t *doc, const json_t *patch)
{
	json_t *result;

	if (sl_patch_strategic(sl_kind_get(id), doc, patch, &result, NULL) != SL_OK)
		return;
	require(json_is_object(result));
	json_decref(result);
}

static void check_apply(enum sl_kind_id id, const json_t *doc, const json_t *applied)
{
	struct sl_apply how = { .manager = SL_STR("m"), .time = SL_STR("t"), .force = true };
	json_t *once, *twice;

	if (sl_patch_apply(sl_kind_get(id), doc, applied, &how, &once, NULL) != SL_OK)
		return;
	if (sl_patch_apply(sl_kind_get(id), once, applied, &how, &twice, NULL) == SL_OK) {
		require(json_equal(once, twice));
		json_decref(twice);
	}
	json_decref(once);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	json_t *v = json_loadb((const char *)bytes, size, JSON_REJECT_DUPLICATES, NULL);
	json_t *doc = json_array_get(v, 0), *patch = json_array_get(v, 1), *before;

	if (doc && patch) {
		before = json_deep_copy(doc);
		check_json(doc, patch);
		check_merge(doc, patch);
		check_strategic(SL_KIND_POD, doc, patch);
		check_strategic(SL_KIND_DEPLOYMENT, doc, patch);
		check_strategic(SL_KIND_SERVICE, doc, patch);
		check_apply(SL_KIND_SERVICE, doc, patch);
		check_apply(SL_KIND_POD, NULL, patch);
		require(json_equal(doc, before));
		json_decref(before);
	}
	json_decref(v);
	return 0;
}
