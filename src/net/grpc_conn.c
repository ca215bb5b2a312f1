#include "net/grpc_conn_priv.h"

enum {
	STREAM_WINDOW_BYTES = 1 << 20,
	CONNECTION_WINDOW_BYTES = 4 << 20,
	MESSAGE_MOST_DEFAULT = 4 << 20,
	CALLS_MOST_DEFAULT = 100,
};

static struct sl_grpc_conn *conn_of(struct sl_transport *t)
{
	return t->user;
}

/* ---- out ---- */

/* Hands over what nghttp2 has to say, as long as the transport has room. */
static void pump(struct sl_grpc_conn *conn)
{
	const uint8_t *p;
	ssize_t n = 0;

	if (!conn->session || !sl_transport_is_open(&conn->transport))
		return;
	while (!sl_transport_full(&conn->transport) && (n = nghttp2_session_mem_send(conn->session, &p)) > 0)
		sl_transport_write(&conn->transport, p, (size_t)n);
	if (n < 0)
		sl_transport_abort(&conn->transport);
	else if (!nghttp2_session_want_read(conn->session) && !nghttp2_session_want_write(conn->session))
		sl_transport_close(&conn->transport);
}

static void on_pump(struct sl_loop *loop, struct sl_task *task)
{
	(void)loop;
	pump(SL_CONTAINER_OF(task, struct sl_grpc_conn, pump));
}

void sl_grpc_conn_pump_later(struct sl_grpc_conn *conn)
{
	if (conn->session)
		sl_loop_defer(conn->loop, &conn->pump);
}

/* ---- in: nghttp2's callbacks ---- */

static struct sl_grpc_call *call_of(struct sl_grpc_conn *conn, int32_t stream_id)
{
	return nghttp2_session_get_stream_user_data(conn->session, stream_id);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct sl_grpc_conn *conn = user;
	struct sl_grpc_call *call;

	if (!conn->server || frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	call = sl_grpc_call_new(conn);
	call->stream_id = frame->hd.stream_id;
	nghttp2_session_set_stream_user_data(session, call->stream_id, call);
	return 0;
}

static void keep(char **text, sl_str v)
{
	sl_free(*text);
	*text = sl_strndup(v.p, v.len);
}

static void take_request_field(struct sl_grpc_call *call, sl_str name, sl_str value)
{
	if (sl_str_eq_c(name, ":path"))
		keep(&call->path, value);
	else if (sl_str_eq_c(name, "content-type"))
		keep(&call->content_type, value);
	else if (sl_str_eq_c(name, "grpc-timeout"))
		SL_IGNORE(sl_grpc_timeout_parse(value, &call->timeout)); /* an odd one is none */
}

static void take_response_field(struct sl_grpc_call *call, sl_str name, sl_str value)
{
	uint64_t v;

	if (sl_str_eq_c(name, ":status")) {
		call->http_status = sl_str_to_u64(value, &v) == SL_OK ? (uint32_t)v : 0;
	} else if (sl_str_eq_c(name, "grpc-status")) {
		call->status = sl_grpc_status_parse(value);
		call->has_status = true;
	} else if (sl_str_eq_c(name, "grpc-message")) {
		SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };

		sl_grpc_message_decode(value, &text);
		keep(&call->text, sl_buf_str(&text));
	}
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
        size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *user)
{
	struct sl_grpc_conn *conn = user;
	struct sl_grpc_call *call = call_of(conn, frame->hd.stream_id);
	sl_str n = sl_str_n((const char *)name, name_len), v = sl_str_n((const char *)value, value_len);

	(void)session, (void)flags;
	if (call && conn->server)
		take_request_field(call, n, v);
	else if (call)
		take_response_field(call, n, v);
	return 0;
}

/* The peer broke the rules of messages: a server says so, a client resets. */
static void fail(struct sl_grpc_call *call, sl_err err)
{
	call->deaf = true;
	if (call->conn->server) {
		sl_grpc_finish(call, sl_grpc_status_of_err(err), sl_str_c(sl_err_text(err)));
		return;
	}
	call->status = sl_grpc_status_of_err(err);
	call->has_status = true;
	sl_grpc_cancel(call);
}

