#include "net/http_server_priv.h"

#include "proto/uri.h"

#include <assert.h>
#include <stdio.h>

static struct sl_http_exchange *exchange_of(struct sl_http_req *req)
{
	return SL_CONTAINER_OF(req, struct sl_http_exchange, req);
}

/* --- what was asked --- */

sl_str sl_http_req_header(const struct sl_http_req *req, const char *name)
{
	for (size_t i = 0; i < req->header_count; i++) {
		if (sl_str_eq_nocase(req->headers[i].name, sl_str_c(name)))
			return req->headers[i].value;
	}
	return SL_STR_NONE;
}

sl_str sl_http_req_bearer(const struct sl_http_req *req)
{
	sl_str value = sl_http_req_header(req, "Authorization"), scheme;

	if (!sl_str_split(&value, ' ', &scheme) || !sl_str_eq_nocase(scheme, SL_STR("Bearer")))
		return SL_STR_NONE;
	return sl_str_trim(value);
}

static sl_err decode(struct sl_arena *arena, sl_str raw, bool plus, sl_str *ret)
{
	char *dst = sl_arena_alloc(arena, raw.len + 1);
	size_t len;

	SL_TRY(sl_percent_decode(dst, raw, plus, &len));
	dst[len] = 0;
	*ret = sl_str_n(dst, len);
	return SL_OK;
}

sl_err sl_http_req_param(struct sl_http_req *req, const char *name, sl_str *ret_value)
{
	sl_str raw;

	SL_TRY(sl_query_get(req->query, sl_str_c(name), &raw));
	return decode(req->arena, raw, true, ret_value);
}

sl_err sl_http_req_path_decoded(struct sl_http_req *req, sl_str *ret_path)
{
	return decode(req->arena, req->path, false, ret_path);
}

/* --- the answer --- */

void sl_http_set_header(struct sl_http_req *req, const char *name, sl_str value)
{
	sl_err err = sl_http1_put_field(&exchange_of(req)->extra, sl_str_c(name), value);

	assert(err ==
	        SL_OK); /* what is not a header must not become one: a programming error, see the header */
	SL_IGNORE(err);
}

static void put_head(struct sl_http_exchange *x, struct sl_buf *out, int status, const char *content_type)
{
	struct sl_http_conn *c = x->conn;
	const struct sl_http_server_config *config = &c->server->config;
	sl_err err = sl_http1_put_status(out, (unsigned)status);

	assert(err == SL_OK); /* a status is 100 to 999 */
	sl_buf_printf(out, "Date: %s\r\n", sl_http_server_date(c->server));
	if (config->server_name)
		sl_buf_printf(out, "Server: %s\r\n", config->server_name);
	if (content_type) {
		err = sl_http1_put_field(out, SL_STR("Content-Type"), sl_str_c(content_type));
		assert(err == SL_OK); /* it is a header's value */
	}
	SL_IGNORE(err);
	sl_buf_str_add(out, sl_buf_str(&x->extra));
	if (c->phase != SL_HTTP_WAIT || c->server->draining)
		x->keep_alive = false;
	if (!x->keep_alive)
		sl_buf_c(out, "Connection: close\r\n");
	else if (x->req.minor == 0)
		sl_buf_c(out, "Connection: keep-alive\r\n");
}

/* RFC 9110 section 6.4.1: these never have a body, nor, but for 304, a length. */
static bool bodiless(int status)
{
	return status < 200 || status == 204 || status == 304;
}

void sl_http_reply(struct sl_http_req *req, int status, const char *content_type, sl_str body)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf head = { 0 };
	struct sl_http_exchange *x = exchange_of(req);

	assert(x->conn && x->answer == SL_HTTP_UNANSWERED); /* one answer for each request */
	put_head(x, &head, status, content_type);
	if (!bodiless(status))
		sl_http1_put_length(&head, body.len);
	sl_http1_put_end(&head);
	sl_transport_write_str(&x->conn->t, sl_buf_str(&head));
	if (!bodiless(status) && !x->is_head)
		sl_transport_write_str(&x->conn->t, body);
	sl_http_exchange_finish(x);
}

void sl_http_reply_error(struct sl_http_req *req, sl_err err, struct sl_diag *diag)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };

	sl_buf_printf(&text, "%s\n", diag && diag->count ? sl_diag_text(diag) : sl_err_text(err));
	sl_http_reply(req, sl_err_http(err), "text/plain; charset=utf-8", sl_buf_str(&text));
}

/* --- streams --- */

void sl_http_stream_begin(struct sl_http_req *req, int status, const char *content_type)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf head = { 0 };
	struct sl_http_exchange *x = exchange_of(req);
	struct sl_http_conn *c = x->conn;

	assert(c && x->answer == SL_HTTP_UNANSWERED && !bodiless(status));
	x->chunked = req->minor >= 1;
	if (!x->chunked)
		x->keep_alive = false; /* HTTP/1.0: the end of the connection is the end of the body */
	put_head(x, &head, status, content_type);
	if (x->chunked)
		sl_buf_c(&head, "Transfer-Encoding: chunked\r\n");
	sl_http1_put_end(&head);
	x->answer = SL_HTTP_STREAMING;
	sl_transport_write_str(&c->t, sl_buf_str(&head));
	sl_http_conn_written(c);
	if (c->eof && !c->in_read)
		sl_transport_abort(&c->t); /* the client has left already, see read_requests */
}

bool sl_http_stream_write(struct sl_http_req *req, sl_str piece)
{
	struct sl_http_exchange *x = exchange_of(req);
	struct sl_http_conn *c = x->conn;
	char head[SL_HTTP1_CHUNK_HEAD_BYTES];

	assert(c && x->answer == SL_HTTP_STREAMING);
	if (piece.len == 0 || x->is_head) /* an empty chunk would be the last */
		return !sl_transport_full(&c->t);
	if (x->chunked)
		sl_transport_write(&c->t, head, sl_http1_chunk_head(head, piece.len));
	sl_transport_write_str(&c->t, piece);
	if (x->chunked)
		sl_transport_write_str(&c->t, SL_STR("\r\n"));
	sl_http_conn_written(c);
	if (sl_transport_queued(&c->t) > c->server->config.limits.stream_most_bytes)
		sl_transport_abort(&c->t); /* on_gone comes at the end of the turn */
	return sl_transport_is_open(&c->t) && !sl_transport_full(&c->t);
}

void sl_http_stream_end(struct sl_http_req *req)
{
	struct sl_http_exchange *x = exchange_of(req);

	assert(x->conn && x->answer == SL_HTTP_STREAMING);
	if (x->chunked && !x->is_head)
		sl_transport_write_str(&x->conn->t, SL_STR(SL_HTTP1_LAST_CHUNK));
	sl_http_exchange_finish(x);
}

void sl_http_stream_abort(struct sl_http_req *req)
{
	struct sl_http_exchange *x = exchange_of(req);
	struct sl_http_conn *c = x->conn;

	assert(c && x->answer == SL_HTTP_STREAMING);
	x->req.on_gone = NULL; /* it knows */
	if (!sl_transport_is_open(&c->t))
		return;
	sl_socket_reset_on_close(
	        c->t.io.fd); /* also without chunks to miss, the client sees that it broke off */
	sl_transport_abort(&c->t);
}
