/* What the files behind server.h share, and the only place that includes libwebsockets.
 *
 *   server.c          the door: opening, callbacks, time, closing
 *   server_session.c  one WebSocket: coming, reading, pings, goodbye
 *   server_write.c    what is sent to WebSockets, when and how much at a time
 *   server_wheel.c    when each is to be looked at again
 *   server_guard.c    what WebSockets say, before the library reads it
 *   server_http.c     plain requests, and the feed as Server-Sent Events */
#ifndef CARILLON_SERVER_INTERNAL_H
#define CARILLON_SERVER_INTERNAL_H

#define SESSION_ORIGIN_SIZE        512
#define SESSION_FORWARDED_SIZE     512
#define SESSION_AUTHORIZATION_SIZE (TOKEN_MAX + 64)
#define HEADERS_MAX                16384 /* of one request */

#include <libwebsockets.h>

#include "common/strbuf.h"
#include "common/token.h"
#include "ws-notifier/client.h"
#include "ws-notifier/guard.h"
#include "ws-notifier/listener.h"
#include "ws-notifier/memory.h"
#include "ws-notifier/server.h"

/* One connection; the library keeps it beside its own, zeroed. There are thousands: 88 bytes are a size that
 * malloc wastes nothing of. */
struct session {
    struct session *prev, *next;         /* in its slot of the wheel, while it has a client */
    struct session *due_prev, *due_next; /* among those that have something to write */
    struct lws *wsi;
    struct client *client; /* a WebSocket's or an event stream's; NULL for any other request */
    union {
        struct strbuf *pieces; /* a WebSocket's: of a message not yet whole */
        struct frame *page;    /* any other request's: the body still to be written */
    };
    struct guard guard; /* a WebSocket's */
    int64_t since_ms;   /* when the peer last showed life; in goodbye: when that began */
    uint32_t unsent;    /* the last write did not fit into the socket: at most so many bytes wait */
    uint8_t slot;
    bool events : 1; /* Server-Sent Events */
    bool due : 1;
    bool ping_due : 1, ping_out : 1;
    bool goodbye : 1; /* it is being closed */
    bool said : 1;    /* that is known to the library: told twice, it waits for no answer */
    bool broken : 1;  /* nothing can be written any more */
    bool left : 1;    /* the peer has closed: what it says after that is not heard */
};

#define WHEEL_SLOTS 128

struct server {
    const struct config *config;
    struct reception *reception;
    const struct feed *feed;
    struct metrics *metrics;
    struct quota *quota;
    uv_loop_t *loop;
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct listener *listener;
    struct client_rules rules;
    struct memory *memory;
    uv_timer_t timer;
    uv_prepare_t before_sleep;
    uv_idle_t stay_awake; /* active while more is due than one turn writes */
    struct session *due;
    struct session *slots[WHEEL_SLOTS];
    int64_t turned_ms;    /* up to when the wheel has turned */
    unsigned char *batch; /* where writes are put together */
    size_t clients, max_clients;
    size_t sockets, max_sockets;
    int64_t drain_ms; /* since when; 0: not */
    int64_t told_ms;  /* the last one was told of it */
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
/* The last step of closing, in two: the first has the library call the second. */
void session_say_goodbye(struct session *session);
int session_goodbye(struct session *session);
/* Without a close frame: this peer does not take one. */
void session_drop(struct server *server, struct session *session);
/* Pings it when it is time, drops it when it is dead. Returns when to look again. */
int64_t session_check(struct server *server, struct session *session, int64_t now_ms);

/* What the peer closes with, before the library answers with the same: into what is right. */
void session_peer_closes(struct session *session, unsigned char *payload, size_t length);
/* So many pings, and whether the peer has broken the protocol. */
void session_guarded(struct server *server, struct session *session, const struct guard_verdict *verdict);

/* Every WebSocket is watched from its first byte to session_close(). */
void guard_open(size_t descriptors);
void guard_close(void);
void guard_begin(struct session *session);
void guard_end(struct session *session);

void write_open(struct server *server);
void write_close(struct server *server);
/* It has something to write, or is to be closed: at the end of this turn of the loop. */
void write_soon(struct server *server, struct session *session);
void write_never(struct server *server, struct session *session); /* it is leaving */

#define WHEEL_TICK_MS 250
void wheel_put(struct server *server, struct session *session, int64_t due_ms);
void wheel_take(struct server *server, struct session *session);
/* Looks at everybody whose time has come. */
void wheel_turn(struct server *server, int64_t now_ms);

/* Before an upgrade: 0 lets it through, 1: refused and answered, -1: refused. */
int http_upgrade(struct server *server, struct lws *wsi, const char *upgrade);
int http_request(struct server *server, struct lws *wsi, struct session *session, const char *path);
int http_writeable(struct server *server, struct lws *wsi, struct session *session);
/* An event stream has something to write, or is to be closed. */
void http_write_soon(struct session *session);

#endif
