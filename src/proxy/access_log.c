#include "proxy/worker_priv.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

enum {
	BATCH_BYTES = 32 << 10, /* written when so much is there, */
	FLUSH_MS = 500,         /* or so long after the first line */
	HELD_BYTES_MOST =
	        4 << 20, /* of a log that takes nothing; beyond it lines are dropped, never requests */
};

struct line { /* what a line tells */
	sl_str method, path, forwarded_for, user_agent, request_id, authority, upstream, cluster, route;
	const char *protocol;
};

static void flush(struct sl_worker *w)
{
	struct sl_access_log *log = &w->log;
	ssize_t n;

	if (!sl_buf_size(&log->lines))
		return;
	n = write(log->fd, log->lines.p + log->lines.off, sl_buf_size(&log->lines));
	if (n > 0)
		sl_buf_consume(&log->lines, (size_t)n);
	if (sl_buf_size(&log->lines))
		sl_timer_in(&w->loop, &log->flush, SL_MSEC(FLUSH_MS)); /* a full pipe, or half a write */
	else
		sl_buf_clear(&log->lines);
}

static void on_flush(struct sl_loop *loop, struct sl_timer *t)
{
	(void)loop;
	flush(SL_CONTAINER_OF(t, struct sl_worker, log.flush));
}

void sl_access_log_init(struct sl_worker *w, int fd)
{
	w->log.fd = fd;
	w->log.json = w->options->access_log_json;
	w->log.flush.fn = on_flush;
}

void sl_access_log_fini(struct sl_worker *w)
{
	if (w->log.fd >= 0)
		flush(w);
	sl_timer_stop(&w->loop, &w->log.flush);
	sl_buf_fini(&w->log.lines);
}

static const char *put_time(char text[40], sl_nsec real)
{
	time_t t = (time_t)(real / SL_SEC(1));
	struct tm tm;
	size_t n;

	gmtime_r(&t, &tm);
	n = strftime(text, 40, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, 40 - n, ".%03dZ", (int)(real % SL_SEC(1) / SL_MSEC(1)));
	return text;
}

/* In quotes; what would break the line or its quotes is escaped. "-" where absent. */
static void put_quoted(struct sl_buf *b, sl_str s)
{
	if (!s.len)
		s = SL_STR("-");
	sl_buf_byte(b, '"');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"' || c == '\\')
			sl_buf_printf(b, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			sl_buf_printf(b, "\\u%04x", c);
		else
			sl_buf_byte(b, (char)c);
	}
	sl_buf_byte(b, '"');
}

static void put_json_field(struct sl_buf *b, const char *name, sl_str value)
{
	sl_buf_printf(b, ",\"%s\":", name);
	if (value.len)
		put_quoted(b, value);
	else
		sl_buf_c(b, "null");
}

static struct line line_of(struct sl_downstream *d)
{
	struct sl_stream *s = &d->s;
	struct line l = { .protocol = s->tcp ? "-" : s->http10 ? "HTTP/1.0" : "HTTP/1.1" };
	const struct sl_http1_head *h;
	const char *p;

	if (s->endpoint)
		l.upstream = sl_str_c(s->endpoint->text);
	if (s->cluster)
		l.cluster = s->cluster->node.key;
	if (s->route)
		l.route = s->route->mesh->name;
	if (!s->head_bytes)
		return l; /* TCP, or never became a request */
	h = sl_stream_head(d);
	p = d->in->p + s->head_at;
	l.method = sl_http1_str(p, h->method_at);
	l.path = sl_http1_str(p, h->target);
	l.authority = sl_http1_str(p, h->authority);
	l.forwarded_for = sl_http1_get(h, p, SL_HDR_X_FORWARDED_FOR);
	if (!l.forwarded_for.len &&
	        s->view->tables->listeners[d->listener->index].mesh->direction == SL_TRAFFIC_GATEWAY)
		l.forwarded_for = sl_downstream_peer(d); /* as the upstream is told */
	l.user_agent = sl_http1_get(h, p, SL_HDR_USER_AGENT);
	l.request_id = s->id_made ? sl_str_n(s->request_id, SL_REQUEST_ID_BYTES)
	                          : sl_http1_get(h, p, SL_HDR_X_REQUEST_ID);
	return l;
}

/* Envoy's default format. */
static void put_text(
        struct sl_buf *b, const struct sl_stream *s, const struct line *l, const char *at, int64_t ms)
{
	sl_buf_printf(b, "[%s] \"", at);
	sl_buf_str_add(b, l->method.len ? l->method : SL_STR("-"));
	sl_buf_byte(b, ' ');
	sl_buf_str_add(b, l->path.len ? l->path : SL_STR("-"));
	sl_buf_printf(b, " %s\" %u %s %llu %llu %lld - ", l->protocol, s->status,
	        sl_flag_text((enum sl_flag)s->flag), (unsigned long long)s->received_bytes,
	        (unsigned long long)s->sent_bytes, (long long)ms);
	put_quoted(b, l->forwarded_for);
	sl_buf_byte(b, ' ');
	put_quoted(b, l->user_agent);
	sl_buf_byte(b, ' ');
	put_quoted(b, l->request_id);
	sl_buf_byte(b, ' ');
	put_quoted(b, l->authority);
	sl_buf_byte(b, ' ');
	put_quoted(b, l->upstream);
	sl_buf_byte(b, '\n');
}

static void put_json(
        struct sl_buf *b, const struct sl_stream *s, const struct line *l, const char *at, int64_t ms)
{
	sl_buf_printf(b,
	        "{\"start_time\":\"%s\",\"protocol\":\"%s\",\"response_code\":%u,\"response_flags\":\"%s\",",
	        at, l->protocol, s->status, sl_flag_text((enum sl_flag)s->flag));
	sl_buf_printf(b, "\"bytes_received\":%llu,\"bytes_sent\":%llu,\"duration\":%lld",
	        (unsigned long long)s->received_bytes, (unsigned long long)s->sent_bytes, (long long)ms);
	put_json_field(b, "method", l->method);
	put_json_field(b, "path", l->path);
	put_json_field(b, "authority", l->authority);
	put_json_field(b, "x_forwarded_for", l->forwarded_for);
	put_json_field(b, "user_agent", l->user_agent);
	put_json_field(b, "request_id", l->request_id);
	put_json_field(b, "route_name", l->route);
	put_json_field(b, "upstream_cluster", l->cluster);
	put_json_field(b, "upstream_host", l->upstream);
	sl_buf_c(b, "}\n");
}

void sl_access_log_add(struct sl_downstream *d)
{
	struct sl_worker *w = d->worker;
	struct sl_buf *b = &w->log.lines;
	struct line l;
	char at[40];
	int64_t ms = (w->loop.now - d->s.started) / SL_MSEC(1);

	if (sl_buf_size(b) > HELD_BYTES_MOST) {
		SL_STAT_ADD(w->stats->access_log_dropped_total, 1);
		return;
	}
	l = line_of(d);
	put_time(at, d->s.started + w->loop.real_shift);
	if (w->log.json)
		put_json(b, &d->s, &l, at, ms);
	else
		put_text(b, &d->s, &l, at, ms);
	SL_STAT_ADD(w->stats->access_log_lines_total, 1);
	if (sl_buf_size(b) >= BATCH_BYTES)
		flush(w);
	else if (!sl_timer_armed(&w->log.flush))
		sl_timer_in(&w->loop, &w->log.flush, SL_MSEC(FLUSH_MS));
}
