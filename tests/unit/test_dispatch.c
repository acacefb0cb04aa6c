/* SPDX-License-Identifier: MIT */
/* Whole requests through gates and handlers, with a store of one task in place of the database: the client's
 * answer, to the byte where it matters. */
#include "tests/unit/exchange.h"

#include "common/clock.h"

static void test_get(void **state)
{
    struct strbuf expected = {0};
    (void)state;
    send("GET", "/tasks/1", "");
    strbuf_printf(&expected,
                  "Status: 200 OK\r\n"
                  "Content-Type: application/json\r\n"
                  "Content-Length: %zu\r\n"
                  "Cache-Control: private, no-cache\r\n"
                  "ETag: \"3\"\r\n"
                  "X-Request-Id: test-1\r\n"
                  "\r\n%s",
                  strlen(task_text()), task_text());
    assert_string_equal(wire.text, expected.text);
    strbuf_free(&expected);
}

static void test_head_and_304(void **state)
{
    char length[64];
    (void)state;
    assert_int_equal(send("HEAD", "/tasks/1", ""), 200);
    snprintf(length, sizeof length, "Content-Length: %zu\r\n", strlen(task_text()));
    assert_true(has(length));
    assert_string_equal(body_text(), "");
    assert_int_equal(send_with("GET", "/tasks/1", "", "HTTP_IF_NONE_MATCH=\"3\""), 304);
    assert_true(has("ETag: \"3\"\r\n"));
    assert_false(has("Content-"));
    assert_string_equal(body_text(), "");
}

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

static void test_create(void **state)
{
    (void)state;
    assert_int_equal(send("POST", "/tasks", "{\"user_id\":1,\"content\":\"x\"}"), 201);
    assert_true(has("\r\nLocation: /tasks/1\r\nETag: \"3\"\r\n"));
    assert_string_equal(body_text(), task_text());
    assert_int_equal(fake.changes, 1);
    assert_string_equal(fake.key, "");

    fake.repeated = true;
    assert_int_equal(
        send_with("POST", "/tasks", "{\"user_id\":1,\"content\":\"x\"}", "HTTP_IDEMPOTENCY_KEY=k"), 201);
    assert_string_equal(fake.key, "k");
    assert_true(has("\r\nIdempotency-Replayed: true\r\n"));
    assert_int_equal(fake.changes, 1);
}

