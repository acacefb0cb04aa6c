/* Server-Sent Events: the same feed for `curl -N` and EventSource. A request is made into the subscribe
 * message that a WebSocket would have sent, and every frame into an event whose id is its cursor. */
#ifndef CARILLON_SSE_H
#define CARILLON_SSE_H

#include <stddef.h>

#include "common/err.h"
#include "common/strbuf.h"

/* Appends {"type":"subscribe","user_id":...,"since":...}. `user_id` is the query's value, `since` the
 * Last-Event-ID, "" for none. ERR_INVALID: user_id is no number. What else is wrong, protocol_parse()
 * will find. */
MUST_CHECK enum err sse_make_subscribe(struct strbuf *out, const char *user_id, const char *since);

/* Appends the frame (one JSON object) as an event. Notifications are what EventSource calls messages; the
 * others carry their type as the event's name. */
void sse_add_event(struct strbuf *out, const char *text);

#endif
