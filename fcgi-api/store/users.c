/* SPDX-License-Identifier: MIT */
/* Users: who they are, and their event counter. */
#include <stdlib.h>

#include "fcgi-api/store/internal.h"

#define USER_OUT(user)                                                                                       \
    STORE_OUT(to_u32(&(user)->id), to_string((user)->name, sizeof(user)->name, &(user)->name_length),        \
              to_time(&(user)->created_at_ms))

struct users_call {
    uint32_t id, only_user;
    int limit;
    struct user *users;
    size_t count;
};

static enum err get_work(struct store *store, void *context)
{
    struct users_call *call = context;
    return store_select_one(store, SQL_USER_GET, STORE_IN(of_number(call->id)), USER_OUT(call->users));
}

enum err store_user_get(struct store *store, uint32_t id, struct user *user)
{
    struct users_call call = {.id = id, .users = user};
    return store_run(store, STORE_READ, get_work, &call);
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

/* Who may see one user only has a list of at most that one. */
static enum err list_one(struct store *store, uint32_t id, uint32_t after, store_user_visit *visit,
                         void *context)
{
    struct user user;
    if (id <= after)
        return ERR_OK;
    enum err err = store_user_get(store, id, &user);
    if (!err)
        visit(context, &user);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err store_user_list(struct store *store, uint32_t only_user, uint32_t after, int limit,
                         store_user_visit *visit, void *context, bool *more)
{
    struct users_call call = {.id = after, .limit = limit};

    *more = false;
    if (only_user != 0)
        return list_one(store, only_user, after, visit, context);
    call.users = malloc(((size_t)limit + 1) * sizeof *call.users);
    if (!call.users)
        abort();
    enum err err = store_run(store, STORE_READ, list_work, &call);
    if (!err) {
        *more = call.count > (size_t)limit;
        for (size_t i = 0; i < call.count - (*more ? 1 : 0); i++)
            visit(context, &call.users[i]);
    }
    free(call.users);
    return err;
}

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
