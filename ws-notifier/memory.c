/* SPDX-License-Identifier: MIT */
/* Each owner counts what it keeps; here the counts are added. The libraries do not tell what they hold for a
 * socket: that was measured (docs/performance.md). */
#include "ws-notifier/memory.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "ws-notifier/frame.h"
#include "ws-notifier/hub.h"
#include "ws-notifier/notifier_metrics.h"

#define SOCKET_BYTES       2000 /* of one that is open and quiet */
#define SUBSCRIPTION_BYTES 300
#define SOCKETS_SHARE      2  /* this part of the bound is for sockets and subscriptions */
#define UNFINISHED_SHARE   16 /* for messages that have come in part */
#define RING_SHARE         4  /* left to recent events as long as possible */
#define QUEUE_SHARE        4  /* to what waits for sockets */
#define CALM_PERCENT       90 /* below it, the next time is logged again */

struct memory {
    size_t max_bytes;
    struct feed *feed;
    struct client_rules *rules;
    struct metrics *metrics;
    bool told;
};

struct memory *memory_new(size_t max_bytes, struct feed *feed, struct client_rules *rules,
                          struct metrics *metrics)
{
    struct memory *memory = calloc(1, sizeof *memory);
    if (!memory)
        abort();
    memory->max_bytes = max_bytes;
    memory->feed = feed;
    memory->rules = rules;
    memory->metrics = metrics;
    return memory;
}

void memory_free(struct memory **memory)
{
    free(*memory);
    *memory = NULL;
}

enum err memory_check(const struct config *config, char *why, size_t size)
{
    int64_t wanted = config->ws_max_clients * SOCKET_BYTES * SOCKETS_SHARE;
    if (wanted <= config->notifier_memory_bytes)
        return ERR_OK;
    snprintf(why, size,
             "NOTIFIER_MEMORY_BYTES is %lld: WS_MAX_CLIENTS=%lld sockets want half of it, so it must be %lld "
             "at least",
             (long long)config->notifier_memory_bytes, (long long)config->ws_max_clients, (long long)wanted);
    return ERR_INVALID;
}

size_t memory_for_subscriptions(const struct config *config)
{
    int64_t rest = config->notifier_memory_bytes / SOCKETS_SHARE - config->ws_max_clients * SOCKET_BYTES;
    return (size_t)(config->ws_max_clients + rest / SUBSCRIPTION_BYTES);
}

size_t memory_for_unfinished(const struct config *config)
{
    return (size_t)config->notifier_memory_bytes / UNFINISHED_SHARE;
}

static size_t sockets_bytes(const struct memory *memory)
{
    size_t subscriptions = (size_t)metrics_get(memory->metrics, NOTIFIER_SUBSCRIPTIONS);
    return memory->rules->clients * SOCKET_BYTES + subscriptions * SUBSCRIPTION_BYTES;
}

/* Bytes in queues; a frame that the ring also has is counted there. */
static size_t waiting_bytes(const struct memory *memory)
{
    const struct ring *ring = feed_ring(memory->feed);
    return frames_bytes() + ring_index_bytes(ring) - ring_bytes(ring) + memory->rules->queue_bytes +
           memory->rules->unsent_bytes;
}

size_t memory_taken(const struct memory *memory)
{
    return sockets_bytes(memory) + ring_bytes(feed_ring(memory->feed)) + waiting_bytes(memory) +
           memory->rules->unfinished_bytes;
}

static bool has_room(const void *context)
{
    const struct memory *memory = context;
    return memory_taken(memory) <= memory->max_bytes;
}

/* Down to so many bytes, if need be. */
static void shorten_ring(struct memory *memory, size_t least)
{
    int64_t forgotten = 0;
    while (!has_room(memory) && ring_bytes(feed_ring(memory->feed)) > least &&
           feed_forget_oldest(memory->feed))
        forgotten++;
    metrics_add(memory->metrics, NOTIFIER_MEMORY_EVENTS, forgotten);
}

static bool waits_little(const void *context)
{
    const struct memory *memory = context;
    return has_room(memory) || waiting_bytes(memory) <= memory->max_bytes / QUEUE_SHARE;
}

static void close_slowest(struct memory *memory)
{
    int64_t before = metrics_get(memory->metrics, NOTIFIER_CLOSED_SLOW);
    clients_close_slowest(memory->rules, waits_little, memory);
    metrics_add(memory->metrics, NOTIFIER_MEMORY_CLOSED,
                metrics_get(memory->metrics, NOTIFIER_CLOSED_SLOW) - before);
}

void memory_relieve(struct memory *memory)
{
    size_t taken = memory_taken(memory);
    metrics_set(memory->metrics, NOTIFIER_MEMORY_BYTES, (int64_t)taken);
    if (taken <= memory->max_bytes) {
        if (taken < memory->max_bytes / 100 * CALM_PERCENT)
            memory->told = false;
        return;
    }
    if (!memory->told)
        log_warn(
            "the %zu bytes of NOTIFIER_MEMORY_BYTES are full: the oldest of the recent events go, then the "
            "slowest clients",
            memory->max_bytes);
    memory->told = true;
    shorten_ring(memory, memory->max_bytes / RING_SHARE);
    close_slowest(memory);
    shorten_ring(memory, 0);
    metrics_set(memory->metrics, NOTIFIER_MEMORY_BYTES, (int64_t)memory_taken(memory));
}
