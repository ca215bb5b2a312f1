/* A Pod's log, an object's revisions, and the metrics: what is read from elsewhere than the index. */
#include "control/api_priv.h"
#include "os/clock.h"

#include <inttypes.h>

/* --- pods/NAME/log --- */

enum { LOG_PIECE_BYTES = 64 * 1024 };

struct log {
	struct sl_api_req *r;
	struct sl_log_stream *stream;
	struct sl_dead dead;
	struct sl_task pump; /* goes on after a piece, so that one log does not hold the loop */
	bool ended;
};

static void log_free(void *arg)
{
	struct log *l = arg;
	sl_api_req_unref(l->r);
	sl_free(l);
}

static void log_end(struct log *l, bool whole)
{
	if (l->ended)
		return;
	l->ended = true;
	struct sl_loop *loop = l->r->api->options.loop;
	struct sl_http_req *http = l->r->http;
	l->stream->ops->close(l->stream);
	sl_task_cancel(loop, &l->pump);
	l->r->http = NULL;
	if (http && whole)
		sl_http_stream_end(http);
	else if (http)
		sl_http_stream_abort(http);
	sl_loop_free_later(loop, &l->dead, log_free, l);
}

static void on_pump(struct sl_loop *loop, struct sl_task *task)
{
	struct log *l = SL_CONTAINER_OF(task, struct log, pump);
	SL_CLEANUP(sl_buf_fini) struct sl_buf piece = { 0 };
	sl_err err = l->stream->ops->read(l->stream, &piece, LOG_PIECE_BYTES);
	bool room = sl_buf_size(&piece) == 0 || sl_http_stream_write(l->r->http, sl_buf_str(&piece));
	if (err == SL_OK && room)
		sl_loop_defer(loop, &l->pump);
	else if (err != SL_OK && err != SL_ERR_AGAIN)
		log_end(l, err == SL_ERR_EOF);
}

static void on_more(struct sl_log_stream *stream)
{
	struct log *l = stream->arg;
	if (!l->ended)
		sl_loop_defer(l->r->api->options.loop, &l->pump);
}

static void on_log_drain(struct sl_http_req *http)
{
	struct sl_api_req *r = http->user;
	struct log *l = r->user;
	on_more(l->stream);
}

static void on_log_gone(struct sl_api_req *r)
{
	log_end(r->user, false);
}

/* sinceTime and sinceSeconds exclude each other in Kubernetes; here the later start counts. */
static sl_err log_options(struct sl_api_req *r, struct sl_log_options *ret_options)
{
	const struct sl_api_query *q = &r->query;
	sl_nsec since = q->since_s >= 0 ? sl_clock_real() - SL_SEC(q->since_s) : 0, time = 0;
	if (q->since_time.len && sl_time_parse(q->since_time, &time) != SL_OK)
		return sl_diag_fail(&r->diag, SL_ERR_BAD_REQUEST, "sinceTime", "FieldValueInvalid",
		        "\"%.*s\" is no time: give one like 2026-01-31T23:59:59Z", SL_STR_ARG(q->since_time));
	*ret_options = (struct sl_log_options) {
		.container = q->container,
		.follow = q->follow,
		.previous = q->previous,
		.timestamps = q->timestamps,
		.tail_lines = q->tail_lines,
		.limit_bytes = q->limit_bytes,
		.since = time > since ? time : since,
	};
	return SL_OK;
}

void sl_api_log(struct sl_api_req *r)
{
	struct sl_api_options *options = &r->api->options;
	struct sl_log_options log;
	struct sl_log_stream *stream = NULL;
	if (!sl_objects_get(options->objects, &r->key)) {
		sl_api_reply_error(r, SL_ERR_NOT_FOUND, NULL);
		return;
	}
	sl_err err = log_options(r, &log);
	if (err == SL_OK && !options->logs)
		err = sl_diag_fail(
		        &r->diag, SL_ERR_UNAVAILABLE, NULL, NULL, "no workloads run here (--runtime none)");
	if (err == SL_OK)
		err = options->logs(options->logs_arg, r->key.ns, r->key.name, &log, &stream, &r->diag);
	if (err != SL_OK) {
		sl_api_reply_error(r, err, &r->diag);
		return;
	}
	struct log *l = sl_new0(sizeof(*l));
	l->r = sl_api_req_ref(r);
	l->stream = stream;
	l->pump.fn = on_pump;
	stream->on_more = on_more;
	stream->arg = l;
	r->user = l;
	r->on_gone = on_log_gone;
	r->http->on_drain = on_log_drain;
	sl_http_stream_begin(r->http, 200, "text/plain; charset=utf-8");
	sl_loop_defer(options->loop, &l->pump);
}

