#include "cli/client.h"

#include "net/fetch.h"
#include "os/file.h"
#include "proto/json.h"
#include "proto/yaml.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

void sl_client_fini(struct sl_client *c)
{
	sl_arena_fini(&c->arena);
	*c = (struct sl_client) { 0 };
}

/* ---- kubeconfig ---- */

static sl_err decode_base64(struct sl_arena *arena, sl_str text, sl_str *ret_bytes)
{
	unsigned char *out = sl_arena_alloc(arena, text.len / 4 * 3 + 4);
	int n = EVP_DecodeBlock(out, (const unsigned char *)text.p, (int)text.len);

	if (n < 0)
		return SL_ERR_MALFORMED;
	/* EVP_DecodeBlock counts the padding as zero bytes */
	for (size_t i = text.len; i && text.p[i - 1] == '=' && n; i--)
		n--;
	*ret_bytes = sl_str_n((const char *)out, (size_t)n);
	return SL_OK;
}

/* The PEM under NAME-data (base64), or in the file under NAME. Empty when neither is there. */
static sl_err read_pem(
        struct sl_client *c, const json_t *from, const char *name, sl_str *ret_pem, struct sl_diag *diag)
{
	const char *inline_name = sl_arena_printf(&c->arena, "%s-data", name).p;
	sl_str encoded = sl_json_get_str(from, inline_name);
	const char *file = sl_json_string(from, name, NULL);
	struct sl_buf bytes = { 0 };
	sl_err err;

	if (encoded.len) {
		if (decode_base64(&c->arena, encoded, ret_pem) != SL_OK)
			return sl_diag_fail(diag, SL_ERR_MALFORMED, inline_name, NULL, "is not base64");
		return SL_OK;
	}
	if (!file)
		return SL_OK;
	err = sl_file_read(file, 1 << 20, &bytes);
	if (err == SL_OK)
		*ret_pem = sl_arena_str(&c->arena, sl_buf_str(&bytes));
	else
		sl_diag_add(diag, name, NULL, "cannot read %s: %s", file, sl_err_text(err));
	sl_buf_fini(&bytes);
	return err;
}

static const json_t *named(const json_t *config, const char *list, const char *name, const char *member)
{
	SL_JSON_FOR (entry, sl_json_array(config, list)) {
		if (name && strcmp(sl_json_string(entry, "name", ""), name) == 0)
			return sl_json_object(entry, member);
	}
	return NULL;
}

static sl_err take_context(struct sl_client *c, const json_t *config, struct sl_diag *diag)
{
	const char *current = sl_json_string(config, "current-context", NULL);
	const json_t *context = named(config, "contexts", current, "context");
	const json_t *cluster =
	        named(config, "clusters", sl_json_string(context, "cluster", NULL), "cluster");
	const json_t *user = named(config, "users", sl_json_string(context, "user", NULL), "user");

	if (!context || !cluster)
		return sl_diag_fail(diag, SL_ERR_MALFORMED, "current-context", NULL,
		        "\"%s\" names no context with a cluster in this kubeconfig", current ? current : "");
	if (sl_json_get(user, "exec") || sl_json_get(user, "auth-provider"))
		return sl_diag_fail(diag, SL_ERR_UNSUPPORTED, "users[].user", NULL,
		        "exec and auth-provider are not supported; use a client certificate or a token");
	c->server = sl_arena_str_c(&c->arena, sl_json_string(cluster, "server", "")).p;
	c->insecure = sl_json_bool(cluster, "insecure-skip-tls-verify", false);
	if (sl_json_string(context, "namespace", NULL))
		c->namespace = sl_arena_str(&c->arena, sl_json_get_str(context, "namespace")).p;
	if (sl_json_string(user, "token", NULL))
		c->token = sl_arena_str(&c->arena, sl_json_get_str(user, "token")).p;
	SL_TRY(read_pem(c, cluster, "certificate-authority", &c->ca, diag));
	SL_TRY(read_pem(c, user, "client-certificate", &c->certificate, diag));
	return read_pem(c, user, "client-key", &c->key, diag);
}

static const char *default_path(struct sl_client *c)
{
	const char *path = getenv("KUBECONFIG"), *home = getenv("HOME");

	if (path && *path)
		return path;
	return sl_arena_printf(&c->arena, "%s/.kube/config", home ? home : "").p;
}

