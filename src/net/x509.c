#include "net/x509.h"

#include "net/tls_priv.h"
#include "os/random.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static void x509_free(X509 *cert)
{
	X509_free(cert);
}
static void key_free(EVP_PKEY *key)
{
	EVP_PKEY_free(key);
}
SL_CLEANUP_DEFINE(x509_free, X509 *)
SL_CLEANUP_DEFINE(key_free, EVP_PKEY *)

/* --- PEM --- */

static void add_bio(struct sl_buf *b, BIO *bio)
{
	char *p = NULL;
	long n = BIO_get_mem_data(bio, &p);

	if (n > 0)
		sl_buf_add(b, p, (size_t)n);
}

static sl_err write_pem(X509 *cert, EVP_PKEY *key, struct sl_buf *cert_pem, struct sl_buf *key_pem)
{
	BIO *cert_bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_mem());
	sl_err err = SL_ERR_INTERNAL;

	if (cert_bio && key_bio && PEM_write_bio_X509(cert_bio, cert) == 1 &&
	        PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) == 1) {
		add_bio(cert_pem, cert_bio);
		add_bio(key_pem, key_bio);
		err = SL_OK;
	}
	BIO_free(cert_bio);
	BIO_free(key_bio);
	return err;
}

static X509 *read_cert(sl_str pem)
{
	BIO *bio = pem.len <= INT_MAX ? BIO_new_mem_buf(pem.p ? pem.p : "", (int)pem.len) : NULL;
	X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, sl_tls_no_password, NULL) : NULL;

	BIO_free(bio);
	return cert;
}

static EVP_PKEY *read_key(sl_str pem)
{
	BIO *bio = pem.len <= INT_MAX ? BIO_new_mem_buf(pem.p ? pem.p : "", (int)pem.len) : NULL;
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, sl_tls_no_password, NULL) : NULL;

	BIO_free(bio);
	return key;
}

/* --- names --- */

static bool add_entry(X509_NAME *subject, int nid, const char *text)
{
	return X509_NAME_add_entry_by_NID(
	               subject, nid, MBSTRING_UTF8, (const unsigned char *)text, -1, -1, 0) == 1;
}

static sl_err set_subject(X509 *cert, const struct sl_x509_request *req, struct sl_diag *diag)
{
	X509_NAME *subject = X509_get_subject_name(cert);

	for (const char *const *o = req->organizations; o && *o; o++) {
		if (!add_entry(subject, NID_organizationName, *o))
			return sl_tls_fail(diag, "organizations", *o);
	}
	if (req->common_name && !add_entry(subject, NID_commonName, req->common_name))
		return sl_tls_fail(diag, "commonName", req->common_name);
	return SL_OK;
}

/* Takes over `value`. */
static bool push_name(GENERAL_NAMES *names, int type, void *value)
{
	GENERAL_NAME *name = value ? GENERAL_NAME_new() : NULL;

	if (!name)
		return false;
	GENERAL_NAME_set0_value(name, type, value);
	if (sk_GENERAL_NAME_push(names, name) > 0)
		return true;
	GENERAL_NAME_free(name);
	return false;
}

static bool push_text(GENERAL_NAMES *names, int type, const char *text)
{
	ASN1_IA5STRING *value = ASN1_IA5STRING_new();

	for (const char *p = text; *p; p++) {
		if (*p <= ' ' || *p > '~') { /* IA5, and nothing that a log line could be broken with */
			ASN1_IA5STRING_free(value);
			return false;
		}
	}
	if (!*text || !value || ASN1_STRING_set(value, text, -1) != 1) {
		ASN1_IA5STRING_free(value);
		return false;
	}
	return push_name(names, type, value);
}

static bool push_ip(GENERAL_NAMES *names, const char *text)
{
	return push_name(names, GEN_IPADD, a2i_IPADDRESS(text));
}

static const char *fill_names(GENERAL_NAMES *names, const struct sl_x509_request *req)
{
	for (const char *const *s = req->dns_names; s && *s; s++) {
		if (!push_text(names, GEN_DNS, *s))
			return *s;
	}
	for (const char *const *s = req->ip_addresses; s && *s; s++) {
		if (!push_ip(names, *s))
			return *s;
	}
	for (const char *const *s = req->uris; s && *s; s++) {
		if (!push_text(names, GEN_URI, *s))
			return *s;
	}
	return NULL;
}

static sl_err set_alternatives(X509 *cert, const struct sl_x509_request *req, struct sl_diag *diag)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	const char *bad = names ? fill_names(names, req) : "";
	bool critical =
	        X509_NAME_entry_count(X509_get_subject_name(cert)) == 0; /* RFC 5280 section 4.2.1.6 */
	sl_err err = SL_OK;

	if (bad) {
		ERR_clear_error();
		err = sl_diag_fail(diag, SL_ERR_INVALID, "subjectAltName", "FieldValueInvalid",
		        "'%s' is not a DNS name, IP address or URI", bad);
	} else if (sk_GENERAL_NAME_num(names) > 0 &&
	           X509_add1_ext_i2d(cert, NID_subject_alt_name, names, critical, X509V3_ADD_DEFAULT) != 1) {
		err = sl_tls_fail(diag, "subjectAltName", "cannot be added");
	}
	GENERAL_NAMES_free(names);
	return err;
}

/* --- certificates --- */

