/* SPDX-License-Identifier: MIT */
/* Delivers each user's events in the order of their numbers: puts them into the ring and gives them to the
 * hub. An event that came before its predecessor is held for a while. There is one epoch at a time.
 *
 * The feed decides which of the stream's messages are events, and calls. No I/O here. */
#ifndef CARILLON_DELIVERY_H
#define CARILLON_DELIVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/metrics.h"
#include "ws-notifier/held.h"
#include "ws-notifier/hub.h"
#include "ws-notifier/ring.h"

struct delivery; /* opaque */

struct delivery *delivery_new(const struct config *config, struct hub *hub, struct metrics *metrics);
void delivery_free(struct delivery **delivery);

/* The time by which events, the ring and cursors are compared: see feed_now_s(). */
int64_t delivery_now_s(const struct delivery *delivery);

/* This time is given to a client: no later one may be earlier. */
void delivery_note_time(struct delivery *delivery, int64_t time_s);

/* Events that reached the stream before begin_s may be missing. _begin() keeps the events that are here;
 * _begin_anew() forgets them. */
void delivery_begin(struct delivery *delivery, int64_t begin_s);
void delivery_begin_anew(struct delivery *delivery, int64_t begin_s);

/* Forgets all events: the numbers of another epoch start anew. When there was an epoch before, each live
 * subscription starts anew with it; `tell` also sends it a reset, which one that heard an event gets in any
 * case. */
void delivery_begin_epoch(struct delivery *delivery, const char *epoch, bool tell);
const char *delivery_epoch(const struct delivery *delivery); /* "" while unknown */

/* Delivers an event of the current epoch, or holds it. `time_s` is when it reached the stream, as ring_add()
 * wants it. False: it was known. */
bool delivery_event(struct delivery *delivery, const struct held_event *event, int64_t time_s);

/* Whether an event of this user is held, and since what time of the stream. */
bool delivery_holds(const struct delivery *delivery, uint32_t user_id, int64_t *since_s);

const struct ring *delivery_ring(const struct delivery *delivery);

/* Drops the ring's oldest event before its time. False: there is none. */
bool delivery_forget_oldest(struct delivery *delivery);

/* Drops events that are too old, delivers those that have been held long enough, and updates the ring's
 * metrics. */
void delivery_tick(struct delivery *delivery);

#endif
