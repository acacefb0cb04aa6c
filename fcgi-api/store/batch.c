/* SPDX-License-Identifier: MIT */
/* The transaction of a batch, in three round trips and the COMMIT: lock and read (batch_lock.c), insert what
 * is new (its ids are part of its events), write all the rest. */
#include "fcgi-api/store/batch.h"

#include <stdlib.h>

#include "fcgi-api/store/internal.h"
#include "fcgi-api/task/task_json.h"

void batch_init(struct batch *batch, size_t capacity)
{
    *batch = (struct batch){.rows = calloc(capacity, sizeof *batch->rows),
                            .users = calloc(capacity, sizeof *batch->users)};
    if (!batch->rows || !batch->users)
        abort();
}

void batch_free(struct batch *batch)
{
    free(batch->rows);
    free(batch->users);
    strbuf_free(&batch->sql);
}

/* ---- make the changes, in memory ----------------------------------------------------------------- */

static enum err check_change(const struct change *change, const struct batch_row *row)
{
    const struct store_condition *condition = change->condition;
    if (row->state == ROW_DELETED || !grant_covers(change->origin->grant, row->task.user_id))
        return ERR_NOT_FOUND;
    if (condition && !condition->holds(condition->context, row->task.version))
        return ERR_STALE;
    return change->patch && task_differs(&row->task, &change->patch->expected) ? ERR_INVALID : ERR_OK;
}

/* The next number of the user, and the moment: taken while the counter is held, so that the times of a user's
 * events rise with their numbers. */
static void number_event(const struct batch *batch, struct batch_user *user, struct change *change)
{
    change->now_ms = clock_wall_ms();
    user->changed = true;
    change->at = (struct cursor){.seq = ++user->seq};
    memcpy(change->at.epoch, batch->epoch, sizeof change->at.epoch);
}

static enum err make_task(struct batch *batch, struct change *change)
{
    struct batch_user *user = batch_find_user(batch, change->asked->user_id);
    if (!user)
        return batch->patient ? ERR_NOT_FOUND : ERR_AGAIN;
    number_event(batch, user, change);
    change->type = EVENT_TASK_CREATED;
    task_begin(&change->answer->task, change->asked, change->now_ms);
    return ERR_OK;
}

static enum err make_event(struct batch *batch, struct change *change)
{
    struct batch_user *user = batch_find_user(batch, change->emitted->user_id);
    if (!user)
        return batch->patient ? ERR_NOT_FOUND : ERR_AGAIN;
    number_event(batch, user, change);
    return ERR_OK;
}

static enum err change_row(struct batch *batch, struct change *change)
{
    struct batch_row *row = batch_find_row(batch, change->task_id);
    if (!row)
        return batch->patient ? ERR_NOT_FOUND : ERR_AGAIN;
    enum err err = check_change(change, row);
    change->answer->task = row->task;
    if (err)
        return err;
    number_event(batch, batch_find_user(batch, row->task.user_id), change);
    change->type = change->patch ? task_apply(&row->task, change->patch, change->now_ms) : EVENT_TASK_DELETED;
    row->state = change->patch ? ROW_CHANGED : ROW_DELETED;
    change->answer->task = row->task;
    return ERR_OK;
}

static enum err make_change(struct batch *batch, struct change *change)
{
    switch (change->kind) {
    case CHANGE_CREATE:
        return make_task(batch, change);
    case CHANGE_EMIT:
        return make_event(batch, change);
    default:
        return change_row(batch, change);
    }
}

static bool same_key(const struct store_idempotency *a, const struct store_idempotency *b)
{
    return a && b && a->owner_id == b->owner_id && strcmp(a->key, b->key) == 0;
}

/* A twin of an earlier change waits for that one's end. */
static bool has_twin(const struct batch *batch, size_t index)
{
    const struct store_idempotency *key = batch->changes[index]->origin->idempotency;
    for (size_t i = 0; key && i < index; i++)
        if (same_key(batch->changes[i]->origin->idempotency, key))
            return true;
    return false;
}

/* ERR_OK: at least one could be made; else the first one's reason. */
static enum err make_changes(struct batch *batch)
{
    bool any = false;
    for (size_t i = 0; i < batch->count; i++) {
        struct change *change = batch->changes[i];
        if (change->err == ERR_OK && has_twin(batch, i))
            change->err = ERR_AGAIN;
        if (change->err == ERR_OK)
            change->err = make_change(batch, change);
        any |= change->err == ERR_OK;
    }
    batch->refused = !any;
    return any ? ERR_OK : batch->changes[0]->err;
}

