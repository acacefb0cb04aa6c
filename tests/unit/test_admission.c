/* SPDX-License-Identifier: MIT */
/* Admission: which users a socket may hear, and until when; the reception with keys, as a browser sees it. */
#include "tests/unit/browser.h"
#include "tests/unit/tokens.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/origin.h"
#include "ws-notifier/feed.h"
#include "ws-notifier/reception.h"

static struct config config;
static struct metrics *metrics;
static struct hub *hub;
static struct feed *feed;
static struct reception *reception;
static struct token_keys *keys;
static struct browser browser;

static int set_up(void **state)
{
    (void)state;
    log_init("test", LOG_TEXT, LOG_ERROR);
    config = (struct config){.ring_bytes = 1000000, .ring_age_s = 900, .stream_max_age_s = 604800};
    metrics = open_metrics();
    hub = hub_new(4, 100, metrics);
    feed = feed_new(&config, hub, metrics);
    reception = reception_new(feed, hub, metrics);
    keys = tokens_keys();
    reception_use_keys(reception, keys);
    browser_open(&browser, metrics, 100, 100000);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    reception_leave(reception, browser.client);
    client_free(&browser.client);
    reception_free(&reception);
    feed_free(&feed);
    hub_free(&hub);
    metrics_close(&metrics);
    token_keys_free(&keys);
    return 0;
}

static void say(const char *text)
{
    reception_take(reception, browser.client, text, strlen(text));
}

static void hears(const char *text)
{
    assert_string_equal(browser_hears(&browser), text);
}

static void is_open(void)
{
    assert_int_equal(client_closing(browser.client), CLOSE_NOT);
}

