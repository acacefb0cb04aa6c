/* SPDX-License-Identifier: MIT */
/* Up to which time the stream has every event. One machine alone has the one stream there is, and nothing of
 * this is told. Where several nodes share the journal each publishes all events into a stream of its own,
 * which can be behind the others'; then the API's beacons tell this time, and it is what cursors carry. No
 * I/O and no clock of its own: times are wall clock ms unless they say otherwise. */
#ifndef CARILLON_HORIZON_H
#define CARILLON_HORIZON_H

#include <stdbool.h>
#include <stdint.h>

/* A balancer has noticed by then that this notifier is not ready. */
#define HORIZON_NOTICE_MS 2000

struct horizon {
    int64_t limit_ms; /* WS_STALE_S; 0: none */
    bool told;        /* beacons tell such a time */
    int64_t time_ms;  /* 0: not known */
    int64_t leave_at; /* monotonic; 0: clients stay */
};

/* What a beacon tells. -1: nothing of it, so this is one machine alone, and the time is forgotten. 0: its
 * publisher does not know a time; the one that was told before stays, also when another stream is read,
 * because this notifier has had all events from before it. */
void horizon_hear(struct horizon *horizon, int64_t complete_ms);

/* Beacons tell such a time, but none has been known yet: a cursor without one would be good nowhere. */
bool horizon_is_unknown(const struct horizon *horizon);

/* How old the time is; -1: none is told, or known. */
int64_t horizon_age_ms(const struct horizon *horizon, int64_t now_ms);
/* It is too old, or missing: this notifier hears too little, and clients are better off elsewhere. */
bool horizon_is_stale(const struct horizon *horizon, int64_t now_ms);
/* Whether all clients are to be sent to another node now: some time after it became stale, and again each
 * limit_ms while it is. Ask about once a second. */
bool horizon_sends_away(struct horizon *horizon, int64_t now_ms, int64_t monotonic_ms);

#endif
