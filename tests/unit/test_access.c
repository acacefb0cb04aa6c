/* SPDX-License-Identifier: MIT */
/* Access: every call with good tokens, bad ones and none, and pages of other origins. */
#include "tests/unit/exchange.h"

#include "fcgi-api/http/cors.h"
#include "tests/unit/tokens.h"

/* ---- with tokens: of user 1, of an administrator (9), and one that has expired ------------------- */

#define OWN     "HTTP_AUTHORIZATION=Bearer " TOKEN_OF_1
#define ADMIN   "HTTP_AUTHORIZATION=Bearer " TOKEN_OF_9_ADMIN
#define EXPIRED "HTTP_AUTHORIZATION=Bearer " TOKEN_EXPIRED

static int close_doors(void **state)
{
    service.token_keys = tokens_keys();
    return reset(state);
}

static int open_doors(void **state)
{
    (void)state;
    token_keys_free(&service.token_keys);
    return 0;
}

static const struct {
    const char *method, *uri, *body;
} calls[] = {{"GET", "/tasks", ""},      {"POST", "/tasks", "{\"user_id\":1,\"content\":\"a\"}"},
             {"GET", "/tasks/1", ""},    {"PATCH", "/tasks/1", "{\"status\":1}"},
             {"DELETE", "/tasks/1", ""}, {"GET", "/users", ""},
             {"GET", "/users/1", ""},    {"GET", "/users/1/events", ""}};

static enum err session_is(void *sessions, uint32_t user_id, int64_t issued_s, bool *over)
{
    const int *state = sessions;
    assert_true((user_id == 1 || user_id == 9) && issued_s == -1);
    *over = *state == 1 || *state == 4;
    if (*state >= 3)
        return ERR_STALE;
    return *state == 2 ? ERR_UNAVAILABLE : ERR_OK;
}

static void test_sessions(void **state)
{
    int is = 0;
    (void)state;
    service.session_is_over = session_is;
    service.sessions = &is;
    assert_int_equal(send_with("GET", "/tasks", "", OWN), 200);
    is = 1;
    assert_int_equal(send_with("GET", "/tasks", "", OWN), 401);
    assert_true(has("The token is of a session that was ended.") && has("invalid_token"));
    is = 2;
    assert_int_equal(send_with("GET", "/tasks", "", OWN), 503);
    assert_int_equal(send_with("GET", "/admin/metrics", "", ADMIN), 503);
    is = 3; /* the database is away, and the list of before serves what can do without it */
    assert_int_equal(send_with("GET", "/tasks", "", OWN), 503);
    assert_int_equal(send_with("GET", "/admin/metrics", "", ADMIN), 200);
    assert_int_equal(send_with("GET", "/admin/notifiers/1/metrics", "", ADMIN), 200);
    assert_int_equal(send_with("GET", "/admin/metrics", "", OWN), 403);
    is = 4;
    assert_int_equal(send_with("GET", "/admin/metrics", "", ADMIN), 401);
    service.session_is_over = NULL;
}

static void test_every_call_wants_a_token(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        assert_int_equal(send(calls[i].method, calls[i].uri, calls[i].body), 401);
        assert_true(has("WWW-Authenticate: Bearer realm=\"carillon\"\r\n"));
        assert_true(has("/problems/unauthenticated"));
        assert_int_equal(send_with(calls[i].method, calls[i].uri, calls[i].body, EXPIRED), 401);
        assert_true(has("WWW-Authenticate: Bearer realm=\"carillon\", error=\"invalid_token\"\r\n"));
        assert_true(has("The token has expired."));
        assert_true(send_with(calls[i].method, calls[i].uri, calls[i].body, OWN) < 300);
        assert_true(send_with(calls[i].method, calls[i].uri, calls[i].body, ADMIN) < 300);
    }
    assert_int_equal(send_with("GET", "/tasks", "", "HTTP_AUTHORIZATION=Basic YTpi"), 401);
    assert_int_equal(send_with("GET", "/tasks", "", "HTTP_AUTHORIZATION=Bearer x"), 401);
    assert_int_equal(send("GET", "/tasks/none", ""), 401);
    assert_int_equal(send("GET", "/tasks?limit=none", ""), 401);
    assert_int_equal(send("POST", "/tasks", "garbage"), 401);
    assert_int_equal(send("GET", "/healthz", ""), 200);
    assert_int_equal(send("GET", "/readyz", ""), 200);
    assert_int_equal(send("GET", "/metrics", ""), 200);
}

