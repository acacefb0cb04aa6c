/* SPDX-License-Identifier: MIT */
/* Which pages' origins and which names of the service are accepted: common/origin.h. */
#include "tests/unit/unit.h"

#include <stdio.h>

#include "common/origin.h"

#define OPEN(list, names, origin, host) origin_judge(&(struct origin_rules){list, names, true}, origin, host)
#define KEYED(list, origin, host)       origin_judge(&(struct origin_rules){list, "", false}, origin, host)

static void test_lists(void **state)
{
    static const char list[] = "https://a.example, http://b.example:8080\thttp://[::1]:81 null";
    (void)state;
    static const char *const in[] = {"https://a.example",    "HTTPS://A.Example", "https://a.example:443",
                                     "https://a.example.",   "http://[::1]:81",   "null",
                                     "http://b.example:8080"};
    static const char *const out[] = {
        "http://a.example", "https://a.example:444", "https://a.exampl", "https://aa.example", "a.example",
        "http://b.example", "http://b.example:808",  "http://[::1]",     "https://",           ""};
    for (size_t i = 0; i < sizeof in / sizeof *in; i++)
        if (!origin_listed(list, in[i]))
            fail_msg("%s", in[i]);
    for (size_t i = 0; i < sizeof out / sizeof *out; i++)
        if (origin_listed(list, out[i]))
            fail_msg("%s", out[i]);
    assert_true(origin_listed("https://a.example:443", "https://a.example"));
    assert_true(origin_listed("x *", "https://anything.example"));
    assert_false(origin_listed("", "https://a.example"));
}

static void test_own(void **state)
{
    static const struct {
        const char *origin, *host;
        bool own;
    } cases[] = {
        {"https://tasks.example.org", "tasks.example.org", true},
        {"https://tasks.example.org", "tasks.example.org:443", true},
        {"https://tasks.example.org:443", "tasks.example.org", true},
        {"http://tasks.example.org", "tasks.example.org:80", true},
        {"http://tasks.example.org:80", "TASKS.example.org", true},
        {"http://localhost:8080", "localhost:8080", true},
        {"http://[::1]:80", "[::1]", true},
        {"http://[::1]", "[::1]:80", true},
        {"https://tasks.example.org", "tasks.example.org:80", false},
        {"http://tasks.example.org", "tasks.example.org:443", false},
        {"http://localhost:8080", "localhost", false},
        {"http://localhost", "localhost:8080", false},
        {"http://[::1]", "[::1]:81", false},
        {"http://", "", false},
        {"null", "null", false},
        {"https://evil.example", "tasks.example.org", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (origin_is_own(cases[i].origin, cases[i].host) != cases[i].own)
            fail_msg("%s at %s", cases[i].origin, cases[i].host);
}

static void test_pages(void **state)
{
    (void)state;
    /* No page. */
    assert_int_equal(OPEN("", "", "", "localhost"), ORIGIN_WELCOME);
    assert_int_equal(KEYED("", "", "tasks.example.org"), ORIGIN_WELCOME);
    /* Its own. */
    assert_int_equal(KEYED("", "https://tasks.example.org", "tasks.example.org:443"), ORIGIN_WELCOME);
    assert_int_equal(KEYED("https://a.example", "http://localhost", "localhost"), ORIGIN_WELCOME);
    /* A list is the whole of the others. */
    assert_int_equal(OPEN("https://a.example", "", "https://a.example", "localhost"), ORIGIN_WELCOME);
    assert_int_equal(OPEN("https://a.example", "", "http://evil.example", "localhost"), ORIGIN_FOREIGN_PAGE);
    assert_int_equal(OPEN("https://a.example", "", "http://localhost:81", "localhost"), ORIGIN_FOREIGN_PAGE);
    assert_int_equal(KEYED("*", "http://evil.example", "localhost"), ORIGIN_WELCOME);
    /* Without one. */
    static const char *const ours[] = {"http://localhost:1234", "https://localhost",  "http://127.0.0.1:81",
                                       "http://127.9.9.9",      "http://[::1]:8181",  "http://app.localhost",
                                       "http://carillon.test",  "https://b.test:8443"};
    static const char *const foreign[] = {"http://evil.example",
                                          "null",
                                          "file://",
                                          "http://localhost.evil.example",
                                          "http://notlocalhost",
                                          "http://10.0.0.1",
                                          "http://128.0.0.1",
                                          "http://127.0.0.1.evil.example",
                                          "http://[::2]",
                                          "http://",
                                          "http://[127.0.0.1]"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        assert_int_equal(OPEN("", "carillon.test b.test", ours[i], "localhost"), ORIGIN_WELCOME);
        assert_int_equal(KEYED("", ours[i], "tasks.example.org"), ORIGIN_FOREIGN_PAGE);
    }
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (OPEN("", "carillon.test", foreign[i], "localhost") != ORIGIN_FOREIGN_PAGE)
            fail_msg("%s", foreign[i]);
}

static void test_names(void **state)
{
    static const char *const ours[] = {"",
                                       "localhost",
                                       "LOCALHOST:8080",
                                       "localhost.",
                                       "a.localhost",
                                       "127.0.0.1",
                                       "10.1.2.3:81",
                                       "[::1]:80",
                                       "[2001:db8::1]",
                                       "nginx:80",
                                       "carillon.test",
                                       "Carillon.Test:443",
                                       "listed.example:8443"};
    static const char *const foreign[] = {"evil.example",           "evil.example:80",
                                          "evil.example.",          "1.2.3",
                                          "127.0.0.1.evil.example", "carillon.test.evil.example",
                                          "localhost.evil.example", "x.carillon.test"};
    (void)state;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (OPEN("https://listed.example", "x.test, carillon.test", "", ours[i]) != ORIGIN_WELCOME)
            fail_msg("%s", ours[i]);
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        char origin[64];
        snprintf(origin, sizeof origin, "http://%s", foreign[i]);
        if (OPEN("https://listed.example", "carillon.test", "", foreign[i]) != ORIGIN_FOREIGN_HOST)
            fail_msg("%s", foreign[i]);
        assert_int_equal(OPEN("", "", origin, foreign[i]), ORIGIN_FOREIGN_HOST); /* for the browser its own */
        assert_int_equal(OPEN("*", "", "", foreign[i]), ORIGIN_WELCOME);
        assert_int_equal(KEYED("", "", foreign[i]), ORIGIN_WELCOME);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_own),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
