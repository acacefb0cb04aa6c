/* SPDX-License-Identifier: MIT */
/* Carillon, the twin with `ws`, nchan, MQTT: what a client sends, and how it reads the answers. */
#include "bench/dialect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct dialect *dialect;
static const struct address *address;
static const struct client_events *events;
static bool remember;

static void subscribed(struct client *client)
{
    if (client->subscribed)
        return;
    client->subscribed = true;
    events->subscribed(client);
}

static void path_as_given(struct client *client, char *path, size_t size)
{
    (void)client;
    snprintf(path, size, "%s", address->path);
}

/* ---- Carillon and the twin: JSON ----------------------------------------------------------------- */

static void json_opened(struct client *client)
{
    char text[160];
    int length = snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"user_id\":%u}", client->user);
    wsock_send(&client->wsock, WSOCK_TEXT, text, (size_t)length);
}

static bool starts_with(const char *payload, size_t length, const char *text)
{
    return length >= strlen(text) && memcmp(payload, text, strlen(text)) == 0;
}

static void twin_message(struct client *client, const char *payload, size_t length)
{
    if (starts_with(payload, length, "{\"type\":\"subscribe\""))
        subscribed(client);
    else
        events->heard(client, payload, length);
}

static void carillon_opened(struct client *client)
{
    char text[240];
    int length = 0;
    if (!remember) {
        json_opened(client);
        return;
    }
    if (client->resumes)
        length = snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"user_id\":%u,\"since\":\"%s\"}",
                          client->user, client->place);
    else
        length = snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"user_id\":%u,\"since\":null}",
                          client->user);
    wsock_send(&client->wsock, WSOCK_TEXT, text, (size_t)length);
}

/* The number in "cursor":"EPOCH:SEQ", 0 when there is none; copies the cursor's text if wanted. */
static uint64_t read_cursor(const char *payload, size_t length, char *text)
{
    static const char key[] = "\"cursor\":\"";
    const char *at = memmem(payload, length, key, sizeof key - 1);
    if (!at)
        return 0;
    at += sizeof key - 1;
    size_t size = strcspn(at, "\"");
    const char *colon = memchr(at, ':', size);
    if (text && size < PLACE_SIZE)
        snprintf(text, PLACE_SIZE, "%.*s", (int)size, at);
    return colon ? strtoull(colon + 1, NULL, 10) : 0;
}

static void carillon_answer(struct client *client, const char *payload, size_t length)
{
    if (!remember) {
        subscribed(client);
        return;
    }
    bool recovered = memmem(payload, length, "\"recovered\":true", 16) != NULL;
    if (client->resumes) {
        client->seq = strtoull(strchr(client->place, ':') + 1, NULL, 10);
        if (!recovered)
            events->failed(client, "could not come back with its cursor");
    } else {
        client->seq = read_cursor(payload, length, client->place);
    }
    subscribed(client);
}

static void carillon_message(struct client *client, const char *payload, size_t length)
{
    if (starts_with(payload, length, "{\"type\":\"subscribe\"")) {
        carillon_answer(client, payload, length);
        return;
    }
    if (starts_with(payload, length, "{\"type\":\"heartbeat\""))
        return;
    if (!starts_with(payload, length, "{\"type\":\"notification\"")) {
        events->failed(client, "was told something unexpected");
        return;
    }
    uint64_t seq = read_cursor(payload, length < 160 ? length : 160, NULL);
    if (client->seq != 0 && seq != client->seq + 1)
        events->out_of_order(client, client->seq + 1, seq);
    client->seq = seq;
    events->heard(client, payload, length);
}

/* ---- nchan: a message is its body, after its id when the client is to come back ------------------ */

static void nchan_path(struct client *client, char *path, size_t size)
{
    if (client->resumes)
        snprintf(path, size, "%s?id=%u&last_event_id=%s", address->path, client->user, client->place);
    else
        snprintf(path, size, "%s?id=%u", address->path, client->user);
}

static void nchan_opened(struct client *client)
{
    if (!remember || client->resumes)
        subscribed(client);
}

static void nchan_message(struct client *client, const char *payload, size_t length)
{
    /* Its place is that of the last message before it subscribed. */
    if (remember && !client->resumes && !client->subscribed && starts_with(payload, length, "id: ")) {
        snprintf(client->place, sizeof client->place, "%.*s", (int)strcspn(payload + 4, "\r\n"), payload + 4);
        subscribed(client);
        return;
    }
    events->heard(client, payload, length);
}

/* ---- MQTT 3.1.1 ---------------------------------------------------------------------------------- */

enum {
    MQTT_CONNECT = 1,
    MQTT_CONNACK,
    MQTT_PUBLISH,
    MQTT_PUBACK,
    MQTT_SUBSCRIBE = 8,
    MQTT_SUBACK,
    MQTT_PINGREQ = 12
};

static void mqtt_send(struct wsock *wsock, unsigned char first, const char *body, size_t length)
{
    char packet[1024], *at = packet;
    if (length > sizeof packet - 3)
        fail("an MQTT packet of %zu bytes is more than a client sends", length);
    *at++ = (char)first;
    if (length > 127) {
        *at++ = (char)(length % 128 | 128);
        *at++ = (char)(length / 128);
    } else {
        *at++ = (char)length;
    }
    memcpy(at, body, length);
    wsock_send(wsock, WSOCK_BINARY, packet, (size_t)(at - packet) + length);
}

static size_t put_text(char *at, const char *text, size_t length)
{
    at[0] = (char)(length >> 8);
    at[1] = (char)length;
    memcpy(at + 2, text, length);
    return length + 2;
}

