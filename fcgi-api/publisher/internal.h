/* SPDX-License-Identifier: MIT */
/* The state of the publisher's thread, which its files share. Calls point down this list only:
 *
 *   publisher.c  the thread: start, hints, loop, stop; the one place where a connection is given up
 *   turn.c       whose turn it is
 *   link.c       the broker connection: makes it, and returns what the broker says on it
 *   heal.c       between a new connection and its first event: what the broker may have lost
 *   look.h       for heal.c: reads the stream for what it still has
 *   compare.c    whether the database has lost commits: then the data gets a new epoch
 *   sweep.c      what one publisher does for all: events without a hint, the beacon
 *   emitted.c    the same for events of other programs and other nodes, which come without a hint
 *   complete.c   what a node's stream has, where there are several nodes
 *   upkeep.c     the same without a broker: gauges, purging
 *   keep.c       how long confirmed events are kept
 *   drain.c      outbox -> broker, and out of the outbox when confirmed
 *   send.c       one message, at the bottom
 *
 * Without I/O: worklist.h (which users have events), pace.h (when they are sent), flight.h (what is in
 * flight), watermark.h (what has left the outbox), witness.h (what was published last), retention.h (the
 * purge's clock), health.h (what other threads and workers must know).
 *
 * A function that returns enum err returns ERR_CLOSED when the connection can no longer be used; the reason
 * is in `publisher->why`. It has closed nothing: each caller passes the error on, up to publisher.c. */
#ifndef CARILLON_PUBLISHER_INTERNAL_H
#define CARILLON_PUBLISHER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/amqp/link.h"
#include "common/backoff.h"
#include "common/session_ends.h"
#include "fcgi-api/api_metrics.h"
#include "fcgi-api/publisher/flight.h"
#include "fcgi-api/publisher/health.h"
#include "fcgi-api/publisher/pace.h"
#include "fcgi-api/publisher/pool.h"
#include "fcgi-api/publisher/publisher.h"
#include "fcgi-api/publisher/retention.h"
#include "fcgi-api/publisher/watermark.h"
#include "fcgi-api/publisher/witness.h"
#include "fcgi-api/publisher/worklist.h"
#include "fcgi-api/store/store.h"

/* A note in the database: the time up to which the purge has come, by its own clock. */
#define PURGE_NOTE "purge_at"

/* A note in the database: a publisher that knows events of other programs has been at work. */
#define EMITS_NOTE "emits"

#define DB_PAUSE_MS     300  /* after the database could not be reached */
#define PUBLISHER_HINTS 64   /* read at once */
#define TODO_MAX        4096 /* users in the worklist */

enum link_state {
    LINK_DOWN,
    LINK_UNHEALED, /* connected, nothing published yet */
    LINK_READY,
};

/* The connection. Points in time, here and below, are monotonic ms. */
struct link {
    struct amqp_link *amqp; /* NULL: none */
    enum link_state state;
    struct backoff backoff;
    int64_t retry_at;
    bool complained;       /* has logged that there is none, or none that is good */
    bool good;             /* the broker has confirmed something on it */
    bool blocked;          /* the broker asked to wait */
    bool no_room;          /* the socket accepts nothing more now */
    bool passed_over;      /* messages after awaited_tag were confirmed */
    uint64_t awaited_tag;  /* the oldest message without a confirm */
    int64_t awaited_since; /* since when awaited_tag and `passed_over` have not changed */
};

/* Between a new connection and its first event. */
struct healing {
    int64_t next_at; /* when to go on */
    bool locked;     /* we held the lock when last asked: no other publisher heals */
    bool probed;
    bool marked; /* the stream has our mark */
    bool noted;  /* a publisher has healed since the broker was started */
    bool decided;
    bool needed;               /* `refill` must be done */
    char probe[EVENT_ID_SIZE]; /* id of the message that asks whether the stream has our mark */
    int64_t probed_at;
    bool looked; /* the stream was read, or cannot be read */
    bool read;   /* to its end */
    struct {
        int64_t since; /* 0: it does not fail */
        int64_t last_at;
    } failed_looks;    /* also on the connections before */
    struct look *look; /* what was found; NULL: the stream was not read */
    struct outbox_refill refill;
    bool left_marks;
};

/* What has been sent. */
struct sending {
    struct flight flight;
    struct pace pace;
    char epoch[CURSOR_EPOCH_MAX + 1]; /* the one announced on this connection */
    uint64_t controls;                /* control messages sent */
};

/* What must be sent, and taken out of the outbox. */
struct outgoing {
    struct worklist todo;
    struct outbox_batch batch; /* still to be sent from batch_next on */
    size_t batch_next;
    struct outbox_range ranges[OUTBOX_USERS_MAX]; /* the ranges that were read for it */
    size_t range_count;
    int64_t take_out_at;
    int64_t refused_at; /* when a message was last refused; 0: never */
    int64_t alive_at;   /* when the last confirmed beacon was sent */
    bool event_confirmed;
};

