/* SPDX-License-Identifier: MIT */
/* Comparing origins and names of hosts. */
#include "common/origin.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

static const char between[] = " ,\t";

struct piece {
    const char *text;
    size_t length;
};

/* "name:port", of an Origin or a Host. */
struct authority {
    struct piece name, port; /* a name without its last dot; port.length 0: none */
};

static struct piece piece_of(const char *text)
{
    return (struct piece){text, strlen(text)};
}

static bool is(struct piece piece, const char *word)
{
    return piece.length == strlen(word) && strncasecmp(piece.text, word, piece.length) == 0;
}

static bool same(struct piece one, struct piece other)
{
    return one.length == other.length && strncasecmp(one.text, other.text, one.length) == 0;
}

/* The next word of a list, from *at on; length 0 at the end. */
static struct piece next_word(const char **at)
{
    const char *word = *at + strspn(*at, between);
    struct piece piece = {word, strcspn(word, between)};
    *at = word + piece.length;
    return piece;
}

static struct authority split_authority(struct piece text)
{
    struct authority authority = {.name = text, .port = {"", 0}};
    size_t at = text.length;

    while (at > 0 && text.text[at - 1] >= '0' && text.text[at - 1] <= '9')
        at--;
    if (at > 0 && text.text[at - 1] == ':') {
        authority.port = (struct piece){text.text + at, text.length - at};
        authority.name.length = at - 1;
    }
    if (authority.name.length > 1 && authority.name.text[authority.name.length - 1] == '.')
        authority.name.length--;
    return authority;
}

/* False when it is none, such as "null". */
static bool split_origin(struct piece origin, struct piece *scheme, struct authority *authority)
{
    static const char mark[] = "://";
    const size_t mark_length = sizeof mark - 1;

    for (size_t i = 0; i + mark_length < origin.length; i++) {
        if (strncmp(origin.text + i, mark, mark_length) != 0)
            continue;
        *scheme = (struct piece){origin.text, i};
        *authority =
            split_authority((struct piece){origin.text + i + mark_length, origin.length - i - mark_length});
        return true;
    }
    return false;
}

static const char *default_port(struct piece scheme)
{
    if (is(scheme, "https") || is(scheme, "wss"))
        return "443";
    return is(scheme, "http") || is(scheme, "ws") ? "80" : "";
}

static bool same_authority(const struct authority *one, const struct authority *other, const char *default_)
{
    struct piece one_port = one->port.length > 0 ? one->port : piece_of(default_);
    struct piece other_port = other->port.length > 0 ? other->port : piece_of(default_);
    return same(one->name, other->name) && same(one_port, other_port);
}

static bool same_origin(struct piece one, struct piece other)
{
    struct piece one_scheme, other_scheme;
    struct authority one_authority, other_authority;

    if (!split_origin(one, &one_scheme, &one_authority) ||
        !split_origin(other, &other_scheme, &other_authority))
        return same(one, other);
    return same(one_scheme, other_scheme) &&
           same_authority(&one_authority, &other_authority, default_port(one_scheme));
}

bool origin_listed(const char *list, const char *origin)
{
    struct piece word, wanted = piece_of(origin);

    while ((word = next_word(&list)).length > 0)
        if (is(word, "*") || same_origin(word, wanted))
            return true;
    return false;
}

bool origin_is_own(const char *origin, const char *host)
{
    struct piece scheme;
    struct authority authority, own = split_authority(piece_of(host));

    return own.name.length > 0 && split_origin(piece_of(origin), &scheme, &authority) &&
           same_authority(&authority, &own, default_port(scheme));
}

/* ---- names of hosts ------------------------------------------------------------------------------ */

static bool parse_address(struct piece name, int family, void *address)
{
    char text[INET6_ADDRSTRLEN];
    if (family == AF_INET6) {
        if (name.length < 3 || name.text[0] != '[' || name.text[name.length - 1] != ']')
            return false;
        name = (struct piece){name.text + 1, name.length - 2};
    }
    if (name.length >= sizeof text)
        return false;
    memcpy(text, name.text, name.length);
    text[name.length] = '\0';
    return inet_pton(family, text, address) == 1;
}

static bool is_address(struct piece name)
{
    struct in_addr v4;
    struct in6_addr v6;
    return parse_address(name, AF_INET, &v4) || parse_address(name, AF_INET6, &v6);
}

static bool is_this_machine(struct piece name)
{
    static const char suffix[] = ".localhost";
    const size_t suffix_length = sizeof suffix - 1;
    struct in_addr v4;
    struct in6_addr v6;

    if (is(name, "localhost"))
        return true;
    if (name.length > suffix_length &&
        strncasecmp(name.text + name.length - suffix_length, suffix, suffix_length) == 0)
        return true;
    if (parse_address(name, AF_INET, &v4))
        return ntohl(v4.s_addr) >> 24 == 127;
    return parse_address(name, AF_INET6, &v6) && IN6_IS_ADDR_LOOPBACK(&v6);
}

static bool is_server_name(const char *names, struct piece name)
{
    struct piece word;
    while ((word = next_word(&names)).length > 0)
        if (same(word, name))
            return true;
    return false;
}

static bool is_name_in_list(const char *list, struct piece name)
{
    struct piece word, scheme;
    struct authority authority;
    while ((word = next_word(&list)).length > 0)
        if (is(word, "*") || (split_origin(word, &scheme, &authority) && same(authority.name, name)))
            return true;
    return false;
}

static bool is_own_host(const struct origin_rules *rules, const char *host)
{
    struct piece name = split_authority(piece_of(host)).name;
    return name.length == 0 || is_this_machine(name) || memchr(name.text, '.', name.length) == NULL ||
           is_address(name) || is_server_name(rules->names, name) || is_name_in_list(rules->list, name);
}

static bool is_own_page(const struct origin_rules *rules, const char *origin)
{
    struct piece scheme;
    struct authority authority;
    return split_origin(piece_of(origin), &scheme, &authority) &&
           (is_this_machine(authority.name) || is_server_name(rules->names, authority.name));
}

enum origin_verdict origin_judge(const struct origin_rules *rules, const char *origin, const char *host)
{
    if (rules->open && !is_own_host(rules, host))
        return ORIGIN_FOREIGN_HOST;
    if (origin[0] == '\0' || origin_is_own(origin, host))
        return ORIGIN_WELCOME;
    if (rules->list[0] != '\0')
        return origin_listed(rules->list, origin) ? ORIGIN_WELCOME : ORIGIN_FOREIGN_PAGE;
    return rules->open && is_own_page(rules, origin) ? ORIGIN_WELCOME : ORIGIN_FOREIGN_PAGE;
}
