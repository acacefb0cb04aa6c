/* Accepts in slices: a crowd that comes at once is let in over several turns of the loop, between which those
 * who are in are served. */
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

#define BACKLOG   4096
#define SLICE     64
#define SILENCE_S 10

struct listener {
    int fd;
    uv_poll_t watch;
    bool watching;
    bool told; /* that there are no descriptors left */
    listener_taker *take;
    void *context;
};

static int open_address(const struct addrinfo *address)
{
    int on = 1, silence_s = SILENCE_S;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    /* The kernel hands over a connection together with its request: who says nothing costs nothing. */
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

static int open_socket(const char *host, int64_t port, char *why, size_t size)
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
    int fd = -1;
    for (const struct addrinfo *address = addresses; address && fd < 0; address = address->ai_next)
        fd = open_address(address);
    if (fd < 0)
        snprintf(why, size, "%s port %d: %s", host, (int)port, strerror(errno));
    freeaddrinfo(addresses);
    return fd;
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
                    log_warn("out of descriptors: those who knock have to wait");
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
    if (listener->watching)
        return;
    listener->watching = uv_poll_start(&listener->watch, UV_READABLE, on_readable) == 0;
}

enum err listener_open(uv_loop_t *loop, const char *host, int64_t port, listener_taker *take, void *context,
                       struct listener **out, char *why, size_t size)
{
    int fd = open_socket(host, port, why, size);
    if (fd < 0)
        return ERR_SYSTEM;

    struct listener *listener = calloc(1, sizeof *listener);
    if (!listener)
        abort();
    listener->fd = fd;
    listener->take = take;
    listener->context = context;
    listener->watch.data = listener;
    int status = uv_poll_init(loop, &listener->watch, fd);
    if (status) {
        snprintf(why, size, "%s", uv_strerror(status));
        close(fd);
        free(listener);
        return ERR_SYSTEM;
    }
    listener_resume(listener);
    *out = listener;
    return ERR_OK;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void listener_close(struct listener **listener)
{
    if (!*listener)
        return;
    uv_poll_stop(&(*listener)->watch);
    uv_close((uv_handle_t *)&(*listener)->watch, on_closed);
    close((*listener)->fd);
    *listener = NULL;
}
