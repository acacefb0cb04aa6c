/* SPDX-License-Identifier: MIT */
/* Clients' addresses, and which peers may name them. */
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/un.h>

#include "ws-notifier/address.h"

/* The address of a peer without a header, with no trusted proxy. */
static struct address plain(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return address_of((const struct sockaddr *)&v4, "", TRUST_NONE);
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return address_of((const struct sockaddr *)&v6, "", TRUST_NONE);
}

static bool same(struct address one, struct address other)
{
    return memcmp(&one, &other, sizeof one) == 0;
}

/* The address for a peer that sends `forwarded`. */
static struct address stands_for(const char *peer, const char *forwarded, enum address_trust trust)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, peer, &v4.sin_addr) == 1)
        return address_of((const struct sockaddr *)&v4, forwarded, trust);
    assert_int_equal(inet_pton(AF_INET6, peer, &v6.sin6_addr), 1);
    return address_of((const struct sockaddr *)&v6, forwarded, trust);
}

static void test_which_are_the_same(void **state)
{
    (void)state;
    assert_true(same(plain("192.0.2.1"), plain("192.0.2.1")));
    assert_false(same(plain("192.0.2.1"), plain("192.0.2.2")));
    assert_true(same(plain("192.0.2.1"), plain("::ffff:192.0.2.1")));
    assert_true(same(plain("2001:db8:1:2::1"), plain("2001:db8:1:2:ffff::9")));
    assert_false(same(plain("2001:db8:1:2::1"), plain("2001:db8:1:3::1")));
    assert_false(same(plain("::1"), plain("::")));
    assert_false(same(plain("::1"), plain("127.0.0.1")));
}

static void test_a_proxy_on_loopback(void **state)
{
    (void)state;
    assert_true(same(stands_for("127.0.0.1", "192.0.2.1", TRUST_LOOPBACK), plain("192.0.2.1")));
    assert_true(same(stands_for("127.8.9.1", "192.0.2.1", TRUST_LOOPBACK), plain("192.0.2.1")));
    assert_true(same(stands_for("::1", "2001:db8::1", TRUST_LOOPBACK), plain("2001:db8::1")));
    assert_true(same(stands_for("::ffff:127.0.0.1", "192.0.2.1", TRUST_LOOPBACK), plain("192.0.2.1")));
}

/* The addresses before the last one came from the client. */
static void test_only_the_last_one_counts(void **state)
{
    (void)state;
    assert_true(same(stands_for("127.0.0.1", "1.1.1.1, 192.0.2.1", TRUST_LOOPBACK), plain("192.0.2.1")));
    assert_true(same(stands_for("127.0.0.1", "1.1.1.1,\t192.0.2.1 ", TRUST_LOOPBACK), plain("192.0.2.1")));
}

static void test_who_is_not_trusted(void **state)
{
    (void)state;
    static const char *const others[] = {"192.0.2.9", "2001:db8::9", "128.0.0.1", "10.0.0.1", "::2"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_true(same(stands_for(others[i], "192.0.2.1", TRUST_LOOPBACK), plain(others[i])));
    assert_true(same(stands_for("127.0.0.1", "192.0.2.1", TRUST_NONE), plain("127.0.0.1")));
}

static void test_private_networks(void **state)
{
    (void)state;
    static const char *const inside[] = {"10.1.2.3",    "172.16.0.1", "172.31.255.255", "192.168.1.1",
                                         "169.254.1.1", "fd00:1::1",  "fe80::1",        "127.0.0.1"};
    static const char *const outside[] = {"11.0.0.1",    "172.15.0.1", "172.32.0.1", "192.169.0.1",
                                          "2001:db8::1", "fec0::1",    "::2"};
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++)
        assert_true(same(stands_for(inside[i], "192.0.2.1", TRUST_PRIVATE), plain("192.0.2.1")));
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        assert_true(same(stands_for(outside[i], "192.0.2.1", TRUST_PRIVATE), plain(outside[i])));
}

/* Then it is the proxy's own address: all clients share one, rather than any client choosing its own. */
static void test_what_is_no_address(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",          "nonsense", "192.0.2", "192.0.2.1:80", "192.0.2.1,", "[::1]",       "unknown",
        "1.1.1.1 2", ",",        " ",       "\"1.1.1.1\"",  "1.1.1.1,x",  "1.1.1.1.1.1", "::ffff::1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_true(same(stands_for("127.0.0.1", bad[i], TRUST_LOOPBACK), plain("127.0.0.1")));
    assert_true(
        same(stands_for("127.0.0.1",
                        "1111111111111111111111111111111111111111111111111111111111111111111111111111111",
                        TRUST_LOOPBACK),
             plain("127.0.0.1")));
}

static void test_a_peer_without_an_address(void **state)
{
    (void)state;
    struct sockaddr_un peer = {.sun_family = AF_UNIX};
    assert_true(
        same(address_of((const struct sockaddr *)&peer, "192.0.2.1", TRUST_PRIVATE), plain("0.0.0.0")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_are_the_same),        cmocka_unit_test(test_a_proxy_on_loopback),
        cmocka_unit_test(test_only_the_last_one_counts),  cmocka_unit_test(test_who_is_not_trusted),
        cmocka_unit_test(test_private_networks),          cmocka_unit_test(test_what_is_no_address),
        cmocka_unit_test(test_a_peer_without_an_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
