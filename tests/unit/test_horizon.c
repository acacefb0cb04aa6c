/* SPDX-License-Identifier: MIT */
/* Where several nodes share the journal: the time in cursors is the one that beacons tell, and a notifier
 * whose stream is behind sends its clients away. */
#include "tests/unit/still_clock.h"

#include "tests/unit/audience.h"
#include "ws-notifier/horizon.h"

static int begin(void **state)
{
    wall_s = START_S;
    int failed = set_up(state);
    catch_up();
    return failed;
}

static void passes(int64_t seconds)
{
    wall_s += seconds;
    now_s = wall_s;
    monotonic_ms += seconds * 1000;
}

static void take_beacon_that_tells(int64_t complete_s)
{
    struct amqp_delivery delivery = delivery_of(EVENT_BEACON_TYPE, "{}");
    delivery.author = AMQP_BY_API;
    delivery.timestamp_s = now_s;
    delivery.tells_complete = true;
    delivery.complete_ms = complete_s * 1000;
    strcpy(delivery.meta.epoch, EPOCH);
    feed_take(feed, &delivery);
}

static int64_t cursor_time(void)
{
    return feed_cursor(feed, 1, 0).time_s;
}

static void test_cursors_carry_what_beacons_tell(void **state)
{
    (void)state;
    assert_int_equal(cursor_time(), now_s); /* the marker's: one machine alone */
    take_beacon_that_tells(now_s - 3);
    assert_int_equal(cursor_time(), now_s - 3);
    passes(10);
    feed_caught_up(feed, now_s); /* how far this notifier has read does not matter */
    assert_int_equal(cursor_time(), now_s - 13);
    take_beacon_that_tells(now_s - 20); /* a clock was set back */
    assert_int_equal(cursor_time(), now_s - 20);
}

/* It is one machine again. */
static void test_a_beacon_that_tells_nothing(void **state)
{
    (void)state;
    take_beacon_that_tells(now_s - 60);
    assert_true(feed_is_stale(feed));
    take_beacon(EPOCH);
    assert_int_equal(cursor_time(), now_s);
    assert_false(feed_is_stale(feed));
    assert_int_equal(feed_behind_ms(feed), -1);
}

/* A publisher that does not know yet: what was told before it still holds. */
static void test_a_time_that_is_not_known(void **state)
{
    (void)state;
    take_beacon_that_tells(0);
    assert_true(feed_is_stale(feed));
    subscribes(&one, "null"); /* a cursor without a time would be good nowhere, so there is no answer yet */
    check_hears(&one, "");
    take_beacon_that_tells(now_s);
    reception_answer_waiting(reception);
    check_hears(&one, ANSWER("k3f9a1c2:0:%T", RECOVERED));
    take_beacon_that_tells(now_s - 1);
    take_beacon_that_tells(0);
    assert_int_equal(cursor_time(), now_s - 1);
    assert_false(feed_is_stale(feed));
}

static void test_another_stream(void **state)
{
    (void)state;
    take_beacon_that_tells(now_s - 1);
    feed_disconnected(feed);
    feed_connected(feed, true);
    assert_int_equal(cursor_time(), now_s - 1);
    feed_disconnected(feed);
    feed_connected(feed, false); /* what was heard before was heard all the same */
    assert_int_equal(cursor_time(), now_s - 1);
    take_beacon_that_tells(0);
    assert_int_equal(cursor_time(), now_s - 1);
    passes(10);
    assert_true(feed_is_stale(feed));
}

static void test_clients_are_sent_away(void **state)
{
    (void)state;
    take_beacon_that_tells(now_s);
    passes(10);
    assert_false(feed_is_stale(feed) || feed_sends_away(feed));
    passes(1);
    assert_true(feed_is_stale(feed));
    assert_false(feed_sends_away(feed)); /* a balancer is to notice first */
    passes(HORIZON_NOTICE_MS / 1000);
    assert_true(feed_sends_away(feed));
    assert_false(feed_sends_away(feed));
    passes(config.ws_stale_s);
    assert_true(feed_sends_away(feed)); /* those who came all the same */
    take_beacon_that_tells(now_s);
    assert_false(feed_is_stale(feed) || feed_sends_away(feed));
    passes(11);
    assert_false(feed_sends_away(feed));
}

static void test_without_a_limit(void **state)
{
    struct horizon horizon = {.limit_ms = 0};
    (void)state;
    horizon_hear(&horizon, 1000);
    assert_false(horizon_is_stale(&horizon, 100000000) || horizon_sends_away(&horizon, 100000000, 5000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cursors_carry_what_beacons_tell, begin, tear_down),
        cmocka_unit_test_setup_teardown(test_a_beacon_that_tells_nothing, begin, tear_down),
        cmocka_unit_test_setup_teardown(test_a_time_that_is_not_known, begin, tear_down),
        cmocka_unit_test_setup_teardown(test_another_stream, begin, tear_down),
        cmocka_unit_test_setup_teardown(test_clients_are_sent_away, begin, tear_down),
        cmocka_unit_test(test_without_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
