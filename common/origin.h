/* SPDX-License-Identifier: MIT */
/* Which pages may use the service, and by which names of its own: the Origin and the Host that a browser
 * sends, against ALLOWED_ORIGINS and SERVER_NAME.
 *
 * A browser sends what a page wrote to any address, and only the Origin says which page that was. An Origin
 * that is missing proves nothing either: a name of an attacker can be made to lead to this machine (DNS
 * rebinding), and then the browser takes its page for ours. The Host header still has the attacker's name. A
 * token keeps both out, so the Host matters only while the service is open. */
#ifndef CARILLON_ORIGIN_H
#define CARILLON_ORIGIN_H

#include <stdbool.h>

/* Whether the list (with spaces or commas between its members) has this origin, or is "*". A port that is the
 * scheme's own may be left out on either side (RFC 6454, 4). */
bool origin_listed(const char *list, const char *origin);

/* Whether the origin is the server's own, by the Host header of the same request. */
bool origin_is_own(const char *origin, const char *host);

struct origin_rules {
    const char *list;  /* ALLOWED_ORIGINS */
    const char *names; /* SERVER_NAME: with spaces or commas between them */
    bool open;         /* no token is asked for */
};

enum origin_verdict {
    ORIGIN_WELCOME,
    ORIGIN_FOREIGN_PAGE, /* a page that is neither ours nor listed */
    ORIGIN_FOREIGN_HOST, /* a name that is not ours, while the service is open */
};

/* The whole rule; `origin` and `host` are "" when absent.
 *
 * - Without an Origin it is no page, or our own. Our own is welcome.
 * - With a list, pages of its members are. Without one, while the service is open, those of any port of
 *   this machine (localhost and loopback addresses) and of SERVER_NAME are.
 * - While it is open, the Host has to be a name of SERVER_NAME or of a listed origin, an address, localhost,
 * or a name without a dot, which cannot be had on the internet. With "*" in the list it may be any. */
enum origin_verdict origin_judge(const struct origin_rules *rules, const char *origin, const char *host);

#endif
