#include "net/net_test.h"

static struct test_authority pki;

static int set_up(void **state)
{
	(void)state;
	test_authority_make(&pki);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	test_authority_fini(&pki);
	return 0;
}

struct pair {
	struct sl_tls *client, *server;
	struct sl_buf to_server, to_client;
	sl_err client_err, server_err;
};

static void pair_fini(struct pair *p)
{
	sl_tls_close(p->client);
	sl_tls_close(p->server);
	sl_buf_fini(&p->to_server);
	sl_buf_fini(&p->to_client);
}

/* Moves at most `most` bytes at a time, as a network that cuts records anywhere would. */
static void step(struct sl_tls *tls, struct sl_buf *from, struct sl_buf *out, size_t most, sl_err *err)
{
	struct sl_buf part = { 0 };

	if (*err != SL_ERR_AGAIN)
		return;
	do {
		size_t n = sl_buf_size(from) < most ? sl_buf_size(from) : most;

		sl_buf_add(&part, sl_buf_str(from).p, n);
		sl_buf_consume(from, n);
		*err = sl_tls_handshake(tls, &part, out);
	} while (*err == SL_ERR_AGAIN && sl_buf_size(from));
	if (sl_buf_size(&part)) { /* what came after the handshake's end belongs to the reader */
		struct sl_buf rest = { 0 };

		sl_buf_str_add(&rest, sl_buf_str(&part));
		sl_buf_str_add(&rest, sl_buf_str(from));
		sl_buf_fini(from);
		*from = rest;
	}
	sl_buf_fini(&part);
}

static void shake(struct pair *p, struct sl_tls_ctx *client, struct sl_tls_ctx *server, const char *name,
        struct sl_tls_session *session, size_t most)
{
	*p = (struct pair) { .client_err = SL_ERR_AGAIN, .server_err = SL_ERR_AGAIN };
	sl_assert_ok(sl_tls_open(&p->client, client, name, session));
	sl_assert_ok(sl_tls_open(&p->server, server, NULL, NULL));
	for (int i = 0; i < 10; i++) {
		step(p->client, &p->to_client, &p->to_server, most, &p->client_err);
		step(p->server, &p->to_server, &p->to_client, most, &p->server_err);
	}
}

static void test_handshakes(void **state)
{
	static const enum sl_tls_verify NO = SL_TLS_VERIFY_NONE, OPT = SL_TLS_VERIFY_OPTIONAL,
	                                REQ = SL_TLS_VERIFY_REQUIRED;
	const struct {
		const char *name;
		enum sl_tls_verify client_verifies, server_verifies;
		const struct test_identity *client_id, *client_trusts, *server_trusts;
		sl_err client, server; /* AGAIN: still waits, the other side having failed */
		const char *why;
	} cases[] = {
		{ "localhost", REQ, NO, NULL, &pki.ca, NULL, SL_OK, SL_OK, NULL },
		{ "api.sluice", REQ, NO, NULL, &pki.ca, NULL, SL_OK, SL_OK, NULL },
		{ "127.0.0.1", REQ, NO, NULL, &pki.ca, NULL, SL_OK, SL_OK, NULL },
		{ "::1", REQ, NO, NULL, &pki.ca, NULL, SL_OK, SL_OK, NULL },
		{ NULL, REQ, NO, NULL, &pki.ca, NULL, SL_OK, SL_OK, NULL },
		{ "localhost", REQ, REQ, &pki.client, &pki.ca, &pki.ca, SL_OK, SL_OK, NULL },
		{ "localhost", REQ, OPT, &pki.client, &pki.ca, &pki.ca, SL_OK, SL_OK, NULL },
		{ "localhost", REQ, OPT, NULL, &pki.ca, &pki.ca, SL_OK, SL_OK, NULL },
		{ "localhost", NO, NO, NULL, NULL, NULL, SL_OK, SL_OK, NULL },
		{ "other.host", REQ, NO, NULL, &pki.ca, NULL, SL_ERR_TLS, SL_ERR_TLS, "hostname mismatch" },
		{ "127.0.0.2", REQ, NO, NULL, &pki.ca, NULL, SL_ERR_TLS, SL_ERR_TLS, "IP address mismatch" },
		{ "localhost", REQ, NO, NULL, &pki.other_ca, NULL, SL_ERR_TLS, SL_ERR_TLS, "certificate" },
		{ "localhost", REQ, REQ, NULL, &pki.ca, &pki.ca, SL_OK, SL_ERR_TLS,
		        "did not return a certificate" },
		{ "localhost", REQ, REQ, &pki.expired, &pki.ca, &pki.ca, SL_OK, SL_ERR_TLS, "expired" },
		{ "localhost", REQ, OPT, &pki.expired, &pki.ca, &pki.ca, SL_OK, SL_ERR_TLS, "expired" },
		{ "localhost", REQ, REQ, &pki.client, &pki.ca, &pki.other_ca, SL_OK, SL_ERR_TLS,
		        "certificate" },
		{ "localhost", REQ, REQ, &pki.server, &pki.ca, &pki.ca, SL_OK, SL_ERR_TLS, "purpose" },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		struct sl_tls_ctx *client = test_ctx(
		        false, cases[i].client_id, cases[i].client_trusts, cases[i].client_verifies, NULL);
		struct sl_tls_ctx *server =
		        test_ctx(true, &pki.server, cases[i].server_trusts, cases[i].server_verifies, NULL);

		for (size_t most = 1; most <= 100000; most += 99999) {
			const char *why;
			struct pair p;

			shake(&p, client, server, cases[i].name, NULL, most);
			sl_assert_err(p.client_err, cases[i].client);
			sl_assert_err(p.server_err, cases[i].server);
			why = sl_tls_why(cases[i].client == SL_OK ? p.server : p.client);
			if (cases[i].why && !strstr(why, cases[i].why))
				fail_msg("row %zu: \"%s\" does not say \"%s\"", i, why, cases[i].why);
			if (p.client_err != SL_OK) /* a failed one stays failed */
				sl_assert_err(
				        sl_tls_handshake(p.client, &p.to_client, &p.to_server), SL_ERR_TLS);
			pair_fini(&p);
		}
		sl_tls_ctx_unref(client);
		sl_tls_ctx_unref(server);
	}
}

