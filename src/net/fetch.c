#include "net/fetch.h"

#include "base/list.h"
#include "os/socket.h"

#include <assert.h>
#include <curl/curl.h>
#include <pthread.h>

/*
 * libcurl tells which sockets it waits for and when it wants to be called again; the loop does both. It expects level-triggered
 * events, so each socket is re-armed after every call.
 */
struct sl_fetcher {
	struct sl_loop *loop;
	CURLM *multi;
	struct sl_timer timer;
	struct sl_task
	        chores; /* cancelled, resumed and failed-to-start fetches, taken care of outside libcurl's callbacks */
	struct sl_list fetches;
	struct waiter *waiter; /* of sl_fetch_wait */
	bool ending;
	struct sl_dead dead;
};

struct watch {
	struct sl_io io;
	struct sl_fetcher *x;
	struct sl_dead dead;
};

struct sl_fetch {
	struct sl_list link;
	struct sl_fetcher *x;
	CURL *easy;
	struct curl_slist *headers;
	struct sl_buf body;
	size_t body_most_bytes;
	void (*on_head)(struct sl_fetch *f, int status);
	bool (*on_body)(struct sl_fetch *f, sl_str piece);
	void (*on_done)(struct sl_fetch *f, const struct sl_fetch_response *r);
	void *user;
	bool cancelled, resuming, too_big;
	char detail[CURL_ERROR_SIZE];
};

/* --- the end of a fetch --- */

static void free_fetch(struct sl_fetch *f)
{
	sl_list_remove(&f->link);
	if (f->easy) {
		curl_multi_remove_handle(f->x->multi, f->easy);
		curl_easy_cleanup(f->easy);
	}
	curl_slist_free_all(f->headers);
	sl_buf_fini(&f->body);
	sl_free(f);
}

static const struct {
	CURLcode code;
	sl_err err;
} curl_errors[] = {
	{ CURLE_OK, SL_OK },
	{ CURLE_COULDNT_CONNECT, SL_ERR_REFUSED },
	{ CURLE_COULDNT_RESOLVE_HOST, SL_ERR_UNAVAILABLE },
	{ CURLE_OPERATION_TIMEDOUT, SL_ERR_TIMEOUT },
	{ CURLE_URL_MALFORMAT, SL_ERR_INVALID },
	{ CURLE_UNSUPPORTED_PROTOCOL, SL_ERR_INVALID },
	{ CURLE_GOT_NOTHING, SL_ERR_RESET },
	{ CURLE_RECV_ERROR, SL_ERR_RESET },
	{ CURLE_SEND_ERROR, SL_ERR_RESET },
	{ CURLE_PARTIAL_FILE, SL_ERR_RESET },
	{ CURLE_WEIRD_SERVER_REPLY, SL_ERR_MALFORMED },
	{ CURLE_SSL_CONNECT_ERROR, SL_ERR_TLS },
	{ CURLE_SSL_CERTPROBLEM, SL_ERR_TLS },
	{ CURLE_SSL_CIPHER, SL_ERR_TLS },
	{ CURLE_SSL_CACERT_BADFILE, SL_ERR_TLS },
	{ CURLE_PEER_FAILED_VERIFICATION, SL_ERR_TLS },
	{ CURLE_TOO_MANY_REDIRECTS, SL_ERR_TOO_BIG },
};

static sl_err error_of(const struct sl_fetch *f, CURLcode code)
{
	if (f->too_big)
		return SL_ERR_TOO_BIG;
	for (size_t i = 0; i < SL_ARRAY_COUNT(curl_errors); i++) {
		if (curl_errors[i].code == code)
			return curl_errors[i].err;
	}
	return SL_ERR_IO;
}

