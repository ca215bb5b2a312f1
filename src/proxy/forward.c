#include "proxy/worker_priv.h"

#include "proto/uri.h"

#include <time.h>

enum {
	ADDED_BYTES_MOST =
	        512 /* what we add to a head beside the route's own operations and the client's own bytes */
};

#define PUT_LIT(o, lit) put_bytes((o), "" lit, sizeof(lit) - 1)

static inline char *put_bytes(char *o, const char *p, size_t n)
{
	memcpy(o, p, n);
	return o + n;
}

static inline char *put_str(char *o, sl_str s)
{
	return s.len ? put_bytes(o, s.p, s.len) : o;
}

static inline char *put_field(char *o, sl_str name, sl_str value)
{
	o = put_str(o, name);
	o = PUT_LIT(o, ": ");
	o = put_str(o, value);
	return PUT_LIT(o, "\r\n");
}

/* ---- the route's header operations ---- */

/* Those of the route and of the split target, in this order. */
struct ops {
	const struct sl_mesh_header_op *list[2];
	size_t count[2];
};

static size_t ops_bytes(const struct ops *ops)
{
	size_t n = 0;

	for (size_t l = 0; l < 2; l++)
		for (size_t i = 0; i < ops->count[l]; i++)
			n += ops->list[l][i].name.len + ops->list[l][i].value.len + 4;
	return n;
}

static bool ops_drop(const struct ops *ops, sl_str name)
{
	for (size_t l = 0; l < 2; l++)
		for (size_t i = 0; i < ops->count[l]; i++)
			if (ops->list[l][i].kind != SL_HEADER_ADD &&
			        sl_str_eq_nocase(ops->list[l][i].name, name))
				return true;
	return false;
}

static char *ops_put(char *o, const struct ops *ops)
{
	for (size_t l = 0; l < 2; l++)
		for (size_t i = 0; i < ops->count[l]; i++)
			if (ops->list[l][i].kind != SL_HEADER_REMOVE)
				o = put_field(o, ops->list[l][i].name, ops->list[l][i].value);
	return o;
}

static inline bool ops_any(const struct ops *ops)
{
	return ops->count[0] + ops->count[1] != 0;
}

static struct ops request_ops(const struct sl_stream *s)
{
	const struct sl_mesh_header_ops *route = &s->route->mesh->headers,
	                                *split = &s->route->splits[s->split].mesh->headers;

	return (struct ops) { { route->request, split->request },
		{ route->request_count, split->request_count } };
}

static struct ops response_ops(const struct sl_stream *s)
{
	const struct sl_mesh_header_ops *route = &s->route->mesh->headers,
	                                *split = &s->route->splits[s->split].mesh->headers;

	return (struct ops) { { route->response, split->response },
		{ route->response_count, split->response_count } };
}

/* ---- what routing looks at ---- */

bool sl_forward_route_request(
        struct sl_downstream *d, const struct sl_http1_head *h, struct sl_route_request *ret)
{
	const char *p = d->in->p + d->s.head_at;
	sl_str target = sl_http1_str(p, h->target);
	struct sl_uri uri;

	*ret = (struct sl_route_request) {
		.method = sl_http1_str(p, h->method_at),
		.scheme = SL_STR("http"),
		.authority = sl_http1_str(p, h->authority),
		.head = h,
		.bytes = p,
		.scratch = &d->worker->regex,
	};
	if (SL_LIKELY(h->form == SL_HTTP1_FORM_ORIGIN)) {
		const char *q = memchr(target.p, '?', target.len);

		ret->path = sl_str_n(target.p, q ? (size_t)(q - target.p) : target.len);
		if (q)
			ret->query = sl_str_n(q + 1, target.len - ret->path.len - 1);
	} else if (h->form == SL_HTTP1_FORM_ABSOLUTE) {
		if (sl_uri_split(target, &uri) != SL_OK)
			return false;
		ret->path = uri.path;
		if (uri.has_query)
			ret->query = uri.query.p ? uri.query : SL_STR("");
		d->s.target_changed = true; /* the upstream gets origin-form */
	} else {
		ret->path = target; /* "*", or CONNECT's authority: nothing to normalise */
		return true;
	}
	if (SL_UNLIKELY(!sl_path_is_normal(ret->path))) {
		struct sl_buf *b = &d->worker->path;
		size_t len;

		sl_buf_clear(b);
		if (sl_path_normalise(sl_buf_reserve(b, ret->path.len + 1), ret->path, &len) != SL_OK)
			return false;
		ret->path = sl_str_n(b->p, len);
		d->s.target_changed = true;
	}
	return true;
}

