/* Server-Sent Events: requests made into messages, frames made into events. */
#include "tests/unit/unit.h"

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

/* The id is what the browser has when the event has come: the cursor of every frame is that. */
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

/* Whatever another program's message holds, it cannot pass for a cursor. */
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

static void test_subscribe(void **state)
{
    (void)state;
    struct strbuf out = {0};
    assert_int_equal(sse_make_subscribe(&out, "1", ""), ERR_OK);
    assert_string_equal(out.text, "{\"type\":\"subscribe\",\"user_id\":1,\"since\":null}");
    strbuf_clear(&out);
    assert_int_equal(sse_make_subscribe(&out, "2147483647", "a:1:2"), ERR_OK);
    assert_string_equal(out.text, "{\"type\":\"subscribe\",\"user_id\":2147483647,\"since\":\"a:1:2\"}");
    strbuf_clear(&out);
    assert_int_equal(sse_make_subscribe(&out, "1", "\"},{\""), ERR_OK);
    assert_string_equal(out.text, "{\"type\":\"subscribe\",\"user_id\":1,\"since\":\"\\\"},{\\\"\"}");
    strbuf_clear(&out);

    const char *const users[] = {"", "0", "01", "-1", "1.5", "1,\"x\":2", "abc", "12345678901", "1 "};
    for (size_t i = 0; i < sizeof users / sizeof *users; i++)
        assert_int_equal(sse_make_subscribe(&out, users[i], ""), ERR_INVALID);
    assert_int_equal(sse_make_subscribe(&out, "1", "\xff"), ERR_INVALID);
    assert_int_equal(out.length, 0);
    strbuf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_foreign_cursor),
        cmocka_unit_test(test_subscribe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
