/* SPDX-License-Identifier: MIT */
/* HTTP over kept connections, and MQTT over one WebSocket. */
#include "bench/trigger.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "bench/dialect.h"

#define ANSWER_MAX 16384

struct slot {
    struct watch watch; /* first: a watch is turned into its slot */
    unsigned number;
    enum { SLOT_CLOSED, SLOT_CONNECTING, SLOT_IDLE, SLOT_WAITING } state;
    uint32_t event;
    size_t request_length, answer_length;
    char request[1024];
    char answer[ANSWER_MAX];
};

static enum trigger_kind kind;
static struct address address;
static trigger_done *done;
static struct slot *slots;

/* ---- HTTP: the answer ---------------------------------------------------------------------------- */

static const char *header(const char *answer, const char *end, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = answer; at < end; at = strstr(at, "\r\n") + 2)
        if (strncasecmp(at, name, length) == 0)
            return at + length;
    return NULL;
}

/* The end of the chunks, or NULL while it has not come. */
static const char *after_chunks(const char *at, const char *end)
{
    while (at < end) {
        char *digits_end;
        size_t size = strtoul(at, &digits_end, 16);
        const char *line_end = memmem(digits_end, (size_t)(end - digits_end), "\r\n", 2);
        if (!line_end || line_end + 2 + size + 2 > end)
            return NULL;
        at = line_end + 2 + size + 2;
        if (size == 0)
            return at;
    }
    return NULL;
}

/* The status when the whole answer is there, -1 before. */
static int answer_status(const struct slot *slot, bool *keep)
{
    const char *answer = slot->answer, *end = answer + slot->answer_length;
    const char *head_end = memmem(answer, slot->answer_length, "\r\n\r\n", 4);
    if (!head_end)
        return -1;
    const char *body = head_end + 4;
    const char *length = header(answer, head_end, "content-length:");
    const char *connection = header(answer, head_end, "connection:");
    int status = atoi(answer + 9);
    *keep = !connection || strncasecmp(connection + strspn(connection, " "), "close", 5) != 0;
    if (length)
        return (size_t)(end - body) >= strtoul(length, NULL, 10) ? status : -1;
    if (header(answer, head_end, "transfer-encoding:"))
        return after_chunks(body, end) ? status : -1;
    return status;
}

/* ---- HTTP: a slot -------------------------------------------------------------------------------- */

static void close_slot(struct slot *slot)
{
    loop_forget(&slot->watch);
    slot->state = SLOT_CLOSED;
}

static void finish(struct slot *slot, int status, bool keep)
{
    if (keep)
        slot->state = SLOT_IDLE;
    else
        close_slot(slot);
    done(slot->number, slot->event, status);
}

static void put_request(struct slot *slot)
{
    slot->state = SLOT_WAITING;
    slot->answer_length = 0;
    ssize_t sent = send(slot->watch.fd, slot->request, slot->request_length, MSG_NOSIGNAL);
    if (sent != (ssize_t)slot->request_length)
        finish(slot, 0, false);
}

static void receive(struct slot *slot)
{
    bool keep = false;
    ssize_t got = recv(slot->watch.fd, slot->answer + slot->answer_length,
                       sizeof slot->answer - 1 - slot->answer_length, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0 && slot->state == SLOT_IDLE) { /* the server may close an idle connection */
        close_slot(slot);
        return;
    }
    if (got <= 0) {
        finish(slot, 0, false);
        return;
    }
    slot->answer_length += (size_t)got;
    slot->answer[slot->answer_length] = '\0';
    int status = answer_status(slot, &keep);
    if (status >= 0)
        finish(slot, status, keep);
    else if (slot->answer_length == sizeof slot->answer - 1)
        fail("an answer of more than %d bytes", ANSWER_MAX);
}

static void slot_ready(struct watch *watch, uint32_t events)
{
    struct slot *slot = (struct slot *)watch;
    if (slot->state == SLOT_CONNECTING) {
        if (events & (EPOLLERR | EPOLLHUP)) {
            finish(slot, 0, false);
            return;
        }
        loop_change(watch, EPOLLIN);
        put_request(slot);
        return;
    }
    receive(slot);
}

