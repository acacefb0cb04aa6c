/* libwebsockets on our libuv loop.
 *
 * Of the library's own services two are left unused. Its listening socket: ours can take any address, and
 * stop. Its ping timers: they stand in one sorted list, through which every answered ping walks; with
 * thousands of sockets that is the whole CPU, while looking at each once a tick is nothing. */
#include "ws-notifier/server.h"

#include <assert.h>
#include <libwebsockets.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <utlist.h>

#include "common/log.h"
#include "common/strbuf.h"
#include "ws-notifier/client.h"
#include "ws-notifier/listener.h"
#include "ws-notifier/notifier_metrics.h"
#include "ws-notifier/pages.h"

static_assert(FRAME_HEADROOM >= LWS_PRE, "frames need more room before their text");

#define TICK_MS           250
#define RECEIVE_PIECE     512        /* a browser's messages are short; longer ones come in pieces */
#define WRITE_WHOLE       (2u << 20) /* above the largest event: never cut a frame into 4 KiB writes */
#define HEADERS_MAX       16384      /* of one request */
#define HANDSHAKE_S       10         /* to send it */
#define OTHER_DESCRIPTORS 128        /* log, broker, loop... */
#define GUESTS            256        /* sockets above WS_MAX_CLIENTS: to be told 4429, and for HTTP */
#define GOODBYE_MS        10000      /* a closing socket that takes nothing is dropped after */
#define DRAIN_SPREAD_MS   2000
#define DRAIN_LIMIT_MS    4000

/* One connection; the library keeps it beside its own. */
struct session {
    struct session *prev, *next; /* while it is a WebSocket */
    struct lws *wsi;
    struct client *client;
    struct strbuf *pieces; /* of a message not yet whole */
    struct frame *page;    /* HTTP: the body still to be written */
    int64_t heard_ms;      /* when the peer last showed life */
    int64_t goodbye_ms;    /* closing since; 0: not */
    bool ping_due, ping_out;
    bool choked; /* the last write did not fit into the socket */
};

struct server {
    const struct config *config;
    struct reception *reception;
    const struct feed *feed;
    struct metrics *metrics;
    uv_loop_t *loop;
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct listener *listener;
    struct client_rules rules;
    uv_timer_t timer;
    struct session *sessions;
    size_t clients, max_clients;
    size_t sockets, max_sockets;
    int64_t drain_ms; /* since when; 0: not */
    size_t drain_step;
    void (*drained)(void *context);
    void *drained_context;
};

/* ---- plain HTTP ---------------------------------------------------------------------------------- */

static int send_page(struct server *server, struct lws *wsi, struct session *session, struct page *page)
{
    unsigned char buffer[LWS_PRE + 1024], *start = buffer + LWS_PRE, *at = start;
    unsigned char *end = buffer + sizeof buffer - 1;
    bool head = lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
    (void)server;

    if (lws_add_http_common_headers(wsi, (unsigned)page->status, page->content_type, page->body.length, &at,
                                    end))
        return -1;
    if (lws_add_http_header_by_name(
            wsi, (const unsigned char *)"cache-control:", (const unsigned char *)"no-store", 8, &at, end))
        return -1;
    if (page->upgrade && lws_add_http_header_by_name(wsi, (const unsigned char *)"upgrade:",
                                                     (const unsigned char *)"websocket", 9, &at, end))
        return -1;
    if (lws_finalize_write_http_header(wsi, start, &at, end))
        return -1;
    if (head)
        return lws_http_transaction_completed(wsi) ? -1 : 0;
    session->page = frame_new(page->body.text, page->body.length);
    lws_callback_on_writable(wsi);
    return 0;
}

static int on_http(struct server *server, struct lws *wsi, struct session *session, const char *path)
{
    struct page page;
    page_make(&page, path, server->feed, server->metrics);
    int result = send_page(server, wsi, session, &page);
    strbuf_free(&page.body);
    return result;
}

