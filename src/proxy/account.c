#include "proxy/worker_priv.h"

#include "base/log.h"

/* ---- the judge and the guard ---- */

static void trip(struct sl_worker *w, struct sl_cluster *c)
{
	uint32_t armed = 0;

	SL_STAT_SET(c->stats->guard, (uint32_t)c->guard->reason);
	if (!c->trip || c->trip->generation != c->guard->generation)
		return;
	if (__atomic_load_n(&c->trip->tripped, __ATOMIC_RELAXED))
		return;
	__atomic_store_n(&c->trip->tripped_at, sl_loop_real(&w->loop), __ATOMIC_RELAXED);
	/* From here on every worker's next request, and every retry, goes to the fallback. */
	if (__atomic_compare_exchange_n(&c->trip->tripped, &armed, (uint32_t)c->guard->reason, false,
	            __ATOMIC_ACQ_REL, __ATOMIC_RELAXED) &&
	        w->on_trip)
		w->on_trip(w, c->trip);
}

/* Names a burst of a source connection; never 0. */
static uint64_t burst_name(const struct sl_downstream *d)
{
	return d->serial << 20 | (d->burst.count & 0xfffff);
}

void sl_account_attempt(struct sl_downstream *d, enum sl_guard_outcome outcome)
{
	struct sl_stream *s = &d->s;
	struct sl_cluster *c = s->cluster;
	sl_nsec now = d->worker->loop.now;
	bool event;

	if (s->judged || s->tcp)
		return;
	s->judged = true;
	event = SL_UNLIKELY(outcome != SL_GUARD_OK) && sl_burst_begins(&d->burst, now);
	SL_STAT_ADD(c->stats->judged, 1);
	if (event)
		SL_STAT_ADD(c->stats->events, 1);
	if (c->guard) {
		sl_guard_canary(c->guard, outcome, now, outcome == SL_GUARD_OK ? 0 : burst_name(d));
		if (SL_UNLIKELY(c->guard->tripped))
			trip(d->worker, c);
	}
	for (uint32_t i = 0; i < c->compared_count; i++)
		sl_guard_stable(c->compared[i]->guard, event);
}

void sl_account_tick(struct sl_worker *w)
{
	SL_MAP_FOR (node, &w->clusters) {
		struct sl_cluster *c = SL_MAP_ENTRY(node, struct sl_cluster, node);

		if (!c->guard)
			continue;
		sl_guard_tick(c->guard, w->loop.now);
		if (c->guard->tripped)
			trip(w, c);
	}
}

/* ---- metrics ---- */

/* Where no endpoint was chosen: as much of the labels as is known. */
static struct sl_dest *dest_unknown(struct sl_downstream *d, bool inbound)
{
	const struct sl_stream *s = &d->s;
	struct sl_dest_labels labels = { .inbound = inbound };

	if (s->cluster) {
		uint32_t index = sl_tables_cluster(s->view->tables, s->cluster->node.key);
		const struct sl_mesh_cluster *m =
		        index == SL_TABLE_NONE ? NULL : &s->view->tables->mesh->clusters[index];

		labels.cluster = s->cluster->node.key;
		if (m) {
			labels.service_host = m->service_host;
			labels.service_name = m->service_name;
			labels.service_namespace = m->service_namespace;
		}
	}
	return sl_stats_dest(d->worker->stats, &labels);
}

void sl_account_stream(struct sl_downstream *d)
{
	struct sl_worker *w = d->worker;
	struct sl_stream *s = &d->s;
	bool inbound = s->view->tables->listeners[d->listener->index].mesh->direction == SL_TRAFFIC_INBOUND;
	struct sl_dest *dest =
	        SL_LIKELY(s->endpoint != NULL) ? s->endpoint->dest[inbound] : dest_unknown(d, inbound);
	struct sl_series *x;

	if (SL_UNLIKELY(s->tcp)) {
		SL_STAT_ADD(dest->tcp_opened, 1);
		SL_STAT_ADD(dest->tcp_closed, 1);
		SL_STAT_ADD(dest->tcp_received_bytes, s->received_bytes);
		SL_STAT_ADD(dest->tcp_sent_bytes, s->sent_bytes);
		return;
	}
	x = sl_dest_series(w->stats, dest, s->status, (enum sl_flag)s->flag);
	SL_STAT_ADD(x->requests, 1);
	sl_stat_duration(&x->duration, w->loop.now - s->started);
	sl_stat_bytes(&x->request_bytes, s->received_bytes);
	sl_stat_bytes(&x->response_bytes, s->sent_bytes);
}
