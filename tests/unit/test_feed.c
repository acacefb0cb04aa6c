/* The feed and the reception together: messages of the stream on one side, browsers on the other. */
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
static int64_t now_s;

static void open_browser(struct browser *browser, size_t frames)
{
    browser_open(browser, metrics, frames, 100000);
    browser->rules.replay = reception_replay;
    browser->rules.context = reception;
}

static int set_up(void **state)
{
    (void)state;
    log_init("test", LOG_TEXT, LOG_ERROR);
    config = (struct config){.ring_bytes = 1000000, .ring_age_s = 900, .stream_max_age_s = 604800};
    now_s = clock_wall_ms() / 1000;
    metrics = open_metrics();
    hub = hub_new(4, 100, metrics);
    feed = feed_new(&config, hub, metrics);
    reception = reception_new(feed, hub, metrics);
    open_browser(&one, 100);
    open_browser(&two, 100);
    return 0;
}

static int tear_down(void **state)
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
    return 0;
}

static struct amqp_delivery delivery_of(const char *type, const char *body)
{
    struct amqp_delivery delivery = {
        .offset = 1, .type = type, .message_id = "", .body = body, .body_length = body ? strlen(body) : 0};
    return delivery;
}

static void take_event_of(const char *epoch, uint32_t user_id, uint64_t seq)
{
    char body[128];
    snprintf(body, sizeof body, "{\"cursor\":\"%s:%llu\"}", epoch, (unsigned long long)seq);
    struct amqp_delivery delivery = delivery_of("task.created", body);
    delivery.has_meta = true;
    delivery.timestamp_s = now_s;
    delivery.meta = (struct event_meta){.user_id = user_id, .seq = seq, .created_at_ms = now_s * 1000};
    snprintf(delivery.meta.epoch, sizeof delivery.meta.epoch, "%s", epoch);
    snprintf(delivery.meta.type, sizeof delivery.meta.type, "task.created");
    feed_take(feed, &delivery);
}

static void take_event(uint32_t user_id, uint64_t seq)
{
    take_event_of(EPOCH, user_id, seq);
}

static void take_beacon(const char *epoch)
{
    struct amqp_delivery delivery = delivery_of(EVENT_BEACON_TYPE, "{}");
    delivery.author = AMQP_BY_API;
    delivery.timestamp_s = now_s;
    snprintf(delivery.meta.epoch, sizeof delivery.meta.epoch, "%s", epoch);
    feed_take(feed, &delivery);
}

static void take_text(const char *body)
{
    struct amqp_delivery delivery = delivery_of("", body);
    feed_take(feed, &delivery);
}

static void catch_up(void)
{
    feed_connected(feed, false);
    take_beacon(EPOCH);
    feed_caught_up(feed, now_s);
}

static void says(struct browser *browser, const char *text)
{
    reception_take(reception, browser->client, text, strlen(text));
}

static void subscribes(struct browser *browser, const char *since)
{
    char text[128];
    snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"user_id\":1,\"since\":%s}", since);
    says(browser, text);
}

/* %T stands for now_s. */
static void check_hears(struct browser *browser, const char *expected)
{
    char text[256], *time = strstr(expected, "%T");
    if (time)
        snprintf(text, sizeof text, "%.*s%lld%s", (int)(time - expected), expected, (long long)now_s,
                 time + 2);
    else
        snprintf(text, sizeof text, "%s", expected);
    assert_string_equal(browser_hears(browser), text);
}

#define ANSWER(cursor, rest) "{\"type\":\"subscribe\",\"user_id\":1,\"cursor\":\"" cursor "\"," rest "}"
#define RECOVERED(count)     "\"recovered\":true,\"replayed\":" count
#define NOT_RECOVERED(why)   "\"recovered\":false,\"replayed\":0,\"reason\":\"" why "\""

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

