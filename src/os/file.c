#include "os/file.h"

#include "os/random.h"
#include "os/socket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

sl_err sl_file_read(const char *path, size_t most_bytes, struct sl_buf *b)
{
	enum { PIECE_BYTES = 64 * 1024 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t before = sl_buf_size(b);
	sl_err err = SL_OK;

	if (fd < 0)
		return sl_err_from_errno(errno);
	for (;;) {
		ssize_t n = read(fd, sl_buf_reserve(b, PIECE_BYTES), PIECE_BYTES);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err = sl_err_from_errno(errno);
		else if (n > 0)
			sl_buf_commit(b, (size_t)n);
		if (n > 0 && sl_buf_size(b) - before > most_bytes)
			err = SL_ERR_TOO_BIG;
		if (n <= 0 || err != SL_OK)
			break;
	}
	if (err != SL_OK)
		b->len = b->off + before;
	sl_fd_close(&fd);
	return err;
}

static sl_err write_all(int fd, sl_str s)
{
	while (s.len) {
		ssize_t n = write(fd, s.p, s.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return sl_err_from_errno(errno);
		s = sl_str_skip(s, (size_t)n);
	}
	return SL_OK;
}

/* A rename is durable once the folder that names the file is. */
static sl_err sync_folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	SL_CLEANUP(sl_free) char *dir = !slash          ? sl_strdup(".")
	                                : slash == path ? sl_strdup("/")
	                                                : sl_strndup(path, (size_t)(slash - path));
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	sl_err err = SL_OK;

	if (fd < 0)
		return sl_err_from_errno(errno);
	if (fsync(fd) < 0 && errno != EINVAL) /* EINVAL: a file system that has nothing to sync */
		err = sl_err_from_errno(errno);
	sl_fd_close(&fd);
	return err;
}

static sl_err write_whole(const char *path, sl_str content, uint32_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)mode);
	sl_err err;

	if (fd < 0)
		return sl_err_from_errno(errno);
	err = write_all(fd, content);
	/* The mode asked for, whatever the umask. */
	if (err == SL_OK && (fchmod(fd, (mode_t)mode) < 0 || fsync(fd) < 0))
		err = sl_err_from_errno(errno);
	if (close(fd) < 0 && err == SL_OK)
		err = sl_err_from_errno(errno);
	return err;
}

sl_err sl_file_write(const char *path, sl_str content, uint32_t mode)
{
	SL_CLEANUP(sl_free) char *temp = NULL;
	uint64_t tag;
	sl_err err;

	sl_random_bytes(&tag, sizeof(tag));
	temp = sl_asprintf("%s.%016llx.tmp", path, (unsigned long long)tag);
	err = write_whole(temp, content, mode);
	if (err == SL_OK && rename(temp, path) < 0)
		err = sl_err_from_errno(errno);
	if (err != SL_OK) {
		unlink(temp);
		return err;
	}
	return sync_folder_of(path);
}

static sl_err make_one(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return SL_OK;
	if (errno != EEXIST)
		return sl_err_from_errno(errno);
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? SL_OK : SL_ERR_EXISTS;
}

sl_err sl_dir_make(const char *path, uint32_t mode)
{
	SL_CLEANUP(sl_free) char *part = sl_strdup(path);

	for (char *at = part; *at; at++) {
		if (*at != '/' || at == part)
			continue;
		*at = 0;
		SL_TRY(make_one(part, (mode_t)mode));
		*at = '/';
	}
	return make_one(part, (mode_t)mode);
}

static sl_err remove_at(int dir_fd, const char *name);

static sl_err remove_children(int fd)
{
	DIR *dir = fdopendir(fd);
	struct dirent *e;
	sl_err err = SL_OK;

	if (!dir) {
		sl_fd_close(&fd);
		return SL_ERR_IO;
	}
	while (err == SL_OK && (e = readdir(dir))) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			err = remove_at(dirfd(dir), e->d_name);
	}
	closedir(dir);
	return err;
}

static sl_err remove_at(int dir_fd, const char *name)
{
	int fd;

	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
		return SL_OK;
	if (errno != EISDIR && errno != EPERM)
		return sl_err_from_errno(errno);
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return sl_err_from_errno(errno);
	SL_TRY(remove_children(fd));
	return unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 ? SL_OK : sl_err_from_errno(errno);
}

sl_err sl_path_remove(const char *path)
{
	return remove_at(AT_FDCWD, path);
}

bool sl_path_exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

sl_err sl_dir_make_temp(const char *prefix, char **ret_path)
{
	const char *base = getenv("TMPDIR");
	SL_CLEANUP(sl_free) char *path = sl_asprintf("%s/%s.XXXXXX", base && *base ? base : "/tmp", prefix);

	if (!mkdtemp(path))
		return sl_err_from_errno(errno);
	*ret_path = SL_STEAL(path);
	return SL_OK;
}
