/* SPDX-License-Identifier: MIT */
/* Who has something to publish, and up to which event: each user once, first come first served. Bounded:
 * whom it does not hold is found again by the sweeper. */
#ifndef CARILLON_PUBLISHER_WORKLIST_H
#define CARILLON_PUBLISHER_WORKLIST_H

#include "fcgi-api/publisher/user_map.h"

struct work {
    uint32_t user_id;
    bool is_long; /* as worklist_set_long() said */
    uint64_t upto;
};

struct worklist {
    struct user_map users; /* seq: up to which event */
    uint32_t *queue;       /* `limit` places, in a ring */
    size_t head;
};

void worklist_init(struct worklist *list, size_t limit);
void worklist_free(struct worklist *list);
void worklist_clear(struct worklist *list);

/* Adds the user at the end, or raises his number where he stands. False: it is full. */
bool worklist_add(struct worklist *list, uint32_t user_id, uint64_t upto);

/* The user, who is in the list, has more than others should wait for. */
void worklist_set_long(struct worklist *list, uint32_t user_id);

/* Is the first one, if any, like that? */
bool worklist_first_is_long(const struct worklist *list);

/* Takes the first. False: there is none. */
bool worklist_take(struct worklist *list, struct work *work);

static inline size_t worklist_count(const struct worklist *list)
{
    return list->users.count;
}

#endif