static void test_create_refused(void **state)
{
    (void)state;
    assert_int_equal(
        send_with("POST", "/tasks", "{\"user_id\":1,\"content\":\"x\"}", "HTTP_IDEMPOTENCY_KEY="), 400);
    fake.err = ERR_NOT_FOUND;
    assert_int_equal(send("POST", "/tasks", "{\"user_id\":9,\"content\":\"x\"}"), 422);
    assert_true(has("\"errors\":[{\"field\":\"user_id\",\"message\":\"is not the id of any user\"}]"));
    fake.err = ERR_MISMATCH;
    assert_int_equal(send("POST", "/tasks", "{\"user_id\":9,\"content\":\"x\"}"), 422);
    assert_true(has("/problems/idempotency-mismatch"));
    assert_int_equal(fake.changes, 0);
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

/* A task that was read can be sent back unchanged, in whatever form a client's types write its times. */
static void test_read_only_fields(void **state)
{
    (void)state;
    assert_int_equal(send("PATCH", "/tasks/1", task_text()), 200);
    assert_int_equal(
        send("PATCH", "/tasks/1", "{\"status\":1,\"createdAt\":\"2024-01-02T18:00:00+01:00\",\"id\":1}"),
        200);
    assert_int_equal(fake.changes, 2);
    assert_int_equal(send("PATCH", "/tasks/1",
                          "{\"status\":1,\"id\":2,\"user_id\":7,\"createdAt\":null,"
                          "\"completedAt\":\"2024-02-02T20:54:23.001Z\"}"),
                     422);
    assert_true(has("{\"field\":\"id\",\"message\":\"is read-only, and is 1\"}"));
    assert_true(has("{\"field\":\"user_id\",\"message\":\"is read-only, and is 1\"}"));
    assert_true(
        has("{\"field\":\"createdAt\",\"message\":\"is read-only, and is 2024-01-02T17:00:00.000Z\"}"));
    assert_true(
        has("{\"field\":\"completedAt\",\"message\":\"is read-only, and is 2024-02-02T20:54:23.000Z\"}"));
    assert_int_equal(send("PATCH", "/tasks/1", "{\"id\":1}"), 422); /* nothing is asked for */
    assert_int_equal(send("PATCH", "/tasks/1", "{\"status\":1,\"createdAt\":\"yesterday\"}"), 422);
    assert_true(has("\"createdAt is read-only: leave it out, or send it back as it was read.\""));
    assert_int_equal(fake.changes, 2);
}

static void test_key_of_a_change(void **state)
{
    (void)state;
    assert_int_equal(send_with("PATCH", "/tasks/1", "{\"status\":1}", "HTTP_IDEMPOTENCY_KEY=\"k\""), 200);
    assert_string_equal(fake.key, "k");
    assert_int_equal(fake.changes, 1);
    fake.repeated = true;
    assert_int_equal(send_with("PATCH", "/tasks/1", "{\"status\":1}", "HTTP_IDEMPOTENCY_KEY=k"), 200);
    assert_true(has("\r\nETag: \"3\"\r\nIdempotency-Replayed: true\r\n"));
    assert_string_equal(body_text(), task_text());
    assert_int_equal(send_with("DELETE", "/tasks/1", "", "HTTP_IDEMPOTENCY_KEY=d"), 204);
    assert_string_equal(fake.key, "d");
    assert_true(has("\r\nIdempotency-Replayed: true\r\n"));
    assert_int_equal(fake.changes, 1);
    assert_int_equal(send_with("DELETE", "/tasks/1", "", "HTTP_IDEMPOTENCY_KEY="), 400);
    fake.err = ERR_MISMATCH;
    assert_int_equal(send_with("PATCH", "/tasks/1", "{\"status\":1}", "HTTP_IDEMPOTENCY_KEY=k"), 422);
    assert_true(has("/problems/idempotency-mismatch"));
}

static void test_list(void **state)
{
    struct strbuf expected = {0};
    (void)state;
    assert_int_equal(send("GET", "/tasks", ""), 200);
    strbuf_printf(&expected, "[%s,%s]", task_text(), task_text());
    assert_string_equal(body_text(), expected.text);
    strbuf_free(&expected);
    assert_false(has("Event-Cursor"));
    assert_false(has("Link"));
    assert_int_equal(fake.filter.limit, 50);
    assert_int_equal(fake.filter.status, -1);

    fake.more = true;
    assert_int_equal(send("GET", "/tasks?user_id=1&status=0&limit=2", ""), 200);
    assert_true(has("\r\nLink: </tasks?user_id=1&status=0&limit=2&after=1>; rel=\"next\"\r\n"));
    assert_true(has("\r\nEvent-Cursor: k3:42:1700000000\r\n"));
    assert_int_equal(fake.filter.user_id, 1);
    assert_int_equal(fake.filter.status, 0);
    assert_false(fake.filter.newest_first || fake.filter.count);
    assert_string_equal(fake.text, "");
    /* A later page is newer than the first: its cursor would skip changes to the first page in between. */
    assert_int_equal(send("GET", "/tasks?user_id=1&limit=2&after=1", ""), 200);
    assert_false(has("Event-Cursor"));

    assert_int_equal(send("GET", "/tasks?user_id=1&order=id.desc&q=Pain+%C3%A9", ""), 200);
    assert_true(fake.filter.newest_first);
    assert_string_equal(fake.text, "Pain \xc3\xa9");
    assert_true(has("\r\nLink: </tasks?user_id=1&order=id.desc&q=Pain%20%C3%A9&after=1>; rel=\"next\"\r\n"));
}

static void test_total(void **state)
{
    static const char *const asked[] = {"HTTP_PREFER=count=exact",
                                        "HTTP_PREFER=return=minimal, Count=Exact;x=1"};
    static const char *const not_asked[] = {"HTTP_PREFER=count=planned",
                                            "HTTP_PREFER=", "HTTP_PREFER=xcount=exact"};
    (void)state;
    fake.total = 123456789012;
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        assert_int_equal(send_with("GET", "/tasks", "", asked[i]), 200);
        assert_true(fake.filter.count);
        assert_true(has("\r\nPreference-Applied: count=exact\r\nX-Total-Count: 123456789012\r\n"));
    }
    for (size_t i = 0; i < sizeof not_asked / sizeof not_asked[0]; i++) {
        assert_int_equal(send_with("GET", "/tasks", "", not_asked[i]), 200);
        assert_false(fake.filter.count || has("X-Total-Count"));
    }
}

