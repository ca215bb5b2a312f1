#include "proxy/stats.h"

#include "base/buf.h"

#include <stdio.h>

/*
 * The workers' counts, summed, as text. A reader may be a moment behind a writer; a histogram's count is therefore the sum of the
 * buckets read, so that it and its buckets always agree.
 */

/* A destination and outcome, over all workers. */
struct merged {
	struct sl_map_node node;
	struct merged *next;
	const struct sl_dest_labels *labels;
	uint16_t status;
	uint8_t flag;
	bool tcp;
	uint64_t requests;
	struct sl_stat_histogram duration, request_bytes, response_bytes;
	uint64_t tcp_opened, tcp_closed, tcp_sent, tcp_received;
};

struct text {
	const struct sl_stats_text *how;
	struct sl_buf *out;
	struct sl_arena arena;
	struct sl_map by_key;
	struct merged *first, **end;
};

static bool wanted(const struct text *t, const char *family)
{
	return !t->how->filter.len || sl_str_contains(sl_str_c(family), t->how->filter);
}

/* ---- merging ---- */

static struct merged *merged_get(
        struct text *t, const struct sl_dest *d, uint16_t status, uint8_t flag, bool tcp)
{
	char key[2200];
	size_t n = d->node.key.len < 2048 ? d->node.key.len : 2048;
	struct sl_map_node *node;
	struct merged *m;

	memcpy(key, d->node.key.p, n);
	n += (size_t)snprintf(key + n, sizeof(key) - n, "%u/%u/%d", status, flag, tcp);
	node = sl_map_get(&t->by_key, sl_str_n(key, n));
	if (node)
		return SL_MAP_ENTRY(node, struct merged, node);
	m = sl_arena_zalloc(&t->arena, sizeof(*m));
	m->labels = &d->labels;
	m->status = status;
	m->flag = flag;
	m->tcp = tcp;
	sl_map_put(&t->by_key, &m->node, sl_arena_str(&t->arena, sl_str_n(key, n)));
	*t->end = m;
	t->end = &m->next;
	return m;
}

static void add_histogram(struct sl_stat_histogram *to, const struct sl_stat_histogram *from)
{
	for (size_t i = 0; i < SL_STAT_BUCKETS; i++)
		to->buckets[i] += SL_STAT_GET(from->buckets[i]);
	to->sum += SL_STAT_GET(from->sum);
}

static void merge_dest(struct text *t, const struct sl_dest *d)
{
	struct merged *m;
	uint64_t opened = SL_STAT_GET(d->tcp_opened);

	for (struct sl_series *x = __atomic_load_n(&d->series, __ATOMIC_ACQUIRE); x; x = x->next) {
		m = merged_get(t, d, x->status, x->flag, false);
		m->requests += SL_STAT_GET(x->requests);
		add_histogram(&m->duration, &x->duration);
		add_histogram(&m->request_bytes, &x->request_bytes);
		add_histogram(&m->response_bytes, &x->response_bytes);
	}
	if (!opened)
		return;
	m = merged_get(t, d, 0, 0, true);
	m->tcp_opened += opened;
	m->tcp_closed += SL_STAT_GET(d->tcp_closed);
	m->tcp_sent += SL_STAT_GET(d->tcp_sent_bytes);
	m->tcp_received += SL_STAT_GET(d->tcp_received_bytes);
}

/* ---- labels ---- */

static void label(struct sl_buf *out, const char *name, sl_str value)
{
	if (out->p[out->len - 1] != '{')
		sl_buf_byte(out, ',');
	sl_buf_c(out, name);
	sl_buf_c(out, "=\"");
	for (size_t i = 0; i < value.len; i++) {
		char c = value.p[i];

		if (c == '"' || c == '\\')
			sl_buf_byte(out, '\\');
		if (c == '\n')
			sl_buf_c(out, "\\n");
		else
			sl_buf_byte(out, c);
	}
	sl_buf_byte(out, '"');
}

static void label_known(struct sl_buf *out, const char *name, sl_str value)
{
	label(out, name, value.len ? value : SL_STR("unknown"));
}

