#pragma once
/*
 * The control plane's own certificate authority, kept in the data directory (ca.crt, ca.key, 0600). It signs the API's server
 * certificate, the administrator's client certificate in the kubeconfig, and whatever identity the mesh hands out.
 * Ownership: opaque.       Threads: const once open; any.
 */
#include "net/x509.h"

struct sl_ca;

/* Opens the authority in `dir`, or makes one for ten years. Errors: SL_ERR_INVALID (a file there is no certificate or key), SL_ERR_IO. */
sl_err sl_ca_open(struct sl_ca **ret_ca, const char *dir, struct sl_diag *diag);
void sl_ca_free(struct sl_ca *ca); /* NULL is fine; wipes the key */
SL_CLEANUP_DEFINE(sl_ca_free, struct sl_ca *)

sl_str sl_ca_cert_pem(const struct sl_ca *ca);

/* A certificate with a fresh key, appended to the buffers; request->not_before 0: an hour ago (clocks differ). Errors: SL_ERR_INVALID. */
sl_err sl_ca_issue(const struct sl_ca *ca, const struct sl_x509_request *request, struct sl_buf *ret_cert_pem,
        struct sl_buf *ret_key_pem, struct sl_diag *diag);

/* The organization whose client certificates may do everything, as in Kubernetes. */
#define SL_CA_ADMIN_GROUP "system:masters"
