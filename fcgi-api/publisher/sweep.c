/* What one publisher does for all, while it holds a lock of the database: events that nobody has
 * published (their worker died, or its hint found no place), the outbox's gauges, the beacon, and what is
 * past its time. When the holder dies the database frees the lock, and the next one's
 * sweep takes over. */
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
#define PURGE_AGAIN_MS     100 /* while there is more to delete */
#define PURGE_ROWS         500

static bool is_due(int64_t *at, int64_t now, int64_t interval)
{
    if (now < *at)
        return false;
    *at = now + interval;
    return true;
}

/* Forgotten events go through the same list as hinted ones. What is visible is made durable first. */
static void find_forgotten(struct publisher *publisher, int64_t age_ms)
{
    struct outbox_key users[USERS_A_SWEEP];
    size_t count;

    if (worklist_count(&publisher->todo) > 0 || publisher->blocked)
        return; /* busy with the last lot */
    enum err err = store_outbox_users(publisher->store, age_ms, users, USERS_A_SWEEP, &count);
    if (err || count == 0)
        return;
    if (store_barrier(publisher->store) != ERR_OK)
        return;
    for (size_t i = 0; i < count; i++)
        (void)worklist_add(&publisher->todo, (uint32_t)users[i].user_id, users[i].seq);
    publisher->sweep_at = clock_monotonic_ms() + SWEEP_AGAIN_MS;
}

void publisher_catch_up(struct publisher *publisher)
{
    find_forgotten(publisher, 0);
}

static void set_gauges(struct publisher *publisher)
{
    uint64_t rows;
    int64_t oldest_ms;
    if (store_outbox_depth(publisher->store, &rows, &oldest_ms) != ERR_OK)
        return;
    metrics_set(publisher->metrics, API_OUTBOX_DEPTH, (int64_t)rows);
    metrics_set(publisher->metrics, API_OUTBOX_OLDEST_MS, oldest_ms);
}

/* By no clock alone (retention.h). The note comes before the deletion it allows. */
static enum err purge_time(struct publisher *publisher, int64_t *now_ms)
{
    struct retention_clocks clocks = {.newest = -1};
    enum err err = store_moment(publisher->store, PURGE_NOTE, &clocks.noted);
    if (!err)
        err = store_clock(publisher->store, &clocks.database);
    if (!err && clocks.noted < 0)
        err = store_newest_event(publisher->store, &clocks.newest);
    if (err)
        return err;
    clocks.worker = clock_wall_ms();
    clocks.monotonic = clock_monotonic_ms();
    *now_ms = retention_now(&publisher->retention, &clocks);
    return store_set_moment(publisher->store, PURGE_NOTE, *now_ms);
}

static void purge(struct publisher *publisher)
{
    const struct config *config = publisher->config;
    int64_t now_ms;
    uint64_t deleted;

    if (purge_time(publisher, &now_ms) != ERR_OK ||
        store_purge(publisher->store, now_ms - config->event_retention_s * 1000,
                    now_ms - config->idempotency_retention_s * 1000, PURGE_ROWS, &deleted) != ERR_OK)
        return;
    metrics_add(publisher->metrics, API_ROWS_PURGED, (int64_t)deleted);
    if (deleted >= PURGE_ROWS)
        publisher->purge_at = publisher->sweep_at = clock_monotonic_ms() + PURGE_AGAIN_MS;
}

void publisher_sweep(struct publisher *publisher)
{
    int64_t now = clock_monotonic_ms();
    bool held;

    if (atomic_load(&publisher->stopping))
        return;
    bool ready = publisher->state == LINK_READY;
    if (!is_due(&publisher->sweep_at, now, publisher->config->sweep_interval_ms * (ready ? 1 : SLOW_SWEEPS)))
        return;
    if (store_lock(publisher->store, SWEEP_LOCK, 0, &held) != ERR_OK || !held)
        return;
    if (ready) {
        find_forgotten(publisher, FORGOTTEN_AGE_MS);
        if (is_due(&publisher->beacon_at, now, BEACON_INTERVAL_MS))
            (void)publisher_send_beacon(publisher);
        publisher_forget_kept(publisher);
    }
    set_gauges(publisher);
    if (is_due(&publisher->purge_at, now, PURGE_INTERVAL_MS))
        purge(publisher);
    /* One who has a broker can do more with it. */
    if (publisher->state != LINK_READY)
        (void)!store_unlock(publisher->store, SWEEP_LOCK);
}
