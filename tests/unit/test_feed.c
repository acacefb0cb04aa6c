/* SPDX-License-Identifier: MIT */
/* The feed and the reception together: messages of the stream on one side, browsers on the other. */
#include "tests/unit/audience.h"

static void test_plain(void **state)
{
    (void)state;
    catch_up();
    says(&one, "{ \"type\": \"subscribe\", \"user_id\": 1 }");
    check_hears(&one, "{\"type\":\"subscribe\",\"user_id\":1}");
    take_event(1, 1);
    take_event(2, 1);
    take_event(1, 1);
    take_event(1, 2);
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:1\"}");
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:2\"}");
    says(&one, "{\"type\":\"unsubscribe\",\"user_id\":1}");
    check_hears(&one, "{\"type\":\"unsubscribe\",\"user_id\":1}");
    take_event(1, 3);
    check_hears(&one, "");
    assert_int_equal(metrics_get(metrics, NOTIFIER_DUPLICATES), 1);
}
static void test_waits_until_caught_up(void **state)
{
    (void)state;
    subscribes(&one, "\"k3f9a1c2:1\"");
    feed_connected(feed, false);
    take_event(1, 1);
    take_event(1, 2);
    reception_answer_waiting(reception);
    check_hears(&one, "");
    feed_caught_up(feed, now_s);
    reception_answer_waiting(reception);
    check_hears(&one, ANSWER("k3f9a1c2:1", REPLAYED("1", "k3f9a1c2:2")));
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:2\"}");

    feed_disconnected(feed);
    subscribes(&two, "\"k3f9a1c2:2\"");
    reception_answer_waiting(reception);
    check_hears(&two, "");
    feed_connected(feed, true);
    take_event(1, 3);
    feed_caught_up(feed, now_s);
    reception_answer_waiting(reception);
    check_hears(&two, ANSWER("k3f9a1c2:2", REPLAYED("1", "k3f9a1c2:3")));
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:3\"}");
}

/* A broker lost the end of the stream, which this notifier had read: what follows has the same offsets. */
static void test_offsets_that_were_read_before(void **state)
{
    struct amqp_delivery foreign = delivery_of("", "{\"message\":\"Hi\",\"task\":{\"user_id\":1}}");
    (void)state;
    comes_back(2, "\"k3f9a1c2:2\"");
    check_hears(&one, ANSWER("k3f9a1c2:2:%T", RECOVERED));
    feed_disconnected(feed);
    feed_connected(feed, true);
    feed_takes = feed_take_again;
    take_event(1, 2);
    feed_take_again(feed, &foreign);
    check_hears(&one, "");
    take_event(1, 3);
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:3\"}");
    take_event(1, 3);
    feed_take(feed, &foreign);
    check_hears(&one, "{\"type\":\"notification\",\"message\":\"Hi\",\"task\":{\"user_id\":1}}");
    feed_caught_up(feed, now_s);
    subscribes(&two, "\"k3f9a1c2:2\"");
    check_hears(&two, ANSWER("k3f9a1c2:2", REPLAYED("1", "k3f9a1c2:3")));
}

/* A beacon of the epoch before is still there, at an offset that was read. */
static void test_beacons_that_were_read_before(void **state)
{
    struct amqp_delivery before = delivery_of(EVENT_BEACON_TYPE, "{}");
    (void)state;
    catch_up();
    take_beacon("k4000000");
    subscribes(&one, "null");
    check_hears(&one, ANSWER("k4000000:0:%T", RECOVERED));
    before.author = AMQP_BY_API;
    memcpy(before.meta.epoch, EPOCH, sizeof EPOCH);
    feed_disconnected(feed);
    feed_connected(feed, true);
    feed_take_again(feed, &before);
    check_hears(&one, "");
    assert_string_equal(feed_epoch(feed), "k4000000");
}

static void test_waits_for_the_epoch(void **state)
{
    (void)state;
    feed_connected(feed, false);
    feed_caught_up(feed, now_s);
    assert_true(feed_is_caught_up(feed));
    assert_false(feed_ready(feed));
    subscribes(&one, "null");
    reception_answer_waiting(reception);
    check_hears(&one, "");
    take_beacon(EPOCH);
    reception_answer_waiting(reception);
    check_hears(&one, ANSWER("k3f9a1c2:0:%T", RECOVERED));
}

