/* SPDX-License-Identifier: MIT */
/* Makes events of the stream's messages.
 *
 * While history is read back at the start, events only fill the ring. Once the end of the stream has been
 * reached, they are news. Only then are they logged, and other programs' messages delivered: these have no
 * number that would tell old from new. */
#include "ws-notifier/feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/session_ends.h"
#include "common/utf8.h"
#include "ws-notifier/accounts.h"
#include "ws-notifier/held.h"
#include "ws-notifier/notifier_metrics.h"
#include "ws-notifier/protocol.h"

#define EPOCHS_LEFT 16
#define HELD_SHARE  16 /* events that wait for their predecessor may take 1/16 of the ring's memory */

/* The least history that is read back: it must contain a beacon, without which no event is believed. */
#define HISTORY_LEAST_S 30

/* The most by which a clock is expected to be set back. A message further ahead of the clock has a wrong
 * time. */
#define SET_BACK_S 3600

struct feed {
    const struct config *config;
    struct hub *hub;
    struct metrics *metrics;
    struct ring *ring;
    struct held *held;
    void (*grown)(void *context);
    void *grown_context;
    char epoch[CURSOR_EPOCH_MAX + 1]; /* "": not known yet */
    bool broker_up;
    bool caught_up;
    bool guarded; /* tokens are wanted */
    bool news;    /* events that come now are not history */
    bool ever_caught_up;
    int64_t marker_s;      /* everything before it has been read */
    int64_t stream_time_s; /* the latest time seen on a message that is stamped when it is sent */
    int64_t latest_s;      /* the latest time that was given to an event or a cursor: see feed_now_s() */
    char left[EPOCHS_LEFT][CURSOR_EPOCH_MAX + 1]; /* epochs that have ended, in a ring */
    unsigned left_count;
    struct accounts accounts; /* the accounts whose events are believed */
    bool passed_over;         /* some events were not believed */
};

struct feed *feed_new(const struct config *config, struct hub *hub, struct metrics *metrics)
{
    struct feed *feed = calloc(1, sizeof *feed);
    if (!feed)
        abort();
    feed->config = config;
    feed->hub = hub;
    feed->metrics = metrics;
    feed->ring = ring_new((size_t)config->ring_bytes, config->ring_age_s, INT64_MIN);
    feed->held = held_new(config->hole_wait_s * 1000, (size_t)config->ring_bytes / HELD_SHARE, metrics);
    return feed;
}

void feed_free(struct feed **feed)
{
    if (!*feed)
        return;
    held_free(&(*feed)->held);
    ring_free(&(*feed)->ring);
    free(*feed);
    *feed = NULL;
}

void feed_on_growth(struct feed *feed, void (*grown)(void *context), void *context)
{
    feed->grown = grown;
    feed->grown_context = context;
}

/* ---- time ---------------------------------------------------------------------------------------- */

int64_t feed_now_s(const struct feed *feed)
{
    int64_t clock_s = clock_wall_ms() / 1000;
    return clock_s > feed->latest_s ? clock_s : feed->latest_s;
}

/* This time is given to a client: no later one may be earlier. */
static void note_time(struct feed *feed, int64_t time_s)
{
    if (time_s > feed->latest_s)
        feed->latest_s = time_s;
}

/* The same for a time found in the stream: a notifier before this one may have given it to a client. */
static void note_stream_time(struct feed *feed, int64_t time_s)
{
    if (time_s > feed->stream_time_s)
        feed->stream_time_s = time_s;
    if (time_s <= clock_wall_ms() / 1000 + SET_BACK_S)
        note_time(feed, time_s);
}

/* ---- where the stream is being read -------------------------------------------------------------- */

void feed_guard(struct feed *feed)
{
    feed->guarded = true;
}

int64_t feed_history_s(const struct feed *feed)
{
    const struct config *config = feed->config;
    int64_t history_s = config->ring_age_s > HISTORY_LEAST_S ? config->ring_age_s : HISTORY_LEAST_S;
    if (feed->guarded && history_s < ENDS_HISTORY_S)
        history_s = ENDS_HISTORY_S;
    return history_s < config->stream_max_age_s ? history_s : config->stream_max_age_s;
}

