/* SPDX-License-Identifier: MIT */
/* Two browsers before a feed, and what RabbitMQ delivers to it. For one test's main file. */
#ifndef CARILLON_TESTS_AUDIENCE_H
#define CARILLON_TESTS_AUDIENCE_H

#include "tests/unit/browser.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "ws-notifier/feed.h"
#include "ws-notifier/reception.h"

#define EPOCH "k3f9a1c2"

static struct config config;
static struct metrics *metrics;
static struct hub *hub;
static struct feed *feed;
static struct reception *reception;
static struct browser one, two;
static int64_t offset;               /* of the messages to come; 0: no message has been dropped before them */
static int64_t now_s, hole_wait_s;   /* 0: an event out of order causes a reset at once */
static const char *traceparent = ""; /* of the events to come */
static void (*feed_takes)(struct feed *feed, const struct amqp_delivery *delivery) = feed_take;

static inline void open_browser(struct browser *browser, size_t frames)
{
    browser_open(browser, metrics, frames, 100000);
    browser->rules.replay = reception_replay;
    browser->rules.context = reception;
}

static inline int set_up(void **state)
{
    (void)state;
    log_init("test", LOG_TEXT, LOG_ERROR);
    config = (struct config){.ring_bytes = 1000000,
                             .ring_age_s = 900,
                             .stream_max_age_s = 604800,
                             .hole_wait_s = hole_wait_s,
                             .ws_stale_s = 10};
    now_s = clock_wall_ms() / 1000;
    metrics = open_metrics();
    hub = hub_new(4, 100, metrics);
    feed = feed_new(&config, hub, metrics);
    reception = reception_new(feed, hub, metrics);
    open_browser(&one, 100);
    open_browser(&two, 100);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    reception_leave(reception, one.client);
    reception_leave(reception, two.client);
    client_free(&one.client);
    client_free(&two.client);
    reception_free(&reception);
    feed_free(&feed);
    hub_free(&hub);
    metrics_close(&metrics);
    hole_wait_s = offset = 0;
    feed_takes = feed_take;
    return 0;
}

static inline struct amqp_delivery delivery_of(const char *type, const char *body)
{
    struct amqp_delivery delivery = {.offset = offset,
                                     .type = type,
                                     .message_id = "",
                                     .account = "",
                                     .body = body,
                                     .body_length = body ? strlen(body) : 0};
    return delivery;
}

static inline void take_event_of(const char *epoch, uint32_t user_id, uint64_t seq)
{
    char body[128];
    snprintf(body, sizeof body, "{\"cursor\":\"%s:%llu\"}", epoch, (unsigned long long)seq);
    struct amqp_delivery delivery = delivery_of("task.created", body);
    delivery.has_meta = true;
    delivery.author = AMQP_BY_API; /* the API's exchange; test_accounts.c has the other one, and which
                                      accounts are believed there */
    delivery.timestamp_s = now_s;
    delivery.meta = (struct event_meta){.user_id = user_id, .seq = seq, .created_at_ms = now_s * 1000};
    snprintf(delivery.meta.epoch, sizeof delivery.meta.epoch, "%s", epoch);
    snprintf(delivery.meta.type, sizeof delivery.meta.type, "task.created");
    snprintf(delivery.meta.traceparent, sizeof delivery.meta.traceparent, "%s", traceparent);
    feed_takes(feed, &delivery);
}

static inline void take_event(uint32_t user_id, uint64_t seq)
{
    take_event_of(EPOCH, user_id, seq);
}

static inline void take_beacon(const char *epoch)
{
    struct amqp_delivery delivery = delivery_of(EVENT_BEACON_TYPE, "{}");
    delivery.author = AMQP_BY_API;
    delivery.timestamp_s = now_s;
    snprintf(delivery.meta.epoch, sizeof delivery.meta.epoch, "%s", epoch);
    feed_take(feed, &delivery);
}

static inline void take_text(const char *body)
{
    struct amqp_delivery delivery = delivery_of("", body);
    feed_take(feed, &delivery);
}

static inline void catch_up(void)
{
    feed_connected(feed, false);
    take_beacon(EPOCH);
    feed_caught_up(feed, now_s);
}

static inline void says(struct browser *browser, const char *text)
{
    reception_take(reception, browser->client, text, strlen(text));
}

static inline void subscribes(struct browser *browser, const char *since)
{
    char text[128];
    snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"user_id\":1,\"since\":%s}", since);
    says(browser, text);
}

/* Events 1 to `last` have happened when browser `one`, which has all up to `since`, comes back. */
static inline void comes_back(uint64_t last, const char *since)
{
    catch_up();
    for (uint64_t seq = 1; seq <= last; seq++)
        take_event(1, seq);
    subscribes(&one, since);
}

/* %T stands for now_s. */
static inline void check_hears(struct browser *browser, const char *expected)
{
    char text[256], *time = strstr(expected, "%T");
    if (time)
        snprintf(text, sizeof text, "%.*s%lld%s", (int)(time - expected), expected, (long long)now_s,
                 time + 2);
    else
        snprintf(text, sizeof text, "%s", expected);
    assert_string_equal(browser_hears(browser), text);
}

#define ANSWER(cursor, rest)   "{\"type\":\"subscribe\",\"user_id\":1,\"cursor\":\"" cursor "\"," rest "}"
#define RECOVERED              "\"recovered\":true,\"replayed\":0"
#define REPLAYED(count, until) "\"recovered\":true,\"replayed\":" count ",\"until\":\"" until "\""
#define NOT_RECOVERED(why)     "\"recovered\":false,\"replayed\":0,\"reason\":\"" why "\""
#define RESET(cursor, why)                                                                                   \
    "{\"type\":\"reset\",\"user_id\":1,\"cursor\":\"" cursor "\",\"reason\":\"" why "\"}"

/* Declares one test of a main file, with an audience of its own. */
#define WITH_AUDIENCE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
