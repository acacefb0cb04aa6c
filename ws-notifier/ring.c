/* SPDX-License-Identifier: MIT */
/* A cursor (seq, time) of a user can be served from here in three cases:
 *
 *   - The user's events from some seq `whole_from` up to the newest are here without a hole, and the cursor's
 *     seq is at least whole_from - 1: nothing can be missing.
 *   - No event of the user is here, and the cursor's time is later than `begin`: an event that reached the
 *     stream since would be here, so there was none.
 *   - The cursor's seq is 0 ("no event of this user is known"; a notifier that has seen none sends such a
 *     cursor) and its time is later than `begin`: the events that are here are all there were.
 *
 * When events of the user are here, but not from the cursor's seq + 1 on, its time never counts: an event of
 * the user has left the ring or was lost, whatever the clocks say. */
#include "ws-notifier/ring.h"

#include <assert.h>
#include <stdlib.h>
#include <uthash.h>

#define FIRST_CAPACITY 2
#define SLOT           sizeof(struct ring_event *)

struct ring_user {
    uint32_t user_id;
    uint32_t capacity, first, count;
    struct ring_event **events; /* a circle of `capacity`, a power of two; oldest first, never empty */
    uint64_t whole_from;        /* the user's events from here on have no hole */
    UT_hash_handle hh;
};

struct ring_event {
    struct ring_event *next; /* in the stream's order */
    struct ring_user *user;
    struct frame *frame;
    uint64_t seq;
    int64_t time_s;
};

struct ring {
    size_t max_bytes;
    int64_t max_age_s;
    int64_t begin_s;
    struct ring_event *oldest, *newest;
    struct ring_user *users;
    size_t count, bytes;
    size_t frame_bytes; /* the frames' part of `bytes` */
};

struct ring *ring_new(size_t max_bytes, int64_t max_age_s, int64_t begin_s)
{
    struct ring *ring = calloc(1, sizeof *ring);
    if (!ring)
        abort();
    ring->max_bytes = max_bytes;
    ring->max_age_s = max_age_s;
    ring->begin_s = begin_s;
    return ring;
}

void ring_begin(struct ring *ring, int64_t begin_s)
{
    if (begin_s > ring->begin_s)
        ring->begin_s = begin_s;
}

/* ---- users ------------------------------------------------------------------------------------------ */

static struct ring_event *nth(const struct ring_user *user, uint32_t n)
{
    return user->events[(user->first + n) & (user->capacity - 1)];
}

static const struct ring_event *newest_of(const struct ring_user *user)
{
    assert(user->count > 0);
    return nth(user, user->count - 1);
}

static void resize(struct ring *ring, struct ring_user *user, uint32_t capacity)
{
    struct ring_event **events = malloc(capacity * SLOT);
    if (!events)
        abort();
    for (uint32_t n = 0; n < user->count; n++)
        events[n] = nth(user, n);
    free(user->events);
    ring->bytes += capacity * SLOT;
    ring->bytes -= user->capacity * SLOT;
    user->events = events;
    user->capacity = capacity;
    user->first = 0;
}

/* NOLINTBEGIN(readability-function-size, clang-analyzer-core.NullDereference): uthash's macros */
static struct ring_user *find_user(const struct ring *ring, uint32_t user_id)
{
    struct ring_user *user;
    HASH_FIND(hh, ring->users, &user_id, sizeof user_id, user);
    return user;
}

static struct ring_user *add_user(struct ring *ring, uint32_t user_id, uint64_t seq)
{
    struct ring_user *user = calloc(1, sizeof *user);
    if (!user)
        abort();
    user->user_id = user_id;
    user->whole_from = seq;
    HASH_ADD(hh, ring->users, user_id, sizeof user->user_id, user);
    ring->bytes += sizeof *user;
    resize(ring, user, FIRST_CAPACITY);
    return user;
}

static void drop_user(struct ring *ring, struct ring_user *user)
{
    HASH_DEL(ring->users, user);
    ring->bytes -= sizeof *user + user->capacity * SLOT;
    free(user->events);
    free(user);
}
/* NOLINTEND(readability-function-size, clang-analyzer-core.NullDereference) */

static void take_oldest(struct ring *ring, struct ring_user *user)
{
    user->first = (user->first + 1) & (user->capacity - 1);
    user->count--;
    if (user->count == 0)
        drop_user(ring, user);
    else if (user->capacity > FIRST_CAPACITY && user->count <= user->capacity / 4)
        resize(ring, user, user->capacity / 2);
}

/* ---- coming and going ---------------------------------------------------------------------------- */

void ring_drop_oldest(struct ring *ring)
{
    struct ring_event *event = ring->oldest;
    struct ring_user *user = event->user;

    /* The oldest event of all is also its user's oldest. Events that reached the stream before it are gone,
     * too: all until the end of its second may be. */
    assert(nth(user, 0) == event);
    ring_begin(ring, event->time_s + 1);
    ring->oldest = event->next;
    if (!ring->oldest)
        ring->newest = NULL;
    if (user->whole_from <= event->seq)
        user->whole_from = event->seq + 1;
    take_oldest(ring, user);
    ring->count--;
    ring->bytes -= sizeof *event + frame_size(event->frame);
    ring->frame_bytes -= frame_size(event->frame);
    frame_unref(&event->frame);
    free(event);
}

