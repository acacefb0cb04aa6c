/* What the files behind server.h share, and the only place that includes libwebsockets.
 *
 *   server.c          the door: opening, callbacks, time, closing
 *   server_session.c  one WebSocket: reading, writing, pings, goodbye
 *   server_http.c     plain requests, and the feed as Server-Sent Events */
#ifndef CARILLON_SERVER_INTERNAL_H
#define CARILLON_SERVER_INTERNAL_H

#define SESSION_ORIGIN_SIZE        512
#define SESSION_AUTHORIZATION_SIZE (TOKEN_MAX + 64)

#include <libwebsockets.h>

#include "common/strbuf.h"
#include "common/token.h"
#include "ws-notifier/client.h"
#include "ws-notifier/listener.h"
#include "ws-notifier/memory.h"
#include "ws-notifier/server.h"

/* One connection; the library keeps it beside its own, zeroed. */
struct session {
    struct session *prev, *next; /* while it has a client */
    struct lws *wsi;
    struct client *client; /* a WebSocket's or an event stream's; NULL for any other request */
    struct strbuf *pieces; /* of a message not yet whole */
    struct frame *page;    /* the body still to be written */
    int64_t heard_ms;      /* when the peer last showed life */
    int64_t goodbye_ms;    /* closing since; 0: not */
    bool events;           /* Server-Sent Events */
    bool ping_due, ping_out;
    uint32_t unsent; /* the last write did not fit into the socket: at most so many bytes wait */
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
    struct memory *memory;
    uv_timer_t timer;
    struct session *sessions;
    size_t clients, max_clients;
    size_t sockets, max_sockets;
    int64_t drain_ms; /* since when; 0: not */
    size_t drain_step;
    void (*drained)(void *context);
    void *drained_context;
};

/* The functions that return int return what a callback of the library does: -1 closes. */

/* A header of a request that is still at hand: value[0..size), "" when absent or too long. */
void session_header(struct lws *wsi, enum lws_token_indexes header, char *value, size_t size);
/* Whether a page may do that, by ALLOWED_ORIGINS. */
bool session_origin_welcome(const struct server *server, struct lws *wsi);

void session_open(struct server *server, struct lws *wsi, struct session *session, bool events);
void session_close(struct server *server, struct session *session);
void session_receive(struct server *server, struct session *session, const char *text, size_t length);
void session_pong(struct server *server, struct session *session);
int session_writeable(struct server *server, struct session *session);
int session_goodbye(struct session *session);
/* Pings it when it is time, drops it when it is dead. */
void session_check(struct server *server, struct session *session, int64_t now_ms);

int http_request(struct server *server, struct lws *wsi, struct session *session, const char *path);
int http_writeable(struct server *server, struct lws *wsi, struct session *session);

#endif
