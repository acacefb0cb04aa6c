/* SPDX-License-Identifier: MIT */
/* States of the consumer, each change in one function:
 *
 *     pausing ──timer──► opening ──link──► reading ──lost()──► pausing
 *
 * Opening a link waits for the broker, so it happens on a thread of libuv's pool; the finished link is
 * handed to the loop. Reading never waits: a readable socket is drained, a slice at a time, so that
 * browsers are served while hours of history come in.
 *
 * progress.c keeps the place and how far the reader has read, and decides what silence means. */
#include "ws-notifier/consumer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/amqp/link.h"
#include "common/backoff.h"
#include "common/clock.h"
#include "common/log.h"
#include "ws-notifier/notifier_metrics.h"
#include "ws-notifier/progress.h"

#define TICK_MS        100
#define PREFETCH       2000
#define ACK_EVERY      250
#define SLICE          500 /* deliveries, before browsers get their turn */
#define FRESH_S        1   /* such a message is no history */
#define FIRST_PAUSE_MS 200
#define MOST_PAUSE_MS  1000

enum consumer_state { PAUSING, OPENING, READING, STOPPED };

/* One attempt to open a link, on the pool's thread. */
struct opening {
    uv_work_t work;
    struct consumer *consumer;
    int64_t history_s, from_offset;
    struct amqp_link *link; /* NULL: it did not work, `why` tells */
    char why[256];
};

struct consumer {
    uv_loop_t *loop;
    const struct config *config;
    struct feed *feed;
    struct reception *reception;
    struct metrics *metrics;
    enum consumer_state state;
    bool stopping;
    char name[64];
    uv_timer_t timer;
    uv_idle_t more; /* active while there is more to read than one slice */
    struct backoff backoff;
    int64_t pause_until_ms;
    bool told; /* that the broker is away: once an outage */

    struct amqp_link *link; /* while reading */
    uv_poll_t *watch;
    uint64_t unacked_tag; /* 0: everything is acknowledged */
    unsigned unacked;
    struct progress progress;
};

static void open_link(struct consumer *consumer);
static void on_more(uv_idle_t *idle);

/* ---- losing it ----------------------------------------------------------------------------------- */

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void release_link(struct consumer *consumer)
{
    uv_idle_stop(&consumer->more);
    if (consumer->watch) {
        uv_poll_stop(consumer->watch);
        uv_close((uv_handle_t *)consumer->watch, free_handle);
        consumer->watch = NULL;
    }
    amqp_link_close(&consumer->link);
    consumer->unacked_tag = 0;
    consumer->unacked = 0;
}

static void pause_before_next(struct consumer *consumer)
{
    consumer->state = PAUSING;
    consumer->pause_until_ms = clock_monotonic_ms() + backoff_next_ms(&consumer->backoff);
}

static void lost(struct consumer *consumer, const char *why)
{
    if (!consumer->told)
        log_warn("the broker is away (%s): trying again until it is back", why);
    consumer->told = true;
    release_link(consumer);
    feed_disconnected(consumer->feed);
    pause_before_next(consumer);
}

static void start_over(struct consumer *consumer, const char *why)
{
    log_warn("the stream is not the one that was read before (%s): reading it from %lld s back", why,
             (long long)feed_history_s(consumer->feed));
    progress_forget(&consumer->progress);
    release_link(consumer);
    open_link(consumer);
}

/* ---- reading ------------------------------------------------------------------------------------- */

static void all_read(struct consumer *consumer, int64_t marker_s)
{
    feed_caught_up(consumer->feed, marker_s);
    backoff_reset(&consumer->backoff);
}

/* What else a beacon says. */
static void take_word(struct consumer *consumer, const struct amqp_delivery *delivery)
{
    if (delivery->author == AMQP_BY_API && delivery->body && strcmp(delivery->type, EVENT_BEACON_TYPE) == 0)
        reception_take_word(consumer->reception, delivery->body, delivery->body_length);
}

static bool take_delivery(struct consumer *consumer, const struct amqp_delivery *delivery)
{
    bool marker = delivery->author == AMQP_BY_NOTIFIER && strcmp(delivery->type, EVENT_MARKER_TYPE) == 0;
    const char *marker_id = marker ? delivery->message_id : NULL;
    struct progress_step step =
        progress_take(&consumer->progress, delivery->offset, marker_id, clock_monotonic_ms());

    if (step.other_stream) {
        start_over(consumer, "another message is at its place");
        return false;
    }
    if (step.proved)
        feed_connected(consumer->feed, true);
    if (delivery->timestamp_s >= clock_wall_ms() / 1000 - FRESH_S)
        progress_is_fresh(&consumer->progress);
    if (step.known)
        feed_take_again(consumer->feed, delivery);
    else
        feed_take(consumer->feed, delivery);
    take_word(consumer, delivery); /* which changes nothing the second time */
    if (step.marker_ms >= 0)
        metrics_observe_us(consumer->metrics, NOTIFIER_MARKER_LAG, step.marker_ms * 1000);
    if (step.all_read)
        all_read(consumer, consumer->progress.sent_wall_s);
    consumer->unacked_tag = delivery->tag;
    consumer->unacked++;
    return true;
}

