/* SPDX-License-Identifier: MIT */
/* What WebSockets say, before the library reads it.
 *
 * The library has no place for that between its reading and its parser. But it reads with recv(), and a
 * program that defines a function of the C library is asked before the C library is: so this is recv(), for
 * the whole process, in one line what the C library's is, and for the descriptors of WebSockets with a look
 * at what came. Where the library would read by another call, frames are taken as it takes them, and the log
 * says so. */
#include "ws-notifier/server_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/log.h"

static struct {
    struct session **sessions; /* by descriptor; NULL: not a WebSocket */
    size_t size;
    /* What was read last, and whether a request ended with it. */
    int fd;
    bool ended;
    bool told;
} watched = {.fd = -1};

/* The loop's: another thread that reads, from the broker, has nothing to do with WebSockets. */
static _Thread_local bool watches;

/* A handshake ends with an empty line. */
static bool ends_request(const unsigned char *bytes, size_t length)
{
    static const char end[] = "\r\n\r\n";
    size_t looked = length < sizeof end - 1 ? length : sizeof end - 1;
    return memcmp(bytes + length - looked, end + sizeof end - 1 - looked, looked) == 0;
}

/* When nothing is left for the library, say that nothing has come yet, not that the peer has closed. */
static ssize_t look(struct session *session, void *bytes, size_t length)
{
    quota_hear(client_guest(session->client), length);
    struct guard_verdict verdict = guard_look(&session->guard, bytes, length);
    if (verdict.pings + verdict.pongs > 0 || verdict.fault != CLOSE_NOT)
        session_guarded(lws_context_user(lws_get_context(session->wsi)), session, &verdict);
    if (verdict.length > 0)
        return (ssize_t)verdict.length;
    errno = EAGAIN;
    return -1;
}

ssize_t recv(int fd, void *buf, size_t n, int flags)
{
    ssize_t length = recvfrom(fd, buf, n, flags, NULL, NULL);
    if (!watches || length <= 0 || fd < 0 || (size_t)fd >= watched.size || (flags & MSG_PEEK))
        return length;
    struct session *session = watched.sessions[fd];
    if (session)
        return look(session, buf, (size_t)length);
    watched.fd = fd;
    watched.ended = ends_request(buf, (size_t)length);
    return length;
}

void guard_open(size_t descriptors)
{
    watched.sessions = calloc(descriptors, sizeof(struct session *));
    if (!watched.sessions)
        abort();
    watched.size = descriptors;
    watches = true;
}

void guard_close(void)
{
    free(watched.sessions);
    watched.sessions = NULL;
    watched.size = 0;
    watches = false;
}

/* A client has to wait for the answer to its handshake. What one that did not wait has said already is behind
 * us, maybe in the middle of a frame: it is not watched. */
void guard_begin(struct session *session)
{
    int fd = lws_get_socket_fd(session->wsi);
    if (fd != watched.fd && !watched.told) {
        log_warn("libwebsockets reads past the guard: frames are taken as it takes them");
        watched.told = true;
    }
    if (fd == watched.fd && watched.ended && (size_t)fd < watched.size)
        watched.sessions[fd] = session;
}

bool guard_watches(const struct session *session)
{
    int fd = lws_get_socket_fd(session->wsi);
    return fd >= 0 && (size_t)fd < watched.size && watched.sessions[fd] == session;
}

void guard_end(struct session *session)
{
    guard_free(&session->guard);
    if (guard_watches(session))
        watched.sessions[lws_get_socket_fd(session->wsi)] = NULL;
}
