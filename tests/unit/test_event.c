/* SPDX-License-Identifier: MIT */
/* The event contract: the frame's bytes, ids, and times as the original wrote them. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/event.h"

#define FEB_2024_MS 1706907323000 /* 2024-02-02T20:55:23Z */

static void test_body_is_the_frame(void **state)
{
    (void)state;
    struct cursor cursor = {.epoch = "k3f9a1c2", .seq = 42, .time_s = 5};
    size_t length = 0;
    char *body = event_format_body(EVENT_TASK_COMPLETED, &cursor, 1, FEB_2024_MS, "{\"id\":1}", &length);
    assert_string_equal(body,
                        "{\"type\":\"notification\",\"event\":\"task.completed\",\"cursor\":\"k3f9a1c2:42\","
                        "\"message\":\"task 1 has been completed at Fri Feb 02 2024 20:55:23 GMT+0000 "
                        "(Coordinated Universal Time)\",\"task\":{\"id\":1}}");
    assert_int_equal(length, strlen(body));
    free(body);
}

/* The same bytes as emit_event() in sql/routines.sql makes. */
static void test_body_of_another_program(void **state)
{
    (void)state;
    struct event_new event = {.user_id = 1,
                              .type = "invoice.paid",
                              .message = "a \"b\"\n",
                              .data = "{\"c\": 1}, rest",
                              .data_length = 8};
    size_t length = 0;
    char *body = event_format_other(&event, "k3f9a1c2:42", &length);
    assert_string_equal(body,
                        "{\"type\":\"notification\",\"event\":\"invoice.paid\",\"cursor\":\"k3f9a1c2:42\","
                        "\"user_id\":1,\"message\":\"a \\\"b\\\"\\n\",\"data\":{\"c\": 1}}");
    assert_int_equal(length, strlen(body));
    free(body);
    event = (struct event_new){.user_id = 1, .type = "a.b"};
    body = event_format_other(&event, "k3f9a1c2:43", &length);
    assert_string_equal(body, "{\"type\":\"notification\",\"event\":\"a.b\",\"cursor\":\"k3f9a1c2:43\","
                              "\"user_id\":1,\"message\":null,\"data\":null}");
    assert_int_equal(length, strlen(body));
    free(body);
}

