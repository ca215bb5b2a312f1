#include "base/test.h"
#include "proto/grpc.h"

static const struct {
	const char *in;
	size_t len;
	const char *messages; /* joined by '|' */
	sl_err end;
	size_t most_bytes;
} frames[] = {
	/* clang-format off */
	{ "", 0,                                 "",      SL_ERR_AGAIN,       100 },
	{ "\0\0\0\0\0", 5,                       "|",     SL_ERR_AGAIN,       100 },
	{ "\0\0\0\0\3abc", 8,                    "abc|",  SL_ERR_AGAIN,       100 },
	{ "\0\0\0\0\1a\0\0\0\0\2bc", 13,         "a|bc|", SL_ERR_AGAIN,       100 },
	{ "\0\0\0\0\3ab", 7,                     "",      SL_ERR_AGAIN,       100 },
	{ "\0\0\0\0", 4,                         "",      SL_ERR_AGAIN,       100 },
	{ "\0\0\0\0\3abc", 8,                    "abc|",  SL_ERR_AGAIN,       3 },
	{ "\0\0\0\0\4abcd", 9,                   "",      SL_ERR_TOO_BIG,     3 },
	{ "\0\377\377\377\377", 5,               "",      SL_ERR_TOO_BIG,     100 }, /* refused by its length alone */
	{ "\1\0\0\0\1a", 6,                      "",      SL_ERR_UNSUPPORTED, 100 },
	{ "\2\0\0\0\1a", 6,                      "",      SL_ERR_MALFORMED,   100 },
	{ "\0\0\0\0\1a\3", 7,                    "a|",    SL_ERR_MALFORMED,   100 },
	/* clang-format on */
};

static void run_frames(size_t i, size_t step)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf got = { 0 };
	struct sl_grpc_deframer d = { .most_bytes = frames[i].most_bytes };
	sl_err err = SL_ERR_AGAIN;
	sl_str message;

	for (size_t at = 0; at < frames[i].len && err == SL_ERR_AGAIN; at += step) {
		sl_grpc_deframer_feed(
		        &d, sl_str_first(sl_str_n(frames[i].in + at, frames[i].len - at), step));
		while ((err = sl_grpc_deframer_next(&d, &message)) == SL_OK) {
			sl_buf_str_add(&got, message);
			sl_buf_byte(&got, '|');
		}
	}
	sl_assert_err(err, frames[i].end);
	sl_assert_str(sl_buf_str(&got), frames[i].messages);
	sl_grpc_deframer_fini(&d);
}

static void test_frames(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(frames); i++) {
		run_frames(i, frames[i].len + 1);
		run_frames(i, 1);
	}
}

static void test_prefix(void **state)
{
	uint8_t p[SL_GRPC_PREFIX_BYTES];

	(void)state;
	sl_grpc_prefix(p, 0x01020304);
	assert_memory_equal(p, "\0\1\2\3\4", 5);
}

static void test_message(void **state)
{
	static const struct {
		const char *text, *coded;
	} cases[] = { { "", "" }, { "plain text", "plain text" }, { "50%", "50%25" }, { "a\nb", "a%0Ab" },
		{ "\xc3\xa9", "%C3%A9" }, { "\x7f", "%7F" } };
	static const struct {
		const char *coded, *text;
	} odd[] = { { "%", "%" }, { "%4", "%4" }, { "%zz", "%zz" }, { "%4a%4A", "JJ" }, { "%%41", "%A" } };

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		SL_CLEANUP(sl_buf_fini) struct sl_buf coded = { 0 }, text = { 0 };

		sl_grpc_message_encode(sl_str_c(cases[i].text), &coded);
		sl_assert_str(sl_buf_str(&coded), cases[i].coded);
		sl_grpc_message_decode(sl_buf_str(&coded), &text);
		sl_assert_str(sl_buf_str(&text), cases[i].text);
	}
	for (size_t i = 0; i < SL_ARRAY_COUNT(odd); i++) {
		SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };

		sl_grpc_message_decode(sl_str_c(odd[i].coded), &text);
		sl_assert_str(sl_buf_str(&text), odd[i].text);
	}
}

static void test_timeout(void **state)
{
	static const struct {
		const char *text;
		sl_err err;
		sl_nsec timeout;
	} cases[] = {
		{ "1S", SL_OK, SL_SEC(1) },
		{ "99999999n", SL_OK, 99999999 },
		{ "100m", SL_OK, SL_MSEC(100) },
		{ "7u", SL_OK, SL_USEC(7) },
		{ "2M", SL_OK, SL_SEC(120) },
		{ "99999999H", SL_OK, SL_NSEC_MAX },
		{ "", SL_ERR_MALFORMED, 0 },
		{ "S", SL_ERR_MALFORMED, 0 },
		{ "1", SL_ERR_MALFORMED, 0 },
		{ "1s", SL_ERR_MALFORMED, 0 },
		{ "-1S", SL_ERR_MALFORMED, 0 },
		{ "1.5S", SL_ERR_MALFORMED, 0 },
		{ "123456789S", SL_ERR_MALFORMED, 0 },
	};
	static const struct {
		sl_nsec timeout;
		const char *text;
	} formats[] = { { 0, "0n" }, { 1, "1n" }, { SL_MSEC(99), "99000000n" }, { SL_SEC(1), "1000000u" },
		{ SL_SEC(100), "100000m" }, { SL_SEC(100000) + 1, "100001S" }, { SL_NSEC_MAX, "2562048H" } };

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		sl_nsec timeout = 0;

		sl_assert_err(sl_grpc_timeout_parse(sl_str_c(cases[i].text), &timeout), cases[i].err);
		assert_int_equal(timeout, cases[i].timeout);
	}
	for (size_t i = 0; i < SL_ARRAY_COUNT(formats); i++) {
		char text[10];

		assert_string_equal(sl_grpc_timeout_format(text, formats[i].timeout), formats[i].text);
	}
}

static void test_status(void **state)
{
	static const struct {
		const char *text;
		enum sl_grpc_status status;
	} cases[] = { { "0", SL_GRPC_OK }, { "14", SL_GRPC_UNAVAILABLE }, { "16", SL_GRPC_UNAUTHENTICATED },
		{ "17", SL_GRPC_UNKNOWN }, { "", SL_GRPC_UNKNOWN }, { "-1", SL_GRPC_UNKNOWN },
		{ "x", SL_GRPC_UNKNOWN } };

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++)
		assert_int_equal(sl_grpc_status_parse(sl_str_c(cases[i].text)), cases[i].status);
	assert_string_equal(sl_grpc_status_name(SL_GRPC_DATA_LOSS), "DATA_LOSS");
	assert_int_equal(sl_grpc_status_of_http(503), SL_GRPC_UNAVAILABLE);
	assert_int_equal(sl_grpc_status_of_http(404), SL_GRPC_UNIMPLEMENTED);
	assert_int_equal(sl_grpc_status_of_err(SL_ERR_MALFORMED), SL_GRPC_INVALID_ARGUMENT);
	for (int e = 1; e < SL_ERR_COUNT; e++) /* no error is told as success */
		assert_int_not_equal(sl_grpc_status_of_err((sl_err)e), SL_GRPC_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
