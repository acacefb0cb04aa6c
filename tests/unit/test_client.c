/* SPDX-License-Identifier: MIT */
/* A socket's queue: order, bounds, and which frames are sent after closing. */
#include "tests/unit/browser.h"

static struct metrics *metrics;

static int set_up(void **state)
{
    (void)state;
    metrics = open_metrics();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(metrics_get(metrics, NOTIFIER_QUEUE_BYTES), 0);
    metrics_close(&metrics);
    return 0;
}

static bool send_text(struct browser *browser, const char *text)
{
    struct frame *frame = frame_of(text);
    bool sent = client_send(browser->client, frame);
    frame_unref(&frame);
    return sent;
}

static void test_order(void **state)
{
    (void)state;
    struct browser browser;
    char text[16];
    browser_open(&browser, metrics, 1000, 100000);
    assert_string_equal(browser_hears(&browser), "");
    /* Grows while it is in the middle of its circle. */
    int sent = 0, heard = 0;
    for (int round = 1; round < 20; round++) {
        for (int i = 0; i < round; i++) {
            snprintf(text, sizeof text, "%d", sent++);
            assert_true(send_text(&browser, text));
        }
        for (int i = 0; i < round - 1; i++) {
            snprintf(text, sizeof text, "%d", heard++);
            assert_string_equal(browser_hears(&browser), text);
        }
    }
    assert_int_equal(client_waiting(browser.client), sent - heard);
    client_free(&browser.client);
    assert_null(browser.client);
    client_free(&browser.client);
}

static void test_wakes_once(void **state)
{
    (void)state;
    struct browser browser;
    browser_open(&browser, metrics, 10, 1000);
    send_text(&browser, "a");
    send_text(&browser, "b");
    assert_int_equal(browser.wakes, 1);
    browser_hears(&browser);
    browser_hears(&browser);
    send_text(&browser, "c");
    assert_int_equal(browser.wakes, 2);
    client_free(&browser.client);
}

static void test_too_many_frames(void **state)
{
    (void)state;
    struct browser browser;
    browser_open(&browser, metrics, 2, 1000);
    assert_true(send_text(&browser, "a"));
    assert_true(send_text(&browser, "b"));
    assert_int_equal(client_closing(browser.client), CLOSE_NOT);
    assert_false(send_text(&browser, "c"));
    assert_int_equal(client_closing(browser.client), CLOSE_TOO_SLOW);
    /* Queued frames are freed at once: they made the client too large. */
    assert_int_equal(client_waiting(browser.client), 0);
    assert_false(send_text(&browser, "d"));
    assert_int_equal(metrics_get(metrics, NOTIFIER_CLOSED_SLOW), 1);
    client_free(&browser.client);
}

static void test_too_many_bytes(void **state)
{
    (void)state;
    struct browser browser;
    browser_open(&browser, metrics, 100, 10);
    assert_true(send_text(&browser, "a frame larger than the bound, to one who reads"));
    assert_string_equal(browser_hears(&browser), "a frame larger than the bound, to one who reads");
    assert_true(send_text(&browser, "123456"));
    assert_int_equal(metrics_get(metrics, NOTIFIER_QUEUE_BYTES), 6);
    assert_true(send_text(&browser, "1234"));
    assert_false(send_text(&browser, "1"));
    assert_int_equal(client_closing(browser.client), CLOSE_TOO_SLOW);
    client_free(&browser.client);
}

static void test_close_keeps_first_reason(void **state)
{
    (void)state;
    struct browser browser;
    browser_open(&browser, metrics, 10, 1000);
    send_text(&browser, "last words");
    client_close(browser.client, CLOSE_RESTART);
    client_close(browser.client, CLOSE_TOO_SLOW);
    assert_int_equal(client_closing(browser.client), CLOSE_RESTART);
    assert_string_equal(close_reason(client_closing(browser.client)), "service restart");
    /* At a restart queued frames are sent first. */
    assert_string_equal(browser_hears(&browser), "last words");
    assert_false(send_text(&browser, "too late"));
    assert_int_equal(metrics_get(metrics, NOTIFIER_CLOSED_RESTART), 1);
    assert_int_equal(metrics_get(metrics, NOTIFIER_CLOSED_SLOW), 0);
    client_free(&browser.client);
}

static void test_shared_frame(void **state)
{
    (void)state;
    struct browser one, two;
    struct frame *frame = frame_of("shared");
    browser_open(&one, metrics, 10, 1000);
    browser_open(&two, metrics, 10, 1000);
    client_send(one.client, frame);
    client_send(two.client, frame);
    assert_int_equal(frame->references, 3);
    assert_string_equal(browser_hears(&one), "shared");
    client_free(&two.client);
    assert_int_equal(frame->references, 1);
    frame_unref(&frame);
    assert_null(frame);
    frame_unref(&frame);
    client_free(&one.client);
}

