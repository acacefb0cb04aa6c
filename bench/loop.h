/* SPDX-License-Identifier: MIT */
/* One epoll loop for thousands of sockets, and the clock. One thread, one loop. */
#ifndef CARILLON_BENCH_LOOP_H
#define CARILLON_BENCH_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#define NS_PER_S 1000000000LL

/* A part of each thing that waits. fd is -1 while there is nothing to wait for. */
struct watch {
    int fd;
    void (*ready)(struct watch *watch, uint32_t events);
};

struct address {
    uint32_t ip; /* network order, as the next two */
    uint16_t port;
    uint32_t source; /* where to connect from; 0: the kernel chooses */
    char host[80];   /* as it was given, for the Host header */
    char path[128];
};

void loop_init(void);
void loop_watch(struct watch *watch, uint32_t events);
void loop_change(struct watch *watch, uint32_t events);
/* Closes the descriptor, too. */
void loop_forget(struct watch *watch);

/* Waits for events until that time at most, and handles them. */
void loop_step(int64_t until_ns);

int64_t now_ns(void); /* monotonic */

/* "127.0.0.1:8080/ws" */
void address_parse(const char *text, struct address *address);

/* A non-blocking socket that has begun to connect. Never -1: the program ends when it cannot have one. */
int address_connect(const struct address *address);

/* Ends the program with a line on stderr. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
