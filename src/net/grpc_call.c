#include "net/grpc_conn_priv.h"

#include <stdio.h>

/* ---- what is queued ---- */

static void put_piece(struct sl_grpc_call *call, struct sl_grpc_piece *piece)
{
	piece->next = NULL;
	*call->out_end = piece;
	call->out_end = &piece->next;
	call->out_bytes += piece->bytes.len;
}

static struct sl_grpc_piece *own_piece(size_t len)
{
	struct sl_grpc_piece *piece = sl_new(sizeof(*piece) + len);

	*piece = (struct sl_grpc_piece) { .bytes = sl_str_n(piece->own, len) };
	return piece;
}

static void drop_first_piece(struct sl_grpc_call *call)
{
	struct sl_grpc_piece *piece = call->out;

	call->out = piece->next;
	if (!call->out)
		call->out_end = &call->out;
	if (piece->release)
		piece->release(piece->owner);
	sl_free(piece);
}

static bool takes_more(const struct sl_grpc_call *call)
{
	return !call->ended && !call->finishing;
}

static void resume(struct sl_grpc_call *call)
{
	if (call->conn->session)
		nghttp2_session_resume_data(call->conn->session, call->stream_id);
	sl_grpc_conn_pump_later(call->conn);
}

void sl_grpc_send(struct sl_grpc_call *call, sl_str message)
{
	struct sl_grpc_piece *piece;

	if (!takes_more(call))
		return;
	piece = own_piece(SL_GRPC_PREFIX_BYTES + message.len);
	sl_grpc_prefix((uint8_t *)piece->own, message.len);
	if (message.len)
		memcpy(piece->own + SL_GRPC_PREFIX_BYTES, message.p, message.len);
	put_piece(call, piece);
	resume(call);
}

void sl_grpc_send_shared(
        struct sl_grpc_call *call, sl_str body, void (*release)(void *owner), void *owner, sl_str tail)
{
	struct sl_grpc_piece *prefix, *middle, *end;

	if (!takes_more(call)) {
		release(owner);
		return;
	}
	prefix = own_piece(SL_GRPC_PREFIX_BYTES);
	sl_grpc_prefix((uint8_t *)prefix->own, body.len + tail.len);
	middle = sl_new(sizeof(*middle));
	*middle = (struct sl_grpc_piece) { .bytes = body, .release = release, .owner = owner };
	end = own_piece(tail.len);
	if (tail.len)
		memcpy(end->own, tail.p, tail.len);
	put_piece(call, prefix);
	put_piece(call, middle);
	put_piece(call, end);
	resume(call);
}

size_t sl_grpc_queued(const struct sl_grpc_call *call)
{
	return call->out_bytes;
}

/* ---- the end of what we send ---- */

#define FIELD(n, v)                                                                                 \
	((nghttp2_nv) { (uint8_t *)(uintptr_t)(n), (uint8_t *)(uintptr_t)(v), strlen(n), strlen(v), \
	        NGHTTP2_NV_FLAG_NONE })

struct status_fields {
	char number[12];
	struct sl_buf text;
	nghttp2_nv nv[2];
	size_t count;
};

static void status_fields_init(struct status_fields *f, const struct sl_grpc_call *call)
{
	*f = (struct status_fields) { .count = 1 };
	snprintf(f->number, sizeof(f->number), "%d", (int)call->status);
	f->nv[0] = FIELD("grpc-status", f->number);
	if (!call->text)
		return;
	sl_grpc_message_encode(sl_str_c(call->text), &f->text);
	f->nv[f->count++] = FIELD("grpc-message", sl_buf_cstr(&f->text));
}

static void submit_trailers(struct sl_grpc_call *call)
{
	struct status_fields f;

	status_fields_init(&f, call);
	call->finished = true;
	nghttp2_submit_trailer(call->conn->session, call->stream_id, f.nv, f.count);
	sl_buf_fini(&f.text);
}

/* nghttp2 asks for the next bytes of DATA. */
static ssize_t read_out(nghttp2_session *session, int32_t stream_id, uint8_t *to, size_t most,
        uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct sl_grpc_call *call = source->ptr;
	size_t n = 0;

	(void)session, (void)stream_id, (void)user;
	if (call->ended)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	while (call->out && n < most) {
		sl_str part = sl_str_first(call->out->bytes, most - n);

		if (part.len)
			memcpy(to + n, part.p, part.len);
		n += part.len;
		call->out->bytes = sl_str_skip(call->out->bytes, part.len);
		if (!call->out->bytes.len)
			drop_first_piece(call);
	}
	call->out_bytes -= n;
	if (!call->out && call->finishing) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (call->conn->server) {
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			submit_trailers(call);
		}
	} else if (!n) {
		return NGHTTP2_ERR_DEFERRED;
	}
	if (!call->out && n && call->ops && call->ops->on_drain)
		call->ops->on_drain(call);
	return (ssize_t)n;
}