/* A replay of `left` frames, "<name><left>" each. */
struct told {
    const char *name;
    int left;
};

static bool tell(void *context, struct subscription *subscription, struct frame **frame)
{
    struct told *told = (struct told *)subscription;
    char text[16];
    assert_null(context);
    snprintf(text, sizeof text, "%s%d", told->name, told->left--);
    *frame = frame_of(text);
    return told->left > 0;
}

/* A replay takes one place in the queue, and later frames follow it. */
static void test_replay(void **state)
{
    (void)state;
    struct browser browser;
    struct told a = {"a", 3}, b = {"b", 2};
    browser_open(&browser, metrics, 5, 1000);
    browser.rules.replay = tell;
    send_text(&browser, "before");
    client_replay(browser.client, (struct subscription *)&a);
    client_replay(browser.client, (struct subscription *)&b);
    send_text(&browser, "after");
    assert_int_equal(browser.wakes, 1);
    assert_int_equal(client_waiting(browser.client), 4);
    assert_int_equal(metrics_get(metrics, NOTIFIER_QUEUE_BYTES), 11);
    static const char *const expected[] = {"before", "a3", "a2", "a1", "b2", "b1", "after", ""};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_string_equal(browser_hears(&browser), expected[i]);
    client_free(&browser.client);
}

static void test_replay_ends_early(void **state)
{
    (void)state;
    struct browser browser;
    struct told a = {"a", 3}, b = {"b", 2};
    browser_open(&browser, metrics, 100, 1000);
    browser.rules.replay = tell;
    for (int i = 0; i < 3; i++) { /* so that the ring has wrapped around */
        send_text(&browser, "x");
        send_text(&browser, "y");
        browser_hears(&browser);
    }
    client_replay(browser.client, (struct subscription *)&a);
    client_replay(browser.client, (struct subscription *)&b);
    send_text(&browser, "z");
    client_end_replay(browser.client, (struct subscription *)&a);
    for (int i = 0; i < 3; i++)
        browser_hears(&browser);
    assert_string_equal(browser_hears(&browser), "b2");
    /* Closing ends replays: the client comes back with its cursor. Other waiting frames may still be sent. */
    client_close(browser.client, CLOSE_RESTART);
    assert_string_equal(browser_hears(&browser), "z");
    assert_string_equal(browser_hears(&browser), "");
    client_replay(browser.client, (struct subscription *)&a);
    assert_int_equal(client_waiting(browser.client), 0);
    client_free(&browser.client);

    browser_open(&browser, metrics, 100, 1000);
    client_replay(browser.client, (struct subscription *)&a);
    client_end_replay(browser.client, (struct subscription *)&a);
    assert_int_equal(client_waiting(browser.client), 0);
    client_end_replay(browser.client, (struct subscription *)&a);
    client_free(&browser.client);
}

static bool enough(const void *context)
{
    (void)context;
    return metrics_get(metrics, NOTIFIER_QUEUE_BYTES) <= 16;
}

static void test_slowest_are_closed(void **state)
{
    (void)state;
    struct browser browsers[4];
    struct client_rules rules = {
        .max_frames = 100, .max_bytes = 1000, .wake = browser_wake, .metrics = metrics};
    static const int frames[] = {1, 5, 0, 3};
    for (int i = 0; i < 4; i++) {
        memset(&browsers[i], 0, sizeof browsers[i]);
        browsers[i].client = client_new(&rules, &browsers[i]);
        for (int n = 0; n < frames[i]; n++)
            send_text(&browsers[i], "12345678");
    }
    assert_int_equal(rules.clients, 4);
    assert_true(rules.queue_bytes > 9 * sizeof(void *));
    clients_close_slowest(&rules, enough, NULL);
    assert_int_equal(client_closing(browsers[0].client), CLOSE_NOT);
    assert_int_equal(client_closing(browsers[1].client), CLOSE_TOO_SLOW);
    assert_int_equal(client_closing(browsers[2].client), CLOSE_NOT);
    assert_int_equal(client_closing(browsers[3].client), CLOSE_TOO_SLOW);
    clients_close_slowest(&rules, enough, NULL); /* no other client */
    assert_int_equal(metrics_get(metrics, NOTIFIER_CLOSED_SLOW), 2);
    for (int i = 0; i < 4; i++)
        client_free(&browsers[i].client);
    assert_int_equal(rules.clients, 0);
    assert_int_equal(rules.queue_bytes, 0);
    assert_null(rules.queues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wakes_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_many_frames, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_many_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_close_keeps_first_reason, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shared_frame, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_replay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_replay_ends_early, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slowest_are_closed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
