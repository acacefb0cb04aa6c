/* SPDX-License-Identifier: MIT */
/* Upkeep of the database: locks between publishers, purging. */
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "fcgi-api/store/internal.h"

/* ---- the schema ---------------------------------------------------------------------------------- */

struct schema_call {
    uint32_t applied; /* migrations */
    char why[128];    /* "": nothing is missing that a statement asked for */
    bool stranger;    /* this node is not in the table of nodes */
};

static enum err schema_work(struct store *store, void *context)
{
    struct schema_call *call = context;
    char epoch[CURSOR_EPOCH_MAX + 1];
    uint32_t node;

    *call = (struct schema_call){0};
    enum err err = store_select_one(store, SQL_SCHEMA, NULL, 0, STORE_OUT(to_u32(&call->applied)));
    if (!err && call->applied >= STORE_SCHEMA)
        err = store_read_epoch(store, epoch);
    if (!err && call->applied >= STORE_SCHEMA)
        err = store_find_node(store, &node);
    call->stranger = err == ERR_NOT_FOUND;
    if (call->stranger)
        err = ERR_OK;
    if (err == ERR_UNAVAILABLE && store->failure == FAILURE_SCHEMA) {
        snprintf(call->why, sizeof call->why, "%.120s", store->why);
        return ERR_OK;
    }
    return err;
}

enum err store_ping(struct store *store)
{
    struct schema_call call;
    if (store_run(store, STORE_READ, schema_work, &call) != ERR_OK)
        return ERR_UNAVAILABLE;
    bool outdated = call.applied < STORE_SCHEMA || call.why[0] != '\0';
    if (atomic_exchange(&store->outdated, outdated) != outdated && outdated)
        log_warn(
            "database: %u of the %d migrations that this program needs are there%s%s; run scripts/migrate",
            call.applied, STORE_SCHEMA, call.why[0] ? ": " : "", call.why);
    if (outdated)
        return ERR_STALE;
    return call.stranger ? ERR_NOT_FOUND : ERR_OK;
}

/* ---- durability ---------------------------------------------------------------------------------- */

enum err store_settle(struct store *store)
{
    return store_execute(store, SQL_SETTLE, NULL, 0, NULL);
}

static enum err settle_work(struct store *store, void *context)
{
    (void)context;
    return store_settle(store);
}

enum err store_barrier(struct store *store)
{
    return store_run(store, STORE_WRITE, settle_work, NULL);
}

/* ---- locks and notes ------------------------------------------------------------------------------- */

struct note_call {
    const char *name;
    uint32_t held;
    int64_t wall_ms;
};

/* A process that is stopped keeps its connection, and with it its locks: the server is told to end a
 * connection that holds any and has been silent for some sweeps. */
static enum err limit_silence(struct store *store)
{
    char sql[64];
    if (store->short_lived)
        return ERR_OK;
    store->short_lived = true;
    snprintf(sql, sizeof sql, "SET SESSION wait_timeout = %d",
             (int)(5 + 5 * store->config->sweep_interval_ms / 1000));
    return store_command(store, sql);
}

static enum err lock_work(struct store *store, void *context)
{
    struct note_call *call = context;
    enum err err = limit_silence(store);
    if (err)
        return err;
    return store_select_one(store, SQL_LOCK, STORE_IN(of_text(call->name), of_text(call->name)),
                            STORE_OUT(to_u32(&call->held)));
}

enum err store_lock(struct store *store, const char *name, bool *held)
{
    struct note_call call = {.name = name};
    enum err err = store_run(store, STORE_READ, lock_work, &call);
    *held = !err && call.held != 0;
    return err;
}

static enum err unlock_work(struct store *store, void *context)
{
    struct note_call *call = context;
    return store_execute(store, SQL_UNLOCK, STORE_IN(of_text(call->name)), NULL);
}

enum err store_unlock(struct store *store, const char *name)
{
    struct note_call call = {.name = name};
    return store_run(store, STORE_READ, unlock_work, &call);
}

static enum err server_work(struct store *store, void *context)
{
    struct store_server *server = context;
    return store_select_one(store, SQL_SERVER, NULL, 0,
                            STORE_OUT(to_u64(&server->name), to_u64(&server->up_s)));
}

enum err store_server(struct store *store, struct store_server *server)
{
    return store_run(store, STORE_READ, server_work, server);
}

