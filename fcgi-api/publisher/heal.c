/* SPDX-License-Identifier: MIT */
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

/* What a step says: HEAL_DONE is "go on to the next one". */

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

static enum heal_state pause_for(struct publisher *publisher, int64_t ms)
{
    publisher->healing.next_at = clock_monotonic_ms() + ms;
    return HEAL_WAITS;
}

static enum heal_state lost(struct publisher *publisher, enum err err)
{
    (void)publisher_lost(publisher, "%s",
                         err == ERR_AGAIN ? "it takes no messages" : amqp_link_why(publisher->link.amqp));
    return HEAL_LOST;
}

/* ---- the steps ----------------------------------------------------------------------------------- */

static enum heal_state take_lock(struct publisher *publisher)
{
    struct healing *healing = &publisher->healing;
    if (healing->locked)
        return HEAL_DONE;
    enum err err = store_lock(publisher->store, HEAL_LOCK, 0, &healing->locked);
    return healing->locked ? HEAL_DONE : pause_for(publisher, err ? DB_PAUSE_MS : LOCK_PAUSE_MS);
}

/* The probe is a beacon at the same time. */
static enum heal_state probe(struct publisher *publisher)
{
    struct healing *healing = &publisher->healing;
    struct sending *sending = &publisher->sending;
    struct amqp_link *amqp = publisher->link.amqp;
    char id[64];

    if (healing->probed)
        return HEAL_DONE;
    if (store_epoch(publisher->store, sending->epoch) != ERR_OK)
        return pause_for(publisher, DB_PAUSE_MS);
    snprintf(id, sizeof id, "%s:beacon:%llu", sending->epoch, (unsigned long long)++sending->controls);
    enum err err = amqp_link_check_mark(amqp, EVENT_BEACON_TYPE, id, sending->epoch, PUBLISHER_NO_WORD,
                                        &healing->marked);
    if (!err)
        err = amqp_link_check_life(amqp, &healing->noted);
    if (!err)
        err = amqp_link_confirm(amqp);
    if (err)
        return lost(publisher, err);
    healing->probed = true;
    return HEAL_DONE;
}

static enum heal_state decide(struct publisher *publisher)
{
    struct healing *healing = &publisher->healing;

    if (healing->decided)
        return HEAL_DONE;
    bool begins = !healing->marked || !healing->noted;
    if (store_broker_life(publisher->store, begins, &publisher->life) != ERR_OK)
        return pause_for(publisher, DB_PAUSE_MS);
    healing->needed = begins;
    healing->refill.whole_journal = !healing->marked;
    healing->decided = true;
    return HEAL_DONE;
}

/* A bounded piece at a time, so that heartbeats go on. */
static enum heal_state put_back(struct publisher *publisher)
{
    struct outbox_refill *refill = &publisher->healing.refill;
    if (refill->done || !publisher->healing.needed)
        return HEAL_DONE;
    if (store_outbox_refill(publisher->store, refill, REFILL_ROWS) != ERR_OK)
        return pause_for(publisher, DB_PAUSE_MS);
    return refill->done ? HEAL_DONE : HEAL_WAITS;
}

static enum heal_state leave_marks(struct publisher *publisher)
{
    bool noted = publisher->healing.noted;
    /* Also when it is marked: a person may have unbound it. */
    enum err err = amqp_link_mark(publisher->link.amqp);
    if (!err && !noted)
        err = amqp_link_note_life(publisher->link.amqp, &noted);
    if (err)
        return lost(publisher, err);
    if (!noted)
        log_warn("broker: it does not let its life be noted, so each new connection heals again: %s",
                 amqp_link_note(publisher->link.amqp));
    return HEAL_DONE;
}

/* The stream hears every type from now on: other programs may emit (sql/routines.sql asks for the note). */
static enum heal_state allow_emitting(struct publisher *publisher)
{
    if (store_set_moment(publisher->store, EMITS_NOTE, clock_wall_ms()) != ERR_OK)
        return pause_for(publisher, DB_PAUSE_MS);
    return HEAL_DONE;
}

/* ---- all of them --------------------------------------------------------------------------------- */

typedef enum heal_state heal_step(struct publisher *publisher);

enum heal_state publisher_heal_step(struct publisher *publisher)
{
    static heal_step *const steps[] = {take_lock, probe, decide, put_back, leave_marks, allow_emitting};
    uint64_t added;

    if (clock_monotonic_ms() < publisher->healing.next_at)
        return HEAL_WAITS;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        enum heal_state state = steps[i](publisher);
        if (state != HEAL_DONE)
            return state;
    }
    publisher_heal_abandon(publisher); /* nothing more to do: let the others look */
    added = publisher->healing.refill.added;
    if (added > 0) {
        metrics_add(publisher->metrics, API_EVENTS_HEALED, (int64_t)added);
        log_info("broker: %llu events go there again, in case it lost them", (unsigned long long)added);
    }
    return HEAL_DONE;
}