static void tell_done(struct sl_fetch *f, sl_err err, const char *detail)
{
	struct sl_fetch_response r = { .err = err, .detail = detail, .body = sl_buf_str(&f->body) };
	curl_off_t took_us = 0;
	char *type = NULL;
	long status = 0;

	if (f->cancelled)
		return;
	curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(f->easy, CURLINFO_CONTENT_TYPE, &type);
	curl_easy_getinfo(f->easy, CURLINFO_TOTAL_TIME_T, &took_us);
	r.status = (int)status;
	r.content_type = sl_str_c(type);
	r.took = SL_USEC(took_us);
	if (f->on_done)
		f->on_done(f, &r);
}

static void finish(struct sl_fetch *f, CURLcode code)
{
	sl_err err = error_of(f, code);
	const char *detail = err == SL_OK ? "" : f->too_big ? "the body is over the size limit" : f->detail;

	/* Out of libcurl's hands before the owner hears of it. */
	curl_multi_remove_handle(f->x->multi, f->easy);
	tell_done(f, err, err != SL_OK && !*detail ? curl_easy_strerror(code) : detail);
	free_fetch(f);
}

static void take_finished(struct sl_fetcher *x)
{
	struct CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(x->multi, &left))) {
		struct sl_fetch *f = NULL;
		CURLcode code = msg->data.result;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&f);
		finish(f, code);
	}
}

/* --- libcurl's callbacks --- */

static size_t on_curl_body(char *p, size_t one, size_t n, void *user)
{
	struct sl_fetch *f = user;

	(void)one;
	if (f->cancelled)
		return CURL_WRITEFUNC_ERROR;
	if (f->on_body)
		return f->on_body(f, sl_str_n(p, n)) ? n : CURL_WRITEFUNC_PAUSE;
	if (sl_buf_size(&f->body) + n > f->body_most_bytes) {
		f->too_big = true;
		return CURL_WRITEFUNC_ERROR;
	}
	sl_buf_add(&f->body, p, n);
	return n;
}

static size_t on_curl_header(char *p, size_t one, size_t n, void *user)
{
	struct sl_fetch *f = user;
	long status = 0;

	(void)one;
	/* The empty line ends a head; 1xx heads are followed by another. */
	if (f->on_head && !f->cancelled && sl_str_eq(sl_str_n(p, n), SL_STR("\r\n"))) {
		curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
		if (status >= 200)
			f->on_head(f, (int)status);
	}
	return n;
}

static void on_io(struct sl_loop *loop, struct sl_io *io, uint32_t events)
{
	struct watch *w = SL_CONTAINER_OF(io, struct watch, io);
	struct sl_fetcher *x = w->x;
	int running, what = 0;

	if (events & (SL_IO_READ | SL_IO_RDHUP))
		what |= CURL_CSELECT_IN;
	if (events & SL_IO_WRITE)
		what |= CURL_CSELECT_OUT;
	if (events & SL_IO_CLOSED)
		what |= CURL_CSELECT_ERR;
	curl_multi_socket_action(x->multi, io->fd, what, &running);
	if (io->fd >= 0)
		sl_loop_rearm(loop, io, io->mask);
	take_finished(x);
}

static void on_timer(struct sl_loop *loop, struct sl_timer *t)
{
	struct sl_fetcher *x = SL_CONTAINER_OF(t, struct sl_fetcher, timer);
	int running;

	(void)loop;
	curl_multi_socket_action(x->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	take_finished(x);
}

static int on_curl_timer(CURLM *multi, long ms, void *user)
{
	struct sl_fetcher *x = user;

	(void)multi;
	if (ms < 0)
		sl_timer_stop(x->loop, &x->timer);
	else
		sl_timer_in(x->loop, &x->timer, SL_MSEC(ms));
	return 0;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socket_user)
{
	struct sl_fetcher *x = user;
	struct watch *w = socket_user;
	uint32_t mask = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (!w)
			return 0;
		sl_loop_remove(x->loop, &w->io); /* the descriptor is libcurl's to close */
		sl_loop_free_later(x->loop, &w->dead, sl_free, w);
		return 0;
	}
	if (what & CURL_POLL_IN)
		mask |= SL_IO_READ;
	if (what & CURL_POLL_OUT)
		mask |= SL_IO_WRITE;
	if (w) {
		sl_loop_rearm(x->loop, &w->io, mask);
		return 0;
	}
	w = sl_new0(sizeof(*w));
	w->x = x;
	if (sl_loop_add(x->loop, &w->io, fd, mask, on_io) != SL_OK) {
		sl_free(w);
		return -1; /* libcurl fails the transfer */
	}
	curl_multi_assign(x->multi, fd, w);
	return 0;
}

