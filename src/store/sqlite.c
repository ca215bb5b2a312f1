/*
 * The sqlite back-end: one file, one process, one writer thread. What has queued up while the last commit was on its way to the disk
 * becomes the next commit, so the cost of the fsync is shared by whoever waits for it.
 */
#include "loop/loop.h"
#include "os/thread.h"
#include "store/store_priv.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <unistd.h>

enum {
	APPLICATION_ID = 0x736c7563, /* "sluc", in the file's header */
	SCHEMA_VERSION = 1,
	BATCH_MOST = 2048, /* writes in one commit */
};

/* clang-format off */
static const char schema[] =
	"CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
	"INSERT INTO meta VALUES('version', 0);"
	"CREATE TABLE objects(grp TEXT NOT NULL, plural TEXT NOT NULL, ns TEXT NOT NULL, name TEXT NOT NULL,"
	" version INTEGER NOT NULL, json TEXT NOT NULL, UNIQUE(grp, plural, ns, name));"
	"CREATE TABLE revisions(grp TEXT NOT NULL, plural TEXT NOT NULL, ns TEXT NOT NULL, name TEXT NOT NULL,"
	" version INTEGER NOT NULL, json TEXT NOT NULL, UNIQUE(grp, plural, ns, name, version));";

#define KEY_IS " grp = ?1 AND plural = ?2 AND ns = ?3 AND name = ?4 "
enum statement { S_BEGIN, S_COMMIT, S_ROLLBACK, S_PUT, S_DELETE, S_KEEP, S_PRUNE, S_FORGET, S_REVISIONS, S_VERSION, S_COUNT };
static const char *const statements[] = {
	[S_BEGIN]     = "BEGIN IMMEDIATE",
	[S_COMMIT]    = "COMMIT",
	[S_ROLLBACK]  = "ROLLBACK",
	[S_PUT]       = "INSERT INTO objects VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET version = ?5, json = ?6",
	[S_DELETE]    = "DELETE FROM objects WHERE" KEY_IS,
	[S_KEEP]      = "INSERT OR REPLACE INTO revisions SELECT * FROM objects WHERE" KEY_IS,
	/* ?5: earlier states kept; without that many the inner select is empty and nothing goes */
	[S_PRUNE]     = "DELETE FROM revisions WHERE" KEY_IS "AND version <= (SELECT version FROM revisions WHERE" KEY_IS
			"ORDER BY version DESC LIMIT 1 OFFSET ?5)",
	[S_FORGET]    = "DELETE FROM revisions WHERE" KEY_IS,
	[S_REVISIONS] = "SELECT version, json FROM revisions WHERE" KEY_IS "AND ?5 IN (0, version) UNION ALL "
			"SELECT version, json FROM objects WHERE" KEY_IS "AND ?5 IN (0, version) ORDER BY version",
	[S_VERSION]   = "UPDATE meta SET value = ?1 WHERE name = 'version' AND value < ?1",
};
/* clang-format on */
static_assert(SL_ARRAY_COUNT(statements) == S_COUNT, "one text per statement");

/* Tells the loop that jobs are finished. Outlives the back-end when it is still queued as that goes. */
struct wake {
	struct sl_msg msg;
	struct sqlite_store *owner; /* NULL: gone. Touched by the loop's thread alone */
};

struct sqlite_store {
	sqlite3 *db; /* the opener's until the thread starts, then the thread's */
	sqlite3_stmt *stmts[S_COUNT];
	unsigned revision_count;
	uint64_t failed_epoch; /* the thread's */
	struct sl_loop *loop;
	struct sl_store *store;
	struct sl_thread thread;
	uint64_t commits; /* atomic */

	pthread_mutex_t lock; /* of everything below */
	pthread_cond_t work, idle;
	struct sl_list queue, finished;
	bool busy, stop;
	struct wake *wake; /* posted and not yet run, or NULL */
};

