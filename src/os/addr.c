#include "os/socket.h"

#include "base/buf.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>

static sl_err parse_unix(struct sl_addr *ret_a, sl_str path)
{
	struct sl_addr a = { .un = { .sun_family = AF_UNIX } };
	bool abstract = path.len && path.p[0] == '@';

	if (path.len == 0 || memchr(path.p, 0, path.len))
		return SL_ERR_MALFORMED;
	/* A path keeps its NUL inside sun_path; an abstract name begins with one and has no end but the length. */
	if (path.len + (abstract ? 0 : 1) > sizeof(a.un.sun_path))
		return SL_ERR_RANGE;
	memcpy(a.un.sun_path, path.p, path.len);
	if (abstract)
		a.un.sun_path[0] = 0;
	a.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + (abstract ? 0 : 1));
	*ret_a = a;
	return SL_OK;
}

sl_err sl_addr_from_ip(struct sl_addr *ret_a, sl_str ip, uint16_t port)
{
	char text[INET6_ADDRSTRLEN];
	struct sl_addr a = { 0 };

	if (ip.len == 0 || ip.len >= sizeof(text) || memchr(ip.p, 0, ip.len))
		return SL_ERR_MALFORMED;
	sl_str_copy(text, sizeof(text), ip);
	if (inet_pton(AF_INET, text, &a.in.sin_addr) == 1) {
		a.in.sin_family = AF_INET;
		a.len = sizeof(a.in);
	} else if (inet_pton(AF_INET6, text, &a.in6.sin6_addr) == 1) {
		a.in6.sin6_family = AF_INET6;
		a.len = sizeof(a.in6);
	} else {
		return SL_ERR_MALFORMED;
	}
	sl_addr_set_port(&a, port);
	*ret_a = a;
	return SL_OK;
}

sl_err sl_addr_parse(struct sl_addr *ret_a, sl_str s)
{
	sl_str ip, port;
	uint64_t n;
	bool bracketed;

	if (sl_str_starts(s, SL_STR("unix:")))
		return parse_unix(ret_a, sl_str_skip(s, 5));
	bracketed = s.len && s.p[0] == '[';
	if (bracketed) {
		size_t end = sl_str_find(s, ']');

		if (end + 1 >= s.len || s.p[end + 1] != ':')
			return SL_ERR_MALFORMED;
		ip = sl_str_n(s.p + 1, end - 1);
		port = sl_str_skip(s, end + 2);
	} else {
		size_t colon = sl_str_find(s, ':');

		if (colon == s.len)
			return SL_ERR_MALFORMED;
		ip = sl_str_first(s, colon);
		port = sl_str_skip(s, colon + 1);
	}
	SL_TRY(sl_str_to_u64(port, &n));
	if (n > UINT16_MAX)
		return SL_ERR_RANGE;
	if (bracketed != (sl_str_find(ip, ':') != ip.len))
		return SL_ERR_MALFORMED; /* brackets hold IPv6, and only they do */
	return sl_addr_from_ip(ret_a, ip, (uint16_t)n);
}

char *sl_addr_format_ip(char dst[INET6_ADDRSTRLEN], const struct sl_addr *a)
{
	dst[0] = 0;
	if (a->len && a->sa.sa_family == AF_INET)
		inet_ntop(AF_INET, &a->in.sin_addr, dst, INET6_ADDRSTRLEN);
	else if (a->len && a->sa.sa_family == AF_INET6)
		inet_ntop(AF_INET6, &a->in6.sin6_addr, dst, INET6_ADDRSTRLEN);
	return dst;
}

static char *format_unix(char dst[SL_ADDR_TEXT_BYTES], const struct sl_addr *a)
{
	size_t room = a->len - offsetof(struct sockaddr_un, sun_path), len;
	bool abstract = room && a->un.sun_path[0] == 0;

	if (room > sizeof(a->un.sun_path))
		room = sizeof(a->un.sun_path);
	len = abstract ? room : strnlen(a->un.sun_path, room);
	snprintf(dst, SL_ADDR_TEXT_BYTES, "unix:%s%.*s", abstract ? "@" : "", (int)(len - abstract),
	        a->un.sun_path + abstract);
	return dst;
}

char *sl_addr_format(char dst[SL_ADDR_TEXT_BYTES], const struct sl_addr *a)
{
	char ip[INET6_ADDRSTRLEN];

	if (a->len && a->sa.sa_family == AF_UNIX && a->len >= offsetof(struct sockaddr_un, sun_path))
		return format_unix(dst, a);
	dst[0] = 0;
	if (!sl_addr_is_ip(a))
		return dst;
	sl_addr_format_ip(ip, a);
	snprintf(dst, SL_ADDR_TEXT_BYTES, a->sa.sa_family == AF_INET6 ? "[%s]:%u" : "%s:%u", ip,
	        sl_addr_port(a));
	return dst;
}

bool sl_addr_is_ip(const struct sl_addr *a)
{
	return a->len && (a->sa.sa_family == AF_INET || a->sa.sa_family == AF_INET6);
}

uint16_t sl_addr_port(const struct sl_addr *a)
{
	if (!sl_addr_is_ip(a))
		return 0;
	return ntohs(a->sa.sa_family == AF_INET ? a->in.sin_port : a->in6.sin6_port);
}

void sl_addr_set_port(struct sl_addr *a, uint16_t port)
{
	if (a->sa.sa_family == AF_INET)
		a->in.sin_port = htons(port);
	else if (a->sa.sa_family == AF_INET6)
		a->in6.sin6_port = htons(port);
}

bool sl_addr_eq(const struct sl_addr *a, const struct sl_addr *b)
{
	if (a->len != b->len || a->len == 0)
		return a->len == b->len;
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	switch (a->sa.sa_family) { /* padding and scope names are not part of an address */
	case AF_INET:
		return a->in.sin_port == b->in.sin_port && a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	case AF_INET6:
		return a->in6.sin6_port == b->in6.sin6_port &&
		       memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr)) == 0 &&
		       a->in6.sin6_scope_id == b->in6.sin6_scope_id;
	default:
		return memcmp(&a->un, &b->un, a->len) == 0;
	}
}

bool sl_addr_is_loopback(const struct sl_addr *a)
{
	if (a->len == 0)
		return false;
	if (a->sa.sa_family == AF_INET)
		return ntohl(a->in.sin_addr.s_addr) >> 24 == 127;
	if (a->sa.sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
	return a->sa.sa_family == AF_UNIX;
}
