#include "loop/loop.h"

#include "loop/loop_priv.h"

#include "os/clock.h"
#include "os/io.h"
#include "os/socket.h"
#include "os/thread.h"

#include <sys/eventfd.h>
#include <urcu-qsbr.h>

enum { EVENTS_MOST_DEFAULT = 256 };

/* --- set-up --- */

static void on_wake(struct sl_loop *loop, struct sl_io *io, uint32_t events)
{
	/* Nothing to do here: the inbox is looked at in every turn. The eventfd is never read: each write is a fresh edge. */
	(void)loop, (void)io, (void)events;
}

static void read_clocks(struct sl_loop *loop)
{
	if (!loop->virtual_time)
		loop->now = sl_clock_mono();
	if (loop->now < loop->real_renew_at)
		return;
	loop->real_shift = sl_clock_real() - loop->now;
	loop->real_renew_at = loop->virtual_time ? SL_NSEC_MAX : loop->now + SL_SEC(1);
}

sl_err sl_loop_init(struct sl_loop *loop, const struct sl_loop_config *config)
{
	static const struct sl_loop_config none;
	int wake_fd;

	if (!config)
		config = &none;
	*loop = (struct sl_loop) {
		.wake = SL_IO_NONE,
		.rcu = config->rcu,
		.virtual_time = config->virtual_time,
		.events_most = config->events_most ? config->events_most : EVENTS_MOST_DEFAULT,
	};
	loop->tasks_end = &loop->tasks;
	loop->events = sl_new0_array(loop->events_most, sizeof(*loop->events));
	loop->now = config->virtual_time ? SL_SEC(1000) : 0;
	read_clocks(loop);
	sl_wheel_init(&loop->wheel, loop->now);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (loop->epoll_fd < 0 || wake_fd < 0 ||
	        sl_loop_add(loop, &loop->wake, wake_fd, SL_IO_READ, on_wake) != SL_OK) {
		sl_fd_close(&wake_fd);
		sl_loop_fini(loop);
		return SL_ERR_UNAVAILABLE;
	}
	loop->io_count = 0; /* our own is not counted */
	return SL_OK;
}

/* --- descriptors --- */

#ifdef SL_FAULTS
static void remember(struct sl_loop *loop, struct sl_io *io, int fd)
{
	size_t need = (size_t)fd + 1, count = loop->io_by_fd_count;

	if (need > count) {
		count = need * 2;
		loop->io_by_fd = sl_resize(loop->io_by_fd, count * sizeof(*loop->io_by_fd));
		for (size_t i = loop->io_by_fd_count; i < count; i++)
			loop->io_by_fd[i] = NULL;
		loop->io_by_fd_count = count;
	}
	loop->io_by_fd[fd] = io;
}

static void rearm_hidden(struct sl_loop *loop)
{
	int fd;

	while ((fd = sl_fault_take_rearm()) >= 0) {
		if ((size_t)fd < loop->io_by_fd_count && loop->io_by_fd[fd])
			sl_loop_rearm(loop, loop->io_by_fd[fd], loop->io_by_fd[fd]->mask);
	}
}
#else
static inline void remember(struct sl_loop *loop, struct sl_io *io, int fd)
{
	(void)loop, (void)io, (void)fd;
}

static inline void rearm_hidden(struct sl_loop *loop)
{
	(void)loop;
}
#endif

static int control(struct sl_loop *loop, int op, struct sl_io *io)
{
	struct epoll_event ev = { .events = io->mask | EPOLLET, .data.ptr = io };

	return epoll_ctl(loop->epoll_fd, op, io->fd, &ev);
}

sl_err sl_loop_add(struct sl_loop *loop, struct sl_io *io, int fd, uint32_t mask, sl_io_fn fn)
{
	*io = (struct sl_io) { .fn = fn, .fd = fd, .mask = mask };
	if (control(loop, EPOLL_CTL_ADD, io) < 0) {
		io->fd = -1;
		return errno == ENOSPC || errno == ENOMEM ? SL_ERR_UNAVAILABLE : sl_err_from_errno(errno);
	}
	loop->io_count++;
	remember(loop, io, fd);
	return SL_OK;
}

