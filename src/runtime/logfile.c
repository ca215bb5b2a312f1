#include "runtime/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

char *sl_log_stamp(char dst[SL_LOG_STAMP_BYTES], sl_nsec unix_time)
{
	time_t seconds = (time_t)(unix_time / SL_SEC(1));
	struct tm tm;

	gmtime_r(&seconds, &tm);
	size_t n = strftime(dst, SL_LOG_STAMP_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(dst + n, SL_LOG_STAMP_BYTES - n, ".%09uZ", (unsigned)(unix_time % SL_SEC(1)));
	return dst;
}

static void open_log(struct sl_log_writer *w)
{
	struct stat st;

	w->fd = openat(w->dir_fd, "log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	w->size_bytes = w->fd >= 0 && fstat(w->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

void sl_log_writer_init(struct sl_log_writer *w, int dir_fd, uint64_t most_bytes, unsigned files)
{
	w->dir_fd = dir_fd;
	w->most_bytes = most_bytes;
	w->files = files ? files : 1;
	w->dropped_bytes = 0;
	w->out_len = 0;
	open_log(w);
}

void sl_log_writer_fini(struct sl_log_writer *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

static void log_name(char dst[24], unsigned i)
{
	if (i == 0)
		memcpy(dst, "log", 4);
	else
		snprintf(dst, 24, "log.%u", i);
}

static void rotate(struct sl_log_writer *w)
{
	char from[24], to[24];

	sl_log_writer_fini(w);
	/* With one file there is nowhere to move it to: it starts anew. */
	if (w->files == 1)
		unlinkat(w->dir_fd, "log", 0);
	for (unsigned i = w->files - 1; i > 0; i--) {
		log_name(from, i - 1);
		log_name(to, i);
		renameat(w->dir_fd, from, w->dir_fd, to);
	}
	open_log(w);
}

/* `out` always holds whole entries, so a file never begins or ends within one. */
static void flush(struct sl_log_writer *w)
{
	size_t done = 0;

	if (w->out_len == 0)
		return;
	if (w->fd < 0)
		open_log(w);
	else if (w->size_bytes > 0 && w->size_bytes + w->out_len > w->most_bytes)
		rotate(w);
	while (done < w->out_len && w->fd >= 0) {
		ssize_t n = write(w->fd, w->out + done, w->out_len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	w->size_bytes += done;
	w->dropped_bytes += w->out_len - done;
	w->out_len = 0;
}

static void put(struct sl_log_writer *w, const void *p, size_t n_bytes)
{
	memcpy(w->out + w->out_len, p, n_bytes);
	w->out_len += n_bytes;
}

static void emit(struct sl_log_writer *w, struct sl_log_part *part, const char *stamp, bool partial)
{
	size_t entry_bytes = SL_LOG_STAMP_BYTES + strlen(part->stream) + 4 + part->len;

	/* A full buffer; or the file ends before this entry, and the next flush begins another one. */
	if (w->out_len + SL_LOG_ENTRY_MOST > sizeof(w->out) ||
	        w->size_bytes + w->out_len + entry_bytes > w->most_bytes)
		flush(w);
	put(w, stamp, SL_LOG_STAMP_BYTES - 1);
	put(w, " ", 1);
	put(w, part->stream, strlen(part->stream));
	put(w, partial ? " P " : " F ", 3);
	put(w, part->text, part->len);
	put(w, "\n", 1);
	part->len = 0;
}

void sl_log_writer_add(
        struct sl_log_writer *w, struct sl_log_part *part, const char *p, size_t n_bytes, sl_nsec now)
{
	char stamp[SL_LOG_STAMP_BYTES];
	const char *end = p + n_bytes;

	sl_log_stamp(stamp, now);
	while (p < end) {
		size_t room = sizeof(part->text) - part->len;
		size_t n = (size_t)(end - p) < room ? (size_t)(end - p) : room;
		const char *lf = memchr(p, '\n', n);

		if (lf)
			n = (size_t)(lf - p);
		memcpy(part->text + part->len, p, n);
		part->len += n;
		p += n;
		if (lf) {
			emit(w, part, stamp, false);
			p++;
		} else if (part->len == sizeof(part->text)) {
			emit(w, part, stamp, true);
		}
	}
	flush(w);
}

void sl_log_writer_end(struct sl_log_writer *w, struct sl_log_part *part, sl_nsec now)
{
	char stamp[SL_LOG_STAMP_BYTES];

	if (part->len == 0)
		return;
	emit(w, part, sl_log_stamp(stamp, now), false);
	flush(w);
}

sl_err sl_log_entry_parse(sl_str line, struct sl_log_entry *ret_entry)
{
	struct sl_log_entry e = { 0 };
	sl_str stream, tag;

	if (!sl_str_split(&line, ' ', &e.stamp) || !sl_str_split(&line, ' ', &stream) ||
	        !sl_str_split(&line, ' ', &tag))
		return SL_ERR_MALFORMED;
	if (sl_str_find(e.stamp, 0) < e.stamp.len)
		return SL_ERR_MALFORMED; /* read as a C string it would end there */
	SL_TRY(sl_time_parse(e.stamp, &e.at));
	e.is_stderr = sl_str_eq(stream, SL_STR("stderr"));
	if (!e.is_stderr && !sl_str_eq(stream, SL_STR("stdout")))
		return SL_ERR_MALFORMED;
	e.partial = sl_str_eq(tag, SL_STR("P"));
	if (!e.partial && !sl_str_eq(tag, SL_STR("F")))
		return SL_ERR_MALFORMED;
	e.text = line;
	*ret_entry = e;
	return SL_OK;
}