/* The ring has the messages, so they are acknowledged, which is the credit for more. */
static enum err acknowledge(struct consumer *consumer)
{
    if (!consumer->unacked_tag)
        return ERR_OK;
    enum err err = amqp_link_ack(consumer->link, consumer->unacked_tag);
    consumer->unacked_tag = 0;
    consumer->unacked = 0;
    return err;
}

static bool note_blocked(struct consumer *consumer, const struct amqp_event *event)
{
    bool blocked = event->kind == AMQP_BLOCKED;
    if (blocked)
        log_warn("the broker takes no messages: %s", event->reason);
    else
        log_info("the broker takes messages again");
    if (!progress_alarm(&consumer->progress, blocked, feed_is_caught_up(consumer->feed)))
        return true;
    release_link(consumer);
    feed_disconnected(consumer->feed);
    open_link(consumer);
    return false;
}

/* Returns false when the link is no longer the one that was being read. */
static bool take_event(struct consumer *consumer, const struct amqp_event *event)
{
    switch (event->kind) {
    case AMQP_DELIVERY:
        return take_delivery(consumer, &event->delivery);
    case AMQP_BLOCKED:
    case AMQP_UNBLOCKED:
        return note_blocked(consumer, event);
    case AMQP_CANCEL:
        progress_forget(&consumer->progress);
        lost(consumer, "the stream was deleted");
        return false;
    case AMQP_RETURN:
        lost(consumer, "the API has not bound the markers' exchange to the stream yet");
        return false;
    case AMQP_ACK:
    case AMQP_NACK:
        break; /* no confirms were asked for */
    }
    return true;
}

/* Reads what there is, up to a slice. */
static void drain(struct consumer *consumer)
{
    struct amqp_event event;
    enum err err = ERR_OK;

    for (int i = 0; i < SLICE; i++) {
        err = amqp_link_poll(consumer->link, 0, &event);
        if (err || !take_event(consumer, &event))
            break;
        if (consumer->unacked >= ACK_EVERY && (err = acknowledge(consumer)) != ERR_OK)
            break;
    }
    if (consumer->state != READING)
        return; /* the link was given up meanwhile */
    if (!err)
        uv_idle_start(&consumer->more, on_more);
    else
        uv_idle_stop(&consumer->more);
    if (!err || err == ERR_AGAIN)
        err = acknowledge(consumer);
    if (err)
        lost(consumer, amqp_link_why(consumer->link));
    reception_answer_waiting(consumer->reception);
}

static void on_more(uv_idle_t *idle)
{
    drain(idle->data);
}

static void on_readable(uv_poll_t *watch, int status, int events)
{
    struct consumer *consumer = watch->data;
    (void)status; /* an error shows when reading */
    (void)events;
    if (consumer->state == READING)
        drain(consumer);
}

/* ---- opening ------------------------------------------------------------------------------------- */

/* On a thread of the pool: touches nothing but its own struct. */
static void work_open(uv_work_t *work)
{
    struct opening *opening = work->data;
    const struct consumer *consumer = opening->consumer;

    if (amqp_link_open(consumer->config, AMQP_READER, consumer->name, &opening->link, opening->why,
                       sizeof opening->why))
        return;
    if (amqp_link_consume(opening->link, opening->history_s, opening->from_offset, PREFETCH)) {
        snprintf(opening->why, sizeof opening->why, "%s", amqp_link_why(opening->link));
        amqp_link_close(&opening->link);
    }
}

static enum err watch_link(struct consumer *consumer)
{
    consumer->watch = malloc(sizeof *consumer->watch);
    if (!consumer->watch)
        abort();
    int status = uv_poll_init(consumer->loop, consumer->watch, amqp_link_fd(consumer->link));
    if (status) {
        free(consumer->watch);
        consumer->watch = NULL;
        return ERR_SYSTEM;
    }
    consumer->watch->data = consumer;
    return uv_poll_start(consumer->watch, UV_READABLE, on_readable) ? ERR_SYSTEM : ERR_OK;
}

static void begin_reading(struct consumer *consumer, struct amqp_link *link)
{
    consumer->link = link;
    consumer->state = READING;
    consumer->told = false;
    progress_begin(&consumer->progress, clock_monotonic_ms());
    log_info("connected to the broker, reading the stream %s",
             consumer->progress.proving ? "on" : "from its recent past");
    if (!consumer->progress.proving)
        feed_connected(consumer->feed, false);
    if (watch_link(consumer) != ERR_OK) {
        lost(consumer, "its socket cannot be watched");
        return;
    }
    /* Messages may have come in with the answers, and no descriptor tells of those. */
    uv_idle_start(&consumer->more, on_more);
}