void sl_loop_rearm(struct sl_loop *loop, struct sl_io *io, uint32_t mask)
{
	io->mask = mask;
	/* Of a descriptor that is in the set, this fails only for want of memory; its edges so far stay valid then. */
	if (io->fd >= 0 && control(loop, EPOLL_CTL_MOD, io) < 0)
		return;
}

int sl_loop_remove(struct sl_loop *loop, struct sl_io *io)
{
	int fd = io->fd;

	if (fd < 0)
		return -1;
	control(loop, EPOLL_CTL_DEL, io);
	remember(loop, NULL, fd);
	loop->io_count--;
	io->fd = -1;
	return fd;
}

void sl_loop_close(struct sl_loop *loop, struct sl_io *io)
{
	/* Taken out before it is closed: a duplicate in another process would keep the open file, and so its events, alive. */
	int fd = sl_loop_remove(loop, io);

	sl_fd_close(&fd);
}

/* --- end of turn --- */

void sl_loop_defer(struct sl_loop *loop, struct sl_task *task)
{
	if (task->at)
		return;
	task->next = NULL;
	task->at = loop->tasks_end;
	*loop->tasks_end = task;
	loop->tasks_end = &task->next;
}

void sl_task_cancel(struct sl_loop *loop, struct sl_task *task)
{
	if (!task->at)
		return;
	*task->at = task->next;
	if (task->next)
		task->next->at = task->at;
	else if (loop->tasks_end == &task->next)
		loop->tasks_end = task->at;
	task->at = NULL;
}

static void run_tasks(struct sl_loop *loop)
{
	struct sl_task *task;

	if (!loop->tasks)
		return;
	/* Tasks deferred from here on belong to the next turn: a marker ends this turn's share, whatever is cancelled meanwhile. */
	sl_loop_defer(loop, &loop->tasks_marker);
	while ((task = loop->tasks) != &loop->tasks_marker) {
		sl_task_cancel(loop, task);
		task->fn(loop, task);
	}
	sl_task_cancel(loop, &loop->tasks_marker);
}

void sl_loop_free_later(struct sl_loop *loop, struct sl_dead *node, void (*fn)(void *object), void *object)
{
	*node = (struct sl_dead) { .next = loop->dead, .fn = fn, .object = object };
	loop->dead = node;
}

static void free_dead(struct sl_loop *loop)
{
	while (loop->dead) {
		struct sl_dead *node = loop->dead;

		loop->dead = node->next;
		node->fn(node->object); /* the node goes with it */
	}
}

/* --- messages --- */

