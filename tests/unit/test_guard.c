/* SPDX-License-Identifier: MIT */
/* Frames of a WebSocket's peer, whole and in pieces, and how the guard changes them before the library
 * reads. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "ws-notifier/guard.h"

static unsigned char wire[70000], left[sizeof wire];
static size_t wire_length, left_length;
static struct guard guard;
static struct guard_verdict verdict;

static int set_up(void **state)
{
    (void)state;
    wire_length = 0;
    memset(&guard, 0, sizeof guard);
    memset(&verdict, 0, sizeof verdict);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    guard_free(&guard);
    return 0;
}

static void put(const void *bytes, size_t length)
{
    memcpy(wire + wire_length, bytes, length);
    wire_length += length;
}

/* A masked frame, with a length that is written in 0, 2 or 8 bytes. Returns where it begins. */
static size_t frame(unsigned char first, const char *payload, size_t length, int bytes_of_length)
{
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t at = wire_length;
    unsigned char head[10] = {first, (unsigned char)(0x80 | (bytes_of_length == 0   ? length
                                                             : bytes_of_length == 2 ? 126
                                                                                    : 127))};
    for (int i = 0; i < bytes_of_length; i++)
        head[2 + i] = (unsigned char)((uint64_t)length >> 8 * (bytes_of_length - 1 - i));
    put(head, 2 + (size_t)bytes_of_length);
    put(mask, sizeof mask);
    for (size_t i = 0; i < length; i++)
        wire[wire_length++] = (unsigned char)(payload[i] ^ mask[i % 4]);
    return at;
}

/* Passes the bytes on in pieces of that size; returns how many are left. */
static void look(size_t piece)
{
    left_length = 0;
    for (size_t at = 0; at < wire_length; at += piece) {
        size_t length = wire_length - at < piece ? wire_length - at : piece;
        struct guard_verdict one = guard_look(&guard, wire + at, length);
        verdict.pings += one.pings;
        verdict.pongs += one.pongs;
        assert_true(one.length <= length);
        memcpy(left + left_length, wire + at, one.length);
        left_length += one.length;
        if (one.fault != CLOSE_NOT)
            verdict.fault = one.fault;
    }
}

static void answers_are(const char *expected, size_t length)
{
    size_t found;
    const unsigned char *pongs = guard_answers(&guard, &found);
    assert_int_equal(found, length);
    if (length > 0)
        assert_memory_equal(pongs, expected, length);
}

static void test_what_is_right_stays_as_it_is(void **state)
{
    (void)state;
    static char long_text[66000];
    unsigned char before[sizeof wire];

    memset(long_text, 'a', sizeof long_text);
    for (size_t piece = 1; piece < 9; piece++) {
        set_up(NULL);
        frame(0x01, "a", 1, 0);
        frame(0x80, "b", 1, 0);
        frame(0x81, "", 0, 0);
        frame(0x82, long_text, 126, 2);
        frame(0x81, long_text, sizeof long_text, 8);
        frame(0x88, "\x03\xe8", 2, 0);
        frame(0x89, "after a close", 13, 0);
        memcpy(before, wire, wire_length);
        look(piece);
        assert_int_equal(left_length, wire_length);
        assert_memory_equal(left, before, wire_length);
        assert_int_equal(verdict.pings, 0);
        assert_int_equal(verdict.fault, CLOSE_NOT);
        assert_int_equal(guard_closed_with(&guard), 1000);
        guard_free(&guard);
    }
}

static void test_pings(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 40; piece++) {
        set_up(NULL);
        frame(0x89, "one", 3, 0);
        size_t text = frame(0x01, "te", 2, 0);
        size_t text_end = frame(0x89, "", 0, 0);
        frame(0x8a, "\xff\xfe", 2, 0);
        frame(0x8a, "", 0, 0);
        size_t more = frame(0x80, "xt", 2, 0);
        size_t more_end = frame(0x89, "three", 5, 0);
        char expected[32];
        memcpy(expected, wire + text, text_end - text);
        memcpy(expected + text_end - text, wire + more, more_end - more);
        look(piece);
        assert_int_equal(verdict.pings, 3);
        assert_int_equal(verdict.pongs, 2);
        assert_int_equal(verdict.fault, CLOSE_NOT);
        answers_are("\x8a\x03one\x8a\x00\x8a\x05three", 14);
        assert_int_equal(left_length, text_end - text + more_end - more);
        assert_memory_equal(left, expected, left_length);
        guard_answered(&guard);
        answers_are("", 0);
        assert_null(guard.control);
    }
}

static void test_too_many_pings(void **state)
{
    (void)state;
    char payload[125] = {0};
    for (int i = 0; i < 100; i++) {
        payload[0] = (char)i;
        frame(0x89, payload, sizeof payload, 0);
    }
    look(1000);
    assert_int_equal(verdict.pings, 100);
    size_t length;
    const unsigned char *pongs = guard_answers(&guard, &length);
    assert_true(length > 0 && length <= GUARD_PONGS_MAX && length % 127 == 0);
    assert_int_equal(pongs[length - 127 + 2], 99); /* the newest is among them */
}

