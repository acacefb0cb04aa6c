/* SPDX-License-Identifier: MIT */
/* One browser's socket as the notifier sees it: a bounded queue of frames, and whether and why it is to be
 * closed. In the queue a replay takes one place, however long it is: its frames are fetched one by one when
 * the socket has room for them. Knows nothing of the WebSocket library: `wake` tells the server that there is
 * something to write or to close, and the server then asks client_next() and client_closing(). */
#ifndef CARILLON_CLIENT_H
#define CARILLON_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/metrics.h"
#include "ws-notifier/close.h"
#include "ws-notifier/frame.h"
#include "ws-notifier/quota.h"

struct client; /* opaque */
struct queue;  /* opaque */
struct subscription;

/* What all clients share; outlives them. */
struct client_rules {
    size_t max_frames, max_bytes; /* waiting for one socket */
    void (*wake)(void *socket);   /* must not call back into the client */
    /* Gives the next frame of a replay (with a reference for the caller); whether there is another one. */
    bool (*replay)(void *context, struct subscription *subscription, struct frame **frame);
    void *context;
    struct metrics *metrics;
    /* Kept by the clients. */
    struct queue *queues; /* of clients with a queue */
    size_t clients;
    size_t queue_bytes; /* that all queues take by themselves, without the frames in them */
    /* Kept by the server. */
    size_t unsent_bytes;     /* at most, of frames that went into a socket only in part */
    size_t unfinished_bytes; /* of messages that have come in part */
};

struct client *client_new(struct client_rules *rules, void *socket);
/* Its subscriptions must be gone (hub_forget()). Accepts NULL. */
void client_free(struct client **client);

/* Queues the frame (taking a reference of its own). A client whose queue would pass its bounds is closed
 * with CLOSE_TOO_SLOW instead; one that is closing gets nothing any more. Never frees the client.
 * Returns whether the frame was queued. */
bool client_send(struct client *client, struct frame *frame);

/* From here on what rules->replay() tells of this subscription; then what is sent later. */
void client_replay(struct client *client, struct subscription *subscription);
void client_end_replay(struct client *client, const struct subscription *subscription);

/* Takes the oldest frame out of the queue; the caller owns its reference. NULL: empty. */
struct frame *client_next(struct client *client);
size_t client_waiting(const struct client *client); /* frames; a replay counts as one */

/* The one way a client is closed by us. The first reason stays. What is queued is dropped, except where
 * sending it does no harm and saves the browser a request, or tells it what is wrong (see close.h). */
void client_close(struct client *client, enum close_code code);
enum close_code client_closing(const struct client *client); /* CLOSE_NOT while open */

/* Closes the clients with the longest queues, with CLOSE_TOO_SLOW, until `enough` says so. */
void clients_close_slowest(struct client_rules *rules, bool (*enough)(const void *context),
                           const void *context);

/* The user that a client speaks for, where tokens are wanted; the reception keeps it. */
struct client_identity {
    uint32_t user_id;       /* 0: no token yet */
    bool admin;             /* may hear every user */
    uint8_t group_count;    /* further users it may hear, as in struct grant: GRANT_GROUPS_MAX at most */
    uint32_t *groups;       /* the identity's; NULL: none */
    int64_t issued_s;       /* of its token; -1: it does not say */
    int64_t valid_until_ms; /* wall clock */
};
struct client_identity *client_identity(struct client *client);

/* What it has used of its limits; the server and the reception keep it. */
struct quota_guest *client_guest(struct client *client);

/* Where the hub hangs this client's subscriptions. */
struct subscription **client_subscriptions(struct client *client);

#endif
