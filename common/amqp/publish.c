/* SPDX-License-Identifier: MIT */
/* Sending. The library's basic_publish can wait without a limit: for room in the socket, which a broker
 * under a memory alarm or a frozen one never gives, and (before 0.14) for a sign of life once the
 * heartbeat is overdue. So a message is sent frame by frame, and only when the socket takes the whole of
 * it; otherwise the caller is told to come back. */
#include "common/amqp/internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"

/* The kernel calls a socket writable when at least a third of its buffer is free (link.c asks for
 * one of 400 KiB): a message up to this size then fits, heartbeats and acknowledgements after it too. */
#define PUBLISH_MAX 98304

#define HEADERS_MAX    4
#define FRAME_OVERHEAD 8 /* of a body frame: its header and its end */

bool amqp_link_has_room(const struct amqp_link *link)
{
    struct pollfd socket = {.fd = amqp_get_sockfd(link->state), .events = POLLOUT};
    /* An error counts as room: the send then finds out which. */
    return poll(&socket, 1, 0) > 0;
}

/* While corked, the kernel gathers small frames into full packets. */
static void cork(const struct amqp_link *link, int on)
{
    (void)setsockopt(amqp_get_sockfd(link->state), IPPROTO_TCP, TCP_CORK, &on, sizeof on);
}

void amqp_link_gather(struct amqp_link *link)
{
    if (!link->gathers && !link->dead)
        cork(link, 1);
    link->gathers = !link->dead;
}

void amqp_link_flush(struct amqp_link *link)
{
    if (link->gathers && !link->dead)
        cork(link, 0);
    link->gathers = false;
}

static int send_method(struct amqp_link *link, const char *exchange, const char *key)
{
    amqp_basic_publish_t publish = {
        .exchange = amqp_text(exchange), .routing_key = amqp_text(key), .mandatory = true};
    return amqp_send_method(link->state, AMQP_CHANNEL, AMQP_BASIC_PUBLISH_METHOD, &publish);
}

static int send_header(struct amqp_link *link, const amqp_basic_properties_t *properties, size_t body_size)
{
    amqp_frame_t frame = {.frame_type = AMQP_FRAME_HEADER, .channel = AMQP_CHANNEL};
    frame.payload.properties.class_id = AMQP_BASIC_CLASS;
    frame.payload.properties.body_size = body_size;
    frame.payload.properties.decoded = (void *)(uintptr_t)properties;
    return amqp_send_frame(link->state, &frame);
}

static int send_body(struct amqp_link *link, amqp_bytes_t body)
{
    size_t most = (size_t)amqp_get_frame_max(link->state) - FRAME_OVERHEAD;
    int status = AMQP_STATUS_OK;

    for (size_t sent = 0; sent < body.len && status == AMQP_STATUS_OK;) {
        amqp_frame_t frame = {.frame_type = AMQP_FRAME_BODY, .channel = AMQP_CHANNEL};
        size_t left = body.len - sent;
        frame.payload.body_fragment.bytes = (char *)body.bytes + sent;
        frame.payload.body_fragment.len = left < most ? left : most;
        sent += frame.payload.body_fragment.len;
        status = amqp_send_frame(link->state, &frame);
    }
    return status;
}

/* Each message is mandatory: what has no queue comes back. */
static enum err send_message(struct amqp_link *link, const char *exchange, const char *key,
                             const amqp_basic_properties_t *properties, amqp_bytes_t body, uint64_t *tag)
{
    if (link->dead)
        return ERR_CLOSED;
    if (body.len > PUBLISH_MAX)
        return ERR_TOO_LARGE;
    if (link->blocked || !amqp_link_has_room(link))
        return ERR_AGAIN;

    if (!link->gathers)
        cork(link, 1);
    int status = send_method(link, exchange, key);
    if (status == AMQP_STATUS_OK)
        status = send_header(link, properties, body.len);
    if (status == AMQP_STATUS_OK)
        status = send_body(link, body);
    if (!link->gathers)
        cork(link, 0);
    if (status != AMQP_STATUS_OK)
        return amqp_link_fail(link, status);
    if (link->confirms)
        link->tags++;
    if (tag)
        *tag = link->tags;
    return ERR_OK;
}

