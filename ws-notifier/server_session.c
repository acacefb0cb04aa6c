/* SPDX-License-Identifier: MIT */
/* One socket with a client behind it: what comes in goes to the reception, what waits in the client's queue
 * goes out, and a peer that gives no sign of life for too long is dropped. */
#include "ws-notifier/server_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "common/log.h"
#include "ws-notifier/notifier_metrics.h"
#include "ws-notifier/tcp.h"

#define GOODBYE_MS 10000 /* a closing socket that takes nothing is dropped after */
#define CHECK_MS   1000

/* ---- coming and going ---------------------------------------------------------------------------- */

void session_header(struct lws *wsi, enum lws_token_indexes header, char *value, size_t size)
{
    if (lws_hdr_total_length(wsi, header) <= 0 || lws_hdr_copy(wsi, value, (int)size, header) < 0)
        value[0] = '\0';
}

enum origin_verdict session_origin(const struct server *server, struct lws *wsi)
{
    char origin[SESSION_ORIGIN_SIZE], host[SESSION_ORIGIN_SIZE];
    session_header(wsi, WSI_TOKEN_ORIGIN, origin, sizeof origin);
    session_header(wsi, WSI_TOKEN_HOST, host, sizeof host);
    /* What does not fit is too long to be one of ours. */
    if (origin[0] == '\0' && lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN) > 0)
        return ORIGIN_FOREIGN_PAGE;
    if (host[0] == '\0' && lws_hdr_total_length(wsi, WSI_TOKEN_HOST) > 0)
        return ORIGIN_FOREIGN_HOST;
    const struct origin_rules rules = {server->config->allowed_origins, server->config->server_name,
                                       reception_is_open(server->reception)};
    return origin_judge(&rules, origin, host);
}

/* A client that sends its token with the upgrade is known from the beginning. */
static void welcome(struct server *server, struct lws *wsi, struct session *session)
{
    char authorization[SESSION_AUTHORIZATION_SIZE];
    bool sent = lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_AUTHORIZATION) > 0;
    session_header(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, authorization, sizeof authorization);
    reception_welcome(server->reception, session->client, sent ? authorization : NULL);
}

/* CLOSE_NOT, or what there are too many of. */
static enum close_code enter(struct server *server, struct lws *wsi, struct session *session)
{
    struct sockaddr_storage peer = {0};
    char forwarded[SESSION_FORWARDED_SIZE];
    struct address address = {0};
    socklen_t size = sizeof peer;

    if (server->clients > server->max_clients)
        return CLOSE_TOO_MANY;
    if (quota_asks_address(server->quota)) {
        (void)getpeername(lws_get_socket_fd(wsi), (struct sockaddr *)&peer, &size);
        session_header(wsi, WSI_TOKEN_X_FORWARDED_FOR, forwarded, sizeof forwarded);
        address = address_of((const struct sockaddr *)&peer, forwarded,
                             (enum address_trust)server->config->ws_trust_proxy);
    }
    return quota_enter(server->quota, client_guest(session->client),
                       quota_asks_address(server->quota) ? &address : NULL, server_now(server));
}

void session_open(struct server *server, struct lws *wsi, struct session *session, bool events)
{
    memset(session, 0, sizeof *session);
    session->wsi = wsi;
    session->events = events;
    session->since_ms = server_now(server);
    session->client = client_new(&server->rules, session);
    wheel_entry_init(&session->turn);
    wheel_put(&server->wheel, &session->turn, session->since_ms + CHECK_MS);
    if (!events)
        guard_begin(session);
    metrics_add(server->metrics, NOTIFIER_CONNECTS, 1);
    metrics_set(server->metrics, NOTIFIER_CLIENTS, (int64_t)++server->clients);
    enum close_code over = server->drain_ms ? CLOSE_RESTART : enter(server, wsi, session);
    if (over != CLOSE_NOT)
        client_close(session->client, over);
    else if (session_origin(server, wsi) != ORIGIN_WELCOME)
        client_close(session->client, CLOSE_ORIGIN);
    else
        welcome(server, wsi, session);
}

/* ---- messages that have come in part ------------------------------------------------------------- */

static void forget_unfinished(struct server *server, struct session *session)
{
    struct unfinished *unfinished = session->unfinished;
    if (!unfinished)
        return;
    server->rules.unfinished_bytes -= unfinished->text.capacity;
    DL_DELETE(server->unfinished, unfinished);
    strbuf_free(&unfinished->text);
    free(unfinished);
    session->unfinished = NULL;
}

/* Together they may take a share of the memory; beyond it those that began first are closed: an honest client
 * has sent the rest long ago. */
