/* SPDX-License-Identifier: MIT */
/* One connection and one channel to RabbitMQ: the only file that knows librabbitmq.
 *
 * Used by the API's publisher thread (which may block for a bounded time) and by the notifier (whose
 * event loop watches the descriptor and never blocks). One thread at a time may use a link; it may
 * be opened on one thread and then handed to another.
 *
 * Whatever arrives is read as struct amqp_event, one at a time, by amqp_link_poll(): the frame state
 * machine (method, header, body...) is inside and never waits in the middle of a message.
 * After any function returned ERR_CLOSED or ERR_UNAVAILABLE the link is dead: close it. */
#ifndef CARILLON_AMQP_LINK_H
#define CARILLON_AMQP_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "common/event.h"

struct amqp_link; /* opaque */

enum amqp_event_kind {
    AMQP_DELIVERY, /* a message of the stream: delivery is set */
    AMQP_ACK,      /* the broker has confirmed `tag` (and all before it if `multiple`) */
    AMQP_NACK,     /* it has not taken `tag` (and all before it if `multiple`) */
    AMQP_RETURN,   /* a mandatory message had no queue; its ack follows. message_id is set */
    AMQP_BLOCKED,  /* the broker asks not to publish (memory or disk alarm): reason is set */
    AMQP_UNBLOCKED,
    AMQP_CANCEL, /* the consumer is gone: the queue was deleted */
};

/* Which program may have written a message: each exchange has its own writers (docs/security.md). */
enum amqp_author {
    AMQP_BY_ANYBODY,  /* through the events' exchange, or straight into the queue */
    AMQP_BY_NOTIFIER, /* through the markers' exchange */
    AMQP_BY_API,      /* through the exchange that marks the queue: a beacon, or an event for it alone */
};

/* Pointers live until the next call on the link. */
struct amqp_delivery {
    uint64_t tag;
    int64_t offset; /* x-stream-offset, -1 when absent */
    bool has_meta;  /* user_id, seq and epoch were all there and sane: meta is set */
    struct event_meta meta;
    const char *type; /* the type property, "" when absent */
    const char *message_id;
    const char *account; /* the user_id property, which the broker has checked; "" when absent */
    int64_t timestamp_s; /* the timestamp property, 0 when absent */
    bool tells_complete; /* a beacon with that time: see amqp_link_say_complete() */
    int64_t complete_ms;
    const char *body; /* NULL when too_large; else NUL-terminated besides its length */
    size_t body_length;
    bool too_large; /* over AMQP_BODY_MAX: read and dropped */
    enum amqp_author author;
};

#define AMQP_BODY_MAX 1048576

struct amqp_event {
    enum amqp_event_kind kind;
    uint64_t tag;
    bool multiple;
    char message_id[EVENT_ID_SIZE];
    char reason[256];
    struct amqp_delivery delivery;
};

/* The two users of a broker: what each does is all that its account needs to be allowed (docs/security.md).
 */
enum amqp_side {
    AMQP_PUBLISHER, /* makes the exchanges and the stream queue */
    AMQP_READER,    /* makes nothing: without the queue there is no link yet */
};

/* Connects, logs in, opens the channel and sees to it that exchange and stream queue are there, within about
 * AMQP_TIMEOUT_MS. Blocks: not for an event loop's thread.
 * ERR_UNAVAILABLE: not reachable, refused, or declared otherwise (then *why says so); try again later.
 * `why` takes one line for the log, never a secret. `name` is shown on RabbitMQ's connections page. */
MUST_CHECK enum err amqp_link_open(const struct config *config, enum amqp_side side, const char *name,
                                   struct amqp_link **out, char *why, size_t why_size);
void amqp_link_close(struct amqp_link **link); /* does not wait for the broker; accepts NULL */

int amqp_link_fd(const struct amqp_link *link);

/* Whether the broker has asked not to publish, by what has come of it so far. Also of a link that is dead: a
 * broker with an alarm answers no call after a message, so the call ends the link. Whatever else has come and
 * was not read is dropped, so call it last. */
bool amqp_link_was_blocked(struct amqp_link *link);

