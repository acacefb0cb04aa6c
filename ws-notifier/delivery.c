/* SPDX-License-Identifier: MIT */
#include "ws-notifier/delivery.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "ws-notifier/notifier_metrics.h"
#include "ws-notifier/protocol.h"

#define HELD_SHARE 16 /* events that wait for their predecessor may take 1/16 of the ring's memory */

struct delivery {
    struct hub *hub;
    struct metrics *metrics;
    struct ring *ring;
    struct held *held;
    char epoch[CURSOR_EPOCH_MAX + 1]; /* "": not known yet */
    int64_t latest_s;                 /* the latest time that was given to an event or a cursor */
};

struct delivery *delivery_new(const struct config *config, struct hub *hub, struct metrics *metrics)
{
    struct delivery *delivery = calloc(1, sizeof *delivery);
    if (!delivery)
        abort();
    delivery->hub = hub;
    delivery->metrics = metrics;
    delivery->ring = ring_new((size_t)config->ring_bytes, config->ring_age_s, INT64_MIN);
    delivery->held = held_new(config->hole_wait_s * 1000, (size_t)config->ring_bytes / HELD_SHARE, metrics);
    return delivery;
}

void delivery_free(struct delivery **delivery)
{
    if (!*delivery)
        return;
    held_free(&(*delivery)->held);
    ring_free(&(*delivery)->ring);
    free(*delivery);
    *delivery = NULL;
}

int64_t delivery_now_s(const struct delivery *delivery)
{
    int64_t clock_s = clock_wall_ms() / 1000;
    return clock_s > delivery->latest_s ? clock_s : delivery->latest_s;
}

void delivery_note_time(struct delivery *delivery, int64_t time_s)
{
    if (time_s > delivery->latest_s)
        delivery->latest_s = time_s;
}

void delivery_begin(struct delivery *delivery, int64_t begin_s)
{
    ring_begin(delivery->ring, begin_s);
}

void delivery_begin_anew(struct delivery *delivery, int64_t begin_s)
{
    ring_clear(delivery->ring);
    ring_begin(delivery->ring, begin_s);
}

/* ---- epochs -------------------------------------------------------------------------------------- */

/* A reset carries the cursor that its client has already. A client that comes back with it is reset again,
 * because of the epoch, or because the events after the number are not there. The cursor has no time, which
 * would claim more. */
static struct frame *reset_frame(uint32_t user_id, const char *epoch, uint64_t last_seq, const char *reason)
{
    struct strbuf text = {0};
    struct cursor cursor = {.seq = last_seq};

    snprintf(cursor.epoch, sizeof cursor.epoch, "%s", epoch);
    protocol_reset(&text, user_id, &cursor, reason);
    struct frame *frame = frame_new(text.text, text.length);
    strbuf_free(&text);
    return frame;
}

struct epoch_change {
    struct delivery *delivery;
    char before[CURSOR_EPOCH_MAX + 1];
    bool tell;
};

static void begin_anew(void *context, struct subscription *subscription)
{
    const struct epoch_change *change = context;
    struct delivery *delivery = change->delivery;
    uint64_t last_seq = subscription->last_seq;

    hub_cancel_replay(delivery->hub, subscription);
    subscription->last_seq = 0;
    if (!change->tell && !subscription->heard)
        return;
    struct frame *frame = reset_frame(subscription_user(subscription), change->before, last_seq, "epoch");
    client_send(subscription->client, frame);
    frame_unref(&frame);
    metrics_add(delivery->metrics, NOTIFIER_RESETS, 1);
}

void delivery_begin_epoch(struct delivery *delivery, const char *epoch, bool tell)
{
    struct epoch_change change = {.delivery = delivery, .tell = tell};
    memcpy(change.before, delivery->epoch, sizeof change.before);
    snprintf(delivery->epoch, sizeof delivery->epoch, "%s", epoch);
    if (!change.before[0])
        return;
    ring_clear(delivery->ring);
    held_clear(delivery->held);
    hub_each(delivery->hub, begin_anew, &change);
}

const char *delivery_epoch(const struct delivery *delivery)
{
    return delivery->epoch;
}

/* ---- events -------------------------------------------------------------------------------------- */