/* --- NAME/revisions: a List of the states kept, oldest first --- */

static void on_revisions(void *arg, sl_err err, const struct sl_store_revision *revisions, size_t count)
{
	struct sl_api_req *r = arg;
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
	if (r->http && (err != SL_OK || count == 0)) {
		sl_api_reply_error(r, err == SL_OK ? SL_ERR_NOT_FOUND : err, NULL);
	} else if (r->http) {
		sl_buf_c(&text, "{\"kind\":\"List\",\"apiVersion\":\"v1\",\"metadata\":{},\"items\":[");
		for (size_t i = 0; i < count; i++) {
			if (i)
				sl_buf_byte(&text, ',');
			sl_buf_str_add(&text, revisions[i].json);
		}
		sl_buf_c(&text, "]}");
		sl_api_reply_text(r, 200, "application/json", sl_buf_str(&text));
	}
	sl_api_req_unref(r);
}

void sl_api_revisions(struct sl_api_req *r)
{
	uint64_t version = r->query.version > 0 ? (uint64_t)r->query.version : 0;
	sl_store_revisions(
	        sl_objects_store(r->api->options.objects), &r->key, version, on_revisions, sl_api_req_ref(r));
}

/* --- /metrics --- */

static void add_metric(
        struct sl_buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
	sl_buf_printf(
	        out, "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 "\n", name, help, name, type, name, value);
}

static void add_requests(struct sl_buf *out, const struct sl_api *api)
{
	sl_buf_c(out, "# HELP sluice_api_requests_total Requests answered, by class of status.\n"
	              "# TYPE sluice_api_requests_total counter\n");
	for (size_t i = 2; i < SL_ARRAY_COUNT(api->requests); i++)
		sl_buf_printf(
		        out, "sluice_api_requests_total{code=\"%zuxx\"} %" PRIu64 "\n", i, api->requests[i]);
}

void sl_api_metrics(struct sl_api_req *r)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf out = { 0 };
	const struct sl_api *api = r->api;
	struct sl_store_stats s;
	sl_store_read_stats(sl_objects_store(api->options.objects), &s);
	add_requests(&out, api);
	add_metric(&out, "sluice_api_watches", "gauge", "Watches open.", api->watch_count);
	add_metric(&out, "sluice_api_connections", "gauge", "Client connections open.",
	        sl_http_server_connection_count(api->server));
	add_metric(&out, "sluice_store_objects", "gauge", "Objects stored.", s.objects);
	add_metric(&out, "sluice_store_writes_total", "counter", "Writes acknowledged.", s.writes);
	add_metric(&out, "sluice_store_failed_writes_total", "counter", "Writes the back-end failed.",
	        s.failed_writes);
	add_metric(&out, "sluice_store_conflicts_total", "counter",
	        "Writes refused for an old resourceVersion.", s.conflicts);
	add_metric(&out, "sluice_store_commits_total", "counter", "Group commits.", s.commits);
	add_metric(&out, "sluice_store_waiting_writes", "gauge", "Writes on their way to the disk.",
	        s.waiting_writes);
	add_metric(&out, "sluice_store_events_total", "counter", "Events told to watches inside sluiced.",
	        s.events_sent);
	if (api->options.metrics)
		api->options.metrics(api->options.metrics_arg, &out);
	sl_api_reply_text(r, 200, "text/plain; version=0.0.4; charset=utf-8", sl_buf_str(&out));
}