/* --- one batch, in the thread --- */

static void bind_str(sqlite3_stmt *st, int at, sl_str s)
{
	sqlite3_bind_text64(st, at, s.p ? s.p : "", s.len, SQLITE_STATIC, SQLITE_UTF8);
}

static sqlite3_stmt *with_key(struct sqlite_store *q, enum statement which, const struct sl_object_key *key)
{
	sqlite3_stmt *st = q->stmts[which];
	bind_str(st, 1, key->group);
	bind_str(st, 2, key->plural);
	bind_str(st, 3, key->ns);
	bind_str(st, 4, key->name);
	return st;
}

/* Runs to the end; true when it went well. */
static bool run(sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return rc == SQLITE_DONE || rc == SQLITE_ROW;
}

static bool run_put(struct sqlite_store *q, const struct sl_store_job *job)
{
	if (job->keep_revision) {
		if (!run(with_key(q, S_KEEP, &job->key)))
			return false;
		sqlite3_stmt *prune = with_key(q, S_PRUNE, &job->key);
		sqlite3_bind_int64(prune, 5, q->revision_count - 1); /* the current state is one of them */
		if (!run(prune))
			return false;
	}
	sqlite3_stmt *put = with_key(q, S_PUT, &job->key);
	sqlite3_bind_int64(put, 5, (sqlite3_int64)job->object->resource_version);
	bind_str(put, 6, job->object->json);
	return run(put);
}

static bool run_delete(struct sqlite_store *q, const struct sl_store_job *job)
{
	return run(with_key(q, S_DELETE, &job->key)) && run(with_key(q, S_FORGET, &job->key));
}

static bool run_revisions(struct sqlite_store *q, struct sl_store_job *job)
{
	sqlite3_stmt *st = with_key(q, S_REVISIONS, &job->key);
	sqlite3_bind_int64(st, 5, (sqlite3_int64)job->version);
	job->revisions = sl_arena_zalloc_array(&job->arena, q->revision_count + 1, sizeof(*job->revisions));
	int rc;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW && job->revision_count <= q->revision_count)
		job->revisions[job->revision_count++] = (struct sl_store_revision) {
			.version = (uint64_t)sqlite3_column_int64(st, 0),
			.json = sl_arena_str(&job->arena, sl_str_n((const char *)sqlite3_column_text(st, 1),
			                                          (size_t)sqlite3_column_bytes(st, 1))),
		};
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return rc == SQLITE_DONE || rc == SQLITE_ROW;
}

static bool run_job(struct sqlite_store *q, struct sl_store_job *job)
{
	switch (job->kind) {
	case SL_JOB_PUT:
		return run_put(q, job);
	case SL_JOB_DELETE:
		return run_delete(q, job);
	case SL_JOB_REVISIONS:
		return run_revisions(q, job);
	}
	return false;
}

static bool run_commit(struct sqlite_store *q, uint64_t version)
{
	if (version) {
		sqlite3_bind_int64(q->stmts[S_VERSION], 1, (sqlite3_int64)version);
		if (!run(q->stmts[S_VERSION]))
			return false;
	}
	return run(q->stmts[S_COMMIT]);
}

static void fail(struct sqlite_store *q, struct sl_list *batch)
{
	const char *why = sqlite3_errmsg(q->db);
	SL_LIST_FOR (node, batch) {
		struct sl_store_job *job = SL_LIST_ENTRY(node, struct sl_store_job, link);
		job->err = SL_ERR_IO;
		job->failure = job->failure ? job->failure : sl_strdup(why);
		job->revision_count = 0;
		if (job->kind != SL_JOB_REVISIONS && job->epoch > q->failed_epoch)
			q->failed_epoch = job->epoch;
	}
	if (!sqlite3_get_autocommit(q->db))
		run(q->stmts[S_ROLLBACK]); /* cannot do worse than leave the transaction, which the next BEGIN reports */
}