static void istio_labels(struct sl_buf *out, const struct merged *m, bool destination)
{
	const struct sl_dest_labels *l = m->labels;
	char status[8];

	label(out, "reporter", destination ? SL_STR("destination") : SL_STR("source"));
	label(out, "source_workload", SL_STR("unknown"));
	label(out, "source_canonical_service", SL_STR("unknown"));
	label(out, "source_canonical_revision", SL_STR("latest"));
	label(out, "source_workload_namespace", SL_STR("unknown"));
	label(out, "source_principal", SL_STR("unknown"));
	label(out, "source_app", SL_STR("unknown"));
	label(out, "source_version", SL_STR("unknown"));
	label(out, "source_cluster", SL_STR("unknown"));
	label_known(out, "destination_workload", l->workload);
	label_known(out, "destination_workload_namespace", l->workload_namespace);
	label(out, "destination_principal", SL_STR("unknown"));
	label_known(out, "destination_app", l->app);
	label_known(out, "destination_version", l->version);
	label_known(out, "destination_service", l->service_host);
	label_known(out, "destination_canonical_service", l->app.len ? l->app : l->workload);
	label(out, "destination_canonical_revision", l->version.len ? l->version : SL_STR("latest"));
	label_known(out, "destination_service_name", l->service_name);
	label_known(out, "destination_service_namespace", l->service_namespace);
	label(out, "destination_cluster", SL_STR("unknown"));
	label(out, "request_protocol", m->tcp ? SL_STR("tcp") : SL_STR("http"));
	if (!m->tcp) {
		snprintf(status, sizeof(status), "%u", m->status);
		label(out, "response_code", sl_str_c(status));
		label(out, "grpc_response_status", SL_STR_NONE);
	}
	label(out, "response_flags", sl_str_c(sl_flag_text((enum sl_flag)m->flag)));
	label(out, "connection_security_policy", destination ? SL_STR("none") : SL_STR("unknown"));
}

/* ---- families ---- */

