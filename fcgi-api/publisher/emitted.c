/* SPDX-License-Identifier: MIT */
/* Events of other programs' transactions (carillon_emit): SQL gives no hint, so one publisher, the one that
 * sweeps, looks for them often. They stand in a list of their own (`emitted`), because the outbox is also
 * full of what is under way.
 *
 * As in sweep.c the list comes before what makes it durable (docs/models/barrier.pml); from then on they go
 * the way of hinted ones. The list is a help only: an event that is taken off it and then forgotten (this
 * process dies, the broker goes) is in the outbox still, and found there. */
#include "common/clock.h"
#include "fcgi-api/publisher/internal.h"

#define LOOK_BUSY_MS 50
#define LOOK_IDLE_MS 250
#define BUSY_FOR_MS  5000 /* since the last one came */
#define REST_FACTOR                                                                                          \
    20 /* times as long as it took to look: rows that a backup's snapshot keeps slow it down */
#define FOUND_MAX 1000

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
    bool busy = upkeep->emitted_seen != 0 && began - upkeep->emitted_seen < BUSY_FOR_MS;
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
