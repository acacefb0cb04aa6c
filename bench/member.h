/* SPDX-License-Identifier: MIT */
/* The clients of bench/crowd.c, which live as a browser's do: each hears a user of its own with a cursor and,
 * when it is told to, one user that all of them hear, without a cursor. One whose connection ends comes back
 * with its cursor after the pauses of client/feed.js. What they meet is counted in `figures`. */
#ifndef CARILLON_BENCH_MEMBER_H
#define CARILLON_BENCH_MEMBER_H

#include <stdint.h>

#include "bench/loop.h"
#include "bench/samples.h"

/* Before the time that an event was due, in its text: CLOCK_MONOTONIC in ns, so that each process of the
 * machine can tell how long it took. */
#define MEMBER_MARK "crowd-"

/* All but the first three are of the time since figures_clear(). Times are of CLOCK_MONOTONIC, in ns. */
struct figures {
    uint32_t members, in;     /* `in`: all their subscriptions are answered */
    int64_t in_at;            /* when the last of all came in */
    uint64_t ended;           /* connections that ended after they had come in */
    uint64_t refused;         /* connections that ended before */
    uint64_t back, forgotten; /* came back with a cursor; of these were told to read anew */
    uint64_t replayed;        /* what they had missed, by the answer */
    uint64_t heard, disorder; /* events of their own users; of these without their predecessor, or again */
    uint64_t shared;          /* events of the user that all hear */
    int64_t shared_first_at, shared_last_at, shared_due_at; /* of the last of them, when it was due */
    struct samples own_us;                                  /* from due to heard, of `heard` */
};
extern struct figures figures;
void figures_clear(void);

/* Member i hears user_base + i. None connects yet. */
void members_init(const struct address *ws, uint32_t count, uint32_t user_base);
/* Lets all connect, a window at a time. */
void members_connect(void);
/* From now on all hear that user, too. */
void members_share(uint32_t user);
/* Opens the connections that are due. Returns when to call it again at the latest. */
int64_t members_tick(int64_t now);

#endif
