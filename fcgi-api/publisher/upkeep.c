/* SPDX-License-Identifier: MIT */
/* The work that needs no broker: the outbox's gauges, and deleting rows past their time. For the publisher
 * that holds the sweeper's lock. */
#include "common/clock.h"
#include "fcgi-api/publisher/internal.h"

#define PURGE_ROWS     500
#define PURGE_AGAIN_MS 100 /* while there is more to delete */

/* The age by the wall clock; where that was set back, how long the event has been the oldest one here. */
static int64_t oldest_age(struct upkeep *upkeep, const struct outbox_depth *depth)
{
    int64_t now = clock_monotonic_ms(), age = clock_wall_ms() - depth->oldest_at_ms;
    if (depth->rows == 0)
        return 0;
    if (depth->oldest.user_id != upkeep->oldest.user_id || depth->oldest.seq != upkeep->oldest.seq) {
        upkeep->oldest = depth->oldest;
        upkeep->oldest_since = now;
    }
    return age > now - upkeep->oldest_since ? age : now - upkeep->oldest_since;
}

void publisher_set_gauges(struct publisher *publisher)
{
    struct outbox_depth depth;
    if (store_outbox_depth(publisher->store, &depth) != ERR_OK)
        return;
    metrics_set(publisher->metrics, API_OUTBOX_DEPTH, (int64_t)depth.rows);
    metrics_set(publisher->metrics, API_OUTBOX_OLDEST_MS, oldest_age(&publisher->upkeep, &depth));
}

/* No clock decides alone (retention.h). The note is written before the deletion that it allows. */
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
    *now_ms = retention_now(&publisher->upkeep.retention, &clocks);
    return store_set_moment(publisher->store, PURGE_NOTE, *now_ms);
}

/* Ended sessions from before this no longer matter; 0: tokens have no longest life, so all matter. */
static int64_t ends_before(const struct config *config, int64_t now_ms)
{
    return config->jwt_max_life_s > 0 ? now_ms - (config->jwt_max_life_s + config->jwt_leeway_s) * 1000 : 0;
}

void publisher_purge(struct publisher *publisher)
{
    const struct config *config = publisher->config;
    struct upkeep *upkeep = &publisher->upkeep;
    int64_t now_ms;
    uint64_t deleted;

    if (purge_time(publisher, &now_ms) != ERR_OK ||
        store_purge(publisher->store, now_ms - config->event_retention_s * 1000,
                    now_ms - config->idempotency_retention_s * 1000, ends_before(config, now_ms), PURGE_ROWS,
                    &deleted) != ERR_OK)
        return;
    metrics_add(publisher->metrics, API_ROWS_PURGED, (int64_t)deleted);
    if (deleted >= PURGE_ROWS)
        upkeep->purge_at = upkeep->sweep_at = clock_monotonic_ms() + PURGE_AGAIN_MS;
}
