/* SPDX-License-Identifier: MIT */
/* A rate limit: so many times a second in the long run, and ten seconds' worth at once. In
 * eight bytes, since every socket has two: instead of a bucket it remembers when the bucket would be full
 * again, and that may lie no more than ten seconds ahead. */
#ifndef CARILLON_RATE_H
#define CARILLON_RATE_H

#include <stdbool.h>
#include <stdint.h>

#define RATE_BURST_S 10

struct rate {
    int64_t full_ns; /* zero-initialized: nothing happened yet */
};

/* Whether `amount` more may happen now. `per_second` 0: any amount. A clock that never goes back. */
bool rate_allows(const struct rate *rate, int64_t per_second, int64_t amount, int64_t now_us);

/* The same; if so, it has happened. */
bool rate_take(struct rate *rate, int64_t per_second, int64_t amount, int64_t now_us);

/* As if nothing had ever happened. */
bool rate_rested(const struct rate *rate, int64_t now_us);

#endif
