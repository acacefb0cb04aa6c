/* SPDX-License-Identifier: MIT */
/* When events are sent: at once while few come, together while many do. A message alone costs the broker,
 * and everybody behind it, several times what it costs among others (docs/performance.md). No I/O; moments
 * are monotonic ms. */
#ifndef CARILLON_PUBLISHER_PACE_H
#define CARILLON_PUBLISHER_PACE_H

#include <stdint.h>

#define PACE_MANY      16 /* this many ... */
#define PACE_WITHIN_MS 16 /* ... within less than that: then the next wait ... */
#define PACE_GATHER_MS 4  /* ... until so long after the last */

struct pace {
    int64_t sent_at[PACE_MANY]; /* the last ones, in a ring */
    uint64_t sent;
};

void pace_sent(struct pace *pace, int64_t now);

/* The moment from which on the next may be sent; in the past while few come. */
int64_t pace_next(const struct pace *pace);

#endif
