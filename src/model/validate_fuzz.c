/*
 * Any JSON as an object of its kind, or of every kind. Properties: what validates also decodes; defaults twice are defaults once, and keep
 * a valid object valid; a pruned object has no unknown field; printing and hashing never fail.
 */
#include "model/defaults.h"
#include "model/hash.h"
#include "model/honoured.h"
#include "model/object.h"
#include "model/table.h"
#include "model/validate.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_valid(const struct sl_kind *kind, json_t *obj)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena arena = { 0 };
	struct sl_table_opts opts = { .include = SL_TABLE_METADATA };
	json_t *table = sl_table_new(kind, &opts), *twice;
	void *typed;

	require(kind->type->c_size == 0 || sl_kind_decode(kind, obj, &arena, &typed, NULL) == SL_OK);
	sl_table_add(table, kind, obj, &opts);
	json_decref(table);

	sl_defaults_apply(kind, obj);
	twice = json_deep_copy(obj);
	sl_defaults_apply(kind, twice);
	require(json_equal(obj, twice));
	json_decref(twice);
	require(sl_validate(kind, obj, SL_UNKNOWN_ERROR, NULL, NULL) == SL_OK);
	sl_honoured_condition(kind, obj, 0);
	require(!sl_honoured_condition(kind, obj, 0));
}

static void check_kind(const struct sl_kind *kind, const json_t *given)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	json_t *obj = json_deep_copy(given);
	sl_err err = sl_validate(kind, obj, SL_UNKNOWN_ERROR, NULL, &diag);

	require((err == SL_OK) == (diag.count == 0));
	sl_honoured_check(kind, obj, NULL);
	if (err == SL_OK)
		check_valid(kind, obj);
	if (json_is_object(obj) && sl_json_depth_ok(obj, SL_OBJECT_DEPTH_MOST)) {
		sl_prune(kind, obj);
		require(sl_validate(kind, obj, SL_UNKNOWN_ERROR, NULL, NULL) != SL_ERR_BAD_REQUEST);
		SL_IGNORE(sl_validate_update(kind, given, obj, NULL)); /* any answer will do; it must come */
	}
	json_decref(obj);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	json_t *v = json_loadb((const char *)bytes, size, JSON_REJECT_DUPLICATES, NULL);
	char hash[SL_TEMPLATE_HASH_LEN + 1];
	const struct sl_kind *kind;

	if (!v)
		return 0;
	if (sl_kind_of(v, &kind, NULL) == SL_OK) {
		check_kind(kind, v);
	} else {
		for (size_t i = 0; i < SL_KIND_COUNT; i++)
			check_kind(&sl_kind_table[i], v);
	}
	sl_template_hash(v, hash);
	json_decref(v);
	return 0;
}