/* Half a ping waits; the ping before it is answered. */
static void test_answered_in_between(void **state)
{
    (void)state;
    frame(0x89, "one", 3, 0);
    size_t second = frame(0x89, "second", 6, 0);
    wire_length = second + 8;
    look(wire_length);
    assert_int_equal(verdict.pings, 1);
    answers_are("\x8a\x03one", 5);
    guard_answered(&guard);
    assert_non_null(guard.control);
}

static void is_refused(size_t at)
{
    look(wire_length);
    assert_int_equal(left[at], 0x83); /* which the library answers with 1002 */
    assert_int_equal(verdict.fault, CLOSE_NOT);
}

static void test_without_mask(void **state)
{
    (void)state;
    frame(0x81, "fine", 4, 0);
    size_t at = wire_length;
    put("\x81\x05hello", 7);
    is_refused(at);
}

static void test_without_mask_in_pieces(void **state)
{
    (void)state;
    put("\x81\x05hello", 7);
    look(1);
    assert_int_equal(left[0], 0x81);
    assert_int_equal(verdict.fault, CLOSE_PROTOCOL);
    set_up(NULL);
    put("\x89\x05hello", 7);
    look(1);
    assert_int_equal(verdict.fault, CLOSE_PROTOCOL);
    assert_int_equal(verdict.pings, 0);
}

static void test_a_ping_without_mask(void **state)
{
    (void)state;
    size_t at = wire_length;
    put("\x89\x05hello", 7);
    is_refused(at);
    assert_int_equal(verdict.pings, 0);
}

static void test_reserved_bits(void **state)
{
    (void)state;
    for (unsigned bits = 0x10; bits < 0x80; bits += 0x10) {
        set_up(NULL);
        is_refused(frame((unsigned char)(0x81 | bits), "x", 1, 0));
        set_up(NULL);
        is_refused(frame((unsigned char)(0x89 | bits), "", 0, 0));
        assert_int_equal(verdict.pings, 0);
    }
}

static void test_control_frames_that_are_too_long(void **state)
{
    (void)state;
    char payload[126] = {0};
    for (unsigned char first = 0x88; first <= 0x8a; first++) {
        set_up(NULL);
        is_refused(frame(first, payload, sizeof payload, 2));
        guard_free(&guard);
    }
    set_up(NULL);
    is_refused(frame(0x89, payload, 1, 8));
}

static void test_a_negative_length(void **state)
{
    (void)state;
    put("\x81\xff\x80\x00\x00\x00\x00\x00\x00\x01", 10);
    is_refused(0);
}

static void test_a_length_beyond_32_bits(void **state)
{
    (void)state;
    put("\x82\xff\x00\x00\x00\x01\x00\x00\x00\x00mask", 14);
    look(wire_length);
    assert_int_equal(guard.left, UINT32_MAX);
    assert_int_equal(left[0], 0x82);
}

static void closes(const char *payload, size_t length, enum close_code fault, unsigned code)
{
    set_up(NULL);
    frame(0x88, payload, length, 0);
    look(wire_length);
    assert_int_equal(verdict.fault, fault);
    assert_int_equal(left_length, fault == CLOSE_NOT ? wire_length : 0);
    assert_int_equal(guard_closed_with(&guard), code);
    guard_free(&guard);
}

static void test_closes(void **state)
{
    (void)state;
    closes("", 0, CLOSE_NOT, 0);
    closes("\x03", 1, CLOSE_PROTOCOL, 0);
    closes("\x03\xe8", 2, CLOSE_NOT, 1000);
    closes("\x03\xf6wait", 6, CLOSE_NOT, 1014);
    closes("\x13\x88", 2, CLOSE_NOT, 5000);
    closes("\x03\xe8\xc3\xa9", 4, CLOSE_NOT, 1000);
    closes("\x03\xe8\xc3", 3, CLOSE_NO_TEXT, 1000);
    closes("\x03\xe8\xed\xa0\x80", 5, CLOSE_NO_TEXT, 1000);
}

static void test_close_codes(void **state)
{
    (void)state;
    const unsigned right[] = {1000, 1001, 1002, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999};
    const unsigned wrong[] = {0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535};
    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        assert_int_equal(guard_close_code(right[i]), right[i]);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(guard_close_code(wrong[i]), 1002);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_right_stays_as_it_is),
        TEST(test_pings),
        TEST(test_too_many_pings),
        TEST(test_answered_in_between),
        TEST(test_without_mask),
        TEST(test_without_mask_in_pieces),
        TEST(test_a_ping_without_mask),
        TEST(test_reserved_bits),
        TEST(test_control_frames_that_are_too_long),
        TEST(test_a_negative_length),
        TEST(test_a_length_beyond_32_bits),
        TEST(test_closes),
        TEST(test_close_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
