/* SPDX-License-Identifier: MIT */
/* Cursors: each written one is read back, and nothing else is accepted. */
#include "tests/unit/unit.h"

#include <string.h>

#include "common/cursor.h"

static void check_round_trip(const char *text)
{
    struct cursor cursor;
    char again[CURSOR_TEXT_SIZE];
    assert_int_equal(cursor_parse(text, strlen(text), &cursor), ERR_OK);
    assert_int_equal(cursor_format(&cursor, again), strlen(text));
    assert_string_equal(again, text);
}

static void test_round_trip(void **state)
{
    (void)state;
    check_round_trip("k3f9a1c2:42");
    check_round_trip("k3f9a1c2:42:1732300000");
    check_round_trip("a:0");
    check_round_trip("ABCdef0123456789:9007199254740991:9007199254740991");
}

static void test_fields(void **state)
{
    (void)state;
    struct cursor cursor;
    const char text[] = "k3f9a1c2:42:1732300000";
    assert_int_equal(cursor_parse(text, strlen(text), &cursor), ERR_OK);
    assert_string_equal(cursor.epoch, "k3f9a1c2");
    assert_int_equal(cursor.seq, 42);
    assert_int_equal(cursor.time_s, 1732300000);
}

static void test_refused(void **state)
{
    (void)state;
    const char *const texts[] = {"",
                                 ":",
                                 "a",
                                 "a:",
                                 ":1",
                                 "a:-1",
                                 "a:+1",
                                 "a:01",
                                 "a: 1",
                                 "a:1 ",
                                 "a:1:",
                                 "a:1:2:",
                                 "a:1:2:3",
                                 "a:1:02",
                                 "a b:1",
                                 "a\n:1",
                                 "é:1",
                                 "a:1e3",
                                 "a:0x1",
                                 "a:1.0",
                                 "a_b:1",
                                 "a::1",
                                 "a:1:abc",
                                 "a:1:2abc",
                                 "a:1;2",
                                 "abcdefghijklmnopq:1",
                                 "a:9007199254740992",
                                 "a:18446744073709551616",
                                 "a:99999999999999999999999"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct cursor cursor = {.seq = 7};
        assert_int_equal(cursor_parse(texts[i], strlen(texts[i]), &cursor), ERR_INVALID);
        assert_int_equal(cursor.seq, 7);
    }
}

static void test_length_bounds_the_text(void **state)
{
    (void)state;
    struct cursor cursor;
    assert_int_equal(cursor_parse("a:123", 4, &cursor), ERR_OK);
    assert_int_equal(cursor.seq, 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_length_bounds_the_text),
    };
    return cmocka_run_group_tests_name("cursor", tests, NULL, NULL);
}
