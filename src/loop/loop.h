#pragma once
/*
 * The event loop: one per thread. Descriptors by edge-triggered epoll, timers on a wheel, messages from other threads,
 * tasks at the end of the turn, and freeing put off to the end of the turn so that a callback may close its own object.
 *
 * A turn: wait, read the clock once, descriptors, messages, timers, tasks, deferred frees. Nothing is allocated per event.
 *
 * Edge-triggered means: after an event read (or write) until EAGAIN, or come back by a task. An event is a hint; one may come
 * late, for a descriptor that was added again in the same turn, so every handler must bear finding nothing to do.
 *
 * Ownership: everything embedded (sl_io, sl_timer, sl_task, sl_msg, sl_dead) belongs to its object, which must stay in memory
 * until the end of the turn in which it was removed: free it by sl_loop_free_later.
 * Threads: the loop's own thread only, except sl_loop_post and sl_loop_stop_from.
 */
#include "base/list.h"
#include "base/units.h"
#include "loop/wheel.h"

#include <sys/epoll.h>

struct sl_loop;

enum {
	SL_IO_READ = EPOLLIN,
	SL_IO_WRITE = EPOLLOUT,
	SL_IO_RDHUP = EPOLLRDHUP,           /* the peer has shut its side down */
	SL_IO_CLOSED = EPOLLHUP | EPOLLERR, /* always reported; read or write to learn why */
};

struct sl_io {
	void (*fn)(struct sl_loop *loop, struct sl_io *io, uint32_t events);
	int fd;        /* -1: not in the loop. An all-zero sl_io is not valid: SL_IO_NONE or sl_io_init */
	uint32_t mask; /* what it waits for */
};

typedef void (*sl_io_fn)(struct sl_loop *loop, struct sl_io *io, uint32_t events);

#define SL_IO_NONE ((struct sl_io) { .fd = -1 })

/* Runs once at the end of the turn it was deferred in, unless cancelled. All-zero is valid and idle. */
struct sl_task {
	struct sl_task *next, **at; /* at: what points to us; NULL while idle */
	void (*fn)(struct sl_loop *loop, struct sl_task *task);
};

typedef void (*sl_task_fn)(struct sl_loop *loop, struct sl_task *task);

/* A message between threads; embedded at the head of what it carries. Ownership goes to `fn` with it. */
struct sl_msg {
	struct sl_msg *next;
	void (*fn)(struct sl_loop *loop, struct sl_msg *msg);
};

struct sl_dead {
	struct sl_dead *next;
	void (*fn)(void *object);
	void *object;
};

struct sl_loop_config {
	bool rcu; /* the thread that runs it reads published snapshots (snapshot.h): quiescent once a turn, offline in waits */
	bool virtual_time; /* tests: time stands still but for sl_loop_advance; waits do not block on timers */
	uint32_t events_most; /* taken per turn; 0: 256 */
};

struct sl_loop {
	sl_nsec now;        /* monotonic, read once per turn */
	sl_nsec real_shift; /* realtime - monotonic, renewed about once a second */
	sl_nsec real_renew_at;
	int epoll_fd;
	bool stopping, rcu, virtual_time, running;
	uint32_t events_most;
	struct epoll_event *events;
	struct sl_wheel wheel;
	struct sl_task *tasks, **tasks_end, tasks_marker;
	struct sl_dead *dead;
	struct sl_io wake;    /* eventfd, edge-triggered and never read */
	struct sl_msg *inbox; /* atomic; newest first */
	uint64_t turns;       /* since the start */
	uint64_t events_seen;
	uint32_t io_count; /* descriptors added and not removed, our own aside */
#ifdef SL_FAULTS
	struct sl_io **io_by_fd; /* to re-arm what a fault plan hid */
	size_t io_by_fd_count;
#endif
};

