/* SPDX-License-Identifier: MIT */
/* The users with something to publish, and up to which event: each user once, first come first served.
 * Bounded: the sweeper finds users that did not fit. */
#ifndef CARILLON_PUBLISHER_WORKLIST_H
#define CARILLON_PUBLISHER_WORKLIST_H

#include "fcgi-api/publisher/user_map.h"

struct work {
    uint32_t user_id;
    bool is_long; /* set by worklist_set_long() */
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

/* Adds the user at the end, or raises the number of a user that is in the list. False: it is full. */
bool worklist_add(struct worklist *list, uint32_t user_id, uint64_t upto);

/* The user, which must be in the list, has a backlog that others should not wait for. */
void worklist_set_long(struct worklist *list, uint32_t user_id);

/* Whether the first user, if any, has such a backlog. */
bool worklist_first_is_long(const struct worklist *list);

/* Takes the first user. False: there is none. */
bool worklist_take(struct worklist *list, struct work *work);

static inline size_t worklist_count(const struct worklist *list)
{
    return list->users.count;
}

#endif
