#include "base/test.h"

#include "loop/loop.h"
#include "loop/signals.h"
#include "loop/snapshot.h"
#include "os/io.h"
#include "os/random.h"
#include "os/socket.h"
#include "os/thread.h"

#include <stdlib.h>

static struct sl_loop *new_loop(bool virtual_time)
{
	struct sl_loop_config config = { .virtual_time = virtual_time };
	struct sl_loop *loop = sl_new0(sizeof(*loop));

	sl_assert_ok(sl_loop_init(loop, &config));
	return loop;
}

static void free_loop(struct sl_loop *loop)
{
	assert_int_equal(loop->io_count, 0);
	sl_loop_fini(loop);
	sl_free(loop);
}

/* --- timers --- */

struct probe {
	struct sl_timer timer;
	sl_nsec wanted; /* SL_NSEC_MAX: not armed */
	sl_nsec fired_at;
	unsigned fired_count;
};

static void on_probe(struct sl_loop *loop, struct sl_timer *t)
{
	struct probe *p = SL_CONTAINER_OF(t, struct probe, timer);

	p->fired_at = sl_loop_now(loop);
	p->fired_count++;
}

static void test_timer_distances(void **state)
{
	static const sl_nsec distances[] = { 0, 1, SL_USEC(999), SL_MSEC(1), SL_MSEC(63), SL_MSEC(64),
		SL_MSEC(65), SL_MSEC(4095), SL_MSEC(4096), SL_MSEC(4097), SL_SEC(262), SL_SEC(263),
		SL_SEC(86400), SL_SEC(86400) * 365, SL_SEC(86400) * 365 * 100 };
	struct sl_loop *loop = new_loop(true);

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(distances); i++) {
		struct probe p = { .timer.fn = on_probe };
		sl_nsec deadline = sl_loop_now(loop) + distances[i];

		sl_timer_at(loop, &p.timer, deadline);
		assert_true(sl_timer_armed(&p.timer));
		if (distances[i] > SL_MSEC(1)) {
			sl_loop_advance(loop, distances[i] - SL_MSEC(1));
			assert_int_equal(p.fired_count, 0);
		}
		sl_loop_advance(loop, SL_MSEC(3));
		assert_int_equal(p.fired_count, 1);
		assert_true(p.fired_at >= deadline && p.fired_at <= deadline + SL_MSEC(1));
		assert_false(sl_timer_armed(&p.timer));
	}
	free_loop(loop);
}

/* A model of one line against the wheel: sets, moves and stops by chance, steps of all sizes. */
static void test_timers_against_model(void **state)
{
	enum { PROBES = 300, STEPS = 4000 };
	static struct probe probes[PROBES];
	struct sl_loop *loop = new_loop(true);
	struct sl_prng r;
	unsigned fired = 0, moved_later = 0;

	(void)state;
	sl_prng_seed(&r, 7);
	for (size_t i = 0; i < PROBES; i++)
		probes[i] = (struct probe) { .timer.fn = on_probe, .wanted = SL_NSEC_MAX };
	for (size_t step = 0; step < STEPS; step++) {
		sl_nsec before = sl_loop_now(loop);

		for (size_t k = sl_prng_below(&r, 20); k > 0; k--) {
			struct probe *p = &probes[sl_prng_below(&r, PROBES)];
			sl_nsec at = before + (sl_nsec)(sl_prng_next(&r) >> (22 + sl_prng_below(&r, 40)));

			if (sl_prng_below(&r, 5) == 0) {
				sl_timer_stop(loop, &p->timer);
				p->wanted = SL_NSEC_MAX;
				continue;
			}
			moved_later += p->wanted < at;
			sl_timer_at(loop, &p->timer, at);
			p->wanted = at;
		}
		sl_loop_advance(loop, (sl_nsec)(sl_prng_next(&r) >> (26 + sl_prng_below(&r, 36))));
		for (size_t i = 0; i < PROBES; i++) {
			struct probe *p = &probes[i];

			assert_int_equal(
			        sl_timer_armed(&p->timer), p->wanted != SL_NSEC_MAX && !p->fired_count);
			if (p->fired_count) {
				assert_int_equal(p->fired_count, 1);
				assert_true(p->fired_at >= p->wanted);
				assert_true(p->fired_at <= p->wanted + SL_MSEC(1) || p->fired_at == before);
				fired++;
				p->wanted = SL_NSEC_MAX;
				p->fired_count = 0;
			} else {
				assert_true(p->wanted > sl_loop_now(loop) - SL_MSEC(1));
			}
		}
	}
	assert_true(fired > 5000 && moved_later > 500); /* the walk went where it was meant to go */
	for (size_t i = 0; i < PROBES; i++)
		sl_timer_stop(loop, &probes[i].timer);
	assert_int_equal(loop->wheel.count, 0);
	assert_true(sl_wheel_next(&loop->wheel) == SL_NSEC_MAX);
	free_loop(loop);
}

