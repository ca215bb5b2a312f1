#pragma once
/*
 * Manifest files as the commands take them by -f.
 * Ownership: results are new references.       Threads: one.
 */
#include "cli/cli.h"

#include <jansson.h>

/*
 * Every document of every -f file, Lists taken apart; `names` has the file's name per document. "-" is standard input, a folder its
 * *.yaml, *.yml and *.json files in order of name. Problems are printed.
 */
sl_err sl_manifests_read(const struct sl_cli *cli, json_t **ret_documents, json_t **ret_names);
