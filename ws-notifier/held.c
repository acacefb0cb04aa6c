/* SPDX-License-Identifier: MIT */
/* Users in the order in which they began to wait; nearly always there are none. */
#include "ws-notifier/held.h"

#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

#include "ws-notifier/notifier_metrics.h"

struct entry {
    struct entry *prev, *next; /* ascending numbers */
    struct held_event event;
};

struct waiting {
    uint32_t user_id;
    int64_t since_ms, since_s;
    struct entry *entries; /* never empty */
    UT_hash_handle hh;     /* in the order of insertion, too */
};

struct held {
    int64_t wait_ms;
    size_t max_bytes, bytes;
    struct metrics *metrics;
    struct waiting *users;
};

struct held *held_new(int64_t wait_ms, size_t max_bytes, struct metrics *metrics)
{
    struct held *held = calloc(1, sizeof *held);
    if (!held)
        abort();
    held->wait_ms = wait_ms;
    held->max_bytes = max_bytes;
    held->metrics = metrics;
    return held;
}

void held_free(struct held **held)
{
    if (!*held)
        return;
    held_clear(*held);
    free(*held);
    *held = NULL;
}

bool held_is_on(const struct held *held)
{
    return held->wait_ms > 0;
}

/* ---- users --------------------------------------------------------------------------------------- */

/* NOLINTBEGIN(readability-function-size, clang-analyzer-unix.Malloc): uthash's macros */
static struct waiting *find(const struct held *held, uint32_t user_id)
{
    struct waiting *waiting;
    HASH_FIND(hh, held->users, &user_id, sizeof user_id, waiting);
    return waiting;
}

static struct waiting *need(struct held *held, uint32_t user_id, int64_t now_ms, int64_t stream_s)
{
    struct waiting *waiting = find(held, user_id);
    if (waiting)
        return waiting;
    waiting = calloc(1, sizeof *waiting);
    if (!waiting)
        abort();
    waiting->user_id = user_id;
    waiting->since_ms = now_ms;
    waiting->since_s = stream_s;
    HASH_ADD(hh, held->users, user_id, sizeof waiting->user_id, waiting);
    return waiting;
}

static void drop(struct held *held, struct waiting *waiting)
{
    HASH_DEL(held->users, waiting);
    free(waiting);
}
/* NOLINTEND(readability-function-size, clang-analyzer-unix.Malloc) */

static void measure(struct held *held)
{
    /* The analyzer thinks that a user who was dropped could still be the first. */
    int64_t users = (int64_t)HASH_COUNT(held->users); /* NOLINT(clang-analyzer-unix.Malloc) */
    metrics_set(held->metrics, NOTIFIER_HOLES_WAITING, users);
    metrics_set(held->metrics, NOTIFIER_HELD_BYTES, (int64_t)held->bytes);
}

bool held_has(const struct held *held, uint32_t user_id, int64_t *since_s)
{
    const struct waiting *waiting = held->users ? find(held, user_id) : NULL;
    if (waiting && since_s)
        *since_s = waiting->since_s;
    return waiting != NULL;
}

/* ---- events -------------------------------------------------------------------------------------- */

static size_t size_of(const struct entry *entry)
{
    return sizeof *entry + frame_size(entry->event.frame);
}

bool held_add(struct held *held, const struct held_event *event, int64_t now_ms, int64_t stream_s)
{
    struct waiting *waiting = need(held, event->user_id, now_ms, stream_s);
    struct entry *last = waiting->entries ? waiting->entries->prev : NULL; /* utlist: the tail */

    while (last && last->event.seq > event->seq)
        last = last == waiting->entries ? NULL : last->prev;
    if (last && last->event.seq == event->seq)
        return false;
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        abort();
    entry->event = *event;
    frame_ref(entry->event.frame);
    if (last)
        DL_APPEND_ELEM(waiting->entries, last, entry);
    else
        DL_PREPEND(waiting->entries, entry);
    held->bytes += size_of(entry);
    measure(held);
    return true;
}

static void take_first(struct held *held, struct waiting *waiting, struct held_event *event)
{
    struct entry *first = waiting->entries;
    *event = first->event;
    held->bytes -= size_of(first);
    DL_DELETE(waiting->entries, first);
    free(first);
    if (!waiting->entries)
        drop(held, waiting);
    measure(held);
}

bool held_take(struct held *held, uint32_t user_id, uint64_t upto, struct held_event *event)
{
    struct waiting *waiting = held->users ? find(held, user_id) : NULL;
    if (!waiting || waiting->entries->event.seq > upto)
        return false;
    take_first(held, waiting, event);
    return true;
}

uint32_t held_overdue(const struct held *held, int64_t now_ms)
{
    const struct waiting *oldest = held->users;
    if (!oldest)
        return 0;
    bool overdue = now_ms - oldest->since_ms >= held->wait_ms || held->bytes > held->max_bytes;
    return overdue ? oldest->user_id : 0;
}

void held_clear(struct held *held)
{
    struct held_event event;
    while (held->users) {
        take_first(held, held->users, &event);
        frame_unref(&event.frame);
    }
}
