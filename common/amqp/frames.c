/* SPDX-License-Identifier: MIT */
/* Receiving: frames in, one struct amqp_event out.
 *
 * A message arrives as a method frame, a header frame and any number of body frames. The library's
 * own readers wait for the rest of a message without a limit; here each frame moves a small state
 * machine on, which can stop after any of them and go on when the next one has come. */
#include "common/amqp/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

static bool is_text(amqp_bytes_t bytes, const char *text)
{
    return bytes.len == strlen(text) && memcmp(bytes.bytes, text, bytes.len) == 0;
}

static enum amqp_author author_of(const struct amqp_link *link, amqp_bytes_t exchange)
{
    if (is_text(exchange, link->markers))
        return AMQP_BY_NOTIFIER;
    return is_text(exchange, link->mark) ? AMQP_BY_API : AMQP_BY_ANYBODY;
}

/* A frame either completed an event (ERR_OK), did not yet (ERR_AGAIN), or ended the link. */

static void message_begin(struct amqp_link *link, bool returned, uint64_t tag, amqp_bytes_t exchange)
{
    struct amqp_message *message = &link->message;
    message->returned = returned;
    message->author = author_of(link, exchange);
    message->tag = tag;
    message->offset = -1;
    message->timestamp_s = 0;
    message->complete_ms = -1;
    message->has_meta = false;
    memset(&message->meta, 0, sizeof message->meta);
    message->type[0] = message->message_id[0] = message->account[0] = '\0';
    message->body_read = 0;
    link->reading = READING_HEADER;
}

static void message_reserve(struct amqp_message *message, size_t size)
{
    if (size <= message->body_capacity)
        return;
    free(message->body);
    message->body = malloc(size);
    if (!message->body)
        abort();
    message->body_capacity = size;
}

static enum err message_finish(struct amqp_link *link, struct amqp_event *event)
{
    struct amqp_message *message = &link->message;
    link->reading = READING_METHOD;
    if (message->returned) {
        event->kind = AMQP_RETURN;
        snprintf(event->message_id, sizeof event->message_id, "%.*s", (int)sizeof event->message_id - 1,
                 message->message_id);
        return ERR_OK;
    }
    if (!message->too_large)
        message->body[message->body_size] = '\0';
    event->kind = AMQP_DELIVERY;
    event->tag = message->tag;
    event->delivery = (struct amqp_delivery){
        .tag = message->tag,
        .offset = message->offset,
        .has_meta = message->has_meta,
        .meta = message->meta,
        .type = message->type,
        .message_id = message->message_id,
        .account = message->account,
        .timestamp_s = message->timestamp_s,
        .tells_complete = message->complete_ms >= 0,
        .complete_ms = message->complete_ms,
        .body = message->too_large ? NULL : message->body,
        .body_length = message->too_large ? 0 : (size_t)message->body_size,
        .too_large = message->too_large,
        .author = message->author,
    };
    return ERR_OK;
}

/* A correlation id from elsewhere is only taken when it could be one of ours. */
static void copy_request_id(char id[EVENT_REQUEST_ID_MAX + 1], amqp_bytes_t bytes)
{
    if (bytes.len > EVENT_REQUEST_ID_MAX)
        return;
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = ((const unsigned char *)bytes.bytes)[i];
        if (c <= 0x20 || c > 0x7e)
            return;
    }
    amqp_copy_text(id, EVENT_REQUEST_ID_MAX + 1, bytes);
}

static void read_headers(struct amqp_message *message, const amqp_table_t *table)
{
    struct amqp_headers headers = {.meta = &message->meta};
    amqp_headers_read(table, &headers);
    message->has_meta = headers.has_meta;
    message->offset = headers.offset;
    message->complete_ms = headers.complete_ms;
}

