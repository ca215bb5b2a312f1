#include "base/test.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/diag.h"
#include "base/list.h"
#include "base/map.h"
#include "base/units.h"

#include <errno.h>
#include <stdio.h>

static void errors_have_names_and_statuses(void **state)
{
	(void)state;
	assert_string_equal(sl_err_name(SL_ERR_CONFLICT), "CONFLICT");
	assert_int_equal(sl_err_http(SL_ERR_EXPIRED), 410);
	sl_assert_err(sl_err_from_errno(ECONNREFUSED), SL_ERR_REFUSED);
	assert_string_equal(sl_err_name((sl_err)9999), "INTERNAL");
}

static void numbers_are_strict(void **state)
{
	static const struct {
		const char *in;
		sl_err err;
		uint64_t v;
	} cases[] = {
		{ "0", SL_OK, 0 },
		{ "18446744073709551615", SL_OK, UINT64_MAX },
		{ "18446744073709551616", SL_ERR_RANGE, 0 },
		{ "", SL_ERR_MALFORMED, 0 },
		{ "+1", SL_ERR_MALFORMED, 0 },
		{ "-1", SL_ERR_MALFORMED, 0 },
		{ " 1", SL_ERR_MALFORMED, 0 },
		{ "1 ", SL_ERR_MALFORMED, 0 },
		{ "0x1", SL_ERR_MALFORMED, 0 },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		uint64_t v = 0;

		sl_assert_err(sl_str_to_u64(sl_str_c(cases[i].in), &v), cases[i].err);
		assert_int_equal(v, cases[i].v);
	}
	int64_t n = 0;

	sl_assert_ok(sl_str_to_i64(SL_STR("-9223372036854775808"), &n));
	assert_true(n == INT64_MIN);
	sl_assert_err(sl_str_to_i64(SL_STR("9223372036854775808"), &n), SL_ERR_RANGE);
}

static void strings_split_trim_and_compare(void **state)
{
	sl_str rest = SL_STR("a, b,"), head;

	(void)state;
	assert_true(sl_str_split(&rest, ',', &head));
	sl_assert_str(head, "a");
	assert_true(sl_str_split(&rest, ',', &head));
	sl_assert_str(sl_str_trim(head), "b");
	assert_false(sl_str_split(&rest, ',', &head));
	sl_assert_str(head, "");
	assert_true(sl_str_eq_nocase(SL_STR("Content-LENGTH"), SL_STR("content-length")));
	assert_false(sl_str_eq_nocase(SL_STR("a["), SL_STR("a{"))); /* only letters fold */
	assert_true(sl_str_cmp(SL_STR("ab"), SL_STR("abc")) < 0);
	assert_true(sl_str_ends(SL_STR("reviews.default.svc"), SL_STR(".svc")));
	assert_true(sl_str_eq(SL_STR_NONE, SL_STR("")));
}

static void buffers_grow_and_consume(void **state)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++)
		sl_buf_printf(&b, "%04d", i);
	assert_int_equal(sl_buf_size(&b), 4000);
	sl_buf_consume(&b, 3996);
	sl_assert_str(sl_buf_str(&b), "0999");
	sl_buf_reserve(&b, 100000);
	sl_assert_str(sl_buf_str(&b), "0999");
	assert_string_equal(sl_buf_cstr(&b), "0999");
	sl_buf_consume(&b, 99);
	assert_int_equal(sl_buf_size(&b), 0);
}

static void arenas_give_aligned_separate_memory(void **state)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena a = { 0 };
	char *last = NULL;

	(void)state;
	for (size_t i = 1; i < 3000; i++) {
		char *p = sl_arena_zalloc(&a, i);

		assert_int_equal((uintptr_t)p % 16, 0);
		for (size_t k = 0; k < i; k++)
			assert_int_equal(p[k], 0);
		memset(p, 0x5a, i);
		assert_true(!last || last[0] == 0x5a);
		last = p;
	}
	sl_arena_reset(&a);
	sl_assert_str(sl_arena_printf(&a, "%s-%d", "pod", 7), "pod-7");
}

struct named {
	struct sl_map_node node;
	char name[16];
};

static void maps_find_replace_and_take(void **state)
{
	static struct named items[500];
	struct sl_map m = { 0 };
	size_t seen = 0;

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(items); i++) {
		snprintf(items[i].name, sizeof(items[i].name), "key%zu", i);
		assert_null(sl_map_put(&m, &items[i].node, sl_str_c(items[i].name)));
	}
	SL_MAP_FOR (node, &m)
		seen++;
	assert_int_equal(seen, SL_ARRAY_COUNT(items));
	assert_ptr_equal(sl_map_get(&m, SL_STR("key77")), &items[77].node);
	assert_ptr_equal(sl_map_take(&m, SL_STR("key77")), &items[77].node);
	assert_null(sl_map_get(&m, SL_STR("key77")));
	assert_int_equal(m.count, SL_ARRAY_COUNT(items) - 1);
	strcpy(items[77].name, "key78");
	assert_ptr_equal(sl_map_put(&m, &items[77].node, sl_str_c(items[77].name)), &items[78].node);
	assert_int_equal(m.count, SL_ARRAY_COUNT(items) - 1);
	seen = 0;
	SL_MAP_FOR_SAFE(node, &m)
	{
		struct named *item = SL_MAP_ENTRY(node, struct named, node);

		if (++seen % 2)
			continue;
		assert_ptr_equal(sl_map_take(&m, node->key), node);
		memset(item, 0, sizeof(*item)); /* as if it were freed */
	}
	assert_int_equal(seen, SL_ARRAY_COUNT(items) - 1);
	assert_int_equal(m.count, SL_ARRAY_COUNT(items) / 2);
	sl_map_fini(&m);
}

