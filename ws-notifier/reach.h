/* SPDX-License-Identifier: MIT */
/* From when on the ring has every event: how far back the stream must be read, whether its beginning is still
 * there, and when the events of history reached it. For the feed alone. No I/O; times are in seconds, by the
 * stream's time (feed_now_s()). */
#ifndef CARILLON_REACH_H
#define CARILLON_REACH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "ws-notifier/delivery.h"

/* What is known of the stream's beginning, before which events may be missing. */
enum beginning { NOTHING_READ, BEGINNING_GONE, BEGINNING_KNOWN };

struct reach {
    const struct config *config;
    struct delivery *out; /* it has the ring */
    bool guarded;         /* tokens are wanted */
    enum beginning beginning;
    int64_t stream_time_s; /* the latest time seen on a message that is stamped when it is sent */
};

/* See feed_history_s(). */
int64_t reach_history_s(const struct reach *reach);

/* The stream is read from reach_history_s() back; `again`: not for the first time. */
void reach_begin(struct reach *reach, bool again);

/* Of each message that is read, before anything else. */
void reach_note_offset(struct reach *reach, int64_t offset);
/* Of a message that is stamped when it is sent. */
void reach_note_stamp(struct reach *reach, int64_t stamp_s);
/* Of another time in such a message. */
void reach_note_time(struct reach *reach, int64_t time_s);

/* When an event of history reached the stream. */
int64_t reach_time_s(const struct reach *reach, int64_t created_at_ms);

#endif
