/* One browser's socket as the notifier sees it: a bounded queue of frames, and whether and why it is to be
 * closed. Knows nothing of the WebSocket library: `wake` tells the server that there is something to
 * write or to close, and the server then asks client_next() and client_closing(). */
#ifndef CARILLON_CLIENT_H
#define CARILLON_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/metrics.h"
#include "ws-notifier/frame.h"

struct client; /* opaque */
struct subscription;

/* X(name, code, reason in the close frame, metric, whether what waits is still sent). 4000 + the HTTP status
 * that says the same. */
#define CLOSE_CODES(X)                                                                                       \
    X(CLOSE_TOO_BIG, 1009, "message too big", NOTIFIER_CLOSED_TOO_BIG, false)                                \
    X(CLOSE_RESTART, 1012, "service restart", NOTIFIER_CLOSED_RESTART, true)                                 \
    X(CLOSE_UNAUTHENTICATED, 4401, "a valid token is needed", NOTIFIER_CLOSED_UNAUTHENTICATED, true)         \
    X(CLOSE_FORBIDDEN, 4403, "forbidden", NOTIFIER_CLOSED_FORBIDDEN, true)                                   \
    X(CLOSE_TOO_SLOW, 4408, "too slow", NOTIFIER_CLOSED_SLOW, false)                                         \
    X(CLOSE_TOO_MANY, 4429, "too many clients", NOTIFIER_CLOSED_TOO_MANY, false)

enum close_code {
    CLOSE_NOT = 0,
#define X(name, code, ...) name = (code),
    CLOSE_CODES(X)
#undef X
};

/* What all clients share; outlives them. */
struct client_rules {
    size_t max_frames, max_bytes; /* waiting for one socket */
    void (*wake)(void *socket);   /* must not call back into the client */
    struct metrics *metrics;
};

struct client *client_new(const struct client_rules *rules, void *socket);
/* Its subscriptions must be gone (hub_forget()). Accepts NULL. */
void client_free(struct client **client);

/* Queues the frame (taking a reference of its own). A client whose queue would pass its bounds is closed
 * with CLOSE_TOO_SLOW instead; one that is closing gets nothing any more. Never frees the client.
 * Returns whether the frame was queued. */
bool client_send(struct client *client, struct frame *frame);

/* Whether so much more would fit now; how many frames would. */
bool client_has_room(const struct client *client, size_t frames, size_t bytes);
size_t client_room(const struct client *client);

/* Takes the oldest frame out of the queue; the caller owns its reference. NULL: empty. */
struct frame *client_next(struct client *client);
size_t client_waiting(const struct client *client); /* frames */

/* The one way a client is closed by us. The first reason stays. What is queued is dropped, except where it
 * does no harm and spares a browser asking for it again, or tells it what is wrong (see CLOSE_CODES). */
void client_close(struct client *client, enum close_code code);
enum close_code client_closing(const struct client *client); /* CLOSE_NOT while open */
const char *close_reason(enum close_code code);              /* for the close frame */

/* Whom a client speaks for, where tokens are wanted; the reception keeps it. */
struct client_identity {
    uint32_t user_id;       /* 0: nobody yet */
    bool admin;             /* may hear everybody */
    int64_t valid_until_ms; /* wall clock */
};
struct client_identity *client_identity(struct client *client);

/* Where the hub hangs this client's subscriptions. */
struct subscription **client_subscriptions(struct client *client);

#endif