/* ---- write --------------------------------------------------------------------------------------- */

/* Adds a row's values, after what comes before the first, or a comma. */
static void add_row(struct store *store, struct batch *batch, const char **head, const char *row,
                    const struct store_value *values, size_t count)
{
    strbuf_add_text(&batch->sql, *head);
    store_sql_add(store, &batch->sql, row, values, count);
    *head = ", ";
}

static void end_rows(struct batch *batch, const char *head, const char *end)
{
    if (strcmp(head, ", ") == 0)
        strbuf_add_text(&batch->sql, end);
}

static struct change *next_created(struct batch *batch, size_t *index)
{
    for (; *index < batch->count; ++*index) {
        struct change *change = batch->changes[*index];
        if (change->err == ERR_OK && change->kind == CHANGE_CREATE)
            return change;
    }
    return NULL;
}

static void keep_id(void *context)
{
    struct batch *batch = context;
    struct change *change = next_created(batch, &batch->created);
    if (change)
        change->answer->task.id = batch->user.id;
    batch->created++;
}

/* The rows come back in the order in which they were given. */
static enum err insert_tasks(struct store *store, struct batch *batch)
{
    const struct store_column columns[] = {to_u32(&batch->user.id)};
    const struct store_result ids = STORE_RESULT(columns, keep_id);
    const char *head = TASK_INSERT_HEAD;
    size_t index = 0;
    struct change *change;

    strbuf_clear(&batch->sql);
    batch->created = 0;
    for (; (change = next_created(batch, &index)) != NULL; index++) {
        const struct task *task = &change->answer->task;
        add_row(store, batch, &head, TASK_INSERT_ROW, STORE_IN(TASK_INSERTED));
    }
    if (batch->sql.length == 0)
        return ERR_OK;
    strbuf_add_text(&batch->sql, " RETURNING id");
    return store_query(store, &batch->sql, &ids, 1, batch);
}

/* The task, or where its event is. */
static void add_answer(struct change *change)
{
    char cursor[CURSOR_TEXT_SIZE];
    if (change->kind != CHANGE_EMIT) {
        task_json_add(&change->body, &change->answer->task);
        return;
    }
    cursor_format(&change->at, cursor);
    strbuf_printf(&change->body, "{\"cursor\":\"%s\"}", cursor);
}

static void make_events(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct change *change = batch->changes[i];
        if (change->err != ERR_OK)
            continue;
        add_answer(change);
        store_make_event(&change->event, &(struct store_new_event){
                                             change->type, &change->answer->task, change->body.text,
                                             change->emitted, &change->at, change->now_ms, change->origin});
        if (change->kind == CHANGE_DELETE)
            strbuf_clear(&change->body);
    }
}

static void add_tasks(struct store *store, struct batch *batch)
{
    const char *head = TASK_REPLACE_HEAD;
    for (size_t i = 0; i < batch->row_count; i++) {
        const struct task *task = &batch->rows[i].task;
        if (batch->rows[i].state == ROW_CHANGED)
            add_row(store, batch, &head, TASK_REPLACE_ROW, STORE_IN(TASK_REPLACED));
    }
    end_rows(batch, head, TASK_REPLACE_END "; ");

    head = "DELETE FROM tasks WHERE id IN (";
    for (size_t i = 0; i < batch->row_count; i++)
        if (batch->rows[i].state == ROW_DELETED)
            add_row(store, batch, &head, "?", STORE_IN(of_number(batch->rows[i].task.id)));
    end_rows(batch, head, "); ");
}

/* One statement: one a user costs the server a tenth more (docs/performance.md). */
static void add_counters(struct store *store, struct batch *batch)
{
    const char *head = COUNTERS_HEAD;
    for (size_t i = 0; i < batch->user_count; i++) {
        const struct batch_user *user = &batch->users[i];
        if (!user->changed)
            continue;
        add_row(store, batch, &head, COUNTERS_CASE, STORE_IN(of_number(user->id), of_number(user->seq)));
        head = " ";
    }
    head = COUNTERS_WHERE;
    for (size_t i = 0; i < batch->user_count; i++)
        if (batch->users[i].changed)
            add_row(store, batch, &head, "?", STORE_IN(of_number(batch->users[i].id)));
    end_rows(batch, head, "); ");
}

