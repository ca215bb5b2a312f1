/*
 * The floor: the least an HTTP/1.1 proxy can do on Linux sockets, to measure proxies against. One thread, epoll edge-triggered; receive, find
 * the end of the head, add one header, send on a pooled upstream connection, and the same back: four system calls for a request, and
 * nothing else. No parsing, no timeouts, no statistics; requests without bodies, one at a time on a connection, and responses with a
 * Content-Length that fit a buffer. What does not fit ends the program: a floor that stumbled would measure nothing.
 * usage: bench_floor UPSTREAM_PORT       prints "port N" and serves until it is ended
 */
#include "bench_io.h"

enum { BUF_BYTES = 16384, EVENTS = 256 };

static const char added[] = "x-bench: 1\r\n";

struct conn {
	int fd;
	int upstream;      /* whether it is one */
	int gone;          /* closed; freed at the end of the turn, as events may still point here */
	struct conn *peer; /* client and upstream, while a request is under way */
	struct conn *next; /* in the pool, or among the dead */
	char *kept;        /* the message so far, when it came in parts; hardly ever */
	size_t len;        /* of it */
};

static char buf[BUF_BYTES]; /* one for all, so that it stays in the cache: the message being forwarded */
static size_t buf_len;
static int epoll_fd;
static uint16_t upstream_port;
static struct conn *pool, *dead;

static struct conn *new_conn(int fd, int upstream)
{
	struct conn *c = malloc(sizeof(*c));

	if (!c)
		die("out of memory");
	*c = (struct conn) { .fd = fd, .upstream = upstream };
	watch(epoll_fd, fd, c);
	return c;
}

static void end_conn(struct conn *c)
{
	if (c->gone)
		return;
	close(c->fd);
	c->gone = 1;
	for (struct conn **at = &pool; *at; at = &(*at)->next) {
		if (*at == c) {
			*at = c->next;
			break;
		}
	}
	c->next = dead;
	dead = c;
}

static void send_all(struct conn *to, const char *p, size_t len)
{
	if (send(to->fd, p, len, MSG_NOSIGNAL) != (ssize_t)len && errno != EPIPE && errno != ECONNRESET)
		die("a send of %zu bytes did not go through", len);
}

/* Sends the message with the header added behind its head's last line. recv left room for it. */
static void forward(struct conn *to, char *head_end)
{
	size_t head = (size_t)(head_end - buf) + 2, add = sizeof(added) - 1;

	memmove(buf + head + add, buf + head, buf_len - head);
	memcpy(buf + head, added, add);
	send_all(to, buf, buf_len + add);
}

static struct conn *take_upstream(void)
{
	struct conn *u = pool;

	if (u) {
		pool = u->next;
		return u;
	}
	return new_conn(connect_to(upstream_port), 1);
}

/* Whether the whole response is there, by its Content-Length. */
static int is_whole(const char *head_end)
{
	const char *field = memmem(buf, (size_t)(head_end - buf), "Content-Length: ", 16);

	if (!field)
		die("a response without Content-Length");
	return buf_len == (size_t)(head_end + 4 - buf) + strtoul(field + 16, NULL, 10);
}

static void on_request(struct conn *c, char *head_end)
{
	struct conn *u = take_upstream();

	c->peer = u;
	u->peer = c;
	forward(u, head_end);
}

static void on_response(struct conn *u, char *head_end)
{
	struct conn *c = u->peer;

	forward(c, head_end);
	c->peer = u->peer = NULL;
	u->next = pool;
	pool = u;
}

static void on_end(struct conn *c)
{
	if (c->peer) {
		c->peer->peer = NULL;
		end_conn(c->peer);
	}
	end_conn(c);
}

/* The rest has not come yet. */
static void keep(struct conn *c)
{
	if (buf_len + sizeof(added) >= sizeof(buf))
		die("a message over %d bytes", BUF_BYTES);
	c->kept = realloc(c->kept, sizeof(buf));
	if (!c->kept)
		die("out of memory");
	memcpy(c->kept, buf, buf_len);
	c->len = buf_len;
}

static void on_readable(struct conn *c)
{
	ssize_t n;
	char *head_end;

	if (c->gone)
		return;
	if (c->len)
		memcpy(buf, c->kept, c->len);
	n = recv(c->fd, buf + c->len, sizeof(buf) - sizeof(added) - c->len, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		on_end(c);
		return;
	}
	buf_len = c->len + (size_t)n; /* a short read has emptied the socket: epoll(7) */
	c->len = 0;
	head_end = memmem(buf, buf_len, "\r\n\r\n", 4);
	if (c->upstream && !c->peer)
		die("bytes on an idle upstream connection");
	if (!head_end || (c->upstream && !is_whole(head_end)))
		keep(c);
	else if (c->upstream)
		on_response(c, head_end);
	else
		on_request(c, head_end);
}

static void accept_all(int listener)
{
	int fd;

	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): epoll holds the connections */
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		no_delay(fd);
		new_conn(fd, 0);
	}
}

static void bury(void)
{
	while (dead) {
		struct conn *c = dead;

		dead = c->next;
		free(c->kept);
		free(c);
	}
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	int listener;

	if (argc != 2) {
		fprintf(stderr, "usage: bench_floor UPSTREAM_PORT\n");
		return 2;
	}
	upstream_port = (uint16_t)atoi(argv[1]);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	listener = listen_and_say();
	watch(epoll_fd, listener, NULL);
	for (;;) {
		int n = epoll_wait(epoll_fd, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr)
				on_readable(events[i].data.ptr);
			else
				accept_all(listener);
		}
		bury();
	}
}
