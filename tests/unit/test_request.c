/* SPDX-License-Identifier: MIT */
/* Reading a request from FastCGI parameters and body bytes, and the headers that are used. */
#include "tests/unit/unit.h"

#include <string.h>

#include "fcgi-api/api/idempotency.h"
#include "fcgi-api/http/etag.h"
#include "fcgi-api/http/media_type.h"
#include "fcgi-api/http/request.h"

#define PARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static struct request request;

static void begin(const char *const *parameters)
{
    request_end(&request);
    request_begin(&request, (char *const *)parameters);
}

#define BEGIN(...) begin((const char *const[]){__VA_ARGS__, NULL})

static void test_reads_what_nginx_passes(void **state)
{
    (void)state;
    BEGIN("REQUEST_METHOD=PATCH", "REQUEST_URI=/t%61sks/1?limit=5&a=b", "REQUEST_ID=abc.DEF_1-2",
          "REQUEST_START=1704214800.123", "HTTP_TRACEPARENT=" PARENT, "HTTP_IF_MATCH=\"1\"",
          "CONTENT_TYPE=", "NOT_OURS=x", "NOEQUALS");
    assert_int_equal(request.fault, REQUEST_SOUND);
    assert_int_equal(request.method, METHOD_PATCH);
    assert_string_equal(request.path, "/tasks/1");
    assert_int_equal(request.raw_path_length, strlen("/t%61sks/1"));
    assert_string_equal(request.query, "limit=5&a=b");
    assert_string_equal(request.id, "abc.DEF_1-2");
    assert_true(request.sent_at_ms == 1704214800123);
    assert_string_equal(request.traceparent, PARENT);
    assert_string_equal(request.if_match, "\"1\"");
    assert_null(request.if_none_match);
    assert_null(request.idempotency_key);
}

static void test_forgets_the_one_before(void **state)
{
    (void)state;
    BEGIN("REQUEST_METHOD=GET", "REQUEST_URI=/%zz", "HTTP_IF_MATCH=x");
    assert_int_equal(request.fault, REQUEST_URI_MALFORMED);
    BEGIN("REQUEST_METHOD=GET", "REQUEST_URI=/");
    assert_int_equal(request.fault, REQUEST_SOUND);
    assert_null(request.if_match);
    assert_int_equal(request.sent_at_ms, 0);
    assert_string_equal(request.traceparent, "");
}

static void test_bears_missing_parameters(void **state)
{
    (void)state;
    begin((const char *const[]){NULL});
    assert_int_equal(request.method, METHOD_OTHER);
    assert_string_equal(request.path, "");
    assert_string_equal(request.query, "");
    assert_int_equal(strlen(request.id), 32);
}

static void test_methods(void **state)
{
    (void)state;
    BEGIN("REQUEST_METHOD=DELETE");
    assert_int_equal(request.method, METHOD_DELETE);
    BEGIN("REQUEST_METHOD=get");
    assert_int_equal(request.method, METHOD_OTHER);
    BEGIN("REQUEST_METHOD=");
    assert_int_equal(request.method, METHOD_OTHER);
}

static void test_request_id(void **state)
{
    char long_id[100] = "HTTP_X_REQUEST_ID=";
    (void)state;
    BEGIN("HTTP_X_REQUEST_ID=mine");
    assert_string_equal(request.id, "mine");
    BEGIN("REQUEST_ID=a b", "HTTP_X_REQUEST_ID=mine");
    assert_string_equal(request.id, "mine");
    BEGIN("REQUEST_ID=", "HTTP_X_REQUEST_ID=<script>");
    assert_int_equal(strspn(request.id, "0123456789abcdef"), 32);
    memset(long_id + strlen(long_id), 'x', 65);
    BEGIN(long_id);
    assert_int_equal(strlen(request.id), 32);
    long_id[strlen(long_id) - 1] = '\0';
    BEGIN(long_id);
    assert_int_equal(strlen(request.id), 64);
}

static void test_traceparent(void **state)
{
    static const char *const wrong[] = {
        "HTTP_TRACEPARENT=",
        "HTTP_TRACEPARENT=nonsense",
        "HTTP_TRACEPARENT=" PARENT "0",
        "HTTP_TRACEPARENT=ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "HTTP_TRACEPARENT=00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "HTTP_TRACEPARENT=00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "HTTP_TRACEPARENT=00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "HTTP_TRACEPARENT=00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "HTTP_TRACEPARENT=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0z",
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        BEGIN(wrong[i]);
        assert_string_equal(request.traceparent, "");
    }
}

static void test_start_time(void **state)
{
    static const char *const wrong[] = {"REQUEST_START=",
                                        "REQUEST_START=-1.000",
                                        "REQUEST_START=1704214800",
                                        "REQUEST_START=1704214800.1",
                                        "REQUEST_START=x.123",
                                        "REQUEST_START=1704214800.1234",
                                        "REQUEST_START=99999999999999999999.123"};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        BEGIN(wrong[i]);
        assert_int_equal(request.sent_at_ms, 0);
    }
}