/* Makes the whole batch durable, or none of it. */
static void run_batch(struct sqlite_store *q, struct sl_list *batch)
{
	uint64_t version = 0;
	bool ok = run(q->stmts[S_BEGIN]);
	SL_LIST_FOR (node, batch) {
		struct sl_store_job *job = SL_LIST_ENTRY(node, struct sl_store_job, link);
		if (!ok)
			break;
		if (job->kind != SL_JOB_REVISIONS && job->epoch <= q->failed_epoch) {
			job->err = SL_ERR_IO; /* built on a state that was lost */
			job->failure = sl_strdup("an earlier write, which this one was built on, failed");
			continue;
		}
		ok = run_job(q, job);
		if (job->object)
			version = job->object->resource_version;
	}
	if (!ok || !run_commit(q, version))
		fail(q, batch);
	else if (version)
		__atomic_fetch_add(&q->commits, 1, __ATOMIC_RELAXED);
}

/* --- the thread and its queues --- */

static void move_some(struct sl_list *from, struct sl_list *to, size_t most)
{
	while (most-- > 0 && !sl_list_empty(from)) {
		struct sl_list *node = from->next;
		sl_list_remove(node);
		sl_list_push(to, node);
	}
}

static void deliver(struct sqlite_store *q)
{
	struct sl_list jobs;
	sl_list_init(&jobs);
	pthread_mutex_lock(&q->lock);
	move_some(&q->finished, &jobs, SIZE_MAX);
	pthread_mutex_unlock(&q->lock);
	while (!sl_list_empty(&jobs)) {
		struct sl_store_job *job = SL_LIST_ENTRY(jobs.next, struct sl_store_job, link);
		sl_list_remove(&job->link);
		sl_store_job_done(q->store, job);
	}
}

static void on_wake(struct sl_loop *loop, struct sl_msg *msg)
{
	(void)loop;
	struct wake *wake = SL_CONTAINER_OF(msg, struct wake, msg);
	struct sqlite_store *q = wake->owner;
	if (q) {
		pthread_mutex_lock(&q->lock);
		q->wake = NULL;
		pthread_mutex_unlock(&q->lock);
		deliver(q);
	}
	sl_free(wake);
}

/* With the lock held. */
static void finish(struct sqlite_store *q, struct sl_list *batch)
{
	move_some(batch, &q->finished, SIZE_MAX);
	if (!q->wake) {
		q->wake = sl_new0(sizeof(*q->wake));
		q->wake->msg.fn = on_wake;
		q->wake->owner = q;
		sl_loop_post(q->loop, &q->wake->msg);
	}
}

static void writer(void *arg)
{
	struct sqlite_store *q = arg;
	struct sl_list batch;
	sl_list_init(&batch);
	pthread_mutex_lock(&q->lock);
	for (;;) {
		while (sl_list_empty(&q->queue) && !q->stop)
			pthread_cond_wait(&q->work, &q->lock);
		if (sl_list_empty(&q->queue))
			break;
		move_some(&q->queue, &batch, BATCH_MOST);
		q->busy = true;
		pthread_mutex_unlock(&q->lock);
		run_batch(q, &batch);
		pthread_mutex_lock(&q->lock);
		q->busy = false;
		finish(q, &batch);
		pthread_cond_signal(&q->idle);
	}
	pthread_mutex_unlock(&q->lock);
}

static void sqlite_submit(void *backend, struct sl_store_job *job)
{
	struct sqlite_store *q = backend;
	pthread_mutex_lock(&q->lock);
	sl_list_push(&q->queue, &job->link);
	pthread_cond_signal(&q->work);
	pthread_mutex_unlock(&q->lock);
}

