/* SPDX-License-Identifier: MIT */
/* The floor for one event to many: a loop of send() to as many sockets, which another process reads.
 *
 *   floor-send CLIENTS EVENTS
 *
 * Prints one JSON object: the median of the times from the first socket that has a whole frame to the last,
 * and the processor time of a send. See README.md beside this file. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FRAME_BYTES 420 /* a notification, with the header of its frame */
#define TURN        256 /* sockets that one epoll_wait() returns */
#define WARM        3   /* events of the warm-up, not counted */

static void fail(const char *why)
{
    perror(why);
    exit(1);
}

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* ---- the other side: reads, and reports for each event when its first and last frame came ------------- */

static int connect_to(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof *address) != 0)
        fail("connect");
    return fd;
}

static void read_events(int epoll, int clients, int events, int told)
{
    struct epoll_event ready[TURN];
    char frame[FRAME_BYTES];
    for (int event = 0; event < events; event++) {
        double first = 0, spread;
        for (long missing = (long)clients * FRAME_BYTES; missing > 0;) {
            int count = epoll_wait(epoll, ready, TURN, -1);
            for (int i = 0; i < count; i++) {
                ssize_t got = recv(ready[i].data.fd, frame, sizeof frame, 0);
                if (got <= 0)
                    fail("recv");
                if (first == 0)
                    first = now_ms();
                missing -= got;
            }
        }
        spread = now_ms() - first;
        if (write(told, &spread, sizeof spread) != sizeof spread)
            fail("write");
    }
}

static void be_the_clients(const struct sockaddr_in *address, int clients, int events, int told)
{
    int epoll = epoll_create1(0);
    for (int i = 0; i < clients; i++) {
        struct epoll_event wanted = {.events = EPOLLIN, .data.fd = connect_to(address)};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, wanted.data.fd, &wanted) != 0)
            fail("epoll_ctl");
    }
    read_events(epoll, clients, events, told);
    exit(0);
}

/* ---- this side ----------------------------------------------------------------------------------- */

static int listen_somewhere(struct sockaddr_in *address)
{
    socklen_t size = sizeof *address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || bind(fd, (struct sockaddr *)address, size) != 0 || listen(fd, 4096) != 0 ||
        getsockname(fd, (struct sockaddr *)address, &size) != 0)
        fail("listen");
    return fd;
}

static void accept_all(int listening, int *sockets, int clients)
{
    static const int on = 1;
    for (int i = 0; i < clients; i++) {
        sockets[i] = accept(listening, NULL, NULL);
        if (sockets[i] < 0)
            fail("accept");
        setsockopt(sockets[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
}

static double cpu_us(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address;
    char frame[FRAME_BYTES];
    int told[2];

    int clients = argc == 3 ? atoi(argv[1]) : 0, events = argc == 3 ? atoi(argv[2]) : 0;
    if (clients <= 0 || events <= 0) {
        fprintf(stderr, "usage: floor-send CLIENTS EVENTS\n");
        return 2;
    }
    int *sockets = calloc((size_t)clients, sizeof *sockets);
    double *spreads = calloc((size_t)events, sizeof *spreads), warm = 0;
    if (!sockets || !spreads || pipe(told) != 0)
        abort();
    memset(frame, 'x', sizeof frame);
    int listening = listen_somewhere(&address);
    if (fork() == 0)
        be_the_clients(&address, clients, events + WARM, told[1]);
    accept_all(listening, sockets, clients);

    double cpu = 0;
    for (int event = -WARM; event < events; event++) {
        double before = cpu_us();
        for (int i = 0; i < clients; i++)
            if (send(sockets[i], frame, sizeof frame, MSG_NOSIGNAL) != sizeof frame)
                fail("send");
        cpu += event >= 0 ? cpu_us() - before : 0;
        double *spread = event >= 0 ? &spreads[event] : &warm;
        if (read(told[0], spread, sizeof *spread) != sizeof *spread)
            fail("read");
    }
    wait(NULL);
    qsort(spreads, (size_t)events, sizeof *spreads, by_size);
    printf("{\"clients\":%d,\"events\":%d,\"p50_ms\":%.3f,\"cpu_us\":%.2f}\n", clients, events,
           spreads[events / 2], cpu / clients / events);
    free(spreads);
    free(sockets);
    return 0;
}
