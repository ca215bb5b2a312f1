#include "runtime/logread.h"

#include "os/socket.h"
#include "runtime/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MOST = 100, READ_BYTES = 64 * 1024 };

/* A file that is renamed while we read it is followed through its descriptor; the next one is found by its place in the row. */
struct reader {
	struct sl_log_stream stream;
	struct sl_loop *loop;
	struct sl_log_options options;
	int dir_fd, fd;
	unsigned older; /* files known to come after the one being read: log.(older - 1), ..., log */
	ino_t inode;    /* of the one being read */
	struct sl_buf in;
	bool line_open; /* the last text given out has no line feed yet */
	int64_t given_bytes;
	bool over;
	struct sl_io watch; /* inotify on the folder */
	struct sl_dead dead;
};

static void file_name(char dst[24], unsigned i)
{
	if (i == 0)
		memcpy(dst, "log", 4);
	else
		snprintf(dst, 24, "log.%u", i);
}

static int open_file(const struct reader *r, unsigned i)
{
	char name[24];

	file_name(name, i);
	return openat(r->dir_fd, name, O_RDONLY | O_CLOEXEC);
}

static bool inode_of(int fd, ino_t *ret_inode)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return false;
	*ret_inode = st.st_ino;
	return true;
}

/* --- where to begin --- */

/* Counts line feeds backwards from the end; the offset behind the one that makes `*lines` of them, or 0 with the rest in *lines. */
static off_t tail_offset(int fd, int64_t *lines)
{
	char chunk[4096];
	off_t at = lseek(fd, 0, SEEK_END);
	bool last = true; /* the file's own last line feed ends a line, it does not begin one */

	while (at > 0) {
		off_t n = at < (off_t)sizeof(chunk) ? at : (off_t)sizeof(chunk);

		if (pread(fd, chunk, (size_t)n, at - n) != n)
			return 0;
		for (off_t i = n; i > 0; i--) {
			if (chunk[i - 1] != '\n')
				continue;
			if (!last && --*lines == 0)
				return at - n + i;
			last = false;
		}
		at -= n;
	}
	--*lines; /* the first line of the file */
	return 0;
}

static unsigned count_files(const struct reader *r)
{
	unsigned n = 0;
	char name[24];

	for (file_name(name, 0); n < FILES_MOST && faccessat(r->dir_fd, name, F_OK, 0) == 0;
	        file_name(name, n))
		n++;
	return n;
}

static void open_at(struct reader *r, unsigned i, off_t offset)
{
	sl_fd_close(&r->fd);
	sl_buf_clear(&r->in);
	r->fd = open_file(r, i);
	r->older = i;
	if (r->fd >= 0 && inode_of(r->fd, &r->inode))
		lseek(r->fd, offset, SEEK_SET);
}

static void begin(struct reader *r)
{
	unsigned files = count_files(r);
	int64_t lines = r->options.tail_lines;

	if (files == 0)
		return;
	if (lines < 0) {
		open_at(r, files - 1, 0);
		return;
	}
	for (unsigned i = 0; i < files; i++) {
		int fd = open_file(r, i);
		off_t offset = lines == 0 ? lseek(fd, 0, SEEK_END) : tail_offset(fd, &lines);

		sl_fd_close(&fd);
		if (lines == 0 || i == files - 1) {
			open_at(r, i, offset);
			return;
		}
	}
}

/* --- reading on --- */

/* The file after the one that has been read to its end: false while that one is still being written. */
static bool next_file(struct reader *r)
{
	char name[24];
	struct stat st;

	/* Find where the current file stands now: it may have been renamed any number of times. */
	for (unsigned i = 0; i < FILES_MOST; i++) {
		file_name(name, i);
		if (fstatat(r->dir_fd, name, &st, 0) < 0) {
			/* It has been removed: what is oldest now comes next. */
			if (i == 0)
				return false;
			open_at(r, i - 1, 0);
			return r->fd >= 0;
		}
		if (r->fd >= 0 && st.st_ino == r->inode) {
			if (i == 0)
				return false;
			open_at(r, i - 1, 0);
			return r->fd >= 0;
		}
	}
	return false;
}

static bool wanted(const struct reader *r, const struct sl_log_entry *e)
{
	return e->at >= r->options.since;
}

