/* SPDX-License-Identifier: MIT */
/* The purge's clock. A clock that is wrong for a minute must not delete a week of the journal, so the purge
 * has a time of its own, which is noted in the database:
 *
 *   - It is never later than the worker's clock, nor than the database's.
 *   - It never advances more than RETENTION_RATE times as fast as time passes (by the monotonic clock, which
 *     cannot be set). After a jump, and after a time without purging, it therefore catches up: a day in an
 *     hour.
 *   - After RETENTION_BEHIND_MS behind the clocks it takes their time: they have been right for as long, or
 *     were wrong when the note was made (a machine without a battery begins in 1970).
 *
 * No I/O. Times are milliseconds. */
#ifndef CARILLON_RETENTION_H
#define CARILLON_RETENTION_H

#include <stdbool.h>
#include <stdint.h>

#define RETENTION_RATE      24
#define RETENTION_BEHIND_MS (12LL * 3600 * 1000)

/* The state of one publisher; begins as {0}. */
struct retention {
    int64_t seen_at;      /* monotonic; 0: never */
    int64_t behind_since; /* monotonic; 0: is not behind */
};

struct retention_clocks {
    int64_t worker, database; /* wall clocks */
    int64_t monotonic;
    int64_t noted;  /* what the last call returned, in any publisher; -1: there is no note */
    int64_t newest; /* of the journal's rows, for the first note; -1: it has none */
};

/* The time for purging, which the caller notes. */
int64_t retention_now(struct retention *retention, const struct retention_clocks *clocks);

#endif
