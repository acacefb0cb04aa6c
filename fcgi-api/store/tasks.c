/* SPDX-License-Identifier: MIT */
/* Tasks: read one; and the changes, which go through the commit group (group.h, batch.h). Lists are list.c.
 */
#include <assert.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/trace.h"
#include "fcgi-api/store/group.h"
#include "fcgi-api/store/internal.h"

/* ---- rows ---------------------------------------------------------------------------------------- */

/* Another's task is as if it did not exist. */
static enum err check_owner(const struct task *task, const struct grant *grant)
{
    return grant_covers(grant, task->user_id) ? ERR_OK : ERR_NOT_FOUND;
}

/* ---- get ----------------------------------------------------------------------------------------- */

struct get_call {
    uint32_t id;
    const struct grant *grant;
    const struct store_condition *condition;
    struct task *task;
};

static enum err get_work(struct store *store, void *context)
{
    struct get_call *call = context;
    struct task *task = call->task;
    enum err err =
        store_select_one(store, SQL_TASK_GET, STORE_IN(of_number(call->id)), STORE_OUT(TASK_READINGS));
    if (!err)
        err = check_owner(task, call->grant);
    if (!err && call->condition && !call->condition->holds(call->condition->context, task->version))
        err = ERR_STALE;
    return err;
}

enum err store_task_get(struct store *store, uint32_t id, const struct grant *grant,
                        const struct store_condition *condition, struct task *task)
{
    struct get_call call = {.id = id, .grant = grant, .condition = condition, .task = task};
    return store_run_caught_up(store, STORE_READ, get_work, &call);
}

/* ---- writing ------------------------------------------------------------------------------------- */

/* The answer takes the body. When the change is traced, its event comes of the span of this. */
static enum err commit(struct store *store, struct change *change)
{
    const struct store_origin *origin = change->origin;
    struct store_origin traced = *origin;
    struct span span = {.traceparent = ""};

    if (trace_wants(origin->traceparent)) {
        span_begin(&span, origin->traceparent, 0);
        traced.traceparent = span.traceparent;
    }
    change->origin = &traced; // cppcheck-suppress autoVariables ; it is put back below
    *change->answer = (struct store_answer){0};
    change->deadline = clock_monotonic_ms() + store->config->db_timeout_ms;
    enum err err = store_catch_up(store, commit_group_run(store->group, store, change), change->deadline);
    if (err == ERR_AGAIN)
        err = commit_group_run(store->group, store, change);
    if (err)
        strbuf_free(&change->body);
    change->answer->body = change->body.text;
    free(change->event.payload);
    change->origin = origin;
    span_end(&span, "commit", NULL, 0);
    return err;
}

enum err store_task_insert(struct store *store, const struct task_new *task,
                           const struct store_origin *origin, struct store_answer *answer)
{
    struct change change = {.kind = CHANGE_CREATE, .asked = task, .origin = origin, .answer = answer};
    *answer = (struct store_answer){0};
    if (!grant_covers(origin->grant, task->user_id))
        return ERR_NOT_FOUND;
    return commit(store, &change);
}

enum err store_task_update(struct store *store, uint32_t id, const struct task_patch *patch,
                           const struct store_condition *condition, const struct store_origin *origin,
                           struct store_answer *answer)
{
    assert(patch);
    struct change change = {.kind = CHANGE_UPDATE,
                            .task_id = id,
                            .patch = patch,
                            .condition = condition,
                            .origin = origin,
                            .answer = answer};
    return commit(store, &change);
}

enum err store_task_delete(struct store *store, uint32_t id, const struct store_condition *condition,
                           const struct store_origin *origin, struct store_answer *answer)
{
    struct change change = {
        .kind = CHANGE_DELETE, .task_id = id, .condition = condition, .origin = origin, .answer = answer};
    return commit(store, &change);
}

/* ---- events of other programs -------------------------------------------------------------------- */

enum err store_event_emit(struct store *store, const struct event_new *event,
                          const struct store_origin *origin, struct store_answer *answer)
{
    struct change change = {.kind = CHANGE_EMIT, .emitted = event, .origin = origin, .answer = answer};
    return commit(store, &change);
}
