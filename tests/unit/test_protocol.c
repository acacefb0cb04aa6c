/* SPDX-License-Identifier: MIT */
/* Browsers' messages, and the exact texts of the answers. */
#include "tests/unit/unit.h"

#include <string.h>

#include "ws-notifier/protocol.h"

static struct protocol_message parse(const char *text)
{
    struct protocol_message message;
    char why[PROTOCOL_WHY_SIZE] = "";
    if (protocol_parse(text, strlen(text), &message, why) != ERR_OK)
        fail_msg("%s: %s", text, why);
    return message;
}

static void test_subscribe(void **state)
{
    (void)state;
    struct protocol_message message = parse("{\"type\":\"subscribe\",\"user_id\":1}");
    assert_int_equal(message.kind, PROTOCOL_SUBSCRIBE);
    assert_int_equal(message.user_id, 1);
    assert_int_equal(message.since_kind, SINCE_ABSENT);
    assert_string_equal(message.text, "{\"type\":\"subscribe\",\"user_id\":1}");
    protocol_clear(&message);
    protocol_clear(&message);

    message = parse("{\"type\":\"subscribe\",\"user_id\":4294967295,\"since\":null}");
    assert_int_equal(message.user_id, 4294967295);
    assert_int_equal(message.since_kind, SINCE_NULL);
    protocol_clear(&message);

    message = parse("{\"type\":\"subscribe\",\"user_id\":7,\"since\":\"k3f9a1c2:42:1700000000\"}");
    assert_int_equal(message.since_kind, SINCE_CURSOR);
    assert_string_equal(message.since.epoch, "k3f9a1c2");
    assert_int_equal(message.since.seq, 42);
    assert_int_equal(message.since.time_s, 1700000000);
    protocol_clear(&message);
}

static void test_ping(void **state)
{
    (void)state;
    struct protocol_message message = parse("{\"type\":\"ping\"}");
    assert_int_equal(message.kind, PROTOCOL_PING);
    assert_int_equal(message.user_id, 0);
    protocol_clear(&message);
}

/* The echo keeps the order of the keys and loses the white space; a token is never repeated or logged. */
static void test_echo(void **state)
{
    (void)state;
    struct protocol_message message = parse(" { \"user_id\" : 1 ,\n \"type\" : \"subscribe\" } ");
    assert_string_equal(message.text, "{\"user_id\":1,\"type\":\"subscribe\"}");
    protocol_clear(&message);
    message = parse("{\"token\":\"secret\",\"type\":\"subscribe\",\"user_id\":1}");
    assert_string_equal(message.text, "{\"type\":\"subscribe\",\"user_id\":1}");
    protocol_clear(&message);
    message = parse("{\"type\":\"unsubscribe\",\"user_id\":9}");
    assert_int_equal(message.kind, PROTOCOL_UNSUBSCRIBE);
    assert_string_equal(message.text, "{\"type\":\"unsubscribe\",\"user_id\":9}");
    protocol_clear(&message);
}

static void test_refused(void **state)
{
    (void)state;
    const char *const texts[] = {
        "",
        " ",
        "nonsense",
        "null",
        "1",
        "\"subscribe\"",
        "[]",
        "{}",
        "{\"type\":\"subscribe\"}",
        "{\"user_id\":1}",
        "{\"type\":\"publish\",\"user_id\":1}",
        "{\"type\":1,\"user_id\":1}",
        "{\"type\":null,\"user_id\":1}",
        "{\"Type\":\"subscribe\",\"user_id\":1}",
        "{\"type\":\"subscribe\",\"user_id\":\"1\"}",
        "{\"type\":\"subscribe\",\"user_id\":0}",
        "{\"type\":\"subscribe\",\"user_id\":-1}",
        "{\"type\":\"subscribe\",\"user_id\":1.5}",
        "{\"type\":\"subscribe\",\"user_id\":4294967296}",
        "{\"type\":\"subscribe\",\"user_id\":1e400}",
        "{\"type\":\"subscribe\",\"user_id\":true}",
        "{\"type\":\"subscribe\",\"user_id\":null}",
        "{\"type\":\"subscribe\",\"user_id\":[1]}",
        "{\"type\":\"subscribe\",\"user_id\":1,\"user_id\":2}",
        "{\"type\":\"subscribe\",\"user_id\":1,\"since\":1}",
        "{\"type\":\"subscribe\",\"user_id\":1,\"since\":\"\"}",
        "{\"type\":\"subscribe\",\"user_id\":1,\"since\":\"a\"}",
        "{\"type\":\"subscribe\",\"user_id\":1,\"since\":\"a:1:2:3\"}",
        "{\"type\":\"subscribe\",\"user_id\":1,\"token\":1}",
        "{\"type\":\"subscribe\",\"user_id\":1,\"sinse\":null}",
        "{\"type\":\"unsubscribe\",\"user_id\":1,\"since\":null}",
        "{\"type\":\"ping\",\"user_id\":1}",
        "{\"type\":\"ping\",\"token\":\"x\"}",
        "{\"type\":\"ping\",\"id\":1}",
        "{\"type\":\"pong\"}",
        "{\"type\":\"subscribe\",\"user_id\":1}}",
        "{\"type\":\"subscribe\",\"user_id\":1} {}",
        "{\"type\":\"subscribe\\u0000\",\"user_id\":1}",
        "{\"type\":\"subscribe\",\"user_id\":1,\"x\":\"\xff\"}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct protocol_message message;
        char why[PROTOCOL_WHY_SIZE] = "";
        if (protocol_parse(texts[i], strlen(texts[i]), &message, why) != ERR_INVALID)
            fail_msg("taken: %s", texts[i]);
        assert_null(message.text);
        assert_true(strlen(why) > 10);
    }
}

