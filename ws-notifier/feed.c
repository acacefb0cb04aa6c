/* SPDX-License-Identifier: MIT */
/* Tells the stream's messages apart, and decides which are believed.
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
#include "common/utf8.h"
#include "ws-notifier/accounts.h"
#include "ws-notifier/delivery.h"
#include "ws-notifier/horizon.h"
#include "ws-notifier/notifier_metrics.h"
#include "ws-notifier/protocol.h"
#include "ws-notifier/reach.h"

#define EPOCHS_LEFT 16

struct feed {
    struct hub *hub;
    struct metrics *metrics;
    struct delivery *out;
    void (*grown)(void *context);
    void *grown_context;
    bool broker_up;
    bool caught_up;
    bool news; /* events that come now are not history */
    bool ever_caught_up;
    int64_t marker_s;                             /* everything before it has been read */
    char left[EPOCHS_LEFT][CURSOR_EPOCH_MAX + 1]; /* epochs that have ended, in a ring */
    unsigned left_count;
    struct accounts accounts; /* the accounts whose events are believed */
    bool passed_over;         /* some events were not believed */
    struct reach reach;
    struct horizon horizon;
};

struct feed *feed_new(const struct config *config, struct hub *hub, struct metrics *metrics)
{
    struct feed *feed = calloc(1, sizeof *feed);
    if (!feed)
        abort();
    feed->hub = hub;
    feed->metrics = metrics;
    feed->horizon.limit_ms = config->ws_stale_s * 1000;
    feed->out = delivery_new(config, hub, metrics);
    feed->reach = (struct reach){.config = config, .out = feed->out};
    return feed;
}

void feed_free(struct feed **feed)
{
    if (!*feed)
        return;
    delivery_free(&(*feed)->out);
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
    return delivery_now_s(feed->out);
}

/* ---- where the stream is being read -------------------------------------------------------------- */

void feed_guard(struct feed *feed)
{
    feed->reach.guarded = true;
}

int64_t feed_history_s(const struct feed *feed)
{
    return reach_history_s(&feed->reach);
}

void feed_connected(struct feed *feed, bool resumed)
{
    feed->broker_up = true;
    metrics_set(feed->metrics, NOTIFIER_BROKER_UP, 1);
    metrics_add(feed->metrics, NOTIFIER_BROKER_CONNECTS, 1);
    feed->news = resumed;
    if (!resumed)
        reach_begin(&feed->reach, feed->ever_caught_up);
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
    delivery_note_time(feed->out, marker_s);
    if (marker_s > feed->marker_s)
        feed->marker_s = marker_s;
    if (feed->caught_up)
        return;
    feed->caught_up = feed->ever_caught_up = true;
    metrics_set(feed->metrics, NOTIFIER_CAUGHT_UP, 1);
    log_info("caught up with the stream: %zu recent events of %zu users, epoch %s",
             ring_count(feed_ring(feed)), ring_users(feed_ring(feed)),
             feed_epoch(feed)[0] ? feed_epoch(feed) : "not known yet");
}

/* When the event reached the stream, as ring_add() wants it: a live one now. */
static int64_t reached_s(const struct feed *feed, int64_t created_at_ms)
{
    return feed->news ? feed_now_s(feed) : reach_time_s(&feed->reach, created_at_ms);
}

/* ---- epochs -------------------------------------------------------------------------------------- */

/* Another life of the data begins: numbers start anew, and those from before mean nothing. Until the stream
 * has been read once this is history, of which most clients have heard nothing. */
static void change_epoch(struct feed *feed, const char *epoch)
{
    const char *before = feed_epoch(feed);
    if (before[0]) {
        log_warn("the epoch was %s and is %s: the database was restored", before, epoch);
        memcpy(feed->left[feed->left_count++ % EPOCHS_LEFT], before, sizeof feed->left[0]);
    } else {
        log_info("the epoch is %s", epoch);
    }
    delivery_begin_epoch(feed->out, epoch, feed->ever_caught_up);
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
    delivery_begin_anew(feed->out, reached_s(feed, delivery->timestamp_s * 1000));
}

