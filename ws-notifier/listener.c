/* SPDX-License-Identifier: MIT */
/* Accepts in slices: many connections at once are accepted over several turns of the loop, between which the
 * open ones are served. */
#include "ws-notifier/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"

#define BACKLOG        4096
#define SLICE          64
#define SILENCE_S      10
#define MOST_ADDRESSES 8

/* One of these for each address of the host's name. */
struct listener {
    struct listener *next;
    int fd;
    uv_poll_t watch;
    bool watching;
    bool told; /* that there are no descriptors left */
    listener_taker *take;
    void *context;
};

/* `only`: of its own family, as beside other addresses; alone, the IPv6 wildcard takes IPv4, too. */
static int open_address(const struct addrinfo *address, bool only)
{
    int on = 1, silence_s = SILENCE_S;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (only && address->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    /* The kernel hands over a connection together with its request: a silent connection costs nothing. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &silence_s, sizeof silence_s);
    /* Each of its connections inherits this. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* A name may have the same address twice. */
static bool is_repeated(const struct addrinfo *addresses, const struct addrinfo *address)
{
    for (; addresses != address; addresses = addresses->ai_next)
        if (addresses->ai_addrlen == address->ai_addrlen &&
            memcmp(addresses->ai_addr, address->ai_addr, address->ai_addrlen) == 0)
            return true;
    return false;
}

/* All of them, or none: -1. An address that this machine does not have is left out. */
static int open_addresses(const struct addrinfo *addresses, int fds[MOST_ADDRESSES])
{
    int count = 0;
    for (const struct addrinfo *address = addresses; address && count < MOST_ADDRESSES;
         address = address->ai_next) {
        if (is_repeated(addresses, address))
            continue;
        fds[count] = open_address(address, addresses->ai_next != NULL);
        if (fds[count] >= 0) {
            count++;
        } else if (errno != EADDRNOTAVAIL && errno != EAFNOSUPPORT) {
            int saved = errno;
            while (count > 0)
                close(fds[--count]);
            errno = saved;
            return -1;
        }
    }
    return count > 0 ? count : -1;
}

static int open_sockets(const char *host, int64_t port, int fds[MOST_ADDRESSES], char *why, size_t size)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *addresses = NULL;
    char service[16];

    snprintf(service, sizeof service, "%d", (int)port);
    int status = getaddrinfo(host, service, &hints, &addresses);
    if (status) {
        snprintf(why, size, "%s: %s", host, gai_strerror(status));
        return -1;
    }
    int count = open_addresses(addresses, fds);
    if (count < 0)
        snprintf(why, size, "%s port %d: %s", host, (int)port, strerror(errno));
    freeaddrinfo(addresses);
    return count;
}

static void pause_accepting(struct listener *listener)
{
    uv_poll_stop(&listener->watch);
    listener->watching = false;
}

static void on_readable(uv_poll_t *watch, int status, int events)
{
    struct listener *listener = watch->data;
    (void)status;
    (void)events;
    for (int i = 0; i < SLICE; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE) {
                if (!listener->told)
                    log_warn("out of descriptors: new connections wait until one is free");
                listener->told = true;
                pause_accepting(listener);
            }
            return;
        }
        listener->told = false;
        if (!listener->take(listener->context, fd)) {
            pause_accepting(listener);
            return;
        }
    }
}

void listener_resume(struct listener *listener)
{
    for (; listener; listener = listener->next) {
        if (!listener->watching)
            listener->watching = uv_poll_start(&listener->watch, UV_READABLE, on_readable) == 0;
    }
}

/* Takes over the descriptor. */
static enum err add(uv_loop_t *loop, int fd, listener_taker *take, void *context, struct listener **first,
                    char *why, size_t size)
{
    struct listener *listener = calloc(1, sizeof *listener);
    if (!listener)
        abort();
    *listener = (struct listener){.next = *first, .fd = fd, .take = take, .context = context};
    listener->watch.data = listener;
    int status = uv_poll_init(loop, &listener->watch, fd);
    if (status) {
        snprintf(why, size, "%s", uv_strerror(status));
        close(fd);
        free(listener);
        return ERR_SYSTEM;
    }
    *first = listener;
    return ERR_OK;
}

enum err listener_open(uv_loop_t *loop, const char *host, int64_t port, listener_taker *take, void *context,
                       struct listener **out, char *why, size_t size)
{
    int fds[MOST_ADDRESSES], count = open_sockets(host, port, fds, why, size);
    enum err err = count < 0 ? ERR_SYSTEM : ERR_OK;

    *out = NULL;
    while (count > 0) {
        int fd = fds[--count];
        if (err == ERR_OK)
            err = add(loop, fd, take, context, out, why, size);
        else
            close(fd);
    }
    if (err == ERR_OK)
        listener_resume(*out);
    else
        listener_close(out);
    return err;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void listener_close(struct listener **listener)
{
    while (*listener) {
        struct listener *one = *listener;
        *listener = one->next;
        uv_poll_stop(&one->watch);
        uv_close((uv_handle_t *)&one->watch, on_closed);
        close(one->fd);
    }
}
