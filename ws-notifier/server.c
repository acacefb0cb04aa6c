/* SPDX-License-Identifier: MIT */
/* libwebsockets on our libuv loop.
 *
 * Of the library's own services two are left unused. Its listening socket: ours can take any address, and
 * stop. Its ping timers: they stand in one sorted list, through which every answered ping walks; with
 * thousands of sockets that is the whole CPU; we have a wheel. */
#include "ws-notifier/server_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "common/log.h"

static_assert(FRAME_HEADROOM >= LWS_PRE, "frames need more room before their text");

#define RECEIVE_PIECE     512        /* a browser's messages are short; longer ones come in pieces */
#define WRITE_WHOLE       (2u << 20) /* above the largest event: never cut a frame into 4 KiB writes */
#define OTHER_DESCRIPTORS 128        /* log, broker, loop... */
#define GUESTS            256        /* sockets above WS_MAX_CLIENTS: to be told 4429, and for HTTP */
#define TURN_SOCKETS      512        /* written to in a turn; then connects and the stream get theirs */
#define PAUSE_MS          1000       /* a tick that is so late came after a pause */
#define WATCH_MS          1000
#define BUSY_SHARE        20 /* a twentieth of a processor */

/* ---- the library's callbacks --------------------------------------------------------------------- */

static void count_socket(struct server *server, struct lws *wsi)
{
    lws_set_opaque_user_data(wsi, server);
    server->sockets++;
}

static void uncount_socket(struct server *server, struct lws *wsi)
{
    if (!lws_get_opaque_user_data(wsi))
        return; /* one of the library's own */
    server->sockets--;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
    struct server *server = lws_context_user(lws_get_context(wsi));
    struct session *session = user;

    switch (reason) {
    case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
        count_socket(server, wsi);
        break;
    case LWS_CALLBACK_WSI_DESTROY:
        uncount_socket(server, wsi);
        break;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return http_upgrade(server, wsi, in); /* the library would speak HTTP/2, too */
    case LWS_CALLBACK_HTTP:
        return http_request(server, wsi, session, in);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return http_writeable(server, wsi, session);
    case LWS_CALLBACK_ESTABLISHED:
        session_open(server, wsi, session, false);
        break;
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_CLOSED_HTTP:
        if (session && session->client)
            session_close(server, session);
        else if (session)
            frame_unref(&session->page);
        break;
    case LWS_CALLBACK_RECEIVE:
        session_receive(server, session, in, length);
        break;
    case LWS_CALLBACK_RECEIVE_PONG:
        session_pong(server, session);
        break;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        session_peer_closes(session, in, length);
        break;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return session_writeable(server, session);
    case LWS_CALLBACK_TIMER:
        return session_goodbye(session);
    default:
        break;
    }
    return 0;
}

/* ---- time ---------------------------------------------------------------------------------------- */

static int64_t look(void *context, struct wheel_entry *entry, int64_t now_ms)
{
    return session_check(context, session_of(entry), now_ms);
}

int64_t server_now(struct server *server)
{
    int64_t now_ms = (int64_t)uv_now(server->loop), gap_ms = now_ms - server->seen_ms;
    if (gap_ms > PAUSE_MS) {
        log_warn("stood still for %lld ms: no client is held to account for that time", (long long)gap_ms);
        server->paused_ms += gap_ms - WHEEL_TICK_MS;
    }
    server->seen_ms = now_ms;
    return now_ms - server->paused_ms;
}

static bool weigh(void *context, struct wheel_entry *entry)
{
    struct server *server = context;
    session_weigh(server, session_of(entry), server_now(server));
    return true;
}