static bool add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;
	bool ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = ext && X509_add_ext(cert, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok;
}

static bool set_serial(X509 *cert)
{
	unsigned char bytes[16]; /* RFC 5280 section 4.1.2.2: positive, at most 20 bytes */
	BIGNUM *n;
	bool ok;

	sl_random_bytes(bytes, sizeof(bytes));
	bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40);
	n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));
	BN_free(n);
	return ok;
}

static bool set_basics(X509 *cert, const struct sl_x509_request *req, EVP_PKEY *key, X509 *issuer)
{
	time_t from = (time_t)(req->not_before / SL_SEC(1)), to = (time_t)(req->not_after / SL_SEC(1));

	return X509_set_version(cert, 2) == 1 && set_serial(cert) &&
	       ASN1_TIME_set(X509_getm_notBefore(cert), from) &&
	       ASN1_TIME_set(X509_getm_notAfter(cert), to) && X509_set_pubkey(cert, key) == 1 &&
	       X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1;
}

static bool set_uses(X509 *cert, const struct sl_x509_request *req, X509 *issuer)
{
	const char *use = req->server && req->client ? "serverAuth,clientAuth"
	                  : req->server              ? "serverAuth"
	                  : req->client              ? "clientAuth"
	                                             : NULL;

	return add_ext(cert, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_ext(cert, issuer, NID_key_usage, "critical,digitalSignature") &&
	       (!use || add_ext(cert, issuer, NID_ext_key_usage, use)) &&
	       add_ext(cert, issuer, NID_subject_key_identifier, "hash") &&
	       add_ext(cert, issuer, NID_authority_key_identifier, "keyid:always");
}

static bool set_ca_uses(X509 *cert)
{
	return add_ext(cert, cert, NID_basic_constraints, "critical,CA:TRUE") &&
	       add_ext(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
	       add_ext(cert, cert, NID_subject_key_identifier, "hash");
}

static sl_err check_times(const struct sl_x509_request *req, struct sl_diag *diag)
{
	if (req->not_after > req->not_before)
		return SL_OK;
	return sl_diag_fail(
	        diag, SL_ERR_INVALID, "notAfter", "FieldValueInvalid", "must be later than notBefore");
}

sl_err sl_x509_make_ca(const struct sl_x509_request *req, struct sl_buf *ret_cert_pem,
        struct sl_buf *ret_key_pem, struct sl_diag *diag)
{
	SL_CLEANUP(key_free) EVP_PKEY *key = EVP_EC_gen("P-256");
	SL_CLEANUP(x509_free) X509 *cert = X509_new();

	SL_TRY(check_times(req, diag));
	if (!key || !cert)
		return SL_ERR_INTERNAL;
	SL_TRY(set_subject(cert, req, diag));
	if (!set_basics(cert, req, key, cert) || !set_ca_uses(cert) || !X509_sign(cert, key, EVP_sha256()))
		return sl_tls_fail(diag, NULL, "cannot make the authority's certificate");
	return write_pem(cert, key, ret_cert_pem, ret_key_pem);
}

sl_err sl_x509_issue(const struct sl_x509_request *req, sl_str ca_cert_pem, sl_str ca_key_pem,
        struct sl_buf *ret_cert_pem, struct sl_buf *ret_key_pem, struct sl_diag *diag)
{
	SL_CLEANUP(x509_free) X509 *ca = read_cert(ca_cert_pem);
	SL_CLEANUP(key_free) EVP_PKEY *ca_key = read_key(ca_key_pem);
	SL_CLEANUP(key_free) EVP_PKEY *key = EVP_EC_gen("P-256");
	SL_CLEANUP(x509_free) X509 *cert = X509_new();

	SL_TRY(check_times(req, diag));
	if (!ca || !ca_key || X509_check_private_key(ca, ca_key) != 1)
		return sl_tls_fail(diag, "ca", "not an authority's certificate with its key in PEM form");
	if (!key || !cert)
		return SL_ERR_INTERNAL;
	SL_TRY(set_subject(cert, req, diag));
	if (!set_basics(cert, req, key, ca) || !set_uses(cert, req, ca))
		return sl_tls_fail(diag, NULL, "cannot make the certificate");
	SL_TRY(set_alternatives(cert, req, diag));
	if (!X509_sign(cert, ca_key, EVP_sha256()))
		return sl_tls_fail(diag, NULL, "cannot sign the certificate");
	return write_pem(cert, key, ret_cert_pem, ret_key_pem);
}

static sl_nsec time_of(const ASN1_TIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) == 1 ? SL_SEC(timegm(&tm)) : 0;
}

sl_err sl_x509_inspect(sl_str cert_pem, struct sl_x509_info *ret_info, struct sl_diag *diag)
{
	SL_CLEANUP(x509_free) X509 *cert = read_cert(cert_pem);
	struct sl_x509_info info = { 0 };

	if (!cert)
		return sl_tls_fail(diag, "certificate", "no certificate in PEM form");
	info.not_before = time_of(X509_get0_notBefore(cert));
	info.not_after = time_of(X509_get0_notAfter(cert));
	info.ca = X509_check_ca(cert) == 1;
	X509_NAME_get_text_by_NID(
	        X509_get_subject_name(cert), NID_commonName, info.common_name, sizeof(info.common_name));
	*ret_info = info;
	return SL_OK;
}
