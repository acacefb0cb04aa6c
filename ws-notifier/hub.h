/* SPDX-License-Identifier: MIT */
/* Users, and the sockets' subscriptions to their events.
 *
 * A subscription remembers its last event (`last_seq`) and takes only newer ones, so it does not matter how
 * often an event arrives, or how far ahead of the stream a browser's cursor was. When an event is not the
 * successor of the last one, the subscription gets a reset.
 *
 * Life of a subscription: hub_subscribe() makes a silent one; hub_wait() parks it until it can be answered;
 * hub_go_live() begins delivery. hub_replay() first gives it the events it missed: they are fetched when its
 * socket has room, and so are the events of the meantime. It ends by hub_unsubscribe(), by being replaced, or
 * by hub_forget(). */
#ifndef CARILLON_HUB_H
#define CARILLON_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cursor.h"
#include "common/metrics.h"
#include "ws-notifier/client.h"

struct hub;      /* opaque */
struct audience; /* opaque: one user's subscriptions */

struct subscription {
    struct client *client;
    struct audience *audience;
    struct subscription *audience_prev, *audience_next;
    struct subscription *client_next;
    struct subscription *round_prev,
        *round_next;       /* in the list of those that wait, or that get heartbeats at one time */
    struct cursor *since;  /* while it waits: its cursor; NULL: it sent null */
    uint64_t last_seq;     /* 0: unknown, any next event is accepted */
    uint64_t replay_to;    /* while it replays: the newest event to fetch */
    int64_t not_before_ms; /* events created earlier are not delivered to it */
    int16_t round;
    bool live;
    bool replaying;   /* live, but still behind */
    bool with_cursor; /* gets heartbeats */
    bool told;        /* it was sent a reset: a hole before its next event causes no other */
    bool heard;       /* it was sent an event as it came */
};

/* `beats`: the number of hub_beat() calls that make a whole round of heartbeats. */
struct hub *hub_new(uint16_t beats, size_t max_per_client, struct metrics *metrics);
/* Bounds the subscriptions of all clients together; without this call there may be any number. */
void hub_limit(struct hub *hub, size_t max_subscriptions);
void hub_free(struct hub **hub); /* all clients must have been forgotten */

/* A new, silent subscription, in place of the client's earlier one to this user. NULL: the client, or all
 * clients together, have as many as they may. */
struct subscription *hub_subscribe(struct hub *hub, struct client *client, uint32_t user_id);
void hub_unsubscribe(struct hub *hub, struct client *client, uint32_t user_id);
void hub_forget(struct hub *hub, struct client *client); /* ends all of this client's subscriptions */

uint32_t subscription_user(const struct subscription *subscription);

/* Parks it; `since` is copied, NULL for none. */
void hub_wait(struct hub *hub, struct subscription *subscription, const struct cursor *since);
struct subscription *hub_first_waiting(struct hub *hub); /* NULL: none */

/* From now on it gets events newer than last_seq; with_cursor: heartbeats, too. It no longer waits. */
void hub_go_live(struct hub *hub, struct subscription *subscription, uint64_t last_seq, bool with_cursor);

/* A live subscription has missed the events after its last_seq, up to this. Call hub_end_replay() when
 * client_rules.replay has fetched them, hub_cancel_replay() when they need not be fetched any more. */
void hub_replay(struct hub *hub, struct subscription *subscription, uint64_t up_to);
void hub_end_replay(struct hub *hub, struct subscription *subscription);
void hub_cancel_replay(struct hub *hub, struct subscription *subscription);

struct hub_event {
    uint32_t user_id;
    uint64_t seq;          /* 0: has none (another program's message): for every subscription */
    int64_t created_at_ms; /* 0: unknown */
    struct frame *frame;
};

/* Makes the frame that tells a user's subscriptions that they lack the events after `last_seq`. */
typedef struct frame *hub_reset_maker(void *context, uint32_t user_id, uint64_t last_seq);

/* The highest event of all the user's live subscriptions; 0: none knows a number. */
uint64_t hub_last_seq(const struct hub *hub, uint32_t user_id);

/* Queues the event for all of the user's live subscriptions that lack it; returns for how many. Those that
 * replay only note that it is there. */
int64_t hub_deliver(struct hub *hub, const struct hub_event *event, hub_reset_maker *make_reset,
                    void *context);

/* Visits each live subscription. The callback may send, but not unsubscribe. */
typedef void hub_visitor(void *context, struct subscription *subscription);
void hub_each(struct hub *hub, hub_visitor *visit, void *context);

/* Visits each subscription whose heartbeat is due and that does not replay. Call it `beats` times a round,
 * evenly. */
void hub_beat(struct hub *hub, hub_visitor *visit, void *context);

#endif
