/* SPDX-License-Identifier: MIT */
/* Every address is an IPv6 one: IPv4 lies in ::ffff:0:0/96. */
#include "ws-notifier/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define NETWORK_BYTES 8 /* of an IPv6 address */

static struct address from_v4(const void *bytes)
{
    struct address address = {.bytes = {[10] = 0xff, [11] = 0xff}};
    memcpy(address.bytes + 12, bytes, 4);
    return address;
}

static struct address from_v6(const struct in6_addr *whole)
{
    struct address address = {{0}};
    if (IN6_IS_ADDR_V4MAPPED(whole))
        return from_v4(whole->s6_addr + 12);
    memcpy(address.bytes, whole->s6_addr, IN6_IS_ADDR_LOOPBACK(whole) ? 16 : NETWORK_BYTES);
    return address;
}

static struct address from_peer(const struct sockaddr *peer)
{
    static const unsigned char nowhere[4];
    if (peer->sa_family == AF_INET6)
        return from_v6(&((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr);
    if (peer->sa_family == AF_INET)
        return from_v4(&((const struct sockaddr_in *)(const void *)peer)->sin_addr);
    return from_v4(nowhere);
}

static bool is_v4(const struct address *address)
{
    static const unsigned char prefix[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(address->bytes, prefix, sizeof prefix) == 0;
}

static bool is_loopback(const struct address *address)
{
    static const struct in6_addr loopback = IN6ADDR_LOOPBACK_INIT;
    return is_v4(address) ? address->bytes[12] == 127
                          : memcmp(address->bytes, loopback.s6_addr, sizeof address->bytes) == 0;
}

/* 10/8, 172.16/12, 192.168/16, 169.254/16; fc00::/7, fe80::/10. */
static bool is_private(const struct address *address)
{
    const unsigned char *b = address->bytes;
    if (!is_v4(address))
        return (b[0] & 0xfe) == 0xfc || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80);
    return b[12] == 10 || (b[12] == 172 && (b[13] & 0xf0) == 16) || (b[12] == 192 && b[13] == 168) ||
           (b[12] == 169 && b[13] == 254);
}

static bool is_trusted(const struct address *address, enum address_trust trust)
{
    if (trust == TRUST_NONE)
        return false;
    return is_loopback(address) || (trust == TRUST_PRIVATE && is_private(address));
}

/* The last of the addresses with commas between them. */
static bool read_last(const char *list, struct address *out)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr v6;
    struct in_addr v4;
    const char *comma = strrchr(list, ',');
    const char *last = comma ? comma + 1 : list;

    last += strspn(last, " \t");
    size_t length = strcspn(last, " \t");
    if (length == 0 || length >= sizeof text || last[length + strspn(last + length, " \t")] != '\0')
        return false;
    memcpy(text, last, length);
    text[length] = '\0';
    if (inet_pton(AF_INET, text, &v4) == 1)
        *out = from_v4(&v4);
    else if (inet_pton(AF_INET6, text, &v6) == 1)
        *out = from_v6(&v6);
    else
        return false;
    return true;
}

struct address address_of(const struct sockaddr *peer, const char *forwarded, enum address_trust trust)
{
    struct address address = from_peer(peer), named;
    return is_trusted(&address, trust) && read_last(forwarded, &named) ? named : address;
}
