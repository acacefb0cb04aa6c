/* Reading the clocks and writing times the way the contracts want them. */
#include "common/clock.h"

#include <stdio.h>
#include <string.h>
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

/* By hand: a list has two of them a task, and snprintf took nearly half of the time to write one. */
void clock_format_iso(int64_t wall_ms, char text[CLOCK_ISO_SIZE])
{
    static const char form[CLOCK_ISO_SIZE] = "0000-00-00T00:00:00.000Z";
    static const struct {
        int last, digits;
    } places[] = {{3, 4}, {6, 2}, {9, 2}, {12, 2}, {15, 2}, {18, 2}, {22, 3}};
    struct tm t;
    int ms = split(wall_ms, &t);
    const int fields[] = {t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, ms};

    memcpy(text, form, sizeof form);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        int rest = fields[i];
        for (int d = 0; d < places[i].digits; d++, rest /= 10)
            text[places[i].last - d] = (char)('0' + rest % 10);
    }
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
