/* Creating a task, once for each Idempotency-Key. */
#include "fcgi-api/store/internal.h"
#include "fcgi-api/task/task_json.h"

struct create_call {
    const struct task_new *asked;
    const struct store_origin *origin;
    struct store_answer *answer;
    struct strbuf body;
    struct cursor at; /* the event's */
};

static enum err insert_task(struct store *store, struct task *task)
{
    struct store_outcome outcome;
    enum err err = store_execute(store, SQL_TASK_INSERT, STORE_IN(TASK_INSERTED), &outcome);
    if (!err)
        task->id = (uint32_t)outcome.insert_id;
    return err;
}

static enum err create_work(struct store *store, void *context)
{
    struct create_call *call = context;
    const struct store_idempotency *key = call->origin->idempotency;
    struct task *task = &call->answer->task;

    enum err err = store_claim_key(store, key, call->answer, &call->body);
    if (err || call->answer->repeated)
        return err;

    err = store_next_seq(store, call->asked->user_id, &call->at.seq);
    if (!err)
        err = store_read_epoch(store, call->at.epoch);
    if (err)
        return err;
    task_begin(task, call->asked, clock_wall_ms());
    err = insert_task(store, task);
    if (err)
        return err;
    task_json_add(&call->body, task);
    err = store_event_add(store, &(struct store_new_event){EVENT_TASK_CREATED, task, call->body.text,
                                                           &call->at, task->created_at_ms, call->origin});
    return err ? err : store_remember_answer(store, key, 201, task, &call->body);
}

enum err store_task_insert(struct store *store, const struct task_new *task,
                           const struct store_origin *origin, struct store_answer *answer)
{
    struct create_call call = {.asked = task, .origin = origin, .answer = answer};

    *answer = (struct store_answer){0};
    if (origin->only_user != 0 && task->user_id != origin->only_user)
        return ERR_NOT_FOUND;
    enum err err = store_run(store, STORE_WRITE, create_work, &call);
    return store_finish_answer(store, err, answer, &call.body);
}
