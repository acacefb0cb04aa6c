/* When may a cursor (seq, time) of a user be served from here?
 *
 *   - His events from some seq `whole_from` up to his newest are here without a hole, and the cursor's seq is
 *     at least whole_from - 1: nothing can be missing.
 *   - None of his events is here, and the cursor's time is later than `begin`: whatever reached the stream
 *     since would be here, so nothing did.
 *   - The cursor's seq is 0 ("of this user I know none"; a notifier says so that has not seen him) and its
 *     time is later than `begin`: all that is here of him is all there was.
 *
 * A cursor with a seq of a user whose events are here, but not from seq + 1 on, is never served by its
 * time: something of his left the ring or was lost, whatever the clocks say. */
#include "ws-notifier/ring.h"

#include <assert.h>
#include <stdlib.h>
#include <uthash.h>

struct ring_user {
    uint32_t user_id;
    uint64_t whole_from; /* his events from here on have no hole */
    struct ring_event *oldest, *newest;
    UT_hash_handle hh;
};

struct ring_event {
    struct ring_event *next; /* in the stream's order */
    struct ring_event *older_of_user, *newer_of_user;
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

static size_t memory_of(const struct ring_event *event)
{
    return sizeof *event + frame_size(event->frame);
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
    return user;
}

static void drop_user(struct ring *ring, struct ring_user *user)
{
    HASH_DEL(ring->users, user);
    ring->bytes -= sizeof *user;
    free(user);
}
/* NOLINTEND(readability-function-size, clang-analyzer-core.NullDereference) */

/* The oldest event of all is also its user's oldest. What reached the stream before it is gone too. */
static void drop_oldest(struct ring *ring)
{
    struct ring_event *event = ring->oldest;
    struct ring_user *user = event->user;

    assert(user->oldest == event);
    ring_begin(ring, event->time_s);
    ring->oldest = event->next;
    if (!ring->oldest)
        ring->newest = NULL;
    user->oldest = event->newer_of_user;
    if (user->oldest)
        user->oldest->older_of_user = NULL;
    else
        user->newest = NULL;
    if (user->whole_from <= event->seq)
        user->whole_from = event->seq + 1;
    ring->count--;
    ring->bytes -= memory_of(event);
    if (!user->oldest)
        drop_user(ring, user);
    frame_unref(&event->frame);
    free(event);
}

void ring_clear(struct ring *ring)
{
    int64_t begin_s = ring->begin_s;
    while (ring->oldest)
        drop_oldest(ring);
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

    event->user = user;
    event->older_of_user = user->newest;
    if (user->newest)
        user->newest->newer_of_user = event;
    else
        user->oldest = event;
    user->newest = event;
    ring->count++;
    ring->bytes += memory_of(event);
}

enum ring_verdict ring_add(struct ring *ring, uint32_t user_id, uint64_t seq, int64_t time_s,
                           struct frame *frame)
{
    enum ring_verdict verdict = RING_NEW;
    struct ring_user *user = find_user(ring, user_id);

    if (user && seq <= user->newest->seq)
        return RING_DUPLICATE;
    if (!user) {
        user = add_user(ring, user_id, seq);
    } else if (seq != user->newest->seq + 1) {
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
        drop_oldest(ring);
    return verdict;
}

void ring_age(struct ring *ring, int64_t now_s)
{
    while (ring->oldest && ring->oldest->time_s < now_s - ring->max_age_s)
        drop_oldest(ring);
}

uint64_t ring_last_seq(const struct ring *ring, uint32_t user_id)
{
    const struct ring_user *user = find_user(ring, user_id);
    return user ? user->newest->seq : 0;
}

static bool recent_enough(const struct ring *ring, int64_t time_s, int64_t now_s)
{
    /* A time from the future is some clock's error: it proves nothing. */
    return time_s >= ring->begin_s + RING_CLOCK_MARGIN_S && time_s <= now_s + RING_CLOCK_MARGIN_S;
}

/* Back from the newest, so that the cost is that of what is asked for and not of what is there. */
static void collect(const struct ring_user *user, uint64_t seq, size_t most, struct ring_replay *replay)
{
    assert(user->newest);
    for (const struct ring_event *event = user->newest; event && event->seq > seq && replay->count <= most;
         event = event->older_of_user) {
        replay->first = event;
        replay->count++;
        replay->bytes += event->frame->length;
    }
    if (user->newest->seq > seq)
        replay->last_seq = user->newest->seq;
}

bool ring_find(const struct ring *ring, uint32_t user_id, const struct cursor *cursor, int64_t now_s,
               size_t most, struct ring_replay *replay)
{
    const struct ring_user *user = find_user(ring, user_id);
    *replay = (struct ring_replay){.last_seq = cursor->seq};

    if (!user)
        return recent_enough(ring, cursor->time_s, now_s);
    if (cursor->seq + 1 < user->whole_from) {
        bool no_hole_inside = user->whole_from <= user->oldest->seq;
        if (cursor->seq != 0 || !no_hole_inside || !recent_enough(ring, cursor->time_s, now_s))
            return false;
    }
    collect(user, cursor->seq, most, replay);
    return true;
}

const struct ring_event *ring_event_next(const struct ring_event *event)
{
    return event->newer_of_user;
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

size_t ring_users(const struct ring *ring)
{
    return HASH_COUNT(ring->users);
}

int64_t ring_begin_s(const struct ring *ring)
{
    return ring->begin_s;
}
