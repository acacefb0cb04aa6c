/* SPDX-License-Identifier: MIT */
/* Addresses: percent-encoding and the typed query. */
#include "tests/unit/unit.h"

#include <string.h>

#include "fcgi-api/http/query.h"

static void test_decodes(void **state)
{
    char out[64];
    (void)state;
    assert_int_equal(uri_decode(URI_PATH, "/t%61sks/1", 10, out), ERR_OK);
    assert_string_equal(out, "/tasks/1");
    assert_int_equal(uri_decode(URI_PATH, "a+b", 3, out), ERR_OK);
    assert_string_equal(out, "a+b");
    assert_int_equal(uri_decode(URI_QUERY, "a+b%2B", 6, out), ERR_OK);
    assert_string_equal(out, "a b+");
    assert_int_equal(uri_decode(URI_QUERY, "%F0%9f%A5%96", 12, out), ERR_OK);
    assert_string_equal(out, "\xf0\x9f\xa5\x96");
    assert_int_equal(uri_decode(URI_QUERY, "", 0, out), ERR_OK);
    assert_string_equal(out, "");
}

static void test_refuses_malformed_escapes(void **state)
{
    static const char *const malformed[] = {"%",   "%4",  "%zz", "%4z",       "a%",
                                            "%00", "%ff", "%c3", "%ed%a0%80", "\xff"};
    char out[64];
    (void)state;
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
        assert_int_equal(uri_decode(URI_QUERY, malformed[i], strlen(malformed[i]), out), ERR_INVALID);
}

static void test_encodes(void **state)
{
    struct strbuf out = {0};
    (void)state;
    uri_add_component(&out, "k3:42 &=#\xc3\xa9\n");
    assert_string_equal(out.text, "k3:42%20%26%3D%23%C3%A9%0A");
    strbuf_clear(&out);
    uri_add_path(&out, "/tasks/%31\"<>\xff\n", 15);
    assert_string_equal(out.text, "/tasks/%31%22%3C%3E%FF%0A");
    strbuf_free(&out);
}

static void test_numbers(void **state)
{
    static const char *const wrong[] = {"",
                                        "-1",
                                        "+1",
                                        "01",
                                        "00",
                                        "1.0",
                                        "1e0",
                                        "1 ",
                                        " 1",
                                        "2147483648",
                                        "0x1",
                                        "abc",
                                        "٣",
                                        "--1",
                                        "1-",
                                        "18446744073709551617",
                                        "99999999999999999999999999"};
    int64_t number = -7;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(query_parse_number(wrong[i], strlen(wrong[i]), 0, 2147483647, &number));
    assert_int_equal(number, -7);
    assert_true(query_parse_number("0", 1, 0, 2147483647, &number));
    assert_int_equal(number, 0);
    assert_true(query_parse_number("2147483647", 10, 0, 2147483647, &number));
    assert_int_equal(number, 2147483647);
    assert_false(query_parse_number("0", 1, 1, 2147483647, &number));
}

/* Reads `raw` as GET /tasks does, in short; returns the only complaint's field, NULL when there is none. */
static const char *complaint(const char *raw)
{
    static struct query query;
    static struct field_errors errors;
    errors.count = 0;
    query_begin(&query, raw, &errors);
    query_number(&query, "user_id", 1, 2147483647, 0, &errors);
    query_number(&query, "limit", 1, 200, 50, &errors);
    query_end(&query, &errors);
    assert_in_range(errors.count, 0, 1);
    return errors.count == 1 ? errors.list[0].field : NULL;
}

