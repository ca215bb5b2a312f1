/*
 * The least HTTP/1.1 server: every request without a body gets the same 128 bytes. One thread, epoll edge-triggered.
 * usage: bench_backend       prints "port N" and serves until it is ended
 */
#include "bench_io.h"

enum { BODY_BYTES = 128, BUF_BYTES = 16384, EVENTS = 256 };

struct conn {
	int fd;
	size_t len; /* of a head not complete yet */
	char buf[BUF_BYTES];
};

static char response[512];
static size_t response_len;

static void make_response(void)
{
	int head = snprintf(response, sizeof(response),
	        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", BODY_BYTES);

	memset(response + head, 'x', BODY_BYTES);
	response_len = (size_t)head + BODY_BYTES;
}

/* Answers every complete head. False when the connection is to be closed. */
static int answer(struct conn *c)
{
	size_t at = 0;
	char *end;

	while ((end = memmem(c->buf + at, c->len - at, "\r\n\r\n", 4))) {
		if (send(c->fd, response, response_len, MSG_NOSIGNAL) != (ssize_t)response_len)
			return 0;
		at = (size_t)(end + 4 - c->buf);
	}
	memmove(c->buf, c->buf + at, c->len - at);
	c->len -= at;
	return 1;
}

static void serve(struct conn *c)
{
	ssize_t n = recv(c->fd, c->buf + c->len, sizeof(c->buf) - c->len, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0) {
		c->len += (size_t)n;
		if (c->len < sizeof(c->buf) && answer(c))
			return; /* a short read has emptied the socket: epoll(7) */
	}
	close(c->fd);
	free(c);
}

static void accept_all(int epoll_fd, int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct conn *c = calloc(1, sizeof(*c));

		if (!c)
			die("out of memory");
		no_delay(fd);
		c->fd = fd;
		watch(epoll_fd, fd, c);
	}
}

int main(void)
{
	int listener = listen_and_say(), epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[EVENTS];

	make_response();
	watch(epoll_fd, listener, NULL);
	for (;;) {
		int n = epoll_wait(epoll_fd, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr)
				serve(events[i].data.ptr);
			else
				accept_all(epoll_fd, listener);
		}
	}
}
