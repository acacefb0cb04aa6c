/* Between a new connection and its first event: put back what the broker may have lost.
 *
 * A stream confirms before its bytes are on disk. A broker that comes back from a power cut can lack the
 * last moments of what it confirmed, and those rows are no longer in the outbox. So before anything is
 * published on a new connection, the events around the last sign of life go back into the outbox; readers
 * drop what they already had. Of many publishers that reconnect together one does it, under a lock, and the
 * others wait for him: publishing something newer first would put it before what is being healed.
 *
 * The last sign of life is a note that the sweeper's holder renews while his connection is up. It is fresh
 * when a worker starts beside others that are connected: then nothing was lost. And a stream that is not
 * the one we marked is a new one: all of the journal goes into it. */
#include <stdio.h>

#include "common/clock.h"
#include "common/log.h"
#include "fcgi-api/publisher_internal.h"

#define HEAL_LOCK       "heal"
#define HEALED_NOTE     "healed_at"
#define REFILL_ROWS     500
#define LOCK_PAUSE_MS   50
#define ALIVE_FRESH_MS  25000 /* the note is renewed every 10 s */
#define ALIVE_MARGIN_MS 60000 /* nothing can have been confirmed longer than this after the note */

void publisher_heal_begin(struct publisher *publisher)
{
    publisher->healing = (struct healing){.connected_at = -1};
}

void publisher_heal_abandon(struct publisher *publisher)
{
    if (publisher->healing.locked)
        (void)!store_unlock(publisher->store, HEAL_LOCK);
    publisher->healing.locked = false;
}

static void pause_for(struct publisher *publisher, int64_t ms)
{
    publisher->healing.next_at = clock_monotonic_ms() + ms;
}

/* ---- the steps, each done when it returns true --------------------------------------------------- */

static bool ask_clock(struct publisher *publisher)
{
    struct healing *healing = &publisher->healing;
    if (healing->connected_at >= 0)
        return true;
    if (store_clock(publisher->store, &healing->connected_at) == ERR_OK &&
        store_epoch(publisher->store, publisher->epoch) == ERR_OK)
        return true;
    healing->connected_at = -1;
    pause_for(publisher, DB_PAUSE_MS);
    return false;
}

static bool probe(struct publisher *publisher)
{
    struct healing *healing = &publisher->healing;
    char id[64];

    if (healing->probed)
        return true;
    snprintf(id, sizeof id, "%s:beacon:%llu", publisher->epoch, (unsigned long long)++publisher->controls);
    enum err err =
        amqp_link_check_mark(publisher->link, EVENT_BEACON_TYPE, id, publisher->epoch, &healing->marked);
    if (!err)
        err = amqp_link_confirm(publisher->link);
    if (!err)
        return healing->probed = true;
    publisher_link_drop(publisher,
                        err == ERR_AGAIN ? "it takes no messages" : amqp_link_why(publisher->link));
    return false;
}

static bool take_lock(struct publisher *publisher)
{
    struct healing *healing = &publisher->healing;
    if (healing->locked)
        return true;
    enum err err = store_lock(publisher->store, HEAL_LOCK, 0, &healing->locked);
    if (!healing->locked)
        pause_for(publisher, err ? DB_PAUSE_MS : LOCK_PAUSE_MS);
    return healing->locked;
}

/* What goes back: nothing, or the range in `refill`. */
static enum err choose(struct publisher *publisher)
{
    const struct config *config = publisher->config;
    struct healing *healing = &publisher->healing;
    int64_t healed_at, alive_at;

    enum err err = store_clock(publisher->store, &healing->started_at);
    if (!err)
        err = store_moment(publisher->store, HEALED_NOTE, &healed_at);
    if (!err)
        err = store_moment(publisher->store, ALIVE_NOTE, &alive_at);
    if (err)
        return err;

    int64_t now = healing->started_at;
    healing->refill = (struct outbox_refill){.until_ms = now};
    healing->needed = healed_at <= healing->connected_at; /* else another did it after we had connected */
    if (!healing->marked)
        return ERR_OK; /* all of the journal */
    bool alone = publisher->was_ready || alive_at < 0 || now - alive_at > ALIVE_FRESH_MS;
    healing->needed = healing->needed && alone && config->heal_window_s > 0;
    if (alive_at < 0 || alive_at > now)
        alive_at = now;
    healing->refill.since_ms = alive_at - config->heal_window_s * 1000;
    healing->refill.until_ms = alive_at + ALIVE_MARGIN_MS;
    return ERR_OK;
}

static bool decide(struct publisher *publisher)
{
    struct healing *healing = &publisher->healing;
    if (healing->chosen)
        return true;
    if (choose(publisher) != ERR_OK) {
        pause_for(publisher, DB_PAUSE_MS);
        return false;
    }
    return healing->chosen = true;
}

/* A bounded piece at a time, so that heartbeats go on. */
static bool put_back(struct publisher *publisher)
{
    struct outbox_refill *refill = &publisher->healing.refill;
    if (refill->done || !publisher->healing.needed)
        return true;
    if (store_outbox_refill(publisher->store, refill, REFILL_ROWS) != ERR_OK)
        pause_for(publisher, DB_PAUSE_MS);
    return refill->done;
}

static bool leave_notes(struct publisher *publisher)
{
    struct healing *healing = &publisher->healing;
    if (!healing->needed)
        return true;
    if (!healing->marked && amqp_link_mark(publisher->link) != ERR_OK) {
        publisher_link_drop(publisher, amqp_link_why(publisher->link));
        return false;
    }
    if (store_set_moment(publisher->store, HEALED_NOTE, healing->started_at) == ERR_OK)
        return true;
    pause_for(publisher, DB_PAUSE_MS);
    return false;
}

/* ---- all of them --------------------------------------------------------------------------------- */

static void finish(struct publisher *publisher)
{
    struct healing *healing = &publisher->healing;
    uint64_t added = healing->refill.added;

    publisher_heal_abandon(publisher); /* nothing more to do: let the others look */
    if (added > 0) {
        metrics_add(publisher->metrics, API_EVENTS_HEALED, (int64_t)added);
        log_info("broker: %llu events go there again, in case it lost them", (unsigned long long)added);
    }
    publisher_link_ready(publisher);
    if (!healing->marked)
        publisher_send_beacon(publisher); /* otherwise the probe was one */
}

void publisher_heal_step(struct publisher *publisher)
{
    struct healing *healing = &publisher->healing;
    if (clock_monotonic_ms() < healing->next_at)
        return;
    if (!ask_clock(publisher) || !probe(publisher) || !take_lock(publisher))
        return;
    if (!decide(publisher) || !put_back(publisher) || !leave_notes(publisher))
        return;
    finish(publisher);
}
