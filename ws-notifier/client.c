/* A socket's queue. It exists only while something waits: most sockets are idle most of the time, and there
 * are thousands. */
#include "ws-notifier/client.h"

#include <assert.h>
#include <stdlib.h>

#include "ws-notifier/notifier_metrics.h"

#define FIRST_CAPACITY 4

struct client {
    const struct client_rules *rules;
    void *socket;
    struct subscription *subscriptions;
    struct frame **queue; /* a circle of `capacity`, NULL while empty */
    uint32_t capacity, first, count;
    uint16_t closing; /* enum close_code */
    size_t bytes;     /* of the texts that wait */
    struct client_identity identity;
};

struct client *client_new(const struct client_rules *rules, void *socket)
{
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        abort();
    client->rules = rules;
    client->socket = socket;
    return client;
}

static void drop_queue(struct client *client)
{
    struct frame *frame;
    while ((frame = client_next(client)) != NULL)
        frame_unref(&frame);
}

void client_free(struct client **client)
{
    if (!*client)
        return;
    assert(!(*client)->subscriptions);
    drop_queue(*client);
    free(*client);
    *client = NULL;
}

bool client_has_room(const struct client *client, size_t frames, size_t bytes)
{
    return client->count + frames <= client->rules->max_frames &&
           client->bytes + bytes <= client->rules->max_bytes;
}

size_t client_room(const struct client *client)
{
    return client->rules->max_frames - client->count;
}

static void grow(struct client *client)
{
    uint32_t capacity = client->capacity ? client->capacity * 2 : FIRST_CAPACITY;
    struct frame **queue = malloc(capacity * sizeof(struct frame *));
    if (!queue)
        abort();
    for (uint32_t i = 0; i < client->count; i++)
        queue[i] = client->queue[(client->first + i) % client->capacity];
    free(client->queue);
    client->queue = queue;
    client->capacity = capacity;
    client->first = 0;
}

bool client_send(struct client *client, struct frame *frame)
{
    if (client->closing)
        return false;
    /* A single frame is always taken, however large: somebody who reads must not be called slow. */
    if (client->count > 0 && !client_has_room(client, 1, frame->length)) {
        client_close(client, CLOSE_TOO_SLOW);
        return false;
    }
    if (client->count == client->capacity)
        grow(client);
    client->queue[(client->first + client->count) % client->capacity] = frame_ref(frame);
    client->bytes += frame->length;
    metrics_add(client->rules->metrics, NOTIFIER_QUEUE_BYTES, frame->length);
    if (client->count++ == 0)
        client->rules->wake(client->socket);
    return true;
}

struct frame *client_next(struct client *client)
{
    if (client->count == 0)
        return NULL;
    struct frame *frame = client->queue[client->first];
    client->first = (client->first + 1) % client->capacity;
    client->bytes -= frame->length;
    metrics_add(client->rules->metrics, NOTIFIER_QUEUE_BYTES, -(int64_t)frame->length);
    if (--client->count == 0) {
        free(client->queue);
        client->queue = NULL;
        client->capacity = client->first = 0;
    }
    return frame;
}

size_t client_waiting(const struct client *client)
{
    return client->count;
}

static const struct {
    const char *reason;
    enum close_code code;
    enum notifier_metric metric;
    bool keeps_queue;
} close_codes[] = {
#define X(name, code, reason, metric, keeps_queue) {reason, name, metric, keeps_queue},
    CLOSE_CODES(X)
#undef X
};

static size_t find_code(enum close_code code)
{
    size_t i = 0;
    while (close_codes[i].code != code) {
        i++;
        assert(i < sizeof close_codes / sizeof *close_codes);
    }
    return i;
}

void client_close(struct client *client, enum close_code code)
{
    if (client->closing)
        return;
    client->closing = (uint16_t)code;
    if (!close_codes[find_code(code)].keeps_queue)
        drop_queue(client);
    metrics_add(client->rules->metrics, close_codes[find_code(code)].metric, 1);
    client->rules->wake(client->socket);
}

enum close_code client_closing(const struct client *client)
{
    return (enum close_code)client->closing;
}

const char *close_reason(enum close_code code)
{
    return close_codes[find_code(code)].reason;
}

struct client_identity *client_identity(struct client *client)
{
    return &client->identity;
}

struct subscription **client_subscriptions(struct client *client)
{
    return &client->subscriptions;
}
