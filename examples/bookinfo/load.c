/*
 * The demo's users: a paced load on the product page over keep-alive connections, one thread each. Every 100 ms it writes a line of
 * JSON with the totals so far, and at once a line for every request that failed without a fault of a version being the reason.
 */
#include "examples/bookinfo/bookinfo.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VERSIONS_MOST = 8, THREADS_MOST = 64 };

struct version_count {
	char name[16];
	uint64_t requests, failed;
	int64_t first_failed_us, last_us; /* Unix time of arrival of the answer */
};

static struct {
	pthread_mutex_t lock;
	uint64_t requests, ok, faults, lost;
	uint64_t slowest_us;
	struct version_count versions[VERSIONS_MOST];
} totals = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct {
	const char *url;
	double rate;
	int connections, seconds;
} settings;

static volatile sig_atomic_t stopping;

static int64_t now_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

struct answer {
	char version[16];
	bool fault;
};

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
	struct answer *a = arg;
	sl_str text = sl_str_n(line, size * count), name;
	sl_str value = text;

	while (value.len && (value.p[value.len - 1] == '\r' || value.p[value.len - 1] == '\n'))
		value.len--;
	if (sl_str_split(&value, ':', &name) && sl_str_eq_nocase(name, SL_STR("x-reviews-version")))
		sl_str_copy(a->version, sizeof(a->version), sl_str_trim(value));
	if (sl_str_eq_nocase(name, SL_STR("x-fault")))
		a->fault = true;
	return text.len;
}

static size_t drop_body(char *p, size_t size, size_t count, void *arg)
{
	(void)p;
	(void)arg;
	return size * count;
}

static void count_version(const struct answer *a, bool failed)
{
	int64_t now = now_us(CLOCK_REALTIME);
	sl_str version = sl_str_n(a->version, strlen(a->version));

	for (size_t i = 0; i < VERSIONS_MOST; i++) {
		struct version_count *v = &totals.versions[i];

		if (!v->name[0])
			sl_str_copy(v->name, sizeof(v->name), version);
		if (!sl_str_eq_c(version, v->name))
			continue;
		v->requests++;
		v->last_us = now;
		if (failed && !v->failed++)
			v->first_failed_us = now;
		return;
	}
}

static void count(CURL *curl, CURLcode code, const struct answer *a, uint64_t took_us)
{
	long status = 0;
	bool ok;

	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	ok = code == CURLE_OK && status == 200;
	pthread_mutex_lock(&totals.lock);
	totals.requests++;
	totals.ok += ok;
	if (took_us > totals.slowest_us)
		totals.slowest_us = took_us;
	if (!ok && a->fault)
		totals.faults++;
	if (!ok && !a->fault) {
		totals.lost++;
		printf("{\"lost\":{\"at_us\":%" PRId64 ",\"status\":%ld,\"error\":\"%s\"}}\n",
		        now_us(CLOCK_REALTIME), status, code == CURLE_OK ? "" : curl_easy_strerror(code));
	}
	if (a->version[0])
		count_version(a, !ok);
	pthread_mutex_unlock(&totals.lock);
}

/* Thread i sends request i, i + N, i + 2N, ... of the paced sequence. */
static void *run_connection(void *arg)
{
	int index = (int)(intptr_t)arg;
	int64_t start = now_us(CLOCK_MONOTONIC), step = (int64_t)(1e6 * settings.connections / settings.rate);
	int64_t due = start + (int64_t)(1e6 * index / settings.rate);
	int64_t end = settings.seconds ? start + (int64_t)settings.seconds * 1000000 : INT64_MAX;
	CURL *curl = curl_easy_init();
	struct answer a;

	curl_easy_setopt(curl, CURLOPT_URL, settings.url);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, &a);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop_body);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 5000L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	for (; !stopping && due < end; due += step) {
		struct timespec at = { .tv_sec = due / 1000000, .tv_nsec = due % 1000000 * 1000 };
		int64_t sent;
		CURLcode code;

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
		memset(&a, 0, sizeof(a));
		sent = now_us(CLOCK_MONOTONIC);
		code = curl_easy_perform(curl);
		count(curl, code, &a, (uint64_t)(now_us(CLOCK_MONOTONIC) - sent));
	}
	curl_easy_cleanup(curl);
	return NULL;
}

static void report(void)
{
	pthread_mutex_lock(&totals.lock);
	printf("{\"at_us\":%" PRId64 ",\"requests\":%" PRIu64 ",\"ok\":%" PRIu64 ",\"faults\":%" PRIu64
	       ",\"lost_count\":%" PRIu64 ",\"slowest_us\":%" PRIu64 ",\"versions\":{",
	        now_us(CLOCK_REALTIME), totals.requests, totals.ok, totals.faults, totals.lost,
	        totals.slowest_us);
	for (size_t i = 0; i < VERSIONS_MOST && totals.versions[i].name[0]; i++) {
		const struct version_count *v = &totals.versions[i];

		printf("%s\"%s\":{\"requests\":%" PRIu64 ",\"failed\":%" PRIu64
		       ",\"first_failed_us\":%" PRId64 ",\"last_us\":%" PRId64 "}",
		        i ? "," : "", v->name, v->requests, v->failed, v->first_failed_us, v->last_us);
	}
	puts("}}");
	fflush(stdout);
	totals.slowest_us = 0;
	pthread_mutex_unlock(&totals.lock);
}

static void on_signal(int number)
{
	(void)number;
	stopping = 1;
}

static bool parse(int argc, char **argv)
{
	settings.url = NULL;
	settings.rate = 200;
	settings.connections = 16;
	for (int i = 0; i < argc; i++) {
		sl_str rest = sl_str_c(argv[i]), name;

		if (!sl_str_split(&rest, '=', &name) || !rest.len)
			return false;
		if (sl_str_eq_c(name, "--url"))
			settings.url = rest.p;
		else if (sl_str_eq_c(name, "--rate"))
			settings.rate = atof(rest.p);
		else if (sl_str_eq_c(name, "--connections"))
			settings.connections = atoi(rest.p);
		else if (sl_str_eq_c(name, "--seconds"))
			settings.seconds = atoi(rest.p);
		else
			return false;
	}
	return settings.url && settings.rate > 0 && settings.rate <= 100000 && settings.connections > 0 &&
	       settings.connections <= THREADS_MOST && settings.seconds >= 0;
}

int load_main(int argc, char **argv)
{
	pthread_t threads[THREADS_MOST];
	int64_t end;

	if (!parse(argc, argv)) {
		fputs("usage: bookinfo load --url=URL [--rate=PER_SECOND] [--connections=1..64] [--seconds=N]\n",
		        stderr);
		return 2;
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	end = settings.seconds ? now_us(CLOCK_MONOTONIC) + (int64_t)settings.seconds * 1000000 : INT64_MAX;
	for (int i = 0; i < settings.connections; i++)
		pthread_create(&threads[i], NULL, run_connection, (void *)(intptr_t)i);
	while (!stopping && now_us(CLOCK_MONOTONIC) < end) {
		nanosleep(&(struct timespec) { .tv_nsec = 100000000 }, NULL);
		report();
	}
	for (int i = 0; i < settings.connections; i++)
		pthread_join(threads[i], NULL);
	report();
	curl_global_cleanup();
	return 0;
}
