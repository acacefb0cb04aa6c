/* The generic cell rate algorithm. */
#include "ws-notifier/rate.h"

#define SECOND_US 1000000

bool rate_take(struct rate *rate, int64_t per_second, int64_t amount, int64_t now_us)
{
    if (per_second == 0)
        return true;
    int64_t from_us = rate->full_us > now_us ? rate->full_us : now_us;
    int64_t full_us = from_us + amount * SECOND_US / per_second;
    if (full_us - now_us > (int64_t)RATE_BURST_S * SECOND_US)
        return false;
    rate->full_us = full_us;
    return true;
}

bool rate_rested(const struct rate *rate, int64_t now_us)
{
    return rate->full_us <= now_us;
}
