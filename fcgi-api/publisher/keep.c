/* SPDX-License-Identifier: MIT */
/* How long confirmed events are kept, so that they can be published again (heal.c): until the broker has
 * lived on for HEAL_WINDOW_S, in the same life. By then the kernel has written them to disk.
 *
 * Publishers may die more often than that, so they count together, in the database: `lived_ms` is how long
 * the broker was seen alive. Each kept row carries the count of its moment. A publisher adds the time from
 * when it knew the count until it sent a beacon that was confirmed, on one connection, by its own monotonic
 * clock. It adds only while the count and the life have not changed. So no time is counted twice, however
 * many publishers there are, and time that no publisher has seen is not counted. A count that is too low
 * keeps rows longer, never shorter.
 *
 * A row may be written during the interval that is added next, so a part of that interval is from before the
 * row. Later intervals are not: they begin after it was added. So at most BEAT_MOST_MS is added at once, and
 * rows are kept for that much longer (docs/models/kept.pml). */
#include "common/clock.h"
#include "fcgi-api/publisher/internal.h"

#define BEAT_FIRST_MS 125  /* then doubled each time: a publisher that dies soon has added something, too */
#define BEAT_MOST_MS  2000 /* the same for all publishers, whatever their settings */
#define FORGET_ROWS   2000
#define AGAIN_MS      50 /* when there is more to forget */

static void pull_ahead(int64_t *at, int64_t moment)
{
    if (*at > moment)
        *at = moment;
}

/* An interval begins here; the next confirmed beacon ends it. */
static void begin_beat(struct publisher *publisher)
{
    struct upkeep *upkeep = &publisher->upkeep;
    int64_t now = clock_monotonic_ms();
    upkeep->keeping.since = now;
    pull_ahead(&upkeep->beacon_at, now + upkeep->keeping.beat_ms);
    pull_ahead(&upkeep->sweep_at, now + upkeep->keeping.beat_ms);
}

void publisher_count_life(struct publisher *publisher)
{
    struct keeping *keeping = &publisher->upkeep.keeping;
    int64_t lived_ms = publisher->outgoing.alive_at - keeping->since;

    if (keeping->since == 0 || lived_ms <= 0)
        return;
    if (lived_ms > BEAT_MOST_MS)
        lived_ms = BEAT_MOST_MS;
    if (store_broker_lives_on(publisher->store, publisher->life, &keeping->lived_ms, (uint64_t)lived_ms)) {
        keeping->since = 0; /* the next sweep reads the count again */
        return;
    }
    keeping->beat_ms = 2 * keeping->beat_ms < BEAT_MOST_MS ? 2 * keeping->beat_ms : BEAT_MOST_MS;
    begin_beat(publisher);
}

static void forget(struct publisher *publisher)
{
    uint64_t lived_ms = publisher->upkeep.keeping.lived_ms, deleted;
    uint64_t kept_ms = (uint64_t)publisher->config->heal_window_s * 1000 + BEAT_MOST_MS;

    if (lived_ms < kept_ms)
        return;
    if (store_kept_forget(publisher->store, lived_ms - kept_ms, FORGET_ROWS, &deleted) == ERR_OK &&
        deleted == FORGET_ROWS)
        publisher->upkeep.sweep_at = clock_monotonic_ms() + AGAIN_MS;
}

void publisher_forget_kept(struct publisher *publisher)
{
    struct keeping *keeping = &publisher->upkeep.keeping;
    uint64_t lived_ms;
    bool any;

    if (store_kept(publisher->store, &any, &lived_ms) != ERR_OK)
        return;
    if (!any) {
        keeping->since = 0; /* nothing is kept: nothing is counted */
        return;
    }
    if (keeping->since == 0 || keeping->lived_ms != lived_ms) {
        keeping->lived_ms = lived_ms;
        keeping->beat_ms = BEAT_FIRST_MS;
        begin_beat(publisher);
    }
    forget(publisher);
}
