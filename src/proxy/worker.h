#pragma once
/*
 * A worker: one thread, one loop, and all that it serves with. Nothing here is shared but what stats.h and tables.h say.
 *
 *   accept ─► downstream ─► http1 head ─► stream (in the downstream: HTTP/1 has one at a time)
 *                                            │ route, split, guard           stream.c
 *                                            ▼
 *                             cluster ─► endpoint ─► upstream (pooled, LIFO)  cluster.c, upstream.c
 *
 * Files: worker.c (thread, snapshots, listeners), downstream.c (client side), stream.c (life of a request), upstream.c
 * (response side), tunnel.c (TCP, Upgrade), forward.c (heads), cluster.c (balancing, pools), access_log.c.
 *
 * Buffers: a request is received into a chunk of its connection and stays there until its response has begun, so that it can be sent
 * again; a response goes through the worker's one receive buffer. A connection that waits holds none. What a peer
 * does not take at once is kept in `out` of its connection, and until it is gone the other side is not read.
 *
 * Ownership: a worker owns everything below it.       Threads: its own; sl_worker_* marked "any thread" go through its mailbox.
 */
#include "base/buf.h"
#include "judge/burst.h"
#include "judge/guard.h"
#include "loop/loop.h"
#include "os/random.h"
#include "os/socket.h"
#include "os/thread.h"
#include "proxy/options.h"
#include "proxy/stats.h"
#include "proxy/tables.h"

enum {
	SL_RX_BYTES = 64 << 10,        /* the worker's receive buffer */
	SL_CHUNK_BIG_BYTES = 72 << 10, /* holds the largest head and then some */
	SL_REQUEST_ID_BYTES = 36,
};

struct sl_worker;
struct sl_downstream;
struct sl_upstream;
struct sl_cluster;

struct sl_chunk {
	struct sl_chunk *next; /* in a free list */
	uint32_t cap;
	char p[];
};

/* ---- upstream side ---- */

struct sl_endpoint {
	struct sl_cluster *cluster;
	struct sl_list idle; /* of sl_upstream, used last first */
	uint32_t idle_count, active, connections;
	uint32_t weight;
	enum sl_health health;
	bool removed; /* no longer in the mesh: nothing new, nothing pooled */
	struct sl_endpoint_stats *stats;
	struct sl_dest *dest[2]; /* of series: [0] as the source reports, [1] as the destination */
	struct sl_addr addr;
	char text[SL_ADDR_TEXT_BYTES]; /* for logs */
};

struct sl_cluster {
	struct sl_map_node node; /* by name; the worker's */
	uint32_t refs; /* views, streams' endpoints not counted: endpoints outlive by their own counts */
	bool retired;  /* in no current snapshot: nothing is pooled */
	enum sl_lb_policy lb;
	sl_nsec connect_timeout, idle_timeout;
	uint32_t max_connections, max_waiting, max_requests, max_retries,
	        max_requests_per_connection; /* a worker's share */
	struct sl_endpoint **endpoints;      /* of the newest snapshot */
	uint32_t endpoint_count;
	struct sl_endpoint **ready; /* of those, the healthy */
	uint32_t *weights;          /* of ready */
	int64_t *lags;
	uint32_t ready_count, total_weight;
	bool weighted;
	uint32_t next; /* round robin */
	uint32_t active, connections, retrying, waiting_count;
	struct sl_list waiting; /* of sl_downstream.wait */
	struct sl_cluster_stats *stats;
	/* the canary's side */
	struct sl_guard *guard; /* NULL: not guarded */
	struct sl_trip *trip;   /* of the newest view */
	/* the baseline's side: guards that compare with us; of the newest view */
	struct sl_cluster **compared;
	uint32_t compared_count;
};

enum sl_upstream_state { SL_UPSTREAM_CONNECTING, SL_UPSTREAM_BUSY, SL_UPSTREAM_IDLE, SL_UPSTREAM_CLOSED };

struct sl_upstream {
	struct sl_io io;
	struct sl_worker *worker;
	struct sl_endpoint *endpoint;
	struct sl_downstream *down; /* the stream it works for; NULL while idle */
	uint8_t state;
	bool readable, ended; /* edge seen and not used up; the peer shut its side */
	bool reusable;        /* what was answered so far allows another request */
	bool answered;        /* bytes of the present response have come */
	uint32_t requests;    /* sent, the present one included */
	struct sl_chunk *in;  /* an incomplete response head */
	uint32_t in_len;
	struct sl_buf out; /* not yet taken by the peer */
	struct sl_list idle;
	struct sl_timer timer; /* connecting, or idle */
	struct sl_dead dead;
};

/* ---- views ---- */

/* A worker's sight of one snapshot, held by the streams that began with it. */
struct sl_table_view {
	struct sl_tables *tables;
	uint32_t holds;
	struct sl_cluster **clusters;        /* as tables->mesh->clusters */
	int64_t *lags;                       /* lag_count */
	struct sl_split_stats **split_stats; /* lag_count */
};

struct sl_table_listener_state { /* one listener on this worker */
	struct sl_list node;     /* in the worker */
	struct sl_worker *worker;
	struct sl_io io;
	struct sl_addr addr; /* as the mesh says: the key; with port 0 together with the name */
	sl_str name;
	uint32_t index; /* in the newest view's listeners */
	uint32_t connections;
	bool seen;                  /* while a snapshot is taken over: it is in it */
	bool draining;              /* gone from the mesh; lives until its last connection ends */
	struct sl_table_view *view; /* draining: the last one that had it */
	struct sl_task more;
	struct sl_timer pause; /* out of descriptors */
	struct sl_dead dead;
};

