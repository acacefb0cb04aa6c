/* SPDX-License-Identifier: MIT */
/* Server-Sent Events: the same feed for `curl -N` and EventSource. A request is made into the subscribe
 * message that a WebSocket would have sent, and every frame into an event whose id is its cursor.
 *
 * EventSource comes back by itself, with the id of the last event it had in Last-Event-ID (a polyfill, which
 * may not send that header to another origin, in the argument lastEventId); but only after an answer of 200
 * that has ended. So what is wrong for now is said in such an answer (sse_add_wait()), and an id that is no
 * cursor begins a feed that says recovered:false: a refusal would be the end of that EventSource. */
#ifndef CARILLON_SSE_H
#define CARILLON_SSE_H

#include <stddef.h>
#include <stdint.h>

#include "common/cursor.h"
#include "common/err.h"
#include "common/strbuf.h"

enum sse_argument { SSE_USER_ID, SSE_SINCE, SSE_LAST_EVENT_ID, SSE_ARGUMENTS };

/* A request at /events while it is read. Zero-initialized: nothing yet. */
struct sse_request {
    unsigned seen; /* bits of enum sse_argument */
    uint32_t user_id;
    struct cursor since[SSE_ARGUMENTS]; /* of the two that hold a cursor; epoch "": none */
    size_t wrong;                       /* how many things */
    struct strbuf errors;               /* {"field":...,"message":...},... of those; the caller frees it */
};

/* Takes one argument, decoded: "name=value". An empty one is none. */
void sse_take_argument(struct sse_request *request, const char *text);
/* Takes the header Last-Event-ID, which goes before all arguments. */
void sse_take_last_event_id(struct sse_request *request, const char *value);
/* After the last of them: appends {"type":"subscribe","user_id":...,"since":...}. ERR_INVALID:
 * request->errors says why. */
MUST_CHECK enum err sse_make_subscribe(struct sse_request *request, struct strbuf *out);

/* Appends the frame (one JSON object) as an event. Notifications are what EventSource calls messages; the
 * others carry their type as the event's name. */
void sse_add_event(struct strbuf *out, const char *text);

/* How long EventSource waits before it comes back, from now on: between half of and one and a half times
 * `typical_ms`, by a random number, so that clients which were cut off together do not come back together. */
void sse_add_retry(struct strbuf *out, unsigned typical_ms, uint32_t random);

/* All that is sent to a client that has to wait: after how long it may come back (up to twice as long, so
 * that a crowd spreads), and why. `code` is that of an error frame, `message` plain words. */
void sse_add_wait(struct strbuf *out, const char *code, const char *message, unsigned wait_s,
                  uint32_t random);

#endif
