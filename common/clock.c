/* SPDX-License-Identifier: MIT */
/* Reading the clocks and writing times the way the contracts want them. */
#include "common/clock.h"

#include <stdbool.h>
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
    int ms = (int)(((wall_ms % 1000) + 1000) % 1000); /* of the second that has begun, before 1970 too */
    time_t seconds = (time_t)((wall_ms - ms) / 1000);
    gmtime_r(&seconds, calendar);
    return ms;
}

/* Not by snprintf: a list has two times a task, and snprintf took nearly half of the time to write one. */
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

static bool read_digits(const char **at, int count, int least, int most, int *number)
{
    int value = 0;
    for (int i = 0; i < count; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        value = value * 10 + (**at - '0');
    }
    *number = value;
    return value >= least && value <= most;
}

static bool read_char(const char **at, const char *allowed)
{
    if (**at == '\0' || strchr(allowed, **at) == NULL)
        return false;
    (*at)++;
    return true;
}

/* ".5", or nothing. */
static bool read_fraction(const char **at, int *ms)
{
    int digits = 0;
    *ms = 0;
    if (!read_char(at, "."))
        return true;
    for (; **at >= '0' && **at <= '9'; (*at)++, digits++)
        if (digits < 3)
            *ms = *ms * 10 + (**at - '0');
    for (int i = digits; i < 3; i++)
        *ms *= 10;
    return digits > 0;
}

static bool read_offset(const char **at, int *minutes)
{
    int sign = **at == '-' ? -1 : 1, hour = 0, minute = 0;
    *minutes = 0;
    if (read_char(at, "Zz"))
        return true;
    if (!read_char(at, "+-") || !read_digits(at, 2, 0, 23, &hour) || !read_char(at, ":") ||
        !read_digits(at, 2, 0, 59, &minute))
        return false;
    *minutes = sign * (hour * 60 + minute);
    return true;
}

enum err clock_parse_iso(const char *text, int64_t *wall_ms)
{
    struct tm t = {0};
    int ms = 0, offset = 0, year = 0, month = 0;

    if (!read_digits(&text, 4, 0, 9999, &year) || !read_char(&text, "-") ||
        !read_digits(&text, 2, 1, 12, &month) || !read_char(&text, "-") ||
        !read_digits(&text, 2, 1, 31, &t.tm_mday) || !read_char(&text, "Tt ") ||
        !read_digits(&text, 2, 0, 23, &t.tm_hour) || !read_char(&text, ":") ||
        !read_digits(&text, 2, 0, 59, &t.tm_min) || !read_char(&text, ":") ||
        !read_digits(&text, 2, 0, 60, &t.tm_sec) || !read_fraction(&text, &ms) ||
        !read_offset(&text, &offset) || *text != '\0')
        return ERR_INVALID;
    t.tm_year = year - 1900;
    t.tm_mon = month - 1;
    *wall_ms = ((int64_t)timegm(&t) - (int64_t)offset * 60) * 1000 + ms;
    return ERR_OK;
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