void feed_connected(struct feed *feed, bool resumed)
{
    feed->broker_up = true;
    metrics_set(feed->metrics, NOTIFIER_BROKER_UP, 1);
    metrics_add(feed->metrics, NOTIFIER_BROKER_CONNECTS, 1);
    feed->news = resumed;
    if (!resumed) {
        /* At first the ring will hold all that is read back. Later, events since the last connection may have
         * been in a stream that is gone. */
        int64_t now_s = feed_now_s(feed);
        ring_begin(feed->ring, feed->ever_caught_up ? now_s : now_s - feed_history_s(feed));
        feed->stream_time_s = 0;
    }
}

void feed_disconnected(struct feed *feed)
{
    feed->broker_up = feed->caught_up = false;
    metrics_set(feed->metrics, NOTIFIER_BROKER_UP, 0);
    metrics_set(feed->metrics, NOTIFIER_CAUGHT_UP, 0);
}

void feed_caught_up(struct feed *feed, int64_t marker_s)
{
    feed->news = true;
    note_time(feed, marker_s);
    if (marker_s > feed->marker_s)
        feed->marker_s = marker_s;
    if (feed->caught_up)
        return;
    feed->caught_up = feed->ever_caught_up = true;
    metrics_set(feed->metrics, NOTIFIER_CAUGHT_UP, 1);
    log_info("caught up with the stream: %zu recent events of %zu users, epoch %s", ring_count(feed->ring),
             ring_users(feed->ring), feed->epoch[0] ? feed->epoch : "not known yet");
}

/* When the event reached the stream, as ring_add() wants it. For a live event that is now. The broker does
 * not tell it for history; but the event came after every message stamped before it, and after its own
 * creation. */
static int64_t reached_s(const struct feed *feed, int64_t created_at_ms)
{
    int64_t now = feed_now_s(feed), time_s = created_at_ms / 1000;
    if (feed->news)
        return now;
    if (feed->stream_time_s > time_s)
        time_s = feed->stream_time_s;
    return time_s < now ? time_s : now;
}

/* ---- epochs -------------------------------------------------------------------------------------- */

/* A reset carries the cursor that its client has already. A client that comes back with it is reset again,
 * because of the epoch, or because the events after the number are not there. The cursor has no time, which
 * would claim more. */
static struct cursor where_it_is(const char *epoch, uint64_t last_seq)
{
    struct cursor cursor = {.seq = last_seq};
    snprintf(cursor.epoch, sizeof cursor.epoch, "%s", epoch);
    return cursor;
}

struct epoch_change {
    struct feed *feed;
    char before[CURSOR_EPOCH_MAX + 1];
};

static void send_reset(void *context, struct subscription *subscription)
{
    const struct epoch_change *change = context;
    struct feed *feed = change->feed;
    struct strbuf text = {0};
    struct cursor cursor = where_it_is(change->before, subscription->last_seq);

    hub_cancel_replay(feed->hub, subscription);
    subscription->last_seq = 0;
    if (!feed->ever_caught_up)
        return; /* this is history, of which clients have heard nothing */
    protocol_reset(&text, subscription_user(subscription), &cursor, "epoch");
    struct frame *frame = frame_new(text.text, text.length);
    client_send(subscription->client, frame);
    frame_unref(&frame);
    strbuf_free(&text);
    metrics_add(feed->metrics, NOTIFIER_RESETS, 1);
}

/* Another life of the data begins: numbers start anew, and those from before mean nothing. */
static void change_epoch(struct feed *feed, const char *epoch)
{
    struct epoch_change change = {.feed = feed};
    memcpy(change.before, feed->epoch, sizeof change.before);
    snprintf(feed->epoch, sizeof feed->epoch, "%s", epoch);
    if (!change.before[0]) {
        log_info("the epoch is %s", epoch);
        return;
    }
    log_warn("the epoch was %s and is %s: the database was restored", change.before, epoch);
    memcpy(feed->left[feed->left_count++ % EPOCHS_LEFT], change.before, sizeof change.before);
    ring_clear(feed->ring);
    held_clear(feed->held);
    hub_each(feed->hub, send_reset, &change);
}