/* For how long confirmed events are kept, see keep.c. */
struct keeping {
    uint64_t lived_ms; /* how long the broker has lived, as the database says ... */
    int64_t since;     /* ... since then, on this connection; 0: must be read */
    int64_t beat_ms;   /* until the next beacon */
};

/* What one publisher does for all. */
struct upkeep {
    bool is_ours; /* this publisher holds the sweeper's lock, and has a broker */
    int64_t emitted_at,
        emitted_seen; /* when to look for events of other programs, and when there last were some */
    int64_t sweep_at, beacon_at, note_at, purge_at;
    struct outbox_key oldest; /* the outbox's oldest event ... */
    int64_t oldest_since;     /* ... and since when it has been that one */
    struct retention retention;
    struct keeping keeping;
    unsigned nodes; /* that share the journal; 0: not known */
    struct watermark watermark;
    int64_t complete_at; /* when to look how complete the stream is */
};

/* Ended sessions, and when notifiers are told of them, see ends.c. */
struct ending {
    struct session_ends all, news; /* `news`: read, not sent yet */
    uint64_t last_id;
    int64_t counted; /* API_SESSIONS_ENDED at the last read */
    int64_t look_at, all_at;
    int64_t oldest_s; /* ends from before no longer matter */
    uint32_t told;    /* of the whole list, which goes in pieces: up to this user; 0: none of it */
    char list[SESSION_LIST_MAX + 1]; /* its name */
    bool failed;                     /* at the last attempt */
};

/* Whether the database still has what was published, see compare.c. */
struct comparing {
    struct witness witness; /* what this process has published last */
    unsigned connection;    /* of the database, that was compared; see store_connections() */
    int64_t retry_at;
    int64_t noted_ms; /* the note that this publisher left last; 0: none */
    bool look;        /* the stream is to be compared before anything is published */
    bool succeeds;    /* not, if the publisher that was at work until just now has compared this database */
    bool renewed;     /* there is a new epoch, and what is kept has not gone back yet */
};

struct publisher {
    const struct config *config;
    struct metrics *metrics;
    struct store *store;
    pthread_t thread;
    struct pool *pool;
    bool holds_turn;     /* false: stands in for a holder that does not move ... */
    int64_t holder_seen; /* ... and was last seen then */

    /* shared with the request's thread */
    atomic_bool waiting; /* for the turn */
    atomic_bool stopping;
    atomic_bool ended; /* the thread has ended and must be joined */
    _Atomic int64_t stop_at;

    bool hints_closed;                       /* this worker is stopping */
    struct pool_hint hints[PUBLISHER_HINTS]; /* as read from the pipe */
    int64_t db_retry_at;
    uint64_t life; /* the broker's, as store_broker_life() counts */
    char why[256]; /* the connection is no good any more */

    struct link link;
    struct healing healing;
    struct sending sending;
    struct outgoing outgoing;
    struct upkeep upkeep;
    struct ending ending;
    struct comparing comparing;
};

/* ---- turn.c -------------------------------------------------------------------------------------- */

/* False: the thread is to end. */
bool publisher_wait_for_turn(struct publisher *publisher);
/* Tells the pool that this publisher moves. */
void publisher_show_up(struct publisher *publisher);
/* Of a stand-in: the one that it stands in for moves again, so this one waits again: two cost only work, but
 * should not stay. When that one has died, the stand-in has the turn. */
bool publisher_turn_is_over(struct publisher *publisher);

/* ---- link.c -------------------------------------------------------------------------------------- */

enum link_news {
    LINK_NOTHING, /* for now */
    LINK_UP,      /* there is a connection */
    LINK_EVENT,   /* *event is what the broker says */
    LINK_LOST,    /* publisher->why */
};

/* Connects when it is time, and reads what the broker has to say, one at a time. */
enum link_news publisher_link_next(struct publisher *publisher, struct amqp_event *event);
/* Closes it; the next one is made after a pause that grows until one was good. */
void publisher_link_close(struct publisher *publisher);
void publisher_link_is_good(struct publisher *publisher);
/* Logs, once, that there is no connection, or none that is good. */
void publisher_link_complain(struct publisher *publisher, const char *what, const char *reason);

/* ---- heal.c -------------------------------------------------------------------------------------- */

enum heal_state {
    HEAL_WAITS, /* until healing.next_at */
    HEAL_DONE,  /* events may be published */
    HEAL_LOST,  /* publisher->why */
};

void publisher_heal_begin(struct publisher *publisher);
enum heal_state publisher_heal_step(struct publisher *publisher);
void publisher_heal_abandon(struct publisher *publisher); /* the connection is gone */

/* ---- compare.c ----------------------------------------------------------------------------------- */

/* ERR_STALE: commits are lost, or the data has a new epoch for another reason: this connection must be given
 * up. ERR_UNAVAILABLE: the database does not tell now. */
