/* SPDX-License-Identifier: MIT */
/* The journal: what happened, per user, in commit order, without gaps. */
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "fcgi-api/api_metrics.h"
#include "fcgi-api/store/internal.h"

/* ---- writing ------------------------------------------------------------------------------------- */

void store_make_event(struct outbox_event *made, const struct store_new_event *event)
{
    struct event_meta *meta = &made->meta;
    const struct event_new *emitted = event->emitted;
    char cursor[CURSOR_TEXT_SIZE];

    free(made->payload);
    *made = (struct outbox_event){
        .meta = {.user_id = emitted ? emitted->user_id : event->task->user_id,
                 .seq = event->at->seq,
                 .created_at_ms = event->now_ms},
        .queued_at_ms = event->now_ms,
    };
    snprintf(meta->epoch, sizeof meta->epoch, "%s", event->at->epoch);
    snprintf(meta->type, sizeof meta->type, "%s", emitted ? emitted->type : event_type_key(event->type));
    snprintf(meta->request_id, sizeof meta->request_id, "%s", event->origin->request_id);
    snprintf(meta->traceparent, sizeof meta->traceparent, "%s", event->origin->traceparent);
    if (emitted) {
        cursor_format(event->at, cursor);
        made->payload = event_format_other(emitted, cursor, &made->length);
    } else {
        made->payload = event_format_body(event->type, event->at, event->task->id, event->now_ms,
                                          event->task_json, &made->length);
    }
    made->payload = event_with_trace(made->payload, &made->length, meta->traceparent);
}

/* ---- reading ------------------------------------------------------------------------------------- */

#define PAGE_BYTES_MAX 1048576 /* a page ends behind the event that goes beyond */

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
    size_t bytes = 0;
    uint64_t seq;
    enum err err = store_select(
        store, SQL_EVENTS_SINCE,
        STORE_IN(of_number(call->user_id), of_number(call->since->seq), of_number((uint64_t)call->limit + 1)),
        STORE_OUT(to_u64(&seq), to_strbuf(&payload)));
    while (!err && bytes < PAGE_BYTES_MAX && (err = store_fetch(store)) == ERR_OK) {
        size_t length = payload.length;
        bytes += length;
        char *text = event_in_epoch(payload.text, &length, call->now.epoch);
        call->events[call->count++] = (struct kept_event){.seq = seq, .payload = text, .length = length};
    }
    strbuf_free(&payload);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* What is purged is the oldest, except for what still waits in the outbox: a page from the journal's
 * beginning may have a gap, and begins behind the last one. */
static void skip_to_whole(struct events_call *call)
{
    size_t first = call->count;
    while (first > 0 && (first == call->count || call->events[first - 1].seq + 1 == call->events[first].seq))
        first--;
    for (size_t i = 0; i < first; i++)
        free(call->events[i].payload);
    call->count -= first;
    memmove(call->events, call->events + first, call->count * sizeof *call->events);
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
    if (call->since->epoch[0] == '\0') {
        err = collect(store, call);
        if (!err)
            skip_to_whole(call);
        return err;
    }
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
    enum err err = store_run_caught_up(store, STORE_SNAPSHOT, events_work, &call);
    if (!err) {
        size_t shown = call.count > (size_t)limit ? (size_t)limit : call.count;
        *last = call.now;
        if (shown > 0)
            last->seq = call.events[shown - 1].seq; /* else there is none after it: the user's position */
        *more = last->seq != call.now.seq;
        last->time_s = *more ? 0 : before_ms / 1000;
        for (size_t i = 0; i < shown; i++)
            visit(context, call.events[i].seq, call.events[i].payload, call.events[i].length);
    }
    forget_events(&call);
    free(call.events);
    return err;
}
