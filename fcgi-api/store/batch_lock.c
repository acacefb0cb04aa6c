/* SPDX-License-Identifier: MIT */
/* The first part of a batch: locks its rows, and reads them as they are then.
 *
 * A batch that is not patient leaves out the changes whose rows are locked elsewhere, so it waits for no row.
 * They come again in a patient batch, which waits: for the tasks' rows and then the users' counters, each in
 * the order of their ids, so that two patient batches cannot deadlock. */
#include "fcgi-api/store/batch.h"

#include <stdio.h>
#include <stdlib.h>

#include "fcgi-api/store/internal.h"

/* ---- what there is ------------------------------------------------------------------------------- */

struct batch_user *batch_find_user(struct batch *batch, uint32_t id)
{
    for (size_t i = 0; i < batch->user_count; i++)
        if (batch->users[i].id == id)
            return &batch->users[i];
    return NULL;
}

struct batch_row *batch_find_row(struct batch *batch, uint32_t task_id)
{
    for (size_t i = 0; i < batch->row_count; i++)
        if (batch->rows[i].task.id == task_id)
            return &batch->rows[i];
    return NULL;
}

static void keep_user(void *context)
{
    struct batch *batch = context;
    if (!batch_find_user(batch, batch->user.id))
        batch->users[batch->user_count++] = batch->user;
}

static void keep_row(void *context)
{
    struct batch *batch = context;
    batch->rows[batch->row_count++] = (struct batch_row){.task = batch->task};
}

static void keep_row_and_user(void *context)
{
    struct batch *batch = context;
    keep_row(batch);
    batch->user.id = batch->task.user_id;
    keep_user(batch);
}

/* The key has been used: its answer is read by the change itself. */
static void give_back(void *context)
{
    struct batch *batch = context;
    for (size_t i = 0; i < batch->count; i++) {
        const struct store_idempotency *key = batch->changes[i]->origin->idempotency;
        if (key && key->owner_id == batch->owner_id && strcmp(key->key, batch->key) == 0)
            batch->changes[i]->err = ERR_AGAIN;
    }
}

/* ---- lock and read ------------------------------------------------------------------------------- */

static void add_id(struct strbuf *ids, uint32_t id)
{
    strbuf_printf(ids, "%s%u", ids->length > 0 ? ", " : "(", id);
}

/* The user of a change that names one; 0: it names a task. */
static uint32_t named_user(const struct change *change)
{
    switch (change->kind) {
    case CHANGE_CREATE:
        return change->asked->user_id;
    case CHANGE_EMIT:
        return change->emitted->user_id;
    default:
        return 0;
    }
}

/* Makes "(1, 2, 3)" of the tasks that are to be changed, or of the users of the rows that have been read and
 * of new tasks. False: there are none. */
static bool add_ids(const struct batch *batch, bool of_users, struct strbuf *ids)
{
    strbuf_clear(ids);
    for (size_t i = 0; of_users && batch->patient && i < batch->row_count; i++)
        add_id(ids, batch->rows[i].task.user_id);
    for (size_t i = 0; i < batch->count; i++) {
        uint32_t user_id = named_user(batch->changes[i]);
        if ((user_id != 0) == of_users)
            add_id(ids, of_users ? user_id : batch->changes[i]->task_id);
    }
    if (ids->length == 0)
        return false;
    strbuf_add(ids, ")", 1);
    return true;
}

/* Adds a question for those of the changes' keys that are there. False: no change has one. */
static bool add_keys(struct store *store, struct batch *batch)
{
    const char *glue = "SELECT owner_id, idem_key FROM idempotency_keys WHERE ";
    bool any = false;
    for (size_t i = 0; i < batch->count; i++) {
        const struct store_idempotency *key = batch->changes[i]->origin->idempotency;
        if (!key)
            continue;
        strbuf_add_text(&batch->sql, glue);
        store_sql_add(store, &batch->sql, "(owner_id = ? AND idem_key = ?)",
                      STORE_IN(of_number(key->owner_id), of_text(key->key)));
        glue = " OR ";
        any = true;
    }
    if (any)
        strbuf_add_text(&batch->sql, "; ");
    return any;
}

