/* SPDX-License-Identifier: MIT */
/* What may have to be published again: events that the broker has confirmed within the last moments, and the
 * way back into the outbox for them or for the whole journal. The publisher's side of the store. */
#include <stdlib.h>

#include "common/clock.h"
#include "fcgi-api/store/internal.h"

/* ---- the broker's life --------------------------------------------------------------------------- */

struct life_call {
    bool begins;
    uint64_t life;
    uint64_t lived_ms, more_ms;
};

static enum err life_work(struct store *store, void *context)
{
    struct life_call *call = context;
    call->life = 0;
    enum err err = call->begins ? store_execute(store, SQL_LIFE_NEXT, NULL, 0, NULL) : ERR_OK;
    if (err)
        return err;
    err = store_select_one(store, SQL_LIFE_GET, NULL, 0, STORE_OUT(to_u64(&call->life)));
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err store_broker_life(struct store *store, bool begins, uint64_t *life)
{
    struct life_call call = {.begins = begins};
    enum err err = store_run(store, begins ? STORE_WRITE : STORE_READ, life_work, &call);
    if (!err)
        *life = call.life;
    return err;
}

static enum err lives_on_work(struct store *store, void *context)
{
    const struct life_call *call = context;
    struct store_outcome outcome;
    enum err err = store_execute(
        store, SQL_LIFE_GOES_ON,
        STORE_IN(of_number(call->more_ms), of_number(call->life), of_number(call->lived_ms)), &outcome);
    return !err && outcome.rows == 0 ? ERR_STALE : err;
}

enum err store_broker_lives_on(struct store *store, uint64_t life, uint64_t *lived_ms, uint64_t more_ms)
{
    struct life_call call = {.life = life, .lived_ms = *lived_ms, .more_ms = more_ms};
    enum err err = store_run(store, STORE_WRITE, lives_on_work, &call);
    if (!err)
        *lived_ms += more_ms;
    return err;
}

/* ---- what was kept goes back --------------------------------------------------------------------- */

/* A row of the outbox, as the statement takes it. */
struct back_row {
    uint64_t user_id, seq, at_ms;
};

struct back_call {
    struct outbox_refill *refill;
    int limit;
    uint64_t after_id, upto_id; /* of this piece: rows after the one, up to the other */
    struct outbox_key upto;
    uint64_t rows;
    struct back_row *kept; /* of this piece */
    size_t count, room;
};

static void take_run(struct back_call *call, uint64_t user_id, uint64_t first_seq, uint64_t size)
{
    uint64_t at_ms = (uint64_t)clock_wall_ms();
    if (call->count + size > call->room) {
        call->room = call->count + size + (size_t)call->limit;
        call->kept = realloc(call->kept, call->room * sizeof *call->kept);
        if (!call->kept)
            abort();
    }
    for (uint64_t i = 0; i < size; i++)
        call->kept[call->count++] = (struct back_row){user_id, first_seq + i, at_ms};
}

static bool stays(const struct outbox_refill *refill, uint64_t user_id, uint64_t first_seq, uint64_t last_seq)
{
    return refill->stays && refill->stays(refill->context, (uint32_t)user_id, first_seq, last_seq);
}

/* As many rows, one after the other, as hold about `limit` events; one alone always goes. They are counted up
 * here: joined with the journal by `seq BETWEEN`, MariaDB reads the user's whole journal for each row. */
static enum err kept_piece_work(struct store *store, void *context)
{
    struct back_call *call = context;
    uint64_t id, user_id, first_seq, last_seq;
    call->after_id = call->upto_id = call->refill->after_id;
    call->count = 0;
    enum err err = store_select(
        store, SQL_KEPT_RUNS, STORE_IN(of_number(call->refill->after_id), of_number((uint64_t)call->limit)),
        STORE_OUT(to_u64(&id), to_u64(&user_id), to_u64(&first_seq), to_u64(&last_seq)));
    while (!err && (err = store_fetch(store)) == ERR_OK) {
        uint64_t size = last_seq - first_seq + 1;
        bool remains = stays(call->refill, user_id, first_seq, last_seq);
        if (call->count > 0 && (remains || call->count + size > (uint64_t)call->limit))
            break;
        if (remains)
            call->after_id = id;
        else
            take_run(call, user_id, first_seq, size);
        call->upto_id = id;
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* One that the journal has no more is ignored: the outbox refers to it. */
static enum err kept_back_work(struct store *store, void *context)
{
    struct back_call *call = context;
    _Static_assert(sizeof *call->kept == 3 * sizeof(uint64_t), "the statement's three numbers");
    enum err err = store_execute_many(store, SQL_KEPT_BACK, &call->kept->user_id, call->count, 3);
    if (err)
        return err;
    return store_execute(store, SQL_KEPT_TAKEN, STORE_IN(of_number(call->after_id), of_number(call->upto_id)),
                         NULL);
}

static enum err put_kept_back(struct store *store, struct back_call *call)
{
    struct outbox_refill *refill = call->refill;
    enum err err = store_run(store, STORE_READ, kept_piece_work, call);
    if (!err && call->count > 0)
        err = store_run(store, STORE_WRITE, kept_back_work, call);
    if (!err) {
        refill->done = call->upto_id == refill->after_id;
        refill->after_id = call->upto_id;
        call->rows = call->count;
    }
    free(call->kept);
    return err;
}

/* ---- the journal goes back ----------------------------------------------------------------------- */

/* The last of the next `limit` events. Fewer are left: all of them. */
static enum err journal_piece_work(struct store *store, void *context)
{
    struct back_call *call = context;
    struct store_value user = of_number(call->refill->after_user), seq = of_number(call->refill->after_seq);
    enum err err = store_select_one(store, SQL_JOURNAL_PIECE,
                                    STORE_IN(user, seq, user, of_number((uint64_t)call->limit - 1)),
                                    STORE_OUT(to_u64(&call->upto.user_id), to_u64(&call->upto.seq)));
    if (err == ERR_NOT_FOUND)
        call->upto = (struct outbox_key){UINT32_MAX, CURSOR_SEQ_MAX};
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err journal_back_work(struct store *store, void *context)
{
    struct back_call *call = context;
    struct store_value user = of_number(call->refill->after_user), seq = of_number(call->refill->after_seq);
    struct store_value last = of_number(call->upto.user_id), last_seq = of_number(call->upto.seq);
    struct store_outcome outcome;
    enum err err =
        store_execute(store, SQL_JOURNAL_BACK,
                      STORE_IN(of_time(clock_wall_ms()), user, seq, user, last, last, last_seq), &outcome);
    if (!err)
        call->rows = outcome.rows;
    return err;
}

static enum err put_journal_back(struct store *store, struct back_call *call)
{
    struct outbox_refill *refill = call->refill;
    enum err err = store_run(store, STORE_READ, journal_piece_work, call);
    if (!err)
        err = store_run(store, STORE_WRITE, journal_back_work, call);
    if (err)
        return err;
    refill->done = call->upto.user_id == UINT32_MAX;
    refill->after_user = (uint32_t)call->upto.user_id;
    refill->after_seq = call->upto.seq;
    return ERR_OK;
}

enum err store_outbox_refill(struct store *store, struct outbox_refill *refill, int limit)
{
    struct back_call call = {.refill = refill, .limit = limit};
    enum err err = refill->whole_journal ? put_journal_back(store, &call) : put_kept_back(store, &call);
    if (!err)
        refill->added += call.rows;
    return err;
}

/* ---- forgetting ---------------------------------------------------------------------------------- */

struct kept_call {
    uint64_t lived_ms;
    uint32_t any;
    int limit;
    uint64_t deleted;
};

static enum err kept_work(struct store *store, void *context)
{
    struct kept_call *call = context;
    return store_select_one(store, SQL_KEPT, NULL, 0, STORE_OUT(to_u64(&call->lived_ms), to_u32(&call->any)));
}

enum err store_kept(struct store *store, bool *any, uint64_t *lived_ms)
{
    struct kept_call call = {0};
    enum err err = store_run(store, STORE_READ, kept_work, &call);
    *any = !err && call.any != 0;
    *lived_ms = call.lived_ms;
    return err;
}

struct age_call {
    bool any;
    uint64_t age_s;
};

static enum err age_work(struct store *store, void *context)
{
    struct age_call *call = context;
    enum err err = store_select_one(store, SQL_KEPT_AGE, NULL, 0, STORE_OUT(to_u64(&call->age_s)));
    call->any = !err;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err store_kept_age(struct store *store, bool *any, uint64_t *age_s)
{
    struct age_call call = {0};
    enum err err = store_run(store, STORE_READ, age_work, &call);
    *any = !err && call.any;
    *age_s = call.age_s;
    return err;
}

static enum err forget_work(struct store *store, void *context)
{
    struct kept_call *call = context;
    struct store_outcome outcome;
    enum err err =
        store_execute(store, SQL_KEPT_FORGET,
                      STORE_IN(of_number(call->lived_ms), of_number((uint64_t)call->limit)), &outcome);
    if (!err)
        call->deleted = outcome.rows;
    return err;
}

enum err store_kept_forget(struct store *store, uint64_t lived_ms, int limit, uint64_t *deleted)
{
    struct kept_call call = {.lived_ms = lived_ms, .limit = limit};
    enum err err = store_run(store, STORE_WRITE, forget_work, &call);
    *deleted = err ? 0 : call.deleted;
    return err;
}
