/*
 * Nanoseconds to parse one head, for heads as they come. Prints one line each, and what a proxied request costs: its request and response.
 * usage: proto_http1_bench [--json]; the least of some rounds is printed, as the one least disturbed.
 */
#include "base/mem.h"
#include "proto/http1.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PARSES = 200000, ROUNDS = 15 };
enum { REQUEST = 2, RESPONSE = 5 }; /* the rows that stand for a proxied request */

static const struct {
	const char *name;
	bool response;
	sl_str head;
} heads[] = {
	{ "request, wrk", false, SL_STR("GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n") },
	{ "request, curl", false,
	        SL_STR("GET /reviews/0 HTTP/1.1\r\nHost: reviews:9080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n") },
	{ "request, service to service", false,
	        SL_STR("GET /reviews/0?lang=en HTTP/1.1\r\nhost: reviews.default.svc.cluster.local:9080\r\n"
	               "user-agent: python-requests/2.28.1\r\naccept-encoding: gzip, deflate\r\naccept: */*\r\n"
	               "x-request-id: 5f8f1a1e-7a52-9d9b-8a35-6f5c3e7f9a10\r\n"
	               "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
	               "x-forwarded-for: 10.1.2.3\r\nx-forwarded-proto: http\r\n\r\n") },
	{ "request, browser", false,
	        SL_STR("GET /productpage?u=normal HTTP/1.1\r\nHost: bookinfo.example.com\r\nConnection: keep-alive\r\n"
	               "sec-ch-ua: \"Chromium\";v=\"116\", \"Not)A;Brand\";v=\"24\"\r\nsec-ch-ua-mobile: ?0\r\n"
	               "Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 "
	               "(KHTML, like Gecko) Chrome/116.0.0.0 Safari/537.36\r\n"
	               "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
	               "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nAccept-Encoding: gzip, deflate, br\r\n"
	               "Accept-Language: en-GB,en;q=0.9\r\nCookie: session=eyJ1c2VyIjoiamFzb24ifQ.ZPvXkA.x8Q2r1m0aFh2yTn3oVd\r\n\r\n") },
	{ "response, least", true, SL_STR("HTTP/1.1 200 OK\r\nContent-Length: 128\r\n\r\n") },
	{ "response, nginx", true,
	        SL_STR("HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 01 Jan 2023 00:00:00 GMT\r\n"
	               "Content-Type: text/html\r\nContent-Length: 615\r\nLast-Modified: Sat, 31 Dec 2022 00:00:00 GMT\r\n"
	               "Connection: keep-alive\r\nETag: \"63af0000-267\"\r\nAccept-Ranges: bytes\r\n\r\n") },
};

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static double round_ns(size_t which)
{
	const struct sl_http1_limits limits = SL_HTTP1_LIMITS;
	sl_str s = heads[which].head;
	static struct sl_http1_head h;
	double from = now_ns();
	sl_err err;

	for (int i = 0; i < PARSES; i++) {
		sl_http1_head_init(&h);
		__asm__ volatile(""
		                 :
		                 : "r"(s.p)
		                 : "memory"); /* the bytes are new each time, as far as the compiler knows */
		err = heads[which].response ? sl_http1_response(&h, s.p, s.len, &limits, SL_METHOD_GET)
		                            : sl_http1_request(&h, s.p, s.len, &limits);
		if (err != SL_OK || h.head_bytes != s.len) {
			fprintf(stderr, "%s: %s\n", heads[which].name, sl_http1_fault_text(h.fault));
			exit(1);
		}
	}
	return (now_ns() - from) / PARSES;
}

static void print_json(const double *ns)
{
	printf("{\"bench\": \"codec\", \"heads\": [");
	for (size_t i = 0; i < SL_ARRAY_COUNT(heads); i++)
		printf("%s{\"name\": \"%s\", \"bytes\": %zu, \"ns\": %.1f}", i ? ", " : "", heads[i].name,
		        heads[i].head.len, ns[i]);
	printf("], \"us_per_request\": %.3f}\n", (ns[REQUEST] + ns[RESPONSE]) / 1000);
}

static void print_table(const double *ns)
{
	for (size_t i = 0; i < SL_ARRAY_COUNT(heads); i++)
		printf("%-30s %5zu bytes %7.1f ns\n", heads[i].name, heads[i].head.len, ns[i]);
	printf("both heads of a request (%s; %s): %.3f us\n", heads[REQUEST].name, heads[RESPONSE].name,
	        (ns[REQUEST] + ns[RESPONSE]) / 1000);
}

int main(int argc, char **argv)
{
	bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
	double least[SL_ARRAY_COUNT(heads)] = { 0 };

	for (int r = 0; r < ROUNDS; r++) {
		for (size_t i = 0; i < SL_ARRAY_COUNT(heads); i++) {
			double ns = round_ns(i);

			least[i] = r == 0 || ns < least[i] ? ns : least[i];
		}
	}
	(json ? print_json : print_table)(least);
	return 0;
}