static void test_a_user_has_his_own(void **state)
{
    (void)state;
    const size_t of_tasks = 6; /* calls whose answers the store restricts to the user */
    for (size_t i = 1; i < of_tasks; i++) {
        fake.only_user = 77;
        (void)send_with(calls[i].method, calls[i].uri, calls[i].body, OWN);
        assert_int_equal(fake.only_user, 1);
        (void)send_with(calls[i].method, calls[i].uri, calls[i].body, ADMIN);
        assert_int_equal(fake.only_user, 0);
    }
    assert_int_equal(send_with("GET", "/tasks", "", OWN), 200);
    assert_int_equal(fake.filter.user_id, 1);
    assert_true(has("Event-Cursor: "));
    assert_int_equal(send_with("GET", "/tasks", "", ADMIN), 200);
    assert_int_equal(fake.filter.user_id, 0);
}

static void test_who_names_another_user(void **state)
{
    (void)state;
    fake.err = ERR_INTERNAL; /* the store is not asked */
    assert_int_equal(send_with("GET", "/tasks?user_id=2", "", OWN), 403);
    assert_true(has("The token is for user 1 only."));
    assert_int_equal(send_with("GET", "/users/2", "", OWN), 403);
    assert_int_equal(send_with("GET", "/users/2/events", "", OWN), 403);
    assert_int_equal(send_with("POST", "/tasks", "{\"user_id\":2,\"content\":\"a\"}", OWN), 403);
    fake.err = ERR_OK;
    assert_int_equal(send_with("GET", "/tasks?user_id=2", "", ADMIN), 200);
    assert_int_equal(fake.filter.user_id, 2);
    assert_int_equal(send_with("GET", "/users/2/events", "", ADMIN), 200);
    assert_int_equal(send_with("POST", "/tasks", "{\"user_id\":2,\"content\":\"a\"}", ADMIN), 201);
}

#define GROUPS "HTTP_AUTHORIZATION=Bearer " TOKEN_OF_1_AND_GROUPS /* 5 and 1000 */

static void test_a_team_is_as_oneself(void **state)
{
    (void)state;
    assert_int_equal(send_with("GET", "/tasks?user_id=5", "", GROUPS), 200);
    assert_int_equal(fake.filter.user_id, 5);
    assert_int_equal(send_with("GET", "/users/1000", "", GROUPS), 200);
    assert_int_equal(send_with("GET", "/users/1000/events", "", GROUPS), 200);
    assert_int_equal(send_with("POST", "/tasks", "{\"user_id\":5,\"content\":\"a\"}", GROUPS), 201);
    assert_int_equal(send_with("GET", "/tasks", "", GROUPS), 200);
    assert_int_equal(fake.filter.user_id, 1);
    assert_int_equal(send_with("POST", "/users", "{\"name\":\"a\"}", GROUPS), 403);
    fake.err = ERR_INTERNAL; /* the store is not asked */
    assert_int_equal(send_with("GET", "/tasks?user_id=6", "", GROUPS), 403);
    assert_true(has("The token is for user 1 and its groups only."));
    assert_int_equal(send_with("GET", "/users/6", "", GROUPS), 403);
    assert_int_equal(send_with("POST", "/tasks", "{\"user_id\":6,\"content\":\"a\"}", GROUPS), 403);
}

static void test_what_is_for_administrators(void **state)
{
    static const struct {
        const char *method, *uri, *body;
        int status;
    } asked[] = {{"POST", "/users", "{\"name\":\"a\"}", 201}, {"PATCH", "/users/1", "{\"name\":\"a\"}", 200},
                 {"DELETE", "/users/1/sessions", "", 204},    {"GET", "/users?external_id=a", "", 200},
                 {"GET", "/admin/metrics", "", 200},          {"GET", "/admin/notifiers/1/metrics", "", 200}};
    (void)state;
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        assert_int_equal(send(asked[i].method, asked[i].uri, asked[i].body), 401);
        fake.err = ERR_INTERNAL; /* the store is not asked */
        assert_int_equal(send_with(asked[i].method, asked[i].uri, asked[i].body, OWN), 403);
        assert_true(has("tasks:admin"));
        fake.err = ERR_OK;
        assert_int_equal(send_with(asked[i].method, asked[i].uri, asked[i].body, ADMIN), asked[i].status);
    }
}

static void test_keys_belong_to_who_sent_them(void **state)
{
    static const char *const headers[] = {OWN, ADMIN};
    static const uint32_t owners[] = {1, 9};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const char *parameters[] = {"REQUEST_METHOD=POST", "REQUEST_URI=/tasks", "HTTP_IDEMPOTENCY_KEY=k",
                                    headers[i], NULL};
        const char *body = "{\"user_id\":1,\"content\":\"a\"}";
        request_begin(&request, (char *const *)parameters);
        request_read_body(&request, 65536, give_text, &body);
        dispatch(&service, &app, &request, &response);
        request_end(&request);
        assert_int_equal(response.status, 201);
        assert_int_equal(fake.owner_id, owners[i]);
    }
}

