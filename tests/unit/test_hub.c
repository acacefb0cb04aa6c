/* SPDX-License-Identifier: MIT */
/* The hub: filters, order, gaps, replacing, leaving, heartbeats. */
#include "tests/unit/browser.h"

#include <stdlib.h>

#include "ws-notifier/hub.h"

#define BEATS 4

static struct metrics *metrics;
static struct hub *hub;
static struct browser one, two;

static int set_up(void **state)
{
    (void)state;
    metrics = open_metrics();
    hub = hub_new(BEATS, 3, metrics);
    browser_open(&one, metrics, 100, 100000);
    browser_open(&two, metrics, 100, 100000);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hub_forget(hub, one.client);
    hub_forget(hub, two.client);
    assert_int_equal(metrics_get(metrics, NOTIFIER_SUBSCRIPTIONS), 0);
    assert_int_equal(metrics_get(metrics, NOTIFIER_WAITING), 0);
    client_free(&one.client);
    client_free(&two.client);
    hub_free(&hub);
    metrics_close(&metrics);
    return 0;
}

static struct frame *make_reset(void *context, uint32_t user_id, uint64_t last_seq)
{
    char text[64];
    (void)context;
    snprintf(text, sizeof text, "reset %u after %llu", user_id, (unsigned long long)last_seq);
    return frame_of(text);
}

static void deliver_at(uint32_t user_id, uint64_t seq, int64_t created_at_ms)
{
    char text[64];
    snprintf(text, sizeof text, "event %u:%llu", user_id, (unsigned long long)seq);
    struct frame *frame = frame_of(text);
    struct hub_event event = {user_id, seq, created_at_ms, frame};
    hub_deliver(hub, &event, make_reset, NULL);
    frame_unref(&frame);
}

static void deliver(uint32_t user_id, uint64_t seq)
{
    deliver_at(user_id, seq, 0);
}

static struct subscription *live(struct browser *browser, uint32_t user_id, uint64_t last_seq)
{
    struct subscription *subscription = hub_subscribe(hub, browser->client, user_id);
    assert_non_null(subscription);
    assert_int_equal(subscription_user(subscription), user_id);
    hub_go_live(hub, subscription, last_seq, true);
    return subscription;
}

static void test_several_sockets_and_users(void **state)
{
    (void)state;
    live(&one, 1, 0);
    live(&one, 2, 0);
    live(&two, 1, 0);
    deliver(1, 5);
    deliver(2, 9);
    deliver(3, 1);
    deliver(1, 6);
    assert_string_equal(browser_hears(&one), "event 1:5");
    assert_string_equal(browser_hears(&one), "event 2:9");
    assert_string_equal(browser_hears(&one), "event 1:6");
    assert_string_equal(browser_hears(&one), "");
    assert_string_equal(browser_hears(&two), "event 1:5");
    assert_string_equal(browser_hears(&two), "event 1:6");
    assert_int_equal(metrics_get(metrics, NOTIFIER_DELIVERIES), 5);
}

static void test_silent_until_live(void **state)
{
    (void)state;
    struct subscription *subscription = hub_subscribe(hub, one.client, 1);
    deliver(1, 1);
    hub_wait(hub, subscription, NULL);
    deliver(1, 2);
    assert_string_equal(browser_hears(&one), "");
    hub_go_live(hub, subscription, 2, true);
    deliver(1, 3);
    assert_string_equal(browser_hears(&one), "event 1:3");
}

static void test_takes_only_what_is_newer(void **state)
{
    (void)state;
    live(&one, 1, 10);
    deliver(1, 9);
    deliver(1, 10);
    assert_string_equal(browser_hears(&one), "");
    deliver(1, 11);
    deliver(1, 11);
    deliver(1, 10);
    deliver(1, 12);
    assert_string_equal(browser_hears(&one), "event 1:11");
    assert_string_equal(browser_hears(&one), "event 1:12");
    assert_string_equal(browser_hears(&one), "");
}

