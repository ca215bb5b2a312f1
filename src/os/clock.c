#include "os/clock.h"

#include <time.h>

static sl_nsec read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts); /* cannot fail for these two */
	return SL_SEC(ts.tv_sec) + ts.tv_nsec;
}

sl_nsec sl_clock_mono(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

sl_nsec sl_clock_real(void)
{
	return read_clock(CLOCK_REALTIME);
}
