/* SPDX-License-Identifier: MIT */
#include "ws-notifier/reach.h"

#include "common/clock.h"
#include "common/session_ends.h"

/* The least history that is read back: it must contain a beacon, without which no event is believed. */
#define HISTORY_LEAST_S 30

/* Each message with a time of its own, beacon or marker, is followed by the next within so long. */
#define STAMPS_APART_S 15

/* The most by which a clock is expected to be set back. A message further ahead of the clock has a wrong
 * time. */
#define SET_BACK_S 3600

static int64_t stream_at_most_s(const struct reach *reach, int64_t seconds)
{
    return seconds < reach->config->stream_max_age_s ? seconds : reach->config->stream_max_age_s;
}

/* How far back the ring reaches when the stream does. */
static int64_t most_s(const struct reach *reach)
{
    int64_t most_s = reach->config->ring_age_s;
    if (most_s < HISTORY_LEAST_S)
        most_s = HISTORY_LEAST_S;
    if (reach->guarded && most_s < ENDS_HISTORY_S)
        most_s = ENDS_HISTORY_S;
    return stream_at_most_s(reach, most_s);
}

int64_t reach_history_s(const struct reach *reach)
{
    return stream_at_most_s(reach, most_s(reach) + STAMPS_APART_S);
}

/* At first the ring will hold all that is read back. Later, events since the last connection may have been in
 * a stream that is gone. */
void reach_begin(struct reach *reach, bool again)
{
    int64_t now_s = delivery_now_s(reach->out);
    delivery_begin(reach->out, again ? now_s : now_s - most_s(reach));
    reach->beginning = again ? BEGINNING_KNOWN : NOTHING_READ;
    reach->stream_time_s = 0;
}

/* The broker may have dropped the stream's oldest messages (STREAM_MAX_BYTES), unless the first of all is
 * still there. Then nothing is missing only after the first message that says when it was sent. */
void reach_note_offset(struct reach *reach, int64_t offset)
{
    if (reach->beginning == NOTHING_READ)
        reach->beginning = offset == 0 ? BEGINNING_KNOWN : BEGINNING_GONE;
}

/* A notifier before this one may have given that time to a client. */
void reach_note_time(struct reach *reach, int64_t time_s)
{
    if (time_s > reach->stream_time_s)
        reach->stream_time_s = time_s;
    if (time_s <= clock_wall_ms() / 1000 + SET_BACK_S)
        delivery_note_time(reach->out, time_s);
}

void reach_note_stamp(struct reach *reach, int64_t stamp_s)
{
    reach_note_time(reach, stamp_s);
    int64_t now_s = delivery_now_s(reach->out);
    if (reach->beginning == BEGINNING_GONE)
        delivery_begin(reach->out, stamp_s < now_s ? stamp_s : now_s);
    reach->beginning = BEGINNING_KNOWN;
}

/* The broker does not tell it. But the event came after every message stamped before it, and after its own
 * creation. */
int64_t reach_time_s(const struct reach *reach, int64_t created_at_ms)
{
    int64_t now_s = delivery_now_s(reach->out), time_s = created_at_ms / 1000;
    if (reach->stream_time_s > time_s)
        time_s = reach->stream_time_s;
    return time_s < now_s ? time_s : now_s;
}
