/* SPDX-License-Identifier: MIT */
/* The commit group of a process: changes that wait together share a transaction.
 *
 * A thread with a change that finds no leader leads: it takes what waits, in order of arrival, commits it,
 * hands each change its own outcome and the leadership to the first of those that have come meanwhile. No
 * change waits for company: one by itself is a group of one. (Group commit, as databases do it for their
 * logs.) */
#ifndef CARILLON_STORE_GROUP_H
#define CARILLON_STORE_GROUP_H

#include "fcgi-api/store/change.h"

struct commit_group; /* opaque */

#define GROUP_MAX 32 /* changes in one transaction */

/* `committed` is called by the leader: see store_new_shared(). The group takes the store: its connection,
 * which waits for no lock. */
struct commit_group *commit_group_new(struct store *store, store_committed *committed, void *context);
void commit_group_free(struct commit_group **group);

/* Commits the change with those that wait, or by itself, on a connection of `shared`, when it cannot have at
 * once what it needs. Returns when it has been committed or refused, not later than about its deadline. */
MUST_CHECK enum err commit_group_run(struct commit_group *group, struct store *shared, struct change *change);

#endif