/* ---- requests ---- */

static void make_request_id(struct sl_worker *w, char out[SL_REQUEST_ID_BYTES])
{
	static const char hex[] = "0123456789abcdef";
	/* 8-4-4-4-12 digits; RFC 9562 version 4, variant 10. */
	uint64_t a = (sl_prng_next(&w->prng) & ~0xf000ull) | 0x4000u;
	uint64_t b = (sl_prng_next(&w->prng) & ~(3ull << 62)) | (1ull << 63);
	char *o = out;

	for (int i = 0; i < 16; i++) {
		if (i == 8 || i == 12)
			*o++ = '-';
		*o++ = hex[(a >> (60 - 4 * i)) & 15];
	}
	for (int i = 0; i < 16; i++) {
		if (i == 0 || i == 4)
			*o++ = '-';
		*o++ = hex[(b >> (60 - 4 * i)) & 15];
	}
}

static bool starts_nocase(sl_str s, const char *prefix, size_t len)
{
	return s.len >= len && sl_str_eq_nocase(sl_str_first(s, len), sl_str_n(prefix, len));
}

/* Fields that mean something inside the mesh, so that nobody outside may set them. */
static bool internal_field(sl_str name)
{
	return starts_nocase(name, "x-envoy-", 8) || starts_nocase(name, "x-sluice-", 9);
}

struct request_build {
	const struct sl_stream *s;
	const struct sl_http1_head *h;
	const char *p;
	struct ops ops;
	bool edge; /* gateway: the client is outside the mesh */
	bool authority;
};

static bool request_drops(const struct request_build *b, size_t i)
{
	const struct sl_http1_field *f = &b->h->fields[i];

	if (SL_UNLIKELY(f->hop)) {
		if (f->id == SL_HDR_TRANSFER_ENCODING)
			return false; /* the chunks go through as they are */
		return !(f->id == SL_HDR_UPGRADE && b->s->upgrade);
	}
	if (b->authority && f->id == SL_HDR_HOST)
		return true;
	if (b->edge && (f->id == SL_HDR_X_FORWARDED_FOR || f->id == SL_HDR_X_FORWARDED_PROTO ||
	                       f->id == SL_HDR_X_FORWARDED_CLIENT_CERT ||
	                       ((f->id == SL_HDR_OTHER || f->id >= SL_HDR_X_ENVOY_TIMEOUT_MS) &&
	                               (b->p[f->name.at] | 0x20) == 'x' &&
	                               internal_field(sl_http1_str(b->p, f->name)))))
		return true;
	return SL_UNLIKELY(ops_any(&b->ops)) && ops_drop(&b->ops, sl_http1_str(b->p, f->name));
}

static char *put_request_line(struct sl_downstream *d, const struct request_build *b, char *o)
{
	const struct sl_http1_head *h = b->h;
	struct sl_route_request rq;
	SL_CLEANUP(sl_buf_fini) struct sl_buf target = { 0 };

	if (SL_LIKELY(!b->s->target_changed && !sl_tables_rewrites_path(b->s->route))) {
		o = put_bytes(o, b->p + h->start_at, h->fields_at - h->start_at);
		o[-3] = '1'; /* we speak HTTP/1.1, whatever the client does */
		return o;
	}
	if (sl_forward_route_request(d, h, &rq)) /* it was fine before */
		sl_tables_rewrite_path(b->s->route, &rq, &target);
	o = put_str(o, rq.method);
	*o++ = ' ';
	o = put_str(o, sl_buf_str(&target));
	return PUT_LIT(o, " HTTP/1.1\r\n");
}

