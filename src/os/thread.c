#include "os/thread.h"

#include "base/str.h"

#include <sched.h>
#include <signal.h>

static void *thread_main(void *arg)
{
	struct sl_thread *t = arg;

	pthread_setname_np(pthread_self(), t->name);
	t->fn(t->arg);
	return NULL;
}

sl_err sl_thread_start(struct sl_thread *t, const char *name, void (*fn)(void *arg), void *arg)
{
	sigset_t all, before;
	int failed;

	t->fn = fn;
	t->arg = arg;
	sl_str_copy(t->name, sizeof(t->name), sl_str_c(name));
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* inherited by the new thread */
	failed = pthread_create(&t->id, NULL, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	t->started = !failed;
	return failed ? SL_ERR_UNAVAILABLE : SL_OK;
}

void sl_thread_join(struct sl_thread *t)
{
	if (t->started)
		pthread_join(t->id, NULL);
	t->started = false;
}

sl_err sl_thread_pin(unsigned cpu)
{
	cpu_set_t set;

	if (cpu >= CPU_SETSIZE)
		return SL_ERR_RANGE;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return pthread_setaffinity_np(pthread_self(), sizeof(set), &set) == 0 ? SL_OK : SL_ERR_RANGE;
}

unsigned sl_cpu_count(void)
{
	cpu_set_t set;
	int n;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	n = CPU_COUNT(&set);
	return n > 0 ? (unsigned)n : 1;
}