static void test_peer(void **state)
{
	struct sl_tls_ctx *client = test_ctx(false, &pki.client, &pki.ca, SL_TLS_VERIFY_REQUIRED, NULL);
	struct sl_tls_ctx *server = test_ctx(true, &pki.server, &pki.ca, SL_TLS_VERIFY_REQUIRED, NULL);
	struct sl_tls_ctx *careless = test_ctx(false, NULL, NULL, SL_TLS_VERIFY_NONE, NULL);
	struct sl_tls_ctx *lax = test_ctx(true, &pki.server, &pki.ca, SL_TLS_VERIFY_OPTIONAL, NULL);
	const struct sl_tls_peer *peer;
	struct pair p;

	(void)state;
	shake(&p, client, server, "localhost", NULL, 5000);
	peer = sl_tls_peer(p.server);
	assert_non_null(peer);
	sl_assert_str(peer->common_name, "admin");
	assert_int_equal(peer->organization_count, 2);
	sl_assert_str(peer->organizations[0], "system:masters");
	sl_assert_str(peer->organizations[1], "team");
	sl_assert_str(peer->uri, "spiffe://cluster.local/ns/default/sa/reviews");
	sl_assert_str(sl_tls_sni(p.server), "localhost");
	sl_assert_str(sl_tls_peer(p.client)->dns, "localhost");
	pair_fini(&p);
	shake(&p, careless, lax, NULL, NULL, 5000);
	sl_assert_ok(p.server_err);
	assert_null(sl_tls_peer(p.server)); /* showed none */
	assert_null(sl_tls_peer(p.client)); /* was not verified */
	pair_fini(&p);
	sl_tls_ctx_unref(client);
	sl_tls_ctx_unref(server);
	sl_tls_ctx_unref(careless);
	sl_tls_ctx_unref(lax);
}

static void test_alpn(void **state)
{
	static const char *const h2_h1[] = { "h2", "http/1.1", NULL }, *const h1_h2[] = { "http/1.1", "h2",
		NULL };
	static const char *const h1[] = { "http/1.1", NULL }, *const istio[] = { "istio", NULL };
	static const struct {
		const char *const *client, *const *server;
		sl_err err;
		const char *agreed;
	} cases[] = {
		{ h1_h2, h2_h1, SL_OK, "h2" }, /* the server's order counts */
		{ h1, h2_h1, SL_OK, "http/1.1" },
		{ NULL, h2_h1, SL_OK, "" },
		{ h1, NULL, SL_OK, "" },
		{ istio, h2_h1, SL_ERR_TLS, NULL },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		struct sl_tls_ctx *client = test_ctx(false, NULL, NULL, SL_TLS_VERIFY_NONE, cases[i].client);
		struct sl_tls_ctx *server =
		        test_ctx(true, &pki.server, NULL, SL_TLS_VERIFY_NONE, cases[i].server);
		struct pair p;

		shake(&p, client, server, NULL, NULL, 5000);
		sl_assert_err(p.server_err, cases[i].err);
		if (cases[i].err == SL_OK) {
			sl_assert_str(sl_tls_alpn(p.server), cases[i].agreed);
			sl_assert_str(sl_tls_alpn(p.client), cases[i].agreed);
		}
		pair_fini(&p);
		sl_tls_ctx_unref(client);
		sl_tls_ctx_unref(server);
	}
}