static void test_answer_replay_live(void **state)
{
    (void)state;
    catch_up();
    for (uint64_t seq = 1; seq <= 4; seq++)
        take_event(1, seq);
    subscribes(&one, "\"k3f9a1c2:2\"");
    take_event(1, 5);
    check_hears(&one, ANSWER("k3f9a1c2:4:%T", RECOVERED("2")));
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:3\"}");
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:4\"}");
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:5\"}");
    check_hears(&one, "");
}

static void test_since_null(void **state)
{
    (void)state;
    catch_up();
    subscribes(&one, "null");
    check_hears(&one, ANSWER("k3f9a1c2:0:%T", RECOVERED("0")));
    take_event(1, 41);
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:41\"}");
    subscribes(&two, "null");
    check_hears(&two, ANSWER("k3f9a1c2:41:%T", RECOVERED("0")));
}

static void test_not_recovered(void **state)
{
    (void)state;
    catch_up();
    take_event(1, 41);
    subscribes(&one, "\"k3f9a1c2:7\"");
    check_hears(&one, ANSWER("k3f9a1c2:41:%T", NOT_RECOVERED("truncated")));
    subscribes(&one, "\"other:7\"");
    check_hears(&one, ANSWER("k3f9a1c2:41:%T", NOT_RECOVERED("epoch")));
    /* It goes on live all the same, from where it was told. */
    take_event(1, 42);
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:42\"}");
    assert_int_equal(metrics_get(metrics, NOTIFIER_RESETS), 0);
}

/* However much was missed: it takes one place in the queue, and what happens meanwhile follows it. */
static void test_longer_than_the_queue(void **state)
{
    (void)state;
    struct browser small;
    char text[64];
    open_browser(&small, 3);
    catch_up();
    for (uint64_t seq = 1; seq <= 50; seq++)
        take_event(1, seq);
    subscribes(&small, "\"k3f9a1c2:10\"");
    assert_int_equal(client_waiting(small.client), 2);
    assert_int_equal(metrics_get(metrics, NOTIFIER_REPLAYING), 1);
    check_hears(&small, ANSWER("k3f9a1c2:50:%T", RECOVERED("40")));
    for (uint64_t seq = 11; seq <= 60; seq++) {
        if (seq % 4 == 0)
            take_event(1, 50 + seq / 4 - 2);
        for (int i = 0; i < 4; i++)
            reception_beat(reception); /* its cursor would be a lie */
        snprintf(text, sizeof text, "{\"cursor\":\"k3f9a1c2:%llu\"}", (unsigned long long)seq);
        check_hears(&small, text);
    }
    assert_int_equal(client_closing(small.client), CLOSE_NOT);
    take_event(1, 64);
    take_event(1, 65);
    for (uint64_t seq = 61; seq <= 65; seq++) {
        snprintf(text, sizeof text, "{\"cursor\":\"k3f9a1c2:%llu\"}", (unsigned long long)seq);
        check_hears(&small, text);
    }
    check_hears(&small, "");
    assert_int_equal(metrics_get(metrics, NOTIFIER_REPLAYING), 0);
    assert_int_equal(metrics_get(metrics, NOTIFIER_REPLAYED), 55);
    take_event(1, 66); /* live again */
    assert_int_equal(client_waiting(small.client), 1);
    check_hears(&small, "{\"cursor\":\"k3f9a1c2:66\"}");
    assert_int_equal(metrics_get(metrics, NOTIFIER_RESETS), 0);
    reception_leave(reception, small.client);
    client_free(&small.client);
}

