/* SPDX-License-Identifier: MIT */
/* What makes the load: requests over a number of slots, one at a time each. */
#ifndef CARILLON_BENCH_TRIGGER_H
#define CARILLON_BENCH_TRIGGER_H

#include "bench/loop.h"

enum trigger_kind {
    TRIGGER_PATCH, /* PATCH /tasks/ID with a new content */
    TRIGGER_GET,   /* GET /tasks/ID */
    TRIGGER_POST,  /* POST ?id=USER, nchan's way to publish */
    TRIGGER_MQTT,  /* publish to users/USER, quality 1 */
};

/* status: of HTTP, 200 for MQTT, 0 when there was no answer. */
typedef void trigger_done(unsigned slot, uint32_t event, int status);

/* The MQTT one needs the loop to run until trigger_ready(). */
void trigger_init(enum trigger_kind which, const struct address *to, unsigned count, trigger_done *tell);
bool trigger_ready(void);

/* The slot is free until then, and again from its trigger_done on. */
void trigger_send(unsigned number, uint32_t event, uint32_t task, uint32_t user, const char *content);

#endif
