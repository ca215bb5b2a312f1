/*
 * Bytes as resources, reports and requests: no crash; and what decodes, encodes to bytes that decode to the same.
 * The first byte picks the decoder.
 */
#include "xds/client.h"
#include "xds/decode.h"
#include "xds/encode.h"
#include "xds/lrs.h"
#include "xds/pb_priv.h"
#include "xds/server.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static sl_str value_of(struct sl_arena *a, const struct sl_buf *b)
{
	pb_any *any = pb_read_any(a, sl_buf_str(b));

	must(any != NULL);
	return sl_str_n((char *)any->value.data, any->value.len);
}

static void one_cluster(sl_str in, struct sl_arena *a)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };
	struct sl_mesh_cluster c, again;
	struct sl_mesh x = { .clusters = &c, .cluster_count = 1 },
	               y = { .clusters = &again, .cluster_count = 1 };
	sl_str eds;

	if (sl_xds_decode_cluster(in, a, &c, &eds, NULL) != SL_OK)
		return;
	sl_xds_encode_cluster(&c, SL_XDS_FULL, a, &b);
	c.endpoints = NULL, c.endpoint_count = 0; /* EDS brings them */
	must(sl_xds_decode_cluster(value_of(a, &b), a, &again, &eds, NULL) == SL_OK);
	must(sl_mesh_equal(&x, &y));
}

static void one_assignment(sl_str in, struct sl_arena *a)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };
	struct sl_mesh_cluster c = { 0 }, again = { 0 };
	struct sl_mesh x = { .clusters = &c, .cluster_count = 1 },
	               y = { .clusters = &again, .cluster_count = 1 };

	if (sl_xds_decode_endpoints(in, a, &c, NULL) != SL_OK)
		return;
	sl_xds_encode_endpoints(&c, a, &b);
	must(sl_xds_decode_endpoints(value_of(a, &b), a, &again, NULL) == SL_OK);
	must(sl_mesh_equal(&x, &y));
}

static void one_route_config(sl_str in, struct sl_arena *a)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };
	struct sl_mesh_route_config c, again;
	struct sl_mesh x = { .route_configs = &c, .route_config_count = 1 };
	struct sl_mesh y = { .route_configs = &again, .route_config_count = 1 };

	if (sl_xds_decode_route_config(in, a, &c, NULL) != SL_OK)
		return;
	sl_xds_encode_route_config(&c, SL_XDS_FULL, a, &b);
	must(sl_xds_decode_route_config(value_of(a, &b), a, &again, NULL) == SL_OK);
	for (size_t h = 0; h < c.host_count; h++) /* a retry policy of no attempts is not carried */
		for (size_t r = 0; r < c.hosts[h].route_count; r++)
			if (!c.hosts[h].routes[r].retry.attempts)
				c.hosts[h].routes[r].retry = (struct sl_mesh_retry) { 0 };
	must(sl_mesh_equal(&x, &y));
}

static void one_listener(sl_str in, struct sl_arena *a)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };
	struct sl_mesh_listener l, again;
	struct sl_mesh_route_config config;
	struct sl_mesh x = { .listeners = &l, .listener_count = 1 },
	               y = { .listeners = &again, .listener_count = 1 };

	if (sl_xds_decode_listener(in, a, &l, &config, NULL) != SL_OK)
		return;
	sl_xds_encode_listener(&l, a, &b);
	must(sl_xds_decode_listener(value_of(a, &b), a, &again, &config, NULL) == SL_OK);
	must(sl_mesh_equal(&x, &y));
}

static void drop_body(void *user, struct sl_ads_stream *stream, struct sl_ads_body *body, sl_str tail)
{
	(void)user, (void)stream, (void)body, (void)tail;
}

static void drop_request(void *user, sl_str message)
{
	(void)user, (void)message;
}

static void drop_offer(void *user, struct sl_mesh *mesh)
{
	(void)user;
	must(sl_mesh_check(mesh, NULL) == SL_OK);
}

static void to_server(sl_str in)
{
	static const struct sl_ads_ops ops = { .send = drop_body };
	SL_CLEANUP(sl_mesh_unref) struct sl_mesh *mesh = sl_mesh_new();
	struct sl_ads_server server;
	struct sl_ads_stream *stream;

	mesh->epoch = 1;
	sl_ads_server_init(&server, &ops, NULL);
	must(sl_ads_server_publish(&server, mesh, 0) == SL_OK);
	stream = sl_ads_stream_open(&server, NULL, 0);
	SL_IGNORE(sl_ads_stream_receive(stream, in, 1)); /* twice: also as what follows a first request */
	SL_IGNORE(sl_ads_stream_receive(stream, in, 1));
	sl_ads_server_fini(&server);
}

static void to_client(sl_str in)
{
	static const struct sl_ads_client_ops ops = { .send = drop_request, .offer = drop_offer };
	const struct sl_ads_client_node node = { .id = "n" };
	struct sl_ads_client client;

	sl_ads_client_init(&client, &ops, NULL, &node);
	sl_ads_client_connected(&client);
	SL_IGNORE(sl_ads_client_receive(&client, in)); /* twice, as above */
	SL_IGNORE(sl_ads_client_receive(&client, in));
	sl_ads_client_fini(&client);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena a = { 0 };
	struct sl_load_report report;
	struct sl_load_wish wish;
	sl_str in;
	uint64_t epoch;

	if (!size)
		return 0;
	in = sl_str_n((const char *)bytes + 1, size - 1);
	switch (bytes[0] % 9) {
	case 0:
		one_cluster(in, &a);
		break;
	case 1:
		one_assignment(in, &a);
		break;
	case 2:
		one_route_config(in, &a);
		break;
	case 3:
		one_listener(in, &a);
		break;
	case 4:
		SL_IGNORE(sl_xds_decode_epoch(in, &epoch));
		break;
	case 5:
		SL_IGNORE(sl_load_report_decode(in, &a, &report));
		break;
	case 6:
		SL_IGNORE(sl_load_wish_decode(in, &a, &wish));
		break;
	case 7:
		to_server(in);
		break;
	case 8:
		to_client(in);
		break;
	}
	return 0;
}
