/* SPDX-License-Identifier: MIT */
/* What a pool knows of its database and its broker beyond that they answer: whether a write works, whether
 * events leave. The publisher at work finds out and notes it in the pool's metrics; every worker reads it
 * there (/readyz). */
#ifndef CARILLON_PUBLISHER_HEALTH_H
#define CARILLON_PUBLISHER_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/metrics.h"

/* A beacon goes through the stream every ten seconds. */
#define HEALTH_SILENT_MS 30000
/* An event that has waited longer does not leave, whatever the broker says of itself. */
#define HEALTH_LEAVES_MS 30000

/* A refused write says nothing of those that could be tried now after so long (store/group.c notes it). */
#define HEALTH_REFUSED_MS 30000

enum broker_health {
    BROKER_DOWN,    /* no connection */
    BROKER_BLOCKED, /* connected, and under an alarm (memory, disk): takes no messages */
    BROKER_SILENT,  /* connected, and confirms nothing */
    BROKER_UP,
};

/* From the publisher at work. now_ms is monotonic. */
void health_connected(struct metrics *metrics, bool connected, int64_t now_ms);
void health_blocked(struct metrics *metrics, bool blocked);
void health_confirmed(struct metrics *metrics, int64_t now_ms);

/* From anywhere. */
enum broker_health health_broker(const struct metrics *metrics, int64_t now_ms);
const char *health_broker_word(enum broker_health health); /* "up", "down", "blocked", "silent" */
bool health_events_leave(const struct metrics *metrics, int64_t now_ms);
bool health_writes_refused(const struct metrics *metrics, int64_t now_ms);

#endif