void sl_grpc_finish(struct sl_grpc_call *call, enum sl_grpc_status status, sl_str text)
{
	if (!takes_more(call))
		return;
	call->finishing = true;
	if (call->conn->server) {
		call->deaf = true;
		call->status = status;
		call->text = text.len ? sl_strndup(text.p, text.len) : NULL;
	}
	resume(call);
}

void sl_grpc_cancel(struct sl_grpc_call *call)
{
	if (call->ended || !call->conn->session)
		return;
	call->deaf = true;
	nghttp2_submit_rst_stream(call->conn->session, NGHTTP2_FLAG_NONE, call->stream_id, NGHTTP2_CANCEL);
	sl_grpc_conn_pump_later(call->conn);
}

/* ---- beginnings ---- */

void sl_grpc_call_set_user(struct sl_grpc_call *call, void *user)
{
	call->user = user;
}

void *sl_grpc_call_user(const struct sl_grpc_call *call)
{
	return call->user;
}

static void on_deadline(struct sl_loop *loop, struct sl_timer *timer)
{
	struct sl_grpc_call *call = SL_CONTAINER_OF(timer, struct sl_grpc_call, deadline);

	(void)loop;
	sl_grpc_finish(call, SL_GRPC_DEADLINE_EXCEEDED, SL_STR("the caller's grpc-timeout has passed"));
}

struct sl_grpc_call *sl_grpc_call_new(struct sl_grpc_conn *conn)
{
	struct sl_grpc_call *call = sl_new0(sizeof(*call));

	call->conn = conn;
	call->in.most_bytes = conn->limits.message_most_bytes;
	call->out_end = &call->out;
	call->deadline.fn = on_deadline;
	call->status = SL_GRPC_UNKNOWN;
	sl_list_push(&conn->calls, &call->link);
	return call;
}

void sl_grpc_call_refuse(struct sl_grpc_call *call, enum sl_grpc_status status, const char *text)
{
	struct status_fields f;
	nghttp2_nv nv[4] = { FIELD(":status", "200"), FIELD("content-type", "application/grpc") };

	call->ops = NULL;
	call->finishing = call->finished = true;
	call->status = status;
	call->text = sl_strdup(text);
	status_fields_init(&f, call);
	memcpy(&nv[2], f.nv, f.count * sizeof(nv[0]));
	nghttp2_submit_response(call->conn->session, call->stream_id, nv, 2 + f.count, NULL);
	sl_buf_fini(&f.text);
}

/* Server: the call is taken on; its head goes out now, so that the client knows. */
static void respond(struct sl_grpc_call *call)
{
	const nghttp2_nv nv[] = { FIELD(":status", "200"), FIELD("content-type", "application/grpc") };
	nghttp2_data_provider provider = { .source.ptr = call, .read_callback = read_out };

	call->responded = true;
	nghttp2_submit_response(call->conn->session, call->stream_id, nv, SL_ARRAY_COUNT(nv), &provider);
	if (call->timeout)
		sl_timer_in(call->conn->loop, &call->deadline, call->timeout);
}

void sl_grpc_call_open(struct sl_grpc_call *call)
{
	call->conn->ops->on_call(call->conn, call);
	if (call->ops)
		respond(call);
}

static void call_free(void *object)
{
	struct sl_grpc_call *call = object;

	while (call->out)
		drop_first_piece(call);
	sl_grpc_deframer_fini(&call->in);
	sl_free(call->text);
	sl_free(call->path);
	sl_free(call->content_type);
	sl_free(call);
}

void sl_grpc_call_end(struct sl_grpc_call *call, enum sl_grpc_status status, sl_str text)
{
	if (call->ended)
		return;
	call->ended = call->deaf = true;
	sl_timer_stop(call->conn->loop, &call->deadline);
	sl_list_remove(&call->link);
	if (call->conn->session)
		nghttp2_session_set_stream_user_data(call->conn->session, call->stream_id, NULL);
	while (call->out)
		drop_first_piece(call);
	if (call->ops)
		call->ops->on_end(call, status, text);
	sl_loop_free_later(call->conn->loop, &call->dead, call_free, call);
}

sl_err sl_grpc_call_request(struct sl_grpc_call *call, const char *authority, const char *path, bool tls)
{
	const nghttp2_nv nv[] = {
		FIELD(":method", "POST"),
		FIELD(":scheme", tls ? "https" : "http"),
		FIELD(":path", path),
		FIELD(":authority", authority),
		FIELD("te", "trailers"),
		FIELD("content-type", "application/grpc"),
		FIELD("user-agent", "sluice/" SL_VERSION),
	};
	nghttp2_data_provider provider = { .source.ptr = call, .read_callback = read_out };

	call->stream_id =
	        nghttp2_submit_request(call->conn->session, NULL, nv, SL_ARRAY_COUNT(nv), &provider, call);
	if (call->stream_id < 0) {
		call->ops = NULL;
		sl_grpc_call_end(call, SL_GRPC_UNAVAILABLE, SL_STR_NONE);
		return SL_ERR_UNAVAILABLE;
	}
	sl_grpc_conn_pump_later(call->conn);
	return SL_OK;
}