static int on_data(
        nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *p, size_t len, void *user)
{
	struct sl_grpc_call *call = call_of(user, stream_id);
	sl_str message;
	sl_err err;

	(void)session, (void)flags;
	if (!call || !call->ops || call->deaf)
		return 0;
	sl_grpc_deframer_feed(&call->in, sl_str_n((const char *)p, len));
	while ((err = sl_grpc_deframer_next(&call->in, &message)) == SL_OK) {
		call->ops->on_message(call, message);
		if (call->deaf)
			return 0;
	}
	if (err != SL_ERR_AGAIN)
		fail(call, err);
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct sl_grpc_conn *conn = user;
	struct sl_grpc_call *call = frame->hd.stream_id ? call_of(conn, frame->hd.stream_id) : NULL;

	(void)session;
	if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK))
		conn->ping_unanswered = false;
	if (frame->hd.type == NGHTTP2_GOAWAY)
		conn->going_away = true;
	if (!call)
		return 0;
	if (conn->server && frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		sl_grpc_call_open(call);
	if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
	        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
		call->half_closed = true;
		if (conn->server && call->ops && call->ops->on_half_close)
			call->ops->on_half_close(call);
	}
	return 0;
}

/* A server that has said its last word does not wait for the client's. */
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct sl_grpc_conn *conn = user;
	struct sl_grpc_call *call;

	if (!conn->server || frame->hd.type != NGHTTP2_HEADERS ||
	        !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	call = call_of(conn, frame->hd.stream_id);
	if (call && !call->half_closed)
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
	return 0;
}

static enum sl_grpc_status status_of_reset(uint32_t error_code)
{
	switch (error_code) {
	case NGHTTP2_REFUSED_STREAM:
		return SL_GRPC_UNAVAILABLE;
	case NGHTTP2_CANCEL:
		return SL_GRPC_CANCELLED;
	case NGHTTP2_ENHANCE_YOUR_CALM:
		return SL_GRPC_RESOURCE_EXHAUSTED;
	case NGHTTP2_INADEQUATE_SECURITY:
		return SL_GRPC_PERMISSION_DENIED;
	default:
		return SL_GRPC_INTERNAL;
	}
}

/* Source: doc/PROTOCOL-HTTP2.md, "HTTP2 Transport Mapping: Errors". */
static void end_by_close(struct sl_grpc_call *call, uint32_t error_code)
{
	if (call->conn->server) {
		enum sl_grpc_status said = call->finished ? call->status : SL_GRPC_CANCELLED;

		sl_grpc_call_end(call, said, sl_str_c(call->text));
	} else if (call->has_status) {
		sl_grpc_call_end(call, call->status, sl_str_c(call->text));
	} else if (call->http_status && call->http_status != 200) {
		sl_grpc_call_end(
		        call, sl_grpc_status_of_http(call->http_status), SL_STR("no gRPC status came"));
	} else {
		sl_grpc_call_end(call, status_of_reset(error_code), SL_STR("the stream was reset"));
	}
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code, void *user)
{
	struct sl_grpc_call *call = call_of(user, stream_id);

	(void)session;
	if (call)
		end_by_close(call, error_code);
	return 0;
}

/* ---- the session ---- */

static nghttp2_session *session_new(struct sl_grpc_conn *conn)
{
	nghttp2_session_callbacks *callbacks;
	nghttp2_session *session = NULL;
	int failed;

	if (nghttp2_session_callbacks_new(&callbacks) != 0)
		return NULL;
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
	failed = conn->server ? nghttp2_session_server_new(&session, callbacks, conn)
	                      : nghttp2_session_client_new(&session, callbacks, conn);
	nghttp2_session_callbacks_del(callbacks);
	return failed ? NULL : session;
}

static void greet(struct sl_grpc_conn *conn)
{
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, conn->limits.calls_most },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES },
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
	};

	/* a server's settings do not speak of push */
	nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, settings, conn->server ? 2 : 3);
	nghttp2_session_set_local_window_size(conn->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW_BYTES);
}