static void add_events(struct store *store, struct batch *batch)
{
    const char *head = EVENT_INSERT_HEAD;
    for (size_t i = 0; i < batch->count; i++) {
        const struct change *change = batch->changes[i];
        const struct outbox_event *made = &change->event;
        if (change->err == ERR_OK)
            add_row(store, batch, &head, EVENT_INSERT_ROW,
                    STORE_IN(STORE_EVENT_VALUES(made, change->answer->task.id)));
    }
    strbuf_add_text(&batch->sql, "; ");
}

static void add_to_outbox(struct store *store, struct batch *batch, uint32_t node, const char **head)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct outbox_event *made = &batch->changes[i]->event;
        if (batch->changes[i]->err == ERR_OK)
            add_row(store, batch, head, OUTBOX_INSERT_ROW, STORE_IN(STORE_OUTBOX_VALUES(node, made)));
    }
}

static void add_to_emitted(struct store *store, struct batch *batch, uint32_t node, const char **head)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct event_meta *meta = &batch->changes[i]->event.meta;
        if (batch->changes[i]->err == ERR_OK)
            add_row(store, batch, head, EMITTED_INSERT_ROW,
                    STORE_IN(of_number(node), of_number(meta->user_id), of_number(meta->seq)));
    }
}

/* Every node's publisher is to publish them. Ours gets hints; the others look into `emitted`. */
static void add_for_nodes(struct store *store, struct batch *batch)
{
    const char *head = OUTBOX_INSERT_HEAD;
    for (size_t i = 0; i < batch->node_count; i++)
        add_to_outbox(store, batch, batch->nodes[i], &head);
    end_rows(batch, head, "; ");
    head = EMITTED_INSERT_HEAD;
    for (size_t i = 0; i < batch->node_count; i++)
        if (batch->nodes[i] != batch->own_node)
            add_to_emitted(store, batch, batch->nodes[i], &head);
    end_rows(batch, head, "; ");
}

/* First answers; a change by itself has claimed its key and writes its answer later. */
static void add_answers(struct store *store, struct batch *batch)
{
    const char *head = KEY_INSERT_HEAD;
    for (size_t i = 0; i < batch->count && (batch->count > 1 || !batch->patient); i++) {
        const struct change *change = batch->changes[i];
        if (change->err == ERR_OK && change->origin->idempotency)
            add_row(store, batch, &head, KEY_INSERT_ROW,
                    STORE_IN(STORE_KEY_VALUES(change->origin->idempotency), STORE_ANSWER_VALUES(change),
                             of_time(change->now_ms)));
    }
    end_rows(batch, head, "; ");
}

static enum err write_changes(struct store *store, struct batch *batch)
{
    strbuf_clear(&batch->sql);
    strbuf_add_text(&batch->sql, "BEGIN NOT ATOMIC ");
    add_tasks(store, batch);
    add_counters(store, batch);
    add_events(store, batch);
    add_for_nodes(store, batch);
    add_answers(store, batch);
    strbuf_add_text(&batch->sql, "END");
    return store_query(store, &batch->sql, NULL, 0, NULL);
}

/* ---- all of it ----------------------------------------------------------------------------------- */

/* What an attempt before may have left. */
static void begin_again(struct batch *batch)
{
    batch->row_count = batch->user_count = 0;
    batch->epoch[0] = '\0';
    batch->refused = false;
    for (size_t i = 0; i < batch->count; i++) {
        struct change *change = batch->changes[i];
        change->err = ERR_OK;
        change->answer->repeated = false;
        strbuf_clear(&change->body);
    }
}

enum err batch_work(struct store *store, void *context)
{
    struct batch *batch = context;
    struct change *first = batch->changes[0];

    begin_again(batch);
    bool alone = batch->patient && batch->count == 1;
    enum err err = alone ? store_claim_key(store, first) : ERR_OK;
    if (err || first->answer->repeated) {
        batch->refused = err != ERR_OK;
        return first->err = err;
    }
    err = batch_lock(store, batch);
    if (!err)
        err = make_changes(batch);
    if (!err)
        err = insert_tasks(store, batch);
    if (err)
        return err;
    make_events(batch);
    err = write_changes(store, batch);
    return !err && alone ? store_remember_answer(store, first) : err;
}
