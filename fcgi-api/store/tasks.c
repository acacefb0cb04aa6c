/* Tasks: read, list, change, delete. (Creating is create.c.)
 *
 * Every write takes the task's row, then the user's counter, then writes: always in that order, or two
 * writes could wait for each other. Once the counter is held the user's events have an order, and it is the
 * order of the commits. */
#include <assert.h>
#include <stdlib.h>

#include "common/clock.h"
#include "fcgi-api/store/internal.h"
#include "fcgi-api/task/task_json.h"

/* ---- rows ---------------------------------------------------------------------------------------- */

struct task_columns {
    struct task *task;
    uint32_t status;
};

#define TASK_FIELDS(row)                                                                                     \
    to_u32(&(row)->task->id), to_u32(&(row)->task->user_id), to_u32(&(row)->status),                         \
        to_text((row)->task->content, sizeof(row)->task->content), to_time(&(row)->task->created_at_ms),     \
        to_time(&(row)->task->completed_at_ms), to_u32(&(row)->task->version)
#define TASK_OUT(row) STORE_OUT(TASK_FIELDS(row))

/* Another's task is as if it did not exist. */
static enum err finish_task(const struct task_columns *row, uint32_t only_user)
{
    row->task->status = (enum task_status)row->status;
    return only_user != 0 && row->task->user_id != only_user ? ERR_NOT_FOUND : ERR_OK;
}

/* ---- get ----------------------------------------------------------------------------------------- */

struct get_call {
    uint32_t id, only_user;
    struct task *task;
};

static enum err get_work(struct store *store, void *context)
{
    struct get_call *call = context;
    struct task_columns row = {.task = call->task};
    enum err err = store_select_one(store, SQL_TASK_GET, STORE_IN(of_number(call->id)), TASK_OUT(&row));
    return err ? err : finish_task(&row, call->only_user);
}

enum err store_task_get(struct store *store, uint32_t id, uint32_t only_user, struct task *task)
{
    struct get_call call = {.id = id, .only_user = only_user, .task = task};
    return store_run(store, STORE_READ, get_work, &call);
}

/* ---- list ---------------------------------------------------------------------------------------- */

struct list_call {
    const struct store_task_filter *filter;
    struct task *tasks; /* filled first, visited when all went well: a retry begins again */
    size_t count;
    struct cursor position; /* of the filter's user, if it names one */
};

#define POSITIONED_TASK_OUT(row, position)                                                                   \
    STORE_OUT(TASK_FIELDS(row), to_text((position)->epoch, sizeof(position)->epoch), to_u64(&(position)->seq))

static enum err select_tasks(struct store *store, const struct store_task_filter *filter,
                             struct task_columns *row, struct cursor *position)
{
    struct store_value after = of_number(filter->after), limit = of_number((uint64_t)filter->limit + 1);
    struct store_value user = of_number(filter->user_id), status = of_number((uint64_t)filter->status);

    if (filter->user_id != 0 && filter->status >= 0)
        return store_select(store, SQL_TASKS_OF_USER_BY_STATUS, STORE_IN(user, after, status, limit),
                            POSITIONED_TASK_OUT(row, position));
    if (filter->user_id != 0)
        return store_select(store, SQL_TASKS_OF_USER, STORE_IN(user, after, limit),
                            POSITIONED_TASK_OUT(row, position));
    if (filter->status >= 0)
        return store_select(store, SQL_TASKS_BY_STATUS, STORE_IN(after, status, limit), TASK_OUT(row));
    return store_select(store, SQL_TASKS, STORE_IN(after, limit), TASK_OUT(row));
}

static enum err list_work(struct store *store, void *context)
{
    struct list_call *call = context;
    struct task task = {0};
    struct task_columns row = {.task = &task};