static enum err clock_work(struct store *store, void *context)
{
    struct note_call *call = context;
    uint64_t wall_ms;
    enum err err = store_select_one(store, SQL_CLOCK, NULL, 0, STORE_OUT(to_u64(&wall_ms)));
    if (!err)
        call->wall_ms = (int64_t)wall_ms;
    return err;
}

enum err store_clock(struct store *store, int64_t *wall_ms)
{
    struct note_call call = {0};
    enum err err = store_run(store, STORE_READ, clock_work, &call);
    if (!err)
        *wall_ms = call.wall_ms;
    return err;
}

static enum err moment_work(struct store *store, void *context)
{
    struct note_call *call = context;
    char text[256];
    enum err err = store_select_one(store, SQL_NOTE_GET, STORE_IN(of_text(call->name)),
                                    STORE_OUT(to_text(text, sizeof text)));
    call->wall_ms = err ? -1 : strtoll(text, NULL, 10);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err store_moment(struct store *store, const char *name, int64_t *wall_ms)
{
    struct note_call call = {.name = name};
    enum err err = store_run(store, STORE_READ, moment_work, &call);
    *wall_ms = err ? -1 : call.wall_ms;
    return err;
}

static enum err set_moment_work(struct store *store, void *context)
{
    struct note_call *call = context;
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)call->wall_ms);
    return store_execute(store, SQL_NOTE_SET, STORE_IN(of_text(call->name), of_text(text)), NULL);
}

enum err store_set_moment(struct store *store, const char *name, int64_t wall_ms)
{
    struct note_call call = {.name = name, .wall_ms = wall_ms};
    return store_run(store, STORE_WRITE, set_moment_work, &call);
}

/* ---- purging ------------------------------------------------------------------------------------- */

struct purge_call {
    int64_t before_ms;
    int limit;
    uint64_t deleted;
};

/* By a procedure of the database (sql/routines.sql): this account itself may delete no event. */
static enum err purge_events_work(struct store *store, void *context)
{
    struct purge_call *call = context;
    return store_select_one(store, SQL_PURGE_EVENTS,
                            STORE_IN(of_time(call->before_ms), of_number((uint64_t)call->limit)),
                            STORE_OUT(to_u64(&call->deleted)));
}

static enum err delete_keys_work(struct store *store, void *context)
{
    struct purge_call *call = context;
    struct store_outcome outcome;
    enum err err =
        store_execute(store, SQL_OLD_KEYS_DELETE,
                      STORE_IN(of_time(call->before_ms), of_number((uint64_t)call->limit)), &outcome);
    if (!err)
        call->deleted = outcome.rows;
    return err;
}

static enum err delete_ends_work(struct store *store, void *context)
{
    struct purge_call *call = context;
    struct store_outcome outcome;
    int64_t before_s = call->before_ms > 0 ? call->before_ms / 1000 : 0;
    enum err err =
        store_execute(store, SQL_OLD_ENDS_DELETE,
                      STORE_IN(of_number((uint64_t)before_s), of_number((uint64_t)call->limit)), &outcome);
    if (!err)
        call->deleted = outcome.rows;
    return err;
}

static enum err newest_work(struct store *store, void *context)
{
    return store_select_one(store, SQL_NEWEST_EVENT, NULL, 0, STORE_OUT(to_time(context)));
}

enum err store_newest_event(struct store *store, int64_t *wall_ms)
{
    enum err err = store_run(store, STORE_READ, newest_work, wall_ms);
    if (err == ERR_NOT_FOUND)
        *wall_ms = -1;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err store_purge(struct store *store, int64_t events_ms, int64_t keys_ms, int64_t ends_ms, int limit,
                     uint64_t *deleted)
{
    struct purge_call events = {.before_ms = events_ms, .limit = limit};
    struct purge_call keys = {.before_ms = keys_ms, .limit = limit};
    struct purge_call ends = {.before_ms = ends_ms, .limit = limit};

    enum err err = store_run(store, STORE_WRITE, purge_events_work, &events);
    if (!err)
        err = store_run(store, STORE_WRITE, delete_keys_work, &keys);
    if (!err)
        err = store_run(store, STORE_WRITE, delete_ends_work, &ends);
    *deleted = events.deleted + keys.deleted + ends.deleted;
    return err;
}
