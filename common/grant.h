/* SPDX-License-Identifier: MIT */
/* Whose things a request or a socket may touch: everyone's, or those of one user and of the groups its token
 * lists. A group is a user id that several bearers share. An all-zero grant covers no user. */
#ifndef CARILLON_GRANT_H
#define CARILLON_GRANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRANT_GROUPS_MAX 64

struct grant {
    uint32_t user_id; /* the bearer; 0: none, as while the service is open */
    bool everyone;
    uint32_t group_count;
    uint32_t groups[GRANT_GROUPS_MAX]; /* in ascending order, each once, without user_id */
};

#define GRANT_EVERYONE ((struct grant){.everyone = true})

static inline bool grant_lists(const uint32_t *groups, size_t count, uint32_t user_id)
{
    for (size_t i = 0; i < count && groups[i] <= user_id; i++)
        if (groups[i] == user_id)
            return true;
    return false;
}

static inline bool grant_covers(const struct grant *grant, uint32_t user_id)
{
    return grant->everyone || grant->user_id == user_id ||
           grant_lists(grant->groups, grant->group_count, user_id);
}

#endif
