/* SPDX-License-Identifier: MIT */
/* Limits: how often, how many, and that no count stays behind. */
#include "tests/unit/unit.h"

#include <string.h>

#include "ws-notifier/quota.h"

static struct config config;
static struct quota *quota;
static struct quota_guest guests[200];

static int set_up(void **state)
{
    (void)state;
    memset(&config, 0, sizeof config);
    memset(guests, 0, sizeof guests);
    quota = quota_new(&config);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof guests / sizeof *guests; i++)
        quota_leave(quota, &guests[i]);
    quota_free(&quota);
    return 0;
}

static struct address address_number(unsigned char number)
{
    return (struct address){.bytes = {[15] = number}};
}

/* Comes from address number `from`. */
static enum close_code enter(size_t guest, unsigned char from, int64_t now_ms)
{
    struct address address = address_number(from);
    return quota_enter(quota, &guests[guest], &address, now_ms);
}

/* ---- how often ----------------------------------------------------------------------------------- */

static void test_ten_seconds_worth_at_once(void **state)
{
    struct rate rate = {0};
    (void)state;
    for (int i = 0; i < 50; i++)
        assert_true(rate_take(&rate, 5, 1, 1000000));
    assert_false(rate_take(&rate, 5, 1, 1000000));
    assert_false(rate_take(&rate, 5, 1, 1000000 + 199999));
    assert_true(rate_take(&rate, 5, 1, 1000000 + 200000));
    assert_false(rate_take(&rate, 5, 1, 1000000 + 200000));
}

static void test_in_the_long_run(void **state)
{
    struct rate rate = {0};
    int taken = 0;
    (void)state;
    for (int64_t now_us = 0; now_us < 1000 * INT64_C(1000000); now_us += 50000)
        taken += rate_take(&rate, 5, 1, now_us);
    assert_in_range(taken, 5 * 1000, 5 * 1010);
    assert_false(rate_rested(&rate, 1000 * INT64_C(1000000)));
    assert_true(rate_rested(&rate, 1011 * INT64_C(1000000)));
}

static void test_what_is_refused_costs_nothing(void **state)
{
    struct rate rate = {0};
    (void)state;
    assert_true(rate_take(&rate, 100, 1000, 0));
    for (int i = 0; i < 1000; i++)
        assert_false(rate_take(&rate, 100, 100, 0));
    assert_true(rate_take(&rate, 100, 100, 1000000));
}

/* A byte costs time at any rate: a cost rounded down to 0 would be no limit. */
static void test_one_by_one(void **state)
{
    static const int64_t rates[] = {262144, 1000000, 1500000, 10000000};
    (void)state;
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        struct rate rate = {0};
        int64_t taken = 0, allowed = rates[i] * RATE_BURST_S;
        while (taken <= allowed && rate_take(&rate, rates[i], 1, 0))
            taken++;
        assert_in_range(taken, allowed - allowed / 1000, allowed);
    }
}

static void test_more_than_there_ever_is(void **state)
{
    struct rate rate = {0};
    (void)state;
    assert_false(rate_take(&rate, 1, INT64_MAX, 0));
    assert_false(rate_take(&rate, 1073741824, INT64_MAX / 2, INT64_C(1) << 40));
    assert_true(rate_take(&rate, 1073741824, INT64_C(10737418240), 0));
    assert_false(rate_take(&rate, 1073741824, 1, 0));
}

static void test_no_rate(void **state)
{
    struct rate rate = {0};
    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_true(rate_take(&rate, 0, INT64_MAX, 0));
    assert_true(rate_rested(&rate, 0));
}

/* ---- addresses ----------------------------------------------------------------------------------- */

static void test_without_limits_nothing_is_kept(void **state)
{
    (void)state;
    assert_false(quota_asks_address(quota));
    for (size_t i = 0; i < 200; i++) {
        assert_int_equal(enter(i, 1, 0), CLOSE_NOT);
        assert_int_equal(quota_introduce(quota, &guests[i], 7), CLOSE_NOT);
        assert_int_equal(quota_subscribe(quota, &guests[i], 1000), CLOSE_NOT);
        assert_int_equal(quota_listen(quota, &guests[i], 1u << 30, true, 0), CLOSE_NOT);
    }
    assert_int_equal(quota_addresses(quota), 0);
}

static void test_clients_of_an_address(void **state)
{
    (void)state;
    config.ws_max_address_clients = 2;
    assert_true(quota_asks_address(quota));
    assert_int_equal(enter(0, 1, 0), CLOSE_NOT);
    assert_int_equal(enter(1, 1, 0), CLOSE_NOT);
    assert_int_equal(enter(2, 1, 0), CLOSE_ADDRESS_CLIENTS);
    assert_int_equal(enter(3, 2, 0), CLOSE_NOT);
    quota_leave(quota, &guests[2]); /* a refused client frees no place of another */
    assert_int_equal(enter(2, 1, 0), CLOSE_ADDRESS_CLIENTS);
    quota_leave(quota, &guests[0]);
    assert_int_equal(enter(2, 1, 0), CLOSE_NOT);
}

