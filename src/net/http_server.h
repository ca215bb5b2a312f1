#pragma once
/*
 * HTTP/1.1 server for the control plane: API server, admin and metrics pages, the demo application. HTTP/1.0 clients are served
 * too. One loop; handlers answer at once or any time later, whole or as a stream.
 *
 * A request: on_request is called when its head and body are complete. The handler (then or later, in the loop's thread) either
 *   - sl_http_reply: one body of known length; or
 *   - sl_http_stream_begin, any number of sl_http_stream_write, sl_http_stream_end (chunked; kubectl watch, log -f); or
 *   - sl_http_reply_error: a plain text answer from an sl_err.
 * Until it has finished it owns the right to answer, and the request with all its views is valid. If the client goes first,
 * req->on_gone is called once (set it when answering later) and the request is invalid after it. After reply, reply_error,
 * stream_end or stream_abort the request is invalid and no callback comes. A client that only ends its sending side still gets its
 * reply, but a stream to it ends: nothing else would tell that a watcher has left.
 *
 * With on_head set, a handler sees the head first and may choose to take the body in pieces (on_body) as it comes.
 * Pipelined requests are answered one after another in their order. HEAD is answered without its body.
 *
 * Ownership: the server's connections and requests are its own. sl_http_server_stop ends them all.       Threads: its loop's.
 */
#include "base/arena.h"
#include "net/http_types.h"
#include "net/listener.h"
#include "net/transport.h"

struct sl_http_server;
struct sl_http_req;

/* Zero means the default in brackets. */
struct sl_http_limits {
	size_t head_most_bytes;   /* request line and headers [60 KiB], at most 65535; over it: 431 */
	size_t header_most_count; /* [100], at most 128; over it: 431 */
	size_t target_most_bytes; /* [8 KiB]; over it: 414 */
	size_t body_most_bytes;   /* of a collected body [4 MiB]; over it: 413 */
	size_t connections_most;  /* [4096]; over it: new ones wait in the backlog */
	size_t stream_high_bytes; /* of a response stream, queued to a slow reader [1 MiB]: sl_http_stream_write then says false */
	size_t stream_most_bytes; /* a stream that queues more than this is cut: its writer did not stop [8 MiB] */
	sl_nsec head_timeout;  /* from a request's first byte to the end of its head [10 s]; over it: 408 */
	sl_nsec body_timeout;  /* between two reads of a body [30 s]; over it: 408 */
	sl_nsec idle_timeout;  /* between requests [120 s]; closes silently */
	sl_nsec write_timeout; /* without a byte leaving while some are queued [60 s]; closes */
	sl_nsec handshake_timeout; /* TLS [10 s] */
};

struct sl_http_server_config {
	struct sl_http_limits limits;
	struct sl_tls_ctx *tls;                      /* NULL: plain; a reference is taken */
	const char *server_name;                     /* Server header; NULL: none */
	void (*on_request)(struct sl_http_req *req); /* required */
	/* Optional: when the head is complete. Answer here to refuse early (100-continue is then never sent), or set req->on_body to stream. */
	void (*on_head)(struct sl_http_req *req);
	void *user; /* req->server_user */
};

struct sl_http_req {
	sl_str method;                      /* "GET" */
	sl_str target;                      /* as sent */
	sl_str path;                        /* as sent, up to '?'; not decoded */
	sl_str query;                       /* after '?'; not decoded */
	sl_str host;                        /* of Host or an absolute target; may be empty */
	const struct sl_http_pair *headers; /* names as sent */
	size_t header_count;
	sl_str body; /* collected; empty when streamed */
	int minor;   /* 1: HTTP/1.1, 0: HTTP/1.0 */
	const struct sl_addr *peer;
	const struct sl_tls_peer *tls_peer; /* verified client certificate, or NULL */
	void *server_user;
	struct sl_loop *loop;
	struct sl_arena *arena; /* lives as long as the request; for the handler too */

	/* The handler's, all optional. */
	void *user;
	void (*on_body)(struct sl_http_req *req, sl_str piece,
	        bool last);                        /* set in on_head: body is not collected or limited */
	void (*on_drain)(struct sl_http_req *req); /* a stream that was full has room again */
	void (*on_gone)(struct sl_http_req *req);  /* the client left, or the server stops; do not answer */
};

/* First header of that name, any case; empty where there is none. */
sl_str sl_http_req_header(const struct sl_http_req *req, const char *name);
/* The token of "Authorization: Bearer TOKEN"; empty where there is none. */
sl_str sl_http_req_bearer(const struct sl_http_req *req);
/* A query parameter, decoded, in the request's arena. Errors: SL_ERR_NOT_FOUND, SL_ERR_MALFORMED. */
sl_err sl_http_req_param(struct sl_http_req *req, const char *name, sl_str *ret_value);
/* The path's %XX decoded, in the request's arena. Errors: SL_ERR_MALFORMED. */
sl_err sl_http_req_path_decoded(struct sl_http_req *req, sl_str *ret_path);

/* Sets a header of the coming answer; copied. A name or value with CR, LF or NUL is a programming error and is refused by assert. */
void sl_http_set_header(struct sl_http_req *req, const char *name, sl_str value);
/* content_type may be NULL. The body is copied. */
void sl_http_reply(struct sl_http_req *req, int status, const char *content_type, sl_str body);
/* text/plain: sl_err_text, or the diag's text. */
void sl_http_reply_error(struct sl_http_req *req, sl_err err, struct sl_diag *diag);

void sl_http_stream_begin(struct sl_http_req *req, int status, const char *content_type);
/* One piece, sent at the end of the turn. False: queued, but full; write again after on_drain (limits.stream_high_bytes). */
bool sl_http_stream_write(struct sl_http_req *req, sl_str piece);
void sl_http_stream_end(struct sl_http_req *req);
/* Ends a stream so that the client notices it is not whole. */
void sl_http_stream_abort(struct sl_http_req *req);

/* Errors: as sl_listen. */
sl_err sl_http_server_new(
        struct sl_http_server **ret_s, struct sl_loop *loop, const struct sl_http_server_config *config);
/* May be called several times: one server, many addresses. *ret_bound (may be NULL) has the port that was given for 0. */
sl_err sl_http_server_listen(struct sl_http_server *s, const struct sl_addr *a,
        const struct sl_listen_options *options, struct sl_addr *ret_bound, struct sl_diag *diag);
/* Serves one connected descriptor, such as one accepted elsewhere or a socket pair's end. */
void sl_http_server_adopt(struct sl_http_server *s, int fd, const struct sl_addr *peer);
/* A new certificate for the connections to come. */
void sl_http_server_set_tls(struct sl_http_server *s, struct sl_tls_ctx *tls);
size_t sl_http_server_connection_count(const struct sl_http_server *s);
/* Stops accepting; idle connections close, others after their answer, which says "Connection: close". done(arg) may be NULL. */
void sl_http_server_drain(struct sl_http_server *s, void (*done)(void *arg), void *arg);
/* Ends everything now: on_gone for each unanswered request within this call; memory goes at the end of the turn. NULL is fine. */
void sl_http_server_free(struct sl_http_server *s);
