#include "os/process.h"

#include "os/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { STANDARD_FDS = 3, KEEP_MOST = 16 };

/*
 * The child's descriptors are made by dup2 onto 0, 1, 2, 3, ...; the sources are first copied above all of these, so that
 * none is overwritten before its turn.
 */
static sl_err lift_fds(const struct sl_spawn *how, int fds[STANDARD_FDS + KEEP_MOST])
{
	const int standard[STANDARD_FDS] = { how->stdin_fd, how->stdout_fd, how->stderr_fd };
	size_t count = STANDARD_FDS + how->keep_fd_count;

	for (size_t i = 0; i < count; i++) {
		int from = i < STANDARD_FDS ? standard[i] : how->keep_fds[i - STANDARD_FDS], null_fd = -1;

		if (from < 0)
			from = null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		fds[i] = from < 0 ? -1 : fcntl(from, F_DUPFD_CLOEXEC, (int)count);
		sl_fd_close(&null_fd);
		if (fds[i] < 0)
			return sl_err_from_errno(errno);
	}
	return SL_OK;
}

static int fill_actions(posix_spawn_file_actions_t *actions, const struct sl_spawn *how, const int *fds)
{
	int count = (int)(STANDARD_FDS + how->keep_fd_count), failed = 0;

	if (how->cwd)
		failed = posix_spawn_file_actions_addchdir_np(actions, how->cwd);
	for (int i = 0; i < count && !failed; i++)
		failed = posix_spawn_file_actions_adddup2(actions, fds[i], i);
	return failed ? failed : posix_spawn_file_actions_addclosefrom_np(actions, count);
}

static void fill_attributes(posix_spawnattr_t *attributes, const struct sl_spawn *how)
{
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	sigset_t set;

	sigemptyset(&set);
	posix_spawnattr_setsigmask(attributes, &set);
	sigfillset(&set);
	posix_spawnattr_setsigdefault(attributes, &set);
	if (how->new_session)
		flags = (short)(flags | POSIX_SPAWN_SETSID);
	else if (how->new_group)
		flags = (short)(flags | POSIX_SPAWN_SETPGROUP); /* group 0: its own */
	posix_spawnattr_setflags(attributes, flags);
}

static int spawn(const struct sl_spawn *how, const int *fds, pid_t *ret_pid)
{
	char *const *argv = (char *const *)(uintptr_t)how->argv;
	char *const *env = how->env ? (char *const *)(uintptr_t)how->env : environ;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int failed;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	fill_attributes(&attributes, how);
	failed = fill_actions(&actions, how, fds);
	if (!failed)
		failed = posix_spawnp(ret_pid, argv[0], &actions, &attributes, argv, env);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return failed;
}

sl_err sl_spawn(const struct sl_spawn *how, struct sl_process *ret_p, struct sl_diag *diag)
{
	int fds[STANDARD_FDS + KEEP_MOST], failed = 0;
	struct sl_process p = SL_PROCESS_NONE;
	sl_err err;

	if (how->keep_fd_count > KEEP_MOST)
		return sl_diag_fail(diag, SL_ERR_RANGE, NULL, NULL,
		        "cannot pass on %zu descriptors: %d is the most", how->keep_fd_count, KEEP_MOST);
	for (size_t i = 0; i < SL_ARRAY_COUNT(fds); i++)
		fds[i] = -1;
	err = lift_fds(how, fds);
	if (err == SL_OK)
		failed = spawn(how, fds, &p.pid);
	for (size_t i = 0; i < SL_ARRAY_COUNT(fds); i++)
		sl_fd_close(&fds[i]);
	if (failed)
		err = failed == EAGAIN || failed == ENOMEM ? SL_ERR_UNAVAILABLE : sl_err_from_errno(failed);
	if (err != SL_OK)
		return sl_diag_fail(diag, err, NULL, NULL, "cannot start %s%s%s: %s", how->argv[0],
		        how->cwd ? " in " : "", how->cwd ? how->cwd : "",
		        failed ? strerror(failed) : sl_err_text(err));
	/* Not collected yet, so the pid is still this child's, even if it has ended. */
	p.pidfd = pidfd_open(p.pid, 0);
	SL_IGNORE(
	        sl_process_start_time(p.pid, &p.start_time)); /* a zombie has one too; 0 only without /proc */
	*ret_p = p;
	return SL_OK;
}

