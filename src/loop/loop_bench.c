/*
 * What the loop itself costs: a timer moved later (idle timeouts), a timer set and stopped, a turn with one ready descriptor,
 * a socketpair ping-pong through two descriptors of one loop, a task, a message to oneself. Prints nanoseconds of CPU time each.
 */
#include "loop/loop.h"
#include "os/clock.h"
#include "os/io.h"
#include "os/socket.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static sl_nsec cpu_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return SL_SEC(ts.tv_sec) + ts.tv_nsec;
}

static void report(const char *what, sl_nsec start, uint64_t count)
{
	printf("%-44s %8.1f ns\n", what, (double)(cpu_time() - start) / (double)count);
}

static void on_timer(struct sl_loop *loop, struct sl_timer *t)
{
	(void)loop, (void)t;
}

static void bench_timers(struct sl_loop *loop)
{
	enum { TIMERS = 10000, ROUNDS = 1000 };
	struct sl_timer *timers = sl_new0_array(TIMERS, sizeof(*timers));
	sl_nsec start;

	for (size_t i = 0; i < TIMERS; i++) {
		timers[i].fn = on_timer;
		sl_timer_in(loop, &timers[i], SL_SEC(60));
	}
	start = cpu_time();
	for (int64_t r = 0; r < ROUNDS; r++) {
		for (size_t i = 0; i < TIMERS; i++)
			sl_timer_in(loop, &timers[i], SL_SEC(60) + r);
	}
	report("timer moved later, 10,000 armed", start, (uint64_t)TIMERS * ROUNDS);
	for (size_t i = 0; i < TIMERS; i++)
		sl_timer_stop(loop, &timers[i]);
	start = cpu_time();
	for (int64_t r = 0; r < ROUNDS; r++) {
		for (size_t i = 0; i < TIMERS; i++)
			sl_timer_in(loop, &timers[i], SL_SEC(15) + (sl_nsec)i * 1000);
		for (size_t i = 0; i < TIMERS; i++)
			sl_timer_stop(loop, &timers[i]);
	}
	report("timer set and stopped, 10,000 armed", start, (uint64_t)TIMERS * ROUNDS);
	sl_free(timers);
}

struct player {
	struct sl_io io;
	uint64_t left;
};

static void on_ball(struct sl_loop *loop, struct sl_io *io, uint32_t events)
{
	struct player *p = SL_CONTAINER_OF(io, struct player, io);
	char ball[64];
	ssize_t n;

	if (!(events & SL_IO_READ))
		return;
	n = sl_sock_recv(io->fd, ball, sizeof(ball));
	if (n <= 0)
		return;
	if (p->left-- == 0) {
		sl_loop_stop(loop);
		return;
	}
	if (sl_sock_send(io->fd, ball, (size_t)n) != n)
		abort();
}

static void bench_ping_pong(struct sl_loop *loop)
{
	enum { BALLS = 500000 };
	struct player players[2] = { { .left = BALLS }, { .left = BALLS } };
	uint64_t turns;
	sl_nsec start;
	int fds[2];

	if (sl_socket_pair(fds) != SL_OK)
		exit(1);
	for (size_t i = 0; i < 2; i++)
		SL_IGNORE(sl_loop_add(loop, &players[i].io, fds[i], SL_IO_READ, on_ball));
	turns = loop->turns;
	start = cpu_time();
	if (sl_sock_send(fds[0], "ball", 4) != 4)
		exit(1);
	sl_loop_run(loop);
	report("turn of ping-pong: wait, read, write", start, loop->turns - turns);
	start = cpu_time();
	for (int i = 0; i < BALLS; i++) {
		char ball[64];

		if (sl_sock_send(fds[0], "ball", 4) != 4 || sl_sock_recv(fds[1], ball, sizeof(ball)) != 4)
			exit(1);
	}
	report("the same read and write without a loop", start, BALLS);
	for (size_t i = 0; i < 2; i++)
		sl_loop_close(loop, &players[i].io);
}

struct chore {
	struct sl_task task;
	uint64_t left;
};

static void on_chore(struct sl_loop *loop, struct sl_task *task)
{
	struct chore *c = SL_CONTAINER_OF(task, struct chore, task);

	if (c->left-- == 0)
		sl_loop_stop(loop);
	else
		sl_loop_defer(loop, task);
}

static void bench_empty_turn(struct sl_loop *loop, const char *what)
{
	enum { TURNS = 1000000 };
	struct chore c = { .task.fn = on_chore, .left = TURNS };
	struct epoll_event none;
	sl_nsec start = cpu_time();

	sl_loop_defer(loop, &c.task);
	sl_loop_run(loop);
	report(what, start, TURNS);
	start = cpu_time();
	for (int i = 0; i < TURNS; i++)
		epoll_wait(loop->epoll_fd, &none, 1, 0);
	report("  of which epoll_wait", start, TURNS);
}

int main(void)
{
	struct sl_loop_config with_rcu = { .rcu = true };
	struct sl_loop loop;

	if (sl_loop_init(&loop, NULL) != SL_OK)
		return 1;
	bench_timers(&loop);
	bench_ping_pong(&loop);
	bench_empty_turn(&loop, "empty turn with one task");
	sl_loop_fini(&loop);
	if (sl_loop_init(&loop, &with_rcu) != SL_OK)
		return 1;
	bench_empty_turn(&loop, "empty turn with one task, rcu");
	sl_loop_fini(&loop);
	return 0;
}