static int on_http_writeable(struct lws *wsi, struct session *session)
{
    if (!session->page)
        return 0;
    int length = (int)session->page->length;
    int written = lws_write(wsi, session->page->bytes + FRAME_HEADROOM, (size_t)length, LWS_WRITE_HTTP_FINAL);
    frame_unref(&session->page);
    if (written < length)
        return -1;
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

/* ---- a WebSocket comes and goes ------------------------------------------------------------------ */

static void wake(void *socket)
{
    struct session *session = socket;
    lws_callback_on_writable(session->wsi);
}

static void on_established(struct server *server, struct lws *wsi, struct session *session)
{
    memset(session, 0, sizeof *session);
    session->wsi = wsi;
    session->heard_ms = (int64_t)uv_now(server->loop);
    session->client = client_new(&server->rules, session);
    DL_APPEND(server->sessions, session);
    metrics_add(server->metrics, NOTIFIER_CONNECTS, 1);
    metrics_set(server->metrics, NOTIFIER_CLIENTS, (int64_t)++server->clients);
    if (server->drain_ms)
        client_close(session->client, CLOSE_RESTART);
    else if (server->clients > server->max_clients)
        client_close(session->client, CLOSE_TOO_MANY);
}

static void free_pieces(struct session *session)
{
    if (!session->pieces)
        return;
    strbuf_free(session->pieces);
    free(session->pieces);
    session->pieces = NULL;
}

static void on_closed(struct server *server, struct session *session)
{
    if (!session->client)
        return;
    enum close_code code = client_closing(session->client);
    if (code == CLOSE_TOO_SLOW || code == CLOSE_TOO_BIG)
        log_info("closed a client: %d %s", (int)code, close_reason(code));
    reception_leave(server->reception, session->client);
    client_free(&session->client);
    free_pieces(session);
    DL_DELETE(server->sessions, session);
    metrics_set(server->metrics, NOTIFIER_CLIENTS, (int64_t)--server->clients);
}

/* A callback that returns -1 has the library send the close frame, wait for the answer and close. Only not
 * from a WRITEABLE callback: a library built with _DEBUG, as Debian's is, then closes twice on libuv, and
 * the second time at once. So the last step is left to a timer that is due immediately. */
static void arrange_goodbye(struct session *session)
{
    lws_set_timer_usecs(session->wsi, 1);
}

static int say_goodbye(struct session *session)
{
    const char *reason = close_reason(client_closing(session->client));
    lws_close_reason(session->wsi, (enum lws_close_status)client_closing(session->client),
                     (unsigned char *)(uintptr_t)reason, strlen(reason));
    return -1;
}

/* ---- reading ------------------------------------------------------------------------------------- */

static void take_message(struct server *server, struct session *session, const char *text, size_t length)
{
    if (lws_frame_is_binary(session->wsi))
        reception_refuse(server->reception, session->client, "binary messages are not understood here");
    else
        reception_take(server->reception, session->client, text, length);
}

static void on_receive(struct server *server, struct session *session, const char *text, size_t length)
{
    size_t before = session->pieces ? session->pieces->length : 0;
    bool whole = lws_is_final_fragment(session->wsi);

    session->heard_ms = (int64_t)uv_now(server->loop);
    if (client_closing(session->client))
        return;
    if (before + length > (size_t)server->config->ws_max_message_bytes) {
        free_pieces(session);
        client_close(session->client, CLOSE_TOO_BIG);
        return;
    }
    if (!session->pieces && whole) {
        take_message(server, session, text, length);
        return;
    }
    if (!session->pieces) {
        session->pieces = calloc(1, sizeof *session->pieces);
        if (!session->pieces)
            abort();
    }
    strbuf_add(session->pieces, text, length);
    if (whole) {
        take_message(server, session, session->pieces->text, session->pieces->length);
        free_pieces(session);
    }
    return;
}

static void on_pong(struct server *server, struct session *session)
{
    session->heard_ms = (int64_t)uv_now(server->loop);
    session->ping_out = false;
}

/* ---- writing ------------------------------------------------------------------------------------- */

static int write_ping(struct session *session)
{
    /* Not empty: of an empty pong the library does not tell. */
    unsigned char buffer[LWS_PRE + 1] = {0};
    buffer[LWS_PRE] = '.';
    session->ping_due = false;
    session->ping_out = true;
    return lws_write(session->wsi, buffer + LWS_PRE, 1, LWS_WRITE_PING) < 1 ? -1 : 0;
}

static int write_frame(struct server *server, struct session *session, struct frame *frame)
{
    int length = (int)frame->length;
    int written = lws_write(session->wsi, frame->bytes + FRAME_HEADROOM, frame->length, LWS_WRITE_TEXT);
    frame_unref(&frame);
    if (written < length)
        return -1;
    metrics_add(server->metrics, NOTIFIER_FRAMES, 1);
    session->choked = lws_partial_buffered(session->wsi);
    return 0;
}

/* One write each time: the library says when the next one will not have to be stored. */
static int on_writeable(struct server *server, struct session *session)
{
    struct client *client = session->client;
    int result = 0;

    if (session->choked) {
        /* The peer has taken what was stuck: that, too, is a sign of life. */
        session->choked = false;
        session->heard_ms = (int64_t)uv_now(server->loop);
    }
    if (session->ping_due && !client_closing(client)) {
        result = write_ping(session);
    } else if (client_waiting(client) > 0) {
        result = write_frame(server, session, client_next(client));
    } else if (client_closing(client)) {
        arrange_goodbye(session);
        return 0;
    }
    if (!result && (client_waiting(client) > 0 || client_closing(client)))
        lws_callback_on_writable(session->wsi);
    return result;
}

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
    if (server->listener)
        listener_resume(server->listener);
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
    case LWS_CALLBACK_HTTP:
        return on_http(server, wsi, session, in);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return on_http_writeable(wsi, session);
    case LWS_CALLBACK_CLOSED_HTTP:
        if (session)
            frame_unref(&session->page);
        break;
    case LWS_CALLBACK_ESTABLISHED:
        on_established(server, wsi, session);
        break;
    case LWS_CALLBACK_CLOSED:
        on_closed(server, session);
        break;
    case LWS_CALLBACK_RECEIVE:
        on_receive(server, session, in, length);
        break;
    case LWS_CALLBACK_RECEIVE_PONG:
        on_pong(server, session);
        break;
    case LWS_CALLBACK_TIMER:
        return say_goodbye(session);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return on_writeable(server, session);
    default:
        break;
    }
    return 0;
}

