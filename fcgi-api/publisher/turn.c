/* SPDX-License-Identifier: MIT */
/* Whose turn it is to publish. One publisher of a pool is at work. The others wait until its process dies
 * (pool.h), or until it has not moved for long, because a stopped process keeps its lock: then one of them
 * stands in for it. When the stopped one goes on there are two at work, which costs work, not order. */
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "fcgi-api/publisher/internal.h"

#define LOOK_MS     100  /* between two checks for the turn */
#define STUCK_MS    8000 /* few calls of a publisher's thread take so long */
#define JUST_NOW_MS 1000

void publisher_show_up(struct publisher *publisher)
{
    int64_t now = clock_monotonic_ms();
    pool_show_up(publisher->pool, publisher->holds_turn ? POOL_HOLDER : POOL_STAND_IN, now);
    metrics_set(publisher->metrics, API_PUBLISHER_SEEN_MS, now);
    /* A stand-in that stops has noted that it has no broker. */
    metrics_set(publisher->metrics, API_BROKER_CONNECTED, publisher->link.state == LINK_READY);
}

static int64_t last_seen(const struct pool *pool)
{
    int64_t holder = pool_seen(pool, POOL_HOLDER), other = pool_seen(pool, POOL_STAND_IN);
    return holder > other ? holder : other;
}

/* Then it has noticed a database that has lost commits, if there was time for it (compare.c). */
static bool another_was_at_work(const struct pool *pool)
{
    int64_t since_ms = clock_monotonic_ms() - last_seen(pool);
    return since_ms >= 0 && since_ms <= JUST_NOW_MS;
}

bool publisher_wait_for_turn(struct publisher *publisher)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    int64_t seen = last_seen(publisher->pool), since = clock_monotonic_ms();

    atomic_store(&publisher->waiting, true);
    while (!atomic_load(&publisher->stopping)) {
        publisher->holds_turn = pool_take_turn(publisher->pool) == ERR_OK;
        if (publisher->holds_turn)
            break;
        int64_t now = clock_monotonic_ms(), last = last_seen(publisher->pool);
        if (last != seen) {
            seen = last;
            since = now;
        } else if (now - since >= STUCK_MS) {
            log_warn("the pool's publisher has not been seen for %d s: publishing in its place",
                     STUCK_MS / 1000);
            break;
        }
        (void)nanosleep(&pause, NULL);
    }
    atomic_store(&publisher->waiting, false);
    if (atomic_load(&publisher->stopping))
        return false;
    publisher->holder_seen = pool_seen(publisher->pool, POOL_HOLDER);
    publisher->comparing.succeeds = another_was_at_work(publisher->pool);
    publisher->comparing.look = !publisher->comparing.succeeds;
    publisher_show_up(publisher); /* at once, or another worker would stand in, too */
    return true;
}

bool publisher_turn_is_over(struct publisher *publisher)
{
    if (publisher->holds_turn)
        return false;
    publisher->holds_turn = pool_take_turn(publisher->pool) == ERR_OK;
    return !publisher->holds_turn && pool_seen(publisher->pool, POOL_HOLDER) != publisher->holder_seen;
}
