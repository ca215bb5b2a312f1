#include "os/io.h"

#include "os/random.h"

#ifdef SL_FAULTS

enum { PLANS_MOST = 64 };

struct planned {
	int fd;
	bool hid; /* a faked result hid readiness */
	struct sl_fault plan;
	struct sl_prng chance;
	uint64_t passed_bytes;
};

__thread uint32_t sl_fault_count;
static __thread struct planned plans[PLANS_MOST];
static __thread uint32_t hidden_count;

static struct planned *find(int fd)
{
	for (uint32_t i = 0; i < sl_fault_count; i++) {
		if (plans[i].fd == fd)
			return &plans[i];
	}
	return NULL;
}

bool sl_fault_set(int fd, const struct sl_fault *plan)
{
	struct planned *p = find(fd);

	if (!p && sl_fault_count == PLANS_MOST)
		return false;
	if (!p)
		p = &plans[sl_fault_count++];
	*p = (struct planned) { .fd = fd, .plan = *plan };
	sl_prng_seed(&p->chance, plan->seed);
	return true;
}

void sl_fault_clear(int fd)
{
	struct planned *p = find(fd);

	if (!p)
		return;
	hidden_count -= p->hid;
	*p = plans[--sl_fault_count];
}

static void hide(struct planned *p)
{
	hidden_count += !p->hid;
	p->hid = true;
}

int sl_fault_take_rearm(void)
{
	if (hidden_count == 0)
		return -1;
	for (uint32_t i = 0; i < sl_fault_count; i++) {
		if (!plans[i].hid)
			continue;
		plans[i].hid = false;
		hidden_count--;
		return plans[i].fd;
	}
	return -1;
}

bool sl_fault_before(int fd, bool writing, size_t *n_bytes, ssize_t *ret_n)
{
	struct planned *p = find(fd);
	uint32_t most;

	if (!p)
		return false;
	if (p->plan.reset_after_bytes && p->passed_bytes >= p->plan.reset_after_bytes) {
		errno = ECONNRESET;
		*ret_n = -1;
		return true;
	}
	if (p->plan.again_one_in && sl_prng_below(&p->chance, p->plan.again_one_in) == 0) {
		hide(p);
		errno = EAGAIN;
		*ret_n = -1;
		return true;
	}
	most = writing ? p->plan.write_most_bytes : p->plan.read_most_bytes;
	if (most && *n_bytes > most)
		*n_bytes = most;
	return false;
}

void sl_fault_after(int fd, bool writing, size_t wanted_bytes, size_t asked_bytes, ssize_t n)
{
	struct planned *p = find(fd);

	(void)writing;
	if (!p || n <= 0)
		return;
	p->passed_bytes += (size_t)n;
	if (asked_bytes < wanted_bytes)
		hide(p); /* whoever takes a short count for "no more now" waits for an event */
}

#else

bool sl_fault_set(int fd, const struct sl_fault *plan)
{
	(void)fd, (void)plan;
	return false;
}

void sl_fault_clear(int fd)
{
	(void)fd;
}

int sl_fault_take_rearm(void)
{
	return -1;
}

#endif

ssize_t sl_sock_sendv(int fd, const struct iovec *parts, size_t count)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = count };

	if (SL_FAULT_ON) {
		for (size_t i = 0; i < count; i++) {
			if (parts[i].iov_len)
				return sl_sock_send(fd, parts[i].iov_base, parts[i].iov_len);
		}
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL);
}
