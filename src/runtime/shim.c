/* The control plane's end of a shim. */
#include "runtime/shim_priv.h"

#include "base/log.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/process.h"
#include "os/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/un.h>
#include <unistd.h>

enum { DEFAULT_LOG_MIB = 10, DEFAULT_LOG_FILES = 5 };

/* A socket's path may have 107 bytes, a folder's thousands; through /proc/self/fd it is short whatever it is. */
static struct sockaddr_un ctl_addr(int dir_fd)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/ctl", dir_fd);
	return a;
}

static int open_dir(const char *dir)
{
	return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void lost(struct sl_shim *shim, int dir_fd, pid_t shim_pid)
{
	sl_shim_session_kill(shim_pid);
	shim->exit = (struct sl_shim_exit) {
		.code = 128 + SIGKILL,
		.signal = SIGKILL,
		.started_at = shim->started_at,
		.ended_at = sl_clock_real(),
		.reason = "Lost",
		.text = "its shim ended without a word; the process was killed",
	};
	/* If it cannot be written we come to the same end at the next look. */
	SL_IGNORE(sl_shim_exit_write(dir_fd, &shim->exit));
}

/* No shim holds the lock any more: what stands in `exit` is final, and if nothing does, the shim was killed. */
static void ended(struct sl_shim *shim, int dir_fd, pid_t shim_pid)
{
	if (sl_shim_exit_read(dir_fd, &shim->exit) != SL_OK)
		lost(shim, dir_fd, shim_pid);
	shim->state = SL_SHIM_EXITED;
	shim->started_at = shim->exit.started_at;
}

static void heard(struct sl_shim *shim, char *message)
{
	int pid, shim_pid;
	int64_t started_at;

	if (sscanf(message, "running %d %d %" SCNd64, &pid, &shim_pid, &started_at) != 3 ||
	        shim->state != SL_SHIM_STARTING)
		return;
	shim->pid = pid;
	shim->shim_pid = shim_pid;
	shim->started_at = started_at;
	shim->state = SL_SHIM_RUNNING;
}

/* Reads what there is; true when the connection has ended. */
static bool take_messages(struct sl_shim *shim, int fd)
{
	for (;;) {
		char m[SL_SHIM_MESSAGE_BYTES];
		ssize_t n = recv(fd, m, sizeof(m) - 1, MSG_DONTWAIT);

		if (n > 0) {
			m[n] = 0;
			heard(shim, m);
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		return n == 0 || errno != EAGAIN;
	}
}

static void gone(struct sl_shim *shim)
{
	int dir_fd = open_dir(shim->dir);
	int lock_fd = openat(dir_fd, "lock", O_RDONLY | O_CLOEXEC);

	ended(shim, dir_fd, shim->shim_pid ? shim->shim_pid : sl_shim_lock_read(lock_fd));
	sl_fd_close(&lock_fd);
	sl_fd_close(&dir_fd);
	shim->on_change(shim);
}

static void on_io(struct sl_loop *loop, struct sl_io *io, uint32_t events)
{
	struct sl_shim *shim = SL_CONTAINER_OF(io, struct sl_shim, io);
	enum sl_shim_state before = shim->state;
	bool end = take_messages(shim, io->fd);

	(void)events;
	if (end)
		sl_loop_close(loop, io);
	if (end && shim->child_io.fd < 0)
		gone(shim);
	else if (shim->state != before)
		shim->on_change(shim);
}

/* A child of ours has to be waited for, so its end is told by this and not by the connection. */
static void on_child(struct sl_loop *loop, struct sl_io *io, uint32_t events)
{
	struct sl_shim *shim = SL_CONTAINER_OF(io, struct sl_shim, child_io);
	struct sl_exit exit;

	(void)events;
	if (sl_process_reap(&shim->process, &exit) == SL_ERR_AGAIN)
		return;
	sl_loop_remove(loop, io);
	sl_process_fini(&shim->process);
	/* It may have said that it runs, and ended, before we looked. */
	if (shim->io.fd >= 0)
		take_messages(shim, shim->io.fd);
	sl_loop_close(loop, &shim->io);
	gone(shim);
}

static void init(
        struct sl_shim *shim, struct sl_loop *loop, const char *dir, void (*on_change)(struct sl_shim *shim))
{
	*shim = (struct sl_shim) {
		.loop = loop,
		.dir = sl_strdup(dir),
		.on_change = on_change,
		.io = SL_IO_NONE,
		.child_io = SL_IO_NONE,
		.process = SL_PROCESS_NONE,
	};
}

/* --- spawning --- */

/* What the shim inherits: fds[i] is its descriptor 3 + i. ours: the other end of the first. */
struct inheritance {
	int fds[SL_SHIM_FD_COUNT];
	int ours;
};

static void inheritance_close(struct inheritance *in)
{
	for (int i = 0; i < SL_SHIM_FD_COUNT; i++)
		sl_fd_close(&in->fds[i]);
	sl_fd_close(&in->ours);
}

static sl_err inheritance_open(struct inheritance *in, const char *dir)
{
	int pair[2];

	int dir_fd = in->fds[SL_SHIM_FD_DIR - SL_SHIM_FD_CONN] = open_dir(dir);
	if (dir_fd < 0)
		return sl_err_from_errno(errno);
	int lock = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	in->fds[SL_SHIM_FD_LOCK - SL_SHIM_FD_CONN] = lock;
	if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0)
		return sl_err_from_errno(errno);
	/* Listening before the shim is there: whoever finds the folder locked can connect, at any moment. */
	struct sockaddr_un addr = ctl_addr(dir_fd);
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	in->fds[SL_SHIM_FD_LISTENER - SL_SHIM_FD_CONN] = listener;
	if (listener < 0 || bind(listener, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	        listen(listener, 8) < 0)
		return sl_err_from_errno(errno);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return sl_err_from_errno(errno);
	in->fds[0] = pair[0];
	in->ours = pair[1];
	return SL_OK;
}

static size_t count_args(const char *const *argv)
{
	size_t n = 0;

	while (argv[n])
		n++;
	return n;
}

/*
 * sluice-shim from our own program's folder, which costs a few pages; else our own program, by its name, which `ps` shows; or by the
 * kernel's link to it when an upgrade has replaced the file since.
 */
static void default_shim(char dst[PATH_MAX], const char *ret_argv[3])
{
	static const char helper[] = "sluice-shim";
	char own[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);

	own[n > 0 ? n : 0] = 0;
	size_t folder = (size_t)(strrchr(own, '/') ? strrchr(own, '/') + 1 - own : 0);

	ret_argv[0] = dst;
	ret_argv[1] = NULL;
	if (folder + sizeof(helper) <= PATH_MAX) {
		memcpy(dst, own, folder);
		memcpy(dst + folder, helper, sizeof(helper));
		if (access(dst, X_OK) == 0)
			return;
	}
	memcpy(dst, own, strlen(own) + 1);
	if (access(dst, X_OK) != 0)
		memcpy(dst, "/proc/self/exe", sizeof("/proc/self/exe"));
	ret_argv[1] = "shim";
	ret_argv[2] = NULL;
}

static sl_err spawn_shim(struct sl_shim *shim, const struct sl_shim_config *config,
        const struct inheritance *in, struct sl_diag *diag)
{
	char program[PATH_MAX];
	const char *self[3];

	default_shim(program, self);
	const char *const *start = config->shim_argv ? config->shim_argv : self;
	size_t start_count = count_args(start), count = count_args(config->argv), n = 0;
	SL_CLEANUP(sl_free) const char **argv = sl_new0_array(start_count + 3 + count + 1, sizeof(*argv));
	char bytes[24], files[16];

	snprintf(bytes, sizeof(bytes), "%" PRIu64,
	        config->log_most_bytes ? config->log_most_bytes : (uint64_t)DEFAULT_LOG_MIB << 20);
	snprintf(files, sizeof(files), "%u", config->log_files ? config->log_files : DEFAULT_LOG_FILES);
	for (const char *const *word = start; *word; word++)
		argv[n++] = *word;
	argv[n++] = bytes;
	argv[n++] = files;
	argv[n++] = config->cwd ? config->cwd : "";
	memcpy(argv + n, config->argv, count * sizeof(*argv));

	struct sl_spawn how = {
		.argv = argv,
		.env = config->env,
		.cwd = config->dir,
		.stdin_fd = -1,
		.stdout_fd = -1,
		.stderr_fd = -1,
		.keep_fds = in->fds,
		.keep_fd_count = SL_SHIM_FD_COUNT,
		.new_session = true,
	};
	SL_TRY(sl_spawn(&how, &shim->process, diag));
	shim->shim_pid = shim->process.pid;
	return sl_loop_add(shim->loop, &shim->child_io, shim->process.pidfd, SL_IO_READ, on_child);
}

sl_err sl_shim_spawn(struct sl_shim *shim, struct sl_loop *loop, const struct sl_shim_config *config,
        void (*on_change)(struct sl_shim *shim), struct sl_diag *diag)
{
	struct inheritance in = { .fds = { -1, -1, -1, -1 }, .ours = -1 };
	sl_err err = sl_dir_make(config->dir, 0700);

	init(shim, loop, config->dir, on_change);
	if (err == SL_OK)
		err = inheritance_open(&in, config->dir);
	if (err == SL_OK)
		err = spawn_shim(shim, config, &in, diag);
	else
		sl_diag_add(diag, NULL, NULL, "%s: %s", config->dir, sl_err_text(err));
	if (err == SL_OK)
		err = sl_loop_add(loop, &shim->io, in.ours, SL_IO_READ | SL_IO_RDHUP, on_io);
	if (err == SL_OK) {
		in.ours = -1;
		shim->state = SL_SHIM_STARTING;
	} else {
		sl_shim_fini(shim);
	}
	inheritance_close(&in);
	return err;
}

/* --- adopting --- */

static sl_err connect_ctl(int dir_fd, int *ret_fd)
{
	struct sockaddr_un addr = ctl_addr(dir_fd);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		sl_err err = sl_err_from_errno(errno);

		sl_fd_close(&fd);
		return err;
	}
	*ret_fd = fd;
	return SL_OK;
}

static sl_err adopt(struct sl_shim *shim, int dir_fd, int lock_fd)
{
	int fd = -1;

	if (flock(lock_fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK &&
	        connect_ctl(dir_fd, &fd) == SL_OK) {
		shim->state = SL_SHIM_STARTING;
		sl_err err = sl_loop_add(shim->loop, &shim->io, fd, SL_IO_READ | SL_IO_RDHUP, on_io);
		if (err != SL_OK)
			sl_fd_close(&fd);
		return err;
	}
	/* Free, or just set free: nobody listens any more. */
	ended(shim, dir_fd, sl_shim_lock_read(lock_fd));
	return SL_OK;
}

sl_err sl_shim_adopt(struct sl_shim *shim, struct sl_loop *loop, const char *dir,
        void (*on_change)(struct sl_shim *shim), struct sl_diag *diag)
{
	int dir_fd = open_dir(dir);
	int lock_fd = dir_fd < 0 ? -1 : openat(dir_fd, "lock", O_RDONLY | O_CLOEXEC);
	sl_err err = lock_fd < 0 ? sl_err_from_errno(errno) : SL_OK;

	init(shim, loop, dir, on_change);
	if (err == SL_OK)
		err = adopt(shim, dir_fd, lock_fd);
	if (err != SL_OK) {
		sl_diag_add(diag, NULL, NULL, "%s: %s", dir, sl_err_text(err));
		sl_shim_fini(shim);
	}
	sl_fd_close(&lock_fd);
	sl_fd_close(&dir_fd);
	return err;
}

sl_err sl_shim_ended(const char *dir, struct sl_shim_exit *ret_exit)
{
	int dir_fd = open_dir(dir);
	sl_err err = dir_fd < 0 ? SL_ERR_NOT_FOUND : sl_shim_exit_read(dir_fd, ret_exit);

	sl_fd_close(&dir_fd);
	return err;
}

void sl_shim_stop(struct sl_shim *shim, sl_nsec grace)
{
	char m[SL_SHIM_MESSAGE_BYTES];
	int n = snprintf(m, sizeof(m), "stop %" PRId64, grace / SL_MSEC(1));

	if (shim->state != SL_SHIM_STARTING && shim->state != SL_SHIM_RUNNING)
		return;
	/* It only fails when the shim has just ended, which the loop will tell. */
	if (send(shim->io.fd, m, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		sl_log(SL_LOG_DEBUG, "runtime", "%s: the shim is gone", shim->dir);
}

void sl_shim_fini(struct sl_shim *shim)
{
	if (!shim->loop)
		return;
	sl_loop_close(shim->loop, &shim->io);
	sl_loop_remove(shim->loop, &shim->child_io);
	sl_process_fini(&shim->process);
	sl_free(shim->dir);
	/* Events of this turn may still be on their way to them: they must see that they are out of the loop. */
	*shim = (struct sl_shim) { .io = SL_IO_NONE, .child_io = SL_IO_NONE };
}