/* History read back at the start is not delivered to a subscription that wants only new events. */
static void test_plain_while_reading_back(void **state)
{
    (void)state;
    says(&one, "{\"type\":\"subscribe\",\"user_id\":1}");
    check_hears(&one, "{\"type\":\"subscribe\",\"user_id\":1}");
    feed_connected(feed, false);
    now_s -= 100;
    take_event(1, 1);
    take_text("{\"message\":\"old\",\"task\":{\"user_id\":1}}");
    now_s += 100;
    feed_caught_up(feed, now_s);
    check_hears(&one, "");
    take_event(1, 2);
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:2\"}");
    assert_int_equal(metrics_get(metrics, NOTIFIER_RESETS), 0);
}

/* A notifier may write markers; any other message through their exchange is ignored. */
static void test_only_markers_by_their_way(void **state)
{
    (void)state;
    catch_up();
    says(&one, "{\"type\":\"subscribe\",\"user_id\":1}");
    browser_hears(&one);
    struct amqp_delivery foreign = delivery_of("", "{\"message\":\"x\",\"task\":{\"user_id\":1}}");
    struct amqp_delivery beacon = delivery_of(EVENT_BEACON_TYPE, "{}");
    struct amqp_delivery event = delivery_of("task.created", "{}");
    memcpy(beacon.meta.epoch, "forged", sizeof "forged");
    event.has_meta = true;
    event.meta = (struct event_meta){.user_id = 1, .seq = 1, .epoch = EPOCH, .type = "task.created"};
    foreign.author = beacon.author = event.author = AMQP_BY_NOTIFIER;
    feed_take(feed, &foreign);
    feed_take(feed, &beacon);
    feed_take(feed, &event);
    assert_string_equal(feed_epoch(feed), EPOCH);
    check_hears(&one, "");
    assert_int_equal(metrics_get(metrics, NOTIFIER_SKIPPED), 3);
}

/* A program that may publish events can neither announce an epoch nor write a marker. */
static void test_only_events_by_their_way(void **state)
{
    (void)state;
    catch_up();
    says(&one, "{\"type\":\"subscribe\",\"user_id\":1}");
    browser_hears(&one);
    struct amqp_delivery beacon = delivery_of(EVENT_BEACON_TYPE, "{}");
    struct amqp_delivery marker = delivery_of(EVENT_MARKER_TYPE, "{}");
    memcpy(beacon.meta.epoch, "forged", sizeof "forged");
    feed_take(feed, &beacon);
    feed_take(feed, &marker);
    assert_int_equal(metrics_get(metrics, NOTIFIER_SKIPPED), 2);
    take_event_of("forged", 1, 7);
    assert_int_equal(metrics_get(metrics, NOTIFIER_STALE), 1);
    assert_string_equal(feed_epoch(feed), EPOCH);
    check_hears(&one, "");
    take_event(1, 1);
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:1\"}");
}

static void test_foreign(void **state)
{
    (void)state;
    catch_up();
    says(&one, "{\"type\":\"subscribe\",\"user_id\":1}");
    browser_hears(&one);
    take_text("{\"message\":\"hi\",\"task\":{\"id\":3,\"user_id\":1}}");
    check_hears(&one, "{\"type\":\"notification\",\"message\":\"hi\",\"task\":{\"id\":3,\"user_id\":1}}");
    assert_int_equal(metrics_get(metrics, NOTIFIER_FOREIGN), 1);
}

static void test_nonsense_is_skipped(void **state)
{
    (void)state;
    struct amqp_delivery delivery;
    catch_up();
    says(&one, "{\"type\":\"subscribe\",\"user_id\":1}");
    browser_hears(&one);
    take_text("");
    take_text("nonsense");
    take_text("{}");
    delivery = delivery_of("", NULL);
    delivery.too_large = true;
    feed_take(feed, &delivery);

    const char *const bodies[] = {"", "{", "nonsense", "{\"\xff\":1}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        delivery = delivery_of("task.created", bodies[i]);
        delivery.has_meta = true;
        delivery.meta = (struct event_meta){.user_id = 1, .seq = 1, .epoch = EPOCH, .type = "task.created"};
        feed_take(feed, &delivery);
    }
    static const char with_nul[] = "{\"a\":\"\0\"}"; /* no browser could parse it */
    delivery = delivery_of("task.created", with_nul);
    delivery.body_length = sizeof with_nul - 1;
    delivery.has_meta = true;
    delivery.meta = (struct event_meta){.user_id = 1, .seq = 1, .epoch = EPOCH, .type = "task.created"};
    feed_take(feed, &delivery);
    delivery = delivery_of("task.exploded", "{}");
    delivery.has_meta = true;
    delivery.meta = (struct event_meta){.user_id = 1, .seq = 1, .epoch = EPOCH, .type = "task.exploded"};
    feed_take(feed, &delivery);
    assert_int_equal(metrics_get(metrics, NOTIFIER_SKIPPED), 10);
    check_hears(&one, "");
    take_event(1, 1);
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:1\"}");
}

