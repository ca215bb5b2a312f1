/* Real processes under real shims; this program is its own shim when called with "shim". */
#include "base/test.h"

#include "runtime/shim_priv.h"

#include "os/clock.h"
#include "os/file.h"
#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const env[] = { "PATH=/usr/local/bin:/usr/bin:/bin", "GREETING=hello", NULL };

struct fixture {
	struct sl_loop loop;
	char *temp, *dir; /* dir: of the run, deeper than a socket's path may be long */
	struct sl_shim shim;
	int changes;
	struct sl_timer tick; /* conditions on files make no events */
};

static struct fixture f;

static void changed(struct sl_shim *shim)
{
	assert_ptr_equal(shim, &f.shim);
	f.changes++;
}

static void tick(struct sl_loop *loop, struct sl_timer *t)
{
	sl_timer_in(loop, t, SL_MSEC(5));
}

static int setup(void **state)
{
	(void)state;
	f = (struct fixture) { .tick.fn = tick };
	sl_assert_ok(sl_loop_init(&f.loop, NULL));
	sl_timer_in(&f.loop, &f.tick, 0);
	sl_assert_ok(sl_dir_make_temp("shim", &f.temp));
	f.dir = sl_asprintf("%s/%0120d/run", f.temp, 7);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sl_shim_stop(&f.shim, 0);
	sl_shim_fini(&f.shim);
	sl_timer_stop(&f.loop, &f.tick);
	sl_assert_ok(sl_path_remove(f.temp));
	sl_free(f.temp);
	sl_free(f.dir);
	sl_loop_fini(&f.loop);
	return 0;
}

static sl_err spawn_with(const char *const *argv, uint64_t log_most_bytes, unsigned log_files)
{
	struct sl_shim_config config = { .dir = f.dir,
		.argv = argv,
		.env = env,
		.log_most_bytes = log_most_bytes,
		.log_files = log_files };

	return sl_shim_spawn(&f.shim, &f.loop, &config, changed, NULL);
}

static sl_err spawn(const char *script)
{
	return spawn_with((const char *const[]) { "sh", "-c", script, NULL }, 0, 0);
}

static bool is_running(void *arg)
{
	(void)arg;
	return f.shim.state == SL_SHIM_RUNNING || f.shim.state == SL_SHIM_EXITED;
}

static bool has_exited(void *arg)
{
	(void)arg;
	return f.shim.state == SL_SHIM_EXITED;
}

static void wait_until(bool (*done)(void *arg), void *arg)
{
	assert_true(sl_loop_run_until(&f.loop, done, arg, SL_SEC(30)));
}

static void read_log(const char *name, struct sl_buf *b)
{
	SL_CLEANUP(sl_free) char *path = sl_asprintf("%s/%s", f.dir, name);

	sl_assert_ok(sl_file_read(path, 1 << 24, b));
}

/* The script has said something: its log is not empty. */
static bool has_output(void *arg)
{
	SL_CLEANUP(sl_free) char *path = sl_asprintf("%s/log", f.dir);
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };

	(void)arg;
	return sl_file_read(path, 1 << 24, &b) == SL_OK && sl_buf_size(&b) > 0;
}

static bool is_dead(void *arg)
{
	char path[40], line[256] = "";

	/* A zombie is dead too: who waits for it is not our business. */
	snprintf(path, sizeof(path), "/proc/%d/stat", *(pid_t *)arg);
	FILE *stat = fopen(path, "r");
	bool dead = !stat || !fgets(line, sizeof(line), stat) || strstr(line, ") Z ") || strstr(line, ") X ");

	if (stat)
		fclose(stat);
	return dead;
}

static pid_t logged_pid(void)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };

	read_log("log", &b);
	const char *text = strstr(sl_buf_cstr(&b), "pid=");

	assert_non_null(text);
	return (pid_t)atoi(text + 4);
}

/* --- rows: how a process may end --- */