static void lists_link_and_unlink(void **state)
{
	struct sl_list head = SL_LIST_INIT(head), a, b;
	int n = 0;

	(void)state;
	sl_list_push(&head, &b);
	sl_list_push_front(&head, &a);
	assert_ptr_equal(head.next, &a);
	SL_LIST_FOR_SAFE (it, &head) {
		sl_list_remove(it);
		n++;
	}
	assert_int_equal(n, 2);
	assert_true(sl_list_empty(&head));
	sl_list_remove(&a); /* already out: no harm */
}

static void diagnostics_name_fields_and_stay_bounded(void **state)
{
	SL_CLEANUP(sl_diag_fini) struct sl_diag d = { 0 };

	(void)state;
	assert_string_equal(sl_diag_text(&d), "");
	sl_diag_add(&d, "spec.replicas", "FieldValueInvalid", "%d is negative", -1);
	assert_string_equal(sl_diag_text(&d), "spec.replicas: -1 is negative");
	for (int i = 0; i < 100; i++)
		sl_diag_add(&d, NULL, NULL, "more");
	assert_int_equal(d.count, SL_DIAG_MOST);
	assert_int_equal(d.dropped, 37);
	sl_diag_add(NULL, "x", NULL, "dropped");
	assert_string_equal(sl_diag_text(NULL), "");
}

static void durations_quantities_and_times(void **state)
{
	static const struct {
		const char *in;
		sl_err err;
		sl_nsec d;
		const char *out;
	} durations[] = {
		{ "10m", SL_OK, SL_SEC(600), "10m" },
		{ "1h30m", SL_OK, SL_SEC(5400), "1h30m" },
		{ "1.5s", SL_OK, SL_MSEC(1500), "1.5s" },
		{ "250ms", SL_OK, SL_MSEC(250), "250ms" },
		{ "0", SL_OK, 0, "0s" },
		{ "10", SL_ERR_MALFORMED, 0, NULL },
		{ "", SL_ERR_MALFORMED, 0, NULL },
		{ "-1s", SL_ERR_MALFORMED, 0, NULL },
		{ "s", SL_ERR_MALFORMED, 0, NULL },
		{ "1d", SL_ERR_MALFORMED, 0, NULL },
		{ "9999999999h", SL_ERR_RANGE, 0, NULL },
	};
	static const struct {
		const char *in;
		sl_err err;
		int64_t milli;
	} quantities[] = {
		{ "100m", SL_OK, 100 },
		{ "2", SL_OK, 2000 },
		{ "64Mi", SL_OK, 67108864000 },
		{ "1e3", SL_OK, 1000000 },
		{ "1E", SL_ERR_RANGE, 0 },
		{ "0.5", SL_OK, 500 },
		{ "", SL_ERR_MALFORMED, 0 },
		{ "64MB", SL_ERR_MALFORMED, 0 },
		{ "m", SL_ERR_MALFORMED, 0 },
	};
	char text[32];
	sl_nsec t;

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(durations); i++) {
		sl_nsec d = 0;

		sl_assert_err(sl_duration_parse(sl_str_c(durations[i].in), &d), durations[i].err);
		assert_int_equal(d, durations[i].d);
		if (durations[i].out)
			assert_string_equal(sl_duration_format(text, d), durations[i].out);
	}
	for (size_t i = 0; i < SL_ARRAY_COUNT(quantities); i++) {
		int64_t v = 0;

		sl_assert_err(sl_quantity_parse_milli(sl_str_c(quantities[i].in), &v), quantities[i].err);
		assert_int_equal(v, quantities[i].milli);
	}
	sl_assert_ok(sl_time_parse(SL_STR("2026-01-31T23:59:59Z"), &t));
	assert_string_equal(sl_time_format(text, t), "2026-01-31T23:59:59Z");
	sl_assert_ok(sl_time_parse(SL_STR("2026-01-31T23:59:59.250+01:00"), &t));
	assert_string_equal(sl_time_format_us(text, t), "2026-01-31T22:59:59.250000Z");
	sl_assert_err(sl_time_parse(SL_STR("2026-01-31 23:59:59Z"), &t), SL_ERR_MALFORMED);
	sl_assert_err(sl_time_parse(SL_STR("2026-01-31T23:59:59"), &t), SL_ERR_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_have_names_and_statuses),
		cmocka_unit_test(numbers_are_strict),
		cmocka_unit_test(strings_split_trim_and_compare),
		cmocka_unit_test(buffers_grow_and_consume),
		cmocka_unit_test(arenas_give_aligned_separate_memory),
		cmocka_unit_test(maps_find_replace_and_take),
		cmocka_unit_test(lists_link_and_unlink),
		cmocka_unit_test(diagnostics_name_fields_and_stay_bounded),
		cmocka_unit_test(durations_quantities_and_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