static int64_t used_cpu_us(void)
{
    struct timespec used = {0};
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

/* What is no message the library does not tell of: empty fragments and pings come ten million a second from
 * one socket. So once a second, and only while there is much to do, it is looked what each has sent. Looking
 * is no such work: where the kernel must be asked for it, 16,000 sockets take a twentieth of a processor. */
static void watch_floods(struct server *server, int64_t now_ms)
{
    if (now_ms - server->watch_ms < WATCH_MS)
        return;
    bool busy = (used_cpu_us() - server->watch_cpu_us) * BUSY_SHARE > (now_ms - server->watch_ms) * 1000;
    server->watch_ms = now_ms;
    if (busy && server->config->ws_max_bytes_s > 0)
        wheel_each(&server->wheel, weigh, server);
    server->weighing = busy; /* the first time only notes what came before */
    server->watch_cpu_us = used_cpu_us();
}

static void on_tick(uv_timer_t *timer)
{
    struct server *server = timer->data;
    int64_t now_ms = server_now(server);

    wheel_turn(&server->wheel, now_ms);
    watch_floods(server, now_ms);
    if (server->listener && server->sockets < server->max_sockets)
        listener_resume(server->listener);
    memory_relieve(server->memory);
    quota_tick(server->quota, now_ms);
    leave_tick(server);
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* that it is active is all */
}

/* At the end of a turn of the loop what waits is written, for some sockets and then some more. */
static void on_before_sleep(uv_prepare_t *prepare)
{
    struct server *server = prepare->data;
    for (int i = 0; server->due && i < TURN_SOCKETS; i++) {
        struct session *session = server->due;
        write_never(server, session);
        if (!write_session(server, session))
            session_drop(server, session);
    }
    if (server->due)
        uv_idle_start(&server->stay_awake, on_idle);
    else
        uv_idle_stop(&server->stay_awake);
}

/* ---- opening ------------------------------------------------------------------------------------- */

static void wake(void *socket)
{
    struct session *session = socket;
    struct server *server = lws_context_user(lws_get_context(session->wsi));
    if (client_closing(session->client) && !session->goodbye)
        session_begin_goodbye(server, session);
    if (session->events)
        http_write_soon(session);
    else
        write_soon(server, session);
}

static bool check_one(void *context, struct wheel_entry *entry)
{
    const struct server *server = context;
    reception_check(server->reception, session_of(entry)->client);
    return true;
}

/* Sessions were ended: their sockets are looked for now, not with the next check up to a second later. */
static void check_all(void *context)
{
    struct server *server = context;
    wheel_each(&server->wheel, check_one, server);
}

static void relieve(void *memory)
{
    memory_relieve(memory);
}

static bool take_socket(void *context, int fd)
{
    struct server *server = context;
    /* The library closes what it cannot adopt. */
    (void)lws_adopt_socket_vhost(server->vhost, fd);
    return server->sockets < server->max_sockets;
}

static void log_library(int level, const char *line)
{
    int length = (int)strcspn(line, "\n");
    if (level == LLL_ERR)
        log_warn("libwebsockets: %.*s", length, line);
    else
        log_debug("libwebsockets: %.*s", length, line);
}

/* The library sizes its tables by the limit of descriptors: raise it to what is needed, lower it to that. */
static void limit_descriptors(struct server *server)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)server->config->ws_max_clients + GUESTS + OTHER_DESCRIPTORS;

    server->max_clients = (size_t)server->config->ws_max_clients;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        if (limit.rlim_max < wanted) {
            log_warn("the system allows %llu descriptors, WS_MAX_CLIENTS=%lld needs %llu",
                     (unsigned long long)limit.rlim_max, (long long)server->config->ws_max_clients,
                     (unsigned long long)wanted);
            wanted = limit.rlim_max;
            server->max_clients =
                wanted > GUESTS + OTHER_DESCRIPTORS ? wanted - GUESTS - OTHER_DESCRIPTORS : 1;
        }
        limit.rlim_cur = wanted;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    server->max_sockets = server->max_clients + GUESTS;
}