static void give(struct reader *r, const struct sl_log_entry *e, struct sl_buf *out)
{
	size_t before = sl_buf_size(out);

	if (r->options.timestamps && !r->line_open) {
		sl_buf_str_add(out, e->stamp);
		sl_buf_byte(out, ' ');
	}
	sl_buf_str_add(out, e->text);
	r->line_open = e->partial;
	if (!e->partial)
		sl_buf_byte(out, '\n');

	int64_t limit = r->options.limit_bytes;
	int64_t size = (int64_t)(sl_buf_size(out) - before);

	if (limit >= 0 && r->given_bytes + size >= limit) {
		out->len -= (size_t)(r->given_bytes + size - limit);
		r->over = true;
	}
	r->given_bytes += size;
}

static void take_lines(struct reader *r, struct sl_buf *out, size_t full_bytes)
{
	sl_str rest = sl_buf_str(&r->in), line;
	struct sl_log_entry e;

	while (!r->over && sl_buf_size(out) < full_bytes && sl_str_find(rest, '\n') < rest.len) {
		sl_str_split(&rest, '\n', &line);
		/* A line that is not ours, or was cut by a full disk, is nothing to show. */
		if (sl_log_entry_parse(line, &e) == SL_OK && wanted(r, &e))
			give(r, &e, out);
	}
	sl_buf_consume(&r->in, sl_buf_size(&r->in) - rest.len);
}

static bool run_has_ended(const struct reader *r)
{
	return faccessat(r->dir_fd, "exit", F_OK, 0) == 0 || faccessat(r->dir_fd, "lock", F_OK, 0) < 0;
}

static void drain_watch(struct reader *r)
{
	char events[4096];

	while (read(r->watch.fd, events, sizeof(events)) > 0)
		;
}

static sl_err log_read(struct sl_log_stream *stream, struct sl_buf *out, size_t most_bytes)
{
	struct reader *r = SL_CONTAINER_OF(stream, struct reader, stream);
	/* Asked before the files are: what is written before the end is then seen. */
	bool last = !r->options.follow || run_has_ended(r);
	size_t full_bytes = sl_buf_size(out) + most_bytes;

	if (r->watch.fd >= 0)
		drain_watch(r);
	for (;;) {
		take_lines(r, out, full_bytes);
		if (r->over)
			return SL_ERR_EOF;
		if (sl_buf_size(out) >= full_bytes)
			return SL_OK;
		ssize_t n = r->fd < 0 ? 0 : read(r->fd, sl_buf_reserve(&r->in, READ_BYTES), READ_BYTES);

		if (n < 0)
			return SL_ERR_IO;
		sl_buf_commit(&r->in, (size_t)n);
		if (n == 0 && !next_file(r))
			return last ? SL_ERR_EOF : SL_ERR_AGAIN;
	}
}

static void on_watch(struct sl_loop *loop, struct sl_io *io, uint32_t events)
{
	struct reader *r = SL_CONTAINER_OF(io, struct reader, watch);

	(void)loop, (void)events;
	drain_watch(r);
	if (r->stream.on_more)
		r->stream.on_more(&r->stream);
}

static void reader_free(void *arg)
{
	struct reader *r = arg;

	sl_fd_close(&r->fd);
	sl_fd_close(&r->dir_fd);
	sl_buf_fini(&r->in);
	sl_free(r);
}

static void log_close(struct sl_log_stream *stream)
{
	struct reader *r = SL_CONTAINER_OF(stream, struct reader, stream);

	sl_loop_close(r->loop, &r->watch);
	sl_loop_free_later(r->loop, &r->dead, reader_free, r); /* we may be within its on_more */
}

static const struct sl_log_stream_ops reader_ops = { .read = log_read, .close = log_close };

static sl_err watch_dir(struct reader *r, const char *dir)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd < 0 || inotify_add_watch(fd, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF) < 0 ||
	        sl_loop_add(r->loop, &r->watch, fd, SL_IO_READ, on_watch) != SL_OK) {
		sl_fd_close(&fd);
		return SL_ERR_UNAVAILABLE;
	}
	return SL_OK;
}

sl_err sl_log_open(struct sl_log_stream **ret_stream, struct sl_loop *loop, const char *dir,
        const struct sl_log_options *options)
{
	struct reader *r;
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir_fd < 0)
		return sl_err_from_errno(errno);
	r = sl_new0(sizeof(*r));
	*r = (struct reader) {
		.stream.ops = &reader_ops,
		.loop = loop,
		.options = *options,
		.dir_fd = dir_fd,
		.fd = -1,
		.watch = SL_IO_NONE,
	};
	/* Watched first, looked at then: nothing falls in between. */
	sl_err err = options->follow ? watch_dir(r, dir) : SL_OK;
	if (err != SL_OK) {
		reader_free(r);
		return err;
	}
	begin(r);
	*ret_stream = &r->stream;
	return SL_OK;
}
