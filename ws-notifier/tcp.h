/* SPDX-License-Identifier: MIT */
/* What the kernel knows about a TCP connection, beyond what a program reads and writes. */
#ifndef CARILLON_TCP_H
#define CARILLON_TCP_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_facts {
    uint32_t received; /* bytes that came in order, modulo 2^32 */
    uint32_t acked;    /* bytes that the peer's kernel has taken, likewise */
    bool waiting;      /* some that were written have not been taken */
};

/* All zero when the descriptor is no TCP socket, or the kernel does not say. */
struct tcp_facts tcp_look(int fd);

#endif
