/* SPDX-License-Identifier: MIT */
/* Strict JSON: everything that cJSON accepts and the service does not. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/json_fault.h"

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

static void check_member(const char *text, int index, const char *wanted)
{
    size_t size = 0;
    const char *found = json_member_text(text, strlen(text), index, &size);
    assert_int_equal(size, strlen(wanted));
    assert_memory_equal(found, wanted, size);
}

/* By its text and by its place: a key may be written in several ways. */
static void test_member_text(void **state)
{
    static const char text[] =
        " { \"a\" : 1.50 ,\"d\\u0061ta\":\t{\"x\":\"},\\\"]{\", \"y\":[1 ,{}]} , \"e\":\"a,b\"\n, "
        "\"f\":[[],{\"g\":[]}]\n}";
    (void)state;
    check_member(text, 0, "1.50");
    check_member(text, 1, "{\"x\":\"},\\\"]{\", \"y\":[1 ,{}]}");
    check_member(text, 2, "\"a,b\"");
    check_member(text, 3, "[[],{\"g\":[]}]");
    check_member("{\"\":{}}", 0, "{}");
    check_member("{\"a\\\"}\":null}", 0, "null");
}

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
    REFUSES("[1]", "is a list, not a JSON object");
    REFUSES(" 1", "is a number, not a JSON object");
    REFUSES("\"a\"", "is a string, not a JSON object");
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

/* Where each stops being JSON, and a part of the message about that place and about the whole. */
static void test_faults(void **state)
{
    static const struct {
        const char *text;
        size_t line, column;
        const char *what, *looks_like;
    } cases[] = {
        {"'{status:1}'", 1, 1, "double quotes, not in single", "cmd.exe"},
        {"{status:1}", 1, 2, "some shells take them away", NULL},
        {"{'status':1}", 1, 2, "not in single ones", NULL},
        {"{\\\"status\\\":1}", 1, 2, "a name in double quotes is missing", "escaped twice"},
        {"status=1&content=a+b", 1, 1, "no value begins so", "a form"},
        {"{\"status\":1,}", 1, 13, "a comma with nothing behind it", NULL},
        {"{\"a\":[1,]}", 1, 9, "a comma with nothing behind it", NULL},
        {"{\n \"a\": 1\n \"b\": 2}", 3, 2, "',' or '}' is missing", NULL},
        {"{\"a\" 1}", 1, 6, "a ':' is missing", NULL},
        {"{\"a\":}", 1, 6, "a value is missing", NULL},
        {"{\"a\":True}", 1, 6, "only words are true, false and null", NULL},
        {"{\"a\":1 // one\n}", 1, 8, "',' or '}' is missing", NULL},
        {"// one\n{}", 1, 1, "no comments", NULL},
        {"{\"content\":\"\\ud83d\"}", 1, 13, "half of a character", NULL},
        {"{\"content\":\"\\ude00\\ud83d\"}", 1, 13, "half of a character", NULL},
        {"{\"content\":\"\\x41\"}", 1, 13, "escapes nothing", NULL},
        {"{\"content\":\"\\u12\"}", 1, 13, "four hexadecimal digits", NULL},
        {"{\"content\":\"two\nlines\"}", 1, 16, "a line break is \\n", NULL},
        {"{\"content\":\"\xc3\xa9\xc3\xa9 \xe9\"}", 1, 16, "no valid UTF-8", NULL},
        {"{\"content\":\"open", 1, 17, "closing quote is missing", NULL},
        {"{\"content\":", 1, 12, "ends too early", NULL},
        {"   ", 1, 4, "ends too early", NULL},
        {"{\"status\":01}", 1, 12, "does not begin with 0", NULL},
        {"{\"status\":1.}", 1, 13, "behind the point", NULL},
        {"{\"status\":1}}", 1, 13, "something behind the JSON value", NULL},
        {"{\xe2\x80\x9cstatus\xe2\x80\x9d:1}", 1, 2, "typographic", NULL},
        {"<status>1</status>", 1, 1, "no value begins so", "XML"},
        {"@task.json", 1, 1, "no value begins so", "a file"},
        {"\xff\xfe{", 1, 1, "no valid UTF-8", "UTF-16"},
        {"\xef\xbb\xbf{}", 1, 1, "byte order mark", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct json_fault fault = json_find_fault(cases[i].text, strlen(cases[i].text));
        assert_non_null(refusal(cases[i].text, strlen(cases[i].text)));
        assert_non_null(fault.what);
        assert_non_null(strstr(fault.what, cases[i].what));
        assert_int_equal(fault.line, cases[i].line);
        assert_int_equal(fault.column, cases[i].column);
        assert_int_equal(fault.looks_like != NULL, cases[i].looks_like != NULL);
        if (cases[i].looks_like != NULL)
            assert_non_null(strstr(fault.looks_like, cases[i].looks_like));
    }
    const char *right = "{\"a\":[1.5e-3,\"\\ud83d\\ude00\",{}],\"a\":null} ";
    assert_null(json_find_fault(right, strlen(right)).what);
    assert_string_equal(json_find_fault("{}\0", 3).what, "a NUL byte");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_member_text),   cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_accepts),       cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_faults),        cmocka_unit_test(test_refuses_depth_and_width),
        cmocka_unit_test(test_whole_numbers),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
