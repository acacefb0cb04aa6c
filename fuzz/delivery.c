/* SPDX-License-Identifier: MIT */
/* A broker's frames. They go through a socket into the library and our state machine; deliveries go on to the
 * feed and three browsers. An input is frames: type (1 byte), channel (1), length (2, big endian), so many
 * bytes of payload. */
#include "fuzz/fuzz.h"

#include "tests/property/shim.c"

#include <sys/socket.h>
#include <unistd.h>

#include "common/amqp/internal.h"
#include "common/utf8.h"

#define CLIENTS    3
#define WIRE_MAX   65536
#define FRAME_END  0xce
#define EVENTS_MAX 4096

/* ---- writing frames ------------------------------------------------------------------------------- */

static size_t lay_out(const uint8_t *data, size_t size, unsigned char *wire)
{
    size_t length = 0;
    while (size >= 4) {
        size_t payload = (size_t)data[2] << 8 | data[3];
        if (payload > size - 4)
            payload = size - 4;
        if (length + payload + 8 > WIRE_MAX)
            break;
        const unsigned char head[7] = {
            data[0], 0, data[1], 0, 0, (unsigned char)(payload >> 8), (unsigned char)payload};
        memcpy(wire + length, head, sizeof head);
        memcpy(wire + length + sizeof head, data + 4, payload);
        length += sizeof head + payload;
        wire[length++] = FRAME_END;
        data += 4 + payload;
        size -= 4 + payload;
    }
    return length;
}

static void open_link(struct amqp_link *link, const unsigned char *wire, size_t length)
{
    int ends[2], room = 4 * WIRE_MAX;
    memset(link, 0, sizeof *link);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    (void)setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    CHECK(send(ends[1], wire, length, MSG_DONTWAIT) == (ssize_t)length);
    close(ends[1]);
    link->state = amqp_new_connection();
    CHECK(link->state != NULL);
    snprintf(link->markers, sizeof link->markers, "tasks_completed.markers");
    amqp_socket_t *socket = amqp_tcp_socket_new(link->state);
    CHECK(socket != NULL);
    amqp_tcp_socket_set_sockfd(socket, ends[0]);
}

static void close_link(struct amqp_link *link)
{
    (void)amqp_destroy_connection(link->state);
    free(link->message.body);
}

/* ---- checking the results ------------------------------------------------------------------------- */

static bool is_epoch(const char *text)
{
    size_t length = strnlen(text, CURSOR_EPOCH_MAX + 1);
    for (size_t i = 0; i < length; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || ((text[i] | 32) >= 'a' && (text[i] | 32) <= 'z')))
            return false;
    return length >= 1 && length <= CURSOR_EPOCH_MAX;
}

static void check_delivery(const struct amqp_delivery *delivery)
{
    const struct event_meta *meta = &delivery->meta;
    CHECK(delivery->offset >= -1 && strlen(delivery->type) < 256 && strlen(delivery->message_id) < 256 &&
          strlen(delivery->account) < 256);
    CHECK(delivery->too_large == (delivery->body == NULL));
    if (delivery->body != NULL)
        CHECK(delivery->body[delivery->body_length] == '\0' && delivery->body_length <= AMQP_BODY_MAX);
    if (delivery->has_meta)
        CHECK(meta->user_id >= 1 && meta->user_id <= EVENT_ID_MAX && meta->seq >= 1 &&
              meta->seq <= CURSOR_SEQ_MAX && is_epoch(meta->epoch));
    for (const char *c = meta->request_id; *c != '\0'; c++)
        CHECK(*c > 0x20 && *c < 0x7f);
    for (const char *c = meta->traceparent; *c != '\0'; c++)
        CHECK(*c >= 0x20 && *c < 0x7f);
}

static bool is_passed_on(const char *text, const struct amqp_delivery *event)
{
    return event != NULL && event->has_meta && event->body != NULL && strcmp(text, event->body) == 0;
}

/* The notifier forwards our own events as they are; it makes all other frames itself, also those of other
 * programs. */
static void hear(struct client *client, const struct amqp_delivery *delivery)
{
    const char *text;
    while ((text = shim_hear(client)) != NULL) {
        size_t length = strlen(text);
        CHECK(length >= 2 && text[0] == '{' && text[length - 1] == '}' && utf8_valid(text, length));
        CHECK(is_passed_on(text, delivery) || fuzz_is_object(text, length));
    }
}

static void take(struct shim *shim, struct client *clients[CLIENTS], const struct amqp_delivery *delivery)
{
    check_delivery(delivery);
    feed_take(shim->feed, delivery);
    reception_answer_waiting(shim->reception);
    for (size_t i = 0; i < CLIENTS; i++)
        hear(clients[i], delivery);
}

static void check_event(const struct amqp_event *event)
{
    CHECK(event->kind <= AMQP_CANCEL);
    CHECK(strnlen(event->message_id, sizeof event->message_id) < sizeof event->message_id);
    CHECK(strnlen(event->reason, sizeof event->reason) < sizeof event->reason);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char wire[WIRE_MAX];
    struct client *clients[CLIENTS];
    struct amqp_link link;
    struct amqp_event event;
    int events = 0;

    size_t length = lay_out(data, size, wire);
    open_link(&link, wire, length);
    shim_set_clock(1700000000000);
    struct shim *shim = shim_new(65536, 900, 0, 64, 65536);
    shim_connected(shim, false);
    for (size_t i = 0; i < CLIENTS; i++) {
        char text[64];
        clients[i] = shim_connect(shim);
        snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"user_id\":%d}", (int)i + 1);
        shim_say(shim, clients[i], text);
        hear(clients[i], NULL);
    }
    shim_control(shim, 0, EVENT_MARKER_TYPE, "", 1700000000);

    enum err err;
    while ((err = amqp_link_poll(&link, 0, &event)) == ERR_OK && events++ < EVENTS_MAX) {
        check_event(&event);
        if (event.kind == AMQP_DELIVERY)
            take(shim, clients, &event.delivery);
    }
    if (err == ERR_CLOSED)
        CHECK(link.dead && strlen(link.why) > 0);

    for (size_t i = 0; i < CLIENTS; i++)
        shim_leave(shim, clients[i]);
    shim_free(shim);
    close_link(&link);
    return 0;
}
