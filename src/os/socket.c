#include "os/socket.h"

#include "os/io.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void set_option(int fd, int level, int name, int value)
{
	/* Each of these options only tunes; a kernel without one still serves. */
	if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
		return;
}

void sl_fd_close(int *fd)
{
	if (*fd >= 0) {
		if (SL_FAULT_ON)
			sl_fault_clear(*fd); /* the number will be another's */
		close(*fd);
	}
	*fd = -1;
}

static const char *unix_file(const struct sl_addr *a)
{
	return a->sa.sa_family == AF_UNIX && a->un.sun_path[0] ? a->un.sun_path : NULL;
}

/* A socket file nobody listens on any more stands in the way of bind; one that answers, or another kind of file, stays. */
static void remove_stale(const struct sl_addr *a)
{
	const char *path = unix_file(a);
	struct stat st;
	int fd;

	if (!path || lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	/* A datagram socket as probe: refused by a dead file, wrong type for a living stream socket, which notices nothing. */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, &a->sa, a->len) < 0 && errno == ECONNREFUSED)
		unlink(path);
	sl_fd_close(&fd);
}

static sl_err listen_failed(const struct sl_addr *a, const char *what, struct sl_diag *diag)
{
	int errnum = errno;
	char text[SL_ADDR_TEXT_BYTES];

	sl_diag_add(diag, NULL, NULL, "cannot %s %s: %s", what, sl_addr_format(text, a), strerror(errnum));
	return errnum == EADDRNOTAVAIL ? SL_ERR_UNAVAILABLE : sl_err_from_errno(errnum);
}

static sl_err bind_and_listen(
        int fd, const struct sl_addr *a, const struct sl_listen_options *o, struct sl_diag *diag)
{
	const char *path = unix_file(a);

	if (path)
		remove_stale(a);
	else
		set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (o->reuse_port && sl_addr_is_ip(a))
		set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (a->sa.sa_family == AF_INET6)
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, o->v6_only);
	if (o->transparent && sl_addr_is_ip(a))
		set_option(fd, IPPROTO_IP, IP_FREEBIND, 1);
	if (bind(fd, &a->sa, a->len) < 0)
		return listen_failed(a, "bind", diag);
	if (path && chmod(path, o->mode ? o->mode : 0600) < 0)
		return listen_failed(a, "set the mode of", diag);
	if (listen(fd, o->backlog ? o->backlog : 1024) < 0)
		return listen_failed(a, "listen on", diag);
	return SL_OK;
}

sl_err sl_listen(
        const struct sl_addr *a, const struct sl_listen_options *options, int *ret_fd, struct sl_diag *diag)
{
	static const struct sl_listen_options none;
	sl_err err;
	int fd;

	if (a->len == 0)
		return sl_diag_fail(diag, SL_ERR_UNAVAILABLE, NULL, NULL, "no address to listen on");
	fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return listen_failed(a, "open a socket for", diag);
	err = bind_and_listen(fd, a, options ? options : &none, diag);
	if (err != SL_OK)
		sl_fd_close(&fd);
	else
		*ret_fd = fd;
	return err;
}

sl_err sl_accept(int listen_fd, int *ret_fd, struct sl_addr *ret_peer)
{
	struct sl_addr peer = { .len = offsetof(struct sl_addr, len) };
	int fd;

	do {
		peer.len = offsetof(struct sl_addr, len); /* all of the union */
		fd = accept4(listen_fd, &peer.sa, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		/* A connection that died in the backlog is no reason to stop (accept(2), "Error handling"). */
	} while (fd < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EPROTO));
	if (fd < 0)
		return errno == ENOMEM ? SL_ERR_UNAVAILABLE : sl_err_from_errno(errno);
	*ret_fd = fd;
	if (ret_peer)
		*ret_peer = peer;
	return SL_OK;
}

static sl_err connect_error(int errnum)
{
	return errnum == EADDRNOTAVAIL || errnum == EAGAIN ? SL_ERR_UNAVAILABLE : sl_err_from_errno(errnum);
}

sl_err sl_connect_start(const struct sl_addr *to, const struct sl_addr *from, int *ret_fd)
{
	int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), errnum = 0;

	if (fd < 0)
		return connect_error(errno == EAGAIN ? ENOBUFS : errno);
	sl_socket_nodelay(fd);
	if (from && from->len) {
		set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT,
		        1); /* the port is chosen with the peer known */
		if (bind(fd, &from->sa, from->len) < 0)
			errnum = errno;
	}
	if (errnum == 0 && connect(fd, &to->sa, to->len) < 0)
		errnum = errno;
	/* EAGAIN is a unix socket's full backlog: nothing is under way then, and nothing would report. */
	if (errnum != 0 && errnum != EINPROGRESS && errnum != EINTR) {
		sl_fd_close(&fd);
		return connect_error(errnum);
	}
	*ret_fd = fd;
	return errnum ? SL_ERR_AGAIN : SL_OK;
}

sl_err sl_connect_finish(int fd)
{
	struct sl_addr peer;
	socklen_t len = sizeof(int);
	int errnum = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &errnum, &len) < 0)
		return sl_err_from_errno(errno);
	if (errnum)
		return connect_error(errnum);
	/* No error also means: still under way. Only a connected socket knows its peer. */
	return sl_socket_peer(fd, &peer) == SL_OK ? SL_OK : SL_ERR_AGAIN;
}

sl_err sl_socket_local(int fd, struct sl_addr *ret_a)
{
	struct sl_addr a = { .len = offsetof(struct sl_addr, len) };

	if (getsockname(fd, &a.sa, &a.len) < 0)
		return sl_err_from_errno(errno);
	*ret_a = a;
	return SL_OK;
}

sl_err sl_socket_peer(int fd, struct sl_addr *ret_a)
{
	struct sl_addr a = { .len = offsetof(struct sl_addr, len) };

	if (getpeername(fd, &a.sa, &a.len) < 0)
		return errno == ENOTCONN ? SL_ERR_NOT_FOUND : sl_err_from_errno(errno);
	*ret_a = a;
	return SL_OK;
}

void sl_socket_nodelay(int fd)
{
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

sl_err sl_socket_pair(int ret_fd[2])
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		return sl_err_from_errno(errno);
	ret_fd[0] = fds[0];
	ret_fd[1] = fds[1];
	return SL_OK;
}

void sl_socket_reset_on_close(int fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) < 0)
		return; /* the close is then an orderly one */
}