static void family(struct sl_buf *out, const char *name, const char *type, const char *help)
{
	sl_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Once as it is, and outbound traffic once more as its destination would tell it. */
static void each_reporter(struct text *t, const struct merged *m,
        void (*fn)(struct text *t, const struct merged *m, bool destination, const void *arg),
        const void *arg)
{
	fn(t, m, m->labels->inbound, arg);
	if (t->how->both_reporters && !m->labels->inbound && m->labels->cluster.len)
		fn(t, m, true, arg);
}

struct counter_of {
	const char *name, *help;
	size_t at; /* of a uint64_t in struct merged */
	bool tcp;
};

static void put_counter(struct text *t, const struct merged *m, bool destination, const void *arg)
{
	const struct counter_of *c = arg;
	uint64_t value;

	memcpy(&value, (const char *)m + c->at, sizeof(value));
	sl_buf_printf(t->out, "%s{", c->name);
	istio_labels(t->out, m, destination);
	sl_buf_printf(t->out, "} %llu\n", (unsigned long long)value);
}

struct histogram_of {
	const char *name, *help;
	size_t at;
	double unit; /* of the sum */
};

static void put_histogram(struct text *t, const struct merged *m, bool destination, const void *arg)
{
	const struct histogram_of *h = arg;
	const struct sl_stat_histogram *x = (const void *)((const char *)m + h->at);
	uint64_t count = 0;
	size_t labels_at;
	char labels[2048];

	sl_buf_printf(t->out, "%s_sum{", h->name);
	labels_at = t->out->len;
	istio_labels(t->out, m, destination);
	sl_str_copy(labels, sizeof(labels), sl_str_n(t->out->p + labels_at, t->out->len - labels_at));
	sl_buf_printf(t->out, "} %.9g\n", (double)x->sum / h->unit);
	for (size_t i = 0; i < SL_STAT_BUCKETS; i++) {
		count += x->buckets[i];
		if (i < SL_STAT_BUCKETS - 1)
			sl_buf_printf(t->out, "%s_bucket{%s,le=\"%g\"} %llu\n", h->name, labels,
			        sl_stat_bounds[i], (unsigned long long)count);
	}
	sl_buf_printf(t->out, "%s_bucket{%s,le=\"+Inf\"} %llu\n", h->name, labels, (unsigned long long)count);
	sl_buf_printf(t->out, "%s_count{%s} %llu\n", h->name, labels, (unsigned long long)count);
}

static void istio_families(struct text *t)
{
	static const struct counter_of counters[] = {
		{ "istio_requests_total", "requests", offsetof(struct merged, requests), false },
		{ "istio_tcp_connections_opened_total", "TCP connections opened",
		        offsetof(struct merged, tcp_opened), true },
		{ "istio_tcp_connections_closed_total", "TCP connections closed",
		        offsetof(struct merged, tcp_closed), true },
		{ "istio_tcp_sent_bytes_total", "bytes sent to TCP clients",
		        offsetof(struct merged, tcp_sent), true },
		{ "istio_tcp_received_bytes_total", "bytes received from TCP clients",
		        offsetof(struct merged, tcp_received), true },
	};
	static const struct histogram_of histograms[] = {
		{ "istio_request_duration_milliseconds", "from a request's head to the end of its response",
		        offsetof(struct merged, duration), 1e6 },
		{ "istio_request_bytes", "request bodies", offsetof(struct merged, request_bytes), 1 },
		{ "istio_response_bytes", "response bodies", offsetof(struct merged, response_bytes), 1 },
	};

	for (size_t i = 0; i < SL_ARRAY_COUNT(counters); i++) {
		if (!wanted(t, counters[i].name))
			continue;
		family(t->out, counters[i].name, "counter", counters[i].help);
		for (struct merged *m = t->first; m; m = m->next)
			if (m->tcp == counters[i].tcp)
				each_reporter(t, m, put_counter, &counters[i]);
	}
	for (size_t i = 0; i < SL_ARRAY_COUNT(histograms); i++) {
		if (!wanted(t, histograms[i].name))
			continue;
		family(t->out, histograms[i].name, "histogram", histograms[i].help);
		for (struct merged *m = t->first; m; m = m->next)
			if (!m->tcp)
				each_reporter(t, m, put_histogram, &histograms[i]);
	}
}

/* ---- ours ---- */

static void worker_families(struct text *t)
{
#define SL_COUNTER_(name, help_)                                                                    \
	if (wanted(t, "sluice_" #name)) {                                                           \
		bool gauge_ = strcmp(#name, "snapshot_epoch") == 0;                                 \
		uint64_t value_ = gauge_ ? UINT64_MAX : 0;                                          \
		for (size_t i = 0; i < t->how->worker_count; i++) {                                 \
			uint64_t one_ = SL_STAT_GET(t->how->workers[i]->name);                      \
			value_ = !gauge_         ? value_ + one_                                    \
			         : one_ < value_ ? one_                                             \
			                         : value_; /* of the slowest */                     \
		}                                                                                   \
		family(t->out, "sluice_" #name,                                                     \
		        sl_str_ends(SL_STR(#name), SL_STR("_total")) ? "counter" : "gauge", help_); \
		sl_buf_printf(t->out, "sluice_" #name " %llu\n", (unsigned long long)value_);       \
	}
	SL_WORKER_COUNTERS(SL_COUNTER_)
#undef SL_COUNTER_
}

struct field_of {
	const char *name, *type, *help;
	size_t at;
	bool wide; /* uint64_t; else uint32_t */
	bool most; /* the largest over the workers, where a sum would mean nothing */
};

static uint64_t field_get(const void *object, const struct field_of *f)
{
	const char *p = (const char *)object + f->at;

	if (f->wide)
		return SL_STAT_GET(*(const uint64_t *)(const void *)p);
	return SL_STAT_GET(*(const uint32_t *)(const void *)p);
}

static void field_add(uint64_t *to, const void *object, const struct field_of *f)
{
	uint64_t one = field_get(object, f);

	if (!f->most)
		*to += one;
	else if (one > *to)
		*to = one;
}

struct sum_of { /* a cluster or a split target, over all workers */
	struct sl_map_node node;
	struct sum_of *next;
	const void *objects[1]; /* one of each worker that has it */
};

static struct sum_of *sum_get(struct text *t, struct sl_map *map, struct sum_of **first, sl_str key)
{
	struct sl_map_node *node = sl_map_get(map, key);
	struct sum_of *s;

	if (node)
		return SL_MAP_ENTRY(node, struct sum_of, node);
	s = sl_arena_zalloc(&t->arena, sizeof(*s) + t->how->worker_count * sizeof(void *));
	s->next = *first;
	*first = s;
	sl_map_put(map, &s->node, key);
	return s;
}

static void sum_add(struct sum_of *s, const void *object)
{
	size_t i = 0;

	while (s->objects[i])
		i++;
	s->objects[i] = object;
}

static void sum_family(struct text *t, const struct field_of *f, const struct sum_of *first,
        void (*labels)(struct sl_buf *out, const void *object))
{
	if (!wanted(t, f->name))
		return;
	family(t->out, f->name, f->type, f->help);
	for (const struct sum_of *s = first; s; s = s->next) {
		uint64_t value = 0;
		size_t i = 0;

		do /* there is one at least */
			field_add(&value, s->objects[i], f);
		while (s->objects[++i]);
		sl_buf_printf(t->out, "%s{", f->name);
		labels(t->out, s->objects[0]);
		sl_buf_printf(t->out, "} %llu\n", (unsigned long long)value);
	}
}

static void cluster_labels(struct sl_buf *out, const void *object)
{
	label(out, "cluster", ((const struct sl_cluster_stats *)object)->name);
}

static void cluster_families(struct text *t)
{
#define ROW(name_, type_, field_, wide_, most_, help_)                                        \
	{                                                                                     \
		.name = name_, .type = type_, .help = help_,                                  \
		.at = offsetof(struct sl_cluster_stats, field_), .wide = wide_, .most = most_ \
	}
	static const struct field_of fields[] = {
		ROW("sluice_cluster_attempts_total", "counter", issued, true, false,
		        "requests sent or tried, retries included"),
		ROW("sluice_cluster_attempts_ok_total", "counter", ok, true, false,
		        "attempts that ended well"),
		ROW("sluice_cluster_attempts_failed_total", "counter", error, true, false,
		        "attempts that failed"),
		ROW("sluice_cluster_dropped_total", "counter", dropped, true, false,
		        "refused here: no endpoint, or a circuit breaker"),
		ROW("sluice_cluster_overflows_total", "counter", overflows, true, false,
		        "refused by a circuit breaker"),
		ROW("sluice_cluster_judged_total", "counter", judged, true, false,
		        "first attempts that ended, for the judge"),
		ROW("sluice_cluster_events_total", "counter", events, true, false,
		        "failures among them, once per connection and second"),
		ROW("sluice_cluster_retries_total", "counter", retries, true, false,
		        "attempts beyond the first"),
		ROW("sluice_cluster_connect_failures_total", "counter", connect_failures, true, false,
		        "connections that could not be opened"),
		ROW("sluice_cluster_connections_total", "counter", connections_opened, true, false,
		        "connections opened"),
		ROW("sluice_cluster_in_flight", "gauge", in_flight, false, false, "requests in progress now"),
		ROW("sluice_cluster_connections_active", "gauge", connections, false, false,
		        "connections open now"),
		ROW("sluice_cluster_connections_idle", "gauge", idle, false, false, "of those, pooled"),
		ROW("sluice_cluster_waiting", "gauge", waiting, false, false,
		        "requests waiting for a connection"),
		ROW("sluice_cluster_endpoints", "gauge", endpoints, false, true, "endpoints known"),
		ROW("sluice_cluster_endpoints_ready", "gauge", endpoints_ready, false, true,
		        "endpoints that take requests"),
		ROW("sluice_guard_tripped", "gauge", guard, false, true,
		        "why a worker's guard took the share away; 0: it did not"),
	};
#undef ROW
	struct sl_map map = { 0 };
	struct sum_of *first = NULL;

	for (size_t i = 0; i < t->how->worker_count; i++)
		for (struct sl_cluster_stats *c =
		                __atomic_load_n(&t->how->workers[i]->clusters, __ATOMIC_ACQUIRE);
		        c; c = c->next)
			sum_add(sum_get(t, &map, &first, c->name), c);
	for (size_t i = 0; i < SL_ARRAY_COUNT(fields); i++)
		sum_family(t, &fields[i], first, cluster_labels);
	sl_map_fini(&map);
}

static void split_labels(struct sl_buf *out, const void *object)
{
	const struct sl_split_stats *s = object;

	label(out, "route_config", s->config);
	label(out, "virtual_host", s->host);
	label(out, "route", s->route);
	label(out, "cluster", s->cluster);
}

static void split_families(struct text *t)
{
#define ROW(name_, type_, field_, wide_, most_, help_)                                                      \
	{                                                                                                   \
		.name = name_, .type = type_, .help = help_, .at = offsetof(struct sl_split_stats, field_), \
		.wide = wide_, .most = most_                                                                \
	}
	static const struct field_of fields[] = {
		ROW("sluice_split_requests_total", "counter", picked, true, false,
		        "requests the split gave to this target"),
		ROW("sluice_split_moved_total", "counter", moved, true, false,
		        "of those, sent to the fallback by a tripped guard"),
		ROW("sluice_split_weight", "gauge", weight, false, true, "weight of this target now"),
		ROW("sluice_split_total_weight", "gauge", total_weight, false, true,
		        "total weight of its route now"),
	};
#undef ROW
	struct sl_map map = { 0 };
	struct sum_of *first = NULL;

	for (size_t i = 0; i < t->how->worker_count; i++)
		for (struct sl_split_stats *s =
		                __atomic_load_n(&t->how->workers[i]->splits, __ATOMIC_ACQUIRE);
		        s; s = s->next)
			sum_add(sum_get(t, &map, &first, s->node.key), s);
	for (size_t i = 0; i < SL_ARRAY_COUNT(fields); i++)
		sum_family(t, &fields[i], first, split_labels);
	sl_map_fini(&map);
}

void sl_stats_prometheus(const struct sl_stats_text *how, struct sl_buf *out)
{
	struct text t = { .how = how, .out = out };

	t.end = &t.first;
	for (size_t i = 0; i < how->worker_count; i++)
		for (struct sl_dest *d = __atomic_load_n(&how->workers[i]->dests, __ATOMIC_ACQUIRE); d;
		        d = d->next)
			merge_dest(&t, d);
	istio_families(&t);
	worker_families(&t);
	cluster_families(&t);
	split_families(&t);
	sl_map_fini(&t.by_key);
	sl_arena_fini(&t.arena);
}