/* ---- pages of other origins ---------------------------------------------------------------------- */

static void test_origins(void **state)
{
    static const struct config listed = {.max_body_bytes = 65536,
                                         .request_max_age_ms = 10000,
                                         .db_timeout_ms = 1500,
                                         .allowed_headers = "X-App-Version, x-tenant",
                                         .allowed_origins = "https://a.example https://b.example:8443"};
    (void)state;
    assert_int_equal(send_with("GET", "/tasks/1", "", "HTTP_ORIGIN=https://a.example"), 403);
    assert_false(has("Access-Control"));
    assert_false(has("Vary"));
    assert_int_equal(send_with("POST", "/tasks", "{}", "HTTP_ORIGIN=https://a.example"), 403);
    assert_int_equal(send_with("GET", "/tasks/1", "", "HTTP_ORIGIN=http://localhost:81"), 200);
    assert_false(has("Access-Control"));
    assert_int_equal(send_with("GET", "/tasks/1", "", "HTTP_HOST=evil.example"), 403);
    assert_true(has("SERVER_NAME"));
    assert_int_equal(send_with("GET", "/healthz", "", "HTTP_HOST=evil.example"), 200);

    service.config = &listed;
    send_with("GET", "/tasks/1", "", "HTTP_ORIGIN=https://b.example:8443");
    assert_true(has("Access-Control-Allow-Origin: https://b.example:8443\r\n"));
    assert_true(has("Vary: Origin\r\n"));
    assert_int_equal(send_with("GET", "/tasks/x", "", "HTTP_ORIGIN=https://a.example"), 404);
    assert_true(has("Access-Control-Allow-Origin: https://a.example\r\n"));
    const char *const strangers[] = {
        "HTTP_ORIGIN=https://c.example", "HTTP_ORIGIN=null", "HTTP_ORIGIN=https://a.example:81",
        "HTTP_ORIGIN=https://a",         "HTTP_ORIGIN=",     NULL};
    for (size_t i = 0; strangers[i] != NULL; i++) {
        assert_int_equal(send_with("GET", "/tasks/1", "", strangers[i]),
                         strangers[i][12] == '\0' ? 200 : 403);
        assert_false(has("Access-Control"));
    }
    const char *parameters[] = {"REQUEST_METHOD=OPTIONS", "REQUEST_URI=/tasks/1",
                                "HTTP_ORIGIN=https://a.example", "HTTP_ACCESS_CONTROL_REQUEST_METHOD=PATCH",
                                NULL};
    request_begin(&request, (char *const *)parameters);
    dispatch(&service, &app, &request, &response);
    strbuf_clear(&wire);
    response_render(&response, false, &wire);
    request_end(&request);
    assert_int_equal(response.status, 204);
    assert_true(has("Access-Control-Allow-Methods: GET, HEAD, PATCH, DELETE, OPTIONS\r\n"));
    assert_true(has("Access-Control-Allow-Headers: Authorization, "));
    assert_true(has(", X-Request-Id, X-App-Version, x-tenant\r\n"));
    service.config = &usual_config;
}

static void test_allowed_headers(void **state)
{
    static const char *const wrong[] = {"X-App:", "a b\n", "(x)", "caf\xc3\xa9", "a;b"};
    struct config config = {.allowed_headers = " X-App-Version,x-tenant ,, b"};
    char why[64];
    (void)state;
    assert_int_equal(cors_check(&config, why, sizeof why), ERR_OK);
    config.allowed_headers = "";
    assert_int_equal(cors_check(&config, why, sizeof why), ERR_OK);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        config.allowed_headers = wrong[i];
        assert_int_equal(cors_check(&config, why, sizeof why), ERR_INVALID);
        assert_int_equal(strncmp(why, "ALLOWED_HEADERS: ", 17), 0);
    }
}

#define OPEN(function)   cmocka_unit_test_setup(function, reset)
#define CLOSED(function) cmocka_unit_test_setup_teardown(function, close_doors, open_doors)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPEN(test_origins),
        OPEN(test_allowed_headers),
        CLOSED(test_every_call_wants_a_token),
        CLOSED(test_a_user_has_his_own),
        CLOSED(test_who_names_another_user),
        CLOSED(test_sessions),
        CLOSED(test_a_team_is_as_oneself),
        CLOSED(test_what_is_for_administrators),
        CLOSED(test_keys_belong_to_who_sent_them),
    };
    return cmocka_run_group_tests(tests, exchange_set_up, exchange_tear_down);
}
