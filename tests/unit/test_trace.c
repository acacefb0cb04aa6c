/* SPDX-License-Identifier: MIT */
/* Traceparents: which are carried and which get a span; and the line of a span. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/trace.h"
#include "tests/unit/captured.h"

#define TRACE  "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00-" TRACE "-00f067aa0ba902b7-01"

static int switch_on(void **state)
{
    (void)state;
    trace_init(true);
    log_init("unit", LOG_JSON, LOG_INFO);
    return 0;
}

static int switch_off(void **state)
{
    (void)state;
    trace_init(false);
    log_init("unit", LOG_TEXT, LOG_INFO);
    return 0;
}

/* What span_end() writes. */
static const char *ended(const struct span *span, const struct log_field *more, size_t count)
{
    capture_begin();
    span_end(span, "deliver", more, count);
    return capture_end();
}

static bool has(const char *line, const char *part)
{
    return strstr(line, part) != NULL;
}

static void test_valid(void **state)
{
    static const char *const good[] = {PARENT, "00-" TRACE "-00f067aa0ba902b7-00",
                                       "cc-" TRACE "-00f067aa0ba902b7-03"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(traceparent_valid(good[i]));
}

static void test_not_valid(void **state)
{
    static const char *const bad[] = {
        NULL,
        "",
        "nonsense",
        PARENT "0",
        PARENT "-00",
        "00-" TRACE "-00f067aa0ba902b7-0",
        "ff-" TRACE "-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-" TRACE "-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-" TRACE "-00F067AA0BA902B7-01",
        "00_" TRACE "-00f067aa0ba902b7-01",
        "00-" TRACE "-00f067aa0ba902b7-0z",
        " " PARENT,
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(traceparent_valid(bad[i]));
        assert_false(trace_wants(bad[i]));
    }
}

static void test_only_sampled_ones_are_wanted(void **state)
{
    (void)state;
    assert_true(trace_wants(PARENT));
    assert_true(trace_wants("00-" TRACE "-00f067aa0ba902b7-0f"));
    assert_false(trace_wants("00-" TRACE "-00f067aa0ba902b7-00"));
    assert_false(trace_wants("00-" TRACE "-00f067aa0ba902b7-fe"));
    trace_init(false);
    assert_false(trace_wants(PARENT));
    assert_false(trace_is_on());
}

static void test_a_child(void **state)
{
    struct span span, other;
    char id[SPAN_ID_SIZE] = "";
    (void)state;
    span_begin(&span, PARENT, 0);
    assert_true(trace_wants(span.traceparent));
    assert_memory_equal(span.traceparent, PARENT, strlen("00-" TRACE "-"));
    assert_string_equal(span.parent_id, "00f067aa0ba902b7");
    memcpy(id, span_id(&span), SPAN_ID_SIZE - 1);
    assert_string_not_equal(id, span.parent_id);
    span_begin_as(&other, PARENT, id, 0);
    assert_string_equal(other.traceparent, span.traceparent);
}

static void test_a_trace_begins(void **state)
{
    struct span one, two;
    (void)state;
    span_begin(&one, "", 0);
    span_begin(&two, "", 0);
    assert_true(trace_wants(one.traceparent));
    assert_string_equal(one.parent_id, "");
    assert_memory_not_equal(one.traceparent, two.traceparent, strlen("00-" TRACE));
    assert_false(has(ended(&one, NULL, 0), "parent_span_id"));
}

static void test_the_line(void **state)
{
    struct span span;
    const struct log_field more[] = {{"route", "/tasks/{id}", 0}, {"sockets", NULL, 2}};
    char expected[200];
    (void)state;
    span_begin_as(&span, PARENT, "0123456789abcdef", 1500000);
    span.start_us = 1706907323000045; /* 2024-02-02T20:55:23Z */
    const char *line = ended(&span, more, 2);
    assert_true(has(line, "\"message\":\"span deliver\""));
    assert_true(has(line, ",\"trace_id\":\"" TRACE "\",\"span_id\":\"0123456789abcdef\","
                          "\"parent_span_id\":\"00f067aa0ba902b7\",\"name\":\"deliver\",\"service\":\"unit\","
                          "\"start\":\"2024-02-02T20:55:23.000045Z\",\"duration_us\":"));
    const char *duration = strstr(line, "\"duration_us\":") + strlen("\"duration_us\":");
    assert_true(strtoll(duration, NULL, 10) >= 1500000);
    snprintf(expected, sizeof expected, "%lld,\"route\":\"/tasks/{id}\",\"sockets\":2}\n",
             strtoll(duration, NULL, 10));
    assert_string_equal(duration, expected);
}

static void test_the_line_in_text(void **state)
{
    struct span span;
    (void)state;
    log_init("unit", LOG_TEXT, LOG_INFO);
    span_begin_as(&span, PARENT, "0123456789abcdef", -1000000); /* a clock that was set: never less than 0 */
    const char *line = ended(&span, &(struct log_field){"sockets", NULL, 0}, 1);
    assert_true(has(line, "] span deliver trace_id=" TRACE " span_id=0123456789abcdef "
                          "parent_span_id=00f067aa0ba902b7 name=deliver service=unit start=20"));
    assert_true(has(line, "Z duration_us=0 sockets=0\n"));
}

static void test_no_span_no_line(void **state)
{
    struct span none = {.traceparent = ""}, span;
    (void)state;
    log_init("unit", LOG_JSON, LOG_WARN);
    span_begin(&span, PARENT, 0);
    assert_string_equal(ended(&span, NULL, 0), "");
    log_init("unit", LOG_JSON, LOG_INFO);
    assert_string_equal(ended(&none, NULL, 0), "");
}

int main(void)
{
#define TRACED(test) cmocka_unit_test_setup_teardown(test, switch_on, switch_off)
    const struct CMUnitTest tests[] = {
        TRACED(test_valid),
        TRACED(test_not_valid),
        TRACED(test_only_sampled_ones_are_wanted),
        TRACED(test_a_child),
        TRACED(test_a_trace_begins),
        TRACED(test_the_line),
        TRACED(test_the_line_in_text),
        TRACED(test_no_span_no_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