/* The value of the answer's ETag header, as a FastCGI parameter. */
static const char *etag_of_answer(const char *parameter)
{
    static char text[64];
    const char *etag = strstr(wire.text, "\r\nETag: ");
    assert_non_null(etag);
    etag += strlen("\r\nETag: ");
    snprintf(text, sizeof text, "%s=%.*s", parameter, (int)strcspn(etag, "\r"), etag);
    return text;
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

static void test_users(void **state)
{
    (void)state;
    fake.more = true;
    assert_int_equal(send("GET", "/users?limit=1", ""), 200);
    assert_string_equal(body_text(),
                        "[{\"id\":7,\"name\":\"L\xc3\xa9"
                        "a \\\"x\\\"\",\"external_id\":null,\"createdAt\":\"2024-01-02T17:00:00.000Z\"}]");
    assert_true(has("Link: </users?limit=1&after=7>; rel=\"next\""));
    assert_int_equal(send("GET", "/users/12", ""), 200);
    assert_string_equal(
        body_text(),
        "{\"id\":12,\"name\":\"Ana\",\"external_id\":null,\"createdAt\":\"2024-01-02T17:00:00.000Z\"}");
    assert_int_equal(send("GET", "/users?external_id=a%20b", ""), 200);
    assert_string_equal(fake.text, "a b");
    assert_int_equal(send("GET", "/users?external_id=", ""), 422);
    assert_true(has("external_id must not be empty"));
    fake.err = ERR_NOT_FOUND;
    assert_int_equal(send("GET", "/users?external_id=none", ""), 200);
    assert_string_equal(body_text(), "[]");
}

static void test_users_are_made(void **state)
{
    static const char name[] = "{\"name\":\"Ana\",\"external_id\":\"e-7\"}";
    (void)state;
    assert_int_equal(send_with("POST", "/users", name, "HTTP_IDEMPOTENCY_KEY=k"), 201);
    assert_true(has("\r\nLocation: /users/7\r\n") && has("\r\nETag: \""));
    assert_string_equal(fake.text, "Ana|e-7");
    assert_int_equal(send("POST", "/users", "{\"name\":\"Ana\",\"external_id\":null}"), 201);
    assert_string_equal(fake.text, "Ana|NULL");
    assert_int_equal(fake.changes, 2);
    fake.repeated = true;
    assert_int_equal(send_with("POST", "/users", name, "HTTP_IDEMPOTENCY_KEY=k"), 201);
    assert_true(has("\r\nIdempotency-Replayed: true\r\n"));
    fake.err = ERR_TAKEN;
    assert_int_equal(send("POST", "/users", name), 409);
    assert_true(has("/problems/taken") &&
                has("{\"field\":\"external_id\",\"message\":\"is another user's\"}"));
    assert_int_equal(send("PATCH", "/users/7", name), 409);
    assert_int_equal(fake.changes, 2);
}

static void test_users_refuse(void **state)
{
    static const struct {
        const char *body, *field;
    } wrong[] = {{"{}", "name"},
                 {"{\"name\":\"\"}", "name"},
                 {"{\"name\":\" \"}", "name"},
                 {"{\"name\":7}", "name"},
                 {"{\"name\":null}", "name"},
                 {"{\"name\":\"a\",\"external_id\":\"\"}", "external_id"},
                 {"{\"name\":\"a\",\"external_id\":7}", "external_id"},
                 {"{\"name\":\"a\",\"external_id\":\"\\t\"}", "external_id"},
                 {"{\"name\":\"a\",\"event_seq\":7}", "event_seq"}};
    char field[64];
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(field, sizeof field, "{\"field\":\"%s\"", wrong[i].field);
        assert_int_equal(send("POST", "/users", wrong[i].body), 422);
        assert_true(has(field));
        assert_int_equal(send("PATCH", "/users/7", wrong[i].body), 422);
        assert_true(has(field));
    }
    assert_int_equal(send("POST", "/users", "{\"name\":\"a\",\"id\":7}"), 422);
    assert_int_equal(fake.changes, 0);
}

