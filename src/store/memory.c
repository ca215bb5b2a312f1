/* The back-end that keeps nothing: writes are "durable" at the end of the turn. Revisions are kept in memory, like sqlite's. */
#include "base/buf.h"
#include "base/map.h"
#include "loop/loop.h"
#include "store/store_priv.h"

struct record { /* one object: its current state and the earlier ones kept */
	struct sl_map_node node;
	char *key_text;
	struct sl_object **states; /* oldest first, the last is current */
	size_t count;
};

struct memory {
	struct sl_loop *loop;
	struct sl_store *store;
	struct sl_task task;
	struct sl_list queue;
	struct sl_map records;
	unsigned revision_count;
	uint64_t commits;
};

static sl_err memory_load(
        void *backend, sl_store_load_fn each, void *arg, uint64_t *ret_version, struct sl_diag *diag)
{
	(void)backend, (void)each, (void)arg, (void)diag;
	*ret_version = 0;
	return SL_OK;
}

/* No part of a key holds a '/'. */
static const char *record_key(struct sl_buf *b, const struct sl_object_key *key)
{
	sl_buf_printf(b, "%.*s/%.*s/%.*s/%.*s", SL_STR_ARG(key->group), SL_STR_ARG(key->plural),
	        SL_STR_ARG(key->ns), SL_STR_ARG(key->name));
	return sl_buf_cstr(b);
}

static struct record *record_get(struct memory *m, const struct sl_object_key *key)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };
	struct sl_map_node *node = sl_map_get(&m->records, sl_str_c(record_key(&b, key)));
	return node ? SL_MAP_ENTRY(node, struct record, node) : NULL;
}

static void record_free(struct record *r)
{
	for (size_t i = 0; i < r->count; i++)
		sl_object_unref(r->states[i]);
	sl_free(r->states);
	sl_free(r->key_text);
	sl_free(r);
}

static void record_drop(struct record *r, size_t at)
{
	sl_object_unref(r->states[at]);
	r->count--;
	memmove(&r->states[at], &r->states[at + 1], (r->count - at) * sizeof(struct sl_object *));
}

static void memory_put(struct memory *m, const struct sl_store_job *job)
{
	struct record *r = record_get(m, &job->key);
	if (!r) {
		SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };
		r = sl_new0(sizeof(*r));
		r->key_text = sl_strdup(record_key(&b, &job->key));
		sl_map_put(&m->records, &r->node, sl_str_c(r->key_text));
	}
	if (r->count && !job->keep_revision)
		record_drop(r, r->count - 1);
	if (r->count == m->revision_count)
		record_drop(r, 0);
	r->states = sl_resize(r->states, (r->count + 1) * sizeof(struct sl_object *));
	r->states[r->count++] = sl_object_ref(job->object);
}

static void memory_delete(struct memory *m, const struct sl_store_job *job)
{
	struct record *r = record_get(m, &job->key);
	if (!r)
		return;
	sl_map_take(&m->records, r->node.key);
	record_free(r);
}

static void memory_revisions(struct memory *m, struct sl_store_job *job)
{
	const struct record *r = record_get(m, &job->key);
	if (!r)
		return;
	job->revisions = sl_arena_zalloc_array(&job->arena, r->count, sizeof(*job->revisions));
	for (size_t i = 0; i < r->count; i++) {
		const struct sl_object *o = r->states[i];
		if (job->version && job->version != o->resource_version)
			continue;
		job->revisions[job->revision_count++] = (struct sl_store_revision) {
			.version = o->resource_version,
			.json = sl_arena_str(&job->arena, o->json),
		};
	}
}

static void memory_run(struct memory *m)
{
	struct sl_list batch;
	sl_list_init(&batch);
	while (!sl_list_empty(&m->queue)) {
		struct sl_list *node = m->queue.next;
		sl_list_remove(node);
		sl_list_push(&batch, node);
	}
	m->commits += !sl_list_empty(&batch);
	while (!sl_list_empty(&batch)) {
		struct sl_store_job *job = SL_LIST_ENTRY(batch.next, struct sl_store_job, link);
		sl_list_remove(&job->link);
		switch (job->kind) {
		case SL_JOB_PUT:
			memory_put(m, job);
			break;
		case SL_JOB_DELETE:
			memory_delete(m, job);
			break;
		case SL_JOB_REVISIONS:
			memory_revisions(m, job);
			break;
		}
		sl_store_job_done(m->store, job);
	}
}

static void on_task(struct sl_loop *loop, struct sl_task *task)
{
	(void)loop;
	memory_run(SL_CONTAINER_OF(task, struct memory, task));
}

static void memory_submit(void *backend, struct sl_store_job *job)
{
	struct memory *m = backend;
	sl_list_push(&m->queue, &job->link);
	sl_loop_defer(m->loop, &m->task);
}

static void memory_drain(void *backend)
{
	struct memory *m = backend;
	while (!sl_list_empty(&m->queue))
		memory_run(m);
}

static void memory_free(void *backend)
{
	struct memory *m = backend;
	sl_task_cancel(m->loop, &m->task);
	for (struct sl_map_node *node = sl_map_next(&m->records, NULL), *next; node; node = next) {
		next = sl_map_next(&m->records, node);
		record_free(SL_MAP_ENTRY(node, struct record, node));
	}
	sl_map_fini(&m->records);
	sl_free(m);
}

static uint64_t memory_commits(const void *backend)
{
	return ((const struct memory *)backend)->commits;
}

static const struct sl_store_ops memory_ops = {
	.name = "memory",
	.load = memory_load,
	.submit = memory_submit,
	.drain = memory_drain,
	.free = memory_free,
	.commits = memory_commits,
};

sl_err sl_store_open_memory(
        struct sl_store **ret_store, struct sl_loop *loop, const struct sl_store_options *options)
{
	struct memory *m = sl_new0(sizeof(*m));
	m->loop = loop;
	m->task.fn = on_task;
	m->revision_count =
	        options && options->revision_count ? options->revision_count : SL_STORE_REVISIONS_DEFAULT;
	sl_list_init(&m->queue);
	m->store = sl_store_new(loop, options, &memory_ops, m);
	*ret_store = m->store;
	return SL_OK;
}
