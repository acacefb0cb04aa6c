/* One bound for what the notifier keeps: recent events, queues, sockets. Each queue and the ring have a bound
 * of their own; this one holds when many of them are large at once.
 *
 * When it is reached the oldest recent events go first: who would have needed them is told when he comes
 * back. A quarter of the bound is left to them. Then those sockets are closed for which most waits,
 * CLOSE_TOO_SLOW: they come back with their cursor. Only then goes what is left of the recent events. */
#ifndef CARILLON_MEMORY_H
#define CARILLON_MEMORY_H

#include <stddef.h>

#include "common/metrics.h"
#include "ws-notifier/client.h"
#include "ws-notifier/feed.h"

struct memory; /* opaque */

/* Feed, clients' rules and metrics must outlive it. */
struct memory *memory_new(size_t max_bytes, struct feed *feed, struct client_rules *rules,
                          struct metrics *metrics);
void memory_free(struct memory **memory);

size_t memory_taken(const struct memory *memory);

/* Brings what is kept below the bound. Call it after anything was added; it costs nothing while there is
 * room. */
void memory_relieve(struct memory *memory);

#endif