/* All of the client's field lines but those that are dropped, in runs. */
static char *put_request_fields(const struct request_build *b, char *o)
{
	const struct sl_http1_head *h = b->h;
	size_t from = h->fields_at;

	for (size_t i = 0; i < h->field_count; i++) {
		size_t at = h->fields[i].name.at;

		if (SL_LIKELY(!request_drops(b, i)))
			continue;
		o = put_bytes(o, b->p + from, at - from);
		from = i + 1 < h->field_count ? h->fields[i + 1].name.at : h->head_bytes - 2;
	}
	return put_bytes(o, b->p + from, h->head_bytes - 2 - from);
}

/* What the client's X-Forwarded-For lines said, and the client itself. */
static char *put_forwarded_for(struct sl_downstream *d, const struct request_build *b, char *o)
{
	const struct sl_http1_head *h = b->h;

	o = PUT_LIT(o, "x-forwarded-for: ");
	for (size_t i = 0; sl_http1_has(h, SL_HDR_X_FORWARDED_FOR) && i < h->field_count; i++) {
		if (h->fields[i].id != SL_HDR_X_FORWARDED_FOR || !h->fields[i].value.len)
			continue;
		o = put_str(o, sl_http1_value(h, b->p, i));
		o = PUT_LIT(o, ",");
	}
	o = put_str(o, sl_downstream_peer(d));
	return PUT_LIT(o, "\r\n");
}

static char *put_request_added(struct sl_downstream *d, const struct request_build *b, char *o)
{
	const struct sl_http1_head *h = b->h;
	struct sl_stream *s = &d->s;

	if (b->edge)
		o = put_forwarded_for(d, b, o);
	if (b->edge || !sl_http1_has(h, SL_HDR_X_FORWARDED_PROTO))
		o = PUT_LIT(o, "x-forwarded-proto: http\r\n");
	if (!sl_http1_has(h, SL_HDR_X_REQUEST_ID)) {
		if (!s->id_made)
			make_request_id(d->worker, s->request_id);
		s->id_made = true; /* a retry is the same request */
		o = PUT_LIT(o, "x-request-id: ");
		o = put_bytes(o, s->request_id, SL_REQUEST_ID_BYTES);
		o = PUT_LIT(o, "\r\n");
	}
	if (h->te_trailers)
		o = PUT_LIT(o, "te: trailers\r\n");
	if (b->authority)
		o = put_field(o, SL_STR("host"), s->route->mesh->rewrite.authority);
	else if (SL_UNLIKELY(!sl_http1_has(h, SL_HDR_HOST)))
		o = put_field(o, SL_STR("host"),
		        s->cluster->node.key); /* an HTTP/1.0 client need not say; 1.1 must */
	if (s->upgrade)
		o = PUT_LIT(o, "connection: upgrade\r\n");
	return o;
}

void sl_forward_request(struct sl_downstream *d, const struct sl_http1_head *h, struct sl_buf *out)
{
	struct sl_stream *s = &d->s;
	struct request_build b = {
		.s = s,
		.h = h,
		.p = d->in->p + s->head_at,
		.ops = request_ops(s),
		.edge = s->view->tables->listeners[d->listener->index].mesh->direction == SL_TRAFFIC_GATEWAY,
		.authority = s->route->mesh->rewrite.authority.len != 0,
	};
	const struct sl_mesh_rewrite *rewrite = &s->route->mesh->rewrite;
	size_t most =
	        h->head_bytes * 2ul + ADDED_BYTES_MOST + rewrite->authority.len + s->cluster->node.key.len;
	char *start, *o;

	if (SL_UNLIKELY(ops_any(&b.ops)))
		most += ops_bytes(&b.ops);
	if (SL_UNLIKELY(sl_tables_rewrites_path(
	            s->route))) /* a substitution may repeat a group as often as it is long */
		most += rewrite->prefix.len + (rewrite->substitution.len + 1) * (h->target.len + 1ul);
	start = o = sl_buf_reserve(out, most);
	o = put_request_line(d, &b, o);
	o = put_request_fields(&b, o);
	o = put_request_added(d, &b, o);
	if (SL_UNLIKELY(ops_any(&b.ops)))
		o = ops_put(o, &b.ops);
	o = PUT_LIT(o, "\r\n");
	sl_buf_commit(out, (size_t)(o - start));
}

