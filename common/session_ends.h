/* SPDX-License-Identifier: MIT */
/* Users whose sessions were ended: tokens that were issued to them before are refused. The API keeps them in
 * its database and tells the notifiers, in its beacons (docs/protocol.md). */
#ifndef CARILLON_SESSION_ENDS_H
#define CARILLON_SESSION_ENDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/strbuf.h"

/* All that matter are said again at least so often, with some seconds to spare: so far back must a reader
 * begin. */
#define ENDS_HISTORY_S 330

struct session_end {
    uint32_t user_id;
    int64_t before_s; /* tokens of an earlier second are refused */
};

/* In ascending order of users, each once. Zero-initialized: empty. */
struct session_ends {
    size_t count, capacity;
    struct session_end *list;
};

void session_ends_free(struct session_ends *ends); /* empty again */

/* The later of two ends of one user stays. Whether that changed anything. */
bool session_ends_add(struct session_ends *ends, uint32_t user_id, int64_t before_s);

/* Forgets those before a second. */
void session_ends_forget(struct session_ends *ends, int64_t before_s);

/* Whether a token is over that was issued then; -1: it does not say when, which is over, too. */
bool session_ends_cover(const struct session_ends *ends, uint32_t user_id, int64_t issued_s);

/* What a message says of them. A whole list is said in one or more, the first and the last of which say so.
 */
struct session_ends_message {
    bool told; /* it says something of them; a publisher of before says nothing */
    bool first, last;
};
void session_ends_write(const struct session_end *list, size_t count, bool first, bool last,
                        struct strbuf *out);

/* Adds what a message says. ERR_INVALID: it is none; nothing was added. */
MUST_CHECK enum err session_ends_read(const char *text, size_t length, struct session_ends *ends,
                                      struct session_ends_message *message, bool *changed);

#endif
