#pragma once
/*
 * TLS 1.2 and 1.3 by OpenSSL, free of sockets: ciphertext comes from and goes to buffers, so the same engine serves the control
 * plane's transports and the proxy's connections, and one send carries many records.
 *
 * Ownership: a context is shared by reference; a struct sl_tls is its connection's. PEM inputs are copied.
 * Threads: contexts may be used by all threads (reference counts are atomic); a struct sl_tls has one owner.
 */
#include "base/buf.h"
#include "base/diag.h"
#include "base/units.h"

struct sl_tls_ctx;
struct sl_tls;

enum sl_tls_verify {
	SL_TLS_VERIFY_NONE,     /* accepts any peer; a server asks for no certificate */
	SL_TLS_VERIFY_OPTIONAL, /* server: asks, and verifies what it is given */
	SL_TLS_VERIFY_REQUIRED, /* a peer without a certificate of a known authority is refused */
};

struct sl_tls_config {
	bool server;
	enum sl_tls_verify verify;
	sl_str cert_pem; /* leaf first, then the chain; required for a server */
	sl_str key_pem;
	sl_str ca_pem;           /* authorities to verify the peer by; empty: the system's */
	const char *const *alpn; /* NULL-terminated, most wanted first; NULL: none */
	bool no_tickets;         /* no session resumption */
	bool tls13_only;
};

/* Errors: SL_ERR_INVALID (diag names the field: certificate, key, ca; a key that does not fit). */
sl_err sl_tls_ctx_new(struct sl_tls_ctx **ret_ctx, const struct sl_tls_config *config, struct sl_diag *diag);
struct sl_tls_ctx *sl_tls_ctx_ref(struct sl_tls_ctx *ctx);
void sl_tls_ctx_unref(struct sl_tls_ctx *ctx); /* NULL is fine */

/*
 * Opens one end. A client checks the peer's certificate against `peer_name` (DNS name or IP address; also sent as SNI when a name);
 * NULL checks no name (a mesh checks the SPIFFE id by sl_tls_peer). `session` in a client may hold one to resume.
 */
struct sl_tls_session; /* a client's resumable session */
sl_err sl_tls_open(struct sl_tls **ret_tls, struct sl_tls_ctx *ctx, const char *peer_name,
        struct sl_tls_session *session);
void sl_tls_close(struct sl_tls *tls); /* NULL is fine */

/*
 * Every step consumes ciphertext from `in` and appends ciphertext to `out`; send `out` after each, also after an error (it may hold
 * an alert). Errors of all three: SL_ERR_AGAIN (needs more in `in`), SL_ERR_EOF (the peer said close_notify), SL_ERR_TLS
 * (sl_tls_why has the detail). A renegotiation or key update is handled within.
 */
sl_err sl_tls_handshake(struct sl_tls *tls, struct sl_buf *in, struct sl_buf *out);
/* Up to n_bytes of plaintext; at least 1 byte on SL_OK. */
sl_err sl_tls_read(
        struct sl_tls *tls, struct sl_buf *in, struct sl_buf *out, void *p, size_t n_bytes, size_t *ret_n);
/* All of it. */
sl_err sl_tls_write(struct sl_tls *tls, struct sl_buf *in, struct sl_buf *out, const void *p, size_t n_bytes);
void sl_tls_shutdown(struct sl_tls *tls, struct sl_buf *out); /* appends close_notify, once */

bool sl_tls_open_done(const struct sl_tls *tls); /* the handshake is over */
sl_str sl_tls_alpn(const struct sl_tls *tls);    /* empty where none was agreed */
sl_str sl_tls_sni(const struct sl_tls *tls);     /* what the client named; a server's view; may be empty */
bool sl_tls_resumed(const struct sl_tls *tls);
const char *sl_tls_why(
        const struct sl_tls *tls); /* "certificate verify failed: unable to get local issuer certificate" */
/* The newest session to resume, or NULL; the caller's to free. */
struct sl_tls_session *sl_tls_session_take(struct sl_tls *tls);
void sl_tls_session_free(struct sl_tls_session *session);

/* The verified certificate of the peer. Views live as long as `tls`. */
struct sl_tls_peer {
	sl_str common_name;          /* Kubernetes: the user */
	const sl_str *organizations; /* Kubernetes: the groups */
	size_t organization_count;
	sl_str uri; /* first URI name: the SPIFFE id; empty where none */
	sl_str dns; /* first DNS name */
};
/* NULL where the peer showed none or it was not verified. */
const struct sl_tls_peer *sl_tls_peer(struct sl_tls *tls);
