/* SPDX-License-Identifier: MIT */
/* Ends of sessions: written by administrators, read by every worker and by the publisher. */
#include "common/session_ends.h"
#include "fcgi-api/store/internal.h"

#define ROWS_A_READ 1000

struct end_call {
    struct change change; /* for the key and the answer, which are as a task's */
    uint32_t user_id;
    int64_t before_s;
};

static enum err end_work(struct store *store, void *context)
{
    struct end_call *call = context;
    struct change *change = &call->change;
    uint32_t found = 0;

    *change->answer = (struct store_answer){0};
    enum err err = store_claim_key(store, change);
    if (err || change->answer->repeated)
        return err;
    change->answer->task.id = call->user_id;
    err = store_select_one(store, SQL_USER_KNOWN, STORE_IN(of_number(call->user_id)),
                           STORE_OUT(to_u32(&found)));
    if (!err)
        err = store_execute(store, SQL_SESSIONS_END,
                            STORE_IN(of_number(call->user_id), of_number((uint64_t)call->before_s)), NULL);
    return err ? err : store_remember_answer(store, change);
}

enum err store_sessions_end(struct store *store, uint32_t user_id, int64_t before_s,
                            const struct store_origin *origin, struct store_answer *answer)
{
    struct end_call call = {.change = {.kind = CHANGE_DELETE, .origin = origin, .answer = answer},
                            .user_id = user_id,
                            .before_s = before_s};
    enum err err = store_run_caught_up(store, STORE_WRITE, end_work, &call);
    strbuf_free(&call.change.body);
    return err;
}

struct read_call {
    uint64_t after_id, last_id;
    size_t count;
    struct session_end rows[ROWS_A_READ];
};

static enum err read_work(struct store *store, void *context)
{
    struct read_call *call = context;
    struct session_end row;
    uint64_t before_s;

    call->count = 0;
    call->last_id = call->after_id;
    enum err err =
        store_select(store, SQL_SESSION_ENDS, STORE_IN(of_number(call->after_id), of_number(ROWS_A_READ)),
                     STORE_OUT(to_u64(&call->last_id), to_u32(&row.user_id), to_u64(&before_s)));
    while (!err && (err = store_fetch(store)) == ERR_OK) {
        row.before_s = (int64_t)before_s;
        call->rows[call->count++] = row;
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err store_session_ends(struct store *store, uint64_t *last_id, store_end_visit *visit, void *context)
{
    uint64_t after_id = *last_id > STORE_ENDS_OVERLAP ? *last_id - STORE_ENDS_OVERLAP : 0;
    struct read_call call = {.after_id = after_id};

    do {
        enum err err = store_run(store, STORE_READ, read_work, &call);
        if (err)
            return err;
        for (size_t i = 0; i < call.count; i++)
            visit(context, call.rows[i].user_id, call.rows[i].before_s);
        call.after_id = call.last_id;
    } while (call.count == ROWS_A_READ);
    if (call.last_id > *last_id)
        *last_id = call.last_id;
    return ERR_OK;
}
