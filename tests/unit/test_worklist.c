/* SPDX-License-Identifier: MIT */
/* The bounded map of users and the list on top of it, against a simple model. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "fcgi-api/publisher/worklist.h"

#define USERS 64

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 16;
}

/* Ids that fall on few places, so that runs, moves and wrap-around all happen. */
static uint32_t id_of(unsigned number)
{
    return 1 + number * (number % 3 == 0 ? 1u : 128u);
}

static void check_map(const struct user_map *map, const uint64_t model[USERS])
{
    size_t count = 0;
    for (unsigned i = 0; i < USERS; i++) {
        const struct user_entry *entry = user_map_find(map, id_of(i));
        if (model[i] == 0) {
            assert_null(entry);
            continue;
        }
        count++;
        assert_non_null(entry);
        assert_int_equal(entry->user_id, id_of(i));
        assert_int_equal(entry->seq, model[i]);
    }
    assert_int_equal(map->count, count);
}

static void test_map_against_model(void **state)
{
    (void)state;
    struct user_map map;
    uint64_t model[USERS] = {0};
    unsigned seed = 1;

    user_map_init(&map, USERS);
    for (int step = 1; step <= 20000; step++) {
        unsigned i = next_random(&seed) % USERS;
        if (next_random(&seed) % 2) {
            struct user_entry *entry = user_map_add(&map, id_of(i));
            assert_non_null(entry);
            entry->seq = model[i] = (uint64_t)step;
        } else {
            user_map_remove(&map, id_of(i));
            model[i] = 0;
        }
        if (step % 16 == 0)
            check_map(&map, model);
    }
    user_map_clear(&map);
    memset(model, 0, sizeof model);
    check_map(&map, model);
    user_map_free(&map);
}

static void test_map_is_bounded(void **state)
{
    (void)state;
    struct user_map map;
    user_map_init(&map, 2);
    assert_non_null(user_map_add(&map, 1));
    assert_non_null(user_map_add(&map, 2));
    assert_null(user_map_add(&map, 3));
    assert_non_null(user_map_add(&map, 2));
    user_map_remove(&map, 1);
    assert_non_null(user_map_add(&map, 3));
    user_map_free(&map);
}

static void test_list_is_first_come_first_served(void **state)
{
    (void)state;
    struct worklist list;
    struct work work;

    worklist_init(&list, 3);
    assert_false(worklist_take(&list, &work));
    for (int round = 0; round < 10; round++) { /* around the ring */
        assert_true(worklist_add(&list, 7, 5));
        assert_true(worklist_add(&list, 8, 1));
        assert_true(worklist_add(&list, 7, 9)); /* keeps its place, takes the higher number */
        assert_true(worklist_add(&list, 7, 3));
        assert_int_equal(worklist_count(&list), 2);
        assert_true(worklist_take(&list, &work));
        assert_int_equal(work.user_id, 7);
        assert_int_equal(work.upto, 9);
        assert_true(worklist_take(&list, &work));
        assert_int_equal(work.user_id, 8);
        assert_false(worklist_take(&list, &work));
    }
    worklist_free(&list);
}

static void test_list_is_bounded(void **state)
{
    (void)state;
    struct worklist list;
    struct work work;

    worklist_init(&list, 2);
    assert_true(worklist_add(&list, 1, 1));
    assert_true(worklist_add(&list, 2, 1));
    assert_false(worklist_add(&list, 3, 1));
    assert_true(worklist_add(&list, 2, 4)); /* the number of a user in the list can always be raised */
    assert_true(worklist_take(&list, &work));
    assert_true(worklist_add(&list, 3, 1));
    worklist_clear(&list);
    assert_false(worklist_take(&list, &work));
    worklist_free(&list);
}

static void test_a_long_one_is_told_apart(void **state)
{
    (void)state;
    struct worklist list;
    struct work work;

    worklist_init(&list, 3);
    assert_false(worklist_first_is_long(&list));
    worklist_set_long(&list, 7); /* not there: nothing happens */
    assert_true(worklist_add(&list, 7, 5));
    assert_true(worklist_add(&list, 8, 5));
    worklist_set_long(&list, 8);
    assert_true(worklist_add(&list, 8, 6)); /* which does not change that */
    assert_false(worklist_first_is_long(&list));
    assert_true(worklist_take(&list, &work));
    assert_false(work.is_long);
    assert_true(worklist_first_is_long(&list));
    assert_true(worklist_take(&list, &work));
    assert_true(work.is_long);
    assert_true(work.user_id == 8 && work.upto == 6);
    assert_true(worklist_add(&list, 8, 7)); /* a user that comes again is not long */
    assert_false(worklist_first_is_long(&list));
    worklist_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map_against_model),
        cmocka_unit_test(test_map_is_bounded),
        cmocka_unit_test(test_list_is_first_come_first_served),
        cmocka_unit_test(test_list_is_bounded),
        cmocka_unit_test(test_a_long_one_is_told_apart),
    };
    return cmocka_run_group_tests_name("worklist", tests, NULL, NULL);
}