static void sqlite_drain(void *backend)
{
	struct sqlite_store *q = backend;
	bool more = true;
	while (more) {
		pthread_mutex_lock(&q->lock);
		while (q->busy || !sl_list_empty(&q->queue))
			pthread_cond_wait(&q->idle, &q->lock);
		pthread_mutex_unlock(&q->lock);
		deliver(q); /* its callbacks may have submitted reads */
		pthread_mutex_lock(&q->lock);
		more = q->busy || !sl_list_empty(&q->queue) || !sl_list_empty(&q->finished);
		pthread_mutex_unlock(&q->lock);
	}
}

static void sqlite_free(void *backend)
{
	struct sqlite_store *q = backend;
	pthread_mutex_lock(&q->lock);
	q->stop = true;
	pthread_cond_signal(&q->work);
	pthread_mutex_unlock(&q->lock);
	sl_thread_join(&q->thread);
	if (q->wake)
		q->wake->owner = NULL;
	for (size_t i = 0; i < S_COUNT; i++)
		sqlite3_finalize(q->stmts[i]);
	sqlite3_close(q->db);
	pthread_cond_destroy(&q->work);
	pthread_cond_destroy(&q->idle);
	pthread_mutex_destroy(&q->lock);
	sl_free(q);
}

static uint64_t sqlite_commits(const void *backend)
{
	return __atomic_load_n(&((const struct sqlite_store *)backend)->commits, __ATOMIC_RELAXED);
}

/* --- opening --- */

static sl_err open_error(struct sqlite_store *q, int rc, struct sl_diag *diag)
{
	const char *file = sqlite3_db_filename(q->db, "main");
	switch (rc & 0xff) {
	case SQLITE_NOTADB:
		return sl_diag_fail(diag, SL_ERR_MALFORMED, NULL, NULL,
		        "%s is no sqlite database: give another data directory, or move the file away", file);
	case SQLITE_CORRUPT:
		return sl_diag_fail(diag, SL_ERR_MALFORMED, NULL, NULL,
		        "%s is damaged (%s): restore it from a copy, or move it away to begin anew", file,
		        sqlite3_errmsg(q->db));
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return sl_diag_fail(diag, SL_ERR_UNAVAILABLE, NULL, NULL,
		        "%s is in use by another process: is sluiced running already?", file);
	default:
		return sl_diag_fail(diag, SL_ERR_IO, NULL, NULL, "%s: %s", file, sqlite3_errmsg(q->db));
	}
}