/* The next event, waiting at most timeout_ms (0: not at all). ERR_AGAIN: none. ERR_CLOSED: the
 * connection is gone; amqp_link_why() tells. Call it at least every half heartbeat: heartbeats are
 * sent and checked inside. After the descriptor became readable, call until ERR_AGAIN. */
MUST_CHECK enum err amqp_link_poll(struct amqp_link *link, int timeout_ms, struct amqp_event *event);
const char *amqp_link_why(const struct amqp_link *link);

/* Publisher side. amqp_link_confirm() first, once: it opens the channel anew, so that no message precedes the
 * confirms on it. Then each publish counts one tag from 1. From there on publish only what the stream gets,
 * too: a message on this channel that has another queue alone makes RabbitMQ 3.10 lose others at a change of
 * leader. ERR_AGAIN: the broker has asked not to publish (AMQP_BLOCKED), or the socket cannot take more now.
 * The body is not copied beyond the call. */
MUST_CHECK enum err amqp_link_confirm(struct amqp_link *link);
MUST_CHECK enum err amqp_link_publish(struct amqp_link *link, const struct event_meta *meta, const char *body,
                                      size_t length, uint64_t *tag);

/* The same into the queue alone, past every other that is bound to the exchange. */
MUST_CHECK enum err amqp_link_publish_straight(struct amqp_link *link, const struct event_meta *meta,
                                               const char *body, size_t length, uint64_t *tag);

/* What is published after gather() leaves at flush() at the latest, in full packets. Both may be called at
 * any time. */
void amqp_link_gather(struct amqp_link *link);
void amqp_link_flush(struct amqp_link *link);

/* A reader's message to itself, into the stream and back, through an exchange that is for nothing else. Comes
 * back as AMQP_RETURN when that is not bound to the queue: a publisher does so when it connects. */
MUST_CHECK enum err amqp_link_publish_marker(struct amqp_link *link, const char *message_id);

/* Whether amqp_link_note_life() was called since this broker was started. Both wait for the broker. *noted
 * false after amqp_link_note_life(): the broker refuses; amqp_link_note() tells why. */
MUST_CHECK enum err amqp_link_check_life(struct amqp_link *link, bool *noted);
MUST_CHECK enum err amqp_link_note_life(struct amqp_link *link, bool *noted);
const char *amqp_link_note(const struct amqp_link *link);

/* Whether the queue is still the one that amqp_link_mark() was called for. *marked false: it was deleted and
 * made again since, or the broker has lost its data, or it was never marked. When it is, a message without an
 * event has come into it. amqp_link_mark() also binds it: before, no events come in. Both wait
 * for the broker; the first only before amqp_link_confirm(). */
MUST_CHECK enum err amqp_link_check_mark(struct amqp_link *link, const char *type, const char *message_id,
                                         const char *epoch, const char *body, bool *marked);
MUST_CHECK enum err amqp_link_mark(struct amqp_link *link);

/* A message that is no event, straight into the queue. Comes back (AMQP_RETURN) when that is not the marked
 * one. Counts a tag when confirms are on. */
MUST_CHECK enum err amqp_link_publish_beacon(struct amqp_link *link, const char *type, const char *message_id,
                                             const char *epoch, const char *body, size_t length,
                                             uint64_t *tag);

/* From now on each beacon says that the stream has every event that was committed before this time, by the
 * database's clock in ms; 0: that there is such a time, and it is not known yet. -1, as it is to begin with:
 * nothing of it. */
void amqp_link_say_complete(struct amqp_link *link, int64_t complete_ms);

/* Consumer side: reads the stream from what `since_s` seconds ago reached it (whole chunks: earlier
 * messages may come too), or from offset `from_offset` when that is >= 0. The link is dead after any error.
 * ERR_AGAIN: on another one it may succeed; a broker that has just started has no stream to read from yet
 * (406 or 541). ERR_UNAVAILABLE: the account may not read it. */
MUST_CHECK enum err amqp_link_consume(struct amqp_link *link, int64_t since_s, int64_t from_offset,
                                      int prefetch);
/* Acknowledges all deliveries up to tag; this is the stream's credit. */
MUST_CHECK enum err amqp_link_ack(struct amqp_link *link, uint64_t tag);

#endif