static void test_long_uri(void **state)
{
    static char parameter[16 + URI_MAX + 2] = "REQUEST_URI=";
    size_t start = strlen(parameter);
    (void)state;
    memset(parameter + start, '/', URI_MAX);
    BEGIN(parameter);
    assert_int_equal(request.fault, REQUEST_SOUND);
    parameter[start + URI_MAX] = '/';
    BEGIN(parameter);
    assert_int_equal(request.fault, REQUEST_URI_TOO_LONG);
    assert_string_equal(request.query, "");
}

static void test_twice(void **state)
{
    (void)state;
    BEGIN("HTTP_IF_MATCH=\"1\"", "HTTP_IF_MATCH=\"2\"");
    assert_int_equal(request.fault, REQUEST_HEADER_TWICE);
    BEGIN("CONTENT_TYPE=a", "CONTENT_TYPE=b");
    assert_int_equal(request.fault, REQUEST_SOUND);
}

/* ---- body ---------------------------------------------------------------------------------------- */

struct source {
    size_t left;
};

static int give(void *context, char *buffer, int size)
{
    struct source *source = context;
    size_t got = source->left < (size_t)size ? source->left : (size_t)size;
    memset(buffer, 'x', got);
    source->left -= got;
    return (int)got;
}

static void read_body(const char *content_length, size_t length)
{
    struct source source = {length};
    BEGIN(content_length);
    request_read_body(&request, 65536, give, &source);
    assert_int_equal(source.left, 0);
}

static void test_body(void **state)
{
    (void)state;
    read_body("CONTENT_LENGTH=", 0);
    assert_int_equal(request.fault, REQUEST_SOUND);
    read_body("CONTENT_LENGTH=20000", 20000);
    assert_int_equal(request.fault, REQUEST_SOUND);
    assert_int_equal(request.body.length, 20000);
    read_body("CONTENT_LENGTH=65536", 65536);
    assert_int_equal(request.fault, REQUEST_SOUND);
    assert_int_equal(request.body.length, 65536);
    read_body("X=", 8192); /* chunked: no length was announced */
    assert_int_equal(request.fault, REQUEST_SOUND);
    assert_int_equal(request.body.length, 8192);
}

static void test_body_too_large_is_read_away(void **state)
{
    (void)state;
    read_body("CONTENT_LENGTH=65537", 65537);
    assert_int_equal(request.fault, REQUEST_BODY_TOO_LARGE);
    assert_int_equal(request.body.length, 0);
    read_body("CONTENT_LENGTH=10000000", 10000000);
    assert_int_equal(request.fault, REQUEST_BODY_TOO_LARGE);
}

static void test_body_cut(void **state)
{
    (void)state;
    read_body("CONTENT_LENGTH=100", 50);
    assert_int_equal(request.fault, REQUEST_BODY_CUT);
    read_body("CONTENT_LENGTH=50", 100);
    assert_int_equal(request.fault, REQUEST_BODY_CUT);
}

/* ---- headers ------------------------------------------------------------------------------------- */

static void test_etags(void **state)
{
    (void)state;
    assert_true(etag_matches(ETAG_STRONGLY, "*", "\"3\""));
    assert_true(etag_matches(ETAG_STRONGLY, "\"3\"", "\"3\""));
    assert_true(etag_matches(ETAG_STRONGLY, "\"9\" , W/\"4\",,\"abc\",\t\"03\", \"12\"", "\"12\""));
    assert_false(etag_matches(ETAG_STRONGLY, "\"03\"", "\"3\""));
    assert_false(etag_matches(ETAG_STRONGLY, "W/\"4\"", "\"4\""));
    assert_false(etag_matches(ETAG_STRONGLY, "W/\"4\"", "W/\"4\""));
    assert_true(etag_matches(ETAG_WEAKLY, "W/\"4\"", "\"4\""));
    assert_true(etag_matches(ETAG_WEAKLY, "\"7\", \"a,b\"", "W/\"a,b\""));
    assert_true(etag_matches(ETAG_WEAKLY, "\"0\"", "\"0\""));
    assert_false(etag_matches(ETAG_WEAKLY, "1", "\"1\""));
    assert_false(etag_matches(ETAG_WEAKLY, "", "\"1\""));
}

static void test_etags_well_formed(void **state)
{
    static const char *const right[] = {"*", "\"3\"", "W/\"3\",\"\"", ", \"a\" ,,\"b\" ,"};
    static const char *const wrong[] = {"",         "3",       "\"3",    "\"3\" \"4\"", "**",
                                        "*, \"3\"", "w/\"3\"", "\"3\"x", ", ,",         "W/"};
    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
        assert_int_equal(etag_check(right[i]), ERR_OK);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(etag_check(wrong[i]), ERR_INVALID);
}

