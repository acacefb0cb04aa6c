/* SPDX-License-Identifier: MIT */
/* The health of database and broker, kept in the pool's metrics. */
#include "fcgi-api/publisher/health.h"

#include "fcgi-api/api_metrics.h"

void health_connected(struct metrics *metrics, bool connected, int64_t now_ms)
{
    if (connected)
        health_confirmed(metrics, now_ms);
    metrics_set(metrics, API_BROKER_CONNECTED, connected);
}

void health_blocked(struct metrics *metrics, bool blocked)
{
    metrics_set(metrics, API_BROKER_BLOCKED, blocked);
}

void health_confirmed(struct metrics *metrics, int64_t now_ms)
{
    metrics_set(metrics, API_BROKER_CONFIRMED_MS, now_ms);
}

enum broker_health health_broker(const struct metrics *metrics, int64_t now_ms)
{
    if (metrics_get(metrics, API_BROKER_BLOCKED) != 0)
        return BROKER_BLOCKED;
    if (metrics_get(metrics, API_BROKER_CONNECTED) == 0)
        return BROKER_DOWN;
    if (now_ms - metrics_get(metrics, API_BROKER_CONFIRMED_MS) > HEALTH_SILENT_MS)
        return BROKER_SILENT;
    return BROKER_UP;
}

const char *health_broker_word(enum broker_health health)
{
    static const char *const words[] = {
        [BROKER_DOWN] = "down", [BROKER_BLOCKED] = "blocked", [BROKER_SILENT] = "silent", [BROKER_UP] = "up"};
    return words[health];
}

bool health_events_leave(const struct metrics *metrics, int64_t now_ms)
{
    return health_broker(metrics, now_ms) == BROKER_UP &&
           metrics_get(metrics, API_OUTBOX_OLDEST_MS) <= HEALTH_LEAVES_MS;
}

bool health_writes_refused(const struct metrics *metrics, int64_t now_ms)
{
    int64_t refused_at = metrics_get(metrics, API_DB_REFUSED_MS);
    return refused_at != 0 && now_ms - refused_at <= HEALTH_REFUSED_MS;
}
