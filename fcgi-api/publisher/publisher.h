/* SPDX-License-Identifier: MIT */
/* The publisher thread: carries events from the outbox to RabbitMQ.
 *
 * Each worker has one, and one of the pool's is at work at a time; when its worker dies or leaves, another
 * takes over at once. It has its own database connection and its own AMQP link; the request path only leaves
 * a hint and never waits. The prefix rule is explained in publisher.c. */
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

/* Starts the thread. Database and broker may both be away. config, metrics and pool outlive it.
 * ERR_SYSTEM: no thread could be made. */
MUST_CHECK enum err publisher_start(const struct config *config, struct metrics *metrics, struct pool *pool,
                                    struct publisher **out);

/* From the request's thread, after the event's commit has returned. Never blocks, never fails: what does not
 * fit in the pool's pipe is found by the sweeper. */
void publisher_hint(struct publisher *publisher, const struct outbox_event *event);

/* From any thread: the pool's publisher is to look now at what there is besides events (ends.c). */
void publisher_wake(struct publisher *publisher);

/* Tells the thread, when it is the one at work, to publish what was hinted so far; waits at most deadline_ms,
 * ends it and frees. pool_close() then lets the next one work. */
void publisher_stop(struct publisher **publisher, int deadline_ms);

#endif
