#pragma once
/*
 * Time and quantities in the forms manifests use.
 * Ownership: values.       Threads: any.
 */
#include "base/str.h"

typedef int64_t sl_nsec; /* a duration, or a point on a clock that the name or comment tells */

#define SL_USEC(n) ((sl_nsec)(n)*1000)
#define SL_MSEC(n) ((sl_nsec)(n)*1000000)
#define SL_SEC(n) ((sl_nsec)(n)*1000000000)
#define SL_NSEC_MAX INT64_MAX

/* Go's time.ParseDuration, non-negative: "1h30m", "250ms", "1.5s", "0". Errors: SL_ERR_MALFORMED, SL_ERR_RANGE. */
sl_err sl_duration_parse(sl_str s, sl_nsec *ret_d);
/* The same notation back ("1h30m0s" is written "1h30m"); dst gets at most 32 bytes with the NUL. */
char *sl_duration_format(char dst[32], sl_nsec d);

/* Kubernetes quantity ("100m", "64Mi", "2", "1e3") in thousandths. Errors: SL_ERR_MALFORMED, SL_ERR_RANGE. */
sl_err sl_quantity_parse_milli(sl_str s, int64_t *ret_milli);

/* Unix time to and from RFC 3339 in UTC with second resolution, "2026-01-31T23:59:59Z". dst gets 21 bytes. */
char *sl_time_format(char dst[21], sl_nsec unix_time);
sl_err sl_time_parse(
        sl_str s, sl_nsec *ret_unix_time); /* fraction and offset accepted. Errors: SL_ERR_MALFORMED */
/* RFC 3339 with microseconds (Kubernetes MicroTime); dst gets 28 bytes. */
char *sl_time_format_us(char dst[28], sl_nsec unix_time);
