#include "xds/lrs.h"
#include "xds/pb_priv.h"
#include "xds/types.h"

static const sl_nsec least_interval = SL_MSEC(10);

/* ---- reports ---- */

static pb_metric_stats **encode_metrics(
        struct sl_arena *a, const struct sl_load_metric *metrics, size_t count)
{
	pb_metric_stats **list = sl_arena_zalloc_array(a, count, sizeof(*list));

	for (size_t i = 0; i < count; i++) {
		list[i] = pb_new_metric_stats(a);
		list[i]->metric_name = sl_pb_str(a, metrics[i].name);
		list[i]->num_requests_finished_with_metric = metrics[i].count;
		list[i]->total_metric_value = metrics[i].total;
	}
	return list;
}

static pb_endpoint_stats *encode_endpoint(struct sl_arena *a, const struct sl_load_endpoint *e)
{
	pb_endpoint_stats *m = pb_new_endpoint_stats(a);
	pb_socket_address *socket = pb_new_socket_address(a);

	socket->address = sl_pb_str(a, e->address);
	socket->port_specifier_case = PB_CORE(SOCKET_ADDRESS__PORT_SPECIFIER_PORT_VALUE);
	socket->port_value = e->port;
	m->address = pb_new_address(a);
	m->address->address_case = PB_CORE(ADDRESS__ADDRESS_SOCKET_ADDRESS);
	m->address->socket_address = socket;
	m->total_issued_requests = e->issued;
	m->total_successful_requests = e->ok;
	m->total_error_requests = e->error;
	m->total_requests_in_progress = e->in_flight;
	m->n_load_metric_stats = e->metric_count;
	m->load_metric_stats = encode_metrics(a, e->metrics, e->metric_count);
	return m;
}

static pb_cluster_stats *encode_cluster(struct sl_arena *a, const struct sl_load_cluster *c, sl_nsec interval)
{
	pb_cluster_stats *m = pb_new_cluster_stats(a);
	pb_locality_stats *all = pb_new_locality_stats(a);

	all->locality = pb_new_locality(a);
	all->total_issued_requests = c->issued;
	all->total_successful_requests = c->ok;
	all->total_error_requests = c->error;
	all->total_requests_in_progress = c->in_flight;
	all->n_load_metric_stats = c->metric_count;
	all->load_metric_stats = encode_metrics(a, c->metrics, c->metric_count);
	all->upstream_endpoint_stats =
	        sl_arena_zalloc_array(a, c->endpoint_count, sizeof(*all->upstream_endpoint_stats));
	for (size_t i = 0; i < c->endpoint_count; i++)
		all->upstream_endpoint_stats[all->n_upstream_endpoint_stats++] =
		        encode_endpoint(a, &c->endpoints[i]);
	m->cluster_name = sl_pb_str(a, c->cluster);
	m->total_dropped_requests = c->dropped;
	m->load_report_interval = sl_pb_duration(a, interval);
	m->n_upstream_locality_stats = 1;
	m->upstream_locality_stats = sl_arena_zalloc_array(a, 1, sizeof(all));
	m->upstream_locality_stats[0] = all;
	return m;
}

void sl_load_report_encode(const struct sl_load_report *report, sl_str node, struct sl_buf *out)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena a = { 0 };
	pb_load_request *m = pb_new_load_request(&a);

	if (node.len) {
		m->node = pb_new_node(&a);
		m->node->id = sl_pb_str(&a, node);
		m->node->user_agent_name = sl_pb_str(&a, SL_STR(SL_XDS_CLIENT_AGENT));
	}
	m->cluster_stats = sl_arena_zalloc_array(&a, report->cluster_count, sizeof(*m->cluster_stats));
	for (size_t i = 0; i < report->cluster_count; i++)
		m->cluster_stats[m->n_cluster_stats++] =
		        encode_cluster(&a, &report->clusters[i], report->interval);
	sl_pb_pack(&m->base, out);
}

static struct sl_load_metric *decode_metrics(struct sl_arena *a, pb_metric_stats *const *list, size_t count)
{
	struct sl_load_metric *metrics = count ? sl_arena_zalloc_array(a, count, sizeof(*metrics)) : NULL;

	for (size_t i = 0; i < count; i++) {
		metrics[i].name = sl_arena_str_c(a, list[i]->metric_name);
		metrics[i].count = list[i]->num_requests_finished_with_metric;
		metrics[i].total = list[i]->total_metric_value;
	}
	return metrics;
}

static void decode_endpoint(struct sl_arena *a, const pb_endpoint_stats *m, struct sl_load_endpoint *e)
{
	if (m->address && m->address->address_case == PB_CORE(ADDRESS__ADDRESS_SOCKET_ADDRESS) &&
	        m->address->socket_address) {
		const pb_socket_address *socket = m->address->socket_address;

		e->address = sl_arena_str_c(a, socket->address);
		if (socket->port_specifier_case == PB_CORE(SOCKET_ADDRESS__PORT_SPECIFIER_PORT_VALUE))
			e->port = socket->port_value;
	}
	e->issued = m->total_issued_requests;
	e->ok = m->total_successful_requests;
	e->error = m->total_error_requests;
	e->in_flight = m->total_requests_in_progress;
	e->metric_count = m->n_load_metric_stats;
	e->metrics = decode_metrics(a, m->load_metric_stats, m->n_load_metric_stats);
}

