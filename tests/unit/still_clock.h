/* SPDX-License-Identifier: MIT */
/* A clock that moves only when set, in place of the real one, whose formatting is kept. For one test's main
 * file, before anything else. */
#ifndef CARILLON_TESTS_STILL_CLOCK_H
#define CARILLON_TESTS_STILL_CLOCK_H

#define clock_wall_ms      real_wall_ms
#define clock_monotonic_ms real_monotonic_ms
#include "common/clock.c"
#undef clock_wall_ms
#undef clock_monotonic_ms

#define START_S 1800000000

static int64_t wall_s = START_S, monotonic_ms;

int64_t clock_wall_ms(void);
int64_t clock_monotonic_ms(void);

int64_t clock_wall_ms(void)
{
    return wall_s * 1000;
}

int64_t clock_monotonic_ms(void)
{
    return monotonic_ms;
}

#endif