/* ---- time ---------------------------------------------------------------------------------------- */

/* Without a close frame: this peer does not take one. */
static void drop(struct server *server, struct session *session)
{
    lws_set_timeout(session->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
    lws_cancel_service(server->context); /* or its timer would not be noticed */
}

static void check_session(struct server *server, struct session *session, int64_t now_ms)
{
    int64_t ping_ms = server->config->ws_ping_s * 1000, pong_ms = server->config->ws_pong_timeout_s * 1000;
    int64_t silent_ms = now_ms - session->heard_ms;

    if (client_closing(session->client)) {
        if (!session->goodbye_ms)
            session->goodbye_ms = now_ms;
        if (now_ms - session->goodbye_ms >= GOODBYE_MS)
            drop(server, session);
    } else if (silent_ms >= ping_ms + pong_ms) {
        metrics_add(server->metrics, NOTIFIER_CLOSED_DEAD, 1);
        log_info("closed a client: it answers no ping");
        session->heard_ms = now_ms;
        drop(server, session);
    } else if (silent_ms >= ping_ms && !session->ping_due && !session->ping_out) {
        session->ping_due = true;
        lws_callback_on_writable(session->wsi);
    }
}

static void drain_some(struct server *server, int64_t now_ms)
{
    struct session *session;
    size_t closed = 0;
    DL_FOREACH(server->sessions, session)
    {
        if (closed == server->drain_step)
            break;
        if (client_closing(session->client))
            continue;
        client_close(session->client, CLOSE_RESTART);
        closed++;
    }
    if (server->sessions && now_ms - server->drain_ms < DRAIN_LIMIT_MS)
        return;
    void (*drained)(void *context) = server->drained;
    server->drained = NULL;
    if (drained)
        drained(server->drained_context);
}

static void on_tick(uv_timer_t *timer)
{
    struct server *server = timer->data;
    struct session *session;
    int64_t now_ms = (int64_t)uv_now(server->loop);

    DL_FOREACH(server->sessions, session)
    {
        check_session(server, session, now_ms);
    }
    if (server->drain_ms)
        drain_some(server, now_ms);
}

/* ---- opening ------------------------------------------------------------------------------------- */

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

/* The library takes room for headers for the moment of a handshake. In a storm of them that room would lie
 * between what stays, and never be given back; as mappings of its own it is. */
static void keep_headers_apart(void)
{
#ifdef __GLIBC__
    (void)mallopt(M_MMAP_THRESHOLD, HEADERS_MAX);
#endif
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
        .timeout_secs = HANDSHAKE_S,
        .keepalive_timeout = HANDSHAKE_S,
        .max_http_header_data = HEADERS_MAX,
    };

    keep_headers_apart();
    lws_set_log_level(LLL_ERR | LLL_WARN, log_library);
    server->context = lws_create_context(&info);
    if (!server->context)
        return ERR_SYSTEM;
    server->vhost = lws_get_vhost_by_name(server->context, "default");
    return server->vhost ? ERR_OK : ERR_SYSTEM;
}

enum err server_open(uv_loop_t *loop, const struct config *config, struct reception *reception,
                     const struct feed *feed, struct metrics *metrics, struct server **out, char *why,
                     size_t size)
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
                                          .metrics = metrics};
    *out = server;
    limit_descriptors(server);
    uv_timer_init(loop, &server->timer);
    server->timer.data = server;
    uv_timer_start(&server->timer, on_tick, TICK_MS, TICK_MS);
    if (create_context(server) != ERR_OK) {
        snprintf(why, size, "libwebsockets cannot start");
        return ERR_SYSTEM;
    }
    return listener_open(loop, config->ws_host, config->ws_port, take_socket, server, &server->listener, why,
                         size);
}

/* ---- closing ------------------------------------------------------------------------------------- */

void server_drain(struct server *server, void (*done)(void *context), void *context)
{
    listener_close(&server->listener);
    server->drained = done;
    server->drained_context = context;
    server->drain_ms = (int64_t)uv_now(server->loop);
    server->drain_step = server->clients * TICK_MS / DRAIN_SPREAD_MS + 50;
    drain_some(server, server->drain_ms);
}

void server_stop(struct server *server)
{
    listener_close(&server->listener);
    uv_close((uv_handle_t *)&server->timer, NULL);
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
    free(*server);
    *server = NULL;
}
