#include "control/ca.h"
#include "os/clock.h"
#include "os/file.h"

#include <openssl/crypto.h>

struct sl_ca {
	struct sl_buf cert, key;
};

enum { PEM_MOST_BYTES = 64 * 1024 };

#define YEAR SL_SEC(365 * 86400)

static void buf_wipe(struct sl_buf *b)
{
	if (b->p)
		OPENSSL_cleanse(b->p, b->cap);
	sl_buf_fini(b);
}

void sl_ca_free(struct sl_ca *ca)
{
	if (!ca)
		return;
	sl_buf_fini(&ca->cert);
	buf_wipe(&ca->key);
	sl_free(ca);
}

sl_str sl_ca_cert_pem(const struct sl_ca *ca)
{
	return sl_buf_str(&ca->cert);
}

static sl_nsec whole_second(sl_nsec t)
{
	return t - t % SL_SEC(1);
}

/* The key first: a certificate without its key would be taken for a damaged authority at the next start. */
static sl_err make(struct sl_ca *ca, const char *cert_path, const char *key_path, struct sl_diag *diag)
{
	static const char *const organizations[] = { "sluice", NULL };
	sl_nsec now = whole_second(sl_clock_real());
	const struct sl_x509_request request = {
		.common_name = "sluice authority",
		.organizations = organizations,
		.not_before = now - SL_SEC(3600),
		.not_after = now + 10 * YEAR,
	};
	sl_buf_clear(&ca->cert);
	sl_buf_clear(&ca->key);
	SL_TRY(sl_x509_make_ca(&request, &ca->cert, &ca->key, diag));
	sl_err err = sl_file_write(key_path, sl_buf_str(&ca->key), 0600);
	if (err == SL_OK)
		err = sl_file_write(cert_path, sl_buf_str(&ca->cert), 0600);
	return err == SL_OK ? SL_OK
	                    : sl_diag_fail(diag, err, NULL, NULL, "%s: %s", key_path, sl_err_text(err));
}

/* A key that does not fit its certificate is found here, not at the first handshake. */
static sl_err check(struct sl_ca *ca, const char *cert_path, struct sl_diag *diag)
{
	struct sl_x509_info info;
	SL_TRY(sl_x509_inspect(sl_buf_str(&ca->cert), &info, diag));
	if (!info.ca)
		return sl_diag_fail(
		        diag, SL_ERR_INVALID, NULL, NULL, "%s: not a certificate authority", cert_path);
	if (info.not_after < sl_clock_real())
		return sl_diag_fail(diag, SL_ERR_INVALID, NULL, NULL,
		        "%s: expired; remove it and ca.key to get a new authority", cert_path);
	SL_CLEANUP(sl_buf_fini) struct sl_buf cert = { 0 }, key = { 0 };
	const struct sl_x509_request probe = {
		.common_name = "probe", .client = true, .not_after = info.not_after
	};
	return sl_ca_issue(ca, &probe, &cert, &key, diag);
}

sl_err sl_ca_open(struct sl_ca **ret_ca, const char *dir, struct sl_diag *diag)
{
	SL_CLEANUP(sl_ca_free) struct sl_ca *ca = sl_new0(sizeof(*ca));
	SL_CLEANUP(sl_free) char *cert_path = sl_asprintf("%s/ca.crt", dir);
	SL_CLEANUP(sl_free) char *key_path = sl_asprintf("%s/ca.key", dir);
	sl_err err = sl_file_read(cert_path, PEM_MOST_BYTES, &ca->cert);
	if (err == SL_OK)
		err = sl_file_read(key_path, PEM_MOST_BYTES, &ca->key);
	if (err == SL_ERR_NOT_FOUND && sl_buf_size(&ca->cert) == 0) {
		SL_TRY(make(ca, cert_path, key_path, diag));
	} else if (err != SL_OK) {
		return sl_diag_fail(
		        diag, err, NULL, NULL, "%s, %s: %s", cert_path, key_path, sl_err_text(err));
	} else {
		SL_TRY(check(ca, cert_path, diag));
	}
	*ret_ca = SL_STEAL(ca);
	return SL_OK;
}

sl_err sl_ca_issue(const struct sl_ca *ca, const struct sl_x509_request *request, struct sl_buf *ret_cert_pem,
        struct sl_buf *ret_key_pem, struct sl_diag *diag)
{
	struct sl_x509_request dated = *request;
	if (!dated.not_before)
		dated.not_before = whole_second(sl_clock_real()) - SL_SEC(3600);
	return sl_x509_issue(
	        &dated, sl_buf_str(&ca->cert), sl_buf_str(&ca->key), ret_cert_pem, ret_key_pem, diag);
}
