#pragma once
/*
 * The HTTP server's inside, shared by http_server.c (connections, reading) and http_reply.c (requests' accessors, writing).
 * Ownership: a server owns its connections, a connection its request under way.       Threads: the server's loop's.
 */
#include "net/http_server.h"
#include "proto/http1.h"

enum sl_http_phase {
	SL_HTTP_IDLE,  /* between requests */
	SL_HTTP_HEAD,  /* reading a head */
	SL_HTTP_BODY,  /* reading a body */
	SL_HTTP_WAIT,  /* the handler has it all and has not answered */
	SL_HTTP_ENDED, /* answered for the last time; the transport is closing */
};

enum sl_http_answer {
	SL_HTTP_UNANSWERED,
	SL_HTTP_STREAMING,
	SL_HTTP_ANSWERED,
};

struct sl_http_conn;

/* One request. Freed at the end of the turn in which it was answered, so that a late use is found by the address sanitizer. */
struct sl_http_exchange {
	struct sl_http_req req;
	struct sl_http_conn *conn; /* NULL once answered or gone */
	struct sl_arena arena;
	struct sl_buf body;  /* collected */
	struct sl_buf extra; /* headers set by the handler, as they stand on the wire */
	enum sl_http_answer answer;
	bool is_head, keep_alive, chunked, expects_100;
	struct sl_dead dead;
};

struct sl_http_conn {
	struct sl_list link; /* in server->conns */
	struct sl_http_server *server;
	struct sl_transport t;
	struct sl_timer read_timer;  /* of the phase */
	struct sl_timer write_timer; /* while bytes are queued: looks for progress */
	uint64_t written_before;     /* t.bytes_out when write_timer was set */
	enum sl_http_phase phase;
	bool eof;     /* the client ended its side */
	bool in_read; /* within the reading loop, which goes on by itself */
	struct sl_http1_head head;
	struct sl_http1_body body;
	struct sl_http_exchange *x; /* the request under way */
	struct sl_dead dead;
};

struct sl_http_server {
	struct sl_loop *loop;
	struct sl_http_server_config config; /* with the defaults filled in */
	struct sl_http1_limits head_limits;
	struct sl_list conns, listeners;
	size_t conn_count;
	bool draining, freed;
	void (*drained)(void *arg);
	void *drained_arg;
	sl_nsec date_until; /* date is right before this, loop time */
	char date[30];      /* "Sun, 06 Nov 1994 08:49:37 GMT" */
	struct sl_dead dead;
};

/* What is answered goes; the connection turns to its next request, or closes. */
void sl_http_exchange_finish(struct sl_http_exchange *x);
/* Takes the request from its connection and tells its handler. */
void sl_http_exchange_gone(struct sl_http_exchange *x);
/* Starts looking for progress of what is queued. */
void sl_http_conn_written(struct sl_http_conn *c);
const char *sl_http_server_date(struct sl_http_server *s);