static sl_err exec(struct sqlite_store *q, const char *sql, struct sl_diag *diag)
{
	int rc = sqlite3_exec(q->db, sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? SL_OK : open_error(q, rc, diag);
}

/* The integer a one-row query gives. */
static sl_err read_int(struct sqlite_store *q, const char *sql, int64_t *ret_v, struct sl_diag *diag)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(q->db, sql, -1, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	bool has_row = rc == SQLITE_ROW;
	if (has_row)
		*ret_v = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return has_row ? SL_OK : open_error(q, rc == SQLITE_DONE ? SQLITE_CORRUPT : rc, diag);
}

/* Ours, new, or to be left alone? Nothing is written before that is known. */
static sl_err check_file(struct sqlite_store *q, bool *ret_is_new, struct sl_diag *diag)
{
	const char *file = sqlite3_db_filename(q->db, "main");
	int64_t application = 0, version = 0, tables = 0;
	SL_TRY(read_int(q, "SELECT count(*) FROM sqlite_master", &tables, diag));
	SL_TRY(read_int(q, "PRAGMA application_id", &application, diag));
	SL_TRY(read_int(q, "PRAGMA user_version", &version, diag));
	*ret_is_new = application == 0 && tables == 0;
	if (!*ret_is_new && application != APPLICATION_ID)
		return sl_diag_fail(diag, SL_ERR_MALFORMED, NULL, NULL,
		        "%s is a database of another program: give another data directory", file);
	if (version > SCHEMA_VERSION)
		return sl_diag_fail(diag, SL_ERR_MALFORMED, NULL, NULL,
		        "%s was written by a newer sluice (format %d, this one knows %d): use that version",
		        file, (int)version, SCHEMA_VERSION);
	return SL_OK;
}

static sl_err open_file(struct sqlite_store *q, const char *path, struct sl_diag *diag)
{
	/* Secrets are in it: for its owner alone, whatever the umask. sqlite gives its other files the same mode. */
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
	int rc = sqlite3_open_v2(
	        path, &q->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc != SQLITE_OK)
		return sl_diag_fail(diag, SL_ERR_IO, NULL, NULL, "%s: %s", path, sqlite3_errmsg(q->db));
	bool is_new = false;
	SL_TRY(exec(q, "PRAGMA locking_mode = EXCLUSIVE", diag));
	SL_TRY(check_file(q, &is_new, diag));
	SL_TRY(exec(
	        q, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY", diag));
	if (is_new) {
		char sql[sizeof(schema) + 128];
		snprintf(sql, sizeof(sql),
		        "BEGIN; %s PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", schema,
		        APPLICATION_ID, SCHEMA_VERSION);
		SL_TRY(exec(q, sql, diag));
	}
	for (size_t i = 0; i < S_COUNT; i++) {
		rc = sqlite3_prepare_v3(
		        q->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &q->stmts[i], NULL);
		if (rc != SQLITE_OK)
			return open_error(
			        q, rc == SQLITE_ERROR ? SQLITE_CORRUPT : rc, diag); /* a table is missing */
	}
	return SL_OK;
}

static sl_str column_str(sqlite3_stmt *st, int at)
{
	const char *p = (const char *)sqlite3_column_text(st, at);
	return sl_str_n(p, (size_t)sqlite3_column_bytes(st, at));
}

static sl_err sqlite_load(
        void *backend, sl_store_load_fn each, void *arg, uint64_t *ret_version, struct sl_diag *diag)
{
	struct sqlite_store *q = backend;
	int64_t version = 0;
	SL_TRY(read_int(q, "SELECT value FROM meta WHERE name = 'version'", &version, diag));

	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(q->db,
	        "SELECT grp, plural, ns, name, version, json FROM objects ORDER BY grp, plural, ns, name", -1,
	        &st, NULL);
	sl_err err = SL_OK;
	while (rc == SQLITE_OK && err == SL_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct sl_object_key key = { column_str(st, 0), column_str(st, 1), column_str(st, 2),
			column_str(st, 3) };
		err = each(arg, &key, (uint64_t)sqlite3_column_int64(st, 4), column_str(st, 5), diag);
		rc = SQLITE_OK;
	}
	sqlite3_finalize(st);
	if (err == SL_OK && rc != SQLITE_DONE)
		err = open_error(q, rc, diag);
	*ret_version = (uint64_t)version;
	return err;
}

static const struct sl_store_ops sqlite_ops = {
	.name = "sqlite",
	.load = sqlite_load,
	.submit = sqlite_submit,
	.drain = sqlite_drain,
	.free = sqlite_free,
	.commits = sqlite_commits,
};

sl_err sl_store_open_sqlite(struct sl_store **ret_store, struct sl_loop *loop, const char *path,
        const struct sl_store_options *options, struct sl_diag *diag)
{
	struct sqlite_store *q = sl_new0(sizeof(*q));
	q->loop = loop;
	q->revision_count =
	        options && options->revision_count ? options->revision_count : SL_STORE_REVISIONS_DEFAULT;
	sl_list_init(&q->queue);
	sl_list_init(&q->finished);
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->work, NULL);
	pthread_cond_init(&q->idle, NULL);
	SL_CLEANUP(sl_store_close) struct sl_store *s = sl_store_new(loop, options, &sqlite_ops, q);
	q->store = s;
	SL_TRY(open_file(q, path, diag));
	SL_TRY(sl_store_load(s, diag));
	SL_TRY(sl_thread_start(&q->thread, "store", writer, q));
	*ret_store = SL_STEAL(s);
	return SL_OK;
}
