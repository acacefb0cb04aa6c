/* SPDX-License-Identifier: MIT */
/* What each request passes, whatever it asks for: its method, address, query, body, age and conditions, and
 * the database's own refusals. To the byte where it matters, with a store of one task in place of the
 * database. */
#include "tests/unit/exchange.h"

#include "common/clock.h"

static void test_problem(void **state)
{
    (void)state;
    send("GET", "/tasks/%22x%22/..?a=b", "");
    assert_string_equal(wire.text,
                        "Status: 404 Not Found\r\n"
                        "Content-Type: application/problem+json\r\n"
                        "Content-Length: 161\r\n"
                        "Cache-Control: no-store\r\n"
                        "X-Request-Id: test-1\r\n"
                        "\r\n"
                        "{\"type\":\"/problems/not-found\",\"title\":\"Not found\",\"status\":404,"
                        "\"detail\":\"There is nothing at this address.\",\"instance\":\"/tasks/%22x%22/..\","
                        "\"request_id\":\"test-1\"}");
}

static void test_ids_nobody_has(void **state)
{
    static const char *const ids[] = {"0",   "-1",   "01", "4294967296", "18446744073709551617",
                                      "abc", "1%0a", "%ff"};
    char uri[64];
    (void)state;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        snprintf(uri, sizeof uri, "/tasks/%s", ids[i]);
        int expected = strcmp(ids[i], "%ff") == 0 ? 400 : 404;
        assert_int_equal(send("PATCH", uri, "{\"status\":1}"), expected);
    }
    send("GET", "/users/abc", "");
    assert_true(has("There is no user \\\"abc\\\"."));
    fake.err = ERR_NOT_FOUND;
    send("DELETE", "/tasks/12", "");
    assert_true(has("There is no task 12."));
    assert_int_equal(fake.changes, 0);
}

static void test_methods(void **state)
{
    (void)state;
    assert_int_equal(send("PUT", "/tasks/1", "{}"), 405);
    assert_true(has("\r\nAllow: GET, HEAD, PATCH, DELETE, OPTIONS\r\n"));
    assert_true(has("PUT is not possible here"));
    assert_int_equal(send("OPTIONS", "/tasks", ""), 204);
    assert_true(has("\r\nAllow: GET, HEAD, POST, OPTIONS\r\n") && !has("Accept-Patch"));
    assert_int_equal(send("OPTIONS", "/tasks/1", ""), 204);
    assert_true(has("\r\nAccept-Patch: application/json, application/merge-patch+json\r\n"));
    assert_int_equal(send("OPTIONS", "/nowhere", ""), 404);
}

static void test_bodies(void **state)
{
    (void)state;
    assert_int_equal(send("POST", "/tasks", ""), 400);
    assert_true(has("/problems/not-json"));
    assert_true(has("The body is empty."));
    assert_int_equal(send("PATCH", "/tasks/1", "{\"status\":1}x"), 400);
    assert_int_equal(send("PATCH", "/tasks/1", "'{\"status\":1}'"), 400);
    assert_true(has("\"detail\":\"The body is not valid JSON: line 1, column 1, at '{\\\"status\\\":1}': "
                    "strings are in double "
                    "quotes, not in single ones. cmd.exe passes"));
    assert_int_equal(send("PATCH", "/tasks/1", "{\"status\":1,}"), 400);
    assert_true(
        has("\"The body is not valid JSON: line 1, column 13, at }: a comma with nothing behind it.\""));
    assert_int_equal(send("PATCH", "/tasks/1", "{\"status\":1,\"status\":1}"), 400);
    assert_true(has("\"The body has the same key twice in one object.\""));
    assert_int_equal(send("PATCH", "/tasks/1", "{}"), 422);
    assert_int_equal(send("PATCH", "/tasks/1", "{\"status\":\"1\",\"x\":1}"), 422);
    assert_true(has("\"detail\":\"2 values are wrong: see errors.\""));
    assert_int_equal(send_with("POST", "/tasks", "<a/>", "CONTENT_TYPE=text/xml"), 415);
    assert_true(has("\r\nAccept: application/json\r\n") && !has("Accept-"));
    assert_int_equal(send_with("POST", "/tasks", "x", "HTTP_CONTENT_ENCODING=gzip"), 415);
    assert_true(has("\r\nAccept-Encoding: identity\r\n") && !has("\r\nAccept:"));
    assert_int_equal(send_with("PATCH", "/tasks/1", "[]", "CONTENT_TYPE=application/json-patch+json"), 415);
    assert_true(has("\r\nAccept-Patch: application/json, application/merge-patch+json\r\n"));
    assert_int_equal(
        send_with("PATCH", "/tasks/1", "{\"status\":1}", "CONTENT_TYPE=application/merge-patch+json"), 200);
    assert_int_equal(send_with("POST", "/tasks", "{}", "CONTENT_LENGTH=9"), 400);
}

