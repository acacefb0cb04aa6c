/* Tasks: read, change, delete. (Creating is create.c, listing list.c.)
 *
 * Every write takes the task's row, then the user's counter, then writes: always in that order, or two
 * writes could wait for each other. Once the counter is held the user's events have an order, and it is the
 * order of the commits. */
#include <assert.h>

#include "fcgi-api/store/internal.h"
#include "fcgi-api/task/task_json.h"

/* ---- rows ---------------------------------------------------------------------------------------- */

/* Another's task is as if it did not exist. */
static enum err check_owner(const struct task *task, uint32_t only_user)
{
    return only_user != 0 && task->user_id != only_user ? ERR_NOT_FOUND : ERR_OK;
}

/* ---- get ----------------------------------------------------------------------------------------- */

struct get_call {
    uint32_t id, only_user;
    struct task *task;
};

static enum err get_work(struct store *store, void *context)
{
    struct get_call *call = context;
    struct task *task = call->task;
    enum err err =
        store_select_one(store, SQL_TASK_GET, STORE_IN(of_number(call->id)), STORE_OUT(TASK_READINGS));
    return err ? err : check_owner(task, call->only_user);
}

enum err store_task_get(struct store *store, uint32_t id, uint32_t only_user, struct task *task)
{
    struct get_call call = {.id = id, .only_user = only_user, .task = task};
    return store_run(store, STORE_READ, get_work, &call);
}

/* ---- update and delete --------------------------------------------------------------------------- */

struct change_call {
    uint32_t id;
    const struct task_patch *patch; /* NULL: delete */
    const struct store_condition *condition;
    const struct store_origin *origin;
    struct store_answer *answer;
    struct strbuf body;
    struct cursor at; /* the event's */
};

/* Locks the task and its user's counter, in that order, and asks for all there is to know about them: what a
 * write costs is its round trips, and others wait for the rows meanwhile. */
static enum err begin_change(struct store *store, struct change_call *call)
{
    struct task *task = &call->answer->task;
    struct cursor *at = &call->at;
    /* The claim of a key has begun the transaction. */
    enum err err = store_select(
        store, call->origin->idempotency ? SQL_CHANGE_LOCK : SQL_CHANGE_BEGIN, STORE_IN(of_number(call->id)),
        STORE_OUT(TASK_READINGS, to_u64(&at->seq), to_text(at->epoch, sizeof at->epoch)));
    /* The end of the answer, a packet by itself, arrives while we make the event. */
    if (!err)
        err = store_fetch(store);
    if (!err)
        err = store_check_epoch(store, at->epoch);
    return err ? err : check_owner(task, call->origin->only_user);
}

/* The values of EVENT_OF_CHANGE. */
#define OF_EVENT(made, task_id)                                                                              \
    of_number((made)->meta.seq), of_number((made)->meta.user_id), STORE_EVENT_VALUES(made, task_id),         \
        STORE_OUTBOX_VALUES(made)

static enum err write_change(struct store *store, const struct change_call *call)
{
    const struct task *task = &call->answer->task;
    const struct outbox_event *made = &store->last_event;
    if (!call->patch)
        return store_execute(store, SQL_CHANGE_DELETE,
                             STORE_IN(of_number(task->id), OF_EVENT(made, task->id)), NULL);
    return store_execute(store, SQL_CHANGE_UPDATE, STORE_IN(TASK_UPDATED, OF_EVENT(made, task->id)), NULL);
}

/* Whether the task, as it is, may be changed so. */
static enum err check_change(const struct change_call *call)
{
    const struct task *task = &call->answer->task;
    const struct store_condition *condition = call->condition;
    if (condition && !condition->holds(condition->context, task->version))
        return ERR_STALE;
    return call->patch && task_differs(task, &call->patch->expected) ? ERR_INVALID : ERR_OK;
}

static enum err change_work(struct store *store, void *context)
{
    struct change_call *call = context;
    const struct store_idempotency *key = call->origin->idempotency;
    struct task *task = &call->answer->task;

    enum err err = store_claim_key(store, key, call->answer, &call->body);
    if (err || call->answer->repeated)
        return err;
    err = begin_change(store, call);
    if (!err)
        err = check_change(call);
    if (err)
        return err;
    /* Taken while the counter is held, so that the times of a user's events rise with their numbers. */
    int64_t now_ms = clock_wall_ms();
    enum event_type type = call->patch ? task_apply(task, call->patch, now_ms) : EVENT_TASK_DELETED;

    task_json_add(&call->body, task);
    store_make_event(store,
                     &(struct store_new_event){type, task, call->body.text, &call->at, now_ms, call->origin});
    if (!call->patch)
        strbuf_clear(&call->body);
    err = write_change(store, call);
    return err ? err : store_remember_answer(store, key, call->patch ? 200 : 204, task, &call->body);
}

static enum err change(struct store *store, struct change_call *call)
{
    enum store_mode mode = call->origin->idempotency ? STORE_WRITE : STORE_CHANGE;
    *call->answer = (struct store_answer){0};
    enum err err = store_run(store, mode, change_work, call);
    return store_finish_answer(store, err, call->answer, &call->body);
}

enum err store_task_update(struct store *store, uint32_t id, const struct task_patch *patch,
                           const struct store_condition *condition, const struct store_origin *origin,
                           struct store_answer *answer)
{
    assert(patch);
    struct change_call call = {
        .id = id, .patch = patch, .condition = condition, .origin = origin, .answer = answer};
    return change(store, &call);
}

enum err store_task_delete(struct store *store, uint32_t id, const struct store_condition *condition,
                           const struct store_origin *origin, struct store_answer *answer)
{
    struct change_call call = {.id = id, .condition = condition, .origin = origin, .answer = answer};
    return change(store, &call);
}