static void ends_are_recorded(void **state)
{
	static const struct {
		const char *const argv[4];
		int code, signal;
		const char *reason, *logged;
	} cases[] = {
		{ { "sh", "-c", "echo $GREETING" }, 0, 0, "Completed", "stdout F hello\n" },
		{ { "sh", "-c", "echo oops >&2; exit 3" }, 3, 0, "Error", "stderr F oops\n" },
		{ { "sh", "-c", "printf unfinished" }, 0, 0, "Completed", "stdout F unfinished\n" },
		{ { "sh", "-c", "kill -SEGV $$" }, 139, SIGSEGV, "Error", "" },
		{ { "sh", "-c", "pwd; read x || echo nothing to read" }, 0, 0, "Completed",
		        "nothing to read\n" },
		{ { "no-such-program" }, 128, 0, "StartError", "" },
		{ { "/etc/passwd" }, 128, 0, "StartError", "" },
	};

	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_buf_fini) struct sl_buf log = { 0 };
		sl_nsec before = sl_clock_real();

		if (i > 0) {
			teardown(state);
			setup(state);
		}
		sl_assert_ok(spawn_with(cases[i].argv, 0, 0));
		assert_int_equal(f.shim.state, SL_SHIM_STARTING);
		wait_until(has_exited, NULL);
		assert_int_equal(f.shim.exit.code, cases[i].code);
		assert_int_equal(f.shim.exit.signal, cases[i].signal);
		assert_string_equal(f.shim.exit.reason, cases[i].reason);
		assert_true(f.shim.exit.ended_at >= before);
		assert_int_equal(f.shim.exit.started_at == 0, cases[i].code == 128);
		assert_int_equal(f.shim.exit.text[0] != 0, cases[i].code == 128);
		read_log("log", &log);
		assert_non_null(strstr(sl_buf_cstr(&log), cases[i].logged));
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie is left to us */
	}
}

static void the_same_folder_is_not_used_twice(void **state)
{
	struct sl_shim other;
	struct sl_shim_config config = {
		.dir = f.dir, .argv = (const char *const[]) { "true", NULL }, .env = env
	};

	(void)state;
	sl_assert_ok(spawn("exit 0"));
	sl_assert_err(sl_shim_spawn(&other, &f.loop, &config, changed, NULL), SL_ERR_EXISTS);
	sl_assert_err(sl_shim_adopt(&other, &f.loop, f.temp, changed, NULL), SL_ERR_NOT_FOUND);
}

/* --- stopping --- */

static void stop_asks_first(void **state)
{
	(void)state;
	sl_assert_ok(spawn("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done"));
	wait_until(has_output, NULL);
	sl_shim_stop(&f.shim, SL_SEC(20));
	wait_until(has_exited, NULL);
	assert_int_equal(f.shim.exit.code, 7);
}

static void stop_kills_after_the_grace_period(void **state)
{
	sl_nsec asked;

	(void)state;
	sl_assert_ok(spawn("trap '' TERM; echo ready; while :; do sleep 0.05; done"));
	wait_until(has_output, NULL);
	asked = sl_clock_mono();
	sl_shim_stop(&f.shim, SL_MSEC(300));
	wait_until(has_exited, NULL);
	assert_true(sl_clock_mono() - asked >= SL_MSEC(300));
	assert_int_equal(f.shim.exit.signal, SIGKILL);
}

static void a_second_stop_may_shorten_the_first(void **state)
{
	sl_nsec asked;

	(void)state;
	sl_assert_ok(spawn("trap '' TERM; echo ready; while :; do sleep 0.05; done"));
	wait_until(has_output, NULL);
	asked = sl_clock_mono();
	sl_shim_stop(&f.shim, SL_SEC(600));
	sl_shim_stop(&f.shim, 0);
	wait_until(has_exited, NULL);
	assert_true(sl_clock_mono() - asked < SL_SEC(25));
	assert_int_equal(f.shim.exit.signal, SIGKILL);
}

/* A daemon that left its group and its session goes with the process that began it. */
static void nothing_outlives_the_process(void **state)
{
	(void)state;
	sl_assert_ok(spawn(
	        "setsid sh -c 'echo pid=$$; exec sleep 1000' & while ! [ -s log ]; do sleep 0.01; done; exit 0"));
	wait_until(has_exited, NULL);
	pid_t daemon = logged_pid();

	assert_true(is_dead(&daemon));
}

/* --- adopting --- */

