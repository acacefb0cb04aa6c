/* SPDX-License-Identifier: MIT */
/* Requests that do not become WebSockets: a page and the end of the connection, or, at /events, the feed for
 * as long as the client stays. */
#include "ws-notifier/server_internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/random_id.h"
#include "ws-notifier/handshake.h"
#include "ws-notifier/notifier_metrics.h"
#include "ws-notifier/pages.h"
#include "ws-notifier/sse.h"

#define RESPONSE_HEADERS 1024
#define REQUEST_ID_MAX   64
#define RANDOM_ID_DIGITS 32
#define URI_MAX          HEADERS_MAX /* of a request, decoded */
#define HEADER_SIZE      1024
#define EVENT_STREAM     "text/event-stream"
#define RETRY_MS         2000 /* EventSource comes back after half to one and a half times as long */

/* ---- requests ------------------------------------------------------------------------------------ */

struct asked {
    char id[REQUEST_ID_MAX + 1];
    struct page_request request;
};

/* A header that the library does not know by itself ("name:"): its length, or -1. */
static int own_header(struct lws *wsi, const char *name, char *value, size_t size)
{
    int length = lws_hdr_custom_length(wsi, name, (int)strlen(name));
    value[0] = '\0';
    if (length >= 0 && (size_t)length < size)
        (void)lws_hdr_custom_copy(wsi, value, (int)size, name, (int)strlen(name));
    return length;
}

/* The id that nginx gave it, as the API takes it; a client that reaches the notifier without nginx may send
 * one, or gets one. */