sl_err sl_client_open(struct sl_client *c, const char *path, struct sl_diag *diag)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
	SL_CLEANUP(sl_json_unref) json_t *documents = NULL;
	sl_err err;

	if (!path)
		path = default_path(c);
	err = sl_file_read(path, 1 << 20, &text);
	if (err != SL_OK)
		return sl_diag_fail(diag, err, NULL, NULL,
		        "cannot read kubeconfig %s: %s; name one by --kubeconfig or $KUBECONFIG (sluiced writes DATA_DIR/kubeconfig)",
		        path, sl_err_text(err));
	SL_TRY(sl_yaml_parse(sl_buf_str(&text), NULL, &documents, diag));
	return take_context(c, json_array_get(documents, 0), diag);
}

/* ---- calls ---- */

static void fill_request(struct sl_client *c, struct sl_fetch_request *r)
{
	r->ca_pem = c->ca;
	r->cert_pem = c->certificate;
	r->key_pem = c->key;
	r->bearer_token = c->token;
	r->insecure = c->insecure;
}

static const char *url_of(struct sl_client *c, const char *path)
{
	return sl_arena_printf(&c->arena, "%s%s", c->server, path).p;
}

/* The reason words of metav1.Status that callers act on; anything else is told by its HTTP status. */
static sl_err error_of_status(int status)
{
	switch (status) {
	case 400:
		return SL_ERR_BAD_REQUEST;
	case 401:
		return SL_ERR_UNAUTHORIZED;
	case 403:
		return SL_ERR_FORBIDDEN;
	case 404:
		return SL_ERR_NOT_FOUND;
	case 405:
		return SL_ERR_METHOD_NOT_ALLOWED;
	case 409:
		return SL_ERR_CONFLICT;
	case 410:
		return SL_ERR_EXPIRED;
	case 413:
		return SL_ERR_TOO_BIG;
	case 415:
		return SL_ERR_UNSUPPORTED;
	case 422:
		return SL_ERR_INVALID;
	default:
		return status >= 500 ? SL_ERR_UNAVAILABLE : SL_ERR_IO;
	}
}

static sl_err failure(int status, const json_t *answer, sl_str text, struct sl_diag *diag)
{
	const json_t *causes = sl_json_array(answer, "details.causes");
	const char *kind = sl_json_string(answer, "details.kind", NULL),
	           *name = sl_json_string(answer, "details.name", NULL);

	if (!json_array_size(causes)) {
		if (sl_json_string(answer, "message", NULL))
			sl_diag_add(diag, NULL, NULL, "%s", sl_json_string(answer, "message", ""));
		else
			sl_diag_add(diag, NULL, NULL, "the server answered %d: %.*s", status,
			        SL_STR_ARG(sl_str_first(text, 200)));
	}
	SL_JSON_FOR (cause, causes)
		sl_diag_add(diag, sl_json_string(cause, "field", NULL), sl_json_string(cause, "reason", NULL),
		        "%s%s%s%s", sl_json_string(cause, "message", ""), kind ? " (" : "",
		        kind && name ? name : (kind ? kind : ""), kind ? ")" : "");
	return error_of_status(status);
}

static sl_err fetch(struct sl_client *c, const struct sl_call *call, struct sl_buf *answer, int *ret_status,
        struct sl_diag *diag)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf body = { 0 };
	struct sl_http_pair headers[] = {
		{ SL_STR("Accept"), sl_str_c(call->accept ? call->accept : "application/json") },
		{ SL_STR("Content-Type"),
		        sl_str_c(call->content_type ? call->content_type : "application/json") },
	};
	struct sl_fetch_request r = {
		.method = call->method,
		.url = url_of(c, call->path),
		.headers = headers,
		.header_count = call->body ? 2 : 1,
		.timeout = SL_SEC(60),
	};
	sl_err err;

	fill_request(c, &r);
	if (call->body) {
		sl_json_dump(&body, call->body);
		r.body = sl_buf_str(&body);
	}
	err = sl_fetch_wait(&r, ret_status, answer, diag);
	if (err != SL_OK)
		sl_diag_add(diag, NULL, NULL, "no answer from %s: %s", c->server, sl_err_text(err));
	return err;
}

sl_err sl_client_call(
        struct sl_client *c, const struct sl_call *call, json_t **ret_answer, struct sl_diag *diag)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
	SL_CLEANUP(sl_json_unref) json_t *answer = NULL;
	int status = 0;
	sl_err parsed;

	SL_TRY(fetch(c, call, &text, &status, diag));
	parsed = sl_json_parse(sl_buf_str(&text), NULL, &answer, NULL);
	if (status >= 400)
		return failure(status, answer, sl_buf_str(&text), diag);
	if (parsed != SL_OK)
		return sl_diag_fail(diag, SL_ERR_MALFORMED, NULL, NULL,
		        "%s answered %s with something that is not JSON", c->server, call->path);
	if (ret_answer)
		*ret_answer = SL_STEAL(answer);
	return SL_OK;
}