void ring_clear(struct ring *ring)
{
    int64_t begin_s = ring->begin_s;
    while (ring->oldest)
        ring_drop_oldest(ring);
    ring->begin_s = begin_s;
}

void ring_free(struct ring **ring)
{
    if (!*ring)
        return;
    ring_clear(*ring);
    free(*ring);
    *ring = NULL;
}

static void append(struct ring *ring, struct ring_user *user, struct ring_event *event)
{
    if (ring->newest)
        ring->newest->next = event;
    else
        ring->oldest = event;
    ring->newest = event;

    if (user->count == user->capacity)
        resize(ring, user, user->capacity * 2);
    user->events[(user->first + user->count++) & (user->capacity - 1)] = event;
    event->user = user;
    ring->count++;
    ring->bytes += sizeof *event + frame_size(event->frame);
    ring->frame_bytes += frame_size(event->frame);
}

enum ring_verdict ring_add(struct ring *ring, uint32_t user_id, uint64_t seq, int64_t time_s,
                           struct frame *frame)
{
    enum ring_verdict verdict = RING_NEW;
    struct ring_user *user = find_user(ring, user_id);

    if (user && seq <= newest_of(user)->seq)
        return RING_DUPLICATE;
    if (!user) {
        user = add_user(ring, user_id, seq);
    } else if (seq != newest_of(user)->seq + 1) {
        user->whole_from = seq;
        verdict = RING_AFTER_HOLE;
    }
    struct ring_event *event = calloc(1, sizeof *event);
    if (!event)
        abort();
    event->frame = frame_ref(frame);
    event->seq = seq;
    event->time_s = time_s;
    append(ring, user, event);
    while (ring->bytes > ring->max_bytes && ring->oldest)
        ring_drop_oldest(ring);
    return verdict;
}

void ring_age(struct ring *ring, int64_t now_s)
{
    while (ring->oldest && ring->oldest->time_s < now_s - ring->max_age_s)
        ring_drop_oldest(ring);
}

uint64_t ring_last_seq(const struct ring *ring, uint32_t user_id)
{
    const struct ring_user *user = find_user(ring, user_id);
    return user ? newest_of(user)->seq : 0;
}

/* ---- coming back --------------------------------------------------------------------------------- */

static bool recent_enough(const struct ring *ring, int64_t time_s, int64_t now_s)
{
    /* A time in the future comes from a wrong clock: it proves nothing. */
    return time_s >= ring->begin_s + RING_CLOCK_MARGIN_S && time_s <= now_s + RING_CLOCK_MARGIN_S;
}

bool ring_find(const struct ring *ring, uint32_t user_id, const struct cursor *cursor, int64_t now_s,
               struct ring_replay *replay)
{
    const struct ring_user *user = find_user(ring, user_id);
    *replay = (struct ring_replay){.after_seq = cursor->seq, .last_seq = cursor->seq};

    if (!user)
        return recent_enough(ring, cursor->time_s, now_s);
    if (cursor->seq + 1 < user->whole_from) {
        bool no_hole_inside = user->whole_from <= nth(user, 0)->seq;
        if (cursor->seq != 0 || !no_hole_inside || !recent_enough(ring, cursor->time_s, now_s))
            return false;
        replay->after_seq = nth(user, 0)->seq - 1;
    }
    if (newest_of(user)->seq > cursor->seq)
        replay->last_seq = newest_of(user)->seq;
    return true;
}

/* How many of the user's events are not newer than seq. */
static uint32_t count_until(const struct ring_user *user, uint64_t seq)
{
    uint64_t newer = newest_of(user)->seq > seq ? newest_of(user)->seq - seq : 0;
    uint32_t low = 0, high = user->count;

    /* Without a hole in between (the usual case) the number is known without a search. */
    if (newer < user->count && nth(user, user->count - (uint32_t)newer - 1)->seq == seq)
        return user->count - (uint32_t)newer;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (nth(user, middle)->seq > seq)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

const struct ring_event *ring_after(const struct ring *ring, uint32_t user_id, uint64_t seq)
{
    const struct ring_user *user = find_user(ring, user_id);
    if (!user)
        return NULL;
    uint32_t n = count_until(user, seq);
    return n < user->count ? nth(user, n) : NULL;
}

uint64_t ring_event_seq(const struct ring_event *event)
{
    return event->seq;
}

struct frame *ring_event_frame(const struct ring_event *event)
{
    return event->frame;
}

size_t ring_count(const struct ring *ring)
{
    return ring->count;
}

size_t ring_bytes(const struct ring *ring)
{
    return ring->bytes;
}

size_t ring_index_bytes(const struct ring *ring)
{
    return ring->bytes - ring->frame_bytes;
}

size_t ring_users(const struct ring *ring)
{
    return HASH_COUNT(ring->users);
}

int64_t ring_begin_s(const struct ring *ring)
{
    return ring->begin_s;
}
