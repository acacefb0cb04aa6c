/* SPDX-License-Identifier: MIT */
/* Which events are believed: accounts, as the API's beacons name them, and how the feed uses them. */
#include "tests/unit/audience.h"

#include "ws-notifier/accounts.h"

#define OLDER "" /* earlier versions of the API put no name on messages */

static struct accounts accounts;

static int forget(void **state)
{
    (void)state;
    accounts = (struct accounts){0};
    return 0;
}

/* ---- the accounts -------------------------------------------------------------------------------- */

static void test_who_has_spoken(void **state)
{
    (void)state;
    assert_false(accounts_believe(&accounts, "api") || accounts_believe(&accounts, OLDER));
    assert_true(accounts_hear(&accounts, "api", 1000));
    assert_false(accounts_hear(&accounts, "api", 1010));
    assert_true(accounts_believe(&accounts, "api"));
    assert_false(accounts_believe(&accounts, "apis") || accounts_believe(&accounts, "ap") ||
                 accounts_believe(&accounts, OLDER));
    assert_true(accounts_hear(&accounts, OLDER, 1020));
    assert_true(accounts_believe(&accounts, OLDER) && accounts_believe(&accounts, "api"));
}

static void test_who_has_gone(void **state)
{
    (void)state;
    (void)accounts_hear(&accounts, OLDER, 1000);
    for (int64_t now = 1000; now <= 1000 + ACCOUNT_LIVES_S; now += 10) {
        (void)accounts_hear(&accounts, "api", now);
        assert_true(accounts_believe(&accounts, OLDER));
    }
    (void)accounts_hear(&accounts, "api", 1000 + ACCOUNT_LIVES_S + 1);
    assert_false(accounts_believe(&accounts, OLDER));
    assert_true(accounts_believe(&accounts, "api"));
    assert_true(accounts_hear(&accounts, OLDER, 1000)); /* its clock is slow; it counts all the same */
    assert_true(accounts_believe(&accounts, OLDER));
}

/* One machine's clock jumps ahead by a day: the other accounts still have time to send a beacon. */
static void test_a_clock_that_is_wrong(void **state)
{
    (void)state;
    (void)accounts_hear(&accounts, "one", 1000);
    (void)accounts_hear(&accounts, "two", 1001);
    for (int beacon = 1; beacon <= 29; beacon++) {
        (void)accounts_hear(&accounts, "two", 87400 + beacon * 10);
        assert_true(accounts_believe(&accounts, "one"));
    }
    (void)accounts_hear(&accounts, "one", 1310);
    for (int beacon = 1; beacon <= 29; beacon++)
        (void)accounts_hear(&accounts, "two", 87800 + beacon * 10);
    assert_true(accounts_believe(&accounts, "one"));
}

/* While events are kept, a publisher sends a beacon every 2 s; the others still send theirs every 300 s only.
 */
static void test_a_wrong_clock_with_many_beacons(void **state)
{
    (void)state;
    (void)accounts_hear(&accounts, "one", 1000);
    (void)accounts_hear(&accounts, "two", 1000);
    for (int64_t s = 2; s < 300; s += 2) {
        (void)accounts_hear(&accounts, "two", 87400 + s);
        assert_true(accounts_believe(&accounts, "one"));
    }
    for (int64_t s = 300; s <= 1000; s += 2)
        (void)accounts_hear(&accounts, "two", 87400 + s);
    assert_false(accounts_believe(&accounts, "one")); /* it has gone */
}

static void test_more_than_there_is_room_for(void **state)
{
    char name[8];
    (void)state;
    for (int i = 0; i < 2 * ACCOUNTS_MAX; i++) {
        snprintf(name, sizeof name, "api%d", i);
        assert_true(accounts_hear(&accounts, name, 1000 + i));
        assert_true(accounts_believe(&accounts, name));
    }
    assert_true(accounts_believe(&accounts, "api8") && !accounts_believe(&accounts, "api7"));
}

/* ---- the feed ------------------------------------------------------------------------------------ */

static void take_from(const char *account, uint64_t seq)
{
    char body[64];
    snprintf(body, sizeof body, "{\"cursor\":\"" EPOCH ":%llu\"}", (unsigned long long)seq);
    struct amqp_delivery delivery = delivery_of("task.created", body);
    delivery.account = account;
    delivery.has_meta = true;
    delivery.meta = (struct event_meta){
        .user_id = 1, .seq = seq, .epoch = EPOCH, .type = "task.created", .created_at_ms = now_s * 1000};
    feed_take(feed, &delivery);
}