static struct frame *lost_events_frame(void *context, uint32_t user_id, uint64_t last_seq)
{
    const struct delivery *delivery = context;
    return reset_frame(user_id, delivery->epoch, last_seq, "lost");
}

/* Puts the event into the ring and delivers it to subscriptions. False: it was known. */
static bool deliver(struct delivery *delivery, const struct held_event *event, int64_t time_s)
{
    struct hub_event heard = {event->user_id, event->seq, event->created_at_ms, event->frame};

    delivery_note_time(delivery, time_s);
    switch (ring_add(delivery->ring, event->user_id, event->seq, time_s, event->frame)) {
    case RING_DUPLICATE:
        metrics_add(delivery->metrics, NOTIFIER_DUPLICATES, 1);
        return false;
    case RING_AFTER_HOLE:
        metrics_add(delivery->metrics, NOTIFIER_HOLES, 1);
        log_warn("user %u: the stream lacks what came before event %llu", (unsigned)event->user_id,
                 (unsigned long long)event->seq);
        break;
    case RING_NEW:
        break;
    }
    metrics_add(delivery->metrics, NOTIFIER_EVENTS, 1);
    int64_t sockets = hub_deliver(delivery->hub, &heard, lost_events_frame, delivery);
    span_end(&event->span, "deliver", &(struct log_field){"sockets", NULL, sockets}, 1);
    return true;
}

/* Delivers this user's held events that no longer have to wait. */
static void deliver_held(struct delivery *delivery, uint32_t user_id, uint64_t upto)
{
    struct held_event event;
    while (held_take(delivery->held, user_id, upto, &event)) {
        (void)deliver(delivery, &event, delivery_now_s(delivery));
        frame_unref(&event.frame);
        if (upto != UINT64_MAX)
            upto = event.seq + 1;
    }
}

/* The user's newest known event; 0: none. */
static uint64_t known_seq(const struct delivery *delivery, uint32_t user_id)
{
    uint64_t seq = ring_last_seq(delivery->ring, user_id);
    return seq ? seq : hub_last_seq(delivery->hub, user_id);
}

static void give_up_waiting(struct delivery *delivery)
{
    uint32_t user_id;
    while ((user_id = held_overdue(delivery->held, clock_monotonic_ms())) != 0)
        deliver_held(delivery, user_id, UINT64_MAX);
}

bool delivery_event(struct delivery *delivery, const struct held_event *event, int64_t time_s)
{
    if (!held_is_on(delivery->held))
        return deliver(delivery, event, time_s);
    uint64_t known = known_seq(delivery, event->user_id);
    if (known != 0 && event->seq > known + 1) {
        bool new = held_add(delivery->held, event, clock_monotonic_ms(), delivery_now_s(delivery));
        give_up_waiting(delivery); /* memory is short */
        return new;
    }
    bool new = deliver(delivery, event, time_s);
    if (held_has(delivery->held, event->user_id, NULL)) {
        deliver_held(delivery, event->user_id, known_seq(delivery, event->user_id) + 1);
        if (!held_has(delivery->held, event->user_id, NULL))
            metrics_add(delivery->metrics, NOTIFIER_HOLES_FILLED, 1);
    }
    return new;
}

/* ---- what is here -------------------------------------------------------------------------------- */

bool delivery_holds(const struct delivery *delivery, uint32_t user_id, int64_t *since_s)
{
    return held_has(delivery->held, user_id, since_s);
}

const struct ring *delivery_ring(const struct delivery *delivery)
{
    return delivery->ring;
}

bool delivery_forget_oldest(struct delivery *delivery)
{
    if (ring_count(delivery->ring) == 0)
        return false;
    ring_drop_oldest(delivery->ring);
    return true;
}

void delivery_tick(struct delivery *delivery)
{
    delivery_note_time(delivery, delivery_now_s(delivery));
    ring_age(delivery->ring, delivery_now_s(delivery));
    give_up_waiting(delivery);
    metrics_set(delivery->metrics, NOTIFIER_RING_EVENTS, (int64_t)ring_count(delivery->ring));
    metrics_set(delivery->metrics, NOTIFIER_RING_BYTES, (int64_t)ring_bytes(delivery->ring));
    metrics_set(delivery->metrics, NOTIFIER_RING_USERS, (int64_t)ring_users(delivery->ring));
}
