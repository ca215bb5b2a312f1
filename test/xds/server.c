/*
 * xds_server PORT: an xDS server for tests with other people's clients. Each line on standard input is a mesh as JSON (model/mesh_json.h),
 * published under the next epoch. Events go to standard output as JSON, one a line; the first tells the port. Ends with its input.
 */
#include "control/xds_push.h"
#include "model/mesh_json.h"
#include "proto/json.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct sl_loop loop;
static struct sl_xds_push *push;
static struct sl_buf input;
static uint64_t epoch;

static void say(json_t *event) /* takes the reference */
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf line = { 0 };

	sl_json_dump(&line, event);
	json_decref(event);
	puts(sl_buf_cstr(&line));
	fflush(stdout);
}

static void on_ack(void *user, sl_str node, uint64_t acked, sl_nsec latency)
{
	(void)user;
	say(json_pack("{s:s, s:s%, s:I, s:I}", "event", "ack", "node", node.p, node.len, "epoch",
	        (json_int_t)acked, "latencyNs", (json_int_t)latency));
}

static void on_nack(void *user, sl_str node, uint64_t nacked, sl_str text)
{
	(void)user;
	say(json_pack("{s:s, s:s%, s:I, s:s%}", "event", "nack", "node", node.p, node.len, "epoch",
	        (json_int_t)nacked, "text", text.p ? text.p : "", text.len));
}

static void on_node(void *user, sl_str node, bool connected)
{
	(void)user;
	say(json_pack("{s:s, s:s%}", "event", connected ? "join" : "leave", "node", node.p, node.len));
}

static void on_load(void *user, sl_str node, const struct sl_load_report *report)
{
	(void)user;
	for (size_t i = 0; i < report->cluster_count; i++) {
		const struct sl_load_cluster *c = &report->clusters[i];

		say(json_pack("{s:s, s:s%, s:s%, s:I, s:I, s:I}", "event", "load", "node", node.p, node.len,
		        "cluster", c->cluster.p, c->cluster.len, "issued", (json_int_t)c->issued, "ok",
		        (json_int_t)c->ok, "error", (json_int_t)c->error));
	}
}

static void publish(sl_str line)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	SL_CLEANUP(sl_mesh_unref) struct sl_mesh *mesh = NULL;
	sl_err err = sl_mesh_parse(&mesh, line, &diag);

	if (err == SL_OK) {
		mesh->epoch = ++epoch;
		err = sl_xds_push_publish(push, mesh);
	}
	if (err != SL_OK) {
		fprintf(stderr, "error: %s\n", diag.count ? sl_diag_text(&diag) : sl_err_text(err));
		exit(1);
	}
}

static void on_input(struct sl_loop *l, struct sl_io *io, uint32_t events)
{
	size_t end;

	(void)events;
	for (;;) {
		ssize_t n = read(io->fd, sl_buf_reserve(&input, 65536), 65536);

		if (n > 0) {
			sl_buf_commit(&input, (size_t)n);
			continue;
		}
		if (n == 0)
			sl_loop_stop(l);
		break;
	}
	while ((end = sl_str_find(sl_buf_str(&input), '\n')) < sl_buf_size(&input)) {
		publish(sl_str_first(sl_buf_str(&input), end));
		sl_buf_consume(&input, end + 1);
	}
}

int main(int argc, char **argv)
{
	static const struct sl_xds_push_ops ops = {
		.on_ack = on_ack, .on_nack = on_nack, .on_node = on_node, .on_load = on_load
	};
	struct sl_xds_push_config config = { .ops = &ops };
	struct sl_io in = SL_IO_NONE;
	char addr[32];

	snprintf(addr, sizeof(addr), "127.0.0.1:%s", argc > 1 ? argv[1] : "0");
	if (sl_addr_parse(&config.listen, sl_str_c(addr)) != SL_OK || sl_loop_init(&loop, NULL) != SL_OK ||
	        sl_xds_push_new(&push, &loop, &config, NULL) != SL_OK ||
	        fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) != 0 ||
	        sl_loop_add(&loop, &in, STDIN_FILENO, SL_IO_READ, on_input) != SL_OK) {
		fprintf(stderr, "error: cannot serve on %s\n", addr);
		return 1;
	}
	say(json_pack("{s:s, s:i}", "event", "ready", "port", sl_addr_port(sl_xds_push_addr(push))));
	sl_loop_run(&loop);
	sl_loop_remove(&loop, &in);
	sl_xds_push_free(push);
	sl_loop_fini(&loop);
	sl_buf_fini(&input);
	return 0;
}