/* The limit of all clients together: existing subscriptions stay, and may be renewed. */
static void test_limit_of_all(void **state)
{
    (void)state;
    hub_limit(hub, 2);
    live(&one, 1, 0);
    live(&two, 1, 0);
    assert_null(hub_subscribe(hub, one.client, 2));
    assert_non_null(hub_subscribe(hub, one.client, 1));
    hub_unsubscribe(hub, two.client, 1);
    assert_non_null(hub_subscribe(hub, one.client, 2));
    assert_null(hub_subscribe(hub, two.client, 1));
}

static void test_gap_is_told(void **state)
{
    (void)state;
    live(&one, 1, 10);
    live(&two, 1, 11);
    deliver(1, 12);
    assert_string_equal(browser_hears(&one), "reset 1 after 10");
    assert_string_equal(browser_hears(&one), "event 1:12");
    assert_string_equal(browser_hears(&two), "event 1:12");
    deliver(1, 13);
    assert_string_equal(browser_hears(&one), "event 1:13");
    assert_int_equal(metrics_get(metrics, NOTIFIER_RESETS), 1);
}

static void test_unknown_seq_takes_any(void **state)
{
    (void)state;
    live(&one, 1, 0);
    deliver(1, 77);
    assert_string_equal(browser_hears(&one), "event 1:77");
}

/* Another program's message has no number, and changes no subscription's. */
static void test_without_number(void **state)
{
    (void)state;
    live(&one, 1, 10);
    deliver(1, 0);
    deliver(1, 11);
    assert_string_equal(browser_hears(&one), "event 1:0");
    assert_string_equal(browser_hears(&one), "event 1:11");
}

/* A subscription made while history was read gets none of it, and sees no gap. */
static void test_not_before(void **state)
{
    (void)state;
    struct subscription *subscription = live(&one, 1, 3);
    subscription->not_before_ms = 100000;
    deliver_at(1, 4, 50000);
    deliver_at(1, 5, 60000);
    assert_string_equal(browser_hears(&one), "");
    deliver_at(1, 6, 99000); /* known to the second, so it may have been after */
    deliver_at(1, 7, 150000);
    assert_string_equal(browser_hears(&one), "event 1:6");
    assert_string_equal(browser_hears(&one), "event 1:7");
}

static void test_replaced(void **state)
{
    (void)state;
    live(&one, 1, 10);
    live(&one, 1, 20);
    assert_int_equal(metrics_get(metrics, NOTIFIER_SUBSCRIPTIONS), 1);
    deliver(1, 15);
    deliver(1, 21);
    assert_string_equal(browser_hears(&one), "event 1:21");
    assert_string_equal(browser_hears(&one), "");
}

static void test_limit(void **state)
{
    (void)state;
    live(&one, 1, 0);
    live(&one, 2, 0);
    live(&one, 3, 0);
    assert_null(hub_subscribe(hub, one.client, 4));
    assert_non_null(hub_subscribe(hub, one.client, 2)); /* replaces the earlier one */
    hub_unsubscribe(hub, one.client, 3);
    hub_unsubscribe(hub, one.client, 3);
    live(&one, 4, 0);
    deliver(4, 1);
    deliver(3, 1);
    assert_string_equal(browser_hears(&one), "event 4:1");
    assert_string_equal(browser_hears(&one), "");
}

static void test_waiting_in_order(void **state)
{
    (void)state;
    struct cursor cursor = {.epoch = "e", .seq = 7};
    assert_null(hub_first_waiting(hub));
    struct subscription *first = hub_subscribe(hub, one.client, 1);
    struct subscription *second = hub_subscribe(hub, two.client, 1);
    hub_wait(hub, first, &cursor);
    hub_wait(hub, second, NULL);
    assert_int_equal(metrics_get(metrics, NOTIFIER_WAITING), 2);
    assert_ptr_equal(hub_first_waiting(hub), first);
    assert_int_equal(first->since->seq, 7);
    hub_go_live(hub, first, 7, true);
    assert_ptr_equal(hub_first_waiting(hub), second);
    assert_null(second->since);
    hub_forget(hub, two.client);
    assert_null(hub_first_waiting(hub));
}

