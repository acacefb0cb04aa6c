/* SPDX-License-Identifier: MIT */
/* The client's end of a WebSocket (RFC 6455), as small as a load program needs it: no fragments, no
 * extensions. Pings are answered. */
#ifndef CARILLON_BENCH_WSOCK_H
#define CARILLON_BENCH_WSOCK_H

#include <stddef.h>

#include "bench/loop.h"

enum wsock_opcode { WSOCK_TEXT = 1, WSOCK_BINARY = 2, WSOCK_CLOSE = 8, WSOCK_PING = 9, WSOCK_PONG = 10 };

struct wsock;

/* Called for what the server sends or does. */
struct wsock_events {
    /* Writes the request's path and any further header lines ("Name: value\r\n"). */
    void (*request)(struct wsock *wsock, char *path, size_t path_size, char *headers, size_t headers_size);
    void (*opened)(struct wsock *wsock);
    void (*message)(struct wsock *wsock, const char *payload, size_t length);
    void (*closed)(struct wsock *wsock, const char *why);
};

struct wsock {
    struct watch watch; /* first: a watch is turned into its wsock */
    const struct wsock_events *events;
    const struct address *address;
    enum { WSOCK_DOWN, WSOCK_CONNECTING, WSOCK_UPGRADING, WSOCK_OPEN } state;
    unsigned held_length, out_length;
    char *held; /* the beginning of an incomplete message */
    char *out;  /* bytes that the socket did not take */
};

void wsock_open(struct wsock *wsock, const struct address *address, const struct wsock_events *events);
void wsock_send(struct wsock *wsock, enum wsock_opcode opcode, const void *payload, size_t length);
/* Sends a close frame and closes; `closed` is not called. */
void wsock_leave(struct wsock *wsock);

#endif
