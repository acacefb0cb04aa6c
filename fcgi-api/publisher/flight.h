/* SPDX-License-Identifier: MIT */
/* The messages in flight: sent on this broker connection and still in the outbox, because they wait for their
 * confirm, or are confirmed and wait to be deleted. No I/O.
 *
 * While an event of a user is in here, the next read of that user's outbox begins after the highest one, so
 * nothing is sent twice on one connection. When none is left, it begins at the lowest row again. */
#ifndef CARILLON_PUBLISHER_FLIGHT_H
#define CARILLON_PUBLISHER_FLIGHT_H

#include "common/event.h"
#include "common/trace.h"
#include "fcgi-api/publisher/user_map.h"
#include "fcgi-api/store/store.h"

#define FLIGHT_EVENTS_MAX 4096
#define FLIGHT_USERS_MAX  16384  /* whose last sent event is known */
#define FLIGHT_BYTES_MAX  524288 /* unconfirmed: a broker that stops reading may leave as much unsent */

struct flight_event {
    struct event_meta meta; /* user_id 0: a control message */
    int64_t queued_at_ms;
    size_t bytes;
    bool confirmed;             /* or refused */
    bool again;                 /* sent a second time, into the stream alone */
    char span_id[SPAN_ID_SIZE]; /* of its publication; "": not traced */
};

struct flight {
    struct flight_event *events; /* FLIGHT_EVENTS_MAX places in a ring, one for each tag */
    uint64_t first_tag;          /* the oldest unconfirmed one, or the next to be sent */
    uint64_t next_tag;
    uint64_t last_confirmed;   /* the highest */
    size_t bytes;              /* unconfirmed */
    struct outbox_key *landed; /* confirmed, to be deleted: FLIGHT_EVENTS_MAX places */
    size_t landed_count;
    struct outbox_key *refused; /* to be sent again: FLIGHT_EVENTS_MAX places */
    size_t refused_count;
    struct user_map users; /* of the events above; seq: the highest, count: how many */
    struct user_map sent;  /* seq: the highest that was sent, whether in flight or not */
    char epoch[CURSOR_EPOCH_MAX + 1];
};

void flight_init(struct flight *flight);
void flight_free(struct flight *flight);
void flight_clear(struct flight *flight); /* a new connection: tags begin at 1 again */

bool flight_has_room(const struct flight *flight, size_t bytes);
size_t flight_unconfirmed(const struct flight *flight);
/* A later message than the oldest unconfirmed one has been confirmed. */
bool flight_passed_over(const struct flight *flight);

/* The message with that tag has been sent; tags come without a gap. Only after flight_has_room(). */
void flight_sent(struct flight *flight, uint64_t tag, const struct event_meta *meta, int64_t queued_at_ms,
                 size_t bytes);

/* The same for an event that was refused and so has a place; only after flight_has_room_again(). */
bool flight_has_room_again(const struct flight *flight, size_t bytes);
void flight_sent_again(struct flight *flight, uint64_t tag, const struct event_meta *meta,
                       int64_t queued_at_ms, size_t bytes);

/* The broker has refused the tag (`multiple`: and all unconfirmed tags before it); they are in `refused` now.
 * False: one of them was no event, or was refused before. */
bool flight_refuse(struct flight *flight, uint64_t tag, bool multiple);
/* The first `count` of `refused` have been dealt with: sent again, or landed. */
void flight_unrefuse(struct flight *flight, size_t count);
/* A refused event that has left the outbox already. */
void flight_land(struct flight *flight, const struct outbox_key *event);

/* Where an event stands among what was sent on this connection. */
enum flight_place {
    FLIGHT_SENT,    /* this event was sent, or a later one of its user */
    FLIGHT_NEXT,    /* its predecessor was sent, so nothing before it is missing in the stream */
    FLIGHT_UNKNOWN, /* others may have to be sent before it */
};
enum flight_place flight_place(const struct flight *flight, const struct event_meta *meta);

/* The message that was sent last is traced, with that id. */
void flight_trace(struct flight *flight, const char *span_id);

/* 0: no event of the user is in flight. */
uint64_t flight_highest(const struct flight *flight, uint32_t user_id);

typedef void flight_visit(void *context, const struct flight_event *event);

/* The broker has confirmed the tag (`multiple`: and all before it). Visits each event that was not
 * confirmed before; they are to be deleted now. A tag that was never sent is ignored. */
void flight_confirm(struct flight *flight, uint64_t tag, bool multiple, flight_visit *visit, void *context);

/* The first `count` of `landed` have been deleted. */
void flight_deleted(struct flight *flight, size_t count);

#endif
