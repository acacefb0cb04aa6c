/* SPDX-License-Identifier: MIT */
/* Makes the load: requests over a number of slots, each with one request at a time. */
#ifndef CARILLON_BENCH_TRIGGER_H
#define CARILLON_BENCH_TRIGGER_H

#include "bench/loop.h"

enum trigger_kind {
    TRIGGER_PATCH, /* PATCH /tasks/ID with a new content */
    TRIGGER_GET,   /* GET /tasks/ID */
    TRIGGER_POST,  /* POST ?id=USER, nchan's way to publish */
    TRIGGER_MQTT,  /* publish to users/USER, quality 1 */
};

/* status: that of HTTP, 200 for MQTT, 0 without an answer. */
typedef void trigger_done(unsigned slot, uint32_t event, int status);

/* With MQTT, run the loop until trigger_ready(). */
void trigger_init(enum trigger_kind which, const struct address *to, unsigned count, trigger_done *tell);
bool trigger_ready(void);

/* The slot is free before this call, and again from its trigger_done on. */
void trigger_send(unsigned number, uint32_t event, uint32_t task, uint32_t user, const char *content);

#endif
