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
#define LOOK_MARGIN_S 15    /* an event reaches the stream some time before it is kept */
#define LOOK_WAIT_MS  10000 /* so long a broker that has just started may not let its stream be read */

/* The result of a step; HEAL_DONE: go on to the next step. */

/* Without a connection for long, the broker was away, and gets its time again. */
void publisher_heal_begin(struct publisher *publisher)
{
    publisher->healing = (struct healing){.failed_looks = publisher->healing.failed_looks};
    if (clock_monotonic_ms() - publisher->healing.failed_looks.last_at >= LOOK_WAIT_MS)
        publisher->healing.failed_looks.since = 0;
    watermark_reset(
        &publisher->upkeep.watermark); /* it was another stream's, or that of one that has lost its end */
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

/* A broker with an alarm takes the probe, says so, and answers no more: it is not away. */
static enum heal_state lost(struct publisher *publisher, enum err err)
{
    struct amqp_link *amqp = publisher->link.amqp;
    bool blocked = amqp_link_was_blocked(amqp);
    (void)publisher_lost(publisher, "%s",
                         blocked || err == ERR_AGAIN ? "it takes no messages" : amqp_link_why(amqp));
    health_blocked(publisher->metrics, blocked);
    return HEAL_LOST;
}

/* ---- the steps ----------------------------------------------------------------------------------- */

/* Asked for before each piece of work, because the lock ends with the database's connection. A publisher that
 * has it then has read what this one lacks, so this one begins anew; usually nothing is left to heal. */
static enum heal_state take_lock(struct publisher *publisher)
{
    struct healing *healing = &publisher->healing;
    bool held;
    if (store_lock(publisher->store, HEAL_LOCK, &held) != ERR_OK)
        return pause_for(publisher, DB_PAUSE_MS);
    if (!held && healing->locked) {
        healing->locked = false;
        (void)publisher_lost(publisher, "another publisher heals it; this one begins anew after it");
        return HEAL_LOST;
    }
    healing->locked = held;
    return held ? HEAL_DONE : pause_for(publisher, LOCK_PAUSE_MS);
}

static enum heal_state count_nodes(struct publisher *publisher)
{
    return publisher->healing.probed || publisher_count_nodes(publisher) == ERR_OK
               ? HEAL_DONE
               : pause_for(publisher, DB_PAUSE_MS);
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
    healing->probed_at = clock_monotonic_ms();
    return HEAL_DONE;
}

static enum heal_state decide(struct publisher *publisher)
{
    struct healing *healing = &publisher->healing;

    if (healing->decided)
        return HEAL_DONE;
    bool begins = !healing->marked || !healing->noted || publisher->comparing.renewed;
    if (publisher_decide_to_look(publisher) != ERR_OK ||
        store_broker_life(publisher->store, begins, &publisher->life) != ERR_OK)
        return pause_for(publisher, DB_PAUSE_MS);
    healing->needed = begins;
    healing->refill.whole_journal = !healing->marked;
    healing->decided = true;
    return HEAL_DONE;
}

/* That ends the look. Without it all that is kept goes back, if anything must. */
static enum heal_state go_without(struct publisher *publisher, const char *why)
{
    log_warn(
        publisher->healing.needed
            ? "broker: the stream cannot be read back, so all that was confirmed lately goes there again: %s"
            : "broker: the stream cannot be read back, so it is not compared with the journal: %s",
        why);
    look_end(&publisher->healing.look);
    publisher->healing.looked = true;
    return HEAL_DONE;
}

/* A broker that comes back from a power cut may begin its stream several times, each for a part of a second.
 * A message that was sent to one of these is lost when it ends, and a reader gets no more messages. The probe
 * may be lost, too. So the next attempt is made on a new connection, soon, with another probe. */
static enum heal_state look_again(struct publisher *publisher, const char *why)
{
    struct healing *healing = &publisher->healing;
    int64_t now = clock_monotonic_ms();

    if (healing->failed_looks.since == 0)
        healing->failed_looks.since = now;
    healing->failed_looks.last_at = now;
    if (now - healing->failed_looks.since >= LOOK_WAIT_MS)
        return go_without(publisher, why);
    backoff_reset(&publisher->link.backoff);
    (void)publisher_lost(publisher, "the stream cannot be read back: %s", why);
    return HEAL_LOST;
}

/* How far back: as far as what is kept may be, and as compare.c wants. */
static enum heal_state begin_look(struct publisher *publisher)
{
    struct healing *healing = &publisher->healing;
    uint64_t age_s = 0;
    int64_t since_s = 0;
    bool any = false;
    char why[256];

    if ((healing->needed && store_kept_age(publisher->store, &any, &age_s) != ERR_OK) ||
        publisher_compared_since(publisher, &since_s) != ERR_OK)
        return pause_for(publisher, DB_PAUSE_MS);
    if (any && since_s < (int64_t)age_s + LOOK_MARGIN_S)
        since_s = (int64_t)age_s + LOOK_MARGIN_S;
    since_s += (clock_monotonic_ms() - healing->probed_at) / 1000; /* its end is the probe */
    enum err err = look_begin(publisher->config, since_s, healing->probe, publisher->sending.epoch,
                              &healing->look, why, sizeof why);
    if (!err)
        return HEAL_WAITS;
    return err == ERR_AGAIN ? look_again(publisher, why) : go_without(publisher, why);
}

/* Before anything of a new connection is published. While the database is away the look would be lost, and
 * what was not compared with it: it begins anew. */
static enum heal_state compare(struct publisher *publisher)
{
    struct witness *witness = look_witness(publisher->healing.look);
    enum err err = publisher_compare_with(publisher, witness);
    if (err == ERR_UNAVAILABLE) {
        look_end(&publisher->healing.look);
        publisher->healing.read = false;
        return pause_for(publisher, DB_PAUSE_MS);
    }
    if (err) {
        (void)publisher_lost(publisher, "the data has a new epoch");
        return HEAL_LOST;
    }
    witness_clear(witness);
    return HEAL_DONE;
}

static void end_look(struct publisher *publisher)
{
    struct healing *healing = &publisher->healing;
    int64_t taken_ms;
    uint64_t messages = look_messages(healing->look, &taken_ms);
    if (healing->needed)
        log_info("broker: its last %llu messages were read back in %lld ms", (unsigned long long)messages,
                 (long long)taken_ms);
    healing->looked = true;
}

/* Here and below: a bounded piece at a time, so that heartbeats go on. */
static enum heal_state look(struct publisher *publisher)
{
    struct healing *healing = &publisher->healing;

    if (healing->looked || healing->refill.whole_journal || publisher->comparing.renewed)
        return HEAL_DONE;
    if (!healing->needed && !publisher->comparing.look)
        return HEAL_DONE;
    if (!healing->look)
        return begin_look(publisher);
    enum heal_state compared = compare(publisher);
    if (compared != HEAL_DONE)
        return compared;
    if (healing->read) {
        end_look(publisher);
        return HEAL_DONE;
    }
    enum err err = look_step(healing->look);
    healing->read = err == ERR_OK; /* the last piece is compared, too */
    return !err || err == ERR_AGAIN ? HEAL_WAITS : look_again(publisher, look_why(healing->look));
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

/* From now on the stream gets every type, so other programs may emit (sql/routines.sql reads the note, and a
 * SERIALIZABLE caller locks it, so it is written once). */
static enum heal_state allow_emitting(struct publisher *publisher)
{
    int64_t since_ms = -1;
    enum err err = store_moment(publisher->store, EMITS_NOTE, &since_ms);
    if (!err && since_ms < 0)
        err = store_set_moment(publisher->store, EMITS_NOTE, clock_wall_ms());
    return err ? pause_for(publisher, DB_PAUSE_MS) : HEAL_DONE;
}

/* ---- all of them --------------------------------------------------------------------------------- */

typedef enum heal_state heal_step(struct publisher *publisher);

enum heal_state publisher_heal_step(struct publisher *publisher)
{
    static heal_step *const steps[] = {take_lock, count_nodes, probe,       decide,
                                       look,      put_back,    leave_marks, allow_emitting};
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
    healing->failed_looks.since = 0;
    publisher->comparing.renewed = publisher->comparing.look = false;
    publisher_heal_abandon(publisher); /* nothing more to do: the other publishers may check */
    if (added > 0) {
        metrics_add(publisher->metrics, API_EVENTS_HEALED, (int64_t)added);
        log_info(looked ? "broker: it lacks %llu events that it had confirmed: they go there again"
                        : "broker: %llu events go there again, in case it lacks them",
                 (unsigned long long)added);
    }
    return HEAL_DONE;
}