    call->count = 0;
    enum err err = select_tasks(store, call->filter, &row, &call->position);
    while (!err && (err = store_fetch(store)) == ERR_OK) {
        task.status = (enum task_status)row.status;
        call->tasks[call->count++] = task;
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* A page without tasks has no row that could tell the position. */
static enum err position_and_list_work(struct store *store, void *context)
{
    struct list_call *call = context;
    struct cursor position;
    bool known;
    enum err err = store_user_position(store, call->filter->user_id, &known, &position);
    if (!err)
        err = list_work(store, call);
    call->position = position;
    return err;
}

static enum err list(struct store *store, struct list_call *call)
{
    enum err err = store_run(store, STORE_READ, list_work, call);
    if (!err && call->filter->user_id != 0 && call->count == 0)
        err = store_run(store, STORE_SNAPSHOT, position_and_list_work, call);
    return err;
}

enum err store_task_list(struct store *store, const struct store_task_filter *filter, store_task_visit *visit,
                         void *context, bool *more, struct cursor *cursor)
{
    struct list_call call = {.filter = filter};
    call.tasks = malloc(((size_t)filter->limit + 1) * sizeof *call.tasks);
    if (!call.tasks)
        abort();

    /* The cursor's time promises that what is not in the snapshot reaches the stream later. An event that
     * the snapshot does not show commits after the snapshot began, and is published after that; so the
     * second in which we stood just before it began is safe, and none later is. */
    int64_t before_ms = clock_wall_ms();
    enum err err = list(store, &call);
    if (!err) {
        *more = call.count > (size_t)filter->limit;
        for (size_t i = 0; i < call.count - (*more ? 1 : 0); i++)
            visit(context, &call.tasks[i]);
        call.position.time_s = before_ms / 1000;
        if (cursor)
            *cursor = call.position;
    }
    free(call.tasks);
    return err;
}

/* ---- update and delete --------------------------------------------------------------------------- */

struct change_call {
    uint32_t id;
    const struct task_patch *patch; /* NULL: delete */
    const struct store_match *match;
    const struct store_origin *origin;
    struct task *task;
    struct cursor at; /* the event's */
};

/* Locks the task and its user's counter, in that order, and asks for all there is to know about them: what a
 * write costs is its round trips, and others wait for the rows meanwhile. */
static enum err begin_change(struct store *store, struct change_call *call)
{
    struct task_columns row = {.task = call->task};
    struct cursor *at = &call->at;
    enum err err =
        store_select(store, SQL_CHANGE_BEGIN, STORE_IN(of_number(call->id)),
                     STORE_OUT(TASK_FIELDS(&row), to_u64(&at->seq), to_text(at->epoch, sizeof at->epoch)));
    /* The end of the answer, a packet by itself, arrives while we make the event. */
    if (!err)
        err = store_fetch(store);
    if (!err && at->epoch[0] == '\0')
        err = store_no_epoch(store);
    return err ? err : finish_task(&row, call->origin->only_user);
}

static bool version_matches(const struct store_match *match, uint32_t version)
{
    if (match->any)
        return true;
    for (size_t i = 0; i < match->count; i++)
        if (match->versions[i] == version)
            return true;
    return false;
}

/* The values of EVENT_OF_CHANGE. */
#define OF_EVENT(made, task_id)                                                                              \
    of_number((made)->meta.seq), of_number((made)->meta.user_id), STORE_EVENT_VALUES(made, task_id),         \
        STORE_OUTBOX_VALUES(made)

static enum err write_change(struct store *store, const struct change_call *call)
{
    const struct task *task = call->task;
    const struct outbox_event *made = &store->last_event;
    if (!call->patch)
        return store_execute(store, SQL_CHANGE_DELETE,
                             STORE_IN(of_number(task->id), OF_EVENT(made, task->id)), NULL);
    return store_execute(store, SQL_CHANGE_UPDATE,
                         STORE_IN(of_number(task->status), of_text(task->content),
                                  of_time(task->completed_at_ms), of_number(task->version),
                                  of_number(task->id), OF_EVENT(made, task->id)),
                         NULL);
}

static enum err change_work(struct store *store, void *context)
{
    struct change_call *call = context;
    struct task *task = call->task;

    enum err err = begin_change(store, call);
    if (err)
        return err;
    if (!version_matches(call->match, task->version))
        return ERR_STALE;
    /* Taken while the counter is held, so that the times of a user's events rise with their numbers. */
    int64_t now_ms = clock_wall_ms();
    enum event_type type = call->patch ? task_apply(task, call->patch, now_ms) : EVENT_TASK_DELETED;

    struct strbuf json = {0};
    task_json_add(&json, task);
    store_make_event(store,
                     &(struct store_new_event){type, task, json.text, &call->at, now_ms, call->origin});
    strbuf_free(&json);
    return write_change(store, call);
}

static enum err change(struct store *store, struct change_call *call)
{
    enum err err = store_run(store, STORE_CHANGE, change_work, call);
    if (!err)
        store_count_event(store);
    return err;
}

enum err store_task_update(struct store *store, uint32_t id, const struct task_patch *patch,
                           const struct store_match *match, const struct store_origin *origin,
                           struct task *task)
{
    assert(patch);
    struct change_call call = {.id = id, .patch = patch, .match = match, .origin = origin, .task = task};
    return change(store, &call);
}

enum err store_task_delete(struct store *store, uint32_t id, const struct store_match *match,
                           const struct store_origin *origin, struct task *task)
{
    struct change_call call = {.id = id, .match = match, .origin = origin, .task = task};
    return change(store, &call);
}
