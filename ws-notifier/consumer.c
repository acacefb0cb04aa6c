/* States of the consumer, each change in one function:
 *
 *     pausing ──timer──► opening ──link──► reading ──lost()──► pausing
 *
 * Opening a link waits for the broker, so it happens on a thread of libuv's pool; the finished link is
 * handed to the loop. Reading never waits: a readable socket is drained, a slice at a time, so that
 * browsers are served while hours of history come in.
 *
 * Where it was: the place of its last marker, whose id is random. A new link starts reading there, and when
 * that very marker comes first, it is the same stream and nothing is missing; what was already taken is
 * passed over by its offset. When another message comes, or none (an offset beyond the end of a new
 * stream gives silence), the stream is another one, and it is read from further back. */
#include "ws-notifier/consumer.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/amqp_link.h"
#include "common/backoff.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/random_id.h"
#include "ws-notifier/notifier_metrics.h"

#define TICK_MS         250
#define PREFETCH        2000
#define ACK_EVERY       250
#define SLICE           500 /* deliveries, before browsers get their turn */
#define FIRST_PAUSE_MS  200
#define MOST_PAUSE_MS   5000
#define INSTANCE_DIGITS 12
#define MARKER_ID_SIZE  64

enum consumer_state { PAUSING, OPENING, READING, STOPPED };

/* One attempt to open a link, on the pool's thread. */
struct opening {
    uv_work_t work;
    struct consumer *consumer;
    int64_t history_s, from_offset;
    struct amqp_link *link; /* NULL: it did not work, `why` tells */
    char why[256];
};

/* The place in the stream up to which everything has been taken. */
struct place {
    int64_t marker_offset; /* -1: none */
    char marker_id[MARKER_ID_SIZE];
    int64_t last_offset;
};

struct consumer {
    uv_loop_t *loop;
    const struct config *config;
    struct feed *feed;
    struct reception *reception;
    struct metrics *metrics;
    enum consumer_state state;
    bool stopping;
    char instance[INSTANCE_DIGITS + 1];
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
    bool blocked;

    struct place place;
    bool proving; /* the first message will tell whether this is the stream we know */