/* Another program's event is delivered as it is, in order with ours. */
static void test_types_of_other_programs(void **state)
{
    (void)state;
    catch_up();
    take_event(1, 1);
    subscribes(&one, "\"k3f9a1c2:1\"");
    browser_hears(&one);
    struct amqp_delivery delivery = delivery_of("invoice.paid", "{\"data\":{\"a\":1}}");
    delivery.has_meta = true;
    delivery.meta = (struct event_meta){.user_id = 1, .seq = 2, .epoch = EPOCH, .type = "invoice.paid"};
    feed_take(feed, &delivery);
    take_event(1, 3);
    check_hears(&one, "{\"data\":{\"a\":1}}");
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:3\"}");
}

static void test_lost_event(void **state)
{
    (void)state;
    catch_up();
    take_event(1, 1);
    subscribes(&one, "\"k3f9a1c2:1\"");
    browser_hears(&one);
    take_event(1, 3);
    check_hears(&one, RESET("k3f9a1c2:1", "lost"));
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:3\"}");
    subscribes(&two, "\"k3f9a1c2:1\"");
    check_hears(&two, ANSWER("k3f9a1c2:1", NOT_RECOVERED("truncated")));
}

static void test_epoch_changes(void **state)
{
    (void)state;
    catch_up();
    take_event(1, 8);
    subscribes(&one, "\"k3f9a1c2:8\"");
    browser_hears(&one);
    take_beacon("restored");
    check_hears(&one, RESET("k3f9a1c2:8", "epoch"));
    take_event_of("restored", 1, 5);
    check_hears(&one, "{\"cursor\":\"restored:5\"}");
    take_event(1, 9); /* a late event of the epoch before */
    check_hears(&one, "");
    assert_int_equal(metrics_get(metrics, NOTIFIER_STALE), 1);
    take_event_of("restored", 1, 6);
    check_hears(&one, "{\"cursor\":\"restored:6\"}");
    take_beacon(EPOCH);
    check_hears(&one, RESET("restored:6", "epoch"));
    take_event(1, 10);
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:10\"}");
}

/* History has every epoch that there was. It means something only to a browser that heard an event of it, as
 * one does that came while the stream was being read, when the event happened after that. */
static void test_epoch_changes_while_reading_back(void **state)
{
    (void)state;
    says(&one, "{\"type\":\"subscribe\",\"user_id\":1}");
    says(&two, "{\"type\":\"subscribe\",\"user_id\":2}");
    browser_hears(&one);
    browser_hears(&two);
    feed_connected(feed, false);
    take_beacon("before");
    take_event_of("before", 1, 7);
    check_hears(&one, "{\"cursor\":\"before:7\"}");
    take_beacon(EPOCH);
    check_hears(&one, RESET("before:7", "epoch"));
    check_hears(&two, "");
    take_event(1, 7);
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:7\"}");
}

/* A stream that is read from between two beacons: its events give the epoch until the next beacon. */
static void test_epoch_of_an_event(void **state)
{
    (void)state;
    feed_connected(feed, false);
    take_event_of("middle", 1, 1);
    feed_caught_up(feed, now_s);
    assert_string_equal(feed_epoch(feed), "middle");
    take_event_of("other", 1, 2);
    assert_string_equal(feed_epoch(feed), "middle");
    take_beacon("other");
    assert_string_equal(feed_epoch(feed), "other");
}

