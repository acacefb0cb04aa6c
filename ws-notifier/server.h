/* SPDX-License-Identifier: MIT */
/* The server: listens on WS_HOST:WS_PORT and speaks HTTP and WebSocket; with the files beside it, it is the
 * only place that knows libwebsockets. What a browser sends goes to the reception; what it gets comes out of
 * its client's queue. */
#ifndef CARILLON_SERVER_H
#define CARILLON_SERVER_H

#include <uv.h>

#include "common/config.h"
#include "common/err.h"
#include "common/metrics.h"
#include "ws-notifier/feed.h"
#include "ws-notifier/reception.h"

struct server; /* opaque */

/* Starts to listen. ERR_SYSTEM: it cannot; *why (size bytes) tells. */
MUST_CHECK enum err server_open(uv_loop_t *loop, const struct config *config, struct reception *reception,
                                struct feed *feed, struct metrics *metrics, struct server **out, char *why,
                                size_t size);

/* Accepts no more connections and tells all clients to leave (CLOSE_RESTART), spread over a short time so
 * that they do not all reconnect at once. `done` is called when all have gone, or time is up. */
void server_drain(struct server *server, void (*done)(void *context), void *context);

/* Tells all clients to leave in the same way; others may come. */
void server_send_away(struct server *server);

/* Closes everything; the loop must run on until it is empty, then server_free(). */
void server_stop(struct server *server);
void server_free(struct server **server);

#endif