/* --- the fetcher --- */

static void on_chores(struct sl_loop *loop, struct sl_task *task)
{
	struct sl_fetcher *x = SL_CONTAINER_OF(task, struct sl_fetcher, chores);

	(void)loop;
	SL_LIST_FOR_SAFE (node, &x->fetches) {
		struct sl_fetch *f = SL_LIST_ENTRY(node, struct sl_fetch, link);

		if (f->cancelled) {
			free_fetch(f);
		} else if (f->resuming) {
			f->resuming = false;
			curl_easy_pause(f->easy, CURLPAUSE_CONT);
		}
	}
	take_finished(x);
}

static void init_curl(void)
{
	curl_global_init(CURL_GLOBAL_ALL);
}

struct sl_fetcher *sl_fetcher_new(struct sl_loop *loop)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct sl_fetcher *x = sl_new0(sizeof(*x));

	pthread_once(&once, init_curl);
	x->loop = loop;
	x->timer.fn = on_timer;
	x->chores.fn = on_chores;
	sl_list_init(&x->fetches);
	x->multi = curl_multi_init();
	assert(x->multi); /* out of memory */
	curl_multi_setopt(x->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
	curl_multi_setopt(x->multi, CURLMOPT_SOCKETDATA, x);
	curl_multi_setopt(x->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	curl_multi_setopt(x->multi, CURLMOPT_TIMERDATA, x);
	return x;
}

static void free_fetcher(void *object)
{
	struct sl_fetcher *x = object;

	curl_multi_cleanup(
	        x->multi); /* closes the connections kept for reuse, and so removes their watches */
	sl_timer_stop(x->loop, &x->timer);
	sl_task_cancel(x->loop, &x->chores);
	sl_free(x);
}

void sl_fetcher_free(struct sl_fetcher *x)
{
	if (!x)
		return;
	x->ending = true;
	while (!sl_list_empty(&x->fetches)) {
		struct sl_fetch *f = SL_LIST_ENTRY(x->fetches.next, struct sl_fetch, link);

		curl_multi_remove_handle(x->multi, f->easy);
		tell_done(f, SL_ERR_CLOSED, "the client is closing");
		free_fetch(f);
	}
	sl_task_cancel(x->loop, &x->chores);
	sl_loop_free_later(x->loop, &x->dead, free_fetcher, x);
}

/* --- starting --- */

/* Nothing that could end a line and begin a header of its own. */
static bool is_line(sl_str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if ((unsigned char)s.p[i] < ' ' && s.p[i] != '\t')
			return false;
	}
	return true;
}

static bool add_header(struct sl_fetch *f, sl_str name, sl_str value)
{
	struct curl_slist *grown;
	char *line;

	if (name.len == 0 || !is_line(name) || !is_line(value) || sl_str_find(name, ':') != name.len)
		return false;
	/* libcurl's notation: "Name;" sends a header without value, "Name:" would remove one. */
	line = value.len ? sl_asprintf("%.*s: %.*s", SL_STR_ARG(name), SL_STR_ARG(value))
	                 : sl_asprintf("%.*s;", SL_STR_ARG(name));
	grown = curl_slist_append(f->headers, line);
	sl_free(line);
	if (grown)
		f->headers = grown;
	return grown != NULL;
}

