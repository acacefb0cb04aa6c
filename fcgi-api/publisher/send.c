/* SPDX-License-Identifier: MIT */
/* Sends one message to the broker, and notes what must be remembered until its confirm. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "fcgi-api/publisher/internal.h"

enum err publisher_lost(struct publisher *publisher, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(publisher->why, sizeof publisher->why, format, arguments);
    va_end(arguments);
    return ERR_CLOSED;
}

/* What a failed publish means for the connection. */
static enum err not_sent(struct publisher *publisher, enum err err)
{
    if (err == ERR_AGAIN) {
        publisher->link.no_room = true;
        return ERR_AGAIN;
    }
    if (err == ERR_TOO_LARGE)
        return publisher_lost(publisher, "an event is too large for a message");
    return publisher_lost(publisher, "%s", amqp_link_why(publisher->link.amqp));
}

enum err publisher_send_word(struct publisher *publisher, const char *body, size_t length)
{
    static const struct event_meta control = {.user_id = 0};
    struct sending *sending = &publisher->sending;
    char epoch[sizeof sending->epoch], id[64];
    uint64_t tag;

    if (!flight_has_room(&sending->flight, length + PUBLISHER_MESSAGE_EXTRA))
        return ERR_AGAIN;
    if (store_epoch(publisher->store, epoch) != ERR_OK) {
        publisher->db_retry_at = clock_monotonic_ms() + DB_PAUSE_MS;
        return ERR_AGAIN;
    }
    snprintf(id, sizeof id, "%s:beacon:%llu", epoch, (unsigned long long)++sending->controls);
    enum err err =
        amqp_link_publish_beacon(publisher->link.amqp, EVENT_BEACON_TYPE, id, epoch, body, length, &tag);
    if (err)
        return not_sent(publisher, err);
    flight_sent(&sending->flight, tag, &control, clock_monotonic_ms(), length + PUBLISHER_MESSAGE_EXTRA);
    memcpy(sending->epoch, epoch, sizeof epoch);
    return ERR_OK;
}

enum err publisher_send_beacon(struct publisher *publisher)
{
    return publisher_send_word(publisher, PUBLISHER_NO_WORD, strlen(PUBLISHER_NO_WORD));
}

/* Readers accept only events of the announced epoch. After a backup was restored while this runs, the
 * database has another epoch than the announced one; and an event whose transaction had read the epoch before
 * has yet another. */
static enum err announce(struct publisher *publisher, const char *epoch)
{
    if (strcmp(epoch, publisher->sending.epoch) == 0)
        return ERR_OK;
    enum err err = publisher_send_beacon(publisher);
    if (err)
        return err;
    return strcmp(epoch, publisher->sending.epoch) == 0 ? ERR_OK : ERR_STALE;
}

/* What is sent of an event. When that is traced, it names the span of this publication, whose child is what a
 * reader does with it; the row keeps what the event came of, for the next publication. */
struct outgoing_meta {
    const struct event_meta *meta;
    struct event_meta own;
    struct span span;
};

static void trace_event(struct outgoing_meta *out, const struct outbox_event *event)
{
    out->meta = &event->meta;
    out->span.traceparent[0] = '\0';
    if (!trace_wants(event->meta.traceparent))
        return;
    span_begin(&out->span, event->meta.traceparent, 0);
    out->own = event->meta;
    memcpy(out->own.traceparent, out->span.traceparent, sizeof out->span.traceparent);
    out->meta = &out->own;
}

static void note_span(struct publisher *publisher, const struct outgoing_meta *out)
{
    if (out->span.traceparent[0] != '\0')
        flight_trace(&publisher->sending.flight, span_id(&out->span));
}

enum err publisher_send_event(struct publisher *publisher, const struct outbox_event *event)
{
    struct sending *sending = &publisher->sending;
    size_t bytes = event->length + PUBLISHER_MESSAGE_EXTRA;
    struct outgoing_meta out;
    uint64_t tag;

    amqp_link_gather(publisher->link.amqp);
    enum err err = announce(publisher, event->meta.epoch);
    if (err)
        return err;
    if (!flight_has_room(&sending->flight, bytes)) /* after the beacon, which takes a place, too */
        return ERR_AGAIN;
    trace_event(&out, event);
    err = amqp_link_publish(publisher->link.amqp, out.meta, event->payload, event->length, &tag);
    if (err)
        return not_sent(publisher, err);
    flight_sent(&sending->flight, tag, &event->meta, event->queued_at_ms, bytes);
    witness_note(&publisher->comparing.witness, &event->meta, 1);
    note_span(publisher, &out);
    pace_sent(&sending->pace, clock_monotonic_ms());
    metrics_add(publisher->metrics, API_EVENTS_PUBLISHED, 1);
    return ERR_OK;
}

enum err publisher_send_straight(struct publisher *publisher, const struct outbox_event *event)
{
    struct sending *sending = &publisher->sending;
    size_t bytes = event->length + PUBLISHER_MESSAGE_EXTRA;
    struct outgoing_meta out;
    uint64_t tag;

    if (!flight_has_room_again(&sending->flight, bytes))
        return ERR_AGAIN;
    enum err err = announce(publisher, event->meta.epoch);
    if (err)
        return err;
    trace_event(&out, event);
    err = amqp_link_publish_straight(publisher->link.amqp, out.meta, event->payload, event->length, &tag);
    if (err)
        return not_sent(publisher, err);
    flight_sent_again(&sending->flight, tag, &event->meta, event->queued_at_ms, bytes);
    note_span(publisher, &out);
    metrics_add(publisher->metrics, API_EVENTS_PUBLISHED, 1);
    return ERR_OK;
}
