#pragma once
/*
 * The kubeconfig that sluiced leaves for kubectl and sluice: server address, authority, and a client certificate, all in one file.
 * Ownership: nothing is kept.       Threads: any.
 */
#include "control/ca.h"

/*
 * Writes `path` (0600, in one step) with a fresh administrator's certificate for the API at `url` ("https://127.0.0.1:6443").
 * Errors: SL_ERR_IO, SL_ERR_FORBIDDEN, SL_ERR_NOT_FOUND (no such folder).
 */
sl_err sl_kubeconfig_write(const struct sl_ca *ca, const char *path, const char *url, struct sl_diag *diag);
