/* SPDX-License-Identifier: MIT */
/* Recent events of all users, kept for those who come back: one ring in the order of the stream, bounded
 * in bytes and in age, with an index of each user's events by their number.
 *
 * It knows what it does not have: `begin` is the time from which on everything that reached the stream
 * is here, and per user the sequence number from which on nothing is missing. So it can say of any
 * cursor whether what came after it is here completely, without asking the database.
 *
 * One epoch at a time: whoever learns of another clears the ring. All times are seconds since 1970. */
#ifndef CARILLON_RING_H
#define CARILLON_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cursor.h"
#include "ws-notifier/frame.h"

struct ring;       /* opaque */
struct ring_event; /* opaque: one event in the ring, valid until the next ring_add/_age/_clear */

/* Clocks of the API's, the broker's and the notifiers' machines may differ by so much. */
#define RING_CLOCK_MARGIN_S 5

/* Everything that reaches the stream from begin_s on will be added. */
struct ring *ring_new(size_t max_bytes, int64_t max_age_s, int64_t begin_s);
void ring_free(struct ring **ring);

/* From here on: what reached the stream earlier may be missing, though what is here stays good. */
void ring_begin(struct ring *ring, int64_t begin_s);

/* Forgets all events (another epoch); `begin` stays. */
void ring_clear(struct ring *ring);

enum ring_verdict {
    RING_NEW,
    RING_DUPLICATE, /* not newer than what is known of this user: not added */
    RING_AFTER_HOLE /* added, but the stream did not have the one before */
};

/* Adds an event (taking a reference of its own). `time_s` is when it reached the stream, at least as late
 * as its creation and as any time a cursor made before it can hold. The oldest events leave for it. */
enum ring_verdict ring_add(struct ring *ring, uint32_t user_id, uint64_t seq, int64_t time_s,
                           struct frame *frame);

/* Lets events leave that are older than max_age_s; the oldest, which must be there. */
void ring_age(struct ring *ring, int64_t now_s);
void ring_drop_oldest(struct ring *ring);

/* The user's newest sequence number; 0: no event of his is here. */
uint64_t ring_last_seq(const struct ring *ring, uint32_t user_id);

/* What a cursor's owner has missed: everything after after_seq up to last_seq, without a hole. */
struct ring_replay {
    uint64_t after_seq; /* the cursor's, or where his events begin when it was 0 */
    uint64_t last_seq;  /* what he has after it: never less than the cursor's */
};

/* Whether everything after the cursor is here, and if so, what. The cursor's epoch is the caller's business.
 * A cursor ahead of the ring (fresh from the database) has missed nothing. */
bool ring_find(const struct ring *ring, uint32_t user_id, const struct cursor *cursor, int64_t now_s,
               struct ring_replay *replay);

/* The user's oldest event here that is newer than seq; NULL: none. Cheap, wherever it is. */
const struct ring_event *ring_after(const struct ring *ring, uint32_t user_id, uint64_t seq);

uint64_t ring_event_seq(const struct ring_event *event);
struct frame *ring_event_frame(const struct ring_event *event); /* the ring's reference */

size_t ring_count(const struct ring *ring);
size_t ring_bytes(const struct ring *ring);       /* all memory that the events take */
size_t ring_index_bytes(const struct ring *ring); /* the same without their frames */
size_t ring_users(const struct ring *ring);
int64_t ring_begin_s(const struct ring *ring);

#endif