sl_err sl_process_start_time(pid_t pid, uint64_t *ret_ticks)
{
	enum { STATE_FIELD = 3, START_FIELD = 22 };
	char path[40], text[1024];
	sl_str rest, field = SL_STR_NONE;
	char *comm_end;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return SL_ERR_NOT_FOUND;
	n = read(fd, text, sizeof(text) - 1);
	sl_fd_close(&fd);
	if (n <= 0)
		return SL_ERR_NOT_FOUND; /* it ended in between */
	text[n] = 0;
	comm_end = strrchr(text, ')'); /* the name within may hold anything, also ')' and spaces */
	if (!comm_end || comm_end[1] != ' ')
		return SL_ERR_NOT_FOUND;
	rest = sl_str_c(comm_end + 2);
	for (int i = STATE_FIELD; i <= START_FIELD; i++) {
		if (!sl_str_split(&rest, ' ', &field) && i < START_FIELD)
			return SL_ERR_NOT_FOUND;
	}
	return sl_str_to_u64(field, ret_ticks) == SL_OK ? SL_OK : SL_ERR_NOT_FOUND;
}

sl_err sl_process_open(pid_t pid, uint64_t start_time, struct sl_process *ret_p)
{
	struct sl_process p = { .pid = pid };

	if (pid <= 0)
		return SL_ERR_NOT_FOUND;
	p.pidfd = pidfd_open(pid, 0);
	if (p.pidfd < 0)
		return errno == ESRCH || errno == EINVAL ? SL_ERR_NOT_FOUND : sl_err_from_errno(errno);
	/* Read after the pidfd pins the process: were it another by now, its start time would differ. */
	if (sl_process_start_time(pid, &p.start_time) != SL_OK ||
	        (start_time && p.start_time != start_time) || !sl_process_alive(&p)) {
		sl_process_fini(&p);
		return SL_ERR_NOT_FOUND;
	}
	*ret_p = p;
	return SL_OK;
}

void sl_process_fini(struct sl_process *p)
{
	if (p->pid)
		sl_fd_close(&p->pidfd);
	*p = SL_PROCESS_NONE;
}

bool sl_process_alive(const struct sl_process *p)
{
	struct pollfd ended = { .fd = p->pidfd, .events = POLLIN };

	return p->pid && p->pidfd >= 0 && poll(&ended, 1, 0) == 0;
}

static sl_err collect(struct sl_process *p, int options, struct sl_exit *ret_exit)
{
	siginfo_t info = { 0 };
	int failed;

	if (!p->pid)
		return SL_ERR_NOT_FOUND;
	do {
		failed = p->pidfd >= 0 ? waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | options)
		                       : waitid(P_PID, (id_t)p->pid, &info, WEXITED | options);
	} while (failed && errno == EINTR);
	if (failed)
		return SL_ERR_NOT_FOUND;
	if (info.si_pid == 0)
		return SL_ERR_AGAIN;
	ret_exit->signalled = info.si_code != CLD_EXITED;
	ret_exit->code = info.si_status;
	return SL_OK;
}

sl_err sl_process_reap(struct sl_process *p, struct sl_exit *ret_exit)
{
	return collect(p, WNOHANG, ret_exit);
}

sl_err sl_process_wait(struct sl_process *p, struct sl_exit *ret_exit)
{
	return collect(p, 0, ret_exit);
}

static sl_err signal_error(int errnum)
{
	return errnum == ESRCH ? SL_ERR_NOT_FOUND : sl_err_from_errno(errnum);
}

sl_err sl_process_signal(const struct sl_process *p, int signo)
{
	if (!p->pid || p->pidfd < 0)
		return SL_ERR_NOT_FOUND;
	return pidfd_send_signal(p->pidfd, signo, NULL, 0) == 0 ? SL_OK : signal_error(errno);
}

sl_err sl_process_signal_group(const struct sl_process *p, int signo)
{
	uint64_t start;

	if (p->pid <= 1) /* -1 would mean everyone */
		return SL_ERR_NOT_FOUND;
	/* A group's number is not given out again while the group lives; when its number runs as another process, it has gone. */
	if (sl_process_start_time(p->pid, &start) == SL_OK && p->start_time && start != p->start_time)
		return SL_ERR_NOT_FOUND;
	return kill(-p->pid, signo) == 0 ? SL_OK : signal_error(errno);
}
