#include "base/test.h"

#include "proto/http1.h"

#include <stdlib.h>

/*
 * Heads, as rows: raw bytes, the verdict, and the sentence behind it. Each row runs whole and byte by byte, every prefix in heap
 * memory of exactly its size, so that a read beyond the end is a fault under ASan.
 */

#define HOST "Host: a\r\n"
#define FIELDS(f) "GET / HTTP/1.1\r\n" HOST f "\r\n"
#define POST(f) "POST / HTTP/1.1\r\n" HOST f "\r\n"
#define ROW(text) .in = text, .len = sizeof(text) - 1

struct row {
	const char *in;
	size_t len;
	enum sl_http1_fault fault;
	enum sl_http1_framing framing;
	uint64_t length;
	bool closes;       /* !keep_alive */
	bool again;        /* the head is not complete */
	enum sl_method to; /* responses: the request's method */
	const char *note;
};

static const struct row requests[] = {
	/* clang-format off */
	/* request line: RFC 9112 section 3 */
	{ ROW("GET / HTTP/1.1\r\n" HOST "\r\n"), .note = "the least" },
	{ ROW("GET / HTTP/1.0\r\n\r\n"), .closes = true, .note = "1.0 needs no Host and does not persist" },
	{ ROW("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), .note = "9112 9.3: unless it asks to" },
	{ ROW("GET / HTTP/1.2\r\n" HOST "\r\n"), .note = "9110 2.5: a higher minor version is read as 1.1" },
	{ ROW("GET / HTTP/1.9\r\n\r\n"), .fault = SL_HTTP1_FAULT_HOST_MISSING, .note = "and needs a Host as 1.1 does" },
	{ ROW("\r\nGET / HTTP/1.1\r\n" HOST "\r\n"), .note = "9112 2.2: one empty line before it is ignored" },
	{ ROW("\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_REQUEST_LINE, .note = "not two" },
	{ ROW("\nGET / HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_BARE_LF },
	{ ROW("BREW /pot HTTP/1.1\r\n" HOST "\r\n"), .note = "9110 9.1: methods are open" },
	{ ROW("get / HTTP/1.1\r\n" HOST "\r\n"), .note = "and case-sensitive: this is another one" },
	{ ROW("!#$%&'*+-.^_`|~09azAZ / HTTP/1.1\r\n" HOST "\r\n"), .note = "9110 5.6.2: every tchar" },
	{ ROW("G(T / HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_METHOD },
	{ ROW("G\xc3\x89T / HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_METHOD },
	{ ROW(" GET / HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_METHOD },
	{ ROW("\tGET / HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_CONTROL },
	{ ROW("GET  / HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_REQUEST_LINE, .note = "one space, not two" },
	{ ROW("GET /  HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_VERSION },
	{ ROW("GET\t/ HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_CONTROL, .note = "9112 3: not in a strict parser" },
	{ ROW("GET /\tHTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_CONTROL },
	{ ROW("GET / HTTP/1.1 \r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_VERSION },
	{ ROW("GET /\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_REQUEST_LINE, .note = "HTTP/0.9" },
	{ ROW("GET\r\n\r\n"), .fault = SL_HTTP1_FAULT_REQUEST_LINE },
	{ ROW("GET / \r\n\r\n"), .fault = SL_HTTP1_FAULT_VERSION },
	{ ROW("GET HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_REQUEST_LINE },
	{ ROW("GET / a HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_VERSION, .note = "a space in the target" },
	{ ROW("GET / http/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_VERSION, .note = "9112 2.3: case-sensitive" },
	{ ROW("GET / HTTP/1.10\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_VERSION },
	{ ROW("GET / HTTP/11\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_VERSION },
	{ ROW("GET / HTTP/1,1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_VERSION },
	{ ROW("GET / HTTP/1.x\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_VERSION },
	{ ROW("GET / HTTP/2.0\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_VERSION_MAJOR, .note = "9110 15.6.6" },
	{ ROW("GET / HTTP/0.9\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_VERSION_MAJOR },
	{ ROW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), .fault = SL_HTTP1_FAULT_VERSION_MAJOR },
	{ ROW("GET / HTTP/1.1\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_BARE_LF, .note = "9112 2.2 lets one; smuggling" },
	{ ROW("GET / HTTP/1.1\r" HOST "\r\n\r\n"), .fault = SL_HTTP1_FAULT_BARE_CR },
	{ ROW("GET / HTTP/1.1\r\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_BARE_CR },
	{ ROW("GET /\0 HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_CONTROL },
	{ ROW("GET /\x7f HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_CONTROL },
	/* targets: RFC 9112 section 3.2 */
	{ ROW("GET /?a=b&c=%20;d/?:@!$'()*+,~ HTTP/1.1\r\n" HOST "\r\n") },
	{ ROW("GET /a{b}|c^`[d]\\ HTTP/1.1\r\n" HOST "\r\n"), .note = "browsers send these raw" },
	{ ROW("GET /a#b HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_TARGET, .note = "no fragment in any form" },
	{ ROW("GET /\" HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_TARGET },
	{ ROW("GET /< HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_TARGET },
	{ ROW("GET /0123456789abcdef> HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_TARGET },
	{ ROW("GET /0123456789abcdef0123456789\x80 HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_TARGET },
	{ ROW("GET a HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_TARGET_FORM },
	{ ROW("GET ?a HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_TARGET_FORM },
	{ ROW("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), .note = "3.2.4" },
	{ ROW("GET * HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_TARGET_FORM },
	{ ROW("OPTIONS ** HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_TARGET_FORM },
	{ ROW("GET http://a/b HTTP/1.1\r\n" HOST "\r\n"), .note = "3.2.2" },
	{ ROW("GET HTTPS://A?b HTTP/1.1\r\n" HOST "\r\n"), .note = "scheme and host fold case" },
	{ ROW("GET http://b/ HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_HOST_DIFFERS },
	{ ROW("GET http://u@a/ HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_TARGET_FORM, .note = "9110 4.2.4" },
	{ ROW("GET http:///b HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_TARGET_FORM, .note = "9110 4.2.1" },
	{ ROW("GET http:// HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_TARGET_FORM },
	{ ROW("GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_TARGET_FORM },
	{ ROW("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"), .note = "3.2.3" },
	{ ROW("CONNECT a HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_TARGET_FORM, .note = "9110 9.3.6: with a port" },
	{ ROW("CONNECT a: HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_TARGET_FORM },
	{ ROW("CONNECT /x HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_TARGET_FORM },
	{ ROW("GET a:443 HTTP/1.1\r\n" HOST "\r\n"), .fault = SL_HTTP1_FAULT_TARGET_FORM },
	/* Host: RFC 9112 section 3.2 */
	{ ROW("GET / HTTP/1.1\r\n\r\n"), .fault = SL_HTTP1_FAULT_HOST_MISSING },
	{ ROW("GET / HTTP/1.1\r\nHost:\r\n\r\n"), .note = "may be empty" },
	{ ROW(FIELDS(HOST)), .fault = SL_HTTP1_FAULT_HOST_REPEATED, .note = "even when the same" },
	{ ROW("GET / HTTP/1.0\r\n" HOST HOST "\r\n"), .fault = SL_HTTP1_FAULT_HOST_REPEATED },
	{ ROW("GET / HTTP/1.1\r\nHost: a.b-c_d~1:8080\r\n\r\n") },
	{ ROW("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n") },
	{ ROW("GET / HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n") },
	{ ROW("GET / HTTP/1.1\r\nHost: %61\r\n\r\n"), .note = "3986 3.2.2 allows it" },
	{ ROW("GET / HTTP/1.1\r\nHost: %6\r\n\r\n"), .fault = SL_HTTP1_FAULT_HOST },
	{ ROW("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), .fault = SL_HTTP1_FAULT_HOST },
	{ ROW("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), .fault = SL_HTTP1_FAULT_HOST },
	{ ROW("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), .fault = SL_HTTP1_FAULT_HOST },
	{ ROW("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"), .fault = SL_HTTP1_FAULT_HOST },
	{ ROW("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"), .fault = SL_HTTP1_FAULT_HOST },
	{ ROW("GET / HTTP/1.1\r\nHost: a:000080\r\n\r\n"), .fault = SL_HTTP1_FAULT_HOST },
	{ ROW("GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n"), .fault = SL_HTTP1_FAULT_HOST },
	{ ROW("GET / HTTP/1.1\r\nHost: :80\r\n\r\n"), .fault = SL_HTTP1_FAULT_HOST },
	{ ROW("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), .fault = SL_HTTP1_FAULT_HOST },
	{ ROW("GET / HTTP/1.1\r\nHost: []\r\n\r\n"), .fault = SL_HTTP1_FAULT_HOST },
	{ ROW("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n"), .fault = SL_HTTP1_FAULT_HOST },
	{ ROW("GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n"), .fault = SL_HTTP1_FAULT_HOST },
	/* fields: RFC 9112 section 5, RFC 9110 section 5 */
	{ ROW(FIELDS("A: b\r\nC:d\r\nE:\r\nF: \t g h\t \r\n")) },
	{ ROW(FIELDS("X: \x80\xff obs-text\r\n")), .note = "9110 5.5" },
	{ ROW(FIELDS("0123456789abcdef0123456789abcdef: long name\r\n")) },
	{ ROW(FIELDS("A : b\r\n")), .fault = SL_HTTP1_FAULT_FIELD_SPACE, .note = "5.1: 400" },
	{ ROW(FIELDS("A\t: b\r\n")), .fault = SL_HTTP1_FAULT_FIELD_SPACE },
	{ ROW(FIELDS("Content-Length : 5\r\n")), .fault = SL_HTTP1_FAULT_FIELD_SPACE },
	{ ROW(FIELDS(" A: b\r\n")), .fault = SL_HTTP1_FAULT_OBS_FOLD },
	{ ROW("GET / HTTP/1.1\r\n " HOST "\r\n"), .fault = SL_HTTP1_FAULT_OBS_FOLD, .note = "2.2" },
	{ ROW(FIELDS("A: b\r\n c\r\n")), .fault = SL_HTTP1_FAULT_OBS_FOLD, .note = "5.2" },
	{ ROW(FIELDS("A: b\r\n\tc\r\n")), .fault = SL_HTTP1_FAULT_OBS_FOLD },
	{ ROW(FIELDS("A: b\r\n \r\n")), .fault = SL_HTTP1_FAULT_OBS_FOLD },
	{ ROW(FIELDS(": b\r\n")), .fault = SL_HTTP1_FAULT_FIELD_NAME },
	{ ROW(FIELDS("A\r\n")), .fault = SL_HTTP1_FAULT_FIELD_COLON },
	{ ROW(FIELDS("A\r\nB: c\r\n")), .fault = SL_HTTP1_FAULT_FIELD_COLON },
	{ ROW(FIELDS("A B: c\r\n")), .fault = SL_HTTP1_FAULT_FIELD_NAME },
	{ ROW(FIELDS("A(: c\r\n")), .fault = SL_HTTP1_FAULT_FIELD_NAME },
	{ ROW(FIELDS("\"A\": c\r\n")), .fault = SL_HTTP1_FAULT_FIELD_NAME },
	{ ROW(FIELDS("A\xe9: c\r\n")), .fault = SL_HTTP1_FAULT_FIELD_NAME },
	{ ROW(FIELDS("A\0: c\r\n")), .fault = SL_HTTP1_FAULT_CONTROL },
	{ ROW(FIELDS("\rontent-length: 5\r\n")), .fault = SL_HTTP1_FAULT_BARE_CR, .note = "CR | 0x20 is '-'" },
	{ ROW(FIELDS("Content\rLength: 5\r\n")), .fault = SL_HTTP1_FAULT_BARE_CR },
	{ ROW(FIELDS("A: b\nC: d\r\n")), .fault = SL_HTTP1_FAULT_BARE_LF },
	{ ROW(FIELDS("A: b\n")), .fault = SL_HTTP1_FAULT_BARE_LF },
	{ ROW("GET / HTTP/1.1\r\n" HOST "\n"), .fault = SL_HTTP1_FAULT_BARE_LF, .note = "the empty line too" },
	{ ROW("GET / HTTP/1.1\r\n" HOST "\r\r\n"), .fault = SL_HTTP1_FAULT_BARE_CR },
	{ ROW("GET / HTTP/1.1\r\n" HOST "\rX\r\n\r\n"), .fault = SL_HTTP1_FAULT_BARE_CR },
	{ ROW(FIELDS("A: b\rc\r\n")), .fault = SL_HTTP1_FAULT_BARE_CR },
	{ ROW(FIELDS("A: b\r\r\n")), .fault = SL_HTTP1_FAULT_BARE_CR },
	{ ROW(FIELDS("A: b\0c\r\n")), .fault = SL_HTTP1_FAULT_CONTROL, .note = "5.5: NUL" },
	{ ROW(FIELDS("A: 0123456789abcdef\x01\r\n")), .fault = SL_HTTP1_FAULT_CONTROL },
	{ ROW(FIELDS("A: \x0b\r\n")), .fault = SL_HTTP1_FAULT_CONTROL },
	{ ROW(FIELDS("A: \x7f\r\n")), .fault = SL_HTTP1_FAULT_CONTROL },
	/* framing: RFC 9112 section 6 */
	{ ROW(POST("Content-Length: 5\r\n")), .framing = SL_HTTP1_LENGTH, .length = 5 },
	{ ROW(POST("Content-Length: 0\r\n")) },
	{ ROW(POST("content-LENGTH:\t007 \r\n")), .framing = SL_HTTP1_LENGTH, .length = 7, .note = "9110 8.6: 1*DIGIT" },
	{ ROW(POST("Content-Length: 9223372036854775807\r\n")), .framing = SL_HTTP1_LENGTH, .length = INT64_MAX },
	{ ROW(POST("Content-Length: 9223372036854775808\r\n")), .fault = SL_HTTP1_FAULT_LENGTH },
	{ ROW(POST("Content-Length: 18446744073709551621\r\n")), .fault = SL_HTTP1_FAULT_LENGTH, .note = "9110 8.6: overflow" },
	{ ROW(POST("Content-Length:\r\n")), .fault = SL_HTTP1_FAULT_LENGTH },
	{ ROW(POST("Content-Length: +5\r\n")), .fault = SL_HTTP1_FAULT_LENGTH },
	{ ROW(POST("Content-Length: -5\r\n")), .fault = SL_HTTP1_FAULT_LENGTH },
	{ ROW(POST("Content-Length: 0x5\r\n")), .fault = SL_HTTP1_FAULT_LENGTH },
	{ ROW(POST("Content-Length: 5 5\r\n")), .fault = SL_HTTP1_FAULT_LENGTH },
	{ ROW(POST("Content-Length: 5, 5\r\n")), .fault = SL_HTTP1_FAULT_LENGTH, .note = "6.3 rule 5; we take no lists" },
	{ ROW(POST("Content-Length: 5,6\r\n")), .fault = SL_HTTP1_FAULT_LENGTH },
	{ ROW(POST("Content-Length: 5.0\r\n")), .fault = SL_HTTP1_FAULT_LENGTH },
	{ ROW(POST("Content-Length: 5\r\nContent-Length: 5\r\n")), .fault = SL_HTTP1_FAULT_LENGTH_REPEATED },
	{ ROW(POST("Content-Length: 5\r\nA: b\r\ncontent-length: 6\r\n")), .fault = SL_HTTP1_FAULT_LENGTH_REPEATED },
	{ ROW(POST("Transfer-Encoding: chunked\r\n")), .framing = SL_HTTP1_CHUNKED },
	{ ROW(POST("Transfer-Encoding: CHUNKED\r\n")), .framing = SL_HTTP1_CHUNKED, .note = "7: codings fold case" },
	{ ROW(POST("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")), .fault = SL_HTTP1_FAULT_LENGTH_AND_TE, .note = "6.3 rule 3" },
	{ ROW(POST("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n")), .fault = SL_HTTP1_FAULT_LENGTH_AND_TE },
	{ ROW(POST("Content-Length: x\r\nTransfer-Encoding: identity\r\n")), .fault = SL_HTTP1_FAULT_LENGTH_AND_TE },
	{ ROW(POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")), .fault = SL_HTTP1_FAULT_TE_REPEATED, .note = "6.1" },
	{ ROW(POST("Transfer-Encoding: chunked, chunked\r\n")), .fault = SL_HTTP1_FAULT_TE_REPEATED },
	{ ROW(POST("Transfer-Encoding: chunked, gzip\r\n")), .fault = SL_HTTP1_FAULT_TE_REPEATED, .note = "6.3 rule 4" },
	{ ROW(POST("Transfer-Encoding: chunked,\r\n")), .fault = SL_HTTP1_FAULT_TE_REPEATED },
	{ ROW(POST("Transfer-Encoding: gzip, chunked\r\n")), .fault = SL_HTTP1_FAULT_TE_UNKNOWN, .note = "6.1: 501" },
	{ ROW(POST("Transfer-Encoding: gzip\r\n")), .fault = SL_HTTP1_FAULT_TE_UNKNOWN },
	{ ROW(POST("Transfer-Encoding: identity\r\n")), .fault = SL_HTTP1_FAULT_TE_UNKNOWN },
	{ ROW(POST("Transfer-Encoding: xchunked\r\n")), .fault = SL_HTTP1_FAULT_TE_UNKNOWN },
	{ ROW(POST("Transfer-Encoding: \"chunked\"\r\n")), .fault = SL_HTTP1_FAULT_TE_UNKNOWN },
	{ ROW(POST("Transfer-Encoding: chunked;q=1\r\n")), .fault = SL_HTTP1_FAULT_TE_UNKNOWN },
	{ ROW(POST("Transfer-Encoding: ,chunked\r\n")), .fault = SL_HTTP1_FAULT_TE_UNKNOWN },
	{ ROW(POST("Transfer-Encoding:\r\n")), .fault = SL_HTTP1_FAULT_TE_UNKNOWN },
	{ ROW(POST("Transfer-Encoding: \x0b" "chunked\r\n")), .fault = SL_HTTP1_FAULT_CONTROL },
	{ ROW(POST("Transfer-Encoding : chunked\r\n")), .fault = SL_HTTP1_FAULT_FIELD_SPACE },
	{ ROW("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), .fault = SL_HTTP1_FAULT_TE_IN_1_0, .note = "6.1" },
	{ ROW("CONNECT a:1 HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n"), .fault = SL_HTTP1_FAULT_CONNECT_BODY },
	{ ROW("CONNECT a:1 HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"), .fault = SL_HTTP1_FAULT_CONNECT_BODY },
	{ ROW(FIELDS("Content-Length: 5\r\n")), .framing = SL_HTTP1_LENGTH, .length = 5, .note = "9110 9.3.1: GET may" },
	/* persistence and options: RFC 9112 section 9, RFC 9110 section 7.6.1 */
	{ ROW(FIELDS("Connection: close\r\n")), .closes = true },
	{ ROW(FIELDS("Connection: keep-alive, CLOSE\r\n")), .closes = true },
	{ ROW(FIELDS("Connection: keep-alive\r\nConnection: close\r\n")), .closes = true },
	{ ROW(FIELDS("Connection: closed\r\n")), .note = "another option" },
	{ ROW(FIELDS("Connection: ,, keep-alive ,\r\n")), .note = "9110 5.6.1: empty elements" },
	{ ROW("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"), .closes = true },
	{ ROW(FIELDS("Connection: a b\r\n")), .fault = SL_HTTP1_FAULT_CONNECTION },
	{ ROW(FIELDS("Connection: 1,2,3,4,5,6,7,8,9,a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x\r\n")), .fault = SL_HTTP1_FAULT_CONNECTION },
	{ ROW(POST("Expect: 100-Continue\r\nContent-Length: 1\r\n")), .framing = SL_HTTP1_LENGTH, .length = 1 },
	{ ROW(POST("Expect: 200-ok\r\n")), .fault = SL_HTTP1_FAULT_EXPECT, .note = "9110 10.1.1: 417" },
	{ ROW(POST("Expect: 100-continue\r\nExpect: 100-continue\r\n")), .fault = SL_HTTP1_FAULT_EXPECT },
	{ ROW("POST / HTTP/1.0\r\nExpect: x\r\n\r\n"), .closes = true, .note = "9110 10.1.1: ignored from 1.0" },
	/* cut short */
	{ ROW(""), .again = true },
	{ ROW("\r"), .again = true },
	{ ROW("G(T"), .again = true, .note = "a line is judged when it is whole" },
	{ ROW("GET / HTTP/1.1\r\n" HOST), .again = true },
	{ ROW("GET / HTTP/1.1\r\n" HOST "\r"), .again = true },
	{ ROW("GET / HTTP/1.1\r\nbad header\r"), .again = true },
	/* clang-format on */
};

static const struct row responses[] = {
	/* clang-format off */
	{ ROW("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), .framing = SL_HTTP1_LENGTH, .length = 5 },
	{ ROW("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") },
	{ ROW("HTTP/1.1 200 OK\r\n\r\n"), .framing = SL_HTTP1_UNTIL_CLOSE, .closes = true, .note = "6.3 rule 8" },
	{ ROW("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n"), .framing = SL_HTTP1_UNTIL_CLOSE, .closes = true },
	{ ROW("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n"), .framing = SL_HTTP1_LENGTH, .length = 5, .closes = true },
	{ ROW("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n"), .framing = SL_HTTP1_LENGTH, .length = 5 },
	{ ROW("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), .framing = SL_HTTP1_CHUNKED },
	{ ROW("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"), .note = "4: the reason may be empty" },
	{ ROW("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), .note = "many leave the space out too" },
	{ ROW("HTTP/1.1 200 \t\xe9 reason: here\r\nContent-Length: 0\r\n\r\n") },
	{ ROW("HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"), .note = "9110 15: processed as 5xx, by who needs it" },
	{ ROW("HTTP/1.1 204 No Content\r\n\r\n"), .note = "6.3 rule 1" },
	{ ROW("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"), .length = 5 },
	{ ROW("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"), .length = 5 },
	{ ROW("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n") },
	{ ROW("HTTP/1.1 100 Continue\r\n\r\n") },
	{ ROW("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n") },
	{ ROW("HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), .framing = SL_HTTP1_TUNNEL, .closes = true },
	{ ROW("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), .to = SL_METHOD_HEAD, .length = 5 },
	{ ROW("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), .to = SL_METHOD_HEAD },
	{ ROW("HTTP/1.1 200 OK\r\n\r\n"), .to = SL_METHOD_CONNECT, .framing = SL_HTTP1_TUNNEL, .closes = true, .note = "6.3 rule 2" },
	{ ROW("HTTP/1.1 299 x\r\nContent-Length: 5\r\n\r\n"), .to = SL_METHOD_CONNECT, .framing = SL_HTTP1_TUNNEL, .closes = true },
	{ ROW("HTTP/1.1 407 x\r\nContent-Length: 5\r\n\r\n"), .to = SL_METHOD_CONNECT, .framing = SL_HTTP1_LENGTH, .length = 5 },
	{ ROW("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n"), .framing = SL_HTTP1_LENGTH, .length = 5, .closes = true },
	/* refused */
	{ ROW("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), .fault = SL_HTTP1_FAULT_LENGTH_AND_TE },
	{ ROW("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"), .fault = SL_HTTP1_FAULT_LENGTH_REPEATED },
	{ ROW("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"), .to = SL_METHOD_HEAD, .fault = SL_HTTP1_FAULT_LENGTH_REPEATED },
	{ ROW("HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n"), .fault = SL_HTTP1_FAULT_LENGTH },
	{ ROW("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), .fault = SL_HTTP1_FAULT_TE_UNKNOWN },
	{ ROW("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), .fault = SL_HTTP1_FAULT_TE_IN_1_0 },
	{ ROW("HTTP/2 200\r\n\r\n"), .fault = SL_HTTP1_FAULT_STATUS_LINE },
	{ ROW("HTTP/2.0 200 OK\r\n\r\n"), .fault = SL_HTTP1_FAULT_VERSION_MAJOR },
	{ ROW("http/1.1 200 OK\r\n\r\n"), .fault = SL_HTTP1_FAULT_STATUS_LINE },
	{ ROW("HTTP/1.1  200 OK\r\n\r\n"), .fault = SL_HTTP1_FAULT_STATUS_LINE },
	{ ROW("HTTP/1.1 20 OK\r\n\r\n"), .fault = SL_HTTP1_FAULT_STATUS_LINE },
	{ ROW("HTTP/1.1 2000 OK\r\n\r\n"), .fault = SL_HTTP1_FAULT_STATUS_LINE },
	{ ROW("HTTP/1.1 099 OK\r\n\r\n"), .fault = SL_HTTP1_FAULT_STATUS_LINE },
	{ ROW("HTTP/1.1 2x0 OK\r\n\r\n"), .fault = SL_HTTP1_FAULT_STATUS_LINE },
	{ ROW("HTTP/1.1\r\n\r\n"), .fault = SL_HTTP1_FAULT_STATUS_LINE },
	{ ROW("\r\nHTTP/1.1 200 OK\r\n\r\n"), .fault = SL_HTTP1_FAULT_STATUS_LINE },
	{ ROW("SSH-2.0-OpenSSH_9.2\r\n"), .fault = SL_HTTP1_FAULT_STATUS_LINE },
	{ ROW("HTTP/1.1 200 OK\n\n"), .fault = SL_HTTP1_FAULT_BARE_LF },
	{ ROW("HTTP/1.1 200 O\rK\r\n\r\n"), .fault = SL_HTTP1_FAULT_BARE_CR },
	{ ROW("HTTP/1.1 200 O\0K\r\n\r\n"), .fault = SL_HTTP1_FAULT_CONTROL },
	{ ROW("HTTP/1.1 200 OK\r\nA : b\r\n\r\n"), .fault = SL_HTTP1_FAULT_FIELD_SPACE },
	{ ROW("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"), .fault = SL_HTTP1_FAULT_OBS_FOLD },
	{ ROW("HTTP/1.1 200 OK\r\nA: b\nX: y\r\n\r\n"), .fault = SL_HTTP1_FAULT_BARE_LF },
	{ ROW("HTTP/1.1 200 OK\r"), .again = true },
	/* clang-format on */
};

static const struct sl_http1_limits limits = SL_HTTP1_LIMITS;

/* One call with the bytes in a heap block of their exact size. */
static sl_err parse_once(struct sl_http1_head *h, const struct row *row, size_t len, bool response,
        const struct sl_http1_limits *lim)
{
	char *p = malloc(len ? len : 1);
	sl_err err;

	memcpy(p, row->in, len);
	err = response ? sl_http1_response(h, p, len, lim, row->to) : sl_http1_request(h, p, len, lim);
	free(p);
	return err;
}

static sl_err parse_in_steps(struct sl_http1_head *h, const struct row *row, size_t step, bool response,
        const struct sl_http1_limits *lim)
{
	sl_err err = SL_ERR_AGAIN;

	sl_http1_head_init(h);
	for (size_t len = step < row->len ? step : row->len;;
	        len = len + step < row->len ? len + step : row->len) {
		err = parse_once(h, row, len, response, lim);
		if (err != SL_ERR_AGAIN || len == row->len)
			return err;
	}
}

static void check_row(const struct row *row, size_t step, bool response)
{
	struct sl_http1_head h;
	sl_err err = parse_in_steps(&h, row, step, response, &limits);

	if (row->again) {
		sl_assert_err(err, SL_ERR_AGAIN);
		return;
	}
	if (h.fault != row->fault || err != sl_http1_fault_err(row->fault))
		fail_msg("in steps of %zu: %s, %s; wanted %s: %.*s", step, sl_err_name(err),
		        sl_http1_fault_name(h.fault), sl_http1_fault_name(row->fault), (int)row->len,
		        row->in);
	if (err != SL_OK)
		return;
	assert_int_equal(h.framing, row->framing);
	assert_int_equal(h.content_length, row->length);
	assert_int_equal(h.keep_alive, !row->closes);
	assert_true(h.head_bytes <= row->len);
}

static void every_request_gets_its_verdict(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(requests); i++) {
		const size_t steps[] = { requests[i].len, 1, 2, 7 };

		for (size_t s = 0; s < SL_ARRAY_COUNT(steps); s++) {
			check_row(&requests[i], steps[s] ? steps[s] : 1, false);
		}
	}
}

static void every_response_gets_its_verdict(void **state)
{
	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(responses); i++) {
		const size_t steps[] = { responses[i].len, 1, 2, 7 };

		for (size_t s = 0; s < SL_ARRAY_COUNT(steps); s++)
			check_row(&responses[i], steps[s], true);
	}
}

static void what_a_head_says_is_found(void **state)
{
	static const char in[] =
	        "\r\nPATCH http://EXAMPLE.org:81/a/b?c=d HTTP/1.1\r\nX-One: 1\r\nHost: example.org:81\r\n"
	        "Connection: upgrade, x-one, host, te\r\nUpgrade: websocket\r\nx-ONE:2 \r\nTE: deflate, Trailers\r\n"
	        "Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabcGET";
	struct sl_http1_head h;

	(void)state;
	sl_http1_head_init(&h);
	sl_assert_ok(sl_http1_request(&h, in, sizeof(in) - 1, &limits));
	assert_int_equal(h.method, SL_METHOD_PATCH);
	assert_int_equal(h.form, SL_HTTP1_FORM_ABSOLUTE);
	assert_int_equal(h.minor, 1);
	assert_int_equal(h.start_at, 2);
	assert_int_equal(h.field_count, 8);
	sl_assert_str(sl_http1_str(in, h.method_at), "PATCH");
	sl_assert_str(sl_http1_str(in, h.target), "http://EXAMPLE.org:81/a/b?c=d");
	sl_assert_str(sl_http1_str(in, h.authority), "EXAMPLE.org:81");
	sl_assert_str(sl_http1_get(&h, in, SL_HDR_HOST), "example.org:81");
	sl_assert_str(sl_http1_get(&h, in, SL_HDR_COOKIE), "");
	assert_true(sl_http1_get(&h, in, SL_HDR_COOKIE).p == NULL);
	assert_true(
	        h.keep_alive && h.upgrade && h.te_trailers && h.expect_100 && h.extra_options && !h.close);
	assert_memory_equal(in + h.head_bytes, "abcGET", 6);
	assert_memory_equal(in + h.fields_at, "X-One: 1", 8);

	assert_int_equal(sl_http1_find(&h, in, SL_STR("x-one"), 0), 0);
	assert_int_equal(sl_http1_find(&h, in, SL_STR("x-one"), 1), 4);
	assert_int_equal(sl_http1_find(&h, in, SL_STR("x-one"), 5), h.field_count);
	sl_assert_str(sl_http1_field_line(&h, in, 4), "x-ONE:2 \r\n");
	sl_assert_str(sl_http1_field_line(&h, in, 7), "Expect: 100-continue\r\n");
	sl_assert_str(sl_http1_value(&h, in, 4), "2");
	/* named by Connection, or hop-by-hop by nature; never Host */
	static const bool hop[] = { true, false, true, true, true, true, false, false };

	for (size_t i = 0; i < h.field_count; i++)
		assert_int_equal(h.fields[i].hop, hop[i]);
}

static void a_host_stands_for_an_origin_form(void **state)
{
	static const char in[] = "GET / HTTP/1.1\r\nA: b\r\nhOsT:  svc:80\t\r\n\r\n";
	struct sl_http1_head h;

	(void)state;
	sl_http1_head_init(&h);
	sl_assert_ok(sl_http1_request(&h, in, sizeof(in) - 1, &limits));
	sl_assert_str(sl_http1_str(in, h.authority), "svc:80");
	assert_int_equal(h.repeated, 0);
}

static void a_finished_parse_stays_finished(void **state)
{
	static const char good[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n", bad[] = "GET / HTTP/3.0\r\n\r\n";
	struct sl_http1_head h;

	(void)state;
	sl_http1_head_init(&h);
	sl_assert_ok(sl_http1_request(&h, good, sizeof(good) - 1, &limits));
	sl_assert_ok(sl_http1_request(&h, good, sizeof(good) - 1, &limits));
	sl_http1_head_init(&h);
	sl_assert_err(sl_http1_request(&h, bad, sizeof(bad) - 1, &limits), SL_ERR_UNSUPPORTED);
	sl_assert_err(sl_http1_request(&h, bad, sizeof(bad) - 1, &limits), SL_ERR_UNSUPPORTED);
	sl_http1_head_init(&h);
	sl_assert_ok(sl_http1_request(&h, good, sizeof(good) - 1, &limits));
	assert_int_equal(h.fault, SL_HTTP1_FAULT_NONE);
}

static void limits_hold_to_the_byte(void **state)
{
	static const struct {
		struct row row;
		struct sl_http1_limits limits;
	} cases[] = {
		/* clang-format off */
		{ { ROW("GET / HTTP/1.1\r\nHost: a\r\n\r\n") }, { .head_bytes = 27, .target_bytes = 1, .fields = 1 } },
		{ { ROW("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), .fault = SL_HTTP1_FAULT_HEAD_TOO_BIG }, { .head_bytes = 26, .target_bytes = 1, .fields = 1 } },
		{ { ROW("GET / HTTP/1.1\r\nHost: a"), .fault = SL_HTTP1_FAULT_HEAD_TOO_BIG }, { .head_bytes = 20, .target_bytes = 1, .fields = 1 } },
		{ { ROW("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), .fault = SL_HTTP1_FAULT_FIELDS_TOO_MANY }, { .head_bytes = 27, .target_bytes = 1, .fields = 0 } },
		{ { ROW("GET /b HTTP/1.1\r\nHost: a\r\n\r\n"), .fault = SL_HTTP1_FAULT_TARGET_TOO_LONG }, { .head_bytes = 99, .target_bytes = 1, .fields = 1 } },
		{ { ROW("GET /bbbbbbbbbbbbbbbbbbbbbbbbbbbb"), .fault = SL_HTTP1_FAULT_TARGET_TOO_LONG }, { .head_bytes = 20, .target_bytes = 99, .fields = 1 } },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < SL_ARRAY_COUNT(cases); i++) {
		for (size_t step = 1; step <= cases[i].row.len; step += cases[i].row.len - 1) {
			struct sl_http1_head h;
			sl_err err = parse_in_steps(&h, &cases[i].row, step, false, &cases[i].limits);

			assert_string_equal(
			        sl_http1_fault_name(h.fault), sl_http1_fault_name(cases[i].row.fault));
			sl_assert_err(err, sl_http1_fault_err(cases[i].row.fault));
		}
	}
}

static void the_largest_head_fits_its_offsets(void **state)
{
	const struct sl_http1_limits huge = {
		.head_bytes = UINT32_MAX, .target_bytes = UINT32_MAX, .fields = UINT32_MAX
	};
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };
	struct sl_http1_head h;

	(void)state;
	sl_buf_c(&b, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
	while (sl_buf_size(&b) < SL_HTTP1_HEAD_BYTES_MOST - 4)
		sl_buf_byte(&b, 'x');
	sl_buf_c(&b, "\r\n\r\n");
	sl_http1_head_init(&h);
	sl_assert_ok(sl_http1_request(&h, b.p, b.len, &huge));
	assert_int_equal(h.head_bytes, SL_HTTP1_HEAD_BYTES_MOST);
	assert_int_equal(h.fields[1].value.at + h.fields[1].value.len, SL_HTTP1_HEAD_BYTES_MOST - 4);

	sl_buf_clear(&b);
	sl_buf_c(&b, "GET / HTTP/1.1\r\nHost: a\r\n");
	for (int i = 0; i < SL_HTTP1_FIELDS_MOST; i++)
		sl_buf_c(&b, "a:b\r\n");
	sl_buf_c(&b, "\r\n");
	sl_http1_head_init(&h);
	sl_assert_err(sl_http1_request(&h, b.p, b.len, &huge), SL_ERR_TOO_BIG);
	assert_int_equal(h.fault, SL_HTTP1_FAULT_FIELDS_TOO_MANY);
}

static void a_trickled_head_costs_no_more_than_linear(void **state)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };
	struct sl_http1_head h;

	(void)state;
	sl_buf_c(&b, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
	while (sl_buf_size(&b) < 50000)
		sl_buf_byte(&b, 'x');
	sl_http1_head_init(&h);
	for (size_t len = 1; len <= b.len; len++) {
		sl_assert_err(sl_http1_request(&h, b.p, len, &limits), SL_ERR_AGAIN);
		if (len > 100)
			assert_int_equal(h.scan_at, len); /* the next call begins here */
	}
	sl_buf_c(&b, "\r\n\r\n");
	sl_assert_ok(sl_http1_request(&h, b.p, b.len, &limits));
}

static void trailers_are_fields(void **state)
{
	static const char in[] = "grpc-status: 0\r\nX: y\r\n\r\nrest";
	struct sl_http1_head h;

	(void)state;
	for (size_t len = 0; len < 24; len++) {
		sl_http1_head_init(&h);
		sl_assert_err(sl_http1_trailers(&h, in, len, &limits), SL_ERR_AGAIN);
	}
	sl_http1_head_init(&h);
	sl_assert_ok(sl_http1_trailers(&h, in, sizeof(in) - 1, &limits));
	assert_int_equal(h.head_bytes, 24);
	sl_assert_str(sl_http1_get(&h, in, SL_HDR_GRPC_STATUS), "0");
	sl_http1_head_init(&h);
	sl_assert_ok(sl_http1_trailers(&h, "\r\n", 2, &limits));
	assert_int_equal(h.field_count, 0);
	sl_http1_head_init(&h);
	sl_assert_err(sl_http1_trailers(&h, "a b\r\n", 5, &limits), SL_ERR_MALFORMED);
}

static void every_known_name_is_found_in_any_case(void **state)
{
	char text[40];

	(void)state;
	for (unsigned id = 1; id < SL_HDR_COUNT; id++) {
		sl_str name = sl_hdr_name((enum sl_hdr)id);

		assert_int_equal(sl_hdr_find(name), id);
		for (size_t i = 0; i < name.len; i++)
			text[i] = (char)(name.p[i] >= 'a' && name.p[i] <= 'z' ? name.p[i] - 0x20 : name.p[i]);
		assert_int_equal(sl_hdr_find(sl_str_n(text, name.len)), id);
		for (size_t i = 0; i < name.len; i++) {
			char kept = text[i];

			text[i] = '_'; /* each byte counts */
			assert_int_equal(sl_hdr_find(sl_str_n(text, name.len)), SL_HDR_OTHER);
			text[i] = (char)(kept & 0x1f); /* and folding takes letters alone: CR is no '-' */
			assert_int_equal(sl_hdr_find(sl_str_n(text, name.len)), SL_HDR_OTHER);
			text[i] = kept;
		}
		assert_int_equal(sl_hdr_find(sl_str_n(name.p, name.len - 1)), SL_HDR_OTHER);
	}
	assert_int_equal(sl_hdr_find(SL_STR("")), SL_HDR_OTHER);
	assert_int_equal(sl_hdr_find(SL_STR("x-sluice-unknown")), SL_HDR_OTHER);
	assert_true(sl_hdr_hop_by_hop(SL_HDR_CONNECTION) && sl_hdr_hop_by_hop(SL_HDR_TE));
	assert_false(sl_hdr_hop_by_hop(SL_HDR_HOST) || sl_hdr_hop_by_hop(SL_HDR_OTHER));
}

static void http2_is_told_by_its_preface(void **state)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore";

	(void)state;
	for (size_t len = 0; len < 24; len++)
		sl_assert_err(sl_http1_sniff_h2(preface, len), SL_ERR_AGAIN);
	sl_assert_ok(sl_http1_sniff_h2(preface, 24));
	sl_assert_ok(sl_http1_sniff_h2(preface, sizeof(preface) - 1));
	sl_assert_err(sl_http1_sniff_h2("PUT", 3), SL_ERR_NOT_FOUND);
	sl_assert_err(sl_http1_sniff_h2("PRI * HTTP/2.0\r\n\r\nSM\r\n\r ", 24), SL_ERR_NOT_FOUND);
}

static void what_is_written_reads_back(void **state)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };
	struct sl_http1_head h;

	(void)state;
	sl_assert_ok(sl_http1_put_request(&b, SL_STR("POST"), SL_STR("/x?y")));
	sl_assert_ok(sl_http1_put_field(&b, SL_STR("host"), SL_STR("svc")));
	sl_http1_put_length(&b, 42);
	sl_http1_put_end(&b);
	sl_http1_head_init(&h);
	sl_assert_ok(sl_http1_request(&h, b.p, b.len, &limits));
	assert_int_equal(h.content_length, 42);

	for (unsigned status = 100; status < 1000; status++) {
		sl_buf_clear(&b);
		sl_assert_ok(sl_http1_put_status(&b, status));
		sl_http1_put_end(&b);
		sl_http1_head_init(&h);
		sl_assert_ok(sl_http1_response(&h, b.p, b.len, &limits, SL_METHOD_GET));
		assert_int_equal(h.status, status);
		assert_true(sl_str_eq(sl_http1_str(b.p, h.reason), sl_http1_reason(status)));
	}
	sl_assert_str(sl_http1_reason(404), "Not Found");
	sl_assert_str(sl_http1_status_line(200), "HTTP/1.1 200 OK\r\n");
	sl_assert_str(sl_http1_reason(299), "");
}

static void nothing_is_written_that_reads_back_as_more(void **state)
{
	SL_CLEANUP(sl_buf_fini) struct sl_buf b = { 0 };

	(void)state;
	sl_assert_err(sl_http1_put_field(&b, SL_STR("a"), SL_STR("b\r\nc: d")), SL_ERR_INVALID);
	sl_assert_err(sl_http1_put_field(&b, SL_STR("a"), SL_STR("b\0")), SL_ERR_INVALID);
	sl_assert_err(sl_http1_put_field(&b, SL_STR("a:"), SL_STR("b")), SL_ERR_INVALID);
	sl_assert_err(sl_http1_put_field(&b, SL_STR(""), SL_STR("b")), SL_ERR_INVALID);
	sl_assert_err(sl_http1_put_request(&b, SL_STR("GET"), SL_STR("/ HTTP/1.1\r\n")), SL_ERR_INVALID);
	sl_assert_err(sl_http1_put_request(&b, SL_STR("G T"), SL_STR("/")), SL_ERR_INVALID);
	sl_assert_err(sl_http1_put_request(&b, SL_STR("GET"), SL_STR("")), SL_ERR_INVALID);
	sl_assert_err(sl_http1_put_status(&b, 99), SL_ERR_INVALID);
	sl_assert_err(sl_http1_put_status(&b, 1000), SL_ERR_INVALID);
	assert_int_equal(sl_buf_size(&b), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_request_gets_its_verdict),
		cmocka_unit_test(every_response_gets_its_verdict),
		cmocka_unit_test(what_a_head_says_is_found),
		cmocka_unit_test(a_host_stands_for_an_origin_form),
		cmocka_unit_test(a_finished_parse_stays_finished),
		cmocka_unit_test(limits_hold_to_the_byte),
		cmocka_unit_test(the_largest_head_fits_its_offsets),
		cmocka_unit_test(a_trickled_head_costs_no_more_than_linear),
		cmocka_unit_test(trailers_are_fields),
		cmocka_unit_test(every_known_name_is_found_in_any_case),
		cmocka_unit_test(http2_is_told_by_its_preface),
		cmocka_unit_test(what_is_written_reads_back),
		cmocka_unit_test(nothing_is_written_that_reads_back_as_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
