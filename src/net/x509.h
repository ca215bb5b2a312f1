#pragma once
/*
 * A small certificate authority: EC P-256 keys, SHA-256, X.509 v3, PEM in and out. For sluiced's own authority.
 * Ownership: results are appended to the caller's buffers.       Threads: any; nothing is shared.
 */
#include "base/buf.h"
#include "base/diag.h"
#include "base/units.h"

struct sl_x509_request {
	const char *common_name;
	const char *const *organizations; /* NULL-terminated; may be NULL */
	const char *const *dns_names;     /* NULL-terminated subject alternative names; each may be NULL */
	const char *const *ip_addresses;
	const char *const *uris;       /* spiffe://trust-domain/ns/NAMESPACE/sa/ACCOUNT */
	bool server, client;           /* extended key usage */
	sl_nsec not_before, not_after; /* since the epoch; whole seconds */
};

/* A self-signed root. Only common_name, organizations and the times are used. Errors: SL_ERR_INVALID, SL_ERR_INTERNAL. */
sl_err sl_x509_make_ca(const struct sl_x509_request *req, struct sl_buf *ret_cert_pem,
        struct sl_buf *ret_key_pem, struct sl_diag *diag);
/* A fresh key, and a certificate for it by the authority. Errors: SL_ERR_INVALID (a name or the authority's PEM), SL_ERR_INTERNAL. */
sl_err sl_x509_issue(const struct sl_x509_request *req, sl_str ca_cert_pem, sl_str ca_key_pem,
        struct sl_buf *ret_cert_pem, struct sl_buf *ret_key_pem, struct sl_diag *diag);

struct sl_x509_info {
	sl_nsec not_before, not_after; /* since the epoch */
	char common_name[128];
	bool ca;
};
/* The first certificate of the PEM. Errors: SL_ERR_INVALID. */
sl_err sl_x509_inspect(sl_str cert_pem, struct sl_x509_info *ret_info, struct sl_diag *diag);