static void test_users_change(void **state)
{
    (void)state;
    assert_int_equal(
        send("PATCH", "/users/7",
             "{\"id\":7,\"name\":\"Ana\",\"external_id\":null,\"createdAt\":\"2024-01-02T17:00:00.000Z\"}"),
        200);
    assert_int_equal(send_with("PATCH", "/users/7", "{\"name\":\"a\"}", etag_of_answer("HTTP_IF_MATCH")),
                     200);
    assert_int_equal(send_with("PATCH", "/users/7", "{\"name\":\"a\"}", "HTTP_IF_MATCH=\"1\""), 412);
    assert_int_equal(send_with("PATCH", "/users/7", "{\"name\":\"a\"}", "HTTP_IF_MATCH=1"), 400);
    assert_int_equal(fake.changes, 2);
    assert_int_equal(
        send("PATCH", "/users/7", "{\"id\":8,\"name\":\"a\",\"createdAt\":\"2024-01-02T17:00:00.001Z\"}"),
        422);
    assert_true(has("{\"field\":\"id\",\"message\":\"is read-only, and is 7\"}"));
    assert_true(
        has("{\"field\":\"createdAt\",\"message\":\"is read-only, and is 2024-01-02T17:00:00.000Z\"}"));
    assert_int_equal(send("PATCH", "/users/7", "{\"id\":7}"), 422);
    assert_int_equal(send("PATCH", "/users/7", "{\"createdAt\":7}"), 422);
    assert_int_equal(fake.changes, 2);
}

static void test_sessions_end(void **state)
{
    (void)state;
    assert_int_equal(send_with("DELETE", "/users/7/sessions", "", "HTTP_IDEMPOTENCY_KEY=k"), 204);
    assert_int_equal(fake.changes, 1);
    assert_int_equal(fake.woken, 1);
    assert_int_equal(send("GET", "/users/7/sessions", ""), 405);
    assert_true(has("\r\nAllow: DELETE, OPTIONS\r\n"));
    assert_int_equal(send("DELETE", "/users/x/sessions", ""), 404);
    assert_int_equal(send("DELETE", "/users/7/sessions?all=1", ""), 422);
    assert_int_equal(send_with("DELETE", "/users/7/sessions", "", "HTTP_IF_MATCH=*"), 412);
    assert_int_equal(send_with("DELETE", "/users/7/sessions", "", "HTTP_IF_MATCH=x"), 400);
    assert_int_equal(fake.changes, 1);
    assert_int_equal(send_with("DELETE", "/users/7/sessions", "", "HTTP_IF_NONE_MATCH=*"), 204);
    fake.err = ERR_NOT_FOUND;
    assert_int_equal(send("DELETE", "/users/7/sessions", ""), 404);
    assert_true(has("There is no user 7."));
    assert_int_equal(send_with("DELETE", "/users/7/sessions", "", "HTTP_IF_MATCH=*"), 404);
    assert_int_equal(fake.woken, 2);
    fake.err = ERR_UNCERTAIN;
    assert_int_equal(send("DELETE", "/users/7/sessions", ""), 504);
}

