/* SPDX-License-Identifier: MIT */
/* Up to which time a node's stream is complete: what waited then has left the outbox, whatever came
 * meanwhile. */
#include "tests/unit/unit.h"

#include "fcgi-api/publisher/watermark.h"

static struct watermark mark;

static int set_up(void **state)
{
    (void)state;
    watermark_reset(&mark);
    return 0;
}

#define KEYS(...) (const struct outbox_key[]){__VA_ARGS__}, sizeof((struct outbox_key[]){__VA_ARGS__}) / 16

static bool looks(int64_t now_ms, const struct outbox_key *keys, size_t count)
{
    return watermark_look(&mark, now_ms, keys, count, true);
}

static void test_an_empty_outbox(void **state)
{
    (void)state;
    assert_true(looks(1000, NULL, 0));
    assert_int_equal(mark.complete_ms, 1000);
    assert_true(looks(2000, NULL, 0));
    assert_int_equal(mark.complete_ms, 2000);
}

static void test_what_waits_holds_it_up(void **state)
{
    (void)state;
    assert_true(looks(1000, NULL, 0));
    assert_false(looks(2000, KEYS({1, 1}, {1, 2}, {7, 1})));
    assert_false(looks(3000, KEYS({1, 2})));
    assert_int_equal(mark.complete_ms, 1000);
    assert_true(looks(4000, NULL, 0));
    assert_int_equal(mark.complete_ms, 4000);
}

/* While many events come there is always one in the outbox. */
static void test_what_comes_later_does_not(void **state)
{
    (void)state;
    assert_false(looks(1000, KEYS({1, 1}, {1, 2}, {7, 1})));
    assert_false(looks(2000, KEYS({1, 2}, {1, 3}, {7, 2})));
    assert_true(looks(3000, KEYS({1, 3}, {7, 2}, {7, 3})));
    assert_int_equal(mark.complete_ms, 1000);
    assert_false(looks(4000, KEYS({7, 3}, {9, 1})));
    assert_true(looks(5000, KEYS({9, 1})));
    assert_int_equal(mark.complete_ms, 3000);
}

/* What is behind the end of the list may be there. */
static void test_only_the_beginning_of_a_long_outbox(void **state)
{
    (void)state;
    assert_false(watermark_look(&mark, 1000, KEYS({1, 1}, {1, 2}), false));
    assert_int_equal(mark.next_ms, 0);
    assert_false(looks(2000, KEYS({1, 2}, {5, 1})));
    assert_false(watermark_look(&mark, 3000, KEYS({1, 3}, {1, 4}), false));
    assert_int_equal(mark.count, 1);
    assert_true(looks(4000, KEYS({1, 4})));
    assert_int_equal(mark.complete_ms, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_empty_outbox, set_up, set_up),
        cmocka_unit_test_setup_teardown(test_what_waits_holds_it_up, set_up, set_up),
        cmocka_unit_test_setup_teardown(test_what_comes_later_does_not, set_up, set_up),
        cmocka_unit_test_setup_teardown(test_only_the_beginning_of_a_long_outbox, set_up, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
