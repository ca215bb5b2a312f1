#include "loop/signals.h"

#include "os/socket.h"

#include <errno.h>
#include <sys/signalfd.h>
#include <unistd.h>

static sigset_t set_of(const int *signos)
{
	sigset_t set;

	sigemptyset(&set);
	for (; *signos; signos++)
		sigaddset(&set, *signos);
	return set;
}

void sl_signals_block(const int *signos)
{
	sigset_t set = set_of(signos);

	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void on_signal(struct sl_loop *loop, struct sl_io *io, uint32_t events)
{
	struct sl_signals *s = SL_CONTAINER_OF(io, struct sl_signals, io);
	struct signalfd_siginfo info;

	(void)loop, (void)events;
	/* fn may stop us, hence the look at io->fd each time. */
	while (io->fd >= 0 && read(io->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		s->fn(s, (int)info.ssi_signo);
}

sl_err sl_signals_start(struct sl_loop *loop, struct sl_signals *s, const int *signos,
        void (*fn)(struct sl_signals *s, int signo))
{
	sigset_t set = set_of(signos);
	int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	sl_err err;

	s->io = SL_IO_NONE;
	s->fn = fn;
	if (fd < 0)
		return sl_err_from_errno(errno);
	err = sl_loop_add(loop, &s->io, fd, SL_IO_READ, on_signal);
	if (err != SL_OK)
		sl_fd_close(&fd);
	return err;
}

void sl_signals_stop(struct sl_loop *loop, struct sl_signals *s)
{
	sl_loop_close(loop, &s->io);
}
