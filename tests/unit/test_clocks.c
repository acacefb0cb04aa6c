/* SPDX-License-Identifier: MIT */
/* Clocks that are set back, and history that is read again: the promises do not depend on them. */

#include "tests/unit/still_clock.h"

#include "tests/unit/audience.h"

static void passes(int64_t seconds)
{
    wall_s += seconds;
    now_s = wall_s;
    monotonic_ms += seconds > 0 ? seconds * 1000 : 0;
}

static int begin(void **state)
{
    wall_s = START_S;
    return set_up(state);
}

static void take_marker(void)
{
    struct amqp_delivery delivery = delivery_of(EVENT_MARKER_TYPE, "");
    delivery.author = AMQP_BY_NOTIFIER;
    delivery.timestamp_s = now_s;
    feed_take(feed, &delivery);
    feed_caught_up(feed, now_s);
}

static void forget_all(void)
{
    while (feed_forget_oldest(feed))
        ;
}

/* The cursor of the latest heartbeat of browser `one`, in quotes. */
static const char *heartbeat(void)
{
    static char since[CURSOR_TEXT_SIZE + 2];
    for (int i = 0; i < 4; i++)
        reception_beat(reception);
    const char *frame = browser_hears(&one), *found = strstr(frame, "\"cursor\":\"");
    assert_non_null(strstr(frame, "heartbeat"));
    snprintf(since, sizeof since, "%.*s", (int)strcspn(found + 10, "\"") + 2, found + 9);
    return since;
}

/* A browser gets heartbeats and leaves; event 6 comes and is forgotten. The browser's cursor must not be
 * answered as complete, whatever the clock says then. */
static void check_hole_is_told(const char *since)
{
    take_event(1, 6);
    forget_all();
    for (int i = 0; i < 20; i++) {
        subscribes(&two, since);
        assert_non_null(strstr(browser_hears(&two), "\"recovered\":false"));
        passes(10);
        feed_tick(feed);
    }
}

static void comes_and_leaves(const char **since)
{
    comes_back(5, "\"k3f9a1c2:5\"");
    browser_hears(&one);
    passes(20);
    take_marker();
    *since = heartbeat();
    reception_leave(reception, one.client);
}

static void test_clock_is_set_back(void **state)
{
    const char *since;
    (void)state;
    comes_and_leaves(&since);
    forget_all();
    passes(-60);
    take_marker();
    check_hole_is_told(since);
}

/* Another process begins while the clock is wrong: the stream's markers tell it. */
static void test_clock_is_set_back_before_the_start(void **state)
{
    const char *since;
    (void)state;
    comes_and_leaves(&since);
    passes(-60);
    feed_free(&feed);
    reception_free(&reception);
    feed = feed_new(&config, hub, metrics);
    reception = reception_new(feed, hub, metrics);
    two.rules.context = reception;
    feed_connected(feed, false);
    take_beacon(EPOCH);
    for (uint64_t seq = 1; seq <= 5; seq++)
        take_event(1, seq);
    passes(60);
    struct amqp_delivery marker = delivery_of(EVENT_MARKER_TYPE, ""); /* of the process before */
    marker.author = AMQP_BY_NOTIFIER;
    marker.timestamp_s = now_s;
    passes(-60);
    feed_take(feed, &marker);
    take_marker();
    forget_all();
    check_hole_is_told(since);
}

/* A cursor stays valid when the clock goes back and nothing happens. */
static void test_quiet_while_the_clock_goes_back(void **state)
{
    const char *since;
    (void)state;
    comes_and_leaves(&since);
    passes(-60);
    take_marker();
    forget_all();
    passes(65);
    subscribes(&two, since);
    assert_non_null(strstr(browser_hears(&two), "\"recovered\":true,\"replayed\":0"));
}

/* A time far ahead of the clock is its writer's error, and delays nothing. */
static void test_marker_from_next_year(void **state)
{
    (void)state;
    catch_up();
    struct amqp_delivery marker = delivery_of(EVENT_MARKER_TYPE, "");
    marker.author = AMQP_BY_NOTIFIER;
    marker.timestamp_s = now_s + 31536000;
    feed_take(feed, &marker);
    assert_int_equal(feed_now_s(feed), now_s);
}

/* Subscribed while history was read: later events are new, whatever the database's clock says. */
static void test_plain_listener_and_the_clock_of_the_database(void **state)
{
    (void)state;
    feed_connected(feed, false);
    take_beacon(EPOCH);
    says(&one, "{\"type\":\"subscribe\",\"user_id\":1}");
    check_hears(&one, "{\"type\":\"subscribe\",\"user_id\":1}");
    take_marker();
    passes(-60);
    take_event(1, 7);
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:7\"}");
}

/* The stream is read from further back, to a time before the database was restored. */
static void test_history_of_an_epoch_that_is_over(void **state)
{
    (void)state;
    comes_back(2, "\"k3f9a1c2:2\"");
    browser_hears(&one);
    take_beacon("00000002");
    check_hears(&one, RESET("k3f9a1c2:2", "epoch"));
    take_event_of("00000002", 1, 1);
    check_hears(&one, "{\"cursor\":\"00000002:1\"}");
    feed_disconnected(feed);
    feed_connected(feed, false);
    take_beacon(EPOCH);
    take_event(1, 1);
    take_event(1, 2);
    take_beacon("00000002");
    take_event_of("00000002", 1, 1);
    take_event_of("00000002", 1, 2);
    take_marker();
    check_hears(&one, "{\"cursor\":\"00000002:2\"}");
    check_hears(&one, "");
    take_beacon(EPOCH); /* now the API has named it */
    check_hears(&one, RESET("00000002:2", "epoch"));
}

/* Epochs change while history is read for the first time: no client has heard anything, so there is no
 * reset. */
static void test_epochs_of_the_first_history(void **state)
{
    (void)state;
    feed_connected(feed, false);
    says(&one, "{\"type\":\"subscribe\",\"user_id\":1}");
    check_hears(&one, "{\"type\":\"subscribe\",\"user_id\":1}");
    passes(10);
    take_beacon(EPOCH);
    passes(-20);
    take_event(1, 41);
    take_beacon("00000002");
    take_event_of("00000002", 1, 1);
    passes(20);
    take_marker();
    take_event_of("00000002", 1, 2);
    check_hears(&one, "{\"cursor\":\"00000002:2\"}");
}

/* An old cursor gets one reset; the next event causes no other. */
static void test_stale_cursor_is_told_once(void **state)
{
    (void)state;
    catch_up();
    subscribes(&one, "\"k3f9a1c2:3\"");
    check_hears(&one, ANSWER("k3f9a1c2:3", NOT_RECOVERED("truncated")));
    take_event(1, 51);
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:51\"}");
    check_hears(&one, "");
    assert_int_equal(metrics_get(metrics, NOTIFIER_RESETS), 0);
    take_event(1, 53); /* this one is a loss */
    check_hears(&one, RESET("k3f9a1c2:51", "lost"));
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_clock_is_set_back),
        TEST(test_clock_is_set_back_before_the_start),
        TEST(test_quiet_while_the_clock_goes_back),
        TEST(test_marker_from_next_year),
        TEST(test_plain_listener_and_the_clock_of_the_database),
        TEST(test_history_of_an_epoch_that_is_over),
        TEST(test_epochs_of_the_first_history),
        TEST(test_stale_cursor_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
