/* SPDX-License-Identifier: MIT */
/* The outbox: what the broker has not confirmed yet. The publisher's side of the store. */
#include <assert.h>
#include <stdlib.h>

#include "common/clock.h"
#include "fcgi-api/store/internal.h"

#define DEPTH_MAX       100000  /* counted up to here: InnoDB counts by reading */
#define BATCH_BYTES_MAX 4194304 /* a batch ends behind the event that goes beyond */

/* ---- reading ------------------------------------------------------------------------------------- */

struct read_call {
    const struct outbox_range *ranges;
    size_t count;
    int limit;
    struct outbox_batch *batch;
};

void outbox_batch_free(struct outbox_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        free(batch->events[i].payload);
    free(batch->events);
    *batch = (struct outbox_batch){0};
}

static void keep(struct outbox_batch *batch, const struct outbox_event *event, const struct strbuf *payload)
{
    struct outbox_event *kept = &batch->events[batch->count++];
    *kept = *event;
    kept->length = payload->length;
    kept->payload = event_in_epoch(payload->text, &kept->length, event->meta.epoch);
}

#define RANGE_VALUES 3

/* Ranges that are not used are empty. */
static void fill_ranges(const struct read_call *call, struct store_value *values)
{
    static const struct outbox_range none = {0};
    for (size_t i = 0; i < OUTBOX_USERS_MAX; i++) {
        const struct outbox_range *range = i < call->count ? &call->ranges[i] : &none;
        *values++ = of_number(range->user_id);
        *values++ = of_number(range->after);
        *values++ = of_number(range->upto);
    }
    *values = of_number((uint64_t)call->limit);
}

static enum err read_work(struct store *store, void *context)
{
    struct read_call *call = context;
    struct store_value values[OUTBOX_USERS_MAX * RANGE_VALUES + 1];
    struct outbox_event event = {0};
    struct event_meta *meta = &event.meta;
    struct strbuf payload = {0};
    size_t bytes = 0;

    outbox_batch_free(call->batch);
    call->batch->events = calloc((size_t)call->limit, sizeof *call->batch->events);
    if (!call->batch->events)
        abort();
    fill_ranges(call, values);
    enum err err = store_select(
        store, SQL_OUTBOX_READ, values, sizeof values / sizeof *values,
        STORE_OUT(to_u32(&meta->user_id), to_u64(&meta->seq), to_time(&event.queued_at_ms),
                  to_text(meta->type, sizeof meta->type), to_text(meta->request_id, sizeof meta->request_id),
                  to_text(meta->traceparent, sizeof meta->traceparent), to_strbuf(&payload),
                  to_time(&meta->created_at_ms), to_text(meta->epoch, sizeof meta->epoch)));
    while (!err && bytes < BATCH_BYTES_MAX && (err = store_fetch(store)) == ERR_OK) {
        bytes += payload.length;
        keep(call->batch, &event, &payload);
    }
    call->batch->more = bytes >= BATCH_BYTES_MAX || call->batch->count == (size_t)call->limit;
    strbuf_free(&payload);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err store_outbox_read(struct store *store, const struct outbox_range *ranges, size_t count, int limit,
                           struct outbox_batch *batch)
{
    struct read_call call = {ranges, count, limit, batch};
    assert(count <= OUTBOX_USERS_MAX);
    *batch = (struct outbox_batch){0};
    enum err err = store_run(store, STORE_READ, read_work, &call);
    if (err)
        outbox_batch_free(batch);
    return err;
}

struct users_call {
    int64_t before_ms, ahead_ms;
    struct outbox_key *users;
    size_t limit, count;
};

static enum err users_work(struct store *store, void *context)
{
    struct users_call *call = context;
    struct outbox_key user;

    call->count = 0;
    enum err err =
        store_select(store, SQL_OUTBOX_USERS,
                     STORE_IN(of_time(call->before_ms), of_time(call->ahead_ms), of_number(call->limit)),
                     STORE_OUT(to_u64(&user.user_id), to_u64(&user.seq)));
    while (!err && (err = store_fetch(store)) == ERR_OK)
        call->users[call->count++] = user;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err store_outbox_users(struct store *store, int64_t min_age_ms, struct outbox_key *users, size_t limit,
                            size_t *count)
{
    int64_t now = clock_wall_ms();
    struct users_call call = {
        .before_ms = now - min_age_ms, .ahead_ms = now + min_age_ms, .users = users, .limit = limit};
    enum err err = store_run(store, STORE_READ, users_work, &call);
    *count = err ? 0 : call.count;
    return err;
}

/* ---- lists of keys ------------------------------------------------------------------------------- */

struct keys_call {
    enum store_statement statement;
    struct outbox_key *events;
    size_t limit, count;
};

static enum err keys_work(struct store *store, void *context)
{
    struct keys_call *call = context;
    struct outbox_key event;

