/* SPDX-License-Identifier: MIT */
/* Events that were published, as witnesses of their commits. Nothing is published before its commit is
 * durable (publisher.c), so a journal that lacks one of them has lost commits. No I/O; the newest WITNESS_MAX
 * are kept. */
#ifndef CARILLON_PUBLISHER_WITNESS_H
#define CARILLON_PUBLISHER_WITNESS_H

#include "common/event.h"
#include "fcgi-api/store/store.h"

#define WITNESS_MAX 256

/* Zero-initialized: none. */
struct witness {
    struct published_event events[WITNESS_MAX]; /* in a ring */
    size_t count, next;
    char epoch[CURSOR_EPOCH_MAX + 1]; /* of all of them */
};

/* Notes a published event; with the first one of another epoch the others are forgotten. `unit_ms` as in
 * published_event. */
void witness_note(struct witness *witness, const struct event_meta *meta, int64_t unit_ms);
void witness_clear(struct witness *witness);

/* The first event that the journal contradicts: the user has not got so far, or another event has its number.
 * NULL: none. A number without an event is no contradiction: the journal is purged. `entries` belong to the
 * events, one each. */
const struct published_event *witness_denied(const struct witness *witness,
                                             const struct journal_entry *entries);

#endif
