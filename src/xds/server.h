#pragma once
/*
 * The server's side of ADS (state of the world), without I/O: one server, one stream per connected client. Bytes of DiscoveryRequests go
 * in, DiscoveryResponses come out by ops->send.
 *
 * Per stream: what changed since the client's state goes out in the order clusters, endpoints, listeners, route configs, epoch mark; then
 * nothing more of a later epoch until all of it is acknowledged or refused (epochs in between are skipped), but for answers to new
 * subscriptions, which come from the epoch at hand. version_info is the epoch.
 *
 * An epoch is in force at a node that subscribes to the epoch mark when it acknowledges the mark. To others a change is made in two steps,
 * so that no route ever points to a cluster already taken away: first with the old clusters kept, then, all being acknowledged, without;
 * it is in force when the second is acknowledged too.
 *
 * gRPC's own clients (by user_agent_name) ask for a service by name: "reviews:9080" is the api_listener of the route config that has
 * this domain.
 *
 * Ownership: streams belong to the server; the caller opens and closes them.
 * Threads: one owner. Callbacks may publish, but not close a stream.
 */
#include "base/buf.h"
#include "base/list.h"
#include "xds/encode.h"
#include "xds/set.h"

struct sl_ads_server;
struct sl_ads_stream;

/* The greater part of a response, shared by all streams that need the same. */
struct sl_ads_body {
	uint32_t refs;
	size_t len;
	char bytes[];
};
struct sl_ads_body *sl_ads_body_ref(struct sl_ads_body *body);
void sl_ads_body_unref(struct sl_ads_body *body); /* NULL is fine */

struct sl_ads_ops {
	/* The message is body and tail one after the other. Take a reference of the body to keep it; the tail is valid for the call. */
	void (*send)(void *user, struct sl_ads_stream *stream, struct sl_ads_body *body, sl_str tail);
	void (*on_node)(void *user, struct sl_ads_stream *stream, bool connected);
	void (*on_ack)(void *user, struct sl_ads_stream *stream, uint64_t epoch, sl_nsec latency);
	void (*on_nack)(
	        void *user, struct sl_ads_stream *stream, enum sl_xds_type type, uint64_t epoch, sl_str text);
	/* All connected nodes have at least this epoch in force. */
	void (*on_all_ack)(void *user, uint64_t epoch);
};

struct sl_ads_counters {
	uint64_t pushes, sent_bytes, acks, nacks, stale;
};

/* One type's subscription on one stream. */
struct sl_ads_sub {
	bool active;   /* something was asked for */
	bool wildcard; /* all of the type */
	bool named;    /* names were given once: an empty list no longer means all */
	bool waiting;  /* the last response is neither acknowledged nor refused */
	struct sl_map names;
	uint64_t nonce;       /* of the last response; 0: none */
	uint64_t sent_epoch;  /* of the last response */
	uint64_t acked_epoch; /* what the client has of a wildcard subscription */
};

struct sl_ads_stream {
	struct sl_list link; /* in the server */
	struct sl_ads_server *server;
	void *user;         /* the caller's: the call it goes by */
	char *node, *agent; /* NULL before the first request */
	enum sl_xds_dialect dialect;
	bool marks; /* one of our proxies: an epoch is in force there when its mark is acknowledged */
	struct sl_xds_set *at; /* what it is being brought to; NULL before the first */
	struct sl_xds_set
	        *from; /* two-step change under way: the set that has the clusters to keep; else NULL */
	bool refused;  /* something of `at` was refused */
	struct sl_ads_sub subs[SL_XDS_TYPE_COUNT];
	uint64_t next_nonce;
	uint64_t acked_epoch;  /* in force there; 0: none */
	uint64_t nacked_epoch; /* last refused */
	char *nack_text;       /* NULL: none */
	sl_nsec opened_at;
};

struct sl_ads_server {
	const struct sl_ads_ops *ops;
	void *user;
	struct sl_xds_set *current; /* NULL before the first publish */
	sl_nsec published_at;
	struct sl_list streams;
	uint64_t all_acked; /* last reported by on_all_ack */
	struct sl_ads_counters counters;
	/* the last body made for a wildcard subscription of each type, and what it was made of */
	struct {
		struct sl_ads_body *body;
		uint64_t epoch, since;
	} cache[SL_XDS_TYPE_COUNT];
};

void sl_ads_server_init(struct sl_ads_server *server, const struct sl_ads_ops *ops, void *user);
void sl_ads_server_fini(struct sl_ads_server *server); /* closes all streams, without callbacks */

/* The mesh is taken by reference; it has been checked. Errors: SL_ERR_CONFLICT (its epoch is not above the last). */
sl_err sl_ads_server_publish(struct sl_ads_server *server, struct sl_mesh *mesh, sl_nsec now);

struct sl_ads_stream *sl_ads_stream_open(struct sl_ads_server *server, void *user, sl_nsec now);
void sl_ads_stream_close(struct sl_ads_stream *stream);
/* One DiscoveryRequest. Errors: SL_ERR_MALFORMED, SL_ERR_INVALID (the first names no node): end the stream. */
sl_err sl_ads_stream_receive(struct sl_ads_stream *stream, sl_str message, sl_nsec now);

/* The lowest epoch in force among the nodes connected; that of the last publish where there is none. */
uint64_t sl_ads_server_acked(const struct sl_ads_server *server);
