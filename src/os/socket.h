#pragma once
/*
 * Non-blocking stream sockets over IPv4, IPv6 and unix paths. Every descriptor made here is non-blocking and close-on-exec.
 * Ownership: descriptors belong to the caller; sl_addr is a value.       Threads: any.
 */
#include "base/diag.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

struct sl_addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
	socklen_t len; /* 0: no address */
};

/* Longest text of an address with the NUL: "unix:" and a path. */
enum { SL_ADDR_TEXT_BYTES = 5 + sizeof(((struct sockaddr_un *)0)->sun_path) + 1 };

/*
 * "1.2.3.4:80", "[::1]:80", "unix:/path", "unix:@abstract". No names are resolved. A port must be given, 0 is allowed.
 * Errors: SL_ERR_MALFORMED, SL_ERR_RANGE (port over 65535, path too long).
 */
sl_err sl_addr_parse(struct sl_addr *ret_a, sl_str s);
/* An IP address without brackets, and a port. Errors: SL_ERR_MALFORMED. */
sl_err sl_addr_from_ip(struct sl_addr *ret_a, sl_str ip, uint16_t port);
/* What sl_addr_parse reads; "" for no address. */
char *sl_addr_format(char dst[SL_ADDR_TEXT_BYTES], const struct sl_addr *a);
/* The IP alone, "1.2.3.4" or "::1"; "" for unix. */
char *sl_addr_format_ip(char dst[INET6_ADDRSTRLEN], const struct sl_addr *a);
uint16_t sl_addr_port(const struct sl_addr *a); /* 0 for unix */
void sl_addr_set_port(struct sl_addr *a, uint16_t port);
bool sl_addr_eq(const struct sl_addr *a, const struct sl_addr *b);
bool sl_addr_is_ip(const struct sl_addr *a);
bool sl_addr_is_loopback(const struct sl_addr *a); /* 127.0.0.0/8, ::1; true for unix too */

struct sl_listen_options {
	int backlog;     /* 0: 1024 */
	bool reuse_port; /* several listeners share the port; the kernel spreads connections over them */
	bool v6_only;    /* else [::] takes IPv4 too */
	uint32_t
	        mode; /* of a unix socket's file; 0: 0600. A stale socket file is replaced, a living one is not */
	bool transparent; /* bind an address the machine does not have (IP_FREEBIND) */
};
/* `options` may be NULL. Errors: SL_ERR_EXISTS (in use), SL_ERR_FORBIDDEN, SL_ERR_UNAVAILABLE (no such address), SL_ERR_IO. */
sl_err sl_listen(
        const struct sl_addr *a, const struct sl_listen_options *options, int *ret_fd, struct sl_diag *diag);
/* `ret_peer` may be NULL. Errors: SL_ERR_AGAIN, SL_ERR_UNAVAILABLE (out of descriptors or memory), SL_ERR_IO. */
sl_err sl_accept(int listen_fd, int *ret_fd, struct sl_addr *ret_peer);

/* SL_OK: connected; SL_ERR_AGAIN: wait for writability, then sl_connect_finish; *ret_fd is valid in both. `from` may be NULL. */
sl_err sl_connect_start(const struct sl_addr *to, const struct sl_addr *from, int *ret_fd);
/* SL_OK, SL_ERR_AGAIN (not yet), else why it failed: SL_ERR_REFUSED, SL_ERR_TIMEOUT, ... The descriptor stays open. */
sl_err sl_connect_finish(int fd);

sl_err sl_socket_local(int fd, struct sl_addr *ret_a);
sl_err sl_socket_peer(int fd, struct sl_addr *ret_a);
void sl_socket_nodelay(int fd); /* no-op on a unix socket */
/* Two connected non-blocking stream sockets. */
sl_err sl_socket_pair(int ret_fd[2]);
/* Makes the close that follows send a reset. */
void sl_socket_reset_on_close(int fd);
/* Closes and sets *fd to -1; fine on -1. */
void sl_fd_close(int *fd);
