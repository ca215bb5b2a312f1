#pragma once
/*
 * Threads. A new thread starts with all signals blocked: signals belong to the loop that reads them.
 * Ownership: struct sl_thread is embedded and must outlive the join.       Threads: start and join from one owner.
 */
#include "base/err.h"

#include <pthread.h>
#include <stdbool.h>

struct sl_thread {
	pthread_t id;
	void (*fn)(void *arg);
	void *arg;
	char name[16];
	bool started;
};

/* `name` is cut to 15 characters. Errors: SL_ERR_UNAVAILABLE. */
sl_err sl_thread_start(struct sl_thread *t, const char *name, void (*fn)(void *arg), void *arg);
void sl_thread_join(struct sl_thread *t); /* fine when never started */
/* Pins the calling thread. Errors: SL_ERR_RANGE (no such cpu, or not ours to use). */
sl_err sl_thread_pin(unsigned cpu);
unsigned sl_cpu_count(void); /* that this process may use; at least 1 */

/*
 * For code whose ordering the thread sanitizer cannot see (it does not know liburcu): what happened before _release(p) is
 * visible after _acquire(p). Nothing in other builds.
 */
#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *p);
void __tsan_release(void *p);
#define SL_TSAN_ACQUIRE(p) __tsan_acquire(p)
#define SL_TSAN_RELEASE(p) __tsan_release(p)
#else
#define SL_TSAN_ACQUIRE(p) ((void)(p))
#define SL_TSAN_RELEASE(p) ((void)(p))
#endif
