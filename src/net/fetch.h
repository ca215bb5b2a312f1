#pragma once
/*
 * Outgoing HTTP by libcurl's multi interface, driven by the loop: Prometheus, webhooks, etcd, Kubernetes, podman, and the CLI
 * against sluiced.
 *
 * Ownership: a fetch belongs to its sl_fetcher until its on_done; everything in sl_fetch_request is copied by sl_fetch_start.
 * Threads: its loop's.
 */
#include "base/buf.h"
#include "base/diag.h"
#include "net/http_types.h"
#include "loop/loop.h"

struct sl_fetcher;
struct sl_fetch;

struct sl_fetch_response {
	sl_err err; /* SL_OK: an HTTP answer came whole, whatever its status. Else SL_ERR_REFUSED, _TIMEOUT, _TLS, _RESET,
	                       _TOO_BIG, _UNAVAILABLE (name not found), _CLOSED (cancelled by fetcher's end), _IO */
	const char *detail; /* text for err; "" when SL_OK */
	int status;         /* 0 where none came */
	sl_str body;        /* collected; empty with on_body */
	sl_str content_type;
	sl_nsec took;
};

struct sl_fetch_request {
	const char *method;    /* NULL: GET, or POST with a body */
	const char *url;       /* http:// or https:// */
	const char *unix_path; /* connect to this socket instead of the URL's host */
	const struct sl_http_pair *headers;
	size_t header_count;
	sl_str body;
	sl_nsec timeout;          /* of the whole; 0: none. For a watch use 0 and stall_timeout */
	sl_nsec connect_timeout;  /* 0: 5 s */
	sl_nsec stall_timeout;    /* without a byte; 0: none; whole seconds */
	size_t body_most_bytes;   /* of a collected body; 0: 64 MiB */
	const char *bearer_token; /* NULL: none */
	sl_str ca_pem;            /* authorities; empty: the system's */
	sl_str cert_pem, key_pem; /* client certificate; empty: none */
	bool insecure;            /* checks no certificate: tests, and kubeconfigs that say so */
	unsigned redirects_most;  /* followed; 0: none */

	void (*on_head)(struct sl_fetch *f, int status); /* optional */
	/* Optional: each piece as it comes instead of collecting. False: halt; sl_fetch_resume goes on, the piece is given again. */
	bool (*on_body)(struct sl_fetch *f, sl_str piece);
	/* Exactly once, never from within sl_fetch_start; views are valid during the call; f is freed after it. Not after sl_fetch_cancel. */
	void (*on_done)(struct sl_fetch *f, const struct sl_fetch_response *r);
	void *user;
};

struct sl_fetcher *sl_fetcher_new(struct sl_loop *loop);
/* Ends all fetches: on_done with SL_ERR_CLOSED. NULL is fine. */
void sl_fetcher_free(struct sl_fetcher *x);

/* Errors: SL_ERR_INVALID (URL, or a method or header with control characters); on_done is then not called. */
sl_err sl_fetch_start(struct sl_fetcher *x, const struct sl_fetch_request *request, struct sl_fetch **ret_f);
void sl_fetch_cancel(struct sl_fetch *f); /* no callback comes; f is gone */
void sl_fetch_resume(struct sl_fetch *f);
void *sl_fetch_user(const struct sl_fetch *f);

/* Blocks, in a loop of its own: for the CLI and tests. Body goes to *b (may be NULL). Errors: as sl_fetch_response.err. */
sl_err sl_fetch_wait(
        const struct sl_fetch_request *request, int *ret_status, struct sl_buf *b, struct sl_diag *diag);