static void begin(struct lws *wsi, const char *path, struct asked *asked)
{
    static const char sane[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    asked->request = (struct page_request){.path = path, .id = asked->id};
    (void)own_header(wsi, "x-request-id:", asked->id, sizeof asked->id);
    if (asked->id[0] == '\0' || asked->id[strspn(asked->id, sane)] != '\0')
        random_id_hex(asked->id, RANDOM_ID_DIGITS);
}

static bool is_head(struct lws *wsi)
{
    return lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
}

/* As every EventSource does, and hardly anything else. */
static bool wants_events(struct lws *wsi)
{
    char accept[HEADER_SIZE];
    session_header(wsi, WSI_TOKEN_HTTP_ACCEPT, accept, sizeof accept);
    return strcasestr(accept, "text/event-stream") != NULL;
}

static uint32_t any_number(void)
{
    uint32_t number = 0;
    (void)uv_random(NULL, NULL, &number, sizeof number, 0, NULL);
    return number;
}

/* ---- response headers ---------------------------------------------------------------------------- */

struct header {
    const char *name, *value;
};

static int write_headers(struct lws *wsi, int status, const char *content_type, lws_filepos_t length,
                         const struct header *headers)
{
    unsigned char buffer[LWS_PRE + RESPONSE_HEADERS], *start = buffer + LWS_PRE, *at = start;
    unsigned char *end = buffer + sizeof buffer - 1;

    if (lws_add_http_common_headers(wsi, (unsigned)status, content_type, length, &at, end))
        return -1;
    for (; headers->name; headers++)
        if (lws_add_http_header_by_name(wsi, (const unsigned char *)headers->name,
                                        (const unsigned char *)headers->value, (int)strlen(headers->value),
                                        &at, end))
            return -1;
    return lws_finalize_write_http_header(wsi, start, &at, end) ? -1 : 0;
}

/* ---- pages --------------------------------------------------------------------------------------- */

static int write_page_headers(struct lws *wsi, const struct asked *asked, const struct page *page)
{
    char seconds[16];
    struct header headers[8] = {{"cache-control:", "no-store"}, {"x-request-id:", asked->id}},
                  *next = headers + 2;
    if (page->bearer)
        *next++ = (struct header){"www-authenticate:", "Bearer realm=\"carillon\""};
    if (page->upgrade) {
        *next++ = (struct header){"connection:", "upgrade"};
        *next++ = (struct header){"upgrade:", "websocket"};
        *next++ = (struct header){"sec-websocket-version:", HANDSHAKE_VERSION};
    }
    if (page->retry_after_s) {
        snprintf(seconds, sizeof seconds, "%d", page->retry_after_s);
        *next++ = (struct header){"retry-after:", seconds};
    }
    return write_headers(wsi, page->status, page->content_type, page->body.length, headers);
}

/* Frees the page's body. */
static int send_page(struct lws *wsi, struct session *session, const struct asked *asked, struct page *page)
{
    int result = write_page_headers(wsi, asked, page);
    if (!result && is_head(wsi)) {
        result = lws_http_transaction_completed(wsi) ? -1 : 0;
    } else if (!result) {
        session->page = frame_new(page->body.text, page->body.length);
        lws_callback_on_writable(wsi);
    }
    strbuf_free(&page->body);
    return result;
}

static int write_page(struct lws *wsi, struct session *session)
{
    int length = (int)session->page->length;
    int written = lws_write(wsi, session->page->bytes + FRAME_HEADROOM, (size_t)length, LWS_WRITE_HTTP_FINAL);
    frame_unref(&session->page);
    if (written < length)
        return -1;
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

/* ---- Server-Sent Events -------------------------------------------------------------------------- */

/* A client that has to wait. An EventSource would not come back after a status that says so: it gets a stream
 * that ends, with the time after which it reconnects. */
static int send_wait(struct lws *wsi, struct session *session, const struct asked *asked,
                     enum page_problem problem, const char *why, int wait_s)
{
    struct page page;
    if (wants_events(wsi)) {
        page = (struct page){.status = 200, .content_type = EVENT_STREAM};
        sse_add_wait(&page.body, problem == PAGE_UNAVAILABLE ? "unavailable" : "limit", why, (unsigned)wait_s,
                     any_number());
    } else {
        page_problem(&page, problem, &asked->request, why, NULL);
        page.retry_after_s = wait_s;
    }
    return send_page(wsi, session, asked, &page);
}

/* The limits are known when the client is there: it leaves again. */
static int turn_away(struct server *server, struct lws *wsi, struct session *session,
                     const struct asked *asked, enum close_code over)
{
    session_close(server, session);
    session->events = false;
    return send_wait(wsi, session, asked, PAGE_TOO_MANY_REQUESTS, close_reason(over),
                     close_retry_after(over));
}

/* From an event stream the library reads nothing more, not even its end, of which the loop would tell again
 * and again: between two events it is not watched, and session_check() looks whether it has ended. (Watched
 * it must be to write: what is not read from is not served at all.) */
static void watch(struct lws *wsi, bool on)
{
    int change = on ? LWS_RXFLOW_REASON_APPLIES_ENABLE : LWS_RXFLOW_REASON_APPLIES_DISABLE;
    (void)lws_rx_flow_control(wsi, change | LWS_RXFLOW_REASON_USER_BOOL | LWS_RXFLOW_REASON_FLAG_PROCESS_NOW);
}

void http_write_soon(struct session *session)
{
    watch(session->wsi, true);
    lws_callback_on_writable(session->wsi);
}

static int write_events_headers(struct lws *wsi, const struct asked *asked)
{
    const struct header headers[] = {{"cache-control:", "no-store"},
                                     {"x-accel-buffering:", "no"},
                                     {"x-request-id:", asked->id},
                                     {NULL, NULL}};
    return write_headers(wsi, 200, EVENT_STREAM, LWS_ILLEGAL_HTTP_CONTENT_LEN, headers);
}

/* Before anything else, for a stream may break at any time. No empty line: the first event goes on. */
static int write_retry(struct lws *wsi)
{
    struct strbuf text = {0};
    sse_add_retry(&text, RETRY_MS, any_number());
    struct frame *frame = frame_new(text.text, text.length); /* for its headroom */
    strbuf_free(&text);
    int length = (int)frame->length;
    int written = lws_write(wsi, frame->bytes + FRAME_HEADROOM, frame->length, LWS_WRITE_HTTP);
    frame_unref(&frame);
    return written < length ? -1 : 0;
}

static int start_events(struct server *server, struct lws *wsi, struct session *session,
                        const struct asked *asked, const struct strbuf *message)
{
    unsigned patience_ms = (unsigned)(server->config->ws_ping_s + server->config->ws_pong_timeout_s) * 1000;

    session_open(server, wsi, session, true); /* reads the request's headers: they go with the answer's */
    reception_take(server->reception, session->client, message->text, message->length);
    enum close_code over = client_closing(session->client);
    if (over != CLOSE_NOT && close_retry_after(over) > 0)
        return turn_away(server, wsi, session, asked, over);
    if (write_events_headers(wsi, asked) || write_retry(wsi))
        return -1;
    /* It will stay: no timer, and the room of its request is given back. (lws_http_mark_sse() does the same,
     * and warns each time that this is not HTTP/2.) */
    lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
    lws_http_headers_detach(wsi);
    if (client_waiting(session->client) == 0)
        watch(wsi, false);
    (void)setsockopt(lws_get_socket_fd(wsi), IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, sizeof patience_ms);
    return 0;
}

/* False when it may listen; else *page says why not. */
static bool is_stranger(const struct server *server, struct lws *wsi, const struct asked *asked,
                        uint32_t user_id, struct page *page)
{
    char authorization[SESSION_AUTHORIZATION_SIZE], detail[160];
    const char *why = "";

    enum origin_verdict verdict = session_origin(server, wsi);
    if (verdict != ORIGIN_WELCOME) {
        page_problem(
            page, PAGE_FORBIDDEN, &asked->request,
            verdict == ORIGIN_FOREIGN_HOST
                ? "The Host is no name of this service, which is open and so answers only by its own: "
                  "use localhost, or see SERVER_NAME."
                : "Pages of this origin may not listen here: see ALLOWED_ORIGINS.",
            NULL);
        return true;
    }
    session_header(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, authorization, sizeof authorization);
    enum admission admission = reception_judge(server->reception, authorization, user_id, &why);
    if (admission == ADMISSION_GRANTED)
        return false;
    snprintf(detail, sizeof detail, "The token %s.", why);
    page_problem(page, admission == ADMISSION_FORBIDDEN ? PAGE_FORBIDDEN : PAGE_UNAUTHENTICATED,
                 &asked->request, detail, NULL);
    page->bearer = admission != ADMISSION_FORBIDDEN;
    return true;
}

/* Its arguments and Last-Event-ID. ERR_INVALID: *page says what is wrong with them. */
static enum err read_events_request(struct lws *wsi, const struct asked *asked, struct sse_request *request,
                                    struct strbuf *message, struct page *page)
{
    char last_event_id[CURSOR_TEXT_SIZE], text[URI_MAX];

    for (int i = 0; lws_hdr_copy_fragment(wsi, text, sizeof text, WSI_TOKEN_HTTP_URI_ARGS, i) >= 0; i++)
        sse_take_argument(request, text);
    int length = own_header(wsi, "last-event-id:", last_event_id, sizeof last_event_id);
    if (length >= 0) /* one that is longer than a cursor is none */
        sse_take_last_event_id(request, (size_t)length < sizeof last_event_id ? last_event_id : "?");
    if (sse_make_subscribe(request, message) == ERR_OK)
        return ERR_OK;
    page_problem(page, PAGE_VALIDATION, &asked->request,
                 request->wrong == 1 ? "A parameter is wrong: see errors."
                                     : "Some parameters are wrong: see errors.",
                 request->errors.text);
    return ERR_INVALID;
}

static int request_events(struct server *server, struct lws *wsi, struct session *session,
                          const struct asked *asked)
{
    struct sse_request request = {0};
    struct strbuf message = {0};
    struct page page;
    int result;

    if (read_events_request(wsi, asked, &request, &message, &page) != ERR_OK ||
        is_stranger(server, wsi, asked, request.user_id, &page))
        result = send_page(wsi, session, asked, &page);
    else if (server->drain_ms || server->clients >= server->max_clients)
        result = send_wait(wsi, session, asked, PAGE_UNAVAILABLE,
                           "There is no room for another listener now.", close_retry_after(CLOSE_TOO_MANY));
    else if (is_head(wsi))
        result = write_events_headers(wsi, asked) || lws_http_transaction_completed(wsi) ? -1 : 0;
    else
        result = start_events(server, wsi, session, asked, &message);
    strbuf_free(&message);
    strbuf_free(&request.errors);
    return result;
}

static int write_event(struct server *server, struct session *session, struct frame *frame)
{
    struct strbuf text = {0};
    sse_add_event(&text, frame_text(frame));
    frame_unref(&frame);
    frame = frame_new(text.text, text.length); /* for its headroom */
    strbuf_free(&text);

    int length = (int)frame->length;
    int written = lws_write(session->wsi, frame->bytes + FRAME_HEADROOM, frame->length, LWS_WRITE_HTTP);
    frame_unref(&frame);
    metrics_add(server->metrics, NOTIFIER_FRAMES, 1);
    return written < length ? -1 : 0;
}

static int write_events(struct server *server, struct session *session)
{
    struct client *client = session->client;
    if (client_waiting(client) > 0 && write_event(server, session, client_next(client)))
        return -1;
    if (client_waiting(client) > 0 || lws_partial_buffered(session->wsi))
        lws_callback_on_writable(session->wsi);
    else if (client_closing(client))
        return -1;
    else
        watch(session->wsi, false);
    return 0;
}

/* ---- what is asked ------------------------------------------------------------------------------- */

int http_request(struct server *server, struct lws *wsi, struct session *session, const char *path)
{
    struct asked asked;
    struct page page;

    begin(wsi, path, &asked);
    if (strcmp(path, "/events") == 0)
        return request_events(server, wsi, session, &asked);
    page_make(&page, &asked.request, server->feed, server->metrics);
    return send_page(wsi, session, &asked, &page);
}

int http_writeable(struct server *server, struct lws *wsi, struct session *session)
{
    if (session->events)
        return write_events(server, session);
    return session->page ? write_page(wsi, session) : 0;
}

/* ---- what is to become a WebSocket --------------------------------------------------------------- */

static enum handshake judge_upgrade(struct lws *wsi, const char *path, const char *upgrade,
                                    const char **detail)
{
    char version[16], key[64], http_version[16], host[HEADER_SIZE], connection[HEADER_SIZE],
        subprotocols[HEADER_SIZE];
    const struct handshake_request request = {.get = lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0,
                                              .path = path,
                                              .http_version = http_version,
                                              .host = host,
                                              .connection = connection,
                                              .upgrade = upgrade,
                                              .version = version,
                                              .key = key,
                                              .subprotocols = subprotocols};

    session_header(wsi, WSI_TOKEN_VERSION, version, sizeof version);
    session_header(wsi, WSI_TOKEN_KEY, key, sizeof key);
    session_header(wsi, WSI_TOKEN_HTTP, http_version, sizeof http_version);
    session_header(wsi, WSI_TOKEN_HOST, host, sizeof host);
    session_header(wsi, WSI_TOKEN_CONNECTION, connection, sizeof connection);
    session_header(wsi, WSI_TOKEN_PROTOCOL, subprotocols, sizeof subprotocols);
    return handshake_judge(&request, detail);
}

int http_upgrade(struct server *server, struct lws *wsi, const char *upgrade)
{
    char *path = NULL;
    int length = 0;
    const char *detail = "";
    struct asked asked;
    struct page page;

    if (lws_http_get_uri_and_method(wsi, &path, &length) < 0)
        return -1;
    enum handshake verdict = judge_upgrade(wsi, path, upgrade, &detail);
    if (verdict == HANDSHAKE_FINE)
        return 0;
    begin(wsi, path, &asked);
    if (verdict == HANDSHAKE_MALFORMED)
        page_problem(&page, PAGE_BAD_REQUEST, &asked.request, detail, NULL);
    else if (verdict == HANDSHAKE_OTHER_VERSION)
        page_problem(&page, PAGE_UPGRADE_REQUIRED, &asked.request, detail, NULL);
    else if (strcmp(path, "/events") == 0) /* here the library has no more patience than for a page */
        page_problem(&page, PAGE_BAD_REQUEST, &asked.request, "Leave out the header Upgrade here.", NULL);
    else
        page_make(&page, &asked.request, server->feed, server->metrics);
    page.upgrade |= verdict == HANDSHAKE_OTHER_VERSION;

    int result = write_page_headers(wsi, &asked, &page);
    if (!result && !is_head(wsi)) {
        struct frame *frame = frame_new(page.body.text, page.body.length); /* for its headroom */
        result = lws_write(wsi, frame->bytes + FRAME_HEADROOM, frame->length, LWS_WRITE_HTTP_FINAL) < 0;
        frame_unref(&frame);
    }
    strbuf_free(&page.body);
    return result ? -1 : 1;
}
