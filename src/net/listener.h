#pragma once
/*
 * A listening socket in a loop. Out of descriptors, it pauses instead of spinning.
 * Ownership: embedded; the descriptor is the listener's.       Threads: its loop's.
 */
#include "loop/loop.h"
#include "os/socket.h"

struct sl_listener {
	struct sl_loop *loop;
	struct sl_io io;
	struct sl_task more;   /* goes on where a turn's share was used up */
	struct sl_timer pause; /* running while out of descriptors */
	struct sl_addr addr;   /* as bound: port 0 was replaced */
	/* Takes over fd. */
	void (*fn)(struct sl_listener *l, int fd, const struct sl_addr *peer);
	void *user;
	uint64_t accepted_count;
	bool held;
};

/* Errors: as sl_listen. */
sl_err sl_listener_start(struct sl_listener *l, struct sl_loop *loop, const struct sl_addr *a,
        const struct sl_listen_options *options,
        void (*fn)(struct sl_listener *l, int fd, const struct sl_addr *peer), void *user,
        struct sl_diag *diag);
/* Held, it accepts none: they wait in the backlog. */
void sl_listener_hold(struct sl_listener *l, bool hold);
/* Stops accepting and closes; removes a unix socket's file. Fine on one not started but zeroed, and twice. */
void sl_listener_stop(struct sl_listener *l);
