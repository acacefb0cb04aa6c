/* SPDX-License-Identifier: MIT */
/* Who hears what: users, and the subscriptions of sockets to them.
 *
 * A subscription remembers the last event it has (`last_seq`) and takes only what is newer, so it does not
 * matter how often an event arrives or how far ahead of the stream a browser's cursor was. It also notices
 * when the next one is not the next, and is then told so.
 *
 * Life of a subscription: hub_subscribe() makes it silent; hub_wait() parks it until it can be answered;
 * hub_go_live() makes it hear; hub_replay() has it hear first what it missed, which is fetched when its
 * socket has room, while what happens meanwhile stays where that comes from. It ends by hub_unsubscribe(), by
 * being replaced, or by hub_forget(). */
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
    struct subscription *round_prev, *round_next; /* those that wait, or those that beat at one time */
    struct cursor *since;                         /* while it waits: its cursor; NULL: it said null */
    uint64_t last_seq;                            /* 0: unknown, the next one will be right */
    uint64_t replay_to;                           /* while it replays: the newest event there is */
    int64_t not_before_ms;                        /* events created earlier are none of its business */
    int16_t round;
    bool live;
    bool replaying;   /* live, but not there yet */
    bool with_cursor; /* gets heartbeats */
    bool told;        /* that it lacks something: a hole before its next event is no news */
};

/* `beats`: how many hub_beat() make a whole round of heartbeats. */
struct hub *hub_new(uint16_t beats, size_t max_per_client, struct metrics *metrics);
/* So many subscriptions at most, of all clients; without this: any number. */
void hub_limit(struct hub *hub, size_t max_subscriptions);
void hub_free(struct hub **hub); /* all clients must have been forgotten */

/* A new, silent subscription, in place of the client's earlier one to this user. NULL: the client has as many
 * as one may have, or all clients together have. */
struct subscription *hub_subscribe(struct hub *hub, struct client *client, uint32_t user_id);
void hub_unsubscribe(struct hub *hub, struct client *client, uint32_t user_id);
void hub_forget(struct hub *hub, struct client *client); /* all of this client's subscriptions */

uint32_t subscription_user(const struct subscription *subscription);

/* Parks it; `since` is copied, NULL for none. */
void hub_wait(struct hub *hub, struct subscription *subscription, const struct cursor *since);
struct subscription *hub_first_waiting(struct hub *hub); /* NULL: none */

/* From now on it hears what is newer than last_seq; with_cursor: and gets heartbeats. No longer waits. */
void hub_go_live(struct hub *hub, struct subscription *subscription, uint64_t last_seq, bool with_cursor);

/* A live subscription has missed what came after its last_seq, up to this. When who answers
 * client_rules.replay has fetched that: hub_end_replay(). When it need not be fetched any more:
 * hub_cancel_replay(). */
void hub_replay(struct hub *hub, struct subscription *subscription, uint64_t up_to);
void hub_end_replay(struct hub *hub, struct subscription *subscription);
void hub_cancel_replay(struct hub *hub, struct subscription *subscription);

struct hub_event {
    uint32_t user_id;
    uint64_t seq;          /* 0: has none (another program's message): everybody takes it */
    int64_t created_at_ms; /* 0: unknown */
    struct frame *frame;
};

/* Makes the frame that tells a user's subscriptions that they lost what came next after `last_seq`. */
typedef struct frame *hub_reset_maker(void *context, uint32_t user_id, uint64_t last_seq);

/* The highest event that one of the user's live subscriptions has; 0: none knows a number. */
uint64_t hub_last_seq(const struct hub *hub, uint32_t user_id);

/* Queues the event for all of the user's live subscriptions that lack it. Those that replay are only told
 * that it is there. */
void hub_deliver(struct hub *hub, const struct hub_event *event, hub_reset_maker *make_reset, void *context);

/* For each live subscription. The callback may send, not unsubscribe. */
typedef void hub_visitor(void *context, struct subscription *subscription);
void hub_each(struct hub *hub, hub_visitor *visit, void *context);

/* For each subscription whose heartbeat is due and that does not replay; call it `beats` times a round,
 * evenly. */
void hub_beat(struct hub *hub, hub_visitor *visit, void *context);

#endif