static bool has_left(const struct feed *feed, const char *epoch)
{
    for (size_t i = 0; i < EPOCHS_LEFT; i++) {
        if (strcmp(feed->left[i], epoch) == 0)
            return true;
    }
    return false;
}

/* Events of this account before its first beacon were skipped: the ring is complete only from here on. Events
 * of other accounts that are in it may be older than skipped ones of the same user. */
static void note_account(struct feed *feed, const struct amqp_delivery *delivery)
{
    if (!accounts_hear(&feed->accounts, delivery->account, delivery->timestamp_s) || !feed->passed_over)
        return;
    ring_clear(feed->ring);
    ring_begin(feed->ring, reached_s(feed, delivery->timestamp_s * 1000));
}

/* A beacon: the API sends one before the first event of an epoch. History that is read a second time contains
 * beacons of epochs that have ended; they are ignored, because browsers have heard newer events since. */
static void take_beacon(struct feed *feed, const struct amqp_delivery *delivery)
{
    const char *epoch = delivery->meta.epoch;
    note_account(feed, delivery);
    if (!epoch[0] || strcmp(epoch, feed->epoch) == 0 ||
        (feed->ever_caught_up && !feed->news && has_left(feed, epoch)))
        return;
    change_epoch(feed, epoch);
}

/* ---- events -------------------------------------------------------------------------------------- */

static void skip(struct feed *feed, const struct amqp_delivery *delivery, const char *why)
{
    metrics_add(feed->metrics, NOTIFIER_SKIPPED, 1);
    log_warn("skipped a message from MQ at offset %lld: it %s", (long long)delivery->offset, why);
}

/* An invalid text would make browsers drop their connection, again and again. */
static bool could_be_object(const struct amqp_delivery *delivery)
{
    const char *body = delivery->body;
    size_t length = delivery->body_length;
    return length >= 2 && body[0] == '{' && body[length - 1] == '}' && memchr(body, '\0', length) == NULL &&
           utf8_valid(body, length);
}

static struct frame *lost_events_frame(void *context, uint32_t user_id, uint64_t last_seq)
{
    const struct feed *feed = context;
    struct strbuf text = {0};
    struct cursor cursor = where_it_is(feed->epoch, last_seq);

    protocol_reset(&text, user_id, &cursor, "lost");
    struct frame *frame = frame_new(text.text, text.length);
    strbuf_free(&text);
    return frame;
}

static void announce(struct feed *feed, const struct amqp_delivery *delivery)
{
    log_set_request_id(delivery->meta.request_id);
    log_info("Message received from MQ %s", delivery->body);
    log_set_request_id(NULL);
    if (delivery->meta.created_at_ms) {
        int64_t lag_ms = clock_wall_ms() - delivery->meta.created_at_ms;
        metrics_observe_us(feed->metrics, NOTIFIER_EVENT_LAG, lag_ms > 0 ? lag_ms * 1000 : 0);
    }
}

/* Puts the event into the ring and delivers it to subscriptions. False: it was known. */
static bool deliver_event(struct feed *feed, const struct held_event *event, int64_t time_s)
{
    struct hub_event heard = {event->user_id, event->seq, event->created_at_ms, event->frame};

    note_time(feed, time_s);
    switch (ring_add(feed->ring, event->user_id, event->seq, time_s, event->frame)) {
    case RING_DUPLICATE:
        metrics_add(feed->metrics, NOTIFIER_DUPLICATES, 1);
        return false;
    case RING_AFTER_HOLE:
        metrics_add(feed->metrics, NOTIFIER_HOLES, 1);
        log_warn("user %u: the stream lacks what came before event %llu", (unsigned)event->user_id,
                 (unsigned long long)event->seq);
        break;
    case RING_NEW:
        break;
    }
    metrics_add(feed->metrics, NOTIFIER_EVENTS, 1);
    int64_t sockets = hub_deliver(feed->hub, &heard, lost_events_frame, feed);
    span_end(&event->span, "deliver", &(struct log_field){"sockets", NULL, sockets}, 1);
    return true;
}

