/* SPDX-License-Identifier: MIT */
/* Clients are told to leave (CLOSE_RESTART), because the notifier ends or because another node hears more:
 * some at a time, so that they do not all reconnect at once. */
#include "ws-notifier/server_internal.h"

#define DRAIN_SPREAD_MS 2000
#define DRAIN_ANSWER_MS 500 /* after the last was told; a slower client finds the socket closed */
#define DRAIN_LIMIT_MS  4000

static bool tell_to_leave(void *context, struct wheel_entry *entry)
{
    struct server *server = context;
    struct session *session = session_of(entry);
    if (client_closing(session->client))
        return true;
    client_close(session->client, CLOSE_RESTART);
    return --server->drain_left > 0;
}

static void drain_some(struct server *server, int64_t now_ms)
{
    server->drain_left = server->drain_step;
    wheel_each(&server->wheel, tell_to_leave, server);
    if (server->drain_left < server->drain_step)
        server->told_ms = now_ms;
    if (server->clients > 0 && now_ms - server->told_ms < DRAIN_ANSWER_MS &&
        now_ms - server->drain_ms < DRAIN_LIMIT_MS)
        return;
    void (*drained)(void *context) = server->drained;
    server->drained = NULL;
    if (drained)
        drained(server->drained_context);
}

static size_t some_of(const struct server *server)
{
    return server->clients * WHEEL_TICK_MS / DRAIN_SPREAD_MS + 50;
}

static void send_some_away(struct server *server)
{
    size_t step = server->away_left < server->drain_step ? server->away_left : server->drain_step;
    server->drain_left = step;
    wheel_each(&server->wheel, tell_to_leave, server);
    server->away_left = server->drain_left > 0 ? 0 : server->away_left - step;
}

void leave_tick(struct server *server)
{
    if (server->drain_ms)
        drain_some(server, (int64_t)uv_now(server->loop));
    else if (server->away_left > 0)
        send_some_away(server);
}

void server_drain(struct server *server, void (*done)(void *context), void *context)
{
    listener_close(&server->listener);
    server->drained = done;
    server->drained_context = context;
    server->drain_ms = server->told_ms = (int64_t)uv_now(server->loop);
    server->drain_step = some_of(server);
    drain_some(server, server->drain_ms);
}

void server_send_away(struct server *server)
{
    server->away_left = server->clients;
    server->drain_step = some_of(server);
}
