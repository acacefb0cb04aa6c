/* SPDX-License-Identifier: MIT */
/* Where a client comes from, as limits see it: an IPv4 address, or the first half of an IPv6 address, because
 * a household or a server has all of the second half. */
#ifndef CARILLON_ADDRESS_H
#define CARILLON_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

struct address {
    unsigned char bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
};

/* Which peers are trusted to say where others come from; in the order of WS_TRUST_PROXY's words. */
enum address_trust { TRUST_LOOPBACK, TRUST_PRIVATE, TRUST_NONE };

/* The peer's own address, or, when the peer is a proxy that is trusted, the last one that its X-Forwarded-For
 * header names: what stands before it the client may have made up. `forwarded` may be "" or anything. A peer
 * without an IP address (a unix socket's) is 0.0.0.0. */
struct address address_of(const struct sockaddr *peer, const char *forwarded, enum address_trust trust);

#endif