    call->count = 0;
    enum err err = store_select(store, call->statement, STORE_IN(of_number(call->limit)),
                                STORE_OUT(to_u64(&event.user_id), to_u64(&event.seq)));
    while (!err && (err = store_fetch(store)) == ERR_OK)
        call->events[call->count++] = event;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err list_keys(struct store *store, enum store_statement statement, struct outbox_key *events,
                          size_t limit, size_t *count)
{
    struct keys_call call = {.statement = statement, .events = events, .limit = limit};
    enum err err = store_run(store, STORE_READ, keys_work, &call);
    *count = err ? 0 : call.count;
    return err;
}

enum err store_outbox_keys(struct store *store, struct outbox_key *events, size_t limit, size_t *count)
{
    return list_keys(store, SQL_OUTBOX_KEYS, events, limit, count);
}

/* ---- events of other programs, and of other nodes ------------------------------------------------ */

enum err store_emitted_list(struct store *store, struct outbox_key *events, size_t limit, size_t *count)
{
    return list_keys(store, SQL_EMITTED, events, limit, count);
}

struct take_call {
    const struct outbox_key *events;
    size_t count;
};

/* By their keys: a range would wait for what others have not committed yet. */
static enum err take_work(struct store *store, void *context)
{
    const struct take_call *call = context;
    enum err err = store_settle(store);
    return err ? err : store_execute_many(store, SQL_EMITTED_DELETE, &call->events->user_id, call->count, 2);
}

enum err store_emitted_take(struct store *store, const struct outbox_key *events, size_t count)
{
    struct take_call call = {events, count};
    return store_run(store, STORE_WRITE, take_work, &call);
}

/* ---- how much there is --------------------------------------------------------------------------- */

static enum err depth_work(struct store *store, void *context)
{
    struct outbox_depth *depth = context;
    *depth = (struct outbox_depth){0};
    enum err err = store_select_one(store, SQL_OUTBOX_COUNT, STORE_IN(of_number(DEPTH_MAX)),
                                    STORE_OUT(to_u64(&depth->rows)));
    if (err || depth->rows == 0)
        return err;
    err = store_select_one(
        store, SQL_OUTBOX_OLDEST, NULL, 0,
        STORE_OUT(to_u64(&depth->oldest.user_id), to_u64(&depth->oldest.seq), to_time(&depth->oldest_at_ms)));
    if (err == ERR_NOT_FOUND)
        depth->rows = 0; /* gone meanwhile */
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err store_outbox_depth(struct store *store, struct outbox_depth *depth)
{
    return store_run(store, STORE_READ, depth_work, depth);
}

/* ---- removing ------------------------------------------------------------------------------------ */

/* A run of one user's events: a row of what is kept. */
struct run {
    uint64_t user_id, first_seq, last_seq, lived_ms;
};

struct confirm_call {
    uint64_t life;
    const struct outbox_key *events;
    size_t count;
    struct run *runs; /* NULL: none are kept */
    size_t run_count;
};

static int by_user_and_seq(const void *one, const void *other)
{
    const struct outbox_key *a = one, *b = other;
    if (a->user_id != b->user_id)
        return a->user_id < b->user_id ? -1 : 1;
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

static void make_runs(struct confirm_call *call)
{
    call->runs = calloc(call->count, sizeof *call->runs);
    if (!call->runs)
        abort();
    for (size_t i = 0; i < call->count; i++) {
        const struct outbox_key *event = &call->events[i];
        struct run *last = call->run_count > 0 ? &call->runs[call->run_count - 1] : NULL;
        if (last && last->user_id == event->user_id && last->last_seq + 1 == event->seq)
            last->last_seq = event->seq;
        else
            call->runs[call->run_count++] = (struct run){event->user_id, event->seq, event->seq, 0};
    }
}

/* Held until the commit: no publisher begins another life before, and one that does so then finds what is
 * kept here. */
static enum err hold_life(struct store *store, uint64_t life, uint64_t *lived_ms)
{
    uint64_t now = 0;
    *lived_ms = 0;
    enum err err = store_select_one(store, SQL_LIFE_HOLD, NULL, 0, STORE_OUT(to_u64(&now), to_u64(lived_ms)));
    if (err && err != ERR_NOT_FOUND)
        return err;
    return now == life ? ERR_OK : ERR_STALE;
}

#define KEY_VALUES(event) STORE_IN(of_number((event)->user_id), of_number((event)->seq))

static enum err delete_events(struct store *store, const struct confirm_call *call)
{
    struct strbuf sql = {0};
    uint32_t node;
    enum err err = store_own_node(store, &node);
    if (err)
        return err;
    store_sql_add(store, &sql, OUTBOX_DELETE_HEAD, KEY_VALUES(&call->events[0]));
    for (size_t i = 1; i < call->count; i++) {
        strbuf_add_text(&sql, i == 1 ? OUTBOX_DELETE_FIRST : ", ");
        store_sql_add(store, &sql, OUTBOX_DELETE_ROW, KEY_VALUES(&call->events[i]));
    }
    store_sql_add(store, &sql, OUTBOX_DELETE_END, STORE_IN(of_number(node)));
    err = store_query(store, &sql, NULL, 0, NULL);
    strbuf_free(&sql);
    return err;
}

static enum err confirm_work(struct store *store, void *context)
{
    const struct confirm_call *call = context;
    uint64_t lived_ms;
    _Static_assert(sizeof *call->runs == 4 * sizeof(uint64_t), "the statement's four numbers");
    enum err err = hold_life(store, call->life, &lived_ms);
    for (size_t i = 0; i < call->run_count; i++)
        call->runs[i].lived_ms = lived_ms;
    if (!err)
        err = delete_events(store, call);
    if (!err && call->runs)
        err = store_execute_many(store, SQL_KEEP, &call->runs->user_id, call->run_count, 4);
    return err;
}

enum err store_outbox_confirm(struct store *store, uint64_t life, bool keeps, struct outbox_key *events,
                              size_t count)
{
    struct confirm_call call = {.life = life, .events = events, .count = count};
    if (count == 0)
        return ERR_OK;
    qsort(events, count, sizeof *events, by_user_and_seq);
    if (keeps)
        make_runs(&call);
    enum err err = store_run(store, STORE_WRITE, confirm_work, &call);
    free(call.runs);
    return err;
}