static void test_timer_order(void **state)
{
	struct sl_loop *loop = new_loop(true);
	struct probe late = { .timer.fn = on_probe }, soon = { .timer.fn = on_probe };
	sl_nsec start = sl_loop_now(loop);

	(void)state;
	sl_timer_in(loop, &late.timer, SL_SEC(10));
	sl_timer_in(loop, &soon.timer, SL_SEC(2));
	sl_loop_advance(loop, SL_SEC(60));
	assert_true(soon.fired_at == start + SL_SEC(2));
	assert_true(late.fired_at == start + SL_SEC(10));
	free_loop(loop);
}

struct duel {
	struct sl_timer a, b;
	unsigned fired;
};

static void on_duel_a(struct sl_loop *loop, struct sl_timer *t)
{
	struct duel *d = SL_CONTAINER_OF(t, struct duel, a);

	d->fired++;
	sl_timer_stop(loop, &d->b);
}

static void on_duel_b(struct sl_loop *loop, struct sl_timer *t)
{
	struct duel *d = SL_CONTAINER_OF(t, struct duel, b);

	d->fired++;
	sl_timer_stop(loop, &d->a);
}

static void test_timer_stops_sibling(void **state)
{
	struct sl_loop *loop = new_loop(true);
	struct duel d = { .a.fn = on_duel_a, .b.fn = on_duel_b };

	(void)state;
	sl_timer_in(loop, &d.a, SL_MSEC(5));
	sl_timer_in(loop, &d.b, SL_MSEC(5));
	sl_loop_advance(loop, SL_SEC(1));
	assert_int_equal(d.fired, 1); /* both were due in one turn; the first stopped the other */
	free_loop(loop);
}

static void on_again(struct sl_loop *loop, struct sl_timer *t)
{
	struct probe *p = SL_CONTAINER_OF(t, struct probe, timer);

	p->fired_count++;
	sl_timer_at(loop, t, sl_loop_now(loop) - 1);
}

static void test_timer_rearms_in_past(void **state)
{
	struct sl_loop *loop = new_loop(true);
	struct probe p = { .timer.fn = on_again };

	(void)state;
	sl_timer_in(loop, &p.timer, 0);
	for (unsigned i = 1; i <= 3; i++) {
		sl_loop_turn(loop, 0);
		assert_int_equal(p.fired_count, i); /* once a turn: it cannot hold the loop */
	}
	sl_timer_stop(loop, &p.timer);
	free_loop(loop);
}

static bool fired(void *arg)
{
	return ((struct probe *)arg)->fired_count != 0;
}

static void test_timer_on_real_clock(void **state)
{
	struct sl_loop *loop = new_loop(false);
	struct probe p = { .timer.fn = on_probe };
	sl_nsec wanted = sl_loop_now(loop) + SL_MSEC(20);

	(void)state;
	sl_timer_at(loop, &p.timer, wanted);
	assert_true(sl_loop_run_until(loop, fired, &p, SL_SEC(20)));
	assert_true(p.fired_at >= wanted);
	assert_true(loop->turns < 10); /* it slept rather than spun */
	assert_true(sl_loop_real(loop) > SL_SEC(1577836800));
	free_loop(loop);
}

/* --- descriptors, tasks, deferred free --- */

struct end {
	struct sl_io io;
	struct sl_task task;
	struct sl_dead dead;
	struct end *other;
	unsigned calls, task_runs;
	bool *freed;
};

static void free_end(void *object)
{
	struct end *e = object;

	*e->freed = true;
	sl_free(e);
}

