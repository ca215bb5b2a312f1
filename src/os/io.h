#pragma once
/*
 * Reading and writing descriptors, with a place for tests to inject what networks do: short reads and writes, EAGAIN,
 * resets. Fault injection exists where SL_FAULTS is defined (every build type but release); elsewhere these are the bare
 * system calls. A faked EAGAIN or short count gives no new edge of its own, so the loop asks sl_fault_take_rearm after each
 * turn and re-arms those descriptors.
 * Ownership: none.       Threads: a fault plan belongs to the thread that set it.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

struct sl_fault {
	uint32_t read_most_bytes;  /* 0: no limit. A read returns at most this */
	uint32_t write_most_bytes; /* 0: no limit */
	uint32_t again_one_in;     /* 0: never; n: a call fails with EAGAIN with chance 1/n */
	uint64_t
	        reset_after_bytes; /* 0: never. Once so many bytes went through in both directions: ECONNRESET for good */
	uint64_t seed;             /* of the chance above */
};

#ifdef SL_FAULTS
extern __thread uint32_t sl_fault_count; /* plans set in this thread; internal */
bool sl_fault_before(int fd, bool writing, size_t *n_bytes, ssize_t *ret_n);
void sl_fault_after(int fd, bool writing, size_t wanted_bytes, size_t asked_bytes, ssize_t n);
#define SL_FAULT_ON __builtin_expect(sl_fault_count != 0, 0)
#else
#define SL_FAULT_ON 0
static inline bool sl_fault_before(int fd, bool writing, size_t *n_bytes, ssize_t *ret_n)
{
	(void)fd, (void)writing, (void)n_bytes, (void)ret_n;
	return false;
}
static inline void sl_fault_after(int fd, bool writing, size_t wanted_bytes, size_t asked_bytes, ssize_t n)
{
	(void)fd, (void)writing, (void)wanted_bytes, (void)asked_bytes, (void)n;
}
#endif

/* Applies `plan` to the descriptor in this thread until it is cleared or closed by sl_fd_close; false where this build cannot (skip the test then). */
bool sl_fault_set(int fd, const struct sl_fault *plan);
void sl_fault_clear(int fd);
/* Takes one descriptor whose readiness a faked result hid; -1 when there is none. */
int sl_fault_take_rearm(void);

/* recv(2) and send(2) as they are: a count, or -1 and errno. Never raise SIGPIPE. */
static inline ssize_t sl_sock_recv(int fd, void *p, size_t n_bytes)
{
	size_t asked = n_bytes;
	ssize_t n;

	if (SL_FAULT_ON && sl_fault_before(fd, false, &asked, &n))
		return n;
	n = recv(fd, p, asked, 0);
	if (SL_FAULT_ON)
		sl_fault_after(fd, false, n_bytes, asked, n);
	return n;
}

static inline ssize_t sl_sock_send(int fd, const void *p, size_t n_bytes)
{
	size_t asked = n_bytes;
	ssize_t n;

	if (SL_FAULT_ON && sl_fault_before(fd, true, &asked, &n))
		return n;
	n = send(fd, p, asked, MSG_NOSIGNAL);
	if (SL_FAULT_ON)
		sl_fault_after(fd, true, n_bytes, asked, n);
	return n;
}

/* Gathered send. Under a fault plan only the first non-empty part goes out, which is a short write too. */
ssize_t sl_sock_sendv(int fd, const struct iovec *parts, size_t count);
