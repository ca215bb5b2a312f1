#pragma once
/*
 * A worker, its clients and backends in one thread, over real sockets: the test writes bytes on either side, turns the loop, and
 * looks at what came out on the other. Tests only.
 */
#include "base/test.h"

#include "proxy/mesh_build_test.h"
#include "proxy/worker.h"

enum { FLOW_BACKENDS = 3, FLOW_WAIT_MS = 5000 };

struct flow {
	struct sl_worker *w;
	struct sl_proxy_options options;
	struct sl_mesh *mesh; /* being built; taken by flow_adopt */
	struct sl_tables *tables;
	uint16_t port; /* of the listener "web" */
	uint16_t backend_port[FLOW_BACKENDS];
	int backend_fd[FLOW_BACKENDS]; /* listening */
	uint64_t epoch;
};

/* Clusters "c0".."c2" with one endpoint each at a backend; listener "web" with the config "rc"; nothing else. */
void flow_init(struct flow *f);
void flow_fini(struct flow *f);
struct sl_mesh *flow_mesh(struct flow *f);              /* a fresh one as said above */
struct sl_mesh_virtual_host *flow_host(struct flow *f); /* the host "*" of "rc", made at first use */
struct sl_mesh_route *flow_route(struct flow *f, const char *prefix, const char *cluster);
/* Compiles f->mesh and has the worker take it over; binds listeners that are new. */
void flow_adopt(struct flow *f);

void flow_turn(struct flow *f);
/* Turns until done(arg), at most FLOW_WAIT_MS. */
bool flow_until(struct flow *f, bool (*done)(void *arg), void *arg);

/* ---- sockets of the test, all non-blocking ---- */

int flow_client(struct flow *f);
int flow_connect(uint16_t port);
int flow_accept(struct flow *f, int backend);                   /* turns until a connection comes */
bool flow_accept_now(struct flow *f, int backend, int *ret_fd); /* if one is there */
void flow_send(struct flow *f, int fd, const char *bytes, size_t n);
#define flow_send_c(f, fd, text) flow_send((f), (fd), (text), strlen(text))
/* Receives exactly this; fails the test with both texts otherwise. */
void flow_expect(struct flow *f, int fd, const char *text);
/* Receives up to and with a marker; returns what came, valid until the next call. */
const char *flow_expect_until(struct flow *f, int fd, const char *marker);
/* The peer ends: by a close, or by a reset. */
void flow_expect_end(struct flow *f, int fd);
/* Nothing comes for a few turns. */
void flow_expect_silence(struct flow *f, int fd);
void flow_close(int *fd);
uint64_t flow_requests(struct flow *f, unsigned status, enum sl_flag flag); /* counted in all series */

/* ---- texts most tests use ---- */

#define OK_EMPTY "HTTP/1.1 200 OK\r\ndate: x\r\ncontent-length: 0\r\n\r\n"
#define ID "x-request-id: 1\r\n"
#define ADDED "x-forwarded-proto: http\r\n"
