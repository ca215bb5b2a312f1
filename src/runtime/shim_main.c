/*
 * The shim's program. One thread, one poll loop, nothing from the heap: what it needs to keep a process for months is a few
 * pages. It must not fail once its process runs, so every error after that is borne: a log that cannot be written loses
 * lines, a control connection that misbehaves is closed.
 */
#include "runtime/logfile.h"
#include "runtime/shim_priv.h"

#include "os/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONNS_MOST = 8, STREAMS = 2 };

struct shim {
	int signal_fd, listener, dir_fd;
	int conns[CONNS_MOST];   /* -1: free */
	int streams[STREAMS];    /* our ends of the pipes; -1: closed */
	pid_t child;             /* leader of its process group */
	bool running, reaped;    /* the child: started; ended and waited for */
	bool stopping;           /* got its SIGTERM */
	sl_nsec kill_at;         /* monotonic: SIGKILL then; SL_NSEC_MAX: never */
	struct sl_shim_exit end; /* being filled in */
	struct sl_log_part parts[STREAMS];
	struct sl_log_writer log;
	char chunk[32 * 1024];
};

/* Untouched pages of it cost nothing; a stack or heap of that size would not be cheaper. */
static struct shim shim;

/* --- the process --- */

static void kill_group(int signo)
{
	if (shim.running && !shim.reaped)
		kill(-shim.child, signo);
}

static void stop(sl_nsec grace)
{
	sl_nsec at = sl_clock_mono() + grace;

	if (!shim.stopping && grace > 0)
		kill_group(SIGTERM);
	shim.stopping = true;
	if (at < shim.kill_at)
		shim.kill_at = at;
}

/* In the child: from here to exec or the report of why not. */
static void become(char **command, const char *cwd, int out, int err, int report, pid_t parent)
{
	sigset_t none;
	int errnum;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGHUP, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	if (cwd[0] == 0 || chdir(cwd) == 0)
		execvp(command[0], command);
	errnum = errno;
	if (write(report, &errnum, sizeof(errnum)) < 0)
		_exit(126);
	_exit(127);
}

static void start_failed(const char *what, int errnum)
{
	shim.end.code = 128;
	snprintf(shim.end.reason, sizeof(shim.end.reason), "StartError");
	snprintf(shim.end.text, sizeof(shim.end.text), "%.100s: %s", what, strerror(errnum));
	shim.reaped = true;
}

static void start(char **command, const char *cwd)
{
	int pipes[STREAMS][2], report[2], errnum = 0;
	pid_t self = getpid();

	if (pipe2(pipes[0], O_CLOEXEC) < 0 || pipe2(pipes[1], O_CLOEXEC) < 0 ||
	        pipe2(report, O_CLOEXEC) < 0) {
		start_failed("pipe", errno);
		return;
	}
	shim.end.started_at = sl_clock_real();
	shim.child = fork();
	if (shim.child == 0)
		become(command, cwd, pipes[0][1], pipes[1][1], report[1], self);
	close(report[1]);
	for (int i = 0; i < STREAMS; i++) {
		close(pipes[i][1]);
		fcntl(pipes[i][0], F_SETFL, O_NONBLOCK);
		shim.streams[i] = pipes[i][0];
	}
	if (shim.child < 0) {
		start_failed("fork", errno);
	} else if (read(report[0], &errnum, sizeof(errnum)) == (ssize_t)sizeof(errnum)) {
		waitpid(shim.child, NULL, 0);
		start_failed(command[0], errnum);
	} else {
		shim.running = true;
	}
	close(report[0]);
	if (!shim.running)
		shim.end.started_at = 0;
}

static void child_ended(int status)
{
	bool signalled = WIFSIGNALED(status);

	shim.reaped = true;
	shim.end.signal = signalled ? WTERMSIG(status) : 0;
	shim.end.code = signalled ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	snprintf(shim.end.reason, sizeof(shim.end.reason), "%s", shim.end.code == 0 ? "Completed" : "Error");
}

/* True once nothing is left of it: we are the reaper of every orphan below us. */
static bool reap(void)
{
	for (;;) {
		siginfo_t ended = { 0 };
		int status;

		if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD)
			return shim.reaped;
		if (ended.si_pid == 0)
			break;
		/* What it leaves behind goes with it, as with the first process of a container. Before waitpid: its group's number is still its own. */
		if (ended.si_pid == shim.child)
			kill_group(SIGKILL);
		if (waitpid(ended.si_pid, &status, 0) == shim.child)
			child_ended(status);
	}
	if (shim.reaped)
		sl_proc_kill(SL_PROC_CHILDREN, getpid());
	return false;
}

/* --- its output --- */