static void test_events(void **state)
{
    (void)state;
    fake.more = true;
    assert_int_equal(send("GET", "/users/1/events?limit=2&since=k3:40", ""), 200);
    assert_string_equal(body_text(), "[{\"a\":1},{\"b\":2}]");
    assert_int_equal(fake.since.seq, 40);
    assert_true(has("\r\nLink: </users/1/events?limit=2&since=k3:2>; rel=\"next\"\r\n") &&
                has("\r\nEvent-Cursor: k3:2\r\n"));
    assert_int_equal(send("GET", "/users/1/events?since=nonsense", ""), 422);
    assert_int_equal(send("GET", "/users/1/events?since=", ""), 422);
    assert_int_equal(send("GET", "/users/1/events?limit=0", ""), 422);
    assert_int_equal(send("GET", "/users/1/events", ""), 200);
    assert_string_equal(fake.since.epoch, ""); /* from the oldest event on */
    fake.err = ERR_GONE;
    assert_int_equal(send("GET", "/users/1/events?since=k3:1", ""), 410);
    assert_true(has("/problems/cursor-gone"));
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

static void test_ready(void **state)
{
    (void)state;
    int64_t now = clock_monotonic_ms();
    assert_int_equal(send("GET", "/readyz", ""), 200);
    assert_string_equal(body_text(),
                        "{\"status\":\"ok\",\"database\":\"up\",\"broker\":\"up\",\"events\":\"leave\"}");
    health_blocked(service.metrics, true);
    assert_int_equal(send("GET", "/readyz", ""), 200);
    assert_string_equal(
        body_text(),
        "{\"status\":\"degraded\",\"database\":\"up\",\"broker\":\"blocked\",\"events\":\"wait\"}");
    health_blocked(service.metrics, false);
    health_confirmed(service.metrics, now - HEALTH_SILENT_MS - 1);
    assert_int_equal(send("GET", "/readyz", ""), 200);
    assert_true(has("\"broker\":\"silent\",\"events\":\"wait\"}"));
    health_confirmed(service.metrics, now);
    metrics_set(service.metrics, API_OUTBOX_OLDEST_MS, HEALTH_LEAVES_MS + 1);
    assert_int_equal(send("GET", "/readyz", ""), 200);
    assert_true(has("{\"status\":\"degraded\",\"database\":\"up\",\"broker\":\"up\",\"events\":\"wait\"}"));
    health_connected(service.metrics, false, now);
    assert_int_equal(send("GET", "/readyz", ""), 200);
    assert_true(has("\"broker\":\"down\",\"events\":\"wait\"}"));
}

/* A full disk: it answers, and each write is 503. */
static void test_ready_but_for_writes(void **state)
{
    (void)state;
    metrics_set(service.metrics, API_DB_REFUSED_MS, clock_monotonic_ms());
    assert_int_equal(send("GET", "/readyz", ""), 503);
    assert_true(has("The database takes no writes."));
    assert_true(has("\"database\":\"refusing\",\"broker\":\"up\"}"));
    metrics_set(service.metrics, API_DB_REFUSED_MS, clock_monotonic_ms() - HEALTH_REFUSED_MS - 1);
    assert_int_equal(send("GET", "/readyz", ""), 200);
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

static void test_counts(void **state)
{
    (void)state;
    int64_t before = metrics_get(service.metrics, API_REQUESTS_4XX);
    send("GET", "/nowhere", "");
    assert_int_equal(metrics_get(service.metrics, API_REQUESTS_4XX), before + 1);
    assert_int_equal(send("GET", "/metrics", ""), 200);
    assert_true(has("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert_true(has("carillon_api_requests_total{code=\"4xx\"}"));
    assert_int_equal(send("GET", "/admin/metrics", ""), 200);
    assert_true(has("carillon_api_requests_total{code=\"4xx\"}"));
    assert_int_equal(send("GET", "/admin/notifiers/2/metrics", ""), 200);
    assert_true(has("X-Accel-Redirect: @notifier_metrics\r\n"));
    assert_false(has("Cache-Control"));
}

#define TEST(function) cmocka_unit_test_setup(function, reset)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_get),
        TEST(test_head_and_304),
        TEST(test_problem),
        TEST(test_ids_nobody_has),
        TEST(test_methods),
        TEST(test_create),
        TEST(test_create_refused),
        TEST(test_bodies),
        TEST(test_body_too_large),
        TEST(test_preconditions),
        TEST(test_read_only_fields),
        TEST(test_key_of_a_change),
        TEST(test_list),
        TEST(test_total),
        TEST(test_lists_have_etags),
        TEST(test_preconditions_of_a_post),
        TEST(test_queries_refused),
        TEST(test_users),
        TEST(test_users_are_made),
        TEST(test_users_refuse),
        TEST(test_users_change),
        TEST(test_sessions_end),
        TEST(test_events),
        TEST(test_database_away),
        TEST(test_commit_without_an_answer),
        TEST(test_ready),
        TEST(test_ready_but_for_writes),
        TEST(test_waited_too_long),
        TEST(test_counts),
    };
    return cmocka_run_group_tests(tests, exchange_set_up, exchange_tear_down);
}
