#pragma once
/*
 * The two clocks. Code inside a loop reads sl_loop_now() instead, so that tests can move time.
 * Ownership: values.       Threads: any.
 */
#include "base/units.h"

sl_nsec sl_clock_mono(void); /* since some fixed point; never goes back */
sl_nsec sl_clock_real(void); /* since the Unix epoch; may jump */
