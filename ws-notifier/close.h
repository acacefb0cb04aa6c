/* SPDX-License-Identifier: MIT */
/* Why a socket is closed by us: one table. Beyond the protocol's own codes the status is 4000 + the HTTP
 * status that says the same. Clients tell causes with one status apart by the reason: docs/protocol.md lists
 * them, and they do not change. */
#ifndef CARILLON_CLOSE_H
#define CARILLON_CLOSE_H

#include <stdbool.h>

#include "ws-notifier/notifier_metrics.h"

/* X(name, status, reason in the close frame, metric, whether what waits is still sent) */
#define CLOSE_CODES(X)                                                                                       \
    X(CLOSE_PROTOCOL, 1002, "protocol error", NOTIFIER_CLOSED_PROTOCOL, false)                               \
    X(CLOSE_NO_TEXT, 1007, "invalid UTF-8", NOTIFIER_CLOSED_PROTOCOL, false)                                 \
    X(CLOSE_TOO_BIG, 1009, "message too big", NOTIFIER_CLOSED_TOO_BIG, false)                                \
    X(CLOSE_RESTART, 1012, "service restart", NOTIFIER_CLOSED_RESTART, true)                                 \
    X(CLOSE_TOKEN_MISSING, 4401, "token missing", NOTIFIER_CLOSED_UNAUTHENTICATED, true)                     \
    X(CLOSE_TOKEN_INVALID, 4401, "token not valid", NOTIFIER_CLOSED_UNAUTHENTICATED, true)                   \
    X(CLOSE_TOKEN_EXPIRED, 4401, "token expired", NOTIFIER_CLOSED_UNAUTHENTICATED, true)                     \
    X(CLOSE_SESSION_ENDED, 4401, "token not valid", NOTIFIER_CLOSED_UNAUTHENTICATED, true)                   \
    X(CLOSE_ORIGIN, 4403, "origin not allowed", NOTIFIER_CLOSED_ORIGIN, true)                                \
    X(CLOSE_FORBIDDEN, 4403, "user not allowed", NOTIFIER_CLOSED_FORBIDDEN, true)                            \
    X(CLOSE_TOO_SLOW, 4408, "too slow", NOTIFIER_CLOSED_SLOW, false)                                         \
    X(CLOSE_SILENT, 4408, "nothing was subscribed", NOTIFIER_CLOSED_SILENT, false)

/* Over a limit, all of them 4429. X(name, seconds after which to come back, reason, metric); the close frame
 * says both: "too many clients; retry after 10 s". */
#define CLOSE_LIMITS(X)                                                                                      \
    X(CLOSE_TOO_MANY, 10, "too many clients", NOTIFIER_CLOSED_TOO_MANY)                                      \
    X(CLOSE_USER_CLIENTS, 30, "too many connections of this user", NOTIFIER_CLOSED_USER_CLIENTS)             \
    X(CLOSE_USER_SUBSCRIPTIONS, 30, "too many subscriptions of this user",                                   \
      NOTIFIER_CLOSED_USER_SUBSCRIPTIONS)                                                                    \
    X(CLOSE_ADDRESS_CLIENTS, 30, "too many connections from this address", NOTIFIER_CLOSED_ADDRESS_CLIENTS)  \
    X(CLOSE_ADDRESS_HANDSHAKES, 10, "too many new connections from this address",                            \
      NOTIFIER_CLOSED_ADDRESS_HANDSHAKES)                                                                    \
    X(CLOSE_HANDSHAKES, 2, "too many new connections", NOTIFIER_CLOSED_HANDSHAKES)                           \
    X(CLOSE_MESSAGES, 10, "too many messages", NOTIFIER_CLOSED_MESSAGES)                                     \
    X(CLOSE_BYTES, 10, "too many bytes", NOTIFIER_CLOSED_BYTES)

enum close_code {
    CLOSE_NOT,
#define X(name, ...) name,
    CLOSE_CODES(X) CLOSE_LIMITS(X)
#undef X
};

/* Not of CLOSE_NOT. */
int close_status(enum close_code code);
const char *close_reason(enum close_code code); /* for the close frame */
int close_retry_after(enum close_code code);    /* seconds; 0: not over a limit */
enum notifier_metric close_metric(enum close_code code);
bool close_keeps_queue(enum close_code code);

#endif
