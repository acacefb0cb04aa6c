/* Reading the clocks and writing times the way the contracts want them. */
#include "common/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t clock_read_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_wall_ms(void)
{
    return clock_read_ms(CLOCK_REALTIME);
}

int64_t clock_monotonic_ms(void)
{
    return clock_read_ms(CLOCK_MONOTONIC);
}

/* Splits into calendar fields, and the milliseconds that are left. */
static int split(int64_t wall_ms, struct tm *calendar)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    gmtime_r(&seconds, calendar);
    return (int)(wall_ms % 1000);
}

void clock_format_iso(int64_t wall_ms, char text[CLOCK_ISO_SIZE])
{
    struct tm t;
    unsigned ms = (unsigned)split(wall_ms, &t) % 1000;
    snprintf(text, CLOCK_ISO_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
             (unsigned)(t.tm_year + 1900) % 10000, (unsigned)(t.tm_mon + 1) % 100, (unsigned)t.tm_mday % 100,
             (unsigned)t.tm_hour % 100, (unsigned)t.tm_min % 100, (unsigned)t.tm_sec % 100, ms);
}

void clock_format_js(int64_t wall_ms, char text[CLOCK_JS_SIZE])
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm t;
    split(wall_ms, &t);
    snprintf(text, CLOCK_JS_SIZE, "%.3s %.3s %02u %04u %02u:%02u:%02u GMT+0000 (Coordinated Universal Time)",
             days[t.tm_wday], months[t.tm_mon], (unsigned)t.tm_mday % 100,
             (unsigned)(t.tm_year + 1900) % 10000, (unsigned)t.tm_hour % 100, (unsigned)t.tm_min % 100,
             (unsigned)t.tm_sec % 100);
}
