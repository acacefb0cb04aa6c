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

/* In ascending order of users, each once. */
struct session_run {
    size_t count, capacity;
    struct session_end *list;
};

/* Zero-initialized: empty. No user is in both runs. */
struct session_ends {
    struct session_run settled, recent;
};

void session_ends_free(struct session_ends *ends); /* empty again */

/* The later of two ends of one user stays. Whether that changed anything. */
bool session_ends_add(struct session_ends *ends, uint32_t user_id, int64_t before_s);

size_t session_ends_count(const struct session_ends *ends);

/* All session_ends_count() of them, in ascending order of users; valid until the next change. */
const struct session_end *session_ends_list(struct session_ends *ends);

/* Forgets those before a second. */
void session_ends_forget(struct session_ends *ends, int64_t before_s);

/* Whether a token is over that was issued then; -1: it does not say when, which is over, too. */
bool session_ends_cover(const struct session_ends *ends, uint32_t user_id, int64_t issued_s);

#define SESSION_LIST_MAX 16

/* What a message says beside them. A whole list is said in one or more, the first and the last of which say
 * so. All have the list's name, because two publishers may say theirs at a time. */
struct session_ends_message {
    char list[SESSION_LIST_MAX + 1]; /* "": of no whole list, or of a publisher of before, which gives none */
    bool first, last;
    bool told; /* read: it says something of them; a publisher of before says nothing */
};
void session_ends_write(const struct session_end *ends, size_t count,
                        const struct session_ends_message *message, struct strbuf *out);

/* Adds what a message says. ERR_INVALID: it is none; nothing was added. */
MUST_CHECK enum err session_ends_read(const char *text, size_t length, struct session_ends *ends,
                                      struct session_ends_message *message, bool *changed);

#endif
