/* SPDX-License-Identifier: MIT */
/* Notices that the database has lost commits, and gives the data a new epoch, without a person: a backup or a
 * snapshot was put back, a replica that lagged was promoted, a Galera cluster was begun from a node that was
 * behind, a crash took what was not flushed. Numbers that readers have seen would be given to other events,
 * which readers drop. In a new epoch no number is known, and every reader begins anew.
 *
 * What was published was durable before (publisher.c). So when the journal ends before a published event, or
 * has a later one under its number, a commit is lost. Three things are compared, each where it costs little:
 *
 * - The events that this process published last, when its database connection is a new one.
 * - What is in the stream since the note, before anything is published (heal.c), when the broker has begun a
 *   new life, or no publisher of this pool was at work until just now, or the database's server was started
 *   lately, or is another one than that publisher compared. The note is a time in the database, written every
 *   ten seconds: "up to now this stream and the journal agree". Put back with the rest of the data it is as
 *   old as that, so it names what must be read.
 * - The note itself. When it is older than the one that this process left, the broker connection is given up:
 *   the next one reads the stream.
 *
 * A server that lags is not taken for one that has lost: the answer counts only after a barrier on the same
 * connection (store_journal_at()). A replica that takes no writes refuses it; a Galera node outside the
 * primary component or without all data answers nothing, and one that lags commits it after all that came
 * before.
 *
 * Not noticed: lost commits whose events never reached this node's stream, nor left this process. No stream
 * has their numbers, so they can be given again; only an answer over HTTP can have told one. A loss is not
 * noticed either when neither note nor stream reach back to it: a note that was never written (programs from
 * before it), a stream that is gone or cannot be read; nor when the publisher dies, another one takes over
 * within a second, and meanwhile the data went back without a start of the server.
 *
 * What was published between the loss and its notice is in the journal, and in the stream under the epoch
 * before, where readers may have dropped it. What of it is kept (heal.c) goes into the stream again, in the
 * new epoch. */
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "fcgi-api/publisher/internal.h"

#define COMPARED_NOTE "compared_at"
#define MARGIN_S      5  /* an event reaches the stream some time before the note, and chunks are whole */
#define COMPARED_S    60 /* a publisher that was at work has compared a server that has run for so long */

/* What is kept goes back when this is set, by the next connection. */
static void begin_anew(struct publisher *publisher)
{
    publisher->comparing.renewed = true;
    publisher->comparing.noted_ms = 0;
    witness_clear(&publisher->comparing.witness);
}

/* ERR_STALE: the data has another epoch than the one of the witnesses. */
static enum err renew(struct publisher *publisher, const char *of, const struct published_event *lost,
                      const struct journal_entry *entry)
{
    char epoch[CURSOR_EPOCH_MAX + 1];
    bool made;
    enum err err = store_epoch_renew(publisher->store, of, epoch, &made);
    if (err)
        return ERR_UNAVAILABLE;
    if (made) {
        metrics_add(publisher->metrics, API_EPOCHS_RENEWED, 1);
        log_warn(
            "database: it has lost commits: event %llu of user %u was published, and %s; the epoch was %s "
            "and is %s, so every reader begins anew",
            (unsigned long long)lost->seq, (unsigned)lost->user_id,
            lost->seq > entry->last_seq ? "the journal does not reach it" : "the journal has a later one", of,
            epoch);
    }
    return ERR_STALE;
}

enum err publisher_compare_with(struct publisher *publisher, const struct witness *witness)
{
    struct journal_entry entries[WITNESS_MAX];
    char epoch[CURSOR_EPOCH_MAX + 1];

    if (witness->count == 0)
        return ERR_OK;
    enum err err = store_journal_at(publisher->store, witness->events, witness->count, entries, epoch);
    if (err)
        return ERR_UNAVAILABLE;
    const struct published_event *lost = witness_denied(witness, entries);
    if (strcmp(epoch, witness->epoch) != 0)
        err = ERR_STALE;
    else if (lost)
        err = renew(publisher, witness->epoch, lost, &entries[lost - witness->events]);
    if (err == ERR_STALE)
        begin_anew(publisher);
    return err;
}

