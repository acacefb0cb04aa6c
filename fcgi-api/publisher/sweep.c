/* SPDX-License-Identifier: MIT */
/* What one publisher does for all, while it holds a lock of the database: events that no publisher has been
 * told of (their worker died, or its hint found no place), the outbox's gauges, the beacon, and what is past
 * its time. When the holder dies the database frees the lock, and the next one's sweep takes over. */
#include "common/clock.h"
#include "common/log.h"
#include "fcgi-api/publisher/internal.h"

#define SWEEP_LOCK         "sweeper"
#define FORGOTTEN_AGE_MS   1000
#define USERS_A_SWEEP      256
#define SLOW_SWEEPS        5   /* times the interval while there is no broker */
#define SWEEP_AGAIN_MS     100 /* when there were some: out of a long backlog only the first were looked at */
#define BEACON_INTERVAL_MS 10000 /* finds a stream that is gone, too */
#define PURGE_INTERVAL_MS  60000

static bool is_due(int64_t *at, int64_t now, int64_t interval)
{
    if (now < *at)
        return false;
    *at = now + interval;
    return true;
}

/* Forgotten events go through the same list as hinted ones.
 *
 * First what is there is listed, then it is made durable: a commit is visible before its log is on disk, so
 * the other way round an event could be listed that came after the barrier, published, and lost with its
 * number in a crash (docs/models/barrier.pml). One that becomes visible after the list is found by the next
 * sweep. */
static void find_forgotten(struct publisher *publisher, int64_t age_ms)
{
    struct worklist *todo = &publisher->outgoing.todo;
    struct outbox_key users[USERS_A_SWEEP];
    size_t count;

    if (worklist_count(todo) > 0 || publisher->link.blocked)
        return; /* busy with the last lot */
    enum err err = store_outbox_users(publisher->store, age_ms, users, USERS_A_SWEEP, &count);
    if (err || count == 0)
        return;
    if (store_barrier(publisher->store) != ERR_OK)
        return;
    for (size_t i = 0; i < count; i++)
        (void)worklist_add(todo, (uint32_t)users[i].user_id, users[i].seq);
    publisher->upkeep.sweep_at = clock_monotonic_ms() + SWEEP_AGAIN_MS;
}

void publisher_catch_up(struct publisher *publisher)
{
    find_forgotten(publisher, 0);
}

static enum err sweep_with_broker(struct publisher *publisher, int64_t now)
{
    enum err err = ERR_OK;
    find_forgotten(publisher, FORGOTTEN_AGE_MS);
    if (is_due(&publisher->upkeep.beacon_at, now, BEACON_INTERVAL_MS))
        err = publisher_send_beacon(publisher);
    if (err == ERR_AGAIN)
        publisher->upkeep.beacon_at = now; /* with the next sweep */
    publisher_forget_kept(publisher);
    return err == ERR_CLOSED ? err : ERR_OK;
}

enum err publisher_sweep(struct publisher *publisher)
{
    struct upkeep *upkeep = &publisher->upkeep;
    int64_t now = clock_monotonic_ms();
    enum err err = ERR_OK;
    bool held;

    if (atomic_load(&publisher->stopping))
        return ERR_OK;
    bool ready = publisher->link.state == LINK_READY;
    if (!is_due(&upkeep->sweep_at, now, publisher->config->sweep_interval_ms * (ready ? 1 : SLOW_SWEEPS)))
        return ERR_OK;
    upkeep->is_ours = store_lock(publisher->store, SWEEP_LOCK, 0, &held) == ERR_OK && held && ready;
    if (!held)
        return ERR_OK;
    if (ready)
        err = sweep_with_broker(publisher, now);
    publisher_set_gauges(publisher);
    if (is_due(&upkeep->purge_at, now, PURGE_INTERVAL_MS))
        publisher_purge(publisher);
    /* One that has a broker can do more with it. */
    if (!ready || err)
        (void)!store_unlock(publisher->store, SWEEP_LOCK);
    return err;
}