/* A supervisor in a process of its own is killed without warning right after it began (or once its process runs). */
static void a_killed_supervisor_is_replaced(void **state)
{
	(void)state;
	for (int early = 0; early < 2; early++) {
		pid_t supervisor = fork();

		if (supervisor == 0) {
			f = (struct fixture) { .tick.fn = tick };
			sl_assert_ok(sl_loop_init(&f.loop, NULL));
			f.dir = sl_asprintf("/tmp/shim-adopt.%d/run", getppid());
			if (spawn("echo pid=$$; exec sleep 1000") == SL_OK &&
			        (early || sl_loop_run_until(&f.loop, is_running, NULL, SL_SEC(30))))
				kill(getpid(), SIGKILL);
			_exit(1);
		}
		int status;

		assert_int_equal(waitpid(supervisor, &status, 0), supervisor);
		assert_true(WIFSIGNALED(status));
		sl_free(f.dir);
		f.dir = sl_asprintf("/tmp/shim-adopt.%d/run", getpid());
		sl_assert_ok(sl_shim_adopt(&f.shim, &f.loop, f.dir, changed, NULL));
		assert_int_equal(f.shim.state, SL_SHIM_STARTING);
		wait_until(is_running, NULL);
		assert_int_equal(f.shim.state, SL_SHIM_RUNNING);
		wait_until(has_output, NULL);
		assert_int_equal(f.shim.pid, logged_pid());
		assert_true(f.shim.started_at > SL_SEC(1000000000));
		sl_shim_stop(&f.shim, SL_SEC(20));
		wait_until(has_exited, NULL);
		assert_int_equal(f.shim.exit.signal, SIGTERM);
		sl_shim_fini(&f.shim);
		SL_CLEANUP(sl_free) char *parent = sl_asprintf("/tmp/shim-adopt.%d", getpid());
		sl_assert_ok(sl_path_remove(parent));
	}
}

static void forget_shim(struct sl_loop *loop, struct sl_io *io, uint32_t events)
{
	(void)events;
	sl_loop_close(loop, io);
	sl_shim_fini(&f.shim);
}

/* Its end and what makes us forget it come in one turn, the latter first: its events must find nobody. */
static void an_end_of_what_this_turn_forgot_is_nothing(void **state)
{
	struct sl_io first = SL_IO_NONE;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	(void)state;
	sl_assert_ok(spawn("while ! [ -e go ]; do sleep 0.01; done"));
	wait_until(is_running, NULL);
	pid_t shim_pid = f.shim.shim_pid;
	sl_assert_ok(sl_loop_add(&f.loop, &first, fd, SL_IO_READ, forget_shim));
	assert_int_equal(eventfd_write(fd, 1), 0);
	SL_CLEANUP(sl_free) char *go = sl_asprintf("%s/go", f.dir);
	sl_assert_ok(sl_file_write(go, SL_STR(""), 0600));
	assert_int_equal(poll(&(struct pollfd) { .fd = f.shim.child_io.fd, .events = POLLIN }, 1, 30000), 1);
	sl_loop_turn(&f.loop, 0);
	assert_null(f.shim.loop);
	assert_int_equal(f.changes, 1); /* that it runs */
	assert_int_equal(waitpid(shim_pid, NULL, 0), shim_pid);
}

static void an_end_nobody_saw_is_found(void **state)
{
	(void)state;
	sl_assert_ok(spawn("echo ready; while ! [ -e go ]; do sleep 0.01; done; exit 5"));
	wait_until(has_output, NULL);
	pid_t shim_pid = f.shim.shim_pid;
	sl_shim_fini(&f.shim);
	SL_CLEANUP(sl_free) char *go = sl_asprintf("%s/go", f.dir);
	sl_assert_ok(sl_file_write(go, SL_STR(""), 0600));
	assert_int_equal(waitpid(shim_pid, NULL, 0), shim_pid);

	sl_assert_ok(sl_shim_adopt(&f.shim, &f.loop, f.dir, changed, NULL));
	assert_int_equal(f.shim.state, SL_SHIM_EXITED);
	assert_int_equal(f.shim.exit.code, 5);
	assert_string_equal(f.shim.exit.reason, "Error");
}

/* --- the shim itself is killed --- */

