#include "base/test.h"

#include "proxy/mesh_build_test.h"
#include "proxy/tables.h"

#include <stdio.h>

struct rq { /* a request as text, parsed when used */
	struct sl_http1_head head;
	struct sl_route_request rq;
	struct sl_regex_scratch scratch;
	char text[2048];
};

static void rq_parse(
        struct rq *q, const char *method, const char *target, const char *host, const char *fields)
{
	struct sl_http1_limits limits = SL_HTTP1_LIMITS;
	int n = snprintf(q->text, sizeof(q->text), "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", method, target,
	        host, fields);
	sl_str path;

	sl_http1_head_init(&q->head);
	sl_assert_ok(sl_http1_request(&q->head, q->text, (size_t)n, &limits));
	path = sl_http1_str(q->text, q->head.target);
	q->rq = (struct sl_route_request) {
		.method = sl_http1_str(q->text, q->head.method_at),
		.scheme = SL_STR("http"),
		.authority = sl_http1_str(q->text, q->head.authority),
		.head = &q->head,
		.bytes = q->text,
		.scratch = &q->scratch,
	};
	q->rq.path = sl_str_first(path, sl_str_find(path, '?'));
	if (q->rq.path.len < path.len)
		q->rq.query = sl_str_skip(path, q->rq.path.len + 1);
}

static struct sl_tables *compile(struct sl_mesh *m)
{
	struct sl_tables *t = NULL;
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };

	if (sl_tables_new(&t, m, NULL, &diag) != SL_OK)
		fail_msg("%s", sl_diag_text(&diag));
	return t;
}

static void hosts_are_found_by_the_longest_domain(void **state)
{
	static const char *const domains[] = { "reviews", "reviews:9080", "*.example.com", "*.eu.example.com",
		"*-test.example.com", "[::1]:80", "[::1]", "*" };
	static const struct {
		const char *authority, *domain;
	} cases[] = {
		{ "reviews", "reviews" },
		{ "Reviews", "reviews" },
		{ "reviews:9080", "reviews:9080" },
		{ "reviews:9081", "reviews" }, /* any other port: the name alone */
		{ "reviews.default", "*" },
		{ "a.example.com", "*.example.com" },
		{ "A.EXAMPLE.com:443", "*.example.com" },
		{ "a.b.example.com", "*.example.com" },
		{ "a.eu.example.com", "*.eu.example.com" },
		{ "x-test.example.com", "*-test.example.com" },
		{ ".example.com", "*" }, /* the star stands for something */
		{ "example.com", "*" },
		{ "[::1]:80", "[::1]:80" },
		{ "[::1]:81", "[::1]" },
		{ "[::2]", "*" },
		{ "", "*" },
		{ "a.example.comx", "*" },
	};
	SL_CLEANUP(sl_mesh_unref) struct sl_mesh *m = sl_mesh_new();
	struct sl_mesh_route_config *rc = mb_config(m, "rc");
	struct sl_tables *t;

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(domains); i++)
		mb_host(m, rc, domains[i]);
	t = compile(m);
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		const struct sl_table_host *h = sl_tables_host(&t->configs[0], sl_str_c(cases[i].authority));

		if (!h || !sl_str_eq_c(h->mesh->name, cases[i].domain))
			fail_msg("%s went to %.*s, not %s", cases[i].authority,
			        h ? (int)h->mesh->name.len : 4, h ? h->mesh->name.p : "none",
			        cases[i].domain);
	}
	sl_tables_unref(t);
}

static void an_overlong_authority_fits_no_domain(void **state)
{
	char name[4096];
	SL_CLEANUP(sl_mesh_unref) struct sl_mesh *m = sl_mesh_new();
	struct sl_tables *t;

	(void)state;
	memset(name, 'a', sizeof(name));
	mb_host(m, mb_config(m, "rc"), "a");
	t = compile(m);
	assert_null(sl_tables_host(&t->configs[0], sl_str_n(name, sizeof(name))));
	sl_tables_unref(t);
}

