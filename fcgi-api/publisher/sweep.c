/* SPDX-License-Identifier: MIT */
/* What one publisher does for all, while it holds a lock of the database: it finds events without a hint
 * (their worker died, or the hint did not fit into the pipe), sets the outbox's gauges, sends the beacon and
 * purges rows past their time. When the holder dies the database frees the lock, and the next publisher takes
 * over. */
#include "common/clock.h"
#include "common/log.h"
#include "fcgi-api/publisher/internal.h"

#define SWEEP_LOCK         "sweeper"
#define FORGOTTEN_AGE_MS   1000
#define USERS_A_SWEEP      256
#define SLOW_SWEEPS        5     /* times the interval, while there is no broker */
#define SWEEP_AGAIN_MS     100   /* when there were some: only the first of a long backlog were read */
#define BEACON_INTERVAL_MS 10000 /* also notices that the stream is gone */
#define PURGE_INTERVAL_MS  60000

static bool is_due(int64_t *at, int64_t now, int64_t interval)
{
    if (now < *at)
        return false;
    *at = now + interval;
    return true;
}

/* Events without a hint go through the same list as hinted ones.
 *
 * The list is read first, then made durable: a commit is visible before its log is on disk. In the other
 * order an event could be listed that came after the barrier, be published, and be lost with its number in a
 * crash (docs/models/barrier.pml). The next sweep finds an event that becomes visible after the list was
 * read. */
static void find_forgotten(struct publisher *publisher, int64_t age_ms)
{
    struct worklist *todo = &publisher->outgoing.todo;
    struct outbox_key users[USERS_A_SWEEP];
    size_t count;

    if (worklist_count(todo) > 0 || publisher->link.blocked)
        return; /* still busy with the events of the last sweep */
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
    /* A publisher with a broker can do more with the lock. */
    if (!ready || err)
        (void)!store_unlock(publisher->store, SWEEP_LOCK);
    return err;
}
