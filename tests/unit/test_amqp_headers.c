/* SPDX-License-Identifier: MIT */
/* Headers of messages, as any program may publish them. */
#include "tests/unit/unit.h"

#include <string.h>

#include "common/amqp/internal.h"

static amqp_table_entry_t number(const char *key, int64_t value)
{
    amqp_table_entry_t entry = {.key = amqp_text(key), .value = {.kind = AMQP_FIELD_KIND_I64}};
    entry.value.value.i64 = value;
    return entry;
}

static amqp_table_entry_t text(const char *key, const char *value)
{
    amqp_table_entry_t entry = {.key = amqp_text(key), .value = {.kind = AMQP_FIELD_KIND_UTF8}};
    entry.value.value.bytes = amqp_text(value);
    return entry;
}

static bool read(amqp_table_entry_t *entries, int count, struct event_meta *meta, int64_t *offset)
{
    amqp_table_t table = {.num_entries = count, .entries = entries};
    struct amqp_headers headers = {.meta = meta};
    memset(meta, 0, sizeof *meta);
    amqp_headers_read(&table, &headers);
    *offset = headers.offset;
    return headers.has_meta;
}

static bool usable(amqp_table_entry_t user, amqp_table_entry_t seq, amqp_table_entry_t epoch)
{
    amqp_table_entry_t entries[] = {user, seq, epoch};
    struct event_meta meta;
    int64_t offset;
    return read(entries, 3, &meta, &offset);
}

static void test_our_own(void **state)
{
    (void)state;
    amqp_table_entry_t entries[] = {number("x-stream-offset", 1234), number("user_id", 7),
                                    number("seq", (int64_t)CURSOR_SEQ_MAX), text("epoch", "k3f9a1c2"),
                                    text("traceparent", "00-abc-def-01")};
    struct event_meta meta;
    int64_t offset;

    assert_true(read(entries, 5, &meta, &offset));
    assert_int_equal(offset, 1234);
    assert_int_equal(meta.user_id, 7);
    assert_true(meta.seq == CURSOR_SEQ_MAX);
    assert_string_equal(meta.epoch, "k3f9a1c2");
    assert_string_equal(meta.traceparent, "00-abc-def-01");
}

static void test_any_width_of_number(void **state)
{
    (void)state;
    amqp_table_entry_t user = {.key = amqp_text("user_id"), .value = {.kind = AMQP_FIELD_KIND_U8}};
    user.value.value.u8 = 7;
    assert_true(usable(user, number("seq", 1), text("epoch", "a")));
    user.value.kind = AMQP_FIELD_KIND_I16;
    user.value.value.i16 = -7;
    assert_false(usable(user, number("seq", 1), text("epoch", "a")));
    user.value.kind = AMQP_FIELD_KIND_U64;
    user.value.value.u64 = UINT64_MAX;
    assert_false(usable(user, number("seq", 1), text("epoch", "a")));
    user.value.kind = AMQP_FIELD_KIND_F64;
    user.value.value.f64 = 7;
    assert_false(usable(user, number("seq", 1), text("epoch", "a")));
}

static void test_out_of_range(void **state)
{
    (void)state;
    amqp_table_entry_t one = number("seq", 1), epoch = text("epoch", "a");
    assert_true(usable(number("user_id", 4294967295), one, epoch));
    assert_false(usable(number("user_id", 4294967296), one, epoch));
    assert_false(usable(number("user_id", 0), one, epoch));
    assert_false(usable(number("user_id", 1), number("seq", 0), epoch));
    assert_false(usable(number("user_id", 1), number("seq", (int64_t)CURSOR_SEQ_MAX + 1), epoch));
    assert_false(usable(text("user_id", "1"), one, epoch));
    assert_false(usable(number("user_id", 1), one, text("epoch", "")));
    assert_false(usable(number("user_id", 1), one, text("epoch", "seventeen-letters")));
    assert_false(usable(number("user_id", 1), one, text("epoch", "a:b")));
    assert_false(usable(number("user_id", 1), one, number("epoch", 1)));
}

static void test_missing_and_repeated(void **state)
{
    (void)state;
    amqp_table_entry_t entries[] = {number("user_id", 7), number("seq", 1), text("epoch", "a"),
                                    text("user_id", "another")};
    struct event_meta meta;
    int64_t offset;

    assert_false(read(NULL, 0, &meta, &offset));
    assert_int_equal(offset, -1);
    assert_false(read(entries, 2, &meta, &offset));
    assert_true(read(entries, 3, &meta, &offset));
    assert_false(read(entries, 4, &meta,
                      &offset)); /* of several with one name the last counts; here it is no number */
}

static int64_t complete_of(amqp_table_entry_t entry)
{
    amqp_table_t table = {.num_entries = 1, .entries = &entry};
    struct event_meta meta;
    struct amqp_headers headers = {.meta = &meta};
    amqp_headers_read(&table, &headers);
    return headers.complete_ms;
}

static void test_what_a_beacon_tells(void **state)
{
    (void)state;
    assert_int_equal(complete_of(number("complete", 1700000000123)), 1700000000123);
    assert_int_equal(complete_of(number("complete", 0)), 0);
    assert_int_equal(complete_of(number("complete", -1)), -1);
    assert_int_equal(complete_of(text("complete", "1")), -1);
    assert_int_equal(complete_of(number("another", 1)), -1);
}

static void test_texts_are_bounded_and_printable(void **state)
{
    (void)state;
    char small[4];
    amqp_table_entry_t bad = text("traceparent", "00-\x1b[31m");
    struct event_meta meta;
    int64_t offset;

    (void)read(&bad, 1, &meta, &offset);
    assert_string_equal(meta.traceparent, "");
    amqp_copy_text(small, sizeof small, amqp_text("abcdef"));
    assert_string_equal(small, "abc");
    amqp_copy_text(small, sizeof small, amqp_empty_bytes);
    assert_string_equal(small, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_our_own),
        cmocka_unit_test(test_any_width_of_number),
        cmocka_unit_test(test_out_of_range),
        cmocka_unit_test(test_missing_and_repeated),
        cmocka_unit_test(test_what_a_beacon_tells),
        cmocka_unit_test(test_texts_are_bounded_and_printable),
    };
    return cmocka_run_group_tests_name("amqp_headers", tests, NULL, NULL);
}
