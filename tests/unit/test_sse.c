/* SPDX-License-Identifier: MIT */
/* Server-Sent Events: requests made into messages, frames made into events. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "ws-notifier/sse.h"

static void check_event(const char *frame, const char *event)
{
    struct strbuf out = {0};
    sse_add_event(&out, frame);
    assert_string_equal(out.text, event);
    strbuf_free(&out);
}

static void test_events(void **state)
{
    (void)state;
    check_event("{\"type\":\"notification\",\"event\":\"task.created\",\"cursor\":\"a:1\",\"message\":\"m\"}",
                "id: a:1\ndata: {\"type\":\"notification\",\"event\":\"task.created\",\"cursor\":\"a:1\","
                "\"message\":\"m\"}\n\n");
    check_event(
        "{\"type\":\"heartbeat\",\"user_id\":1,\"cursor\":\"a:1:2\"}",
        "event: heartbeat\nid: a:1:2\ndata: {\"type\":\"heartbeat\",\"user_id\":1,\"cursor\":\"a:1:2\"}\n\n");
    check_event("{\"type\":\"error\",\"code\":\"x\",\"message\":\"y\"}",
                "event: error\ndata: {\"type\":\"error\",\"code\":\"x\",\"message\":\"y\"}\n\n");
}

/* The id is the browser's place after the event, like the cursor of every frame. */
static void test_answers(void **state)
{
    (void)state;
    check_event(
        "{\"type\":\"subscribe\",\"user_id\":1,\"cursor\":\"a:9:2\",\"recovered\":true,\"replayed\":0}",
        "event: subscribe\nid: a:9:2\ndata: {\"type\":\"subscribe\",\"user_id\":1,\"cursor\":\"a:9:2\","
        "\"recovered\":true,\"replayed\":0}\n\n");
    check_event(
        "{\"type\":\"subscribe\",\"user_id\":1,\"cursor\":\"a:9:2\",\"recovered\":true,\"replayed\":10,"
        "\"until\":\"a:19\"}",
        "event: subscribe\nid: a:9:2\ndata: {\"type\":\"subscribe\",\"user_id\":1,\"cursor\":\"a:9:2\","
        "\"recovered\":true,\"replayed\":10,\"until\":\"a:19\"}\n\n");
}

/* No text in another program's message is taken for a cursor. */
static void test_foreign_cursor(void **state)
{
    (void)state;
    const char *const frames[] = {
        "{\"type\":\"notification\",\"message\":\"a,\\\"cursor\\\":\\\"b\",\"task\":{\"cursor\":\"evil\"}}",
        "{\"type\":\"notification\",\"message\":\"m\",\"task\":{\"a\":1,\"cursor\":\"evil\"}}",
        "{\"type\":\"notification\",\"message\":\",\\\"cursor\\\":\\\"evil\"}",
    };
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        struct strbuf out = {0};
        sse_add_event(&out, frames[i]);
        assert_null(strstr(out.text, "id: "));
        strbuf_free(&out);
    }
}

/* Takes "a=1 b=2" (spaces between arguments) and a Last-Event-ID; returns the message, or the errors. */
static const char *ask(const char *arguments, const char *last_event_id, enum err expected)
{
    static char text[1024];
    struct sse_request request = {0};
    struct strbuf out = {0};
    char *rest = text, *argument;

    snprintf(text, sizeof text, "%s", arguments);
    while ((argument = strsep(&rest, " ")) != NULL)
        sse_take_argument(&request, argument);
    sse_take_last_event_id(&request, last_event_id);
    assert_int_equal(sse_make_subscribe(&request, &out), expected);
    snprintf(text, sizeof text, "%s", expected == ERR_OK ? out.text : request.errors.text);
    strbuf_free(&out);
    strbuf_free(&request.errors);
    return text;
}

static void asks(const char *arguments, const char *last_event_id, const char *since)
{
    char expected[256];
    snprintf(expected, sizeof expected, "{\"type\":\"subscribe\",\"user_id\":1,\"since\":%s}", since);
    assert_string_equal(ask(arguments, last_event_id, ERR_OK), expected);
}

static void test_subscribe(void **state)
{
    (void)state;
    asks("user_id=1", "", "null");
    asks("user_id=1 since=", "", "null");
    asks("user_id=1 since=a:1:2", "", "\"a:1:2\"");
    asks(" user_id=1  since=a:1:2 ", "a:2", "\"a:2\"");
    asks("lastEventId=a:3 user_id=1 since=a:1", "", "\"a:3\"");
    asks("lastEventId=a:3 user_id=1 since=a:1", "a:4", "\"a:4\"");
    asks("user_id=1 lastEventId=", "", "null");
    assert_string_equal(ask("user_id=4294967295", "", ERR_OK),
                        "{\"type\":\"subscribe\",\"user_id\":4294967295,\"since\":null}");
}

