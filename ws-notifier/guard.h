/* SPDX-License-Identifier: MIT */
/* Inspects what a WebSocket's peer sends, before the library reads it. libwebsockets (4.1 to 4.5) takes
 * frames that are not masked; answers only the oldest of several pings; holds the payload of a pong to be
 * text, after a text; closes the connection without a close frame after a control frame that is too long or a
 * close with a reason that is no text; answers a close with one byte or a code that does not exist with the
 * same; and loses its place after a frame with a reserved bit, so that it does not see the answer to its own
 * close (RFC 6455: 5.1, 5.2, 5.5, 5.5.3, 7.4, 8.1).
 *
 * So pings and pongs are taken out, and pings answered here; a close that is wrong is taken out, and
 * the caller closes; and of a frame that is to be answered with 1002 the first byte becomes an opcode that
 * does not exist, which the library answers so. */
#ifndef CARILLON_GUARD_H
#define CARILLON_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ws-notifier/close.h"

#define GUARD_PONGS_MAX 512 /* bytes; when more have to wait, the oldest are left out */

struct guard_control; /* opaque: a control frame that has begun, pongs that wait */

/* One connection's place in its stream. Zero-initialized: before a frame; guard_free() before it goes. */
struct guard {
    struct guard_control *control; /* NULL while there is nothing to keep */
    uint32_t left;                 /* of the payload, or of its length while that is read */
    uint8_t stage;
    uint8_t first; /* byte of the frame */
};

struct guard_verdict {
    size_t length;         /* of what is left for the library */
    unsigned pings, pongs; /* that have come to their end */
    enum close_code fault; /* to be closed with; CLOSE_NOT: nothing, or the library will */
};

/* Looks at what has just come, and makes of it what the library may read. */
struct guard_verdict guard_look(struct guard *guard, unsigned char *bytes, size_t length);

/* Frames that answer its pings: *length bytes, 0 when there are none. After guard_answered() they are gone.
 */
const unsigned char *guard_answers(const struct guard *guard, size_t *length);
void guard_answered(struct guard *guard);

/* What is to be answered to a close with this code: the same, or 1002 when there is no such code. */
unsigned guard_close_code(unsigned code);
/* The code of the close that has come; 0: it had none. */
unsigned guard_closed_with(const struct guard *guard);

void guard_free(struct guard *guard);

#endif
