/* SPDX-License-Identifier: MIT */
/* What one publisher does for all, while it holds a lock of the database: it finds events without a hint
 * (their worker died, or the hint did not fit into the pipe), sets the outbox's gauges and purges rows past
 * their time. When the holder dies the database frees the lock, and the next publisher takes over.
 *
 * Without the lock a publisher sends its beacon all the same. (Two pools may share database and broker.) */
#include "common/clock.h"
#include "common/log.h"
#include "fcgi-api/publisher/internal.h"

#define SWEEP_LOCK         "sweeper"
#define FORGOTTEN_AGE_MS   1000
#define USERS_A_SWEEP      256
#define SLOW_SWEEPS        5     /* times the interval, while there is no broker */
#define SWEEP_AGAIN_MS     100   /* when there were some: only the first of a long backlog were read */
#define BEACON_INTERVAL_MS 10000 /* less than HEALTH_SILENT_MS; also notices that the stream is gone */
#define NOTE_INTERVAL_MS   10000
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

/* For the sweeper and for others: a broker that confirms nothing counts as silent. */
static enum err send_beacon(struct publisher *publisher, int64_t now)
{
    enum err err = ERR_OK;
    (void)!publisher_count_nodes(publisher); /* what the beacon says depends on it */
    if (is_due(&publisher->upkeep.beacon_at, now, BEACON_INTERVAL_MS))
        err = publisher_send_beacon(publisher);
    if (err == ERR_AGAIN)
        publisher->upkeep.beacon_at = now; /* with the next sweep */
    return err == ERR_CLOSED ? err : ERR_OK;
}

static void sweep_for_all(struct publisher *publisher, bool ready, int64_t now)
{
    if (ready) {
        find_forgotten(publisher, FORGOTTEN_AGE_MS);
        publisher_forget_kept(publisher);
    }
    publisher_set_gauges(publisher);
    if (is_due(&publisher->upkeep.purge_at, now, PURGE_INTERVAL_MS))
        publisher_purge(publisher);
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
    upkeep->is_ours = store_lock(publisher->store, SWEEP_LOCK, &held) == ERR_OK && held && ready;
    if (ready)
        err = send_beacon(publisher, now);
    if (!held)
        return err;
    sweep_for_all(publisher, ready, now);
    if (ready && !err && is_due(&upkeep->note_at, now, NOTE_INTERVAL_MS))
        err = publisher_note_compared(publisher);
    /* A publisher with a broker can do more with the lock. */
    if (!ready || err)
        (void)!store_unlock(publisher->store, SWEEP_LOCK);
    return err;
}