static sl_err set_headers(struct sl_fetch *f, const struct sl_fetch_request *r)
{
	for (size_t i = 0; i < r->header_count; i++) {
		if (!add_header(f, r->headers[i].name, r->headers[i].value))
			return SL_ERR_INVALID;
	}
	if (r->bearer_token) {
		char *value = sl_asprintf("Bearer %s", r->bearer_token);
		bool ok = add_header(f, SL_STR("Authorization"), sl_str_c(value));

		sl_free(value);
		if (!ok)
			return SL_ERR_INVALID;
	}
	f->headers = curl_slist_append(
	        f->headers, "Expect:"); /* libcurl's way to send none: no waiting before large bodies */
	curl_easy_setopt(f->easy, CURLOPT_HTTPHEADER, f->headers);
	return SL_OK;
}

static void set_blob(CURL *easy, CURLoption option, sl_str pem)
{
	struct curl_blob blob = { .data = (void *)(uintptr_t)pem.p, .len = pem.len, .flags = CURL_BLOB_COPY };

	if (pem.len)
		curl_easy_setopt(easy, option, &blob);
}

static void set_security(CURL *easy, const struct sl_fetch_request *r)
{
	set_blob(easy, CURLOPT_CAINFO_BLOB, r->ca_pem);
	if (r->ca_pem.len)
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* these authorities and no others */
	set_blob(easy, CURLOPT_SSLCERT_BLOB, r->cert_pem);
	set_blob(easy, CURLOPT_SSLKEY_BLOB, r->key_pem);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (r->insecure) {
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
}

static long ms_of(sl_nsec d)
{
	return d ? (long)((d + SL_MSEC(1) - 1) / SL_MSEC(1)) : 0;
}

static void set_limits(struct sl_fetch *f, const struct sl_fetch_request *r)
{
	f->body_most_bytes = r->body_most_bytes ? r->body_most_bytes : 64u * 1024 * 1024;
	curl_easy_setopt(f->easy, CURLOPT_TIMEOUT_MS, ms_of(r->timeout));
	curl_easy_setopt(f->easy, CURLOPT_CONNECTTIMEOUT_MS,
	        ms_of(r->connect_timeout ? r->connect_timeout : SL_SEC(5)));
	if (r->stall_timeout) {
		curl_easy_setopt(f->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
		curl_easy_setopt(f->easy, CURLOPT_LOW_SPEED_TIME, (ms_of(r->stall_timeout) + 999) / 1000);
	}
	curl_easy_setopt(f->easy, CURLOPT_FOLLOWLOCATION, r->redirects_most ? 1L : 0L);
	curl_easy_setopt(f->easy, CURLOPT_MAXREDIRS, (long)r->redirects_most);
}

static sl_err set_method(CURL *easy, const struct sl_fetch_request *r)
{
	bool is_head = r->method && strcmp(r->method, "HEAD") == 0;

	for (const char *p = r->method; p && *p; p++) {
		if ((*p < 'A' || *p > 'Z') && (*p < 'a' || *p > 'z') && *p != '-')
			return SL_ERR_INVALID;
	}
	if (r->body.len || (r->method && strcmp(r->method, "POST") == 0)) {
		curl_easy_setopt(easy, CURLOPT_POST, 1L);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
		curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, r->body.len ? r->body.p : "");
	}
	if (is_head)
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	else if (r->method)
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, r->method);
	return SL_OK;
}

/* A proxy from the environment is for the world outside, not for this machine. */
static bool is_local(const char *host)
{
	struct sl_addr a;
	size_t len = strlen(host);

	if (strcmp(host, "localhost") == 0)
		return true;
	if (len > 2 && host[0] == '[')
		return sl_addr_from_ip(&a, sl_str_n(host + 1, len - 2), 0) == SL_OK &&
		       sl_addr_is_loopback(&a);
	return sl_addr_from_ip(&a, sl_str_n(host, len), 0) == SL_OK && sl_addr_is_loopback(&a);
}