/* After an outage in which the stream was replaced, times from before prove nothing; numbers still do. */
static void test_other_stream(void **state)
{
    (void)state;
    char text[128];
    catch_up();
    take_event(1, 1);
    take_event(1, 2);
    feed_disconnected(feed);
    feed_connected(feed, false);
    take_event(1, 1);
    take_event(1, 2);
    take_event(1, 3);
    feed_caught_up(feed, now_s);
    subscribes(&one, "\"k3f9a1c2:1\"");
    check_hears(&one, ANSWER("k3f9a1c2:1", REPLAYED("2", "k3f9a1c2:3")));
    snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"user_id\":2,\"since\":\"k3f9a1c2:9:%lld\"}",
             (long long)now_s - 100);
    says(&two, text);
    assert_non_null(strstr(browser_hears(&two), "truncated"));
}

static void test_heartbeat(void **state)
{
    (void)state;
    catch_up();
    subscribes(&one, "null");
    browser_hears(&one);
    take_event(1, 3);
    browser_hears(&one);
    for (int i = 0; i < 4; i++)
        reception_beat(reception);
    check_hears(&one, "{\"type\":\"heartbeat\",\"user_id\":1,\"cursor\":\"k3f9a1c2:3:%T\"}");
    check_hears(&one, "");
}

static void test_errors(void **state)
{
    (void)state;
    says(&one, "{\"type\":\"dance\"}");
    assert_non_null(strstr(browser_hears(&one), "{\"type\":\"error\",\"code\":\"bad_request\",\"message\":"));
    reception_refuse(reception, one.client, "no");
    check_hears(&one, "{\"type\":\"error\",\"code\":\"bad_request\",\"message\":\"no\"}");
    assert_int_equal(client_closing(one.client), CLOSE_NOT);
    for (int user = 1; user <= 101; user++) {
        char text[64];
        snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"user_id\":%d}", user);
        says(&one, text);
        const char *answer = browser_hears(&one);
        assert_int_equal(strstr(answer, "\"code\":\"limit\"") != NULL, user == 101);
    }
}

/* A bound in bytes makes a stream shorter than the ring's memory reaches: a client away since before what is
 * left may have missed events of which there is no trace. */
static void test_a_stream_that_lost_its_beginning(void **state)
{
    int64_t started_s = now_s;
    char since[64];
    (void)state;
    offset = 5000;
    feed_connected(feed, false);
    now_s = started_s - 100;
    take_event(2, 7);
    take_beacon(EPOCH);
    feed_caught_up(feed, started_s);
    now_s = started_s - 500;
    snprintf(since, sizeof since, "\"k3f9a1c2:3:%lld\"", (long long)now_s);
    subscribes(&one, since);
    check_hears(&one, ANSWER("k3f9a1c2:3:%T", NOT_RECOVERED("truncated")));
    now_s = started_s;
    snprintf(since, sizeof since, "\"k3f9a1c2:3:%lld\"", (long long)now_s - 50);
    subscribes(&two, since);
    check_hears(&two, ANSWER("k3f9a1c2:3:%T", RECOVERED));
}

/* The same where it is whole: there was nothing else. */
static void test_a_stream_from_its_beginning(void **state)
{
    char since[64];
    (void)state;
    catch_up();
    snprintf(since, sizeof since, "\"k3f9a1c2:3:%lld\"", (long long)now_s - 500);
    subscribes(&one, since);
    check_hears(&one, ANSWER("k3f9a1c2:3:%T", RECOVERED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_AUDIENCE(test_plain),
        WITH_AUDIENCE(test_waits_until_caught_up),
        WITH_AUDIENCE(test_offsets_that_were_read_before),
        WITH_AUDIENCE(test_a_stream_that_lost_its_beginning),
        WITH_AUDIENCE(test_a_stream_from_its_beginning),
        WITH_AUDIENCE(test_beacons_that_were_read_before),
        WITH_AUDIENCE(test_waits_for_the_epoch),
        WITH_AUDIENCE(test_plain_while_reading_back),
        WITH_AUDIENCE(test_only_markers_by_their_way),
        WITH_AUDIENCE(test_only_events_by_their_way),
        WITH_AUDIENCE(test_foreign),
        WITH_AUDIENCE(test_nonsense_is_skipped),
        WITH_AUDIENCE(test_types_of_other_programs),
        WITH_AUDIENCE(test_lost_event),
        WITH_AUDIENCE(test_epoch_changes),
        WITH_AUDIENCE(test_epoch_changes_while_reading_back),
        WITH_AUDIENCE(test_epoch_of_an_event),
        WITH_AUDIENCE(test_other_stream),
        WITH_AUDIENCE(test_heartbeat),
        WITH_AUDIENCE(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
