/* SPDX-License-Identifier: MIT */
/* Every event, the deliveries that are expected of it, and those that came.
 *
 * Event n is for the user at place user_of[n]; client i hears the user at place i % users. So each event is
 * expected exactly once by each client of its user. */
#ifndef CARILLON_BENCH_TALLY_H
#define CARILLON_BENCH_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/samples.h"

struct tally_event {
    uint32_t user; /* its place */
    int64_t sent_at, first_at, last_at;
    uint32_t missing; /* deliveries still to come */
    bool counted;     /* the server accepted it */
};

struct tally {
    uint32_t run; /* marks this run's events */
    uint32_t users, clients, slots, events;
    struct tally_event *event;
    uint8_t *got; /* slots an event */
    bool repeats; /* deliveries are counted, though some carry the text of another event */
    uint64_t expected, delivered, doubled, misdirected;
    uint64_t repeated; /* of those delivered */
    int64_t last_at;
    struct samples latency; /* ms from sent to frame */
};

void tally_init(struct tally *tally, uint32_t users, uint32_t clients, uint32_t events);
/* The same events once more, as if none had been delivered. */
void tally_again(struct tally *tally);

#define TALLY_CONTENT_SIZE 32
/* The text by which a client recognizes the event. */
void tally_content(const struct tally *tally, uint32_t event, char content[TALLY_CONTENT_SIZE]);

void tally_sent(struct tally *tally, uint32_t number, uint32_t user, int64_t at);
/* Notes whether the server accepted it: an accepted event is expected. */
void tally_accepted(struct tally *tally, uint32_t number, bool accepted);
void tally_heard(struct tally *tally, uint32_t client, const char *payload, size_t length, int64_t at);

bool tally_event_complete(const struct tally *tally, uint32_t event);
/* Of the events accepted so far. */
uint64_t tally_missing(const struct tally *tally);

#endif