static void test_slow_one_delays_nobody(void **state)
{
    (void)state;
    struct browser slow;
    browser_open(&slow, metrics, 2, 100000);
    live(&slow, 1, 0);
    live(&one, 1, 0);
    for (uint64_t seq = 1; seq <= 5; seq++)
        deliver(1, seq);
    assert_int_equal(client_closing(slow.client), CLOSE_TOO_SLOW);
    assert_int_equal(client_waiting(one.client), 5);
    hub_forget(hub, slow.client);
    client_free(&slow.client);
}

static void count_beat(void *context, struct subscription *subscription)
{
    int *beats = context;
    beats[subscription_user(subscription)]++;
}

static void test_heartbeats_are_shared_out(void **state)
{
    (void)state;
    int beats[4] = {0};
    live(&one, 1, 0);
    live(&one, 2, 0);
    live(&two, 3, 0);
    hub_go_live(hub, hub_subscribe(hub, two.client, 0), 0, false); /* without a cursor: no heartbeat */
    int most = 0;
    for (int i = 0; i < BEATS; i++) {
        int before = beats[1] + beats[2] + beats[3];
        hub_beat(hub, count_beat, beats);
        int now = beats[1] + beats[2] + beats[3] - before;
        if (now > most)
            most = now;
    }
    assert_int_equal(beats[0], 0);
    assert_int_equal(beats[1], 1);
    assert_int_equal(beats[2], 1);
    assert_int_equal(beats[3], 1);
    assert_int_equal(most, 1);
}

/* Random subscriptions and events against the simplest possible model. */
static void test_random(void **state)
{
    (void)state;
    uint64_t last[3] = {0}, has[2][3] = {{0}};
    bool hears[2][3] = {{false}};
    struct browser *browsers[] = {&one, &two};

    srand(1);
    for (int step = 0; step < 20000; step++) {
        uint32_t user = (uint32_t)rand() % 3;
        int b = rand() % 2;
        switch (rand() % 6) {
        case 0:
            live(browsers[b], user, last[user]);
            hears[b][user] = true;
            has[b][user] = last[user];
            break;
        case 1:
            hub_unsubscribe(hub, browsers[b]->client, user);
            hears[b][user] = false;
            break;
        case 2:
            if (rand() % 50)
                break;
            hub_forget(hub, browsers[b]->client);
            memset(hears[b], 0, sizeof hears[b]);
            break;
        case 3: /* again */
            if (last[user] > 0)
                deliver(user, 1 + (uint64_t)rand() % last[user]);
            break;
        default:
            deliver(user, ++last[user]);
        }
        for (b = 0; b < 2; b++) {
            for (user = 0; user < 3; user++) {
                if (!hears[b][user] || has[b][user] == last[user])
                    continue;
                char text[64];
                snprintf(text, sizeof text, "event %u:%llu", user, (unsigned long long)++has[b][user]);
                assert_string_equal(browser_hears(browsers[b]), text);
            }
            assert_string_equal(browser_hears(browsers[b]), "");
        }
    }
    assert_int_equal(metrics_get(metrics, NOTIFIER_RESETS), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_several_sockets_and_users),
        TEST(test_silent_until_live),
        TEST(test_takes_only_what_is_newer),
        TEST(test_limit_of_all),
        TEST(test_gap_is_told),
        TEST(test_unknown_seq_takes_any),
        TEST(test_without_number),
        TEST(test_not_before),
        TEST(test_replaced),
        TEST(test_limit),
        TEST(test_waiting_in_order),
        TEST(test_slow_one_delays_nobody),
        TEST(test_heartbeats_are_shared_out),
        TEST(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
