/* Between a new connection and its first event: put back what the broker may have lost.
 *
 * A stream confirms before its bytes are on disk. A broker that comes back from a power cut can lack the
 * last moments of what it confirmed. So what it has confirmed is kept for HEAL_WINDOW_S after it left the
 * outbox (store_outbox_confirm(), keep.c). The first publisher that connects to a life of the broker puts all
 * that is kept back into the outbox, and only then notes that it has been done in this life
 * (amqp_link_note_life): if it dies on the way, the next one does it. Readers drop what they already had. The
 * others wait at a lock: publishing something newer first would put it before what is being healed.
 *
 * No clock is asked: what counts is which events this broker has confirmed, not when they were made, nor for
 * how long the broker was away. Each life has a number in the database, and a publisher takes its confirms to
 * the outbox only while the number is that of its own connection: a confirm of an earlier life proves
 * nothing.
 *
 * A stream that is not the one we marked (amqp_link_check_mark) is a new one: all of the journal goes into
 * it. */
#include <stdio.h>

#include "common/clock.h"
#include "common/log.h"
#include "fcgi-api/publisher/internal.h"

#define HEAL_LOCK     "heal"
#define REFILL_ROWS   1000
#define LOCK_PAUSE_MS 50

void publisher_heal_begin(struct publisher *publisher)
{
    publisher->healing = (struct healing){0};
}

void publisher_heal_abandon(struct publisher *publisher)
{
    if (publisher->healing.locked)
        (void)!store_unlock(publisher->store, HEAL_LOCK);
    publisher->healing.locked = false;
}

static bool pause_for(struct publisher *publisher, int64_t ms)
{
    publisher->healing.next_at = clock_monotonic_ms() + ms;
    return false;
}

static bool drop(struct publisher *publisher, enum err err)
{
    publisher_link_drop(publisher,
                        err == ERR_AGAIN ? "it takes no messages" : amqp_link_why(publisher->link));
    return false;
}

/* ---- the steps, each done when it returns true --------------------------------------------------- */

static bool take_lock(struct publisher *publisher)
{
    struct healing *healing = &publisher->healing;
    if (healing->locked)
        return true;
    enum err err = store_lock(publisher->store, HEAL_LOCK, 0, &healing->locked);
    return healing->locked || pause_for(publisher, err ? DB_PAUSE_MS : LOCK_PAUSE_MS);
}

/* The probe is a beacon at the same time. */
static bool probe(struct publisher *publisher)
{
    struct healing *healing = &publisher->healing;
    struct amqp_link *link = publisher->link;
    char id[64];

    if (healing->probed)
        return true;
    if (store_epoch(publisher->store, publisher->epoch) != ERR_OK)
        return pause_for(publisher, DB_PAUSE_MS);
    snprintf(id, sizeof id, "%s:beacon:%llu", publisher->epoch, (unsigned long long)++publisher->controls);
    enum err err = amqp_link_check_mark(link, EVENT_BEACON_TYPE, id, publisher->epoch, &healing->marked);
    if (!err)
        err = amqp_link_check_life(link, &healing->noted);
    if (!err)
        err = amqp_link_confirm(link);
    return err ? drop(publisher, err) : (healing->probed = true);
}

static bool decide(struct publisher *publisher)
{
    struct healing *healing = &publisher->healing;

    if (healing->decided)
        return true;
    bool begins = !healing->marked || !healing->noted;
    if (store_broker_life(publisher->store, begins, &publisher->life) != ERR_OK)
        return pause_for(publisher, DB_PAUSE_MS);
    healing->needed = begins;
    healing->refill.whole_journal = !healing->marked;
    return healing->decided = true;
}

/* A bounded piece at a time, so that heartbeats go on. */
static bool put_back(struct publisher *publisher)
{
    struct outbox_refill *refill = &publisher->healing.refill;
    if (refill->done || !publisher->healing.needed)
        return true;
    if (store_outbox_refill(publisher->store, refill, REFILL_ROWS) != ERR_OK)
        return pause_for(publisher, DB_PAUSE_MS);
    return refill->done;
}

static bool leave_marks(struct publisher *publisher)
{
    enum err err = amqp_link_mark(publisher->link); /* also when it is: somebody may have unbound it */
    bool noted = publisher->healing.noted;
    if (!err && !noted)
        err = amqp_link_note_life(publisher->link, &noted);
    if (err)
        return drop(publisher, err);
    if (!noted)
        log_warn("broker: it does not let its life be noted, so each new connection heals again: %s",
                 amqp_link_note(publisher->link));
    return true;
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
    if (healing->marked)
        return; /* the probe was a beacon */
    publisher->epoch[0] = '\0';
    (void)publisher_send_beacon(publisher);
}

void publisher_heal_step(struct publisher *publisher)
{
    if (clock_monotonic_ms() < publisher->healing.next_at)
        return;
    if (take_lock(publisher) && probe(publisher) && decide(publisher) && put_back(publisher) &&
        leave_marks(publisher))
        finish(publisher);
}
