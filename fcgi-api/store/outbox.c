/* The outbox: what the broker has not confirmed yet. The publisher's side of the store. */
#include <assert.h>
#include <stdlib.h>

#include "common/clock.h"
#include "fcgi-api/store/internal.h"

#define DEPTH_MAX 100000 /* counted up to here: InnoDB counts by reading */

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
    kept->payload = strndup(payload->text, payload->length);
    if (!kept->payload)
        abort();
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
    while (!err && (err = store_fetch(store)) == ERR_OK)
        keep(call->batch, &event, &payload);
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
    int64_t before_ms;
    struct outbox_key *users;
    size_t limit, count;
};

static enum err users_work(struct store *store, void *context)
{
    struct users_call *call = context;
    struct outbox_key user;

    call->count = 0;
    enum err err =
        store_select(store, SQL_OUTBOX_USERS, STORE_IN(of_time(call->before_ms), of_number(call->limit)),
                     STORE_OUT(to_u64(&user.user_id), to_u64(&user.seq)));
    while (!err && (err = store_fetch(store)) == ERR_OK)
        call->users[call->count++] = user;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err store_outbox_users(struct store *store, int64_t min_age_ms, struct outbox_key *users, size_t limit,
                            size_t *count)
{
    struct users_call call = {.before_ms = clock_wall_ms() - min_age_ms, .users = users, .limit = limit};
    enum err err = store_run(store, STORE_READ, users_work, &call);
    *count = err ? 0 : call.count;
    return err;
}

struct depth_call {
    uint64_t rows;
    int64_t oldest_ms;
};

static enum err depth_work(struct store *store, void *context)
{
    struct depth_call *call = context;
    enum err err = store_select_one(store, SQL_OUTBOX_COUNT, STORE_IN(of_number(DEPTH_MAX)),
                                    STORE_OUT(to_u64(&call->rows)));
    if (err)
        return err;
    err = store_select_one(store, SQL_OUTBOX_OLDEST, NULL, 0, STORE_OUT(to_time(&call->oldest_ms)));
    if (err == ERR_NOT_FOUND)
        call->oldest_ms = -1;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err store_outbox_depth(struct store *store, uint64_t *rows, int64_t *oldest_age_ms)
{
    struct depth_call call;
    enum err err = store_run(store, STORE_READ, depth_work, &call);
    if (err)
        return err;
    int64_t age_ms = call.oldest_ms < 0 ? 0 : clock_wall_ms() - call.oldest_ms;
    *rows = call.rows;
    *oldest_age_ms = age_ms > 0 ? age_ms : 0;
    return ERR_OK;
}

/* ---- removing ------------------------------------------------------------------------------------ */

struct delete_call {
    const struct outbox_row *rows;
    size_t count;
};

static enum err delete_work(struct store *store, void *context)
{
    struct delete_call *call = context;
    _Static_assert(sizeof *call->rows == 3 * sizeof(uint64_t), "the three numbers of the statement");
    return store_execute_many(store, SQL_OUTBOX_DELETE, &call->rows->user_id, call->count, 3);
}

enum err store_outbox_delete(struct store *store, const struct outbox_row *rows, size_t count)
{
    struct delete_call call = {.rows = rows, .count = count};
    return count == 0 ? ERR_OK : store_run(store, STORE_WRITE, delete_work, &call);
}

/* ---- putting back -------------------------------------------------------------------------------- */

struct refill_call {
    struct outbox_refill *refill;
    uint64_t last;
};

/* The next users with events since then, and from which to which. */
static enum err ranges_work(struct store *store, void *context)
{
    struct outbox_refill *refill = context;
    struct store_value since = of_time(refill->since_ms), until = of_time(refill->until_ms);
    struct store_value after = of_number(refill->last_user), limit = of_number(OUTBOX_REFILL_USERS);
    uint32_t user_id;
    uint64_t first, last;
    enum err err;

    refill->next = refill->count = 0;
    if (refill->since_ms > 0)
        err = store_select(store, SQL_RANGES_SINCE, STORE_IN(since, until, after, limit),
                           STORE_OUT(to_u32(&user_id), to_u64(&first), to_u64(&last)));
    else
        err = store_select(store, SQL_RANGES_ALL, STORE_IN(after, limit),
                           STORE_OUT(to_u32(&user_id), to_u64(&first), to_u64(&last)));
    while (!err && (err = store_fetch(store)) == ERR_OK) {
        refill->ranges[refill->count].user_id = user_id;
        refill->ranges[refill->count].first = first;
        refill->ranges[refill->count++].last = last;
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err refill_work(struct store *store, void *context)
{
    struct refill_call *call = context;
    const struct outbox_refill *refill = call->refill;

    return store_execute(store, SQL_REFILL,
                         STORE_IN(of_time(clock_wall_ms()), of_number(refill->ranges[refill->next].user_id),
                                  of_number(refill->ranges[refill->next].first), of_number(call->last)),
                         NULL);
}

static enum err load_ranges(struct store *store, struct outbox_refill *refill)
{
    enum err err = store_run(store, STORE_READ, ranges_work, refill);
    if (err)
        return err;
    if (refill->count == 0)
        refill->done = true;
    else
        refill->last_user = refill->ranges[refill->count - 1].user_id;
    return ERR_OK;
}

enum err store_outbox_refill(struct store *store, struct outbox_refill *refill, int limit)
{
    struct refill_call call = {.refill = refill};

    if (refill->next == refill->count) {
        enum err err = load_ranges(store, refill);
        if (err || refill->done)
            return err;
    }
    uint64_t last_of_user = refill->ranges[refill->next].last;
    call.last = refill->ranges[refill->next].first + (uint64_t)limit - 1;
    if (call.last > last_of_user)
        call.last = last_of_user;
    enum err err = store_run(store, STORE_WRITE, refill_work, &call);
    if (err)
        return err;
    refill->added += call.last - refill->ranges[refill->next].first + 1;
    refill->ranges[refill->next].first = call.last + 1;
    if (call.last == last_of_user)
        refill->next++;
    return ERR_OK;
}