static void test_handshakes_of_an_address(void **state)
{
    (void)state;
    config.ws_max_address_handshakes_s = 1;
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(enter(i, 1, 0), CLOSE_NOT);
        quota_leave(quota, &guests[i]);
        quota_tick(quota, 0); /* leaving and coming back does not evade the limit */
    }
    assert_int_equal(enter(10, 1, 0), CLOSE_ADDRESS_HANDSHAKES);
    assert_int_equal(enter(11, 2, 0), CLOSE_NOT);
    assert_int_equal(enter(10, 1, 1000), CLOSE_NOT);
}

static void test_handshakes_of_all(void **state)
{
    (void)state;
    config.ws_max_handshakes_s = 2;
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(quota_enter(quota, &guests[i], NULL, 0), CLOSE_NOT);
    assert_int_equal(quota_enter(quota, &guests[20], NULL, 0), CLOSE_HANDSHAKES);
    assert_int_equal(quota_enter(quota, &guests[20], NULL, 500), CLOSE_NOT);
}

/* A handshake refused by the limit of all does not count for its address. */
static void test_refused_for_all_costs_the_address_nothing(void **state)
{
    (void)state;
    config.ws_max_handshakes_s = 1;
    config.ws_max_address_handshakes_s = 1;
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(enter(i, 1, 0), CLOSE_NOT);
    for (size_t i = 10; i < 30; i++)
        assert_int_equal(enter(i, 2, 0), CLOSE_HANDSHAKES);
    for (size_t i = 10; i < 20; i++)
        assert_int_equal(enter(i, 2, 10000), CLOSE_NOT);
}

/* Charges for bytes that are no message: heads of frames, empty frames, pings. None from long before, and
 * none twice. */
static void test_bytes_beside_messages(void **state)
{
    (void)state;
    config.ws_max_bytes_s = 1000;
    struct quota_guest *guest = &guests[0];
    assert_int_equal(quota_listen(quota, guest, 4000, true, 0), CLOSE_NOT);
    assert_int_equal(quota_weigh(quota, guest, 500000, false, 0), CLOSE_NOT);
    assert_int_equal(quota_listen(quota, guest, 3000, true, 0), CLOSE_NOT);
    assert_int_equal(quota_weigh(quota, guest, 503000 + 3000, true, 0), CLOSE_NOT);
    assert_int_equal(quota_weigh(quota, guest, 506000 + 1, true, 0), CLOSE_BYTES);
    assert_int_equal(quota_weigh(quota, guest, 506001, true, 0), CLOSE_NOT);
    guest->weighed = UINT32_MAX - 10; /* it goes round */
    assert_int_equal(quota_weigh(quota, guest, 489, true, 1000), CLOSE_NOT);
    assert_int_equal(quota_weigh(quota, guest, 489 + 501, true, 1000), CLOSE_BYTES);
}

static void test_bytes_that_are_heard(void **state)
{
    (void)state;
    config.ws_max_bytes_s = 1000;
    struct quota_guest *guest = &guests[0];
    quota_hear(guest, 500000);
    assert_int_equal(quota_weigh(quota, guest, 0, false, 0), CLOSE_NOT);
    quota_hear(guest, 7010);
    assert_int_equal(quota_listen(quota, guest, 7000, true, 0), CLOSE_NOT);
    assert_int_equal(quota_weigh(quota, guest, 0, true, 0), CLOSE_NOT);
    quota_hear(guest, 2990);
    assert_int_equal(quota_weigh(quota, guest, 0, true, 0), CLOSE_NOT);
    quota_hear(guest, 1);
    assert_int_equal(quota_weigh(quota, guest, 0, true, 0), CLOSE_BYTES);
    assert_int_equal(quota_weigh(quota, guest, 0, true, 0), CLOSE_NOT);
}

/* Requests over an address's limit do not count against the limit of all. */
static void test_one_address_does_not_shut_out_the_others(void **state)
{
    (void)state;
    config.ws_max_handshakes_s = 2;
    config.ws_max_address_handshakes_s = 1;
    for (size_t i = 0; i < 100; i++)
        (void)enter(i, 1, 0);
    assert_int_equal(enter(100, 2, 0), CLOSE_NOT);
}