static void on_close_both(struct sl_loop *loop, struct sl_io *io, uint32_t events)
{
	struct end *e = SL_CONTAINER_OF(io, struct end, io), *o = e->other;

	assert_true(events & SL_IO_READ);
	e->calls++;
	sl_loop_close(loop, &o->io);
	sl_loop_free_later(loop, &o->dead, free_end, o);
	sl_loop_close(loop, &e->io);
	sl_loop_free_later(loop, &e->dead, free_end, e);
	assert_false(*e->freed || *o->freed);
}

static void test_closes_itself_and_other(void **state)
{
	struct sl_loop *loop = new_loop(true);
	bool freed[2] = { false, false };
	struct end *ends[2];
	int fds[2];

	(void)state;
	sl_assert_ok(sl_socket_pair(fds));
	for (size_t i = 0; i < 2; i++) {
		ends[i] = sl_new0(sizeof(*ends[i]));
		ends[i]->freed = &freed[i];
		sl_assert_ok(sl_loop_add(loop, &ends[i]->io, fds[i], SL_IO_READ, on_close_both));
		assert_int_equal(sl_sock_send(fds[i], "x", 1), 1);
	}
	ends[0]->other = ends[1];
	ends[1]->other = ends[0];
	assert_int_equal(loop->io_count, 2);
	sl_loop_turn(
	        loop, 0); /* both are ready; the first to be called frees both (address sanitizer watches) */
	assert_true(freed[0] && freed[1]);
	free_loop(loop);
}

static void on_task(struct sl_loop *loop, struct sl_task *task)
{
	struct end *e = SL_CONTAINER_OF(task, struct end, task);

	e->task_runs++;
	if (e->other)
		sl_task_cancel(loop, &e->other->task);
	if (e->task_runs == 1)
		sl_loop_defer(loop, task);
}

static void test_tasks(void **state)
{
	struct sl_loop *loop = new_loop(true);
	struct end a = { .task.fn = on_task }, b = { .task.fn = on_task }, c = { .task.fn = on_task };

	(void)state;
	a.other = &b;
	sl_loop_defer(loop, &a.task);
	sl_loop_defer(loop, &a.task); /* once, however often */
	sl_loop_defer(loop, &b.task);
	sl_loop_defer(loop, &c.task);
	assert_true(sl_task_queued(&c.task));
	sl_task_cancel(loop, &c.task);
	assert_false(sl_task_queued(&c.task));
	sl_loop_turn(loop, SL_NSEC_MAX); /* a task waits: the turn does not */
	assert_int_equal(a.task_runs, 1);
	assert_int_equal(b.task_runs, 0); /* cancelled by a */
	assert_int_equal(c.task_runs, 0);
	sl_loop_turn(loop, SL_NSEC_MAX);
	assert_int_equal(a.task_runs, 2); /* deferred itself: next turn */
	sl_loop_defer(loop, &c.task);
	sl_loop_turn(loop, 0);
	assert_int_equal(c.task_runs, 1);
	sl_task_cancel(loop, &c.task);
	free_loop(loop);
}

struct drainer {
	struct sl_io io;
	size_t got;
	bool short_is_end;
};

static void on_drain(struct sl_loop *loop, struct sl_io *io, uint32_t events)
{
	struct drainer *d = SL_CONTAINER_OF(io, struct drainer, io);
	char piece[64];
	ssize_t n;

	(void)loop, (void)events;
	while ((n = sl_sock_recv(io->fd, piece, sizeof(piece))) > 0) {
		d->got += (size_t)n;
		if (d->short_is_end && n < (ssize_t)sizeof(piece))
			return; /* epoll(7): a short read of a stream socket means empty */
	}
}

static bool got_all(void *arg)
{
	return ((struct drainer *)arg)->got == 100;
}

static void test_faults_are_rearmed(void **state)
{
	struct sl_fault plan = { .again_one_in = 2, .read_most_bytes = 7, .seed = 3 };
	struct sl_loop *loop = new_loop(false);
	struct drainer d = { .short_is_end = true };
	char bytes[100] = { 0 };
	int fds[2];

	(void)state;
	sl_assert_ok(sl_socket_pair(fds));
	sl_assert_ok(sl_loop_add(loop, &d.io, fds[0], SL_IO_READ | SL_IO_RDHUP, on_drain));
	if (!sl_fault_set(fds[0], &plan)) {
		sl_loop_close(loop, &d.io);
		sl_fd_close(&fds[1]);
		free_loop(loop);
		skip();
	}
	assert_int_equal(sl_sock_send(fds[1], bytes, sizeof(bytes)), sizeof(bytes));
	assert_true(sl_loop_run_until(loop, got_all, &d, SL_SEC(20)));
	sl_fault_clear(fds[0]);
	sl_loop_close(loop, &d.io);
	sl_fd_close(&fds[1]);
	free_loop(loop);
}