MUST_CHECK enum err publisher_compare_with(struct publisher *publisher, const struct witness *witness);
/* Whether the stream is to be compared on a new connection to the broker: in `comparing.look`. */
MUST_CHECK enum err publisher_decide_to_look(struct publisher *publisher);
/* From how many seconds ago on the stream is to be compared. */
MUST_CHECK enum err publisher_compared_since(struct publisher *publisher, int64_t *since_s);
/* Leaves the note that up to now they agree. */
MUST_CHECK enum err publisher_note_compared(struct publisher *publisher);
/* Compares when the database connection is a new one. */
MUST_CHECK enum err publisher_compare(struct publisher *publisher);
/* When it is time; INT64_MAX: not now. */
int64_t publisher_compare_time(const struct publisher *publisher);

/* ---- sweep.c ------------------------------------------------------------------------------------- */

MUST_CHECK enum err publisher_sweep(struct publisher *publisher);
/* Takes on the whole outbox at once: the workers that left these hints may be dead. */
void publisher_catch_up(struct publisher *publisher);

/* ---- emitted.c ----------------------------------------------------------------------------------- */

/* Looks when it is time. */
void publisher_find_emitted(struct publisher *publisher);
/* When it is time; INT64_MAX: not now. */
int64_t publisher_emitted_time(const struct publisher *publisher);

/* ---- complete.c ---------------------------------------------------------------------------------- */

/* How many nodes there are, which beacons depend on. */
MUST_CHECK enum err publisher_count_nodes(struct publisher *publisher);
/* Where there are several: says, when it is time, what the stream has. */
MUST_CHECK enum err publisher_say_complete(struct publisher *publisher);
/* When it is time; INT64_MAX: not now. */
int64_t publisher_complete_time(const struct publisher *publisher);

/* ---- upkeep.c, keep.c ---------------------------------------------------------------------------- */

/* For the publisher that holds the sweeper's lock. */
void publisher_set_gauges(struct publisher *publisher);
void publisher_purge(struct publisher *publisher);
void publisher_forget_kept(struct publisher *publisher);
/* For every publisher: a beacon may have been confirmed. */
void publisher_count_life(struct publisher *publisher);

/* ---- drain.c ------------------------------------------------------------------------------------- */

MUST_CHECK enum err publisher_drain(struct publisher *publisher);
/* Sends the event that came with its hint, when nothing of its user is missing before it. ERR_AGAIN: it must
 * be read from the outbox. */
MUST_CHECK enum err publisher_send_hinted(struct publisher *publisher, struct pool_hint *hint);
void publisher_on_confirm(struct publisher *publisher, uint64_t tag, bool multiple);
MUST_CHECK enum err publisher_on_refusal(struct publisher *publisher, uint64_t tag, bool multiple);
/* Takes confirmed events out of the outbox, when it is time. */
MUST_CHECK enum err publisher_take_out(struct publisher *publisher);
void publisher_forget_batch(struct publisher *publisher);

/* True while many events come: those that are there wait until pace_next() for others. */
bool publisher_gathers(const struct publisher *publisher);
/* Could an event be sent now, if there is one? */
bool publisher_may_send(const struct publisher *publisher);
/* Is there anything left of what was hinted? */
bool publisher_idle(const struct publisher *publisher);

/* ---- send.c -------------------------------------------------------------------------------------- */

#define PUBLISHER_MESSAGE_EXTRA 300 /* bytes of a message without its body, about */

/* Each sends one message. ERR_AGAIN: there is no room now. ERR_STALE: the event's epoch is not the database's
 * of now, so it must be read again. */
MUST_CHECK enum err publisher_send_event(struct publisher *publisher, const struct outbox_event *event);
/* Into the stream alone: an event that was refused when it was sent to all bound queues. */
MUST_CHECK enum err publisher_send_straight(struct publisher *publisher, const struct outbox_event *event);
/* Tells readers the database's current epoch; they accept events of no other. */
MUST_CHECK enum err publisher_send_beacon(struct publisher *publisher);
/* The same with a body, which tells readers of ended sessions. */
MUST_CHECK enum err publisher_send_word(struct publisher *publisher, const char *body, size_t length);
#define PUBLISHER_NO_WORD "{\"ended\":[]}" /* nothing new; publishers of earlier versions send "{}" */

/* ---- ends.c -------------------------------------------------------------------------------------- */

void publisher_ends_begin(struct publisher *publisher); /* a new connection: the whole list must be sent */
MUST_CHECK enum err publisher_tell_ends(struct publisher *publisher);
/* When it is time to do so; INT64_MAX: not now. */
int64_t publisher_ends_time(const struct publisher *publisher);
void publisher_ends_free(struct publisher *publisher);

/* Notes why the connection is no good any more, and returns ERR_CLOSED. */
enum err publisher_lost(struct publisher *publisher, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
