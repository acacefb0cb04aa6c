/* SPDX-License-Identifier: MIT */
/* epoll, addresses, and ending with a message. */
#include "bench/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 512

static int epoll_fd = -1;

void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

void loop_init(void)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        fail("epoll: %s", strerror(errno));
}

static void control(int operation, struct watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (epoll_ctl(epoll_fd, operation, watch->fd, &event) < 0)
        fail("epoll: %s", strerror(errno));
}

void loop_watch(struct watch *watch, uint32_t events)
{
    control(EPOLL_CTL_ADD, watch, events);
}

void loop_change(struct watch *watch, uint32_t events)
{
    control(EPOLL_CTL_MOD, watch, events);
}

void loop_forget(struct watch *watch)
{
    if (watch->fd >= 0)
        close(watch->fd);
    watch->fd = -1;
}

void loop_step(int64_t until_ns)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int64_t left = until_ns - now_ns();
    if (left < 0)
        left = 0;
    struct timespec wait = {.tv_sec = left / NS_PER_S, .tv_nsec = left % NS_PER_S};
    int count = epoll_pwait2(epoll_fd, events, EVENTS_AT_ONCE, &wait, NULL);
    for (int i = 0; i < count; i++) {
        struct watch *watch = events[i].data.ptr;
        if (watch->fd >= 0) /* a watch handled before may have closed it */
            watch->ready(watch, events[i].events);
    }
}

void address_parse(const char *text, struct address *address)
{
    char host[64];
    unsigned port;
    int length = 0;
    *address = (struct address){.path = "/"};
    if (sscanf(text, "%63[0-9.]:%u%n", host, &port, &length) < 2 || port == 0 || port > 65535)
        fail("'%s' is no address like 127.0.0.1:8080/path", text);
    address->ip = inet_addr(host);
    address->port = htons((uint16_t)port);
    snprintf(address->host, sizeof address->host, "%s:%u", host, port);
    if (text[length] == '/')
        snprintf(address->path, sizeof address->path, "%s", text + length);
}

/* The port is chosen by the connect, so that one port can be used towards several servers. */
static void bind_source(int fd, const struct address *address)
{
    static const int one = 1;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = address->source};
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0)
        fail("bind: %s", strerror(errno));
}

int address_connect(const struct address *address)
{
    static const int one = 1;
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = address->port, .sin_addr.s_addr = address->ip};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket: %s (ulimit -n?)", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (address->source)
        bind_source(fd, address);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        fail("connect to %s: %s", address->host, strerror(errno));
    return fd;
}
