/* SPDX-License-Identifier: MIT */
/* The generic cell rate algorithm. In nanoseconds, and rounded up: a byte at 100 MB/s is 10 ns, and what is
 * rounded down to nothing is not limited at all. */
#include "ws-notifier/rate.h"

#define SECOND_NS INT64_C(1000000000)
#define US_NS     1000

/* When the bucket would be full again after this. */
static int64_t full_after(const struct rate *rate, int64_t per_second, int64_t amount, int64_t now_ns)
{
    int64_t from_ns = rate->full_ns > now_ns ? rate->full_ns : now_ns;
    int64_t seconds = amount / per_second, rest = amount % per_second;
    if (seconds > RATE_BURST_S)
        seconds = RATE_BURST_S + 1; /* too much in any case */
    return from_ns + seconds * SECOND_NS + (rest * SECOND_NS + per_second - 1) / per_second;
}

bool rate_allows(const struct rate *rate, int64_t per_second, int64_t amount, int64_t now_us)
{
    int64_t now_ns = now_us * US_NS;
    return per_second == 0 ||
           full_after(rate, per_second, amount, now_ns) - now_ns <= (int64_t)RATE_BURST_S * SECOND_NS;
}

bool rate_take(struct rate *rate, int64_t per_second, int64_t amount, int64_t now_us)
{
    if (!rate_allows(rate, per_second, amount, now_us))
        return false;
    if (per_second > 0)
        rate->full_ns = full_after(rate, per_second, amount, now_us * US_NS);
    return true;
}

bool rate_rested(const struct rate *rate, int64_t now_us)
{
    return rate->full_ns / US_NS <= now_us;
}