static void add(amqp_table_t *table, amqp_table_entry_t entry)
{
    table->entries[table->num_entries++] = entry;
}

static amqp_basic_properties_t base_properties(const char *type, const char *message_id, int64_t wall_ms,
                                               const amqp_table_t *headers)
{
    return (amqp_basic_properties_t){
        ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_TYPE_FLAG |
                  AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_TIMESTAMP_FLAG | AMQP_BASIC_HEADERS_FLAG,
        .content_type = amqp_text("application/json"),
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
        .type = amqp_text(type),
        .message_id = amqp_text(message_id),
        .timestamp = (uint64_t)(wall_ms / 1000),
        .headers = *headers,
    };
}

/* The broker refuses another account's name, so a reader can believe this one (ws-notifier/accounts.h). */
static void sign(const struct amqp_link *link, amqp_basic_properties_t *properties)
{
    properties->_flags |= AMQP_BASIC_USER_ID_FLAG;
    properties->user_id = amqp_text(link->account);
}

static enum err publish_event(struct amqp_link *link, const char *exchange, const struct event_meta *meta,
                              const char *body, size_t length, uint64_t *tag)
{
    char id[EVENT_ID_SIZE];
    amqp_table_entry_t entries[HEADERS_MAX];
    amqp_table_t headers = {.num_entries = 0, .entries = entries};

    event_format_id(meta, id);
    add(&headers, amqp_number_entry("user_id", meta->user_id));
    add(&headers, amqp_number_entry("seq", (int64_t)meta->seq));
    add(&headers, amqp_text_entry("epoch", meta->epoch));
    if (meta->traceparent[0])
        add(&headers, amqp_text_entry("traceparent", meta->traceparent));

    amqp_basic_properties_t properties = base_properties(meta->type, id, meta->created_at_ms, &headers);
    sign(link, &properties);
    if (meta->request_id[0]) {
        properties._flags |= AMQP_BASIC_CORRELATION_ID_FLAG;
        properties.correlation_id = amqp_text(meta->request_id);
    }
    amqp_bytes_t bytes;
    bytes.len = length;
    bytes.bytes = (void *)(uintptr_t)body;
    return send_message(link, exchange, meta->type, &properties, bytes, tag);
}

enum err amqp_link_publish(struct amqp_link *link, const struct event_meta *meta, const char *body,
                           size_t length, uint64_t *tag)
{
    return publish_event(link, link->exchange, meta, body, length, tag);
}

enum err amqp_link_publish_straight(struct amqp_link *link, const struct event_meta *meta, const char *body,
                                    size_t length, uint64_t *tag)
{
    return publish_event(link, link->mark, meta, body, length, tag);
}

/* A message that is no event. */
static enum err publish_control(struct amqp_link *link, const char *exchange, const char *type,
                                const char *message_id, const char *epoch, amqp_bytes_t body, uint64_t *tag)
{
    amqp_table_entry_t entries[HEADERS_MAX];
    amqp_table_t headers = {.num_entries = 0, .entries = entries};
    if (epoch)
        add(&headers, amqp_text_entry("epoch", epoch));
    if (epoch && link->complete_ms >= 0)
        add(&headers, amqp_number_entry("complete", link->complete_ms));

    amqp_basic_properties_t properties = base_properties(type, message_id, clock_wall_ms(), &headers);
    if (epoch)
        sign(link, &properties);
    return send_message(link, exchange, "", &properties, body, tag);
}

enum err amqp_link_publish_beacon(struct amqp_link *link, const char *type, const char *message_id,
                                  const char *epoch, const char *body, size_t length, uint64_t *tag)
{
    amqp_bytes_t bytes;
    bytes.len = length;
    bytes.bytes = (void *)(uintptr_t)body;
    return publish_control(link, link->mark, type, message_id, epoch, bytes, tag);
}

void amqp_link_say_complete(struct amqp_link *link, int64_t complete_ms)
{
    link->complete_ms = complete_ms;
}

enum err amqp_link_publish_marker(struct amqp_link *link, const char *message_id)
{
    return publish_control(link, link->markers, EVENT_MARKER_TYPE, message_id, NULL, amqp_text("{}"), NULL);
}
