#pragma once
/*
 * A connected byte stream in a loop: TCP or unix socket, plain or TLS, with buffers on both sides and back-pressure on both.
 * For the control plane: HTTP server, xDS (gRPC) and load reports. The proxy's data path has its own, leaner connections.
 *
 * Life: sl_transport_init, then _start (an accepted descriptor) or _connect; on_open; any number of on_read and on_drain;
 * sl_transport_close or _abort, or the peer's end; on_close exactly once, and nothing after it. Callbacks may call anything
 * here, also close and abort. After on_close the owner frees the object by sl_loop_free_later, or starts it anew.
 *
 * Ownership: embedded; the descriptor and buffers are the transport's.       Threads: its loop's.
 */
#include "base/buf.h"
#include "loop/loop.h"
#include "net/tls.h"
#include "os/socket.h"

struct sl_transport;

struct sl_transport_ops {
	void (*on_open)(struct sl_transport *t); /* connected, handshake over; may be NULL */
	/* t->in has grown. Consume by sl_buf_consume; what is left stays. At read_most_bytes reading halts; whoever consumes later,
	   outside on_read, calls sl_transport_resume. */
	void (*on_read)(struct sl_transport *t);
	/* The peer ended its side; we may still write. NULL: the transport closes by itself, after writing what is queued. */
	void (*on_eof)(struct sl_transport *t);
	/* What was queued fell to low water, after having been over high water; may be NULL. */
	void (*on_drain)(struct sl_transport *t);
	/* The end. why: SL_OK (we closed, all written), SL_ERR_EOF (the peer closed), SL_ERR_RESET, SL_ERR_REFUSED, SL_ERR_TIMEOUT,
	   SL_ERR_TLS, SL_ERR_CLOSED (we aborted), SL_ERR_IO. t->why_text has more. */
	void (*on_close)(struct sl_transport *t, sl_err why);
};

struct sl_transport_limits {
	size_t read_most_bytes;  /* kept unread in t->in; 0: 64 KiB */
	size_t write_high_bytes; /* queued; from here sl_transport_full; 0: 256 KiB */
	size_t write_low_bytes;  /* on_drain at or under it; 0: a quarter of high */
	sl_nsec open_timeout;    /* connect and handshake together; 0: 10 s */
	sl_nsec close_timeout;   /* for what is queued to leave, then for the peer's end; 0: 5 s */
};

enum sl_transport_state {
	SL_TRANSPORT_IDLE,
	SL_TRANSPORT_CONNECTING,
	SL_TRANSPORT_HANDSHAKE,
	SL_TRANSPORT_OPEN,
	SL_TRANSPORT_CLOSING, /* flushing what is queued */
	SL_TRANSPORT_LINGERING, /* our side shut; waiting for the peer's end, so that no reset destroys what it has not read */
	SL_TRANSPORT_CLOSED,
};

struct sl_transport {
	struct sl_loop *loop;
	const struct sl_transport_ops *ops;
	struct sl_transport_limits limits;
	struct sl_buf in; /* plaintext for the owner */
	void *user;       /* the owner's */

	/* The rest is read-only outside transport.c. */
	enum sl_transport_state state;
	struct sl_io io;
	struct sl_buf out;     /* bytes for the wire */
	struct sl_buf wire_in; /* TLS: ciphertext not yet decrypted */
	struct sl_tls *tls;    /* NULL: plain */
	struct sl_task flush;  /* end of turn: one send for all that was written in it */
	struct sl_task
	        again; /* end of turn: on_open of an accepted one; reading on after a halt or a long read */
	struct sl_task ended;  /* end of turn: on_close */
	struct sl_timer timer; /* of opening, then of closing */
	struct sl_addr peer;
	sl_err end;    /* why, once known */
	bool readable; /* no EAGAIN since the last edge */
	bool got_eof;  /* the peer ended its side */
	bool told_eof, told_open, over_high, halted;
	uint64_t bytes_in, bytes_out; /* on the wire */
	char why_text[160];
};

/* `t` is zeroed or was through _fini; `limits` may be NULL. */
void sl_transport_init(struct sl_transport *t, struct sl_loop *loop, const struct sl_transport_ops *ops,
        const struct sl_transport_limits *limits, void *user);
/* Frees what is held; aborts silently when still open. Fine on an all-zero one. */
void sl_transport_fini(struct sl_transport *t);

/* Takes over an accepted, connected descriptor; `ctx` NULL: plain. on_open comes at the end of this turn, or with the handshake. */
void sl_transport_start(struct sl_transport *t, int fd, struct sl_tls_ctx *ctx, const struct sl_addr *peer);
/*
 * Connects, within limits.open_timeout. Failure comes by on_close, never from within this call. `peer_name` as for sl_tls_open.
 */
void sl_transport_connect(
        struct sl_transport *t, const struct sl_addr *to, struct sl_tls_ctx *ctx, const char *peer_name);

/* Queues bytes; they leave at the end of the turn. From on_open on, ignored otherwise. Never refuses: ask _full, stop until on_drain. */
void sl_transport_write(struct sl_transport *t, const void *p, size_t n_bytes);
static inline void sl_transport_write_str(struct sl_transport *t, sl_str s)
{
	sl_transport_write(t, s.p, s.len);
}
bool sl_transport_full(const struct sl_transport *t);
static inline size_t sl_transport_queued(const struct sl_transport *t) /* bytes written and not yet sent */
{
	return sl_buf_size(&t->out);
}
void sl_transport_halt(struct sl_transport *t); /* no on_read until _resume: back-pressure on the peer */
void sl_transport_resume(
        struct sl_transport *t); /* on_read at the end of the turn when there is something, then as usual */

/* In order: sends what is queued, says close_notify, shuts our side, waits for the peer's end. Unread input is dropped. */
void sl_transport_close(struct sl_transport *t);
/* At once, with a reset when anything is queued. on_close comes at the end of the turn. */
void sl_transport_abort(struct sl_transport *t);
static inline bool sl_transport_is_open(const struct sl_transport *t)
{
	return t->state == SL_TRANSPORT_OPEN;
}
