/* SPDX-License-Identifier: MIT */
/* One bound for what the notifier keeps: recent events, queues, sockets. Each queue and the ring have a bound
 * of their own; this one holds when many of them are large at once.
 *
 * Half of it is for sockets and subscriptions: the settings must agree with that (memory_check()), and where
 * it is full, a further subscription is refused; existing ones stay. A sixteenth is for messages that
 * have come in part.
 *
 * When the bound is reached the oldest recent events go first: a client that would have needed them is told
 * when it comes back. A quarter of the bound is left to them. Then the sockets with the longest
 * queues are closed (CLOSE_TOO_SLOW), down to a quarter: they come back with their cursor. Only then the rest
 * of the recent events goes. */
#ifndef CARILLON_MEMORY_H
#define CARILLON_MEMORY_H

#include <stddef.h>

#include "common/config.h"
#include "common/err.h"
#include "common/metrics.h"
#include "ws-notifier/client.h"
#include "ws-notifier/feed.h"

struct memory; /* opaque */

/* Whether WS_MAX_CLIENTS sockets have room. ERR_INVALID: *why (size bytes) tells. */
MUST_CHECK enum err memory_check(const struct config *config, char *why, size_t size);
/* How many subscriptions have, besides them. */
size_t memory_for_subscriptions(const struct config *config);
size_t memory_for_unfinished(const struct config *config); /* bytes */

/* Feed, clients' rules and metrics must outlive it. */
struct memory *memory_new(size_t max_bytes, struct feed *feed, struct client_rules *rules,
                          struct metrics *metrics);
void memory_free(struct memory **memory);

size_t memory_taken(const struct memory *memory);

/* Brings what is kept below the bound. Call it after anything was added; it costs nothing while there is
 * room. */
void memory_relieve(struct memory *memory);

#endif