/* It subscribes anew, and leaves, while it replays. */
static void test_replay_replaced(void **state)
{
    (void)state;
    catch_up();
    for (uint64_t seq = 1; seq <= 5; seq++)
        take_event(1, seq);
    subscribes(&one, "\"k3f9a1c2:1\"");
    subscribes(&one, "\"k3f9a1c2:3\"");
    check_hears(&one, ANSWER("k3f9a1c2:5:%T", RECOVERED("4")));
    check_hears(&one, ANSWER("k3f9a1c2:5:%T", RECOVERED("2")));
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:4\"}");
    says(&one, "{\"type\":\"unsubscribe\",\"user_id\":1}");
    check_hears(&one, "{\"type\":\"unsubscribe\",\"user_id\":1}");
    check_hears(&one, "");
    subscribes(&one, "\"k3f9a1c2:1\"");
    reception_leave(reception, one.client);
    assert_int_equal(metrics_get(metrics, NOTIFIER_REPLAYING), 0);
}

/* The ring drops what somebody is about to hear: he is told, and is then where the others are. */
static void check_given_up(const char *reset, uint64_t next)
{
    char text[64];
    check_hears(&one, reset);
    check_hears(&one, "");
    assert_int_equal(metrics_get(metrics, NOTIFIER_RESETS), 1);
    assert_int_equal(metrics_get(metrics, NOTIFIER_REPLAYING), 0);
    take_event(1, next);
    snprintf(text, sizeof text, "{\"cursor\":\"k3f9a1c2:%llu\"}", (unsigned long long)next);
    check_hears(&one, text);
}

#define RESET(cursor, why)                                                                                   \
    "{\"type\":\"reset\",\"user_id\":1,\"cursor\":\"" cursor "\",\"reason\":\"" why "\"}"

static void test_ring_drops_a_replay(void **state)
{
    (void)state;
    catch_up();
    for (uint64_t seq = 1; seq <= 5; seq++)
        take_event(1, seq);
    subscribes(&one, "\"k3f9a1c2:1\"");
    check_hears(&one, ANSWER("k3f9a1c2:5:%T", RECOVERED("4")));
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:2\"}");
    for (int i = 0; i < 3; i++)
        assert_true(feed_forget_oldest(feed));
    check_given_up(RESET("k3f9a1c2:5:%T", "truncated"), 6);
}

static void test_ring_drops_a_whole_replay(void **state)
{
    (void)state;
    catch_up();
    for (uint64_t seq = 1; seq <= 5; seq++)
        take_event(1, seq);
    subscribes(&one, "\"k3f9a1c2:1\"");
    check_hears(&one, ANSWER("k3f9a1c2:5:%T", RECOVERED("4")));
    take_event(1, 6);
    while (feed_forget_oldest(feed))
        ;
    check_given_up(RESET("k3f9a1c2:6:%T", "truncated"), 7);
}

static void test_stream_loses_during_a_replay(void **state)
{
    (void)state;
    catch_up();
    for (uint64_t seq = 1; seq <= 3; seq++)
        take_event(1, seq);
    subscribes(&one, "\"k3f9a1c2:1\"");
    take_event(1, 5);
    take_event(1, 6);
    check_hears(&one, ANSWER("k3f9a1c2:3:%T", RECOVERED("2")));
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:2\"}");
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:3\"}");
    check_given_up(RESET("k3f9a1c2:6:%T", "lost"), 7);
}

static void test_epoch_during_a_replay(void **state)
{
    (void)state;
    catch_up();
    for (uint64_t seq = 1; seq <= 3; seq++)
        take_event(1, seq);
    subscribes(&one, "\"k3f9a1c2:1\"");
    take_beacon("00000002");
    check_hears(&one, ANSWER("k3f9a1c2:3:%T", RECOVERED("2")));
    check_hears(&one, RESET("00000002:0:%T", "epoch"));
    check_hears(&one, "");
    take_event_of("00000002", 1, 1);
    check_hears(&one, "{\"cursor\":\"00000002:1\"}");
}

