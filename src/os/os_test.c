#include "base/test.h"

#include "os/clock.h"
#include "os/file.h"
#include "os/io.h"
#include "os/process.h"
#include "os/random.h"
#include "os/socket.h"
#include "os/thread.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_addresses(void **state)
{
	static const struct {
		const char *in;
		sl_err err;
		const char *out, *ip;
		uint16_t port;
		bool loopback;
	} cases[] = {
		{ "127.0.0.1:80", SL_OK, "127.0.0.1:80", "127.0.0.1", 80, true },
		{ "0.0.0.0:0", SL_OK, "0.0.0.0:0", "0.0.0.0", 0, false },
		{ "10.1.2.3:65535", SL_OK, "10.1.2.3:65535", "10.1.2.3", 65535, false },
		{ "[::1]:8080", SL_OK, "[::1]:8080", "::1", 8080, true },
		{ "[0:0::0]:1", SL_OK, "[::]:1", "::", 1, false },
		{ "unix:/tmp/x.sock", SL_OK, "unix:/tmp/x.sock", "", 0, true },
		{ "unix:@name", SL_OK, "unix:@name", "", 0, true },
		{ "", SL_ERR_MALFORMED, NULL, NULL, 0, false },
		{ "127.0.0.1", SL_ERR_MALFORMED, NULL, NULL, 0, false },
		{ "127.0.0.1:", SL_ERR_MALFORMED, NULL, NULL, 0, false },
		{ "127.0.0.1:+1", SL_ERR_MALFORMED, NULL, NULL, 0, false },
		{ "127.0.0.1:65536", SL_ERR_RANGE, NULL, NULL, 0, false },
		{ "127.0.0.256:1", SL_ERR_MALFORMED, NULL, NULL, 0, false },
		{ "127.1:1", SL_ERR_MALFORMED, NULL, NULL, 0, false },
		{ "::1:80", SL_ERR_MALFORMED, NULL, NULL, 0, false },
		{ "[127.0.0.1]:80", SL_ERR_MALFORMED, NULL, NULL, 0, false },
		{ "[::1", SL_ERR_MALFORMED, NULL, NULL, 0, false },
		{ "[::1]", SL_ERR_MALFORMED, NULL, NULL, 0, false },
		{ "[::1]80", SL_ERR_MALFORMED, NULL, NULL, 0, false },
		{ "localhost:80", SL_ERR_MALFORMED, NULL, NULL, 0, false },
		{ "unix:", SL_ERR_MALFORMED, NULL, NULL, 0, false },
	};
	char text[SL_ADDR_TEXT_BYTES], ip[INET6_ADDRSTRLEN];
	struct sl_addr a, b;

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		sl_assert_err(sl_addr_parse(&a, sl_str_c(cases[i].in)), cases[i].err);
		if (cases[i].err != SL_OK)
			continue;
		assert_string_equal(sl_addr_format(text, &a), cases[i].out);
		assert_string_equal(sl_addr_format_ip(ip, &a), cases[i].ip);
		assert_int_equal(sl_addr_port(&a), cases[i].port);
		assert_int_equal(sl_addr_is_loopback(&a), cases[i].loopback);
		sl_assert_ok(sl_addr_parse(&b, sl_str_c(text)));
		assert_true(sl_addr_eq(&a, &b));
	}
	sl_assert_ok(sl_addr_parse(&a, SL_STR("127.0.0.1:1")));
	sl_assert_ok(sl_addr_parse(&b, SL_STR("127.0.0.1:2")));
	assert_false(sl_addr_eq(&a, &b));
}