void sl_loop_post(struct sl_loop *loop, struct sl_msg *msg)
{
	struct sl_msg *head = __atomic_load_n(&loop->inbox, __ATOMIC_RELAXED);

	do
		msg->next = head;
	while (!__atomic_compare_exchange_n(
	        &loop->inbox, &head, msg, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
	/* Whoever finds the inbox empty wakes the loop; it takes all that came since in one go. */
	if (!head)
		eventfd_write(loop->wake.fd, 1);
}

static void take_messages(struct sl_loop *loop)
{
	struct sl_msg *newest, *oldest = NULL;

	if (!__atomic_load_n(&loop->inbox, __ATOMIC_RELAXED))
		return;
	newest = __atomic_exchange_n(&loop->inbox, NULL, __ATOMIC_ACQUIRE);
	while (newest) {
		struct sl_msg *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	while (oldest) {
		struct sl_msg *next = oldest->next;

		oldest->fn(loop, oldest);
		oldest = next;
	}
}

/* --- turns --- */

static void go_offline(struct sl_loop *loop)
{
	if (!loop->rcu || !loop->running)
		return;
	SL_TSAN_RELEASE(&sl_loop_quiescence);
	urcu_qsbr_thread_offline();
}

static void go_online(struct sl_loop *loop)
{
	if (loop->rcu && loop->running)
		urcu_qsbr_thread_online();
}

static int wait_ms(const struct sl_loop *loop, sl_nsec wait)
{
	sl_nsec next = sl_wheel_next(&loop->wheel);

	if (loop->tasks)
		return 0;
	if (!loop->virtual_time && next != SL_NSEC_MAX && next - loop->now < wait)
		wait = next > loop->now ? next - loop->now : 0;
	if (loop->virtual_time && next <= loop->now)
		return 0;
	if (wait >= SL_SEC(86400))
		return wait == SL_NSEC_MAX ? -1 : 86400 * 1000;
	return (int)((wait + SL_WHEEL_TICK_NS - 1) /
	             SL_WHEEL_TICK_NS); /* up: a shorter wait would only turn in vain */
}

static int wait_for_events(struct sl_loop *loop, sl_nsec wait)
{
	int ms = wait_ms(loop, wait), n;

	go_offline(loop);
	n = epoll_wait(loop->epoll_fd, loop->events, (int)loop->events_most, ms);
	go_online(loop);
	return n < 0 ? 0 : n; /* EINTR: a turn without events */
}

void sl_loop_turn(struct sl_loop *loop, sl_nsec wait)
{
	int n = wait_for_events(loop, wait);

	read_clocks(loop);
	loop->turns++;
	loop->events_seen += (unsigned)n;
	for (int i = 0; i < n; i++) {
		struct sl_io *io = loop->events[i].data.ptr;

		if (SL_LIKELY(io->fd >= 0)) /* else: removed by an earlier callback of this turn */
			io->fn(loop, io, loop->events[i].events);
	}
	take_messages(loop);
	sl_wheel_run(&loop->wheel, loop->now, loop);
	run_tasks(loop);
	rearm_hidden(loop);
	free_dead(loop);
}

static void enter(struct sl_loop *loop)
{
	assert(!loop->running); /* no loop in a loop */
	loop->running = true;
	if (loop->rcu)
		urcu_qsbr_register_thread();
}

static void leave(struct sl_loop *loop)
{
	if (loop->rcu) {
		SL_TSAN_RELEASE(&sl_loop_quiescence);
		urcu_qsbr_unregister_thread();
	}
	loop->running = false;
}

void sl_loop_run(struct sl_loop *loop)
{
	enter(loop);
	while (!__atomic_load_n(&loop->stopping, __ATOMIC_RELAXED))
		sl_loop_turn(loop, SL_NSEC_MAX);
	__atomic_store_n(&loop->stopping, false, __ATOMIC_RELAXED); /* it may run again */
	leave(loop);
}

void sl_loop_stop(struct sl_loop *loop)
{
	__atomic_store_n(&loop->stopping, true, __ATOMIC_RELAXED);
}

void sl_loop_stop_from(struct sl_loop *loop)
{
	__atomic_store_n(&loop->stopping, true, __ATOMIC_RELAXED);
	eventfd_write(loop->wake.fd, 1);
}

bool sl_loop_run_until(struct sl_loop *loop, bool (*done)(void *arg), void *arg, sl_nsec limit)
{
	sl_nsec end = sl_clock_mono() + limit;
	bool is_done;

	enter(loop);
	while (!(is_done = done(arg))) {
		sl_nsec left = end - sl_clock_mono();

		if (left <= 0)
			break;
		sl_loop_turn(loop, loop->virtual_time && left > SL_MSEC(10) ? SL_MSEC(10) : left);
	}
	leave(loop);
	return is_done;
}

void sl_loop_advance(struct sl_loop *loop, sl_nsec d)
{
	sl_nsec end = loop->now + d;

	assert(loop->virtual_time);
	for (;;) {
		sl_nsec next = sl_wheel_next(&loop->wheel);

		if (next > end)
			break;
		if (next > loop->now)
			loop->now = next;
		sl_loop_turn(loop, 0);
	}
	loop->now = end;
	sl_loop_turn(loop, 0);
}

void sl_loop_fini(struct sl_loop *loop)
{
	if (!loop->events)
		return;
	/* What is under way still owns memory: messages are delivered, and what that puts off runs too. */
	while (__atomic_load_n(&loop->inbox, __ATOMIC_RELAXED) || loop->tasks || loop->dead) {
		take_messages(loop);
		run_tasks(loop);
		free_dead(loop);
	}
	loop->io_count++;
	sl_loop_close(loop, &loop->wake);
	sl_fd_close(&loop->epoll_fd);
	sl_free(loop->events);
#ifdef SL_FAULTS
	sl_free(loop->io_by_fd);
#endif
	*loop = (struct sl_loop) { .wake = SL_IO_NONE, .epoll_fd = -1 };
}
