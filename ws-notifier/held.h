/* SPDX-License-Identifier: MIT */
/* Events that came before their predecessor, kept until it comes: an unclean end of a broker can leave a hole
 * that publishers fill within seconds. Per user, in order, for a bounded time and in bounded memory; the feed
 * decides what happens with them. No clock of its own: `now_ms` is monotonic. */
#ifndef CARILLON_HELD_H
#define CARILLON_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/metrics.h"
#include "common/trace.h"
#include "ws-notifier/frame.h"

struct held; /* opaque */

struct held_event {
    uint32_t user_id;
    uint64_t seq;
    int64_t created_at_ms;
    struct frame *frame;
    struct span span; /* of its delivery, when it is traced */
};

/* `wait_ms` 0: nothing is ever to be held. Metrics must outlive it. */
struct held *held_new(int64_t wait_ms, size_t max_bytes, struct metrics *metrics);
void held_free(struct held **held);
bool held_is_on(const struct held *held);

/* Whether something of this user is held, and since what time of the stream (*since_s; may be NULL). */
bool held_has(const struct held *held, uint32_t user_id, int64_t *since_s);

/* Keeps it, with a reference of its own to the frame. False: it is there already. */
bool held_add(struct held *held, const struct held_event *event, int64_t now_ms, int64_t stream_s);

/* Hands out this user's lowest event if its number is `upto` at most; the frame's reference is the caller's.
 */
bool held_take(struct held *held, uint32_t user_id, uint64_t upto, struct held_event *event);

/* The user whose time is over, or for whom no memory is left: their events must be taken now. 0: none. */
uint32_t held_overdue(const struct held *held, int64_t now_ms);

void held_clear(struct held *held);

#endif