static void test_addresses_are_forgotten(void **state)
{
    (void)state;
    config.ws_max_address_handshakes_s = 1;
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(enter(i, (unsigned char)i, 0), CLOSE_NOT);
    assert_int_equal(quota_addresses(quota), 200);
    for (size_t i = 0; i < 199; i++)
        quota_leave(quota, &guests[i]);
    quota_tick(quota, 999);
    assert_int_equal(quota_addresses(quota), 200);
    quota_tick(quota, 1000);
    assert_int_equal(quota_addresses(quota), 1);
}

/* ---- users --------------------------------------------------------------------------------------- */

static void test_clients_of_a_user(void **state)
{
    (void)state;
    config.ws_max_user_clients = 2;
    assert_int_equal(quota_introduce(quota, &guests[0], 7), CLOSE_NOT);
    assert_int_equal(quota_introduce(quota, &guests[1], 7), CLOSE_NOT);
    assert_int_equal(quota_introduce(quota, &guests[2], 7), CLOSE_USER_CLIENTS);
    assert_int_equal(quota_introduce(quota, &guests[1], 7), CLOSE_NOT); /* a fresh token */
    assert_int_equal(quota_introduce(quota, &guests[3], 8), CLOSE_NOT);
    quota_leave(quota, &guests[0]);
    assert_int_equal(quota_introduce(quota, &guests[2], 7), CLOSE_NOT);
}

static void test_subscriptions_of_a_user(void **state)
{
    (void)state;
    config.ws_max_user_subscriptions = 10;
    assert_int_equal(quota_introduce(quota, &guests[0], 7), CLOSE_NOT);
    assert_int_equal(quota_introduce(quota, &guests[1], 7), CLOSE_NOT);
    assert_int_equal(quota_subscribe(quota, &guests[0], 6), CLOSE_NOT);
    assert_int_equal(quota_subscribe(quota, &guests[1], 4), CLOSE_NOT);
    assert_int_equal(quota_subscribe(quota, &guests[1], 5), CLOSE_USER_SUBSCRIPTIONS);
    assert_int_equal(quota_subscribe(quota, &guests[1], 4), CLOSE_NOT);
    assert_int_equal(quota_subscribe(quota, &guests[0], 5), CLOSE_NOT); /* unsubscribed from one */
    assert_int_equal(quota_subscribe(quota, &guests[1], 5), CLOSE_NOT);
    quota_leave(quota, &guests[0]);
    assert_int_equal(quota_subscribe(quota, &guests[1], 10), CLOSE_NOT);
    /* Subscriptions without a user are not counted. */
    assert_int_equal(quota_subscribe(quota, &guests[2], 100), CLOSE_NOT);
}

/* ---- connections --------------------------------------------------------------------------------- */

static void test_messages_and_bytes(void **state)
{
    (void)state;
    config.ws_max_messages_s = 1;
    config.ws_max_bytes_s = 100;
    for (int i = 0; i < 10; i++)
        assert_int_equal(quota_listen(quota, &guests[0], 10, true, 0), CLOSE_NOT);
    assert_int_equal(quota_listen(quota, &guests[0], 10, true, 0), CLOSE_MESSAGES);
    assert_int_equal(quota_listen(quota, &guests[0], 890, false, 0), CLOSE_NOT);
    assert_int_equal(quota_listen(quota, &guests[0], 10, false, 0), CLOSE_BYTES);
    assert_int_equal(quota_listen(quota, &guests[1], 10, true, 0), CLOSE_NOT);
}

static void test_reasons(void **state)
{
    (void)state;
    assert_string_equal(close_reason(CLOSE_TOO_MANY), "too many clients; retry after 10 s");
    assert_int_equal(close_status(CLOSE_BYTES), 4429);
    assert_int_equal(close_retry_after(CLOSE_USER_CLIENTS), 30);
    assert_int_equal(close_retry_after(CLOSE_TOO_SLOW), 0);
    assert_int_equal(close_status(CLOSE_SILENT), 4408);
    for (enum close_code code = CLOSE_TOO_BIG; code <= CLOSE_BYTES; code++)
        assert_in_range(strlen(close_reason(code)), 1, 123); /* what a close frame has room for */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ten_seconds_worth_at_once),
        TEST(test_in_the_long_run),
        TEST(test_what_is_refused_costs_nothing),
        TEST(test_one_by_one),
        TEST(test_more_than_there_ever_is),
        TEST(test_no_rate),
        TEST(test_without_limits_nothing_is_kept),
        TEST(test_clients_of_an_address),
        TEST(test_handshakes_of_an_address),
        TEST(test_handshakes_of_all),
        TEST(test_bytes_beside_messages),
        TEST(test_bytes_that_are_heard),
        TEST(test_refused_for_all_costs_the_address_nothing),
        TEST(test_one_address_does_not_shut_out_the_others),
        TEST(test_addresses_are_forgotten),
        TEST(test_clients_of_a_user),
        TEST(test_subscriptions_of_a_user),
        TEST(test_messages_and_bytes),
        TEST(test_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