static void test_address_lengths(void **state)
{
	char longest[SL_ADDR_TEXT_BYTES], text[SL_ADDR_TEXT_BYTES];
	struct sl_addr a;

	(void)state;
	memset(longest, 'a', sizeof(longest));
	for (size_t i = 0; i < 6; i++)
		longest[i] = "unix:/"[i];
	sl_assert_ok(sl_addr_parse(&a, sl_str_n(longest, 5 + 107)));
	assert_int_equal(strlen(sl_addr_format(text, &a)), 5 + 107);
	sl_assert_err(sl_addr_parse(&a, sl_str_n(longest, 5 + 108)), SL_ERR_RANGE);
	longest[5] = '@'; /* an abstract name needs no NUL at its end */
	sl_assert_ok(sl_addr_parse(&a, sl_str_n(longest, 5 + 108)));
	assert_int_equal(strlen(sl_addr_format(text, &a)), 5 + 108);
	sl_assert_err(sl_addr_parse(&a, sl_str_n("unix:a\0b", 8)), SL_ERR_MALFORMED);
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 5000) == 1;
}

static void connect_and_talk(const char *where)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	struct sl_addr a, bound, peer;
	int listening, client, served;
	char got[8];
	sl_err err;

	sl_assert_ok(sl_addr_parse(&a, sl_str_c(where)));
	sl_assert_ok(sl_listen(&a, NULL, &listening, &diag));
	sl_assert_ok(sl_socket_local(listening, &bound));
	sl_assert_err(sl_accept(listening, &served, NULL), SL_ERR_AGAIN);
	sl_assert_err(sl_listen(&bound, NULL, &served, &diag), SL_ERR_EXISTS);
	assert_non_null(strstr(sl_diag_text(&diag), "cannot bind"));
	err = sl_connect_start(&bound, NULL, &client);
	assert_true(err == SL_OK || err == SL_ERR_AGAIN);
	assert_true(readable(listening));
	sl_assert_ok(sl_accept(listening, &served, &peer));
	sl_assert_ok(sl_connect_finish(client));
	assert_int_equal(sl_sock_send(client, "hello", 5), 5);
	assert_true(readable(served));
	assert_int_equal(sl_sock_recv(served, got, sizeof(got)), 5);
	assert_memory_equal(got, "hello", 5);
	assert_true(fcntl(served, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(served, F_GETFL) & O_NONBLOCK);
	sl_fd_close(&client);
	sl_fd_close(&served);
	sl_fd_close(&listening);
	if (sl_addr_is_ip(&a)) {
		err = sl_connect_start(&bound, NULL, &client);
		if (err == SL_ERR_AGAIN) {
			assert_true(readable(client));
			err = sl_connect_finish(client);
			sl_fd_close(&client);
		}
		sl_assert_err(err, SL_ERR_REFUSED);
	}
}

static void test_sockets(void **state)
{
	char *dir, path[200];

	(void)state;
	sl_assert_ok(sl_dir_make_temp("os", &dir));
	connect_and_talk("127.0.0.1:0");
	connect_and_talk("[::1]:0");
	snprintf(path, sizeof(path), "unix:@sluice-os-test-%d", (int)getpid());
	connect_and_talk(path);
	snprintf(path, sizeof(path), "unix:%s/s", dir);
	connect_and_talk(path);
	connect_and_talk(path); /* the stale file of the first is replaced */
	snprintf(path, sizeof(path), "%s/plain", dir);
	sl_assert_ok(sl_file_write(path, SL_STR("x"), 0600));
	snprintf(path, sizeof(path), "unix:%s/plain", dir);
	{
		struct sl_addr a;
		int fd;

		sl_assert_ok(sl_addr_parse(&a, sl_str_c(path)));
		sl_assert_err(sl_listen(&a, NULL, &fd, NULL), SL_ERR_EXISTS); /* not a socket: left alone */
		assert_true(sl_path_exists(a.un.sun_path));
	}
	sl_assert_ok(sl_path_remove(dir));
	sl_free(dir);
}