static void read_properties(struct amqp_message *message, const amqp_basic_properties_t *properties)
{
    amqp_flags_t flags = properties->_flags;
    if (flags & AMQP_BASIC_HEADERS_FLAG)
        read_headers(message, &properties->headers);
    if (flags & AMQP_BASIC_TYPE_FLAG) {
        amqp_copy_text(message->type, sizeof message->type, properties->type);
        if (properties->type.len <= EVENT_TYPE_KEY_MAX)
            amqp_copy_text(message->meta.type, sizeof message->meta.type, properties->type);
    }
    if (flags & AMQP_BASIC_MESSAGE_ID_FLAG)
        amqp_copy_text(message->message_id, sizeof message->message_id, properties->message_id);
    if (flags & AMQP_BASIC_USER_ID_FLAG)
        amqp_copy_text(message->account, sizeof message->account, properties->user_id);
    if (flags & AMQP_BASIC_CORRELATION_ID_FLAG)
        copy_request_id(message->meta.request_id, properties->correlation_id);
    if ((flags & AMQP_BASIC_TIMESTAMP_FLAG) && properties->timestamp < INT64_MAX / 1000) {
        message->timestamp_s = (int64_t)properties->timestamp;
        message->meta.created_at_ms = message->timestamp_s * 1000;
    }
}

static enum err on_header(struct amqp_link *link, const amqp_frame_t *frame, struct amqp_event *event)
{
    struct amqp_message *message = &link->message;
    read_properties(message, frame->payload.properties.decoded);
    message->body_size = frame->payload.properties.body_size;
    message->too_large = message->body_size > AMQP_BODY_MAX;
    if (!message->too_large)
        message_reserve(message, (size_t)message->body_size + 1);
    link->reading = READING_BODY;
    return message->body_size == 0 ? message_finish(link, event) : ERR_AGAIN;
}

static enum err on_body(struct amqp_link *link, const amqp_frame_t *frame, struct amqp_event *event)
{
    struct amqp_message *message = &link->message;
    amqp_bytes_t part = frame->payload.body_fragment;
    if (part.len > message->body_size - message->body_read)
        return amqp_link_die(link, "a message is longer than its header says");
    if (!message->too_large)
        memcpy(message->body + message->body_read, part.bytes, part.len);
    message->body_read += part.len;
    return message->body_read == message->body_size ? message_finish(link, event) : ERR_AGAIN;
}

static enum err on_close(struct amqp_link *link, const amqp_method_t *method)
{
    char text[256];
    amqp_describe_close(method->id, method->decoded, text, sizeof text);
    return amqp_link_die(link, "closed by the broker: %s", text);
}

static enum err on_confirm(struct amqp_event *event, enum amqp_event_kind kind, uint64_t tag, bool multiple)
{
    event->kind = kind;
    event->tag = tag;
    event->multiple = multiple;
    return ERR_OK;
}

static enum err on_blocked(struct amqp_link *link, const amqp_connection_blocked_t *blocked,
                           struct amqp_event *event)
{
    link->blocked = true;
    event->kind = AMQP_BLOCKED;
    amqp_copy_text(event->reason, sizeof event->reason, blocked->reason);
    return ERR_OK;
}

static enum err on_cancel(const amqp_basic_cancel_t *cancel, struct amqp_event *event)
{
    event->kind = AMQP_CANCEL;
    amqp_copy_text(event->reason, sizeof event->reason, cancel->consumer_tag);
    return ERR_OK;
}

