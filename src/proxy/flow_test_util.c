#include "proxy/flow_test.h"

#include "os/clock.h"
#include "os/io.h"

#include <poll.h>
#include <stdio.h>

void flow_init(struct flow *f)
{
	struct sl_worker_config config = { .worker_count = 1, .log_fd = -1 };

	memset(f, 0, sizeof(*f));
	sl_assert_ok(sl_proxy_options_init(&f->options, NULL));
	config.options = &f->options;
	sl_assert_ok(sl_worker_new(&f->w, &config));
	for (int i = 0; i < FLOW_BACKENDS; i++) {
		struct sl_addr a;

		sl_assert_ok(sl_addr_parse(&a, SL_STR("127.0.0.1:0")));
		sl_assert_ok(sl_listen(&a, NULL, &f->backend_fd[i], NULL));
		sl_assert_ok(sl_socket_local(f->backend_fd[i], &a));
		f->backend_port[i] = sl_addr_port(&a);
	}
	flow_mesh(f);
}

void flow_fini(struct flow *f)
{
	sl_worker_free(f->w);
	sl_tables_unref(f->tables);
	sl_mesh_unref(f->mesh);
	for (int i = 0; i < FLOW_BACKENDS; i++)
		sl_fd_close(&f->backend_fd[i]);
}

struct sl_mesh *flow_mesh(struct flow *f)
{
	sl_mesh_unref(f->mesh);
	f->mesh = sl_mesh_new();
	for (int i = 0; i < FLOW_BACKENDS; i++) {
		char name[8];

		snprintf(name, sizeof(name), "c%d", i);
		mb_endpoint(f->mesh, mb_cluster(f->mesh, name), f->backend_port[i]);
	}
	mb_config(f->mesh, "rc");
	mb_listener(f->mesh, "web", 0, "rc")->direction = SL_TRAFFIC_OUTBOUND;
	return f->mesh;
}

struct sl_mesh_virtual_host *flow_host(struct flow *f)
{
	struct sl_mesh_route_config *rc = &f->mesh->route_configs[0];

	return rc->host_count ? &rc->hosts[0] : mb_host(f->mesh, rc, "*");
}

struct sl_mesh_route *flow_route(struct flow *f, const char *prefix, const char *cluster)
{
	struct sl_mesh_route *r = mb_route(f->mesh, flow_host(f), SL_PATH_PREFIX, prefix);

	if (cluster)
		mb_split(f->mesh, r, cluster, 1);
	return r;
}

static bool listening(const struct flow *f, const struct sl_mesh_listener *m)
{
	const struct sl_mesh *before = f->tables ? f->tables->mesh : NULL;

	for (size_t i = 0; before && i < before->listener_count; i++)
		if (sl_str_eq(before->listeners[i].name, m->name))
			return true;
	return false;
}

void flow_adopt(struct flow *f)
{
	struct sl_tables *tables = NULL;
	struct sl_worker_socket sockets[4];
	size_t count = 0;
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };

	f->mesh->epoch = ++f->epoch;
	if (sl_mesh_check(f->mesh, &diag) != SL_OK ||
	        sl_tables_new(&tables, f->mesh, f->tables, &diag) != SL_OK)
		fail_msg("%s", sl_diag_text(&diag));
	for (uint32_t i = 0; i < f->mesh->listener_count; i++) {
		struct sl_addr a;

		if (listening(f, &f->mesh->listeners[i]))
			continue;
		sl_assert_ok(sl_addr_parse(&a, SL_STR("127.0.0.1:0")));
		sl_assert_ok(sl_listen(&a, NULL, &sockets[count].fd, NULL));
		sl_assert_ok(sl_socket_local(sockets[count].fd, &a));
		f->port = sl_addr_port(&a);
		sockets[count++].listener = i;
	}
	sl_worker_adopt(f->w, tables, sockets, count);
	sl_tables_unref(f->tables);
	f->tables = tables;
	flow_mesh(f);
}

void flow_turn(struct flow *f)
{
	sl_loop_turn(&f->w->loop, SL_MSEC(1));
}

bool flow_until(struct flow *f, bool (*done)(void *arg), void *arg)
{
	sl_nsec limit = sl_clock_mono() + SL_MSEC(FLOW_WAIT_MS);

	while (!done(arg)) {
		if (sl_clock_mono() > limit)
			return false;
		flow_turn(f);
	}
	return true;
}