static void read_all(
        struct sl_tls *tls, struct sl_buf *in, struct sl_buf *out, struct sl_buf *got, sl_err last)
{
	char piece[700];
	sl_err err;
	size_t n;

	while ((err = sl_tls_read(tls, in, out, piece, sizeof(piece), &n)) == SL_OK)
		sl_buf_add(got, piece, n);
	sl_assert_err(err, last);
}

static void test_data_and_goodbye(void **state)
{
	struct sl_tls_ctx *client = test_ctx(false, NULL, &pki.ca, SL_TLS_VERIFY_REQUIRED, NULL);
	struct sl_tls_ctx *server = test_ctx(true, &pki.server, NULL, SL_TLS_VERIFY_NONE, NULL);
	struct sl_buf got = { 0 }, sent = { 0 };
	struct pair p;

	(void)state;
	shake(&p, client, server, "localhost", NULL, 5000);
	for (unsigned i = 0; i < 50000; i++)
		sl_buf_byte(&sent, (char)i);
	sl_assert_ok(sl_tls_write(p.client, &p.to_client, &p.to_server, sent.p, sent.len));
	sl_assert_ok(sl_tls_write(p.client, &p.to_client, &p.to_server, NULL, 0));
	read_all(p.server, &p.to_server, &p.to_client, &got, SL_ERR_AGAIN);
	assert_int_equal(sl_buf_size(&got), sent.len);
	assert_memory_equal(got.p, sent.p, sent.len);
	sl_tls_shutdown(p.client, &p.to_server);
	sl_tls_shutdown(p.client, &p.to_server); /* said once */
	read_all(p.server, &p.to_server, &p.to_client, &got, SL_ERR_EOF);
	assert_int_equal(sl_buf_size(&p.to_server), 0);
	sl_assert_ok(sl_tls_write(p.server, &p.to_server, &p.to_client, "still", 5)); /* half-closed only */
	sl_buf_clear(&got);
	read_all(p.client, &p.to_client, &p.to_server, &got, SL_ERR_AGAIN);
	sl_assert_str(sl_buf_str(&got), "still");
	sl_buf_add(&p.to_client, "\x17\x03\x03\x00\x20 no record that decrypts ........", 5 + 32);
	read_all(p.client, &p.to_client, &p.to_server, &got, SL_ERR_TLS);
	sl_buf_fini(&got);
	sl_buf_fini(&sent);
	pair_fini(&p);
	sl_tls_ctx_unref(client);
	sl_tls_ctx_unref(server);
}

static void test_resumption(void **state)
{
	struct sl_tls_ctx *client = test_ctx(false, &pki.client, &pki.ca, SL_TLS_VERIFY_REQUIRED, NULL);
	struct sl_tls_ctx *server = test_ctx(true, &pki.server, &pki.ca, SL_TLS_VERIFY_REQUIRED, NULL);
	struct sl_tls_ctx *other = test_ctx(true, &pki.server, &pki.ca, SL_TLS_VERIFY_REQUIRED, NULL);
	struct sl_tls_session *session;
	struct sl_buf got = { 0 };
	struct pair p;

	(void)state;
	shake(&p, client, server, "localhost", NULL, 5000);
	assert_false(sl_tls_resumed(p.client));
	read_all(p.client, &p.to_client, &p.to_server, &got,
	        SL_ERR_AGAIN); /* the ticket comes after the handshake */
	session = sl_tls_session_take(p.client);
	assert_non_null(session);
	assert_null(sl_tls_session_take(p.client));
	pair_fini(&p);
	shake(&p, client, server, "localhost", session, 5000);
	sl_assert_ok(p.server_err);
	assert_true(sl_tls_resumed(p.client) && sl_tls_resumed(p.server));
	sl_assert_str(sl_tls_peer(p.server)->common_name, "admin"); /* the ticket carries who it was */
	pair_fini(&p);
	shake(&p, client, other, "localhost", session,
	        5000); /* keys of another context: a full handshake, no failure */
	sl_assert_ok(p.server_err);
	assert_false(sl_tls_resumed(p.client));
	pair_fini(&p);
	sl_tls_session_free(session);
	sl_buf_fini(&got);
	sl_tls_ctx_unref(client);
	sl_tls_ctx_unref(server);
	sl_tls_ctx_unref(other);
}

