#include "net/tls.h"

#include "base/arena.h"
#include "net/tls_priv.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>

struct sl_tls {
	SSL *ssl;
	struct sl_buf *in, *out; /* of the step under way */
	SSL_SESSION *session;    /* newest resumable one; a client's */
	struct sl_arena arena;   /* for peer */
	struct sl_tls_peer peer;
	bool verifies, peer_known, peer_shown, said_goodbye, failed;
	char why[160];
};

/* --- buffers as OpenSSL's source and sink --- */

static int bio_read(BIO *bio, char *p, int n)
{
	struct sl_tls *tls = BIO_get_data(bio);
	sl_str have = tls->in ? sl_buf_str(tls->in) : SL_STR_NONE;

	BIO_clear_retry_flags(bio);
	if (have.len == 0 || n <= 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	have = sl_str_first(have, (size_t)n);
	memcpy(p, have.p, have.len);
	sl_buf_consume(tls->in, have.len);
	return (int)have.len;
}

static int bio_write(BIO *bio, const char *p, int n)
{
	struct sl_tls *tls = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (n > 0)
		sl_buf_add(tls->out, p, (size_t)n);
	return n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *p)
{
	(void)bio, (void)number, (void)p;
	return command == BIO_CTRL_FLUSH; /* writing is done when it returns */
}

static BIO_METHOD *bio_method;
static int session_index; /* of the struct sl_tls in an SSL */

static void make_method(void)
{
	bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sl_buf");
	session_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	if (!bio_method || session_index < 0)
		abort(); /* out of memory at start-up */
	BIO_meth_set_read(bio_method, bio_read);
	BIO_meth_set_write(bio_method, bio_write);
	BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

static void prepare(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_method);
}

/* --- contexts --- */

struct sl_tls_ctx {
	SSL_CTX *native;
	uint32_t refs; /* atomic */
	bool server, verifies;
	unsigned char alpn[256]; /* wire form: length byte and name, most wanted first */
	unsigned alpn_len;
};

struct sl_tls_ctx *sl_tls_ctx_ref(struct sl_tls_ctx *ctx)
{
	__atomic_add_fetch(&ctx->refs, 1, __ATOMIC_RELAXED);
	return ctx;
}

void sl_tls_ctx_unref(struct sl_tls_ctx *ctx)
{
	if (!ctx || __atomic_sub_fetch(&ctx->refs, 1, __ATOMIC_ACQ_REL))
		return;
	SSL_CTX_free(ctx->native);
	sl_free(ctx);
}
SL_CLEANUP_DEFINE(sl_tls_ctx_unref, struct sl_tls_ctx *)

sl_err sl_tls_fail(struct sl_diag *diag, const char *field, const char *what)
{
	char detail[128] = "malformed";
	unsigned long code = ERR_peek_error();

	if (code)
		ERR_error_string_n(code, detail, sizeof(detail));
	ERR_clear_error();
	return sl_diag_fail(diag, SL_ERR_INVALID, field, "FieldValueInvalid", "%s: %s", what, detail);
}

int sl_tls_no_password(char *p, int size, int writing, void *user)
{
	(void)p, (void)size, (void)writing, (void)user;
	return -1; /* never prompt */
}

static sl_err add_certificate(SSL_CTX *native, BIO *pem, struct sl_diag *diag)
{
	X509 *cert = PEM_read_bio_X509(pem, NULL, sl_tls_no_password, NULL);
	bool ok = cert && SSL_CTX_use_certificate(native, cert) == 1;

	X509_free(cert);
	if (!ok)
		return sl_tls_fail(diag, "certificate", "no usable certificate in PEM form");
	while ((cert = PEM_read_bio_X509(pem, NULL, sl_tls_no_password, NULL))) {
		if (SSL_CTX_add0_chain_cert(native, cert) != 1) {
			X509_free(cert);
			return sl_tls_fail(diag, "certificate", "cannot use a certificate of the chain");
		}
	}
	ERR_clear_error(); /* the end of the file is told as an error */
	return SL_OK;
}

static sl_err add_key(SSL_CTX *native, sl_str key_pem, struct sl_diag *diag)
{
	BIO *pem = BIO_new_mem_buf(key_pem.p, (int)key_pem.len);
	EVP_PKEY *key = pem ? PEM_read_bio_PrivateKey(pem, NULL, sl_tls_no_password, NULL) : NULL;
	bool readable = key != NULL,
	     fits = key && SSL_CTX_use_PrivateKey(native, key) == 1 && SSL_CTX_check_private_key(native) == 1;

	EVP_PKEY_free(key);
	BIO_free(pem);
	if (!readable)
		return sl_tls_fail(diag, "key", "no unencrypted private key in PEM form");
	return fits ? SL_OK : sl_tls_fail(diag, "key", "the private key does not belong to the certificate");
}

static sl_err add_identity(SSL_CTX *native, const struct sl_tls_config *config, struct sl_diag *diag)
{
	BIO *pem;
	sl_err err;

	if (config->cert_pem.len == 0 && !config->server)
		return SL_OK;
	if (config->cert_pem.len > INT_MAX || config->key_pem.len > INT_MAX)
		return sl_diag_fail(diag, SL_ERR_INVALID, "certificate", "FieldValueInvalid", "too long");
	if (config->cert_pem.len == 0)
		return sl_diag_fail(diag, SL_ERR_INVALID, "certificate", "FieldValueRequired",
		        "a server needs a certificate");
	if (config->key_pem.len == 0)
		return sl_diag_fail(
		        diag, SL_ERR_INVALID, "key", "FieldValueRequired", "a certificate needs its key");
	pem = BIO_new_mem_buf(config->cert_pem.p, (int)config->cert_pem.len);
	err = pem ? add_certificate(native, pem, diag) : SL_ERR_INTERNAL;
	BIO_free(pem);
	return err == SL_OK ? add_key(native, config->key_pem, diag) : err;
}

/* Trusts every certificate of the PEM, and names them to clients that are asked for theirs. */
static sl_err add_authorities(SSL_CTX *native, const struct sl_tls_config *config, struct sl_diag *diag)
{
	size_t count = 0;
	bool ok = true;
	X509 *ca;
	BIO *pem;

	if (config->verify == SL_TLS_VERIFY_NONE)
		return SL_OK;
	if (config->ca_pem.len == 0) {
		if (SSL_CTX_set_default_verify_paths(native) != 1)
			return sl_tls_fail(diag, "ca", "cannot read the system's authorities");
		return SL_OK;
	}
	pem = BIO_new_mem_buf(
	        config->ca_pem.p, config->ca_pem.len > INT_MAX ? INT_MAX : (int)config->ca_pem.len);
	while (ok && pem && (ca = PEM_read_bio_X509(pem, NULL, sl_tls_no_password, NULL))) {
		ok = X509_STORE_add_cert(SSL_CTX_get_cert_store(native), ca) == 1 &&
		     (!config->server || SSL_CTX_add_client_CA(native, ca) == 1);
		X509_free(ca);
		count++;
	}
	BIO_free(pem);
	if (!ok || count == 0)
		return sl_tls_fail(diag, "ca", "no usable authority in PEM form");
	ERR_clear_error();
	return SL_OK;
}

static int select_alpn(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_len,
        const unsigned char *offered, unsigned offered_len, void *arg)
{
	struct sl_tls_ctx *ctx = arg;
	unsigned char *name;

	(void)ssl;
	/* Ours is the order that counts. RFC 7301 section 3.2: nothing in common ends the handshake with an alert. */
	if (SSL_select_next_proto(&name, ret_len, ctx->alpn, ctx->alpn_len, offered, offered_len) !=
	        OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*ret_name = name;
	return SSL_TLSEXT_ERR_OK;
}

static sl_err add_alpn(struct sl_tls_ctx *ctx, const char *const *names, struct sl_diag *diag)
{
	for (; names && *names; names++) {
		size_t len = strlen(*names);

		if (len == 0 || len > 255 || ctx->alpn_len + 1 + len > sizeof(ctx->alpn))
			return sl_diag_fail(
			        diag, SL_ERR_INVALID, "alpn", "FieldValueInvalid", "protocol names too long");
		ctx->alpn[ctx->alpn_len++] = (unsigned char)len;
		memcpy(ctx->alpn + ctx->alpn_len, *names, len);
		ctx->alpn_len += (unsigned)len;
	}
	if (ctx->alpn_len == 0)
		return SL_OK;
	if (ctx->server)
		SSL_CTX_set_alpn_select_cb(ctx->native, select_alpn, ctx);
	else if (SSL_CTX_set_alpn_protos(ctx->native, ctx->alpn, ctx->alpn_len) != 0)
		return sl_tls_fail(diag, "alpn", "cannot offer these protocols");
	return SL_OK;
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct sl_tls *tls = SSL_get_ex_data(ssl, session_index);

	SSL_SESSION_free(tls->session);
	tls->session = session;
	return 1; /* the reference is ours now */
}

static void set_sessions(struct sl_tls_ctx *ctx, bool no_tickets)
{
	SSL_CTX *native = ctx->native;

	if (no_tickets) {
		SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
		SSL_CTX_set_options(native, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(native, 0);
	} else if (ctx->server) {
		/* Stateless tickets only; one is enough. Tickets are bound to this kind of server. */
		SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
		SSL_CTX_set_session_id_context(native, (const unsigned char *)"sluice", 6);
		SSL_CTX_set_num_tickets(native, 1);
	} else {
		SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(native, keep_session);
	}
}

static void set_verify(struct sl_tls_ctx *ctx, enum sl_tls_verify verify)
{
	int mode = SSL_VERIFY_NONE;

	if (verify != SL_TLS_VERIFY_NONE)
		mode = SSL_VERIFY_PEER;
	if (verify == SL_TLS_VERIFY_REQUIRED)
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	ctx->verifies = verify != SL_TLS_VERIFY_NONE;
	SSL_CTX_set_verify(ctx->native, mode, NULL);
}

sl_err sl_tls_ctx_new(struct sl_tls_ctx **ret_ctx, const struct sl_tls_config *config, struct sl_diag *diag)
{
	SL_CLEANUP(sl_tls_ctx_unref) struct sl_tls_ctx *ctx = sl_new0(sizeof(*ctx));

	prepare();
	ctx->refs = 1;
	ctx->server = config->server;
	ctx->native = SSL_CTX_new(config->server ? TLS_server_method() : TLS_client_method());
	if (!ctx->native)
		return sl_tls_fail(diag, NULL, "cannot make a TLS context");
	SSL_CTX_set_min_proto_version(ctx->native, config->tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION);
	SSL_CTX_set_options(ctx->native, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ctx->native, SSL_MODE_RELEASE_BUFFERS); /* idle connections hold no record buffers */
	set_verify(ctx, config->verify);
	set_sessions(ctx, config->no_tickets);
	SL_TRY(add_identity(ctx->native, config, diag));
	SL_TRY(add_authorities(ctx->native, config, diag));
	SL_TRY(add_alpn(ctx, config->alpn, diag));
	*ret_ctx = SL_STEAL(ctx);
	return SL_OK;
}

/* --- connections --- */

static bool set_peer_name(SSL *ssl, const char *name)
{
	unsigned char ip[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) ==
		       1; /* no SNI: RFC 6066 section 3 */
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, (char *)(uintptr_t)name) == 1;
}

void sl_tls_close(struct sl_tls *tls)
{
	if (!tls)
		return;
	/* OpenSSL takes a connection freed without close_notify for a broken one, and its session for unfit to resume. */
	if (tls->ssl && !tls->failed)
		SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(tls->ssl); /* and its BIO */
	SSL_SESSION_free(tls->session);
	sl_arena_fini(&tls->arena);
	sl_free(tls);
}
SL_CLEANUP_DEFINE(sl_tls_close, struct sl_tls *)

sl_err sl_tls_open(struct sl_tls **ret_tls, struct sl_tls_ctx *ctx, const char *peer_name,
        struct sl_tls_session *session)
{
	SL_CLEANUP(sl_tls_close) struct sl_tls *tls = sl_new0(sizeof(*tls));
	BIO *bio = BIO_new(bio_method);

	tls->ssl = SSL_new(ctx->native);
	tls->verifies = ctx->verifies;
	if (!tls->ssl || !bio || !SSL_set_ex_data(tls->ssl, session_index, tls)) {
		BIO_free(bio);
		return SL_ERR_INTERNAL;
	}
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	SSL_set_bio(tls->ssl, bio, bio);
	if (ctx->server)
		SSL_set_accept_state(tls->ssl);
	else
		SSL_set_connect_state(tls->ssl);
	if (peer_name && !set_peer_name(tls->ssl, peer_name))
		return SL_ERR_INVALID;
	if (session)
		SSL_set_session(tls->ssl, (SSL_SESSION *)session); /* refused: a full handshake instead */
	*ret_tls = SL_STEAL(tls);
	return SL_OK;
}

static sl_err fail(struct sl_tls *tls)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;
	long verdict = SSL_get_verify_result(tls->ssl);

	if (!tls->failed && verdict != X509_V_OK && tls->verifies)
		snprintf(tls->why, sizeof(tls->why), "%s: %s", reason ? reason : "handshake failed",
		        X509_verify_cert_error_string(verdict));
	else if (!tls->failed)
		snprintf(tls->why, sizeof(tls->why), "%s", reason ? reason : "protocol error");
	tls->failed = true;
	ERR_clear_error();
	return SL_ERR_TLS;
}

static void begin(struct sl_tls *tls, struct sl_buf *in, struct sl_buf *out)
{
	ERR_clear_error(); /* what another connection of this thread left behind is not ours */
	tls->in = in;
	tls->out = out;
}

static sl_err finish(struct sl_tls *tls, int ret)
{
	int what = SSL_get_error(tls->ssl, ret);

	tls->in = tls->out = NULL;
	switch (what) {
	case SSL_ERROR_NONE:
		return SL_OK;
	case SSL_ERROR_WANT_READ:
		return SL_ERR_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return SL_ERR_EOF;
	default:
		return fail(tls);
	}
}

sl_err sl_tls_handshake(struct sl_tls *tls, struct sl_buf *in, struct sl_buf *out)
{
	if (tls->failed)
		return SL_ERR_TLS;
	begin(tls, in, out);
	return finish(tls, SSL_do_handshake(tls->ssl));
}

sl_err sl_tls_read(
        struct sl_tls *tls, struct sl_buf *in, struct sl_buf *out, void *p, size_t n_bytes, size_t *ret_n)
{
	size_t n = 0;
	sl_err err;

	if (tls->failed)
		return SL_ERR_TLS;
	begin(tls, in, out);
	err = finish(tls, SSL_read_ex(tls->ssl, p, n_bytes, &n));
	if (err == SL_OK)
		*ret_n = n;
	return err;
}

sl_err sl_tls_write(struct sl_tls *tls, struct sl_buf *in, struct sl_buf *out, const void *p, size_t n_bytes)
{
	size_t n;

	if (tls->failed)
		return SL_ERR_TLS;
	if (n_bytes == 0)
		return SL_OK;
	begin(tls, in, out);
	return finish(
	        tls, SSL_write_ex(tls->ssl, p, n_bytes, &n)); /* all or nothing: the sink takes everything */
}

void sl_tls_shutdown(struct sl_tls *tls, struct sl_buf *out)
{
	if (tls->failed || tls->said_goodbye || !SSL_is_init_finished(tls->ssl))
		return;
	tls->said_goodbye = true;
	begin(tls, NULL, out);
	SSL_shutdown(tls->ssl);
	tls->out = NULL;
	ERR_clear_error();
}

bool sl_tls_open_done(const struct sl_tls *tls)
{
	return SSL_is_init_finished(tls->ssl);
}

sl_str sl_tls_alpn(const struct sl_tls *tls)
{
	const unsigned char *p;
	unsigned len;

	SSL_get0_alpn_selected(tls->ssl, &p, &len);
	return sl_str_n((const char *)p, len);
}

sl_str sl_tls_sni(const struct sl_tls *tls)
{
	return sl_str_c(SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name));
}

