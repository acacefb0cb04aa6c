/* SPDX-License-Identifier: MIT */
/* Turns the stream's messages into what browsers get: tells the kinds of messages apart (event, another
 * program's, marker, beacon, invalid), decides which events are believed, and has them delivered
 * (delivery.h). Knows how far the stream has been read, and which cursors can be judged because of it.
 *
 * The consumer feeds it; the reception asks it. No I/O here. */
#ifndef CARILLON_FEED_H
#define CARILLON_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/amqp/link.h"
#include "common/config.h"
#include "common/cursor.h"
#include "common/metrics.h"
#include "ws-notifier/hub.h"
#include "ws-notifier/ring.h"

struct feed; /* opaque */

struct feed *feed_new(const struct config *config, struct hub *hub, struct metrics *metrics);
void feed_free(struct feed **feed);

/* From now on tokens are wanted. */
void feed_guard(struct feed *feed);

/* How far back the stream must be read, in seconds: to fill the ring and to know from when on it is full,
 * and, where tokens are wanted, to get all of the API's messages about ended sessions. */
int64_t feed_history_s(const struct feed *feed);

/* The stream is read from now on: right after the place where reading ended (`resumed`), or from
 * feed_history_s() back. In the second case it may be another stream, or one that lost its end, or one whose
 * beginning the broker has dropped: the ring then claims only what follows. */
void feed_connected(struct feed *feed, bool resumed);
void feed_disconnected(struct feed *feed);

/* `grown` is called after each event that was added; NULL: no call. */
void feed_on_growth(struct feed *feed, void (*grown)(void *context), void *context);

/* Takes one message. A message that cannot be understood is logged and skipped. */
void feed_take(struct feed *feed, const struct amqp_delivery *delivery);

/* The same for a message with an offset that was taken before. It can be another message now, because a
 * broker that ended uncleanly can have lost the end of the stream. An event that is known changes nothing;
 * another program's message is not delivered, because it has no number that would tell whether it was. */
void feed_take_again(struct feed *feed, const struct amqp_delivery *delivery);

/* All that reached the stream before `marker_s` has been taken, and nothing is left to read. */
void feed_caught_up(struct feed *feed, int64_t marker_s);

bool feed_broker_up(const struct feed *feed);
bool feed_is_caught_up(const struct feed *feed);
const char *feed_epoch(const struct feed *feed); /* "" while unknown */

/* Whether cursors can be judged, and given: caught up, and the epoch and the time that they carry are known.
 */
bool feed_ready(const struct feed *feed);

/* The stream's time, in seconds, by which events, the ring and cursors are compared. It is the wall clock,
 * but never goes back: it stands still until a clock that was set back has caught up. */
int64_t feed_now_s(const struct feed *feed);

/* The cursor of a client that has everything of this user up to seq, as of now. */
struct cursor feed_cursor(const struct feed *feed, uint32_t user_id, uint64_t seq);

/* Where several nodes share the journal: the stream lacks too much of what is in it (WS_STALE_S), and clients
 * had better go to another node. */
bool feed_is_stale(const struct feed *feed);
/* For how long it lacks what was committed; -1: that is not told, or not known. */
int64_t feed_behind_ms(const struct feed *feed);
/* Whether all clients are to be sent away because of it now. Ask about once a second. */
bool feed_sends_away(struct feed *feed);

const struct ring *feed_ring(const struct feed *feed);

/* Drops the ring's oldest event before its time. False: there is none. */
bool feed_forget_oldest(struct feed *feed);

/* Drops events that are too old, and updates the ring's metrics. Call it about once a second. */
void feed_tick(struct feed *feed);

#endif
