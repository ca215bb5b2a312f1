#pragma once
/*
 * The client's side of ADS (state of the world), without I/O: keeps what was received by type, and offers a whole mesh when all that is
 * referred to is there and checked.
 *
 * From our own server (by control_plane.identifier): subscribes to everything and to the epoch mark; offers the mesh of an epoch when its mark has
 * come; acknowledges the mark when told that the mesh is in force, refuses it with the reason when it cannot be. So an epoch is one step.
 * From others: subscribes by name to what listeners and clusters refer to, and offers whenever all of it is there; epochs are then counted here.
 *
 * A response with a bad resource is refused as a whole, with the resource and the field as the reason; what was there before stays.
 *
 * Ownership: embedded.       Threads: one owner.
 */
#include "base/buf.h"
#include "base/map.h"
#include "model/mesh.h"
#include "xds/types.h"

struct sl_ads_client;

struct sl_ads_client_ops {
	/* A DiscoveryRequest for the wire. */
	void (*send)(void *user, sl_str message);
	/*
	 * A complete, checked mesh; take a reference to keep it. Answer with sl_ads_client_applied for mesh->epoch, from within this call or
	 * later; no other is offered before.
	 */
	void (*offer)(void *user, struct sl_mesh *mesh);
};

struct sl_ads_client_node {
	const char *id;      /* required */
	const char *cluster; /* may be NULL */
};

struct sl_ads_client_type {
	struct sl_map resources; /* name → resource, as last accepted */
	char *version;           /* last accepted; NULL: none */
	char *nonce;             /* of the last response on this stream; NULL: none */
	bool asked;              /* subscribed on this stream */
	struct sl_map names;     /* asked for by name; empty where all is asked for */
	uint64_t next_order;     /* of arrival: lists keep the server's order */
};

struct sl_ads_client {
	const struct sl_ads_client_ops *ops;
	void *user;
	struct sl_ads_client_node node;
	bool connected, said_node;
	bool ours;           /* the server is one of ours */
	bool known;          /* it has been seen which it is */
	bool dirty;          /* something accepted since the last offer */
	bool marked;         /* the mark of `epoch` has come, and nothing of a later epoch since */
	bool refused;        /* something of the epoch at hand was refused */
	uint64_t epoch;      /* of the last mark, or our own count */
	uint64_t offered;    /* epoch on offer; 0: none */
	uint64_t in_force;   /* last applied; 0: none */
	char *offered_nonce; /* of the mark to answer; NULL: no answer due (other server, stream lost) */
	char *refused_text;  /* first reason of `refused` */
	struct sl_ads_client_type types[SL_XDS_TYPE_COUNT];
	uint64_t acks, nacks; /* sent */
};

/* The strings of `node` must outlive it. */
void sl_ads_client_init(struct sl_ads_client *client, const struct sl_ads_client_ops *ops, void *user,
        const struct sl_ads_client_node *node);
void sl_ads_client_fini(struct sl_ads_client *client);

/* A fresh stream is there: sends the first requests. What an earlier stream brought is forgotten; the mesh in force is not touched. */
void sl_ads_client_connected(struct sl_ads_client *client);
void sl_ads_client_disconnected(struct sl_ads_client *client);
/* One DiscoveryResponse. Errors: SL_ERR_MALFORMED: end the stream. */
sl_err sl_ads_client_receive(struct sl_ads_client *client, sl_str message);
/* The offered mesh of that epoch is in force (SL_OK), or refused because of `text`. Others than the one on offer are ignored. */
void sl_ads_client_applied(struct sl_ads_client *client, uint64_t epoch, sl_err err, sl_str text);
