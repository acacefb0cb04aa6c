/* SPDX-License-Identifier: MIT */
/* Which requests become WebSockets. */
#include "tests/unit/unit.h"

#include <string.h>

#include "ws-notifier/handshake.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="

static const struct handshake_request good = {.get = true,
                                              .path = "/ws",
                                              .http_version = "HTTP/1.1",
                                              .host = "x",
                                              .connection = "Upgrade",
                                              .upgrade = "websocket",
                                              .version = "13",
                                              .key = KEY,
                                              .subprotocols = ""};

static const char *detail;

/* The good request with one member changed. */
#define JUDGED(member, value)                                                                                \
    ({                                                                                                       \
        struct handshake_request request = good;                                                             \
        request.member = (value);                                                                            \
        handshake_judge(&request, &detail);                                                                  \
    })

static void test_good(void **state)
{
    (void)state;
    assert_int_equal(handshake_judge(&good, &detail), HANDSHAKE_FINE);
    assert_int_equal(JUDGED(path, "/"), HANDSHAKE_FINE);
    assert_int_equal(JUDGED(upgrade, "WebSocket"), HANDSHAKE_FINE);
    assert_int_equal(JUDGED(connection, "keep-alive, upgrade"), HANDSHAKE_FINE);
    assert_int_equal(JUDGED(connection, "keep-alive,UPGRADE ,x"), HANDSHAKE_FINE);
    assert_int_equal(JUDGED(subprotocols, "chat, carillon"), HANDSHAKE_FINE);
}

static void test_plain_requests(void **state)
{
    (void)state;
    assert_int_equal(JUDGED(http_version, "HTTP/1.0"), HANDSHAKE_NONE);
    assert_int_equal(JUDGED(http_version, ""), HANDSHAKE_NONE);
    assert_int_equal(JUDGED(connection, ""), HANDSHAKE_NONE);
    assert_int_equal(JUDGED(connection, "keep-alive"), HANDSHAKE_NONE);
    assert_int_equal(JUDGED(connection, "upgrades"), HANDSHAKE_NONE);
    assert_int_equal(JUDGED(upgrade, "h2c"), HANDSHAKE_NONE);
}

static void test_versions(void **state)
{
    (void)state;
    const char *const versions[] = {"", "8", "12", "14", "013", "13, 8", "x"};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        assert_int_equal(JUDGED(version, versions[i]), HANDSHAKE_OTHER_VERSION);
        assert_non_null(strstr(detail, "Sec-WebSocket-Version: 13"));
    }
}

static void is_malformed(enum handshake verdict, const char *named)
{
    assert_int_equal(verdict, HANDSHAKE_MALFORMED);
    assert_non_null(strstr(detail, named));
}

static void test_malformed(void **state)
{
    (void)state;
    const char *const keys[] = {
        "", "x", "dGhlIHNhbXBsZSBub25jZQ=", KEY "=", "dGhlIHNhbXBsZSBub25jZR==", "dGhlIHNhbXBsZSBub25jZ*=="};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        is_malformed(JUDGED(key, keys[i]), "Sec-WebSocket-Key");
    is_malformed(JUDGED(host, ""), "Host");
    is_malformed(JUDGED(get, false), "GET");
    is_malformed(JUDGED(path, "/events"), "/ws");
    is_malformed(JUDGED(path, "/healthz"), "/ws");
    is_malformed(JUDGED(subprotocols, "chat"), "Sec-WebSocket-Protocol");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_plain_requests),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