static void is_closed(enum close_code code, const char *error)
{
    const char *text = browser_hears(&browser);
    if (strstr(text, error) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", text, error);
    assert_int_equal(client_closing(browser.client), code);
    hears("");
}

#define SUBSCRIBE_1            "{\"type\":\"subscribe\",\"user_id\":1}"
#define SUBSCRIBE(user, token) "{\"type\":\"subscribe\",\"user_id\":" #user ",\"token\":\"" token "\"}"

/* The echo, and so the log line, lacks the token. */
static void test_with_a_token(void **state)
{
    (void)state;
    reception_welcome(reception, browser.client, NULL);
    say(SUBSCRIBE(1, TOKEN_OF_1));
    hears(SUBSCRIBE_1);
    is_open();
    assert_int_equal(metrics_get(metrics, NOTIFIER_SUBSCRIPTIONS), 1);
    say("{\"type\":\"unsubscribe\",\"user_id\":5}");
    hears("{\"type\":\"unsubscribe\",\"user_id\":5}");
    is_open();
}

static void test_with_a_header(void **state)
{
    (void)state;
    reception_welcome(reception, browser.client, "Bearer " TOKEN_OF_1);
    is_open();
    say(SUBSCRIBE_1);
    hears(SUBSCRIBE_1);
}

static void test_with_a_bad_header(void **state)
{
    (void)state;
    reception_welcome(reception, browser.client, "Bearer " TOKEN_EXPIRED);
    is_closed(CLOSE_TOKEN_EXPIRED, "\"code\":\"unauthenticated\",\"message\":\"the token has expired\"");
}

static void test_with_another_scheme(void **state)
{
    (void)state;
    reception_welcome(reception, browser.client, "Basic YTpi");
    is_closed(CLOSE_TOKEN_INVALID, "is not a compact JWT");
}

static void test_without(void **state)
{
    (void)state;
    reception_welcome(reception, browser.client, NULL);
    say(SUBSCRIBE_1);
    is_closed(CLOSE_TOKEN_MISSING, "the token is missing");
    assert_int_equal(metrics_get(metrics, NOTIFIER_SUBSCRIPTIONS), 0);
}

static void test_unsubscribe_without(void **state)
{
    (void)state;
    reception_welcome(reception, browser.client, NULL);
    say("{\"type\":\"unsubscribe\",\"user_id\":1}");
    is_closed(CLOSE_TOKEN_MISSING, "the token is missing");
}

static void test_with_a_bad_one(void **state)
{
    (void)state;
    reception_welcome(reception, browser.client, NULL);
    say("{\"type\":\"subscribe\",\"user_id\":1,\"token\":\"\"}");
    is_closed(CLOSE_TOKEN_INVALID, "is not a compact JWT");
    say(SUBSCRIBE(1, TOKEN_OF_1));
    hears("");
}

/* A socket with a good identity is closed for a bad token. */
static void test_a_bad_one_later(void **state)
{
    (void)state;
    reception_welcome(reception, browser.client, "Bearer " TOKEN_OF_1);
    say(SUBSCRIBE(1, TOKEN_EXPIRED));
    is_closed(CLOSE_TOKEN_EXPIRED, "has expired");
}

static void test_another_user(void **state)
{
    (void)state;
    reception_welcome(reception, browser.client, NULL);
    say(SUBSCRIBE(2, TOKEN_OF_1));
    is_closed(CLOSE_FORBIDDEN, "\"code\":\"forbidden\",\"message\":\"the token is for another user\"");
    assert_int_equal(metrics_get(metrics, NOTIFIER_SUBSCRIPTIONS), 0);
}

static void test_admin(void **state)
{
    (void)state;
    reception_welcome(reception, browser.client, "Bearer " TOKEN_OF_9_ADMIN);
    say(SUBSCRIBE_1);
    hears(SUBSCRIBE_1);
    say("{\"type\":\"subscribe\",\"user_id\":2}");
    hears("{\"type\":\"subscribe\",\"user_id\":2}");
    is_open();
}

#define SUBSCRIBED(user) "{\"type\":\"subscribe\",\"user_id\":" #user "}"

static void test_groups(void **state)
{
    (void)state;
    reception_welcome(reception, browser.client, "Bearer " TOKEN_OF_1_AND_GROUPS);
    say(SUBSCRIBED(1));
    hears(SUBSCRIBED(1));
    say(SUBSCRIBED(5));
    hears(SUBSCRIBED(5));
    say(SUBSCRIBED(1000));
    hears(SUBSCRIBED(1000));
    assert_int_equal(metrics_get(metrics, NOTIFIER_SUBSCRIPTIONS), 3);
    is_open();
    say(SUBSCRIBED(6));
    is_closed(CLOSE_FORBIDDEN, "is for another user");
}

/* As with the scope: never the groups of one token for the time of another; and no group is lost. */
static void test_groups_end_with_their_token(void **state)
{
    (void)state;
    struct client_identity *identity = client_identity(browser.client);
    reception_welcome(reception, browser.client, "Bearer " TOKEN_OF_1);
    say(SUBSCRIBE(5, TOKEN_OF_1_AND_5_SOONER));
    hears(SUBSCRIBED(5));
    assert_int_equal(identity->valid_until_ms, (TOKENS_END_S - 1000) * 1000LL);
    say(SUBSCRIBE(5, TOKEN_OF_1_AND_5));
    hears(SUBSCRIBED(5));
    assert_int_equal(identity->valid_until_ms, TOKENS_END_S * 1000LL);
    say(SUBSCRIBE(5, TOKEN_OF_1_AND_5_SOONER));
    hears(SUBSCRIBED(5));
    assert_int_equal(identity->valid_until_ms, TOKENS_END_S * 1000LL);
    say(SUBSCRIBE(1000, TOKEN_OF_1_AND_GROUPS));
    hears(SUBSCRIBED(1000));
    say(SUBSCRIBE(1, TOKEN_OF_1_ADMIN));
    hears(SUBSCRIBED(1));
    is_open();
}

static void test_a_token_with_fewer_groups(void **state)
{
    (void)state;
    reception_welcome(reception, browser.client, "Bearer " TOKEN_OF_1_AND_GROUPS);
    say(SUBSCRIBE(1, TOKEN_OF_1_AND_5));
    is_closed(CLOSE_FORBIDDEN, "allows less");
}

static void test_an_administrators_groups(void **state)
{
    (void)state;
    reception_welcome(reception, browser.client, "Bearer " TOKEN_OF_1_ADMIN);
    say(SUBSCRIBE(1, TOKEN_OF_1_AND_GROUPS));
    is_closed(CLOSE_FORBIDDEN, "allows less");
}

static void test_groups_over_http(void **state)
{
    const char *why = NULL;
    (void)state;
    assert_int_equal(reception_judge(reception, "Bearer " TOKEN_OF_1_AND_GROUPS, 5, &why), ADMISSION_GRANTED);
    assert_int_equal(reception_judge(reception, "Bearer " TOKEN_OF_1_AND_GROUPS, 6, &why),
                     ADMISSION_FORBIDDEN);
}

static void test_a_token_of_somebody_else(void **state)
{
    (void)state;
    reception_welcome(reception, browser.client, "Bearer " TOKEN_OF_1);
    say(SUBSCRIBE(2, TOKEN_OF_2));
    is_closed(CLOSE_FORBIDDEN, "is not of the user");
}

static void test_a_token_that_allows_less(void **state)
{
    (void)state;
    reception_welcome(reception, browser.client, "Bearer " TOKEN_OF_1_ADMIN);
    say(SUBSCRIBE(1, TOKEN_OF_1));
    is_closed(CLOSE_FORBIDDEN, "allows less");
}

static void test_time(void **state)
{
    (void)state;
    struct client_identity *identity = client_identity(browser.client);
    reception_welcome(reception, browser.client, NULL);
    int64_t patience_ms = identity->valid_until_ms - clock_wall_ms();
    assert_in_range(patience_ms, ADMISSION_PATIENCE_MS - 1000, ADMISSION_PATIENCE_MS);
    say(SUBSCRIBE(1, TOKEN_OF_1_SOONER));
    hears(SUBSCRIBE_1);
    assert_int_equal(identity->valid_until_ms, (TOKENS_END_S - 1000) * 1000LL);
    say(SUBSCRIBE(1, TOKEN_OF_1)); /* fresher */
    hears(SUBSCRIBE_1);
    assert_int_equal(identity->valid_until_ms, TOKENS_END_S * 1000LL);
    say(SUBSCRIBE(1, TOKEN_OF_1_SOONER)); /* an older one removes no right */
    hears(SUBSCRIBE_1);
    assert_int_equal(identity->valid_until_ms, TOKENS_END_S * 1000LL);
    reception_check(reception, browser.client);
    is_open();

    identity->valid_until_ms = clock_wall_ms();
    say(SUBSCRIBE_1);
    is_closed(CLOSE_TOKEN_EXPIRED, "has expired");
}

/* The rights of one token never last for the time of another. */
static void test_rights_end_with_their_token(void **state)
{
    (void)state;
    struct client_identity *identity = client_identity(browser.client);
    reception_welcome(reception, browser.client, "Bearer " TOKEN_OF_1);
    say(SUBSCRIBE(2, TOKEN_OF_1_ADMIN_SOONER));
    hears("{\"type\":\"subscribe\",\"user_id\":2}");
    assert_true(identity->admin);
    assert_int_equal(identity->valid_until_ms, (TOKENS_END_S - 1000) * 1000LL);
    say(SUBSCRIBE(2, TOKEN_OF_1_ADMIN));
    hears("{\"type\":\"subscribe\",\"user_id\":2}");
    assert_int_equal(identity->valid_until_ms, TOKENS_END_S * 1000LL);
    say(SUBSCRIBE(2, TOKEN_OF_1_ADMIN_SOONER));
    hears("{\"type\":\"subscribe\",\"user_id\":2}");
    assert_int_equal(identity->valid_until_ms, TOKENS_END_S * 1000LL);
}

static void test_end(void **state)
{
    (void)state;
    reception_welcome(reception, browser.client, "Bearer " TOKEN_OF_1);
    say(SUBSCRIBE_1);
    client_identity(browser.client)->valid_until_ms = clock_wall_ms();
    reception_check(reception, browser.client);
    hears(SUBSCRIBE_1); /* what the socket could hear, it still hears */
    assert_int_equal(client_closing(browser.client), CLOSE_TOKEN_EXPIRED);
}

static void test_silence(void **state)
{
    (void)state;
    reception_welcome(reception, browser.client, NULL);
    reception_check(reception, browser.client);
    is_open();
    client_identity(browser.client)->valid_until_ms -= ADMISSION_PATIENCE_MS + 1;
    reception_check(reception, browser.client);
    assert_int_equal(client_closing(browser.client), CLOSE_TOKEN_MISSING);
}

/* The texts are part of the contract: a page tells causes apart by them. */
#define ENDED(user) "{\"ended\":[[" #user ",1700000000]]}"

static void take_word(const char *text)
{
    reception_take_word(reception, text, strlen(text));
}

static int ends;

static void note_end(void *context)
{
    (void)context;
    ends++;
}

/* These tokens do not say when they were issued. */
static void test_ended_sessions(void **state)
{
    const char *why = NULL;
    (void)state;
    ends = 0;
    reception_on_end(reception, note_end, NULL);
    reception_welcome(reception, browser.client, "Bearer " TOKEN_OF_1);
    take_word(ENDED(2));
    assert_int_equal(ends, 1);
    reception_check(reception, browser.client);
    is_open();
    take_word(ENDED(1));
    take_word(ENDED(1));
    assert_int_equal(ends, 2);
    reception_check(reception, browser.client);
    assert_int_equal(client_closing(browser.client), CLOSE_SESSION_ENDED);
    assert_int_equal(close_status(CLOSE_SESSION_ENDED), 4401);
    assert_string_equal(close_reason(CLOSE_SESSION_ENDED), "token not valid");
    assert_int_equal(reception_judge(reception, "Bearer " TOKEN_OF_1, 1, &why), ADMISSION_TOKEN_INVALID);
    assert_string_equal(why, "is of a session that was ended");
    assert_int_equal(reception_judge(reception, "Bearer " TOKEN_OF_9_ADMIN, 1, &why), ADMISSION_GRANTED);
}

static void test_a_session_that_has_ended_before(void **state)
{
    (void)state;
    take_word(ENDED(1));
    reception_welcome(reception, browser.client, NULL);
    say(SUBSCRIBE(1, TOKEN_OF_1));
    is_closed(CLOSE_TOKEN_INVALID, "the token is of a session that was ended");
}

static void feed_becomes_ready(void)
{
    struct amqp_delivery beacon = {.type = EVENT_BEACON_TYPE,
                                   .author = AMQP_BY_API,
                                   .message_id = "",
                                   .account = "",
                                   .body = "{}",
                                   .body_length = 2,
                                   .timestamp_s = clock_wall_ms() / 1000,
                                   .meta.epoch = "k1"};
    feed_connected(feed, false);
    feed_take(feed, &beacon);
    feed_caught_up(feed, beacon.timestamp_s);
    assert_true(feed_ready(feed));
}

/* Two publishers say theirs at a time, and this notifier has begun to listen after the one's first piece. */
static void test_whole_lists_that_mix(void **state)
{
    (void)state;
    feed_becomes_ready();
    reception_welcome(reception, browser.client, "Bearer " TOKEN_OF_1);
    say("{\"type\":\"subscribe\",\"user_id\":1,\"since\":\"k1:0\"}");
    take_word("{\"ended\":[[2,5]],\"list\":\"b\",\"first\":true}");
    take_word("{\"ended\":[[9,5]],\"list\":\"a\",\"last\":true}");
    reception_answer_waiting(reception);
    hears("");
    take_word("{\"ended\":[[8,5]]}"); /* new, and of no list */
    take_word("{\"ended\":[[9,5]],\"list\":\"b\",\"last\":true}");
    reception_answer_waiting(reception);
    assert_non_null(strstr(browser_hears(&browser), "\"type\":\"subscribe\""));
}

/* A publisher of before gives its lists no names. */
static void test_a_whole_list_without_a_name(void **state)
{
    (void)state;
    feed_becomes_ready();
    reception_welcome(reception, browser.client, "Bearer " TOKEN_OF_1);
    say("{\"type\":\"subscribe\",\"user_id\":1,\"since\":\"k1:0\"}");
    take_word("{\"ended\":[[9,5]],\"last\":true}"); /* begun before this notifier listened */
    reception_answer_waiting(reception);
    hears("");
    take_word("{\"ended\":[[2,5]],\"first\":true}");
    take_word("{\"ended\":[[9,5]],\"last\":true}");
    reception_answer_waiting(reception);
    assert_non_null(strstr(browser_hears(&browser), "\"type\":\"subscribe\""));
}

static void test_words_that_are_none(void **state)
{
    static const char *const wrong[] = {"",
                                        "[]",
                                        "{\"ended\":{}}",
                                        "{\"ended\":[[1,1700000000],[1]]}",
                                        "{\"ended\":[[0,1]]}",
                                        "{\"ended\":[[1,\"1\"]]}"};
    (void)state;
    log_init("test", LOG_TEXT, LOG_ERROR + 1);
    reception_welcome(reception, browser.client, "Bearer " TOKEN_OF_1);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        take_word(wrong[i]);
    reception_check(reception, browser.client);
    is_open();
}

static void test_reasons(void **state)
{
    (void)state;
    assert_string_equal(close_reason(CLOSE_TOKEN_MISSING), "token missing");
    assert_string_equal(close_reason(CLOSE_TOKEN_INVALID), "token not valid");
    assert_string_equal(close_reason(CLOSE_TOKEN_EXPIRED), "token expired");
    assert_string_equal(close_reason(CLOSE_ORIGIN), "origin not allowed");
    assert_string_equal(close_reason(CLOSE_FORBIDDEN), "user not allowed");
    for (int code = CLOSE_TOKEN_MISSING; code <= CLOSE_TOKEN_EXPIRED; code++)
        assert_int_equal(close_status((enum close_code)code), 4401);
    assert_int_equal(close_status(CLOSE_ORIGIN), 4403);
    assert_int_equal(close_status(CLOSE_FORBIDDEN), 4403);
}

/* A ping reveals nothing, so a socket without a token may send one. */
static void test_ping(void **state)
{
    (void)state;
    reception_welcome(reception, browser.client, NULL);
    say("{\"type\":\"ping\"}");
    hears("{\"type\":\"pong\"}");
    is_open();
}

static void test_over_http(void **state)
{
    const char *why = NULL;
    (void)state;
    assert_int_equal(reception_judge(reception, "Bearer " TOKEN_OF_1, 1, &why), ADMISSION_GRANTED);
    assert_int_equal(reception_judge(reception, "Bearer " TOKEN_OF_9_ADMIN, 1, &why), ADMISSION_GRANTED);
    assert_int_equal(reception_judge(reception, "Bearer " TOKEN_OF_1, 2, &why), ADMISSION_FORBIDDEN);
    assert_int_equal(reception_judge(reception, "", 1, &why), ADMISSION_TOKEN_MISSING);
    assert_int_equal(reception_judge(reception, "Bearer " TOKEN_EXPIRED, 1, &why), ADMISSION_TOKEN_EXPIRED);
    assert_string_equal(why, "has expired");
}

static void test_open_takes_anything(void **state)
{
    const char *why = NULL;
    (void)state;
    reception_use_keys(reception, NULL);
    reception_welcome(reception, browser.client, "Bearer garbage");
    say(SUBSCRIBE(1, "garbage"));
    hears(SUBSCRIBE_1);
    reception_check(reception, browser.client);
    is_open();
    assert_int_equal(reception_judge(reception, "", 1, &why), ADMISSION_GRANTED);
}

/* A second browser beside the first, under limits. */
static struct browser second;

static struct quota *open_second(int64_t user_clients, int64_t user_subscriptions)
{
    config.ws_max_user_clients = user_clients;
    config.ws_max_user_subscriptions = user_subscriptions;
    struct quota *quota = quota_new(&config);
    reception_use_quota(reception, quota);
    browser_open(&second, metrics, 100, 100000);
    return quota;
}

static void close_second(struct quota *quota)
{
    reception_leave(reception, second.client);
    quota_leave(quota, client_guest(second.client));
    quota_leave(quota, client_guest(browser.client));
    client_free(&second.client);
    reception_use_quota(reception, NULL);
    quota_free(&quota);
}

static void test_user_has_too_many_clients(void **state)
{
    (void)state;
    struct quota *quota = open_second(1, 0);
    reception_welcome(reception, browser.client, "Bearer " TOKEN_OF_1);
    is_open();
    reception_welcome(reception, second.client, NULL);
    reception_take(reception, second.client, SUBSCRIBE(1, TOKEN_OF_1), strlen(SUBSCRIBE(1, TOKEN_OF_1)));
    assert_int_equal(client_closing(second.client), CLOSE_USER_CLIENTS);
    assert_string_equal(browser_hears(&second), "");
    assert_int_equal(metrics_get(metrics, NOTIFIER_CLOSED_USER_CLIENTS), 1);
    /* The first one stays, also with a fresh token. */
    say(SUBSCRIBE(1, TOKEN_OF_1));
    hears(SUBSCRIBE_1);
    is_open();
    close_second(quota);
}

static void test_user_has_too_many_subscriptions(void **state)
{
    (void)state;
    struct quota *quota = open_second(0, 2);
    reception_welcome(reception, browser.client, "Bearer " TOKEN_OF_9_ADMIN);
    for (int i = 0; i < 3; i++) { /* the same user again does not count */
        say(SUBSCRIBE_1);
        hears(SUBSCRIBE_1);
    }
    say("{\"type\":\"subscribe\",\"user_id\":2}");
    say("{\"type\":\"unsubscribe\",\"user_id\":1}");
    say("{\"type\":\"subscribe\",\"user_id\":3}");
    is_open();
    reception_welcome(reception, second.client, "Bearer " TOKEN_OF_9_ADMIN);
    reception_take(reception, second.client, SUBSCRIBE_1, strlen(SUBSCRIBE_1));
    assert_int_equal(client_closing(second.client), CLOSE_USER_SUBSCRIPTIONS);
    assert_string_equal(browser_hears(&second), "");
    is_open();
    close_second(quota);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_with_a_token),
        TEST(test_with_a_header),
        TEST(test_with_a_bad_header),
        TEST(test_with_another_scheme),
        TEST(test_without),
        TEST(test_unsubscribe_without),
        TEST(test_with_a_bad_one),
        TEST(test_a_bad_one_later),
        TEST(test_another_user),
        TEST(test_admin),
        TEST(test_groups),
        TEST(test_groups_end_with_their_token),
        TEST(test_a_token_with_fewer_groups),
        TEST(test_an_administrators_groups),
        TEST(test_groups_over_http),
        TEST(test_a_token_of_somebody_else),
        TEST(test_a_token_that_allows_less),
        TEST(test_time),
        TEST(test_rights_end_with_their_token),
        TEST(test_end),
        TEST(test_silence),
        TEST(test_ended_sessions),
        TEST(test_a_session_that_has_ended_before),
        TEST(test_whole_lists_that_mix),
        TEST(test_a_whole_list_without_a_name),
        TEST(test_words_that_are_none),
        TEST(test_reasons),
        TEST(test_ping),
        TEST(test_over_http),
        TEST(test_open_takes_anything),
        TEST(test_user_has_too_many_clients),
        TEST(test_user_has_too_many_subscriptions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