/* --- mailbox --- */

enum { SENDERS = 4, LETTERS = 5000 };

struct letter {
	struct sl_msg msg;
	struct reader_state *to;
	unsigned sender, number;
};

struct reader_state {
	struct sl_loop *loop;
	unsigned next[SENDERS], got;
};

struct sender {
	struct sl_thread thread;
	struct reader_state *to;
	unsigned number;
};

static void on_letter(struct sl_loop *loop, struct sl_msg *msg)
{
	struct letter *l = SL_CONTAINER_OF(msg, struct letter, msg);

	if (l->number != l->to->next[l->sender]++)
		abort(); /* assertions of cmocka may not jump out of here with the letter unfreed */
	if (++l->to->got == SENDERS * LETTERS)
		sl_loop_stop(loop);
	sl_free(l);
}

static void send_letters(void *arg)
{
	struct sender *s = arg;

	for (unsigned i = 0; i < LETTERS; i++) {
		struct letter *l = sl_new(sizeof(*l));

		*l = (struct letter) { .msg.fn = on_letter, .to = s->to, .sender = s->number, .number = i };
		sl_loop_post(s->to->loop, &l->msg);
	}
}

static void test_mailbox(void **state)
{
	struct reader_state to = { .loop = new_loop(false) };
	struct sender senders[SENDERS] = { 0 };

	(void)state;
	for (unsigned i = 0; i < SENDERS; i++) {
		senders[i].to = &to;
		senders[i].number = i;
		sl_assert_ok(sl_thread_start(&senders[i].thread, "sender", send_letters, &senders[i]));
	}
	sl_loop_run(to.loop);
	for (unsigned i = 0; i < SENDERS; i++)
		sl_thread_join(&senders[i].thread);
	assert_int_equal(to.got, SENDERS * LETTERS);
	free_loop(to.loop);
}

static void test_mail_left_at_the_end(void **state)
{
	struct reader_state to = { .loop = new_loop(false) };
	struct sender s = { .to = &to };

	(void)state;
	send_letters(&s);
	assert_int_equal(to.got, 0);
	free_loop(to.loop); /* delivered, not leaked */
	assert_int_equal(to.got, LETTERS);
}

static void run_loop(void *arg)
{
	sl_loop_run(arg);
}

static void test_stop_from(void **state)
{
	struct sl_loop *loop = new_loop(false);
	struct sl_thread t = { 0 };

	(void)state;
	sl_assert_ok(sl_thread_start(&t, "loop", run_loop, loop));
	sl_loop_stop_from(loop);
	sl_thread_join(&t);
	free_loop(loop);
}

/* --- signals --- */

static int last_signal;

static void on_signal(struct sl_signals *s, int signo)
{
	(void)s;
	last_signal = signo;
}

static bool got_signal(void *arg)
{
	return last_signal == *(int *)arg;
}

static void test_signals(void **state)
{
	static const int signos[] = { SIGUSR1, SIGUSR2, 0 };
	struct sl_loop *loop = new_loop(false);
	struct sl_signals s;

	(void)state;
	sl_signals_block(signos);
	sl_assert_ok(sl_signals_start(loop, &s, signos, on_signal));
	for (size_t i = 0; signos[i]; i++) {
		int wanted = signos[i];

		raise(wanted);
		assert_true(sl_loop_run_until(loop, got_signal, &wanted, SL_SEC(20)));
	}
	sl_signals_stop(loop, &s);
	free_loop(loop);
}

/* --- snapshots --- */

enum { WORKERS = 2, EPOCHS = 200 };

struct numbers {
	struct sl_snapshot head;
	unsigned epoch, copy[64]; /* all equal to epoch while it lives */
};

static unsigned made, freed_count;

