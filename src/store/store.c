/* The front of the store: accepts and numbers writes, applies them when durable, and answers readers. Watches: watch.c. */
#include "store/watch_priv.h"

struct sl_store *sl_store_new(struct sl_loop *loop, const struct sl_store_options *options,
        const struct sl_store_ops *ops, void *backend)
{
	struct sl_store *s = sl_new0(sizeof(*s));
	s->loop = loop;
	s->ops = ops;
	s->backend = backend;
	s->epoch = 1;
	sl_list_init(&s->watches);
	sl_store_history_init(&s->history,
	        options && options->history_count ? options->history_count : SL_STORE_HISTORY_DEFAULT);
	return s;
}

static sl_err load_one(
        void *arg, const struct sl_object_key *key, uint64_t version, sl_str json, struct sl_diag *diag)
{
	struct sl_store *s = arg;
	json_error_t error;
	json_t *body = json_loadb(json.p, json.len, JSON_ALLOW_NUL, &error);
	if (!json_is_object(body)) {
		json_decref(body);
		return sl_diag_fail(diag, SL_ERR_MALFORMED, NULL, NULL,
		        "the stored object %.*s %.*s/%.*s is not JSON: %s", SL_STR_ARG(key->plural),
		        SL_STR_ARG(key->ns), SL_STR_ARG(key->name), error.text);
	}
	struct sl_store_slot *slot = sl_store_index_add(&s->index, key);
	slot->now = sl_object_new(key, body, version);
	slot->kind->live++;
	s->stats.objects++;
	return SL_OK;
}

sl_err sl_store_load(struct sl_store *s, struct sl_diag *diag)
{
	uint64_t version = 0;
	SL_TRY(s->ops->load(s->backend, load_one, s, &version, diag));
	s->accepted = s->done = version;
	s->history.first_version = version;
	return SL_OK;
}

void sl_store_flush(struct sl_store *s)
{
	s->ops->drain(s->backend);
}

void sl_store_close(struct sl_store *s)
{
	if (!s)
		return;
	s->closing = true;
	s->ops->drain(s->backend);
	s->ops->free(s->backend);
	assert(sl_list_empty(&s->watches));
	sl_store_history_fini(&s->history);
	sl_store_index_fini(&s->index);
	sl_free(s);
}

uint64_t sl_store_version(const struct sl_store *s)
{
	return s->done;
}

/* --- reading --- */

static struct sl_object *slot_accepted(const struct sl_store *s, const struct sl_store_slot *slot)
{
	return slot->inflight && slot->epoch == s->epoch ? slot->next : slot->now;
}

struct sl_object *sl_store_get(struct sl_store *s, const struct sl_object_key *key)
{
	struct sl_store_slot *slot = sl_store_index_get(&s->index, key);
	return slot ? slot->now : NULL;
}

struct sl_object *sl_store_latest(struct sl_store *s, const struct sl_object_key *key)
{
	struct sl_store_slot *slot = sl_store_index_get(&s->index, key);
	return slot ? slot_accepted(s, slot) : NULL;
}

static void each(struct sl_store *s, sl_str group, sl_str plural, sl_str ns, bool latest, sl_store_each_fn fn,
        void *arg)
{
	struct sl_store_kind *k = sl_store_index_kind(&s->index, group, plural);
	if (!k)
		return;
	for (size_t i = ns.len ? sl_store_kind_first(k, ns) : 0; i < k->count; i++) {
		struct sl_store_slot *slot = k->slots[i];
		if (ns.len && !sl_str_eq(slot->ns, ns))
			return;
		struct sl_object *o = latest ? slot_accepted(s, slot) : slot->now;
		if (o && !fn(arg, o))
			return;
	}
}

void sl_store_each(struct sl_store *s, sl_str group, sl_str plural, sl_str ns, sl_store_each_fn fn, void *arg)
{
	each(s, group, plural, ns, false, fn, arg);
}

void sl_store_each_latest(
        struct sl_store *s, sl_str group, sl_str plural, sl_str ns, sl_store_each_fn fn, void *arg)
{
	each(s, group, plural, ns, true, fn, arg);
}

size_t sl_store_count(struct sl_store *s, sl_str group, sl_str plural)
{
	struct sl_store_kind *k = sl_store_index_kind(&s->index, group, plural);
	return k ? k->live : 0;
}

/* --- writing --- */

static sl_err check(
        struct sl_store *s, const struct sl_store_write *w, const struct sl_object *current, bool create)
{
	if (s->closing)
		return SL_ERR_CLOSED;
	if (s->stats.waiting_writes >= SL_STORE_WAITING_MOST)
		return SL_ERR_OVER_BUDGET;
	if (create)
		return current ? SL_ERR_EXISTS : SL_OK;
	if (!current)
		return SL_ERR_NOT_FOUND;
	if ((w->expect_version && w->expect_version != current->resource_version) ||
	        (w->expect_uid.len && !sl_str_eq(w->expect_uid, current->uid))) {
		s->stats.conflicts++;
		return SL_ERR_CONFLICT;
	}
	return SL_OK;
}

/* Numbers the write, makes it the accepted state of its slot, and sends it on its way. Takes `object` over. */
static void submit(struct sl_store *s, enum sl_store_job_kind kind, struct sl_store_slot *slot,
        const struct sl_store_write *w, struct sl_object *object)
{
	struct sl_store_job *job = sl_new0(sizeof(*job));
	sl_list_init(&job->link);
	job->kind = kind;
	job->object = object;
	job->key = object->key;
	job->keep_revision = w->keep_revision;
	job->epoch = s->epoch;
	job->slot = slot;
	job->done = w->done;
	job->arg = w->arg;

	sl_object_unref(slot->next);
	slot->next = kind == SL_JOB_PUT ? sl_object_ref(object) : NULL;
	slot->epoch = s->epoch;
	slot->inflight++;
	s->stats.waiting_writes++;
	s->ops->submit(s->backend, job);
}