static void add_unfinished(struct server *server, struct session *session, const char *text, size_t length)
{
    struct unfinished *unfinished = session->unfinished;
    if (!unfinished) {
        unfinished = session->unfinished = calloc(1, sizeof *unfinished);
        if (!unfinished)
            abort();
        unfinished->session = session;
        DL_APPEND(server->unfinished, unfinished);
    }
    server->rules.unfinished_bytes -= unfinished->text.capacity;
    strbuf_add(&unfinished->text, text, length);
    server->rules.unfinished_bytes += unfinished->text.capacity;
    while (server->rules.unfinished_bytes > server->max_unfinished && server->unfinished &&
           server->unfinished->session != session) {
        struct session *oldest = server->unfinished->session;
        forget_unfinished(server, oldest);
        client_close(oldest->client, CLOSE_TOO_SLOW);
    }
}

void session_close(struct server *server, struct session *session)
{
    enum close_code code = client_closing(session->client);
    /* A client over a limit comes again and again: the metrics count it, the log does not. */
    if (code != CLOSE_NOT && code != CLOSE_RESTART && close_retry_after(code) == 0)
        log_info("closed a client: %d %s", close_status(code), close_reason(code));
    server->rules.unsent_bytes -= session->unsent;
    guard_end(session);
    reception_leave(server->reception, session->client);
    quota_leave(server->quota, client_guest(session->client));
    client_free(&session->client);
    forget_unfinished(server, session);
    wheel_take(&session->turn);
    write_never(server, session);
    metrics_set(server->metrics, NOTIFIER_CLIENTS, (int64_t)--server->clients);
}

void session_begin_goodbye(struct server *server, struct session *session)
{
    session->goodbye = true;
    session->since_ms = server_now(server);
    wheel_put(&server->wheel, &session->turn, session->since_ms + GOODBYE_MS);
}

/* A callback that returns -1 has the library send the close frame, wait for the answer and close. Only not
 * from a WRITEABLE callback: a library built with _DEBUG, as Debian's is, then closes twice on libuv, and
 * the second time at once. So the last step is left to a timer that is due immediately. */
static void say_goodbye(struct session *session)
{
    if (session->said)
        return;
    session->said = true;
    lws_set_timer_usecs(session->wsi, 1);
}

