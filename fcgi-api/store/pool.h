/* SPDX-License-Identifier: MIT */
/* The connections that the request threads of a process share. A thread has one for as long as a unit of work
 * takes; the one that was given back last is taken first, so few are used as long as few are enough. Their
 * number also bounds how many reads the database does at a time: more would only compete for its
 * processors. */
#ifndef CARILLON_STORE_POOL_H
#define CARILLON_STORE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;
struct store_pool; /* opaque */

/* Takes the stores: `count` of them, one connection each. */
struct store_pool *store_pool_new(struct store *const *stores, size_t count);
void store_pool_free(struct store_pool **pool);

/* Waits until one is free, at most until the deadline (monotonic ms); NULL: none was. One that is connected
 * is preferred. With `connected`, only such a one is waited for: another connection cannot be had now. */
struct store *store_pool_take(struct store_pool *pool, int64_t deadline, bool connected);
void store_pool_give(struct store_pool *pool, struct store *store);

/* Whether any of them is connected, also one that is taken. */
bool store_pool_connected(struct store_pool *pool);

#endif
