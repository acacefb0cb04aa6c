/* What the publisher's files share: the thread's own state.
 *
 *   publisher.c        the thread: start, hints, loop, stop
 *   link.c   the broker connection: connect, what it tells us, lose it
 *   heal.c   between a new connection and its first event: what the broker may have lost
 *   drain.c  outbox -> broker, and out of the outbox when confirmed
 *   sweep.c  what one process does for all: forgotten events, gauges, purging
 *   keep.c   for how long what was confirmed is kept
 *
 * and, without I/O:  worklist.h (who has something), pace.h (when it is sent), flight.h (what is under way),
 *   retention.h (what time it is for purging)
 */
#ifndef CARILLON_PUBLISHER_INTERNAL_H
#define CARILLON_PUBLISHER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/amqp/link.h"
#include "common/backoff.h"
#include "fcgi-api/api_metrics.h"
#include "fcgi-api/publisher/flight.h"
#include "fcgi-api/publisher/health.h"
#include "fcgi-api/publisher/pace.h"
#include "fcgi-api/publisher/pool.h"
#include "fcgi-api/publisher/publisher.h"
#include "fcgi-api/publisher/retention.h"
#include "fcgi-api/publisher/worklist.h"
#include "fcgi-api/store/store.h"

/* Up to when the purge has come, by its own time: a note in the database. */
#define PURGE_NOTE "purge_at"

#define DB_PAUSE_MS     300 /* after the database could not be reached */
#define PUBLISHER_HINTS 64  /* at once */

enum link_state {
    LINK_DOWN,
    LINK_UNHEALED, /* connected, nothing published yet */
    LINK_READY,
};

/* Between a new connection and its first event. */
struct healing {
    int64_t next_at; /* when to go on, monotonic ms */
    bool locked;     /* nobody else is at it */
    bool probed;
    bool marked; /* the stream is the one we know */
    bool noted;  /* somebody has been through this since the broker was started */
    bool decided;
    bool needed; /* `refill` is to be done */
    struct outbox_refill refill;
};

#define KEEP_MARKS 16

/* Until when events that the broker has confirmed are kept, see keep.c. */
struct keeping {
    struct {
        uint64_t end; /* of what was kept ... */
        int64_t at;   /* ... then */
    } marks[KEEP_MARKS];
    size_t first, count; /* in a ring */
    uint64_t forget;     /* all before this end is to go */
};

/* Moments are monotonic ms. */
struct publisher {
    const struct config *config;
    struct metrics *metrics;
    struct store *store;
    pthread_t thread;

    struct pool *pool;

    /* shared with the request's thread */
    atomic_bool waiting; /* for our turn */
    atomic_bool stopping;
    atomic_bool ended; /* the thread: it is to be joined */
    _Atomic int64_t stop_at;

    /* the connection */
    struct amqp_link *link;
    enum link_state state;
    struct backoff backoff;
    int64_t retry_at;
    bool complained;  /* that there is none */
    bool blocked;     /* the broker asked to wait */
    bool no_room;     /* the socket takes nothing more now */
    bool passed_over; /* later messages than awaited_tag have their confirm */
    struct healing healing;
    char epoch[CURSOR_EPOCH_MAX + 1]; /* as announced on this connection */
    uint64_t life;                    /* the broker's, as store_broker_life() counts */
    uint64_t controls;                /* control messages sent */
    int64_t alive_at;                 /* the last beacon that was confirmed was sent then */
    uint64_t awaited_tag;             /* the oldest message without a confirm */
    int64_t awaited_since;            /* it has been that, and `passed_over` as it is */

    /* what is being published */
    bool hints_closed;                       /* we leave */
    struct pool_hint hints[PUBLISHER_HINTS]; /* as read from the pipe */
    struct worklist todo;
    struct outbox_batch batch; /* from batch_next on still to send */
    size_t batch_next;
    struct outbox_range ranges[OUTBOX_USERS_MAX]; /* what was read for it */
    size_t range_count;
    struct pace pace;
    struct flight flight;
    int64_t delete_at;
    int64_t db_retry_at;

    /* what one process does for all */
    int64_t sweep_at, beacon_at, purge_at;
    struct retention retention;
    struct keeping keeping;
};

/* ---- link.c -------------------------------------------------------------------------------------- */

/* Connects when it is time, reads what the broker has to say. */
void publisher_link_step(struct publisher *publisher);
/* The one way a connection ends: the reason is logged once, everything under way is forgotten; it is still
 * in the outbox. */
void publisher_link_drop(struct publisher *publisher, const char *reason);
void publisher_link_ready(struct publisher *publisher);
/* Tells readers the database's epoch, as it is now: they take events of no other. False: not now. */
bool publisher_send_beacon(struct publisher *publisher);

/* ---- heal.c -------------------------------------------------------------------------------------- */

void publisher_heal_begin(struct publisher *publisher);
void publisher_heal_step(struct publisher *publisher);
void publisher_heal_abandon(struct publisher *publisher); /* the connection is gone */

/* ---- drain.c ------------------------------------------------------------------------------------- */

void publisher_drain(struct publisher *publisher);
/* Sends the event that came with its hint, when nothing of its user is missing before it. False: it is to be
 * read from the outbox. */
bool publisher_send_hinted(struct publisher *publisher, struct pool_hint *hint);
void publisher_on_confirm(struct publisher *publisher, uint64_t tag, bool multiple);
void publisher_delete_confirmed(struct publisher *publisher);
void publisher_forget_batch(struct publisher *publisher);

/* Many come: what is there waits until pace_next() for what comes meanwhile. */
bool publisher_gathers(const struct publisher *publisher);
/* Could an event be sent now, if there is one? */
bool publisher_may_send(const struct publisher *publisher);
/* Is there anything left of what was hinted? */
bool publisher_idle(const struct publisher *publisher);

/* ---- keep.c -------------------------------------------------------------------------------------- */

void publisher_forget_kept(struct publisher *publisher);

/* ---- sweep.c ------------------------------------------------------------------------------------- */

void publisher_sweep(struct publisher *publisher);
/* All that is in the outbox, at once: whose hints these were may be dead. */
void publisher_catch_up(struct publisher *publisher);

#endif