static sl_err put(struct sl_store *s, const struct sl_store_write *w, bool create, uint64_t *ret_version)
{
	struct sl_store_slot *slot = sl_store_index_get(&s->index, &w->key);
	sl_err err = check(s, w, slot ? slot_accepted(s, slot) : NULL, create);
	if (err != SL_OK) {
		json_decref(w->body);
		return err;
	}
	if (!slot)
		slot = sl_store_index_add(&s->index, &w->key);
	uint64_t version = ++s->accepted;
	submit(s, SL_JOB_PUT, slot, w, sl_object_new(&w->key, w->body, version));
	if (ret_version)
		*ret_version = version;
	return SL_OK;
}

sl_err sl_store_create(struct sl_store *s, const struct sl_store_write *w, uint64_t *ret_version)
{
	return put(s, w, true, ret_version);
}

sl_err sl_store_update(struct sl_store *s, const struct sl_store_write *w, uint64_t *ret_version)
{
	return put(s, w, false, ret_version);
}

sl_err sl_store_delete(struct sl_store *s, const struct sl_store_write *w, uint64_t *ret_version)
{
	struct sl_store_slot *slot = sl_store_index_get(&s->index, &w->key);
	struct sl_object *current = slot ? slot_accepted(s, slot) : NULL;
	SL_TRY(check(s, w, current, false));

	/* The last state under the delete's version: what a watcher of a deletion sees in Kubernetes. The body is shared below
	 * metadata, which is the only part that differs. */
	json_t *body = json_copy(current->body);
	json_object_set_new(body, "metadata", json_copy(json_object_get(body, "metadata")));
	uint64_t version = ++s->accepted;
	submit(s, SL_JOB_DELETE, slot, w, sl_object_new(&current->key, body, version));
	if (ret_version)
		*ret_version = version;
	return SL_OK;
}

/* --- what comes back from the back-end --- */

/* Makes a durable write visible. */
static void apply(struct sl_store *s, struct sl_store_job *job)
{
	struct sl_store_slot *slot = job->slot;
	struct sl_object *old = slot->now; /* its reference moves into the event */
	struct sl_store_event event = {
		.version = job->object->resource_version,
		.object = job->object,
		.old = old,
	};
	if (job->kind == SL_JOB_DELETE) {
		event.type = SL_STORE_DELETED;
		slot->now = NULL;
		slot->kind->live--;
		s->stats.objects--;
	} else {
		event.type = old ? SL_STORE_MODIFIED : SL_STORE_ADDED;
		slot->now = sl_object_ref(job->object);
		if (!old) {
			slot->kind->live++;
			s->stats.objects++;
		}
	}
	s->done = event.version;
	s->stats.writes++;
	sl_store_history_add(&s->history, &event);
	sl_store_tell(s, &event);
	sl_object_unref(old);
}

static void settle(struct sl_store *s, struct sl_store_job *job)
{
	struct sl_store_slot *slot = job->slot;
	s->stats.waiting_writes--;
	if (--slot->inflight == 0) {
		sl_object_unref(slot->next);
		slot->next = NULL;
	}
	if (job->err == SL_OK) {
		apply(s, job);
	} else {
		s->stats.failed_writes++;
		if (job->epoch == s->epoch)
			s->epoch++; /* disowns every accepted state built on this one */
		sl_str_copy(s->last_failure, sizeof(s->last_failure), sl_str_c(job->failure));
	}
	if (job->done)
		job->done(job->arg, job->err, job->err == SL_OK ? job->object : NULL);
	if (!slot->now && slot->inflight == 0)
		sl_store_index_remove(slot);
}

void sl_store_job_done(struct sl_store *s, struct sl_store_job *job)
{
	switch (job->kind) {
	case SL_JOB_PUT:
	case SL_JOB_DELETE:
		settle(s, job);
		break;
	case SL_JOB_REVISIONS:
		job->revisions_done(job->arg, job->err, job->revisions, job->revision_count);
		break;
	}
	sl_store_job_free(job);
}

void sl_store_job_free(struct sl_store_job *job)
{
	sl_object_unref(job->object);
	sl_arena_fini(&job->arena);
	sl_free(job->failure);
	sl_free(job);
}

/* --- revisions and figures --- */

void sl_store_revisions(struct sl_store *s, const struct sl_object_key *key, uint64_t version,
        sl_store_revisions_fn done, void *arg)
{
	struct sl_store_job *job = sl_new0(sizeof(*job));
	sl_list_init(&job->link);
	job->kind = SL_JOB_REVISIONS;
	job->version = version;
	job->revisions_done = done;
	job->arg = arg;
	job->key = (struct sl_object_key) {
		.group = sl_arena_str(&job->arena, key->group),
		.plural = sl_arena_str(&job->arena, key->plural),
		.ns = sl_arena_str(&job->arena, key->ns),
		.name = sl_arena_str(&job->arena, key->name),
	};
	s->ops->submit(s->backend, job);
}

const char *sl_store_last_failure(const struct sl_store *s)
{
	return s->last_failure;
}

void sl_store_read_stats(const struct sl_store *s, struct sl_store_stats *ret_stats)
{
	*ret_stats = s->stats;
	ret_stats->commits = s->ops->commits(s->backend);
}