/* Delivers this user's held events that no longer have to wait. */
static void deliver_held(struct feed *feed, uint32_t user_id, uint64_t upto)
{
    struct held_event event;
    while (held_take(feed->held, user_id, upto, &event)) {
        (void)deliver_event(feed, &event, feed_now_s(feed));
        frame_unref(&event.frame);
        if (upto != UINT64_MAX)
            upto = event.seq + 1;
    }
}

/* The user's newest known event; 0: none. */
static uint64_t known_seq(const struct feed *feed, uint32_t user_id)
{
    uint64_t seq = ring_last_seq(feed->ring, user_id);
    return seq ? seq : hub_last_seq(feed->hub, user_id);
}

static void give_up_waiting(struct feed *feed)
{
    uint32_t user_id;
    while ((user_id = held_overdue(feed->held, clock_monotonic_ms())) != 0)
        deliver_held(feed, user_id, UINT64_MAX);
}

/* False: the event was known. */
static bool deliver_in_order(struct feed *feed, const struct held_event *event)
{
    if (!held_is_on(feed->held))
        return deliver_event(feed, event, reached_s(feed, event->created_at_ms));
    uint64_t known = known_seq(feed, event->user_id);
    if (known != 0 && event->seq > known + 1) {
        bool new = held_add(feed->held, event, clock_monotonic_ms(), feed_now_s(feed));
        give_up_waiting(feed); /* memory is short */
        return new;
    }
    bool new = deliver_event(feed, event, reached_s(feed, event->created_at_ms));
    if (held_has(feed->held, event->user_id, NULL)) {
        deliver_held(feed, event->user_id, known_seq(feed, event->user_id) + 1);
        if (!held_has(feed->held, event->user_id, NULL))
            metrics_add(feed->metrics, NOTIFIER_HOLES_FILLED, 1);
    }
    return new;
}

/* Whether it is one of our types, or one that another program may choose. */
static bool is_event_type(const char *key)
{
    enum event_type type;
    return event_type_parse(key, &type) == ERR_OK || (event_type_valid(key) && !event_type_reserved(key));
}

/* An event with a forged number would keep the user's real events from being delivered. */
static bool is_believed(struct feed *feed, const struct amqp_delivery *delivery)
{
    if (delivery->author == AMQP_BY_API || accounts_believe(&feed->accounts, delivery->account))
        return true;
    feed->passed_over = true;
    if (feed->accounts.count > 0)
        skip(feed, delivery, "has a number, and is not of the API's account");
    return false;
}

static void take_event(struct feed *feed, const struct amqp_delivery *delivery)
{
    const struct event_meta *meta = &delivery->meta;

    if (!is_believed(feed, delivery))
        return;
    if (!is_event_type(meta->type)) {
        skip(feed, delivery, "is of a type that is not known here");
        return;
    }
    if (!could_be_object(delivery)) {
        skip(feed, delivery, "is not a JSON object");
        return;
    }
    if (!feed->epoch[0])
        change_epoch(feed, meta->epoch); /* the stream is read from its middle: the next beacon confirms it */
    if (strcmp(meta->epoch, feed->epoch) != 0) {
        metrics_add(feed->metrics, NOTIFIER_STALE, 1);
        return;
    }
    struct frame *frame = frame_new(delivery->body, delivery->body_length);
    /* Once all has been read, events are new, whatever clocks say. */
    struct held_event event = {meta->user_id, meta->seq, feed->caught_up ? 0 : meta->created_at_ms, frame,
                               .span.traceparent = ""};
    if (feed->news && trace_wants(meta->traceparent))
        span_begin(&event.span, meta->traceparent, 0);
    if (deliver_in_order(feed, &event) && feed->news)
        announce(feed, delivery);
    frame_unref(&frame);
    if (feed->grown)
        feed->grown(feed->grown_context);
}

