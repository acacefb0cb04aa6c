/* SPDX-License-Identifier: MIT */
/* The times of the last messages say how many come. */
#include "fcgi-api/publisher/pace.h"

void pace_sent(struct pace *pace, int64_t now)
{
    pace->sent_at[pace->sent++ % PACE_MANY] = now;
}

int64_t pace_next(const struct pace *pace)
{
    if (pace->sent < PACE_MANY)
        return 0;
    int64_t first = pace->sent_at[pace->sent % PACE_MANY], last = pace->sent_at[(pace->sent - 1) % PACE_MANY];
    return last - first < PACE_WITHIN_MS ? last + PACE_GATHER_MS : 0;
}
