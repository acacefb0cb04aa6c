/* SPDX-License-Identifier: MIT */
/* Events that count as found in the stream: one run of each user's numbers, without repeats, and none after a
 * hole. */
#include "tests/unit/unit.h"

#include "fcgi-api/publisher/look.h"

static struct look *look;

static int before(void **state)
{
    (void)state;
    look = look_new("k3f9a1c2:probe:1", "k3f9a1c2");
    return 0;
}

static int after(void **state)
{
    (void)state;
    look_end(&look);
    return 0;
}

static void hear(uint32_t user_id, uint64_t first, uint64_t last)
{
    for (uint64_t seq = first; seq <= last; seq++)
        look_hear(look, user_id, seq);
}

static void test_nothing_is_found_in_silence(void **state)
{
    (void)state;
    assert_false(look_found(look, 7, 1, 1));
}

static void test_a_run(void **state)
{
    (void)state;
    hear(7, 5, 9);
    assert_true(look_found(look, 7, 5, 9));
    assert_true(look_found(look, 7, 6, 6));
    assert_false(look_found(look, 7, 4, 6)); /* begins before the first that was read */
    assert_false(look_found(look, 7, 4, 4));
    assert_false(look_found(look, 7, 8, 10)); /* ends after it */
    assert_false(look_found(look, 7, 10, 10));
    assert_false(look_found(look, 8, 5, 9));
}

static void test_repeats_change_nothing(void **state)
{
    (void)state;
    hear(7, 5, 9);
    hear(7, 3, 10);
    assert_true(look_found(look, 7, 5, 10));
    assert_false(look_found(look, 7, 4, 10));
}

static void test_a_hole_ends_it(void **state)
{
    (void)state;
    hear(7, 5, 6);
    hear(7, 8, 9);
    assert_true(look_found(look, 7, 5, 6));
    assert_false(look_found(look, 7, 7, 7));
    assert_false(look_found(look, 7, 8, 9));
    hear(7, 7, 9); /* repeated: now they are there in order */
    assert_true(look_found(look, 7, 5, 9));
}

static void test_more_users_than_there_is_room_for(void **state)
{
    (void)state;
    for (uint32_t user_id = 1; user_id <= LOOK_USERS_MAX + 1; user_id++)
        look_hear(look, user_id, 1);
    assert_true(look_found(look, LOOK_USERS_MAX, 1, 1));
    assert_false(look_found(look, LOOK_USERS_MAX + 1, 1, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_is_found_in_silence, before, after),
        cmocka_unit_test_setup_teardown(test_a_run, before, after),
        cmocka_unit_test_setup_teardown(test_repeats_change_nothing, before, after),
        cmocka_unit_test_setup_teardown(test_a_hole_ends_it, before, after),
        cmocka_unit_test_setup_teardown(test_more_users_than_there_is_room_for, before, after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