/* The rows of one table, in order; the first that fits must win. */
static struct sl_mesh *conditions_mesh(void)
{
	struct sl_mesh *m = sl_mesh_new();
	struct sl_mesh_virtual_host *h = mb_host(m, mb_config(m, "rc"), "*");
	struct sl_mesh_route *r;
	struct sl_mesh_field_match *f;

	mb_cluster(m, "c");
#define ROUTE(route_name, kind, path_text)   \
	r = mb_route(m, h, kind, path_text); \
	r->name = mb_str(m, route_name);     \
	mb_split(m, r, "c", 1)
#define HEADER(header_name, header_kind, header_value, inverted) \
	f = MB_GROW(m, r->match.headers, r->match.header_count); \
	f->name = mb_str(m, header_name);                        \
	f->match.kind = header_kind;                             \
	f->match.value = mb_str(m, header_value);                \
	f->match.invert = inverted
	ROUTE("jason", SL_PATH_PREFIX, "/");
	HEADER("end-user", SL_MATCH_EXACT, "jason", false);
	ROUTE("two-values", SL_PATH_PREFIX, "/");
	HEADER("x-many", SL_MATCH_EXACT, "a,b", false);
	ROUTE("beta", SL_PATH_PREFIX, "/");
	HEADER("x-ring", SL_MATCH_REGEX, "beta-[0-9]+", false);
	ROUTE("post", SL_PATH_EXACT, "/submit");
	HEADER(":method", SL_MATCH_EXACT, "POST", false);
	ROUTE("submit", SL_PATH_EXACT, "/submit");
	ROUTE("query", SL_PATH_PREFIX, "/search");
	f = MB_GROW(m, r->match.params, r->match.param_count);
	f->name = mb_str(m, "v");
	f->match.value = mb_str(m, "2");
	ROUTE("api-v1", SL_PATH_PREFIX, "/api/v1");
	ROUTE("api", SL_PATH_SEPARATED_PREFIX, "/api");
	ROUTE("shadowed", SL_PATH_PREFIX, "/api/v1/deep"); /* "/api/v1" stands before it */
	ROUTE("case", SL_PATH_EXACT, "/Case");
	r->match.path_ignore_case = true;
	ROUTE("id", SL_PATH_REGEX, "/items/[0-9]+");
	ROUTE("anonymous", SL_PATH_PREFIX, "/me");
	HEADER("cookie", SL_MATCH_PRESENT, "", true);
	ROUTE("me", SL_PATH_PREFIX, "/me");
	ROUTE("host", SL_PATH_PREFIX, "/");
	HEADER(":authority", SL_MATCH_SUFFIX, ".Internal", false);
	f->match.ignore_case = true;
	ROUTE("slash", SL_PATH_SEPARATED_PREFIX, "/dir/");
	ROUTE("evil", SL_PATH_REGEX, "/(a+)+b");
	return m;
}

