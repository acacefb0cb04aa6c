/* SPDX-License-Identifier: MIT */
/* Ends of sessions: which tokens they cover, and how beacons carry them. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

static size_t moved; /* ends, by insertions */

static void *count_move(void *to, const void *from, size_t size)
{
    moved += size / (2 * sizeof(int64_t));
    return memmove(to, from, size);
}

#define memmove count_move
#include "common/session_ends.c"
#undef memmove

static struct session_ends ends, told;
static struct session_ends_message message;
static bool changed;

static int tear_down(void **state)
{
    (void)state;
    session_ends_free(&ends);
    session_ends_free(&told);
    return 0;
}

static enum err hear(const char *text)
{
    return session_ends_read(text, strlen(text), &told, &message, &changed);
}

static void test_cover(void **state)
{
    (void)state;
    assert_false(session_ends_cover(&ends, 7, -1));
    assert_true(session_ends_add(&ends, 7, 100));
    assert_true(session_ends_cover(&ends, 7, 99) && session_ends_cover(&ends, 7, -1));
    assert_false(session_ends_cover(&ends, 7, 100) || session_ends_cover(&ends, 8, 1) ||
                 session_ends_cover(&ends, 6, -1));
    assert_false(session_ends_add(&ends, 7, 99) || session_ends_add(&ends, 7, 100));
    assert_true(session_ends_add(&ends, 7, 101));
    assert_int_equal(session_ends_count(&ends), 1);
    assert_true(session_ends_cover(&ends, 7, 100));
}

static void test_many(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 1000; i++)
        assert_true(session_ends_add(&ends, 1 + i * 7919 % 1009, 1000 + i));
    assert_int_equal(session_ends_count(&ends), 1000);
    const struct session_end *list = session_ends_list(&ends);
    for (size_t i = 1; i < 1000; i++)
        assert_true(list[i - 1].user_id < list[i].user_id);
    session_ends_forget(&ends, 1900);
    assert_int_equal(session_ends_count(&ends), 100);
    for (uint32_t i = 0; i < 1000; i++)
        assert_true(session_ends_cover(&ends, 1 + i * 7919 % 1009, 0) == (i >= 900));
}

/* Of very many users, in no order: what is moved must not grow with the square of their number. By one sorted
 * list it would be 600 million, and 300,000 users took 10 s. */
static void test_very_many(void **state)
{
    const uint32_t count = 50000, modulus = 50021;
    size_t settled = 0;
    (void)state;
    moved = 0;
    for (uint32_t i = 1; i <= count; i++) {
        assert_true(session_ends_add(&ends, (uint32_t)((uint64_t)i * 54321 % modulus), i));
        if (ends.settled.count != settled)
            moved += settled = ends.settled.count; /* a merge moves all */
    }
    assert_true(moved < 30000000);
    for (uint32_t i = 1; i <= count; i++)
        assert_true(session_ends_cover(&ends, (uint32_t)((uint64_t)i * 54321 % modulus), i - 1));
    assert_int_equal(session_ends_count(&ends), count);
}

/* A run that is merged lies before, behind and among the other, and a user is found in either. */
static void test_runs_that_are_merged(void **state)
{
    (void)state;
    for (uint32_t part = 0; part < 3; part++)
        for (uint32_t user = 1 + part; user < 3000; user += 3)
            assert_true(session_ends_add(&ends, user, 5));
    for (uint32_t user = 1; user < 3000; user++) {
        assert_false(session_ends_add(&ends, user, 5));
        assert_true(session_ends_add(&ends, user, 6));
    }
    assert_int_equal(session_ends_count(&ends), 2999);
    const struct session_end *list = session_ends_list(&ends);
    for (uint32_t user = 1; user < 3000; user++)
        assert_true(list[user - 1].user_id == user && list[user - 1].before_s == 6);
}

static void test_there_and_back(void **state)
{
    struct strbuf text = {0};
    (void)state;
    for (uint32_t i = 0; i < 100; i++)
        (void)session_ends_add(&ends, 4294967295 - i, 1700000000 + i);
    session_ends_write(
        session_ends_list(&ends), session_ends_count(&ends),
        &(struct session_ends_message){.list = "0123456789abcdef", .first = true, .last = true}, &text);
    assert_int_equal(hear(text.text), ERR_OK);
    assert_true(changed && message.told && message.first && message.last);
    assert_string_equal(message.list, "0123456789abcdef");
    assert_int_equal(session_ends_count(&told), 100);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(session_ends_list(&told)[i].user_id, session_ends_list(&ends)[i].user_id);
        assert_int_equal(session_ends_list(&told)[i].before_s, session_ends_list(&ends)[i].before_s);
    }
    assert_int_equal(hear(text.text), ERR_OK);
    assert_false(changed);
    strbuf_clear(&text);
    session_ends_write(NULL, 0, &(struct session_ends_message){.last = false}, &text);
    assert_string_equal(text.text, "{\"ended\":[]}");
    assert_int_equal(hear(text.text), ERR_OK);
    assert_true(message.told && !message.first && !message.last && !changed && !message.list[0]);
    assert_int_equal(hear("{\"ended\":[],\"list\":\"0123456789abcdefghi\",\"first\":1}"), ERR_OK);
    assert_true(strlen(message.list) == SESSION_LIST_MAX && !message.first);
    assert_int_equal(hear("{\"ended\":[],\"list\":7}"), ERR_OK);
    assert_string_equal(message.list, "");
    assert_int_equal(hear("{}"), ERR_OK);
    assert_false(message.told);
    strbuf_free(&text);
}

static void test_what_is_none(void **state)
{
    static const char *const wrong[] = {"",
                                        "x",
                                        "[]",
                                        "{\"ended\":7}",
                                        "{\"ended\":[7]}",
                                        "{\"ended\":[[7]]}",
                                        "{\"ended\":[[7,1,1]]}",
                                        "{\"ended\":[[7,1],[0,1]]}",
                                        "{\"ended\":[[7,-1]]}",
                                        "{\"ended\":[[4294967296,1]]}",
                                        "{\"ended\":[[7,1e300]]}",
                                        "{\"ended\":[[7,1.5]]}"};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(hear(wrong[i]), ERR_INVALID);
        assert_int_equal(session_ends_count(&told), 0);
    }
}

#define TEST(function) cmocka_unit_test_teardown(function, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_cover),          TEST(test_many),
                                       TEST(test_very_many),      TEST(test_runs_that_are_merged),
                                       TEST(test_there_and_back), TEST(test_what_is_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
