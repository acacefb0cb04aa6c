/* SPDX-License-Identifier: MIT */
/* Users, and their event counters. Changes of users make no events, so they bypass the commit group. */
#include <stdlib.h>

#include "fcgi-api/store/internal.h"
#include "fcgi-api/user/user_json.h"

#define USER_OUT(user)                                                                                       \
    STORE_OUT(to_u32(&(user)->id), to_string((user)->name, sizeof(user)->name, &(user)->name_length),        \
              to_string((user)->external_id, sizeof(user)->external_id, &(user)->external_id_length),        \
              to_time(&(user)->created_at_ms))

struct users_call {
    uint32_t id;
    const struct grant *grant;
    const struct store_text_condition *condition;
    int limit;
    struct user *users;
    size_t count;
};

static bool condition_holds(const struct store_text_condition *condition, const struct user *user)
{
    struct strbuf text = {0};
    user_json_add(&text, user);
    bool holds = condition->holds(condition->context, text.text, text.length);
    strbuf_free(&text);
    return holds;
}

static enum err get_work(struct store *store, void *context)
{
    struct users_call *call = context;
    enum err err =
        store_select_one(store, SQL_USER_GET, STORE_IN(of_number(call->id)), USER_OUT(call->users));
    return !err && call->condition && !condition_holds(call->condition, call->users) ? ERR_STALE : err;
}

enum err store_user_get(struct store *store, uint32_t id, const struct store_text_condition *condition,
                        struct user *user)
{
    struct users_call call = {.id = id, .condition = condition, .users = user};
    return store_run_caught_up(store, STORE_READ, get_work, &call);
}

static enum err list_work(struct store *store, void *context)
{
    struct users_call *call = context;
    struct user user;

    call->count = 0;
    enum err err =
        store_select(store, SQL_USERS, STORE_IN(of_number(call->id), of_number((uint64_t)call->limit + 1)),
                     USER_OUT(&user));
    while (!err && (err = store_fetch(store)) == ERR_OK)
        call->users[call->count++] = user;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* ---- the few that a token names ------------------------------------------------------------------ */

struct few_call {
    struct users_call *users;
    struct user row;
};

static void add_few(void *context)
{
    struct few_call *call = context;
    call->users->users[call->users->count++] = call->row;
}

static void add_few_sql(struct store *store, const struct users_call *call, struct strbuf *sql)
{
    const struct grant *grant = call->grant;
    store_sql_add(store, sql, USER_SELECT "id > ? AND id IN (?",
                  STORE_IN(of_number(call->id), of_number(grant->user_id)));
    for (size_t i = 0; i < grant->group_count; i++)
        store_sql_add(store, sql, ", ?", STORE_IN(of_number(grant->groups[i])));
    store_sql_add(store, sql, ") ORDER BY id LIMIT ?", STORE_IN(of_number((uint64_t)call->limit + 1)));
}

static enum err list_few_work(struct store *store, void *context)
{
    struct users_call *users = context;
    struct few_call call = {.users = users};
    struct user *row = &call.row;
    const struct store_column columns[] = {
        to_u32(&row->id), to_string(row->name, sizeof row->name, &row->name_length),
        to_string(row->external_id, sizeof row->external_id, &row->external_id_length),
        to_time(&row->created_at_ms)};
    struct strbuf sql = {0};

