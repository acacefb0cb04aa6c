/* SPDX-License-Identifier: MIT */
/* Recent events of all users, kept for clients that come back: one ring in the order of the stream, bounded
 * in bytes and in age, with an index of each user's events by number.
 *
 * It knows what it does not have: everything that reached the stream since the time `begin` is here, and for
 * each user it knows the sequence number from which on nothing is missing. So it can decide for any cursor
 * whether all later events are here, without asking the database.
 *
 * It holds one epoch at a time: the caller clears the ring when another begins. All times are seconds since
 * 1970. */
#ifndef CARILLON_RING_H
#define CARILLON_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cursor.h"
#include "ws-notifier/frame.h"

struct ring;       /* opaque */
struct ring_event; /* opaque: one event in the ring, valid until the next ring_add/_age/_clear */

/* The clocks of the API's, the broker's and the notifiers' machines may differ by so much. */
#define RING_CLOCK_MARGIN_S 5

/* Everything that reaches the stream from begin_s on will be added. */
struct ring *ring_new(size_t max_bytes, int64_t max_age_s, int64_t begin_s);
void ring_free(struct ring **ring);

/* Moves `begin`: events that reached the stream earlier may be missing; those that are here stay valid. */
void ring_begin(struct ring *ring, int64_t begin_s);

/* Forgets all events (another epoch); `begin` stays. */
void ring_clear(struct ring *ring);

enum ring_verdict {
    RING_NEW,
    RING_DUPLICATE, /* not newer than the user's newest known event: not added */
    RING_AFTER_HOLE /* added, but the stream lacked the one before */
};

/* Adds an event (taking a reference of its own). `time_s` is when it reached the stream: not before its
 * creation, nor before any time in a cursor made before it. The oldest events are dropped to make room. */
enum ring_verdict ring_add(struct ring *ring, uint32_t user_id, uint64_t seq, int64_t time_s,
                           struct frame *frame);

/* ring_age() drops events older than max_age_s; ring_drop_oldest() drops the oldest, which must be there. */
void ring_age(struct ring *ring, int64_t now_s);
void ring_drop_oldest(struct ring *ring);

/* The user's newest sequence number; 0: no event of the user is here. */
uint64_t ring_last_seq(const struct ring *ring, uint32_t user_id);

/* The events that a cursor's owner has missed: all after after_seq up to last_seq, without a hole. */
struct ring_replay {
    uint64_t after_seq; /* the cursor's, or the one before the user's first event when that was 0 */
    uint64_t last_seq;  /* the client's after the replay: never less than the cursor's */
};

/* Whether all events after the cursor are here, and which they are. The caller has checked the cursor's
 * epoch. A cursor ahead of the ring (fresh from the database) has missed nothing. */
bool ring_find(const struct ring *ring, uint32_t user_id, const struct cursor *cursor, int64_t now_s,
               struct ring_replay *replay);

/* The user's oldest event here that is newer than seq; NULL: none. A binary search at most. */
const struct ring_event *ring_after(const struct ring *ring, uint32_t user_id, uint64_t seq);

uint64_t ring_event_seq(const struct ring_event *event);
struct frame *ring_event_frame(const struct ring_event *event); /* the reference stays the ring's */

size_t ring_count(const struct ring *ring);
size_t ring_bytes(const struct ring *ring);       /* all memory that the events take */
size_t ring_index_bytes(const struct ring *ring); /* the same without their frames */
size_t ring_users(const struct ring *ring);
int64_t ring_begin_s(const struct ring *ring);

#endif