static void test_bad_configs(void **state)
{
	const struct {
		bool server;
		sl_str cert, key, ca;
		const char *field;
	} cases[] = {
		{ true, SL_STR_NONE, SL_STR_NONE, SL_STR_NONE, "certificate" },
		{ true, sl_buf_str(&pki.server.cert), SL_STR_NONE, SL_STR_NONE, "key" },
		{ true, sl_buf_str(&pki.server.cert), sl_buf_str(&pki.client.key), SL_STR_NONE, "key" },
		{ true, sl_buf_str(&pki.server.cert), SL_STR("-----BEGIN nothing"), SL_STR_NONE, "key" },
		{ true, sl_buf_str(&pki.server.key), sl_buf_str(&pki.server.key), SL_STR_NONE,
		        "certificate" },
		{ true, SL_STR("junk"), sl_buf_str(&pki.server.key), SL_STR_NONE, "certificate" },
		{ false, SL_STR_NONE, SL_STR_NONE, SL_STR("junk"), "ca" },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
		struct sl_tls_config config = { .server = cases[i].server,
			.verify = SL_TLS_VERIFY_REQUIRED,
			.cert_pem = cases[i].cert,
			.key_pem = cases[i].key,
			.ca_pem = cases[i].ca };
		struct sl_tls_ctx *ctx = NULL;

		sl_assert_err(sl_tls_ctx_new(&ctx, &config, &diag), SL_ERR_INVALID);
		assert_null(ctx);
		assert_int_equal(diag.count, 1);
		sl_assert_str(diag.items->field, cases[i].field);
	}
}

static void test_x509(void **state)
{
	static const char *const bad_dns[] = { "a b", NULL }, *const bad_ip[] = { "300.1.1.1", NULL };
	static const char *const newline[] = { "x\nDNS:evil", NULL }, *const empty[] = { "", NULL };
	const struct {
		const char *const *dns, *const *ip, *const *uri;
		sl_nsec lasts;
		const char *field;
	} bad[] = {
		{ bad_dns, NULL, NULL, SL_SEC(60), "subjectAltName" },
		{ newline, NULL, NULL, SL_SEC(60), "subjectAltName" },
		{ empty, NULL, NULL, SL_SEC(60), "subjectAltName" },
		{ NULL, bad_ip, NULL, SL_SEC(60), "subjectAltName" },
		{ NULL, NULL, bad_dns, SL_SEC(60), "subjectAltName" },
		{ NULL, NULL, NULL, 0, "notAfter" },
	};
	struct sl_buf cert = { 0 }, key = { 0 };
	struct sl_x509_info info;

	(void)state;
	sl_assert_ok(sl_x509_inspect(sl_buf_str(&pki.ca.cert), &info, NULL));
	assert_true(info.ca);
	assert_string_equal(info.common_name, "test authority");
	sl_assert_ok(sl_x509_inspect(sl_buf_str(&pki.server.cert), &info, NULL));
	assert_false(info.ca);
	assert_true(info.not_after - info.not_before == SL_SEC(86400 + 3600));
	for (size_t i = 0; i < SL_ARRAY_COUNT(bad); i++) {
		SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
		struct sl_x509_request req = { .common_name = "x",
			.dns_names = bad[i].dns,
			.ip_addresses = bad[i].ip,
			.uris = bad[i].uri,
			.not_before = SL_SEC(1000),
			.not_after = SL_SEC(1000) + bad[i].lasts };

		sl_assert_err(sl_x509_issue(&req, sl_buf_str(&pki.ca.cert), sl_buf_str(&pki.ca.key), &cert,
		                      &key, &diag),
		        SL_ERR_INVALID);
		sl_assert_str(diag.items->field, bad[i].field);
		sl_assert_err(sl_x509_issue(&req, SL_STR("junk"), sl_buf_str(&pki.ca.key), &cert, &key, NULL),
		        SL_ERR_INVALID);
	}
	assert_int_equal(sl_buf_size(&cert) + sl_buf_size(&key), 0);
	sl_assert_err(sl_x509_inspect(SL_STR(""), &info, NULL), SL_ERR_INVALID);
	{
		struct sl_x509_request req = { .common_name = "x", .not_before = 0, .not_after = SL_SEC(1) };

		sl_assert_err(sl_x509_issue(&req, sl_buf_str(&pki.ca.cert), sl_buf_str(&pki.other_ca.key),
		                      &cert, &key, NULL),
		        SL_ERR_INVALID); /* a key that is not the authority's */
	}
	sl_buf_fini(&cert);
	sl_buf_fini(&key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshakes),
		cmocka_unit_test(test_peer),
		cmocka_unit_test(test_alpn),
		cmocka_unit_test(test_data_and_goodbye),
		cmocka_unit_test(test_resumption),
		cmocka_unit_test(test_bad_configs),
		cmocka_unit_test(test_x509),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