static void a_killed_shim_takes_its_process_along(void **state)
{
	/* seen: while we hold it; unseen: while no control plane runs. The background sleep is in another group, which the kernel does not kill for us. */
	for (int seen = 0; seen < 2; seen++) {
		if (seen) {
			teardown(state);
			setup(state);
		}
		sl_assert_ok(spawn_with(
		        (const char *const[]) { "bash", "-c",
		                "set -m; sh -c 'echo pid=$$; exec sleep 1000' & while :; do sleep 0.05; done",
		                NULL },
		        0, 0));
		wait_until(has_output, NULL);
		wait_until(is_running, NULL);
		pid_t main_pid = f.shim.pid, shim_pid = f.shim.shim_pid, background = logged_pid();

		if (!seen)
			sl_shim_fini(&f.shim);
		kill(shim_pid, SIGKILL);
		if (seen) {
			wait_until(has_exited, NULL);
		} else {
			assert_int_equal(waitpid(shim_pid, NULL, 0), shim_pid);
			sl_assert_ok(sl_shim_adopt(&f.shim, &f.loop, f.dir, changed, NULL));
		}
		assert_int_equal(f.shim.state, SL_SHIM_EXITED);
		assert_string_equal(f.shim.exit.reason, "Lost");
		assert_int_equal(f.shim.exit.code, 137);
		wait_until(is_dead, &main_pid);
		wait_until(is_dead, &background);
	}
}

/* --- logs by size --- */

static void logs_rotate_without_losing_a_line(void **state)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf all = { 0 };
	static const char *const names[] = { "log.3", "log.2", "log.1", "log" };
	int last = -1;

	(void)state;
	sl_assert_ok(
	        spawn_with((const char *const[]) { "sh", "-c",
	                           "i=0; while [ $i -lt 3000 ]; do echo line=$i; i=$((i+1)); done", NULL },
	                20000, 4));
	wait_until(has_exited, NULL);
	for (size_t i = 0; i < SL_ARRAY_COUNT(names); i++) {
		size_t before = sl_buf_size(&all);

		read_log(names[i], &all);
		assert_in_range(sl_buf_size(&all) - before, 1, 20000);
	}
	SL_CLEANUP(sl_free) char *too_old = sl_asprintf("%s/log.4", f.dir);
	assert_false(sl_path_exists(too_old));
	for (const char *p = sl_buf_cstr(&all); (p = strstr(p, "line=")); p++) {
		assert_true(last < 0 || atoi(p + 5) == last + 1);
		last = atoi(p + 5);
	}
	assert_int_equal(last, 2999);
}

static void records_are_read_strictly(void **state)
{
	static const struct {
		const char *in;
		sl_err err;
	} cases[] = {
		{ "0 0 5 6 Completed\n\n", SL_OK },
		{ "128 0 0 6 StartError\nno-such: not found\n", SL_OK },
		{ "", SL_ERR_MALFORMED },
		{ "0 0 5", SL_ERR_MALFORMED },
		{ "x 0 5 6 Completed\n", SL_ERR_MALFORMED },
	};
	int dir_fd = open(f.temp, O_RDONLY | O_DIRECTORY);
	struct sl_shim_exit e;

	(void)state;
	sl_assert_err(sl_shim_exit_read(dir_fd, &e), SL_ERR_NOT_FOUND);
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_free) char *path = sl_asprintf("%s/exit", f.temp);

		sl_assert_ok(sl_file_write(path, sl_str_c(cases[i].in), 0600));
		sl_assert_err(sl_shim_exit_read(dir_fd, &e), cases[i].err);
	}
	close(dir_fd);
}

#define ROW(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		ROW(ends_are_recorded),
		ROW(the_same_folder_is_not_used_twice),
		ROW(stop_asks_first),
		ROW(stop_kills_after_the_grace_period),
		ROW(a_second_stop_may_shorten_the_first),
		ROW(nothing_outlives_the_process),
		ROW(a_killed_supervisor_is_replaced),
		ROW(an_end_of_what_this_turn_forgot_is_nothing),
		ROW(an_end_nobody_saw_is_found),
		ROW(a_killed_shim_takes_its_process_along),
		ROW(logs_rotate_without_losing_a_line),
		ROW(records_are_read_strictly),
	};

	if (argc > 1 && strcmp(argv[1], "shim") == 0)
		return sl_shim_main(argc - 1, argv + 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
