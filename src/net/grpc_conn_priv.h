#pragma once
/*
 * One HTTP/2 connection that carries gRPC calls: nghttp2 on a transport, either end. Only grpc_server.c and grpc_client.c use it.
 *
 * Ownership: embedded in a server's or client's connection, which frees itself by sl_loop_free_later after on_closed.
 * Threads: its loop's.
 */
#include "base/list.h"
#include "net/grpc.h"
#include "net/transport.h"

#include <nghttp2/nghttp2.h>

struct sl_grpc_conn;

struct sl_grpc_conn_ops {
	void (*on_open)(struct sl_grpc_conn *conn);
	/* Server: the request's head is whole. Sets call->ops, or answers by sl_grpc_call_refuse. */
	void (*on_call)(struct sl_grpc_conn *conn, struct sl_grpc_call *call);
	/* All calls have ended, the transport is closed. */
	void (*on_closed)(struct sl_grpc_conn *conn, sl_err why, const char *text);
};

struct sl_grpc_conn {
	struct sl_loop *loop;
	struct sl_transport transport;
	nghttp2_session *session;
	const struct sl_grpc_conn_ops *ops;
	struct sl_grpc_limits limits; /* defaults filled in */
	struct sl_list calls;
	bool server, opened, going_away;
	bool ping_unanswered;
	const char *why; /* we gave the connection up; NULL: the transport knows */
	struct sl_task pump;
	struct sl_timer ping;
};

/* A message, or a part of one, on its way out. */
struct sl_grpc_piece {
	struct sl_grpc_piece *next;
	sl_str bytes; /* still to go */
	void (*release)(void *owner);
	void *owner;
	char own[];
};

struct sl_grpc_call {
	struct sl_list link; /* in the connection */
	struct sl_grpc_conn *conn;
	const struct sl_grpc_call_ops *ops; /* NULL: refused; nobody is told of its end */
	void *user;
	int32_t stream_id;
	bool responded; /* server: the response's head went out */
	bool finishing; /* nothing more is queued after what is there */
	bool finished;  /* server: trailers submitted */
	bool ended;
	bool half_closed; /* the peer sends no more */
	bool deaf;        /* what still comes is dropped */
	enum sl_grpc_status status;
	bool has_status;
	char *text; /* of the status; NULL: none */
	uint32_t http_status;
	char *path, *content_type;
	sl_nsec timeout; /* server: as asked for; 0: none */
	struct sl_timer deadline;
	struct sl_grpc_deframer in;
	struct sl_grpc_piece *out, **out_end;
	size_t out_bytes;
	struct sl_dead dead;
};

/* `limits` with zeroes for defaults. */
void sl_grpc_conn_init(struct sl_grpc_conn *conn, struct sl_loop *loop, const struct sl_grpc_conn_ops *ops,
        bool server, const struct sl_grpc_limits *limits);
/* Ends every call and the connection at once; on_closed does not come. The memory may go by sl_loop_free_later. */
void sl_grpc_conn_fini(struct sl_grpc_conn *conn);

struct sl_grpc_call *sl_grpc_call_new(struct sl_grpc_conn *conn);
/* Server: the request's head is whole. */
void sl_grpc_call_open(struct sl_grpc_call *call);
/* Tells the owner, once, and frees the call at the end of the turn. */
void sl_grpc_call_end(struct sl_grpc_call *call, enum sl_grpc_status status, sl_str text);
/* Server, in on_call: a status and nothing else. */
void sl_grpc_call_refuse(struct sl_grpc_call *call, enum sl_grpc_status status, const char *text);
/* Client. Errors: SL_ERR_UNAVAILABLE; the call is then gone, without on_end. */
sl_err sl_grpc_call_request(struct sl_grpc_call *call, const char *authority, const char *path, bool tls);
void sl_grpc_conn_pump_later(struct sl_grpc_conn *conn);
