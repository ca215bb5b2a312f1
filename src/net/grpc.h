#pragma once
/*
 * A gRPC call, the same on both ends: a stream of messages each way over one HTTP/2 stream. For the control plane (ADS, LRS), not for
 * users' requests. grpc_server.h and grpc_client.h say how a call comes to be.
 *
 * Flow: sl_grpc_send queues without limit; a sender that may be faster than its peer asks sl_grpc_queued and goes on at on_drain.
 *
 * Ownership: a call belongs to its connection, and is gone after on_end. `user` is the owner's.
 * Threads: its loop's. Callbacks may send, finish and cancel; on_end comes at the end of that, not from within the call made.
 */
#include "loop/loop.h"
#include "proto/grpc.h"

struct sl_grpc_call;

struct sl_grpc_call_ops {
	void (*on_message)(struct sl_grpc_call *call, sl_str message); /* valid for the call */
	void (*on_half_close)(
	        struct sl_grpc_call *call);          /* the peer sends no more; may be NULL. Server only */
	void (*on_drain)(struct sl_grpc_call *call); /* nothing is queued any more; may be NULL */
	/* The end, exactly once. Server: OK after finish, else CANCELLED, DEADLINE_EXCEEDED. Client: what the server said, or why not. */
	void (*on_end)(struct sl_grpc_call *call, enum sl_grpc_status status, sl_str text);
};

void sl_grpc_call_set_user(struct sl_grpc_call *call, void *user);
void *sl_grpc_call_user(const struct sl_grpc_call *call);

/* Queues a message; copied. Ignored once finished. */
void sl_grpc_send(struct sl_grpc_call *call, sl_str message);
/*
 * A message of two parts: `body` is not copied and must stay until release(owner); `tail` is copied. So one body serves many calls.
 * release is called exactly once, also when the call ends first.
 */
void sl_grpc_send_shared(
        struct sl_grpc_call *call, sl_str body, void (*release)(void *owner), void *owner, sl_str tail);
size_t sl_grpc_queued(const struct sl_grpc_call *call); /* bytes of messages not yet handed to HTTP/2 */

/* Server: after what is queued, the status. Client: after what is queued, no more will be sent (status and text unused). */
void sl_grpc_finish(struct sl_grpc_call *call, enum sl_grpc_status status, sl_str text);
/* At once; the peer sees CANCELLED. */
void sl_grpc_cancel(struct sl_grpc_call *call);

struct sl_grpc_limits {
	size_t message_most_bytes; /* received; 0: 4 MiB */
	uint32_t calls_most;       /* at once on a connection, that the peer opens; 0: 100 */
	sl_nsec ping_every;        /* on a connection; 0: 10 s */
	sl_nsec ping_timeout;      /* without an answer the connection is dead; 0: 10 s */
};