/* ---- the note ------------------------------------------------------------------------------------ */

static enum err read_note(struct publisher *publisher, int64_t *noted_ms)
{
    struct comparing *comparing = &publisher->comparing;
    if (store_moment(publisher->store, COMPARED_NOTE, noted_ms) != ERR_OK)
        return ERR_UNAVAILABLE;
    if (comparing->noted_ms == 0 || *noted_ms >= comparing->noted_ms)
        return ERR_OK;
    comparing->noted_ms = 0;
    comparing->look = true; /* since the older one */
    return publisher_lost(publisher,
                          "the database is older than it was: the stream must be compared with it");
}

enum err publisher_note_compared(struct publisher *publisher)
{
    struct comparing *comparing = &publisher->comparing;
    struct store_server server;
    int64_t noted_ms, now_ms;

    if (comparing->connection != store_connections(publisher->store))
        return ERR_OK; /* not compared yet */
    enum err err = read_note(publisher, &noted_ms);
    if (!err)
        err = store_clock(publisher->store, &now_ms);
    if (!err)
        err = store_set_moment(publisher->store, COMPARED_NOTE, now_ms);
    if (!err)
        comparing->noted_ms = now_ms;
    if (!err && store_server(publisher->store, &server) == ERR_OK &&
        comparing->connection == store_connections(publisher->store))
        pool_note_server(publisher->pool, server.name);
    return err == ERR_CLOSED ? err : ERR_OK;
}

/* The publisher before this one has compared this database, unless both died before it could. */
enum err publisher_decide_to_look(struct publisher *publisher)
{
    struct comparing *comparing = &publisher->comparing;
    struct store_server server;

    if (!comparing->succeeds)
        return ERR_OK;
    if (store_server(publisher->store, &server) != ERR_OK)
        return ERR_UNAVAILABLE;
    if (server.up_s < COMPARED_S || server.name != pool_server(publisher->pool))
        comparing->look = true;
    comparing->succeeds = false;
    return ERR_OK;
}

enum err publisher_compared_since(struct publisher *publisher, int64_t *since_s)
{
    int64_t noted_ms, now_ms = 0;
    enum err err = store_moment(publisher->store, COMPARED_NOTE, &noted_ms);
    if (!err)
        err = store_clock(publisher->store, &now_ms);
    if (err)
        return err;
    *since_s = MARGIN_S;
    if (noted_ms >= 0 && now_ms > noted_ms)
        *since_s += (now_ms - noted_ms) / 1000;
    return ERR_OK;
}

/* ---- the connection ------------------------------------------------------------------------------ */

static bool is_compared(const struct publisher *publisher)
{
    return store_connections(publisher->store) == publisher->comparing.connection;
}

int64_t publisher_compare_time(const struct publisher *publisher)
{
    return is_compared(publisher) ? INT64_MAX : publisher->comparing.retry_at;
}

enum err publisher_compare(struct publisher *publisher)
{
    struct comparing *comparing = &publisher->comparing;
    unsigned connection = store_connections(publisher->store);
    int64_t noted_ms;

    if (clock_monotonic_ms() < publisher_compare_time(publisher))
        return ERR_OK;
    enum err err = publisher_compare_with(publisher, &comparing->witness);
    if (!err)
        err = read_note(publisher, &noted_ms);
    if (err == ERR_UNAVAILABLE) {
        comparing->retry_at = clock_monotonic_ms() + DB_PAUSE_MS;
        return ERR_OK;
    }
    /* As it was before: when it was made anew meanwhile, all is compared again. */
    comparing->connection = connection;
    return err == ERR_STALE ? publisher_lost(publisher, "the data has a new epoch") : err;
}
