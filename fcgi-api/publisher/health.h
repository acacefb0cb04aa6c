/* SPDX-License-Identifier: MIT */
/* What a pool knows of its database and its broker, beyond that they answer: whether a write succeeds, and
 * whether events leave the outbox. The publisher at work notes it in the pool's metrics; every worker reads
 * it there (/readyz). */
#ifndef CARILLON_PUBLISHER_HEALTH_H
#define CARILLON_PUBLISHER_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/metrics.h"

/* A beacon is sent to the stream every ten seconds. */
#define HEALTH_SILENT_MS 30000
/* When an event has waited longer, events do not leave, whatever state the broker reports. */
#define HEALTH_LEAVES_MS 30000

/* After so long a refused write says nothing about writes of now (store/group.c notes refusals). */
#define HEALTH_REFUSED_MS 30000

enum broker_health {
    BROKER_DOWN,    /* no connection */
    BROKER_BLOCKED, /* it has an alarm (memory, disk): accepts no messages. It may also end a new connection
                     */
    BROKER_SILENT,  /* connected, but confirms nothing */
    BROKER_UP,
};

/* Called by the publisher at work. now_ms is monotonic. What it said of an alarm holds until it says
 * otherwise, on this connection or the next, or cannot be reached. */
void health_connected(struct metrics *metrics, bool connected, int64_t now_ms);
void health_blocked(struct metrics *metrics, bool blocked);
void health_confirmed(struct metrics *metrics, int64_t now_ms);

/* Called from any thread. */
enum broker_health health_broker(const struct metrics *metrics, int64_t now_ms);
const char *health_broker_word(enum broker_health health); /* "up", "down", "blocked", "silent" */
bool health_events_leave(const struct metrics *metrics, int64_t now_ms);
bool health_writes_refused(const struct metrics *metrics, int64_t now_ms);

#endif
