/* SPDX-License-Identifier: MIT */
/* Events between the outbox and the broker's confirm. */
#include "fcgi-api/publisher/flight.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void flight_init(struct flight *flight)
{
    *flight = (struct flight){.first_tag = 1, .next_tag = 1};
    flight->events = calloc(FLIGHT_EVENTS_MAX, sizeof *flight->events);
    flight->landed = calloc(FLIGHT_EVENTS_MAX, sizeof *flight->landed);
    flight->refused = calloc(FLIGHT_EVENTS_MAX, sizeof *flight->refused);
    if (!flight->events || !flight->landed || !flight->refused)
        abort();
    user_map_init(&flight->users, FLIGHT_EVENTS_MAX);
    user_map_init(&flight->sent, FLIGHT_USERS_MAX);
}

void flight_free(struct flight *flight)
{
    free(flight->events);
    free(flight->landed);
    free(flight->refused);
    user_map_free(&flight->users);
    user_map_free(&flight->sent);
    *flight = (struct flight){0};
}

void flight_clear(struct flight *flight)
{
    flight->first_tag = flight->next_tag = 1;
    flight->last_confirmed = 0;
    flight->bytes = 0;
    flight->landed_count = flight->refused_count = 0;
    user_map_clear(&flight->users);
    user_map_clear(&flight->sent);
}

static struct flight_event *event_of(const struct flight *flight, uint64_t tag)
{
    return &flight->events[tag % FLIGHT_EVENTS_MAX];
}

size_t flight_unconfirmed(const struct flight *flight)
{
    return (size_t)(flight->next_tag - flight->first_tag);
}

bool flight_passed_over(const struct flight *flight)
{
    return flight->first_tag < flight->last_confirmed;
}

/* A single message is always sent, however large. */
bool flight_has_room_again(const struct flight *flight, size_t bytes)
{
    return flight->bytes == 0 || flight->bytes + bytes <= FLIGHT_BYTES_MAX;
}

bool flight_has_room(const struct flight *flight, size_t bytes)
{
    if (flight_unconfirmed(flight) + flight->landed_count + flight->refused_count >= FLIGHT_EVENTS_MAX)
        return false;
    return flight_has_room_again(flight, bytes);
}

/* Numbers of another epoch say nothing; when there are too many users, nothing is known of any. */
static void note_sent(struct flight *flight, const struct event_meta *meta)
{
    if (strcmp(flight->epoch, meta->epoch) != 0) {
        memcpy(flight->epoch, meta->epoch, sizeof flight->epoch);
        user_map_clear(&flight->sent);
    }
    struct user_entry *user = user_map_add(&flight->sent, meta->user_id);
    if (!user) {
        user_map_clear(&flight->sent);
        user = user_map_add(&flight->sent, meta->user_id);
    }
    if (meta->seq > user->seq)
        user->seq = meta->seq;
}

enum flight_place flight_place(const struct flight *flight, const struct event_meta *meta)
{
    const struct user_entry *user = user_map_find(&flight->sent, meta->user_id);
    if (!user || strcmp(flight->epoch, meta->epoch) != 0 || user->seq + 1 < meta->seq)
        return FLIGHT_UNKNOWN;
    return user->seq + 1 == meta->seq ? FLIGHT_NEXT : FLIGHT_SENT;
}

static void add(struct flight *flight, uint64_t tag, const struct flight_event *event)
{
    assert(tag == flight->next_tag);
    *event_of(flight, tag) = *event;
    flight->next_tag++;
    flight->bytes += event->bytes;
}

void flight_sent_again(struct flight *flight, uint64_t tag, const struct event_meta *meta,
                       int64_t queued_at_ms, size_t bytes)
{
    add(flight, tag,
        &(struct flight_event){.meta = *meta, .queued_at_ms = queued_at_ms, .bytes = bytes, .again = true});
}

void flight_sent(struct flight *flight, uint64_t tag, const struct event_meta *meta, int64_t queued_at_ms,
                 size_t bytes)
{
    add(flight, tag, &(struct flight_event){.meta = *meta, .queued_at_ms = queued_at_ms, .bytes = bytes});
    if (meta->user_id == 0)
        return;
    struct user_entry *user = user_map_add(&flight->users, meta->user_id);
    assert(user && meta->seq > user->seq);
    user->count++;
    user->seq = meta->seq;
    note_sent(flight, meta);
}

void flight_trace(struct flight *flight, const char *span_id)
{
    struct flight_event *event = event_of(flight, flight->next_tag - 1);
    memcpy(event->span_id, span_id, sizeof event->span_id - 1);
}

uint64_t flight_highest(const struct flight *flight, uint32_t user_id)
{
    const struct user_entry *user = user_map_find(&flight->users, user_id);
    return user ? user->seq : 0;
}

static void confirm_one(struct flight *flight, uint64_t tag, flight_visit *visit, void *context)
{
    struct flight_event *event = event_of(flight, tag);
    if (event->confirmed)
        return;
    event->confirmed = true;
    flight->bytes -= event->bytes;
    if (event->meta.user_id != 0)
        flight->landed[flight->landed_count++] = (struct outbox_key){event->meta.user_id, event->meta.seq};
    visit(context, event);
}

static void forget_settled(struct flight *flight, uint64_t tag)
{
    if (tag > flight->last_confirmed)
        flight->last_confirmed = tag;
    while (flight->first_tag < flight->next_tag && event_of(flight, flight->first_tag)->confirmed)
        flight->first_tag++;
}

void flight_confirm(struct flight *flight, uint64_t tag, bool multiple, flight_visit *visit, void *context)
{
    if (tag < flight->first_tag || tag >= flight->next_tag)
        return;
    for (uint64_t t = multiple ? flight->first_tag : tag; t <= tag; t++)
        confirm_one(flight, t, visit, context);
    forget_settled(flight, tag);
}

static bool refuse_one(struct flight *flight, uint64_t tag)
{
    struct flight_event *event = event_of(flight, tag);
    if (event->confirmed)
        return true;
    if (event->again || event->meta.user_id == 0)
        return false;
    event->confirmed = true;
    flight->bytes -= event->bytes;
    flight->refused[flight->refused_count++] = (struct outbox_key){event->meta.user_id, event->meta.seq};
    return true;
}

bool flight_refuse(struct flight *flight, uint64_t tag, bool multiple)
{
    bool events = true;
    if (tag < flight->first_tag || tag >= flight->next_tag)
        return true;
    for (uint64_t t = multiple ? flight->first_tag : tag; t <= tag; t++)
        events = refuse_one(flight, t) && events;
    forget_settled(flight, tag);
    return events;
}

void flight_unrefuse(struct flight *flight, size_t count)
{
    assert(count <= flight->refused_count);
    flight->refused_count -= count;
    memmove(flight->refused, flight->refused + count, flight->refused_count * sizeof *flight->refused);
}

void flight_land(struct flight *flight, const struct outbox_key *event)
{
    flight->landed[flight->landed_count++] = *event;
}

void flight_deleted(struct flight *flight, size_t count)
{
    assert(count <= flight->landed_count);
    for (size_t i = 0; i < count; i++) {
        uint32_t user_id = (uint32_t)flight->landed[i].user_id;
        struct user_entry *user = user_map_find(&flight->users, user_id);
        if (--user->count == 0)
            user_map_remove(&flight->users, user_id);
    }
    flight->landed_count -= count;
    memmove(flight->landed, flight->landed + count, flight->landed_count * sizeof *flight->landed);
}
