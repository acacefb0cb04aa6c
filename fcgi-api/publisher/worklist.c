/* SPDX-License-Identifier: MIT */
/* A ring of user ids, and a map of the users that are in it. */
#include "fcgi-api/publisher/worklist.h"

#include <stdlib.h>

void worklist_init(struct worklist *list, size_t limit)
{
    *list = (struct worklist){0};
    user_map_init(&list->users, limit);
    list->queue = calloc(limit, sizeof *list->queue);
    if (!list->queue)
        abort();
}

void worklist_free(struct worklist *list)
{
    user_map_free(&list->users);
    free(list->queue);
    list->queue = NULL;
}

void worklist_clear(struct worklist *list)
{
    user_map_clear(&list->users);
    list->head = 0;
}

bool worklist_add(struct worklist *list, uint32_t user_id, uint64_t upto)
{
    size_t count = list->users.count;
    struct user_entry *entry = user_map_add(&list->users, user_id);
    if (!entry)
        return false;
    if (list->users.count > count)
        list->queue[(list->head + count) % list->users.limit] = user_id;
    if (upto > entry->seq)
        entry->seq = upto;
    return true;
}

void worklist_set_long(struct worklist *list, uint32_t user_id)
{
    struct user_entry *entry = user_map_find(&list->users, user_id);
    if (entry)
        entry->count = 1;
}

bool worklist_first_is_long(const struct worklist *list)
{
    return list->users.count > 0 && user_map_find(&list->users, list->queue[list->head])->count != 0;
}

bool worklist_take(struct worklist *list, struct work *work)
{
    if (list->users.count == 0)
        return false;
    uint32_t user_id = list->queue[list->head];
    const struct user_entry *entry = user_map_find(&list->users, user_id);
    *work = (struct work){.user_id = user_id, .is_long = entry->count != 0, .upto = entry->seq};
    user_map_remove(&list->users, user_id);
    list->head = (list->head + 1) % list->users.limit;
    return true;
}