static void on_opened(uv_work_t *work, int status)
{
    struct opening *opening = work->data;
    struct consumer *consumer = opening->consumer;

    assert(consumer->state == OPENING);
    if (consumer->stopping) {
        consumer->state = STOPPED;
        amqp_link_close(&opening->link);
    } else if (status == 0 && opening->link) {
        begin_reading(consumer, opening->link);
    } else {
        lost(consumer, opening->why);
    }
    free(opening);
}

static void open_link(struct consumer *consumer)
{
    struct opening *opening = calloc(1, sizeof *opening);
    if (!opening)
        abort();
    opening->work.data = opening;
    opening->consumer = consumer;
    opening->history_s = feed_history_s(consumer->feed);
    opening->from_offset = consumer->progress.place;
    consumer->state = OPENING;
    if (uv_queue_work(consumer->loop, &opening->work, work_open, on_opened))
        abort();
}

/* ---- time ---------------------------------------------------------------------------------------- */

static void send_marker(struct consumer *consumer, int64_t now_ms)
{
    char id[PROGRESS_MARKER_SIZE];
    progress_next_marker(&consumer->progress, id);
    enum err err = amqp_link_publish_marker(consumer->link, id);
    if (!err)
        progress_marker_sent(&consumer->progress, now_ms, clock_wall_ms() / 1000);
    else if (err != ERR_AGAIN)
        lost(consumer, amqp_link_why(consumer->link));
}

static void repeat_marker(struct consumer *consumer, int64_t now_ms)
{
    enum err err = amqp_link_publish_marker(consumer->link, consumer->progress.marker);
    if (!err)
        progress_marker_repeated(&consumer->progress, now_ms);
    else if (err != ERR_AGAIN)
        lost(consumer, amqp_link_why(consumer->link));
}

static void tick_reading(struct consumer *consumer, int64_t now_ms)
{
    drain(consumer); /* also what sends and checks heartbeats */
    if (consumer->state != READING)
        return;
    switch (progress_check(&consumer->progress, feed_is_caught_up(consumer->feed), now_ms)) {
    case PROGRESS_NOTHING:
        break;
    case PROGRESS_MARKER:
        send_marker(consumer, now_ms);
        break;
    case PROGRESS_REPEAT:
        repeat_marker(consumer, now_ms);
        break;
    case PROGRESS_OTHER_STREAM:
        start_over(consumer, "nothing is at its place");
        break;
    case PROGRESS_SILENT:
        progress_forget(&consumer->progress);
        lost(consumer, "nothing comes through the stream");
        break;
    case PROGRESS_ALL_READ:
        all_read(consumer, consumer->progress.sent_wall_s);
        reception_answer_waiting(consumer->reception);
        break;
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct consumer *consumer = timer->data;
    int64_t now_ms = clock_monotonic_ms();

    if (consumer->state == READING)
        tick_reading(consumer, now_ms);
    else if (consumer->state == PAUSING && now_ms >= consumer->pause_until_ms)
        open_link(consumer);
}

/* ---- its life ------------------------------------------------------------------------------------ */

struct consumer *consumer_new(uv_loop_t *loop, const struct config *config, struct feed *feed,
                              struct reception *reception, struct metrics *metrics)
{
    struct consumer *consumer = calloc(1, sizeof *consumer);
    if (!consumer)
        abort();
    consumer->loop = loop;
    consumer->config = config;
    consumer->feed = feed;
    consumer->reception = reception;
    consumer->metrics = metrics;
    consumer->backoff = BACKOFF_INIT(FIRST_PAUSE_MS, MOST_PAUSE_MS);
    progress_init(&consumer->progress, config->marker_interval_s * 1000, config->amqp_timeout_ms,
                  2000 * config->amqp_heartbeat_s);
    snprintf(consumer->name, sizeof consumer->name, "ws-notifier %s", consumer->progress.instance);
    uv_timer_init(loop, &consumer->timer);
    uv_idle_init(loop, &consumer->more);
    consumer->timer.data = consumer->more.data = consumer;
    return consumer;
}

void consumer_start(struct consumer *consumer)
{
    uv_timer_start(&consumer->timer, on_tick, TICK_MS, TICK_MS);
    open_link(consumer);
}

void consumer_stop(struct consumer *consumer)
{
    consumer->stopping = true;
    release_link(consumer);
    if (consumer->state != OPENING)
        consumer->state = STOPPED;
    uv_close((uv_handle_t *)&consumer->timer, NULL);
    uv_close((uv_handle_t *)&consumer->more, NULL);
}

void consumer_free(struct consumer **consumer)
{
    if (!*consumer)
        return;
    assert((*consumer)->state == STOPPED);
    free(*consumer);
    *consumer = NULL;
}