static sl_err set_url(CURL *easy, const struct sl_fetch_request *r)
{
	char *scheme = NULL, *host = NULL;
	CURLU *url = curl_url();
	bool ok = url && r->url && is_line(sl_str_c(r->url)) &&
	          curl_url_set(url, CURLUPART_URL, r->url, 0) == CURLUE_OK &&
	          curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	          curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	          (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);

	if (ok) {
		curl_easy_setopt(easy, CURLOPT_URL, r->url);
		if (r->unix_path || is_local(host))
			curl_easy_setopt(easy, CURLOPT_PROXY, "");
	}
	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(url);
	return ok ? SL_OK : SL_ERR_INVALID;
}

static sl_err configure(struct sl_fetch *f, const struct sl_fetch_request *r)
{
	CURL *easy = f->easy;

	SL_TRY(set_url(easy, r));
	SL_TRY(set_method(easy, r));
	SL_TRY(set_headers(f, r));
	set_security(easy, r);
	set_limits(f, r);
	if (r->unix_path)
		curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, r->unix_path);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, f);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, f->detail);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_curl_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, f);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_curl_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, f);
	return SL_OK;
}

sl_err sl_fetch_start(struct sl_fetcher *x, const struct sl_fetch_request *request, struct sl_fetch **ret_f)
{
	struct sl_fetch *f = sl_new0(sizeof(*f));
	sl_err err;

	f->x = x;
	f->on_head = request->on_head;
	f->on_body = request->on_body;
	f->on_done = request->on_done;
	f->user = request->user;
	sl_list_push(&x->fetches, &f->link);
	f->easy = curl_easy_init();
	err = x->ending ? SL_ERR_CLOSED : f->easy ? configure(f, request) : SL_ERR_INTERNAL;
	/* Adding only asks for the timer; all else happens in the loop. */
	if (err == SL_OK && curl_multi_add_handle(x->multi, f->easy) != CURLM_OK)
		err = SL_ERR_INTERNAL;
	if (err != SL_OK) {
		free_fetch(f);
		return err;
	}
	if (ret_f)
		*ret_f = f;
	return SL_OK;
}

void sl_fetch_cancel(struct sl_fetch *f)
{
	f->cancelled = true; /* perhaps within one of libcurl's callbacks: it goes at the end of the turn */
	sl_loop_defer(f->x->loop, &f->x->chores);
}

void sl_fetch_resume(struct sl_fetch *f)
{
	f->resuming = true;
	sl_loop_defer(f->x->loop, &f->x->chores);
}

void *sl_fetch_user(const struct sl_fetch *f)
{
	return f->user;
}

/* --- waiting for one --- */

struct waiter {
	bool done;
	sl_err err;
	int status;
	struct sl_buf *body;
	struct sl_diag *diag;
};

static void on_waited(struct sl_fetch *f, const struct sl_fetch_response *r)
{
	struct waiter *w = f->x->waiter;

	w->done = true;
	w->err = r->err;
	w->status = r->status;
	if (w->body)
		sl_buf_str_add(w->body, r->body);
	if (r->err != SL_OK)
		sl_diag_add(w->diag, NULL, NULL, "%s", r->detail);
}

static bool is_done(void *arg)
{
	return ((struct waiter *)arg)->done;
}

sl_err sl_fetch_wait(
        const struct sl_fetch_request *request, int *ret_status, struct sl_buf *b, struct sl_diag *diag)
{
	struct waiter w = { .body = b, .diag = diag };
	struct sl_fetch_request own = *request;
	struct sl_fetcher *x;
	struct sl_loop loop;
	sl_err err;

	SL_TRY(sl_loop_init(&loop, NULL));
	x = sl_fetcher_new(&loop);
	x->waiter = &w;
	own.on_done = on_waited;
	err = sl_fetch_start(x, &own, NULL);
	if (err == SL_OK)
		sl_loop_run_until(&loop, is_done, &w, SL_SEC(86400) * 365);
	else
		sl_diag_add(diag, NULL, NULL, "%s is not a request that can be sent", request->url);
	sl_fetcher_free(x);
	sl_loop_fini(&loop);
	if (err == SL_OK)
		err = w.err;
	if (err == SL_OK && ret_status)
		*ret_status = w.status;
	return err;
}
