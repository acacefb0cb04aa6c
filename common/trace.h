/* SPDX-License-Identifier: MIT */
/* W3C Trace Context (https://www.w3.org/TR/trace-context/), and the lines in the log that say what a part of
 * an event's way took: its spans.
 *
 *   api      a request                                             (http/dispatch.c)
 *   commit   a change waits for its group, and for COMMIT          (store/tasks.c)
 *   publish  its event, from the outbox to the broker's confirm    (publisher/send.c, drain.c)
 *   deliver  a notifier takes it from the stream, for its sockets  (ws-notifier/delivery.c)
 *
 * Each is the child of the one before, wherever that ran. What is carried from one to the next is always a
 * traceparent: in the request, in the event's row, in the message's header. With TRACES=off a caller's own
 * one is carried unchanged and no span is begun: that costs one look at a flag. */
#ifndef CARILLON_TRACE_H
#define CARILLON_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/log.h"

#define TRACEPARENT_SIZE sizeof "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
#define SPAN_ID_SIZE     sizeof "0123456789abcdef"

/* Called by main() before any thread starts; without it there are no spans. */
void trace_init(bool traces);
bool trace_is_on(void);

/* "00-<32 hex>-<16 hex>-<2 hex>" in lower case, neither id all zeros. Anything else counts as none. NULL is
 * none. */
bool traceparent_valid(const char *text);

/* Whether what this is the parent of gets a span: traces are on, it is valid, and its sender takes samples of
 * it. */
bool trace_wants(const char *traceparent);

/* Zeroed, it is no span: it has no children, and span_end() does nothing. */
struct span {
    char traceparent[TRACEPARENT_SIZE]; /* its own, for its children; "": no span */
    char parent_id[SPAN_ID_SIZE];       /* "": the trace begins with it */
    int64_t start_us;                   /* wall clock */
    int64_t begun_us;                   /* monotonic */
};

/* A span that began `elapsed_us` ago, as a child of `parent`, which trace_wants() has asked for; "": it
 * begins a trace of its own. */
void span_begin(struct span *span, const char *parent, int64_t elapsed_us);
/* The same with an id that span_id() gave before: its end is known in another place. */
void span_begin_as(struct span *span, const char *parent, const char *id, int64_t elapsed_us);
const char *span_id(const struct span *span); /* SPAN_ID_SIZE - 1 characters, not ended by a NUL */

/* It ends now: writes its line. `more` has further members of it. */
void span_end(const struct span *span, const char *name, const struct log_field *more, size_t count);

#endif
