#include "base/test.h"

#include "control/ca.h"
#include "control/kubeconfig.h"
#include "net/tls.h"
#include "os/clock.h"
#include "os/file.h"

#include <sys/stat.h>

static char *dir;

static int make_dir(void **state)
{
	(void)state;
	sl_assert_ok(sl_dir_make_temp("sl-ca-", &dir));
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	sl_assert_ok(sl_path_remove(dir));
	sl_free(dir);
	return 0;
}

static void expect_mode_0600(const char *name)
{
	SL_CLEANUP(sl_free) char *path = sl_asprintf("%s/%s", dir, name);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void issue(const struct sl_ca *ca, struct sl_buf *cert, struct sl_buf *key)
{
	static const char *const names[] = { "localhost", NULL };
	const struct sl_x509_request request = { .common_name = "server",
		.dns_names = names,
		.server = true,
		.not_after = sl_clock_real() / SL_SEC(1) * SL_SEC(1) + SL_SEC(3600) };
	sl_assert_ok(sl_ca_issue(ca, &request, cert, key, NULL));
}

static void test_keeps_its_key(void **state)
{
	(void)state;
	SL_CLEANUP(sl_ca_free) struct sl_ca *first = NULL, *second = NULL;
	sl_assert_ok(sl_ca_open(&first, dir, NULL));
	expect_mode_0600("ca.crt");
	expect_mode_0600("ca.key");
	sl_assert_ok(sl_ca_open(&second, dir, NULL));
	assert_true(sl_str_eq(sl_ca_cert_pem(first), sl_ca_cert_pem(second)));

	/* What it signs can be served. */
	SL_CLEANUP(sl_buf_fini) struct sl_buf cert = { 0 }, key = { 0 };
	issue(second, &cert, &key);
	struct sl_tls_ctx *ctx = NULL;
	const struct sl_tls_config config = { .server = true,
		.verify = SL_TLS_VERIFY_OPTIONAL,
		.cert_pem = sl_buf_str(&cert),
		.key_pem = sl_buf_str(&key),
		.ca_pem = sl_ca_cert_pem(first) };
	sl_assert_ok(sl_tls_ctx_new(&ctx, &config, NULL));
	sl_tls_ctx_unref(ctx);
}

static void test_refuses_damage(void **state)
{
	(void)state;
	SL_CLEANUP(sl_ca_free) struct sl_ca *ca = NULL;
	sl_assert_ok(sl_ca_open(&ca, dir, NULL));
	SL_CLEANUP(sl_buf_fini) struct sl_buf leaf = { 0 }, leaf_key = { 0 };
	issue(ca, &leaf, &leaf_key);
	const struct {
		const char *file;
		sl_str content;
	} cases[] = {
		{ "ca.key", sl_buf_str(&leaf_key) }, /* a key, of another certificate */
		{ "ca.key", SL_STR("") },
		{ "ca.key", SL_STR("-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n") },
		{ "ca.crt", sl_buf_str(&leaf) }, /* a certificate, of no authority */
		{ "ca.crt", SL_STR("text\n") },
	};
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_free) char *path = sl_asprintf("%s/%s", dir, cases[i].file);
		SL_CLEANUP(sl_buf_fini) struct sl_buf saved = { 0 };
		SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
		SL_CLEANUP(sl_ca_free) struct sl_ca *bad = NULL;
		sl_assert_ok(sl_file_read(path, 65536, &saved));
		sl_assert_ok(sl_file_write(path, cases[i].content, 0600));
		if (sl_ca_open(&bad, dir, &diag) == SL_OK)
			fail_msg("row %zu was accepted", i);
		assert_true(diag.count > 0);
		sl_assert_ok(sl_file_write(path, sl_buf_str(&saved), 0600));
	}
	/* A certificate without its key: not replaced behind the user's back. */
	SL_CLEANUP(sl_free) char *key_path = sl_asprintf("%s/ca.key", dir);
	sl_assert_ok(sl_path_remove(key_path));
	SL_CLEANUP(sl_ca_free) struct sl_ca *half = NULL;
	sl_assert_err(sl_ca_open(&half, dir, NULL), SL_ERR_NOT_FOUND);
}

static void test_kubeconfig(void **state)
{
	(void)state;
	SL_CLEANUP(sl_ca_free) struct sl_ca *ca = NULL;
	SL_CLEANUP(sl_free) char *path = sl_asprintf("%s/kubeconfig", dir);
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
	sl_assert_ok(sl_ca_open(&ca, dir, NULL));
	sl_assert_ok(sl_kubeconfig_write(ca, path, "https://127.0.0.1:1", NULL));
	sl_assert_ok(sl_kubeconfig_write(ca, path, "https://127.0.0.1:6443", NULL));
	expect_mode_0600("kubeconfig");
	sl_assert_ok(sl_file_read(path, 65536, &text));
	const char *t = sl_buf_cstr(&text);
	assert_non_null(strstr(t, "server: https://127.0.0.1:6443\n"));
	assert_non_null(strstr(t, "certificate-authority-data: LS0tLS1CRUdJTi"));
	assert_non_null(strstr(t, "client-certificate-data: LS0tLS1CRUdJTi"));
	assert_non_null(strstr(t, "client-key-data: LS0tLS1CRUdJTi"));
	sl_assert_err(
	        sl_kubeconfig_write(ca, "/nonexistent/kubeconfig", "https://x:1", NULL), SL_ERR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_keeps_its_key, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_refuses_damage, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_kubeconfig, make_dir, remove_dir),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
