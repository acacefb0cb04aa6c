/* SPDX-License-Identifier: MIT */
/* Time: the wall clock for what people and other machines see, the monotonic clock for deadlines. */
#ifndef CARILLON_CLOCK_H
#define CARILLON_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

int64_t clock_wall_ms(void);      /* milliseconds since 1970-01-01T00:00:00Z */
int64_t clock_monotonic_ms(void); /* milliseconds since some fixed moment, never going back */

/* No moment at all. Times before 1970 are negative, so no small number can say that. */
#define CLOCK_NEVER INT64_MIN

/* "2024-01-02T17:00:00.000Z", from year 0 to 9999. */
#define CLOCK_ISO_SIZE sizeof "2024-01-02T17:00:00.000Z"
void clock_format_iso(int64_t wall_ms, char text[CLOCK_ISO_SIZE]);

/* Reads a date and time as RFC 3339 has them, with any offset and any fraction of a second (cut to
 * milliseconds). ERR_INVALID. */
MUST_CHECK enum err clock_parse_iso(const char *text, int64_t *wall_ms);

/* As ECMAScript's Date.prototype.toString() in UTC:
 * "Fri Feb 02 2024 20:55:23 GMT+0000 (Coordinated Universal Time)" */
#define CLOCK_JS_SIZE sizeof "Fri Feb 02 2024 20:55:23 GMT+0000 (Coordinated Universal Time)"
void clock_format_js(int64_t wall_ms, char text[CLOCK_JS_SIZE]);

#endif