static void test_reads_strictly(void **state)
{
    (void)state;
    assert_null(complaint(""));
    assert_null(complaint("limit=200"));
    assert_null(complaint("%6cimit=5&&user_id=1&"));
    assert_null(complaint("limit=5#limit=9"));
    assert_string_equal(complaint("limit"), "limit");
    assert_string_equal(complaint("limit="), "limit");
    assert_string_equal(complaint("limit=201"), "limit");
    assert_string_equal(complaint("limit=5&limit=5"), "limit");
    assert_string_equal(complaint("limit=%35%00"), "limit");
    assert_string_equal(complaint("limit=%zz"), "limit");
    assert_string_equal(complaint("%zz=1"), "query");
    assert_string_equal(complaint("=1"), "");
    assert_string_equal(complaint("Limit=5"), "Limit");
    assert_string_equal(complaint("user_id=1&x=1"), "x");
}

static void test_takes_values(void **state)
{
    struct query query;
    struct field_errors errors = {0};
    (void)state;
    query_begin(&query, "limit=7&since=k3%3A42", &errors);
    assert_int_equal(query_number(&query, "limit", 1, 200, 50, &errors), 7);
    assert_int_equal(query_number(&query, "after", 0, 10, 3, &errors), 3);
    assert_string_equal(query_text(&query, "since", &errors), "k3:42");
    assert_null(query_text(&query, "other", &errors));
    query_end(&query, &errors);
    assert_int_equal(errors.count, 0);
}

static void test_says_what_is_known(void **state)
{
    struct query query;
    struct field_errors errors = {0};
    (void)state;
    query_begin(&query, "x=1", &errors);
    query_text(&query, "limit", &errors);
    query_text(&query, "after", &errors);
    query_end(&query, &errors);
    assert_string_equal(errors.list[0].message, "is not a parameter of this call (known: limit, after)");
}

static void test_bears_too_much(void **state)
{
    struct query query;
    struct field_errors errors = {0};
    char many[URI_MAX + 1] = "";
    (void)state;
    for (int i = 0; i < URI_MAX / 4; i++)
        strcat(many, "a=b&");
    query_begin(&query, many, &errors);
    query_end(&query, &errors);
    assert_int_equal(query.count, QUERY_PAIRS_MAX);
    assert_int_equal(errors.count, FIELD_ERRORS_MAX);

    errors.count = 0;
    memset(many, '&', URI_MAX);
    memset(many, 'k', 2000);
    query_begin(&query, many, &errors);
    query_end(&query, &errors);
    assert_int_equal(strlen(errors.list[0].field), EXCERPT_MAX + 3);
}

static void test_links_to_the_next_page(void **state)
{
    struct query query;
    struct field_errors errors = {0};
    struct strbuf out = {0};
    (void)state;
    query_begin(&query, "after=1&user_id=7&%6cimit=2", &errors);
    query_add_with(&query, "after", "9", &out);
    assert_string_equal(out.text, "?user_id=7&limit=2&after=9");
    strbuf_clear(&out);
    query_begin(&query, "", &errors);
    query_add_with(&query, "since", "k3:9:1700000000", &out);
    assert_string_equal(out.text, "?since=k3:9:1700000000");
    strbuf_free(&out);
}

static void test_excerpt(void **state)
{
    char out[EXCERPT_SIZE];
    char text[80];
    (void)state;
    excerpt(out, "caf\xc3\xa9", 5);
    assert_string_equal(out, "caf\xc3\xa9");
    excerpt(out, "caf\xc3", 4);
    assert_string_equal(out, "caf?");
    memset(text, 'a', sizeof text);
    memcpy(text + 63, "\xc3\xa9", 2); /* the cut would fall inside */
    excerpt(out, text, sizeof text);
    assert_int_equal(strlen(out), 63 + 3);
    assert_string_equal(out + 63, "...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decodes),
        cmocka_unit_test(test_refuses_malformed_escapes),
        cmocka_unit_test(test_encodes),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_reads_strictly),
        cmocka_unit_test(test_takes_values),
        cmocka_unit_test(test_says_what_is_known),
        cmocka_unit_test(test_bears_too_much),
        cmocka_unit_test(test_links_to_the_next_page),
        cmocka_unit_test(test_excerpt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