static void test_texts(void **state)
{
    (void)state;
    struct strbuf out = {0};
    struct cursor cursor = {.epoch = "k3f9a1c2", .seq = 42, .time_s = 1700000000};
    struct cursor until = {.epoch = "k3f9a1c2", .seq = 45};

    protocol_error(&out, "bad_request", "say \"please\"");
    assert_string_equal(out.text,
                        "{\"type\":\"error\",\"code\":\"bad_request\",\"message\":\"say \\\"please\\\"\"}");
    strbuf_clear(&out);
    protocol_heartbeat(&out, 1, &cursor);
    assert_string_equal(out.text,
                        "{\"type\":\"heartbeat\",\"user_id\":1,\"cursor\":\"k3f9a1c2:42:1700000000\"}");
    strbuf_clear(&out);
    protocol_reset(&out, 1, &cursor, "lost");
    assert_string_equal(
        out.text,
        "{\"type\":\"reset\",\"user_id\":1,\"cursor\":\"k3f9a1c2:42:1700000000\",\"reason\":\"lost\"}");
    strbuf_clear(&out);
    protocol_subscribed(&out, 1, &cursor, 3, &until, NULL);
    assert_string_equal(out.text,
                        "{\"type\":\"subscribe\",\"user_id\":1,\"cursor\":\"k3f9a1c2:42:1700000000\","
                        "\"recovered\":true,\"replayed\":3,\"until\":\"k3f9a1c2:45\"}");
    strbuf_clear(&out);
    protocol_subscribed(&out, 1, &cursor, 0, &cursor, NULL);
    assert_string_equal(out.text,
                        "{\"type\":\"subscribe\",\"user_id\":1,\"cursor\":\"k3f9a1c2:42:1700000000\","
                        "\"recovered\":true,\"replayed\":0}");
    strbuf_clear(&out);
    protocol_subscribed(&out, 1, &cursor, 0, &cursor, "truncated");
    assert_string_equal(out.text,
                        "{\"type\":\"subscribe\",\"user_id\":1,\"cursor\":\"k3f9a1c2:42:1700000000\","
                        "\"recovered\":false,\"replayed\":0,\"reason\":\"truncated\"}");
    strbuf_free(&out);
}

static void test_adopt(void **state)
{
    (void)state;
    struct strbuf out = {0};
    const char *why = NULL;
    uint32_t user_id = 0;
    const char body[] = "{ \"task\": {\"id\":1,\"user_id\":5,\"content\":\"Acheter du pain \xc3\xa9\"}, "
                        "\"message\": \"hi\", \"x\": 1 }";

    assert_int_equal(protocol_adopt(body, strlen(body), &user_id, &out, &why), ERR_OK);
    assert_int_equal(user_id, 5);
    assert_string_equal(out.text,
                        "{\"type\":\"notification\",\"message\":\"hi\",\"task\":{\"id\":1,\"user_id\":5,"
                        "\"content\":\"Acheter du pain \xc3\xa9\"}}");
    strbuf_clear(&out);

    const char *const refused[] = {"",
                                   "nope",
                                   "[]",
                                   "{}",
                                   "{\"message\":\"m\"}",
                                   "{\"task\":{\"user_id\":1}}",
                                   "{\"message\":1,\"task\":{\"user_id\":1}}",
                                   "{\"message\":\"m\",\"task\":[]}",
                                   "{\"message\":\"m\",\"task\":{}}",
                                   "{\"message\":\"m\",\"task\":{\"user_id\":\"1\"}}",
                                   "{\"message\":\"m\",\"task\":{\"user_id\":0}}",
                                   "{\"message\":\"m\",\"task\":{\"user_id\":1}} x"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        why = NULL;
        assert_int_equal(protocol_adopt(refused[i], strlen(refused[i]), &user_id, &out, &why), ERR_INVALID);
        assert_non_null(why);
        assert_int_equal(out.length, 0);
    }
    strbuf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subscribe), cmocka_unit_test(test_ping),  cmocka_unit_test(test_echo),
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_texts), cmocka_unit_test(test_adopt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