int session_goodbye(struct session *session)
{
    const char *reason = close_reason(client_closing(session->client));
    lws_close_reason(session->wsi, (enum lws_close_status)close_status(client_closing(session->client)),
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

void session_receive(struct server *server, struct session *session, const char *text, size_t length)
{
    size_t before = session->unfinished ? session->unfinished->text.length : 0;
    bool whole = lws_is_final_fragment(session->wsi);

    if (client_closing(session->client) || session->left)
        return; /* read away */
    session->since_ms = server_now(server);
    enum close_code over =
        quota_listen(server->quota, client_guest(session->client), length, whole, session->since_ms);
    if (over == CLOSE_NOT && before + length > (size_t)server->config->ws_max_message_bytes)
        over = CLOSE_TOO_BIG;
    if (over != CLOSE_NOT) {
        forget_unfinished(server, session);
        client_close(session->client, over);
        return;
    }
    if (whole && !session->unfinished) {
        take_message(server, session, text, length);
    } else {
        add_unfinished(server, session, text, length);
        if (whole) {
            const struct strbuf *message = &session->unfinished->text;
            take_message(server, session, message->text ? message->text : "", message->length);
            forget_unfinished(server, session);
        }
    }
    memory_relieve(server->memory);
}

/* A ping counts as a message: else it would be the cheapest way to keep the notifier busy. */
void session_guarded(struct server *server, struct session *session, const struct guard_verdict *verdict)
{
    int64_t now_ms = server_now(server);
    enum close_code fault = verdict->fault;

    for (unsigned i = 0; i < verdict->pings && fault == CLOSE_NOT; i++)
        fault = quota_listen(server->quota, client_guest(session->client), 0, true, now_ms);
    if (fault != CLOSE_NOT)
        client_close(session->client, fault);
    if (verdict->pongs > 0)
        session_pong(server, session);
    if (verdict->pings == 0 || client_closing(session->client))
        return;
    session->since_ms = now_ms;
    write_soon(server, session);
}

void session_peer_closes(struct session *session, unsigned char *payload, size_t length)
{
    session->left = true;
    if (length < 2)
        return;
    unsigned came = guard_closed_with(&session->guard); /* the library may have changed it already */
    unsigned code = guard_close_code(came ? came : (unsigned)(payload[0] << 8 | payload[1]));
    payload[0] = (unsigned char)(code >> 8);
    payload[1] = (unsigned char)code;
}

void session_pong(struct server *server, struct session *session)
{
    if (!session->goodbye)
        session->since_ms = server_now(server);
    session->ping_out = false;
}

void session_weigh(struct server *server, struct session *session, int64_t now_ms)
{
    uint32_t received = guard_watches(session) ? 0 : tcp_look(lws_get_socket_fd(session->wsi)).received;
    enum close_code over =
        quota_weigh(server->quota, client_guest(session->client), received, server->weighing, now_ms);
    if (over == CLOSE_NOT)
        return;
    if (client_closing(session->client)) /* it was told, and goes on */
        session_drop(server, session);
    else
        client_close(session->client, over);
}

/* ---- writing ------------------------------------------------------------------------------------- */

static bool has_more(const struct session *session)
{
    return client_waiting(session->client) > 0 || write_has_control(session) ||
           client_closing(session->client);
}

int session_writeable(struct server *server, struct session *session)
{
    if (session->unsent) {
        /* The peer has taken what was stuck: that, too, is a sign of life. */
        server->rules.unsent_bytes -= session->unsent;
        session->unsent = 0;
        if (!session->goodbye)
            session->since_ms = server_now(server);
    }
    if (client_closing(session->client) && client_waiting(session->client) == 0)
        say_goodbye(session);
    else if (has_more(session))
        write_soon(server, session);
    return 0;
}

/* ---- time ---------------------------------------------------------------------------------------- */

void session_drop(struct server *server, struct session *session)
{
    lws_set_timeout(session->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
    lws_cancel_service(server->context); /* or its timer would not be noticed */
}

/* A socket without a subscription takes the place of one with. When to look again. */
static int64_t check_silence(const struct server *server, struct session *session, int64_t now_ms)
{
    struct quota_guest *guest = client_guest(session->client);
    int64_t patience_s = server->config->ws_silent_s, now_s = now_ms / 1000 + 1; /* never 0 */

    if (*client_subscriptions(session->client) || patience_s == 0) {
        guest->silent_since_s = 0;
        return INT64_MAX;
    }
    if (guest->silent_since_s == 0)
        guest->silent_since_s = (uint32_t)now_s;
    if (now_s - guest->silent_since_s >= patience_s)
        client_close(session->client, CLOSE_SILENT);
    return now_ms + (guest->silent_since_s + patience_s - now_s) * 1000;
}

static int64_t check_goodbye(struct server *server, struct session *session, int64_t now_ms)
{
    int64_t limit_ms = session->since_ms + GOODBYE_MS;
    if (now_ms < limit_ms)
        return limit_ms;
    session_drop(server, session);
    return now_ms + GOODBYE_MS;
}

/* A slow reader: the ping waits behind megabytes, of which some have gone through since the last look. */
static bool still_takes(struct session *session)
{
    struct tcp_facts facts = tcp_look(lws_get_socket_fd(session->wsi));
    bool takes = (facts.waiting || session->unsent) && facts.acked != session->acked;
    session->acked = facts.acked;
    return takes;
}

static int64_t check_life(struct server *server, struct session *session, int64_t now_ms)
{
    uint32_t number = (uint32_t)lws_get_socket_fd(session->wsi);
    int64_t quiet_ms = wheel_spread(number, server->config->ws_ping_s * 1000);
    int64_t ping_ms = session->since_ms + quiet_ms;
    int64_t patience_ms = server->config->ws_pong_timeout_s * 1000;

    if (now_ms < ping_ms)
        return ping_ms;
    if (!session->ping_due && !session->ping_out) { /* only one that was pinged can be dead */
        session->ping_due = true;
        session->acked = tcp_look(lws_get_socket_fd(session->wsi)).acked;
        write_soon(server, session);
        return now_ms + patience_ms;
    }
    if (now_ms < ping_ms + patience_ms)
        return ping_ms + patience_ms;
    session->since_ms = now_ms;
    if (still_takes(session))
        return now_ms + quiet_ms;
    metrics_add(server->metrics, NOTIFIER_CLOSED_DEAD, 1);
    log_info("closed a client: it answers no ping");
    session_drop(server, session);
    return now_ms + quiet_ms;
}

/* An event stream says nothing, and so nothing comes of it but its end. */
static bool has_left(const struct session *session)
{
    char byte;
    ssize_t got = recv(lws_get_socket_fd(session->wsi), &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

int64_t session_check(struct server *server, struct session *session, int64_t now_ms)
{
    int64_t soon_ms = now_ms + CHECK_MS;

    reception_check(server->reception, session->client);
    int64_t silent_ms = check_silence(server, session, now_ms);
    if (client_closing(session->client))
        return check_goodbye(server, session, now_ms);
    if (session->events) { /* knows no pings: heartbeats and TCP's own patience must do */
        if (has_left(session))
            session_drop(server, session);
        return soon_ms;
    }
    int64_t due_ms = check_life(server, session, now_ms);
    if (silent_ms < due_ms)
        due_ms = silent_ms;
    /* Tokens expire at any time. */
    return reception_is_open(server->reception) || due_ms < soon_ms ? due_ms : soon_ms;
}