bool sl_tls_resumed(const struct sl_tls *tls)
{
	return SSL_session_reused(tls->ssl) == 1;
}

const char *sl_tls_why(const struct sl_tls *tls)
{
	return tls->why;
}

struct sl_tls_session *sl_tls_session_take(struct sl_tls *tls)
{
	return (struct sl_tls_session *)SL_STEAL(tls->session);
}

void sl_tls_session_free(struct sl_tls_session *session)
{
	SSL_SESSION_free((SSL_SESSION *)session);
}

/* --- the peer --- */

/* Empty for a string with a NUL inside, which other software might read as a shorter name. */
static sl_str text_of(struct sl_arena *arena, const ASN1_STRING *s)
{
	unsigned char *utf8 = NULL;
	int len = s ? ASN1_STRING_to_UTF8(&utf8, s) : -1;
	sl_str text = SL_STR_NONE;

	if (len > 0 && !memchr(utf8, 0, (size_t)len))
		text = sl_arena_str(arena, sl_str_n((const char *)utf8, (size_t)len));
	OPENSSL_free(utf8);
	return text;
}

static void read_subject(struct sl_arena *arena, X509_NAME *subject, struct sl_tls_peer *peer)
{
	int at = -1, entries = X509_NAME_entry_count(subject);
	sl_str *organizations;

	at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	if (at >= 0)
		peer->common_name =
		        text_of(arena, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	organizations = sl_arena_zalloc_array(arena, (size_t)entries + 1, sizeof(*organizations));
	for (at = -1; (at = X509_NAME_get_index_by_NID(subject, NID_organizationName, at)) >= 0;)
		organizations[peer->organization_count++] =
		        text_of(arena, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	peer->organizations = organizations;
}

static void read_alternatives(struct sl_arena *arena, X509 *cert, struct sl_tls_peer *peer)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_URI && peer->uri.len == 0)
			peer->uri = text_of(arena, name->d.uniformResourceIdentifier);
		else if (name->type == GEN_DNS && peer->dns.len == 0)
			peer->dns = text_of(arena, name->d.dNSName);
	}
	GENERAL_NAMES_free(names);
}

const struct sl_tls_peer *sl_tls_peer(struct sl_tls *tls)
{
	X509 *cert;

	if (tls->peer_known || !SSL_is_init_finished(tls->ssl))
		return tls->peer_shown ? &tls->peer : NULL;
	tls->peer_known = true;
	cert = SSL_get0_peer_certificate(tls->ssl);
	if (!cert || !tls->verifies || SSL_get_verify_result(tls->ssl) != X509_V_OK)
		return NULL;
	tls->peer_shown = true;
	read_subject(&tls->arena, X509_get_subject_name(cert), &tls->peer);
	read_alternatives(&tls->arena, cert, &tls->peer);
	return &tls->peer;
}