sl_err sl_client_text(struct sl_client *c, const char *path, char **ret_text, struct sl_diag *diag)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf text = { 0 };
	struct sl_call call = { .method = "GET", .path = path, .accept = "*/*" };
	int status = 0;

	SL_TRY(fetch(c, &call, &text, &status, diag));
	if (status >= 400)
		return failure(status, NULL, sl_buf_str(&text), diag);
	*ret_text = sl_strndup(text.p ? text.p + text.off : "", sl_buf_size(&text));
	return SL_OK;
}

/* ---- watch ---- */

struct watch {
	struct sl_loop *loop;
	struct sl_buf line; /* the part of an event that has come so far */
	sl_client_event_fn fn;
	void *arg;
	struct sl_diag *diag;
	int status;
	bool ended; /* by the callback */
	sl_err err;
};

static void watch_line(struct watch *w, sl_str line)
{
	SL_CLEANUP(sl_json_unref) json_t *event = NULL;
	const char *type;

	if (w->ended || !line.len)
		return;
	w->err = sl_json_parse(line, NULL, &event, w->diag);
	type = sl_json_string(event, "type", "");
	if (w->err == SL_OK && strcmp(type, "ERROR") == 0)
		w->err = failure((int)sl_json_int(event, "object.code", 500),
		        json_object_get(event, "object"), line, w->diag);
	if (w->err == SL_OK && strcmp(type, "BOOKMARK") != 0 &&
	        w->fn(w->arg, type, json_object_get(event, "object")))
		return;
	if (w->err != SL_OK || strcmp(type, "BOOKMARK") != 0) {
		w->ended = true;
		sl_loop_stop(w->loop);
	}
}

static void watch_head(struct sl_fetch *f, int status)
{
	struct watch *w = sl_fetch_user(f);

	w->status = status;
}

static bool watch_piece(struct sl_fetch *f, sl_str piece)
{
	struct watch *w = sl_fetch_user(f);

	sl_buf_str_add(&w->line, piece);
	while (w->status < 400) {
		sl_str live = sl_buf_str(&w->line);
		size_t end = sl_str_find(live, '\n');

		if (end == live.len)
			break;
		watch_line(w, sl_str_first(live, end));
		sl_buf_consume(&w->line, end + 1);
	}
	return true;
}

static void watch_done(struct sl_fetch *f, const struct sl_fetch_response *r)
{
	struct watch *w = sl_fetch_user(f);

	if (!w->ended && r->status >= 400)
		w->err = failure(r->status, NULL, sl_buf_str(&w->line), w->diag);
	else if (!w->ended && w->err == SL_OK)
		w->err = r->err == SL_OK ? SL_ERR_EOF : r->err;
	sl_loop_stop(w->loop);
}

sl_err sl_client_watch(struct sl_client *c, const char *path, const char *accept, sl_client_event_fn fn,
        void *arg, struct sl_diag *diag)
{
	struct sl_loop loop = { 0 };
	struct watch w = { .loop = &loop, .fn = fn, .arg = arg, .diag = diag };
	struct sl_http_pair header = { SL_STR("Accept"), sl_str_c(accept ? accept : "application/json") };
	struct sl_fetch_request r = {
		.url = url_of(c, path),
		.headers = &header,
		.header_count = 1,
		.on_head = watch_head,
		.on_body = watch_piece,
		.on_done = watch_done,
		.user = &w,
	};
	struct sl_fetcher *fetcher;
	struct sl_fetch *f;

	fill_request(c, &r);
	SL_TRY(sl_loop_init(&loop, NULL));
	fetcher = sl_fetcher_new(&loop);
	w.err = sl_fetch_start(fetcher, &r, &f);
	if (w.err == SL_OK)
		sl_loop_run(&loop);
	sl_fetcher_free(fetcher);
	sl_loop_fini(&loop);
	sl_buf_fini(&w.line);
	return w.err;
}

const char *sl_client_path(struct sl_client *c, const struct sl_kind *kind, const char *ns, const char *name)
{
	char version[128];
	bool in_namespace = kind->namespaced && ns;

	sl_kind_api_version(kind, version, sizeof(version));
	return sl_arena_printf(&c->arena, "/%s/%s%s%s/%s%s%s", *kind->group ? "apis" : "api", version,
	        in_namespace ? "/namespaces/" : "", in_namespace ? ns : "", kind->plural, name ? "/" : "",
	        name ? name : "")
	        .p;
}