/* A cursor fresh from the database is ahead of the stream: what arrives late is not heard twice. */
static void test_cursor_ahead(void **state)
{
    (void)state;
    catch_up();
    take_event(1, 1);
    subscribes(&one, "\"k3f9a1c2:3\"");
    check_hears(&one, ANSWER("k3f9a1c2:3:%T", RECOVERED("0")));
    for (uint64_t seq = 2; seq <= 4; seq++)
        take_event(1, seq);
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:4\"}");
    check_hears(&one, "");
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
    check_hears(&one, ANSWER("k3f9a1c2:2:%T", RECOVERED("1")));
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:2\"}");

    feed_disconnected(feed);
    subscribes(&two, "\"k3f9a1c2:2\"");
    reception_answer_waiting(reception);
    check_hears(&two, "");
    feed_connected(feed, true);
    take_event(1, 3);
    feed_caught_up(feed, now_s);
    reception_answer_waiting(reception);
    check_hears(&two, ANSWER("k3f9a1c2:3:%T", RECOVERED("1")));
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:3\"}");
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
    check_hears(&one, ANSWER("k3f9a1c2:0:%T", RECOVERED("0")));
}

/* History read back at the start is not news for who only wants what is new. */
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

/* A notifier may write markers; whatever else comes their way is nobody's word. */
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

/* Who may publish events may still not say that the database was restored, nor how far the stream is read. */
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
    static const char with_nul[] = "{\"a\":\"\0\"}"; /* every browser would choke on it */
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

static void test_lost_event(void **state)
{
    (void)state;
    catch_up();
    take_event(1, 1);
    subscribes(&one, "\"k3f9a1c2:1\"");
    browser_hears(&one);
    take_event(1, 3);
    check_hears(&one, "{\"type\":\"reset\",\"user_id\":1,\"cursor\":\"k3f9a1c2:2:%T\",\"reason\":\"lost\"}");
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:3\"}");
    subscribes(&two, "\"k3f9a1c2:1\"");
    check_hears(&two, ANSWER("k3f9a1c2:3:%T", NOT_RECOVERED("truncated")));
}

static void test_epoch_changes(void **state)
{
    (void)state;
    catch_up();
    take_event(1, 8);
    subscribes(&one, "\"k3f9a1c2:8\"");
    browser_hears(&one);
    take_beacon("restored");
    check_hears(&one, "{\"type\":\"reset\",\"user_id\":1,\"cursor\":\"restored:0:%T\",\"reason\":\"epoch\"}");
    take_event_of("restored", 1, 5);
    check_hears(&one, "{\"cursor\":\"restored:5\"}");
    take_event(1, 9); /* a latecomer of the life before */
    check_hears(&one, "");
    assert_int_equal(metrics_get(metrics, NOTIFIER_STALE), 1);
    take_event_of("restored", 1, 6);
    check_hears(&one, "{\"cursor\":\"restored:6\"}");
    take_beacon(EPOCH);
    check_hears(&one, "{\"type\":\"reset\",\"user_id\":1,\"cursor\":\"k3f9a1c2:0:%T\",\"reason\":\"epoch\"}");
    take_event(1, 10);
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:10\"}");
}

/* A stream that is read from between two beacons: its events tell, until the next one. */
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
    check_hears(&one, ANSWER("k3f9a1c2:3:%T", RECOVERED("2")));
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_plain),
        TEST(test_answer_replay_live),
        TEST(test_since_null),
        TEST(test_not_recovered),
        TEST(test_longer_than_the_queue),
        TEST(test_replay_replaced),
        TEST(test_ring_drops_a_replay),
        TEST(test_ring_drops_a_whole_replay),
        TEST(test_stream_loses_during_a_replay),
        TEST(test_epoch_during_a_replay),
        TEST(test_cursor_ahead),
        TEST(test_waits_until_caught_up),
        TEST(test_waits_for_the_epoch),
        TEST(test_plain_while_reading_back),
        TEST(test_only_markers_by_their_way),
        TEST(test_only_events_by_their_way),
        TEST(test_foreign),
        TEST(test_nonsense_is_skipped),
        TEST(test_lost_event),
        TEST(test_epoch_changes),
        TEST(test_epoch_of_an_event),
        TEST(test_other_stream),
        TEST(test_heartbeat),
        TEST(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