static void test_reuse_port(void **state)
{
	struct sl_listen_options shared = { .reuse_port = true };
	struct sl_addr a;
	int first, second;

	(void)state;
	sl_assert_ok(sl_addr_parse(&a, SL_STR("127.0.0.1:0")));
	sl_assert_ok(sl_listen(&a, &shared, &first, NULL));
	sl_assert_ok(sl_socket_local(first, &a));
	sl_assert_ok(sl_listen(&a, &shared, &second, NULL));
	sl_fd_close(&first);
	sl_fd_close(&second);
	sl_assert_ok(sl_addr_parse(&a, SL_STR("192.0.2.1:0"))); /* TEST-NET-1: not ours */
	sl_assert_err(sl_listen(&a, NULL, &first, NULL), SL_ERR_UNAVAILABLE);
}

static void test_faults(void **state)
{
	struct sl_fault plan = { .read_most_bytes = 3, .write_most_bytes = 2, .reset_after_bytes = 9 };
	struct iovec parts[3] = { { NULL, 0 }, { "abcd", 4 }, { "ef", 2 } };
	char got[16];
	int fds[2];

	(void)state;
	sl_assert_ok(sl_socket_pair(fds));
	assert_int_equal(sl_sock_sendv(fds[0], parts, 3), 6);
	assert_int_equal(sl_sock_recv(fds[1], got, sizeof(got)), 6);
	assert_memory_equal(got, "abcdef", 6);
	if (!sl_fault_set(fds[0], &plan)) {
		print_message("fault injection is not in this build\n");
		sl_fd_close(&fds[0]);
		sl_fd_close(&fds[1]);
		skip();
	}
	assert_int_equal(sl_sock_send(fds[0], "abcdef", 6), 2);
	assert_int_equal(sl_fault_take_rearm(), fds[0]);
	assert_int_equal(sl_fault_take_rearm(), -1);
	assert_int_equal(sl_sock_sendv(fds[0], parts, 3), 2);
	assert_int_equal(sl_sock_send(fds[1], "abcdef", 6), 6);
	assert_int_equal(sl_sock_recv(fds[0], got, sizeof(got)), 3);
	assert_int_equal(sl_sock_recv(fds[0], got, 2), 2);
	assert_int_equal(sl_sock_recv(fds[0], got, 2), -1); /* 9 bytes went through */
	assert_int_equal(errno, ECONNRESET);
	plan = (struct sl_fault) { .again_one_in = 1 };
	assert_true(sl_fault_set(fds[0], &plan));
	assert_int_equal(sl_sock_send(fds[0], "a", 1), -1);
	assert_int_equal(errno, EAGAIN);
	sl_fault_clear(fds[0]);
	assert_int_equal(sl_fault_take_rearm(), -1);
	assert_int_equal(sl_sock_send(fds[0], "a", 1), 1);
	sl_fd_close(&fds[0]);
	sl_fd_close(&fds[1]);
}

static void test_files(void **state)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };
	char *dir, path[200], deep[300];
	struct stat st;

	(void)state;
	sl_assert_ok(sl_dir_make_temp("os", &dir));
	snprintf(deep, sizeof(deep), "%s/a/b/c/", dir);
	sl_assert_ok(sl_dir_make(deep, 0700));
	sl_assert_ok(sl_dir_make(deep, 0700));
	snprintf(path, sizeof(path), "%s/a/f", dir);
	sl_assert_ok(sl_file_write(path, SL_STR("one"), 0640));
	sl_assert_ok(sl_file_write(path, SL_STR("two"), 0600));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	sl_buf_c(&b, "before ");
	sl_assert_ok(sl_file_read(path, 3, &b));
	sl_assert_str(sl_buf_str(&b), "before two");
	sl_assert_err(sl_file_read(path, 2, &b), SL_ERR_TOO_BIG);
	sl_assert_str(sl_buf_str(&b), "before two"); /* nothing half-read */
	sl_assert_err(sl_file_read("/nonexistent/x", 1, &b), SL_ERR_NOT_FOUND);
	sl_assert_err(sl_file_write("/nonexistent/x", SL_STR("x"), 0600), SL_ERR_NOT_FOUND);
	snprintf(deep, sizeof(deep), "%s/g", path);
	sl_assert_err(sl_dir_make(path, 0700), SL_ERR_EXISTS);
	snprintf(deep, sizeof(deep), "%s/a/link", dir);
	assert_int_equal(symlink("/etc", deep), 0);
	sl_assert_ok(sl_path_remove(dir));
	assert_false(sl_path_exists(dir));
	assert_true(sl_path_exists("/etc/passwd")); /* the link was not followed */
	sl_assert_ok(sl_path_remove(dir));
	sl_free(dir);
}