/* `config` may be NULL. Errors: SL_ERR_UNAVAILABLE (out of descriptors). */
sl_err sl_loop_init(struct sl_loop *loop, const struct sl_loop_config *config);
/* Delivers the messages still queued, runs the tasks and deferred frees left, and closes. Fine on a zeroed loop. */
void sl_loop_fini(struct sl_loop *loop);

/* Turns until stopped. */
void sl_loop_run(struct sl_loop *loop);
void sl_loop_stop(struct sl_loop *loop);      /* from its own thread: run returns after this turn */
void sl_loop_stop_from(struct sl_loop *loop); /* from any thread; the loop must outlive the call */
/* One turn, waiting at most `wait` (0: not at all; SL_NSEC_MAX: until something happens). */
void sl_loop_turn(struct sl_loop *loop, sl_nsec wait);
/* Turns until done(arg) or `limit` has passed on the real clock; returns done's last word. For tests, start-up and the CLI. */
bool sl_loop_run_until(struct sl_loop *loop, bool (*done)(void *arg), void *arg, sl_nsec limit);
/* Virtual time only: moves on by `d`, timer by timer in order of their deadlines, with turns between. */
void sl_loop_advance(struct sl_loop *loop, sl_nsec d);

static inline sl_nsec sl_loop_now(const struct sl_loop *loop)
{
	return loop->now;
}
/* Nanoseconds since the Unix epoch as of this turn; follows a clock that was set within about a second. */
static inline sl_nsec sl_loop_real(const struct sl_loop *loop)
{
	return loop->now + loop->real_shift;
}

/* --- descriptors --- */

/* mask of SL_IO_READ | SL_IO_WRITE | SL_IO_RDHUP; both at once and for good is the cheap way. Errors: SL_ERR_UNAVAILABLE, SL_ERR_IO. */
sl_err sl_loop_add(struct sl_loop *loop, struct sl_io *io, int fd, uint32_t mask, sl_io_fn fn);
/* Asks for a fresh event for whatever is ready now, with a new mask. */
void sl_loop_rearm(struct sl_loop *loop, struct sl_io *io, uint32_t mask);
/* Takes it out without closing; returns the descriptor (-1 when it was not in). */
int sl_loop_remove(struct sl_loop *loop, struct sl_io *io);
/* Takes it out and closes; fine on SL_IO_NONE. No callback comes afterwards. */
void sl_loop_close(struct sl_loop *loop, struct sl_io *io);

/* --- timers; resolution 1 ms, never early --- */

/* Arms or moves: O(1), and one store where the deadline moves later. t->fn must be set. In the past: fires this turn or the next. */
static inline void sl_timer_at(struct sl_loop *loop, struct sl_timer *t, sl_nsec deadline)
{
	sl_wheel_set(&loop->wheel, t, deadline);
}
static inline void sl_timer_in(struct sl_loop *loop, struct sl_timer *t, sl_nsec delay)
{
	sl_wheel_set(&loop->wheel, t, delay < SL_NSEC_MAX - loop->now ? loop->now + delay : SL_NSEC_MAX);
}
static inline void sl_timer_stop(struct sl_loop *loop, struct sl_timer *t) /* fine on one that is not armed */
{
	sl_wheel_remove(&loop->wheel, t);
}

/* --- end of turn --- */

/* Once per turn however often it is called; a task deferred by a task runs in the next turn, which then does not wait. */
void sl_loop_defer(struct sl_loop *loop, struct sl_task *task);
void sl_task_cancel(struct sl_loop *loop, struct sl_task *task); /* fine on an idle one */
static inline bool sl_task_queued(const struct sl_task *task)
{
	return task->at != NULL;
}
/* fn(object) after this turn's callbacks; `node` usually lies in the object itself. */
void sl_loop_free_later(struct sl_loop *loop, struct sl_dead *node, void (*fn)(void *object), void *object);

/* --- other threads --- */

/* Hands msg over; msg->fn runs in the loop's thread, messages of one sender in their order. Never blocks, never fails. */
void sl_loop_post(struct sl_loop *loop, struct sl_msg *msg);