static void first_match_wins(void **state)
{
	static const struct {
		const char *method, *target, *host, *fields, *route;
	} cases[] = {
		{ "GET", "/", "a", "End-User: jason\r\n", "jason" },
		{ "GET", "/api", "a", "end-user: jason\r\n", "jason" },
		{ "GET", "/api", "a", "end-user: Jason\r\n", "api" },
		{ "GET", "/x", "a", "X-Many: a\r\nX-Many: b\r\n", "two-values" },
		{ "GET", "/x", "a", "X-Many: b\r\nX-Many: a\r\n", NULL },
		{ "GET", "/", "a", "x-ring: beta-17\r\n", "beta" },
		{ "GET", "/", "a", "x-ring: beta-17x\r\n", NULL }, /* whole text */
		{ "POST", "/submit", "a", "", "post" }, { "GET", "/submit", "a", "", "submit" },
		{ "GET", "/submit?x=1", "a", "", "submit" }, /* the query is not the path */
		{ "GET", "/submit/", "a", "", NULL }, { "GET", "/search?a=1&v=2", "a", "", "query" },
		{ "GET", "/search?v=22", "a", "", NULL }, { "GET", "/api/v1", "a", "", "api-v1" },
		{ "GET", "/api/v11", "a", "", "api-v1" }, /* bytewise prefix */
		{ "GET", "/api/v1/deep/er", "a", "", "api-v1" }, { "GET", "/api/v2", "a", "", "api" },
		{ "GET", "/api", "a", "", "api" }, { "GET", "/apix", "a", "", NULL },
		{ "GET", "/CASE", "a", "", "case" }, { "GET", "/items/42", "a", "", "id" },
		{ "GET", "/items/42/x", "a", "", NULL }, { "GET", "/me", "a", "", "anonymous" },
		{ "GET", "/me", "a", "Cookie: a=b\r\n", "me" }, { "GET", "/zzz", "x.internal", "", "host" },
		{ "GET", "/dir", "a", "", "slash" }, { "GET", "/dir/x", "a", "", "slash" },
		{ "GET", "/dirx", "a", "", NULL }, { "GET", "/aaab", "a", "", "evil" },
		{ "GET", "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", "a", "",
		        NULL }, /* bounded */
	};
	SL_CLEANUP(sl_mesh_unref) struct sl_mesh *m = conditions_mesh();
	struct sl_tables *t = compile(m);
	const struct sl_table_host *h = &t->configs[0].hosts[0];
	struct rq q = { 0 };

	(void)state;
	assert_true(h->indexed);
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		const struct sl_table_route *r;

		rq_parse(&q, cases[i].method, cases[i].target, cases[i].host, cases[i].fields);
		r = sl_tables_route(h, &q.rq);
		assert_ptr_equal(r, sl_tables_route_scan(h, &q.rq));
		const char *want = cases[i].route;
		if (r ? !want || !sl_str_eq_c(r->mesh->name, want) : want != NULL)
			fail_msg("row %zu, %s: got %.*s, want %s", i, cases[i].target,
			        r ? (int)r->mesh->name.len : 4, r ? r->mesh->name.p : "none",
			        cases[i].route ? cases[i].route : "none");
	}
	sl_regex_scratch_fini(&q.scratch);
	sl_tables_unref(t);
}

static uint64_t rng_state = 1181783497276652981u;

static uint64_t rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

static const char *random_path(char room[64])
{
	size_t segments = 1 + rng() % 4, len = 0;

	for (size_t i = 0; i < segments; i++) {
		room[len++] = '/';
		for (size_t n = rng() % 3; n; n--)
			room[len++] = (char)('a' + rng() % 3);
	}
	room[len] = 0;
	return room;
}

static void the_index_agrees_with_comparing_one_by_one(void **state)
{
	static const enum sl_path_kind kinds[] = { SL_PATH_PREFIX, SL_PATH_EXACT, SL_PATH_SEPARATED_PREFIX,
		SL_PATH_REGEX };
	struct rq q = { 0 };
	char room[64];
	uint32_t found = 0;

	(void)state;
	for (int round = 0; round < 60; round++) {
		SL_CLEANUP(sl_mesh_unref) struct sl_mesh *m = sl_mesh_new();
		struct sl_mesh_virtual_host *h = mb_host(m, mb_config(m, "rc"), "*");
		size_t routes = 9 + rng() % 60;
		struct sl_tables *t;

		mb_cluster(m, "c");
		for (size_t i = 0; i < routes; i++) {
			struct sl_mesh_route *r =
			        mb_route(m, h, kinds[rng() % (rng() % 8 ? 3 : 4)], random_path(room));

			mb_split(m, r, "c", 1);
			r->match.path_ignore_case = rng() % 16 == 0;
			if (rng() % 3 == 0) {
				struct sl_mesh_field_match *f =
				        MB_GROW(m, r->match.headers, r->match.header_count);

				f->name = mb_str(m, "x");
				f->match.value = mb_str(m, rng() % 2 ? "1" : "2");
			}
		}
		t = compile(m);
		for (int i = 0; i < 200; i++) {
			const struct sl_table_route *r;

			rq_parse(&q, "GET", random_path(room), "h", rng() % 2 ? "X: 1\r\n" : "");
			r = sl_tables_route(&t->configs[0].hosts[0], &q.rq);
			assert_ptr_equal(r, sl_tables_route_scan(&t->configs[0].hosts[0], &q.rq));
			found += r != NULL;
		}
		sl_tables_unref(t);
	}
	assert_true(found > 1000);
	sl_regex_scratch_fini(&q.scratch);
}

