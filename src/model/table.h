#pragma once
/*
 * meta.k8s.io/v1 Table: what `kubectl get` prints. Columns come from the kind's rows.
 * Ownership: results are new references.       Threads: any; pure.
 */
#include "base/units.h"
#include "model/kind.h"

enum sl_table_include { SL_TABLE_METADATA, SL_TABLE_OBJECT, SL_TABLE_NONE }; /* ?includeObject= */

struct sl_table_opts {
	enum sl_table_include include;
	const char *version;          /* of meta.k8s.io: "v1" or "v1beta1"; NULL is "v1" */
	const char *resource_version; /* of the list; NULL leaves it out */
	bool skip_columns;            /* columnDefinitions only stand in the first table of a watch */
	sl_nsec now;                  /* Unix time, for ages */
};

json_t *sl_table_new(const struct sl_kind *kind, const struct sl_table_opts *opts);
void sl_table_add(
        json_t *table, const struct sl_kind *kind, const json_t *obj, const struct sl_table_opts *opts);
/* "3d4h", "5m12s", as kubectl writes ages. dst gets at most 32 bytes with the NUL. */
char *sl_age_format(char dst[32], sl_nsec age);