int flow_connect(uint16_t port)
{
	struct sl_addr a;
	int fd;
	sl_err err;
	struct pollfd p;

	sl_assert_ok(sl_addr_from_ip(&a, SL_STR("127.0.0.1"), port));
	err = sl_connect_start(&a, NULL, &fd);
	assert_true(err == SL_OK || err == SL_ERR_AGAIN);
	p = (struct pollfd) { .fd = fd, .events = POLLOUT };
	assert_int_equal(poll(&p, 1, FLOW_WAIT_MS), 1);
	sl_socket_nodelay(fd);
	return fd;
}

int flow_client(struct flow *f)
{
	return flow_connect(f->port);
}

bool flow_accept_now(struct flow *f, int backend, int *ret_fd)
{
	if (sl_accept(f->backend_fd[backend], ret_fd, NULL) != SL_OK)
		return false;
	sl_socket_nodelay(*ret_fd);
	return true;
}

struct accept_wait {
	struct flow *f;
	int backend, fd;
};

static bool accepted(void *arg)
{
	struct accept_wait *a = arg;

	return flow_accept_now(a->f, a->backend, &a->fd);
}

int flow_accept(struct flow *f, int backend)
{
	struct accept_wait a = { .f = f, .backend = backend };

	if (!flow_until(f, accepted, &a))
		fail_msg("no connection came to backend %d", backend);
	return a.fd;
}

struct io_wait {
	int fd;
	const char *send;
	size_t left;
	char *got;
	size_t len, want;
	const char *marker;
	bool end;
};

static bool sent(void *arg)
{
	struct io_wait *io = arg;
	ssize_t n = io->left ? send(io->fd, io->send, io->left, MSG_NOSIGNAL) : 0;

	if (n > 0) {
		io->send += n;
		io->left -= (size_t)n;
	}
	return io->left == 0 || (n < 0 && errno != EAGAIN);
}

void flow_send(struct flow *f, int fd, const char *bytes, size_t n)
{
	struct io_wait io = { .fd = fd, .send = bytes, .left = n };

	if (!flow_until(f, sent, &io))
		fail_msg("%zu of %zu bytes were not taken", io.left, n);
}

static bool received(void *arg)
{
	struct io_wait *io = arg;
	ssize_t n;

	while (io->len < io->want) {
		n = recv(io->fd, io->got + io->len, io->want - io->len, 0);
		if (n <= 0) {
			io->end = n == 0 || errno != EAGAIN;
			break;
		}
		io->len += (size_t)n;
	}
	io->got[io->len] = 0;
	return io->end || io->len == io->want || (io->marker && strstr(io->got, io->marker));
}

static char flow_room[1 << 16];

void flow_expect(struct flow *f, int fd, const char *text)
{
	struct io_wait io = { .fd = fd, .got = flow_room, .want = strlen(text) };

	assert_true(io.want < sizeof(flow_room));
	(void)flow_until(f, received, &io); /* the comparison tells what is missing */
	if (io.len != io.want || memcmp(flow_room, text, io.want) != 0)
		fail_msg(
		        "got:\n%s\nwanted:\n%s%s", flow_room, text, io.end ? "\n(the connection ended)" : "");
}

const char *flow_expect_until(struct flow *f, int fd, const char *marker)
{
	struct io_wait io = { .fd = fd, .got = flow_room, .want = sizeof(flow_room) - 1, .marker = marker };

	(void)flow_until(f, received, &io);
	if (!strstr(flow_room, marker))
		fail_msg("got:\n%s\nwithout \"%s\"%s", flow_room, marker,
		        io.end ? " (the connection ended)" : "");
	return flow_room;
}

void flow_expect_end(struct flow *f, int fd)
{
	struct io_wait io = { .fd = fd, .got = flow_room, .want = sizeof(flow_room) - 1 };

	(void)flow_until(f, received, &io);
	if (!io.end || io.len)
		fail_msg("wanted the end, got %zu bytes:\n%s", io.len, flow_room);
}

void flow_expect_silence(struct flow *f, int fd)
{
	struct io_wait io = { .fd = fd, .got = flow_room, .want = sizeof(flow_room) - 1 };

	for (int i = 0; i < 20; i++)
		flow_turn(f);
	(void)received(&io);
	if (io.len || io.end)
		fail_msg("wanted silence, got %zu bytes%s:\n%s", io.len, io.end ? " and the end" : "",
		        flow_room);
}

void flow_close(int *fd)
{
	sl_fd_close(fd);
}

uint64_t flow_requests(struct flow *f, unsigned status, enum sl_flag flag)
{
	uint64_t n = 0;

	for (struct sl_dest *d = f->w->stats->dests; d; d = d->next)
		for (struct sl_series *x = d->series; x; x = x->next)
			if (x->status == status && x->flag == flag)
				n += x->requests;
	return n;
}
