/* SPDX-License-Identifier: MIT */
/* Pauses between attempts: doubling from `first` to `most`, each drawn at random from its upper half,
 * so that clients which failed together do not come back together. */
#ifndef CARILLON_BACKOFF_H
#define CARILLON_BACKOFF_H

#include <stdint.h>

struct backoff {
    int64_t first_ms, most_ms;
    int64_t current_ms; /* 0: no attempt has failed yet */
};

#define BACKOFF_INIT(first, most) ((struct backoff){.first_ms = (first), .most_ms = (most)})

int64_t backoff_next_ms(struct backoff *backoff);
void backoff_reset(struct backoff *backoff);

#endif