static void beacon_of(const char *account)
{
    struct amqp_delivery delivery = delivery_of(EVENT_BEACON_TYPE, "{}");
    delivery.author = AMQP_BY_API;
    delivery.account = account;
    delivery.timestamp_s = now_s;
    snprintf(delivery.meta.epoch, sizeof delivery.meta.epoch, "%s", EPOCH);
    feed_take(feed, &delivery);
}

static void caught_up_with(const char *account)
{
    feed_connected(feed, false);
    beacon_of(account);
    feed_caught_up(feed, now_s);
    says(&one, "{\"type\":\"subscribe\",\"user_id\":1}");
    browser_hears(&one);
}

static void test_a_forged_number(void **state)
{
    static const char *const others[] = {OLDER, "other", "ap", "apis"};
    (void)state;
    caught_up_with("api");
    take_from("api", 1);
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:1\"}");
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        take_from(others[i], 1000000); /* far ahead: the user's real events would be old */
        take_from(others[i], 2);       /* the next one: the user's real event would be a repetition */
        check_hears(&one, "");
    }
    assert_int_equal(metrics_get(metrics, NOTIFIER_SKIPPED), 8);
    take_from("api", 2);
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:2\"}");
}

static void test_an_api_of_before(void **state)
{
    (void)state;
    caught_up_with(OLDER);
    take_from(OLDER, 1);
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:1\"}");
    beacon_of("api"); /* both are there, for some minutes */
    take_from("api", 2);
    take_from(OLDER, 3);
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:2\"}");
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:3\"}");
    for (int64_t s = 0; s <= ACCOUNT_LIVES_S + 10; s += 10, now_s += 10)
        beacon_of("api");
    take_from(OLDER, 4);
    check_hears(&one, "");
    take_from("api", 4);
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:4\"}");
}

/* History begins with the first beacon: the account of earlier events is not known. */
static void test_before_the_first_beacon(void **state)
{
    char cursor[64];
    (void)state;
    feed_connected(feed, false);
    now_s -= 100;
    take_from("api", 1);
    take_from("other", 1000000);
    beacon_of("api");
    take_from("api", 2);
    now_s += 100;
    feed_caught_up(feed, now_s);
    assert_int_equal(metrics_get(metrics, NOTIFIER_SKIPPED), 0); /* as at every start */
    subscribes(&one, "\"k3f9a1c2:0:1\"");
    assert_non_null(
        strstr(browser_hears(&one), "\"recovered\":false,\"replayed\":0,\"reason\":\"truncated\""));
    snprintf(cursor, sizeof cursor, "\"k3f9a1c2:1:%lld\"", (long long)now_s - 90);
    subscribes(&two, cursor);
    assert_non_null(strstr(browser_hears(&two), "\"recovered\":true,\"replayed\":1"));
    check_hears(&two, "{\"cursor\":\"k3f9a1c2:2\"}");
}

/* Two accounts write for one user, and history begins before the second one's beacon: that one's events are
 * skipped, so nothing that came before is the user's newest for certain. */
static void test_skipped_between_others(void **state)
{
    (void)state;
    feed_connected(feed, false);
    now_s -= 100;
    beacon_of("one");
    take_from("one", 6);
    take_from("two", 7);
    beacon_of("two");
    now_s += 100;
    feed_caught_up(feed, now_s);
    subscribes(&one, "\"k3f9a1c2:6\"");
    assert_non_null(
        strstr(browser_hears(&one), "\"recovered\":false,\"replayed\":0,\"reason\":\"truncated\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_who_has_spoken, forget),
        cmocka_unit_test_setup(test_who_has_gone, forget),
        cmocka_unit_test_setup(test_a_clock_that_is_wrong, forget),
        cmocka_unit_test_setup(test_a_wrong_clock_with_many_beacons, forget),
        cmocka_unit_test_setup(test_more_than_there_is_room_for, forget),
        WITH_AUDIENCE(test_a_forged_number),
        WITH_AUDIENCE(test_an_api_of_before),
        WITH_AUDIENCE(test_before_the_first_beacon),
        WITH_AUDIENCE(test_skipped_between_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