static void drain(int i)
{
	for (;;) {
		ssize_t n = read(shim.streams[i], shim.chunk, sizeof(shim.chunk));

		if (n > 0) {
			sl_log_writer_add(&shim.log, &shim.parts[i], shim.chunk, (size_t)n, sl_clock_real());
			if ((size_t)n == sizeof(shim.chunk) && !shim.reaped)
				return; /* others want to be heard too; poll comes back to it */
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		break;
	}
	close(shim.streams[i]);
	shim.streams[i] = -1;
}

/* --- control connections --- */

static void tell(int *conn)
{
	char m[SL_SHIM_MESSAGE_BYTES];
	int n = snprintf(m, sizeof(m), "running %d %d %" PRId64, shim.child, getpid(), shim.end.started_at);

	if (send(*conn, m, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		close(*conn);
		*conn = -1;
	}
}

static void accept_conn(void)
{
	int fd = accept4(shim.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	for (int i = 0; i < CONNS_MOST; i++) {
		if (shim.conns[i] >= 0)
			continue;
		shim.conns[i] = fd;
		tell(&shim.conns[i]);
		return;
	}
	close(fd);
}

static void hear(int *conn)
{
	char m[SL_SHIM_MESSAGE_BYTES];
	ssize_t n = recv(*conn, m, sizeof(m) - 1, MSG_DONTWAIT);
	int64_t grace_ms;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		m[n] = 0;
		if (sscanf(m, "stop %" SCNd64, &grace_ms) == 1 && grace_ms >= 0 && grace_ms < INT32_MAX) {
			stop(SL_MSEC(grace_ms));
			return;
		}
	}
	close(*conn);
	*conn = -1;
}

/* --- the whole --- */

static void prepare(char **argv)
{
	sigset_t mine;

	shim.kill_at = SL_NSEC_MAX;
	shim.parts[0].stream = "stdout";
	shim.parts[1].stream = "stderr";
	for (int i = 0; i < CONNS_MOST; i++)
		shim.conns[i] = -1;
	for (int fd = SL_SHIM_FD_CONN; fd < SL_SHIM_FD_CONN + SL_SHIM_FD_COUNT; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	shim.conns[0] = SL_SHIM_FD_CONN;
	shim.listener = SL_SHIM_FD_LISTENER;
	shim.dir_fd = SL_SHIM_FD_DIR;
	for (int i = 0; i < STREAMS; i++)
		shim.streams[i] = -1;

	prctl(PR_SET_NAME, "sluice-shim");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigemptyset(&mine);
	sigaddset(&mine, SIGCHLD);
	sigaddset(&mine, SIGTERM);
	sigprocmask(SIG_SETMASK, &mine, NULL);
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	shim.signal_fd = signalfd(-1, &mine, SFD_CLOEXEC | SFD_NONBLOCK);
	sl_shim_lock_write(SL_SHIM_FD_LOCK);
	sl_log_writer_init(&shim.log, shim.dir_fd, strtoull(argv[1], NULL, 10), (unsigned)atoi(argv[2]));
}

static int poll_timeout_ms(void)
{
	sl_nsec left;

	if (shim.reaped)
		return 20; /* what was killed may take a moment to go */
	if (shim.kill_at == SL_NSEC_MAX)
		return -1;
	left = shim.kill_at - sl_clock_mono();
	return left <= 0 ? 0 : (int)(left / SL_MSEC(1)) + 1;
}

static void take_signals(void)
{
	struct signalfd_siginfo info;

	while (read(shim.signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		if (info.ssi_signo == SIGTERM) /* the machine is going down, or someone means the process */
			stop(SL_SEC(30));
}

static void turn(void)
{
	struct pollfd fds[2 + STREAMS + CONNS_MOST];
	int n = 0;

	fds[n++] = (struct pollfd) { .fd = shim.signal_fd, .events = POLLIN };
	fds[n++] = (struct pollfd) { .fd = shim.listener, .events = POLLIN };
	for (int i = 0; i < STREAMS; i++)
		fds[n++] = (struct pollfd) { .fd = shim.streams[i], .events = POLLIN };
	for (int i = 0; i < CONNS_MOST; i++)
		fds[n++] = (struct pollfd) { .fd = shim.conns[i], .events = POLLIN };
	if (poll(fds, (nfds_t)n, poll_timeout_ms()) < 0)
		return;

	if (fds[0].revents)
		take_signals();
	for (int i = 0; i < STREAMS; i++)
		if (fds[2 + i].revents)
			drain(i);
	for (int i = 0; i < CONNS_MOST; i++)
		if (fds[2 + STREAMS + i].revents)
			hear(&shim.conns[i]);
	if (fds[1].revents)
		accept_conn();
	if (sl_clock_mono() >= shim.kill_at) {
		shim.kill_at = SL_NSEC_MAX;
		kill_group(SIGKILL);
	}
}

int sl_shim_main(int argc, char **argv)
{
	if (argc <= SL_SHIM_ARGS_BEFORE || fcntl(SL_SHIM_FD_DIR, F_GETFD) < 0) {
		fprintf(stderr, "shim: started by sluiced, not by hand\n");
		return 2;
	}
	prepare(argv);
	start(argv + SL_SHIM_ARGS_BEFORE, argv[3]);
	if (shim.running && shim.conns[0] >= 0)
		tell(&shim.conns[0]);
	while (shim.running && !reap())
		turn();

	shim.end.ended_at = sl_clock_real();
	for (int i = 0; i < STREAMS; i++) {
		if (shim.streams[i] >= 0)
			drain(i);
		sl_log_writer_end(&shim.log, &shim.parts[i], shim.end.ended_at);
	}
	sl_err err = sl_shim_exit_write(shim.dir_fd, &shim.end);
	_exit(err == SL_OK ? 0 : 1); /* closes the connections: that is the message */
}
