/* SPDX-License-Identifier: MIT */
/* The purge's own clock. */
#include "fcgi-api/publisher/retention.h"

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool behind_for_long(struct retention *retention, int64_t monotonic)
{
    if (retention->behind_since == 0)
        retention->behind_since = monotonic;
    return monotonic - retention->behind_since >= RETENTION_BEHIND_MS;
}

int64_t retention_now(struct retention *retention, const struct retention_clocks *clocks)
{
    int64_t told = earlier(clocks->worker, clocks->database);
    int64_t passed = retention->seen_at != 0 ? clocks->monotonic - retention->seen_at : 0;
    int64_t most = clocks->noted;

    if (clocks->noted < 0)
        most = clocks->newest < 0 ? told : clocks->newest;
    most += passed * RETENTION_RATE;
    retention->seen_at = clocks->monotonic;
    if (most >= told || behind_for_long(retention, clocks->monotonic)) {
        retention->behind_since = 0;
        return told;
    }
    return most;
}
