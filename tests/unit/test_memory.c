/* SPDX-License-Identifier: MIT */
/* The notifier's memory bound: what is dropped first, and what next. */
#include "tests/unit/browser.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "ws-notifier/memory.h"
#include "ws-notifier/reception.h"

#define LIMIT 1000000
#define BODY  1000

static struct config config;
static struct metrics *metrics;
static struct hub *hub;
static struct feed *feed;
static struct client_rules rules;
static struct memory *memory;
static uint64_t last_seq;

static void relieve(void *context)
{
    memory_relieve(context);
    assert_true(memory_taken(context) <= LIMIT);
}

static void wake(void *socket)
{
    (void)socket;
}

static int set_up(void **state)
{
    (void)state;
    log_init("test", LOG_TEXT, LOG_ERROR);
    config = (struct config){.ring_bytes = 100 * LIMIT, .ring_age_s = 900, .stream_max_age_s = 604800};
    metrics = open_metrics();
    hub = hub_new(4, 100, metrics);
    feed = feed_new(&config, hub, metrics);
    rules = (struct client_rules){
        .max_frames = 100000, .max_bytes = 100 * LIMIT, .wake = wake, .metrics = metrics};
    memory = memory_new(LIMIT, feed, &rules, metrics);
    feed_on_growth(feed, relieve, memory);
    feed_connected(feed, false);
    last_seq = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    memory_free(&memory);
    feed_free(&feed);
    hub_free(&hub);
    metrics_close(&metrics);
    assert_int_equal(frames_bytes(), 0);
    return 0;
}

/* An event of user 1 with a body of BODY bytes. */
static void take_event(void)
{
    char body[BODY + 1];
    memset(body, ' ', BODY);
    body[0] = '{', body[BODY - 1] = '}', body[BODY] = '\0';
    struct amqp_delivery delivery = {.offset = 1,
                                     .type = "task.created",
                                     .message_id = "",
                                     .account = "",
                                     .body = body,
                                     .body_length = BODY,
                                     .author = AMQP_BY_API};
    delivery.has_meta = true;
    delivery.meta = (struct event_meta){.user_id = 1,
                                        .seq = ++last_seq,
                                        .epoch = "e",
                                        .created_at_ms = clock_wall_ms(),
                                        .type = "task.created"};
    feed_take(feed, &delivery);
}

static void fill(struct client *client, size_t frames)
{
    char text[BODY];
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < frames; i++) {
        struct frame *frame = frame_new(text, sizeof text);
        client_send(client, frame);
        frame_unref(&frame);
    }
}

static void test_oldest_events_go_first(void **state)
{
    (void)state;
    struct client *client = client_new(&rules, NULL);
    fill(client, 500);
    for (int i = 0; i < 2000; i++)
        take_event();
    assert_int_equal(client_closing(client), CLOSE_NOT);
    assert_int_equal(ring_last_seq(feed_ring(feed), 1), 2000);
    assert_in_range(ring_count(feed_ring(feed)), 300, 500);
    assert_int_equal(metrics_get(metrics, NOTIFIER_MEMORY_EVENTS), 2000 - ring_count(feed_ring(feed)));
    assert_in_range(metrics_get(metrics, NOTIFIER_MEMORY_BYTES), LIMIT / 2, LIMIT);
    client_free(&client);
}

static void test_then_the_slowest(void **state)
{
    (void)state;
    struct client *slow = client_new(&rules, NULL), *fast = client_new(&rules, NULL);
    fill(slow, 700);
    fill(fast, 10);
    for (int i = 0; i < 2000; i++)
        take_event();
    assert_true(ring_bytes(feed_ring(feed)) > LIMIT / 5); /* a quarter is reserved for events */
    assert_int_equal(client_closing(slow), CLOSE_NOT);
    fill(slow, 100);
    relieve(memory);
    assert_int_equal(client_closing(slow), CLOSE_TOO_SLOW);
    assert_int_equal(client_closing(fast), CLOSE_NOT);
    assert_int_equal(client_waiting(fast), 10);
    assert_int_equal(metrics_get(metrics, NOTIFIER_MEMORY_CLOSED), 1);
    assert_true(ring_bytes(feed_ring(feed)) > LIMIT / 5);
    client_free(&slow);
    client_free(&fast);
}

/* No client is slow, there are just too many: then the remaining events are dropped. */
static void test_sockets_alone(void **state)
{
    (void)state;
    struct client *clients[400];
    for (int i = 0; i < 200; i++)
        take_event();
    for (int i = 0; i < 400; i++)
        clients[i] = client_new(&rules, NULL);
    relieve(memory);
    assert_in_range(ring_count(feed_ring(feed)), 100, 199);
    for (int i = 0; i < 400; i++)
        client_free(&clients[i]);
}

/* Sockets alone exceed the bound, and each has frames waiting: that is no reason to close any of them. */
static void test_idle_sockets_are_not_slow(void **state)
{
    (void)state;
    struct client *clients[600];
    for (int i = 0; i < 600; i++) {
        clients[i] = client_new(&rules, NULL);
        fill(clients[i], 1);
    }
    struct frame *frame = frame_of("to all");
    for (int i = 0; i < 600; i++) {
        while (client_waiting(clients[i]) > 0) {
            struct frame *taken = client_next(clients[i]);
            frame_unref(&taken);
        }
        client_send(clients[i], frame);
    }
    frame_unref(&frame);
    memory_relieve(memory);
    assert_int_equal(metrics_get(metrics, NOTIFIER_CLOSED_SLOW), 0);
    for (int i = 0; i < 600; i++)
        client_free(&clients[i]);
}

static void test_messages_in_part_count(void **state)
{
    (void)state;
    size_t before = memory_taken(memory);
    rules.unfinished_bytes = 12345;
    assert_int_equal(memory_taken(memory), before + 12345);
}

/* The settings are checked together: half of the memory is for sockets and subscriptions. */
static void test_settings(void **state)
{
    char why[256] = "";
    struct config settings = {.notifier_memory_bytes = 4000000, .ws_max_clients = 1000};
    (void)state;
    assert_int_equal(memory_check(&settings, why, sizeof why), ERR_OK);
    assert_int_equal(memory_for_subscriptions(&settings), 1000); /* one for each client in any case */
    assert_int_equal(memory_for_unfinished(&settings), 250000);
    settings.ws_max_clients = 1001;
    assert_int_equal(memory_check(&settings, why, sizeof why), ERR_INVALID);
    assert_non_null(strstr(why, "must be 4004000 at least"));
    settings.ws_max_clients = 500;
    assert_int_equal(memory_for_subscriptions(&settings), 500 + 1000000 / 300);
}

/* A bound that is never reached costs nothing. */
static void test_room(void **state)
{
    (void)state;
    for (int i = 0; i < 500; i++)
        take_event();
    assert_int_equal(ring_count(feed_ring(feed)), 500);
    assert_int_equal(metrics_get(metrics, NOTIFIER_MEMORY_EVENTS), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_oldest_events_go_first),
        TEST(test_then_the_slowest),
        TEST(test_sockets_alone),
        TEST(test_idle_sockets_are_not_slow),
        TEST(test_messages_in_part_count),
        TEST(test_settings),
        TEST(test_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