static void test_body_too_large(void **state)
{
    static char body[65538];
    (void)state;
    memset(body, ' ', sizeof body - 1);
    assert_int_equal(send("POST", "/tasks", body), 413);
    assert_true(has("at most 65536 bytes"));
}

/* RFC 9110, 13.2.2: If-Match first, then If-None-Match, whose failure is 304 for a GET or HEAD and 412 for
 * all others. The task has version 3. */
static void test_preconditions(void **state)
{
    static const struct {
        const char *if_match, *if_none_match;
        int get, change; /* 0: as without */
    } cases[] = {
        {NULL, NULL, 0, 0},           {"\"3\"", NULL, 0, 0},
        {"\"2\", \"3\"", NULL, 0, 0}, {"*", NULL, 0, 0},
        {"\"2\"", NULL, 412, 412},    {"W/\"3\"", NULL, 412, 412},
        {NULL, "\"2\"", 0, 0},        {NULL, "\"3\"", 304, 412},
        {NULL, "W/\"3\"", 304, 412},  {NULL, "*", 304, 412},
        {"\"3\"", "\"2\"", 0, 0},     {"\"3\"", "\"3\"", 304, 412},
        {"\"2\"", "\"2\"", 412, 412}, {"\"2\"", "\"3\"", 412, 412},
        {"*", "*", 304, 412},         {"3", NULL, 400, 400},
        {NULL, "3", 0, 400},
    };
    static const struct {
        const char *method, *body;
        int status;
    } calls[] = {{"GET", "", 200}, {"HEAD", "", 200}, {"PATCH", "{\"status\":1}", 200}, {"DELETE", "", 204}};
    char match[64], none_match[64];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(match, sizeof match, "HTTP_IF_MATCH=%s", cases[i].if_match ? cases[i].if_match : "");
        snprintf(none_match, sizeof none_match, "HTTP_IF_NONE_MATCH=%s",
                 cases[i].if_none_match ? cases[i].if_none_match : "");
        for (size_t c = 0; c < sizeof calls / sizeof calls[0]; c++) {
            int expected = c < 2 ? cases[i].get : cases[i].change;
            int status =
                send_with_two(calls[c].method, "/tasks/1", calls[c].body, cases[i].if_match ? match : NULL,
                              cases[i].if_none_match ? none_match : NULL);
            assert_int_equal(status, expected == 0 ? calls[c].status : expected);
            assert_true(status != 412 || has("/problems/stale") || c == 1);
        }
    }
    assert_int_equal(send_with("OPTIONS", "/tasks/1", "", "HTTP_IF_MATCH=\"2\""), 204); /* 13.2.1 */
    fake.err = ERR_NOT_FOUND;
    assert_int_equal(send_with("DELETE", "/tasks/1", "", "HTTP_IF_MATCH=\"2\""), 404);
}

static void test_lists_have_etags(void **state)
{
    static const char *const lists[] = {"/tasks", "/tasks?user_id=1", "/users", "/users?external_id=e-7",
                                        "/users/1/events"};
    (void)state;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        assert_int_equal(send("GET", lists[i], ""), 200);
        assert_true(has("\r\nCache-Control: private, no-cache\r\n"));
        bool with_cursor = has("Event-Cursor");
        assert_int_equal(send_with("GET", lists[i], "", etag_of_answer("HTTP_IF_NONE_MATCH")), 304);
        assert_string_equal(body_text(), "");
        assert_true(has("\r\nETag: W/\""));
        assert_true(has("Event-Cursor") == with_cursor);
        assert_int_equal(send_with("GET", lists[i], "", etag_of_answer("HTTP_IF_MATCH")),
                         412); /* it is weak */
        assert_true(has("Cache-Control: no-store\r\n") && !has("Event-Cursor"));
        assert_int_equal(send_with("GET", lists[i], "", "HTTP_IF_MATCH=*"), 200);
        assert_int_equal(send_with("HEAD", lists[i], "", "HTTP_IF_NONE_MATCH=*"), 304);
        assert_int_equal(send_with("GET", lists[i], "", "HTTP_IF_NONE_MATCH=\"3\""), 200);
    }
    /* The same page, but with a next one; the same page, but after another event of the user. */
    send("GET", "/tasks?user_id=1", "");
    const char *known = etag_of_answer("HTTP_IF_NONE_MATCH");
    fake.more = true;
    assert_int_equal(send_with("GET", "/tasks?user_id=1", "", known), 200);
    fake.more = false;
    fake.happened = 1;
    assert_int_equal(send_with("GET", "/tasks?user_id=1", "", known), 200);
    fake.happened = 0;
    assert_int_equal(send_with("GET", "/tasks?user_id=1", "", known), 304);
}