/* ---- responses ---- */

sl_str sl_worker_date(struct sl_worker *w)
{
	int64_t second = sl_loop_real(&w->loop) / SL_SEC(1);
	struct tm tm;
	time_t t = (time_t)second;

	if (SL_UNLIKELY(second != w->date_second)) {
		gmtime_r(&t, &tm);
		w->date_bytes = (uint32_t)strftime(
		        w->date, sizeof(w->date), "date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
		w->date_second = second;
	}
	return sl_str_n(w->date, w->date_bytes);
}

static inline bool response_drops(
        const struct sl_stream *s, const struct sl_http1_head *h, const struct sl_http1_field *f)
{
	if (SL_LIKELY(!f->hop))
		return false;
	if (f->id == SL_HDR_TRANSFER_ENCODING)
		return s->decode;
	return !(f->id == SL_HDR_UPGRADE && h->upgrade);
}

bool sl_forward_response_changes(const struct sl_downstream *d, const struct sl_http1_head *h)
{
	const struct sl_stream *s = &d->s;
	const struct ops ops = response_ops(s);

	if (s->close_after || s->http10 || !h->minor || h->upgrade || h->start_at ||
	        !sl_http1_has(h, SL_HDR_DATE) || ops_any(&ops))
		return true;
	for (size_t i = 0; i < h->field_count; i++)
		if (SL_UNLIKELY(response_drops(s, h, &h->fields[i])))
			return true;
	return false;
}

void sl_forward_response(
        struct sl_downstream *d, const struct sl_http1_head *h, const char *p, struct sl_buf *out)
{
	const struct sl_stream *s = &d->s;
	const struct ops ops = response_ops(s);
	const bool any_ops = ops_any(&ops);
	size_t from = h->fields_at;
	char *start, *o;

	start = o = sl_buf_reserve(out, h->head_bytes + ADDED_BYTES_MOST + ops_bytes(&ops));
	o = put_bytes(o, p + h->start_at, h->fields_at - h->start_at);
	start[sizeof("HTTP/1.") - 1] = '1';
	for (size_t i = 0; i < h->field_count; i++) {
		const struct sl_http1_field *f = &h->fields[i];

		if (SL_LIKELY(!response_drops(s, h, f) &&
		              !(any_ops && ops_drop(&ops, sl_http1_str(p, f->name)))))
			continue;
		o = put_bytes(o, p + from, f->name.at - from);
		from = i + 1 < h->field_count ? h->fields[i + 1].name.at : h->head_bytes - 2;
	}
	o = put_bytes(o, p + from, h->head_bytes - 2 - from);
	if (!sl_http1_has(h, SL_HDR_DATE) && h->status >= 200)
		o = put_str(o, sl_worker_date(d->worker)); /* RFC 9110 section 6.6.1 */
	if (h->upgrade)
		o = PUT_LIT(o, "connection: upgrade\r\n");
	else if (s->close_after)
		o = PUT_LIT(o, "connection: close\r\n");
	else if (s->http10)
		o = PUT_LIT(o, "connection: keep-alive\r\n");
	if (any_ops)
		o = ops_put(o, &ops);
	o = PUT_LIT(o, "\r\n");
	sl_buf_commit(out, (size_t)(o - start));
}