static void free_numbers(struct sl_snapshot *snap)
{
	struct numbers *n = SL_CONTAINER_OF(snap, struct numbers, head);

	memset(n, 0xff, sizeof(*n));
	sl_free(n);
	__atomic_add_fetch(&freed_count, 1, __ATOMIC_RELAXED);
}

static struct numbers *make_numbers(unsigned epoch)
{
	struct numbers *n = sl_new0(sizeof(*n));

	sl_snapshot_init(&n->head, free_numbers);
	n->epoch = epoch;
	for (size_t i = 0; i < SL_ARRAY_COUNT(n->copy); i++)
		n->copy[i] = epoch;
	made++;
	return n;
}

struct worker {
	struct sl_thread thread;
	struct sl_loop loop;
	struct sl_snapshot_reader reader;
	struct sl_task task;
	struct sl_view *held[3]; /* as streams hold theirs */
	unsigned looks, last, bad;
};

static void on_look(struct sl_loop *loop, struct sl_task *task)
{
	struct worker *w = SL_CONTAINER_OF(task, struct worker, task);
	struct sl_view *view = sl_snapshot_reader_view(&w->reader);
	size_t slot = w->looks++ % SL_ARRAY_COUNT(w->held);

	sl_loop_defer(loop, task);
	if (!view)
		return;
	if (w->held[slot]) {
		const struct numbers *n = SL_CONTAINER_OF(w->held[slot]->snap, struct numbers, head);

		for (size_t i = 0; i < SL_ARRAY_COUNT(n->copy); i++)
			w->bad += n->copy[i] != n->epoch;
		w->bad += n->epoch > SL_CONTAINER_OF(view->snap, struct numbers, head)->epoch;
		sl_view_drop(w->held[slot]);
	}
	w->held[slot] = sl_view_hold(view);
	w->last = SL_CONTAINER_OF(view->snap, struct numbers, head)->epoch;
	if (w->last == EPOCHS) {
		sl_task_cancel(loop, task);
		sl_loop_stop(loop);
	}
}

static void worker_main(void *arg)
{
	struct worker *w = arg;

	sl_loop_defer(&w->loop, &w->task);
	sl_loop_run(&w->loop);
	for (size_t i = 0; i < SL_ARRAY_COUNT(w->held); i++) {
		if (w->held[i])
			sl_view_drop(w->held[i]);
	}
	sl_snapshot_reader_fini(&w->reader);
}

static void test_snapshots(void **state)
{
	struct sl_loop_config config = { .rcu = true };
	static struct worker workers[WORKERS];
	struct sl_snapshot_slot slot = { NULL };

	(void)state;
	made = freed_count = 0;
	for (size_t i = 0; i < WORKERS; i++) {
		workers[i].task.fn = on_look;
		sl_assert_ok(sl_loop_init(&workers[i].loop, &config));
		sl_snapshot_reader_init(&workers[i].reader, &slot);
		sl_assert_ok(sl_thread_start(&workers[i].thread, "worker", worker_main, &workers[i]));
	}
	for (unsigned epoch = 1; epoch <= EPOCHS; epoch++)
		sl_snapshot_publish(&slot, &make_numbers(epoch)->head);
	for (size_t i = 0; i < WORKERS; i++) {
		sl_thread_join(&workers[i].thread);
		sl_loop_fini(&workers[i].loop);
		assert_int_equal(workers[i].bad, 0);
		assert_int_equal(workers[i].last, EPOCHS);
	}
	sl_snapshot_publish(&slot, NULL);
	sl_snapshot_reclaim_stop();
	assert_int_equal(made, EPOCHS);
	assert_int_equal(freed_count, EPOCHS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timer_distances),
		cmocka_unit_test(test_timers_against_model),
		cmocka_unit_test(test_timer_order),
		cmocka_unit_test(test_timer_stops_sibling),
		cmocka_unit_test(test_timer_rearms_in_past),
		cmocka_unit_test(test_timer_on_real_clock),
		cmocka_unit_test(test_closes_itself_and_other),
		cmocka_unit_test(test_tasks),
		cmocka_unit_test(test_faults_are_rearmed),
		cmocka_unit_test(test_mailbox),
		cmocka_unit_test(test_mail_left_at_the_end),
		cmocka_unit_test(test_stop_from),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_snapshots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