    users->count = 0;
    add_few_sql(store, users, &sql);
    enum err err = store_query(store, &sql, &STORE_RESULT(columns, add_few), 1, &call);
    strbuf_free(&sql);
    return err;
}

enum err store_user_list(struct store *store, const struct grant *grant, uint32_t after, int limit,
                         store_user_visit *visit, void *context, bool *more)
{
    struct users_call call = {.id = after, .grant = grant, .limit = limit};

    *more = false;
    call.users = malloc(((size_t)limit + 1) * sizeof *call.users);
    if (!call.users)
        abort();
    enum err err = store_run(store, STORE_READ, grant->everyone ? list_work : list_few_work, &call);
    if (!err) {
        *more = call.count > (size_t)limit;
        for (size_t i = 0; i < call.count - (*more ? 1 : 0); i++)
            visit(context, &call.users[i]);
    }
    free(call.users);
    return err;
}

struct find_call {
    const char *external_id;
    struct user *user;
};

static enum err find_work(struct store *store, void *context)
{
    struct find_call *call = context;
    return store_select_one(store, SQL_USER_FIND, STORE_IN(of_text(call->external_id)), USER_OUT(call->user));
}

enum err store_user_find(struct store *store, const char *external_id, struct user *user)
{
    struct find_call call = {external_id, user};
    return store_run_caught_up(store, STORE_READ, find_work, &call);
}

/* ---- writing ------------------------------------------------------------------------------------- */

struct write_call {
    struct change change; /* for the key and the answer, which are as a task's */
    const struct user_new *asked;
    const struct user_patch *patch;
    const struct store_text_condition *condition;
    uint32_t id;
    struct user *user;
};

static enum err taken_or(struct store *store, enum err err)
{
    return store_was_duplicate(store, err) ? ERR_TAKEN : err;
}

static enum err remember(struct store *store, struct write_call *call)
{
    struct change *change = &call->change;
    change->answer->task.id = call->user->id;
    strbuf_clear(&change->body);
    user_json_add(&change->body, call->user);
    return store_remember_answer(store, change);
}

/* The key's place in the transaction is its first. Whether there is more to do. */
static bool begins(struct store *store, struct write_call *call, enum err *err)
{
    *call->change.answer = (struct store_answer){0};
    strbuf_clear(&call->change.body);
    *err = store_claim_key(store, &call->change);
    return *err == ERR_OK && !call->change.answer->repeated;
}

static enum err insert_work(struct store *store, void *context)
{
    struct write_call *call = context;
    struct user *user = call->user;
    struct store_outcome outcome;
    enum err err;

    if (!begins(store, call, &err))
        return err;
    user_begin(user, call->asked, clock_wall_ms());
    err = store_execute(store, SQL_USER_INSERT,
                        STORE_IN(of_string(user->name, user->name_length),
                                 of_string(user->external_id, user->external_id_length),
                                 of_time(user->created_at_ms)),
                        &outcome);
    if (err)
        return taken_or(store, err);
    user->id = (uint32_t)outcome.insert_id;
    return remember(store, call);
}

static enum err update_work(struct store *store, void *context)
{
    struct write_call *call = context;
    struct user *user = call->user;
    enum err err;

    if (!begins(store, call, &err))
        return err;
    err = store_select_one(store, SQL_USER_HOLD, STORE_IN(of_number(call->id)), USER_OUT(user));
    if (err)
        return err;
    if (!condition_holds(call->condition, user))
        return ERR_STALE;
    if (!user_patch_fits(user, call->patch))
        return ERR_INVALID;
    user_apply(user, call->patch);
    err = store_execute(store, SQL_USER_UPDATE,
                        STORE_IN(of_string(user->name, user->name_length),
                                 of_string(user->external_id, user->external_id_length), of_number(user->id)),
                        NULL);
    return err ? taken_or(store, err) : remember(store, call);
}

/* The answer takes the body. */
static enum err write_user(struct store *store, store_work *work, struct write_call *call)
{
    struct change *change = &call->change;
    *change->answer = (struct store_answer){0};
    enum err err = store_run_caught_up(store, STORE_WRITE, work, call);
    if (err)
        strbuf_free(&change->body);
    change->answer->body = change->body.text;
    return err;
}

enum err store_user_insert(struct store *store, const struct user_new *user,
                           const struct store_origin *origin, struct store_answer *answer)
{
    struct user made;
    struct write_call call = {
        .change = {.kind = CHANGE_CREATE, .origin = origin, .answer = answer}, .asked = user, .user = &made};
    return write_user(store, insert_work, &call);
}

enum err store_user_update(struct store *store, uint32_t id, const struct user_patch *patch,
                           const struct store_text_condition *condition, const struct store_origin *origin,
                           struct user *user, struct store_answer *answer)
{
    struct write_call call = {.change = {.kind = CHANGE_UPDATE, .origin = origin, .answer = answer},
                              .patch = patch,
                              .condition = condition,
                              .id = id,
                              .user = user};
    return write_user(store, update_work, &call);
}

/* ---- the counter ----------------------------------------------------------------------------------- */

enum err store_user_position(struct store *store, uint32_t user_id, bool *known, struct cursor *cursor)
{
    uint32_t is_known = 0;
    *cursor = (struct cursor){0};
    enum err err = store_select_one(
        store, SQL_USER_POSITION, STORE_IN(of_number(user_id)),
        STORE_OUT(to_text(cursor->epoch, sizeof cursor->epoch), to_u32(&is_known), to_u64(&cursor->seq)));
    *known = is_known != 0;
    return err && err != ERR_NOT_FOUND ? err : store_check_epoch(store, cursor->epoch);
}