static void test_random(void **state)
{
	struct sl_prng a, b;
	uint32_t seen[6] = { 0 };
	char first[37], second[37];

	(void)state;
	sl_prng_seed(&a, 42);
	sl_prng_seed(&b, 42);
	for (int i = 0; i < 6000; i++) {
		double u = sl_prng_unit(&b);

		assert_true(u >= 0 && u < 1);
		(void)sl_prng_next(&a);
	}
	assert_memory_equal(&a, &b, sizeof(a)); /* one step each, the same sequence */
	for (int i = 0; i < 6000; i++)
		seen[sl_prng_below(&a, 6)]++;
	for (int i = 0; i < 6; i++)
		assert_in_range(seen[i], 850, 1150); /* 1000 expected, five standard deviations */
	assert_int_equal(sl_prng_below(&a, 1), 0);
	assert_int_equal(sl_prng_below(&a, 0), 0);
	assert_int_equal(strlen(sl_random_uuid(first)), 36);
	assert_int_equal(first[14], '4');
	assert_string_not_equal(first, sl_random_uuid(second));
	assert_ptr_equal(sl_prng_thread(), sl_prng_thread());
}

static void note_thread(void *arg)
{
	struct sl_prng **seen = arg;
	sigset_t blocked;

	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	if (sigismember(&blocked, SIGTERM))
		*seen = sl_prng_thread();
	SL_IGNORE(sl_thread_pin(0)); /* may be refused in a restricted set of cpus */
}

static void test_threads(void **state)
{
	struct sl_prng *seen = NULL;
	struct sl_thread t = { 0 };

	(void)state;
	sl_thread_join(&t);
	sl_assert_ok(sl_thread_start(&t, "a-name-longer-than-fifteen", note_thread, &seen));
	sl_thread_join(&t);
	assert_non_null(seen);
	assert_ptr_not_equal(seen, sl_prng_thread());
	assert_true(sl_cpu_count() >= 1);
	sl_assert_err(sl_thread_pin(1u << 20), SL_ERR_RANGE);
}

static void run_child(struct sl_spawn *how, const char *wanted, int code)
{
	char got[512];
	struct sl_process p;
	struct sl_exit end;
	size_t len = 0;
	ssize_t n;
	int out[2];

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	how->stdout_fd = out[1];
	sl_assert_ok(sl_spawn(how, &p, NULL));
	close(out[1]);
	while ((n = read(out[0], got + len, sizeof(got) - len)) > 0)
		len += (size_t)n;
	close(out[0]);
	assert_true(readable(p.pidfd));
	assert_false(sl_process_alive(&p));
	sl_assert_ok(sl_process_reap(&p, &end));
	sl_assert_err(sl_process_reap(&p, &end), SL_ERR_NOT_FOUND);
	assert_false(end.signalled);
	assert_int_equal(end.code, code);
	sl_assert_str(sl_str_n(got, len), wanted);
	sl_process_fini(&p);
}

