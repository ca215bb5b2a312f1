#pragma once
/*
 * Whole files: read at once, written atomically and durably. Blocking: for start-up, the control plane and the CLI.
 * Ownership: the caller's buffers.       Threads: any.
 */
#include "base/buf.h"
#include "base/diag.h"

/* Appends the file to *b. Errors: SL_ERR_NOT_FOUND, SL_ERR_FORBIDDEN, SL_ERR_TOO_BIG (over most_bytes), SL_ERR_IO. */
sl_err sl_file_read(const char *path, size_t most_bytes, struct sl_buf *b);
/*
 * Replaces the file in one step: temporary file beside it, fsync, rename, fsync of the folder. After SL_OK a crash leaves
 * the new content, before it the old one. Errors: SL_ERR_NOT_FOUND (no folder), SL_ERR_FORBIDDEN, SL_ERR_IO.
 */
sl_err sl_file_write(const char *path, sl_str content, uint32_t mode);
/* The folder and its parents; fine where they exist. Errors: SL_ERR_EXISTS (a file is in the way), SL_ERR_FORBIDDEN, SL_ERR_IO. */
sl_err sl_dir_make(const char *path, uint32_t mode);
/* Removes a file, or a folder with all in it; fine where nothing is there. Does not follow links. Errors: SL_ERR_FORBIDDEN, SL_ERR_IO. */
sl_err sl_path_remove(const char *path);
bool sl_path_exists(const char *path);
/* A fresh folder under $TMPDIR or /tmp, 0700; the path is the caller's to sl_free. Errors: SL_ERR_IO. */
sl_err sl_dir_make_temp(const char *prefix, char **ret_path);
