/* SPDX-License-Identifier: MIT */
/* What the files behind server.h share, and the only place that includes libwebsockets.
 *
 *   server.c          listening, callbacks, time, turns of the loop, closing
 *   server_leave.c    clients are told to leave
 *   server_http.c     plain requests, and the feed as Server-Sent Events
 *   server_session.c  one WebSocket: opening, reading, pings, closing
 *   server_write.c    what is sent to a WebSocket, and how much at a time
 *   server_guard.c    what WebSockets say, before the library reads it
 *
 * Each calls only those below it, but the guard, which tells the session. */
#ifndef CARILLON_SERVER_INTERNAL_H
#define CARILLON_SERVER_INTERNAL_H

#define SESSION_ORIGIN_SIZE        512
#define SESSION_FORWARDED_SIZE     512
#define SESSION_AUTHORIZATION_SIZE (TOKEN_MAX + 64)
#define HEADERS_MAX                16384 /* of one request */

#include <assert.h>
#include <libwebsockets.h>

#include "common/origin.h"
#include "common/strbuf.h"
#include "common/token.h"
#include "ws-notifier/client.h"
#include "ws-notifier/guard.h"
#include "ws-notifier/listener.h"
#include "ws-notifier/memory.h"
#include "ws-notifier/server.h"
#include "ws-notifier/wheel.h"

/* A message that has come in part. */
struct unfinished {
    struct unfinished *prev, *next; /* of all sockets, the oldest first */
    struct session *session;
    struct strbuf text;
};

#define UNSENT_BITS 24
#define WRITE_BATCH 65536 /* bytes of one write */

/* One connection; the library keeps it beside its own, zeroed. There are thousands: 88 bytes are a size that
 * malloc wastes nothing of. */
struct session {
    struct wheel_entry turn;             /* while it has a client */
    struct session *due_prev, *due_next; /* among those that have something to write */
    struct lws *wsi;
    struct client *client; /* a WebSocket's or an event stream's; NULL for any other request */
    union {
        struct unfinished *unfinished; /* a WebSocket's */
        struct frame *page;            /* any other request's: the body still to be written */
    };
    struct guard guard; /* a WebSocket's */
    int64_t since_ms;   /* when the peer last showed life, by server_now(); in goodbye: when that began */
    uint32_t acked;     /* what its kernel had taken then, or at the last ping */
    uint32_t unsent
        : UNSENT_BITS; /* the last write did not fit into the socket: at most so many bytes wait */
    bool events : 1;   /* Server-Sent Events */
    bool due : 1;
    bool ping_due : 1, ping_out : 1;
    bool goodbye : 1; /* it is being closed */
    bool said : 1;    /* the library knows: told twice, it would not wait for the answer */
    bool broken : 1;  /* nothing can be written any more */
    bool left : 1;    /* the peer has closed: what it says after that is not heard */
};

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
    struct wheel wheel;
    struct unfinished *unfinished;
    size_t max_unfinished;          /* bytes */
    int64_t seen_ms, paused_ms;     /* for server_now() */
    int64_t watch_ms, watch_cpu_us; /* when it was last looked how busy we are, and what that had taken */
    bool weighing;                  /* busy then: what came since is charged */
    unsigned char *batch;           /* where writes are put together */
    size_t clients, max_clients;
    size_t sockets, max_sockets;
    int64_t drain_ms; /* since when; 0: not */
    int64_t told_ms;  /* the last one was told of it */
    size_t drain_step, drain_left;
    size_t away_left; /* clients that are still to be told to leave, though we stay */
    void (*drained)(void *context);
    void *drained_context;
};

/* Milliseconds that the notifier has lived: while the whole process was stopped (SIGSTOP, a machine that was
 * suspended or had no time for it) no peer could be heard, so that time does not count against any. */
int64_t server_now(struct server *server);

/* Of a place in the wheel. */
static inline struct session *session_of(struct wheel_entry *entry)
{
    static_assert(offsetof(struct session, turn) == 0, "its entry comes first");
    return (struct session *)(void *)entry;
}

/* At each turn of the wheel: goes on with telling them to leave. */
void leave_tick(struct server *server);

/* The functions that return int return what a callback of the library does: -1 closes. */

/* A header of a request that is still at hand: value[0..size), "" when absent or too long. */
void session_header(struct lws *wsi, enum lws_token_indexes header, char *value, size_t size);
/* Whether a page may do that, and by the name it came by: ALLOWED_ORIGINS and SERVER_NAME. */
enum origin_verdict session_origin(const struct server *server, struct lws *wsi);

void session_open(struct server *server, struct lws *wsi, struct session *session, bool events);
void session_close(struct server *server, struct session *session);
void session_receive(struct server *server, struct session *session, const char *text, size_t length);
void session_pong(struct server *server, struct session *session);
int session_writeable(struct server *server, struct session *session);
/* It is to be closed: from now on it has ten seconds to take what waits for it. */
void session_begin_goodbye(struct server *server, struct session *session);
/* The last step of closing: the library calls it after session_writeable(). */
int session_goodbye(struct session *session);
/* Without a close frame: this peer does not take one. */
void session_drop(struct server *server, struct session *session);
/* Pings the peer when it is time, drops it when it does not answer. Returns when to look again. */
int64_t session_check(struct server *server, struct session *session, int64_t now_ms);
/* Charges it for what came that is no message: heads of frames, empty ones, pings. */
void session_weigh(struct server *server, struct session *session, int64_t now_ms);

/* What the peer closes with, before the library answers with the same: into what is right. */
void session_peer_closes(struct session *session, unsigned char *payload, size_t length);
/* So many pings, and whether the peer has broken the protocol. */
void session_guarded(struct server *server, struct session *session, const struct guard_verdict *verdict);

/* A WebSocket is watched from guard_begin(), when its handshake has been answered, to guard_end(); one that
 * had spoken before the answer is not. */
void guard_open(size_t descriptors);
void guard_close(void);
void guard_begin(struct session *session);
bool guard_watches(const struct session *session);
void guard_end(struct session *session);

/* It has something to write, or is to be closed: at the end of this turn of the loop. */
void write_soon(struct server *server, struct session *session);
void write_never(struct server *server, struct session *session); /* it is leaving */
bool write_has_control(const struct session *session);            /* a ping or pongs wait */
/* Writes what waits, up to a turn's share. False: the socket is broken, and is to be dropped. */
bool write_session(struct server *server, struct session *session);

/* Before an upgrade: 0 lets it through, 1: refused and answered, -1: refused. */
int http_upgrade(struct server *server, struct lws *wsi, const char *upgrade);
int http_request(struct server *server, struct lws *wsi, struct session *session, const char *path);
int http_writeable(struct server *server, struct lws *wsi, struct session *session);
/* An event stream has something to write, or is to be closed. */
void http_write_soon(struct session *session);

#endif
