/* Strict JSON: everything cJSON forgives and we do not. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"

static const char *refusal(const char *text, size_t length)
{
    cJSON *object = NULL;
    const char *why = NULL;
    enum err err = json_parse_object(text, length, &object, &why);
    if (err == ERR_OK) {
        assert_non_null(object);
        cJSON_Delete(object);
        return NULL;
    }
    assert_int_equal(err, ERR_INVALID);
    assert_null(object);
    assert_non_null(why);
    return why;
}

#define ACCEPTS(text)      assert_null(refusal(text, sizeof(text) - 1))
#define REFUSES(text, why) assert_string_equal(refusal(text, sizeof(text) - 1), why)

static void test_accepts(void **state)
{
    (void)state;
    ACCEPTS("{}");
    ACCEPTS(" {\"a\":1} \r\n\t");
    ACCEPTS("{\"a\":{\"b\":1},\"b\":[{\"b\":2},{\"b\":3}]}");
    ACCEPTS("{\"a\":\"\\\\u0000 is text, [[[[ too\"}");
    ACCEPTS("{\"a\":-0.5e+10,\"b\":0,\"c\":\"1.e, 01\"}");
    ACCEPTS("{\"a\":\"\xf0\x9f\x8d\x9e\"}");
}

static void test_refuses(void **state)
{
    (void)state;
    REFUSES("", "is empty");
    REFUSES("   ", "is not valid JSON");
    REFUSES("\xef\xbb\xbf{}", "begins with a byte order mark");
    REFUSES("{\"a\":1", "is not valid JSON");
    REFUSES("{'a':1}", "is not valid JSON");
    REFUSES("[1]", "is not a JSON object");
    REFUSES("\"a\"", "is not a JSON object");
    REFUSES("null", "is not a JSON object");
    REFUSES("{} x", "has something behind the JSON value");
    REFUSES("{}{}", "has something behind the JSON value");
    REFUSES("{}\0", "contains a NUL byte");
    REFUSES("{\"a\":1,\"b\":2,\"a\":3}", "has the same key twice in one object");
    REFUSES("{\"x\":[{\"a\":1,\"\\u0061\":3}]}", "has the same key twice in one object");
    REFUSES("{\"a\":\"x\\u0000y\"}", "contains \\u0000");
    REFUSES("{\"a\":\"\xc3\x28\"}", "is not valid UTF-8");
    REFUSES("{\"a\":\"\xed\xa0\x80\"}", "is not valid UTF-8");
    REFUSES("{\"a\":\"\xc0\xaf\"}", "is not valid UTF-8");
    REFUSES("{\"a\":\"line\nbreak\"}", "has a control character inside a string");
    REFUSES("{\"a\":\"\\uzzzz\"}", "has a malformed escape"); /* cJSON: as \\u0000 */
    REFUSES("{\"a\":\"\\u00", "has a malformed escape");
    REFUSES("{\"a\":\"\\", "is not valid JSON");
    REFUSES("{\x0b\"a\":1}", "has a control character"); /* RFC 8259 has four kinds of space; cJSON 33 */
    REFUSES("{\"a\":1e400}", "has a number out of range");
    REFUSES("{\"a\":01}", "has a malformed number");
    REFUSES("{\"a\":1.}", "has a malformed number");
    REFUSES("{\"a\":+1}", "has a malformed number");
    REFUSES("{\"a\":.5}", "has a malformed number");
    REFUSES("{\"a\":1e}", "has a malformed number");
}

static void test_refuses_depth_and_width(void **state)
{
    (void)state;
    enum { DEPTH = 10000 };
    char *deep = malloc(DEPTH);
    memset(deep, '[', DEPTH);
    assert_string_equal(refusal(deep, DEPTH), "is nested too deeply");
    free(deep);

    char wide[2000] = "{";
    for (int i = 0; i <= JSON_KEYS_MAX; i++)
        sprintf(wide + strlen(wide), "%s\"k%d\":1", i ? "," : "", i);
    strcat(wide, "}");
    assert_string_equal(refusal(wide, strlen(wide)), "has an object with too many keys");
}

static void check_whole(const char *text, int expected, int64_t value)
{
    cJSON *item = cJSON_Parse(text);
    int64_t number = -7;
    assert_int_equal(json_whole_number(item, -5, 9007199254740991, &number), expected);
    assert_int_equal(number, expected == ERR_OK ? value : -7);
    cJSON_Delete(item);
}

static void test_whole_numbers(void **state)
{
    (void)state;
    check_whole("0", ERR_OK, 0);
    check_whole("-5", ERR_OK, -5);
    check_whole("1.0", ERR_OK, 1);
    check_whole("9007199254740991", ERR_OK, 9007199254740991);
    check_whole("9007199254740993", ERR_INVALID, 0);
    check_whole("-6", ERR_INVALID, 0);
    check_whole("1.5", ERR_INVALID, 0);
    check_whole("true", ERR_INVALID, 0);
    check_whole("\"1\"", ERR_INVALID, 0);
    check_whole("null", ERR_INVALID, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_refuses_depth_and_width),
        cmocka_unit_test(test_whole_numbers),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
