#include "base/test.h"

#include "base/mem.h"
#include "proto/uri.h"

#include <stdlib.h>

static void targets_split(void **state)
{
	static const struct {
		const char *in, *scheme, *authority, *path, *query;
		bool has_query;
		sl_err err;
	} cases[] = {
		{ "/", "", "", "/", "", false, SL_OK },
		{ "/a/b?c=d&e?f", "", "", "/a/b", "c=d&e?f", true, SL_OK },
		{ "/?", "", "", "/", "", true, SL_OK },
		{ "//a/b", "", "", "//a/b", "", false, SL_OK },
		{ "*", "", "", "", "", false, SL_OK },
		{ "http://h", "http", "h", "/", "", false, SL_OK },
		{ "HTTPS://h:1/p?q", "HTTPS", "h:1", "/p", "q", true, SL_OK },
		{ "http://h?q", "http", "h", "/", "q", true, SL_OK },
		{ "http://[::1]:80/", "http", "[::1]:80", "/", "", false, SL_OK },
		{ "", "", "", "", "", false, SL_ERR_MALFORMED },
		{ "a", "", "", "", "", false, SL_ERR_MALFORMED },
		{ "http:", "", "", "", "", false, SL_ERR_MALFORMED },
		{ "http:/h", "", "", "", "", false, SL_ERR_MALFORMED },
		{ "http://", "", "", "", "", false, SL_ERR_MALFORMED },
		{ "http:///p", "", "", "", "", false, SL_ERR_MALFORMED },
		{ "http://u:p@h/", "", "", "", "", false, SL_ERR_MALFORMED },
		{ "ftp://h/", "", "", "", "", false, SL_ERR_MALFORMED },
		{ "/a b", "", "", "", "", false, SL_ERR_MALFORMED },
		{ "/a#b", "", "", "", "", false, SL_ERR_MALFORMED },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		struct sl_uri u = { 0 };

		sl_assert_err(sl_uri_split(sl_str_c(cases[i].in), &u), cases[i].err);
		sl_assert_str(u.scheme, cases[i].scheme);
		sl_assert_str(u.authority, cases[i].authority);
		sl_assert_str(u.path, cases[i].path);
		sl_assert_str(u.query, cases[i].query);
		assert_int_equal(u.has_query, cases[i].has_query);
	}
}

static void hosts_split(void **state)
{
	static const struct {
		const char *in, *host;
		int port;
		sl_err err;
	} cases[] = {
		{ "a", "a", -1, SL_OK },
		{ "a:", "a", -1, SL_OK },
		{ "a:0", "a", 0, SL_OK },
		{ "a.b:65535", "a.b", 65535, SL_OK },
		{ "[::1]", "::1", -1, SL_OK },
		{ "[::1]:80", "::1", 80, SL_OK },
		{ "a:65536", "", 0, SL_ERR_RANGE },
		{ "", "", 0, SL_ERR_MALFORMED },
		{ ":80", "", 0, SL_ERR_MALFORMED },
		{ "a:b", "", 0, SL_ERR_MALFORMED },
		{ "a:1:2", "", 0, SL_ERR_MALFORMED },
		{ "[::1", "", 0, SL_ERR_MALFORMED },
		{ "[]", "", 0, SL_ERR_MALFORMED },
		{ "[::1]80", "", 0, SL_ERR_MALFORMED },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		sl_str host = SL_STR_NONE;
		int port = 0;

		sl_assert_err(sl_host_split(sl_str_c(cases[i].in), &host, &port), cases[i].err);
		sl_assert_str(host, cases[i].host);
		assert_int_equal(port, cases[i].port);
	}
}

