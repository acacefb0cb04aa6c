/* SPDX-License-Identifier: MIT */
/* Where several nodes share the journal, each has a stream of its own, and one can be behind the others. So
 * the publisher that sweeps says, in its beacons, up to which time its stream has every event, and the
 * notifier puts that time into cursors: then a cursor of one node is good at every other (docs/protocol.md).
 * A node that is cut off from the others has no such time to tell, because its database answers nothing, and
 * a publisher beside the one that sweeps tells none, or its beacons would take the time back. One machine
 * alone says nothing of it: its stream is the only one. */
#include <stdlib.h>

#include "common/clock.h"
#include "fcgi-api/publisher/internal.h"

#define EVERY_MS    1000
#define AGAIN_MS    200  /* while events wait that belong to the time before */
#define WAITING_MAX 4096 /* with more in the outbox this node is behind, and has no new time to tell */

static bool says(const struct publisher *publisher)
{
    return publisher->link.state == LINK_READY && publisher->upkeep.is_ours && publisher->upkeep.nodes > 1 &&
           !publisher->link.blocked && !atomic_load(&publisher->stopping);
}

int64_t publisher_complete_time(const struct publisher *publisher)
{
    return says(publisher) ? publisher->upkeep.complete_at : INT64_MAX;
}

/* What beacons say from now on. When a second node comes beside the first, the sweeper's go on saying nothing
 * until there is a time to tell: until now this stream was the only one. */
static void set_beacons(struct publisher *publisher)
{
    const struct upkeep *upkeep = &publisher->upkeep;
    int64_t complete_ms = upkeep->watermark.complete_ms;
    bool sweeps = upkeep->is_ours && publisher->link.state == LINK_READY;
    if (!publisher->link.amqp || (upkeep->nodes > 1 && complete_ms == 0 && sweeps))
        return;
    amqp_link_say_complete(publisher->link.amqp, upkeep->nodes > 1 ? complete_ms : -1);
}

enum err publisher_count_nodes(struct publisher *publisher)
{
    struct upkeep *upkeep = &publisher->upkeep;
    enum err err = store_nodes(publisher->store, &upkeep->nodes);
    if (err)
        return err;
    metrics_set(publisher->metrics, API_NODES, upkeep->nodes);
    if (upkeep->nodes == 1 || !upkeep->is_ours)
        watermark_reset(&upkeep->watermark);
    if (upkeep->nodes == 1)
        metrics_set(publisher->metrics, API_COMPLETE_AGE_MS, 0);
    set_beacons(publisher);
    return ERR_OK;
}

/* The clock first, then the barrier, then the list: see watermark.h. */
static enum err look(struct publisher *publisher, bool *moved)
{
    struct upkeep *upkeep = &publisher->upkeep;
    struct outbox_key *keys = calloc(WAITING_MAX, sizeof *keys);
    size_t count = 0;
    int64_t now_ms = 0;

    if (!keys)
        abort();
    enum err err = store_clock(publisher->store, &now_ms);
    if (!err)
        err = store_barrier(publisher->store);
    if (!err)
        err = store_outbox_keys(publisher->store, keys, WAITING_MAX, &count);
    *moved = !err && watermark_look(&upkeep->watermark, now_ms, keys, count, count < WAITING_MAX);
    free(keys);
    if (!err && upkeep->watermark.complete_ms != 0)
        metrics_set(publisher->metrics, API_COMPLETE_AGE_MS, now_ms - upkeep->watermark.complete_ms);
    return err;
}

enum err publisher_say_complete(struct publisher *publisher)
{
    struct upkeep *upkeep = &publisher->upkeep;
    int64_t now = clock_monotonic_ms();
    bool moved;

    if (now < publisher_complete_time(publisher))
        return ERR_OK;
    upkeep->complete_at = now + EVERY_MS;
    if (look(publisher, &moved) != ERR_OK)
        return ERR_OK;
    if (!moved) {
        upkeep->complete_at = now + AGAIN_MS;
        return ERR_OK;
    }
    set_beacons(publisher);
    return publisher_send_beacon(publisher) == ERR_CLOSED ? ERR_CLOSED : ERR_OK;
}