/* A string of RFC 9651 names the same key as the bare text. */
static void test_quoted_idempotency_key(void **state)
{
    static const char *const wrong[] = {"HTTP_IDEMPOTENCY_KEY=\"",      "HTTP_IDEMPOTENCY_KEY=\"\"",
                                        "HTTP_IDEMPOTENCY_KEY=\"k",     "HTTP_IDEMPOTENCY_KEY=\"k\"x",
                                        "HTTP_IDEMPOTENCY_KEY=\"\\k\"", "HTTP_IDEMPOTENCY_KEY=\"k\\"};
    struct store_idempotency key;
    (void)state;
    BEGIN("HTTP_IDEMPOTENCY_KEY=\"k\"");
    assert_int_equal(idempotency_read(&request, &key), ERR_OK);
    assert_string_equal(key.key, "k");
    BEGIN("HTTP_IDEMPOTENCY_KEY=\"a\\\"\\\\b\"");
    assert_int_equal(idempotency_read(&request, &key), ERR_OK);
    assert_string_equal(key.key, "a\"\\b");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        BEGIN(wrong[i]);
        assert_int_equal(idempotency_read(&request, &key), ERR_INVALID);
    }
}

static void test_idempotency_key(void **state)
{
    struct store_idempotency first, second;
    char longest[32 + IDEMPOTENCY_KEY_MAX + 2] = "HTTP_IDEMPOTENCY_KEY=";
    size_t start = strlen(longest);
    (void)state;
    BEGIN("REQUEST_METHOD=POST");
    assert_int_equal(idempotency_read(&request, &first), ERR_OK);
    assert_string_equal(first.key, "");
    BEGIN("HTTP_IDEMPOTENCY_KEY=");
    assert_int_equal(idempotency_read(&request, &first), ERR_INVALID);
    BEGIN("HTTP_IDEMPOTENCY_KEY=a b");
    assert_int_equal(idempotency_read(&request, &first), ERR_INVALID);
    BEGIN("HTTP_IDEMPOTENCY_KEY=\xc3\xa9");
    assert_int_equal(idempotency_read(&request, &first), ERR_INVALID);
    memset(longest + start, 'k', IDEMPOTENCY_KEY_MAX);
    BEGIN("REQUEST_METHOD=POST", longest, "REQUEST_URI=/tasks");
    assert_int_equal(idempotency_read(&request, &first), ERR_OK);
    assert_int_equal(strlen(first.key), IDEMPOTENCY_KEY_MAX);
    strbuf_add_text(&request.body, "{}");
    assert_int_equal(idempotency_read(&request, &second), ERR_OK);
    assert_memory_not_equal(first.request_hash, second.request_hash, 32);
    longest[start + IDEMPOTENCY_KEY_MAX] = 'k';
    BEGIN(longest);
    assert_int_equal(idempotency_read(&request, &first), ERR_INVALID);
}

static void test_media_types(void **state)
{
    static const char *const fine[] = {"",
                                       "application/json",
                                       "application/json; charset=utf-8",
                                       "text/plain",
                                       "nonsense",
                                       "application/x-www-form-urlencoded",
                                       "text/json",
                                       "application/merge-patch+json"};
    static const char *const other[] = {"multipart/form-data; boundary=x",
                                        "application/xml",
                                        "TEXT/XML; charset=utf-8",
                                        "application/soap+xml",
                                        "image/png",
                                        "application/x-yaml",
                                        "application/json-patch+json",
                                        "Application/JSON-Patch+JSON; charset=utf-8",
                                        "application/json-seq"};
    (void)state;
    assert_true(media_type_may_be_json(NULL));
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        assert_true(media_type_may_be_json(fine[i]));
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        assert_false(media_type_may_be_json(other[i]));
    assert_true(media_type_is_plain(NULL));
    assert_true(media_type_is_plain("identity"));
    assert_false(media_type_is_plain("gzip"));
}

static int tidy_up(void **state)
{
    (void)state;
    request_free(&request);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_what_nginx_passes),
        cmocka_unit_test(test_forgets_the_one_before),
        cmocka_unit_test(test_bears_missing_parameters),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_request_id),
        cmocka_unit_test(test_traceparent),
        cmocka_unit_test(test_start_time),
        cmocka_unit_test(test_long_uri),
        cmocka_unit_test(test_twice),
        cmocka_unit_test(test_body),
        cmocka_unit_test(test_body_too_large_is_read_away),
        cmocka_unit_test(test_body_cut),
        cmocka_unit_test(test_etags),
        cmocka_unit_test(test_etags_well_formed),
        cmocka_unit_test(test_quoted_idempotency_key),
        cmocka_unit_test(test_idempotency_key),
        cmocka_unit_test(test_media_types),
    };
    return cmocka_run_group_tests(tests, NULL, tidy_up);
}
