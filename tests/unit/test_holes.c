/* SPDX-License-Identifier: MIT */
/* An event that comes before its predecessor waits. If the predecessor comes in time no client notices;
 * otherwise all are told. */
#include "tests/unit/still_clock.h"

#include "tests/unit/audience.h"
#include "tests/unit/captured.h"

#include "common/trace.h"

static void passes(int64_t ms)
{
    monotonic_ms += ms;
    wall_s = START_S + monotonic_ms / 1000;
    now_s = wall_s;
    feed_tick(feed);
}

static int begin(void **state)
{
    hole_wait_s = 5;
    return set_up(state);
}

static void hears_event(struct browser *browser, uint64_t seq)
{
    char text[64];
    snprintf(text, sizeof text, "{\"cursor\":\"k3f9a1c2:%llu\"}", (unsigned long long)seq);
    check_hears(browser, text);
}

static void hears_nothing(struct browser *browser)
{
    check_hears(browser, "");
}

/* Browser `one` has heard events 1 to 3. */
static void begin_listening(void)
{
    comes_back(3, "\"k3f9a1c2:3\"");
    browser_hears(&one);
    hears_nothing(&one);
}

static void test_filled_in_time(void **state)
{
    (void)state;
    begin_listening();
    take_event(1, 6);
    take_event(1, 5);
    take_event(1, 5); /* again */
    take_event(2, 1); /* another user's events do not wait */
    hears_nothing(&one);
    assert_int_equal(metrics_get(metrics, NOTIFIER_HOLES_WAITING), 1);
    assert_true(metrics_get(metrics, NOTIFIER_HELD_BYTES) > 0);
    passes(4900);
    take_event(1, 4);
    for (uint64_t seq = 4; seq <= 6; seq++)
        hears_event(&one, seq);
    hears_nothing(&one);
    passes(10000);
    take_event(1, 7);
    hears_event(&one, 7);
    assert_int_equal(metrics_get(metrics, NOTIFIER_HOLES_WAITING), 0);
    assert_int_equal(metrics_get(metrics, NOTIFIER_HELD_BYTES), 0);
    assert_int_equal(metrics_get(metrics, NOTIFIER_HOLES_FILLED), 1);
    assert_int_equal(metrics_get(metrics, NOTIFIER_HOLES), 0);
    assert_int_equal(metrics_get(metrics, NOTIFIER_RESETS), 0);
}

/* Takes event 5, which waits, and then 4. Returns how many spans were logged then; *log is all of it. */
static int take_traced(const char *parent, const char **log)
{
    int spans = 0;
    traceparent = parent;
    capture_begin();
    take_event(1, 5);
    assert_null(strstr(capture_end(), "span_id"));
    capture_begin();
    take_event(1, 4);
    traceparent = "";
    *log = capture_end();
    for (const char *at = *log; (at = strstr(at, "\"name\":\"deliver\"")) != NULL; at++)
        spans++;
    return spans;
}

/* The span of one that waits ends when it is delivered. */
static void test_a_traced_one_waits(void **state)
{
    const char *log;
    (void)state;
    begin_listening();
    log_init("unit", LOG_JSON, LOG_INFO);
    trace_init(true);
    int spans = take_traced("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", &log);
    trace_init(false);
    assert_int_equal(spans, 2);
    assert_non_null(strstr(log, "\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\""));
    assert_non_null(strstr(log, "\"parent_span_id\":\"00f067aa0ba902b7\""));
    assert_non_null(strstr(log, "\"sockets\":1}"));
}

/* A header may hold any text, and a trace of which no samples are taken leaves no line. */
static void test_traces_that_are_none(void **state)
{
    static const char *const parents[] = {"", "x", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
                                          "00-00000000000000000000000000000000-00f067aa0ba902b7-01"};
    const char *log;
    (void)state;
    begin_listening();
    log_init("unit", LOG_JSON, LOG_INFO);
    trace_init(true);
    int spans = take_traced(parents[0], &log);
    for (uint64_t i = 1; i < sizeof parents / sizeof parents[0]; i++) {
        traceparent = parents[i];
        capture_begin();
        take_event(1, 5 + i);
        spans += strstr(capture_end(), "span_id") != NULL;
    }
    traceparent = "";
    trace_init(false);
    assert_int_equal(spans, 0);
    assert_non_null(strstr(log, "Message received from MQ"));
}