    uint64_t markers;         /* sent so far, over all links */
    uint64_t first_marker;    /* of this link: when it is back, we are caught up */
    uint64_t marker_back;     /* the latest that came back */
    int64_t marker_sent_ms;   /* monotonic */
    int64_t last_delivery_ms; /* monotonic; silence while a marker is out is suspicious */
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
    consumer->blocked = false;
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

static void forget_place(struct consumer *consumer)
{
    consumer->place = (struct place){.marker_offset = -1, .last_offset = -1};
}

/* ---- markers ------------------------------------------------------------------------------------- */

static void format_marker(const struct consumer *consumer, uint64_t number, char id[MARKER_ID_SIZE])
{
    snprintf(id, MARKER_ID_SIZE, "%s:%" PRIu64, consumer->instance, number);
}

static enum err send_marker(struct consumer *consumer)
{
    char id[MARKER_ID_SIZE];
    format_marker(consumer, consumer->markers + 1, id);
    enum err err = amqp_link_publish_control(consumer->link, EVENT_MARKER_TYPE, id, NULL, NULL);
    if (err)
        return err;
    consumer->markers++;
    if (!consumer->first_marker)
        consumer->first_marker = consumer->markers;
    consumer->marker_sent_ms = clock_monotonic_ms();
    return ERR_OK;
}

/* The number of a marker of ours; 0: it is not. */
static uint64_t marker_number(const struct consumer *consumer, const char *id)
{
    char ours[MARKER_ID_SIZE];
    if (strncmp(id, consumer->instance, INSTANCE_DIGITS) != 0 || id[INSTANCE_DIGITS] != ':')
        return 0;
    uint64_t number = strtoull(id + INSTANCE_DIGITS + 1, NULL, 10);
    format_marker(consumer, number, ours);
    return strcmp(id, ours) == 0 && number <= consumer->markers ? number : 0;
}

static void marker_came_back(struct consumer *consumer, const struct amqp_delivery *delivery, uint64_t number)
{
    if (delivery->offset >= 0) {
        consumer->place.marker_offset = delivery->offset;
        snprintf(consumer->place.marker_id, MARKER_ID_SIZE, "%s", delivery->message_id);
    }
    if (number > consumer->marker_back)
        consumer->marker_back = number;
    if (number == consumer->markers)
        metrics_observe_us(consumer->metrics, NOTIFIER_MARKER_LAG,
                           (clock_monotonic_ms() - consumer->marker_sent_ms) * 1000);
    if (!consumer->first_marker || number < consumer->first_marker)
        return;
    feed_caught_up(consumer->feed, delivery->timestamp_s);
    backoff_reset(&consumer->backoff);
}

/* ---- reading ------------------------------------------------------------------------------------- */

/* The first message of a link that began at our place. */
static bool is_our_stream(const struct consumer *consumer, const struct amqp_delivery *delivery)
{
    return delivery->offset == consumer->place.marker_offset &&
           strcmp(delivery->message_id, consumer->place.marker_id) == 0;
}

static void start_over(struct consumer *consumer, const char *why)
{
    log_warn("the stream is not the one that was read before (%s): reading it from %" PRId64 " s back", why,
             feed_history_s(consumer->feed));
    forget_place(consumer);
    release_link(consumer);
    open_link(consumer);
}

static bool take_delivery(struct consumer *consumer, const struct amqp_delivery *delivery)
{
    uint64_t marker = 0;

    consumer->last_delivery_ms = clock_monotonic_ms();
    if (consumer->proving) {
        if (!is_our_stream(consumer, delivery)) {
            start_over(consumer, "another message is at its place");
            return false;
        }
        consumer->proving = false;
        feed_connected(consumer->feed, true);
    }
    bool known = delivery->offset >= 0 && delivery->offset <= consumer->place.last_offset;
    if (strcmp(delivery->type, EVENT_MARKER_TYPE) == 0)
        marker = marker_number(consumer, delivery->message_id);
    if (!known) {
        feed_take(consumer->feed, delivery);
        consumer->place.last_offset = delivery->offset;
    }
    if (marker)
        marker_came_back(consumer, delivery, marker);
    consumer->unacked_tag = delivery->tag;
    consumer->unacked++;
    return true;
}

/* The ring has it, so the broker need not keep it for us: this is the credit for more. */
static enum err acknowledge(struct consumer *consumer)
{
    if (!consumer->unacked_tag)
        return ERR_OK;
    enum err err = amqp_link_ack(consumer->link, consumer->unacked_tag);
    consumer->unacked_tag = 0;
    consumer->unacked = 0;
    return err;
}

static void note_blocked(struct consumer *consumer, const struct amqp_event *event)
{
    consumer->blocked = event->kind == AMQP_BLOCKED;
    if (consumer->blocked)
        log_warn("the broker takes no messages: %s", event->reason);
    else
        log_info("the broker takes messages again");
}

/* Returns false when the link is no longer the one that was being read. */
static bool take_event(struct consumer *consumer, const struct amqp_event *event)
{
    switch (event->kind) {
    case AMQP_DELIVERY:
        return take_delivery(consumer, &event->delivery);
    case AMQP_BLOCKED:
    case AMQP_UNBLOCKED:
        note_blocked(consumer, event);
        return true;
    case AMQP_CANCEL:
        forget_place(consumer);
        lost(consumer, "the stream was deleted");
        return false;
    case AMQP_ACK:
    case AMQP_NACK:
    case AMQP_RETURN:
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
        return; /* given up on the way */
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

    if (amqp_link_open(consumer->config, consumer->name, &opening->link, opening->why, sizeof opening->why))
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

static void begin_reading(struct consumer *consumer, struct amqp_link *link, bool proving)
{
    consumer->link = link;
    consumer->state = READING;
    consumer->first_marker = 0;
    consumer->last_delivery_ms = consumer->marker_sent_ms = clock_monotonic_ms();
    consumer->proving = proving;
    log_info("connected to the broker, reading the stream %s", proving ? "on" : "from its recent past");
    consumer->told = false;
    if (!proving) {
        forget_place(consumer);
        feed_connected(consumer->feed, false);
    }
    if (watch_link(consumer) != ERR_OK) {
        lost(consumer, "its socket cannot be watched");
        return;
    }
    enum err err = send_marker(consumer);
    if (err && err != ERR_AGAIN) {
        lost(consumer, amqp_link_why(consumer->link));
        return;
    }
    /* Messages may have come in with the answers, and no descriptor tells of those. */
    uv_idle_start(&consumer->more, on_more);
}

static void on_opened(uv_work_t *work, int status)
{
    struct opening *opening = work->data;
    struct consumer *consumer = opening->consumer;
    bool proving = opening->from_offset >= 0;

    assert(consumer->state == OPENING);
    if (consumer->stopping) {
        consumer->state = STOPPED;
        amqp_link_close(&opening->link);
    } else if (status == 0 && opening->link) {
        begin_reading(consumer, opening->link, proving);
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
    opening->from_offset = consumer->place.marker_offset;
    consumer->state = OPENING;
    if (uv_queue_work(consumer->loop, &opening->work, work_open, on_opened))
        abort();
}

/* ---- time ---------------------------------------------------------------------------------------- */

/* Some time after a marker was sent something must have come: the marker itself, at the latest. */
static const char *suspicious_silence(const struct consumer *consumer, int64_t now_ms)
{
    int64_t limit_ms =
        consumer->proving ? consumer->config->amqp_timeout_ms : 2000 * consumer->config->amqp_heartbeat_s;
    bool marker_out = consumer->first_marker && consumer->marker_back < consumer->markers;
    if (consumer->blocked || !marker_out)
        return NULL;
    if (now_ms - consumer->marker_sent_ms < limit_ms || now_ms - consumer->last_delivery_ms < limit_ms)
        return NULL;
    return "nothing comes through the stream";
}

static void tick_reading(struct consumer *consumer, int64_t now_ms)
{
    /* Also what sends and checks heartbeats. */
    drain(consumer);
    if (consumer->state != READING)
        return;

    const char *silence = suspicious_silence(consumer, now_ms);
    if (silence && consumer->proving) {
        start_over(consumer, "nothing is at its place");
        return;
    }
    if (silence) {
        forget_place(consumer);
        lost(consumer, silence);
        return;
    }
    bool due = now_ms - consumer->marker_sent_ms >= consumer->config->marker_interval_s * 1000;
    if (consumer->first_marker && (!due || consumer->marker_back < consumer->markers))
        return;
    enum err err = send_marker(consumer);
    if (err && err != ERR_AGAIN)
        lost(consumer, amqp_link_why(consumer->link));
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
    consumer->backoff = (struct backoff)BACKOFF_INIT(FIRST_PAUSE_MS, MOST_PAUSE_MS);
    random_id_hex(consumer->instance, INSTANCE_DIGITS);
    snprintf(consumer->name, sizeof consumer->name, "ws-notifier %s", consumer->instance);
    forget_place(consumer);
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
