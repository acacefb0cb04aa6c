/* Requests that do not become WebSockets: a page and goodbye, or, at /events, the feed for as long as the
 * client stays. */
#include "ws-notifier/server_internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "ws-notifier/notifier_metrics.h"
#include "ws-notifier/pages.h"
#include "ws-notifier/sse.h"

#define RESPONSE_HEADERS 1024
#define USER_ID_SIZE     32
#define ARGUMENT_SIZE    128 /* name and value */

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

/* Frees the page's body. */
static int send_page(struct lws *wsi, struct session *session, struct page *page)
{
    char seconds[16];
    struct header headers[4] = {{"cache-control:", "no-store"}}, *next = headers + 1;
    if (page->bearer)
        *next++ = (struct header){"www-authenticate:", "Bearer realm=\"carillon\""};
    if (page->upgrade)
        *next++ = (struct header){"upgrade:", "websocket"};
    if (page->retry_after_s) {
        snprintf(seconds, sizeof seconds, "%d", page->retry_after_s);
        *next++ = (struct header){"retry-after:", seconds};
    }
    bool head = lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
    int result = write_headers(wsi, page->status, page->content_type, page->body.length, headers);

    if (!result && head) {
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

/* A query's value by its name ("user_id="), "" when absent or too long to be right. */
static void read_argument(struct lws *wsi, const char *name, char *value, size_t size)
{
    char pair[ARGUMENT_SIZE];
    const char *found = lws_get_urlarg_by_name(wsi, name, pair, sizeof pair);
    value[0] = '\0';
    if (found && strlen(found) < size)
        memcpy(value, found, strlen(found) + 1);
}

/* Where to go on from: what EventSource repeats by itself, or what the first request says. */
static void read_since(struct lws *wsi, char since[CURSOR_TEXT_SIZE])
{
    static const char name[] = "last-event-id:";
    if (lws_hdr_custom_copy(wsi, since, CURSOR_TEXT_SIZE, name, (int)sizeof name - 1) <= 0)
        read_argument(wsi, "since=", since, CURSOR_TEXT_SIZE);
}

/* The limits are known when the client is there: it leaves again, and is told by HTTP. */
static int turn_away(struct server *server, struct lws *wsi, struct session *session, enum close_code over)
{
    struct page page;
    session_close(server, session);
    session->events = false;
    page_problem(&page, 429, "too-many-requests", close_reason(over), "/events");
    page.retry_after_s = close_retry_after(over);
    return send_page(wsi, session, &page);
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

static int start_events(struct server *server, struct lws *wsi, struct session *session,
                        const struct strbuf *message)
{
    static const struct header headers[] = {
        {"cache-control:", "no-store"}, {"x-accel-buffering:", "no"}, {NULL, NULL}};
    unsigned patience_ms = (unsigned)(server->config->ws_ping_s + server->config->ws_pong_timeout_s) * 1000;

    session_open(server, wsi, session, true); /* reads the request's headers: they go with the answer's */
    reception_take(server->reception, session->client, message->text, message->length);
    enum close_code over = client_closing(session->client);
    if (over != CLOSE_NOT && close_retry_after(over) > 0)
        return turn_away(server, wsi, session, over);
    if (write_headers(wsi, 200, "text/event-stream", LWS_ILLEGAL_HTTP_CONTENT_LEN, headers))
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

/* With tokens: 401 or 403, and what sending it returned; 1 when he may listen. */
static int refuse_stranger(struct server *server, struct lws *wsi, struct session *session,
                           const char *user_id)
{
    char authorization[SESSION_AUTHORIZATION_SIZE], detail[160];
    const char *why = "";
    struct page page;

    session_header(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, authorization, sizeof authorization);
    enum admission admission =
        reception_judge(server->reception, authorization, (uint32_t)strtoul(user_id, NULL, 10), &why);
    if (admission == ADMISSION_GRANTED)
        return 1;
    snprintf(detail, sizeof detail, "The token %s", why);
    if (admission == ADMISSION_FORBIDDEN)
        page_problem(&page, 403, "forbidden", detail, "/events");
    else
        page_problem(&page, 401, "unauthenticated", detail, "/events");
    page.bearer = admission != ADMISSION_FORBIDDEN;
    return send_page(wsi, session, &page);
}

static int request_events(struct server *server, struct lws *wsi, struct session *session)
{
    char user_id[USER_ID_SIZE], since[CURSOR_TEXT_SIZE];
    struct strbuf message = {0};
    struct page page;
    int result;

    read_argument(wsi, "user_id=", user_id, sizeof user_id);
    read_since(wsi, since);
    if (sse_make_subscribe(&message, user_id, since) != ERR_OK ||
        !reception_understands(message.text, message.length)) {
        page_problem(&page, 422, "validation", "user_id or the cursor is not valid", "/events");
        result = send_page(wsi, session, &page);
    } else if (!session_origin_welcome(server, wsi)) {
        page_problem(&page, 403, "forbidden", "Pages of this origin are not welcome", "/events");
        result = send_page(wsi, session, &page);
    } else if ((result = refuse_stranger(server, wsi, session, user_id)) != 1) {
        /* answered */
    } else if (server->drain_ms || server->clients >= server->max_clients) {
        page_problem(&page, 503, "unavailable", "There is no room for another listener now", "/events");
        page.retry_after_s = close_retry_after(CLOSE_TOO_MANY);
        result = send_page(wsi, session, &page);
    } else {
        result = start_events(server, wsi, session, &message);
    }
    strbuf_free(&message);
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

/* ---- requests ------------------------------------------------------------------------------------ */

int http_request(struct server *server, struct lws *wsi, struct session *session, const char *path)
{
    struct page page;
    if (strcmp(path, "/events") == 0 && lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0)
        return request_events(server, wsi, session);
    page_make(&page, path, server->feed, server->metrics);
    return send_page(wsi, session, &page);
}

int http_writeable(struct server *server, struct lws *wsi, struct session *session)
{
    if (session->events)
        return write_events(server, session);
    return session->page ? write_page(wsi, session) : 0;
}
