/* Creating a task, once for each Idempotency-Key.
 *
 * The key's row is inserted first, in the same transaction as the task: a twin that comes at the same
 * moment waits at that row until the first has committed, and then repeats its answer; if the first rolls
 * back, the twin takes its place. */
#include <stdio.h>

#include "common/clock.h"
#include "fcgi-api/store/internal.h"
#include "fcgi-api/task/task_json.h"

struct create_call {
    uint32_t user_id;
    const char *content;
    const struct store_origin *origin;
    const struct store_idempotency *idempotency; /* NULL: none */
    struct store_created *created;
    struct strbuf body;
    struct cursor at; /* the event's */
};

/* ---- the key ------------------------------------------------------------------------------------- */

static enum err insert_key(struct store *store, const struct store_idempotency *key)
{
    return store_execute(store, SQL_KEY_INSERT,
                         STORE_IN(of_number(key->owner_id), of_text(key->key),
                                  of_bytes(key->request_hash, sizeof key->request_hash),
                                  of_time(clock_wall_ms())),
                         NULL);
}

static enum err delete_key(struct store *store, const struct store_idempotency *key)
{
    return store_execute(store, SQL_KEY_DELETE, STORE_IN(of_number(key->owner_id), of_text(key->key)), NULL);
}

static enum err remember_answer(struct store *store, const struct create_call *call)
{
    const struct store_idempotency *key = call->idempotency;
    const struct task *task = &call->created->task;
    return store_execute(store, SQL_KEY_ANSWER,
                         STORE_IN(of_number(task->id), of_number(task->version), of_text(call->body.text),
                                  of_number(key->owner_id), of_text(key->key)),
                         NULL);
}

/* The key's row is there. ERR_NOT_FOUND: it had expired, and is gone now. */
static enum err repeat_answer(struct store *store, struct create_call *call)
{
    const struct store_idempotency *key = call->idempotency;
    struct task *task = &call->created->task;
    unsigned char hash[sizeof key->request_hash];
    int64_t created_at_ms;

    enum err err =
        store_select_one(store, SQL_KEY_GET, STORE_IN(of_number(key->owner_id), of_text(key->key)),
                         STORE_OUT(to_bytes(hash, sizeof hash), to_u32(&task->id), to_u32(&task->version),
                                   to_strbuf(&call->body), to_time(&created_at_ms)));
    if (err)
        return err;
    if (created_at_ms < clock_wall_ms() - store->config->idempotency_retention_s * 1000) {
        err = delete_key(store, key);
        return err ? err : ERR_NOT_FOUND;
    }
    if (memcmp(hash, key->request_hash, sizeof hash) != 0)
        return ERR_MISMATCH;
    call->created->repeated = true;
    task->user_id = call->user_id;
    /* The first answer's commit may be visible and not yet on disk; ours must not promise more. */
    return store_settle(store);
}

/* ERR_OK with created->repeated false: the key is ours, go on. */
static enum err claim_key(struct store *store, struct create_call *call)
{
    enum err err = insert_key(store, call->idempotency);
    if (err != ERR_MISMATCH)
        return err;
    err = repeat_answer(store, call);
    if (err != ERR_NOT_FOUND)
        return err;
    return insert_key(store, call->idempotency);
}

/* ---- the task ------------------------------------------------------------------------------------ */

static enum err insert_task(struct store *store, struct task *task)
{
    struct store_outcome outcome;
    enum err err = store_execute(
        store, SQL_TASK_INSERT,
        STORE_IN(of_number(task->user_id), of_text(task->content), of_time(task->created_at_ms)), &outcome);
    if (!err)
        task->id = (uint32_t)outcome.insert_id;
    return err;
}

static void begin_task(const struct create_call *call, struct task *task)
{
    *task = (struct task){.user_id = call->user_id,
                          .status = TASK_OPEN,
                          .created_at_ms = clock_wall_ms(),
                          .completed_at_ms = -1,
                          .version = 1};
    snprintf(task->content, sizeof task->content, "%s", call->content);
}

static enum err create_work(struct store *store, void *context)
{
    struct create_call *call = context;
    struct task *task = &call->created->task;

    call->created->repeated = false;
    strbuf_clear(&call->body);
    enum err err = call->idempotency ? claim_key(store, call) : ERR_OK;
    if (err || call->created->repeated)
        return err;

    err = store_next_seq(store, call->user_id, &call->at.seq);
    if (!err)
        err = store_read_epoch(store, call->at.epoch);
    if (err)
        return err;
    begin_task(call, task);
    err = insert_task(store, task);
    if (err)
        return err;
    task_json_add(&call->body, task);
    err = store_event_add(store, &(struct store_new_event){EVENT_TASK_CREATED, task, call->body.text,
                                                           &call->at, task->created_at_ms, call->origin});
    if (!err && call->idempotency)
        err = remember_answer(store, call);
    return err;
}

enum err store_task_insert(struct store *store, uint32_t user_id, const char *content,
                           const struct store_origin *origin, const struct store_idempotency *idempotency,
                           struct store_created *created)
{
    struct create_call call = {.user_id = user_id,
                               .content = content,
                               .origin = origin,
                               .idempotency = idempotency,
                               .created = created};

    if (origin->only_user != 0 && user_id != origin->only_user)
        return ERR_NOT_FOUND;
    enum err err = store_run(store, STORE_WRITE, create_work, &call);
    if (err) {
        strbuf_free(&call.body);
        return err;
    }
    if (!created->repeated)
        store_count_event(store);
    created->body = call.body.text;
    return ERR_OK;
}