static void queries_are_found_by_name(void **state)
{
	static const struct {
		const char *query, *name, *value;
		sl_err err;
	} cases[] = {
		{ "a=b&c=d", "c", "d", SL_OK },
		{ "a=1&a=2", "a", "1", SL_OK },
		{ "a", "a", "", SL_OK },
		{ "&&a=b=c&", "a", "b=c", SL_OK },
		{ "%61+b=%20", "a b", "%20", SL_OK },
		{ "a%=b", "a%", "", SL_ERR_NOT_FOUND },
		{ "ab=c", "a", "", SL_ERR_NOT_FOUND },
		{ "a=b", "ab", "", SL_ERR_NOT_FOUND },
		{ "", "a", "", SL_ERR_NOT_FOUND },
		{ "=x", "", "x", SL_OK },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		sl_str value = SL_STR_NONE;

		sl_assert_err(sl_query_get(sl_str_c(cases[i].query), sl_str_c(cases[i].name), &value),
		        cases[i].err);
		sl_assert_str(value, cases[i].value);
	}
}

static void escapes_are_undone_and_made(void **state)
{
	static const struct {
		const char *in, *out;
		bool plus;
		sl_err err;
	} cases[] = {
		{ "a%20b+c", "a b+c", false, SL_OK },
		{ "a%20b+c", "a b c", true, SL_OK },
		{ "%c3%A9", "\xc3\xa9", false, SL_OK },
		{ "", "", false, SL_OK },
		{ "%", "", false, SL_ERR_MALFORMED },
		{ "%4", "", false, SL_ERR_MALFORMED },
		{ "%4g", "", false, SL_ERR_MALFORMED },
		{ "%00", "", false, SL_ERR_MALFORMED },
	};
	char dst[64];

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		size_t len = 0;

		sl_assert_err(
		        sl_percent_decode(dst, sl_str_c(cases[i].in), cases[i].plus, &len), cases[i].err);
		sl_assert_str(sl_str_n(dst, len), cases[i].out);
	}
	sl_assert_str(sl_str_n(dst, sl_percent_encode(dst, SL_STR("a/b c~\xff"), false)), "a%2Fb%20c~%FF");
	sl_assert_str(sl_str_n(dst, sl_percent_encode(dst, SL_STR("a/b"), true)), "a/b");
}

static void paths_have_one_normal_form(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: refused */
	} cases[] = {
		{ "/", "/" },
		{ "/a/b", "/a/b" },
		{ "/a/b/", "/a/b/" },
		{ "/a.b/..c/.d/...", "/a.b/..c/.d/..." },
		{ "//", "/" },
		{ "//a///b//", "/a/b/" },
		{ "/a/./b", "/a/b" },
		{ "/a/.", "/a/" },
		{ "/a/b/..", "/a/" },
		{ "/a/b/../c", "/a/c" },
		{ "/a/..", "/" },
		{ "/a/../../b", NULL }, /* above the root */
		{ "/..", NULL },
		{ "/a\\b\\..\\c", "/a/c" },
		{ "/%61%7e", "/a~" },
		{ "/%2e%2E/a", NULL },
		{ "/a/%2e%2e/b", "/b" },
		{ "/a%2fb", "/a%2Fb" }, /* an escaped slash is not a slash */
		{ "/a%5cb", "/a%5Cb" },
		{ "/a%20b%C3%a9", "/a%20b%C3%A9" },
		{ "/a%", NULL },
		{ "/a%zz", NULL },
		{ "/a%00", NULL },
		{ "a", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		sl_str in = sl_str_c(cases[i].in);
		char *dst = malloc(in.len + 1); /* in place, and never longer */
		size_t len = 0;
		sl_err err;

		memcpy(dst, in.p, in.len);
		err = sl_path_normalise(dst, sl_str_n(dst, in.len), &len);
		sl_assert_err(err, cases[i].out ? SL_OK : SL_ERR_MALFORMED);
		if (cases[i].out) {
			sl_assert_str(sl_str_n(dst, len), cases[i].out);
			assert_int_equal(sl_path_is_normal(in), strcmp(cases[i].in, cases[i].out) == 0);
			assert_true(sl_path_is_normal(sl_str_n(dst, len)));
		} else {
			assert_false(sl_path_is_normal(in));
		}
		free(dst);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(targets_split),
		cmocka_unit_test(hosts_split),
		cmocka_unit_test(queries_are_found_by_name),
		cmocka_unit_test(escapes_are_undone_and_made),
		cmocka_unit_test(paths_have_one_normal_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
