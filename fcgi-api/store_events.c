/* The journal: what happened, per user, in commit order, without gaps. */
#include <stdlib.h>

#include "common/clock.h"
#include "fcgi-api/store_internal.h"

/* ---- writing ------------------------------------------------------------------------------------- */

enum err store_event_add(struct store *store, enum event_type type, const struct task *task,
                         const char *task_json, const struct cursor *at, int64_t now_ms,
                         const struct store_origin *origin)
{
    size_t length;
    char *payload = event_format_body(type, at, task->id, now_ms, task_json, &length);
    enum err err = store_execute(store, SQL_EVENT_INSERT,
                                 STORE_IN(STORE_EVENT_VALUES(type, task, at, payload, now_ms, origin)), NULL);
    free(payload);
    if (err)
        return err;
    return store_execute(store, SQL_OUTBOX_INSERT, STORE_IN(STORE_OUTBOX_VALUES(task, at, now_ms)), NULL);
}

/* ---- reading ------------------------------------------------------------------------------------- */

struct kept_event {
    uint64_t seq;
    char *payload;
    size_t length;
};

struct events_call {
    uint32_t user_id;
    const struct cursor *since;
    int limit;
    struct kept_event *events; /* limit + 1 */
    size_t count;
    struct cursor now; /* the user's position in the snapshot */
};

static void forget_events(struct events_call *call)
{
    for (size_t i = 0; i < call->count; i++)
        free(call->events[i].payload);
    call->count = 0;
}

static enum err collect(struct store *store, struct events_call *call)
{
    struct strbuf payload = {0};
    uint64_t seq;
    enum err err = store_select(
        store, SQL_EVENTS_SINCE,
        STORE_IN(of_number(call->user_id), of_number(call->since->seq), of_number((uint64_t)call->limit + 1)),
        STORE_OUT(to_u64(&seq), to_strbuf(&payload)));
    while (!err && (err = store_fetch(store)) == ERR_OK) {
        char *text = strndup(payload.text, payload.length);
        if (!text)
            abort();
        call->events[call->count++] =
            (struct kept_event){.seq = seq, .payload = text, .length = payload.length};
    }
    strbuf_free(&payload);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err events_work(struct store *store, void *context)
{
    struct events_call *call = context;
    bool known;

    forget_events(call);
    enum err err = store_user_position(store, call->user_id, &known, &call->now);
    if (err)
        return err;
    if (!known)
        return ERR_NOT_FOUND;
    if (strcmp(call->since->epoch, call->now.epoch) != 0 || call->since->seq > call->now.seq)
        return ERR_GONE;
    err = collect(store, call);
    if (err || call->since->seq == call->now.seq)
        return err;
    /* There are newer ones: the next and all after it, or the journal has been cut in between. */
    bool whole = call->count > 0 && call->events[call->count - 1].seq == call->since->seq + call->count;
    return whole ? ERR_OK : ERR_GONE;
}

enum err store_event_list(struct store *store, uint32_t user_id, const struct cursor *since, int limit,
                          store_event_visit *visit, void *context, bool *more, struct cursor *last)
{
    struct events_call call = {.user_id = user_id, .since = since, .limit = limit};
    call.events = calloc((size_t)limit + 1, sizeof *call.events);
    if (!call.events)
        abort();

    int64_t before_ms = clock_wall_ms(); /* see store_task_list() */
    enum err err = store_run(store, STORE_SNAPSHOT, events_work, &call);
    if (!err) {
        size_t shown = call.count > (size_t)limit ? (size_t)limit : call.count;
        *more = call.count > shown;
        *last = call.now;
        last->seq = shown > 0 ? call.events[shown - 1].seq : since->seq;
        last->time_s = *more ? 0 : before_ms / 1000;
        for (size_t i = 0; i < shown; i++)
            visit(context, call.events[i].seq, call.events[i].payload, call.events[i].length);
    }
    forget_events(&call);
    free(call.events);
    return err;
}