/* Another program's message: it has no number, so it can only be delivered when it comes. */
static void take_foreign(struct feed *feed, const struct amqp_delivery *delivery)
{
    struct strbuf text = {0};
    struct hub_event event = {0};
    const char *why = NULL;

    if (protocol_adopt(delivery->body, delivery->body_length, &event.user_id, &text, &why) != ERR_OK) {
        skip(feed, delivery, why);
    } else if (feed->news) {
        announce(feed, delivery);
        event.frame = frame_new(text.text, text.length);
        (void)hub_deliver(feed->hub, &event, NULL, NULL);
        frame_unref(&event.frame);
        metrics_add(feed->metrics, NOTIFIER_FOREIGN, 1);
    }
    strbuf_free(&text);
}

/* Beacons and markers have an exchange each, through which nothing else may come. One that came through
 * another exchange is skipped. */
static void take_control(struct feed *feed, const struct amqp_delivery *delivery, const char *type)
{
    if (strcmp(delivery->type, type) != 0) {
        skip(feed, delivery,
             delivery->author == AMQP_BY_API ? "came the way that is for beacons only"
                                             : "came the way that is for markers only");
        return;
    }
    note_stream_time(feed, delivery->timestamp_s);
    if (delivery->author == AMQP_BY_API)
        take_beacon(feed, delivery);
}

static bool is_control(const struct amqp_delivery *delivery)
{
    return strcmp(delivery->type, EVENT_MARKER_TYPE) == 0 || strcmp(delivery->type, EVENT_BEACON_TYPE) == 0;
}

void feed_take(struct feed *feed, const struct amqp_delivery *delivery)
{
    if (delivery->author == AMQP_BY_NOTIFIER)
        take_control(feed, delivery, EVENT_MARKER_TYPE);
    else if (delivery->author == AMQP_BY_API && !(delivery->has_meta && !is_control(delivery)))
        take_control(feed, delivery, EVENT_BEACON_TYPE);
    else if (is_control(delivery))
        skip(feed, delivery, "is a marker or a beacon, and came the way of events");
    else if (delivery->too_large)
        skip(feed, delivery, "is too large");
    else if (delivery->has_meta)
        take_event(feed, delivery);
    else
        take_foreign(feed, delivery);
}

/* As history: epochs that have ended stay so. */
void feed_take_again(struct feed *feed, const struct amqp_delivery *delivery)
{
    bool news = feed->news;
    feed->news = false;
    feed_take(feed, delivery);
    feed->news = news;
}

/* ---- what it knows ------------------------------------------------------------------------------- */

bool feed_broker_up(const struct feed *feed)
{
    return feed->broker_up;
}

bool feed_is_caught_up(const struct feed *feed)
{
    return feed->caught_up;
}

const char *feed_epoch(const struct feed *feed)
{
    return feed->epoch;
}

bool feed_ready(const struct feed *feed)
{
    return feed->caught_up && feed->epoch[0];
}

struct cursor feed_cursor(const struct feed *feed, uint32_t user_id, uint64_t seq)
{
    struct cursor cursor = {.seq = seq, .time_s = feed->marker_s};
    int64_t since_s;
    /* Held events have reached the stream, and the cursor's owner lacks them. */
    if (held_has(feed->held, user_id, &since_s) && since_s < cursor.time_s)
        cursor.time_s = since_s;
    memcpy(cursor.epoch, feed->epoch, sizeof cursor.epoch);
    return cursor;
}

const struct ring *feed_ring(const struct feed *feed)
{
    return feed->ring;
}

bool feed_forget_oldest(struct feed *feed)
{
    if (ring_count(feed->ring) == 0)
        return false;
    ring_drop_oldest(feed->ring);
    return true;
}

void feed_tick(struct feed *feed)
{
    note_time(feed, feed_now_s(feed));
    ring_age(feed->ring, feed_now_s(feed));
    give_up_waiting(feed);
    metrics_set(feed->metrics, NOTIFIER_RING_EVENTS, (int64_t)ring_count(feed->ring));
    metrics_set(feed->metrics, NOTIFIER_RING_BYTES, (int64_t)ring_bytes(feed->ring));
    metrics_set(feed->metrics, NOTIFIER_RING_USERS, (int64_t)ring_users(feed->ring));
}
