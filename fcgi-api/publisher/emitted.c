/* SPDX-License-Identifier: MIT */
/* Events of other programs' transactions (carillon_emit), and of other nodes. Neither sends a hint, so the
 * publisher that sweeps polls for them. They are listed in a table of their own (`emitted`), because the
 * outbox also holds the events in flight.
 *
 * As in sweep.c the list is read before the barrier that makes it durable (docs/models/barrier.pml); after
 * that these events are treated like hinted ones. The table only saves time: an event that was taken off it
 * and then lost (this process dies, the broker goes away) is still in the outbox, and found there. */
#include "common/clock.h"
#include "fcgi-api/publisher/internal.h"

#define LOOK_BUSY_MS 50
#define LOOK_IDLE_MS 250
#define BUSY_FOR_MS  5000 /* since the last event came */
#define REST_FACTOR  20   /* times as long as the query took; rows kept for a backup slow it down */
#define FOUND_MAX    1000

static bool looks(const struct publisher *publisher)
{
    return publisher->link.state == LINK_READY && publisher->upkeep.is_ours && !publisher->link.blocked &&
           !atomic_load(&publisher->stopping) &&
           worklist_count(&publisher->outgoing.todo) + FOUND_MAX <= TODO_MAX;
}

int64_t publisher_emitted_time(const struct publisher *publisher)
{
    return looks(publisher) ? publisher->upkeep.emitted_at : INT64_MAX;
}

static void plan_next(struct upkeep *upkeep, int64_t began, bool any)
{
    int64_t rest = (clock_monotonic_ms() - began) * REST_FACTOR;
    if (any)
        upkeep->emitted_seen = began;
    bool seen = upkeep->emitted_seen != 0 && began - upkeep->emitted_seen < BUSY_FOR_MS;
    bool busy = seen || upkeep->nodes > 1; /* whose users are to wait no longer than ours */
    int64_t pause = busy ? LOOK_BUSY_MS : LOOK_IDLE_MS;
    upkeep->emitted_at = began + (rest > pause ? rest : pause);
}

void publisher_find_emitted(struct publisher *publisher)
{
    struct upkeep *upkeep = &publisher->upkeep;
    struct outbox_key found[FOUND_MAX];
    int64_t began = clock_monotonic_ms();
    size_t count;

    if (!looks(publisher) || began < upkeep->emitted_at)
        return;
    enum err err = store_emitted_list(publisher->store, found, FOUND_MAX, &count);
    plan_next(upkeep, began, count > 0);
    if (err || count == 0 || store_emitted_take(publisher->store, found, count) != ERR_OK)
        return;
    for (size_t i = 0; i < count; i++)
        (void)worklist_add(&publisher->outgoing.todo, (uint32_t)found[i].user_id, found[i].seq);
    metrics_add(publisher->metrics, API_EVENTS_FOUND, (int64_t)count);
    if (count == FOUND_MAX)
        upkeep->emitted_at = began;
}