static void deep_nesting_falls_back_to_scanning(void **state)
{
	SL_CLEANUP(sl_mesh_unref) struct sl_mesh *m = sl_mesh_new();
	struct sl_mesh_virtual_host *h = mb_host(m, mb_config(m, "rc"), "*");
	char path[400];
	struct sl_tables *t;
	struct rq q = { 0 };

	(void)state;
	mb_cluster(m, "c");
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	for (size_t i = 300; i; i--) {
		path[i] = 0;
		mb_split(m, mb_route(m, h, SL_PATH_PREFIX, path), "c", 1);
		path[i] = 'a';
	}
	t = compile(m);
	assert_false(t->configs[0].hosts[0].indexed);
	rq_parse(&q, "GET", "/aaa", "h", "");
	assert_int_equal(sl_tables_route(&t->configs[0].hosts[0], &q.rq)->mesh->match.path.len, 4);
	sl_tables_unref(t);
}

static void paths_are_rewritten(void **state)
{
	static const struct {
		enum sl_path_kind kind;
		const char *path, *prefix, *regex, *substitution, *target, *out;
	} cases[] = {
		{ SL_PATH_PREFIX, "/a/", "/", "", "", "/a/b?c=d", "/b?c=d" },
		{ SL_PATH_PREFIX, "/a", "/z", "", "", "/ab", "/zb" },
		{ SL_PATH_EXACT, "/a", "/z", "", "", "/a?", "/z?" },
		{ SL_PATH_SEPARATED_PREFIX, "/a", "/", "", "", "/a", "/" },
		{ SL_PATH_SEPARATED_PREFIX, "/a", "/", "", "", "/a/b", "/b" },
		{ SL_PATH_SEPARATED_PREFIX, "/a/", "/z/", "", "", "/a/b", "/z/b" },
		{ SL_PATH_SEPARATED_PREFIX, "/a", "/z", "", "", "/a/", "/z/" },
		{ SL_PATH_PREFIX, "/", "", "^/v([0-9]+)/(.*)$", "/\\2/v\\1", "/v7/x?q", "/x/v7?q" },
		{ SL_PATH_PREFIX, "/", "", "zz", "y", "/v7/x", "/v7/x" },
		{ SL_PATH_PREFIX, "/", "", "/x", "\\\\\\9", "/x", "\\" },
	};
	struct rq q = { 0 };

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_mesh_unref) struct sl_mesh *m = sl_mesh_new();
		SL_CLEANUP(sl_buf_fini) struct sl_buf out = { 0 };
		struct sl_mesh_route *r =
		        mb_route(m, mb_host(m, mb_config(m, "rc"), "*"), cases[i].kind, cases[i].path);
		const struct sl_table_route *found;
		struct sl_tables *t;

		mb_cluster(m, "c");
		mb_split(m, r, "c", 1);
		r->rewrite.prefix = mb_str(m, cases[i].prefix);
		r->rewrite.regex = mb_str(m, cases[i].regex);
		r->rewrite.substitution = mb_str(m, cases[i].substitution);
		t = compile(m);
		rq_parse(&q, "GET", cases[i].target, "h", "");
		found = sl_tables_route(&t->configs[0].hosts[0], &q.rq);
		assert_non_null(found);
		sl_tables_rewrite_path(found, &q.rq, &out);
		assert_string_equal(sl_buf_cstr(&out), cases[i].out);
		sl_tables_unref(t);
	}
	sl_regex_scratch_fini(&q.scratch);
}