/* A beacon: the API sends one before the first event of an epoch. History that is read a second time contains
 * beacons of epochs that have ended; they are ignored, because browsers have heard newer events since. */
static void take_beacon(struct feed *feed, const struct amqp_delivery *delivery)
{
    const char *epoch = delivery->meta.epoch;
    note_account(feed, delivery);
    horizon_hear(&feed->horizon, delivery->tells_complete ? delivery->complete_ms : -1);
    if (delivery->tells_complete)
        reach_note_time(&feed->reach, delivery->complete_ms / 1000);
    if (!epoch[0] || strcmp(epoch, feed_epoch(feed)) == 0 ||
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
    if (!feed_epoch(feed)[0])
        change_epoch(feed, meta->epoch); /* the stream is read from its middle: the next beacon confirms it */
    if (strcmp(meta->epoch, feed_epoch(feed)) != 0) {
        metrics_add(feed->metrics, NOTIFIER_STALE, 1);
        return;
    }
    struct frame *frame = frame_new(delivery->body, delivery->body_length);
    /* Once all has been read, events are new, whatever clocks say. */
    struct held_event event = {meta->user_id, meta->seq, feed->caught_up ? 0 : meta->created_at_ms, frame,
                               .span.traceparent = ""};
    if (feed->news && trace_wants(meta->traceparent))
        span_begin(&event.span, meta->traceparent, 0);
    if (delivery_event(feed->out, &event, reached_s(feed, event.created_at_ms)) && feed->news)
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
    reach_note_stamp(&feed->reach, delivery->timestamp_s);
    if (delivery->author == AMQP_BY_API)
        take_beacon(feed, delivery);
}

static bool is_control(const struct amqp_delivery *delivery)
{
    return strcmp(delivery->type, EVENT_MARKER_TYPE) == 0 || strcmp(delivery->type, EVENT_BEACON_TYPE) == 0;
}

void feed_take(struct feed *feed, const struct amqp_delivery *delivery)
{
    reach_note_offset(&feed->reach, delivery->offset);
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
    return delivery_epoch(feed->out);
}

bool feed_ready(const struct feed *feed)
{
    return feed->caught_up && feed_epoch(feed)[0] && !horizon_is_unknown(&feed->horizon);
}

/* The cursor is good at every node when it claims no more than what is in every stream. */
static int64_t cursor_time_s(const struct feed *feed)
{
    return feed->horizon.told ? feed->horizon.time_ms / 1000 : feed->marker_s;
}

struct cursor feed_cursor(const struct feed *feed, uint32_t user_id, uint64_t seq)
{
    struct cursor cursor = {.seq = seq, .time_s = cursor_time_s(feed)};
    int64_t since_s;
    /* Held events have reached the stream, and the cursor's owner lacks them. */
    if (delivery_holds(feed->out, user_id, &since_s) && since_s < cursor.time_s)
        cursor.time_s = since_s;
    memcpy(cursor.epoch, feed_epoch(feed), sizeof cursor.epoch);
    return cursor;
}

bool feed_is_stale(const struct feed *feed)
{
    return horizon_is_stale(&feed->horizon, clock_wall_ms());
}

int64_t feed_behind_ms(const struct feed *feed)
{
    return horizon_age_ms(&feed->horizon, clock_wall_ms());
}

bool feed_sends_away(struct feed *feed)
{
    return horizon_sends_away(&feed->horizon, clock_wall_ms(), clock_monotonic_ms());
}

const struct ring *feed_ring(const struct feed *feed)
{
    return delivery_ring(feed->out);
}

bool feed_forget_oldest(struct feed *feed)
{
    return delivery_forget_oldest(feed->out);
}

void feed_tick(struct feed *feed)
{
    delivery_tick(feed->out);
    int64_t behind_ms = feed_behind_ms(feed);
    metrics_set(feed->metrics, NOTIFIER_COMPLETE_AGE_MS, behind_ms > 0 ? behind_ms : 0);
}
