/* SPDX-License-Identifier: MIT */
/* Reads the stream: keeps a link to the broker, reads on the event loop and hands each message to the feed;
 * after an outage it goes on from its place. */
#ifndef CARILLON_CONSUMER_H
#define CARILLON_CONSUMER_H

#include <uv.h>

#include "common/config.h"
#include "common/metrics.h"
#include "ws-notifier/feed.h"
#include "ws-notifier/reception.h"

struct consumer; /* opaque */

struct consumer *consumer_new(uv_loop_t *loop, const struct config *config, struct feed *feed,
                              struct reception *reception, struct metrics *metrics);

/* Starts to connect; from then on the consumer reconnects by itself. */
void consumer_start(struct consumer *consumer);

/* Closes the link. The loop must run on until everything that the consumer holds is closed. */
void consumer_stop(struct consumer *consumer);
void consumer_free(struct consumer **consumer); /* after the loop has ended */

#endif
