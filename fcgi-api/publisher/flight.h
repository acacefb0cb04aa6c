/* SPDX-License-Identifier: MIT */
/* What has been sent on this broker connection and is not out of the outbox yet: waiting for its confirm,
 * or confirmed and waiting to be deleted. No I/O.
 *
 * As long as an event of a user is in here, the next read of his outbox begins after his highest one, so
 * nothing is sent twice on one connection; when none is left it begins at the lowest row again. */
#ifndef CARILLON_PUBLISHER_FLIGHT_H
#define CARILLON_PUBLISHER_FLIGHT_H

#include "common/event.h"
#include "fcgi-api/publisher/user_map.h"
#include "fcgi-api/store/store.h"

#define FLIGHT_EVENTS_MAX 4096
#define FLIGHT_USERS_MAX  16384  /* of whom it is known what was sent last */
#define FLIGHT_BYTES_MAX  524288 /* unconfirmed: what a broker that stops reading may leave unsent */

struct flight_event {
    struct event_meta meta; /* user_id 0: a control message */
    int64_t queued_at_ms;
    size_t bytes;
    bool confirmed; /* or refused */
    bool again;     /* sent for the second time, into the stream alone */
};

struct flight {
    struct flight_event *events; /* FLIGHT_EVENTS_MAX places in a ring, one a tag */
    uint64_t first_tag;          /* the oldest that is not confirmed, or the next to be sent */
    uint64_t next_tag;
    uint64_t last_confirmed;   /* the highest */
    size_t bytes;              /* unconfirmed */
    struct outbox_key *landed; /* confirmed, to be deleted: FLIGHT_EVENTS_MAX places */
    size_t landed_count;
    struct outbox_key *refused; /* to be sent again: FLIGHT_EVENTS_MAX places */
    size_t refused_count;
    struct user_map users; /* seq: the highest, count: how many, of those above */
    struct user_map sent;  /* seq: the highest that was sent, in flight or not any more */
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

/* The same for one that was refused before, and so has its place; only after flight_has_room_again(). */
bool flight_has_room_again(const struct flight *flight, size_t bytes);
void flight_sent_again(struct flight *flight, uint64_t tag, const struct event_meta *meta,
                       int64_t queued_at_ms, size_t bytes);

/* The broker has not taken the tag (`multiple`: nor what is unconfirmed before it): they are in `refused`
 * now. False: one of them was no event, or had been refused before. */
bool flight_refuse(struct flight *flight, uint64_t tag, bool multiple);
/* The first `count` of `refused` have been seen to: sent again, or landed. */
void flight_unrefuse(struct flight *flight, size_t count);
/* A refused one that is out of the outbox already. */
void flight_land(struct flight *flight, const struct outbox_key *event);

/* Where an event stands among what was sent on this connection. */
enum flight_place {
    FLIGHT_SENT,    /* it was, or a later one of its user */
    FLIGHT_NEXT,    /* the one before it was, so nothing before it is missing in the stream */
    FLIGHT_UNKNOWN, /* there may be others to be sent before it */
};
enum flight_place flight_place(const struct flight *flight, const struct event_meta *meta);

/* 0: none of the user's is here. */
uint64_t flight_highest(const struct flight *flight, uint32_t user_id);

typedef void flight_visit(void *context, const struct flight_event *event);

/* The broker has confirmed the tag (`multiple`: and all before it). Visits each event that was not
 * confirmed before; they are to be deleted now. A tag that was never sent is ignored. */
void flight_confirm(struct flight *flight, uint64_t tag, bool multiple, flight_visit *visit, void *context);

/* The first `count` of `landed` have been deleted. */
void flight_deleted(struct flight *flight, size_t count);

#endif