/* Locks and reads all rows in one round trip; rows that are locked elsewhere are left out. */
static enum err lock_what_is_free(struct store *store, struct batch *batch)
{
    struct task *task = &batch->task;
    struct batch_user *user = &batch->user;
    const struct store_column place = to_text(batch->place, sizeof batch->place);
    const struct store_column key_columns[] = {to_u32(&batch->owner_id),
                                               to_text(batch->key, sizeof batch->key)};
    const struct store_column row_columns[] = {TASK_READINGS, to_u64(&user->seq), place};
    const struct store_column user_columns[] = {to_u32(&user->id), to_u64(&user->seq), place};
    struct strbuf ids = {0}, *sql = &batch->sql;
    struct store_result results[3];
    size_t count = 0;

    strbuf_clear(sql);
    strbuf_add_text(sql, "BEGIN NOT ATOMIC START TRANSACTION; ");
    if (add_keys(store, batch)) {
        results[count] = STORE_RESULT(key_columns, give_back);
        count++;
    }
    if (add_ids(batch, false, &ids)) {
        strbuf_printf(sql, SQL_TASKS_AND_USERS "%s FOR UPDATE SKIP LOCKED; ", ids.text);
        results[count] = STORE_RESULT(row_columns, keep_row_and_user);
        count++;
    }
    if (add_ids(batch, true, &ids)) {
        strbuf_printf(sql, SQL_USERS_OF_BATCH "%s FOR UPDATE SKIP LOCKED; ", ids.text);
        results[count] = STORE_RESULT(user_columns, keep_user);
        count++;
    }
    strbuf_add_text(sql, "END");
    strbuf_free(&ids);
    return store_query(store, sql, results, count, batch);
}

/* The same in two, the rows first: their users are known then, and both are taken in order. */
static enum err lock_patiently(struct store *store, struct batch *batch)
{
    struct task *task = &batch->task;
    struct batch_user *user = &batch->user;
    const struct store_column row_columns[] = {TASK_READINGS};
    const struct store_column user_columns[] = {to_u32(&user->id), to_u64(&user->seq),
                                                to_text(batch->place, sizeof batch->place)};
    const struct store_result rows = STORE_RESULT(row_columns, keep_row);
    const struct store_result users = STORE_RESULT(user_columns, keep_user);
    char limit[64] = "";
    struct strbuf ids = {0}, *sql = &batch->sql;
    enum err err = ERR_OK;

    if (batch->count > 1)
        snprintf(limit, sizeof limit, "SET STATEMENT max_statement_time = %.3f FOR ",
                 (double)batch->wait_ms / 1000);
    if (add_ids(batch, false, &ids)) {
        strbuf_clear(sql);
        strbuf_printf(sql, "%s" SQL_TASKS_OF_BATCH "%s ORDER BY t.id FOR UPDATE", limit, ids.text);
        err = store_query(store, sql, &rows, 1, batch);
    }
    if (!err && add_ids(batch, true, &ids)) {
        strbuf_clear(sql);
        strbuf_printf(sql, "%s" SQL_USERS_OF_BATCH "%s ORDER BY u.id FOR UPDATE", limit, ids.text);
        err = store_query(store, sql, &users, 1, batch);
    }
    strbuf_free(&ids);
    return err;
}

/* ---- the epoch and the nodes --------------------------------------------------------------------- */

/* Of what came with each user: the epoch, and the ids of all nodes. */
static enum err take_place(struct store *store, struct batch *batch)
{
    bool ours = false;
    char *rest = batch->place, *text;

    snprintf(batch->epoch, sizeof batch->epoch, "%.*s", CURSOR_EPOCH_MAX, strsep(&rest, " "));
    enum err err = store_check_epoch(store, batch->epoch);
    if (err)
        return err;
    batch->node_count = 0;
    while ((text = strsep(&rest, ",")) != NULL && batch->node_count < BATCH_NODES_MAX) {
        uint32_t node = (uint32_t)strtoul(text, NULL, 10);
        batch->nodes[batch->node_count++] = node;
        ours |= node == batch->own_node;
    }
    return ours ? ERR_OK : store_node_has_gone(store);
}

enum err batch_lock(struct store *store, struct batch *batch)
{
    enum err err = store_own_node(store, &batch->own_node);
    if (!err)
        err = batch->patient ? lock_patiently(store, batch) : lock_what_is_free(store, batch);
    /* Without a user no event is written, and nothing was read that names the nodes. */
    return err || batch->user_count == 0 ? err : take_place(store, batch);
}
