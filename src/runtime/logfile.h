#pragma once
/*
 * Log files in the line format of Kubernetes' CRI, kept by size.
 *
 *   2026-01-31T23:59:59.123456789Z stdout F the line's text
 *                                  |      `- F: the line ends here; P: it goes on in the next entry of this stream
 *                                  `- or stderr
 *
 * "log" is being written; when it is full it becomes "log.1", that "log.2", and so on, until the oldest goes.
 * Source: kubernetes/design-proposals-archive, node/kubelet-cri-logging.md.
 * Ownership: embedded; allocates nothing, as the shim uses it.       Threads: one owner.
 */
#include "base/str.h"
#include "base/units.h"

enum {
	SL_LOG_TEXT_MOST = 16 * 1024, /* of one entry; a longer line becomes several */
	SL_LOG_STAMP_BYTES = 31,      /* 30 characters and a NUL */
	SL_LOG_ENTRY_MOST = SL_LOG_TEXT_MOST + 64,
};

/* The line of one stream that is not complete yet. */
struct sl_log_part {
	const char *stream; /* "stdout", "stderr" */
	size_t len;
	char text[SL_LOG_TEXT_MOST];
};

struct sl_log_writer {
	int dir_fd; /* the folder; the caller's */
	int fd; /* "log"; -1 when it could not be opened: lines are dropped, and opening tried again with the next */
	uint64_t size_bytes, most_bytes;
	unsigned files; /* at least 1 */
	uint64_t
	        dropped_bytes; /* could not be written: the disk is full, say. The writer of the lines is never held up by that. */
	size_t out_len;
	char out[4 * SL_LOG_ENTRY_MOST];
};

void sl_log_writer_init(struct sl_log_writer *w, int dir_fd, uint64_t most_bytes, unsigned files);
void sl_log_writer_fini(struct sl_log_writer *w);
/* Bytes of a stream as they came; entries are stamped with `now` (Unix time). All complete lines are written before it returns. */
void sl_log_writer_add(
        struct sl_log_writer *w, struct sl_log_part *part, const char *p, size_t n_bytes, sl_nsec now);
/* The stream has ended: what is left of it is written as a line. */
void sl_log_writer_end(struct sl_log_writer *w, struct sl_log_part *part, sl_nsec now);

/* "2026-01-31T23:59:59.123456789Z" */
char *sl_log_stamp(char dst[SL_LOG_STAMP_BYTES], sl_nsec unix_time);

struct sl_log_entry {
	sl_str stamp, text;
	sl_nsec at; /* Unix time */
	bool is_stderr, partial;
};
/* One line without its line feed. Errors: SL_ERR_MALFORMED. */
sl_err sl_log_entry_parse(sl_str line, struct sl_log_entry *ret_entry);
