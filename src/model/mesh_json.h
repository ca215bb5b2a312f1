#pragma once
/*
 * The mesh snapshot as JSON, for people and for disk: what `sluice-proxy --static FILE` reads, what a proxy keeps as its last good
 * snapshot, and what config dumps show. Keys are the field names of mesh.h in camelCase; durations are written as in manifests ("1h30m",
 * "250ms"), enumerations by name in lower case; what has its default is left out.
 *
 *   { "epoch": 7,
 *     "listeners": [{ "name": "web", "address": "127.0.0.1", "port": 8080, "routeConfig": "web" }],
 *     "routeConfigs": [{ "name": "web", "hosts": [{ "name": "all", "domains": ["*"],
 *       "routes": [{ "match": { "path": "/" }, "splits": [{ "cluster": "v1", "weight": 95 }, { "cluster": "v2", "weight": 5 }] }] }] }],
 *     "clusters": [{ "name": "v1", "endpoints": [{ "address": "127.0.0.1", "port": 9001 }] }, … ] }
 *
 * Ownership: results are the caller's.       Threads: any.
 */
#include "base/buf.h"
#include "model/mesh.h"

#include <jansson.h>

/* A new reference. */
json_t *sl_mesh_to_json(const struct sl_mesh *mesh);
/*
 * Also checks it (sl_mesh_check). Left out: connect_timeout 10s, an endpoint's or split's weight 1, a match's path "/".
 * Errors: SL_ERR_INVALID (unknown key, wrong type, unknown name, breach of sl_mesh_check); each in diag with its path.
 */
sl_err sl_mesh_from_json(struct sl_mesh **ret_mesh, const json_t *json, struct sl_diag *diag);

/* The same from and to text. Errors: SL_ERR_MALFORMED (not JSON; diag has the line), SL_ERR_INVALID. */
sl_err sl_mesh_parse(struct sl_mesh **ret_mesh, sl_str text, struct sl_diag *diag);
void sl_mesh_print(const struct sl_mesh *mesh, struct sl_buf *out);
