#include "base/log.h"
#include "base/units.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static enum sl_log_level threshold = SL_LOG_INFO;
static const char *const names[] = { "error", "warn", "info", "debug" };

void sl_log_set_level(enum sl_log_level level)
{
	__atomic_store_n(&threshold, level, __ATOMIC_RELAXED);
}

void sl_log(enum sl_log_level level, const char *area, const char *fmt, ...)
{
	char line[2048], stamp[28];
	struct timespec ts;
	va_list ap;
	size_t n;
	int m;

	if (level > __atomic_load_n(&threshold, __ATOMIC_RELAXED))
		return;
	clock_gettime(CLOCK_REALTIME, &ts);
	n = (size_t)snprintf(line, sizeof(line),
	        "%s %s %s: ", sl_time_format_us(stamp, SL_SEC(ts.tv_sec) + ts.tv_nsec), names[level], area);
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	n = m < 0 ? n : n + (size_t)m;
	if (n > sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		return; /* nowhere left to say so */
}