static void test_spawn(void **state)
{
	const char *const env[] = { "WORD=here", "PATH=/usr/bin:/bin", NULL };
	const char *const argv[] = { "sh", "-c",
		"echo $WORD; pwd; cat <&3; cat <&4; cat; ls /proc/self/fd | wc -l; exit 7", NULL };
	int third[2], fourth[2], keep[2];
	struct sl_spawn how = { .argv = argv,
		.env = env,
		.cwd = "/",
		.stdin_fd = -1,
		.stderr_fd = -1,
		.keep_fds = keep,
		.keep_fd_count = 2 };

	(void)state;
	assert_int_equal(pipe2(third, O_CLOEXEC), 0);
	assert_int_equal(pipe2(fourth, O_CLOEXEC), 0);
	assert_int_equal(write(third[1], "three\n", 6), 6);
	assert_int_equal(write(fourth[1], "four\n", 5), 5);
	close(third[1]);
	close(fourth[1]);
	keep[0] = third[0];
	keep[1] = fourth[0];
	/* ls sees 0 to 4 and its own folder: nothing of ours leaks */
	run_child(&how, "here\n/\nthree\nfour\n6\n", 7);
	close(third[0]);
	close(fourth[0]);
}

static void test_spawn_failures(void **state)
{
	static const struct {
		const char *program, *cwd;
		sl_err err;
	} cases[] = {
		{ "/nonexistent/program", NULL, SL_ERR_NOT_FOUND },
		{ "no-such-program-in-path", NULL, SL_ERR_NOT_FOUND },
		{ "true", "/nonexistent", SL_ERR_NOT_FOUND },
		{ "/etc/passwd", NULL, SL_ERR_FORBIDDEN },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
		const char *const argv[] = { cases[i].program, NULL };
		struct sl_spawn how = {
			.argv = argv, .cwd = cases[i].cwd, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1
		};
		struct sl_process p = SL_PROCESS_NONE;

		sl_assert_err(sl_spawn(&how, &p, &diag), cases[i].err);
		assert_non_null(strstr(sl_diag_text(&diag), cases[i].program));
		assert_int_equal(p.pid, 0);
	}
}

static void test_process_identity(void **state)
{
	const char *const argv[] = { "sh", "-c", "sleep 100 & echo; wait", NULL };
	struct sl_spawn how = { .argv = argv, .stdin_fd = -1, .stderr_fd = -1, .new_session = true };
	struct sl_process p, again;
	struct sl_exit end;
	int out[2];

	(void)state;
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	how.stdout_fd = out[1];
	sl_assert_ok(sl_spawn(&how, &p, NULL));
	close(out[1]);
	assert_true(readable(out[0])); /* its sleep has started */
	assert_true(p.start_time > 0);
	sl_assert_ok(sl_process_open(p.pid, p.start_time, &again));
	assert_true(sl_process_alive(&again));
	sl_assert_err(sl_process_open(p.pid, p.start_time + 1, &again), SL_ERR_NOT_FOUND);
	sl_assert_err(sl_process_reap(&p, &end), SL_ERR_AGAIN);
	sl_assert_ok(sl_process_signal(&p, SIGKILL));
	sl_assert_ok(sl_process_wait(&p, &end));
	assert_true(end.signalled);
	assert_int_equal(end.code, SIGKILL);
	sl_assert_err(sl_process_signal(&p, SIGTERM), SL_ERR_NOT_FOUND);
	sl_assert_ok(sl_process_signal_group(&p, SIGKILL)); /* the leader is gone, its child is not */
	while (sl_process_signal_group(&p, 0) ==
	        SL_OK) /* init collects it; the test's timeout is the deadline */
		sched_yield();
	sl_process_fini(&p);
	sl_process_fini(&again);
	close(out[0]);
	sl_assert_err(sl_process_open(0, 0, &p), SL_ERR_NOT_FOUND);
}

static void test_clocks(void **state)
{
	sl_nsec before = sl_clock_mono();

	(void)state;
	assert_true(sl_clock_mono() >= before);
	assert_true(sl_clock_real() > SL_SEC(1577836800)); /* 2020 */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_address_lengths),
		cmocka_unit_test(test_sockets),
		cmocka_unit_test(test_reuse_port),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_spawn),
		cmocka_unit_test(test_spawn_failures),
		cmocka_unit_test(test_process_identity),
		cmocka_unit_test(test_clocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
