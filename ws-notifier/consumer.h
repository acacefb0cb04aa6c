/* SPDX-License-Identifier: MIT */
/* The way from the broker: keeps a link to it, reads the stream on the event loop and feeds it to the feed;
 * after an outage it goes on where it was. */
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

/* Starts to connect; from then on it does so by itself, for ever. */
void consumer_start(struct consumer *consumer);

/* Lets go of the broker. The loop must run on until everything it holds is closed. */
void consumer_stop(struct consumer *consumer);
void consumer_free(struct consumer **consumer); /* after the loop has ended */

#endif
