/* SPDX-License-Identifier: MIT */
/* Runs between a new connection and its first event: puts back the events that the broker may have lost.
 *
 * A stream confirms messages before their bytes are on disk, so a broker that comes back from a power cut can
 * lack the newest of them. Confirmed events are therefore kept for HEAL_WINDOW_S after they left the outbox
 * (store_outbox_confirm(), keep.c). The first publisher that connects to a life of the broker reads the last
 * moments of the stream (look.c), and puts the events that are kept and not found there back into the outbox.
 * Only then it notes that this life has been healed (amqp_link_note_life): if it dies before, the next
 * publisher heals. Readers drop events that they had already. Other publishers wait at a lock: a newer event
 * published first would come before those being healed.
 *
 * Events that were found stay kept, with their count: a killed broker has left its bytes to the kernel, which
 * goes on writing, and bytes read after a power cut are on the disk. When the stream cannot be read back, all
 * kept events are published again.
 *
 * No clock decides: it matters which events this broker has confirmed, not when they were made, nor how long
 * the broker was away. (A clock says how far back the stream is read; if it is wrong, more events than
 * necessary are published again.) Each life has a number in the database. A publisher takes its confirms to
 * the outbox only while that number is the one of its own connection, because a confirm of an earlier life
 * proves nothing.
 *
 * A stream without our mark (amqp_link_check_mark) is a new one: the whole journal is published into it. */
#include <stdio.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/random_id.h"
#include "fcgi-api/publisher/internal.h"
#include "fcgi-api/publisher/look.h"

#define HEAL_LOCK     "heal"
#define REFILL_ROWS   1000
#define LOCK_PAUSE_MS 50
#define LOOK_MARGIN_S 15 /* an event reaches the stream some time before it is kept */

/* The result of a step; HEAL_DONE: go on to the next step. */

void publisher_heal_begin(struct publisher *publisher)
{
    publisher->healing = (struct healing){0};
}

void publisher_heal_abandon(struct publisher *publisher)
{
    if (publisher->healing.locked)
        (void)!store_unlock(publisher->store, HEAL_LOCK);
    publisher->healing.locked = false;
    look_end(&publisher->healing.look);
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

/* The probe is also a beacon. */
static enum heal_state probe(struct publisher *publisher)
{
    struct healing *healing = &publisher->healing;
    struct sending *sending = &publisher->sending;
    struct amqp_link *amqp = publisher->link.amqp;
    char name[17];

    if (healing->probed)
        return HEAL_DONE;
    if (store_epoch(publisher->store, sending->epoch) != ERR_OK)
        return pause_for(publisher, DB_PAUSE_MS);
    random_id_hex(name, sizeof name - 1);
    snprintf(healing->probe, sizeof healing->probe, "%s:probe:%s", sending->epoch, name);
    enum err err = amqp_link_check_mark(amqp, EVENT_BEACON_TYPE, healing->probe, sending->epoch,
                                        PUBLISHER_NO_WORD, &healing->marked);
    if (!err)
        err = amqp_link_check_life(amqp, &healing->noted);
    if (!err)
        err = amqp_link_confirm(amqp);
    if (err)
        return lost(publisher, err);
    if (!healing->marked)
        sending->epoch[0] = '\0'; /* the probe came back, so a beacon must precede the first event */
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

static enum heal_state all_goes_back(struct publisher *publisher, const char *why)
{
    log_warn("broker: the stream cannot be read back, so all that was confirmed lately goes there again: %s",
             why);
    look_end(&publisher->healing.look);
    publisher->healing.looked = true;
    return HEAL_DONE;
}

static enum heal_state begin_look(struct publisher *publisher)
{
    struct healing *healing = &publisher->healing;
    uint64_t age_s;
    bool any;
    char why[256];

    if (store_kept_age(publisher->store, &any, &age_s) != ERR_OK)
        return pause_for(publisher, DB_PAUSE_MS);
    if (!any) {
        healing->looked = true;
        return HEAL_DONE;
    }
    enum err err = look_begin(publisher->config, (int64_t)age_s + LOOK_MARGIN_S, healing->probe,
                              publisher->sending.epoch, &healing->look, why, sizeof why);
    return err ? all_goes_back(publisher, why) : HEAL_WAITS;
}

/* Here and below: a bounded piece at a time, so that heartbeats go on. */
static enum heal_state look(struct publisher *publisher)
{
    struct healing *healing = &publisher->healing;

    if (healing->looked || !healing->needed || healing->refill.whole_journal)
        return HEAL_DONE;
    if (!healing->look)
        return begin_look(publisher);
    enum err err = look_step(healing->look);
    if (err == ERR_AGAIN)
        return HEAL_WAITS;
    if (err && !healing->look_failed) {
        /* When the broker has gone, our own connection is lost before the next step. */
        healing->look_failed = true;
        return HEAL_WAITS;
    }
    if (err)
        return all_goes_back(publisher, look_why(healing->look));
    int64_t taken_ms;
    uint64_t messages = look_messages(healing->look, &taken_ms);
    log_info("broker: its last %llu messages were read back in %lld ms", (unsigned long long)messages,
             (long long)taken_ms);
    healing->looked = true;
    return HEAL_DONE;
}

static bool is_there(const void *context, uint32_t user_id, uint64_t first_seq, uint64_t last_seq)
{
    return look_found(context, user_id, first_seq, last_seq);
}

static enum heal_state put_back(struct publisher *publisher)
{
    struct outbox_refill *refill = &publisher->healing.refill;
    if (refill->done || !publisher->healing.needed)
        return HEAL_DONE;
    refill->stays = publisher->healing.look ? is_there : NULL;
    refill->context = publisher->healing.look;
    if (store_outbox_refill(publisher->store, refill, REFILL_ROWS) != ERR_OK)
        return pause_for(publisher, DB_PAUSE_MS);
    return refill->done ? HEAL_DONE : HEAL_WAITS;
}

static enum heal_state leave_marks(struct publisher *publisher)
{
    bool noted = publisher->healing.noted;
    if (publisher->healing.left_marks)
        return HEAL_DONE;
    /* Also when the stream is marked: an operator may have unbound it. */
    enum err err = amqp_link_mark(publisher->link.amqp);
    if (!err && !noted)
        err = amqp_link_note_life(publisher->link.amqp, &noted);
    if (err)
        return lost(publisher, err);
    if (!noted)
        log_warn("broker: it does not let its life be noted, so each new connection heals again: %s",
                 amqp_link_note(publisher->link.amqp));
    publisher->healing.left_marks = true;
    return HEAL_DONE;
}

/* From now on the stream gets every type, so other programs may emit (sql/routines.sql reads the note). */
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
    static heal_step *const steps[] = {take_lock, probe, decide, look, put_back, leave_marks, allow_emitting};
    struct healing *healing = &publisher->healing;
    uint64_t added = 0;
    bool looked = false;

    if (clock_monotonic_ms() < publisher->healing.next_at)
        return HEAL_WAITS;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        enum heal_state state = steps[i](publisher);
        if (state != HEAL_DONE)
            return state;
    }
    added = healing->refill.added;
    looked = healing->look != NULL;
    publisher_heal_abandon(publisher); /* nothing more to do: the other publishers may check */
    if (added > 0) {
        metrics_add(publisher->metrics, API_EVENTS_HEALED, (int64_t)added);
        log_info(looked ? "broker: it lacks %llu events that it had confirmed: they go there again"
                        : "broker: %llu events go there again, in case it lacks them",
                 (unsigned long long)added);
    }
    return HEAL_DONE;
}