/* One ping is always on its way or answered; the next is due when the time for the answer is over. */
static void on_ping(struct sl_loop *loop, struct sl_timer *timer)
{
	struct sl_grpc_conn *conn = SL_CONTAINER_OF(timer, struct sl_grpc_conn, ping);

	if (conn->ping_unanswered) {
		conn->why = "no answer to a ping";
		sl_transport_abort(&conn->transport);
		return;
	}
	conn->ping_unanswered = true;
	nghttp2_submit_ping(conn->session, NGHTTP2_FLAG_NONE, NULL);
	sl_grpc_conn_pump_later(conn);
	sl_timer_in(loop, timer,
	        conn->limits.ping_timeout > conn->limits.ping_every ? conn->limits.ping_timeout
	                                                            : conn->limits.ping_every);
}

/* ---- the transport ---- */

static void on_open(struct sl_transport *t)
{
	struct sl_grpc_conn *conn = conn_of(t);

	if (t->tls && !sl_str_eq_c(sl_tls_alpn(t->tls), "h2")) {
		conn->why = "the peer does not speak HTTP/2 over TLS";
		sl_transport_abort(t);
		return;
	}
	conn->opened = true;
	sl_timer_in(conn->loop, &conn->ping, conn->limits.ping_every);
	pump(conn);
	if (conn->ops->on_open)
		conn->ops->on_open(conn);
}

static void on_read(struct sl_transport *t)
{
	struct sl_grpc_conn *conn = conn_of(t);
	sl_str in = sl_buf_str(&t->in);
	ssize_t n = nghttp2_session_mem_recv(conn->session, (const uint8_t *)in.p, in.len);

	if (n < 0) {
		conn->why =
		        nghttp2_strerror((int)n); /* not HTTP/2, or a flood: a GOAWAY may be queued already */
		pump(conn);
		sl_transport_abort(t);
		return;
	}
	sl_buf_consume(&t->in, (size_t)n);
	pump(conn);
}

static void on_drain(struct sl_transport *t)
{
	pump(conn_of(t));
}

static void end_all_calls(struct sl_grpc_conn *conn, const char *text)
{
	nghttp2_session *session = SL_STEAL(conn->session); /* first, so that nothing more is submitted */

	while (!sl_list_empty(&conn->calls)) {
		struct sl_grpc_call *call = SL_LIST_ENTRY(conn->calls.next, struct sl_grpc_call, link);

		sl_grpc_call_end(
		        call, conn->server ? SL_GRPC_CANCELLED : SL_GRPC_UNAVAILABLE, sl_str_c(text));
	}
	nghttp2_session_del(session);
	sl_task_cancel(conn->loop, &conn->pump);
	sl_timer_stop(conn->loop, &conn->ping);
}

static void on_close(struct sl_transport *t, sl_err why)
{
	struct sl_grpc_conn *conn = conn_of(t);
	const char *text = conn->why ? conn->why : t->why_text[0] ? t->why_text : sl_err_text(why);

	end_all_calls(conn, text);
	conn->ops->on_closed(conn, why, text);
}

static const struct sl_transport_ops transport_ops = {
	.on_open = on_open,
	.on_read = on_read,
	.on_drain = on_drain,
	.on_close = on_close,
};

/* ---- life ---- */

void sl_grpc_conn_init(struct sl_grpc_conn *conn, struct sl_loop *loop, const struct sl_grpc_conn_ops *ops,
        bool server, const struct sl_grpc_limits *limits)
{
	*conn = (struct sl_grpc_conn) {
		.loop = loop,
		.ops = ops,
		.server = server,
		.limits = *limits,
		.pump.fn = on_pump,
		.ping.fn = on_ping,
	};
	sl_list_init(&conn->calls);
	if (!conn->limits.message_most_bytes)
		conn->limits.message_most_bytes = MESSAGE_MOST_DEFAULT;
	if (!conn->limits.calls_most)
		conn->limits.calls_most = CALLS_MOST_DEFAULT;
	if (!conn->limits.ping_every)
		conn->limits.ping_every = SL_SEC(10);
	if (!conn->limits.ping_timeout)
		conn->limits.ping_timeout = SL_SEC(10);
	sl_transport_init(&conn->transport, loop, &transport_ops, NULL, conn);
	conn->session = session_new(conn);
	assert(conn->session); /* fails for want of memory alone */
	greet(conn);
}

void sl_grpc_conn_fini(struct sl_grpc_conn *conn)
{
	if (conn->session)
		end_all_calls(conn, "closed");
	sl_transport_fini(&conn->transport);
}