static void http_send(struct slot *slot)
{
    if (slot->state == SLOT_IDLE) {
        put_request(slot);
        return;
    }
    slot->watch = (struct watch){.fd = address_connect(&address), .ready = slot_ready};
    slot->state = SLOT_CONNECTING;
    loop_watch(&slot->watch, EPOLLOUT);
}

static void make_request(struct slot *slot, const char *method, const char *path, const char *body)
{
    int length = snprintf(slot->request, sizeof slot->request,
                          "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
                          "Content-Length: %zu\r\n\r\n%s",
                          method, path, address.host, strlen(body), body);
    slot->request_length = (size_t)length;
}

/* ---- MQTT ---------------------------------------------------------------------------------------- */

static struct wsock publisher;
static bool publisher_ready;

static void mqtt_request(struct wsock *wsock, char *path, size_t path_size, char *headers,
                         size_t headers_size)
{
    (void)wsock;
    snprintf(path, path_size, "%s", address.path);
    snprintf(headers, headers_size, "Sec-WebSocket-Protocol: mqtt\r\n");
}

static void mqtt_opened(struct wsock *wsock)
{
    mqtt_connect(wsock, "bench-publisher", true);
}

static void mqtt_packet(struct wsock *wsock, unsigned char type, const unsigned char *body, size_t length)
{
    (void)wsock;
    if (type >> 4 == 2)
        publisher_ready = true;
    if (type >> 4 == 4 && length >= 2) {
        unsigned number = ((unsigned)body[0] << 8 | body[1]) - 1;
        done(number, slots[number].event, 200);
    }
}

static void mqtt_message(struct wsock *wsock, const char *payload, size_t length)
{
    mqtt_read(wsock, payload, length, mqtt_packet);
}

static void mqtt_closed(struct wsock *wsock, const char *why)
{
    (void)wsock;
    fail("the publisher's connection: %s", why);
}

static const struct wsock_events mqtt_events = {mqtt_request, mqtt_opened, mqtt_message, mqtt_closed};

/* As long as Carillon's own frame, for servers that make none themselves. */
static void frame(char *text, size_t size, uint32_t task, uint32_t user, const char *content)
{
    snprintf(
        text, size,
        "{\"type\":\"notification\",\"event\":\"task.completed\",\"message\":\"task %u has been completed at "
        "Fri Feb 02 2024 20:55:23 GMT+0000 (Coordinated Universal Time)\",\"task\":{\"id\":%u,\"user_id\":%u,"
        "\"status\":1,\"content\":\"%s\",\"createdAt\":\"2024-01-02T17:00:00.000Z\","
        "\"completedAt\":\"2024-02-02T20:54:23.000Z\"}}",
        task, task, user, content);
}

/* ---- all of them --------------------------------------------------------------------------------- */

void trigger_init(enum trigger_kind which, const struct address *to, unsigned count, trigger_done *tell)
{
    kind = which;
    address = *to;
    done = tell;
    slots = calloc(count, sizeof *slots);
    if (!slots)
        abort();
    for (unsigned i = 0; i < count; i++) {
        slots[i].number = i;
        slots[i].watch.fd = -1;
    }
    if (kind == TRIGGER_MQTT)
        wsock_open(&publisher, &address, &mqtt_events);
}

bool trigger_ready(void)
{
    return kind != TRIGGER_MQTT || publisher_ready;
}

void trigger_send(unsigned number, uint32_t event, uint32_t task, uint32_t user, const char *content)
{
    struct slot *slot = &slots[number];
    char path[160], body[640] = "";
    slot->event = event;
    switch (kind) {
    case TRIGGER_PATCH:
        snprintf(path, sizeof path, "/tasks/%u", task);
        snprintf(body, sizeof body, "{\"status\":1,\"content\":\"%s\"}", content);
        make_request(slot, "PATCH", path, body);
        break;
    case TRIGGER_GET:
        snprintf(path, sizeof path, "/tasks/%u", task);
        make_request(slot, "GET", path, "");
        break;
    case TRIGGER_POST:
        snprintf(path, sizeof path, "%s?id=%u", address.path, user);
        frame(body, sizeof body, task, user, content);
        make_request(slot, "POST", path, body);
        break;
    case TRIGGER_MQTT:
        snprintf(path, sizeof path, "users/%u", user);
        frame(body, sizeof body, task, user, content);
        mqtt_publish(&publisher, path, 1, number + 1, body, strlen(body));
        return;
    }
    http_send(slot);
}