void mqtt_connect(struct wsock *wsock, const char *id, bool clean)
{
    char body[128] = {0, 4, 'M', 'Q', 'T', 'T', 4, clean ? 2 : 0, 0, 60};
    mqtt_send(wsock, MQTT_CONNECT << 4, body, 10 + put_text(body + 10, id, strlen(id)));
}

void mqtt_publish(struct wsock *wsock, const char *topic, unsigned quality, unsigned packet_id,
                  const char *payload, size_t length)
{
    char body[900];
    size_t at = put_text(body, topic, strlen(topic));
    if (quality > 0) {
        body[at++] = (char)(packet_id >> 8);
        body[at++] = (char)packet_id;
    }
    memcpy(body + at, payload, length);
    mqtt_send(wsock, (unsigned char)(MQTT_PUBLISH << 4 | quality << 1), body, at + length);
}

void mqtt_read(struct wsock *wsock, const char *payload, size_t length, mqtt_visit *visit)
{
    const unsigned char *at = (const unsigned char *)payload, *end = at + length;
    while (at + 2 <= end && wsock->state == WSOCK_OPEN) {
        unsigned char type = *at++;
        size_t size = 0;
        for (unsigned shift = 0; at < end; shift += 7) {
            size |= (size_t)(*at & 127) << shift;
            if ((*at++ & 128) == 0)
                break;
        }
        if (at + size > end)
            fail("an MQTT packet in two WebSocket messages, which nobody sends here");
        visit(wsock, type, at, size);
        at += size;
    }
}

static void mqtt_opened(struct client *client)
{
    char id[32];
    snprintf(id, sizeof id, "bench%u", client->index);
    mqtt_connect(&client->wsock, id, !remember);
}

static void mqtt_subscribe(struct client *client)
{
    char topic[32], body[64] = {0, 1};
    int length = snprintf(topic, sizeof topic, "users/%u", client->user);
    size_t at = 2 + put_text(body + 2, topic, (size_t)length);
    body[at++] = remember ? 1 : 0;
    mqtt_send(&client->wsock, MQTT_SUBSCRIBE << 4 | 2, body, at);
}

static void mqtt_published(struct client *client, unsigned char type, const unsigned char *body,
                           size_t length)
{
    size_t topic = length >= 2 ? (size_t)body[0] << 8 | body[1] : 0;
    size_t at = 2 + topic;
    if ((type & 0x06) != 0) {
        mqtt_send(&client->wsock, MQTT_PUBACK << 4, (const char *)body + at, 2);
        at += 2;
    }
    if (at <= length)
        events->heard(client, (const char *)body + at, length - at);
}

static void mqtt_packet(struct wsock *wsock, unsigned char type, const unsigned char *body, size_t length)
{
    struct client *client = (struct client *)wsock;
    switch (type >> 4) {
    case MQTT_CONNACK:
        if (length < 2 || body[1] != 0)
            events->failed(client, "was refused");
        else if (client->resumes) /* the session keeps its subscriptions */
            subscribed(client);
        else
            mqtt_subscribe(client);
        break;
    case MQTT_SUBACK:
        subscribed(client);
        break;
    case MQTT_PUBLISH:
        mqtt_published(client, type, body, length);
        break;
    default:
        break;
    }
}

static void mqtt_message(struct client *client, const char *payload, size_t length)
{
    mqtt_read(&client->wsock, payload, length, mqtt_packet);
}

void client_keep_alive(struct client *client)
{
    if (dialect->keeps_alive && client->wsock.state == WSOCK_OPEN)
        mqtt_send(&client->wsock, MQTT_PINGREQ << 4, "", 0);
}

/* ---- the table ----------------------------------------------------------------------------------- */

static const struct dialect dialects[] = {
    {"carillon", "", path_as_given, carillon_opened, carillon_message, false},
    {"twin", "", path_as_given, json_opened, twin_message, false},
    {"nchan", "", nchan_path, nchan_opened, nchan_message, false},
    {"nchan-meta", "Sec-WebSocket-Protocol: ws+meta.nchan\r\n", nchan_path, nchan_opened, nchan_message,
     false},
    {"mqtt", "Sec-WebSocket-Protocol: mqtt\r\n", path_as_given, mqtt_opened, mqtt_message, true},
};

const struct dialect *dialect_find(const char *name)
{
    for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++)
        if (strcmp(dialects[i].name, name) == 0)
            return &dialects[i];
    return NULL;
}

/* ---- a client ------------------------------------------------------------------------------------ */

static void on_request(struct wsock *wsock, char *path, size_t path_size, char *headers, size_t headers_size)
{
    dialect->path((struct client *)wsock, path, path_size);
    snprintf(headers, headers_size, "%s", dialect->headers);
}

static void on_opened(struct wsock *wsock)
{
    dialect->opened((struct client *)wsock);
}

static void on_message(struct wsock *wsock, const char *payload, size_t length)
{
    dialect->message((struct client *)wsock, payload, length);
}

static void on_closed(struct wsock *wsock, const char *why)
{
    events->failed((struct client *)wsock, why);
}

static const struct wsock_events wsock_events = {on_request, on_opened, on_message, on_closed};

void clients_use(const struct dialect *use, const struct address *to, const struct client_events *tell,
                 bool come_back)
{
    dialect = use;
    address = to;
    events = tell;
    remember = come_back;
}

void client_open(struct client *client)
{
    client->subscribed = false;
    wsock_open(&client->wsock, address, &wsock_events);
}

void client_leave(struct client *client)
{
    if (client->wsock.state != WSOCK_DOWN)
        wsock_leave(&client->wsock);
}