/* Adds one locality's metrics to the cluster's, by name. */
static void fold_metrics(struct sl_arena *a, struct sl_load_cluster *c, const pb_locality_stats *m)
{
	size_t count = c->metric_count + m->n_load_metric_stats;
	struct sl_load_metric *all;

	if (!count)
		return;
	all = sl_arena_zalloc_array(a, count, sizeof(*all));
	if (c->metric_count)
		memcpy(all, c->metrics, c->metric_count * sizeof(*all));
	c->metrics = all;
	for (size_t i = 0; i < m->n_load_metric_stats; i++) {
		const pb_metric_stats *in = m->load_metric_stats[i];
		struct sl_load_metric *metric = all;

		while (metric < all + c->metric_count && !sl_str_eq_c(metric->name, in->metric_name))
			metric++;
		if (metric == all + c->metric_count) {
			metric->name = sl_arena_str_c(a, in->metric_name);
			c->metric_count++;
		}
		metric->count += in->num_requests_finished_with_metric;
		metric->total += in->total_metric_value;
	}
}

static void decode_cluster(struct sl_arena *a, const pb_cluster_stats *m, struct sl_load_cluster *c)
{
	size_t count = 0;

	c->cluster = sl_arena_str_c(a, m->cluster_name);
	c->dropped = m->total_dropped_requests;
	for (size_t i = 0; i < m->n_upstream_locality_stats; i++)
		count += m->upstream_locality_stats[i]->n_upstream_endpoint_stats;
	c->endpoints = count ? sl_arena_zalloc_array(a, count, sizeof(*c->endpoints)) : NULL;
	for (size_t i = 0; i < m->n_upstream_locality_stats; i++) {
		const pb_locality_stats *l = m->upstream_locality_stats[i];

		c->issued += l->total_issued_requests;
		c->ok += l->total_successful_requests;
		c->error += l->total_error_requests;
		c->in_flight += l->total_requests_in_progress;
		fold_metrics(a, c, l);
		for (size_t k = 0; k < l->n_upstream_endpoint_stats && c->endpoint_count < count; k++)
			decode_endpoint(a, l->upstream_endpoint_stats[k], &c->endpoints[c->endpoint_count++]);
	}
}

sl_err sl_load_report_decode(sl_str message, struct sl_arena *arena, struct sl_load_report *ret_report)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena scratch = { 0 };
	const pb_load_request *m = pb_read_load_request(&scratch, message);
	struct sl_load_report report = { 0 };

	if (!m)
		return SL_ERR_MALFORMED;
	if (m->node)
		report.node = sl_arena_str_c(arena, m->node->id);
	if (m->n_cluster_stats)
		report.clusters = sl_arena_zalloc_array(arena, m->n_cluster_stats, sizeof(*report.clusters));
	for (size_t i = 0; i < m->n_cluster_stats; i++) {
		const pb_duration *interval = m->cluster_stats[i]->load_report_interval;

		if (interval && sl_pb_duration_read(interval, &report.interval) != SL_OK)
			return SL_ERR_MALFORMED;
		decode_cluster(arena, m->cluster_stats[i], &report.clusters[report.cluster_count++]);
	}
	*ret_report = report;
	return SL_OK;
}

/* ---- wishes ---- */

void sl_load_wish_encode(const struct sl_load_wish *wish, struct sl_buf *out)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena a = { 0 };
	pb_load_response *m = pb_new_load_response(&a);

	m->load_reporting_interval = sl_pb_duration(&a, wish->interval);
	m->report_endpoint_granularity = wish->endpoints;
	m->send_all_clusters = wish->all_clusters;
	m->clusters = sl_arena_zalloc_array(&a, wish->cluster_count, sizeof(*m->clusters));
	for (size_t i = 0; i < wish->cluster_count; i++)
		m->clusters[m->n_clusters++] = sl_pb_str(&a, wish->clusters[i]);
	sl_pb_pack(&m->base, out);
}

sl_err sl_load_wish_decode(sl_str message, struct sl_arena *arena, struct sl_load_wish *ret_wish)
{
	SL_CLEANUP(sl_arena_fini) struct sl_arena scratch = { 0 };
	const pb_load_response *m = pb_read_load_response(&scratch, message);
	struct sl_load_wish wish = { 0 };

	if (!m || (m->load_reporting_interval &&
	                  sl_pb_duration_read(m->load_reporting_interval, &wish.interval) != SL_OK))
		return SL_ERR_MALFORMED;
	if (wish.interval < least_interval)
		wish.interval = least_interval;
	wish.endpoints = m->report_endpoint_granularity;
	wish.all_clusters = m->send_all_clusters;
	wish.clusters =
	        m->n_clusters ? sl_arena_zalloc_array(arena, m->n_clusters, sizeof(*wish.clusters)) : NULL;
	for (size_t i = 0; i < m->n_clusters; i++)
		wish.clusters[wish.cluster_count++] = sl_arena_str_c(arena, m->clusters[i]);
	*ret_wish = wish;
	return SL_OK;
}

const struct sl_load_metric *sl_load_metric_find(
        const struct sl_load_metric *metrics, size_t count, sl_str name)
{
	for (size_t i = 0; i < count; i++)
		if (sl_str_eq(metrics[i].name, name))
			return &metrics[i];
	return NULL;
}