static void a_bad_expression_is_refused_with_its_place(void **state)
{
	SL_CLEANUP(sl_mesh_unref) struct sl_mesh *m = sl_mesh_new();
	struct sl_mesh_virtual_host *h = mb_host(m, mb_config(m, "rc"), "*");
	SL_CLEANUP(sl_diag_fini) struct sl_diag diag = { 0 };
	struct sl_tables *t = NULL;

	(void)state;
	mb_cluster(m, "c");
	mb_split(m, mb_route(m, h, SL_PATH_REGEX, "/ok"), "c", 1);
	mb_split(m, mb_route(m, h, SL_PATH_REGEX, "/(unclosed"), "c", 1);
	sl_assert_err(sl_tables_new(&t, m, NULL, &diag), SL_ERR_INVALID);
	assert_null(t);
	assert_non_null(strstr(sl_diag_text(&diag), "rc/*.routes[1]"));
}

static struct sl_mesh *guarded(uint64_t generation)
{
	struct sl_mesh *m = sl_mesh_new();
	struct sl_mesh_virtual_host *h = mb_host(m, mb_config(m, "rc"), "*");

	mb_cluster(m, "stable");
	mb_cluster(m, "canary");
	for (int i = 0; i < 2; i++) { /* two routes to the same canary share its trip */
		struct sl_mesh_route *r = mb_route(m, h, SL_PATH_PREFIX, i ? "/" : "/a");
		struct sl_mesh_split *s;

		mb_split(m, r, "stable", 95);
		s = mb_split(m, r, "canary", 5);
		s->guard.fallback = mb_str(m, "stable");
		s->guard.generation = generation;
	}
	return m;
}

static void a_trip_lasts_until_another_generation(void **state)
{
	static const uint64_t generations[] = { 1, 1, 2 };
	struct sl_tables *t[3];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		SL_CLEANUP(sl_mesh_unref) struct sl_mesh *m = guarded(generations[i]);

		sl_assert_ok(sl_tables_new(&t[i], m, i ? t[i - 1] : NULL, NULL));
		assert_int_equal(t[i]->trip_count, 1);
		if (i == 0)
			t[0]->trips[0]->tripped = 1;
		if (i)
			sl_tables_unref(t[i - 1]);
	}
	assert_int_equal(t[2]->trips[0]->tripped, 0);
	{
		SL_CLEANUP(sl_mesh_unref) struct sl_mesh *m = guarded(2);
		struct sl_tables *next;

		t[2]->trips[0]->tripped = 7;
		sl_assert_ok(sl_tables_new(&next, m, t[2], NULL));
		assert_ptr_equal(next->trips[0], t[2]->trips[0]);
		sl_tables_unref(t[2]);
		assert_int_equal(next->trips[0]->tripped, 7);
		sl_tables_unref(next);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_are_found_by_the_longest_domain),
		cmocka_unit_test(an_overlong_authority_fits_no_domain),
		cmocka_unit_test(first_match_wins),
		cmocka_unit_test(the_index_agrees_with_comparing_one_by_one),
		cmocka_unit_test(deep_nesting_falls_back_to_scanning),
		cmocka_unit_test(paths_are_rewritten),
		cmocka_unit_test(a_bad_expression_is_refused_with_its_place),
		cmocka_unit_test(a_trip_lasts_until_another_generation),
	};
	int failed = cmocka_run_group_tests_name("tables", tests, NULL, NULL);

	sl_snapshot_reclaim_stop();
	return failed;
}