static enum err create_context(struct server *server)
{
    static const struct lws_protocols protocols[] = {
        {.name = "carillon",
         .callback = on_event,
         .per_session_data_size = sizeof(struct session),
         .rx_buffer_size = RECEIVE_PIECE,
         .tx_packet_size = WRITE_WHOLE},
        {.name = NULL},
    };
    static const lws_retry_bo_t no_timers = {.secs_since_valid_ping = 0, .secs_since_valid_hangup = 0};
    void *loops[] = {server->loop};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_VALIDATE_UTF8,
        .foreign_loops = loops,
        .user = server,
        .pcontext = &server->context,
        .retry_and_idle_policy = &no_timers,
        .timeout_secs_ah_idle = (unsigned)server->config->ws_headers_s,
        .timeout_secs = (unsigned)server->config->ws_headers_s,
        .keepalive_timeout = (int)server->config->ws_headers_s,
        .max_http_header_data = HEADERS_MAX,
    };

    lws_set_log_level(LLL_ERR | LLL_WARN, log_library);
    server->context = lws_create_context(&info);
    if (!server->context)
        return ERR_SYSTEM;
    server->vhost = lws_get_vhost_by_name(server->context, "default");
    return server->vhost ? ERR_OK : ERR_SYSTEM;
}

static void open_time(struct server *server)
{
    server->seen_ms = server->watch_ms = (int64_t)uv_now(server->loop);
    wheel_init(&server->wheel, server->seen_ms, look, server);
    server->batch = malloc(WRITE_BATCH);
    if (!server->batch)
        abort();
    uv_timer_init(server->loop, &server->timer);
    uv_prepare_init(server->loop, &server->before_sleep);
    uv_idle_init(server->loop, &server->stay_awake);
    server->timer.data = server->before_sleep.data = server;
    uv_timer_start(&server->timer, on_tick, WHEEL_TICK_MS, WHEEL_TICK_MS);
    uv_prepare_start(&server->before_sleep, on_before_sleep);
}

enum err server_open(uv_loop_t *loop, const struct config *config, struct reception *reception,
                     struct feed *feed, struct metrics *metrics, struct server **out, char *why, size_t size)
{
    struct server *server = calloc(1, sizeof *server);
    if (!server)
        abort();
    server->loop = loop;
    server->config = config;
    server->reception = reception;
    server->feed = feed;
    server->metrics = metrics;
    server->rules = (struct client_rules){.max_frames = (size_t)config->ws_queue_frames,
                                          .max_bytes = (size_t)config->ws_queue_bytes,
                                          .wake = wake,
                                          .replay = reception_replay,
                                          .context = reception,
                                          .metrics = metrics};
    server->max_unfinished = memory_for_unfinished(config);
    server->memory = memory_new((size_t)config->notifier_memory_bytes, feed, &server->rules, metrics);
    feed_on_growth(feed, relieve, server->memory);
    server->quota = quota_new(config);
    reception_use_quota(reception, server->quota);
    reception_on_end(reception, check_all, server);
    *out = server;
    limit_descriptors(server);
    guard_open(server->max_sockets + OTHER_DESCRIPTORS);
    open_time(server);
    if (create_context(server) != ERR_OK) {
        snprintf(why, size, "libwebsockets cannot start");
        return ERR_SYSTEM;
    }
    return listener_open(loop, config->ws_host, config->ws_port, take_socket, server, &server->listener, why,
                         size);
}

/* ---- closing ------------------------------------------------------------------------------------- */

void server_stop(struct server *server)
{
    listener_close(&server->listener);
    uv_close((uv_handle_t *)&server->timer, NULL);
    uv_close((uv_handle_t *)&server->before_sleep, NULL);
    uv_close((uv_handle_t *)&server->stay_awake, NULL);
    server->drained = NULL;
    /* Starts to close; the second call, once the loop is empty, frees. */
    if (server->context)
        lws_context_destroy(server->context);
}

void server_free(struct server **server)
{
    if (!*server)
        return;
    if ((*server)->context)
        lws_context_destroy((*server)->context);
    guard_close();
    memory_free(&(*server)->memory);
    free((*server)->batch);
    quota_free(&(*server)->quota);
    free(*server);
    *server = NULL;
}