static void test_in_vain(void **state)
{
    (void)state;
    begin_listening();
    take_event(1, 5);
    passes(3000);
    take_event(1, 6);
    passes(1900);
    hears_nothing(&one);
    passes(100);
    check_hears(&one, RESET("k3f9a1c2:3", "lost"));
    hears_event(&one, 5);
    hears_event(&one, 6);
    take_event(1, 4); /* too late */
    hears_nothing(&one);
    take_event(1, 7);
    hears_event(&one, 7);
    assert_int_equal(metrics_get(metrics, NOTIFIER_HOLES), 1);
    assert_int_equal(metrics_get(metrics, NOTIFIER_HOLES_FILLED), 0);
    assert_int_equal(metrics_get(metrics, NOTIFIER_RESETS), 1);
}

/* A hole behind a hole: the first is filled, the rest waits on. */
static void test_two_holes(void **state)
{
    (void)state;
    begin_listening();
    take_event(1, 5);
    take_event(1, 8);
    take_event(1, 4);
    hears_event(&one, 4);
    hears_event(&one, 5);
    hears_nothing(&one);
    passes(5000);
    check_hears(&one, RESET("k3f9a1c2:5", "lost"));
    hears_event(&one, 8);
}

/* While an event is held, a cursor covers no more than its owner has: another notifier may have forgotten the
 * event. */
static void test_cursors_meanwhile(void **state)
{
    char since[CURSOR_TEXT_SIZE + 2], beat[128];
    (void)state;
    begin_listening();
    int64_t held_s = now_s;
    take_event(1, 5);
    passes(3000);
    feed_caught_up(feed, now_s);
    for (int i = 0; i < 4; i++)
        reception_beat(reception);
    snprintf(beat, sizeof beat, "{\"type\":\"heartbeat\",\"user_id\":1,\"cursor\":\"k3f9a1c2:3:%lld\"}",
             (long long)held_s);
    check_hears(&one, beat);
    snprintf(since, sizeof since, "\"k3f9a1c2:3:%lld\"", (long long)held_s);
    subscribes(&two, since);
    assert_non_null(strstr(browser_hears(&two), "\"recovered\":true,\"replayed\":0"));
    take_event(1, 4);
    hears_event(&two, 4);
    hears_event(&two, 5);
}

/* The ring has forgotten the user; the listeners have not. */
static void test_known_by_listeners_only(void **state)
{
    (void)state;
    begin_listening();
    while (feed_forget_oldest(feed))
        ;
    take_event(1, 5);
    hears_nothing(&one);
    take_event(1, 4);
    hears_event(&one, 4);
    hears_event(&one, 5);
    assert_int_equal(metrics_get(metrics, NOTIFIER_RESETS), 0);
}

/* In bounded memory: the user that waits longest is told. */
static void test_memory(void **state)
{
    (void)state;
    begin_listening();
    take_event(1, 5);
    take_event(2, 1);
    for (uint64_t seq = 3; metrics_get(metrics, NOTIFIER_RESETS) == 0 && seq < 5000; seq++)
        take_event(2, seq);
    check_hears(&one, RESET("k3f9a1c2:3", "lost"));
    hears_event(&one, 5);
    assert_true(metrics_get(metrics, NOTIFIER_HELD_BYTES) <= config.ring_bytes / 16);
    assert_true(metrics_get(metrics, NOTIFIER_HELD_BYTES) > config.ring_bytes / 20);
}

static void test_another_epoch(void **state)
{
    (void)state;
    begin_listening();
    take_event(1, 5);
    take_beacon("00000002");
    check_hears(&one, RESET("k3f9a1c2:3", "epoch"));
    take_event_of("00000002", 1, 9);
    check_hears(&one, "{\"cursor\":\"00000002:9\"}");
    passes(6000);
    hears_nothing(&one);
    assert_int_equal(metrics_get(metrics, NOTIFIER_HOLES_WAITING), 0);
}

static void test_off(void **state)
{
    (void)state;
    begin_listening();
    take_event(1, 5);
    check_hears(&one, RESET("k3f9a1c2:3", "lost"));
    hears_event(&one, 5);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_filled_in_time),
        TEST(test_a_traced_one_waits),
        TEST(test_traces_that_are_none),
        TEST(test_in_vain),
        TEST(test_two_holes),
        TEST(test_cursors_meanwhile),
        TEST(test_known_by_listeners_only),
        TEST(test_memory),
        TEST(test_another_epoch),
        WITH_AUDIENCE(test_off),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed;
}
