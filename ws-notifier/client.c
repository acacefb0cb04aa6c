/* SPDX-License-Identifier: MIT */
/* A socket's queue. It exists only while something waits: most sockets are idle most of the time, and there
 * are thousands. */
#include "ws-notifier/client.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

#include "ws-notifier/notifier_metrics.h"

#define FIRST_CAPACITY 4 /* and then powers of two */

/* One of both. */
struct entry {
    struct frame *frame;
    struct subscription *replay;
};

struct queue {
    struct queue *prev, *next; /* of all clients */
    struct client *client;
    size_t bytes; /* of the texts that wait */
    uint32_t capacity, first, count;
    struct entry entries[]; /* a circle of `capacity` */
};

struct client {
    struct client_rules *rules;
    void *socket;
    struct subscription *subscriptions;
    struct queue *queue; /* NULL while empty */
    struct client_identity identity;
    struct quota_guest guest;
    uint16_t closing; /* enum close_code */
};

struct client *client_new(struct client_rules *rules, void *socket)
{
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        abort();
    client->rules = rules;
    client->socket = socket;
    rules->clients++;
    return client;
}

/* ---- the queue ----------------------------------------------------------------------------------- */

static size_t size_of(const struct queue *queue)
{
    return sizeof *queue + queue->capacity * sizeof *queue->entries;
}

static struct entry *nth(struct queue *queue, uint32_t n)
{
    return &queue->entries[(queue->first + n) & (queue->capacity - 1)];
}

static void drop_queue(struct client *client)
{
    struct queue *queue = client->queue;
    if (!queue)
        return;
    for (uint32_t n = 0; n < queue->count; n++)
        frame_unref(&nth(queue, n)->frame);
    metrics_add(client->rules->metrics, NOTIFIER_QUEUE_BYTES, -(int64_t)queue->bytes);
    client->rules->queue_bytes -= size_of(queue);
    DL_DELETE(client->rules->queues, queue);
    free(queue);
    client->queue = NULL;
}

static void set_capacity(struct client *client, uint32_t capacity)
{
    struct queue *before = client->queue;
    struct queue *queue = calloc(1, sizeof *queue + capacity * sizeof *queue->entries);
    if (!queue)
        abort();
    queue->client = client;
    queue->capacity = capacity;
    if (before) {
        for (; queue->count < before->count; queue->count++)
            queue->entries[queue->count] = *nth(before, queue->count);
        queue->bytes = before->bytes;
        client->rules->queue_bytes -= size_of(before);
        DL_DELETE(client->rules->queues, before);
        free(before);
    }
    client->rules->queue_bytes += size_of(queue);
    DL_APPEND(client->rules->queues, queue);
    client->queue = queue;
}

static void append(struct client *client, struct entry entry)
{
    bool first = !client->queue;
    if (first)
        set_capacity(client, FIRST_CAPACITY);
    else if (client->queue->count == client->queue->capacity)
        set_capacity(client, client->queue->capacity * 2);
    *nth(client->queue, client->queue->count++) = entry;
    if (first)
        client->rules->wake(client->socket);
}

static void take_first(struct client *client)
{
    struct queue *queue = client->queue;
    queue->first = (queue->first + 1) & (queue->capacity - 1);
    if (--queue->count == 0)
        drop_queue(client);
}

void client_free(struct client **client)
{
    if (!*client)
        return;
    assert(!(*client)->subscriptions);
    drop_queue(*client);
    free((*client)->identity.groups);
    (*client)->rules->clients--;
    free(*client);
    *client = NULL;
}

static bool has_room(const struct client *client, size_t bytes)
{
    const struct queue *queue = client->queue;
    return queue->count < client->rules->max_frames && queue->bytes + bytes <= client->rules->max_bytes;
}

bool client_send(struct client *client, struct frame *frame)
{
    if (client->closing)
        return false;
    /* A single frame is always taken, however large: a client that reads must not be closed as slow. */
    if (client->queue && !has_room(client, frame->length)) {
        client_close(client, CLOSE_TOO_SLOW);
        return false;
    }
    append(client, (struct entry){.frame = frame_ref(frame)});
    client->queue->bytes += frame->length;
    metrics_add(client->rules->metrics, NOTIFIER_QUEUE_BYTES, frame->length);
    return true;
}

void client_replay(struct client *client, struct subscription *subscription)
{
    if (!client->closing)
        append(client, (struct entry){.replay = subscription});
}

/* NULL: all of them. */
static void end_replays(struct client *client, const struct subscription *subscription)
{
    struct queue *queue = client->queue;
    uint32_t kept = 0;

    for (uint32_t n = 0; queue && n < queue->count; n++) {
        const struct entry *entry = nth(queue, n);
        if (entry->frame || (subscription && entry->replay != subscription))
            *nth(queue, kept++) = *entry;
    }
    if (!queue)
        return;
    queue->count = kept;
    if (kept == 0)
        drop_queue(client);
}

void client_end_replay(struct client *client, const struct subscription *subscription)
{
    end_replays(client, subscription);
}

struct frame *client_next(struct client *client)
{
    if (!client->queue)
        return NULL;
    struct entry *entry = nth(client->queue, 0);
    struct frame *frame = entry->frame;
    bool more = false;

    if (frame) {
        client->queue->bytes -= frame->length;
        metrics_add(client->rules->metrics, NOTIFIER_QUEUE_BYTES, -(int64_t)frame->length);
    } else {
        more = client->rules->replay(client->rules->context, entry->replay, &frame);
    }
    entry->frame = NULL; /* it is the caller's now */
    if (!more)
        take_first(client);
    return frame;
}

size_t client_waiting(const struct client *client)
{
    return client->queue ? client->queue->count : 0;
}

/* ---- closing ------------------------------------------------------------------------------------- */

void client_close(struct client *client, enum close_code code)
{
    if (client->closing)
        return;
    client->closing = (uint16_t)code;
    if (close_keeps_queue(code))
        end_replays(client, NULL);
    else
        drop_queue(client);
    metrics_add(client->rules->metrics, close_metric(code), 1);
    client->rules->wake(client->socket);
}

enum close_code client_closing(const struct client *client)
{
    return (enum close_code)client->closing;
}

static size_t most_waiting(const struct client_rules *rules)
{
    const struct queue *queue;
    size_t most = 0;
    DL_FOREACH(rules->queues, queue)
    {
        if (!queue->client->closing && queue->bytes > most)
            most = queue->bytes;
    }
    return most;
}

/* A client with half as much waiting as the slowest is slow, too. So one search closes many, where many are
 * slow. */
void clients_close_slowest(struct client_rules *rules, bool (*enough)(const void *context),
                           const void *context)
{
    size_t most;
    while (!enough(context) && (most = most_waiting(rules)) > 0) {
        struct queue *queue, *next;
        DL_FOREACH_SAFE(rules->queues, queue, next)
        {
            if (!queue->client->closing && queue->bytes >= most - most / 2 && !enough(context))
                client_close(queue->client, CLOSE_TOO_SLOW);
        }
    }
}

struct client_identity *client_identity(struct client *client)
{
    return &client->identity;
}

struct quota_guest *client_guest(struct client *client)
{
    return &client->guest;
}

struct subscription **client_subscriptions(struct client *client)
{
    return &client->subscriptions;
}