/* ---- downstream side ---- */

/* A request from its head to the end of its response. */
struct sl_stream {
	struct sl_table_view *view;
	const struct sl_table_route *route;
	struct sl_cluster *cluster;   /* of the attempt under way */
	struct sl_endpoint *endpoint; /* of the attempt under way or the last one */
	struct sl_endpoint *avoid;    /* failed last; compared, never followed */
	struct sl_upstream *up;
	sl_nsec started, route_deadline, try_deadline;
	sl_nsec progress;                          /* when a byte last moved */
	uint64_t received_bytes, sent_bytes;       /* bodies */
	uint32_t head_at, head_bytes, message_end; /* in the chunk; the end as far as it is received */
	uint32_t split;
	uint16_t status;
	uint8_t method, flag, attempts;
	bool active;
	bool request_done; /* all of its body was received */
	bool replayable;   /* all that was received is still in the chunk */
	bool answered;     /* the client has been sent a response head */
	bool response_done;
	bool waiting;  /* in the cluster's list, for a connection */
	bool begun;    /* an attempt is under way and counted */
	bool judged;   /* the first attempt has ended */
	bool retrying; /* counted against the cluster's retries */
	bool keep_alive, http10, close_after, upgrade;
	bool tunnel;         /* bytes, no HTTP */
	bool tcp;            /* from the start */
	bool target_changed; /* the path was normalised, or the target was absolute: print it anew */
	bool decode;         /* chunked content for a client that knows no chunks */
	bool id_made;
	char request_id[SL_REQUEST_ID_BYTES];
	struct sl_http1_body request_body, response_body;
};

struct sl_downstream {
	struct sl_io io;
	struct sl_worker *worker;
	struct sl_table_listener_state *listener;
	struct sl_chunk *in;
	uint32_t in_at, in_len; /* bytes not used up */
	bool readable, ended,
	        broken; /* edge seen and not used up; the peer shut its side; the connection is dead */
	bool closing;   /* no more requests: flush, shut, linger */
	bool lingering, closed, processing;
	bool used;        /* something has come over it */
	bool retiring;    /* see sl_downstream_retire */
	sl_nsec deadline; /* the timer fires at or before it, and looks again */
	struct sl_buf out;
	struct sl_http1_head *partial; /* an incomplete request head */
	struct sl_timer timer;
	struct sl_task again;
	struct sl_list node; /* in the worker */
	struct sl_list wait; /* in a cluster */
	struct sl_burst burst;
	uint64_t serial; /* of the connections of this worker: its address is used again */
	struct sl_addr peer;
	uint8_t peer_len;
	char peer_text[46];
	struct sl_dead dead;
	struct sl_stream s;
};

/* ---- the worker ---- */

struct sl_access_log {
	int fd; /* -1: none */
	bool json;
	struct sl_buf lines;
	struct sl_timer flush;
};

struct sl_worker {
	struct sl_loop loop; /* first: the hot fields follow */
	struct sl_stats *stats;
	struct sl_table_view *view; /* the newest */
	const struct sl_proxy_options *options;
	struct sl_http1_limits limits;
	struct sl_buf tx;                       /* heads are built here */
	struct sl_buf path;                     /* normalised, where it had to be */
	struct sl_chunk *chunks, *big_chunks;   /* free */
	size_t free_chunk_bytes;                /* in both */
	struct sl_downstream *free_downstreams; /* linked through `listener` */
	struct sl_upstream *free_upstreams;     /* linked through `down` */
	struct sl_prng prng;
	struct sl_map clusters;
	struct sl_list downstreams, listeners;
	struct sl_regex_scratch regex;
	struct sl_access_log log;
	int64_t date_second;
	char date[40]; /* "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" */
	uint32_t date_bytes;
	uint32_t connections, connections_most;
	uint64_t last_serial;
	bool draining;
	struct sl_timer tick; /* guards: ten times a second */
	uint32_t guard_count;
	uint32_t index, worker_count;
	void (*on_trip)(
	        struct sl_worker *w, struct sl_trip *trip); /* a guard tripped; in the worker's thread */
	void (*on_drained)(struct sl_worker *w);
	void *user;
	struct sl_thread thread;
	const struct sl_downstream *head_of; /* whose request is parsed in `head`; NULL: nobody's */
	struct sl_http1_head head, response_head;
	char rx[SL_RX_BYTES];
};

struct sl_worker_config {
	const struct sl_proxy_options *options;
	uint32_t index, worker_count;
	int log_fd; /* -1: none */
	void (*on_trip)(struct sl_worker *w, struct sl_trip *trip);
	void (*on_drained)(struct sl_worker *w); /* no connection is left; in the worker's thread */
	void *user;
};

/* Errors: SL_ERR_UNAVAILABLE. The worker is at rest until started; tests turn its loop themselves instead. */
sl_err sl_worker_new(struct sl_worker **ret_w, const struct sl_worker_config *config);
sl_err sl_worker_start(struct sl_worker *w);
/* Stops the thread and frees all; connections are cut. Any thread but its own. */
void sl_worker_free(struct sl_worker *w);

struct sl_worker_socket {  /* a listening descriptor for a listener that is new */
	uint32_t listener; /* index in the tables' mesh */
	int fd;
};

/*
 * Takes over a snapshot, in the worker's thread: takes its own reference on the tables, owns the descriptors in `sockets`.
 */
void sl_worker_adopt(struct sl_worker *w, struct sl_tables *tables, const struct sl_worker_socket *sockets,
        size_t socket_count);
/* Stops accepting, ends idle connections, lets requests finish; then on_drained. In the worker's thread. */
void sl_worker_drain(struct sl_worker *w);
