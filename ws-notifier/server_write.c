/* SPDX-License-Identifier: MIT */
/* What is sent to WebSockets.
 *
 * The library's way is to ask it for a callback when a socket is writeable, and to write one message then. On
 * libuv that costs four changes to the poll set for each message, nearly as much as sending it. So what waits
 * is written at the end of each turn of the loop, straight away and as much as there is: a socket's frames,
 * heads and all, go out in one write. Only a socket that did not take everything is left to the library,
 * which keeps the rest and tells when it is writeable again.
 *
 * This rests on two things of the library (4.1 to 4.3, lib/roles/ws/ops-ws.c and lib/core-net/output.c):
 * bytes written as LWS_WRITE_HTTP leave a WebSocket as they are; and a write is sound at any time on the
 * loop's own thread, because what does not fit is kept in order. We never write while something is kept. */
#include "ws-notifier/server_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "ws-notifier/notifier_metrics.h"

#define TURN_BYTES 262144 /* then the next socket's turn comes */
#define MOST_HEAD  10

static_assert(FRAME_HEADROOM >= MOST_HEAD, "a frame's head must fit before its text");

/* ---- frames -------------------------------------------------------------------------------------- */

static size_t head_size(size_t length)
{
    return length < 126 ? 2 : length < 65536 ? 4 : 10;
}

/* One whole, unmasked message (RFC 6455, 5.2). */
static void make_head(unsigned char *at, size_t length)
{
    size_t bytes = head_size(length) - 2;
    *at++ = 0x80 | 0x01; /* FIN, text */
    *at++ = (unsigned char)(bytes == 0 ? length : bytes == 2 ? 126 : 127);
    for (size_t i = 0; i < bytes; i++)
        at[i] = (unsigned char)(length >> 8 * (bytes - 1 - i));
}

/* Returns false when no more can be written now. */
static bool put(struct server *server, struct session *session, unsigned char *bytes, size_t length)
{
    if (length == 0)
        return true;
    session->broken |= lws_write(session->wsi, bytes, length, LWS_WRITE_HTTP) < 0;
    if (session->broken || !lws_partial_buffered(session->wsi))
        return !session->broken;
    assert(session->unsent + length < 1u << UNSENT_BITS);
    session->unsent += (uint32_t)length;
    server->rules.unsent_bytes += length;
    return false;
}

/* Its head goes into its headroom: the same for every socket. */
static bool put_alone(struct server *server, struct session *session, struct frame *frame)
{
    size_t head = head_size(frame->length);
    unsigned char *start = frame->bytes + FRAME_HEADROOM - head;
    make_head(start, frame->length);
    bool more = put(server, session, start, head + frame->length);
    frame_unref(&frame);
    metrics_add(server->metrics, NOTIFIER_FRAMES, 1);
    return more;
}

/* ---- one socket ---------------------------------------------------------------------------------- */

/* Not empty: of an empty pong the library does not tell. */
static size_t add_ping(struct session *session, unsigned char *at)
{
    static const unsigned char ping[] = {0x80 | 0x09, 1, '.'};
    if (!session->ping_due || client_closing(session->client))
        return 0;
    session->ping_due = false;
    session->ping_out = true;
    memcpy(at, ping, sizeof ping);
    return sizeof ping;
}

static size_t add_pongs(struct session *session, unsigned char *at)
{
    size_t length;
    const unsigned char *pongs = guard_answers(&session->guard, &length);
    if (length == 0)
        return 0;
    memcpy(at, pongs, length);
    guard_answered(&session->guard);
    return length;
}

bool write_has_control(const struct session *session)
{
    size_t pongs;
    (void)guard_answers(&session->guard, &pongs);
    return session->ping_due || pongs > 0;
}

/* One write, of all that fits into it. */
static bool put_batch(struct server *server, struct session *session, size_t *written)
{
    size_t used = add_ping(session, server->batch), count = 0;
    used += add_pongs(session, server->batch + used);
    struct frame *frame;

    while ((frame = client_next(session->client)) != NULL) {
        size_t head = head_size(frame->length);
        bool only = used == 0 && client_waiting(session->client) == 0;
        if (only || used + head + frame->length > WRITE_BATCH)
            break;
        make_head(server->batch + used, frame->length);
        memcpy(server->batch + used + head, frame_text(frame), frame->length);
        used += head + frame->length;
        count++;
        frame_unref(&frame);
    }
    *written += used + (frame ? frame->length : 0);
    metrics_add(server->metrics, NOTIFIER_FRAMES, (int64_t)count);
    bool more = put(server, session, server->batch, used);
    if (frame && session->broken)
        frame_unref(&frame);
    return frame ? put_alone(server, session, frame) && more : more;
}

bool write_session(struct server *server, struct session *session)
{
    size_t written = 0;

    if (session->unsent || session->broken)
        return true; /* session_writeable() will come, or the end */
    if (lws_partial_buffered(session->wsi)) {
        lws_callback_on_writable(session->wsi); /* not ours: the handshake */
        return true;
    }
    while (client_waiting(session->client) > 0 || write_has_control(session)) {
        if (written >= TURN_BYTES) {
            write_soon(server, session);
            return true;
        }
        if (!put_batch(server, session, &written))
            return !session->broken;
        if (client_closing(session->client))
            session->ping_due = false;
    }
    if (client_closing(session->client))
        lws_callback_on_writable(session->wsi); /* for the library's own way of closing */
    return true;
}

/* ---- turns --------------------------------------------------------------------------------------- */

void write_soon(struct server *server, struct session *session)
{
    if (session->due)
        return;
    session->due = true;
    DL_APPEND2(server->due, session, due_prev, due_next);
}

void write_never(struct server *server, struct session *session)
{
    if (!session->due)
        return;
    session->due = false;
    DL_DELETE2(server->due, session, due_prev, due_next);
}