/* An EventSource may hold an id of another server or a made-up one, with which it reconnects for ever. */
static void test_ids_that_are_no_cursor(void **state)
{
    (void)state;
    const char *const ids[] = {"0", "null", "undefined", "a:b", "\"},{\"", "\xff", "17", "a:1,\ta:2"};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        char argument[64];
        asks("user_id=1 since=a:1", ids[i], "\"unknown:0\"");
        snprintf(argument, sizeof argument, "lastEventId=%s user_id=1", ids[i]);
        asks(argument, "", "\"unknown:0\"");
    }
}

static void complains(const char *arguments, const char *expected)
{
    const char *errors = ask(arguments, "", ERR_INVALID);
    if (strcmp(errors, expected) != 0)
        fail_msg("%s: %s", arguments, errors);
}

#define UNKNOWN "is not a parameter of this call (known: user_id, since, lastEventId)"

static void test_complaints(void **state)
{
    (void)state;
    const char *const users[] = {"",    "0",           "01",         "-1",         "1.5", "1,\"x\":2",
                                 "abc", "12345678901", "4294967296", "9999999999", "1+"};
    for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
        char argument[64];
        snprintf(argument, sizeof argument, "user_id=%s", users[i]);
        complains(argument,
                  "{\"field\":\"user_id\",\"message\":\"must be a whole number from 1 to 4294967295\"}");
    }
    complains("", "{\"field\":\"user_id\",\"message\":\"is missing: whose events are wanted?\"}");
    complains("user_id=1 user_id=2", "{\"field\":\"user_id\",\"message\":\"is given more than once\"}");
    complains("user_id=1 since=a:1 since=a:1",
              "{\"field\":\"since\",\"message\":\"is given more than once\"}");
    complains("user_id=1 since=null",
              "{\"field\":\"since\",\"message\":\"must be a cursor as Event-Cursor and events hold it\"}");
    complains("user_id=1 sinse=a:1", "{\"field\":\"sinse\",\"message\":\"" UNKNOWN "\"}");
    complains("user_id=1 last", "{\"field\":\"last\",\"message\":\"" UNKNOWN "\"}");
    complains("user_id=1 =", "{\"field\":\"\",\"message\":\"" UNKNOWN "\"}");
    complains("user_id=1 \"=1", "{\"field\":\"\\\"\",\"message\":\"" UNKNOWN "\"}");
    complains("user_id=1 \xff=1", "{\"field\":\"query\",\"message\":\"" UNKNOWN "\"}");
    complains("user_id=1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=1",
              "{\"field\":\"query\",\"message\":\"" UNKNOWN "\"}");
    complains("x=1 user_id=0",
              "{\"field\":\"x\",\"message\":\"" UNKNOWN
              "\"},{\"field\":\"user_id\",\"message\":\"must be a whole number from 1 to 4294967295\"}");
}

/* Between its values JSON may have line ends; each line is a line of data, or a reader takes it for a field.
 */
static void test_lines(void **state)
{
    (void)state;
    check_event("{\n\"a\":1,\r\n\"b\":2,\rid: 7\n\n}",
                "data: {\ndata: \"a\":1,\ndata: \"b\":2,\ndata: id: 7\ndata: \ndata: }\n\n");
    check_event("{}\n", "data: {}\ndata: \n\n");
}

static void test_waiting(void **state)
{
    (void)state;
    struct strbuf out = {0};
    const uint32_t randoms[] = {0, 1, 1000, 2000, UINT32_MAX};
    unsigned ms;

    for (size_t i = 0; i < sizeof randoms / sizeof *randoms; i++) {
        strbuf_clear(&out);
        sse_add_retry(&out, 2000, randoms[i]);
        assert_int_equal(sscanf(out.text, "retry: %u\n", &ms), 1);
        assert_in_range(ms, 1000, 3000);
        strbuf_clear(&out);
        sse_add_wait(&out, "limit", "too many", 30, randoms[i]);
        assert_int_equal(sscanf(out.text, "retry: %u\n", &ms), 1);
        assert_in_range(ms, 30000, 60000);
    }
    strbuf_clear(&out);
    sse_add_wait(&out, "limit", "too many", 30, 7);
    assert_string_equal(out.text, "retry: 30007\nevent: error\ndata: {\"type\":\"error\",\"code\":\"limit\","
                                  "\"message\":\"too many\"}\n\n");
    strbuf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_foreign_cursor),
        cmocka_unit_test(test_subscribe),
        cmocka_unit_test(test_ids_that_are_no_cursor),
        cmocka_unit_test(test_complaints),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
