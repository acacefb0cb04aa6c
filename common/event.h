/* SPDX-License-Identifier: MIT */
/* The event contract: all that the two programs share.
 *
 * An event's body is the exact text of the frame a browser gets; it is made once, in the write's
 * transaction, kept in the journal, and forwarded byte for byte. What a reader needs to route it
 * without parsing travels in the message's headers (struct event_meta).
 *
 * To add a type: one row here, a verb for its message, and the place that emits it. */
#ifndef CARILLON_EVENT_H
#define CARILLON_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cursor.h"
#include "common/err.h"

/* X(name, routing key, how its message calls it) */
#define EVENT_TYPES(X)                                                                                       \
    X(EVENT_TASK_CREATED, "task.created", "created")                                                         \
    X(EVENT_TASK_COMPLETED, "task.completed", "completed")                                                   \
    X(EVENT_TASK_REOPENED, "task.reopened", "reopened")                                                      \
    X(EVENT_TASK_UPDATED, "task.updated", "updated")                                                         \
    X(EVENT_TASK_DELETED, "task.deleted", "deleted")

enum event_type {
#define X(name, key, verb) name,
    EVENT_TYPES(X)
#undef X
};

#define EVENT_BINDING "#" /* the queue's binding: every type above matches, and those of other programs */

/* Events of other programs (carillon_emit in sql/routines.sql, POST /users/{id}/events): type, message and
 * data. */
#define EVENT_DATA_MAX    65536 /* bytes */
#define EVENT_MESSAGE_MAX 1000  /* Unicode code points */

/* The largest body of an event in bytes: data, a message with each code point escaped, and the rest. */
#define EVENT_BODY_MAX (EVENT_DATA_MAX + 12 * EVENT_MESSAGE_MAX + 512)

/* Messages of our own in the stream that are no events: see docs/protocol.md */
#define EVENT_MARKER_TYPE "carillon.marker" /* a notifier's: read up to here */
#define EVENT_BEACON_TYPE "carillon.epoch"  /* the API's: this is the database's epoch */

/* Ids of users and tasks: what the database can count to, as a number and in messages. */
#define EVENT_ID_MAX      4294967295
#define EVENT_ID_MAX_TEXT "4294967295"

#define EVENT_REQUEST_ID_MAX  64
#define EVENT_TRACEPARENT_MAX 64
#define EVENT_TYPE_KEY_MAX    64

/* What a message's headers and properties tell about an event. */
struct event_meta {
    char epoch[CURSOR_EPOCH_MAX + 1];
    uint32_t user_id;
    uint64_t seq;
    int64_t created_at_ms;
    char type[EVENT_TYPE_KEY_MAX + 1];           /* routing key */
    char request_id[EVENT_REQUEST_ID_MAX + 1];   /* may be empty */
    char traceparent[EVENT_TRACEPARENT_MAX + 1]; /* may be empty */
};

const char *event_type_key(enum event_type type);
MUST_CHECK enum err event_type_parse(const char *key, enum event_type *type);

/* Whether a type is well formed: two names or more with dots between, of a to z, 0 to 9, _ and -. */
bool event_type_valid(const char *key);
/* Whether that is one of Carillon's own (task.*, carillon.*), which no other program may use. */
bool event_type_reserved(const char *key);

/* "epoch:user:seq": the message id, the same for every publication of one event. */
#define EVENT_ID_SIZE (CURSOR_EPOCH_MAX + 1 + 10 + 1 + 20 + 1)
void event_format_id(const struct event_meta *meta, char id[EVENT_ID_SIZE]);

/* Makes the frame's text from the task's JSON text. Returns a malloc()ed string of *length bytes;
 * the caller frees it. */
char *event_format_body(enum event_type type, const struct cursor *cursor, uint32_t task_id, int64_t at_ms,
                        const char *task_json, size_t *length);

/* The same for an event of another program, with its cursor as text; message (UTF-8) and data (a JSON object)
 * may be NULL. */
struct event_new {
    uint32_t user_id;
    const char *type, *message, *data;
    size_t data_length;
};
char *event_format_other(const struct event_new *event, const char *cursor, size_t *length);

/* The same body, moved, with the member `traceparent` behind the others. "": as it is. */
char *event_with_trace(char *body, size_t *length, const char *traceparent);

/* A copy of a body, malloc()ed, of *length bytes: its cursor with this epoch. The journal keeps a body as it
 * was made, and the epoch of the data may be another one now (a backup was restored). A text that is no body
 * is copied as it is. */
char *event_in_epoch(const char *body, size_t *length, const char *epoch);

#endif
