#include "base/test.h"

#include "runtime/logfile.h"

#include "os/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static struct sl_log_writer writer; /* too large for a stack */
static struct sl_log_part part;
static char *temp;
static int dir_fd;

static int setup(void **state)
{
	(void)state;
	sl_assert_ok(sl_dir_make_temp("logfile", &temp));
	dir_fd = open(temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	part = (struct sl_log_part) { .stream = "stdout" };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sl_log_writer_fini(&writer);
	close(dir_fd);
	sl_assert_ok(sl_path_remove(temp));
	sl_free(temp);
	return 0;
}

static void written(const char *name, struct sl_buf *b)
{
	SL_CLEANUP(sl_free) char *path = sl_asprintf("%s/%s", temp, name);

	sl_assert_ok(sl_file_read(path, 1 << 24, b));
}

#define AT "1970-01-01T00:00:05.000000007Z stdout "

static void lines_are_framed_however_they_come(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "one\n", AT "F one\n" },
		{ "one\ntwo\n", AT "F one\n" AT "F two\n" },
		{ "\n", AT "F \n" },
		{ "no end", AT "F no end\n" },
		{ "a\n\nb", AT "F a\n" AT "F \n" AT "F b\n" },
		{ "", "" },
	};

	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		for (size_t step = 1; step <= 8; step += 7) {
			SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };
			sl_str in = sl_str_c(cases[i].in);

			if (i > 0 || step > 1) {
				teardown(state);
				setup(state);
			}
			sl_log_writer_init(&writer, dir_fd, 1 << 20, 2);
			for (; in.len > 0; in = sl_str_skip(in, step))
				sl_log_writer_add(
				        &writer, &part, in.p, in.len < step ? in.len : step, SL_SEC(5) + 7);
			sl_log_writer_end(&writer, &part, SL_SEC(5) + 7);
			written("log", &b);
			sl_assert_str(sl_buf_str(&b), cases[i].out);
		}
	}
}

static void a_long_line_becomes_several_entries(void **state)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf in = { 0 }, b = { 0 };
	struct sl_log_entry e;
	sl_str rest, line;
	size_t total = 0, partial = 0;

	(void)state;
	for (size_t i = 0; i < 5 * SL_LOG_TEXT_MOST / 2; i++)
		sl_buf_byte(&in, (char)('a' + i % 26));
	sl_buf_byte(&in, '\n');
	sl_log_writer_init(&writer, dir_fd, 1 << 20, 2);
	sl_log_writer_add(&writer, &part, in.p, in.len, 0);
	written("log", &b);
	rest = sl_buf_str(&b);
	while (sl_str_split(&rest, '\n', &line)) {
		sl_assert_ok(sl_log_entry_parse(line, &e));
		assert_memory_equal(e.text.p, in.p + total, e.text.len);
		total += e.text.len;
		partial += e.partial;
	}
	assert_int_equal(total, in.len - 1);
	assert_int_equal(partial, 2);
	assert_int_equal(rest.len, 0);
}

static void one_file_starts_anew_when_full(void **state)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };
	SL_CLEANUP(sl_free) char *older = sl_asprintf("%s/log.1", temp);

	(void)state;
	sl_log_writer_init(&writer, dir_fd, 100, 1);
	for (int i = 0; i < 50; i++)
		sl_log_writer_add(&writer, &part, "x\n", 2, 0);
	written("log", &b);
	assert_in_range(sl_buf_size(&b), 1, 100);
	assert_false(sl_path_exists(older));
}

static void a_log_that_cannot_be_written_costs_only_its_lines(void **state)
{
	(void)state;
	sl_log_writer_init(&writer, -1, 100, 2);
	sl_log_writer_add(&writer, &part, "lost\n", 5, 0);
	assert_int_equal(writer.dropped_bytes, strlen(AT "F lost\n"));
	writer.dir_fd = dir_fd;
	sl_log_writer_add(&writer, &part, "kept\n", 5, SL_SEC(5) + 7);
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };
	written("log", &b);
	sl_assert_str(sl_buf_str(&b), AT "F kept\n");
}

static void entries_are_parsed_strictly(void **state)
{
	static const struct {
		const char *in;
		sl_err err;
		const char *text;
		bool is_stderr, partial;
	} cases[] = {
		{ AT "F hello world", SL_OK, "hello world", false, false },
		{ AT "F ", SL_OK, "", false, false },
		{ "1970-01-01T00:00:05.5Z stderr P x", SL_OK, "x", true, true },
		{ AT "F", SL_ERR_MALFORMED, NULL, false, false },
		{ AT "X hello", SL_ERR_MALFORMED, NULL, false, false },
		{ "1970-01-01T00:00:05Z stdin F x", SL_ERR_MALFORMED, NULL, false, false },
		{ "yesterday stdout F x", SL_ERR_MALFORMED, NULL, false, false },
		{ "", SL_ERR_MALFORMED, NULL, false, false },
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		struct sl_log_entry e;

		sl_assert_err(sl_log_entry_parse(sl_str_c(cases[i].in), &e), cases[i].err);
		if (cases[i].err != SL_OK)
			continue;
		sl_assert_str(e.text, cases[i].text);
		assert_int_equal(e.is_stderr, cases[i].is_stderr);
		assert_int_equal(e.partial, cases[i].partial);
		assert_true(e.at / SL_SEC(1) == 5);
	}
}

#define ROW(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		ROW(lines_are_framed_however_they_come),
		ROW(a_long_line_becomes_several_entries),
		ROW(one_file_starts_anew_when_full),
		ROW(a_log_that_cannot_be_written_costs_only_its_lines),
		cmocka_unit_test(entries_are_parsed_strictly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
