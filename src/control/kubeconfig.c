#include "control/kubeconfig.h"
#include "os/clock.h"
#include "os/file.h"

#include <openssl/evp.h>

static void add_base64(struct sl_buf *out, sl_str s)
{
	char *to = sl_buf_reserve(out, (s.len + 2) / 3 * 4 + 1);
	int len = EVP_EncodeBlock((unsigned char *)to, (const unsigned char *)s.p, (int)s.len);
	sl_buf_commit(out, (size_t)len);
}

static void add_field(struct sl_buf *out, const char *name, sl_str pem)
{
	sl_buf_printf(out, "    %s: ", name);
	add_base64(out, pem);
	sl_buf_c(out, "\n");
}

sl_err sl_kubeconfig_write(const struct sl_ca *ca, const char *path, const char *url, struct sl_diag *diag)
{
	static const char *const groups[] = { SL_CA_ADMIN_GROUP, NULL };
	SL_CLEANUP(sl_buf_fini) struct sl_buf cert = { 0 }, key = { 0 }, text = { 0 };
	sl_nsec now = sl_clock_real();
	const struct sl_x509_request admin = {
		.common_name = "sluice-admin",
		.organizations = groups,
		.client = true,
		.not_after = now - now % SL_SEC(1) + SL_SEC(365LL * 86400),
	};
	SL_TRY(sl_ca_issue(ca, &admin, &cert, &key, diag));
	sl_buf_printf(&text,
	        "# Written by sluiced at each start. Whoever can read this file can do everything.\n"
	        "apiVersion: v1\nkind: Config\ncurrent-context: sluice\n"
	        "clusters:\n- name: sluice\n  cluster:\n    server: %s\n",
	        url);
	add_field(&text, "certificate-authority-data", sl_ca_cert_pem(ca));
	sl_buf_c(&text,
	        "contexts:\n- name: sluice\n  context:\n    cluster: sluice\n    user: admin\n    namespace: default\n"
	        "users:\n- name: admin\n  user:\n");
	add_field(&text, "client-certificate-data", sl_buf_str(&cert));
	add_field(&text, "client-key-data", sl_buf_str(&key));
	sl_err err = sl_file_write(path, sl_buf_str(&text), 0600);
	return err == SL_OK ? SL_OK : sl_diag_fail(diag, err, NULL, NULL, "%s: %s", path, sl_err_text(err));
}
