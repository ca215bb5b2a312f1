#include "runtime/shim_priv.h"

#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

sl_err sl_shim_exit_write(int dir_fd, const struct sl_shim_exit *exit)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "%d %d %" PRId64 " %" PRId64 " %s\n%s\n", exit->code,
	        exit->signal, exit->started_at, exit->ended_at, exit->reason, exit->text);
	int fd = openat(dir_fd, "exit.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return SL_ERR_IO;
	bool written = write(fd, line, (size_t)n) == n;
	if (close(fd) < 0 || !written || renameat(dir_fd, "exit.new", dir_fd, "exit") < 0)
		return SL_ERR_IO;
	return SL_OK;
}

sl_err sl_shim_exit_read(int dir_fd, struct sl_shim_exit *ret_exit)
{
	struct sl_shim_exit e = { 0 };
	char line[512];
	int fd = openat(dir_fd, "exit", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? SL_ERR_NOT_FOUND : sl_err_from_errno(errno);
	ssize_t n = read(fd, line, sizeof(line) - 1);
	close(fd);
	if (n < 0)
		return SL_ERR_IO;
	line[n] = 0;
	if (sscanf(line, "%d %d %" SCNd64 " %" SCNd64 " %31[A-Za-z]\n%159[^\n]", &e.code, &e.signal,
	            &e.started_at, &e.ended_at, e.reason, e.text) < 5)
		return SL_ERR_MALFORMED;
	*ret_exit = e;
	return SL_OK;
}

static void boot_id(char dst[40])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, dst, 36);

	dst[n > 0 ? n : 0] = 0;
	if (fd >= 0)
		close(fd);
}

void sl_shim_lock_write(int lock_fd)
{
	char boot[40], line[64];

	boot_id(boot);
	int n = snprintf(line, sizeof(line), "%d %s\n", getpid(), boot);
	/* Only needed should this process be killed; its own working does not hang on it. */
	if (pwrite(lock_fd, line, (size_t)n, 0) < 0)
		return;
}

pid_t sl_shim_lock_read(int lock_fd)
{
	char boot[40], line[64], recorded[40] = "";
	ssize_t n = pread(lock_fd, line, sizeof(line) - 1, 0);
	int pid = 0;

	boot_id(boot);
	line[n > 0 ? n : 0] = 0;
	return sscanf(line, "%d %39s", &pid, recorded) == 2 && strcmp(boot, recorded) == 0 ? pid : 0;
}

/* Fields 4 and 6 of /proc/PID/stat: parent and session. They follow the command, which may hold anything, so from its last ')'. */
static bool read_stat(const char *pid_name, pid_t *ret_parent, pid_t *ret_session)
{
	char path[300], text[512];
	int fd, group;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid_name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = 0;
	const char *rest = strrchr(text, ')');
	return rest && sscanf(rest, ") %*c %d %d %d", ret_parent, &group, ret_session) == 3;
}

unsigned sl_proc_kill(enum sl_proc_match match, pid_t pid)
{
	unsigned count = 0;
	DIR *proc = opendir("/proc");

	for (struct dirent *e; proc && (e = readdir(proc));) {
		pid_t parent, session, it = (pid_t)atoi(e->d_name);

		if (it <= 1 || it == getpid() || !read_stat(e->d_name, &parent, &session))
			continue;
		if (pid == (match == SL_PROC_CHILDREN ? parent : session)) {
			kill(it, SIGKILL);
			count++;
		}
	}
	if (proc)
		closedir(proc);
	return count;
}

void sl_shim_session_kill(pid_t shim_pid)
{
	/* If that process lives it is another one: ours is dead, and a session's number is not given out again while it has members. */
	if (shim_pid <= 1 || kill(shim_pid, 0) == 0 || errno != ESRCH)
		return;
	/* A process that forks as fast as it is killed must not hold us up for ever. */
	for (int round = 0; round < 100 && sl_proc_kill(SL_PROC_SESSION, shim_pid) > 0; round++)
		;
}