static void test_a_body_of_a_traced_request(void **state)
{
    (void)state;
    struct event_new event = {.user_id = 1, .type = "a.b"};
    size_t length = 0;
    char *body = event_format_other(&event, "k3f9a1c2:43", &length);
    char *same = event_with_trace(body, &length, "");
    assert_ptr_equal(same, body);
    assert_int_equal(length, strlen(body));
    body = event_with_trace(body, &length, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    assert_string_equal(body, "{\"type\":\"notification\",\"event\":\"a.b\",\"cursor\":\"k3f9a1c2:43\","
                              "\"user_id\":1,\"message\":null,\"data\":null,"
                              "\"traceparent\":\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\"}");
    assert_int_equal(length, strlen(body));
    free(body);
}

static void test_types_have_keys(void **state)
{
    (void)state;
    enum event_type type;
    assert_int_equal(event_type_parse("task.deleted", &type), ERR_OK);
    assert_int_equal(type, EVENT_TASK_DELETED);
    assert_string_equal(event_type_key(type), "task.deleted");
    assert_int_equal(event_type_parse("task.exploded", &type), ERR_NOT_FOUND);
}

/* Other programs choose types of their own, never one of ours. */
static void test_types_of_others(void **state)
{
    static const char *const right[] = {
        "invoice.paid", "a.b",       "tasks.x",
        "task-x.y",     "a_1.b-2.c", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b"};
    static const char *const wrong[] = {
        "",      ".",     "invoice",
        "task",  "a.",    ".a",
        "a..b",  "A.b",   "a.b ",
        "a b.c", "a.b\n", "\xc3\xa9.a",
        "a.#",   "*.a",   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b"};
    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        assert_true(event_type_valid(right[i]));
        assert_false(event_type_reserved(right[i]));
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(event_type_valid(wrong[i]));
    assert_true(event_type_reserved("task.created"));
    assert_true(event_type_reserved("task.anything"));
    assert_true(event_type_reserved(EVENT_MARKER_TYPE));
    assert_true(event_type_reserved(EVENT_BEACON_TYPE));
}

static void test_id(void **state)
{
    (void)state;
    struct event_meta meta = {.epoch = "ABCdef0123456789", .user_id = UINT32_MAX, .seq = UINT64_MAX};
    char id[EVENT_ID_SIZE];
    event_format_id(&meta, id);
    assert_string_equal(id, "ABCdef0123456789:4294967295:18446744073709551615");
}

static void test_iso_time(void **state)
{
    (void)state;
    char text[CLOCK_ISO_SIZE];
    clock_format_iso(FEB_2024_MS + 7, text);
    assert_string_equal(text, "2024-02-02T20:55:23.007Z");
    clock_format_iso(-500, text);
    assert_string_equal(text, "1969-12-31T23:59:59.500Z");
    clock_format_iso(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    clock_format_iso(253402300799999, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    clock_format_iso(-62167219200000, text);
    assert_string_equal(text, "0000-01-01T00:00:00.000Z");
}

static void test_iso_time_is_read(void **state)
{
    static const struct {
        const char *text;
        int64_t wall_ms;
    } right[] = {
        {"2024-02-02T20:55:23.007Z", FEB_2024_MS + 7},
        {"2024-02-02t20:55:23z", FEB_2024_MS},
        {"2024-02-02 21:55:23.0079999+01:00", FEB_2024_MS + 7},
        {"2024-02-02T15:25:23.5-05:30", FEB_2024_MS + 500},
        {"1969-12-31T23:59:59.999Z", -1},
        {"0000-01-01T00:00:00.000Z", -62167219200000},
        {"9999-12-31T23:59:59.999Z", 253402300799999},
    };
    static const char *const wrong[] = {"",
                                        "2024-02-02",
                                        "2024-02-02T20:55Z",
                                        "2024-02-02T20:55:23",
                                        "2024-02-02T20:55:23.Z",
                                        "2024-13-02T20:55:23Z",
                                        "2024-02-02T24:55:23Z",
                                        "2024-02-02T20:55:23Zx",
                                        "2024-02-02T20:55:23+0100",
                                        "12024-02-02T20:55:23Z"};
    int64_t wall_ms;
    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        assert_int_equal(clock_parse_iso(right[i].text, &wall_ms), ERR_OK);
        assert_true(wall_ms == right[i].wall_ms);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(clock_parse_iso(wrong[i], &wall_ms), ERR_INVALID);
}

static void in_epoch(const char *body, const char *epoch, const char *expected)
{
    size_t length = strlen(body);
    char *copy = event_in_epoch(body, &length, epoch);
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(copy, expected, length);
    free(copy);
}

/* After a restore the journal's bodies are of another epoch than the data. */
static void test_a_body_in_another_epoch(void **state)
{
    (void)state;
    in_epoch(
        "{\"type\":\"notification\",\"event\":\"task.created\",\"cursor\":\"old:7\",\"message\":\"old:7\"}",
        "newer1",
        "{\"type\":\"notification\",\"event\":\"task.created\",\"cursor\":\"newer1:7\",\"message\":\"old:"
        "7\"}");
    in_epoch("{}", "new", "{}");
    in_epoch("{\"type\":\"notification\",\"event\":\"a\",\"message\":\"\",\"cursor\":\"old:7\"}", "new",
             "{\"type\":\"notification\",\"event\":\"a\",\"message\":\"\",\"cursor\":\"old:7\"}");
    in_epoch("{\"type\":\"notification\",\"event\":\"", "new", "{\"type\":\"notification\",\"event\":\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body_is_the_frame),
        cmocka_unit_test(test_body_of_another_program),
        cmocka_unit_test(test_a_body_of_a_traced_request),
        cmocka_unit_test(test_types_have_keys),
        cmocka_unit_test(test_types_of_others),
        cmocka_unit_test(test_id),
        cmocka_unit_test(test_iso_time),
        cmocka_unit_test(test_iso_time_is_read),
        cmocka_unit_test(test_a_body_in_another_epoch),
    };
    return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
