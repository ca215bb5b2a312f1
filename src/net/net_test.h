#pragma once
/*
 * What this folder's tests share: an authority with certificates, made once.
 * Ownership: static.       Threads: tests are single-threaded.
 */
#include "base/test.h"

#include "net/tls.h"
#include "net/x509.h"
#include "os/clock.h"

struct test_identity {
	struct sl_buf cert, key;
};

struct test_authority {
	struct test_identity ca, other_ca, server, client, expired;
};

static inline void test_issue(
        const struct sl_x509_request *req, const struct test_identity *ca, struct test_identity *to)
{
	sl_assert_ok(
	        sl_x509_issue(req, sl_buf_str(&ca->cert), sl_buf_str(&ca->key), &to->cert, &to->key, NULL));
}

static inline void test_authority_make(struct test_authority *a)
{
	static const char *const dns[] = { "localhost", "api.sluice", NULL }, *const ips[] = { "127.0.0.1",
		"::1", NULL };
	static const char *const groups[] = { "system:masters", "team", NULL };
	static const char *const uris[] = { "spiffe://cluster.local/ns/default/sa/reviews", NULL };
	sl_nsec now = sl_clock_real();
	struct sl_x509_request ca = { .common_name = "test authority",
		.not_before = now - SL_SEC(3600),
		.not_after = now + SL_SEC(86400) },
	                       server = ca, client = ca, expired;

	server.common_name = "sluiced";
	server.dns_names = dns;
	server.ip_addresses = ips;
	server.server = true;
	client.common_name = "admin";
	client.organizations = groups;
	client.uris = uris;
	client.client = true;
	expired = client;
	expired.not_after = now - SL_SEC(60);
	sl_assert_ok(sl_x509_make_ca(&ca, &a->ca.cert, &a->ca.key, NULL));
	sl_assert_ok(sl_x509_make_ca(&ca, &a->other_ca.cert, &a->other_ca.key, NULL));
	test_issue(&server, &a->ca, &a->server);
	test_issue(&client, &a->ca, &a->client);
	test_issue(&expired, &a->ca, &a->expired);
}

static inline void test_authority_fini(struct test_authority *a)
{
	struct test_identity *all[] = { &a->ca, &a->other_ca, &a->server, &a->client, &a->expired };

	for (size_t i = 0; i < SL_ARRAY_COUNT(all); i++) {
		sl_buf_fini(&all[i]->cert);
		sl_buf_fini(&all[i]->key);
	}
}

static inline struct sl_tls_ctx *test_ctx(bool server, const struct test_identity *id,
        const struct test_identity *ca, enum sl_tls_verify verify, const char *const *alpn)
{
	struct sl_tls_config config = { .server = server, .verify = verify, .alpn = alpn };
	struct sl_tls_ctx *ctx = NULL;

	if (id) {
		config.cert_pem = sl_buf_str(&id->cert);
		config.key_pem = sl_buf_str(&id->key);
	}
	if (ca)
		config.ca_pem = sl_buf_str(&ca->cert);
	sl_assert_ok(sl_tls_ctx_new(&ctx, &config, NULL));
	return ctx;
}
