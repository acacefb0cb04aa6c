/* SPDX-License-Identifier: MIT */
#include "ws-notifier/horizon.h"

void horizon_hear(struct horizon *horizon, int64_t complete_ms)
{
    horizon->told = complete_ms >= 0;
    /* The latest counts, also when it is lower: its clock was set back, and what it says holds all the same.
     */
    if (complete_ms != 0)
        horizon->time_ms = complete_ms > 0 ? complete_ms : 0;
}

bool horizon_is_unknown(const struct horizon *horizon)
{
    return horizon->told && horizon->time_ms == 0;
}

int64_t horizon_age_ms(const struct horizon *horizon, int64_t now_ms)
{
    if (!horizon->told || horizon->time_ms == 0)
        return -1;
    return now_ms > horizon->time_ms ? now_ms - horizon->time_ms : 0;
}

bool horizon_is_stale(const struct horizon *horizon, int64_t now_ms)
{
    if (!horizon->told || horizon->limit_ms == 0)
        return false;
    return horizon_is_unknown(horizon) || horizon_age_ms(horizon, now_ms) > horizon->limit_ms;
}

bool horizon_sends_away(struct horizon *horizon, int64_t now_ms, int64_t monotonic_ms)
{
    if (!horizon_is_stale(horizon, now_ms)) {
        horizon->leave_at = 0;
        return false;
    }
    if (horizon->leave_at == 0)
        horizon->leave_at = monotonic_ms + HORIZON_NOTICE_MS;
    if (monotonic_ms < horizon->leave_at)
        return false;
    horizon->leave_at = monotonic_ms + horizon->limit_ms;
    return true;
}
