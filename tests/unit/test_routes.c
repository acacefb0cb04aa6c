/* SPDX-License-Identifier: MIT */
/* What each call does and answers, through gates and handlers, with a store of one task in place of the
 * database: the client's answer, to the byte where it matters. */
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
        TEST(test_create),
        TEST(test_create_refused),
        TEST(test_read_only_fields),
        TEST(test_key_of_a_change),
        TEST(test_list),
        TEST(test_total),
        TEST(test_users),
        TEST(test_users_are_made),
        TEST(test_users_refuse),
        TEST(test_users_change),
        TEST(test_sessions_end),
        TEST(test_events),
        TEST(test_ready),
        TEST(test_ready_but_for_writes),
        TEST(test_counts),
    };
    return cmocka_run_group_tests(tests, exchange_set_up, exchange_tear_down);
}
