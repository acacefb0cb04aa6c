/* SPDX-License-Identifier: MIT */
/* Growing, jittered pauses. */
#include "common/backoff.h"

#include <stdlib.h>
#include <sys/random.h>

int64_t backoff_next_ms(struct backoff *backoff)
{
    if (backoff->current_ms == 0)
        backoff->current_ms = backoff->first_ms;
    else
        backoff->current_ms *= 2;
    if (backoff->current_ms > backoff->most_ms)
        backoff->current_ms = backoff->most_ms;

    uint32_t random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        abort();
    int64_t half = backoff->current_ms / 2;
    return backoff->current_ms - half + (int64_t)(random % (uint32_t)(half + 1));
}

void backoff_reset(struct backoff *backoff)
{
    backoff->current_ms = 0;
}
