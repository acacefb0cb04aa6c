/* SPDX-License-Identifier: MIT */
/* The addresses of a host's name, for threads that must not wait for a name server.
 *
 * getaddrinfo() cannot be interrupted: where the name server is silent it returns after 10 s, with defaults
 * and one name to try. So each look-up runs in a thread of its own, and the last answer is kept for the time
 * in which there is no newer one. */
#ifndef CARILLON_RESOLVE_H
#define CARILLON_RESOLVE_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define RESOLVE_MAX  8  /* addresses of a name; further ones are left out */
#define RESOLVE_SIZE 64 /* an IPv6 address with its interface */

/* As texts, which connect functions take in place of the name; the one to try first is first. */
struct resolve_answer {
    size_t count;
    char text[RESOLVE_MAX][RESOLVE_SIZE];
};

/* An address as `name` is its own answer. A name is looked up, unless that was done within the last second.
 * The new answer is waited for until the deadline (monotonic ms) where there is no earlier one, otherwise for
 * 300 ms. The earlier answer stays in use when the name server is silent or cannot tell; when it says that
 * there is no such name, the earlier answer is forgotten. Any thread may call it.
 * ERR_UNAVAILABLE: no address; *why says so for the log (a constant). */
MUST_CHECK enum err resolve_name(const char *name, int64_t deadline, struct resolve_answer *answer,
                                 const char **why);

/* To be called when that address of the name did not do: another one is tried first from now on. */
void resolve_failed(const char *name, const char *address);

#endif