/* A POST is to the list. */
static void test_preconditions_of_a_post(void **state)
{
    const char *body = "{\"user_id\":1,\"content\":\"x\"}";
    (void)state;
    assert_int_equal(send_with("POST", "/tasks", body, "HTTP_IF_MATCH=*"), 201);
    assert_int_equal(send_with("POST", "/tasks", body, "HTTP_IF_NONE_MATCH=\"3\""), 201);
    assert_int_equal(fake.changes, 2);
    assert_int_equal(send_with("POST", "/tasks", body, "HTTP_IF_MATCH=\"3\""), 412);
    assert_int_equal(send_with("POST", "/tasks", body, "HTTP_IF_NONE_MATCH=*"), 412);
    assert_true(has("/problems/stale"));
    assert_int_equal(send_with_two("POST", "/tasks", body, "HTTP_IF_MATCH=*", "HTTP_IF_NONE_MATCH=*"), 412);
    assert_int_equal(send_with("POST", "/tasks", body, "HTTP_IF_MATCH=3"), 400);
    send("GET", "/tasks", "");
    assert_int_equal(send_with("POST", "/tasks", body, etag_of_answer("HTTP_IF_NONE_MATCH")), 412);
    assert_int_equal(fake.changes, 2);
}

static void test_queries_refused(void **state)
{
    (void)state;
    assert_int_equal(send("GET", "/tasks?limit=0", ""), 422);
    assert_true(has("{\"field\":\"limit\",\"message\":\"must be a whole number from 1 to 200\"}"));
    assert_int_equal(send("GET", "/tasks?status=completed", ""), 422);
    assert_true(has("\"status must be 0 (open) or 1 (completed).\""));
    assert_int_equal(send("GET", "/tasks?order=-id", ""), 422);
    assert_true(has("\"order must be id.asc (oldest first) or id.desc (newest first).\""));
    assert_int_equal(send("GET", "/tasks?q=x", ""), 422);
    assert_true(has("give user_id, too"));
    assert_int_equal(send("GET", "/tasks?user_id=1&q=+", ""), 422);
    assert_int_equal(send("GET", "/tasks/1?x=1", ""), 422);
    assert_true(has("this call takes no parameters"));
    assert_int_equal(send("GET", "/healthz?x=1", ""), 200);
    assert_int_equal(send("GET", "/users?user_id=1", ""), 422);
    assert_int_equal(send("GET", "/users?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q&r&s&t", ""), 422);
    assert_true(has("\"20 values are wrong: see errors, which has the first of them.\""));
}

static void test_waited_too_long(void **state)
{
    char start[64];
    (void)state;
    snprintf(start, sizeof start, "REQUEST_START=%lld.000", (long long)(clock_wall_ms() / 1000 - 9));
    int64_t before = metrics_get(service.metrics, API_REQUESTS_STALE);
    assert_int_equal(send_with("DELETE", "/tasks/1", "", start), 503);
    assert_true(has("/problems/timeout"));
    assert_int_equal(fake.changes, 0);
    assert_int_equal(metrics_get(service.metrics, API_REQUESTS_STALE), before + 1);
    snprintf(start, sizeof start, "REQUEST_START=%lld.000", (long long)(clock_wall_ms() / 1000 - 2));
    assert_int_equal(send_with("DELETE", "/tasks/1", "", start), 204);
}

static void test_database_away(void **state)
{
    (void)state;
    fake.err = ERR_UNAVAILABLE;
    assert_int_equal(send("GET", "/tasks", ""), 503);
    assert_true(has("\r\nRetry-After: 1\r\n"));
    assert_true(has("/problems/unavailable"));
    assert_false(has("Acheter")); /* the list that was begun is dropped */
    assert_int_equal(send("GET", "/users/1/events", ""), 503);
    assert_int_equal(send("GET", "/readyz", ""), 503);
    assert_true(has("\"database\":\"down\",\"broker\":\"up\"}"));
    assert_int_equal(send("GET", "/healthz", ""), 200);
    fake.err = ERR_INTERNAL;
    assert_int_equal(send("GET", "/tasks/1", ""), 500);
    assert_true(has("/problems/internal"));
}

/* 503 promises that nothing happened; this is not that. */
static void test_commit_without_an_answer(void **state)
{
    (void)state;
    fake.err = ERR_UNCERTAIN;
    assert_int_equal(send("PATCH", "/tasks/1", "{\"status\":1}"), 504);
    assert_true(has("/problems/uncertain"));
    assert_false(has("Retry-After"));
    assert_int_equal(fake.changes, 0);
}

#define TEST(function) cmocka_unit_test_setup(function, reset)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_problem),          TEST(test_ids_nobody_has),          TEST(test_methods),
        TEST(test_bodies),           TEST(test_body_too_large),          TEST(test_preconditions),
        TEST(test_lists_have_etags), TEST(test_preconditions_of_a_post), TEST(test_queries_refused),
        TEST(test_waited_too_long),  TEST(test_database_away),           TEST(test_commit_without_an_answer),
    };
    return cmocka_run_group_tests(tests, exchange_set_up, exchange_tear_down);
}
