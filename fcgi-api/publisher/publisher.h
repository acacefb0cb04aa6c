/* SPDX-License-Identifier: MIT */
/* The publisher thread: sends events from the outbox to RabbitMQ.
 *
 * Each worker has one, and one of the pool is at work at a time; when its worker dies or stops, another takes
 * over at once. It has its own database connection and its own AMQP link. The request path only leaves a hint
 * and never waits. publisher.c explains the prefix rule. */
#ifndef CARILLON_PUBLISHER_H
#define CARILLON_PUBLISHER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "common/metrics.h"
#include "fcgi-api/publisher/pool.h"
#include "fcgi-api/store/store.h"

struct publisher; /* opaque */

/* Starts the thread. Database and broker may both be away. config, metrics and pool must outlive it.
 * ERR_SYSTEM: no thread could be made. */
MUST_CHECK enum err publisher_start(const struct config *config, struct metrics *metrics, struct pool *pool,
                                    struct publisher **out);

/* Call it from the request's thread, after the event's commit has returned. Never blocks, never fails: the
 * sweeper finds an event whose hint does not fit in the pool's pipe. */
void publisher_hint(struct publisher *publisher, const struct outbox_event *event);

/* From any thread: asks the pool's publisher to look now for ended sessions (ends.c). */
void publisher_wake(struct publisher *publisher);

/* Has the thread, if it is the one at work, publish all events hinted so far; waits at most deadline_ms, then
 * ends the thread and frees. pool_close() then lets the next worker publish. */
void publisher_stop(struct publisher **publisher, int deadline_ms);

#endif