static enum err on_method(struct amqp_link *link, const amqp_method_t *method, struct amqp_event *event)
{
    switch (method->id) {
    case AMQP_BASIC_DELIVER_METHOD: {
        const amqp_basic_deliver_t *deliver = method->decoded;
        message_begin(link, false, deliver->delivery_tag, deliver->exchange);
        return ERR_AGAIN;
    }
    case AMQP_BASIC_RETURN_METHOD: {
        const amqp_basic_return_t *returned = method->decoded;
        amqp_copy_text(event->reason, sizeof event->reason, returned->reply_text);
        message_begin(link, true, 0, returned->exchange);
        return ERR_AGAIN;
    }
    case AMQP_BASIC_ACK_METHOD: {
        const amqp_basic_ack_t *ack = method->decoded;
        return on_confirm(event, AMQP_ACK, ack->delivery_tag, ack->multiple);
    }
    case AMQP_BASIC_NACK_METHOD: {
        const amqp_basic_nack_t *nack = method->decoded;
        return on_confirm(event, AMQP_NACK, nack->delivery_tag, nack->multiple);
    }
    case AMQP_BASIC_CANCEL_METHOD:
        return on_cancel(method->decoded, event);
    case AMQP_CONNECTION_BLOCKED_METHOD:
        return on_blocked(link, method->decoded, event);
    case AMQP_CONNECTION_UNBLOCKED_METHOD:
        link->blocked = false;
        event->kind = AMQP_UNBLOCKED;
        return ERR_OK;
    case AMQP_CHANNEL_CLOSE_METHOD:
    case AMQP_CONNECTION_CLOSE_METHOD:
        return on_close(link, method);
    default:
        return ERR_AGAIN; /* the answer to a call that no longer waits */
    }
}

static enum err on_frame(struct amqp_link *link, const amqp_frame_t *frame, struct amqp_event *event)
{
    /* Frames of channel 0 (alarms, closing) may come between two of one message. */
    if (frame->channel == 0)
        return frame->frame_type == AMQP_FRAME_METHOD ? on_method(link, &frame->payload.method, event)
                                                      : ERR_AGAIN;

    if (frame->channel != AMQP_CHANNEL)
        return ERR_AGAIN;
    if (frame->frame_type == AMQP_FRAME_METHOD && link->reading == READING_METHOD)
        return on_method(link, &frame->payload.method, event);
    if (frame->frame_type == AMQP_FRAME_HEADER && link->reading == READING_HEADER &&
        frame->payload.properties.class_id == AMQP_BASIC_CLASS)
        return on_header(link, frame, event);
    if (frame->frame_type == AMQP_FRAME_BODY && link->reading == READING_BODY)
        return on_body(link, frame, event);
    if (frame->frame_type == AMQP_FRAME_METHOD && frame->payload.method.id == AMQP_CHANNEL_CLOSE_METHOD)
        return on_close(link, &frame->payload.method);
    return amqp_link_die(link, "frame type %d where none may be", frame->frame_type);
}

/* A call that waits for its answer lets the library keep the frames that come before it. */
bool amqp_link_was_blocked(struct amqp_link *link)
{
    const struct timeval now = {0};
    struct amqp_event event;
    amqp_frame_t frame;

    while (amqp_frames_enqueued(link->state) &&
           amqp_simple_wait_frame_noblock(link->state, &frame, &now) == AMQP_STATUS_OK)
        if (frame.channel == 0)
            (void)on_frame(link, &frame, &event);
    return link->blocked;
}

enum err amqp_link_poll(struct amqp_link *link, int timeout_ms, struct amqp_event *event)
{
    int64_t deadline = timeout_ms > 0 ? clock_monotonic_ms() + timeout_ms : 0;

    if (link->dead)
        return ERR_CLOSED;
    memset(event, 0, sizeof *event);
    for (;;) {
        amqp_frame_t frame;
        int64_t left = deadline ? deadline - clock_monotonic_ms() : 0;
        if (left < 0)
            left = 0;
        struct timeval wait = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};

        /* Nothing decoded is alive here: whatever the last frame held has been copied. */
        amqp_maybe_release_buffers(link->state);
        int status = amqp_simple_wait_frame_noblock(link->state, &frame, &wait);
        if (status == AMQP_STATUS_TIMEOUT)
            return ERR_AGAIN;
        if (status != AMQP_STATUS_OK)
            return amqp_link_fail(link, status);

        enum err err = on_frame(link, &frame, event);
        if (err != ERR_AGAIN)
            return err;
    }
}
