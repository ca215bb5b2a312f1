/*
 * Bytes from a client, given to the server whole and cut into pieces. Whatever they are: the answers are the same however the
 * network cut them, every request that was handed over was handed over once, and nothing is left behind.
 */
#include "net/http_server.h"
#include "os/io.h"

#include <stdlib.h>

struct run {
	struct sl_loop loop;
	struct sl_http_server *server;
	struct sl_http_req *later;
	struct sl_buf out;
	unsigned handed, answered, gone;
};

static void on_gone(struct sl_http_req *req)
{
	struct run *r = req->server_user;

	r->gone++;
	r->later = NULL;
}

static void on_request(struct sl_http_req *req)
{
	struct run *r = req->server_user;
	sl_str param = SL_STR_NONE, path;

	r->handed++;
	if (r->later || req->path.len > req->target.len || req->method.len == 0)
		abort(); /* one at a time, and whole */
	SL_IGNORE(sl_http_req_param(req, "a", &param));
	SL_IGNORE(sl_http_req_path_decoded(req, &path));
	if (sl_str_starts(req->path, SL_STR("/l"))) {
		req->on_gone = on_gone;
		r->later = req;
		return;
	}
	r->answered++;
	if (sl_str_starts(req->path, SL_STR("/s"))) {
		sl_http_stream_begin(req, 200, "text/plain");
		sl_http_stream_write(req, req->body);
		sl_http_stream_end(req);
		return;
	}
	sl_http_reply(req, 200, NULL, param.len ? param : req->target);
}

static void on_body(struct sl_http_req *req, sl_str piece, bool last)
{
	struct run *r = req->server_user;

	(void)piece;
	if (!last)
		return;
	r->handed++;
	r->answered++;
	sl_http_reply(req, 200, NULL, SL_STR("pieces"));
}

static void on_head(struct sl_http_req *req)
{
	if (sl_str_starts(req->path, SL_STR("/p")))
		req->on_body = on_body;
	if (sl_str_starts(req->path, SL_STR("/x")))
		sl_http_reply(req, 403, NULL, SL_STR_NONE);
}

static void turn(struct run *r, int fd)
{
	ssize_t n;

	sl_loop_turn(&r->loop, 0);
	if (r->later) {
		struct sl_http_req *req = r->later;

		r->later = NULL;
		r->answered++;
		sl_http_reply(req, 200, NULL, SL_STR("later"));
		sl_loop_turn(&r->loop, 0);
	}
	while ((n = sl_sock_recv(fd, sl_buf_reserve(&r->out, 65536), 65536)) > 0)
		sl_buf_commit(&r->out, (size_t)n);
}

/* Date lines change with time, and 100 Continue is only said when the body is not there yet. */
static void drop_what_may_differ(struct sl_buf *out)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	sl_str rest = sl_buf_str(out);
	struct sl_buf kept = { 0 };

	while (rest.len) {
		size_t n = sl_str_find(rest, '\n');

		n += n < rest.len;
		if (sl_str_starts(rest, SL_STR("HTTP/1.1 100 Continue\r\n\r\n")))
			n = sizeof(go_on) - 1;
		else if (!sl_str_starts(rest, SL_STR("Date: ")))
			sl_buf_str_add(&kept, sl_str_first(rest, n));
		rest = sl_str_skip(rest, n);
	}
	sl_buf_fini(out);
	*out = kept;
}

static void run(struct run *r, sl_str in, size_t piece)
{
	struct sl_http_server_config config = { .on_request = on_request,
		.on_head = on_head,
		.user = r,
		.limits = { .head_most_bytes = 2000, .body_most_bytes = 2000, .header_most_count = 20 } };
	struct sl_loop_config virtual_time = { .virtual_time = true };
	struct sl_addr nobody = { .len = 0 };
	int fds[2];

	if (sl_loop_init(&r->loop, &virtual_time) != SL_OK || sl_socket_pair(fds) != SL_OK ||
	        sl_http_server_new(&r->server, &r->loop, &config) != SL_OK)
		abort();
	sl_http_server_adopt(r->server, fds[1], &nobody);
	while (in.len) {
		size_t n = in.len < piece ? in.len : piece;

		if (sl_sock_send(fds[0], in.p, n) < (ssize_t)n)
			break; /* the server has closed */
		in = sl_str_skip(in, n);
		turn(r, fds[0]);
	}
	shutdown(fds[0], SHUT_WR);
	for (unsigned last = UINT32_MAX; last != r->handed;) {
		last = r->handed;
		for (int i = 0; i < 4; i++)
			turn(r, fds[0]);
	}
	sl_fd_close(&fds[0]);
	sl_http_server_free(r->server);
	for (int i = 0; i < 3; i++)
		sl_loop_turn(&r->loop, 0);
	if (r->handed != r->answered + r->gone || r->loop.io_count || r->loop.wheel.count)
		abort();
	sl_loop_fini(&r->loop);
	drop_what_may_differ(&r->out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct run whole = { 0 }, cut = { 0 };
	sl_str in;

	if (size < 2 || size > 16384)
		return 0;
	in = sl_str_n((const char *)bytes + 1, size - 1);
	run(&whole, in, SIZE_MAX);
	run(&cut, in, 1u + bytes[0] % 97);
	if (!sl_str_eq(sl_buf_str(&whole.out), sl_buf_str(&cut.out)) || whole.handed != cut.handed)
		abort();
	sl_buf_fini(&whole.out);
	sl_buf_fini(&cut.out);
	return 0;
}
