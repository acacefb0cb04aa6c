/* SPDX-License-Identifier: MIT */
/* The epoch, which names this life of the data, and what tells that another one has begun: what the journal
 * says of events that were published. */
#include <stdio.h>

#include "common/clock.h"
#include "fcgi-api/store/internal.h"

enum err store_read_epoch(struct store *store, char epoch[CURSOR_EPOCH_MAX + 1])
{
    enum err err =
        store_select_one(store, SQL_EPOCH, NULL, 0, STORE_OUT(to_text(epoch, CURSOR_EPOCH_MAX + 1)));
    if (err == ERR_NOT_FOUND)
        epoch[0] = '\0';
    return err && err != ERR_NOT_FOUND ? err : store_check_epoch(store, epoch);
}

static enum err epoch_work(struct store *store, void *epoch)
{
    return store_read_epoch(store, epoch);
}

enum err store_epoch(struct store *store, char epoch[CURSOR_EPOCH_MAX + 1])
{
    return store_run(store, STORE_READ, epoch_work, epoch);
}

unsigned store_connections(const struct store *store)
{
    return store->connections;
}

/* ---- what the journal says ----------------------------------------------------------------------- */

struct journal_call {
    const struct published_event *events;
    size_t count;
    struct journal_entry *entries;
    uint32_t place; /* the row that is being read, as the next one */
    struct journal_entry entry;
    char epoch[CURSOR_EPOCH_MAX + 1];
};

static void keep_entry(void *context)
{
    struct journal_call *call = context;
    if (call->place < call->count)
        call->entries[call->place] = call->entry;
}

static void make_query(struct store *store, const struct journal_call *call, struct strbuf *sql)
{
    for (size_t i = 0; i < call->count; i++) {
        const struct published_event *event = &call->events[i];
        if (i > 0)
            strbuf_add_text(sql, i == 1 ? JOURNAL_AT_FIRST : ", ");
        store_sql_add(store, sql, i == 0 ? JOURNAL_AT_HEAD : JOURNAL_AT_ROW,
                      STORE_IN(of_number(i), of_number(event->user_id), of_number(event->seq)));
    }
    strbuf_add_text(sql, JOURNAL_AT_END);
}

/* In a transaction that writes: whatever stands between, and sends what only reads to a server that lags,
 * sends this one where writes go. */
static enum err journal_work(struct store *store, void *context)
{
    struct journal_call *call = context;
    const struct store_column columns[] = {to_u32(&call->place), to_u64(&call->entry.last_seq),
                                           to_time(&call->entry.created_at_ms),
                                           to_text(call->epoch, sizeof call->epoch)};
    const struct store_result rows = STORE_RESULT(columns, keep_entry);
    struct strbuf sql = {0};

    call->epoch[0] = '\0';
    for (size_t i = 0; i < call->count; i++)
        call->entries[i] = (struct journal_entry){.created_at_ms = CLOCK_NEVER};
    enum err err = store_settle(store);
    if (err)
        return err;
    make_query(store, call, &sql);
    err = store_query(store, &sql, &rows, 1, call);
    strbuf_free(&sql);
    return err ? err : store_check_epoch(store, call->epoch);
}

enum err store_journal_at(struct store *store, const struct published_event *events, size_t count,
                          struct journal_entry *entries, char epoch[CURSOR_EPOCH_MAX + 1])
{
    struct journal_call call = {.events = events, .count = count, .entries = entries};
    enum err err = store_barrier(store);
    unsigned connection = store->connections;
    if (!err)
        err = store_run(store, STORE_WRITE, journal_work, &call);
    if (!err && store->connections != connection)
        err = ERR_UNAVAILABLE;
    snprintf(epoch, CURSOR_EPOCH_MAX + 1, "%s", err ? "" : call.epoch);
    return err;
}

/* ---- a new one ----------------------------------------------------------------------------------- */

struct renew_call {
    const char *of;
    uint32_t made;
    char epoch[CURSOR_EPOCH_MAX + 1];
};

/* By a procedure of the database (sql/routines.sql): this account itself may not write it. */
static enum err renew_work(struct store *store, void *context)
{
    struct renew_call *call = context;
    enum err err = store_select_one(store, SQL_EPOCH_RENEW, STORE_IN(of_text(call->of)),
                                    STORE_OUT(to_u32(&call->made), to_text(call->epoch, sizeof call->epoch)));
    return err ? err : store_check_epoch(store, call->epoch);
}

enum err store_epoch_renew(struct store *store, const char *of, char epoch[CURSOR_EPOCH_MAX + 1], bool *made)
{
    struct renew_call call = {.of = of};
    enum err err = store_run(store, STORE_WRITE, renew_work, &call);
    *made = !err && call.made != 0;
    snprintf(epoch, CURSOR_EPOCH_MAX + 1, "%s", err ? "" : call.epoch);
    return err;
}
