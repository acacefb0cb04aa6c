/* SPDX-License-Identifier: MIT */
/* When events are sent: at once while few come, in batches while many come. A message sent alone costs the
 * broker and its readers several times what it costs in a batch (docs/performance.md). No I/O; times are
 * monotonic ms. */
#ifndef CARILLON_PUBLISHER_PACE_H
#define CARILLON_PUBLISHER_PACE_H

#include <stdint.h>

#define PACE_MANY      16 /* when this many events came ... */
#define PACE_WITHIN_MS 16 /* ... within less than this, the next ones wait ... */
#define PACE_GATHER_MS 4  /* ... until so long after the last message */

struct pace {
    int64_t sent_at[PACE_MANY]; /* of the last messages, in a ring */
    uint64_t sent;
};

void pace_sent(struct pace *pace, int64_t now);

/* The time from which the next event may be sent; in the past while few come. */
int64_t pace_next(const struct pace *pace);

#endif
