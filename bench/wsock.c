/* SPDX-License-Identifier: MIT */
/* The client's end of a WebSocket. Bytes are read into one buffer for all sockets and handled there; a socket
 * keeps bytes of its own only while a message is incomplete. */
#include "bench/wsock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BUFFER_SIZE (1 << 20)
#define HEADER_MAX  14

static char buffer[BUFFER_SIZE];

static void down(struct wsock *wsock)
{
    loop_forget(&wsock->watch);
    free(wsock->held);
    free(wsock->out);
    wsock->held = wsock->out = NULL;
    wsock->held_length = wsock->out_length = 0;
    wsock->state = WSOCK_DOWN;
}

static void lost(struct wsock *wsock, const char *why)
{
    down(wsock);
    wsock->events->closed(wsock, why);
}

/* ---- out ----------------------------------------------------------------------------------------- */

static void keep_unsent(struct wsock *wsock, const char *bytes, size_t length)
{
    wsock->out = realloc(wsock->out, wsock->out_length + length);
    if (!wsock->out)
        abort();
    memcpy(wsock->out + wsock->out_length, bytes, length);
    wsock->out_length += (unsigned)length;
    loop_change(&wsock->watch, EPOLLIN | EPOLLOUT);
}

static void put(struct wsock *wsock, const char *bytes, size_t length)
{
    ssize_t sent = wsock->out_length > 0 ? 0 : send(wsock->watch.fd, bytes, length, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        return; /* the reading side will notice */
    if (sent < 0)
        sent = 0;
    if ((size_t)sent < length)
        keep_unsent(wsock, bytes + sent, length - (size_t)sent);
}

static void push_out(struct wsock *wsock)
{
    ssize_t sent = send(wsock->watch.fd, wsock->out, wsock->out_length, MSG_NOSIGNAL);
    if (sent < 0)
        return;
    wsock->out_length -= (unsigned)sent;
    memmove(wsock->out, wsock->out + sent, wsock->out_length);
    if (wsock->out_length == 0)
        loop_change(&wsock->watch, EPOLLIN);
}

/* Masks protect proxies from browsers; a load program can always use the same one. */
void wsock_send(struct wsock *wsock, enum wsock_opcode opcode, const void *payload, size_t length)
{
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    unsigned char frame[2048], *at = frame;
    if (length > sizeof frame - HEADER_MAX)
        fail("a message of %zu bytes is more than a client sends", length);
    *at++ = (unsigned char)(0x80 | opcode);
    if (length < 126) {
        *at++ = (unsigned char)(0x80 | length);
    } else {
        *at++ = 0x80 | 126;
        *at++ = (unsigned char)(length >> 8);
        *at++ = (unsigned char)length;
    }
    memcpy(at, mask, 4);
    at += 4;
    for (size_t i = 0; i < length; i++)
        *at++ = ((const unsigned char *)payload)[i] ^ mask[i % 4];
    put(wsock, (char *)frame, (size_t)(at - frame));
}

static void send_request(struct wsock *wsock)
{
    char path[256], headers[256] = "", request[1024];
    wsock->events->request(wsock, path, sizeof path, headers, sizeof headers);
    int length =
        snprintf(request, sizeof request,
                 "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
                 path, wsock->address->host, headers);
    wsock->state = WSOCK_UPGRADING;
    loop_change(&wsock->watch, EPOLLIN);
    put(wsock, request, (size_t)length);
}

/* ---- in ------------------------------------------------------------------------------------------ */

/* Both return how many bytes they used; 0: more must come first. */
static size_t take_answer(struct wsock *wsock, const char *bytes, size_t length)
{
    const char *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (!end)
        return 0;
    if (length < 12 || memcmp(bytes + 9, "101", 3) != 0) {
        char why[64];
        snprintf(why, sizeof why, "refused: %.*s", (int)strcspn(bytes, "\r\n"), bytes);
        lost(wsock, why);
        return 0;
    }
    wsock->state = WSOCK_OPEN;
    wsock->events->opened(wsock);
    return (size_t)(end + 4 - bytes);
}

static void take_frame(struct wsock *wsock, unsigned opcode, const char *payload, size_t length)
{
    char why[80];
    switch (opcode) {
    case WSOCK_TEXT:
    case WSOCK_BINARY:
        wsock->events->message(wsock, payload, length);
        break;
    case WSOCK_PING:
        wsock_send(wsock, WSOCK_PONG, payload, length);
        break;
    case WSOCK_PONG:
        break;
    case WSOCK_CLOSE:
        snprintf(why, sizeof why, "closed by the server with %d",
                 length < 2 ? 1005 : (unsigned char)payload[0] << 8 | (unsigned char)payload[1]);
        lost(wsock, why);
        break;
    default:
        lost(wsock, "sent a fragment, which nobody does here");
    }
}

static size_t take_message(struct wsock *wsock, const char *bytes, size_t length)
{
    const unsigned char *at = (const unsigned char *)bytes;
    size_t header = 2, payload;
    if (length < 2)
        return 0;
    payload = at[1] & 0x7f;
    if (payload == 126)
        header = 4;
    else if (payload == 127)
        header = 10;
    if (length < header)
        return 0;
    if (header > 2) {
        payload = 0;
        for (size_t i = 2; i < header; i++)
            payload = payload << 8 | at[i];
    }
    if (length < header + payload)
        return 0;
    take_frame(wsock, at[0] & 0x0f, bytes + header, payload);
    return header + payload;
}

static void hold(struct wsock *wsock, const char *bytes, size_t length)
{
    free(wsock->held);
    wsock->held = NULL;
    wsock->held_length = (unsigned)length;
    if (length == 0)
        return;
    wsock->held = malloc(length);
    if (!wsock->held)
        abort();
    memcpy(wsock->held, bytes, length);
}

static void take(struct wsock *wsock, size_t length)
{
    size_t done = 0;
    while (done < length) {
        size_t used = wsock->state == WSOCK_OPEN ? take_message(wsock, buffer + done, length - done)
                                                 : take_answer(wsock, buffer + done, length - done);
        if (wsock->state == WSOCK_DOWN)
            return;
        if (used == 0)
            break;
        done += used;
    }
    if (wsock->held || done < length)
        hold(wsock, buffer + done, length - done);
}

static void receive(struct wsock *wsock)
{
    size_t before = wsock->held_length;
    if (before > 0)
        memcpy(buffer, wsock->held, before);
    ssize_t got = recv(wsock->watch.fd, buffer + before, sizeof buffer - before, 0);
    if (got > 0)
        take(wsock, before + (size_t)got);
    else if (got == 0)
        lost(wsock, "closed by the server");
    else if (errno != EAGAIN)
        lost(wsock, strerror(errno));
}

static void ready(struct watch *watch, uint32_t events)
{
    struct wsock *wsock = (struct wsock *)watch;
    if (wsock->state == WSOCK_CONNECTING) {
        if (events & (EPOLLERR | EPOLLHUP))
            lost(wsock, "cannot connect");
        else
            send_request(wsock);
        return;
    }
    if (events & EPOLLOUT)
        push_out(wsock);
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        receive(wsock);
}

/* ---- begin and end ------------------------------------------------------------------------------- */

void wsock_open(struct wsock *wsock, const struct address *address, const struct wsock_events *events)
{
    wsock->events = events;
    wsock->address = address;
    wsock->watch = (struct watch){.fd = address_connect(address), .ready = ready};
    wsock->state = WSOCK_CONNECTING;
    loop_watch(&wsock->watch, EPOLLOUT);
}

void wsock_leave(struct wsock *wsock)
{
    if (wsock->state == WSOCK_OPEN)
        wsock_send(wsock, WSOCK_CLOSE, "\x03\xe8", 2);
    down(wsock);
}
