/* SPDX-License-Identifier: MIT */
/* Ends of sessions: which tokens they cover, and how beacons carry them. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "common/session_ends.h"

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

static enum err take(const char *text)
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
    assert_int_equal(ends.count, 1);
    assert_true(session_ends_cover(&ends, 7, 100));
}

static void test_many(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 1000; i++)
        assert_true(session_ends_add(&ends, 1 + i * 7919 % 1009, 1000 + i));
    assert_int_equal(ends.count, 1000);
    for (size_t i = 1; i < ends.count; i++)
        assert_true(ends.list[i - 1].user_id < ends.list[i].user_id);
    session_ends_forget(&ends, 1900);
    assert_int_equal(ends.count, 100);
    for (uint32_t i = 0; i < 1000; i++)
        assert_true(session_ends_cover(&ends, 1 + i * 7919 % 1009, 0) == (i >= 900));
}

static void test_there_and_back(void **state)
{
    struct strbuf text = {0};
    (void)state;
    for (uint32_t i = 0; i < 100; i++)
        (void)session_ends_add(&ends, 4294967295 - i, 1700000000 + i);
    session_ends_write(ends.list, ends.count, true, true, &text);
    assert_int_equal(take(text.text), ERR_OK);
    assert_true(changed && message.told && message.first && message.last);
    assert_int_equal(told.count, ends.count);
    for (size_t i = 0; i < ends.count; i++) {
        assert_int_equal(told.list[i].user_id, ends.list[i].user_id);
        assert_int_equal(told.list[i].before_s, ends.list[i].before_s);
    }
    assert_int_equal(take(text.text), ERR_OK);
    assert_false(changed);
    strbuf_clear(&text);
    session_ends_write(NULL, 0, false, false, &text);
    assert_string_equal(text.text, "{\"ended\":[]}");
    assert_int_equal(take(text.text), ERR_OK);
    assert_true(message.told && !message.first && !message.last && !changed);
    assert_int_equal(take("{}"), ERR_OK);
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
        assert_int_equal(take(wrong[i]), ERR_INVALID);
        assert_int_equal(told.count, 0);
    }
}

#define TEST(function) cmocka_unit_test_teardown(function, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_cover), TEST(test_many), TEST(test_there_and_back),
                                       TEST(test_what_is_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
