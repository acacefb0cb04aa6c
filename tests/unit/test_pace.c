/* SPDX-License-Identifier: MIT */
/* Few events are sent at once, many in batches. */
#include "tests/unit/unit.h"

#include "fcgi-api/publisher/pace.h"

/* `count` messages, one every `every_us`, each sent when it may be; the most that one had to wait. */
static int64_t longest_wait(struct pace *pace, int64_t *now_us, int count, int64_t every_us)
{
    int64_t longest = 0;
    for (int i = 0; i < count; i++) {
        int64_t came_ms = (*now_us += every_us) / 1000, next = pace_next(pace);
        int64_t sent_ms = came_ms > next ? came_ms : next;
        if (sent_ms - came_ms > longest)
            longest = sent_ms - came_ms;
        pace_sent(pace, sent_ms);
    }
    return longest;
}

static void test_few_never_wait(void **state)
{
    (void)state;
    struct pace pace = {0};
    int64_t now_us = 5000000;
    assert_int_equal(longest_wait(&pace, &now_us, 1000, 2000), 0);
}

static void test_a_burst_by_itself_does_not_wait(void **state)
{
    (void)state;
    struct pace pace = {0};
    for (int i = 0; i < PACE_MANY - 1; i++) {
        assert_true(pace_next(&pace) <= 5000);
        pace_sent(&pace, 5000);
    }
}

static void test_many_wait_a_moment(void **state)
{
    (void)state;
    struct pace pace = {0};
    for (int i = 0; i < PACE_MANY; i++)
        pace_sent(&pace, 5000 + i * (PACE_WITHIN_MS - 1) / (PACE_MANY - 1));
    assert_int_equal(pace_next(&pace), 5000 + PACE_WITHIN_MS - 1 + PACE_GATHER_MS);
}

static void test_it_ends_with_the_many(void **state)
{
    (void)state;
    struct pace pace = {0};
    int64_t now_us = 5000000;
    assert_true(longest_wait(&pace, &now_us, 1000, 100) > 0);
    (void)longest_wait(&pace, &now_us, PACE_MANY, 2000);
    assert_int_equal(longest_wait(&pace, &now_us, 1000, 2000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_few_never_wait),
        cmocka_unit_test(test_a_burst_by_itself_does_not_wait),
        cmocka_unit_test(test_many_wait_a_moment),
        cmocka_unit_test(test_it_ends_with_the_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
